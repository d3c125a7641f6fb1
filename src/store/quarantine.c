/* SPDX-License-Identifier: Apache-2.0 */
/* Quarantine: what a truncation removes is first written, durably, to a file of its own.
 *
 *     WAITING -> COPYING -> NAMING -> the cut itself (store.c)
 *        ^          |
 *        +-ENOSPC---+
 *
 * In the background, a few at a time: bytes are copied as they are, from memory or segment file (a
 * damaged batch too); then file, name and directory are synced. The file gets its final name only
 * when it is complete; one that still ends in ".new" is removed at the next start, since the log
 * has the bytes then. Until all that is done the log keeps what is to be cut, and later calls on it
 * are held back. A full disk only makes this wait. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define QUARANTINE_FORMAT 1
#define QUARANTINE_HEADER 128
#define PIECE_BYTES       (1u << 20)
#define RUNNING_MAX       4
static const uint8_t quarantine_magic[8] = {'T', 'E', 'R', 'N', 'Q', 'U', 'A', 'R'};

enum cut_step { CUT_WAITING, CUT_COPYING, CUT_NAMING };

struct cut {
    struct store *store;
    struct store_log *log; /* NULL: the log is deleted, give up */
    struct link link;      /* store->cuts; store->cuts_named while NAMING */
    struct link held;      /* struct held_call */
    struct store_req *req;
    enum cut_step step;
    struct chunk restart; /* begin anew: the body of its frame; empty: cut */
    int64_t offset;       /* of the cut, or at which the log begins anew */
    uint32_t index;       /* segment and position of the first byte to save */
    uint64_t pos;
    /* Copying. */
    uint32_t at_index;
    uint64_t at_pos;
    struct segment *reading; /* pinned */
    struct disk_file *file;
    uint64_t file_pos;
    uint32_t sum;
    struct buf piece;
    uint8_t head[QUARANTINE_HEADER];
    struct disk_op op;
    struct disk_extent extents[2];
    char path[STORE_PATH_MAX]; /* the temporary name */
    struct store_quarantined q;
};

/* A call on a log whose cut is not done yet. */
struct held_call {
    struct link link;
    enum entry_kind kind;
    int64_t value;
    struct store_req *req;
};

/* ---- the file -------------------------------------------------------------------------------- */

static void make_header(struct cut *cut)
{
    const struct store_quarantined *q = &cut->q;
    uint8_t *head = cut->head;

    memset(head, 0, QUARANTINE_HEADER);
    memcpy(head, quarantine_magic, sizeof quarantine_magic);
    put_le32(head + 8, QUARANTINE_FORMAT);
    put_le32(head + 12, (uint32_t)q->partition);
    memcpy(head + 16, q->topic_id.bytes, sizeof q->topic_id.bytes);
    put_le32(head + 32, (uint32_t)q->first_epoch);
    put_le32(head + 36, (uint32_t)q->last_epoch);
    put_le64(head + 40, (uint64_t)q->first_offset);
    put_le64(head + 48, (uint64_t)q->end_offset);
    put_le64(head + 56, q->records);
    put_le64(head + 64, q->bytes);
    put_le64(head + 72, (uint64_t)q->wall_ms);
    put_le32(head + 80, cut->sum);
    put_le32(head + QUARANTINE_HEADER - 4, crc32c(slice_of(head, QUARANTINE_HEADER - 4)));
}

/* A name that is not taken. */
static int final_path(struct cut *cut, char out[STORE_PATH_MAX])
{
    char id[UUID_TEXT_SIZE];
    struct disk_stat stat;
    int status = 0;

    uuid_text(cut->q.topic_id, id);
    for (uint32_t n = 1; status == 0; n++) {
        (void)snprintf(out, STORE_PATH_MAX, "quarantine/%s-%d-%d-%lld-%lld-%u.q", id,
                       (int)cut->q.partition, (int)cut->q.first_epoch,
                       (long long)cut->q.first_offset, (long long)cut->q.end_offset, n);
        status = cut->store->disk->ops->stat(cut->store->disk, out, &stat);
    }
    return status == TERN_ENOENT ? 0 : status;
}

/* ---- the cut --------------------------------------------------------------------------------- */

static void cut_free(struct cut *cut)
{
    struct link *link = NULL;

    if (cut->file != NULL) {
        cut->store->disk->ops->close(cut->store->disk, cut->file);
    }
    if (cut->reading != NULL) {
        segment_unpin(cut->reading);
    }
    while ((link = queue_pop(&cut->held)) != NULL) {
        free(CONTAINER_OF(link, struct held_call, link));
    }
    if (link_in_list(&cut->link)) {
        link_remove(&cut->link);
    }
    if (cut->step == CUT_COPYING) {
        cut->store->cuts_running--;
    }
    buf_fini(&cut->piece);
    chunk_drop(&cut->restart);
    free(cut);
}

static void release_held(struct store_log *log, struct link *held)
{
    struct link *link = NULL;

    while ((link = queue_pop(held)) != NULL) {
        struct held_call *call = CONTAINER_OF(link, struct held_call, link);
        switch (call->kind) {
        case ENTRY_SYNCED:
            store_synced(log, (int32_t)call->value, call->req);
            break;
        case ENTRY_LOG_START:
            store_log_start(log, call->value < log->state.leo ? call->value : log->state.leo,
                            call->req);
            break;
        case ENTRY_NOTHING:
        case ENTRY_CREATE:
        case ENTRY_APPEND:
        case ENTRY_PROMISE:
        case ENTRY_TRUNCATE:
        case ENTRY_RESTART:
        case ENTRY_DELETE:
        case ENTRY_NOTE:
        case ENTRY_DAMAGE:
        case ENTRY_REPAIR:
        case ENTRY_COMPACT:
        case ENTRY_MARKER:
            CHECK(false);
        }
        free(call);
    }
}

/* The bytes are safe: cut, and let through what was held back. */
static void cut_saved(struct cut *cut)
{
    struct store_log *log = cut->log;
    struct link held;

    cut->store->counters.quarantined_bytes += cut->q.bytes;
    log->cut = NULL;
    if (cut->restart.len > 0) {
        log_restart_now(log, cut->offset, cut->restart, cut->req);
        cut->restart = (struct chunk){0};
    } else {
        log_truncate_now(log, cut->offset, cut->index, cut->pos, cut->req);
    }
    queue_init(&held);
    move_links(&cut->held, &held);
    release_held(log, &held);
    cut_free(cut);
}

static void sync_names(struct store *store);

static void name_done(struct disk_op *op, int64_t status)
{
    struct store *store = CONTAINER_OF(op, struct store, cuts_op);
    struct link *link = NULL;

    store->disk->ops->close(store->disk, store->cuts_dir);
    store->cuts_dir = NULL;
    if (store->failed) {
        return;
    }
    if (status != 0) {
        store_fail(store, (int)status, "syncing the quarantine's directory");
        return;
    }
    while ((link = queue_pop(&store->cuts_naming)) != NULL) {
        struct cut *cut = CONTAINER_OF(link, struct cut, link);
        if (cut->log != NULL) {
            cut_saved(cut);
        } else {
            cut_free(cut);
        }
    }
    sync_names(store);
}

/* One sync of the directory for all names that were given by now. */
static void sync_names(struct store *store)
{
    if (store->cuts_dir != NULL || queue_empty(&store->cuts_named)) {
        return;
    }
    int status = store->disk->ops->open(store->disk, "quarantine", false, &store->cuts_dir);
    if (status != 0) {
        store->cuts_dir = NULL;
        store_fail(store, status, "opening the quarantine's directory");
        return;
    }
    move_links(&store->cuts_named, &store->cuts_naming);
    store->cuts_op = (struct disk_op){
        .kind = DISK_SYNC, .files = &store->cuts_dir, .file_count = 1, .done = name_done};
    disk_submit(store->disk, &store->cuts_op);
}

/* ---- copying --------------------------------------------------------------------------------- */

static void copy_next(struct cut *cut);

/* Starts over when there is space, or ends the process. */
static void copy_failed(struct cut *cut, int status)
{
    struct disk *disk = cut->store->disk;

    if (status != TERN_ENOSPC) {
        store_fail(cut->store, status, "writing a quarantine file");
        return;
    }
    if (cut->file != NULL) {
        disk->ops->close(disk, cut->file);
        cut->file = NULL;
        (void)disk->ops->remove(disk, cut->path);
    }
    buf_clear(&cut->piece);
    cut->step = CUT_WAITING;
    cut->store->cuts_running--;
    cut->store->cuts_full = true;
    trace_warn("event=quarantine_waits what=\"no space\" partition=%d bytes=%llu",
               (int)cut->q.partition, (unsigned long long)cut->q.bytes);
}

static void copy_given_up(struct cut *cut)
{
    (void)cut->store->disk->ops->remove(cut->store->disk, cut->path);
    cut_free(cut);
}

static void file_written(struct disk_op *op, int64_t status)
{
    struct cut *cut = CONTAINER_OF(op, struct cut, op);
    struct store *store = cut->store;
    struct disk *disk = store->disk;
    char path[STORE_PATH_MAX];

    if (store->failed) {
        return;
    }
    if (cut->log == NULL) {
        copy_given_up(cut);
        return;
    }
    if (status == 0) {
        status = final_path(cut, path);
    }
    if (status == 0) {
        status = disk->ops->rename(disk, cut->path, path);
    }
    if (status != 0) {
        copy_failed(cut, (int)status);
        return;
    }
    trace_info("event=quarantined path=%s records=%llu bytes=%llu", path,
               (unsigned long long)cut->q.records, (unsigned long long)cut->q.bytes);
    disk->ops->close(disk, cut->file);
    cut->file = NULL;
    cut->step = CUT_NAMING;
    store->cuts_running--;
    link_remove(&cut->link);
    queue_push(&store->cuts_named, &cut->link);
    sync_names(store);
    quarantine_kick(store);
}

static void piece_written(struct disk_op *op, int64_t status)
{
    struct cut *cut = CONTAINER_OF(op, struct cut, op);

    if (cut->store->failed) {
        return;
    }
    if (cut->log == NULL) {
        copy_given_up(cut);
    } else if (status != 0) {
        copy_failed(cut, (int)status);
    } else {
        copy_next(cut);
    }
}

/* Writes what is in the piece; with the header and a sync if it is the last one. */
static void write_piece(struct cut *cut, bool last)
{
    cut->sum = crc32c_more(cut->sum, buf_slice(&cut->piece));
    cut->q.bytes += cut->piece.len;
    cut->extents[0] = (struct disk_extent){cut->file, cut->file_pos, buf_slice(&cut->piece)};
    cut->file_pos += cut->piece.len;
    make_header(cut);
    cut->extents[1] = (struct disk_extent){cut->file, 0, slice_of(cut->head, sizeof cut->head)};
    cut->op = (struct disk_op){.kind = DISK_WRITE,
                               .extents = cut->extents,
                               .extent_count = last ? 2 : 1,
                               .sync = last && !MUTANT(quarantine_unsynced) ? cut->file : NULL,
                               .done = last ? file_written : piece_written};
    disk_submit(cut->store->disk, &cut->op);
}

static void piece_read(struct disk_op *op, int64_t got)
{
    struct cut *cut = CONTAINER_OF(op, struct cut, op);

    segment_unpin(cut->reading);
    cut->reading = NULL;
    if (cut->store->failed) {
        return;
    }
    if (cut->log == NULL) {
        copy_given_up(cut);
        return;
    }
    if (got < 0) {
        copy_failed(cut, (int)got);
        return;
    }
    if ((size_t)got < cut->piece.len) {
        trace_error("event=quarantine_short partition=%d missing_bytes=%zu", (int)cut->q.partition,
                    cut->piece.len - (size_t)got);
        cut->piece.len = (size_t)got;
    }
    write_piece(cut, false);
}

/* Entries of the ring from the cursor on, as many as fit into the piece. */
static void take_from_ring(struct cut *cut, uint32_t index)
{
    struct store_log *log = cut->log;

    for (; index < log->ring_count && cut->piece.len < PIECE_BYTES; index++) {
        const struct entry *entry = ring_at(log, index);
        buf_put(&cut->piece, chunk_slice(entry->bytes));
        while (log->segments[cut->at_index] != entry->segment) {
            cut->at_index++;
        }
        cut->at_pos = entry->pos + entry->bytes.len;
    }
}

/* The ring's first entry at or behind the cursor; ring_count if there is none. */
static uint32_t ring_from(const struct cut *cut)
{
    const struct store_log *log = cut->log;
    int64_t base = log->segments[cut->at_index]->base;
    uint32_t low = 0;
    uint32_t high = log->ring_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct entry *entry = ring_at(log, middle);
        if (entry->segment->base > base ||
            (entry->segment->base == base && entry->pos >= cut->at_pos)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Goes on at the cursor: file and memory hold the bytes, everything that is not in the files yet is
 * in memory. */
static void copy_next(struct cut *cut)
{
    struct store_log *log = cut->log;

    buf_clear(&cut->piece);
    while (cut->at_index < log->segment_count) {
        struct segment *segment = log->segments[cut->at_index];
        uint32_t index = ring_from(cut);
        const struct entry *entry = index < log->ring_count ? ring_at(log, index) : NULL;
        bool here = entry != NULL && entry->segment == segment;
        uint64_t end = here ? entry->pos : segment->bytes;
        if (cut->at_pos < end) {
            size_t len =
                end - cut->at_pos < PIECE_BYTES ? (size_t)(end - cut->at_pos) : PIECE_BYTES;
            int status = segment_open(segment, false);
            if (status != 0) {
                store_fail(cut->store, status, "reading what is to be quarantined");
                return;
            }
            segment_pin(segment);
            cut->reading = segment;
            cut->op = (struct disk_op){.kind = DISK_READ,
                                       .file = segment->file,
                                       .pos = cut->at_pos,
                                       .into = buf_extend(&cut->piece, len),
                                       .len = len,
                                       .done = piece_read};
            cut->at_pos += len;
            disk_submit(cut->store->disk, &cut->op);
            return;
        }
        if (here) {
            take_from_ring(cut, index);
            bool last = cut->at_index + 1 == log->segment_count &&
                        cut->at_pos == log->segments[cut->at_index]->bytes;
            write_piece(cut, last);
            return;
        }
        cut->at_index++;
        cut->at_pos = SEGMENT_HEADER;
    }
    write_piece(cut, true);
}

static int32_t epoch_at(const struct store_log *log, int64_t offset)
{
    int32_t epoch = 0;

    for (size_t i = 0; i < log->state.history_count; i++) {
        if (log->history[i].start_offset <= offset) {
            epoch = log->history[i].epoch;
        }
    }
    return epoch;
}

static void copy_start(struct cut *cut)
{
    struct store_log *log = cut->log;
    struct disk *disk = cut->store->disk;
    int64_t from = cut->q.first_offset;

    cut->step = CUT_COPYING;
    cut->store->cuts_running++;
    cut->q = (struct store_quarantined){
        .topic_id = log->key.topic_id,
        .partition = log->key.partition,
        .first_epoch = epoch_at(log, from > log->state.log_start ? from : log->state.log_start),
        .last_epoch = epoch_at(log, log->state.leo - 1),
        .first_offset = from,
        .end_offset = log->state.leo,
        .records = (uint64_t)(log->state.leo - from),
        .wall_ms = clock_wall_ms(cut->store->clock),
    };
    cut->at_index = cut->index;
    cut->at_pos = cut->pos;
    cut->file_pos = QUARANTINE_HEADER;
    cut->sum = 0;
    (void)snprintf(cut->path, sizeof cut->path, "quarantine/%u.new", log->number);
    int status = disk->ops->open(disk, cut->path, true, &cut->file);
    if (status != 0) {
        cut->file = NULL;
        copy_failed(cut, status);
        return;
    }
    status = disk->ops->truncate(disk, cut->file, 0);
    if (status != 0) {
        copy_failed(cut, status);
        return;
    }
    copy_next(cut);
}

void quarantine_kick(struct store *store)
{
    QUEUE_EACH (link, &store->cuts) {
        struct cut *cut = CONTAINER_OF(link, struct cut, link);
        if (store->failed || store->cuts_full || store->cuts_running >= RUNNING_MAX) {
            return;
        }
        if (cut->step == CUT_WAITING) {
            copy_start(cut);
        }
    }
}

void quarantine_start(struct store_log *log, struct chunk restart, int64_t offset, int64_t first,
                      uint32_t index, uint64_t pos, struct store_req *req)
{
    struct cut *cut = mem_new(sizeof *cut);

    CHECK(log->cut == NULL);
    cut->store = log->store;
    cut->log = log;
    cut->restart = restart;
    cut->offset = offset;
    cut->q.first_offset = first;
    cut->index = index;
    cut->pos = pos;
    cut->req = req;
    queue_init(&cut->held);
    log->cut = cut;
    queue_push(&log->store->cuts, &cut->link);
    quarantine_kick(log->store);
}

bool quarantine_hold(struct store_log *log, enum entry_kind kind, int64_t value,
                     struct store_req *req)
{
    if (log->cut == NULL) {
        return false;
    }
    struct held_call *call = mem_new(sizeof *call);
    call->kind = kind;
    call->value = value;
    call->req = req;
    queue_push(&log->cut->held, &call->link);
    return true;
}

/* The log is deleted: nothing needs to be saved, the calls that wait are completed in their turn.
 */
void quarantine_give_up(struct store_log *log)
{
    struct cut *cut = log->cut;
    struct link *link = NULL;

    if (cut == NULL) {
        return;
    }
    log->cut = NULL;
    cut->log = NULL;
    push_nothing(log->store, cut->req, 0);
    while ((link = queue_pop(&cut->held)) != NULL) {
        struct held_call *call = CONTAINER_OF(link, struct held_call, link);
        push_nothing(log->store, call->req, 0);
        free(call);
    }
    if (cut->step == CUT_WAITING) {
        cut_free(cut);
    }
}

void quarantine_fini(struct store *store)
{
    struct link *lists[] = {&store->cuts, &store->cuts_named, &store->cuts_naming};

    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        while (!queue_empty(lists[i])) {
            cut_free(CONTAINER_OF(lists[i]->next, struct cut, link));
        }
    }
    if (store->cuts_dir != NULL) {
        store->disk->ops->close(store->disk, store->cuts_dir);
    }
}

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    struct store *store;
    void (*each)(void *ctx, const struct store_quarantined *q);
    void *ctx;
};

static void list_one(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    struct disk *disk = listing->store->disk;
    struct store_quarantined q = {0};
    struct disk_file *file = NULL;
    uint8_t head[QUARANTINE_HEADER];
    size_t len = strlen(name);

    if (len < 2 || strcmp(name + len - 2, ".q") != 0) {
        return;
    }
    (void)snprintf(q.path, sizeof q.path, "quarantine/%s", name);
    if (disk->ops->open(disk, q.path, false, &file) != 0) {
        return;
    }
    int64_t got = disk->ops->read(disk, file, 0, head, sizeof head);
    disk->ops->close(disk, file);
    if (got != (int64_t)sizeof head ||
        memcmp(head, quarantine_magic, sizeof quarantine_magic) != 0 ||
        get_le32(head + 8) != QUARANTINE_FORMAT ||
        get_le32(head + QUARANTINE_HEADER - 4) != crc32c(slice_of(head, QUARANTINE_HEADER - 4))) {
        trace_warn("event=quarantine_unreadable path=%s", q.path);
        return;
    }
    q.partition = (int32_t)get_le32(head + 12);
    memcpy(q.topic_id.bytes, head + 16, sizeof q.topic_id.bytes);
    q.first_epoch = (int32_t)get_le32(head + 32);
    q.last_epoch = (int32_t)get_le32(head + 36);
    q.first_offset = (int64_t)get_le64(head + 40);
    q.end_offset = (int64_t)get_le64(head + 48);
    q.records = get_le64(head + 56);
    q.bytes = get_le64(head + 64);
    q.wall_ms = (int64_t)get_le64(head + 72);
    listing->each(listing->ctx, &q);
}

void store_quarantine_each(struct store *store,
                           void (*each)(void *ctx, const struct store_quarantined *q), void *ctx)
{
    struct listing listing = {store, each, ctx};

    (void)store->disk->ops->list(store->disk, "quarantine", list_one, &listing);
}
