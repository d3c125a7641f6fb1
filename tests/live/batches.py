# SPDX-License-Identifier: Apache-2.0
"""What becomes of batches: compression.type, and compaction of transactions."""
import subprocess
import time

import txns
from cluster import REGIONS, Cluster, expect
from fetches import metric, topic_ids
from sessions import Consumer
from topics import at_leader, create, put as put_rows

CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
TYPES = {'uncompressed': 0, 'gzip': 1, 'snappy': 2, 'lz4': 3, 'zstd': 4}


def put(c, topic, lines, codec, *options):
    return subprocess.run(['kcat', '-P', '-b', c.brokers(), '-t', topic, '-p', '0', '-z', codec, '-X', 'linger.ms=50', *options],
                          input=''.join(line + '\n' for line in lines), capture_output=True, text=True, timeout=60)


def codecs_of(c, topic, address):
    """Of the batches of partition 0, as a fetch gives them."""
    ident, _ = topic_ids(c.kafka(REGIONS[0]))[topic]
    records = Consumer(address).fetch({ident: {0: 0}}, epoch=-1)[1][ident, 0]['records']
    found = []
    while len(records) > 61:
        size = 12 + int.from_bytes(records[8:12], 'big')
        found.append(records[22] & 7)
        records = records[size:]
    return found


def compression_type_is_the_leaders_whatever_the_producer_sends():
    with Cluster() as c:
        for kind, number in TYPES.items():
            level = {'gzip': '9', 'lz4': '12', 'zstd': '19'}.get(kind)
            configs = {'compression.type': kind, **({f'compression.{kind}.level': level} if level else {})}
            expect(f'create {kind}', at_leader(c, lambda b: create(b, f'as-{kind}', configs), lambda e: e != 0), 0)
            wanted = []
            for n, codec in enumerate(CODECS):
                lines = [f'{kind} {codec} {i} ' + 'x' * 100 for i in range(50)]
                done = put(c, f'as-{kind}', lines, codec, '-X', f'enable.idempotence={"true" if n % 2 else "false"}')
                expect(f'{codec} into {kind}', (done.returncode, done.stderr), (0, ''))
                wanted += lines
            for region in REGIONS:  # followers have what the leader stored
                def read():
                    out = subprocess.run(['kcat', '-C', '-q', '-e', '-b', c.kafka(region), '-t', f'as-{kind}', '-o', 'beginning', '-X',
                                          'check.crcs=true', '-X', 'client.rack=' + region], capture_output=True, text=True, timeout=60)
                    return sorted(out.stdout.splitlines()) == sorted(wanted)
                c.wait(f'{kind} is read by {region}', read)
                c.wait(f'{kind} at {region}', lambda: set(codecs_of(c, f'as-{kind}', c.kafka(region))) == {number})
        bomb = ['x' * 900000 for _ in range(30)]
        for kind in ('uncompressed', 'lz4'):
            done = put(c, f'as-{kind}', bomb, 'zstd', '-X', 'batch.size=100000000', '-X', 'message.max.bytes=100000000', '-X', 'linger.ms=2000')
            expect(f'27 MB in some kB into {kind} are refused', 'too large' in done.stderr, True)


def compaction_takes_out_what_was_aborted_and_counts_what_was_committed():
    with Cluster() as c:
        settings = {'cleanup.policy': 'compact', 'segment.ms': '500', 'min.cleanable.dirty.ratio': '0.01', 'delete.retention.ms': '1000'}
        expect('created', at_leader(c, lambda b: create(b, 'table', settings), lambda e: e in (41, 7)), 0)
        t = txns.Teller(c, 'till')
        wanted = {}
        for n in range(20):
            good = n % 2 == 0
            rows = {f'k{i}': f'{"good" if good else "bad"}-{n}-{i}' for i in range(10)}
            if not good:
                rows.update({f'only{n}': 'bad', f'k{n}': 'bad-too'})
            else:
                wanted.update(rows)
            t.must('begin', *(f'produce table 0 {k}={v}' for k, v in rows.items()), 'flush', 'commit' if good else 'abort')
            time.sleep(0.2)
        for n in range(3):
            put_rows(c, 'table', [(f'end{n}', 'end')], 'none')
            wanted[f'end{n}'] = 'end'
            time.sleep(0.6)

        def rows_of(address):
            """All that is there, with what was aborted."""
            out = subprocess.run(['kcat', '-C', '-q', '-e', '-b', address, '-t', 'table', '-o', 'beginning', '-f', '%k %s\n', '-X',
                                  'isolation.level=read_uncommitted', '-X', 'check.crcs=true'], capture_output=True, text=True, timeout=60)
            return [tuple(line.split(' ', 1)) for line in out.stdout.splitlines()]

        def cleaned():
            rows = rows_of(c.brokers())
            return sorted(rows) == sorted(wanted.items()) or f'{len(rows)} rows'

        def all_cleaned():
            return cleaned() is True and all(metric(c, r, 'tern_compaction_dropped_records_total') >= 190 for r in REGIONS)

        c.wait('what is left is what was committed last', all_cleaned, 90)
        t.must('begin', 'produce table 0 k0=newest', 'commit')  # its sequence and its epoch are known
        wanted['k0'] = 'newest'
        c.kill_all()
        c.regions('up')
        c.healthy()
        c.wait('and after a start', lambda: dict(rows_of(c.brokers())) == wanted, 40)
        expect('committed ones', sorted(txns.read(c, 'table')[0]), sorted(v for _, v in rows_of(c.brokers())))
        t.must('begin', 'produce table 0 k1=newer', 'commit')
        wanted['k1'] = 'newer'
        c.wait('the producer goes on', lambda: dict(rows_of(c.brokers())) == wanted)
        t.stop()


TESTS = [compaction_takes_out_what_was_aborted_and_counts_what_was_committed,
         compression_type_is_the_leaders_whatever_the_producer_sends]
