/* SPDX-License-Identifier: Apache-2.0 */
/* When the loop lets events gather before it looks for them. */
#include "net/moderation.h"
#include "tests/lib/test.h"

static struct moderation came(unsigned frames, size_t bytes)
{
    return (struct moderation){.frames = frames, .bytes = bytes, .began_ns = 1000};
}

static void few_frames_are_never_delayed(void **state)
{
    struct moderation m = came(MODERATION_FRAMES - 1, 100);

    (void)state;
    assert_int_equal(moderation_wait_ns(&m, 1001), 0);
    m = (struct moderation){0};
    assert_int_equal(moderation_wait_ns(&m, 1), 0);
}

static void turns_with_many_small_frames_begin_some_distance_apart(void **state)
{
    struct moderation m = came(MODERATION_FRAMES, 100);

    (void)state;
    assert_int_equal(moderation_wait_ns(&m, 1000 + MODERATION_NS / 4), MODERATION_NS / 4 * 3);
    m.frames = MODERATION_FRAMES;
    assert_int_equal(moderation_wait_ns(&m, 1000 + MODERATION_NS + 5), MODERATION_NS - 5);
}

static void a_turn_that_took_long_is_followed_by_the_next_at_once(void **state)
{
    struct moderation m = came(1000, 100);

    (void)state;
    assert_int_equal(moderation_wait_ns(&m, 1000 + MODERATION_NS), 0);
}

static void bulk_is_never_delayed(void **state)
{
    struct moderation m = came(1000, MODERATION_BYTES);

    (void)state;
    assert_int_equal(moderation_wait_ns(&m, 1001), 0);
}

static void only_what_came_since_the_last_wait_counts(void **state)
{
    struct moderation m = came(MODERATION_FRAMES, MODERATION_BYTES - 1);

    (void)state;
    assert_true(moderation_wait_ns(&m, 1001) > 0);
    assert_int_equal(m.frames, 0);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(moderation_wait_ns(&m, 1002 + MODERATION_NS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_frames_are_never_delayed),
        cmocka_unit_test(turns_with_many_small_frames_begin_some_distance_apart),
        cmocka_unit_test(a_turn_that_took_long_is_followed_by_the_next_at_once),
        cmocka_unit_test(bulk_is_never_delayed),
        cmocka_unit_test(only_what_came_since_the_last_wait_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
