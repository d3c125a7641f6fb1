/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka bytes <-> structs, both ways and for both sides, driven by the tables of api.h.
 *
 * A message struct holds the fields of all versions. Absent fields get their defaults on decoding.
 * Nothing here believes a length or a count before that many bytes are there, and decoding takes
 * at most KAFKA_ARENA_FACTOR * (bytes of the body) + KAFKA_ARENA_SLACK from the arena.
 *
 * Null: a slice with base NULL, an array with a NULL pointer. Where a field cannot be null at any
 * version, NULL is written as empty; where only this version cannot, encoding refuses. `records`
 * may be read as null but are never written so: librdkafka does not understand null records.
 *
 * Errors of decoding: TERN_EMALFORMED (bytes), TERN_ETOOBIG (arena bound), TERN_EUNSUPPORTED (api
 * or version). Errors of encoding, all of them the caller's choice of values, hence no CHECK:
 * TERN_EUNSUPPORTED (a set field that this version lacks), TERN_ETOOBIG (a length that the format
 * cannot say). */
#pragma once

#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/uuid.h"
#include "kafka/api.h"
#include "kafka/arena.h"

#define KAFKA_ARENA_FACTOR 4
#define KAFKA_ARENA_SLACK  (64 * 1024)

/* Record batches. Decoded: `bytes`, borrowed from the frame. To encode: `chunks` if not NULL, which
 * are referenced and not copied, else `bytes`, which are copied. */
struct kafka_records {
    struct slice bytes;
    const struct chunk *chunks;
    uint32_t chunk_count;
};

struct kafka_request_header {
    int16_t key;
    int16_t version;
    int32_t correlation_id;
    struct slice client_id; /* base NULL: none */
};

/* Where and why a message was refused, for one log line. Pass NULL if you do not care. */
struct kafka_fault {
    const char *field; /* static; "" if it was none of the message's fields */
    size_t at;         /* byte position in the body; 0 when encoding */
};

/* ---- decoding: everything borrows from the input and from the arena ------------------------- */

/* Reads the header of a request frame (without length prefix); out_body is what follows it. With
 * TERN_EUNSUPPORTED (unknown key or version) key, version and correlation_id are set nevertheless,
 * so that ApiVersions can be answered in version 0. */
int kafka_decode_request_header(struct slice frame, struct kafka_request_header *out_header,
                                struct slice *out_body) TERN_MUST_USE;
/* *out_request becomes a `struct kafka_<name>_request` in the arena. Bytes behind it are ignored, as by
 * Kafka's brokers. */
int kafka_decode_request(int16_t key, int16_t version, struct slice body, struct arena *arena,
                         void **out_request, struct kafka_fault *fault) TERN_MUST_USE;
int kafka_decode_response_header(int16_t key, int16_t version, struct slice frame,
                                 int32_t *out_correlation_id, struct slice *out_body) TERN_MUST_USE;
int kafka_decode_response(int16_t key, int16_t version, struct slice body, struct arena *arena,
                          void **out_response, struct kafka_fault *fault) TERN_MUST_USE;

/* ---- encoding ------------------------------------------------------------------------------- */

/* A chunk that stands between the bytes, before position `at` of them. */
struct kafka_piece {
    size_t at;
    struct chunk chunk; /* one reference */
};

/* An encoded message: our own bytes with chunks between them. Zeroed is empty. */
struct kafka_out {
    struct buf bytes;
    struct kafka_piece *pieces;
    size_t piece_count;
    size_t piece_cap;
    size_t piece_bytes;
    struct chunk *taken;
};

/* Drops the references and memory. */
void kafka_out_fini(struct kafka_out *out);
/* Empties it, keeping memory for the next message. */
void kafka_out_clear(struct kafka_out *out);
static inline size_t kafka_out_len(const struct kafka_out *out)
{
    return out->bytes.len + out->piece_bytes;
}
/* The message as chunks in order, for wire.client_send: the references belong to the caller, the
 * array to `out` until it is cleared or finished. Empties the message. Returns their number. */
size_t kafka_out_take(struct kafka_out *out, const struct chunk **out_chunks);
/* Appends the whole message, with copies of the chunks. */
void kafka_out_copy(const struct kafka_out *out, struct buf *to);

/* Append header and body to `out`, without length prefix. `request` points to the struct of
 * header->key, `response` to that of key. On failure `out` is as before the call. The key and
 * version must be known (CHECK: they were checked when the request came in). */
int kafka_encode_request(const struct kafka_request_header *header, const void *request,
                         struct kafka_out *out, struct kafka_fault *fault) TERN_MUST_USE;
int kafka_encode_response(int16_t key, int16_t version, int32_t correlation_id,
                          const void *response, struct kafka_out *out,
                          struct kafka_fault *fault) TERN_MUST_USE;

/* ---- building messages: the generated <struct>_init and <struct>_new are typed faces of these -
 */

/* Sets every field to its default, also in embedded structs. */
void kafka_defaults(const struct kafka_shape *shape, void *out);
/* `count` structs with defaults. */
void *kafka_items(struct arena *arena, const struct kafka_shape *shape, uint32_t count);
/* For an array that is empty but not null: `request.topics = kafka_empty_array();` */
void *kafka_empty_array(void);
/* True if both structs would be written alike in some version: deep comparison, for tests. Null
 * and empty differ for nullable fields. */
bool kafka_equal(const struct kafka_shape *shape, const void *a, const void *b);
