/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeTopicPartitions (KIP-966): topics by name, in the order of their names, so many partitions
 * at a time; the cursor says where the next answer begins. There are no eligible leader replicas:
 * who may lead is a matter of epochs, not of a list. */
#include <stdlib.h>

#include "agent/api.h"
#include "base/error.h"

#define PARTITIONS_MAX 2000 /* of one answer, as Kafka's max.request.partition.size.limit */

static int by_name(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* What is asked for, from the cursor's topic on, each once. */
static uint32_t wanted(struct request *rq, struct slice **out)
{
    const struct kafka_describe_topic_partitions_request *m = rq->message;
    const struct control *control = rq->node->control;
    bool all = m->topics_count == 0;
    uint32_t count = all ? HASH_CNT(by_name, control->by_name) : m->topics_count;
    struct slice *names = arena_take(&rq->arena, (count + 1) * sizeof *names);
    uint32_t kept = 0;

    if (all) {
        uint32_t n = 0;
        for (const struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
            names[n++] = slice_text(t->name);
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            names[i] = m->topics[i].name;
        }
    }
    qsort(names, count, sizeof *names, by_name);
    for (uint32_t i = 0; i < count; i++) {
        bool early = m->cursor_count > 0 && slice_compare(names[i], m->cursor[0].topic_name) < 0;
        if (!early && (kept == 0 || !slice_equal(names[kept - 1], names[i]))) {
            names[kept++] = names[i];
        }
    }
    *out = names;
    return kept;
}

/* Returns how many. */
static uint32_t fill_partitions(struct request *rq, const struct control_topic *topic,
                                uint32_t first, uint32_t most,
                                struct kafka_describe_topic_partitions_response_topic *out)
{
    uint32_t left = first < topic->partition_count ? topic->partition_count - first : 0;
    uint32_t count = left < most ? left : most;

    out->partitions = kafka_describe_topic_partitions_response_partition_new(&rq->arena, count);
    out->partitions_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct kafka_describe_topic_partitions_response_partition *p = &out->partitions[i];
        struct partition_view view = partition_view(rq, topic, first + i);
        p->partition = (int32_t)(first + i);
        p->leader_id = view.leader;
        p->leader_epoch = view.leader_epoch;
        p->replicas = view.replicas;
        p->replicas_count = view.replicas_count;
        p->isr = view.isr;
        p->isr_count = view.isr_count;
        p->offline_replicas = view.offline;
        p->offline_replicas_count = view.offline_count;
        /* Empty, not null: the Java client walks them. */
        p->eligible_leader_replicas = view.offline + view.offline_count;
        p->last_known_elr = view.offline + view.offline_count;
    }
    return count;
}

static void next_is(struct request *rq, struct slice topic, uint32_t partition,
                    struct kafka_describe_topic_partitions_response *response)
{
    response->next_cursor = kafka_describe_topic_partitions_response_next_cursor_new(&rq->arena, 1);
    response->next_cursor_count = 1;
    response->next_cursor[0].topic_name = topic;
    response->next_cursor[0].partition = (int32_t)partition;
}

static void fill_unknown(struct request *rq,
                         struct kafka_describe_topic_partitions_response_topic *out)
{
    out->error = error_kafka(!topic_name_allowed(out->name) ? TERN_EINVALIDTOPIC
                             : !node_is_current(rq->node)   ? TERN_ELEADERUNKNOWN
                                                            : TERN_ENOENT);
}

/* All of them, for what is wrong with the request. */
static void refuse(struct request *rq, int error)
{
    const struct kafka_describe_topic_partitions_request *m = rq->message;
    struct kafka_describe_topic_partitions_response response;

    kafka_describe_topic_partitions_response_init(&response);
    response.topics =
        kafka_describe_topic_partitions_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t i = 0; i < m->topics_count; i++) {
        response.topics[i].name = m->topics[i].name;
        response.topics[i].error = error_kafka(error);
    }
    request_reply(rq, &response);
}

static bool cursor_allowed(const struct kafka_describe_topic_partitions_request *m)
{
    bool listed = m->cursor_count == 0 || m->topics_count == 0;

    for (uint32_t i = 0; i < m->topics_count && !listed; i++) {
        listed = slice_equal(m->topics[i].name, m->cursor[0].topic_name);
    }
    return listed && (m->cursor_count == 0 || m->cursor[0].partition >= 0);
}

void api_describe_topic_partitions(struct request *rq)
{
    const struct kafka_describe_topic_partitions_request *m = rq->message;
    struct kafka_describe_topic_partitions_response response;
    struct slice *names;
    uint32_t left = PARTITIONS_MAX;

    if (!cursor_allowed(m)) {
        refuse(rq, TERN_EINVALIDREQUEST);
        return;
    }
    uint32_t count = wanted(rq, &names);
    if (m->response_partition_limit < PARTITIONS_MAX) {
        left = m->response_partition_limit > 0 ? (uint32_t)m->response_partition_limit : 1;
    }
    kafka_describe_topic_partitions_response_init(&response);
    response.topics = kafka_describe_topic_partitions_response_topic_new(&rq->arena, count);
    for (uint32_t i = 0; i < count && response.next_cursor_count == 0; i++) {
        struct kafka_describe_topic_partitions_response_topic *out =
            &response.topics[response.topics_count];
        const struct control_topic *topic = topic_by_slice(rq->node, names[i]);
        bool resumed =
            i == 0 && m->cursor_count > 0 && slice_equal(names[0], m->cursor[0].topic_name);
        uint32_t first = resumed ? (uint32_t)m->cursor[0].partition : 0;
        if (left == 0) {
            next_is(rq, names[i], 0, &response);
            break;
        }
        response.topics_count++;
        out->name = names[i];
        if (topic == NULL) {
            fill_unknown(rq, out);
            continue;
        }
        out->topic_id = topic->id;
        out->is_internal = control_topic_internal(topic->name);
        left -= fill_partitions(rq, topic, first, left, out);
        if (first + out->partitions_count < topic->partition_count) {
            next_is(rq, names[i], first + out->partitions_count, &response);
        }
    }
    request_reply(rq, &response);
}
