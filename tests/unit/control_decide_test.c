/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller proposes when nodes fall silent, fill up or forget and when leaders cannot
 * serve, one situation after the other. */
#include "tests/lib/decide_scene.h"

/* ---- 1 ------------------------------------------------------------------------------------- */

static void nothing_is_decided_when_all_is_well(void **state)
{
    struct scene *s = *state;

    (void)payments(s);
    (void)clicks(s);
    (void)strict(s);
    for (int i = 0; i < 100; i++) {
        assert_string_equal(round_of(s), "");
        pass(s, 1000);
    }
}

static void a_silent_node_is_fenced_and_its_leaders_move(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    silence(s, 1, D);
    assert_string_equal(round_of(s), ""); /* not longer than D yet */
    pass(s, 1);
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(t->partitions[0].leader, 2);
    assert_string_equal(round_of(s), "");
    comes_back(s, 1);
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), "");
}

static void a_node_whose_port_refuses_is_not_waited_for(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    silence(s, 1, 80);
    s->view.nodes[1].gone = true;
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(t->partitions[0].leader, 2);
    comes_back(s, 1);
    assert_string_equal(round_of(s), "unfence");
}

static void a_new_controller_keeps_what_it_observed_before(void **state)
{
    struct scene *s = *state;

    s->view.controller_since_ms = s->view.now_ms;
    silence(s, 2, D + 1);
    assert_string_equal(round_of(s), "fence");
}

static void a_node_is_unfenced_only_when_its_start_is_registered(void **state)
{
    struct scene *s = *state;

    assert_int_equal(control_fixture_fence(&s->f, 3, true), 0);
    s->view.nodes[3].registered = false;
    assert_string_equal(round_of(s), "");
    s->view.nodes[3].registered = true;
    assert_string_equal(round_of(s), "unfence");
}

static void a_full_node_leads_nothing(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    s->view.nodes[1].full = true;
    assert_string_equal(round_of(s), "node_full");
    assert_int_equal(t->partitions[0].leader, 2);
    s->view.nodes[1].full = false;
    assert_string_equal(round_of(s), "node_full");
    assert_false(s->f.control->nodes[1].full);
}

/* ---- 2 ------------------------------------------------------------------------------------- */

static void a_partition_gets_a_leader_when_a_quorum_is_possible_again(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    silence(s, 1, D + 1);
    silence(s, 3, D + 1);
    assert_string_equal(round_of(s), "fence fence");
    assert_int_equal(t->partitions[0].leader,
                     2); /* fencing 1 came first, then the quorum was 2, 3 */
    silence(s, 2, D + 1);
    assert_string_equal(round_of(s), "fence");
    comes_back(s, 1);
    comes_back(s, 3);
    assert_string_equal(round_of(s), "unfence unfence");
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(t->partitions[0].leader, 1);
    assert_string_equal(round_of(s), "");
}

/* ---- 3 ------------------------------------------------------------------------------------- */

static void a_leader_without_a_quorum_is_replaced_with_back_off(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    report(s, REPORT_NO_QUORUM, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 2);
    report(s, REPORT_NO_QUORUM, t, NODE_BIT(2), 0);
    assert_string_equal(round_of(s), ""); /* not more often than once in D */
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 3); /* 1 and 2 have resigned lately */
    pass(s, D);
    report(s, REPORT_NO_QUORUM, t, NODE_BIT(3), 0);
    assert_string_equal(round_of(s), "");
    pass(s, 3 * D); /* all have: the fault may be elsewhere, so it takes longer */
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 1);
    assert_int_equal(p->epoch, 4);
}

/* All have applied everything, but this one has not. */
static void applied(struct scene *s, uint32_t behind, uint64_t index)
{
    for (uint32_t n = 1; n <= 3; n++) {
        s->view.nodes[n].applied_index = n == behind ? index : s->f.control->applied_index;
    }
}

static void a_leader_that_does_not_apply_its_assignment_is_replaced_after_2_d(void **state)
{
    struct scene *s = *state;
    uint64_t before = s->f.control->applied_index;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    assert_int_equal(p->leader, 1);
    applied(s, 1, before); /* its heartbeats come, but the assignment has not arrived */
    assert_string_equal(round_of(s), "");
    pass(s, 2 * D - 1);
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 2);
    assert_false(s->f.control->nodes[1].fenced);
    applied(s, 1, before);
    pass(s, 20 * D); /* forgiven meanwhile, but still behind */
    report(s, REPORT_NO_QUORUM, t, NODE_BIT(2), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 3);
}

static void who_applies_late_but_applies_keeps_its_partitions(void **state)
{
    struct scene *s = *state;
    uint64_t before = s->f.control->applied_index;
    struct control_topic *t = payments(s);

    applied(s, 1, before);
    for (int i = 0; i < 10; i++) {
        assert_string_equal(round_of(s), "");
        pass(s, D);
        applied(s, 1, s->f.control->applied_index); /* it gets there ... */
        assert_string_equal(round_of(s), "");
        (void)control_fixture_topic(&s->f,
                                    i == 0   ? "other"
                                    : i == 1 ? "third"
                                             : "fourth",
                                    &t->policy, 1); /* ... and there is more */
        applied(s, 1, s->f.control->applied_index - 1);
    }
    assert_int_equal(t->partitions[0].leader, 1);
}

/* What it leads since before it is not taken from it: that it serves. */
static void a_node_that_is_behind_keeps_what_it_knew(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    uint64_t known = s->f.control->applied_index;
    struct policy policy = control_fixture_sync();
    struct control_topic *later = control_fixture_topic(&s->f, "later", &policy, 1);

    assert_int_equal(later->partitions[0].leader, 1);
    applied(s, 1, known);
    assert_string_equal(round_of(s), "");
    pass(s, 2 * D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(t->partitions[0].leader, 1);
    assert_int_equal(later->partitions[0].leader, 2);
}

/* A lossy epoch was applied at 42. */
static void who_does_not_know_of_a_lossy_epoch_gets_no_lease(void **state)
{
    struct scene *s = *state;
    struct decide_pending pending = {0};
    struct decide_lease asks = {.node = 2, .applied_index = 41, .lossy_index = 42};

    assert_false(decide_may_lease(s->f.control, &pending, &asks));
    asks.self = true; /* the controller has applied it */
    assert_true(decide_may_lease(s->f.control, &pending, &asks));
    asks.self = false;
    asks.applied_index = 42;
    assert_true(decide_may_lease(s->f.control, &pending, &asks));
    s->f.control->nodes[2].fenced = true;
    assert_false(decide_may_lease(s->f.control, &pending, &asks));
    asks.self = true;
    assert_false(decide_may_lease(s->f.control, &pending, &asks));
    s->f.control->nodes[2].fenced = false;
    asks.node = 9; /* nobody */
    assert_false(decide_may_lease(s->f.control, &pending, &asks));
}

static void whose_absence_a_decision_under_way_rests_on_gets_no_lease(void **state)
{
    struct scene *s = *state;
    struct decide_pending pending = {0};
    struct decide_lease gone = {.node = 2};
    struct decide_lease here = {.node = 3};

    s->view.nodes[3].reachable = true;
    s->view.nodes[2].reachable = false;
    decide_pending_round(&pending, &s->view, 0); /* nothing was decided */
    assert_true(decide_may_lease(s->f.control, &pending, &gone));
    decide_pending_round(&pending, &s->view, 2);
    decide_pending_proposed(&pending);
    decide_pending_proposed(&pending);
    assert_false(decide_may_lease(s->f.control, &pending, &gone));
    assert_true(decide_may_lease(s->f.control, &pending, &here));
    decide_pending_done(&pending, true);
    assert_false(decide_may_lease(s->f.control, &pending, &gone));
    decide_pending_done(&pending,
                        false); /* it may come into the log all the same, until a later one has */
    assert_false(decide_may_lease(s->f.control, &pending, &gone));
    s->view.nodes[2].reachable = true;
    decide_pending_round(&pending, &s->view, 1);
    decide_pending_proposed(&pending);
    assert_false(decide_may_lease(s->f.control, &pending, &gone));
    decide_pending_done(&pending, true);
    assert_true(decide_may_lease(s->f.control, &pending, &gone));
}

static void a_node_that_lost_what_it_acknowledged_is_declared_forgetful(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);
    const struct control_partition *p = &t->partitions[0];

    report(s, REPORT_AMNESIA, t, NODE_BIT(2), 0);
    s->reports[0].incarnation = 7; /* another disk than the one that is there now */
    assert_string_equal(round_of(s), "");
    report(s, REPORT_AMNESIA, t, NODE_BIT(2), 0);
    s->reports[0].incarnation = 1;
    assert_string_equal(round_of(s), "forgot");
    assert_true(s->f.control->nodes[2].forgot);
    assert_int_equal(control_replica_of(p, 2)->since, p->epoch + 1); /* counts in no recovery */
    assert_string_equal(round_of(s), ""); /* heard and registered, and fenced all the same */
    assert_true(s->f.control->nodes[2].fenced);
    struct command_registration r = registration(2, "eu-central");
    r.incarnation = 1;
    r.raft_id = s->f.control->nodes[2].raft_id;
    r.start_number = 9;
    r.new_incarnation = true;
    assert_int_equal(register_node(&s->f, &r), 0);
    assert_int_equal(s->f.control->nodes[2].incarnation, 2);
    assert_false(s->f.control->nodes[2].forgot);
    assert_false(s->f.control->nodes[2].fenced);
}

static void reports_of_old_epochs_and_strangers_are_ignored(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    report(s, REPORT_NO_QUORUM, t, 0, 0);
    s->reports[0].epoch = 9;
    report(s, REPORT_NO_QUORUM, t, 0, 0);
    s->reports[1].from = 3;
    report(s, REPORT_NO_QUORUM, t, 0, 0);
    s->reports[2].partition = 77;
    assert_string_equal(round_of(s), "");
}

static void a_config_that_is_not_activated_in_time_is_dropped(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);
    const struct control_partition *p = &t->partitions[0];
    struct policy policy = t->policy;

    policy.ack = 2;
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.w, 2);
    assert_false(p->activated);
    assert_string_equal(round_of(s), "");
    pass(s, 2 * D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.w, 3);
    assert_true(p->activated);
    assert_string_equal(round_of(s), ""); /* and not tried again at once */
    pass(s, 10 * D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.w, 2);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    pass(s, 100 * D);
    assert_string_equal(round_of(s), "");
}

/* ---- a round ------------------------------------------------------------------------------- */

static void a_round_keeps_to_its_bound(void **state)
{
    struct scene *s = *state;
    struct policy policy = control_fixture_sync();

    policy.ack = 3;
    policy.on_region_loss = POLICY_LOSS_DEGRADE;
    policy.region_loss_after_ms = 2000;
    struct control_topic *t = control_fixture_topic(&s->f, "wide", &policy, 1000);
    silence(s, 3, 5000);
    assert_string_equal(round_of(s), "fence");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(round_max(s, 3), 2);
    }
    assert_int_equal(round_max(s, 3), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(t->partitions[i].config.w, 2);
    }
    assert_int_equal(s->f.control->ledger_count, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(nothing_is_decided_when_all_is_well),
        SCENE(a_silent_node_is_fenced_and_its_leaders_move),
        SCENE(a_node_whose_port_refuses_is_not_waited_for),
        SCENE(a_new_controller_keeps_what_it_observed_before),
        SCENE(a_node_is_unfenced_only_when_its_start_is_registered),
        SCENE(a_full_node_leads_nothing),
        SCENE(a_partition_gets_a_leader_when_a_quorum_is_possible_again),
        SCENE(a_leader_without_a_quorum_is_replaced_with_back_off),
        SCENE(a_leader_that_does_not_apply_its_assignment_is_replaced_after_2_d),
        SCENE(who_applies_late_but_applies_keeps_its_partitions),
        SCENE(a_node_that_is_behind_keeps_what_it_knew),
        SCENE(who_does_not_know_of_a_lossy_epoch_gets_no_lease),
        SCENE(whose_absence_a_decision_under_way_rests_on_gets_no_lease),
        SCENE(a_node_that_lost_what_it_acknowledged_is_declared_forgetful),
        SCENE(reports_of_old_epochs_and_strangers_are_ignored),
        SCENE(a_config_that_is_not_activated_in_time_is_dropped),
        SCENE(a_round_keeps_to_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
