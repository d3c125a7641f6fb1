/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer target for everything of the kafka room that reads a peer's bytes. The first three
 * bytes choose API, version and side. What decodes must encode, to no more bytes, and decode to the
 * same.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE
 *         -Isrc tests/kafka/codec_fuzz.c src/kafka/?*.c src/base/?*.c -lisal -o codec_fuzz
 *     ./codec_fuzz -max_total_time=60 -max_len=600 CORPUS */
#include "base/error.h"
#include "kafka/batch.h"
#include "kafka/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
    const struct kafka_api *api;
    int16_t version;
    bool is_request;
};

static int decode(struct side s, struct slice body, struct arena *arena, void **out)
{
    int error = s.is_request ? kafka_decode_request(s.api->key, s.version, body, arena, out, NULL)
                             : kafka_decode_response(s.api->key, s.version, body, arena, out, NULL);

    CHECK(arena->used <= KAFKA_ARENA_FACTOR * body.len + KAFKA_ARENA_SLACK);
    return error;
}

static void encode(struct side s, const void *message, struct kafka_out *out, struct slice *body)
{
    struct kafka_request_header header = {.key = s.api->key, .version = s.version};
    int32_t correlation_id;
    int error;

    if (s.is_request) {
        error = kafka_encode_request(&header, message, out, NULL);
        CHECK(error == 0);
        error = kafka_decode_request_header(buf_slice(&out->bytes), &header, body);
    } else {
        error = kafka_encode_response(s.api->key, s.version, 1, message, out, NULL);
        CHECK(error == 0);
        error = kafka_decode_response_header(s.api->key, s.version, buf_slice(&out->bytes),
                                             &correlation_id, body);
    }
    CHECK(error == 0);
}

static void check_message(struct side s, struct slice body)
{
    const struct kafka_shape *shape = s.is_request ? s.api->request : s.api->response;
    struct arena arena;
    struct arena arena_again;
    struct kafka_out out = {0};
    struct slice body_again;
    void *message;
    void *again;

    arena_init(&arena);
    arena_init(&arena_again);
    if (decode(s, body, &arena, &message) == 0) {
        encode(s, message, &out, &body_again);
        CHECK(body_again.len <= body.len);
        int error = decode(s, body_again, &arena_again, &again);
        CHECK(error == 0 || error == TERN_ETOOBIG); /* fewer bytes, so a lower bound */
        CHECK(error != 0 || kafka_equal(shape, message, again));
    }
    kafka_out_fini(&out);
    arena_fini(&arena);
    arena_fini(&arena_again);
}

static void check_batches(struct slice run)
{
    struct batch_info info;
    struct record_iter iter;
    struct record record;
    struct slice batch;
    struct slice value;

    if (batch_check_produce(run, &info) == 0) {
        CHECK(info.bytes == run.len);
    }
    while (batch_next(&run, &info, &batch) == 0) {
        int error = record_iter_init(&iter, batch);
        while (error == 0 && record_next(&iter, &record) == 0) {
            while (record_header_next(&record.headers, &batch, &value) == 0) {
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t apis = 0;

    while (kafka_api_at(apis) != NULL) {
        apis++;
    }
    if (size < 3) {
        return 0;
    }
    struct side s = {.api = kafka_api_at(data[0] % apis), .is_request = data[2] % 2 == 1};
    int versions = s.api->max_version - s.api->min_version + 1;
    s.version = (int16_t)(s.api->min_version + data[1] % versions);
    struct slice rest = slice_of(data + 3, size - 3);
    check_message(s, rest);
    check_batches(rest);
    struct kafka_request_header header;
    struct slice body;
    if (kafka_decode_request_header(rest, &header, &body) == 0) {
        check_message((struct side){kafka_api_of(header.key), header.version, true}, body);
    }
    return 0;
}
