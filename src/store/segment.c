/* SPDX-License-Identifier: Apache-2.0 */
/* Segment files and their sparse indexes. A file is a small header and whole batches; an index is
 * only a shortcut, rebuilt from the file when it is missing or does not fit. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define OPEN_SEGMENTS_MAX 2048
#define SCAN_BYTES        (256u << 10)
#define INDEX_HEADER      48
static const uint8_t segment_magic[8] = {'T', 'E', 'R', 'N', 'S', 'E', 'G', 'M'};
static const uint8_t index_magic[8] = {'T', 'E', 'R', 'N', 'I', 'N', 'D', 'X'};

void log_dir(const struct store_log *log, char out[STORE_PATH_MAX])
{
    char id[UUID_TEXT_SIZE];

    uuid_text(log->key.topic_id, id);
    (void)snprintf(out, STORE_PATH_MAX, "topics/%s-%d", id, (int)log->key.partition);
}

int log_make_dir(struct store_log *log)
{
    char path[STORE_PATH_MAX];

    if (log->dir_made) {
        return 0;
    }
    log_dir(log, path);
    int status = log->store->disk->ops->mkdir(log->store->disk, path);
    if (status == 0) {
        log->dir_made = true;
        log->store->topics_dir_dirty = true;
    }
    return status;
}

void segment_path(const struct segment *segment, const char *suffix, char out[STORE_PATH_MAX])
{
    char dir[STORE_PATH_MAX - 64];
    char id[UUID_TEXT_SIZE];

    uuid_text(segment->log->key.topic_id, id);
    (void)snprintf(dir, sizeof dir, "topics/%s-%d", id, (int)segment->log->key.partition);
    if (segment->generation == 0) {
        (void)snprintf(out, STORE_PATH_MAX, "%s/%020lld.%s", dir, (long long)segment->base, suffix);
    } else {
        (void)snprintf(out, STORE_PATH_MAX, "%s/%020lld-%u.%s", dir, (long long)segment->base,
                       segment->generation, suffix);
    }
}

struct segment *segment_new(struct store_log *log, int64_t base)
{
    struct segment *segment = mem_new(sizeof *segment);

    segment->store = log->store;
    segment->log = log;
    segment->base = base;
    segment->end = base;
    segment->bytes = SEGMENT_HEADER;
    segment->covered = SEGMENT_HEADER;
    segment->covered_end = base;
    segment->covered_max_ms = INT64_MIN;
    segment->max_timestamp_ms = INT64_MIN;
    segment->horizon_ms = INT64_MAX;
    return segment;
}

void segment_header(const struct segment *segment, uint8_t out[SEGMENT_HEADER])
{
    memset(out, 0, SEGMENT_HEADER);
    memcpy(out, segment_magic, sizeof segment_magic);
    put_le32(out + 8, SEGMENT_FORMAT);
    put_le32(out + 12, (uint32_t)segment->log->key.partition);
    memcpy(out + 16, segment->log->key.topic_id.bytes, 16);
    put_le64(out + 32, (uint64_t)segment->base);
    put_le32(out + SEGMENT_HEADER - 4, crc32c(slice_of(out, SEGMENT_HEADER - 4)));
}

/* The list of files that may be closed holds none that an op uses: there may be thousands of those, and
 * whoever looks for one to close would pass all of them. */
static void unlist(struct segment *segment)
{
    if (link_in_list(&segment->lru)) {
        link_remove(&segment->lru);
    }
}

static void note_used(struct segment *segment)
{
    unlist(segment);
    if (segment->pins == 0 && segment->file != NULL) {
        queue_push(&segment->store->open_segments, &segment->lru);
    }
}

static void segment_close(struct segment *segment)
{
    struct store *store = segment->store;

    if (segment->file != NULL) {
        store->disk->ops->close(store->disk, segment->file);
        segment->file = NULL;
        segment_tail_drop(segment);
        unlist(segment);
        store->open_count--;
    }
}

/* Closes the least recently used file that no op uses. False if there is none. */
static bool close_one(struct store *store)
{
    if (queue_empty(&store->open_segments)) {
        return false;
    }
    segment_close(CONTAINER_OF(store->open_segments.next, struct segment, lru));
    return true;
}

int segment_open(struct segment *segment, bool create)
{
    struct store *store = segment->store;
    char path[STORE_PATH_MAX];

    if (segment->file != NULL) {
        note_used(segment);
        return 0;
    }
    if (create) {
        int status = log_make_dir(segment->log);
        if (status != 0) {
            return status;
        }
    }
    if (store->open_count >= OPEN_SEGMENTS_MAX) {
        (void)close_one(store);
    }
    segment_path(segment, "log", path);
    int status = store->disk->ops->open(store->disk, path, create, &segment->file);
    while (status == TERN_EBUSY && close_one(store)) {
        status = store->disk->ops->open(store->disk, path, create, &segment->file);
    }
    if (status != 0) {
        segment->file = NULL;
        return status;
    }
    note_used(segment);
    store->open_count++;
    return 0;
}

int segment_open_to_read(struct segment *segment)
{
    struct disk *disk = segment->store->disk;
    uint8_t want[SEGMENT_HEADER];
    uint8_t have[SEGMENT_HEADER];
    int status = segment_open(segment, false);

    if (status != 0 || segment->header_seen) {
        return status == TERN_ENOENT ? TERN_EDAMAGED : status;
    }
    memset(have, 0, sizeof have);
    int64_t got = disk->ops->read(disk, segment->file, 0, have, sizeof have);
    if (got < 0) {
        return (int)got;
    }
    segment_header(segment, want);
    if (memcmp(have, segment_magic, sizeof segment_magic) == 0 &&
        get_le32(have + 8) != SEGMENT_FORMAT &&
        get_le32(have + SEGMENT_HEADER - 4) == crc32c(slice_of(have, SEGMENT_HEADER - 4))) {
        return TERN_EFORMAT;
    }
    if (memcmp(have, want, sizeof have) != 0) {
        trace_warn("event=segment_header_mended partition=%d segment=%lld",
                   (int)segment->log->key.partition, (long long)segment->base);
        status = disk->ops->write(disk, segment->file, 0, slice_of(want, sizeof want));
        segment_mark_dirty(segment);
    }
    segment->header_seen = true;
    return status == TERN_ENOSPC ? 0 : status;
}

void segment_pin(struct segment *segment)
{
    segment->pins++;
    unlist(segment);
}

void segment_unpin(struct segment *segment)
{
    CHECK(segment->pins > 0);
    if (--segment->pins > 0) {
        return;
    }
    if (segment->doomed) {
        segment_free(segment);
    } else {
        note_used(segment);
    }
}

void segment_free(struct segment *segment)
{
    segment_close(segment);
    if (link_in_list(&segment->dirty)) {
        link_remove(&segment->dirty);
    }
    free(segment->index);
    free(segment->damage);
    free(segment);
}

void segment_remove(struct segment *segment)
{
    struct disk *disk = segment->store->disk;
    char path[STORE_PATH_MAX];

    segment_path(segment, "log", path);
    (void)disk->ops->remove(disk, path);
    segment_path(segment, "index", path);
    (void)disk->ops->remove(disk, path);
    segment->doomed = true;
    if (segment->pins == 0) {
        segment_free(segment);
    }
}

void segment_mark_dirty(struct segment *segment)
{
    if (!segment->doomed && !link_in_list(&segment->dirty)) {
        queue_push(&segment->store->dirty_segments, &segment->dirty);
    }
}

/* ---- index ----------------------------------------------------------------------------------- */

/* The next batch of the covered part. */
static void cover(struct segment *segment, const struct batch_peek *batch)
{
    uint64_t last =
        segment->index_count > 0 ? segment->index[segment->index_count - 1].pos : SEGMENT_HEADER;

    if (segment->covered - last >= SEGMENT_INDEX_EVERY) {
        if (segment->index_count == segment->index_cap) {
            segment->index_cap = segment->index_cap > 0 ? segment->index_cap * 2 : 4;
            segment->index = mem_grow(segment->index, segment->index_cap, sizeof *segment->index);
        }
        segment->index[segment->index_count++] =
            (struct index_entry){(uint32_t)(batch->base - segment->base),
                                 (uint32_t)segment->covered, segment->covered_max_ms};
    }
    segment->covered += batch->len;
    segment->covered_end = batch->end;
    if (batch->max_timestamp_ms > segment->covered_max_ms) {
        segment->covered_max_ms = batch->max_timestamp_ms;
    }
}

void segment_note_batch(struct segment *segment, const struct batch_peek *batch, uint64_t pos)
{
    if (batch->max_timestamp_ms > segment->max_timestamp_ms) {
        segment->max_timestamp_ms = batch->max_timestamp_ms;
    }
    if (segment->covered == pos) {
        cover(segment, batch);
    }
}

void segment_index_cut(struct segment *segment, uint64_t pos)
{
    if (segment->mark_pos > pos || segment->mark_offset > segment->end) {
        segment->mark_pos = 0;
    }
    if (segment->covered <= pos && segment->covered_end <= segment->end) {
        return;
    }
    while (segment->index_count > 0 && segment->index[segment->index_count - 1].pos > pos) {
        segment->index_count--;
    }
    /* The rest is covered again from the last entry on, when it is needed. */
    if (segment->index_count > 0) {
        const struct index_entry *last = &segment->index[segment->index_count - 1];
        segment->covered = last->pos;
        segment->covered_end = segment->base + last->offset_delta;
        segment->covered_max_ms = last->max_before_ms;
    } else {
        segment->covered = SEGMENT_HEADER;
        segment->covered_end = segment->base;
        segment->covered_max_ms = INT64_MIN;
    }
    segment->index_tried = true;
}

void segment_index_drop(struct segment *segment)
{
    free(segment->index);
    segment->mark_pos = 0;
    segment->index = NULL;
    segment->index_count = 0;
    segment->index_cap = 0;
    segment->covered = SEGMENT_HEADER;
    segment->covered_end = segment->base;
    segment->covered_max_ms = INT64_MIN;
    segment->index_tried = false;
}

static bool index_load(struct segment *segment)
{
    struct disk *disk = segment->store->disk;
    struct disk_file *file = NULL;
    char path[STORE_PATH_MAX];
    uint8_t head[INDEX_HEADER];
    uint64_t size = 0;
    bool good = false;

    segment->index_tried = true;
    segment_path(segment, "index", path);
    if (disk->ops->open(disk, path, false, &file) != 0) {
        return false;
    }
    if (disk->ops->size(disk, file, &size) == 0 && size >= INDEX_HEADER &&
        disk->ops->read(disk, file, 0, head, sizeof head) == (int64_t)sizeof head &&
        memcmp(head, index_magic, sizeof index_magic) == 0 &&
        get_le32(head + 8) == SEGMENT_FORMAT && get_le64(head + 16) == segment->bytes &&
        get_le64(head + 24) == (uint64_t)segment->end &&
        get_le32(head + 40) == segment->log->number) {
        uint32_t count = get_le32(head + 12);
        size_t len = (size_t)(size - INDEX_HEADER);
        uint8_t *bytes = mem_new(len);
        if (len == (size_t)count * 16 &&
            disk->ops->read(disk, file, INDEX_HEADER, bytes, len) == (int64_t)len &&
            crc32c_more(crc32c(slice_of(head, INDEX_HEADER - 4)), slice_of(bytes, len)) ==
                get_le32(head + INDEX_HEADER - 4)) {
            segment->index = mem_grow(segment->index, count, sizeof *segment->index);
            segment->index_cap = count > 0 ? count : 1;
            segment->index_count = count;
            for (uint32_t i = 0; i < count; i++) {
                const uint8_t *at = bytes + (size_t)i * 16;
                segment->index[i] =
                    (struct index_entry){get_le32(at), get_le32(at + 4), (int64_t)get_le64(at + 8)};
            }
            segment->covered = segment->bytes;
            segment->covered_end = segment->end;
            segment->covered_max_ms = (int64_t)get_le64(head + 32);
            good = true;
        }
        free(bytes);
    }
    disk->ops->close(disk, file);
    return good;
}

void segment_index_save(struct segment *segment)
{
    struct disk *disk = segment->store->disk;
    struct disk_file *file = NULL;
    struct buf out = {0};
    char path[STORE_PATH_MAX];

    if (segment->covered != segment->bytes) {
        return; /* it is made when somebody needs it */
    }
    uint8_t *head = buf_extend(&out, INDEX_HEADER);
    memset(head, 0, INDEX_HEADER);
    memcpy(head, index_magic, sizeof index_magic);
    put_le32(head + 8, SEGMENT_FORMAT);
    put_le32(head + 12, segment->index_count);
    put_le64(head + 16, segment->bytes);
    put_le64(head + 24, (uint64_t)segment->end);
    put_le64(head + 32, (uint64_t)segment->covered_max_ms);
    put_le32(head + 40, segment->log->number); /* not that of a deleted log of the same name */
    for (uint32_t i = 0; i < segment->index_count; i++) {
        buf_le32(&out, segment->index[i].offset_delta);
        buf_le32(&out, segment->index[i].pos);
        buf_le64(&out, (uint64_t)segment->index[i].max_before_ms);
    }
    uint32_t sum = crc32c(slice_of(out.base, INDEX_HEADER - 4));
    sum = crc32c_more(sum, slice_of(out.base + INDEX_HEADER, out.len - INDEX_HEADER));
    put_le32(out.base + INDEX_HEADER - 4, sum);
    segment_path(segment, "index", path);
    /* A shortcut only: whatever fails here costs a scan later. */
    if (disk->ops->open(disk, path, true, &file) == 0) {
        if (disk->ops->truncate(disk, file, 0) == 0) {
            (void)disk->ops->write(disk, file, 0, buf_slice(&out));
        }
        disk->ops->close(disk, file);
    }
    buf_fini(&out);
}

/* Behind what is damaged there may be an index all the same. */
static bool cover_damage(struct segment *segment)
{
    const struct damage *damage = segment_damage_at(segment, segment->covered_end);

    if (damage == NULL) {
        return false;
    }
    segment->covered = damage->pos + (damage->len == DAMAGE_OPEN ? 0 : damage->len);
    segment->covered_end = damage->end;
    return true;
}

/* The batch that begins at `covered`, at the front of `rest`. 0: it is right; else it is damaged,
 * or not whole. */
static bool next_is_right(const struct segment *segment, struct slice rest,
                          struct batch_peek *out_batch)
{
    return batch_peek(rest, out_batch) && out_batch->len <= rest.len &&
           out_batch->len <= segment->bytes - segment->covered &&
           log_batch_is_right(segment->log, slice_of(rest.base, out_batch->len), out_batch,
                              segment->covered_end);
}

/* May more bytes make it whole? */
static bool is_partial(const struct segment *segment, struct slice rest)
{
    struct batch_peek batch;

    if (rest.len < BATCH_HEADER) {
        return true;
    }
    return batch_peek(rest, &batch) && batch.base == segment->covered_end && batch.len > rest.len &&
           batch.len <= segment->bytes - segment->covered;
}

/* Reads a piece of the file and adds its batches. `bytes` is room that is used again. */
static int cover_more(struct segment *segment, int64_t limit, struct buf *bytes)
{
    struct disk *disk = segment->store->disk;
    size_t want = bytes->cap > SCAN_BYTES ? bytes->cap : SCAN_BYTES;
    int64_t end = 0;
    uint64_t pos = 0;
    int64_t got = 0;
    size_t at = 0;

    if (cover_damage(segment)) {
        return 0;
    }
    int status = segment_open_to_read(segment);
    if (status == 0) {
        buf_clear(bytes);
        got = disk->ops->read(disk, segment->file, segment->covered, buf_extend(bytes, want), want);
    }
    if (got < 0 || (status != 0 && status != TERN_EDAMAGED)) {
        return got < 0 ? (int)got : status;
    }
    while (segment->covered_end < limit &&
           segment_damage_at(segment, segment->covered_end) == NULL) {
        struct batch_peek batch;
        struct slice rest = slice_of(bytes->base + at, (size_t)got - at);
        if (next_is_right(segment, rest, &batch)) {
            cover(segment, &batch);
            at += batch.len;
            continue;
        }
        bool more = status == 0 && (size_t)got == want && is_partial(segment, rest);
        if (more && at == 0) {
            (void)buf_extend(bytes, 2 * want); /* larger than the piece: a larger one */
        }
        if (more) {
            return 0;
        }
        status = segment_damaged(segment, segment->covered, segment->covered_end, &end, &pos);
        return status == TERN_EBUSY ? 0 : status;
    }
    return 0;
}

int segment_index_cover(struct segment *segment, int64_t limit)
{
    struct buf bytes = {0};
    int status = 0;

    limit = limit < segment->end ? limit : segment->end;
    if (segment->covered_end >= limit) {
        return 0;
    }
    bool sealed = log_active(segment->log) != segment;
    if (sealed && segment->covered == SEGMENT_HEADER && !segment->index_tried &&
        index_load(segment)) {
        return 0;
    }
    while (status == 0 && segment->covered_end < limit) {
        status = cover_more(segment, limit, &bytes);
    }
    buf_fini(&bytes);
    if (status == 0 && sealed && segment->covered == segment->bytes) {
        segment_index_save(segment);
    }
    return status;
}

void segment_index_floor(const struct segment *segment, int64_t offset, uint64_t *out_pos,
                         int64_t *out_base)
{
    uint32_t low = 0;
    uint32_t high = segment->index_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->base + segment->index[middle].offset_delta <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out_pos = low > 0 ? segment->index[low - 1].pos : SEGMENT_HEADER;
    *out_base = low > 0 ? segment->base + segment->index[low - 1].offset_delta : segment->base;
}
