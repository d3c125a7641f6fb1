/* SPDX-License-Identifier: Apache-2.0 */
/* InitProducerId: ids for producers, from blocks that the quorum hands out; with a transactional id its
 * coordinator says which one, and bumps the epoch. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

struct block {
    struct quorum_proposal proposal;
    struct node *node;
};

/* ---- with a transactional id ------------------------------------------------------------------- */

struct init {
    struct txn_waiter waiter;
    struct request *rq;
};

static void told(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    struct request *rq = CONTAINER_OF(waiter, struct init, waiter)->rq;
    struct kafka_init_producer_id_response response;

    kafka_init_producer_id_response_init(&response);
    if (status == TERN_ETXNFENCED && rq->version < 4) {
        status = TERN_EPRODUCERFENCED;
    }
    response.error = error_kafka(status);
    response.producer_id = status == 0 ? producer_id : -1;
    response.producer_epoch = status == 0 ? epoch : -1;
    request_reply(rq, &response);
}

static void serve_transactional(struct request *rq, int64_t fresh_id)
{
    const struct kafka_init_producer_id_request *m = rq->message;
    struct init *init = arena_take(&rq->arena, sizeof *init);
    struct coordinator *co = NULL;
    struct txn_out out = {0};

    memset(init, 0, sizeof *init);
    init->waiter.done = told;
    init->rq = rq;
    /* Empty is no id, and of producer and epoch there are both or none. */
    bool wrong =
        m->transactional_id.len == 0 || (m->producer_id == -1) != (m->producer_epoch == -1);
    int status =
        wrong ? TERN_EINVALIDREQUEST : txn_coordinator_of(rq->node, m->transactional_id, &co);
    if (status != 0) {
        told(&init->waiter, status, -1, -1);
        return;
    }
    struct txn_init ask = {
        .waiter = &init->waiter,
        .id = m->transactional_id,
        .timeout_ms = m->transaction_timeout_ms,
        .producer_id = m->producer_id,
        .epoch = m->producer_epoch,
        .fresh_id = fresh_id,
    };
    txns_init(coordinator_txns(co), txn_coordinator_now(co), &ask, &out);
    txn_coordinator_run(co, &out);
}

/* ---- ids --------------------------------------------------------------------------------------- */

static void ask(struct node *node);

int64_t producer_ids_take(struct node *node)
{
    struct producer_ids *ids = &node->producer_ids;

    if (ids->next < ids->end) {
        return ids->next++;
    }
    if (!ids->asking && node->quorum != NULL) {
        ask(node);
    }
    return -1;
}

static void serve(struct request *rq)
{
    const struct kafka_init_producer_id_request *m = rq->message;
    struct producer_ids *ids = &rq->node->producer_ids;
    struct kafka_init_producer_id_response response;

    if (m->transactional_id.base != NULL) {
        serve_transactional(rq, ids->next < ids->end ? ids->next++ : -1);
        return;
    }
    kafka_init_producer_id_response_init(&response);
    if (ids->next < ids->end) {
        response.producer_id = ids->next++;
        response.producer_epoch = 0;
    } else {
        response.error = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE; /* retried by every client */
        response.producer_epoch = -1;
    }
    request_reply(rq, &response);
}

static void got_block(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct block *block = CONTAINER_OF(proposal, struct block, proposal);
    struct producer_ids *ids = &block->node->producer_ids;
    struct command_result r;

    ids->asking = false;
    if (status == 0 && command_result_read(result, &r) == 0 && r.error == 0) {
        ids->next = r.producer_id;
        ids->end = r.producer_id + CONTROL_PRODUCER_BLOCK;
    }
    free(block);
    for (struct link *l = queue_pop(&ids->waiters); l != NULL; l = queue_pop(&ids->waiters)) {
        serve(CONTAINER_OF(l, struct request, waiting));
    }
}

static void ask(struct node *node)
{
    struct block *block = mem_new(sizeof *block);
    struct buf command = {0};

    block->node = node;
    block->proposal.done = got_block;
    node->producer_ids.asking = true;
    command_producer_ids(&command, node_next_key(node), node->o.node_id);
    quorum_submit(node->quorum, buf_slice(&command), &block->proposal);
    buf_fini(&command);
}

void api_init_producer_id(struct request *rq)
{
    struct producer_ids *ids = &rq->node->producer_ids;

    /* With a disk that hangs it would not hear of a new block: the client asks another node. */
    if (ids->next < ids->end || rq->node->quorum == NULL || rq->node->disk_hangs_ms > 0) {
        serve(rq);
        return;
    }
    queue_push(&ids->waiters, &rq->waiting);
    if (!ids->asking) {
        ask(rq->node);
    }
}
