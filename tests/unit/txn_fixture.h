/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction coordinator without a network: a log in memory takes what is asked for, and gives
 * it back when a test says that it is committed. */
#pragma once

#include <string.h>

#include "base/error.h"
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

static inline void carry_out(struct txn_out *out)
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

static inline void give(struct txns *to, size_t at)
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

static inline void commit_all(void)
{
    while (committed < appended) {
        give(txns, committed++);
    }
}

static inline void load(void)
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
static inline void fail_over(void)
{
    while (appended > committed) {
        appended--;
        buf_fini(&log_[appended].key);
        buf_fini(&log_[appended].value);
    }
    txns_free(txns);
    load();
}

static inline int setup(void **state)
{
    (void)state;
    appended = committed = 0;
    marks = 0;
    now = (struct txn_now){1000000, 1700000000000};
    memset(told, 0, sizeof told);
    load();
    return 0;
}

static inline int teardown(void **state)
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
static inline int result(int w)
{
    return told[w].count == 0 ? 1 : told[w].error;
}

static inline int init_as(int w, const char *id, int64_t producer_id, int16_t epoch, int64_t fresh)
{
    struct txn_out out = {0};
    struct txn_init ask = {&ids[w], slice_text(id), MINUTE, producer_id, epoch, fresh};

    told[w] = (struct told){0};
    txns_init(txns, now, &ask, &out);
    carry_out(&out);
    return result(w);
}

static inline int init(int w, const char *id)
{
    int status = init_as(w, id, -1, -1, 500 + w);

    if (status == 1) {
        commit_all();
        status = result(w);
    }
    return status;
}

static inline struct txn_who who(const char *id, int64_t producer_id, int16_t epoch)
{
    return (struct txn_who){slice_text(id), producer_id, epoch};
}

static inline int add(int w, struct txn_who by, const char *topic, int32_t partition)
{
    struct txn_out out = {0};
    struct txn_place place = {slice_text(topic), partition};

    told[w] = (struct told){0};
    txns_add(txns, now, &ids[w], &by, &place, 1, &out);
    carry_out(&out);
    return result(w);
}

static inline int end(int w, struct txn_who by, bool commit)
{
    struct txn_finish finish = {&ids[w], by, commit, false, -1};
    struct txn_out out = {0};

    told[w] = (struct told){0};
    txns_end(txns, now, &finish, &out);
    carry_out(&out);
    return result(w);
}

/* With transaction.version 2. */
static inline int finish(int w, struct txn_who by, bool commit, int64_t fresh)
{
    struct txn_finish finish = {&ids[w], by, commit, true, fresh};
    struct txn_out out = {0};

    told[w] = (struct told){0};
    txns_end(txns, now, &finish, &out);
    carry_out(&out);
    return result(w);
}

static inline void mark(const char *id, const char *topic, int32_t partition)
{
    struct txn_out out = {0};
    struct txn_place place = {slice_text(topic), partition};

    txns_marked(txns, now, slice_text(id), txns_find(txns, slice_text(id))->number, &place, &out);
    carry_out(&out);
}

static inline int verify(struct txn_who by, const char *topic, int32_t partition)
{
    struct txn_place place = {slice_text(topic), partition};

    return txns_verify(txns, &by, &place);
}

static inline enum txn_state state_of(const char *id)
{
    return txns_find(txns, slice_text(id))->now.state;
}

static inline void tick(void)
{
    struct txn_out out = {0};

    while (txns_tick(txns, now, &out)) {
        carry_out(&out);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
