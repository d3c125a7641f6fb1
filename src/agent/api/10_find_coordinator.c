/* SPDX-License-Identifier: Apache-2.0 */
/* FindCoordinator: the leader of the group's partition. The groups' topic is made when somebody
 * asks first; until then, and while nobody leads, the answer is "not available", which clients try
 * again. */
#include <stdlib.h>

#include "agent/group.h"
#include "base/error.h"
#include "base/trace.h"

#define KEY_GROUP 0

struct making {
    struct quorum_proposal proposal;
    struct node *node;
};

static void made(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct making *making = CONTAINER_OF(proposal, struct making, proposal);
    struct command_result r = {0};

    making->node->making_groups_topic = false;
    if (status == 0 && command_result_read(result, &r) == 0 && r.error != 0 &&
        r.error != TERN_EEXIST) {
        trace_warn("event=groups_topic_refused error=%s why=\"%s\"", error_name(r.error), r.why);
    }
    free(making);
}

static void make_topic(struct node *node)
{
    struct making *making;
    struct buf command = {0};

    if (node->making_groups_topic || node->quorum == NULL || !node_is_current(node)) {
        return;
    }
    node->making_groups_topic = true;
    making = mem_new(sizeof *making);
    making->node = node;
    making->proposal.done = made;
    command_create_topic(&command, node_next_key(node), CONTROL_GROUPS_TOPIC,
                         uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock)),
                         GROUPS_PARTITIONS, NULL, -1, -1);
    quorum_submit(node->quorum, buf_slice(&command), &making->proposal);
    buf_fini(&command);
}

/* 0 for nobody. */
static uint32_t leader_of(const struct node *node, int32_t index)
{
    const struct control_topic *topic = control_topic_named(node->control, CONTROL_GROUPS_TOPIC);
    uint32_t leader = topic->partitions[index].leader;

    if (leader == 0 || node->control->nodes[leader].id == 0 ||
        node->control->nodes[leader].fenced || node->control->nodes[leader].kafka_port == 0) {
        return 0;
    }
    return leader;
}

static void find(struct request *rq, int8_t type,
                 struct kafka_find_coordinator_response_coordinator *out)
{
    struct node *node = rq->node;
    int32_t index = coordinator_partition(node, out->key);
    uint32_t leader = index >= 0 ? leader_of(node, index) : 0;

    out->node_id = -1;
    out->port = -1;
    if (type != KEY_GROUP) {
        out->error = KAFKA_ERROR_INVALID_REQUEST;
        out->error_message = slice_text("only groups have a coordinator yet");
        return;
    }
    if (index < 0) {
        make_topic(node);
    }
    if (leader == 0) {
        out->error = error_kafka(TERN_ENOCOORDINATOR);
        out->error_message = slice_text(index < 0 ? "the groups' topic is being made"
                                                  : "the group's partition has no leader");
        return;
    }
    out->node_id = (int32_t)leader;
    out->host = arena_text(&rq->arena, node->control->nodes[leader].kafka_host);
    out->port = node->control->nodes[leader].kafka_port;
}

void api_find_coordinator(struct request *rq)
{
    const struct kafka_find_coordinator_request *m = rq->message;
    struct kafka_find_coordinator_response response;
    struct kafka_find_coordinator_response_coordinator *found;
    uint32_t count = rq->version >= 4 ? m->coordinator_keys_count : 1;

    if (count > GROUPS_ASKED_MAX) {
        request_end(rq, "more keys than anybody has");
        return;
    }
    kafka_find_coordinator_response_init(&response);
    found = kafka_find_coordinator_response_coordinator_new(&rq->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        found[i].key = rq->version >= 4 ? m->coordinator_keys[i] : m->key;
        find(rq, rq->version >= 1 ? m->key_type : KEY_GROUP, &found[i]);
    }
    if (rq->version >= 4) {
        response.coordinators = found;
        response.coordinators_count = count;
    } else {
        response.error = found[0].error;
        response.error_message = found[0].error_message;
        response.node_id = found[0].node_id;
        response.host = found[0].host;
        response.port = found[0].port;
    }
    request_reply(rq, &response);
}
