/* SPDX-License-Identifier: Apache-2.0 */
/* Reads bytes that somebody else wrote. The error is sticky: read everything, check once.
 *
 * After a failed read every further read gives zero or an empty slice; `failed_at` tells where. */
#pragma once

#include "base/buf.h"

struct reader {
    struct slice in;
    size_t at;
    size_t failed_at; /* position of the first read that did not fit */
    bool failed;
};

static inline struct reader reader_of(struct slice in)
{
    return (struct reader){.in = in};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->in.len - r->at;
}

static inline void reader_fail(struct reader *r)
{
    if (!r->failed) {
        r->failed = true;
        r->failed_at = r->at;
    }
}

/* `len` bytes, borrowed from the input. */
static inline struct slice reader_take(struct reader *r, size_t len)
{
    if (len > reader_left(r)) {
        reader_fail(r);
        return (struct slice){0};
    }
    struct slice out = {r->in.base + r->at, len};
    r->at += len;
    return out;
}

#define READER_FIXED(name, type, bytes, get)                                                       \
    static inline type name(struct reader *r)                                                      \
    {                                                                                              \
        struct slice s = reader_take(r, bytes);                                                    \
        return s.base != NULL ? (type)get(s.base) : (type)0;                                       \
    }
static inline uint8_t get_u8(const uint8_t *at)
{
    return *at;
}
READER_FIXED(reader_u8, uint8_t, 1, get_u8)
READER_FIXED(reader_be16, uint16_t, 2, get_be16)
READER_FIXED(reader_be32, uint32_t, 4, get_be32)
READER_FIXED(reader_be64, uint64_t, 8, get_be64)
READER_FIXED(reader_le16, uint16_t, 2, get_le16)
READER_FIXED(reader_le32, uint32_t, 4, get_le32)
READER_FIXED(reader_le64, uint64_t, 8, get_le64)
#undef READER_FIXED

/* Unsigned LEB128 of at most ten bytes. */
static inline uint64_t reader_uvarint(struct reader *r)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return r->failed ? 0 : value;
        }
    }
    reader_fail(r);
    return 0;
}
