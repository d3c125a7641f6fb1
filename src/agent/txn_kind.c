/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions as what a coordinator keeps. */
#include "agent/txn.h"
#include "base/error.h"

struct txns *coordinator_txns(struct coordinator *co)
{
    return coordinator_state(co, &coordinator_txns_kind);
}

struct txn_now txn_coordinator_now(const struct coordinator *co)
{
    const struct node *node = coordinator_node(co);

    return (struct txn_now){node_now_ms(node), clock_wall_ms(node->o.clock)};
}

int txn_coordinator_of(struct node *node, struct slice id, struct coordinator **out)
{
    return coordinator_find(node, &coordinator_txns_kind, id, out);
}

static void carry_out(struct coordinator *co, struct txn_out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        const struct txn_effect *effect = &out->effects[i];
        struct txn_waiter *waiter = effect->waiter;
        switch (effect->kind) {
        case TXN_APPEND:
            coordinator_append(co, buf_slice(&effect->key),
                               effect->tombstone ? (struct slice){0} : buf_slice(&effect->value));
            break;
        case TXN_MARK:
            txn_marks_begin(co, effect->txn);
            break;
        case TXN_ANSWER:
            waiter->done(waiter, effect->error, effect->producer_id, effect->epoch);
            break;
        }
    }
    txn_out_fini(out);
}

void txn_coordinator_run(struct coordinator *co, struct txn_out *out)
{
    carry_out(co, out);
    coordinator_arm(co);
}

/* ---- the kind -------------------------------------------------------------------------------- */

static void *make(struct node *node)
{
    struct txns_settings settings = {TXN_RETENTION_MS};

    (void)node;
    return txns_new(&settings);
}

static void drop(void *state)
{
    txns_free(state);
}

static void committed(struct coordinator *co, int64_t offset, struct slice key, struct slice value)
{
    struct txn_out out = {0};

    txns_committed(coordinator_txns(co), txn_coordinator_now(co), offset, key, value, &out);
    carry_out(co, &out);
}

static void refused(struct coordinator *co, struct slice key, int error)
{
    struct txn_out out = {0};

    txns_refused(coordinator_txns(co), txn_coordinator_now(co), key, error, &out);
    carry_out(co, &out);
}

static void loaded(struct coordinator *co)
{
    struct txn_out out = {0};

    txns_loaded(coordinator_txns(co), txn_coordinator_now(co), &out);
    carry_out(co, &out);
}

static void give_up(struct coordinator *co, int error)
{
    struct txn_out out = {0};

    txn_marks_drop(co);
    txns_give_up(coordinator_txns(co), error, &out);
    carry_out(co, &out);
}

static uint64_t wake_ms(const void *state)
{
    return txns_wake_ms(state);
}

static void tick(struct coordinator *co)
{
    struct txn_out out = {0};

    while (txns_tick(coordinator_txns(co), txn_coordinator_now(co), &out)) {
        carry_out(co, &out);
    }
}

struct dumping {
    coordinator_emit *emit;
    void *ctx;
};

static bool dump_one(void *ctx, struct slice key, struct slice value)
{
    const struct dumping *d = ctx;

    return d->emit(d->ctx, (struct coordinator_producer){-1, -1}, key, value);
}

static bool dump(const void *state, coordinator_emit *emit, void *ctx)
{
    struct dumping d = {emit, ctx};

    return txns_dump(state, dump_one, &d);
}

static void expire(struct coordinator *co)
{
    struct txn_out out = {0};

    txns_expire(coordinator_txns(co), txn_coordinator_now(co), &out);
    carry_out(co, &out);
}

static uint32_t count(const void *state, uint64_t *out_bad_records)
{
    const struct txns *txns = state;

    *out_bad_records = txns->bad_records;
    return HASH_CNT(hh, txns->all);
}

const struct coordinator_kind coordinator_txns_kind = {
    .topic = CONTROL_TXNS_TOPIC,
    .what = "txns",
    .make = make,
    .drop = drop,
    .committed = committed,
    .refused = refused,
    .loaded = loaded,
    .give_up = give_up,
    .wake_ms = wake_ms,
    .tick = tick,
    .dump = dump,
    .expire = expire,
    .count = count,
};
