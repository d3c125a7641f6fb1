/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_clock.h"

#include "base/check.h"

static struct fake_clock *fake_of(struct clock *clock)
{
    return (struct fake_clock *)(void *)clock; /* clock is its first member */
}

static uint64_t now_us(struct clock *clock)
{
    return fake_of(clock)->now_us;
}

static int64_t wall_ms(struct clock *clock)
{
    return (int64_t)(fake_of(clock)->now_us / 1000) + fake_of(clock)->wall_offset_ms;
}

static uint64_t random_bits(struct clock *clock)
{
    return prng_next(&fake_of(clock)->prng);
}

static void set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&fake_of(clock)->timers, timer, at_us);
}

static void stop(struct clock *clock, struct timer *timer)
{
    timer_heap_stop(&fake_of(clock)->timers, timer);
}

void fake_clock_init(struct fake_clock *fake, uint64_t seed)
{
    static const struct clock_ops ops = {now_us, wall_ms, random_bits, set, stop};

    *fake = (struct fake_clock){.clock = {&ops}, .wall_offset_ms = 1700000000000};
    prng_init(&fake->prng, seed);
}

void fake_clock_fini(struct fake_clock *fake)
{
    timer_heap_fini(&fake->timers);
}

bool fake_clock_step(struct fake_clock *fake, uint64_t limit_us)
{
    uint64_t next = timer_heap_next_us(&fake->timers);

    if (next > limit_us) {
        return false;
    }
    fake->now_us = next > fake->now_us ? next : fake->now_us;
    struct timer *timer = timer_heap_due(&fake->timers, fake->now_us);
    CHECK(timer != NULL);
    timer->fire(timer);
    return true;
}

void fake_clock_run(struct fake_clock *fake, uint64_t us)
{
    uint64_t end = fake->now_us + us;

    while (fake_clock_step(fake, end)) {
    }
    fake->now_us = end;
}
