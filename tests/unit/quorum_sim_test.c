/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/trace.h"
#include "tests/lib/quorum_world.h"
#include "tests/lib/test.h"

static bool has_controller(struct world *world)
{
    return world_controller(world) != 0;
}

static void three_voters_elect_a_controller_and_apply_a_command(void **state)
{
    struct world *world = world_new(1, 3);

    (void)state;
    world_found(world, 3);
    assert_true(world_run(world, 3000, has_controller));
    world_submit(world, world_controller(world), 77);
    (void)world_run(world, 500, NULL);
    assert_int_equal(world->acked_count, 1);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_true(world_has(world, i, 77));
    }
    world_check_end(world);
    world_free(world);
}

static void a_command_submitted_anywhere_reaches_the_controller(void **state)
{
    struct world *world = world_new(2, 3);

    (void)state;
    world_found(world, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        world_submit(world, i, 100 + i); /* before there is any controller */
    }
    (void)world_run(world, 3000, NULL);
    assert_int_equal(world->acked_count, 3);
    world_check_end(world);
    world_free(world);
}

static void a_restarted_quorum_still_has_everything(void **state)
{
    struct world *world = world_new(3, 3);

    (void)state;
    world_found(world, 3);
    for (uint32_t command = 1; command <= 200; command++) {
        world_submit(world, 1 + command % 3, command);
        (void)world_run(world, 5, NULL);
    }
    (void)world_run(world, 3000, NULL);
    assert_int_equal(world->acked_count, 200);
    for (uint32_t i = 1; i <= 3; i++) {
        world_crash(world, i);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(world_start(world, i), 0);
    }
    assert_true(world_run(world, 3000, has_controller));
    (void)world_run(world, 500, NULL);
    world_check_end(world);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_voters_elect_a_controller_and_apply_a_command),
        cmocka_unit_test(a_command_submitted_anywhere_reaches_the_controller),
        cmocka_unit_test(a_restarted_quorum_still_has_everything),
    };
    trace_set_level(TRACE_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
