/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/trace.h"
#include "store/store.h"
#include "tests/lib/batches.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

/* A store on a disk in memory. */
struct world {
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    struct store_options options;
    char why[256];
    int fatal;
};

struct waiter {
    struct store_req req;
    int calls;
    int status;
    int *order; /* counts completions over several waiters */
    int place;
};

static const struct uuid topic = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void waited(struct store_req *req, int status)
{
    struct waiter *waiter = CONTAINER_OF(req, struct waiter, req);

    waiter->calls++;
    waiter->status = status;
    if (waiter->order != NULL) {
        waiter->place = ++*waiter->order;
    }
}

static struct waiter waiter_of(int *order)
{
    return (struct waiter){.req = {.done = waited}, .order = order};
}

static void on_fatal(void *ctx, int error, const char *what)
{
    struct world *world = ctx;

    (void)what;
    assert_int_equal(world->fatal, 0);
    world->fatal = error;
}

static void no_trace(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}

static int world_open(struct world *world)
{
    return store_open(world->disk, &world->clock.clock, &world->options, &world->store, world->why);
}

static struct world *world_new(void)
{
    struct world *world = mem_new(sizeof *world);

    trace_set_sink(no_trace);
    fake_clock_init(&world->clock, 7);
    world->disk = mem_disk_new(&world->clock.clock, 11);
    world->options = store_defaults();
    world->options.journal_file_bytes = 256u << 10;
    world->options.journal_files_max = 4;
    world->options.segment_bytes = 64u << 10;
    world->options.cache_bytes = 1u << 20;
    world->options.reserve_bytes = 0;
    world->options.fatal = on_fatal;
    world->options.fatal_ctx = world;
    assert_int_equal(world_open(world), 0);
    return world;
}

static void world_free(struct world *world)
{
    if (world->store != NULL) {
        mem_disk_kill(world->disk);
        store_close(world->store);
    }
    mem_disk_free(world->disk);
    fake_clock_fini(&world->clock);
    free(world);
}

/* Ends the process (or the power) and starts it again. */
static int world_restart(struct world *world, bool power)
{
    if (power) {
        mem_disk_crash(world->disk);
    } else {
        mem_disk_kill(world->disk);
    }
    store_close(world->store);
    world->store = NULL;
    return world_open(world);
}

static void run_ms(struct world *world, uint64_t ms)
{
    fake_clock_run(&world->clock, ms * 1000);
}

static void append(struct store_log *log, int32_t epoch, size_t len, struct store_req *req)
{
    int64_t leo = store_state(log)->leo;
    struct chunk batch = batch_make(leo, 1, epoch, 1000 + leo, len, (uint32_t)leo + 1);

    store_append(log, batch, req);
    chunk_drop(&batch);
}

static bool read_finished;

static void read_done(struct store_read *read)
{
    (void)read;
    read_finished = true;
}

/* Reads and compares with what append() wrote; returns the offset after the last batch. */
static int64_t read_check(struct world *world, struct store_log *log, int64_t from, int64_t limit,
                          size_t max_bytes)
{
    struct store_read read = {
        .log = log, .offset = from, .limit = limit, .max_bytes = max_bytes, .done = read_done};
    read_finished = false;
    if (!store_read(&read)) {
        run_ms(world, 10);
        assert_true(read_finished);
    }
    assert_int_equal(read.status, 0);
    int64_t at = from;
    for (size_t i = 0; i < read.chunk_count; i++) {
        struct slice in = chunk_slice(read.chunks[i]);
        while (in.len > 0) {
            size_t len = get_be32(in.base + 8) + 12;
            assert_true(len <= in.len);
            struct chunk want = batch_make(at, 1, (int32_t)get_be32(in.base + 12), 1000 + at, len,
                                           (uint32_t)at + 1);
            assert_memory_equal(in.base, want.base, len);
            chunk_drop(&want);
            in.base += len;
            in.len -= len;
            at++;
        }
    }
    store_read_fini(&read);
    return at;
}

static void read_all_check(struct world *world, struct store_log *log)
{
    int64_t at = store_state(log)->log_start;

    while (at < store_state(log)->leo) {
        int64_t next = read_check(world, log, at, store_state(log)->leo, 10000);
        assert_true(next > at);
        at = next;
    }
    assert_int_equal(at, store_state(log)->leo);
}

/* ---- the tests
 * ------------------------------------------------------------------------------------ */

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

static void count_quarantined(void *ctx, const struct store_quarantined *q)
{
    struct store_quarantined *out = ctx;

    out->records += q->records;
    out->first_offset = q->first_offset;
    out->end_offset = q->end_offset;
    out->first_epoch = q->first_epoch;
    out->last_epoch = q->last_epoch;
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
    assert_int_equal(store_state(log)->leo, 150);
    run_ms(world, 20);
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

static void a_restart_of_a_log_begins_at_its_offset(void **state)
{
    struct world *world = world_new();
    struct waiter done = waiter_of(NULL);

    (void)state;
    struct store_log *log = store_create(world->store, topic, 0, NULL);
    for (int i = 0; i < 100; i++) {
        append(log, 1, 700, NULL);
    }
    store_restart(log, 5000, true, &done.req);
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
    store_producers_save(log, 10, slice_text("ten"));
    store_producers_save(log, 20, slice_text("twenty"));
    assert_true(store_producers_load(log, 25, &offset, &out));
    assert_int_equal(offset, 20);
    assert_true(slice_equal(buf_slice(&out), slice_text("twenty")));
    store_truncate(log, 15, true, NULL);
    run_ms(world, 10);
    buf_clear(&out);
    assert_true(store_producers_load(log, 25, &offset, &out));
    assert_int_equal(offset, 10);
    assert_true(slice_equal(buf_slice(&out), slice_text("ten")));
    buf_fini(&out);
    world_free(world);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_empty_and_opens_again),
        cmocka_unit_test(appends_complete_in_order_after_one_fsync),
        cmocka_unit_test(what_was_acknowledged_survives_a_power_failure),
        cmocka_unit_test(segments_roll_and_old_ones_are_read_from_files),
        cmocka_unit_test(the_journal_is_recycled_and_appends_never_stall_for_good),
        cmocka_unit_test(a_restart_with_a_full_journal_goes_on),
        cmocka_unit_test(a_truncation_quarantines_what_it_cuts),
        cmocka_unit_test(a_restart_of_a_log_begins_at_its_offset),
        cmocka_unit_test(a_raised_log_start_removes_whole_segments),
        cmocka_unit_test(a_deleted_log_leaves_its_promise),
        cmocka_unit_test(notes_are_kept),
        cmocka_unit_test(times_are_found),
        cmocka_unit_test(producer_snapshots_fall_with_a_cut),
        cmocka_unit_test(a_failed_fsync_is_fatal_and_acknowledges_nothing),
        cmocka_unit_test(a_full_disk_loses_nothing_and_promises_still_work),
        cmocka_unit_test(an_idle_store_writes_one_marker_and_then_nothing),
        cmocka_unit_test(damage_below_the_synced_mark_is_refused),
        cmocka_unit_test(damage_in_the_last_group_is_told_from_a_torn_write),
        cmocka_unit_test(sectors_of_an_earlier_run_are_not_believed),
        cmocka_unit_test(a_lost_write_below_the_synced_mark_is_damage),
        cmocka_unit_test(a_missing_checkpoint_is_not_a_new_store),
        cmocka_unit_test(unknown_formats_are_refused_with_both_versions),
        cmocka_unit_test(a_damaged_segment_is_seen_by_the_reader),
        cmocka_unit_test(a_read_is_cancelled_by_a_truncation),
        cmocka_unit_test(large_batches_are_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
