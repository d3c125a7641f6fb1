/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a story of one partition, and what may happen in it. The judge of the world looks on;
 * a story adds what it expects itself. */
#pragma once

#include <stdlib.h>

#include "tests/lib/replica_world.h"
#include "tests/lib/test.h"

#define N1 NODE_BIT(1)
#define N2 NODE_BIT(2)
#define N3 NODE_BIT(3)

static const int8_t regions[] = {0, 1, 2, 3, 4};
static struct world w;

static inline void begin_with(uint32_t nodes, struct replica_rule rule, uint32_t leader)
{
    rworld_init(&w, 1, nodes, regions);
    w.story = getenv("REPLICA_STORY") != NULL;
    (void)rworld_assign(&w, leader, rule, false);
    rworld_settle(&w);
    assert_int_equal(rworld_leader(&w), leader);
}

static inline void begin(void)
{
    begin_with(3, rworld_rule(N1 | N2 | N3, 2, -1), 1);
}

static inline void good(void)
{
    if (w.broken[0] != 0) {
        fail_msg("%s", w.broken);
    }
}

static inline void end(void)
{
    good();
    rworld_fini(&w);
}

static inline int64_t log_end(uint32_t node)
{
    return w.nodes[node].log.end;
}

static inline int64_t disk_end(uint32_t node)
{
    return w.nodes[node].disk.log.end;
}

/* A client sends a new batch; it is left alone with what comes of it. */
static inline void append(uint32_t node)
{
    rworld_client_timeout(&w, 2);
    assert_int_equal(rworld_send(&w, 2, node), 0);
}

static inline void cut_off(uint32_t node)
{
    for (uint32_t peer = 1; peer <= w.node_count; peer++) {
        if (peer != node && w.channels_up[node][peer] != 0) {
            rworld_link_down(&w, node, peer, CHANNELS_ALL);
        }
    }
}

static inline void join(uint32_t node)
{
    for (uint32_t peer = 1; peer <= w.node_count; peer++) {
        if (peer != node && !rworld_linked(&w, node, peer) && w.nodes[peer].up) {
            rworld_link_up(&w, node, peer);
        }
    }
}

/* What the control quorum has decided reaches the node, and its disk. */
static inline void learn(uint32_t node)
{
    while (rworld_apply(&w, node)) {
    }
    rworld_writes_done(&w, node);
}

static inline void restart(uint32_t node)
{
    rworld_crash(&w, node, 0);
    rworld_start(&w, node);
}

static inline void rejoin(uint32_t node, uint32_t next_leader)
{
    rworld_register(&w, node, next_leader);
    join(node);
    rworld_settle(&w);
}

static inline void pass_time(uint64_t millis)
{
    for (uint64_t i = 0; i < millis; i += 100) {
        w.now_ms += 100;
        for (uint32_t node = 1; node <= w.node_count; node++) {
            rworld_tick(&w, node);
        }
        rworld_settle(&w);
    }
}

static inline uint32_t truncations(void)
{
    return (uint32_t)w.counters.truncations;
}
