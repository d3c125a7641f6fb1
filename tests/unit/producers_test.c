/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers: the rules of KIP-98, and that the table is a function of the log. */
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "replica/replica.h"
#include "tests/lib/test.h"

#define SEED   99
#define ROUNDS 300
#define LOG    120

static struct producers *p;

static void write_txn(int64_t id, int16_t epoch, int32_t seq, int64_t base);

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

/* For a log that begins anew: whatever the table has come to since, the state before an offset, and what is
 * in the log from there on, give the same one. */
static void what_was_sent_before_a_log_start_and_the_rest_give_the_same_table(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf before = {0};
        int at = (int)prng_below(&prng, LOG);
        make_log(&prng);
        producers_clear(p);
        for (int i = 0; i < LOG; i++) {
            producers_note(p, &batches[i]);
        }
        producers_pack_before(p, batches[at].base_offset, SIZE_MAX, &before);
        struct producers *other = producers_new();
        assert_int_equal(producers_unpack(other, buf_slice(&before)), 0);
        for (int i = at; i < LOG; i++) {
            producers_note(other, &batches[i]);
        }
        assert_same(p, other);
        producers_free(other);
        buf_fini(&before);
    }
}

static void where_there_is_no_room_the_longest_silent_are_left_out(void **state)
{
    (void)state;
    struct buf before = {0};
    for (int64_t id = 0; id < 100; id++) {
        note(id, 0, 0, 1, id);
    }
    producers_pack_before(p, 100, 1000, &before);
    assert_in_range(before.len, 500, 1000);
    assert_int_equal(producers_unpack(p, buf_slice(&before)), 0);
    assert_in_range(producers_count(p), 10, 21);
    assert_true(producers_knows(p, 99));
    assert_false(producers_knows(p, 0));
    assert_int_equal(producers_forgotten_max(p), 99 - (int64_t)producers_count(p));
    for (int64_t id = 200; id < 300; id++) {
        write_txn(id, 0, 0, id);
    }
    buf_clear(&before);
    producers_pack_before(p, 400, 1000,
                          &before); /* open transactions are not forgotten one by one */
    assert_in_range(before.len, 1, 1000);
    assert_int_equal(producers_unpack(p, buf_slice(&before)), 0);
    assert_int_equal(producers_count(p), 0);
    assert_int_equal(producers_forgotten_max(p), 299);
    buf_fini(&before);
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

/* ---- transactions ---------------------------------------------------------------------------- */

static struct batch_info txn_batch(int64_t id, int16_t epoch, int32_t seq, int64_t base)
{
    struct batch_info b = batch(id, epoch, seq, 1, base);

    b.attributes = BATCH_TRANSACTIONAL;
    return b;
}

static void write_txn(int64_t id, int16_t epoch, int32_t seq, int64_t base)
{
    struct batch_info b = txn_batch(id, epoch, seq, base);

    producers_note(p, &b);
}

static struct batch_info marker(int64_t id, int16_t epoch, enum batch_marker kind, int64_t base)
{
    struct batch_info b = txn_batch(id, epoch, -1, base);

    b.attributes |= BATCH_CONTROL;
    b.marker = kind;
    b.coordinator_epoch = 7;
    return b;
}

static void end_txn(int64_t id, int16_t epoch, enum batch_marker kind, int64_t base)
{
    struct batch_info b = marker(id, epoch, kind, base);

    producers_note(p, &b);
}

static int check_txn(struct batch_info b)
{
    int64_t base = -1;
    int64_t last = -1;
    int error = 0;

    return producers_check(p, &b, -1, &base, &last, &error) == PRODUCERS_REFUSE ? error : 0;
}

static int check_marker(struct batch_info b, int64_t number)
{
    int64_t at = -1;
    int error = 0;

    switch (producers_check_marker(p, &b, number, &at, &error)) {
    case PRODUCERS_APPEND:
        return 0;
    case PRODUCERS_DUPLICATE:
        return 1;
    case PRODUCERS_REFUSE:
        break;
    }
    return error;
}

static void what_is_stable_ends_where_the_first_open_transaction_begins(void **state)
{
    (void)state;
    note(9, 0, 0, 10, 0);
    assert_int_equal(producers_stable(p, 10), 10);
    write_txn(1, 0, 0, 10);
    write_txn(2, 0, 0, 11);
    assert_int_equal(producers_stable(p, 12), 10);
    assert_int_equal(producers_stable(p, 5), 5);
    end_txn(2, 0, BATCH_COMMIT, 12);
    assert_int_equal(producers_stable(p, 13), 10);
    end_txn(1, 0, BATCH_COMMIT, 13);
    assert_int_equal(producers_stable(p, 13), 10); /* its end is not committed yet */
    assert_int_equal(producers_stable(p, 14), 14);
    producers_settle(p, 14, 0);
    assert_int_equal(producers_stable(p, 14), 14);
}

static void aborted_transactions_are_told_until_the_log_has_deleted_them(void **state)
{
    const struct producers_aborted *a;
    size_t count = 0;

    (void)state;
    write_txn(1, 0, 0, 0);
    write_txn(2, 0, 0, 1);
    end_txn(1, 0, BATCH_ABORT, 2);
    write_txn(3, 0, 0, 3);
    end_txn(3, 0, BATCH_COMMIT, 4);
    end_txn(2, 0, BATCH_ABORT, 5);
    a = producers_aborted(p, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(a[0].producer_id, 1);
    assert_int_equal(a[0].stable, 1); /* the one of producer 2 was open */
    assert_int_equal(a[1].first, 1);
    assert_int_equal(a[1].last, 5);
    assert_int_equal(a[1].stable, 6);
    (void)producers_aborted(p, 3, &count);
    assert_int_equal(count, 1);
    producers_settle(p, 6, 3);
    (void)producers_aborted(p, 0, &count);
    assert_int_equal(count, 1);
    producers_settle(p, 6, 6);
    (void)producers_aborted(p, 0, &count);
    assert_int_equal(count, 0);
}

/* librdkafka does so after an abort that dropped a batch whose answer was lost; it took the answer for the new record's. */
static void the_sequence_of_a_batch_of_an_ended_transaction_acknowledges_no_other_one(void **state)
{
    (void)state;
    write_txn(1, 0, 0, 10);
    assert_int_equal(check_txn(txn_batch(1, 0, 0, 11)), 0); /* sent again: a duplicate */
    end_txn(1, 0, BATCH_ABORT, 11);
    assert_int_equal(check_txn(txn_batch(1, 0, 0, 12)), TERN_EOUTOFORDER);
    assert_int_equal(check_txn(txn_batch(1, 0, 1, 12)), 0);
    write_txn(1, 0, 1, 12);
    assert_int_equal(check_txn(txn_batch(1, 0, 0, 13)), TERN_EOUTOFORDER);
    assert_int_equal(check_txn(txn_batch(1, 0, 1, 13)), 0);
    end_txn(1, 0, BATCH_COMMIT, 13);
    assert_int_equal(check_txn(txn_batch(1, 0, 1, 14)), TERN_EOUTOFORDER);
    assert_int_equal(check_txn(txn_batch(1, 1, 0, 14)), 0); /* a new epoch */
}

static void a_marker_fences_older_epochs_and_older_coordinators(void **state)
{
    struct batch_info old;

    (void)state;
    write_txn(1, 3, 0, 0);
    assert_int_equal(check_marker(marker(1, 2, BATCH_ABORT, 1), 0), TERN_EPRODUCERFENCED);
    end_txn(1, 4, BATCH_ABORT, 1); /* a fenced one is ended under the next epoch */
    assert_int_equal(check_txn(txn_batch(1, 3, 1, 2)), TERN_EPRODUCERFENCED);
    assert_int_equal(check_txn(txn_batch(1, 4, 1, 2)), TERN_EOUTOFORDER);
    assert_int_equal(check_txn(txn_batch(1, 4, 0, 2)), 0);
    old = marker(1, 4, BATCH_ABORT, 2);
    old.coordinator_epoch = 6;
    assert_int_equal(check_marker(old, 0), TERN_ETXNCOORDINATORFENCED);
    assert_int_equal(check_marker(marker(1, 4, BATCH_ABORT, 2), 0), 0);
}

static void a_copy_of_a_marker_does_not_end_the_next_transaction(void **state)
{
    (void)state;
    write_txn(1, 0, 0, 0);
    assert_int_equal(check_marker(marker(1, 0, BATCH_COMMIT, 1), 40), 0);
    end_txn(1, 0, BATCH_COMMIT, 1);
    producers_number_marker(p, 1, 40);
    write_txn(1, 0, 1, 2);
    assert_int_equal(check_marker(marker(1, 0, BATCH_COMMIT, 3), 40), 1);
    assert_int_equal(check_marker(marker(1, 0, BATCH_COMMIT, 3), 39), 1);
    assert_int_equal(check_marker(marker(1, 0, BATCH_ABORT, 3), 55), 0);
}

static void a_transaction_is_asked_for_at_its_first_batch_only(void **state)
{
    struct batch_info first = txn_batch(1, 0, 0, 0);
    struct batch_info second = txn_batch(1, 0, 1, 1);
    struct batch_info newer = txn_batch(1, 1, 0, 30);
    struct batch_info plain = batch(1, 0, 1, 1, 1);

    (void)state;
    assert_true(producers_begins(p, &first));
    producers_note(p, &first);
    assert_false(producers_begins(p, &second));
    assert_true(producers_begins(p, &newer)); /* the end of the open one is still under way */
    assert_int_equal(check_txn(plain), TERN_ETXNSTATE);
    end_txn(1, 0, BATCH_COMMIT, 1);
    assert_true(producers_begins(p, &second));
    assert_true(producers_begins(p, &first)); /* its number, but not the batch that is there */
    plain.base_offset = plain.last_offset = 2;
    assert_int_equal(check_txn(plain), 0);
}

static void who_has_an_open_transaction_is_not_forgotten(void **state)
{
    struct producer_view view;

    (void)state;
    write_txn(1, 0, 0, 0);
    note(2, 0, 0, 1, 1);
    for (int hour = 0; hour < 100; hour++) {
        producers_age(p, PRODUCER_HOURS);
    }
    assert_true(producers_view(p, 1, &view));
    assert_int_equal(view.open_since, 0);
    assert_false(producers_knows(p, 2));
    end_txn(1, 0, BATCH_ABORT, 2);
    for (int hour = 0; hour < 100; hour++) {
        producers_age(p, PRODUCER_HOURS);
    }
    assert_false(producers_knows(p, 1));
}

/* Any cut into snapshot and rest gives the same answers as the whole log. */
static void a_snapshot_keeps_open_and_aborted_transactions(void **state)
{
    struct batch_info log[LOG];
    struct prng random;

    (void)state;
    prng_init(&random, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        int32_t seq[4] = {0};
        bool open[4] = {false};
        for (int i = 0; i < LOG; i++) {
            int64_t id = (int64_t)prng_below(&random, 4);
            bool ends = open[id] && prng_chance(&random, 1, 3);
            enum batch_marker kind = prng_chance(&random, 1, 2) ? BATCH_COMMIT : BATCH_ABORT;
            log[i] = ends ? marker(id, 0, kind, i) : txn_batch(id, 0, seq[id]++, i);
            open[id] = !ends;
        }
        int cut = (int)prng_below(&random, LOG);
        int64_t hw = (int64_t)prng_below(&random, LOG + 1);
        struct producers *whole = producers_new();
        struct producers *parts = producers_new();
        struct buf bytes = {0};
        for (int i = 0; i < LOG; i++) {
            producers_note(whole, &log[i]);
        }
        for (int i = 0; i < cut; i++) {
            producers_note(parts, &log[i]);
        }
        producers_pack(parts, &bytes);
        assert_int_equal(producers_unpack(parts, buf_slice(&bytes)), 0);
        for (int i = cut; i < LOG; i++) {
            producers_note(parts, &log[i]);
        }
        assert_int_equal(producers_stable(whole, hw), producers_stable(parts, hw));
        size_t n = 0;
        size_t m = 0;
        const struct producers_aborted *a = producers_aborted(whole, hw, &n);
        const struct producers_aborted *b = producers_aborted(parts, hw, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n * sizeof *a);
        buf_fini(&bytes);
        producers_free(whole);
        producers_free(parts);
    }
}

/* What an earlier build wrote is read, for ever. */
/* One that was open at the log start is open for who begins anew there, whether it has ended since or not,
 * and one that began later is not known yet. */
static void before_a_log_start_a_transaction_is_open_that_was_open_there(void **state)
{
    (void)state;
    struct buf before = {0};
    write_txn(1, 0, 0, 0);
    write_txn(2, 0, 0, 1);
    write_txn(3, 0, 0, 2);
    end_txn(3, 0, BATCH_ABORT, 3);
    end_txn(2, 0, BATCH_ABORT, 4);
    write_txn(3, 0, 1, 5);
    producers_pack_before(p, 4, SIZE_MAX, &before);
    assert_int_equal(producers_unpack(p, buf_slice(&before)), 0);
    assert_int_equal(producers_stable(p, 4), 0);
    end_txn(1, 0, BATCH_COMMIT, 6);
    assert_int_equal(producers_stable(p, 7), 1);
    end_txn(2, 0, BATCH_ABORT, 7);
    assert_int_equal(producers_stable(p, 8), 8);
    size_t count = 0;
    const struct producers_aborted *aborted = producers_aborted(p, 0, &count);
    assert_int_equal(count, 1);
    assert_int_equal(aborted[0].producer_id, 2);
    assert_int_equal(aborted[0].first, 1);
    assert_int_equal(aborted[0].last, 7);
    buf_fini(&before);
}

static void a_snapshot_without_transactions_is_read(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_le32(&b, 2);
    buf_le64(&b, UINT64_MAX);
    buf_le32(&b, 1);
    buf_le64(&b, 5);
    buf_le16(&b, 3);
    buf_u8(&b, 1);
    buf_le64(&b, 1700);
    buf_le32(&b, 10);
    buf_le32(&b, 12);
    buf_le64(&b, 100);
    buf_le64(&b, 102);
    assert_int_equal(producers_unpack(p, buf_slice(&b)), 0);
    struct producer_view view;
    assert_true(producers_view(p, 5, &view));
    assert_int_equal(view.last_sequence, 12);
    assert_int_equal(view.open_since, -1);
    assert_int_equal(view.coordinator_epoch, -1);
    buf_fini(&b);
}

/* Between the snapshot and the log start it is not known what they wrote: an older number would be
 * expected for ever, an older transaction never end. */
static void a_snapshot_below_the_log_start_is_forgotten(void **state)
{
    struct history_entry history = {1, 0};
    struct replica_load load = {.self = 1,
                                .promised = 1,
                                .synced = 1,
                                .leo = 20,
                                .log_start = 10,
                                .history = &history,
                                .history_count = 1};
    struct replica r;
    struct batch_info old = txn_batch(1, 0, 0, 5);

    (void)state;
    replica_init(&r, &load);
    producers_note(r.producers, &old);
    replica_producers_restart(&r, 8);
    assert_false(producers_knows(r.producers, 1));
    assert_int_equal(r.producers_at, 10);
    producers_note(r.producers, &old);
    replica_producers_restart(&r, 12); /* one above it is taken as it is */
    assert_true(producers_knows(r.producers, 1));
    assert_int_equal(r.producers_at, 12);
    replica_fini(&r);
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
        TEST(what_was_sent_before_a_log_start_and_the_rest_give_the_same_table),
        TEST(where_there_is_no_room_the_longest_silent_are_left_out),
        TEST(before_a_log_start_a_transaction_is_open_that_was_open_there),
        TEST(a_damaged_snapshot_is_refused_and_leaves_the_table_empty),
        TEST(what_is_stable_ends_where_the_first_open_transaction_begins),
        TEST(aborted_transactions_are_told_until_the_log_has_deleted_them),
        TEST(the_sequence_of_a_batch_of_an_ended_transaction_acknowledges_no_other_one),
        TEST(a_marker_fences_older_epochs_and_older_coordinators),
        TEST(a_copy_of_a_marker_does_not_end_the_next_transaction),
        TEST(a_transaction_is_asked_for_at_its_first_batch_only),
        TEST(who_has_an_open_transaction_is_not_forgotten),
        TEST(a_snapshot_keeps_open_and_aborted_transactions),
        TEST(a_snapshot_without_transactions_is_read),
        TEST(a_snapshot_below_the_log_start_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
