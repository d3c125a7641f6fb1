# SPDX-License-Identifier: Apache-2.0
"""As much of Kafka's protocol as it takes to make topics on a broker and to see who leads: a JVM for each question would take longer than the rows."""
import socket
import struct


class Refused(Exception):
    """The broker says no, or nothing."""


def text(s):
    raw = s.encode()
    return struct.pack('>h', len(raw)) + raw


def array(items):
    return struct.pack('>i', len(items)) + b''.join(items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from('>' + form, self.data, self.at)[0]
        self.at += struct.calcsize('>' + form)
        return value

    def text(self):
        n = self.take('h')
        if n < 0:
            return None
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def array(self, item):
        return [item() for _ in range(self.take('i'))]


def ask(address, key, version, body, timeout=60):
    host, port = address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), timeout=timeout) as s:
        message = struct.pack('>hhi', key, version, 1) + text('bench-peers') + body
        s.sendall(struct.pack('>i', len(message)) + message)
        data = b''
        while len(data) < 4 or len(data) < 4 + struct.unpack('>i', data[:4])[0]:
            got = s.recv(1 << 20)
            if not got:
                raise Refused(f'{address} closed the connection')
            data += got
    return Reader(data[8:])


def metadata(address, topic=None):
    """{'brokers': {id: address}, 'leaders': [id, ...], 'isr': [[id, ...], ...], 'error': n} by partition, version 1."""
    r = ask(address, 3, 1, array([text(topic)] if topic else []), timeout=10)
    brokers = {}
    for _ in range(r.take('i')):
        node, host, port = r.take('i'), r.text(), r.take('i')
        r.text()
        brokers[node] = f'{host}:{port}'
    r.take('i')
    leaders, isr, error = {}, {}, 0
    for _ in range(r.take('i')):
        error = r.take('h')
        r.text()
        r.take('b')
        for _ in range(r.take('i')):
            r.take('h')
            part, leader = r.take('i'), r.take('i')
            r.array(lambda: r.take('i'))
            leaders[part], isr[part] = leader, r.array(lambda: r.take('i'))
    return {'brokers': brokers, 'leaders': [leaders[p] for p in sorted(leaders)], 'isr': [isr[p] for p in sorted(isr)], 'error': error}


# More records than this in one request and the controller refuses it; a partition is one of them.
PARTITIONS_AT_ONCE = 5000


def nodes_of(assignment):
    return [array([struct.pack('>i', n) for n in nodes]) for nodes in assignment]


def create_topic(address, name, assignment, configs=()):
    """assignment: the nodes of each partition, the leader first."""
    at_once = nodes_of(assignment[:PARTITIONS_AT_ONCE])
    topic = text(name) + struct.pack('>ih', -1, -1) + array([struct.pack('>i', p) + nodes for p, nodes in enumerate(at_once)]) + array([text(k) + text(v) for k, v in configs])
    r = ask(address, 19, 2, array([topic]) + struct.pack('>ib', 60000, 0), timeout=120)
    r.take('i')
    for _ in range(r.take('i')):
        r.text()
        error = r.take('h')
        if error not in (0, 36):  # 36: it exists, for an answer was late
            raise Refused(f'topic {name}: error {error}: {r.text()}')
    have = max(len(at_once), len(metadata(address, name)['leaders']) if len(assignment) > len(at_once) else 0)
    while have < len(assignment):
        more = assignment[have:have + PARTITIONS_AT_ONCE]
        add_partitions(address, name, have + len(more), more)
        have += len(more)


def add_partitions(address, name, count, assignment):
    """Until the topic has count; assignment: the nodes of each new one."""
    r = ask(address, 37, 0, array([text(name) + struct.pack('>i', count) + array(nodes_of(assignment))]) + struct.pack('>ib', 60000, 0), timeout=120)
    r.take('i')
    for _ in range(r.take('i')):
        r.text()
        error = r.take('h')
        if error:
            raise Refused(f'topic {name}, {count} partitions: error {error}: {r.text()}')


def elect_preferred(address):
    """The first of each partition's nodes leads it again, if it is in sync (ElectLeaders 1)."""
    r = ask(address, 43, 1, struct.pack('>bii', 0, -1, 60000), timeout=120)
    r.take('i')
    error = r.take('h')
    if error:
        raise Refused(f'preferred leaders: error {error}')


def delete_topic(address, name):
    r = ask(address, 20, 1, array([text(name)]) + struct.pack('>i', 60000), timeout=120)
    r.take('i')
    for _ in range(r.take('i')):
        r.text()
        error = r.take('h')
        if error:
            raise Refused(f'topic {name}: error {error}')


def quorum_leader(address):
    """The active controller of KRaft (DescribeQuorum 0, whose header and body are compact)."""
    host, port = address.rsplit(':', 1)
    name = b'__cluster_metadata'
    body = b'\x00' + b'\x02' + bytes([len(name) + 1]) + name + b'\x02' + struct.pack('>i', 0) + b'\x00' + b'\x00' + b'\x00'
    r = ask(f'{host}:{port}', 55, 0, body, timeout=10)
    r.take('b')  # tags of the header
    error = r.take('h')
    if error or r.take('b') != 2:
        raise Refused(f'{address} does not tell its quorum: error {error}')
    length = r.take('b') - 1
    r.at += length  # its name
    r.take('b')
    r.take('i')
    error, leader = r.take('h'), r.take('i')
    if error:
        raise Refused(f'{address} does not tell its quorum: error {error}')
    return leader
