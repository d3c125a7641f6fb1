/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench conns`: many connections at once, spread over the brokers that are given; then
 * requests on them in turn, open loop. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/bench_node.h"
#include "cli/bench_progress.h"
#include "cli/bench_run.h"
#include "kafka/arena.h"
#include "kafka/generated/messages.h"

#define READY_MS    60000
#define WATCH_MS    5
#define INTERVAL_US 100000
#define AT_ONCE     256 /* dialed in one turn of the loop */

static const struct bench_api metadata = {.key = 3, .version = 12};
static const struct bench_api needs[] = {{.key = 3, .version = 12}, {.key = -1}};

enum phase { CONNECTING, ASKING, OVER };

struct conn {
    struct conns *conns;
    struct bench_node node;
    bool up;
    uint64_t due_us; /* when the request under way was due; 0: none is */
    int32_t correlation;
};

struct conns {
    const struct bench_plan *plan;
    struct bench_result *result;
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_progress progress;
    struct conn *all;
    uint32_t count;
    uint32_t dialed;
    enum phase phase;
    uint64_t begun_us;
    uint64_t start_us; /* of the requests */
    uint64_t issued;
    uint64_t answered;
    struct timer watch;
    int status;
};

static void over(struct conns *conns, int status, const char *why)
{
    if (conns->phase != OVER) {
        conns->phase = OVER;
        conns->status = status;
        (void)snprintf(conns->result->why, sizeof conns->result->why, "%s", why);
        kafka_dialer_stop(conns->dialer);
    }
}

static uint64_t due_at(const struct conns *conns, uint64_t number)
{
    return conns->start_us + (uint64_t)((double)number * 1e6 / conns->plan->rate);
}

static void ask(struct conn *conn, uint64_t due_us)
{
    struct kafka_metadata_request request;
    struct kafka_metadata_request_topic topic;

    kafka_metadata_request_init(&request);
    kafka_metadata_request_topic_init(&topic);
    topic.name = slice_text(conn->conns->plan->settings.topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = false;
    conn->due_us = due_us;
    bench_node_send(&conn->node, metadata, ++conn->correlation, &request);
}

/* A connection whose last answer is not there yet is passed over: its turn is late, and counts so
 * from when it was due. */
static void on_alarm(void *ctx)
{
    struct conns *conns = ctx;
    uint64_t now_us = clock_now_us(conns->clock);
    uint64_t end_us = conns->start_us + (uint64_t)conns->plan->duration_ms * 1000;

    if (conns->phase != ASKING) {
        return;
    }
    while (due_at(conns, conns->issued) <= now_us && due_at(conns, conns->issued) < end_us) {
        uint64_t due_us = due_at(conns, conns->issued);
        struct conn *conn = NULL;
        for (uint32_t i = 0; i < conns->count; i++) {
            struct conn *at = &conns->all[(conns->issued + i) % conns->count];
            if (at->up && at->due_us == 0) {
                conn = at;
                break;
            }
        }
        if (conn == NULL) {
            break; /* all of them wait */
        }
        bench_hist_note(&conns->result->lateness, now_us - due_us);
        ask(conn, due_us);
        conns->issued++;
    }
    if (now_us < end_us) {
        uint64_t next_us = due_at(conns, conns->issued);
        kafka_dialer_alarm(conns->dialer, next_us > now_us + 100 ? next_us : now_us + 100, on_alarm,
                           conns);
    } else {
        bench_cpu_end(&conns->result->cpu, now_us);
    }
}

static void begin_asking(struct conns *conns, uint64_t now_us)
{
    conns->phase = ASKING;
    conns->start_us = now_us + 1000;
    bench_cpu_begin(&conns->result->cpu, now_us);
    bench_progress_begin(&conns->progress, conns->plan->progress, now_us);
    kafka_dialer_alarm(conns->dialer, conns->start_us, on_alarm, conns);
}

static void on_up(void *owner)
{
    struct conn *conn = owner;
    struct conns *conns = conn->conns;
    uint64_t now_us = clock_now_us(conns->clock);

    conn->up = true;
    conns->result->connected++;
    bench_hist_note(&conns->result->connecting, now_us - conns->begun_us);
}

static void on_down(void *owner)
{
    struct conn *conn = owner;
    struct conns *conns = conn->conns;

    (void)snprintf(conns->result->why, sizeof conns->result->why, "%s", conn->node.why);
    if (conn->up) {
        conn->up = false;
        conn->due_us = 0;
        conns->result->lost++;
        conns->result->connected--;
    }
}

static void on_frame(void *owner, struct blob *frame)
{
    struct conn *conn = owner;
    struct conns *conns = conn->conns;
    uint64_t now_us = clock_now_us(conns->clock);
    struct arena arena;
    void *message;

    arena_init(&arena);
    if (conn->due_us != 0 &&
        bench_node_take(frame, metadata, conn->correlation, &arena, &message) == 0) {
        bench_hist_note(&conns->result->latency, now_us - conn->due_us);
        bench_series_note(&conns->result->over_time, now_us - conns->start_us,
                          now_us - conn->due_us, 1);
        bench_progress_note(&conns->progress, now_us - conn->due_us, 1);
        conn->due_us = 0;
        conns->answered++;
    } else {
        bench_node_drop(&conn->node);
        on_down(conn);
    }
    arena_fini(&arena);
}

static const struct bench_node_ops node_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void dial_some(struct conns *conns)
{
    for (uint32_t i = 0; i < AT_ONCE && conns->dialed < conns->count; i++) {
        if (!bench_node_dial(&conns->all[conns->dialed].node)) {
            over(conns, TERN_EREFUSED, conns->all[conns->dialed].node.why);
            return;
        }
        conns->dialed++;
    }
}

static void on_watch(struct timer *timer)
{
    struct conns *conns = CONTAINER_OF(timer, struct conns, watch);
    uint64_t now_us = clock_now_us(conns->clock);
    char text[sizeof conns->result->why];

    if (conns->phase == CONNECTING) {
        dial_some(conns);
        if (conns->result->connected == conns->count) {
            begin_asking(conns, now_us);
        } else if (now_us > conns->begun_us + READY_MS * 1000) {
            (void)snprintf(text, sizeof text, "%u of %u connections after %d s: %.120s",
                           conns->result->connected, conns->count, READY_MS / 1000,
                           conns->result->why);
            over(conns, TERN_ETIMEDOUT, text);
        }
    } else if (conns->phase == ASKING) {
        uint64_t end_us = conns->start_us + (uint64_t)conns->plan->duration_ms * 1000;
        (void)snprintf(text, sizeof text, "%u connections, %u lost", conns->result->connected,
                       conns->result->lost);
        bench_progress_tell(&conns->progress, text, now_us);
        if (now_us >= end_us && conns->answered == conns->issued) {
            over(conns, 0, "");
        } else if (now_us > end_us + (uint64_t)conns->plan->drain_ms * 1000) {
            (void)snprintf(
                text, sizeof text, "%llu requests were not answered; %u connections lost",
                (unsigned long long)(conns->issued - conns->answered), conns->result->lost);
            over(conns, TERN_ETIMEDOUT, text);
        }
    }
    timer_after_ms(conns->clock, &conns->watch, WATCH_MS);
}

int bench_conns(const struct bench_plan *plan, struct bench_result *out)
{
    struct conns *conns = mem_new(sizeof *conns);
    double cpu_before = bench_cpu_now();

    memset(out, 0, sizeof *out);
    bench_cpu_init(&out->cpu);
    bench_series_init(&out->over_time, INTERVAL_US);
    conns->plan = plan;
    conns->result = out;
    conns->dialer = kafka_dialer_new();
    conns->clock = kafka_dialer_clock(conns->dialer);
    conns->count = plan->connections;
    conns->all = mem_new(conns->count * sizeof *conns->all);
    for (uint32_t i = 0; i < conns->count; i++) {
        struct conn *conn = &conns->all[i];
        conn->conns = conns;
        bench_node_init(&conn->node, conns->dialer, needs, &node_ops, conn);
        (void)snprintf(conn->node.address, sizeof conn->node.address, "%s",
                       plan->addresses[i % plan->address_count]);
    }
    conns->begun_us = clock_now_us(conns->clock);
    dial_some(conns);
    conns->watch.fire = on_watch;
    timer_after_ms(conns->clock, &conns->watch, WATCH_MS);
    kafka_dialer_run(conns->dialer);
    uint64_t now_us = clock_now_us(conns->clock);
    bench_cpu_end(&out->cpu, now_us);
    bench_series_end(&out->over_time);
    out->due = conns->issued;
    out->acked = out->in_time = conns->answered;
    out->seconds = (double)plan->duration_ms / 1e3;
    bench_progress_wipe(&conns->progress);
    timer_stop(conns->clock, &conns->watch);
    for (uint32_t i = 0; i < conns->count; i++) {
        bench_node_drop(&conns->all[i].node);
    }
    kafka_dialer_free(conns->dialer);
    out->client_cpu_s = bench_cpu_now() - cpu_before;
    int status = conns->status;
    free(conns->all);
    free(conns);
    return status;
}
