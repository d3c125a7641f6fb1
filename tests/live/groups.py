# SPDX-License-Identifier: Apache-2.0
"""Consumer groups by hand: a client of a few requests, and kcat in a group."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from cluster import Failure

LOADING, NO_COORDINATOR, NOT_COORDINATOR = 14, 15, 16
TRY_AGAIN = (LOADING, NO_COORDINATOR, NOT_COORDINATOR, 7)


def text(s):
    return struct.pack('>h', -1) if s is None else struct.pack('>h', len(s)) + s.encode()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from('>' + form, self.data, self.at)
        self.at += struct.calcsize('>' + form)
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take('h')
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()


class Broker:
    """One connection; a request and its answer at a time."""

    def __init__(self, address, timeout=10):
        host, port = address.rsplit(':', 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.number = 0

    def close(self):
        self.socket.close()

    def send(self, key, version, body):
        self.number += 1
        frame = struct.pack('>hhi', key, version, self.number) + text('live') + body
        self.socket.sendall(struct.pack('>i', len(frame)) + frame)

    def receive(self):
        size = struct.unpack('>i', self.exactly(4))[0]
        reader = Reader(self.exactly(size))
        if reader.take('i') != self.number:
            raise Failure('an answer to another request')
        return reader

    def exactly(self, size):
        data = b''
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError('closed')
            data += more
        return data

    def ask(self, key, version, body):
        self.send(key, version, body)
        return self.receive()

    def find(self, group):
        """(error, node, address)"""
        r = self.ask(10, 1, text(group) + b'\0')
        r.take('i')
        error = r.take('h')
        r.text()
        node, host, port = r.take('i'), r.text(), r.take('i')
        return error, node, f'{host}:{port}'

    def commit(self, group, topic, offsets, generation=-1, member='', metadata=''):
        """{partition: error}"""
        body = text(group) + struct.pack('>i', generation) + text(member) + text(None) + struct.pack('>i', 1) + text(topic)
        body += struct.pack('>i', len(offsets))
        for partition, offset in offsets.items():
            body += struct.pack('>iqi', partition, offset, -1) + text(metadata)
        r = self.ask(8, 7, body)
        r.take('ii')
        r.text()
        return {p: e for p, e in (r.take('ih') for _ in range(r.take('i')))}

    def join(self, group, version, member='', session=10000, kind='consumer', protocols=('range',)):
        """(error, generation, member id), by a version that has nothing after version 1"""
        body = text(group) + struct.pack('>i', session) + (struct.pack('>i', 5000) if version >= 1 else b'')
        body += text(member) + text(kind) + struct.pack('>i', len(protocols))
        for name in protocols:
            body += text(name) + struct.pack('>i', 0)
        r = self.ask(11, version, body)
        error, generation, _protocol, _leader = r.take('h'), r.take('i'), r.text(), r.text()
        return error, generation, r.text()

    def join4(self, group, member, version=4, instance=b''):
        body = text(group) + struct.pack('>ii', 10000, 5000) + text(member) + instance + text('consumer') + struct.pack('>i', 1)
        r = self.ask(11, version, body + text('range') + struct.pack('>i', 0))
        r.take('i')
        error, generation, _protocol, _leader = r.take('h'), r.take('i'), r.text(), r.text()
        return error, generation, r.text()

    def join5(self, group, member, instance):
        return self.join4(group, member, 5, text(instance))

    def beat3(self, group, generation, member, instance):
        r = self.ask(12, 3, text(group) + struct.pack('>i', generation) + text(member) + text(instance))
        r.take('i')
        return r.take('h')

    def sync(self, group, generation, member):
        r = self.ask(14, 0, text(group) + struct.pack('>i', generation) + text(member) + struct.pack('>i', 0))
        return r.take('h')

    def beat(self, group, generation, member):
        return self.ask(12, 0, text(group) + struct.pack('>i', generation) + text(member)).take('h')

    def leave(self, group, member):
        return self.ask(13, 0, text(group) + text(member)).take('h')

    def describe(self, group):
        """(error, state)"""
        r = self.ask(15, 0, struct.pack('>i', 1) + text(group))
        r.take('i')
        error, _group = r.take('h'), r.text()
        return error, r.text()

    def delete(self, group):
        r = self.ask(42, 0, struct.pack('>i', 1) + text(group))
        r.take('ii')
        r.text()
        return r.take('h')

    def delete_offset(self, group, topic, partition):
        """(error of the request, error of the partition or None)"""
        r = self.ask(47, 0, text(group) + struct.pack('>i', 1) + text(topic) + struct.pack('>ii', 1, partition))
        error, _throttle, count = r.take('h'), r.take('i'), r.take('i')
        if count == 0:
            return error, None
        r.text()
        r.take('ii')
        return error, r.take('h')

    @staticmethod
    def fetch_body(group, topic, partitions):
        return text(group) + struct.pack('>i', 1) + text(topic) + struct.pack(f'>i{len(partitions)}i', len(partitions), *partitions)

    @staticmethod
    def fetched(r):
        """(error, {partition: offset})"""
        offsets = {}
        r.take('i')
        for _ in range(r.take('i')):
            r.text()
            for _ in range(r.take('i')):
                partition, offset, _epoch = r.take('iqi')
                r.text()
                r.take('h')
                offsets[partition] = offset
        return r.take('h'), offsets

    def fetch(self, group, topic, partitions):
        return self.fetched(self.ask(9, 5, self.fetch_body(group, topic, partitions)))


class Group:
    """Finds its coordinator anew as often as it must."""

    def __init__(self, cluster, group):
        self.cluster, self.group, self.broker = cluster, group, None

    def coordinator(self, seconds=20):
        until = time.monotonic() + seconds
        seen = None
        while time.monotonic() < until:
            for address in self.cluster.brokers().split(','):
                try:
                    first = Broker(address, 2)
                    error, node, where = first.find(self.group)
                    first.close()
                    if error == 0:
                        return node, where
                    seen = error
                except OSError as e:
                    seen = e
            time.sleep(0.05)
        raise Failure(f'no coordinator of {self.group} within {seconds} s: {seen}')

    def again(self, what, ask, seconds=30):
        """Asks until the answer is none of those that clients try again."""
        until = time.monotonic() + seconds
        seen = None
        while time.monotonic() < until:
            try:
                if self.broker is None:
                    self.broker = Broker(self.coordinator()[1], 2)
                seen = ask(self.broker)
                if seen[0] not in TRY_AGAIN:
                    return seen
            except OSError as e:
                seen = e
            if self.broker is not None:
                self.broker.close()
                self.broker = None
            time.sleep(0.02)
        raise Failure(f'{what} of {self.group}: {seen} after {seconds} s')

    def commit(self, topic, offset, partition=0):
        def ask(broker):
            return (broker.commit(self.group, topic, {partition: offset})[partition],)
        error, = self.again('commit', ask)
        if error != 0:
            raise Failure(f'commit of {self.group}: error {error}')

    def committed(self, topic, partitions=(0,)):
        error, offsets = self.again('fetch', lambda b: b.fetch(self.group, topic, partitions))
        if error != 0:
            raise Failure(f'offsets of {self.group}: error {error}')
        return offsets


def varint(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def compact(s):
    return b'\0' if s is None else varint(len(s) + 1) + s.encode()


def take_varint(r):
    n = shift = 0
    while True:
        byte = r.take('B')
        n |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return n


def take_compact(r):
    size = take_varint(r) - 1
    if size < 0:
        return None
    r.at += size
    return r.data[r.at - size:r.at].decode()


class Fresh:
    """A member of a group of the new protocol: it gives up at once what it is told to."""

    def __init__(self, cluster, group, member, topics, assignor=None, rack=None):
        self.group = Group(cluster, group)
        self.name, self.member, self.topics, self.assignor, self.rack = group, member, topics, assignor, rack
        self.epoch, self.topic_id, self.owned, self.full = 0, bytes(16), [], True

    def body(self, epoch, full):
        body = compact(self.name) + compact(self.member) + struct.pack('>i', epoch) + compact(None) + compact(self.rack if full else None)
        body += struct.pack('>i', 30000 if full else -1)
        body += varint(len(self.topics) + 1) + b''.join(compact(t) for t in self.topics) if full else b'\0'
        body += compact(self.assignor if full else None)
        body += varint(2) + self.topic_id + varint(len(self.owned) + 1) + struct.pack(f'>{len(self.owned)}i', *self.owned) + b'\0' \
            if self.owned else varint(1)
        return body + b'\0'

    def ask(self, broker, epoch, full):
        broker.number += 1
        frame = struct.pack('>hhi', 68, 0, broker.number) + text('live') + b'\0' + self.body(epoch, full)
        broker.socket.sendall(struct.pack('>i', len(frame)) + frame)
        r = broker.receive()
        r.take('B')
        r.take('i')
        error = r.take('h')
        take_compact(r)
        take_compact(r)
        epoch, _interval = r.take('ii')
        given = None
        if r.take('b') > 0:
            given = []
            for _ in range(take_varint(r) - 1):
                self.topic_id = r.data[r.at:r.at + 16]
                r.at += 16
                given += [r.take('i') for _ in range(take_varint(r) - 1)]
                r.take('B')
        return error, epoch, given

    def beat(self):
        """The error; epoch and owned follow from the answer."""
        broker = self.group.broker
        try:
            error, epoch, given = self.group.again('heartbeat', lambda b: self.ask(b, self.epoch, self.epoch == 0 or self.full))
        finally:
            self.full = self.full or self.group.broker is not broker
        if error == 0:
            self.epoch, self.full = epoch, False
            self.owned = given if given is not None else self.owned
        elif error in (25, 110):
            self.epoch, self.owned, self.full = 0, [], True
        return error

    def leave(self):
        return self.group.again('leave', lambda b: self.ask(b, -1, False))[0]

    def commit(self, topic, offset, partition=0):
        """OffsetCommit version 9, the first that knows members of this protocol: its error"""
        def ask(broker):
            broker.number += 1
            frame = struct.pack('>hhi', 8, 9, broker.number) + text('live') + b'\0' + compact(self.name) + struct.pack('>i', self.epoch)
            frame += compact(self.member) + compact(None) + b'\2' + compact(topic) + b'\2' + struct.pack('>iqi', partition, offset, -1) + b'\0\0\0\0'
            broker.socket.sendall(struct.pack('>i', len(frame)) + frame)
            r = broker.receive()
            r.take('BiB')
            take_compact(r)
            r.take('B')
            return (r.take('ih')[1],)
        return self.group.again('commit', ask)[0]


class Kcat:
    """kcat -G in the background; what it read is `lines`: (partition, offset, value)."""

    def __init__(self, cluster, region, group, topic, options=()):
        self.lines = []
        self.process = subprocess.Popen(
            ['kcat', '-G', group, '-b', cluster.kafka(region) + ',' + cluster.brokers(), '-q', '-u', '-f', '%p %o %s\n',
             '-X', 'auto.offset.reset=earliest', '-X', 'session.timeout.ms=6000', '-X', 'heartbeat.interval.ms=500',
             '-X', 'auto.commit.interval.ms=200', '-X', 'fetch.error.backoff.ms=50', *options, topic],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        for line in self.process.stdout:
            partition, offset, value = line.split(' ', 2)
            self.lines.append((int(partition), int(offset), int(value.split()[0])))

    def stop(self):
        """Ctrl-C: it commits and leaves."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.thread.join(10)
        return self.lines
