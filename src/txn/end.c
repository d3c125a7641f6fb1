/* SPDX-License-Identifier: Apache-2.0 */
/* How transactions end: the decision, its partitions, the record that says that all is done. */
#include "base/error.h"
#include "base/mutant.h"
#include "txn/inner.h"

/* ---- may it be decided? ---------------------------------------------------------------------- */

static bool is_complete(const struct txn *txn)
{
    return txn->now.state == TXN_COMPLETE_COMMIT || txn->now.state == TXN_COMPLETE_ABORT;
}

/* What the same question, asked again, is answered. */
static int told_again(const struct txn *txn, bool commit)
{
    enum txn_state state = txn->now.state;

    if (state == (commit ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT)) {
        return 0;
    }
    return state == (commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT) ? TERN_ECONCURRENTTXN
                                                                      : TERN_ETXNSTATE;
}

/* 1: it can be decided; else what is answered. */
static int judge(const struct txns *txns, const struct txn_finish *finish, struct txn **out_txn)
{
    int status = txn_check_who(txns, &finish->who, out_txn);

    if (status != 0) {
        return status;
    }
    if ((*out_txn)->pending) {
        return TERN_ECONCURRENTTXN;
    }
    return (*out_txn)->now.state == TXN_ONGOING ? 1 : told_again(*out_txn, finish->commit);
}

/* Does somebody ask again who has not heard that its epoch was raised by this very end? */
static bool is_retry(const struct txn *txn, const struct txn_who *who)
{
    const struct txn_value *now = &txn->now;
    bool rotated = is_complete(txn) && who->producer_id == now->previous_id && now->epoch == 0 &&
                   who->epoch >= TXN_EPOCH_LAST;
    bool raised = (is_complete(txn) || txn_is_prepared(txn)) &&
                  who->producer_id == now->producer_id && now->last_epoch >= 0 &&
                  who->epoch == now->last_epoch;

    return rotated || raised;
}

/* The same with transaction.version 2: the epoch tells whether it is the end that was decided, or the
 * next one. A producer may abort what it does not know to have begun: its first batch may be under way
 * still, and is refused after that. */
static int judge_raising(const struct txns *txns, const struct txn_finish *finish,
                         struct txn **out_txn)
{
    struct txn *txn = txn_find(txns, finish->who.id);

    if (txn != NULL && txn->number >= 0 && is_retry(txn, &finish->who)) {
        *out_txn = txn;
        return txn->pending ? TERN_ECONCURRENTTXN : told_again(txn, finish->commit);
    }
    int status = txn_check_who(txns, &finish->who, out_txn);
    if (status != 0) {
        return status;
    }
    txn = *out_txn;
    if (txn->pending || txn_is_prepared(txn)) {
        return TERN_ECONCURRENTTXN;
    }
    return txn->now.state == TXN_ONGOING || !finish->commit ? 1 : TERN_ETXNSTATE;
}

/* ---- the decision ---------------------------------------------------------------------------- */

/* Whatever is still sent under the old epoch is refused by partitions that know of the end. False: the
 * epochs are used up, and no producer id is at hand. */
static bool raise_epoch(struct txn_value *v, int64_t fresh_id)
{
    bool used_up = v->epoch >= TXN_EPOCH_LAST;

    if (used_up && fresh_id < 0) {
        return false;
    }
    v->next_id = used_up ? fresh_id : -1;
    v->last_epoch = v->epoch;
    v->epoch = (int16_t)(v->epoch < INT16_MAX && !MUTANT(epoch_kept) ? v->epoch + 1 : v->epoch);
    v->client_version = 2;
    return true;
}

bool txns_wants_id(const struct txns *txns, struct slice id)
{
    const struct txn *txn = txn_find(txns, id);

    return txn == NULL || txn->now.epoch >= TXN_EPOCH_LAST;
}

void txns_end(struct txns *txns, struct txn_now now, const struct txn_finish *finish,
              struct txn_out *out)
{
    struct txn *txn = NULL;

    txns_bury(txns);
    int status = finish->raises ? judge_raising(txns, finish, &txn) : judge(txns, finish, &txn);
    if (status != 1) {
        txn_answer(out, finish->waiter, status, status == 0 ? txn : NULL);
        return;
    }
    struct txn_value v = txn->now;
    if (finish->raises && !raise_epoch(&v, finish->fresh_id)) {
        txn_answer(out, finish->waiter, TERN_ENOCOORDINATOR, NULL);
        return;
    }
    v.start_ms = v.state == TXN_ONGOING ? v.start_ms : now.wall_ms;
    v.state = finish->commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
    v.update_ms = now.wall_ms;
    txn_ask(txn, finish->waiter, out, &v, NULL, 0);
}

/* ---- what follows from it -------------------------------------------------------------------- */

void txn_maybe_complete(struct txn *txn, struct txn_now now, struct txn_out *out)
{
    if (txn->unmarked > 0 || txn->pending || !txn_is_prepared(txn)) {
        return;
    }
    struct txn_value v = txn->now;
    v.state = v.state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT;
    v.update_ms = now.wall_ms;
    v.start_ms = -1;
    if (v.next_id >= 0) {
        v.previous_id = v.producer_id;
        v.producer_id = v.next_id;
        v.next_id = -1;
        v.epoch = 0;
        v.last_epoch = -1;
    }
    txn_ask(txn, NULL, out, &v, NULL, 0);
}

void txns_marked(struct txns *txns, struct txn_now now, struct slice id, int64_t number,
                 const struct txn_place *place, struct txn_out *out)
{
    txns_bury(txns);
    struct txn *txn = txn_find(txns, id);
    struct txn_partition *p =
        txn != NULL && txn->number == number ? txn_partition_of(txn, place) : NULL;

    if (p == NULL || p->marked || !txn_is_prepared(txn)) {
        return;
    }
    p->marked = true;
    txn->unmarked--;
    txn_maybe_complete(txn, now, out);
}
