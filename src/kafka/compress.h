/* SPDX-License-Identifier: Apache-2.0 */
/* The four codecs of record batches, by the libraries that everybody uses for them.
 *
 * gzip: zlib; snappy: in the frames of xerial's library, as Java clients write it, or bare (both are
 * read); lz4: its frame format, blocks independent of each other, since Java reads no others; zstd.
 * The same bytes and the same libraries give the same bytes. */
#pragma once

#include "base/buf.h"
#include "base/check.h"

/* Numbers as in a batch's attributes (enum batch_codec). */
#define COMPRESS_GZIP   1
#define COMPRESS_SNAPPY 2
#define COMPRESS_LZ4    3
#define COMPRESS_ZSTD   4

/* Appends what `in` was before it was compressed, at most `max` bytes, whatever a length in it
 * claims. TERN_EMALFORMED: it is not whole, or not of that codec; TERN_ETOOBIG: more than `max`;
 * TERN_EUNSUPPORTED: another codec. */
int compress_undo(unsigned codec, struct slice in, size_t max, struct buf *out) TERN_MUST_USE;
/* Appends `in`, compressed at a level of that codec as Kafka counts them (gzip 1 to 9, lz4 1 to 17, of
 * which 9 is its quick way, zstd -131072 to 22; snappy has none), or at its library's usual one.
 * TERN_EUNSUPPORTED, TERN_ETOOBIG (a length that the codec cannot tell). */
#define COMPRESS_USUAL INT32_MIN
int compress_do(unsigned codec, int32_t level, struct slice in, struct buf *out) TERN_MUST_USE;
