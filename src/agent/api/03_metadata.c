/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata: brokers, topics and leaders, from the control state that this node has applied. Stale
 * answers are harmless: clients ignore leader epochs older than those they know. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

/* Also those that are fenced, other than in Kafka: without them a consumer of librdkafka stood still in
 * one run of the interop suite out of seven, which is not understood. */
static void fill_brokers(struct request *rq, struct kafka_metadata_response *response)
{
    const struct control *control = rq->node->control;

    response->brokers = kafka_metadata_response_broker_new(&rq->arena, WIRE_NODES_MAX);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];
        bool there = node->id != 0 && node->kafka_port != 0 && !node->removed &&
                     !control->regions[node->region].witness;
        if (!there) {
            continue;
        }
        struct kafka_metadata_response_broker *b = &response->brokers[response->brokers_count++];
        b->node_id = (int32_t)id;
        b->host = slice_text(node->kafka_host);
        b->port = node->kafka_port;
        b->rack = slice_text(control->regions[node->region].name);
    }
    if (response->brokers_count == 0) { /* an empty list is a failure to librdkafka */
        struct kafka_metadata_response_broker *b = &response->brokers[response->brokers_count++];
        b->node_id = (int32_t)rq->node->o.node_id;
        b->host = slice_text(rq->node->o.kafka_host);
        b->port = rq->node->o.kafka_port;
        b->rack = slice_text(rq->node->o.region);
    }
}

static void fill_partition(struct request *rq, const struct control_topic *topic, uint32_t index,
                           struct kafka_metadata_response_partition *out)
{
    struct partition_view view = partition_view(rq, topic, index);

    out->partition = (int32_t)index;
    out->leader_epoch = view.leader_epoch;
    out->leader_id = view.leader;
    out->error = view.leader < 0 ? error_kafka(TERN_ELEADERUNKNOWN) : 0;
    out->replicas = view.replicas;
    out->replicas_count = view.replicas_count;
    out->isr = view.isr;
    out->isr_count = view.isr_count;
    out->offline_replicas = view.offline;
    out->offline_replicas_count = view.offline_count;
}

static void fill_topic(struct request *rq, const struct control_topic *topic,
                       struct kafka_metadata_response_topic *out)
{
    out->name = slice_text(topic->name);
    out->topic_id = topic->id;
    out->is_internal = control_topic_internal(topic->name);
    out->partitions = kafka_metadata_response_partition_new(&rq->arena, topic->partition_count);
    out->partitions_count = topic->partition_count;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        fill_partition(rq, topic, i, &out->partitions[i]);
    }
}

static void fill_wanted(struct request *rq, const struct kafka_metadata_request_topic *wanted,
                        struct kafka_metadata_response_topic *out)
{
    bool by_id = wanted->name.base == NULL;
    const struct control_topic *topic =
        by_id ? control_topic_by_id(rq->node->control, wanted->topic_id)
              : topic_by_slice(rq->node, wanted->name);

    if (topic != NULL) {
        fill_topic(rq, topic, out);
        return;
    }
    out->name = wanted->name;
    out->topic_id = wanted->topic_id;
    if (!by_id && !topic_name_allowed(wanted->name)) {
        out->error = error_kafka(TERN_EINVALIDTOPIC);
        return;
    }
    if (!node_is_current(rq->node)) {
        /* Its control state may be an old one: clients would take "unknown" for final. */
        out->error = error_kafka(TERN_ELEADERUNKNOWN);
        return;
    }
    const struct kafka_metadata_request *m = rq->message;
    bool made = !by_id && (rq->version < 4 || m->allow_auto_topic_creation) &&
                auto_create(rq, wanted->name);
    out->error = error_kafka(by_id  ? TERN_EUNKNOWNTOPICID
                             : made ? TERN_ELEADERUNKNOWN
                                    : TERN_ENOENT);
}

static void fill_all(struct request *rq, struct kafka_metadata_response *response)
{
    struct control_topic *topic;
    struct control_topic *next;
    uint32_t count = HASH_CNT(by_name, rq->node->control->by_name);

    response->topics = kafka_metadata_response_topic_new(&rq->arena, count);
    HASH_ITER (by_name, rq->node->control->by_name, topic, next) {
        fill_topic(rq, topic, &response->topics[response->topics_count++]);
    }
}

/* Ids came with version 10, but may be asked for from 12 on; the answer of 10 cannot name null. */
static bool asks_too_early(const struct request *rq)
{
    const struct kafka_metadata_request *m = rq->message;

    for (uint32_t i = 0; i < m->topics_count && rq->version < 12; i++) {
        if (m->topics[i].name.base == NULL || !uuid_is_zero(m->topics[i].topic_id)) {
            return true;
        }
    }
    return false;
}

static void refuse(struct request *rq, int error)
{
    const struct kafka_metadata_request *m = rq->message;
    struct kafka_metadata_response response;

    kafka_metadata_response_init(&response);
    response.topics = kafka_metadata_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t i = 0; i < m->topics_count; i++) {
        response.topics[i].name =
            m->topics[i].name.base != NULL ? m->topics[i].name : slice_text("");
        response.topics[i].topic_id = m->topics[i].topic_id;
        response.topics[i].error = error_kafka(error);
    }
    request_reply(rq, &response);
}

void api_metadata(struct request *rq)
{
    const struct kafka_metadata_request *m = rq->message;
    struct kafka_metadata_response response;
    struct node *node = rq->node;
    char *id = arena_take(&rq->arena, UUID_TEXT_SIZE);

    if (asks_too_early(rq)) {
        refuse(rq, TERN_EINVALIDREQUEST);
        return;
    }
    kafka_metadata_response_init(&response);
    fill_brokers(rq, &response);
    uuid_text(node->file.cluster_id, id);
    response.cluster_id = slice_text(id);
    response.controller_id = controller_told(rq);
    /* Version 0: an empty list asks for all; from 1 on null does, and empty asks for none. */
    if (m->topics == NULL || (rq->version == 0 && m->topics_count == 0)) {
        fill_all(rq, &response);
    } else {
        response.topics = kafka_metadata_response_topic_new(&rq->arena, m->topics_count);
        response.topics_count = m->topics_count;
        for (uint32_t i = 0; i < m->topics_count; i++) {
            fill_wanted(rq, &m->topics[i], &response.topics[i]);
        }
    }
    request_reply(rq, &response);
}
