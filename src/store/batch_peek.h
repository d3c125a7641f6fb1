/* SPDX-License-Identifier: Apache-2.0 */
/* The few fields of a Kafka v2 record batch header that storage needs. */
#pragma once

#include "base/buf.h"
#include "base/crc.h"

#define BATCH_HEADER 61 /* bytes before the first record */
#define BATCH_PREFIX 12 /* base offset and length, not counted by length */

struct batch_peek {
    int64_t base;
    int64_t end; /* the next batch's base offset */
    int32_t epoch;
    uint32_t records;
    int64_t max_timestamp_ms;
    size_t len; /* whole batch; may be more than there is in `in` */
};

/* False if `in` does not begin with a plausible batch header. */
static inline bool batch_peek(struct slice in, struct batch_peek *out)
{
    if (in.len < BATCH_HEADER) {
        return false;
    }
    uint32_t length = get_be32(in.base + 8);
    uint32_t delta = get_be32(in.base + 23);
    uint64_t base = get_be64(in.base);
    if (length < BATCH_HEADER - BATCH_PREFIX || length > INT32_MAX || in.base[16] != 2 ||
        delta > INT32_MAX || base > (uint64_t)INT64_MAX - delta - 1) {
        return false;
    }
    out->base = (int64_t)base;
    out->end = (int64_t)(base + delta + 1);
    out->epoch = (int32_t)get_be32(in.base + 12);
    out->max_timestamp_ms = (int64_t)get_be64(in.base + 35);
    out->records = get_be32(in.base + 57);
    out->len = (size_t)length + BATCH_PREFIX;
    return true;
}

/* `batch` is one whole batch. */
static inline bool batch_sum_is_right(struct slice batch)
{
    return crc32c(slice_of(batch.base + 21, batch.len - 21)) == get_be32(batch.base + 17);
}
