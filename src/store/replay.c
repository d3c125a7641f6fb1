/* SPDX-License-Identifier: Apache-2.0 */
/* Start: finds the end of the journal, tells a torn last group from damage, and applies every group
 * since the checkpoint through the same code that applied it the first time.
 *
 * Groups are written one at a time, each after the fsync of the one before. So any sector of a
 * group above k proves that k was synced, and then everything of k must be there. Without such
 * proof a sector that k has not written (empty, or of an older life) makes k a torn write; if all of
 * them are either written or neither, k is damaged, in the last group too.
 *
 * Of a damaged group everything that is not the inside of a record batch must be known, from the
 * group itself or from its directory: then the batches are marked, to be filled by other replicas.
 * Else this disk does not know any more what it promised. It is believed up to there, and is from
 * then on as good as an old copy of itself (salvage.c). */
#include <stdio.h>

#include "base/reader.h"
#include "base/trace.h"
#include "store/store_impl.h"

/* What all files say of the group at the journal's end, which is not there, or not whole. */
struct evidence {
    bool synced;    /* there is a later group */
    bool bad_first; /* a sector where it should begin is damaged, */
    bool written;   /* and another one behind it says that it belongs to the group */
    uint32_t last_sequence;
    uint64_t last_group;
    uint64_t later; /* bit per file with later groups */
};

struct replay {
    struct store *store;
    struct journal *journal;
    uint8_t *bytes; /* one whole journal file */
    uint64_t len;
    uint32_t run; /* of the last group believed */
    uint64_t groups;
    struct buf frames;
    char *why;
    struct evidence evidence; /* of the last look at all files */
    uint64_t cut_off;         /* bit per file that is shorter than it was, or was missing */
};

enum group_state {
    GROUP_NONE, /* nothing that could be told to be it */
    GROUP_WHOLE,
    GROUP_TORN,    /* a sector was never written */
    GROUP_DAMAGED, /* a sector is bad, all others are written */
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
    bool known = index < replay->journal->known_count;
    int status = disk->ops->open(disk, path, known, &file);
    if (status != 0) {
        return status;
    }
    status = disk->ops->size(disk, file, &size);
    uint64_t found = size;
    if (known && size < replay->journal->known_bytes) {
        replay->cut_off |= (uint64_t)1 << index;
        trace_error("event=journal_cut_off path=%s was=%llu is=%llu", path,
                    (unsigned long long)replay->journal->known_bytes, (unsigned long long)size);
    }
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
        (struct journal_file){.file = file, .bytes = size - size % JOURNAL_BLOCK, .found = found};
    return 0;
}

static int open_files(struct replay *replay)
{
    /* A file that is missing is made again, empty, so that those behind it are found. */
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

/* The stamp of the file's header, zero if it has none; why and EFORMAT if it is not our format. All
 * sectors of the header's block have the same stamp. */
static int read_header(struct replay *replay, uint32_t index, struct journal_stamp *out_stamp)
{
    struct disk *disk = replay->store->disk;
    uint8_t block[JOURNAL_BLOCK];
    bool first = false;
    bool found = false;

    *out_stamp = (struct journal_stamp){0};
    int64_t got = disk->ops->read(disk, replay->journal->files[index].file, 0, block, sizeof block);
    if (got < (int64_t)sizeof block) {
        return got < 0 ? (int)got : 0;
    }
    for (uint32_t i = 0; i < JOURNAL_SECTOR_PER_BLOCK && !found; i++) {
        found = journal_sector_check(block + (size_t)i * JOURNAL_SECTOR, replay->journal->seed, i,
                                     out_stamp) == SECTOR_VALID;
        first = first || (found && i == 0);
    }
    /* A bad first sector does not tell a format, unless no other is as this build writes them. */
    uint32_t format = first || !found ? journal_file_format(block) : 0;
    if (format != 0 && format != JOURNAL_FORMAT) {
        (void)snprintf(replay->why, STORE_WHY_MAX, "journal/%u: format %u, this build knows %u",
                       index, format, JOURNAL_FORMAT);
        return TERN_EFORMAT;
    }
    return 0;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static enum sector_state sector_at(const struct replay *replay, uint64_t pos,
                                   struct journal_stamp *out)
{
    return journal_sector_check(replay->bytes + pos, replay->journal->seed,
                                (uint32_t)(pos / JOURNAL_SECTOR), out);
}

/* The journal cannot be read beyond this place. */
static int forgotten_at(struct replay *replay, uint32_t file, uint64_t pos)
{
    (void)snprintf(replay->why, STORE_WHY_MAX,
                   "journal/%u: damaged at byte %llu, in group %llu, which was synced", file,
                   (unsigned long long)pos, (unsigned long long)replay->journal->at.group);
    return TERN_EAMNESIA;
}

/* All sectors of [pos, pos + len) must be of this stamp. */
static enum group_state run_of_sectors(const struct replay *replay, uint64_t pos, uint64_t len,
                                       const struct journal_stamp *want)
{
    enum group_state state = GROUP_WHOLE;

    for (uint64_t at = pos; at < pos + len; at += JOURNAL_SECTOR) {
        struct journal_stamp stamp;
        enum sector_state sector = sector_at(replay, at, &stamp);
        if (sector == SECTOR_BAD) {
            state = state == GROUP_WHOLE ? GROUP_DAMAGED : state;
            continue;
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
                                 struct journal_stamp *out_stamp)
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
        return GROUP_NONE;
    }
    *out_stamp = stamp;
    /* Of a file's header nothing is needed that other places do not tell, so it may be bad. */
    enum group_state state =
        run_of_sectors(replay, start, (uint64_t)out_group->sectors * JOURNAL_SECTOR, &stamp);
    if (state == GROUP_WHOLE && pos == 0 &&
        run_of_sectors(replay, 0, JOURNAL_BLOCK, &stamp) == GROUP_TORN) {
        state = GROUP_TORN;
    }
    return state;
}

/* Looks through the loaded file. */
static void look_through(const struct replay *replay, uint32_t index, struct evidence *out)
{
    const struct journal_place *end = &replay->journal->at;
    bool current = end->sequence != 0 && index == replay->journal->current;
    uint64_t from = current ? end->pos : 0;
    bool next = false; /* its header is that of the next file */

    for (uint64_t pos = 0; pos < replay->len; pos += JOURNAL_SECTOR) {
        struct journal_stamp stamp;
        enum sector_state state = sector_at(replay, pos, &stamp);
        if (state == SECTOR_BAD && (current ? pos == from : next && pos == JOURNAL_BLOCK)) {
            out->bad_first = true;
        }
        if (state != SECTOR_VALID) {
            continue;
        }
        next = next || (pos < JOURNAL_BLOCK && stamp.sequence == end->sequence + 1);
        out->last_sequence =
            stamp.sequence > out->last_sequence ? stamp.sequence : out->last_sequence;
        out->last_group = stamp.group > out->last_group ? stamp.group : out->last_group;
        if (pos < from || stamp.sequence < end->sequence ||
            (stamp.sequence == end->sequence && !current)) {
            continue;
        }
        if (stamp.group > (uint32_t)end->group) {
            out->synced = true;
            out->later |= (uint64_t)1 << index;
        }
        out->written = out->written || stamp.group == (uint32_t)end->group;
    }
}

/* Loads one file after the other; the current one is loaded again at last. */
static int gather_evidence(struct replay *replay, struct evidence *out)
{
    struct journal *journal = replay->journal;
    int status = 0;

    *out = (struct evidence){.last_sequence = journal->at.sequence,
                             .last_group = journal->at.group > 0 ? journal->at.group - 1 : 0};
    for (uint32_t i = 0; i < journal->file_count && status == 0; i++) {
        status = load_file(replay, i);
        if (status == 0) {
            look_through(replay, i, out);
        }
    }
    if (status == 0 && journal->at.sequence != 0) {
        status = load_file(replay, journal->current);
    }
    return status;
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

/* The batch may have got into its segment before the journal lost it. What is found there must be
 * as durable as what the journal has. */
static bool heal(const struct entry *entry, const struct batch_peek *want, struct chunk *out)
{
    struct segment *segment = entry->segment;
    struct store *store = segment->store;
    struct disk *disk = store->disk;
    struct blob *blob = blob_new(want->len);
    struct slice found = slice_of(blob->bytes, blob->len);
    struct batch_peek batch;
    char dir[STORE_PATH_MAX];

    log_dir(segment->log, dir);
    bool good = segment_open_to_read(segment) == 0 &&
                disk->ops->read(disk, segment->file, entry->pos, blob->bytes, blob->len) ==
                    (int64_t)blob->len &&
                batch_peek(found, &batch) && batch.len == want->len && batch.end == want->end &&
                batch.epoch == want->epoch &&
                log_batch_is_right(segment->log, found, &batch, want->base) &&
                disk->ops->sync(disk, segment->file) == 0 && disk->ops->sync_dir(disk, dir) == 0 &&
                disk->ops->sync_dir(disk, "topics") == 0;
    if (good) {
        *out = chunk_of(blob, blob->bytes, blob->len);
    }
    blob_unref(blob);
    return good;
}

/* The header of the batch is known, its records are not. */
static void append_damaged(struct entry *entry, const struct batch_peek *batch)
{
    struct store_log *log = entry->log;
    struct chunk healed = {0};

    if (heal(entry, batch, &healed)) {
        chunk_drop(&entry->bytes);
        entry->bytes = healed;
        trace_warn("event=journal_batch_healed partition=%d offset=%lld", (int)log->key.partition,
                   (long long)batch->base);
        return;
    }
    struct damage damage = {.offset = batch->base,
                            .end = batch->end,
                            .pos = entry->pos,
                            .len = batch->len,
                            .filled = batch->base,
                            .filled_pos = entry->pos};
    trace_error("event=damage_found log=%u partition=%d where=journal offset=%lld end=%lld",
                log->number, (int)log->key.partition, (long long)batch->base,
                (long long)batch->end);
    segment_damage_add(entry->segment, &damage);
    log->store->counters.damage_found++;
    log_damage_changed(log);
}

static int replay_append(struct store_log *log, const struct frame *frame, bool whole)
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
    if (!whole) {
        append_damaged(entry, &peek);
    }
    ring_push(log, entry);
    entry->in_pipeline = true;
    apply_push(store, entry);
    return 0;
}

/* A range that was found to be damaged while the store ran. */
static int replay_damage(struct store_log *log, const struct frame *frame)
{
    struct reader in = reader_of(frame->body);
    struct damage d = {.offset = (int64_t)reader_le64(&in)};

    d.end = (int64_t)reader_le64(&in);
    d.pos = reader_le64(&in);
    d.len = reader_le64(&in);
    d.filled = d.offset;
    d.filled_pos = d.pos;
    uint32_t index = log_segment_of(log, d.offset);
    if (in.failed || d.end <= d.offset || index == log->segment_count) {
        return TERN_EDAMAGED;
    }
    struct segment *segment = log->segments[index];
    bool open = d.len == DAMAGE_OPEN && d.end == segment->end;
    if (d.offset < segment->base || d.end > segment->end || d.pos < SEGMENT_HEADER ||
        d.pos > segment->bytes || (!open && d.len > segment->bytes - d.pos)) {
        return TERN_EDAMAGED;
    }
    if (open && d.pos < segment->bytes) {
        ring_drop_below(log, segment->end);
        repair_reopen(segment, d.offset, d.pos);
        log_count_bytes(log);
        return 0;
    }
    segment_damage_add(segment, &d);
    log_damage_changed(log);
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
            entry->segment = log_cut_keeps(segment, entry->offset, entry->pos) ? segment : NULL;
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
        status = MUTANT(cut_undone) ? 0 : replay_truncate(log, &in, entry);
    } else if (frame->type == FRAME_RESTART) {
        entry->kind = ENTRY_RESTART;
        entry->offset = (int64_t)reader_le64(&in);
        entry->bytes = chunk_copy(frame->body);
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

/* `whole`: all of its bytes are as they were written; else at least those that are no records. */
static int replay_frame(struct store *store, const struct frame *frame, bool whole)
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
        return replay_append(log, frame, whole);
    }
    if (frame->type == FRAME_DAMAGE) {
        return replay_damage(log, frame);
    }
    if (frame->type == FRAME_REPAIR) {
        return repair_replay(log, frame->body, whole);
    }
    if (frame->type == FRAME_COMPACT) {
        return compact_replay(log, frame->body);
    }
    if (frame->type == FRAME_PROMISE || frame->type == FRAME_SYNCED) {
        return replay_number(log, frame);
    }
    return replay_cut(log, frame);
}

/* Are all bytes of a frame known that must be? `known` is NULL if all are. */
static bool frame_is_known(const struct frame *frame, const uint8_t *known, bool *out_whole)
{
    bool records = frame->type == FRAME_APPEND || frame->type == FRAME_REPAIR;
    size_t needed = records && frame->body.len > BATCH_HEADER ? BATCH_HEADER : frame->body.len;

    *out_whole = known == NULL || memchr(known, 0, frame->body.len) == NULL;
    return *out_whole || (records && memchr(known, 0, needed) == NULL);
}

/* Goes through the frames; `known` has a byte for each of theirs, or is NULL. `apply`: else they
 * are only looked at. EAMNESIA: a byte is not known that must be. */
static int replay_frames(struct replay *replay, struct slice frames, const uint8_t *known,
                         bool apply)
{
    struct reader in = reader_of(frames);
    int status = 0;

    while (status == 0 && reader_left(&in) > 0) {
        size_t at = frames.len - reader_left(&in);
        struct frame frame;
        bool whole = true;
        if (known != NULL && (frames.len - at < JOURNAL_FRAME_HEADER ||
                              memchr(known + at, 0, JOURNAL_FRAME_HEADER) != NULL)) {
            return TERN_EAMNESIA;
        }
        status = frame_next(&in, &frame);
        if (status == 0 &&
            !frame_is_known(&frame, known != NULL ? known + at + JOURNAL_FRAME_HEADER : NULL,
                            &whole)) {
            return TERN_EAMNESIA;
        }
        if (status == 0 && apply) {
            status = replay_frame(replay->store, &frame, whole);
        }
        if (status == 0 && apply) {
            status = apply_sync(replay->store);
        }
    }
    return status == TERN_EMALFORMED ? TERN_EDAMAGED : status;
}

static int does_not_fit(struct replay *replay, uint64_t start, int status)
{
    (void)snprintf(replay->why, STORE_WHY_MAX,
                   "journal/%u: group %llu at byte %llu does not fit the state: %s",
                   replay->journal->current, (unsigned long long)replay->journal->at.group,
                   (unsigned long long)start, error_sentence(status));
    return status;
}

static int replay_group(struct replay *replay, uint64_t start, const struct journal_group *group)
{
    journal_group_gather(replay->bytes + start, group, &replay->frames);
    int status = replay_frames(replay, buf_slice(&replay->frames), NULL, true);
    return status != 0 ? does_not_fit(replay, start, status) : 0;
}

static void group_done(struct replay *replay, uint64_t start, const struct journal_group *group,
                       uint32_t run)
{
    struct journal *journal = replay->journal;

    replay->run = run;
    replay->groups++;
    journal->at.pos = start + (uint64_t)group->sectors * JOURNAL_SECTOR;
    journal->at.group++;
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* The group at the journal's place is damaged, in the loaded file, which is `index`. 0: what could
 * be told of it has been applied. ENOENT: nothing of it is here. */
static int replay_damaged(struct replay *replay, uint32_t index, uint32_t sequence, uint64_t pos)
{
    struct journal *journal = replay->journal;
    uint64_t start = pos + (pos == 0 ? JOURNAL_BLOCK : 0);
    struct journal_stamp least = {sequence, replay->run, (uint32_t)journal->at.group};
    struct journal_mended mended;

    if (start + JOURNAL_BLOCK > replay->len) {
        return TERN_ENOENT;
    }
    bool told = journal_mend(slice_of(replay->bytes + start, (size_t)(replay->len - start)),
                             journal->seed, (uint32_t)(start / JOURNAL_SECTOR), &least, &mended);
    int status = mended.stamp.run == 0 ? TERN_ENOENT : TERN_EAMNESIA;
    if (told) {
        status = replay_frames(replay, buf_slice(&mended.frames), mended.known.base, false);
    }
    if (told && status == 0) {
        status = replay_frames(replay, buf_slice(&mended.frames), mended.known.base, true);
        status = status != 0 ? does_not_fit(replay, start, status) : 0;
    }
    if (told && status == 0) {
        trace_warn("event=journal_mended file=%u group=%llu byte=%llu", index,
                   (unsigned long long)journal->at.group, (unsigned long long)start);
        group_done(replay, start, &mended.group, mended.stamp.run);
    }
    journal_mended_fini(&mended);
    return status == TERN_EAMNESIA ? forgotten_at(replay, index, start) : status;
}

/* Believes groups of the loaded file (the current one) as long as they are whole. */
static int replay_file(struct replay *replay, enum group_state *out_state)
{
    struct journal *journal = replay->journal;

    for (;;) {
        struct journal_group group;
        struct journal_stamp stamp;
        *out_state = group_at(replay, journal->at.sequence, journal->at.group, journal->at.pos,
                              &group, &stamp);
        if (*out_state != GROUP_WHOLE) {
            return 0;
        }
        uint64_t start = journal->at.pos + (journal->at.pos == 0 ? JOURNAL_BLOCK : 0);
        int status = replay_group(replay, start, &group);
        if (status != 0) {
            return status;
        }
        group_done(replay, start, &group, stamp.run);
    }
}

/* Goes on to the file of the next sequence, if the next group is there, whole. An earlier run may
 * have left a torn try at the same sequence in another file. */
static int next_file(struct replay *replay, bool damaged, enum group_state *out_state,
                     bool *out_found)
{
    struct journal *journal = replay->journal;

    *out_found = false;
    *out_state = GROUP_NONE;
    for (uint32_t i = 0; i < journal->file_count; i++) {
        struct journal_group group;
        struct journal_stamp stamp = {0};
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
            group_at(replay, journal->at.sequence + 1, journal->at.group, 0, &group, &stamp);
        *out_state = state != GROUP_NONE ? state : *out_state;
        if (state == GROUP_WHOLE) {
            journal->at.pos = 0;
        } else if (damaged) {
            status = replay_damaged(replay, i, journal->at.sequence + 1, 0);
        }
        if (status != 0 && status != TERN_ENOENT) {
            return status;
        }
        if (state == GROUP_WHOLE || (damaged && status == 0)) {
            journal->current = i;
            journal->at.sequence++;
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
        int status = gather_evidence(replay, &replay->evidence);
        return status != 0 || replay->cut_off == 0 ? TERN_EDAMAGED : TERN_EAMNESIA;
    }
    journal->files[journal->current].sequence = journal->at.sequence;
    return load_file(replay, journal->current);
}

/* The group at the journal's place is not whole, here or in a next file. *out_more: it was
 * damaged, and what could be told of it has been applied. */
static int replay_trouble(struct replay *replay, enum group_state state, bool *out_more)
{
    struct journal *journal = replay->journal;
    struct evidence evidence;
    int status = gather_evidence(replay, &evidence);
    bool torn = state == GROUP_TORN || (state == GROUP_NONE && !evidence.bad_first);

    *out_more = false;
    replay->evidence = evidence;
    if (status != 0 || (!evidence.synced && (torn || !evidence.written))) {
        return status; /* the journal ends here */
    }
    status = TERN_ENOENT;
    if (journal->at.sequence != 0 && journal->at.pos < replay->len) {
        status = replay_damaged(replay, journal->current, journal->at.sequence, journal->at.pos);
    }
    if (status == TERN_ENOENT) {
        status = next_file(replay, true, &state, out_more);
        if (status == 0 && !*out_more) {
            status = forgotten_at(replay, journal->current, journal->at.pos);
        }
        return status;
    }
    *out_more = status == 0;
    return status;
}

static int replay_all(struct replay *replay)
{
    struct journal *journal = replay->journal;
    enum group_state state = GROUP_NONE;
    bool more = true;
    int status = 0;

    if (journal->at.pos == JOURNAL_POS_END) {
        journal_place_behind(replay->store);
        status = load_file(replay, journal->current);
    } else if (journal->at.sequence != 0) {
        status = first_file(replay);
        if (status == 0) {
            status = replay_file(replay, &state);
        }
    }
    while (status == 0 && more) {
        if (state != GROUP_TORN && state != GROUP_DAMAGED) {
            status = next_file(replay, false, &state, &more);
        } else {
            more = false;
        }
        if (status == 0 && !more) {
            status = replay_trouble(replay, state, &more);
        }
        if (status == 0 && more) {
            status = replay_file(replay, &state);
        }
    }
    return status;
}

int journal_replay(struct store *store, const struct journal_place *place, char why[STORE_WHY_MAX])
{
    struct replay replay = {.store = store, .journal = &store->journal, .why = why};
    struct store_log *log = NULL;
    struct store_log *next = NULL;

    store->journal.at = *place;
    store->journal.seed = journal_seed(store->journal.id);
    journal_known(store);
    int status = open_files(&replay);
    if (status == 0) {
        status = replay_all(&replay);
    }
    if (status == 0) {
        status = salvage_cut_off(store, place, replay.cut_off, why);
    }
    if (status == TERN_EAMNESIA) {
        const struct evidence *e = &replay.evidence;
        uint64_t unread = e->later | replay.cut_off;
        if (place->sequence != 0) {
            unread |= (uint64_t)1 << store->journal.current;
        }
        status = salvage_journal(store, e->last_sequence, e->last_group, unread, why);
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
