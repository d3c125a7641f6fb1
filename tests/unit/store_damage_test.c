/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail, fill up, forget and lie. */
#include "tests/unit/store_fixture.h"

static void a_failed_fsync_is_fatal_and_acknowledges_nothing(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    run_ms(world, 10);
    mem_disk_fail_next_sync(world->disk);
    append(log, 1, 700, &done.req);
    run_ms(world, 100);
    assert_int_equal(world->fatal, TERN_EIO);
    assert_int_equal(done.calls, 0);
    assert_false(store_writable(world->store));
    world_free(world);
}

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

static void damage_below_the_synced_mark_is_refused(void **state)
{
    int refused = 0;

    (void)state;
    /* One append, then its idle marker: every bit flipped in the append's sectors is damage. */
    for (uint64_t pos = 4096; pos < 8192; pos += 131) {
        struct world *world = world_new();
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        append(log, 1, 3000, NULL);
        run_ms(world, 200);
        assert_true(mem_disk_flip(world->disk, "journal/0", pos, (unsigned)pos));
        int status = world_restart(world, false);
        assert_int_equal(status, TERN_EDAMAGED);
        assert_non_null(strstr(world->why, "journal/0"));
        refused++;
        world_free(world);
    }
    assert_true(refused > 20);
}

static void damage_in_the_last_group_is_told_from_a_torn_write(void **state)
{
    static const uint8_t zeros[512] = {0};

    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        struct world *world = world_new();
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        run_ms(world, 200); /* create and its marker: blocks 0, 1 and 2 */
        append(log, 1, 3000, NULL);
        run_ms(world, 5);
        if (torn != 0) {
            assert_true(mem_disk_poke(world->disk, "journal/0", 3 * 4096 + 1024,
                                      slice_of(zeros, sizeof zeros)));
        } else {
            assert_true(mem_disk_flip(world->disk, "journal/0", 3 * 4096 + 1024, 3));
        }
        int status = world_restart(world, false);
        assert_int_equal(status, torn != 0 ? 0 : TERN_EDAMAGED);
        if (torn != 0) {
            log = store_find(world->store, topic, 0);
            assert_int_equal(store_state(log)->leo, 0);
        }
        world_free(world);
    }
}

static void sectors_of_an_earlier_run_are_not_believed(void **state)
{
    static const uint8_t zeros[512] = {0};
    struct world *world = world_new();
    struct disk_file *file = NULL;
    uint8_t old[512];
    const uint64_t at = 3 * 4096;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    run_ms(world, 200);
    append(log, 1, 3000, NULL);
    run_ms(world, 5);
    assert_int_equal(world->disk->ops->open(world->disk, "journal/0", false, &file), 0);
    assert_int_equal(world->disk->ops->read(world->disk, file, at + 1024, old, sizeof old), 512);
    world->disk->ops->close(world->disk, file);
    assert_true(mem_disk_poke(world->disk, "journal/0", at, slice_of(zeros, sizeof zeros)));
    assert_int_equal(world_restart(world, false), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 0);
    append(log, 2, 3000, NULL);
    run_ms(world, 5);
    assert_true(mem_disk_poke(world->disk, "journal/0", at + 1024, slice_of(old, sizeof old)));
    assert_int_equal(world_restart(world, false), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 0);
    world_free(world);
}

static void a_lost_write_below_the_synced_mark_is_damage(void **state)
{
    static const uint8_t zeros[4096] = {0};
    struct world *world = world_new();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 3000, NULL);
    run_ms(world, 200);
    assert_true(mem_disk_poke(world->disk, "journal/0", 4096, slice_of(zeros, sizeof zeros)));
    assert_int_equal(world_restart(world, false), TERN_EDAMAGED);
    world_free(world);
}

static void a_missing_checkpoint_is_not_a_new_store(void **state)
{
    struct world *world = world_new();

    (void)state;
    (void)store_create(world->store, topic, 0, NULL);
    run_ms(world, 200);
    assert_int_equal(world->disk->ops->remove(world->disk, "checkpoint"), 0);
    assert_int_equal(world_restart(world, false), TERN_EDAMAGED);
    assert_non_null(strstr(world->why, "checkpoint"));
    world_free(world);
}

static void unknown_formats_are_refused_with_both_versions(void **state)
{
    static const char *const paths[] = {"checkpoint", "journal/0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct world *world = world_new();
        static const uint8_t other[4] = {9, 0, 0, 0};
        (void)store_create(world->store, topic, 0, NULL);
        run_ms(world, 200);
        assert_true(mem_disk_poke(world->disk, paths[i], 8, slice_of(other, sizeof other)));
        assert_int_equal(world_restart(world, false), TERN_EFORMAT);
        assert_non_null(strstr(world->why, "format 9"));
        assert_non_null(strstr(world->why, "knows 1"));
        world_free(world);
    }
}

static void a_segment_of_another_format_is_not_read(void **state)
{
    static const uint8_t other[4] = {9, 0, 0, 0};
    struct world *world = world_new();
    char id[UUID_TEXT_SIZE];
    char path[128];
    struct store_read read = {.offset = 0, .limit = 100, .max_bytes = 1000, .done = read_done};

    (void)state;
    append(store_create(world->store, topic, 0, NULL), 1, 700, NULL);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    uuid_text(topic, id);
    (void)snprintf(path, sizeof path, "topics/%s-0/%020d.log", id, 0);
    assert_true(mem_disk_poke(world->disk, path, 8, slice_of(other, sizeof other)));
    assert_int_equal(world_restart(world, false), 0);
    read.log = store_find(world->store, topic, 0);
    assert_true(store_read(&read));
    assert_int_equal(read.status, TERN_EFORMAT);
    world_free(world);
}

static void a_damaged_segment_is_seen_by_the_reader(void **state)
{
    struct world *world = world_new();
    char id[UUID_TEXT_SIZE];
    char path[128];
    struct store_read read = {.offset = 0, .limit = 100, .max_bytes = 1000, .done = read_done};

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    append(log, 1, 700, NULL);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    uuid_text(topic, id);
    (void)snprintf(path, sizeof path, "topics/%s-0/%020d.log", id, 0);
    assert_int_equal(world_restart(world, false), 0);
    assert_true(mem_disk_flip(world->disk, path, 64 + 300, 1));
    read.log = store_find(world->store, topic, 0);
    read_finished = false;
    assert_false(store_read(&read));
    run_ms(world, 10);
    assert_true(read_finished);
    assert_int_equal(read.status, TERN_EDAMAGED);
    store_read_fini(&read);
    world_free(world);
}

struct pick {
    struct prng *prng;
    uint64_t seen;
    char path[256];
    uint64_t size;
};

static void pick_one(void *ctx, const char *path, uint64_t size)
{
    struct pick *pick = ctx;

    if (size > 0 && prng_below(pick->prng, ++pick->seen) == 0) {
        (void)snprintf(pick->path, sizeof pick->path, "%s", path);
        pick->size = size;
    }
}

static void flipped_bits_anywhere_are_survived(void **state)
{
    struct prng prng;
    int refused = 0;

    (void)state;
    prng_init(&prng, 5);
    for (int round = 0; round < 400; round++) {
        struct world *world = world_new();
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        for (int i = 0; i < 60; i++) {
            append(log, 1 + i / 30, 1500, NULL);
            if (i == 40) {
                store_note_put(world->store, 1, slice_text("note"), NULL);
                store_producers_save(log, 40, slice_text("producers"));
                store_flush(world->store, NULL);
                run_ms(world, 20);
                store_truncate(log, 35, false, NULL);
                run_ms(world, 20);
                for (int j = 35; j < 40; j++) {
                    append(log, 2, 1500, NULL);
                }
            }
        }
        run_ms(world, 300);
        int64_t leo = store_state(log)->leo;
        for (uint64_t i = prng_below(&prng, 4); i < 4; i++) {
            struct pick pick = {.prng = &prng};
            mem_disk_each(world->disk, pick_one, &pick);
            bool front = prng_chance(&prng, 1, 2);
            (void)mem_disk_flip(world->disk, pick.path,
                                prng_below(&prng, front && pick.size > 200 ? 200 : pick.size),
                                (unsigned)prng_below(&prng, 8));
        }
        if (world_restart(world, false) != 0) {
            assert_string_not_equal(world->why, "");
            refused++;
        } else {
            struct store_read read = {.log = store_find(world->store, topic, 0),
                                      .limit = leo,
                                      .max_bytes = 1000000,
                                      .done = read_done};
            assert_non_null(read.log);
            assert_int_equal(store_state(read.log)->leo, leo);
            (void)store_read(&read);
            run_ms(world, 20);
            store_read_fini(&read);
            int64_t offset = 0;
            int64_t timestamp_ms = 0;
            int found = store_find_time(read.log, 1020, &offset, &timestamp_ms);
            assert_true(found == 0 || found == TERN_EDAMAGED || found == TERN_EFORMAT);
            struct buf out = {0};
            (void)store_producers_load(read.log, 100, &offset, &out);
            buf_fini(&out);
        }
        world_free(world);
    }
    assert_in_range(refused, 20, 380);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_fsync_is_fatal_and_acknowledges_nothing),
        cmocka_unit_test(a_full_disk_loses_nothing_and_promises_still_work),
        cmocka_unit_test(a_cut_waits_for_space_and_promises_do_not),
        cmocka_unit_test(damage_below_the_synced_mark_is_refused),
        cmocka_unit_test(damage_in_the_last_group_is_told_from_a_torn_write),
        cmocka_unit_test(sectors_of_an_earlier_run_are_not_believed),
        cmocka_unit_test(a_lost_write_below_the_synced_mark_is_damage),
        cmocka_unit_test(a_missing_checkpoint_is_not_a_new_store),
        cmocka_unit_test(unknown_formats_are_refused_with_both_versions),
        cmocka_unit_test(a_segment_of_another_format_is_not_read),
        cmocka_unit_test(a_damaged_segment_is_seen_by_the_reader),
        cmocka_unit_test(flipped_bits_anywhere_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
