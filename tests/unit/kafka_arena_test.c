/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/prng.h"
#include "kafka/arena.h"
#include "tests/lib/test.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct arena arena;
    struct prng prng;
    uint8_t *pieces[500];
    size_t sizes[500];

    (void)state;
    arena_init(&arena);
    prng_init(&prng, 4);
    for (size_t i = 0; i < 500; i++) {
        sizes[i] = (size_t)(i % 50 == 0 ? prng_below(&prng, 20000) : prng_below(&prng, 100));
        pieces[i] = arena_take(&arena, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_int_equal(pieces[i][j], 0);
        }
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            assert_int_equal(pieces[i][j], i % 251);
        }
    }
    assert_true(arena.held < arena.used * 4 / 3 + ARENA_BLOCK + 64 * 500);
    arena_fini(&arena);
    assert_int_equal(arena.held, 0);
    arena_fini(&arena);
    for (size_t i = 0; i < 500; i++) { /* and once more, in blocks that were used before */
        const uint8_t *piece = arena_take(&arena, 1 + i % 100);
        for (size_t j = 0; j <= i % 100; j++) {
            assert_int_equal(piece[j], 0);
        }
    }
    arena_fini(&arena);
}

static void the_limit_holds_for_sizes_of_peers(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena);
    arena.limit = 1000;
    assert_null(arena_try(&arena, SIZE_MAX));
    assert_null(arena_try(&arena, 1001));
    assert_non_null(arena_try(&arena, 992));
    assert_non_null(arena_try(&arena, 8));
    assert_int_equal(arena.used, 1000);
    assert_null(arena_try(&arena, 1));
    assert_non_null(arena_try(&arena, 0));
    assert_non_null(arena_take(&arena, 100));
    assert_null(arena_try(&arena, 1));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(the_limit_holds_for_sizes_of_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
