/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeLogDirs: this node's one directory, with what its replicas take there. */
#include "agent/api.h"
#include "base/error.h"

static bool is_asked(const struct kafka_describe_log_dirs_request *m, const char *topic,
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

static void fill_partition(const struct partition *p,
                           struct kafka_describe_log_dirs_response_partition *out)
{
    const struct store_log_state *state = store_state(p->log);
    int64_t hw = p->replica.leader_hw;

    out->index = p->key.partition;
    out->bytes = (int64_t)state->bytes;
    out->offset_lag = hw > state->leo ? hw - state->leo : 0;
}

static void fill_topic(struct request *rq, const struct control_topic *topic,
                       struct kafka_describe_log_dirs_response_result *result)
{
    struct kafka_describe_log_dirs_response_topic *out = &result->topics[result->topics_count];

    out->partitions =
        kafka_describe_log_dirs_response_partition_new(&rq->arena, topic->partition_count);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const struct partition *p = partition_find(rq->node, topic->id, (int32_t)i);
        if (p != NULL && is_asked(rq->message, topic->name, (int32_t)i)) {
            fill_partition(p, &out->partitions[out->partitions_count++]);
        }
    }
    if (out->partitions_count > 0) {
        out->name = arena_text(&rq->arena, topic->name);
        result->topics_count++;
    }
}

void api_describe_log_dirs(struct request *rq)
{
    struct node *node = rq->node;
    struct kafka_describe_log_dirs_response response;
    struct disk *disk = node->o.disk;

    kafka_describe_log_dirs_response_init(&response);
    response.results = kafka_describe_log_dirs_response_result_new(&rq->arena, 1);
    response.results_count = 1;
    struct kafka_describe_log_dirs_response_result *result = &response.results[0];
    result->log_dir = slice_text(node->o.data_dir);
    result->usable_bytes = (int64_t)disk->ops->free_bytes(disk);
    if (disk->ops->total_bytes != NULL) {
        result->total_bytes = (int64_t)disk->ops->total_bytes(disk);
    }
    result->topics = kafka_describe_log_dirs_response_topic_new(
        &rq->arena, HASH_CNT(by_name, node->control->by_name));
    for (struct control_topic *t = node->control->by_name; t != NULL; t = t->by_name.next) {
        fill_topic(rq, t, result);
    }
    request_reply(rq, &response);
}
