/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint: the state at one place of the journal, after which journal files are free.
 *
 * A snapshot is taken of the called-for state, when its marker is queued; it is true for the
 * journal's place right after the marker's group. It may become the checkpoint only when that group
 * is durable and applied to the segments, and the segments are synced: so nothing in it (`synced`
 * above all) can be ahead of the disk. docs/formats/checkpoint.md has the layout. */
#include <stdio.h>

#include "base/reader.h"
#include "base/trace.h"
#include "store/store_impl.h"

/* Still read: 1, one copy, without damage; 2, without what compaction needs. */
#define CHECKPOINT_FORMAT 3
#define CHECKPOINT_FILE   "checkpoint"
#define CHECKPOINT_NEW    "checkpoint.new"
#define HEADER_BYTES      24
#define PLACE_AT          (HEADER_BYTES + 16)
static const uint8_t checkpoint_magic[8] = {'T', 'E', 'R', 'N', 'C', 'K', 'P', 'T'};

/* ---- writing --------------------------------------------------------------------------------- */

/* As it is when all repairs that were called for are done. */
static void put_damage(struct buf *out, const struct segment *segment)
{
    size_t count_at = out->len;
    uint32_t count = 0;

    buf_le32(out, 0);
    for (uint32_t i = 0; i < segment->damage_count; i++) {
        const struct damage *d = &segment->damage[i];
        if (d->filled < d->end) {
            buf_le64(out, (uint64_t)d->filled);
            buf_le64(out, (uint64_t)d->end);
            buf_le64(out, d->filled_pos);
            buf_le64(out, d->len == DAMAGE_OPEN ? DAMAGE_OPEN : d->pos + d->len - d->filled_pos);
            count++;
        }
    }
    put_le32(out->base + count_at, count);
}

static void put_log(struct buf *out, const struct store_log *log)
{
    const struct store_log_state *state = &log->state;

    buf_le32(out, log->number);
    buf_put(out, slice_of(state->topic_id.bytes, sizeof state->topic_id.bytes));
    buf_le32(out, (uint32_t)state->partition);
    buf_le32(out, (uint32_t)state->promised);
    buf_le32(out, (uint32_t)state->synced);
    buf_le64(out, (uint64_t)state->log_start);
    buf_le64(out, (uint64_t)state->leo);
    buf_le64(out, (uint64_t)log->cleaned_to);
    buf_le32(out, (uint32_t)state->history_count);
    buf_le32(out, log->segment_count);
    for (size_t i = 0; i < state->history_count; i++) {
        buf_le32(out, (uint32_t)state->history[i].epoch);
        buf_le64(out, (uint64_t)state->history[i].start_offset);
    }
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        buf_le64(out, (uint64_t)segment->base);
        buf_le64(out, (uint64_t)segment->end);
        buf_le64(out, segment->bytes);
        buf_le64(out, (uint64_t)segment->max_timestamp_ms);
        buf_le32(out, segment->generation);
        buf_le64(out, (uint64_t)segment->horizon_ms);
        put_damage(out, segment);
    }
}

static struct snapshot *snapshot_take(struct store *store)
{
    struct snapshot *snapshot = mem_new(sizeof *snapshot);
    struct buf *out = &snapshot->bytes;
    struct store_log *log = NULL;
    struct store_log *next_log = NULL;
    struct tombstone *tombstone = NULL;
    struct tombstone *next_tombstone = NULL;
    uint32_t notes = 0;

    queue_init(&snapshot->reqs);
    memset(buf_extend(out, HEADER_BYTES), 0, HEADER_BYTES);
    buf_put(out, slice_of(store->journal.id.bytes, sizeof store->journal.id.bytes));
    memset(buf_extend(out, 4 + 8 + 8), 0, 4 + 8 + 8); /* the place, known later */
    buf_le32(out, store->next_number);
    buf_le32(out, HASH_CNT(hh, store->logs));
    buf_le32(out, HASH_CNT(hh, store->tombstones));
    size_t notes_at = out->len;
    buf_le32(out, 0);
    HASH_ITER (hh, store->logs, log, next_log) {
        put_log(out, log);
    }
    HASH_ITER (hh, store->tombstones, tombstone, next_tombstone) {
        buf_put(out, slice_of(tombstone->key.topic_id.bytes, 16));
        buf_le32(out, (uint32_t)tombstone->key.partition);
        buf_le32(out, (uint32_t)tombstone->promised);
    }
    for (size_t i = 0; i < STORE_NOTES_MAX; i++) {
        const struct note *note = &store->notes[i];
        if (note->value.len > 0) {
            buf_le32(out, note->key);
            buf_le32(out, (uint32_t)note->value.len);
            buf_put(out, buf_slice(&note->value));
            notes++;
        }
    }
    put_le32(out->base + notes_at, notes);
    snapshot->roster_is_new = roster_take(store, &snapshot->roster);
    return snapshot;
}

/* Fills in the place and the header. Everything stands twice: one bad place in this file must not
 * make a node forget. */
static void snapshot_seal(struct snapshot *snapshot)
{
    uint8_t *base = snapshot->bytes.base;
    size_t len = snapshot->bytes.len - HEADER_BYTES;

    put_le32(base + PLACE_AT, snapshot->place.sequence);
    put_le64(base + PLACE_AT + 4, snapshot->place.pos);
    put_le64(base + PLACE_AT + 12, snapshot->place.group);
    memcpy(base, checkpoint_magic, sizeof checkpoint_magic);
    put_le32(base + 8, CHECKPOINT_FORMAT);
    put_le32(base + 12, crc32c(slice_of(base + HEADER_BYTES, len)));
    put_le64(base + 16, len);
    (void)buf_extend(&snapshot->bytes, len + HEADER_BYTES);
    memcpy(snapshot->bytes.base + HEADER_BYTES + len, snapshot->bytes.base, len + HEADER_BYTES);
}

void snapshot_free(struct snapshot *snapshot)
{
    if (snapshot != NULL) {
        buf_fini(&snapshot->bytes);
        buf_fini(&snapshot->roster);
        free(snapshot);
    }
}

int checkpoint_create(struct store *store)
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    struct snapshot *snapshot = snapshot_take(store);

    snapshot->place = store->journal.at;
    snapshot_seal(snapshot);
    int status = disk->ops->open(disk, CHECKPOINT_NEW, true, &file);
    if (status == 0) {
        status = disk->ops->truncate(disk, file, 0);
        if (status == 0) {
            status = disk->ops->write(disk, file, 0, buf_slice(&snapshot->bytes));
        }
        if (status == 0) {
            status = disk->ops->sync(disk, file);
        }
        disk->ops->close(disk, file);
    }
    snapshot_free(snapshot);
    if (status == 0) {
        status = disk->ops->rename(disk, CHECKPOINT_NEW, CHECKPOINT_FILE);
    }
    return status == 0 ? disk->ops->sync_dir(disk, "") : status;
}

/* ---- running --------------------------------------------------------------------------------- */

void checkpoint_mark(struct store *store, struct store_req *req)
{
    struct entry *entry = entry_new(store, ENTRY_MARKER, NULL, NULL);

    entry->snapshot = snapshot_take(store);
    if (req != NULL) {
        queue_push(&entry->snapshot->reqs, &req->link);
    }
    store->journal.since_marker = 0;
    store->checkpoint.frames_marked = store->counters.frames + 1;
    pending_push(store, entry);
}

void checkpoint_marker_applied(struct store *store, struct snapshot *snapshot)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    if (checkpoint->ready != NULL) {
        move_links(&checkpoint->ready->reqs, &snapshot->reqs);
        snapshot_free(checkpoint->ready);
    }
    checkpoint->ready = snapshot;
    checkpoint_kick(store);
}

/* No space: the journal keeps everything, so trying again later is safe. */
static void checkpoint_put_off(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    if (checkpoint->ready != NULL) {
        move_links(&checkpoint->active->reqs, &checkpoint->ready->reqs);
        snapshot_free(checkpoint->active);
    } else {
        checkpoint->ready = checkpoint->active;
    }
    checkpoint->active = NULL;
    checkpoint->step = CHECKPOINT_IDLE;
    checkpoint->wanted = true;
}

static void checkpoint_done(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;
    struct snapshot *active = checkpoint->active;
    struct link *link = NULL;

    checkpoint->place = active->place;
    checkpoint->active = NULL;
    if (active->roster_is_new) {
        roster_drop(store);
    }
    checkpoint->step = CHECKPOINT_IDLE;
    checkpoint->last_us = clock_now_us(store->clock);
    store->counters.checkpoints++;
    journal_free_before(store, &checkpoint->place);
    while (!store->failed && (link = queue_pop(&active->reqs)) != NULL) {
        struct store_req *req = CONTAINER_OF(link, struct store_req, link);
        req->done(req, 0);
    }
    snapshot_free(active);
    if (!store->failed) {
        journal_kick(store);
        checkpoint_kick(store);
    }
}

/* Gives back what the last DISK_SYNC worked on. */
static void release_files(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    while (checkpoint->file_count > 0) {
        checkpoint->file_count--;
        if (checkpoint->step == CHECKPOINT_SEGMENTS) {
            segment_unpin(checkpoint->pinned[checkpoint->file_count]);
        } else {
            store->disk->ops->close(store->disk, checkpoint->files[checkpoint->file_count]);
        }
    }
}

static void checkpoint_step(struct store *store);

static void files_synced(struct disk_op *op, int64_t status)
{
    struct checkpoint *checkpoint = CONTAINER_OF(op, struct checkpoint, op);
    struct store *store = CONTAINER_OF(checkpoint, struct store, checkpoint);

    release_files(store);
    if (store->failed) {
        return;
    }
    if (status != 0) {
        store_fail(store, (int)status, "syncing for a checkpoint");
    } else if (checkpoint->step == CHECKPOINT_RENAME) {
        checkpoint_done(store);
    } else {
        checkpoint_step(store);
    }
}

static void sync_files(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    checkpoint->op = (struct disk_op){.kind = DISK_SYNC,
                                      .files = checkpoint->files,
                                      .file_count = checkpoint->file_count,
                                      .done = files_synced};
    disk_submit(store->disk, &checkpoint->op);
}

static int open_dir(struct store *store, const char *path)
{
    struct checkpoint *checkpoint = &store->checkpoint;
    int status = store->disk->ops->open(store->disk, path, false,
                                        &checkpoint->files[checkpoint->file_count]);

    if (status == 0) {
        checkpoint->file_count++;
    }
    return status == TERN_ENOENT ? 0 : status; /* deleted meanwhile: nothing to keep */
}

static void checkpoint_written(struct disk_op *op, int64_t status)
{
    struct checkpoint *checkpoint = CONTAINER_OF(op, struct checkpoint, op);
    struct store *store = CONTAINER_OF(checkpoint, struct store, checkpoint);
    struct disk *disk = store->disk;

    disk->ops->close(disk, checkpoint->file);
    checkpoint->file = NULL;
    if (store->failed) {
        return;
    }
    if (status == TERN_ENOSPC) {
        checkpoint_put_off(store);
        return;
    }
    checkpoint->step = CHECKPOINT_RENAME;
    if (status == 0) {
        status = disk->ops->rename(disk, CHECKPOINT_NEW, CHECKPOINT_FILE);
    }
    if (status == 0) {
        status = open_dir(store, "");
    }
    if (status != 0) {
        store_fail(store, (int)status, "writing the checkpoint");
        return;
    }
    sync_files(store);
}

static void checkpoint_write(struct store *store);

/* It is only a shortcut: a full disk does without. */
static void roster_written(struct disk_op *op, int64_t status)
{
    struct checkpoint *checkpoint = CONTAINER_OF(op, struct checkpoint, op);
    struct store *store = CONTAINER_OF(checkpoint, struct store, checkpoint);
    struct disk *disk = store->disk;

    disk->ops->close(disk, checkpoint->file);
    checkpoint->file = NULL;
    if (store->failed) {
        return;
    }
    if (status == 0) {
        status = disk->ops->rename(disk, ROSTER_NEW, ROSTER_FILE);
    }
    if (status != 0 && status != TERN_ENOSPC) {
        store_fail(store, (int)status, "writing the roster");
        return;
    }
    checkpoint_write(store);
}

/* A new file with those bytes, synced. An error: nothing was begun, `done` is not called. */
static int file_write(struct store *store, const char *path, const struct buf *bytes,
                      enum checkpoint_step step, void (*done)(struct disk_op *op, int64_t status))
{
    struct checkpoint *checkpoint = &store->checkpoint;
    struct disk *disk = store->disk;
    int status = disk->ops->open(disk, path, true, &checkpoint->file);

    if (status == 0) {
        status = disk->ops->truncate(disk, checkpoint->file, 0);
        if (status != 0) {
            disk->ops->close(disk, checkpoint->file);
        }
    }
    if (status != 0) {
        checkpoint->file = NULL;
        return status;
    }
    checkpoint->step = step;
    checkpoint->extent = (struct disk_extent){checkpoint->file, 0, buf_slice(bytes)};
    checkpoint->op = (struct disk_op){.kind = DISK_WRITE,
                                      .extents = &checkpoint->extent,
                                      .extent_count = 1,
                                      .sync = checkpoint->file,
                                      .done = done};
    disk_submit(disk, &checkpoint->op);
    return 0;
}

static void roster_write(struct store *store)
{
    const struct buf *roster = &store->checkpoint.active->roster;
    int status = TERN_ENOSPC; /* there is none: goes on as if there were no room for it */

    if (roster->len > 0) {
        status = file_write(store, ROSTER_NEW, roster, CHECKPOINT_ROSTER, roster_written);
    }
    if (status == TERN_ENOSPC || status == TERN_EBUSY) {
        checkpoint_write(store);
    } else if (status != 0) {
        store_fail(store, status, "writing the roster");
    }
}

static void checkpoint_write(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    snapshot_seal(checkpoint->active);
    int status = file_write(store, CHECKPOINT_NEW, &checkpoint->active->bytes, CHECKPOINT_WRITE,
                            checkpoint_written);
    if (status == TERN_ENOSPC) {
        checkpoint_put_off(store);
    } else if (status != 0) {
        store_fail(store, status, "writing the checkpoint");
    }
}

/* No more files can be open: first those are synced that are. */
static bool too_many(const struct checkpoint *checkpoint, int status)
{
    return status == TERN_EBUSY && checkpoint->file_count > 0;
}

static int take_segments(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    while (!queue_empty(&checkpoint->dirty) && checkpoint->file_count < CHECKPOINT_SYNCS_MAX) {
        struct segment *segment = CONTAINER_OF(checkpoint->dirty.next, struct segment, dirty);
        int status = MUTANT(checkpoint_unsynced) ? 0 : segment_open(segment, false);
        if (too_many(checkpoint, status)) {
            return 0;
        }
        if (status != 0) {
            return status;
        }
        /* Out of the list first: what is written while the sync runs makes it dirty again. */
        link_remove(&segment->dirty);
        if (MUTANT(checkpoint_unsynced)) {
            continue;
        }
        segment_pin(segment);
        checkpoint->pinned[checkpoint->file_count] = segment;
        checkpoint->files[checkpoint->file_count++] = segment->file;
    }
    return 0;
}

/* New segment files and directories must be found again after a crash. */
static int take_dirs(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;
    char dir[STORE_PATH_MAX];
    int status = 0;

    if (checkpoint->topics_dir && !MUTANT(names_unsynced)) {
        status = open_dir(store, "topics");
    }
    checkpoint->topics_dir = false;
    while (status == 0 && !queue_empty(&checkpoint->dirs) &&
           checkpoint->file_count < CHECKPOINT_SYNCS_MAX) {
        struct link *link = checkpoint->dirs.next;
        log_dir(CONTAINER_OF(link, struct store_log, dirty_dir), dir);
        status = MUTANT(names_unsynced) ? 0 : open_dir(store, dir);
        if (too_many(checkpoint, status)) {
            return 0;
        }
        link_remove(link);
    }
    return status;
}

/* Syncs the next segments, then the next directories; when there are none, writes the file. */
static void checkpoint_step(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;
    int status = 0;

    if (checkpoint->step == CHECKPOINT_SEGMENTS) {
        status = take_segments(store);
        if (checkpoint->file_count == 0) {
            checkpoint->step = CHECKPOINT_NAMES;
        }
    }
    if (checkpoint->step == CHECKPOINT_NAMES && status == 0) {
        status = take_dirs(store);
    }
    if (status != 0) {
        store_fail(store, status, "opening what a checkpoint must sync");
    } else if (checkpoint->file_count > 0) {
        sync_files(store);
    } else {
        roster_write(store);
    }
}

static bool journal_half_full(const struct store *store)
{
    uint32_t count =
        store->journal.grow_failed ? store->journal.file_count : store->options.journal_files_max;

    return journal_used_bytes(store) >= store->options.journal_file_bytes * count / 2;
}

void checkpoint_kick(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    if (checkpoint->step != CHECKPOINT_IDLE || checkpoint->ready == NULL || store->failed) {
        return;
    }
    if (!checkpoint->wanted && !store->journal.waiting && !journal_half_full(store) &&
        queue_empty(&checkpoint->ready->reqs)) {
        return;
    }
    checkpoint->wanted = false;
    checkpoint->active = checkpoint->ready;
    checkpoint->ready = NULL;
    checkpoint->step = CHECKPOINT_SEGMENTS;
    move_links(&store->dirty_segments, &checkpoint->dirty);
    move_links(&store->dirty_dirs, &checkpoint->dirs);
    checkpoint->topics_dir = store->topics_dir_dirty;
    store->topics_dir_dirty = false;
    checkpoint_step(store);
}

void checkpoint_timer_fired(struct timer *timer)
{
    struct store *store = CONTAINER_OF(timer, struct store, checkpoint_timer);
    struct checkpoint *checkpoint = &store->checkpoint;

    timer_after_ms(store->clock, timer, store->options.checkpoint_ms);
    if (store->failed || store->counters.frames < checkpoint->frames_marked ||
        checkpoint->step != CHECKPOINT_IDLE) {
        return; /* nothing new, or busy with it */
    }
    checkpoint->wanted = true;
    checkpoint_mark(store, NULL);
}

void checkpoint_fini(struct store *store)
{
    struct checkpoint *checkpoint = &store->checkpoint;

    release_files(store);
    if (checkpoint->file != NULL) {
        store->disk->ops->close(store->disk, checkpoint->file);
    }
    snapshot_free(checkpoint->ready);
    snapshot_free(checkpoint->active);
    checkpoint->ready = NULL;
    checkpoint->active = NULL;
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool get_damage(struct reader *in, struct segment *segment)
{
    uint32_t count = reader_le32(in);
    int64_t at = segment->base;

    for (uint32_t i = 0; i < count && !in->failed; i++) {
        struct damage d = {.offset = (int64_t)reader_le64(in)};
        d.end = (int64_t)reader_le64(in);
        d.pos = reader_le64(in);
        d.len = reader_le64(in);
        d.filled = d.offset;
        d.filled_pos = d.pos;
        bool fits = d.len == DAMAGE_OPEN ? d.pos == segment->bytes && d.end == segment->end
                                         : d.len <= segment->bytes - d.pos;
        if (in->failed || d.offset < at || d.end <= d.offset || d.end > segment->end ||
            d.pos < SEGMENT_HEADER || d.pos > segment->bytes || !fits) {
            return false;
        }
        segment_damage_add(segment, &d);
        at = d.end;
    }
    return true;
}

static bool get_segments(struct reader *in, struct store_log *log, uint32_t count, uint32_t format)
{
    int64_t at = -1;

    for (uint32_t i = 0; i < count && !in->failed; i++) {
        int64_t base = (int64_t)reader_le64(in);
        int64_t end = (int64_t)reader_le64(in);
        uint64_t bytes = reader_le64(in);
        int64_t max_timestamp_ms = (int64_t)reader_le64(in);
        uint32_t generation = format > 2 ? reader_le32(in) : 0;
        int64_t horizon_ms = format > 2 ? (int64_t)reader_le64(in) : INT64_MAX;
        if (in->failed || base < 0 || end < base || (at >= 0 && base != at) ||
            bytes < SEGMENT_HEADER || bytes > UINT32_MAX) {
            return false;
        }
        struct segment *segment = log_segment_push(log, base);
        segment->end = end;
        segment->bytes = bytes;
        segment->max_timestamp_ms = max_timestamp_ms;
        segment->generation = generation;
        segment->horizon_ms = horizon_ms;
        log->state.bytes += bytes - SEGMENT_HEADER;
        if (format > 1 && !get_damage(in, segment)) {
            return false;
        }
        at = end;
    }
    log_damage_changed(log);
    if (log_active(log) != NULL && log->damage_count == 0 && log_active(log)->end > 0) {
        /* The journal goes on here. */
        log_active(log)->mark_pos = log_active(log)->bytes;
        log_active(log)->mark_offset = log_active(log)->end;
    }
    return count == 0 || at == log->state.leo;
}

static bool get_log(struct reader *in, struct store *store, uint32_t format)
{
    struct uuid id = {{0}};
    uint32_t number = reader_le32(in);
    struct slice id_bytes = reader_take(in, sizeof id.bytes);
    int32_t partition = (int32_t)reader_le32(in);

    if (in->failed || log_by_number(store, number) != NULL) {
        return false;
    }
    memcpy(id.bytes, id_bytes.base, sizeof id.bytes);
    if (store_find(store, id, partition) != NULL) {
        return false;
    }
    struct store_log *log = log_new(store, id, partition, number);
    log->state.promised = (int32_t)reader_le32(in);
    log->state.synced = (int32_t)reader_le32(in);
    log->state.log_start = (int64_t)reader_le64(in);
    log->state.leo = (int64_t)reader_le64(in);
    log->state.durable_leo = log->state.leo;
    log->cleaned_to = format > 2 ? (int64_t)reader_le64(in) : 0;
    uint32_t history = reader_le32(in);
    uint32_t segments = reader_le32(in);
    for (uint32_t i = 0; i < history && !in->failed; i++) {
        int32_t epoch = (int32_t)reader_le32(in);
        log_history_push(log, epoch, (int64_t)reader_le64(in));
    }
    return get_segments(in, log, segments, format) && !in->failed;
}

static bool get_note(struct reader *in, struct store *store)
{
    uint32_t key = reader_le32(in);
    struct slice value = reader_take(in, reader_le32(in));

    if (in->failed || value.len == 0 || value.len > STORE_NOTE_BYTES_MAX) {
        return false;
    }
    struct note *note = note_find(store, key, true);
    if (note == NULL) {
        return false;
    }
    buf_put(&note->value, value);
    return true;
}

static bool get_state(struct reader *in, struct store *store, uint32_t format,
                      struct journal_place *out_place)
{
    struct slice id = reader_take(in, sizeof store->journal.id.bytes);
    struct log_key key;

    memset(&key, 0, sizeof key);
    out_place->sequence = reader_le32(in);
    out_place->pos = reader_le64(in);
    out_place->group = reader_le64(in);
    store->next_number = reader_le32(in);
    uint32_t logs = reader_le32(in);
    uint32_t tombstones = reader_le32(in);
    uint32_t notes = reader_le32(in);
    if (in->failed) {
        return false;
    }
    memcpy(store->journal.id.bytes, id.base, id.len);
    for (uint32_t i = 0; i < logs; i++) {
        if (!get_log(in, store, format)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < tombstones; i++) {
        struct slice topic_id = reader_take(in, sizeof key.topic_id.bytes);
        key.partition = (int32_t)reader_le32(in);
        int32_t promised = (int32_t)reader_le32(in);
        if (in->failed) {
            return false;
        }
        memcpy(key.topic_id.bytes, topic_id.base, topic_id.len);
        tombstone_set(store, &key, promised);
    }
    for (uint32_t i = 0; i < notes; i++) {
        if (!get_note(in, store)) {
            return false;
        }
    }
    return reader_left(in) == 0 && !in->failed;
}

/* One copy. Its body; EDAMAGED; EFORMAT and the format. */
static int copy_check(struct slice bytes, uint32_t *out_format, struct slice *out_body)
{
    if (bytes.len < HEADER_BYTES ||
        memcmp(bytes.base, checkpoint_magic, sizeof checkpoint_magic) != 0) {
        return TERN_EDAMAGED;
    }
    *out_format = get_le32(bytes.base + 8);
    *out_body = slice_of(bytes.base + HEADER_BYTES, bytes.len - HEADER_BYTES);
    if (*out_format == 0 || *out_format > CHECKPOINT_FORMAT) {
        return TERN_EFORMAT;
    }
    bool whole = get_le64(bytes.base + 16) == out_body->len;
    return whole && get_le32(bytes.base + 12) == crc32c(*out_body) ? 0 : TERN_EDAMAGED;
}

static int checkpoint_parse(struct store *store, struct slice bytes,
                            struct journal_place *out_place, char why[STORE_WHY_MAX])
{
    struct slice copies[] = {slice_of(bytes.base, bytes.len / 2),
                             slice_of(bytes.base + bytes.len / 2, bytes.len / 2), bytes};
    struct slice body = {0};
    uint32_t formats[ARRAY_COUNT(copies)] = {0};
    int status[ARRAY_COUNT(copies)];
    size_t good = 0;

    for (size_t i = 0; i < ARRAY_COUNT(copies); i++) {
        status[i] = copy_check(copies[i], &formats[i], &body);
        if (status[i] == 0 && (i == 2) != (formats[i] == 1)) {
            status[i] = TERN_EDAMAGED; /* only the first format had one copy */
        }
    }
    while (good < ARRAY_COUNT(copies) && status[good] != 0) {
        good++;
    }
    if (good == ARRAY_COUNT(copies)) {
        if (status[0] == TERN_EFORMAT) {
            (void)snprintf(why, STORE_WHY_MAX, CHECKPOINT_FILE ": format %u, this build knows %u",
                           formats[0], CHECKPOINT_FORMAT);
        }
        return status[0] == TERN_EFORMAT ? TERN_EFORMAT : TERN_EDAMAGED;
    }
    if (good < 2 && status[1 - good] != 0) {
        trace_warn("event=checkpoint_mended what=\"copy %zu of 2 is damaged\"", 2 - good);
        store->checkpoint.wanted = true;
    }
    (void)copy_check(copies[good], &formats[good], &body);
    struct reader in = reader_of(body);
    return get_state(&in, store, formats[good], out_place) ? 0 : TERN_EDAMAGED;
}

int checkpoint_load(struct store *store, struct journal_place *out_place, char why[STORE_WHY_MAX])
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    uint8_t *bytes = NULL;
    uint64_t size = 0;
    int status = disk->ops->open(disk, CHECKPOINT_FILE, false, &file);

    if (status == 0) {
        status = disk->ops->size(disk, file, &size);
        if (status == 0) {
            bytes = mem_new((size_t)size);
            int64_t got = disk->ops->read(disk, file, 0, bytes, (size_t)size);
            status = got < 0 ? (int)got : 0;
            size = got < 0 ? 0 : (uint64_t)got;
        }
        disk->ops->close(disk, file);
    }
    if (status == 0) {
        status = checkpoint_parse(store, slice_of(bytes, (size_t)size), out_place, why);
    }
    free(bytes);
    if (status != 0 && why[0] == '\0') {
        (void)snprintf(why, STORE_WHY_MAX, CHECKPOINT_FILE ": %s", error_sentence(status));
    }
    if (status == TERN_EDAMAGED) {
        (void)snprintf(why, STORE_WHY_MAX,
                       CHECKPOINT_FILE ": both copies are damaged, nothing here can be told any "
                                       "more: empty the data directory, and start again; the node "
                                       "joins as a new incarnation and copies its data");
    }
    store->checkpoint.place = *out_place;
    return status;
}
