/* SPDX-License-Identifier: Apache-2.0 */
/* What heartbeats tell of the way between two nodes. */
#include "mesh.pb-c.h"
#include "tests/unit/agent_rig.h"

#define RTT_US 12000

/* Node 2 says at once that it heard what was sent to it so long ago. */
static void echo(struct rig *rig, uint64_t ago_us)
{
    Tern__Mesh__Heartbeat h = TERN__MESH__HEARTBEAT__INIT;
    uint8_t bytes[160];

    h.sent_us = h.echo_us = clock_now_us(&rig->clock.clock) - ago_us;
    h.interval_ms = HEARTBEAT_MS;
    assert_true(tern__mesh__heartbeat__get_packed_size(&h) <= sizeof bytes);
    size_t size = tern__mesh__heartbeat__pack(&h, bytes);
    liveness_heartbeat(rig->node, 2, slice_of(bytes, size));
}

static uint32_t round_trip_us(struct rig *rig)
{
    return samples_at(&rig->node->peers[2].rtt_us, 500);
}

static void the_round_trip_is_the_median_of_what_heartbeats_took(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    fake_clock_run(&rig.clock, 1000000);
    for (unsigned i = 0; i < 20; i++) {
        fake_clock_run(&rig.clock, 100000);
        echo(&rig, i % 4 == 0 ? 20 * RTT_US : RTT_US);
    }
    assert_int_equal(round_trip_us(&rig), RTT_US);
    rig_fini(&rig);
}

/* Found with real nodes: after one had been stopped for three seconds its election time-out was seven
 * and a half for a while. */
static void what_waited_while_this_node_stood_still_is_no_round_trip(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    fake_clock_run(&rig.clock, 5000000);
    for (unsigned i = 0; i < 20; i++) {
        fake_clock_run(&rig.clock, 100000);
        echo(&rig, RTT_US);
    }
    rig.node->awake_us = clock_now_us(&rig.clock.clock);
    for (uint64_t ago_us = 3000000; ago_us > 0; ago_us -= 100000) {
        echo(&rig, ago_us - 1000);
    }
    assert_int_equal(round_trip_us(&rig), RTT_US);
    for (unsigned i = 0; i < 100; i++) { /* a way that has become longer is seen */
        fake_clock_run(&rig.clock, 100000);
        echo(&rig, 5 * RTT_US);
    }
    assert_int_equal(round_trip_us(&rig), 5 * RTT_US);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_round_trip_is_the_median_of_what_heartbeats_took),
        cmocka_unit_test(what_waited_while_this_node_stood_still_is_no_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
