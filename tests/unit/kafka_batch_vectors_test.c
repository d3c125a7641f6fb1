/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches written by another implementation (tests/tools/kafka_vectors.py): our builder
 * writes the same bytes, and our iterator reads what was put in. Runs in the top folder. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "kafka/batch.h"
#include "tests/lib/test.h"

#define RECORDS 20

/* The record that kafka_vectors.py puts at place `i`. */
struct expected {
    char key_text[32];
    char value_text[32 * RECORDS];
    struct slice key;
    struct slice value;
    int64_t timestamp;
};

static void expect_record(int i, struct expected *out)
{
    char word[32];

    *out = (struct expected){.timestamp = 1700000000000 + i * 7 % 5 * 1000};
    (void)snprintf(out->key_text, sizeof out->key_text, "key-%d", i);
    (void)snprintf(word, sizeof word, "value-%d ", i);
    for (int j = 0; j < i; j++) {
        strcat(out->value_text, word);
    }
    if (i % 3 != 0) {
        out->key = slice_text(out->key_text);
    }
    if (i % 5 != 4) {
        out->value = slice_text(out->value_text);
    }
}

static struct slice build(struct batch_builder *builder)
{
    batch_builder_reset(builder);
    for (int i = 0; i < RECORDS; i++) {
        struct expected record;
        expect_record(i, &record);
        batch_builder_add(builder, record.key, record.value, record.timestamp);
    }
    return batch_builder_finish(builder, -1, -1, -1);
}

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* The batch of this kind, into `out`. What the leader assigns differs there (epoch 0) and is set to
 * what we send. */
static struct slice vector(const char *kind, struct buf *out)
{
    FILE *file = fopen("tests/kafka/batches.txt", "r");
    char *line = NULL;
    size_t cap = 0;

    assert_non_null(file);
    buf_clear(out);
    while (getline(&line, &cap, file) > 0) {
        size_t len = strlen(kind);
        if (strncmp(line, kind, len) != 0 || line[len] != ' ') {
            continue;
        }
        for (const char *at = line + len + 1; *at != '\n'; at += 2) {
            buf_u8(out, (uint8_t)(nibble(at[0]) << 4 | nibble(at[1])));
        }
    }
    free(line);
    (void)fclose(file);
    assert_true(out->len > BATCH_HEADER);
    batch_patch(out->base, 0, -1);
    return buf_slice(out);
}

static void check_records(struct slice batch, bool has_headers)
{
    struct record_iter iter;
    struct record record;
    struct slice key;
    struct slice value;

    assert_int_equal(record_iter_init(&iter, batch), 0);
    for (int i = 0; i < RECORDS; i++) {
        struct expected expected;
        expect_record(i, &expected);
        assert_int_equal(record_next(&iter, &record), 0);
        assert_int_equal(record.offset, i);
        assert_int_equal(record.timestamp, expected.timestamp);
        assert_true(slice_equal(record.key, expected.key));
        assert_int_equal(record.key.base == NULL, expected.key.base == NULL);
        assert_true(slice_equal(record.value, expected.value));
        assert_int_equal(record.value.base == NULL, expected.value.base == NULL);
        assert_int_equal(record.header_count, has_headers ? i % 3 : 0);
        for (uint32_t j = 0; j < record.header_count; j++) {
            assert_int_equal(record_header_next(&record.headers, &key, &value), 0);
            assert_true(slice_equal(key, slice_text(j == 0 ? "h" : "")));
            assert_int_equal(value.base == NULL, j == 1);
        }
        assert_int_equal(record_header_next(&record.headers, &key, &value), TERN_ENOENT);
    }
    assert_int_equal(record_next(&iter, &record), TERN_ENOENT);
}

static void our_builder_writes_what_theirs_writes(void **state)
{
    struct batch_builder builder;
    struct buf theirs = {0};

    (void)state;
    batch_builder_init(&builder);
    struct slice ours = build(&builder);
    assert_true(slice_equal(ours, vector("plain", &theirs)));
    ours = batch_builder_finish(&builder, 123456789012, 5, 2000000000);
    assert_true(slice_equal(ours, vector("producer", &theirs)));
    batch_builder_fini(&builder);
    buf_fini(&theirs);
}

static void our_iterator_reads_what_they_wrote(void **state)
{
    struct buf theirs = {0};

    (void)state;
    check_records(vector("plain", &theirs), false);
    check_records(vector("producer", &theirs), false);
    check_records(vector("headers", &theirs), true);
    buf_fini(&theirs);
}

static void their_batches_are_what_a_producer_may_send(void **state)
{
    static const char *const kinds[] = {"plain", "producer", "transactional", "headers", "gzip"};
    struct batch_info info;
    struct buf theirs = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        assert_int_equal(batch_check_produce(vector(kinds[i], &theirs), &info), 0);
        assert_int_equal(info.count, RECORDS);
        assert_int_equal(info.base_timestamp, 1700000000000);
        assert_int_equal(info.max_timestamp, 1700000004000);
    }
    assert_int_equal(batch_codec(&info), BATCH_GZIP);
    assert_int_equal(batch_check_produce(vector("transactional", &theirs), &info), 0);
    assert_int_equal(info.attributes, BATCH_TRANSACTIONAL);
    assert_int_equal(info.producer_id, 7);
    buf_fini(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_builder_writes_what_theirs_writes),
        cmocka_unit_test(our_iterator_reads_what_they_wrote),
        cmocka_unit_test(their_batches_are_what_a_producer_may_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
