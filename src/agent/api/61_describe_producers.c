/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeProducers: who writes into a partition, and whose transaction is open. Followers tell what
 * they know, too: kafka-transactions asks one broker for all that it holds. */
#include "agent/api.h"
#include "base/error.h"

#define TOLD_MAX 100000 /* producers, of all partitions together */

struct telling {
    struct kafka_describe_producers_response_partition *out;
    uint32_t room;
};

static void tell(void *ctx, const struct producer_view *view)
{
    struct telling *t = ctx;

    if (t->out->active_producers_count == t->room) {
        return;
    }
    struct kafka_describe_producers_response_producer *one =
        &t->out->active_producers[t->out->active_producers_count++];
    one->producer_id = view->id;
    one->producer_epoch = view->epoch;
    one->last_sequence = view->last_sequence;
    one->last_timestamp = view->last_timestamp;
    one->coordinator_epoch = view->coordinator_epoch;
    one->current_txn_start_offset = view->open_since;
}

static void answer(struct request *rq, const struct control_topic *topic, uint32_t *room,
                   struct kafka_describe_producers_response_partition *out)
{
    struct partition *p = NULL;
    int status = leader_partition(rq->node, topic, out->partition_index, -1, &p);

    if (status == TERN_ENOTLEADER) {
        p = partition_find(rq->node, topic->id, out->partition_index);
        status = p != NULL && !p->deleting ? 0 : TERN_ENOTLEADER;
    }
    if (status == 0 && p->replica.producers_at != p->replica.leo) {
        status = TERN_ENOTLEADER; /* they are being read from the log */
    }
    out->error = error_kafka(status);
    if (status != 0) {
        return;
    }
    size_t count = producers_count(p->replica.producers);
    struct telling t = {out, count < *room ? (uint32_t)count : *room};
    out->active_producers = kafka_describe_producers_response_producer_new(&rq->arena, t.room);
    producers_each(p->replica.producers, tell, &t);
    *room -= out->active_producers_count;
}

void api_describe_producers(struct request *rq)
{
    const struct kafka_describe_producers_request *m = rq->message;
    struct kafka_describe_producers_response response;
    uint32_t room = TOLD_MAX;

    kafka_describe_producers_response_init(&response);
    response.topics = kafka_describe_producers_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_describe_producers_request_topic *in = &m->topics[t];
        struct kafka_describe_producers_response_topic *out = &response.topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        out->name = in->name;
        out->partitions = kafka_describe_producers_response_partition_new(
            &rq->arena, in->partition_indexes_count);
        out->partitions_count = in->partition_indexes_count;
        for (uint32_t i = 0; i < in->partition_indexes_count; i++) {
            out->partitions[i].partition_index = in->partition_indexes[i];
            answer(rq, topic, &room, &out->partitions[i]);
        }
    }
    request_reply(rq, &response);
}
