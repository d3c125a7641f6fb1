/* SPDX-License-Identifier: Apache-2.0 */
/* Logs that are cut or begin anew: what goes is in quarantine, and what stays or comes instead
 * outlives a power failure. */
#include "tests/unit/store_fixture.h"

static void count_quarantined(void *ctx, const struct store_quarantined *q)
{
    struct store_quarantined *out = ctx;

    out->records += q->records;
    out->first_offset = q->first_offset;
    out->end_offset = q->end_offset;
    out->first_epoch = q->first_epoch;
    out->last_epoch = q->last_epoch;
    (void)snprintf(out->path, sizeof out->path, "%s", q->path);
}

static void a_truncation_quarantines_what_it_cuts(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);
    struct store_quarantined q = {0};

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 300; i++) {
        append(log, 1 + i / 100, 700, NULL);
    }
    run_ms(world, 20);
    store_truncate(log, 150, false, &done.req);
    assert_true(store_state(log)->truncating);
    struct waiter synced = waiter_of(NULL);
    store_synced(log, 9, &synced.req);
    assert_int_equal(store_state(log)->synced, 0); /* not before the cut */
    assert_int_equal(synced.calls, 0);
    run_ms(world, 20);
    assert_int_equal(synced.calls, 1);
    assert_int_equal(store_state(log)->synced, 9);
    assert_int_equal(store_state(log)->leo, 150);
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.status, 0);
    assert_false(store_state(log)->truncating);
    store_quarantine_each(world->store, count_quarantined, &q);
    assert_int_equal(q.records, 150);
    assert_int_equal(q.first_offset, 150);
    assert_int_equal(q.end_offset, 300);
    assert_int_equal(q.first_epoch, 2);
    assert_int_equal(q.last_epoch, 3);
    for (int i = 0; i < 100; i++) {
        append(log, 7, 600, NULL);
    }
    run_ms(world, 20);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 250);
    assert_int_equal(store_state(log)->history_count, 3);
    assert_int_equal(store_state(log)->history[2].epoch, 7);
    assert_int_equal(store_state(log)->history[2].start_offset, 150);
    read_all_check(world, log);
    world_free(world);
}

static void a_long_tail_is_quarantined_from_files_and_memory(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);
    struct store_quarantined q = {0};
    struct disk_file *file = NULL;

    (void)state;
    world->options.cache_bytes = 100000;
    world->options.segment_bytes = 1u << 20;
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 1500; i++) {
        append(log, 1 + i / 700, 3000, NULL);
        if (i % 20 == 0) {
            run_ms(world, 5);
        }
    }
    /* The last appends are not even in the journal yet. */
    store_truncate(log, 10, false, &done.req);
    while (done.calls == 0) {
        run_ms(world, 1);
    }
    store_quarantine_each(world->store, count_quarantined, &q);
    assert_int_equal(q.records, 1490);
    assert_int_equal(q.first_epoch, 1);
    assert_int_equal(q.last_epoch, 3);
    assert_int_equal(world->disk->ops->open(world->disk, q.path, false, &file), 0);
    uint8_t *bytes = mem_new(3000);
    for (int i = 10; i < 1500; i++) {
        struct chunk want = batch_make(i, 1, 1 + i / 700, 1000 + i, 3000, (uint32_t)i + 1);
        assert_int_equal(
            world->disk->ops->read(world->disk, file, 128 + (uint64_t)(i - 10) * 3000, bytes, 3000),
            3000);
        assert_memory_equal(bytes, want.base, 3000);
        chunk_drop(&want);
    }
    free(bytes);
    world->disk->ops->close(world->disk, file);
    read_all_check(world, log);
    world_free(world);
}

static void many_logs_are_cut_at_once_and_nothing_is_lost(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 30; round++) {
        struct world *world = world_new();
        struct waiter done[40];
        struct store_log *logs[40];
        for (int32_t i = 0; i < 40; i++) {
            logs[i] = store_create(world->store, topic, i, NULL);
            done[i] = waiter_of(NULL);
            for (int k = 0; k < 5; k++) {
                append(logs[i], 1, 700, NULL);
            }
        }
        run_ms(world, 20);
        for (int32_t i = 0; i < 40; i++) {
            store_truncate(logs[i], 2, false, &done[i].req);
        }
        fake_clock_run(&world->clock, round * 300);
        if (round == 29) {
            run_ms(world, 100);
        }
        assert_int_equal(world_restart(world, true), 0);
        struct store_quarantined q = {0};
        store_quarantine_each(world->store, count_quarantined, &q);
        for (int32_t i = 0; i < 40; i++) {
            struct store_log *log = store_find(world->store, topic, i);
            bool is_cut = store_state(log)->leo == 2;
            assert_true(is_cut || store_state(log)->leo == 5);
            assert_true(is_cut || done[i].calls == 0);
            assert_true(is_cut || round < 29);
            q.records -= is_cut ? 3 : 0;
            read_all_check(world, log);
        }
        assert_true(q.records < 1000); /* at least one file for each cut: no wrap below zero */
        world_free(world);
    }
}

static void a_log_can_be_deleted_while_it_is_cut(void **state)
{
    (void)state;
    for (uint64_t us = 0; us < 3000; us += 50) {
        struct world *world = world_new();
        int order = 0;
        struct waiter cut = waiter_of(&order);
        struct waiter synced = waiter_of(&order);
        struct waiter gone = waiter_of(&order);
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        for (int i = 0; i < 100; i++) {
            append(log, 1, 700, NULL);
        }
        run_ms(world, 10);
        store_truncate(log, 10, false, &cut.req);
        store_synced(log, 3, &synced.req);
        fake_clock_run(&world->clock, us);
        store_delete(log, &gone.req);
        log = store_create(world->store, topic, 0, NULL);
        append(log, 4, 500, NULL);
        run_ms(world, 50);
        assert_int_equal(cut.place, 1);
        assert_int_equal(synced.place, 2);
        assert_int_equal(gone.place, 3);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->leo, 1);
        read_all_check(world, log);
        world_free(world);
    }
}

static void a_restart_of_a_log_begins_at_its_offset(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 100; i++) {
        append(log, 1, 700, NULL);
    }
    store_restart(log, 5000, true, (struct slice){0}, &done.req);
    run_ms(world, 20);
    assert_int_equal(done.calls, 1);
    assert_int_equal(store_state(log)->durable_leo, 5000);
    append(log, 2, 700, NULL);
    run_ms(world, 20);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->log_start, 5000);
    assert_int_equal(store_state(log)->leo, 5001);
    read_all_check(world, log);
    world_free(world);
}

static void assert_producers(struct store_log *log, int64_t offset, const char *text)
{
    struct buf out = {0};
    int64_t at = -1;

    assert_true(store_producers_load(log, INT64_MAX, &at, &out));
    assert_int_equal(at, offset);
    assert_true(slice_equal(buf_slice(&out), slice_text(text)));
    buf_fini(&out);
}

/* Whenever the power fails: either the old log stands, or the new one and what it was given. */
static void what_a_restart_brings_is_durable_with_it(void **state)
{
    unsigned begun_anew = 0;

    (void)state;
    for (unsigned steps = 0; steps < 14; steps++) {
        struct world *world = world_new();
        struct waiter done = waiter_of(NULL);
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        for (int i = 0; i < 30; i++) {
            append(log, 1, 700, NULL);
        }
        run_ms(world, 10);
        store_producers_save(log, 30, 0, slice_text("of the old log"), NULL);
        run_ms(world, 10);
        mem_disk_stop_at(world->disk, mem_disk_points(world->disk) + steps);
        store_restart(log, 30, false, slice_text("given"), &done.req);
        run_ms(world, 40);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        bool restarted = store_state(log)->log_start == 30;
        assert_true(restarted || done.calls == 0);
        begun_anew += restarted;
        assert_producers(log, 30, restarted ? "given" : "of the old log");
        run_ms(world, 200); /* now also in its file */
        assert_producers(log, 30, restarted ? "given" : "of the old log");
        world_free(world);
    }
    assert_in_range(begun_anew, 1, 13);
}

/* The file is written late; a cut that was called for earlier must not take it away when it is replayed. */
static void what_a_restart_brings_outlives_the_replay_of_an_older_cut(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 30; i++) {
        append(log, 1, 700, NULL);
    }
    store_truncate(log, 20, true, NULL);
    run_ms(world, 20);
    store_restart(log, 50, true, slice_text("given"), &done.req);
    run_ms(world, 1);
    assert_int_equal(done.calls, 1);
    assert_producers(log, 50, "given"); /* from memory */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_restart(world, true), 0); /* both are replayed */
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->log_start, 50);
        assert_producers(log, 50, "given");
        run_ms(world, 200);
        assert_producers(log, 50, "given");
    }
    append(log, 2, 700, NULL);
    append(log, 2, 700, NULL);
    store_truncate(log, 51, true, NULL);
    run_ms(world, 20);
    assert_int_equal(world_restart(world, true), 0);
    assert_producers(store_find(world->store, topic, 0), 50, "given");
    world_free(world);
}

static void a_read_is_cancelled_by_a_truncation(void **state)
{
    struct world *world = world_new();
    struct store_read read = {.offset = 0, .limit = 100, .max_bytes = 1000, .done = read_done};

    (void)state;
    world->options.cache_bytes = 0;
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    append(log, 1, 700, NULL);
    run_ms(world, 10);
    read.log = log;
    read_finished = false;
    assert_false(store_read(&read));
    store_truncate(log, 1, true, NULL);
    run_ms(world, 10);
    assert_true(read_finished);
    assert_int_equal(read.status, TERN_ECANCELED);
    store_read_fini(&read);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncation_quarantines_what_it_cuts),
        cmocka_unit_test(a_long_tail_is_quarantined_from_files_and_memory),
        cmocka_unit_test(many_logs_are_cut_at_once_and_nothing_is_lost),
        cmocka_unit_test(a_log_can_be_deleted_while_it_is_cut),
        cmocka_unit_test(a_restart_of_a_log_begins_at_its_offset),
        cmocka_unit_test(what_a_restart_brings_is_durable_with_it),
        cmocka_unit_test(what_a_restart_brings_outlives_the_replay_of_an_older_cut),
        cmocka_unit_test(a_read_is_cancelled_by_a_truncation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
