/* SPDX-License-Identifier: Apache-2.0 */
/* What a coordinator has on its way into its log: collected, appended, committed, told; and the
 * snapshots that keep that log short. */
#include "agent/coordinator_inner.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"

#define SNAPSHOT_RETRY_MS   1000
#define COORDINATOR_BARRIER 0x7465 /* the key of a record that says nothing; see the formats */

void coordinator_flush_soon(struct coordinator *co)
{
    if (!timer_armed(&co->flush)) {
        timer_set(co->node->o.clock, &co->flush, clock_now_us(co->node->o.clock));
    }
}

/* ---- batches --------------------------------------------------------------------------------- */

static const struct coordinator_producer nobody = {-1, -1};

static struct group_batch *batch_new(struct link *list, struct coordinator_producer producer)
{
    struct group_batch *batch = mem_new(sizeof *batch);

    batch->producer = producer;
    batch_builder_init(&batch->builder);
    queue_init(&batch->waiters);
    queue_push(list, &batch->link);
    return batch;
}

static void batch_free(struct group_batch *batch)
{
    batch_builder_fini(&batch->builder);
    chunk_drop(&batch->bytes);
    free(batch);
}

/* The one that is being filled. */
static struct group_batch *draft(struct coordinator *co, struct link *list,
                                 struct coordinator_producer producer)
{
    struct group_batch *last =
        queue_empty(list) ? NULL : CONTAINER_OF(list->prev, struct group_batch, link);

    uint64_t most = store_batch_max(co->node->store) / 2;
    if (most > GROUPS_BATCH_BYTES) {
        most = GROUPS_BATCH_BYTES;
    }
    if (last == NULL || last->builder.buf.len >= most || last->producer.id != producer.id ||
        last->producer.epoch != producer.epoch) {
        last = batch_new(list, producer);
    }
    coordinator_flush_soon(co);
    return last;
}

static void add_record(struct coordinator *co, struct group_batch *batch, struct slice key,
                       struct slice value)
{
    batch_builder_add(&batch->builder, key, value, clock_wall_ms(co->node->o.clock));
    co->waiting_bytes += key.len + value.len;
}

void coordinator_append(struct coordinator *co, struct slice key, struct slice value)
{
    coordinator_append_as(co, nobody, key, value);
}

void coordinator_append_as(struct coordinator *co, struct coordinator_producer producer,
                           struct slice key, struct slice value)
{
    add_record(co, draft(co, &co->drafts, producer), key, value);
}

void coordinator_append_together(struct coordinator *co, const struct coordinator_record *records,
                                 size_t count)
{
    uint64_t most = store_batch_max(co->node->store) / 4;
    uint64_t bytes = 0;
    struct group_batch *batch = NULL;

    for (size_t i = 0; i < count; i++) {
        bytes += records[i].key.len + records[i].value.len;
    }
    for (size_t i = 0; i < count; i++) {
        batch = batch == NULL || bytes > most ? draft(co, &co->drafts, nobody) : batch;
        add_record(co, batch, records[i].key, records[i].value);
    }
}

void coordinator_wait(struct coordinator *co, struct group_wait *wait)
{
    if (queue_empty(&co->drafts)) {
        (void)draft(co, &co->drafts, nobody);
    }
    struct group_batch *last = CONTAINER_OF(co->drafts.prev, struct group_batch, link);
    queue_push(&last->waiters, &wait->link);
}

static void tell_waiters(struct group_batch *batch, int status)
{
    struct link *link;

    while ((link = queue_pop(&batch->waiters)) != NULL) {
        struct group_wait *wait = CONTAINER_OF(link, struct group_wait, link);
        wait->done(wait, status);
    }
}

static void recount(struct coordinator *co)
{
    if (queue_empty(&co->drafts) && queue_empty(&co->flight)) {
        co->waiting_bytes = 0;
    }
}

/* ---- records --------------------------------------------------------------------------------- */

void coordinator_deliver(struct coordinator *co, struct slice batch)
{
    struct record_iter iter;
    struct record record;
    struct batch_info info;

    if (batch_peek(batch, &info) != 0) {
        return;
    }
    if ((info.attributes & BATCH_CONTROL) != 0) {
        if (info.marker != BATCH_NO_MARKER && co->kind->ended != NULL) {
            co->kind->ended(co, info.producer_id, info.marker == BATCH_COMMIT);
        }
        return;
    }
    if (record_iter_init(&iter, batch) != 0) {
        trace_error("event=%s_not_read partition=%d offset=%lld", co->kind->what,
                    co->partition->key.partition, (long long)info.base_offset);
        return;
    }
    bool transactional = (info.attributes & BATCH_TRANSACTIONAL) != 0 && co->kind->pending != NULL;
    while (record_next(&iter, &record) == 0) {
        if (transactional) {
            struct coordinator_producer producer = {info.producer_id, info.producer_epoch};
            co->kind->pending(co, producer, record.key, record.value);
        } else {
            co->kind->committed(co, record.offset, record.key, record.value);
        }
    }
}

static void tell_refused(struct coordinator *co, struct slice batch, int error)
{
    struct record_iter iter;
    struct record record;

    if (record_iter_init(&iter, batch) == 0) {
        while (record_next(&iter, &record) == 0) {
            co->kind->refused(co, record.key, error);
        }
    }
}

static void refuse(struct coordinator *co, struct group_batch *batch, int status)
{
    int error = status == TERN_ENOTLEADER                                    ? TERN_ENOTCOORDINATOR
                : status == TERN_EPRODUCERFENCED || status == TERN_ETXNSTATE ? status
                                                                             : TERN_ENOCOORDINATOR;

    if (!batch->snapshot && co->kept != NULL && batch->producer.id < 0) {
        tell_refused(co, chunk_slice(batch->bytes), error);
    }
    tell_waiters(batch, error);
    batch_free(batch);
}

/* ---- appending ------------------------------------------------------------------------------- */

static void seal(struct coordinator *co, struct group_batch *batch)
{
    struct buf key = {0};

    if (batch->builder.count == 0) {
        buf_be16(&key, COORDINATOR_BARRIER); /* somebody waits; nothing else is to be said */
        add_record(co, batch, buf_slice(&key), (struct slice){0});
        buf_fini(&key);
    }
    batch->bytes = chunk_copy(
        batch_builder_finish_as(&batch->builder, batch->producer.id >= 0 ? BATCH_TRANSACTIONAL : 0,
                                batch->producer.id, batch->producer.epoch, -1));
    batch_builder_fini(&batch->builder);
    batch_builder_init(&batch->builder);
}

/* 0: it is in flight. */
static int append(struct coordinator *co, struct group_batch *batch)
{
    struct partition *p = co->partition;
    struct replica_out out = {0};
    struct batch_info info;
    bool duplicate = false;

    seal(co, batch);
    int status = batch_peek(chunk_slice(batch->bytes), &info);
    CHECK(status == 0); /* our own bytes */
    if (co->state != COORDINATOR_ACTIVE) {
        return TERN_ENOTLEADER;
    }
    if (info.bytes > store_batch_max(co->node->store)) {
        return TERN_ETOOBIG;
    }
    if (!store_writable(co->node->store)) {
        return TERN_ENOSPC;
    }
    status = replica_produce(&p->replica, node_now_ms(co->node), &info, &duplicate, &out);
    if (status == 0) {
        CHECK(!duplicate);
        batch_patch(batch->bytes.base, info.base_offset, info.leader_epoch);
        batch->end = info.last_offset + 1;
        co->log_bytes += info.bytes;
        queue_push(&co->flight, &batch->link);
        partition_run(p, &out, &info, &batch->bytes);
    }
    replica_out_fini(&out);
    return status;
}

/* True: all of the list is in flight. */
static bool append_all(struct coordinator *co, struct link *list)
{
    struct link *link;
    int status = 0;

    while ((link = queue_pop(list)) != NULL) {
        struct group_batch *batch = CONTAINER_OF(link, struct group_batch, link);
        if (status == 0) {
            status = append(co, batch);
        } else {
            seal(co, batch); /* none may overtake one that was refused */
        }
        if (status != 0) {
            refuse(co, batch, status);
        }
    }
    return status == 0;
}

/* ---- when nothing is on its way -------------------------------------------------------------- */

static bool wants_snapshot(const struct coordinator *co)
{
    uint64_t least = co->node->o.group_snapshot_bytes;
    uint64_t wanted = 4 * co->snapshot_bytes > least ? 4 * co->snapshot_bytes : least;

    return co->snapshot_begin < 0 && co->log_bytes >= wanted &&
           node_now_ms(co->node) >= co->snapshot_retry_ms;
}

bool coordinator_wants_quiet(const struct coordinator *co)
{
    return wants_snapshot(co) || co->sweep_topics || node_now_ms(co->node) >= co->sweep_ms;
}

struct snapshot {
    struct coordinator *co;
    struct link batches;
};

static bool emit(void *ctx, struct coordinator_producer producer, struct slice key,
                 struct slice value)
{
    struct snapshot *s = ctx;
    struct group_batch *batch = draft(s->co, &s->batches, producer);

    batch->snapshot = true;
    add_record(s->co, batch, key, value);
    return true;
}

static void take_snapshot(struct coordinator *co)
{
    struct snapshot s = {.co = co};

    queue_init(&s.batches);
    (void)co->kind->dump(co->kept, emit, &s);
    if (queue_empty(&s.batches)) {
        draft(co, &s.batches, nobody)->snapshot = true; /* nothing is what there is to know */
    }
    int64_t begin = co->partition->replica.leo;
    uint64_t log_bytes = co->log_bytes;
    co->log_bytes = 0;
    if (append_all(co, &s.batches)) {
        co->snapshot_begin = begin;
        co->snapshot_end = co->partition->replica.leo;
        co->snapshot_bytes = co->log_bytes;
    } else {
        co->log_bytes += log_bytes;
        co->snapshot_retry_ms = node_now_ms(co->node) + SNAPSHOT_RETRY_MS;
    }
}

static void sweep(struct coordinator *co)
{
    uint64_t now_ms = node_now_ms(co->node);

    if (now_ms >= co->sweep_ms) {
        co->kind->expire(co);
        co->sweep_ms = now_ms + GROUPS_SWEEP_MS;
    }
    if (co->sweep_topics && node_is_current(co->node)) {
        co->sweep_topics = false;
        if (co->kind->forget_topics != NULL) {
            co->kind->forget_topics(co);
        }
    }
}

/* What judges by the committed state comes into the log before what is being collected. */
static void quiet_work(struct coordinator *co)
{
    struct link later;
    struct link *link;

    queue_init(&later);
    while ((link = queue_pop(&co->drafts)) != NULL) {
        queue_push(&later, link);
    }
    if (wants_snapshot(co)) {
        take_snapshot(co);
    } else {
        sweep(co);
    }
    while ((link = queue_pop(&later)) != NULL) {
        queue_push(&co->drafts, link);
    }
}

static void look_at_topics(struct coordinator *co)
{
    if (co->topics_changed && node_is_current(co->node)) {
        co->topics_changed = false;
        if (co->kind->topics_changed != NULL) {
            co->kind->topics_changed(co);
        }
    }
}

void coordinator_flush(struct timer *timer)
{
    struct coordinator *co = CONTAINER_OF(timer, struct coordinator, flush);
    struct link now;
    struct link *link;

    if (co->node->dead || co->state != COORDINATOR_ACTIVE) {
        return;
    }
    if (coordinator_wants_quiet(co)) {
        if (!queue_empty(&co->flight) && !MUTANT(snapshot_busy)) {
            return; /* again when all of that is committed */
        }
        quiet_work(co);
    }
    look_at_topics(co);
    queue_init(&now);
    while ((link = queue_pop(&co->drafts)) != NULL) {
        queue_push(&now, link); /* refusals may make new ones: next time */
    }
    (void)append_all(co, &now);
    recount(co);
    coordinator_arm(co);
}

/* ---- committed ------------------------------------------------------------------------------- */

static void raise_log_start(struct coordinator *co, int64_t limit)
{
    struct partition *p = co->partition;

    if (co->snapshot_begin < 0 || limit < co->snapshot_end) {
        return;
    }
    struct replica_out out = {0};
    trace_debug("event=%s_snapshot partition=%d begin=%lld bytes=%llu", co->kind->what,
                p->key.partition, (long long)co->snapshot_begin,
                (unsigned long long)co->snapshot_bytes);
    replica_raise_log_start(&p->replica, co->snapshot_begin, &out);
    co->snapshot_begin = -1;
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
}

/* An async partition whose home may be given up is answered for only under the lease. */
static bool may_answer(const struct coordinator *co)
{
    const struct partition *p = co->partition;
    const struct control_topic *topic = control_topic_by_id(co->node->control, p->key.topic_id);

    return p->replica.spec.config.home < 0 || topic == NULL ||
           topic->policy.failover != POLICY_FAILOVER_AUTO || lease_valid(co->node);
}

void coordinator_progress(struct coordinator *co)
{
    const struct replica *r = &co->partition->replica;
    int64_t limit = MUTANT(offsets_early) ? r->leo : replica_ack_limit(r);

    if (!may_answer(co)) {
        return;
    }
    while (!queue_empty(&co->flight)) {
        struct group_batch *batch = CONTAINER_OF(co->flight.next, struct group_batch, link);
        if (batch->end > limit) {
            break;
        }
        link_remove(&batch->link);
        if (!batch->snapshot) {
            coordinator_deliver(co, chunk_slice(batch->bytes));
        }
        tell_waiters(batch, 0);
        batch_free(batch);
    }
    raise_log_start(co, limit);
    recount(co);
    if (queue_empty(&co->flight) && (coordinator_wants_quiet(co) || !queue_empty(&co->drafts))) {
        coordinator_flush_soon(co);
    }
    coordinator_arm(co);
}

/* ---- losing it ------------------------------------------------------------------------------- */

static void drop_list(struct link *list, bool tell)
{
    struct link *link;

    while ((link = queue_pop(list)) != NULL) {
        struct group_batch *batch = CONTAINER_OF(link, struct group_batch, link);
        if (tell) {
            tell_waiters(batch, TERN_ENOTCOORDINATOR);
        }
        batch_free(batch);
    }
}

void coordinator_drop_batches(struct coordinator *co, bool tell)
{
    drop_list(&co->flight, tell);
    drop_list(&co->drafts, tell);
    co->waiting_bytes = 0;
}

bool coordinator_full(const struct coordinator *co)
{
    return co->waiting_bytes > GROUPS_WAITING_BYTES;
}

/* ---- ends of transactions -------------------------------------------------------------------- */

/* Goes through the queue like a batch of our own: what it ends is given to the kind in the order of
 * the log, and a snapshot waits for it. */
int coordinator_mark(struct coordinator *co, const struct chunk *bytes, int64_t number,
                     int64_t *out_end)
{
    struct partition *p = co->partition;
    struct replica_out out = {0};
    struct batch_info info;
    struct link drafts;
    struct link *link;
    bool duplicate = false;

    if (co->state != COORDINATOR_ACTIVE) {
        return TERN_ELOADING;
    }
    queue_init(&drafts);
    while ((link = queue_pop(&co->drafts)) != NULL) {
        queue_push(&drafts, link); /* what was let in before this end comes before it */
    }
    (void)append_all(co, &drafts);
    int status = batch_peek(chunk_slice(*bytes), &info);
    CHECK(status == 0 && co->state == COORDINATOR_ACTIVE);
    status = replica_mark(&p->replica, node_now_ms(co->node), &info, number, &duplicate, &out);
    if (status == 0) {
        *out_end = info.last_offset + 1;
    }
    if (status == 0 && !duplicate) {
        struct group_batch *batch = batch_new(&co->flight, nobody);
        batch_patch(bytes->base, info.base_offset, info.leader_epoch);
        batch->bytes = chunk_copy(chunk_slice(*bytes));
        batch->end = info.last_offset + 1;
        co->log_bytes += info.bytes;
        partition_run(p, &out, &info, bytes);
    }
    replica_out_fini(&out);
    return status;
}
