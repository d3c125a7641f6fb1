/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blob.h"

#include "base/check.h"

struct blob *blob_new(size_t len)
{
    struct blob *blob = malloc(sizeof *blob + len);

    CHECK(blob != NULL);
    blob->refs = 1;
    blob->len = len;
    return blob;
}

struct blob *blob_copy(struct slice bytes)
{
    struct blob *blob = blob_new(bytes.len);

    if (bytes.len > 0) {
        memcpy(blob->bytes, bytes.base, bytes.len);
    }
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    CHECK(blob->refs > 0);
    blob->refs++;
    return blob;
}

struct blob *blob_resize(struct blob *blob, size_t len)
{
    CHECK(blob->refs == 1);
    struct blob *resized = realloc(blob, sizeof *blob + len);
    CHECK(resized != NULL);
    resized->len = len;
    return resized;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL) {
        return;
    }
    CHECK(blob->refs > 0);
    if (--blob->refs == 0) {
        free(blob);
    }
}

struct chunk chunk_of(struct blob *blob, const uint8_t *base, size_t len)
{
    CHECK(base >= blob->bytes);
    CHECK((size_t)(base - blob->bytes) + len <= blob->len);
    size_t at = (size_t)(base - blob->bytes);
    return (struct chunk){blob_ref(blob), blob->bytes + at, len};
}

struct chunk chunk_copy(struct slice bytes)
{
    struct blob *blob = blob_copy(bytes);

    return (struct chunk){blob, blob->bytes, bytes.len};
}

struct chunk chunk_ref(struct chunk chunk)
{
    if (chunk.blob != NULL) {
        (void)blob_ref(chunk.blob);
    }
    return chunk;
}

void chunk_drop(struct chunk *chunk)
{
    blob_unref(chunk->blob);
    *chunk = (struct chunk){0};
}
