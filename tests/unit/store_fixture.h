/* SPDX-License-Identifier: Apache-2.0 */
/* A store on a disk in memory, for the tests of the store room. */
#pragma once

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

TERN_UNUSED static void waited(struct store_req *req, int status)
{
    struct waiter *waiter = CONTAINER_OF(req, struct waiter, req);

    waiter->calls++;
    waiter->status = status;
    if (waiter->order != NULL) {
        waiter->place = ++*waiter->order;
    }
}

TERN_UNUSED static struct waiter waiter_of(int *order)
{
    return (struct waiter){.req = {.done = waited}, .order = order};
}

TERN_UNUSED static void on_fatal(void *ctx, int error, const char *what)
{
    struct world *world = ctx;

    (void)what;
    assert_int_equal(world->fatal, 0);
    world->fatal = error;
}

TERN_UNUSED static void no_trace(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}

TERN_UNUSED static int world_open(struct world *world)
{
    return store_open(world->disk, &world->clock.clock, &world->options, &world->store, world->why);
}

TERN_UNUSED static struct world *world_new(void)
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

TERN_UNUSED static void world_free(struct world *world)
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
TERN_UNUSED static int world_restart(struct world *world, bool power)
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

TERN_UNUSED static void run_ms(struct world *world, uint64_t ms)
{
    fake_clock_run(&world->clock, ms * 1000);
}

TERN_UNUSED static void append(struct store_log *log, int32_t epoch, size_t len,
                               struct store_req *req)
{
    int64_t leo = store_state(log)->leo;
    struct chunk batch = batch_make(leo, 1, epoch, 1000 + leo, len, (uint32_t)leo + 1);

    store_append(log, batch, req);
    chunk_drop(&batch);
}

static bool read_finished;

TERN_UNUSED static void read_done(struct store_read *read)
{
    (void)read;
    read_finished = true;
}

/* Reads and compares with what append() wrote; returns the offset after the last batch. */
TERN_UNUSED static int64_t read_check_as(struct world *world, struct store_log *log, int64_t from,
                                         int64_t limit, size_t max_bytes, bool once)
{
    struct store_read read = {.log = log,
                              .offset = from,
                              .limit = limit,
                              .max_bytes = max_bytes,
                              .once = once,
                              .done = read_done};
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

/* Through the page cache and past it. */
TERN_UNUSED static int64_t read_check(struct world *world, struct store_log *log, int64_t from,
                                      int64_t limit, size_t max_bytes)
{
    int64_t next = read_check_as(world, log, from, limit, max_bytes, false);

    assert_int_equal(read_check_as(world, log, from, limit, max_bytes, true), next);
    return next;
}

TERN_UNUSED static void read_all_check(struct world *world, struct store_log *log)
{
    int64_t at = store_state(log)->log_start;

    while (at < store_state(log)->leo) {
        int64_t next = read_check(world, log, at, store_state(log)->leo, 10000);
        assert_true(next > at);
        at = next;
    }
    assert_int_equal(at, store_state(log)->leo);
}
