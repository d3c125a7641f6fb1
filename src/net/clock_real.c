/* SPDX-License-Identifier: Apache-2.0 */
#include "net/clock_real.h"

#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/prng.h"
#include "base/timer_heap.h"

struct clock_real {
    struct clock clock;
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_idle_t soon; /* active: something is due already, so the loop must not wait */
    unsigned closing;
    struct timer_heap heap;
    struct prng prng;
    uint64_t armed_us; /* what the uv timer waits for; UINT64_MAX: it is stopped */
    bool firing;       /* arming waits until all that is due has fired */
};

static struct clock_real *home(struct clock *clock)
{
    return CONTAINER_OF(clock, struct clock_real, clock);
}

static uint64_t now_us(struct clock *clock)
{
    (void)clock;
    return uv_hrtime() / 1000;
}

static int64_t wall_ms(struct clock *clock)
{
    struct timespec now;

    (void)clock;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t random_bits(struct clock *clock)
{
    return prng_next(&home(clock)->prng);
}

static void on_timer(uv_timer_t *handle);
static void on_soon(uv_idle_t *handle);

static void arm(struct clock_real *real)
{
    uint64_t next_us = timer_heap_next_us(&real->heap);

    /* What is due at once, as everything that is put off to the end of a turn, must not wait for
     * the next whole millisecond of uv's timers. */
    if (!real->firing && next_us <= now_us(&real->clock)) {
        if (!uv_is_active((uv_handle_t *)&real->soon)) {
            CHECK(uv_idle_start(&real->soon, on_soon) == 0);
        }
        return;
    }
    /* A timer that was stopped leaves an early wake-up behind, which costs less than re-arming. */
    if (real->firing || next_us >= real->armed_us) {
        return;
    }
    /* The loop's time may be old by as long as the present callback has run. */
    uv_update_time(real->loop);
    uint64_t due_ms = (next_us + 999) / 1000;
    uint64_t loop_ms = uv_now(real->loop);
    CHECK(uv_timer_start(&real->timer, on_timer, due_ms > loop_ms ? due_ms - loop_ms : 0, 0) == 0);
    real->armed_us = next_us;
}

static void fire_due(struct clock_real *real)
{
    uint64_t now = now_us(&real->clock);
    struct timer *timer;

    real->firing = true;
    while ((timer = timer_heap_due(&real->heap, now)) != NULL) {
        timer->fire(timer);
    }
    real->firing = false;
    arm(real);
}

static void on_timer(uv_timer_t *handle)
{
    struct clock_real *real = handle->data;

    real->armed_us = UINT64_MAX;
    fire_due(real);
}

static void on_soon(uv_idle_t *handle)
{
    (void)uv_idle_stop(handle);
    fire_due(handle->data);
}

static void set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&home(clock)->heap, timer, at_us);
    arm(home(clock));
}

static void stop(struct clock *clock, struct timer *timer)
{
    timer_heap_stop(&home(clock)->heap, timer);
}

static const struct clock_ops ops = {
    .now_us = now_us,
    .wall_ms = wall_ms,
    .random = random_bits,
    .timer_set = set,
    .timer_stop = stop,
};

struct clock_real *clock_real_new(uv_loop_t *loop)
{
    struct clock_real *real = mem_new(sizeof *real);
    uint64_t seed;

    CHECK(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    prng_init(&real->prng, seed);
    real->clock.ops = &ops;
    real->loop = loop;
    real->armed_us = UINT64_MAX;
    CHECK(uv_timer_init(loop, &real->timer) == 0);
    CHECK(uv_idle_init(loop, &real->soon) == 0);
    real->timer.data = real;
    real->soon.data = real;
    return real;
}

struct clock *clock_real_clock(struct clock_real *real)
{
    return &real->clock;
}

static void closed(uv_handle_t *handle)
{
    struct clock_real *real = handle->data;

    if (--real->closing == 0) {
        free(real);
    }
}

void clock_real_close(struct clock_real *real)
{
    timer_heap_fini(&real->heap);
    real->closing = 2;
    uv_close((uv_handle_t *)&real->timer, closed);
    uv_close((uv_handle_t *)&real->soon, closed);
}
