/* SPDX-License-Identifier: Apache-2.0 */
/* "Is this partition part of the open transaction?", asked by a leader before the first batch
 * (KIP-890). Without it a batch that comes after the end of its transaction would begin one that
 * nobody ends. With transaction.version 2 it becomes part of it by being asked for: the epoch tells
 * which transaction is meant. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"
#include "mesh.pb-c.h"

/* ---- the node's part of transactions ----------------------------------------------------------- */

static void ticked(struct timer *timer)
{
    struct node_txns *t = CONTAINER_OF(timer, struct node_txns, timer);
    uint64_t now_ms = node_now_ms(t->node);

    if (t->node->dead) {
        return;
    }
    txn_endings_tick(t);
    txn_marks_tick(t, now_ms);
    txn_adds_tick(t);
    txn_verifies_tick(t, now_ms);
    if (!queue_empty(&t->adds_later)) {
        node_txns_wake(t->node, TXN_ADD_RETRY_MS);
    }
    if (!queue_empty(&t->marks) || !queue_empty(&t->endings) || !queue_empty(&t->verifies)) {
        node_txns_wake(t->node, TXN_MARKS_TICK_MS);
    }
}

void node_txns_wake(struct node *node, uint64_t after_ms)
{
    struct timer *timer = &node->txns->timer;
    uint64_t at_us = clock_now_us(node->o.clock) + after_ms * 1000;

    if (!timer_armed(timer) || at_us < timer->at_us) {
        timer_set(node->o.clock, timer, at_us);
    }
}

struct node_txns *node_txns_new(struct node *node)
{
    struct node_txns *t = mem_new(sizeof *t);

    t->node = node;
    t->seq = clock_random(node->o.clock); /* an answer to an earlier start is none to this one */
    t->timer.fire = ticked;
    queue_init(&t->marks);
    queue_init(&t->endings);
    queue_init(&t->verifies);
    queue_init(&t->adds);
    queue_init(&t->adds_later);
    queue_init(&t->add_batches);
    queue_init(&t->added);
    return t;
}

void node_txns_close(struct node *node)
{
    struct node_txns *t = node->txns;

    if (t == NULL) {
        return;
    }
    timer_stop(node->o.clock, &t->timer);
    txn_marks_close(t);
    txn_adds_close(t);
    free(t);
    node->txns = NULL;
}

bool txn_version_2(const struct node *node)
{
    return node->control->features[CONTROL_FEATURE_TXN] >= 2;
}

/* ---- asking ------------------------------------------------------------------------------------ */

static int answer_of(struct node *node, const struct txn_who *who, const struct txn_place *place,
                     int32_t *out_epoch)
{
    struct coordinator *co = NULL;
    int status = txn_coordinator_of(node, who->id, &co);

    if (co == NULL) {
        return status;
    }
    *out_epoch = coordinator_epoch(co);
    return txns_verify(coordinator_txns(co), who, place);
}

bool txn_verify_begin(struct node *node, struct txn_verify *verify, const struct txn_who *who,
                      const struct txn_place *place, bool add, int *out_status, int32_t *out_epoch)
{
    const struct control_topic *topic = control_topic_named(node->control, CONTROL_TXNS_TOPIC);
    struct buf head = {0};

    if (topic == NULL || who->id.len == 0 || who->id.len > TXN_ID_MAX) {
        *out_status = TERN_EPRODUCERMAPPING;
        return true;
    }
    int32_t index = coordinator_index(node, &coordinator_txns_kind, who->id);
    uint32_t leader = topic->partitions[index].leader;
    if (leader == node->o.node_id && !add) {
        *out_status = answer_of(node, who, place, out_epoch);
        return true;
    }
    verify->seq = ++node->txns->seq;
    verify->until_ms = node_now_ms(node) + TXN_VERIFY_TIMEOUT_MS;
    if (leader == node->o.node_id) {
        *out_status = txn_add_here(node, leader, verify->seq, who, place);
        if (*out_status == 0) {
            queue_push(&node->txns->verifies, &verify->link);
        }
        return *out_status != 0;
    }
    Tern__Mesh__TxnVerify m = TERN__MESH__TXN_VERIFY__INIT;
    m.seq = verify->seq;
    m.transactional_id = (ProtobufCBinaryData){who->id.len, (uint8_t *)(uintptr_t)who->id.base};
    m.producer_id = who->producer_id;
    m.producer_epoch = who->epoch;
    m.topic = (ProtobufCBinaryData){place->topic.len, (uint8_t *)(uintptr_t)place->topic.base};
    m.partition = place->partition;
    m.add = add;
    uint8_t *at = buf_extend(&head, tern__mesh__txn_verify__get_packed_size(&m));
    tern__mesh__txn_verify__pack(&m, at);
    bool sent = leader != 0 &&
                node_send(node, leader, WIRE_CONTROL, MESH_TXN_VERIFY, buf_slice(&head), NULL, 0);
    buf_fini(&head);
    if (!sent) {
        *out_status = TERN_ENOCOORDINATOR;
        return true;
    }
    queue_push(&node->txns->verifies, &verify->link);
    node_txns_wake(node, TXN_MARKS_TICK_MS);
    return false;
}

int64_t txn_marker_at(const struct partition *p, int64_t producer_id)
{
    struct producer_view view;

    return producers_view(p->replica.producers, producer_id, &view) ? view.marker_at : -1;
}

int txn_verified(const struct partition *p, int64_t producer_id, int64_t marker_at, int status,
                 int32_t coordinator_epoch)
{
    struct producer_view view;

    if (status != 0 || !producers_view(p->replica.producers, producer_id, &view)) {
        return status;
    }
    bool stale = coordinator_epoch < view.coordinator_epoch || view.marker_at != marker_at;
    return stale ? TERN_ECONCURRENTTXN : 0;
}

void txn_verifies_tick(struct node_txns *t, uint64_t now_ms)
{
    while (!queue_empty(&t->verifies)) {
        struct txn_verify *v = CONTAINER_OF(t->verifies.next, struct txn_verify, link);
        if (v->until_ms > now_ms) {
            return; /* they are in the order of asking */
        }
        link_remove(&v->link);
        v->done(v, TERN_ENOCOORDINATOR, -1);
    }
}

void txn_verify_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__TxnVerify *m = tern__mesh__txn_verify__unpack(&allocator, head.len, head.base);
    int32_t epoch = -1;

    if (m == NULL) {
        return;
    }
    struct txn_who who = {slice_of(m->transactional_id.data, m->transactional_id.len),
                          m->producer_id, (int16_t)m->producer_epoch};
    struct txn_place place = {slice_of(m->topic.data, m->topic.len), m->partition};
    int status = m->add ? txn_add_here(node, from, m->seq, &who, &place)
                        : answer_of(node, &who, &place, &epoch);
    if (!m->add || status != 0) {
        txn_verify_answer(node, from, m->seq, status, epoch);
    }
}

static void answered(struct node *node, uint64_t seq, int status, int32_t coordinator_epoch)
{
    QUEUE_EACH (each, &node->txns->verifies) {
        struct txn_verify *v = CONTAINER_OF(each, struct txn_verify, link);
        if (v->seq == seq) {
            link_remove(&v->link);
            v->done(v, status, coordinator_epoch);
            return;
        }
    }
}

void txn_verify_answer(struct node *node, uint32_t to, uint64_t seq, int status,
                       int32_t coordinator_epoch)
{
    Tern__Mesh__TxnVerified m = TERN__MESH__TXN_VERIFIED__INIT;
    uint8_t bytes[48];

    if (to == node->o.node_id) {
        answered(node, seq, status, coordinator_epoch);
        return;
    }
    m.seq = seq;
    m.error = status;
    m.coordinator_epoch = coordinator_epoch;
    size_t len = tern__mesh__txn_verified__pack(&m, bytes);
    (void)node_send(node, to, WIRE_CONTROL, MESH_TXN_VERIFIED, slice_of(bytes, len), NULL, 0);
}

void txn_verify_told(struct node *node, uint32_t from, struct slice head, struct arena *arena)
{
    ProtobufCAllocator allocator = mesh_allocator(arena);
    Tern__Mesh__TxnVerified *m = tern__mesh__txn_verified__unpack(&allocator, head.len, head.base);

    (void)from;
    if (m == NULL) {
        return;
    }
    answered(node, m->seq, m->error, m->coordinator_epoch);
}
