/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of async leaders with `failover: auto` (replication.md, rule 9). A node asks with its
 * heartbeats and counts from *sending* the request, by its monotonic clock; the controller grants
 * only after a majority has confirmed its term since the request arrived. One lease for a whole
 * node. */
#include "agent/api.h"
#include "agent/group.h"
#include "agent/inner.h"

#define ASKED_KEPT 64 /* requests whose sending times are remembered */

struct lease {
    struct node *node;
    uint64_t seq;
    uint64_t sent_us[ASKED_KEPT];
    uint64_t until_us;
    bool lapsed;
    /* Controller: one confirmation of the term at a time, for all that had asked before. */
    struct quorum_read read;
    bool reading;
    uint64_t confirming[WIRE_NODES_MAX];
};

struct lease *lease_new(struct node *node)
{
    struct lease *lease = mem_new(sizeof *lease);

    lease->node = node;
    return lease;
}

void lease_free(struct lease *lease)
{
    free(lease);
}

bool lease_valid(const struct node *node)
{
    return clock_now_us(node->o.clock) < node->lease->until_us;
}

/* Does anything here need a lease? */
static bool wanted(const struct node *node)
{
    for (struct control_topic *t = node->control->by_id; t != NULL; t = t->by_id.next) {
        if (t->policy.mode == POLICY_ASYNC && t->policy.failover == POLICY_FAILOVER_AUTO) {
            return true;
        }
    }
    return false;
}

uint64_t lease_ask(struct node *node, uint64_t now_us)
{
    struct lease *lease = node->lease;

    if (now_us - lease->sent_us[lease->seq % ASKED_KEPT] >= 1000 && wanted(node)) {
        lease->seq++;
        lease->sent_us[lease->seq % ASKED_KEPT] = now_us;
    }
    return lease->seq;
}

void lease_granted(struct node *node, uint64_t seq)
{
    struct lease *lease = node->lease;

    if (seq == 0 || seq > lease->seq || lease->seq - seq >= ASKED_KEPT) {
        return;
    }
    uint64_t until_us = lease->sent_us[seq % ASKED_KEPT] + (uint64_t)node->o.lease_ms * 1000;
    if (until_us <= lease->until_us) {
        return;
    }
    bool was = lease_valid(node);
    lease->until_us = until_us;
    if (was || !lease_valid(node)) {
        return;
    }
    /* Acknowledgements that waited for it. */
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        if (!queue_empty(&p->appends)) {
            produce_progress(p);
        }
        coordinator_poke(p);
    }
}

bool lease_may(const struct node *node, uint32_t id)
{
    struct decide_lease asks = {.node = id,
                                .self = id == node->o.node_id,
                                .applied_index = node->peers[id].applied_index,
                                .lossy_index = node->lossy_index};

    return decide_may_lease(node->control, controller_pending(node), &asks);
}

static void confirmed(struct quorum_read *read, int status)
{
    struct lease *lease = CONTAINER_OF(read, struct lease, read);
    struct node *node = lease->node;
    uint64_t now_ms = node_now_ms(node);

    lease->reading = false;
    if (status != 0 || !node_is_controller(node)) {
        return;
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        struct peer *peer = &node->peers[id];
        if (lease->confirming[id] > peer->lease_granted && lease_may(node, id)) {
            peer->lease_granted = lease->confirming[id];
            peer->lease_granted_ms = now_ms;
        }
    }
    lease_granted(node, node->peers[node->o.node_id].lease_granted);
}

void lease_forget(struct node *node, uint32_t peer)
{
    node->peers[peer].lease_seq = 0;
    node->peers[peer].lease_granted = 0;
    node->lease->confirming[peer] = 0;
}

void lease_tick(struct node *node)
{
    struct lease *lease = node->lease;
    bool any = false;

    if (!node_is_controller(node) || lease->reading) {
        return;
    }
    node->peers[node->o.node_id].lease_seq = lease_ask(node, clock_now_us(node->o.clock));
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct peer *peer = &node->peers[id];
        bool may = lease_may(node, id);
        lease->confirming[id] = may ? peer->lease_seq : 0;
        any = any || (may && peer->lease_seq > peer->lease_granted);
    }
    if (any) {
        lease->reading = true;
        lease->read.done = confirmed;
        quorum_read_index(node->quorum, &lease->read);
    }
}
