/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the control state, one by one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "tests/lib/test.h"
#include "tests/unit/control_fixture.h"

static int setup(void **state)
{
    struct control_fixture *f = mem_new(sizeof *f);

    control_fixture_init(f);
    control_fixture_found(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    control_fixture_fini(*state);
    free(*state);
    return 0;
}

static void founding_is_one_explicit_act(void **state)
{
    struct control_fixture f;
    const struct command_founder founder = {.node_id = 1, .raft_id = 5, .region = "a"};

    (void)state;
    control_fixture_init(&f);
    command_fence(&f.command, control_fixture_key(&f), 1);
    assert_int_equal(control_fixture_apply(&f), TERN_EREFUSED); /* nothing before it */
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{1}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), 0);
    assert_int_equal(f.control->next_raft_id, 6);
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{1}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), 0); /* the same one again */
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{2}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), TERN_EEXIST);
    control_fixture_fini(&f);
}

static void a_topic_has_a_replica_in_each_region_and_leaders_where_preferred(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 6);

    assert_non_null(t);
    assert_int_equal(t->partition_count, 6);
    assert_int_equal(f->result.partitions, 6);
    for (uint32_t i = 0; i < 6; i++) {
        const struct control_partition *p = &t->partitions[i];
        assert_int_equal(p->epoch, 1);
        assert_int_equal(p->leader, 1);
        assert_int_equal(p->leader_start, 1);
        assert_true(p->activated);
        assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3));
        assert_int_equal(p->config.w, 2);
        assert_int_equal(p->config.home, -1);
        assert_int_equal(p->replica_count, 3);
        assert_int_equal(p->replicas[2].since, 0);
        assert_int_equal(p->replicas[2].incarnation, 1);
    }
    assert_int_equal(f->changes.count, 7);
    assert_int_equal(f->changes.items[0].kind, CONTROL_TOPIC_CREATED);
}

static void an_async_topic_is_led_and_acknowledged_at_home(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);

    assert_int_equal(t->partitions[0].leader, 1);
    assert_int_equal(t->partitions[0].config.home, 0);
    assert_int_equal(t->partitions[0].config.w, 1);
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(t->partitions[0].leader, 1); /* it stays at home */
    assert_int_equal(t->partitions[0].epoch, 1);
}

static void copies_are_spread_over_racks_and_then_load(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    assert_int_equal(control_fixture_start(f, 4, "eu-west", 1), 0);
    assert_int_equal(f->result.raft_id, 14);
    assert_int_equal(f->result.incarnation, 1);
    assert_int_equal(f->result.old_raft_id, 0);
    assert_false(f->result.rolled_back);
    struct control_topic *t = control_fixture_topic(f, "wide", &policy, 4);
    uint32_t on_1 = 0;
    uint32_t led_by_1 = 0;
    for (uint32_t i = 0; i < 4; i++) {
        on_1 += (t->partitions[i].config.voters & NODE_BIT(1)) != 0;
        led_by_1 += t->partitions[i].leader == 1;
    }
    assert_int_equal(on_1, 2);
    assert_int_equal(led_by_1, 2);
}

static void a_fenced_nodes_partitions_move_in_the_preferred_order(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 3);

    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(t->partitions[i].leader, 2);
        assert_int_equal(t->partitions[i].epoch, 2);
        assert_true(t->partitions[i].activated);
    }
    assert_int_equal(f->changes.count, 4);
    assert_int_equal(control_fixture_fence(f, 1, true), 0); /* again: nothing */
    assert_int_equal(f->changes.count, 0);
    /* With node 1 fenced, 2 and 3 are the only quorum: without 2 there is none, so it stays. */
    assert_int_equal(control_fixture_fence(f, 2, true), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    assert_int_equal(t->partitions[0].epoch, 2);
    assert_int_equal(control_fixture_fence(f, 9, true), TERN_ENOENT);
}

static void a_full_node_hands_its_leaders_away(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    command_node_full(&f->command, control_fixture_key(f), 1, true);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    assert_true(f->control->nodes[1].full);
}

static void a_new_start_leads_nothing_that_the_earlier_one_led(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    assert_int_equal(control_fixture_start(f, 1, "eu-west", 2), 0);
    assert_int_equal(f->result.incarnation, 1);
    assert_int_equal(f->result.raft_id, 11);
    assert_int_equal(f->result.start_number, 2);
    assert_int_equal(t->partitions[0].leader, 2);
    assert_int_equal(t->partitions[0].epoch, 2);
    /* Where no other can lead, it leads itself, in a new epoch. */
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_start(f, 2, "eu-central", 2), 0);
    assert_int_equal(t->partitions[0].leader, 3);
    assert_int_equal(control_fixture_fence(f, 2, true), 0);
    assert_int_equal(control_fixture_start(f, 3, "eu-north", 2), 0);
    assert_int_equal(t->partitions[0].leader, 3);
    assert_int_equal(t->partitions[0].epoch, 4);
    assert_int_equal(t->partitions[0].leader_start, 2);
}

static void an_async_leader_that_restarts_leads_again_in_a_new_epoch(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);

    assert_int_equal(control_fixture_start(f, 1, "eu-west", 5), 0);
    assert_int_equal(t->partitions[0].leader, 1);
    assert_int_equal(t->partitions[0].epoch, 2);
    assert_int_equal(t->partitions[0].leader_start, 5);
}

static void a_wiped_disk_is_a_new_incarnation_that_counts_later(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    assert_int_equal(control_fixture_wipe(f, 3, "eu-north"), 0);
    assert_int_equal(f->result.incarnation, 2);
    assert_int_equal(f->result.raft_id, 14);
    assert_int_equal(f->result.old_raft_id, 13);
    assert_true(f->result.rolled_back);
    assert_int_equal(f->result.start_number, 2); /* ever rising */
    const struct control_partition *p = &t->partitions[0];
    assert_int_equal(control_replica_of(p, 3)->since, 2);
    assert_int_equal(control_replica_of(p, 3)->incarnation, 1); /* pinned: its acks do not count */
    /* A topic made later counts it at once. */
    struct control_topic *later = control_fixture_topic(f, "later", &policy, 1);
    assert_int_equal(control_replica_of(&later->partitions[0], 3)->since, 0);
    assert_int_equal(control_replica_of(&later->partitions[0], 3)->incarnation, 2);
    /* Recovery cannot count it: without node 1 only node 2 would be left. */
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(p->leader, 1);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    const struct command_assignment same = {
        .topic_id = t->id, .if_epoch = 1, .leader = 1, .partition = 0};
    assert_int_equal(control_fixture_assign(f, &same), 0);
    assert_int_equal(p->epoch, 2);
    assert_int_equal(control_replica_of(p, 3)->incarnation, 2);
    assert_int_equal(control_replica_of(p, 3)->since, 2);
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(p->leader, 2);
}

static void an_old_copy_of_a_disk_is_found_out_by_its_start_number(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(control_fixture_start(f, 2, "eu-central", 7), 0);
    assert_int_equal(control_fixture_start(f, 2, "eu-central", 7), 0);
    assert_true(f->result.rolled_back);
    assert_int_equal(f->result.incarnation, 2);
    assert_int_equal(f->result.old_raft_id, 12);
    assert_int_equal(f->result.start_number, 8);
    assert_int_equal(control_fixture_start(f, 2, "eu-central", 9), 0);
    assert_false(f->result.rolled_back);
    assert_int_equal(f->result.incarnation, 2);
}

static int stamped(struct control_fixture *f, uint64_t start, uint64_t stamp_final, uint64_t stamp,
                   bool forgotten)
{
    const struct control_node *node = &f->control->nodes[2];
    struct command_registration r = {.node_id = 2,
                                     .region = "eu-central",
                                     .incarnation = forgotten ? 0 : node->incarnation,
                                     .start_number = start,
                                     .raft_id = forgotten ? 0 : node->raft_id,
                                     .new_incarnation = forgotten,
                                     .stamp_final = stamp_final,
                                     .stamp = stamp};

    command_register(&f->command, control_fixture_key(f), &r);
    return control_fixture_apply(f);
}

static void an_old_copy_that_counted_further_is_found_out_by_its_stamp(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(stamped(f, 7, 0, 100, false), 0);
    assert_int_equal(stamped(f, 8, 100, 101, false), 0);
    assert_int_equal(f->result.incarnation, 1);
    /* A copy from before start 8, started again and again without a quorum. */
    assert_int_equal(stamped(f, 12, 100, 102, false), 0);
    assert_true(f->result.rolled_back);
    assert_int_equal(f->result.incarnation, 2);
}

static void a_start_that_did_not_hear_of_its_registration_is_known_by_its_stamp(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(stamped(f, 7, 0, 100, false), 0);
    assert_int_equal(stamped(f, 8, 100, 101, false), 0);
    assert_int_equal(stamped(f, 9, 100, 101, false), 0);
    assert_int_equal(f->result.incarnation, 1);
    assert_int_equal(f->result.start_number, 9);
}

static void a_wiped_disk_that_registers_by_several_starts_is_one_incarnation(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(stamped(f, 7, 0, 100, false), 0);
    assert_int_equal(stamped(f, 1, 0, 200, true), 0);
    assert_int_equal(f->result.incarnation, 2);
    uint64_t raft_id = f->result.raft_id;
    assert_int_equal(stamped(f, 2, 0, 200, true), 0);
    assert_int_equal(f->result.incarnation, 2);
    assert_int_equal(f->result.raft_id, raft_id);
    assert_int_equal(f->result.start_number, 9);
    /* The first one again, late. */
    assert_int_equal(stamped(f, 1, 0, 200, true), TERN_EREFUSED);
    assert_int_equal(f->control->nodes[2].incarnation, 2);
    assert_int_equal(f->control->nodes[2].start_number, 9);
}

/* Its disk was wiped, twice; each wrote a registration when start 8 was the newest that its peers knew. */
static int outdated(struct control_fixture *f, uint64_t stamp, uint64_t if_start)
{
    struct command_registration r = {.node_id = 2,
                                     .region = "eu-central",
                                     .start_number = 1,
                                     .new_incarnation = true,
                                     .stamp = stamp,
                                     .conditional = true,
                                     .if_start = if_start};

    command_register(&f->command, control_fixture_key(f), &r);
    return control_fixture_apply(f);
}

static void an_outdated_registration_does_not_supersede_who_runs(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(stamped(f, 8, 0, 100, false), 0);
    assert_int_equal(outdated(f, 200, 8), 0);
    assert_int_equal(f->result.incarnation, 2);
    assert_int_equal(f->result.start_number, 9);
    assert_int_equal(outdated(f, 300, 8), TERN_EREFUSED);
    assert_int_equal(f->control->nodes[2].incarnation, 2);
    assert_int_equal(f->control->nodes[2].stamp, 200);
    /* Asked again, with what its peers know now, it is another disk. */
    assert_int_equal(outdated(f, 300, 9), 0);
    assert_int_equal(f->result.incarnation, 3);
    /* The same of a start of the first disk, from before it was wiped. */
    struct command_registration r = {.node_id = 2,
                                     .region = "eu-central",
                                     .incarnation = 1,
                                     .start_number = 20,
                                     .raft_id = 12,
                                     .stamp_final = 100,
                                     .stamp = 101,
                                     .conditional = true,
                                     .if_start = 8};
    command_register(&f->command, control_fixture_key(f), &r);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    assert_int_equal(f->control->nodes[2].incarnation, 3);
}

static void foreign_disks_and_wrong_regions_are_refused(void **state)
{
    struct control_fixture *f = *state;
    struct command_registration r = {
        .node_id = 2, .region = "eu-central", .incarnation = 3, .start_number = 9, .raft_id = 12};

    command_register(&f->command, control_fixture_key(f), &r);
    assert_int_equal(control_fixture_apply(f), TERN_EIDENTITY);
    r.node_id = 8; /* never seen, but claims to have been */
    r.incarnation = 1;
    command_register(&f->command, control_fixture_key(f), &r);
    assert_int_equal(control_fixture_apply(f), TERN_EIDENTITY);
    assert_int_equal(control_fixture_start(f, 2, "eu-west", 9), TERN_EIDENTITY);
    assert_non_null(strstr(f->result.why, "eu-central"));
    r = (struct command_registration){
        .node_id = 9, .region = "eu-west", .witness = true, .start_number = 1};
    command_register(&f->command, control_fixture_key(f), &r);
    assert_int_equal(control_fixture_apply(f), TERN_EIDENTITY);
}

/* A start of a node with a build that knows features up to `level`. */
static int start_of_level(struct control_fixture *f, uint32_t node, uint32_t level)
{
    const struct control_node *n = &f->control->nodes[node];
    struct command_registration r = registration(node, f->control->regions[n->region].name);

    r.incarnation = n->incarnation;
    r.raft_id = n->raft_id;
    r.start_number = n->start_number + 1;
    r.level = level;
    return register_node(f, &r);
}

static void the_feature_level_rises_when_every_node_knows_it_and_never_falls(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(f->control->feature_level, 1); /* they registered without a level */
    for (uint32_t node = 1; node <= 3; node++) {
        assert_int_equal(f->control->feature_level, 1);
        assert_int_equal(start_of_level(f, node, 2), 0);
    }
    assert_int_equal(f->control->feature_level, 2);
    uint64_t start_number = f->control->nodes[2].start_number;
    assert_int_equal(start_of_level(f, 2, 1), TERN_EFORMAT);
    assert_non_null(strstr(f->result.why, "feature level 2, the build of node 2 knows 1"));
    assert_int_equal(f->control->nodes[2].start_number, start_number);
    assert_int_equal(f->control->feature_level, 2);
    assert_int_equal(start_of_level(f, 2, 2), 0);
}

static void an_older_build_stops_at_the_command_that_raises_the_level(void **state)
{
    struct control_fixture *f = *state;
    struct buf snapshot = {0};
    struct control *older = control_new();

    f->control->level_known = 3;
    for (uint32_t node = 1; node <= 3; node++) {
        assert_false(control_outgrown(f->control));
        assert_int_equal(start_of_level(f, node, 3), 0);
    }
    assert_int_equal(f->control->feature_level, 3);
    assert_false(control_outgrown(f->control));
    control_snapshot(f->control, &snapshot);
    older->level_known = 2;
    assert_int_equal(control_restore(older, buf_slice(&snapshot)), TERN_EFORMAT);
    control_free(older);
    buf_fini(&snapshot);
    /* The same commands, applied by a build that knows less. */
    f->control->level_known = 2;
    assert_true(control_outgrown(f->control));
    uint64_t hash = control_hash(f->control);
    command_producer_ids(&f->command, control_fixture_key(f), 1);
    assert_int_equal(control_fixture_apply(f), TERN_EFORMAT);
    assert_true(control_hash(f->control) == hash);
}

static void a_removed_node_does_not_hold_the_feature_level_up(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(start_of_level(f, 1, 2), 0);
    assert_int_equal(start_of_level(f, 2, 2), 0);
    assert_int_equal(f->control->feature_level, 1);
    command_fence(&f->command, control_fixture_key(f), 3);
    assert_int_equal(control_fixture_apply(f), 0);
    command_remove_node(&f->command, control_fixture_key(f), 3, "alice");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->feature_level, 2);
}

static void a_repeated_command_gives_the_first_result(void **state)
{
    struct control_fixture *f = *state;
    struct command_key key = control_fixture_key(f);

    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    int64_t first = f->result.producer_id;
    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.producer_id, first);
    command_producer_ids(&f->command, control_fixture_key(f), 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.producer_id, first + CONTROL_PRODUCER_BLOCK);
    for (int i = 0; i < 100; i++) {
        command_producer_ids(&f->command, control_fixture_key(f), 1);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED); /* too late to know */
    f->key.client.bytes[1] = 1;
    command_producer_ids(&f->command, f->key, 1); /* another client has numbers of its own */
    assert_int_equal(control_fixture_apply(f), 0);
}

static void epochs_go_on_when_a_topic_is_deleted_and_made_again(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 2);

    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    assert_int_equal(t->partitions[0].epoch, 2);
    command_delete_topic(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->changes.items[0].kind, CONTROL_TOPIC_DELETED);
    assert_null(control_topic_named(f->control, "payments"));
    t = control_fixture_topic(f, "payments", &policy, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(t->partitions[i].epoch, 3);
        assert_int_equal(t->partitions[i].replicas[0].since, 0);
    }
    command_delete_topic(&f->command, control_fixture_key(f), "nothing");
    assert_int_equal(control_fixture_apply(f), TERN_ENOENT);
}

static void an_assignment_is_a_compare_and_set(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct command_assignment a = {.topic_id = t->id, .if_epoch = 7, .leader = 2};

    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED);
    a.if_epoch = 1;
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    a.if_epoch = 2;
    a.leader = 0;
    a.avoid = NODE_BIT(1);
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    a.if_epoch = 3;
    a.avoid = NODE_BIT(1) | NODE_BIT(2);
    assert_int_equal(control_fixture_assign(f, &a), TERN_ENOQUORUM);
    a.partition = 1;
    assert_int_equal(control_fixture_assign(f, &a), TERN_ENOENT);
}

static void a_new_config_waits_for_its_activation(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct control_partition *p = &t->partitions[0];
    struct command_assignment a = {
        .topic_id = t->id, .if_epoch = 1, .leader = 1, .has_config = true};

    assert_int_equal(control_fixture_start(f, 4, "eu-west", 1), 0);
    a.config = p->config;
    a.config.voters |= NODE_BIT(4);
    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED); /* not a learner before */
    a.config = p->config;
    a.config.learners = NODE_BIT(4);
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(p->activated); /* learners count nowhere */
    assert_int_equal(p->recover.learners, NODE_BIT(4));
    assert_int_equal(control_replica_of(p, 4)->since, 2);
    a.if_epoch = 2;
    a.config.learners = NODE_BIT(1); /* 4 takes the place of 1 */
    a.config.voters = NODE_BIT(2) | NODE_BIT(3) | NODE_BIT(4);
    a.leader = 2;
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_false(p->activated);
    assert_int_equal(p->recover.voters, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3));
    /* A leader change after it needs activation as well. */
    a = (struct command_assignment){.topic_id = t->id, .if_epoch = 3, .leader = 4};
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_false(p->activated);
    command_activated(&f->command, control_fixture_key(f), t->id, 0, 3, -1, NULL);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED); /* not the newest */
    assert_int_equal(control_fixture_activate(f, t, 0), 0);
    assert_true(p->activated);
    assert_true(control_config_equal(&p->recover, &p->config));
    assert_int_equal(f->changes.items[0].kind, CONTROL_ACTIVATED);
}

static void a_config_that_is_not_activated_can_be_dropped(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct control_partition *p = &t->partitions[0];
    struct command_assignment a = {
        .topic_id = t->id,
        .if_epoch = 1,
        .leader = 1,
        .has_config = true,
        .config = {
            .voters = NODE_BIT(1) | NODE_BIT(2), .learners = NODE_BIT(3), .w = 2, .home = -1}};

    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_false(p->activated);
    a = (struct command_assignment){
        .topic_id = t->id, .if_epoch = 2, .leader = 3, .back_to_active = true};
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(p->activated);
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(p->leader, 3);
}

static void a_weaker_rule_than_the_policy_needs_an_operators_word(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct command_assignment a = {
        .topic_id = t->id,
        .if_epoch = 1,
        .leader = 1,
        .has_config = true,
        .config = {.voters = NODE_BIT(1) | NODE_BIT(2), .w = 1, .home = -1}};

    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED);
    a.config.w = 2;
    a.config.home = 0;
    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED);
    a.config.w = 3;
    a.config.home = -1;
    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED); /* three of two regions */
    a = (struct command_assignment){.topic_id = t->id, .if_epoch = 1, .leader = 2, .lossy = true};
    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED);
    (void)snprintf(a.decided_by, sizeof a.decided_by, "operator alice");
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(t->partitions[0].lossy);
    assert_int_equal(t->partitions[0].config.voters, NODE_BIT(2));
    assert_int_equal(t->partitions[0].config.home, -1);
}

static void a_lossy_epoch_leads_alone_and_keeps_the_others_as_learners(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct control_partition *p = &t->partitions[0];
    struct command_assignment a = {.topic_id = t->id, .if_epoch = 1, .leader = 3, .lossy = true};
    const struct control_ledger_entry entry = {.kind = LEDGER_EXPOSED,
                                               .topic = "clicks",
                                               .first_offset = 100,
                                               .end_offset = 140,
                                               .since_wall_ms = 5,
                                               .until_wall_ms = 6,
                                               .decided_by = "policy clicks"};

    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(p->lossy);
    assert_false(p->activated);
    assert_int_equal(p->config.voters, NODE_BIT(3));
    assert_int_equal(p->config.learners, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.home, 2);
    assert_int_equal(p->recover.home, 0);
    command_activated(&f->command, control_fixture_key(f), t->id, 0, 2, 100, &entry);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(p->lossy_epoch, 2);
    assert_int_equal(p->lossy_start, 100);
    assert_int_equal(p->recover.home, 2);
    assert_int_equal(f->control->ledger_count, 1);
    assert_int_equal(f->control->ledger[0].end_offset, 140);
    assert_int_equal(control_fixture_activate(f, t, 0), 0); /* told twice: nothing twice */
    assert_int_equal(f->control->ledger_count, 1);
}

static void a_removed_node_comes_back_only_with_an_empty_disk(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct buf snapshot = {0};

    assert_int_equal(control_fixture_fence(f, 3, true), 0);
    assert_int_equal(control_fixture_fence(f, 2, true), 0);
    command_remove_node(&f->command, control_fixture_key(f), 3, "alice");
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED); /* 1 alone cannot recover it */
    assert_non_null(strstr(f->result.why, "payments-0"));
    assert_int_equal(control_fixture_fence(f, 2, false), 0);
    command_remove_node(&f->command, control_fixture_key(f), 3, "alice");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->partitions[0].leader, 1);
    control_snapshot(f->control, &snapshot);
    assert_int_equal(control_restore(f->control, buf_slice(&snapshot)), 0);
    buf_fini(&snapshot);
    assert_true(f->control->nodes[3].removed);
    assert_int_equal(control_fixture_start(f, 3, "eu-north", 9), TERN_EREFUSED);
    assert_non_null(strstr(f->result.why, "removed"));
    assert_int_equal(control_fixture_wipe(f, 3, "eu-north"), 0);
    assert_false(f->control->nodes[3].removed);
    assert_int_equal(f->control->nodes[3].incarnation, 2);
}

static void an_operator_gives_up_what_two_lost_regions_held(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_wipe(f, 2, "eu-central"), 0);
    assert_int_equal(control_fixture_wipe(f, 1, "eu-west"), 0);
    node_set alive = control_alive(f->control);
    assert_true(control_lost(f->control, p));
    assert_false(control_recovers(f->control, p, alive));
    /* What it holds counts more than where it is. */
    assert_int_equal(control_choose_survivor(f->control, t, p, alive), 3);
    struct command_assignment a = {
        .topic_id = t->id, .if_epoch = p->epoch, .leader = 3, .lossy = true};
    assert_int_equal(control_fixture_assign(f, &a), TERN_EREFUSED); /* not without a name */
    (void)snprintf(a.decided_by, sizeof a.decided_by, "operator alice");
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_int_equal(p->config.voters, NODE_BIT(3));
    assert_int_equal(p->config.w, 1);
    assert_int_equal(p->config.home, -1);
    assert_int_equal(control_fixture_activate(f, t, 0), 0);
    assert_true(control_recovers(f->control, p, NODE_BIT(3)));
}

static void a_lossy_epoch_that_never_activated_leaves_the_old_config(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct control_partition *p = &t->partitions[0];
    struct command_assignment a = {.topic_id = t->id, .if_epoch = 1, .leader = 3, .lossy = true};

    assert_int_equal(control_fixture_assign(f, &a), 0);
    /* Its leader restarts before the activation: back to the old home, which is alive. */
    assert_int_equal(control_fixture_start(f, 3, "eu-north", 2), 0);
    assert_int_equal(p->epoch, 3);
    assert_int_equal(p->leader, 1);
    assert_false(p->lossy);
    assert_true(p->activated);
    a.if_epoch = 3;
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_start(f, 3, "eu-north", 3), 0);
    assert_int_equal(p->leader, 0); /* nobody may lead the old config now */
    assert_int_equal(p->epoch, 5);
}

/* Found by a story of the simulator: the home's new disk was taken for one that had caught up in a lossy
 * epoch that nobody ever served, and led for ever what it could not recover. */
static void nobody_catches_up_in_a_lossy_epoch_that_never_activated(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_wipe(f, 1, "eu-west"), 0);
    assert_true(control_lost(f->control, p));
    struct command_assignment a = {
        .topic_id = t->id, .if_epoch = p->epoch, .leader = 3, .lossy = true};
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(control_lost(f->control, p));
    assert_int_equal(control_fixture_fence(f, 3, true), 0);
    assert_int_not_equal(p->leader, 1);
    a.if_epoch = p->epoch;
    a.leader = 2;
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_true(p->lossy);
    assert_true(control_lost(f->control, p));
    assert_int_equal(control_fixture_fence(f, 2, true), 0);
    assert_int_not_equal(p->leader, 1);
    assert_int_equal(control_fixture_fence(f, 2, false), 0);
    assert_int_equal(control_fixture_activate(f, t, 0), 0);
    assert_true(control_recovers(f->control, p, NODE_BIT(2)));
}

/* Found by the model (survivor-uncounted): it crashed after the activation and before its `synced` was the lossy
 * epoch; then it alone could be recovered from, and did not count. */
static void
the_leader_of_an_activated_lossy_epoch_counts_although_its_disk_had_forgotten(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_wipe(f, 3, "eu-north"), 0);
    struct command_assignment a = {
        .topic_id = t->id, .if_epoch = p->epoch, .leader = 3, .lossy = true};
    (void)snprintf(a.decided_by, sizeof a.decided_by, "operator alice");
    assert_int_equal(control_fixture_assign(f, &a), 0);
    int32_t lossy = p->epoch;
    for (uint32_t i = 0; i < p->replica_count; i++) {
        assert_int_equal(p->replicas[i].since, p->replicas[i].node == 3 ? lossy : 0);
    }
    assert_int_equal(control_fixture_activate(f, t, 0), 0);
    /* It restarts: what it holds is older than the epoch by its `synced`, and counts. */
    assert_int_equal(control_fixture_start(f, 3, "eu-north", 9), 0);
    assert_int_equal(p->epoch, lossy + 1);
    assert_int_equal(p->leader, 3);
    for (uint32_t i = 0; i < p->replica_count; i++) {
        assert_int_equal(p->replicas[i].since, 0);
    }
    /* Not for a disk that it gets later. */
    assert_int_equal(control_fixture_wipe(f, 3, "eu-north"), 0);
    assert_true(control_lost(f->control, p));
}

static void policies_have_revisions_and_topics_follow_them(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    assert_int_equal(f->control->policy_revision, 1);
    assert_string_equal(f->control->policies[0].author, "alice");
    struct policy next = t->policy;
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(f->control->policy_revision, 1); /* the same again */
    next.retention_ms = 1000;
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(f->control->policy_revision, 2);
    assert_int_equal(f->control->policies[0].revision, 2);
    assert_int_equal(t->policy.retention_ms, 1000);
    assert_int_equal(f->changes.items[0].kind, CONTROL_POLICY);
    command_remove_policy(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_string_equal(t->policy.name, "default");
}

static void policies_are_applied_together_or_not_at_all(void **state)
{
    struct control_fixture *f = *state;
    struct policy sync = control_fixture_sync();
    struct policy other = control_fixture_sync();

    (void)snprintf(sync.name, sizeof sync.name, "payments");
    (void)snprintf(sync.patterns[0], sizeof sync.patterns[0], "pay-*");
    sync.pattern_count = 1;
    sync.critical = true;
    other = sync;
    (void)snprintf(other.name, sizeof other.name, "orders");
    other.ack = 9; /* more regions than there are */
    struct command_policy both[] = {{&sync, false}, {&other, false}};
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_not_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_count, 0);
    /* Judged as they stand together: both match pay-x, whichever came first. */
    other.ack = 2;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    assert_int_equal(f->control->policy_count, 0);
    (void)snprintf(other.patterns[0], sizeof other.patterns[0], "orders-*");
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_count, 2);
    assert_int_equal(f->control->policy_revision, 2);
    /* Patterns change hands in one step, which one document after the other could not. */
    (void)snprintf(sync.patterns[0], sizeof sync.patterns[0], "orders-*");
    (void)snprintf(other.patterns[0], sizeof other.patterns[0], "pay-*");
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 8);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_revision, 4);
    /* One that may promise less is no leave for the other. */
    sync.critical = false;
    other.critical = false;
    both[0].weaken_confirmed = true;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 9);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    both[1].weaken_confirmed = true;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 9);
    assert_int_equal(control_fixture_apply(f), 0);
}

static void a_topics_own_retention_survives_a_policy_change(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "log*");
    policy.pattern_count = 1;
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    command_create_topic(&f->command, control_fixture_key(f), "logs", (struct uuid){{3}}, -1, NULL,
                         777, INT64_MIN);
    assert_int_equal(control_fixture_apply(f), 0);
    struct control_topic *t = control_topic_named(f->control, "logs");
    policy.retention_ms = 5;
    policy.retention_bytes = 6;
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    assert_int_equal(t->policy.retention_ms, 777);
    assert_int_equal(t->policy.retention_bytes, 6);
}

static void the_groups_topic_falls_only_under_a_policy_that_names_it(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    (void)snprintf(policy.name, sizeof policy.name, "default");
    policy.pattern_count = 1;
    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "*");
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    command_create_topic(&f->command, control_fixture_key(f), CONTROL_GROUPS_TOPIC,
                         (struct uuid){{9}}, 12, NULL, -1, -1);
    assert_int_equal(control_fixture_apply(f), 0);
    struct control_topic *topic = control_topic_named(f->control, CONTROL_GROUPS_TOPIC);
    assert_int_equal(topic->partition_count, 12);
    assert_int_equal(topic->policy.mode, POLICY_SYNC);
    assert_int_equal(topic->policy.ack, 2);
    policy = control_fixture_sync();
    (void)snprintf(policy.name, sizeof policy.name, "groups");
    policy.pattern_count = 1;
    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "%s", CONTROL_GROUPS_TOPIC);
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    assert_string_equal(topic->policy.name, "groups");
    command_delete_topic(&f->command, control_fixture_key(f), CONTROL_GROUPS_TOPIC);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDTOPIC);
}

static void a_critical_policy_is_weakened_only_with_a_confirmation(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    policy.critical = true;
    policy.ack = 3;
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    assert_int_equal(t->partitions[0].config.w, 3);
    struct policy next = t->policy;
    next.ack = 2;
    assert_int_equal(control_fixture_put_policy(f, &next), TERN_EREFUSED);
    assert_non_null(strstr(f->result.why, "fewer regions"));
    assert_int_equal(t->policy.ack, 3);
    command_remove_policy(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    command_put_policy(&f->command, control_fixture_key(f), &next, "bob", 1, true);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->policy.ack, 2);
}

static void failover_auto_begins_only_while_the_leaders_can_be_told(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    policy.failover = POLICY_FAILOVER_MANUAL;
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct policy next = t->policy;
    next.failover = POLICY_FAILOVER_AUTO;
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_put_policy(f, &next), TERN_EREFUSED);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(t->policy.failover, POLICY_FAILOVER_AUTO);
}

static void a_policy_that_contradicts_itself_is_refused(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    policy.critical = true;
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
    policy = control_fixture_sync();
    policy.ack = 1;
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
    policy = control_fixture_sync();
    (void)snprintf(policy.name, sizeof policy.name, "a\nb");
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
}

static void what_cannot_be_satisfied_is_refused_with_the_reason(void **state)
{
    struct control_fixture f;
    struct policy policy = control_fixture_sync();
    const struct command_founder founders[2] = {
        {.node_id = 1, .raft_id = 1, .region = "eu-west"},
        {.node_id = 2, .raft_id = 2, .region = "eu-central"}};

    (void)state;
    control_fixture_init(&f);
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{7}}, "c", founders, 2);
    assert_int_equal(control_fixture_apply(&f), 0);
    assert_int_equal(control_fixture_start(&f, 1, "eu-west", 1), 0);
    assert_int_equal(control_fixture_start(&f, 2, "eu-central", 1), 0);
    policy.ack = 3;
    assert_int_equal(control_fixture_put_policy(&f, &policy), TERN_EPOLICY);
    assert_string_equal(f.result.why,
                        "policy default wants 3 regions to acknowledge, 2 have nodes for it");
    policy.ack = 2;
    assert_int_equal(control_fixture_put_policy(&f, &policy), 0);
    control_fixture_fini(&f);
}

static void bad_topics_are_refused(void **state)
{
    struct control_fixture *f = *state;
    const struct {
        const char *name;
        int32_t partitions;
        const char *policy;
        int error;
    } rows[] = {
        {"", 1, NULL, TERN_EINVALIDTOPIC},
        {"..", 1, NULL, TERN_EINVALIDTOPIC},
        {"a b", 1, NULL, TERN_EINVALIDTOPIC},
        {"a", 0, NULL, TERN_EINVALIDPARTITIONS},
        {"a", 10001, NULL, TERN_EINVALIDPARTITIONS},
        {"a", -2, NULL, TERN_EINVALIDPARTITIONS},
        {"a", 1, "nosuch", TERN_EPOLICY},
        {"a", -1, NULL, 0},
        {"a", 1, NULL, TERN_EEXIST},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct uuid id = {{(uint8_t)(i + 1)}};
        command_create_topic(&f->command, control_fixture_key(f), rows[i].name, id,
                             rows[i].partitions, rows[i].policy, INT64_MIN, INT64_MIN);
        assert_int_equal(control_fixture_apply(f), rows[i].error);
    }
}

static void ledger_entries_open_close_and_merge(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {.kind = LEDGER_DEGRADED,
                                     .topic = "payments",
                                     .partition = 2,
                                     .first_offset = -1,
                                     .end_offset = -1,
                                     .since_wall_ms = 10000,
                                     .decided_by = "policy payments"};

    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0); /* open already */
    assert_int_equal(f->control->ledger_count, 1);
    e.until_wall_ms = 20000;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 20000);
    e.since_wall_ms = 20900; /* less than a second later: the same interval goes on */
    e.until_wall_ms = 0;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 1);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 0);
    e.until_wall_ms = 30000;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    e.since_wall_ms = 40000;
    e.until_wall_ms = 40001;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
}

/* Found by the simulator: what a lossy epoch exposed "from 463 on" vanished in an entry that another
 * had left for 244 to 256 less than a second before. */
static void an_exposure_without_an_end_is_not_merged_into_one_with_an_end(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {.kind = LEDGER_EXPOSED,
                                     .topic = "clicks",
                                     .partition = 2,
                                     .first_offset = 244,
                                     .end_offset = 256,
                                     .since_wall_ms = 10000,
                                     .until_wall_ms = 10000,
                                     .decided_by = "policy clicks"};

    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    e.first_offset = 463;
    e.end_offset = -1;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[1].first_offset, 463);
    assert_int_equal(f->control->ledger[1].end_offset, -1);
    e.first_offset = 250;
    e.end_offset = 257; /* of before */
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[0].end_offset, 257);
    assert_int_equal(f->control->ledger[1].end_offset, -1);
    e.first_offset = 463;
    e.end_offset = 470; /* the node is back: now the end is known */
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[1].end_offset, 470);
}

static void a_ledger_keeps_a_thousand_entries_per_topic(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {
        .kind = LEDGER_EXPOSED, .topic = "clicks", .bytes = 1, .decided_by = "policy clicks"};

    for (int i = 0; i < CONTROL_LEDGER_PER_TOPIC + 100; i++) {
        e.first_offset = i * 10;
        e.end_offset = i * 10 + 5;
        e.since_wall_ms = i * 10000 + 1;
        e.until_wall_ms = i * 10000 + 2;
        command_ledger(&f->command, control_fixture_key(f), &e);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    assert_int_equal(f->control->ledger_count, CONTROL_LEDGER_PER_TOPIC);
    assert_int_equal(f->control->ledger[0].bytes, 101);
    assert_int_equal(f->control->ledger[0].since_wall_ms, 1);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 100 * 10000 + 2);
    e.partition = 0;
    for (int i = 0; i < CONTROL_LEDGER_PER_TOPIC + 100; i++) { /* and of open ones as well */
        e.partition = i;
        e.until_wall_ms = 0;
        command_ledger(&f->command, control_fixture_key(f), &e);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    assert_int_equal(f->control->ledger_count, CONTROL_LEDGER_PER_TOPIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(founding_is_one_explicit_act),
#define WITH_CLUSTER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        WITH_CLUSTER(a_topic_has_a_replica_in_each_region_and_leaders_where_preferred),
        WITH_CLUSTER(an_async_topic_is_led_and_acknowledged_at_home),
        WITH_CLUSTER(copies_are_spread_over_racks_and_then_load),
        WITH_CLUSTER(a_fenced_nodes_partitions_move_in_the_preferred_order),
        WITH_CLUSTER(a_full_node_hands_its_leaders_away),
        WITH_CLUSTER(a_new_start_leads_nothing_that_the_earlier_one_led),
        WITH_CLUSTER(an_async_leader_that_restarts_leads_again_in_a_new_epoch),
        WITH_CLUSTER(a_wiped_disk_is_a_new_incarnation_that_counts_later),
        WITH_CLUSTER(an_old_copy_of_a_disk_is_found_out_by_its_start_number),
        WITH_CLUSTER(an_old_copy_that_counted_further_is_found_out_by_its_stamp),
        WITH_CLUSTER(an_outdated_registration_does_not_supersede_who_runs),
        WITH_CLUSTER(a_start_that_did_not_hear_of_its_registration_is_known_by_its_stamp),
        WITH_CLUSTER(a_wiped_disk_that_registers_by_several_starts_is_one_incarnation),
        WITH_CLUSTER(foreign_disks_and_wrong_regions_are_refused),
        WITH_CLUSTER(the_feature_level_rises_when_every_node_knows_it_and_never_falls),
        WITH_CLUSTER(an_older_build_stops_at_the_command_that_raises_the_level),
        WITH_CLUSTER(a_removed_node_does_not_hold_the_feature_level_up),
        WITH_CLUSTER(a_repeated_command_gives_the_first_result),
        WITH_CLUSTER(epochs_go_on_when_a_topic_is_deleted_and_made_again),
        WITH_CLUSTER(an_assignment_is_a_compare_and_set),
        WITH_CLUSTER(a_new_config_waits_for_its_activation),
        WITH_CLUSTER(a_config_that_is_not_activated_can_be_dropped),
        WITH_CLUSTER(a_weaker_rule_than_the_policy_needs_an_operators_word),
        WITH_CLUSTER(a_lossy_epoch_leads_alone_and_keeps_the_others_as_learners),
        WITH_CLUSTER(a_removed_node_comes_back_only_with_an_empty_disk),
        WITH_CLUSTER(an_operator_gives_up_what_two_lost_regions_held),
        WITH_CLUSTER(a_lossy_epoch_that_never_activated_leaves_the_old_config),
        WITH_CLUSTER(nobody_catches_up_in_a_lossy_epoch_that_never_activated),
        WITH_CLUSTER(the_leader_of_an_activated_lossy_epoch_counts_although_its_disk_had_forgotten),
        WITH_CLUSTER(policies_have_revisions_and_topics_follow_them),
        WITH_CLUSTER(policies_are_applied_together_or_not_at_all),
        WITH_CLUSTER(a_topics_own_retention_survives_a_policy_change),
        WITH_CLUSTER(the_groups_topic_falls_only_under_a_policy_that_names_it),
        WITH_CLUSTER(a_critical_policy_is_weakened_only_with_a_confirmation),
        WITH_CLUSTER(failover_auto_begins_only_while_the_leaders_can_be_told),
        WITH_CLUSTER(a_policy_that_contradicts_itself_is_refused),
        cmocka_unit_test(what_cannot_be_satisfied_is_refused_with_the_reason),
        WITH_CLUSTER(bad_topics_are_refused),
        WITH_CLUSTER(ledger_entries_open_close_and_merge),
        WITH_CLUSTER(an_exposure_without_an_end_is_not_merged_into_one_with_an_end),
        WITH_CLUSTER(a_ledger_keeps_a_thousand_entries_per_topic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
