/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the generator.
 *
 * Open loop: record i of the schedule is due at start + i / rate, goes to partition i modulo their
 * number, and its latency counts from when it was due, whether or not anything could be sent then.
 *
 * As fast as it goes (rate 0): every partition has whole batches to send at any time, within a
 * window; latency counts from when a batch was handed over, and is that of a full queue. */
#pragma once

#include "cli/bench_consumer.h"
#include "cli/bench_cpu.h"
#include "cli/bench_hist.h"
#include "cli/bench_producer.h"
#include "cli/bench_series.h"

#define BENCH_ADDRESSES_MAX 16
#define BENCH_FAULTS_MAX    1000

enum bench_kind {
    BENCH_LOAD,    /* produce */
    BENCH_GAP,     /* produce, under faults */
    BENCH_ARRIVAL, /* produce, and read what was produced */
    BENCH_READ,    /* read what is there */
    BENCH_CONNS    /* many connections */
};

struct bench_plan {
    enum bench_kind kind;
    const char *what; /* the verb, for people */
    struct bench_settings settings;
    struct bench_consumer_settings reading;
    const char *addresses[BENCH_ADDRESSES_MAX];
    size_t address_count;
    uint32_t rate;         /* records a second, all partitions together; 0: as fast as it goes */
    uint32_t window_bytes; /* without a rate: of records that wait for their ack */
    uint32_t warmup_ms;
    uint32_t duration_ms;
    uint32_t drain_ms; /* how long to wait for the last acks */
    /* Faults: NULL, or a shell command each. Then the run ends after the last heal. */
    const char *fault;
    const char *heal;
    uint32_t repeats;
    uint32_t steady_ms;   /* of acks on all partitions before a fault */
    uint32_t settle_ms;   /* after the fault, and after healing, before the window ends */
    uint32_t connections; /* BENCH_CONNS */
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
    uint64_t due;     /* measured: warm-up not counted */
    uint64_t acked;   /* of them, at last */
    uint64_t in_time; /* acked while it was measured, whenever they were due */
    uint64_t warmed;
    double seconds;             /* measured */
    struct bench_hist latency;  /* microseconds, from intended send time to ack */
    struct bench_hist lateness; /* from intended time until the generator woke up */
    struct bench_gap gap;       /* longest of all partitions */
    struct bench_hist gaps;     /* longest of each partition */
    struct bench_counters counters;
    /* BENCH_ARRIVAL, BENCH_READ */
    struct bench_hist arrival; /* from intended send time until it was read */
    uint64_t arrived;
    uint64_t missing;
    uint64_t repeated;
    uint64_t strange;
    struct bench_consumer_counters reading;
    /* BENCH_CONNS */
    struct bench_hist connecting; /* from the first one's begin until each may be used */
    uint32_t connected;
    uint32_t lost;
    /* Everybody */
    struct bench_series over_time; /* of the latency, by when it was noted; warm-up included */
    double measured_at_s;          /* on its scale, the end of the warm-up */
    struct bench_cpu cpu;
    double client_cpu_s; /* with beginning and end */
    struct bench_fault faults[BENCH_FAULTS_MAX];
    uint32_t fault_count;
    char why[256]; /* of a failure; "" */
};

/* Blocks until the run is over. 0, or TERN_ETIMEDOUT (nobody to produce to, or acks missing at the
 * end), TERN_EREFUSED (the brokers refuse for good), with a sentence in out->why. The result is
 * filled as far as it went; bench_result_fini when it is not needed any more. */
int bench_run(const struct bench_plan *plan, struct bench_result *out) TERN_MUST_USE;
/* The same for the kinds without a producer. */
int bench_read(const struct bench_plan *plan, struct bench_result *out) TERN_MUST_USE;
int bench_conns(const struct bench_plan *plan, struct bench_result *out) TERN_MUST_USE;
void bench_result_fini(struct bench_result *result);
