/* SPDX-License-Identifier: Apache-2.0 */
/* All transactional ids of a partition: loading, committed records, timers, questions. */
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "txn/inner.h"

#define TXN_COST       400 /* bytes that an id without partitions takes, about */
#define TOPIC_NAME_MAX 249
#define KEY_MAX        (4 + TOPIC_NAME_MAX)

const char *txn_state_name(enum txn_state state)
{
    static const char *const names[] = {"Empty",        "Ongoing",        "PrepareCommit",
                                        "PrepareAbort", "CompleteCommit", "CompleteAbort"};

    CHECK((size_t)state < ARRAY_COUNT(names));
    return names[state];
}

/* ---- effects --------------------------------------------------------------------------------- */

struct txn_effect *txn_effect_add(struct txn_out *out, enum txn_effect_kind kind)
{
    if (out->count == out->cap) {
        out->cap = out->cap > 0 ? out->cap * 2 : 8;
        out->effects = mem_grow(out->effects, out->cap, sizeof *out->effects);
    }
    struct txn_effect *effect = &out->effects[out->count++];
    *effect = (struct txn_effect){.kind = kind, .producer_id = -1, .epoch = -1};
    return effect;
}

void txn_out_fini(struct txn_out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        buf_fini(&out->effects[i].key);
        buf_fini(&out->effects[i].value);
    }
    free(out->effects);
    *out = (struct txn_out){0};
}

void txn_answer(struct txn_out *out, void *waiter, int error, const struct txn *txn)
{
    if (waiter == NULL) {
        return;
    }
    struct txn_effect *effect = txn_effect_add(out, TXN_ANSWER);
    effect->waiter = waiter;
    effect->error = error;
    if (txn != NULL && error == 0) {
        bool rotates = txn->now.next_id >= 0;
        effect->producer_id = rotates ? txn->now.next_id : txn->now.producer_id;
        effect->epoch = rotates ? 0 : txn->now.epoch;
    }
}

/* ---- partitions ------------------------------------------------------------------------------ */

static size_t place_key(const struct txn_place *place, uint8_t key[KEY_MAX])
{
    if (place->topic.len > TOPIC_NAME_MAX) {
        return 0;
    }
    put_be32(key, (uint32_t)place->partition);
    memcpy(key + 4, place->topic.base, place->topic.len);
    return 4 + place->topic.len;
}

struct txn_partition *txn_partition_of(const struct txn *txn, const struct txn_place *place)
{
    struct txn_partition *found = NULL;
    uint8_t key[KEY_MAX];
    size_t len = place_key(place, key);

    if (len > 0) {
        HASH_FIND(hh, txn->partitions, key, len, found);
    }
    return found;
}

static void add_partition(struct txns *txns, struct txn *txn, const struct txn_place *place)
{
    uint8_t key[KEY_MAX];
    size_t len = place_key(place, key);

    if (len == 0 || txn_partition_of(txn, place) != NULL) {
        txns->bad_records++;
        return;
    }
    struct txn_partition *p = mem_new(sizeof *p + len);
    p->key_len = len;
    memcpy(p->key, key, len);
    HASH_ADD_KEYPTR(hh, txn->partitions, p->key, p->key_len, p);
    txns->bytes += sizeof *p + len;
    txn->unmarked++;
}

static void drop_partitions(struct txns *txns, struct txn *txn)
{
    struct txn_partition *p;
    struct txn_partition *next;

    HASH_ITER (hh, txn->partitions, p, next) {
        HASH_DEL(txn->partitions, p);
        txns->bytes -= sizeof *p + p->key_len;
        free(p);
    }
    txn->unmarked = 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct txns *txns_new(const struct txns_settings *settings)
{
    struct txns *txns = mem_new(sizeof *txns);

    txns->settings = *settings;
    queue_init(&txns->dead);
    return txns;
}

void txns_bury(struct txns *txns)
{
    struct link *link;

    while ((link = queue_pop(&txns->dead)) != NULL) {
        struct txn *txn = CONTAINER_OF(link, struct txn, dead);
        buf_fini(&txn->id);
        free(txn);
    }
}

static void drop(struct txns *txns, struct txn *txn)
{
    drop_partitions(txns, txn);
    timer_heap_stop(&txns->timers, &txn->timer);
    txns->bytes -= TXN_COST + txn->id.len;
    HASH_DEL(txns->all, txn);
    queue_push(&txns->dead, &txn->dead);
}

void txns_free(struct txns *txns)
{
    struct txn *txn;
    struct txn *next;

    if (txns == NULL) {
        return;
    }
    HASH_ITER (hh, txns->all, txn, next) {
        drop(txns, txn);
    }
    txns_bury(txns);
    CHECK(txns->bytes == 0);
    timer_heap_fini(&txns->timers);
    free(txns);
}

void txns_give_up(struct txns *txns, int error, struct txn_out *out)
{
    txns_bury(txns);
    for (struct txn *txn = txns->all; txn != NULL; txn = txn->hh.next) {
        txn_answer(out, txn->waiter, error, NULL);
        txn->waiter = NULL;
    }
}

struct txn *txn_find(const struct txns *txns, struct slice id)
{
    struct txn *txn;

    HASH_FIND(hh, txns->all, id.base, id.len, txn);
    return txn;
}

const struct txn *txns_find(const struct txns *txns, struct slice id)
{
    return txn_find(txns, id);
}

/* The heap wants one; these are never fired by a clock. */
static void no_fire(struct timer *timer)
{
    (void)timer;
}

struct txn *txn_make(struct txns *txns, struct slice id)
{
    struct txn *txn = txn_find(txns, id);

    if (txn == NULL) {
        txn = mem_new(sizeof *txn);
        buf_put(&txn->id, id);
        txn->now.producer_id = -1;
        txn->now.epoch = -1;
        txn->number = -1;
        txn->timer.fire = no_fire;
        HASH_ADD_KEYPTR(hh, txns->all, txn->id.base, txn->id.len, txn);
        txns->bytes += TXN_COST + id.len;
    }
    return txn;
}

/* ---- records --------------------------------------------------------------------------------- */

/* One after the other of the same topic stand together in the record. */
static void put_topics(struct buf *out, const struct txn_partition *const *all, size_t count)
{
    int32_t *indexes = mem_grow(NULL, count + 1, sizeof *indexes);

    for (size_t i = 0; i < count;) {
        struct slice topic = txn_partition_topic(all[i]);
        uint32_t same = 0;
        for (; i < count && slice_equal(txn_partition_topic(all[i]), topic); i++) {
            indexes[same++] = txn_partition_index(all[i]);
        }
        txn_value_topic_put(out, topic, indexes, same);
    }
    free(indexes);
}

static int by_topic(const void *a, const void *b)
{
    const struct txn_partition *left = *(const struct txn_partition *const *)a;
    const struct txn_partition *right = *(const struct txn_partition *const *)b;
    struct slice x = txn_partition_topic(left);
    struct slice y = txn_partition_topic(right);
    int order = memcmp(x.base, y.base, x.len < y.len ? x.len : y.len);

    if (order != 0 || x.len != y.len) {
        return order != 0 ? order : (x.len < y.len ? -1 : 1);
    }
    return txn_partition_index(left) < txn_partition_index(right) ? -1 : 1;
}

static uint32_t count_topics(const struct txn_partition *const *all, size_t count)
{
    uint32_t topics = 0;

    for (size_t i = 0; i < count; i++) {
        topics +=
            i == 0 || !slice_equal(txn_partition_topic(all[i]), txn_partition_topic(all[i - 1]));
    }
    return topics;
}

void txn_value_of(struct buf *out, const struct txn *txn, const struct txn_value *value,
                  const struct txn_partition *const *more, size_t more_count)
{
    struct txn_value v = *value;
    bool keeps =
        v.state == TXN_ONGOING || v.state == TXN_PREPARE_COMMIT || v.state == TXN_PREPARE_ABORT;
    size_t count = keeps ? HASH_CNT(hh, txn->partitions) : 0;
    const struct txn_partition **all =
        mem_grow(NULL, count + more_count + 1, sizeof(const struct txn_partition *));

    count = 0;
    for (const struct txn_partition *p = keeps ? txn->partitions : NULL; p != NULL;
         p = p->hh.next) {
        all[count++] = p;
    }
    for (size_t i = 0; i < more_count; i++) {
        all[count++] = more[i];
    }
    if (count > 1) {
        qsort(all, count, sizeof(const struct txn_partition *), by_topic);
    }
    v.topic_count = count_topics(all, count);
    txn_value_put(out, &v);
    put_topics(out, all, count);
    txn_value_end(out, &v);
    free(all);
}

void txn_ask(struct txn *txn, void *waiter, struct txn_out *out, const struct txn_value *value,
             const struct txn_partition *const *more, size_t more_count)
{
    struct txn_effect *effect = txn_effect_add(out, TXN_APPEND);

    CHECK(!txn->pending);
    effect->txn = txn;
    txn_key_put(&effect->key, buf_slice(&txn->id));
    txn_value_of(&effect->value, txn, value, more, more_count);
    txn->pending = true;
    txn->waiter = waiter;
    if (MUTANT(ends_early)) {
        txn->waiter = NULL;
        txn_answer(out, waiter, 0, txn);
    }
    if (MUTANT(markers_early) &&
        (value->state == TXN_PREPARE_COMMIT || value->state == TXN_PREPARE_ABORT)) {
        txn->now.state = value->state;
        txn->now.epoch = value->epoch;
        txn_effect_add(out, TXN_MARK)->txn = txn;
    }
}

static void take_topics(struct txns *txns, struct txn *txn, struct txn_value *value)
{
    drop_partitions(txns, txn);
    for (uint32_t t = 0; t < value->topic_count; t++) {
        struct txn_place place = {0};
        uint32_t count = 0;
        txn_value_next(value, &place.topic, &count);
        for (uint32_t i = 0; i < count; i++) {
            place.partition = txn_value_partition(value);
            add_partition(txns, txn, &place);
        }
        txn_value_topic_done(value);
    }
}

/* The time-out counts from the first partition on. */
static void set_timer(struct txns *txns, struct txn *txn, enum txn_state before, struct txn_now now)
{
    if (txn->now.state != TXN_ONGOING) {
        timer_heap_stop(&txns->timers, &txn->timer);
    } else if (before != TXN_ONGOING) {
        uint64_t at_ms = now.ms + (uint64_t)txn->now.timeout_ms;
        timer_heap_set(&txns->timers, &txn->timer, at_ms * 1000);
    }
}

void txns_committed(struct txns *txns, struct txn_now now, int64_t offset, struct slice key_bytes,
                    struct slice value_bytes, struct txn_out *out)
{
    struct txn_key key;
    struct txn_value value;

    txns_bury(txns);
    if (txn_key_read(key_bytes, &key) != 0 ||
        (key.kind == TXN_KEY_TXN && value_bytes.base != NULL &&
         txn_value_read(value_bytes, &value) != 0)) {
        txns->bad_records++;
        return;
    }
    if (key.kind == TXN_KEY_BARRIER) {
        return;
    }
    struct txn *txn = value_bytes.base != NULL ? txn_make(txns, key.id) : txn_find(txns, key.id);
    if (value_bytes.base == NULL) {
        if (txn != NULL) {
            txn_answer(out, txn->waiter, TERN_ENOCOORDINATOR, NULL);
            drop(txns, txn);
        }
        return;
    }
    enum txn_state before = txn->now.state;
    void *waiter = txn->waiter;
    txn->now = value;
    txn->number = offset;
    take_topics(txns, txn, &txn->now);
    txn->pending = false;
    txn->waiter = NULL;
    if (!txns->loaded) {
        return; /* txns_loaded looks what is to be done */
    }
    set_timer(txns, txn, before, now);
    txn_answer(out, waiter, 0, txn);
    if (txn_is_prepared(txn)) {
        txn_effect_add(out, TXN_MARK)->txn = txn;
        txn_maybe_complete(txn, now, out);
    }
}

void txns_refused(struct txns *txns, struct txn_now now, struct slice key_bytes, int error,
                  struct txn_out *out)
{
    struct txn_key key;
    struct txn *txn;

    txns_bury(txns);
    if (txn_key_read(key_bytes, &key) != 0 || key.kind != TXN_KEY_TXN ||
        (txn = txn_find(txns, key.id)) == NULL) {
        return;
    }
    txn_answer(out, txn->waiter, error, NULL);
    txn->pending = false;
    txn->waiter = NULL;
    if (txn->number < 0) {
        drop(txns, txn); /* nothing is known of it */
    } else if (txn_is_prepared(txn)) {
        timer_heap_set(&txns->timers, &txn->timer, (now.ms + TXN_RETRY_MS) * 1000);
    }
}

void txns_loaded(struct txns *txns, struct txn_now now, struct txn_out *out)
{
    txns_bury(txns);
    txns->loaded = true;
    for (struct txn *txn = txns->all; txn != NULL; txn = txn->hh.next) {
        set_timer(txns, txn, TXN_EMPTY, now);
        if (txn_is_prepared(txn) && !MUTANT(markers_lost)) {
            txn_effect_add(out, TXN_MARK)->txn = txn;
            txn_maybe_complete(txn, now, out);
        }
    }
}

bool txns_dump(const struct txns *txns,
               bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    struct buf key = {0};
    struct buf value = {0};
    bool go_on = true;

    for (const struct txn *txn = txns->all; txn != NULL && go_on; txn = txn->hh.next) {
        if (txn->number < 0) {
            continue;
        }
        buf_clear(&key);
        buf_clear(&value);
        txn_key_put(&key, buf_slice(&txn->id));
        txn_value_of(&value, txn, &txn->now, NULL, 0);
        go_on = emit(ctx, buf_slice(&key), buf_slice(&value));
    }
    buf_fini(&key);
    buf_fini(&value);
    return go_on;
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t txns_wake_ms(const struct txns *txns)
{
    uint64_t next_us = timer_heap_next_us(&txns->timers);

    return next_us == UINT64_MAX ? UINT64_MAX : next_us / 1000;
}

bool txns_tick(struct txns *txns, struct txn_now now, struct txn_out *out)
{
    txns_bury(txns);
    struct timer *due = timer_heap_due(&txns->timers, now.ms * 1000);
    if (due == NULL) {
        return false;
    }
    txn_timed_out(txns, CONTAINER_OF(due, struct txn, timer), now, out);
    return true;
}

void txns_expire(struct txns *txns, struct txn_now now, struct txn_out *out)
{
    txns_bury(txns);
    for (struct txn *txn = txns->all; txn != NULL && out->count < TXN_EXPIRES_MAX;
         txn = txn->hh.next) {
        bool idle = txn->now.state != TXN_ONGOING && !txn_is_prepared(txn);
        if (idle && !txn->pending &&
            now.wall_ms - txn->now.update_ms >= (int64_t)txns->settings.retention_ms) {
            struct txn_effect *effect = txn_effect_add(out, TXN_APPEND);
            txn_key_put(&effect->key, buf_slice(&txn->id));
            effect->tombstone = true;
            txn->pending = true;
        }
    }
}
