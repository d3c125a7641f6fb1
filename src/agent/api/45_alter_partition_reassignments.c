/* SPDX-License-Identifier: Apache-2.0 */
/* AlterPartitionReassignments: new replicas come as learners, count when they are level, and only
 * then do those go that they replace. How many there are in each region the policy says. The order
 * of replicas is kept and told, and means nothing: leaders are where the policy wants them. */
#include "agent/api.h"
#include "base/error.h"

static void tell(struct request *rq, void *ctx, const struct command_result *result)
{
    struct kafka_alter_partition_reassignments_response_partition *out = ctx;

    out->error = error_kafka(result->error);
    if (result->error != 0) {
        out->error_message = proposal_why(rq, result);
    }
}

static void alter(struct request *rq, const struct control_topic *topic,
                  const struct kafka_alter_partition_reassignments_request_partition *in,
                  struct kafka_alter_partition_reassignments_response_partition *out)
{
    const struct kafka_alter_partition_reassignments_request *m = rq->message;
    struct command_result fault = {0};
    struct buf command = {0};
    node_set target = 0;

    out->index = in->index;
    if (topic == NULL || in->index < 0 || (uint32_t)in->index >= topic->partition_count) {
        fault.error = TERN_ENOENT;
    } else if (in->replicas_count > CONTROL_REPLICAS_MAX) {
        fault.error = TERN_EINVALIDASSIGNMENT;
    } else if (in->replicas != NULL && !nodes_of(in->replicas, in->replicas_count, &target)) {
        fault.error = TERN_EINVALIDASSIGNMENT;
    }
    if (fault.error != 0) {
        tell(rq, out, &fault);
        return;
    }
    uint32_t order[WIRE_NODES_MAX];
    for (uint32_t i = 0; i < in->replicas_count; i++) {
        order[i] = (uint32_t)in->replicas[i]; /* nodes_of has seen to it that there are so few */
    }
    command_reassign(&command, node_next_key(rq->node), topic->id, in->index, target, order,
                     in->replicas_count);
    proposals_add(rq, &command, m->timeout_ms, tell, out);
}

static void finish(struct request *rq)
{
    request_reply(rq, rq->state);
}

void api_alter_partition_reassignments(struct request *rq)
{
    const struct kafka_alter_partition_reassignments_request *m = rq->message;
    struct kafka_alter_partition_reassignments_response *response =
        arena_take(&rq->arena, sizeof *response);

    kafka_alter_partition_reassignments_response_init(response);
    response->allow_replication_factor_change = m->allow_replication_factor_change;
    response->topics =
        kafka_alter_partition_reassignments_response_topic_new(&rq->arena, m->topics_count);
    response->topics_count = m->topics_count;
    rq->state = response;
    proposals_begin(rq, finish);
    for (uint32_t i = 0; i < m->topics_count; i++) {
        struct kafka_alter_partition_reassignments_response_topic *out = &response->topics[i];
        out->name = m->topics[i].name;
        out->partitions_count = m->topics[i].partitions_count;
        out->partitions = kafka_alter_partition_reassignments_response_partition_new(
            &rq->arena, out->partitions_count);
        for (uint32_t k = 0; k < out->partitions_count; k++) {
            alter(rq, topic_by_slice(rq->node, m->topics[i].name), &m->topics[i].partitions[k],
                  &out->partitions[k]);
        }
    }
    proposals_end(rq);
}
