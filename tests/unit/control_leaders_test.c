/* SPDX-License-Identifier: Apache-2.0 */
/* Where the controller moves leaders when all is well, one situation after the other: back to where
 * they are preferred, and coordinators to the members of their groups. */
#include "tests/lib/decide_scene.h"

#define DECIDE_SURELY 600000 /* ms: well for so long, it needs no report */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(leaders_are_spread_over_the_replicas_of_a_region),
        SCENE(leaders_go_back_when_the_preferred_node_is_well_and_caught_up),
        SCENE(leaders_go_back_at_last_without_a_report),
        SCENE(a_coordinator_goes_where_clearly_most_members_have_been_for_a_minute),
        SCENE(a_coordinator_stays_where_no_region_has_clearly_more),
        SCENE(a_coordinator_stays_where_the_policy_wants_it),
        SCENE(coordinators_follow_their_members_one_at_a_time),
        SCENE(moves_for_the_better_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
