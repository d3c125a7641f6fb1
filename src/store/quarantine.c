/* SPDX-License-Identifier: Apache-2.0 */
/* Quarantine: what a truncation removes is first written, durably, to a file of its own.
 *
 * The file gets its final name only when it is complete and synced; a half one keeps the suffix
 * ".new" and is removed at the next start, since the log still has the bytes then. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define QUARANTINE_FORMAT 1
#define QUARANTINE_HEADER 128
#define PIECE_BYTES       (1u << 20)
static const uint8_t quarantine_magic[8] = {'T', 'E', 'R', 'N', 'Q', 'U', 'A', 'R'};

struct writer {
    struct store *store;
    struct disk_file *file;
    struct store_quarantined q;
    struct buf piece;
    uint64_t pos;
    uint32_t sum;
};

static int flush_piece(struct writer *w)
{
    struct disk *disk = w->store->disk;
    int status = disk->ops->write(disk, w->file, w->pos, buf_slice(&w->piece));

    w->pos += w->piece.len;
    buf_clear(&w->piece);
    return status;
}

static int write_batch(void *ctx, struct slice bytes, const struct batch_peek *batch)
{
    struct writer *w = ctx;

    if (w->q.bytes == 0) {
        w->q.first_epoch = batch->epoch;
        w->q.first_offset = batch->base;
    }
    w->q.last_epoch = batch->epoch;
    w->q.end_offset = batch->end;
    w->q.records += batch->records;
    w->q.bytes += bytes.len;
    w->sum = crc32c_more(w->sum, bytes);
    buf_put(&w->piece, bytes);
    return w->piece.len >= PIECE_BYTES ? flush_piece(w) : 0;
}

static int write_header(struct writer *w)
{
    struct disk *disk = w->store->disk;
    uint8_t head[QUARANTINE_HEADER] = {0};
    const struct store_quarantined *q = &w->q;

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
    put_le32(head + 80, w->sum);
    put_le32(head + QUARANTINE_HEADER - 4, crc32c(slice_of(head, QUARANTINE_HEADER - 4)));
    return disk->ops->write(disk, w->file, 0, slice_of(head, sizeof head));
}

/* A name that is not taken. */
static int final_path(struct writer *w, char out[STORE_PATH_MAX])
{
    char id[UUID_TEXT_SIZE];
    struct disk_stat stat;
    int status = 0;

    uuid_text(w->q.topic_id, id);
    for (uint32_t n = 1; status == 0; n++) {
        (void)snprintf(out, STORE_PATH_MAX, "quarantine/%s-%d-%d-%lld-%lld-%u.q", id,
                       (int)w->q.partition, (int)w->q.first_epoch, (long long)w->q.first_offset,
                       (long long)w->q.end_offset, n);
        status = w->store->disk->ops->stat(w->store->disk, out, &stat);
    }
    return status == TERN_ENOENT ? 0 : status;
}

int quarantine_write(struct store_log *log, int64_t from)
{
    static const char temporary[] = "quarantine/writing.new";
    struct disk *disk = log->store->disk;
    struct writer w = {.store = log->store, .pos = QUARANTINE_HEADER};
    char path[STORE_PATH_MAX];

    w.q.topic_id = log->key.topic_id;
    w.q.partition = log->key.partition;
    w.q.wall_ms = clock_wall_ms(log->store->clock);
    int status = disk->ops->open(disk, temporary, true, &w.file);
    if (status != 0) {
        return status;
    }
    status = disk->ops->truncate(disk, w.file, 0);
    if (status == 0) {
        status = log_scan(log, from, log->state.leo, write_batch, &w);
    }
    if (status == 0) {
        status = flush_piece(&w);
    }
    if (status == 0) {
        status = write_header(&w);
    }
    if (status == 0 && PLANT != PLANT_QUARANTINE_UNSYNCED) {
        status = disk->ops->sync(disk, w.file);
    }
    disk->ops->close(disk, w.file);
    buf_fini(&w.piece);
    if (status == 0) {
        status = final_path(&w, path);
    }
    if (status == 0) {
        status = disk->ops->rename(disk, temporary, path);
    }
    if (status == 0) {
        status = disk->ops->sync_dir(disk, "quarantine");
    }
    if (status == 0) {
        log->store->counters.quarantined_bytes += w.q.bytes;
        trace_info("event=quarantined path=%s records=%llu bytes=%llu", path,
                   (unsigned long long)w.q.records, (unsigned long long)w.q.bytes);
    }
    return status;
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
