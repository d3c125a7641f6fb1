/* SPDX-License-Identifier: Apache-2.0 */
/* The clock seam: time, timers and chance. The real one is in `net`, the simulated in tests/sim.
 *
 * Everything runs on one loop thread per shard; `fire` is called from the loop, never from inside
 * a clock call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer;
struct clock;

struct clock_ops {
    /* Monotonic microseconds since some start; never goes back. */
    uint64_t (*now_us)(struct clock *clock);
    /* Wall clock, milliseconds since 1970; may jump. For record timestamps and people only. */
    int64_t (*wall_ms)(struct clock *clock);
    /* 64 random bits. */
    uint64_t (*random)(struct clock *clock);
    /* Arms (or re-arms) a timer; it fires once, not before `at_us`. */
    void (*timer_set)(struct clock *clock, struct timer *timer, uint64_t at_us);
    /* Disarms; a timer that is not armed is allowed. */
    void (*timer_stop)(struct clock *clock, struct timer *timer);
};

struct clock {
    const struct clock_ops *ops;
};

/* Embedded in whatever waits; zero it, set `fire`, then arm it. Home is found by CONTAINER_OF. */
struct timer {
    void (*fire)(struct timer *timer);
    /* Owned by the clock. */
    uint64_t at_us;
    uint64_t seq;
    uint32_t heap_index; /* 1-based; 0 when not armed */
};

static inline uint64_t clock_now_us(struct clock *clock)
{
    return clock->ops->now_us(clock);
}

static inline uint64_t clock_now_ms(struct clock *clock)
{
    return clock->ops->now_us(clock) / 1000;
}

static inline int64_t clock_wall_ms(struct clock *clock)
{
    return clock->ops->wall_ms(clock);
}

static inline uint64_t clock_random(struct clock *clock)
{
    return clock->ops->random(clock);
}

static inline void timer_set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    clock->ops->timer_set(clock, timer, at_us);
}

static inline void timer_after_ms(struct clock *clock, struct timer *timer, uint64_t ms)
{
    clock->ops->timer_set(clock, timer, clock->ops->now_us(clock) + ms * 1000);
}

static inline void timer_stop(struct clock *clock, struct timer *timer)
{
    clock->ops->timer_stop(clock, timer);
}

static inline bool timer_armed(const struct timer *timer)
{
    return timer->heap_index != 0;
}
