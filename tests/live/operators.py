# SPDX-License-Identifier: Apache-2.0
"""What operators' tools ask for: topics page by page, log directories, replicas, quotas."""
import struct

import admin
from admin import array, compact, flexible
from cluster import Cluster, REGIONS, expect
from groups import Broker, text

TESTS = []
NO_DIR, NO_REPLICA = 57, 9


def test(function):
    TESTS.append(function)
    return function


def short(value):
    return bytes([len(value) + 1]) + value.encode()


def shorts(r):
    length = compact(r)
    return r.take(f'{length - 1}s').decode() if length > 1 else None if length == 0 else ''


def numbers(r):
    return [r.take('i') for _ in range(compact(r) - 1)]


def describe_topics(broker, names=(), limit=2000, cursor=None):
    """DescribeTopicPartitions: ([(error, topic, internal, {partition: (leader, replicas, isr, elr)})], cursor)"""
    body = bytes([len(names) + 1]) + b''.join(short(n) + b'\0' for n in names) + struct.pack('>i', limit)
    body += b'\xff' if cursor is None else b'\1' + short(cursor[0]) + struct.pack('>i', cursor[1]) + b'\0'
    r = flexible(broker, 75, 0, body + b'\0')
    r.take('i')
    topics = []
    for _ in range(compact(r) - 1):
        error, name = r.take('h'), shorts(r)
        r.take('16s')
        internal, partitions = r.take('b'), {}
        for _ in range(compact(r) - 1):
            _error, index, leader, _epoch = r.take('hiii')
            replicas, isr, elr, last, _offline = (numbers(r) for _ in range(5))
            r.take('B')
            partitions[index] = (leader, replicas, isr, elr + last)
        r.take('iB')
        topics.append((error, name, bool(internal), partitions))
    after = None
    if r.take('b') == 1:
        after = (shorts(r), r.take('i'))
    return topics, after


def pages(broker, limit):
    """All topics by pages: [(topic, partition)]"""
    found, cursor = [], None
    while True:
        topics, cursor = describe_topics(broker, limit=limit, cursor=cursor)
        page = [(name, p) for _error, name, _internal, partitions in topics for p in partitions]
        expect('no page is longer than asked for', len(page) <= limit, True)
        found += page
        if cursor is None:
            return found


def move_dirs(broker, wishes):
    """AlterReplicaLogDirs version 1 of {directory: {topic: [partition]}}: {(topic, partition): error}"""
    dirs = [text(d) + array([text(t) + array([struct.pack('>i', p) for p in ps]) for t, ps in topics.items()])
            for d, topics in wishes.items()]
    r = broker.ask(34, 1, array(dirs))
    r.take('i')
    found = {}
    for _ in range(r.take('i')):
        topic = r.text()
        for _ in range(r.take('i')):
            partition, error = r.take('ih')
            found[topic, partition] = error
    return found


@test
def topics_are_described_page_by_page_in_the_order_of_their_names():
    with Cluster() as c:
        b = Broker(c.kafka('eu-west'))
        for name, partitions in (('zebra', 5), ('ant', 3)):
            expect('made', admin.create(b, name, partitions), 0)
        admin.soon('known there', [0, 0], lambda: [e for e, *_ in describe_topics(b, ['ant', 'zebra'])[0]])
        one, after = describe_topics(b, ['ant'])
        error, name, internal, partitions = one[0]
        expect('of one topic', (error, name, internal, sorted(partitions), after), (0, 'ant', False, [0, 1, 2], None))
        for leader, replicas, isr, elr in partitions.values():
            expect('replicas and more', (leader in replicas, sorted(isr), elr), (True, sorted(replicas), []))
        whole = pages(b, 2000)
        expect('by name', [t for t, _p in whole], sorted(t for t, _p in whole))
        expect('the new ones', {(t, p) for t, p in whole if t in ('ant', 'zebra')},
               {('ant', p) for p in range(3)} | {('zebra', p) for p in range(5)})
        for limit in (1, 2, 4, 7):
            expect(f'in pages of {limit}', pages(b, limit), whole)
        expect('nobody asks for 0', len(describe_topics(b, limit=0)[0][0][3]), 1)
        found, after = describe_topics(b, ['zebra', 'ant', 'ant', 'nobody', 'n*body'])
        expect('asked for twice, not there, not allowed', ([(e, t) for e, t, _i, _p in found], after),
               ([(0, 'ant'), (17, 'n*body'), (3, 'nobody'), (0, 'zebra')], None))
        found, after = describe_topics(b, ['zebra', 'ant'], 2, ('ant', 2))
        expect('from the cursor on', ([(t, sorted(p)) for _e, t, _i, p in found], after),
               ([('ant', [2]), ('zebra', [0])], ('zebra', 1)))
        expect('a cursor that is not in the list', [e for e, *_ in describe_topics(b, ['zebra'], 9, ('ant', 0))[0]], [42])
        expect('a cursor below 0', [e for e, *_ in describe_topics(b, ['ant'], 9, ('ant', -1))[0]], [42])
        expect('a cursor behind the end', [sorted(p) for _e, _t, _i, p in describe_topics(b, ['ant'], 9, ('ant', 7))[0]], [[]])


@test
def a_node_has_one_log_directory_for_its_replicas():
    with Cluster() as c:
        b = Broker(c.kafka('eu-west'))
        own = c.data('eu-west')
        expect('where it is', move_dirs(b, {own: {'payments': [0]}}), {('payments', 0): 0})
        expect('elsewhere', move_dirs(b, {'/nowhere': {'payments': [0]}}), {('payments', 0): NO_DIR})
        expect('no such things', move_dirs(b, {own + '/': {'nobody': [0], 'payments': [77, -1]}}),
               {('nobody', 0): 3, ('payments', 77): 3, ('payments', -1): 3})
        expect('the last directory counts', move_dirs(b, {'/nowhere': {'payments': [0]}, own: {'payments': [0]}}),
               {('payments', 0): 0})
        expect('nothing', move_dirs(b, {}), {})
