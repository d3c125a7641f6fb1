/* SPDX-License-Identifier: Apache-2.0 */
/* What producers ask for: ids and epochs, partitions, the end. */
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "txn/inner.h"

/* ---- ids and epochs -------------------------------------------------------------------------- */

/* The decision to abort, under an epoch that its producer does not have: whatever it still sends is
 * refused. A producer that told its own epoch (KIP-360) may go on with the new one. */
static void fence(struct txn *txn, struct txn_now now, bool by_itself, struct txn_out *out)
{
    struct txn_value v = txn->now;

    v.last_epoch = by_itself ? v.epoch : -1;
    v.epoch = (int16_t)(v.epoch < INT16_MAX ? v.epoch + 1 : v.epoch);
    v.state = TXN_PREPARE_ABORT;
    v.update_ms = now.wall_ms;
    txn_ask(txn, NULL, out, &v, NULL, 0);
}

static void new_epoch(struct txns *txns, struct txn *txn, struct txn_now now,
                      const struct txn_init *init, struct txn_out *out)
{
    struct txn_value v = {.previous_id = -1, .next_id = -1, .last_epoch = -1, .start_ms = -1};
    bool first = txn->number < 0;
    bool used_up = !first && txn->now.epoch >= TXN_EPOCH_LAST;

    v.state = TXN_EMPTY;
    v.timeout_ms = init->timeout_ms;
    v.update_ms = now.wall_ms;
    if (first || used_up) {
        if (init->fresh_id < 0) {
            txn_answer(out, init->waiter, TERN_ENOCOORDINATOR, NULL);
            return;
        }
        v.producer_id = init->fresh_id;
        v.previous_id = used_up ? txn->now.producer_id : -1;
    } else {
        v.producer_id = txn->now.producer_id;
        v.previous_id = txn->now.previous_id;
        v.epoch = (int16_t)(txn->now.epoch + (MUTANT(init_unfenced) ? 0 : 1));
        v.last_epoch = init->producer_id >= 0 ? txn->now.epoch : -1;
    }
    (void)txns;
    txn_ask(txn, init->waiter, out, &v, NULL, 0);
}

/* 0: it may begin anew; 1: that was done already, the answer was lost; else the error. */
static int may_begin(const struct txn *txn, const struct txn_init *init)
{
    if (init->producer_id < 0 || txn->number < 0) {
        return 0; /* an id that was forgotten is as good as a new one */
    }
    if (txn_is_next(txn, init->producer_id, init->epoch)) {
        return 0; /* once the end of the old one has come */
    }
    if (init->producer_id != txn->now.producer_id) {
        bool rotated = init->producer_id == txn->now.previous_id && init->epoch >= TXN_EPOCH_LAST;
        return rotated ? 1 : TERN_ETXNFENCED;
    }
    if (init->epoch == txn->now.epoch) {
        return 0;
    }
    return txn->now.last_epoch >= 0 && init->epoch == txn->now.last_epoch ? 1 : TERN_ETXNFENCED;
}

void txns_init(struct txns *txns, struct txn_now now, const struct txn_init *init,
               struct txn_out *out)
{
    txns_bury(txns);
    if (init->id.len == 0 || init->id.len > TXN_ID_MAX) {
        txn_answer(out, init->waiter, TERN_EINVALIDREQUEST, NULL);
        return;
    }
    if (init->timeout_ms <= 0 || init->timeout_ms > TXN_TIMEOUT_MAX_MS) {
        txn_answer(out, init->waiter, TERN_ETXNTIMEOUT, NULL);
        return;
    }
    struct txn *txn = txn_find(txns, init->id);
    bool full = txns->bytes > TXNS_BYTES_MAX || HASH_CNT(hh, txns->all) >= TXNS_MAX;
    if (txn == NULL && (full || init->fresh_id < 0)) {
        txn_answer(out, init->waiter, TERN_ENOCOORDINATOR, NULL);
        return;
    }
    txn = txn != NULL ? txn : txn_make(txns, init->id);
    int verdict = may_begin(txn, init);
    if (verdict < 0) {
        txn_answer(out, init->waiter, verdict, NULL);
    } else if (txn->pending || txn_is_prepared(txn)) {
        txn_answer(out, init->waiter, TERN_ECONCURRENTTXN, NULL);
    } else if (txn->number >= 0 && txn->now.state == TXN_ONGOING) {
        fence(txn, now, init->producer_id >= 0, out);
        txn_answer(out, init->waiter, TERN_ECONCURRENTTXN, NULL);
    } else if (verdict == 1) {
        txn_answer(out, init->waiter, 0, txn);
    } else {
        new_epoch(txns, txn, now, init, out);
    }
}

/* ---- partitions ------------------------------------------------------------------------------ */

bool txn_is_next(const struct txn *txn, int64_t producer_id, int16_t epoch)
{
    return txn->now.next_id >= 0 && producer_id == txn->now.next_id && epoch == 0;
}

int txn_check_who(const struct txns *txns, const struct txn_who *who, struct txn **out_txn)
{
    if (who->id.len == 0 || who->id.len > TXN_ID_MAX) {
        return TERN_EINVALIDREQUEST;
    }
    struct txn *txn = txn_find(txns, who->id);
    if (txn != NULL && txn_is_next(txn, who->producer_id, who->epoch)) {
        return TERN_ECONCURRENTTXN;
    }
    if (txn == NULL || txn->number < 0 || who->producer_id != txn->now.producer_id) {
        return TERN_EPRODUCERMAPPING;
    }
    if (who->epoch != txn->now.epoch) {
        return TERN_ETXNFENCED;
    }
    *out_txn = txn;
    return 0;
}

static bool has_all(const struct txn *txn, const struct txn_place *places, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (txn_partition_of(txn, &places[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static struct txn_partition *partition_new(const struct txn_place *place)
{
    struct txn_partition *p = mem_new(sizeof *p + 4 + place->topic.len);

    p->key_len = 4 + place->topic.len;
    put_be32(p->key, (uint32_t)place->partition);
    memcpy(p->key + 4, place->topic.base, place->topic.len);
    return p;
}

static bool is_told_before(const struct txn_place *places, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++) {
        if (places[i].partition == places[at].partition &&
            slice_equal(places[i].topic, places[at].topic)) {
            return true;
        }
    }
    return false;
}

static void ask_with(struct txn *txn, struct txn_now now, void *waiter,
                     const struct txn_place *places, uint32_t count, struct txn_out *out)
{
    struct txn_partition **more = mem_grow(NULL, count + 1, sizeof(struct txn_partition *));
    struct txn_value v = txn->now;
    size_t added = 0;
    bool begins = v.state != TXN_ONGOING;

    for (uint32_t i = 0; i < count; i++) {
        bool known = !begins && txn_partition_of(txn, &places[i]) != NULL;
        if (!known && !is_told_before(places, i)) {
            more[added++] = partition_new(&places[i]);
        }
    }
    v.state = TXN_ONGOING;
    v.update_ms = now.wall_ms;
    v.start_ms = begins ? now.wall_ms : v.start_ms;
    txn_ask(txn, waiter, out, &v, (const struct txn_partition *const *)more, added);
    for (size_t i = 0; i < added; i++) {
        free(more[i]);
    }
    free(more);
}

void txns_add(struct txns *txns, struct txn_now now, void *waiter, const struct txn_who *who,
              const struct txn_place *places, uint32_t count, struct txn_out *out)
{
    struct txn *txn = NULL;

    txns_bury(txns);
    int status = txn_check_who(txns, who, &txn);
    if (status == 0 && (txn->pending || txn_is_prepared(txn))) {
        status = TERN_ECONCURRENTTXN;
    }
    if (status == 0 && txn->now.state == TXN_ONGOING && has_all(txn, places, count)) {
        txn_answer(out, waiter, 0, txn);
        return;
    }
    if (status == 0 && (HASH_CNT(hh, txn->partitions) + count > TXN_PARTITIONS_MAX ||
                        txns->bytes > TXNS_BYTES_MAX)) {
        status = TERN_ENOCOORDINATOR;
    }
    if (status != 0) {
        txn_answer(out, waiter, status, NULL);
        return;
    }
    ask_with(txn, now, waiter, places, count, out);
}

int txns_verify(const struct txns *txns, const struct txn_who *who, const struct txn_place *place)
{
    struct txn *txn = NULL;
    int status = txn_check_who(txns, who, &txn);

    if (status != 0) {
        return status;
    }
    if (txn_is_prepared(txn)) {
        return TERN_ECONCURRENTTXN;
    }
    bool open = txn->now.state == TXN_ONGOING && txn_partition_of(txn, place) != NULL;
    return open ? 0 : TERN_ETXNSTATE;
}

/* ---- time ------------------------------------------------------------------------------------ */

void txn_timed_out(struct txns *txns, struct txn *txn, struct txn_now now, struct txn_out *out)
{
    /* Again if there is a record on its way, or this one is refused; committed, it ends the timer. */
    timer_heap_set(&txns->timers, &txn->timer, (now.ms + TXN_RETRY_MS) * 1000);
    if (txn->pending) {
        return;
    }
    if (txn_is_prepared(txn)) {
        timer_heap_stop(&txns->timers, &txn->timer);
        txn_maybe_complete(txn, now, out);
        return;
    }
    fence(txn, now, false, out);
}
