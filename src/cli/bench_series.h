/* SPDX-License-Identifier: Apache-2.0 */
/* Durations over time: for each interval since the start how many there were, and their spread. */
#pragma once

#include <stddef.h>

#include "cli/bench_hist.h"

#define BENCH_SERIES_MAX 36000 /* intervals; what comes later is not kept here */

struct bench_interval {
    uint64_t count; /* 0: the others mean nothing */
    uint64_t p50_us;
    uint64_t p99_us;
    uint64_t max_us;
};

struct bench_series {
    uint64_t interval_us;
    struct bench_interval *at;
    size_t count;
    size_t room;
    struct bench_hist now; /* of the interval that is under way, at[count] */
};

void bench_series_init(struct bench_series *series, uint64_t interval_us);
void bench_series_fini(struct bench_series *series);
/* `weight` of them, at `at_us` since the start; earlier than the one before counts as that. */
void bench_series_note(struct bench_series *series, uint64_t at_us, uint64_t value_us,
                       uint64_t weight);
/* Ends the interval that is under way, if something is in it. */
void bench_series_end(struct bench_series *series);
