/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that stands still until a test moves it. Chance comes from its own seeded generator. */
#pragma once

#include "base/clock.h"
#include "base/prng.h"
#include "base/timer_heap.h"

struct fake_clock {
    struct clock clock; /* first */
    struct timer_heap timers;
    struct prng prng;
    uint64_t now_us;
    int64_t wall_offset_ms;
};

void fake_clock_init(struct fake_clock *fake, uint64_t seed);
void fake_clock_fini(struct fake_clock *fake);
/* Fires everything that is due within the next `us`, in order, moving time along. */
void fake_clock_run(struct fake_clock *fake, uint64_t us);
/* Moves to the next timer, if it is due before `limit_us`, and fires it. False if there is none. */
bool fake_clock_step(struct fake_clock *fake, uint64_t limit_us);
