/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "group/group.h"
#include "tests/lib/test.h"

/* A copy of exactly this size, so that the sanitizer sees one byte too far. */
static struct slice exact(struct slice bytes, size_t len, uint8_t **out_copy)
{
    *out_copy = mem_new(len > 0 ? len : 1);
    memcpy(*out_copy, bytes.base, len);
    return slice_of(*out_copy, len);
}

static void each_truncation(struct slice bytes, int (*read)(struct slice bytes))
{
    assert_int_equal(read(bytes), 0);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *copy;
        struct slice cut = exact(bytes, len, &copy);
        assert_int_equal(read(cut), TERN_EMALFORMED);
        free(copy);
    }
    struct buf longer = {0};
    buf_put(&longer, bytes);
    buf_u8(&longer, 0);
    assert_int_equal(read(buf_slice(&longer)), TERN_EMALFORMED);
    buf_fini(&longer);
}

static int read_key(struct slice bytes)
{
    struct group_key key;

    return group_key_read(bytes, &key);
}

static int read_offset(struct slice bytes)
{
    struct group_offset_value value;

    return group_offset_value_read(bytes, &value);
}

static int read_group(struct slice bytes)
{
    struct group_value value;

    return group_value_read(bytes, &value);
}

static void keys_are_kafkas(void **state)
{
    struct buf out = {0};
    struct group_key key;
    (void)state;

    group_offset_key(&out, slice_text("g1"), slice_text("payments"), 5);
    assert_int_equal(out.len, 2 + 2 + 2 + 2 + 8 + 4);
    assert_memory_equal(out.base, "\0\1\0\2g1\0\10payments\0\0\0\5", out.len);
    each_truncation(buf_slice(&out), read_key);
    assert_int_equal(group_key_read(buf_slice(&out), &key), 0);
    assert_int_equal(key.kind, GROUP_KEY_OFFSET);
    assert_true(slice_equal(key.topic, slice_text("payments")));
    buf_clear(&out);
    group_group_key(&out, slice_text("g1"));
    assert_memory_equal(out.base, "\0\2\0\2g1", out.len);
    each_truncation(buf_slice(&out), read_key);
    buf_clear(&out);
    group_barrier_key(&out);
    assert_int_equal(group_key_read(buf_slice(&out), &key), 0);
    assert_int_equal(key.kind, GROUP_KEY_BARRIER);
    buf_fini(&out);
}

static void a_key_of_another_kind_is_not_supported(void **state)
{
    (void)state;
    assert_int_equal(read_key(slice_of("\0\4\0\0", 4)), TERN_EUNSUPPORTED);
    assert_int_equal(read_key(slice_of("\0\2\377\377", 4)), TERN_EMALFORMED); /* null id */
}

static void an_offset_is_written_as_version_three_and_with_an_expiry_as_one(void **state)
{
    struct buf out = {0};
    struct group_offset_value v = {1234567, 7, slice_text("note"), 99, -1};
    struct group_offset_value read;
    (void)state;

    group_offset_value(&out, &v);
    assert_memory_equal(out.base, "\0\3\0\0\0\0\0\22\326\207\0\0\0\7\0\4note\0\0\0\0\0\0\0\143",
                        out.len);
    each_truncation(buf_slice(&out), read_offset);
    assert_int_equal(group_offset_value_read(buf_slice(&out), &read), 0);
    assert_int_equal(read.offset, 1234567);
    assert_int_equal(read.leader_epoch, 7);
    assert_int_equal(read.expire_ms, -1);
    buf_clear(&out);
    v.expire_ms = 500;
    group_offset_value(&out, &v);
    assert_int_equal(out.base[1], 1);
    each_truncation(buf_slice(&out), read_offset);
    assert_int_equal(group_offset_value_read(buf_slice(&out), &read), 0);
    assert_int_equal(read.expire_ms, 500);
    assert_int_equal(read.leader_epoch, -1);
    out.base[1] = 4;
    assert_int_equal(read_offset(buf_slice(&out)), TERN_EUNSUPPORTED);
    buf_fini(&out);
}

static void put_group(struct buf *out, uint32_t members)
{
    struct group_value v = {.protocol_type = slice_text("consumer"),
                            .generation = 12,
                            .protocol = slice_text("range"),
                            .leader = slice_text("m-0"),
                            .since_ms = 4242,
                            .member_count = members};
    struct group_value_member m = {.id = slice_text("m-0"),
                                   .instance_id = slice_text("i"),
                                   .client_id = slice_text("c"),
                                   .client_host = slice_text("/h"),
                                   .rebalance_timeout_ms = 60000,
                                   .session_timeout_ms = 10000,
                                   .subscription = slice_text("sub"),
                                   .assignment = slice_text("asg")};

    group_value_put(out, &v);
    for (uint32_t i = 0; i < members; i++) {
        group_value_member_put(out, &m);
        m.id = slice_text("m-1");
        m.instance_id = (struct slice){0};
    }
}

static void a_group_is_read_as_it_was_written(void **state)
{
    struct buf out = {0};
    struct group_value v;
    struct group_value_member m;
    (void)state;

    put_group(&out, 2);
    each_truncation(buf_slice(&out), read_group);
    assert_int_equal(group_value_read(buf_slice(&out), &v), 0);
    assert_int_equal(v.generation, 12);
    assert_int_equal(v.member_count, 2);
    group_value_next(&v, &m);
    assert_true(slice_equal(m.instance_id, slice_text("i")));
    group_value_next(&v, &m);
    assert_null(m.instance_id.base);
    assert_true(slice_equal(m.id, slice_text("m-1")));
    assert_true(slice_equal(m.assignment, slice_text("asg")));
    buf_fini(&out);
}

static void older_versions_of_a_group_are_read(void **state)
{
    /* Version 0: no rebalance time-out; 1: no time of the state; 2: no instance id. */
    static const char zero[] = "\0\0\0\1t\0\0\0\1\377\377\377\377\0\0\0\1\0\1m\0\1c\0\1h"
                               "\0\0\47\20\0\0\0\0\0\0\0\0";
    static const char two[] = "\0\2\0\1t\0\0\0\1\377\377\377\377\0\0\0\0\0\0\0\7\0\0\0\1\0\1m\0\1c"
                              "\0\1h\0\0\0\5\0\0\47\20\0\0\0\0\0\0\0\0";
    struct group_value v;
    struct group_value_member m;
    (void)state;

    each_truncation(slice_of(zero, sizeof zero - 1), read_group);
    assert_int_equal(group_value_read(slice_of(zero, sizeof zero - 1), &v), 0);
    group_value_next(&v, &m);
    assert_int_equal(m.session_timeout_ms, 10000);
    assert_int_equal(m.rebalance_timeout_ms, 10000);
    each_truncation(slice_of(two, sizeof two - 1), read_group);
    assert_int_equal(group_value_read(slice_of(two, sizeof two - 1), &v), 0);
    assert_int_equal(v.since_ms, 7);
    group_value_next(&v, &m);
    assert_int_equal(m.rebalance_timeout_ms, 5);
    assert_int_equal(read_group(slice_of("\0\4\0\1t", 5)), TERN_EUNSUPPORTED);
}

static void a_claimed_number_of_members_is_not_believed(void **state)
{
    struct buf out = {0};
    (void)state;

    put_group(&out, 0);
    put_be32(out.base + out.len - 4, 0x7fffffff);
    assert_int_equal(read_group(buf_slice(&out)), TERN_EMALFORMED);
    put_be32(out.base + out.len - 4, 0xffffffff);
    assert_int_equal(read_group(buf_slice(&out)), TERN_EMALFORMED);
    buf_fini(&out);
}

static void a_subscription_names_its_topics(void **state)
{
    static const char bytes[] = "\0\1\0\0\0\2\0\1a\0\2bb\377\377\377\377";
    struct slice all = slice_of(bytes, sizeof bytes - 1);
    bool has = false;
    (void)state;

    assert_true(group_subscription_has(all, slice_text("bb"), &has));
    assert_true(has);
    assert_true(group_subscription_has(all, slice_text("c"), &has));
    assert_false(has);
    for (size_t len = 0; len < all.len - 4; len++) {
        uint8_t *copy;
        struct slice cut = exact(all, len, &copy);
        assert_false(group_subscription_has(cut, slice_text("bb"), &has));
        free(copy);
    }
    assert_false(
        group_subscription_has(slice_of("\0\1\177\377\377\377", 6), slice_text("a"), &has));
}

static void the_hash_is_javas(void **state)
{
    (void)state;
    assert_int_equal(group_hash(slice_text("")), 0);
    assert_int_equal(group_hash(slice_text("group")), 98629247);
    assert_int_equal(group_hash(slice_text("\303\274")), 252);             /* U+00FC */
    assert_int_equal(group_hash(slice_text("\360\237\230\200")), 1772899); /* U+1F600, two units */
    assert_int_equal(group_hash(slice_of("\377", 1)), 255);                /* no UTF-8 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_kafkas),
        cmocka_unit_test(a_key_of_another_kind_is_not_supported),
        cmocka_unit_test(an_offset_is_written_as_version_three_and_with_an_expiry_as_one),
        cmocka_unit_test(a_group_is_read_as_it_was_written),
        cmocka_unit_test(older_versions_of_a_group_are_read),
        cmocka_unit_test(a_claimed_number_of_members_is_not_believed),
        cmocka_unit_test(a_subscription_names_its_topics),
        cmocka_unit_test(the_hash_is_javas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
