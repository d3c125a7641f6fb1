/* SPDX-License-Identifier: Apache-2.0 */
/* The quorum at work: snapshots, members that come and go, reads, hand-overs, disks that fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/trace.h"
#include "quorum/messages.h"
#include "quorum/quorum_impl.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/quorum_world.h"
#include "tests/lib/test.h"

static bool has_controller(struct world *world)
{
    return world_controller(world) != 0;
}

static struct world *founded(uint64_t seed, unsigned nodes, unsigned voters)
{
    struct world *world = world_new(seed, nodes);

    world_found(world, voters);
    assert_true(world_run(world, 3000, has_controller));
    return world;
}

static void submit_many(struct world *world, uint64_t from, uint64_t count)
{
    for (uint64_t command = from; command < from + count; command++) {
        world_submit(world, world_controller(world), command);
        (void)world_run(world, 3, NULL);
    }
    (void)world_run(world, 300, NULL);
}

static struct quorum_status status_of(struct world *world, uint32_t node)
{
    struct quorum_status status;

    quorum_status(world->nodes[node].quorum, &status);
    return status;
}

static const struct quorum_peer_status *peer_of(const struct quorum_status *status, uint32_t node)
{
    for (uint32_t i = 0; i < status->peer_count; i++) {
        if (status->peers[i].member.node_id == node) {
            return &status->peers[i];
        }
    }
    return NULL;
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static uint32_t late;

static bool late_has_everything(struct world *world)
{
    uint32_t controller = world_controller(world);

    return controller != 0 && slice_equal(buf_slice(&world->nodes[late].state),
                                          buf_slice(&world->nodes[controller].state));
}

static void a_member_far_behind_gets_a_snapshot(void **state)
{
    struct world *world = world_new(11, 3);

    (void)state;
    world->options.snapshot_threshold = 50;
    world->options.snapshot_trailing = 10;
    world_found(world, 3);
    assert_true(world_run(world, 3000, has_controller));
    late = world_controller(world) % 3 + 1;
    world_crash(world, late);
    submit_many(world, 1, 300);
    assert_int_equal(world->acked_count, 300);
    assert_int_equal(world_start(world, late), 0);
    assert_true(world_run(world, 8000, late_has_everything));
    /* It got the state by a snapshot, not entry by entry. */
    assert_true(world->nodes[late].applied_count < 100);
    submit_many(world, 1000, 10);
    world_check_end(world);
    /* And again after a restart from what it was given. */
    world_crash(world, late);
    assert_int_equal(world_start(world, late), 0);
    assert_true(world_run(world, 8000, late_has_everything));
    world_check_end(world);
    world_free(world);
}

static void a_snapshot_may_be_interrupted_at_every_write_point(void **state)
{
    (void)state;
    for (uint64_t point = 1; point < 30; point++) {
        struct world *world = world_new(100 + point, 3);
        world->options.snapshot_threshold = 40;
        world->options.snapshot_trailing = 5;
        world_found(world, 3);
        assert_true(world_run(world, 3000, has_controller));
        late = world_controller(world) % 3 + 1;
        world_crash(world, late);
        submit_many(world, 1, 100);
        assert_int_equal(world_start(world, late), 0);
        world_crash_in(world, late, point);
        (void)world_run(world, 3000, NULL);
        if (world->nodes[late].quorum == NULL) {
            assert_int_equal(world_start(world, late), 0);
        }
        world_crash_in(world, late, 0);
        assert_true(world_run(world, 8000, late_has_everything));
        world_check_end(world);
        world_free(world);
    }
}

/* ---- commands ------------------------------------------------------------------------------- */

struct asked {
    struct quorum_proposal proposal;
    struct world *world;
    uint32_t node;
    uint64_t command;
    uint64_t ended_ms; /* 0: not yet */
    bool was_here;
};

static void asked_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct asked *asked = CONTAINER_OF(proposal, struct asked, proposal);

    assert_int_equal(status, 0);
    assert_int_equal(result.len, 8);
    asked->was_here = world_has(asked->world, asked->node, asked->command);
    asked->ended_ms = asked->world->now_us / 1000;
}

static void ask_at(struct world *world, uint32_t node, uint64_t command, struct asked *asked)
{
    uint8_t bytes[13] = {0};

    asked->proposal.done = asked_done;
    asked->world = world;
    asked->node = node;
    asked->command = command;
    put_le64(bytes, command);
    quorum_submit(world->nodes[node].quorum, slice_of(bytes, sizeof bytes), &asked->proposal);
    (void)world_run(world, 400, NULL);
    assert_int_not_equal(asked->ended_ms, 0);
}

/* Of 20 commands that a follower submits: how many it has when it is told that they are done. */
static unsigned had_when_told(bool applied_here)
{
    struct world *world = founded(31, 3, 3);
    uint32_t follower = world_controller(world) % 3 + 1;
    unsigned had = 0;

    for (uint64_t i = 0; i < 20; i++) {
        struct asked asked = {.proposal.applied_here = applied_here};
        ask_at(world, follower, 1 + i, &asked);
        had += asked.was_here;
    }
    world_free(world);
    return had;
}

static void a_follower_that_asked_is_told_when_it_has_applied_it(void **state)
{
    (void)state;
    assert_int_equal(had_when_told(true), 20);
    assert_true(had_when_told(false) < 20);
}

static bool no_log_to_late(struct world *world, uint32_t from, uint32_t to, uint16_t type)
{
    (void)world;
    (void)from;
    return to != late || type != FRAME_APPEND;
}

static void a_follower_that_does_not_get_the_log_is_told_when_the_time_is_over(void **state)
{
    struct world *world = founded(32, 3, 3);
    struct asked asked = {.proposal = {.applied_here = true, .timeout_ms = 100}};

    (void)state;
    late = world_controller(world) % 3 + 1;
    world->filter = no_log_to_late;
    uint64_t begun_ms = world->now_us / 1000;
    ask_at(world, late, 7, &asked);
    assert_true(asked.ended_ms >= begun_ms + 100);
    assert_false(asked.was_here);
    world->filter = NULL;
    (void)world_run(world, 3000, NULL);
    world_check_end(world);
    world_free(world);
}

/* ---- members -------------------------------------------------------------------------------- */

struct change {
    struct quorum_change change;
    bool done;
    int status;
};

static void change_done(struct quorum_change *base, int status)
{
    struct change *change = CONTAINER_OF(base, struct change, change);

    change->done = true;
    change->status = status;
}

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

/* ---- reads ---------------------------------------------------------------------------------- */

struct read {
    struct quorum_read read;
    bool done;
    int status;
};

static void read_done(struct quorum_read *base, int status)
{
    struct read *read = CONTAINER_OF(base, struct read, read);

    read->done = true;
    read->status = status;
}

static void a_read_is_confirmed_by_a_majority_without_a_write(void **state)
{
    struct world *world = founded(31, 3, 3);
    uint32_t controller = world_controller(world);
    struct read reads[20];

    (void)state;
    (void)world_run(world, 500, NULL);
    uint64_t last = status_of(world, controller).last_index;
    for (unsigned i = 0; i < 20; i++) {
        reads[i] = (struct read){.read = {.done = read_done}};
        quorum_read_index(world->nodes[controller].quorum, &reads[i].read);
        assert_false(reads[i].done);
        (void)world_run(world, 2, NULL);
    }
    (void)world_run(world, 100, NULL);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(reads[i].done);
        assert_int_equal(reads[i].status, 0);
    }
    assert_int_equal(status_of(world, controller).last_index, last);
    world_free(world);
}

static void a_follower_refuses_a_read(void **state)
{
    struct world *world = founded(32, 3, 3);
    struct read read = {.read = {.done = read_done}};

    (void)state;
    quorum_read_index(world->nodes[world_controller(world) % 3 + 1].quorum, &read.read);
    assert_false(read.done);
    (void)world_run(world, 10, NULL);
    assert_true(read.done);
    assert_int_equal(read.status, TERN_ENOTCONTROLLER);
    world_free(world);
}

static void a_controller_that_was_replaced_unknowingly_cannot_read(void **state)
{
    struct world *world = founded(33, 3, 3);
    uint32_t old = world_controller(world);
    struct read read = {.read = {.done = read_done}};

    (void)state;
    (void)world_run(world, 500, NULL);
    world_isolate(world, old, true);
    quorum_read_index(world->nodes[old].quorum, &read.read);
    (void)world_run(world, 5000, NULL);
    assert_true(read.done);
    assert_int_equal(read.status, TERN_ENOTCONTROLLER);
    assert_int_not_equal(world_controller(world), old);
    world_free(world);
}

/* Found with real nodes: after a cut the time-out had been long for a while, and the only voter that could
 * be elected slept through the next cut. */
static void a_wait_that_was_long_is_short_again_with_the_time_out(void **state)
{
    struct world *world = founded(34, 3, 3);
    uint32_t old = world_controller(world);

    (void)state;
    submit_many(world, 1, 10);
    for (uint32_t id = 1; id <= 3; id++) {
        struct quorum *quorum = world->nodes[id].quorum;
        if (id != old) { /* as drawn while the time-out was ten seconds */
            quorum->raft.follower_state.randomized_election_timeout = 19000;
        }
        quorum_set_election_ms(quorum, 500);
    }
    world_isolate(world, old, true);
    (void)world_run(world, 6000, NULL);
    assert_int_not_equal(world_controller(world), old);
    assert_int_not_equal(world_controller(world), 0);
    world_free(world);
}

static int wait_of(struct world *world, uint32_t node)
{
    struct raft_io *io = world->nodes[node].quorum->raft.io;

    return io->random(io, 1000, 2000);
}

static void voters_wait_for_a_leader_one_after_the_other(void **state)
{
    struct world *world = founded(35, 5, 3);
    uint32_t by_id[] = {1, 2, 3};

    (void)state;
    for (unsigned i = 0; i < 3; i++) { /* raft ids need not be in the order of the nodes' */
        for (unsigned k = i + 1; k < 3; k++) {
            if (world->nodes[by_id[k]].raft_id < world->nodes[by_id[i]].raft_id) {
                uint32_t node = by_id[i];
                by_id[i] = by_id[k];
                by_id[k] = node;
            }
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        int from = 1000 + 250 * (int)i;
        for (unsigned draw = 0; draw < 100; draw++) {
            assert_in_range(wait_of(world, by_id[i]), from, from + 61);
        }
    }
    world_free(world);
}

static bool has_another(struct world *world)
{
    uint32_t now = world_controller(world);

    return now != 0 && !world->cut[now][now % 3 + 1];
}

/* Seen over 145 ms with real nodes: three of twenty elections took three seconds more. */
static void two_voters_that_are_left_do_not_both_stand(void **state)
{
    uint64_t longest_ms = 0;

    (void)state;
    for (uint64_t seed = 100; seed < 150; seed++) {
        struct world *world = world_new(seed, 3);
        world->delay_min_us = 48000;
        world->delay_max_us = 50000; /* a tenth of the time-out both ways */
        world->options.election_ms = 1000;
        world_found(world, 3);
        assert_true(world_run(world, 10000, has_controller));
        (void)world_run(world, 2000, NULL);
        uint32_t old = world_controller(world);
        uint64_t term = status_of(world, old).term;
        world_isolate(world, old, true);
        uint64_t began_us = world->now_us;
        assert_true(world_run(world, 10000, has_another));
        uint64_t took_ms = (world->now_us - began_us) / 1000;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
        assert_int_equal(status_of(world, world_controller(world)).term, term + 1);
        world_free(world);
    }
    assert_in_range(longest_ms, 1000, 1800);
}

/* ---- hand-over, proposals ------------------------------------------------------------------- */

static void controllership_can_be_handed_to_a_named_voter(void **state)
{
    struct world *world = founded(41, 3, 3);
    uint32_t old = world_controller(world);
    uint32_t next = old % 3 + 1;

    (void)state;
    submit_many(world, 1, 10);
    uint64_t before = world->now_us;
    for (unsigned i = 0; i < 5 && world_controller(world) != next; i++) {
        quorum_transfer(world->nodes[old].quorum, world->nodes[next].raft_id);
        (void)world_run(world, 100, NULL);
    }
    assert_int_equal(world_controller(world), next);
    assert_true(world->now_us - before <= 500000);
    submit_many(world, 100, 10);
    assert_int_equal(world->acked_count, 20);
    world_check_end(world);
    world_free(world);
}

static int last_status;
static unsigned done_count;

static void proposal_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    (void)proposal;
    (void)result;
    last_status = status;
    done_count++;
}

static void proposals_end_in_time_without_a_quorum(void **state)
{
    struct world *world = founded(42, 3, 3);
    uint32_t controller = world_controller(world);
    struct quorum_proposal here = {.done = proposal_done, .timeout_ms = 200};
    struct quorum_proposal there = {.done = proposal_done, .timeout_ms = 200};
    uint8_t command[8] = {1};

    (void)state;
    world_isolate(world, controller, true);
    done_count = 0;
    quorum_submit(world->nodes[controller].quorum, slice_of(command, 8), &here);
    quorum_submit(world->nodes[controller % 3 + 1].quorum, slice_of(command, 8), &there);
    assert_int_equal(done_count, 0);
    (void)world_run(world, 300, NULL);
    assert_int_equal(done_count, 2);
    assert_int_equal(last_status, TERN_ETIMEDOUT);
    world_free(world);
}

static void a_cancelled_proposal_is_never_answered(void **state)
{
    struct world *world = founded(43, 3, 3);
    struct quorum_proposal proposals[3];
    uint8_t command[8] = {1};

    (void)state;
    done_count = 0;
    for (uint32_t node = 1; node <= 3; node++) {
        proposals[node - 1] = (struct quorum_proposal){.done = proposal_done};
        command[0] = (uint8_t)node;
        quorum_submit(world->nodes[node].quorum, slice_of(command, 8), &proposals[node - 1]);
    }
    for (uint32_t node = 1; node <= 3; node++) {
        quorum_cancel(world->nodes[node].quorum, &proposals[node - 1]);
    }
    (void)world_run(world, 1000, NULL);
    assert_int_equal(done_count, 0);
    world_free(world);
}

static void closing_answers_everybody(void **state)
{
    struct world *world = founded(44, 3, 3);
    uint32_t controller = world_controller(world);
    struct quorum_proposal proposals[100];
    struct read read = {.read = {.done = read_done}};
    struct change change = {.change = {.done = change_done}};
    uint8_t command[8] = {1};

    (void)state;
    done_count = 0;
    for (unsigned i = 0; i < 100; i++) {
        proposals[i] = (struct quorum_proposal){.done = proposal_done};
        command[1] = (uint8_t)i;
        quorum_submit(world->nodes[controller].quorum, slice_of(command, 8), &proposals[i]);
    }
    quorum_read_index(world->nodes[controller].quorum, &read.read);
    quorum_change(world->nodes[controller].quorum, QUORUM_REMOVE,
                  (struct quorum_member){world->nodes[3].raft_id, 3, true}, &change.change);
    world_crash(world, controller);
    assert_int_equal(done_count, 100);
    assert_int_equal(last_status, TERN_ECANCELED);
    assert_true(read.done);
    assert_int_equal(read.status, TERN_ECANCELED);
    assert_true(change.done);
    assert_int_equal(change.status, TERN_ECANCELED);
    world_free(world);
}

static void too_many_and_too_large_commands_are_refused(void **state)
{
    struct world *world = founded(45, 3, 3);
    uint32_t controller = world_controller(world);
    struct quorum_proposal *proposals = calloc(5000, sizeof *proposals);
    uint8_t *large = calloc(1, MESSAGE_COMMAND_MAX + 1);

    (void)state;
    assert_non_null(proposals);
    assert_non_null(large);
    done_count = 0;
    proposals[0] = (struct quorum_proposal){.done = proposal_done};
    quorum_submit(world->nodes[controller].quorum, slice_of(large, MESSAGE_COMMAND_MAX + 1),
                  &proposals[0]);
    (void)world_run(world, 1, NULL);
    assert_int_equal(done_count, 1);
    assert_int_equal(last_status, TERN_ETOOBIG);
    /* Two bytes of 0 and one number: five thousand distinct commands, half too many. */
    for (unsigned i = 1; i < 5000; i++) {
        proposals[i] = (struct quorum_proposal){.done = proposal_done};
        put_le64(large, i);
        quorum_submit(world->nodes[controller].quorum, slice_of(large, 8), &proposals[i]);
    }
    (void)world_run(world, 1, NULL);
    assert_true(done_count > 800);
    assert_int_equal(last_status, TERN_EBUSY);
    (void)world_run(world, 4000, NULL);
    assert_int_equal(done_count, 5000);
    world_free(world);
    free(proposals);
    free(large);
}

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

static void a_single_voter_is_its_own_quorum(void **state)
{
    struct world *world = founded(55, 1, 1);

    (void)state;
    submit_many(world, 1, 100);
    assert_int_equal(world->acked_count, 100);
    world_crash(world, 1);
    assert_int_equal(world_start(world, 1), 0);
    assert_true(world_run(world, 1000, has_controller));
    (void)world_run(world, 100, NULL);
    world_check_end(world);
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

/* Faults are what these tests are about: their error lines only disturb. */
static void quiet(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_far_behind_gets_a_snapshot),
        cmocka_unit_test(a_snapshot_may_be_interrupted_at_every_write_point),
        cmocka_unit_test(a_follower_that_asked_is_told_when_it_has_applied_it),
        cmocka_unit_test(a_follower_that_does_not_get_the_log_is_told_when_the_time_is_over),
        cmocka_unit_test(a_standby_is_added_promoted_and_takes_a_voters_place),
        cmocka_unit_test(a_change_that_is_done_already_is_no_error),
        cmocka_unit_test(changes_are_refused_elsewhere_and_two_at_a_time),
        cmocka_unit_test(a_controller_can_take_itself_out),
        cmocka_unit_test(a_joiner_waits_until_it_is_added),
        cmocka_unit_test(an_unfinished_change_is_forgotten_or_finished_everywhere),
        cmocka_unit_test(a_configuration_loaded_from_disk_is_rolled_back),
        cmocka_unit_test(a_snapshot_holds_the_configuration_of_its_index),
        cmocka_unit_test(a_read_is_confirmed_by_a_majority_without_a_write),
        cmocka_unit_test(a_follower_refuses_a_read),
        cmocka_unit_test(a_controller_that_was_replaced_unknowingly_cannot_read),
        cmocka_unit_test(a_wait_that_was_long_is_short_again_with_the_time_out),
        cmocka_unit_test(voters_wait_for_a_leader_one_after_the_other),
        cmocka_unit_test(two_voters_that_are_left_do_not_both_stand),
        cmocka_unit_test(controllership_can_be_handed_to_a_named_voter),
        cmocka_unit_test(proposals_end_in_time_without_a_quorum),
        cmocka_unit_test(a_cancelled_proposal_is_never_answered),
        cmocka_unit_test(closing_answers_everybody),
        cmocka_unit_test(too_many_and_too_large_commands_are_refused),
        cmocka_unit_test(a_failed_write_ends_the_node_and_nobody_is_told_otherwise),
        cmocka_unit_test(a_state_that_differs_from_the_majority_ends_its_node),
        cmocka_unit_test(two_states_without_a_majority_end_both),
        cmocka_unit_test(a_disk_below_its_reserve_hands_over_and_refuses),
        cmocka_unit_test(a_hanging_disk_hands_over),
        cmocka_unit_test(an_empty_directory_does_not_start_a_second_quorum),
        cmocka_unit_test(a_single_voter_is_its_own_quorum),
        cmocka_unit_test(garbage_frames_change_nothing),
        cmocka_unit_test(a_raft_id_on_the_wrong_node_is_not_plausible),
    };
    trace_set_sink(getenv("WORLD_TRACE") != NULL ? NULL : quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
