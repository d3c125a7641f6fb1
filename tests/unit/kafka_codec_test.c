/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter against random messages of every API, version and side. */
#include "base/error.h"
#include "base/prng.h"
#include "kafka/codec.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"
#include "tests/lib/test.h"

#define SEED   20260101
#define ROUNDS 6

/* One message: which, in which version, and its bytes. */
struct sample {
    const struct kafka_api *api;
    const struct kafka_shape *shape;
    int16_t version;
    bool is_request;
};

static struct prng prng;
static struct chunk chunks[3];

/* ---- random contents ------------------------------------------------------------------------ */

static uint64_t below(uint64_t bound)
{
    return prng_below(&prng, bound);
}

static struct slice random_slice(struct arena *arena)
{
    size_t len = (size_t)(below(20) == 0 ? below(300) : below(9));
    uint8_t *bytes = arena_take(arena, len);

    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)prng_next(&prng);
    }
    return slice_of(bytes, len);
}

static struct kafka_records random_records(struct arena *arena)
{
    struct kafka_records records = {0};

    if (below(2) == 0) {
        records.bytes = random_slice(arena);
    } else {
        records.chunks = chunks;
        records.chunk_count = (uint32_t)below(ARRAY_COUNT(chunks) + 1);
    }
    return records;
}

static void fill_struct(const struct kafka_shape *shape, int16_t version, struct arena *arena,
                        char *object);

static size_t item_size(const struct kafka_field *field)
{
    static const size_t sizes[] = {
        [KAFKA_BOOL] = 1,
        [KAFKA_I8] = 1,
        [KAFKA_I16] = 2,
        [KAFKA_U16] = 2,
        [KAFKA_I32] = 4,
        [KAFKA_I64] = 8,
        [KAFKA_UUID] = 16,
        [KAFKA_STRING] = sizeof(struct slice),
        [KAFKA_BYTES] = sizeof(struct slice),
        [KAFKA_RECORDS] = sizeof(struct kafka_records),
        [KAFKA_STRUCT] = 0,
    };
    return field->shape != NULL ? field->shape->size : sizes[field->kind];
}

static void fill_item(const struct kafka_field *field, int16_t version, struct arena *arena,
                      char *at)
{
    if (field->kind == KAFKA_STRUCT) {
        fill_struct(field->shape, version, arena, at);
    } else if (field->kind == KAFKA_BOOL) {
        *(bool *)(void *)at = below(2) == 1;
    } else if (field->kind == KAFKA_STRING || field->kind == KAFKA_BYTES) {
        *(struct slice *)(void *)at = random_slice(arena);
    } else if (field->kind == KAFKA_RECORDS) {
        *(struct kafka_records *)(void *)at = random_records(arena);
    } else {
        for (size_t i = 0; i < item_size(field); i++) {
            at[i] = (char)prng_next(&prng);
        }
    }
}

static void fill_array(const struct kafka_field *field, int16_t version, struct arena *arena,
                       char *object)
{
    uint32_t count = (field->flags & KAFKA_ONE) != 0 ? 1 : (uint32_t)below(4);
    size_t size = item_size(field);
    char *items = arena_take(arena, count * size);

    for (uint32_t i = 0; i < count; i++) {
        if (field->shape != NULL) {
            kafka_defaults(field->shape, items + i * size);
        }
        fill_item(field, version, arena, items + i * size);
    }
    *(void **)(void *)(object + field->offset) = items;
    *(uint32_t *)(void *)(object + field->count_offset) = count;
}

static void fill_null(const struct kafka_field *field, char *object)
{
    if ((field->flags & KAFKA_ARRAY) != 0) {
        *(void **)(void *)(object + field->offset) = NULL;
        *(uint32_t *)(void *)(object + field->count_offset) = 0;
    } else {
        *(struct slice *)(void *)(object + field->offset) = (struct slice){0};
    }
}

static void fill_struct(const struct kafka_shape *shape, int16_t version, struct arena *arena,
                        char *object)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        if (version < field->since || version > field->until) {
            continue;
        }
        if (field->tag >= 0 && below(2) == 0) {
            continue;
        }
        if (version >= field->nullable_since && below(3) == 0) {
            fill_null(field, object);
        } else if ((field->flags & KAFKA_ARRAY) != 0) {
            fill_array(field, version, arena, object);
        } else {
            fill_item(field, version, arena, object + field->offset);
        }
    }
}

static void *random_message(const struct sample *s, struct arena *arena)
{
    void *message = kafka_items(arena, s->shape, 1);

    fill_struct(s->shape, s->version, arena, message);
    return message;
}

/* ---- both directions by sample -------------------------------------------------------------- */

static int encode(const struct sample *s, const void *message, struct kafka_out *out,
                  struct kafka_fault *fault)
{
    struct kafka_request_header header = {
        .key = s->api->key, .version = s->version, .correlation_id = 77};

    header.client_id = slice_text("tester");
    return s->is_request ? kafka_encode_request(&header, message, out, fault)
                         : kafka_encode_response(s->api->key, s->version, 77, message, out, fault);
}

static int decode_header(const struct sample *s, struct slice frame, struct slice *out_body)
{
    struct kafka_request_header header = {0};
    int32_t correlation_id = 0;
    int error;

    if (s->is_request) {
        error = kafka_decode_request_header(frame, &header, out_body);
        correlation_id = header.correlation_id;
    } else {
        error =
            kafka_decode_response_header(s->api->key, s->version, frame, &correlation_id, out_body);
    }
    if (error == 0 && s->is_request) {
        assert_int_equal(header.key, s->api->key);
        assert_int_equal(header.version, s->version);
        assert_true(slice_equal(header.client_id, slice_text("tester")));
    }
    if (error == 0) {
        assert_int_equal(correlation_id, 77);
    }
    return error;
}

static int decode_body(const struct sample *s, struct slice body, struct arena *arena, void **out)
{
    struct kafka_fault fault;

    return s->is_request ? kafka_decode_request(s->api->key, s->version, body, arena, out, &fault)
                         : kafka_decode_response(s->api->key, s->version, body, arena, out, &fault);
}

static void check_arena(const struct arena *arena, size_t body_len)
{
    assert_true(arena->used <= KAFKA_ARENA_FACTOR * body_len + KAFKA_ARENA_SLACK);
    assert_true(arena->held <= arena->used * 2 + 2 * ARENA_BLOCK);
}

/* A copy of exactly this size, so that the sanitizer sees one byte too far. */
static int decode_copy(const struct sample *s, struct slice body)
{
    uint8_t *copy = mem_new(body.len > 0 ? body.len : 1);
    struct arena arena;
    void *out;

    if (body.len > 0) {
        memcpy(copy, body.base, body.len);
    }
    arena_init(&arena);
    int error = decode_body(s, slice_of(copy, body.len), &arena, &out);
    check_arena(&arena, body.len);
    arena_fini(&arena);
    free(copy);
    return error;
}

/* Calls `check` with every API, version and side, ROUNDS times with other contents. */
static void each_sample(void (*check)(const struct sample *s, const void *message,
                                      struct slice frame, struct slice body))
{
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        const struct kafka_api *api = kafka_api_at(i);
        for (int v = api->min_version; v <= api->max_version; v++) {
            for (int round = 0; round < 2 * ROUNDS; round++) {
                struct sample s = {.api = api, .version = (int16_t)v};
                s.is_request = round % 2 == 0;
                s.shape = s.is_request ? api->request : api->response;
                struct arena arena;
                struct kafka_out out = {0};
                struct buf frame = {0};
                struct slice body;
                arena_init(&arena);
                void *message = random_message(&s, &arena);
                assert_int_equal(encode(&s, message, &out, NULL), 0);
                kafka_out_copy(&out, &frame);
                assert_int_equal(frame.len, kafka_out_len(&out));
                assert_int_equal(decode_header(&s, buf_slice(&frame), &body), 0);
                check(&s, message, buf_slice(&frame), body);
                kafka_out_fini(&out);
                buf_fini(&frame);
                arena_fini(&arena);
            }
        }
    }
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void check_round_trip(const struct sample *s, const void *message, struct slice frame,
                             struct slice body)
{
    struct arena arena;
    struct kafka_out out = {0};
    struct buf again = {0};
    void *decoded = NULL;

    arena_init(&arena);
    assert_int_equal(decode_body(s, body, &arena, &decoded), 0);
    assert_true(kafka_equal(s->shape, message, decoded));
    assert_int_equal(encode(s, decoded, &out, NULL), 0);
    kafka_out_copy(&out, &again);
    assert_true(slice_equal(buf_slice(&again), frame));
    buf_fini(&again);
    kafka_out_fini(&out);
    arena_fini(&arena);
}

static void every_message_comes_back_as_it_was(void **state)
{
    (void)state;
    each_sample(check_round_trip);
}

static void check_truncations(const struct sample *s, const void *message, struct slice frame,
                              struct slice body)
{
    (void)message;
    for (size_t len = 0; len < body.len; len++) {
        assert_int_equal(decode_copy(s, slice_of(body.base, len)), TERN_EMALFORMED);
    }
    for (size_t len = 0; len < frame.len - body.len; len++) {
        struct slice ignored;
        uint8_t *copy = mem_new(len > 0 ? len : 1);
        memcpy(copy, frame.base, len);
        assert_int_equal(decode_header(s, slice_of(copy, len), &ignored), TERN_EMALFORMED);
        free(copy);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    each_sample(check_truncations);
}

/* As Kafka's broker does; of answers everything must be understood. */
static void check_more(const struct sample *s, const void *message, struct slice frame,
                       struct slice body)
{
    struct buf longer = {0};

    (void)message;
    (void)frame;
    buf_put(&longer, body);
    buf_u8(&longer, 0);
    assert_int_equal(decode_copy(s, buf_slice(&longer)), s->is_request ? 0 : TERN_EMALFORMED);
    buf_fini(&longer);
}

static void bytes_behind_a_request_are_ignored_and_behind_an_answer_refused(void **state)
{
    (void)state;
    each_sample(check_more);
}

static const struct {
    uint8_t bytes[10];
    size_t len;
} hostile[] = {
    {{0x7f, 0xff, 0xff, 0xff}, 4},
    {{0xff, 0xff, 0xff, 0xfe}, 4},
    {{0x80, 0x00, 0x00, 0x00}, 4},
    {{0x7f, 0xff}, 2},
    {{0xff, 0xff, 0xff, 0xff, 0x07}, 5},
    {{0xff, 0xff, 0xff, 0xff, 0x0f}, 5},
    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10},
};

/* What comes out does not matter here: neither crash, nor overread, nor more memory than allowed.
 */
static void check_hostile(const struct sample *s, const void *message, struct slice frame,
                          struct slice body)
{
    struct buf bad = {0};

    (void)message;
    (void)frame;
    for (size_t at = 0; at < body.len && at < 200; at++) {
        for (size_t i = 0; i < ARRAY_COUNT(hostile); i++) {
            buf_clear(&bad);
            buf_put(&bad, body);
            for (size_t j = 0; j < hostile[i].len && at + j < body.len; j++) {
                bad.base[at + j] = hostile[i].bytes[j];
            }
            (void)decode_copy(s, buf_slice(&bad));
        }
    }
    for (int i = 0; i < 20 && body.len > 0; i++) {
        bad.base[below(body.len)] = (uint8_t)prng_next(&prng);
        (void)decode_copy(s, buf_slice(&bad));
    }
    buf_fini(&bad);
}

static void hostile_lengths_and_counts_cost_nothing(void **state)
{
    (void)state;
    each_sample(check_hostile);
}

static int decode_request_text(int16_t key, int16_t version, const char *bytes, size_t len,
                               struct arena *arena, struct kafka_fault *fault)
{
    void *out;

    return kafka_decode_request(key, version, slice_of(bytes, len), arena, &out, fault);
}

static void a_count_that_cannot_be_there_is_refused_before_memory_is_taken(void **state)
{
    static const char claims[] = "\x7f\xff\xff\xff\x00\x00";
    struct kafka_fault fault;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    int error = decode_request_text(3, 1, claims, sizeof claims - 1, &arena, &fault);
    assert_int_equal(error, TERN_EMALFORMED);
    assert_string_equal(fault.field, "topics");
    assert_int_equal(fault.at, 4);
    assert_true(arena.used <= sizeof(struct kafka_metadata_request) + 8);
    arena_fini(&arena);
}

static void many_small_items_stop_at_the_arena_bound(void **state)
{
    /* A flexible Metadata topic takes 18 bytes; Produce topics take 3 and are the largest ratio. */
    size_t count = 1 << 20;
    struct buf body = {0};
    struct arena arena;
    void *out;

    (void)state;
    buf_u8(&body, 0); /* transactional id */
    buf_be16(&body, 1);
    buf_be32(&body, 1000);
    buf_uvarint(&body, count + 1);
    for (size_t i = 0; i < count; i++) {
        buf_put(&body, slice_of("\x01\x01\x00", 3));
    }
    buf_u8(&body, 0);
    arena_init(&arena);
    assert_int_equal(kafka_decode_request(0, 9, buf_slice(&body), &arena, &out, NULL),
                     TERN_ETOOBIG);
    check_arena(&arena, body.len);
    assert_true(arena.used < 4096);
    assert_true(arena.limit == SIZE_MAX);
    arena_fini(&arena);
    buf_fini(&body);
}

static void unknown_tags_are_skipped_and_not_stored(void **state)
{
    /* ApiVersions 3: name "a", version "b", tags 5 (3 bytes) and 9 (none). */
    static const char body[] = "\x02\x61\x02\x62\x02\x05\x03xyz\x09\x00";
    struct arena arena;
    void *out;

    (void)state;
    arena_init(&arena);
    assert_int_equal(
        kafka_decode_request(18, 3, slice_of(body, sizeof body - 1), &arena, &out, NULL), 0);
    struct kafka_api_versions_request *request = out;
    assert_true(slice_equal(request->client_software_name, slice_text("a")));
    assert_true(slice_equal(request->client_software_version, slice_text("b")));
    assert_int_equal(arena.used, (sizeof *request + 7) / 8 * 8);
    arena_fini(&arena);
}

static void tags_must_ascend_and_known_ones_must_fill_their_size(void **state)
{
    static const char twice[] = "\x02\x61\x02\x62\x02\x05\x00\x05\x00";
    static const char falling[] = "\x02\x61\x02\x62\x02\x05\x00\x04\x00";
    static const char long_tag[] = "\x02\x61\x02\x62\x01\x05\x7f";
    static const char many[] = "\x02\x61\x02\x62\xff\xff\xff\xff\x0f\x01\x00";
    /* A response: no error, no keys, no throttle; tag 1 is an i64. */
    static const char short_known[] = "\0\0\x01\0\0\0\0\x01\x01\x07\0\0\0\0\0\0\0";
    static const char long_known[] = "\0\0\x01\0\0\0\0\x01\x01\x09\0\0\0\0\0\0\0\x05\0";
    static const char right_known[] = "\0\0\x01\0\0\0\0\x01\x01\x08\0\0\0\0\0\0\0\x05";
    struct arena arena;
    void *out;

    (void)state;
    arena_init(&arena);
#define REQUEST(bytes) decode_request_text(18, 3, bytes, sizeof bytes - 1, &arena, NULL)
#define RESPONSE(bytes)                                                                            \
    kafka_decode_response(18, 3, slice_of(bytes, sizeof bytes - 1), &arena, &out, NULL)
    assert_int_equal(REQUEST(twice), TERN_EMALFORMED);
    assert_int_equal(REQUEST(falling), TERN_EMALFORMED);
    assert_int_equal(REQUEST(long_tag), TERN_EMALFORMED);
    assert_int_equal(REQUEST(many), TERN_EMALFORMED);
    assert_int_equal(RESPONSE(short_known), TERN_EMALFORMED);
    assert_int_equal(RESPONSE(long_known), TERN_EMALFORMED);
    assert_int_equal(RESPONSE(right_known), 0);
    assert_int_equal(((struct kafka_api_versions_response *)out)->finalized_features_epoch, 5);
#undef REQUEST
#undef RESPONSE
    arena_fini(&arena);
}

static void null_where_the_version_has_none_is_refused(void **state)
{
    /* Metadata: a null array is for 1+; a null name for 10+. */
    static const char null_array[] = "\xff\xff\xff\xff";
    static const char null_name[] = "\x00\x00\x00\x01\xff\xff";
    /* DescribeConfigs: the array of keys may be null, a key may not. */
    static const char null_item[] = "\0\0\0\x01\x02\0\x01x\0\0\0\x01\xff\xff\0";
    struct kafka_metadata_request request = {0};
    struct kafka_request_header header = {.key = 3, .version = 0};
    struct kafka_fault fault;
    struct kafka_out out = {0};
    struct arena arena;

    (void)state;
    arena_init(&arena);
    assert_int_equal(decode_request_text(3, 0, null_array, 4, &arena, &fault), TERN_EMALFORMED);
    assert_int_equal(decode_request_text(3, 1, null_array, 4, &arena, &fault), 0);
    assert_int_equal(decode_request_text(3, 1, null_name, 6, &arena, &fault), TERN_EMALFORMED);
    assert_string_equal(fault.field, "name");
    assert_int_equal(decode_request_text(32, 1, null_item, 15, &arena, &fault), TERN_EMALFORMED);
    assert_string_equal(fault.field, "keys");

    kafka_metadata_request_init(&request);
    assert_int_equal(kafka_encode_request(&header, &request, &out, &fault), TERN_EUNSUPPORTED);
    assert_string_equal(fault.field, "topics");
    assert_int_equal(kafka_out_len(&out), 0);
    request.topics = kafka_empty_array();
    assert_int_equal(kafka_encode_request(&header, &request, &out, &fault), 0);
    kafka_out_fini(&out);
    arena_fini(&arena);
}

static void encoding_refuses_to_lose_what_is_set(void **state)
{
    struct kafka_fetch_response *response;
    struct kafka_fault fault;
    struct kafka_out out = {0};
    struct arena arena;

    (void)state;
    arena_init(&arena);
    response = kafka_fetch_response_new(&arena, 1);
    response->topics = kafka_fetch_response_topic_new(&arena, 1);
    response->topics_count = 1;
    response->topics->partitions = kafka_fetch_response_partition_new(&arena, 1);
    response->topics->partitions_count = 1;
    struct kafka_fetch_response_partition *partition = response->topics->partitions;
    partition->records =
        (struct kafka_records){.chunks = chunks, .chunk_count = ARRAY_COUNT(chunks)};
    partition->preferred_read_replica = 2;
    buf_text(&out.bytes, "before");
    assert_int_equal(kafka_encode_response(1, 10, 5, response, &out, &fault), TERN_EUNSUPPORTED);
    assert_string_equal(fault.field, "preferred_read_replica");
    assert_int_equal(kafka_out_len(&out), 6);
    assert_int_equal(chunks[0].blob->refs, 1);
    assert_int_equal(kafka_encode_response(1, 11, 5, response, &out, &fault), 0);
    /* Ignorable: a hint for clients that understand it. */
    partition->current_leader.leader_id = 3;
    assert_int_equal(kafka_encode_response(1, 11, 5, response, &out, &fault), 0);
    kafka_out_fini(&out);
    assert_int_equal(chunks[0].blob->refs, 1);
    arena_fini(&arena);
}

static void a_string_longer_than_the_format_allows_is_refused(void **state)
{
    static const uint8_t text[40000];
    struct kafka_request_header header = {.key = 10, .version = 3};
    struct kafka_find_coordinator_request request;
    struct kafka_fault fault;
    struct kafka_out out = {0};

    (void)state;
    kafka_find_coordinator_request_init(&request);
    request.key = slice_of(text, sizeof text);
    assert_int_equal(kafka_encode_request(&header, &request, &out, &fault), TERN_ETOOBIG);
    assert_string_equal(fault.field, "key");
    request.key = slice_text("k");
    header.client_id = slice_of(text, sizeof text);
    assert_int_equal(kafka_encode_request(&header, &request, &out, &fault), TERN_ETOOBIG);
    assert_int_equal(kafka_out_len(&out), 0);
    kafka_out_fini(&out);
}

static void records_travel_as_the_chunks_they_are(void **state)
{
    struct kafka_fetch_response *response;
    const struct chunk *pieces;
    struct kafka_out out = {0};
    struct buf flat = {0};
    struct buf joined = {0};
    struct arena arena;

    (void)state;
    arena_init(&arena);
    response = kafka_fetch_response_new(&arena, 1);
    response->topics = kafka_fetch_response_topic_new(&arena, 1);
    response->topics_count = 1;
    response->topics->topic = slice_text("t");
    response->topics->partitions = kafka_fetch_response_partition_new(&arena, 3);
    response->topics->partitions_count = 3;
    response->topics->partitions[0].records.chunks = chunks;
    response->topics->partitions[0].records.chunk_count = 2;
    response->topics->partitions[2].records.chunks = &chunks[2];
    response->topics->partitions[2].records.chunk_count = 1;
    assert_int_equal(kafka_encode_response(1, 12, 5, response, &out, NULL), 0);
    kafka_out_copy(&out, &flat);
    size_t count = kafka_out_take(&out, &pieces);
    assert_int_equal(count, 6); /* ours, two chunks, ours, one chunk, ours */
    assert_ptr_equal(pieces[1].base, chunks[0].base);
    assert_ptr_equal(pieces[2].base, chunks[1].base);
    assert_ptr_equal(pieces[4].base, chunks[2].base);
    assert_int_equal(chunks[0].blob->refs, 2);
    assert_int_equal(kafka_out_len(&out), 0);
    for (size_t i = 0; i < count; i++) {
        struct chunk piece = pieces[i];
        buf_put(&joined, chunk_slice(piece));
        chunk_drop(&piece);
    }
    assert_true(slice_equal(buf_slice(&joined), buf_slice(&flat)));
    kafka_out_fini(&out);
    assert_int_equal(chunks[0].blob->refs, 1);
    buf_fini(&flat);
    buf_fini(&joined);
    arena_fini(&arena);
}

static void records_are_read_as_null_but_never_written_so(void **state)
{
    /* Produce 3: no transactional id, acks 1, timeout 0, topic "t", partition 0, null records. */
    static const char body[] = "\xff\xff\0\x01\0\0\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0"
                               "\xff\xff\xff\xff";
    struct kafka_request_header header = {.key = 0, .version = 3};
    struct kafka_out out = {0};
    struct arena arena;
    void *decoded;

    (void)state;
    arena_init(&arena);
    assert_int_equal(
        kafka_decode_request(0, 3, slice_of(body, sizeof body - 1), &arena, &decoded, NULL), 0);
    struct kafka_produce_request *request = decoded;
    assert_null(request->topics->partitions->records.bytes.base);
    assert_int_equal(kafka_encode_request(&header, request, &out, NULL), 0);
    assert_int_equal(get_be32(out.bytes.base + out.bytes.len - 4), 0);
    kafka_out_fini(&out);
    arena_fini(&arena);
}

static void the_header_of_an_unknown_version_still_tells_whom_to_answer(void **state)
{
    static const char unknown_version[] = "\0\x12\0\x63\0\0\0\x2a?????";
    static const char unknown_key[] = "\x03\xe7\0\0\0\0\0\x2b";
    struct kafka_request_header header = {0};
    struct slice body;

    (void)state;
    assert_int_equal(kafka_decode_request_header(slice_of(unknown_version, 13), &header, &body),
                     TERN_EUNSUPPORTED);
    assert_int_equal(header.key, 18);
    assert_int_equal(header.version, 99);
    assert_int_equal(header.correlation_id, 42);
    assert_int_equal(kafka_decode_request_header(slice_of(unknown_key, 8), &header, &body),
                     TERN_EUNSUPPORTED);
    assert_int_equal(header.key, 999);
    assert_int_equal(header.correlation_id, 43);
    assert_int_equal(kafka_decode_request_header(slice_of(unknown_key, 7), &header, &body),
                     TERN_EMALFORMED);
}

static void header_versions_follow_flexibility_except_for_api_versions(void **state)
{
    (void)state;
    assert_int_equal(kafka_request_header_version(kafka_api_of(0), 8), 1);
    assert_int_equal(kafka_request_header_version(kafka_api_of(0), 9), 2);
    assert_int_equal(kafka_response_header_version(kafka_api_of(0), 8), 0);
    assert_int_equal(kafka_response_header_version(kafka_api_of(0), 9), 1);
    assert_int_equal(kafka_request_header_version(kafka_api_of(18), 3), 2);
    assert_int_equal(kafka_response_header_version(kafka_api_of(18), 4), 0);
    assert_int_equal(kafka_request_header_version(kafka_api_of(17), 1), 1);
}

static void old_produce_versions_are_shown_but_not_served(void **state)
{
    const struct kafka_api *produce = kafka_api_of(0);

    (void)state;
    assert_int_equal(produce->advertised_min, 0);
    assert_int_equal(produce->advertised_max, 12);
    assert_false(kafka_api_serves(produce, 2));
    assert_true(kafka_api_serves(produce, 3));
    assert_true(kafka_api_serves(produce, 12));
    assert_false(kafka_api_serves(produce, 13));
    assert_true(kafka_api_knows(produce, 13));
    assert_false(kafka_api_serves(kafka_api_of(17), 0));
    assert_null(kafka_api_of(4));
    assert_null(kafka_api_of(-1));
    assert_int_equal(produce->resource, KAFKA_RESOURCE_TOPIC);
    assert_int_equal(produce->operation, KAFKA_OPERATION_WRITE);
}

static void the_table_is_sorted_and_error_codes_have_names(void **state)
{
    (void)state;
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        const struct kafka_api *next = kafka_api_at(i + 1);
        assert_ptr_equal(kafka_api_of(kafka_api_at(i)->key), kafka_api_at(i));
        assert_true(next == NULL || next->key > kafka_api_at(i)->key);
    }
    assert_string_equal(kafka_error_name(KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER),
                        "NOT_LEADER_OR_FOLLOWER");
    assert_string_equal(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kafka_error_name(129), "REBOOTSTRAP_REQUIRED");
    assert_string_equal(kafka_error_name(130), "?");
    for (int code = -1; code <= 129; code++) {
        assert_string_not_equal(kafka_error_name((int16_t)code), "?");
    }
    for (int error = 0; error > -64; error--) {
        assert_string_not_equal(kafka_error_name(error_kafka(error)), "?");
    }
}

static void defaults_reach_embedded_structs(void **state)
{
    struct kafka_fetch_response_partition partition;

    (void)state;
    kafka_fetch_response_partition_init(&partition);
    assert_int_equal(partition.current_leader.leader_id, -1);
    assert_int_equal(partition.diverging_epoch.end_offset, -1);
    assert_int_equal(partition.preferred_read_replica, -1);
    assert_int_equal(partition.error, 0);
}

static int setup(void **state)
{
    (void)state;
    prng_init(&prng, SEED);
    chunks[0] = chunk_copy(slice_text("first chunk"));
    chunks[1] = chunk_copy(slice_text("2"));
    chunks[2] = chunk_copy(slice_text("the third"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(chunks); i++) {
        chunk_drop(&chunks[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_was),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bytes_behind_a_request_are_ignored_and_behind_an_answer_refused),
        cmocka_unit_test(hostile_lengths_and_counts_cost_nothing),
        cmocka_unit_test(a_count_that_cannot_be_there_is_refused_before_memory_is_taken),
        cmocka_unit_test(many_small_items_stop_at_the_arena_bound),
        cmocka_unit_test(unknown_tags_are_skipped_and_not_stored),
        cmocka_unit_test(tags_must_ascend_and_known_ones_must_fill_their_size),
        cmocka_unit_test(null_where_the_version_has_none_is_refused),
        cmocka_unit_test(encoding_refuses_to_lose_what_is_set),
        cmocka_unit_test(a_string_longer_than_the_format_allows_is_refused),
        cmocka_unit_test(records_travel_as_the_chunks_they_are),
        cmocka_unit_test(records_are_read_as_null_but_never_written_so),
        cmocka_unit_test(the_header_of_an_unknown_version_still_tells_whom_to_answer),
        cmocka_unit_test(header_versions_follow_flexibility_except_for_api_versions),
        cmocka_unit_test(old_produce_versions_are_shown_but_not_served),
        cmocka_unit_test(the_table_is_sorted_and_error_codes_have_names),
        cmocka_unit_test(defaults_reach_embedded_structs),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
