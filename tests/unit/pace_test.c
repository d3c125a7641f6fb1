/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pace.h"
#include "tests/lib/test.h"

#define MIB ((uint64_t)1 << 20)

struct world {
    struct pace pace;
    uint64_t now_us;
};

static struct world world_new(void)
{
    struct world w = {.now_us = 5000000};

    pace_init(&w.pace, w.now_us);
    return w;
}

/* Windows in which leaders here take so many bytes a second, batches wait so long, and those nodes are
 * sent whatever the pace allows. Returns bytes a second that were sent. */
static uint64_t run(struct world *w, unsigned windows, uint64_t taken_per_s, uint64_t wait_us,
                    uint64_t catching)
{
    uint64_t sent = 0;

    for (unsigned ms = 0; ms < windows * PACE_WINDOW_MS; ms++) {
        w->now_us += 1000;
        pace_taken(&w->pace, taken_per_s / 1000);
        if (wait_us != 0) {
            pace_waited(&w->pace, wait_us);
        }
        for (uint32_t turn = 0; turn < 3; turn++) {
            uint32_t node = 1 + (ms + turn) % 3;
            if ((catching >> node & 1) != 0 && pace_wait_us(&w->pace, w->now_us) == 0) {
                pace_used(&w->pace, node, 256 << 10);
                sent += 256 << 10;
            }
        }
        if (ms % 50 == 49) {
            pace_tick(&w->pace, w->now_us);
        }
    }
    return sent * 1000 / (windows * PACE_WINDOW_MS);
}

static void who_disturbs_nobody_is_brought_up_to_date_ever_faster(void **state)
{
    struct world w = world_new();

    (void)state;
    (void)run(&w, 10, 10 * MIB, 8000, 0);
    assert_int_equal(w.pace.usual_us, 8000);
    uint64_t first = run(&w, 1, 10 * MIB, 8000, 1 << 2);
    assert_in_range(first / MIB, 60, 92); /* with what may be read at once */
    (void)run(&w, 20, 10 * MIB, 9000, 1 << 2);
    assert_true(w.pace.per_s > 500 * MIB);
}

static void producers_who_wait_longer_halve_the_pace_down_to_one_that_ends(void **state)
{
    struct world w = world_new();

    (void)state;
    (void)run(&w, 20, 100 * MIB, 8000, 0);
    (void)run(&w, 30, 100 * MIB, 30000, 1 << 2);
    uint64_t sent = run(&w, 8, 100 * MIB, 30000, 1 << 2);
    assert_true(sent > 130 * MIB &&
                sent < 145 * MIB);           /* what comes meanwhile, and four tenths of it */
    assert_int_equal(w.pace.usual_us, 8000); /* nothing is learned from them */
    /* Two that catch up need twice as much. */
    (void)run(&w, 30, 100 * MIB, 30000, 1 << 2 | 1 << 3);
    sent = run(&w, 8, 100 * MIB, 30000, 1 << 2 | 1 << 3);
    assert_in_range(sent / MIB, 265, 290);
}

static void a_slow_pace_rises_when_producers_wait_as_usual_again(void **state)
{
    struct world w = world_new();

    (void)state;
    (void)run(&w, 20, 10 * MIB, 8000, 0);
    (void)run(&w, 20, 10 * MIB, 40000, 1 << 2);
    assert_int_equal(w.pace.per_s, PACE_LEAST);
    (void)run(&w, 10, 10 * MIB, 8000, 1 << 2);
    assert_true(w.pace.per_s > 100 * MIB);
}

static void where_nothing_waits_or_nothing_is_known_of_it_it_goes_as_fast_as_it_can(void **state)
{
    struct world w = world_new();

    (void)state;
    (void)run(&w, 20, 0, 0, 1 << 2);
    assert_int_equal(w.pace.per_s, PACE_MOST);
    (void)run(&w, 20, 0, 50000, 1 << 2);
    assert_int_equal(w.pace.per_s, PACE_MOST);
}

static void what_is_usual_is_learned_anew_when_all_have_caught_up(void **state)
{
    struct world w = world_new();

    (void)state;
    (void)run(&w, 20, 10 * MIB, 8000, 0);
    (void)run(&w, 10, 10 * MIB, 90000, 1 << 2);
    (void)run(&w, 1, 10 * MIB, 90000, 0); /* queues drain */
    assert_int_equal(w.pace.usual_us, 8000);
    (void)run(&w, 80, 10 * MIB, 20000, 0);
    assert_true(w.pace.usual_us > 19000 && w.pace.usual_us <= 20000);
    assert_int_equal(w.pace.per_s, PACE_FIRST);
}

static void after_a_rest_no_more_than_ten_milliseconds_are_read_at_once(void **state)
{
    struct world w = world_new();
    size_t bytes = 0;

    (void)state;
    w.now_us += 3600 * UINT64_C(1000000);
    while (pace_wait_us(&w.pace, w.now_us) == 0) {
        pace_used(&w.pace, 1, 1000);
        bytes += 1000;
    }
    assert_true(bytes <= PACE_FIRST / 100 + 1000);
    /* Who read more than was due waits for it. */
    pace_used(&w.pace, 1, PACE_FIRST / 500);
    uint64_t wait_us = pace_wait_us(&w.pace, w.now_us);
    assert_in_range(wait_us, 2000, 2050);
    assert_true(pace_wait_us(&w.pace, w.now_us + 1000) > 0);
    assert_int_equal(pace_wait_us(&w.pace, w.now_us + wait_us), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_disturbs_nobody_is_brought_up_to_date_ever_faster),
        cmocka_unit_test(producers_who_wait_longer_halve_the_pace_down_to_one_that_ends),
        cmocka_unit_test(a_slow_pace_rises_when_producers_wait_as_usual_again),
        cmocka_unit_test(where_nothing_waits_or_nothing_is_known_of_it_it_goes_as_fast_as_it_can),
        cmocka_unit_test(what_is_usual_is_learned_anew_when_all_have_caught_up),
        cmocka_unit_test(after_a_rest_no_more_than_ten_milliseconds_are_read_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
