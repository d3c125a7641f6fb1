/* SPDX-License-Identifier: Apache-2.0 */
/* EndTxn: answered when the decision is committed; the partitions hear of it then. From version 5 on
 * (transaction.version 2) with what the producer is called in its next transaction. */
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

    if (status == TERN_ETXNFENCED && rq->version < 2) {
        status = TERN_EPRODUCERFENCED;
    }
    kafka_end_txn_response_init(&response);
    response.error = error_kafka(status);
    response.producer_id = status == 0 ? producer_id : -1;
    response.producer_epoch = status == 0 ? epoch : -1;
    request_reply(rq, &response);
}

void api_end_txn(struct request *rq)
{
    const struct kafka_end_txn_request *m = rq->message;
    struct end *end = arena_take(&rq->arena, sizeof *end);
    struct txn_finish finish = {
        .waiter = &end->waiter,
        .who = {m->transactional_id, m->producer_id, m->producer_epoch},
        .commit = m->committed,
        .raises = rq->version >= 5,
        .fresh_id = -1,
    };
    struct coordinator *co = NULL;
    struct txn_out out = {0};

    memset(end, 0, sizeof *end);
    end->waiter.done = told;
    end->rq = rq;
    int status = m->transactional_id.len == 0
                     ? TERN_EINVALIDREQUEST
                     : txn_coordinator_of(rq->node, m->transactional_id, &co);
    if (status != 0) {
        told(&end->waiter, status, -1, -1);
        return;
    }
    if (finish.raises && txns_wants_id(coordinator_txns(co), m->transactional_id)) {
        finish.fresh_id = producer_ids_take(rq->node);
    }
    txns_end(coordinator_txns(co), txn_coordinator_now(co), &finish, &out);
    txn_coordinator_run(co, &out);
}
