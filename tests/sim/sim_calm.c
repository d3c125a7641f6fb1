/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_calm.h"

#include <stdlib.h>

#include "quorum/quorum.h"

#define SETTLE_US   (20 * SIM_S) /* leaders find their regions, time-outs get used to the ways */
#define LOOK_US     SIM_S
#define LOSS        1 /* % */
#define LONG_ONE_IN 2000

struct thief {
    struct sim *sim;
    uint32_t node;
    struct timer timer;
};

struct sim_calm {
    struct sim *sim;
    struct thief thieves[SIM_REGIONS + 1]; /* by node id */
};

static uint64_t slice_us(struct sim *sim, bool stolen)
{
    struct prng *chance = &sim->chance_faults;

    return stolen && prng_chance(chance, 1, LONG_ONE_IN)
               ? prng_between(chance, 50 * SIM_MS, 200 * SIM_MS)
               : prng_between(chance, SIM_MS, 19 * SIM_MS);
}

static void next_slice(struct timer *timer)
{
    struct thief *thief = CONTAINER_OF(timer, struct thief, timer);
    struct sim_node *node = &thief->sim->nodes[thief->node];
    bool stolen = !node->paused;

    sim_node_hold(node, stolen);
    sim_after(thief->sim, &thief->timer, slice_us(thief->sim, stolen));
}

/* One way of the round trips of `us`. */
static uint64_t way_us(uint32_t a, uint32_t b)
{
    static const uint64_t us[4][4] = {
        {0, 0, 0, 0}, {0, 0, 6000, 33000}, {0, 6000, 0, 28000}, {0, 33000, 28000, 0}};

    return us[a][b];
}

struct sim_calm *sim_calm_begin(struct sim *sim)
{
    struct sim_calm *calm = mem_new(sizeof *calm);

    calm->sim = sim;
    CHECK(sim->node_count == SIM_REGIONS);
    sim->net.jitter_percent = 5;
    for (uint32_t a = 1; a <= SIM_REGIONS; a++) {
        for (uint32_t b = 1; b <= SIM_REGIONS; b++) {
            if (a != b) {
                sim->net.delay_us[a][b] = way_us(a, b);
                sim->net.bad[a][b] = (struct sim_bad_way){.loss_percent = LOSS, .mended = true};
            }
        }
        calm->thieves[a] = (struct thief){.sim = sim, .node = a, .timer.fire = next_slice};
        sim_after(sim, &calm->thieves[a].timer, slice_us(sim, false));
    }
    return calm;
}

void sim_calm_end(struct sim_calm *calm)
{
    struct sim *sim = calm->sim;

    for (uint32_t id = 1; id <= SIM_REGIONS; id++) {
        for (uint32_t b = 1; b <= SIM_REGIONS; b++) {
            sim->net.bad[id][b] = (struct sim_bad_way){0};
        }
        sim_stop(sim, &calm->thieves[id].timer);
        sim_node_hold(&sim->nodes[id], false);
    }
    free(calm);
}

/* All epochs there are and the term of the quorum, added up: it grows with each failover. */
static uint64_t failovers(const struct sim *sim)
{
    const struct control *control = sim_newest_control(sim);
    uint64_t sum = 0;

    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            sum += (uint64_t)t->partitions[i].epoch;
        }
    }
    uint64_t term = 0;
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        struct quorum_status status = {0};
        if (sim->nodes[id].node != NULL && node_quorum(sim->nodes[id].node) != NULL) {
            quorum_status(node_quorum(sim->nodes[id].node), &status);
            term = status.term > term ? status.term : term;
        }
    }
    return sum + term;
}

void sim_calm_run(struct sim *sim, uint64_t us)
{
    (void)sim_run(sim, sim->now_us + SETTLE_US, NULL);
    uint64_t before = sim_failed(sim) ? 0 : failovers(sim);
    uint64_t until = sim->now_us + us;

    while (!sim_failed(sim) && sim->now_us < until) {
        (void)sim_run(sim, sim->now_us + LOOK_US, NULL);
        if (!sim_failed(sim) && failovers(sim) != before) {
            sim_fail(sim, "F1: somebody was taken for dead, and nothing had failed");
        }
    }
}
