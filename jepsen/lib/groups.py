# SPDX-License-Identifier: Apache-2.0
"""Committed offsets of consumer groups: they never go back, nothing is skipped, and what was read with a transaction is read once.

A commit is an op :commit, or an ok :txn with :group and :offsets. What is committed is seen by an op :committed, and by the first
poll after an :assign that names a group."""
import bisect


class Commits:
    """Of one group and key."""

    def __init__(self):
        self.acked = []     # (end, n), of those that were acknowledged
        self.unknown = []   # (begin, n): may be in force at any time behind
        self.asked = []     # (begin, n), of all
        self.meant = []     # (begin, n), of those that may be in force
        self.aborted = []   # (end, n)

    def order(self):
        self.acked.sort()
        self.ends = [end for end, _ in self.acked]
        self.tops, top = [], 0
        for _, n in self.acked:
            top = max(top, n)
            self.tops.append(top)

    def floor(self, at):
        """Acknowledged before that time; -1: nothing was."""
        before = bisect.bisect_left(self.ends, at)
        return self.tops[before - 1] if before else -1

    def late(self, at, n, exactly):
        """One that nobody knows the end of, and that came into force behind a later one, would explain it."""
        return any(begin < at and (u == n if exactly else u <= n) for begin, u in self.unknown)


class Groups:
    def __init__(self, invocations, committed):
        self.invocations, self.committed = invocations, committed
        self.of = {}
        self.acknowledged = 0
        self.open_ended = set()  # groups with a transaction whose offsets nobody has told
        for op in invocations:
            self.collect(op)
        for commits in self.of.values():
            commits.order()

    def collect(self, op):
        end = op.end
        if op.f == 'commit':
            group, offsets = op.extra.get('group'), op.value
        elif op.f == 'txn':
            group, offsets = op.extra.get('group') or end.extra.get('group'), end.extra.get('offsets')
            if group is not None and offsets is None and end.type == 'info':
                self.open_ended.add(group)
        else:
            return
        self.acknowledged += end.type == 'ok' and bool(offsets)
        for k, n in (offsets or {}).items():
            commits = self.of.setdefault((group, k), Commits())
            commits.asked.append((op.time, n))
            if end.type != 'fail':
                commits.meant.append((op.time, n))
            if end.type == 'ok':
                commits.acked.append((end.time, n))
            elif end.type == 'info':
                commits.unknown.append((op.time, n))
            else:
                commits.aborted.append((end.time, n))

    def went_back(self):
        due = {}  # (process, k): (group, floor), until its first poll
        for op in self.invocations:
            end, group = op.end, op.extra.get('group')
            if op.f == 'committed' and end.type == 'ok':
                for k, n in (end.value or {}).items():
                    yield from self.judge(group, k, n, op, end)
            elif op.f in ('assign', 'crash', 'subscribe'):
                for pk in [pk for pk in due if pk[0] == op.process]:
                    del due[pk]
                if op.f == 'assign' and group is not None:
                    due.update({(op.process, k): (group, op.time) for k in op.value or []})
            elif end.type == 'ok':
                for k, pairs in end.reads():
                    group, at = due.pop((op.process, k), (None, None))
                    commits = self.of.get((group, k))
                    if commits is not None and pairs and pairs[0][0] is not None and pairs[0][0] < commits.floor(at) \
                            and not commits.late(end.time, pairs[0][0], False):
                        yield 'offset-went-back', f'{k} of {group}: {commits.floor(at)} was committed, and a new member begins at {pairs[0][0]}: {end!r}'

    def judge(self, group, k, n, op, end):
        commits = self.of.get((group, k))
        if commits is None:
            return
        if n < commits.floor(op.time) and not commits.late(end.time, n, True):
            yield 'offset-went-back', f'{k} of {group}: {commits.floor(op.time)} was committed, and then it is {n}: {end!r}'
        elif any(at < op.time and a == n for at, a in commits.aborted) and group not in self.open_ended \
                and not any(begin < end.time and a == n for begin, a in commits.meant):
            yield 'aborted-offset', f'{k} of {group}: {n} is committed, which only an aborted transaction has asked for: {end!r}'

    def skipped(self, logs):
        """logs: {k: [offsets that hold a value]}. Behind what anybody has asked to commit, a new member leaves nothing out."""
        due = {}
        for op in self.invocations:
            end, group = op.end, op.extra.get('group')
            if op.f in ('assign', 'crash', 'subscribe'):
                for pk in [pk for pk in due if pk[0] == op.process]:
                    del due[pk]
                if op.f == 'assign' and group is not None and group not in self.open_ended:
                    due.update({(op.process, k): group for k in op.value or []})
            elif end.type == 'ok':
                for k, pairs in end.reads():
                    group = due.pop((op.process, k), None)
                    if group is None or k not in logs or not pairs or pairs[0][0] is None:
                        continue
                    commits = self.of.get((group, k))
                    top = max((n for begin, n in commits.asked if begin < end.time), default=0) if commits else 0
                    left_out = bisect.bisect_left(logs[k], pairs[0][0]) - bisect.bisect_left(logs[k], top)
                    if left_out > 0:
                        yield 'group-skip', f'{k} of {group}: nobody has asked to commit more than {top}, and a new member begins at {pairs[0][0]}: {end!r}'

    def consumed_twice(self):
        by = {}  # (group, k, offset): completion
        for op in self.invocations:
            group = op.end.extra.get('group')
            if op.f != 'txn' or group is None or not self.committed(op):
                continue
            for k, pairs in op.end.reads():
                for offset, v in pairs:
                    if (group, k, offset) in by:
                        yield 'consumed-twice', f'{k} offset {offset} value {v}: two transactions of {group} have read it and were committed: ' \
                            f'{by[group, k, offset]!r}, {op.end!r}'
                    by[group, k, offset] = op.end
