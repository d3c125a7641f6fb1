/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench consume`: reads a topic from its beginning to its end, as fast as it comes. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/bench_progress.h"
#include "cli/bench_run.h"

#define READY_MS    30000
#define WATCH_MS    5
#define INTERVAL_US 100000

struct reading {
    const struct bench_plan *plan;
    struct bench_result *result;
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_consumer *consumer;
    struct bench_progress progress;
    uint64_t begun_us;
    uint64_t start_us; /* 0: not yet */
    uint64_t last_us;  /* when the last batch came */
    struct timer watch;
    int status;
};

static void over(struct reading *reading, int status, const char *why)
{
    reading->status = status;
    (void)snprintf(reading->result->why, sizeof reading->result->why, "%s", why);
    kafka_dialer_stop(reading->dialer);
}

static void on_ready(void *owner)
{
    struct reading *reading = owner;
    uint64_t now_us = clock_now_us(reading->clock);

    reading->start_us = reading->last_us = now_us;
    reading->result->partitions = bench_consumer_partitions(reading->consumer);
    bench_cpu_begin(&reading->result->cpu, now_us);
    bench_progress_begin(&reading->progress, reading->plan->progress, now_us);
}

/* Over time: how long after the one before each batch came. */
static void on_batch(void *owner, int32_t partition, const struct batch_info *info,
                     struct slice batch, uint64_t now_us)
{
    struct reading *reading = owner;
    uint64_t records = (uint64_t)info->count;

    (void)partition;
    (void)batch;
    bench_progress_note(&reading->progress, now_us - reading->last_us, records);
    bench_series_note(&reading->result->over_time, now_us - reading->start_us,
                      now_us - reading->last_us, records);
    reading->last_us = now_us;
}

static const struct bench_consumer_ops consumer_ops = {.ready = on_ready, .batch = on_batch};

static void on_watch(struct timer *timer)
{
    struct reading *reading = CONTAINER_OF(timer, struct reading, watch);
    const struct bench_consumer_counters *c = bench_consumer_counters(reading->consumer);
    uint64_t now_us = clock_now_us(reading->clock);
    char text[sizeof reading->result->why];

    if (reading->start_us == 0) {
        if (now_us > reading->begun_us + READY_MS * 1000) {
            (void)snprintf(text, sizeof text, "nothing to read after %d s: %s", READY_MS / 1000,
                           bench_consumer_why(reading->consumer));
            over(reading, TERN_ETIMEDOUT, text);
        }
    } else {
        (void)snprintf(text, sizeof text, "%.1f MB", (double)c->bytes / 1e6);
        bench_progress_tell(&reading->progress, text, now_us);
        if (bench_consumer_at_end(reading->consumer)) {
            over(reading, 0, "");
        } else if (reading->plan->duration_ms > 0 &&
                   now_us > reading->start_us + (uint64_t)reading->plan->duration_ms * 1000) {
            over(reading, 0, "");
        } else if (now_us > reading->last_us + (uint64_t)reading->plan->drain_ms * 1000) {
            (void)snprintf(text, sizeof text, "nothing came for %u ms: %s", reading->plan->drain_ms,
                           bench_consumer_why(reading->consumer));
            over(reading, TERN_ETIMEDOUT, text);
        }
    }
    timer_after_ms(reading->clock, &reading->watch, WATCH_MS);
}

int bench_read(const struct bench_plan *plan, struct bench_result *out)
{
    struct reading *reading = mem_new(sizeof *reading);
    double cpu_before = bench_cpu_now();

    memset(out, 0, sizeof *out);
    bench_cpu_init(&out->cpu);
    bench_series_init(&out->over_time, INTERVAL_US);
    reading->plan = plan;
    reading->result = out;
    reading->dialer = kafka_dialer_new();
    reading->clock = kafka_dialer_clock(reading->dialer);
    reading->begun_us = clock_now_us(reading->clock);
    reading->consumer = bench_consumer_new(reading->dialer, &plan->reading, &consumer_ops, reading);
    for (size_t i = 0; i < plan->address_count; i++) {
        (void)bench_consumer_bootstrap(reading->consumer, plan->addresses[i]);
    }
    bench_consumer_start(reading->consumer);
    reading->watch.fire = on_watch;
    timer_after_ms(reading->clock, &reading->watch, WATCH_MS);
    kafka_dialer_run(reading->dialer);
    bench_cpu_end(&out->cpu, clock_now_us(reading->clock));
    bench_series_end(&out->over_time);
    out->reading = *bench_consumer_counters(reading->consumer);
    if (reading->start_us != 0) {
        out->seconds = (double)(reading->last_us - reading->start_us) / 1e6;
    }
    bench_progress_wipe(&reading->progress);
    timer_stop(reading->clock, &reading->watch);
    bench_consumer_free(reading->consumer);
    kafka_dialer_free(reading->dialer);
    out->client_cpu_s = bench_cpu_now() - cpu_before;
    int status = reading->status;
    free(reading);
    return status;
}
