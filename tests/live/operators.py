# SPDX-License-Identifier: Apache-2.0
"""What operators' tools ask for: topics page by page, log directories, replicas, quotas."""
import struct
import threading
import time

import admin
import txns
from admin import array, compact, flexible
from cluster import Cluster, REGIONS, expect
from groups import Broker, text

TESTS = []
NO_DIR, NO_REPLICA, THROTTLED = 57, 9, 89


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


def set_quota(broker, entity, key, value):
    """AlterClientQuotas version 0 of {kind: name, None for everybody's}: the error."""
    names = array([text(kind) + text(name) for kind, name in entity.items()])
    op = text(key) + struct.pack('>db', value or 0, value is None)
    r = broker.ask(49, 0, array([names + array([op])]) + b'\0')
    r.take('ii')
    return r.take('h')


def quotas(broker, filters=(), strict=False):
    """DescribeClientQuotas version 0 by (kind, match type, name): (error, {((kind, name), ...): {key: value}})"""
    parts = array([text(kind) + struct.pack('>b', match) + text(name) for kind, match, name in filters])
    r = broker.ask(48, 0, parts + bytes([strict]))
    r.take('i')
    error = r.take('h')
    r.text()
    found = {}
    for _ in range(max(r.take('i'), 0)):
        entity = tuple((r.text(), r.text()) for _ in range(r.take('i')))
        found[entity] = {r.text(): r.take('d') for _ in range(r.take('i'))}
    return error, found


def create_strictly(broker, topic, partitions):
    """CreateTopics version 6, which is refused above the quota: (throttle ms, error)"""
    one = short(topic) + struct.pack('>ih', partitions, -1) + b'\1\1\0'
    r = flexible(broker, 19, 6, b'\2' + one + struct.pack('>ib', 10000, 0) + b'\0')
    throttle = r.take('i')
    compact(r)
    shorts(r)
    return throttle, r.take('h')


@test
def quotas_hold_for_users_changes_and_connections():
    with Cluster() as c:
        b = Broker(c.kafka('eu-west'))
        user, both, address = {'user': 'ann'}, {'user': 'ann', 'client-id': None}, {'ip': '127.0.0.1'}
        admin.soon('all nodes know them', 0, lambda: set_quota(b, user, 'producer_byte_rate', 1000.0))
        expect('user and client id', set_quota(b, both, 'consumer_byte_rate', 2000.0), 0)
        expect('everybody', set_quota(b, {'user': None}, 'request_percentage', 500.0), 0)
        expect('an address', set_quota(b, address, 'connection_creation_rate', 1e6), 0)
        expect('bytes of an address', set_quota(b, address, 'producer_byte_rate', 1.0), 42)
        expect('connections of a user', set_quota(b, user, 'connection_creation_rate', 1.0), 42)
        expect('address and user', set_quota(b, {'user': 'ann', **address}, 'connection_creation_rate', 1.0), 42)
        ann = {(('user', 'ann'),): {'producer_byte_rate': 1000.0},
               (('user', 'ann'), ('client-id', None)): {'consumer_byte_rate': 2000.0}}
        there = Broker(c.kafka('eu-north'))
        admin.soon('of ann, whatever else', (0, ann), lambda: quotas(there, [('user', 0, 'ann')]))
        alone = {k: v for k, v in ann.items() if len(k) == 1}
        expect('of ann alone', quotas(there, [('user', 0, 'ann')], True), (0, alone))
        everybody = {(('user', None),): {'request_percentage': 500.0}}
        admin.soon('of everybody', (0, everybody), lambda: quotas(there, [('user', 1, None)]))
        near = {(('ip', '127.0.0.1'),): {'connection_creation_rate': 1e6}}
        admin.soon('of addresses', (0, near), lambda: quotas(there, [('ip', 2, None)]))

        mutation = 'controller_mutation_rate'
        expect('changes of who is not logged in', set_quota(b, {'user': 'ANONYMOUS'}, mutation, 1.0), 0)
        admin.soon('known', True, lambda: (('user', 'ANONYMOUS'),) in quotas(b)[1])
        other = Broker(c.kafka('eu-west'), 20)  # b is not read while it waits
        begun = time.monotonic()
        throttle, error = create_strictly(b, 'seventeen', 17)
        expect('a burst', (error, throttle > 0), (0, True))
        throttle, error = create_strictly(other, 'more', 1)
        expect('above it', (error, throttle > 0), (THROTTLED, True))
        while create_strictly(other, 'more', 1)[1] == THROTTLED:
            pass
        expect('it took six seconds', 4 < time.monotonic() - begun < 20, True)
        expect('removed', set_quota(b, {'user': 'ANONYMOUS'}, mutation, None), 0)

        expect('few connections', set_quota(b, address, 'connection_creation_rate', 1.0), 0)
        admin.soon('known', 1.0, lambda: quotas(b, [('ip', 2, None)])[1][(('ip', '127.0.0.1'),)]['connection_creation_rate'])
        served, refused = 0, 0
        for _ in range(30):
            try:
                one = Broker(c.kafka('eu-west'), 5)
                quotas(one)
                served += 1
            except OSError:
                refused += 1
        # Eleven at once; then one a second, and who comes too early is kept for as long.
        expect(f'{served} connections served, {refused} refused', served >= 11 and refused >= 3, True)
        expect('those that are there are served', quotas(b)[0], 0)


def reassign(broker, topic, replicas):
    """AlterPartitionReassignments version 0 of partition 0: (error, error of the partition)"""
    one = struct.pack('>i', 0) + bytes([len(replicas) + 1]) + b''.join(struct.pack('>i', n) for n in replicas) + b'\0'
    r = flexible(broker, 45, 0, struct.pack('>i', 10000) + b'\2' + short(topic) + b'\2' + one + b'\0\0')
    _throttle, error = r.take('ih')
    shorts(r)
    compact(r)
    shorts(r)
    compact(r)
    return error, r.take('ih')[1]


@test
def replicas_are_listed_in_the_order_of_the_reassignment():
    with Cluster() as c:
        b = Broker(c.kafka('eu-west'))
        expect('made', admin.create(b, 'ordered'), 0)
        for wanted in ([3, 1, 2], [2, 3, 1]):
            admin.soon('taken', (0, 0), lambda wanted=wanted: reassign(b, 'ordered', wanted))
            for region in REGIONS:
                there = Broker(c.kafka(region))
                admin.soon(f'as {region} lists them', wanted,
                           lambda there=there: describe_topics(there, ['ordered'])[0][0][3][0][1])


@test
def a_topic_follows_another_policy_after_a_look_at_what_moves():
    with Cluster() as c:
        c.apply('policy: north\ntopics: [nothing]\nmode: async\nhome: eu-north\n'
                'rpo: {time: 5s, bytes: 64MiB, on_breach: report}\nfailover: {mode: manual}\n')
        c.tern('topic', 'create', 'moved', '--partitions', '2')
        c.wait('it is led', lambda: c.json('topic', 'describe', 'moved')['leaderless'] == 0)
        look = c.tern('topic', 'set-policy', 'moved', 'north', '--dry-run').stdout
        for part in ('-> north', '+ home: "eu-north"', 'leaders move to eu-north', 'is left as it is'):
            expect(f'{part} in {look}', part in look, True)
        expect('left as it was', c.json('topic', 'describe', 'moved')['mode'], 'sync')
        expect('not confirmed', c.tern('topic', 'set-policy', 'moved', 'north', check=False).returncode, 2)
        expect('done', 'follows policy north' in c.tern('topic', 'set-policy', 'moved', 'north', '--yes').stdout, True)
        c.wait('the leaders move', lambda: c.leaders('moved') == {'eu-north': 2}, 60)
        expect('again', 'already' in c.tern('topic', 'set-policy', 'moved', 'north').stdout, True)
        expect('no such policy', c.tern('topic', 'set-policy', 'moved', 'south', '--yes', check=False).returncode, 2)
        weaker = c.tern('topic', 'set-policy', 'payments', 'north', '--yes', check=False)
        expect('a critical topic', (weaker.returncode, '--weaken payments' in weaker.stderr), (13, True))
        c.tern('topic', 'set-policy', 'moved', '-', '--yes')
        c.wait('by its name again', lambda: c.json('topic', 'describe', 'moved')['mode'] == 'sync')


def ask_again_and_again(address, topic, seconds):
    """Until it has answered for so long: what Metadata said of the topic, and how often it did not answer."""
    errors, turned_away, until = set(), 0, time.monotonic() + 30
    while time.monotonic() < until:
        try:
            broker = Broker(address, timeout=5)
            error, _ = admin.ask_metadata(broker, topic)
            broker.close()
            if not errors:
                until = time.monotonic() + seconds
            errors.add(error)
        except OSError:
            turned_away += 1
            time.sleep(0.001)
    return errors, turned_away


@test
def a_node_that_starts_denies_no_topic():
    with Cluster() as c:
        for region in REGIONS:
            c.tern('topic', 'create', f'made-before-{region}-starts', '--partitions', '1')
            c.regions('kill', region)
            starting = threading.Thread(target=c.regions, args=('start', region))
            starting.start()
            errors, turned_away = ask_again_and_again(c.kafka(region), f'made-before-{region}-starts', 1)
            starting.join()
            expect(f'{region} says of a topic', errors, {0})
            print(f'    {region} could not be reached {turned_away} times')
            c.healthy()


@test
def there_is_a_controller_in_every_answer():
    with Cluster() as c:
        everybody, controller = admin.ask_brokers(Broker(c.kafka('eu-west')))
        region = REGIONS[controller - 1]
        others = [Broker(c.kafka(r)) for r in REGIONS if r != region]
        left = everybody - {controller}
        expect('brokers', everybody, {1, 2, 3})
        c.regions('kill', region)
        told, until = set(), time.monotonic() + 4
        while time.monotonic() < until:
            told |= {admin.ask_brokers(b)[1] for b in others}
        expect(f'controllers told while {region} is dead: {told}', told <= everybody and bool(told & left), True)


@test
def an_end_of_a_transaction_of_version_2_needs_a_newer_epoch():
    with Cluster() as c:
        c.tern('topic', 'create', 'books', '--partitions', '1')
        leader = c.kafka(next(iter(c.leaders('books'))))
        t = txns.Teller(c, 'till')
        t.must('begin', 'produce books 0 a', 'flush')
        (producer, (epoch, *_)), = txns.producers(leader, 'books', 0).items()
        expect('of version 2, by the epoch that writes', txns.mark(leader, producer, epoch, 'books', version=2, transaction_version=2), 47)
        expect('it is open', txns.producers(leader, 'books', 0)[producer][4], 0)
        expect('of version 1', txns.mark(leader, producer, epoch, 'books', version=2, transaction_version=1), 0)
        expect('it has ended', txns.producers(leader, 'books', 0)[producer][4], -1)
        expect('of version 2, by a newer epoch', txns.mark(leader, producer, epoch + 1, 'books', version=2, transaction_version=2), 0)
        expect('an older epoch, before there were versions', txns.mark(leader, producer, epoch, 'books'), 47)
