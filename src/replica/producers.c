/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/producers.h"

#include <uthash.h>

#include "base/error.h"
#include "base/reader.h"

#define PRODUCERS_FORMAT 2 /* 1 did not tell who was forgotten */

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
    UT_hash_handle hh; /* in order of the first batch; re-inserted by each batch: oldest first */
};

struct producers {
    struct producer *table;
    int64_t forgotten_max;
};

struct producers *producers_new(void)
{
    struct producers *p = mem_new(sizeof *p);

    p->forgotten_max = -1;
    return p;
}

static void forget(struct producers *p, struct producer *one)
{
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
}

void producers_free(struct producers *p)
{
    if (p != NULL) {
        producers_clear(p);
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

    return known->batches[known->count - 1].last_offset < lossy_start && ahead < 0x40000000U;
}

bool producers_knows(const struct producers *p, int64_t producer_id)
{
    return find(p, producer_id) != NULL;
}

enum producers_verdict producers_check(const struct producers *p, const struct batch_info *batch,
                                       int64_t lossy_start, int64_t *out_base, int64_t *out_last,
                                       int *out_error)
{
    const struct producer *known;

    if (batch->producer_id < 0 || (known = find(p, batch->producer_id)) == NULL) {
        return PRODUCERS_APPEND;
    }
    if (batch->producer_epoch == known->epoch) {
        for (uint8_t i = 0; i < known->count; i++) {
            const struct noted *n = &known->batches[i];
            if (n->first_seq == batch->base_sequence && n->last_seq == last_seq(batch)) {
                *out_base = n->base_offset;
                *out_last = n->last_offset;
                return PRODUCERS_DUPLICATE;
            }
        }
    }
    if (batch->producer_epoch < known->epoch) {
        *out_error = TERN_EPRODUCERFENCED;
        return PRODUCERS_REFUSE;
    }
    int32_t expected = 0;
    if (batch->producer_epoch == known->epoch) {
        expected = seq_after(known->batches[known->count - 1].last_seq, 1);
    }
    if (batch->base_sequence != expected && !gap_is_lossy(known, batch, expected, lossy_start)) {
        *out_error = TERN_EOUTOFORDER;
        return PRODUCERS_REFUSE;
    }
    return PRODUCERS_APPEND;
}

void producers_note(struct producers *p, const struct batch_info *batch)
{
    if (batch->producer_id < 0) {
        return;
    }
    struct producer *known = find(p, batch->producer_id);
    if (known == NULL) {
        if (HASH_COUNT(p->table) >= PRODUCERS_MAX) {
            forget(p, p->table); /* the oldest */
        }
        known = mem_new(sizeof *known);
        known->id = batch->producer_id;
        known->epoch = batch->producer_epoch;
    } else {
        HASH_DEL(p->table, known); /* to the end of the order: heard of last */
    }
    HASH_ADD(hh, p->table, id, sizeof known->id, known);
    known->age = 0;
    if (known->epoch != batch->producer_epoch) {
        known->epoch = batch->producer_epoch;
        known->count = 0;
    }
    if (known->count == PRODUCER_BATCHES) {
        memmove(&known->batches[0], &known->batches[1],
                sizeof known->batches[0] * (PRODUCER_BATCHES - 1));
        known->count--;
    }
    known->batches[known->count++] = (struct noted){batch->base_sequence, last_seq(batch),
                                                    batch->base_offset, batch->last_offset};
    if (batch->max_timestamp > known->last_timestamp) {
        known->last_timestamp = batch->max_timestamp;
    }
}

void producers_age(struct producers *p, uint8_t steps_max)
{
    struct producer *each;
    struct producer *next;

    HASH_ITER (hh, p->table, each, next) {
        if (++each->age > steps_max) {
            forget(p, each);
        }
    }
}

int64_t producers_forgotten_max(const struct producers *p)
{
    return p->forgotten_max;
}

void producers_pack(const struct producers *p, struct buf *out)
{
    struct producer *each;
    struct producer *next;

    buf_le32(out, PRODUCERS_FORMAT);
    buf_le64(out, (uint64_t)p->forgotten_max);
    buf_le32(out, HASH_COUNT(p->table));
    HASH_ITER (hh, p->table, each, next) {
        buf_le64(out, (uint64_t)each->id);
        buf_le16(out, (uint16_t)each->epoch);
        buf_u8(out, each->count);
        buf_le64(out, (uint64_t)each->last_timestamp);
        for (uint8_t i = 0; i < each->count; i++) {
            buf_le32(out, (uint32_t)each->batches[i].first_seq);
            buf_le32(out, (uint32_t)each->batches[i].last_seq);
            buf_le64(out, (uint64_t)each->batches[i].base_offset);
            buf_le64(out, (uint64_t)each->batches[i].last_offset);
        }
    }
}

static bool unpack_one(struct producers *p, struct reader *r)
{
    struct producer *one = mem_new(sizeof *one);

    one->id = (int64_t)reader_le64(r);
    one->epoch = (int16_t)reader_le16(r);
    one->count = reader_u8(r);
    one->last_timestamp = (int64_t)reader_le64(r);
    if (r->failed || one->id < 0 || one->count == 0 || one->count > PRODUCER_BATCHES ||
        find(p, one->id) != NULL) {
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

int producers_unpack(struct producers *p, struct slice bytes)
{
    struct reader r = reader_of(bytes);

    producers_clear(p);
    if (reader_le32(&r) != PRODUCERS_FORMAT) {
        return TERN_EFORMAT;
    }
    int64_t forgotten_max = (int64_t)reader_le64(&r);
    uint32_t count = reader_le32(&r);
    if (r.failed || count > PRODUCERS_MAX) {
        return TERN_EMALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!unpack_one(p, &r)) {
            producers_clear(p);
            return TERN_EMALFORMED;
        }
    }
    if (reader_left(&r) > 0) {
        producers_clear(p);
        return TERN_EMALFORMED;
    }
    p->forgotten_max = forgotten_max;
    return 0;
}
