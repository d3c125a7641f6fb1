/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that were idle are warmed up when a peer may be about to be replaced. */
#include "tests/unit/agent_rig.h"

#define WARM_UPS(rig) ((rig)->wire.sent[WIRE_DATA][MESH_WARM_UP])

static void three_nodes(struct rig *rig)
{
    struct wire_hello third = {.node_id = 3, .format_version = WIRE_FORMAT_VERSION};

    rig_init(rig);
    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        rig->wire.handler->peer_up(rig->wire.ctx, &third, (enum wire_channel)i);
    }
    fake_clock_run(&rig->clock, 1000); /* at 0 nobody was ever heard */
}

/* A tenth of a second, in which node 3 says something, and node 2 perhaps. */
static void pass(struct rig *rig, bool both)
{
    for (uint32_t id = both ? 2 : 3; id <= 3; id++) {
        rig->wire.handler->peer_frame(rig->wire.ctx, id, WIRE_DATA, MESH_WARM_UP, (struct slice){0},
                                      (struct chunk){0});
    }
    fake_clock_run(&rig->clock, 100000);
    rig_settle(rig);
}

static void when_a_peer_falls_silent_the_others_connection_is_kept_warm_for_a_while(void **state)
{
    struct rig rig;

    (void)state;
    three_nodes(&rig);
    for (unsigned i = 0; i < 10; i++) {
        pass(&rig, true);
    }
    assert_int_equal(WARM_UPS(&rig), 0);
    pass(&rig, false);
    assert_int_equal(WARM_UPS(&rig), 0); /* a heartbeat may be late */
    for (unsigned i = 0; i < 3; i++) {
        pass(&rig, false);
    }
    assert_int_equal(WARM_UPS(&rig), 1); /* to node 3 */
    for (unsigned i = 0; i < 20; i++) {
        pass(&rig, false);
    }
    assert_int_equal(WARM_UPS(&rig), 6); /* a window that is not used closes */
    for (unsigned i = 0; i < 300; i++) {
        pass(&rig, false);
    }
    assert_int_equal(WARM_UPS(&rig), 20); /* eight seconds of it */
    rig_fini(&rig);
}

static void a_connection_that_ends_is_sign_enough_but_not_every_time(void **state)
{
    struct rig rig;
    struct wire_hello second = {.node_id = 2, .format_version = WIRE_FORMAT_VERSION};

    (void)state;
    three_nodes(&rig);
    pass(&rig, true);
    for (unsigned i = 0; i < 20; i++) {
        rig.wire.handler->peer_down(rig.wire.ctx, 2, WIRE_DATA);
        rig.wire.handler->peer_down(rig.wire.ctx, 2, WIRE_CONTROL);
        rig.wire.handler->peer_up(rig.wire.ctx, &second, WIRE_CONTROL);
        pass(&rig, true);
    }
    assert_int_equal(WARM_UPS(&rig), 5); /* in two seconds */
    rig_fini(&rig);
}

static void one_that_carries_much_is_warm(void **state)
{
    struct rig rig;

    (void)state;
    three_nodes(&rig);
    pass(&rig, true);
    rig.node->peers[3].flows[WIRE_DATA].pushed_bytes += 100000;
    rig.wire.handler->peer_down(rig.wire.ctx, 2, WIRE_DATA);
    rig.wire.handler->peer_down(rig.wire.ctx, 2, WIRE_CONTROL);
    assert_int_equal(WARM_UPS(&rig), 0);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_a_peer_falls_silent_the_others_connection_is_kept_warm_for_a_while),
        cmocka_unit_test(a_connection_that_ends_is_sign_enough_but_not_every_time),
        cmocka_unit_test(one_that_carries_much_is_warm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
