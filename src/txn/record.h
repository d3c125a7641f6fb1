/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the transactions' topic, in Kafka's own formats, so that its tools can read them. See
 * docs/formats/txn-records.md. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/reader.h"

#define TXN_ID_MAX 1024 /* bytes */

enum txn_state {
    TXN_EMPTY,
    TXN_ONGOING,
    TXN_PREPARE_COMMIT,
    TXN_PREPARE_ABORT,
    TXN_COMPLETE_COMMIT,
    TXN_COMPLETE_ABORT,
};

enum txn_key_kind {
    TXN_KEY_TXN,
    TXN_KEY_BARRIER, /* ours: says nothing */
};
struct txn_key {
    enum txn_key_kind kind;
    struct slice id;
};
/* TERN_EUNSUPPORTED: a version that is not ours; TERN_EMALFORMED. Borrows. */
int txn_key_read(struct slice bytes, struct txn_key *out) TERN_MUST_USE;
void txn_key_put(struct buf *out, struct slice id);

struct txn_value {
    int64_t producer_id;
    int64_t previous_id; /* the producer id before it; -1: none */
    int64_t next_id;     /* the one that follows when its epochs are used up; -1: none */
    int16_t epoch;
    int16_t last_epoch; /* the one before, of the same producer; -1: fenced, or none */
    int32_t timeout_ms;
    enum txn_state state;
    int16_t client_version; /* of the transaction protocol */
    int64_t update_ms;      /* wall clock */
    int64_t start_ms;       /* wall clock; -1: no transaction */
    uint32_t topic_count;
    struct reader topics; /* see txn_value_next */
    int16_t version;
};
/* Checks the whole value, topics included. */
int txn_value_read(struct slice bytes, struct txn_value *out) TERN_MUST_USE;
/* topic_count times, each followed by *out_count times txn_value_partition. */
void txn_value_next(struct txn_value *value, struct slice *out_topic, uint32_t *out_count);
int32_t txn_value_partition(struct txn_value *value);
void txn_value_topic_done(struct txn_value *value);
/* Version 1; then topic_count times txn_value_topic_put; then txn_value_end. */
void txn_value_put(struct buf *out, const struct txn_value *value);
void txn_value_topic_put(struct buf *out, struct slice topic, const int32_t *partitions,
                         uint32_t count);
void txn_value_end(struct buf *out, const struct txn_value *value);
