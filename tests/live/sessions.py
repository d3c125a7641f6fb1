# SPDX-License-Identifier: Apache-2.0
"""Fetch sessions (KIP-227) by hand, version 17 (topics by id) and 12 (by name): see TESTS."""
import struct
import subprocess
import time
import uuid

from cluster import REGIONS, Cluster, Failure, expect
from fetches import Flexible, compact, metric, topic_ids
from groups import Broker, text

NOT_FOUND, BAD_EPOCH, BAD_TOPIC_ID = 70, 71, 106
UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID = 3, 100


def varint(n):
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


class Consumer:
    """A connection that fetches; topics are names with version 12, ids above."""

    def __init__(self, address, version=17):
        self.broker, self.version = Broker(address, 20), version
        self.session, self.epoch = 0, 0
        self.sent = self.received = 0

    def topic(self, topic):
        return topic.bytes if self.version >= 13 else compact(topic)

    def fetch(self, topics, forget=None, wait_ms=0, max_bytes=1 << 20, session=None, epoch=None, min_bytes=1):
        """(error, {(topic, partition): answer}); topics {topic: {partition: offset}}."""
        session, epoch = self.session if session is None else session, self.epoch if epoch is None else epoch
        body = b'' if self.version >= 15 else struct.pack('>i', -1)
        body += struct.pack('>iiibii', wait_ms, min_bytes, max_bytes, 0, session, epoch) + varint(len(topics) + 1)
        for topic, partitions in topics.items():
            body += self.topic(topic) + varint(len(partitions) + 1)
            body += b''.join(struct.pack('>iiqiqi', p, -1, o, -1, -1, 1 << 20) + b'\0' for p, o in partitions.items()) + b'\0'
        body += varint(len(forget or {}) + 1)
        for topic, partitions in (forget or {}).items():
            body += self.topic(topic) + varint(len(partitions) + 1) + b''.join(struct.pack('>i', p) for p in partitions) + b'\0'
        return self.ask(body + compact('') + b'\0')

    def ask(self, body):
        self.broker.send(1, self.version, b'\0' + body)
        plain = self.broker.receive()
        r = Flexible(plain.data[4:])
        self.sent, self.received = len(body), len(plain.data)
        r.tags()
        r.take('i')
        error, self.session = r.take('h'), r.take('i')
        found = {}
        for _ in range(r.count() - 1):
            topic = r.uuid() if self.version >= 13 else r.text()
            for _ in range(r.count() - 1):
                p = dict(zip(('partition', 'error', 'hw', 'lso', 'start'), r.take('ihqqq')))
                r.array(lambda: (r.take('qq'), r.tags()))
                p['preferred'], p['records'] = r.take('i'), r.bytes() or b''
                p['bytes'] = len(p['records'])
                r.tags()
                found[topic, p['partition']] = p
            r.tags()
        r.tags()
        if error == 0:
            self.epoch = self.epoch + 1 if self.session else 0
        return error, found


def put(cluster, topic, partition, lines):
    done = subprocess.run(['kcat', '-P', '-b', cluster.brokers(), '-t', topic, '-p', str(partition)],
                          input=''.join(f'{n}\n' for n in range(lines)), capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f'kcat -P: {done.stderr}')


def one_leader(cluster, topic, count):
    """(id, address of a leader, the partitions that it leads, one that another leads)"""
    def led():
        ident, partitions = topic_ids(cluster.kafka(REGIONS[0])).get(topic, (None, {}))
        return len(partitions) == count and all(leader > 0 for leader, _ in partitions.values()) and (ident, partitions)

    ident, partitions = cluster.wait('all partitions have leaders', led)
    leader = partitions[0][0]
    mine = [p for p, (of, _) in partitions.items() if of == leader]
    return ident, cluster.kafka(REGIONS[leader - 1]), mine


def idle(consumer):
    """Until nothing is new. A leader of a new topic says for some milliseconds that it is none yet, at once each time."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        error, found = consumer.fetch({}, wait_ms=100)
        expect('error of the whole answer', error, 0)
        if not found:
            return
        time.sleep(0.01)
    raise Failure(f'always news: {list(found.items())[:3]}')


def a_session_is_told_what_is_new(c, topic, at, mine, version):
    a = Consumer(at, version)
    error, found = a.fetch({topic: {p: 0 for p in mine}})
    expect('a full fetch answers all', (error, len(found), a.session > 0), (0, len(mine), True))
    a.fetch({topic: {p: max(found[topic, p]['hw'], 0) for p in mine}})
    idle(a)
    put(c, 'many', mine[3], 5)
    begun = time.monotonic()
    error, found = a.fetch({}, wait_ms=5000)
    expect('one has records', (error, list(found), found[topic, mine[3]]['bytes'] > 0), (0, [(topic, mine[3])], True))
    hw = found[topic, mine[3]]['hw']
    expect('without waiting', time.monotonic() - begun < 4, True)
    error, found = a.fetch({})
    expect('it was not moved on: again', (error, list(found)), (0, [(topic, mine[3])]))
    a.fetch({topic: {mine[3]: hw}})
    idle(a)
    begun = time.monotonic()
    error, found = a.fetch({}, wait_ms=600)
    expect('nothing new: waits', (error, found, time.monotonic() - begun >= 0.55), (0, {}, True))
    region = REGIONS[(int(at.rsplit(':', 1)[1]) - c.base) // 3]
    looks = metric(c, region, 'tern_fetch_looks_total')
    for _ in range(20):
        expect('idle', a.fetch({}, wait_ms=50), (0, {}))
    looks = metric(c, region, 'tern_fetch_looks_total') - looks
    expect(f'{looks} looks at {len(mine)} idle partitions: two sweeps at most', looks <= 2 * len(mine), True)
    # A poke while it waits.
    process = subprocess.Popen(['sh', '-c', f'sleep 0.5; echo x | kcat -P -b {c.brokers()} -t many -p {mine[5]}'])
    error, found = a.fetch({}, wait_ms=10000)
    process.wait()
    expect('woken', (error, list(found)), (0, [(topic, mine[5])]))
    end = found[topic, mine[5]]['hw']
    error, found = a.fetch({topic: {mine[5]: end}}, forget={topic: [mine[3]]})
    idle(a)
    put(c, 'many', mine[3], 1)
    error, found = a.fetch({}, wait_ms=300)
    expect('forgotten', (error, found), (0, {}))
    # Errors of single partitions are told each time.
    for _ in range(2):
        error, found = a.fetch({topic: {999: 0}})
        expect('no such partition', (error, {k: v['error'] for k, v in found.items()}), (0, {(topic, 999): UNKNOWN_TOPIC}))
    a.fetch({}, forget={topic: [999]})
    return a


def sessions_answer_only_what_is_new_and_refuse_as_kafka_does():
    with Cluster() as c:
        c.tern('topic', 'create', 'many', '--partitions', '60', '--policy', 'payments')
        ident, at, mine = one_leader(c, 'many', 60)
        for version, topic in ((17, ident), (12, 'many')):
            a = a_session_is_told_what_is_new(c, topic, at, mine, version)
            session, epoch = a.session, a.epoch
            b = Consumer(at, version)  # another connection may go on with it
            expect('wrong epoch', b.fetch({}, session=session, epoch=epoch + 1)[0], BAD_EPOCH)
            expect('no such session', b.fetch({}, session=session ^ 1, epoch=epoch)[0], NOT_FOUND)
            expect('no session', b.fetch({}, session=0, epoch=5)[0], NOT_FOUND)
            other = Consumer(at, 12 if version == 17 else 17)
            expect('of another kind', other.fetch({}, session=session, epoch=epoch)[0], BAD_TOPIC_ID)
            expect('right', b.fetch({}, session=session, epoch=epoch)[0], 0)
            expect('its turn is over', a.fetch({}, session=session, epoch=epoch)[0], BAD_EPOCH)
            # A later request ends the one that waits.
            a.broker.send(1, version, b'\0' + struct.pack('>iiibii', 20000, 1, 1 << 20, 0, session, epoch + 1).join(
                [b'' if version >= 15 else struct.pack('>i', -1), b'\1\1' + compact('') + b'\0']))
            time.sleep(0.3)
            expect('goes on', b.fetch({}, session=session, epoch=epoch + 2)[0], 0)
            answer = Flexible(a.broker.receive().data[4:])
            answer.tags()
            answer.take('i')
            expect('the one before', answer.take('h'), BAD_EPOCH)
            expect('ended by its client', b.fetch({}, session=session, epoch=-1), (0, {}))
            expect('gone', b.fetch({}, session=session, epoch=epoch + 3)[0], NOT_FOUND)
            unknown = uuid.UUID(int=5) if version == 17 else 'nowhere'
            error, found = b.fetch({unknown: {0: 0}, topic: {mine[0]: 0}}, session=0, epoch=0)
            expect('an unknown topic', (error, found[unknown, 0]['error']), (0, UNKNOWN_TOPIC_ID if version == 17 else UNKNOWN_TOPIC))
            gone = b.session
            error, found = b.fetch({}, forget={unknown: [0], topic: [mine[0]]}, session=gone, epoch=1)
            expect('all forgotten: no session any more', (error, b.session), (0, 0))
            expect('gone', b.fetch({}, session=gone, epoch=2)[0], NOT_FOUND)
        region = REGIONS[(int(at.rsplit(':', 1)[1]) - c.base) // 3]
        expect('sessions', metric(c, region, 'tern_fetch_sessions'), 0)


def a_session_tells_of_a_leader_that_died_and_of_a_topic_that_went():
    with Cluster() as c:
        c.tern('topic', 'create', 'many', '--partitions', '60', '--policy', 'payments')
        ident, at, mine = one_leader(c, 'many', 60)
        leaders = {p: of for p, (of, _) in topic_ids(at)['many'][1].items()}
        dies = leaders[mine[0]]
        there = c.kafka(REGIONS[dies % 3])
        put(c, 'many', mine[0], 3)
        a = Consumer(there)
        c.wait('a follower serves it', lambda: a.fetch({ident: {mine[0]: 3}}, session=0, epoch=0)[1][ident, mine[0]]['error'] == 0)
        a.epoch = 1
        a.fetch({ident: {mine[1]: 0}})
        idle(a)
        c.regions('kill', REGIONS[dies - 1])
        c.wait('another leads', lambda: topic_ids(there)['many'][1][mine[0]][0] not in (dies, -1))
        put(c, 'many', mine[0], 2)

        def told():
            error, found = a.fetch({}, wait_ms=200)
            expect('the session lives', error, 0)
            return [p for (_, n), p in found.items() if n == mine[0] and p['bytes'] > 0]

        c.wait('what came after the failover', told)
        c.tern('topic', 'delete', 'many', '--yes')

        def gone():
            error, found = a.fetch({}, wait_ms=200)
            expect('the session lives', error, 0)
            return {n: p['error'] for (_, n), p in found.items()} == dict.fromkeys(mine[:2], UNKNOWN_TOPIC_ID)

        c.wait('the topic is gone', gone)


TESTS = [sessions_answer_only_what_is_new_and_refuse_as_kafka_does,
         a_session_tells_of_a_leader_that_died_and_of_a_topic_that_went]
