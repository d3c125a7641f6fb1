/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_run.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/bench_fault.h"

#define READY_MS     30000
#define WATCH_MS     5
#define QUANTUM_US   100 /* records due within it are sent together at high rates */
#define PROGRESS_US  1000000
#define MICROSECONDS 1e6

enum phase { STARTING, RUNNING, DRAINING, OVER };

struct run_partition {
    uint64_t last_ack_us;
    uint64_t gap_us;    /* longest since the measurement began */
    uint64_t window_us; /* longest since the window began */
    double window_at_s;
};

struct run {
    const struct bench_plan *plan;
    struct bench_result *result;
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_producer *producer;
    struct run_partition *partitions;
    enum phase phase;
    int status;
    uint64_t begun_us;   /* of bench_run */
    uint64_t start_us;   /* record 0 is due */
    uint64_t measure_us; /* end of the warm-up */
    uint64_t end_us;     /* nothing is due from here on; UINT64_MAX: not known yet */
    uint64_t issued;     /* records that became due */
    uint64_t answered;
    uint64_t first_measured; /* number of the first record after the warm-up */
    uint64_t drain_until_us;
    struct timer watch;
    struct bench_fault_script script;
    /* The progress line. */
    uint64_t told_us;
    uint64_t told_acked;
    struct bench_hist recent;
};

static void over(struct run *run, int status, const char *why)
{
    if (run->phase != OVER) {
        run->phase = OVER;
        run->status = status;
        (void)snprintf(run->result->why, sizeof run->result->why, "%s", why);
        kafka_dialer_stop(run->dialer);
    }
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static uint64_t due_at(const struct run *run, uint64_t number)
{
    return run->start_us + (uint64_t)((double)number * MICROSECONDS / run->plan->rate);
}

/* How many records are due by then. */
static uint64_t due_by(const struct run *run, uint64_t at_us)
{
    uint64_t number =
        (uint64_t)((double)(at_us - run->start_us) * run->plan->rate / MICROSECONDS) + 1;

    while (number > 0 && due_at(run, number - 1) > at_us) {
        number--;
    }
    return number;
}

static void on_alarm(void *ctx);

static void issue(struct run *run, uint64_t now_us)
{
    uint64_t until_us = now_us < run->end_us ? now_us : run->end_us - 1;
    uint64_t target = due_by(run, until_us);
    uint32_t partitions = run->result->partitions;

    for (; run->issued < target; run->issued++) {
        uint64_t at_us = due_at(run, run->issued);
        if (at_us >= run->measure_us) {
            bench_hist_note(&run->result->lateness, now_us - at_us);
        } else {
            run->first_measured = run->issued + 1;
        }
        bench_producer_due(run->producer, (uint32_t)(run->issued % partitions), 1, now_us);
    }
    bench_producer_flush(run->producer, now_us);
}

static void next_alarm(struct run *run, uint64_t now_us)
{
    uint64_t next_us = due_at(run, run->issued);

    next_us = next_us > now_us + QUANTUM_US ? next_us : now_us + QUANTUM_US;
    kafka_dialer_alarm(run->dialer, next_us, on_alarm, run);
}

static void on_alarm(void *ctx)
{
    struct run *run = ctx;
    uint64_t now_us = clock_now_us(run->clock);

    if (run->phase != RUNNING) {
        return;
    }
    if (now_us < run->start_us) { /* it may be set a moment ahead */
        kafka_dialer_alarm(run->dialer, run->start_us, on_alarm, run);
        return;
    }
    issue(run, now_us);
    if (now_us >= run->end_us) {
        run->phase = DRAINING;
        run->drain_until_us = now_us + (uint64_t)run->plan->drain_ms * 1000;
        if (run->answered == run->issued) {
            over(run, 0, "");
        }
    } else {
        next_alarm(run, now_us);
    }
}

/* ---- acks ------------------------------------------------------------------------------------ */

static void note_gap(struct run *run, struct run_partition *part, uint64_t now_us)
{
    if (part->last_ack_us != 0 && now_us > part->last_ack_us) {
        uint64_t gap_us = now_us - part->last_ack_us;
        if (now_us >= run->measure_us) {
            part->gap_us = gap_us > part->gap_us ? gap_us : part->gap_us;
        }
        if (gap_us > part->window_us) {
            part->window_us = gap_us;
            part->window_at_s = (double)(now_us - run->start_us) / MICROSECONDS;
        }
    }
}

static void on_acked(void *owner, const struct bench_queue *queue, const struct bench_batch *batch,
                     uint64_t now_us)
{
    struct run *run = owner;
    struct run_partition *part = &run->partitions[queue->index];

    note_gap(run, part, now_us);
    part->last_ack_us = now_us;
    run->answered += batch->count;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t number = (batch->first + i) * run->result->partitions + (uint64_t)queue->index;
        uint64_t at_us = due_at(run, number);
        uint64_t took_us = now_us > at_us ? now_us - at_us : 0;
        bench_hist_note(&run->recent, took_us);
        if (at_us >= run->measure_us) {
            bench_hist_note(&run->result->latency, took_us);
            run->result->acked++;
        }
    }
    if (run->phase == DRAINING && run->answered == run->issued) {
        over(run, 0, "");
    }
}

static void on_broken(void *owner, const char *why)
{
    over(owner, TERN_EREFUSED, why);
}

static void on_ready(void *owner)
{
    struct run *run = owner;
    const struct bench_plan *plan = run->plan;

    run->result->partitions = bench_producer_partitions(run->producer);
    run->partitions = mem_new(run->result->partitions * sizeof *run->partitions);
    run->start_us = clock_now_us(run->clock) + 1000;
    run->measure_us = run->start_us + (uint64_t)plan->warmup_ms * 1000;
    run->end_us =
        plan->fault != NULL ? UINT64_MAX : run->measure_us + (uint64_t)plan->duration_ms * 1000;
    run->told_us = run->start_us;
    run->phase = RUNNING;
    kafka_dialer_alarm(run->dialer, run->start_us, on_alarm, run);
}

static const struct bench_producer_ops producer_ops = {
    .ready = on_ready, .acked = on_acked, .broken = on_broken};

/* ---- faults ---------------------------------------------------------------------------------- */

static void window_begin(void *ctx)
{
    struct run *run = ctx;

    for (uint32_t i = 0; i < run->result->partitions; i++) {
        run->partitions[i].window_us = 0;
    }
}

/* Gaps that still go on count up to now. */
static void window_gap(void *ctx, struct bench_gap *out)
{
    struct run *run = ctx;
    uint64_t now_us = clock_now_us(run->clock);

    *out = (struct bench_gap){.partition = -1};
    for (uint32_t i = 0; i < run->result->partitions; i++) {
        struct run_partition *part = &run->partitions[i];
        note_gap(run, part, now_us);
        if (part->window_us > out->us) {
            *out = (struct bench_gap){part->window_us, (int32_t)i, part->window_at_s};
        }
    }
}

static bool window_acked_since(void *ctx, uint64_t since_us)
{
    struct run *run = ctx;

    for (uint32_t i = 0; i < run->result->partitions; i++) {
        if (run->partitions[i].last_ack_us < since_us) {
            return false;
        }
    }
    return true;
}

static const struct bench_window_ops window_ops = {
    .begin = window_begin, .gap = window_gap, .acked_since = window_acked_since};

/* ---- watching -------------------------------------------------------------------------------- */

static void tell(struct run *run, uint64_t now_us)
{
    const struct bench_counters *counters = bench_producer_counters(run->producer);
    double seconds = (double)(now_us - run->told_us) / MICROSECONDS;

    if (!run->plan->progress || now_us < run->told_us + PROGRESS_US) {
        return;
    }
    (void)fprintf(stderr,
                  "%s%6.1f s  %8.0f records/s  p50 %.2f ms  p99 %.2f ms  max %.2f ms  "
                  "%llu waiting  %llu retries%s",
                  isatty(STDERR_FILENO) ? "\r\033[K" : "",
                  (double)(now_us - run->start_us) / MICROSECONDS,
                  (double)(run->answered - run->told_acked) / seconds,
                  (double)bench_hist_at(&run->recent, 50000) / 1e3,
                  (double)bench_hist_at(&run->recent, 99000) / 1e3, (double)run->recent.max / 1e3,
                  (unsigned long long)(run->issued - run->answered),
                  (unsigned long long)counters->retries, isatty(STDERR_FILENO) ? "" : "\n");
    run->told_us = now_us;
    run->told_acked = run->answered;
    bench_hist_clear(&run->recent);
}

static void watch_faults(struct run *run, uint64_t now_us)
{
    struct bench_fault *fault = &run->result->faults[run->result->fault_count];

    if (run->end_us != UINT64_MAX || now_us < run->measure_us) {
        return;
    }
    switch (bench_fault_step(&run->script, now_us, fault)) {
    case BENCH_FAULT_GOES_ON:
        break;
    case BENCH_FAULT_DONE:
        run->result->fault_count++;
        if (run->plan->progress) {
            (void)fprintf(stderr, "%sfault %u: longest gap %.0f ms, while healing %.0f ms\n",
                          isatty(STDERR_FILENO) ? "\r\033[K" : "", run->result->fault_count,
                          (double)fault->gap.us / 1e3, (double)fault->heal.us / 1e3);
        }
        if (run->result->fault_count == run->plan->repeats) {
            run->end_us = now_us;
        }
        break;
    case BENCH_FAULT_FAILED:
        run->result->fault_count++;
        over(run, TERN_ETIMEDOUT, run->script.why);
        break;
    }
}

static void on_watch(struct timer *timer)
{
    struct run *run = CONTAINER_OF(timer, struct run, watch);
    uint64_t now_us = clock_now_us(run->clock);
    char why[sizeof run->result->why];

    if (run->phase == STARTING && now_us > run->begun_us + READY_MS * 1000) {
        (void)snprintf(why, sizeof why, "nothing to produce to after %d s: %s", READY_MS / 1000,
                       bench_producer_why(run->producer));
        over(run, TERN_ETIMEDOUT, why);
    } else if (run->phase == DRAINING && now_us > run->drain_until_us) {
        (void)snprintf(why, sizeof why, "%llu records were not acknowledged within %u ms",
                       (unsigned long long)(run->issued - run->answered), run->plan->drain_ms);
        over(run, TERN_ETIMEDOUT, why);
    }
    if (run->phase == RUNNING && now_us > run->start_us) {
        tell(run, now_us);
        if (run->plan->fault != NULL) {
            watch_faults(run, now_us);
        }
    }
    timer_after_ms(run->clock, &run->watch, WATCH_MS);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / MICROSECONDS;
}

static void finish(struct run *run)
{
    struct bench_result *result = run->result;
    uint64_t now_us = clock_now_us(run->clock);

    result->counters = *bench_producer_counters(run->producer);
    result->gap.partition = -1;
    if (run->phase == STARTING || run->partitions == NULL) {
        return;
    }
    result->due = run->issued - run->first_measured;
    result->warmed = run->first_measured;
    uint64_t until_us = run->end_us < now_us ? run->end_us : now_us;
    result->seconds =
        until_us > run->measure_us ? (double)(until_us - run->measure_us) / MICROSECONDS : 0;
    for (uint32_t i = 0; i < result->partitions; i++) {
        struct run_partition *part = &run->partitions[i];
        if (run->answered < run->issued) {
            note_gap(run, part, now_us);
        }
        bench_hist_note(&result->gaps, part->gap_us);
        if (part->gap_us > result->gap.us) {
            result->gap = (struct bench_gap){part->gap_us, (int32_t)i, 0};
        }
    }
}

int bench_run(const struct bench_plan *plan, struct bench_result *out)
{
    struct run *run = mem_new(sizeof *run);
    double cpu_before = cpu_seconds();

    memset(out, 0, sizeof *out);
    run->plan = plan;
    run->result = out;
    run->dialer = kafka_dialer_new();
    run->clock = kafka_dialer_clock(run->dialer);
    run->begun_us = clock_now_us(run->clock);
    run->end_us = UINT64_MAX;
    run->producer = bench_producer_new(run->dialer, &plan->settings, &producer_ops, run);
    for (size_t i = 0; i < plan->address_count; i++) {
        (void)bench_producer_bootstrap(run->producer, plan->addresses[i]);
    }
    bench_fault_init(&run->script, plan, &window_ops, run);
    bench_producer_start(run->producer);
    run->watch.fire = on_watch;
    timer_after_ms(run->clock, &run->watch, WATCH_MS);
    kafka_dialer_run(run->dialer);
    finish(run);
    if (plan->progress && isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\033[K");
    }
    timer_stop(run->clock, &run->watch);
    bench_fault_fini(&run->script);
    bench_producer_free(run->producer);
    kafka_dialer_free(run->dialer);
    out->client_cpu_s = cpu_seconds() - cpu_before;
    int status = run->status;
    free(run->partitions);
    free(run);
    return status;
}
