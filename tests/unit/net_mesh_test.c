/* SPDX-License-Identifier: Apache-2.0 */
/* The peer mesh over loopback TLS: frames, refusals, restarts, hostile bytes. */
#include "net/mesh.h"
#include "tests/lib/fake_clock.h"
#include "tests/unit/net_peers.h"

struct ups_wanted {
    const struct peer_log *log;
    unsigned ups;
};

static bool came_up(void *ctx)
{
    const struct ups_wanted *wanted = ctx;

    return wanted->log->ups[2][WIRE_CONTROL] >= wanted->ups;
}

/* New files are used by the next connection; one of somebody else is refused, and nothing changes. */
static void certificates_are_read_again(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    char ca[100];
    char crt[2][100];
    char key[2][100];
    char why[256] = "";

    (void)state;
    two_up(&rig, &one, &two, NULL);
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", rig.directory);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(crt[i], sizeof crt[i], "%s/node-%d.crt", rig.directory, i + 1);
        (void)snprintf(key[i], sizeof key[i], "%s/node-%d.key", rig.directory, i + 1);
    }
    assert_int_equal(net_reload_certs(rig.nets[1], ca, crt[1], key[1], why), TERN_EIDENTITY);
    assert_non_null(strstr(why, "node 2"));
    assert_int_equal(net_reload_certs(rig.nets[1], ca, "/no/such", key[0], why), TERN_ENOENT);
    assert_int_equal(unlink(crt[0]), 0);
    assert_int_equal(unlink(key[0]), 0);
    rig_cert(rig.directory, 1, "eu-west"); /* another key */
    assert_int_equal(net_reload_certs(rig.nets[1], ca, crt[0], key[0], why), 0);
    struct pair pair = {&one, &two, 1, 2};
    assert_true(both_up(&pair)); /* what is open stays */
    assert_true(send_number(&one, 2, WIRE_DATA, 0, 1000));
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&two, 1}, 5000));
    one.wire->ops->drop_peer(one.wire, 2);
    unsigned ups = one.ups[2][WIRE_CONTROL] + 1;
    struct ups_wanted wanted = {&one, ups};
    assert_true(rig_until(&rig, came_up, &wanted, 5000));
    rig_fini(&rig);
}

static void frames_arrive_in_order_both_ways_on_both_channels(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    static const size_t tails[] = {0, 1, 100, 4095, 4096, 16384, 70000, 1000000};

    (void)state;
    two_up(&rig, &one, &two, NULL);
    for (uint64_t i = 0; i < 200; i++) {
        size_t tail = tails[i % (sizeof tails / sizeof tails[0])] / (i < 24 ? 1 : 50);
        for (unsigned channel = 0; channel < WIRE_CHANNELS; channel++) {
            assert_true(send_number(&one, 2, (enum wire_channel)channel, i, tail));
            assert_true(send_number(&two, 1, (enum wire_channel)channel, i, tail));
        }
    }
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&one, 400}, 5000));
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&two, 400}, 5000));
    assert_false(one.out_of_order || two.out_of_order || one.bad_tail || two.bad_tail);
    assert_int_equal(one.ups[2][WIRE_CONTROL], 1);
    assert_int_equal(two.ups[1][WIRE_DATA], 1);
    assert_int_equal(rig_line_count, 0);
    rig_fini(&rig);
    assert_int_equal(one.downs[2][WIRE_CONTROL] + two.downs[1][WIRE_CONTROL], 2);
}

static void tails_of_many_megabytes_arrive_whole(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};

    (void)state;
    two_up(&rig, &one, &two, NULL);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(send_number(&one, 2, WIRE_DATA, i, 12 << 20));
        assert_true(send_number(&two, 1, WIRE_CONTROL, i, (i + 3) << 20));
    }
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&two, 2}, 20000));
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&one, 2}, 20000));
    assert_int_equal(two.tail_bytes, 24 << 20);
    assert_false(one.out_of_order || two.out_of_order || one.bad_tail || two.bad_tail);
    rig_fini(&rig);
}

static void a_joiner_that_nobody_knows_dials_by_itself(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log three = {0};
    struct pair pair = {&one, &three, 1, 3};

    (void)state;
    rig_init(&rig);
    start(&rig, 1, &one, NULL);
    start(&rig, 3, &three, NULL);
    introduce(&rig, &three, 1);
    assert_true(rig_until(&rig, both_up, &pair, 5000));
    introduce(&rig, &one, 3); /* learned later: changes nothing */
    rig_run_ms(&rig, 100);
    assert_int_equal(one.ups[3][WIRE_CONTROL], 1);
    assert_int_equal(one.downs[3][WIRE_CONTROL], 0);
    rig_fini(&rig);
}

static bool all_up(void *ctx)
{
    struct peer_log *logs = ctx;
    bool up = true;

    for (uint32_t a = 1; a <= 3; a++) {
        for (uint32_t b = 1; b <= 3; b++) {
            up = up &&
                 (a == b || (logs[a].ups[b][WIRE_CONTROL] > 0 && logs[a].ups[b][WIRE_DATA] > 0 &&
                             logs[a].ups[b][WIRE_CATCH_UP] > 0));
        }
    }
    return up;
}

static void three_nodes_that_all_dial_at_once_come_up_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct rig rig;
        struct peer_log logs[4] = {0};
        rig_init(&rig);
        for (uint32_t id = 1; id <= 3; id++) {
            start(&rig, id, &logs[id], NULL);
        }
        for (uint32_t a = 3; a >= 1; a--) {
            for (uint32_t b = 1; b <= 3; b++) {
                if (a != b) {
                    introduce(&rig, &logs[a], b);
                }
            }
        }
        assert_true(rig_until(&rig, all_up, logs, 5000));
        rig_run_ms(&rig, 200); /* the higher ids dial late, if at all */
        for (uint32_t a = 1; a <= 3; a++) {
            for (uint32_t b = 1; b <= 3; b++) {
                for (unsigned channel = 0; channel < WIRE_CHANNELS; channel++) {
                    assert_int_equal(logs[a].ups[b][channel], a == b ? 0 : 1);
                    assert_int_equal(logs[a].downs[b][channel], 0);
                }
            }
        }
        assert_int_equal(rig_line_count, 0);
        rig_fini(&rig);
    }
}

/* A dial that is not needed any more, because the other side's came up first, is no failure. */
static void a_dial_that_comes_second_ends_without_a_word(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        struct rig rig;
        struct peer_log one = {0};
        struct peer_log two = {0};
        struct pair pair = {&one, &two, 1, 2};
        rig_init(&rig);
        start(&rig, 1, &one, NULL);
        start(&rig, 2, &two, NULL);
        introduce(&rig, &two, 1);
        rig_run_ms(&rig, 97 + round / 2); /* it dials after 100 ms; by now it is shaking hands */
        introduce(&rig, &one, 2);
        assert_true(rig_until(&rig, both_up, &pair, 5000));
        rig_run_ms(&rig, 50);
        assert_int_equal(one.ups[2][WIRE_CONTROL], 1);
        assert_int_equal(two.ups[1][WIRE_CONTROL], 1);
        assert_int_equal(rig_line_count, 0);
        rig_fini(&rig);
    }
}

static void a_full_queue_refuses_and_tells_when_it_has_drained(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    struct net_options limits = {.data_queue_max = 1 << 20};
    uint64_t sent = 0;

    (void)state;
    two_up(&rig, &one, &two, &limits);
    while (send_number(&one, 2, WIRE_DATA, sent, 100000)) {
        sent++;
        assert_true(sent < 100);
    }
    assert_int_equal(one.drained, 0);
    assert_in_range(one.wire->ops->queued_bytes(one.wire, 2, WIRE_DATA), 900000, 1 << 20);
    assert_true(send_number(&one, 2, WIRE_CONTROL, 0, 10)); /* the other channel is its own */
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&two, sent + 1}, 5000));
    assert_int_equal(one.drained, 1);
    assert_true(send_number(&one, 2, WIRE_DATA, sent, 2 << 20)); /* larger than the bound, alone */
    assert_true(rig_until(&rig, has_frames, &(struct wanted){&two, sent + 2}, 5000));
    assert_false(two.out_of_order || two.bad_tail);
    rig_fini(&rig);
}

static bool is_down(void *ctx)
{
    const struct pair *pair = ctx;

    return pair->a->downs[pair->b_id][WIRE_CONTROL] > 0 &&
           pair->a->downs[pair->b_id][WIRE_DATA] > 0;
}

static void a_restarted_peer_goes_down_once_and_comes_up_again(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    struct pair pair = {&one, &two, 1, 2};
    char address[64];

    (void)state;
    two_up(&rig, &one, &two, NULL);
    (void)snprintf(address, sizeof address, "%s", net_address(rig.nets[2], NET_MESH));
    rig_close_net(&rig, 2);
    assert_true(rig_until(&rig, is_down, &pair, 5000));
    assert_false(send_number(&one, 2, WIRE_CONTROL, 0, 10));

    struct net_options options = {.mesh_address = address};
    struct wire_hello hello = rig_hello(2, 2);
    (void)rig_open(&rig, 2, &options);
    begin(&rig, 2, &two, &hello);
    assert_true(rig_until(&rig, both_up, &pair, 5000));
    assert_int_equal(one.ups[2][WIRE_CONTROL], 2);
    assert_int_equal(one.downs[2][WIRE_CONTROL], 1);
    assert_int_equal(one.last_start, 2);
    rig_fini(&rig);
}

static bool is_gone(void *ctx)
{
    const struct pair *pair = ctx;

    return pair->a->gone[pair->b_id] > 0;
}

static void a_peer_whose_process_ended_is_told_gone_as_soon_as_its_port_refuses(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    struct pair pair = {&one, &two, 1, 2};

    (void)state;
    two_up(&rig, &one, &two, NULL);
    rig_close_net(&rig, 2);
    assert_true(rig_until(&rig, is_gone, &pair, 400));
    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        assert_int_equal(one.downs[2][i], 1); /* that came first */
    }
    rig_fini(&rig);
}

/* A name may lead to several machines, of which one answers. */
static void a_peer_is_gone_only_when_all_addresses_refuse_since_it_was_up(void **state)
{
    static struct mesh mesh;
    struct fake_clock clock;
    struct stream_hub hub = {.clock = &clock.clock};
    struct peer_log one = {0};

    (void)state;
    fake_clock_init(&clock, 1);
    mesh = (struct mesh){.hub = &hub, .handler = &handler, .handler_ctx = &one};
    struct mesh_channel *channel = mesh_channel_of(&mesh, 2, WIRE_CONTROL);
    *channel = (struct mesh_channel){.mesh = &mesh, .node_id = 2, .addresses = 2};
    mesh_dial_outcome(channel, true);
    mesh_dial_outcome(channel, false); /* something else went wrong at the other one */
    mesh_dial_outcome(channel, true);
    assert_int_equal(one.gone[2], 0);
    mesh_dial_stop(channel); /* as when it comes up */
    mesh_dial_outcome(channel, true);
    assert_int_equal(one.gone[2], 0);
    mesh_dial_outcome(channel, true);
    assert_int_equal(one.gone[2], 1);
}

static void a_dropped_peer_comes_back_after_a_back_off(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    struct pair pair = {&one, &two, 1, 2};

    (void)state;
    two_up(&rig, &one, &two, NULL);
    two.wire->ops->drop_peer(two.wire, 1);
    assert_false(two.wire->ops->is_up(two.wire, 1, WIRE_DATA));
    assert_false(send_number(&two, 1, WIRE_DATA, 0, 10));
    assert_int_equal(two.downs[1][WIRE_DATA], 0); /* only from the loop */
    assert_true(rig_until(&rig, is_down, &pair, 5000));
    assert_true(rig_until(&rig, both_up, &pair, 5000));
    assert_int_equal(two.downs[1][WIRE_DATA], 1);
    rig_fini(&rig);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static bool was_said(void *ctx)
{
    return rig_said(ctx) > 0;
}

/* Node 2 comes with a hello (and a certificate) of the test's choice; node 1 must not let it up. */
static void expect_refusal(struct rig *rig, struct peer_log *one, struct peer_log *two,
                           const struct wire_hello *hello, const char *said)
{
    char text[200];

    begin(rig, 2, two, hello);
    introduce(rig, one, 2);
    (void)snprintf(text, sizeof text, "%s", said);
    if (!rig_until(rig, was_said, text, 5000)) {
        for (size_t i = 0; i < rig_line_count; i++) {
            print_message("%s\n", rig_lines[i]);
        }
        fail_msg("nobody said: %s", said);
    }
    rig_run_ms(rig, 300); /* it tries again meanwhile */
    assert_int_equal(one->ups[2][WIRE_CONTROL] + two->ups[1][WIRE_CONTROL], 0);
    assert_in_range(rig_said(said), 1, 2); /* once a minute on either side */
    rig_fini(rig);
}

static void a_wrong_node_id_region_cluster_or_version_is_refused_and_named(void **state)
{
    struct wire_hello hellos[4];
    static const char *const said[] = {
        "it says node 3, its certificate says node 2",
        "it says region mars, its certificate says eu-central",
        "it says cluster other, its certificate says acme",
        "it speaks mesh format version 7, this node version 2",
    };

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        hellos[i] = rig_hello(2, 1);
    }
    hellos[0].node_id = 3;
    (void)snprintf(hellos[1].region, sizeof hellos[1].region, "mars");
    (void)snprintf(hellos[2].cluster_name, sizeof hellos[2].cluster_name, "other");
    hellos[3].format_version = 7;
    for (unsigned i = 0; i < 4; i++) {
        struct rig rig;
        struct peer_log one = {0};
        struct peer_log two = {0};
        rig_init(&rig);
        start(&rig, 1, &one, NULL);
        (void)rig_open(&rig, 2, NULL);
        expect_refusal(&rig, &one, &two, &hellos[i], said[i]);
    }
}

static void what_the_agent_does_not_accept_is_refused_in_its_words(void **state)
{
    struct rig rig;
    struct peer_log one = {.refuse = true};
    struct peer_log two = {0};
    struct wire_hello hello = rig_hello(2, 1);

    (void)state;
    rig_init(&rig);
    start(&rig, 1, &one, NULL);
    (void)rig_open(&rig, 2, NULL);
    expect_refusal(&rig, &one, &two, &hello, "it refuses us: incarnation 1 is superseded");
}

static void another_node_at_the_address_is_refused(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log three = {0};

    (void)state;
    rig_init(&rig);
    start(&rig, 1, &one, NULL);
    start(&rig, 3, &three, NULL);
    one.wire->ops->set_peer(one.wire, 2, net_address(rig.nets[3], NET_MESH));
    assert_true(rig_until(&rig, was_said, "it is node 3, but node 2 was expected", 5000));
    assert_int_equal(one.ups[2][WIRE_CONTROL] + one.ups[3][WIRE_CONTROL], 0);
    rig_fini(&rig);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    struct rig rig;
    struct peer_log one = {0};
    struct peer_log two = {0};
    struct wire_hello hello = rig_hello(2, 1);
    char other[64];
    char why[CERTS_WHY];

    (void)state;
    rig_init(&rig);
    rig_directory(other);
    assert_int_equal(certs_create_ca(other, "acme", 0, why), 0);
    rig_cert(other, 2, "eu-central");
    start(&rig, 1, &one, NULL);
    (void)rig_open_as(&rig, 2, other, 2, "eu-central", "acme", NULL);
    expect_refusal(&rig, &one, &two, &hello, "its certificate is not acceptable");
    rig_remove(other);
}

static void a_certificate_that_contradicts_the_configuration_is_an_error(void **state)
{
    struct rig rig;
    char ca[100];
    char crt[100];
    char key[100];
    char why[256] = "";
    struct net *net = NULL;

    (void)state;
    rig_init(&rig);
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", rig.directory);
    (void)snprintf(crt, sizeof crt, "%s/node-2.crt", rig.directory);
    (void)snprintf(key, sizeof key, "%s/node-2.key", rig.directory);
    struct net_options options = {.ca_file = ca,
                                  .crt_file = crt,
                                  .key_file = key,
                                  .node_id = 2,
                                  .region = "mars",
                                  .cluster_name = "acme"};
    assert_int_equal(net_open(&rig.loop, rig.clock, &options, &net, why), TERN_EIDENTITY);
    assert_non_null(strstr(why, "node 2 (eu-central) of acme"));
    char other[64];
    char foreign[100];
    rig_directory(other);
    assert_int_equal(certs_create_ca(other, "acme", 0, why), 0);
    (void)snprintf(foreign, sizeof foreign, "%s/ca.crt", other);
    options.ca_file = foreign;
    options.region = "eu-central";
    assert_int_equal(net_open(&rig.loop, rig.clock, &options, &net, why), TERN_EIDENTITY);
    assert_non_null(strstr(why, "no peer would accept our own certificate"));
    rig_remove(other);
    options.ca_file = ca;
    options.crt_file = "/nonexistent.crt";
    assert_int_equal(net_open(&rig.loop, rig.clock, &options, &net, why), TERN_ENOENT);
    assert_non_null(strstr(why, "/nonexistent.crt"));
    rig_fini(&rig);
}

static void a_certificate_that_ends_soon_is_worth_a_warning(void **state)
{
    struct rig rig;
    struct certs_node node = {.node_id = 2, .region = "eu-central", .days = 5};
    char directory[64];
    char why[CERTS_WHY];

    (void)state;
    rig_init(&rig);
    rig_directory(directory);
    assert_int_equal(certs_create_ca(directory, "acme", 0, why), 0);
    assert_int_equal(certs_create_node(directory, &node, why), 0);
    (void)rig_open_as(&rig, 2, directory, 2, "eu-central", "acme", NULL);
    assert_int_equal(rig_said("event=certificate_expires days="), 1);
    rig_remove(directory);
    rig_fini(&rig);
}

static void a_port_that_is_taken_is_named(void **state)
{
    struct rig rig;
    struct net *net = NULL;
    char ca[100];
    char crt[100];
    char key[100];
    char why[256] = "";

    (void)state;
    rig_init(&rig);
    (void)rig_open(&rig, 1, NULL);
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", rig.directory);
    (void)snprintf(crt, sizeof crt, "%s/node-2.crt", rig.directory);
    (void)snprintf(key, sizeof key, "%s/node-2.key", rig.directory);
    struct net_options options = {.ca_file = ca,
                                  .crt_file = crt,
                                  .key_file = key,
                                  .mesh_address = net_address(rig.nets[1], NET_MESH),
                                  .node_id = 2,
                                  .region = "eu-central",
                                  .cluster_name = "acme"};
    assert_int_equal(net_open(&rig.loop, rig.clock, &options, &net, why), TERN_EIO);
    assert_non_null(strstr(why, options.mesh_address));
    assert_non_null(strstr(why, "address already in use"));
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_read_again),
        cmocka_unit_test(frames_arrive_in_order_both_ways_on_both_channels),
        cmocka_unit_test(tails_of_many_megabytes_arrive_whole),
        cmocka_unit_test(a_joiner_that_nobody_knows_dials_by_itself),
        cmocka_unit_test(three_nodes_that_all_dial_at_once_come_up_once),
        cmocka_unit_test(a_dial_that_comes_second_ends_without_a_word),
        cmocka_unit_test(a_full_queue_refuses_and_tells_when_it_has_drained),
        cmocka_unit_test(a_restarted_peer_goes_down_once_and_comes_up_again),
        cmocka_unit_test(a_peer_whose_process_ended_is_told_gone_as_soon_as_its_port_refuses),
        cmocka_unit_test(a_peer_is_gone_only_when_all_addresses_refuse_since_it_was_up),
        cmocka_unit_test(a_dropped_peer_comes_back_after_a_back_off),
        cmocka_unit_test(a_wrong_node_id_region_cluster_or_version_is_refused_and_named),
        cmocka_unit_test(what_the_agent_does_not_accept_is_refused_in_its_words),
        cmocka_unit_test(another_node_at_the_address_is_refused),
        cmocka_unit_test(a_certificate_of_another_ca_is_refused),
        cmocka_unit_test(a_certificate_that_contradicts_the_configuration_is_an_error),
        cmocka_unit_test(a_certificate_that_ends_soon_is_worth_a_warning),
        cmocka_unit_test(a_port_that_is_taken_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
