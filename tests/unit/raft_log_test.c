/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/error.h"
#include "store/raft_log_format.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

#define INDEXES 256
#define STEP    512 /* the file grows and shrinks often */

/* What has been promised to the caller, and what a crash may leave at most. */
struct model {
    uint64_t term;           /* returned */
    uint64_t vote;           /* returned */
    uint64_t term_tried;     /* called for */
    uint64_t vote_tried;     /* called for */
    uint64_t entry[INDEXES]; /* term of an entry that is known to be durable, 0: none */
    uint64_t snapshot;       /* index of one that is known to be durable */
    uint64_t snapshot_tried; /* called for */
};

struct bench {
    struct disk *disk;
    struct raft_log_store *log;
    struct model model;
    int failed;
    char why[256];
};

static void failed(void *ctx, int error, const char *what)
{
    struct bench *bench = ctx;

    (void)what;
    bench->failed = error;
}

static int bench_open(struct bench *bench)
{
    struct raft_log_options options = {.disk = bench->disk,
                                       .random_high = 17,
                                       .random_low = 42,
                                       .step = STEP,
                                       .failed = failed,
                                       .ctx = bench};

    bench->failed = 0;
    bench->log = NULL;
    return raft_log_open(&options, &bench->log, bench->why);
}

static void bench_close(struct bench *bench)
{
    if (bench->log != NULL) {
        mem_disk_kill(bench->disk); /* nothing may be under way */
        raft_log_close(bench->log);
        bench->log = NULL;
    }
}

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){0};
    bench->disk = mem_disk_new(NULL, 5);
    assert_int_equal(bench_open(bench), 0);
}

static void bench_fini(struct bench *bench)
{
    bench_close(bench);
    mem_disk_free(bench->disk);
}

/* The bytes of an entry follow from its index and term. */
static struct slice content(uint64_t index, uint64_t term)
{
    static uint8_t bytes[700];
    size_t len = 8 + (size_t)(index * 37 + term * 101) % 680;

    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(index * 7 + term * 13 + i);
    }
    return slice_of(bytes, len);
}

struct pending {
    struct raft_log_req req;
    struct bench *bench;
    uint64_t index;
    uint64_t count;
    uint64_t term;
    bool snapshot;
    bool void_; /* truncated meanwhile */
    struct pending *next;
};

static struct pending *all_pending;

static void pending_done(struct raft_log_req *req)
{
    struct pending *pending = CONTAINER_OF(req, struct pending, req);
    struct model *model = &pending->bench->model;

    if (pending->snapshot) {
        model->snapshot = pending->index;
    }
    for (uint64_t i = 0; i < pending->count && !pending->void_; i++) {
        model->entry[pending->index + i] = pending->term;
    }
    pending->void_ = true;
}

static struct pending *pending_new(struct bench *bench, uint64_t index)
{
    struct pending *pending = mem_new(sizeof *pending);

    pending->req.done = pending_done;
    pending->bench = bench;
    pending->index = index;
    pending->next = all_pending;
    all_pending = pending;
    return pending;
}

static void pending_free(void)
{
    while (all_pending != NULL) {
        struct pending *next = all_pending->next;
        free(all_pending);
        all_pending = next;
    }
}

static void append(struct bench *bench, uint64_t count, uint64_t term)
{
    uint64_t index = raft_log_last(bench->log) + 1;
    struct pending *pending = pending_new(bench, index);
    struct raft_log_entry entries[8];
    struct buf copies[8] = {{0}};

    assert_true(count <= 8);
    for (uint64_t i = 0; i < count; i++) {
        buf_put(&copies[i], content(index + i, term));
        entries[i] = (struct raft_log_entry){term, 3, buf_slice(&copies[i])};
    }
    pending->count = count;
    pending->term = term;
    raft_log_append(bench->log, entries, (size_t)count, &pending->req);
    for (uint64_t i = 0; i < count; i++) {
        buf_fini(&copies[i]);
    }
}

static void forget(struct bench *bench, uint64_t from)
{
    for (uint64_t i = from; i < INDEXES; i++) {
        bench->model.entry[i] = 0;
    }
    for (struct pending *pending = all_pending; pending != NULL; pending = pending->next) {
        if (!pending->void_ && !pending->snapshot && pending->index + pending->count > from) {
            pending->void_ = true; /* coarse: none of it is demanded */
        }
    }
}

static void truncate_log(struct bench *bench, uint64_t index)
{
    forget(bench, index);
    raft_log_truncate(bench->log, index);
}

static void snapshot(struct bench *bench, uint64_t index, uint64_t term, uint64_t trailing)
{
    struct pending *pending = pending_new(bench, index);
    struct raft_log_snapshot stored = {
        .index = index, .term = term, .config_index = 1, .config = slice_text("the members")};

    pending->snapshot = true;
    bench->model.snapshot_tried = index;
    forget(bench, trailing == 0 ? 0 : INDEXES);
    for (uint64_t i = 0; i <= index; i++) {
        bench->model.entry[i] = 0; /* may be dropped from now on */
    }
    stored.data = content(index, 99);
    raft_log_snapshot(bench->log, &stored, trailing, &pending->req);
}

static void set_term(struct bench *bench, uint64_t term)
{
    if (mem_disk_stopped(bench->disk)) {
        return;
    }
    bench->model.term_tried = term;
    bench->model.vote_tried = 0;
    if (raft_log_set_term(bench->log, term) == 0 && !mem_disk_stopped(bench->disk)) {
        bench->model.term = term;
        bench->model.vote = 0;
    }
}

static void set_vote(struct bench *bench, uint64_t vote)
{
    if (mem_disk_stopped(bench->disk)) {
        return;
    }
    bench->model.vote_tried = vote;
    if (raft_log_set_vote(bench->log, vote) == 0 && !mem_disk_stopped(bench->disk)) {
        bench->model.vote = vote;
    }
}

static void check_loaded(struct bench *bench)
{
    size_t count;
    const struct raft_log_entry *entries = raft_log_loaded(bench->log, &count);
    uint64_t first = raft_log_first(bench->log);
    struct model *model = &bench->model;
    uint64_t snapshot_index = raft_log_snapshot_index(bench->log);

    assert_int_equal(raft_log_last(bench->log), first + count - 1);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].type, 3);
        assert_true(slice_equal(entries[i].bytes, content(first + i, entries[i].term)));
    }
    assert_true(snapshot_index == model->snapshot || snapshot_index == model->snapshot_tried);
    assert_true(first <= snapshot_index + 1);
    for (uint64_t i = snapshot_index + 1; i < INDEXES; i++) {
        if (model->entry[i] != 0) {
            assert_true(i - first < count);
            assert_int_equal(entries[i - first].term, model->entry[i]);
        }
    }
    uint64_t term = raft_log_term(bench->log);
    uint64_t vote = raft_log_vote(bench->log);
    assert_true(term == model->term || term == model->term_tried);
    if (term == model->term && model->term_tried == model->term) {
        assert_true(vote == model->vote || vote == model->vote_tried);
    }
    if (snapshot_index != 0) {
        struct raft_log_snapshot stored;
        struct buf bytes = {0};
        assert_int_equal(raft_log_snapshot_read(bench->log, &bytes, &stored), 0);
        assert_int_equal(stored.index, snapshot_index);
        assert_true(slice_equal(stored.config, slice_text("the members")));
        assert_true(slice_equal(stored.data, content(snapshot_index, 99)));
        buf_fini(&bytes);
    }
}

/* False: the power has failed. */
static bool pump(struct disk *disk)
{
    (void)mem_disk_pump(disk);
    return !mem_disk_stopped(disk);
}

/* A life: everything the log can do, some of it under way at the same time. */
static void workload(struct bench *bench)
{
    struct disk *disk = bench->disk;

    set_term(bench, 1);
    set_vote(bench, 7);
    append(bench, 1, 1);
    if (!pump(disk)) {
        return;
    }
    append(bench, 3, 1);
    append(bench, 2, 1); /* waits, goes out with the next */
    append(bench, 1, 1);
    if (!pump(disk)) {
        return;
    }
    set_term(bench, 2);
    append(bench, 4, 2); /* 8..11 */
    truncate_log(bench, 9);
    set_term(bench, 3);
    append(bench, 2, 3); /* 9, 10 */
    if (!pump(disk)) {
        return;
    }
    append(bench, 2, 3); /* 11, 12 */
    (void)mem_disk_pump_one(disk);
    snapshot(bench, 8, 2, 3);
    append(bench, 3, 3); /* 13..15 */
    if (!pump(disk)) {
        return;
    }
    append(bench, 1, 3); /* 16 */
    truncate_log(bench, 15);
    append(bench, 1, 4); /* 15 */
    if (!pump(disk)) {
        return;
    }
    snapshot(bench, 15, 4, 100);
    if (!pump(disk)) {
        return;
    }
    set_term(bench, 5);
    set_vote(bench, 9);
    append(bench, 2, 5); /* 16, 17 */
    if (!pump(disk)) {
        return;
    }
    snapshot(bench, 40, 5, 0); /* installed: nothing of the old log is left */
    if (!pump(disk)) {
        return;
    }
    append(bench, 1, 5); /* 41 */
    append(bench, 1, 5); /* 42 */
    truncate_log(bench, 42);
    append(bench, 2, 6); /* 42, 43 */
    (void)pump(disk);
}

static void everything_is_there_after_a_clean_restart(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    workload(&bench);
    assert_int_equal(raft_log_first(bench.log), 41);
    assert_int_equal(raft_log_last(bench.log), 43);
    assert_int_equal(bench.model.entry[41], 5);
    assert_int_equal(bench.model.entry[43], 6);
    bench_close(&bench);
    assert_int_equal(bench_open(&bench), 0);
    check_loaded(&bench);
    assert_int_equal(raft_log_term(bench.log), 5);
    assert_int_equal(raft_log_vote(bench.log), 9);
    assert_int_equal(raft_log_last(bench.log), 43);
    bench_fini(&bench);
    pending_free();
}

static uint64_t workload_points(void)
{
    struct bench bench;

    bench_init(&bench);
    workload(&bench);
    uint64_t points = mem_disk_points(bench.disk);
    bench_fini(&bench);
    pending_free();
    return points;
}

/* Power fails before write point `point`; afterwards the log opens, holds what was promised, and
 * works. */
static void crash_at(uint64_t point, uint64_t seed, bool power)
{
    struct bench bench = {.disk = mem_disk_new(NULL, seed)};

    mem_disk_stop_at(bench.disk, point);
    if (bench_open(&bench) == 0) {
        workload(&bench);
    }
    if (power) {
        mem_disk_crash(bench.disk);
    } else {
        mem_disk_kill(bench.disk);
    }
    bench_close(&bench);
    mem_disk_stop_at(bench.disk, 0);
    int rv = bench_open(&bench);
    if (rv != 0) {
        printf("point %llu seed %llu: %s, %s\n", (unsigned long long)point,
               (unsigned long long)seed, error_name(rv), bench.why);
    }
    assert_int_equal(rv, 0);
    check_loaded(&bench);
    raft_log_loaded_drop(bench.log);
    uint64_t last = raft_log_last(bench.log);
    append(&bench, 3, 9);
    (void)mem_disk_pump(bench.disk);
    bench_close(&bench);
    assert_int_equal(bench_open(&bench), 0);
    assert_int_equal(raft_log_last(bench.log), last + 3);
    check_loaded(&bench);
    bench_fini(&bench);
    pending_free();
}

static void a_crash_at_any_write_point_keeps_what_was_promised(void **state)
{
    uint64_t points = workload_points();

    (void)state;
    assert_true(points > 40);
    for (uint64_t point = 1; point <= points; point++) {
        for (uint64_t seed = 1; seed <= 12; seed++) {
            crash_at(point, seed, true);
        }
        crash_at(point, 1, false);
    }
}

static uint64_t size_of(struct bench *bench, const char *path)
{
    struct disk_stat stat;

    assert_int_equal(bench->disk->ops->stat(bench->disk, path, &stat), 0);
    return stat.size;
}

static size_t log_read(struct bench *bench, uint8_t *out, size_t room)
{
    struct disk_file *file = NULL;

    assert_int_equal(bench->disk->ops->open(bench->disk, "raft/log", false, &file), 0);
    int64_t got = bench->disk->ops->read(bench->disk, file, 0, out, room);
    bench->disk->ops->close(bench->disk, file);
    assert_true(got > 0 && got < (int64_t)room);
    return (size_t)got;
}

/* Where the last frame ends; zeros follow. */
static uint64_t frames_end(struct bench *bench)
{
    uint8_t bytes[1 << 16];
    size_t len = log_read(bench, bytes, sizeof bytes);
    size_t at = LOG_HEADER_BYTES;

    while (at + FRAME_BYTES <= len && raft_log_frame_index(bytes + at) != 0) {
        at += FRAME_BYTES + (size_t)raft_log_frame_len(bytes + at);
    }
    for (size_t i = at; i < len; i++) {
        assert_int_equal(bytes[i], 0);
    }
    return at;
}

static void cut_off(struct bench *bench, uint64_t size)
{
    struct disk_file *file = NULL;

    assert_int_equal(bench->disk->ops->open(bench->disk, "raft/log", false, &file), 0);
    assert_int_equal(bench->disk->ops->truncate(bench->disk, file, size), 0);
    assert_int_equal(bench->disk->ops->sync(bench->disk, file), 0);
    bench->disk->ops->close(bench->disk, file);
}

static void a_flipped_bit_in_what_was_synced_is_damage(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    for (unsigned i = 0; i < 5; i++) {
        append(&bench, 1, 1);
        (void)mem_disk_pump(bench.disk);
    }
    bench_close(&bench);
    uint64_t last_frame = frames_end(&bench) - FRAME_BYTES - content(5, 1).len;
    for (uint64_t pos = 0; pos < last_frame; pos++) {
        struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
        assert_true(mem_disk_flip(copy.disk, "raft/log", pos, (unsigned)(pos % 8)));
        int rv = bench_open(&copy);
        assert_true(rv == TERN_EDAMAGED);
        assert_non_null(strstr(copy.why, "raft/log"));
        bench_fini(&copy);
    }
    bench_fini(&bench);
    pending_free();
}

static void a_bad_last_frame_that_nothing_vouches_for_is_cut(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    append(&bench, 2, 1);
    (void)mem_disk_pump(bench.disk);
    append(&bench, 1, 1);
    (void)mem_disk_pump(bench.disk);
    bench_close(&bench);
    assert_true(mem_disk_flip(bench.disk, "raft/log", frames_end(&bench) - 1, 3));
    assert_int_equal(bench_open(&bench), 0);
    assert_int_equal(raft_log_last(bench.log), 2);
    bench_close(&bench);
    (void)frames_end(&bench); /* nothing of it is left that a later frame could lead to */
    bench_fini(&bench);
    pending_free();
}

/* A frame does not know that another one followed; the length of the file does. */
static void a_log_that_was_cut_off_anywhere_is_damage(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    workload(&bench);
    set_term(&bench, 7);
    append(&bench, 2, 7);
    (void)mem_disk_pump(bench.disk);
    append(&bench, 1, 7); /* in a write of its own: nothing vouches for its frame */
    (void)mem_disk_pump(bench.disk);
    uint64_t last = raft_log_last(bench.log);
    bench_close(&bench);
    uint64_t end = frames_end(&bench);
    uint64_t length = size_of(&bench, "raft/log");
    assert_true(length >= end + FRAME_BYTES);
    assert_int_equal(length % STEP, 0);
    assert_true(length > STEP); /* it has grown */
    for (uint64_t size = 0; size < length; size++) {
        struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
        cut_off(&copy, size);
        int rv = bench_open(&copy);
        if (size < end + FRAME_BYTES) {
            assert_int_equal(rv, TERN_EDAMAGED);
            assert_non_null(strstr(copy.why, "raft/log"));
        } else {
            assert_int_equal(rv, 0); /* of the zeros behind the frames there are enough to tell */
            assert_int_equal(raft_log_last(copy.log), last);
            bench_close(&copy);
            assert_int_equal(size_of(&copy, "raft/log"), length);
        }
        bench_fini(&copy);
    }
    bench_fini(&bench);
    pending_free();
}

/* As older builds wrote it: the file ends with its last frame, and meta does not know its length. */
static void a_log_of_an_older_build_is_read_and_guarded_from_then_on(void **state)
{
    struct bench bench;
    uint8_t meta[META_COPY_BYTES];
    struct disk_file *file = NULL;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    append(&bench, 3, 1);
    (void)mem_disk_pump(bench.disk);
    bench_close(&bench);
    uint64_t end = frames_end(&bench);
    cut_off(&bench, end);
    assert_int_equal(bench.disk->ops->open(bench.disk, "raft/meta", false, &file), 0);
    assert_int_equal(bench.disk->ops->read(bench.disk, file, 0, meta, sizeof meta), sizeof meta);
    bench.disk->ops->close(bench.disk, file);
    put_le64(meta + 40, 0);
    put_le32(meta + 60, crc32c(slice_of(meta, 60)));
    assert_true(mem_disk_poke(bench.disk, "raft/meta", 0, slice_of(meta, sizeof meta)));
    assert_true(mem_disk_poke(bench.disk, "raft/meta", META_STRIDE, slice_of(meta, sizeof meta)));
    assert_int_equal(bench_open(&bench), 0);
    assert_int_equal(raft_log_last(bench.log), 3);
    check_loaded(&bench);
    bench_close(&bench);
    assert_true(size_of(&bench, "raft/log") > end);
    cut_off(&bench, end);
    assert_int_equal(bench_open(&bench), TERN_EDAMAGED);
    bench_fini(&bench);
    pending_free();
}

static void a_full_disk_does_not_keep_the_log_from_growing(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    append(&bench, 2, 1);
    (void)mem_disk_pump(bench.disk);
    assert_int_equal(size_of(&bench, "raft/log"), STEP);
    mem_disk_set_capacity(bench.disk, mem_disk_used(bench.disk) + 300); /* no whole step */
    append(&bench, 1, 1);
    (void)mem_disk_pump(bench.disk);
    assert_int_equal(bench.failed, 0);
    assert_true(bench.model.entry[3] != 0);
    assert_true(size_of(&bench, "raft/log") > STEP);
    assert_true(size_of(&bench, "raft/log") < 2 * STEP);
    mem_disk_set_capacity(bench.disk, UINT64_MAX);
    bench_close(&bench);
    assert_int_equal(bench_open(&bench), 0);
    assert_int_equal(raft_log_last(bench.log), 3);
    bench_close(&bench);
    assert_int_equal(size_of(&bench, "raft/log"), 2 * STEP);
    bench_fini(&bench);
    pending_free();
}

static void either_copy_of_term_and_vote_may_rot(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 8);
    set_vote(&bench, 3);
    bench_close(&bench);
    for (uint64_t slot = 0; slot < 2; slot++) {
        for (uint64_t pos = 0; pos < 64; pos++) {
            struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
            assert_true(mem_disk_flip(copy.disk, "raft/meta", slot * 4096 + pos, 5));
            assert_int_equal(bench_open(&copy), 0);
            assert_int_equal(raft_log_term(copy.log), 8);
            assert_int_equal(raft_log_vote(copy.log), 3);
            bench_fini(&copy);
        }
    }
    struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
    assert_true(mem_disk_flip(copy.disk, "raft/meta", 30, 5));
    assert_true(mem_disk_flip(copy.disk, "raft/meta", 4096 + 30, 5));
    assert_int_equal(bench_open(&copy), TERN_EDAMAGED);
    bench_fini(&copy);
    bench_fini(&bench);
    pending_free();
}

static void a_damaged_or_missing_snapshot_is_refused(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    workload(&bench);
    bench_close(&bench);
    uint64_t size = size_of(&bench, "raft/snapshot");
    for (uint64_t pos = 0; pos < size; pos++) {
        struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
        assert_true(mem_disk_flip(copy.disk, "raft/snapshot", pos, 1));
        assert_int_equal(bench_open(&copy), TERN_EDAMAGED);
        bench_fini(&copy);
    }
    struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
    assert_int_equal(copy.disk->ops->remove(copy.disk, "raft/snapshot"), 0);
    assert_int_equal(bench_open(&copy), TERN_EDAMAGED);
    bench_fini(&copy);
    bench_fini(&bench);
    pending_free();
}

static void a_missing_log_is_not_an_empty_one(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    bench_close(&bench);
    assert_int_equal(bench.disk->ops->remove(bench.disk, "raft/log"), 0);
    assert_int_equal(bench_open(&bench), TERN_EDAMAGED);
    bench_fini(&bench);
    pending_free();
}

static void set_format(struct disk *disk, const char *path, size_t len, uint64_t at)
{
    uint8_t header[72];
    struct disk_file *file;

    assert_int_equal(disk->ops->open(disk, path, false, &file), 0);
    assert_int_equal(disk->ops->read(disk, file, at, header, sizeof header) >= (int64_t)len, 1);
    disk->ops->close(disk, file);
    put_le32(header + 4, 9);
    size_t crc_at = len - 4;
    put_le32(header + crc_at, crc32c(slice_of(header, crc_at)));
    assert_true(mem_disk_poke(disk, path, at, slice_of(header, len)));
}

static void an_unknown_format_is_refused_naming_both_versions(void **state)
{
    struct bench bench;
    static const char *const paths[] = {"raft/meta", "raft/log", "raft/snapshot"};

    (void)state;
    bench_init(&bench);
    workload(&bench);
    bench_close(&bench);
    for (unsigned i = 0; i < 3; i++) {
        struct bench copy = {.disk = mem_disk_copy(bench.disk, NULL, 3)};
        if (i == 2) {
            set_format(copy.disk, paths[i], 72, 0);
        } else {
            set_format(copy.disk, paths[i], 64, 0);
        }
        assert_int_equal(bench_open(&copy), TERN_EFORMAT);
        assert_non_null(strstr(copy.why, paths[i]));
        assert_non_null(strstr(copy.why, "format 9"));
        assert_non_null(strstr(copy.why, "format 1"));
        bench_fini(&copy);
    }
    bench_fini(&bench);
    pending_free();
}

static void a_failed_sync_is_final(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    set_term(&bench, 1);
    append(&bench, 1, 1);
    mem_disk_fail_next_sync(bench.disk);
    append(&bench, 1, 1);
    (void)mem_disk_pump(bench.disk);
    assert_int_equal(bench.failed, TERN_EIO);
    append(&bench, 1, 1); /* allowed, and never done */
    (void)mem_disk_pump(bench.disk);
    assert_int_equal(bench.model.entry[2], 0);
    assert_int_equal(bench.model.entry[3], 0);
    assert_int_equal(raft_log_set_term(bench.log, 2), TERN_EIO);
    bench_fini(&bench);
    pending_free();
}

static void bootstrap_happens_once(void **state)
{
    struct bench bench;
    size_t count;

    (void)state;
    bench_init(&bench);
    assert_true(raft_log_pristine(bench.log));
    assert_int_equal(raft_log_bootstrap(bench.log, 3, content(1, 1)), 0);
    assert_int_equal(raft_log_bootstrap(bench.log, 3, content(1, 1)), TERN_EEXIST);
    bench_close(&bench);
    assert_int_equal(bench_open(&bench), 0);
    const struct raft_log_entry *entries = raft_log_loaded(bench.log, &count);
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].term, 1);
    assert_int_equal(raft_log_term(bench.log), 1);
    assert_int_equal(raft_log_bootstrap(bench.log, 3, content(1, 1)), TERN_EEXIST);
    bench_fini(&bench);
}

static void bootstrap_may_be_repeated_after_a_crash_in_its_middle(void **state)
{
    (void)state;
    for (uint64_t point = 1;; point++) {
        struct bench bench = {.disk = mem_disk_new(NULL, point)};
        mem_disk_stop_at(bench.disk, point);
        bool opened = bench_open(&bench) == 0;
        int rv = opened ? raft_log_bootstrap(bench.log, 3, content(1, 1)) : TERN_EIO;
        bool stopped = mem_disk_stopped(bench.disk);
        mem_disk_crash(bench.disk);
        bench_close(&bench);
        mem_disk_stop_at(bench.disk, 0);
        assert_int_equal(bench_open(&bench), 0);
        rv = raft_log_bootstrap(bench.log, 3, content(1, 1));
        assert_true(rv == 0 || rv == TERN_EEXIST);
        bench_close(&bench);
        assert_int_equal(bench_open(&bench), 0);
        assert_int_equal(raft_log_last(bench.log), 1);
        assert_int_equal(raft_log_term(bench.log), 1);
        bench_fini(&bench);
        if (!stopped) {
            assert_true(point > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_there_after_a_clean_restart),
        cmocka_unit_test(a_crash_at_any_write_point_keeps_what_was_promised),
        cmocka_unit_test(a_flipped_bit_in_what_was_synced_is_damage),
        cmocka_unit_test(a_bad_last_frame_that_nothing_vouches_for_is_cut),
        cmocka_unit_test(a_log_that_was_cut_off_anywhere_is_damage),
        cmocka_unit_test(a_log_of_an_older_build_is_read_and_guarded_from_then_on),
        cmocka_unit_test(a_full_disk_does_not_keep_the_log_from_growing),
        cmocka_unit_test(either_copy_of_term_and_vote_may_rot),
        cmocka_unit_test(a_damaged_or_missing_snapshot_is_refused),
        cmocka_unit_test(a_missing_log_is_not_an_empty_one),
        cmocka_unit_test(an_unknown_format_is_refused_naming_both_versions),
        cmocka_unit_test(a_failed_sync_is_final),
        cmocka_unit_test(bootstrap_happens_once),
        cmocka_unit_test(bootstrap_may_be_repeated_after_a_crash_in_its_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
