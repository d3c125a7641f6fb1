/* SPDX-License-Identifier: Apache-2.0 */
/* One run: found a cluster, make topics, write and read while faults happen; then heal, and
 * everything must come to a good end. */
#pragma once

#include "tests/sim/sim.h"

struct sim_result {
    char failure[512]; /* empty: good */
    uint64_t hash;     /* of everything that happened; the same in a replay */
    uint64_t steps;
    double seconds;   /* virtual */
    double real_s;    /* of the processor; only if it ran in a process of its own */
    uint64_t faults;  /* that struck */
    uint64_t batches; /* acknowledged */
    struct checker_counts counts;
};

/* A story instead (see sim_story.h). */
void sim_run_story(struct sim_story *story, int verbose, struct sim_result *out);
void sim_run_seed(uint64_t seed, const struct sim_shape *shape, int verbose,
                  struct sim_result *out);
