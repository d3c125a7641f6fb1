/* SPDX-License-Identifier: Apache-2.0 */
/* When a leader tells a producer that a batch is out of order, and when it only says "not now". */
#include "agent/api/produce.h"
#include "base/error.h"
#include "tests/unit/agent_rig.h"

static struct partition *leads(struct rig *rig, int32_t epoch)
{
    rig_init(rig);
    struct partition *p = partition_find(rig->node, rig->topic_id, 0);
    fake_clock_run(&rig->clock, 60000000);
    p->replica.spec.epoch = epoch;
    p->replica.role_since_ms = node_now_ms(rig->node);
    return p;
}

/* So much later, with heartbeats meanwhile. */
static int judged_after(struct rig *rig, struct partition *p, uint64_t ms, int status)
{
    for (uint64_t i = 0; i < ms / 50; i++) {
        fake_clock_run(&rig->clock, 50000);
    }
    return produce_judge(p, status);
}

static void a_leader_of_the_first_epoch_knows_all_that_was_refused(void **state)
{
    struct rig rig;
    struct partition *p = leads(&rig, 1);

    (void)state;
    assert_int_equal(judged_after(&rig, p, 100, TERN_EOUTOFORDER), TERN_EOUTOFORDER);
    assert_int_equal(produce_judge(p, TERN_ENOTLEADER), TERN_ENOTLEADER);
    assert_int_equal(judged_after(&rig, p, 9000, TERN_EOUTOFORDER), TERN_ENOTLEADER);
    assert_int_equal(judged_after(&rig, p, 2000, TERN_EOUTOFORDER), TERN_EOUTOFORDER);
    rig_fini(&rig);
}

/* Found by the live test that kills the whole cluster: what came before had been refused by the leader of
 * before, librdkafka 2.0.2 sent what was behind it first. */
static void a_new_leader_does_not_know_what_was_refused_before_it(void **state)
{
    struct rig rig;
    struct partition *p = leads(&rig, 2);

    (void)state;
    assert_int_equal(judged_after(&rig, p, 1000, TERN_EOUTOFORDER), TERN_ENOTLEADER);
    assert_int_equal(judged_after(&rig, p, 10000, TERN_EOUTOFORDER), TERN_EOUTOFORDER);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_of_the_first_epoch_knows_all_that_was_refused),
        cmocka_unit_test(a_new_leader_does_not_know_what_was_refused_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
