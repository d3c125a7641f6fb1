/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the control state, one by one: leaders and configs that are assigned, and lossy
 * epochs. */
#include "base/error.h"
#include "tests/unit/control_cluster.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLUSTER(an_assignment_is_a_compare_and_set),
        WITH_CLUSTER(a_new_config_waits_for_its_activation),
        WITH_CLUSTER(a_config_that_is_not_activated_can_be_dropped),
        WITH_CLUSTER(a_weaker_rule_than_the_policy_needs_an_operators_word),
        WITH_CLUSTER(a_lossy_epoch_leads_alone_and_keeps_the_others_as_learners),
        WITH_CLUSTER(an_operator_gives_up_what_two_lost_regions_held),
        WITH_CLUSTER(a_lossy_epoch_that_never_activated_leaves_the_old_config),
        WITH_CLUSTER(nobody_catches_up_in_a_lossy_epoch_that_never_activated),
        WITH_CLUSTER(the_leader_of_an_activated_lossy_epoch_counts_although_its_disk_had_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
