/* SPDX-License-Identifier: Apache-2.0 */
/* How the interpreter reaches the fields of a struct by its shape. Private to this room. */
#pragma once

#include "kafka/codec.h"

static inline bool field_in(const struct kafka_field *field, int16_t version)
{
    return version >= field->since && version <= field->until;
}

static inline bool field_is_array(const struct kafka_field *field)
{
    return (field->flags & KAFKA_ARRAY) != 0;
}

/* Null is a value of this field in some version. */
static inline bool field_is_nullable(const struct kafka_field *field)
{
    return field->nullable_since != KAFKA_NEVER;
}

static inline void *field_at(const struct kafka_field *field, void *object)
{
    return (char *)object + field->offset;
}

static inline const void *field_of(const struct kafka_field *field, const void *object)
{
    return (const char *)object + field->offset;
}

static inline void **field_items(const struct kafka_field *field, void *object)
{
    return (void **)field_at(field, object);
}

static inline const void *field_items_of(const struct kafka_field *field, const void *object)
{
    return *(void *const *)field_of(field, object);
}

static inline uint32_t *field_count(const struct kafka_field *field, void *object)
{
    return (uint32_t *)(void *)((char *)object + field->count_offset);
}

static inline uint32_t field_count_of(const struct kafka_field *field, const void *object)
{
    return *(const uint32_t *)(const void *)((const char *)object + field->count_offset);
}

/* Bytes of one value in memory; of one item if the field is an array. */
size_t field_item_size(const struct kafka_field *field);
/* The least bytes that one value takes on the wire; of one item if the field is an array. Never 0.
 */
size_t field_wire_min(const struct kafka_field *field, int16_t version, bool flexible);
/* The field has its default: leaving it out loses nothing. */
bool field_is_default(const struct kafka_field *field, const void *object);
