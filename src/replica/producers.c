/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/producers.h"

#include <uthash.h>

#include "base/error.h"
#include "base/reader.h"

#define PRODUCERS_FORMAT     3
#define PRODUCERS_FORMAT_OLD 2 /* without transactions; 1 did not tell who was forgotten */

/* Bytes of a packed table: what is there once, a producer without its batches, one of these, a transaction. */
#define PACKED_HEADS    24
#define PACKED_PRODUCER 23
#define PACKED_BATCH    24
#define PACKED_SPAN     24

struct noted {
    int32_t first_seq;
    int32_t last_seq;
    int64_t base_offset;
    int64_t last_offset;
};

struct producer {
    int64_t id;
    int16_t epoch;
    uint8_t count; /* of batches, oldest first */
    uint8_t age;   /* calls of producers_age since its newest batch; not in snapshots */
    struct noted batches[PRODUCER_BATCHES];
    int64_t last_timestamp;
    int32_t coordinator_epoch; /* of its newest marker; -1: none */
    int64_t open_since;        /* -1: no transaction is open */
    int64_t marker_number;     /* these two are not in snapshots */
    int64_t marker_at;
    UT_hash_handle hh; /* in order of the first batch; re-inserted by each batch: oldest first */
};

/* A transaction that is open, or whose end is not below the high watermark yet. */
struct span {
    int64_t producer_id;
    int64_t first;
    int64_t last; /* offset of its marker; -1: open */
};

struct producers {
    struct producer *table;
    int64_t forgotten_max;
    struct span *spans; /* ascending by first */
    size_t span_count;
    size_t span_cap;
    size_t open_count;
    int64_t settled;                   /* the highest HW told */
    struct producers_aborted *aborted; /* ascending by last */
    size_t aborted_count;
    size_t aborted_cap;
};

struct producers *producers_new(void)
{
    struct producers *p = mem_new(sizeof *p);

    p->forgotten_max = -1;
    return p;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static bool is_settled(const struct producers *p, const struct span *span)
{
    return span->last >= 0 && span->last < p->settled;
}

/* Those in the middle go only when room is needed: one look at many. */
static void make_room(struct producers *p)
{
    size_t kept = 0;

    if (p->span_count < p->span_cap) {
        return;
    }
    for (size_t i = 0; i < p->span_count; i++) {
        if (!is_settled(p, &p->spans[i])) {
            p->spans[kept++] = p->spans[i];
        }
    }
    p->span_count = kept;
    if (kept * 2 >= p->span_cap) {
        p->span_cap = p->span_cap > 0 ? p->span_cap * 2 : 8;
        p->spans = mem_grow(p->spans, p->span_cap, sizeof *p->spans);
    }
}

static void open_span(struct producers *p, struct producer *one, int64_t first)
{
    make_room(p);
    p->spans[p->span_count++] = (struct span){one->id, first, -1};
    p->open_count++;
    one->open_since = first;
}

static void add_aborted(struct producers *p, const struct producers_aborted *one)
{
    if (p->aborted_count == p->aborted_cap) {
        p->aborted_cap = p->aborted_cap > 0 ? p->aborted_cap * 2 : 8;
        p->aborted = mem_grow(p->aborted, p->aborted_cap, sizeof *p->aborted);
    }
    p->aborted[p->aborted_count++] = *one;
}

static int64_t first_open(const struct producers *p, int64_t otherwise)
{
    for (size_t i = 0; i < p->span_count; i++) {
        if (p->spans[i].last < 0) {
            return p->spans[i].first;
        }
    }
    return otherwise;
}

static void close_span(struct producers *p, struct producer *one, const struct batch_info *marker)
{
    for (size_t i = 0; i < p->span_count; i++) {
        struct span *span = &p->spans[i];
        if (span->producer_id == one->id && span->last < 0) {
            span->last = marker->last_offset;
        }
    }
    p->open_count--;
    if (marker->marker == BATCH_ABORT) {
        struct producers_aborted aborted = {one->id, one->open_since, marker->last_offset,
                                            first_open(p, marker->last_offset + 1)};
        add_aborted(p, &aborted);
    }
    one->open_since = -1;
}

int64_t producers_stable(const struct producers *p, int64_t hw)
{
    for (size_t i = 0; i < p->span_count; i++) {
        const struct span *span = &p->spans[i];
        if (span->last < 0 || span->last >= hw) {
            return span->first < hw ? span->first : hw;
        }
    }
    return hw;
}

void producers_settle(struct producers *p, int64_t hw, int64_t log_start)
{
    size_t gone = 0;

    p->settled = hw > p->settled ? hw : p->settled;
    while (gone < p->span_count && is_settled(p, &p->spans[gone])) {
        gone++;
    }
    if (gone > 0) {
        p->span_count -= gone;
        memmove(p->spans, p->spans + gone, p->span_count * sizeof *p->spans);
    }
    for (gone = 0; gone < p->aborted_count && p->aborted[gone].last < log_start;) {
        gone++;
    }
    if (gone > 0) {
        p->aborted_count -= gone;
        memmove(p->aborted, p->aborted + gone, p->aborted_count * sizeof *p->aborted);
    }
}

const struct producers_aborted *producers_aborted(const struct producers *p, int64_t from,
                                                  size_t *out_count)
{
    size_t low = 0;
    size_t high = p->aborted_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->aborted[middle].last < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *out_count = p->aborted_count - low;
    return p->aborted + low;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void forget(struct producers *p, struct producer *one)
{
    CHECK(one->open_since < 0);
    p->forgotten_max = one->id > p->forgotten_max ? one->id : p->forgotten_max;
    HASH_DEL(p->table, one);
    free(one);
}

void producers_clear(struct producers *p)
{
    struct producer *each;
    struct producer *next;

    HASH_ITER (hh, p->table, each, next) {
        HASH_DEL(p->table, each);
        free(each);
    }
    p->forgotten_max = -1;
    p->span_count = 0;
    p->open_count = 0;
    p->settled = -1;
    p->aborted_count = 0;
}

void producers_free(struct producers *p)
{
    if (p != NULL) {
        producers_clear(p);
        free(p->spans);
        free(p->aborted);
        free(p);
    }
}

size_t producers_count(const struct producers *p)
{
    return HASH_COUNT(p->table);
}

static struct producer *find(const struct producers *p, int64_t id)
{
    struct producer *found;

    HASH_FIND(hh, p->table, &id, sizeof id, found);
    return found;
}

int16_t producers_epoch_of(const struct producers *p, int64_t producer_id)
{
    const struct producer *known = find(p, producer_id);

    return known != NULL ? known->epoch : -1;
}

/* Sequence numbers wrap from INT32_MAX to 0. */
static int32_t seq_after(int32_t seq, int32_t steps)
{
    return (int32_t)(((uint32_t)seq + (uint32_t)steps) & 0x7fffffffU);
}

static int32_t last_seq(const struct batch_info *batch)
{
    /* Not by the count: compaction takes records out. */
    return seq_after(batch->base_sequence, (int32_t)(batch->last_offset - batch->base_offset));
}

/* Is `seq` ahead of what is expected because a lossy epoch cut off what was between? */
static bool gap_is_lossy(const struct producer *known, const struct batch_info *batch,
                         int32_t expected, int64_t lossy_start)
{
    uint32_t ahead = ((uint32_t)batch->base_sequence - (uint32_t)expected) & 0x7fffffffU;
    int64_t newest = known->count > 0 ? known->batches[known->count - 1].last_offset : -1;

    return newest < lossy_start && ahead < 0x40000000U;
}

bool producers_knows(const struct producers *p, int64_t producer_id)
{
    return find(p, producer_id) != NULL;
}

static struct producer_view view_of(const struct producer *one)
{
    return (struct producer_view){
        .id = one->id,
        .epoch = one->epoch,
        .last_sequence = one->count > 0 ? one->batches[one->count - 1].last_seq : -1,
        .last_timestamp = one->last_timestamp,
        .coordinator_epoch = one->coordinator_epoch,
        .open_since = one->open_since,
        .marker_at = one->marker_at,
    };
}

bool producers_view(const struct producers *p, int64_t producer_id, struct producer_view *out)
{
    const struct producer *one = find(p, producer_id);

    if (one != NULL) {
        *out = view_of(one);
    }
    return one != NULL;
}

void producers_each(const struct producers *p,
                    void (*each)(void *ctx, const struct producer_view *view), void *ctx)
{
    for (const struct producer *one = p->table; one != NULL; one = one->hh.next) {
        struct producer_view view = view_of(one);
        each(ctx, &view);
    }
}

static bool is_transactional(const struct batch_info *batch)
{
    return (batch->attributes & BATCH_TRANSACTIONAL) != 0;
}

/* A transaction is one run of batches, and has room. 0 or TERN_E*. */
static int check_transaction(const struct producers *p, const struct producer *known,
                             const struct batch_info *batch)
{
    bool open = known != NULL && known->open_since >= 0;

    if (open && !is_transactional(batch)) {
        return TERN_ETXNSTATE;
    }
    bool begins = is_transactional(batch) && !open;
    bool full = p->open_count >= PRODUCERS_OPEN_MAX || p->aborted_count >= PRODUCERS_ABORTED_MAX;
    return begins && full ? TERN_EBUSY : 0;
}

/* The batch of these sequences that is in the log already; NULL: none of the newest ones. */
static const struct noted *find_original(const struct producer *known,
                                         const struct batch_info *batch)
{
    for (uint8_t i = 0; i < known->count && batch->producer_epoch == known->epoch; i++) {
        const struct noted *n = &known->batches[i];
        if (n->first_seq == batch->base_sequence && n->last_seq == last_seq(batch)) {
            return n;
        }
    }
    return NULL;
}

/* Was the original part of a transaction that is over? A producer asks for the end of a transaction only when
 * no batch of it is under way, so this is another batch, under a sequence that was used before: librdkafka does
 * so after an abort that dropped a batch whose answer was lost. */
static bool has_ended(const struct producer *known, const struct batch_info *batch,
                      const struct noted *original)
{
    return is_transactional(batch) &&
           (known->open_since < 0 || original->base_offset < known->open_since);
}

enum producers_verdict producers_check(const struct producers *p, const struct batch_info *batch,
                                       int64_t lossy_start, int64_t *out_base, int64_t *out_last,
                                       int *out_error)
{
    const struct producer *known = batch->producer_id >= 0 ? find(p, batch->producer_id) : NULL;

    if (known == NULL) {
        *out_error = batch->producer_id >= 0 ? check_transaction(p, NULL, batch) : 0;
        return *out_error != 0 ? PRODUCERS_REFUSE : PRODUCERS_APPEND;
    }
    bool sequenced = batch->base_sequence >= 0;
    const struct noted *original = sequenced ? find_original(known, batch) : NULL;
    if (original != NULL && has_ended(known, batch, original)) {
        *out_error = TERN_EOUTOFORDER;
        return PRODUCERS_REFUSE;
    }
    if (original != NULL) {
        *out_base = original->base_offset;
        *out_last = original->last_offset;
        return PRODUCERS_DUPLICATE;
    }
    if (batch->producer_epoch < known->epoch) {
        *out_error = TERN_EPRODUCERFENCED;
        return PRODUCERS_REFUSE;
    }
    int32_t expected = 0;
    if (batch->producer_epoch == known->epoch && known->count > 0) {
        expected = seq_after(known->batches[known->count - 1].last_seq, 1);
    }
    if (sequenced && batch->base_sequence != expected &&
        !gap_is_lossy(known, batch, expected, lossy_start)) {
        *out_error = TERN_EOUTOFORDER;
        return PRODUCERS_REFUSE;
    }
    *out_error = check_transaction(p, known, batch);
    return *out_error != 0 ? PRODUCERS_REFUSE : PRODUCERS_APPEND;
}

bool producers_begins(const struct producers *p, const struct batch_info *batch)
{
    const struct producer *known = find(p, batch->producer_id);

    return is_transactional(batch) &&
           (known == NULL || known->open_since < 0 || batch->producer_epoch > known->epoch);
}

enum producers_verdict producers_check_marker(const struct producers *p,
                                              const struct batch_info *marker, int64_t number,
                                              int64_t *out_at, int *out_error)
{
    const struct producer *known = find(p, marker->producer_id);

    if (known == NULL) {
        return PRODUCERS_APPEND;
    }
    if (number > 0 && number <= known->marker_number) {
        *out_at = known->marker_at;
        return PRODUCERS_DUPLICATE;
    }
    if (marker->producer_epoch < known->epoch) {
        *out_error = TERN_EPRODUCERFENCED;
        return PRODUCERS_REFUSE;
    }
    if (marker->coordinator_epoch < known->coordinator_epoch) {
        *out_error = TERN_ETXNCOORDINATORFENCED;
        return PRODUCERS_REFUSE;
    }
    return PRODUCERS_APPEND;
}

void producers_number_marker(struct producers *p, int64_t producer_id, int64_t number)
{
    struct producer *known = find(p, producer_id);

    if (known != NULL) {
        known->marker_number = number;
    }
}

static struct producer *producer_new(int64_t id, int16_t epoch)
{
    struct producer *one = mem_new(sizeof *one);

    one->id = id;
    one->epoch = epoch;
    one->coordinator_epoch = -1;
    one->open_since = -1;
    one->marker_number = -1;
    one->marker_at = -1;
    return one;
}

/* The one that was heard of longest ago, and that no transaction needs. */
static void forget_oldest(struct producers *p)
{
    for (struct producer *each = p->table; each != NULL; each = each->hh.next) {
        if (each->open_since < 0) {
            forget(p, each);
            return;
        }
    }
}

void producers_note(struct producers *p, const struct batch_info *batch)
{
    bool control = (batch->attributes & BATCH_CONTROL) != 0;

    if (batch->producer_id < 0 || (control && batch->marker == BATCH_NO_MARKER)) {
        return;
    }
    struct producer *known = find(p, batch->producer_id);
    if (known == NULL) {
        if (HASH_COUNT(p->table) >= PRODUCERS_MAX) {
            forget_oldest(p);
        }
        known = producer_new(batch->producer_id, batch->producer_epoch);
        HASH_ADD(hh, p->table, id, sizeof known->id, known);
    } else if (known->hh.next != NULL) {
        HASH_DEL(p->table, known); /* to the end of the order: heard of last */
        HASH_ADD(hh, p->table, id, sizeof known->id, known);
    }
    known->age = 0;
    if (known->epoch != batch->producer_epoch) {
        known->epoch = batch->producer_epoch;
        known->count = 0;
    }
    if (batch->max_timestamp > known->last_timestamp) {
        known->last_timestamp = batch->max_timestamp;
    }
    if (control) {
        known->coordinator_epoch = batch->coordinator_epoch;
        known->marker_at = batch->last_offset;
        if (known->open_since >= 0) {
            close_span(p, known, batch);
        }
        return;
    }
    if (is_transactional(batch) && known->open_since < 0) {
        open_span(p, known, batch->base_offset);
    }
    if (batch->base_sequence < 0) {
        return; /* a coordinator's: nobody sends it again */
    }
    if (known->count == PRODUCER_BATCHES) {
        memmove(&known->batches[0], &known->batches[1],
                sizeof known->batches[0] * (PRODUCER_BATCHES - 1));
        known->count--;
    }
    known->batches[known->count++] = (struct noted){batch->base_sequence, last_seq(batch),
                                                    batch->base_offset, batch->last_offset};
}

void producers_age(struct producers *p, uint8_t steps_max)
{
    struct producer *each;
    struct producer *next;

    HASH_ITER (hh, p->table, each, next) {
        if (each->open_since < 0 && ++each->age > steps_max) {
            forget(p, each);
        }
    }
}

int64_t producers_forgotten_max(const struct producers *p)
{
    return p->forgotten_max;
}

/* How many of its batches lie below `offset`; they are in the order of the log. */
static uint8_t count_below(const struct producer *one, int64_t offset)
{
    uint8_t count = one->count;

    while (count > 0 && one->batches[count - 1].last_offset >= offset) {
        count--;
    }
    return count;
}

static size_t packed_bytes(const struct producer *one, int64_t offset)
{
    return PACKED_PRODUCER + (size_t)count_below(one, offset) * PACKED_BATCH;
}

static void pack_one(const struct producer *one, int64_t offset, struct buf *out)
{
    uint8_t count = count_below(one, offset);

    buf_le64(out, (uint64_t)one->id);
    buf_le16(out, (uint16_t)one->epoch);
    buf_u8(out, count);
    buf_le64(out, (uint64_t)one->last_timestamp);
    buf_le32(out, (uint32_t)one->coordinator_epoch);
    for (uint8_t i = 0; i < count; i++) {
        buf_le32(out, (uint32_t)one->batches[i].first_seq);
        buf_le32(out, (uint32_t)one->batches[i].last_seq);
        buf_le64(out, (uint64_t)one->batches[i].base_offset);
        buf_le64(out, (uint64_t)one->batches[i].last_offset);
    }
}

static void pack_span(const struct span *span, int64_t last, struct buf *out)
{
    buf_le64(out, (uint64_t)span->producer_id);
    buf_le64(out, (uint64_t)span->first);
    buf_le64(out, (uint64_t)last);
}

void producers_pack(const struct producers *p, struct buf *out)
{
    struct producer *each;
    struct producer *next;

    buf_le32(out, PRODUCERS_FORMAT);
    buf_le64(out, (uint64_t)p->forgotten_max);
    buf_le32(out, HASH_COUNT(p->table));
    HASH_ITER (hh, p->table, each, next) {
        pack_one(each, INT64_MAX, out);
    }
    buf_le32(out, (uint32_t)p->span_count);
    for (size_t i = 0; i < p->span_count; i++) {
        pack_span(&p->spans[i], p->spans[i].last, out);
    }
    buf_le32(out, (uint32_t)p->aborted_count);
    for (size_t i = 0; i < p->aborted_count; i++) {
        buf_le64(out, (uint64_t)p->aborted[i].producer_id);
        buf_le64(out, (uint64_t)p->aborted[i].first);
        buf_le64(out, (uint64_t)p->aborted[i].last);
        buf_le64(out, (uint64_t)p->aborted[i].stable);
    }
}

/* Was its transaction open at `offset`? */
static bool spans_over(const struct span *span, int64_t offset)
{
    return span->first < offset && (span->last < 0 || span->last >= offset);
}

static bool is_open_at(const struct producers *p, int64_t id, int64_t offset)
{
    for (size_t i = 0; i < p->span_count; i++) {
        if (p->spans[i].producer_id == id && spans_over(&p->spans[i], offset)) {
            return true;
        }
    }
    return false;
}

/* Leaves out who has been silent longest. */
static uint32_t forget_for_room(const struct producers *p, int64_t offset, size_t bytes,
                                size_t bytes_max, int64_t *out_forgotten_max)
{
    uint32_t skipped = 0;

    *out_forgotten_max = p->forgotten_max;
    for (struct producer *each = p->table; each != NULL && bytes > bytes_max;
         each = each->hh.next) {
        bytes -= packed_bytes(each, offset);
        *out_forgotten_max = each->id > *out_forgotten_max ? each->id : *out_forgotten_max;
        skipped++;
    }
    return skipped;
}

static void pack_none(int64_t forgotten_max, struct buf *out)
{
    buf_le32(out, PRODUCERS_FORMAT);
    buf_le64(out, (uint64_t)forgotten_max);
    buf_le32(out, 0);
    buf_le32(out, 0);
    buf_le32(out, 0);
}

void producers_pack_before(const struct producers *p, int64_t offset, size_t bytes_max,
                           struct buf *out)
{
    size_t begin = out->len;
    uint32_t spans = 0;
    size_t bytes = PACKED_HEADS;
    int64_t forgotten_max;

    for (struct producer *each = p->table; each != NULL; each = each->hh.next) {
        bytes += packed_bytes(each, offset);
    }
    for (size_t i = 0; i < p->span_count; i++) {
        spans += spans_over(&p->spans[i], offset) ? 1 : 0;
    }
    bytes += (size_t)spans * PACKED_SPAN;
    uint32_t skipped = forget_for_room(p, offset, bytes, bytes_max, &forgotten_max);
    uint32_t kept = 0;
    buf_le32(out, PRODUCERS_FORMAT);
    buf_le64(out, (uint64_t)forgotten_max);
    size_t count_at = out->len;
    buf_le32(out, 0);
    for (struct producer *each = p->table; each != NULL; each = each->hh.next) {
        if (skipped == 0 || is_open_at(p, each->id, offset)) {
            pack_one(each, offset, out);
            kept++;
        }
        skipped -= skipped > 0 ? 1 : 0;
    }
    put_le32(out->base + count_at, kept);
    buf_le32(out, spans);
    for (size_t i = 0; i < p->span_count; i++) {
        if (spans_over(&p->spans[i], offset)) {
            pack_span(&p->spans[i], -1, out);
        }
    }
    buf_le32(out, 0);                   /* what is aborted below `offset` nobody reads any more */
    if (out->len - begin > bytes_max) { /* too many open transactions */
        out->len = begin;
        for (struct producer *each = p->table; each != NULL; each = each->hh.next) {
            forgotten_max = each->id > forgotten_max ? each->id : forgotten_max;
        }
        pack_none(forgotten_max, out);
    }
}

static bool unpack_one(struct producers *p, struct reader *r, uint32_t format)
{
    struct producer *one = producer_new(-1, -1);

    one->id = (int64_t)reader_le64(r);
    one->epoch = (int16_t)reader_le16(r);
    one->count = reader_u8(r);
    one->last_timestamp = (int64_t)reader_le64(r);
    if (format > PRODUCERS_FORMAT_OLD) {
        one->coordinator_epoch = (int32_t)reader_le32(r);
    }
    if (r->failed || one->id < 0 || one->count > PRODUCER_BATCHES || find(p, one->id) != NULL) {
        free(one);
        return false;
    }
    for (uint8_t i = 0; i < one->count; i++) {
        one->batches[i].first_seq = (int32_t)reader_le32(r);
        one->batches[i].last_seq = (int32_t)reader_le32(r);
        one->batches[i].base_offset = (int64_t)reader_le64(r);
        one->batches[i].last_offset = (int64_t)reader_le64(r);
    }
    HASH_ADD(hh, p->table, id, sizeof one->id, one);
    return !r->failed;
}

static bool unpack_spans(struct producers *p, struct reader *r)
{
    uint32_t count = reader_le32(r);

    if (r->failed || count > reader_left(r) / 24) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t id = (int64_t)reader_le64(r);
        int64_t first = (int64_t)reader_le64(r);
        int64_t last = (int64_t)reader_le64(r);
        struct producer *one = find(p, id);
        bool ordered = p->span_count == 0 || p->spans[p->span_count - 1].first < first;
        if (first < 0 || !ordered || (last < 0 && (one == NULL || one->open_since >= 0))) {
            return false;
        }
        make_room(p);
        p->spans[p->span_count++] = (struct span){id, first, last};
        if (last < 0) {
            one->open_since = first;
            p->open_count++;
        }
    }
    return true;
}

static bool unpack_aborted(struct producers *p, struct reader *r)
{
    uint32_t count = reader_le32(r);

    if (r->failed || count > reader_left(r) / 32) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct producers_aborted one;
        one.producer_id = (int64_t)reader_le64(r);
        one.first = (int64_t)reader_le64(r);
        one.last = (int64_t)reader_le64(r);
        one.stable = (int64_t)reader_le64(r);
        if (p->aborted_count > 0 && one.last <= p->aborted[p->aborted_count - 1].last) {
            return false;
        }
        add_aborted(p, &one);
    }
    return true;
}

int producers_unpack(struct producers *p, struct slice bytes)
{
    struct reader r = reader_of(bytes);

    producers_clear(p);
    uint32_t format = reader_le32(&r);
    if (format != PRODUCERS_FORMAT && format != PRODUCERS_FORMAT_OLD) {
        return TERN_EFORMAT;
    }
    int64_t forgotten_max = (int64_t)reader_le64(&r);
    uint32_t count = reader_le32(&r);
    if (r.failed || count > PRODUCERS_MAX) {
        return TERN_EMALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!unpack_one(p, &r, format)) {
            producers_clear(p);
            return TERN_EMALFORMED;
        }
    }
    bool whole = format == PRODUCERS_FORMAT_OLD || (unpack_spans(p, &r) && unpack_aborted(p, &r));
    if (!whole || reader_left(&r) > 0) {
        producers_clear(p);
        return TERN_EMALFORMED;
    }
    p->forgotten_max = forgotten_max;
    return 0;
}
