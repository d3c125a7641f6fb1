/* SPDX-License-Identifier: Apache-2.0 */
/* A device that takes the journal but is behind with segments: what waits in memory is bounded. */
#include "tests/unit/store_fixture.h"

#define BATCH     3000
#define MOST      10000 /* so four batches are more */
#define MS        ((uint64_t)1000)
#define HANGING_S 10

static uint64_t held(const struct world *world)
{
    struct store_counters counters;

    store_counters(world->store, &counters);
    return counters.held;
}

static struct world *small_world(void)
{
    struct world *world = world_new();

    world->options.cache_bytes = 0; /* segments are written at once */
    world->options.unapplied_bytes = MOST;
    assert_int_equal(world_restart(world, false), 0);
    mem_disk_set_latency(world->disk, MS, MS);
    return world;
}

static void append_some(struct store_log *log, int count)
{
    for (int i = 0; i < count; i++) {
        append(log, 1, BATCH, NULL);
    }
}

/* Batches are durable, and the write that brings the first one into its segment takes long. */
static struct store_log *hanging_segment(struct world *world, int durable)
{
    struct store_log *log = store_create(world->store, topic, 0, NULL);

    run_ms(world, 20);
    append_some(log, 1);
    /* The journal's write is under way; the segment's comes behind it. */
    fake_clock_run(&world->clock, MS / 2);
    mem_disk_set_latency(world->disk, HANGING_S * 1000 * MS, HANGING_S * 1000 * MS);
    run_ms(world, 1);
    mem_disk_set_latency(world->disk, MS, MS);
    append_some(log, durable - 1);
    run_ms(world, 20);
    assert_int_equal(store_state(log)->durable_leo, durable);
    return log;
}

static void the_journal_waits_for_segments_that_are_behind(void **state)
{
    struct world *world = small_world();
    struct waiter waiter = waiter_of(NULL);

    (void)state;
    struct store_log *log = hanging_segment(world, 5);
    assert_int_equal(held(world), 0);
    append(log, 1, BATCH, &waiter.req);
    append_some(log, 20);
    run_ms(world, 3000);
    assert_int_equal(waiter.calls, 0);
    assert_int_equal(store_state(log)->durable_leo, 5);
    assert_int_equal(held(world), 1);
    run_ms(world, HANGING_S * 1000);
    assert_int_equal(waiter.calls, 1);
    assert_int_equal(store_state(log)->durable_leo, 26);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    read_all_check(world, store_find(world->store, topic, 0));
    world_free(world);
}

static void as_much_as_may_wait_holds_nobody_up(void **state)
{
    struct world *world = small_world();
    struct waiter waiter = waiter_of(NULL);

    (void)state;
    struct store_log *log = hanging_segment(world, 4);
    append(log, 1, BATCH, &waiter.req);
    run_ms(world, 20);
    assert_int_equal(waiter.calls, 1);
    assert_int_equal(held(world), 0);
    world_free(world);
}

static void a_journal_that_waits_for_segments_is_told_by_its_age(void **state)
{
    struct world *world = small_world();

    (void)state;
    struct store_log *log = hanging_segment(world, 5);
    run_ms(world, 1000);
    assert_int_equal(store_write_age_ms(world->store), 0); /* nobody waits */
    append_some(log, 1);
    run_ms(world, 3000);
    assert_in_range(store_write_age_ms(world->store), 2900, 3000);
    run_ms(world, HANGING_S * 1000);
    assert_int_equal(store_write_age_ms(world->store), 0);
    world_free(world);
}

static void segments_that_are_written_one_after_the_other_do_not_hang(void **state)
{
    struct world *world = small_world();

    (void)state;
    struct store_log *log = hanging_segment(world, 1);
    append_some(log, 2);
    store_log_start(log, 1, NULL); /* by itself, between two writes */
    append_some(log, 6);
    run_ms(world, 20);
    assert_int_equal(store_state(log)->durable_leo, 9);
    append_some(log, 1);
    run_ms(world, 8000);
    assert_in_range(store_write_age_ms(world->store), 7900, 8100);
    mem_disk_set_latency(world->disk, HANGING_S * 1000 * MS, HANGING_S * 1000 * MS);
    run_ms(world, 5000);
    assert_int_equal(store_state(log)->durable_leo, 9); /* the second one is under way */
    assert_in_range(store_write_age_ms(world->store), 2900, 3100);
    run_ms(world, 60000);
    assert_int_equal(store_state(log)->durable_leo, 10);
    world_free(world);
}

/* Records are refused there by the caller; what is promised must still be written down. */
static void on_a_full_disk_the_journal_waits_for_nothing(void **state)
{
    struct world *world = small_world();
    struct waiter waiter = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    run_ms(world, 20);
    mem_disk_set_capacity(world->disk, mem_disk_used(world->disk));
    append_some(log, 10);
    run_ms(world, 20);
    assert_false(store_writable(world->store));
    store_promise(log, 7, &waiter.req);
    run_ms(world, 20);
    assert_int_equal(waiter.calls, 1);
    assert_int_equal(waiter.status, 0);
    mem_disk_set_capacity(world->disk, UINT64_MAX);
    run_ms(world, 2000);
    assert_true(store_writable(world->store));
    read_all_check(world, log);
    world_free(world);
}

static void count_segment(void *ctx, const char *path, uint64_t size)
{
    size_t *count = ctx;
    size_t len = strlen(path);

    (void)size;
    *count += len > 4 && strcmp(path + len - 4, ".log") == 0;
}

static size_t segments(const struct world *world)
{
    size_t count = 0;

    mem_disk_each(world->disk, count_segment, &count);
    return count;
}

/* The loop makes them itself: heartbeats wait meanwhile, and what is late makes everybody patient. */
static void files_of_many_new_partitions_are_made_over_many_turns(void **state)
{
    enum { LOGS = 400, AT_ONCE = 64 };
    struct world *world = small_world();
    size_t before = 0;
    size_t turns = 0;

    (void)state;
    world->options.unapplied_bytes = 1u << 20;
    assert_int_equal(world_restart(world, false), 0);
    mem_disk_set_latency(world->disk, 3 * MS, 3 * MS);
    for (int32_t i = 0; i < LOGS; i++) {
        append(store_create(world->store, topic, i, NULL), 1, 100, NULL);
    }
    for (int i = 0; i < 200; i++) {
        run_ms(world, 1);
        size_t now = segments(world);
        assert_in_range(now - before, 0, AT_ONCE);
        turns += now > before;
        before = now;
    }
    assert_int_equal(before, LOGS);
    assert_in_range(turns, LOGS / AT_ONCE, LOGS);
    for (int32_t i = 0; i < LOGS; i++) {
        read_all_check(world, store_find(world->store, topic, i));
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_waits_for_segments_that_are_behind),
        cmocka_unit_test(as_much_as_may_wait_holds_nobody_up),
        cmocka_unit_test(a_journal_that_waits_for_segments_is_told_by_its_age),
        cmocka_unit_test(segments_that_are_written_one_after_the_other_do_not_hang),
        cmocka_unit_test(on_a_full_disk_the_journal_waits_for_nothing),
        cmocka_unit_test(files_of_many_new_partitions_are_made_over_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
