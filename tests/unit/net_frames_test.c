/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting frames without believing lengths, and the bounds of the log. */
#include "base/buf.h"
#include "base/prng.h"
#include "net/complaint.h"
#include "net/frame_in.h"
#include "tests/unit/net_rig.h"

static void frames_cut_by_chance_come_out_whole(void **state)
{
    struct prng prng;
    struct buf bytes = {0};
    struct frame_in in = {0};
    uint32_t lens[50];

    (void)state;
    prng_init(&prng, 7);
    for (unsigned i = 0; i < 50; i++) {
        lens[i] = (uint32_t)prng_between(&prng, 1, prng_chance(&prng, 1, 5) ? 300000 : 40);
        buf_be32(&bytes, lens[i]);
        memset(buf_extend(&bytes, lens[i]), (int)i, lens[i]);
    }
    for (unsigned round = 0; round < 20; round++) {
        unsigned next = 0;
        for (size_t at = 0; at < bytes.len;) {
            size_t len = prng_between(&prng, 1, 1u << prng_below(&prng, 18));
            len = len < bytes.len - at ? len : bytes.len - at;
            struct slice part = slice_of(bytes.base + at, len);
            struct blob *frame;
            int got;
            while ((got = frame_in_feed(&in, &part, 1, 1 << 20, &frame)) == 1) {
                assert_int_equal(frame->len, lens[next]);
                assert_int_equal(frame->bytes[0], next);
                assert_int_equal(frame->bytes[frame->len - 1], next);
                blob_unref(frame);
                next++;
            }
            assert_int_equal(got, 0);
            at += len;
        }
        assert_int_equal(next, 50);
    }
    buf_fini(&bytes);
}

static void memory_follows_the_bytes_not_the_claim(void **state)
{
    struct frame_in in = {0};
    struct blob *frame;
    uint8_t prefix[4];
    static uint8_t zeros[1000];
    struct slice part = slice_of(prefix, sizeof prefix);

    (void)state;
    put_be32(prefix, 100u << 20);
    assert_int_equal(frame_in_feed(&in, &part, 1, 100u << 20, &frame), 0);
    for (size_t received = 0; received < 3000000; received += sizeof zeros) {
        assert_true(frame_in_memory(&in) <= 4096 + FRAME_GROWTH * received);
        part = slice_of(zeros, sizeof zeros);
        assert_int_equal(frame_in_feed(&in, &part, 1, 100u << 20, &frame), 0);
    }
    frame_in_fini(&in);
}

static void a_length_that_came_whole_before_gets_its_memory_at_once(void **state)
{
    struct frame_in in = {0};
    struct blob *frame = NULL;
    struct buf bytes = {0};

    (void)state;
    buf_be32(&bytes, 900000);
    memset(buf_extend(&bytes, 900000), 7, 900000);
    struct slice part = slice_of(bytes.base, 5000);
    assert_int_equal(frame_in_feed(&in, &part, 1, 1 << 20, &frame), 0);
    assert_true(frame_in_memory(&in) <= FRAME_GROWTH * 5000);
    part = slice_of(bytes.base + 5000, bytes.len - 5000);
    assert_int_equal(frame_in_feed(&in, &part, 1, 1 << 20, &frame), 1);
    blob_unref(frame);
    part = slice_of(bytes.base, 5000);
    assert_int_equal(frame_in_feed(&in, &part, 1, 1 << 20, &frame), 0);
    assert_int_equal(frame_in_memory(&in), 900000);
    part = slice_of(bytes.base + 5000, bytes.len - 5000);
    assert_int_equal(frame_in_feed(&in, &part, 1, 1 << 20, &frame), 1);
    blob_unref(frame);
    put_be32(bytes.base, 900001); /* a byte more has still to be shown */
    part = slice_of(bytes.base, 5000);
    assert_int_equal(frame_in_feed(&in, &part, 1, 1 << 20, &frame), 0);
    assert_true(frame_in_memory(&in) <= FRAME_GROWTH * 5000);
    frame_in_fini(&in);
    buf_fini(&bytes);
}

/* As a socket does it: into the frame where there is room, else into a buffer. */
static void bytes_that_were_read_into_the_frame_are_not_copied(void **state)
{
    struct prng prng;
    struct buf bytes = {0};
    struct frame_in in = {0};
    static uint8_t shared[65536];
    size_t direct = 0;
    size_t total = 0;

    (void)state;
    prng_init(&prng, 11);
    for (unsigned i = 0; i < 40; i++) {
        uint32_t len = (uint32_t)prng_between(&prng, 1, prng_chance(&prng, 1, 2) ? 900000 : 3000);
        buf_be32(&bytes, len);
        memset(buf_extend(&bytes, len), (int)i, len);
    }
    unsigned next = 0;
    while (total < bytes.len) {
        size_t room = sizeof shared;
        uint8_t *at = frame_in_room(&in, 1000, &room);
        room = at != NULL ? room : sizeof shared;
        size_t len = prng_between(&prng, 1, room < 100000 ? room : 100000);
        len = len < bytes.len - total ? len : bytes.len - total;
        direct += at != NULL ? len : 0;
        at = at != NULL ? at : shared;
        memcpy(at, bytes.base + total, len);
        total += len;
        assert_true(frame_in_memory(&in) <= 4096 + FRAME_GROWTH * total);
        struct slice part = slice_of(at, len);
        struct blob *frame;
        int got;
        while ((got = frame_in_feed(&in, &part, 1, 1 << 20, &frame)) == 1) {
            for (size_t i = 0; i < frame->len; i++) {
                assert_int_equal(frame->bytes[i], next);
            }
            blob_unref(frame);
            next++;
        }
        assert_int_equal(got, 0);
    }
    assert_int_equal(next, 40);
    assert_true(direct > bytes.len / 2);
    frame_in_fini(&in);
    buf_fini(&bytes);
}

static void lengths_out_of_bounds_are_told_apart(void **state)
{
    struct frame_in in = {0};
    struct blob *frame;
    uint8_t prefix[4];
    struct slice part = slice_of(prefix, sizeof prefix);

    (void)state;
    put_be32(prefix, 101);
    assert_int_equal(frame_in_feed(&in, &part, 10, 100, &frame), TERN_ETOOBIG);
    assert_int_equal(frame_in_length(&in), 101);
    frame_in_fini(&in);
    put_be32(prefix, 9);
    part = slice_of(prefix, sizeof prefix);
    assert_int_equal(frame_in_feed(&in, &part, 10, 100, &frame), TERN_EMALFORMED);
    frame_in_fini(&in);
}

/* A clock that stands where the test puts it. */
static uint64_t fake_us;

static uint64_t fake_now(struct clock *clock)
{
    (void)clock;
    return fake_us;
}

static void the_same_complaint_is_said_once_a_minute_with_a_count(void **state)
{
    static const struct clock_ops ops = {.now_us = fake_now};
    struct clock clock = {.ops = &ops};
    struct complaints complaints = {.clock = &clock};

    (void)state;
    trace_set_sink(rig_sink);
    rig_line_count = 0;
    fake_us = 1000000000;
    for (unsigned i = 0; i < 100; i++) {
        complain(&complaints, 1, "refused", "node 2", "node 2 at x", "wrong\nregion \"mars\"");
        fake_us += 100000;
    }
    assert_int_equal(rig_line_count, 1);
    assert_non_null(strstr(rig_lines[0], "why=\"wrong?region ?mars?\""));
    complain(&complaints, 1, "refused", "node 3", "node 3 at x", "wrong region");
    assert_int_equal(rig_line_count, 2);
    fake_us += 60000000;
    complain(&complaints, 1, "refused", "node 2", "node 2 at x", "wrong\nregion \"mars\"");
    assert_int_equal(rig_line_count, 3);
    assert_non_null(strstr(rig_lines[2], "repeated=99"));
    trace_set_sink(NULL);
}

static void a_flood_of_different_complaints_is_bounded(void **state)
{
    static const struct clock_ops ops = {.now_us = fake_now};
    struct clock clock = {.ops = &ops};
    struct complaints complaints = {.clock = &clock};
    char who[32];

    (void)state;
    trace_set_sink(rig_sink);
    rig_line_count = 0;
    fake_us = 5000000000;
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(who, sizeof who, "10.0.%u.%u", i / 256, i % 256);
        complain(&complaints, 5, "refused", who, who, "garbage");
    }
    assert_in_range(rig_line_count, 10, 60);
    fake_us += 1000000;
    complain(&complaints, 5, "refused", "last", "last", "garbage");
    assert_int_equal(rig_said("unsaid=99"), 1);
    trace_set_sink(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_cut_by_chance_come_out_whole),
        cmocka_unit_test(memory_follows_the_bytes_not_the_claim),
        cmocka_unit_test(a_length_that_came_whole_before_gets_its_memory_at_once),
        cmocka_unit_test(bytes_that_were_read_into_the_frame_are_not_copied),
        cmocka_unit_test(lengths_out_of_bounds_are_told_apart),
        cmocka_unit_test(the_same_complaint_is_said_once_a_minute_with_a_count),
        cmocka_unit_test(a_flood_of_different_complaints_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
