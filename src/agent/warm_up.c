/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that carried next to nothing has a congestion window of some ten packets, and TCP opens
 * it by a factor of two per round trip. A node that is about to lead for a region that died sends all
 * that waited by such a connection: measured over 55 ms, 200 ms of a failover; over 145 ms, where the
 * controller has to be elected first and megabytes wait by then, more than a second. So, when a peer
 * falls silent or its connection ends, the others are sent a frame that says nothing, and again: a
 * window that is not used is halved with each retransmission time-out. */
#include <string.h>

#include "agent/inner.h"

#define WARM_UP_BYTES      ((size_t)208 << 10) /* 14 + 28 + 56 + 112 KiB: four round trips */
#define WARM_UP_SILENCE_MS (3 * HEARTBEAT_MS)
#define WARM_UP_UNTIL_MS   8000 /* of silence: afterwards whoever had to move has moved */
#define WARM_UP_EVERY_MS   400

/* Heard a while ago. */
static bool falls_silent(const struct node *node, uint32_t id)
{
    uint64_t ms = peer_silent_us(node, id) / 1000;

    return node->peers[id].heard_us != 0 && ms >= WARM_UP_SILENCE_MS && ms < WARM_UP_UNTIL_MS;
}

static bool is_cold(const struct node *node, uint32_t id)
{
    const struct peer *peer = &node->peers[id];
    uint64_t pushed = peer->flows[WIRE_DATA].pushed_bytes - peer->warm_up_seen;

    return peer->up[WIRE_DATA] && peer_reachable(node, id) && !falls_silent(node, id) &&
           pushed < WARM_UP_BYTES / 4 &&
           node->o.wire->ops->queued_bytes(node->o.wire, id, WIRE_DATA) == 0;
}

void warm_up(struct node *node, uint64_t now_us)
{
    struct chunk nothing = {0};

    if (node->stopping ||
        (node->warmed_us != 0 && now_us - node->warmed_us < WARM_UP_EVERY_MS * UINT64_C(1000))) {
        return;
    }
    node->warmed_us = now_us;
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (id == node->o.node_id || !is_cold(node, id)) {
            continue;
        }
        if (nothing.blob == NULL) {
            nothing.blob = blob_new(WARM_UP_BYTES);
            memset(nothing.blob->bytes, 0, WARM_UP_BYTES);
            nothing.base = nothing.blob->bytes;
            nothing.len = WARM_UP_BYTES;
        }
        (void)node_send(node, id, WIRE_DATA, MESH_WARM_UP, (struct slice){0}, &nothing, 1);
    }
    chunk_drop(&nothing);
}

void warm_up_tick(struct node *node, uint64_t now_us)
{
    bool silent = false;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        silent = silent || falls_silent(node, id);
    }
    if (silent) {
        warm_up(node, now_us);
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        node->peers[id].warm_up_seen = node->peers[id].flows[WIRE_DATA].pushed_bytes;
    }
}
