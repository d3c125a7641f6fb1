/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeQuorum: the control quorum, in the one shape that Kafka's admin client takes: topic
 * __cluster_metadata, partition 0. Voters are one node of each region, observers the others.
 *
 * How far a node is: the controller knows it from libraft; any other node, from the heartbeats. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define METADATA_TOPIC "__cluster_metadata"

struct member {
    uint32_t node;
    bool voter;
    int64_t end;
    int64_t heard_ms; /* wall clock; -1: never */
    int64_t level_ms; /* when it was last seen with all; -1: it is not */
};

static struct member member_of(struct node *node, const struct quorum_status *status,
                               const struct quorum_peer_status *peer)
{
    uint32_t id = peer->member.node_id;
    const struct peer *seen = &node->peers[id];
    uint64_t now_us = clock_now_us(node->o.clock);
    int64_t wall_ms = clock_wall_ms(node->o.clock);
    struct member m = {.node = id, .voter = peer->member.voter, .heard_ms = -1, .level_ms = -1};

    if (id == node->o.node_id) {
        m.end = (int64_t)status->last_index;
        m.heard_ms = wall_ms;
    } else {
        m.end = (int64_t)(status->controller ? peer->match_index : seen->commit_index);
        if (seen->heard_us != 0) {
            m.heard_ms = wall_ms - (int64_t)((now_us - seen->heard_us) / 1000);
        }
    }
    if (m.end >= (int64_t)status->commit_index) {
        m.level_ms = m.heard_ms;
    }
    return m;
}

static void fill_members(struct request *rq, const struct quorum_status *status,
                         struct kafka_describe_quorum_response_partition *out)
{
    out->voters = kafka_describe_quorum_response_voter_new(&rq->arena, status->peer_count);
    out->observers = kafka_describe_quorum_response_observer_new(&rq->arena, status->peer_count);
    for (uint32_t i = 0; i < status->peer_count; i++) {
        struct member m = member_of(rq->node, status, &status->peers[i]);
        if (m.voter) {
            struct kafka_describe_quorum_response_voter *v = &out->voters[out->voters_count++];
            v->replica_id = (int32_t)m.node;
            v->log_end_offset = m.end;
            v->last_fetch_ms = m.heard_ms;
            v->last_caught_up_ms = m.level_ms;
        } else {
            struct kafka_describe_quorum_response_observer *o =
                &out->observers[out->observers_count++];
            o->replica_id = (int32_t)m.node;
            o->log_end_offset = m.end;
            o->last_fetch_ms = m.heard_ms;
            o->last_caught_up_ms = m.level_ms;
        }
    }
}

/* Where the quorum's members speak to each other. */
static void fill_nodes(struct request *rq, const struct quorum_status *status,
                       struct kafka_describe_quorum_response *response)
{
    response->nodes = kafka_describe_quorum_response_node_new(&rq->arena, status->peer_count);
    for (uint32_t i = 0; i < status->peer_count; i++) {
        const struct control_node *node =
            &rq->node->control->nodes[status->peers[i].member.node_id];
        const char *colon = strrchr(node->mesh_address, ':');
        if (node->id == 0 || colon == NULL) {
            continue;
        }
        struct kafka_describe_quorum_response_node *out = &response->nodes[response->nodes_count++];
        out->node_id = (int32_t)node->id;
        out->listeners = kafka_describe_quorum_response_listener_new(&rq->arena, 1);
        out->listeners_count = 1;
        out->listeners[0].name = slice_text("MESH");
        out->listeners[0].host = slice_of(node->mesh_address, (size_t)(colon - node->mesh_address));
        out->listeners[0].port = (uint16_t)strtoul(colon + 1, NULL, 10);
    }
}

static void fill_partition(struct request *rq, bool known, int32_t index,
                           const struct quorum_status *status,
                           struct kafka_describe_quorum_response_partition *out)
{
    out->index = index;
    if (!known || index != 0) {
        out->error = error_kafka(TERN_ENOENT);
        return;
    }
    if (status == NULL || status->leader_node == 0) {
        out->error = error_kafka(TERN_ELEADERUNKNOWN);
        return;
    }
    out->leader_id = (int32_t)status->leader_node;
    out->leader_epoch = (int32_t)status->term;
    out->high_watermark = (int64_t)status->commit_index;
    fill_members(rq, status, out);
}

void api_describe_quorum(struct request *rq)
{
    const struct kafka_describe_quorum_request *m = rq->message;
    struct kafka_describe_quorum_response response;
    struct quorum_status *status = NULL;

    kafka_describe_quorum_response_init(&response);
    if (rq->node->quorum != NULL) {
        status = arena_take(&rq->arena, sizeof *status);
        quorum_status(rq->node->quorum, status);
        fill_nodes(rq, status, &response);
    }
    response.topics = kafka_describe_quorum_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t i = 0; i < m->topics_count; i++) {
        struct kafka_describe_quorum_response_topic *out = &response.topics[i];
        bool known = slice_equal(m->topics[i].name, slice_text(METADATA_TOPIC));
        out->name = m->topics[i].name;
        out->partitions_count = m->topics[i].partitions_count;
        out->partitions =
            kafka_describe_quorum_response_partition_new(&rq->arena, out->partitions_count);
        for (uint32_t k = 0; k < out->partitions_count; k++) {
            fill_partition(rq, known, m->topics[i].partitions[k].index, status,
                           &out->partitions[k]);
        }
    }
    request_reply(rq, &response);
}
