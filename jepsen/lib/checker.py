# SPDX-License-Identifier: Apache-2.0
"""The verdict over one history, from what clients were told and from nothing else. ../README.md lists the classes."""
import bisect
import collections
import gc

import graph
import groups
import history

# Never a failure. duplicate-by-client: of a send during which its producer began a new epoch of its own accord. hw-back, out-of-range:
# librdkafka before 2.1 knows no leader epochs and may ask a deposed leader again, which knows an older end. subscribed-*: of a process that has subscribed and does not say what it was assigned; G1c+ww* is G1c that needs the order of a log.
ALLOWED = {'subscribed-poll-skip', 'subscribed-nonmonotonic-poll',
           'hw-back', 'out-of-range', 'duplicate-by-client', 'int-send-skip', 'G0', 'G0-process', 'G0-realtime', 'G1c+ww', 'G1c+ww-process', 'G1c+ww-realtime'}
SHOWN = 8  # examples kept per class


class Bound:
    """What an async topic may expose per loss of its home."""

    def __init__(self, seconds, nbytes):
        self.ns = int(seconds * 1e9)
        self.bytes = nbytes


class Verdict:
    def __init__(self):
        self.classes = collections.OrderedDict()  # name: [count, examples]
        self.allowed = set(ALLOWED)
        self.numbers = collections.OrderedDict()
        self.exposures = []  # one dict per key and loss of its home

    def add(self, name, text, count=1):
        entry = self.classes.setdefault(name, [0, []])
        entry[0] += count
        if len(entry[1]) < SHOWN:
            entry[1].append(text)

    def bad(self):
        return {name: entry for name, entry in self.classes.items() if name not in self.allowed}

    def count(self, *names):
        return sum(self.classes[name][0] for name in names if name in self.classes)

    def ok(self):
        return not self.bad()


def key_name(key):
    return key if isinstance(key, str) else str(key)


class Checker:
    """async_topics: {topic: Bound}; the topic of a key is what stands before its last slash."""

    def __init__(self, ops, pairs, async_topics=None):
        self.ops = ops
        self.invocations, self.completions = pairs
        self.async_topics = async_topics or {}
        self.verdict = Verdict()
        self.bounds = {}

    def bound(self, key):
        if key not in self.bounds:
            topic = key.rsplit('/', 1)[0] if isinstance(key, str) else key
            self.bounds[key] = self.async_topics.get(topic)
        return self.bounds[key]

    # ---- what happened -------------------------------------------------------------------------------

    def collect(self):
        self.writer = {}    # (k, v): invocation
        self.acked = {}     # (k, v): offset, of ok sends (offset None: not known)
        self.reads = {}     # (k, v): first completion of an ok poll that returned it
        self.read_any = set()
        self.finals = {}    # process: {k: {offset: v}}
        self.final_ends = {}
        self.final_ends_of = {}  # process: {k: n}
        self.places = {}    # process: ({k: position}, {k: last stable offset}) after its last read
        self.txn_keys = set()  # transactions write to them: markers and aborted records take offsets
        self.first_read = {}  # (k, v): the completion, of any type, that was the first to have read it
        self.told_out_of_order = 0
        self.bumps = {}     # producer: times
        for op in self.invocations:
            self.collect_op(op, op.end)

    def collect_op(self, op, end):
        if end.f == 'out-of-range' and isinstance(end.value, dict):
            for k, offset in end.value.items():
                if self.bound(k) is None:
                    self.verdict.add('out-of-range', f'{key_name(k)}: process {end.process} was told that {offset} is out of range')
        elif end.f == 'out-of-order':
            self.told_out_of_order += 1
        elif end.f == 'epoch-bump':
            self.bumps.setdefault(end.extra.get('producer'), []).append(end.time)
        elif end.f == 'final-offsets' and end.type == 'ok' and isinstance(end.value, dict):
            for k, n in end.value.items():
                self.final_ends[k] = max(n, self.final_ends.get(k, 0))
            self.final_ends_of[end.process] = end.value
        elif end.f == 'final-positions' and end.type == 'ok' and isinstance(end.value, dict):
            self.places[end.process] = (end.value, end.extra.get('lso') or {})
        sent = end.mops if any(m[0] == 'send' for m in end.mops) else op.mops
        for _, k, offset, v in (m for m in sent if m[0] == 'send'):
            if (k, v) in self.writer and self.writer[k, v] is not op:
                self.verdict.add('bad-history', f'{key_name(k)}: value {v} is sent twice')
            self.writer[k, v] = op
            if op.f == 'txn':
                self.txn_keys.add(k)
            if end.type == 'ok':
                self.acked[k, v] = offset
        for mop in end.mops:
            if mop[0] != 'poll':
                continue
            for k, pairs in mop[1].items():
                for offset, v in pairs:
                    self.read_any.add((k, v))
                    if (k, v) not in self.first_read or end.time < self.first_read[k, v].time:
                        self.first_read[k, v] = end
                    if end.type == 'ok' and (k, v) not in self.reads:
                        self.reads[k, v] = end
            if end.extra.get('final') and end.type == 'ok':
                final = self.finals.setdefault(end.process, {})
                for k, pairs in mop[1].items():
                    final.setdefault(k, {}).update(pairs)

    def excused(self, k, v):
        """A client that begins a new producer epoch may itself have written this twice."""
        op = self.writer.get((k, v))
        return op is not None and any(op.time <= at <= op.end.time for at in self.bumps.get(op.extra.get('producer'), ()))

    def must_committed(self, op):
        if op.end.type == 'ok':
            return True
        if op.end.type != 'info':
            return False
        if op.f == 'txn':
            return any((m[1], m[3]) in self.reads for m in op.mops if m[0] == 'send')
        return False  # a plain send stands for itself; if it was read it is not lost

    # ---- the order of each log -----------------------------------------------------------------------

    def order_logs(self):
        log = {}  # k: {offset: {v: who}}
        for op in self.invocations:
            end = op.end
            committed = self.must_committed(op)
            for mop in end.mops:
                if mop[0] == 'poll':
                    for k, pairs in mop[1].items():
                        for offset, v in pairs:
                            if offset is not None:
                                log.setdefault(k, {}).setdefault(offset, {}).setdefault(v, end)
                elif committed and mop[2] is not None:
                    log.setdefault(mop[1], {}).setdefault(mop[2], {}).setdefault(mop[3], end)
        self.log = log
        self.index = {}   # k: {v: last index}
        self.first = {}   # k: {v: first index}
        self.by_index = {}
        self.at_offset = {}  # k: {offset: index}
        for k, offsets in log.items():
            index, first, values = {}, {}, []
            places = {}
            for n, offset in enumerate(sorted(offsets)):
                there = offsets[offset]
                if len(there) > 1 and self.bound(k) is None:
                    self.verdict.add('inconsistent-offsets', f'{key_name(k)} offset {offset}: values {sorted(map(str, there))}')
                for v in there:
                    index[v] = n
                    first.setdefault(v, n)
                    places.setdefault(v, []).append(offset)
                values.append(next(iter(there)))
            for v, where in places.items() if self.bound(k) is None else ():
                if len(where) > 1 and v is not None:
                    excused = self.excused(k, v)
                    self.verdict.add('duplicate-by-client' if excused else 'duplicate', f'{key_name(k)} value {v}: offsets {where[:6]}')
                    if excused:
                        del index[v], first[v]  # where it was meant to be is not known
            self.index[k], self.first[k], self.by_index[k] = index, first, values
            self.at_offset[k] = {offset: n for n, offset in enumerate(sorted(offsets))}

    def corrupt(self):
        for op in self.completions:
            for k, pairs in op.reads():
                for offset, v in pairs:
                    if v is None:
                        self.verdict.add('corrupt', f'{key_name(k)} offset {offset}: not the bytes that were sent, {op!r}')
                    elif (k, v) not in self.writer:
                        self.verdict.add('unsent', f'{key_name(k)} offset {offset}: value {v}, which nobody has sent')

    # ---- lost ----------------------------------------------------------------------------------------

    def lost_writes(self):
        bound = {}
        for k, v in self.reads:
            if self.bound(k) is None and v in self.first.get(k, {}):
                bound[k] = max(bound.get(k, -1), self.first[k][v])
        self.lost = set()
        for (k, v), op in self.writer.items():
            if k in bound and (k, v) not in self.reads and self.must_committed(op):
                at = self.index[k].get(v)
                if at is not None and at <= bound[k]:
                    self.lost.add((k, v))
                    self.verdict.add('lost-write', f'{key_name(k)} value {v}, offset {self.acked.get((k, v))}: acknowledged, '
                                     f'later ones were read, it never was; {op.end!r}')

    def unseen(self):
        finals = bool(self.finals) or bool(self.final_ends)
        for (k, v), offset in self.acked.items():
            if (k, v) not in self.read_any and (k, v) not in self.lost and self.bound(k) is None:
                self.verdict.add('unseen', f'{key_name(k)} value {v}, offset {offset}: acknowledged, never read by anybody')
        if not finals:
            self.verdict.numbers['final_reads'] = 0

    def final_reads(self):
        """Every final reader got to the end, all saw the same, and nothing that was shown or acknowledged has vanished."""
        self.final = {}
        self.verdict.numbers['final_reads'] = len(self.finals)
        complete = {}
        for process, keys in sorted(self.finals.items()):
            for k, offsets in keys.items():
                known = self.final.setdefault(k, offsets)
                for offset in offsets.keys() & known.keys():
                    if offsets[offset] != known[offset]:
                        self.verdict.add('final-reads-differ', f'{key_name(k)} offset {offset}: {known[offset]} and {offsets[offset]}')
                if known is not offsets:
                    for offset in offsets.keys() - known.keys():
                        known[offset] = offsets[offset]
        for k, end in self.final_ends.items():
            complete[k] = True
            for process in self.finals or [None]:
                got = self.finals.get(process, {}).get(k, {})
                if k in self.txn_keys and process in self.places:
                    complete[k] = self.stable_end(process, k, end) and complete[k]
                elif end > 0 and (not got or max(got) < end - 1):
                    complete[k] = False
                    self.verdict.add('final-read-incomplete', f'{key_name(k)}: process {process} came to offset '
                                     f'{max(got) + 1 if got else 0} of {end}')
        where = {}
        for k, offsets in self.final.items():
            for offset in sorted(offsets):
                v = offsets[offset]
                if (k, v) in where and v is not None:
                    if self.bound(k) is not None:
                        self.verdict.add('duplicate-by-client' if self.excused(k, v) else 'duplicate', f'{key_name(k)} value {v}: offsets {where[k, v]} and {offset} in the final read')
                where[k, v] = offset
            missing = max(offsets) - min(offsets) + 1 - len(offsets) if offsets else 0
            if missing > self.unread_offsets(k):
                self.verdict.add('offset-gap', f'{key_name(k)}: {missing} offsets below {max(offsets)} hold nothing', missing)
        self.where = where
        self.complete = {k for k, whole in complete.items() if whole}
        # Sync: whatever was acknowledged or shown to anybody is there for ever.
        for kv in self.read_any | self.acked.keys():
            k, v = kv
            if k in self.complete and kv not in where and kv not in self.lost and self.bound(k) is None and v is not None:
                if kv in self.read_any:
                    self.lost.add(kv)
                    self.verdict.add('vanished', f'{key_name(k)} value {v}: was shown to a reader, and is not there at the end'
                                     + (', although acknowledged' if kv in self.acked else ''))

    def stable_end(self, process, k, end):
        """Of a key that transactions write to. The end was asked before, at the high watermark, and every transaction had time to end."""
        end = self.final_ends_of.get(process, {}).get(k, end)
        place, stable = (at.get(k, 0) for at in self.places[process])
        if stable < end:
            self.verdict.add('hanging-transaction', f'{key_name(k)}: process {process}: the last stable offset is {stable} at the end, '
                             f'the high watermark was {end}')
        elif place < end:
            self.verdict.add('final-read-incomplete', f'{key_name(k)}: process {process} came to offset {place} of {end}')
        return place >= end

    def unread_offsets(self, k):
        """How many offsets may hold what no reader is shown: a marker for each transaction, and what was not committed."""
        if k not in self.txn_keys:
            return 0
        if not hasattr(self, 'hidden'):
            self.hidden = collections.Counter()
            for op in self.invocations:
                if op.f == 'txn':
                    sent = collections.Counter(m[1] for m in op.mops if m[0] == 'send')
                    for key, count in sent.items():
                        self.hidden[key] += 1 + (count if op.end.type != 'ok' else 0)
        return self.hidden[k]

    def torn_transactions(self):
        """At the end all of a transaction is there, or nothing."""
        for op in self.invocations:
            if op.f != 'txn' or op.end.type == 'fail':
                continue
            sent = [(m[1], m[3]) for m in op.mops if m[0] == 'send' and m[1] in self.complete and self.bound(m[1]) is None]
            gone = [kv for kv in sent if kv not in self.where]
            if gone and len(gone) < len(sent):
                self.verdict.add('torn-transaction', f'{", ".join(f"{key_name(k)} value {v}" for k, v in gone)}: not there at the end, other '
                                 f'writes of that transaction are; {op.end!r}')

    def exposed(self):
        """Async: acknowledged and gone is allowed only as the end of what the home had, and within the bound."""
        losses, implied = {}, 0
        for (k, v), offset in self.acked.items():
            if self.bound(k) is None or k not in self.complete:
                continue
            if offset is None:
                # librdkafka takes a batch for acknowledged when a later one is; behind a lossy epoch that is not so.
                implied += (k, v) not in self.where
            else:
                losses.setdefault(k, []).append((self.writer[k, v].end.time, (k, v) not in self.where, v, offset))
        total = over = 0
        for k, acked in losses.items():
            acked.sort(key=lambda entry: entry[0])
            group = []
            for entry in acked + [None]:
                if entry is not None and entry[1]:
                    group.append(entry)
                elif group:
                    beyond = self.measure(k, group)
                    total += len(group)
                    over += beyond
                    group = []
            self.suffix(k, acked)
        self.verdict.numbers['exposed'] = total
        self.verdict.numbers['implied_by_client_and_gone'] = implied
        self.verdict.numbers['exposed_over_bound'] = over
        if over:
            self.verdict.add('exposed-over-bound', f'{over} acknowledged records more than the policies allow', over)

    def measure(self, k, group):
        """One loss of one key. A record counts as over the bound only if that is certain: it was acknowledged longer than
        the bound before the newest lost one was even sent, or newer ones alone fill the bound's bytes."""
        bound = self.bound(k)
        newest = max(self.writer[k, v].time for _, _, v, _ in group)
        beyond, size = 0, 0
        for acked, _, v, _ in reversed(group):
            size += self.writer[k, v].extra.get('bytes', 0)
            if acked < newest - bound.ns or size > bound.bytes:
                beyond += 1
        self.verdict.exposures.append({'key': key_name(k), 'records': len(group), 'bytes': size, 'over': beyond,
                                       'seconds': max(0, newest - group[0][0]) / 1e9, 'acked_until': group[-1][0] / 1e9,
                                       'offsets': sorted(offset for _, _, _, offset in group if offset is not None)})
        return beyond

    def suffix(self, k, acked):
        """A record that is still there cannot lie behind a lost one that was sent after its acknowledgement."""
        kept = sorted((time, offset) for time, gone, _, offset in acked if not gone and offset is not None)
        highest, times, tops = -1, [], []
        for time, offset in kept:
            if offset > highest:
                highest = offset
                times.append(time)
                tops.append(offset)
        for _, gone, v, offset in acked:
            if gone and offset is not None:
                at = bisect.bisect_left(times, self.writer[k, v].time)
                if at and tops[at - 1] > offset:
                    self.verdict.add('not-a-suffix', f'{key_name(k)} value {v}, offset {offset}: lost, but offset {tops[at - 1]}, '
                                     'acknowledged before, is still there')

    # ---- wrong reads ---------------------------------------------------------------------------------

    def aborted_reads(self):
        for (k, v), end in self.first_read.items():
            op = self.writer.get((k, v))
            if op is None:
                continue
            asked = op.end.extra.get('asked')
            if op.end.type == 'fail':
                self.verdict.add('G1a', f'{key_name(k)} value {v}: was {"aborted" if op.f == "txn" else "refused"}, and read by {end!r}')
            elif op.f == 'txn' and asked is not None and end.time < asked and end is not op.end:
                self.verdict.add('G1b', f'{key_name(k)} value {v}: was read {(asked - end.time) / 1e6:.1f} ms before anybody asked to commit it, by {end!r}')

    def precommitted_reads(self):
        for end in self.completions:
            if end.f == 'txn' and end.type == 'ok':
                sent = {(m[1], m[3]) for m in end.mops if m[0] == 'send'}
                for k, pairs in end.reads():
                    for _, v in pairs:
                        if (k, v) in sent:
                            self.verdict.add('precommitted-read', f'{key_name(k)} value {v}: {end!r}')

    @staticmethod
    def rebalanced(end):
        keys = set()
        for entry in end.extra.get('rebalance-log') or []:
            keys.update(entry.get('keys', []) if isinstance(entry, dict) else [])
        return keys

    def inner_order(self):
        for end in self.completions:
            if end.type == 'fail' or not end.mops:
                continue
            reads, sends = {}, {}
            for mop in end.mops:
                if mop[0] == 'poll':
                    for k, pairs in mop[1].items():
                        if end.type == 'ok' and self.bound(k) is None:
                            reads.setdefault(k, []).extend(self.read_index(k, o, v) for o, v in pairs)
                elif mop[2] is not None or end.type == 'ok':
                    sends.setdefault(mop[1], []).append(self.index.get(mop[1], {}).get(mop[3]))
            moved = self.rebalanced(end) if end.extra else ()
            for k, values in reads.items():
                if k not in moved:
                    self.deltas(end, k, values, 'int-poll-skip', 'int-nonmonotonic-poll')
            for k, values in sends.items():
                if len(values) > 1 and self.bound(k) is None:
                    self.deltas(end, k, values, 'int-send-skip', 'int-nonmonotonic-send')

    def read_index(self, k, offset, v):
        return self.at_offset[k][offset] if offset is not None else self.index.get(k, {}).get(v)

    def deltas(self, end, k, indexes, skip, back):
        last = None
        for at in indexes:
            if at is None:
                continue
            if last is not None and at - last > 1:
                self.verdict.add(skip, f'{key_name(k)}: {at - last - 1} values are missing before {self.by_index[k][at]} in {end!r}')
            elif last is not None and at - last < 1:
                self.verdict.add(back, f'{key_name(k)}: goes back by {last - at + 1} to {self.by_index[k][at]} in {end!r}')
            last = at

    def outer_polls(self):
        at = {}  # (process, k): index of the last value read
        unsaid = set()  # processes that were assigned something and did not say what
        for end in self.completions:
            if end.f == 'subscribe' and end.type == 'ok':
                unsaid.add(end.process)
            elif end.f == 'assign':
                unsaid.discard(end.process)
            if end.f in ('assign', 'subscribe', 'crash'):
                for pk in [pk for pk in at if pk[0] == end.process]:
                    del at[pk]
            if end.type != 'ok':
                continue
            moved = self.rebalanced(end) if end.extra else ()
            for k, pairs in end.reads():
                if self.bound(k) is not None:
                    continue
                known = [at for at in (self.read_index(k, o, v) for o, v in pairs) if at is not None]
                if not known:
                    continue
                pk = (end.process, k)
                if pk in at and k not in moved:
                    delta = known[0] - at[pk]
                    prefix = 'subscribed-' if end.process in unsaid else ''
                    if delta > 1:
                        self.verdict.add(prefix + 'poll-skip', f'{key_name(k)}: {delta - 1} values are missing before {end!r}')
                    elif delta < 1:
                        self.verdict.add(prefix + 'nonmonotonic-poll', f'{key_name(k)}: goes back by {1 - delta} with {end!r}')
                at[pk] = known[-1]

    def outer_sends(self):
        at = {}
        for end in self.completions:
            if end.f == 'crash':
                for pk in [pk for pk in at if pk[0] == end.process]:
                    del at[pk]
            if end.type not in ('ok', 'info'):
                continue
            mine = {}
            for mop in end.sends():
                index = self.index.get(mop[1], {}).get(mop[3])
                if index is not None and self.bound(mop[1]) is None:
                    mine.setdefault(mop[1], []).append(index)
            for k, indexes in mine.items():
                pk = (end.process, k)
                if pk in at and indexes[0] - at[pk] < 1:
                    self.verdict.add('nonmonotonic-send', f'{key_name(k)}: goes back by {1 - indexes[0] + at[pk]} with {end!r}')
                at[pk] = indexes[-1]

    def producer_order(self):
        """What one idempotent producer sent to a partition one after the other lies there one after the other."""
        last = {}
        for op in self.invocations:
            producer = op.extra.get('producer')
            if producer is None or op.f not in ('send', 'txn'):
                continue
            for _, k, _, v in op.sends():
                at = self.first.get(k, {}).get(v)
                if at is None or self.bound(k) is not None:
                    continue
                if last.get((producer, k), (-1, None))[0] > at:
                    self.verdict.add('reordered', f'{key_name(k)}: producer {producer} sent {v} after {last[producer, k][1]}, '
                                     'and it lies before it')
                else:
                    last[producer, k] = (at, v)

    def high_watermarks(self):
        last = {}
        for end in self.completions:
            if end.f == 'crash':
                for pk in [pk for pk in last if pk[0] == end.process]:
                    del last[pk]
            for k, hw in (end.extra.get('hw') or {}).items():
                if self.bound(k) is None and end.type == 'ok':
                    if hw < last.get((end.process, k), 0):
                        self.verdict.add('hw-back', f'{key_name(k)}: high watermark {hw} after {last[end.process, k]}, {end!r}')
                    last[end.process, k] = max(hw, last.get((end.process, k), 0))

    def committed_offsets(self):
        offsets = groups.Groups(self.invocations, self.must_committed)
        logs = {k: sorted(at) for k, at in self.at_offset.items() if self.bound(k) is None}
        for name, text in (*offsets.went_back(), *offsets.skipped(logs), *offsets.consumed_twice()):
            self.verdict.add(name, text)
        self.verdict.numbers['offset_commits'] = offsets.acknowledged
        ends = collections.Counter(op.end.type for op in self.invocations if op.f == 'txn')
        if ends:
            for type_, name in (('ok', 'committed'), ('fail', 'aborted'), ('info', 'unknown')):
                self.verdict.numbers[f'transactions_{name}'] = ends[type_]

    def cycles(self):
        g = graph.Graph(self.invocations)
        for k, values in self.by_index.items():
            if self.bound(k) is not None:
                continue
            before = None
            for v in values:
                op = self.writer.get((k, v))
                if op is not None and op.end.type != 'fail':
                    if before is not None:
                        g.add('ww', before.end, op.end)
                    before = op
        for end in self.completions:
            if end.type == 'fail':
                continue
            for k, pairs in end.reads():
                for _, v in pairs:
                    op = self.writer.get((k, v))
                    if op is not None:
                        g.add('wr', op.end, end)
        for name, groups in g.anomalies().items():
            for group in groups:
                self.verdict.add(name, ' / '.join(repr(op) for op in group[:4]))

    def realtime_lag(self):
        """How long what a poll had reached was provably not the end: the metric, never a failure."""
        known = {}  # k: [(time, highest offset known to be there)]
        for end in self.completions:
            if end.type != 'ok':
                continue
            for mop in end.mops:
                seen = [(mop[1], mop[2])] if mop[0] == 'send' else [(k, p[-1][0]) for k, p in mop[1].items() if p]
                for k, offset in seen:
                    if offset is not None:
                        line = known.setdefault(k, [])
                        if not line or offset > line[-1][1]:
                            line.append((end.time, offset))
        tops = {k: [offset for _, offset in line] for k, line in known.items()}
        at, worst, lags = {}, (0, None), []
        for op in self.invocations:
            if op.f in ('assign', 'subscribe', 'crash'):
                for pk in [pk for pk in at if pk[0] == op.process]:
                    del at[pk]
            if op.end.type != 'ok' or op.end.extra.get('final'):
                continue
            for k, pairs in op.end.reads():
                if pairs and pairs[-1][0] is not None:
                    at[op.process, k] = pairs[-1][0]
                    line = known[k]
                    n = bisect.bisect_right(tops[k], pairs[-1][0])
                    if n < len(line):
                        lag = max(0, op.time - line[n][0])
                        lags.append(lag)
                        if lag > worst[0]:
                            worst = (lag, k)
                    else:
                        lags.append(0)
        lags.sort()
        if lags:
            self.verdict.numbers['lag_ms_p50'] = round(lags[len(lags) // 2] / 1e6, 1)
            self.verdict.numbers['lag_ms_p99'] = round(lags[len(lags) * 99 // 100] / 1e6, 1)
            self.verdict.numbers['lag_ms_max'] = round(worst[0] / 1e6, 1)

    def run(self):
        self.collect()
        numbers = self.verdict.numbers
        numbers['ops'] = len(self.invocations)
        numbers['acked'] = len(self.acked)
        numbers['read'] = len(self.reads)
        self.order_logs()
        for step in (self.corrupt, self.lost_writes, self.final_reads, self.torn_transactions, self.unseen, self.exposed, self.aborted_reads,
                     self.precommitted_reads, self.inner_order, self.outer_polls, self.outer_sends, self.producer_order,
                     self.high_watermarks, self.committed_offsets, self.cycles, self.realtime_lag):
            step()
        v = self.verdict
        numbers['lost'] = v.count('lost-write', 'vanished')
        numbers['duplicated'] = v.count('duplicate')
        numbers['reordered'] = v.count('reordered', 'inconsistent-offsets', 'nonmonotonic-send', 'int-nonmonotonic-send',
                                       'int-nonmonotonic-poll', 'nonmonotonic-poll')
        numbers['unseen'] = v.count('unseen')
        numbers['duplicated_by_clients'] = v.count('duplicate-by-client')
        numbers['told_out_of_range'] = v.count('out-of-range')
        numbers['told_out_of_order'] = self.told_out_of_order
        numbers['epoch_bumps'] = sum(len(times) for times in self.bumps.values())
        return v


def check(ops, async_topics=None):
    return Checker(ops, history.pair(ops), async_topics).run()


def check_file(path, async_topics=None):
    """Reads and checks. Nothing here is garbage before the end, and looking for it takes half of the time."""
    gc.disable()
    try:
        with open(path) as f:
            return check(history.read(f), async_topics)
    finally:
        gc.enable()
