/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader sends, and by which channel. */
#include "base/trace.h"
#include "tests/unit/agent_rig.h"

static unsigned pushes(const struct rig *rig, enum wire_channel channel)
{
    return rig->wire.sent[channel][MESH_PUSH];
}

static void who_is_behind_catches_up_apart_from_what_is_live(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    for (int i = 0; i < 3; i++) {
        rig_produce(&rig, p);
    }
    assert_int_equal(store_recent_start(p->log), 3);
    rig_answer(&rig, 0); /* it is there now, and has nothing */
    assert_true(pushes(&rig, WIRE_CATCH_UP) > 0);
    assert_int_equal(pushes(&rig, WIRE_DATA), 0);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 3);
    rig_ack(&rig, 3);
    unsigned before = pushes(&rig, WIRE_CATCH_UP);
    rig_produce(&rig, p);
    assert_int_equal(pushes(&rig, WIRE_DATA), 1);
    assert_int_equal(pushes(&rig, WIRE_CATCH_UP), before);
    rig_fini(&rig);
}

static void a_stream_changes_its_channel_when_all_is_acknowledged(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    rig_produce(&rig, p);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 2);
    rig_ack(&rig, 1);
    rig_produce(&rig, p); /* live, but the second record may still be in the other channel */
    assert_int_equal(pushes(&rig, WIRE_DATA), 0);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 2);
    rig_ack(&rig, 2);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 3);
    rig_fini(&rig);
}

static void a_lost_catch_up_channel_begins_its_streams_anew(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    unsigned fences = rig.wire.sent[WIRE_CONTROL][MESH_FENCES];
    rig.wire.handler->peer_down(rig.wire.ctx, 2, WIRE_CATCH_UP);
    rig_settle(&rig);
    assert_int_equal(rig.wire.sent[WIRE_CONTROL][MESH_FENCES], fences + 1);
    rig_answer(&rig, 0); /* what was in the channel did not arrive: by the channel that is left */
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 1);
    assert_true(pushes(&rig, WIRE_DATA) > 0);
    rig_fini(&rig);
}

static void a_mark_that_found_no_room_is_told_again(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    rig.wire.full = true;
    rig_ack(&rig, 1); /* committed: node 2 wants to know, too */
    assert_int_equal(p->replica.leader_hw, 1);
    assert_int_not_equal(replica_peer_of(&p->replica, 2)->hw_told, 1);
    rig.wire.full = false;
    rig.wire.handler->peer_drained(rig.wire.ctx, 2, WIRE_CONTROL);
    rig_settle(&rig);
    assert_int_equal(rig.wire.sent[WIRE_CONTROL][MESH_MARKS], 1);
    assert_int_equal(replica_peer_of(&p->replica, 2)->hw_told, 1);
    rig_fini(&rig);
}

/* Acknowledged up to 2, and now its log ends at 1: the same disk has forgotten. */
static void a_follower_that_holds_less_than_it_acknowledged_is_reported(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    rig_produce(&rig, p);
    rig_produce(&rig, p);
    rig_answer(&rig, 0);
    rig_ack(&rig, 2);
    struct replica_out out = {0};
    replica_peer_up(&p->replica, node_now_ms(rig.node), 2, &out); /* it connects anew */
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    rig_answer(&rig, 1);
    assert_int_equal(rig.node->reports.count, 1);
    assert_int_equal(rig.node->reports.items[0].kind, REPORT_AMNESIA);
    assert_int_equal(rig.node->reports.items[0].incarnation, 1);
    assert_int_not_equal(replica_peer_of(&p->replica, 2)->state, PEER_STREAMING);
    rig_fini(&rig);
}

/* No room in the socket's queue, and nobody else wakes it: the acknowledgements do, or the tick. */
static void what_found_no_room_goes_on_when_there_is_some(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    rig_answer(&rig, 0);
    rig.wire.queued = PUSH_QUEUE_MAX;
    rig_produce(&rig, p);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 0);
    rig.wire.queued = 0;
    fake_clock_run(&rig.clock, 2 * NODE_TICK_MS * 1000);
    rig_settle(&rig);
    assert_int_equal(replica_peer_of(&p->replica, 2)->next, 1);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_behind_catches_up_apart_from_what_is_live),
        cmocka_unit_test(a_stream_changes_its_channel_when_all_is_acknowledged),
        cmocka_unit_test(a_lost_catch_up_channel_begins_its_streams_anew),
        cmocka_unit_test(a_follower_that_holds_less_than_it_acknowledged_is_reported),
        cmocka_unit_test(what_found_no_room_goes_on_when_there_is_some),
        cmocka_unit_test(a_mark_that_found_no_room_is_told_again),
    };

    trace_set_level(TRACE_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
