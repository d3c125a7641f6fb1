/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail, forget and lie. */
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

/* Fills all that is damaged with what append() had written, as another replica would. */
static int repair_all(struct world *world, struct store_log *log, size_t len)
{
    struct store_damage damage;
    int repaired = 0;

    while (store_damage_at(log, 0, &damage)) {
        struct waiter done = waiter_of(NULL);
        struct chunk batch = batch_make(damage.offset, 1, damage.epoch, 1000 + damage.offset, len,
                                        (uint32_t)damage.offset + 1);
        assert_int_equal(store_repair(log, batch, &done.req), 0);
        chunk_drop(&batch);
        run_ms(world, 20);
        assert_int_equal(done.calls, 1);
        assert_int_equal(done.status, 0);
        repaired++;
    }
    assert_true(store_state(log)->damaged_from == INT64_MAX);
    return repaired;
}

static struct chunk sound_batch(int64_t offset, int32_t epoch, size_t len)
{
    return batch_make(offset, 1, epoch, 1000 + offset, len, (uint32_t)offset + 1);
}

static void a_batch_that_the_journal_has_lost_is_marked_and_filled(void **state)
{
    int marked = 0;
    int healed = 0;

    (void)state;
    /* One append, then its idle marker: every bit flipped in the append's sectors is damage. */
    for (uint64_t pos = 4096; pos < 8192; pos += 131) {
        for (int power = 0; power < 2; power++) {
            struct world *world = world_new();
            struct store_log *log = store_create(world->store, topic, 0, NULL);
            append(log, 1, 3000, NULL);
            store_promise(log, 4, NULL);
            store_synced(log, 3, NULL);
            run_ms(world, power != 0 ? 50 : 700);
            assert_true(mem_disk_flip(world->disk, "journal/0", pos, (unsigned)pos));
            assert_int_equal(world_restart(world, power != 0), 0);
            assert_false(store_forgotten(world->store));
            log = store_find(world->store, topic, 0);
            assert_int_equal(store_state(log)->leo, 1);
            assert_int_equal(store_state(log)->promised, 4);
            assert_int_equal(store_state(log)->synced, 3);
            if (store_state(log)->damaged_from == 0) {
                struct store_read read = {.log = log, .limit = 1, .max_bytes = 1};
                assert_true(store_read(&read));
                assert_int_equal(read.status, TERN_EDAMAGED);
                assert_int_equal(repair_all(world, log, 3000), 1);
                marked++;
            } else {
                healed++;
            }
            read_all_check(world, log);
            assert_int_equal(world_restart(world, true), 0);
            log = store_find(world->store, topic, 0);
            assert_true(store_state(log)->damaged_from == INT64_MAX);
            read_all_check(world, log);
            world_free(world);
        }
    }
    assert_true(marked > 15);
    assert_true(healed > 15);
}

static void a_journal_that_lost_more_than_records_makes_the_disk_forget(void **state)
{
    struct world *world = world_new();
    struct store_log *log = store_create(world->store, topic, 0, NULL);

    (void)state;
    /* A group without padding: its directory has no room. */
    append(log, 1, 700, NULL);
    run_ms(world, 5);
    append(log, 1, 8 * 496 - 32 - 12 - 12 - 4, NULL);
    store_promise(log, 9, NULL);
    run_ms(world, 200);
    assert_true(mem_disk_flip(world->disk, "journal/0", 2 * 4096 + 7 * 512 + 400, 1));
    assert_int_equal(world_restart(world, false), 0);
    assert_true(store_forgotten(world->store));
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 1);
    assert_int_equal(store_state(log)->promised, 0);
    read_all_check(world, log);
    for (int i = 0; i < 3; i++) { /* what was written behind the damage is not believed later */
        append(log, 12, 700, NULL);
        run_ms(world, 200);
        assert_int_equal(world_restart(world, i == 1), 0);
        assert_true(store_forgotten(world->store));
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->leo, 2 + i);
        read_all_check(world, log);
    }
    assert_int_equal(store_forgotten_told(world->store), 0);
    assert_false(store_forgotten(world->store));
    assert_int_equal(world_restart(world, true), 0);
    assert_false(store_forgotten(world->store));
    read_all_check(world, store_find(world->store, topic, 0));
    world_free(world);
}

static void cut_off(struct disk *disk, const char *path, uint64_t keep)
{
    struct disk_file *file = NULL;

    assert_int_equal(disk->ops->open(disk, path, false, &file), 0);
    assert_int_equal(disk->ops->truncate(disk, file, keep), 0);
    assert_int_equal(disk->ops->sync(disk, file), 0);
    disk->ops->close(disk, file);
}

/* However much of whichever file: what is gone is not taken for what was never written. */
static void a_journal_file_that_is_cut_off_makes_the_disk_forget(void **state)
{
    int forgot = 0;
    int kept = 0;

    (void)state;
    for (unsigned file = 0; file < 3; file++) {
        for (uint64_t part = 0; part < 16; part++) {
            char path[32];
            struct disk_stat stat;
            struct world *world = world_new();
            struct store_log *log = store_create(world->store, topic, 0, NULL);
            int64_t leo = 60 + 9 * (int64_t)part;
            for (int64_t i = 0; i < leo; i++) {
                append(log, 1, 1000, NULL);
                run_ms(world, 5);
            }
            run_ms(world, 30);
            assert_int_equal(store_state(log)->durable_leo, leo);
            (void)snprintf(path, sizeof path, "journal/%u", file);
            if (world->disk->ops->stat(world->disk, path, &stat) != 0) {
                world_free(world);
                continue;
            }
            if (part == 15) {
                assert_int_equal(world->disk->ops->remove(world->disk, path), 0);
                assert_int_equal(world->disk->ops->sync_dir(world->disk, "journal"), 0);
            } else {
                cut_off(world->disk, path, stat.size * part / 15 + part % 3 * 100);
            }
            assert_int_equal(world_restart(world, false), 0);
            log = store_find(world->store, topic, 0);
            if (store_forgotten(world->store)) {
                forgot++;
                log = log != NULL ? log : store_create(world->store, topic, 0, NULL);
                assert_true(store_state(log)->leo <= leo);
            } else {
                kept++;
                assert_non_null(log);
                assert_int_equal(store_state(log)->leo, leo);
            }
            /* It goes on, and its files are whole again. */
            append(log, 1, 700, NULL);
            run_ms(world, 100);
            leo = store_state(log)->leo;
            assert_int_equal(store_forgotten_told(world->store), 0);
            assert_int_equal(world_restart(world, false), 0);
            assert_false(store_forgotten(world->store));
            assert_int_equal(store_state(store_find(world->store, topic, 0))->leo, leo);
            world_free(world);
        }
    }
    assert_true(forgot > 5);
    assert_true(kept > 5);
}

static void a_longer_setting_for_journal_files_is_no_loss(void **state)
{
    struct world *world = world_new();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    run_ms(world, 100);
    world->options.journal_file_bytes *= 2;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(world_restart(world, false), 0);
        assert_false(store_forgotten(world->store));
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->leo, 1);
    }
    world_free(world);
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
        assert_int_equal(world_restart(world, false), 0);
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->leo, torn != 0 ? 0 : 1);
        assert_true(store_state(log)->damaged_from == (torn != 0 ? INT64_MAX : 0));
        world_free(world);
    }
}

/* Run 1 leaves a torn group; run 2 writes another one over it, and loses a sector: what is there
 * then is a valid sector of the same place, file and group number, but of run 1. */
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
    assert_int_equal(world_restart(world, false), 0);
    assert_true(store_forgotten(world->store));
    world_free(world);
}

static void one_bad_place_in_the_checkpoint_is_no_loss(void **state)
{
    struct world *world = world_new();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    store_promise(log, 5, NULL);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    for (uint64_t pos = 0; mem_disk_flip(world->disk, "checkpoint", pos, 3); pos += 7) {
        assert_int_equal(world_restart(world, false), 0);
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->promised, 5);
        read_all_check(world, log);
        store_flush(world->store, NULL);
        run_ms(world, 200);
    }
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
    uint8_t block[4096] = "TERNJRNL";
    uint8_t other[4] = {9, 0, 0, 0};

    (void)state;
    block[8] = 9;
    for (int i = 0; i < 2; i++) {
        struct world *world = world_new();
        (void)store_create(world->store, topic, 0, NULL);
        run_ms(world, 200);
        if (i == 0) {
            struct disk_file *file = NULL;
            uint64_t size = 0;
            assert_int_equal(world->disk->ops->open(world->disk, "checkpoint", false, &file), 0);
            assert_int_equal(world->disk->ops->size(world->disk, file, &size), 0);
            world->disk->ops->close(world->disk, file);
            struct slice bytes = slice_of(other, sizeof other);
            assert_true(mem_disk_poke(world->disk, "checkpoint", 8, bytes));
            assert_true(mem_disk_poke(world->disk, "checkpoint", size / 2 + 8, bytes));
        } else {
            assert_true(mem_disk_poke(world->disk, "journal/0", 0, slice_of(block, sizeof block)));
        }
        assert_int_equal(world_restart(world, false), TERN_EFORMAT);
        assert_non_null(strstr(world->why, "format 9"));
        assert_non_null(strstr(world->why, i == 0 ? "knows 3" : "knows 1"));
        world_free(world);
    }
}

static void segment_path(char path[128])
{
    char id[UUID_TEXT_SIZE];

    uuid_text(topic, id);
    (void)snprintf(path, 128, "topics/%s-0/%020d.log", id, 0);
}

static void a_segment_of_another_format_is_not_read(void **state)
{
    struct world *world = world_new();
    struct disk_file *file = NULL;
    char path[128];
    uint8_t header[64];
    struct store_read read = {.offset = 0, .limit = 100, .max_bytes = 1000, .done = read_done};

    (void)state;
    append(store_create(world->store, topic, 0, NULL), 1, 700, NULL);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    segment_path(path);
    assert_int_equal(world->disk->ops->open(world->disk, path, false, &file), 0);
    assert_int_equal(world->disk->ops->read(world->disk, file, 0, header, 64), 64);
    world->disk->ops->close(world->disk, file);
    header[8] = 9;
    put_le32(header + 60, crc32c(slice_of(header, 60)));
    assert_true(mem_disk_poke(world->disk, path, 0, slice_of(header, sizeof header)));
    assert_int_equal(world_restart(world, false), 0);
    read.log = store_find(world->store, topic, 0);
    assert_true(store_read(&read));
    assert_int_equal(read.status, TERN_EFORMAT);
    world_free(world);
}

/* Ten batches in a segment, none in memory. */
static struct store_log *ten_in_a_segment(struct world *world)
{
    struct store_log *log = store_create(world->store, topic, 0, NULL);

    for (int i = 0; i < 10; i++) {
        append(log, 1 + i / 5, 700, NULL);
    }
    store_flush(world->store, NULL);
    run_ms(world, 200);
    assert_int_equal(world_restart(world, false), 0);
    return store_find(world->store, topic, 0);
}

static int status_of_read(struct world *world, struct store_log *log, int64_t offset)
{
    struct store_read read = {
        .log = log, .offset = offset, .limit = 100, .max_bytes = 1, .done = read_done};

    read_finished = false;
    if (!store_read(&read)) {
        run_ms(world, 10);
        assert_true(read_finished);
    }
    store_read_fini(&read);
    return read.status;
}

static void a_damaged_batch_is_marked_by_its_reader_and_filled(void **state)
{
    char path[128];
    /* Every byte of a batch's header, and some of its records. */
    static const uint64_t more[] = {100, 300, 699};

    (void)state;
    segment_path(path);
    for (size_t i = 0; i < 61 + ARRAY_COUNT(more); i++) {
        struct world *world = world_new();
        struct store_log *log = ten_in_a_segment(world);
        uint64_t at = i < 61 ? i : more[i - 61];
        assert_true(mem_disk_flip(world->disk, path, 64 + 4 * 700 + at, (unsigned)i));
        assert_int_equal(status_of_read(world, log, 3), 0);
        assert_int_equal(status_of_read(world, log, 4), TERN_EDAMAGED);
        assert_int_equal(store_state(log)->damaged_from, 4);
        assert_int_equal(status_of_read(world, log, 5), 0);
        run_ms(world, 20);
        assert_int_equal(world_restart(world, true), 0); /* it is remembered */
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_state(log)->damaged_from, 4);
        assert_int_equal(repair_all(world, log, 700), 1);
        read_all_check(world, log);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        assert_true(store_state(log)->damaged_from == INT64_MAX);
        read_all_check(world, log);
        world_free(world);
    }
}

static void only_the_same_record_fills_a_damaged_place(void **state)
{
    struct world *world = world_new();
    struct store_log *log = ten_in_a_segment(world);
    struct chunk wrong[] = {
        sound_batch(4, 2, 700), /* of another epoch */
        sound_batch(4, 1, 701), sound_batch(5, 2, 700),
        sound_batch(3, 1, 700), batch_make(4, 2, 1, 1004, 700, 5),
    };
    char path[128];

    (void)state;
    segment_path(path);
    assert_true(mem_disk_flip(world->disk, path, 64 + 4 * 700 + 100, 1));
    assert_int_equal(status_of_read(world, log, 4), TERN_EDAMAGED);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_int_equal(store_repair(log, wrong[i], NULL), TERN_EREFUSED);
        chunk_drop(&wrong[i]);
    }
    assert_int_equal(store_state(log)->damaged_from, 4);
    assert_int_equal(repair_all(world, log, 700), 1);
    read_all_check(world, log);
    world_free(world);
}

static void a_log_is_cut_inside_a_damaged_range_and_goes_on(void **state)
{
    struct world *world = world_new();
    struct store_log *log = ten_in_a_segment(world);
    uint8_t zeros[2100] = {0};
    char path[128];

    (void)state;
    /* Three whole batches are gone: nobody knows where the second one began. */
    segment_path(path);
    assert_true(mem_disk_poke(world->disk, path, 64 + 4 * 700, slice_of(zeros, sizeof zeros)));
    assert_int_equal(status_of_read(world, log, 4), TERN_EDAMAGED);
    assert_int_equal(status_of_read(world, log, 6), TERN_EDAMAGED);
    assert_int_equal(status_of_read(world, log, 7), 0);
    struct waiter cut = waiter_of(NULL);
    store_truncate(log, 6, false, &cut.req);
    run_ms(world, 100);
    assert_int_equal(cut.calls, 1);
    assert_int_equal(cut.status, 0);
    assert_int_equal(store_state(log)->leo, 6);
    assert_int_equal(store_state(log)->damaged_from, 4);
    append(log, 7, 700, NULL);
    append(log, 7, 700, NULL);
    run_ms(world, 200);
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            assert_int_equal(world_restart(world, i == 1), 0);
            log = store_find(world->store, topic, 0);
        }
        assert_int_equal(store_state(log)->leo, 8);
        assert_int_equal(store_state(log)->damaged_from, 4);
        assert_int_equal(status_of_read(world, log, 5), TERN_EDAMAGED);
        assert_int_equal(status_of_read(world, log, 6), 0);
        assert_int_equal(status_of_read(world, log, 3), 0);
    }
    assert_int_equal(repair_all(world, log, 700), 2);
    read_all_check(world, log);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    read_all_check(world, log);
    world_free(world);
}

static void a_missing_segment_is_damage_that_can_be_filled(void **state)
{
    struct world *world = world_new();
    char path[128];

    (void)state;
    (void)ten_in_a_segment(world);
    store_flush(world->store, NULL);
    run_ms(world, 200);
    segment_path(path);
    assert_int_equal(world->disk->ops->remove(world->disk, path), 0);
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 10);
    assert_int_equal(store_state(log)->damaged_from, 0);
    assert_int_equal(repair_all(world, log, 700), 10);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    read_all_check(world, store_find(world->store, topic, 0));
    world_free(world);
}

static void many_damaged_batches_become_few_ranges(void **state)
{
    struct world *world = world_new();
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    char path[128];

    (void)state;
    for (int i = 0; i < 80; i++) {
        append(log, 1, 700, NULL);
    }
    store_flush(world->store, NULL);
    run_ms(world, 200);
    assert_int_equal(world_restart(world, false), 0);
    log = store_find(world->store, topic, 0);
    segment_path(path);
    for (uint64_t i = 0; i < 80; i += 4) {
        assert_true(mem_disk_flip(world->disk, path, 64 + i * 700 + 100, 1));
        assert_int_equal(status_of_read(world, log, (int64_t)i), TERN_EDAMAGED);
    }
    struct store_counters counters;
    store_counters(world->store, &counters);
    assert_in_range(counters.damage_open, 1, 8);
    assert_true(repair_all(world, log, 700) >= 20);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    read_all_check(world, store_find(world->store, topic, 0));
    world_free(world);
}

static void count_damage(void *ctx, struct store_log *log)
{
    (void)log;
    (*(int *)ctx)++;
}

static void the_scrub_finds_what_nobody_reads(void **state)
{
    struct world *world = world_new();
    struct store_counters counters;
    char path[128];
    int told = 0;

    (void)state;
    world->options.scrub_pass_ms = 10000;
    world->options.damage = count_damage;
    world->options.damage_ctx = &told;
    (void)ten_in_a_segment(world);
    run_ms(world, 5000);
    store_counters(world->store, &counters);
    assert_int_equal(counters.scrub_passes, 1);
    assert_int_equal(counters.scrubbed_bytes, 7000);
    assert_int_equal(told, 0);
    segment_path(path);
    assert_true(mem_disk_flip(world->disk, path, 64 + 4 * 700 + 100, 1));
    run_ms(world, 10000);
    struct store_log *log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->damaged_from, 4);
    assert_int_equal(told, 1);
    store_counters(world->store, &counters);
    assert_int_equal(counters.scrub_passes, 2);
    assert_int_equal(counters.damage_found, 1);
    assert_int_equal(counters.damage_open, 1);
    assert_int_equal(counters.scrubbed_bytes, 7000 + 6300);
    world_free(world);
}

static void a_damaged_segment_header_is_written_anew(void **state)
{
    char path[128];

    (void)state;
    segment_path(path);
    for (uint64_t at = 0; at < 64; at++) {
        struct world *world = world_new();
        struct store_log *log = ten_in_a_segment(world);
        assert_true(mem_disk_flip(world->disk, path, at, (unsigned)at));
        read_all_check(world, log);
        assert_int_equal(world_restart(world, false), 0);
        read_all_check(world, store_find(world->store, topic, 0));
        world_free(world);
    }
}

static void a_lost_run_number_is_never_used_again(void **state)
{
    struct world *world = world_new();

    (void)state;
    for (int i = 0; i < 6; i++) {
        (void)mem_disk_flip(world->disk, "journal/run", (uint64_t)(i % 2) * 4096 + 12, 1);
        struct store_log *log = store_find(world->store, topic, 0);
        log = log == NULL ? store_create(world->store, topic, 0, NULL) : log;
        append(log, 1, 700, NULL);
        run_ms(world, 50);
        assert_int_equal(world_restart(world, false), 0);
        read_all_check(world, store_find(world->store, topic, 0));
    }
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

/* Whatever the bytes are: an error or a store, never a crash, and never less than was synced
 * without an error. */
static void flipped_bits_anywhere_are_survived(void **state)
{
    struct prng prng;
    int refused = 0;
    int forgotten = 0;

    (void)state;
    prng_init(&prng, 5);
    for (int round = 0; round < 400; round++) {
        struct world *world = world_new();
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        for (int i = 0; i < 60; i++) {
            append(log, 1 + i / 30, 1500, NULL);
            if (i == 40) {
                store_note_put(world->store, 1, slice_text("note"), NULL);
                store_producers_save(log, 40, 40, slice_text("producers"), NULL);
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
        } else if (store_forgotten(world->store)) {
            forgotten++;
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
    assert_true(refused < 40);
    assert_true(forgotten < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_fsync_is_fatal_and_acknowledges_nothing),
        cmocka_unit_test(a_batch_that_the_journal_has_lost_is_marked_and_filled),
        cmocka_unit_test(a_journal_that_lost_more_than_records_makes_the_disk_forget),
        cmocka_unit_test(a_journal_file_that_is_cut_off_makes_the_disk_forget),
        cmocka_unit_test(a_longer_setting_for_journal_files_is_no_loss),
        cmocka_unit_test(one_bad_place_in_the_checkpoint_is_no_loss),
        cmocka_unit_test(a_damaged_batch_is_marked_by_its_reader_and_filled),
        cmocka_unit_test(only_the_same_record_fills_a_damaged_place),
        cmocka_unit_test(a_log_is_cut_inside_a_damaged_range_and_goes_on),
        cmocka_unit_test(a_missing_segment_is_damage_that_can_be_filled),
        cmocka_unit_test(many_damaged_batches_become_few_ranges),
        cmocka_unit_test(the_scrub_finds_what_nobody_reads),
        cmocka_unit_test(a_damaged_segment_header_is_written_anew),
        cmocka_unit_test(a_lost_run_number_is_never_used_again),
        cmocka_unit_test(damage_in_the_last_group_is_told_from_a_torn_write),
        cmocka_unit_test(sectors_of_an_earlier_run_are_not_believed),
        cmocka_unit_test(a_lost_write_below_the_synced_mark_is_damage),
        cmocka_unit_test(a_missing_checkpoint_is_not_a_new_store),
        cmocka_unit_test(unknown_formats_are_refused_with_both_versions),
        cmocka_unit_test(a_segment_of_another_format_is_not_read),
        cmocka_unit_test(flipped_bits_anywhere_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
