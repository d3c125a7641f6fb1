/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/checker_inner.h"

static void *grown(void *array, size_t count, size_t size)
{
    void *out = realloc(array, count * size);

    if (out == NULL) {
        abort();
    }
    return out;
}

static void *fresh(size_t count, size_t size)
{
    void *out = calloc(count > 0 ? count : 1, size);

    if (out == NULL) {
        abort();
    }
    return out;
}

void checker_fail(struct checker *c, const char *format, ...)
{
    va_list args;

    if (c->failure[0] == '\0') {
        va_start(args, format);
        (void)vsnprintf(c->failure, sizeof c->failure, format, args);
        va_end(args);
    }
}

struct checker *checker_new(uint32_t partitions, uint32_t producers, uint32_t readers)
{
    struct checker *c = fresh(1, sizeof *c);

    c->partition_count = partitions;
    c->producer_count = producers;
    c->reader_count = readers;
    c->partitions = fresh(partitions, sizeof *c->partitions);
    c->producers = fresh(producers, sizeof *c->producers);
    c->positions = fresh((size_t)readers * partitions, sizeof *c->positions);
    for (size_t i = 0; i < (size_t)readers * partitions; i++) {
        c->positions[i] = (struct position){NOWHERE, 0, NOWHERE, NOWHERE};
    }
    return c;
}

void checker_free(struct checker *c)
{
    for (uint32_t i = 0; i < c->partition_count; i++) {
        free(c->partitions[i].log);
    }
    for (uint32_t i = 0; i < c->producer_count; i++) {
        free(c->producers[i].values);
    }
    free(c->partitions);
    free(c->producers);
    free(c->positions);
    free(c);
}

const char *checker_failure(const struct checker *c)
{
    return c->failure[0] != '\0' ? c->failure : NULL;
}

struct value *checker_value(struct checker *c, uint32_t producer, uint64_t number)
{
    if (producer >= c->producer_count || number >= c->producers[producer].count ||
        !c->producers[producer].values[number].sent) {
        return NULL;
    }
    return &c->producers[producer].values[number];
}

static struct place *place_of(struct checker *c, uint32_t partition, int64_t offset)
{
    struct partition *p = &c->partitions[partition];

    if (offset >= p->count) {
        int64_t count = p->count > 0 ? p->count : 64;
        while (count <= offset) {
            count *= 2;
        }
        p->log = grown(p->log, (size_t)count, sizeof *p->log);
        memset(&p->log[p->count], 0, (size_t)(count - p->count) * sizeof *p->log);
        for (int64_t i = p->count; i < count; i++) {
            p->log[i].epoch = -1;
        }
        p->count = count;
    }
    return &p->log[offset];
}

static struct position *position_of(struct checker *c, uint32_t reader, uint32_t partition)
{
    return &c->positions[(size_t)reader * c->partition_count + partition];
}

void checker_sent(struct checker *c, uint32_t partition, uint32_t producer, uint64_t number,
                  uint64_t now_us)
{
    struct producer *p = &c->producers[producer];

    if (number >= p->count) {
        uint64_t count = p->count > 0 ? p->count : 256;
        while (count <= number) {
            count *= 2;
        }
        p->values = grown(p->values, (size_t)count, sizeof *p->values);
        memset(&p->values[p->count], 0, (size_t)(count - p->count) * sizeof *p->values);
        p->count = count;
    }
    p->values[number] = (struct value){.offset = NOWHERE,
                                       .partition = partition,
                                       .sent = true,
                                       .cut_offset = NOWHERE,
                                       .sent_us = now_us};
    c->counts.sent++;
}

void checker_tried(struct checker *c, uint32_t producer, uint64_t number, uint64_t now_us)
{
    struct value *value = checker_value(c, producer, number);

    if (value != NULL && value->tried_us == 0) {
        value->tried_us = now_us;
    }
}

/* Which lossy epoch it was that did not keep an acknowledged record: the first behind its own epoch, or, where nobody
 * has told that, behind its ack. */
static uint32_t cut_by(const struct partition *p, const struct place *place,
                       const struct value *there)
{
    for (uint32_t k = 0; k + 1 < p->lossy_count; k++) {
        const struct lossy *lossy = &p->lossy[k];
        if (place->epoch >= 0 ? lossy->epoch > place->epoch : lossy->since_us > there->acked_us) {
            return k;
        }
    }
    return p->lossy_count - 1;
}

void checker_key(struct checker *c, uint32_t producer, uint64_t number, uint32_t key,
                 bool tombstone)
{
    struct value *value = checker_value(c, producer, number);

    if (value != NULL) {
        value->key = key;
        value->tombstone = tombstone;
        c->partitions[value->partition].keyed = true;
    }
}

/* Behind lossy epochs there are records that clients were shown, of which nobody was told that they
 * were acknowledged, and others in their places; and nodes that do not know yet. There only what
 * was acknowledged stands fast; whether it does, the final readers show. False: who says this is
 * not believed. */
static bool gives_way(struct checker *c, struct place *place, struct value *value, int64_t offset,
                      bool an_ack, int32_t epoch)
{
    if (place->known) {
        struct value *there = checker_value(c, place->producer, place->number);
        /* The log that a lossy epoch began with may differ from what was acknowledged even below its
         * end: records of an older epoch stand there, that were never acknowledged, or elsewhere and
         * cut there: two producers whose batches the old home took anew came in another order. */
        bool older = !an_ack && there->acked && there != value && (!value->acked || value->cut) &&
                     (place->epoch < 0 || place->epoch > epoch);
        if (there->acked && there != value && !older) {
            return false;
        }
        if (older) {
            there->cut = true;
            there->cut_offset = offset;
            there->cut_by = cut_by(&c->partitions[value->partition], place, there);
            c->counts.cut++;
        }
        if (there != value) {
            there->offset = NOWHERE;
            *place = (struct place){.epoch = -1};
        }
    }
    if (value->offset != NOWHERE && value->offset != offset) {
        if (value->acked && !an_ack) {
            return false;
        }
        *place_of(c, value->partition, value->offset) = (struct place){.epoch = -1};
        value->offset = NOWHERE;
    }
    return true;
}

/* C1 and C2: somebody says that this value stands there. False: that does not count. */
static bool stands(struct checker *c, uint32_t partition, int64_t offset, uint32_t producer,
                   uint64_t number, bool an_ack, int32_t epoch)
{
    const char *who = an_ack ? "an ack" : "a reader";
    struct value *value = checker_value(c, producer, number);
    struct place *place = place_of(c, partition, offset);

    if (c->partitions[partition].lossy_count > 0 &&
        !gives_way(c, place, value, offset, an_ack, epoch)) {
        return false;
    }
    if (place->known && (place->producer != producer || place->number != number)) {
        checker_fail(c, "C1: partition %u offset %lld held value %u/%llu, %s says %u/%llu",
                     partition, (long long)offset, place->producer,
                     (unsigned long long)place->number, who, producer, (unsigned long long)number);
    }
    place->known = true;
    place->producer = producer;
    place->number = number;
    if (value->offset != NOWHERE && value->offset != offset) {
        c->counts.duplicated++;
        checker_fail(c, "C2: value %u/%llu of partition %u stands at %lld, %s says at %lld, too",
                     producer, (unsigned long long)number, partition, (long long)value->offset, who,
                     (long long)offset);
    }
    value->offset = offset;
    if (place->committed_us > 0 && value->tried_us > place->committed_us &&
        c->partitions[partition].lossy_count == 0) {
        checker_fail(
            c,
            "C15: value %u/%llu was first tried %llu ms after somebody was told that all of "
            "partition %u is committed to beyond %lld, where it stands",
            producer, (unsigned long long)number,
            (unsigned long long)((value->tried_us - place->committed_us) / 1000), partition,
            (long long)offset);
    }
    return true;
}

/* An answer that an older epoch gave before the lossy one was in force, and that came late. */
static bool acked_by_the_cut(struct checker *c, uint32_t partition, int64_t offset,
                             uint64_t left_us, bool old)
{
    const struct partition *p = &c->partitions[partition];

    if (!old || p->lossy_count == 0) {
        return false;
    }
    const struct lossy *newest = &p->lossy[p->lossy_count - 1];
    if (offset >= 0 && offset < newest->start) {
        return false;
    }
    if (left_us > newest->since_us) {
        checker_fail(
            c,
            "C8: partition %u offset %lld was acknowledged by an old leader %llu ms after the "
            "lossy epoch %d",
            partition, (long long)offset, (unsigned long long)((left_us - newest->since_us) / 1000),
            newest->epoch);
    }
    return true;
}

void checker_acked(struct checker *c, uint32_t partition, uint32_t producer, uint64_t number,
                   int64_t offset, uint64_t now_us, uint64_t left_us, bool old)
{
    struct value *value = checker_value(c, producer, number);

    if (value == NULL || value->partition != partition) {
        checker_fail(c, "value %u/%llu was acknowledged and never sent", producer,
                     (unsigned long long)number);
        return;
    }
    c->counts.acked += value->acked ? 0 : 1;
    value->acked = true;
    value->acked_us = now_us;
    if (acked_by_the_cut(c, partition, offset, left_us, old)) {
        c->counts.cut++;
        value->cut = true;
        value->cut_offset = offset;
        value->cut_by = c->partitions[partition].lossy_count - 1;
        return;
    }
    if (offset >= 0) {
        (void)stands(c, partition, offset, producer, number, true, -1);
        if (offset + 1 > c->partitions[partition].acked_end) {
            c->partitions[partition].acked_end = offset + 1;
        }
    }
}

void checker_appended(struct checker *c, uint32_t partition, int64_t offset, uint64_t process)
{
    struct place *place = place_of(c, partition, offset);

    if (place->known) {
        place->process = process;
    }
}

/* Some node still shows what a lossy epoch has cut off. */
static bool is_stale(const struct partition *p, int64_t offset, int32_t epoch)
{
    for (uint32_t i = 0; i < p->lossy_count; i++) {
        if (offset >= p->lossy[i].start && epoch < p->lossy[i].epoch) {
            return true;
        }
    }
    return false;
}

void checker_read(struct checker *c, uint32_t reader, uint32_t partition, int64_t offset,
                  int32_t epoch, uint32_t producer, uint64_t number, bool intact)
{
    struct position *at = position_of(c, reader, partition);
    struct value *value = checker_value(c, producer, number);

    c->counts.reads++;
    if (value == NULL || value->partition != partition || !intact) {
        checker_fail(c, "C3: reader %u, partition %u offset %lld: %s", reader, partition,
                     (long long)offset,
                     intact ? "a value that was never sent" : "bytes were changed");
        return;
    }
    int64_t next = at->next != NOWHERE ? at->next : 0;
    if (c->partitions[partition].keyed ? offset < next : offset != next) {
        checker_fail(c, "C4: reader %u of partition %u was at %lld and got %lld", reader, partition,
                     (long long)at->next, (long long)offset);
    }
    at->next = offset + 1;
    if (offset >= at->high_watermark) {
        checker_fail(c,
                     "C4: reader %u of partition %u got offset %lld above the high watermark %lld",
                     reader, partition, (long long)offset, (long long)at->high_watermark);
    }
    if (is_stale(&c->partitions[partition], offset, epoch)) {
        place_of(c, partition, offset)->stale |= (uint64_t)1 << reader;
        return;
    }
    place_of(c, partition, offset)->stale &= ~((uint64_t)1 << reader);
    if (!stands(c, partition, offset, producer, number, false, epoch)) {
        return;
    }
    struct place *place = place_of(c, partition, offset);
    bool strict = c->partitions[partition].lossy_count == 0;
    if (strict && place->epoch >= 0 && place->epoch != epoch) {
        checker_fail(c, "C1: partition %u offset %lld was of epoch %d, reader %u got epoch %d",
                     partition, (long long)offset, place->epoch, reader, epoch);
    }
    if (strict && offset > 0 && c->partitions[partition].log[offset - 1].epoch > epoch) {
        checker_fail(c, "C1: partition %u: epoch %d at offset %lld follows epoch %d", partition,
                     epoch, (long long)offset, c->partitions[partition].log[offset - 1].epoch);
    }
    place->epoch = epoch;
    place->readers |= (uint64_t)1 << reader;
}

void checker_high_watermark(struct checker *c, uint32_t reader, uint32_t partition,
                            int64_t high_watermark)
{
    struct position *at = position_of(c, reader, partition);

    if (high_watermark < at->high_watermark && c->partitions[partition].lossy_count == 0) {
        checker_fail(c, "C4: reader %u, partition %u: high watermark went from %lld to %lld",
                     reader, partition, (long long)at->high_watermark, (long long)high_watermark);
    }
    at->high_watermark = high_watermark;
    if (high_watermark > c->partitions[partition].told_end) {
        c->partitions[partition].told_end = high_watermark;
    }
}

void checker_rewound(struct checker *c, uint32_t reader, uint32_t partition, int64_t offset)
{
    struct position *at = position_of(c, reader, partition);
    const struct partition *p = &c->partitions[partition];
    bool allowed = false;

    for (uint32_t i = 0; i < p->lossy_count; i++) {
        allowed = allowed || offset >= p->lossy[i].start;
    }
    if (!allowed) {
        checker_fail(
            c,
            "C4: reader %u of partition %u was sent back from %lld to %lld, and no lossy epoch "
            "begins there",
            reader, partition, (long long)at->next, (long long)offset);
    }
    at->next = offset;
    at->from = at->from < offset ? at->from : offset;
    for (int64_t i = offset; i < p->count; i++) {
        p->log[i].stale &= ~((uint64_t)1 << reader); /* it reads on from there */
    }
    at->high_watermark = NOWHERE;
}

uint64_t checker_lossy(struct checker *c, uint32_t partition, int32_t epoch, int64_t start,
                       uint64_t now_us, uint64_t bound_us)
{
    struct partition *p = &c->partitions[partition];
    uint64_t oldest_us = UINT64_MAX; /* ack of the oldest that is gone */
    uint64_t newest_us = 0;          /* sending of the newest one */
    uint64_t cut = 0;

    if (p->lossy_count == LOSSY_MAX) {
        checker_fail(c, "more lossy epochs than the checker has room for");
        return 0;
    }
    p->lossy[p->lossy_count++] =
        (struct lossy){.epoch = epoch, .start = start, .since_us = now_us, .bound_us = bound_us};
    for (int64_t i = start; i < p->count; i++) {
        struct place *place = &p->log[i];
        if (!place->known || place->epoch >= epoch) {
            continue;
        }
        struct value *value = checker_value(c, place->producer, place->number);
        value->offset = NOWHERE;
        if (value->acked) {
            value->cut = true;
            value->cut_offset = i;
            value->cut_by = p->lossy_count - 1;
            cut++;
            oldest_us = value->acked_us < oldest_us ? value->acked_us : oldest_us;
            newest_us = value->sent_us > newest_us ? value->sent_us : newest_us;
        }
        *place = (struct place){.epoch = -1};
    }
    p->acked_end = p->acked_end < start ? p->acked_end : start;
    c->counts.cut += cut;
    if (bound_us > 0 && newest_us > oldest_us && newest_us - oldest_us > bound_us) {
        checker_fail(
            c,
            "C8: partition %u lost records over %llu ms by the lossy epoch %d, the bound is "
            "%llu ms",
            partition, (unsigned long long)((newest_us - oldest_us) / 1000), epoch,
            (unsigned long long)(bound_us / 1000));
    }
    return cut;
}

void checker_each_cut(const struct checker *c,
                      void (*each)(void *ctx, uint32_t partition, int64_t offset), void *ctx)
{
    for (uint32_t i = 0; i < c->producer_count; i++) {
        for (uint64_t n = 0; n < c->producers[i].count; n++) {
            const struct value *value = &c->producers[i].values[n];
            if (value->cut && value->cut_offset >= 0) {
                each(ctx, value->partition, value->cut_offset);
            }
        }
    }
}

void checker_each_lossy(const struct checker *c,
                        void (*each)(void *ctx, uint32_t partition, int32_t epoch, int64_t start),
                        void *ctx)
{
    for (uint32_t i = 0; i < c->partition_count; i++) {
        for (uint32_t k = 0; k < c->partitions[i].lossy_count; k++) {
            each(ctx, i, c->partitions[i].lossy[k].epoch, c->partitions[i].lossy[k].start);
        }
    }
}

void checker_moved(struct checker *c, uint32_t reader, uint32_t partition)
{
    position_of(c, reader, partition)->high_watermark = NOWHERE;
}

/* ---- what is deleted ------------------------------------------------------------------------- */

void checker_keeps(struct checker *c, uint32_t partition, int64_t records)
{
    c->partitions[partition].keeps = records;
}

static void note_log_start(struct checker *c, uint32_t partition, int64_t log_start)
{
    struct partition *p = &c->partitions[partition];

    if (log_start <= p->deleted_to) {
        return;
    }
    p->deleted_to = log_start;
    if (p->keeps > 0 && p->lossy_count == 0 && log_start > p->acked_end - p->keeps) {
        checker_fail(c, "C11: partition %u starts at %lld and keeps less than %lld of %lld records",
                     partition, (long long)log_start, (long long)p->keeps, (long long)p->acked_end);
    }
}

void checker_log_start(struct checker *c, uint32_t reader, uint32_t partition, int64_t log_start,
                       int64_t high_watermark)
{
    if (log_start > high_watermark) {
        checker_fail(
            c,
            "C11: reader %u, partition %u: the log starts at %lld, above the high watermark %lld",
            reader, partition, (long long)log_start, (long long)high_watermark);
    }
    note_log_start(c, partition, log_start);
}

void checker_skipped(struct checker *c, uint32_t reader, uint32_t partition, int64_t log_start)
{
    struct position *at = position_of(c, reader, partition);

    note_log_start(c, partition, log_start);
    if (log_start > at->next) {
        at->next = log_start;
        at->from = log_start;
    }
}

void checker_latest(struct checker *c, uint32_t reader, uint32_t partition, int64_t end)
{
    struct position *at = position_of(c, reader, partition);

    if (end < at->latest && c->partitions[partition].lossy_count == 0) {
        checker_fail(c, "C12: reader %u, partition %u: the end went from %lld to %lld", reader,
                     partition, (long long)at->latest, (long long)end);
    }
    at->latest = end;
    if (end > c->partitions[partition].told_end) {
        c->partitions[partition].told_end = end;
    }
}

void checker_committed(struct checker *c, uint32_t partition, int64_t end, uint64_t now_us)
{
    struct partition *p = &c->partitions[partition];

    if (end <= p->committed) {
        return;
    }
    (void)place_of(c, partition, end);
    for (int64_t i = p->committed; i < end; i++) {
        p->log[i].committed_us = now_us;
    }
    p->committed = end;
}

int64_t checker_deleted_to(const struct checker *c, uint32_t partition)
{
    return c->partitions[partition].deleted_to;
}

/* Nothing was ever shown as committed up to there, and it is deleted all the same. */
static void check_deleted(struct checker *c, uint32_t partition)
{
    const struct partition *p = &c->partitions[partition];

    if (p->deleted_to > p->told_end && p->lossy_count == 0) {
        checker_fail(c, "C11: partition %u was deleted up to %lld, the high watermark was %lld",
                     partition, (long long)p->deleted_to, (long long)p->told_end);
    }
}

int64_t checker_acked_end(const struct checker *c, uint32_t partition)
{
    return c->partitions[partition].acked_end;
}

/* C5 and C7. */
static void check_epochs(struct checker *c, uint32_t partition)
{
    const struct partition *p = &c->partitions[partition];
    const struct place *first = NULL;

    for (int64_t i = 0; i < p->count; i++) {
        const struct place *place = &p->log[i];
        if (!place->known || place->epoch < 0 || place->process == 0) {
            continue;
        }
        if (first != NULL && first->epoch == place->epoch && first->process != place->process) {
            checker_fail(
                c, "C9: partition %u offset %lld: epoch %d was served by %llu/%llu and %llu/%llu",
                partition, (long long)i, place->epoch, (unsigned long long)(first->process >> 32),
                (unsigned long long)(first->process & UINT32_MAX),
                (unsigned long long)(place->process >> 32),
                (unsigned long long)(place->process & UINT32_MAX));
        }
        first = place;
    }
}

static void check_log(struct checker *c, uint32_t partition)
{
    struct partition *p = &c->partitions[partition];
    int64_t end = 0;
    uint64_t *next = fresh(c->producer_count, sizeof *next);

    for (int64_t i = 0; i < p->count; i++) {
        if (p->log[i].known) {
            end = i + 1;
        }
    }
    for (int64_t i = 0; i < end; i++) {
        const struct place *place = &p->log[i];
        if (!place->known && (i < p->deleted_to || p->keyed)) {
            continue;
        }
        if (!place->known) {
            checker_fail(c, "C7: partition %u has nothing at offset %lld, below %lld", partition,
                         (long long)i, (long long)end);
            break;
        }
        if (place->number < next[place->producer]) {
            checker_fail(
                c, "C5: partition %u: value %u/%llu at offset %lld comes after a later one",
                partition, place->producer, (unsigned long long)place->number, (long long)i);
        }
        next[place->producer] = place->number + 1;
    }
    free(next);
}

/* ---- what lossy epochs have cut off ---------------------------------------------------------- */

static void measure_cuts(struct checker *c)
{
    for (uint32_t i = 0; i < c->partition_count; i++) {
        for (uint32_t k = 0; k < c->partitions[i].lossy_count; k++) {
            c->partitions[i].lossy[k].first_cut = INT64_MAX;
            c->partitions[i].lossy[k].oldest_us = UINT64_MAX;
        }
    }
    for (uint32_t i = 0; i < c->producer_count; i++) {
        for (uint64_t n = 0; n < c->producers[i].count; n++) {
            const struct value *v = &c->producers[i].values[n];
            if (!v->cut || v->cut_offset < 0) {
                continue;
            }
            struct lossy *lossy = &c->partitions[v->partition].lossy[v->cut_by];
            lossy->first_cut = v->cut_offset < lossy->first_cut ? v->cut_offset : lossy->first_cut;
            lossy->oldest_us = v->acked_us < lossy->oldest_us ? v->acked_us : lossy->oldest_us;
            lossy->newest_us = v->sent_us > lossy->newest_us ? v->sent_us : lossy->newest_us;
        }
    }
}

/* C8: what was lost is a suffix of what the home had acknowledged, and within the bound also where
 * it is known only now. */
static void check_cuts(struct checker *c, uint32_t partition, uint64_t final_readers)
{
    struct partition *p = &c->partitions[partition];

    for (uint32_t k = 0; k < p->lossy_count; k++) {
        const struct lossy *lossy = &p->lossy[k];
        for (int64_t i = lossy->first_cut; i < p->count; i++) {
            const struct place *place = &p->log[i];
            if (!place->known || place->epoch < 0 || place->epoch >= lossy->epoch) {
                continue;
            }
            const struct value *value = checker_value(c, place->producer, place->number);
            if (value->acked && !value->cut) {
                checker_fail(
                    c,
                    "C8: partition %u: the lossy epoch %d lost what was acknowledged at %lld, and "
                    "not what epoch %d acknowledged at %lld",
                    partition, lossy->epoch, (long long)lossy->first_cut, place->epoch,
                    (long long)i);
            }
        }
        if (lossy->bound_us > 0 && lossy->newest_us > lossy->oldest_us &&
            lossy->newest_us - lossy->oldest_us > lossy->bound_us) {
            checker_fail(
                c, "C8: partition %u: the lossy epoch %d lost %llu ms in all, the bound is %llu",
                partition, lossy->epoch,
                (unsigned long long)((lossy->newest_us - lossy->oldest_us) / 1000),
                (unsigned long long)(lossy->bound_us / 1000));
        }
    }
    for (int64_t i = 0; i < p->count; i++) {
        if ((p->log[i].stale & final_readers) != 0) {
            checker_fail(c, "C8: partition %u: at offset %lld a final reader got what was cut off",
                         partition, (long long)i);
        }
    }
}

/* The final readers that had to see it: not those who found it deleted. */
static uint64_t must_see(const struct checker *c, const struct value *value, uint64_t final_readers)
{
    for (uint32_t r = 0; r < c->reader_count; r++) {
        const struct position *at =
            &c->positions[(size_t)r * c->partition_count + value->partition];
        bool unknown = value->offset < 0 && c->partitions[value->partition].deleted_to > 0;
        if (unknown || (value->offset >= 0 && value->offset < at->from)) {
            final_readers &= ~((uint64_t)1 << r);
        }
    }
    return final_readers;
}

void checker_finish(struct checker *c, uint64_t final_readers)
{
    measure_cuts(c);
    for (uint32_t i = 0; i < c->producer_count; i++) {
        for (uint64_t n = 0; n < c->producers[i].count; n++) {
            const struct value *value = &c->producers[i].values[n];
            if (!value->acked || value->cut || c->partitions[value->partition].keyed) {
                continue;
            }
            uint64_t seen =
                value->offset >= 0 ? place_of(c, value->partition, value->offset)->readers : 0;
            uint64_t wanted = must_see(c, value, final_readers);
            if ((seen & wanted) != wanted) {
                c->counts.lost++;
                checker_fail(c, "C6: value %u/%llu of partition %u, acknowledged at %lld, is lost",
                             i, (unsigned long long)n, value->partition, (long long)value->offset);
            }
        }
    }
    for (uint32_t i = 0; i < c->partition_count; i++) {
        check_log(c, i);
        check_epochs(c, i);
        check_deleted(c, i);
        check_cuts(c, i, final_readers);
        checker_judge_keys(c, i, final_readers);
    }
}

void checker_counts(const struct checker *c, struct checker_counts *out)
{
    *out = c->counts;
}
