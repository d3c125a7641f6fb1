/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "group/consumer_record.h"
#include "tests/lib/test.h"

static void add(struct part_set *set, uint8_t topic, int32_t partition)
{
    struct uuid id;

    memset(id.bytes, topic, sizeof id.bytes);
    part_set_add(set, id, partition);
}

/* Nothing but the whole value is read. Each length is a copy, for the sanitizer. */
static void each_truncation(struct slice whole, int (*read)(struct slice bytes))
{
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *copy = mem_new(len > 0 ? len : 1);
        memcpy(copy, whole.base, len);
        assert_int_equal(read(slice_of(copy, len)), TERN_EMALFORMED);
        free(copy);
    }
    assert_int_equal(read(whole), 0);
    uint8_t *longer = mem_new(whole.len + 1);
    memcpy(longer, whole.base, whole.len);
    assert_int_equal(read(slice_of(longer, whole.len + 1)), TERN_EMALFORMED);
    longer[1] = 1; /* another version */
    assert_int_equal(read(slice_of(longer, whole.len)), TERN_EUNSUPPORTED);
    free(longer);
}

static int read_group(struct slice bytes)
{
    struct consumer_value value;

    return consumer_value_read(bytes, &value);
}

static void a_group_is_read_as_it_was_written(void **state)
{
    struct consumer_value value = {7, 0x1122334455667788};
    struct consumer_value back;
    struct buf out = {0};
    (void)state;

    consumer_value_put(&out, &value);
    /* Kafka's ConsumerGroupMetadataValue: version, epoch, one tag: 0, of 8 bytes. */
    static const uint8_t bytes[] = {0,    0,    0,    0,    0,    7,    1,    0,   8,
                                    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    assert_true(slice_equal(buf_slice(&out), slice_of(bytes, sizeof bytes)));
    assert_int_equal(consumer_value_read(buf_slice(&out), &back), 0);
    assert_int_equal(back.epoch, 7);
    assert_true(back.metadata_hash == value.metadata_hash);
    each_truncation(buf_slice(&out), read_group);
    buf_fini(&out);
}

static int read_member(struct slice bytes)
{
    struct consumer_member_value value;
    struct buf names = {0};
    struct buf protocols = {0};
    int status = consumer_member_value_read(bytes, &value, &names, &protocols);

    buf_fini(&names);
    buf_fini(&protocols);
    return status;
}

static void a_member_is_read_as_it_was_written(void **state)
{
    static const uint8_t names[] = "\0\1a\0\3bcd";
    static const uint8_t protocols[] = "\0\0\0\5range\0\0\0\2xy\0\0\0\6sticky\0\0\0\0";
    struct consumer_member_value value = {
        .instance_id = slice_text("one"),
        .rack_id = slice_text("eu-west"),
        .client_id = slice_text("client"),
        .client_host = slice_text("/10.0.0.1"),
        .regex = slice_text("a.*"),
        .rebalance_timeout_ms = 300000,
        .classic = true,
        .session_timeout_ms = 45000,
        .protocols = slice_of(protocols, sizeof protocols - 1),
        .protocol_count = 2,
    };
    struct consumer_member_value back;
    struct buf out = {0};
    struct buf got_names = {0};
    struct buf got_protocols = {0};
    (void)state;

    consumer_member_value_put(&out, &value, slice_of(names, sizeof names - 1));
    assert_int_equal(consumer_member_value_read(buf_slice(&out), &back, &got_names, &got_protocols),
                     0);
    assert_true(slice_equal(back.instance_id, value.instance_id));
    assert_true(slice_equal(back.rack_id, value.rack_id));
    assert_true(slice_equal(back.regex, value.regex));
    assert_null(back.assignor.base);
    assert_int_equal(back.rebalance_timeout_ms, 300000);
    assert_true(back.classic);
    assert_int_equal(back.session_timeout_ms, 45000);
    assert_int_equal(back.protocol_count, 2);
    assert_true(slice_equal(back.protocols, value.protocols));
    assert_true(slice_equal(buf_slice(&got_names), slice_of(names, sizeof names - 1)));
    each_truncation(buf_slice(&out), read_member);
    buf_fini(&out);
    buf_fini(&got_names);
    buf_fini(&got_protocols);
}

static int read_target(struct slice bytes)
{
    int32_t epoch;

    return consumer_target_value_read(bytes, &epoch);
}

static int read_part(struct slice bytes)
{
    struct part_set parts = {0};
    int status = consumer_part_value_read(bytes, &parts);

    part_set_fini(&parts);
    return status;
}

static int read_current(struct slice bytes)
{
    struct consumer_current_value value;
    struct part_set assigned = {0};
    struct part_set revoking = {0};
    int status = consumer_current_value_read(bytes, &value, &assigned, &revoking);

    part_set_fini(&assigned);
    part_set_fini(&revoking);
    return status;
}

static void assignments_are_read_as_they_were_written(void **state)
{
    struct consumer_current_value value = {5, 4, 3};
    struct consumer_current_value back;
    struct part_set assigned = {0};
    struct part_set revoking = {0};
    struct part_set got_assigned = {0};
    struct part_set got_revoking = {0};
    struct buf out = {0};
    (void)state;

    add(&assigned, 2, 7);
    add(&assigned, 1, 3);
    add(&assigned, 1, 0);
    part_set_sort(&assigned);
    add(&revoking, 9, 1);
    consumer_current_value_put(&out, &value, &assigned, &revoking);
    assert_int_equal(
        consumer_current_value_read(buf_slice(&out), &back, &got_assigned, &got_revoking), 0);
    assert_int_equal(back.epoch, 5);
    assert_int_equal(back.previous_epoch, 4);
    assert_int_equal(back.state, 3);
    assert_true(part_set_equal(&assigned, &got_assigned));
    assert_true(part_set_equal(&revoking, &got_revoking));
    each_truncation(buf_slice(&out), read_current);
    buf_clear(&out);
    consumer_part_value_put(&out, &assigned);
    each_truncation(buf_slice(&out), read_part);
    buf_clear(&out);
    consumer_target_value_put(&out, 12);
    each_truncation(buf_slice(&out), read_target);
    buf_fini(&out);
    part_set_fini(&assigned);
    part_set_fini(&revoking);
    part_set_fini(&got_assigned);
    part_set_fini(&got_revoking);
}

static void a_claimed_number_of_partitions_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(read_part(slice_of("\0\0\377\377\377\377\7", 7)), TERN_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_read_as_it_was_written),
        cmocka_unit_test(a_member_is_read_as_it_was_written),
        cmocka_unit_test(assignments_are_read_as_they_were_written),
        cmocka_unit_test(a_claimed_number_of_partitions_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
