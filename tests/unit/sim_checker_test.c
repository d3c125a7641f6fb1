/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's checker: it must see each kind of wrong history, and nothing wrong in a right
 * one. */
#include <string.h>

#include "tests/lib/test.h"
#include "tests/sim/checker.h"

#define ALL ((uint64_t)1 << 1) /* reader 1 is the final one */

/* Producer 0 sends values 0 to 3 to partition 0; they are acknowledged at offsets 0 to 3. */
static struct checker *four_acknowledged(void)
{
    struct checker *c = checker_new(2, 2, 2);

    for (uint64_t i = 0; i < 4; i++) {
        checker_sent(c, 0, 0, i, i * 1000);
        checker_acked(c, 0, 0, i, (int64_t)i, i * 1000 + 500, i * 1000 + 400, false);
    }
    for (uint32_t reader = 0; reader < 2; reader++) {
        checker_high_watermark(c, reader, 0, 4);
    }
    return c;
}

static void read_all(struct checker *c, uint32_t reader)
{
    for (uint64_t i = 0; i < 4; i++) {
        checker_read(c, reader, 0, (int64_t)i, 1, 0, i, true);
    }
}

static void expect(struct checker *c, const char *rule)
{
    const char *failure = checker_failure(c);

    if (rule == NULL) {
        assert_null(failure);
    } else {
        assert_non_null(failure);
        assert_memory_equal(failure, rule, strlen(rule));
    }
    checker_free(c);
}

static void a_right_history_passes(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    read_all(c, 1);
    checker_finish(c, ALL);
    expect(c, NULL);
}

static void two_values_at_one_offset_are_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_sent(c, 0, 1, 0, 0);
    checker_read(c, 0, 0, 0, 1, 1, 0, true);
    expect(c, "C1");
}

static void an_epoch_that_changes_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    checker_read(c, 1, 0, 0, 2, 0, 0, true);
    expect(c, "C1");
}

static void a_duplicate_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_high_watermark(c, 0, 0, 5);
    read_all(c, 0);
    checker_read(c, 0, 0, 4, 1, 0, 3, true);
    expect(c, "C2");
}

static void a_value_that_was_never_sent_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_read(c, 0, 0, 0, 1, 0, 99, true);
    expect(c, "C3");
}

static void changed_bytes_are_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_read(c, 0, 0, 0, 1, 0, 0, false);
    expect(c, "C3");
}

static void a_value_of_another_partition_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_high_watermark(c, 0, 1, 4);
    checker_read(c, 0, 1, 0, 1, 0, 0, true);
    expect(c, "C3");
}

static void a_skipped_offset_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_read(c, 0, 0, 0, 1, 0, 0, true);
    checker_read(c, 0, 0, 2, 1, 0, 2, true);
    expect(c, "C4");
}

static void a_read_above_the_high_watermark_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_moved(c, 0, 0);
    checker_high_watermark(c, 0, 0, 3);
    read_all(c, 0);
    expect(c, "C4");
}

static void a_high_watermark_that_goes_back_is_seen_but_not_on_a_new_connection(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_moved(c, 0, 0);
    checker_high_watermark(c, 0, 0, 2);
    assert_null(checker_failure(c));
    checker_high_watermark(c, 0, 0, 1);
    expect(c, "C4");
}

static void values_out_of_the_order_of_sending_are_seen(void **state)
{
    struct checker *c = checker_new(1, 1, 2);

    (void)state;
    checker_sent(c, 0, 0, 0, 0);
    checker_sent(c, 0, 0, 1, 0);
    checker_acked(c, 0, 0, 1, 0, 0, 0, false);
    checker_acked(c, 0, 0, 0, 1, 0, 0, false);
    checker_high_watermark(c, 1, 0, 2);
    checker_read(c, 1, 0, 0, 1, 0, 1, true);
    checker_read(c, 1, 0, 1, 1, 0, 0, true);
    checker_finish(c, ALL);
    expect(c, "C5");
}

static void an_acknowledged_value_that_the_final_reader_misses_is_lost(void **state)
{
    struct checker *c = four_acknowledged();
    struct checker_counts counts;

    (void)state;
    read_all(c, 0);
    for (uint64_t i = 0; i < 3; i++) {
        checker_read(c, 1, 0, (int64_t)i, 1, 0, i, true);
    }
    checker_finish(c, ALL);
    checker_counts(c, &counts);
    assert_int_equal(counts.lost, 1);
    expect(c, "C6");
}

static void an_ack_without_offset_must_be_found_too(void **state)
{
    struct checker *c = checker_new(1, 1, 2);

    (void)state;
    checker_sent(c, 0, 0, 0, 0);
    checker_acked(c, 0, 0, 0, -1, 0, 0, false);
    checker_finish(c, ALL);
    expect(c, "C6");
}

static void a_hole_below_an_ack_is_seen(void **state)
{
    struct checker *c = checker_new(1, 1, 2);

    (void)state;
    checker_sent(c, 0, 0, 0, 0);
    checker_acked(c, 0, 0, 0, 1, 0, 0, false);
    checker_finish(c, 0);
    expect(c, "C7");
}

static void a_lossy_epoch_excuses_what_lies_behind_its_start_and_no_more(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    assert_int_equal(checker_lossy(c, 0, 2, 2, 10000, 5000), 2);
    checker_rewound(c, 0, 0, 2);
    checker_sent(c, 0, 1, 0, 20000);
    checker_acked(c, 0, 1, 0, 2, 21000, 20500, false);
    checker_high_watermark(c, 0, 0, 3);
    checker_read(c, 0, 0, 2, 2, 1, 0, true);
    checker_high_watermark(c, 1, 0, 3);
    checker_read(c, 1, 0, 0, 1, 0, 0, true);
    checker_read(c, 1, 0, 1, 1, 0, 1, true);
    checker_read(c, 1, 0, 2, 2, 1, 0, true);
    checker_finish(c, ALL);
    assert_null(checker_failure(c));
    checker_rewound(c, 1, 0, 1);
    expect(c, "C4");
}

static void a_loss_beyond_the_bound_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    /* Value 0 was acknowledged at 500, value 3 sent at 3000. */
    assert_int_equal(checker_lossy(c, 0, 2, 0, 10000, 2400), 4);
    expect(c, "C8");
}

/* Epoch 2 wrote all four again while another node kept an unacknowledged record of epoch 1 at
 * offset 3; the lossy epoch begins with the log of that node. */
static void a_lossy_epoch_may_begin_with_older_records_than_were_acknowledged(void **state)
{
    struct checker *c = four_acknowledged();
    struct checker_counts counts;

    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        checker_read(c, 0, 0, (int64_t)i, 2, 0, i, true);
    }
    checker_sent(c, 0, 1, 0, 0);
    (void)checker_lossy(c, 0, 3, 4, 10000, 0);
    checker_high_watermark(c, 1, 0, 4);
    for (uint64_t i = 0; i < 3; i++) {
        checker_read(c, 1, 0, (int64_t)i, 1, 0, i, true);
    }
    checker_read(c, 1, 0, 3, 1, 1, 0, true);
    checker_finish(c, ALL);
    checker_counts(c, &counts);
    assert_int_equal(counts.cut, 1);
    expect(c, NULL);
}

/* The same, and what stands at offset 3 now had been acknowledged as well, behind the end of the other
 * log: epoch 2 took the batches of two producers in another order. */
static void what_a_lossy_epoch_cut_may_stand_elsewhere_as_an_older_record(void **state)
{
    struct checker *c = four_acknowledged();
    struct checker_counts counts;

    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        checker_read(c, 0, 0, (int64_t)i, 2, 0, i, true);
    }
    checker_sent(c, 0, 1, 0, 0);
    checker_acked(c, 0, 1, 0, 4, 5000, 4900, false);
    assert_int_equal(checker_lossy(c, 0, 3, 4, 10000, 0), 1);
    checker_high_watermark(c, 1, 0, 4);
    for (uint64_t i = 0; i < 3; i++) {
        checker_read(c, 1, 0, (int64_t)i, 1, 0, i, true);
    }
    checker_read(c, 1, 0, 3, 1, 1, 0, true);
    checker_finish(c, ALL);
    checker_counts(c, &counts);
    assert_int_equal(counts.cut, 2);
    assert_int_equal(counts.lost, 0);
    expect(c, NULL);
}

static void two_processes_that_serve_one_epoch_are_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    read_all(c, 1);
    checker_appended(c, 0, 1, 7);
    checker_appended(c, 0, 3, 8);
    checker_finish(c, ALL);
    expect(c, "C9");
}

static void an_ack_of_an_old_leader_behind_a_lossy_epoch_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    (void)checker_lossy(c, 0, 2, 4, 10000, 0);
    checker_sent(c, 0, 0, 4, 9000);
    checker_acked(c, 0, 0, 4, 4, 12000, 9900, true);
    assert_null(checker_failure(c));
    checker_sent(c, 0, 0, 5, 9000);
    checker_acked(c, 0, 0, 5, 5, 12000, 10100, true);
    expect(c, "C8");
}

/* ---- what is deleted ---- */

static void a_reader_that_was_told_of_a_log_start_may_go_on_there(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    checker_log_start(c, 1, 0, 2, 4);
    checker_skipped(c, 1, 0, 2);
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_read(c, 1, 0, 3, 1, 0, 3, true);
    checker_finish(c, ALL);
    expect(c, NULL);
}

static void what_lies_behind_the_log_start_must_still_be_read(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_all(c, 0);
    checker_log_start(c, 1, 0, 2, 4);
    checker_skipped(c, 1, 0, 2);
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_finish(c, ALL);
    expect(c, "C6");
}

static void a_skip_to_where_no_log_starts_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_log_start(c, 1, 0, 2, 4);
    checker_skipped(c, 1, 0, 2);
    checker_read(c, 1, 0, 3, 1, 0, 3, true);
    expect(c, "C4");
}

static void a_log_start_above_the_high_watermark_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_log_start(c, 1, 0, 5, 4);
    expect(c, "C11");
}

static void a_deletion_of_what_nobody_was_shown_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_skipped(c, 1, 0, 6);
    checker_finish(c, 0);
    expect(c, "C11");
}

/* ---- keys ---- */

/* Values 0 and 2 have key 7, 1 and 3 key 8; 3 is a tombstone. */
static struct checker *four_with_keys(void)
{
    struct checker *c = four_acknowledged();

    for (uint64_t i = 0; i < 4; i++) {
        checker_key(c, 0, i, 7 + (uint32_t)i % 2, i == 3);
    }
    return c;
}

static void what_a_newer_value_of_its_key_has_replaced_may_be_missing(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    read_all(c, 0);
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_read(c, 1, 0, 3, 1, 0, 3, true);
    checker_finish(c, ALL);
    expect(c, NULL);
}

static void a_newest_value_that_is_missing_is_seen(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    read_all(c, 0);
    checker_read(c, 1, 0, 0, 1, 0, 0, true);
    checker_read(c, 1, 0, 3, 1, 0, 3, true);
    checker_finish(c, ALL);
    expect(c, "C14");
}

static void a_key_that_is_missing_altogether_is_seen(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    checker_read(c, 1, 0, 3, 1, 0, 3, true);
    checker_finish(c, ALL);
    expect(c, "C14");
}

static void a_tombstone_may_go_with_all_that_it_stood_against(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_finish(c, ALL);
    expect(c, NULL);
}

static void what_outlives_its_tombstone_is_seen(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    checker_read(c, 1, 0, 1, 1, 0, 1, true);
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_finish(c, ALL);
    expect(c, "C14");
}

static void readers_of_keys_go_forward_too(void **state)
{
    struct checker *c = four_with_keys();

    (void)state;
    checker_read(c, 1, 0, 2, 1, 0, 2, true);
    checker_read(c, 1, 0, 1, 1, 0, 1, true);
    expect(c, "C4");
}

/* ---- what is committed ---- */

static void what_was_tried_before_it_was_told_as_committed_may_stand_there(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_sent(c, 0, 0, 4, 5000);
    checker_tried(c, 0, 4, 6000);
    checker_committed(c, 0, 5, 7000);
    checker_tried(c, 0, 4, 8000); /* once more */
    checker_acked(c, 0, 0, 4, 4, 9000, 9000, false);
    expect(c, NULL);
}

static void what_was_tried_after_it_was_told_as_committed_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_sent(c, 0, 0, 4, 5000);
    checker_committed(c, 0, 5, 6000);
    checker_tried(c, 0, 4, 7000);
    checker_committed(c, 0, 6, 8000); /* the first who was told counts */
    checker_acked(c, 0, 0, 4, 4, 9000, 9000, false);
    expect(c, "C15");
}

static void behind_a_lossy_epoch_another_value_may_stand_where_all_was_committed(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_committed(c, 0, 4, 6000);
    (void)checker_lossy(c, 0, 2, 2, 7000, 0);
    checker_sent(c, 0, 1, 0, 8000);
    checker_tried(c, 1, 0, 8000);
    checker_acked(c, 0, 1, 0, 2, 9000, 9000, false);
    expect(c, NULL);
}

static void a_topic_that_keeps_too_little_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_keeps(c, 0, 3);
    checker_log_start(c, 1, 0, 1, 4);
    assert_null(checker_failure(c));
    checker_log_start(c, 1, 0, 2, 4);
    expect(c, "C11");
}

static void an_end_that_goes_back_is_seen_whoever_leads(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_latest(c, 1, 0, 4);
    checker_moved(c, 1, 0);
    checker_latest(c, 1, 0, 3);
    expect(c, "C12");
}

static void an_end_may_go_back_behind_a_lossy_epoch(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_latest(c, 1, 0, 4);
    (void)checker_lossy(c, 0, 2, 3, 10000, 0);
    checker_latest(c, 1, 0, 3);
    expect(c, NULL);
}

/* ---- what lossy epochs lose ---- */

static void read_from(struct checker *c, uint32_t reader, int64_t from, int64_t end)
{
    for (int64_t i = from; i < end; i++) {
        checker_read(c, reader, 0, i, 1, 0, (uint64_t)i, true);
    }
}

/* The lossy epoch 2 begins at 4: above all that was acknowledged. A record of an older epoch stands
 * at offset 1 now, where an acknowledged one stood; what came after that one is still there. */
static void a_loss_that_is_no_suffix_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_sent(c, 0, 1, 0, 0);
    (void)checker_lossy(c, 0, 2, 4, 10000, 0);
    checker_read(c, 1, 0, 0, 0, 0, 0, true);
    checker_read(c, 1, 0, 1, 0, 1, 0, true);
    read_from(c, 1, 2, 4);
    checker_finish(c, 0);
    expect(c, "C8");
}

static void a_loss_is_within_the_bound_also_where_it_is_known_late(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    checker_sent(c, 0, 1, 0, 0);
    checker_sent(c, 0, 1, 1, 0);
    checker_sent(c, 0, 1, 2, 0);
    (void)checker_lossy(c, 0, 2, 4, 10000, 1000);
    checker_read(c, 1, 0, 0, 0, 0, 0, true);
    for (int64_t i = 1; i < 4; i++) {
        checker_read(c, 1, 0, i, 0, 1, (uint64_t)i - 1, true);
    }
    assert_null(checker_failure(c));
    checker_finish(c, 0); /* acknowledged at 1.5 ms, sent until 3 ms */
    expect(c, "C8");
}

static void a_final_reader_that_is_shown_what_was_cut_is_seen(void **state)
{
    struct checker *c = four_acknowledged();

    (void)state;
    read_from(c, 0, 0, 4);
    (void)checker_lossy(c, 0, 2, 3, 10000, 0);
    read_from(c, 1, 0, 4);
    checker_finish(c, ALL);
    expect(c, "C8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_history_passes),
        cmocka_unit_test(two_values_at_one_offset_are_seen),
        cmocka_unit_test(an_epoch_that_changes_is_seen),
        cmocka_unit_test(a_duplicate_is_seen),
        cmocka_unit_test(a_value_that_was_never_sent_is_seen),
        cmocka_unit_test(changed_bytes_are_seen),
        cmocka_unit_test(a_value_of_another_partition_is_seen),
        cmocka_unit_test(a_skipped_offset_is_seen),
        cmocka_unit_test(a_read_above_the_high_watermark_is_seen),
        cmocka_unit_test(a_high_watermark_that_goes_back_is_seen_but_not_on_a_new_connection),
        cmocka_unit_test(values_out_of_the_order_of_sending_are_seen),
        cmocka_unit_test(an_acknowledged_value_that_the_final_reader_misses_is_lost),
        cmocka_unit_test(an_ack_without_offset_must_be_found_too),
        cmocka_unit_test(a_hole_below_an_ack_is_seen),
        cmocka_unit_test(a_lossy_epoch_excuses_what_lies_behind_its_start_and_no_more),
        cmocka_unit_test(a_lossy_epoch_may_begin_with_older_records_than_were_acknowledged),
        cmocka_unit_test(what_a_lossy_epoch_cut_may_stand_elsewhere_as_an_older_record),
        cmocka_unit_test(two_processes_that_serve_one_epoch_are_seen),
        cmocka_unit_test(a_loss_beyond_the_bound_is_seen),
        cmocka_unit_test(an_ack_of_an_old_leader_behind_a_lossy_epoch_is_seen),
        cmocka_unit_test(a_reader_that_was_told_of_a_log_start_may_go_on_there),
        cmocka_unit_test(what_lies_behind_the_log_start_must_still_be_read),
        cmocka_unit_test(a_skip_to_where_no_log_starts_is_seen),
        cmocka_unit_test(a_log_start_above_the_high_watermark_is_seen),
        cmocka_unit_test(a_deletion_of_what_nobody_was_shown_is_seen),
        cmocka_unit_test(a_topic_that_keeps_too_little_is_seen),
        cmocka_unit_test(what_a_newer_value_of_its_key_has_replaced_may_be_missing),
        cmocka_unit_test(a_newest_value_that_is_missing_is_seen),
        cmocka_unit_test(a_key_that_is_missing_altogether_is_seen),
        cmocka_unit_test(a_tombstone_may_go_with_all_that_it_stood_against),
        cmocka_unit_test(what_outlives_its_tombstone_is_seen),
        cmocka_unit_test(readers_of_keys_go_forward_too),
        cmocka_unit_test(what_was_tried_before_it_was_told_as_committed_may_stand_there),
        cmocka_unit_test(what_was_tried_after_it_was_told_as_committed_is_seen),
        cmocka_unit_test(behind_a_lossy_epoch_another_value_may_stand_where_all_was_committed),
        cmocka_unit_test(an_end_that_goes_back_is_seen_whoever_leads),
        cmocka_unit_test(an_end_may_go_back_behind_a_lossy_epoch),
        cmocka_unit_test(a_loss_that_is_no_suffix_is_seen),
        cmocka_unit_test(a_loss_is_within_the_bound_also_where_it_is_known_late),
        cmocka_unit_test(a_final_reader_that_is_shown_what_was_cut_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
