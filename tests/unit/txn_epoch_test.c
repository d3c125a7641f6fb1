/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs of a transactional id (KIP-360, KIP-890): who gets the next one, who is told of it again,
 * and what comes when they are used up. */
#include "tests/unit/txn_fixture.h"

/* Only the newest record of a log in which all is committed; for tests that write many. */
static void compact(void)
{
    if (appended > 2) {
        for (size_t i = 1; i < appended - 1; i++) {
            buf_fini(&log_[i].key);
            buf_fini(&log_[i].value);
        }
        log_[1] = log_[appended - 1];
        appended = committed = 2;
    }
}

static void a_producer_that_tells_its_epoch_gets_the_next_one_once(void **state)
{
    (void)state;
    (void)init(0, "t");
    assert_int_equal(init_as(1, "t", 500, 0, -1), 1);
    commit_all();
    assert_int_equal(told[1].epoch, 1);
    fail_over(); /* the next coordinator knows it, too */
    assert_int_equal(init_as(1, "t", 500, 0, -1), 0);
    assert_int_equal(told[1].epoch, 1);
    (void)init(2, "t"); /* somebody else */
    assert_int_equal(told[2].epoch, 2);
    assert_int_equal(init_as(1, "t", 500, 1, -1), TERN_ETXNFENCED);
    assert_int_equal(init_as(1, "t", 501, 0, -1), TERN_ETXNFENCED);
}

static void when_its_epochs_are_used_up_an_id_gets_another_producer_id(void **state)
{
    (void)state;
    (void)init(0, "t");
    for (int i = 1; i <= TXN_EPOCH_LAST; i++) {
        (void)init(1, "t");
        compact();
    }
    assert_int_equal(told[1].epoch, TXN_EPOCH_LAST);
    assert_int_equal(init_as(2, "t", 500, TXN_EPOCH_LAST, -1), TERN_ENOCOORDINATOR);
    assert_int_equal(init_as(2, "t", 500, TXN_EPOCH_LAST, 77), 1);
    commit_all();
    assert_int_equal(told[2].producer_id, 77);
    assert_int_equal(told[2].epoch, 0);
    assert_int_equal(init_as(2, "t", 500, TXN_EPOCH_LAST, 78), 0); /* the answer was lost */
    assert_int_equal(told[2].producer_id, 77);
}

static void
an_end_of_version_2_raises_the_epoch_and_is_told_again_to_who_has_not_heard(void **state)
{
    (void)state;
    (void)init(0, "t");
    assert_int_equal(add(1, who("t", 500, 0), "pay", 0), 1);
    commit_all();
    assert_int_equal(finish(2, who("t", 500, 1), true, -1), TERN_ETXNFENCED);
    assert_int_equal(finish(2, who("t", 501, 0), true, -1), TERN_EPRODUCERMAPPING);
    assert_int_equal(finish(2, who("t", 500, 0), true, -1), 1);
    assert_int_equal(finish(3, who("t", 500, 0), true, -1),
                     TERN_ECONCURRENTTXN); /* not committed */
    commit_all();
    assert_int_equal(result(2), 0);
    assert_int_equal(told[2].producer_id, 500);
    assert_int_equal(told[2].epoch, 1);
    assert_int_equal(txns_find(txns, slice_text("t"))->now.client_version, 2);
    /* Before the markers: again is too early, the other end is wrong, the next one has to wait. */
    assert_int_equal(finish(3, who("t", 500, 0), true, -1), TERN_ECONCURRENTTXN);
    assert_int_equal(finish(3, who("t", 500, 0), false, -1), TERN_ETXNSTATE);
    assert_int_equal(finish(3, who("t", 500, 1), false, -1), TERN_ECONCURRENTTXN);
    assert_int_equal(add(3, who("t", 500, 1), "pay", 0), TERN_ECONCURRENTTXN);
    assert_int_equal(add(3, who("t", 500, 0), "pay", 0), TERN_ETXNFENCED); /* a late one */
    fail_over();
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_COMMIT);
    assert_int_equal(finish(3, who("t", 500, 0), true, -1), 0);
    assert_int_equal(told[3].epoch, 1);
    assert_int_equal(finish(3, who("t", 500, 0), false, -1), TERN_ETXNSTATE);
    assert_int_equal(finish(3, who("t", 500, 1), true, -1), TERN_ETXNSTATE); /* nothing is open */
    assert_int_equal(init_as(3, "t", 500, 0, -1),
                     0); /* its last epoch: it has not heard of this one */
    assert_int_equal(told[3].epoch, 1);
    /* A client of version 1 goes on under the same id, and its ends leave the epoch alone. */
    assert_int_equal(add(3, who("t", 500, 1), "pay", 1), 1);
    commit_all();
    assert_int_equal(end(3, who("t", 500, 0), true), TERN_ETXNFENCED);
    assert_int_equal(end(3, who("t", 500, 1), true), 1);
    commit_all();
    assert_int_equal(told[3].epoch, 1);
}

static void version_2_may_abort_what_it_does_not_know_to_have_begun(void **state)
{
    (void)state;
    (void)init(0, "t");
    assert_int_equal(finish(1, who("t", 500, 0), true, -1), TERN_ETXNSTATE);
    assert_int_equal(finish(1, who("t", 500, 0), false, -1), 1);
    commit_all(); /* the decision, and as nobody has to be told, its end */
    assert_int_equal(told[1].epoch, 1);
    assert_int_equal(state_of("t"), TXN_COMPLETE_ABORT);
    assert_int_equal(add(2, who("t", 500, 0), "pay", 0), TERN_ETXNFENCED);
    assert_int_equal(finish(2, who("t", 500, 0), false, -1), 0); /* again */
    assert_int_equal(finish(2, who("t", 500, 1), false, -1), 1); /* the next one */
    commit_all();
    assert_int_equal(told[2].epoch, 2);
    assert_int_equal(add(2, who("t", 500, 2), "pay", 0), 1);
    commit_all();
    now.ms += MINUTE;
    tick();
    commit_all();
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_ABORT);
    assert_int_equal(finish(2, who("t", 500, 2), false, -1),
                     TERN_ETXNFENCED); /* it took too long */
}

static void version_2_uses_epochs_up_and_goes_on_with_another_producer_id(void **state)
{
    (void)state;
    (void)init(0, "t");
    assert_false(txns_wants_id(txns, slice_text("t")));
    for (int i = 1; i <= TXN_EPOCH_LAST; i++) {
        (void)init(1, "t");
        compact();
    }
    assert_true(txns_wants_id(txns, slice_text("t")));
    struct txn_who last = who("t", 500, TXN_EPOCH_LAST);
    assert_int_equal(add(2, last, "pay", 0), 1);
    commit_all();
    assert_int_equal(finish(2, last, true, -1), TERN_ENOCOORDINATOR);
    assert_int_equal(finish(2, last, true, 77), 1);
    commit_all();
    assert_int_equal(result(2), 0);
    assert_int_equal(told[2].producer_id, 77);
    assert_int_equal(told[2].epoch, 0);
    /* The markers are of the old id, under an epoch that nobody has written with. */
    const struct txn *t = txns_find(txns, slice_text("t"));
    assert_int_equal(t->now.producer_id, 500);
    assert_int_equal(t->now.epoch, INT16_MAX);
    assert_int_equal(add(3, who("t", 77, 0), "pay", 0), TERN_ECONCURRENTTXN);
    assert_int_equal(init_as(3, "t", 77, 0, -1), TERN_ECONCURRENTTXN);
    assert_int_equal(finish(3, last, true, -1), TERN_ECONCURRENTTXN);
    fail_over();
    mark("t", "pay", 0);
    commit_all();
    assert_int_equal(state_of("t"), TXN_COMPLETE_COMMIT);
    assert_int_equal(finish(3, last, true, -1), 0);
    assert_int_equal(told[3].producer_id, 77);
    assert_int_equal(add(3, last, "pay", 0), TERN_EPRODUCERMAPPING);
    assert_int_equal(add(3, who("t", 77, 0), "pay", 0), 1);
    commit_all();
    assert_int_equal(verify(who("t", 77, 0), "pay", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_producer_that_tells_its_epoch_gets_the_next_one_once),
        TEST(when_its_epochs_are_used_up_an_id_gets_another_producer_id),
        TEST(an_end_of_version_2_raises_the_epoch_and_is_told_again_to_who_has_not_heard),
        TEST(version_2_may_abort_what_it_does_not_know_to_have_begun),
        TEST(version_2_uses_epochs_up_and_goes_on_with_another_producer_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
