/* SPDX-License-Identifier: Apache-2.0 */
/* The producers of all logs in one file, beside the checkpoint and from the same moment: so that after a
 * start only what the journal holds behind it is read for them, instead of all logs from the last
 * snapshot of each (producers.c) on; with ten thousand logs that is everything.
 *
 * It is a shortcut only. What it says of a log counts if it is of this log, and the record before its
 * offset of the epoch that it names: the same epoch at the same offset is the same log. So it need not
 * fit the checkpoint. What is missing, damaged, or of another history is read from the log, and no log
 * start rests on it. docs/formats/roster.md has the layout. */
#include <stdio.h>

#include "base/reader.h"
#include "base/trace.h"
#include "store/store_impl.h"

#define ROSTER_FORMAT    1
#define ROSTER_HEADER    24
#define ROSTER_BYTES_MAX (32u << 20) /* then the logs that are left do without */
#define ROSTER_LOG_MAX   4096        /* of one log: who has more has snapshots of its own */
static const uint8_t roster_magic[8] = {'T', 'E', 'R', 'N', 'R', 'O', 'S', 'T'};

/* Room for the length is left; returns where it goes. */
static size_t put_head(const struct store_log *log, int64_t offset, int32_t epoch, struct buf *out)
{
    buf_le32(out, log->number);
    buf_put(out, slice_of(log->key.topic_id.bytes, sizeof log->key.topic_id.bytes));
    buf_le32(out, (uint32_t)log->key.partition);
    buf_le64(out, (uint64_t)offset);
    buf_le32(out, (uint32_t)epoch);
    buf_le32(out, 0);
    return out->len - 4;
}

/* False: it was not told, what is put is from the roster before. */
static bool put_one(struct store *store, struct store_log *log, struct buf *out)
{
    int32_t epoch = log_epoch_before(log, log->state.leo);
    size_t begin = out->len;

    if (epoch == 0) {
        return true; /* nothing is there that would have to be read */
    }
    size_t at = put_head(log, log->state.leo, epoch, out);
    bool told = !log->state.truncating &&
                store->options.producers(store->options.producers_ctx, log, out) &&
                out->len - at - 4 <= ROSTER_LOG_MAX;
    bool known = !told && roster_knows(log, INT64_MAX);
    if (!told) {
        out->len = begin;
    }
    if (known) { /* soon after a start */
        at = put_head(log, log->roster.offset, log->roster.epoch, out);
        buf_put(out, log->roster.bytes);
    }
    if (told || known) {
        put_le32(out->base + at, (uint32_t)(out->len - at - 4));
    }
    return !known;
}

bool roster_take(struct store *store, struct buf *out)
{
    struct store_log *log = NULL;
    struct store_log *next = NULL;
    bool told = true;

    if (store->options.producers == NULL) {
        return true;
    }
    memset(buf_extend(out, ROSTER_HEADER), 0, ROSTER_HEADER);
    HASH_ITER (hh, store->logs, log, next) {
        if (out->len >= ROSTER_BYTES_MAX) {
            break;
        }
        told = put_one(store, log, out) && told;
    }
    struct slice body = slice_of(out->base + ROSTER_HEADER, out->len - ROSTER_HEADER);
    memcpy(out->base, roster_magic, sizeof roster_magic);
    put_le32(out->base + 8, ROSTER_FORMAT);
    put_le32(out->base + 12, crc32c(body));
    put_le64(out->base + 16, body.len);
    return told;
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool read_file(struct disk *disk, struct buf *out)
{
    struct disk_file *file = NULL;
    uint64_t size = 0;
    bool good = false;

    if (disk->ops->open(disk, ROSTER_FILE, false, &file) != 0) {
        return false;
    }
    if (disk->ops->size(disk, file, &size) == 0 && size >= ROSTER_HEADER &&
        size <= 2 * (uint64_t)ROSTER_BYTES_MAX) {
        uint8_t *bytes = buf_extend(out, (size_t)size);
        good = disk->ops->read(disk, file, 0, bytes, (size_t)size) == (int64_t)size;
    }
    disk->ops->close(disk, file);
    return good && memcmp(out->base, roster_magic, sizeof roster_magic) == 0 &&
           get_le32(out->base + 8) == ROSTER_FORMAT &&
           get_le64(out->base + 16) == out->len - ROSTER_HEADER &&
           get_le32(out->base + 12) ==
               crc32c(slice_of(out->base + ROSTER_HEADER, out->len - ROSTER_HEADER));
}

/* Of which log the next one is, and what it says. */
static struct store_log *next_one(struct store *store, struct reader *in, struct roster_entry *out)
{
    struct store_log *log = log_by_number(store, reader_le32(in));
    struct slice id = reader_take(in, 16);
    int32_t partition = (int32_t)reader_le32(in);

    out->offset = (int64_t)reader_le64(in);
    out->epoch = (int32_t)reader_le32(in);
    out->bytes = reader_take(in, reader_le32(in));
    bool is_it = !in->failed && log != NULL && log->key.partition == partition &&
                 memcmp(log->key.topic_id.bytes, id.base, id.len) == 0;
    return is_it ? log : NULL;
}

void roster_load(struct store *store)
{
    uint32_t found = 0;

    if (!read_file(store->disk, &store->roster)) {
        buf_fini(&store->roster);
        return;
    }
    struct reader in =
        reader_of(slice_of(store->roster.base + ROSTER_HEADER, store->roster.len - ROSTER_HEADER));
    while (reader_left(&in) > 0) {
        struct roster_entry entry;
        struct store_log *log = next_one(store, &in, &entry);
        if (log != NULL && !in.failed) {
            log->roster = entry;
            found++;
        }
    }
    trace_info("event=roster_read logs=%u", found);
}

void roster_drop(struct store *store)
{
    struct store_log *log = NULL;
    struct store_log *next = NULL;

    if (store->roster.len == 0) {
        return;
    }
    HASH_ITER (hh, store->logs, log, next) {
        log->roster = (struct roster_entry){0};
    }
    buf_fini(&store->roster);
}

bool roster_knows(const struct store_log *log, int64_t at_most)
{
    const struct roster_entry *r = &log->roster;

    return r->bytes.len > 0 && r->offset <= at_most && r->offset <= log->state.leo &&
           r->offset > log->state.log_start &&
           (log_epoch_before(log, r->offset) == r->epoch || MUTANT(roster_believed));
}
