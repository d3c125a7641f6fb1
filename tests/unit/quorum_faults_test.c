/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of the quorum: disks that fail, states that differ, nonsense from outside. */
#include "base/error.h"
#include "tests/lib/mem_disk.h"
#include "tests/unit/quorum_fixture.h"

/* ---- what ends a process -------------------------------------------------------------------- */

static void a_failed_write_ends_the_node_and_nobody_is_told_otherwise(void **state)
{
    struct world *world = founded(51, 3, 3);
    uint32_t controller = world_controller(world);

    (void)state;
    submit_many(world, 1, 10);
    world->nodes[controller].fatal_expected = true;
    mem_disk_fail_next_sync(world->nodes[controller].disk);
    world_submit(world, controller, 50);
    (void)world_run(world, 100, NULL);
    assert_null(world->nodes[controller].quorum); /* the world has buried it */
    assert_int_equal(world->nodes[controller].fatal_error, TERN_EIO);
    assert_int_equal(world->acked_count, 10);
    assert_int_equal(world_start(world, controller), 0);
    (void)world_run(world, 3000, NULL);
    world_check_end(world);
    world_free(world);
}

static void a_state_that_differs_from_the_majority_ends_its_node(void **state)
{
    struct world *world = founded(52, 3, 3);
    uint32_t bad = world_controller(world) % 3 + 1;

    (void)state;
    world->nodes[bad].fatal_expected = true;
    world->nodes[bad].spoil = true;
    for (uint64_t command = 1; command <= 100; command++) {
        uint32_t controller = world_controller(world);
        if (controller != 0) {
            world_submit(world, controller, command * 2);
        }
        (void)world_run(world, 5, NULL);
    }
    assert_null(world->nodes[bad].quorum);
    assert_int_equal(world->nodes[bad].fatal_error, TERN_EDAMAGED);
    /* The other two go on; the bad one is made anew from its log. */
    (void)world_run(world, 1000, NULL);
    assert_int_equal(world->acked_count, 100);
    assert_int_equal(world_start(world, bad), 0);
    (void)world_run(world, 2000, NULL);
    world_check_end(world);
    world_free(world);
}

static void two_states_without_a_majority_end_both(void **state)
{
    struct world *world = founded(57, 3, 3);
    uint32_t controller = world_controller(world);

    (void)state;
    world_crash(world, controller % 3 + 1);
    world->nodes[1].fatal_expected = true;
    world->nodes[2].fatal_expected = true;
    world->nodes[3].fatal_expected = true;
    world->nodes[controller].spoil = true;
    submit_many(world, 1, 70);
    (void)world_run(world, 11000, NULL);
    for (uint32_t node = 1; node <= 3; node++) {
        assert_null(world->nodes[node].quorum);
    }
    world_free(world);
}

/* ---- disks that are full or hang ------------------------------------------------------------ */

static void a_disk_below_its_reserve_hands_over_and_refuses(void **state)
{
    struct world *world = founded(53, 3, 3);
    uint32_t old = world_controller(world);

    (void)state;
    submit_many(world, 1, 10);
    mem_disk_set_capacity(world->nodes[old].disk, mem_disk_used(world->nodes[old].disk) + 1000000);
    (void)world_run(world, 1500, NULL);
    assert_int_not_equal(world_controller(world), old);
    assert_int_not_equal(world_controller(world), 0);
    submit_many(world, 100, 10);
    assert_int_equal(world->acked_count, 20);
    world_check_end(world);
    world_free(world);
}

static void a_hanging_disk_hands_over(void **state)
{
    struct world *world = founded(59, 3, 3);
    uint32_t old = world_controller(world);

    (void)state;
    submit_many(world, 1, 10);
    mem_disk_set_latency(world->nodes[old].disk, 20000000, 20000000);
    world_submit(world, old % 3 + 1, 50);
    (void)world_run(world, 2900, NULL);
    assert_int_not_equal(world_controller(world), old);
    assert_int_equal(world->acked_count, 11);
    mem_disk_set_latency(world->nodes[old].disk, 100, 1000);
    (void)world_run(world, 25000, NULL);
    world_check_end(world);
    world_free(world);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void an_empty_directory_does_not_start_a_second_quorum(void **state)
{
    struct world *world = founded(54, 3, 3);
    struct quorum_member member = {101, 1, true};
    struct quorum_options options;

    (void)state;
    /* Bootstrapping twice is refused. */
    world_crash(world, 1);
    world_node_options(world, 1, &options);
    assert_int_equal(quorum_bootstrap(&options, &member, 1), TERN_EEXIST);
    assert_int_equal(world_start(world, 1), 0);
    world_free(world);
}

static void garbage_frames_change_nothing(void **state)
{
    struct world *world = founded(56, 3, 3);
    struct prng prng;
    struct wire_hello hello = {.node_id = 2, .raft_id = 102};
    struct wire_hello liar = {.node_id = 3, .raft_id = 102};

    (void)state;
    prng_init(&prng, 8);
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t bytes[48];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)prng_next(&prng);
        }
        size_t head_len = (size_t)prng_below(&prng, 24);
        struct chunk tail = chunk_copy(slice_of(bytes + 24, (size_t)prng_below(&prng, 24)));
        uint16_t type = (uint16_t)prng_below(&prng, QUORUM_FRAME_TYPES);
        quorum_receive(world->nodes[1].quorum, i % 2 == 0 ? &hello : &liar, type,
                       slice_of(bytes, head_len), tail);
        chunk_drop(&tail);
    }
    (void)world_run(world, 2000, NULL);
    submit_many(world, 1, 10);
    world_check_end(world);
    world_free(world);
}

static void a_raft_id_on_the_wrong_node_is_not_plausible(void **state)
{
    struct world *world = founded(58, 3, 3);
    struct quorum *quorum = world->nodes[1].quorum;
    struct wire_hello right = {.node_id = 2, .raft_id = 102};
    struct wire_hello wrong = {.node_id = 3, .raft_id = 102};
    struct wire_hello joiner = {.node_id = 9, .raft_id = 999};
    char why[128] = "";

    (void)state;
    assert_true(quorum_peer_plausible(quorum, &right, why));
    assert_true(quorum_peer_plausible(quorum, &joiner, why));
    assert_false(quorum_peer_plausible(quorum, &wrong, why));
    assert_string_equal(why, "raft id 102 belongs to node 2, not to node 3");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_write_ends_the_node_and_nobody_is_told_otherwise),
        cmocka_unit_test(a_state_that_differs_from_the_majority_ends_its_node),
        cmocka_unit_test(two_states_without_a_majority_end_both),
        cmocka_unit_test(a_disk_below_its_reserve_hands_over_and_refuses),
        cmocka_unit_test(a_hanging_disk_hands_over),
        cmocka_unit_test(an_empty_directory_does_not_start_a_second_quorum),
        cmocka_unit_test(garbage_frames_change_nothing),
        cmocka_unit_test(a_raft_id_on_the_wrong_node_is_not_plausible),
    };
    trace_set_sink(getenv("WORLD_TRACE") != NULL ? NULL : quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
