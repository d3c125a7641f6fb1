/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetDelete: offsets of topics to which the group does not subscribe. */
#include <string.h>

#include "agent/group.h"
#include "base/error.h"

struct offset_delete {
    struct group_wait wait;
    struct request *rq;
    struct kafka_offset_delete_response response;
    uint32_t known; /* partitions that are there */
};

static void deleted(struct group_wait *wait, int status)
{
    struct offset_delete *d = CONTAINER_OF(wait, struct offset_delete, wait);

    d->response.error = error_kafka(status);
    request_reply(d->rq, &d->response);
}

static void canceled(struct request *rq)
{
    struct offset_delete *d = rq->state;

    if (link_in_list(&d->wait.link)) {
        link_remove(&d->wait.link);
    }
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct offset_delete *d = rq->state;

    link_remove(&d->wait.link);
    deleted(&d->wait, TERN_ENOCOORDINATOR);
}

/* Names that are not there; what is wrong with the group is told instead of them. */
static void prepare(struct offset_delete *d)
{
    struct request *rq = d->rq;
    const struct kafka_offset_delete_request *m = rq->message;

    d->response.topics = kafka_offset_delete_response_topic_new(&rq->arena, m->topics_count);
    d->response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_offset_delete_request_topic *in = &m->topics[t];
        struct kafka_offset_delete_response_topic *out = &d->response.topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        out->name = in->name;
        out->partitions =
            kafka_offset_delete_response_partition_new(&rq->arena, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            int32_t index = in->partitions[i].partition;
            bool known = topic != NULL && index >= 0 && (uint32_t)index < topic->partition_count;
            out->partitions[i].partition = index;
            out->partitions[i].error = known ? 0 : error_kafka(TERN_ENOENT);
            d->known += known;
        }
    }
}

/* The error of the whole request. */
static int delete_all(struct offset_delete *d, struct coordinator *co)
{
    const struct kafka_offset_delete_request *m = d->rq->message;
    int status = groups_find(coordinator_groups(co), m->group_id) != NULL ? 0 : TERN_EGROUPNOTFOUND;

    for (uint32_t t = 0; t < d->response.topics_count && status == 0; t++) {
        struct kafka_offset_delete_response_topic *topic = &d->response.topics[t];
        for (uint32_t i = 0; i < topic->partitions_count && status == 0; i++) {
            struct group_out out = {0};
            if (topic->partitions[i].error != 0) {
                continue;
            }
            status = groups_delete_offset(coordinator_groups(co), m->group_id, topic->name,
                                          topic->partitions[i].partition, &out);
            coordinator_run(co, &out);
            if (status == TERN_EGROUPSUBSCRIBED) {
                topic->partitions[i].error = error_kafka(status);
                status = 0;
            }
        }
    }
    return status;
}

void api_offset_delete(struct request *rq)
{
    const struct kafka_offset_delete_request *m = rq->message;
    struct offset_delete *d = arena_take(&rq->arena, sizeof *d);
    struct coordinator *co = NULL;

    memset(d, 0, sizeof *d);
    d->rq = rq;
    d->wait.done = deleted;
    rq->state = d;
    rq->cancel = canceled;
    kafka_offset_delete_response_init(&d->response);
    prepare(d);
    int status =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDGROUP;
    if (status == 0) {
        status = delete_all(d, co);
    }
    if (status != 0) {
        d->response.topics_count = 0;
        d->response.error = error_kafka(status);
        request_reply(rq, &d->response);
        return;
    }
    if (d->known == 0) {
        request_reply(rq, &d->response);
        return;
    }
    coordinator_wait(co, &d->wait);
    rq->timer.fire = timed_out;
    timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
}
