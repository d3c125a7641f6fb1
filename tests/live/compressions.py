# SPDX-License-Identifier: Apache-2.0
"""compression.type: what the leader compresses anew, and what it refuses."""
import subprocess

from cluster import REGIONS, Cluster, expect
from fetches import topic_ids
from sessions import Consumer
from topics import at_leader, create

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


TESTS = [compression_type_is_the_leaders_whatever_the_producer_sends]
