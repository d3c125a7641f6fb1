/* SPDX-License-Identifier: Apache-2.0 */
#include "group/record.h"

#include "base/error.h"

#define KEY_OFFSET        1
#define KEY_GROUP         2
#define KEY_OURS          0x7465 /* far above what Kafka uses; its tools skip what they do not know */
#define VALUE_OFFSET      3
#define VALUE_OFFSET_TIME 1 /* the version that can say when an offset expires */
#define VALUE_GROUP       3
#define MEMBER_BYTES_MIN  18 /* of version 0: three strings, an integer, two lengths */

static void put_string(struct buf *out, struct slice s)
{
    CHECK(s.len <= INT16_MAX);
    buf_be16(out, (uint16_t)s.len);
    buf_put(out, s);
}

static void put_nullable(struct buf *out, struct slice s)
{
    if (s.base == NULL) {
        buf_be16(out, 0xffff);
    } else {
        put_string(out, s);
    }
}

static void put_bytes(struct buf *out, struct slice s)
{
    CHECK(s.len <= INT32_MAX);
    buf_be32(out, (uint32_t)s.len);
    buf_put(out, s);
}

static struct slice read_nullable(struct reader *r)
{
    int16_t len = (int16_t)reader_be16(r);

    if (len < 0) {
        if (len < -1) {
            reader_fail(r);
        }
        return (struct slice){0};
    }
    struct slice s = reader_take(r, (size_t)len);
    if (s.base == NULL && !r->failed) {
        s.base = (const uint8_t *)"";
    }
    return s;
}

static struct slice read_string(struct reader *r)
{
    struct slice s = read_nullable(r);

    if (s.base == NULL) {
        reader_fail(r);
    }
    return s;
}

static struct slice read_bytes(struct reader *r)
{
    int32_t len = (int32_t)reader_be32(r);

    if (len < 0) {
        reader_fail(r);
        return (struct slice){0};
    }
    return reader_take(r, (size_t)len);
}

static int finish(const struct reader *r, bool whole)
{
    return r->failed || (whole && reader_left(r) > 0) ? TERN_EMALFORMED : 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* By their versions, Kafka's way to number kinds; -1: not ours. */
static const int8_t key_kinds[] = {
    [0] = GROUP_KEY_OFFSET,
    [KEY_OFFSET] = GROUP_KEY_OFFSET,
    [KEY_GROUP] = GROUP_KEY_GROUP,
    [3] = GROUP_KEY_CONSUMER,
    [4] = -1,
    [5] = GROUP_KEY_MEMBER,
    [6] = GROUP_KEY_TARGET,
    [7] = GROUP_KEY_TARGET_MEMBER,
    [8] = GROUP_KEY_CURRENT,
};

static bool has_member(enum group_key_kind kind)
{
    return kind == GROUP_KEY_MEMBER || kind == GROUP_KEY_TARGET_MEMBER || kind == GROUP_KEY_CURRENT;
}

int group_key_read(struct slice bytes, struct group_key *out)
{
    struct reader r = reader_of(bytes);
    struct group_key key = {.partition = -1};
    uint16_t version = reader_be16(&r);

    if (r.failed) {
        return TERN_EMALFORMED;
    }
    if (version == KEY_OURS) {
        key.kind = GROUP_KEY_BARRIER;
        *out = key;
        return 0;
    }
    if (version >= ARRAY_COUNT(key_kinds) || key_kinds[version] < 0) {
        return TERN_EUNSUPPORTED;
    }
    key.kind = (enum group_key_kind)key_kinds[version];
    key.group_id = read_string(&r);
    if (has_member(key.kind)) {
        key.member_id = read_string(&r);
    }
    if (key.kind == GROUP_KEY_OFFSET) {
        key.topic = read_string(&r);
        key.partition = (int32_t)reader_be32(&r);
    }
    int status = finish(&r, true);
    if (status == 0) {
        *out = key;
    }
    return status;
}

void group_offset_key(struct buf *out, struct slice group_id, struct slice topic, int32_t partition)
{
    buf_be16(out, KEY_OFFSET);
    put_string(out, group_id);
    put_string(out, topic);
    buf_be32(out, (uint32_t)partition);
}

void group_group_key(struct buf *out, struct slice group_id)
{
    buf_be16(out, KEY_GROUP);
    put_string(out, group_id);
}

void group_consumer_key(struct buf *out, enum group_key_kind kind, struct slice group_id,
                        struct slice member_id)
{
    uint16_t version = KEY_GROUP + 1;

    while (key_kinds[version] != (int8_t)kind) {
        version++;
        CHECK(version < ARRAY_COUNT(key_kinds)); /* one of these is it */
    }
    buf_be16(out, version);
    put_string(out, group_id);
    if (has_member(kind)) {
        put_string(out, member_id);
    }
}

void group_barrier_key(struct buf *out)
{
    buf_be16(out, KEY_OURS);
}

/* ---- offsets --------------------------------------------------------------------------------- */

int group_offset_value_read(struct slice bytes, struct group_offset_value *out)
{
    struct reader r = reader_of(bytes);
    struct group_offset_value v = {.leader_epoch = -1, .expire_ms = -1};
    uint16_t version = reader_be16(&r);

    if (!r.failed && version > VALUE_OFFSET) {
        return TERN_EUNSUPPORTED;
    }
    v.offset = (int64_t)reader_be64(&r);
    if (version >= 3) {
        v.leader_epoch = (int32_t)reader_be32(&r);
    }
    v.metadata = read_string(&r);
    v.commit_ms = (int64_t)reader_be64(&r);
    if (version == 1) {
        v.expire_ms = (int64_t)reader_be64(&r);
    }
    int status = finish(&r, true);
    if (status == 0) {
        *out = v;
    }
    return status;
}

void group_offset_value(struct buf *out, const struct group_offset_value *v)
{
    bool expires = v->expire_ms >= 0;

    buf_be16(out, expires ? VALUE_OFFSET_TIME : VALUE_OFFSET);
    buf_be64(out, (uint64_t)v->offset);
    if (!expires) {
        buf_be32(out, (uint32_t)v->leader_epoch);
    }
    put_string(out, v->metadata);
    buf_be64(out, (uint64_t)v->commit_ms);
    if (expires) {
        buf_be64(out, (uint64_t)v->expire_ms);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void read_member(struct reader *r, int16_t version, struct group_value_member *out)
{
    *out = (struct group_value_member){0};
    out->id = read_string(r);
    if (version >= 3) {
        out->instance_id = read_nullable(r);
    }
    out->client_id = read_string(r);
    out->client_host = read_string(r);
    if (version >= 1) {
        out->rebalance_timeout_ms = (int32_t)reader_be32(r);
    }
    out->session_timeout_ms = (int32_t)reader_be32(r);
    if (version == 0) {
        out->rebalance_timeout_ms = out->session_timeout_ms;
    }
    out->subscription = read_bytes(r);
    out->assignment = read_bytes(r);
}

int group_value_read(struct slice bytes, struct group_value *out)
{
    struct reader r = reader_of(bytes);
    struct group_value v = {.since_ms = -1};
    struct group_value_member member;
    uint16_t version = reader_be16(&r);

    if (!r.failed && version > VALUE_GROUP) {
        return TERN_EUNSUPPORTED;
    }
    v.version = (int16_t)version;
    v.protocol_type = read_string(&r);
    v.generation = (int32_t)reader_be32(&r);
    v.protocol = read_nullable(&r);
    v.leader = read_nullable(&r);
    if (version >= 2) {
        v.since_ms = (int64_t)reader_be64(&r);
    }
    int32_t count = (int32_t)reader_be32(&r);
    if (count < 0 || (size_t)count > reader_left(&r) / MEMBER_BYTES_MIN) {
        return TERN_EMALFORMED;
    }
    v.member_count = (uint32_t)count;
    v.members = r;
    for (int32_t i = 0; i < count && !r.failed; i++) {
        read_member(&r, v.version, &member);
        if (member.session_timeout_ms < 0 || member.rebalance_timeout_ms < 0) {
            reader_fail(&r);
        }
    }
    int status = finish(&r, true);
    if (status == 0) {
        *out = v;
    }
    return status;
}

void group_value_next(struct group_value *value, struct group_value_member *out)
{
    read_member(&value->members, value->version, out);
    CHECK(!value->members.failed);
}

void group_value_put(struct buf *out, const struct group_value *v)
{
    buf_be16(out, VALUE_GROUP);
    put_string(out, v->protocol_type);
    buf_be32(out, (uint32_t)v->generation);
    put_nullable(out, v->protocol);
    put_nullable(out, v->leader);
    buf_be64(out, (uint64_t)v->since_ms);
    buf_be32(out, v->member_count);
}

void group_value_member_put(struct buf *out, const struct group_value_member *m)
{
    put_string(out, m->id);
    put_nullable(out, m->instance_id);
    put_string(out, m->client_id);
    put_string(out, m->client_host);
    buf_be32(out, (uint32_t)m->rebalance_timeout_ms);
    buf_be32(out, (uint32_t)m->session_timeout_ms);
    put_bytes(out, m->subscription);
    put_bytes(out, m->assignment);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

bool group_subscription_has(struct slice metadata, struct slice topic, bool *out_has)
{
    struct reader r = reader_of(metadata);
    bool has = false;

    int16_t version = (int16_t)reader_be16(&r);
    int32_t count = (int32_t)reader_be32(&r);
    if (r.failed || version < 0 || count < 0 || (size_t)count > reader_left(&r) / 2) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        has = slice_equal(read_string(&r), topic) || has;
    }
    if (r.failed) {
        return false;
    }
    *out_has = has;
    return true;
}
