/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to other nodes. Effects only mark partitions; once per loop turn everything that is
 * marked leaves, one frame per node and kind for the small messages, one per batch run for pushes.
 */
#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define ITEMS_PER_FRAME 2000
#define BYTES_PER_FRAME (128u << 10) /* an answer has the history of its log, which may be long */

/* ---- small messages, gathered per node ------------------------------------------------------- */

/* The frame under construction for one node. Items are packed one by one, as protobuf allows: the
 * concatenation of packed messages with a repeated field is the packed whole. */
struct gather {
    bool any; /* there is something in it */
    struct buf bytes[WIRE_NODES_MAX];
    uint32_t items[WIRE_NODES_MAX];
    struct told *told[WIRE_NODES_MAX]; /* of marks: one per item */
};

/* A mark that counts as told once its frame is in the queue. */
struct told {
    struct partition *partition;
    int64_t next;
    int64_t hw;
};

static ProtobufCBinaryData id_bytes(struct partition *p)
{
    return (ProtobufCBinaryData){sizeof p->key.topic_id.bytes, p->key.topic_id.bytes};
}

static void pack(struct buf *out, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    (void)protobuf_c_message_pack(message, buf_extend(out, size));
}

static void send_gathered(struct node *node, struct gather *g, uint32_t to, uint16_t type)
{
    if (g->items[to] == 0 && g->bytes[to].len == 0) {
        return;
    }
    /* Not sent because the channel is down or full: whoever needs it asks again; marks, for which
     * nobody asks, are told again when there is room. */
    bool sent = node_send(node, to, WIRE_CONTROL, type, buf_slice(&g->bytes[to]), NULL, 0);
    for (uint32_t i = 0; sent && g->told[to] != NULL && i < g->items[to]; i++) {
        const struct told *told = &g->told[to][i];
        replica_pushed(&told->partition->replica, to, told->next, told->hw);
    }
    buf_clear(&g->bytes[to]);
    g->items[to] = 0;
}

static void gathered(struct node *node, struct gather *g, uint32_t to, uint16_t type)
{
    g->any = true;
    if (++g->items[to] >= ITEMS_PER_FRAME || g->bytes[to].len >= BYTES_PER_FRAME) {
        send_gathered(node, g, to, type);
    }
}

static void finish(struct node *node, struct gather *g, uint16_t type)
{
    for (uint32_t to = 1; g->any && to < WIRE_NODES_MAX; to++) {
        send_gathered(node, g, to, type);
        buf_fini(&g->bytes[to]);
        free(g->told[to]);
    }
}

static void gather_fence(struct gather *g, struct partition *p, uint32_t to)
{
    Tern__Mesh__Fences__Fence fence = TERN__MESH__FENCES__FENCE__INIT;
    Tern__Mesh__Fences__Fence *list[] = {&fence};
    Tern__Mesh__Fences fences = TERN__MESH__FENCES__INIT;

    if (p->replica.role == REPLICA_FOLLOWING) {
        return; /* deposed since the fence was asked for: the newer epoch is not ours to fence */
    }
    if (!p->node->peers[to].up[WIRE_CONTROL]) {
        return; /* it is fenced when it is back */
    }
    fence.topic_id = id_bytes(p);
    fence.partition = p->key.partition;
    fence.epoch = p->replica.spec.epoch;
    fences.fences = list;
    fences.n_fences = 1;
    pack(&g->bytes[to], &fences.base);
    gathered(p->node, g, to, MESH_FENCES);
}

static void gather_answer(struct gather *g, struct partition *p, uint32_t to)
{
    struct replica_answer a = replica_answer_now(&p->replica);
    Tern__Mesh__Answers__Answer answer = TERN__MESH__ANSWERS__ANSWER__INIT;
    Tern__Mesh__Answers__Answer *list[] = {&answer};
    Tern__Mesh__Answers answers = TERN__MESH__ANSWERS__INIT;
    Tern__Mesh__EpochStart *starts = mem_grow(NULL, a.history_count, sizeof *starts);
    Tern__Mesh__EpochStart **at = mem_grow(NULL, a.history_count, sizeof *at);

    for (size_t i = 0; i < a.history_count; i++) {
        tern__mesh__epoch_start__init(&starts[i]);
        starts[i].epoch = a.history[i].epoch;
        starts[i].start_offset = a.history[i].start_offset;
        at[i] = &starts[i];
    }
    answer.topic_id = id_bytes(p);
    answer.partition = p->key.partition;
    answer.epoch = a.epoch;
    answer.incarnation = a.incarnation;
    answer.synced = a.synced;
    answer.leo = a.leo;
    answer.log_start = a.log_start;
    answer.complaint = p->answer_complaint;
    answer.history = at;
    answer.n_history = a.history_count;
    answers.answers = list;
    answers.n_answers = 1;
    pack(&g->bytes[to], &answers.base);
    free(starts);
    free(at);
    gathered(p->node, g, to, MESH_ANSWERS);
}

static void gather_ack(struct gather *g, struct partition *p)
{
    uint32_t to = p->ack_to;
    Tern__Mesh__Acks__Ack ack = TERN__MESH__ACKS__ACK__INIT;
    Tern__Mesh__Acks__Ack *list[] = {&ack};
    Tern__Mesh__Acks acks = TERN__MESH__ACKS__INIT;

    /* The check is made when the ack is sent: a promise called for since then silences it. */
    if (p->replica.promised != p->ack_epoch && !MUTANT(stale_acked)) {
        return;
    }
    ack.topic_id = id_bytes(p);
    ack.partition = p->key.partition;
    ack.epoch = p->ack_epoch;
    ack.leo = p->ack_offset;
    ack.log_start = p->log_start_durable;
    acks.acks = list;
    acks.n_acks = 1;
    acks.incarnation = p->node->file.incarnation;
    acks.pushed_bytes = p->node->peers[to].flows[WIRE_DATA].taken_bytes_durable;
    acks.catch_up_bytes = p->node->peers[to].flows[WIRE_CATCH_UP].taken_bytes_durable;
    p->node->peers[to].ack_bytes_owed = false;
    pack(&g->bytes[to], &acks.base);
    gathered(p->node, g, to, MESH_ACKS);
}

static void gather_mark(struct gather *g, struct partition *p, uint32_t to)
{
    struct replica_push head;
    Tern__Mesh__Marks__Mark mark = TERN__MESH__MARKS__MARK__INIT;
    Tern__Mesh__Marks__Mark *list[] = {&mark};
    Tern__Mesh__Marks marks = TERN__MESH__MARKS__INIT;

    if (!replica_push_head(&p->replica, to, &head) ||
        replica_peer_of(&p->replica, to)->hw_told == head.hw) {
        return; /* a push of this turn has told it */
    }
    mark.topic_id = id_bytes(p);
    mark.partition = p->key.partition;
    mark.epoch = head.epoch;
    mark.hw = head.hw;
    mark.log_start = head.log_start;
    mark.all_hold = cleaning_all_hold(p);
    marks.marks = list;
    marks.n_marks = 1;
    pack(&g->bytes[to], &marks.base);
    g->told[to] = mem_grow(g->told[to], g->items[to] + 1, sizeof *g->told[to]);
    g->told[to][g->items[to]] = (struct told){p, head.base, head.hw};
    gathered(p->node, g, to, MESH_MARKS);
}

void ship_retry_marks(struct node *node, uint32_t to)
{
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        struct replica_push head;
        if (replica_push_head(&p->replica, to, &head) &&
            replica_peer_of(&p->replica, to)->hw_told != head.hw) {
            p->mark_to |= NODE_BIT(to);
            partition_mark_dirty(p);
        }
    }
}

/* ---- pushes ---------------------------------------------------------------------------------- */

static bool send_push(struct partition *p, const struct ship_read *r,
                      const struct replica_push *head, const struct chunk *tail, size_t count)
{
    Tern__Mesh__Push push = TERN__MESH__PUSH__INIT;
    uint8_t room[128];

    push.topic_id = id_bytes(p);
    push.partition = p->key.partition;
    push.epoch = head->epoch;
    push.prev_epoch = head->prev_epoch;
    push.from_offset = head->base;
    push.initial_end = head->initial_end;
    push.all_hold = cleaning_all_hold(p);
    push.hw_plus_one = head->hw + 1;
    push.log_start = head->log_start;
    push.truncate = head->truncate;
    push.restart = head->restart;
    CHECK(tern__mesh__push__get_packed_size(&push) <= sizeof room);
    size_t size = tern__mesh__push__pack(&push, room);
    return node_send(p->node, r->node, r->via, MESH_PUSH, slice_of(room, size), tail, count);
}

static struct ship_read *read_for(struct partition *p, uint32_t node, bool copying);

size_t ship_producers_max(const struct partition *p)
{
    return (size_t)store_batch_max(p->node->store) / 2;
}

/* What producers had sent before a log start, for a log that begins anew there. False: it is not known
 * yet, who needs it asks again. */
static bool producers_before(struct partition *p, int64_t offset, struct chunk *out)
{
    struct buf bytes = {0};
    bool known = replica_producers_before(&p->replica, offset, ship_producers_max(p), &bytes);

    *out = chunk_copy(buf_slice(&bytes));
    if (known && bytes.len == 0) {
        trace_warn(
            "event=producers_not_known partition=%d offset=%lld what=\"a replica begins anew "
            "without them\"",
            p->key.partition, (long long)offset);
    }
    buf_fini(&bytes);
    return known;
}

void ship_begin(struct partition *p, uint32_t to, int64_t base, bool restart)
{
    struct chunk producers = {0};
    struct replica_push head = {
        .epoch = p->replica.spec.epoch,
        .base = base,
        .initial_end = p->replica.initial_end,
        .hw = -1,
        .log_start = p->replica.log_start,
        .truncate = !restart,
        .restart = restart,
    };
    if (!restart) {
        (void)send_push(p, read_for(p, to, false), &head, NULL, 0);
    } else if (producers_before(p, base, &producers)) {
        (void)send_push(p, read_for(p, to, false), &head, &producers, producers.len > 0 ? 1 : 0);
    }
    chunk_drop(&producers);
}

static void push_read_done(struct store_read *read);
static void copy_read_done(struct store_read *read);

static struct ship_read *find_read(struct partition *p, uint32_t node, bool copying)
{
    QUEUE_EACH (each, &p->reads) {
        struct ship_read *r = CONTAINER_OF(each, struct ship_read, link);
        if (r->node == node && r->copying == copying) {
            return r;
        }
    }
    return NULL;
}

static struct ship_read *read_for(struct partition *p, uint32_t node, bool copying)
{
    struct ship_read *r = find_read(p, node, copying);

    if (r != NULL) {
        return r;
    }
    r = mem_new(sizeof *r);
    r->partition = p;
    r->node_of = p->node;
    r->node = node;
    r->copying = copying;
    r->via = WIRE_DATA;
    queue_push(&p->reads, &r->link);
    return r;
}

/* Reads that the store still works on outlive the partition; their `done` frees them. */
void ship_reads_abandon(struct partition *p)
{
    for (struct link *link = queue_pop(&p->reads); link != NULL; link = queue_pop(&p->reads)) {
        struct ship_read *r = CONTAINER_OF(link, struct ship_read, link);
        r->partition = NULL;
        if (link_in_list(&r->waiting)) {
            link_remove(&r->waiting);
        }
        if (r->busy) {
            queue_push(&p->node->abandoned_reads, &r->link);
        } else {
            free(r);
        }
    }
}

void ship_reads_drop(struct node *node)
{
    for (struct link *link = queue_pop(&node->abandoned_reads); link != NULL;
         link = queue_pop(&node->abandoned_reads)) {
        free(CONTAINER_OF(link, struct ship_read, link));
    }
}

static size_t run_bytes(const struct chunk *chunks, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += chunks[i].len;
    }
    return bytes;
}

/* End offset of whole batches in chunks. */
static int64_t end_of(const struct chunk *chunks, size_t count, int64_t from)
{
    int64_t end = from;

    for (size_t i = 0; i < count; i++) {
        struct slice run = chunk_slice(chunks[i]);
        struct batch_info info;
        struct slice batch;
        while (batch_next(&run, &info, &batch) == 0) {
            end = info.last_offset + 1;
        }
    }
    return end;
}

/* The store gives whole batches from the one that holds the offset, so the first may begin below;
 * a stream begins at batch boundaries, hence it never does. True: go on. */
static bool push_result(struct partition *p, struct ship_read *r)
{
    struct replica_push head;
    struct peer *peer = &p->node->peers[r->node];

    if (!replica_push_head(&p->replica, r->node, &head)) {
        return false; /* the peer is being asked anew; its answer begins the stream */
    }
    if (head.base != r->read.offset || head.epoch != r->epoch) {
        return true; /* the stream began anew meanwhile, and found this read in its way */
    }
    if (r->read.status == TERN_EDAMAGED || r->read.status == TERN_EIO) {
        trace_error("event=push_read_failed partition=%d error=%s", p->key.partition,
                    error_name(r->read.status));
        return false;
    }
    if (r->read.status != 0 || r->read.chunk_count == 0) {
        return false;
    }
    if (!send_push(p, r, &head, r->read.chunks, r->read.chunk_count)) {
        return false; /* peer_drained or peer_up comes back to it */
    }
    peer->flows[r->via].pushed_bytes += run_bytes(r->read.chunks, r->read.chunk_count);
    r->sent_epoch = head.epoch;
    r->sent_to = end_of(r->read.chunks, r->read.chunk_count, head.base);
    replica_pushed(&p->replica, r->node, r->sent_to, head.hw);
    return true;
}

/* ---- live, or catching up? ------------------------------------------------------------------- */

/* Chooses the channel of the next push of a stream. False: not now, what went by the other channel
 * is not acknowledged yet (ship_acked and the tick come back to it). */
static bool choose_channel(struct partition *p, struct ship_read *r,
                           const struct replica_push *head)
{
    const struct replica_peer *peer = replica_peer_of(&p->replica, r->node);
    bool behind =
        head->base < store_recent_start(p->log) && p->node->peers[r->node].up[WIRE_CATCH_UP];
    enum wire_channel wanted = behind ? WIRE_CATCH_UP : WIRE_DATA;
    bool fresh = r->sent_epoch != head->epoch || r->sent_to != head->base;
    uint64_t now_us = clock_now_us(p->node->o.clock);

    if (r->via == wanted || fresh || peer->acked >= head->base) {
        r->via = wanted;
        r->draining_us = 0;
        return true;
    }
    if (head->base < p->replica.initial_end) {
        return true; /* it can't acknowledge before it has the whole initial log */
    }
    if (r->draining_us == 0) {
        r->draining_us = now_us;
    }
    if (now_us - r->draining_us < CATCH_UP_DRAIN_MS * 1000) {
        return false;
    }
    r->draining_us = now_us; /* an ack may be lost: another push brings another one */
    return true;
}

void ship_acked(struct partition *p, uint32_t from)
{
    const struct ship_read *r = find_read(p, from, false);
    struct replica_push head;

    if (r != NULL && r->draining_us != 0 && replica_push_head(&p->replica, from, &head) &&
        replica_peer_of(&p->replica, from)->acked >= head.base) {
        p->push_to |= NODE_BIT(from);
        partition_mark_dirty(p);
    }
}

void ship_partition_tick(struct partition *p, uint64_t now_us)
{
    QUEUE_EACH (each, &p->reads) {
        const struct ship_read *r = CONTAINER_OF(each, struct ship_read, link);
        if (r->draining_us != 0 && now_us - r->draining_us >= CATCH_UP_DRAIN_MS * 1000) {
            p->push_to |= NODE_BIT(r->node);
            partition_mark_dirty(p);
        }
    }
}

/* Live producers first: they use the same disk, threads and processors. */
static bool may_read_slowly(struct node *node)
{
    uint64_t now_us = clock_now_us(node->o.clock);

    if (node->catch_up_reads >= CATCH_UP_READS_MAX ||
        store_backlog_bytes(node->store) >= CATCH_UP_BACKLOG_MAX) {
        return false; /* the end of a read, and the tick, come back to it */
    }
    uint64_t wait_us = pace_wait_us(&node->pace, now_us);
    if (wait_us > 0 && !timer_armed(&node->catch_up_timer)) {
        timer_set(node->o.clock, &node->catch_up_timer, now_us + wait_us);
    }
    return wait_us == 0;
}

static void give_turns(struct node *node);

void ship_tick(struct node *node)
{
    for (uint32_t to = 1; to < WIRE_NODES_MAX; to++) {
        ship_room(node, to);
    }
    pace_tick(&node->pace, clock_now_us(node->o.clock));
    give_turns(node);
}

static void give_turns(struct node *node)
{
    for (uint32_t i = node->catch_up_reads; i < CATCH_UP_READS_MAX; i++) {
        if (queue_empty(&node->catch_up) || !may_read_slowly(node)) {
            return;
        }
        struct ship_read *r = CONTAINER_OF(queue_pop(&node->catch_up), struct ship_read, waiting);
        r->partition->push_to |= NODE_BIT(r->node);
        partition_mark_dirty(r->partition);
    }
}

void ship_catch_up_fired(struct timer *timer)
{
    give_turns(CONTAINER_OF(timer, struct node, catch_up_timer));
}

/* False: others read, or enough was read for now; its turn comes. */
static bool begin_slow_read(struct ship_read *r)
{
    struct node *node = r->node_of;

    if (!may_read_slowly(node)) {
        if (!link_in_list(&r->waiting)) {
            queue_push(&node->catch_up, &r->waiting);
        }
        return false;
    }
    if (link_in_list(&r->waiting)) {
        link_remove(&r->waiting);
    }
    r->slow = true;
    node->catch_up_reads++;
    return true;
}

static void end_slow_read(struct ship_read *r)
{
    if (r->slow) {
        r->slow = false;
        pace_used(&r->node_of->pace, r->node, r->read.bytes);
        CHECK(r->node_of->catch_up_reads > 0);
        r->node_of->catch_up_reads--;
        give_turns(r->node_of);
    }
}

void ship_catch_up_down(struct node *node, uint32_t to)
{
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        struct ship_read *r = find_read(p, to, false);
        if (r != NULL && r->via == WIRE_CATCH_UP && replica_serves(&p->replica)) {
            struct replica_out out = {0};
            r->sent_epoch = 0;
            replica_peer_up(&p->replica, node_now_ms(node), to, &out); /* fences it anew */
            partition_run(p, &out, NULL, NULL);
            replica_out_fini(&out);
        }
    }
}

static bool may_push(const struct node *node, uint32_t to, enum wire_channel via)
{
    const struct flow *flow = &node->peers[to].flows[via];
    uint64_t window = via == WIRE_CATCH_UP ? CATCH_UP_WINDOW : PUSH_WINDOW;
    size_t queue_max = via == WIRE_CATCH_UP ? CATCH_UP_QUEUE_MAX : PUSH_QUEUE_MAX;

    return flow->pushed_bytes - flow->pushed_bytes_durable < window &&
           node->o.wire->ops->queued_bytes(node->o.wire, to, via) < queue_max;
}

void ship_room(struct node *node, uint32_t to)
{
    struct peer *peer = &node->peers[to];

    uint32_t room = 0;

    for (uint32_t via = 0; peer->held_back != 0 && via < WIRE_CHANNELS; via++) {
        room |= may_push(node, to, (enum wire_channel)via) ? 1u << via : 0;
    }
    if ((peer->held_back & room) != 0) {
        peer->held_back &= ~room; /* until the next one finds none */
        ship_retry(node, to);
    }
}

static void push(struct partition *p, uint32_t to)
{
    struct replica_push head;
    struct ship_read *r = read_for(p, to, false);

    while (!r->busy && replica_push_head(&p->replica, to, &head)) {
        if (head.base >= p->replica.leo) {
            /* Not by the channel of long ago: that one may be down. */
            if (replica_peer_of(&p->replica, to)->hw_told != head.hw &&
                choose_channel(p, r, &head) && send_push(p, r, &head, NULL, 0)) {
                replica_pushed(&p->replica, to, head.base, head.hw);
            }
            return;
        }
        if (!choose_channel(p, r, &head)) {
            return; /* ship_acked and the tick come back to it */
        }
        if (!may_push(p->node, to, r->via)) {
            p->node->peers[to].held_back |= 1u << r->via;
            return;
        }
        if (head.base < store_recent_start(p->log) && !begin_slow_read(r)) {
            return;
        }
        r->epoch = head.epoch;
        r->read = (struct store_read){.log = p->log,
                                      .offset = head.base,
                                      .limit = p->replica.leo,
                                      .max_bytes = r->slow ? CATCH_UP_BYTES_MAX : PUSH_BYTES_MAX,
                                      .once = r->slow,
                                      .done = push_read_done};
        r->busy = true;
        if (!store_read(&r->read)) {
            return;
        }
        r->busy = false;
        bool more = push_result(p, r);
        end_slow_read(r);
        store_read_fini(&r->read);
        if (!more) {
            return;
        }
    }
}

static void push_read_done(struct store_read *read)
{
    struct ship_read *r = CONTAINER_OF(read, struct ship_read, read);
    struct partition *p = r->partition;

    r->busy = false;
    if (p == NULL) {
        link_remove(&r->link);
        end_slow_read(r);
        store_read_fini(read);
        free(r);
        return;
    }
    bool more = push_result(p, r);
    bool again = more || read->status == TERN_ECANCELED;
    end_slow_read(r);
    store_read_fini(read);
    if (again) {
        p->push_to |= NODE_BIT(r->node);
        partition_mark_dirty(p);
    }
}

void ship_retry(struct node *node, uint32_t to)
{
    struct partition *p;
    struct partition *next;

    HASH_ITER (hh, node->partitions, p, next) {
        struct replica_push head;
        if (replica_push_head(&p->replica, to, &head) &&
            (head.base < p->replica.leo || replica_peer_of(&p->replica, to)->hw_told != head.hw)) {
            p->push_to |= NODE_BIT(to);
            partition_mark_dirty(p);
        }
    }
}

/* ---- copies for a recovering leader ---------------------------------------------------------- */

void ship_ask_copy(struct partition *p, uint32_t from, int32_t epoch, int64_t offset,
                   bool producers)
{
    Tern__Mesh__Copy copy = TERN__MESH__COPY__INIT;
    uint8_t room[64];

    copy.topic_id = id_bytes(p);
    copy.partition = p->key.partition;
    copy.epoch = epoch;
    copy.offset = offset;
    copy.producers = producers;
    CHECK(tern__mesh__copy__get_packed_size(&copy) <= sizeof room);
    size_t size = tern__mesh__copy__pack(&copy, room);
    (void)node_send(p->node, from, WIRE_CONTROL, MESH_COPY, slice_of(room, size), NULL, 0);
}

static void send_copied(struct partition *p, uint32_t to, int32_t epoch, int64_t offset,
                        bool producers, const struct chunk *tail, size_t count)
{
    Tern__Mesh__Copy copy = TERN__MESH__COPY__INIT;
    uint8_t room[64];

    copy.topic_id = id_bytes(p);
    copy.partition = p->key.partition;
    copy.epoch = epoch;
    copy.offset = offset;
    copy.producers = producers;
    size_t size = tern__mesh__copy__pack(&copy, room);
    enum wire_channel via = p->node->peers[to].up[WIRE_CATCH_UP] ? WIRE_CATCH_UP : WIRE_DATA;
    (void)node_send(p->node, to, via, MESH_COPIED, slice_of(room, size), tail, count);
}

static void copy_read_done(struct store_read *read)
{
    struct ship_read *r = CONTAINER_OF(read, struct ship_read, read);
    struct partition *p = r->partition;

    r->busy = false;
    if (p != NULL && read->status == 0 && replica_may_copy(&p->replica, r->epoch)) {
        send_copied(p, r->node, r->epoch, read->offset, false, read->chunks, read->chunk_count);
    } /* else the candidate asks again, or gives up */
    store_read_fini(read);
    if (p == NULL) {
        link_remove(&r->link);
        free(r);
    }
}

void ship_copy(struct partition *p, uint32_t to, int32_t epoch, int64_t offset)
{
    struct ship_read *r = read_for(p, to, true);

    if (r->busy || !replica_may_copy(&p->replica, epoch)) {
        return;
    }
    r->epoch = epoch;
    r->read = (struct store_read){.log = p->log,
                                  .offset = offset,
                                  .limit = p->replica.leo_durable,
                                  .max_bytes = PUSH_BYTES_MAX,
                                  .done = copy_read_done};
    r->busy = true;
    if (store_read(&r->read)) {
        copy_read_done(&r->read);
    }
}

void ship_copy_producers(struct partition *p, uint32_t to, int32_t epoch, int64_t offset)
{
    struct chunk producers = {0};

    if (replica_may_copy(&p->replica, epoch) && offset >= p->replica.log_start &&
        offset <= p->replica.leo && producers_before(p, offset, &producers)) {
        send_copied(p, to, epoch, offset, true, &producers, producers.len > 0 ? 1 : 0);
    }
    chunk_drop(&producers);
}

/* ---- once per loop turn ---------------------------------------------------------------------- */

/* Bytes made durable that no ack carried (the epoch had moved on): the window must open. */
static void owe_bytes(struct node *node)
{
    for (uint32_t to = 1; to < WIRE_NODES_MAX; to++) {
        struct peer *peer = &node->peers[to];
        if (!peer->ack_bytes_owed) {
            continue;
        }
        peer->ack_bytes_owed = false;
        Tern__Mesh__Acks acks = TERN__MESH__ACKS__INIT;
        uint8_t room[64];
        acks.incarnation = node->file.incarnation;
        acks.pushed_bytes = peer->flows[WIRE_DATA].taken_bytes_durable;
        acks.catch_up_bytes = peer->flows[WIRE_CATCH_UP].taken_bytes_durable;
        size_t size = tern__mesh__acks__pack(&acks, room);
        (void)node_send(node, to, WIRE_CONTROL, MESH_ACKS, slice_of(room, size), NULL, 0);
    }
}

static void flush_partitions(struct node *node)
{
    struct gather fences = {0};
    struct gather answers = {0};
    struct gather acks = {0};
    struct gather marks = {0};

    for (struct link *link = queue_pop(&node->dirty); link != NULL;
         link = queue_pop(&node->dirty)) {
        struct partition *p = CONTAINER_OF(link, struct partition, dirty);
        for (node_set left = p->fence_to | p->push_to | p->mark_to; left != 0; left &= left - 1) {
            uint32_t to = (uint32_t)__builtin_ctzll(left);
            if ((p->fence_to & NODE_BIT(to)) != 0) {
                gather_fence(&fences, p, to);
            }
            if ((p->push_to & NODE_BIT(to)) != 0) {
                push(p, to);
            }
            if ((p->mark_to & NODE_BIT(to)) != 0) {
                gather_mark(&marks, p, to);
            }
        }
        if (p->answer_to != 0) {
            gather_answer(&answers, p, p->answer_to);
        }
        if (p->ack_to != 0) {
            gather_ack(&acks, p);
        }
        p->fence_to = 0;
        p->push_to = 0;
        p->mark_to = 0;
        p->answer_to = 0;
        p->answer_complaint = false;
        p->ack_to = 0;
    }
    finish(node, &fences, MESH_FENCES);
    finish(node, &answers, MESH_ANSWERS);
    finish(node, &acks, MESH_ACKS);
    finish(node, &marks, MESH_MARKS);
}

void ship_flush(struct node *node)
{
    if (!queue_empty(&node->dirty)) {
        flush_partitions(node);
    }
    owe_bytes(node);
}
