/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/batch.h"

#include "base/crc.h"
#include "base/error.h"

#define AT_LENGTH        8
#define AT_EPOCH         12
#define AT_MAGIC         16
#define AT_CRC           17
#define AT_ATTRIBUTES    21
#define AT_MAX_TIMESTAMP 35
#define LENGTH_FROM      12 /* the length counts from here */
#define RECORD_MIN       7  /* length, attributes, two deltas, key, value, headers */

/* ---- headers -------------------------------------------------------------------------------- */

/* Two's complement, no overflow: the base offset of a producer's batch is any number. */
static int64_t offset_plus(int64_t base, int32_t delta)
{
    return (int64_t)((uint64_t)base + (uint64_t)(int64_t)delta);
}

static void read_marker(struct slice batch, struct batch_info *info);

int batch_peek(struct slice bytes, struct batch_info *out_info)
{
    struct reader in = reader_of(bytes);
    struct batch_info info = {.base_offset = (int64_t)reader_be64(&in)};
    int32_t length = (int32_t)reader_be32(&in);

    info.leader_epoch = (int32_t)reader_be32(&in);
    uint8_t magic = reader_u8(&in);
    if (in.failed) {
        return TERN_EMALFORMED;
    }
    if (magic != BATCH_MAGIC) {
        return TERN_EUNSUPPORTED;
    }
    (void)reader_be32(&in); /* the checksum */
    info.attributes = (int16_t)reader_be16(&in);
    int32_t last_delta = (int32_t)reader_be32(&in);
    info.base_timestamp = (int64_t)reader_be64(&in);
    info.max_timestamp = (int64_t)reader_be64(&in);
    info.producer_id = (int64_t)reader_be64(&in);
    info.producer_epoch = (int16_t)reader_be16(&in);
    info.base_sequence = (int32_t)reader_be32(&in);
    info.count = (int32_t)reader_be32(&in);
    if (in.failed || length < BATCH_HEADER - LENGTH_FROM || last_delta < 0) {
        return TERN_EMALFORMED;
    }
    info.bytes = (size_t)length + LENGTH_FROM;
    info.last_offset = offset_plus(info.base_offset, last_delta);
    if ((info.attributes & BATCH_CONTROL) != 0 && info.bytes <= bytes.len) {
        read_marker(slice_of(bytes.base, info.bytes), &info);
    }
    *out_info = info;
    return 0;
}

static bool is_sum_right(struct slice batch)
{
    struct slice summed = slice_of(batch.base + AT_ATTRIBUTES, batch.len - AT_ATTRIBUTES);

    return crc32c(summed) == get_be32(batch.base + AT_CRC);
}

int batch_check(struct slice bytes, struct batch_info *out_info)
{
    struct batch_info info;
    int error = batch_peek(bytes, &info);

    if (error != 0) {
        return error;
    }
    if (info.bytes > bytes.len || !is_sum_right(slice_of(bytes.base, info.bytes))) {
        return TERN_ECORRUPTBATCH;
    }
    *out_info = info;
    return 0;
}

/* The rules for one batch whose bytes arrived as they were sent. */
static int check_rules(const struct batch_info *info)
{
    bool has_producer = info->producer_id >= 0;

    /* The count bounds the delta, so this also refuses a batch without records. */
    if (info->count <= 0 || info->last_offset != offset_plus(info->base_offset, info->count - 1)) {
        return TERN_EINVALIDRECORD;
    }
    if (batch_codec(info) > BATCH_ZSTD || (info->attributes & BATCH_CONTROL) != 0) {
        return TERN_EINVALIDRECORD;
    }
    if (has_producer && (info->producer_epoch < 0 || info->base_sequence < 0)) {
        return TERN_EINVALIDRECORD;
    }
    if (!has_producer && (info->attributes & BATCH_TRANSACTIONAL) != 0) {
        return TERN_EINVALIDRECORD;
    }
    return (info->attributes & BATCH_LOG_APPEND) != 0 ? TERN_ETIMESTAMP : 0;
}

int batch_check_produce(struct slice bytes, struct batch_info *out_info)
{
    struct batch_info info;

    if (bytes.len == 0) {
        return TERN_EINVALIDRECORD;
    }
    int error = batch_peek(bytes, &info);
    if (error != 0) {
        return error == TERN_EMALFORMED ? TERN_ECORRUPTBATCH : error;
    }
    if (info.bytes > bytes.len || !is_sum_right(slice_of(bytes.base, info.bytes))) {
        return TERN_ECORRUPTBATCH;
    }
    error = info.bytes < bytes.len ? TERN_EINVALIDRECORD : check_rules(&info);
    if (error == 0) {
        *out_info = info;
    }
    return error;
}

void batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    put_be64(batch, (uint64_t)base_offset);
    put_be32(batch + AT_EPOCH, (uint32_t)leader_epoch);
}

void batch_log_append_time(uint8_t *batch, size_t len, int64_t now_ms)
{
    CHECK(len >= BATCH_HEADER);
    put_be16(batch + AT_ATTRIBUTES, (uint16_t)(get_be16(batch + AT_ATTRIBUTES) | BATCH_LOG_APPEND));
    put_be64(batch + AT_MAX_TIMESTAMP, (uint64_t)now_ms);
    put_be32(batch + AT_CRC, crc32c(slice_of(batch + AT_ATTRIBUTES, len - AT_ATTRIBUTES)));
}

int batch_next(struct slice *run, struct batch_info *out_info, struct slice *out_batch)
{
    struct batch_info info;

    if (run->len == 0) {
        return TERN_ENOENT;
    }
    if (run->len < BATCH_HEADER) {
        return TERN_ECORRUPTBATCH;
    }
    int error = batch_peek(*run, &info);
    if (error != 0) {
        return error;
    }
    if (info.bytes > run->len) {
        return TERN_ECORRUPTBATCH;
    }
    *out_info = info;
    *out_batch = slice_of(run->base, info.bytes);
    *run = slice_of(run->base + info.bytes, run->len - info.bytes);
    return 0;
}

/* ---- records -------------------------------------------------------------------------------- */

/* Zig-zag: small numbers of either sign take few bytes. */
static int64_t read_varint(struct reader *in)
{
    uint64_t raw = reader_uvarint(in);

    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

/* A length and so many bytes; -1 is null. */
static struct slice read_slice(struct reader *in)
{
    int64_t len = read_varint(in);

    if (len == -1) {
        return (struct slice){0};
    }
    if (len < 0 || (uint64_t)len > reader_left(in)) {
        reader_fail(in);
        return (struct slice){0};
    }
    return reader_take(in, (size_t)len);
}

int record_iter_init(struct record_iter *iter, struct slice batch)
{
    struct batch_info info;
    int error = batch_peek(batch, &info);

    if (error != 0) {
        return error;
    }
    if (batch.len < info.bytes) {
        return TERN_ECORRUPTBATCH;
    }
    if (batch_codec(&info) != BATCH_PLAIN) {
        return TERN_EUNSUPPORTED;
    }
    *iter = (struct record_iter){.info = info, .left = info.count};
    iter->in = reader_of(slice_of(batch.base + BATCH_HEADER, info.bytes - BATCH_HEADER));
    return 0;
}

static int64_t record_timestamp(const struct batch_info *info, int64_t delta)
{
    return (info->attributes & BATCH_LOG_APPEND) != 0
               ? info->max_timestamp
               : (int64_t)((uint64_t)info->base_timestamp + (uint64_t)delta);
}

int record_next(struct record_iter *iter, struct record *out)
{
    if (iter->left <= 0) {
        return reader_left(&iter->in) == 0 && !iter->in.failed ? TERN_ENOENT : TERN_EINVALIDRECORD;
    }
    int64_t len = read_varint(&iter->in);
    if (len < RECORD_MIN - 1 || (uint64_t)len > reader_left(&iter->in)) {
        reader_fail(&iter->in);
        return TERN_EINVALIDRECORD;
    }
    struct reader in = reader_of(reader_take(&iter->in, (size_t)len));
    struct record record = {0};
    (void)reader_u8(&in); /* attributes, unused */
    record.timestamp = record_timestamp(&iter->info, read_varint(&in));
    int64_t offset_delta = read_varint(&in);
    record.offset = (int64_t)((uint64_t)iter->info.base_offset + (uint64_t)offset_delta);
    record.key = read_slice(&in);
    record.value = read_slice(&in);
    int64_t headers = read_varint(&in);
    bool fits = offset_delta >= 0 && offset_delta <= INT32_MAX && headers >= 0 &&
                (uint64_t)headers <= reader_left(&in) / 2;
    if (in.failed || !fits) {
        reader_fail(&iter->in);
        return TERN_EINVALIDRECORD;
    }
    record.header_count = (uint32_t)headers;
    record.headers = reader_take(&in, reader_left(&in));
    iter->left--;
    *out = record;
    return 0;
}

int record_header_next(struct slice *headers, struct slice *out_key, struct slice *out_value)
{
    struct reader in = reader_of(*headers);

    if (headers->len == 0) {
        return TERN_ENOENT;
    }
    struct slice key = read_slice(&in);
    struct slice value = read_slice(&in);
    if (in.failed || key.base == NULL) {
        return TERN_EINVALIDRECORD;
    }
    *out_key = key;
    *out_value = value;
    *headers = reader_take(&in, reader_left(&in));
    return 0;
}

/* ---- control batches ------------------------------------------------------------------------- */

#define MARKER_KEY   4 /* i16 version, i16 type */
#define MARKER_VALUE 6 /* i16 version, i32 coordinator epoch */

/* Other types and newer versions are not ours, and stay without a marker. */
static void read_marker(struct slice batch, struct batch_info *info)
{
    struct reader in = reader_of(slice_of(batch.base + BATCH_HEADER, batch.len - BATCH_HEADER));

    if (batch_codec(info) != BATCH_PLAIN || info->count != 1) {
        return;
    }
    (void)read_varint(&in); /* length of the record */
    (void)reader_u8(&in);
    (void)read_varint(&in);
    (void)read_varint(&in);
    struct slice key = read_slice(&in);
    struct slice value = read_slice(&in);
    if (in.failed || key.len < MARKER_KEY || value.len < MARKER_VALUE) {
        return;
    }
    uint16_t type = get_be16(key.base + 2);
    if (get_be16(key.base) == 0 && type <= 1) {
        info->marker = type == 1 ? BATCH_COMMIT : BATCH_ABORT;
        info->coordinator_epoch = (int32_t)get_be32(value.base + 2);
    }
}

void batch_marker_put(struct buf *out, enum batch_marker marker, int64_t producer_id,
                      int16_t producer_epoch, int32_t coordinator_epoch, int64_t timestamp)
{
    struct batch_builder builder;
    uint8_t key[MARKER_KEY] = {0};
    uint8_t value[MARKER_VALUE] = {0};

    put_be16(key + 2, marker == BATCH_COMMIT ? 1 : 0);
    put_be32(value + 2, (uint32_t)coordinator_epoch);
    batch_builder_init(&builder);
    batch_builder_add(&builder, slice_of(key, sizeof key), slice_of(value, sizeof value),
                      timestamp);
    buf_put(out, batch_builder_finish_as(&builder, BATCH_CONTROL | BATCH_TRANSACTIONAL, producer_id,
                                         producer_epoch, -1));
    batch_builder_fini(&builder);
}

/* ---- builder -------------------------------------------------------------------------------- */

static void write_varint(struct buf *to, int64_t value)
{
    buf_uvarint(to, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static void write_slice(struct buf *to, struct slice bytes)
{
    if (bytes.base == NULL) {
        write_varint(to, -1);
        return;
    }
    write_varint(to, (int64_t)bytes.len);
    buf_put(to, bytes);
}

void batch_builder_init(struct batch_builder *builder)
{
    *builder = (struct batch_builder){0};
    batch_builder_reset(builder);
}

void batch_builder_fini(struct batch_builder *builder)
{
    buf_fini(&builder->buf);
    buf_fini(&builder->record);
    *builder = (struct batch_builder){0};
}

void batch_builder_reset(struct batch_builder *builder)
{
    buf_clear(&builder->buf);
    memset(buf_extend(&builder->buf, BATCH_HEADER), 0, BATCH_HEADER);
    builder->count = 0;
}

void batch_builder_add(struct batch_builder *builder, struct slice key, struct slice value,
                       int64_t timestamp)
{
    struct buf *record = &builder->record;

    CHECK(builder->count < INT32_MAX);
    if (builder->count == 0) {
        builder->base_timestamp = timestamp;
        builder->max_timestamp = timestamp;
    }
    if (timestamp > builder->max_timestamp) {
        builder->max_timestamp = timestamp;
    }
    buf_clear(record);
    buf_u8(record, 0);
    write_varint(record, timestamp - builder->base_timestamp);
    write_varint(record, builder->count);
    write_slice(record, key);
    write_slice(record, value);
    write_varint(record, 0);
    write_varint(&builder->buf, (int64_t)record->len);
    buf_put(&builder->buf, buf_slice(record));
    builder->count++;
}

struct slice batch_builder_finish(struct batch_builder *builder, int64_t producer_id,
                                  int16_t producer_epoch, int32_t base_sequence)
{
    return batch_builder_finish_as(builder, 0, producer_id, producer_epoch, base_sequence);
}

struct slice batch_builder_finish_as(struct batch_builder *builder, int16_t attributes,
                                     int64_t producer_id, int16_t producer_epoch,
                                     int32_t base_sequence)
{
    struct buf *buf = &builder->buf;
    uint8_t *at = buf->base;

    CHECK(builder->count > 0);
    CHECK(buf->len - LENGTH_FROM <= INT32_MAX);
    batch_patch(at, 0, -1);
    put_be32(at + AT_LENGTH, (uint32_t)(buf->len - LENGTH_FROM));
    at[AT_MAGIC] = BATCH_MAGIC;
    put_be16(at + AT_ATTRIBUTES, (uint16_t)attributes);
    put_be32(at + 23, (uint32_t)builder->count - 1);
    put_be64(at + 27, (uint64_t)builder->base_timestamp);
    put_be64(at + 35, (uint64_t)builder->max_timestamp);
    put_be64(at + 43, (uint64_t)producer_id);
    put_be16(at + 51, (uint16_t)producer_epoch);
    put_be32(at + 53, (uint32_t)base_sequence);
    put_be32(at + 57, (uint32_t)builder->count);
    put_be32(at + AT_CRC, crc32c(slice_of(at + AT_ATTRIBUTES, buf->len - AT_ATTRIBUTES)));
    return buf_slice(buf);
}
