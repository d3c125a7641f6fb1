# SPDX-License-Identifier: Apache-2.0
"""tern's targets: which number of which row, against what. They count for tern as it comes; what its best settings reach stands beside it."""
import json
import os
import statistics

KAFKAS = ('kafka', 'kafka-best')


def are_alike(a, b):
    """Results of machines of one speed; a ratio of others would be that of their machines. Older results do not tell the speed, but the kernel."""
    x, y = a.get('machine', {}), b.get('machine', {})
    if 'sha256_mb_s' in x and 'sha256_mb_s' in y:
        return 0.8 <= x['sha256_mb_s'] / y['sha256_mb_s'] <= 1.25
    return x.get('kernel') == y.get('kernel')


class Goal:
    """`key` of `row` as tern has it; with `to`: how many times better than those systems, the nearest of them; with `beside`: over that of another row of tern."""

    def __init__(self, what, row, key, at_most=None, at_least=None, unit='', to=(), beside=None, more_is_better=False, worst=False):
        self.what, self.row, self.key, self.at_most, self.at_least, self.unit = what, row, key, at_most, at_least, unit
        self.to, self.beside, self.more_is_better, self.worst = to, beside, more_is_better, worst

    def target(self):
        return (f'at most {self.at_most:g}' if self.at_least is None else f'at least {self.at_least:g}') + (f' {self.unit}' if self.unit else '')

    def values(self, results, system='tern'):
        """One per round."""
        measured = results.good(self.row, system)
        own = {n: x[self.key] for n, x in measured.items() if x.get(self.key) is not None}
        if self.beside:
            others = [x for x in results.good(self.beside, system).values() if x.get(self.key)]
            alike = {n: [x[self.key] for x in others if are_alike(x, measured[n])] for n in own}
            return [v / statistics.median(alike[n]) for n, v in own.items() if alike[n]]
        if not self.to:
            return list(own.values())
        best = []
        for system in self.to:
            theirs = {n: x[self.key] for n, x in results.good(self.row, system).items() if x.get(self.key) and n in own and are_alike(x, measured[n])}
            ratios = [own[n] / theirs[n] if self.more_is_better else theirs[n] / own[n] for n in own if n in theirs and own[n]]
            if ratios and (not best or statistics.median(ratios) < statistics.median(best)):
                best = ratios
        return best

    def is_met(self, values):
        """By their median; `worst`: by the largest."""
        value = max(values) if self.worst else statistics.median(values)
        return value <= self.at_most if self.at_least is None else value >= self.at_least

    def often(self, results):
        repeats = sum(x.get('repeats', 0) for x in results.good(self.row, 'tern').values())
        runs = sum(x.get('runs', 0) for x in results.good(self.row, 'tern').values())
        rounds = len(self.values(results))
        return f'{repeats} faults' if repeats else f'{runs} runs' if runs else f'{rounds} rounds' if rounds > 1 else '1 round'


class Simulated(Goal):
    """Seeds of a shape of the simulator that failed, of docs/results/sim.jsonl."""

    def lots(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/results/sim.jsonl')) as f:
            return [x for x in map(json.loads, f) if x['shape'] == self.row]

    def values(self, results, system='tern'):
        lots = self.lots() if system == 'tern' else []
        return [sum(x['failed'] for x in lots)] if lots else []

    def often(self, results):
        return f'{sum(x["sim_s"] for x in self.lots()) / 3600:,.0f} simulated hours'


def _acks():
    for where in ('us', 'eu', 'wide'):
        yield Goal(f'ack over the floor, `{where}`, p50', f'ack-{where}', 'p50_over_floor', at_most=1.10, unit='times')
        yield Goal(f'ack over the floor, `{where}`, p99', f'ack-{where}', 'p99_over_floor', at_most=1.5, unit='times')
    yield Goal('the same at 1 % of loss, `us`, p99', 'ack-us-loss', 'p99_over_floor', at_most=3, unit='times')
    for key, name in (('best_p50_ms', 'p50'), ('best_p99_ms', 'p99')):
        yield Goal(f'ack against Kafka (the better of both), `us`, {name}', 'ack-us', key, at_least=5, unit='times lower', to=KAFKAS)


def _throughput():
    def parts(n):
        return 'one partition' if n == '1' else f'{int(n):,} partitions'
    for n in ('1', '100', '1000', '10000'):
        row = f'tput-{n}'
        yield Goal(f'throughput, `metro`, {parts(n)}', row, 'mb_s', at_least=300, unit='MB/s')
        yield Goal(f'the same against Kafka with flush, {parts(n)}', row, 'mb_s', at_least=2, unit='times', to=('kafka-best',), more_is_better=True)
        yield Goal(f'the same against Kafka without, {parts(n)}', row, 'mb_s', at_least=1, unit='times', to=('kafka',), more_is_better=True)
    yield Goal('1,000 partitions over one', 'tput-1000', 'mb_s', at_least=0.8, unit='times', beside='tput-1')
    yield Goal('throughput, `us`, 100 partitions', 'tput-us-100', 'mb_s', at_least=100, unit='MB/s')
    yield Goal('the same against Kafka (the better of both)', 'tput-us-100', 'mb_s', at_least=5, unit='times', to=KAFKAS, more_is_better=True)
    yield Goal('processor time of all nodes, TLS between them', 'tput-100', 'cpu_s_per_gb', at_most=3.5, unit='s/GB')
    yield Goal('the same against Kafka with SSL between brokers', 'tput-100', 'cpu_s_per_gb', at_least=3, unit='times lower', to=('kafka-ssl',))
    yield Goal('the same against Kafka in plain text (the better of both)', 'tput-100', 'cpu_s_per_gb', at_least=1, unit='times lower', to=KAFKAS)
    yield Goal('at 30 MB/s in small batches, against Kafka with SSL between brokers', 'cpu-paced', 'cpu_s_per_gb', at_least=3, unit='times lower', to=('kafka-ssl',))
    yield Goal('the same against Kafka in plain text (the better of both)', 'cpu-paced', 'cpu_s_per_gb', at_least=1, unit='times lower', to=KAFKAS)


def _nodes():
    yield Goal('RSS of an idle node', 'idle', 'rss_mib', at_most=32, unit='MiB')
    yield Goal('RSS with 10,000 partitions', 'idle-10000', 'rss_mib', at_most=128, unit='MiB')
    yield Goal('RSS with 5,000 connections over three nodes', 'conns', 'rss_mib', at_most=160, unit='MiB')
    for n in (100, 1000, 10000):
        yield Goal(f'RSS under full load, {n:,} partitions', f'tput-{n}', 'rss_mib', at_most=256, unit='MiB')
    yield Goal('idle processor with 10,000 partitions', 'idle-10000', 'cpu_percent', at_most=1, unit='% of a core')
    yield Goal('async ship lag over the one-way delay, p50', 'ship-lag', 'p50_over_one_way_ms', at_most=5, unit='ms')
    yield Goal('async ship lag over it, p99', 'ship-lag', 'p99_over_one_way_ms', at_most=20, unit='ms')


def _faults():
    for where, half, most, both in (('us', 1, 2, 3), ('eu', 1, 2, 3), ('wide', 2, 3, 5)):
        for fault in ('kill', 'cut'):
            yield Goal(f'leader region, {fault}, `{where}`, p50', f'gap-{fault}-{where}', 'gap_ms', at_most=half * 1000, unit='ms')
            yield Goal(f'leader region, {fault}, `{where}`, most', f'gap-{fault}-{where}', 'gap_max_ms', at_most=most * 1000, unit='ms', worst=True)
        yield Goal(f'controller and leader, `{where}`, most', f'gap-controller-{where}', 'gap_max_ms', at_most=both * 1000, unit='ms', worst=True)
        yield Goal(f'leader paused, `{where}`, most', f'gap-pause-{where}', 'gap_max_ms', at_most=most * 1000, unit='ms', worst=True)
    yield Goal('follower region cut, `us`, over the normal p99', 'gap-follower-us', 'over_normal', at_most=1.5, unit='times')
    yield Goal('failover of 10,000 partitions', 'gap-10000-us', 'gap_max_ms', at_most=3000, unit='ms', worst=True)
    yield Goal('cold start, 10,000 partitions, 10 GB', 'cold-start', 'serving_s', at_most=5, unit='s')
    yield Goal('catch-up after 60 s at 100 MB/s', 'catch-up', 'caught_up_s', at_most=180, unit='s')
    yield Goal("producers' p99 meanwhile, over before", 'catch-up', 'p99_times', at_most=1.2, unit='times')
    for key, what in (('failovers', 'epochs'), ('controllers', 'controllers')):
        yield Goal(f'false failovers, 30 minutes a run: {what}', 'false-failovers', key, at_most=0, worst=True)
    yield Simulated('false failovers, runs of ten simulated minutes', 'calm', 'failed', at_most=0)


GOALS = [*_acks(), *_throughput(), *_nodes(), *_faults()]
