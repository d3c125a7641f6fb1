/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: from the recent batches in memory at once, else from the segment file by one async read
 * (two, if a batch turns out larger than the first guess). */
#include "store/store_impl.h"

#define SCAN_BYTES (256u << 10)
#define READ_SLACK (SEGMENT_INDEX_EVERY + 4096) /* the index may point so far before the offset */

struct read_job {
    struct store_read *read;
    struct store_log *log; /* NULL: cancelled, the log may be gone */
    struct segment *segment;
    struct link link;
    struct disk_op op;
    struct blob *blob;
    size_t skip; /* so many bytes before pos are read, for the sake of a page bound */
    uint64_t pos;
    int64_t base; /* of the batch at pos */
    uint32_t tries;
    int64_t limit;
};

/* ---- from memory ----------------------------------------------------------------------------- */

static void add_chunk(struct store_read *read, struct chunk chunk)
{
    /* Powers of two: room is made when the count reaches one. */
    if ((read->chunk_count & (read->chunk_count - 1)) == 0) {
        size_t cap = read->chunk_count > 0 ? read->chunk_count * 2 : 1;
        read->chunks = mem_grow(read->chunks, cap, sizeof *read->chunks);
    }
    read->chunks[read->chunk_count++] = chunk_ref(chunk);
    read->bytes += chunk.len;
}

static void read_ring(struct store_read *read, uint32_t index)
{
    struct store_log *log = read->log;

    for (; index < log->ring_count; index++) {
        const struct entry *entry = ring_at(log, index);
        if (entry->offset >= read->limit ||
            (read->chunk_count > 0 && read->bytes + entry->bytes.len > read->max_bytes)) {
            break;
        }
        add_chunk(read, entry->bytes);
    }
}

static int64_t ring_start(const struct store_log *log)
{
    return log->ring_count > 0 ? ring_at(log, 0)->offset : log->state.leo;
}

/* ---- from a file ----------------------------------------------------------------------------- */

static void job_free(struct read_job *job)
{
    if (link_in_list(&job->link)) {
        link_remove(&job->link);
    }
    if (job->segment != NULL) {
        segment_unpin(job->segment);
    }
    blob_unref(job->blob);
    free(job);
}

static void job_finish(struct read_job *job, int status)
{
    struct store_read *read = job->read;

    read->status = status;
    read->impl = NULL;
    job_free(job);
    read->done(read);
}

struct taken {
    size_t need;  /* so many bytes the first wanted batch needs, since it is not whole; or 0 */
    size_t at;    /* where it went on no further, */
    int64_t base; /* and with which offset, */
    bool bad;     /* because the batch there is not good */
};

/* Picks the wanted batches out of what was read. */
static struct taken take_batches(struct read_job *job, struct slice in)
{
    struct taken taken = {0};
    struct store_read *read = job->read;
    int64_t base = job->base;
    size_t from = SIZE_MAX;
    size_t at = 0;

    while (base < job->limit) {
        struct batch_peek batch;
        struct slice rest = slice_of(in.base + at, in.len - at);
        bool plausible = batch_peek(rest, &batch) && batch.base == base &&
                         batch.len <= job->segment->bytes - job->pos - at;
        if (plausible && from != SIZE_MAX && at - from + batch.len > read->max_bytes) {
            break;
        }
        if (rest.len < BATCH_HEADER || (plausible && batch.len > rest.len)) {
            if (from == SIZE_MAX) {
                taken.need = at + (plausible ? batch.len : 0) + BATCH_HEADER;
            }
            break;
        }
        if (!plausible ||
            !log_batch_is_right(job->log, slice_of(rest.base, batch.len), &batch, base)) {
            taken.bad = true;
            break;
        }
        if (batch.end > read->offset && from == SIZE_MAX) {
            from = at;
        }
        at += batch.len;
        base = batch.end;
    }
    if (from != SIZE_MAX && at > from) {
        struct chunk chunk = chunk_of(job->blob, in.base + from, at - from);
        add_chunk(read, chunk);
        chunk_drop(&chunk);
    }
    taken.at = at;
    taken.base = base;
    return taken;
}

static void job_submit(struct read_job *job, size_t len);

/* The batch of offset `base`, `at` bytes behind the job's place, is not good. What was good before
 * it is given out all the same; the bad one shows when it comes first. */
static void job_bad(struct read_job *job, size_t at, int64_t base)
{
    int64_t end = 0;
    uint64_t pos = 0;
    int status = segment_damaged(job->segment, job->pos + at, base, &end, &pos);

    if (job->read->chunk_count > 0) {
        status = 0;
    } else if (status == TERN_EBUSY && job->tries++ < 3) {
        job_submit(job, job->op.len); /* at a second look it is good */
        return;
    } else if (status == 0 || status == TERN_EBUSY) {
        status = TERN_EDAMAGED;
    }
    if (status == TERN_EDAMAGED && end <= job->read->offset && job->tries++ < 3) {
        job->pos = pos; /* it was not what was asked for */
        job->base = end;
        job_submit(job, job->read->max_bytes + READ_SLACK);
        return;
    }
    job_finish(job, status);
}

/* Of what was read, the bytes from job->pos on that belong to the segment: behind them a writer may
 * be under way. */
static struct slice job_bytes(const struct read_job *job, size_t got)
{
    uint64_t left = job->segment->bytes - job->pos;
    size_t len = got > job->skip ? got - job->skip : 0;

    return slice_of(job->op.into + job->skip, len < left ? len : (size_t)left);
}

static void job_read(struct disk_op *op, int64_t got)
{
    struct read_job *job = CONTAINER_OF(op, struct read_job, op);

    if (job->log == NULL) {
        job_finish(job, TERN_ECANCELED);
        return;
    }
    if (got < 0) {
        job_finish(job, (int)got);
        return;
    }
    struct slice in = job_bytes(job, (size_t)got);
    struct taken taken = take_batches(job, in);
    bool all = (size_t)got < job->op.len || in.len >= job->segment->bytes - job->pos;
    if (taken.bad || (taken.need > 0 && all)) {
        job_bad(job, taken.at, taken.base);
    } else if (taken.need > 0) {
        job_submit(job, taken.need + job->read->max_bytes);
    } else {
        if (taken.at > 0 && job->segment->covered_end < taken.base) {
            job->segment->mark_pos = job->pos + taken.at;
            job->segment->mark_offset = taken.base;
        }
        job_finish(job, 0);
    }
}

static void job_submit(struct read_job *job, size_t len)
{
    uint64_t left = job->segment->bytes - job->pos;
    size_t bound = job->read->once ? MEM_PAGE : 1; /* for place, length and memory */

    len = len < left ? len : (size_t)left;
    job->skip = (size_t)(job->pos % bound);
    len = (job->skip + len + bound - 1) / bound * bound;
    blob_unref(job->blob);
    job->blob = blob_new(len + bound - 1);
    uint8_t *memory = job->blob->bytes + (bound - 1);
    job->op = (struct disk_op){.kind = DISK_READ,
                               .file = job->segment->file,
                               .pos = job->pos - job->skip,
                               .into = memory - (uintptr_t)memory % bound,
                               .len = len,
                               .done = job_read};
    disk_submit(job->log->store->disk, &job->op);
}

int64_t store_recent_start(const struct store_log *log)
{
    return ring_start(log);
}

/* The first range that ends above `offset`. */
static const struct damage *damage_from(const struct store_log *log, int64_t offset)
{
    for (uint32_t i = log->damage_count > 0 ? log_segment_of(log, offset) : log->segment_count;
         i < log->segment_count; i++) {
        const struct damage *damage = segment_damage_from(log->segments[i], offset);
        if (damage != NULL) {
            return damage;
        }
    }
    return NULL;
}

bool store_read(struct store_read *read)
{
    struct store_log *log = read->log;

    read->status = 0;
    read->chunks = NULL;
    read->chunk_count = 0;
    read->bytes = 0;
    read->impl = NULL;
    CHECK(!log->deleted);
    if (read->offset < log->state.log_start || read->offset > log->state.leo) {
        read->status = TERN_EOUTOFRANGE;
        return true;
    }
    if (read->offset >= log->state.leo || read->offset >= read->limit) {
        return true;
    }
    const struct damage *damage = damage_from(log, read->offset);
    if (damage != NULL && damage->offset <= read->offset) {
        read->status = TERN_EDAMAGED;
        return true;
    }
    if (damage != NULL && damage->offset < read->limit) {
        read->limit = damage->offset;
    }
    uint32_t index = ring_find(log, read->offset);
    if (index < log->ring_count && ring_at(log, index)->offset <= read->offset) {
        read_ring(read, index);
        return true;
    }
    uint32_t segment_index = log_segment_of(log, read->offset);
    CHECK(segment_index < log->segment_count);
    struct segment *segment = log->segments[segment_index];
    int64_t in_files = ring_start(log);
    bool marked = segment->mark_pos > 0 && segment->mark_offset == read->offset &&
                  segment->covered_end < read->offset;
    int status = marked ? 0 : segment_index_cover(segment, read->offset);
    if (status == 0) {
        status = segment_open_to_read(segment);
    }
    if (status == TERN_EDAMAGED) { /* there is no file */
        int64_t end = 0;
        uint64_t pos = 0;
        status = segment_damaged(segment, SEGMENT_HEADER, segment->base, &end, &pos);
        status = status == 0 ? TERN_EDAMAGED : status;
    }
    damage = status == 0 ? segment_damage_at(segment, read->offset) : NULL;
    if (damage != NULL) { /* found just now */
        status = TERN_EDAMAGED;
    }
    if (status != 0) {
        read->status = status;
        return true;
    }
    struct read_job *job = mem_new(sizeof *job);
    job->read = read;
    job->log = log;
    job->segment = segment;
    job->pos = segment->mark_pos;
    job->base = read->offset;
    if (!marked) {
        segment_floor(segment, read->offset, &job->pos, &job->base);
    }
    job->limit = read->limit < in_files ? read->limit : in_files;
    job->limit = job->limit < segment->end ? job->limit : segment->end;
    segment_pin(segment);
    damage = segment_damage_from(segment, read->offset);
    if (damage != NULL && damage->offset < job->limit) {
        job->limit = damage->offset;
    }
    queue_push(&log->reads, &job->link);
    read->impl = job;
    job_submit(job, read->max_bytes + READ_SLACK);
    return false;
}

void store_read_fini(struct store_read *read)
{
    for (size_t i = 0; i < read->chunk_count; i++) {
        chunk_drop(&read->chunks[i]);
    }
    free(read->chunks);
    read->chunks = NULL;
    read->chunk_count = 0;
    read->bytes = 0;
}

void reads_cancel(struct store_log *log)
{
    struct link *link = NULL;

    while ((link = queue_pop(&log->reads)) != NULL) {
        CONTAINER_OF(link, struct read_job, link)->log = NULL;
        queue_push(&log->store->canceled_reads, link);
    }
}

void reads_drop(struct store *store)
{
    struct link *link = NULL;

    while ((link = queue_pop(&store->canceled_reads)) != NULL) {
        job_free(CONTAINER_OF(link, struct read_job, link));
    }
}

/* ---- synchronous walks ----------------------------------------------------------------------- */

/* 0: at a second look it is good. */
static int scan_bad(struct segment *segment, uint64_t pos, int64_t base)
{
    int64_t end = 0;
    uint64_t behind = 0;

    if (segment_damage_at(segment, base) != NULL) {
        return TERN_EDAMAGED;
    }
    int status = segment_damaged(segment, pos, base, &end, &behind);
    return status == TERN_EBUSY ? 0 : status == 0 ? TERN_EDAMAGED : status;
}

/* Batches of one segment's file from the one at `pos` with offset `next` on: those with end > from
 * and base < to. EDAMAGED at the first that cannot be read. */
static int scan_segment(struct segment *segment, uint64_t pos, int64_t next, int64_t from,
                        int64_t to,
                        int (*each)(void *ctx, struct slice bytes, const struct batch_peek *batch),
                        void *ctx)
{
    struct disk *disk = segment->store->disk;
    size_t cap = SCAN_BYTES;
    uint8_t *bytes = NULL;
    int status = segment_open_to_read(segment);

    to = to < segment->end ? to : segment->end;
    while (status == 0 && next < to) {
        struct batch_peek batch = {0};
        size_t at = 0;
        bytes = mem_grow(bytes, cap, 1);
        int64_t got = disk->ops->read(disk, segment->file, pos, bytes, cap);
        if (got < 0) {
            status = (int)got;
            break;
        }
        while (status == 0 && next < to && segment_damage_at(segment, next) == NULL &&
               batch_peek(slice_of(bytes + at, (size_t)got - at), &batch) &&
               batch.len <= (size_t)got - at) {
            struct slice whole = slice_of(bytes + at, batch.len);
            if (!log_batch_is_right(segment->log, whole, &batch, next)) {
                break;
            }
            if (batch.end > from && batch.base < to) {
                status = each(ctx, whole, &batch);
            }
            next = batch.end;
            at += batch.len;
        }
        if (status == 0 && at == 0) {
            /* No whole batch: it is larger than what was read, or there is none. */
            bool larger = segment_damage_at(segment, next) == NULL && batch.base == next &&
                          batch.len > cap && batch.len <= segment->bytes - pos;
            status = larger ? 0 : scan_bad(segment, pos, next);
            cap = larger ? batch.len : cap;
        }
        pos += at;
    }
    free(bytes);
    return status;
}

int log_scan(struct store_log *log, int64_t from, int64_t to,
             int (*each)(void *ctx, struct slice bytes, const struct batch_peek *batch), void *ctx)
{
    int64_t in_files = ring_start(log);
    int64_t file_to = to < in_files ? to : in_files;
    int64_t at = from;
    int status = 0;

    for (uint32_t i = log_segment_of(log, at); i < log->segment_count && at < file_to; i++) {
        struct segment *segment = log->segments[i];
        uint64_t pos = 0;
        int64_t base = 0;
        status = segment_index_cover(segment, at);
        if (status == 0) {
            segment_floor(segment, at, &pos, &base);
            status = scan_segment(segment, pos, base, from, file_to, each, ctx);
        }
        if (status != 0) {
            return status;
        }
        at = segment->end;
    }
    for (uint32_t i = 0; i < log->ring_count && status == 0; i++) {
        const struct entry *entry = ring_at(log, i);
        struct batch_peek batch;
        if (entry->offset >= to) {
            break;
        }
        if (entry->end > from) {
            if (log->damage_count > 0 && segment_damage_at(entry->segment, entry->offset) != NULL) {
                return TERN_EDAMAGED;
            }
            CHECK(batch_peek(chunk_slice(entry->bytes), &batch));
            status = each(ctx, chunk_slice(entry->bytes), &batch);
        }
    }
    return status;
}

/* The place of a cut. In a damaged range only its front is known: log_cut cuts the rest of it by
 * offset alone. */
static bool locate_in_damage(const struct segment *segment, int64_t offset, uint64_t *out_pos,
                             int64_t *out_base)
{
    const struct damage *damage = segment_damage_at(segment, offset);

    if (damage == NULL) {
        return false;
    }
    *out_pos = damage->pos;
    *out_base = offset;
    return true;
}

/* From the batch at pos to the next one. 1: `offset` lies inside it, it stays there. */
static int step_over(struct segment *segment, int64_t offset, uint64_t *pos, int64_t *base)
{
    struct disk *disk = segment->store->disk;
    struct batch_peek batch;
    uint8_t head[BATCH_HEADER];
    int64_t end = 0;
    uint64_t behind = 0;
    bool right = false;
    int64_t got = 0;
    int status = segment_open_to_read(segment);

    if (status == 0) {
        got = disk->ops->read(disk, segment->file, *pos, head, sizeof head);
    }
    if (got < 0 || (status != 0 && status != TERN_EDAMAGED)) {
        return got < 0 ? (int)got : status;
    }
    if (status == 0 && batch_peek(slice_of(head, (size_t)got), &batch) &&
        batch.len <= segment->bytes - *pos) {
        uint8_t *whole = mem_new(batch.len);
        got = disk->ops->read(disk, segment->file, *pos, whole, batch.len);
        right = got == (int64_t)batch.len && batch_peek(slice_of(whole, batch.len), &batch) &&
                log_batch_is_right(segment->log, slice_of(whole, (size_t)got), &batch, *base);
        free(whole);
    }
    if (right && batch.end > offset) {
        return 1;
    }
    if (!right) {
        status = segment_damaged(segment, *pos, *base, &end, &behind);
        if (status != 0 || end > offset) {
            return status == TERN_EBUSY ? 0 : status;
        }
    }
    *pos = right ? *pos + batch.len : behind;
    *base = right ? batch.end : end;
    return 0;
}

int log_locate(struct store_log *log, int64_t offset, uint32_t *out_index, uint64_t *out_pos,
               int64_t *out_base)
{
    uint32_t ring_index = ring_find(log, offset);
    uint32_t index = log_segment_of(log, offset);
    uint64_t pos = 0;
    int64_t base = 0;

    CHECK(index < log->segment_count);
    struct segment *segment = log->segments[index];
    *out_index = index;
    if (ring_index < log->ring_count && ring_at(log, ring_index)->offset <= offset) {
        const struct entry *entry = ring_at(log, ring_index);
        *out_pos = entry->pos;
        *out_base = entry->offset;
        return 0;
    }
    /* Walk the batches from the index entry on. */
    int status = segment_index_cover(segment, offset);
    segment_floor(segment, offset, &pos, &base);
    while (status == 0) {
        if (locate_in_damage(segment, offset, out_pos, out_base)) {
            return 0;
        }
        if (base == offset) {
            *out_pos = pos;
            *out_base = base;
            return 0;
        }
        status = step_over(segment, offset, &pos, &base);
        if (status == 1) {
            *out_pos = pos;
            *out_base = base;
            return 0;
        }
    }
    return status;
}

struct find_time {
    int64_t wanted_ms;
    int64_t offset;
    int64_t timestamp_ms;
};

static int find_time_each(void *ctx, struct slice bytes, const struct batch_peek *batch)
{
    struct find_time *find = ctx;

    (void)bytes;
    if (batch->max_timestamp_ms < find->wanted_ms) {
        return 0;
    }
    find->offset = batch->base;
    find->timestamp_ms = batch->max_timestamp_ms;
    return 1; /* found */
}

/* The offset from which on this segment must be walked. */
static int64_t time_floor(const struct segment *segment, int64_t timestamp_ms)
{
    uint32_t low = 0;
    uint32_t high = segment->index_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->index[middle].max_before_ms < timestamp_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? segment->base + segment->index[low - 1].offset_delta : segment->base;
}

int store_find_time(struct store_log *log, int64_t timestamp_ms, int64_t *out_offset,
                    int64_t *out_timestamp_ms)
{
    struct find_time find = {.wanted_ms = timestamp_ms, .offset = -1, .timestamp_ms = -1};
    int status = 0;

    for (uint32_t i = 0; i < log->segment_count && status == 0; i++) {
        struct segment *segment = log->segments[i];
        int64_t in_files = ring_start(log);
        if (segment->max_timestamp_ms < timestamp_ms || segment->end <= log->state.log_start) {
            continue;
        }
        status = segment_index_cover(segment, in_files);
        if (status == 0) {
            int64_t from = time_floor(segment, timestamp_ms);
            from = from > log->state.log_start ? from : log->state.log_start;
            status = log_scan(log, from, segment->end, find_time_each, &find);
        }
    }
    if (status < 0) {
        return status;
    }
    *out_offset = find.offset;
    *out_timestamp_ms = find.timestamp_ms;
    return 0;
}

/* No batch is newer; exact unless the log was cut. */
static int64_t newest_bound(const struct store_log *log)
{
    int64_t newest_ms = INT64_MIN;

    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->end > log->state.log_start && segment->max_timestamp_ms > newest_ms) {
            newest_ms = segment->max_timestamp_ms;
        }
    }
    return newest_ms;
}

int store_find_newest(struct store_log *log, int64_t *out_offset, int64_t *out_timestamp_ms)
{
    int64_t high = newest_bound(log);
    int64_t low = 0; /* the newest time is from low to high, if there is one at all */
    int64_t middle = high;
    int status = 0;

    *out_offset = -1;
    *out_timestamp_ms = -1;
    while (status == 0 && low <= high) {
        int64_t offset;
        int64_t found_ms;
        status = store_find_time(log, middle, &offset, &found_ms);
        if (status == 0 && offset >= 0) {
            *out_offset = offset;
            *out_timestamp_ms = found_ms;
            low = found_ms + 1;
        } else {
            high = middle - 1;
        }
        middle = low + (high - low) / 2;
    }
    return status;
}

int64_t store_retention_start(struct store_log *log, int64_t wall_ms, int64_t retention_ms,
                              int64_t retention_bytes, int64_t limit)
{
    uint64_t left = log->state.bytes;
    int64_t start = log->state.log_start;

    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        bool active = i + 1 == log->segment_count;
        uint64_t size = segment->bytes - SEGMENT_HEADER;
        bool old = retention_ms >= 0 && segment->max_timestamp_ms < wall_ms - retention_ms;
        bool much = !active && retention_bytes >= 0 && left - size >= (uint64_t)retention_bytes;
        if (segment->end > limit || !(old || much)) {
            break;
        }
        left -= size;
        start = segment->end > start ? segment->end : start;
    }
    return start;
}
