/* SPDX-License-Identifier: Apache-2.0 */
/* ListPartitionReassignments: what somebody has asked for and is not done. Replicas that the
 * controller moves by itself are its own business. */
#include "agent/api.h"

static bool is_asked(const struct kafka_list_partition_reassignments_request *m, const char *topic,
                     int32_t partition)
{
    if (m->topics == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < m->topics_count; i++) {
        for (uint32_t k = 0; k < m->topics[i].partitions_count; k++) {
            if (m->topics[i].partitions[k] == partition &&
                slice_equal(m->topics[i].name, slice_text(topic))) {
                return true;
            }
        }
    }
    return false;
}

static void fill_partition(struct request *rq, const struct control_partition *p, int32_t index,
                           struct kafka_list_partition_reassignments_response_partition *out)
{
    node_set now = p->config.voters;

    out->index = index;
    out->replicas = node_ids(&rq->arena, p, now | p->target, &out->replicas_count);
    out->adding_replicas = node_ids(&rq->arena, p, p->target & ~now, &out->adding_replicas_count);
    out->removing_replicas =
        node_ids(&rq->arena, p, now & ~p->target, &out->removing_replicas_count);
}

static void fill_topic(struct request *rq, const struct control_topic *topic,
                       struct kafka_list_partition_reassignments_response *response)
{
    struct kafka_list_partition_reassignments_response_topic *out =
        &response->topics[response->topics_count];
    uint32_t moving = 0;

    for (uint32_t i = 0; i < topic->partition_count; i++) {
        moving += topic->partitions[i].target != 0;
    }
    out->partitions = kafka_list_partition_reassignments_response_partition_new(&rq->arena, moving);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i].target != 0 && is_asked(rq->message, topic->name, (int32_t)i)) {
            fill_partition(rq, &topic->partitions[i], (int32_t)i,
                           &out->partitions[out->partitions_count++]);
        }
    }
    if (out->partitions_count > 0) {
        out->name = slice_text(topic->name);
        response->topics_count++;
    }
}

void api_list_partition_reassignments(struct request *rq)
{
    const struct control *control = rq->node->control;
    struct kafka_list_partition_reassignments_response response;

    kafka_list_partition_reassignments_response_init(&response);
    response.topics = kafka_list_partition_reassignments_response_topic_new(
        &rq->arena, HASH_CNT(by_name, control->by_name));
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        fill_topic(rq, t, &response);
    }
    request_reply(rq, &response);
}
