/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram against exact percentiles of the same values. */
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "cli/bench_hist.h"
#include "tests/lib/test.h"

#define VALUES 20000

static const uint32_t shares[] = {1, 1000, 10000, 25000, 50000, 90000, 99000, 99900, 99990, 100000};
static uint64_t values[VALUES];
static struct bench_hist hist;
static struct bench_hist other;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The least of the sorted values that the share does not exceed. */
static uint64_t exact(size_t count, uint32_t parts)
{
    size_t rank = (count * parts + 99999) / 100000;

    return values[rank > 0 ? rank - 1 : 0];
}

static void check_against_exact(size_t count)
{
    qsort(values, count, sizeof values[0], compare);
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        uint64_t want = exact(count, shares[i]);
        uint64_t got = bench_hist_at(&hist, shares[i]);
        assert_true(got >= want);
        assert_true(got <= want + want / 64);
    }
    assert_int_equal(hist.min, values[0]);
    assert_int_equal(hist.max, values[count - 1]);
    assert_int_equal(bench_hist_at(&hist, 100000), values[count - 1]);
}

static void nothing_noted_gives_zero(void **state)
{
    (void)state;
    bench_hist_clear(&hist);
    assert_int_equal(bench_hist_at(&hist, 50000), 0);
    assert_int_equal(bench_hist_at(&hist, 100000), 0);
    assert_true(bench_hist_mean(&hist) == 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    bench_hist_clear(&hist);
    for (uint64_t value = 0; value < 128; value++) {
        bench_hist_note(&hist, value);
    }
    assert_int_equal(bench_hist_at(&hist, 50000), 63);
    assert_int_equal(bench_hist_at(&hist, 100000), 127);
    assert_true(bench_hist_mean(&hist) == 63.5);
}

static void percentiles_agree_with_sorted_values(void **state)
{
    struct prng prng;

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        size_t count = 1 + seed * 499;
        prng_init(&prng, seed);
        bench_hist_clear(&hist);
        for (size_t i = 0; i < count; i++) {
            /* Any magnitude alike: from single microseconds to days. */
            values[i] = prng_next(&prng) >> (22 + prng_below(&prng, 42));
            bench_hist_note(&hist, values[i]);
        }
        check_against_exact(count);
    }
}

static void every_bucket_border_is_kept(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 42; bit++) {
        for (int step = -1; step <= 1; step++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
            bench_hist_clear(&hist);
            bench_hist_note(&hist, value);
            bench_hist_note(&hist, UINT64_C(1) << 42);
            values[0] = value;
            values[1] = UINT64_C(1) << 42;
            check_against_exact(2);
        }
    }
}

static void a_sum_of_two_is_as_one(void **state)
{
    struct prng prng;

    (void)state;
    prng_init(&prng, 7);
    bench_hist_clear(&hist);
    bench_hist_clear(&other);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = prng_below(&prng, 1000000);
        bench_hist_note(i % 3 == 0 ? &hist : &other, values[i]);
    }
    bench_hist_add(&hist, &other);
    bench_hist_clear(&other);
    bench_hist_add(&hist, &other); /* of nothing */
    assert_int_equal(hist.count, VALUES);
    check_against_exact(VALUES);
}

static void what_is_written_adds_up(void **state)
{
    char line[128];
    unsigned long low;
    unsigned long high;
    unsigned long count;
    uint64_t total = 0;
    uint64_t last = 0;
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    bench_hist_clear(&hist);
    for (uint64_t i = 0; i < 1000; i++) {
        bench_hist_note(&hist, i * i);
    }
    bench_hist_write(&hist, file);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        assert_int_equal(sscanf(line, "%lu %lu %lu", &low, &high, &count), 3);
        assert_true(low <= high);
        assert_true(total == 0 || low > last);
        last = high;
        total += count;
    }
    assert_int_equal(total, 1000);
    assert_true(last >= 999 * 999);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_noted_gives_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(percentiles_agree_with_sorted_values),
        cmocka_unit_test(every_bucket_border_is_kept),
        cmocka_unit_test(a_sum_of_two_is_as_one),
        cmocka_unit_test(what_is_written_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
