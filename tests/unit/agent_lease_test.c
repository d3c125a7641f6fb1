/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be granted a lease (rule 9): a node of the agent looked at from inside. */
#include "tests/unit/agent_rig.h"

static void the_one_that_has_not_applied_a_lossy_epoch_gets_no_lease(void **state)
{
    struct rig rig;
    (void)state;

    rig_init(&rig);
    struct control_node *known = &rig.node->control->nodes[2];
    struct peer *peer = &rig.node->peers[2];
    controller_role(rig.node, true, 1);
    known->id = 2;
    peer->applied_index = 41;
    assert_true(lease_may(rig.node, 2));
    known->fenced = true; /* its partitions are about to move */
    assert_false(lease_may(rig.node, 2));
    /* A lossy epoch at 42; a heartbeat from before it comes late and has it unfenced. */
    rig.node->lossy_index = 42;
    known->fenced = false;
    assert_false(lease_may(rig.node, 2));
    peer->applied_index = 42;
    assert_true(lease_may(rig.node, 2));
    known->id = 0;
    rig_fini(&rig);
}

static void a_restored_snapshot_may_hold_lossy_epochs(void **state)
{
    struct control_change everything = {.kind = CONTROL_EVERYTHING};
    struct rig rig;
    (void)state;

    rig_init(&rig);
    rig.node->control->applied_index = 9;
    node_follow(rig.node, &everything);
    assert_int_equal(rig.node->lossy_index, 9);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_that_has_not_applied_a_lossy_epoch_gets_no_lease),
        cmocka_unit_test(a_restored_snapshot_may_hold_lossy_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
