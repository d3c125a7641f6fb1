# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong about a request, while others are served."""
import os
import subprocess

from cluster import BIN, Cluster, Failure, Producer, REGIONS, expect, judge, read

TESTS = []
RSS_MAX = (768 if 'asan' in BIN else 256) << 20  # ASan keeps what was freed


def test(function):
    TESTS.append(function)
    return function


def rss(pid):
    with open(f'/proc/{pid}/statm') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


@test
def every_api_answers_bad_input_as_kafka_does_and_everyone_else_is_served():
    with Cluster() as c:
        p = Producer(c, 'payments', 20000, 500)
        pids = {region: c.pid(region) for region in REGIONS}
        hostile = os.path.join(BIN, 'tests/live/hostile/hostile')
        done = subprocess.run([hostile, *c.brokers().split(',')], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise Failure(f'hostile: exit {done.returncode}\n{done.stdout}{done.stderr}')
        print(f'    {done.stdout.splitlines()[-1]}')
        p.finish(240)
        expect('acknowledged', len(p.acked), 20000)
        judge(read(c, 'payments'), p.acked)
        expect('the same processes', {region: c.pid(region) for region in REGIONS}, pids)
        for region, pid in pids.items():
            expect(f'{region} holds {rss(pid) >> 20} MiB, which is not too much', rss(pid) < RSS_MAX, True)
        c.healthy()
