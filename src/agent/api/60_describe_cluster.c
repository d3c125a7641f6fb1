/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeCluster: nodes with data, from the control state. */
#include "agent/api.h"
#include "base/error.h"

#define ENDPOINT_BROKERS     1
#define ENDPOINT_CONTROLLERS 2

static void fill_brokers(struct request *rq, struct kafka_describe_cluster_response *response)
{
    const struct kafka_describe_cluster_request *m = rq->message;
    const struct control *control = rq->node->control;

    response->brokers = kafka_describe_cluster_response_broker_new(&rq->arena, WIRE_NODES_MAX);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];
        bool there = node->id != 0 && node->kafka_port != 0 && !node->removed &&
                     !control->regions[node->region].witness;
        if (!there || (node->fenced && !m->include_fenced_brokers)) {
            continue;
        }
        struct kafka_describe_cluster_response_broker *b =
            &response->brokers[response->brokers_count++];
        b->broker_id = (int32_t)id;
        b->host = slice_text(node->kafka_host);
        b->port = node->kafka_port;
        b->rack = slice_text(control->regions[node->region].name);
        b->is_fenced = node->fenced;
    }
}

void api_describe_cluster(struct request *rq)
{
    const struct kafka_describe_cluster_request *m = rq->message;
    struct kafka_describe_cluster_response response;
    struct node *node = rq->node;
    char *id = arena_take(&rq->arena, UUID_TEXT_SIZE);

    kafka_describe_cluster_response_init(&response);
    uuid_text(node->file.cluster_id, id);
    response.cluster_id = slice_text(id);
    response.endpoint_type = m->endpoint_type;
    if (m->endpoint_type != ENDPOINT_BROKERS) {
        int error = m->endpoint_type == ENDPOINT_CONTROLLERS ? TERN_EENDPOINT : TERN_ENOENDPOINT;
        response.error = error_kafka(error);
        response.error_message = slice_text(error_sentence(error));
        request_reply(rq, &response);
        return;
    }
    fill_brokers(rq, &response);
    response.controller_id = controller_told(rq);
    request_reply(rq, &response);
}
