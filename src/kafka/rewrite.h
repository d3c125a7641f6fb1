/* SPDX-License-Identifier: Apache-2.0 */
/* Takes records out of a record batch, as compaction does, and makes batches that tell only of
 * offsets. What is left is the batch of the same codec, producer and offsets: base offset, last
 * offset delta, epoch, producer and sequence stay, so that batches still lie end to end.
 *
 * A batch with tombstones gets a *delete horizon* when it is cleaned first (KIP-534): bit 6 of the
 * attributes says that the base timestamp is the time from which on they may go; the records'
 * timestamps are told from there.
 *
 * No record of a control batch is ever taken out here. Nothing is kept between calls. */
#pragma once

#include "base/buf.h"
#include "base/check.h"

#define REWRITE_HEADER  61
#define REWRITE_HORIZON 0x40        /* in the attributes */
#define REWRITE_MAX     (64u << 20) /* of one batch, decompressed: a larger one is left alone */
#define REWRITE_NEVER   INT64_MAX   /* no delete horizon */

struct rewrite_batch {
    int64_t base;
    int64_t end; /* the next batch's base offset */
    int64_t max_timestamp_ms;
    int64_t horizon_ms; /* REWRITE_NEVER: none */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t epoch;
    int32_t records;
    bool transactional;
    bool control;
};

struct rewrite_record {
    int64_t offset;
    int64_t timestamp_ms;
    struct slice key; /* base NULL: none */
    bool tombstone;   /* the value is null */
};

/* The header of `batch`, which was checked before (magic, length). */
void rewrite_peek(struct slice batch, struct rewrite_batch *out);

/* Calls `each` for every record. TERN_EMALFORMED, TERN_ETOOBIG, TERN_EUNSUPPORTED: its inside is
 * not a batch's, or more than REWRITE_MAX. Some records may have been told of by then. */
int rewrite_each(struct slice batch, void (*each)(void *ctx, const struct rewrite_record *record),
                 void *ctx) TERN_MUST_USE;

/* Appends to `out` the batch without the records that `keep` does not want; without any record left
 * its header alone. If tombstones stay and it has no horizon yet, it gets `horizon_ms`.
 * *out_changed: it is not the same bytes. Errors as rewrite_each: then nothing was appended. */
int rewrite_filter(struct slice batch, int64_t horizon_ms,
                   bool (*keep)(void *ctx, const struct rewrite_record *record), void *ctx,
                   struct buf *out, bool *out_changed) TERN_MUST_USE;

/* Appends the batch with its records under another codec (enum batch_codec) at `level` of it
 * (compress.h). All else in its header stays; what is in the records is not looked at. TERN_EMALFORMED,
 * TERN_EUNSUPPORTED, TERN_ETOOBIG (more than `max` decompressed, whatever it claims): then nothing was
 * appended. */
int rewrite_codec(struct slice batch, unsigned codec, int32_t level, size_t max,
                  struct buf *out) TERN_MUST_USE;

/* Appends a batch without records and without a producer, for offsets [base, end). */
void rewrite_gap(int64_t base, int64_t end, int32_t epoch, int64_t max_timestamp_ms,
                 struct buf *out);
