/* SPDX-License-Identifier: Apache-2.0 */
/* Many runs, each in a process of its own, so that whatever one does ends only itself. */
#pragma once

#include "tests/sim/sim_run.h"

/* Planted bugs that are switched on together; 0: none. */
struct sim_mutants {
    int on;
    int too;
};

struct sim_plan {
    const struct sim_shape *shape;
    unsigned jobs;    /* processes at a time */
    unsigned limit_s; /* of the processor, for one run */
    struct sim_mutants mutants;
};

struct sim_sum {
    uint64_t runs;
    uint64_t failed;
    uint64_t full;  /* of at least 30 s, 3 faults, 1,000 acknowledged batches */
    double seconds; /* virtual */
    double real;    /* of all processes together */
    uint64_t faults;
    uint64_t batches; /* acknowledged */
    uint64_t records; /* acknowledged */
    uint64_t reads;
    uint64_t cut;  /* acknowledged records that lossy epochs cut off */
    uint64_t hash; /* over the traces of all runs, in any order */
};

/* Called in the parent for each run, as it ends; `said`: the last lines of a run that ended without
 * a result, else empty. False: no further runs are begun. */
typedef bool sim_ended(void *ctx, uint64_t seed, const struct sim_result *result, const char *said);

/* Seeds `first` to `first + count - 1`, until `stop_at` (CLOCK_MONOTONIC seconds; 0: never) or until
 * `ended` says no. Returns how many seeds were begun. */
uint64_t sim_many(const struct sim_plan *plan, uint64_t first, uint64_t count, double stop_at,
                  sim_ended *ended, void *ctx);
/* One seed, in a process of its own. True: good. */
bool sim_one(const struct sim_plan *plan, uint64_t seed, struct sim_result *out);
/* In this process, from here on. */
void sim_plant(struct sim_mutants mutants);
double sim_real_s(void);
/* SIGXCPU comes when this process has used so much. */
void sim_limit_cpu(unsigned seconds);
