/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one answer: taken piece by piece while a message is put together, given back at once.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/check.h"

struct pool_block;
struct pool {
    struct pool_block *blocks;
};

void *pool_new(struct pool *pool, size_t size); /* zeroed */
char *pool_text(struct pool *pool, const char *text);
char *pool_printf(struct pool *pool, const char *format, ...) TERN_PRINTF(2, 3);
ProtobufCBinaryData pool_bytes(struct pool *pool, struct slice bytes);
void pool_fini(struct pool *pool);
/* For protobuf-c's unpack functions: what they take is the pool's; freeing is left to pool_fini. */
ProtobufCAllocator pool_allocator(struct pool *pool);
/* Appends the packed message. */
void pack_into(struct buf *out, const ProtobufCMessage *message);
