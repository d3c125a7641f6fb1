/* SPDX-License-Identifier: Apache-2.0 */
/* Records are taken out of batches of every codec, as another implementation wrote them
 * (tests/tools/kafka_vectors.py); and what is no such batch is refused. Runs in the top folder. */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc.h"
#include "base/error.h"
#include "base/prng.h"
#include "kafka/batch.h"
#include "kafka/compress.h"
#include "kafka/rewrite.h"
#include "tests/lib/test.h"

#define RECORDS 20
#define BASE    1000
#define HORIZON 1800000000000

static const char *const kinds[] = {"plain", "gzip", "snappy", "lz4", "zstd"};

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Their batch of this codec, as a leader of epoch 3 put it at BASE. */
static struct slice vector(const char *kind, struct buf *out)
{
    FILE *file = fopen("tests/kafka/batches.txt", "r");
    char *line = NULL;
    size_t cap = 0;

    assert_non_null(file);
    buf_clear(out);
    while (getline(&line, &cap, file) > 0) {
        size_t len = strlen(kind);
        if (strncmp(line, kind, len) == 0 && line[len] == ' ') {
            for (const char *at = line + len + 1; *at != '\n'; at += 2) {
                buf_u8(out, (uint8_t)(nibble(at[0]) << 4 | nibble(at[1])));
            }
        }
    }
    free(line);
    (void)fclose(file);
    assert_true(out->len > BATCH_HEADER);
    batch_patch(out->base, BASE, 3);
    return buf_slice(out);
}

struct seen {
    int64_t offsets[RECORDS];
    int64_t timestamps[RECORDS];
    size_t count;
    size_t keyed;
    size_t tombstones;
};

static void see(void *ctx, const struct rewrite_record *record)
{
    struct seen *seen = ctx;
    char key[32];
    int i = (int)(record->offset - BASE);

    assert_true(seen->count < RECORDS);
    seen->offsets[seen->count] = record->offset;
    seen->timestamps[seen->count++] = record->timestamp_ms;
    seen->tombstones += record->tombstone;
    assert_int_equal(record->tombstone, i % 5 == 4);
    assert_int_equal(record->timestamp_ms, 1700000000000 + i * 7 % 5 * 1000);
    assert_int_equal(record->key.base != NULL, i % 3 != 0);
    if (record->key.base != NULL) {
        seen->keyed++;
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_true(slice_equal(record->key, slice_text(key)));
    }
}

static bool keep_odd(void *ctx, const struct rewrite_record *record)
{
    (void)ctx;
    return record->offset % 2 == 1;
}

static bool keep_all(void *ctx, const struct rewrite_record *record)
{
    (void)ctx;
    (void)record;
    return true;
}

static bool keep_values(void *ctx, const struct rewrite_record *record)
{
    (void)ctx;
    return !record->tombstone;
}

static bool keep_none(void *ctx, const struct rewrite_record *record)
{
    (void)ctx;
    (void)record;
    return false;
}

/* What must be as it was, whatever was taken out. */
static void check_place(struct slice was, struct slice is)
{
    struct batch_info before;
    struct batch_info after;

    assert_int_equal(batch_check(was, &before), 0);
    assert_int_equal(batch_check(is, &after), 0);
    assert_int_equal(after.bytes, is.len);
    assert_int_equal(after.base_offset, before.base_offset);
    assert_int_equal(after.last_offset, before.last_offset);
    assert_int_equal(after.leader_epoch, before.leader_epoch);
    assert_int_equal(after.producer_id, before.producer_id);
    assert_int_equal(after.producer_epoch, before.producer_epoch);
    assert_int_equal(after.base_sequence, before.base_sequence);
}

static void records_of_every_codec_are_read(void **state)
{
    struct buf batch = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct seen seen = {0};
        assert_int_equal(rewrite_each(vector(kinds[i], &batch), see, &seen), 0);
        assert_int_equal(seen.count, RECORDS);
        assert_int_equal(seen.tombstones, 4);
    }
    buf_fini(&batch);
}

static void half_of_the_records_are_taken_out_of_every_codec(void **state)
{
    struct buf batch = {0};
    struct buf out = {0};
    bool changed = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct slice was = vector(kinds[i], &batch);
        struct seen seen = {0};
        struct rewrite_batch head;
        buf_clear(&out);
        buf_text(&out, "in front");
        assert_int_equal(rewrite_filter(was, HORIZON, keep_odd, NULL, &out, &changed), 0);
        struct slice is = slice_of(out.base + 8, out.len - 8);
        assert_true(changed);
        check_place(was, is);
        assert_int_equal(get_be16(is.base + 21) & BATCH_CODEC_MASK, i);
        assert_int_equal(rewrite_each(is, see, &seen), 0);
        assert_int_equal(seen.count, RECORDS / 2);
        for (size_t k = 0; k < seen.count; k++) {
            assert_int_equal(seen.offsets[k], BASE + 1 + 2 * (int64_t)k);
        }
        /* Two tombstones are left: they may go from the horizon on. */
        rewrite_peek(is, &head);
        assert_int_equal(head.records, RECORDS / 2);
        assert_int_equal(head.horizon_ms, HORIZON);
        assert_int_equal(head.max_timestamp_ms, 1700000004000);
    }
    buf_fini(&batch);
    buf_fini(&out);
}

static void a_horizon_is_set_once_and_goes_with_the_last_tombstone(void **state)
{
    struct buf batch = {0};
    struct buf first = {0};
    struct buf second = {0};
    struct buf third = {0};
    struct rewrite_batch head;
    bool changed = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct slice was = vector(kinds[i], &batch);
        buf_clear(&first);
        buf_clear(&second);
        buf_clear(&third);
        assert_int_equal(rewrite_filter(was, HORIZON, keep_all, NULL, &first, &changed), 0);
        assert_true(changed);
        assert_int_equal(
            rewrite_filter(buf_slice(&first), HORIZON + 99, keep_all, NULL, &second, &changed), 0);
        assert_false(changed);
        assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
        assert_int_equal(
            rewrite_filter(buf_slice(&second), HORIZON + 99, keep_values, NULL, &third, &changed),
            0);
        struct seen seen = {0};
        assert_int_equal(rewrite_each(buf_slice(&third), see, &seen), 0);
        assert_int_equal(seen.count, RECORDS - 4);
        assert_int_equal(seen.tombstones, 0);
        rewrite_peek(buf_slice(&third), &head);
        assert_int_equal(head.horizon_ms, HORIZON); /* its timestamps are told from there */
    }
    buf_fini(&batch);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&third);
}

static void a_batch_without_records_keeps_its_place_and_its_producer(void **state)
{
    struct buf batch = {0};
    struct buf out = {0};
    struct rewrite_batch head;
    bool changed = false;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(kinds) + 1; i++) {
        struct slice was = vector(i < ARRAY_COUNT(kinds) ? kinds[i] : "producer", &batch);
        struct seen seen = {0};
        buf_clear(&out);
        assert_int_equal(rewrite_filter(was, HORIZON, keep_none, NULL, &out, &changed), 0);
        check_place(was, buf_slice(&out));
        assert_int_equal(out.len, BATCH_HEADER);
        assert_int_equal(get_be16(out.base + 21), 0);
        rewrite_peek(buf_slice(&out), &head);
        assert_int_equal(head.records, 0);
        assert_int_equal(head.max_timestamp_ms, 1700000004000);
        assert_int_equal(rewrite_each(buf_slice(&out), see, &seen), 0);
        assert_int_equal(seen.count, 0);
        size_t before = out.len;
        assert_int_equal(
            rewrite_filter(slice_of(out.base, before), HORIZON, keep_none, NULL, &batch, &changed),
            0);
        assert_false(changed);
    }
    buf_fini(&batch);
    buf_fini(&out);
}

static void a_gap_is_a_batch_of_offsets_alone(void **state)
{
    struct buf out = {0};
    struct batch_info info;
    struct seen seen = {0};

    (void)state;
    rewrite_gap(77, 2000000077, 9, 1234, &out);
    assert_int_equal(batch_check(buf_slice(&out), &info), 0);
    assert_int_equal(info.base_offset, 77);
    assert_int_equal(info.count, 0);
    assert_int_equal(rewrite_each(buf_slice(&out), see, &seen), 0);
    buf_fini(&out);
}

/* Bytes that a client may have sent: their checksum is right, their inside is not. */
static void what_is_no_batch_inside_is_refused_and_nothing_is_written(void **state)
{
    struct prng prng;
    struct buf batch = {0};
    struct buf out = {0};
    bool changed = false;
    unsigned refused = 0;

    (void)state;
    prng_init(&prng, 4);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        size_t len = vector(kinds[i], &batch).len;
        for (size_t cut = BATCH_HEADER; cut < len; cut++) {
            (void)vector(kinds[i], &batch);
            put_be32(batch.base + 8, (uint32_t)cut - 12);
            buf_clear(&out);
            int status =
                rewrite_filter(slice_of(batch.base, cut), HORIZON, keep_odd, NULL, &out, &changed);
            /* A codec may have told all before its last bytes. */
            assert_true(status != 0 ? out.len == 0 : cut + 12 >= len);
            refused += status != 0;
        }
        for (unsigned n = 0; n < 2000; n++) {
            (void)vector(kinds[i], &batch);
            size_t at = BATCH_HEADER + prng_below(&prng, len - BATCH_HEADER);
            batch.base[at] ^= (uint8_t)(1u << prng_below(&prng, 8));
            buf_clear(&out);
            int status = rewrite_filter(buf_slice(&batch), HORIZON, keep_odd, NULL, &out, &changed);
            assert_true(status == 0 || out.len == 0);
            refused += status != 0;
        }
    }
    assert_true(refused > 1000);
    buf_fini(&batch);
    buf_fini(&out);
}

static void a_codec_gives_no_more_than_it_was_asked_for(void **state)
{
    struct buf plain = {0};
    struct buf packed = {0};
    struct buf back = {0};

    (void)state;
    memset(buf_extend(&plain, 3u << 20), 'x', 3u << 20);
    for (unsigned codec = COMPRESS_GZIP; codec <= COMPRESS_ZSTD; codec++) {
        buf_clear(&packed);
        buf_clear(&back);
        assert_int_equal(compress_do(codec, COMPRESS_USUAL, buf_slice(&plain), &packed), 0);
        assert_true(packed.len < plain.len / 10);
        assert_int_equal(compress_undo(codec, buf_slice(&packed), plain.len - 1, &back),
                         TERN_ETOOBIG);
        assert_true(back.cap < 2 * plain.len);
        buf_clear(&back);
        assert_int_equal(compress_undo(codec, buf_slice(&packed), plain.len, &back), 0);
        assert_true(slice_equal(buf_slice(&back), buf_slice(&plain)));
        buf_clear(&back);
        assert_int_equal(
            compress_undo(codec, slice_of(packed.base, packed.len / 2), plain.len, &back),
            TERN_EMALFORMED);
        buf_clear(&back);
        assert_int_equal(compress_undo(codec, slice_of(NULL, 0), plain.len, &back),
                         TERN_EMALFORMED);
    }
    assert_int_equal(compress_undo(5, buf_slice(&packed), 100, &back), TERN_EUNSUPPORTED);
    buf_fini(&plain);
    buf_fini(&packed);
    buf_fini(&back);
}

static void a_batch_goes_from_every_codec_to_every_other_at_every_level(void **state)
{
    static const int32_t levels[][3] = {
        {0, 0, 0}, {-1, 1, 9}, {0, 0, 0}, {1, 9, 17}, {-131072, 3, 22}};
    struct buf batch = {0};
    struct buf out = {0};

    (void)state;
    for (size_t from = 0; from < ARRAY_COUNT(kinds); from++) {
        for (size_t to = 0; to < 3 * ARRAY_COUNT(kinds); to++) {
            struct seen seen = {0};
            struct batch_info before;
            struct batch_info after;
            unsigned codec = (unsigned)to / 3;
            (void)vector(kinds[from], &batch);
            buf_clear(&out);
            assert_int_equal(
                rewrite_codec(buf_slice(&batch), codec, levels[codec][to % 3], 1 << 20, &out), 0);
            assert_int_equal(batch_check(buf_slice(&out), &after), 0); /* its checksum, too */
            assert_int_equal(batch_peek(buf_slice(&batch), &before), 0);
            assert_int_equal(batch_codec(&after), codec);
            assert_int_equal(after.bytes, out.len);
            before.bytes = after.bytes;
            before.attributes = after.attributes;
            assert_memory_equal(&before, &after, sizeof before);
            assert_int_equal(rewrite_each(buf_slice(&out), see, &seen), 0);
            assert_int_equal(seen.count, RECORDS);
        }
    }
    buf_fini(&batch);
    buf_fini(&out);
}

static void a_batch_that_blows_up_when_it_is_decompressed_is_refused(void **state)
{
    struct buf batch = {0};
    struct buf plain = {0};
    struct buf out = {0};

    (void)state;
    memset(buf_extend(&plain, 3u << 20), 'x', 3u << 20);
    for (unsigned codec = COMPRESS_GZIP; codec <= COMPRESS_ZSTD; codec++) {
        (void)vector("plain", &batch);
        batch.len = BATCH_HEADER;
        assert_int_equal(compress_do(codec, COMPRESS_USUAL, buf_slice(&plain), &batch), 0);
        put_be32(batch.base + 8, (uint32_t)batch.len - 12);
        put_be16(batch.base + 21, (uint16_t)codec);
        buf_clear(&out);
        buf_u8(&out, 7);
        size_t max = plain.len - 1;
        assert_int_equal(rewrite_codec(buf_slice(&batch), BATCH_PLAIN, 0, max, &out), TERN_ETOOBIG);
        assert_int_equal(out.len, 1);
        assert_int_equal(rewrite_codec(buf_slice(&batch), BATCH_PLAIN, 0, max + 1, &out), 0);
        batch.base[BATCH_HEADER] ^= 0x55;
        out.len = 1;
        assert_int_equal(rewrite_codec(buf_slice(&batch), BATCH_ZSTD, 3, max + 1, &out),
                         TERN_EMALFORMED);
        assert_int_equal(out.len, 1);
    }
    buf_fini(&batch);
    buf_fini(&plain);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_every_codec_are_read),
        cmocka_unit_test(half_of_the_records_are_taken_out_of_every_codec),
        cmocka_unit_test(a_horizon_is_set_once_and_goes_with_the_last_tombstone),
        cmocka_unit_test(a_batch_without_records_keeps_its_place_and_its_producer),
        cmocka_unit_test(a_gap_is_a_batch_of_offsets_alone),
        cmocka_unit_test(what_is_no_batch_inside_is_refused_and_nothing_is_written),
        cmocka_unit_test(a_codec_gives_no_more_than_it_was_asked_for),
        cmocka_unit_test(a_batch_goes_from_every_codec_to_every_other_at_every_level),
        cmocka_unit_test(a_batch_that_blows_up_when_it_is_decompressed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
