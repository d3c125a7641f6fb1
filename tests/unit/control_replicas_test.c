/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller proposes for the replicas of a partition, one situation after the other: disks
 * that forgot, what the policy wants, reassignments, nodes that are removed. */
#include "base/error.h"
#include "tests/lib/decide_scene.h"

/* ---- 6 ------------------------------------------------------------------------------------- */

static void a_wiped_replica_counts_again_when_it_has_caught_up(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_wipe(&s->f, 3, "eu-north"), 0);
    assert_string_equal(round_of(s), "");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->epoch, 2);
    assert_int_equal(p->leader, 1);
    assert_true(p->activated);
    assert_int_equal(control_replica_of(p, 3)->incarnation, 2);
    assert_int_equal(control_replica_of(p, 3)->since, 2);
    /* By then it has not said yet that it follows in an epoch that it counts in. */
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->epoch, 3);
    assert_int_equal(control_replica_of(p, 3)->since, 0);
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    assert_string_equal(round_of(s), "");
}

/* A failover has given it an epoch in which it counts, and in which nobody has served: only the node that is
 * to be removed holds what was committed with the one that has forgotten. */
static void a_node_is_not_removed_while_one_that_has_forgotten_would_stand_in(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_wipe(&s->f, 3, "eu-north"), 0);
    assert_int_equal(control_fixture_start(&s->f, 1, "eu-west", 2), 0);
    assert_int_equal(p->epoch, 2);
    assert_int_equal(control_replica_of(p, 3)->since, 2);
    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(p->leader, 2);
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 1, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), TERN_EREFUSED);
    assert_false(s->f.control->nodes[1].removed);
    /* Its leader has heard that it follows. */
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(control_replica_of(p, 3)->since, 0);
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 1, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    /* What is said of an older epoch proves nothing. */
    assert_int_equal(control_fixture_wipe(&s->f, 3, "eu-north"), 0);
    assert_int_equal(control_replica_of(p, 3)->since, p->epoch + 1);
}

static void a_region_that_joins_later_gets_replicas(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_start(&s->f, 4, "us-east", 1), 0);
    comes_back(s, 4);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.learners, NODE_BIT(4));
    assert_true(p->activated);
    assert_string_equal(round_of(s), "");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(4), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL | NODE_BIT(4));
    assert_int_equal(p->config.w, 2);
    assert_false(p->activated);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_string_equal(round_of(s), "");
}

static void replicas_follow_a_changed_policy(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    struct policy policy = t->policy;
    const struct control_partition *p = &t->partitions[0];

    policy.region_count = 2; /* two regions only, without the leader's */
    (void)snprintf(policy.regions[0], sizeof policy.regions[0], "eu-central");
    (void)snprintf(policy.regions[1], sizeof policy.regions[1], "eu-north");
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(p->leader, 2);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_int_equal(p->replica_count, 2);
    policy.mode = POLICY_ASYNC;
    policy.ack = 1;
    (void)snprintf(policy.home, sizeof policy.home, "eu-north");
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.home, 2);
    assert_int_equal(p->config.w, 1);
    assert_int_equal(p->leader, 3);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_string_equal(round_of(s), "");
}

static void more_copies_are_made_by_learners(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    struct policy policy = t->policy;
    const struct control_partition *p = &t->partitions[0];

    policy.region_count = 2;
    (void)snprintf(policy.regions[0], sizeof policy.regions[0], "eu-west");
    (void)snprintf(policy.regions[1], sizeof policy.regions[1], "eu-central");
    policy.copies = 2;
    for (uint32_t n = 4; n <= 5; n++) {
        assert_int_equal(control_fixture_start(&s->f, n, n == 4 ? "eu-west" : "eu-central", 1), 0);
        comes_back(s, n);
    }
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.learners, NODE_BIT(4) | NODE_BIT(5));
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(4) | NODE_BIT(5), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(4) | NODE_BIT(5));
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    policy.copies = 1;
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(__builtin_popcountll(p->config.voters), 2);
}

/* kafka-reassign-partitions: the new replica comes as a learner, the old one goes when it counts. */
static void replicas_are_reassigned_one_after_the_other_counts(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];
    node_set target = NODE_BIT(4) | NODE_BIT(2) | NODE_BIT(3);

    assert_int_equal(control_fixture_start(&s->f, 4, "eu-west", 1), 0);
    comes_back(s, 4);
    assert_string_equal(round_of(s), "");
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, 0, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), TERN_ENOREASSIGNMENT);
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, NODE_BIT(2) | NODE_BIT(3),
                     NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), TERN_EINVALIDASSIGNMENT);
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, ALL, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), 0); /* so it is already */
    assert_int_equal(p->target, 0);
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, target, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_true(p->target == target);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.learners, NODE_BIT(4));
    assert_string_equal(round_of(s), ""); /* it waits */
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(4), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_true(p->config.voters == target);
    assert_true(p->target == target);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_int_equal(p->target, 0);
    pass(s, D);
    assert_string_equal(round_of(s), "");
    assert_true(p->config.voters == target);
}

static void replicas_are_listed_as_the_reassignment_named_them(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];
    static const uint32_t wanted[] = {3, 1, 2};
    uint32_t listed[WIRE_NODES_MAX];
    struct buf snapshot = {0};

    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, ALL, wanted, 3);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_int_equal(control_ordered(p, ALL, listed), 3);
    assert_int_equal(listed[0], 1); /* some node may not know how to keep an order */
    s->f.control->feature_level = 2;
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, ALL, wanted, 3);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    uint64_t hash = control_hash(s->f.control);
    control_snapshot(s->f.control, &snapshot);
    assert_int_equal(control_restore(s->f.control, buf_slice(&snapshot)), 0);
    buf_fini(&snapshot);
    assert_true(control_hash(s->f.control) == hash);
    p = &control_topic_named(s->f.control, "payments")->partitions[0];
    assert_int_equal(control_ordered(p, ALL | NODE_BIT(7), listed), 4);
    assert_int_equal(listed[0], 3);
    assert_int_equal(listed[1], 1);
    assert_int_equal(listed[2], 2);
    assert_int_equal(listed[3], 7); /* it came later */
    assert_int_equal(control_ordered(p, NODE_BIT(2) | NODE_BIT(3), listed), 2);
    assert_int_equal(listed[0], 3);
}

static void a_reassignment_can_be_given_up(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];
    node_set target = NODE_BIT(4) | NODE_BIT(2) | NODE_BIT(3);

    assert_int_equal(control_fixture_start(&s->f, 4, "eu-west", 1), 0);
    comes_back(s, 4);
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, target, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_string_equal(round_of(s), "assign");
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, 0, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.learners, 0);
    /* One that waits for a node that is removed is given up, too. */
    command_reassign(&s->f.command, control_fixture_key(&s->f), t->id, 0, target, NULL, 0);
    assert_int_equal(control_fixture_apply(&s->f), 0);
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 4, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_int_equal(p->target, 0);
}

/* A dead node is removed, and another one of its region is there. */
static void the_replicas_of_a_removed_node_move_to_another_of_its_region(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(p->leader, 1);
    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(p->leader, 2);
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 1, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_true(s->f.control->nodes[1].removed);
    assert_string_equal(round_of(s), "assign"); /* nobody is left in its region */
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_int_equal(control_fixture_start(&s->f, 4, "eu-west", 1), 0);
    comes_back(s, 4);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(p->config.learners, NODE_BIT(4));
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(4), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3) | NODE_BIT(4));
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "");
    comes_back(s, 1); /* some process with that id is heard: it is not let in again */
    assert_string_equal(round_of(s), "");
    assert_true(s->f.control->nodes[1].fenced);
}

/* The replacement is there first: the removed node counts until it has caught up. */
static void a_removed_node_counts_until_its_replacement_does(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_start(&s->f, 4, "eu-west", 1), 0);
    comes_back(s, 4);
    assert_string_equal(round_of(s), ""); /* one copy a region is enough */
    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 1, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.learners, NODE_BIT(4));
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(4), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3) | NODE_BIT(4));
}

/* Two data regions that need each other: without the removed node nothing can be committed, so its
 * successor is a voter before it is level with anything. */
static void a_removed_node_without_which_nothing_commits_is_replaced_at_once(void **state)
{
    struct scene *s = *state;
    struct policy policy = control_fixture_sync();

    policy.region_count = 2;
    (void)snprintf(policy.regions[0], sizeof policy.regions[0], "eu-west");
    (void)snprintf(policy.regions[1], sizeof policy.regions[1], "eu-central");
    assert_int_equal(control_fixture_start(&s->f, 4, "eu-west", 1), 0);
    comes_back(s, 4);
    struct control_topic *t = control_fixture_topic(&s->f, "payments", &policy, 1);
    const struct control_partition *p = &t->partitions[0];
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->leader, 1);
    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 1, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 2);
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.learners, NODE_BIT(4));
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(4));
    assert_int_equal(p->recover.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_false(p->activated);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_int_equal(p->recover.voters, NODE_BIT(2) | NODE_BIT(4));
}

/* ack: 3 that had degraded was about to be restored when a node was removed without which neither the old
 * rule nor the new one can commit: back to the old one, where its successor learns. */
static void a_node_removed_while_a_config_waits_for_it_is_replaced(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(control_fixture_start(&s->f, 4, "eu-central", 1), 0);
    comes_back(s, 4);
    silence(s, 3, 2001);
    assert_string_equal(round_of(s), "fence");
    assert_string_equal(round_of(s), "ledger assign");
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    comes_back(s, 3);
    assert_string_equal(round_of(s), "unfence");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.w, 3);
    assert_false(p->activated);
    silence(s, 2, D + 1);
    assert_string_equal(round_of(s), "fence");
    command_remove_node(&s->f.command, control_fixture_key(&s->f), 2, "operator alice");
    assert_int_equal(control_fixture_apply(&s->f), 0);
    assert_string_equal(round_of(s), "");
    pass(s, 2 * D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.w, 2);
    assert_int_equal(p->leader, 1);
    assert_true(p->activated);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.learners, NODE_BIT(3) | NODE_BIT(4));
    pass(s, 10 * D); /* the last new config was not activated in time */
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(3) | NODE_BIT(4));
    assert_int_equal(p->config.w, 3);
    assert_false(p->activated);
    /* That one is left alone, however long its learners take. */
    pass(s, 10 * D);
    assert_string_equal(round_of(s), "");
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_wiped_replica_counts_again_when_it_has_caught_up),
        SCENE(a_node_is_not_removed_while_one_that_has_forgotten_would_stand_in),
        SCENE(a_region_that_joins_later_gets_replicas),
        SCENE(replicas_follow_a_changed_policy),
        SCENE(more_copies_are_made_by_learners),
        SCENE(replicas_are_reassigned_one_after_the_other_counts),
        SCENE(replicas_are_listed_as_the_reassignment_named_them),
        SCENE(a_reassignment_can_be_given_up),
        SCENE(a_removed_node_counts_until_its_replacement_does),
        SCENE(a_removed_node_without_which_nothing_commits_is_replaced_at_once),
        SCENE(a_node_removed_while_a_config_waits_for_it_is_replaced),
        SCENE(the_replicas_of_a_removed_node_move_to_another_of_its_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
