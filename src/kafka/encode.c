/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of the interpreter. What it meets is the caller's choice of values, never the
 * format's business, so it refuses where a value cannot be said instead of checking. */
#include "base/error.h"
#include "kafka/shape.h"

#define STRING_MAX 0x7fff

struct encoder {
    struct kafka_out *out;
    const char *field;
    int error;
    int16_t version;
    bool flexible;
};

static bool encode_struct(struct encoder *e, const struct kafka_shape *shape, const void *object);

static bool refuse(struct encoder *e, int error, const struct kafka_field *field)
{
    e->error = error;
    e->field = field->name;
    return false;
}

/* ---- the output ----------------------------------------------------------------------------- */

static void pieces_drop(struct kafka_out *out, size_t keep)
{
    while (out->piece_count > keep) {
        struct kafka_piece *last = &out->pieces[--out->piece_count];
        out->piece_bytes -= last->chunk.len;
        chunk_drop(&last->chunk);
    }
}

void kafka_out_clear(struct kafka_out *out)
{
    pieces_drop(out, 0);
    buf_clear(&out->bytes);
    free(out->taken);
    out->taken = NULL;
}

void kafka_out_fini(struct kafka_out *out)
{
    kafka_out_clear(out);
    buf_fini(&out->bytes);
    free(out->pieces);
    *out = (struct kafka_out){0};
}

static void piece_add(struct kafka_out *out, struct chunk chunk)
{
    if (chunk.len == 0) {
        return;
    }
    if (out->piece_count == out->piece_cap) {
        out->piece_cap = out->piece_cap > 0 ? 2 * out->piece_cap : 8;
        out->pieces = mem_grow(out->pieces, out->piece_cap, sizeof *out->pieces);
    }
    out->pieces[out->piece_count++] =
        (struct kafka_piece){.at = out->bytes.len, .chunk = chunk_ref(chunk)};
    out->piece_bytes += chunk.len;
}

size_t kafka_out_take(struct kafka_out *out, const struct chunk **out_chunks)
{
    struct blob *blob = blob_copy(buf_slice(&out->bytes));
    size_t at = 0;
    size_t count = 0;

    free(out->taken);
    out->taken = mem_grow(NULL, 2 * out->piece_count + 1, sizeof *out->taken);
    for (size_t i = 0; i < out->piece_count; i++) {
        const struct kafka_piece *piece = &out->pieces[i];
        if (piece->at > at) {
            out->taken[count++] = chunk_of(blob, blob->bytes + at, piece->at - at);
            at = piece->at;
        }
        out->taken[count++] = piece->chunk;
    }
    if (blob->len > at) {
        out->taken[count++] = chunk_of(blob, blob->bytes + at, blob->len - at);
    }
    blob_unref(blob);
    out->piece_count = 0;
    out->piece_bytes = 0;
    buf_clear(&out->bytes);
    *out_chunks = out->taken;
    return count;
}

void kafka_out_copy(const struct kafka_out *out, struct buf *to)
{
    size_t at = 0;

    for (size_t i = 0; i < out->piece_count; i++) {
        const struct kafka_piece *piece = &out->pieces[i];
        buf_put(to, slice_of(out->bytes.base + at, piece->at - at));
        buf_put(to, chunk_slice(piece->chunk));
        at = piece->at;
    }
    if (out->bytes.len > at) {
        buf_put(to, slice_of(out->bytes.base + at, out->bytes.len - at));
    }
}

/* ---- values --------------------------------------------------------------------------------- */

/* Length of a string, of bytes or of an array; -1 is null. */
static void encode_len(struct encoder *e, int64_t len, bool is_short)
{
    if (e->flexible) {
        buf_uvarint(&e->out->bytes, (uint64_t)(len + 1));
    } else if (is_short) {
        buf_be16(&e->out->bytes, (uint16_t)len);
    } else {
        buf_be32(&e->out->bytes, (uint32_t)len);
    }
}

/* Null as this version says it: as null, as empty if no version knows null, else not at all. */
static bool encode_null(struct encoder *e, const struct kafka_field *field, bool is_short)
{
    if (e->version >= field->nullable_since) {
        encode_len(e, -1, is_short);
        return true;
    }
    if (field_is_nullable(field)) {
        return refuse(e, TERN_EUNSUPPORTED, field);
    }
    encode_len(e, 0, is_short);
    return true;
}

static bool encode_slice(struct encoder *e, const struct kafka_field *field, struct slice value)
{
    bool is_short = field->kind == KAFKA_STRING;

    if (value.base == NULL) {
        if (value.len > 0) {
            return refuse(e, TERN_EUNSUPPORTED, field);
        }
        if (!field_is_array(field)) {
            return encode_null(e, field, is_short);
        }
        /* An item of an array, which is never null. */
    }
    if (value.len > (is_short ? STRING_MAX : INT32_MAX)) {
        return refuse(e, TERN_ETOOBIG, field);
    }
    encode_len(e, (int64_t)value.len, is_short);
    buf_put(&e->out->bytes, value);
    return true;
}

static bool encode_records(struct encoder *e, const struct kafka_field *field,
                           const struct kafka_records *records)
{
    size_t len = records->bytes.len;

    if (records->chunks != NULL) {
        len = 0;
        for (uint32_t i = 0; i < records->chunk_count; i++) {
            len += records->chunks[i].len;
        }
    }
    if (len > INT32_MAX) {
        return refuse(e, TERN_ETOOBIG, field);
    }
    encode_len(e, (int64_t)len, false);
    if (records->chunks == NULL) {
        buf_put(&e->out->bytes, records->bytes);
        return true;
    }
    for (uint32_t i = 0; i < records->chunk_count; i++) {
        piece_add(e->out, records->chunks[i]);
    }
    return true;
}

static bool encode_item(struct encoder *e, const struct kafka_field *field, const void *value)
{
    struct buf *to = &e->out->bytes;

    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
        buf_u8(to, *(const bool *)value ? 1 : 0);
        return true;
    case KAFKA_I8:
        buf_u8(to, *(const uint8_t *)value);
        return true;
    case KAFKA_I16:
    case KAFKA_U16:
        buf_be16(to, *(const uint16_t *)value);
        return true;
    case KAFKA_I32:
        buf_be32(to, *(const uint32_t *)value);
        return true;
    case KAFKA_I64:
        buf_be64(to, *(const uint64_t *)value);
        return true;
    case KAFKA_UUID:
        buf_put(to, slice_of(value, sizeof(struct uuid)));
        return true;
    case KAFKA_STRING:
    case KAFKA_BYTES:
        return encode_slice(e, field, *(const struct slice *)value);
    case KAFKA_RECORDS:
        return encode_records(e, field, value);
    case KAFKA_STRUCT:
        return encode_struct(e, field->shape, value);
    }
    CHECK(false); /* no such kind of field */
    return false;
}

static bool encode_array(struct encoder *e, const struct kafka_field *field, const void *object)
{
    const char *items = field_items_of(field, object);
    uint32_t count = field_count_of(field, object);
    size_t size = field_item_size(field);

    if ((field->flags & KAFKA_ONE) != 0 && count <= 1) {
        buf_u8(&e->out->bytes, count == 1 ? 1 : 0xff);
    } else if (items == NULL) {
        return count == 0 ? encode_null(e, field, false) : refuse(e, TERN_EUNSUPPORTED, field);
    } else if (count > INT32_MAX || (field->flags & KAFKA_ONE) != 0) {
        return refuse(e, TERN_ETOOBIG, field);
    } else {
        encode_len(e, count, false);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!encode_item(e, field, items + i * size)) {
            return false;
        }
    }
    return true;
}

static bool encode_field(struct encoder *e, const struct kafka_field *field, const void *object)
{
    return field_is_array(field) ? encode_array(e, field, object)
                                 : encode_item(e, field, field_of(field, object));
}

/* ---- structs -------------------------------------------------------------------------------- */

static size_t uvarint_len(uint64_t value)
{
    size_t len = 1;

    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

/* The payload is written first; then its length is put in front of it. Records are never inside a
 * tag, so that no piece moves. */
static bool encode_tag(struct encoder *e, const struct kafka_field *field, const void *object)
{
    struct buf *to = &e->out->bytes;

    buf_uvarint(to, (uint64_t)field->tag);
    size_t start = to->len;
    if (!encode_field(e, field, object)) {
        return false;
    }
    size_t len = to->len - start;
    size_t len_len = uvarint_len(len);
    (void)buf_extend(to, len_len);
    memmove(to->base + start + len_len, to->base + start, len);
    to->len = start;
    buf_uvarint(to, len);
    CHECK(to->len == start + len_len);
    to->len += len;
    return true;
}

static bool is_tag_present(const struct encoder *e, const struct kafka_field *field,
                           const void *object)
{
    return field->tag >= 0 && field_in(field, e->version) && !field_is_default(field, object);
}

static bool encode_tags(struct encoder *e, const struct kafka_shape *shape, const void *object)
{
    uint64_t count = 0;

    for (size_t i = 0; i < shape->field_count; i++) {
        count += is_tag_present(e, &shape->fields[i], object) ? 1 : 0;
    }
    buf_uvarint(&e->out->bytes, count);
    for (size_t i = 0; i < shape->field_count && count > 0; i++) {
        if (is_tag_present(e, &shape->fields[i], object) &&
            !encode_tag(e, &shape->fields[i], object)) {
            return false;
        }
    }
    return true;
}

static bool encode_struct(struct encoder *e, const struct kafka_shape *shape, const void *object)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (!field_in(field, e->version)) {
            if ((field->flags & KAFKA_IGNORABLE) == 0 && !field_is_default(field, object)) {
                return refuse(e, TERN_EUNSUPPORTED, field);
            }
        } else if (field->tag < 0 && !encode_field(e, field, object)) {
            return false;
        }
    }
    return !e->flexible || encode_tags(e, shape, object);
}

/* ---- messages ------------------------------------------------------------------------------- */

static const struct kafka_api *known_api(int16_t key, int16_t version)
{
    const struct kafka_api *api = kafka_api_of(key);

    CHECK(api != NULL);
    CHECK(kafka_api_knows(api, version));
    return api;
}

struct mark {
    size_t bytes;
    size_t pieces;
};

static struct mark mark_of(const struct kafka_out *out)
{
    return (struct mark){out->bytes.len, out->piece_count};
}

static int encode_body(const struct kafka_api *api, const struct kafka_shape *shape,
                       int16_t version, const void *object, struct kafka_out *out,
                       struct mark start, struct kafka_fault *fault)
{
    struct encoder e = {
        .out = out, .version = version, .flexible = kafka_api_is_flexible(api, version)};

    if (encode_struct(&e, shape, object)) {
        return 0;
    }
    pieces_drop(out, start.pieces);
    out->bytes.len = start.bytes;
    if (fault != NULL) {
        *fault = (struct kafka_fault){.field = e.field};
    }
    return e.error;
}

int kafka_encode_request(const struct kafka_request_header *header, const void *request,
                         struct kafka_out *out, struct kafka_fault *fault)
{
    const struct kafka_api *api = known_api(header->key, header->version);
    struct mark start = mark_of(out);

    if (header->client_id.len > STRING_MAX) {
        if (fault != NULL) {
            *fault = (struct kafka_fault){.field = "client_id"};
        }
        return TERN_ETOOBIG;
    }
    buf_be16(&out->bytes, (uint16_t)header->key);
    buf_be16(&out->bytes, (uint16_t)header->version);
    buf_be32(&out->bytes, (uint32_t)header->correlation_id);
    bool null = header->client_id.base == NULL;
    buf_be16(&out->bytes, null ? 0xffff : (uint16_t)header->client_id.len);
    if (!null) {
        buf_put(&out->bytes, header->client_id);
    }
    if (kafka_request_header_version(api, header->version) >= 2) {
        buf_u8(&out->bytes, 0);
    }
    return encode_body(api, api->request, header->version, request, out, start, fault);
}

int kafka_encode_response(int16_t key, int16_t version, int32_t correlation_id,
                          const void *response, struct kafka_out *out, struct kafka_fault *fault)
{
    const struct kafka_api *api = known_api(key, version);
    struct mark start = mark_of(out);

    buf_be32(&out->bytes, (uint32_t)correlation_id);
    if (kafka_response_header_version(api, version) >= 1) {
        buf_u8(&out->bytes, 0);
    }
    return encode_body(api, api->response, version, response, out, start, fault);
}
