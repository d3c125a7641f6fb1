/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of transactions: from the coordinator to the leaders of partitions, on this node or another,
 * again and again until each is committed there or the partition is gone.
 *
 * An end that comes late must not end the next transaction of its producer, which may have the same
 * epoch. So it names the epoch of the leader that it is for, and the number of its decision; a leader
 * takes each number once. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

/* One partition that is to be told. */
struct txn_mark {
    struct link link; /* in node_txns.marks */
    struct node *node;
    struct coordinator *co;
    struct buf id;
    struct buf topic;
    int32_t partition;
    struct txn_end end;
    uint64_t seq;     /* of the newest message */
    uint64_t sent_ms; /* 0: nothing is under way */
    uint32_t sent_to;
    int32_t sent_epoch;
    bool here; /* `ending` is under way */
    struct txn_ending ending;
};

/* What another node has asked for. */
struct txn_asked {
    struct txn_ending ending;
    uint32_t from;
    uint64_t seq;
};

/* ---- writing one here -------------------------------------------------------------------------- */

static bool is_committed(const struct txn_ending *e, const struct partition *p)
{
    const struct control_topic *topic = control_topic_by_id(e->node->control, e->key.topic_id);
    bool leased = p->replica.spec.config.home >= 0 && topic != NULL &&
                  topic->policy.failover == POLICY_FAILOVER_AUTO;

    return replica_hw_known(&p->replica) && replica_ack_limit(&p->replica) >= e->end &&
           (!leased || lease_valid(e->node));
}

static void look(struct txn_ending *e)
{
    struct partition *p = partition_find(e->node, e->key.topic_id, e->key.partition);
    bool leads = p != NULL && !p->deleting && replica_serves(&p->replica) &&
                 p->replica.spec.epoch == e->epoch;

    if (!leads || is_committed(e, p)) {
        txn_ending_cancel(e);
        e->done(e, leads ? 0 : TERN_ENOTLEADER);
    }
}

static void poked(struct partition_waiter *waiter)
{
    look(CONTAINER_OF(waiter, struct txn_ending, waiter));
}

void txn_ending_cancel(struct txn_ending *e)
{
    if (link_in_list(&e->waiter.link)) {
        link_remove(&e->waiter.link);
    }
    if (link_in_list(&e->link)) {
        link_remove(&e->link);
        e->node->txns->ending_count--;
    }
}

static int write_end(struct partition *p, const struct txn_end *end, int64_t *out_end)
{
    struct node *node = p->node;
    struct replica_out out = {0};
    struct batch_info info;
    struct buf bytes = {0};
    bool duplicate = false;

    batch_marker_put(&bytes, end->commit ? BATCH_COMMIT : BATCH_ABORT, end->producer_id,
                     end->producer_epoch, end->coordinator_epoch, clock_wall_ms(node->o.clock));
    struct chunk chunk = chunk_copy(buf_slice(&bytes));
    buf_fini(&bytes);
    int status = 0;
    if (p->coordinator != NULL) {
        status = coordinator_mark(p->coordinator, &chunk, end->number, out_end);
    } else {
        status = batch_peek(chunk_slice(chunk), &info);
        CHECK(status == 0); /* our own bytes */
        status = replica_mark(&p->replica, node_now_ms(node), &info, end->number, &duplicate, &out);
        *out_end = status == 0 ? info.last_offset + 1 : 0;
        if (status == 0 && !duplicate) {
            batch_patch(chunk.base, info.base_offset, info.leader_epoch);
            partition_run(p, &out, &info, &chunk);
        }
        replica_out_fini(&out);
    }
    chunk_drop(&chunk);
    return status;
}

int txn_end_here(struct node *node, struct partition *p, const struct txn_end *end,
                 struct txn_ending *e)
{
    if (p->deleting || !replica_serves(&p->replica)) {
        return TERN_ENOTLEADER;
    }
    if (node->txns->ending_count >= TXN_ENDING_MAX) {
        return TERN_EBUSY;
    }
    if (!store_writable(node->store)) {
        return TERN_ENOSPC;
    }
    int status = write_end(p, end, &e->end);
    if (status != 0) {
        return status;
    }
    e->node = node;
    e->key = p->key;
    e->epoch = p->replica.spec.epoch;
    e->waiter.poke = poked;
    queue_push(&p->watchers, &e->waiter.link);
    queue_push(&node->txns->endings, &e->link);
    node->txns->ending_count++;
    node_txns_wake(node, 0); /* it may be committed already */
    return 0;
}

void txn_endings_tick(struct node_txns *t)
{
    struct link now;
    struct link *link;

    queue_init(&now);
    while ((link = queue_pop(&t->endings)) != NULL) {
        queue_push(&now, link);
    }
    while ((link = queue_pop(&now)) != NULL) {
        queue_push(&t->endings, link);
        look(CONTAINER_OF(link, struct txn_ending, link));
    }
}

/* ---- for another node -------------------------------------------------------------------------- */

static void tell(struct node *node, uint32_t to, uint64_t seq, int error)
{
    Tern__Mesh__TxnEnded m = TERN__MESH__TXN_ENDED__INIT;
    uint8_t bytes[32];

    m.seq = seq;
    m.error = error;
    size_t len = tern__mesh__txn_ended__pack(&m, bytes);
    (void)node_send(node, to, WIRE_CONTROL, MESH_TXN_ENDED, slice_of(bytes, len), NULL, 0);
}

static void asked_done(struct txn_ending *ending, int status)
{
    struct txn_asked *asked = CONTAINER_OF(ending, struct txn_asked, ending);

    tell(ending->node, asked->from, asked->seq, status);
    free(asked);
}

void txn_end_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__TxnEnd *m = tern__mesh__txn_end__unpack(&allocator, head.len, head.base);
    struct uuid id;

    if (m == NULL || m->topic_id.len != sizeof id.bytes) {
        return;
    }
    memcpy(id.bytes, m->topic_id.data, sizeof id.bytes);
    struct partition *p = partition_find(node, id, m->partition);
    struct txn_end end = {m->producer_id, (int16_t)m->producer_epoch, m->coordinator_epoch,
                          m->commit != 0, m->number};
    struct txn_asked *asked = mem_new(sizeof *asked);
    asked->from = from;
    asked->seq = m->seq;
    asked->ending.done = asked_done;
    int status = TERN_ENOTLEADER;
    if (p != NULL && p->replica.spec.epoch == m->epoch) {
        status = txn_end_here(node, p, &end, &asked->ending);
    }
    if (status != 0) {
        tell(node, from, m->seq, status);
        free(asked);
    }
}

/* ---- the coordinator's ------------------------------------------------------------------------- */

static void mark_free(struct txn_mark *mark)
{
    if (mark->here) {
        txn_ending_cancel(&mark->ending);
    }
    link_remove(&mark->link);
    buf_fini(&mark->id);
    buf_fini(&mark->topic);
    free(mark);
}

static void mark_done(struct txn_mark *mark)
{
    struct coordinator *co = mark->co;
    struct txn_place place = {buf_slice(&mark->topic), mark->partition};
    struct txn_out out = {0};

    if (coordinator_txns(co) == NULL) {
        mark_free(mark); /* it gave up meanwhile */
        return;
    }
    txns_marked(coordinator_txns(co), txn_coordinator_now(co), buf_slice(&mark->id),
                mark->end.number, &place, &out);
    mark_free(mark);
    txn_coordinator_run(co, &out);
}

/* A partition that knows a newer epoch of the producer has nothing of the old one open. */
static void mark_answered(struct txn_mark *mark, int status)
{
    if (status == 0 || status == TERN_EPRODUCERFENCED) {
        mark_done(mark);
        return;
    }
    trace_debug("event=txn_end_refused partition=%d error=%s", mark->partition, error_name(status));
    if (status != TERN_ENOTLEADER) {
        return; /* again after TXN_MARK_RETRY_MS */
    }
    mark->sent_epoch = 0; /* as soon as there is another leader */
}

static void here_done(struct txn_ending *ending, int status)
{
    struct txn_mark *mark = CONTAINER_OF(ending, struct txn_mark, ending);

    mark->here = false;
    mark_answered(mark, status);
}

static void send_mark(struct txn_mark *mark, const struct control_topic *topic, uint64_t now_ms)
{
    struct node *node = mark->node;
    const struct control_partition *cp = &topic->partitions[mark->partition];
    struct buf head = {0};

    mark->sent_ms = now_ms;
    mark->sent_to = cp->leader;
    mark->sent_epoch = cp->epoch;
    if (cp->leader == node->o.node_id) {
        struct partition *p = partition_find(node, topic->id, mark->partition);
        mark->ending.done = here_done;
        int status = p != NULL ? txn_end_here(node, p, &mark->end, &mark->ending) : TERN_ENOTLEADER;
        mark->here = status == 0;
        if (status == TERN_EPRODUCERFENCED) {
            mark_done(mark);
        }
        return;
    }
    Tern__Mesh__TxnEnd m = TERN__MESH__TXN_END__INIT;
    struct uuid id = topic->id;
    mark->seq = ++node->txns->seq;
    m.seq = mark->seq;
    m.topic_id = (ProtobufCBinaryData){sizeof id.bytes, id.bytes};
    m.partition = mark->partition;
    m.epoch = cp->epoch;
    m.producer_id = mark->end.producer_id;
    m.producer_epoch = mark->end.producer_epoch;
    m.coordinator_epoch = mark->end.coordinator_epoch;
    m.commit = mark->end.commit;
    m.number = mark->end.number;
    uint8_t *at = buf_extend(&head, tern__mesh__txn_end__get_packed_size(&m));
    tern__mesh__txn_end__pack(&m, at);
    (void)node_send(node, cp->leader, WIRE_CONTROL, MESH_TXN_END, buf_slice(&head), NULL, 0);
    buf_fini(&head);
}

/* Sends it where it has to go now, if it is not under way there already. */
static void mark_go(struct txn_mark *mark, uint64_t now_ms)
{
    struct node *node = mark->node;
    const struct control_topic *topic = topic_by_slice(node, buf_slice(&mark->topic));

    if (mark->here) {
        return;
    }
    if (topic == NULL || (uint32_t)mark->partition >= topic->partition_count) {
        if (node_is_current(node)) {
            mark_done(mark); /* it was deleted: nothing is left to be ended */
        }
        return;
    }
    const struct control_partition *cp = &topic->partitions[mark->partition];
    bool moved = cp->leader != mark->sent_to || cp->epoch != mark->sent_epoch;
    bool late = now_ms - mark->sent_ms >= TXN_MARK_RETRY_MS;
    if (cp->leader != 0 && (mark->sent_ms == 0 || moved || late)) {
        send_mark(mark, topic, now_ms);
    }
}

void txn_marks_begin(struct coordinator *co, const struct txn *txn)
{
    struct node *node = coordinator_node(co);

    for (const struct txn_partition *p = txn->partitions; p != NULL; p = p->hh.next) {
        if (p->marked) {
            continue;
        }
        struct txn_mark *mark = mem_new(sizeof *mark);
        mark->node = node;
        mark->co = co;
        buf_put(&mark->id, buf_slice(&txn->id));
        buf_put(&mark->topic, txn_partition_topic(p));
        mark->partition = txn_partition_index(p);
        mark->end = (struct txn_end){txn->now.producer_id, txn->now.epoch, coordinator_epoch(co),
                                     txn->now.state == TXN_PREPARE_COMMIT, txn->number};
        queue_push(&node->txns->marks, &mark->link);
    }
    node_txns_wake(node, 0);
}

void txn_marks_drop(struct coordinator *co)
{
    struct node_txns *t = coordinator_node(co)->txns;

    QUEUE_EACH (each, &t->marks) {
        struct txn_mark *mark = CONTAINER_OF(each, struct txn_mark, link);
        if (mark->co == co) {
            mark_free(mark);
        }
    }
}

void txn_marks_tick(struct node_txns *t, uint64_t now_ms)
{
    struct link now;
    struct link *link;

    queue_init(&now);
    while ((link = queue_pop(&t->marks)) != NULL) {
        queue_push(&now, link);
    }
    while ((link = queue_pop(&now)) != NULL) {
        queue_push(&t->marks, link);
        mark_go(CONTAINER_OF(link, struct txn_mark, link), now_ms);
    }
}

void txn_end_told(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__TxnEnded *m = tern__mesh__txn_ended__unpack(&allocator, head.len, head.base);

    if (m == NULL) {
        return;
    }
    QUEUE_EACH (each, &node->txns->marks) {
        struct txn_mark *mark = CONTAINER_OF(each, struct txn_mark, link);
        if (mark->seq == m->seq && mark->sent_to == from && !mark->here) {
            mark_answered(mark, m->error);
            return;
        }
    }
}

void txn_marks_close(struct node_txns *t)
{
    QUEUE_EACH (each, &t->marks) {
        mark_free(CONTAINER_OF(each, struct txn_mark, link));
    }
    QUEUE_EACH (each, &t->endings) {
        struct txn_ending *ending = CONTAINER_OF(each, struct txn_ending, link);
        txn_ending_cancel(ending);
        if (ending->done == asked_done) {
            free(CONTAINER_OF(ending, struct txn_asked, ending));
        }
    }
}
