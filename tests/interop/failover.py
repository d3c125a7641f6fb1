# SPDX-License-Identifier: Apache-2.0
"""One story for every client: it writes, reads in a group, commits, copies; the region that leads dies, comes back, and then each
region is restarted once. The programs only write down what they see; tests/interop/checker.py judges."""
import contextlib
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'live'))
import admin  # noqa: E402
import fetches  # noqa: E402
import groups  # noqa: E402
import txns  # noqa: E402
from cluster import REGIONS, Cluster, Failure  # noqa: E402

import checker  # noqa: E402

PARTITIONS = 6
POLICY = '''policy: interop
topics: ["io-*"]
mode: sync
ack: 2
partitions: 6
'''


class Program:
    """A client program at work; ends when its stdin is closed."""

    def __init__(self, folder, client, role, member='a', settings=(), **words):
        self.name = f'{client.name}-{role}-{member}'
        self.log = os.path.join(folder, self.name + '.log')
        open(self.log, 'w').close()
        argv = [*client.command, role, f'log={self.log}', *(f'{k}={v}' for k, v in words.items()), *settings]
        self.output = open(os.path.join(folder, self.name + '.out'), 'w')
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=self.output, stderr=self.output)
        self.counts, self.places, self.position, self.rest = {}, set(), 0, ''

    def look(self):
        """Reads on in its log."""
        with open(self.log, errors='replace') as f:
            f.seek(self.position)
            text = self.rest + f.read()
            self.position = f.tell()
        *lines, self.rest = text.split('\n')
        for line in lines:
            words = line.split()
            if len(words) > 1:
                self.counts[words[1]] = self.counts.get(words[1], 0) + 1
                if words[1] == 'read':
                    self.places.add((words[2], int(words[3]), int(words[4])))
        return self

    def count(self, kind):
        return self.look().counts.get(kind, 0)

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass

    def end(self, seconds):
        """None, or how it did not end well."""
        self.close()
        try:
            status = self.process.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f'{self.name} did not end within {seconds} s'
        finally:
            self.output.close()
        if status == 0 and self.count('end') == 1:
            return None
        with open(self.output.name, errors='replace') as f:
            tail = ' '.join(f.read().split())[-300:]
        return f'{self.name} ended with {status}: {tail}'


class Special:
    """How a story differs that is told for one feature alone. before(cluster); check(part): what is wrong, once when all are under way and once
    after the end."""

    def __init__(self, settings=lambda client: (), features=(), partitions=PARTITIONS, before=lambda cluster: None, check=lambda part, ended: []):
        self.settings, self.features, self.partitions, self.before, self.check = settings, features, partitions, before, check


def finalise_version_2(cluster):
    """transaction.version 2 (KIP-890), as kafka-features does it."""
    wrong = admin.update_feature(groups.Broker(cluster.kafka('eu-west')), 'transaction.version', 2)
    if wrong:
        raise Failure(f'transaction.version 2 is refused with {wrong}')
    for region in REGIONS:
        cluster.wait(f'{region} has transaction.version 2',
                     lambda r=region: admin.features(groups.Broker(cluster.kafka(r)))[1]['transaction.version'] == 2)


def epochs_rose(part, ended):
    """By version 2 each transaction has an epoch of its own."""
    if not ended or 'transacta' not in part.programs:
        return []
    transactions = sum(part.programs['transacta'].count(kind) for kind in ('committed', 'aborted'))
    told = txns.Coordinator(part.cluster, part.topic + '-tx').describe(part.topic + '-tx')
    if not isinstance(told, tuple):
        return [f'DescribeTransactions answers {told}']
    return [] if told[2] >= transactions > 10 else [f'after {transactions} transactions the epoch is {told[2]}: they were not of version 2']


def sessions_hold_them_all(part, ended):
    """Every partition is in a session of its leader's; when clients have gone the question is over."""
    if ended:
        return []
    found = {}

    def there():
        for what in ('tern_fetch_sessions', 'tern_fetch_session_partitions'):
            found[what] = sum(fetches.metric(part.cluster, r, what) for r in REGIONS)
        return found['tern_fetch_sessions'] >= len(REGIONS) and found['tern_fetch_session_partitions'] >= part.special.partitions
    return [] if wait(there, 20) else [f'fetch sessions: {found}']


# What the table has columns for beside that of the usual story.
SPECIAL = {
    'kip848': Special(settings=lambda client: client.kip848, features=('group',)),
    'transactions-v2': Special(features=('transactions', 'exactly-once'), before=finalise_version_2, check=epochs_rose),
    'sessions': Special(features=('group',), partitions=300, check=sessions_hold_them_all),
}
USUAL = Special()


class Part:
    """One client in the story."""

    def __init__(self, cluster, folder, client, features, special=USUAL):
        self.cluster, self.folder, self.client, self.features, self.special = cluster, folder, client, features, special
        self.extra = []
        self.topic = f'io-{client.name}'
        self.programs, self.wrong = {}, []
        self.harness_log = os.path.join(folder, f'{client.name}-harness.log')
        self.harness = open(self.harness_log, 'w', buffering=1)
        self.topics = [self.topic]
        if 'transactions' in features:
            self.topics.append(self.topic + '-tx')
        if 'exactly-once' in features:
            self.topics.append(self.topic + '-copy')

    def note(self, *fields):
        self.harness.write(f'{time.time_ns() // 1000} {" ".join(str(f) for f in fields)}\n')

    def start(self, role, member='a', **words):
        self.programs[role + member] = Program(self.folder, self.client, role, member, brokers=self.cluster.brokers(), **words)

    def begin(self):
        self.settings = list(self.special.settings(self.client))
        for topic in self.topics:
            self.cluster.tern('topic', 'create', topic, '--partitions', str(self.special.partitions))
        for topic in self.topics:
            self.known_everywhere(topic)
        self.start('consume', topic=self.topic, group=self.topic, settings=self.settings)
        self.start('produce', topic=self.topic, rate=self.client.rate)
        if 'transactions' in self.features:
            self.start('transact', topic=self.topic + '-tx', id=f'{self.topic}-tx', rate=25)
        if 'exactly-once' in self.features:
            self.start('copy', topic=self.topic, to=self.topic + '-copy', group=self.topic + '-copier', id=f'{self.topic}-copier')

    def known_everywhere(self, topic):
        """For a moment only the node that was asked knows a topic; some clients remember for seconds what another one said then."""
        for region in REGIONS:
            self.cluster.wait(f'{region} knows the leaders of {topic}', lambda r=region: self.leaders_known(r, topic), 60)

    def leaders_known(self, region, topic):
        told = subprocess.run(['kcat', '-L', '-b', self.cluster.kafka(region), '-t', topic], capture_output=True, text=True, timeout=30).stdout
        return told.count(', leader ') == self.special.partitions and 'leader -1' not in told

    def second_member(self):
        self.start('consume', topic=self.topic, group=self.topic, member='b', settings=self.settings)

    def under_way(self):
        p = self.programs
        return p['producea'].count('ack') >= 30 and p['consumea'].count('read') >= 10 and \
            ('transacta' not in p or p['transacta'].count('committed') + p['transacta'].count('unknown') >= 3)

    def acks(self):
        return self.programs['producea'].count('ack')

    def read_of(self, places):
        seen = set()
        for name, p in self.programs.items():
            if name.startswith('consume'):
                seen |= p.look().places
        return len(places & seen)


def final_read(cluster, topic):
    """[(partition, offset, value)] by kcat, read_committed; tries again what kcat gives up on."""
    done = None
    for _ in range(20):
        done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', cluster.brokers(), '-t', topic, '-o', 'beginning', '-f', '%p %o %s\n',
                               '-X', 'isolation.level=read_committed', '-X', 'check.crcs=true'], capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            return [line.split() for line in done.stdout.splitlines()]
        time.sleep(0.5)
    raise Failure(f'kcat -C {topic}: exit {done.returncode}: {done.stderr}')


def wait(question, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if question():
            return True
        time.sleep(0.1)
    return False


def catch_up(count, wanted, still=75, longest=400):
    """Until count() is wanted; whoever is behind on a busy machine has time as long as it goes on, and a member that has gone without a word
    keeps its partitions for a session of 45 s."""
    begun = moved = time.monotonic()
    last = -1
    while (now := count()) < wanted and time.monotonic() - moved < still and time.monotonic() - begun < longest:
        if now > last:
            last, moved = now, time.monotonic()
        time.sleep(0.5)


def stop_softly(cluster, region):
    pid = cluster.pid(region)
    os.kill(pid, signal.SIGTERM)
    if not wait(lambda: not os.path.exists(f'/proc/{pid}'), 20):
        raise Failure(f'{region} does not stop within 20 s')


def start(cluster, region):
    """On a busy machine it may take longer than `regions start` waits."""
    try:
        cluster.regions('start', region)
    except Failure:
        if cluster.pid(region) is None:
            raise
    cluster.wait('tern status says ok', lambda: cluster.tern('status', check=False).returncode == 0, 90)


def play(cluster, parts, say):
    """The story, for all of them at once."""
    for part in parts:
        part.begin()
    if not wait(lambda: all(p.under_way() for p in parts), 180):
        say('not all are under way after 180 s: ' + ', '.join(p.client.name for p in parts if not p.under_way()))
    for part in parts:
        part.extra += part.special.check(part, False)
    led = {p: cluster.leaders(p.topic) for p in parts}
    region = max(REGIONS, key=lambda r: (min(led[p].get(r, 0) for p in parts), sum(led[p].get(r, 0) for p in parts)))
    for p in parts:
        p.note('kill', region, p.topic, led[p].get(region, 0))
    cluster.regions('kill', region)
    before = {p: p.acks() for p in parts}
    if not wait(lambda: all(p.acks() >= before[p] + 30 for p in parts), 40):
        say('no acks after the kill: ' + ', '.join(p.client.name for p in parts if p.acks() < before[p] + 30))
    for p in parts:
        p.second_member()
    start(cluster, region)
    wait(lambda: all(p.programs['consumeb'].count('read') for p in parts), 20)
    for region in REGIONS:
        for p in parts:
            p.note('restart', region)
        stop_softly(cluster, region)
        start(cluster, region)
        before = {p: p.acks() for p in parts}
        wait(lambda: all(p.acks() >= before[p] + 10 for p in parts), 40)


def finish(cluster, part):
    """Stops its programs, reads what is there, asks the coordinator."""
    for role in ('producea', 'transacta'):
        if role in part.programs:
            part.wrong.append((role[:-1], part.programs[role].end(90)))
    finals = {part.topic: final_read(cluster, part.topic)}
    places = {(part.topic, int(p), int(o)) for p, o, _ in finals[part.topic]}
    catch_up(lambda: part.read_of(places), len(places))
    if 'copya' in part.programs:
        catch_up(lambda: len({v for _, _, v in final_read(cluster, part.topic + '-copy')}), len({v for _, _, v in finals[part.topic]}))
    for role in ('consumeb', 'consumea', 'copya'):
        if role in part.programs:
            part.wrong.append((role[:-1], part.programs[role].end(45)))
    for topic in part.topics[1:]:
        finals[topic] = final_read(cluster, topic)
    for topic, records in finals.items():
        for p, o, v in records:
            part.note('final', topic, p, o, v)
    part.extra += part.special.check(part, True)
    for p, o in groups.Group(cluster, part.topic).committed(part.topic, tuple(range(part.special.partitions))).items():
        part.note('committed', part.topic, part.topic, p, o)


def only(log, topics):
    """The events that are about these topics; those about none stay."""
    place = {'ack': 0, 'read': 0, 'commit': 1, 'final': 0, 'kill': 1}
    return [e for e in log if (e.kind not in place or e.fields[place[e.kind]] in topics) and
            (e.kind != 'committed' or len(e.fields) == 1 or e.fields[1] in topics)]


def judge(part):
    """{feature: (violations, remark)}"""
    ended = {}
    for role, wrong in part.wrong:
        if wrong:
            ended.setdefault(role, []).append(wrong)
    part.harness.close()
    logs = {name: checker.load([p.log])[0] for name, p in part.programs.items()}
    harness = checker.load([part.harness_log])[0]
    main = [only(log, {part.topic}) for name, log in logs.items() if not name.startswith(('transact', 'copy'))]
    main.append(only(harness, {part.topic}))
    story = checker.Story(main, idempotent=part.client.idempotent, stale_commits=part.client.stale_commits)
    moments = [e.at for e in story.of('kill') + story.of('restart')]
    pause = max(checker.pauses(story, moments), default=0)
    doubles, rereads = checker.duplicates(story), checker.reread(story)
    out = {
        'produce': (checker.produce(story) + ended.get('produce', []),
                    f'{len(story.acks)} acks' + (f', {doubles} duplicates' if not part.client.idempotent else '')),
        'group': (checker.group(story) + ended.get('consume', []), f'{len(story.reads)} reads, {rereads} of them again before a commit'),
        'kill': (checker.kill(story), f'longest pause {pause:.1f} s'),
        'rolling': (checker.rolling(story), ''),
    }
    if 'transacta' in part.programs:
        tx = checker.Story([logs['transacta'], only(harness, {part.topic + '-tx'})])
        committed = sum(1 for e in tx.of('committed') if len(e.fields) == 1)
        out['transactions'] = (checker.transactions(tx) + ended.get('transact', []),
                               f'{committed} committed, {len(tx.of("aborted"))} aborted, {len(tx.of("unknown"))} unknown')
    if 'copya' in part.programs:
        target = part.topic + '-copy'
        both = checker.Story([only(harness, {part.topic, target})])
        out['exactly-once'] = (checker.exactly_once(both, part.topic, target) + ended.get('copy', []),
                               f'{sum(1 for t, _, _ in both.final if t == target)} copied')
    return out


def started(say):
    """A cluster on a machine that may be too busy for it at first."""
    try:
        return Cluster().__enter__()
    except (Failure, subprocess.SubprocessError) as f:
        say(f'once more, the cluster did not come up: {str(f).splitlines()[-1]}')
        return Cluster().__enter__()


def keep(cluster):
    """A copy of its directory, which the cluster itself deletes."""
    kept = cluster.dir + '-kept'
    subprocess.run(['cp', '-r', cluster.dir, kept], check=False)
    return kept


def run(clients, say, features=None, special=USUAL):
    """{client: {feature: (violations, remark)}} for clients that share a cluster; features: instead of all that each has."""
    results = {}
    cluster = started(say)
    with contextlib.ExitStack() as stack:
        stack.push(cluster)
        cluster.apply(POLICY)
        cluster.healthy()
        folder = os.path.join(cluster.dir, 'clients')
        os.makedirs(folder)
        special.before(cluster)
        parts = [Part(cluster, folder, c, features or special.features or c.features, special) for c in clients]
        trouble = None
        try:
            play(cluster, parts, say)
        except Failure as f:
            say(str(f))
            trouble = str(f).splitlines()[0]
        for part in parts:
            for role in ('producea', 'transacta'):
                if role in part.programs:
                    part.programs[role].close()
        for part in parts:
            try:
                finish(cluster, part)
            except (Failure, subprocess.SubprocessError) as f:
                part.wrong += [('produce', str(f)), ('consume', str(f))]
            finally:
                for p in part.programs.values():
                    if p.process.poll() is None:
                        p.process.kill()
                        p.process.wait()
            results[part.client] = judge(part)
            if part.extra:
                results[part.client]['special'] = (part.extra, '')
            if trouble:
                for feature in results[part.client].values():
                    feature[0].append(trouble)
        if any(wrong for r in results.values() for wrong, _ in r.values()):
            say(f'logs are kept in {keep(cluster)}')
    return results
