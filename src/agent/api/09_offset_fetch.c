/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetFetch: what is committed. Answered only after a record that was appended since the request
 * came has been committed, so that a coordinator that has been replaced unawares does not answer
 * with offsets that have moved on elsewhere. Who requires stable offsets is told to come again while a
 * transaction is about to commit one. */
#include <string.h>

#include "agent/group.h"
#include "base/error.h"
#include "base/mutant.h"
#include "group/pending.h"

struct fetch_group {
    struct group_wait wait;
    struct fetch_offsets *fetch;
    const struct kafka_offset_fetch_request_group *in;
    struct kafka_offset_fetch_response_group *out;
};

struct fetch_offsets {
    struct request *rq;
    struct fetch_group *groups;
    struct kafka_offset_fetch_response_group *out;
    uint32_t count;
    uint32_t waiting;
    size_t bytes; /* told, about */
    bool starting;
};

/* ---- one shape for all versions --------------------------------------------------------------- */

/* Up to version 7: the one group at the top, as if it stood in the list. */
static struct kafka_offset_fetch_request_group *old_group(struct request *rq)
{
    const struct kafka_offset_fetch_request *m = rq->message;
    struct kafka_offset_fetch_request_group *group =
        kafka_offset_fetch_request_group_new(&rq->arena, 1);

    group->group_id = m->group_id;
    if (m->topics == NULL) {
        return group;
    }
    group->topics = kafka_offset_fetch_request_group_topic_new(&rq->arena, m->topics_count + 1);
    group->topics_count = m->topics_count;
    for (uint32_t i = 0; i < m->topics_count; i++) {
        group->topics[i].name = m->topics[i].name;
        group->topics[i].partitions = m->topics[i].partitions;
        group->topics[i].partitions_count = m->topics[i].partitions_count;
    }
    return group;
}

static void old_response(struct request *rq, const struct kafka_offset_fetch_response_group *from,
                         struct kafka_offset_fetch_response *out)
{
    out->error = from->error;
    out->topics = kafka_offset_fetch_response_topic_new(&rq->arena, from->topics_count);
    out->topics_count = from->topics_count;
    for (uint32_t t = 0; t < from->topics_count; t++) {
        const struct kafka_offset_fetch_response_group_topic *topic = &from->topics[t];
        struct kafka_offset_fetch_response_topic *to = &out->topics[t];
        to->name = topic->name;
        to->partitions =
            kafka_offset_fetch_response_partition_new(&rq->arena, topic->partitions_count);
        to->partitions_count = topic->partitions_count;
        for (uint32_t i = 0; i < topic->partitions_count; i++) {
            to->partitions[i].partition = topic->partitions[i].partition;
            to->partitions[i].offset = topic->partitions[i].offset;
            to->partitions[i].leader_epoch = topic->partitions[i].leader_epoch;
            to->partitions[i].metadata = topic->partitions[i].metadata;
            to->partitions[i].error = topic->partitions[i].error;
        }
    }
}

static void finish(struct fetch_offsets *f)
{
    struct request *rq = f->rq;
    struct kafka_offset_fetch_response response;

    if (f->starting || f->waiting > 0) {
        return;
    }
    kafka_offset_fetch_response_init(&response);
    if (rq->version >= 8) {
        response.groups = f->out;
        response.groups_count = f->count;
    } else {
        old_response(rq, &f->out[0], &response);
    }
    request_reply(rq, &response);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void fill(struct fetch_offsets *f, const struct group_offset *o,
                 struct kafka_offset_fetch_response_group_partition *out)
{
    struct request *rq = f->rq;

    f->bytes += sizeof *out;
    out->offset = -1;
    out->leader_epoch = -1;
    out->metadata = slice_text("");
    if (o != NULL && f->bytes <= GROUPS_ANSWER_BYTES) {
        f->bytes += o->metadata_len;
        uint8_t *copy = arena_take(&rq->arena, o->metadata_len + 1U);
        if (o->metadata_len > 0) {
            memcpy(copy, o->metadata, o->metadata_len);
        }
        out->offset = o->offset;
        out->leader_epoch = o->leader_epoch;
        out->metadata = slice_of(copy, o->metadata_len);
    }
}

/* 0, or EUNSTABLEOFFSET for who asked for stable ones (KIP-447). */
static int stable(const struct fetch_group *g, struct slice topic, int32_t partition)
{
    const struct request *rq = g->fetch->rq;
    const struct kafka_offset_fetch_request *m = rq->message;
    struct coordinator *co = NULL;

    if (rq->version < 7 || !m->require_stable) {
        return 0;
    }
    (void)coordinator_of(rq->node, g->in->group_id, &co);
    bool pending =
        co != NULL && groups_is_pending(coordinator_groups(co), g->in->group_id, topic, partition);
    return pending ? TERN_EUNSTABLEOFFSET : 0;
}

static void fill_wanted(struct fetch_group *g, const struct group *group, int error)
{
    struct request *rq = g->fetch->rq;

    g->out->topics = kafka_offset_fetch_response_group_topic_new(&rq->arena, g->in->topics_count);
    g->out->topics_count = g->in->topics_count;
    for (uint32_t t = 0; t < g->in->topics_count; t++) {
        const struct kafka_offset_fetch_request_group_topic *in = &g->in->topics[t];
        struct kafka_offset_fetch_response_group_topic *out = &g->out->topics[t];
        struct slice name = in->name;
        int missing = error;
        if (rq->version >= 10) {
            const struct control_topic *topic =
                control_topic_by_id(rq->node->control, in->topic_id);
            name = topic != NULL ? slice_text(topic->name) : (struct slice){0};
            missing = topic != NULL ? error : TERN_EUNKNOWNTOPICID;
        }
        out->name = in->name;
        out->topic_id = in->topic_id;
        out->partitions =
            kafka_offset_fetch_response_group_partition_new(&rq->arena, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            const struct group_offset *o = group != NULL && missing == 0
                                               ? groups_offset(group, name, in->partitions[i])
                                               : NULL;
            int unstable = missing == 0 ? stable(g, name, in->partitions[i]) : missing;
            fill(g->fetch, unstable == 0 ? o : NULL, &out->partitions[i]);
            out->partitions[i].partition = in->partitions[i];
            out->partitions[i].error = error_kafka(unstable);
        }
    }
}

static struct kafka_offset_fetch_response_group_topic *topic_slot(struct fetch_group *g,
                                                                  struct slice name, uint32_t room)
{
    struct request *rq = g->fetch->rq;

    for (uint32_t t = g->out->topics_count; t-- > 0;) {
        if (slice_equal(g->out->topics[t].name, name)) {
            return &g->out->topics[t];
        }
    }
    struct kafka_offset_fetch_response_group_topic *topic = &g->out->topics[g->out->topics_count++];
    uint8_t *copy = arena_take(&rq->arena, name.len + 1);
    memcpy(copy, name.base, name.len);
    topic->name = slice_of(copy, name.len);
    topic->partitions = kafka_offset_fetch_response_group_partition_new(&rq->arena, room);
    return topic;
}

static uint32_t count_topic(const struct group *group, struct slice name)
{
    uint32_t count = 0;

    for (const struct group_offset *o = group->offsets; o != NULL; o = o->hh.next) {
        count += slice_equal(group_offset_topic(o), name);
    }
    return count;
}

static bool has_topic(const struct fetch_group *g, struct slice name)
{
    for (uint32_t t = g->out->topics_count; t-- > 0;) {
        if (slice_equal(g->out->topics[t].name, name)) {
            return true;
        }
    }
    return false;
}

static void fill_all(struct fetch_group *g, const struct group *group)
{
    struct request *rq = g->fetch->rq;
    uint32_t total = group != NULL ? HASH_CNT(hh, group->offsets) : 0;

    g->out->topics = kafka_offset_fetch_response_group_topic_new(&rq->arena, total);
    if (group == NULL) {
        return;
    }
    for (const struct group_offset *o = group->offsets;
         o != NULL && g->fetch->bytes <= GROUPS_ANSWER_BYTES; o = o->hh.next) {
        struct slice name = group_offset_topic(o);
        const struct control_topic *known = topic_by_slice(rq->node, name);
        if (rq->version >= 10 && known == NULL) {
            continue; /* no id to name it by */
        }
        uint32_t room = has_topic(g, name) ? 0 : count_topic(group, name);
        struct kafka_offset_fetch_response_group_topic *topic = topic_slot(g, name, room);
        struct kafka_offset_fetch_response_group_partition *out =
            &topic->partitions[topic->partitions_count++];
        if (known != NULL) {
            topic->topic_id = known->id;
        }
        int unstable = stable(g, name, group_offset_partition(o));
        fill(g->fetch, unstable == 0 ? o : NULL, out);
        out->error = error_kafka(unstable);
        out->partition = group_offset_partition(o);
    }
}

static void fail(struct fetch_group *g, int error)
{
    /* Older clients take these for a lost coordinator, and look for the new one. */
    int told =
        error == TERN_ENOCOORDINATOR || error == TERN_ETIMEDOUT ? TERN_ENOTCOORDINATOR : error;

    g->out->error = error_kafka(told);
    if (g->fetch->rq->version < 8) {
        /* Version 0 and 1 have no other place for it. aiokafka (version 3) looks nowhere else: it
         * takes partitions that are not there for ones without a commit, and reads from the start. */
        fill_wanted(g, NULL, told);
    } else {
        g->out->topics = kafka_empty_array();
    }
}

static void answer(struct fetch_group *g, int status)
{
    struct coordinator *co = NULL;

    if (status == 0) {
        status = coordinator_of(g->fetch->rq->node, g->in->group_id, &co);
        status = status == TERN_ELOADING && co != NULL ? 0 : status;
    }
    if (status == 0 && g->fetch->bytes > GROUPS_ANSWER_BYTES) {
        status = TERN_ELOADING;
    }
    if (status != 0) {
        fail(g, status);
        return;
    }
    const struct group *group = groups_find(coordinator_groups(co), g->in->group_id);
    if (g->in->topics == NULL) {
        fill_all(g, group);
    } else {
        fill_wanted(g, group, 0);
    }
    if (g->fetch->bytes > GROUPS_ANSWER_BYTES) {
        fail(g, TERN_ELOADING); /* it did not get all: rather nothing */
    }
}

static void confirmed(struct group_wait *wait, int status)
{
    struct fetch_group *g = CONTAINER_OF(wait, struct fetch_group, wait);

    g->fetch->waiting--;
    answer(g, status);
    finish(g->fetch);
}

static void canceled(struct request *rq)
{
    struct fetch_offsets *f = rq->state;

    for (uint32_t i = 0; i < f->count; i++) {
        if (link_in_list(&f->groups[i].wait.link)) {
            link_remove(&f->groups[i].wait.link);
        }
    }
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct fetch_offsets *f = rq->state;

    for (uint32_t i = 0; i < f->count; i++) {
        if (link_in_list(&f->groups[i].wait.link)) {
            link_remove(&f->groups[i].wait.link);
            f->waiting--;
            fail(&f->groups[i], TERN_ETIMEDOUT);
        }
    }
    finish(f);
}

static void begin(struct fetch_group *g)
{
    struct coordinator *co = NULL;
    int status = coordinator_of(g->fetch->rq->node, g->in->group_id, &co);

    if (status != 0) {
        fail(g, status);
        return;
    }
    status = groups_may_fetch(coordinator_groups(co), g->in->group_id, g->in->member_id,
                              g->in->member_epoch);
    if (status != 0) {
        fail(g, status);
        return;
    }
    if (MUTANT(offsets_unconfirmed)) {
        answer(g, 0);
        return;
    }
    g->wait.done = confirmed;
    g->fetch->waiting++;
    coordinator_wait(co, &g->wait);
}

void api_offset_fetch(struct request *rq)
{
    const struct kafka_offset_fetch_request *m = rq->message;
    struct fetch_offsets *f = arena_take(&rq->arena, sizeof *f);
    const struct kafka_offset_fetch_request_group *in = m->groups;

    memset(f, 0, sizeof *f);
    rq->node->counters.offset_fetches++;
    f->rq = rq;
    f->count = rq->version >= 8 ? m->groups_count : 1;
    f->starting = true;
    if (f->count > GROUPS_ASKED_MAX) {
        request_end(rq, "more groups than anybody has");
        return;
    }
    if (rq->version < 8) {
        in = old_group(rq);
    }
    f->groups = arena_take(&rq->arena, (f->count + 1) * sizeof *f->groups);
    f->out = kafka_offset_fetch_response_group_new(&rq->arena, f->count);
    rq->state = f;
    rq->cancel = canceled;
    for (uint32_t i = 0; i < f->count; i++) {
        struct fetch_group *g = &f->groups[i];
        g->fetch = f;
        g->in = &in[i];
        g->out = &f->out[i];
        g->out->group_id = in[i].group_id;
        begin(g);
    }
    f->starting = false;
    if (f->waiting > 0) {
        rq->timer.fire = timed_out;
        timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
    }
    finish(f);
}
