/* SPDX-License-Identifier: Apache-2.0 */
/* The clock seam on a libuv loop: monotonic microseconds, one uv timer for a heap of ours. Timers
 * fire up to a millisecond late, never early: libuv counts whole milliseconds. One that is due when
 * it is set fires in the loop's next turn, before what is queued on sockets goes out. */
#pragma once

#include <uv.h>

#include "base/clock.h"

struct clock_real;

/* Never fails. The loop must live until it has run the close callback of clock_real_close. */
struct clock_real *clock_real_new(uv_loop_t *loop);
struct clock *clock_real_clock(struct clock_real *real);
/* Timers that are still armed never fire. Memory is given back by the loop, once it runs. */
void clock_real_close(struct clock_real *real);
