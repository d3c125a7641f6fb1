/* SPDX-License-Identifier: Apache-2.0 */
/* Records of groups of the new protocol, in Kafka's formats (its ConsumerGroup...Value messages,
 * version 0). Their keys are in record.h. See docs/formats/group-records.md. */
#pragma once

#include "group/part_set.h"
#include "group/record.h"

/* Names are `count` times a 16-bit length and bytes. */
struct name_list {
    struct slice bytes;
    uint32_t count;
};
/* In turn; base NULL after the last one. */
struct slice name_list_next(struct reader *r);

struct consumer_value {
    int32_t epoch;
    uint64_t metadata_hash; /* 0: none */
};
int consumer_value_read(struct slice bytes, struct consumer_value *out) TERN_MUST_USE;
void consumer_value_put(struct buf *out, const struct consumer_value *value);

struct consumer_member_value {
    struct slice instance_id; /* base NULL: dynamic */
    struct slice rack_id;     /* base NULL: not told */
    struct slice client_id;
    struct slice client_host;
    struct slice regex;    /* base NULL: none */
    struct slice assignor; /* base NULL: none */
    int32_t rebalance_timeout_ms;
    bool classic; /* it speaks the classic protocol */
    int32_t session_timeout_ms;
    struct slice protocols; /* as a name_list of name, metadata, name, metadata ... with 32-bit
                               lengths */
    uint32_t protocol_count;
};
/* Names and protocols are written into the bufs, in the forms above. */
int consumer_member_value_read(struct slice bytes, struct consumer_member_value *out,
                               struct buf *names, struct buf *protocols) TERN_MUST_USE;
void consumer_member_value_put(struct buf *out, const struct consumer_member_value *value,
                               struct slice names);

/* The epoch of the target assignment. */
int consumer_target_value_read(struct slice bytes, int32_t *out_epoch) TERN_MUST_USE;
void consumer_target_value_put(struct buf *out, int32_t epoch);

/* A member's part of the target assignment. Sorted. */
int consumer_part_value_read(struct slice bytes, struct part_set *out) TERN_MUST_USE;
void consumer_part_value_put(struct buf *out, const struct part_set *parts);

struct consumer_current_value {
    int32_t epoch;
    int32_t previous_epoch;
    int8_t state;
};
int consumer_current_value_read(struct slice bytes, struct consumer_current_value *out,
                                struct part_set *assigned, struct part_set *revoking) TERN_MUST_USE;
void consumer_current_value_put(struct buf *out, const struct consumer_current_value *value,
                                const struct part_set *assigned, const struct part_set *revoking);
