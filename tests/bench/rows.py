# SPDX-License-Identifier: Apache-2.0
"""The rows of docs/BENCHMARKS.md: under which network, with which load, what is taken from it. A row's function measures one system once."""
import os
import statistics
import subprocess
import sys
import threading
import time

import measure
from kafka_wire import Refused
from systems import Failed, prefer

SIZE, RATE = 1024, 1000
MANY = 10000  # partitions
# The same for every system that speaks Kafka: what a batch may be, how long it waits, how many requests are under way.
LOAD = {'size': f'{SIZE}B', 'in_flight': 5}
# As large as a request may be; a batch has what is there for its partition, so with many partitions it is smaller.
FULL = {'batch': '1MiB', 'request': '1MiB', 'linger': '0ms', 'window': '32MiB'}
EVERYBODY = ('tern', 'tern-best', 'kafka', 'kafka-best', 'nats', 'nats-sync')
WITH_SSL = ('tern', 'tern-best', 'kafka', 'kafka-best', 'kafka-ssl')
WITH_CONTROLLER = ('tern', 'tern-best', 'kafka-best')
KAFKAS = ('tern', 'tern-best', 'kafka', 'kafka-best')


class Row:
    def __init__(self, name, profile, systems, measure_it, values, target='', loss=0.0, default=False, about=45, **words):
        self.name, self.profile, self.systems, self.measure_it, self.loss, self.default, self.words = name, profile, systems, measure_it, loss, default, words
        self.about_s = about  # with 20 repeats, where there are any
        self.values = values  # (key, title, unit) of what a page shows; smaller is better unless the unit is MB/s
        self.target = target

    def about(self, system):
        """So many seconds it takes, roughly."""
        return (self.words.get('faults') or repeats(system)) * self.about_s / 20 if self.measure_it is gap else self.about_s

    def is_alone(self):
        """So many files that what other rows deleted before it, and what it would delete for them, counts (systems.make_fresh): a system comes up for it, and goes down after it."""
        return self.words.get('partitions', 0) >= MANY

    def measure(self, system, raw):
        system.shape(self.profile, self.loss)
        return self.measure_it(system, raw, **self.words)


def histogram(path):
    """[[from, records], ...] of the first part of a raw file."""
    out = []
    with open(path) as f:
        for line in f:
            if line.startswith('#'):
                if out:
                    break
                continue
            low, _high, count = map(int, line.split())
            out.append([low, count])
    return out


def checked(load):
    if load.get('failure'):
        raise Failed(load['failure'])
    return load


def with_topic(system, name, partitions, what, leader=None, mode='sync'):
    try:
        system.make(name, partitions, leader=leader, mode=mode)
        return what()
    finally:
        if partitions < MANY:  # otherwise the system goes down now
            try:
                system.remove_all()
            except (Failed, OSError, Refused):
                pass  # the next row has a topic of its own


def ack(system, raw, partitions=24, seconds=8):
    """Latency of acknowledgements beside the leader, which is in eu-west, 1,000 records a second of 1 KiB over 24 partitions. With five requests in flight, as clients have it;
    and each with what is best for it: tern answers all that is under way, so 100; a broker of Kafka answers the requests of a connection one after the other, and what is in
    flight waits for what went before it, so 1. (With five in flight the sixth record waits for a fifth of the round trip before anybody has seen it.)"""
    def go():
        floor = measure.floor(system)
        meter = measure.Meter(system)
        load = checked(system.bench('produce', 'bench-ack', rate=RATE, warmup='8s', duration=f'{seconds}s', out=raw, **LOAD))
        used = meter.end(load['client']['cpu_s'])
        best, kept = load, histogram(raw)
        if system.kafka:
            other = checked(system.bench('produce', 'bench-ack', rate=RATE, warmup='2s', duration=f'{seconds}s', out=raw, **{**LOAD, 'in_flight': system.best_in_flight}))
            if other['latency_ms']['p50'] < best['latency_ms']['p50']:
                best, kept = other, histogram(raw)
        p50, p99 = best['latency_ms']['p50'], best['latency_ms']['p99']
        return {'best_p50_ms': p50, 'best_p99_ms': p99, 'best_in_flight': best['settings'].get('in_flight'), 'five_p50_ms': load['latency_ms']['p50'],
                'five_p99_ms': load['latency_ms']['p99'], 'p50_over_floor': p50 / floor['ms'], 'p99_over_floor': p99 / floor['ms'], 'floor_ms': floor['ms'],
                'floor': floor, 'load': load, 'best': best, 'used': used, 'histogram': kept}
    return with_topic(system, 'bench-ack', partitions, go, leader=1)


def throughput(system, raw, partitions=1, seconds=10):
    """As fast as it goes with 32 MiB of records waiting, 1 KiB each, in batches of up to 1 MiB, leaders everywhere."""
    def go():
        trip = measure.round_trip(system, 1, 2)
        meter = measure.Meter(system)
        load = checked(system.bench('produce', 'bench-tput', rate='max', warmup='4s', duration=f'{seconds}s', out=raw, timeout=300, **LOAD, **FULL))
        used = meter.end(load['client']['cpu_s'])
        memory = measure.memory(system.pids())
        produced = (load['records']['acked'] + load['records']['warmup']) * SIZE / 1e9
        return {'mb_s': load['records']['in_time'] * SIZE / load['seconds'] / 1e6, 'p99_ms': load['latency_ms']['p99'],
                'cpu_s_per_gb': used['nodes_cpu_s'] / produced if produced else None, 'rss_mib': max(m['rss'] for m in memory),
                'memory': memory, 'produced_gb': produced, 'load': load, 'used': used, 'round_trip_ms': trip, 'histogram': histogram(raw)}
    return with_topic(system, 'bench-tput', partitions, go)


def paced(system, raw, partitions=100, rate=30000, seconds=10):
    """Processor time at a load that everybody bears: 30 MB/s in records of 1 KiB, lingering 5 ms."""
    def go():
        meter = measure.Meter(system)
        load = checked(system.bench('produce', 'bench-paced', rate=rate, warmup='2s', duration=f'{seconds}s', out=raw, batch='64KiB', linger='5ms', **LOAD))
        used = meter.end(load['client']['cpu_s'])
        produced = (load['records']['acked'] + load['records']['warmup']) * SIZE / 1e9
        return {'cpu_s_per_gb': used['nodes_cpu_s'] / produced, 'p99_ms': load['latency_ms']['p99'], 'produced_gb': produced, 'load': load, 'used': used}
    return with_topic(system, 'bench-paced', partitions, go)


def idle(system, raw, partitions=0, seconds=30):
    """Memory and processor time of nodes that nobody asks anything."""
    def go():
        time.sleep(10)
        meter = measure.Meter(system)
        time.sleep(seconds)
        used = meter.end()
        memory = measure.memory(system.pids())
        return {'rss_mib': max(m['rss'] for m in memory), 'pss_mib': max(m['pss'] for m in memory),
                'cpu_percent': max(used['each_cpu_s']) / used['seconds'] * 100, 'memory': memory, 'used': used}
    return with_topic(system, 'bench-idle', partitions, go) if partitions else go()


def conns(system, raw, connections=5000, seconds=10):
    """So many connections at once, over the three nodes; then 1,000 metadata requests a second on them in turn."""
    def go():
        measure.forget_peaks(system.pids())
        before = measure.memory(system.pids())
        meter = measure.Meter(system)
        load = checked(system.bench('conns', 'bench-conns', connections=connections, rate=RATE, duration=f'{seconds}s', out=raw))
        used = meter.end(load['client']['cpu_s'])
        memory = measure.memory(system.pids())
        return {'all_s': load['connecting_ms']['max'] / 1e3, 'p99_ms': load['latency_ms']['p99'], 'rss_mib': max(m['peak_rss'] for m in memory),
                'kib_per_connection': max((b['peak_rss'] - a['rss']) * 1024 / (connections / 3) for a, b in zip(before, memory)),
                'memory': memory, 'load': load, 'used': used}
    return with_topic(system, 'bench-conns', 6, go)


def ship_lag(system, raw, seconds=10):
    """From when a record was due at eu-west until it is read from eu-north's node, less the way there. Acknowledged at home (tern: async; Kafka: acks=1)."""
    def go():
        one_way = measure.round_trip(system, 1, 3) / 2
        load = checked(system.bench('ship-lag', 'bench-ship', rate=RATE, warmup='3s', duration=f'{seconds}s', out=raw, **{'from': system.addresses()[2]},
                                    acks='1', **LOAD))
        p50, p99 = load['arrival_ms']['p50'], load['arrival_ms']['p99']
        return {'p50_over_one_way_ms': p50 - one_way, 'p99_over_one_way_ms': p99 - one_way, 'one_way_ms': one_way, 'load': load, 'missing': load['reading']['missing']}
    return with_topic(system, 'bench-ship', 6, go, leader=1, mode='async')


def repeats(system):
    return int(os.environ.get('BENCH_REPEATS') or (20 if system.name.startswith('tern') else 3))


def gap(system, raw, fault='kill', node=1, partitions=100, each=10, controller=None, normal=0, faults=None):
    """Some records a second on each of many partitions, all led by eu-west, until a node is killed, paused or cut off; the longest time without an ack on a partition, in
    which the schedule has its part: one record's distance. Each repeat has a topic of its own; the host, where the client runs, is never cut off from anybody. What is normal is
    measured the same way without a fault: the p99 over the partitions."""
    commands = {'fault': system.fault_command(fault, node), 'heal': system.fault_command({'kill': 'start', 'pause': 'resume', 'cut': 'heal'}[fault], node)}
    gaps, loads, usual = [], [], []

    def once(**commands):
        return system.bench('gap', 'bench-gap', rate=each * partitions, warmup='2s', steady='2s', settle='4s', drain='60s', out=raw, timeout=240, repeats=1, **commands, **LOAD)

    def without():
        usual.append(checked(once(fault='true', heal='true'))['gaps_ms']['p99'])

    def go():
        load = once(**commands)
        if not load.get('faults') or not load['faults'][0]['gap']['ms']:
            raise Failed(load.get('failure') or 'no fault came about, or nothing was acknowledged')
        if not load['faults'][0]['recovered']:
            raise Failed('a partition was not acknowledged again within 60 s')
        gaps.append(load['faults'][0]['gap']['ms'])
        loads.append(load)
    for _ in range(faults or repeats(system)):
        if controller is not None:
            system.place_controller(node, controller)
        with_topic(system, 'bench-gap', partitions, go, leader=1)
    for _ in range(normal):
        with_topic(system, 'bench-gap', partitions, without, leader=1)
    found = {'gap_ms': statistics.median(gaps), 'gap_max_ms': max(gaps), 'repeats': len(gaps), 'gaps_ms': gaps, 'load': loads[-1]}
    if usual:
        found['over_normal'] = found['gap_ms'] / statistics.median(usual)
        found['normal_ms'] = statistics.median(usual)
    return found


def false_failovers(system, raw, minutes=30, clusters=3):
    """1,000 records a second on 24 partitions led by eu-west, 1 % of the packets lost, and a process of real-time priority on each core that takes half of it, 10 ms at a time:
    how often a partition got another epoch or the cluster another controller, though nothing had failed. Three clusters side by side share what is left, so a round is three runs."""
    minutes = float(os.environ.get('BENCH_MINUTES') or minutes)
    all_of_them = [system, *(system.beside(n) for n in range(2, clusters + 1))]
    loads = {}

    def state(one):
        return [p['epoch'] for p in one.ask('topic', 'describe', 'bench-false')['partition_list']], one.controller()

    def load(one):
        loads[one] = one.bench('produce', 'bench-false', rate=RATE, warmup='2s', duration=f'{60 * minutes:.0f}s', out=raw if one is system else f'{raw}-{one.dir[-1]}', timeout=60 * minutes + 120, **LOAD)

    def go():
        before = {one: state(one) for one in all_of_them}
        thieves = [subprocess.Popen([sys.executable, '-c', THIEF, str(core)]) for core in range(os.cpu_count())]
        meter = measure.Meter(system)
        try:
            clients = [threading.Thread(target=load, args=(one,)) for one in all_of_them]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        finally:
            for thief in thieves:
                thief.kill()
                thief.wait()
        for one in all_of_them:
            checked(loads.get(one, {'failure': 'its client failed'}))
        used = meter.end(loads[system]['client']['cpu_s'])
        after = {one: state(one) for one in all_of_them}
        return {'failovers': sum(b - a for one in all_of_them for a, b in zip(before[one][0], after[one][0])),
                'controllers': sum(before[one][1] != after[one][1] for one in all_of_them), 'minutes': minutes, 'runs': clusters,
                'max_ms': max(x['latency_ms']['max'] for x in loads.values()), 'load': loads[system], 'used': used}

    try:
        for one in all_of_them[1:]:
            one.up('us')
            one.shape(*system.network)
            prefer([*one.pids(), one.emulator()])
            one.make('bench-false', 24, leader=1)
        return with_topic(system, 'bench-false', 24, go, leader=1)
    finally:
        for one in all_of_them[1:]:
            one.down()


# Half of a core, as a hypervisor that is too full takes it.
THIEF = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
while os.getppid() > 1:
    end = time.monotonic() + 0.01
    while time.monotonic() < end:
        pass
    time.sleep(0.01)
"""


def cold_start(system, raw, partitions, gigabytes=10):
    """All three nodes are killed and started again; the time until every partition has acknowledged a record."""
    def go():
        stored = 0
        while stored < gigabytes:  # how much a duration brings is not known before
            load = checked(system.bench('produce', 'bench-cold', rate='max', warmup='1s', duration='10s', timeout=400, **LOAD, **FULL))
            stored += (load['records']['acked'] + load['records']['warmup']) * SIZE / 1e9
        for n in (1, 2, 3):
            system.kill(n)
        began = time.monotonic()
        starters = [threading.Thread(target=system.start, args=(n,)) for n in (1, 2, 3)]
        for starter in starters:
            starter.start()
        last = None
        while time.monotonic() < began + 300:
            try:
                last = system.bench('produce', 'bench-cold', rate=2 * partitions, warmup='1ms', duration='1s', timeout=120, **LOAD)
                if not last.get('failure'):
                    break
            except Failed:
                time.sleep(0.2)
        took = time.monotonic() - began
        for starter in starters:
            starter.join()
        return {'serving_s': took - 1, 'gigabytes': stored, 'load': checked(last or {'failure': 'it did not serve within 300 s'})}
    return with_topic(system, 'bench-cold', partitions, go)


def catch_up(system, raw, rate=100000, cut_s=60, partitions=100, seconds=20):
    """eu-north is cut off for a while under load and comes back; the time until it has everything, and the producers' p99 meanwhile over that before: 20 seconds of each, after 3
    seconds to get going."""
    def go():
        load = {'batch': '64KiB', 'linger': '5ms', **LOAD}
        measured = {'warmup': '3s', 'duration': f'{seconds}s'}
        alone = checked(system.bench('produce', 'bench-catch', rate=rate, timeout=200, **measured, **load))
        system.cut(3)
        time.sleep(4)
        checked(system.bench('produce', 'bench-catch', rate=rate, warmup='1ms', duration=f'{cut_s}s', timeout=600, **load))
        found = {}
        beside = threading.Thread(target=lambda: found.update(
            system.bench('produce', 'bench-catch', rate=rate, out=raw, timeout=200, **measured, **load)))
        beside.start()
        time.sleep(3)
        system.heal()
        began = time.monotonic()
        while not system.whole('bench-catch'):
            if time.monotonic() > began + 300:
                raise Failed('it did not catch up within 300 s')
            time.sleep(0.2)
        took = time.monotonic() - began
        beside.join()
        checked(found)
        return {'caught_up_s': took, 'p99_times': found['latency_ms']['p99'] / alone['latency_ms']['p99'], 'alone_ms': alone['latency_ms'], 'load': found}
    return with_topic(system, 'bench-catch', partitions, go, leader=1)


FULL_LOAD = (throughput, paced)
ACK = [('best_p50_ms', 'ack p50', 'ms'), ('best_p99_ms', 'ack p99', 'ms'), ('p50_over_floor', 'p50 over the floor', 'times'), ('p99_over_floor', 'p99 over the floor', 'times'),
       ('five_p50_ms', 'p50, five in flight', 'ms'), ('five_p99_ms', 'p99, five in flight', 'ms')]
TPUT = [('mb_s', 'throughput', 'MB/s'), ('cpu_s_per_gb', 'processor of all nodes', 's/GB'), ('rss_mib', 'RSS of a node after it', 'MiB')]
GAP = [('gap_ms', 'longest gap, median', 'ms'), ('gap_max_ms', 'the longest of all', 'ms'), ('repeats', 'faults a round', '')]

ROWS = [
    # The first: nodes that have done nothing yet.
    Row('idle', 'us', EVERYBODY, idle, [('rss_mib', 'RSS of an idle node, the largest', 'MiB'), ('pss_mib', 'PSS', 'MiB'), ('cpu_percent', 'processor', '% of a core')],
        'RSS 32 MiB', default=True, seconds=10),
    Row('ack-us', 'us', EVERYBODY, ack, ACK, 'p50 at most 1.10 x, p99 at most 1.5 x the floor; Kafka acks=all at least 5 x', default=True),
    Row('ack-eu', 'eu', EVERYBODY, ack, ACK, 'p50 at most 1.10 x, p99 at most 1.5 x the floor', default=True),
    Row('ack-wide', 'wide', EVERYBODY, ack, ACK, 'p50 at most 1.10 x, p99 at most 1.5 x the floor', default=True),
    Row('ship-lag', 'us', KAFKAS, ship_lag, [('p50_over_one_way_ms', 'lag p50 over the one-way delay', 'ms'), ('p99_over_one_way_ms', 'lag p99 over it', 'ms')],
        'one way + 5 ms p50, + 20 ms p99', default=True),
    Row('conns', 'metro', KAFKAS, conns, [('all_s', '5,000 connections usable after', 's'), ('p99_ms', 'requests on them, p99', 'ms'), ('rss_mib', 'peak RSS of a node', 'MiB'),
                                          ('kib_per_connection', 'memory of a connection, at most', 'KiB')], 'RSS 160 MiB', default=True),
    Row('tput-1', 'metro', EVERYBODY, throughput, TPUT, 'at least 300 MB/s; at least 2 x Kafka with flush, 1 x without', partitions=1, default=True),
    Row('tput-100', 'metro', (*EVERYBODY, 'kafka-ssl'), throughput, TPUT, 'the same; at most 3.5 s/GB; RSS 256 MiB', partitions=100, default=True),
    Row('tput-1000', 'metro', KAFKAS, throughput, TPUT, 'within 20 % of one partition', partitions=1000, default=True),
    Row('cpu-paced', 'metro', WITH_SSL, paced, [('cpu_s_per_gb', 'processor of all nodes at 30 MB/s', 's/GB'), ('p99_ms', 'ack p99', 'ms')], 'a third of Kafka', default=True),
    Row('tput-us-100', 'us', EVERYBODY, throughput, TPUT, 'at least 100 MB/s; at least 5 x Kafka', partitions=100, default=True),
    # After those without loss: connections that lost packets are under another congestion control for half a minute (net/congestion.h).
    Row('ack-us-loss', 'us', EVERYBODY, ack, ACK, 'p99 at most 3 x the floor at 1 % loss', loss=1.0),
    Row('idle-10000', 'metro', KAFKAS, idle, [('rss_mib', 'RSS of a node with 10,000 idle partitions', 'MiB'), ('cpu_percent', 'processor of it', '% of a core')],
        'RSS 128 MiB, 1 % of a core', partitions=10000),
    Row('tput-10000', 'metro', KAFKAS, throughput, TPUT, 'at least 2 x Kafka with flush, 1 x without', partitions=10000, seconds=15),
    Row('gap-kill-us', 'us', EVERYBODY, gap, GAP, 'p50 1 s, at most 2 s', about=450, fault='kill'),
    Row('gap-cut-us', 'us', EVERYBODY, gap, GAP, 'p50 1 s, at most 2 s', about=450, fault='cut'),
    Row('gap-pause-us', 'us', EVERYBODY, gap, GAP, 'at most 2 s', about=450, fault='pause'),
    Row('gap-controller-us', 'us', WITH_CONTROLLER, gap, GAP, 'at most 3 s', about=600, fault='kill', controller=True),
    Row('gap-elsewhere-us', 'us', WITH_CONTROLLER, gap, GAP, 'p50 1 s, at most 2 s', about=600, fault='kill', controller=False),
    *[Row(f'gap-{fault}-{where}', where, EVERYBODY, gap, GAP, 'as on us' if where == 'eu' else 'p50 2 s, at most 3 s', about=500, fault=fault)
      for where in ('eu', 'wide') for fault in ('kill', 'cut', 'pause')],
    *[Row(f'gap-controller-{where}', where, WITH_CONTROLLER, gap, GAP, 'as on us' if where == 'eu' else 'at most 5 s', about=600, fault='kill', controller=True)
      for where in ('eu', 'wide')],
    Row('gap-10000-us', 'us', KAFKAS, gap, GAP, 'all acknowledged again within 3 s', about=1800, fault='kill', partitions=10000, each=1, faults=1),
    Row('cold-start', 'metro', KAFKAS, cold_start, [('serving_s', 'all serve after', 's'), ('gigabytes', 'stored before', 'GB')], '5 s with 10,000 partitions and 10 GB',
        about=600, partitions=10000),
    Row('catch-up', 'metro', KAFKAS, catch_up, [('caught_up_s', 'caught up after', 's'), ('p99_times', 'p99 meanwhile over p99 before', 'times')],
        'within 3 minutes; p99 at most 20 % higher', about=500),
    Row('gap-follower-us', 'us', EVERYBODY, gap, [*GAP, ('over_normal', 'median over the normal p99', 'times')], 'at most 1.5 x the normal p99', about=500, fault='cut', node=3,
        normal=3),
    Row('false-failovers', 'us', ('tern',), false_failovers, [('failovers', 'epochs without a reason', ''), ('controllers', 'another controller', ''), ('max_ms', 'slowest ack', 'ms'),
                                                              ('minutes', 'minutes', ''), ('runs', 'runs', '')], '0 in six runs of 30 minutes', loss=1.0, about=1950),
]
BY_NAME = {r.name: r for r in ROWS}
