/* SPDX-License-Identifier: Apache-2.0 */
/* Messages written by another implementation (tests/tools/kafka_vectors.py): each is decoded and
 * encoded again to the same bytes, and each of its truncations is refused. Runs in the top folder
 * of the checkout. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "kafka/codec.h"
#include "tests/lib/test.h"

#define VECTORS_MIN 140 /* files; a lost folder must not look like success */

struct vector {
    int16_t key;
    int16_t version;
    bool is_request;
    struct slice frame;
};

static unsigned nibble(char c)
{
    assert_non_null(strchr("0123456789abcdef", c));
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void parse_hex(const char *text, struct buf *out)
{
    for (; *text != '\0' && *text != '\n'; text += 2) {
        buf_u8(out, (uint8_t)(nibble(text[0]) << 4 | nibble(text[1])));
    }
}

static int decode(const struct vector *v, struct slice frame, struct arena *arena,
                  struct kafka_request_header *header, void **out)
{
    struct slice body;
    int error;

    if (v->is_request) {
        error = kafka_decode_request_header(frame, header, &body);
        if (error != 0) {
            return error;
        }
        assert_int_equal(header->key, v->key);
        assert_int_equal(header->version, v->version);
        return kafka_decode_request(v->key, v->version, body, arena, out, NULL);
    }
    error = kafka_decode_response_header(v->key, v->version, frame, &header->correlation_id, &body);
    return error != 0 ? error : kafka_decode_response(v->key, v->version, body, arena, out, NULL);
}

static void check_round_trip(const struct vector *v)
{
    struct kafka_request_header header = {0};
    struct kafka_out out = {0};
    struct arena arena;
    void *message = NULL;

    arena_init(&arena);
    assert_int_equal(decode(v, v->frame, &arena, &header, &message), 0);
    int error = v->is_request ? kafka_encode_request(&header, message, &out, NULL)
                              : kafka_encode_response(v->key, v->version, header.correlation_id,
                                                      message, &out, NULL);
    assert_int_equal(error, 0);
    assert_true(slice_equal(buf_slice(&out.bytes), v->frame));
    kafka_out_fini(&out);
    arena_fini(&arena);
}

static void check_truncations(const struct vector *v)
{
    for (size_t len = 0; len < v->frame.len; len++) {
        struct kafka_request_header header = {0};
        struct arena arena;
        void *message = NULL;
        /* A copy of exactly this size, so that the sanitizer sees one byte too far. */
        uint8_t *copy = mem_new(len > 0 ? len : 1);
        memcpy(copy, v->frame.base, len);
        arena_init(&arena);
        assert_int_equal(decode(v, slice_of(copy, len), &arena, &header, &message),
                         TERN_EMALFORMED);
        arena_fini(&arena);
        free(copy);
    }
}

static void each_vector_of(const char *path, void (*check)(const struct vector *v))
{
    const char *name = strrchr(path, '/') + 1;
    struct vector v = {0};
    struct buf frame = {0};
    char *line = NULL;
    size_t cap = 0;
    char *end;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    v.key = (int16_t)strtol(name, &end, 10);
    assert_true(strncmp(end, "_v", 2) == 0);
    v.version = (int16_t)strtol(end + 2, NULL, 10);
    while (getline(&line, &cap, file) > 0) {
        const char *space = strchr(line, ' ');
        if (line[0] == '#') {
            continue;
        }
        assert_non_null(space);
        buf_clear(&frame);
        parse_hex(space + 1, &frame);
        v.is_request = strncmp(line, "request ", 8) == 0;
        assert_true(v.is_request || strncmp(line, "response ", 9) == 0);
        v.frame = buf_slice(&frame);
        check(&v);
    }
    free(line);
    buf_fini(&frame);
    assert_int_equal(fclose(file), 0);
}

static void each_vector(void (*check)(const struct vector *v))
{
    glob_t paths;

    assert_int_equal(glob("tests/kafka/*.hex", 0, NULL, &paths), 0);
    assert_true(paths.gl_pathc >= VECTORS_MIN);
    for (size_t i = 0; i < paths.gl_pathc; i++) {
        each_vector_of(paths.gl_pathv[i], check);
    }
    globfree(&paths);
}

static void foreign_messages_are_read_and_written_alike(void **state)
{
    (void)state;
    each_vector(check_round_trip);
}

static void every_truncation_of_foreign_messages_is_refused(void **state)
{
    (void)state;
    each_vector(check_truncations);
}

static bool has_both(const char *path)
{
    char line[10];
    bool request = false;
    bool response = false;
    bool begins = true;
    FILE *file = fopen(path, "r");

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        request = request || (begins && strncmp(line, "request ", 8) == 0);
        response = response || (begins && strncmp(line, "response ", 9) == 0);
        begins = strchr(line, '\n') != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return request && response;
}

static void every_version_has_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        const struct kafka_api *api = kafka_api_at(i);
        assert_true(api->advertised_max <= api->max_version);
        /* Produce 0 to 2 are advertised and refused, as Kafka does it. */
        assert_true(api->advertised_max < 0 || api->key == 0 ||
                    api->advertised_min >= api->min_version);
        for (int v = api->min_version; v <= api->max_version; v++) {
            char path[64];
            (void)snprintf(path, sizeof path, "tests/kafka/%02d_v%d.hex", api->key, v);
            if (!has_both(path)) {
                fail_msg("%s lacks a request or a response", path);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_messages_are_read_and_written_alike),
        cmocka_unit_test(every_truncation_of_foreign_messages_is_refused),
        cmocka_unit_test(every_version_has_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
