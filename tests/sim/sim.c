/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/trace.h"
#include "tests/sim/sim_story.h"

static struct sim *traced; /* whose nodes trace now */

static void sink(enum trace_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    if (traced != NULL && traced->story != NULL) {
        sim_story_hears(traced, line);
    }
    if (traced != NULL && traced->verbose >= (level == TRACE_DEBUG ? 3 : 2)) {
        printf("[%11.6f]    %s %s\n", (double)traced->now_us / 1e6, names[level], line);
    }
}

struct sim *sim_new(uint64_t seed, const struct sim_shape *shape, int verbose)
{
    struct sim *sim = mem_new(sizeof *sim);
    struct prng root;

    sim->seed = seed;
    sim->shape = shape;
    sim->verbose = verbose;
    sim->hash = 0xcbf29ce484222325u;
    prng_init(&root, seed);
    sim->chance_net = prng_split(&root);
    sim->chance_nodes = prng_split(&root);
    sim->chance_faults = prng_split(&root);
    sim->chance_clients = prng_split(&root);
    sim->chance_operator = prng_split(&root);
    sim->chance_wear = prng_split(&root);
    sim_net_init(&sim->net, sim);
    traced = sim;
    trace_set_sink(sink);
    trace_set_level(verbose >= 3 ? TRACE_DEBUG : TRACE_INFO);
    return sim;
}

void sim_free(struct sim *sim)
{
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_node_fini(&sim->nodes[id]);
    }
    sim_net_fini(&sim->net);
    timer_heap_fini(&sim->heap);
    trace_set_sink(NULL);
    trace_set_who("");
    traced = NULL;
    free(sim);
}

void sim_at(struct sim *sim, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&sim->heap, timer, at_us);
}

void sim_after(struct sim *sim, struct timer *timer, uint64_t us)
{
    timer_heap_set(&sim->heap, timer, sim->now_us + us);
}

void sim_stop(struct sim *sim, struct timer *timer)
{
    timer_heap_stop(&sim->heap, timer);
}

void sim_note(struct sim *sim, uint64_t what)
{
    sim->hash = (sim->hash ^ what ^ (sim->now_us << 20)) * 0x100000001b3u;
    sim->hash ^= sim->hash >> 29;
}

static void note_text(struct sim *sim, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        sim->hash = (sim->hash ^ (uint8_t)*at) * 0x100000001b3u;
    }
}

static void say(struct sim *sim, int verbose, const char *indent, const char *format, va_list args)
{
    char line[512];

    /* What is only whispered is formatted only to be printed: callers note what matters of it. */
    if (verbose <= 1 || sim->verbose >= verbose) {
        (void)vsnprintf(line, sizeof line, format, args);
    }
    if (verbose <= 1) {
        note_text(sim, line);
        if (sim->story != NULL) {
            sim_story_hears(sim, line);
        }
    }
    if (sim->verbose >= verbose) {
        printf("[%11.6f] %s%s\n", (double)sim->now_us / 1e6, indent, line);
    }
}

void sim_tell(struct sim *sim, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(sim, 1, "", format, args);
    va_end(args);
}

void sim_whisper(struct sim *sim, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(sim, 3, "   ", format, args);
    va_end(args);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    char line[sizeof sim->failure];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    sim_tell(sim, "FAIL %s", line);
    if (!sim_failed(sim)) {
        memcpy(sim->failure, line, sizeof line);
    }
}

bool sim_step(struct sim *sim, uint64_t until_us)
{
    uint64_t best = timer_heap_next_us(&sim->heap);
    uint32_t who = 0;

    for (uint32_t id = 1; id <= sim->node_count; id++) {
        uint64_t next = sim_clock_next_us(&sim->nodes[id].clock);
        if (next < best) {
            best = next;
            who = id;
        }
    }
    if (best > until_us) {
        sim->now_us = until_us;
        return false;
    }
    sim->now_us = best > sim->now_us ? best : sim->now_us;
    sim->steps++;
    if (who != 0) {
        sim_node_enter(&sim->nodes[who]);
        sim_note(sim, who);
        sim_clock_fire(&sim->nodes[who].clock);
    } else {
        struct timer *timer = timer_heap_due(&sim->heap, sim->now_us);
        CHECK(timer != NULL);
        timer->fire(timer);
    }
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_node_settle(&sim->nodes[id]);
        sim_quorum_watch(&sim->nodes[id]);
        sim_node_watch(&sim->nodes[id]);
    }
    return true;
}

bool sim_run(struct sim *sim, uint64_t until_us, bool (*done)(struct sim *sim))
{
    while (!sim_failed(sim)) {
        if (done != NULL && done(sim)) {
            return true;
        }
        if (!sim_step(sim, until_us)) {
            break;
        }
    }
    return false;
}
