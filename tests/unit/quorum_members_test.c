/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the quorum that come and go, and configurations that have to be given up. */
#include "base/error.h"
#include "tests/unit/quorum_fixture.h"

static const struct quorum_peer_status *peer_of(const struct quorum_status *status, uint32_t node)
{
    for (uint32_t i = 0; i < status->peer_count; i++) {
        if (status->peers[i].member.node_id == node) {
            return &status->peers[i];
        }
    }
    return NULL;
}

/* ---- members -------------------------------------------------------------------------------- */

static int change_at(struct world *world, uint32_t at, enum quorum_change_kind kind, uint32_t node,
                     bool voter)
{
    struct change change = {.change = {.done = change_done}};
    struct quorum_member member = {world->nodes[node].raft_id, node, voter};

    quorum_change(world->nodes[at].quorum, kind, member, &change.change);
    assert_false(change.done);
    for (unsigned i = 0; i < 200 && !change.done; i++) {
        (void)world_run(world, 50, NULL);
    }
    assert_true(change.done);
    return change.status;
}

static int change(struct world *world, enum quorum_change_kind kind, uint32_t node)
{
    return change_at(world, world_controller(world), kind, node, false);
}

static void a_standby_is_added_promoted_and_takes_a_voters_place(void **state)
{
    struct world *world = founded(21, 5, 3);
    uint32_t controller = world_controller(world);
    uint32_t old = controller % 3 + 1;

    (void)state;
    submit_many(world, 1, 50);
    assert_int_equal(world_start(world, 4), 0);
    assert_int_equal(world_start(world, 5), 0);
    assert_int_equal(change(world, QUORUM_ADD, 4), 0);
    (void)world_run(world, 500, NULL);
    assert_true(world_has(world, 4, 50)); /* a standby gets the log like everybody */
    struct quorum_status status = status_of(world, controller);
    assert_false(peer_of(&status, 4)->member.voter);
    assert_int_equal(change(world, QUORUM_PROMOTE, 4), 0);
    assert_int_equal(change(world, QUORUM_REMOVE, old), 0);
    world_crash(world, old);
    status = status_of(world, controller);
    assert_int_equal(status.peer_count, 3);
    assert_null(peer_of(&status, old));
    assert_true(peer_of(&status, 4)->member.voter);
    /* The new voter counts: with it the quorum survives one of the other two. */
    submit_many(world, 100, 10);
    uint32_t other = 6 - controller - old;
    world_crash(world, other);
    submit_many(world, 200, 10);
    assert_int_equal(world->acked_count, 70);
    assert_true(world_has(world, 4, 209));
    assert_int_equal(change(world, QUORUM_ADD, 5), 0);
    assert_int_equal(world_start(world, other), 0);
    (void)world_run(world, 1000, NULL);
    world_check_end(world);
    world_free(world);
}

static void a_change_that_is_done_already_is_no_error(void **state)
{
    struct world *world = founded(22, 4, 3);

    (void)state;
    assert_int_equal(world_start(world, 4), 0);
    assert_int_equal(change(world, QUORUM_ADD, 4), 0);
    assert_int_equal(change(world, QUORUM_ADD, 4), 0);
    assert_int_equal(change(world, QUORUM_DEMOTE, 4), 0);
    assert_int_equal(change(world, QUORUM_PROMOTE, 4), 0);
    assert_int_equal(change(world, QUORUM_PROMOTE, 4), 0);
    assert_int_equal(change(world, QUORUM_DEMOTE, 4), 0);
    assert_int_equal(change(world, QUORUM_REMOVE, 4), 0);
    assert_int_equal(change(world, QUORUM_REMOVE, 4), 0);
    assert_int_equal(change(world, QUORUM_PROMOTE, 4), TERN_ENOENT);
    world_free(world);
}

static void changes_are_refused_elsewhere_and_two_at_a_time(void **state)
{
    struct world *world = founded(23, 4, 3);
    uint32_t controller = world_controller(world);
    struct change one = {.change = {.done = change_done}};
    struct change two = {.change = {.done = change_done}};
    struct quorum_member member = {world->nodes[4].raft_id, 4, false};

    (void)state;
    assert_int_equal(world_start(world, 4), 0);
    assert_int_equal(change_at(world, controller % 3 + 1, QUORUM_ADD, 4, false),
                     TERN_ENOTCONTROLLER);
    quorum_change(world->nodes[controller].quorum, QUORUM_ADD, member, &one.change);
    quorum_change(world->nodes[controller].quorum, QUORUM_REMOVE, member, &two.change);
    (void)world_run(world, 1000, NULL);
    assert_true(one.done);
    assert_int_equal(one.status, 0);
    assert_true(two.done);
    assert_int_equal(two.status, TERN_EBUSY);
    world_free(world);
}

static void a_controller_can_take_itself_out(void **state)
{
    struct world *world = founded(24, 4, 3);
    uint32_t old = world_controller(world);

    (void)state;
    submit_many(world, 1, 10);
    assert_int_equal(change(world, QUORUM_REMOVE, old), 0);
    (void)world_run(world, 3000, NULL);
    uint32_t controller = world_controller(world);
    assert_int_not_equal(controller, old);
    assert_int_not_equal(controller, 0);
    submit_many(world, 100, 10);
    struct quorum_status status = status_of(world, controller);
    assert_int_equal(status.peer_count, 2);
    world_crash(world, old);
    world_check_end(world);
    world_free(world);
}

static void a_joiner_waits_until_it_is_added(void **state)
{
    struct world *world = founded(25, 4, 3);

    (void)state;
    assert_int_equal(world_start(world, 4), 0);
    (void)world_run(world, 5000, NULL);
    struct quorum_status status = status_of(world, 4);
    assert_int_equal(status.role, QUORUM_FOLLOWER);
    assert_int_equal(status.term, 0);
    assert_int_equal(status.peer_count, 0);
    world_free(world);
}

/* The cut comes while the configuration is on its way: it may or may not have been committed, and
 * a member that has it uncommitted may have to forget it over a restart and a snapshot. */
static void an_unfinished_change_is_forgotten_or_finished_everywhere(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world *world = world_new(3000 + seed, 4);
        struct prng prng;
        struct change pending = {.change = {.done = change_done}};

        prng_init(&prng, seed);
        world->options.snapshot_threshold = 20;
        world->options.snapshot_trailing = 2;
        world_found(world, 3);
        assert_true(world_run(world, 3000, has_controller));
        assert_int_equal(world_start(world, 4), 0);
        submit_many(world, 1, prng_between(&prng, 1, 45));
        uint32_t controller = world_controller(world);
        uint32_t mate = controller % 3 + 1;
        struct quorum_member member = {world->nodes[4].raft_id, 4, false};
        quorum_change(world->nodes[controller].quorum, QUORUM_ADD, member, &pending.change);
        (void)world_run(world, prng_between(&prng, 1, 30), NULL);
        /* The controller and one other are cut off with it, and may restart. */
        world_isolate(world, controller, true);
        if (prng_chance(&prng, 1, 2)) {
            (void)world_run(world, prng_between(&prng, 1, 20), NULL);
            world_crash(world, controller);
            assert_int_equal(world_start(world, controller), 0);
        }
        if (prng_chance(&prng, 1, 2)) {
            world_crash(world, mate);
            assert_int_equal(world_start(world, mate), 0);
        }
        (void)world_run(world, 2500, NULL);
        if (has_controller(world)) {
            submit_many(world, 500, 30);
        }
        world_heal(world);
        (void)world_run(world, 4000, NULL);
        submit_many(world, 1000, 5);
        (void)world_run(world, 1000, NULL);
        struct quorum_status reference = status_of(world, world_controller(world));
        for (uint32_t node = 1; node <= 3; node++) {
            struct quorum_status status = status_of(world, node);
            assert_int_equal(status.peer_count, reference.peer_count);
        }
        if (reference.peer_count == 3) {
            world_crash(world, 4);
        } else if (peer_of(&reference, 4) != NULL) {
            assert_int_equal(change(world, QUORUM_ADD, 4), 0);
            (void)world_run(world, 1000, NULL);
        }
        world_check_end(world);
        world_free(world);
    }
}

/* ---- configurations over a restart ---------------------------------------------------------- */

static uint32_t changing;
static uint32_t members_wanted;

static bool change_is_appended(struct world *world)
{
    return status_of(world, changing).peer_count == members_wanted;
}

/* The controller alone has the new configuration, restarts with it, and has to give it up. */
static void a_configuration_loaded_from_disk_is_rolled_back(void **state)
{
    struct world *world = founded(61, 4, 3);
    struct change pending = {.change = {.done = change_done}};

    (void)state;
    assert_int_equal(world_start(world, 4), 0);
    submit_many(world, 1, 10);
    changing = world_controller(world);
    members_wanted = 4;
    quorum_change(world->nodes[changing].quorum, QUORUM_ADD,
                  (struct quorum_member){world->nodes[4].raft_id, 4, false}, &pending.change);
    assert_true(world_run(world, 1000, change_is_appended));
    world_isolate(world, changing, true);
    (void)world_run(world, 50, NULL);
    world_crash(world, changing);
    assert_int_equal(world_start(world, changing), 0);
    assert_int_equal(status_of(world, changing).peer_count, 4);
    (void)world_run(world, 3000, NULL);
    submit_many(world, 100, 10);
    world_heal(world);
    (void)world_run(world, 2000, NULL);
    for (uint32_t node = 1; node <= 3; node++) {
        assert_int_equal(status_of(world, node).peer_count, 3);
    }
    world_crash(world, 4);
    world_check_end(world);
    world_free(world);
}

/* A member takes a snapshot while it has a configuration that is not committed, restarts from it,
 * and has to give the configuration up. */
static void a_snapshot_holds_the_configuration_of_its_index(void **state)
{
    struct world *world = world_new(62, 6);
    struct change pending = {.change = {.done = change_done}};

    (void)state;
    world->options.snapshot_threshold = 23;
    world->options.snapshot_trailing = 100;
    world_found(world, 5);
    assert_true(world_run(world, 3000, has_controller));
    assert_int_equal(world_start(world, 6), 0);
    changing = world_controller(world);
    uint32_t lagging = changing % 5 + 1;
    world_isolate(world, lagging, true);
    submit_many(world, 1, 20);
    members_wanted = 6;
    quorum_change(world->nodes[changing].quorum, QUORUM_ADD,
                  (struct quorum_member){world->nodes[6].raft_id, 6, false}, &pending.change);
    assert_true(world_run(world, 1000, change_is_appended));
    for (uint32_t node = 1; node <= 6; node++) {
        bool pair = node == changing || node == lagging;
        world_cut(world, changing, node, !pair);
        world_cut(world, node, changing, !pair);
    }
    world_cut(world, changing, lagging, false);
    world_cut(world, lagging, changing, false);
    (void)world_run(world, 250, NULL);
    assert_int_equal(status_of(world, lagging).peer_count, 6);
    world_isolate(world, changing, true);
    world_crash(world, lagging);
    world_isolate(world, lagging, false);
    world_isolate(world, changing, true);
    assert_int_equal(world_start(world, lagging), 0);
    assert_true(world->nodes[lagging].state.len > 0); /* from a snapshot */
    (void)world_run(world, 3000, NULL);
    submit_many(world, 300, 10);
    (void)world_run(world, 1000, NULL);
    for (uint32_t node = 1; node <= 5; node++) {
        if (node != changing) {
            assert_int_equal(status_of(world, node).peer_count, 5);
        }
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standby_is_added_promoted_and_takes_a_voters_place),
        cmocka_unit_test(a_change_that_is_done_already_is_no_error),
        cmocka_unit_test(changes_are_refused_elsewhere_and_two_at_a_time),
        cmocka_unit_test(a_controller_can_take_itself_out),
        cmocka_unit_test(a_joiner_waits_until_it_is_added),
        cmocka_unit_test(an_unfinished_change_is_forgotten_or_finished_everywhere),
        cmocka_unit_test(a_configuration_loaded_from_disk_is_rolled_back),
        cmocka_unit_test(a_snapshot_holds_the_configuration_of_its_index),
    };
    trace_set_sink(getenv("WORLD_TRACE") != NULL ? NULL : quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
