# SPDX-License-Identifier: Apache-2.0
"""Histories in Jepsen's EDN form: one op per line (or one vector of ops), as jepsen.tests.kafka writes them.

    {:index 8, :time 12345, :process 3, :type :ok, :f :send, :value [[:send "payments/0" [42 17]]]}
    {:index 9, :time 12399, :process 7, :type :ok, :f :poll, :value [[:poll {"payments/0" [[41 16] [42 17]]}]]}

A key is a partition, a value is unique within its key. An ok :send names the offset it got ([offset value]); a poll returns pairs
of offset and value; a value of nil is one whose bytes were not what a client had sent. Keys of ops that only tern's clients write:

    :final true    on polls of the last read, which begins at the beginning when everything is healed
    :hw {k n}      on polls: high watermark as the consumer was told
    :producer P    on sends: which idempotent producer; within one, invocations are in the order of sending
    :bytes N       on sends: length of key and value
    :error "..."   why not ok
    :f :final-offsets, :value {k n}    where each key ends, asked after healing
"""
import re

import edn

LINE = re.compile(r'\{:index (\d+), :time (\d+), :process (\d+), :type :(\w+), :f :(\w+), :value (\[\[:(?:send|poll) .*?\]\])'
                  r'((?:, :[^\]\[]*)?)\}$')
SEND = re.compile(r'\[\[:send (?:"([^"\\]*)"|(-?\d+)) (?:(-?\d+)|\[(-?\d+) (-?\d+)\])\]\]$')
POLL = re.compile(r'(?:"([^"\\]*)"|(-?\d+)) \[((?:\[-?\d+ -?\d+\] ?)+)\]')
POLL_WHOLE = re.compile(r'\[\[:poll \{((?:(?:"[^"\\]*"|-?\d+) \[(?:\[-?\d+ -?\d+\] ?)*\](?:, )?)*)\}\]\]$')
BRACKETS = str.maketrans('[]', '  ')
EXTRA = re.compile(r'(?:, :producer (\d+))?(?:, :bytes (\d+))?$')
NONE = {}


class Op:
    """One event. mops: list of ('send', k, offset or None, v) and ('poll', {k: [(offset or None, v), ...]})."""
    __slots__ = ('index', 'time', 'process', 'type', 'f', 'mops', 'value', 'extra', 'end')

    def __init__(self, index, time, process, type_, f, mops, value=None, extra=NONE):
        self.index = index
        self.time = time
        self.process = process
        self.type = type_
        self.f = f
        self.mops = mops
        self.value = value
        self.extra = extra
        self.end = None  # of an invocation: its completion

    def __repr__(self):
        return f'#{self.index} process {self.process} {self.type} {self.f} {self.mops if self.mops else self.value}'

    def sends(self):
        return [m for m in self.mops if m[0] == 'send']

    def reads(self):
        """(k, [(offset, v)]) of each poll, in order."""
        return [pair for m in self.mops if m[0] == 'poll' for pair in m[1].items()]


def pairs_of(numbers):
    it = iter(map(int, numbers.translate(BRACKETS).split()))
    return list(zip(it, it))


def fast(line):
    """The line as tern's clients write it, or None: then the slow reader looks at it."""
    found = LINE.match(line)
    if not found:
        return None
    index, time, process, type_, f, value, rest = found.groups()
    if value.startswith('[[:send'):
        send = SEND.match(value)
        if not send:
            return None
        name, number, plain, offset, with_offset = send.groups()
        key = name if name is not None else int(number)
        mops = [('send', key, int(offset) if offset is not None else None, int(plain if plain is not None else with_offset))]
    else:
        if not POLL_WHOLE.match(value):
            return None
        mops = [('poll', {(m[0] if m[0] or not m[1] else int(m[1])): pairs_of(m[2]) for m in POLL.findall(value)})]
    return Op(int(index), int(time), int(process), type_, f, mops, None, extra_of(rest) if rest else NONE)


def extra_of(rest):
    found = EXTRA.match(rest)
    if found:
        return {name: int(n) for name, n in zip(('producer', 'bytes'), found.groups()) if n is not None}
    return edn.read('{' + rest[2:] + '}')


def mops_of(value, done):
    mops = []
    for mop in value if isinstance(value, list) else []:
        if not isinstance(mop, list) or not mop:
            continue
        if mop[0] == 'send':
            what = mop[2]
            if isinstance(what, list):
                mops.append(('send', mop[1], what[0], what[1]))
            else:
                mops.append(('send', mop[1], None, what))
        elif mop[0] == 'poll' and len(mop) > 1 and isinstance(mop[1], dict):
            mops.append(('poll', {k: [(o, v) for o, v in pairs] for k, pairs in mop[1].items()} if done else {}))
    return mops


KNOWN = {'index', 'time', 'process', 'type', 'f', 'value'}


def slow(value, index):
    type_, f = value.get('type'), value.get('f')
    of_client = f in ('send', 'poll', 'txn')
    return Op(value.get('index', index), value.get('time'), value.get('process', 0), type_, f,
              mops_of(value.get('value'), type_ != 'invoke') if of_client else [], value.get('value'),
              {k: v for k, v in value.items() if k not in KNOWN})


def read(lines):
    """Ops of an open file or a list of lines, in order."""
    ops = []
    for line in lines:
        line = line.strip()
        if not line or line[0] == ';':
            continue
        op = fast(line)
        if op is not None:
            ops.append(op)
            continue
        value = edn.read(line)
        for each in value if isinstance(value, list) else [value]:
            op = slow(each, len(ops))
            if op.time is None:
                op.time = ops[-1].time + 1 if ops else 0
            ops.append(op)
    return ops


def pair(ops):
    """Links invocations with completions; what never completed gets an info at the end. Returns (invocations of
    clients in order, completions in order); ops of the nemesis are left out."""
    waiting, invocations, completions = {}, [], []
    last = ops[-1].time if ops else 0
    for op in ops:
        if not isinstance(op.process, int):
            continue
        if op.type == 'invoke':
            if op.process in waiting:
                raise edn.Error(f'process {op.process} invokes {op!r} before its last op has ended')
            waiting[op.process] = op
            invocations.append(op)
        else:
            begun = waiting.pop(op.process, None)
            if begun is None:  # handmade histories may leave invocations out
                begun = Op(op.index, op.time, op.process, 'invoke', op.f, op.mops, op.value, op.extra)
                invocations.append(begun)
            begun.end = op
            completions.append(op)
    for op in waiting.values():
        op.end = Op(op.index, last, op.process, 'info', op.f, op.mops, op.value, op.extra)
        completions.append(op.end)
    return invocations, completions
