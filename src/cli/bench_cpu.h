/* SPDX-License-Identifier: Apache-2.0 */
/* What the client itself used: a measurement whose client is short of processor measures the client. */
#pragma once

#include <stdint.h>

#include "base/check.h"

#define BENCH_CPU_VOID 0.80 /* of a core; above it a measurement is void */

struct bench_cpu {
    double began_s; /* processor time when the measurement began; < 0: it did not */
    uint64_t began_us;
    double used_s; /* from then until the end */
    double seconds;
};

/* Processor time of this process so far. */
double bench_cpu_now(void);
void bench_cpu_init(struct bench_cpu *cpu);
/* The first call counts. */
void bench_cpu_begin(struct bench_cpu *cpu, uint64_t now_us);
/* The first call after the beginning counts. */
void bench_cpu_end(struct bench_cpu *cpu, uint64_t now_us);
/* Of one core, over the measurement. */
double bench_cpu_share(const struct bench_cpu *cpu);
