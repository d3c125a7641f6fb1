#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The judge, judged by logs that somebody wrote. Ends with `N passed, N failed`."""
import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import checker  # noqa: E402

GOOD = '''
10 send 1
11 send 2
20 ack t 0 0 1
21 ack t 0 1 2
30 kill eu-west t 1
35 restart eu-west
36 restart eu-central
37 restart eu-north
40 send 3
50 ack t 0 2 3
'''
FINAL = '''
90 final t 0 0 1
90 final t 0 1 2
90 final t 0 2 3
'''
READS = '''
22 read t 0 0 1
23 read t 0 1 2
24 commit g t 0 2
52 read t 0 2 3
53 commit g t 0 3
91 committed g t 0 3
'''
TXNS = '''
10 begin a
11 send 1
12 send 2
13 committed a
14 begin b
15 send 3
16 aborted b
17 begin c
18 send 4
19 send 5
20 unknown c
'''

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def story(*texts, **options):
    return checker.Story([checker.parse([line + '\n' for line in text.strip().splitlines()]) for text in texts], **options)


def says(verdict, word):
    if not any(word in w for w in verdict):
        raise AssertionError(f'expected {word!r}, got {verdict!r}')


def good(verdict):
    if verdict:
        raise AssertionError(f'expected nothing wrong, got {verdict!r}')


@test
def a_good_run_passes_every_verdict():
    s = story(GOOD, FINAL, READS)
    for verdict in (checker.produce, checker.group, checker.kill, checker.rolling):
        good(verdict(s))


@test
def an_acknowledged_record_that_cannot_be_read_is_lost():
    s = story(GOOD, FINAL.replace('90 final t 0 1 2\n', ''))
    says(checker.produce(s), 'lost: 1')
    says(checker.kill(s), 'acknowledged before the kill')


@test
def what_was_acknowledged_after_the_kill_is_not_blamed_on_the_kill():
    s = story(GOOD, FINAL.replace('90 final t 0 2 3\n', ''))
    says(checker.produce(s), 'lost: 1')
    good(checker.kill(s))


@test
def an_empty_log_is_a_loss():
    says(checker.produce(story(GOOD)), 'lost')


@test
def a_record_at_two_places_is_duplicated_and_allowed_only_without_idempotence():
    texts = (GOOD.replace('50 ack t 0 2 3', '50 ack t 0 3 3'), FINAL.replace('t 0 2 3', 't 0 3 3') + '90 final t 0 2 1\n')
    says(checker.produce(story(*texts)), 'duplicated: 1')
    good(checker.produce(story(*texts, idempotent=False)))
    if checker.duplicates(story(*texts)) != 1:
        raise AssertionError('one duplicate is counted')


@test
def two_records_in_the_other_order_are_reordered():
    acks = GOOD.replace('ack t 0 0 1', 'ack t 0 1 1').replace('ack t 0 1 2', 'ack t 0 0 2')
    says(checker.produce(story(acks, FINAL.replace('0 0 1', '0 0 2', 1).replace('0 1 2', '0 1 1', 1))), 'reordered')


@test
def another_value_at_an_acknowledged_place_is_told():
    says(checker.produce(story(GOOD, FINAL.replace('0 0 1', '0 0 2', 1).replace('0 1 2', '0 1 1', 1))), 'another value')


@test
def two_acks_for_one_place_contradict_each_other():
    says(checker.produce(story(GOOD.replace('ack t 0 1 2', 'ack t 0 0 2'), FINAL)), 'two acks for one place')


@test
def a_value_that_nobody_sent_is_told():
    says(checker.produce(story(GOOD, FINAL + '90 final t 0 3 7\n')), 'never sent')


@test
def a_send_without_an_answer_may_be_there_or_not():
    good(checker.produce(story(GOOD + '60 send 4\n', FINAL)))
    good(checker.produce(story(GOOD + '60 send 4\n', FINAL + '90 final t 0 3 4\n')))


@test
def what_the_client_gave_up_is_told():
    says(checker.produce(story(GOOD + '60 send 4\n61 fail 4 timed out\n', FINAL)), 'given up')


@test
def a_record_that_the_group_has_not_read_is_missed():
    says(checker.group(story(GOOD, FINAL, READS.replace('23 read t 0 1 2\n', ''))), 'not read by the group: 1')


@test
def a_record_read_again_before_its_commit_is_allowed_and_counted():
    s = story(GOOD, FINAL, READS.replace('24 commit', '23 read t 0 1 2\n24 commit'))
    good(checker.group(s))
    if checker.reread(s) != 1:
        raise AssertionError('one repeat is counted')


@test
def a_record_read_again_after_its_commit_is_told_whichever_member_reads_it():
    says(checker.group(story(GOOD, FINAL, READS, '60 read t 0 1 2\n61 read t 0 2 3\n62 commit g t 0 3\n')), 'read again after its commit')
    says(checker.group(story(GOOD, FINAL, READS + '60 read t 0 1 2\n61 commit g t 0 3\n')), 'read again after its commit')


@test
def a_member_that_was_put_out_may_hand_out_what_it_had_fetched():
    good(checker.group(story(GOOD, FINAL, READS, '60 read t 0 1 2\n61 note commit unknown member\n62 read t 0 2 3\n')))
    good(checker.group(story(GOOD, FINAL, READS, '60 read t 0 1 2\n')))


@test
def a_lower_commit_after_a_higher_one_went_back():
    says(checker.group(story(GOOD, FINAL, READS, '60 read t 0 1 2\n61 commit g t 0 2\n')), 'commit went back')


@test
def a_commit_that_went_back_is_told():
    says(checker.group(story(GOOD, FINAL, READS.replace('91 committed g t 0 3', '91 committed g t 0 2'))), 'commit went back')


@test
def a_commit_that_is_gone_is_told():
    says(checker.group(story(GOOD, FINAL, READS.replace('91 committed g t 0 3', '91 committed g t 0 -1'))), 'commit went back')


@test
def a_record_that_was_read_and_is_gone_is_told():
    says(checker.group(story(GOOD, FINAL, READS + '60 read t 0 3 4\n')), 'not there at the end')


@test
def a_group_without_reads_or_commits_proves_nothing():
    says(checker.group(story(GOOD, FINAL)), 'void')
    says(checker.group(story(GOOD, FINAL, '22 read t 0 0 1\n')), 'void')


@test
def a_kill_outside_the_acks_is_void():
    says(checker.kill(story(GOOD.replace('30 kill', '19 kill'), FINAL)), 'void')
    says(checker.kill(story(GOOD.replace('30 kill', '51 kill'), FINAL)), 'void')
    says(checker.kill(story(GOOD.replace('30 kill eu-west t 1\n', ''), FINAL)), 'void')


@test
def a_kill_of_a_region_that_led_nothing_is_void():
    says(checker.kill(story(GOOD.replace('kill eu-west t 1', 'kill eu-west t 0'), FINAL)), 'void')


@test
def a_client_that_stands_still_after_a_kill_is_told():
    late = GOOD.replace('40 send', '40000000 send').replace('50 ack', '40000001 ack')
    says(checker.kill(story(late, FINAL)), 'no ack for 40.0 s')


@test
def a_restart_outside_the_acks_and_a_region_left_out_are_void():
    says(checker.rolling(story(GOOD.replace('37 restart', '57 restart'), FINAL)), 'void')
    says(checker.rolling(story(GOOD.replace('37 restart eu-north', '37 restart eu-west'), FINAL)), 'void')


@test
def transactions_are_whole_or_not_there():
    seen = '90 final t 0 0 1\n90 final t 0 1 2\n'
    good(checker.transactions(story(TXNS, seen)))
    good(checker.transactions(story(TXNS, seen + '90 final t 0 5 4\n90 final t 0 6 5\n')))
    says(checker.transactions(story(TXNS, '90 final t 0 0 1\n')), 'lost: 1 of 2')
    says(checker.transactions(story(TXNS, seen + '90 final t 0 3 3\n')), 'aborted and yet read')
    says(checker.transactions(story(TXNS, seen + '90 final t 0 5 4\n')), 'torn')
    says(checker.transactions(story(TXNS, seen + '90 final t 0 7 1\n')), 'duplicated')
    says(checker.transactions(story(TXNS, seen, '30 read t 0 3 3\n')), 'not there at the end')


@test
def no_committed_transaction_proves_nothing():
    says(checker.transactions(story(TXNS.replace('13 committed', '13 aborted'), '')), 'void')


@test
def a_copy_is_exact():
    source = '90 final a 0 0 1\n90 final a 0 1 2\n'
    good(checker.exactly_once(story(source + '90 final b 0 0 2\n90 final b 0 1 1\n'), 'a', 'b'))
    says(checker.exactly_once(story(source + '90 final b 0 0 2\n'), 'a', 'b'), 'lost')
    says(checker.exactly_once(story(source + '90 final b 0 0 2\n90 final b 0 1 1\n90 final b 0 2 1\n'), 'a', 'b'), 'duplicated')
    says(checker.exactly_once(story(source + '90 final b 0 0 2\n90 final b 0 1 1\n90 final b 0 2 9\n'), 'a', 'b'), 'never sent')
    says(checker.exactly_once(story('90 final b 0 0 2\n'), 'a', 'b'), 'void')


@test
def a_line_that_nobody_understands_is_refused_but_not_the_torn_last_one():
    for line in ('hello\n', '12 ack t 0 0\n', '12 shout x\n', 'x ack t 0 0 1\n'):
        try:
            checker.parse([line])
        except checker.Malformed:
            continue
        raise AssertionError(f'{line!r} was taken')
    if len(checker.parse(['12 send 1\n', '13 ack t 0'])) != 1:
        raise AssertionError('the torn line is left out')


def run():
    """(passed, failed)"""
    failed = 0
    for t in TESTS:
        try:
            t()
        except Exception:  # noqa: BLE001
            failed += 1
            print(f'FAIL checker: {t.__name__.replace("_", " ")}:\n{traceback.format_exc()}', flush=True)
    return len(TESTS) - failed, failed


if __name__ == '__main__':
    passed, failures = run()
    print(f'{passed} passed, {failures} failed')
    sys.exit(1 if failures else 0)
