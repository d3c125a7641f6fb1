# SPDX-License-Identifier: Apache-2.0
"""Admin requests by hand: topics with configs, partitions, quotas, the quorum."""
import struct
import time

from cluster import expect
from groups import Reader, text

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def soon(what, wanted, ask, seconds=10):
    """Other nodes apply a command a little later."""
    until = time.monotonic() + seconds
    while (got := ask()) != wanted and time.monotonic() < until:
        time.sleep(0.05)
    expect(what, got, wanted)


def array(items):
    return struct.pack('>i', len(items)) + b''.join(items)


def create(broker, topic, partitions=1, factor=-1, configs=None, validate=False):
    """CreateTopics version 2: the error."""
    settings = array([text(k) + text(v) for k, v in (configs or {}).items()])
    one = text(topic) + struct.pack('>ih', partitions, factor) + array([]) + settings
    r = broker.ask(19, 2, array([one]) + struct.pack('>ib', 10000, validate))
    r.take('ii')
    r.text()
    return r.take('h')


def alter(broker, name, changes, kind=TOPIC):
    """IncrementalAlterConfigs version 0 of (op, key, value): the error."""
    one = struct.pack('>b', kind) + text(name) + array([text(k) + struct.pack('>b', op) + text(v) for op, k, v in changes])
    r = broker.ask(44, 0, array([one]) + b'\0')
    r.take('ii')
    return r.take('h')


def describe(broker, name, kind=TOPIC):
    """DescribeConfigs version 1: (error, {key: (value, source, read only)})"""
    body = array([struct.pack('>b', kind) + text(name) + struct.pack('>i', -1)]) + b'\0'
    r = broker.ask(32, 1, body)
    r.take('ii')
    error = r.take('h')
    r.text(), r.take('b'), r.text()
    found = {}
    for _ in range(r.take('i')):
        key, value = r.text(), r.text()
        read_only, source, _sensitive, synonyms = r.take('bbbi')
        found[key] = (value, source, read_only)
        for _ in range(synonyms):
            r.text(), r.text(), r.take('b')
    return error, found


def add_partitions(broker, topic, count):
    """CreatePartitions version 0: the error."""
    body = array([text(topic) + struct.pack('>ii', count, -1)]) + struct.pack('>ib', 10000, 0)
    r = broker.ask(37, 0, body)
    r.take('ii')
    r.text()
    return r.take('h')


def produce(broker, topic, partition, records):
    """Produce version 3: (error, base offset, log append time, throttle ms, seconds that it took)"""
    body = text(None) + struct.pack('>hi', -1, 10000)
    body += array([text(topic) + array([struct.pack('>ii', partition, len(records)) + records])])
    begun = time.monotonic()
    r = broker.ask(0, 3, body)
    took = time.monotonic() - begun
    r.take('i')
    r.text()
    r.take('i')
    _partition, error, base, stamp = r.take('ihqq')
    return error, base, stamp, r.take('i'), took


def set_quota(broker, client_id, key, value):
    """AlterClientQuotas version 0; client_id None: everybody's; value None: removed. The error."""
    entity = array([text('client-id') + text(client_id)])
    op = text(key) + struct.pack('>db', value or 0, value is None)
    r = broker.ask(49, 0, array([entity + array([op])]) + b'\0')
    r.take('ii')
    return r.take('h')


def quotas(broker):
    """DescribeClientQuotas version 0: {client id: {key: value}}"""
    r = broker.ask(48, 0, array([]) + b'\0')
    r.take('ih')
    r.text()
    found = {}
    for _ in range(r.take('i')):
        r.take('i')
        r.text()
        name = r.text()
        found[name] = {r.text(): r.take('d') for _ in range(r.take('i'))}
    return found


def metadata_head(r):
    """Of Metadata version 4, up to its topics: (brokers, controller)"""
    r.take('i')
    brokers = set()
    for _ in range(r.take('i')):
        brokers.add(r.take('i'))
        r.text(), r.take('i'), r.text()
    r.text()
    return brokers, r.take('ii')[0]


def ask_brokers(broker):
    return metadata_head(broker.ask(3, 4, array([]) + b'\0'))


def ask_metadata(broker, topic):
    """Metadata version 4, which may make topics: (error, partitions)"""
    r = broker.ask(3, 4, array([text(topic)]) + b'\1')
    metadata_head(r)
    error = r.take('h')
    r.text()
    r.take('b')
    return error, r.take('i')


def elect(broker, topic, partition, kind=0):
    """ElectLeaders version 1: the error of the partition."""
    body = struct.pack('>b', kind) + array([text(topic) + array([struct.pack('>i', partition)])]) + struct.pack('>i', 10000)
    r = broker.ask(43, 1, body)
    r.take('ihi')
    r.text()
    r.take('ii')
    return r.take('h')


def compact(reader):
    """An unsigned varint."""
    value = shift = 0
    while True:
        byte = reader.take('B')
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value


def quorum(broker):
    """DescribeQuorum version 0: (error, leader, epoch, high watermark, {voter: log end})"""
    name = b'__cluster_metadata'
    body = b'\2' + bytes([len(name) + 1]) + name + b'\2' + struct.pack('>i', 0) + b'\0\0\0'
    r = flexible(broker, 55, 0, body)
    r.take('h')
    r.take('B'), r.take(f'{compact(r) - 1}s'), r.take('B')
    _index, error, leader, epoch, end = r.take('ihiiq')
    voters = {}
    for _ in range(compact(r) - 1):
        voter, at = r.take('iq')
        r.take('B')
        voters[voter] = at
    return error, leader, epoch, end, voters


def flexible(broker, key, version, body):
    """A request with tagged fields in its header."""
    broker.number += 1
    frame = struct.pack('>hhi', key, version, broker.number) + text('live') + b'\0' + body
    broker.socket.sendall(struct.pack('>i', len(frame)) + frame)
    r = broker.receive()
    r.take('B')
    assert isinstance(r, Reader)
    return r


def features(broker, version=4):
    """ApiVersions: ({name: (least, most)} of what is supported, {name: level} of what is finalized)"""
    broker.number += 1
    frame = struct.pack('>hhi', 18, version, broker.number) + text('live') + b'\0' + b'\5live\0021\0'
    broker.socket.sendall(struct.pack('>i', len(frame)) + frame)
    r = broker.receive()
    expect('versions', r.take('h'), 0)
    for _ in range(compact(r) - 1):
        r.take('hhhB')
    r.take('i')
    found = {0: {}, 2: {}}
    for _ in range(compact(r)):
        tag, size = compact(r), compact(r)
        if tag not in found:
            r.take(f'{size}s')
            continue
        for _ in range(compact(r) - 1):
            name = r.take(f'{compact(r) - 1}s').decode()
            first, second, _tags = r.take('hhB')
            found[tag][name] = (first, second)
    return found[0], {name: level for name, (level, _) in found[2].items()}


def update_feature(broker, name, level, how=1, version=1, validate=False):
    """UpdateFeatures: its error; how: 1 upgrade, 2 downgrade. Each feature is told only before version 2, and when there is none."""
    name = name.encode()
    body = struct.pack('>i', 5000) + b'\2' + bytes([len(name) + 1]) + name + struct.pack('>hb', level, how) + b'\0' + bytes([validate]) + b'\0'
    r = flexible(broker, 57, version, body)
    _throttle, error = r.take('ih')
    if (length := compact(r)) > 1:
        r.take(f'{length - 1}s')
    if version < 2:
        expect('answers', compact(r) - 1, 0 if error else 1)
    if version < 2 and error == 0:
        expect('its name', r.take(f'{compact(r) - 1}s'), name)
        expect('its error', r.take('h'), 0)
    return error
