/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader of a run tells: late, twice, not at all, from elsewhere. And the course over time. */
#include "cli/bench_arrivals.h"
#include "cli/bench_series.h"
#include "tests/lib/test.h"

static struct batch_builder builder;
static struct bench_arrivals arrivals;
static uint64_t seen[8];
static size_t seen_count;

static void note(void *ctx, struct bench_stamp stamp)
{
    (void)ctx;
    seen[seen_count++] = stamp.number;
}

static void add(uint32_t partition, uint32_t run, uint64_t number)
{
    uint8_t value[BENCH_STAMP + 4] = {0};

    bench_stamp_put(value, (struct bench_stamp){partition, run, number});
    batch_builder_add(&builder, (struct slice){0}, slice_of(value, sizeof value), 1);
}

static void take(int32_t partition)
{
    bench_arrivals_take(&arrivals, partition, batch_builder_finish(&builder, -1, -1, -1), note,
                        NULL);
    batch_builder_reset(&builder);
}

static int begin(void **state)
{
    (void)state;
    batch_builder_init(&builder);
    bench_arrivals_init(&arrivals, 7, 3);
    seen_count = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    bench_arrivals_fini(&arrivals);
    batch_builder_fini(&builder);
    return 0;
}

static void every_record_counts_once(void **state)
{
    (void)state;
    add(2, 7, 0);
    add(2, 7, 1);
    take(2);
    add(2, 7, 1);
    add(2, 7, 2);
    take(2);
    assert_int_equal(arrivals.arrived, 3);
    assert_int_equal(arrivals.repeated, 1);
    assert_int_equal(arrivals.missing, 0);
    assert_int_equal(seen_count, 3);
    assert_int_equal(seen[2], 2);
}

static void what_was_left_out_is_missing(void **state)
{
    (void)state;
    add(0, 7, 0);
    add(0, 7, 4);
    take(0);
    assert_int_equal(arrivals.arrived, 2);
    assert_int_equal(arrivals.missing, 3);
}

static void records_of_others_are_not_taken_for_ours(void **state)
{
    (void)state;
    add(1, 8, 0); /* another run */
    add(0, 7, 0); /* another partition */
    batch_builder_add(&builder, (struct slice){0}, slice_text("short"), 1);
    add(1, 7, 0);
    take(1);
    assert_int_equal(arrivals.strange, 3);
    assert_int_equal(arrivals.arrived, 1);
    bench_arrivals_take(&arrivals, 1, slice_text("no batch at all"), note, NULL);
    assert_int_equal(arrivals.strange, 4);
}

static void intervals_without_anything_are_there_and_empty(void **state)
{
    struct bench_series series;

    (void)state;
    bench_series_init(&series, 100);
    bench_series_note(&series, 5, 10, 1);
    bench_series_note(&series, 99, 20, 3);
    bench_series_note(&series, 350, 7, 2);
    bench_series_note(&series, 340, 9, 1);
    bench_series_end(&series);
    bench_series_end(&series);
    assert_int_equal(series.count, 4);
    assert_int_equal(series.at[0].count, 4);
    assert_int_equal(series.at[0].p50_us, 20);
    assert_int_equal(series.at[0].max_us, 20);
    assert_int_equal(series.at[1].count, 0);
    assert_int_equal(series.at[2].count, 0);
    assert_int_equal(series.at[3].count, 3);
    assert_int_equal(series.at[3].p50_us, 7);
    bench_series_fini(&series);
}

static void a_run_of_weeks_keeps_its_first_hour(void **state)
{
    struct bench_series series;

    (void)state;
    bench_series_init(&series, 1);
    bench_series_note(&series, UINT64_C(1) << 60, 1, 1);
    bench_series_end(&series);
    assert_int_equal(series.count, 0);
    bench_series_note(&series, BENCH_SERIES_MAX - 1, 1, 1);
    bench_series_end(&series);
    assert_int_equal(series.count, BENCH_SERIES_MAX);
    bench_series_fini(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_record_counts_once, begin, end),
        cmocka_unit_test_setup_teardown(what_was_left_out_is_missing, begin, end),
        cmocka_unit_test_setup_teardown(records_of_others_are_not_taken_for_ours, begin, end),
        cmocka_unit_test(intervals_without_anything_are_there_and_empty),
        cmocka_unit_test(a_run_of_weeks_keeps_its_first_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
