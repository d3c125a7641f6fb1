/* SPDX-License-Identifier: Apache-2.0 */
/* FindCoordinator: the leader of the partition in which a group or a transactional id is kept. That
 * topic is made when somebody asks first; until then, and while nobody leads, the answer is "not available", which clients try
 * again. */
#include <stdlib.h>

#include "agent/group.h"
#include "agent/txn.h"
#include "base/error.h"
#include "base/trace.h"

#define KEY_GROUP 0
#define KEY_TXN   1

struct making {
    struct quorum_proposal proposal;
    struct node *node;
    int8_t type;
};

static void made(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct making *making = CONTAINER_OF(proposal, struct making, proposal);
    struct command_result r = {0};

    making->node->making_topic[making->type] = false;
    if (status == 0 && command_result_read(result, &r) == 0 && r.error != 0 &&
        r.error != TERN_EEXIST) {
        trace_warn("event=internal_topic_refused error=%s why=\"%s\"", error_name(r.error), r.why);
    }
    free(making);
}

static const struct coordinator_kind *kind_of(int8_t type)
{
    return type == KEY_TXN ? &coordinator_txns_kind : &coordinator_groups_kind;
}

static void make_topic(struct node *node, int8_t type);

void coordinator_make_topic(struct node *node, const struct coordinator_kind *kind)
{
    make_topic(node, kind == &coordinator_txns_kind ? KEY_TXN : KEY_GROUP);
}

static void make_topic(struct node *node, int8_t type)
{
    struct making *making;
    struct buf command = {0};

    if (node->making_topic[type] || node->quorum == NULL || !node_is_current(node)) {
        return;
    }
    node->making_topic[type] = true;
    making = mem_new(sizeof *making);
    making->node = node;
    making->type = type;
    making->proposal.done = made;
    command_create_topic(&command, node_next_key(node), kind_of(type)->topic,
                         uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock)),
                         type == KEY_TXN ? TXNS_PARTITIONS : GROUPS_PARTITIONS, NULL, -1, -1);
    quorum_submit(node->quorum, buf_slice(&command), &making->proposal);
    buf_fini(&command);
}

/* 0 for nobody. */
static uint32_t leader_of(const struct node *node, int8_t type, int32_t index)
{
    const struct control_topic *topic = control_topic_named(node->control, kind_of(type)->topic);
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

    out->node_id = -1;
    out->port = -1;
    if (type != KEY_GROUP && type != KEY_TXN) {
        out->error = KAFKA_ERROR_INVALID_REQUEST;
        out->error_message = slice_text("only groups and transactional ids have a coordinator");
        return;
    }
    if (type == KEY_TXN && out->key.len == 0) {
        out->error = KAFKA_ERROR_INVALID_REQUEST;
        out->error_message = slice_text("a transactional id is not empty");
        return;
    }
    int32_t index = coordinator_index(node, kind_of(type), out->key);
    uint32_t leader = index >= 0 ? leader_of(node, type, index) : 0;
    if (index < 0) {
        make_topic(node, type);
    }
    if (leader == 0) {
        out->error = error_kafka(TERN_ENOCOORDINATOR);
        out->error_message =
            slice_text(index < 0 ? "the topic that it is kept in is being made"
                                 : "the partition that it is kept in has no leader");
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
