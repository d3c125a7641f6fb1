/* SPDX-License-Identifier: Apache-2.0 */
/* When a round of decisions may wait, as it does most of the time in a cluster that is well. */
#include "control/decide.h"
#include "tests/unit/control_fixture.h"

/* Three nodes that are well, and a round that found nothing at 1,000 ms. */
struct scene {
    struct control_fixture f;
    struct decide_view view;
    struct decide_pending pending;
    struct decide_calm calm;
};

static int set_up(void **state)
{
    struct scene *s = mem_new(sizeof *s);

    control_fixture_init(&s->f);
    control_fixture_found(&s->f);
    for (uint32_t n = 1; n <= 3; n++) {
        s->view.nodes[n] = (struct decide_node){
            .reachable = true, .registered = true, .applied_index = UINT64_MAX};
    }
    s->view.now_ms = 1000;
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    s->view.now_ms = 1020;
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;

    control_fixture_fini(&s->f);
    free(s);
    return 0;
}

static bool waits(const struct scene *s)
{
    return decide_may_wait(&s->calm, s->f.control, &s->view, &s->pending);
}

static void a_cluster_that_is_well_is_looked_through_half_a_second_later(void **state)
{
    struct scene *s = *state;

    assert_true(waits(s));
    s->view.now_ms = 1000 + DECIDE_CALM_MS - 1;
    assert_true(waits(s));
    s->view.now_ms = 1000 + DECIDE_CALM_MS;
    assert_false(waits(s));
}

/* Rounds that find nothing, until the wait grows no more; how long it is then. */
static uint64_t calm_down(struct scene *s)
{
    for (int i = 0; i < 10; i++) {
        s->view.now_ms = s->calm.at_ms + s->calm.wait_ms;
        assert_false(waits(s));
        decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    }
    return s->calm.wait_ms;
}

static void the_longer_nothing_is_found_the_rarer_it_is_looked_for_within_bounds(void **state)
{
    struct scene *s = *state;

    s->view.now_ms = 1000 + DECIDE_CALM_MS;
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_int_equal(s->calm.wait_ms, 2 * DECIDE_CALM_MS);
    assert_int_equal(calm_down(s), DECIDE_CALM_MAX_MS);
}

static void whatever_happens_makes_rounds_frequent_again(void **state)
{
    struct scene *s = *state;

    (void)calm_down(s);
    decide_calm_round(&s->calm, s->f.control, &s->view, 1);
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_int_equal(s->calm.wait_ms, DECIDE_CALM_MS);
    (void)calm_down(s);
    s->view.report_count = 1;
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_int_equal(s->calm.wait_ms, DECIDE_CALM_MS);
    s->view.report_count = 0;
    (void)calm_down(s);
    s->view.nodes[2].reachable = false;
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_int_equal(s->calm.wait_ms, DECIDE_CALM_MS);
    s->view.nodes[2].reachable = true;
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    (void)calm_down(s);
    assert_int_equal(control_fixture_start(&s->f, 3, "eu-north", 2), 0);
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_int_equal(s->calm.wait_ms, DECIDE_CALM_MS);
}

static void the_first_round_and_one_after_a_decision_are_at_once(void **state)
{
    struct scene *s = *state;

    s->calm = (struct decide_calm){0};
    assert_false(waits(s));
    decide_calm_round(&s->calm, s->f.control, &s->view, 1);
    assert_false(waits(s));
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_true(waits(s));
}

static void a_node_that_goes_is_not_waited_with_nor_while_it_is_away(void **state)
{
    struct scene *s = *state;

    s->view.nodes[2].reachable = false;
    assert_false(waits(s));
    decide_calm_round(&s->calm, s->f.control, &s->view, 0); /* nothing could be decided yet */
    assert_false(waits(s));
    s->view.nodes[2].reachable = true;
    assert_false(waits(s)); /* it is back: that is news, too */
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_true(waits(s));
}

static void a_full_a_late_and_an_unregistered_node_are_not_well(void **state)
{
    struct scene *s = *state;

    s->view.nodes[3].full = true;
    assert_false(waits(s));
    s->view.nodes[3].full = false;
    s->view.nodes[3].applied_index = s->f.control->applied_index - 1;
    assert_false(waits(s));
    s->view.nodes[3].applied_index = s->f.control->applied_index;
    assert_true(waits(s));
    s->view.nodes[3].registered = false;
    assert_false(waits(s));
}

static void reports_new_entries_and_what_is_not_known_are_looked_at_at_once(void **state)
{
    struct scene *s = *state;

    s->view.report_count = 1;
    assert_false(waits(s));
    s->view.report_count = 0;
    s->pending.unknown = true;
    assert_false(waits(s));
    s->pending.unknown = false;
    assert_true(waits(s));
    assert_int_equal(control_fixture_start(&s->f, 3, "eu-north", 2), 0);
    assert_false(waits(s));
}

static void a_node_that_was_removed_need_not_be_there(void **state)
{
    struct scene *s = *state;

    s->f.control->nodes[3].removed = true;
    s->view.nodes[3] = (struct decide_node){0};
    assert_false(waits(s)); /* its going is news */
    decide_calm_round(&s->calm, s->f.control, &s->view, 0);
    assert_true(waits(s));
}

int main(void)
{
#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_SCENE(a_cluster_that_is_well_is_looked_through_half_a_second_later),
        WITH_SCENE(the_longer_nothing_is_found_the_rarer_it_is_looked_for_within_bounds),
        WITH_SCENE(whatever_happens_makes_rounds_frequent_again),
        WITH_SCENE(the_first_round_and_one_after_a_decision_are_at_once),
        WITH_SCENE(a_node_that_goes_is_not_waited_with_nor_while_it_is_away),
        WITH_SCENE(a_full_a_late_and_an_unregistered_node_are_not_well),
        WITH_SCENE(reports_new_entries_and_what_is_not_known_are_looked_at_at_once),
        WITH_SCENE(a_node_that_was_removed_need_not_be_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
