/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "store/raft_log_impl.h"

#define BATCH_BYTES_MAX (1u << 20)

enum op_kind { OP_WRITE, OP_SWITCH };

/* Something that waits for its turn. */
struct op {
    struct link link;
    enum op_kind kind;
    struct buf frames; /* OP_WRITE; crc and mark are filled in when it is written */
    uint64_t index;    /* OP_SWITCH: of the snapshot */
    uint64_t term;     /* OP_SWITCH: of that index */
    uint64_t trailing; /* OP_SWITCH */
    struct raft_log_req *req;
};

static void op_free(struct op *op)
{
    buf_fini(&op->frames);
    free(op);
}

static void ops_free(struct link *head)
{
    for (struct link *link = queue_pop(head); link != NULL; link = queue_pop(head)) {
        op_free(CONTAINER_OF(link, struct op, link));
    }
}

void raft_log_ops_free(struct raft_log_store *log)
{
    ops_free(&log->ops);
    ops_free(&log->writing);
    if (log->snapshotting != NULL) {
        op_free(log->snapshotting);
    }
}

/* ---- the queue of writes -------------------------------------------------------------------- */

static void run(struct raft_log_store *log);

/* Frees the ops of the finished write; their reqs are called in order. */
static void finish(struct raft_log_store *log)
{
    struct link done;

    log->busy = false;
    queue_init(&done);
    for (struct link *link = queue_pop(&log->writing); link != NULL;
         link = queue_pop(&log->writing)) {
        struct op *op = CONTAINER_OF(link, struct op, link);
        if (op->req != NULL) {
            queue_push(&done, &op->req->link);
        }
        op_free(op);
    }
    /* The next write is under way before anyone looks at this one. */
    run(log);
    for (struct link *link = queue_pop(&done); link != NULL; link = queue_pop(&done)) {
        struct raft_log_req *req = CONTAINER_OF(link, struct raft_log_req, link);
        req->done(req);
    }
}

static void write_done(struct disk_op *disk_op, int64_t status)
{
    struct raft_log_store *log = CONTAINER_OF(disk_op, struct raft_log_store, disk_op);

    if (status != 0) {
        (void)raft_log_fail(log, (int)status, "writing raft/log");
    }
    if (log->failed) {
        return;
    }
    log->synced = log->end;
    finish(log);
}

/* Everything that waits at the head of the queue goes out as one write with one sync. */
static void run_write(struct raft_log_store *log)
{
    size_t count = 0;
    size_t bytes = 0;

    while (!queue_empty(&log->ops) && count < EXTENTS_MAX && bytes < BATCH_BYTES_MAX) {
        struct op *op = CONTAINER_OF(log->ops.next, struct op, link);
        if (op->kind != OP_WRITE) {
            break;
        }
        link_remove(&op->link);
        queue_push(&log->writing, &op->link);
        raft_log_frames_seal(log->meta.id, &op->frames, 0, log->synced);
        log->extents[count++] = (struct disk_extent){log->file, log->end, buf_slice(&op->frames)};
        for (size_t at = 0; at < op->frames.len;) {
            const uint8_t *frame = op->frames.base + at;
            CHECK(raft_log_frame_note(log, frame, log->end + at));
            at += FRAME_BYTES + (size_t)raft_log_frame_len(frame);
        }
        log->end += op->frames.len;
        log->waiting_bytes -= op->frames.len;
        bytes += op->frames.len;
    }
    log->busy = true;
    int rv = raft_log_grow(log, log->end);
    if (rv != 0) {
        (void)raft_log_fail(log, rv, "making raft/log longer");
        return;
    }
    log->disk_op = (struct disk_op){
        .kind = DISK_WRITE,
        .extents = log->extents,
        .extent_count = count,
        .sync = log->file,
        .done = write_done,
    };
    disk_submit(log->disk, &log->disk_op);
}

static void switch_done(struct disk_op *disk_op, int64_t status)
{
    struct raft_log_store *log = CONTAINER_OF(disk_op, struct raft_log_store, disk_op);
    struct op *op = CONTAINER_OF(log->writing.next, struct op, link);
    int rv = (int)status;

    if (log->failed) {
        return;
    }
    if (rv == 0) {
        rv = raft_log_length_falls(log, log->switch_bytes.len);
    }
    if (rv == 0) {
        rv = log->disk->ops->rename(log->disk, RAFT_LOG_FILE_TMP, RAFT_LOG_FILE);
    }
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, RAFT_LOG_DIR);
    }
    if (rv == 0) {
        rv = raft_log_length_is(log, log->switch_bytes.len);
    }
    if (rv != 0) {
        (void)raft_log_fail(log, rv, "replacing raft/log");
        return;
    }
    log->disk->ops->close(log->disk, log->file);
    log->file = log->switch_file;
    log->switch_file = NULL;
    log->end = log->switch_end;
    free(log->places);
    log->places = log->switch_places;
    log->switch_places = NULL;
    log->place_count =
        op->trailing == 0 ? 0 : (size_t)(raft_log_written_last(log) - log->switch_base);
    log->place_cap = log->place_count;
    log->base_index = log->switch_base;
    log->base_term = log->switch_base_term;
    log->synced = log->end;
    buf_fini(&log->switch_bytes);
    finish(log);
}

/* The last `kept` entries; what lies between their frames is forgotten for good. */
static bool switch_copy(struct raft_log_store *log, size_t kept)
{
    const struct place *places = log->places + log->place_count - kept;
    uint64_t from = places[0].pos;
    struct buf old = {0};
    size_t len = (size_t)(log->end - from);

    int64_t got = log->disk->ops->read(log->disk, log->file, from, buf_extend(&old, len), len);
    if (got != (int64_t)len) {
        (void)raft_log_fail(log, got < 0 ? (int)got : TERN_EDAMAGED, "reading raft/log");
        buf_fini(&old);
        return false;
    }
    for (size_t i = 0; i < kept; i++) {
        size_t at = (size_t)(places[i].pos - from);
        if (!raft_log_frame_valid(log->meta.id, buf_slice(&old), at)) {
            (void)raft_log_fail(log, TERN_EDAMAGED, "raft/log: a synced frame is damaged");
            buf_fini(&old);
            return false;
        }
        log->switch_places[i] = (struct place){log->switch_bytes.len, places[i].term};
        buf_put(&log->switch_bytes,
                slice_of(old.base + at, FRAME_BYTES + (size_t)raft_log_frame_len(old.base + at)));
    }
    buf_fini(&old);
    return true;
}

/* Header and kept frames of the new file; false after a failure. */
static bool switch_prepare(struct raft_log_store *log, const struct op *op)
{
    uint64_t base = op->index;

    if (op->trailing > 0) {
        CHECK(op->index <= raft_log_written_last(log));
        base = op->index > op->trailing ? op->index - op->trailing : 0;
        base = base > log->base_index ? base : log->base_index;
    }
    log->switch_base = base;
    log->switch_base_term = op->trailing > 0 ? raft_log_term_at(log, base) : op->term;
    size_t kept = op->trailing > 0 ? (size_t)(raft_log_written_last(log) - base) : 0;
    log->switch_places = mem_new((kept + 1) * sizeof *log->switch_places);
    buf_clear(&log->switch_bytes);
    (void)buf_extend(&log->switch_bytes, LOG_HEADER_BYTES);
    if (kept > 0 && !switch_copy(log, kept)) {
        return false;
    }
    raft_log_frames_seal(log->meta.id, &log->switch_bytes, LOG_HEADER_BYTES, 0);
    raft_log_header_encode(log->meta.id,
                           &(struct log_header){base, log->switch_base_term, log->switch_bytes.len},
                           log->switch_bytes.base);
    log->switch_end = log->switch_bytes.len;
    size_t zeros = (size_t)(raft_log_length_for(log, log->switch_end) - log->switch_end);
    memset(buf_extend(&log->switch_bytes, zeros), 0, zeros);
    return true;
}

static void run_switch(struct raft_log_store *log, struct op *op)
{
    queue_push(&log->writing, &op->link);
    log->busy = true;
    if (!switch_prepare(log, op)) {
        return;
    }
    int rv = log->disk->ops->open(log->disk, RAFT_LOG_FILE_TMP, true, &log->switch_file);
    if (rv == 0) {
        rv = log->disk->ops->truncate(log->disk, log->switch_file, 0);
    }
    if (rv != 0) {
        (void)raft_log_fail(log, rv, "making raft/log.tmp");
        return;
    }
    log->extents[0] = (struct disk_extent){log->switch_file, 0, buf_slice(&log->switch_bytes)};
    log->disk_op = (struct disk_op){
        .kind = DISK_WRITE,
        .extents = log->extents,
        .extent_count = 1,
        .sync = log->switch_file,
        .done = switch_done,
    };
    disk_submit(log->disk, &log->disk_op);
}

static void run(struct raft_log_store *log)
{
    while (!log->busy && !log->failed && !queue_empty(&log->ops)) {
        struct op *op = CONTAINER_OF(log->ops.next, struct op, link);
        switch (op->kind) {
        case OP_WRITE:
            run_write(log);
            break;
        case OP_SWITCH:
            link_remove(&op->link);
            run_switch(log, op);
            break;
        }
    }
}

static void write_queue(struct raft_log_store *log, struct op *op)
{
    op->kind = OP_WRITE;
    log->waiting_bytes += op->frames.len;
    queue_push(&log->ops, &op->link);
    run(log);
}

void raft_log_append(struct raft_log_store *log, const struct raft_log_entry *entries, size_t count,
                     struct raft_log_req *req)
{
    struct op *op = mem_new(sizeof *op);

    CHECK(count > 0);
    op->req = req;
    for (size_t i = 0; i < count; i++) {
        CHECK(entries[i].type != FRAME_FORGET);
        raft_log_frame_put(&op->frames, ++log->last, &entries[i]);
    }
    write_queue(log, op);
}

void raft_log_truncate(struct raft_log_store *log, uint64_t index)
{
    struct op *op = mem_new(sizeof *op);

    CHECK(index >= log->first);
    CHECK(index <= log->last + 1);
    log->last = index - 1;
    raft_log_frame_put(&op->frames, index, &(struct raft_log_entry){0, FRAME_FORGET, {0}});
    write_queue(log, op);
}

static void snapshot_done(struct disk_op *disk_op, int64_t status)
{
    struct raft_log_store *log = CONTAINER_OF(disk_op, struct raft_log_store, snapshot_op);
    struct op *op = log->snapshotting;
    int rv = (int)status;

    if (log->failed) {
        return;
    }
    if (rv == 0) {
        rv = log->disk->ops->rename(log->disk, RAFT_LOG_SNAPSHOT_TMP, RAFT_LOG_SNAPSHOT);
    }
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, RAFT_LOG_DIR);
    }
    if (rv != 0) {
        (void)raft_log_fail(log, rv, "writing raft/snapshot");
        return;
    }
    log->disk->ops->close(log->disk, log->snapshot_file);
    log->snapshot_file = NULL;
    log->snapshot_bytes = log->snapshot_buf.len;
    log->snapshot_index = op->index;
    log->snapshot_term = op->term;
    buf_fini(&log->snapshot_buf);
    log->snapshotting = NULL;
    queue_push(&log->ops, &op->link);
    if (op->trailing == 0) {
        log->first = op->index + 1;
        log->last = op->index;
    } else {
        uint64_t first = op->index > op->trailing ? op->index - op->trailing + 1 : 1;
        log->first = first > log->first ? first : log->first;
    }
    run(log);
}

void raft_log_snapshot(struct raft_log_store *log, const struct raft_log_snapshot *snapshot,
                       uint64_t trailing, struct raft_log_req *req)
{
    struct op *op = mem_new(sizeof *op);

    CHECK(log->snapshotting == NULL);
    CHECK(snapshot->index > log->snapshot_index);
    op->kind = OP_SWITCH;
    op->index = snapshot->index;
    op->term = snapshot->term;
    op->trailing = trailing;
    op->req = req;
    log->snapshotting = op;
    if (log->failed) {
        return;
    }
    raft_log_snapshot_encode(log->meta.id, snapshot, &log->snapshot_buf);
    int rv = log->disk->ops->open(log->disk, RAFT_LOG_SNAPSHOT_TMP, true, &log->snapshot_file);
    if (rv == 0) {
        rv = log->disk->ops->truncate(log->disk, log->snapshot_file, 0);
    }
    if (rv != 0) {
        (void)raft_log_fail(log, rv, "making raft/snapshot.tmp");
        return;
    }
    log->snapshot_extent =
        (struct disk_extent){log->snapshot_file, 0, buf_slice(&log->snapshot_buf)};
    log->snapshot_op = (struct disk_op){
        .kind = DISK_WRITE,
        .extents = &log->snapshot_extent,
        .extent_count = 1,
        .sync = log->snapshot_file,
        .done = snapshot_done,
    };
    disk_submit(log->disk, &log->snapshot_op);
}
