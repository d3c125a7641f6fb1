/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches for tests: right in header and checksum, with arbitrary bytes as records. */
#pragma once

#include "base/blob.h"
#include "base/buf.h"
#include "base/crc.h"

/* A batch of `records` records in `len` bytes (at least 61), filled from `seed`. */
static inline struct chunk batch_make(int64_t base, int32_t records, int32_t epoch,
                                      int64_t timestamp_ms, size_t len, uint32_t seed)
{
    struct blob *blob = blob_new(len);
    uint8_t *at = blob->bytes;

    memset(at, 0, 61);
    put_be64(at, (uint64_t)base);
    put_be32(at + 8, (uint32_t)(len - 12));
    put_be32(at + 12, (uint32_t)epoch);
    at[16] = 2;
    put_be32(at + 23, (uint32_t)(records - 1));
    put_be64(at + 27, (uint64_t)timestamp_ms);
    put_be64(at + 35, (uint64_t)timestamp_ms);
    put_be64(at + 43, UINT64_MAX); /* no producer id */
    put_be16(at + 51, UINT16_MAX);
    put_be32(at + 53, UINT32_MAX);
    put_be32(at + 57, (uint32_t)records);
    for (size_t i = 61; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        at[i] = (uint8_t)(seed >> 24);
    }
    put_be32(at + 17, crc32c(slice_of(at + 21, len - 21)));
    return (struct chunk){blob, at, len};
}
