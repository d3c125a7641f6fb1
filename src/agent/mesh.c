/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from other nodes: bounds-checked unpacking, then one event of a replica machine each.
 * The wire has proved who the peer is; what it says is still only data. */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "agent/inner.h"
#include "agent/txn.h"
#include "base/error.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define BATCHES_PER_PUSH 65536

static void *arena_alloc(void *ctx, size_t size)
{
    return arena_try(ctx, size);
}

static void arena_no_free(void *ctx, void *pointer)
{
    (void)ctx;
    (void)pointer;
}

ProtobufCAllocator mesh_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){arena_alloc, arena_no_free, arena};
}

/* Unpacked, a message of two bytes in a list takes a struct, a pointer and a note of the parser. */
#define HEAD_GROWS 64

static struct partition *named(struct node *node, ProtobufCBinaryData topic_id, int32_t partition)
{
    struct uuid id;

    if (topic_id.len != sizeof id.bytes) {
        return NULL;
    }
    memcpy(id.bytes, topic_id.data, sizeof id.bytes);
    return partition_find(node, id, partition);
}

static void malformed(struct node *node, uint32_t from, uint16_t type)
{
    trace_warn("event=mesh_malformed from=%u type=%u action=drop", from, type);
    node->o.wire->ops->drop_peer(node->o.wire, from);
}

static void on_fences(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Fences *m = tern__mesh__fences__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        malformed(node, from, MESH_FENCES);
        return;
    }
    for (size_t i = 0; i < m->n_fences; i++) {
        struct partition *p = named(node, m->fences[i]->topic_id, m->fences[i]->partition);
        if (p != NULL) { /* else the control log has not told us yet: it asks again */
            struct replica_out out = {0};
            replica_on_fence(&p->replica, node_now_ms(node), from, m->fences[i]->epoch, &out);
            partition_run(p, &out, NULL, NULL);
            replica_out_fini(&out);
        }
    }
}

static void on_answer(struct node *node, uint32_t from, const Tern__Mesh__Answers__Answer *m)
{
    struct partition *p = named(node, m->topic_id, m->partition);

    if (p == NULL) {
        return;
    }
    struct history_entry *history = mem_grow(NULL, m->n_history, sizeof *history);
    for (size_t i = 0; i < m->n_history; i++) {
        history[i] = (struct history_entry){m->history[i]->epoch, m->history[i]->start_offset};
    }
    struct replica_answer answer = {
        .epoch = m->epoch,
        .incarnation = m->incarnation,
        .synced = m->synced,
        .leo = m->leo,
        .log_start = m->log_start,
        .complaint = m->complaint,
        .history = history,
        .history_count = m->n_history,
    };
    struct replica_out out = {0};
    replica_on_answer(&p->replica, node_now_ms(node), from, &answer, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    free(history);
}

static void on_answers(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Answers *m = tern__mesh__answers__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        malformed(node, from, MESH_ANSWERS);
        return;
    }
    for (size_t i = 0; i < m->n_answers; i++) {
        on_answer(node, from, m->answers[i]);
    }
}

/* Splits a tail into batches; their checksums are verified, because what is wrong here would be
 * acknowledged. False: the sender is broken. */
bool mesh_split(struct chunk tail, struct arena *arena, struct batch_run *out)
{
    struct slice rest = chunk_slice(tail);
    struct batch_info info;
    struct slice batch;
    size_t count = 0;
    int status;

    while ((status = batch_next(&rest, &info, &batch)) == 0 && count < BATCHES_PER_PUSH) {
        count++;
    }
    if (status != TERN_ENOENT) {
        return false;
    }
    out->count = count;
    out->infos = arena_take(arena, count * sizeof *out->infos);
    out->chunks = arena_take(arena, count * sizeof *out->chunks);
    rest = chunk_slice(tail);
    for (size_t i = 0; i < count; i++) {
        if (batch_next(&rest, &info, &batch) != 0 || batch_check(batch, &out->infos[i]) != 0) {
            return false;
        }
        size_t at = (size_t)(batch.base - tail.base);
        out->chunks[i] = (struct chunk){tail.blob, tail.base + at, batch.len};
    }
    return true;
}

/* The table of producers that goes with an order to begin anew; empty: they are not known. */
static bool are_producers(struct chunk tail)
{
    struct producers *scratch = producers_new();
    bool good = tail.len == 0 || producers_unpack(scratch, chunk_slice(tail)) == 0;

    producers_free(scratch);
    return good;
}

static void on_push(struct node *node, uint32_t from, enum wire_channel channel, struct slice head,
                    struct chunk tail, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Push *m = tern__mesh__push__unpack(&allocator, head.len, head.base);
    struct batch_run run = {0};

    if (m == NULL || !(m->restart ? are_producers(tail) : mesh_split(tail, arena, &run))) {
        malformed(node, from, MESH_PUSH);
        return;
    }
    struct slice producers = m->restart ? chunk_slice(tail) : (struct slice){0};
    tail.len = m->restart ? 0 : tail.len; /* only batches are counted in a window */
    struct partition *p = named(node, m->topic_id, m->partition);
    struct peer *peer = &node->peers[from];
    struct flow *flow = &peer->flows[channel];
    flow->taken_bytes += tail.len;
    peer->taking = channel;
    if (p != NULL) {
        struct replica_push push = {
            .epoch = m->epoch,
            .prev_epoch = m->prev_epoch,
            .base = m->from_offset,
            .initial_end = m->initial_end,
            .hw = m->hw_plus_one - 1,
            .log_start = m->log_start,
            .truncate = m->truncate,
            .restart = m->restart,
            .producers = producers,
            .batches = run.infos,
            .batch_count = run.count,
        };
        struct replica_out out = {0};
        replica_on_push(&p->replica, node_now_ms(node), from, &push, &out);
        cleaning_told(p, from, m->epoch, m->all_hold);
        partition_run(p, &out, run.infos, run.chunks);
        replica_out_fini(&out);
    }
    if (tail.len > 0 && flow->taken_bytes_durable >= flow->token_bytes) {
        /* Nothing of it went to the log (an overlap, a complaint): done at once. */
        flow->taken_bytes_durable = flow->taken_bytes;
        peer->ack_bytes_owed = true;
        node_wake(node);
    }
}

static void on_copied(struct node *node, uint32_t from, struct slice head, struct chunk tail,
                      struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Copy *m = tern__mesh__copy__unpack(&allocator, head.len, head.base);
    struct batch_run run = {0};

    if (m == NULL || !(m->producers ? are_producers(tail) : mesh_split(tail, arena, &run))) {
        malformed(node, from, MESH_COPIED);
        return;
    }
    struct partition *p = named(node, m->topic_id, m->partition);
    if (p != NULL) {
        struct replica_out out = {0};
        if (m->producers) {
            replica_on_copied_producers(&p->replica, node_now_ms(node), from, m->epoch, m->offset,
                                        chunk_slice(tail), &out);
        } else {
            replica_on_copied(&p->replica, node_now_ms(node), from, m->epoch, run.infos, run.count,
                              &out);
        }
        partition_run(p, &out, run.infos, run.chunks);
        replica_out_fini(&out);
    }
}

static void on_copy(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Copy *m = tern__mesh__copy__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        malformed(node, from, MESH_COPY);
        return;
    }
    struct partition *p = named(node, m->topic_id, m->partition);
    if (p != NULL && m->producers) {
        ship_copy_producers(p, from, m->epoch, m->offset);
    } else if (p != NULL) {
        ship_copy(p, from, m->epoch, m->offset);
    }
}

static void note_durable(struct flow *flow, uint64_t bytes)
{
    if (bytes > flow->pushed_bytes_durable && bytes <= flow->pushed_bytes) {
        flow->pushed_bytes_durable = bytes;
    }
}

static void on_acks(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Acks *m = tern__mesh__acks__unpack(&allocator, head.len, head.base);
    struct peer *peer = &node->peers[from];

    if (m == NULL) {
        malformed(node, from, MESH_ACKS);
        return;
    }
    note_durable(&peer->flows[WIRE_DATA], m->pushed_bytes);
    note_durable(&peer->flows[WIRE_CATCH_UP], m->catch_up_bytes);
    for (size_t i = 0; i < m->n_acks; i++) {
        struct partition *p = named(node, m->acks[i]->topic_id, m->acks[i]->partition);
        if (p == NULL) {
            continue;
        }
        struct replica_ack ack = {m->acks[i]->epoch, m->incarnation, m->acks[i]->leo};
        struct replica_out out = {0};
        replica_on_ack(&p->replica, node_now_ms(node), from, &ack, &out);
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
        log_start_told(p, from, ack.epoch, m->acks[i]->log_start);
        ship_acked(p, from);
    }
    ship_room(node, from);
}

static void on_marks(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Marks *m = tern__mesh__marks__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        malformed(node, from, MESH_MARKS);
        return;
    }
    for (size_t i = 0; i < m->n_marks; i++) {
        struct partition *p = named(node, m->marks[i]->topic_id, m->marks[i]->partition);
        if (p != NULL) {
            struct replica_out out = {0};
            replica_on_mark(&p->replica, from, m->marks[i]->epoch, m->marks[i]->hw,
                            m->marks[i]->log_start, &out);
            cleaning_told(p, from, m->marks[i]->epoch, m->marks[i]->all_hold);
            partition_run(p, &out, NULL, NULL);
            replica_out_fini(&out);
        }
    }
}

static void on_reports(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__Reports *m = tern__mesh__reports__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        malformed(node, from, MESH_REPORTS);
        return;
    }
    for (size_t i = 0; i < m->n_reports; i++) {
        const Tern__Mesh__Reports__Report *r = m->reports[i];
        struct decide_report report = {
            .kind = (enum decide_report_kind)r->kind,
            .partition = r->partition,
            .epoch = r->epoch,
            .from = from,
            .reaches = r->reaches,
            .nodes = r->nodes,
            .millis = r->millis,
            .incarnation = r->incarnation,
        };
        if (r->topic_id.len != sizeof report.topic_id.bytes || r->kind > REPORT_MEMBERS) {
            continue;
        }
        memcpy(report.topic_id.bytes, r->topic_id.data, r->topic_id.len);
        for (size_t k = 0; k < r->n_members && k < CONTROL_REGIONS_MAX; k++) {
            report.members[k] = r->members[k];
        }
        controller_report(node, from, &report);
    }
}

static void data_frame(struct node *node, uint32_t from, enum wire_channel channel, uint16_t type,
                       struct slice head, struct chunk tail, struct arena *arena)
{
    switch (type) {
    case MESH_FENCES:
        on_fences(node, from, head, arena);
        break;
    case MESH_ANSWERS:
        on_answers(node, from, head, arena);
        break;
    case MESH_PUSH:
        on_push(node, from, channel, head, tail, arena);
        break;
    case MESH_ACKS:
        on_acks(node, from, head, arena);
        break;
    case MESH_MARKS:
        on_marks(node, from, head, arena);
        break;
    case MESH_COPY:
        on_copy(node, from, head, arena);
        break;
    case MESH_COPIED:
        on_copied(node, from, head, tail, arena);
        break;
    case MESH_REPAIR:
        repair_asked(node, from, head, arena);
        break;
    case MESH_REPAIRED:
        repair_given(node, from, head, tail, arena);
        break;
    case MESH_REPORTS:
        on_reports(node, from, head, arena);
        break;
    case MESH_TXN_END:
        txn_end_asked(node, from, head, arena);
        break;
    case MESH_TXN_ENDED:
        txn_end_told(node, from, head, arena);
        break;
    case MESH_TXN_VERIFY:
        txn_verify_asked(node, from, head, arena);
        break;
    case MESH_TXN_VERIFIED:
        txn_verify_told(node, from, head, arena);
        break;
    default:
        malformed(node, from, type);
        break;
    }
}

/* Declared to hold less than it acknowledged: nothing of it counts. The quorum's frames go on, by
 * them it hears of it. */
static bool is_forgetful(const struct node *node, uint32_t from)
{
    const struct control_node *known = &node->control->nodes[from];

    return known->forgot && node->peers[from].hello.incarnation <= known->incarnation;
}

static void peer_frame(void *ctx, uint32_t from, enum wire_channel channel, uint16_t type,
                       struct slice head, struct chunk tail)
{
    struct node *node = ctx;
    struct arena arena;

    if (node->dead || from >= WIRE_NODES_MAX) {
        return;
    }
    node->counters.mesh_frames_in++;
    node->counters.mesh_bytes_in += head.len + tail.len;
    node->peers[from].heard_us = clock_now_us(node->o.clock);
    if (type < QUORUM_FRAME_TYPES) {
        if (node->quorum != NULL) {
            quorum_receive(node->quorum, &node->peers[from].hello, type, head, tail);
        }
        return;
    }
    switch (type) {
    case MESH_HEARTBEAT:
        liveness_heartbeat(node, from, head);
        return;
    case MESH_START_QUERY:
        recall_asked(node, from, head);
        return;
    case MESH_START_REPLY:
        recall_told(node, from, head);
        return;
    case MESH_SUBMIT:
        start_submit(node, from, head);
        return;
    case MESH_SUBMIT_REPLY:
        start_submit_reply(node, from, head);
        return;
    case MESH_WARM_UP:
        return; /* by its coming alone */
    default:
        break;
    }
    if (!node->registered) {
        return; /* amnesia: until registered it answers no fence and acknowledges nothing */
    }
    if (is_forgetful(node, from)) {
        return;
    }
    arena_init(&arena);
    arena.limit = HEAD_GROWS * head.len + 8 * tail.len + ((size_t)1 << 16);
    data_frame(node, from, channel, type, head, tail, &arena);
    arena_fini(&arena);
}

/* ---- channels -------------------------------------------------------------------------------- */

static bool peer_check(void *ctx, const struct wire_hello *hello, char why[128])
{
    struct node *node = ctx;
    const struct control_node *known = &node->control->nodes[hello->node_id % WIRE_NODES_MAX];

    if (hello->node_id == 0 || hello->node_id >= WIRE_NODES_MAX) {
        (void)snprintf(why, 128, "node id %u is not between 1 and %d", hello->node_id,
                       WIRE_NODES_MAX - 1);
        return false;
    }
    if (!uuid_is_zero(hello->cluster_id) && !uuid_is_zero(node->file.cluster_id) &&
        !uuid_equal(hello->cluster_id, node->file.cluster_id)) {
        (void)snprintf(why, 128, "node %u belongs to another cluster of the same name",
                       hello->node_id);
        return false;
    }
    if (known->id == 0) {
        return true;
    }
    if (strcmp(node->control->regions[known->region].name, hello->region) != 0) {
        (void)snprintf(why, 128, "node %u is registered in region %s, its certificate says %s",
                       hello->node_id, node->control->regions[known->region].name, hello->region);
        return false;
    }
    if (hello->incarnation != 0 && hello->incarnation < known->incarnation) {
        (void)snprintf(why, 128, "incarnation %u of node %u is superseded by %u",
                       hello->incarnation, hello->node_id, known->incarnation);
        return false;
    }
    if (known->removed && hello->incarnation != 0 && hello->incarnation <= known->incarnation) {
        (void)snprintf(why, 128, "node %u was removed: start it with an empty directory",
                       hello->node_id);
        return false;
    }
    return node->quorum == NULL || quorum_peer_plausible(node->quorum, hello, why);
}

bool peer_linked(const struct node *node, uint32_t id)
{
    return node->peers[id].up[WIRE_CONTROL] && node->peers[id].up[WIRE_DATA];
}

static void tell_replicas(struct node *node, uint32_t id, bool up)
{
    struct partition *p;
    struct partition *next;

    HASH_ITER (hh, node->partitions, p, next) {
        struct replica_out out = {0};
        if (up) {
            replica_peer_up(&p->replica, node_now_ms(node), id, &out);
        } else {
            replica_peer_down(&p->replica, id);
        }
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
    }
}

static void peer_up(void *ctx, const struct wire_hello *hello, enum wire_channel channel)
{
    struct node *node = ctx;
    struct peer *peer = &node->peers[hello->node_id];

    if (channel == WIRE_CONTROL) {
        peer->hello = *hello;
    }
    peer->flows[channel] = (struct flow){0};
    peer->up[channel] = true;
    peer->heard_us = clock_now_us(node->o.clock);
    peer->gone = false;
    if (channel == WIRE_CATCH_UP) {
        ship_retry(node, hello->node_id);
    } else if (peer_linked(node, hello->node_id)) {
        tell_replicas(node, hello->node_id, true);
    }
}

static void peer_down(void *ctx, uint32_t node_id, enum wire_channel channel)
{
    struct node *node = ctx;
    bool was = peer_linked(node, node_id);

    node->peers[node_id].up[channel] = false;
    if (channel == WIRE_CATCH_UP) {
        ship_catch_up_down(node, node_id);
    } else if (was) {
        tell_replicas(node, node_id, false);
    }
    if (channel == WIRE_CONTROL) {
        node->peers[node_id].heard_sent_us = 0;
        node->peers[node_id].ready = false; /* its next start has not said so */
        lease_forget(node, node_id);        /* and counts its requests anew */
        if (node->quorum != NULL) {
            quorum_peer_down(node->quorum, node_id);
        }
        warm_up(node, clock_now_us(node->o.clock));
    }
}

static void peer_gone(void *ctx, uint32_t node_id)
{
    peer_is_gone(ctx, node_id);
}

static void peer_drained(void *ctx, uint32_t node_id, enum wire_channel channel)
{
    struct node *node = ctx;

    if (channel == WIRE_CONTROL) {
        ship_retry_marks(node, node_id);
    } else {
        ship_retry(node, node_id);
    }
}

const struct wire_handler node_wire_handler = {
    .peer_check = peer_check,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .peer_frame = peer_frame,
    .peer_gone = peer_gone,
    .peer_drained = peer_drained,
    .client_opened = conn_opened,
    .client_frame = conn_frame,
    .client_closed = conn_closed,
};
