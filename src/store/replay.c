/* SPDX-License-Identifier: Apache-2.0 */
/* Start: finds the end of the journal, tells a torn last group from damage, and applies every group
 * since the checkpoint through the same code that applied it the first time.
 *
 * Groups are written one at a time, each after the fsync of the one before. So any sector of a
 * group above k proves that k was synced, and then everything of k must be there. Without such
 * proof a sector that k has not written (empty, or of an older life) makes k a torn write; a sector
 * that is neither is damage, in the last group too. */
#include <stdio.h>

#include "base/reader.h"
#include "base/trace.h"
#include "store/store_impl.h"

struct replay {
    struct store *store;
    struct journal *journal;
    uint8_t *bytes; /* one whole journal file */
    uint64_t len;
    uint32_t run; /* of the last group believed */
    uint64_t groups;
    struct buf frames;
    char *why;
};

enum group_state {
    GROUP_NONE,
    GROUP_WHOLE,
    GROUP_TORN,
    GROUP_DAMAGED,
};

/* ---- files ----------------------------------------------------------------------------------- */

static int open_file(struct replay *replay, uint32_t index)
{
    struct store *store = replay->store;
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    char path[STORE_PATH_MAX];
    uint64_t size = 0;

    (void)snprintf(path, sizeof path, "journal/%u", index);
    int status = disk->ops->open(disk, path, false, &file);
    if (status != 0) {
        return status;
    }
    status = disk->ops->size(disk, file, &size);
    if (status == 0 && size < store->options.journal_file_bytes) {
        /* Its making was interrupted (or the setting was raised). */
        int grown = disk->ops->preallocate(disk, file, store->options.journal_file_bytes);
        status = grown == TERN_ENOSPC ? 0 : grown;
        if (status == 0) {
            status = disk->ops->size(disk, file, &size);
        }
    }
    /* What a killed process left in the page cache is believed below, so it must be durable. */
    if (status == 0) {
        status = disk->ops->sync(disk, file);
    }
    if (status != 0) {
        disk->ops->close(disk, file);
        return status;
    }
    replay->journal->files[replay->journal->file_count++] =
        (struct journal_file){.file = file, .bytes = size - size % JOURNAL_BLOCK, .sequence = 0};
    return 0;
}

static int open_files(struct replay *replay)
{
    for (uint32_t i = 0; i < JOURNAL_FILES_MAX; i++) {
        int status = open_file(replay, i);
        if (status == TERN_ENOENT) {
            break;
        }
        if (status != 0) {
            (void)snprintf(replay->why, STORE_WHY_MAX, "journal/%u: %s", i, error_sentence(status));
            return status;
        }
    }
    if (replay->journal->file_count == 0) {
        (void)snprintf(replay->why, STORE_WHY_MAX, "journal: there is no file");
        return TERN_EDAMAGED;
    }
    return 0;
}

static int load_file(struct replay *replay, uint32_t index)
{
    struct disk *disk = replay->store->disk;
    const struct journal_file *file = &replay->journal->files[index];

    replay->bytes = mem_grow(replay->bytes, file->bytes, 1);
    int64_t got = disk->ops->read(disk, file->file, 0, replay->bytes, file->bytes);
    replay->len = got > 0 ? (uint64_t)got - (uint64_t)got % JOURNAL_BLOCK : 0;
    return got < 0 ? (int)got : 0;
}

/* The stamp of the file's header, zero if it has none; why and EFORMAT if it is not our format. */
static int read_header(struct replay *replay, uint32_t index, struct journal_stamp *out_stamp)
{
    struct disk *disk = replay->store->disk;
    uint8_t sector[JOURNAL_SECTOR];
    int64_t got =
        disk->ops->read(disk, replay->journal->files[index].file, 0, sector, sizeof sector);

    *out_stamp = (struct journal_stamp){0};
    if (got < (int64_t)sizeof sector) {
        return got < 0 ? (int)got : 0;
    }
    uint32_t format = journal_file_format(sector);
    if (format != 0 && format != JOURNAL_FORMAT) {
        (void)snprintf(replay->why, STORE_WHY_MAX, "journal/%u: format %u, this build knows %u",
                       index, format, JOURNAL_FORMAT);
        return TERN_EFORMAT;
    }
    (void)journal_sector_check(sector, replay->journal->seed, 0, out_stamp);
    return 0;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static enum sector_state sector_at(const struct replay *replay, uint64_t pos,
                                   struct journal_stamp *out)
{
    return journal_sector_check(replay->bytes + pos, replay->journal->seed,
                                (uint32_t)(pos / JOURNAL_SECTOR), out);
}

static int damaged_at(struct replay *replay, uint32_t file, uint64_t pos)
{
    (void)snprintf(replay->why, STORE_WHY_MAX,
                   "journal/%u: damaged at byte %llu, in or after group %llu, which was synced",
                   file, (unsigned long long)pos, (unsigned long long)replay->journal->at.group);
    return TERN_EDAMAGED;
}

/* All sectors of [pos, pos + len) must be of this stamp. */
static enum group_state run_of_sectors(const struct replay *replay, uint64_t pos, uint64_t len,
                                       const struct journal_stamp *want, uint64_t *out_bad)
{
    enum group_state state = GROUP_WHOLE;

    for (uint64_t at = pos; at < pos + len; at += JOURNAL_SECTOR) {
        struct journal_stamp stamp;
        enum sector_state sector = sector_at(replay, at, &stamp);
        if (sector == SECTOR_BAD) {
            *out_bad = at;
            return GROUP_DAMAGED;
        }
        if (sector == SECTOR_EMPTY || stamp.sequence != want->sequence || stamp.run != want->run ||
            stamp.group != want->group) {
            state = MUTANT(torn_believed) ? GROUP_WHOLE : GROUP_TORN;
        }
    }
    return state;
}

/* Group `number` of life `sequence` in the loaded file at `pos` (its header block, if pos is 0). */
static enum group_state group_at(const struct replay *replay, uint32_t sequence, uint64_t number,
                                 uint64_t pos, struct journal_group *out_group,
                                 struct journal_stamp *out_stamp, uint64_t *out_bad)
{
    uint64_t header_len = pos == 0 ? JOURNAL_BLOCK : 0;
    uint64_t start = pos + header_len;
    struct journal_stamp stamp;

    if (start + JOURNAL_BLOCK > replay->len) {
        return GROUP_NONE;
    }
    if (sector_at(replay, start, &stamp) != SECTOR_VALID || stamp.sequence != sequence ||
        stamp.group != (uint32_t)number || stamp.run < replay->run) {
        return GROUP_NONE;
    }
    if (!journal_group_read(replay->bytes + start, out_group) || out_group->number != number ||
        (uint64_t)out_group->sectors * JOURNAL_SECTOR > replay->len - start) {
        *out_bad = start;
        return GROUP_DAMAGED;
    }
    *out_stamp = stamp;
    return run_of_sectors(replay, pos, header_len + (uint64_t)out_group->sectors * JOURNAL_SECTOR,
                          &stamp, out_bad);
}

/* Looks in the loaded file from `from` on for proof that the group at the journal's end was synced,
 * or for a damaged sector among those of that group. */
static int look_for_proof(struct replay *replay, uint32_t index, uint64_t from)
{
    const struct journal_place *end = &replay->journal->at;
    bool bad_first = false;
    bool of_last = false;

    for (uint64_t pos = from; pos < replay->len; pos += JOURNAL_SECTOR) {
        struct journal_stamp stamp;
        enum sector_state state = sector_at(replay, pos, &stamp);
        if (state == SECTOR_BAD && pos == from) {
            bad_first = true;
        }
        if (state != SECTOR_VALID || stamp.sequence < end->sequence) {
            continue;
        }
        if (stamp.sequence == end->sequence && index != replay->journal->current) {
            continue;
        }
        if (stamp.group > (uint32_t)end->group) {
            return damaged_at(replay, index, from);
        }
        of_last = of_last || stamp.group == (uint32_t)end->group;
    }
    return bad_first && of_last ? damaged_at(replay, index, from) : 0;
}

static int check_end(struct replay *replay)
{
    struct journal *journal = replay->journal;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        bool current = journal->at.sequence != 0 && i == journal->current;
        int status = load_file(replay, i);
        if (status == 0) {
            status = look_for_proof(replay, i, current ? journal->at.pos : 0);
        }
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int replay_create(struct store *store, const struct frame *frame)
{
    struct reader in = reader_of(frame->body);
    struct slice id = reader_take(&in, 16);
    int32_t partition = (int32_t)reader_le32(&in);
    struct uuid topic_id;

    if (in.failed || log_by_number(store, frame->log) != NULL) {
        return TERN_EDAMAGED;
    }
    memcpy(topic_id.bytes, id.base, sizeof topic_id.bytes);
    if (store_find(store, topic_id, partition) != NULL) {
        return TERN_EDAMAGED;
    }
    struct store_log *log = log_new(store, topic_id, partition, frame->log);
    log->state.promised = store_tombstone(store, topic_id, partition);
    tombstone_drop(store, &log->key);
    if (store->next_number <= frame->log) {
        store->next_number = frame->log + 1;
    }
    return 0;
}

static int replay_append(struct store_log *log, const struct frame *frame)
{
    struct store *store = log->store;
    struct batch_peek peek;
    bool roll = (frame->flags & FRAME_FLAG_ROLL) != 0;

    if (!batch_peek(frame->body, &peek) || peek.len != frame->body.len ||
        peek.base != log->state.leo || (!roll && log_active(log) == NULL)) {
        return TERN_EDAMAGED;
    }
    struct entry *entry = entry_new(store, ENTRY_APPEND, log, NULL);
    entry->bytes = chunk_copy(frame->body);
    entry->offset = peek.base;
    entry->end = peek.end;
    entry->roll = roll;
    log_extend(log, &peek, roll, &entry->segment, &entry->pos);
    ring_push(log, entry);
    entry->in_pipeline = true;
    apply_push(store, entry);
    return 0;
}

static int replay_truncate(struct store_log *log, struct reader *in, struct entry *entry)
{
    entry->offset = (int64_t)reader_le64(in);
    entry->end = (int64_t)reader_le64(in);
    entry->pos = reader_le64(in);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (segment->base == entry->end && entry->pos <= segment->bytes &&
            entry->pos >= SEGMENT_HEADER && entry->offset <= log->state.leo &&
            entry->offset >= segment->base) {
            entry->segment = entry->pos > SEGMENT_HEADER ? segment : NULL;
            log_cut(log, entry->offset, i, entry->pos, entry);
            return 0;
        }
    }
    return TERN_EDAMAGED;
}

/* Truncate, restart, log start, delete. */
static int replay_cut(struct store_log *log, const struct frame *frame)
{
    struct store *store = log->store;
    struct reader in = reader_of(frame->body);
    struct entry *entry = entry_new(store, ENTRY_DELETE, log, NULL);
    int status = 0;

    if (frame->type == FRAME_TRUNCATE) {
        entry->kind = ENTRY_TRUNCATE;
        status = replay_truncate(log, &in, entry);
    } else if (frame->type == FRAME_RESTART) {
        entry->kind = ENTRY_RESTART;
        entry->offset = (int64_t)reader_le64(&in);
        log_restart(log, entry->offset, entry);
    } else if (frame->type == FRAME_LOG_START) {
        entry->kind = ENTRY_LOG_START;
        entry->offset = (int64_t)reader_le64(&in);
        if (entry->offset > log->state.leo) {
            status = TERN_EDAMAGED;
        } else {
            log_raise_start(log, entry->offset, entry);
        }
    } else {
        tombstone_set(store, &log->key, log->state.promised);
        log_drop_all(log, entry);
        log_unlist(log);
    }
    entry->in_pipeline = true;
    apply_push(store, entry);
    return in.failed ? TERN_EDAMAGED : status;
}

static int replay_number(struct store_log *log, const struct frame *frame)
{
    struct reader in = reader_of(frame->body);
    int32_t epoch = (int32_t)reader_le32(&in);

    if (in.failed) {
        return TERN_EDAMAGED;
    }
    if (frame->type == FRAME_SYNCED) {
        log->state.synced = epoch;
    }
    log->state.promised = log->state.promised < epoch ? epoch : log->state.promised;
    return 0;
}

static int replay_note(struct store *store, const struct frame *frame)
{
    struct note *note = note_find(store, frame->log, frame->body.len > 0);

    if (note == NULL) {
        return frame->body.len > 0 ? TERN_EDAMAGED : 0;
    }
    buf_clear(&note->value);
    buf_put(&note->value, frame->body);
    return 0;
}

static int replay_frame(struct store *store, const struct frame *frame)
{
    struct store_log *log = NULL;

    if (frame->type == FRAME_CREATE) {
        return replay_create(store, frame);
    }
    if (frame->type == FRAME_NOTE) {
        return replay_note(store, frame);
    }
    log = log_by_number(store, frame->log);
    if (log == NULL) {
        return TERN_EDAMAGED;
    }
    if (frame->type == FRAME_APPEND) {
        return replay_append(log, frame);
    }
    if (frame->type == FRAME_PROMISE || frame->type == FRAME_SYNCED) {
        return replay_number(log, frame);
    }
    return replay_cut(log, frame);
}

static int replay_group(struct replay *replay, uint64_t start, const struct journal_group *group)
{
    struct frame frame;

    journal_group_gather(replay->bytes + start, group, &replay->frames);
    struct reader in = reader_of(buf_slice(&replay->frames));
    while (reader_left(&in) > 0) {
        int status = frame_next(&in, &frame);
        if (status == 0) {
            status = replay_frame(replay->store, &frame);
        }
        if (status == 0) {
            status = apply_sync(replay->store);
        }
        if (status != 0) {
            (void)snprintf(replay->why, STORE_WHY_MAX,
                           "journal/%u: group %llu at byte %llu does not fit the state: %s",
                           replay->journal->current, (unsigned long long)group->number,
                           (unsigned long long)start, error_sentence(status));
            return status == TERN_EMALFORMED ? TERN_EDAMAGED : status;
        }
    }
    return 0;
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* Believes groups of the loaded file (the current one) as long as they are whole. */
static int replay_file(struct replay *replay)
{
    struct journal *journal = replay->journal;

    for (;;) {
        struct journal_group group;
        struct journal_stamp stamp;
        uint64_t bad = 0;
        enum group_state state = group_at(replay, journal->at.sequence, journal->at.group,
                                          journal->at.pos, &group, &stamp, &bad);
        if (state == GROUP_DAMAGED) {
            return damaged_at(replay, journal->current, bad);
        }
        if (state != GROUP_WHOLE) {
            return 0;
        }
        uint64_t start = journal->at.pos + (journal->at.pos == 0 ? JOURNAL_BLOCK : 0);
        int status = replay_group(replay, start, &group);
        if (status != 0) {
            return status;
        }
        replay->run = stamp.run;
        replay->groups++;
        journal->at.pos = start + (uint64_t)group.sectors * JOURNAL_SECTOR;
        journal->at.group++;
    }
}

/* Goes on to the file of the next sequence, if the next group is there, whole. An earlier run may
 * have left a torn try at the same sequence in another file. */
static int next_file(struct replay *replay, bool *out_found)
{
    struct journal *journal = replay->journal;

    *out_found = false;
    for (uint32_t i = 0; i < journal->file_count; i++) {
        struct journal_group group;
        struct journal_stamp stamp = {0};
        uint64_t bad = 0;
        int status = read_header(replay, i, &stamp);
        if (status == 0 && stamp.sequence == journal->at.sequence + 1) {
            status = load_file(replay, i);
        } else if (status == 0) {
            continue;
        }
        if (status != 0) {
            return status;
        }
        enum group_state state =
            group_at(replay, journal->at.sequence + 1, journal->at.group, 0, &group, &stamp, &bad);
        if (state == GROUP_DAMAGED) {
            return damaged_at(replay, i, bad);
        }
        if (state == GROUP_WHOLE) {
            journal->current = i;
            journal->at.sequence++;
            journal->at.pos = 0;
            journal->files[i].sequence = journal->at.sequence;
            *out_found = true;
            return 0;
        }
    }
    return 0;
}

/* The file in which the checkpoint stands: of several tries the one of the latest run. */
static int first_file(struct replay *replay)
{
    struct journal *journal = replay->journal;
    uint32_t run = 0;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        struct journal_stamp stamp = {0};
        int status = read_header(replay, i, &stamp);
        if (status != 0) {
            return status;
        }
        if (stamp.sequence == journal->at.sequence && stamp.run >= run && stamp.run > 0) {
            run = stamp.run;
            journal->current = i;
        }
    }
    if (run == 0) {
        (void)snprintf(replay->why, STORE_WHY_MAX,
                       "journal: file number %u, in which the checkpoint stands, is missing",
                       journal->at.sequence);
        return TERN_EDAMAGED;
    }
    journal->files[journal->current].sequence = journal->at.sequence;
    return load_file(replay, journal->current);
}

static int replay_all(struct replay *replay)
{
    struct journal *journal = replay->journal;
    bool more = true;
    int status = 0;

    if (journal->at.sequence != 0) {
        status = first_file(replay);
        if (status == 0) {
            status = replay_file(replay);
        }
    }
    while (status == 0 && more) {
        status = next_file(replay, &more);
        if (status == 0 && more) {
            status = replay_file(replay);
        }
    }
    return status == 0 ? check_end(replay) : status;
}

int journal_replay(struct store *store, const struct journal_place *place, char why[STORE_WHY_MAX])
{
    struct replay replay = {.store = store, .journal = &store->journal, .why = why};
    struct store_log *log = NULL;
    struct store_log *next = NULL;

    store->journal.at = *place;
    store->journal.seed = journal_seed(store->journal.id);
    int status = open_files(&replay);
    if (status == 0) {
        status = replay_all(&replay);
    }
    free(replay.bytes);
    buf_fini(&replay.frames);
    if (status != 0) {
        if (why[0] == '\0') {
            (void)snprintf(why, STORE_WHY_MAX, "journal: %s", error_sentence(status));
        }
        return status;
    }
    HASH_ITER (hh, store->logs, log, next) {
        log->state.durable_leo = log->state.leo;
    }
    if (replay.groups > 0) {
        trace_info("event=journal_replayed groups=%llu", (unsigned long long)replay.groups);
    }
    return 0;
}
