/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fill up. */
#include "tests/unit/store_fixture.h"

static void a_full_disk_loses_nothing_and_promises_still_work(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);
    struct waiter promised = waiter_of(NULL);

    (void)state;
    world->options.reserve_bytes = 50000;
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    run_ms(world, 1000);
    mem_disk_set_capacity(world->disk, mem_disk_used(world->disk) + 20000);
    run_ms(world, 1000);
    assert_false(store_writable(world->store));
    for (int i = 0; i < 60; i++) {
        append(log, 1, 700, &done.req);
        done.calls = 0;
        run_ms(world, 3);
        assert_int_equal(done.calls, 1);
    }
    store_promise(log, 5, &promised.req);
    run_ms(world, 1000);
    assert_int_equal(promised.calls, 1);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 61);
    assert_int_equal(store_state(log)->promised, 5);
    read_all_check(world, log);
    mem_disk_set_capacity(world->disk, UINT64_MAX);
    run_ms(world, 1000);
    assert_true(store_writable(world->store));
    struct waiter flushed = waiter_of(NULL);
    store_flush(world->store, &flushed.req);
    run_ms(world, 1000);
    assert_int_equal(flushed.calls, 1);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 61);
    read_all_check(world, log);
    world_free(world);
}

static void a_cut_waits_for_space_and_promises_do_not(void **state)
{
    struct world *world = world_new();
    struct waiter cut = waiter_of(NULL);
    struct waiter promised = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 100; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 1000);
    mem_disk_set_capacity(world->disk, mem_disk_used(world->disk) + 1000);
    store_truncate(log, 10, false, &cut.req);
    store_promise(log, 7, &promised.req);
    run_ms(world, 3000);
    assert_int_equal(promised.calls, 1);
    assert_int_equal(cut.calls, 0);
    assert_int_equal(store_state(log)->leo, 100);
    read_all_check(world, log);
    mem_disk_set_capacity(world->disk, UINT64_MAX);
    run_ms(world, 1000);
    assert_int_equal(cut.calls, 1);
    assert_int_equal(cut.status, 0);
    assert_int_equal(store_state(log)->leo, 10);
    assert_int_equal(world->fatal, 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_loses_nothing_and_promises_still_work),
        cmocka_unit_test(a_cut_waits_for_space_and_promises_do_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
