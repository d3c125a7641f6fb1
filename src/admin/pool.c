/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct pool_block {
    struct pool_block *next;
    max_align_t bytes[];
};

void *pool_new(struct pool *pool, size_t size)
{
    struct pool_block *block = mem_new(sizeof *block + size);

    block->next = pool->blocks;
    pool->blocks = block;
    return block->bytes;
}

char *pool_text(struct pool *pool, const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(pool_new(pool, size), text, size);
}

char *pool_printf(struct pool *pool, const char *format, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    text = pool_new(pool, (size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

ProtobufCBinaryData pool_bytes(struct pool *pool, struct slice bytes)
{
    uint8_t *copy = pool_new(pool, bytes.len + 1);

    if (bytes.len > 0) {
        memcpy(copy, bytes.base, bytes.len);
    }
    return (ProtobufCBinaryData){.len = bytes.len, .data = copy};
}

void pool_fini(struct pool *pool)
{
    while (pool->blocks != NULL) {
        struct pool_block *next = pool->blocks->next;

        free(pool->blocks);
        pool->blocks = next;
    }
}

static void *pool_take(void *data, size_t size)
{
    return pool_new(data, size > 0 ? size : 1);
}

static void pool_keep(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

ProtobufCAllocator pool_allocator(struct pool *pool)
{
    return (ProtobufCAllocator){.alloc = pool_take, .free = pool_keep, .allocator_data = pool};
}

void pack_into(struct buf *out, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    (void)protobuf_c_message_pack(message, buf_extend(out, size));
}
