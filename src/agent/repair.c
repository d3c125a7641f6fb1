/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged records are filled by other replicas ("Damage and amnesia" in docs/replication).
 *
 * The store tells what is damaged, and from then on the replica vouches for nothing from there on.
 * For each partition with damage one request is under way: a range, asked of one member of its
 * assignment after the other. Whoever holds the same epoch at the same offset holds the same
 * record, in whatever role, committed or not; the store takes nothing else. */
#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define REPAIR_EVERY_US 100000
#define REPAIR_WAIT_US  1000000 /* for an answer */
#define ASKED_MAX       16      /* partitions that wait for an answer at the same time */
#define ANSWERING_MAX   8       /* answers that are being read */
#define REPAIR_BYTES    ((size_t)1 << 20)

struct repair {
    struct partition *partition;
    struct link link;       /* in repairs.damaged */
    struct store_damage at; /* the range that is asked for */
    uint64_t asked_us;      /* 0: nothing is under way */
    uint32_t asked;         /* the node */
    uint32_t tries;         /* members asked for this range in vain */
    uint32_t writing;       /* repairs in the store */
    bool told;
};

/* A repair in the store; its partition may be gone when it is done. */
struct writing {
    struct store_req req;
    struct link link;
    struct node *node;
    struct partition_key key;
};

/* An answer for another node that is being read; the partition may go meanwhile. */
struct answering {
    struct store_read read;
    struct link link;
    struct node *node;
    struct partition_key key;
    uint32_t to;
    int32_t epoch;
};

struct repairs {
    struct link damaged; /* struct repair */
    struct link writing;
    struct link answering;
    uint32_t asked;
    uint32_t answering_count;
    uint64_t tick_us;
};

struct repairs *repairs_new(void)
{
    struct repairs *repairs = mem_new(sizeof *repairs);

    queue_init(&repairs->damaged);
    queue_init(&repairs->writing);
    queue_init(&repairs->answering);
    return repairs;
}

void repairs_free(struct repairs *repairs)
{
    struct link *link = NULL;

    while ((link = queue_pop(&repairs->writing)) != NULL) {
        free(CONTAINER_OF(link, struct writing, link));
    }
    while ((link = queue_pop(&repairs->answering)) != NULL) {
        struct answering *a = CONTAINER_OF(link, struct answering, link);
        store_read_fini(&a->read);
        free(a);
    }
    free(repairs);
}

/* ---- what is damaged ------------------------------------------------------------------------- */

static void not_asked(struct repair *repair)
{
    if (repair->asked_us != 0) {
        repair->asked_us = 0;
        repair->partition->node->repairs->asked--;
    }
}

void repair_forget(struct partition *p)
{
    if (p->repair != NULL) {
        not_asked(p->repair);
        link_remove(&p->repair->link);
        free(p->repair);
        p->repair = NULL;
    }
}

/* Only takes note: it is called from inside of reads. */
void repair_look(struct partition *p)
{
    int64_t damaged_from = store_state(p->log)->damaged_from;

    replica_note_damage(&p->replica, damaged_from);
    if (damaged_from != INT64_MAX && p->repair == NULL) {
        p->repair = mem_new(sizeof *p->repair);
        p->repair->partition = p;
        queue_push(&p->node->repairs->damaged, &p->repair->link);
    }
}

/* What the log says now; true if it is whole. */
static bool settled(struct partition *p)
{
    int64_t damaged_from = store_state(p->log)->damaged_from;
    struct replica_out out = {0};

    if (damaged_from == INT64_MAX) {
        trace_info("event=repaired partition=%d leo=%lld", p->key.partition,
                   (long long)p->replica.leo);
        repair_forget(p);
    }
    replica_set_damage(&p->replica, node_now_ms(p->node), damaged_from, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    partition_mended(p);
    return damaged_from == INT64_MAX;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The member to ask next, which is linked; 0 if there is none. */
static uint32_t whom(const struct repair *repair)
{
    const struct partition *p = repair->partition;
    const struct replica_spec *spec = &p->replica.spec;

    for (uint32_t i = 0; i < spec->member_count; i++) {
        uint32_t node = spec->members[(repair->tries + i) % spec->member_count].node;
        if (node != p->node->o.node_id && peer_linked(p->node, node)) {
            return node;
        }
    }
    return 0;
}

/* The range after the one that nobody could fill; the first one again after the last. */
static bool choose(struct repair *repair)
{
    struct store_log *log = repair->partition->log;
    struct store_damage at;
    bool same = store_damage_at(log, repair->at.offset, &at) && at.offset == repair->at.offset;

    if (same && repair->tries < repair->partition->replica.spec.member_count) {
        repair->at = at;
        return true;
    }
    if (same && !repair->told) {
        repair->told = true;
        trace_warn("event=repair_waits partition=%d offset=%lld end=%lld epoch=%d "
                   "what=\"no member that is reached holds it\"",
                   repair->partition->key.partition, (long long)at.offset, (long long)at.end,
                   at.epoch);
    }
    if (!same || repair->tries > 0) {
        repair->tries = 0;
    }
    return store_damage_at(log, same ? repair->at.end : 0, &repair->at) ||
           store_damage_at(log, 0, &repair->at);
}

static void ask(struct repair *repair, uint64_t now_us)
{
    struct partition *p = repair->partition;
    Tern__Mesh__Repair m = TERN__MESH__REPAIR__INIT;
    uint8_t room[96];

    if (repair->writing > 0 || !choose(repair)) {
        return;
    }
    uint32_t to = whom(repair);
    if (to == 0) {
        return;
    }
    m.topic_id = (ProtobufCBinaryData){sizeof p->key.topic_id.bytes, p->key.topic_id.bytes};
    m.partition = p->key.partition;
    m.epoch = repair->at.epoch;
    m.offset = repair->at.offset;
    m.end = repair->at.end;
    CHECK(tern__mesh__repair__get_packed_size(&m) <= sizeof room);
    size_t size = tern__mesh__repair__pack(&m, room);
    if (node_send(p->node, to, WIRE_CONTROL, MESH_REPAIR, slice_of(room, size), NULL, 0)) {
        repair->asked = to;
        repair->asked_us = now_us;
        p->node->repairs->asked++;
    }
}

void repair_tick(struct node *node)
{
    struct repairs *repairs = node->repairs;
    uint64_t now_us = clock_now_us(node->o.clock);

    if (!node->registered || now_us - repairs->tick_us < REPAIR_EVERY_US) {
        return;
    }
    repairs->tick_us = now_us;
    QUEUE_EACH (each, &repairs->damaged) {
        struct repair *repair = CONTAINER_OF(each, struct repair, link);
        if (repair->asked_us != 0 && now_us - repair->asked_us >= REPAIR_WAIT_US) {
            not_asked(repair);
            repair->tries++;
        }
        if (store_state(repair->partition->log)->damaged_from == INT64_MAX) {
            (void)settled(repair->partition); /* cut, or deleted by retention */
        } else if (repair->asked_us == 0 && repairs->asked < ASKED_MAX) {
            ask(repair, now_us);
        }
    }
}

/* ---- what comes ------------------------------------------------------------------------------ */

static struct partition *named(struct node *node, const Tern__Mesh__Repair *m)
{
    struct uuid id;

    if (m->topic_id.len != sizeof id.bytes) {
        return NULL;
    }
    memcpy(id.bytes, m->topic_id.data, sizeof id.bytes);
    return partition_find(node, id, m->partition);
}

static void written(struct store_req *req, int status)
{
    struct writing *w = CONTAINER_OF(req, struct writing, req);
    struct partition *p = partition_find(w->node, w->key.topic_id, w->key.partition);

    link_remove(&w->link);
    if (p != NULL && p->repair != NULL && !w->node->dead) {
        if (status != 0) {
            trace_warn("event=repair_refused partition=%d offset=%lld error=%s", p->key.partition,
                       (long long)p->repair->at.offset, error_name(status));
            p->repair->tries++; /* the next one is asked */
        }
        p->repair->writing -= p->repair->writing > 0;
        if (p->repair->writing == 0) {
            (void)settled(p);
        }
    }
    free(w);
}

static bool fill(struct partition *p, struct chunk batch)
{
    struct writing *w = mem_new(sizeof *w);

    w->req.done = written;
    w->node = p->node;
    w->key = p->key;
    if (store_repair(p->log, batch, &w->req) != 0) {
        free(w);
        return false;
    }
    queue_push(&p->node->repairs->writing, &w->link);
    p->repair->writing++;
    return true;
}

void repair_given(struct node *node, uint32_t from, struct slice head, struct chunk tail,
                  struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Repair *m = tern__mesh__repair__unpack(&allocator, head.len, head.base);
    struct partition *p = m != NULL ? named(node, m) : NULL;
    struct batch_run run = {0};
    size_t taken = 0;

    if (p == NULL || p->repair == NULL || p->repair->asked_us == 0 || p->repair->asked != from ||
        p->repair->at.offset != m->offset) {
        return; /* late: somebody else has been asked since */
    }
    not_asked(p->repair);
    bool good = mesh_split(tail, arena, &run);
    while (good && taken < run.count && fill(p, run.chunks[taken])) {
        taken++;
    }
    if (taken > 0) {
        p->repair->tries = 0;
        p->repair->told = false;
        trace_info("event=repairing partition=%d offset=%lld end=%lld from=%u batches=%zu",
                   p->key.partition, (long long)m->offset, (long long)p->repair->at.end, from,
                   taken);
    } else {
        p->repair->tries++;
    }
}

/* ---- answering ------------------------------------------------------------------------------- */

static void answered(struct store_read *read)
{
    struct answering *a = CONTAINER_OF(read, struct answering, read);
    Tern__Mesh__Repair m = TERN__MESH__REPAIR__INIT;
    uint8_t room[96];

    link_remove(&a->link);
    a->node->repairs->answering_count--;
    m.topic_id = (ProtobufCBinaryData){sizeof a->key.topic_id.bytes, a->key.topic_id.bytes};
    m.partition = a->key.partition;
    m.epoch = a->epoch;
    m.offset = read->offset;
    size_t size = tern__mesh__repair__pack(&m, room);
    bool held = read->status == 0 && read->chunk_count > 0;
    if (!a->node->dead) {
        (void)node_send(a->node, a->to, WIRE_DATA, MESH_REPAIRED, slice_of(room, size),
                        held ? read->chunks : NULL, held ? read->chunk_count : 0);
    }
    store_read_fini(read);
    free(a);
}

void repair_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Repair *m = tern__mesh__repair__unpack(&allocator, head.len, head.base);
    struct partition *p = m != NULL ? named(node, m) : NULL;

    if (p == NULL || node->repairs->answering_count >= ANSWERING_MAX || p->replica.truncating) {
        return; /* it asks somebody else, and us again */
    }
    struct answering *a = mem_new(sizeof *a);
    int64_t limit = m->end < p->replica.leo_durable ? m->end : p->replica.leo_durable;
    a->node = node;
    a->key = p->key;
    a->to = from;
    a->epoch = m->epoch;
    a->read = (struct store_read){.log = p->log,
                                  .offset = m->offset,
                                  .limit = limit,
                                  .max_bytes = REPAIR_BYTES,
                                  .done = answered};
    queue_push(&node->repairs->answering, &a->link);
    node->repairs->answering_count++;
    if (store_read(&a->read)) {
        answered(&a->read);
    }
}
