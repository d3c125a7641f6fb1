/* SPDX-License-Identifier: Apache-2.0 */
/* One run: found a cluster, make topics, write and read while faults happen; then heal, and
 * everything must come to a good end. */
#pragma once

#include "tests/sim/sim.h"

struct sim_result {
    char failure[512]; /* empty: good */
    uint64_t hash;     /* of everything that happened; the same in a replay */
    uint64_t steps;
    double seconds; /* virtual */
    struct checker_counts counts;
};

void sim_run_seed(uint64_t seed, int verbose, struct sim_result *out);
