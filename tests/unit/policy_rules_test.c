/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy a topic falls under, whether a cluster can keep it, whether a change weakens it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "policy/policy.h"
#include "tests/lib/test.h"

static struct policy named(const char *name, int32_t priority, const char *a, const char *b)
{
    struct policy p = policy_default();

    (void)snprintf(p.name, sizeof p.name, "%s", name);
    p.priority = priority;
    (void)snprintf(p.patterns[p.pattern_count++], POLICY_PATTERN_MAX, "%s", a);
    if (b != NULL) {
        (void)snprintf(p.patterns[p.pattern_count++], POLICY_PATTERN_MAX, "%s", b);
    }
    return p;
}

static void explicit_names_win_then_the_highest_priority(void **state)
{
    const struct policy all[] = {
        named("low", 1, "*", NULL),
        named("pay", 5, "pay*", "*-cash"),
        named("exact", -9, "payments", NULL),
        named("mid", 3, "a*b*c", NULL),
    };
    const struct {
        const char *topic;
        const char *policy;
    } rows[] = {
        {"payments", "exact"}, {"payments2", "pay"}, {"pay", "pay"},     {"pa", "low"},
        {"x-cash", "pay"},     {"-cash", "pay"},     {"x-cash-", "low"}, {"abc", "mid"},
        {"aXbYbZc", "mid"},    {"abcd", "low"},      {"aXc", "low"},     {"aabbcc", "mid"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct policy *found = policy_match(all, ARRAY_COUNT(all), rows[i].topic);
        assert_non_null(found);
        assert_string_equal(found->name, rows[i].policy);
    }
    assert_null(policy_match(all + 1, 3, "other"));
    assert_null(policy_match(NULL, 0, "other"));
}

static size_t problems(const struct policy *a, const struct policy *b)
{
    struct policy_set set = {.count = 2};

    set.policies = mem_new(2 * sizeof *set.policies);
    set.policies[0] = *a;
    set.policies[1] = *b;
    policy_set_check(&set);
    size_t count = set.problem_count;
    policy_set_fini(&set);
    return count;
}

static void overlaps_of_equal_priority_are_problems(void **state)
{
    const struct {
        const char *a;
        const char *b;
        bool overlap;
    } rows[] = {
        {"a*", "*b", true},      {"a*", "b*", false},  {"*", "x", false}, /* an exact name wins */
        {"x", "x", true},        {"a*c", "ab*", true}, {"a*c", "*d", false},
        {"*a*", "*b*", true},    {"a*", "a*", true},   {"ab*", "a*b", true},
        {"a*bc", "a*bd", false}, {"**", "q*", true},   {"abc*", "ab*d", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct policy a = named("a", 1, rows[i].a, NULL);
        struct policy b = named("b", 1, rows[i].b, NULL);
        if ((problems(&a, &b) == 1) != rows[i].overlap) {
            print_message("%s %s\n", rows[i].a, rows[i].b);
        }
        assert_int_equal(problems(&a, &b), rows[i].overlap);
        assert_int_equal(problems(&b, &a), rows[i].overlap);
        b.priority = 2;
        bool exact = strchr(rows[i].a, '*') == NULL && strchr(rows[i].b, '*') == NULL;
        assert_int_equal(problems(&a, &b), rows[i].overlap && exact);
    }
    struct policy same = named("same", 0, "a", NULL);
    struct policy other = named("same", 0, "b", NULL);
    assert_int_equal(problems(&same, &other), 1);
}

static void what_a_cluster_cannot_keep_is_told(void **state)
{
    static const char regions[3][WIRE_NAME_MAX] = {"eu-west", "eu-central", "eu-north"};
    static const uint32_t nodes[3] = {2, 1, 0};
    struct policy p = named("p", 0, "p", NULL);
    char why[256];

    (void)state;
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), 0);
    p.ack = 3;
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), TERN_EPOLICY);
    assert_string_equal(why, "policy p wants 3 regions to acknowledge, 2 have nodes for it");
    p.ack = 2;
    p.copies = 2;
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), TERN_EPOLICY);
    assert_string_equal(why, "policy p wants 2 copies in region eu-central, which has 1 nodes");
    p.copies = 1;
    p.region_count = 1;
    (void)snprintf(p.regions[0], WIRE_NAME_MAX, "us-east");
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), TERN_EPOLICY);
    assert_string_equal(why, "policy p names region us-east, which the cluster does not have");
    p.region_count = 0;
    p.prefer_count = 1;
    (void)snprintf(p.prefer[0], WIRE_NAME_MAX, "us-east");
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), TERN_EPOLICY);
    p.prefer_count = 0;
    p.mode = POLICY_ASYNC;
    p.ack = 1;
    (void)snprintf(p.home, WIRE_NAME_MAX, "eu-north");
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), TERN_EPOLICY);
    (void)snprintf(p.home, WIRE_NAME_MAX, "eu-west");
    assert_int_equal(policy_satisfiable(&p, regions, nodes, 3, why), 0);
}

static struct policy critical(void)
{
    struct policy p = named("p", 0, "p", NULL);

    p.critical = true;
    p.ack = 3;
    p.copies = 2;
    return p;
}

static void whatever_promises_less_is_a_weakening(void **state)
{
    struct policy from = critical();
    struct policy to = from;
    char why[256];

    (void)state;
    assert_false(policy_weakens(&from, &to, why));
#define CHANGED(change, expected)                                                                  \
    do {                                                                                           \
        to = from;                                                                                 \
        change;                                                                                    \
        assert_int_equal(policy_weakens(&from, &to, why), expected);                               \
    } while (0)
    CHANGED(to.critical = false, true);
    CHANGED(to.mode = POLICY_ASYNC, true);
    CHANGED(to.ack = 2, true);
    CHANGED(to.copies = 1, true);
    CHANGED(to.copies = 3, false);
    CHANGED(to.on_region_loss = POLICY_LOSS_DEGRADE, true);
    CHANGED(to.region_count = 2, true);
    CHANGED(to.retention_ms = 1, true);
    CHANGED(to.retention_ms = -1, false);
    CHANGED(to.retention_bytes = 1, true);
    CHANGED(to.partitions = 9, false);
    CHANGED(to.prefer_count = 1, false);
    from.mode = POLICY_ASYNC;
    from.critical = false;
    from.rpo_time_ms = 5000;
    from.rpo_survive = 2;
    CHANGED(to.rpo_time_ms = 6000, true);
    CHANGED(to.rpo_time_ms = 0, true);
    CHANGED(to.rpo_time_ms = 4000, false);
    CHANGED(to.rpo_bytes = 1, false);
    CHANGED(to.on_breach = POLICY_BREACH_REFUSE, false);
    CHANGED(to.on_breach = POLICY_BREACH_REPORT, true);
    CHANGED(to.rpo_survive = 1, true);
    CHANGED(to.failover = POLICY_FAILOVER_AUTO, true);
    CHANGED(to.mode = POLICY_SYNC, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explicit_names_win_then_the_highest_priority),
        cmocka_unit_test(overlaps_of_equal_priority_are_problems),
        cmocka_unit_test(what_a_cluster_cannot_keep_is_told),
        cmocka_unit_test(whatever_promises_less_is_a_weakening),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
