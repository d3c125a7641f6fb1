/* SPDX-License-Identifier: Apache-2.0 */
/* A Kafka producer that does what it is told when it is told: batches per partition, one request
 * per broker with whatever is ready, a bounded number of requests in flight, idempotent, retries in
 * order, follows leaders by hints (KIP-951) and by metadata. */
#pragma once

#include "cli/bench_meta.h"
#include "cli/bench_queue.h"

struct bench_settings {
    const char *topic;
    uint32_t size;        /* bytes of a record's value */
    uint32_t batch_bytes; /* largest batch */
    uint32_t request_bytes;
    uint32_t linger_us;
    uint32_t in_flight; /* requests per broker */
    uint32_t stall_ms;  /* an answer that takes longer makes it ask who leads now */
    uint32_t retry_ms;  /* back-off, and how often metadata is asked while something is wrong */
    uint32_t request_timeout_ms;
    int16_t acks;
    bool idempotent;
    uint32_t run; /* its number, in every record that has room for a stamp */
};

#define BENCH_ERRORS 128 /* Kafka error codes are below it; the last one counts all others */

struct bench_counters {
    uint64_t requests;
    uint64_t batches;   /* sent, retries included */
    uint64_t retries;   /* batches sent again */
    uint64_t bytes;     /* of batches sent */
    uint64_t moves;     /* leader changes followed */
    uint64_t hints;     /* of them by a hint in an answer */
    uint64_t late;      /* answers of a former leader to what was sent elsewhere meanwhile */
    uint64_t late_acks; /* of them without an error */
    uint64_t disconnects;
    uint64_t errors[BENCH_ERRORS];
};

struct bench_producer;

struct bench_producer_ops {
    /* Leaders and producer id are known: records may become due. Once. */
    void (*ready)(void *owner);
    /* `batch` is acknowledged; borrowed. */
    void (*acked)(void *owner, const struct bench_queue *queue, const struct bench_batch *batch,
                  uint64_t now_us);
    /* It cannot go on; `why` is a sentence. */
    void (*broken)(void *owner, const char *why);
};

struct bench_producer *bench_producer_new(struct kafka_dialer *dialer,
                                          const struct bench_settings *settings,
                                          const struct bench_producer_ops *ops, void *owner);
void bench_producer_free(struct bench_producer *producer);
/* "host:port" to begin with; at least one before bench_producer_start. */
bool bench_producer_bootstrap(struct bench_producer *producer, const char *address);
void bench_producer_start(struct bench_producer *producer);

/* From `ready` on. */
uint32_t bench_producer_partitions(const struct bench_producer *producer);
/* How many fill a batch. */
uint32_t bench_producer_batch_records(const struct bench_producer *producer);
/* `count` more records of a partition are due now; sent by bench_producer_flush. */
void bench_producer_due(struct bench_producer *producer, uint32_t partition, uint32_t count,
                        uint64_t now_us);
void bench_producer_flush(struct bench_producer *producer, uint64_t now_us);

const struct bench_counters *bench_producer_counters(const struct bench_producer *producer);
/* The last thing that went wrong on the way to a broker; "" if nothing did. */
const char *bench_producer_why(const struct bench_producer *producer);
