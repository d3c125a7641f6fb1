/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a segment are not what was written there, and how far that goes.
 *
 * A batch is right if its checksum is, and if base offset and epoch, which the checksum does not
 * cover, are what log and history say. Where one is not, the next good place is looked for, from
 * near to far: behind the length that its header tells; a chain of good batches that leads exactly
 * to a known place; that known place itself (an index entry, a batch in memory, another range, the
 * segment's end). What lies between is damaged: from then on it is neither read nor passed on. */
#include "base/trace.h"
#include "store/store_impl.h"

int32_t log_epoch_at(const struct store_log *log, int64_t offset)
{
    int32_t epoch = 0;
    size_t low = 0;
    size_t high = log->state.history_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->history[middle].start_offset <= offset) {
            epoch = log->history[middle].epoch;
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return epoch;
}

bool log_batch_is_right(const struct store_log *log, struct slice whole,
                        const struct batch_peek *batch, int64_t base)
{
    int64_t first = base > log->state.log_start ? base : log->state.log_start;
    int32_t epoch = log_epoch_at(log, first);

    if (batch->base != base || batch->len != whole.len) {
        return false;
    }
    /* What is deleted, or is just being cut, the history does not tell of any more. */
    bool told = batch->end > log->state.log_start && base < log->state.leo && epoch != 0;
    if (told && batch->epoch != epoch && !MUTANT(epoch_unread)) {
        return false;
    }
    return batch_sum_is_right(whole);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

struct damage *segment_damage_from(const struct segment *segment, int64_t offset)
{
    for (uint32_t i = 0; i < segment->damage_count; i++) {
        if (segment->damage[i].end > offset) {
            return &segment->damage[i];
        }
    }
    return NULL;
}

struct damage *segment_damage_at(const struct segment *segment, int64_t offset)
{
    struct damage *damage = segment_damage_from(segment, offset);

    return damage != NULL && damage->offset <= offset ? damage : NULL;
}

bool segment_is_open_ended(const struct segment *segment)
{
    return segment->damage_count > 0 &&
           segment->damage[segment->damage_count - 1].len == DAMAGE_OPEN;
}

static void remove_at(struct segment *segment, uint32_t index)
{
    segment->damage_count--;
    memmove(segment->damage + index, segment->damage + index + 1,
            (segment->damage_count - index) * sizeof *segment->damage);
}

/* The two become one, with what lies between them. */
static void join(struct damage *low, const struct damage *high)
{
    bool open = high->len == DAMAGE_OPEN || low->len == DAMAGE_OPEN;
    uint64_t low_end = low->pos + (low->len == DAMAGE_OPEN ? 0 : low->len);
    uint64_t high_end = high->pos + (high->len == DAMAGE_OPEN ? 0 : high->len);
    uint64_t end = low_end > high_end ? low_end : high_end;

    low->end = low->end > high->end ? low->end : high->end;
    low->len = open ? DAMAGE_OPEN : end - low->pos;
}

static void keep_few(struct segment *segment)
{
    while (segment->damage_count > SEGMENT_DAMAGE_MAX) {
        uint32_t nearest = 0;
        uint64_t least = UINT64_MAX;
        for (uint32_t i = 0; i + 1 < segment->damage_count; i++) {
            uint64_t gap = segment->damage[i + 1].pos - segment->damage[i].pos;
            nearest = gap < least ? i : nearest;
            least = gap < least ? gap : least;
        }
        join(&segment->damage[nearest], &segment->damage[nearest + 1]);
        remove_at(segment, nearest + 1);
    }
}

void segment_damage_add(struct segment *segment, const struct damage *damage)
{
    uint32_t at = 0;

    while (at < segment->damage_count && segment->damage[at].offset < damage->offset) {
        at++;
    }
    segment->damage = mem_grow(segment->damage, segment->damage_count + 1, sizeof *segment->damage);
    memmove(segment->damage + at + 1, segment->damage + at,
            (segment->damage_count - at) * sizeof *segment->damage);
    segment->damage[at] = *damage;
    segment->damage_count++;
    for (uint32_t i = at > 0 ? at - 1 : 0; i + 1 < segment->damage_count;) {
        if (segment->damage[i].end > segment->damage[i + 1].offset) {
            join(&segment->damage[i], &segment->damage[i + 1]);
            remove_at(segment, i + 1);
        } else {
            i++;
        }
    }
    keep_few(segment);
}

void segment_damage_cut(struct segment *segment, int64_t offset)
{
    while (segment->damage_count > 0) {
        struct damage *last = &segment->damage[segment->damage_count - 1];
        if (last->offset < offset) {
            if (last->end > offset) {
                /* Where the cut is inside the range nobody knows. */
                last->end = offset;
                last->len = DAMAGE_OPEN;
                last->filled = last->filled < offset ? last->filled : offset;
            }
            return;
        }
        segment->damage_count--;
    }
}

void log_damage_changed(struct store_log *log)
{
    struct store_log_state *state = &log->state;
    uint32_t count = 0;

    state->damaged_from = INT64_MAX;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        for (uint32_t k = 0; k < segment->damage_count; k++) {
            int64_t first = segment->damage[k].offset;
            if (segment->damage[k].end <= state->log_start) {
                continue; /* deleted: only where the next batch begins is still of interest */
            }
            if (state->damaged_from == INT64_MAX) {
                state->damaged_from = first > state->log_start ? first : state->log_start;
            }
            count++;
        }
    }
    log->store->counters.damage_open += count;
    log->store->counters.damage_open -= log->damage_count;
    log->damage_count = count;
}

void segment_floor(const struct segment *segment, int64_t offset, uint64_t *out_pos,
                   int64_t *out_base)
{
    segment_index_floor(segment, offset, out_pos, out_base);
    for (uint32_t i = 0; i < segment->damage_count; i++) {
        const struct damage *damage = &segment->damage[i];
        if (damage->end <= offset && damage->end > *out_base && damage->len != DAMAGE_OPEN) {
            *out_pos = damage->pos + damage->len;
            *out_base = damage->end;
        }
    }
}

/* ---- how far --------------------------------------------------------------------------------- */

/* A place where a batch is known to begin, or the segment to end. */
struct anchor {
    uint64_t pos;
    int64_t offset;
};

static void nearer(struct anchor *anchor, uint64_t than, uint64_t pos, int64_t offset)
{
    if (pos > than && pos < anchor->pos) {
        *anchor = (struct anchor){pos, offset};
    }
}

static struct anchor next_anchor(const struct segment *segment, uint64_t pos)
{
    const struct store_log *log = segment->log;
    struct anchor anchor = {segment->bytes, segment->end};

    for (uint32_t i = 0; i < segment->index_count; i++) {
        nearer(&anchor, pos, segment->index[i].pos, segment->base + segment->index[i].offset_delta);
    }
    for (uint32_t i = 0; i < segment->damage_count; i++) {
        nearer(&anchor, pos, segment->damage[i].pos, segment->damage[i].offset);
    }
    for (uint32_t i = 0; i < log->ring_count; i++) {
        const struct entry *entry = ring_at(log, i);
        if (entry->segment == segment) {
            nearer(&anchor, pos, entry->pos, entry->offset);
            break;
        }
    }
    return anchor;
}

/* Is there a whole, right batch at `at` of `in` that begins with `base`? */
static bool good_at(const struct segment *segment, struct slice in, size_t at, int64_t base,
                    struct batch_peek *out)
{
    struct slice rest = slice_of(in.base + at, in.len - at);

    return batch_peek(rest, out) && out->len <= rest.len &&
           log_batch_is_right(segment->log, slice_of(rest.base, out->len), out, base);
}

/* Good batches from `at` on that end exactly where `in` does, with `end`. */
static bool chain_from(const struct segment *segment, struct slice in, size_t at, int64_t base,
                       int64_t end)
{
    while (at < in.len && base < end) {
        struct batch_peek batch;
        if (!good_at(segment, in, at, base, &batch)) {
            return false;
        }
        at += batch.len;
        base = batch.end;
    }
    return at == in.len && base == end;
}

/* The nearest place in `in` from which good batches lead to the anchor. `in` begins where the
 * damage does and ends at the anchor. */
static struct anchor find_end(const struct segment *segment, struct slice in, uint64_t pos,
                              int64_t base, struct anchor anchor)
{
    struct batch_peek batch;

    if (batch_peek(in, &batch) && batch.base == base && batch.len <= in.len &&
        batch.end <= anchor.offset) {
        struct batch_peek next;
        bool whole = batch.len == in.len && batch.end == anchor.offset;
        if (whole || good_at(segment, in, batch.len, batch.end, &next)) {
            return (struct anchor){pos + batch.len, batch.end};
        }
    }
    for (size_t at = 1; at + BATCH_HEADER <= in.len; at++) {
        if (in.base[at + 16] != 2 || !batch_peek(slice_of(in.base + at, in.len - at), &batch) ||
            batch.base <= base || batch.end > anchor.offset || batch.len > in.len - at) {
            continue;
        }
        if (chain_from(segment, in, at, batch.base, anchor.offset)) {
            return (struct anchor){pos + at, batch.base};
        }
    }
    return anchor;
}

static void journal_it(struct segment *segment, const struct damage *damage)
{
    struct store *store = segment->store;
    struct entry *entry = entry_new(store, ENTRY_DAMAGE, segment->log, NULL);

    entry->offset = damage->offset;
    entry->end = damage->end;
    entry->pos = damage->pos;
    entry->len = damage->len;
    entry->number = 0;
    pending_push(store, entry);
}

/* Bytes that the file has not, because it is too short, are zeros. */
static int read_region(struct segment *segment, uint64_t pos, uint8_t *into, size_t len)
{
    struct disk *disk = segment->store->disk;
    int status = segment_open_to_read(segment);

    if (status == TERN_EDAMAGED) {
        return 0; /* no file */
    }
    if (status != 0) {
        return status;
    }
    int64_t got = disk->ops->read(disk, segment->file, pos, into, len);
    return got < 0 ? (int)got : 0;
}

int segment_damaged(struct segment *segment, uint64_t pos, int64_t base, int64_t *out_end,
                    uint64_t *out_pos)
{
    struct store *store = segment->store;
    struct store_log *log = segment->log;
    struct anchor anchor = next_anchor(segment, pos);
    struct batch_peek batch;

    *out_end = base;
    *out_pos = pos;
    uint32_t index = log_segment_of(log, base);
    if (index == log->segment_count || log->segments[index] != segment) {
        return TERN_ECANCELED; /* another file has taken its place, or it is deleted */
    }
    CHECK(base < segment->end); /* INVARIANTS 24: a range lies inside its segment */
    CHECK(pos < anchor.pos || anchor.pos == segment->bytes);
    size_t len = (size_t)(anchor.pos - pos);
    uint8_t *bytes = mem_new(len + 1);
    struct slice region = slice_of(bytes, len);
    int status = read_region(segment, pos, bytes, len);
    if (status == 0 && good_at(segment, region, 0, base, &batch)) {
        *out_end = batch.end;
        *out_pos = pos + batch.len;
        status = TERN_EBUSY;
    }
    if (status == 0) {
        struct anchor end = find_end(segment, region, pos, base, anchor);
        struct damage damage = {.offset = base,
                                .end = end.offset,
                                .pos = pos,
                                .len = end.pos - pos,
                                .filled = base,
                                .filled_pos = pos};
        *out_end = end.offset;
        *out_pos = end.pos;
        trace_error("event=damage_found log=%u partition=%d segment=%lld offset=%lld end=%lld "
                    "bytes=%llu",
                    log->number, (int)log->key.partition, (long long)segment->base,
                    (long long)damage.offset, (long long)damage.end,
                    (unsigned long long)damage.len);
        segment_damage_add(segment, &damage);
        journal_it(segment, &damage);
        store->counters.damage_found++;
        log_damage_changed(log);
        if (store->options.damage != NULL && !store->opening) {
            store->options.damage(store->options.damage_ctx, log);
        }
    }
    free(bytes);
    return status;
}
