/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetCommit: answered when the coordinator's log has the offsets by its policy's rule. */
#include <string.h>

#include "agent/group.h"
#include "base/error.h"

struct commit {
    struct group_wait wait;
    struct request *rq;
    struct kafka_offset_commit_response response;
    uint32_t known; /* partitions that are there */
    uint32_t count; /* offsets on their way */
};

static const struct control_topic *topic_of(const struct request *rq,
                                            const struct kafka_offset_commit_request_topic *in,
                                            int *out_error)
{
    bool by_id = rq->version >= 10;
    const struct control_topic *topic = by_id ? control_topic_by_id(rq->node->control, in->topic_id)
                                              : topic_by_slice(rq->node, in->name);

    *out_error = by_id ? TERN_EUNKNOWNTOPICID : TERN_ENOENT;
    return topic;
}

/* Of the partitions that have none of their own. */
static void set_errors(struct commit *c, int error)
{
    for (uint32_t t = 0; t < c->response.topics_count; t++) {
        struct kafka_offset_commit_response_topic *topic = &c->response.topics[t];
        for (uint32_t i = 0; i < topic->partitions_count; i++) {
            if (topic->partitions[i].error == 0) {
                topic->partitions[i].error = error_kafka(error);
            }
        }
    }
}

static void committed(struct group_wait *wait, int status)
{
    struct commit *c = CONTAINER_OF(wait, struct commit, wait);

    if (status == 0) {
        c->rq->node->counters.offset_commits += c->count;
    }
    set_errors(c, status);
    request_reply(c->rq, &c->response);
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct commit *c = rq->state;

    link_remove(&c->wait.link);
    committed(&c->wait, TERN_ENOCOORDINATOR);
}

static void canceled(struct request *rq)
{
    struct commit *c = rq->state;

    if (link_in_list(&c->wait.link)) {
        link_remove(&c->wait.link);
    }
}

/* As Kafka, names are looked at before the group is. */
static void prepare(struct commit *c)
{
    struct request *rq = c->rq;
    const struct kafka_offset_commit_request *m = rq->message;

    kafka_offset_commit_response_init(&c->response);
    c->response.topics = kafka_offset_commit_response_topic_new(&rq->arena, m->topics_count);
    c->response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_offset_commit_request_topic *in = &m->topics[t];
        struct kafka_offset_commit_response_topic *out = &c->response.topics[t];
        out->name = in->name;
        out->topic_id = in->topic_id;
        out->partitions_count = in->partitions_count;
        out->partitions =
            kafka_offset_commit_response_partition_new(&rq->arena, in->partitions_count);
        int missing = 0;
        const struct control_topic *topic = topic_of(rq, in, &missing);
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            int32_t index = in->partitions[i].partition;
            out->partitions[i].partition = index;
            if (topic == NULL) {
                out->partitions[i].error = error_kafka(missing);
            } else if (index < 0 || (uint32_t)index >= topic->partition_count) {
                out->partitions[i].error = error_kafka(TERN_ENOENT);
            } else {
                c->known++;
            }
        }
    }
}

static void append_all(struct commit *c, struct coordinator *co)
{
    const struct kafka_offset_commit_request *m = c->rq->message;
    const struct coordinator_producer nobody = {-1, -1};
    int64_t now_ms = coordinator_now(co).wall_ms;
    bool expires = m->retention_ms >= 0 && m->retention_ms < INT64_MAX - now_ms;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        int missing = 0;
        const struct control_topic *topic = topic_of(c->rq, &m->topics[t], &missing);
        for (uint32_t i = 0; i < m->topics[t].partitions_count; i++) {
            if (c->response.topics[t].partitions[i].error != 0) {
                continue;
            }
            const struct kafka_offset_commit_request_partition *in = &m->topics[t].partitions[i];
            struct group_offset_value value = {
                .offset = in->offset,
                .leader_epoch = in->leader_epoch,
                .metadata = in->metadata,
                .commit_ms = now_ms,
                .expire_ms = expires ? now_ms + m->retention_ms : -1,
            };
            int status = topic != NULL ? coordinator_commit(co, nobody, m->group_id, topic,
                                                            in->partition, &value)
                                       : missing;
            c->response.topics[t].partitions[i].error = error_kafka(status);
            c->count += status == 0;
        }
    }
}

void api_offset_commit(struct request *rq)
{
    const struct kafka_offset_commit_request *m = rq->message;
    struct commit *c = arena_take(&rq->arena, sizeof *c);
    struct coordinator *co = NULL;
    struct group_out none = {0};

    memset(c, 0, sizeof *c);
    c->rq = rq;
    c->wait.done = committed;
    rq->state = c;
    rq->cancel = canceled;
    prepare(c);
    int status = c->known > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_ENOENT;
    if (status == 0 && rq->version < 9 &&
        groups_needs_epochs(coordinator_groups(co), m->group_id, m->member_id)) {
        status = TERN_EUNSUPPORTED;
    }
    if (status == 0) {
        status = groups_may_commit(coordinator_groups(co), coordinator_now(co), m->group_id,
                                   m->generation_or_epoch, m->member_id, m->group_instance_id);
        coordinator_run(co, &none);
        if (status == TERN_EILLEGALGENERATION && rq->version >= 9 &&
            groups_find(coordinator_groups(co), m->group_id) == NULL) {
            status = TERN_EGROUPNOTFOUND;
        }
    }
    if (status == 0) {
        append_all(c, co);
    } else {
        set_errors(c, status);
    }
    if (c->count == 0) {
        request_reply(rq, &c->response);
        return;
    }
    coordinator_wait(co, &c->wait);
    rq->timer.fire = timed_out;
    timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
}
