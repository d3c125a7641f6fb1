/* SPDX-License-Identifier: Apache-2.0 */
/* ListTransactions: those that are coordinated here. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

struct listing {
    struct request *rq;
    struct kafka_list_transactions_response *response;
    uint32_t room;
    int64_t wall_ms;
};

static bool names_state(struct slice name, enum txn_state state)
{
    return slice_equal(name, slice_text(txn_state_name(state)));
}

static bool is_wanted(const struct listing *l, const struct txn *txn)
{
    const struct kafka_list_transactions_request *m = l->rq->message;
    bool state = m->state_filters_count == 0;
    bool producer = m->producer_id_filters_count == 0;

    for (uint32_t i = 0; i < m->state_filters_count && !state; i++) {
        state = names_state(m->state_filters[i], txn->now.state);
    }
    for (uint32_t i = 0; i < m->producer_id_filters_count && !producer; i++) {
        producer = m->producer_id_filters[i] == txn->now.producer_id;
    }
    bool open = txn->now.state == TXN_ONGOING || txn_is_prepared(txn);
    bool old =
        m->duration_filter < 0 || (open && l->wall_ms - txn->now.start_ms >= m->duration_filter);
    return txn->number >= 0 && state && producer && old;
}

static void count(void *ctx, struct coordinator *co)
{
    struct listing *l = ctx;

    for (const struct txn *txn = coordinator_txns(co)->all; txn != NULL; txn = txn->hh.next) {
        l->room += is_wanted(l, txn);
    }
}

static void list(void *ctx, struct coordinator *co)
{
    struct listing *l = ctx;

    for (const struct txn *txn = coordinator_txns(co)->all; txn != NULL; txn = txn->hh.next) {
        if (is_wanted(l, txn)) {
            struct kafka_list_transactions_response_transaction *out =
                &l->response->transaction_states[l->response->transaction_states_count++];
            out->transactional_id = buf_slice(&txn->id);
            out->producer_id = txn->now.producer_id;
            out->transaction_state = slice_text(txn_state_name(txn->now.state));
        }
    }
}

static void tell_unknown(struct listing *l)
{
    const struct kafka_list_transactions_request *m = l->rq->message;
    struct kafka_list_transactions_response *response = l->response;

    response->unknown_state_filters =
        arena_take(&l->rq->arena, (m->state_filters_count + 1) * sizeof(struct slice));
    for (uint32_t i = 0; i < m->state_filters_count; i++) {
        bool known = false;
        for (enum txn_state s = TXN_EMPTY; s <= TXN_COMPLETE_ABORT; s++) {
            known = known || names_state(m->state_filters[i], s);
        }
        if (!known) {
            response->unknown_state_filters[response->unknown_state_filters_count++] =
                m->state_filters[i];
        }
    }
}

void api_list_transactions(struct request *rq)
{
    struct kafka_list_transactions_response response;
    struct listing l = {rq, &response, 0, clock_wall_ms(rq->node->o.clock)};

    kafka_list_transactions_response_init(&response);
    tell_unknown(&l);
    bool loading = coordinators_of(rq->node, &coordinator_txns_kind, count, &l);
    if (loading) {
        response.error = error_kafka(TERN_ELOADING);
        request_reply(rq, &response);
        return;
    }
    response.transaction_states =
        kafka_list_transactions_response_transaction_new(&rq->arena, l.room);
    (void)coordinators_of(rq->node, &coordinator_txns_kind, list, &l);
    request_reply(rq, &response);
}
