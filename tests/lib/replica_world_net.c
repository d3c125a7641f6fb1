/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the nodes: two ordered channels per direction, which know nothing of each
 * other, so that what is said first on one may be heard after what is said later on the other. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/replica_world.h"

static enum world_channel channel_of(enum world_message_kind kind)
{
    return kind >= MESSAGE_PUSH ? CHANNEL_DATA : CHANNEL_CONTROL;
}

/* NULL: the link is down, and what is sent is lost. */
struct world_message *rworld_send_message(struct world *w, uint32_t from, uint32_t to,
                                          enum world_message_kind kind)
{
    CHECK(from != to && to >= 1 && to <= w->node_count);
    enum world_channel channel = channel_of(kind);
    if ((w->channels_up[from][to] & CHANNEL_BIT(channel)) == 0) {
        return NULL;
    }
    struct world_queue *q = &w->queues[from][to][channel];
    if (q->first == q->count) {
        q->first = q->count = 0;
    }
    if (q->count == q->cap) {
        q->cap = q->cap > 0 ? q->cap * 2 : 8;
        q->messages = mem_grow(q->messages, q->cap, sizeof *q->messages);
    }
    struct world_message *m = &q->messages[q->count++];
    memset(m, 0, sizeof *m);
    m->kind = kind;
    return m;
}

/* ---- the end of a turn ----------------------------------------------------------------------- */

static void send_answer(struct world *w, struct world_node *n)
{
    struct world_message *m = rworld_send_message(w, n->id, n->answer_to, MESSAGE_ANSWER);

    bool complaint = n->answer_complaint;

    n->answer_to = 0;
    n->answer_complaint = false;
    if (m == NULL) {
        return;
    }
    m->answer = replica_answer_now(&n->replica);
    m->answer.complaint = complaint;
    history_copy(&m->history, m->answer.history, m->answer.history_count);
    rworld_judge_answer(w, n, &m->answer);
}

static void send_ack(struct world *w, struct world_node *n)
{
    uint32_t to = n->ack_to;

    n->ack_to = 0;
    if (n->replica.promised != n->ack_epoch && !MUTANT(late_ack)) {
        return; /* rule 2: the check is made when the ack is sent */
    }
    rworld_judge_ack(w, n, n->ack_epoch, n->ack_offset);
    struct world_message *m = rworld_send_message(w, n->id, to, MESSAGE_ACK);
    if (m != NULL) {
        m->ack = (struct replica_ack){n->ack_epoch, n->replica.incarnation, n->ack_offset};
    }
}

static void send_mark(struct world *w, struct world_node *n, uint32_t to)
{
    struct replica_push head;

    if (!replica_push_head(&n->replica, to, &head)) {
        return;
    }
    struct world_message *m = rworld_send_message(w, n->id, to, MESSAGE_MARK);
    if (m != NULL) {
        m->epoch = head.epoch;
        m->hw = head.hw;
        m->log_start = head.log_start;
    }
    replica_pushed(&n->replica, to, head.base, head.hw);
}

/* Batches of n's log from `offset` up to `end`, at most as many as fit; a random part of them. */
static size_t take_batches(struct world *w, const struct world_node *n, int64_t offset, int64_t end,
                           uint16_t *out)
{
    size_t most =
        w->small_parts ? 1 + (size_t)prng_below(&w->prng, WORLD_PUSH_MAX) : WORLD_PUSH_MAX;
    size_t count = 0;

    if (offset < n->log.start) {
        return 0;
    }
    while (count < most && offset < end && !n->lost[offset]) {
        out[count] = n->log.at[offset];
        if (w->batches[out[count]].info.base_offset != offset) {
            rworld_break(w, "node %u sends from %lld, inside a batch", n->id, (long long)offset);
            return count;
        }
        offset = w->batches[out[count]].info.last_offset + 1;
        count++;
    }
    return count;
}

static void send_pushes(struct world *w, struct world_node *n, uint32_t to)
{
    struct replica_push head;
    bool first = true;

    while (replica_push_head(&n->replica, to, &head)) {
        const struct world_queue *q = &w->queues[n->id][to][CHANNEL_DATA];
        uint16_t batches[WORLD_PUSH_MAX];
        size_t count = take_batches(w, n, head.base, n->replica.leo, batches);
        if (count == 0 && (!first || head.base < n->replica.leo)) {
            return; /* nothing, or what comes next is damaged */
        }
        if (count > 0 && w->push_window > 0 && q->count - q->first >= w->push_window) {
            n->push_to |= NODE_BIT(to);
            return;
        }
        struct world_message *m = rworld_send_message(w, n->id, to, MESSAGE_PUSH);
        if (m != NULL) {
            m->push = head;
            memcpy(m->batches, batches, sizeof batches);
            m->batch_count = count;
        }
        int64_t next = count > 0 ? w->batches[batches[count - 1]].info.last_offset + 1 : head.base;
        replica_pushed(&n->replica, to, next, head.hw);
        if (w->small_parts && prng_chance(&w->prng, 1, 4)) {
            n->push_to |= NODE_BIT(to); /* the rest another time */
            return;
        }
        if (count == 0) {
            return;
        }
        first = false;
    }
}

void rworld_turn(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    if (!n->up) {
        return;
    }
    uint64_t fence_to = n->fence_to;
    uint64_t push_to = n->push_to;
    uint64_t mark_to = n->mark_to;
    n->fence_to = n->push_to = n->mark_to = 0;
    for (uint32_t to = 1; to <= w->node_count; to++) {
        if ((fence_to & NODE_BIT(to)) != 0 && n->replica.role != REPLICA_FOLLOWING) {
            struct world_message *m = rworld_send_message(w, node, to, MESSAGE_FENCE);
            if (m != NULL) {
                m->epoch = n->replica.spec.epoch;
            }
        }
    }
    if (n->answer_to != 0) {
        send_answer(w, n);
    }
    if (n->ack_to != 0) {
        send_ack(w, n);
    }
    for (uint32_t to = 1; to <= w->node_count; to++) {
        if ((push_to & NODE_BIT(to)) != 0) {
            send_pushes(w, n, to);
        }
        if ((mark_to & NODE_BIT(to)) != 0) {
            send_mark(w, n, to);
        }
    }
}

/* ---- delivery -------------------------------------------------------------------------------- */

static size_t infos_of(const struct world *w, const struct world_message *m, struct batch_info *out)
{
    for (size_t i = 0; i < m->batch_count; i++) {
        out[i] = w->batches[m->batches[i]].info;
    }
    return m->batch_count;
}

static void message_fini(struct world_message *m)
{
    history_fini(&m->history);
    buf_fini(&m->producers);
}

static void answer_producers(struct world *w, struct world_node *n, uint32_t to,
                             const struct world_message *ask)
{
    struct buf producers = {0};
    struct world_message *m = NULL;

    if (ask->offset >= n->replica.log_start && ask->offset <= n->replica.leo &&
        replica_producers_before(&n->replica, ask->offset, SIZE_MAX, &producers)) {
        m = rworld_send_message(w, n->id, to, MESSAGE_COPIED);
    }
    if (m == NULL) {
        buf_fini(&producers);
        return;
    }
    m->epoch = ask->epoch;
    m->offset = ask->offset;
    m->wants_producers = true;
    m->producers = producers;
}

static void answer_copy(struct world *w, struct world_node *n, uint32_t to,
                        const struct world_message *ask)
{
    if (!replica_may_copy(&n->replica, ask->epoch)) {
        return;
    }
    if (ask->wants_producers) {
        answer_producers(w, n, to, ask);
        return;
    }
    uint16_t batches[WORLD_PUSH_MAX];
    size_t count = take_batches(w, n, ask->offset, n->replica.leo_durable, batches);
    struct world_message *m = rworld_send_message(w, n->id, to, MESSAGE_COPIED);
    if (m == NULL) {
        return;
    }
    m->epoch = ask->epoch;
    m->offset = ask->offset;
    memcpy(m->batches, batches, sizeof batches);
    m->batch_count = count;
    w->counters.copies++;
}

static void tell_message(struct world *w, uint32_t from, uint32_t to, const struct world_message *m)
{
    const struct replica_push *p = &m->push;
    const struct replica_answer *a = &m->answer;

    if (!w->story) {
        return;
    }
    switch (m->kind) {
    case MESSAGE_FENCE:
        rworld_story(w, "%u -> %u: fence, epoch %d", from, to, m->epoch);
        break;
    case MESSAGE_ANSWER:
        rworld_story(w,
                     "%u -> %u: answer%s: promised %d, incarnation %u, synced %d, log %lld..%lld",
                     from, to, a->complaint ? " (complaint)" : "", a->epoch, a->incarnation,
                     a->synced, (long long)a->log_start, (long long)a->leo);
        break;
    case MESSAGE_ACK:
        rworld_story(w, "%u -> %u: ack, epoch %d, up to %lld", from, to, m->ack.epoch,
                     (long long)m->ack.leo);
        break;
    case MESSAGE_MARK:
        rworld_story(w, "%u -> %u: mark, epoch %d, hw %lld", from, to, m->epoch, (long long)m->hw);
        break;
    case MESSAGE_COPY:
        rworld_story(w, "%u -> %u: copy to me%s %lld", from, to,
                     m->wants_producers ? " what producers had sent before" : " from",
                     (long long)m->offset);
        break;
    case MESSAGE_PUSH:
        rworld_story(w,
                     "%u -> %u: push%s, epoch %d, base %lld, %zu batches, initial end %lld, "
                     "hw %lld, log start %lld",
                     from, to,
                     p->truncate  ? " (cut)"
                     : p->restart ? " (restart)"
                                  : "",
                     p->epoch, (long long)p->base, m->batch_count, (long long)p->initial_end,
                     (long long)p->hw, (long long)p->log_start);
        break;
    case MESSAGE_COPIED:
        rworld_story(w, "%u -> %u: copied from %lld: %zu batches", from, to, (long long)m->offset,
                     m->batch_count);
        break;
    }
}

static void arrive(struct world *w, struct world_node *n, uint32_t from, struct world_message *m)
{
    struct replica *r = &n->replica;
    struct replica_out out = {0};
    struct batch_info infos[WORLD_PUSH_MAX];
    size_t count = infos_of(w, m, infos);

    switch (m->kind) {
    case MESSAGE_FENCE:
        replica_on_fence(r, w->now_ms, from, m->epoch, &out);
        break;
    case MESSAGE_ANSWER:
        m->answer.history = m->history.entries;
        replica_on_answer(r, w->now_ms, from, &m->answer, &out);
        break;
    case MESSAGE_ACK:
        replica_on_ack(r, w->now_ms, from, &m->ack, &out);
        break;
    case MESSAGE_MARK:
        replica_on_mark(r, from, m->epoch, m->hw, m->log_start, &out);
        break;
    case MESSAGE_COPY:
        answer_copy(w, n, from, m);
        break;
    case MESSAGE_PUSH:
        m->push.batches = infos;
        m->push.batch_count = count;
        m->push.producers = buf_slice(&m->producers);
        replica_on_push(r, w->now_ms, from, &m->push, &out);
        break;
    case MESSAGE_COPIED:
        if (m->wants_producers) {
            replica_on_copied_producers(r, w->now_ms, from, m->epoch, m->offset,
                                        buf_slice(&m->producers), &out);
        } else {
            replica_on_copied(r, w->now_ms, from, m->epoch, infos, count, &out);
        }
        break;
    }
    rworld_perform(w, n, &out, m->batches, count);
}

bool rworld_deliver(struct world *w, uint32_t from, uint32_t to, enum world_channel channel)
{
    struct world_queue *q = &w->queues[from][to][channel];

    if (q->first == q->count) {
        return false;
    }
    struct world_message m = q->messages[q->first++];
    tell_message(w, from, to, &m);
    CHECK(w->nodes[to].up);
    arrive(w, &w->nodes[to], from, &m);
    message_fini(&m);
    return true;
}

void rworld_refuse(struct world *w, uint32_t from, uint32_t to, enum world_channel channel)
{
    struct world_queue *q = &w->queues[from][to][channel];

    if (q->first == q->count) {
        return;
    }
    struct world_message *m = &q->messages[q->count - 1];
    bool has_batches = m->kind == MESSAGE_PUSH && !m->push.truncate && !m->push.restart;
    if (has_batches || m->kind == MESSAGE_MARK) {
        return;
    }
    rworld_story(w, "%u -> %u: refused:", from, to);
    tell_message(w, from, to, m);
    message_fini(m);
    q->count--;
}

/* ---- links ----------------------------------------------------------------------------------- */

bool rworld_linked(const struct world *w, uint32_t a, uint32_t b)
{
    return w->channels_up[a][b] == CHANNELS_ALL;
}

static void lose(struct world *w, uint32_t from, uint32_t to, unsigned channels)
{
    for (int c = 0; c < CHANNELS; c++) {
        struct world_queue *q = &w->queues[from][to][c];
        for (; q->first < q->count && (channels & CHANNEL_BIT(c)) != 0; q->first++) {
            message_fini(&q->messages[q->first]);
        }
    }
}

void rworld_link_down(struct world *w, uint32_t a, uint32_t b, unsigned channels)
{
    rworld_story(w, "the link %u - %u breaks%s", a, b,
                 channels == CHANNELS_ALL                   ? ""
                 : channels == CHANNEL_BIT(CHANNEL_CONTROL) ? " (control)"
                                                            : " (data)");
    if (rworld_linked(w, a, b)) {
        w->nodes[a].down_due |= NODE_BIT(b);
        w->nodes[b].down_due |= NODE_BIT(a);
    }
    w->channels_up[a][b] &= ~channels;
    w->channels_up[b][a] &= ~channels;
    lose(w, a, b, channels);
    lose(w, b, a, channels);
}

void rworld_tell_down(struct world *w, uint32_t node, uint32_t peer)
{
    struct world_node *n = &w->nodes[node];

    if ((n->down_due & NODE_BIT(peer)) == 0) {
        return;
    }
    n->down_due &= ~NODE_BIT(peer);
    if (n->up) {
        rworld_story(w, "node %u hears that %u is gone", node, peer);
        replica_peer_down(&n->replica, peer);
    }
}

static void tell_up(struct world *w, uint32_t node, uint32_t peer)
{
    struct world_node *n = &w->nodes[node];
    struct replica_out out = {0};

    rworld_tell_down(w, node, peer);
    replica_peer_up(&n->replica, w->now_ms, peer, &out);
    rworld_perform(w, n, &out, NULL, 0);
}

void rworld_link_up(struct world *w, uint32_t a, uint32_t b)
{
    CHECK(!rworld_linked(w, a, b) && w->nodes[a].up && w->nodes[b].up);
    rworld_story(w, "the link %u - %u is back", a, b);
    w->channels_up[a][b] = w->channels_up[b][a] = CHANNELS_ALL;
    tell_up(w, a, b);
    tell_up(w, b, a);
}
