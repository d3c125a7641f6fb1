/* SPDX-License-Identifier: Apache-2.0 */
/* What is done at start when more is lost than single records. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define FORGOTTEN_FILE "forgotten"
#define COPY_BYTES     (1u << 20)

/* ---- segments -------------------------------------------------------------------------------- */

/* Bytes that the segment's file must have: all but those that wait in memory for space. */
static uint64_t needed(const struct store_log *log, uint32_t index)
{
    const struct segment *segment = log->segments[index];

    for (uint32_t i = 0; i < log->ring_count; i++) {
        const struct entry *entry = ring_at(log, i);
        if (entry->in_pipeline && entry->segment->base <= segment->base) {
            return entry->segment == segment ? entry->pos : 0;
        }
    }
    if (segment->damage_count > 0) {
        /* Nothing is needed of what is known to be lost at its end. */
        const struct damage *last = &segment->damage[segment->damage_count - 1];
        if (last->end == segment->end) {
            return last->pos;
        }
    }
    return segment->bytes;
}

/* The file is too short: its batches are read through, and the first that is not there is where the
 * damage begins. */
static int mark_short(struct segment *segment)
{
    const struct store_log *log = segment->log;
    int64_t limit = segment->end;

    for (uint32_t i = 0; i < log->ring_count && limit == segment->end; i++) {
        const struct entry *entry = ring_at(log, i);
        limit = entry->in_pipeline && entry->segment == segment ? entry->offset : limit;
    }
    segment->index_tried = true; /* an index would say that all is there */
    return segment_index_cover(segment, limit);
}

int salvage_segments(struct store *store, char why[STORE_WHY_MAX])
{
    struct store_log *log = NULL;
    struct store_log *next = NULL;
    char path[STORE_PATH_MAX + 32];
    int status = 0;

    HASH_ITER (hh, store->logs, log, next) {
        for (uint32_t i = 0; i < log->segment_count && status == 0; i++) {
            struct segment *segment = log->segments[i];
            struct disk_stat stat = {0};
            char dir[STORE_PATH_MAX];
            log_dir(log, dir);
            (void)snprintf(path, sizeof path, "%s/%020lld.log", dir, (long long)segment->base);
            status = store->disk->ops->stat(store->disk, path, &stat);
            if (status != 0 && status != TERN_ENOENT) {
                (void)snprintf(why, STORE_WHY_MAX, "%.150s: %s", path, error_sentence(status));
                return status;
            }
            uint64_t need = needed(log, i);
            bool lacks = need > SEGMENT_HEADER && (status == TERN_ENOENT || stat.size < need);
            status = 0;
            if (lacks) {
                trace_error("event=segment_short path=%s needed=%llu there=%llu", path,
                            (unsigned long long)need, (unsigned long long)stat.size);
            }
            if (lacks || (store->forgotten && need > SEGMENT_HEADER)) {
                status = mark_short(segment);
            }
            if (status != 0) {
                (void)snprintf(why, STORE_WHY_MAX, "%.150s: %s", path, error_sentence(status));
            }
        }
    }
    return status;
}

/* ---- the journal ----------------------------------------------------------------------------- */

int salvage_look(struct store *store)
{
    struct disk_stat stat;
    int status = store->disk->ops->stat(store->disk, FORGOTTEN_FILE, &stat);

    store->forgotten = status == 0;
    return status == TERN_ENOENT ? 0 : status;
}

int store_forgotten_told(struct store *store)
{
    struct disk *disk = store->disk;

    if (!store->forgotten) {
        return 0;
    }
    int status = disk->ops->remove(disk, FORGOTTEN_FILE);
    if (status == 0) {
        status = disk->ops->sync_dir(disk, "");
    }
    store->forgotten = status != 0;
    return status;
}

static int make_mark(struct store *store)
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    int status = disk->ops->open(disk, FORGOTTEN_FILE, true, &file);

    if (status == 0) {
        status = disk->ops->sync(disk, file);
        disk->ops->close(disk, file);
    }
    return status == 0 ? disk->ops->sync_dir(disk, "") : status;
}

/* May file `index`, which is shorter than it was, have ended with groups that are nowhere now? Not if
 * it is of a life before the checkpoint, or if the chain of groups went on behind it, or if its first
 * sector was never written. */
static int may_lack(const struct store *store, const struct journal_place *checkpoint,
                    uint32_t index, bool *out)
{
    struct disk *disk = store->disk;
    const struct journal *journal = &store->journal;
    struct journal_stamp stamp = {0};
    uint8_t sector[JOURNAL_SECTOR];
    uint32_t behind = checkpoint->pos == JOURNAL_POS_END ? 1 : 0;

    *out = true;
    if (journal->files[index].found < sizeof sector) {
        return 0;
    }
    int64_t got = disk->ops->read(disk, journal->files[index].file, 0, sector, sizeof sector);
    if (got < (int64_t)sizeof sector) {
        return got < 0 ? (int)got : 0;
    }
    enum sector_state state = journal_sector_check(sector, journal->seed, 0, &stamp);
    bool older = stamp.sequence < checkpoint->sequence + behind;
    bool passed = stamp.sequence < journal->at.sequence;
    *out = state == SECTOR_BAD || (state == SECTOR_VALID && !older && !passed);
    return 0;
}

int salvage_cut_off(const struct store *store, const struct journal_place *checkpoint,
                    uint64_t cut_off, char why[STORE_WHY_MAX])
{
    const struct journal *journal = &store->journal;
    int status = 0;

    for (uint32_t i = 0; i < journal->file_count && status == 0; i++) {
        bool lacks = false;
        if ((cut_off >> i & 1) != 0) {
            status = may_lack(store, checkpoint, i, &lacks);
        }
        if (lacks) {
            (void)snprintf(why, STORE_WHY_MAX, "journal/%u: %llu bytes where there were %llu", i,
                           (unsigned long long)journal->files[i].found,
                           (unsigned long long)journal->known_bytes);
            status = TERN_EAMNESIA;
        }
    }
    return status;
}

/* What is not replayed may be the only copy of something: it is kept for people to look at. */
static void keep_journal(struct store *store, uint32_t index)
{
    const struct journal_file *from = &store->journal.files[index];
    struct disk *disk = store->disk;
    struct disk_file *to = NULL;
    char path[STORE_PATH_MAX];
    uint8_t *bytes = mem_new(COPY_BYTES);
    int64_t got = 1;
    int status = 0;

    (void)snprintf(path, sizeof path, "quarantine/journal-%u-%u.damaged", store->journal.run + 1,
                   index);
    status = disk->ops->open(disk, path, true, &to);
    for (uint64_t pos = 0; status == 0 && pos < from->bytes && got > 0; pos += (uint64_t)got) {
        got = disk->ops->read(disk, from->file, pos, bytes, COPY_BYTES);
        status = got < 0 ? (int)got : 0;
        if (got > 0) {
            status = disk->ops->write(disk, to, pos, slice_of(bytes, (size_t)got));
        }
    }
    if (to != NULL) {
        disk->ops->close(disk, to);
    }
    if (status != 0) {
        trace_warn("event=journal_not_kept path=%s error=%s", path, error_name(status));
    }
    free(bytes);
}

static int sync_segments(struct store *store)
{
    struct disk *disk = store->disk;
    struct link *link = NULL;
    int status = 0;

    while (status == 0 && (link = queue_pop(&store->dirty_segments)) != NULL) {
        struct segment *segment = CONTAINER_OF(link, struct segment, dirty);
        status = segment_open(segment, false);
        if (status == 0) {
            status = disk->ops->sync(disk, segment->file);
        }
    }
    while (status == 0 && (link = queue_pop(&store->dirty_dirs)) != NULL) {
        char dir[STORE_PATH_MAX];
        log_dir(CONTAINER_OF(link, struct store_log, dirty_dir), dir);
        status = disk->ops->sync_dir(disk, dir);
    }
    return status == 0 ? disk->ops->sync_dir(disk, "topics") : status;
}

int salvage_journal(struct store *store, uint32_t last_sequence, uint64_t last_group,
                    uint64_t unread, char why[STORE_WHY_MAX])
{
    struct journal *journal = &store->journal;

    trace_error("event=journal_forgotten why=\"%s\" action=new_incarnation", why);
    if (!queue_empty(&store->unapplied)) {
        return TERN_ENOSPC; /* what was believed must be in the segments first */
    }
    for (uint32_t i = 0; i < journal->file_count; i++) {
        if ((unread >> i & 1) != 0) {
            keep_journal(store, i);
        }
    }
    /* The mark comes first: from it on nobody takes this disk for one that remembers. */
    int status = make_mark(store);
    if (status == 0) {
        status = sync_segments(store);
    }
    if (status == 0) {
        store->forgotten = true;
        journal->at = (struct journal_place){last_sequence, JOURNAL_POS_END, last_group + 1};
        status = checkpoint_create(store);
    }
    if (status != 0) {
        (void)snprintf(why, STORE_WHY_MAX, "salvaging the journal: %s", error_sentence(status));
        return status;
    }
    store->checkpoint.place = journal->at;
    journal_place_behind(store);
    why[0] = '\0';
    return 0;
}
