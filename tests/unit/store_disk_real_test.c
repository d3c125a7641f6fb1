/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "base/trace.h"
#include "net/clock_real.h"
#include "store/disk_bytes.h"
#include "store/disk_real.h"
#include "store/store.h"
#include "tests/lib/batches.h"
#include "tests/lib/test.h"

struct world {
    uv_loop_t loop;
    struct clock_real *clock;
    struct disk *disk;
    char root[64];
};

static const struct uuid topic = {{9, 8, 7}};

static void no_trace(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}

static struct world *world_new(void)
{
    struct world *world = mem_new(sizeof *world);

    trace_set_sink(no_trace);
    (void)snprintf(world->root, sizeof world->root, "/tmp/tern-disk-XXXXXX");
    assert_non_null(mkdtemp(world->root));
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->clock = clock_real_new(&world->loop);
    assert_int_equal(disk_real_open(&world->loop, world->root, &world->disk), 0);
    return world;
}

static void world_free(struct world *world)
{
    char command[128];

    disk_real_close(world->disk);
    clock_real_close(world->clock);
    while (uv_run(&world->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(uv_loop_close(&world->loop), 0);
    (void)snprintf(command, sizeof command, "rm -rf %s", world->root);
    assert_int_equal(system(command), 0); /* NOLINT: the name is ours */
    free(world);
}

/* Bytes that this process made devices read; what the page cache had is not among them. */
static uint64_t device_read_bytes(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    unsigned long long bytes = 0;
    char line[64];

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "read_bytes: %llu", &bytes) == 1) { /* NOLINT: the kernel wrote it */
            break;
        }
    }
    (void)fclose(file);
    return bytes;
}

struct waiting {
    struct disk_op op;
    struct store_req req;
    int64_t status;
    int calls;
};

static void op_done(struct disk_op *op, int64_t status)
{
    struct waiting *waiting = CONTAINER_OF(op, struct waiting, op);

    waiting->status = status;
    waiting->calls++;
}

static void req_done(struct store_req *req, int status)
{
    struct waiting *waiting = CONTAINER_OF(req, struct waiting, req);

    waiting->status = status;
    waiting->calls++;
}

static void wait_for(struct world *world, const struct waiting *waiting)
{
    while (waiting->calls == 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void a_second_process_is_refused(void **state)
{
    struct world *world = world_new();
    struct disk *second = NULL;

    (void)state;
    /* flock belongs to the open file, so this process can stand for another one. */
    assert_int_equal(disk_real_open(&world->loop, world->root, &second), TERN_ELOCKED);
    world_free(world);
}

static void files_and_names_behave_as_the_seam_says(void **state)
{
    struct world *world = world_new();
    const struct disk_ops *ops = world->disk->ops;
    struct disk *disk = world->disk;
    struct disk_file *file = NULL;
    struct disk_stat stat;
    uint8_t bytes[32];
    uint64_t size = 0;

    (void)state;
    assert_int_equal(ops->open(disk, "a/b", true, &file), TERN_ENOENT);
    assert_int_equal(ops->mkdir(disk, "a"), 0);
    assert_int_equal(ops->mkdir(disk, "a"), 0);
    assert_int_equal(ops->open(disk, "a/b", false, &file), TERN_ENOENT);
    assert_int_equal(ops->open(disk, "a/b", true, &file), 0);
    assert_int_equal(ops->write(disk, file, 10, slice_text("hello")), 0);
    assert_int_equal(ops->read(disk, file, 0, bytes, sizeof bytes), 15);
    assert_memory_equal(bytes + 10, "hello", 5);
    assert_int_equal(ops->read(disk, file, 100, bytes, sizeof bytes), 0);
    assert_int_equal(ops->preallocate(disk, file, 1000000), 0);
    assert_int_equal(ops->size(disk, file, &size), 0);
    assert_int_equal(size, 1000000);
    assert_int_equal(ops->truncate(disk, file, 12), 0);
    assert_int_equal(ops->sync(disk, file), 0);
    ops->close(disk, file);
    assert_int_equal(ops->rename(disk, "a/b", "a/c"), 0);
    assert_int_equal(ops->stat(disk, "a/b", &stat), TERN_ENOENT);
    assert_int_equal(ops->stat(disk, "a/c", &stat), 0);
    assert_int_equal(stat.size, 12);
    assert_int_equal(ops->stat(disk, "", &stat), 0);
    assert_true(stat.is_dir);
    assert_int_equal(ops->sync_dir(disk, "a"), 0);
    assert_int_equal(ops->sync_dir(disk, ""), 0);
    assert_int_equal(ops->sync_dir(disk, "x"), TERN_ENOENT);
    assert_int_not_equal(ops->remove(disk, "a"), 0);
    assert_int_equal(ops->remove(disk, "a/c"), 0);
    assert_int_equal(ops->remove(disk, "a/c"), TERN_ENOENT);
    assert_int_equal(ops->remove(disk, "a"), 0);
    assert_true(ops->free_bytes(disk) > 0);
    world_free(world);
}

static void many_extents_land_where_they_belong(void **state)
{
    struct world *world = world_new();
    struct disk *disk = world->disk;
    struct disk_file *files[2];
    struct disk_extent extents[1200];
    struct waiting waiting = {0};
    static uint8_t bytes[1200];
    uint8_t back[1200];

    (void)state;
    assert_int_equal(disk->ops->open(disk, "x", true, &files[0]), 0);
    assert_int_equal(disk->ops->open(disk, "y", true, &files[1]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(extents); i++) {
        bytes[i] = (uint8_t)(i * 7);
        /* A long run in one file, then both in turn. */
        size_t which = i < 700 ? 0 : i % 2;
        extents[i] = (struct disk_extent){files[which], i, slice_of(bytes + i, 1)};
    }
    waiting.op = (struct disk_op){.kind = DISK_WRITE,
                                  .extents = extents,
                                  .extent_count = ARRAY_COUNT(extents),
                                  .sync = files[1],
                                  .done = op_done};
    disk_submit(disk, &waiting.op);
    assert_int_equal(disk_real_ops_under_way(disk), 1);
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 0);
    assert_int_equal(disk_real_ops_under_way(disk), 0);
    waiting = (struct waiting){0};
    waiting.op = (struct disk_op){
        .kind = DISK_READ, .file = files[0], .into = back, .len = sizeof back, .done = op_done};
    disk_submit(disk, &waiting.op);
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 1199);
    assert_memory_equal(back, bytes, 700);
    for (size_t i = 700; i < 1199; i++) {
        assert_int_equal(back[i], i % 2 == 0 ? bytes[i] : 0);
    }
    waiting = (struct waiting){0};
    waiting.op =
        (struct disk_op){.kind = DISK_SYNC, .files = files, .file_count = 2, .done = op_done};
    disk_submit(disk, &waiting.op);
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 0);
    disk->ops->close(disk, files[0]);
    disk->ops->close(disk, files[1]);
    world_free(world);
}

/* Pieces of all sizes, at places and in memory that are on page bounds or not. */
static void large_writes_land_where_they_belong_past_the_page_cache(void **state)
{
    enum { BYTES = 5 << 20, PIECE = 65536 + 13 };
    static const size_t starts[] = {0, 1, 64, 4095, 4096, 70001, 1 << 20};
    struct world *world = world_new();
    struct disk *disk = world->disk;
    struct disk_extent extents[BYTES / PIECE];
    struct waiting waiting = {0};
    uint8_t *bytes = aligned_alloc(4096, BYTES);
    uint8_t *want = mem_new(2 * BYTES);
    uint8_t *back = mem_new(2 * BYTES);
    struct disk_file *file = NULL;
    uint64_t size = 0;

    (void)state;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 4096);
    }
    assert_int_equal(disk->ops->open(disk, "x", true, &file), 0);
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        size_t at = starts[i];
        for (size_t n = 0; n < ARRAY_COUNT(extents); n++) {
            extents[n] = (struct disk_extent){file, at, slice_of(bytes + n * PIECE, PIECE - n)};
            memcpy(want + at, bytes + n * PIECE, PIECE - n);
            at += PIECE - n;
        }
        size = at > size ? at : size;
        waiting = (struct waiting){.op = {.kind = DISK_WRITE,
                                          .extents = extents,
                                          .extent_count = ARRAY_COUNT(extents),
                                          .sync = file,
                                          .done = op_done}};
        disk_submit(disk, &waiting.op);
        wait_for(world, &waiting);
        assert_int_equal(waiting.status, 0);
        /* Bytes of the cache and those that went past it are one file. */
        assert_int_equal(disk->ops->read(disk, file, 0, back, 2 * (size_t)BYTES), size);
        assert_memory_equal(back, want, size);
    }
    /* As the journal does it: all on page bounds. */
    extents[0] = (struct disk_extent){file, 8192, slice_of(bytes, 4096)};
    extents[1] = (struct disk_extent){file, 12288, slice_of(bytes + 8192, 1 << 20)};
    memcpy(want + 8192, bytes, 4096);
    memcpy(want + 12288, bytes + 8192, 1 << 20);
    waiting = (struct waiting){
        .op = {.kind = DISK_WRITE, .extents = extents, .extent_count = 2, .done = op_done}};
    disk_submit(disk, &waiting.op);
    assert_int_equal(disk->ops->rename(disk, "x", "y"), 0);
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 0);
    assert_int_equal(disk->ops->read(disk, file, 0, back, 2 * (size_t)BYTES), size);
    assert_memory_equal(back, want, size);
    disk->ops->close(disk, file);
    free(bytes);
    free(want);
    free(back);
    world_free(world);
}

/* A file that was written partly through the page cache and partly past it, and ends within a page. */
static void what_is_read_on_page_bounds_comes_past_the_page_cache(void **state)
{
    enum { BYTES = (1 << 20) + 777, ROOM = 2 << 20 };
    static const struct {
        uint64_t pos;
        size_t len;
        size_t skip; /* of the memory */
        bool past;
    } reads[] = {{1, 4096, 0, false},    {0, 4095, 0, false},      {0, 4096, 8, false},
                 {4096, 65536, 0, true}, {0, ROOM, 0, true},       {1 << 20, 4096, 0, true},
                 {ROOM, 4096, 0, true},  {69632, 1 << 20, 0, true}};
    struct world *world = world_new();
    struct disk *disk = world->disk;
    uint8_t *bytes = mem_pages(ROOM);
    uint8_t *back = mem_pages(2 * ROOM);
    struct disk_file *file = NULL;

    (void)state;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 4096);
    }
    assert_int_equal(disk->ops->open(disk, "x", true, &file), 0);
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        struct disk_extent extent = {file, 0, slice_of(bytes, BYTES)};
        struct waiting waiting = {
            .op = {.kind = DISK_WRITE, .extents = &extent, .extent_count = 1, .done = op_done}};
        uint64_t left = reads[i].pos < BYTES ? BYTES - reads[i].pos : 0;
        size_t want = reads[i].len < left ? reads[i].len : (size_t)left;
        bytes[reads[i].pos % BYTES]++; /* not synced: the cache still has the ends of it */
        disk_submit(disk, &waiting.op);
        wait_for(world, &waiting);
        assert_int_equal(waiting.status, 0);
        uint64_t before = device_read_bytes();
        waiting = (struct waiting){.op = {.kind = DISK_READ,
                                          .file = file,
                                          .pos = reads[i].pos,
                                          .into = back + reads[i].skip,
                                          .len = reads[i].len,
                                          .done = op_done}};
        disk_submit(disk, &waiting.op);
        wait_for(world, &waiting);
        assert_int_equal(waiting.status, want);
        assert_memory_equal(back + reads[i].skip, bytes + reads[i].pos, want);
        if (reads[i].past && !atomic_load(&file->refused) && atomic_load(&file->direct) >= 0) {
            assert_true(device_read_bytes() - before >= want / MEM_PAGE * MEM_PAGE);
        }
    }
    disk->ops->close(disk, file);
    free(bytes);
    free(back);
    world_free(world);
}

static void many_files_are_synced_and_a_worker_does_one_thing_at_a_time(void **state)
{
    enum { FILES = 300 };
    struct world *world = world_new();
    struct disk *disk = world->disk;
    struct disk_file *files[FILES];
    struct disk_extent extents[FILES];
    struct waiting waiting[FILES] = {0};
    struct waiting sync = {0};
    char name[16];

    (void)state;
    for (size_t i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%zu", i);
        assert_int_equal(disk->ops->open(disk, name, true, &files[i]), 0);
        extents[i] = (struct disk_extent){files[i], i, slice_text("hello")};
        waiting[i].op = (struct disk_op){.kind = i % 3 == 2 ? DISK_READ : DISK_WRITE,
                                         .file = files[i],
                                         .into = (uint8_t *)name,
                                         .len = 0,
                                         .extents = &extents[i],
                                         .extent_count = 1,
                                         .done = op_done};
        disk_submit(disk, &waiting[i].op);
    }
    assert_int_equal(disk_real_ops_under_way(disk), FILES);
    for (size_t i = 0; i < FILES; i++) {
        wait_for(world, &waiting[i]);
        assert_int_equal(waiting[i].calls, 1);
        assert_int_equal(waiting[i].status, 0);
    }
    sync.op =
        (struct disk_op){.kind = DISK_SYNC, .files = files, .file_count = FILES, .done = op_done};
    disk_submit(disk, &sync.op);
    wait_for(world, &sync);
    assert_int_equal(sync.status, 0);
    sync.calls = 0; /* fewer: side by side */
    sync.op.file_count = 100;
    disk_submit(disk, &sync.op);
    wait_for(world, &sync);
    assert_int_equal(sync.status, 0);
    assert_int_equal(disk_real_ops_under_way(disk), 0);
    for (size_t i = 0; i < FILES; i++) {
        disk->ops->close(disk, files[i]);
    }
    world_free(world);
}

static void stop_disk(struct world *world)
{
    while (disk_real_ops_under_way(world->disk) > 0) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static void a_store_keeps_what_it_acknowledged(void **state)
{
    struct world *world = world_new();
    struct store_options options = store_defaults();
    struct store *store = NULL;
    struct waiting waiting = {0};
    char why[256];

    (void)state;
    options.journal_file_bytes = 1u << 20;
    options.reserve_bytes = 0;
    waiting.req.done = req_done;
    assert_int_equal(store_open(world->disk, clock_real_clock(world->clock), &options, &store, why),
                     0);
    struct store_log *log = store_create(store, topic, 0, NULL);
    for (int i = 0; i < 2000; i++) {
        struct chunk batch = batch_make(i, 1, 1, i, 1000, (uint32_t)i);
        store_append(log, batch, i == 1999 ? &waiting.req : NULL);
        chunk_drop(&batch);
    }
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 0);
    stop_disk(world);
    store_close(store);
    assert_int_equal(store_open(world->disk, clock_real_clock(world->clock), &options, &store, why),
                     0);
    log = store_find(store, topic, 0);
    assert_non_null(log);
    assert_int_equal(store_state(log)->leo, 2000);
    waiting.calls = 0;
    store_flush(store, &waiting.req);
    wait_for(world, &waiting);
    assert_int_equal(waiting.status, 0);
    stop_disk(world);
    store_close(store);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_process_is_refused),
        cmocka_unit_test(files_and_names_behave_as_the_seam_says),
        cmocka_unit_test(many_extents_land_where_they_belong),
        cmocka_unit_test(large_writes_land_where_they_belong_past_the_page_cache),
        cmocka_unit_test(what_is_read_on_page_bounds_comes_past_the_page_cache),
        cmocka_unit_test(many_files_are_synced_and_a_worker_does_one_thing_at_a_time),
        cmocka_unit_test(a_store_keeps_what_it_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
