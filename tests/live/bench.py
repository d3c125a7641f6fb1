# SPDX-License-Identifier: Apache-2.0
"""`tern bench` against three real nodes: it reads what it wrote, and what it tells adds up."""
import json
import os
import subprocess

from cluster import BIN, Cluster, expect

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def bench(c, *words):
    done = subprocess.run([os.path.join(BIN, 'tern'), 'bench', *words, '-o', 'json'], env=c.env, capture_output=True, text=True, timeout=120)
    expect(f'tern bench {" ".join(words)}: {done.stderr}', done.returncode, 0)
    expect('no line of progress without a terminal', done.stderr, '')
    return json.loads(done.stdout)


@test
def bench_reads_every_record_that_it_wrote_once():
    with Cluster() as c:
        raw, plot = os.path.join(c.dir, 'raw'), os.path.join(c.dir, 'plot.svg')
        first = bench(c, 'e2e', 'payments', '--rate', '500', '--warmup', '500ms', '--duration', '2s', '--out', raw, '--plot', plot)
        for verb, topic, more in (('e2e', 'payments', ()), ('ship-lag', 'clicks', ('--from', c.kafka('eu-north'), '--acks', '1'))):
            told = bench(c, verb, topic, '--rate', '500', '--warmup', '500ms', '--duration', '2s', *more)
            expect(f'{verb}: records due', told['records']['due'], 1000)
            expect(f'{verb}: acknowledged', told['records']['acked'], 1000)
            expect(f'{verb}: read', told['reading']['arrived'], 1000)
            expect(f'{verb}: missing, repeated, of others', [told['reading'][k] for k in ('missing', 'repeated', 'strange')], [0, 0, 0])
        with open(raw) as f:
            parts = f.read().split('# ')
        expect('records in the raw histogram', sum(int(line.split()[2]) for line in parts[1].splitlines()[1:]), first['records']['acked'])
        expect('records over time, warm-up with them', sum(int(line.split()[1]) for line in parts[3].splitlines()[1:]),
               first['records']['acked'] + first['records']['warmup'])
        with open(plot) as f:
            expect('the end of the picture', f.read().rstrip()[-6:], '</svg>')
        full = bench(c, 'produce', 'payments', '--rate', 'max', '--warmup', '500ms', '--duration', '2s')
        read = bench(c, 'consume', 'payments')
        expect('records that consume found', read['reading']['records'], 2 * 1250 + full['records']['acked'] + full['records']['warmup'])
        expect('checksums that are wrong', read['reading']['corrupt'], 0)


@test
def bench_opens_many_connections_at_once():
    with Cluster() as c:
        told = bench(c, 'conns', 'payments', '--connections', '1000', '--rate', '500', '--duration', '2s')
        expect('connections', (told['connected'], told['lost']), (1000, 0))
        expect('requests answered', (told['records']['acked'], told['records']['due']), (1000, 1000))
