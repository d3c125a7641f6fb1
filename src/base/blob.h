/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted bytes: record batches, because disk, regions and clients read the same ones.
 *
 * A blob is one allocation (usually a whole received frame); a chunk is a run of bytes inside it
 * that keeps it alive. Not thread-safe: references are taken and dropped on the loop thread only.
 */
#pragma once

#include "base/slice.h"

struct blob {
    uint32_t refs;
    size_t len;
    uint8_t bytes[];
};

/* A run of bytes inside a blob. Whoever holds a chunk holds one reference. */
struct chunk {
    struct blob *blob;
    uint8_t *base;
    size_t len;
};

/* One reference, bytes not initialised. */
struct blob *blob_new(size_t len);
struct blob *blob_copy(struct slice bytes);
struct blob *blob_ref(struct blob *blob);
/* Another length, contents kept; only while there is one reference and no chunk. */
struct blob *blob_resize(struct blob *blob, size_t len) __attribute__((warn_unused_result));
/* Drops one reference; NULL is allowed. */
void blob_unref(struct blob *blob);

/* A chunk of `blob`, with a reference of its own. The range must lie inside. */
struct chunk chunk_of(struct blob *blob, const uint8_t *base, size_t len);
struct chunk chunk_copy(struct slice bytes);
struct chunk chunk_ref(struct chunk chunk);
/* Drops the chunk's reference and empties it; an empty chunk is allowed. */
void chunk_drop(struct chunk *chunk);

static inline struct slice chunk_slice(struct chunk chunk)
{
    return (struct slice){chunk.base, chunk.len};
}
