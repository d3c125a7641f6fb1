#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The one judge of every client: reads the lines that a client program and the harness wrote, and says what is wrong.

A line is MICROSECONDS KIND FIELDS, written when the thing has happened (`send`: before it does):

    send VALUE                            ack TOPIC PARTITION OFFSET VALUE      fail VALUE REASON
    read TOPIC PARTITION OFFSET VALUE     commit GROUP TOPIC PARTITION OFFSET   (told to be committed: the next to read)
    begin TX    committed TX    aborted TX    unknown TX                        (sends in between belong to TX)
    note ...    end                                                             (free text; the program ended by itself)

and of the harness:

    kill REGION TOPIC PARTITIONS          the region died while it led so many partitions of TOPIC
    restart REGION                        the region is stopped to come back (rolling restart)
    final TOPIC PARTITION OFFSET VALUE    read by another client, read_committed, when all was over
    committed GROUP TOPIC PARTITION OFFSET   what the coordinator says, when all was over

Verdicts, each a list of violations; empty is good. A verdict that starts with `void` means that the run proved nothing.
`checker.py FEATURE LOG...` prints one.
"""
import collections
import sys

# The longest pause between two acks that a client may have around a kill or a restart.
LONGEST_PAUSE_S = 30


class Malformed(Exception):
    pass


Event = collections.namedtuple('Event', 'at kind fields')
SIZES = {'send': 1, 'ack': 4, 'read': 4, 'commit': 4, 'begin': 1, 'committed': (1, 4), 'aborted': 1, 'unknown': 1, 'end': 0,
         'kill': 3, 'restart': 1, 'final': 4}


def parse(lines, where='log'):
    events = []
    for number, line in enumerate(lines, 1):
        # A program that was killed may have died within its last line.
        if not line.endswith('\n'):
            break
        words = line.split()
        if len(words) < 2 or not words[0].isdigit():
            raise Malformed(f'{where}:{number}: {line.strip()!r}')
        kind, fields = words[1], words[2:]
        size = SIZES.get(kind)
        if kind not in SIZES and kind not in ('fail', 'note'):
            raise Malformed(f'{where}:{number}: unknown kind {kind!r}')
        if size is not None and len(fields) not in (size if isinstance(size, tuple) else (size,)):
            raise Malformed(f'{where}:{number}: {line.strip()!r}')
        events.append(Event(int(words[0]), kind, fields))
    return events


class Story:
    """What happened to one topic, told by several logs. idempotent: the producer promises no duplicates, and order; stale_commits: the
    client commits in a new generation what it has read in an old one, so a repeat after a commit proves nothing."""

    def __init__(self, logs, idempotent=True, stale_commits=False):
        self.idempotent, self.stale_commits = idempotent, stale_commits
        # Within a log its own order counts; between logs the clock.
        self.events = sorted((e for log in logs for e in log), key=lambda e: e.at)
        self.acks = [(e.at, e.fields[0], int(e.fields[1]), int(e.fields[2]), e.fields[3]) for e in self.of('ack')]
        self.final = {(e.fields[0], int(e.fields[1]), int(e.fields[2])): e.fields[3] for e in self.of('final')}
        self.reads = [(e.at, e.fields[0], int(e.fields[1]), int(e.fields[2]), e.fields[3]) for e in self.of('read')]
        self.logs = logs
        # Each log is one member of the group.
        self.by_member = sorted(((e.at, n, e) for n, log in enumerate(logs) for e in log), key=lambda x: x[0])

    def of(self, kind):
        return [e for e in self.events if e.kind == kind]


def some(things):
    things = list(things)
    return f'{len(things)} (first: {", ".join(str(t) for t in things[:3])})'


def produce(story):
    """Nothing acknowledged is lost, changed, twice there, in another order, or invented; the client gave nothing up."""
    wrong = []
    if not story.acks:
        return ['void: nothing was acknowledged']
    if not story.final:
        return ['lost: nothing can be read']
    at = collections.defaultdict(list)
    for place, value in story.final.items():
        at[value].append(place)
    lost = [v for _, _, _, _, v in story.acks if v not in at]
    moved = [f'{v} acked at {p}:{o}' for _, t, p, o, v in story.acks if v in at and o >= 0 and story.final.get((t, p, o)) != v]
    places = collections.Counter((t, p, o) for _, t, p, o, _ in story.acks if o >= 0)
    values = collections.Counter(v for _, _, _, _, v in story.acks)
    sent = {e.fields[0] for e in story.of('send')}
    if lost:
        wrong.append(f'lost: {some(lost)} of {len(story.acks)} acknowledged')
    if moved:
        wrong.append(f'another value or none at the place that was acknowledged: {some(moved)}')
    if any(n > 1 for n in places.values()):
        wrong.append(f'two acks for one place: {some(x for x, n in places.items() if n > 1)}')
    if any(n > 1 for n in values.values()):
        wrong.append(f'acknowledged twice: {some(x for x, n in values.items() if n > 1)}')
    if set(at) - sent:
        wrong.append(f'never sent: {some(sorted(set(at) - sent))}')
    if story.idempotent:
        double = sorted(v for v, places in at.items() if len(places) > 1)
        if double:
            wrong.append(f'duplicated: {some(double)}')
        order = {e.fields[0]: n for n, e in enumerate(story.of('send'))}
        newest = {}
        for topic, partition, offset in sorted(story.final):
            n = order.get(story.final[topic, partition, offset], -1)
            if n < newest.get((topic, partition), -1):
                wrong.append(f'reordered: {story.final[topic, partition, offset]} at {partition}:{offset}')
                break
            newest[topic, partition] = n
    failed = story.of('fail')
    if failed:
        wrong.append(f'given up by the client: {some(" ".join(e.fields) for e in failed)}')
    return wrong


def duplicates(story):
    """How many values are there more than once: allowed without idempotence, and told."""
    return sum(1 for n in collections.Counter(story.final.values()).values() if n > 1)


def refused(e):
    return e.kind == 'note' and e.fields[:1] == ['commit']


def group(story):
    """The group reads everything, and nothing again that it has committed; a commit never goes back.

    A member that was put out of the group and does not know it yet may still hand out what it had fetched: its next commit
    is refused, or never comes. Only a member whose next commit is accepted has read again what was committed.
    """
    wrong = []
    if not story.reads:
        return ['void: the group has read nothing']
    if not story.of('commit') and not any(len(e.fields) == 4 for e in story.of('committed')):
        return ['void: the group has committed nothing']
    seen = {(t, p, o): v for _, t, p, o, v in story.reads}
    missed = [f'{p}:{o}' for t, p, o in sorted(story.final) if (t, p, o) not in seen]
    if missed:
        wrong.append(f'not read by the group: {some(missed)} of {len(story.final)}')
    other = [f'{p}:{o}' for (t, p, o), v in seen.items() if story.final.get((t, p, o), v) != v]
    if other:
        wrong.append(f'read as another value: {some(other)}')
    gone = [f'{p}:{o}' for (t, p, o) in sorted(seen) if (t, p, o) not in story.final]
    if gone:
        wrong.append(f'read by the group and not there at the end: {some(gone)}')
    # In the order of time: after a commit nothing below it is read, and no commit is lower.
    commits, suspects, again, back = {}, {}, [], []
    for at, number, e in story.by_member:
        if e.kind == 'commit' or (e.kind == 'committed' and len(e.fields) == 4):
            g, t, p, o = e.fields[0], e.fields[1], int(e.fields[2]), int(e.fields[3])
            again += suspects.pop((number, t, p), [])
            if o < commits.get((t, p), -1):
                back.append(f'{t}-{p} of {g}: {o} after {commits[t, p]}')
            commits[t, p] = max(o, commits.get((t, p), -1))
        elif e.kind == 'read':
            t, p, o = e.fields[0], int(e.fields[1]), int(e.fields[2])
            if o < commits.get((t, p), -1):
                suspects.setdefault((number, t, p), []).append(f'{p}:{o} after commit {commits[t, p]}')
        elif refused(e):
            suspects = {k: v for k, v in suspects.items() if k[0] != number}
    if back:
        wrong.append(f'commit went back: {some(back)}')
    if again and not story.stale_commits:
        wrong.append(f'read again after its commit: {some(again)}')
    return wrong


def reread(story):
    """How many reads were repeats of what was not yet committed: allowed, and told."""
    return sum(n - 1 for n in collections.Counter((t, p, o) for _, t, p, o, _ in story.reads).values())


def pauses(story, times):
    """The longest time between two neighbouring acks after each moment, in seconds."""
    stamps = sorted(a[0] for a in story.acks)
    out = []
    for at in times:
        around = [s for s in stamps if s >= at]
        before = [s for s in stamps if s < at]
        chain = ([before[-1]] if before else []) + around
        # Only what is near: until 20 s after it.
        gaps = [b - a for a, b in zip(chain, chain[1:]) if a - at < 20_000_000]
        out.append(max(gaps, default=0) / 1e6)
    return out


def within_acks(story, kind):
    """Void unless each moment of that kind falls between the first and the last ack."""
    moments = story.of(kind)
    if not moments:
        return [f'void: no {kind}']
    if not story.acks:
        return ['void: nothing was acknowledged']
    first, last = min(a[0] for a in story.acks), max(a[0] for a in story.acks)
    outside = [e for e in moments if not first < e.at < last]
    if outside:
        return [f'void: {kind} of {outside[0].fields[0]} is not between the first and the last ack']
    return []


def pause_of(story, kind):
    longest = max(pauses(story, [e.at for e in story.of(kind)]), default=0)
    return [f'no ack for {longest:.1f} s around a {kind}'] if longest > LONGEST_PAUSE_S else []


def kill(story):
    """The region that led was killed between the first and the last ack, and the client went on."""
    void = within_acks(story, 'kill')
    if void:
        return void
    if not any(int(e.fields[2]) > 0 for e in story.of('kill')):
        return ['void: the killed region led no partition of the topic']
    at = story.of('kill')[0].at
    final = set(story.final.values())
    lost = [v for a, _, _, _, v in story.acks if a < at and v not in final]
    return ([f'lost: {some(lost)} acknowledged before the kill'] if lost else []) + pause_of(story, 'kill')


def rolling(story):
    """Each region was restarted once between the first and the last ack, and the client went on."""
    void = within_acks(story, 'restart')
    if void:
        return void
    regions = {e.fields[0] for e in story.of('restart')}
    if len(regions) < 3:
        return [f'void: only {", ".join(sorted(regions))} restarted']
    return pause_of(story, 'restart')


def transactions(story):
    """Committed transactions are read whole and once by read_committed, aborted ones never; each unknown one whole or not at all."""
    sends, fates = collections.defaultdict(list), {}
    for log in story.logs:
        current = None
        for e in log:
            if e.kind == 'begin':
                current = e.fields[0]
                fates[current] = 'unknown'
            elif e.kind == 'send' and current is not None:
                sends[current].append(e.fields[0])
            elif e.kind in ('committed', 'aborted', 'unknown') and len(e.fields) == 1:
                fates[e.fields[0]] = e.kind
                current = None
    if not any(f == 'committed' for f in fates.values()):
        return ['void: no transaction was committed']
    wrong = []
    counts = collections.Counter(story.final.values())
    for tx, fate in fates.items():
        there = [v for v in sends[tx] if counts[v]]
        if fate == 'committed' and len(there) < len(sends[tx]):
            wrong.append(f'lost: {len(sends[tx]) - len(there)} of {len(sends[tx])} records of committed {tx}')
        if fate == 'aborted' and there:
            wrong.append(f'aborted and yet read: {some(there)} of {tx}')
        if fate == 'unknown' and 0 < len(there) < len(sends[tx]):
            wrong.append(f'torn: {len(there)} of {len(sends[tx])} records of {tx}')
    double = [v for v, n in counts.items() if n > 1]
    if double:
        wrong.append(f'duplicated: {some(double)}')
    known = {v for values in sends.values() for v in values}
    strange = [v for v in counts if v not in known]
    if strange:
        wrong.append(f'never sent in a transaction: {some(strange)}')
    # A reader in between may be behind, but never sees more than the end does.
    early = [v for _, _, _, _, v in story.reads if v not in counts]
    if early:
        wrong.append(f'read by read_committed and not there at the end: {some(early)}')
    return wrong[:6]


def exactly_once(story, source, target):
    """What is in the topic `source` is in `target` once, whatever happened to the copier."""
    wanted = collections.Counter(v for (t, _, _), v in story.final.items() if t == source)
    got = collections.Counter(v for (t, _, _), v in story.final.items() if t == target)
    if not wanted:
        return ['void: nothing to copy']
    wrong = []
    lost = [v for v in wanted if not got[v]]
    double = [v for v, n in got.items() if n > wanted[v] and wanted[v]]
    strange = [v for v in got if not wanted[v]]
    if lost:
        wrong.append(f'lost: {some(lost)} of {len(wanted)}')
    if double:
        wrong.append(f'duplicated: {some(double)}')
    if strange:
        wrong.append(f'never sent: {some(strange)}')
    return wrong


FEATURES = {'produce': produce, 'group': group, 'kill': kill, 'rolling': rolling, 'transactions': transactions}


def load(paths):
    logs = []
    for path in paths:
        with open(path, errors='replace') as f:
            logs.append(parse(f, path))
    return logs


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in FEATURES:
        sys.exit(f'usage: checker.py {"|".join(FEATURES)} LOG...')
    wrong = FEATURES[sys.argv[1]](Story(load(sys.argv[2:])))
    print('\n'.join(wrong) or 'ok')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
