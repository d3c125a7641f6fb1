/* SPDX-License-Identifier: Apache-2.0 */
/* From which replica a consumer reads (KIP-392): one of its own region that is close behind, so that
 * records cross an ocean once, on their way to the copy, and not once more for each consumer. */
#pragma once

#include "agent/inner.h"

#define NEAREST_LAG_MS    1000 /* a copy that lacks more than this much time is no place to read */
#define NEAREST_SETTLE_MS 2000 /* so long a new leader gives a near copy time to follow it */
#define NEAREST_STALE_MS  5000 /* so long a copy that does not get on keeps its consumers */

enum nearest {
    NEAREST_HERE,  /* at the leader */
    NEAREST_OTHER, /* *out_node */
    NEAREST_SOON   /* a near copy begins to follow this epoch: nothing is given meanwhile */
};

/* At the leader: where a consumer in `rack` that wants `offset` should read. A rack names a region,
 * or "region/rack", or the rack of a node; the longer name is the nearer place. Empty: here. */
enum nearest nearest_reader(const struct partition *p, struct slice rack, int64_t offset,
                            uint32_t *out_node);

/* The region that a rack names or lies in; -1: it is none that we know. */
int nearest_region(const struct control *control, struct slice rack);

/* At a follower, asked when a consumer has read all that is shown here: has it lost its leader, or
 * does it lag behind, and did so for NEAREST_STALE_MS? Then the leader is the better place. */
bool nearest_is_stale(struct partition *p);
