/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the journal: one group in flight, everything that waits in one write and one fsync. */
#include <stdio.h>

#include "base/trace.h"
#include "store/journal_format.h"
#include "store/store_impl.h"

#define RUN_FILE       "journal/run"
#define RUN_FORMAT     1
#define RUN_SLOT_BYTES 64
#define ZERO_PIECE     (1u << 20)
#define BUF_KEPT       (1u << 20) /* a larger group buffer is given back when idle */
static const uint8_t run_magic[8] = {'T', 'E', 'R', 'N', 'J', 'R', 'U', 'N'};

static void file_path(uint32_t index, char out[STORE_PATH_MAX])
{
    (void)snprintf(out, STORE_PATH_MAX, "journal/%u", index);
}

/* ---- creation and runs ----------------------------------------------------------------------- */

static void run_slot(const struct journal *journal, uint8_t out[RUN_SLOT_BYTES])
{
    memset(out, 0, RUN_SLOT_BYTES);
    memcpy(out, run_magic, sizeof run_magic);
    put_le32(out + 8, RUN_FORMAT);
    put_le32(out + 12, journal->run);
    memcpy(out + 16, journal->id.bytes, sizeof journal->id.bytes);
    put_le64(out + 32, journal->known_bytes);
    put_le32(out + 40, journal->known_count);
    put_le32(out + RUN_SLOT_BYTES - 4, crc32c(slice_of(out, RUN_SLOT_BYTES - 4)));
}

/* The run number is written to two places in turn, in a file that has its full length from the
 * start: it must work on a full disk too. */
static int run_write(struct store *store, struct disk_file *file)
{
    struct disk *disk = store->disk;
    uint8_t slot[RUN_SLOT_BYTES];

    run_slot(&store->journal, slot);
    int status = disk->ops->write(disk, file, (store->journal.run % 2) * (uint64_t)JOURNAL_BLOCK,
                                  slice_of(slot, sizeof slot));
    return status == 0 ? disk->ops->sync(disk, file) : status;
}

static int run_read(struct store *store, struct disk_file *file, char why[STORE_WHY_MAX])
{
    struct disk *disk = store->disk;
    struct journal *journal = &store->journal;
    uint8_t slot[RUN_SLOT_BYTES];
    uint32_t found = 0;

    for (uint64_t i = 0; i < 2; i++) {
        int64_t got = disk->ops->read(disk, file, i * JOURNAL_BLOCK, slot, sizeof slot);
        if (got < 0) {
            return (int)got;
        }
        if (got < (int64_t)sizeof slot || memcmp(slot, run_magic, sizeof run_magic) != 0 ||
            get_le32(slot + RUN_SLOT_BYTES - 4) != crc32c(slice_of(slot, RUN_SLOT_BYTES - 4))) {
            continue;
        }
        if (get_le32(slot + 8) != RUN_FORMAT) {
            (void)snprintf(why, STORE_WHY_MAX, RUN_FILE ": format %u, this build knows %u",
                           get_le32(slot + 8), RUN_FORMAT);
            return TERN_EFORMAT;
        }
        if (memcmp(slot + 16, journal->id.bytes, sizeof journal->id.bytes) == 0) {
            uint32_t run = get_le32(slot + 12);
            if (found == 0 || run > journal->run) {
                journal->run = run;
                journal->known_bytes = get_le64(slot + 32);
                journal->known_count = get_le32(slot + 40);
            }
            found++;
        }
    }
    if (found == 1) {
        journal->run += 2; /* the other slot may have had a higher one: it is written next */
    }
    return found > 0 ? 0 : TERN_EDAMAGED;
}

void journal_known(struct store *store)
{
    struct disk *disk = store->disk;
    struct journal *journal = &store->journal;
    struct disk_file *file = NULL;
    char why[STORE_WHY_MAX];

    if (disk->ops->open(disk, RUN_FILE, false, &file) == 0) {
        (void)run_read(store, file, why); /* its faults are judged when the run begins */
        disk->ops->close(disk, file);
    }
    if (journal->known_count > JOURNAL_FILES_MAX) {
        journal->known_count = 0;
    }
}

/* From here on a file that is missing or shorter has lost something. */
static void know_files(struct journal *journal)
{
    journal->known_count = journal->file_count;
    journal->known_bytes = journal->files[0].bytes;
    for (uint32_t i = 1; i < journal->file_count; i++) {
        uint64_t bytes = journal->files[i].bytes;
        journal->known_bytes = bytes < journal->known_bytes ? bytes : journal->known_bytes;
    }
}

int journal_run_begin(struct store *store, char why[STORE_WHY_MAX])
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    int status = disk->ops->open(disk, RUN_FILE, false, &file);

    if (status == 0) {
        status = run_read(store, file, why);
        if (status == 0) {
            store->journal.run++;
            know_files(&store->journal);
            status = run_write(store, file);
        }
        disk->ops->close(disk, file);
    }
    if (status != 0 && why[0] == '\0') {
        (void)snprintf(why, STORE_WHY_MAX, RUN_FILE ": %s", error_sentence(status));
    }
    return status == TERN_ENOENT ? TERN_EDAMAGED : status;
}

static int create_file(struct store *store, uint32_t index)
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    struct journal_stamp stamp;
    uint8_t sector[JOURNAL_SECTOR];
    char path[STORE_PATH_MAX];

    file_path(index, path);
    int status = disk->ops->open(disk, path, true, &file);
    if (status != 0) {
        return status;
    }
    /* A used journal without a checkpoint has lost something: never start anew over it. */
    int64_t got = disk->ops->read(disk, file, 0, sector, sizeof sector);
    if (got == (int64_t)sizeof sector &&
        journal_sector_check(sector, 0, 0, &stamp) != SECTOR_EMPTY) {
        status = TERN_EDAMAGED;
    } else {
        status = got < 0 ? (int)got
                         : disk->ops->preallocate(disk, file, store->options.journal_file_bytes);
    }
    if (status == 0) {
        status = disk->ops->sync(disk, file);
    }
    disk->ops->close(disk, file);
    return status;
}

int journal_create(struct store *store)
{
    struct disk *disk = store->disk;
    struct journal *journal = &store->journal;
    struct disk_file *file = NULL;
    int status = 0;

    journal->id = uuid_from_random(clock_random(store->clock), clock_random(store->clock));
    journal->at = (struct journal_place){.sequence = 0, .pos = 0, .group = 1};
    journal->run = 1;
    journal->known_count = 2;
    journal->known_bytes = store->options.journal_file_bytes;
    for (uint32_t i = 0; i < 2 && status == 0; i++) {
        status = create_file(store, i);
    }
    if (status == 0) {
        status = disk->ops->open(disk, RUN_FILE, true, &file);
    }
    if (status == 0) {
        status = disk->ops->preallocate(disk, file, 2 * (uint64_t)JOURNAL_BLOCK);
        if (status == 0) {
            status = run_write(store, file);
        }
        disk->ops->close(disk, file);
    }
    return status == 0 ? disk->ops->sync_dir(disk, "journal") : status;
}

void journal_fini(struct store *store)
{
    struct journal *journal = &store->journal;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        store->disk->ops->close(store->disk, journal->files[i].file);
    }
    if (journal->grow_file != NULL) {
        store->disk->ops->close(store->disk, journal->grow_file);
    }
    free(journal->grow_extents);
    buf_fini(&journal->grow_zeros);
    buf_fini(&journal->buf);
    buf_fini(&journal->items);
}

/* ---- room ------------------------------------------------------------------------------------ */

void journal_place_behind(struct store *store)
{
    struct journal *journal = &store->journal;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        journal->files[i].sequence = 0;
    }
    journal->current = 0;
    journal->at.pos = journal->files[0].bytes;
}

void journal_free_before(struct store *store, const struct journal_place *place)
{
    struct journal *journal = &store->journal;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        if (journal->files[i].sequence < place->sequence) {
            journal->files[i].sequence = 0;
        }
    }
    journal->waiting = false;
}

uint64_t journal_used_bytes(const struct store *store)
{
    const struct journal *journal = &store->journal;
    uint64_t used = 0;

    for (uint32_t i = 0; i < journal->file_count; i++) {
        if (journal->files[i].sequence != 0) {
            bool current = journal->at.sequence != 0 && i == journal->current;
            used += current ? journal->at.pos : journal->files[i].bytes;
        }
    }
    return used;
}

uint32_t journal_free_files(const struct store *store)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < store->journal.file_count; i++) {
        count += store->journal.files[i].sequence == 0;
    }
    return count;
}

static uint64_t smallest_file(const struct store *store)
{
    uint64_t bytes = store->options.journal_file_bytes;

    for (uint32_t i = 0; i < store->journal.file_count; i++) {
        if (store->journal.files[i].bytes < bytes) {
            bytes = store->journal.files[i].bytes;
        }
    }
    return bytes;
}

/* A quarter of a file: so at most a quarter is left empty at its end, and with a snapshot every
 * quarter of the journal one lies in every file even if there are only two. */
uint64_t journal_batch_max(const struct store *store)
{
    return smallest_file(store) / 4;
}

uint64_t store_batch_max(const struct store *store)
{
    return journal_batch_max(store);
}

static bool free_file(const struct journal *journal, uint32_t *out_index)
{
    for (uint32_t i = 0; i < journal->file_count; i++) {
        if (journal->files[i].sequence == 0) {
            *out_index = i;
            return true;
        }
    }
    return false;
}

/* Before the first group is written into it the run file must know of it. */
static int tell_grown(struct store *store)
{
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    int status = disk->ops->sync_dir(disk, "journal");

    if (status == 0) {
        status = disk->ops->open(disk, RUN_FILE, false, &file);
    }
    if (status == 0) {
        know_files(&store->journal);
        status = run_write(store, file);
        disk->ops->close(disk, file);
    }
    return status;
}

static void grow_done(struct disk_op *op, int64_t status)
{
    struct journal *journal = CONTAINER_OF(op, struct journal, grow_op);
    struct store *store = CONTAINER_OF(journal, struct store, journal);

    journal->growing = false;
    free(journal->grow_extents);
    buf_fini(&journal->grow_zeros);
    journal->grow_extents = NULL;
    if (status == TERN_ENOSPC) {
        journal->grow_failed = true; /* the files that exist must do */
        store->disk->ops->close(store->disk, journal->grow_file);
        journal->grow_file = NULL;
        char path[STORE_PATH_MAX];
        file_path(journal->file_count, path);
        (void)store->disk->ops->remove(store->disk, path);
        checkpoint_kick(store);
        return;
    }
    if (status == 0) {
        journal->files[journal->file_count++] = (struct journal_file){
            .file = journal->grow_file, .bytes = store->options.journal_file_bytes, .sequence = 0};
        journal->grow_file = NULL;
        status = tell_grown(store);
    }
    if (status != 0) {
        store_fail(store, (int)status, "making a journal file");
        return;
    }
    journal->waiting = false;
    journal_kick(store);
}

/* Fills one more file with zeros in the background. */
static void grow(struct store *store)
{
    struct journal *journal = &store->journal;
    uint32_t unused = 0;
    char path[STORE_PATH_MAX];

    if (journal->growing || journal->grow_failed || free_file(journal, &unused) ||
        journal->file_count >= store->options.journal_files_max) {
        return;
    }
    uint64_t bytes = store->options.journal_file_bytes;
    if (store->below_reserve && store->options.reserve_bytes > 0) {
        return;
    }
    file_path(journal->file_count, path);
    if (store->disk->ops->open(store->disk, path, true, &journal->grow_file) != 0) {
        journal->grow_file = NULL;
        journal->grow_failed = true;
        return;
    }
    size_t count = (size_t)((bytes + ZERO_PIECE - 1) / ZERO_PIECE);
    buf_pages(&journal->grow_zeros, ZERO_PIECE);
    memset(buf_extend(&journal->grow_zeros, ZERO_PIECE), 0, ZERO_PIECE);
    journal->grow_extents = mem_new(count * sizeof *journal->grow_extents);
    for (size_t i = 0; i < count; i++) {
        uint64_t pos = (uint64_t)i * ZERO_PIECE;
        uint64_t len = bytes - pos < ZERO_PIECE ? bytes - pos : ZERO_PIECE;
        journal->grow_extents[i] = (struct disk_extent){
            journal->grow_file, pos, slice_of(journal->grow_zeros.base, (size_t)len)};
    }
    journal->grow_op = (struct disk_op){.kind = DISK_WRITE,
                                        .extents = journal->grow_extents,
                                        .extent_count = count,
                                        .sync = journal->grow_file,
                                        .done = grow_done};
    journal->growing = true;
    disk_submit(store->disk, &journal->grow_op);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void put_entry(struct group_writer *w, const struct entry *entry, struct buf *items)
{
    uint8_t head[JOURNAL_FRAME_HEADER];
    uint8_t body[32] = {0};
    struct frame frame = {.log = entry->log != NULL ? entry->log->number : entry->number,
                          .body = slice_of(body, 0)};

    switch (entry->kind) {
    case ENTRY_NOTHING:
    case ENTRY_MARKER:
        return;
    case ENTRY_CREATE:
        frame.type = FRAME_CREATE;
        memcpy(body, entry->log->key.topic_id.bytes, 16);
        put_le32(body + 16, (uint32_t)entry->log->key.partition);
        put_le64(body + 20, 0);
        frame.body.len = 28;
        break;
    case ENTRY_APPEND:
        frame.type = FRAME_APPEND;
        frame.flags = entry->roll ? FRAME_FLAG_ROLL : 0;
        frame.body = chunk_slice(entry->bytes);
        break;
    case ENTRY_PROMISE:
    case ENTRY_SYNCED:
        frame.type = entry->kind == ENTRY_PROMISE ? FRAME_PROMISE : FRAME_SYNCED;
        put_le32(body, entry->number);
        frame.body.len = 4;
        break;
    case ENTRY_TRUNCATE:
        frame.type = FRAME_TRUNCATE;
        put_le64(body, (uint64_t)entry->offset);
        put_le64(body + 8, (uint64_t)entry->end);
        put_le64(body + 16, entry->pos);
        frame.body.len = 24;
        break;
    case ENTRY_RESTART:
        frame.type = FRAME_RESTART;
        frame.body = chunk_slice(entry->bytes);
        break;
    case ENTRY_LOG_START:
        frame.type = FRAME_LOG_START;
        put_le64(body, (uint64_t)entry->offset);
        frame.body.len = 8;
        break;
    case ENTRY_DELETE:
        frame.type = FRAME_DELETE;
        break;
    case ENTRY_NOTE:
        frame.type = FRAME_NOTE;
        frame.body = chunk_slice(entry->bytes);
        break;
    case ENTRY_DAMAGE:
        frame.type = FRAME_DAMAGE;
        put_le64(body, (uint64_t)entry->offset);
        put_le64(body + 8, (uint64_t)entry->end);
        put_le64(body + 16, entry->pos);
        put_le64(body + 24, entry->len);
        frame.body.len = 32;
        break;
    case ENTRY_REPAIR:
        frame.type = FRAME_REPAIR;
        frame.body = chunk_slice(entry->bytes);
        break;
    case ENTRY_COMPACT:
        frame.type = FRAME_COMPACT;
        frame.body = chunk_slice(entry->bytes);
        break;
    }
    frame_header_put(head, &frame);
    group_put(w, slice_of(head, sizeof head));
    group_put(w, frame.body);
    directory_put(items, slice_of(head, sizeof head), frame.body);
}

static bool touches_segments(enum entry_kind kind)
{
    return kind == ENTRY_APPEND || kind == ENTRY_REPAIR || kind == ENTRY_TRUNCATE ||
           kind == ENTRY_RESTART || kind == ENTRY_LOG_START || kind == ENTRY_DELETE ||
           kind == ENTRY_COMPACT || kind == ENTRY_MARKER;
}

/* While a cut is under way the log may end before the entry, or begin after it. */
static void append_durable(struct store_log *log, const struct entry *entry)
{
    struct store_log_state *state = &log->state;
    int64_t end = entry->end < state->leo ? entry->end : state->leo;

    if (!log->deleted && entry->offset >= state->log_start && end > state->durable_leo) {
        state->durable_leo = end;
    }
}

static void complete(struct store *store, struct entry *entry)
{
    struct store_req *req = entry->req;
    struct store_log *log = entry->log;
    int status = entry->status;

    entry->req = NULL;
    switch (entry->kind) {
    case ENTRY_APPEND:
        append_durable(log, entry);
        break;
    case ENTRY_TRUNCATE:
    case ENTRY_RESTART:
        log->state.truncating = false;
        log->state.durable_leo = entry->offset;
        break;
    case ENTRY_REPAIR:
        entry->req = req; /* waits until readers find it in the segment */
        req = NULL;
        store->apply_due = true;
        break;
    case ENTRY_MARKER:
        entry->snapshot->place = store->journal.at;
        break;
    case ENTRY_NOTHING:
    case ENTRY_CREATE:
    case ENTRY_PROMISE:
    case ENTRY_SYNCED:
    case ENTRY_LOG_START:
    case ENTRY_DELETE:
    case ENTRY_NOTE:
    case ENTRY_DAMAGE:
    case ENTRY_COMPACT:
        break;
    }
    if (MUTANT(checkpoint_unapplied) && entry->kind == ENTRY_MARKER) {
        checkpoint_marker_applied(store, entry->snapshot);
        entry->snapshot = NULL;
    } else if (touches_segments(entry->kind)) {
        apply_push(store, entry);
        entry = NULL;
    }
    if (entry != NULL) {
        entry->in_pipeline = false;
        entry_free(store, entry);
    }
    if (req != NULL) {
        req->done(req, status);
    }
}

/* The group is durable: its reqs in order, then its segment writes, then the next group. */
static void group_durable(struct store *store)
{
    struct link *link = NULL;

    store->group_bytes = 0;
    while (!store->failed && (link = queue_pop(&store->group)) != NULL) {
        complete(store, CONTAINER_OF(link, struct entry, link));
    }
    store->journal.busy = false;
    if (!store->failed) {
        apply_kick(store);
        journal_kick(store);
    }
}

static void group_written(struct disk_op *op, int64_t status)
{
    struct journal *journal = CONTAINER_OF(op, struct journal, op);
    struct store *store = CONTAINER_OF(journal, struct store, journal);

    if (status != 0) {
        store_fail(store, (int)status, "writing the journal");
        return;
    }
    store->counters.fsyncs++;
    store->counters.bytes += journal->buf.len;
    store->counters.fsync_us_sum += clock_now_us(store->clock) - journal->submitted_us;
    journal->at.pos += journal->buf.len;
    journal->at.group++;
    group_durable(store);
}

static void submit(struct store *store, size_t frame_bytes, uint32_t file_index, bool new_file)
{
    struct journal *journal = &store->journal;
    struct group_writer w;

    if (new_file) {
        journal->at.sequence++;
        journal->at.pos = 0;
        journal->current = file_index;
        journal->files[file_index].sequence = journal->at.sequence;
        grow(store);
    }
    struct journal_stamp stamp = {journal->at.sequence, journal->run, (uint32_t)journal->at.group};
    struct journal_group group = {.number = journal->at.group,
                                  .synced = journal->at.group - 1,
                                  .frame_bytes = (uint32_t)frame_bytes};
    buf_pages(&journal->buf, journal_group_size(frame_bytes) + (new_file ? JOURNAL_BLOCK : 0));
    group_begin(&w, &journal->buf, journal->seed, (uint32_t)(journal->at.pos / JOURNAL_SECTOR),
                stamp);
    if (new_file) {
        group_file_header(&w, journal->id, file_index);
    }
    group_open(&w, &group);
    buf_clear(&journal->items);
    QUEUE_EACH (link, &store->group) {
        put_entry(&w, CONTAINER_OF(link, struct entry, link), &journal->items);
    }
    group_directory(&w, &group, buf_slice(&journal->items));
    group_end(&w);
    journal->extent = (struct disk_extent){journal->files[journal->current].file, journal->at.pos,
                                           buf_slice(&journal->buf)};
    journal->op = (struct disk_op){.kind = DISK_WRITE,
                                   .extents = &journal->extent,
                                   .extent_count = 1,
                                   .sync = MUTANT(ack_unsynced) ? NULL : journal->extent.file,
                                   .done = group_written};
    journal->busy = true;
    journal->since_marker += journal->buf.len - frame_bytes;
    journal->submitted_us = clock_now_us(store->clock);
    disk_submit(store->disk, &journal->op);
}

/* Finds room for a group of `frame_bytes`, in this file or a free one. */
static bool find_room(struct store *store, size_t frame_bytes, uint32_t *out_index, bool *out_new)
{
    struct journal *journal = &store->journal;
    size_t size = journal_group_size(frame_bytes);

    if (journal->at.sequence != 0 &&
        journal->at.pos + size <= journal->files[journal->current].bytes) {
        *out_index = journal->current;
        *out_new = false;
        return true;
    }
    *out_new = true;
    return free_file(journal, out_index) &&
           size + JOURNAL_BLOCK <= journal->files[*out_index].bytes;
}

/* Moves entries from pending to group as long as they fit. False: not even the first one does. */
static bool take_group(struct store *store, size_t *out_bytes, uint32_t *out_file, bool *out_new)
{
    struct journal *journal = &store->journal;
    size_t frame_bytes = 0;
    uint64_t room = 0;

    QUEUE_EACH (link, &store->pending) {
        struct entry *entry = CONTAINER_OF(link, struct entry, link);
        size_t more = entry_frame_bytes(entry);
        if (more > 0 && frame_bytes == 0) {
            if (!find_room(store, more, out_file, out_new)) {
                break;
            }
            room = *out_new ? journal->files[*out_file].bytes - JOURNAL_BLOCK
                            : journal->files[*out_file].bytes - journal->at.pos;
        } else if (more > 0 && (frame_bytes + more > JOURNAL_GROUP_MAX ||
                                journal_group_size(frame_bytes + more) > room)) {
            break;
        }
        link_remove(link);
        queue_push(&store->group, link);
        frame_bytes += more;
        store->counters.frames += more > 0;
        if (entry->kind == ENTRY_MARKER) {
            break; /* the state of its snapshot ends where this group ends */
        }
    }
    *out_bytes = frame_bytes;
    return !queue_empty(&store->group);
}

/* Entries wait until segments have taken some of what lies before them: otherwise a device that is
 * behind fills the memory with as much as the whole journal holds. */
static bool is_held(struct store *store)
{
    struct journal *journal = &store->journal;

    if (queue_empty(&store->pending) || !apply_is_behind(store)) {
        journal->held_us = 0;
    } else if (journal->held_us == 0) {
        journal->held_us = clock_now_us(store->clock);
        store->counters.held++;
    }
    return journal->held_us > 0;
}

void journal_kick(struct store *store)
{
    struct journal *journal = &store->journal;
    size_t frame_bytes = 0;
    uint32_t file = 0;
    bool new_file = false;

    if (journal->busy || store->failed || store->opening || is_held(store)) {
        return;
    }
    while (!queue_empty(&store->pending)) {
        if (!take_group(store, &frame_bytes, &file, &new_file)) {
            journal->waiting = true;
            grow(store);
            checkpoint_kick(store);
            return;
        }
        store->pending_bytes -= frame_bytes;
        store->group_bytes = frame_bytes;
        timer_stop(store->clock, &store->idle_timer);
        if (frame_bytes > 0) {
            journal->marker_due = true;
            submit(store, frame_bytes, file, new_file);
            return;
        }
        /* Nothing to write: what waits here waits only for its turn. */
        journal->busy = true;
        journal->submitted_us = clock_now_us(store->clock);
        group_durable(store);
        return;
    }
    if (journal->marker_due && !timer_armed(&store->idle_timer)) {
        timer_after_ms(store->clock, &store->idle_timer, store->options.idle_marker_ms);
    }
}

/* The idle marker: an empty group, whose presence says that the one before it was synced. */
void journal_idle_fired(struct timer *timer)
{
    struct store *store = CONTAINER_OF(timer, struct store, idle_timer);
    struct journal *journal = &store->journal;
    uint32_t file = 0;
    bool new_file = false;

    if (journal->busy || store->failed || !queue_empty(&store->pending)) {
        return;
    }
    journal->marker_due = false;
    if (journal->buf.cap > BUF_KEPT) {
        buf_fini(&journal->buf);
    }
    if (find_room(store, 0, &file, &new_file)) {
        submit(store, 0, file, new_file);
    }
}
