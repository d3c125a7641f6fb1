/* SPDX-License-Identifier: Apache-2.0 */
#include "txn/record.h"

#include "base/error.h"

#define KEY_TXN   0
#define KEY_OURS  0x7465 /* far above what Kafka uses; its tools skip what they do not know */
#define VALUE_TXN 1
#define TOPIC_MIN 3 /* bytes: name, count, tags */
#define TAG_OURS  0x7465

enum { TAG_PREVIOUS, TAG_NEXT, TAG_CLIENT };

/* ---- keys ------------------------------------------------------------------------------------ */

int txn_key_read(struct slice bytes, struct txn_key *out)
{
    struct reader r = reader_of(bytes);
    struct txn_key key = {0};
    uint16_t version = reader_be16(&r);

    if (r.failed) {
        return TERN_EMALFORMED;
    }
    if (version == KEY_OURS) {
        key.kind = TXN_KEY_BARRIER;
        *out = key;
        return 0;
    }
    if (version != KEY_TXN) {
        return TERN_EUNSUPPORTED;
    }
    int16_t len = (int16_t)reader_be16(&r);
    key.id = reader_take(&r, len > 0 ? (size_t)len : 0);
    if (r.failed || len <= 0 || len > TXN_ID_MAX || reader_left(&r) > 0) {
        return TERN_EMALFORMED;
    }
    *out = key;
    return 0;
}

void txn_key_put(struct buf *out, struct slice id)
{
    CHECK(id.len > 0 && id.len <= TXN_ID_MAX);
    buf_be16(out, KEY_TXN);
    buf_be16(out, (uint16_t)id.len);
    buf_put(out, id);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Version 0 has fixed lengths and no tags, later ones compact lengths and tags. -1: null. */
static int64_t read_count(struct reader *r, int16_t version, bool is_string)
{
    if (version >= 1) {
        return (int64_t)reader_uvarint(r) - 1;
    }
    return is_string ? (int16_t)reader_be16(r) : (int32_t)reader_be32(r);
}

static void skip_tags(struct reader *r, int16_t version)
{
    uint64_t count = version >= 1 ? reader_uvarint(r) : 0;

    for (uint64_t i = 0; i < count && !r->failed; i++) {
        (void)reader_uvarint(r);
        uint64_t len = reader_uvarint(r);
        if (len > reader_left(r)) {
            reader_fail(r);
            return;
        }
        (void)reader_take(r, (size_t)len);
    }
}

static void read_own_tags(struct reader *r, struct txn_value *v)
{
    uint64_t count = v->version >= 1 ? reader_uvarint(r) : 0;

    for (uint64_t i = 0; i < count && !r->failed; i++) {
        uint64_t tag = reader_uvarint(r);
        uint64_t len = reader_uvarint(r);
        if (len > reader_left(r)) {
            reader_fail(r);
            return;
        }
        struct reader in = reader_of(reader_take(r, (size_t)len));
        if (tag == TAG_PREVIOUS) {
            v->previous_id = (int64_t)reader_be64(&in);
        } else if (tag == TAG_NEXT) {
            v->next_id = (int64_t)reader_be64(&in);
        } else if (tag == TAG_CLIENT) {
            v->client_version = (int16_t)reader_be16(&in);
        } else if (tag == TAG_OURS) {
            v->last_epoch = (int16_t)reader_be16(&in);
        }
        if (in.failed) {
            reader_fail(r);
        }
    }
}

static struct slice read_topic(struct reader *r, int16_t version, uint32_t *out_count)
{
    int64_t len = read_count(r, version, true);

    if (len < 0 || (uint64_t)len > reader_left(r)) {
        reader_fail(r);
        return (struct slice){0};
    }
    struct slice topic = reader_take(r, (size_t)len);
    int64_t count = read_count(r, version, false);
    if (count < 0 || (uint64_t)count > reader_left(r) / 4) {
        reader_fail(r);
        return (struct slice){0};
    }
    *out_count = (uint32_t)count;
    return topic;
}

int txn_value_read(struct slice bytes, struct txn_value *out)
{
    struct reader r = reader_of(bytes);
    struct txn_value v = {.previous_id = -1, .next_id = -1, .last_epoch = -1};
    uint16_t version = reader_be16(&r);

    if (!r.failed && version > VALUE_TXN) {
        return TERN_EUNSUPPORTED;
    }
    v.version = (int16_t)version;
    v.producer_id = (int64_t)reader_be64(&r);
    v.epoch = (int16_t)reader_be16(&r);
    v.timeout_ms = (int32_t)reader_be32(&r);
    uint8_t state = reader_u8(&r);
    int64_t topics = read_count(&r, v.version, false);
    if (r.failed || state > TXN_COMPLETE_ABORT || v.producer_id < 0 ||
        (topics > 0 && (uint64_t)topics > reader_left(&r) / TOPIC_MIN)) {
        return TERN_EMALFORMED;
    }
    v.state = (enum txn_state)state;
    v.topic_count = topics > 0 ? (uint32_t)topics : 0;
    v.topics = r;
    for (uint32_t i = 0; i < v.topic_count && !r.failed; i++) {
        uint32_t count = 0;
        (void)read_topic(&r, v.version, &count);
        (void)reader_take(&r, (size_t)count * 4);
        skip_tags(&r, v.version);
    }
    v.update_ms = (int64_t)reader_be64(&r);
    v.start_ms = (int64_t)reader_be64(&r);
    read_own_tags(&r, &v);
    if (r.failed || reader_left(&r) > 0 || v.epoch < -1 || v.timeout_ms < 0) {
        return TERN_EMALFORMED;
    }
    *out = v;
    return 0;
}

void txn_value_next(struct txn_value *value, struct slice *out_topic, uint32_t *out_count)
{
    *out_topic = read_topic(&value->topics, value->version, out_count);
    CHECK(!value->topics.failed);
}

int32_t txn_value_partition(struct txn_value *value)
{
    return (int32_t)reader_be32(&value->topics);
}

void txn_value_topic_done(struct txn_value *value)
{
    skip_tags(&value->topics, value->version);
}

void txn_value_put(struct buf *out, const struct txn_value *v)
{
    buf_be16(out, VALUE_TXN);
    buf_be64(out, (uint64_t)v->producer_id);
    buf_be16(out, (uint16_t)v->epoch);
    buf_be32(out, (uint32_t)v->timeout_ms);
    buf_u8(out, (uint8_t)v->state);
    /* Null where there is no transaction, as Kafka writes it. */
    buf_uvarint(out, v->topic_count > 0 ? v->topic_count + 1 : 0);
}

void txn_value_topic_put(struct buf *out, struct slice topic, const int32_t *partitions,
                         uint32_t count)
{
    buf_uvarint(out, topic.len + 1);
    buf_put(out, topic);
    buf_uvarint(out, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        buf_be32(out, (uint32_t)partitions[i]);
    }
    buf_uvarint(out, 0);
}

static void put_tag64(struct buf *out, uint64_t tag, int64_t value)
{
    if (value >= 0) {
        buf_uvarint(out, tag);
        buf_uvarint(out, 8);
        buf_be64(out, (uint64_t)value);
    }
}

static void put_tag16(struct buf *out, uint64_t tag, int16_t value, int16_t fallback)
{
    if (value != fallback) {
        buf_uvarint(out, tag);
        buf_uvarint(out, 2);
        buf_be16(out, (uint16_t)value);
    }
}

void txn_value_end(struct buf *out, const struct txn_value *v)
{
    buf_be64(out, (uint64_t)v->update_ms);
    buf_be64(out, (uint64_t)v->start_ms);
    buf_uvarint(out, (uint64_t)(v->previous_id >= 0) + (v->next_id >= 0) +
                         (v->client_version != 0) + (v->last_epoch != -1));
    put_tag64(out, TAG_PREVIOUS, v->previous_id);
    put_tag64(out, TAG_NEXT, v->next_id);
    put_tag16(out, TAG_CLIENT, v->client_version, 0);
    put_tag16(out, TAG_OURS, v->last_epoch, -1);
}
