/* SPDX-License-Identifier: Apache-2.0 */
/* A node's clock: virtual time with an offset and a drift of its own. Frozen while the process is
 * paused: its timers are overdue afterwards, as after SIGSTOP. */
#pragma once

#include "base/clock.h"
#include "base/prng.h"
#include "base/timer_heap.h"

struct sim;

struct sim_clock {
    struct clock clock; /* first */
    const uint64_t *world_us;
    struct timer_heap timers;
    struct prng prng;
    uint64_t boot_us; /* world time at which the node's clock stood at base_us */
    uint64_t base_us;
    uint32_t drift_ppm; /* faster than the world by so much; the clocks of two nodes differ */
    int64_t wall_offset_ms;
    bool frozen;
};

void sim_clock_init(struct sim_clock *clock, const uint64_t *world_us, struct prng prng);
void sim_clock_fini(struct sim_clock *clock);
/* A machine that starts anew: its monotonic clock starts somewhere else. No timer is armed. */
void sim_clock_boot(struct sim_clock *clock);
/* World time at which its next timer is due; UINT64_MAX: none, or frozen. */
uint64_t sim_clock_next_us(const struct sim_clock *clock);
/* Fires the next timer; it must be due. */
void sim_clock_fire(struct sim_clock *clock);
