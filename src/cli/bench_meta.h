/* SPDX-License-Identifier: Apache-2.0 */
/* Asks any broker for metadata and a producer id, on a connection of its own so that the answer
 * never waits behind a produce request. A broker that is silent is left for the next one. */
#pragma once

#include "base/wire.h"
#include "kafka/arena.h"
#include "kafka/generated/messages.h"
#include "net/kafka_dial.h"

#define BENCH_BROKERS_MAX 64

struct bench_meta_ops {
    void (*metadata)(void *owner, const struct kafka_metadata_response *response);
    void (*producer_id)(void *owner, int64_t id, int16_t epoch);
};

struct bench_meta {
    struct kafka_dialer *dialer;
    struct clock *clock;
    const struct bench_meta_ops *ops;
    void *owner;
    const char *topic;
    char addresses[BENCH_BROKERS_MAX][WIRE_ADDRESS_MAX];
    size_t address_count;
    size_t at; /* the address that is asked */
    struct kafka_link *link;
    bool up;
    bool want_metadata;
    bool want_id;
    int16_t asked; /* API key of the question under way; -1: none */
    int32_t correlation;
    struct timer timer; /* the answer takes too long, or it is time to dial again */
    uint64_t questions;
    char why[KAFKA_LINK_WHY]; /* the last failure, for people */
};

void bench_meta_init(struct bench_meta *meta, struct kafka_dialer *dialer, const char *topic,
                     const struct bench_meta_ops *ops, void *owner);
/* Before kafka_dialer_free. */
void bench_meta_fini(struct bench_meta *meta);
/* One more place to ask; false if there are too many. Known ones are not added twice. */
bool bench_meta_address(struct bench_meta *meta, const char *address);
/* The answers come to `ops`. */
void bench_meta_ask(struct bench_meta *meta);
void bench_meta_ask_id(struct bench_meta *meta);
