/* SPDX-License-Identifier: Apache-2.0 */
/* EndTxn: answered when the decision is committed; the partitions hear of it then. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

struct end {
    struct txn_waiter waiter;
    struct request *rq;
};

static void told(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    struct request *rq = CONTAINER_OF(waiter, struct end, waiter)->rq;
    struct kafka_end_txn_response response;

    (void)producer_id;
    (void)epoch;
    if (status == TERN_ETXNFENCED && rq->version < 2) {
        status = TERN_EPRODUCERFENCED;
    }
    kafka_end_txn_response_init(&response);
    response.error = error_kafka(status);
    request_reply(rq, &response);
}

void api_end_txn(struct request *rq)
{
    const struct kafka_end_txn_request *m = rq->message;
    struct end *end = arena_take(&rq->arena, sizeof *end);
    struct txn_who who = {m->transactional_id, m->producer_id, m->producer_epoch};
    struct coordinator *co = NULL;
    struct txn_out out = {0};

    memset(end, 0, sizeof *end);
    end->waiter.done = told;
    end->rq = rq;
    int status = who.id.len == 0 ? TERN_EINVALIDREQUEST : txn_coordinator_of(rq->node, who.id, &co);
    if (status != 0) {
        told(&end->waiter, status, -1, -1);
        return;
    }
    txns_end(coordinator_txns(co), txn_coordinator_now(co), &end->waiter, &who, m->committed, &out);
    txn_coordinator_run(co, &out);
}
