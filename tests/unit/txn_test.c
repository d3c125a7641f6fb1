/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction coordinator's rules (KIP-98, KIP-360), without a network: a log in memory takes what
 * is asked for, and gives it back when a test says that it is committed. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "tests/lib/test.h"
#include "txn/txn.h"

#define MINUTE 60000

struct entry {
    struct buf key;
    struct buf value;
    bool tombstone;
};

static struct txns *txns;
static struct txn_now now;
static struct entry log_[4096];
static size_t appended;
static size_t committed;
static uint32_t marks; /* TXN_MARK effects */
static char ids[64];   /* waiters: their addresses */

struct told {
    int count;
    int error;
    int64_t producer_id;
    int16_t epoch;
};
static struct told told[64];

static void carry_out(struct txn_out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        struct txn_effect *e = &out->effects[i];
        if (e->kind == TXN_APPEND) {
            struct entry *entry = &log_[appended++];
            assert_true(appended < ARRAY_COUNT(log_));
            *entry = (struct entry){.tombstone = e->tombstone};
            buf_put(&entry->key, buf_slice(&e->key));
            buf_put(&entry->value, buf_slice(&e->value));
        } else if (e->kind == TXN_ANSWER) {
            struct told *t = &told[(char *)e->waiter - ids];
            t->count++;
            t->error = e->error;
            t->producer_id = e->producer_id;
            t->epoch = e->epoch;
        } else {
            marks++;
        }
    }
    txn_out_fini(out);
}

static void give(struct txns *to, size_t at)
{
    struct txn_out out = {0};
    const struct entry *e = &log_[at];

    txns_committed(to, now, (int64_t)at, buf_slice(&e->key),
                   e->tombstone ? (struct slice){0} : buf_slice(&e->value), &out);
    if (to == txns) {
        carry_out(&out);
    } else {
        assert_int_equal(out.count, 0);
        txn_out_fini(&out);
    }
}

static void commit_all(void)
{
    while (committed < appended) {
        give(txns, committed++);
    }
}

static void load(void)
{
    struct txns_settings settings = {7ULL * 24 * 60 * MINUTE};
    struct txn_out out = {0};

    txns = txns_new(&settings);
    for (committed = 0; committed < appended; committed++) {
        struct txn_out none = {0};
        const struct entry *e = &log_[committed];
        txns_committed(txns, now, (int64_t)committed, buf_slice(&e->key),
                       e->tombstone ? (struct slice){0} : buf_slice(&e->value), &none);
        assert_int_equal(none.count, 0);
        txn_out_fini(&none);
    }
    txns_loaded(txns, now, &out);
    carry_out(&out);
}

/* What is not committed is lost, and another coordinator reads the log. */
static void fail_over(void)
{
    while (appended > committed) {
        appended--;
        buf_fini(&log_[appended].key);
        buf_fini(&log_[appended].value);
    }
    txns_free(txns);
    load();
}

static int setup(void **state)
{
    (void)state;
    appended = committed = 0;
    marks = 0;
    now = (struct txn_now){1000000, 1700000000000};
    memset(told, 0, sizeof told);
    load();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    txns_free(txns);
    for (size_t i = 0; i < appended; i++) {
        buf_fini(&log_[i].key);
        buf_fini(&log_[i].value);
    }
    return 0;
}

/* Each gives the error, or 1 while nobody was told. */
static int result(int w)
{
    return told[w].count == 0 ? 1 : told[w].error;
}

static int init_as(int w, const char *id, int64_t producer_id, int16_t epoch, int64_t fresh)
{
    struct txn_out out = {0};
    struct txn_init ask = {&ids[w], slice_text(id), MINUTE, producer_id, epoch, fresh};

    told[w] = (struct told){0};
    txns_init(txns, now, &ask, &out);
    carry_out(&out);
    return result(w);
}

static int init(int w, const char *id)
{
    int status = init_as(w, id, -1, -1, 500 + w);

    if (status == 1) {
        commit_all();
        status = result(w);
    }
    return status;
}

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

static struct txn_who who(const char *id, int64_t producer_id, int16_t epoch)
{
    return (struct txn_who){slice_text(id), producer_id, epoch};
}

static int add(int w, struct txn_who by, const char *topic, int32_t partition)
{
    struct txn_out out = {0};
    struct txn_place place = {slice_text(topic), partition};

    told[w] = (struct told){0};
    txns_add(txns, now, &ids[w], &by, &place, 1, &out);
    carry_out(&out);
    return result(w);
}

static int end(int w, struct txn_who by, bool commit)
{
    struct txn_finish finish = {&ids[w], by, commit, false, -1};
    struct txn_out out = {0};

    told[w] = (struct told){0};
    txns_end(txns, now, &finish, &out);
    carry_out(&out);
    return result(w);
}

/* With transaction.version 2. */
static int finish(int w, struct txn_who by, bool commit, int64_t fresh)
{
    struct txn_finish finish = {&ids[w], by, commit, true, fresh};
    struct txn_out out = {0};

    told[w] = (struct told){0};
    txns_end(txns, now, &finish, &out);
    carry_out(&out);
    return result(w);
}

static void mark(const char *id, const char *topic, int32_t partition)
{
    struct txn_out out = {0};
    struct txn_place place = {slice_text(topic), partition};

    txns_marked(txns, now, slice_text(id), txns_find(txns, slice_text(id))->number, &place, &out);
    carry_out(&out);
}

static int verify(struct txn_who by, const char *topic, int32_t partition)
{
    struct txn_place place = {slice_text(topic), partition};

    return txns_verify(txns, &by, &place);
}

static enum txn_state state_of(const char *id)
{
    return txns_find(txns, slice_text(id))->now.state;
}

static void tick(void)
{
    struct txn_out out = {0};

    while (txns_tick(txns, now, &out)) {
        carry_out(&out);
    }
}

/* ---------------------------------------------------------------------------------------------- */

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

static bool emit(void *ctx, struct slice key, struct slice value)
{
    struct entry *entry = &log_[appended++];

    (void)ctx;
    *entry = (struct entry){0};
    buf_put(&entry->key, key);
    buf_put(&entry->value, value);
    return true;
}

static void a_dump_is_all_that_another_coordinator_needs(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "t%d", i);
        (void)init(i, id);
        struct txn_who by = who(id, 500 + i, 0);
        for (int p = 0; p < i; p++) {
            (void)add(10, by, p % 2 == 0 ? "pay" : "clicks", p);
            commit_all();
        }
        if (i > 2) {
            (void)end(11, by, i == 3);
            commit_all();
        }
    }
    size_t from = appended;
    assert_true(txns_dump(txns, emit, NULL));
    struct txns_settings settings = {1};
    struct txns *other = txns_new(&settings);
    for (size_t i = from; i < appended; i++) {
        give(other, i);
    }
    assert_int_equal(HASH_CNT(hh, other->all), 5);
    for (const struct txn *t = txns->all; t != NULL; t = t->hh.next) {
        const struct txn *o = txns_find(other, buf_slice(&t->id));
        assert_non_null(o);
        assert_int_equal(o->now.state, t->now.state);
        assert_int_equal(o->now.producer_id, t->now.producer_id);
        assert_int_equal(o->now.epoch, t->now.epoch);
        assert_int_equal(HASH_CNT(hh, o->partitions), HASH_CNT(hh, t->partitions));
    }
    assert_int_equal(other->bytes, txns->bytes);
    txns_free(other);
    committed = appended;
}

static void every_truncation_of_a_record_is_refused(void **state)
{
    (void)state;
    (void)init(0, "transfers");
    (void)init_as(1, "transfers", 500, 0, -1);
    commit_all();
    (void)add(1, who("transfers", 500, 1), "pay", 3);
    commit_all();
    const struct entry *e = &log_[appended - 1];
    struct txn_value value;
    struct txn_key key;
    assert_int_equal(txn_value_read(buf_slice(&e->value), &value), 0);
    assert_int_equal(value.last_epoch, 0);
    assert_int_equal(txn_key_read(buf_slice(&e->key), &key), 0);
    for (size_t len = 0; len < e->value.len; len++) {
        uint8_t *exact = mem_new(len + 1);
        memcpy(exact, e->value.base, len);
        assert_int_equal(txn_value_read(slice_of(exact, len), &value), TERN_EMALFORMED);
        free(exact);
    }
    for (size_t len = 0; len < e->key.len; len++) {
        assert_int_equal(txn_key_read(slice_of(e->key.base, len), &key), TERN_EMALFORMED);
    }
    struct prng random;

    prng_init(&random, 5);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)prng_next(&random);
        }
        bytes[0] = 0;
        bytes[1] &= 1;
        int status = txn_value_read(slice_of(bytes, sizeof bytes), &value);
        assert_true(status == 0 || status == TERN_EMALFORMED);
    }
}

/* As Kafka 3 writes it: version 0, without tags. */
static void a_record_of_version_0_is_read(void **state)
{
    struct buf b = {0};
    struct txn_value v;
    struct slice topic;
    uint32_t count = 0;

    (void)state;
    buf_be16(&b, 0);
    buf_be64(&b, 4711);
    buf_be16(&b, 3);
    buf_be32(&b, MINUTE);
    buf_u8(&b, TXN_ONGOING);
    buf_be32(&b, 1);
    buf_be16(&b, 3);
    buf_put(&b, slice_text("pay"));
    buf_be32(&b, 2);
    buf_be32(&b, 5);
    buf_be32(&b, 6);
    buf_be64(&b, 111);
    buf_be64(&b, 110);
    assert_int_equal(txn_value_read(buf_slice(&b), &v), 0);
    assert_int_equal(v.producer_id, 4711);
    assert_int_equal(v.epoch, 3);
    assert_int_equal(v.start_ms, 110);
    assert_int_equal(v.last_epoch, -1);
    txn_value_next(&v, &topic, &count);
    assert_int_equal(count, 2);
    assert_int_equal(txn_value_partition(&v), 5);
    assert_int_equal(txn_value_partition(&v), 6);
    buf_fini(&b);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_goes_from_its_first_partition_to_its_last_marker),
        TEST(nobody_is_told_and_no_partition_before_the_record_is_committed),
        TEST(another_coordinator_goes_on_with_what_was_decided),
        TEST(a_second_producer_fences_the_first_and_its_transaction_is_aborted),
        TEST(a_producer_that_tells_its_epoch_gets_the_next_one_once),
        TEST(when_its_epochs_are_used_up_an_id_gets_another_producer_id),
        TEST(an_end_of_version_2_raises_the_epoch_and_is_told_again_to_who_has_not_heard),
        TEST(version_2_may_abort_what_it_does_not_know_to_have_begun),
        TEST(version_2_uses_epochs_up_and_goes_on_with_another_producer_id),
        TEST(a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced),
        TEST(a_time_out_begins_anew_with_another_coordinator),
        TEST(what_is_refused_is_tried_again),
        TEST(wrong_requests_get_kafkas_errors),
        TEST(an_end_is_answered_by_state_result_and_epoch),
        TEST(an_end_that_is_asked_for_again_comes_to_the_same_end),
        TEST(an_id_without_use_is_forgotten_and_an_open_one_is_not),
        TEST(a_dump_is_all_that_another_coordinator_needs),
        TEST(every_truncation_of_a_record_is_refused),
        TEST(a_record_of_version_0_is_read),
        TEST(random_walks_keep_every_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
