/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the open-loop generator: record i of the schedule is due at start + i / rate, goes to
 * partition i modulo their number, and its latency counts from when it was due, whether or not
 * anything could be sent then. */
#pragma once

#include "cli/bench_hist.h"
#include "cli/bench_producer.h"

#define BENCH_ADDRESSES_MAX 16
#define BENCH_FAULTS_MAX    1000

struct bench_plan {
    struct bench_settings settings;
    const char *addresses[BENCH_ADDRESSES_MAX];
    size_t address_count;
    uint32_t rate; /* records a second, all partitions together */
    uint32_t warmup_ms;
    uint32_t duration_ms;
    uint32_t drain_ms; /* how long to wait for the last acks */
    /* Faults: NULL, or a shell command each. Then the run ends after the last heal. */
    const char *fault;
    const char *heal;
    uint32_t repeats;
    uint32_t steady_ms; /* of acks on all partitions before a fault */
    uint32_t settle_ms; /* after the fault, and after healing, before the window ends */
    bool progress;
};

/* The longest time without an ack on one partition. */
struct bench_gap {
    uint64_t us;
    int32_t partition; /* -1: none */
    double at_s;       /* since the start, when it ended */
};

struct bench_fault {
    struct bench_gap gap;  /* in the window from the fault on */
    struct bench_gap heal; /* in the window from healing on */
    double command_s;      /* how long the command took */
    bool recovered;        /* every partition was acked again */
    int status;            /* of the command */
    int heal_status;
};

struct bench_result {
    uint32_t partitions;
    uint64_t due;   /* measured: warm-up not counted */
    uint64_t acked; /* of them */
    uint64_t warmed;
    double seconds;             /* measured */
    struct bench_hist latency;  /* microseconds, from intended send time to ack */
    struct bench_hist lateness; /* from intended time until the generator woke up */
    struct bench_gap gap;       /* longest of all partitions */
    struct bench_hist gaps;     /* longest of each partition */
    struct bench_counters counters;
    double client_cpu_s;
    struct bench_fault faults[BENCH_FAULTS_MAX];
    uint32_t fault_count;
    char why[256]; /* of a failure; "" */
};

/* Blocks until the run is over. 0, or TERN_ETIMEDOUT (nobody to produce to, or acks missing at the
 * end), TERN_EREFUSED (the brokers refuse for good), with a sentence in out->why. The result is
 * filled as far as it went. */
int bench_run(const struct bench_plan *plan, struct bench_result *out) TERN_MUST_USE;
