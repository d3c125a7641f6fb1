/* SPDX-License-Identifier: Apache-2.0 */
#include "group/consumer_record.h"

#include "base/error.h"

#define VERSION     0
#define TAG_HASH    0 /* of the group's value */
#define TAG_CLASSIC 0 /* of a member's value */

/* ---- Kafka's compact forms ------------------------------------------------------------------- */

static void put_string(struct buf *out, struct slice s)
{
    if (s.base == NULL) {
        buf_uvarint(out, 0);
    } else {
        buf_uvarint(out, s.len + 1);
        buf_put(out, s);
    }
}

static void put_text(struct buf *out, struct slice s)
{
    buf_uvarint(out, s.len + 1);
    buf_put(out, s);
}

/* base NULL: null. */
static struct slice read_nullable(struct reader *r)
{
    uint64_t len = reader_uvarint(r);

    if (len == 0 || r->failed) {
        return (struct slice){0};
    }
    if (len - 1 > reader_left(r)) {
        reader_fail(r);
        return (struct slice){0};
    }
    struct slice s = reader_take(r, (size_t)len - 1);
    if (s.base == NULL && !r->failed) {
        s.base = (const uint8_t *)"";
    }
    return s;
}

static struct slice read_text(struct reader *r)
{
    struct slice s = read_nullable(r);

    if (s.base == NULL) {
        reader_fail(r);
    }
    return s;
}

static uint32_t read_count(struct reader *r, size_t item_min)
{
    uint64_t count = reader_uvarint(r);

    if (count == 0 || count - 1 > reader_left(r) / item_min) {
        reader_fail(r);
        return 0;
    }
    return (uint32_t)(count - 1);
}

/* What a newer version has added. */
static void skip_tags(struct reader *r)
{
    uint64_t count = reader_uvarint(r);

    for (; count > 0 && !r->failed; count--) {
        (void)reader_uvarint(r);
        uint64_t size = reader_uvarint(r);
        if (size > reader_left(r)) {
            reader_fail(r);
        } else {
            (void)reader_take(r, (size_t)size);
        }
    }
}

static struct reader begin(struct slice bytes, int *status)
{
    struct reader r = reader_of(bytes);
    uint16_t version = reader_be16(&r);

    *status = r.failed ? TERN_EMALFORMED : version != VERSION ? TERN_EUNSUPPORTED : 0;
    return r;
}

static int finish(const struct reader *r)
{
    return r->failed || reader_left(r) > 0 ? TERN_EMALFORMED : 0;
}

static void put_parts(struct buf *out, const struct part_set *set)
{
    uint32_t topics = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        topics += i == 0 || !uuid_equal(set->at[i].topic, set->at[i - 1].topic);
    }
    buf_uvarint(out, (uint64_t)topics + 1);
    for (uint32_t i = 0; i < set->count;) {
        uint32_t end = i;
        while (end < set->count && uuid_equal(set->at[i].topic, set->at[end].topic)) {
            end++;
        }
        buf_put(out, slice_of(set->at[i].topic.bytes, sizeof set->at[i].topic.bytes));
        buf_uvarint(out, (uint64_t)(end - i) + 1);
        for (; i < end; i++) {
            buf_be32(out, (uint32_t)set->at[i].partition);
        }
        buf_uvarint(out, 0);
    }
}

static void read_parts(struct reader *r, struct part_set *out)
{
    part_set_clear(out);
    for (uint32_t topics = read_count(r, 18); topics > 0 && !r->failed; topics--) {
        struct slice id = reader_take(r, sizeof(struct uuid));
        for (uint32_t n = read_count(r, 4); n > 0 && !r->failed; n--) {
            int32_t partition = (int32_t)reader_be32(r);
            struct uuid topic;
            memcpy(topic.bytes, id.base, sizeof topic.bytes);
            part_set_add(out, topic, partition);
        }
        skip_tags(r);
    }
    part_set_sort(out);
}

struct slice name_list_next(struct reader *r)
{
    if (reader_left(r) == 0) {
        return (struct slice){0};
    }
    uint16_t len = reader_be16(r);
    struct slice name = reader_take(r, len);
    if (name.base == NULL) {
        name.base = (const uint8_t *)"";
    }
    return name;
}

/* ---- a group --------------------------------------------------------------------------------- */

int consumer_value_read(struct slice bytes, struct consumer_value *out)
{
    int status;
    struct reader r = begin(bytes, &status);
    struct consumer_value v = {0};

    if (status != 0) {
        return status;
    }
    v.epoch = (int32_t)reader_be32(&r);
    for (uint64_t tags = reader_uvarint(&r); tags > 0 && !r.failed; tags--) {
        uint64_t tag = reader_uvarint(&r);
        uint64_t size = reader_uvarint(&r);
        if (size > reader_left(&r)) {
            reader_fail(&r);
            break;
        }
        struct slice field = reader_take(&r, (size_t)size);
        if (tag == TAG_HASH && size == 8) {
            v.metadata_hash = get_be64(field.base);
        }
    }
    status = v.epoch < 0 ? TERN_EMALFORMED : finish(&r);
    if (status == 0) {
        *out = v;
    }
    return status;
}

void consumer_value_put(struct buf *out, const struct consumer_value *v)
{
    buf_be16(out, VERSION);
    buf_be32(out, (uint32_t)v->epoch);
    buf_uvarint(out, v->metadata_hash != 0 ? 1 : 0);
    if (v->metadata_hash != 0) {
        buf_uvarint(out, TAG_HASH);
        buf_uvarint(out, 8);
        buf_be64(out, v->metadata_hash);
    }
}

/* ---- a member -------------------------------------------------------------------------------- */

static void read_classic(struct slice field, struct consumer_member_value *v, struct buf *protocols,
                         struct reader *outer)
{
    struct reader r = reader_of(field);

    if ((int8_t)reader_u8(&r) < 0) {
        return;
    }
    v->classic = true;
    v->session_timeout_ms = (int32_t)reader_be32(&r);
    v->protocol_count = read_count(&r, 3);
    for (uint32_t i = 0; i < v->protocol_count && !r.failed; i++) {
        struct slice name = read_text(&r);
        struct slice metadata = read_text(&r);
        skip_tags(&r);
        buf_be32(protocols, (uint32_t)name.len);
        buf_put(protocols, name);
        buf_be32(protocols, (uint32_t)metadata.len);
        buf_put(protocols, metadata);
    }
    skip_tags(&r);
    if (r.failed || reader_left(&r) > 0 || v->session_timeout_ms < 0 || v->protocol_count == 0) {
        reader_fail(outer);
    }
}

int consumer_member_value_read(struct slice bytes, struct consumer_member_value *out,
                               struct buf *names, struct buf *protocols)
{
    int status;
    struct reader r = begin(bytes, &status);
    struct consumer_member_value v = {0};

    buf_clear(names);
    buf_clear(protocols);
    if (status != 0) {
        return status;
    }
    v.instance_id = read_nullable(&r);
    v.rack_id = read_nullable(&r);
    v.client_id = read_text(&r);
    v.client_host = read_text(&r);
    for (uint32_t n = read_count(&r, 1); n > 0 && !r.failed; n--) {
        struct slice name = read_text(&r);
        if (name.len > UINT16_MAX) {
            reader_fail(&r);
            break;
        }
        buf_be16(names, (uint16_t)name.len);
        buf_put(names, name);
    }
    v.regex = read_nullable(&r);
    v.rebalance_timeout_ms = (int32_t)reader_be32(&r);
    v.assignor = read_nullable(&r);
    for (uint64_t tags = reader_uvarint(&r); tags > 0 && !r.failed; tags--) {
        uint64_t tag = reader_uvarint(&r);
        uint64_t size = reader_uvarint(&r);
        if (size > reader_left(&r)) {
            reader_fail(&r);
            break;
        }
        struct slice field = reader_take(&r, (size_t)size);
        if (tag == TAG_CLASSIC) {
            read_classic(field, &v, protocols, &r);
        }
    }
    status = finish(&r);
    v.protocols = buf_slice(protocols);
    if (status == 0) {
        *out = v;
    }
    return status;
}

static void put_classic(struct buf *out, const struct consumer_member_value *v)
{
    struct reader r = reader_of(v->protocols);
    struct buf field = {0};

    buf_u8(&field, 1);
    buf_be32(&field, (uint32_t)v->session_timeout_ms);
    buf_uvarint(&field, (uint64_t)v->protocol_count + 1);
    for (uint32_t i = 0; i < v->protocol_count * 2; i++) {
        put_text(&field, reader_take(&r, reader_be32(&r)));
        if (i % 2 == 1) {
            buf_uvarint(&field, 0);
        }
    }
    buf_uvarint(&field, 0);
    CHECK(!r.failed);
    buf_uvarint(out, TAG_CLASSIC);
    buf_uvarint(out, field.len);
    buf_put(out, buf_slice(&field));
    buf_fini(&field);
}

void consumer_member_value_put(struct buf *out, const struct consumer_member_value *v,
                               struct slice names)
{
    struct reader r = reader_of(names);
    struct slice name;
    uint32_t count = 0;

    while (name_list_next(&r).base != NULL) {
        count++;
    }
    buf_be16(out, VERSION);
    put_string(out, v->instance_id);
    put_string(out, v->rack_id);
    put_text(out, v->client_id);
    put_text(out, v->client_host);
    buf_uvarint(out, (uint64_t)count + 1);
    r = reader_of(names);
    while ((name = name_list_next(&r)).base != NULL) {
        put_text(out, name);
    }
    put_string(out, v->regex);
    buf_be32(out, (uint32_t)v->rebalance_timeout_ms);
    put_string(out, v->assignor);
    buf_uvarint(out, v->classic ? 1 : 0);
    if (v->classic) {
        put_classic(out, v);
    }
}

/* ---- assignments ----------------------------------------------------------------------------- */

int consumer_target_value_read(struct slice bytes, int32_t *out_epoch)
{
    int status;
    struct reader r = begin(bytes, &status);

    if (status != 0) {
        return status;
    }
    int32_t epoch = (int32_t)reader_be32(&r);
    skip_tags(&r);
    status = finish(&r);
    if (status == 0) {
        *out_epoch = epoch;
    }
    return status;
}

void consumer_target_value_put(struct buf *out, int32_t epoch)
{
    buf_be16(out, VERSION);
    buf_be32(out, (uint32_t)epoch);
    buf_uvarint(out, 0);
}

int consumer_part_value_read(struct slice bytes, struct part_set *out)
{
    int status;
    struct reader r = begin(bytes, &status);

    if (status != 0) {
        return status;
    }
    read_parts(&r, out);
    skip_tags(&r);
    return finish(&r);
}

void consumer_part_value_put(struct buf *out, const struct part_set *parts)
{
    buf_be16(out, VERSION);
    put_parts(out, parts);
    buf_uvarint(out, 0);
}

int consumer_current_value_read(struct slice bytes, struct consumer_current_value *out,
                                struct part_set *assigned, struct part_set *revoking)
{
    int status;
    struct reader r = begin(bytes, &status);

    if (status != 0) {
        return status;
    }
    out->epoch = (int32_t)reader_be32(&r);
    out->previous_epoch = (int32_t)reader_be32(&r);
    out->state = (int8_t)reader_u8(&r);
    read_parts(&r, assigned);
    read_parts(&r, revoking);
    skip_tags(&r);
    return finish(&r);
}

void consumer_current_value_put(struct buf *out, const struct consumer_current_value *v,
                                const struct part_set *assigned, const struct part_set *revoking)
{
    buf_be16(out, VERSION);
    buf_be32(out, (uint32_t)v->epoch);
    buf_be32(out, (uint32_t)v->previous_epoch);
    buf_u8(out, (uint8_t)v->state);
    put_parts(out, assigned);
    put_parts(out, revoking);
    buf_uvarint(out, 0);
}
