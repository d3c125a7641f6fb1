/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteRecords: raises the log start, at most to the HW (-1: to it). Answered when as many regions
 * have the new log start on disk as the policy asks for a record: a leader that comes after must not
 * show again what somebody was told is gone. Followers tell theirs with their acks. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define TO_HIGH_WATERMARK (-1)

struct deletion;

struct deletion_part {
    struct partition_waiter waiter; /* in partition.watchers while it waits */
    struct deletion *deletion;
    struct partition_key key;
    int64_t offset;
    struct kafka_delete_records_response_partition *out;
};

struct deletion {
    struct request *rq;
    struct kafka_delete_records_response response;
    struct deletion_part *parts;
    uint32_t count;
    uint32_t waiting;
    bool starting;
};

/* ---- what the followers have on disk ---------------------------------------------------------- */

/* Of one epoch; a partition has it once a follower has told of a log start above 0. */
struct log_starts {
    int32_t epoch;
    uint32_t count;
    struct {
        uint32_t node;
        int64_t offset;
    } of[REPLICA_MEMBERS_MAX];
};

void log_start_told(struct partition *p, uint32_t from, int32_t epoch, int64_t offset)
{
    uint32_t at = 0;

    if (offset <= 0 || !replica_serves(&p->replica) || p->replica.spec.epoch != epoch ||
        spec_member(&p->replica.spec, from) == NULL) {
        return;
    }
    if (p->log_starts == NULL) {
        p->log_starts = mem_new(sizeof *p->log_starts);
    }
    if (p->log_starts->epoch != epoch) {
        *p->log_starts = (struct log_starts){.epoch = epoch};
    }
    while (at < p->log_starts->count && p->log_starts->of[at].node != from) {
        at++;
    }
    if (at == p->log_starts->count) {
        CHECK(at < REPLICA_MEMBERS_MAX);
        p->log_starts->of[p->log_starts->count++].node = from;
    }
    if (p->log_starts->of[at].offset != offset) {
        p->log_starts->of[at].offset = offset;
        partition_poke(p);
    }
}

/* As the commit rule counts records: the log start that is durable in enough regions. */
static int64_t log_start_held(const struct partition *p)
{
    const struct replica *r = &p->replica;
    int64_t held[64] = {0};

    if (p->log_starts != NULL && p->log_starts->epoch == r->spec.epoch) {
        for (uint32_t i = 0; i < p->log_starts->count; i++) {
            held[p->log_starts->of[i].node] = p->log_starts->of[i].offset;
        }
    }
    held[r->self] = p->log_start_durable;
    return rule_held(&r->spec.config, &r->spec, held);
}

/* ---- requests --------------------------------------------------------------------------------- */

static void finish(struct deletion *d)
{
    if (!d->starting && d->waiting == 0) {
        request_reply(d->rq, &d->response);
    }
}

static void settle(struct deletion_part *part, int status, int64_t low_watermark)
{
    if (link_in_list(&part->waiter.link)) {
        link_remove(&part->waiter.link);
        part->deletion->waiting--;
    }
    part->out->error = error_kafka(status);
    part->out->low_watermark = status == 0 ? low_watermark : -1;
}

/* True: it is settled. */
static bool look(struct deletion_part *part)
{
    struct node *node = part->deletion->rq->node;
    const struct partition *p = partition_find(node, part->key.topic_id, part->key.partition);

    if (p == NULL || !replica_serves(&p->replica)) {
        settle(part, TERN_ENOTLEADER, 0); /* the client finds the next leader, and asks that */
        return true;
    }
    if (log_start_held(p) < part->offset) {
        return false;
    }
    settle(part, 0, p->replica.log_start);
    return true;
}

static void poked(struct partition_waiter *waiter)
{
    struct deletion_part *part = CONTAINER_OF(waiter, struct deletion_part, waiter);

    if (look(part)) {
        finish(part->deletion);
    }
}

static int begin(struct deletion_part *part, const struct control_topic *topic,
                 const struct kafka_delete_records_request_partition *in)
{
    struct deletion *d = part->deletion;
    struct partition *p = NULL;
    struct replica_out out = {0};
    int status = leader_partition(d->rq->node, topic, in->partition, -1, &p);

    if (status != 0) {
        return status;
    }
    if (control_topic_internal(topic->name) ||
        (store_settings(p->log)->cleanup_policy & LOG_DELETE) == 0) {
        return TERN_EPOLICY; /* the groups' coordinator knows itself what it needs no more */
    }
    if (!replica_hw_known(&p->replica)) {
        return TERN_ENOTLEADER; /* not yet: the client asks again */
    }
    int64_t hw = replica_ack_limit(&p->replica);
    int64_t offset = in->offset == TO_HIGH_WATERMARK ? hw : in->offset;
    if (offset < 0 || offset > hw) {
        return TERN_EOUTOFRANGE;
    }
    part->key = p->key;
    part->offset = offset;
    replica_raise_log_start(&p->replica, offset, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    queue_push(&p->watchers, &part->waiter.link);
    d->waiting++;
    (void)look(part);
    return 0;
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct deletion *d = rq->state;

    for (uint32_t i = 0; i < d->count; i++) {
        if (link_in_list(&d->parts[i].waiter.link)) {
            settle(&d->parts[i], TERN_ETIMEDOUT, 0);
        }
    }
    finish(d);
}

static void canceled(struct request *rq)
{
    struct deletion *d = rq->state;

    for (uint32_t i = 0; i < d->count; i++) {
        if (link_in_list(&d->parts[i].waiter.link)) {
            link_remove(&d->parts[i].waiter.link);
        }
    }
}

void api_delete_records(struct request *rq)
{
    const struct kafka_delete_records_request *m = rq->message;
    struct deletion *d = arena_take(&rq->arena, sizeof *d);
    uint32_t total = 0;

    *d = (struct deletion){.rq = rq, .starting = true};
    rq->state = d;
    rq->cancel = canceled;
    kafka_delete_records_response_init(&d->response);
    d->response.topics = kafka_delete_records_response_topic_new(&rq->arena, m->topics_count);
    d->response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    d->parts = arena_take(&rq->arena, (total + 1) * sizeof *d->parts);
    memset(d->parts, 0, (total + 1) * sizeof *d->parts);
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_delete_records_request_topic *in = &m->topics[t];
        struct kafka_delete_records_response_topic *out = &d->response.topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        out->name = in->name;
        out->partitions =
            kafka_delete_records_response_partition_new(&rq->arena, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            struct deletion_part *part = &d->parts[d->count++];
            part->waiter.poke = poked;
            part->deletion = d;
            part->out = &out->partitions[i];
            part->out->partition = in->partitions[i].partition;
            int status = begin(part, topic, &in->partitions[i]);
            if (status != 0) {
                settle(part, status, 0);
            }
        }
    }
    if (d->waiting > 0) {
        rq->timer.fire = timed_out;
        timer_after_ms(rq->node->o.clock, &rq->timer,
                       m->timeout_ms > 0 ? (uint64_t)m->timeout_ms : 1);
    }
    d->starting = false;
    finish(d);
}
