/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as bytes, made from the shapes of the API table and not by the codec that is on trial.
 * Where a length, a count or a null stands is noted, so that it can be made hostile. */
#pragma once

#include "base/buf.h"
#include "kafka/api.h"

/* A value for every field of this name; the text NULL: null where it can be, else empty. */
struct value {
    const char *field; /* NULL ends a list */
    const char *text;
    int64_t number;
    enum { VALUE_PLAIN, VALUE_NONE /* an array without items */, VALUE_NULL } kind;
};

enum mark_kind {
    MARK_LEN16,
    MARK_LEN32,
    MARK_COMPACT /* one byte */,
    MARK_ONE /* a struct or null */
};
struct mark {
    size_t at;
    size_t end; /* of what it is the length of */
    enum mark_kind kind;
    bool nullable;
    const char *field;
};

#define MARKS_MAX 256
struct message {
    struct buf bytes; /* header and body, no length prefix */
    size_t body_at;
    struct mark marks[MARKS_MAX];
    size_t mark_count;
};

/* Every array has `copies` equal items. What `own` does not name is taken from `common`, and else is 0
 * or "hostile". */
void message_build(struct message *m, const struct kafka_api *api, int16_t version,
                   int32_t correlation_id, const struct value *own, const struct value *common,
                   unsigned copies);
void message_fini(struct message *m);
/* A frame (with prefix) of the message with the mark's bytes replaced: by the greatest that it can
 * say, by one below null, or by null, and then without what it was the length of. */
enum mark_as { MARK_AS_HUGE, MARK_AS_NEGATIVE, MARK_AS_NULL };
/* Does that mean null where null can be? Everything below 0 does, if it has a sign. */
bool mark_is_null(const struct mark *mark, enum mark_as as);
void message_spoil(const struct message *m, const struct mark *mark, enum mark_as as,
                   struct buf *frame);
/* A frame of the first `len` bytes. */
void message_frame(const struct message *m, size_t len, struct buf *frame);
