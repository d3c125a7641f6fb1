/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the control state, one by one: nodes that start, with the disk that they had, an older
 * copy of it or an empty one, and with builds of other feature levels. */
#include "base/error.h"
#include "tests/unit/control_cluster.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        WITH_CLUSTER(a_removed_node_comes_back_only_with_an_empty_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
