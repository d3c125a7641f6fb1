/* SPDX-License-Identifier: Apache-2.0 */
/* A protobuf-c allocator with a byte cap: bytes that somebody sent cannot claim more memory than
 * the door that unpacks them allows. Past the cap unpacking fails as if the bytes were malformed.
 *
 * Freed bytes are not given back to the cap: it bounds one unpacking, then it is thrown away. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

struct capped_alloc {
    size_t left;
};

static inline void *capped_alloc_take(void *data, size_t size)
{
    struct capped_alloc *cap = data;

    if (size > cap->left) {
        return NULL;
    }
    cap->left -= size;
    return malloc(size > 0 ? size : 1);
}

static inline void capped_alloc_give(void *data, void *memory)
{
    (void)data;
    free(memory);
}

/* `cap` must outlive the use of the allocator. */
static inline ProtobufCAllocator capped_alloc_init(struct capped_alloc *cap, size_t bytes_max)
{
    cap->left = bytes_max;
    return (ProtobufCAllocator){
        .alloc = capped_alloc_take, .free = capped_alloc_give, .allocator_data = cap};
}
