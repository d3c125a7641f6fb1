/* SPDX-License-Identifier: Apache-2.0 */
/* AddOffsetsToTxn: the partition that keeps the group's offsets becomes part of the transaction. */
#include <string.h>

#include "agent/group.h"
#include "agent/txn.h"
#include "base/error.h"

struct add {
    struct txn_waiter waiter;
    struct request *rq;
};

static void told(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    struct request *rq = CONTAINER_OF(waiter, struct add, waiter)->rq;
    struct kafka_add_offsets_to_txn_response response;

    (void)producer_id;
    (void)epoch;
    if (status == TERN_ETXNFENCED && rq->version < 2) {
        status = TERN_EPRODUCERFENCED;
    }
    kafka_add_offsets_to_txn_response_init(&response);
    response.error = error_kafka(status);
    request_reply(rq, &response);
}

void api_add_offsets_to_txn(struct request *rq)
{
    const struct kafka_add_offsets_to_txn_request *m = rq->message;
    struct add *add = arena_take(&rq->arena, sizeof *add);
    struct txn_place place = {slice_text(CONTROL_GROUPS_TOPIC),
                              coordinator_partition(rq->node, m->group_id)};
    struct txn_who who = {m->transactional_id, m->producer_id, m->producer_epoch};
    struct coordinator *co = NULL;
    struct txn_out out = {0};

    memset(add, 0, sizeof *add);
    add->waiter.done = told;
    add->rq = rq;
    int status = who.id.len == 0 ? TERN_EINVALIDREQUEST : txn_coordinator_of(rq->node, who.id, &co);
    if (status == 0 && place.partition < 0) {
        coordinator_make_topic(rq->node, &coordinator_groups_kind);
        status = TERN_ECONCURRENTTXN; /* every client asks again, soon */
    }
    if (status != 0) {
        told(&add->waiter, status, -1, -1);
        return;
    }
    txns_add(coordinator_txns(co), txn_coordinator_now(co), &add->waiter, &who, &place, 1, &out);
    txn_coordinator_run(co, &out);
}
