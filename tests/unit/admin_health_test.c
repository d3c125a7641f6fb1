/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "admin/health.h"
#include "tests/unit/control_fixture.h"

#define ALL (NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3))

struct world {
    struct control_fixture fixture;
    struct health_cluster found;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct policy critical = control_fixture_sync();
    struct policy async = control_fixture_async();

    control_fixture_init(&w->fixture);
    control_fixture_found(&w->fixture);
    critical.critical = true;
    assert_non_null(control_fixture_topic(&w->fixture, "payments", &critical, 3));
    assert_non_null(control_fixture_topic(&w->fixture, "clicks", &async, 2));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    control_fixture_fini(&w->fixture);
    free(w);
    return 0;
}

static const struct health_check *check_named(const struct health_cluster *found, const char *code)
{
    for (uint32_t n = 0; n < found->check_count; n++) {
        if (strcmp(found->checks[n].code, code) == 0) {
            return &found->checks[n];
        }
    }
    return NULL;
}

static const struct health_cluster *look(struct world *w, node_set heard, bool leader_known)
{
    struct health_view view = {
        .control = w->fixture.control, .heard = heard, .leader_known = leader_known};

    health_cluster(&view, &w->found);
    return &w->found;
}

static void all_nodes_heard_is_ok(void **state)
{
    const struct health_cluster *found = look(*state, ALL, true);

    assert_int_equal(found->health, HEALTH_OK);
    assert_int_equal(found->check_count, 0);
    assert_int_equal(found->topics, 2);
    assert_int_equal(found->partitions, 5);
    assert_int_equal(found->critical, 1);
    assert_int_equal(found->critical_met, 1);
    assert_int_equal(found->regions_heard, 3);
}

static void one_region_unheard_is_degraded_and_named(void **state)
{
    const struct health_cluster *found = look(*state, ALL & ~NODE_BIT(3), true);

    assert_int_equal(found->health, HEALTH_DEGRADED);
    assert_string_equal(check_named(found, "REGION_UNREACHABLE")->subject, "eu-north");
    assert_string_equal(check_named(found, "NODE_UNREACHABLE")->subject, "node 3");
    assert_non_null(check_named(found, "TOPIC_DEGRADED"));
    assert_int_equal(found->critical_met, 1);
    assert_int_equal(found->regions_heard, 2);
}

static void an_unheard_leader_violates_a_critical_policy(void **state)
{
    const struct health_cluster *found = look(*state, ALL & ~NODE_BIT(1), true);

    assert_int_equal(found->health, HEALTH_VIOLATED);
    assert_string_equal(check_named(found, "POLICY_VIOLATED")->subject, "payments");
    assert_string_equal(check_named(found, "TOPIC_UNAVAILABLE")->subject, "clicks");
    assert_int_equal(found->critical_met, 0);
    assert_int_equal(found->leaderless, 5);
}

static void after_the_fence_a_critical_topic_is_only_degraded(void **state)
{
    struct world *w = *state;
    const struct health_cluster *found;

    assert_int_equal(control_fixture_fence(&w->fixture, 1, true), 0);
    found = look(w, ALL & ~NODE_BIT(1), true);
    assert_null(check_named(found, "POLICY_VIOLATED"));
    assert_int_equal(found->critical_met, 1);
    /* The async one stays at home until a lossy epoch. */
    assert_string_equal(check_named(found, "TOPIC_UNAVAILABLE")->subject, "clicks");
    assert_int_equal(found->health, HEALTH_UNHEALTHY);
}

static void a_fenced_node_that_is_heard_is_named(void **state)
{
    struct world *w = *state;
    const struct health_cluster *found;

    assert_int_equal(control_fixture_fence(&w->fixture, 3, true), 0);
    found = look(w, ALL, true);
    assert_int_equal(found->health, HEALTH_DEGRADED);
    assert_string_equal(check_named(found, "NODE_FENCED")->subject, "node 3");
}

static void two_regions_gone_violate_a_critical_policy(void **state)
{
    const struct health_cluster *found = look(*state, NODE_BIT(1), false);

    assert_int_equal(found->health, HEALTH_VIOLATED);
    assert_non_null(check_named(found, "NO_CONTROLLER"));
    assert_int_equal(found->critical_met, 0);
}

static void no_controller_alone_is_unhealthy(void **state)
{
    const struct health_cluster *found = look(*state, ALL, false);

    assert_int_equal(found->health, HEALTH_UNHEALTHY);
    assert_int_equal(found->check_count, 1);
    assert_string_equal(found->checks[0].code, "NO_CONTROLLER");
}

static void a_node_without_a_cluster_says_how_to_found_one(void **state)
{
    struct control *empty = control_new();
    struct health_view view = {.control = empty, .heard = NODE_BIT(1)};
    struct world *w = *state;

    health_cluster(&view, &w->found);
    assert_int_equal(w->found.health, HEALTH_UNHEALTHY);
    assert_string_equal(w->found.checks[0].code, "NOT_FOUNDED");
    assert_non_null(strstr(w->found.checks[0].text, "tern cluster init"));
    control_free(empty);
}

static void an_open_ledger_entry_is_degraded(void **state)
{
    struct world *w = *state;
    struct control_ledger_entry entry = {.kind = LEDGER_DEGRADED,
                                         .topic = "payments",
                                         .first_offset = -1,
                                         .end_offset = -1,
                                         .since_wall_ms = 1000};

    command_ledger(&w->fixture.command, control_fixture_key(&w->fixture), &entry);
    assert_int_equal(control_fixture_apply(&w->fixture), 0);
    assert_int_equal(look(w, ALL, true)->ledger_open, 1);
    assert_non_null(check_named(&w->found, "LEDGER_OPEN"));
    assert_int_equal(w->found.health, HEALTH_DEGRADED);
}

static void when_there_is_no_room_the_worst_findings_stay(void **state)
{
    struct health_cluster found = {0};

    (void)state;
    for (int n = 0; n < HEALTH_CHECKS_MAX + 10; n++) {
        health_add(&found, "SMALL", HEALTH_DEGRADED, "x", "number %d", n);
    }
    health_add(&found, "BIG", HEALTH_VIOLATED, "y", "%s", "z");
    assert_int_equal(found.check_count, HEALTH_CHECKS_MAX);
    assert_non_null(check_named(&found, "BIG"));
    assert_int_equal(found.health, HEALTH_VIOLATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_nodes_heard_is_ok, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_region_unheard_is_degraded_and_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_unheard_leader_violates_a_critical_policy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_the_fence_a_critical_topic_is_only_degraded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_fenced_node_that_is_heard_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_regions_gone_violate_a_critical_policy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_controller_alone_is_unhealthy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_without_a_cluster_says_how_to_found_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_open_ledger_entry_is_degraded, set_up, tear_down),
        cmocka_unit_test(when_there_is_no_room_the_worst_findings_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
