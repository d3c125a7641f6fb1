/* SPDX-License-Identifier: Apache-2.0 */
/* AddPartitionsToTxn: answered when the coordinator's log has the partitions. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

struct add {
    struct txn_waiter waiter;
    struct request *rq;
};

/* All partitions with the same error; where some are not there, the rest was not attempted. */
static void answer(struct request *rq, int error, bool missing)
{
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    struct kafka_add_partitions_to_txn_response response;

    if (error == TERN_ETXNFENCED && rq->version < 2) {
        error = TERN_EPRODUCERFENCED;
    }
    kafka_add_partitions_to_txn_response_init(&response);
    response.results_by_topic =
        kafka_add_partitions_to_txn_response_old_topic_new(&rq->arena, m->topics_count);
    response.results_by_topic_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_add_partitions_to_txn_request_old_topic *in = &m->topics[t];
        struct kafka_add_partitions_to_txn_response_old_topic *out = &response.results_by_topic[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        out->name = in->name;
        out->partition_results = kafka_add_partitions_to_txn_response_old_partition_new(
            &rq->arena, in->partitions_count);
        out->partition_results_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            bool there = topic != NULL && in->partitions[i] >= 0 &&
                         (uint32_t)in->partitions[i] < topic->partition_count;
            out->partition_results[i].partition = in->partitions[i];
            out->partition_results[i].error = !missing ? error_kafka(error)
                                              : there  ? KAFKA_ERROR_OPERATION_NOT_ATTEMPTED
                                                       : error_kafka(TERN_ENOENT);
        }
    }
    request_reply(rq, &response);
}

static void told(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    (void)producer_id;
    (void)epoch;
    answer(CONTAINER_OF(waiter, struct add, waiter)->rq, status, false);
}

/* False: one of them is not there. */
static bool collect(struct request *rq, struct txn_place **out, uint32_t *out_count)
{
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    uint32_t total = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    *out = arena_take(&rq->arena, (total + 1) * sizeof **out);
    *out_count = 0;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct control_topic *topic = topic_by_slice(rq->node, m->topics[t].name);
        if (topic == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < m->topics[t].partitions_count; i++) {
            int32_t index = m->topics[t].partitions[i];
            if (index < 0 || (uint32_t)index >= topic->partition_count) {
                return false;
            }
            (*out)[(*out_count)++] = (struct txn_place){m->topics[t].name, index};
        }
    }
    return true;
}

void api_add_partitions_to_txn(struct request *rq)
{
    const struct kafka_add_partitions_to_txn_request *m = rq->message;
    struct add *add = arena_take(&rq->arena, sizeof *add);
    struct coordinator *co = NULL;
    struct txn_out out = {0};
    struct txn_place *places = NULL;
    uint32_t count = 0;

    memset(add, 0, sizeof *add);
    add->waiter.done = told;
    add->rq = rq;
    if (!collect(rq, &places, &count)) {
        answer(rq, 0, true);
        return;
    }
    struct txn_who who = {m->transactional_id, m->producer_id, m->producer_epoch};
    int status = count > TXN_PARTITIONS_MAX || who.id.len == 0
                     ? TERN_EINVALIDREQUEST
                     : txn_coordinator_of(rq->node, who.id, &co);
    if (status != 0) {
        answer(rq, status, false);
        return;
    }
    txns_add(coordinator_txns(co), txn_coordinator_now(co), &add->waiter, &who, places, count,
             &out);
    txn_coordinator_run(co, &out);
}
