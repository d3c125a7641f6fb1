/* SPDX-License-Identifier: Apache-2.0 */
/* Faults while a run goes on: wait until all is steady, run a command, watch until every partition
 * is acknowledged again, run the command that heals, watch that too. Commands run beside the load.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/check.h"

struct bench_plan;
struct bench_fault;
struct bench_gap;

/* Gaps between acks since `begin`, as the run sees them. */
struct bench_window_ops {
    void (*begin)(void *ctx);
    void (*gap)(void *ctx, struct bench_gap *out);
    bool (*acked_since)(void *ctx, uint64_t since_us); /* every partition */
};

enum bench_fault_phase { FAULT_STEADY, FAULT_STRIKE, FAULT_WATCH, FAULT_HEAL, FAULT_WATCH_HEAL };

struct bench_fault_script {
    const struct bench_plan *plan;
    const struct bench_window_ops *ops;
    void *ctx;
    enum bench_fault_phase phase;
    uint64_t since_us; /* of the phase; 0: it begins */
    pid_t child;       /* 0: none */
    char why[160];
};

enum bench_fault_step { BENCH_FAULT_GOES_ON, BENCH_FAULT_DONE, BENCH_FAULT_FAILED };

void bench_fault_init(struct bench_fault_script *script, const struct bench_plan *plan,
                      const struct bench_window_ops *ops, void *ctx);
/* Waits for a command that still runs. */
void bench_fault_fini(struct bench_fault_script *script);
/* To be called every few milliseconds. `fault` is filled; DONE: it is complete, the next call
 * begins another. FAILED: script->why tells. */
enum bench_fault_step bench_fault_step(struct bench_fault_script *script, uint64_t now_us,
                                       struct bench_fault *fault);
