/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller proposes when a region is lost, one situation after the other: ack 3 goes on
 * with two regions, an async home is given up, and all comes back. */
#include "tests/lib/decide_scene.h"

/* ---- 4 ------------------------------------------------------------------------------------- */

static void check_restored(struct scene *s, const struct control_topic *t, node_set back)
{
    const struct control_partition *p = &t->partitions[0];

    report(s, REPORT_LEARNER_READY, t, back, 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.w, 3);
    assert_int_equal(s->f.control->ledger[0].until_wall_ms, 0);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    pass(s, 10);
    assert_string_equal(round_of(s), "ledger");
    assert_int_equal(s->f.control->ledger[0].until_wall_ms, s->view.wall_ms);
    assert_int_equal(s->f.control->ledger_count, 1);
    assert_string_equal(round_of(s), "");
}

static void ack_3_degrades_and_is_restored(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);
    const struct control_partition *p = &t->partitions[0];

    silence(s, 3, D + 1);
    assert_string_equal(round_of(s), "fence");
    pass(s, 2000 - D - 2);
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "ledger assign");
    assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(p->config.learners, NODE_BIT(3));
    assert_int_equal(p->config.w, 2);
    assert_int_equal(p->leader, 1);
    assert_int_equal(s->f.control->ledger_count, 1);
    assert_int_equal(s->f.control->ledger[0].kind, LEDGER_DEGRADED);
    assert_int_equal(s->f.control->ledger[0].since_wall_ms, s->view.wall_ms);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_string_equal(round_of(s), "");
    comes_back(s, 3);
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), ""); /* not before it has caught up */
    check_restored(s, t, NODE_BIT(3));
}

static void ack_3_degrades_when_the_leaders_region_is_lost(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);
    const struct control_partition *p = &t->partitions[0];

    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(p->leader, 1); /* no other can commit by 3 of 3 */
    pass(s, 2000);
    assert_string_equal(round_of(s), "ledger assign");
    assert_int_equal(p->leader, 2);
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    comes_back(s, 1);
    assert_string_equal(round_of(s), "unfence");
    check_restored(s, t, NODE_BIT(1));
}

static void ack_3_degrades_by_what_the_leader_reports(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);

    report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 1999);
    assert_string_equal(round_of(s), "");
    report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 2000);
    assert_string_equal(round_of(s), "ledger assign");
    assert_int_equal(t->partitions[0].config.voters, NODE_BIT(1) | NODE_BIT(3));
}

static void silence_to_one_leader_after_the_other_is_one_silence(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);

    report(s, REPORT_REGION_SILENT, t, NODE_BIT(3), 500); /* it lives, its disk hangs */
    report(s, REPORT_NO_QUORUM, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(t->partitions[0].leader, 2);
    pass(s, 1499);
    report(s, REPORT_REGION_SILENT, t, NODE_BIT(3), 1400);
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "ledger assign");
    assert_int_equal(t->partitions[0].config.voters, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(t->partitions[0].leader, 2);
}

/* Found by a story of the simulator: under load there is always something that is not acknowledged
 * yet, and a region was given up as soon as it fell silent. */
static void what_waits_now_and_then_is_not_one_silence(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);

    for (int i = 0; i < 10; i++) {
        report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 5);
        assert_string_equal(round_of(s), "");
        pass(s, 500);
    }
    report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 500);
    assert_string_equal(round_of(s), "");
    pass(s, 1000);
    report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 1500);
    assert_string_equal(round_of(s), "");
    pass(s, 500);
    report(s, REPORT_REGION_SILENT, t, NODE_BIT(2), 2000);
    assert_string_equal(round_of(s), "ledger assign");
}

static void ack_3_refuses_rather_than_go_on_alone(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);

    silence(s, 2, 5000);
    silence(s, 3, 5000);
    assert_string_equal(round_of(s), "fence fence");
    assert_string_equal(round_of(s), "");
    pass(s, 100000);
    assert_string_equal(round_of(s), "");
    assert_int_equal(t->partitions[0].epoch, 1);
}

static void ack_3_with_refuse_never_degrades(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = strict(s);
    struct policy policy = t->policy;

    policy.on_region_loss = POLICY_LOSS_REFUSE;
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    silence(s, 3, 5000);
    assert_string_equal(round_of(s), "fence");
    pass(s, 100000);
    assert_string_equal(round_of(s), "");
}

/* ---- 5 ------------------------------------------------------------------------------------- */

static void an_async_home_is_given_up_after_the_policys_wait_and_the_lease(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = clicks(s);
    const struct control_partition *p = &t->partitions[0];

    silence(s, 1, D + 1);
    s->view.lease_granted_ms[1] = s->view.now_ms + 4000; /* its lease outlives the wait */
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(p->leader, 1);
    pass(s, 5000 - D);
    assert_string_equal(round_of(s), "");
    pass(s, 4000 + 1100 - (5000 - D) - 1);
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "assign");
    assert_true(p->lossy);
    assert_int_equal(p->config.voters, NODE_BIT(2)); /* lowest id: there is no preference */
    assert_int_equal(p->config.home, 1);
    assert_string_equal(round_of(s), "");
}

static void an_async_home_is_given_up_by_policy_only(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = clicks(s);
    struct policy policy = t->policy;

    policy.failover = POLICY_FAILOVER_MANUAL;
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    silence(s, 1, 60000);
    assert_string_equal(round_of(s), "fence");
    pass(s, 60000);
    assert_string_equal(round_of(s), "");
    assert_int_equal(t->partitions[0].epoch, 1);
}

static void a_new_controller_waits_for_leases_of_the_one_before(void **state)
{
    struct scene *s = *state;

    (void)clicks(s);
    silence(s, 1, 60000);
    s->view.controller_since_ms = s->view.now_ms - 1099;
    assert_string_equal(round_of(s), "fence");
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "assign");
}

static void the_next_region_takes_over_where_the_first_does_not(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = clicks(s);
    struct policy policy = t->policy;
    const struct control_partition *p = &t->partitions[0];

    policy.prefer_count = 1;
    (void)snprintf(policy.prefer[0], sizeof policy.prefer[0], "eu-north");
    assert_int_equal(control_fixture_put_policy(&s->f, &policy), 0);
    silence(s, 1, 60000);
    assert_string_equal(round_of(s), "fence");
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 3);
    silence(s, 3, D + 1); /* before it was activated */
    assert_string_equal(round_of(s), "fence");
    assert_int_equal(p->leader, 3);
    pass(s, D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 2);
    assert_true(p->lossy);
    assert_int_equal(p->recover.home, 0);
    comes_back(s, 1); /* home is there again before anything was given up */
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), "");
    pass(s, 2 * D);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->leader, 1);
    assert_int_equal(p->config.home, 0);
    assert_true(p->activated);
}

static void a_given_up_home_grows_again_and_gets_its_topic_back(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = clicks(s);
    const struct control_partition *p = &t->partitions[0];

    silence(s, 1, 60000);
    assert_string_equal(round_of(s), "fence");
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(3), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, NODE_BIT(2) | NODE_BIT(3));
    assert_int_equal(p->config.learners, NODE_BIT(1));
    assert_int_equal(p->config.home, 1);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    comes_back(s, 1);
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), "");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(p->config.voters, ALL);
    assert_int_equal(p->config.home, 1);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    assert_string_equal(round_of(s), "");
    pass(s, 30000);
    assert_string_equal(round_of(s), ""); /* in this epoch nobody told yet that it follows */
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "assign"); /* moving home loses nothing */
    assert_false(p->lossy);
    assert_int_equal(p->config.home, 0);
    assert_int_equal(p->leader, 1);
    assert_int_equal(control_fixture_activate(&s->f, t, 0), 0);
    pass(s, 60000);
    assert_string_equal(round_of(s), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(ack_3_degrades_and_is_restored),
        SCENE(ack_3_degrades_when_the_leaders_region_is_lost),
        SCENE(ack_3_degrades_by_what_the_leader_reports),
        SCENE(silence_to_one_leader_after_the_other_is_one_silence),
        SCENE(what_waits_now_and_then_is_not_one_silence),
        SCENE(ack_3_refuses_rather_than_go_on_alone),
        SCENE(ack_3_with_refuse_never_degrades),
        SCENE(an_async_home_is_given_up_after_the_policys_wait_and_the_lease),
        SCENE(an_async_home_is_given_up_by_policy_only),
        SCENE(a_new_controller_waits_for_leases_of_the_one_before),
        SCENE(the_next_region_takes_over_where_the_first_does_not),
        SCENE(a_given_up_home_grows_again_and_gets_its_topic_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
