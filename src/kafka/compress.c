/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/compress.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"

#define PIECE        (64u << 10) /* room is made in steps of this */
#define XERIAL_BLOCK (32u << 10)
#define XERIAL_HEAD  16
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

/* Room for the next piece, without going beyond `max`: 0 if there is none. One byte more than the
 * limit is given, so that what is too big shows. */
static size_t room(struct buf *out, size_t begin, size_t max, uint8_t **out_at)
{
    size_t used = out->len - begin;
    size_t left = used <= max ? max - used + 1 : 0;
    size_t len = left < PIECE ? left : PIECE;

    *out_at = len > 0 ? buf_extend(out, len) : NULL;
    return len;
}

/* ---- gzip ------------------------------------------------------------------------------------ */

#define GZIP_WINDOW (15 + 16) /* the largest, with a gzip header */

static int gzip_undo(struct slice in, size_t max, struct buf *out)
{
    z_stream z = {0};
    size_t begin = out->len;
    int status = Z_OK;

    if (in.len > UINT32_MAX || inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        return TERN_ETOOBIG;
    }
    z.next_in = (Bytef *)(uintptr_t)in.base;
    z.avail_in = (uInt)in.len;
    while (status == Z_OK) {
        size_t len = room(out, begin, max, &z.next_out);
        if (len == 0) {
            break;
        }
        z.avail_out = (uInt)len;
        status = inflate(&z, Z_NO_FLUSH);
        out->len -= z.avail_out;
        if (status == Z_STREAM_END && z.avail_in > 0) {
            status = inflateReset(&z); /* another member follows */
        }
    }
    (void)inflateEnd(&z);
    if (out->len - begin > max) {
        return TERN_ETOOBIG;
    }
    return status == Z_STREAM_END ? 0 : TERN_EMALFORMED;
}

static int gzip_do(int32_t level, struct slice in, struct buf *out)
{
    z_stream z = {0};
    int how = level >= 1 && level <= 9 ? level : Z_DEFAULT_COMPRESSION;

    if (in.len > UINT32_MAX ||
        deflateInit2(&z, how, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return TERN_ETOOBIG;
    }
    uLong bound = deflateBound(&z, (uLong)in.len);
    if (bound > UINT32_MAX) {
        (void)deflateEnd(&z);
        return TERN_ETOOBIG;
    }
    z.next_in = (Bytef *)(uintptr_t)in.base;
    z.avail_in = (uInt)in.len;
    z.next_out = buf_extend(out, bound);
    z.avail_out = (uInt)bound;
    int status = deflate(&z, Z_FINISH);
    out->len -= z.avail_out;
    (void)deflateEnd(&z);
    return status == Z_STREAM_END ? 0 : TERN_ETOOBIG;
}

/* ---- snappy ---------------------------------------------------------------------------------- */

static int snappy_block(struct slice in, size_t begin, size_t max, struct buf *out)
{
    const char *bytes = (const char *)in.base;
    size_t len = 0;

    if (snappy_uncompressed_length(bytes, in.len, &len) != SNAPPY_OK ||
        snappy_validate_compressed_buffer(bytes, in.len) != SNAPPY_OK) {
        return TERN_EMALFORMED;
    }
    if (len > max - (out->len - begin)) {
        return TERN_ETOOBIG;
    }
    if (len == 0) {
        return 0;
    }
    char *to = (char *)buf_extend(out, len);
    return snappy_uncompress(bytes, in.len, to, &len) == SNAPPY_OK ? 0 : TERN_EMALFORMED;
}

static int snappy_undo(struct slice in, size_t max, struct buf *out)
{
    size_t begin = out->len;
    size_t at = XERIAL_HEAD;
    int status = 0;

    if (in.len < XERIAL_HEAD || memcmp(in.base, xerial_magic, sizeof xerial_magic) != 0) {
        return snappy_block(in, begin, max, out);
    }
    while (status == 0 && at < in.len) {
        if (in.len - at < 4 || get_be32(in.base + at) > in.len - at - 4) {
            return TERN_EMALFORMED;
        }
        size_t len = get_be32(in.base + at);
        status = snappy_block(slice_of(in.base + at + 4, len), begin, max, out);
        at += 4 + len;
    }
    return status;
}

static int snappy_do(struct slice in, struct buf *out)
{
    buf_put(out, slice_of(xerial_magic, sizeof xerial_magic));
    buf_be32(out, 1); /* version, and the oldest that can read it */
    buf_be32(out, 1);
    for (size_t at = 0; at < in.len; at += XERIAL_BLOCK) {
        size_t len = in.len - at < XERIAL_BLOCK ? in.len - at : XERIAL_BLOCK;
        size_t size = snappy_max_compressed_length(len);
        size_t length_at = out->len;
        buf_be32(out, 0);
        char *to = (char *)buf_extend(out, size);
        size_t full = size;
        if (snappy_compress((const char *)in.base + at, len, to, &size) != SNAPPY_OK) {
            return TERN_ETOOBIG;
        }
        out->len -= full - size;
        put_be32(out->base + length_at, (uint32_t)size);
    }
    return 0;
}

/* ---- lz4 ------------------------------------------------------------------------------------- */

static int lz4_undo(struct slice in, size_t max, struct buf *out)
{
    LZ4F_dctx *context = NULL;
    size_t begin = out->len;
    size_t at = 0;
    size_t more = 1; /* 0: the frame is whole */

    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
        return TERN_ETOOBIG;
    }
    while (more != 0 && !LZ4F_isError(more)) {
        uint8_t *to = NULL;
        size_t len = room(out, begin, max, &to);
        size_t made = len;
        size_t took = in.len - at;
        if (len == 0) {
            break;
        }
        more = LZ4F_decompress(context, to, &made, in.base + at, &took, NULL);
        out->len -= LZ4F_isError(more) ? len : len - made;
        at += took;
        if (took == 0 && made == 0 && more != 0) {
            break; /* it ends too early */
        }
    }
    (void)LZ4F_freeDecompressionContext(context);
    if (out->len - begin > max) {
        return TERN_ETOOBIG;
    }
    return more == 0 ? 0 : TERN_EMALFORMED;
}

/* Kafka's usual level means the quick way; the library's own levels end at 12. */
#define LZ4_KAFKA_QUICK 9
#define LZ4_LEVEL_MAX   12

static int lz4_do(int32_t level, struct slice in, struct buf *out)
{
    LZ4F_preferences_t how = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}};
    if (level != COMPRESS_USUAL && level != LZ4_KAFKA_QUICK) {
        how.compressionLevel = level < LZ4_LEVEL_MAX ? level : LZ4_LEVEL_MAX;
    }
    size_t bound = LZ4F_compressFrameBound(in.len, &how);
    uint8_t *to = buf_extend(out, bound);
    size_t made = LZ4F_compressFrame(to, bound, in.base, in.len, &how);

    out->len -= LZ4F_isError(made) ? bound : bound - made;
    return LZ4F_isError(made) ? TERN_ETOOBIG : 0;
}

/* ---- zstd ------------------------------------------------------------------------------------ */

#define ZSTD_WINDOW_MAX 27 /* 128 MiB, the library's own limit: a frame may ask for that much */

static int zstd_undo(struct slice in, size_t max, struct buf *out)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer from = {in.base, in.len, 0};
    size_t begin = out->len;
    size_t more = 1; /* 0: the frame is whole */

    if (stream == NULL) {
        return TERN_ETOOBIG;
    }
    (void)ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, ZSTD_WINDOW_MAX);
    while (!ZSTD_isError(more) && (more != 0 || from.pos < from.size)) {
        uint8_t *at = NULL;
        size_t len = room(out, begin, max, &at);
        size_t before = from.pos;
        if (len == 0) {
            break;
        }
        ZSTD_outBuffer to = {at, len, 0};
        more = ZSTD_decompressStream(stream, &to, &from);
        out->len -= len - to.pos;
        if (to.pos == 0 && from.pos == before && more != 0) {
            break; /* it ends too early */
        }
    }
    (void)ZSTD_freeDStream(stream);
    if (out->len - begin > max) {
        return TERN_ETOOBIG;
    }
    return more == 0 ? 0 : TERN_EMALFORMED;
}

static int zstd_do(int32_t level, struct slice in, struct buf *out)
{
    int how = level == COMPRESS_USUAL ? ZSTD_CLEVEL_DEFAULT : level;
    size_t bound = ZSTD_compressBound(in.len);
    uint8_t *to = buf_extend(out, bound);
    size_t made = ZSTD_compress(to, bound, in.base, in.len, how);

    out->len -= ZSTD_isError(made) ? bound : bound - made;
    return ZSTD_isError(made) ? TERN_ETOOBIG : 0;
}

/* ---------------------------------------------------------------------------------------------- */

int compress_undo(unsigned codec, struct slice in, size_t max, struct buf *out)
{
    switch (codec) {
    case COMPRESS_GZIP:
        return gzip_undo(in, max, out);
    case COMPRESS_SNAPPY:
        return snappy_undo(in, max, out);
    case COMPRESS_LZ4:
        return lz4_undo(in, max, out);
    case COMPRESS_ZSTD:
        return zstd_undo(in, max, out);
    default:
        return TERN_EUNSUPPORTED;
    }
}

int compress_do(unsigned codec, int32_t level, struct slice in, struct buf *out)
{
    switch (codec) {
    case COMPRESS_GZIP:
        return gzip_do(level, in, out);
    case COMPRESS_SNAPPY:
        return snappy_do(in, out);
    case COMPRESS_LZ4:
        return lz4_do(level, in, out);
    case COMPRESS_ZSTD:
        return zstd_do(level, in, out);
    default:
        return TERN_EUNSUPPORTED;
    }
}
