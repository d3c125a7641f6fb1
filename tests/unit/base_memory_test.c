/* SPDX-License-Identifier: Apache-2.0 */
/* blob, buf, reader, slice, uuid, crc: bytes and how they are read and written. */
#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/crc.h"
#include "base/prng.h"
#include "base/reader.h"
#include "base/uuid.h"
#include "tests/lib/test.h"

static void a_chunk_keeps_its_blob_alive(void **state)
{
    struct blob *blob = blob_copy(slice_text("hello world"));
    struct chunk chunk = chunk_of(blob, blob->bytes + 6, 5);

    (void)state;
    assert_int_equal(blob->refs, 2);
    blob_unref(blob);
    assert_true(slice_equal(chunk_slice(chunk), slice_text("world")));
    struct chunk second = chunk_ref(chunk);
    chunk_drop(&chunk);
    assert_null(chunk.blob);
    assert_memory_equal(second.base, "world", 5);
    chunk_drop(&second);
    chunk_drop(&second);
    blob_unref(NULL);
    struct chunk none = chunk_ref((struct chunk){0});
    assert_null(none.blob);
}

static void slices_compare_by_content(void **state)
{
    (void)state;
    assert_true(slice_equal((struct slice){0}, slice_text("")));
    assert_true(slice_equal(slice_text("ab"), slice_of("abc", 2)));
    assert_false(slice_equal(slice_text("ab"), slice_text("ac")));
    assert_false(slice_equal(slice_text("ab"), slice_text("abc")));
}

static void what_a_buffer_writes_a_reader_reads(void **state)
{
    struct buf buf = {0};

    (void)state;
    buf_u8(&buf, 0xab);
    buf_be16(&buf, 0x1234);
    buf_be32(&buf, 0x12345678);
    buf_be64(&buf, 0x123456789abcdef0);
    buf_le16(&buf, 0x1234);
    buf_le32(&buf, 0x12345678);
    buf_le64(&buf, 0x123456789abcdef0);
    buf_text(&buf, "text");
    buf_printf(&buf, "%s=%d", "n", 42);
    struct reader in = reader_of(buf_slice(&buf));
    assert_int_equal(reader_u8(&in), 0xab);
    assert_int_equal(reader_be16(&in), 0x1234);
    assert_int_equal(reader_be32(&in), 0x12345678);
    assert_int_equal(reader_be64(&in), 0x123456789abcdef0);
    assert_int_equal(reader_le16(&in), 0x1234);
    assert_int_equal(reader_le32(&in), 0x12345678);
    assert_int_equal(reader_le64(&in), 0x123456789abcdef0);
    assert_true(slice_equal(reader_take(&in, 8), slice_text("textn=42")));
    assert_int_equal(reader_left(&in), 0);
    assert_false(in.failed);
    buf_fini(&buf);
}

static void bytes_have_the_order_that_their_name_says(void **state)
{
    uint8_t at[8];

    (void)state;
    put_be32(at, 0x01020304);
    assert_memory_equal(at, "\1\2\3\4", 4);
    put_le32(at, 0x01020304);
    assert_memory_equal(at, "\4\3\2\1", 4);
    put_be16(at, 0x0102);
    assert_memory_equal(at, "\1\2", 2);
    put_le64(at, 1);
    assert_memory_equal(at, "\1\0\0\0\0\0\0\0", 8);
}

static void a_failed_read_is_sticky_and_says_where(void **state)
{
    struct reader in = reader_of(slice_of("\1\2\3\4\5", 5));

    (void)state;
    assert_int_equal(reader_be16(&in), 0x0102);
    assert_int_equal(reader_be32(&in), 0);
    assert_true(in.failed);
    assert_int_equal(in.failed_at, 2);
    assert_int_equal(reader_u8(&in), 0);
    assert_null(reader_take(&in, 1).base);
    assert_int_equal(reader_left(&in), 0);
    assert_int_equal(in.failed_at, 2);
    in = reader_of(slice_of("abc", 3));
    assert_null(reader_take(&in, SIZE_MAX).base);
    assert_true(in.failed);
}

static void uvarints_go_there_and_back(void **state)
{
    static const uint64_t values[] = {0,     1,          127,       128,       16383,
                                      16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    struct buf buf = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        buf_clear(&buf);
        buf_uvarint(&buf, values[i]);
        struct reader in = reader_of(buf_slice(&buf));
        assert_true(reader_uvarint(&in) == values[i]);
        assert_int_equal(reader_left(&in), 0);
        assert_false(in.failed);
        for (size_t len = 0; len < buf.len; len++) {
            in = reader_of(slice_of(buf.base, len));
            assert_int_equal(reader_uvarint(&in), 0);
            assert_true(in.failed);
        }
    }
    static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    struct reader in = reader_of(slice_of(endless, sizeof endless));
    assert_int_equal(reader_uvarint(&in), 0);
    assert_true(in.failed);
    buf_fini(&buf);
}

static void a_buffer_may_begin_at_a_page(void **state)
{
    static const size_t rooms[] = {1, 4096, 100000, 50, 3 << 20};
    struct buf buf = {0};

    (void)state;
    buf_text(&buf, "not at a page");
    for (size_t i = 0; i < ARRAY_COUNT(rooms); i++) {
        buf_pages(&buf, rooms[i]);
        assert_int_equal(buf.len, 0);
        assert_int_equal((uintptr_t)buf.base % 4096, 0);
        const uint8_t *base = buf.base;
        memset(buf_extend(&buf, rooms[i]), 1, rooms[i]);
        assert_ptr_equal(buf.base, base);
    }
    buf_fini(&buf);
}

static void a_buffer_grows_and_keeps_its_bytes(void **state)
{
    struct buf buf = {0};

    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        buf_be32(&buf, i);
    }
    assert_int_equal(buf.len, 40000);
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(get_be32(buf.base + (size_t)i * 4), i);
    }
    buf_put(&buf, (struct slice){0});
    assert_int_equal(buf.len, 40000);
    buf_fini(&buf);
    assert_null(buf.base);
}

static void crc32c_is_castagnoli_and_can_be_continued(void **state)
{
    struct prng prng;
    uint8_t bytes[500];

    (void)state;
    assert_int_equal(crc32c(slice_text("123456789")), 0xe3069283);
    assert_int_equal(crc32c(slice_text("")), 0);
    prng_init(&prng, 1);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)prng_next(&prng);
    }
    for (size_t at = 0; at <= sizeof bytes; at += 7) {
        uint32_t first = crc32c(slice_of(bytes, at));
        assert_int_equal(crc32c_more(first, slice_of(bytes + at, sizeof bytes - at)),
                         crc32c(slice_of(bytes, sizeof bytes)));
    }
}

static void a_uuid_has_kafkas_text_form(void **state)
{
    struct prng prng;
    char text[UUID_TEXT_SIZE];
    struct uuid id;

    (void)state;
    uuid_text((struct uuid){{0}}, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    memset(id.bytes, 0xff, sizeof id.bytes);
    uuid_text(id, text);
    assert_string_equal(text, "_____________________w");
    prng_init(&prng, 2);
    for (int i = 0; i < 100; i++) {
        struct uuid made = uuid_from_random(prng_next(&prng), prng_next(&prng));
        uuid_text(made, text);
        assert_int_equal(strlen(text), 22);
        assert_true(uuid_parse(text, &id));
        assert_true(uuid_equal(id, made));
        assert_false(uuid_is_zero(id));
        assert_int_equal(id.bytes[6] >> 4, 4);
        assert_int_equal(id.bytes[8] >> 6, 2);
    }
    id = (struct uuid){{5}};
    assert_false(uuid_parse("", &id));
    assert_false(uuid_parse("AAAAAAAAAAAAAAAAAAAAA", &id));
    assert_false(uuid_parse("AAAAAAAAAAAAAAAAAAAAAAA", &id));
    assert_false(uuid_parse("AAAAAAAAAAAAAAAAAAAAA+", &id));
    assert_int_equal(id.bytes[0], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_keeps_its_blob_alive),
        cmocka_unit_test(slices_compare_by_content),
        cmocka_unit_test(what_a_buffer_writes_a_reader_reads),
        cmocka_unit_test(bytes_have_the_order_that_their_name_says),
        cmocka_unit_test(a_failed_read_is_sticky_and_says_where),
        cmocka_unit_test(uvarints_go_there_and_back),
        cmocka_unit_test(a_buffer_may_begin_at_a_page),
        cmocka_unit_test(a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test(crc32c_is_castagnoli_and_can_be_continued),
        cmocka_unit_test(a_uuid_has_kafkas_text_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
