/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers: the rules of KIP-98, and that the table is a function of the log. */
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "replica/producers.h"
#include "tests/lib/test.h"

#define SEED   99
#define ROUNDS 300
#define LOG    120

static struct producers *p;

static int setup(void **state)
{
    (void)state;
    p = producers_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    producers_free(p);
    return 0;
}

static struct batch_info batch(int64_t id, int16_t epoch, int32_t seq, int32_t count, int64_t base)
{
    return (struct batch_info){.producer_id = id,
                               .producer_epoch = epoch,
                               .base_sequence = seq,
                               .count = count,
                               .base_offset = base,
                               .last_offset = base + count - 1,
                               .max_timestamp = base};
}

static void note(int64_t id, int16_t epoch, int32_t seq, int32_t count, int64_t base)
{
    struct batch_info b = batch(id, epoch, seq, count, base);

    producers_note(p, &b);
}

/* 0: append; 1: duplicate; else the error of the refusal. */
static int check_after(int64_t lossy_start, int64_t id, int16_t epoch, int32_t seq, int32_t count)
{
    struct batch_info b = batch(id, epoch, seq, count, 1000000);
    int64_t base = -1;
    int64_t last = -1;
    int error = 0;

    switch (producers_check(p, &b, lossy_start, &base, &last, &error)) {
    case PRODUCERS_APPEND:
        return 0;
    case PRODUCERS_DUPLICATE:
        assert_int_equal(last - base + 1, count);
        return 1;
    case PRODUCERS_REFUSE:
        break;
    }
    return error;
}

static int check(int64_t id, int16_t epoch, int32_t seq, int32_t count)
{
    return check_after(-1, id, epoch, seq, count);
}

static void a_batch_without_producer_is_always_appended(void **state)
{
    (void)state;
    note(-1, -1, -1, 3, 0);
    assert_int_equal(producers_count(p), 0);
    assert_int_equal(check(-1, -1, -1, 3), 0);
}

static void the_next_sequence_is_appended_and_a_gap_refused(void **state)
{
    (void)state;
    assert_int_equal(check(7, 0, 0, 2), 0);
    note(7, 0, 0, 2, 0);
    assert_int_equal(check(7, 0, 2, 1), 0);
    assert_int_equal(check(7, 0, 3, 1), TERN_EOUTOFORDER);
    assert_int_equal(check(7, 0, 1, 1), TERN_EOUTOFORDER);
    assert_int_equal(check(8, 0, 0, 1), 0);
}

static void the_five_newest_batches_are_recognised_and_no_older_one(void **state)
{
    (void)state;
    for (int32_t i = 0; i < 7; i++) {
        note(7, 0, i * 2, 2, i * 2);
    }
    for (int32_t i = 2; i < 7; i++) {
        assert_int_equal(check(7, 0, i * 2, 2), 1);
    }
    assert_int_equal(check(7, 0, 2, 2), TERN_EOUTOFORDER);
    assert_int_equal(check(7, 0, 12, 1), TERN_EOUTOFORDER); /* another batch of the same start */
}

static void a_duplicate_is_told_the_offsets_of_its_original(void **state)
{
    (void)state;
    struct batch_info again = batch(7, 0, 0, 4, 500);
    int64_t base = 0;
    int64_t last = 0;
    int error = 0;
    note(7, 0, 0, 4, 33);
    assert_int_equal(producers_check(p, &again, -1, &base, &last, &error), PRODUCERS_DUPLICATE);
    assert_int_equal(base, 33);
    assert_int_equal(last, 36);
}

static void a_new_producer_epoch_begins_with_sequence_zero(void **state)
{
    (void)state;
    note(7, 3, 10, 5, 0);
    assert_int_equal(check(7, 4, 15, 1), TERN_EOUTOFORDER);
    assert_int_equal(check(7, 4, 0, 1), 0);
    note(7, 4, 0, 1, 5);
    assert_int_equal(check(7, 3, 15, 1), TERN_EPRODUCERFENCED);
    assert_int_equal(check(7, 3, 10, 5), TERN_EPRODUCERFENCED);
}

static void sequences_wrap_from_the_largest_number_to_zero(void **state)
{
    (void)state;
    note(7, 0, INT32_MAX - 1, 2, 0);
    assert_int_equal(check(7, 0, 0, 1), 0);
    assert_int_equal(check(7, 0, INT32_MAX - 1, 2), 1);
    assert_int_equal(check(7, 0, 1, 1), TERN_EOUTOFORDER);
    note(8, 0, INT32_MAX - 1, 5, 2); /* ends at 2 */
    assert_int_equal(check(8, 0, 3, 1), 0);
    assert_int_equal(check(8, 0, INT32_MAX - 1, 5), 1);
}

static void behind_a_lossy_epoch_a_producer_may_leave_out_what_it_lost(void **state)
{
    (void)state;
    note(7, 0, 0, 2, 0);
    assert_int_equal(check_after(2, 7, 0, 9, 1), 0);
    assert_int_equal(check_after(1, 7, 0, 9, 1), TERN_EOUTOFORDER); /* its newest is not below */
    assert_int_equal(check_after(2, 7, 0, 1, 1), TERN_EOUTOFORDER); /* and nothing goes back */
    note(7, 0, 9, 1, 2);
    assert_int_equal(check_after(2, 7, 0, 11, 1), TERN_EOUTOFORDER); /* once */
    assert_int_equal(check_after(2, 7, 0, 10, 1), 0);
}

static void silent_producers_are_forgotten(void **state)
{
    (void)state;
    note(7, 0, 0, 1, 100);
    note(8, 0, 0, 1, 200);
    for (int hour = 0; hour < PRODUCER_HOURS; hour++) {
        producers_age(p, PRODUCER_HOURS);
        note(8, 0, hour + 1, 1, 201 + hour);
    }
    assert_true(producers_knows(p, 7)); /* however old its batch says to be */
    assert_int_equal(producers_forgotten_max(p), -1);
    producers_age(p, PRODUCER_HOURS);
    assert_false(producers_knows(p, 7));
    assert_true(producers_knows(p, 8));
    assert_int_equal(producers_forgotten_max(p), 7); /* 8 and above never were */
    struct buf packed = {0};
    struct producers *other = producers_new();
    producers_pack(p, &packed);
    assert_int_equal(producers_unpack(other, buf_slice(&packed)), 0);
    assert_int_equal(producers_forgotten_max(other), 7);
    producers_free(other);
    buf_fini(&packed);
}

static void the_longest_silent_producer_makes_room_when_there_are_too_many(void **state)
{
    (void)state;
    for (int64_t id = 0; id < PRODUCERS_MAX; id++) {
        note(id, 0, 0, 1, id);
    }
    note(0, 0, 1, 1, PRODUCERS_MAX); /* heard of again */
    note(PRODUCERS_MAX, 0, 0, 1, PRODUCERS_MAX + 1);
    assert_int_equal(producers_count(p), PRODUCERS_MAX);
    assert_true(producers_knows(p, 0));
    assert_false(producers_knows(p, 1));
    assert_int_equal(producers_forgotten_max(p), 1);
}

/* ---- a function of the log ------------------------------------------------------------------- */

static struct batch_info batches[LOG];

/* A few producers, some with new epochs, as a log would have them. */
static void make_log(struct prng *prng)
{
    int32_t next[4] = {0, 0, INT32_MAX - 20, 0};
    int16_t epoch[4] = {0, 0, 0, 0};
    int64_t base = 0;

    for (int i = 0; i < LOG; i++) {
        uint64_t id = prng_below(prng, 4);
        int32_t count = 1 + (int32_t)prng_below(prng, 4);
        if (prng_chance(prng, 1, 20)) {
            epoch[id]++;
            next[id] = 0;
        }
        batches[i] = batch(id < 3 ? (int64_t)id : -1, epoch[id], next[id], count, base);
        next[id] = (int32_t)(((uint32_t)next[id] + (uint32_t)count) & INT32_MAX);
        base += count;
    }
}

static void assert_same(const struct producers *a, const struct producers *b)
{
    struct buf bytes_a = {0};
    struct buf bytes_b = {0};

    producers_pack(a, &bytes_a);
    producers_pack(b, &bytes_b);
    assert_int_equal(bytes_a.len, bytes_b.len);
    assert_memory_equal(bytes_a.base, bytes_b.base, bytes_a.len);
    buf_fini(&bytes_a);
    buf_fini(&bytes_b);
}

static void a_snapshot_and_the_rest_of_the_log_give_the_same_table(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf snapshot = {0};
        int at = (int)prng_below(&prng, LOG);
        make_log(&prng);
        producers_clear(p);
        for (int i = 0; i < LOG; i++) {
            if (i == at) {
                producers_pack(p, &snapshot);
            }
            int64_t base = 0;
            int64_t last = 0;
            int error = 0;
            assert_int_equal(producers_check(p, &batches[i], -1, &base, &last, &error),
                             PRODUCERS_APPEND);
            producers_note(p, &batches[i]);
        }
        struct producers *rebuilt = producers_new();
        producers_note(rebuilt, &batches[0]); /* forgotten by the unpacking */
        assert_int_equal(producers_unpack(rebuilt, buf_slice(&snapshot)), 0);
        for (int i = at; i < LOG; i++) {
            producers_note(rebuilt, &batches[i]);
        }
        assert_same(p, rebuilt);
        producers_free(rebuilt);
        buf_fini(&snapshot);
    }
}

static void a_damaged_snapshot_is_refused_and_leaves_the_table_empty(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct prng prng;
    prng_init(&prng, SEED + 1);
    make_log(&prng);
    for (int i = 0; i < LOG; i++) {
        producers_note(p, &batches[i]);
    }
    producers_pack(p, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = mem_new(len); /* so that a read beyond it is seen */
        memcpy(exact, bytes.base, len);
        int error = producers_unpack(p, slice_of(exact, len));
        assert_true(error == TERN_EMALFORMED || error == TERN_EFORMAT);
        assert_int_equal(producers_count(p), 0);
        free(exact);
    }
    buf_u8(&bytes, 0);
    assert_int_equal(producers_unpack(p, buf_slice(&bytes)), TERN_EMALFORMED);
    assert_int_equal(producers_count(p), 0);
    bytes.len--;
    bytes.base[0]++;
    assert_int_equal(producers_unpack(p, buf_slice(&bytes)), TERN_EFORMAT);
    bytes.base[0]--;
    memset(bytes.base + 12, 0xff, 4); /* a count that is not there */
    assert_int_equal(producers_unpack(p, buf_slice(&bytes)), TERN_EMALFORMED);
    buf_fini(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_without_producer_is_always_appended),
        TEST(the_next_sequence_is_appended_and_a_gap_refused),
        TEST(the_five_newest_batches_are_recognised_and_no_older_one),
        TEST(a_duplicate_is_told_the_offsets_of_its_original),
        TEST(a_new_producer_epoch_begins_with_sequence_zero),
        TEST(sequences_wrap_from_the_largest_number_to_zero),
        TEST(behind_a_lossy_epoch_a_producer_may_leave_out_what_it_lost),
        TEST(silent_producers_are_forgotten),
        TEST(the_longest_silent_producer_makes_room_when_there_are_too_many),
        TEST(a_snapshot_and_the_rest_of_the_log_give_the_same_table),
        TEST(a_damaged_snapshot_is_refused_and_leaves_the_table_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
