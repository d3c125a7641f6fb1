/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: of the records of one key only the newest stays (docs/decisions/007-compaction.md).
 *
 * One pass over one log at a time, in small steps. A pass reads the dirty part, as far as the caller
 * lets it, into a map of the newest offset of each key; then it reads the sealed segments from the
 * log's start on, takes out what the map knows a newer record of, and writes what is left to a file
 * of another name. That file and its name are synced, then a journal record puts it in the place of
 * the segments, which are removed when that record is durable. Until then nothing has changed.
 *
 * Every batch keeps its header, so that batches lie end to end as they did. Segments are rewritten in
 * ascending order and a pass ends at the first that it cannot do: whatever older record a tombstone
 * stands against is gone before the tombstone may go. */
#include "base/reader.h"
#include "base/trace.h"
#include "kafka/rewrite.h"
#include "store/key_map.h"
#include "store/store_impl.h"

#define PIECE_BYTES (256u << 10)
#define REST_US     5000   /* between two pieces, however small */
#define BUSY_US     250000 /* the disk is behind: later */
#define FRAME_BYTES (8 + 8 + 4 + 8 + 8 + 8 + 8)

enum compact_step {
    COMPACT_IDLE,
    COMPACT_MAP,     /* reads the dirty part */
    COMPACT_REWRITE, /* reads and writes a group of segments */
};

struct compactor {
    struct store *store;
    struct timer timer;
    enum compact_step step;
    uint32_t number;       /* of the log looked at last */
    struct store_log *log; /* NULL: it went away, or no pass is under way */
    uint32_t cuts;         /* log->cuts, when the pass began */
    struct store_read read;
    bool busy; /* an op is under way */

    int64_t next;    /* to be read */
    int64_t limit;   /* the dirty part ends here */
    int64_t map_end; /* the map knows [log->cleaned_to, map_end) */
    int64_t tombstones;
    int64_t wall_ms; /* of the pass */
    struct key_map map;
    bool full;   /* the map is */
    bool opaque; /* a batch was met that cannot be read: tombstones stay */
    uint64_t read_bytes;
    uint64_t dropped;

    /* The group of segments that is being rewritten. */
    int64_t group_base;
    int64_t group_end;
    uint32_t group_count;
    uint64_t group_bytes;
    struct segment *segment; /* the new one */
    char path[STORE_PATH_MAX];
    bool changed;
    struct buf out; /* not written yet; goes to file_pos */
    uint64_t file_pos;
    struct disk_extent extent;
    struct disk_op op;
    struct disk_file *files[3];
    uint32_t file_count;
};

static void rest(struct compactor *c, uint64_t us)
{
    struct clock *clock = c->store->clock;

    timer_set(clock, &c->timer, clock_now_us(clock) + us);
}

/* ---- what is to be done ----------------------------------------------------------------------- */

/* Sealed segments that may be cleaned lie below this offset. */
static int64_t dirty_limit(const struct store_log *log, int64_t wall_ms)
{
    uint64_t lag = log->settings.min_compaction_lag_ms;
    int64_t limit = MUTANT(compact_beyond) ? log->state.leo : log->clean_limit;

    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        bool young = lag > 0 && segment->end > log->cleaned_to &&
                     segment->max_timestamp_ms > wall_ms - (int64_t)lag;
        if (i + 1 == log->segment_count || young || segment->end > limit) {
            return segment->base;
        }
    }
    return log->state.log_start;
}

struct dirt {
    uint64_t dirty;
    uint64_t total;
    bool overdue; /* a record has waited for longer than it may, or a tombstone may go */
};

static struct dirt look_at(const struct store_log *log, int64_t limit, int64_t wall_ms)
{
    uint64_t lag = log->settings.max_compaction_lag_ms;
    struct dirt dirt = {0};

    for (uint32_t i = 0; i < log->segment_count && log->segments[i]->base < limit; i++) {
        const struct segment *segment = log->segments[i];
        uint64_t bytes = segment->bytes - SEGMENT_HEADER;
        bool clean = segment->end <= log->cleaned_to;
        dirt.total += bytes;
        dirt.dirty += clean ? 0 : bytes;
        bool late = !clean && lag > 0 && lag < INT64_MAX &&
                    segment->max_timestamp_ms < wall_ms - (int64_t)lag;
        bool may_go =
            clean && segment->horizon_ms <= wall_ms && segment->end <= log->tombstone_limit;
        dirt.overdue = dirt.overdue || late || may_go;
    }
    return dirt;
}

static bool wants_pass(const struct store_log *log, int64_t limit, int64_t wall_ms)
{
    if ((log->settings.cleanup_policy & LOG_COMPACT) == 0 || log->state.truncating ||
        log->state.damaged_from < limit || limit <= log->state.log_start) {
        return false;
    }
    struct dirt dirt = look_at(log, limit, wall_ms);
    return dirt.overdue ||
           (dirt.dirty > 0 &&
            (double)dirt.dirty >= log->settings.min_cleanable_ratio * (double)dirt.total);
}

/* The next log, by number, that wants a pass; from the lowest on after the highest. */
static struct store_log *choose(struct compactor *c, int64_t wall_ms)
{
    struct store_log *above = NULL;

    for (struct store_log *log = c->store->logs; log != NULL; log = log->hh.next) {
        if (log->number > c->number && (above == NULL || log->number < above->number) &&
            wants_pass(log, dirty_limit(log, wall_ms), wall_ms)) {
            above = log;
        }
    }
    return above;
}

/* ---- the end of a pass ------------------------------------------------------------------------ */

static void drop_segment(struct compactor *c)
{
    struct segment *segment = c->segment;

    c->segment = NULL;
    if (segment != NULL) {
        segment_unpin(segment);
        (void)c->store->disk->ops->remove(c->store->disk, c->path);
        segment_free(segment);
    }
}

static void close_dirs(struct compactor *c)
{
    while (c->file_count > 1) { /* the first is the segment's own */
        c->file_count--;
        c->store->disk->ops->close(c->store->disk, c->files[c->file_count]);
    }
    c->file_count = 0;
}

static void pass_over(struct compactor *c, int status)
{
    if (c->log != NULL && status != 0) {
        trace_info("event=compaction_put_off log=%u partition=%d at=%lld error=%s", c->log->number,
                   (int)c->log->key.partition, (long long)c->next, error_name(status));
    } else if (c->log != NULL) {
        c->store->counters.compactions++;
        trace_info("event=compacted log=%u partition=%d to=%lld records_dropped=%llu bytes=%llu",
                   c->log->number, (int)c->log->key.partition, (long long)c->map_end,
                   (unsigned long long)c->dropped, (unsigned long long)c->log->state.bytes);
    }
    drop_segment(c);
    key_map_fini(&c->map);
    buf_clear(&c->out);
    c->log = NULL;
    c->step = COMPACT_IDLE;
    rest(c, status == 0 ? REST_US : BUSY_US);
}

/* Has something happened to the log that the pass does not know of? */
static bool lost(const struct compactor *c)
{
    return c->log == NULL || c->log->cuts != c->cuts || c->log->state.truncating ||
           c->log->state.damaged_from < c->limit ||
           (c->log->settings.cleanup_policy & LOG_COMPACT) == 0;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void piece_read(struct store_read *read);

static void read_piece(struct compactor *c, int64_t limit)
{
    c->read = (struct store_read){.log = c->log,
                                  .offset = c->next,
                                  .limit = limit,
                                  .max_bytes = PIECE_BYTES,
                                  .done = piece_read};
    c->busy = true;
    if (store_read(&c->read)) {
        piece_read(&c->read);
    }
}

/* Does a record of this batch count, for a key's newest one or as what may go? */
static enum store_fate fate_of(const struct compactor *c, const struct rewrite_batch *batch)
{
    const struct store_options *o = &c->store->options;

    if (batch->control) {
        return STORE_FATE_UNKNOWN;
    }
    if (!batch->transactional || MUTANT(compact_aborted)) {
        return STORE_FATE_COMMITTED;
    }
    return o->fate != NULL ? o->fate(o->fate_ctx, c->log, batch->producer_id, batch->base)
                           : STORE_FATE_UNKNOWN;
}

static void key_seen(void *ctx, const struct rewrite_record *record)
{
    struct compactor *c = ctx;

    if (record->key.base != NULL) {
        c->full = c->full || !key_map_put(&c->map, record->key, record->offset);
    }
}

/* False: the map is full, the dirty part ends before this batch. */
static bool map_batch(struct compactor *c, struct slice bytes, const struct rewrite_batch *batch)
{
    if (fate_of(c, batch) != STORE_FATE_COMMITTED) {
        return true; /* it makes nothing go */
    }
    c->full = false;
    int status = rewrite_each(bytes, key_seen, c);
    if (status != 0 || !c->full) {
        return true; /* what cannot be read makes nothing go, and stays */
    }
    if (c->map_end <= c->log->cleaned_to || c->map_end <= c->log->state.log_start) {
        /* One batch has more keys than there is room for: there must be as much. */
        size_t room = (size_t)c->map.cap * 2 * 24;
        uint8_t hash_key[16];
        memcpy(hash_key, c->map.hash_key, sizeof hash_key);
        key_map_fini(&c->map);
        key_map_init(&c->map, room, hash_key);
        return map_batch(c, bytes, batch);
    }
    return false;
}

/* ---- rewriting -------------------------------------------------------------------------------- */

struct keeping {
    struct compactor *c;
    const struct rewrite_batch *batch;
    enum store_fate fate;
    bool tombstones; /* some stay that may go one day */
};

static bool keep(void *ctx, const struct rewrite_record *record)
{
    struct keeping *k = ctx;
    const struct compactor *c = k->c;
    bool past = k->batch->horizon_ms <= c->wall_ms || MUTANT(tombstone_early);

    if (k->fate == STORE_FATE_ABORTED) {
        return false;
    }
    if (record->key.base == NULL) {
        return true;
    }
    int64_t newest = key_map_get(&c->map, record->key);
    if (record->offset < newest || (MUTANT(compact_newest) && record->offset == newest)) {
        return false;
    }
    if (record->tombstone && past && record->offset < c->map_end &&
        record->offset < c->tombstones && k->fate == STORE_FATE_COMMITTED && !c->opaque) {
        return false;
    }
    k->tombstones = k->tombstones || (record->tombstone && k->fate == STORE_FATE_COMMITTED);
    return true;
}

/* `tombstones`: some of the batch may go one day. */
static void note_written(struct compactor *c, size_t begin, bool tombstones)
{
    struct slice bytes = slice_of(c->out.base + begin, c->out.len - begin);
    struct segment *segment = c->segment;
    struct rewrite_batch head;
    struct batch_peek peek;

    CHECK(batch_peek(bytes, &peek));
    CHECK(peek.base == segment->end);
    rewrite_peek(bytes, &head);
    segment_note_batch(segment, &peek, segment->bytes);
    segment->bytes += peek.len;
    segment->end = peek.end;
    if (tombstones && !c->opaque && head.horizon_ms < segment->horizon_ms) {
        segment->horizon_ms = head.horizon_ms;
    }
}

static void rewrite_batch(struct compactor *c, struct slice bytes, const struct rewrite_batch *head)
{
    struct keeping k = {.c = c, .batch = head, .fate = fate_of(c, head)};
    size_t begin = c->out.len;
    bool changed = false;
    int64_t horizon = c->wall_ms + (int64_t)c->log->settings.delete_retention_ms;
    bool above = head->base >= c->map_end;
    int status =
        above ? TERN_EUNSUPPORTED : rewrite_filter(bytes, horizon, keep, &k, &c->out, &changed);

    if (status != 0) {
        c->opaque = c->opaque || !above; /* what is in it, nobody knows */
        buf_put(&c->out, bytes);
    } else if (changed) {
        struct rewrite_batch left;
        rewrite_peek(slice_of(c->out.base + begin, c->out.len - begin), &left);
        c->changed = true;
        c->dropped += (uint64_t)(head->records - left.records);
        c->store->counters.compact_dropped += (uint64_t)(head->records - left.records);
    }
    note_written(c, begin, k.tombstones);
}

static void flush(struct compactor *c);
static void begin_group(struct compactor *c);

static bool take_batch(struct compactor *c, struct slice bytes)
{
    struct rewrite_batch head;

    rewrite_peek(bytes, &head);
    if (c->step == COMPACT_MAP) {
        if (!map_batch(c, bytes, &head)) {
            return false;
        }
        c->map_end = head.end;
    } else {
        if (head.base > c->segment->end) {
            /* Below the log's start nobody reads; the file begins with a batch all the same. */
            size_t begin = c->out.len;
            rewrite_gap(c->segment->end, head.base, head.epoch, head.max_timestamp_ms, &c->out);
            c->changed = true;
            note_written(c, begin, false);
        }
        rewrite_batch(c, bytes, &head);
    }
    c->next = head.end;
    return true;
}

/* After the map is made: all segments that hold something below its end. */
static void mapped(struct compactor *c)
{
    c->step = COMPACT_REWRITE;
    c->next = c->log->state.log_start;
    c->opaque = false;
    begin_group(c);
}

static void piece_read(struct store_read *read)
{
    struct compactor *c = CONTAINER_OF(read, struct compactor, read);
    struct store *store = c->store;
    int status = read->status;
    bool more = true;

    c->busy = false;
    store->counters.compact_read_bytes += read->bytes;
    if (status == 0 && lost(c)) {
        status = TERN_ECANCELED;
    }
    for (size_t i = 0; status == 0 && more && i < read->chunk_count; i++) {
        struct slice in = chunk_slice(read->chunks[i]);
        struct batch_peek batch;
        while (more && batch_peek(in, &batch) && batch.len <= in.len) {
            more = take_batch(c, slice_of(in.base, batch.len));
            in = slice_of(in.base + batch.len, in.len - batch.len);
        }
    }
    if (status == 0 && read->chunk_count == 0) {
        status = TERN_EDAMAGED; /* there must be something */
    }
    uint64_t rate = store->options.compact_bytes_per_s;
    uint64_t wait_us = rate > 0 ? (uint64_t)read->bytes * 1000000 / rate : 0;
    store_read_fini(read);
    if (status != 0) {
        pass_over(c, status);
        return;
    }
    if (c->step == COMPACT_MAP && !more) {
        c->limit = c->map_end;
    }
    if (c->step == COMPACT_REWRITE && c->out.len >= PIECE_BYTES) {
        flush(c);
        return;
    }
    rest(c, wait_us > REST_US ? wait_us : REST_US);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void flushed(struct disk_op *op, int64_t status)
{
    struct compactor *c = CONTAINER_OF(op, struct compactor, op);

    c->busy = false;
    if (c->store->failed) {
        return;
    }
    if (status != 0 || lost(c)) {
        pass_over(c, status == TERN_EIO || status == 0 ? TERN_ECANCELED : (int)status);
        return;
    }
    c->file_pos += c->out.len;
    buf_clear(&c->out);
    uint64_t rate = c->store->options.compact_bytes_per_s;
    rest(c, rate > 0 ? (uint64_t)PIECE_BYTES * 1000000 / rate : REST_US);
}

static void flush(struct compactor *c)
{
    c->extent = (struct disk_extent){c->segment->file, c->file_pos, buf_slice(&c->out)};
    c->op = (struct disk_op){
        .kind = DISK_WRITE, .extents = &c->extent, .extent_count = 1, .done = flushed};
    c->busy = true;
    disk_submit(c->store->disk, &c->op);
}

static uint32_t index_of(const struct store_log *log, int64_t base)
{
    uint32_t index = log_segment_of(log, base);

    return index < log->segment_count && log->segments[index]->base == base ? index : UINT32_MAX;
}

/* The segments that belong together: as many as make one of the size that is wanted. */
static bool choose_group(struct compactor *c)
{
    struct store_log *log = c->log;
    uint32_t index = log_segment_of(log, c->next);
    uint64_t most = log->settings.segment_bytes;

    most = most == 0 ? c->store->options.segment_bytes : most;
    if (index + 1 >= log->segment_count || log->segments[index]->base >= c->map_end) {
        return false;
    }
    c->group_base = log->segments[index]->base;
    c->group_count = 0;
    c->group_bytes = 0;
    for (uint32_t i = index; i + 1 < log->segment_count && log->segments[i]->base < c->map_end;
         i++) {
        const struct segment *segment = log->segments[i];
        uint64_t bytes = segment->bytes - SEGMENT_HEADER;
        bool fits = c->group_bytes + bytes <= most && segment->end - c->group_base <= INT32_MAX;
        if (c->group_count > 0 && !fits) {
            break;
        }
        c->group_count++;
        c->group_bytes += bytes;
        c->group_end = segment->end;
    }
    return true;
}

static void begin_group(struct compactor *c)
{
    struct store *store = c->store;
    uint8_t header[SEGMENT_HEADER];

    if (!choose_group(c)) {
        pass_over(c, 0);
        return;
    }
    struct segment *segment = segment_new(c->log, c->group_base);
    segment->generation = store->next_number++; /* never used for another file */
    segment->header_seen = true;
    segment->index_tried = true;
    segment_path(segment, "log", c->path);
    c->changed = false;
    c->file_pos = 0;
    buf_clear(&c->out);
    int status = segment_open(segment, true);
    if (status == 0) {
        status = store->disk->ops->truncate(store->disk, segment->file, 0);
    }
    segment_pin(segment);
    c->segment = segment;
    if (status != 0) {
        pass_over(c, status);
        return;
    }
    segment_header(segment, header);
    buf_put(&c->out, slice_of(header, sizeof header));
    rest(c, REST_US);
}

/* ---- installing ------------------------------------------------------------------------------- */

static struct chunk frame_body(const struct segment *segment, int64_t cleaned_to)
{
    uint8_t body[FRAME_BYTES];

    put_le64(body, (uint64_t)segment->base);
    put_le64(body + 8, (uint64_t)segment->end);
    put_le32(body + 16, segment->generation);
    put_le64(body + 20, segment->bytes);
    put_le64(body + 28, (uint64_t)segment->max_timestamp_ms);
    put_le64(body + 36, (uint64_t)segment->horizon_ms);
    put_le64(body + 44, (uint64_t)cleaned_to);
    return chunk_copy(slice_of(body, sizeof body));
}

/* The log's segments are still those that were read. */
static bool still_there(const struct compactor *c, uint32_t index)
{
    const struct store_log *log = c->log;

    if (index == UINT32_MAX || index + c->group_count >= log->segment_count) {
        return false;
    }
    for (uint32_t i = index; i < index + c->group_count; i++) {
        if (log->segments[i]->damage_count > 0) {
            return false;
        }
    }
    return log->segments[index + c->group_count - 1]->end == c->group_end;
}

static void raise_cleaned(struct store_log *log, int64_t to)
{
    log->cleaned_to = to > log->cleaned_to ? to : log->cleaned_to;
}

static void install(struct compactor *c)
{
    struct store_log *log = c->log;
    uint32_t index = lost(c) ? UINT32_MAX : index_of(log, c->group_base);
    bool last = c->group_end >= c->map_end;

    if (c->log == NULL || !still_there(c, index)) {
        pass_over(c, TERN_ECANCELED);
        return;
    }
    struct entry *entry = entry_new(c->store, ENTRY_COMPACT, log, NULL);
    struct segment *segment = c->segment;
    c->segment = NULL;
    segment_unpin(segment);
    entry->bytes = frame_body(segment, last ? c->map_end : log->cleaned_to);
    entry->offset = segment->base;
    entry->end = segment->end;
    c->store->counters.compact_freed_bytes +=
        c->group_bytes > segment->bytes ? c->group_bytes - segment->bytes : 0;
    log_replace(log, index, c->group_count, segment, entry);
    if (last) {
        raise_cleaned(log, c->map_end);
    }
    pending_push(c->store, entry);
    c->next = c->group_end;
    begin_group(c);
}

static void names_synced(struct disk_op *op, int64_t status)
{
    struct compactor *c = CONTAINER_OF(op, struct compactor, op);

    c->busy = false;
    close_dirs(c);
    if (c->store->failed) {
        return;
    }
    if (status != 0) {
        store_fail(c->store, (int)status, "syncing a compacted segment");
        return;
    }
    install(c);
}

/* All of the group is written: it must survive whatever comes before anything relies on it. */
static void sync_group(struct compactor *c)
{
    struct disk *disk = c->store->disk;
    char dir[STORE_PATH_MAX];
    int status = 0;

    log_dir(c->log, dir);
    c->files[0] = c->segment->file;
    c->file_count = 1;
    if (!MUTANT(compact_unnamed)) {
        status = disk->ops->open(disk, dir, false, &c->files[1]);
        c->file_count += status == 0;
        if (status == 0) {
            status = disk->ops->open(disk, "topics", false, &c->files[2]);
            c->file_count += status == 0;
        }
    }
    if (status != 0) {
        close_dirs(c);
        pass_over(c, status);
        return;
    }
    uint32_t first = MUTANT(compact_unsynced) ? 1 : 0;
    c->op = (struct disk_op){
        .kind = DISK_SYNC, .files = c->files + first, .file_count = c->file_count - first};
    c->op.done = names_synced;
    c->busy = true;
    disk_submit(disk, &c->op);
}

static void finish_group(struct compactor *c)
{
    if (c->out.len > 0 && (c->changed || c->group_count > 1)) {
        flush(c);
    } else if (c->changed || c->group_count > 1) {
        sync_group(c);
    } else {
        /* Nothing has changed: it stays as it is. */
        bool last = c->group_end >= c->map_end;
        drop_segment(c);
        if (last) {
            raise_cleaned(c->log, c->map_end);
        }
        c->next = c->group_end;
        begin_group(c);
    }
}

/* ---- steps ------------------------------------------------------------------------------------ */

static void begin_pass(struct compactor *c)
{
    struct store *store = c->store;
    int64_t wall_ms = clock_wall_ms(store->clock);
    struct store_log *log = choose(c, wall_ms);

    if (log == NULL) {
        c->number = 0;
        rest(c, store->options.compact_every_ms * 1000);
        return;
    }
    c->number = log->number;
    c->log = log;
    c->cuts = log->cuts;
    c->wall_ms = wall_ms;
    c->limit = dirty_limit(log, wall_ms);
    c->tombstones = log->tombstone_limit;
    c->next = log->cleaned_to > log->state.log_start ? log->cleaned_to : log->state.log_start;
    c->map_end = c->next;
    c->dropped = 0;
    c->opaque = false;
    key_map_init(&c->map, (size_t)store->options.compact_map_bytes, store->journal.id.bytes);
    c->step = COMPACT_MAP;
    rest(c, REST_US);
}

static void next_step(struct compactor *c)
{
    if (c->step == COMPACT_IDLE) {
        begin_pass(c);
    } else if (lost(c)) {
        pass_over(c, TERN_ECANCELED);
    } else if (c->step == COMPACT_MAP && c->next >= c->limit) {
        mapped(c);
    } else if (c->step == COMPACT_MAP) {
        read_piece(c, c->limit);
    } else if (c->next >= c->group_end) {
        finish_group(c);
    } else {
        read_piece(c, c->group_end);
    }
}

static void fired(struct timer *timer)
{
    struct compactor *c = CONTAINER_OF(timer, struct compactor, timer);
    struct store *store = c->store;

    if (store->failed || c->busy) {
        return;
    }
    if (store->pending_bytes + store->group_bytes > (1u << 20) || store->below_reserve) {
        rest(c, BUSY_US);
        return;
    }
    next_step(c);
}

void compact_start(struct store *store)
{
    if (store->options.compact_every_ms == 0) {
        return;
    }
    store->compactor = mem_new(sizeof *store->compactor);
    store->compactor->store = store;
    store->compactor->timer.fire = fired;
    rest(store->compactor, store->options.compact_every_ms * 1000);
}

void compact_stop(struct store *store)
{
    struct compactor *c = store->compactor;

    if (c == NULL) {
        return;
    }
    timer_stop(store->clock, &c->timer);
    store_read_fini(&c->read);
    close_dirs(c);
    if (c->segment != NULL) {
        segment_unpin(c->segment);
        segment_free(c->segment);
    }
    key_map_fini(&c->map);
    buf_fini(&c->out);
    free(c);
    store->compactor = NULL;
}

void compact_forget(struct store_log *log)
{
    struct compactor *c = log->store->compactor;

    if (c != NULL && c->log == log) {
        c->log = NULL; /* the op or timer under way finds out */
    }
}

/* ---- replay ----------------------------------------------------------------------------------- */

int compact_replay(struct store_log *log, struct slice body)
{
    struct reader in = reader_of(body);
    int64_t base = (int64_t)reader_le64(&in);
    int64_t end = (int64_t)reader_le64(&in);
    uint32_t generation = reader_le32(&in);
    uint64_t bytes = reader_le64(&in);
    int64_t max_timestamp_ms = (int64_t)reader_le64(&in);
    int64_t horizon_ms = (int64_t)reader_le64(&in);
    int64_t cleaned_to = (int64_t)reader_le64(&in);
    struct store *store = log->store;
    uint32_t index = index_of(log, base);
    uint32_t count = 0;

    if (in.failed || reader_left(&in) > 0 || index == UINT32_MAX || bytes < SEGMENT_HEADER ||
        bytes > UINT32_MAX || generation == 0 || end <= base) {
        return TERN_EDAMAGED;
    }
    while (index + count + 1 < log->segment_count && log->segments[index + count]->end <= end) {
        count++;
    }
    if (count == 0 || log->segments[index + count - 1]->end != end) {
        return TERN_EDAMAGED;
    }
    struct segment *segment = segment_new(log, base);
    segment->generation = generation;
    segment->end = end;
    segment->bytes = bytes;
    segment->max_timestamp_ms = max_timestamp_ms;
    segment->horizon_ms = horizon_ms;
    if (store->next_number <= generation) {
        store->next_number = generation + 1;
    }
    struct entry *entry = entry_new(store, ENTRY_COMPACT, log, NULL);
    log_replace(log, index, count, segment, entry);
    raise_cleaned(log, cleaned_to);
    entry->in_pipeline = true;
    apply_push(store, entry);
    return 0;
}

/* ---- the face --------------------------------------------------------------------------------- */

void store_compactable(struct store_log *log, int64_t limit, int64_t tombstones)
{
    limit = limit < log->state.leo ? limit : log->state.leo;
    tombstones = tombstones < limit ? tombstones : limit;
    log->clean_limit = limit > log->clean_limit ? limit : log->clean_limit;
    log->tombstone_limit = tombstones > log->tombstone_limit ? tombstones : log->tombstone_limit;
}

int64_t store_compacted_to(const struct store_log *log)
{
    return log->cleaned_to;
}
