/* SPDX-License-Identifier: Apache-2.0 */
/* One store: what it writes and when, what it finds again after a restart, and how it is read. */
#include "tests/unit/store_fixture.h"

static void a_new_store_is_empty_and_opens_again(void **state)
{
    struct world *world = world_new();

    (void)state;
    assert_null(store_find(world->store, topic, 0));
    assert_true(store_writable(world->store));
    assert_int_equal(world_restart(world, true), 0);
    assert_null(store_find(world->store, topic, 0));
    world_free(world);
}

static void appends_complete_in_order_after_one_fsync(void **state)
{
    struct world *world = world_new();
    struct store_counters counters;
    int order = 0;
    struct waiter a = waiter_of(&order);
    struct waiter b = waiter_of(&order);
    struct waiter c = waiter_of(&order);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, &a.req);
    append(log, 1, 200, &b.req);
    append(log, 1, 300, &c.req);
    assert_int_equal(a.calls + b.calls + c.calls, 0);
    assert_int_equal(store_state(log)->leo, 2);
    assert_int_equal(store_state(log)->durable_leo, 0);
    run_ms(world, 5);
    assert_int_equal(a.place, 1);
    assert_int_equal(b.place, 2);
    assert_int_equal(c.place, 3);
    assert_int_equal(store_state(log)->durable_leo, 2);
    store_counters(world->store, &counters);
    assert_int_equal(counters.fsyncs, 1);
    assert_int_equal(counters.frames, 3);
    world_free(world);
}

static const struct disk_ops *mem_ops;
static uint64_t segment_writes;

static void counting_submit(struct disk *disk, struct disk_op *op)
{
    segment_writes += op->kind == DISK_WRITE && op->sync == NULL;
    mem_ops->submit(disk, op);
}

static void a_steady_stream_of_batches_goes_to_its_segment_now_and_then(void **state)
{
    struct world *world = world_new();
    struct store_counters counters;

    (void)state;
    mem_ops = world->disk->ops;
    struct disk_ops ops = *mem_ops;
    ops.submit = counting_submit;
    world->disk->ops = &ops;
    mem_disk_set_latency(world->disk, 900, 1500);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 1000; i++) {
        append(log, 1, 200, NULL);
        run_ms(world, 1);
    }
    store_counters(world->store, &counters);
    assert_true(counters.fsyncs > 300);
    /* Every tenth of a second, and for each snapshot of the small journal. */
    assert_in_range(segment_writes, 8, 50);
    read_all_check(world, log);
    world->disk->ops = mem_ops;
    world_free(world);
}

static void expect_whole_blocks(struct disk *disk, struct disk_op *op)
{
    uint64_t at = 0;

    for (size_t i = 0; i < op->extent_count && op->sync == NULL; i++) {
        const struct disk_extent *extent = &op->extents[i];
        if (i == 0 || extent->file != op->extents[i - 1].file || extent->pos != at) {
            assert_int_equal(at % 4096, 0);
            assert_int_equal(extent->pos % 4096, 0);
        }
        at = extent->pos + extent->bytes.len;
    }
    segment_writes += op->kind == DISK_WRITE && op->sync == NULL;
    assert_int_equal(at % 4096, 0);
    mem_ops->submit(disk, op);
}

/* Over rolls, cuts and restarts, with what was read back each time. */
static void large_writes_to_segments_are_made_of_whole_blocks(void **state)
{
    struct world *world = world_new();

    (void)state;
    world->options.cache_bytes = 0;
    world->options.segment_bytes = 1 << 20;
    world->options.blocks_from = 100;
    assert_int_equal(world_restart(world, false), 0);
    mem_ops = world->disk->ops;
    struct disk_ops ops = *mem_ops;
    ops.submit = expect_whole_blocks;
    segment_writes = 0;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    world->disk->ops = &ops;
    for (int i = 0; i < 800; i++) {
        append(log, 1, 100 + (size_t)i * 37 % 9000, NULL);
        if (i % 3 == 0) {
            run_ms(world, 3);
        }
    }
    run_ms(world, 50);
    assert_true(segment_writes > 100);
    world->disk->ops = mem_ops; /* behind a cut the last block is not known at once */
    read_all_check(world, log);
    for (int round = 0; round < 20; round++) {
        int64_t leo = store_state(log)->leo;
        store_truncate(log, leo - 1 - round % 4, true, NULL);
        run_ms(world, 20);
        for (int i = 0; i < 5; i++) {
            append(log, 1, 90 + (size_t)(round * 5 + i) * 211 % 6000, NULL);
            run_ms(world, 3);
        }
        read_all_check(world, log);
        if (round % 7 == 3) {
            assert_int_equal(world_restart(world, round % 2 == 0), 0);
            log = store_find(world->store, topic, 0);
            read_all_check(world, log);
        }
    }
    world_free(world);
}

static struct disk_file *open_segments[40];

/* Of segments no more can be open. */
static int few_open(struct disk *disk, const char *path, bool create, struct disk_file **out_file)
{
    size_t at = 0;

    if (strstr(path, ".log") == NULL) {
        return mem_ops->open(disk, path, create, out_file);
    }
    while (at < ARRAY_COUNT(open_segments) && open_segments[at] != NULL) {
        at++;
    }
    if (at == ARRAY_COUNT(open_segments)) {
        return TERN_EBUSY;
    }
    int status = mem_ops->open(disk, path, create, out_file);
    open_segments[at] = status == 0 ? *out_file : NULL;
    return status;
}

static void few_close(struct disk *disk, struct disk_file *file)
{
    for (size_t i = 0; i < ARRAY_COUNT(open_segments); i++) {
        open_segments[i] = open_segments[i] == file ? NULL : open_segments[i];
    }
    mem_ops->close(disk, file);
}

static void more_segments_than_can_be_open_are_written_and_synced_in_pieces(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    mem_ops = world->disk->ops;
    struct disk_ops ops = *mem_ops;
    ops.open = few_open;
    ops.close = few_close;
    world->disk->ops = &ops;
    for (int i = 0; i < 200; i++) {
        append(store_create(world->store, topic, i, NULL), 1, 300, NULL);
    }
    store_flush(world->store, &done.req);
    for (int i = 0; i < 1000 && done.calls == 0; i++) {
        run_ms(world, 1);
    }
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.status, 0);
    assert_int_equal(world->fatal, 0);
    world->disk->ops = mem_ops;
    assert_int_equal(world_restart(world, true), 0);
    for (int i = 0; i < 200; i++) {
        read_all_check(world, store_find(world->store, topic, i));
    }
    world_free(world);
}

static void what_was_acknowledged_survives_a_power_failure(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct world *world = world_new();
        struct waiter done = waiter_of(NULL);
        struct store_log *log = store_create(world->store, topic, 3, NULL);
        for (int i = 0; i < 50; i++) {
            append(log, 1 + i / 20, 200 + (size_t)i * 10, NULL);
        }
        store_promise(log, 5, NULL);
        store_synced(log, 4, &done.req);
        while (done.calls == 0) {
            run_ms(world, 1);
        }
        append(log, 6, 5000, NULL);
        run_ms(world, (uint64_t)round % 3);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 3);
        assert_non_null(log);
        assert_true(store_state(log)->leo >= 50);
        assert_int_equal(store_state(log)->promised, 5);
        assert_int_equal(store_state(log)->synced, 4);
        assert_true(store_state(log)->history_count >= 3);
        assert_int_equal(store_state(log)->history[2].start_offset, 40);
        read_all_check(world, log);
        world_free(world);
    }
}

static void segments_roll_and_old_ones_are_read_from_files(void **state)
{
    struct world *world = world_new();

    (void)state;
    world->options.cache_bytes = 4096;
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 600; i++) {
        append(log, 1, 700, NULL);
        if (i % 10 == 0) {
            run_ms(world, 2);
        }
    }
    run_ms(world, 50);
    read_all_check(world, log);
    assert_int_equal(read_check(world, log, 300, 305, 100000), 305);
    assert_int_equal(read_check(world, log, 300, 600, 1), 301);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    read_all_check(world, log);
    world_free(world);
}

static void the_journal_is_recycled_and_appends_never_stall_for_good(void **state)
{
    struct world *world = world_new();
    struct store_counters counters;
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 3000; i++) {
        append(log, 1, 3000, i == 2999 ? &done.req : NULL);
    }
    for (int i = 0; i < 5000 && done.calls == 0; i++) {
        run_ms(world, 1);
    }
    assert_int_equal(done.calls, 1);
    store_counters(world->store, &counters);
    assert_true(counters.checkpoints > 3);
    assert_true(counters.journal_used_bytes <= 4 * (256u << 10));
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->leo, 3000);
    read_all_check(world, log);
    world_free(world);
}

static void a_restart_with_a_full_journal_goes_on(void **state)
{
    struct world *world = world_new();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 200; i++) {
            append(log, 1, 3000, NULL);
        }
        run_ms(world, (uint64_t)round % 7);
        assert_int_equal(world_restart(world, round % 2 == 0), 0);
        log = store_find(world->store, topic, 0);
        if (log == NULL) {
            log = store_create(world->store, topic, 0, NULL);
        }
    }
    struct waiter done = waiter_of(NULL);
    append(log, 1, 3000, &done.req);
    run_ms(world, 100);
    assert_int_equal(done.calls, 1);
    read_all_check(world, log);
    world_free(world);
}

static void a_raised_log_start_removes_whole_segments(void **state)
{
    struct world *world = world_new();
    struct store_read read = {.offset = 10, .limit = 300, .max_bytes = 1000, .done = read_done};

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 300; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 20);
    uint64_t before = mem_disk_used(world->disk);
    int64_t start = store_retention_start(log, 1000000, -1, 100000, 300);
    assert_int_equal(start, 93);
    store_log_start(log, start, NULL);
    run_ms(world, 20);
    assert_true(mem_disk_used(world->disk) < before - 60000);
    read.log = log;
    assert_true(store_read(&read));
    assert_int_equal(read.status, TERN_EOUTOFRANGE);
    read_all_check(world, log);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->log_start, start);
    read_all_check(world, log);
    world_free(world);
}

static void a_log_may_have_segments_of_its_own_size(void **state)
{
    struct world *world = world_new();
    struct log_settings small = log_settings_default();

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    struct store_log *usual = store_create(world->store, topic, 1, NULL);
    small.segment_bytes = 8 << 10;
    store_configure(log, &small);
    assert_int_equal(store_settings(log)->segment_bytes, 8 << 10);
    for (int i = 0; i < 40; i++) {
        append(log, 1, 1000, NULL);
        append(usual, 1, 1000, NULL);
    }
    run_ms(world, 20);
    /* Retention by size cuts at segments: these have eight batches, the usual ones would have 64. */
    assert_int_equal(store_retention_start(log, 1000000, -1, 10000, 40), 24);
    assert_int_equal(store_retention_start(usual, 1000000, -1, 10000, 40), 0);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    read_all_check(world, log);
    assert_int_equal(store_retention_start(log, 1000000, -1, 10000, 40), 24);
    world_free(world);
}

static void a_deleted_log_leaves_its_promise(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    store_promise(log, 9, NULL);
    append(log, 1, 700, NULL);
    store_delete(log, &done.req);
    assert_null(store_find(world->store, topic, 0));
    run_ms(world, 20);
    assert_int_equal(done.calls, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_tombstone(world->store, topic, 0), 9);
        assert_null(store_find(world->store, topic, 0));
        if (i == 0) {
            struct waiter flushed = waiter_of(NULL);
            store_flush(world->store, &flushed.req);
            run_ms(world, 20);
            assert_int_equal(flushed.calls, 1);
        }
        assert_int_equal(world_restart(world, true), 0);
    }
    log = store_create(world->store, topic, 0, NULL);
    assert_int_equal(store_state(log)->promised, 9);
    append(log, 10, 500, NULL);
    run_ms(world, 20);
    assert_int_equal(world_restart(world, true), 0);
    log = store_find(world->store, topic, 0);
    assert_int_equal(store_state(log)->promised, 9);
    read_all_check(world, log);
    world_free(world);
}

static void notes_are_kept(void **state)
{
    struct world *world = world_new();

    (void)state;
    store_note_put(world->store, 3, slice_text("hello"), NULL);
    store_note_put(world->store, 4, slice_text("gone"), NULL);
    store_note_put(world->store, 4, slice_text(""), NULL);
    run_ms(world, 20);
    for (int i = 0; i < 2; i++) {
        assert_true(slice_equal(store_note_get(world->store, 3), slice_text("hello")));
        assert_int_equal(store_note_get(world->store, 4).len, 0);
        store_flush(world->store, NULL);
        run_ms(world, 20);
        assert_int_equal(world_restart(world, true), 0);
    }
    world_free(world);
}

static void times_are_found(void **state)
{
    struct world *world = world_new();
    int64_t offset = 0;
    int64_t timestamp_ms = 0;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 400; i++) {
        append(log, 1, 700, NULL);
    }
    for (int round = 0; round < 2; round++) {
        for (int64_t want = 0; want < 400; want += 57) {
            assert_int_equal(store_find_time(log, 1000 + want, &offset, &timestamp_ms), 0);
            assert_int_equal(offset, want);
            assert_int_equal(timestamp_ms, 1000 + want);
            run_ms(world, 2);
        }
        assert_int_equal(store_find_time(log, 0, &offset, &timestamp_ms), 0);
        assert_int_equal(offset, 0);
        assert_int_equal(store_find_time(log, 5000, &offset, &timestamp_ms), 0);
        assert_int_equal(offset, -1);
        run_ms(world, 100);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
    }
    world_free(world);
}

static void the_newest_time_is_found_also_behind_a_cut(void **state)
{
    struct world *world = world_new();
    int64_t offset = 0;
    int64_t timestamp_ms = 0;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    assert_int_equal(store_find_newest(log, &offset, &timestamp_ms), 0);
    assert_int_equal(offset, -1);
    for (int i = 0; i < 400; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 100);
    assert_int_equal(store_find_newest(log, &offset, &timestamp_ms), 0);
    assert_int_equal(offset, 399);
    assert_int_equal(timestamp_ms, 1399);
    for (int64_t end = 390; end > 0; end -= 130) {
        store_truncate(log, end, false, NULL);
        run_ms(world, 100);
        assert_int_equal(store_find_newest(log, &offset, &timestamp_ms), 0);
        assert_int_equal(offset, end - 1);
        assert_int_equal(timestamp_ms, 1000 + end - 1);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        assert_int_equal(store_find_newest(log, &offset, &timestamp_ms), 0);
        assert_int_equal(offset, end - 1);
    }
    world_free(world);
}

static unsigned saved;

static void producers_saved(struct store_req *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    saved++;
}

static void save_producers(struct world *world, struct store_log *log, int64_t offset,
                           const char *text)
{
    struct store_req req = {.done = producers_saved};
    unsigned before = saved;

    store_producers_save(log, offset, 0, slice_text(text), &req);
    run_ms(world, 10);
    assert_int_equal(saved, before + 1);
}

static void producer_snapshots_fall_with_a_cut(void **state)
{
    struct world *world = world_new();
    struct buf out = {0};
    int64_t offset = 0;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 30; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 10);
    assert_false(store_producers_load(log, 100, &offset, &out));
    save_producers(world, log, 10, "ten");
    save_producers(world, log, 20, "twenty");
    assert_true(store_producers_load(log, 25, &offset, &out));
    assert_int_equal(offset, 20);
    assert_true(slice_equal(buf_slice(&out), slice_text("twenty")));
    store_truncate(log, 15, true, NULL);
    run_ms(world, 10);
    buf_clear(&out);
    assert_true(store_producers_load(log, 25, &offset, &out));
    assert_int_equal(offset, 10);
    assert_true(slice_equal(buf_slice(&out), slice_text("ten")));
    for (int i = 0; i < 10; i++) {
        append(log, 2, 700, NULL); /* 20 is another record now */
    }
    run_ms(world, 10);
    assert_int_equal(world_restart(world, false), 0);
    log = store_find(world->store, topic, 0);
    buf_clear(&out);
    assert_true(store_producers_load(log, 25, &offset, &out));
    assert_int_equal(offset, 10); /* kept, and the one of the cut records did not come back */
    buf_fini(&out);
    world_free(world);
}

/* What it says is believed over a power failure; what was on its way may be gone, the one before is not. */
static void a_producer_snapshot_is_durable_when_it_is_told(void **state)
{
    struct buf out = {0};
    int64_t offset = 0;

    (void)state;
    for (unsigned steps = 0; steps < 12; steps++) {
        struct world *world = world_new();
        struct store_log *log = store_create(world->store, topic, 0, NULL);
        struct store_req req = {.done = producers_saved};
        for (int i = 0; i < 30; i++) {
            append(log, 1, 700, NULL);
        }
        run_ms(world, 10);
        save_producers(world, log, 10, "ten");
        unsigned before = saved;
        store_producers_save(log, 20, 20, slice_text("twenty"), &req);
        mem_disk_stop_at(world->disk, mem_disk_points(world->disk) + steps);
        run_ms(world, 10);
        assert_int_equal(world_restart(world, true), 0);
        log = store_find(world->store, topic, 0);
        buf_clear(&out);
        assert_true(store_producers_load(log, 30, &offset, &out));
        assert_true(offset == 20 || (offset == 10 && saved == before));
        assert_true(slice_equal(buf_slice(&out), slice_text(offset == 20 ? "twenty" : "ten")));
        world_free(world);
    }
    buf_fini(&out);
}

/* The same offset, another record before it: a file that was removed may come back with the power. */
static void a_producer_snapshot_of_another_history_is_not_believed(void **state)
{
    struct world *world = world_new();
    struct store_req req = {.done = producers_saved};
    struct buf out = {0};
    int64_t offset = 0;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 30; i++) {
        append(log, 1, 700, NULL);
    }
    run_ms(world, 10);
    store_producers_save(log, 20, 0, slice_text("twenty"), &req);
    store_truncate(log, 15, true, NULL); /* while the file is on its way */
    run_ms(world, 10);
    for (int i = 0; i < 15; i++) {
        append(log, 2, 700, NULL);
    }
    run_ms(world, 20);
    assert_false(store_producers_load(log, 30, &offset, &out));
    buf_fini(&out);
    world_free(world);
}

static void an_idle_store_writes_one_marker_and_then_nothing(void **state)
{
    struct world *world = world_new();
    struct store_counters counters;

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 700, NULL);
    run_ms(world, 50);
    store_counters(world->store, &counters);
    assert_int_equal(counters.fsyncs, 1);
    run_ms(world, 100);
    store_counters(world->store, &counters);
    assert_int_equal(counters.fsyncs, 2);
    run_ms(world, 30000);
    store_counters(world->store, &counters);
    assert_int_equal(counters.fsyncs, 2);
    assert_int_equal(counters.checkpoints, 1);
    uint64_t points = mem_disk_points(world->disk);
    run_ms(world, 100000);
    assert_int_equal(mem_disk_points(world->disk), points);
    world_free(world);
}

static void large_batches_are_read_whole(void **state)
{
    struct world *world = world_new();

    (void)state;
    world->options.cache_bytes = 0;
    assert_int_equal(world_restart(world, false), 0);
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    append(log, 1, 60000, NULL);
    append(log, 1, 64000, NULL);
    append(log, 1, 100, NULL);
    run_ms(world, 10);
    assert_int_equal(read_check(world, log, 0, 3, 1), 1);
    assert_int_equal(read_check(world, log, 1, 3, 1), 2);
    read_all_check(world, log);
    world_free(world);
}

static void a_write_that_hangs_is_told_by_its_age(void **state)
{
    struct world *world = world_new();
    struct store_log *log = store_create(world->store, topic, 0, NULL);

    (void)state;
    run_ms(world, 2000);
    assert_int_equal(store_write_age_ms(world->store), 0);
    mem_disk_set_latency(world->disk, 20000000, 20000000);
    struct waiter waiter = waiter_of(NULL);
    append(log, 1, 100, &waiter.req);
    run_ms(world, 3000);
    assert_in_range(store_write_age_ms(world->store), 2900, 3000);
    run_ms(world, 20000);
    assert_int_equal(waiter.calls, 1);
    mem_disk_set_latency(world->disk, 0, 0);
    run_ms(world, 60000);
    assert_int_equal(store_write_age_ms(world->store), 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_empty_and_opens_again),
        cmocka_unit_test(appends_complete_in_order_after_one_fsync),
        cmocka_unit_test(a_steady_stream_of_batches_goes_to_its_segment_now_and_then),
        cmocka_unit_test(large_writes_to_segments_are_made_of_whole_blocks),
        cmocka_unit_test(more_segments_than_can_be_open_are_written_and_synced_in_pieces),
        cmocka_unit_test(what_was_acknowledged_survives_a_power_failure),
        cmocka_unit_test(segments_roll_and_old_ones_are_read_from_files),
        cmocka_unit_test(the_journal_is_recycled_and_appends_never_stall_for_good),
        cmocka_unit_test(a_restart_with_a_full_journal_goes_on),
        cmocka_unit_test(a_raised_log_start_removes_whole_segments),
        cmocka_unit_test(a_log_may_have_segments_of_its_own_size),
        cmocka_unit_test(a_deleted_log_leaves_its_promise),
        cmocka_unit_test(notes_are_kept),
        cmocka_unit_test(times_are_found),
        cmocka_unit_test(the_newest_time_is_found_also_behind_a_cut),
        cmocka_unit_test(producer_snapshots_fall_with_a_cut),
        cmocka_unit_test(a_producer_snapshot_is_durable_when_it_is_told),
        cmocka_unit_test(a_producer_snapshot_of_another_history_is_not_believed),
        cmocka_unit_test(an_idle_store_writes_one_marker_and_then_nothing),
        cmocka_unit_test(large_batches_are_read_whole),
        cmocka_unit_test(a_write_that_hangs_is_told_by_its_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
