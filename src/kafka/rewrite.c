/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/rewrite.h"

#include "base/crc.h"
#include "base/error.h"
#include "kafka/batch.h"
#include "kafka/compress.h"

_Static_assert(REWRITE_HEADER == BATCH_HEADER, "one format");

#define AT_LENGTH     8
#define AT_CRC        17
#define AT_ATTRIBUTES 21
#define AT_BASE_TIME  27
#define AT_MAX_TIME   35
#define AT_COUNT      57
#define LENGTH_FROM   12

void rewrite_peek(struct slice batch, struct rewrite_batch *out)
{
    struct batch_info info;

    CHECK(batch_peek(batch, &info) == 0);
    bool horizon = (info.attributes & REWRITE_HORIZON) != 0;
    *out = (struct rewrite_batch){
        .base = info.base_offset,
        .end = info.last_offset + 1,
        .max_timestamp_ms = info.max_timestamp,
        .horizon_ms = horizon ? info.base_timestamp : REWRITE_NEVER,
        .producer_id = info.producer_id,
        .producer_epoch = info.producer_epoch,
        .epoch = info.leader_epoch,
        .records = info.count,
        .transactional = (info.attributes & BATCH_TRANSACTIONAL) != 0,
        .control = (info.attributes & BATCH_CONTROL) != 0,
    };
}

/* ---- the inside ------------------------------------------------------------------------------ */

/* A batch whose records can be read: a header and what was compressed behind it. */
struct inside {
    struct buf bytes; /* if it had to be decompressed */
    struct record_iter iter;
};

static int inside_open(struct inside *inside, struct slice batch)
{
    struct batch_info info;
    int status = batch_peek(batch, &info);

    *inside = (struct inside){0};
    if (status != 0 || info.bytes != batch.len) {
        return TERN_EMALFORMED;
    }
    if (batch_codec(&info) != BATCH_PLAIN) {
        buf_put(&inside->bytes, slice_of(batch.base, BATCH_HEADER));
        status = compress_undo((unsigned)batch_codec(&info),
                               slice_of(batch.base + BATCH_HEADER, batch.len - BATCH_HEADER),
                               REWRITE_MAX, &inside->bytes);
        if (status != 0) {
            return status;
        }
        uint8_t *head = inside->bytes.base;
        put_be32(head + AT_LENGTH, (uint32_t)(inside->bytes.len - LENGTH_FROM));
        put_be16(head + AT_ATTRIBUTES, (uint16_t)(info.attributes & ~BATCH_CODEC_MASK));
        batch = buf_slice(&inside->bytes);
    }
    status = record_iter_init(&inside->iter, batch);
    return status == TERN_ECORRUPTBATCH ? TERN_EMALFORMED : status;
}

static void inside_close(struct inside *inside)
{
    buf_fini(&inside->bytes);
}

/* The next record, and its bytes with their length in front. ENOENT after the last; EMALFORMED. */
static int inside_next(struct inside *inside, struct rewrite_record *out, struct record *record,
                       struct slice *out_bytes)
{
    const struct reader *in = &inside->iter.in;
    size_t at = in->at;
    int status = record_next(&inside->iter, record);

    if (status != 0) {
        return status == TERN_ENOENT ? TERN_ENOENT : TERN_EMALFORMED;
    }
    *out_bytes = slice_of(in->in.base + at, in->at - at);
    *out = (struct rewrite_record){
        .offset = record->offset,
        .timestamp_ms = record->timestamp,
        .key = record->key,
        .tombstone = record->value.base == NULL,
    };
    return 0;
}

int rewrite_each(struct slice batch, void (*each)(void *ctx, const struct rewrite_record *record),
                 void *ctx)
{
    struct inside inside;
    struct rewrite_record record;
    struct record raw;
    struct slice bytes;
    int status = get_be32(batch.base + AT_COUNT) == 0 ? TERN_ENOENT : 0;

    if (status == TERN_ENOENT) {
        return 0; /* nothing in it, whatever its codec */
    }
    status = inside_open(&inside, batch);
    while (status == 0) {
        status = inside_next(&inside, &record, &raw, &bytes);
        if (status == 0) {
            each(ctx, &record);
        }
    }
    inside_close(&inside);
    return status == TERN_ENOENT ? 0 : status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_varint(struct buf *to, int64_t value)
{
    buf_uvarint(to, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static void put_field(struct buf *to, struct slice bytes)
{
    put_varint(to, bytes.base != NULL ? (int64_t)bytes.len : -1);
    buf_put(to, bytes);
}

/* The record anew, because its timestamp is told from another base. */
static void put_record(struct buf *to, struct buf *room, const struct record *record,
                       int64_t timestamp_delta, int64_t base_offset)
{
    buf_clear(room);
    buf_u8(room, 0);
    put_varint(room, timestamp_delta);
    put_varint(room, record->offset - base_offset);
    put_field(room, record->key);
    put_field(room, record->value);
    put_varint(room, record->header_count);
    buf_put(room, record->headers);
    put_varint(to, (int64_t)room->len);
    buf_put(to, buf_slice(room));
}

/* Length and checksum of the batch that begins at `begin` and ends with `out`. */
static void seal(struct buf *out, size_t begin)
{
    uint8_t *at = out->base + begin;
    size_t len = out->len - begin;

    put_be32(at + AT_LENGTH, (uint32_t)(len - LENGTH_FROM));
    put_be32(at + AT_CRC, crc32c(slice_of(at + AT_ATTRIBUTES, len - AT_ATTRIBUTES)));
}

/* What the first look at a batch finds. */
struct kept {
    int32_t count;
    int32_t tombstones;
    int64_t max_timestamp_ms;
};

static int look(struct slice batch, bool (*keep)(void *ctx, const struct rewrite_record *record),
                void *ctx, struct kept *out)
{
    struct inside inside;
    struct rewrite_record record;
    struct record raw;
    struct slice bytes;
    int status = inside_open(&inside, batch);

    *out = (struct kept){.max_timestamp_ms = INT64_MIN};
    while (status == 0) {
        status = inside_next(&inside, &record, &raw, &bytes);
        if (status == 0 && keep(ctx, &record)) {
            out->count++;
            out->tombstones += record.tombstone;
            if (record.timestamp_ms > out->max_timestamp_ms) {
                out->max_timestamp_ms = record.timestamp_ms;
            }
        }
    }
    inside_close(&inside);
    return status == TERN_ENOENT ? 0 : status;
}

/* The records that are kept, uncompressed; told from `base_ms` if that is another base. */
static int gather(struct slice batch, const struct batch_info *info, int64_t base_ms,
                  bool (*keep)(void *ctx, const struct rewrite_record *record), void *ctx,
                  struct buf *out)
{
    struct inside inside;
    struct rewrite_record record;
    struct record raw;
    struct slice bytes;
    struct buf room = {0};
    bool append_time = (info->attributes & BATCH_LOG_APPEND) != 0;
    int status = inside_open(&inside, batch);

    while (status == 0) {
        status = inside_next(&inside, &record, &raw, &bytes);
        if (status != 0 || !keep(ctx, &record)) {
            continue;
        }
        if (base_ms == info->base_timestamp) {
            buf_put(out, bytes);
        } else {
            int64_t delta =
                append_time ? 0 : (int64_t)((uint64_t)raw.timestamp - (uint64_t)base_ms);
            put_record(out, &room, &raw, delta, info->base_offset);
        }
    }
    inside_close(&inside);
    buf_fini(&room);
    return status == TERN_ENOENT ? 0 : status;
}

/* The header alone. */
static void put_empty(struct slice batch, struct buf *out)
{
    size_t begin = out->len;

    buf_put(out, slice_of(batch.base, BATCH_HEADER));
    uint8_t *head = out->base + begin;
    uint16_t attributes = get_be16(head + AT_ATTRIBUTES);
    put_be16(head + AT_ATTRIBUTES,
             (uint16_t)(attributes & ~(unsigned)(BATCH_CODEC_MASK | REWRITE_HORIZON)));
    put_be64(head + AT_BASE_TIME, get_be64(head + AT_MAX_TIME));
    put_be32(head + AT_COUNT, 0);
    seal(out, begin);
}

static int put_kept(struct slice batch, const struct batch_info *info, const struct kept *kept,
                    int64_t base_ms, bool (*keep)(void *ctx, const struct rewrite_record *record),
                    void *ctx, struct buf *out)
{
    struct buf plain = {0};
    size_t begin = out->len;
    int status = gather(batch, info, base_ms, keep, ctx, &plain);

    buf_put(out, slice_of(batch.base, BATCH_HEADER));
    if (status == 0 && batch_codec(info) == BATCH_PLAIN) {
        buf_put(out, buf_slice(&plain));
    } else if (status == 0) {
        status = compress_do((unsigned)batch_codec(info), COMPRESS_USUAL, buf_slice(&plain), out);
    }
    buf_fini(&plain);
    if (status != 0 || out->len - begin > INT32_MAX) {
        out->len = begin;
        return status != 0 ? status : TERN_ETOOBIG;
    }
    uint8_t *head = out->base + begin;
    if (base_ms != info->base_timestamp) {
        put_be16(head + AT_ATTRIBUTES, (uint16_t)((uint16_t)info->attributes | REWRITE_HORIZON));
        put_be64(head + AT_BASE_TIME, (uint64_t)base_ms);
    }
    if ((info->attributes & BATCH_LOG_APPEND) == 0) {
        put_be64(head + AT_MAX_TIME, (uint64_t)kept->max_timestamp_ms);
    }
    put_be32(head + AT_COUNT, (uint32_t)kept->count);
    seal(out, begin);
    return 0;
}

int rewrite_filter(struct slice batch, int64_t horizon_ms,
                   bool (*keep)(void *ctx, const struct rewrite_record *record), void *ctx,
                   struct buf *out, bool *out_changed)
{
    struct batch_info info;
    struct kept kept;
    int status = batch_peek(batch, &info);

    *out_changed = false;
    if (status != 0 || info.bytes != batch.len) {
        return TERN_EMALFORMED;
    }
    if (info.count == 0 || (info.attributes & BATCH_CONTROL) != 0) {
        buf_put(out, batch);
        return 0;
    }
    status = look(batch, keep, ctx, &kept);
    if (status != 0) {
        return status;
    }
    bool has_horizon = (info.attributes & REWRITE_HORIZON) != 0;
    bool set = kept.tombstones > 0 && !has_horizon && horizon_ms != info.base_timestamp;
    if (kept.count == info.count && !set) {
        buf_put(out, batch);
        return 0;
    }
    *out_changed = true;
    if (kept.count == 0) {
        put_empty(batch, out);
        return 0;
    }
    return put_kept(batch, &info, &kept, set ? horizon_ms : info.base_timestamp, keep, ctx, out);
}

int rewrite_codec(struct slice batch, unsigned codec, int32_t level, size_t max, struct buf *out)
{
    struct batch_info info;
    struct buf plain = {0};
    size_t begin = out->len;
    int status = batch_peek(batch, &info);

    if (status != 0 || info.bytes != batch.len) {
        return TERN_EMALFORMED;
    }
    struct slice records = slice_of(batch.base + BATCH_HEADER, batch.len - BATCH_HEADER);
    if (batch_codec(&info) != BATCH_PLAIN) {
        status = compress_undo((unsigned)batch_codec(&info), records, max, &plain);
        records = buf_slice(&plain);
    }
    buf_put(out, slice_of(batch.base, BATCH_HEADER));
    if (status == 0 && codec == BATCH_PLAIN) {
        buf_put(out, records);
    } else if (status == 0) {
        status = compress_do(codec, level, records, out);
    }
    buf_fini(&plain);
    if (status != 0 || out->len - begin > INT32_MAX) {
        out->len = begin;
        return status != 0 ? status : TERN_ETOOBIG;
    }
    uint16_t attributes = get_be16(out->base + begin + AT_ATTRIBUTES);
    put_be16(out->base + begin + AT_ATTRIBUTES,
             (uint16_t)((attributes & ~(unsigned)BATCH_CODEC_MASK) | codec));
    seal(out, begin);
    return 0;
}

void rewrite_gap(int64_t base, int64_t end, int32_t epoch, int64_t max_timestamp_ms,
                 struct buf *out)
{
    size_t begin = out->len;
    uint8_t *head = buf_extend(out, BATCH_HEADER);

    CHECK(end > base);
    CHECK(end - base - 1 <= INT32_MAX);
    memset(head, 0, BATCH_HEADER);
    batch_patch(head, base, epoch);
    head[16] = BATCH_MAGIC;
    put_be32(head + 23, (uint32_t)(end - base - 1));
    put_be64(head + AT_BASE_TIME, (uint64_t)max_timestamp_ms);
    put_be64(head + AT_MAX_TIME, (uint64_t)max_timestamp_ms);
    put_be64(head + 43, UINT64_MAX); /* no producer, epoch or sequence */
    put_be16(head + 51, UINT16_MAX);
    put_be32(head + 53, UINT32_MAX);
    seal(out, begin);
}
