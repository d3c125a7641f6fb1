/* SPDX-License-Identifier: Apache-2.0 */
/* AddPartitionsToTxn: answered when the coordinator's log has the partitions. Up to version 3 one
 * transaction of a client; from then on those of many, as brokers send it, and with the question
 * whether partitions are there. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

struct adding;

/* Of one transaction. */
struct wish {
    struct txn_waiter waiter;
    struct adding *adding;
    struct txn_who who;
    bool verify_only;
    bool missing; /* some of the places are not there: the others are not attempted */
    struct txn_place *places;
    int *errors; /* of each */
    uint32_t count;
};

struct adding {
    struct request *rq;
    struct wish *wishes;
    uint32_t count;
    uint32_t waiting;
    bool taking;
};

/* ---- answering ------------------------------------------------------------------------------- */

static int16_t error_of(const struct request *rq, int error)
{
    if (error == TERN_ETXNFENCED && rq->version < 2) {
        return error_kafka(TERN_EPRODUCERFENCED);
    }
    if (error == TERN_ETXNSTATE && rq->version >= 5) {
        return error_kafka(TERN_ETXNABORTABLE);
    }
    return error_kafka(error);
}

static void reply_old(struct adding *a)
{
    struct request *rq = a->rq;
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    const int *error = a->wishes[0].errors;
    struct kafka_add_partitions_to_txn_response response;

    kafka_add_partitions_to_txn_response_init(&response);
    response.results_by_topic =
        kafka_add_partitions_to_txn_response_old_topic_new(&rq->arena, m->topics_count);
    response.results_by_topic_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_add_partitions_to_txn_request_old_topic *in = &m->topics[t];
        struct kafka_add_partitions_to_txn_response_old_topic *out = &response.results_by_topic[t];
        out->name = in->name;
        out->partition_results = kafka_add_partitions_to_txn_response_old_partition_new(
            &rq->arena, in->partitions_count);
        out->partition_results_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            out->partition_results[i].partition = in->partitions[i];
            out->partition_results[i].error = error_of(rq, *error++);
        }
    }
    request_reply(rq, &response);
}

static void fill(struct request *rq, const struct wish *wish,
                 const struct kafka_add_partitions_to_txn_request_transaction *m,
                 struct kafka_add_partitions_to_txn_response_transaction *response)
{
    const int *error = wish->errors;

    response->transactional_id = m->transactional_id;
    response->topic_results =
        kafka_add_partitions_to_txn_response_topic_new(&rq->arena, m->topics_count);
    response->topic_results_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_add_partitions_to_txn_request_topic *in = &m->topics[t];
        struct kafka_add_partitions_to_txn_response_topic *out = &response->topic_results[t];
        out->name = in->name;
        out->partition_results =
            kafka_add_partitions_to_txn_response_partition_new(&rq->arena, in->partitions_count);
        out->partition_results_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            out->partition_results[i].partition = in->partitions[i];
            out->partition_results[i].error = error_of(rq, *error++);
        }
    }
}

static void maybe_reply(struct adding *a)
{
    struct request *rq = a->rq;
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    struct kafka_add_partitions_to_txn_response response;

    if (a->taking || a->waiting > 0) {
        return;
    }
    if (rq->version < 4) {
        reply_old(a);
        return;
    }
    kafka_add_partitions_to_txn_response_init(&response);
    response.results_by_transaction =
        kafka_add_partitions_to_txn_response_transaction_new(&rq->arena, a->count);
    response.results_by_transaction_count = a->count;
    for (uint32_t k = 0; k < a->count; k++) {
        fill(rq, &a->wishes[k], &m->transactions[k], &response.results_by_transaction[k]);
    }
    request_reply(rq, &response);
}

static void set_all(struct wish *wish, int error)
{
    for (uint32_t i = 0; i < wish->count; i++) {
        wish->errors[i] = error;
    }
}

static void told(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    struct wish *wish = CONTAINER_OF(waiter, struct wish, waiter);

    (void)producer_id;
    (void)epoch;
    set_all(wish, status);
    wish->adding->waiting--;
    maybe_reply(wish->adding);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void room_for(struct wish *wish, struct adding *a, uint32_t count)
{
    wish->waiter.done = told;
    wish->adding = a;
    wish->places = arena_take(&a->rq->arena, (count + 1) * sizeof *wish->places);
    wish->errors = arena_take(&a->rq->arena, (count + 1) * sizeof *wish->errors);
}

static void add_places(struct wish *wish, struct slice name, const int32_t *partitions,
                       uint32_t count)
{
    const struct control_topic *topic = topic_by_slice(wish->adding->rq->node, name);

    for (uint32_t i = 0; i < count; i++) {
        bool there =
            topic != NULL && partitions[i] >= 0 && (uint32_t)partitions[i] < topic->partition_count;
        wish->missing = wish->missing || !there;
        wish->errors[wish->count] = there ? TERN_ENOTATTEMPTED : TERN_ENOENT;
        wish->places[wish->count++] = (struct txn_place){name, partitions[i]};
    }
}

static void take_old(struct wish *wish, struct adding *a)
{
    const struct kafka_add_partitions_to_txn_request *m = a->rq->message;
    uint32_t total = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    room_for(wish, a, total);
    wish->who = (struct txn_who){m->transactional_id, m->producer_id, m->producer_epoch};
    for (uint32_t t = 0; t < m->topics_count; t++) {
        add_places(wish, m->topics[t].name, m->topics[t].partitions, m->topics[t].partitions_count);
    }
}

static void take(struct wish *wish, struct adding *a,
                 const struct kafka_add_partitions_to_txn_request_transaction *m)
{
    uint32_t total = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    room_for(wish, a, total);
    wish->who = (struct txn_who){m->transactional_id, m->producer_id, m->producer_epoch};
    wish->verify_only = m->verify_only;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        add_places(wish, m->topics[t].name, m->topics[t].partitions, m->topics[t].partitions_count);
    }
}

static void ask(struct wish *wish)
{
    struct node *node = wish->adding->rq->node;
    struct coordinator *co = NULL;
    struct txn_out out = {0};

    if (wish->missing) {
        return;
    }
    int status = wish->count > TXN_PARTITIONS_MAX || wish->who.id.len == 0
                     ? TERN_EINVALIDREQUEST
                     : txn_coordinator_of(node, wish->who.id, &co);
    if (status != 0) {
        set_all(wish, status);
        return;
    }
    if (wish->verify_only) {
        for (uint32_t i = 0; i < wish->count; i++) {
            wish->errors[i] = txns_verify(coordinator_txns(co), &wish->who, &wish->places[i]);
        }
        return;
    }
    wish->adding->waiting++;
    txns_add(coordinator_txns(co), txn_coordinator_now(co), &wish->waiter, &wish->who, wish->places,
             wish->count, &out);
    txn_coordinator_run(co, &out);
}

void api_add_partitions_to_txn(struct request *rq)
{
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    struct adding *a = arena_take(&rq->arena, sizeof *a);

    memset(a, 0, sizeof *a);
    a->rq = rq;
    a->count = rq->version < 4 ? 1 : m->transactions_count;
    a->wishes = arena_take(&rq->arena, (a->count + 1) * sizeof *a->wishes);
    memset(a->wishes, 0, (a->count + 1) * sizeof *a->wishes);
    a->taking = true;
    for (uint32_t k = 0; k < a->count; k++) {
        if (rq->version < 4) {
            take_old(&a->wishes[k], a);
        } else {
            take(&a->wishes[k], a, &m->transactions[k]);
        }
        ask(&a->wishes[k]);
    }
    a->taking = false;
    maybe_reply(a);
}
