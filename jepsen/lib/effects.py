# SPDX-License-Identifier: Apache-2.0
"""What a fault did to clients, from their history: stalls, answers that were unknown, slower acknowledgements, other leaders."""
import bisect

STALL_MS = 700   # a key without an acknowledgement for so long while somebody waited for one


def of_sends(invocations):
    """(begin, end, key, type) of every send, by end; times in ns."""
    sends = [(op.time, op.end.time, op.mops[0][1], op.end.type) for op in invocations if op.f == 'send' and op.mops]
    sends.sort(key=lambda s: s[1])
    return sends


class Effects:
    def __init__(self, invocations, epochs):
        """epochs: [(time ns, {(topic, partition): (epoch, leader)})] as the operator's tool saw them."""
        self.sends = of_sends(invocations)
        self.ends = [s[1] for s in self.sends]
        self.epochs = epochs

    def during(self, begin, end):
        return self.sends[bisect.bisect_left(self.ends, begin):bisect.bisect_right(self.ends, end)]

    def latency_ms(self, begin, end, part):
        took = sorted(s[1] - s[0] for s in self.during(begin, end) if s[3] == 'ok')
        return round(took[min(len(took) - 1, int(len(took) * part))] / 1e6, 1) if took else None

    def stall_ms(self, begin, end):
        """The longest wait of a send that was answered with an ack in or behind this window, counted from its beginning."""
        longest = 0
        for began, ended, _key, _type in self.during(begin, end + 10 * 10**9):
            if began <= end:
                longest = max(longest, min(ended, end + 10 * 10**9) - max(began, begin - 10**9))
        return round(longest / 1e6)

    def leader_changes(self, begin, end):
        before, changed = None, set()
        for at, seen in self.epochs:
            if at < begin:
                before = seen
            elif at <= end + 5 * 10**9:
                for partition, epoch in seen.items():
                    old = (before or seen).get(partition)
                    if old is not None and old[0] != epoch[0]:
                        changed.add((partition, epoch[0]))
                before = {**(before or {}), **seen}
        return len(changed)

    def measure(self, fault):
        begin, end = fault['begin'], fault['end']
        window = self.during(begin, end + 2 * 10**9)
        effect = {
            'leader_changes': self.leader_changes(begin, end),
            'stall_ms': self.stall_ms(begin, end),
            'unknown': sum(1 for s in window if s[3] == 'info'),
            'p99_ms': self.latency_ms(begin, end, .99),
        }
        effect['acted'] = bool(effect['leader_changes'] or effect['stall_ms'] >= STALL_MS or effect['unknown'])
        return effect


def by_kind(faults):
    """{kind: {times, seen, leader_changes, stalls, unknown, stall_ms_max}}"""
    kinds = {}
    for fault in faults:
        if fault.get('skipped'):
            continue
        kind = kinds.setdefault(fault['kind'], {'times': 0, 'seen': 0, 'acted': 0, 'leader_changes': 0, 'stalls': 0, 'stall_ms_max': 0,
                                                'unknown': 0})
        effect = fault.get('effect') or {}
        kind['times'] += 1
        kind['seen'] += bool((fault.get('what') or {}).get('seen'))
        kind['acted'] += bool(effect.get('acted'))
        kind['leader_changes'] += effect.get('leader_changes', 0)
        kind['stalls'] += effect.get('stall_ms', 0) >= STALL_MS
        kind['stall_ms_max'] = max(kind['stall_ms_max'], effect.get('stall_ms', 0))
        kind['unknown'] += effect.get('unknown', 0)
    return kinds
