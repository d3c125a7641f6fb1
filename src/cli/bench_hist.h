/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of durations: exact below 128, from there on buckets of at most 1/64 of their value,
 * so that a percentile is never more than 1.6 % above the true one and never below it. Fixed size,
 * whatever is noted. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#define BENCH_HIST_BITS   6 /* buckets per doubling: 64 */
#define BENCH_HIST_SHIFTS 36
#define BENCH_HIST_SLOTS  ((BENCH_HIST_SHIFTS + 2) << BENCH_HIST_BITS)

struct bench_hist {
    uint64_t slots[BENCH_HIST_SLOTS];
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* of a count of 0: 0 */
    uint64_t max;
};

/* A zeroed one is empty. Values above 2^42 count as that. */
void bench_hist_note(struct bench_hist *hist, uint64_t value);
/* The same value so many times. */
void bench_hist_note_many(struct bench_hist *hist, uint64_t value, uint64_t times);
/* Adds what `from` has. */
void bench_hist_add(struct bench_hist *hist, const struct bench_hist *from);
void bench_hist_clear(struct bench_hist *hist);
/* The least value that parts / 100,000 of all noted ones do not exceed, rounded up to its bucket's
 * end but never above the maximum; 0 if nothing was noted. 50000 is the median. */
uint64_t bench_hist_at(const struct bench_hist *hist, uint32_t parts);
double bench_hist_mean(const struct bench_hist *hist);
/* "low high count" a line, only buckets that are not empty. */
void bench_hist_write(const struct bench_hist *hist, FILE *out);
