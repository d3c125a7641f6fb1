/* SPDX-License-Identifier: Apache-2.0 */
/* A quorum with a controller and what is done with it, for the tests of the quorum room. */
#pragma once

#include <stdlib.h>

#include "base/trace.h"
#include "tests/lib/quorum_world.h"
#include "tests/lib/test.h"

static inline bool has_controller(struct world *world)
{
    return world_controller(world) != 0;
}

static inline struct world *founded(uint64_t seed, unsigned nodes, unsigned voters)
{
    struct world *world = world_new(seed, nodes);

    world_found(world, voters);
    assert_true(world_run(world, 3000, has_controller));
    return world;
}

static inline void submit_many(struct world *world, uint64_t from, uint64_t count)
{
    for (uint64_t command = from; command < from + count; command++) {
        world_submit(world, world_controller(world), command);
        (void)world_run(world, 3, NULL);
    }
    (void)world_run(world, 300, NULL);
}

static inline struct quorum_status status_of(struct world *world, uint32_t node)
{
    struct quorum_status status;

    quorum_status(world->nodes[node].quorum, &status);
    return status;
}

struct change {
    struct quorum_change change;
    bool done;
    int status;
};

static inline void change_done(struct quorum_change *base, int status)
{
    struct change *change = CONTAINER_OF(base, struct change, change);

    change->done = true;
    change->status = status;
}

/* Faults are what these tests are about: their error lines only disturb. */
static inline void quiet(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}
