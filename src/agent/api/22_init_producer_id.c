/* SPDX-License-Identifier: Apache-2.0 */
/* InitProducerId: ids for idempotent producers, from blocks that the quorum hands out. */
#include "agent/api.h"
#include "base/error.h"

struct block {
    struct quorum_proposal proposal;
    struct node *node;
};

static void serve(struct request *rq)
{
    struct producer_ids *ids = &rq->node->producer_ids;
    struct kafka_init_producer_id_response response;

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
    const struct kafka_init_producer_id_request *m = rq->message;
    struct producer_ids *ids = &rq->node->producer_ids;
    struct kafka_init_producer_id_response response;

    if (m->transactional_id.base != NULL) {
        kafka_init_producer_id_response_init(&response);
        response.error =
            KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED; /* no transactions yet */
        request_reply(rq, &response);
        return;
    }
    if (ids->next < ids->end || rq->node->quorum == NULL) {
        serve(rq);
        return;
    }
    queue_push(&ids->waiters, &rq->waiting);
    if (!ids->asking) {
        ask(rq->node);
    }
}
