/* SPDX-License-Identifier: Apache-2.0 */
/* Where consumers read: node 1 leads here, node 2 has a copy there. */
#include <stdio.h>

#include "agent/nearest.h"
#include "tests/unit/agent_rig.h"

static struct control_partition *control_knows(struct rig *rig)
{
    struct control *control = rig->node->control;
    struct control_topic *topic = mem_new(sizeof *topic);

    for (uint32_t i = 0; i < 2; i++) {
        struct control_node *node = &control->nodes[i + 1];
        (void)snprintf(control->regions[i].name, sizeof control->regions[i].name, "%s",
                       i == 0 ? "here" : "there");
        node->id = i + 1;
        node->region = i;
        node->kafka_port = 9092;
        (void)snprintf(node->rack, sizeof node->rack, "%s", i == 0 ? "one" : "two");
    }
    topic->id = rig->topic_id;
    topic->partition_count = 1;
    topic->partitions = mem_new(sizeof *topic->partitions);
    topic->partitions[0].epoch = 1;
    topic->partitions[0].leader = 1;
    (void)snprintf(topic->name, sizeof topic->name, "t");
    HASH_ADD(by_name, control->by_name, name, 1, topic);
    HASH_ADD(by_id, control->by_id, id, sizeof topic->id, topic);
    return &topic->partitions[0];
}

static void pass_ms(struct rig *rig, uint64_t ms, bool heard)
{
    fake_clock_run(&rig->clock, ms * 1000);
    if (heard) {
        rig->node->peers[2].heard_us = clock_now_us(rig->node->o.clock);
    }
}

static enum nearest where(struct partition *p, const char *rack, int64_t offset)
{
    uint32_t node = 0;
    enum nearest nearest = nearest_reader(p, slice_text(rack), offset, &node);

    assert_int_equal(node, nearest == NEAREST_OTHER ? 2 : 0);
    return nearest;
}

static void a_consumer_is_sent_to_the_copy_in_its_region_that_holds_what_it_wants(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    (void)control_knows(&rig);
    rig_produce(&rig, p);
    rig_produce(&rig, p);
    pass_ms(&rig, 1, true);
    assert_int_equal(where(p, "there", 0),
                     NEAREST_SOON); /* a new leader: it has not followed yet */
    assert_int_equal(where(p, "here", 0), NEAREST_HERE);
    rig_answer(&rig, 0);
    rig_ack(&rig, 1);
    pass_ms(&rig, NEAREST_SETTLE_MS, true);
    rig_produce(&rig, p);
    rig_ack(&rig, 3);
    pass_ms(&rig, 1, true);
    assert_int_equal(where(p, "there", 3), NEAREST_OTHER);
    assert_int_equal(where(p, "there/two", 0), NEAREST_OTHER);
    assert_int_equal(where(p, "there/three", 0), NEAREST_OTHER);
    assert_int_equal(where(p, "two", 0), NEAREST_OTHER);
    assert_int_equal(where(p, "here/one", 0), NEAREST_HERE);
    assert_int_equal(where(p, "here/two", 0), NEAREST_HERE);
    assert_int_equal(where(p, "elsewhere", 0), NEAREST_HERE);
    assert_int_equal(where(p, "thereabouts", 0), NEAREST_HERE);
    assert_int_equal(where(p, "", 0), NEAREST_HERE);
    rig_fini(&rig);
}

/* It was told of a log start by the leader before us, who has not told us. */
static void a_copy_that_has_deleted_what_is_wanted_is_no_place_to_read(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    (void)control_knows(&rig);
    rig_produce(&rig, p);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    rig_ack(&rig, 2);
    pass_ms(&rig, NEAREST_SETTLE_MS, true);
    assert_int_equal(p->replica.peers[0].node, 2);
    p->replica.peers[0].log_start = 1;
    assert_int_equal(where(p, "there", 0), NEAREST_HERE);
    assert_int_equal(where(p, "there", 1), NEAREST_OTHER);
    rig_fini(&rig);
}

static void a_copy_that_lags_is_silent_or_fenced_is_no_place_to_read(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    (void)control_knows(&rig);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    rig_ack(&rig, 1);
    pass_ms(&rig, NEAREST_SETTLE_MS, true);
    assert_int_equal(where(p, "there", 1), NEAREST_OTHER);
    rig_produce(&rig, p);
    assert_int_equal(where(p, "there", 1), NEAREST_OTHER); /* it is on its way */
    assert_int_equal(where(p, "there", 2), NEAREST_HERE);  /* not there yet */
    pass_ms(&rig, NEAREST_LAG_MS + 1, true);
    assert_int_equal(where(p, "there", 1), NEAREST_HERE);
    rig_ack(&rig, 2);
    rig.node->peers[2].heard_us = clock_now_us(rig.node->o.clock);
    assert_int_equal(where(p, "there", 1), NEAREST_OTHER);
    rig.node->control->nodes[2].fenced = true;
    assert_int_equal(where(p, "there", 1), NEAREST_HERE);
    rig.node->control->nodes[2].fenced = false;
    pass_ms(&rig, 60000, false); /* nothing is heard of it */
    assert_int_equal(where(p, "there", 1), NEAREST_HERE);
    rig_fini(&rig);
}

static void a_follower_that_does_not_get_on_sends_its_consumers_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = partition_find(rig.node, rig.topic_id, 0);
    struct control_partition *cp = control_knows(&rig);
    cp->leader = 2;
    p->replica.leader = 2;
    p->replica.promised = p->replica.synced = p->replica.synced_durable = 1;
    p->replica.hw = p->replica.leader_hw = 7;
    pass_ms(&rig, 100000, true);
    assert_false(nearest_is_stale(p));
    for (int i = 0; i < 30;
         i++) { /* a steady stream: what it is told of, it shows a little later */
        p->replica.hw = p->replica.leader_hw;
        p->replica.leader_hw += 10;
        pass_ms(&rig, 500, true);
        assert_false(nearest_is_stale(p));
    }
    for (int i = 0; i < 9; i++) { /* it is told of more, and shows nothing */
        p->replica.leader_hw += 10;
        pass_ms(&rig, 500, true);
        assert_false(nearest_is_stale(p));
    }
    pass_ms(&rig, 1500, true);
    assert_true(nearest_is_stale(p));
    cp->leader = 0; /* there is no better place */
    assert_false(nearest_is_stale(p));
    cp->leader = 2;
    p->replica.hw = p->replica.leader_hw;
    assert_false(nearest_is_stale(p));
    pass_ms(&rig, 3000, false);
    assert_false(nearest_is_stale(p));
    pass_ms(&rig, 3000, false); /* its leader is not heard */
    assert_true(nearest_is_stale(p));
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_consumer_is_sent_to_the_copy_in_its_region_that_holds_what_it_wants),
        cmocka_unit_test(a_copy_that_has_deleted_what_is_wanted_is_no_place_to_read),
        cmocka_unit_test(a_copy_that_lags_is_silent_or_fenced_is_no_place_to_read),
        cmocka_unit_test(a_follower_that_does_not_get_on_sends_its_consumers_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
