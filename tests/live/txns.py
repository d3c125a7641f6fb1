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


def flexible(broker, key, body):
    """Version 0 of an API that was flexible from the beginning."""
    broker.number += 1
    frame = struct.pack('>hhi', key, 0, broker.number) + text('live') + b'\0' + body + b'\0'
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
