/* SPDX-License-Identifier: Apache-2.0 */
/* An idempotent producer, as the Java client and librdkafka do it: at most five batches in flight
 * per partition, a batch keeps its sequence number for ever, after an error what is in flight is
 * waited for and then everything unanswered is sent again, in order and one by one. */
#pragma once

#include "tests/sim/sim_client.h"

struct sim_producer;

struct sim_producer *sim_producer_new(struct sim *sim, uint32_t number, uint32_t place);
void sim_producer_free(struct sim_producer *producer);
/* No new records; what was begun is brought to its end. */
void sim_producer_stop(struct sim_producer *producer);
/* Nothing of it waits for an answer. */
bool sim_producer_idle(const struct sim_producer *producer);
void sim_producer_describe(const struct sim_producer *producer, char out[160]);

/* What a record's value looks like; also how consumers know it again. */
#define SIM_VALUE_MIN 24
/* A record alone in its batch has at most so many bytes; so many of all producers may be on their
 * way to one partition. */
#define SIM_RECORD_MAX        420
#define SIM_RECORDS_UNDER_WAY 100
void sim_value_write(struct buf *out, uint32_t producer, uint64_t number, uint32_t partition);
/* With keys (sim_shape.h): what stands in a record of this value besides it. A tombstone has no bytes to
 * be known again by, so the timestamp tells which one it is. */
struct sim_key {
    uint32_t number;
    bool tombstone;
    char text[16];
    int64_t timestamp;
};
struct sim_key sim_key_of(const struct sim *sim, uint32_t producer, uint64_t number);
void sim_key_parse(int64_t timestamp, uint32_t *out_producer, uint64_t *out_number);
/* False: these bytes were never written by sim_value_write. */
bool sim_value_parse(struct slice bytes, uint32_t *out_producer, uint64_t *out_number,
                     uint32_t *out_partition);
