/* SPDX-License-Identifier: Apache-2.0 */
/* The roster: what a checkpoint was told of the producers of each log, and reading on from there. */
#include "tests/unit/store_fixture.h"

#define LOGS 20

/* Of each log the offset, as text. */
static bool tell(void *ctx, struct store_log *log, struct buf *out)
{
    int64_t *not_of = ctx;

    buf_printf(out, "at %lld", (long long)store_state(log)->leo);
    return not_of == NULL || store_state(log)->partition != *not_of;
}

static struct world *told_world(void)
{
    struct world *world = world_new();

    world->options.producers = tell;
    world->options.cache_bytes = 0; /* so that reads are of files */
    world->options.scrub_pass_ms = 0;
    assert_int_equal(world_restart(world, false), 0);
    return world;
}

static bool flushed;

static void flush_done(struct store_req *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    flushed = true;
}

static void checkpoint(struct world *world)
{
    struct store_req req = {.done = flush_done};

    flushed = false;
    store_flush(world->store, &req);
    run_ms(world, 100);
    assert_true(flushed);
}

static void assert_told(struct store_log *log, int64_t offset)
{
    struct buf out = {0};
    struct buf want = {0};
    int64_t at = -1;

    bool found = store_producers_load(log, INT64_MAX, &at, &out);
    assert_int_equal(found, offset >= 0);
    if (found) {
        buf_printf(&want, "at %lld", (long long)offset);
        assert_int_equal(at, offset);
        assert_true(slice_equal(buf_slice(&out), buf_slice(&want)));
    }
    buf_fini(&want);
    buf_fini(&out);
}

static uint64_t bytes_read;
static const struct disk_ops *mem_ops;

static int64_t counting_read(struct disk *disk, struct disk_file *file, uint64_t pos, uint8_t *into,
                             size_t len)
{
    int64_t got = mem_ops->read(disk, file, pos, into, len);

    bytes_read += got > 0 ? (uint64_t)got : 0;
    return got;
}

static void counting_submit(struct disk *disk, struct disk_op *op)
{
    bytes_read += op->kind == DISK_READ ? op->len : 0;
    mem_ops->submit(disk, op);
}

/* Ten thousand logs of a megabyte each would be ten gigabytes. */
static void after_a_start_only_what_is_behind_the_checkpoint_is_read_for_the_producers(void **state)
{
    struct world *world = told_world();

    (void)state;
    for (int p = 0; p < LOGS; p++) {
        struct store_log *log = store_create(world->store, topic, p, NULL);
        for (int i = 0; i < 30 + p; i++) {
            append(log, 1, 700, NULL);
        }
        run_ms(world, 50);
    }
    checkpoint(world);
    for (int p = 0; p < LOGS; p++) {
        append(store_find(world->store, topic, p), 1, 700, NULL);
        append(store_find(world->store, topic, p), 1, 700, NULL);
    }
    run_ms(world, 50);
    assert_int_equal(world_restart(world, true), 0);
    mem_ops = world->disk->ops;
    struct disk_ops ops = *mem_ops;
    ops.submit = counting_submit;
    ops.read = counting_read;
    bytes_read = 0;
    world->disk->ops = &ops;
    for (int p = 0; p < LOGS; p++) {
        struct store_log *log = store_find(world->store, topic, p);
        assert_told(log, 30 + p);
        assert_int_equal(read_check_as(world, log, 30 + p, 32 + p, 700, false), 31 + p);
        assert_int_equal(read_check_as(world, log, 31 + p, 32 + p, 700, false), 32 + p);
    }
    world->disk->ops = mem_ops;
    assert_in_range(bytes_read, LOGS * 1400, LOGS * 3000);
    for (int p = 0; p < LOGS; p++) {
        read_all_check(world, store_find(world->store, topic, p));
    }
    world_free(world);
}

/* The same offset, another record before it. */
static void a_roster_is_not_believed_of_a_log_that_was_cut_since(void **state)
{
    struct world *world = told_world();

    (void)state;
    for (int p = 0; p < 3; p++) {
        struct store_log *log = store_create(world->store, topic, p, NULL);
        for (int i = 0; i < 30; i++) {
            append(log, 1, 700, NULL);
        }
    }
    checkpoint(world);
    store_truncate(store_find(world->store, topic, 0), 20, true, NULL);
    store_truncate(store_find(world->store, topic, 1), 20, true, NULL);
    run_ms(world, 10);
    for (int i = 0; i < 15; i++) {
        append(store_find(world->store, topic, 0), 2, 500, NULL);
    }
    run_ms(world, 20);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_restart(world, i > 0), 0);
        assert_told(store_find(world->store, topic, 0), -1); /* 30 is another record now */
        assert_told(store_find(world->store, topic, 1), -1); /* or none */
        assert_told(store_find(world->store, topic, 2), 30);
        for (int p = 0; p < 3; p++) {
            read_all_check(world, store_find(world->store, topic, p));
        }
    }
    world_free(world);
}

static void a_roster_says_nothing_of_a_log_that_began_anew_or_was_made_again(void **state)
{
    struct world *world = told_world();
    struct waiter gone = waiter_of(NULL);

    (void)state;
    for (int p = 0; p < 2; p++) {
        struct store_log *log = store_create(world->store, topic, p, NULL);
        for (int i = 0; i < 30; i++) {
            append(log, 1, 700, NULL);
        }
    }
    checkpoint(world);
    store_restart(store_find(world->store, topic, 0), 30, true, (struct slice){0}, NULL);
    store_delete(store_find(world->store, topic, 1), &gone.req);
    run_ms(world, 20);
    struct store_log *log = store_create(world->store, topic, 1, NULL);
    for (int i = 0; i < 31; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 20);
    assert_int_equal(world_restart(world, true), 0);
    assert_told(store_find(world->store, topic, 0), -1);
    assert_told(store_find(world->store, topic, 1), -1);
    world_free(world);
}

static bool tell_nothing(void *ctx, struct store_log *log, struct buf *out)
{
    (void)ctx;
    (void)log;
    buf_text(out, "half of it");
    return false;
}

/* Soon after a start they are being read; should it end again, the next start has them to read, too. */
static void what_is_not_known_yet_is_taken_from_the_roster_before(void **state)
{
    struct world *world = told_world();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 30; i++) {
        append(log, 1, 700, NULL);
    }
    checkpoint(world);
    world->options.producers = tell_nothing;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        assert_told(log, 30);
        append(log, 1, 700, NULL);
        checkpoint(world);
        assert_told(log, 30);
        checkpoint(world);
    }
    world->options.producers = tell;
    assert_int_equal(world_restart(world, true), 0);
    checkpoint(world);
    assert_told(store_find(world->store, topic, 0), -1); /* who knows them does not ask */
    assert_int_equal(world_restart(world, true), 0);
    assert_told(store_find(world->store, topic, 0), 33);
    world_free(world);
}

static void a_damaged_or_foreign_roster_is_none(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 60; at++) {
        struct world *world = told_world();
        struct disk_file *file = NULL;
        uint8_t byte = 0;
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        append(log, 1, 700, NULL);
        checkpoint(world);
        assert_int_equal(world->disk->ops->open(world->disk, "roster", false, &file), 0);
        assert_int_equal(world->disk->ops->read(world->disk, file, at, &byte, 1), 1);
        byte ^= 4;
        assert_int_equal(world->disk->ops->write(world->disk, file, at, slice_of(&byte, 1)), 0);
        assert_int_equal(world->disk->ops->sync(world->disk, file), 0);
        world->disk->ops->close(world->disk, file);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        assert_told(log, -1);
        read_all_check(world, log);
        world_free(world);
    }
}

/* Whoever has many producers is left out; a snapshot of its own that is newer counts before. */
static void a_newer_snapshot_of_its_own_counts_before_the_roster(void **state)
{
    struct world *world = told_world();
    int64_t not_of = 1;

    (void)state;
    world->options.producers_ctx = &not_of;
    assert_int_equal(world_restart(world, false), 0);
    for (int p = 0; p < 2; p++) {
        struct store_log *log = store_create(world->store, topic, p, NULL);
        for (int i = 0; i < 30; i++) {
            append(log, 1, 700, NULL);
        }
    }
    run_ms(world, 10);
    store_producers_save(store_find(world->store, topic, 1), 30, 0, slice_text("at 30"), NULL);
    checkpoint(world);
    struct store_log *log = store_find(world->store, topic, 0);
    append(log, 1, 700, NULL);
    run_ms(world, 10);
    store_producers_save(log, 31, 0, slice_text("at 31"), NULL);
    run_ms(world, 10);
    for (int i = 0; i < 2; i++) {
        assert_told(store_find(world->store, topic, 0), 31);
        assert_told(store_find(world->store, topic, 1), 30);
        assert_int_equal(world_restart(world, true), 0);
    }
    world_free(world);
}

/* ---- errors of its file ---------------------------------------------------------------------- */

static struct {
    int of_open;
    bool of_write;
    unsigned met;
} roster_fails;

static int failing_open(struct disk *disk, const char *path, bool create, struct disk_file **out)
{
    if (!create || strcmp(path, "roster.new") != 0) {
        return mem_ops->open(disk, path, create, out);
    }
    roster_fails.met++;
    if (roster_fails.of_write) {
        mem_disk_fail_next_write(disk);
    }
    return roster_fails.of_open != 0 ? roster_fails.of_open
                                     : mem_ops->open(disk, path, create, out);
}

/* What a store with one log makes of it: the error that it ended with, 0: none. */
static int ends_with(int of_open, bool of_write, bool *out_checkpoint)
{
    struct world *world = told_world();
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    struct waiter flush = waiter_of(NULL);

    append(log, 1, 700, NULL);
    run_ms(world, 50);
    mem_ops = world->disk->ops;
    struct disk_ops ops = *mem_ops;
    ops.open = failing_open;
    world->disk->ops = &ops;
    memset(&roster_fails, 0, sizeof roster_fails);
    roster_fails.of_open = of_open;
    roster_fails.of_write = of_write;
    store_flush(world->store, &flush.req);
    run_ms(world, 100);
    world->disk->ops = mem_ops;
    assert_int_equal(roster_fails.met, 1);
    *out_checkpoint = flush.calls == 1 && flush.status == 0;
    int fatal = world->fatal;
    world_free(world);
    return fatal;
}

static void an_error_of_the_rosters_file_is_final_but_a_full_disk_does_without_it(void **state)
{
    bool checkpoint_is_there = true;

    (void)state;
    assert_int_equal(ends_with(TERN_EIO, false, &checkpoint_is_there), TERN_EIO);
    assert_false(checkpoint_is_there);
    assert_int_equal(ends_with(0, true, &checkpoint_is_there), TERN_EIO);
    assert_false(checkpoint_is_there);
    assert_int_equal(ends_with(TERN_ENOSPC, false, &checkpoint_is_there), 0);
    assert_true(checkpoint_is_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            after_a_start_only_what_is_behind_the_checkpoint_is_read_for_the_producers),
        cmocka_unit_test(a_roster_is_not_believed_of_a_log_that_was_cut_since),
        cmocka_unit_test(a_roster_says_nothing_of_a_log_that_began_anew_or_was_made_again),
        cmocka_unit_test(what_is_not_known_yet_is_taken_from_the_roster_before),
        cmocka_unit_test(a_damaged_or_foreign_roster_is_none),
        cmocka_unit_test(a_newer_snapshot_of_its_own_counts_before_the_roster),
        cmocka_unit_test(an_error_of_the_rosters_file_is_final_but_a_full_disk_does_without_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
