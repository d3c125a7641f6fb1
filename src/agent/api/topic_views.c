/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions as clients are told of them (Metadata, DescribeTopicPartitions, reassignments). */
#include "agent/api.h"

int32_t *node_ids(struct arena *arena, const struct control_partition *p, node_set nodes,
                  uint32_t *out_count)
{
    uint32_t in_order[WIRE_NODES_MAX];

    *out_count = control_ordered(p, nodes, in_order);
    int32_t *ids = arena_take(arena, (*out_count + 1) * sizeof *ids);
    for (uint32_t i = 0; i < *out_count; i++) {
        ids[i] = (int32_t)in_order[i];
    }
    return ids;
}

static node_set not_fenced(const struct control *control)
{
    node_set live = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (control->nodes[id].id != 0 && !control->nodes[id].fenced) {
            live |= NODE_BIT(id);
        }
    }
    return live;
}

int32_t controller_told(struct request *rq)
{
    const struct control *control = rq->node->control;
    struct quorum_status *status = arena_take(&rq->arena, sizeof *status);
    uint32_t leader = 0;

    if (rq->node->quorum != NULL) {
        quorum_status(rq->node->quorum, status);
        leader = status->leader_node;
    }
    const struct control_node *node = &control->nodes[leader];
    bool there = leader != 0 && node->id != 0 && node->kafka_port != 0 && !node->fenced &&
                 !node->removed && !control->regions[node->region].witness;
    /* While none is known it is this one, as in Kafka it is any: some clients (sarama) end without. */
    return (int32_t)(there ? leader : rq->node->o.node_id);
}

struct partition_view partition_view(struct request *rq, const struct control_topic *topic,
                                     uint32_t index)
{
    const struct control_partition *p = &topic->partitions[index];
    node_set members = control_members(&p->config);
    node_set live = not_fenced(rq->node->control);
    struct partition_view view = {.leader_epoch = p->epoch, .leader = -1};

    if (p->leader != 0 && (live & NODE_BIT(p->leader)) != 0) {
        view.leader = (int32_t)p->leader;
    }
    view.replicas = node_ids(&rq->arena, p, members, &view.replicas_count);
    view.isr = node_ids(&rq->arena, p, p->config.voters & live, &view.isr_count);
    view.offline = node_ids(&rq->arena, p, members & ~live, &view.offline_count);
    return view;
}
