/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller proposes, one situation after the other. */
#include "base/error.h"
#include "control/decide.h"
#include "tests/unit/control_fixture.h"

#define D       500u
#define OUT_MAX 16

#define DECIDE_SURELY 600000 /* ms: well for so long, it needs no report */

struct scene {
    struct control_fixture f;
    struct decide_view view;
    struct decide_memory *memory;
    struct command_key key;
    struct decide_report reports[8];
    char said[512]; /* names of the commands of the last round */
};

static int setup(void **state)
{
    struct scene *s = mem_new(sizeof *s);

    control_fixture_init(&s->f);
    control_fixture_found(&s->f);
    s->memory = decide_memory_new();
    s->key.client.bytes[0] = 0xdd;
    s->view.now_ms = 100000;
    s->view.suspicion_ms = D;
    s->view.wall_ms = 1000000;
    s->view.lease_ms = 1000;
    for (uint32_t n = 1; n <= 3; n++) {
        s->view.nodes[n] = (struct decide_node){.reachable = true, .registered = true};
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    decide_memory_free(s->memory);
    control_fixture_fini(&s->f);
    free(s);
    return 0;
}

static void pass(struct scene *s, uint64_t millis)
{
    s->view.now_ms += millis;
    s->view.wall_ms += (int64_t)millis;
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if (!s->view.nodes[n].reachable) {
            s->view.nodes[n].silent_ms += millis;
        }
    }
}

/* The node falls silent now; it is unreachable once D has passed. */
static void silence(struct scene *s, uint32_t node, uint64_t silent_ms)
{
    s->view.nodes[node] = (struct decide_node){.silent_ms = silent_ms};
}

static void comes_back(struct scene *s, uint32_t node)
{
    s->view.nodes[node] = (struct decide_node){.reachable = true, .registered = true};
}

static void report(struct scene *s, enum decide_report_kind kind, const struct control_topic *t,
                   node_set nodes, uint64_t millis)
{
    const struct control_partition *p = &t->partitions[0];

    s->reports[s->view.report_count++] = (struct decide_report){.kind = kind,
                                                                .topic_id = t->id,
                                                                .epoch = p->epoch,
                                                                .from = p->leader,
                                                                .nodes = nodes,
                                                                .reaches = nodes,
                                                                .millis = millis};
    s->view.reports = s->reports;
}

/* One round; everything that it proposes is applied. Returns how much that was. */
static size_t round_max(struct scene *s, size_t max)
{
    struct buf out[OUT_MAX] = {{0}};
    size_t count = decide(s->f.control, &s->view, s->memory, &s->key, out, max);

    assert_true(count <= max);
    s->view.report_count = 0;
    s->said[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(s->said);
        (void)snprintf(s->said + len, sizeof s->said - len, "%s%s", i > 0 ? " " : "",
                       command_name(buf_slice(&out[i])));
        buf_put(&s->f.command, buf_slice(&out[i]));
        assert_int_equal(control_fixture_apply(&s->f), 0);
        buf_fini(&out[i]);
    }
    return count;
}

static const char *round_of(struct scene *s)
{
    (void)round_max(s, OUT_MAX);
    return s->said;
}

static struct control_topic *payments(struct scene *s)
{
    struct policy policy = control_fixture_sync();

    return control_fixture_topic(&s->f, "payments", &policy, 1);
}

static struct control_topic *clicks(struct scene *s)
{
    struct policy policy = control_fixture_async();

    return control_fixture_topic(&s->f, "clicks", &policy, 1);
}

static struct control_topic *strict(struct scene *s)
{
    struct policy policy = control_fixture_sync();

    policy.ack = 3;
    policy.on_region_loss = POLICY_LOSS_DEGRADE;
    policy.region_loss_after_ms = 2000;
    return control_fixture_topic(&s->f, "strict", &policy, 1);
}

#define ALL (NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3))

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

/* ---- 7 ------------------------------------------------------------------------------------- */

static void leaders_are_spread_over_the_replicas_of_a_region(void **state)
{
    struct scene *s = *state;
    struct policy policy = control_fixture_sync();
    uint32_t leads[WIRE_NODES_MAX] = {0};

    policy.copies = 2;
    for (uint32_t n = 4; n <= 6; n++) {
        static const char *const regions[] = {"eu-west", "eu-central", "eu-north"};
        assert_int_equal(control_fixture_start(&s->f, n, regions[n - 4], 1), 0);
        comes_back(s, n);
    }
    struct control_topic *t = control_fixture_topic(&s->f, "payments", &policy, 6);
    silence(s, 4, D + 1);
    assert_string_equal(round_of(s), "fence"); /* 1 leads them all now */
    comes_back(s, 4);
    assert_string_equal(round_of(s), "unfence");
    for (uint32_t i = 0; i < 6; i++) {
        leads[t->partitions[i].leader]++;
    }
    assert_int_equal(leads[1], 6);
    pass(s, 29000);
    assert_string_equal(round_of(s), "");
    pass(s, DECIDE_SURELY);
    assert_string_equal(round_of(s), "assign");
    memset(leads, 0, sizeof leads);
    for (uint32_t i = 0; i < 6; i++) {
        leads[t->partitions[i].leader]++;
    }
    assert_int_equal(leads[1], 3);
    assert_int_equal(leads[4], 3);
    pass(s, 31000);
    assert_string_equal(round_of(s), ""); /* and stays so */
}

static void leaders_go_back_when_the_preferred_node_is_well_and_caught_up(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    silence(s, 1, D + 1);
    assert_string_equal(round_of(s), "fence");
    comes_back(s, 1);
    assert_string_equal(round_of(s), "unfence");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "");
    pass(s, 20000);
    silence(s, 1, 1);
    assert_string_equal(round_of(s), ""); /* a hiccup: all begins again */
    comes_back(s, 1);
    assert_string_equal(round_of(s), "");
    pass(s, 30000);
    assert_string_equal(round_of(s), "");
    report(s, REPORT_LEARNER_READY, t, NODE_BIT(1), 0);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(t->partitions[0].leader, 1);
    pass(s, 100000);
    assert_string_equal(round_of(s), "");
}

/* ---- coordinators of consumer groups ------------------------------------------------------- */

static struct control_topic *groups_of(struct scene *s, int32_t partitions)
{
    struct policy policy = control_fixture_sync();

    policy.prefer_count = 0;
    return control_fixture_topic(&s->f, "__consumer_offsets", &policy, partitions);
}

static void report_members(struct scene *s, const struct control_topic *t, uint32_t partition,
                           uint32_t region, uint32_t there, uint32_t here)
{
    const struct control_partition *p = &t->partitions[partition];
    struct decide_report *r = &s->reports[s->view.report_count];

    report(s, REPORT_MEMBERS, t, 0, 0);
    r->partition = (int32_t)partition;
    r->epoch = p->epoch;
    r->from = p->leader;
    r->members[s->f.control->nodes[p->leader].region] = here;
    r->members[region] = there;
    report(s, REPORT_LEARNER_READY, t, ALL & ~NODE_BIT(p->leader), 0);
    r[1].partition = (int32_t)partition;
    r[1].epoch = p->epoch;
    r[1].from = p->leader;
}

/* Members are told every ten seconds, for so long. How often a leader moved. */
static uint32_t members_for(struct scene *s, const struct control_topic *t, uint32_t region,
                            uint32_t there, uint32_t here, uint32_t seconds)
{
    uint32_t moves = 0;

    for (uint32_t i = 0; i <= seconds / 10; i++) {
        for (uint32_t k = 0; k < t->partition_count; k++) {
            report_members(s, t, k, region, there, here);
        }
        moves += strcmp(round_of(s), "assign") == 0;
        pass(s, 10000);
    }
    return moves;
}

static uint32_t other_than(const struct scene *s, const struct control_topic *t)
{
    return s->f.control->nodes[t->partitions[0].leader == 3 ? 2 : 3].region;
}

static void a_coordinator_goes_where_clearly_most_members_have_been_for_a_minute(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = groups_of(s, 1);
    uint32_t region = other_than(s, t);

    assert_string_equal(round_of(s), ""); /* all are well from here on */
    pass(s, 60000);
    assert_int_equal(members_for(s, t, region, 10, 5, 50), 0);
    assert_int_equal(members_for(s, t, region, 10, 5, 0), 1);
    assert_int_equal(s->f.control->nodes[t->partitions[0].leader].region, region);
    assert_int_equal(members_for(s, t, region, 10, 5, 600), 0); /* and stays there */
}

static void a_coordinator_stays_where_no_region_has_clearly_more(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = groups_of(s, 1);
    uint32_t region = other_than(s, t);

    assert_string_equal(round_of(s), "");
    pass(s, 60000);
    assert_int_equal(members_for(s, t, region, 9, 5, 300), 0);
    assert_int_equal(members_for(s, t, region, 1, 0, 300), 0); /* one member is no crowd */
    for (uint32_t i = 0; i < 10; i++) {                        /* nor are many for half a minute */
        assert_int_equal(members_for(s, t, region, 100, 1, 30), 0);
        assert_int_equal(members_for(s, t, region, 1, 100, 10), 0);
    }
    assert_int_equal(members_for(s, t, region, 100, 1, 20), 0);
    for (uint32_t i = 0; i < 10; i++) { /* and what is told no more is not believed for ever */
        pass(s, 10000);
        assert_string_equal(round_of(s), "");
    }
}

static void a_coordinator_stays_where_the_policy_wants_it(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    assert_string_equal(round_of(s), "");
    pass(s, 60000);
    assert_int_equal(members_for(s, t, s->f.control->nodes[3].region, 100, 0, 300), 0);
    assert_int_equal(t->partitions[0].leader, 1);
}

static void coordinators_follow_their_members_one_at_a_time(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = groups_of(s, 3);
    uint32_t region = s->f.control->nodes[3].region;
    uint32_t elsewhere = 0;

    for (uint32_t k = 0; k < 3; k++) {
        elsewhere += s->f.control->nodes[t->partitions[k].leader].region != region;
    }
    assert_int_equal(elsewhere, 2);
    assert_string_equal(round_of(s), "");
    pass(s, 60000);
    assert_int_equal(members_for(s, t, region, 10, 0, 60), 1); /* three partitions, one of them */
    assert_int_equal(members_for(s, t, region, 10, 0, 0), 1);
    for (uint32_t k = 0; k < 3; k++) {
        assert_int_equal(s->f.control->nodes[t->partitions[k].leader].region, region);
    }
}

static void leaders_go_back_at_last_without_a_report(void **state)
{
    struct scene *s = *state;
    struct control_topic *t = payments(s);

    assert_int_equal(control_fixture_fence(&s->f, 1, true), 0);
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), "");
    pass(s, 599999);
    assert_string_equal(round_of(s), "");
    pass(s, 1);
    assert_string_equal(round_of(s), "assign");
    assert_int_equal(t->partitions[0].leader, 1);
}

static void moves_for_the_better_are_bounded(void **state)
{
    struct scene *s = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(&s->f, "wide", &policy, 200);
    uint32_t back = 0;

    assert_int_equal(control_fixture_fence(&s->f, 1, true), 0);
    assert_string_equal(round_of(s), "unfence");
    assert_string_equal(round_of(s), "");
    pass(s, 600000);
    assert_string_equal(round_of(s), "assign");
    for (uint32_t i = 0; i < 200; i++) {
        back += t->partitions[i].leader == 1;
    }
    assert_int_equal(back, 50);
    assert_string_equal(round_of(s), "");
    for (int i = 0; i < 3; i++) {
        pass(s, 1000);
        assert_string_equal(round_of(s), "assign");
    }
    pass(s, 1000);
    assert_string_equal(round_of(s), "");
}

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
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
        SCENE(leaders_are_spread_over_the_replicas_of_a_region),
        SCENE(leaders_go_back_when_the_preferred_node_is_well_and_caught_up),
        SCENE(leaders_go_back_at_last_without_a_report),
        SCENE(a_coordinator_goes_where_clearly_most_members_have_been_for_a_minute),
        SCENE(a_coordinator_stays_where_no_region_has_clearly_more),
        SCENE(a_coordinator_stays_where_the_policy_wants_it),
        SCENE(coordinators_follow_their_members_one_at_a_time),
        SCENE(moves_for_the_better_are_bounded),
        SCENE(a_round_keeps_to_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
