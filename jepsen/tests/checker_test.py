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


def txn(process, mops, type_='ok', rest=''):
    return f'{{:process {process}, :type :{type_}, :f :txn, :value [{mops}]{rest}}}'


def invoke(process, f, value='nil', rest=''):
    return f'{{:process {process}, :type :invoke, :f :{f}, :value {value}{rest}}}'


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
     allowed=['subscribed-poll-skip', 'subscribed-nonmonotonic-poll'])
case('who subscribes and says what it was assigned may begin anywhere',
     [*THREE, other(1, 'subscribe', '[0]'), other(1, 'assign', '[0]'), p(1, 0, (0, 1)), other(1, 'assign', '[0]'), p(1, 0, (2, 3)), p(2, 0, (1, 2))])
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

# ---- transactions --------------------------------------------------------------------------------

T, T1 = '"transfers/0"', '"transfers/1"'


def ends(process, *pairs):
    return other(process, 'final-offsets', '{' + ', '.join(f'{k} {n}' for k, n in pairs) + '}')


def places(process, at, lso):
    return other(process, 'final-positions', '{' + ', '.join(f'{k} {n}' for k, n in at) + '}',
                 rest=', :lso {' + ', '.join(f'{k} {n}' for k, n in lso) + '}')


BOTH = txn(0, f'[:send {T} [0 1]] [:send {T1} [0 2]]')
case('a transaction of which both writes are there at the end is clean, with its markers behind them',
     [BOTH, ends(7, (T, 2), (T1, 2)), final(7, T, (0, 1)), final(7, T1, (0, 2)), places(7, [(T, 2), (T1, 2)], [(T, 2), (T1, 2)])],
     numbers={'transactions_committed': 1})
case('a transaction of which one write is gone at the end is torn',
     [BOTH, p(3, T1, (0, 2)), s(4, T1, 1, 9), ends(7, (T, 2), (T1, 2)), final(7, T, (0, 1)), final(7, T1, (1, 9)), places(7, [(T, 2), (T1, 2)], [(T, 2), (T1, 2)])],
     ['torn-transaction', 'vanished'])
UNKNOWN = txn(0, f'[:send {T} 1] [:send {T1} 2]', 'info')
case('an unknown transaction of which one write is there at the end is torn',
     [UNKNOWN, ends(7, (T, 2), (T1, 2)), final(7, T, (0, 1)), s(4, T1, 1, 9), final(7, T1, (1, 9)), places(7, [(T, 2), (T1, 2)], [(T, 2), (T1, 2)])],
     ['torn-transaction'])
case('an unknown transaction of which nothing is there is clean',
     [UNKNOWN, s(4, T1, 1, 9), ends(7, (T, 2), (T1, 2)), final(7, T1, (1, 9)), places(7, [(T, 2), (T1, 2)], [(T, 2), (T1, 2)])])
case('of a key whose last read did not come to its end nothing is said of halves',
     [UNKNOWN, ends(7, (T, 2), (T1, 2)), final(7, T, (0, 1)), places(7, [(T, 2), (T1, 1)], [(T, 2), (T1, 2)])], ['final-read-incomplete'])
case('an aborted value is read', [txn(0, f'[:send {T} [0 1]]', 'fail'), p(1, T, (0, 1))], ['G1a'])
case('an aborted value is read by a transaction that is aborted, too',
     [txn(0, f'[:send {T} [0 1]]', 'fail'), txn(1, f'[:send {T1} 5] [:poll {{{T} [[0 1]]}}]', 'fail')], ['G1a'])
case('an aborted value that nobody reads is clean, and its offset no gap',
     [txn(0, f'[:send {T} [0 1]]', 'fail'), txn(0, f'[:send {T} [2 2]]'), p(1, T, (2, 2)), ends(7, (T, 4)), final(7, T, (2, 2)),
      places(7, [(T, 4)], [(T, 4)])])
case('a gap between records of transactions that markers explain is none',
     [txn(0, f'[:send {T} [0 1]]'), txn(0, f'[:send {T} [2 2]]'), ends(7, (T, 4)), final(7, T, (0, 1), (2, 2)), places(7, [(T, 4)], [(T, 4)])])
case('a gap that markers and aborted records do not explain is one',
     [txn(0, f'[:send {T} [0 1]]'), txn(0, f'[:send {T} [9 2]]'), ends(7, (T, 11)), final(7, T, (0, 1), (9, 2)), places(7, [(T, 11)], [(T, 11)])],
     ['offset-gap'])
ASKED = [timed(invoke(0, 'txn', f'[[:send {T} 1]]'), 1), timed(txn(0, f'[:send {T} [0 1]]', rest=', :asked 50'), 60)]
case('a value is read before anybody asked to commit it',
     [ASKED[0], timed(p(1, T, (0, 1)), 40), ASKED[1]], ['G1b'])
case('a value is read after its commit was asked for, and before that is acknowledged', [ASKED[0], timed(p(1, T, (0, 1)), 55), ASKED[1]])
case('a transaction reads what it sends, which nobody else does', [txn(0, f'[:send {T} [0 1]] [:poll {{{T} [[0 1]]}}]', rest=', :asked 50')],
     ['precommitted-read'])
case('a transaction reads what its process sent before', [txn(0, f'[:send {T} [0 1]]'), txn(0, f'[:send {T} [2 2]] [:poll {{{T} [[0 1]]}}]'), p(1, T, (0, 1), (2, 2))])
case('two committed transactions read each other', [txn(0, f'[:send {T} [0 1]] [:poll {{{T1} [[0 2]]}}]'), txn(1, f'[:send {T1} [0 2]] [:poll {{{T} [[0 1]]}}]')], ['G1c'])
case('the last stable offset stays below the end',
     [txn(0, f'[:send {T} [0 1]]'), ends(7, (T, 5)), final(7, T, (0, 1)), places(7, [(T, 2)], [(T, 2)])], ['hanging-transaction'])
case('a last stable offset that comes to where the end was is clean, whatever is behind',
     [txn(0, f'[:send {T} [0 1]]'), ends(7, (T, 2)), ends(8, (T, 3)), final(7, T, (0, 1)), final(8, T, (0, 1)), places(7, [(T, 2)], [(T, 2)]),
      places(8, [(T, 3)], [(T, 3)])])
case('a reader that does not come to the last stable offset is incomplete',
     [txn(0, f'[:send {T} [0 1]]'), ends(7, (T, 5)), final(7, T, (0, 1)), places(7, [(T, 2)], [(T, 5)])], ['final-read-incomplete'])
case('what one producer sent in two transactions lies in another order',
     [txn(0, f'[:send {T} [2 1]]', rest=', :producer 5'), txn(1, f'[:send {T} [0 2]]', rest=', :producer 5'), p(2, T, (0, 2), (2, 1))], ['reordered'], ['G0-realtime'])

# ---- groups --------------------------------------------------------------------------------------

G = ', :group "g"'


def moves(process, n, value, read, type_='ok', offset=None):
    return txn(process, f'[:send {T1} [{offset if offset is not None else 2 * n} {value}]] [:poll {{{T} [[{n - 1} {read}]]}}]', type_, rest=f'{G}, :offsets {{{T} {n}}}')


FOUR = [s(0, P, n, n + 1) for n in range(4)]
ALL = p(5, P, (0, 1), (1, 2), (2, 3), (3, 4))
case('a member begins where the one before it has committed',
     [*FOUR, other(1, 'assign', f'[{P}]', G), p(1, P, (0, 1), (1, 2)), other(1, 'commit', f'{{{P} 2}}', G), other(2, 'assign', f'[{P}]', G), p(2, P, (2, 3), (3, 4))],
     numbers={'offset_commits': 1})
case('a member begins before what was committed',
     [*FOUR, ALL, other(1, 'commit', f'{{{P} 2}}', G), other(2, 'assign', f'[{P}]', G), p(2, P, (1, 2), (2, 3))], ['offset-went-back'])
case('a member that began before the commit may read before it',
     [*FOUR, ALL, other(2, 'assign', f'[{P}]', G), other(1, 'commit', f'{{{P} 2}}', G), p(2, P, (0, 1), (1, 2))])
case('another group has offsets of its own',
     [*FOUR, ALL, other(1, 'commit', f'{{{P} 2}}', G), other(2, 'assign', f'[{P}]', G.replace('g"', 'h"')), p(2, P, (0, 1), (1, 2))])
case('a committed offset is less than before', [other(1, 'commit', f'{{{P} 2}}', G), other(2, 'committed', f'{{{P} 1}}', G)], ['offset-went-back'])
case('a group has committed nothing yet', [other(2, 'committed', f'{{{P} -1}}', G), other(1, 'commit', f'{{{P} 2}}', G)])
case('a committed offset is gone', [other(1, 'commit', f'{{{P} 2}}', G), other(2, 'committed', f'{{{P} -1}}', G)], ['offset-went-back'])
case('a commit that nobody knows the end of may come into force late',
     [f'{{:process 1, :type :info, :f :commit, :value {{{P} 1}}{G}}}', other(3, 'commit', f'{{{P} 2}}', G), other(2, 'committed', f'{{{P} 1}}', G)])
case('a commit that is acknowledged while somebody asks may be seen or not',
     [timed(invoke(2, 'committed', rest=G), 1), timed(invoke(1, 'commit', f'{{{P} 2}}', G), 2), timed(other(1, 'commit', f'{{{P} 2}}', G), 3), timed(other(2, 'committed', f'{{{P} 0}}', G), 4)])
case('a member leaves out what nobody has asked to commit',
     [*FOUR, ALL, other(1, 'commit', f'{{{P} 1}}', G), other(2, 'assign', f'[{P}]', G), p(2, P, (2, 3), (3, 4))], ['group-skip'])
case('what a member whose commit is unknown has asked for may be in force',
     [*FOUR, ALL, f'{{:process 1, :type :info, :f :commit, :value {{{P} 2}}{G}}}', other(2, 'assign', f'[{P}]', G), p(2, P, (2, 3), (3, 4))])
READ = [s(8, T, 0, 91), s(8, T, 1, 92)]
case('offsets that are committed with transactions go on', [*READ, moves(0, 1, 1, 91), moves(0, 2, 2, 92), p(5, T1, (2, 1), (4, 2)), other(0, 'committed', f'{{{T} 2}}', G)],
     numbers={'offset_commits': 2})
case('two committed transactions of a group have read the same', [*READ[:1], moves(0, 1, 1, 91), moves(1, 1, 2, 91, offset=5), p(5, T1, (2, 1), (5, 2))], ['consumed-twice'])
case('what an aborted transaction has read is read again', [*READ[:1], moves(0, 1, 1, 91, 'fail'), moves(1, 1, 2, 91), p(5, T1, (2, 2))])
case('the offset of an aborted transaction is committed', [*READ[:1], moves(0, 1, 1, 91, 'fail'), other(1, 'committed', f'{{{T} 1}}', G)], ['aborted-offset'])
case('an unknown transaction may have committed the same offset as an aborted one',
     [*READ[:1], moves(0, 1, 1, 91, 'fail'), moves(1, 1, 2, 91, 'info'), other(1, 'committed', f'{{{T} 1}}', G)])
case('a transaction whose offset was acknowledged is forgotten', [*READ[:1], moves(0, 1, 1, 91), p(5, T1, (2, 1)), other(1, 'committed', f'{{{T} -1}}', G)], ['offset-went-back'])


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
        begun = time.process_time()
        verdict = checker.check_file(f.name)
    took = time.process_time() - begun
    print(f'    {count} ops in {took:.1f} s')
    return set(verdict.bad()) <= {'unseen'} and took < 5 + count / 5e3


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    results = [run(c) for c in CASES] + [reads_edn(), both_readers_agree(), a_large_history_is_checked_soon(count)]
    print(f'{sum(results)} passed, {len(results) - sum(results)} failed')
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main())
