/* SPDX-License-Identifier: Apache-2.0 */
/* Order of things on disk.
 *
 * meta: both copies are written and synced one after the other, so that a set term or vote stands
 * in two places: a torn copy belongs to a call that has not returned, a rotten one has its twin.
 *
 * log: only ever appended to; forgetting entries is a frame, too, so that nothing that was synced
 * is overwritten or cut. A frame says how many bytes of the file were synced when it was written,
 * the header says it of what the file began with. A bad frame below such a mark is damage; one
 * above every mark that follows was never acknowledged and is cleared. That says nothing about a file
 * whose end is gone with all marks in it; so the file is longer than its frames, zeros behind them, and
 * meta knows a length that it has at least: it is raised when the file is longer, and lowered before a
 * shorter one gets the name.
 *
 * snapshot: tmp, sync, rename, sync_dir; only then the log file is replaced the same way. Between
 * the two a crash leaves the new snapshot with the old log; open() finishes the work. */
#include "store/raft_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/raft_log_impl.h"

int raft_log_fail(struct raft_log_store *log, int error, const char *what)
{
    if (!log->failed) {
        log->failed = true;
        log->options.failed(log->options.ctx, error, what);
    }
    return error;
}

/* ---- meta ----------------------------------------------------------------------------------- */

int raft_log_meta_write(struct raft_log_store *log)
{
    uint8_t copy[META_COPY_BYTES];
    int rv = 0;

    raft_log_meta_encode(&log->meta, copy);
    for (unsigned i = 0; i < 2 && rv == 0; i++) {
        rv = log->disk->ops->write(log->disk, log->meta_file, i * META_STRIDE,
                                   slice_of(copy, sizeof copy));
        if (rv == 0) {
            rv = log->disk->ops->sync(log->disk, log->meta_file);
        }
    }
    return rv;
}

static bool exists(struct raft_log_store *log, const char *path)
{
    struct disk_stat stat;

    return log->disk->ops->stat(log->disk, path, &stat) == 0;
}

static int meta_open(struct raft_log_store *log, char why[256])
{
    uint8_t bytes[META_STRIDE + META_COPY_BYTES] = {0};
    struct log_meta found[2];
    enum meta_state state[2];
    uint32_t format = 0;

    int rv = log->disk->ops->open(log->disk, RAFT_LOG_META, true, &log->meta_file);
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be opened", RAFT_LOG_META);
        return rv;
    }
    int64_t got = log->disk->ops->read(log->disk, log->meta_file, 0, bytes, sizeof bytes);
    if (got < 0) {
        (void)snprintf(why, 256, "%s cannot be read", RAFT_LOG_META);
        return (int)got;
    }
    for (unsigned i = 0; i < 2; i++) {
        state[i] = raft_log_meta_decode(bytes + (size_t)i * META_STRIDE, &found[i], &format);
        if (state[i] == META_UNKNOWN) {
            return raft_log_refuse_format(why, RAFT_LOG_META, format);
        }
    }
    if (state[0] != META_GOOD && state[1] != META_GOOD) {
        if (exists(log, RAFT_LOG_FILE) || exists(log, RAFT_LOG_SNAPSHOT)) {
            (void)snprintf(why, 256,
                           "%s: both copies are damaged or missing, term and vote are "
                           "forgotten",
                           RAFT_LOG_META);
            return TERN_EDAMAGED;
        }
        log->meta.id = uuid_from_random(log->options.random_high, log->options.random_low);
    } else {
        /* Copy 0 is written first: where both are good and differ it is the newer one. */
        log->meta = state[0] == META_GOOD ? found[0] : found[1];
        if (state[0] == META_GOOD && state[1] == META_GOOD && found[0].term == found[1].term &&
            found[0].vote == found[1].vote && found[0].log_bytes == found[1].log_bytes) {
            return 0;
        }
    }
    rv = raft_log_meta_write(log); /* both copies agree again */
    if (rv == 0) {
        rv = log->disk->ops->sync_dir(log->disk, RAFT_LOG_DIR);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be written", RAFT_LOG_META);
    }
    return rv;
}

/* ---- length ---------------------------------------------------------------------------------- */

uint64_t raft_log_length_for(const struct raft_log_store *log, uint64_t end)
{
    uint64_t step = log->options.step > 0 ? log->options.step : RAFT_LOG_STEP;

    return ((end + FRAME_BYTES) / step + 1) * step;
}

static int know_length(struct raft_log_store *log, uint64_t length)
{
    if (log->meta.log_bytes == length) {
        return 0;
    }
    log->meta.log_bytes = length;
    return raft_log_meta_write(log);
}

int raft_log_length_falls(struct raft_log_store *log, uint64_t length)
{
    return length < log->meta.log_bytes ? know_length(log, length) : 0;
}

int raft_log_length_is(struct raft_log_store *log, uint64_t length)
{
    log->length = length;
    return know_length(log, length);
}

/* Makes the file as long as *length says; on a full disk it stays as long as it is, *length then. */
static int lengthen(struct raft_log_store *log, struct disk_file *file, uint64_t now,
                    uint64_t *length)
{
    int rv = *length > now ? log->disk->ops->preallocate(log->disk, file, *length) : 0;

    if (rv == TERN_ENOSPC || *length < now) {
        *length = now;
    }
    return rv == TERN_ENOSPC ? 0 : rv;
}

int raft_log_grow(struct raft_log_store *log, uint64_t end)
{
    uint64_t length = raft_log_length_for(log, end);

    if (end <= log->length) {
        return 0;
    }
    int rv = lengthen(log, log->file, log->length, &length);
    if (rv != 0 || length < end) {
        return rv; /* no room: the write that follows makes it longer, if it can */
    }
    rv = log->disk->ops->sync(log->disk, log->file);
    return rv == 0 ? raft_log_length_is(log, length) : rv;
}

/* ---- frames --------------------------------------------------------------------------------- */

static void place_add(struct raft_log_store *log, uint64_t pos, uint64_t term)
{
    if (log->place_count == log->place_cap) {
        log->place_cap = log->place_cap > 0 ? log->place_cap * 2 : 256;
        log->places = mem_grow(log->places, log->place_cap, sizeof *log->places);
    }
    log->places[log->place_count++] = (struct place){pos, term};
}

uint64_t raft_log_term_at(const struct raft_log_store *log, uint64_t index)
{
    if (index == log->base_index) {
        return log->base_term;
    }
    if (index < log->base_index || index > raft_log_written_last(log)) {
        return 0;
    }
    return log->places[index - log->base_index - 1].term;
}

/* ---- log file: load ------------------------------------------------------------------------- */

/* Puts a whole new log file in place of the old one, synchronously (start-up only). */
static int log_replace(struct raft_log_store *log, uint64_t base_index, uint64_t base_term)
{
    const struct disk_ops *ops = log->disk->ops;
    struct disk_file *file = NULL;
    uint8_t header[LOG_HEADER_BYTES];
    uint64_t length = raft_log_length_for(log, sizeof header);

    raft_log_header_encode(log->meta.id, &(struct log_header){base_index, base_term, sizeof header},
                           header);
    int rv = ops->open(log->disk, RAFT_LOG_FILE_TMP, true, &file);
    if (rv == 0) {
        rv = ops->truncate(log->disk, file, 0);
    }
    if (rv == 0) {
        rv = ops->write(log->disk, file, 0, slice_of(header, sizeof header));
    }
    if (rv == 0) {
        rv = lengthen(log, file, sizeof header, &length);
    }
    if (rv == 0) {
        rv = ops->sync(log->disk, file);
    }
    if (rv == 0) {
        rv = raft_log_length_falls(log, length);
    }
    if (rv == 0) {
        rv = ops->rename(log->disk, RAFT_LOG_FILE_TMP, RAFT_LOG_FILE);
    }
    if (rv == 0) {
        rv = ops->sync_dir(log->disk, RAFT_LOG_DIR);
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
    return raft_log_length_is(log, length);
}

/* Where what is not zero ends. */
static size_t written_end(struct slice bytes)
{
    size_t end = bytes.len;

    while (end > 0 && bytes.base[end - 1] == 0) {
        end--;
    }
    return end;
}

/* The frame at `bad` does not hold. Damage if the log was ever known to be synced beyond it. */
static int tail_check(const struct raft_log_store *log, struct slice bytes, size_t bad,
                      char why[256])
{
    size_t end = written_end(bytes);

    if (bad < log->synced) {
        return raft_log_damaged(why, RAFT_LOG_FILE, bad, "a frame that was synced is damaged");
    }
    for (size_t at = bad + 1; at < end && at + FRAME_BYTES <= bytes.len; at++) {
        if (raft_log_frame_valid(log->meta.id, bytes, at) &&
            raft_log_frame_synced(bytes.base + at) > bad) {
            return raft_log_damaged(why, RAFT_LOG_FILE, bad, "a frame that was synced is damaged");
        }
    }
    return 0;
}

bool raft_log_frame_note(struct raft_log_store *log, const uint8_t *frame, uint64_t pos)
{
    uint64_t index = raft_log_frame_index(frame);
    uint64_t term = raft_log_frame_term(frame);

    if (index <= log->base_index) {
        return false;
    }
    if (raft_log_frame_type(frame) == FRAME_FORGET) {
        if (index > raft_log_written_last(log) + 1) {
            return false;
        }
        log->place_count = (size_t)(index - log->base_index - 1);
        return true;
    }
    if (index != raft_log_written_last(log) + 1 || term == 0 ||
        term < raft_log_term_at(log, index - 1)) {
        return false;
    }
    place_add(log, pos, term);
    return true;
}

static int frames_load(struct raft_log_store *log, struct slice bytes, char why[256])
{
    size_t at = LOG_HEADER_BYTES;

    while (at < bytes.len) {
        if (!raft_log_frame_valid(log->meta.id, bytes, at)) {
            int rv = tail_check(log, bytes, at, why);
            if (rv != 0) {
                return rv;
            }
            break;
        }
        if (!raft_log_frame_note(log, bytes.base + at, at)) {
            return raft_log_damaged(why, RAFT_LOG_FILE, at, "a frame is out of order");
        }
        at += FRAME_BYTES + (size_t)raft_log_frame_len(bytes.base + at);
    }
    if (at < log->synced) {
        return raft_log_damaged(why, RAFT_LOG_FILE, at, "the end is missing");
    }
    log->end = at;
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

/* Has the file lost its end? Not if the zeros behind the last frame begin before it is cut off. */
static int length_check(const struct raft_log_store *log, struct slice bytes, char why[256])
{
    if (bytes.len >= log->meta.log_bytes ||
        (written_end(bytes) <= log->end && bytes.len >= log->end + FRAME_BYTES)) {
        return 0;
    }
    (void)snprintf(why, 256, "%s: %zu bytes where there were %llu", RAFT_LOG_FILE, bytes.len,
                   (unsigned long long)log->meta.log_bytes);
    return TERN_EDAMAGED;
}

/* The file as it is from now on: zero behind its frames, and long enough. Synced also where nothing is
 * changed: what was read may have been written and not synced before a crash of this process, and from
 * now on it counts as ours. */
static int log_settle(struct raft_log_store *log, struct slice bytes)
{
    const struct disk_ops *ops = log->disk->ops;
    uint64_t length = raft_log_length_for(log, log->end);
    size_t torn = written_end(bytes);
    int rv = 0;

    if (torn > log->end) {
        uint8_t *zeros = mem_new(torn - (size_t)log->end);
        rv = ops->write(log->disk, log->file, log->end, slice_of(zeros, torn - (size_t)log->end));
        free(zeros);
    }
    if (rv == 0) {
        rv = lengthen(log, log->file, bytes.len, &length);
    }
    if (rv == 0) {
        rv = ops->sync(log->disk, log->file);
    }
    log->synced = log->end;
    return rv == 0 ? raft_log_length_is(log, length) : rv;
}

static int log_load(struct raft_log_store *log, char why[256])
{
    struct log_header header;

    if (!exists(log, RAFT_LOG_FILE)) {
        if (log->meta.term != 0 || log->snapshot_index != 0) {
            (void)snprintf(why, 256, "%s is missing", RAFT_LOG_FILE);
            return TERN_EDAMAGED;
        }
        return log_replace(log, 0, 0);
    }
    int rv = log->disk->ops->open(log->disk, RAFT_LOG_FILE, false, &log->file);
    if (rv == 0) {
        rv = read_whole(log, log->file, &log->loaded_bytes);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be read", RAFT_LOG_FILE);
        return rv;
    }
    struct slice bytes = buf_slice(&log->loaded_bytes);
    rv = raft_log_header_decode(log->meta.id, bytes, &header, why);
    if (rv == 0) {
        log->base_index = header.base_index;
        log->base_term = header.base_term;
        log->synced = header.initial;
        rv = frames_load(log, bytes, why);
    }
    if (rv == 0) {
        rv = length_check(log, bytes, why);
    }
    return rv == 0 ? log_settle(log, bytes) : rv;
}

/* ---- snapshot file -------------------------------------------------------------------------- */

static int snapshot_load(struct raft_log_store *log, struct buf *bytes,
                         struct raft_log_snapshot *out, char why[256])
{
    struct disk_file *file;

    *out = (struct raft_log_snapshot){0};
    if (!exists(log, RAFT_LOG_SNAPSHOT)) {
        return TERN_ENOENT;
    }
    int rv = log->disk->ops->open(log->disk, RAFT_LOG_SNAPSHOT, false, &file);
    if (rv == 0) {
        rv = read_whole(log, file, bytes);
        log->disk->ops->close(log->disk, file);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be read", RAFT_LOG_SNAPSHOT);
        return rv;
    }
    return raft_log_snapshot_decode(log->meta.id, buf_slice(bytes), out, why);
}

int raft_log_snapshot_read(struct raft_log_store *log, struct buf *out_bytes,
                           struct raft_log_snapshot *out_snapshot)
{
    char why[256];
    int rv = snapshot_load(log, out_bytes, out_snapshot, why);

    if (rv != 0 && rv != TERN_ENOENT) {
        (void)raft_log_fail(log, rv, why);
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
            (void)snprintf(why, 256, "%s is missing: the log begins after entry %llu",
                           RAFT_LOG_SNAPSHOT, (unsigned long long)log->base_index);
            return TERN_EDAMAGED;
        }
        return 0;
    }
    if (log->base_index > log->snapshot_index) {
        (void)snprintf(why, 256, "%s ends at entry %llu, %s begins after entry %llu",
                       RAFT_LOG_SNAPSHOT, (unsigned long long)log->snapshot_index, RAFT_LOG_FILE,
                       (unsigned long long)log->base_index);
        return TERN_EDAMAGED;
    }
    if (raft_log_term_at(log, log->snapshot_index) == log->snapshot_term) {
        return 0;
    }
    buf_clear(&log->loaded_bytes);
    int rv = log_replace(log, log->snapshot_index, log->snapshot_term);
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be written", RAFT_LOG_FILE);
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
            .type = raft_log_frame_type(frame),
            .bytes = slice_of(frame + FRAME_BYTES, raft_log_frame_len(frame)),
        };
    }
}

static int open_steps(struct raft_log_store *log, char why[256])
{
    const struct disk_ops *ops = log->disk->ops;
    struct raft_log_snapshot snapshot;
    struct buf bytes = {0};

    int rv = ops->mkdir(log->disk, RAFT_LOG_DIR);
    if (rv == 0) {
        rv = ops->sync_dir(log->disk, "");
    }
    if (rv == 0) {
        /* A name that a killed process made visible is believed only once it is durable: a power
         * loss now could bring the older snapshot or log back. */
        rv = ops->sync_dir(log->disk, RAFT_LOG_DIR);
    }
    if (rv != 0) {
        (void)snprintf(why, 256, "%s cannot be made", RAFT_LOG_DIR);
        return rv;
    }
    rv = meta_open(log, why);
    if (rv != 0) {
        return rv;
    }
    (void)ops->remove(log->disk, RAFT_LOG_FILE_TMP);
    (void)ops->remove(log->disk, RAFT_LOG_SNAPSHOT_TMP);
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
    (void)snprintf(why, 256, "%s cannot be read or written", RAFT_LOG_DIR);
    int rv = open_steps(log, why);
    if (rv != 0) {
        raft_log_close(log);
        return rv;
    }
    log->first = log->base_index + 1;
    log->last = raft_log_written_last(log);
    loaded_fill(log);
    why[0] = 0;
    *out_log = log;
    return 0;
}

void raft_log_close(struct raft_log_store *log)
{
    struct disk_file *files[] = {log->meta_file, log->file, log->switch_file, log->snapshot_file};

    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        if (files[i] != NULL) {
            log->disk->ops->close(log->disk, files[i]);
        }
    }
    raft_log_ops_free(log);
    buf_fini(&log->switch_bytes);
    buf_fini(&log->snapshot_buf);
    free(log->switch_places);
    raft_log_loaded_drop(log);
    free(log->places);
    free(log);
}

uint64_t raft_log_term(const struct raft_log_store *log)
{
    return log->meta.term;
}

uint64_t raft_log_vote(const struct raft_log_store *log)
{
    return log->meta.vote;
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
    return META_STRIDE + META_COPY_BYTES + log->length + log->snapshot_bytes + log->waiting_bytes;
}

bool raft_log_pristine(const struct raft_log_store *log)
{
    return log->meta.term == 0 && log->meta.vote == 0 && log->snapshot_index == 0 && log->last <= 1;
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
    CHECK(term >= log->meta.term);
    if (log->failed) {
        return TERN_EIO;
    }
    if (term == log->meta.term) {
        return 0;
    }
    log->meta.term = term;
    log->meta.vote = 0;
    int rv = raft_log_meta_write(log);
    return rv == 0 ? 0 : raft_log_fail(log, rv, "writing raft/meta (term)");
}

int raft_log_set_vote(struct raft_log_store *log, uint64_t vote)
{
    if (log->failed) {
        return TERN_EIO;
    }
    log->meta.vote = vote;
    int rv = raft_log_meta_write(log);
    return rv == 0 ? 0 : raft_log_fail(log, rv, "writing raft/meta (vote)");
}

int raft_log_bootstrap(struct raft_log_store *log, uint16_t type, struct slice bytes)
{
    const struct disk_ops *ops = log->disk->ops;
    struct buf frames = {0};

    CHECK(!log->busy);
    if (!raft_log_pristine(log)) {
        return TERN_EEXIST;
    }
    uint64_t before = log->end; /* of a bootstrap that did not finish */
    log->place_count = 0;
    log->end = LOG_HEADER_BYTES;
    raft_log_frame_put(&frames, 1, &(struct raft_log_entry){1, type, bytes});
    raft_log_frames_seal(log->meta.id, &frames, 0, log->end);
    size_t len = frames.len;
    if (before > log->end + len) {
        size_t more = (size_t)(before - log->end) - len;
        memset(buf_extend(&frames, more), 0, more);
    }
    int rv = raft_log_grow(log, log->end + len);
    if (rv == 0) {
        rv = ops->write(log->disk, log->file, log->end, buf_slice(&frames));
    }
    if (rv == 0) {
        rv = ops->sync(log->disk, log->file);
    }
    place_add(log, log->end, 1);
    log->end += len;
    log->synced = log->end;
    log->last = 1;
    buf_fini(&frames);
    if (rv != 0) {
        return raft_log_fail(log, rv, "writing raft/log");
    }
    return raft_log_set_term(log, 1);
}
