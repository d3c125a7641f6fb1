/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a run as they come to its consumer: when, in which order, and whether all do. Each
 * carries its partition, its number in it, and the run that it is of. */
#pragma once

#include "base/slice.h"
#include "cli/bench_hist.h"
#include "kafka/batch.h"

#define BENCH_STAMP 16 /* bytes at the front of a value */

struct bench_stamp {
    uint32_t partition;
    uint32_t run;
    uint64_t number;
};

void bench_stamp_put(uint8_t value[BENCH_STAMP], struct bench_stamp stamp);

struct bench_arrivals {
    uint32_t run;
    uint32_t partitions;
    uint64_t *expected; /* of each partition, the next number */
    uint64_t arrived;   /* different records */
    uint64_t missing;   /* numbers that were left out */
    uint64_t repeated;
    uint64_t strange; /* of another run, or not stamped at all */
};

void bench_arrivals_init(struct bench_arrivals *arrivals, uint32_t run, uint32_t partitions);
void bench_arrivals_fini(struct bench_arrivals *arrivals);
/* `arrived` is called for each record that was not there before. */
void bench_arrivals_take(struct bench_arrivals *arrivals, int32_t partition, struct slice batch,
                         void (*arrived)(void *ctx, struct bench_stamp stamp), void *ctx);
