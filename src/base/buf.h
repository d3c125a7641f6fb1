/* SPDX-License-Identifier: Apache-2.0 */
/* A growing run of bytes that we write ourselves. Big-endian (Kafka) and little-endian (disk)
 * writers. Growth cannot fail (see mem_grow); whoever fills one bounds what goes in. */
#pragma once

#include "base/slice.h"

struct buf {
    uint8_t *base;
    size_t len;
    size_t cap;
};

void buf_fini(struct buf *buf);
/* Room for `len` more bytes, counted as written; returns where they start. */
uint8_t *buf_extend(struct buf *buf, size_t len);
/* Empties it; room for at least `cap` bytes that begin at a page of memory, so that a disk can take
 * them from there. */
void buf_pages(struct buf *buf, size_t cap);
void buf_put(struct buf *buf, struct slice bytes);
void buf_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_u8(struct buf *buf, uint8_t value);
void buf_be16(struct buf *buf, uint16_t value);
void buf_be32(struct buf *buf, uint32_t value);
void buf_be64(struct buf *buf, uint64_t value);
void buf_le16(struct buf *buf, uint16_t value);
void buf_le32(struct buf *buf, uint32_t value);
void buf_le64(struct buf *buf, uint64_t value);
/* Unsigned LEB128, as Kafka's uvarint. */
void buf_uvarint(struct buf *buf, uint64_t value);

static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->base, buf->len};
}

/* Fixed-place encoders and decoders for headers. */
static inline void put_be16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *at, uint32_t v)
{
    put_be16(at, (uint16_t)(v >> 16));
    put_be16(at + 2, (uint16_t)v);
}

static inline void put_be64(uint8_t *at, uint64_t v)
{
    put_be32(at, (uint32_t)(v >> 32));
    put_be32(at + 4, (uint32_t)v);
}

static inline uint16_t get_be16(const uint8_t *at)
{
    return (uint16_t)((at[0] << 8) | at[1]);
}

static inline uint32_t get_be32(const uint8_t *at)
{
    return ((uint32_t)get_be16(at) << 16) | get_be16(at + 2);
}

static inline uint64_t get_be64(const uint8_t *at)
{
    return ((uint64_t)get_be32(at) << 32) | get_be32(at + 4);
}

static inline void put_le16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(uint8_t *at, uint32_t v)
{
    put_le16(at, (uint16_t)v);
    put_le16(at + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(uint8_t *at, uint64_t v)
{
    put_le32(at, (uint32_t)v);
    put_le32(at + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | (at[1] << 8));
}

static inline uint32_t get_le32(const uint8_t *at)
{
    return get_le16(at) | ((uint32_t)get_le16(at + 2) << 16);
}

static inline uint64_t get_le64(const uint8_t *at)
{
    return get_le32(at) | ((uint64_t)get_le32(at + 4) << 32);
}
