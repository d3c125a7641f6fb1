/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_clock.h"

#include <stddef.h>

#include "base/check.h"

#define MILLION 1000000u

static struct sim_clock *of(struct clock *clock)
{
    return CONTAINER_OF(clock, struct sim_clock, clock);
}

static uint64_t local_of(const struct sim_clock *clock, uint64_t world_us)
{
    uint64_t since = world_us - clock->boot_us;

    return clock->base_us + since + since * clock->drift_ppm / MILLION;
}

static uint64_t now_us(struct clock *clock)
{
    return local_of(of(clock), *of(clock)->world_us);
}

static int64_t wall_ms(struct clock *clock)
{
    return (int64_t)(*of(clock)->world_us / 1000) + of(clock)->wall_offset_ms;
}

static uint64_t random_bits(struct clock *clock)
{
    return prng_next(&of(clock)->prng);
}

static void set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&of(clock)->timers, timer, at_us);
}

static void stop(struct clock *clock, struct timer *timer)
{
    timer_heap_stop(&of(clock)->timers, timer);
}

void sim_clock_init(struct sim_clock *clock, const uint64_t *world_us, struct prng prng)
{
    static const struct clock_ops ops = {now_us, wall_ms, random_bits, set, stop};

    *clock = (struct sim_clock){.clock = {&ops}, .world_us = world_us, .prng = prng};
    clock->drift_ppm = (uint32_t)prng_below(&clock->prng, 200);
    clock->wall_offset_ms = 1700000000000 + (int64_t)prng_below(&clock->prng, 2000) - 1000;
    sim_clock_boot(clock);
}

void sim_clock_fini(struct sim_clock *clock)
{
    timer_heap_fini(&clock->timers);
}

void sim_clock_boot(struct sim_clock *clock)
{
    CHECK(timer_heap_next_us(&clock->timers) == UINT64_MAX);
    clock->boot_us = *clock->world_us;
    clock->base_us = MILLION + prng_below(&clock->prng, (uint64_t)100 * MILLION);
    clock->frozen = false;
}

uint64_t sim_clock_next_us(const struct sim_clock *clock)
{
    uint64_t local = timer_heap_next_us(&clock->timers);

    if (local == UINT64_MAX || clock->frozen) {
        return UINT64_MAX;
    }
    if (local <= local_of(clock, *clock->world_us)) {
        return *clock->world_us;
    }
    /* The earliest world time at which the local clock shows that. */
    uint64_t since = (local - clock->base_us) * MILLION / (MILLION + clock->drift_ppm);
    uint64_t world = clock->boot_us + since;
    while (local_of(clock, world) < local) {
        world++;
    }
    return world > *clock->world_us ? world : *clock->world_us;
}

void sim_clock_fire(struct sim_clock *clock)
{
    struct timer *timer = timer_heap_due(&clock->timers, now_us(&clock->clock));

    CHECK(timer != NULL);
    timer->fire(timer);
}
