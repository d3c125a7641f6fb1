/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include "base/check.h"

struct builder {
    struct message *m;
    int16_t version;
    bool flexible;
    const struct value *own;
    const struct value *common;
    unsigned copies;
    bool in_array; /* items cannot be null, only their array */
};

static const struct value *value_of(const struct builder *b, const char *field)
{
    const struct value *lists[] = {b->own, b->common};

    for (size_t i = 0; i < 2; i++) {
        for (const struct value *v = lists[i]; v != NULL && v->field != NULL; v++) {
            if (strcmp(v->field, field) == 0) {
                return v;
            }
        }
    }
    return NULL;
}

/* Its end is filled in when it is there. */
static struct mark *mark(struct builder *b, enum mark_kind kind, const struct kafka_field *field)
{
    CHECK(b->m->mark_count < MARKS_MAX);
    b->m->marks[b->m->mark_count++] = (struct mark){
        .at = b->m->bytes.len,
        .kind = kind,
        .nullable = field != NULL && !b->in_array &&
                    (b->version >= field->nullable_since || field->kind == KAFKA_RECORDS),
        .field = field != NULL ? field->name : "tags",
    };
    return &b->m->marks[b->m->mark_count - 1];
}

/* len -1: null */
static struct mark *put_length(struct builder *b, const struct kafka_field *field, int64_t len,
                               bool wide)
{
    struct mark *made = mark(b, b->flexible ? MARK_COMPACT : wide ? MARK_LEN32 : MARK_LEN16, field);
    if (b->flexible) {
        buf_uvarint(&b->m->bytes, (uint64_t)(len + 1));
        CHECK(len < 127);
    } else if (wide) {
        buf_be32(&b->m->bytes, (uint32_t)(int32_t)len);
    } else {
        buf_be16(&b->m->bytes, (uint16_t)(int16_t)len);
    }
    made->end = b->m->bytes.len;
    return made;
}

static void put_shape(struct builder *b, const struct kafka_shape *shape);

static void put_text(struct builder *b, const struct kafka_field *field, const struct value *value)
{
    bool null = value != NULL && value->kind == VALUE_NULL && b->version >= field->nullable_since;
    const char *text = null                                         ? NULL
                       : value != NULL && value->kind == VALUE_NULL ? ""
                       : value != NULL && value->text != NULL       ? value->text
                       : field->kind == KAFKA_STRING                ? "hostile"
                                                                    : "";
    struct mark *made = put_length(b, field, text != NULL ? (int64_t)strlen(text) : -1,
                                   field->kind != KAFKA_STRING);
    if (text != NULL) {
        buf_text(&b->m->bytes, text);
    }
    made->end = b->m->bytes.len;
}

static void put_item(struct builder *b, const struct kafka_field *field, const struct value *value)
{
    int64_t number = value != NULL ? value->number : 0;
    struct buf *out = &b->m->bytes;

    switch ((enum kafka_kind)field->kind) {
    case KAFKA_BOOL:
    case KAFKA_I8:
        buf_u8(out, (uint8_t)number);
        break;
    case KAFKA_I16:
    case KAFKA_U16:
        buf_be16(out, (uint16_t)number);
        break;
    case KAFKA_I32:
        buf_be32(out, (uint32_t)number);
        break;
    case KAFKA_I64:
        buf_be64(out, (uint64_t)number);
        break;
    case KAFKA_UUID:
        buf_be64(out, (uint64_t)number);
        buf_be64(out, (uint64_t)number);
        break;
    case KAFKA_STRING:
    case KAFKA_BYTES:
    case KAFKA_RECORDS:
        put_text(b, field, value);
        break;
    case KAFKA_STRUCT:
        put_shape(b, field->shape);
        break;
    }
}

static void put_array(struct builder *b, const struct kafka_field *field, const struct value *value)
{
    bool null = value != NULL && value->kind == VALUE_NULL && b->version >= field->nullable_since;
    unsigned count = value != NULL && value->kind != VALUE_PLAIN ? 0 : b->copies;

    if ((field->flags & KAFKA_ONE) != 0) {
        struct mark *made = mark(b, MARK_ONE, field);
        buf_u8(&b->m->bytes, null ? 0xff : 1);
        if (!null) {
            put_item(b, field, value);
        }
        made->end = b->m->bytes.len;
        return;
    }
    struct mark *made = put_length(b, field, null ? -1 : (int64_t)count, true);
    for (unsigned i = 0; i < count && !null; i++) {
        b->in_array = field->kind != KAFKA_STRUCT;
        put_item(b, field, value);
        b->in_array = false;
    }
    made->end = b->m->bytes.len;
}

static void put_shape(struct builder *b, const struct kafka_shape *shape)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (field->tag >= 0 || b->version < field->since || b->version > field->until) {
            continue;
        }
        const struct value *value = value_of(b, field->name);
        if ((field->flags & KAFKA_ARRAY) != 0) {
            put_array(b, field, value);
        } else {
            put_item(b, field, value);
        }
    }
    if (b->flexible) {
        mark(b, MARK_COMPACT, NULL);
        buf_u8(&b->m->bytes, 0);
    }
}

void message_build(struct message *m, const struct kafka_api *api, int16_t version,
                   int32_t correlation_id, const struct value *own, const struct value *common,
                   unsigned copies)
{
    struct builder b = {.m = m,
                        .version = version,
                        .flexible = kafka_api_is_flexible(api, version),
                        .own = own,
                        .common = common,
                        .copies = copies};

    *m = (struct message){0};
    buf_be16(&m->bytes, (uint16_t)api->key);
    buf_be16(&m->bytes, (uint16_t)version);
    buf_be32(&m->bytes, (uint32_t)correlation_id);
    buf_be16(&m->bytes, 7);
    buf_text(&m->bytes, "hostile");
    if (b.flexible) {
        buf_u8(&m->bytes, 0);
    }
    m->body_at = m->bytes.len;
    put_shape(&b, api->request);
}

void message_fini(struct message *m)
{
    buf_fini(&m->bytes);
}

void message_frame(const struct message *m, size_t len, struct buf *frame)
{
    buf_clear(frame);
    buf_be32(frame, (uint32_t)len);
    buf_put(frame, slice_of(m->bytes.base, len));
}

static const size_t widths[] = {
    [MARK_LEN16] = 2, [MARK_LEN32] = 4, [MARK_COMPACT] = 1, [MARK_ONE] = 1};

bool mark_is_null(const struct mark *mark, enum mark_as as)
{
    bool has_sign = mark->kind == MARK_LEN16 || mark->kind == MARK_LEN32;

    return mark->nullable && (as == MARK_AS_NULL || (as == MARK_AS_NEGATIVE && has_sign));
}

void message_spoil(const struct message *m, const struct mark *mark, enum mark_as as,
                   struct buf *frame)
{
    static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff};
    static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xfe};
    static const uint8_t null[] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t compact_huge[] = {0xff, 0xff, 0xff, 0xff, 0x07};
    static const uint8_t compact_over[] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0x7f};
    static const uint8_t compact_null[] = {0};
    size_t width = widths[mark->kind];
    struct slice with;

    if (mark->kind == MARK_COMPACT) {
        with = as == MARK_AS_HUGE       ? slice_of(compact_huge, sizeof compact_huge)
               : as == MARK_AS_NEGATIVE ? slice_of(compact_over, sizeof compact_over)
                                        : slice_of(compact_null, sizeof compact_null);
    } else {
        const uint8_t *bytes = as == MARK_AS_HUGE ? huge : as == MARK_AS_NEGATIVE ? negative : null;
        with = as == MARK_AS_NEGATIVE ? slice_of(bytes + 4 - width, width) : slice_of(bytes, width);
    }
    size_t rest = as == MARK_AS_NULL || mark_is_null(mark, as) ? mark->end : mark->at + width;
    buf_clear(frame);
    buf_be32(frame, 0);
    buf_put(frame, slice_of(m->bytes.base, mark->at));
    buf_put(frame, with);
    buf_put(frame, slice_of(m->bytes.base + rest, m->bytes.len - rest));
    put_be32(frame->base, (uint32_t)frame->len - 4);
}
