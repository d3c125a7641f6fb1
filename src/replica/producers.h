/* SPDX-License-Identifier: Apache-2.0 */
/* Producers of one partition (KIP-98; rule 7) and their transactions: a function of the log, so that
 * failover, truncation and restart rebuild it by noting the log's batches again.
 *
 * Checked against the state after the last *appended* batch, committed or not, because producers
 * keep up to five batches in flight. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "kafka/batch.h"

#define PRODUCER_BATCHES      5
#define PRODUCERS_MAX         100000 /* per partition; then the longest silent one is forgotten */
#define PRODUCER_HOURS        24     /* of silence, as Kafka's producer.id.expiration.ms */
#define PRODUCERS_OPEN_MAX    20000  /* transactions; then no further one begins */
#define PRODUCERS_ABORTED_MAX 200000 /* aborted ones that the log still holds; likewise */

struct producers; /* table by producer id */

struct producers *producers_new(void);
void producers_free(struct producers *p);
void producers_clear(struct producers *p);
size_t producers_count(const struct producers *p);
bool producers_knows(const struct producers *p, int64_t producer_id);

struct producer_view {
    int64_t id;
    int16_t epoch;
    int32_t last_sequence; /* -1: none in this epoch */
    int64_t last_timestamp;
    int32_t coordinator_epoch; /* of its newest marker; -1: none */
    int64_t open_since;        /* first offset of its open transaction; -1: none */
    int64_t marker_at;         /* offset of that marker; -1: not known */
};
/* False: it is not known. */
bool producers_view(const struct producers *p, int64_t producer_id, struct producer_view *out);
void producers_each(const struct producers *p,
                    void (*each)(void *ctx, const struct producer_view *view), void *ctx);

enum producers_verdict { PRODUCERS_APPEND, PRODUCERS_DUPLICATE, PRODUCERS_REFUSE };
/* `lossy_start`: where the newest lossy epoch of the partition begins, -1 if there was none. It cut
 * off batches that producers know as acknowledged: a producer whose newest batch lies below may go
 * on with a gap, once. What is there is still recognised, and nothing goes back. What to do with a
 * client's batch. DUPLICATE: the original's offsets, of the transaction that is open if it has one: the sequences of
 * one that has ended are used up. REFUSE: error is TERN_EOUTOFORDER, TERN_EPRODUCERFENCED, TERN_ETXNSTATE (not of the transaction that is open) or TERN_EBUSY (too many
 * transactions). Batches without a producer id are always appended; one without a sequence (-1) is a
 * coordinator's, whose order is its own. */
enum producers_verdict producers_check(const struct producers *p, const struct batch_info *batch,
                                       int64_t lossy_start, int64_t *out_base, int64_t *out_last,
                                       int *out_error);
/* The batch is in the log now (appended here, pushed by the leader, or read back). */
void producers_note(struct producers *p, const struct batch_info *batch);
/* Would this batch begin a transaction here? Then its coordinator has to be asked first whether it is
 * open (KIP-890): a late batch of a transaction that is over would leave one that nobody ends. One of
 * a newer epoch than the open one, too: with transaction.version 2 its producer may be ahead of the
 * end of that one, and must not write into it. */
bool producers_begins(const struct producers *p, const struct batch_info *batch);
/* May this marker be appended? `number` rises with the transactions of a producer id; a marker whose
 * number was seen is a DUPLICATE (0: it has none). REFUSE: TERN_EPRODUCERFENCED,
 * TERN_ETXNCOORDINATORFENCED. */
enum producers_verdict producers_check_marker(const struct producers *p,
                                              const struct batch_info *marker, int64_t number,
                                              int64_t *out_at, int *out_error);
/* It was appended, as the newest of this producer. Not part of the log's function: copies of a marker name the
 * leader's epoch, and so does whoever remembers. */
void producers_number_marker(struct producers *p, int64_t producer_id, int64_t number);

/* -1: the producer is not known. */
int16_t producers_epoch_of(const struct producers *p, int64_t producer_id);

/* The last stable offset for this high watermark: everything below belongs to transactions whose end
 * is below `hw`, or to none. */
int64_t producers_stable(const struct producers *p, int64_t hw);
/* Nothing below `hw` is in doubt any more, nothing below `log_start` is there any more. */
void producers_settle(struct producers *p, int64_t hw, int64_t log_start);
struct producers_aborted {
    int64_t producer_id;
    int64_t first;
    int64_t last;   /* offset of the marker */
    int64_t stable; /* no transaction that ends later begins below this */
};
/* Those whose marker is not below `from`, in the order of their markers. */
const struct producers_aborted *producers_aborted(const struct producers *p, int64_t from,
                                                  size_t *out_count);

/* Another `steps_max` calls without a batch of a producer, and it is forgotten. Called once an
 * hour: what counts is when batches came, not what their timestamps say, which may be of any age. */
void producers_age(struct producers *p, uint8_t steps_max);
/* The highest id that was ever forgotten for its silence or for want of room, -1: none. An unknown
 * producer with a higher id is a new one: ids are handed out ascending, in blocks. */
int64_t producers_forgotten_max(const struct producers *p);

void producers_pack(const struct producers *p, struct buf *out);
/* The table as it was at `offset`, a log start, for a log that begins anew there: what is at or above it
 * that log will note itself. At most bytes_max (24 at least): who has been silent longest is left out, as if
 * forgotten; all are, if those whose transactions are open are too many. */
void producers_pack_before(const struct producers *p, int64_t offset, size_t bytes_max,
                           struct buf *out);
/* EMALFORMED, EFORMAT: then the table is empty. */
int producers_unpack(struct producers *p, struct slice bytes) TERN_MUST_USE;
