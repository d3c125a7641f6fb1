/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeProducers: who writes into a partition, and whose transaction is open. Followers tell what
 * they know, too: kafka-transactions asks one broker for all that it holds. */
#include "agent/api.h"
#include "base/error.h"

#define TOLD_MAX   100000 /* producers, of all partitions together */
#define LOADING_MS 5000   /* so long a replica that reads its log may take */
#define LOOK_MS    20

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

/* The replica that is to be asked; NULL, and why not. */
static struct partition *replica_of(struct node *node, const struct control_topic *topic,
                                    int32_t index, int *out_error)
{
    struct partition *p = NULL;

    *out_error = leader_partition(node, topic, index, -1, &p);
    if (*out_error == TERN_ENOTLEADER) {
        p = partition_find(node, topic->id, index);
        *out_error = p != NULL && !p->deleting ? 0 : TERN_ENOTLEADER;
    }
    return *out_error == 0 ? p : NULL;
}

/* Its producers are being read from the log. */
static bool is_loading(const struct partition *p)
{
    return p != NULL && p->replica.producers_at != p->replica.leo;
}

static void answer(struct request *rq, const struct control_topic *topic, uint32_t *room,
                   struct kafka_describe_producers_response_partition *out)
{
    int status;
    struct partition *p = replica_of(rq->node, topic, out->partition_index, &status);

    if (is_loading(p)) {
        status = TERN_ENOTLEADER;
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

static void answer_all(struct request *rq)
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

static bool any_is_loading(struct request *rq)
{
    const struct kafka_describe_producers_request *m = rq->message;
    int status;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_describe_producers_request_topic *in = &m->topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        for (uint32_t i = 0; i < in->partition_indexes_count; i++) {
            if (is_loading(replica_of(rq->node, topic, in->partition_indexes[i], &status))) {
                return true;
            }
        }
    }
    return false;
}

static void look_again(struct timer *timer);

/* A tool that asks one broker for all that it holds gives up at "not the leader". */
static void look(struct request *rq)
{
    struct clock *clock = rq->node->o.clock;

    if (any_is_loading(rq) && clock_now_us(clock) - rq->begun_us < LOADING_MS * 1000U) {
        rq->timer.fire = look_again;
        timer_after_ms(clock, &rq->timer, LOOK_MS);
        return;
    }
    answer_all(rq);
}

static void look_again(struct timer *timer)
{
    look(CONTAINER_OF(timer, struct request, timer));
}

void api_describe_producers(struct request *rq)
{
    rq->begun_us = clock_now_us(rq->node->o.clock);
    look(rq);
}
