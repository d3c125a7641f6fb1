/* SPDX-License-Identifier: Apache-2.0 */
/* The real clock: order, no early firing, stopping, re-arming from inside. */
#include "tests/unit/net_rig.h"

#define TIMERS 5

static struct clock *the_clock;
static unsigned fired[32];
static unsigned fired_count;
static bool early;

struct numbered {
    struct timer timer;
    unsigned number;
    unsigned again; /* how often it arms itself */
};

static void fire(struct timer *timer)
{
    struct numbered *numbered = CONTAINER_OF(timer, struct numbered, timer);

    early = early || clock_now_us(the_clock) < timer->at_us;
    fired[fired_count++] = numbered->number;
    if (numbered->again > 0) {
        numbered->again--;
        timer_after_ms(the_clock, timer, 1);
    }
}

static bool all_fired(void *ctx)
{
    return fired_count >= *(unsigned *)ctx;
}

static void begin(struct rig *rig)
{
    rig_init(rig);
    the_clock = rig->clock;
    fired_count = 0;
    early = false;
}

static void timers_fire_in_order_of_time_and_never_early(void **state)
{
    static const unsigned delays_us[TIMERS] = {9000, 1, 5500, 5400, 0};
    static const unsigned order[TIMERS] = {4, 1, 3, 2, 0};
    struct numbered timers[TIMERS] = {{{0}, 0, 0}};
    struct rig rig;
    unsigned count = TIMERS;

    (void)state;
    begin(&rig);
    uint64_t now_us = clock_now_us(rig.clock);
    for (unsigned i = 0; i < TIMERS; i++) {
        timers[i].timer.fire = fire;
        timers[i].number = i;
        timer_set(rig.clock, &timers[i].timer, now_us + delays_us[i]);
    }
    assert_int_equal(fired_count, 0); /* never from inside */
    assert_true(rig_until(&rig, all_fired, &count, 2000));
    assert_memory_equal(fired, order, sizeof order);
    assert_false(early);
    rig_fini(&rig);
}

static void a_timer_after_long_work_counts_from_now(void **state)
{
    struct numbered timer = {.timer = {.fire = fire}};
    struct rig rig;
    unsigned count = 1;

    (void)state;
    begin(&rig);
    uint64_t start_us = clock_now_us(rig.clock);
    while (clock_now_us(rig.clock) < start_us + 20000) { /* the loop's own time is old now */
    }
    uint64_t set_us = clock_now_us(rig.clock);
    timer_after_ms(rig.clock, &timer.timer, 10);
    assert_true(rig_until(&rig, all_fired, &count, 2000));
    assert_true(clock_now_us(rig.clock) - set_us >= 10000);
    assert_false(early);
    rig_fini(&rig);
}

static void stopped_timers_do_not_fire_and_timers_may_arm_themselves(void **state)
{
    struct numbered stopped = {.timer = {.fire = fire}, .number = 1};
    struct numbered again = {.timer = {.fire = fire}, .number = 2, .again = 4};
    struct rig rig;
    unsigned count = 5;

    (void)state;
    begin(&rig);
    timer_stop(rig.clock, &stopped.timer); /* not armed: allowed */
    timer_after_ms(rig.clock, &stopped.timer, 1);
    timer_after_ms(rig.clock, &again.timer, 2);
    timer_stop(rig.clock, &stopped.timer);
    assert_true(rig_until(&rig, all_fired, &count, 2000));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(fired[i], 2);
    }
    assert_false(timer_armed(&again.timer));
    rig_fini(&rig);
}

static void what_is_due_at_once_does_not_wait_for_a_millisecond(void **state)
{
    struct numbered timer = {.timer = {.fire = fire}};
    struct rig rig;
    uint64_t least_us = UINT64_MAX;

    (void)state;
    begin(&rig);
    for (unsigned count = 1; count <= 20; count++) {
        uint64_t set_us = clock_now_us(rig.clock);
        timer_set(rig.clock, &timer.timer, set_us);
        assert_true(rig_until(&rig, all_fired, &count, 2000));
        uint64_t took_us = clock_now_us(rig.clock) - set_us;
        least_us = took_us < least_us ? took_us : least_us;
    }
    assert_true(least_us < 500); /* of many, for this machine may be busy */
    rig_fini(&rig);
}

static void chance_and_wall_clock_are_plausible(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig);
    assert_true(clock_random(rig.clock) != clock_random(rig.clock));
    assert_true(clock_wall_ms(rig.clock) > 1600000000000);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_time_and_never_early),
        cmocka_unit_test(a_timer_after_long_work_counts_from_now),
        cmocka_unit_test(stopped_timers_do_not_fire_and_timers_may_arm_themselves),
        cmocka_unit_test(what_is_due_at_once_does_not_wait_for_a_millisecond),
        cmocka_unit_test(chance_and_wall_clock_are_plausible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
