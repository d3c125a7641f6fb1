/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent producers of one partition (KIP-98; rule 7): a function of the log, so that failover,
 * truncation and restart rebuild it by noting the log's batches again.
 *
 * Checked against the state after the last *appended* batch, committed or not, because producers
 * keep up to five batches in flight. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "kafka/batch.h"

#define PRODUCER_BATCHES 5
#define PRODUCERS_MAX    100000 /* per partition; then the longest silent one is forgotten */
#define PRODUCER_HOURS   24     /* of silence, as Kafka's producer.id.expiration.ms */

struct producers; /* table by producer id */

struct producers *producers_new(void);
void producers_free(struct producers *p);
void producers_clear(struct producers *p);
size_t producers_count(const struct producers *p);
bool producers_knows(const struct producers *p, int64_t producer_id);

enum producers_verdict { PRODUCERS_APPEND, PRODUCERS_DUPLICATE, PRODUCERS_REFUSE };
/* `lossy_start`: where the newest lossy epoch of the partition begins, -1 if there was none. It cut
 * off batches that producers know as acknowledged: a producer whose newest batch lies below may go
 * on with a gap, once. What is there is still recognised, and nothing goes back. What to do with a
 * client's batch. DUPLICATE: the original's offsets. REFUSE: error is TERN_EOUTOFORDER or
 * TERN_EPRODUCERFENCED. Batches without a producer id are always appended. */
enum producers_verdict producers_check(const struct producers *p, const struct batch_info *batch,
                                       int64_t lossy_start, int64_t *out_base, int64_t *out_last,
                                       int *out_error);
/* The batch is in the log now (appended here, pushed by the leader, or read back). */
void producers_note(struct producers *p, const struct batch_info *batch);
/* Another `steps_max` calls without a batch of a producer, and it is forgotten. Called once an
 * hour: what counts is when batches came, not what their timestamps say, which may be of any age. */
void producers_age(struct producers *p, uint8_t steps_max);
/* The highest id that was ever forgotten for its silence or for want of room, -1: none. An unknown
 * producer with a higher id is a new one: ids are handed out ascending, in blocks. */
int64_t producers_forgotten_max(const struct producers *p);

void producers_pack(const struct producers *p, struct buf *out);
/* EMALFORMED, EFORMAT: then the table is empty. */
int producers_unpack(struct producers *p, struct slice bytes) TERN_MUST_USE;
