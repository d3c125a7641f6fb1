/* SPDX-License-Identifier: Apache-2.0 */
/* Fills damaged ranges, from the front, with batches that another replica holds.
 *
 * The same epoch at the same offset is the same record, byte by byte, since a batch is passed on as
 * its leader wrote it: so it fits exactly into the place of the lost one. It goes through the
 * journal like an append, then into the segment, where readers look for it; then it counts. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define KEPT_MAX 256 /* files of damaged bytes */

bool store_damage_at(const struct store_log *log, int64_t offset, struct store_damage *out)
{
    int64_t from = offset > log->state.log_start ? offset : log->state.log_start;

    for (uint32_t i = log->damage_count > 0 ? 0 : log->segment_count; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        for (uint32_t k = 0; k < segment->damage_count; k++) {
            const struct damage *d = &segment->damage[k];
            if (d->end > from && d->filled < d->end) {
                bool open = d->len == DAMAGE_OPEN;
                int64_t known = d->filled > log->state.log_start ? d->filled : log->state.log_start;
                *out = (struct store_damage){
                    .offset = d->filled,
                    .end = d->end,
                    .epoch = log_epoch_at(log, known),
                    .bytes = open ? UINT64_MAX : d->pos + d->len - d->filled_pos,
                };
                return true;
            }
        }
    }
    return false;
}

/* The range whose next missing batch is `batch`. */
static struct damage *range_for(struct store_log *log, const struct batch_peek *batch,
                                struct segment **out_segment)
{
    uint32_t index = log->damage_count > 0 ? log_segment_of(log, batch->base) : log->segment_count;

    if (index == log->segment_count) {
        return NULL;
    }
    *out_segment = log->segments[index];
    struct damage *d = segment_damage_at(*out_segment, batch->base);
    if (d == NULL || d->filled != batch->base || batch->end > d->end) {
        return NULL;
    }
    if (d->len == DAMAGE_OPEN) {
        return d;
    }
    uint64_t left = d->pos + d->len - d->filled_pos;
    return batch->len <= left && (batch->end == d->end) == (batch->len == left) ? d : NULL;
}

void repair_reopen(struct segment *segment, int64_t offset, uint64_t pos)
{
    struct damage damage = {.offset = offset,
                            .end = segment->end,
                            .pos = pos,
                            .len = DAMAGE_OPEN,
                            .filled = offset,
                            .filled_pos = pos};

    while (segment->damage_count > 0 &&
           segment->damage[segment->damage_count - 1].offset >= offset) {
        segment->damage_count--;
    }
    segment->bytes = pos;
    segment_index_cut(segment, pos);
    segment_damage_add(segment, &damage);
    log_damage_changed(segment->log);
}

/* Other replicas have compacted what was here differently: their batches are of other lengths. Then
 * what follows in the segment has to be written anew behind them, so all of it is fetched. Not while
 * anything of the segment is still on its way to its file. */
static struct damage *reopen(struct store_log *log, const struct batch_peek *batch,
                             struct segment **out_segment)
{
    uint32_t index = log->damage_count > 0 ? log_segment_of(log, batch->base) : log->segment_count;

    if ((log->settings.cleanup_policy & LOG_COMPACT) == 0 || index + 1 >= log->segment_count) {
        return NULL; /* of the one that is written to only when it is sealed */
    }
    struct segment *segment = log->segments[index];
    const struct damage *d = segment_damage_at(segment, batch->base);
    if (d == NULL || d->offset != batch->base || d->filled != batch->base || batch->end > d->end ||
        d->len == DAMAGE_OPEN) {
        return NULL;
    }
    for (uint32_t i = 0; i < segment->damage_count; i++) {
        if (segment->damage[i].filled != segment->damage[i].offset) {
            return NULL;
        }
    }
    for (uint32_t i = 0; i < log->ring_count; i++) {
        if (ring_at(log, i)->offset < segment->end && ring_at(log, i)->in_pipeline) {
            return NULL;
        }
    }
    ring_drop_below(log, segment->end);
    struct entry *entry = entry_new(log->store, ENTRY_DAMAGE, log, NULL);
    entry->offset = d->offset;
    entry->end = segment->end;
    entry->pos = d->pos;
    entry->len = DAMAGE_OPEN;
    trace_info("event=repair_reopens log=%u partition=%d offset=%lld end=%lld", log->number,
               (int)log->key.partition, (long long)entry->offset, (long long)entry->end);
    repair_reopen(segment, d->offset, d->pos);
    log_count_bytes(log);
    pending_push(log->store, entry);
    return range_for(log, batch, out_segment);
}

static void advance(struct segment *segment, struct damage *d, const struct batch_peek *batch)
{
    struct store_log *log = segment->log;

    d->filled = batch->end;
    d->filled_pos += batch->len;
    if (d->len == DAMAGE_OPEN) {
        segment->bytes += batch->len;
        log->state.bytes += batch->len;
    }
    if (batch->max_timestamp_ms > segment->max_timestamp_ms) {
        segment->max_timestamp_ms = batch->max_timestamp_ms;
    }
}

/* The front of the range is good now. */
static void shrink(struct segment *segment, int64_t offset, int64_t end, size_t len)
{
    struct damage *d = segment_damage_at(segment, offset);

    if (d == NULL || d->offset != offset || d->filled < end) {
        return; /* it has become part of a larger one meanwhile: it is filled again */
    }
    d->offset = end;
    d->pos += len;
    d->len -= d->len == DAMAGE_OPEN ? 0 : len;
    if (d->offset >= d->end) {
        size_t index = (size_t)(d - segment->damage);
        segment->damage_count--;
        memmove(d, d + 1, (segment->damage_count - index) * sizeof *d);
    }
}

/* Memory may hold the bad bytes that the journal had. False: they are on their way to the file. */
static bool mend_ring(struct store_log *log, struct chunk batch, int64_t base)
{
    uint32_t index = ring_find(log, base);

    if (index == log->ring_count || ring_at(log, index)->offset > base) {
        return true;
    }
    struct entry *entry = ring_at(log, index);
    if (entry->in_pipeline || entry->offset != base || entry->bytes.len != batch.len) {
        return false;
    }
    chunk_drop(&entry->bytes);
    entry->bytes = chunk_ref(batch);
    return true;
}

int store_repair(struct store_log *log, struct chunk batch, struct store_req *req)
{
    struct store *store = log->store;
    struct segment *segment = NULL;
    struct batch_peek peek;

    if (log->state.truncating || log->deleted || store->failed) {
        return TERN_EBUSY;
    }
    if (!batch_peek(chunk_slice(batch), &peek) || batch.len > journal_batch_max(store) ||
        peek.base < log->state.log_start || /* of what is deleted nobody knows the epoch */
        !log_batch_is_right(log, chunk_slice(batch), &peek, peek.base)) {
        return TERN_EREFUSED;
    }
    struct damage *d = range_for(log, &peek, &segment);
    if (d == NULL) {
        d = reopen(log, &peek, &segment);
    }
    if (d == NULL) {
        return TERN_EREFUSED;
    }
    if (!mend_ring(log, batch, peek.base)) {
        return TERN_EBUSY;
    }
    struct entry *entry = entry_new(store, ENTRY_REPAIR, log, req);
    entry->bytes = chunk_ref(batch);
    entry->offset = peek.base;
    entry->end = peek.end;
    entry->segment = segment;
    entry->pos = d->filled_pos;
    advance(segment, d, &peek);
    pending_push(store, entry);
    return 0;
}

void repair_applied(struct store_log *log, struct entry *entry)
{
    struct store_req *req = entry->req;

    entry->req = NULL;
    if (!log->deleted) {
        shrink(entry->segment, entry->offset, entry->end, entry->bytes.len);
        /* Its timestamps were not known when the index was made. */
        segment_index_cut(entry->segment, entry->pos);
        log->store->counters.damage_repaired++;
        log_damage_changed(log);
    }
    if (req != NULL) {
        req->done(req, 0);
    }
}

/* The journal has lost the batch of a repair, but not its length: what follows it in the segment
 * stands behind it. */
static void leave_gap(struct segment *segment, struct damage *d, const struct batch_peek *batch)
{
    struct damage gap = {.offset = batch->base,
                         .end = batch->end,
                         .pos = d->filled_pos,
                         .len = batch->len,
                         .filled = batch->base,
                         .filled_pos = d->filled_pos};

    advance(segment, d, batch);
    shrink(segment, batch->base, batch->end, batch->len);
    segment_damage_add(segment, &gap);
    log_damage_changed(segment->log);
}

int repair_replay(struct store_log *log, struct slice bytes, bool whole)
{
    struct store *store = log->store;
    struct segment *segment = NULL;
    struct batch_peek peek;

    if (!batch_peek(bytes, &peek) || peek.len != bytes.len) {
        return TERN_EDAMAGED;
    }
    struct damage *d = range_for(log, &peek, &segment);
    if (!whole) {
        if (d != NULL && d->len == DAMAGE_OPEN) {
            leave_gap(segment, d, &peek);
        }
        return 0;
    }
    struct chunk batch = chunk_copy(bytes);
    if (d == NULL || !mend_ring(log, batch, peek.base)) {
        chunk_drop(&batch); /* what was damaged then is not now, or more is */
        return 0;
    }
    struct entry *entry = entry_new(store, ENTRY_REPAIR, log, NULL);
    entry->bytes = batch;
    entry->offset = peek.base;
    entry->end = peek.end;
    entry->segment = segment;
    entry->pos = d->filled_pos;
    entry->in_pipeline = true;
    advance(segment, d, &peek);
    apply_push(store, entry);
    return 0;
}

struct count {
    uint32_t files;
};

static void count_kept(void *ctx, const char *name)
{
    struct count *count = ctx;
    size_t len = strlen(name);

    count->files += len > 8 && strcmp(name + len - 8, ".damaged") == 0;
}

/* For people to look at; nothing rests on it. */
void repair_keep(const struct entry *entry)
{
    struct store *store = entry->log->store;
    struct disk *disk = store->disk;
    struct disk_file *file = NULL;
    struct count count = {0};
    char id[UUID_TEXT_SIZE];
    char path[STORE_PATH_MAX];

    (void)disk->ops->list(disk, "quarantine", count_kept, &count);
    if (count.files >= KEPT_MAX || store->below_reserve) {
        return;
    }
    uint8_t *bytes = mem_new(entry->bytes.len);
    int64_t got = disk->ops->read(disk, entry->segment->file, entry->pos, bytes, entry->bytes.len);
    uuid_text(entry->log->key.topic_id, id);
    (void)snprintf(path, sizeof path, "quarantine/%s-%d-%lld-%lld.damaged", id,
                   (int)entry->log->key.partition, (long long)entry->offset, (long long)entry->end);
    if (got > 0 && disk->ops->open(disk, path, true, &file) == 0) {
        (void)disk->ops->write(disk, file, 0, slice_of(bytes, (size_t)got));
        disk->ops->close(disk, file);
    }
    free(bytes);
}
