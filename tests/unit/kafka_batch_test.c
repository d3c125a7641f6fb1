/* SPDX-License-Identifier: Apache-2.0 */
/* Record batches: what a producer may send, what is patched, and every way to be cut short. */
#include "base/crc.h"
#include "base/error.h"
#include "base/prng.h"
#include "kafka/batch.h"
#include "tests/lib/test.h"

#define NOW 1700000000000

static struct batch_builder builder;

static void put_sum(uint8_t *batch, size_t len)
{
    put_be32(batch + 17, crc32c(slice_of(batch + 21, len - 21)));
}

/* Three records, no producer id; valid until the builder is used again. */
static struct slice three_records(void)
{
    batch_builder_reset(&builder);
    batch_builder_add(&builder, slice_text("k"), slice_text("one"), NOW);
    batch_builder_add(&builder, (struct slice){0}, slice_text("two"), NOW + 5);
    batch_builder_add(&builder, slice_text(""), (struct slice){0}, NOW - 7);
    return batch_builder_finish(&builder, -1, -1, -1);
}

/* The same batch with two bytes of the header changed and the checksum made right. */
static int check_with(size_t at, uint16_t value)
{
    struct slice batch = three_records();
    struct batch_info info;

    put_be16(builder.buf.base + at, value);
    put_sum(builder.buf.base, batch.len);
    return batch_check_produce(batch, &info);
}

static void a_built_batch_is_one_that_a_producer_may_send(void **state)
{
    struct batch_info info;
    struct slice batch = three_records();

    (void)state;
    assert_int_equal(batch_check_produce(batch, &info), 0);
    assert_int_equal(info.base_offset, 0);
    assert_int_equal(info.last_offset, 2);
    assert_int_equal(info.count, 3);
    assert_int_equal(info.bytes, batch.len);
    assert_int_equal(info.leader_epoch, -1);
    assert_int_equal(info.attributes, 0);
    assert_int_equal(info.base_timestamp, NOW);
    assert_int_equal(info.max_timestamp, NOW + 5);
    assert_int_equal(info.producer_id, -1);
    assert_int_equal(info.producer_epoch, -1);
    assert_int_equal(info.base_sequence, -1);
    batch = batch_builder_finish(&builder, 1234567890123, 7, 40);
    assert_int_equal(batch_check_produce(batch, &info), 0);
    assert_int_equal(info.producer_id, 1234567890123);
    assert_int_equal(info.producer_epoch, 7);
    assert_int_equal(info.base_sequence, 40);
}

static void records_come_back_as_they_were_added(void **state)
{
    struct record_iter iter;
    struct record record;

    (void)state;
    struct slice batch = three_records();
    batch_patch(builder.buf.base, 1000, 3);
    assert_int_equal(record_iter_init(&iter, batch), 0);
    assert_int_equal(record_next(&iter, &record), 0);
    assert_int_equal(record.offset, 1000);
    assert_int_equal(record.timestamp, NOW);
    assert_true(slice_equal(record.key, slice_text("k")));
    assert_true(slice_equal(record.value, slice_text("one")));
    assert_int_equal(record_next(&iter, &record), 0);
    assert_null(record.key.base);
    assert_int_equal(record.timestamp, NOW + 5);
    assert_int_equal(record_next(&iter, &record), 0);
    assert_non_null(record.key.base);
    assert_int_equal(record.key.len, 0);
    assert_null(record.value.base);
    assert_int_equal(record.offset, 1002);
    assert_int_equal(record.timestamp, NOW - 7);
    assert_int_equal(record.header_count, 0);
    assert_int_equal(record_next(&iter, &record), TERN_ENOENT);
}

static void a_brokers_timestamp_is_in_the_batch_and_its_checksum(void **state)
{
    struct batch_builder own;
    struct batch_info info;

    (void)state;
    batch_builder_init(&own);
    batch_builder_add(&own, slice_text("k"), slice_text("v"), 1000);
    batch_builder_add(&own, slice_text("k"), slice_text("w"), 2000);
    struct slice batch = batch_builder_finish(&own, -1, -1, -1);
    batch_log_append_time(own.buf.base, batch.len, 1700000000123);
    assert_int_equal(batch_check(batch, &info), 0);
    assert_int_equal(info.max_timestamp, 1700000000123);
    assert_int_equal(info.base_timestamp, 1000);
    assert_int_equal(info.attributes, BATCH_LOG_APPEND);
    /* A producer may not claim that. */
    assert_int_equal(batch_check_produce(batch, &info), TERN_ETIMESTAMP);
    batch_builder_fini(&own);
}

static void patching_leaves_the_checksum_right(void **state)
{
    struct batch_info info;
    struct slice batch = three_records();

    (void)state;
    batch_patch(builder.buf.base, 123456789012345, 77);
    assert_int_equal(batch_check(batch, &info), 0);
    assert_int_equal(info.base_offset, 123456789012345);
    assert_int_equal(info.last_offset, 123456789012347);
    assert_int_equal(info.leader_epoch, 77);
}

/* A copy of exactly this size, so that the sanitizer sees one byte too far. */
static void check_truncated(struct slice batch, size_t len)
{
    uint8_t *copy = mem_new(len > 0 ? len : 1);
    struct slice cut = slice_of(copy, len);
    struct batch_info info;
    struct record_iter iter;
    struct slice out;

    memcpy(copy, batch.base, len);
    assert_int_equal(batch_check_produce(cut, &info),
                     len == 0 ? TERN_EINVALIDRECORD : TERN_ECORRUPTBATCH);
    assert_int_equal(batch_peek(cut, &info), len < BATCH_HEADER ? TERN_EMALFORMED : 0);
    assert_int_equal(batch_check(cut, &info),
                     len < BATCH_HEADER ? TERN_EMALFORMED : TERN_ECORRUPTBATCH);
    struct slice run = cut;
    assert_int_equal(batch_next(&run, &info, &out), len == 0 ? TERN_ENOENT : TERN_ECORRUPTBATCH);
    assert_int_equal(run.len, len);
    assert_int_equal(record_iter_init(&iter, cut),
                     len < BATCH_HEADER ? TERN_EMALFORMED : TERN_ECORRUPTBATCH);
    free(copy);
}

static void every_truncation_of_a_batch_is_refused(void **state)
{
    struct slice batch = three_records();

    (void)state;
    for (size_t len = 0; len < batch.len; len++) {
        check_truncated(batch, len);
    }
}

/* The records of a batch are cut, and the header is made to fit what is left. */
static void every_truncation_of_the_records_is_refused(void **state)
{
    struct slice batch = three_records();

    (void)state;
    for (size_t len = BATCH_HEADER; len < batch.len; len++) {
        uint8_t *copy = mem_new(len);
        struct record_iter iter;
        struct record record;
        int error = 0;
        memcpy(copy, batch.base, len);
        put_be32(copy + 8, (uint32_t)(len - 12));
        assert_int_equal(record_iter_init(&iter, slice_of(copy, len)), 0);
        while (error == 0) {
            error = record_next(&iter, &record);
        }
        assert_int_equal(error, TERN_EINVALIDRECORD);
        assert_int_equal(record_next(&iter, &record), TERN_EINVALIDRECORD);
        free(copy);
    }
}

static void every_flipped_bit_behind_the_epoch_is_noticed(void **state)
{
    struct slice batch = three_records();
    struct batch_info info;

    (void)state;
    for (size_t bit = 16 * 8; bit < batch.len * 8; bit++) {
        uint8_t *at = builder.buf.base + bit / 8;
        *at ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(batch_check_produce(batch, &info),
                         bit / 8 == 16 ? TERN_EUNSUPPORTED : TERN_ECORRUPTBATCH);
        *at ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(batch_check_produce(batch, &info), 0);
}

static void a_wrong_length_is_a_corrupt_batch(void **state)
{
    static const uint32_t lengths[] = {0, 1, 48, 49, 0x7fffffff, 0x80000000, 0xffffffff};
    struct slice batch = three_records();
    uint32_t right = get_be32(batch.base + 8);
    struct batch_info info;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        put_be32(builder.buf.base + 8, lengths[i]);
        assert_int_equal(batch_check_produce(batch, &info), TERN_ECORRUPTBATCH);
    }
    put_be32(builder.buf.base + 8, right - 1);
    assert_int_equal(batch_check_produce(batch, &info), TERN_ECORRUPTBATCH);
    put_be32(builder.buf.base + 8, right + 1);
    assert_int_equal(batch_check_produce(batch, &info), TERN_ECORRUPTBATCH);
}

static void old_formats_are_told_apart_from_damage(void **state)
{
    struct slice batch = three_records();
    struct batch_info info;

    (void)state;
    for (int magic = 0; magic < 2; magic++) {
        builder.buf.base[16] = (uint8_t)magic;
        assert_int_equal(batch_check_produce(batch, &info), TERN_EUNSUPPORTED);
        /* A short message of an old format is shorter than our header. */
        assert_int_equal(batch_check_produce(slice_of(batch.base, 20), &info), TERN_EUNSUPPORTED);
    }
}

static void two_batches_for_one_partition_are_refused(void **state)
{
    struct buf two = {0};
    struct batch_info info;

    (void)state;
    buf_put(&two, three_records());
    buf_put(&two, three_records());
    assert_int_equal(batch_check_produce(buf_slice(&two), &info), TERN_EINVALIDRECORD);
    two.len = three_records().len + 1;
    assert_int_equal(batch_check_produce(buf_slice(&two), &info), TERN_EINVALIDRECORD);
    buf_fini(&two);
}

static void counts_and_offset_deltas_must_agree(void **state)
{
    (void)state;
    assert_int_equal(check_with(59, 3), 0);
    assert_int_equal(check_with(59, 0), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(59, 2), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(59, 4), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(57, 0xffff), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(25, 3), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(23, 0xffff), TERN_ECORRUPTBATCH); /* a delta below zero */
}

static void attributes_that_a_producer_may_not_set_are_refused(void **state)
{
    (void)state;
    for (uint16_t codec = 0; codec < 8; codec++) {
        assert_int_equal(check_with(21, codec), codec <= 4 ? 0 : TERN_EINVALIDRECORD);
    }
    assert_int_equal(check_with(21, BATCH_LOG_APPEND), TERN_ETIMESTAMP);
    assert_int_equal(check_with(21, BATCH_CONTROL), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(21, BATCH_CONTROL | BATCH_TRANSACTIONAL), TERN_EINVALIDRECORD);
    assert_int_equal(check_with(21, BATCH_TRANSACTIONAL), TERN_EINVALIDRECORD); /* no id */
}

static void a_producer_id_needs_epoch_and_sequence(void **state)
{
    struct batch_info info;

    (void)state;
    (void)three_records();
    assert_int_equal(batch_check_produce(batch_builder_finish(&builder, 5, 0, 0), &info), 0);
    assert_int_equal(batch_check_produce(batch_builder_finish(&builder, 5, -1, 0), &info),
                     TERN_EINVALIDRECORD);
    assert_int_equal(batch_check_produce(batch_builder_finish(&builder, 5, 0, -1), &info),
                     TERN_EINVALIDRECORD);
    /* Without an id the other two mean nothing. */
    assert_int_equal(batch_check_produce(batch_builder_finish(&builder, -1, 3, 9), &info), 0);
}

static void a_run_of_batches_is_walked_to_its_end(void **state)
{
    struct buf run = {0};
    struct batch_info info;
    struct slice batch;

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct slice one = three_records();
        batch_patch(builder.buf.base, 3 * i, 1);
        buf_put(&run, one);
    }
    buf_put(&run, slice_of(three_records().base, 70)); /* a partial one behind */
    struct slice left = buf_slice(&run);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(batch_next(&left, &info, &batch), 0);
        assert_int_equal(info.base_offset, 3 * i);
        assert_int_equal(batch.len, info.bytes);
    }
    assert_int_equal(batch_next(&left, &info, &batch), TERN_ECORRUPTBATCH);
    assert_int_equal(left.len, 70);
    left.len = 0;
    assert_int_equal(batch_next(&left, &info, &batch), TERN_ENOENT);
    buf_fini(&run);
}

static void a_compressed_batch_has_no_record_iterator(void **state)
{
    struct slice batch = three_records();
    struct record_iter iter;

    (void)state;
    put_be16(builder.buf.base + 21, BATCH_ZSTD);
    assert_int_equal(record_iter_init(&iter, batch), TERN_EUNSUPPORTED);
}

static void record_headers_are_read_one_by_one(void **state)
{
    /* Length, attributes, deltas 0 0, null key, null value, two headers: "a"="xy", ""=null. */
    static const uint8_t record[] = {26, 0, 0, 0, 1, 1, 4, 2, 'a', 4, 'x', 'y', 0, 1};
    struct slice batch;
    struct record_iter iter;
    struct record out;
    struct slice key;
    struct slice value;

    (void)state;
    batch_builder_reset(&builder);
    buf_put(&builder.buf, slice_of(record, sizeof record));
    builder.count = 1;
    batch = batch_builder_finish(&builder, -1, -1, -1);
    assert_int_equal(record_iter_init(&iter, batch), 0);
    assert_int_equal(record_next(&iter, &out), 0);
    assert_int_equal(out.header_count, 2);
    assert_int_equal(record_header_next(&out.headers, &key, &value), 0);
    assert_true(slice_equal(key, slice_text("a")));
    assert_true(slice_equal(value, slice_text("xy")));
    assert_int_equal(record_header_next(&out.headers, &key, &value), 0);
    assert_int_equal(key.len, 0);
    assert_null(value.base);
    assert_int_equal(record_header_next(&out.headers, &key, &value), TERN_ENOENT);
    struct slice bad = slice_of("\x01\x01", 2); /* a null key */
    assert_int_equal(record_header_next(&bad, &key, &value), TERN_EINVALIDRECORD);
    bad = slice_of("\x02", 1);
    assert_int_equal(record_header_next(&bad, &key, &value), TERN_EINVALIDRECORD);
}

/* Any bytes behind a right header: the iterator ends, inside the input. */
static void random_records_never_lead_outside(void **state)
{
    struct prng prng;
    struct slice batch = three_records();

    (void)state;
    prng_init(&prng, 99);
    for (int round = 0; round < 20000; round++) {
        uint8_t *copy = mem_new(batch.len);
        struct record_iter iter;
        struct record record;
        struct slice key;
        struct slice value;
        memcpy(copy, batch.base, batch.len);
        for (uint64_t i = 0; i <= prng_below(&prng, 4); i++) {
            copy[prng_between(&prng, 57, batch.len - 1)] = (uint8_t)prng_next(&prng);
        }
        assert_int_equal(record_iter_init(&iter, slice_of(copy, batch.len)), 0);
        while (record_next(&iter, &record) == 0) {
            assert_true(record.key.len + record.value.len < batch.len);
            while (record_header_next(&record.headers, &key, &value) == 0) {
                assert_true(key.len + value.len < batch.len);
            }
        }
        free(copy);
    }
}

static int setup(void **state)
{
    (void)state;
    batch_builder_init(&builder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    batch_builder_fini(&builder);
    return 0;
}

static void a_control_batch_says_how_a_transaction_ended(void **state)
{
    struct buf bytes = {0};
    struct batch_info info;

    (void)state;
    batch_marker_put(&bytes, BATCH_COMMIT, 4711, 3, 99, 1700);
    assert_int_equal(batch_check(buf_slice(&bytes), &info), 0);
    assert_int_equal(info.marker, BATCH_COMMIT);
    assert_int_equal(info.coordinator_epoch, 99);
    assert_int_equal(info.producer_id, 4711);
    assert_int_equal(info.producer_epoch, 3);
    assert_int_equal(info.base_sequence, -1);
    assert_int_equal(info.attributes, BATCH_CONTROL | BATCH_TRANSACTIONAL);
    assert_int_equal(batch_check_produce(buf_slice(&bytes), &info), TERN_EINVALIDRECORD);
    for (size_t len = BATCH_HEADER; len < bytes.len; len++) {
        assert_int_equal(batch_peek(slice_of(bytes.base, len), &info), 0);
        assert_int_equal(info.marker, BATCH_NO_MARKER); /* it is not there whole */
    }
    buf_clear(&bytes);
    batch_marker_put(&bytes, BATCH_ABORT, 4711, 3, 99, 1700);
    assert_int_equal(batch_check(buf_slice(&bytes), &info), 0);
    assert_int_equal(info.marker, BATCH_ABORT);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_built_batch_is_one_that_a_producer_may_send),
        cmocka_unit_test(records_come_back_as_they_were_added),
        cmocka_unit_test(patching_leaves_the_checksum_right),
        cmocka_unit_test(a_brokers_timestamp_is_in_the_batch_and_its_checksum),
        cmocka_unit_test(every_truncation_of_a_batch_is_refused),
        cmocka_unit_test(every_truncation_of_the_records_is_refused),
        cmocka_unit_test(every_flipped_bit_behind_the_epoch_is_noticed),
        cmocka_unit_test(a_wrong_length_is_a_corrupt_batch),
        cmocka_unit_test(old_formats_are_told_apart_from_damage),
        cmocka_unit_test(two_batches_for_one_partition_are_refused),
        cmocka_unit_test(counts_and_offset_deltas_must_agree),
        cmocka_unit_test(attributes_that_a_producer_may_not_set_are_refused),
        cmocka_unit_test(a_producer_id_needs_epoch_and_sequence),
        cmocka_unit_test(a_run_of_batches_is_walked_to_its_end),
        cmocka_unit_test(a_compressed_batch_has_no_record_iterator),
        cmocka_unit_test(record_headers_are_read_one_by_one),
        cmocka_unit_test(a_control_batch_says_how_a_transaction_ended),
        cmocka_unit_test(random_records_never_lead_outside),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
