# SPDX-License-Identifier: Apache-2.0
"""Transactional producers by hand: teller (librdkafka), and readers of committed records by kcat."""
import os
import struct
import subprocess
import time

from cluster import BIN, Failure
import groups
from groups import text


class Teller:
    def __init__(self, cluster, name, *options, init=True):
        self.process = subprocess.Popen([os.path.join(BIN, 'teller'), cluster.brokers(), name, *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if init:
            self.must('init')

    def tell(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def hear(self):
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise Failure('teller has ended')
        return answer

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def must(self, *lines):
        for line in lines:
            answer = self.ask(line)
            if answer != 'ok':
                raise Failure(f'{line}: {answer}')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def read(cluster, topic, committed=True, brokers=None):
    """Values that can be read, in the order of each partition: {partition: [text]}"""
    level = 'read_committed' if committed else 'read_uncommitted'
    done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', brokers or cluster.brokers(), '-t', topic, '-o', 'beginning', '-f', '%p %s\n',
                           '-X', f'isolation.level={level}'], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f'kcat -C {topic}: exit {done.returncode}: {done.stderr}')
    values = {}
    for line in done.stdout.splitlines():
        partition, text = line.split(' ', 1)
        values.setdefault(int(partition), []).append(text)
    return values


def compact(s):
    return bytes([len(s) + 1]) + s.encode()


def compact_text(r):
    """None for null."""
    size = r.take('B') - 1
    if size < 0:
        return None
    r.at += size
    return r.data[r.at - size:r.at].decode()


def flexible(broker, key, body, version=0):
    """Of a version that is flexible; `body` without the tags at its end."""
    broker.number += 1
    frame = struct.pack('>hhi', key, version, broker.number) + text('live') + b'\0' + body + b'\0'
    broker.socket.sendall(struct.pack('>i', len(frame)) + frame)
    r = broker.receive()
    r.take('B')
    return r


def producers(address, topic, partition):
    """What that node's DescribeProducers tells: {producer id: (epoch, last sequence, last timestamp, coordinator epoch, open since)}, or
    the error."""
    broker = groups.Broker(address)
    r = flexible(broker, 61, b'\2' + compact(topic) + b'\2' + struct.pack('>i', partition) + b'\0')
    broker.close()
    r.take('iB')
    compact_text(r)
    r.take('B')
    index, error = r.take('ih')
    compact_text(r)
    found = {}
    for _ in range(r.take('B') - 1):
        producer, *rest = r.take('qiiqiq')
        found[producer] = tuple(rest)
        r.take('B')
    return error or found


def mark(address, producer, epoch, topic, commit=False, coordinator=0, version=1, transaction_version=None):
    """WriteTxnMarkers for partition 0: its error."""
    broker = groups.Broker(address)
    body = b'\2' + struct.pack('>qhb', producer, epoch, commit) + b'\2' + compact(topic) + b'\2' + struct.pack('>i', 0) + b'\0'
    body += struct.pack('>i', coordinator) + (struct.pack('>b', transaction_version) if version >= 2 else b'') + b'\0'
    r = flexible(broker, 27, body, version)
    broker.close()
    r.take('BqB')
    compact_text(r)
    r.take('B')
    return r.take('ih')[1]


def produce(address, name, topic, partition, records, version=12):
    """The error of a transactional batch."""
    broker = groups.Broker(address)
    body = compact(name) + struct.pack('>hi', -1, 5000) + b'\2' + compact(topic) + b'\2' + struct.pack('>i', partition)
    r = flexible(broker, 0, body + bytes([len(records) + 1]) + records + b'\0\0', version)
    broker.close()
    r.take('B')
    compact_text(r)
    r.take('B')
    return r.take('ih')[1]


def pipeline(address, name, topic, batches):
    """All of them in one go to partition 0: their errors."""
    broker = groups.Broker(address)
    frames = b''
    for n, records in enumerate(batches):
        body = compact(name) + struct.pack('>hi', -1, 5000) + b'\2' + compact(topic) + b'\2' + struct.pack('>i', 0)
        body += bytes([len(records) + 1]) + records + b'\0\0\0'
        frame = struct.pack('>hhi', 0, 12, n) + text('live') + b'\0' + body
        frames += struct.pack('>i', len(frame)) + frame
    broker.socket.sendall(frames)
    errors = []
    for broker.number in range(len(batches)):
        r = broker.receive()
        r.take('BB')
        compact_text(r)
        r.take('B')
        errors.append(r.take('ih')[1])
    broker.close()
    return errors


def commit_offset(address, name, group, producer, epoch, topic, offset, version=5):
    """TxnOffsetCommit of partition 0, of no member: its error."""
    broker = groups.Broker(address)
    body = compact(name) + compact(group) + struct.pack('>qhi', producer, epoch, -1) + compact('') + b'\0'
    r = flexible(broker, 28, body + b'\2' + compact(topic) + b'\2' + struct.pack('>iqi', 0, offset, -1) + b'\0\0\0', version)
    broker.close()
    r.take('iB')
    compact_text(r)
    r.take('B')
    return r.take('ih')[1]


class Coordinator:
    """Requests by hand to the coordinator of an id."""

    def __init__(self, cluster, name):
        for _ in range(100):
            broker = groups.Broker(cluster.brokers().split(',')[0])
            r = broker.ask(10, 1, text(name) + b'\1')
            r.take('i')
            error = r.take('h')
            r.text()
            self.node, host, port = r.take('i'), r.text(), r.take('i')
            broker.close()
            if error == 0:
                break
            time.sleep(0.1)
        self.broker = groups.Broker(f'{host}:{port}')

    def init(self, name, timeout):
        r = self.broker.ask(22, 0, text(name) + struct.pack('>i', timeout))
        r.take('i')
        return tuple(r.take('hqh'))

    def add(self, name, producer, epoch, topic, partitions, version=2):
        body = text(name) + struct.pack('>qhi', producer, epoch, 1) + text(topic)
        r = self.broker.ask(24, version, body + struct.pack(f'>i{len(partitions)}i', len(partitions), *partitions))
        r.take('ii')
        r.text()
        return {p: e for p, e in (r.take('ih') for _ in range(r.take('i')))}

    def end(self, name, producer, epoch, commit, version=2):
        r = self.broker.ask(26, version, text(name) + struct.pack('>qhb', producer, epoch, commit))
        r.take('i')
        return r.take('h')

    def finish(self, name, producer, epoch, commit):
        """EndTxn of transaction.version 2: (error, producer id, epoch)"""
        r = flexible(self.broker, 26, compact(name) + struct.pack('>qhb', producer, epoch, commit), 5)
        r.take('i')
        return tuple(r.take('hqh'))

    def add_all(self, *wishes, version=5):
        """AddPartitionsToTxn as brokers send it, [(id, producer id, epoch, verify only, topic, partitions)]: {id: {partition: error}}"""
        body = bytes([len(wishes) + 1])
        for name, producer, epoch, verify, topic, partitions in wishes:
            body += compact(name) + struct.pack('>qhb', producer, epoch, verify) + b'\2' + compact(topic)
            body += bytes([len(partitions) + 1]) + struct.pack(f'>{len(partitions)}i', *partitions) + b'\0\0'
        r = flexible(self.broker, 24, body, version)
        r.take('ih')
        found = {}
        for _ in range(r.take('B') - 1):
            of = found[compact_text(r)] = {}
            for _ in range(r.take('B') - 1):
                compact_text(r)
                for _ in range(r.take('B') - 1):
                    partition, error = r.take('ih')
                    of[partition] = error
                    r.take('B')
                r.take('B')
            r.take('B')
        return found

    def describe(self, name):
        """(state, producer id, epoch), or the error"""
        r = flexible(self.broker, 65, b'\2' + compact(name))
        r.take('i')
        r.take('B')
        error = r.take('h')
        compact_text(r)
        state = compact_text(r)
        _timeout, _start, producer, epoch = r.take('iqqh')
        return error or (state, producer, epoch)

    def list(self):
        """[(id, producer id, state)]"""
        r = flexible(self.broker, 66, b'\1\1')
        r.take('ih')
        r.take('B')
        found = []
        for _ in range(r.take('B') - 1):
            found.append((compact_text(r), r.take('q'), compact_text(r)))
            r.take('B')
        return found
