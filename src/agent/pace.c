/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pace.h"

#include <stdbool.h>

#define WINDOW_US (PACE_WINDOW_MS * UINT64_C(1000))
#define QUIET     2   /* windows: afterwards waits are the usual ones again */
#define FELT_US   500 /* and a quarter of the usual: producers feel it */
#define BURST_US                                                                                   \
    UINT64_C(10000) /* so much is made up for: timers are late by a millisecond or two */
#define PER_S(n, us) ((n)*UINT64_C(1000000) / (us))

void pace_init(struct pace *pace, uint64_t now_us)
{
    *pace = (struct pace){
        .window_us = now_us, .quiet = QUIET, .per_s = PACE_FIRST, .tokens_us = now_us};
}

void pace_taken(struct pace *pace, size_t bytes)
{
    pace->taken += bytes;
}

void pace_waited(struct pace *pace, uint64_t us)
{
    pace->waits++;
    pace->waited_us += us;
}

static uint64_t least(const struct pace *pace)
{
    uint64_t replicas = (uint64_t)__builtin_popcountll(pace->catching);
    uint64_t bytes = PACE_OVER_TAKEN(pace->taken_per_s) * (replicas > 0 ? replicas : 1);

    return bytes > PACE_LEAST ? bytes : PACE_LEAST;
}

static bool felt(const struct pace *pace, uint64_t mean_us)
{
    return pace->usual_us != 0 && mean_us > pace->usual_us + pace->usual_us / 4 + FELT_US;
}

/* Half, where producers felt it; else a quarter more. */
static uint64_t next_rate(const struct pace *pace, uint64_t mean_us)
{
    uint64_t per_s = felt(pace, mean_us) ? pace->per_s / 2 : pace->per_s / 4 * 5;

    per_s = per_s < PACE_MOST ? per_s : PACE_MOST;
    return per_s > least(pace) ? per_s : least(pace);
}

static void learn(struct pace *pace, uint64_t mean_us)
{
    if (mean_us != 0) {
        pace->usual_us = pace->usual_us == 0 ? mean_us : (pace->usual_us * 7 + mean_us) / 8;
    }
    pace->per_s = least(pace) > PACE_FIRST ? least(pace) : PACE_FIRST;
}

static void window_end(struct pace *pace, uint64_t us)
{
    uint64_t mean_us = pace->waits > 0 ? pace->waited_us / pace->waits : 0;

    pace->taken_per_s = (pace->taken_per_s * 3 + PER_S(pace->taken, us)) / 4;
    pace->quiet = pace->catching != 0 ? 0 : pace->quiet + (pace->quiet < QUIET);
    if (pace->catching != 0) {
        pace->per_s = next_rate(pace, mean_us);
    } else if (pace->quiet >= QUIET) {
        learn(pace, mean_us);
    }
    pace->taken = 0;
    pace->waits = 0;
    pace->waited_us = 0;
    pace->catching = 0;
}

void pace_tick(struct pace *pace, uint64_t now_us)
{
    if (now_us - pace->window_us >= WINDOW_US) {
        window_end(pace, now_us - pace->window_us);
        pace->window_us = now_us;
    }
}

uint64_t pace_wait_us(struct pace *pace, uint64_t now_us)
{
    uint64_t us = now_us - pace->tokens_us;

    us = us < BURST_US ? us : BURST_US;
    pace->tokens += (int64_t)(pace->per_s / 1000 * us / 1000);
    pace->tokens_us = now_us;
    if (pace->tokens > 0) {
        int64_t most = (int64_t)(pace->per_s / 1000 * BURST_US / 1000);
        pace->tokens = pace->tokens < most ? pace->tokens : most;
        return 0;
    }
    return (uint64_t)(1 - pace->tokens) * 1000 / (pace->per_s / 1000) + 1;
}

void pace_used(struct pace *pace, uint32_t node, size_t bytes)
{
    pace->catching |= UINT64_C(1) << node;
    pace->tokens -= (int64_t)bytes;
}
