/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/shape.h"

static const uint8_t empty_bytes[1];

size_t field_item_size(const struct kafka_field *field)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
        return sizeof(bool);
    case KAFKA_I8:
        return 1;
    case KAFKA_I16:
    case KAFKA_U16:
        return 2;
    case KAFKA_I32:
        return 4;
    case KAFKA_I64:
        return 8;
    case KAFKA_UUID:
        return sizeof(struct uuid);
    case KAFKA_STRING:
    case KAFKA_BYTES:
        return sizeof(struct slice);
    case KAFKA_RECORDS:
        return sizeof(struct kafka_records);
    case KAFKA_STRUCT:
        return field->shape->size;
    }
    CHECK(false); /* no such kind of field */
    return 0;
}

static size_t shape_wire_min(const struct kafka_shape *shape, int16_t version, bool flexible)
{
    size_t sum = flexible ? 1 : 0;

    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (field->tag < 0 && field_in(field, version)) {
            size_t array = flexible ? 1 : 4;
            sum += field_is_array(field) ? array : field_wire_min(field, version, flexible);
        }
    }
    return sum > 0 ? sum : 1;
}

size_t field_wire_min(const struct kafka_field *field, int16_t version, bool flexible)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
    case KAFKA_I8:
        return 1;
    case KAFKA_I16:
    case KAFKA_U16:
        return 2;
    case KAFKA_I32:
        return 4;
    case KAFKA_I64:
        return 8;
    case KAFKA_UUID:
        return sizeof(struct uuid);
    case KAFKA_STRING:
        return flexible ? 1 : 2;
    case KAFKA_BYTES:
    case KAFKA_RECORDS:
        return flexible ? 1 : 4;
    case KAFKA_STRUCT:
        return shape_wire_min(field->shape, version, flexible);
    }
    CHECK(false); /* no such kind of field */
    return 0;
}

static bool number_is(const struct kafka_field *field, const void *at)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
        return *(const bool *)at == (field->fallback != 0);
    case KAFKA_I8:
        return *(const int8_t *)at == field->fallback;
    case KAFKA_I16:
        return *(const int16_t *)at == field->fallback;
    case KAFKA_U16:
        return *(const uint16_t *)at == field->fallback;
    case KAFKA_I32:
        return *(const int32_t *)at == field->fallback;
    case KAFKA_I64:
        return *(const int64_t *)at == field->fallback;
    case KAFKA_UUID:
    case KAFKA_STRING:
    case KAFKA_BYTES:
    case KAFKA_RECORDS:
    case KAFKA_STRUCT:
        break;
    }
    CHECK(false); /* not a number */
    return false;
}

static bool shape_is_default(const struct kafka_shape *shape, const void *object)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        if (!field_is_default(&shape->fields[i], object)) {
            return false;
        }
    }
    return true;
}

static bool slice_is_default(const struct kafka_field *field, const struct slice *value)
{
    if (field_is_nullable(field) && (field->flags & KAFKA_DEFAULT_NULL) != 0) {
        return value->base == NULL;
    }
    return value->len == 0 && !(field_is_nullable(field) && value->base == NULL);
}

bool field_is_default(const struct kafka_field *field, const void *object)
{
    const void *at = field_of(field, object);

    if (field_is_array(field)) {
        bool null = field_is_nullable(field) && field_items_of(field, object) != NULL;
        return field_count_of(field, object) == 0 && !null;
    }
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
    case KAFKA_I8:
    case KAFKA_I16:
    case KAFKA_U16:
    case KAFKA_I32:
    case KAFKA_I64:
        return number_is(field, at);
    case KAFKA_UUID:
        return uuid_is_zero(*(const struct uuid *)at);
    case KAFKA_STRING:
    case KAFKA_BYTES:
        return slice_is_default(field, at);
    case KAFKA_RECORDS: {
        const struct kafka_records *records = at;
        return records->bytes.len == 0 && records->chunk_count == 0;
    }
    case KAFKA_STRUCT:
        return shape_is_default(field->shape, at);
    }
    CHECK(false); /* no such kind of field */
    return false;
}

static void field_set_default(const struct kafka_field *field, void *at)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
        *(bool *)at = field->fallback != 0;
        break;
    case KAFKA_I8:
        *(int8_t *)at = (int8_t)field->fallback;
        break;
    case KAFKA_I16:
        *(int16_t *)at = (int16_t)field->fallback;
        break;
    case KAFKA_U16:
        *(uint16_t *)at = (uint16_t)field->fallback;
        break;
    case KAFKA_I32:
        *(int32_t *)at = (int32_t)field->fallback;
        break;
    case KAFKA_I64:
        *(int64_t *)at = field->fallback;
        break;
    case KAFKA_STRING:
    case KAFKA_BYTES:
        if ((field->flags & KAFKA_DEFAULT_NULL) == 0) {
            *(struct slice *)at = (struct slice){empty_bytes, 0};
        }
        break;
    case KAFKA_STRUCT:
        kafka_defaults(field->shape, at);
        break;
    case KAFKA_UUID:
    case KAFKA_RECORDS:
        break;
    }
}

void kafka_defaults(const struct kafka_shape *shape, void *out)
{
    memset(out, 0, shape->size);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (!field_is_array(field)) {
            field_set_default(field, field_at(field, out));
        }
    }
}

void *kafka_items(struct arena *arena, const struct kafka_shape *shape, uint32_t count)
{
    char *items = arena_take(arena, (size_t)count * shape->size);

    for (uint32_t i = 0; i < count; i++) {
        kafka_defaults(shape, items + (size_t)i * shape->size);
    }
    return items;
}

void *kafka_empty_array(void)
{
    /* Nobody may write to it: it has no items. */
    static uint64_t nothing;

    return &nothing;
}

static struct slice records_flat(const struct kafka_records *records, struct buf *scratch)
{
    if (records->chunks == NULL) {
        return records->bytes;
    }
    for (uint32_t i = 0; i < records->chunk_count; i++) {
        buf_put(scratch, chunk_slice(records->chunks[i]));
    }
    return buf_slice(scratch);
}

static bool records_equal(const struct kafka_records *a, const struct kafka_records *b)
{
    struct buf scratch_a = {0};
    struct buf scratch_b = {0};
    bool equal = slice_equal(records_flat(a, &scratch_a), records_flat(b, &scratch_b));

    buf_fini(&scratch_a);
    buf_fini(&scratch_b);
    return equal;
}

static bool item_equal(const struct kafka_field *field, const void *a, const void *b)
{
    switch ((enum kafka_kind)field->kind) {
    case KAFKA_STRING:
    case KAFKA_BYTES: {
        const struct slice *x = a;
        const struct slice *y = b;
        bool same_null = (x->base == NULL) == (y->base == NULL);
        return slice_equal(*x, *y) && (same_null || !field_is_nullable(field));
    }
    case KAFKA_RECORDS:
        return records_equal(a, b);
    case KAFKA_STRUCT:
        return kafka_equal(field->shape, a, b);
    case KAFKA_BOOL:
    case KAFKA_I8:
    case KAFKA_I16:
    case KAFKA_U16:
    case KAFKA_I32:
    case KAFKA_I64:
    case KAFKA_UUID:
        break;
    }
    return memcmp(a, b, field_item_size(field)) == 0;
}

static bool array_equal(const struct kafka_field *field, const void *a, const void *b)
{
    const char *items_a = field_items_of(field, a);
    const char *items_b = field_items_of(field, b);
    size_t size = field_item_size(field);
    uint32_t count = field_count_of(field, a);

    if (count != field_count_of(field, b) ||
        (field_is_nullable(field) && (items_a == NULL) != (items_b == NULL))) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!item_equal(field, items_a + i * size, items_b + i * size)) {
            return false;
        }
    }
    return true;
}

bool kafka_equal(const struct kafka_shape *shape, const void *a, const void *b)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (field_is_array(field) ? !array_equal(field, a, b)
                                  : !item_equal(field, field_of(field, a), field_of(field, b))) {
            return false;
        }
    }
    return true;
}
