/* SPDX-License-Identifier: Apache-2.0 */
/* queue, timer heap, prng, errors, trace: order, chance and what is told. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "base/queue.h"
#include "base/timer_heap.h"
#include "base/trace.h"
#include "tests/lib/test.h"

struct item {
    int number;
    struct link link;
};

static void a_queue_is_first_in_first_out(void **state)
{
    struct link head;
    struct item items[5] = {{0}};

    (void)state;
    queue_init(&head);
    assert_true(queue_empty(&head));
    assert_null(queue_pop(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        assert_false(link_in_list(&items[i].link));
        queue_push(&head, &items[i].link);
        assert_true(link_in_list(&items[i].link));
    }
    link_remove(&items[2].link);
    assert_false(link_in_list(&items[2].link));
    static const int expected[] = {0, 1, 3, 4};
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(CONTAINER_OF(queue_pop(&head), struct item, link)->number, expected[i]);
    }
    assert_true(queue_empty(&head));
}

static void a_walk_allows_removal_of_the_present_one(void **state)
{
    struct link head;
    struct item items[6] = {{0}};
    int sum = 0;

    (void)state;
    queue_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        queue_push(&head, &items[i].link);
    }
    QUEUE_EACH (link, &head) {
        struct item *item = CONTAINER_OF(link, struct item, link);
        if (item->number % 2 == 0) {
            link_remove(link);
        }
    }
    QUEUE_EACH (link, &head) {
        sum = sum * 10 + CONTAINER_OF(link, struct item, link)->number;
    }
    assert_int_equal(sum, 135);
}

static void never_fires(struct timer *timer)
{
    (void)timer;
}

/* The heap against the plainest possible one: look at all of them. */
static void timers_come_out_by_time_and_then_by_age(void **state)
{
    struct timer_heap heap = {0};
    struct timer timers[64] = {{0}};
    uint64_t at_us[64] = {0};
    uint64_t age[64] = {0};
    bool set[64] = {false};
    struct prng prng;
    uint64_t sets = 0;

    (void)state;
    prng_init(&prng, 3);
    for (int step = 0; step < 20000; step++) {
        size_t i = prng_below(&prng, 64);
        timers[i].fire = never_fires;
        if (prng_chance(&prng, 2, 3)) {
            at_us[i] = prng_below(&prng, 50);
            age[i] = ++sets;
            set[i] = true;
            timer_heap_set(&heap, &timers[i], at_us[i]);
        } else if (prng_chance(&prng, 1, 2)) {
            set[i] = false;
            timer_heap_stop(&heap, &timers[i]);
        } else {
            size_t best = 64;
            for (size_t j = 0; j < 64; j++) {
                if (set[j] && (best == 64 || at_us[j] < at_us[best] ||
                               (at_us[j] == at_us[best] && age[j] < age[best]))) {
                    best = j;
                }
            }
            assert_true(timer_heap_next_us(&heap) == (best < 64 ? at_us[best] : UINT64_MAX));
            struct timer *due = timer_heap_due(&heap, 25);
            if (best < 64 && at_us[best] <= 25) {
                assert_ptr_equal(due, &timers[best]);
                set[best] = false;
            } else {
                assert_null(due);
            }
        }
        assert_int_equal(timer_armed(&timers[i]), set[i]);
    }
    timer_heap_fini(&heap);
    for (size_t i = 0; i < 64; i++) {
        assert_false(timer_armed(&timers[i]));
    }
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct prng a;
    struct prng b;
    struct prng c;

    (void)state;
    prng_init(&a, 42);
    prng_init(&b, 42);
    prng_init(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = prng_next(&a);
        assert_true(value == prng_next(&b));
        same += value == prng_next(&c);
    }
    assert_int_equal(same, 0);
    struct prng split_a = prng_split(&a);
    struct prng split_b = prng_split(&b);
    assert_true(prng_next(&split_a) == prng_next(&split_b));
    assert_true(prng_next(&a) == prng_next(&b));
}

static void draws_stay_in_their_bounds(void **state)
{
    struct prng prng;
    int hits = 0;

    (void)state;
    prng_init(&prng, 1);
    bool seen[10] = {false};
    for (int i = 0; i < 10000; i++) {
        uint64_t value = prng_below(&prng, 10);
        assert_true(value < 10);
        seen[value] = true;
        value = prng_between(&prng, 5, 7);
        assert_in_range(value, 5, 7);
        hits += prng_chance(&prng, 1, 4);
    }
    for (int i = 0; i < 10; i++) {
        assert_true(seen[i]);
    }
    assert_in_range(hits, 2200, 2800);
    assert_int_equal(prng_between(&prng, 9, 9), 9);
    (void)prng_between(&prng, 0, UINT64_MAX);
    assert_false(prng_chance(&prng, 0, 1));
    assert_true(prng_chance(&prng, 1, 1));
}

static void every_error_has_a_name_a_sentence_and_a_kafka_code(void **state)
{
    int count = 0;

    (void)state;
    assert_string_equal(error_name(0), "OK");
    assert_int_equal(error_kafka(0), 0);
    for (int error = -1; strcmp(error_name(error), "E?") != 0; error--) {
        assert_int_equal(error_name(error)[0], 'E');
        assert_true(strlen(error_sentence(error)) > 5);
        assert_int_not_equal(error_kafka(error), 0);
        count++;
    }
    assert_true(count > 30);
    assert_string_equal(error_name(TERN_EIO), "EIO");
    assert_int_equal(error_kafka(TERN_ENOTLEADER), 6);
    assert_string_equal(error_name(1), "E?");
    assert_string_equal(error_name(-100000), "E?");
    assert_int_equal(error_kafka(-100000), -1);
}

static char last_line[512];
static enum trace_level last_level;
static int lines;

static void keep(enum trace_level level, const char *line)
{
    last_level = level;
    (void)snprintf(last_line, sizeof last_line, "%s", line);
    lines++;
}

static void traces_go_to_the_sink_with_who_and_up_to_the_level(void **state)
{
    char longest[1000];

    (void)state;
    trace_set_sink(keep);
    trace_set_who("node=1 region=eu-west");
    trace_warn("event=test n=%d", 5);
    assert_int_equal(lines, 1);
    assert_int_equal(last_level, TRACE_WARN);
    assert_string_equal(last_line, "node=1 region=eu-west event=test n=5");
    trace_debug("event=hidden");
    assert_int_equal(lines, 1);
    trace_set_level(TRACE_DEBUG);
    trace_debug("event=shown");
    assert_int_equal(lines, 2);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    trace_info("%s", longest);
    assert_true(strlen(last_line) < 330);
    trace_set_level(TRACE_INFO);
    trace_set_who("");
    trace_set_sink(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_is_first_in_first_out),
        cmocka_unit_test(a_walk_allows_removal_of_the_present_one),
        cmocka_unit_test(timers_come_out_by_time_and_then_by_age),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(draws_stay_in_their_bounds),
        cmocka_unit_test(every_error_has_a_name_a_sentence_and_a_kafka_code),
        cmocka_unit_test(traces_go_to_the_sink_with_who_and_up_to_the_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
