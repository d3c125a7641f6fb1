/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the groups' topic, in Kafka's own formats, so that its tools can read them. See
 * docs/formats/group-records.md. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/reader.h"

#define GROUP_ID_MAX       1024 /* bytes */
#define GROUP_INSTANCE_MAX 249
#define GROUP_METADATA_MAX 4096 /* of a committed offset */

enum group_key_kind {
    GROUP_KEY_OFFSET,
    GROUP_KEY_GROUP,
    GROUP_KEY_BARRIER, /* ours: says nothing */
    /* Of groups of the new protocol: */
    GROUP_KEY_CONSUMER, /* the group; the others go with it */
    GROUP_KEY_MEMBER,
    GROUP_KEY_TARGET, /* epoch of the target assignment */
    GROUP_KEY_TARGET_MEMBER,
    GROUP_KEY_CURRENT, /* what a member has */
};

struct group_key {
    enum group_key_kind kind;
    struct slice group_id;
    struct slice topic;
    int32_t partition;
    struct slice member_id; /* MEMBER, TARGET_MEMBER, CURRENT */
};
/* TERN_EUNSUPPORTED: a version that is not ours; TERN_EMALFORMED. Borrows. */
int group_key_read(struct slice bytes, struct group_key *out) TERN_MUST_USE;
void group_offset_key(struct buf *out, struct slice group_id, struct slice topic,
                      int32_t partition);
void group_group_key(struct buf *out, struct slice group_id);
/* One of the new protocol's; member_id is looked at where the kind has one. */
void group_consumer_key(struct buf *out, enum group_key_kind kind, struct slice group_id,
                        struct slice member_id);
void group_barrier_key(struct buf *out);

struct group_offset_value {
    int64_t offset;
    int32_t leader_epoch; /* -1: not told */
    struct slice metadata;
    int64_t commit_ms;
    int64_t expire_ms; /* -1: by the retention of groups */
};
int group_offset_value_read(struct slice bytes, struct group_offset_value *out) TERN_MUST_USE;
void group_offset_value(struct buf *out, const struct group_offset_value *value);

struct group_value_member {
    struct slice id;
    struct slice instance_id; /* base NULL: dynamic */
    struct slice client_id;
    struct slice client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    struct slice subscription;
    struct slice assignment;
};
struct group_value {
    struct slice protocol_type;
    int32_t generation;
    struct slice protocol; /* base NULL: none */
    struct slice leader;   /* base NULL: none */
    int64_t since_ms;      /* wall clock; -1: not told */
    uint32_t member_count;
    struct reader members; /* see group_value_next */
    int16_t version;
};
/* Checks the whole value, members included. */
int group_value_read(struct slice bytes, struct group_value *out) TERN_MUST_USE;
/* member_count times. */
void group_value_next(struct group_value *value, struct group_value_member *out);
/* Version 3; then member_count times group_value_member_put. */
void group_value_put(struct buf *out, const struct group_value *value);
void group_value_member_put(struct buf *out, const struct group_value_member *member);

/* Topics of a consumer's subscription (ConsumerProtocolSubscription, what stands in front of its
 * user data). False: the bytes are not one. */
bool group_subscription_has(struct slice metadata, struct slice topic, bool *out_has);
