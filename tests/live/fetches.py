# SPDX-License-Identifier: Apache-2.0
"""Fetch and its neighbours by hand, and consumers that read near: see TESTS."""
import socket
import struct
import subprocess
import time
import uuid

from cluster import REGIONS, Cluster, Failure, Producer, expect, judge
from groups import Kcat, Reader, text

FENCED, UNKNOWN_EPOCH, UNKNOWN_TOPIC_ID, UNSUPPORTED = 74, 75, 100, 35


class Flexible(Reader):
    """Compact types and tagged fields."""

    def count(self):
        value, shift = 0, 0
        while True:
            byte = self.take('B')
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    def bytes(self):
        size = self.count() - 1
        self.at += max(size, 0)
        return self.data[self.at - size:self.at] if size >= 0 else None

    def text(self):
        data = self.bytes()
        return None if data is None else data.decode()

    def array(self, one):
        return [one() for _ in range(self.count() - 1)]

    def uuid(self):
        return uuid.UUID(bytes=struct.pack('16B', *self.take('16B')))

    def tags(self, **readers):
        found = {}
        for _ in range(self.count()):
            tag, size = self.count(), self.count()
            inner = Flexible(self.data[self.at:self.at + size])
            self.at += size
            if f't{tag}' in readers:
                found[tag] = readers[f't{tag}'](inner)
        return found


def compact(s):
    return bytes([len(s) + 1]) + s.encode()


def ask(address, key, version, body):
    """A request with a flexible header; the answer's body."""
    host, port = address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), timeout=10) as s:
        frame = struct.pack('>hhi', key, version, 7) + text('live') + b'\0' + body
        s.sendall(struct.pack('>i', len(frame)) + frame)
        data = b''
        while len(data) < 4 or len(data) < 4 + struct.unpack('>i', data[:4])[0]:
            more = s.recv(65536)
            if not more:
                raise Failure(f'API {key} version {version}: the connection was closed')
            data += more
    answer = Flexible(data[8:])
    answer.tags()
    return answer


def topic_ids(address):
    """{name: id} by Metadata 13, whose answer ends with an error of its own."""
    r = ask(address, 3, 13, b'\0' + b'\0\0' + b'\0')

    def broker():
        b = (r.take('i'), r.text(), r.take('i'), r.text())
        r.tags()
        return b

    def partition():
        p = r.take('hiii'), r.array(lambda: r.take('i')), r.array(lambda: r.take('i')), r.array(lambda: r.take('i'))
        r.tags()
        return p

    def topic():
        error, name, ident, _internal = r.take('h'), r.text(), r.uuid(), r.take('b')
        partitions = r.array(partition)
        r.take('i')
        r.tags()
        expect(f'error of {name}', error, 0)
        return name, (ident, {p[0][1]: p[0][2:] for p in partitions})

    r.take('i')
    brokers = r.array(broker)
    expect('racks are regions', [b[3] for b in brokers], REGIONS)
    r.text(), r.take('i')
    topics = dict(r.array(topic))
    expect('error of all', r.take('h'), 0)
    return topics


def fetch(address, version, ident, partition=0, offset=0, epoch=-1, last_epoch=-1, rack='', wait_ms=100):
    """(fields of the partition's answer, endpoints)"""
    body = (b'' if version >= 15 else struct.pack('>i', -1)) + struct.pack('>iiibii', wait_ms, 1, 1 << 20, 0, 0, -1)
    body += b'\2' + ident.bytes + b'\2' + struct.pack('>iiqiqi', partition, epoch, offset, last_epoch, -1, 1 << 20)
    body += b'\0\0' + b'\1' + compact(rack) + b'\0'
    r = ask(address, 1, version, body)
    r.take('i')
    expect('error of all', r.take('h'), 0)
    r.take('i')

    def one():
        p = dict(zip(('partition', 'error', 'hw', 'lso', 'start'), r.take('ihqqq')))
        r.array(lambda: (r.take('qq'), r.tags()))
        p['preferred'], p['bytes'] = r.take('i'), len(r.bytes() or b'')
        tags = r.tags(t0=lambda t: t.take('iq'), t1=lambda t: t.take('ii'))
        p['diverging'], p['leader'] = tags.get(0), tags.get(1)
        return p

    def topic():
        expect('topic id', r.uuid(), ident)
        partitions = r.array(one)
        r.tags()
        return partitions

    partitions = r.array(topic)[0]
    endpoints = r.tags(t0=lambda t: t.array(lambda: (t.take('i'), t.text(), t.take('i'), t.text(), t.tags())[:4]))
    return partitions[0], {e[0]: f'{e[1]}:{e[2]}' for e in endpoints.get(0, [])}


def fetches_by_topic_id_tell_epochs_and_where_the_leader_is():
    with Cluster() as c:
        Producer(c, 'payments', 300, 0).finish()
        ident, partitions = topic_ids(c.kafka(REGIONS[0]))['payments']
        leader, epoch = partitions[0]
        far = next(r for r in REGIONS if REGIONS.index(r) + 1 != leader)
        at, there = c.kafka(REGIONS[leader - 1]), c.kafka(far)
        for version in range(13, 19):
            p, _ = fetch(at, version, ident, epoch=epoch)
            expect(f'fetch {version}', (p['error'], p['bytes'] > 0, p['preferred']), (0, True, -1))
            p, _ = fetch(at, version, uuid.UUID(int=77))
            expect(f'unknown topic id, version {version}', p['error'], UNKNOWN_TOPIC_ID)
            p, ends = fetch(there, version, ident, epoch=epoch - 1)
            expect(f'an old epoch, version {version}', (p['error'], p['leader']), (FENCED, (leader, epoch)))
            expect(f'where the leader is, version {version}', ends.get(leader), at if version >= 16 else None)
            p, _ = fetch(at, version, ident, epoch=epoch + 1)
            expect(f'an epoch to come, version {version}', p['error'], UNKNOWN_EPOCH)
            p, _ = fetch(at, version, ident, rack=far)
            expect(f'a consumer of {far}, version {version}', (p['error'], p['bytes'], p['preferred']),
                   (0, 0, REGIONS.index(far) + 1))
            p, _ = fetch(there, version, ident, epoch=epoch, rack=far)
            expect(f'it reads there, version {version}', (p['error'], p['bytes'] > 0, p['preferred']), (0, True, -1))
            p, _ = fetch(at, version, ident, offset=10**6, epoch=epoch)
            expect(f'behind the end, version {version}', p['error'], 1)
        offsets_of_places(c, 'payments', at)


def offsets_of_places(c, topic, at):
    def place(version, timestamp):
        body = struct.pack('>ib', -1, 0) + b'\2' + compact(topic) + b'\2' + struct.pack('>iiq', 0, -1, timestamp) + b'\0\0'
        body += (struct.pack('>i', 1000) if version >= 10 else b'') + b'\0'
        r = ask(at, 2, version, body)
        r.take('i')
        r.count(), r.text(), r.count()
        _index, error, found_ms, offset, _epoch = r.take('ihqqi')
        return error, offset, found_ms

    _, end, _ = place(7, -1)
    newest, offset, found_ms = place(7, -3)
    expect('the newest timestamp', (newest, 0 <= offset < end, abs(found_ms / 1000 - time.time()) < 300), (0, True, True))
    for version in range(8, 12):
        expect(f'local start {version}', place(version, -4)[:2], (0, 0))
        expect(f'newest {version}', place(version, -3), (0, offset, found_ms))
        expect(f'tiered {version}', place(version, -5)[:2], (0, -1) if version >= 9 else (UNSUPPORTED, -1))
        expect(f'not uploaded {version}', place(version, -6)[:2], (0, -1) if version >= 11 else (UNSUPPORTED, -1))
        expect(f'nonsense {version}', place(version, -7)[0], UNSUPPORTED)


def metric(c, region, name):
    for line in c.tern('metrics', str(REGIONS.index(region) + 1), check=False).stdout.splitlines():
        if line.startswith(name + ' '):
            return int(float(line.split()[1]))
    raise Failure(f'no {name} of {region}')


def fetched_bytes(c, region):
    return metric(c, region, 'tern_fetch_bytes_total')


def a_consumer_with_a_rack_reads_nothing_from_other_regions_through_a_leader_kill():
    with Cluster() as c:
        leaders = c.leaders('payments')
        home = max(leaders, key=leaders.get)
        near = [r for r in REGIONS if r != home][-1]
        third = next(r for r in REGIONS if r not in (home, near))
        p = Producer(c, 'payments', 20000, 600)
        reader = Kcat(c, near, 'near', 'payments', ('-X', 'client.rack=' + near))
        c.wait('the consumer reads', lambda: len(reader.lines) > 1500)
        before = {r: fetched_bytes(c, r) for r in REGIONS}
        c.wait('it reads on', lambda: len(reader.lines) > 4000)
        after = {r: fetched_bytes(c, r) for r in REGIONS}
        expect('bytes from other regions', {r: after[r] - before[r] for r in (home, third)}, {home: 0, third: 0})
        expect('bytes from its own', after[near] > before[near], True)
        c.regions('kill', home)
        killed_at = len(reader.lines)
        p.finish()
        c.wait('it has read everything', lambda: {n for _, _, n in reader.lines} >= p.acked, 60)
        last = {r: fetched_bytes(c, r) for r in (near, third)}
        print(f'    bytes served: before the kill {after}, after it {last}')
        expect('much was read after the kill', len(reader.lines) - killed_at > 4000, True)
        expect('bytes from the other region that is left', last[third] - before[third], 0)
        reader.stop()
        judge({(i, o): n for i, o, n in reader.lines}, p.acked)


def end_of_epoch(at, topic, epoch, current=-1):
    """(error, epoch, end offset) by OffsetForLeaderEpoch 4."""
    body = struct.pack('>i', -1) + b'\2' + compact(topic) + b'\2' + struct.pack('>iii', 0, current, epoch) + b'\0\0\0'
    r = ask(at, 23, 4, body)
    r.take('i')
    r.count(), r.text(), r.count()
    error, _partition, found, end = r.take('hiiq')
    return error, found, end


def a_consumer_that_has_read_a_lost_tail_is_told_where_its_records_part():
    """KIP-320, KIP-595: an async home dies with records that a consumer has read and nobody else holds."""
    with Cluster() as c:
        c.apply('policy: manual\ntopics: [manual]\nmode: async\nhome: eu-west\npartitions: 1\n'
                'rpo: {time: 5s, bytes: 64MiB, on_breach: report}\nfailover: {mode: manual}\n')
        c.tern('topic', 'create', 'manual', '--partitions', '1')
        c.wait('manual is led at home', lambda: c.leaders('manual').get('eu-west') == 1)
        Producer(c, 'manual', 100, 0).finish()
        home = c.kafka('eu-west')
        ident, partitions = topic_ids(home)['manual']
        old = partitions[0][1]

        def leaderless():
            try:
                return c.json('topic', 'describe', 'manual')['leaderless']
            except ValueError:
                return 'no answer'

        def put(lines, address):
            done = subprocess.run(['kcat', '-P', '-b', address, '-t', 'manual', '-p', '0'], text=True, timeout=60,
                                  input=''.join(f'{n}\n' for n in range(lines)), capture_output=True)
            if done.returncode != 0:
                raise Failure(f'kcat -P: {done.stderr}')

        for region in REGIONS[1:]:
            c.wait(f'{region} has them', lambda: fetch(c.kafka(region), 17, ident, offset=100)[0]['hw'] == 100)
        for region in REGIONS[1:]:
            c.regions('kill', region)
        put(50, home)
        p, _ = fetch(home, 17, ident, offset=149, epoch=old, last_epoch=old)
        expect('it reads the tail at home', (p['error'], p['hw'], p['diverging'], p['bytes'] > 0), (0, 150, None, True))
        c.regions('kill', 'eu-west')
        for region in REGIONS[1:]:
            c.regions('start', region)
        c.wait('the home is missed', lambda: leaderless() == 1, 40)
        c.wait('it is given up', lambda: c.tern('topic', 'recover', 'manual', '--accept-loss', '--yes', check=False).returncode == 0, 40)
        c.wait('another region leads', lambda: leaderless() == 0, 40)
        seen = []  # the epoch rises once more when the other region is a member again

        def settled():
            seen.append(topic_ids(c.kafka('eu-central'))['manual'][1][0])
            return len(seen) > 30 and len(set(map(tuple, seen[-30:]))) == 1 and seen[-1][0] > 1 and seen[-1]
        leader, epoch = c.wait('its epoch', settled, 40)
        at = c.kafka(REGIONS[leader - 1])
        c.wait('it serves', lambda: fetch(at, 17, ident, offset=99, epoch=epoch)[0]['bytes'] > 0)

        def told(address, when):
            for version in range(13, 19):
                p, _ = fetch(address, version, ident, offset=150, epoch=epoch, last_epoch=old)
                expect(f'{when}, version {version}', (p['error'], p['diverging'], p['bytes']), (0, (old, 100), 0))
                p, _ = fetch(address, version, ident, offset=150, epoch=epoch, last_epoch=old - 1)
                expect(f'{when}, an epoch that has no records here, version {version}', p['diverging'] is not None, True)
            p, _ = fetch(address, 17, ident, offset=100, epoch=epoch, last_epoch=old)
            expect(f'{when}: whoever has not read the tail goes on', (p['error'], p['diverging']), (0, None))

        told(at, 'the tail is behind the end')
        expect('a client that knows no epochs', fetch(at, 17, ident, offset=150, wait_ms=2000)[0]['error'], 1)
        put(200, at)
        told(at, 'others stand in its place')
        p, _ = fetch(at, 17, ident, offset=150)
        expect('a client that knows no epochs reads on', (p['error'], p['bytes'] > 0), (0, True))
        p, _ = fetch(at, 17, ident, offset=150, epoch=epoch, last_epoch=epoch)
        expect('one of the new epoch, too', (p['error'], p['diverging'], p['bytes'] > 0), (0, None, True))
        other = c.kafka(REGIONS[5 - leader - 1])
        c.wait('the other copy has them', lambda: fetch(other, 17, ident, offset=299)[0]['hw'] == 300)
        told(other, 'at a follower')
        expect('where the old epoch ended', end_of_epoch(at, 'manual', old, epoch), (0, old, 100))
        expect('where the new one ends', end_of_epoch(at, 'manual', epoch, epoch), (0, epoch, 300))
        expect('an epoch to come', end_of_epoch(at, 'manual', epoch + 1), (0, -1, -1))
        expect('asked in the old epoch', end_of_epoch(at, 'manual', old, old)[0], FENCED)
        expect('asked in one to come', end_of_epoch(at, 'manual', old, epoch + 1)[0], UNKNOWN_EPOCH)
        expect('of a topic that is not there', end_of_epoch(at, 'none', old)[0], 3)
        expect('asked of a follower', end_of_epoch(other, 'manual', old)[0], 6)


TESTS = [a_consumer_that_has_read_a_lost_tail_is_told_where_its_records_part,
         fetches_by_topic_id_tell_epochs_and_where_the_leader_is,
         a_consumer_with_a_rack_reads_nothing_from_other_regions_through_a_leader_kill]
