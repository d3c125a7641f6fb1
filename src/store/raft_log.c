/* SPDX-License-Identifier: Apache-2.0 */
/* Order of things on disk.
 *
 * meta: both copies are written and synced one after the other, so that a set term or vote stands
 * in two places: a torn copy belongs to a call that has not returned, a rotten one has its twin.
 *
 * log: only ever appended to; forgetting entries is a frame, too, so that nothing that was synced
 * is overwritten or cut. A frame says how many bytes of the file were synced when it was written,
 * the header says it of what the file began with. A bad frame below such a mark is damage; one
 * above every mark that follows was never acknowledged and is cut.
 *
 * snapshot: tmp, sync, rename, sync_dir; only then the log file is replaced the same way. Between
 * the two a crash leaves the new snapshot with the old log; open() finishes the work. */
#include "store/raft_log.h"

#include <stdio.h>

#include "base/crc.h"
#include "base/error.h"
#include "base/reader.h"
#include "base/uuid.h"

#define DIR          "raft"
#define META         "raft/meta"
#define LOG          "raft/log"
#define LOG_TMP      "raft/log.tmp"
#define SNAPSHOT     "raft/snapshot"
#define SNAPSHOT_TMP "raft/snapshot.tmp"

#define META_MAGIC     0x4d4e5254u /* "TRNM" */
#define LOG_MAGIC      0x4c4e5254u /* "TRNL" */
#define SNAPSHOT_MAGIC 0x534e5254u /* "TRNS" */

#define META_COPY_BYTES   64
#define META_STRIDE       4096
#define LOG_HEADER_BYTES  64
#define SNAP_HEADER_BYTES 72
#define FRAME_BYTES       40
#define FORGET            0 /* frame type: entries from its index on are forgotten */
#define BATCH_BYTES_MAX   (1u << 20)
#define EXTENTS_MAX       64

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

/* Where an entry stands in the log file. */
struct place {
    uint64_t pos;
    uint64_t term;
};

struct raft_log_store {
    struct raft_log_options options;
    struct disk *disk;
    bool failed;
    struct uuid id;
    uint64_t term;
    uint64_t vote;
    struct disk_file *meta;

    /* The log file as far as it has been written: entries base_index + 1 .. + place_count. */
    struct disk_file *file;
    uint64_t base_index;
    uint64_t base_term;
    struct place *places;
    size_t place_count;
    size_t place_cap;
    uint64_t end;    /* where the next frame goes */
    uint64_t synced; /* the first bytes of the file, that many are */
    uint64_t first;  /* of what has been called for */
    uint64_t last;

    struct link ops;
    uint64_t waiting_bytes;
    struct link writing; /* the ops of the write under way */
    bool busy;
    struct disk_op disk_op;
    struct disk_extent extents[EXTENTS_MAX];
    struct buf switch_bytes;
    struct disk_file *switch_file;
    struct place *switch_places;
    uint64_t switch_base;
    uint64_t switch_base_term;

    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t snapshot_bytes;
    struct op *snapshotting; /* the switch that follows */
    struct disk_op snapshot_op;
    struct disk_extent snapshot_extent;
    struct buf snapshot_buf;
    struct disk_file *snapshot_file;

    struct buf loaded_bytes;
    struct raft_log_entry *loaded;
    size_t loaded_count;
};

static int log_fail(struct raft_log_store *log, int error, const char *what)
{
    if (!log->failed) {
        log->failed = true;
        log->options.failed(log->options.ctx, error, what);
    }
    return error;
}

/* ---- meta ----------------------------------------------------------------------------------- */

static void meta_encode(const struct raft_log_store *log, uint8_t out[META_COPY_BYTES])
{
    memset(out, 0, META_COPY_BYTES);
    put_le32(out, META_MAGIC);
    put_le32(out + 4, RAFT_LOG_FORMAT);
    memcpy(out + 8, log->id.bytes, sizeof log->id.bytes);
    put_le64(out + 24, log->term);
    put_le64(out + 32, log->vote);
    put_le32(out + 60, crc32c(slice_of(out, 60)));
}

static int meta_write(struct raft_log_store *log)
{
    uint8_t copy[META_COPY_BYTES];
    int rv = 0;

    meta_encode(log, copy);
    for (unsigned i = 0; i < 2 && rv == 0; i++) {
        rv = log->disk->ops->write(log->disk, log->meta, i * META_STRIDE,
                                   slice_of(copy, sizeof copy));
        if (rv == 0) {
            rv = log->disk->ops->sync(log->disk, log->meta);
        }
    }
    return rv;
}

enum meta_state { META_BLANK, META_BAD, META_GOOD, META_UNKNOWN };

static enum meta_state meta_decode(const uint8_t *in, struct raft_log_store *out,
                                   uint32_t *out_format)
{
    static const uint8_t blank[META_COPY_BYTES];

    if (memcmp(in, blank, sizeof blank) == 0) {
        return META_BLANK;
    }
    if (get_le32(in) != META_MAGIC || crc32c(slice_of(in, 60)) != get_le32(in + 60)) {
        return META_BAD;
    }
    *out_format = get_le32(in + 4);
    if (*out_format != RAFT_LOG_FORMAT) {
        return META_UNKNOWN;
    }
    memcpy(out->id.bytes, in + 8, sizeof out->id.bytes);
    out->term = get_le64(in + 24);
    out->vote = get_le64(in + 32);
    return META_GOOD;
}

static bool exists(struct raft_log_store *log, const char *path)
{
    struct disk_stat stat;

    return log->disk->ops->stat(log->disk, path, &stat) == 0;
}

static int refuse_format(char why[256], const char *path, uint32_t format)
{
    (void)snprintf(why, 256, "%s has format %u, this build knows format %u", path, format,
                   RAFT_LOG_FORMAT);
    return TERN_EFORMAT;
}

static int meta_open(struct raft_log_store *log, char why[256])
{
    uint8_t bytes[META_STRIDE + META_COPY_BYTES] = {0};
    struct raft_log_store found[2];
    enum meta_state state[2];
    uint32_t format = 0;

    int rv = log->disk->ops->open(log->disk, META, true, &log->meta);
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be opened", META);
        return rv;
    }
    int64_t got = log->disk->ops->read(log->disk, log->meta, 0, bytes, sizeof bytes);
    if (got < 0) {
        (void)snprintf(why, 256, "%s cannot be read", META);
        return (int)got;
    }
    for (unsigned i = 0; i < 2; i++) {
        state[i] = meta_decode(bytes + (size_t)i * META_STRIDE, &found[i], &format);
        if (state[i] == META_UNKNOWN) {
            return refuse_format(why, META, format);
        }
    }
    if (state[0] != META_GOOD && state[1] != META_GOOD) {
        if (exists(log, LOG) || exists(log, SNAPSHOT)) {
            (void)snprintf(why, 256,
                           "%s: both copies are damaged or missing, term and vote are "
                           "forgotten",
                           META);
            return TERN_EDAMAGED;
        }
        log->id = uuid_from_random(log->options.random_high, log->options.random_low);
    } else {
        /* Copy 0 is written first: where both are good and differ it is the newer one. */
        const struct raft_log_store *use = state[0] == META_GOOD ? &found[0] : &found[1];
        log->id = use->id;
        log->term = use->term;
        log->vote = use->vote;
        if (state[0] == META_GOOD && state[1] == META_GOOD && found[0].term == found[1].term &&
            found[0].vote == found[1].vote) {
            return 0;
        }
    }
    rv = meta_write(log); /* both copies agree again */
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, DIR);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be written", META);
    }
    return rv;
}

/* ---- frames --------------------------------------------------------------------------------- */

static uint32_t frame_crc(const struct raft_log_store *log, const uint8_t *frame, uint32_t len)
{
    uint32_t crc = crc32c(slice_of(log->id.bytes, sizeof log->id.bytes));

    crc = crc32c_more(crc, slice_of(frame, 4));
    return crc32c_more(crc, slice_of(frame + 8, FRAME_BYTES - 8 + (size_t)len));
}

static void frame_put(struct buf *out, uint64_t index, const struct raft_log_entry *entry)
{
    CHECK(entry->bytes.len <= RAFT_LOG_ENTRY_BYTES_MAX);
    uint8_t *at = buf_extend(out, FRAME_BYTES);
    memset(at, 0, FRAME_BYTES);
    put_le32(at, (uint32_t)entry->bytes.len);
    put_le64(at + 8, index);
    put_le64(at + 16, entry->term);
    put_le16(at + 32, entry->type);
    buf_put(out, entry->bytes);
}

/* Fills in mark and checksum of every frame from `at` on. */
static void frames_seal(const struct raft_log_store *log, struct buf *frames, size_t at,
                        uint64_t synced)
{
    while (at < frames->len) {
        uint8_t *frame = frames->base + at;
        uint32_t len = get_le32(frame);
        put_le64(frame + 24, synced);
        put_le32(frame + 4, frame_crc(log, frame, len));
        at += FRAME_BYTES + (size_t)len;
    }
}

/* A whole frame with the right sum at `at`? */
static bool frame_valid(const struct raft_log_store *log, struct slice bytes, size_t at)
{
    if (bytes.len - at < FRAME_BYTES) {
        return false;
    }
    const uint8_t *frame = bytes.base + at;
    uint32_t len = get_le32(frame);
    if (len > RAFT_LOG_ENTRY_BYTES_MAX || len > bytes.len - at - FRAME_BYTES ||
        (get_le16(frame + 32) == FORGET && len != 0) || get_le16(frame + 34) != 0 ||
        get_le32(frame + 36) != 0 || get_le64(frame + 8) <= log->base_index) {
        return false;
    }
    return get_le32(frame + 4) == frame_crc(log, frame, len);
}

static void place_add(struct raft_log_store *log, uint64_t pos, uint64_t term)
{
    if (log->place_count == log->place_cap) {
        log->place_cap = log->place_cap > 0 ? log->place_cap * 2 : 256;
        log->places = mem_grow(log->places, log->place_cap, sizeof *log->places);
    }
    log->places[log->place_count++] = (struct place){pos, term};
}

static uint64_t written_last(const struct raft_log_store *log)
{
    return log->base_index + log->place_count;
}

/* 0 where the log file says nothing about the index. */
static uint64_t term_at(const struct raft_log_store *log, uint64_t index)
{
    if (index == log->base_index) {
        return log->base_term;
    }
    if (index < log->base_index || index > written_last(log)) {
        return 0;
    }
    return log->places[index - log->base_index - 1].term;
}

/* ---- log file: load ------------------------------------------------------------------------- */

/* `initial`: so many bytes, header included, are synced before the file gets its name. */
static void header_put(const struct raft_log_store *log, uint8_t *at, uint64_t base_index,
                       uint64_t base_term, uint64_t initial)
{
    memset(at, 0, LOG_HEADER_BYTES);
    put_le32(at, LOG_MAGIC);
    put_le32(at + 4, RAFT_LOG_FORMAT);
    memcpy(at + 8, log->id.bytes, sizeof log->id.bytes);
    put_le64(at + 24, base_index);
    put_le64(at + 32, base_term);
    put_le64(at + 40, initial);
    put_le32(at + 60, crc32c(slice_of(at, 60)));
}

/* Puts a whole new log file in place of the old one, synchronously (start-up only). */
static int log_replace(struct raft_log_store *log, uint64_t base_index, uint64_t base_term)
{
    const struct disk_ops *ops = log->disk->ops;
    struct disk_file *file = NULL;
    uint8_t header[LOG_HEADER_BYTES];

    header_put(log, header, base_index, base_term, sizeof header);
    int rv = ops->open(log->disk, LOG_TMP, true, &file);
    if (rv == 0) {
        rv = ops->truncate(log->disk, file, 0);
    }
    if (rv == 0) {
        rv = ops->write(log->disk, file, 0, slice_of(header, sizeof header));
    }
    if (rv == 0) {
        rv = ops->sync(log->disk, file);
    }
    if (rv == 0) {
        rv = ops->rename(log->disk, LOG_TMP, LOG);
    }
    if (rv == 0) {
        rv = ops->sync_dir(log->disk, DIR);
    }
    if (rv != 0) {
        if (file != NULL) {
            ops->close(log->disk, file);
        }
        return rv;
    }
    if (log->file != NULL) {
        ops->close(log->disk, log->file);
    }
    log->file = file;
    log->base_index = base_index;
    log->base_term = base_term;
    log->place_count = 0;
    log->end = LOG_HEADER_BYTES;
    log->synced = log->end;
    return 0;
}

static int damaged_at(char why[256], const char *path, uint64_t pos, const char *what)
{
    (void)snprintf(why, 256, "%s: %s at byte %llu", path, what, (unsigned long long)pos);
    return TERN_EDAMAGED;
}

/* The frame at `bad` does not hold. Damage if the log was ever known to be synced beyond it. */
static int tail_check(const struct raft_log_store *log, struct slice bytes, size_t bad,
                      char why[256])
{
    if (bad < log->synced) {
        return damaged_at(why, LOG, bad, "a frame that was synced is damaged");
    }
    for (size_t at = bad + 1; at + FRAME_BYTES <= bytes.len; at++) {
        if (frame_valid(log, bytes, at) && get_le64(bytes.base + at + 24) > bad) {
            return damaged_at(why, LOG, bad, "a frame that was synced is damaged");
        }
    }
    return 0;
}

/* Notes the frame at `pos`; false if it does not follow from what is before it. */
static bool frame_note(struct raft_log_store *log, const uint8_t *frame, uint64_t pos)
{
    uint64_t index = get_le64(frame + 8);
    uint64_t term = get_le64(frame + 16);

    if (get_le16(frame + 32) == FORGET) {
        if (index > written_last(log) + 1) {
            return false;
        }
        log->place_count = (size_t)(index - log->base_index - 1);
        return true;
    }
    if (index != written_last(log) + 1 || term == 0 || term < term_at(log, index - 1)) {
        return false;
    }
    place_add(log, pos, term);
    return true;
}

static int frames_load(struct raft_log_store *log, struct slice bytes, char why[256])
{
    size_t at = LOG_HEADER_BYTES;

    while (at < bytes.len) {
        if (!frame_valid(log, bytes, at)) {
            int rv = tail_check(log, bytes, at, why);
            if (rv != 0) {
                return rv;
            }
            break;
        }
        if (!frame_note(log, bytes.base + at, at)) {
            return damaged_at(why, LOG, at, "a frame is out of order");
        }
        at += FRAME_BYTES + (size_t)get_le32(bytes.base + at);
    }
    if (at < log->synced) {
        return damaged_at(why, LOG, at, "the end is missing");
    }
    log->end = at;
    return 0;
}

static int header_load(struct raft_log_store *log, struct slice bytes, char why[256])
{
    if (bytes.len < LOG_HEADER_BYTES || get_le32(bytes.base) != LOG_MAGIC ||
        crc32c(slice_of(bytes.base, 60)) != get_le32(bytes.base + 60)) {
        return damaged_at(why, LOG, 0, "the header is damaged");
    }
    uint32_t format = get_le32(bytes.base + 4);
    if (format != RAFT_LOG_FORMAT) {
        return refuse_format(why, LOG, format);
    }
    if (memcmp(bytes.base + 8, log->id.bytes, sizeof log->id.bytes) != 0) {
        return damaged_at(why, LOG, 8, "the file belongs to another log");
    }
    log->base_index = get_le64(bytes.base + 24);
    log->base_term = get_le64(bytes.base + 32);
    log->synced = get_le64(bytes.base + 40);
    return 0;
}

static int read_whole(struct raft_log_store *log, struct disk_file *file, struct buf *out)
{
    uint64_t size = 0;
    int rv = log->disk->ops->size(log->disk, file, &size);

    if (rv != 0) {
        return rv;
    }
    if (size > SIZE_MAX / 8) {
        return TERN_ETOOBIG;
    }
    buf_clear(out);
    uint8_t *at = buf_extend(out, (size_t)size);
    int64_t got = size > 0 ? log->disk->ops->read(log->disk, file, 0, at, (size_t)size) : 0;
    if (got < 0) {
        return (int)got;
    }
    out->len = (size_t)got;
    return 0;
}

static int log_load(struct raft_log_store *log, char why[256])
{
    uint64_t size = 0;

    if (!exists(log, LOG)) {
        if (log->term != 0 || log->snapshot_index != 0) {
            (void)snprintf(why, 256, "%s is missing", LOG);
            return TERN_EDAMAGED;
        }
        return log_replace(log, 0, 0);
    }
    int rv = log->disk->ops->open(log->disk, LOG, false, &log->file);
    if (rv == 0) {
        rv = read_whole(log, log->file, &log->loaded_bytes);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be read", LOG);
        return rv;
    }
    struct slice bytes = buf_slice(&log->loaded_bytes);
    size = bytes.len;
    rv = header_load(log, bytes, why);
    if (rv == 0) {
        rv = frames_load(log, bytes, why);
    }
    if (rv == 0 && log->end < size) {
        rv = log->disk->ops->truncate(log->disk, log->file, log->end);
    }
    /* Also without a cut: what was read may have been written but not synced before a crash of
     * this process, and from now on it counts as ours. */
    if (rv == 0) {
        rv = log->disk->ops->sync(log->disk, log->file);
    }
    log->synced = log->end;
    return rv;
}

/* ---- snapshot file -------------------------------------------------------------------------- */

static void snapshot_encode(const struct raft_log_store *log,
                            const struct raft_log_snapshot *snapshot, struct buf *out)
{
    CHECK(snapshot->config.len <= UINT32_MAX);
    buf_clear(out);
    uint8_t *at = buf_extend(out, SNAP_HEADER_BYTES);
    memset(at, 0, SNAP_HEADER_BYTES);
    put_le32(at, SNAPSHOT_MAGIC);
    put_le32(at + 4, RAFT_LOG_FORMAT);
    memcpy(at + 8, log->id.bytes, sizeof log->id.bytes);
    put_le64(at + 24, snapshot->index);
    put_le64(at + 32, snapshot->term);
    put_le64(at + 40, snapshot->config_index);
    put_le64(at + 48, snapshot->data.len);
    put_le32(at + 56, (uint32_t)snapshot->config.len);
    buf_put(out, snapshot->config);
    buf_put(out, snapshot->data);
    uint32_t crc = crc32c(slice_of(out->base + SNAP_HEADER_BYTES, out->len - SNAP_HEADER_BYTES));
    put_le32(out->base + 60, crc);
    put_le32(out->base + 68, crc32c(slice_of(out->base, 68)));
}

static int snapshot_decode(const struct raft_log_store *log, struct slice in,
                           struct raft_log_snapshot *out, char why[256])
{
    if (in.len < SNAP_HEADER_BYTES || get_le32(in.base) != SNAPSHOT_MAGIC ||
        crc32c(slice_of(in.base, 68)) != get_le32(in.base + 68)) {
        return damaged_at(why, SNAPSHOT, 0, "the header is damaged");
    }
    uint32_t format = get_le32(in.base + 4);
    if (format != RAFT_LOG_FORMAT) {
        return refuse_format(why, SNAPSHOT, format);
    }
    if (memcmp(in.base + 8, log->id.bytes, sizeof log->id.bytes) != 0) {
        return damaged_at(why, SNAPSHOT, 8, "the file belongs to another log");
    }
    uint64_t data_len = get_le64(in.base + 48);
    uint32_t config_len = get_le32(in.base + 56);
    size_t left = in.len - SNAP_HEADER_BYTES;
    if (config_len > left || data_len != left - config_len ||
        crc32c(slice_of(in.base + SNAP_HEADER_BYTES, left)) != get_le32(in.base + 60)) {
        return damaged_at(why, SNAPSHOT, SNAP_HEADER_BYTES, "the content is damaged");
    }
    *out = (struct raft_log_snapshot){
        .index = get_le64(in.base + 24),
        .term = get_le64(in.base + 32),
        .config_index = get_le64(in.base + 40),
        .config = slice_of(in.base + SNAP_HEADER_BYTES, config_len),
        .data = slice_of(in.base + SNAP_HEADER_BYTES + config_len, (size_t)data_len),
    };
    return 0;
}

static int snapshot_load(struct raft_log_store *log, struct buf *bytes,
                         struct raft_log_snapshot *out, char why[256])
{
    struct disk_file *file;

    *out = (struct raft_log_snapshot){0};
    if (!exists(log, SNAPSHOT)) {
        return TERN_ENOENT;
    }
    int rv = log->disk->ops->open(log->disk, SNAPSHOT, false, &file);
    if (rv == 0) {
        rv = read_whole(log, file, bytes);
        log->disk->ops->close(log->disk, file);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be read", SNAPSHOT);
        return rv;
    }
    return snapshot_decode(log, buf_slice(bytes), out, why);
}

int raft_log_snapshot_read(struct raft_log_store *log, struct buf *out_bytes,
                           struct raft_log_snapshot *out_snapshot)
{
    char why[256];
    int rv = snapshot_load(log, out_bytes, out_snapshot, why);

    if (rv != 0 && rv != TERN_ENOENT) {
        (void)log_fail(log, rv, why);
    }
    return rv;
}

/* ---- open and close ------------------------------------------------------------------------- */

/* A crash between the two renames of an installed snapshot leaves a log that ends before it or
 * contradicts it: that log is worth nothing. */
static int log_reconcile(struct raft_log_store *log, char why[256])
{
    if (log->snapshot_index == 0) {
        if (log->base_index != 0) {
            (void)snprintf(why, 256, "%s is missing: the log begins after entry %llu", SNAPSHOT,
                           (unsigned long long)log->base_index);
            return TERN_EDAMAGED;
        }
        return 0;
    }
    if (log->base_index > log->snapshot_index) {
        (void)snprintf(why, 256, "%s ends at entry %llu, %s begins after entry %llu", SNAPSHOT,
                       (unsigned long long)log->snapshot_index, LOG,
                       (unsigned long long)log->base_index);
        return TERN_EDAMAGED;
    }
    if (term_at(log, log->snapshot_index) == log->snapshot_term) {
        return 0;
    }
    buf_clear(&log->loaded_bytes);
    int rv = log_replace(log, log->snapshot_index, log->snapshot_term);
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be written", LOG);
    }
    return rv;
}

static void loaded_fill(struct raft_log_store *log)
{
    log->loaded_count = log->place_count;
    log->loaded = log->loaded_count > 0 ? mem_new(log->loaded_count * sizeof *log->loaded) : NULL;
    for (size_t i = 0; i < log->loaded_count; i++) {
        const uint8_t *frame = log->loaded_bytes.base + log->places[i].pos;
        log->loaded[i] = (struct raft_log_entry){
            .term = log->places[i].term,
            .type = get_le16(frame + 32),
            .bytes = slice_of(frame + FRAME_BYTES, get_le32(frame)),
        };
    }
}

static int open_steps(struct raft_log_store *log, char why[256])
{
    const struct disk_ops *ops = log->disk->ops;
    struct raft_log_snapshot snapshot;
    struct buf bytes = {0};

    int rv = ops->mkdir(log->disk, DIR);
    if (rv == 0) {
        rv = ops->sync_dir(log->disk, "");
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be made", DIR);
        return rv;
    }
    rv = meta_open(log, why);
    if (rv != 0) {
        return rv;
    }
    (void)ops->remove(log->disk, LOG_TMP);
    (void)ops->remove(log->disk, SNAPSHOT_TMP);
    rv = snapshot_load(log, &bytes, &snapshot, why);
    log->snapshot_bytes = bytes.len;
    buf_fini(&bytes);
    if (rv != 0 && rv != TERN_ENOENT) {
        return rv;
    }
    log->snapshot_index = snapshot.index;
    log->snapshot_term = snapshot.term;
    rv = log_load(log, why);
    if (rv == 0) {
        rv = log_reconcile(log, why);
    }
    return rv;
}

int raft_log_open(const struct raft_log_options *options, struct raft_log_store **out_log,
                  char why[256])
{
    struct raft_log_store *log = mem_new(sizeof *log);

    CHECK(options->failed != NULL);
    log->options = *options;
    log->disk = options->disk;
    queue_init(&log->ops);
    queue_init(&log->writing);
    (void)snprintf(why, 256, "%s cannot be read or written", DIR);
    int rv = open_steps(log, why);
    if (rv != 0) {
        raft_log_close(log);
        return rv;
    }
    log->first = log->base_index + 1;
    log->last = written_last(log);
    loaded_fill(log);
    why[0] = 0;
    *out_log = log;
    return 0;
}

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

void raft_log_close(struct raft_log_store *log)
{
    struct disk_file *files[] = {log->meta, log->file, log->switch_file, log->snapshot_file};

    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        if (files[i] != NULL) {
            log->disk->ops->close(log->disk, files[i]);
        }
    }
    ops_free(&log->ops);
    ops_free(&log->writing);
    if (log->snapshotting != NULL) {
        op_free(log->snapshotting);
    }
    buf_fini(&log->switch_bytes);
    buf_fini(&log->snapshot_buf);
    free(log->switch_places);
    raft_log_loaded_drop(log);
    free(log->places);
    free(log);
}

uint64_t raft_log_term(const struct raft_log_store *log)
{
    return log->term;
}

uint64_t raft_log_vote(const struct raft_log_store *log)
{
    return log->vote;
}

uint64_t raft_log_first(const struct raft_log_store *log)
{
    return log->first;
}

uint64_t raft_log_last(const struct raft_log_store *log)
{
    return log->last;
}

uint64_t raft_log_snapshot_index(const struct raft_log_store *log)
{
    return log->snapshot_index;
}

uint64_t raft_log_bytes(const struct raft_log_store *log)
{
    return META_STRIDE + META_COPY_BYTES + log->end + log->snapshot_bytes + log->waiting_bytes;
}

bool raft_log_pristine(const struct raft_log_store *log)
{
    return log->term == 0 && log->vote == 0 && log->snapshot_index == 0 && log->last <= 1;
}

const struct raft_log_entry *raft_log_loaded(const struct raft_log_store *log, size_t *out_count)
{
    *out_count = log->loaded_count;
    return log->loaded;
}

void raft_log_loaded_drop(struct raft_log_store *log)
{
    free(log->loaded);
    log->loaded = NULL;
    log->loaded_count = 0;
    buf_fini(&log->loaded_bytes);
}

/* ---- synchronous writes --------------------------------------------------------------------- */

int raft_log_set_term(struct raft_log_store *log, uint64_t term)
{
    CHECK(term >= log->term);
    if (log->failed) {
        return TERN_EIO;
    }
    if (term == log->term) {
        return 0;
    }
    log->term = term;
    log->vote = 0;
    int rv = meta_write(log);
    return rv == 0 ? 0 : log_fail(log, rv, "writing raft/meta (term)");
}

int raft_log_set_vote(struct raft_log_store *log, uint64_t vote)
{
    if (log->failed) {
        return TERN_EIO;
    }
    log->vote = vote;
    int rv = meta_write(log);
    return rv == 0 ? 0 : log_fail(log, rv, "writing raft/meta (vote)");
}

int raft_log_bootstrap(struct raft_log_store *log, uint16_t type, struct slice bytes)
{
    const struct disk_ops *ops = log->disk->ops;
    struct buf frames = {0};

    CHECK(!log->busy);
    if (!raft_log_pristine(log)) {
        return TERN_EEXIST;
    }
    log->place_count = 0;
    log->end = LOG_HEADER_BYTES;
    frame_put(&frames, 1, &(struct raft_log_entry){1, type, bytes});
    frames_seal(log, &frames, 0, log->end);
    int rv = ops->truncate(log->disk, log->file, log->end);
    if (rv == 0) {
        rv = ops->write(log->disk, log->file, log->end, buf_slice(&frames));
    }
    if (rv == 0) {
        rv = ops->sync(log->disk, log->file);
    }
    place_add(log, log->end, 1);
    log->end += frames.len;
    log->synced = log->end;
    log->last = 1;
    buf_fini(&frames);
    if (rv != 0) {
        return log_fail(log, rv, "writing raft/log");
    }
    return raft_log_set_term(log, 1);
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
        (void)log_fail(log, (int)status, "writing raft/log");
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
        frames_seal(log, &op->frames, 0, log->synced);
        log->extents[count++] = (struct disk_extent){log->file, log->end, buf_slice(&op->frames)};
        for (size_t at = 0; at < op->frames.len;) {
            const uint8_t *frame = op->frames.base + at;
            CHECK(frame_note(log, frame, log->end + at));
            at += FRAME_BYTES + (size_t)get_le32(frame);
        }
        log->end += op->frames.len;
        log->waiting_bytes -= op->frames.len;
        bytes += op->frames.len;
    }
    log->busy = true;
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
        rv = log->disk->ops->rename(log->disk, LOG_TMP, LOG);
    }
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, DIR);
    }
    if (rv != 0) {
        (void)log_fail(log, rv, "replacing raft/log");
        return;
    }
    log->disk->ops->close(log->disk, log->file);
    log->file = log->switch_file;
    log->switch_file = NULL;
    log->end = log->switch_bytes.len;
    free(log->places);
    log->places = log->switch_places;
    log->switch_places = NULL;
    log->place_count = op->trailing == 0 ? 0 : (size_t)(written_last(log) - log->switch_base);
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
        (void)log_fail(log, got < 0 ? (int)got : TERN_EDAMAGED, "reading raft/log");
        buf_fini(&old);
        return false;
    }
    for (size_t i = 0; i < kept; i++) {
        size_t at = (size_t)(places[i].pos - from);
        if (!frame_valid(log, buf_slice(&old), at)) {
            (void)log_fail(log, TERN_EDAMAGED, "raft/log: a synced frame is damaged");
            buf_fini(&old);
            return false;
        }
        log->switch_places[i] = (struct place){log->switch_bytes.len, places[i].term};
        buf_put(&log->switch_bytes,
                slice_of(old.base + at, FRAME_BYTES + (size_t)get_le32(old.base + at)));
    }
    buf_fini(&old);
    return true;
}

/* Header and kept frames of the new file; false after a failure. */
static bool switch_prepare(struct raft_log_store *log, const struct op *op)
{
    uint64_t base = op->index;

    if (op->trailing > 0) {
        CHECK(op->index <= written_last(log));
        base = op->index > op->trailing ? op->index - op->trailing : 0;
        base = base > log->base_index ? base : log->base_index;
    }
    log->switch_base = base;
    log->switch_base_term = op->trailing > 0 ? term_at(log, base) : op->term;
    size_t kept = op->trailing > 0 ? (size_t)(written_last(log) - base) : 0;
    log->switch_places = mem_new((kept + 1) * sizeof *log->switch_places);
    buf_clear(&log->switch_bytes);
    (void)buf_extend(&log->switch_bytes, LOG_HEADER_BYTES);
    if (kept > 0 && !switch_copy(log, kept)) {
        return false;
    }
    frames_seal(log, &log->switch_bytes, LOG_HEADER_BYTES, 0);
    header_put(log, log->switch_bytes.base, base, log->switch_base_term, log->switch_bytes.len);
    return true;
}

static void run_switch(struct raft_log_store *log, struct op *op)
{
    queue_push(&log->writing, &op->link);
    log->busy = true;
    if (!switch_prepare(log, op)) {
        return;
    }
    int rv = log->disk->ops->open(log->disk, LOG_TMP, true, &log->switch_file);
    if (rv == 0) {
        rv = log->disk->ops->truncate(log->disk, log->switch_file, 0);
    }
    if (rv != 0) {
        (void)log_fail(log, rv, "making raft/log.tmp");
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
        CHECK(entries[i].type != FORGET);
        frame_put(&op->frames, ++log->last, &entries[i]);
    }
    write_queue(log, op);
}

void raft_log_truncate(struct raft_log_store *log, uint64_t index)
{
    struct op *op = mem_new(sizeof *op);

    CHECK(index >= log->first);
    CHECK(index <= log->last + 1);
    log->last = index - 1;
    frame_put(&op->frames, index, &(struct raft_log_entry){0, FORGET, {0}});
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
        rv = log->disk->ops->rename(log->disk, SNAPSHOT_TMP, SNAPSHOT);
    }
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, DIR);
    }
    if (rv != 0) {
        (void)log_fail(log, rv, "writing raft/snapshot");
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
    snapshot_encode(log, snapshot, &log->snapshot_buf);
    int rv = log->disk->ops->open(log->disk, SNAPSHOT_TMP, true, &log->snapshot_file);
    if (rv == 0) {
        rv = log->disk->ops->truncate(log->disk, log->snapshot_file, 0);
    }
    if (rv != 0) {
        (void)log_fail(log, rv, "making raft/snapshot.tmp");
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
