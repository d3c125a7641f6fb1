/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of the interpreter. Time and memory are bounded by the input: an array is
 * allocated only when so many of the smallest possible items are there, every item takes at least
 * one byte, and the arena's limit holds for the sum. Depth is bounded by the schemas, which do not
 * recurse. */
#include "base/error.h"
#include "base/reader.h"
#include "kafka/shape.h"

#define STRING_MAX 0x7fff

struct decoder {
    struct reader in;
    struct arena *arena;
    const char *field; /* the one that failed */
    int error;
    int16_t version;
    bool flexible;
};

static bool decode_struct(struct decoder *d, const struct kafka_shape *shape, void *out);

static bool refuse(struct decoder *d, int error, const struct kafka_field *field)
{
    if (d->error == 0) {
        d->error = error;
        d->field = field != NULL ? field->name : "";
    }
    reader_fail(&d->in);
    return false;
}

static bool is_null_allowed(const struct decoder *d, const struct kafka_field *field)
{
    return field->kind == KAFKA_RECORDS || d->version >= field->nullable_since;
}

/* Length of a string, of bytes or of an array: below 0 is null, for Kafka reads what is written as
 * -1 like that. False if it cannot be in what is left. */
static bool decode_len(struct decoder *d, bool is_short, int64_t *out_len)
{
    int64_t len;

    if (d->flexible) {
        uint64_t raw = reader_uvarint(&d->in);
        if (raw > (uint64_t)INT32_MAX + 1) {
            return false;
        }
        len = (int64_t)raw - 1;
    } else if (is_short) {
        len = (int16_t)reader_be16(&d->in);
    } else {
        len = (int32_t)reader_be32(&d->in);
    }
    *out_len = len;
    return !d->in.failed && len <= (int64_t)reader_left(&d->in);
}

static bool decode_slice(struct decoder *d, const struct kafka_field *field, struct slice *out)
{
    int64_t len;

    if (!decode_len(d, field->kind == KAFKA_STRING, &len) ||
        (field->kind == KAFKA_STRING && len > STRING_MAX)) {
        return refuse(d, TERN_EMALFORMED, field);
    }
    if (len < 0) {
        /* A nullable array has no null items. */
        *out = (struct slice){0};
        return (is_null_allowed(d, field) && !field_is_array(field)) ||
               refuse(d, TERN_EMALFORMED, field);
    }
    *out = reader_take(&d->in, (size_t)len);
    return true;
}

static bool decode_number(struct decoder *d, const struct kafka_field *field, void *out)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
        *(bool *)out = reader_u8(&d->in) != 0;
        break;
    case KAFKA_I8:
        *(int8_t *)out = (int8_t)reader_u8(&d->in);
        break;
    case KAFKA_I16:
    case KAFKA_U16:
        *(uint16_t *)out = reader_be16(&d->in);
        break;
    case KAFKA_I32:
        *(uint32_t *)out = reader_be32(&d->in);
        break;
    case KAFKA_I64:
        *(uint64_t *)out = reader_be64(&d->in);
        break;
    case KAFKA_UUID: {
        struct slice bytes = reader_take(&d->in, sizeof(struct uuid));
        if (bytes.base != NULL) {
            memcpy(out, bytes.base, sizeof(struct uuid));
        }
        break;
    }
    case KAFKA_STRING:
    case KAFKA_BYTES:
    case KAFKA_RECORDS:
    case KAFKA_STRUCT:
        CHECK(false); /* not of fixed size */
    }
    return !d->in.failed || refuse(d, TERN_EMALFORMED, field);
}

static bool decode_item(struct decoder *d, const struct kafka_field *field, void *out)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_STRING:
    case KAFKA_BYTES:
        return decode_slice(d, field, out);
    case KAFKA_RECORDS:
        return decode_slice(d, field, &((struct kafka_records *)out)->bytes);
    case KAFKA_STRUCT:
        return decode_struct(d, field->shape, out);
    case KAFKA_BOOL:
    case KAFKA_I8:
    case KAFKA_I16:
    case KAFKA_U16:
    case KAFKA_I32:
    case KAFKA_I64:
    case KAFKA_UUID:
        break;
    }
    return decode_number(d, field, out);
}

/* A struct that can be null: one byte says whether it is there. */
static bool decode_one(struct decoder *d, int64_t *out_count)
{
    int8_t there = (int8_t)reader_u8(&d->in);

    *out_count = there;
    return !d->in.failed && (there == -1 || there == 1);
}

static bool decode_array(struct decoder *d, const struct kafka_field *field, void *object)
{
    int64_t count;

    if (!((field->flags & KAFKA_ONE) != 0 ? decode_one(d, &count) : decode_len(d, false, &count))) {
        return refuse(d, TERN_EMALFORMED, field);
    }
    *field_items(field, object) = NULL;
    *field_count(field, object) = 0;
    if (count < 0) {
        return is_null_allowed(d, field) || refuse(d, TERN_EMALFORMED, field);
    }
    size_t wire_min = field_wire_min(field, d->version, d->flexible);
    if ((uint64_t)count > reader_left(&d->in) / wire_min) {
        return refuse(d, TERN_EMALFORMED, field);
    }
    size_t size = field_item_size(field);
    char *items = arena_try(d->arena, (size_t)count * size);
    if (items == NULL) {
        return refuse(d, TERN_ETOOBIG, field);
    }
    for (int64_t i = 0; i < count; i++) {
        if (!decode_item(d, field, items + (size_t)i * size)) {
            return false;
        }
    }
    *field_items(field, object) = items;
    *field_count(field, object) = (uint32_t)count;
    return true;
}

static bool decode_field(struct decoder *d, const struct kafka_field *field, void *object)
{
    return field_is_array(field) ? decode_array(d, field, object)
                                 : decode_item(d, field, field_at(field, object));
}

static const struct kafka_field *find_tag(const struct kafka_shape *shape, uint64_t tag,
                                          int16_t version)
{
    for (size_t i = shape->field_count; i > 0 && shape->fields[i - 1].tag >= 0; i--) {
        const struct kafka_field *field = &shape->fields[i - 1];
        if ((uint64_t)field->tag == tag && field_in(field, version)) {
            return field;
        }
    }
    return NULL;
}

/* The payload of a tag that we know: it must be exactly the field. */
static bool decode_tag(struct decoder *d, const struct kafka_field *field, size_t size,
                       void *object)
{
    size_t end_all = d->in.in.len;

    d->in.in.len = d->in.at + size;
    if (!decode_field(d, field, object)) {
        return false;
    }
    if (reader_left(&d->in) != 0) {
        return refuse(d, TERN_EMALFORMED, field);
    }
    d->in.in.len = end_all;
    return true;
}

/* `shape` and `object` are NULL for a header, which has no tags that we know. */
static bool decode_tags(struct decoder *d, const struct kafka_shape *shape, void *object)
{
    uint64_t count = reader_uvarint(&d->in);
    uint64_t least = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t tag = reader_uvarint(&d->in);
        uint64_t size = reader_uvarint(&d->in);
        if (d->in.failed || tag < least || tag > UINT32_MAX || size > reader_left(&d->in)) {
            return refuse(d, TERN_EMALFORMED, NULL);
        }
        least = tag + 1;
        const struct kafka_field *field = shape != NULL ? find_tag(shape, tag, d->version) : NULL;
        if (field == NULL) {
            (void)reader_take(&d->in, (size_t)size);
        } else if (!decode_tag(d, field, (size_t)size, object)) {
            return false;
        }
    }
    return !d->in.failed || refuse(d, TERN_EMALFORMED, NULL);
}

static bool decode_struct(struct decoder *d, const struct kafka_shape *shape, void *out)
{
    kafka_defaults(shape, out);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (field->tag < 0 && field_in(field, d->version) && !decode_field(d, field, out)) {
            return false;
        }
    }
    return !d->flexible || decode_tags(d, shape, out);
}

static size_t arena_bound(const struct arena *arena, size_t body_len)
{
    CHECK(body_len < SIZE_MAX / (2 * KAFKA_ARENA_FACTOR));
    size_t bound = arena->used + KAFKA_ARENA_FACTOR * body_len + KAFKA_ARENA_SLACK;
    return bound < arena->limit ? bound : arena->limit;
}

static int decode_body(const struct kafka_api *api, const struct kafka_shape *shape,
                       int16_t version, struct slice body, bool whole, struct arena *arena,
                       void **out, struct kafka_fault *fault)
{
    struct decoder d = {.in = reader_of(body),
                        .arena = arena,
                        .version = version,
                        .flexible = kafka_api_is_flexible(api, version)};
    size_t limit = arena->limit;

    arena->limit = arena_bound(arena, body.len);
    void *object = arena_try(arena, shape->size);
    if (object == NULL) {
        (void)refuse(&d, TERN_ETOOBIG, NULL);
    } else if (decode_struct(&d, shape, object) && whole && reader_left(&d.in) != 0) {
        (void)refuse(&d, TERN_EMALFORMED, NULL);
    }
    arena->limit = limit;
    if (d.error != 0) {
        if (fault != NULL) {
            *fault = (struct kafka_fault){.field = d.field, .at = d.in.failed_at};
        }
        return d.error;
    }
    *out = object;
    return 0;
}

static int unsupported(struct kafka_fault *fault)
{
    if (fault != NULL) {
        *fault = (struct kafka_fault){.field = ""};
    }
    return TERN_EUNSUPPORTED;
}

int kafka_decode_request(int16_t key, int16_t version, struct slice body, struct arena *arena,
                         void **out_request, struct kafka_fault *fault)
{
    const struct kafka_api *api = kafka_api_of(key);

    if (api == NULL || !kafka_api_knows(api, version)) {
        return unsupported(fault);
    }
    return decode_body(api, api->request, version, body, false, arena, out_request, fault);
}

int kafka_decode_response(int16_t key, int16_t version, struct slice body, struct arena *arena,
                          void **out_response, struct kafka_fault *fault)
{
    const struct kafka_api *api = kafka_api_of(key);

    if (api == NULL || !kafka_api_knows(api, version)) {
        return unsupported(fault);
    }
    return decode_body(api, api->response, version, body, true, arena, out_response, fault);
}

static int decode_header_end(struct decoder *d, bool has_tags, struct slice *out_body)
{
    if (has_tags) {
        (void)decode_tags(d, NULL, NULL);
    }
    if (d->in.failed) {
        return TERN_EMALFORMED;
    }
    *out_body = reader_take(&d->in, reader_left(&d->in));
    return 0;
}

int kafka_decode_request_header(struct slice frame, struct kafka_request_header *out_header,
                                struct slice *out_body)
{
    /* The client id has a 16-bit length in every version: not flexible. */
    struct decoder d = {.in = reader_of(frame)};
    struct kafka_request_header header = {.key = (int16_t)reader_be16(&d.in)};
    static const struct kafka_field client_id = {
        .name = "client_id", .kind = KAFKA_STRING, .nullable_since = 0};

    header.version = (int16_t)reader_be16(&d.in);
    header.correlation_id = (int32_t)reader_be32(&d.in);
    if (d.in.failed) {
        return TERN_EMALFORMED;
    }
    const struct kafka_api *api = kafka_api_of(header.key);
    if (api == NULL || !kafka_api_knows(api, header.version)) {
        *out_header = header;
        return TERN_EUNSUPPORTED;
    }
    (void)decode_slice(&d, &client_id, &header.client_id);
    int error =
        decode_header_end(&d, kafka_request_header_version(api, header.version) >= 2, out_body);
    if (error == 0) {
        *out_header = header;
    }
    return error;
}

int kafka_decode_response_header(int16_t key, int16_t version, struct slice frame,
                                 int32_t *out_correlation_id, struct slice *out_body)
{
    const struct kafka_api *api = kafka_api_of(key);
    struct decoder d = {.in = reader_of(frame)};

    if (api == NULL || !kafka_api_knows(api, version)) {
        return TERN_EUNSUPPORTED;
    }
    int32_t correlation_id = (int32_t)reader_be32(&d.in);
    int error = decode_header_end(&d, kafka_response_header_version(api, version) >= 1, out_body);
    if (error == 0) {
        *out_correlation_id = correlation_id;
    }
    return error;
}
