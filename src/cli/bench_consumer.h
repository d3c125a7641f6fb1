/* SPDX-License-Identifier: Apache-2.0 */
/* A Kafka consumer of all partitions of a topic, without a group: long polls, one fetch at a time
 * per broker, from the leaders or from one node that is named. Fetches have no session: each names
 * all its partitions. Checksums are checked. */
#pragma once

#include "cli/bench_meta.h"
#include "kafka/batch.h"

struct bench_consumer_settings {
    const char *topic;
    const char *from;         /* "host:port" of the node to read from; NULL: the leaders */
    uint32_t max_wait_ms;     /* how long a broker may keep a fetch that finds nothing */
    uint32_t min_bytes;       /* before it answers earlier */
    uint32_t max_bytes;       /* of an answer */
    uint32_t partition_bytes; /* of a partition in it */
    uint32_t stall_ms;        /* this much longer than max_wait: it asks who leads now */
    uint32_t retry_ms;
    uint32_t request_timeout_ms;
    bool from_end; /* only what comes from now on; else all there is */
};

struct bench_consumer_counters {
    uint64_t fetches;
    uint64_t empty;   /* answers without a record */
    uint64_t records; /* control records not counted */
    uint64_t bytes;   /* of batches */
    uint64_t corrupt; /* batches with a wrong checksum */
    uint64_t errors;  /* of partitions in answers */
    int16_t last_error;
};

struct bench_consumer;

struct bench_consumer_ops {
    /* Where each partition begins is known. Once. */
    void (*ready)(void *owner);
    /* One whole batch of records; borrowed. */
    void (*batch)(void *owner, int32_t partition, const struct batch_info *info, struct slice batch,
                  uint64_t now_us);
};

struct bench_consumer *bench_consumer_new(struct kafka_dialer *dialer,
                                          const struct bench_consumer_settings *settings,
                                          const struct bench_consumer_ops *ops, void *owner);
void bench_consumer_free(struct bench_consumer *consumer);
bool bench_consumer_bootstrap(struct bench_consumer *consumer, const char *address);
void bench_consumer_start(struct bench_consumer *consumer);
/* From `ready` on. */
uint32_t bench_consumer_partitions(const struct bench_consumer *consumer);
/* Has every partition been read to where its broker said that it ends? */
bool bench_consumer_at_end(const struct bench_consumer *consumer);
const struct bench_consumer_counters *
bench_consumer_counters(const struct bench_consumer *consumer);
/* The last thing that went wrong; "" if nothing did. */
const char *bench_consumer_why(const struct bench_consumer *consumer);
