#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker against handmade histories: one anomaly each, and clean ones. Ends with `N passed, N failed`.

An op is a line of EDN without its :index; s and p are short for what a line of a client mostly is. `found` names exactly the classes
that fail the history, `allowed` those that are noticed and allowed."""
import os
import random
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
import checker  # noqa: E402
import edn  # noqa: E402
import history  # noqa: E402
import verdict_text  # noqa: E402

CASES = []
ASYNC = {'clicks': checker.Bound(5, 1000)}


def case(name, ops, found=(), allowed=(), numbers=None):
    CASES.append((name, ops, set(found), set(allowed), numbers or {}))


def s(process, k, offset, v, type_='ok', rest=''):
    """A send: offset None is one that the client does not know."""
    what = v if offset is None else f'[{offset} {v}]'
    return f'{{:process {process}, :type :{type_}, :f :send, :value [[:send {k} {what}]]{rest}}}'


def p(process, k, *pairs, type_='ok', rest=''):
    pairs = ' '.join(f'[{o} {v}]' for o, v in pairs)
    return f'{{:process {process}, :type :{type_}, :f :poll, :value [[:poll {{{k} [{pairs}]}}]]{rest}}}'


def txn(process, mops, type_='ok'):
    return f'{{:process {process}, :type :{type_}, :f :txn, :value [{mops}]}}'


def other(process, f, value='nil', rest=''):
    return f'{{:process {process}, :type :ok, :f :{f}, :value {value}{rest}}}'


def timed(text, at):
    return text[:-1] + f', :time {at}}}'


def final(process, k, *pairs):
    return p(process, k, *pairs, rest=', :final true')


P = '"payments/0"'
C = '"clicks/0"'
THREE = [s(0, 0, 0, 1), s(0, 0, 1, 2), s(0, 0, 2, 3)]

# ---- clean ---------------------------------------------------------------------------------------

case('a history of nothing is clean', [])
case('sends and polls in order are clean', [*THREE, p(1, 0, (0, 1), (1, 2)), p(1, 0, (2, 3))], numbers={'acked': 3, 'unseen': 0})
case('an offset that nobody fills is no skip', [s(0, 0, 0, 1), s(0, 0, 4, 2), p(1, 0, (0, 1), (4, 2))])
case('a refused send that nobody reads is clean', [s(0, 0, None, 1, 'fail'), s(0, 0, 0, 2), p(1, 0, (0, 2))])
case('an unknown send may be read', [s(0, 0, None, 1, 'info'), p(1, 0, (0, 1))])
case('an unknown send may be gone', [s(0, 0, None, 1, 'info'), s(2, 0, 0, 2), p(1, 0, (0, 2))])
case('an assign may jump ahead', [*THREE, p(1, 0, (0, 1)), other(1, 'assign', '[0]'), p(1, 0, (2, 3)), p(2, 0, (0, 1), (1, 2))])
case('an assign may go back', [*THREE, p(1, 0, (0, 1), (1, 2), (2, 3)), other(1, 'assign', '[0]'), p(1, 0, (0, 1))])
case('two readers are two readers', [*THREE, p(1, 0, (0, 1), (1, 2), (2, 3)), p(2, 0, (0, 1))])
case('two keys have two orders', [s(0, 0, 1, 1), s(0, 1, 0, 1), p(1, 0, (1, 1)), p(1, 1, (0, 1))])
case('a complete final read is clean', [s(0, P, 0, 1), s(0, P, 1, 2), other(9, 'final-offsets', f'{{{P} 2}}'),
     final(7, P, (0, 1)), final(7, P, (1, 2)), final(8, P, (0, 1), (1, 2))], numbers={'final_reads': 2})
case('an invocation that never ends is unknown',
     ['{:process 0, :type :invoke, :f :send, :value [[:send 0 1]]}', p(1, 0, (0, 1))])
case('with subscribe a poll may skip and go back',
     [*THREE, other(1, 'subscribe', '[0]'), p(1, 0, (0, 1)), p(1, 0, (2, 3)), p(1, 0, (1, 2))],
     allowed=['poll-skip', 'nonmonotonic-poll'])
case('a key that was rebalanced within a poll may jump',
     [*THREE, p(2, 0, (1, 2)), p(1, 0, (0, 1), (2, 3), rest=', :rebalance-log [{:keys [0]}]')])
case('another write between those of one transaction is allowed',
     [txn(0, '[:send 0 [0 1]] [:send 0 [2 3]]'), s(1, 0, 1, 2), p(2, 0, (0, 1), (1, 2), (2, 3))], allowed=['int-send-skip', 'G0'])
case('transactions that write two keys crosswise are allowed',
     [txn(0, '[:send 0 [0 1]] [:send 1 [1 1]]'), txn(1, '[:send 0 [1 2]] [:send 1 [0 2]]'), p(2, 0, (0, 1), (1, 2)),
      p(3, 1, (0, 2), (1, 1))], allowed=['G0'])
case('the end of an async log may be exposed within the bound',
     [timed(s(0, C, 0, 1), 0), timed(s(0, C, 1, 2, rest=', :bytes 400'), 10**9), timed(s(0, C, 2, 3, rest=', :bytes 400'), 2 * 10**9),
      timed(s(0, C, 1, 4), 20 * 10**9), other(9, 'final-offsets', f'{{{C} 2}}'), final(7, C, (0, 1), (1, 4))],
     numbers={'exposed': 2, 'exposed_over_bound': 0})
case('an async ack that only the client implied is not exposed',
     [s(0, C, 0, 1), s(0, C, None, 2), other(9, 'final-offsets', f'{{{C} 1}}'), final(7, C, (0, 1))],
     numbers={'exposed': 0, 'implied_by_client_and_gone': 1})
case('an async reader may see an end that is replaced',
     [s(0, C, 0, 1), s(0, C, 1, 2), p(1, C, (0, 1), (1, 2)), s(0, C, 1, 3), p(1, C, (1, 3)), other(9, 'final-offsets', f'{{{C} 2}}'),
      final(7, C, (0, 1), (1, 3))], numbers={'exposed': 1})
case('two losses of an async home are two, each with its bound',
     [timed(s(0, C, 0, 1), 10**9), timed(s(0, C, 0, 2), 9 * 10**9), timed(s(0, C, 1, 3), 10 * 10**9), timed(s(0, C, 1, 4), 12 * 10**9),
      other(9, 'final-offsets', f'{{{C} 2}}'), final(7, C, (0, 2), (1, 4))], numbers={'exposed': 2, 'exposed_over_bound': 0})
case('sends of one producer that end in another order are clean',
     ['{:process 0, :type :invoke, :f :send, :value [[:send 0 1]], :producer 5}',
      '{:process 1, :type :invoke, :f :send, :value [[:send 0 2]], :producer 5}',
      s(1, 0, 1, 2, rest=', :producer 5'), s(0, 0, 0, 1, rest=', :producer 5'), p(2, 0, (0, 1), (1, 2))])
case('a rising high watermark is clean', [s(0, 0, 0, 1), p(1, 0, (0, 1), rest=', :hw {0 1}'), p(1, 0, rest=', :hw {0 4}')])

case('a reader that knows a later write than a sender before it is allowed',
     [*[f'{{:process {n}, :type :invoke, :f :txn}}' for n in (0, 1, 2)], txn(0, '[:send 0 [0 1]] [:poll {1 [[0 1]]}]'), s(2, 0, 1, 2),
      txn(1, '[:send 1 [0 1]] [:poll {0 [[1 2]]}]'), p(3, 0, (0, 1), (1, 2))],
     allowed=['G1c+ww'])

INVOKE_5 = '{:process 0, :type :invoke, :f :send, :value [[:send 0 1]], :producer 5}'
BUMP_5 = '{:process 99, :type :info, :f :epoch-bump, :value nil, :producer 5}'
case('a producer that begins a new epoch while it sends may write twice',
     [INVOKE_5, BUMP_5, s(0, 0, 1, 1, rest=', :producer 5'), p(1, 0, (0, 1), (1, 1))], allowed=['duplicate-by-client'])
case('an acknowledgement without an offset is one', [s(0, 0, None, 1), p(1, 0, (0, 1))], numbers={'acked': 1})

# ---- one anomaly each ----------------------------------------------------------------------------

case('two readers see two values at one offset', [s(0, 0, 0, 1), s(3, 0, None, 2, 'info'), p(1, 0, (0, 1)), p(2, 0, (0, 2))],
     ['inconsistent-offsets'])
case('two senders are told the same offset', [s(0, 0, 0, 1), s(1, 0, 0, 2), p(2, 0, (0, 1)), p(3, 0, (0, 2))],
     ['inconsistent-offsets'])
case('a value lies at two offsets', [s(0, 0, 0, 1), p(1, 0, (0, 1)), p(2, 0, (1, 1))], ['duplicate'], numbers={'duplicated': 1})
case('a value is acknowledged at one offset and read at another', [s(0, 0, 3, 1), p(1, 0, (0, 1))], ['duplicate'])
case('a new producer epoch of another producer excuses nothing',
     [INVOKE_5, BUMP_5.replace('5}', '6}'), s(0, 0, 1, 1, rest=', :producer 5'), p(1, 0, (0, 1)), p(2, 0, (1, 1))], ['duplicate'])
case('a new producer epoch before the send excuses nothing',
     [BUMP_5, INVOKE_5, s(0, 0, 1, 1, rest=', :producer 5'), p(1, 0, (0, 1)), p(2, 0, (1, 1))], ['duplicate'])
case('a failed poll shows a duplicate, too', [s(0, 0, 0, 1), p(1, 0, (0, 1)), p(2, 0, (5, 1), type_='info')], ['duplicate'])
case('an acknowledged value below what was read is lost', [*THREE, p(1, 0, (0, 1)), other(1, 'assign', '[0]'), p(1, 0, (2, 3))],
     ['lost-write'], numbers={'lost': 1, 'unseen': 0})
case('the first acknowledged value is lost', [s(0, 0, 0, 1), s(0, 0, 1, 2), p(1, 0, (1, 2))], ['lost-write'])
case('a value that only a failed poll saw is lost',
     [s(0, 0, 0, 1), s(0, 0, 1, 2), p(1, 0, (0, 1), type_='fail'), p(2, 0, (1, 2))], ['lost-write'])
case('an unknown transaction of which one half was read has lost the other',
     [txn(0, '[:send 0 [0 1]] [:send 1 [0 1]]', 'info'), s(2, 1, 1, 2), p(1, 0, (0, 1)), p(1, 1, (1, 2))], ['lost-write'])
case('an acknowledged value that nobody ever reads is unseen', [s(0, 0, 0, 1), s(0, 0, 1, 2), p(1, 0, (0, 1))], ['unseen'],
     numbers={'unseen': 1})
case('a refused value is read', [s(0, 0, None, 1, 'fail'), p(1, 0, (0, 1))], ['G1a'])
case('a transaction reads what it sends', [txn(0, '[:send 0 [0 1]] [:poll {0 [[0 1]]}]')], ['precommitted-read'])
case('a poll leaves a value out', [*THREE, p(2, 0, (1, 2)), p(1, 0, (0, 1), (2, 3))], ['int-poll-skip'])
case('a poll goes back within itself', [*THREE[:2], p(1, 0, (1, 2), (0, 1))], ['int-nonmonotonic-poll'])
case('a poll returns a value twice', [*THREE[:1], p(1, 0, (0, 1), (0, 1))], ['int-nonmonotonic-poll'])
case('between two polls a value is left out', [*THREE, p(2, 0, (1, 2)), p(1, 0, (0, 1)), p(1, 0, (2, 3))], ['poll-skip'])
case('a second poll goes back', [*THREE, p(1, 0, (0, 1), (1, 2), (2, 3)), p(1, 0, (1, 2))], ['nonmonotonic-poll'])
case('a second poll returns the same value', [*THREE[:1], p(1, 0, (0, 1)), p(1, 0, (0, 1))], ['nonmonotonic-poll'])
case('a transaction sends in one order and the log has another',
     [txn(0, '[:send 0 [1 1]] [:send 0 [0 2]]'), p(1, 0, (0, 2), (1, 1))], ['int-nonmonotonic-send'])
case('a process sends, and its next send lies before', [s(0, 0, 1, 1), s(0, 0, 0, 2), p(1, 0, (0, 2), (1, 1))],
     ['nonmonotonic-send'], ['G0-process'])
case('an unknown send lies before an earlier one of its process',
     [s(0, 0, 1, 1), s(0, 0, None, 2, 'info'), p(1, 0, (0, 2), (1, 1))],
     ['nonmonotonic-send'], ['G0-process'])
case('two transactions read each other',
     [txn(0, '[:send 0 [0 1]] [:poll {1 [[0 1]]}]'), txn(1, '[:send 1 [0 1]] [:poll {0 [[0 1]]}]')], ['G1c'])
case('a process reads what it will send next',
     [timed('{:process 0, :type :invoke, :f :poll}', 0), timed(p(0, 0, (0, 1)), 2), timed('{:process 0, :type :invoke, :f :send}', 2),
      timed(s(0, 0, 0, 1), 3)], ['G1c-process'])
case('a value is read before it is sent',
     [timed(p(1, 0, (0, 1)), 1), timed('{:process 0, :type :invoke, :f :send}', 5), timed(s(0, 0, 0, 1), 6)],
     ['G1c-realtime'])
case('bytes that nobody has sent are read', [s(0, 0, 0, 1), '{:process 1, :type :ok, :f :poll, :value [[:poll {0 [[0 1] [1 nil]]}]]}'],
     ['corrupt'])
case('a value that nobody has sent is read', [p(1, 0, (0, 77))], ['unsent'])
case('a high watermark that goes back is told of', [s(0, 0, 0, 1), p(1, 0, (0, 1), rest=', :hw {0 9}'), p(1, 0, rest=', :hw {0 8}')], allowed=['hw-back'])
case('what one producer sent first lies behind',
     [s(0, 0, 1, 1, rest=', :producer 5'), s(1, 0, 0, 2, rest=', :producer 5'), p(2, 0, (0, 2), (1, 1))], ['reordered'],
     ['G0-realtime'])
case('a final reader does not reach the end',
     [s(0, P, 0, 1), s(0, P, 1, 2), p(1, P, (0, 1), (1, 2)), other(9, 'final-offsets', f'{{{P} 2}}'), final(7, P, (0, 1))],
     ['final-read-incomplete'])
case('nobody reads to the end', [s(0, P, 0, 1), p(1, P, (0, 1)), other(9, 'final-offsets', f'{{{P} 1}}')], ['final-read-incomplete'])
case('what was shown and acknowledged has vanished at the end',
     [s(0, P, 0, 1), s(0, P, 1, 2), p(1, P, (0, 1), (1, 2)), other(9, 'final-offsets', f'{{{P} 1}}'), final(7, P, (0, 1))],
     ['vanished'], numbers={'lost': 1})
case('what was only shown has vanished at the end',
     [s(0, P, 0, 1), s(0, P, None, 2, 'info'), p(1, P, (0, 1), (1, 2)), other(9, 'final-offsets', f'{{{P} 1}}'), final(7, P, (0, 1))],
     ['vanished'])
case('two final readers differ on an async topic',
     [s(0, C, 0, 1), s(0, C, None, 2, 'info'), other(9, 'final-offsets', f'{{{C} 1}}'), final(7, C, (0, 1)), final(8, C, (0, 2))],
     ['final-reads-differ'])
case('offsets at the end have a hole', [s(0, P, 0, 1), s(0, P, 2, 2), other(9, 'final-offsets', f'{{{P} 3}}'), final(7, P, (0, 1), (2, 2))],
     ['offset-gap'])
case('an async record is there twice at the end',
     [s(0, C, 0, 1), other(9, 'final-offsets', f'{{{C} 2}}'), final(7, C, (0, 1), (1, 1))], ['duplicate'])
case('an async record is lost from the middle',
     [timed(s(0, C, 1, 2), 1), timed('{:process 0, :type :invoke, :f :send}', 2), timed(s(0, C, 0, 1), 3),
      other(9, 'final-offsets', f'{{{C} 2}}'), s(5, C, None, 3, 'info'), final(7, C, (0, 3), (1, 2))], ['not-a-suffix'])
case('more seconds are exposed than the bound',
     [timed(s(0, C, 0, 1), 0), *[timed(s(0, C, n, n + 1), n * 10**9) for n in range(1, 8)], other(9, 'final-offsets', f'{{{C} 1}}'),
      final(7, C, (0, 1))], ['exposed-over-bound'], numbers={'exposed': 7, 'exposed_over_bound': 1})
case('more bytes are exposed than the bound',
     [timed(s(0, C, 0, 1), 0), *[timed(s(0, C, n, n + 1, rest=', :bytes 400'), n * 10**6) for n in range(1, 5)],
      other(9, 'final-offsets', f'{{{C} 1}}'), final(7, C, (0, 1))], ['exposed-over-bound'],
     numbers={'exposed': 4, 'exposed_over_bound': 2})
case('an async value that was refused is read', [s(0, C, None, 1, 'fail'), p(1, C, (0, 1))], ['G1a'])
case('one value is sent twice', [s(0, 0, 0, 1), s(1, 0, 0, 1), p(2, 0, (0, 1))], ['bad-history'])


def run(case_):
    name, ops, found, allowed, numbers = case_
    verdict = checker.check(history.read(ops), ASYNC)
    got = set(verdict.bad())
    noticed = set(verdict.classes) - got
    # What it must find it must find alone; what is allowed may come with it.
    wrong = []
    if got != found:
        wrong.append(f'found {sorted(got)}, expected {sorted(found)}')
    if noticed != allowed and not (found and noticed >= allowed):
        wrong.append(f'allowed {sorted(noticed)}, expected {sorted(allowed)}')
    for key, value in numbers.items():
        if verdict.numbers.get(key) != value:
            wrong.append(f'{key} is {verdict.numbers.get(key)}, expected {value}')
    if wrong:
        print(f'FAIL {name}: ' + '; '.join(wrong))
        print(verdict_text.text(verdict))
    return not wrong


def reads_edn():
    text = '{:a [1 -2 3.5 nil true "x\\n\\"y" :k] ; so\n, :b #{1} #_ gone :c (1 2), :d #inst "2026"}'
    value = edn.read(text)
    return value == {'a': [1, -2, 3.5, None, True, 'x\n"y', 'k'], 'b': [1], 'c': [1, 2], 'd': '2026'} and edn.read(edn.dump(value)) == value


def both_readers_agree():
    """The fast reader of a line and the slow one are the same."""
    lines = ['{:index 1, :time 2, :process 3, :type :invoke, :f :send, :value [[:send "a/0" 7]], :producer 4, :bytes 9}',
             '{:index 1, :time 2, :process 3, :type :ok, :f :send, :value [[:send 5 [6 7]]]}',
             '{:index 1, :time 2, :process 3, :type :ok, :f :poll, :value [[:poll {}]]}',
             '{:index 1, :time 2, :process 3, :type :ok, :f :poll, :value [[:poll {"a/0" []}]]}',
             '{:index 1, :time 2, :process 3, :type :ok, :f :poll, :value [[:poll {"a/0" [[1 2] [3 4]], "a/1" [[1 2]]}]], :hw {"a/0" 9}}']
    for line in lines:
        quick, slow = history.fast(line), history.slow(edn.read(line), 0)
        if quick is None:
            print(f'FAIL the fast reader does not know {line}')
            return False
        quick_keys = [m if m[0] == 'send' else {k: v for k, v in m[1].items() if v} for m in quick.mops]
        slow_keys = [m if m[0] == 'send' else {k: v for k, v in m[1].items() if v} for m in slow.mops]
        if quick_keys != slow_keys or (quick.time, quick.process, quick.type, quick.f, quick.extra) != (
                slow.time, slow.process, slow.type, slow.f, slow.extra):
            print(f'FAIL readers differ: {quick!r} {quick.extra}, {slow!r} {slow.extra}')
            return False
    return True


def many(count):
    """A clean history of that many ops, as lines."""
    rng, at, index, lines, tops = random.Random(1), 0, 0, [], [0] * 12
    position = {}
    while index < 2 * count:
        at += 1000
        k = rng.randrange(12)
        key = f'"payments/{k}"'
        process = rng.randrange(40)
        lines.append(f'{{:index {index}, :time {at}, :process {process}, :type :invoke, :f :{{f}}, :value {{v}}}}')
        if rng.random() < .6:
            lines[-1] = lines[-1].replace('{f}', 'send').replace('{v}', f'[[:send {key} {tops[k]}]]')
            lines.append(f'{{:index {index + 1}, :time {at + 900}, :process {process}, :type :ok, :f :send, '
                         f':value [[:send {key} [{tops[k]} {tops[k]}]]], :producer {k}, :bytes 100}}')
            tops[k] += 1
        else:
            begin = position.get((process, k), 0)
            end = min(tops[k], begin + 10)
            position[process, k] = end
            pairs = ' '.join(f'[{n} {n}]' for n in range(begin, end))
            lines[-1] = lines[-1].replace('{f}', 'poll').replace('{v}', '[[:poll {}]]')
            lines.append(f'{{:index {index + 1}, :time {at + 900}, :process {process}, :type :ok, :f :poll, :value [[:poll {{{key} [{pairs}]}}]]}}')
        index += 2
    return lines


def a_large_history_is_checked_soon(count):
    lines = many(count)
    with tempfile.NamedTemporaryFile('w') as f:
        f.write('\n'.join(lines))
        f.flush()
        del lines
        begun = time.monotonic()
        verdict = checker.check_file(f.name)
    took = time.monotonic() - begun
    print(f'    {count} ops in {took:.1f} s')
    return set(verdict.bad()) <= {'unseen'} and took < 5 + count / 5e3


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    results = [run(c) for c in CASES] + [reads_edn(), both_readers_agree(), a_large_history_is_checked_soon(count)]
    print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
