/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches of format 2: their header, and as much of their inside as needs no codec.
 *
 *      0  base offset i64          patched by the leader
 *      8  length i32               of what follows it
 *     12  leader epoch i32         patched by the leader
 *     16  magic i8 = 2
 *     17  CRC-32C u32              of everything from 21 on
 *     21  attributes i16
 *     23  last offset delta i32
 *     27  base timestamp i64
 *     35  max timestamp i64
 *     43  producer id i64, 51 producer epoch i16, 53 base sequence i32; -1: none
 *     57  record count i32
 *     61  records, compressed as one if a codec is set
 *
 * Nothing here allocates, except the builder. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/reader.h"

#define BATCH_HEADER 61 /* bytes */
#define BATCH_MAGIC  2

enum batch_codec { BATCH_PLAIN, BATCH_GZIP, BATCH_SNAPPY, BATCH_LZ4, BATCH_ZSTD };

#define BATCH_CODEC_MASK    0x07
#define BATCH_LOG_APPEND    0x08 /* timestamps are the broker's */
#define BATCH_TRANSACTIONAL 0x10
#define BATCH_CONTROL       0x20

/* What a control batch says of a transaction of its producer. */
enum batch_marker { BATCH_NO_MARKER, BATCH_ABORT, BATCH_COMMIT };

struct batch_info {
    int64_t base_offset;
    int64_t last_offset;
    int32_t count; /* records */
    size_t bytes;  /* of the whole batch */
    int32_t leader_epoch;
    int16_t attributes;
    int64_t base_timestamp; /* ms; -1: none */
    int64_t max_timestamp;
    int64_t producer_id; /* -1: none; then the next two mean nothing */
    int16_t producer_epoch;
    int32_t base_sequence;
    /* Of a control batch whose bytes were all there; else none. */
    enum batch_marker marker;
    int32_t coordinator_epoch;
};

static inline enum batch_codec batch_codec(const struct batch_info *info)
{
    return (enum batch_codec)(info->attributes & BATCH_CODEC_MASK);
}

/* The header in front of `bytes`, which may go on behind the batch or end within it (compare
 * out_info->bytes), and the marker in it if it is a whole control batch. No checksum. TERN_EMALFORMED: fewer than BATCH_HEADER bytes, an impossible
 * length or delta; TERN_EUNSUPPORTED: another magic. */
int batch_peek(struct slice bytes, struct batch_info *out_info) TERN_MUST_USE;
/* As batch_peek, and the batch is there whole and its checksum is right: else TERN_ECORRUPTBATCH.
 * For batches from disk and from other nodes. */
int batch_check(struct slice bytes, struct batch_info *out_info) TERN_MUST_USE;
/* What a producer may send for one partition: exactly one batch that fills `bytes`.
 *   TERN_EUNSUPPORTED    another magic
 *   TERN_ECORRUPTBATCH   wrong length or checksum
 *   TERN_ETIMESTAMP      it claims a broker's timestamp
 *   TERN_EINVALIDRECORD  no batch, or more than one
 *                        no records, or their count disagrees with the last offset delta
 *                        a control batch, or an unknown codec
 *                        a producer id without epoch or sequence
 *                        transactional without producer id
 *
 * The base offset and leader epoch in it mean nothing. Which versions may carry zstd, how large a
 * batch may be and the sequence rules across batches are the caller's. */
int batch_check_produce(struct slice bytes, struct batch_info *out_info) TERN_MUST_USE;

/* Sets what the leader assigns; outside the checksum. `batch` has at least BATCH_HEADER bytes. */
void batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);

/* message.timestamp.type=LogAppendTime, as Kafka has it: the batch says that its timestamps are the
 * broker's, and readers take the greatest one for all records. The checksum is made anew. `batch` is
 * one whole batch of `len` bytes. */
void batch_log_append_time(uint8_t *batch, size_t len, int64_t now_ms);

/* Takes the next batch from the front of *run, without checksum. TERN_ENOENT at the end,
 * TERN_ECORRUPTBATCH if the run ends within a batch, else as batch_peek; then *run stays. */
int batch_next(struct slice *run, struct batch_info *out_info,
               struct slice *out_batch) TERN_MUST_USE;

/* ---- records -------------------------------------------------------------------------------- */

struct record {
    int64_t offset;
    int64_t timestamp;
    struct slice key;   /* base NULL: null */
    struct slice value; /* base NULL: null */
    uint32_t header_count;
    struct slice headers; /* as on the wire; see record_header_next */
};

struct record_iter {
    struct reader in;
    struct batch_info info;
    int32_t left;
};

/* `batch` is one whole batch. TERN_EUNSUPPORTED if it is compressed, else as batch_peek and
 * TERN_ECORRUPTBATCH if it ends early. Borrows the bytes. */
int record_iter_init(struct record_iter *iter, struct slice batch) TERN_MUST_USE;
/* TERN_ENOENT after the last one, TERN_EINVALIDRECORD if the bytes do not follow the format (also
 * when bytes are left after the last record). */
int record_next(struct record_iter *iter, struct record *out) TERN_MUST_USE;
/* Takes the next header from the front of *headers: TERN_ENOENT or TERN_EINVALIDRECORD. */
int record_header_next(struct slice *headers, struct slice *out_key,
                       struct slice *out_value) TERN_MUST_USE;

/* ---- builder: uncompressed batches, for clients and tests ----------------------------------- */

struct batch_builder {
    struct buf buf;
    struct buf record;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t count;
};

void batch_builder_init(struct batch_builder *builder);
void batch_builder_fini(struct batch_builder *builder);
/* A slice with base NULL is a null key or value. The first record's timestamp is the base. */
void batch_builder_add(struct batch_builder *builder, struct slice key, struct slice value,
                       int64_t timestamp);
/* Writes header and checksum; pass -1, -1, -1 without idempotence. Base offset 0, leader epoch -1.
 * The bytes are the builder's until the next reset. At least one record was added. */
struct slice batch_builder_finish(struct batch_builder *builder, int64_t producer_id,
                                  int16_t producer_epoch, int32_t base_sequence);
/* The same with attributes; those of a coordinator have no sequence: -1. */
struct slice batch_builder_finish_as(struct batch_builder *builder, int16_t attributes,
                                     int64_t producer_id, int16_t producer_epoch,
                                     int32_t base_sequence);
/* Appends a control batch: the end of a transaction (KIP-98). */
void batch_marker_put(struct buf *out, enum batch_marker marker, int64_t producer_id,
                      int16_t producer_epoch, int32_t coordinator_epoch, int64_t timestamp);
/* Empties it for the next batch, keeping memory. */
void batch_builder_reset(struct batch_builder *builder);
