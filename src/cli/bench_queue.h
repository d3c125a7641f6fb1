/* SPDX-License-Identifier: Apache-2.0 */
/* One partition as its producer sees it: batches in the order of their sequence numbers, what is in
 * flight, and what must be sent again. Pure: time comes in, nothing is sent from here.
 *
 *     OPEN --> (sent) IN FLIGHT --ok--> gone
 *       ^                |
 *       +---- retry -----+   after one batch failed nothing is sent until all in flight have been
 *                            answered; then they go again in order, with the same bytes
 *
 * The first batch goes alone: a broker of Kafka that knows nothing of a producer takes any sequence
 * number, so a second batch that overtakes a refused first one shuts it out for ever (KAFKA-14359).
 *
 * Invariant: batches in flight are a prefix of `batches`, except while draining. */
#pragma once

#include "base/blob.h"
#include "base/queue.h"

struct bench_batch {
    struct link link;
    uint64_t first; /* number of its first record, counted in this partition */
    uint32_t count;
    uint32_t attempts;
    uint64_t opened_us;
    uint64_t send_id;   /* of the request that carries it; 0: none */
    struct chunk bytes; /* empty until it is sent for the first time */
};

struct bench_queue {
    int32_t index;
    int32_t leader; /* node id, -1: none known */
    int32_t epoch;
    struct link batches;
    struct link ready; /* for the owner: in a list of those with something to send */
    uint64_t due;      /* records so far */
    uint32_t in_flight;
    bool draining;
    bool proven;            /* something was acknowledged */
    uint64_t not_before_us; /* back-off */
};

enum bench_fate {
    BENCH_ACKED,  /* *out_batch is the caller's now */
    BENCH_AGAIN,  /* it will be sent again */
    BENCH_BROKEN, /* no retry can help: what was acknowledged before is missing, or it is refused */
    BENCH_LATE    /* the batch was taken back before this answer came */
};

void bench_queue_init(struct bench_queue *queue, int32_t index);
void bench_queue_fini(struct bench_queue *queue);
void bench_batch_free(struct bench_batch *batch);

/* `count` more records are due; a batch takes records_max. */
void bench_queue_due(struct bench_queue *queue, uint32_t count, uint32_t records_max,
                     uint64_t now_us);
/* The batch to send now; NULL: nothing, *out_wake_us tells when to ask again (UINT64_MAX: after
 * the next event). */
struct bench_batch *bench_queue_next(const struct bench_queue *queue, uint32_t records_max,
                                     uint32_t linger_us, uint64_t now_us, uint64_t *out_wake_us);
void bench_queue_sent(struct bench_queue *queue, struct bench_batch *batch, uint64_t send_id);
/* The answer to what was sent as send_id, a Kafka error code; a lost connection is
 * NETWORK_EXCEPTION (13). After a failure nothing is sent before backoff_us. */
enum bench_fate bench_queue_answer(struct bench_queue *queue, uint64_t send_id, int16_t error,
                                   uint64_t now_us, uint64_t backoff_us,
                                   struct bench_batch **out_batch);
/* Another leader: what is in flight to the old one goes to the new one, in order, now. */
void bench_queue_move(struct bench_queue *queue, int32_t leader, int32_t epoch);
