/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_run.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/bench_arrivals.h"
#include "cli/bench_fault.h"
#include "cli/bench_progress.h"

#define READY_MS     30000
#define WATCH_MS     5
#define QUANTUM_US   100  /* records due within it are sent together at high rates */
#define FILL_US      5000 /* without a rate it is acks that make it go on; this is for the end */
#define INTERVAL_US  100000
#define MICROSECONDS 1e6

enum phase { STARTING, RUNNING, DRAINING, OVER };

struct run_partition {
    uint64_t last_ack_us;
    uint64_t gap_us;    /* longest since the measurement began */
    uint64_t window_us; /* longest since the window began */
    double window_at_s;
    uint64_t issued;   /* records, without a rate */
    uint64_t answered; /* of them */
};

struct run {
    const struct bench_plan *plan;
    struct bench_result *result;
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_producer *producer;
    struct bench_consumer *consumer; /* NULL: nobody reads */
    struct bench_arrivals arrivals;
    uint64_t arriving_us; /* when the answer that is looked at came */
    bool producer_ready;
    bool consumer_ready;
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
    uint32_t turn; /* without a rate: the partition that is asked next */
    struct bench_progress progress;
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

/* All answered, and all that was answered read? */
static void maybe_over(struct run *run)
{
    const struct bench_arrivals *arrivals = &run->arrivals;

    if (run->phase == DRAINING && run->answered == run->issued &&
        (run->consumer == NULL || arrivals->arrived + arrivals->missing >= run->answered)) {
        over(run, 0, "");
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

/* Without a rate: whole batches in turn, a few more for each partition than may be under way. */
static void fill(struct run *run, uint64_t now_us)
{
    const struct bench_plan *plan = run->plan;
    uint32_t batch = bench_producer_batch_records(run->producer);
    uint64_t window = plan->window_bytes / plan->settings.size;
    uint64_t share = (uint64_t)batch * (plan->settings.in_flight + 1);
    uint32_t full = 0;

    window = window > batch ? window : batch;
    while (now_us < run->end_us && full < run->result->partitions &&
           run->issued - run->answered + batch <= window) {
        struct run_partition *part = &run->partitions[run->turn];
        if (part->issued - part->answered + batch <= share) {
            bench_producer_due(run->producer, run->turn, batch, now_us);
            part->issued += batch;
            run->issued += batch;
            full = 0;
        } else {
            full++;
        }
        run->turn = (run->turn + 1) % run->result->partitions;
    }
}

static void issue(struct run *run, uint64_t now_us)
{
    uint64_t until_us = now_us < run->end_us ? now_us : run->end_us - 1;
    uint32_t partitions = run->result->partitions;

    if (run->plan->rate == 0) {
        fill(run, now_us);
        bench_producer_flush(run->producer, now_us);
        return;
    }
    uint64_t target = due_by(run, until_us);

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
    uint64_t next_us = run->plan->rate == 0 ? now_us + FILL_US : due_at(run, run->issued);

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
        bench_cpu_end(&run->result->cpu, now_us);
        maybe_over(run);
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

static void note_latency(struct run *run, uint64_t at_us, uint64_t took_us, uint32_t records,
                         uint64_t now_us)
{
    struct bench_result *result = run->result;

    if (run->consumer == NULL) { /* else over time is that of arrivals */
        bench_progress_note(&run->progress, took_us, records);
        bench_series_note(&result->over_time, now_us - run->start_us, took_us, records);
    }
    if (at_us >= run->measure_us) {
        bench_hist_note_many(&result->latency, took_us, records);
        result->acked += records;
    }
}

static void acked_in_turn(struct run *run, const struct bench_batch *batch, uint64_t now_us)
{
    if (batch->opened_us < run->measure_us) {
        run->first_measured += batch->count;
    }
    note_latency(run, batch->opened_us, now_us - batch->opened_us, batch->count, now_us);
}

static void on_acked(void *owner, const struct bench_queue *queue, const struct bench_batch *batch,
                     uint64_t now_us)
{
    struct run *run = owner;
    struct run_partition *part = &run->partitions[queue->index];

    note_gap(run, part, now_us);
    part->last_ack_us = now_us;
    run->answered += batch->count;
    if (now_us >= run->measure_us && now_us < run->end_us) {
        run->result->in_time += batch->count;
    }
    if (run->plan->rate == 0) {
        acked_in_turn(run, batch, now_us);
    }
    for (uint32_t i = 0; run->plan->rate > 0 && i < batch->count; i++) {
        uint64_t number = (batch->first + i) * run->result->partitions + (uint64_t)queue->index;
        uint64_t at_us = due_at(run, number);
        uint64_t took_us = now_us > at_us ? now_us - at_us : 0;
        note_latency(run, at_us, took_us, 1, now_us);
    }
    part->answered += batch->count;
    if (run->phase == RUNNING && run->plan->rate == 0) {
        fill(run, now_us);
    }
    maybe_over(run);
}

static void on_broken(void *owner, const char *why)
{
    over(owner, TERN_EREFUSED, why);
}

static void maybe_begin(struct run *run)
{
    const struct bench_plan *plan = run->plan;

    if (!run->producer_ready || (run->consumer != NULL && !run->consumer_ready)) {
        return;
    }
    run->result->partitions = bench_producer_partitions(run->producer);
    run->partitions = mem_new(run->result->partitions * sizeof *run->partitions);
    bench_arrivals_init(&run->arrivals, plan->settings.run, run->result->partitions);
    run->start_us = clock_now_us(run->clock) + 1000;
    run->measure_us = run->start_us + (uint64_t)plan->warmup_ms * 1000;
    run->end_us =
        plan->fault != NULL ? UINT64_MAX : run->measure_us + (uint64_t)plan->duration_ms * 1000;
    bench_progress_begin(&run->progress, plan->progress, run->start_us);
    run->phase = RUNNING;
    kafka_dialer_alarm(run->dialer, run->start_us, on_alarm, run);
}

static void on_ready(void *owner)
{
    struct run *run = owner;

    run->producer_ready = true;
    maybe_begin(run);
}

static const struct bench_producer_ops producer_ops = {
    .ready = on_ready, .acked = on_acked, .broken = on_broken};

/* ---- arrivals -------------------------------------------------------------------------------- */

static void on_arrived(void *ctx, struct bench_stamp stamp)
{
    struct run *run = ctx;
    uint64_t at_us = due_at(run, stamp.number * run->result->partitions + stamp.partition);
    uint64_t took_us = run->arriving_us > at_us ? run->arriving_us - at_us : 0;

    bench_progress_note(&run->progress, took_us, 1);
    bench_series_note(&run->result->over_time, run->arriving_us - run->start_us, took_us, 1);
    if (at_us >= run->measure_us) {
        bench_hist_note(&run->result->arrival, took_us);
        run->result->arrived++;
    }
}

static void on_batch(void *owner, int32_t partition, const struct batch_info *info,
                     struct slice batch, uint64_t now_us)
{
    struct run *run = owner;

    (void)info;
    if (run->partitions == NULL) {
        return; /* not of this run, which has not begun */
    }
    run->arriving_us = now_us > run->start_us ? now_us : run->start_us;
    bench_arrivals_take(&run->arrivals, partition, batch, on_arrived, run);
    maybe_over(run);
}

static void on_placed(void *owner)
{
    struct run *run = owner;

    run->consumer_ready = true;
    maybe_begin(run);
}

static const struct bench_consumer_ops consumer_ops = {.ready = on_placed, .batch = on_batch};

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
    char more[96];

    (void)snprintf(more, sizeof more, "%llu waiting  %llu retries",
                   (unsigned long long)(run->issued - run->answered),
                   (unsigned long long)bench_producer_counters(run->producer)->retries);
    bench_progress_tell(&run->progress, more, now_us);
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
        bench_progress_wipe(&run->progress);
        if (run->plan->progress) {
            (void)fprintf(stderr, "fault %u: longest gap %.0f ms, while healing %.0f ms\n",
                          run->result->fault_count, (double)fault->gap.us / 1e3,
                          (double)fault->heal.us / 1e3);
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
        (void)snprintf(why, sizeof why, "nothing to %s after %d s: %s",
                       run->producer_ready ? "read" : "produce to", READY_MS / 1000,
                       run->producer_ready ? bench_consumer_why(run->consumer)
                                           : bench_producer_why(run->producer));
        over(run, TERN_ETIMEDOUT, why);
    } else if (run->phase == DRAINING && now_us > run->drain_until_us) {
        bool acks = run->answered < run->issued;
        (void)snprintf(
            why, sizeof why, "%llu records were not %s within %u ms",
            (unsigned long long)(run->issued - (acks ? run->answered : run->arrivals.arrived)),
            acks ? "acknowledged" : "read", run->plan->drain_ms);
        over(run, TERN_ETIMEDOUT, why);
    }
    if (run->phase == RUNNING && now_us > run->start_us) {
        if (now_us >= run->measure_us) {
            bench_cpu_begin(&run->result->cpu, now_us);
        }
        tell(run, now_us);
        if (run->plan->fault != NULL) {
            watch_faults(run, now_us);
        }
    }
    timer_after_ms(run->clock, &run->watch, WATCH_MS);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void finish(struct run *run)
{
    struct bench_result *result = run->result;
    uint64_t now_us = clock_now_us(run->clock);

    result->counters = *bench_producer_counters(run->producer);
    result->gap.partition = -1;
    if (run->phase == STARTING || run->partitions == NULL) {
        return;
    }
    bench_cpu_end(&result->cpu, now_us);
    bench_series_end(&result->over_time);
    result->measured_at_s = (double)(run->measure_us - run->start_us) / MICROSECONDS;
    result->missing = run->arrivals.missing;
    result->repeated = run->arrivals.repeated;
    result->strange = run->arrivals.strange;
    if (run->consumer != NULL) {
        result->reading = *bench_consumer_counters(run->consumer);
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
    double cpu_before = bench_cpu_now();

    memset(out, 0, sizeof *out);
    bench_cpu_init(&out->cpu);
    bench_series_init(&out->over_time, INTERVAL_US);
    run->plan = plan;
    run->result = out;
    run->dialer = kafka_dialer_new();
    run->clock = kafka_dialer_clock(run->dialer);
    run->begun_us = clock_now_us(run->clock);
    run->end_us = UINT64_MAX;
    run->producer = bench_producer_new(run->dialer, &plan->settings, &producer_ops, run);
    if (plan->kind == BENCH_ARRIVAL) {
        run->consumer = bench_consumer_new(run->dialer, &plan->reading, &consumer_ops, run);
    }
    for (size_t i = 0; i < plan->address_count; i++) {
        (void)bench_producer_bootstrap(run->producer, plan->addresses[i]);
        if (run->consumer != NULL) {
            (void)bench_consumer_bootstrap(run->consumer, plan->addresses[i]);
        }
    }
    bench_fault_init(&run->script, plan, &window_ops, run);
    bench_producer_start(run->producer);
    if (run->consumer != NULL) {
        bench_consumer_start(run->consumer);
    }
    run->watch.fire = on_watch;
    timer_after_ms(run->clock, &run->watch, WATCH_MS);
    kafka_dialer_run(run->dialer);
    finish(run);
    bench_progress_wipe(&run->progress);
    timer_stop(run->clock, &run->watch);
    bench_fault_fini(&run->script);
    bench_producer_free(run->producer);
    bench_consumer_free(run->consumer);
    bench_arrivals_fini(&run->arrivals);
    kafka_dialer_free(run->dialer);
    out->client_cpu_s = bench_cpu_now() - cpu_before;
    int status = run->status;
    free(run->partitions);
    free(run);
    return status;
}

void bench_result_fini(struct bench_result *result)
{
    bench_series_fini(&result->over_time);
}
