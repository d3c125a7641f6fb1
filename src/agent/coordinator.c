/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/coordinator_inner.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"
#include "group/group.h"

void coordinator_arm(struct coordinator *co)
{
    if (co->state != COORDINATOR_ACTIVE) {
        return;
    }
    uint64_t next_ms = co->kind->wake_ms(co->kept);
    if (co->sweep_ms < next_ms && co->sweep_ms > node_now_ms(co->node)) {
        next_ms = co->sweep_ms; /* one that is due waits for quiet, not for time */
    }
    if (next_ms == UINT64_MAX) {
        timer_stop(co->node->o.clock, &co->wake);
    } else {
        timer_set(co->node->o.clock, &co->wake, next_ms * 1000);
    }
}

struct node *coordinator_node(const struct coordinator *co)
{
    return co->node;
}

struct partition *coordinator_place(const struct coordinator *co)
{
    return co->partition;
}

int32_t coordinator_epoch(const struct coordinator *co)
{
    return co->epoch;
}

void *coordinator_state(const struct coordinator *co, const struct coordinator_kind *kind)
{
    return co->kind == kind ? co->kept : NULL;
}

bool coordinator_is_active(const struct coordinator *co)
{
    return co->state == COORDINATOR_ACTIVE;
}

uint64_t coordinator_log_bytes(const struct coordinator *co)
{
    return co->log_bytes;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void woken(struct timer *timer)
{
    struct coordinator *co = CONTAINER_OF(timer, struct coordinator, wake);

    if (co->node->dead || co->state != COORDINATOR_ACTIVE) {
        return;
    }
    co->kind->tick(co);
    if (coordinator_wants_quiet(co)) {
        coordinator_flush_soon(co);
    }
    coordinator_arm(co);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void load_more(struct coordinator *co, int64_t from);

static void loaded(struct coordinator *co)
{
    free(co->load);
    co->load = NULL;
    uint64_t bad_records = 0;
    uint32_t count = co->kind->count(co->kept, &bad_records);
    co->state = COORDINATOR_ACTIVE;
    co->sweep_topics = true;
    co->topics_changed = true;
    co->sweep_ms = node_now_ms(co->node) + GROUPS_SWEEP_MS;
    trace_info("event=%s_loaded partition=%d epoch=%d %s=%u bytes=%llu ms=%llu%s", co->kind->what,
               co->partition->key.partition, co->epoch, co->kind->what, count,
               (unsigned long long)co->log_bytes,
               (unsigned long long)((clock_now_us(co->node->o.clock) - co->load_began_us) / 1000),
               bad_records > 0 ? " records_not_understood=yes" : "");
    co->kind->loaded(co);
    coordinator_flush_soon(co);
    coordinator_arm(co);
}

static void drop_kept(struct coordinator *co)
{
    if (co->kept != NULL) {
        co->kind->drop(co->kept);
        co->kept = NULL;
    }
}

static void load_failed(struct coordinator *co, int status)
{
    trace_error("event=%s_not_loaded partition=%d error=%s", co->kind->what,
                co->partition->key.partition, error_name(status));
    free(co->load);
    co->load = NULL;
    drop_kept(co);
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
            coordinator_deliver(co, batch);
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
        drop_kept(co);
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

    if (co->kept == NULL) {
        co->kept = co->kind->make(co->node);
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

static void give_up(struct coordinator *co, bool tell)
{
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
    coordinator_drop_batches(co, tell);
    if (tell && co->kept != NULL) {
        co->kind->give_up(co, TERN_ENOTCOORDINATOR);
    }
    drop_kept(co);
}

/* ---- from the partition ---------------------------------------------------------------------- */

void coordinator_attach(struct partition *p, const char *topic)
{
    struct coordinator *co;

    if (p->coordinator != NULL) {
        return;
    }
    co = mem_new(sizeof *co);
    co->kind = strcmp(topic, coordinator_txns_kind.topic) == 0 ? &coordinator_txns_kind
                                                               : &coordinator_groups_kind;
    co->partition = p;
    co->node = p->node;
    co->flush.fire = coordinator_flush;
    co->wake.fire = woken;
    co->snapshot_begin = -1;
    queue_init(&co->drafts);
    queue_init(&co->flight);
    queue_push(&co->node->coordinators, &co->link);
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
        coordinator_progress(co);
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
    link_remove(&p->coordinator->link);
    free(p->coordinator);
    p->coordinator = NULL;
}

void coordinators_topic_deleted(struct node *node)
{
    QUEUE_EACH (each, &node->coordinators) {
        struct coordinator *co = CONTAINER_OF(each, struct coordinator, link);
        if (co->state == COORDINATOR_ACTIVE) {
            co->sweep_topics = true;
            coordinator_flush_soon(co);
        }
    }
}

void coordinators_topics_changed(struct node *node)
{
    QUEUE_EACH (each, &node->coordinators) {
        struct coordinator *co = CONTAINER_OF(each, struct coordinator, link);
        if (co->state == COORDINATOR_ACTIVE) {
            co->topics_changed = true;
            coordinator_flush_soon(co);
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

int32_t coordinator_index(const struct node *node, const struct coordinator_kind *kind,
                          struct slice id)
{
    const struct control_topic *topic = control_topic_named(node->control, kind->topic);

    return topic != NULL ? (int32_t)(group_hash(id) % topic->partition_count) : -1;
}

int coordinator_find(struct node *node, const struct coordinator_kind *kind, struct slice id,
                     struct coordinator **out)
{
    const struct control_topic *topic = control_topic_named(node->control, kind->topic);
    int32_t index = coordinator_index(node, kind, id);

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

bool coordinators_of(struct node *node, const struct coordinator_kind *kind,
                     void (*each)(void *ctx, struct coordinator *co), void *ctx)
{
    bool loading = false;

    QUEUE_EACH (link, &node->coordinators) {
        struct coordinator *co = CONTAINER_OF(link, struct coordinator, link);
        if (co->kind != kind || !replica_serves(&co->partition->replica)) {
            continue;
        }
        loading = loading || co->state != COORDINATOR_ACTIVE;
        if (co->state == COORDINATOR_ACTIVE) {
            each(ctx, co);
        }
    }
    return loading;
}
