/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/nearest.h"

#include <string.h>

/* 0: elsewhere; 1: the same region; 2: the same rack of it. */
static unsigned nearness(const struct control *control, uint32_t id, struct slice rack)
{
    const struct control_node *node = &control->nodes[id];
    struct slice region = slice_text(control->regions[node->region].name);
    struct slice own = slice_text(node->rack);

    if (node->id == 0 || rack.len == 0) {
        return 0;
    }
    if (slice_equal(rack, own)) {
        return 2;
    }
    if (slice_equal(rack, region)) {
        return 1;
    }
    if (rack.len <= region.len || memcmp(rack.base, region.base, region.len) != 0 ||
        rack.base[region.len] != '/') {
        return 0;
    }
    struct slice rest = slice_of(rack.base + region.len + 1, rack.len - region.len - 1);
    return slice_equal(rest, own) ? 2 : 1;
}

int nearest_region(const struct control *control, struct slice rack)
{
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (nearness(control, id, rack) > 0) {
            return (int)control->nodes[id].region;
        }
    }
    return -1;
}

static bool may_serve(const struct node *node, uint32_t id)
{
    const struct control_node *n = &node->control->nodes[id];

    return n->id != 0 && !n->fenced && !n->removed && !n->forgot && n->kafka_port != 0 &&
           peer_reachable(node, id);
}

enum nearest nearest_reader(const struct partition *p, struct slice rack, int64_t offset,
                            uint32_t *out_node)
{
    const struct node *node = p->node;
    const struct replica *r = &p->replica;
    uint64_t now_ms = node_now_ms(node);
    unsigned best = nearness(node->control, node->o.node_id, rack);
    bool settles = now_ms - r->role_since_ms < NEAREST_SETTLE_MS;
    uint32_t found[REPLICA_MEMBERS_MAX];
    uint32_t count = 0;
    bool soon = false;

    for (size_t i = 0; i < r->peer_count; i++) {
        const struct replica_peer *peer = &r->peers[i];
        unsigned near = nearness(node->control, peer->node, rack);
        if (near == 0 || near < best || (near == best && count == 0 && !soon)) {
            continue; /* not nearer than the leader */
        }
        if (!may_serve(node, peer->node)) {
            continue;
        }
        bool level = replica_lag_ms(r, peer->node, now_ms) <= NEAREST_LAG_MS &&
                     offset >= r->log_start && offset >= peer->log_start && offset <= peer->held;
        if (!level && !settles) {
            continue;
        }
        if (near > best) {
            best = near;
            count = 0;
            soon = false;
        }
        soon = soon || !level;
        if (level) {
            found[count++] = peer->node;
        }
    }
    if (count == 0) {
        return soon ? NEAREST_SOON : NEAREST_HERE;
    }
    /* The partitions of a topic are spread over the copies of a region. */
    *out_node = found[(uint32_t)p->key.partition % count];
    return NEAREST_OTHER;
}

bool nearest_is_stale(struct partition *p)
{
    const struct node *node = p->node;
    const struct replica *r = &p->replica;
    const struct control_partition *cp =
        control_partition(node->control, p->key.topic_id, p->key.partition);
    uint64_t now_ms = node_now_ms(node);

    if (cp == NULL || cp->leader == 0 || cp->leader == node->o.node_id) {
        return false; /* there is nobody to send them to */
    }
    bool follows = r->role == REPLICA_FOLLOWING && r->leader == cp->leader &&
                   r->synced_durable == r->promised && peer_reachable(node, cp->leader);
    if (now_ms - p->shown_asked_ms > 2 * NEAREST_STALE_MS ||
        (follows && r->hw >= p->shown_wanted)) {
        p->shown_ms = now_ms;
        p->shown_wanted = r->leader_hw; /* what it was told of by now, it must show in time */
    }
    p->shown_asked_ms = now_ms;
    return now_ms - p->shown_ms >= NEAREST_STALE_MS;
}
