/* SPDX-License-Identifier: Apache-2.0 */
/* Produce: check, append, wait for the policy's regions, answer. Never answered before the high
 * watermark has passed the batch (acks=1 too); acks=0 gets no answer, and a closed connection when
 * something is wrong. */
#include <string.h>

#include "agent/api/produce.h"
#include "base/error.h"
#include "base/mutant.h"
#include "kafka/rewrite.h"

/* A client that was throttled is asked to wait as long again, but not longer than this. */
#define THROTTLE_MS_MAX 1000

/* A recovery is a round trip to another region, and one more where a config is activated. */
#define LEADS_SOON_MS 400

/* compression.type: more than this is not decompressed of one batch. Kafka's producers fill batches to
 * batch.size, and requests to max.request.size (1 MiB), before they compress. */
#define INFLATED_MAX ((size_t)16 << 20)

static void fill_endpoints(struct produce *pr)
{
    const struct control *control = pr->rq->node->control;
    struct kafka_produce_response *r = &pr->response;

    if (pr->rq->version < 10) {
        return;
    }
    r->node_endpoints = kafka_produce_response_node_endpoint_new(&pr->rq->arena, WIRE_NODES_MAX);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];
        if (node->id != 0 && node->kafka_port != 0) {
            struct kafka_produce_response_node_endpoint *e =
                &r->node_endpoints[r->node_endpoints_count++];
            e->node_id = (int32_t)id;
            e->host = slice_text(node->kafka_host);
            e->port = node->kafka_port;
            e->rack = slice_text(control->regions[node->region].name);
        }
    }
}

/* The longest time without an ack while something waited for one. */
static void note_ack(struct node *node)
{
    uint64_t now_us = clock_now_us(node->o.clock);
    uint64_t from_us =
        node->last_ack_us > node->waiting_since_us ? node->last_ack_us : node->waiting_since_us;

    if (now_us - from_us > node->counters.ack_gap_max_us) {
        node->counters.ack_gap_max_us = now_us - from_us;
    }
    node->last_ack_us = now_us;
}

static void finish(struct produce *pr)
{
    struct request *rq = pr->rq;
    struct node *node = rq->node;
    const struct kafka_produce_request *m = rq->message;
    uint64_t acks = node->counters.produce_acks;
    bool hints = false;

    CHECK(node->waiting_bytes >= pr->bytes + pr->own_bytes);
    node->waiting_bytes -= pr->bytes + pr->own_bytes;
    for (uint32_t i = 0; i < pr->count; i++) {
        if (pr->parts[i].out->error == 0) {
            node->counters.produce_acks++;
        } else {
            node->counters.produce_errors++;
            hints = hints || pr->parts[i].out->error == error_kafka(TERN_ENOTLEADER);
        }
    }
    if (node->counters.produce_acks > acks) {
        note_ack(node);
    }
    if (hints) {
        fill_endpoints(pr);
    }
    int32_t throttle_ms =
        quota_charge(node, rq->conn, rq->client_id, QUOTA_PRODUCE, (double)pr->bytes);
    if (throttle_ms > pr->response.throttle_ms) {
        pr->response.throttle_ms = throttle_ms;
    }
    if (m->acks == 0) {
        request_end(rq, pr->failed ? "a produce request with acks=0 failed" : NULL);
    } else {
        request_reply(rq, &pr->response);
    }
}

void produce_maybe_finish(struct produce *pr)
{
    if (!pr->taking && pr->waiting == 0) {
        finish(pr);
    }
}

void produce_fail(struct produce_part *part, int error)
{
    part->out->error = error_kafka(error);
    part->out->base_offset = -1;
    part->produce->failed = true;
    if (error == TERN_ENOTLEADER && part->topic != NULL) {
        const struct control_partition *cp = &part->topic->partitions[part->out->index];
        part->out->current_leader.leader_id = cp->leader != 0 ? (int32_t)cp->leader : -1;
        part->out->current_leader.leader_epoch = cp->epoch;
    }
}

/* Decision 004: the answer is late, and asks the client to send nothing for a while (KIP-219). */
static void tell_throttle(struct produce_part *part)
{
    struct produce *pr = part->produce;

    if (part->held_us == 0) {
        return;
    }
    uint64_t ms = (clock_now_us(pr->rq->node->o.clock) - part->held_us) / 1000;
    ms = ms < THROTTLE_MS_MAX ? ms : THROTTLE_MS_MAX;
    if ((int32_t)ms > pr->response.throttle_ms) {
        pr->response.throttle_ms = (int32_t)ms;
    }
}

static void unwait(struct produce_part *part)
{
    tell_throttle(part);
    link_remove(&part->in_partition);
    part->produce->waiting--;
}

/* An async leader that may lose its home without being asked answers only under its lease. */
static bool needs_lease(const struct partition *p)
{
    const struct control_topic *topic = control_topic_by_id(p->node->control, p->key.topic_id);

    return topic != NULL && topic->policy.mode == POLICY_ASYNC &&
           topic->policy.failover == POLICY_FAILOVER_AUTO;
}

/* Committed, and beyond the bound: from here on it is throttled. */
static void note_held(struct partition *p, struct link *first, int64_t limit)
{
    uint64_t now_us = clock_now_us(p->node->o.clock);

    if (limit >= p->replica.leader_hw) {
        return;
    }
    for (struct link *each = first; each != &p->appends; each = each->next) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        if (part->end > p->replica.leader_hw) {
            return;
        }
        part->held_us = part->held_us != 0 ? part->held_us : now_us;
    }
}

void produce_progress(struct partition *p)
{
    struct replica *r = &p->replica;

    if (!replica_hw_known(r) || queue_empty(&p->appends)) {
        return;
    }
    bool leased = r->spec.config.home >= 0 && needs_lease(p);
    if (leased && !lease_valid(p->node)) {
        return;
    }
    int64_t limit = replica_ack_limit(r);
    QUEUE_EACH (each, &p->appends) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        if (part->end > limit) {
            note_held(p, each, limit);
            break;
        }
        /* INVARIANTS 7: an ack was preceded by as many regional fsyncs as the policy says; the HW
         * of this epoch is exactly that. */
        CHECK(part->epoch == r->spec.epoch);
        struct produce *pr = part->produce;
        if (r->spec.config.home < 0) {
            pace_waited(&p->node->pace, clock_now_us(p->node->o.clock) - part->appended_us);
        }
        pr->rq->leased = pr->rq->leased || leased;
        unwait(part);
        produce_maybe_finish(pr);
    }
}

bool produce_in_role(const struct partition *p, const struct produce_part *part)
{
    return !p->deleting && replica_serves(&p->replica) && part->epoch == p->replica.spec.epoch;
}

/* Appended, but in an epoch that is over: another leader decides what becomes of it. */
void produce_role_changed(struct partition *p)
{
    const struct control_topic *topic = control_topic_by_id(p->node->control, p->key.topic_id);

    QUEUE_EACH (each, &p->appends) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        struct produce *pr = part->produce;
        if (produce_in_role(p, part)) {
            continue;
        }
        part->topic = topic;
        produce_fail(part, TERN_ENOTLEADER);
        p->refused_ms = node_now_ms(p->node);
        unwait(part);
        produce_maybe_finish(pr);
    }
    QUEUE_EACH (each, &p->verifying) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        struct produce *pr = part->produce;
        if (produce_in_role(p, part)) {
            continue;
        }
        link_remove(&part->in_partition);
        if (link_in_list(&part->verify.link)) {
            continue; /* it has asked, and will be answered */
        }
        part->topic = topic;
        produce_fail(part, TERN_ENOTLEADER);
        part->verifying = false;
        pr->waiting--;
        produce_maybe_finish(pr);
    }
}

/* Position in the queue: ascending by end; duplicates may wait for an earlier batch. */
static void wait_for(struct produce_part *part, struct partition *p)
{
    struct link *at = p->appends.prev;

    while (at != &p->appends &&
           CONTAINER_OF(at, struct produce_part, in_partition)->end > part->end) {
        at = at->prev;
    }
    part->in_partition.prev = at;
    part->in_partition.next = at->next;
    at->next->prev = &part->in_partition;
    at->next = &part->in_partition;
    part->produce->waiting++;
}

static int check_size(const struct produce_part *part, const struct batch_info *info)
{
    if (part->topic->policy.max_message_bytes > 0 &&
        info->bytes > part->topic->policy.max_message_bytes) {
        return TERN_ETOOBIG;
    }
    /* Whatever the policy says: a larger one would not fit into a journal file. */
    return info->bytes > store_batch_max(part->produce->rq->node->store) ? TERN_ETOOBIG : 0;
}

static int check_batch(const struct produce_part *part, struct slice records,
                       struct batch_info *info)
{
    int status = batch_check_produce(records, info);

    if (status != 0) {
        return status == TERN_EUNSUPPORTED ? TERN_EINVALIDRECORD : status;
    }
    if (batch_codec(info) == BATCH_ZSTD && part->produce->rq->version < 7) {
        return TERN_ECOMPRESSION;
    }
    status = check_size(part, info);
    if (status != 0) {
        return status;
    }
    const struct kafka_produce_request *m = part->produce->rq->message;
    bool transactional = (info->attributes & BATCH_TRANSACTIONAL) != 0;
    return transactional && (m->transactional_id.base == NULL || m->acks == 0) ? TERN_EINVALIDRECORD
                                                                               : 0;
}

/* The greatest timestamp and that of the first record; those between are not looked at. */
static bool timestamps_allowed(const struct topic_settings *s, const struct batch_info *info,
                               int64_t now_ms)
{
    int64_t ahead = info->max_timestamp > now_ms ? info->max_timestamp - now_ms : 0;
    bool late = info->base_timestamp >= 0 && info->base_timestamp < now_ms &&
                now_ms - info->base_timestamp > s->timestamp_before_max_ms;

    return ahead <= s->timestamp_after_max_ms && !late;
}

int produce_append(struct produce_part *part, struct partition *p, struct batch_info *info)
{
    struct request *rq = part->produce->rq;
    struct node *node = rq->node;
    struct replica_out out = {0};
    bool duplicate = false;

    if (part->stamp_ms >= 0) {
        info->attributes |= BATCH_LOG_APPEND; /* as it will be stored */
        info->max_timestamp = part->stamp_ms;
    }
    int status = replica_produce(&p->replica, node_now_ms(node), info, &duplicate, &out);
    if (status == 0) {
        struct blob *blob = part->own != NULL ? part->own : rq->frame;
        size_t at = (size_t)(part->records.base - blob->bytes);
        struct chunk batch = {blob, blob->bytes + at, part->records.len};
        if (!duplicate && part->stamp_ms >= 0) {
            batch_log_append_time(batch.base, batch.len, part->stamp_ms);
            part->out->log_append_time_ms = part->stamp_ms;
        }
        if (!duplicate) {
            batch_patch(batch.base, info->base_offset, info->leader_epoch);
            node->counters.produce_batches++;
            node->counters.produce_bytes += info->bytes;
            pace_taken(&node->pace, info->bytes);
        }
        part->partition = p;
        part->epoch = p->replica.spec.epoch;
        part->end = info->last_offset + 1;
        part->appended_us = clock_now_us(node->o.clock);
        part->out->base_offset = info->base_offset;
        part->out->log_start_offset = p->replica.log_start;
        wait_for(part, p);
        partition_run(p, &out, info, &batch);
    }
    replica_out_fini(&out);
    return status;
}

static void look_for_key(void *ctx, const struct rewrite_record *record)
{
    bool *missing = ctx;

    *missing = *missing || record->key.base == NULL;
}

/* Of a log that is compacted every record must tell its key, and every batch must be readable. */
static int check_keys(struct slice records)
{
    bool missing = false;
    int status = rewrite_each(records, look_for_key, &missing);

    return status != 0 || missing ? TERN_EINVALIDRECORD : 0;
}

/* compression.type names another codec than the producer's. */
static int recompress(struct produce_part *part, struct batch_info *info)
{
    const struct topic_settings *s = &part->topic->settings;
    struct produce *pr = part->produce;
    struct buf out = {0};
    int status =
        rewrite_codec(part->records, (unsigned)s->codec, s->codec_level, INFLATED_MAX, &out);

    if (status == 0) {
        status = batch_peek(buf_slice(&out), info);
        CHECK(status == 0); /* we made it */
        status = check_size(part, info);
    } else if (status != TERN_ETOOBIG) {
        status = TERN_EINVALIDRECORD;
    }
    if (status == 0) {
        part->own = blob_copy(buf_slice(&out));
        part->records = slice_of(part->own->bytes, part->own->len);
        pr->own_bytes += part->own->len;
        pr->rq->node->waiting_bytes += part->own->len;
        pr->rq->node->counters.produce_recompressed++;
    }
    buf_fini(&out);
    return status;
}

static int append(struct produce_part *part, struct slice records)
{
    struct request *rq = part->produce->rq;
    struct node *node = rq->node;
    struct partition *p;
    struct batch_info info;

    int status = leader_partition(node, part->topic, part->out->index, -1, &p);
    if (status != 0) {
        return status;
    }
    if (control_topic_internal(part->topic->name)) {
        return TERN_EINVALIDTOPIC; /* as Kafka: not for clients to write */
    }
    status = check_batch(part, records, &info);
    if (status != 0) {
        return status;
    }
    if ((store_settings(p->log)->cleanup_policy & LOG_COMPACT) != 0) {
        status = check_keys(records);
        if (status != 0) {
            return status;
        }
    }
    if (!store_writable(node->store)) {
        return TERN_ENOSPC;
    }
    const struct topic_settings *settings = &part->topic->settings;
    int64_t now_ms = clock_wall_ms(node->o.clock);
    if (!settings->log_append_time && !timestamps_allowed(settings, &info, now_ms)) {
        return TERN_ETIMESTAMP;
    }
    part->stamp_ms = settings->log_append_time ? now_ms : -1;
    if (part->topic->policy.mode == POLICY_ASYNC &&
        part->topic->policy.on_breach == POLICY_BREACH_REFUSE &&
        replica_rpo_full(&p->replica, info.bytes, node_now_ms(node))) {
        return TERN_ENOQUORUM;
    }
    part->records = records;
    if (settings->codec != TOPIC_CODEC_PRODUCER && settings->codec != (int8_t)batch_codec(&info)) {
        status = recompress(part, &info);
        if (status != 0) {
            return status;
        }
    }
    if ((info.attributes & BATCH_TRANSACTIONAL) != 0 && produce_verify_waits(p, info.producer_id)) {
        produce_verify_behind(part, p, info.producer_id);
        return 0;
    }
    if (p->replica.producers_at == p->replica.leo &&
        producers_begins(p->replica.producers, &info) && !MUTANT(unverified)) {
        produce_verify_begin(part, p, info.producer_id);
        return 0;
    }
    return produce_append(part, p, &info);
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct produce *pr = rq->state;

    pr->taking = true;
    for (uint32_t i = 0; i < pr->count; i++) {
        if (pr->parts[i].verifying) {
            produce_verify_time_out(&pr->parts[i]);
        } else if (pr->parts[i].doubted) {
            produce_doubt_settle(&pr->parts[i], TERN_ETIMEDOUT);
        } else if (link_in_list(&pr->parts[i].in_partition)) {
            /* Held by its regions, but beyond the RPO bound or without a lease: throttled. */
            bool throttled = pr->parts[i].end <= pr->parts[i].partition->replica.leader_hw;
            produce_fail(&pr->parts[i], throttled ? TERN_ENOQUORUM : TERN_ETIMEDOUT);
            unwait(&pr->parts[i]);
        }
    }
    pr->taking = false;
    produce_maybe_finish(pr);
}

static void canceled(struct request *rq)
{
    struct produce *pr = rq->state;

    for (uint32_t i = 0; i < pr->count; i++) {
        produce_verify_drop(&pr->parts[i]);
        if (link_in_list(&pr->parts[i].in_partition)) {
            link_remove(&pr->parts[i].in_partition);
        }
    }
}

static void release(struct request *rq)
{
    struct produce *pr = rq->state;

    for (uint32_t i = 0; i < pr->count; i++) {
        blob_unref(pr->parts[i].own);
    }
}

static void prepare(struct produce *pr)
{
    struct request *rq = pr->rq;
    const struct kafka_produce_request *m = rq->message;
    uint32_t total = 0;

    kafka_produce_response_init(&pr->response);
    pr->response.topics = kafka_produce_response_topic_new(&rq->arena, m->topics_count);
    pr->response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    pr->parts = arena_take(&rq->arena, (total + 1) * sizeof *pr->parts);
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_produce_request_topic *in = &m->topics[t];
        struct kafka_produce_response_topic *out = &pr->response.topics[t];
        out->name = in->name;
        out->topic_id = in->topic_id;
        out->partitions_count = in->partitions_count;
        out->partitions = kafka_produce_response_partition_new(&rq->arena, in->partitions_count);
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            out->partitions[i].index = in->partitions[i].index;
            pr->parts[pr->count++] =
                (struct produce_part){.produce = pr,
                                      .out = &out->partitions[i],
                                      .topic = topic_by_slice(rq->node, in->name)};
        }
    }
}

static struct partition *part_partition(const struct produce_part *part)
{
    return part->topic == NULL
               ? NULL
               : partition_find(part->produce->rq->node, part->topic->id, part->out->index);
}

static void take_apart(struct produce *pr)
{
    const struct kafka_produce_request *m = pr->rq->message;
    struct produce_part *part = pr->parts;
    bool bad_acks = m->acks != 0 && m->acks != 1 && m->acks != -1;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        for (uint32_t i = 0; i < m->topics[t].partitions_count; i++, part++) {
            int status = bad_acks ? TERN_EACKS : 0;
            if (status == 0) {
                status = append(part, m->topics[t].partitions[i].records.bytes);
            }
            if (status != 0 && part->topic != NULL) {
                status = produce_judge(part_partition(part), status);
            }
            if (status != 0 && !produce_doubt(part, part_partition(part), status)) {
                produce_fail(part, status);
            }
            part->topic = NULL; /* the control state may change while it waits */
        }
    }
}

static bool leads_soon(const struct partition *p, uint64_t now_ms)
{
    bool recovers = p->replica.role != REPLICA_FOLLOWING && !replica_serves(&p->replica);

    return recovers && now_ms - p->replica.role_since_ms < LEADS_SOON_MS;
}

/* After a failover clients come a round trip before their new leader has heard what the other regions
 * hold. Refused, they would wait longer than that before they ask again (retry.backoff.ms, 100 ms). */
static bool comes_too_early(const struct request *rq)
{
    const struct kafka_produce_request *m = rq->message;
    uint64_t now_ms = node_now_ms(rq->node);

    if (now_ms - rq->node->roles_ms >= LEADS_SOON_MS) {
        return false; /* nearly always */
    }
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct control_topic *topic = topic_by_slice(rq->node, m->topics[t].name);
        for (uint32_t i = 0; topic != NULL && i < m->topics[t].partitions_count; i++) {
            const struct partition *p =
                partition_find(rq->node, topic->id, m->topics[t].partitions[i].index);
            if (p != NULL && leads_soon(p, now_ms)) {
                return true;
            }
        }
    }
    return false;
}

void api_produce(struct request *rq)
{
    const struct kafka_produce_request *m = rq->message;
    struct node *node = rq->node;

    if (comes_too_early(rq) && request_hold(rq)) {
        return;
    }
    struct produce *pr = arena_take(&rq->arena, sizeof *pr);
    memset(pr, 0, sizeof *pr);
    pr->rq = rq;
    pr->bytes = rq->frame->len;
    pr->taking = true;
    rq->begun_us = clock_now_us(node->o.clock);
    rq->state = pr;
    rq->cancel = canceled;
    rq->release = release;
    if (node->waiting_bytes == 0) {
        node->waiting_since_us = clock_now_us(node->o.clock);
    }
    node->waiting_bytes += pr->bytes;
    node->counters.produce_requests++;
    prepare(pr);
    take_apart(pr);
    if (m->acks == 0) {
        canceled(rq); /* nobody waits */
        pr->waiting = 0;
    }
    if (pr->waiting > 0) {
        rq->timer.fire = timed_out;
        timer_after_ms(node->o.clock, &rq->timer, m->timeout_ms > 0 ? (uint64_t)m->timeout_ms : 1);
    }
    pr->taking = false;
    /* Duplicates of committed batches, and a quorum of one, are answered at once. */
    if (pr->waiting > 0) {
        pr->taking = true;
        for (uint32_t i = 0; i < pr->count; i++) {
            if (!pr->parts[i].verifying && !pr->parts[i].doubted &&
                link_in_list(&pr->parts[i].in_partition)) {
                produce_progress(pr->parts[i].partition);
            }
        }
        pr->taking = false;
    }
    produce_maybe_finish(pr);
}
