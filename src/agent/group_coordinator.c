/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/group.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"

#define SNAPSHOT_RETRY_MS 1000

enum coordinator_state { COORDINATOR_IDLE, COORDINATOR_LOADING, COORDINATOR_ACTIVE };

/* Records on their way: first being collected, then appended. */
struct group_batch {
    struct link link; /* in drafts, then in flight */
    struct batch_builder builder;
    struct chunk bytes; /* as appended */
    int64_t end;
    bool snapshot;       /* says what is known already */
    struct link waiters; /* struct group_wait */
};

/* A log being read; outlives its coordinator if that gives up meanwhile. */
struct group_load {
    struct store_read read;
    struct coordinator *co; /* NULL: nobody wants it any more */
    struct link link;       /* in node.group_loads */
};

struct coordinator {
    struct partition *partition;
    struct node *node;
    enum coordinator_state state;
    int32_t epoch;
    struct groups *groups;
    struct group_load *load;
    int64_t load_end;
    uint64_t load_began_us;
    struct link drafts;
    struct link flight;
    uint64_t waiting_bytes; /* of drafts and flight */
    struct timer flush;
    struct timer wake;
    uint64_t sweep_ms; /* when the next one is due */
    bool sweep_topics;
    bool topics_changed;
    uint64_t log_bytes; /* since the newest snapshot began */
    uint64_t snapshot_bytes;
    int64_t snapshot_begin; /* -1: none is on its way */
    int64_t snapshot_end;
    uint64_t snapshot_retry_ms; /* one was refused: not again before */
    bool poking;
};

static void flush_soon(struct coordinator *co)
{
    if (!timer_armed(&co->flush)) {
        timer_set(co->node->o.clock, &co->flush, clock_now_us(co->node->o.clock));
    }
}

static void arm(struct coordinator *co)
{
    if (co->state != COORDINATOR_ACTIVE) {
        return;
    }
    uint64_t next_ms = groups_wake_ms(co->groups);
    if (co->sweep_ms < next_ms && co->sweep_ms > node_now_ms(co->node)) {
        next_ms = co->sweep_ms; /* one that is due waits for quiet, not for time */
    }
    if (next_ms == UINT64_MAX) {
        timer_stop(co->node->o.clock, &co->wake);
    } else {
        timer_set(co->node->o.clock, &co->wake, next_ms * 1000);
    }
}

struct groups *coordinator_groups(struct coordinator *co)
{
    return co->groups;
}

static struct group_now now_of(const struct node *node)
{
    return (struct group_now){node_now_ms(node), clock_wall_ms(node->o.clock)};
}

struct group_now coordinator_now(const struct coordinator *co)
{
    return now_of(co->node);
}

/* ---- batches --------------------------------------------------------------------------------- */

static struct group_batch *batch_new(struct link *list)
{
    struct group_batch *batch = mem_new(sizeof *batch);

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
static struct group_batch *draft(struct coordinator *co, struct link *list)
{
    struct group_batch *last =
        queue_empty(list) ? NULL : CONTAINER_OF(list->prev, struct group_batch, link);

    uint64_t most = store_batch_max(co->node->store) / 2;
    if (most > GROUPS_BATCH_BYTES) {
        most = GROUPS_BATCH_BYTES;
    }
    if (last == NULL || last->builder.buf.len >= most) {
        last = batch_new(list);
    }
    flush_soon(co);
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
    add_record(co, draft(co, &co->drafts), key, value);
}

void coordinator_wait(struct coordinator *co, struct group_wait *wait)
{
    queue_push(&draft(co, &co->drafts)->waiters, &wait->link);
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

/* ---- effects --------------------------------------------------------------------------------- */

/* All records of one event in one batch, so that a coordinator that is lost leaves all of them or
 * none; those of a very large event may be cut apart, and come in an order that stands that. */
static void append_together(struct coordinator *co, const struct group_out *out)
{
    uint64_t most = store_batch_max(co->node->store) / 4;
    uint64_t bytes = 0;
    struct group_batch *batch = NULL;

    for (size_t i = 0; i < out->count; i++) {
        bytes += out->effects[i].key.len + out->effects[i].value.len;
    }
    for (size_t i = 0; i < out->count; i++) {
        const struct group_effect *effect = &out->effects[i];
        if (effect->kind == GROUP_APPEND) {
            struct slice value = buf_slice(&effect->value);
            batch = batch == NULL || bytes > most ? draft(co, &co->drafts) : batch;
            add_record(co, batch, buf_slice(&effect->key),
                       effect->tombstone ? (struct slice){0} : value);
        }
    }
}

static void carry_out(struct coordinator *co, struct group_out *out)
{
    append_together(co, out);
    for (size_t i = 0; i < out->count; i++) {
        const struct group_effect *effect = &out->effects[i];
        if (effect->kind != GROUP_APPEND) {
            co->node->counters.group_joins += effect->kind == GROUP_JOINED && effect->error == 0;
            group_answer(effect);
        }
    }
    group_out_fini(out);
}

void coordinator_run(struct coordinator *co, struct group_out *out)
{
    carry_out(co, out);
    arm(co);
}

static void each_record(struct coordinator *co, struct slice batch,
                        void (*give)(struct groups *groups, struct group_now now, struct slice key,
                                     struct slice value, struct group_out *out))
{
    struct group_now now = now_of(co->node);
    struct record_iter iter;
    struct record record;

    if (record_iter_init(&iter, batch) != 0) {
        co->groups->bad_records++;
        return;
    }
    while (record_next(&iter, &record) == 0) {
        struct group_out out = {0};
        give(co->groups, now, record.key, record.value, &out);
        carry_out(co, &out);
    }
}

static void give_refused(struct groups *groups, struct group_now now, struct slice key,
                         struct slice value, struct group_out *out)
{
    (void)value;
    groups_refused(groups, now, key, out);
}

static void refuse(struct coordinator *co, struct group_batch *batch, int status)
{
    if (!batch->snapshot && co->groups != NULL) {
        each_record(co, chunk_slice(batch->bytes), give_refused);
    }
    tell_waiters(batch, status == TERN_ENOTLEADER ? TERN_ENOTCOORDINATOR : TERN_ENOCOORDINATOR);
    batch_free(batch);
}

/* ---- appending ------------------------------------------------------------------------------- */

static void seal(struct coordinator *co, struct group_batch *batch)
{
    struct buf key = {0};

    if (batch->builder.count == 0) {
        group_barrier_key(&key); /* somebody waits; nothing else is to be said */
        add_record(co, batch, buf_slice(&key), (struct slice){0});
        buf_fini(&key);
    }
    batch->bytes = chunk_copy(batch_builder_finish(&batch->builder, -1, -1, -1));
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

static bool wants_quiet(const struct coordinator *co)
{
    return wants_snapshot(co) || co->sweep_topics || node_now_ms(co->node) >= co->sweep_ms;
}

struct snapshot {
    struct coordinator *co;
    struct link batches;
};

static bool emit(void *ctx, struct slice key, struct slice value)
{
    struct snapshot *s = ctx;
    struct group_batch *batch = draft(s->co, &s->batches);

    batch->snapshot = true;
    add_record(s->co, batch, key, value);
    return true;
}

static void take_snapshot(struct coordinator *co)
{
    struct snapshot s = {.co = co};

    queue_init(&s.batches);
    (void)groups_dump(co->groups, emit, &s);
    if (queue_empty(&s.batches)) {
        draft(co, &s.batches)->snapshot = true; /* nothing is what there is to know */
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

static bool topic_is_gone(void *ctx, struct slice topic)
{
    return topic_by_slice(ctx, topic) == NULL;
}

static void sweep(struct coordinator *co)
{
    struct group_out out = {0};
    uint64_t now_ms = node_now_ms(co->node);

    if (now_ms >= co->sweep_ms) {
        groups_expire(co->groups, now_of(co->node), &out);
        co->sweep_ms = now_ms + GROUPS_SWEEP_MS;
    }
    carry_out(co, &out);
    if (co->sweep_topics && node_is_current(co->node)) {
        co->sweep_topics = false;
        groups_forget_topics(co->groups, topic_is_gone, co->node, &out);
    }
    carry_out(co, &out);
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
    struct group_out out = {0};

    if (co->topics_changed && node_is_current(co->node)) {
        co->topics_changed = false;
        groups_topics_changed(co->groups, &out);
        carry_out(co, &out);
    }
}

static void flush(struct timer *timer)
{
    struct coordinator *co = CONTAINER_OF(timer, struct coordinator, flush);
    struct link now;
    struct link *link;

    if (co->node->dead || co->state != COORDINATOR_ACTIVE) {
        return;
    }
    if (wants_quiet(co)) {
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
    arm(co);
}

static void woken(struct timer *timer)
{
    struct coordinator *co = CONTAINER_OF(timer, struct coordinator, wake);
    struct group_out out = {0};

    if (co->node->dead || co->state != COORDINATOR_ACTIVE) {
        return;
    }
    while (groups_tick(co->groups, now_of(co->node), &out)) {
        carry_out(co, &out);
    }
    if (wants_quiet(co)) {
        flush_soon(co);
    }
    arm(co);
}

/* ---- committed ------------------------------------------------------------------------------- */

static void raise_log_start(struct coordinator *co, int64_t limit)
{
    struct partition *p = co->partition;

    if (co->snapshot_begin < 0 || limit < co->snapshot_end) {
        return;
    }
    struct replica_out out = {0};
    trace_debug("event=groups_snapshot partition=%d begin=%lld bytes=%llu", p->key.partition,
                (long long)co->snapshot_begin, (unsigned long long)co->snapshot_bytes);
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

static void progress(struct coordinator *co)
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
            each_record(co, chunk_slice(batch->bytes), groups_committed);
        }
        tell_waiters(batch, 0);
        batch_free(batch);
    }
    raise_log_start(co, limit);
    recount(co);
    if (queue_empty(&co->flight) && (wants_quiet(co) || !queue_empty(&co->drafts))) {
        flush_soon(co);
    }
    arm(co);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void load_more(struct coordinator *co, int64_t from);

static void loaded(struct coordinator *co)
{
    free(co->load);
    co->load = NULL;
    groups_loaded(co->groups, now_of(co->node));
    co->state = COORDINATOR_ACTIVE;
    co->sweep_topics = true;
    co->topics_changed = true;
    co->sweep_ms = node_now_ms(co->node) + GROUPS_SWEEP_MS;
    trace_info("event=groups_loaded partition=%d epoch=%d groups=%u bytes=%llu ms=%llu%s",
               co->partition->key.partition, co->epoch, HASH_CNT(hh, co->groups->all),
               (unsigned long long)co->log_bytes,
               (unsigned long long)((clock_now_us(co->node->o.clock) - co->load_began_us) / 1000),
               co->groups->bad_records > 0 ? " records_not_understood=yes" : "");
    flush_soon(co);
    arm(co);
}

static void load_failed(struct coordinator *co, int status)
{
    trace_error("event=groups_not_loaded partition=%d error=%s", co->partition->key.partition,
                error_name(status));
    free(co->load);
    co->load = NULL;
    groups_free(co->groups);
    co->groups = NULL;
    co->state = COORDINATOR_IDLE; /* the next change of the partition tries again */
}

static void was_read(struct store_read *read)
{
    struct group_load *load = CONTAINER_OF(read, struct group_load, read);
    struct coordinator *co = load->co;
    int64_t next = read->offset;
    int status = read->status;

    link_remove(&load->link);
    for (size_t i = 0; co != NULL && status == 0 && i < read->chunk_count; i++) {
        struct slice run = chunk_slice(read->chunks[i]);
        struct batch_info info;
        struct slice batch;
        while (batch_next(&run, &info, &batch) == 0) {
            if (info.last_offset < next) {
                continue;
            }
            each_record(co, batch, groups_committed);
            co->log_bytes += info.bytes;
            next = info.last_offset + 1;
        }
    }
    store_read_fini(read);
    if (co == NULL) {
        free(load);
        return;
    }
    if (status == 0 && next == read->offset && next < co->load_end) {
        status = TERN_EDAMAGED; /* nothing where something must be */
    }
    if (status == TERN_ECANCELED) {
        next = co->partition->replica.log_start; /* begun anew: by retention or by a cut */
        groups_free(co->groups);
        co->groups = NULL;
        co->log_bytes = 0;
        load_more(co, next);
    } else if (status != 0) {
        load_failed(co, status);
    } else if (next < co->load_end) {
        load_more(co, next);
    } else {
        loaded(co);
    }
}

static void load_more(struct coordinator *co, int64_t from)
{
    struct group_load *load = co->load;

    if (co->groups == NULL) {
        struct groups_settings settings = {
            .initial_delay_ms = co->node->o.group_initial_delay_ms,
            .retention_ms = co->node->o.group_retention_ms,
            .consumer_session_ms = co->node->o.group_session_ms,
            .consumer_interval_ms = co->node->o.group_interval_ms,
            .topics = {co->node, group_topic_named, group_topic_by_id, group_topics_each},
        };
        co->groups = groups_new(&settings);
    }
    if (from >= co->load_end) {
        loaded(co);
        return;
    }
    memset(&load->read, 0, sizeof load->read);
    load->read.log = co->partition->log;
    load->read.offset = from;
    load->read.limit = co->load_end;
    load->read.max_bytes = (size_t)1 << 20;
    load->read.done = was_read;
    queue_push(&co->node->group_loads, &load->link);
    if (store_read(&load->read)) {
        was_read(&load->read);
    }
}

static void begin_load(struct coordinator *co)
{
    const struct replica *r = &co->partition->replica;

    co->state = COORDINATOR_LOADING;
    co->epoch = r->spec.epoch;
    co->load_end = r->leo; /* all of it is committed */
    if (MUTANT(groups_unread) && co->load_end > r->log_start + 4) {
        co->load_end -= 4;
    }
    co->load_began_us = clock_now_us(co->node->o.clock);
    co->log_bytes = 0;
    co->snapshot_bytes = 0;
    co->snapshot_begin = -1;
    co->load = mem_new(sizeof *co->load);
    co->load->co = co;
    load_more(co, r->log_start);
}

/* ---- losing it ------------------------------------------------------------------------------- */

static void drop_batches(struct link *list, bool tell)
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

static void give_up(struct coordinator *co, bool tell)
{
    struct group_out out = {0};

    if (co->state == COORDINATOR_IDLE) {
        return;
    }
    co->state = COORDINATOR_IDLE;
    timer_stop(co->node->o.clock, &co->flush);
    timer_stop(co->node->o.clock, &co->wake);
    if (co->load != NULL) {
        co->load->co = NULL;
        co->load = NULL;
    }
    drop_batches(&co->flight, tell);
    drop_batches(&co->drafts, tell);
    co->waiting_bytes = 0;
    if (tell && co->groups != NULL) {
        groups_give_up(co->groups, TERN_ENOTCOORDINATOR, &out);
        carry_out(co, &out);
    }
    groups_free(co->groups);
    co->groups = NULL;
}

/* ---- from the partition ---------------------------------------------------------------------- */

void coordinator_attach(struct partition *p)
{
    struct coordinator *co;

    if (p->coordinator != NULL) {
        return;
    }
    co = mem_new(sizeof *co);
    co->partition = p;
    co->node = p->node;
    co->flush.fire = flush;
    co->wake.fire = woken;
    co->snapshot_begin = -1;
    queue_init(&co->drafts);
    queue_init(&co->flight);
    p->coordinator = co;
}

void coordinator_poke(struct partition *p)
{
    struct coordinator *co = p->coordinator;

    if (co == NULL || co->poking) {
        return;
    }
    co->poking = true;
    bool leads = !p->deleting && replica_serves(&p->replica);
    if (MUTANT(groups_kept) && !p->deleting && co->state == COORDINATOR_ACTIVE) {
        co->epoch = p->replica.spec.epoch;
    } else if (!leads || (co->state != COORDINATOR_IDLE && co->epoch != p->replica.spec.epoch)) {
        give_up(co, true);
    }
    if (leads && co->state == COORDINATOR_IDLE && replica_hw_known(&p->replica) &&
        p->replica.leader_hw >= p->replica.leo) {
        begin_load(co);
    }
    if (leads && co->state == COORDINATOR_ACTIVE) {
        progress(co);
    }
    co->poking = false;
}

void coordinator_detach(struct partition *p, bool closing)
{
    if (p->coordinator == NULL) {
        return;
    }
    give_up(p->coordinator, !closing);
    timer_stop(p->node->o.clock, &p->coordinator->flush);
    timer_stop(p->node->o.clock, &p->coordinator->wake);
    free(p->coordinator);
    p->coordinator = NULL;
}

void coordinators_topic_deleted(struct node *node)
{
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        if (p->coordinator != NULL && p->coordinator->state == COORDINATOR_ACTIVE) {
            p->coordinator->sweep_topics = true;
            flush_soon(p->coordinator);
        }
    }
}

void coordinators_topics_changed(struct node *node)
{
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        if (p->coordinator != NULL && p->coordinator->state == COORDINATOR_ACTIVE) {
            p->coordinator->topics_changed = true;
            flush_soon(p->coordinator);
        }
    }
}

void coordinators_close(struct node *node)
{
    struct link *link;

    while ((link = queue_pop(&node->group_loads)) != NULL) {
        struct group_load *load = CONTAINER_OF(link, struct group_load, link);
        store_read_fini(&load->read);
        free(load);
    }
}

/* ---- for handlers ---------------------------------------------------------------------------- */

int32_t coordinator_partition(const struct node *node, struct slice group_id)
{
    const struct control_topic *topic = control_topic_named(node->control, CONTROL_GROUPS_TOPIC);

    return topic != NULL ? (int32_t)(group_hash(group_id) % topic->partition_count) : -1;
}

bool coordinator_full(const struct coordinator *co)
{
    return co->waiting_bytes > GROUPS_WAITING_BYTES;
}

int coordinator_of(struct node *node, struct slice group_id, struct coordinator **out)
{
    const struct control_topic *topic = control_topic_named(node->control, CONTROL_GROUPS_TOPIC);
    int32_t index = coordinator_partition(node, group_id);

    if (topic == NULL) {
        return TERN_ENOTCOORDINATOR;
    }
    struct partition *p = partition_find(node, topic->id, index);
    struct coordinator *co = p != NULL ? p->coordinator : NULL;
    if (co != NULL && co->state == COORDINATOR_ACTIVE && replica_serves(&p->replica)) {
        *out = co;
        return coordinator_full(co) ? TERN_ELOADING : 0;
    }
    return topic->partitions[index].leader == node->o.node_id ? TERN_ELOADING
                                                              : TERN_ENOTCOORDINATOR;
}

bool coordinators_each(struct node *node, void (*each)(void *ctx, const struct group *group),
                       void *ctx)
{
    bool loading = false;

    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        const struct coordinator *co = p->coordinator;
        if (co == NULL || !replica_serves(&p->replica)) {
            continue;
        }
        loading = loading || co->state != COORDINATOR_ACTIVE;
        if (co->state == COORDINATOR_ACTIVE) {
            for (const struct group *g = co->groups->all; g != NULL; g = g->hh.next) {
                each(ctx, g);
            }
        }
    }
    return loading;
}

void coordinator_count(const struct partition *p, struct node_counters *counters)
{
    const struct coordinator *co = p->coordinator;

    if (co == NULL || co->state != COORDINATOR_ACTIVE) {
        return;
    }
    for (const struct group *g = co->groups->all; g != NULL; g = g->hh.next) {
        counters->groups++;
        counters->group_members += g->member_count;
        counters->group_members += g->consumer != NULL ? g->consumer->member_count : 0;
    }
    counters->group_bytes += co->groups->bytes;
    counters->groups_log_bytes += co->log_bytes;
}
