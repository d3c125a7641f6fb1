/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction coordinator's rules (KIP-98): what is open, decided and ended, whoever asks again
 * and whichever coordinator answers. */
#include "base/prng.h"
#include "tests/unit/txn_fixture.h"

static void a_transaction_goes_from_its_first_partition_to_its_last_marker(void **state)
{
    (void)state;
    assert_int_equal(init(0, "t"), 0);
    assert_int_equal(told[0].producer_id, 500);
    assert_int_equal(told[0].epoch, 0);
    struct txn_who by = who("t", 500, 0);
    assert_int_equal(verify(by, "pay", 0), TERN_ETXNSTATE);
    assert_int_equal(add(1, by, "pay", 0), 1);
    commit_all();
    assert_int_equal(result(1), 0);
    assert_int_equal(add(1, by, "pay", 1), 1);
    commit_all();
    assert_int_equal(add(1, by, "pay", 1), 0); /* it is in: told at once */
    assert_int_equal(verify(by, "pay", 1), 0);
    assert_int_equal(verify(by, "pay", 2), TERN_ETXNSTATE);
    assert_int_equal(end(2, by, true), 1);
    commit_all();
    assert_int_equal(result(2), 0);
    assert_int_equal(state_of("t"), TXN_PREPARE_COMMIT);
    assert_int_equal(marks, 1);
    assert_int_equal(verify(by, "pay", 1), TERN_ECONCURRENTTXN);
    assert_int_equal(add(3, by, "pay", 2), TERN_ECONCURRENTTXN);
    mark("t", "pay", 0);
    mark("t", "pay", 0); /* a copy */
    commit_all();
    assert_int_equal(state_of("t"), TXN_PREPARE_COMMIT);
    mark("t", "pay", 1);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_COMMIT);
    assert_int_equal(verify(by, "pay", 1), TERN_ETXNSTATE);
    assert_int_equal(end(2, by, true), 0); /* asked again: the answer was lost */
    assert_int_equal(end(2, by, false), TERN_ETXNSTATE);
}

static void nobody_is_told_and_no_partition_before_the_record_is_committed(void **state)
{
    (void)state;
    assert_int_equal(init_as(0, "t", -1, -1, 7), 1);
    assert_int_equal(init_as(1, "t", -1, -1, 8), TERN_ECONCURRENTTXN);
    commit_all();
    struct txn_who by = who("t", 7, 0);
    (void)add(1, by, "pay", 0);
    assert_int_equal(verify(by, "pay", 0), TERN_ETXNSTATE);
    assert_int_equal(end(2, by, true), TERN_ECONCURRENTTXN);
    commit_all();
    assert_int_equal(end(2, by, true), 1);
    assert_int_equal(marks, 0);
    fail_over(); /* the decision was not committed: there is none */
    assert_int_equal(state_of("t"), TXN_ONGOING);
    assert_int_equal(marks, 0);
    assert_int_equal(end(3, by, false), 1);
    commit_all();
    assert_int_equal(state_of("t"), TXN_PREPARE_ABORT);
}

static void another_coordinator_goes_on_with_what_was_decided(void **state)
{
    (void)state;
    (void)init(0, "t");
    struct txn_who by = who("t", 500, 0);
    (void)add(1, by, "pay", 0);
    commit_all();
    (void)add(1, by, "pay", 1);
    commit_all();
    (void)end(2, by, true);
    commit_all();
    mark("t", "pay", 0);
    fail_over();
    assert_int_equal(marks, 2); /* once by each of them */
    mark("t", "pay", 1);
    assert_int_equal(state_of("t"), TXN_PREPARE_COMMIT); /* it tells all of them again */
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_COMMIT);
}

static void a_second_producer_fences_the_first_and_its_transaction_is_aborted(void **state)
{
    (void)state;
    (void)init(0, "t");
    struct txn_who first = who("t", 500, 0);
    (void)add(1, first, "pay", 0);
    commit_all();
    assert_int_equal(init_as(2, "t", -1, -1, 9), TERN_ECONCURRENTTXN);
    assert_int_equal(end(3, first, true), TERN_ECONCURRENTTXN); /* the abort is on its way */
    commit_all();
    assert_int_equal(state_of("t"), TXN_PREPARE_ABORT);
    assert_int_equal(txns_find(txns, slice_text("t"))->now.epoch, 1); /* markers fence, too */
    assert_int_equal(end(3, first, true), TERN_ETXNFENCED);
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(init(2, "t"), 0);
    assert_int_equal(told[2].producer_id, 500);
    assert_int_equal(told[2].epoch, 2);
    assert_int_equal(add(3, first, "pay", 0), TERN_ETXNFENCED);
    assert_int_equal(add(3, who("t", 501, 2), "pay", 0), TERN_EPRODUCERMAPPING);
    assert_int_equal(add(3, who("u", 500, 2), "pay", 0), TERN_EPRODUCERMAPPING);
}

static void a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(void **state)
{
    (void)state;
    (void)init(0, "t");
    struct txn_who by = who("t", 500, 0);
    now.ms += 10 * MINUTE;
    tick(); /* nothing is open: nothing is late */
    (void)add(1, by, "pay", 0);
    commit_all();
    now.ms += MINUTE - 1;
    tick();
    commit_all();
    assert_int_equal(state_of("t"), TXN_ONGOING);
    now.ms += 1;
    tick();
    commit_all();
    assert_int_equal(state_of("t"), TXN_PREPARE_ABORT);
    assert_int_equal(end(2, by, true), TERN_ETXNFENCED);
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_ABORT);
    assert_int_equal(txns_wake_ms(txns), UINT64_MAX);
}

static void a_time_out_begins_anew_with_another_coordinator(void **state)
{
    (void)state;
    (void)init(0, "t");
    (void)add(1, who("t", 500, 0), "pay", 0);
    commit_all();
    now.ms += MINUTE - 1;
    fail_over();
    now.ms += MINUTE - 1;
    tick();
    commit_all();
    assert_int_equal(state_of("t"), TXN_ONGOING);
    now.ms += 1;
    tick();
    commit_all();
    assert_int_equal(state_of("t"), TXN_PREPARE_ABORT);
}

static void what_is_refused_is_tried_again(void **state)
{
    struct txn_out out = {0};

    (void)state;
    (void)init(0, "t");
    struct txn_who by = who("t", 500, 0);
    (void)add(1, by, "pay", 0);
    txns_refused(txns, now, buf_slice(&log_[committed].key), TERN_ENOCOORDINATOR, &out);
    carry_out(&out);
    fail_over();
    assert_int_equal(told[1].error, TERN_ENOCOORDINATOR);
    (void)add(1, by, "pay", 0);
    commit_all();
    (void)end(2, by, false);
    commit_all();
    mark("t", "pay", 0); /* the last record is asked for */
    txns_refused(txns, now, buf_slice(&log_[committed].key), TERN_ENOCOORDINATOR, &out);
    carry_out(&out);
    appended--;
    buf_fini(&log_[appended].key);
    buf_fini(&log_[appended].value);
    now.ms += 1000;
    tick();
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_ABORT);
}

static void wrong_requests_get_kafkas_errors(void **state)
{
    struct txn_out out = {0};
    struct txn_init ask = {&ids[0], slice_text("t"), TXN_TIMEOUT_MAX_MS + 1, -1, -1, 5};

    (void)state;
    txns_init(txns, now, &ask, &out);
    carry_out(&out);
    assert_int_equal(told[0].error, TERN_ETXNTIMEOUT);
    ask.timeout_ms = 0;
    txns_init(txns, now, &ask, &out);
    carry_out(&out);
    assert_int_equal(told[0].error, TERN_ETXNTIMEOUT);
    assert_int_equal(init_as(0, "", -1, -1, 5), TERN_EINVALIDREQUEST);
    assert_int_equal(init_as(0, "t", -1, -1, -1), TERN_ENOCOORDINATOR);
    (void)init(0, "t");
    assert_int_equal(end(1, who("t", 500, 0), true), TERN_ETXNSTATE); /* nothing is open */
    assert_int_equal(end(1, who("t", 500, 1), true), TERN_ETXNFENCED);
    assert_int_equal(end(1, who("", 500, 1), true), TERN_EINVALIDREQUEST);
}

/* Leads an id of producer id 500, epoch 0, into this state. */
static void lead_to(enum txn_state to)
{
    struct txn_who by = who("t", 500, 0);
    bool commits = to == TXN_PREPARE_COMMIT || to == TXN_COMPLETE_COMMIT;

    (void)init(0, "t");
    if (to == TXN_EMPTY) {
        return;
    }
    (void)add(1, by, "pay", 0);
    commit_all();
    if (to == TXN_ONGOING) {
        return;
    }
    (void)end(1, by, commits);
    commit_all();
    if (to == TXN_COMPLETE_COMMIT || to == TXN_COMPLETE_ABORT) {
        mark("t", "pay", 0);
        commit_all();
    }
    assert_int_equal(state_of("t"), to);
}

/* The table of Kafka's coordinator for clients without KIP-890 part 2: 1 stands for a new decision. An abort
 * of what is committed is never answered with 0: its producer would take it for aborted. */
static void an_end_is_answered_by_state_result_and_epoch(void **state)
{
    static const struct {
        enum txn_state state;
        int commit;
        int abort;
    } table[] = {
        {TXN_EMPTY, TERN_ETXNSTATE, TERN_ETXNSTATE},
        {TXN_ONGOING, 1, 1},
        {TXN_PREPARE_COMMIT, TERN_ECONCURRENTTXN, TERN_ETXNSTATE},
        {TXN_PREPARE_ABORT, TERN_ETXNSTATE, TERN_ECONCURRENTTXN},
        {TXN_COMPLETE_COMMIT, 0, TERN_ETXNSTATE},
        {TXN_COMPLETE_ABORT, TERN_ETXNSTATE, 0},
    };

    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        for (int moved = 0; moved < 2; moved++) { /* the same coordinator, and the next one */
            for (int commit = 0; commit < 2; commit++) {
                lead_to(table[i].state);
                if (moved) {
                    fail_over();
                }
                assert_int_equal(end(2, who("t", 500, -1), commit), TERN_ETXNFENCED);
                assert_int_equal(end(2, who("t", 500, 1), commit), TERN_ETXNFENCED);
                assert_int_equal(end(2, who("t", 501, 0), commit), TERN_EPRODUCERMAPPING);
                assert_int_equal(end(2, who("u", 500, 0), commit), TERN_EPRODUCERMAPPING);
                assert_int_equal(end(2, who("t", 500, 0), commit),
                                 commit ? table[i].commit : table[i].abort);
                (void)teardown(state);
                (void)setup(state);
            }
        }
    }
}

/* The answer was lost, with its coordinator or without; the record is there, or is not. */
static void an_end_that_is_asked_for_again_comes_to_the_same_end(void **state)
{
    struct txn_who by = who("t", 500, 0);

    for (int commit = 0; commit < 2; commit++) {
        for (int written = 0; written < 2; written++) {
            lead_to(TXN_ONGOING);
            assert_int_equal(end(2, by, commit), 1);
            assert_int_equal(end(2, by, commit), TERN_ECONCURRENTTXN); /* it is on its way */
            assert_int_equal(end(2, by, !commit), TERN_ECONCURRENTTXN);
            if (written) {
                commit_all();
            }
            fail_over();
            assert_int_equal(end(2, by, commit), written ? TERN_ECONCURRENTTXN : 1);
            commit_all();
            mark("t", "pay", 0);
            assert_int_equal(end(2, by, commit), TERN_ECONCURRENTTXN); /* it is being completed */
            commit_all();
            fail_over();
            assert_int_equal(end(2, by, commit), 0);
            assert_int_equal(end(2, by, commit), 0);
            assert_int_equal(end(2, by, !commit), TERN_ETXNSTATE);
            (void)teardown(state);
            (void)setup(state);
        }
    }
}

static void an_id_without_use_is_forgotten_and_an_open_one_is_not(void **state)
{
    struct txn_out out = {0};

    (void)state;
    (void)init(0, "t");
    (void)init(1, "u");
    (void)add(2, who("u", 501, 0), "pay", 0);
    commit_all();
    now.wall_ms += 8LL * 24 * 60 * MINUTE;
    txns_expire(txns, now, &out);
    carry_out(&out);
    commit_all();
    assert_null(txns_find(txns, slice_text("t")));
    assert_non_null(txns_find(txns, slice_text("u")));
}

/* Whatever comes in whatever order, and however often the coordinator is lost: a decision that was
 * told is kept, and a decided transaction comes to its end. */
static void random_walks_keep_every_decision(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct prng random;
        prng_init(&random, seed);
        int64_t producer = -1;
        int16_t epoch = -1;
        int decision = 0; /* told: 1 commit, 2 abort */
        bool raises = seed % 2 == 0;
        (void)teardown(NULL);
        (void)setup(NULL);
        for (int step = 0; step < 60 && appended < 4000; step++) {
            struct txn_who by = who("t", producer, epoch);
            switch (prng_next(&random) % 8) {
            case 0:
                if (init(0, "t") == 0) {
                    producer = told[0].producer_id;
                    epoch = told[0].epoch;
                    decision = 0;
                }
                break;
            case 1:
            case 2:
                if (add(1, by, "pay", (int32_t)(prng_next(&random) % 3)) == 1) {
                    commit_all();
                }
                decision = result(1) == 0 ? 0 : decision;
                break;
            case 3:
            case 4: {
                bool commit = prng_next(&random) % 2 == 0;
                int w = 4 + step; /* earlier ones may be answered still */
                (void)(raises ? finish(w, by, commit, -1) : end(w, by, commit));
                if (prng_next(&random) % 2 == 0) {
                    commit_all();
                }
                decision = result(w) == 0 ? (commit ? 1 : 2) : decision;
                epoch = result(w) == 0 ? told[w].epoch : epoch;
                break;
            }
            case 5:
                fail_over();
                break;
            case 6:
                now.ms += prng_next(&random) % MINUTE;
                tick();
                break;
            default:
                commit_all();
                break;
            }
            const struct txn *t = txns_find(txns, slice_text("t"));
            if (t != NULL && decision != 0 && t->now.epoch == epoch) {
                enum txn_state s = t->now.state;
                assert_true(decision == 1 ? s == TXN_PREPARE_COMMIT || s == TXN_COMPLETE_COMMIT
                                          : s == TXN_PREPARE_ABORT || s == TXN_COMPLETE_ABORT);
            }
            if (t != NULL && txn_is_prepared(t) && prng_next(&random) % 2 == 0) {
                for (int32_t p = 0; p < 3; p++) {
                    mark("t", "pay", p);
                }
            }
        }
        for (int round = 0; round < 3; round++) {
            now.ms += 10000;
            tick();
            commit_all();
            for (int32_t p = 0; p < 3 && txns_find(txns, slice_text("t")) != NULL; p++) {
                mark("t", "pay", p);
            }
            commit_all();
        }
        const struct txn *t = txns_find(txns, slice_text("t"));
        assert_true(t == NULL || !txn_is_prepared(t));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_goes_from_its_first_partition_to_its_last_marker),
        TEST(nobody_is_told_and_no_partition_before_the_record_is_committed),
        TEST(another_coordinator_goes_on_with_what_was_decided),
        TEST(a_second_producer_fences_the_first_and_its_transaction_is_aborted),
        TEST(a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced),
        TEST(a_time_out_begins_anew_with_another_coordinator),
        TEST(what_is_refused_is_tried_again),
        TEST(wrong_requests_get_kafkas_errors),
        TEST(an_end_is_answered_by_state_result_and_epoch),
        TEST(an_end_that_is_asked_for_again_comes_to_the_same_end),
        TEST(an_id_without_use_is_forgotten_and_an_open_one_is_not),
        TEST(random_walks_keep_every_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
