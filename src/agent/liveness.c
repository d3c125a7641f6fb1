/* SPDX-License-Identifier: Apache-2.0 */
/* Who is there: heartbeats on the control channel, round trips, and the suspicion time D that is
 * measured, not configured (docs/ARCHITECTURE.md). A closed connection is a hint, never proof; if its
 * machine says that nothing listens there any more, D is not waited for. */
#include <string.h>

#include "agent/inner.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define SUSPICION_MIN_MS 500
#define SUSPICION_MAX_MS 3000
#define ELECTION_MIN_MS  500
#define ELECTION_MAX_MS  10000
#define ELECTION_TUNE_US 2000000
#define AWAY_US          250000 /* ticks and heartbeats come every 50 ms and less */

/* Where the value stands in the sorted ones, or would. */
static uint32_t place(const struct samples *s, uint32_t count, uint32_t value)
{
    uint32_t at = 0;

    while (at < count && s->sorted[at] < value) {
        at++;
    }
    return at;
}

void samples_add(struct samples *s, uint32_t value)
{
    uint32_t count = s->count;
    uint32_t at;

    if (count == SAMPLES) {
        at = place(s, count, s->values[s->next]);
        count--;
        memmove(&s->sorted[at], &s->sorted[at + 1], (count - at) * sizeof s->sorted[0]);
    }
    at = place(s, count, value);
    memmove(&s->sorted[at + 1], &s->sorted[at], (count - at) * sizeof s->sorted[0]);
    s->sorted[at] = value;
    s->count = count + 1;
    s->values[s->next] = value;
    s->next = (s->next + 1) % SAMPLES;
}

uint32_t samples_at(const struct samples *s, uint32_t per_mille)
{
    uint32_t index = (s->count * per_mille) / 1000;

    if (s->count == 0) {
        return 0;
    }
    return s->sorted[index < s->count ? index : s->count - 1];
}

static uint32_t measured_ms(const struct peer *peer)
{
    uint64_t us =
        3 * (uint64_t)samples_at(&peer->rtt_us, 500) + 4 * (uint64_t)samples_at(&peer->gap_us, 999);
    uint64_t ms = us / 1000;

    if (ms < SUSPICION_MIN_MS) {
        return SUSPICION_MIN_MS;
    }
    return ms > SUSPICION_MAX_MS ? SUSPICION_MAX_MS : (uint32_t)ms;
}

/* NULL: the largest of all peers, which is what bounds a whole partition. */
uint32_t peer_suspicion_ms(const struct node *node, const struct peer *peer)
{
    uint32_t most = SUSPICION_MIN_MS;

    if (node->o.suspicion_ms != 0) {
        return node->o.suspicion_ms;
    }
    if (peer != NULL) {
        return measured_ms(peer);
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        uint32_t its = node->peers[id].heard_us != 0 ? measured_ms(&node->peers[id]) : 0;
        most = its > most ? its : most;
    }
    return most;
}

/* This process itself was away, stopped or starved: what it has not heard meanwhile says nothing
 * about the others. A controller that wakes up would fence them all. */
void liveness_alive(struct node *node, uint64_t now_us)
{
    if (node->alive_us != 0 && now_us - node->alive_us > AWAY_US) {
        trace_warn("event=was_away ms=%llu", (unsigned long long)(now_us - node->alive_us) / 1000);
        node->awake_us = now_us;
    }
    node->alive_us = now_us;
}

uint64_t peer_silent_us(const struct node *node, uint32_t id)
{
    uint64_t heard_us = node->peers[id].heard_us;

    heard_us = heard_us != 0 ? heard_us : node->started_us;
    heard_us = heard_us > node->awake_us ? heard_us : node->awake_us;
    return clock_now_us(node->o.clock) - heard_us;
}

bool peer_reachable(const struct node *node, uint32_t id)
{
    const struct peer *peer = &node->peers[id];

    if (id == node->o.node_id) {
        return true;
    }
    return peer->heard_us != 0 && !peer->gone &&
           peer_silent_us(node, id) < (uint64_t)peer_suspicion_ms(node, peer) * 1000;
}

void peer_is_gone(struct node *node, uint32_t id)
{
    struct peer *peer = &node->peers[id];

    /* Who was never heard may just not have been started yet: it has D to come. */
    if (peer->gone || peer->heard_us == 0) {
        return;
    }
    peer->gone = true;
    trace_warn("event=peer_gone node=%u silent_ms=%llu what=\"nothing listens at its address\"", id,
               (unsigned long long)(peer_silent_us(node, id) / 1000));
}

node_set liveness_reachable(const struct node *node)
{
    node_set set = NODE_BIT(node->o.node_id);

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (node->peers[id].heard_us != 0 && peer_reachable(node, id)) {
            set |= NODE_BIT(id);
        }
    }
    return set;
}

bool liveness_behind(const struct node *node)
{
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (node->peers[id].heard_us != 0 &&
            node->peers[id].applied_index > node->control->applied_index) {
            return true;
        }
    }
    return clock_now_us(node->o.clock) - node->heartbeat_us > 3 * (uint64_t)HEARTBEAT_MS * 1000;
}

/* A deposed leader that has not heard of it is behind: one of those who have would tell. Asked of
 * round trips, since what comes in now may have been sent long ago. */
bool partition_leads_since(const struct partition *p, uint64_t since_us)
{
    const struct node *node = p->node;
    const struct replica_spec *spec = &p->replica.spec;
    const struct control_topic *topic = control_topic_by_id(node->control, p->key.topic_id);
    node_set heard = NODE_BIT(node->o.node_id);

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct peer *peer = &node->peers[id];
        if (peer->heard_us == 0 || peer->echoed_us <= since_us) {
            continue;
        }
        if (peer->applied_index > node->control->applied_index) {
            return false;
        }
        heard |= NODE_BIT(id);
    }
    bool leased = topic != NULL && topic->policy.mode == POLICY_ASYNC &&
                  topic->policy.failover == POLICY_FAILOVER_AUTO;
    return replica_serves(&p->replica) && rule_can_commit(&spec->config, spec, heard) &&
           (!leased || lease_valid(node));
}

/* A write that has not returned may still do so, so the node lives on. Sync topics led here go on by
 * the disks of the other regions, async ones wait: so it says that it is as good as gone, and the
 * controller fences it. */
static void watch_disk(struct node *node, uint64_t now_us)
{
    uint64_t ms = store_write_age_ms(node->store);
    uint64_t patience_ms = 2 * (uint64_t)peer_suspicion_ms(node, NULL);
    /* After standing still itself the node has not looked yet whether it returned. */
    bool hangs = ms >= patience_ms && now_us - node->awake_us >= patience_ms * 1000;

    if (hangs && node->disk_hangs_ms == 0) {
        trace_warn("event=disk_hangs ms=%llu what=\"a write does not return\"",
                   (unsigned long long)ms);
    } else if (!hangs && node->disk_hangs_ms != 0) {
        trace_info("event=disk_is_back");
    }
    ms = ms < UINT32_MAX ? ms : UINT32_MAX;
    if (hangs && node->disk_hangs_ms == 0) {
        /* It does not hear who leads now: its own log of the control quorum waits for this disk. */
        conns_drop(node, DISK_HANGS_CLOSES);
    }
    node->disk_hangs_ms = hangs ? (uint32_t)ms : 0;
}

static void send_heartbeat(struct node *node, uint32_t to, uint64_t now_us,
                           const struct quorum_status *status)
{
    struct peer *peer = &node->peers[to];
    Tern__Mesh__Heartbeat h = TERN__MESH__HEARTBEAT__INIT;
    uint8_t room[160];

    h.sent_us = now_us;
    h.echo_us = peer->heard_sent_us;
    h.echo_held_us = peer->heard_sent_us != 0 ? now_us - peer->heartbeat_us : 0;
    h.start_number = node->start_number;
    h.applied_index = node->control->applied_index;
    h.commit_index = status->commit_index;
    h.term = status->term;
    h.ready = node_is_current(node) && !node->stopping;
    h.full = !store_writable(node->store);
    h.damaged = store_damaged(node->store);
    h.disk_hangs_ms = node->disk_hangs_ms;
    h.controller = status->controller;
    h.lease_seq = lease_ask(node, now_us);
    h.lease_granted = status->controller ? peer->lease_granted : 0;
    h.interval_ms = HEARTBEAT_MS;
    CHECK(tern__mesh__heartbeat__get_packed_size(&h) <= sizeof room);
    size_t size = tern__mesh__heartbeat__pack(&h, room);
    (void)node_send(node, to, WIRE_CONTROL, MESH_HEARTBEAT, slice_of(room, size), NULL, 0);
}

/* max(500 ms, 10 x the largest RTT p50): voters that are far apart take longer to hear each other. A
 * change below a fifth is left alone. */
static void tune_election(struct node *node, const struct quorum_status *status)
{
    uint32_t rtt_us = 0;

    if (node->o.election_ms != 0 || node->quorum == NULL) {
        return;
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        uint32_t p50 = samples_at(&node->peers[id].rtt_us, 500);
        rtt_us = p50 > rtt_us ? p50 : rtt_us;
    }
    uint32_t wanted = rtt_us / 100 > ELECTION_MIN_MS ? rtt_us / 100 : ELECTION_MIN_MS;
    wanted = wanted < ELECTION_MAX_MS ? wanted : ELECTION_MAX_MS;
    uint32_t now = status->election_ms;
    if (now != 0 && (wanted > now + now / 5 || wanted + now / 5 < now)) {
        trace_info("event=election_timeout from_ms=%u to_ms=%u largest_rtt_p50_us=%u", now, wanted,
                   rtt_us);
        quorum_set_election_ms(node->quorum, wanted);
    }
}

void liveness_tick(struct node *node, uint64_t now_us)
{
    struct quorum_status status;

    liveness_alive(node, now_us);
    if (now_us - node->heartbeat_us < (uint64_t)HEARTBEAT_MS * 1000) {
        return;
    }
    node->heartbeat_us = now_us;
    watch_disk(node, now_us);
    memset(&status, 0, sizeof status);
    if (node->quorum != NULL) {
        quorum_status(node->quorum, &status);
    }
    if (now_us - node->tuned_us >= ELECTION_TUNE_US) {
        node->tuned_us = now_us;
        tune_election(node, &status);
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (node->peers[id].up[WIRE_CONTROL]) {
            send_heartbeat(node, id, now_us, &status);
        }
    }
    warm_up_tick(node, now_us);
}

void liveness_heartbeat(struct node *node, uint32_t from, struct slice head)
{
    Tern__Mesh__Heartbeat *h = tern__mesh__heartbeat__unpack(NULL, head.len, head.base);
    struct peer *peer = &node->peers[from];
    uint64_t now_us = clock_now_us(node->o.clock);

    if (h == NULL) {
        trace_warn("event=mesh_malformed from=%u type=heartbeat", from);
        return;
    }
    liveness_alive(node, now_us);
    if (peer->heard_sent_us != 0 && peer->heartbeat_us >= node->awake_us) {
        uint64_t gap = now_us - peer->heartbeat_us;
        uint64_t interval = (uint64_t)h->interval_ms * 1000;
        /* Beyond what D may ever be it was an absence; as jitter it would hold D at its maximum,
         * for all peers, until it has left the samples. */
        if (gap < SUSPICION_MAX_MS * UINT64_C(1000)) {
            samples_add(&peer->gap_us, gap > interval ? (uint32_t)(gap - interval) : 0);
        }
    }
    if (h->echo_us != 0 && now_us > h->echo_us + h->echo_held_us) {
        uint64_t rtt = now_us - h->echo_us - h->echo_held_us;
        /* What waited behind a cut tells how long that was, and there is a whole queue of it; what
         * waited in our own sockets while we stood still, how long we did. */
        if (rtt < SUSPICION_MAX_MS * UINT64_C(1000) && h->echo_us >= node->awake_us) {
            samples_add(&peer->rtt_us, (uint32_t)rtt);
        }
    }
    peer->echoed_us = h->echo_us > peer->echoed_us ? h->echo_us : peer->echoed_us;
    peer->heard_sent_us = h->sent_us;
    peer->heartbeat_us = now_us;
    peer->start_number = h->start_number;
    peer->applied_index = h->applied_index;
    peer->commit_index = h->commit_index;
    peer->term = h->term;
    peer->ready = h->ready;
    peer->full = h->full;
    peer->damaged = h->damaged;
    peer->disk_hangs_ms = h->disk_hangs_ms;
    peer->controller = h->controller;
    peer->lease_seq = h->lease_seq;
    lease_granted(node, h->lease_granted);
    tern__mesh__heartbeat__free_unpacked(h, NULL);
}
