/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

#define PAGES_MIN (64u << 10)

void buf_fini(struct buf *buf)
{
    free(buf->base);
    *buf = (struct buf){0};
}

uint8_t *buf_extend(struct buf *buf, size_t len)
{
    CHECK(len <= SIZE_MAX / 4 - buf->len);
    if (buf->len + len > buf->cap) {
        size_t cap = buf->cap > 0 ? buf->cap : 64;
        while (cap < buf->len + len) {
            cap *= 2;
        }
        buf->base = mem_grow(buf->base, cap, 1);
        buf->cap = cap;
    }
    uint8_t *at = buf->base + buf->len;
    buf->len += len;
    return at;
}

void buf_pages(struct buf *buf, size_t cap)
{
    size_t room = PAGES_MIN;

    buf_clear(buf);
    if (cap <= buf->cap && (uintptr_t)buf->base % MEM_PAGE == 0) {
        return;
    }
    CHECK(cap <= SIZE_MAX / 4);
    while (room < cap) {
        room *= 2;
    }
    free(buf->base);
    buf->base = mem_pages(room);
    buf->cap = room;
}

void buf_put(struct buf *buf, struct slice bytes)
{
    if (bytes.len > 0) {
        memcpy(buf_extend(buf, bytes.len), bytes.base, bytes.len);
    }
}

void buf_text(struct buf *buf, const char *text)
{
    buf_put(buf, slice_text(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    uint8_t *at = buf_extend(buf, (size_t)len + 1);
    (void)vsnprintf((char *)at, (size_t)len + 1, format, again);
    va_end(again);
    buf->len--; /* without the NUL */
}

void buf_u8(struct buf *buf, uint8_t value)
{
    *buf_extend(buf, 1) = value;
}

void buf_be16(struct buf *buf, uint16_t value)
{
    put_be16(buf_extend(buf, 2), value);
}

void buf_be32(struct buf *buf, uint32_t value)
{
    put_be32(buf_extend(buf, 4), value);
}

void buf_be64(struct buf *buf, uint64_t value)
{
    put_be64(buf_extend(buf, 8), value);
}

void buf_le16(struct buf *buf, uint16_t value)
{
    put_le16(buf_extend(buf, 2), value);
}

void buf_le32(struct buf *buf, uint32_t value)
{
    put_le32(buf_extend(buf, 4), value);
}

void buf_le64(struct buf *buf, uint64_t value)
{
    put_le64(buf_extend(buf, 8), value);
}

void buf_uvarint(struct buf *buf, uint64_t value)
{
    while (value >= 0x80) {
        buf_u8(buf, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_u8(buf, (uint8_t)value);
}
