/* SPDX-License-Identifier: Apache-2.0 */
/* UnregisterBroker: `tern node remove` by Kafka's word. Only of a node that is not there. */
#include <stdio.h>

#include "agent/api.h"
#include "base/error.h"
#include "base/trace.h"

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    struct kafka_unregister_broker_response *out = ctx;

    out->error = error_kafka(result->error);
    if (result->error != 0) {
        out->error_message = proposal_why(rq, result);
    }
}

static void finish(struct request *rq)
{
    request_reply(rq, rq->state);
}

void api_unregister_broker(struct request *rq)
{
    const struct kafka_unregister_broker_request *m = rq->message;
    struct kafka_unregister_broker_response *response = arena_take(&rq->arena, sizeof *response);
    struct node *node = rq->node;
    struct command_result fault = {0};
    struct buf command = {0};
    uint32_t id = (uint32_t)m->broker_id;

    kafka_unregister_broker_response_init(response);
    rq->state = response;
    proposals_begin(rq, finish);
    if (m->broker_id < 1 || id >= WIRE_NODES_MAX || node->control->nodes[id].id == 0 ||
        node->control->nodes[id].removed) {
        fault.error = TERN_EUNKNOWNBROKER;
    } else if (id == node->o.node_id || peer_reachable(node, id)) {
        fault.error = TERN_EINVALIDREQUEST;
        (void)snprintf(fault.why, sizeof fault.why,
                       "node %u is there: only a node that is dead is removed; stop it first", id);
    }
    if (fault.error != 0) {
        applied(rq, response, &fault);
    } else {
        trace_warn("event=node_remove node=%u by=\"a Kafka client\"", id);
        command_remove_node(&command, node_next_key(node), id, "a Kafka client");
        proposals_add(rq, &command, 30000, applied, response);
    }
    proposals_end(rq);
}
