/* SPDX-License-Identifier: Apache-2.0 */
/* The admin port of a node that belongs to no cluster yet: what it answers, and that nothing that
 * anybody sends there harms it. */
#include <stdio.h>
#include <string.h>

#include "admin.pb-c.h"
#include "admin/calls.h"
#include "admin/server.h"
#include "base/error.h"
#include "base/prng.h"
#include "base/trace.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

/* ---- a world without time and peers --------------------------------------------------------- */

static uint64_t now_us(struct clock *clock)
{
    (void)clock;
    return 1000000;
}
static int64_t wall_ms(struct clock *clock)
{
    (void)clock;
    return 1700000000000;
}
static uint64_t draw(struct clock *clock)
{
    (void)clock;
    return 4; /* fair */
}
static void no_timer(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    (void)clock;
    (void)timer;
    (void)at_us;
}
static void no_stop(struct clock *clock, struct timer *timer)
{
    (void)clock;
    (void)timer;
}
static const struct clock_ops clock_ops = {now_us, wall_ms, draw, no_timer, no_stop};
static struct clock the_clock = {&clock_ops};

static void set_handler(struct wire *wire, const struct wire_handler *handler, void *ctx)
{
    (void)wire;
    (void)handler;
    (void)ctx;
}
static void set_hello(struct wire *wire, const struct wire_hello *hello)
{
    (void)wire;
    (void)hello;
}
static void set_peer(struct wire *wire, uint32_t node_id, const char *mesh_address)
{
    (void)wire;
    (void)node_id;
    (void)mesh_address;
}
static bool is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    (void)wire;
    (void)node_id;
    (void)channel;
    return false;
}
static const struct wire_ops wire_ops = {
    .set_handler = set_handler, .set_hello = set_hello, .set_peer = set_peer, .is_up = is_up};
static struct wire the_wire = {&wire_ops};

static void on_fatal(void *ctx, int error, const char *what)
{
    (void)ctx;
    fail_msg("fatal: %s: %s", error_name(error), what);
}

/* ---- one node and its admin port ------------------------------------------------------------ */

struct world {
    struct disk *disk;
    struct node *node;
    struct admin *admin;
};

static struct {
    int count;
    int error;
    struct buf body;
} answer; /* the last one */

static void on_reply(struct net_call *call, int error, struct slice body)
{
    (void)call;
    answer.count++;
    answer.error = error;
    buf_clear(&answer.body);
    buf_put(&answer.body, body);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct node_options *options = calloc(1, sizeof *options);
    struct admin_options admin = {.clock = &the_clock, .reply = on_reply};
    char why[256] = "";

    w->disk = mem_disk_new(NULL, 7);
    options->disk = w->disk;
    options->clock = &the_clock;
    options->wire = &the_wire;
    options->node_id = 2;
    options->kafka_port = 9092;
    options->store = store_defaults();
    options->store.journal_file_bytes = 1 << 16;
    options->store.reserve_bytes = 0;
    options->fatal = on_fatal;
    (void)strcpy(options->cluster_name, "acme");
    (void)strcpy(options->region, "eu-west");
    (void)strcpy(options->kafka_host, "localhost");
    (void)strcpy(options->mesh_address, "localhost:9093");
    options->seed_count = 1;
    options->seeds[0].node_id = 1;
    (void)strcpy(options->seeds[0].mesh_address, "other:9093");
    if (node_open(options, &w->node, why) != 0) {
        fail_msg("node_open: %s", why);
    }
    free(options);
    admin.node = w->node;
    w->admin = admin_new(&admin);
    memset(&answer, 0, sizeof answer);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    admin_free(w->admin);
    mem_disk_pump(w->disk);
    node_close(w->node);
    mem_disk_free(w->disk);
    buf_fini(&answer.body);
    free(w);
    return 0;
}

static void call(struct world *w, uint16_t type, struct slice body)
{
    answer.count = 0;
    admin_call(w->admin, NULL, "client:test", type, body);
}

static struct buf packed(const ProtobufCMessage *message)
{
    struct buf out = {0};

    (void)protobuf_c_message_pack(message,
                                  buf_extend(&out, protobuf_c_message_get_packed_size(message)));
    return out;
}

static struct buf packed_ask(uint32_t format, const char *name)
{
    Tern__Admin__Ask ask;

    tern__admin__ask__init(&ask);
    ask.format = format;
    ask.name = (char *)(uintptr_t)name;
    return packed(&ask.base);
}

static void it_says_who_it_is_before_it_belongs_to_a_cluster(void **state)
{
    struct buf ask = packed_ask(ADMIN_MESSAGES_VERSION, "");
    Tern__Admin__NodeView *view;

    call(*state, ADMIN_NODE, buf_slice(&ask));
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.error, 0);
    view = tern__admin__node_view__unpack(NULL, answer.body.len, answer.body.base);
    assert_non_null(view);
    assert_int_equal(view->node_id, 2);
    assert_string_equal(view->cluster_name, "acme");
    assert_int_equal(view->cluster_id.len, 0);
    assert_string_equal(view->phase, "empty");
    assert_string_equal(view->role, "none");
    assert_int_equal(view->n_peers, 1);
    assert_int_equal(view->peers[0]->id, 1);
    assert_string_equal(view->peers[0]->mesh_address, "other:9093");
    assert_false(view->peers[0]->reachable);
    tern__admin__node_view__free_unpacked(view, NULL);
    buf_fini(&ask);
}

static void its_health_names_the_way_to_found_a_cluster(void **state)
{
    struct buf ask = packed_ask(ADMIN_MESSAGES_VERSION, "");
    Tern__Admin__Health *health;

    call(*state, ADMIN_HEALTH, buf_slice(&ask));
    assert_int_equal(answer.error, 0);
    health = tern__admin__health__unpack(NULL, answer.body.len, answer.body.base);
    assert_non_null(health);
    assert_string_equal(health->state, "unhealthy");
    assert_int_equal(health->n_checks, 1);
    assert_string_equal(health->checks[0]->code, "NOT_FOUNDED");
    tern__admin__health__free_unpacked(health, NULL);
    buf_fini(&ask);
}

static void metrics_are_told_also_then(void **state)
{
    struct buf ask = packed_ask(ADMIN_MESSAGES_VERSION, "");

    call(*state, ADMIN_METRICS, buf_slice(&ask));
    assert_int_equal(answer.error, 0);
    buf_u8(&answer.body, '\0');
    assert_non_null(strstr((char *)answer.body.base, "\ntern_journal_fsyncs_total "));
    assert_non_null(strstr((char *)answer.body.base, "node=\"2\",region=\"eu-west\"} 1\n"));
    buf_fini(&ask);
}

static void questions_about_the_cluster_are_refused_with_the_way_out(void **state)
{
    static const uint16_t types[] = {ADMIN_TOPICS, ADMIN_POLICIES, ADMIN_LEDGER, ADMIN_TOPIC_DELETE,
                                     ADMIN_POLICY_REMOVE};
    struct buf ask = packed_ask(ADMIN_MESSAGES_VERSION, "x");

    for (size_t n = 0; n < ARRAY_COUNT(types); n++) {
        call(*state, types[n], buf_slice(&ask));
        assert_int_equal(answer.count, 1);
        assert_int_equal(answer.error, TERN_EREFUSED);
        buf_u8(&answer.body, '\0');
        assert_non_null(strstr((char *)answer.body.base, "tern cluster init"));
    }
    buf_fini(&ask);
}

static void another_format_is_refused_and_both_are_named(void **state)
{
    struct buf ask = packed_ask(ADMIN_MESSAGES_VERSION + 1, "");

    for (uint16_t type = ADMIN_NODE; type <= ADMIN_METRICS; type++) {
        call(*state, type, buf_slice(&ask));
        assert_int_equal(answer.error, TERN_EFORMAT);
        buf_u8(&answer.body, '\0');
        assert_non_null(strstr((char *)answer.body.base, "format 2, this node knows 1"));
    }
    buf_fini(&ask);
}

static void an_unknown_call_is_refused(void **state)
{
    call(*state, 4711, (struct slice){0});
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.error, TERN_EUNSUPPORTED);
}

static struct buf packed_founding(uint32_t node_id, uint64_t raft_id, size_t id_len, size_t count)
{
    static uint8_t id[32] = {1, 2, 3};
    Tern__Admin__Found found;
    Tern__Admin__Founder founder;
    Tern__Admin__Founder *founders[16];

    tern__admin__found__init(&found);
    tern__admin__founder__init(&founder);
    founder.node_id = node_id;
    founder.raft_id = raft_id;
    founder.region = (char *)(uintptr_t) "eu-west";
    founder.mesh_address = (char *)(uintptr_t) "localhost:9093";
    for (size_t n = 0; n < ARRAY_COUNT(founders); n++) {
        founders[n] = &founder;
    }
    found.format = ADMIN_MESSAGES_VERSION;
    found.cluster_id = (ProtobufCBinaryData){id_len, id};
    found.n_founders = count;
    found.founders = founders;
    return packed(&found.base);
}

static void a_founding_out_of_range_changes_nothing(void **state)
{
    static const struct {
        uint32_t node_id;
        uint64_t raft_id;
        size_t id_len;
        size_t count;
    } bad[] = {{0, 1, 16, 1}, {64, 1, 16, 1}, {2, 0, 16, 1},  {2, 1, 15, 1},         {2, 1, 17, 1},
               {2, 1, 0, 1},  {2, 1, 16, 0},  {2, 1, 16, 10}, {UINT32_MAX, 1, 16, 1}};
    struct world *w = *state;

    for (size_t n = 0; n < ARRAY_COUNT(bad); n++) {
        struct buf body =
            packed_founding(bad[n].node_id, bad[n].raft_id, bad[n].id_len, bad[n].count);

        call(w, ADMIN_FOUND, buf_slice(&body));
        assert_int_equal(answer.count, 1);
        assert_int_equal(answer.error, TERN_EMALFORMED);
        assert_true(uuid_is_zero(node_cluster_id(w->node)));
        buf_fini(&body);
    }
}

static void truncated_and_random_requests_get_one_answer_each(void **state)
{
    struct buf founding = packed_founding(2, 1, 16, 3);
    struct prng prng;
    uint8_t garbage[256];

    prng_init(&prng, 11);
    for (size_t len = 0; len + 1 < founding.len; len++) {
        call(*state, ADMIN_TOPIC_CREATE, slice_of(founding.base, len));
        assert_int_equal(answer.count, 1);
        call(*state, ADMIN_POLICY_APPLY, slice_of(founding.base, len));
        assert_int_equal(answer.count, 1);
        call(*state, ADMIN_NODE, slice_of(founding.base, len));
        assert_int_equal(answer.count, 1);
    }
    for (int round = 0; round < 4000; round++) {
        size_t len = (size_t)prng_below(&prng, sizeof garbage);

        for (size_t n = 0; n < len; n++) {
            garbage[n] = (uint8_t)prng_next(&prng);
        }
        call(*state, (uint16_t)prng_between(&prng, 0, 14), slice_of(garbage, len));
        assert_int_equal(answer.count, 1);
    }
    buf_fini(&founding);
}

#define WITH_NODE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NODE(it_says_who_it_is_before_it_belongs_to_a_cluster),
        WITH_NODE(its_health_names_the_way_to_found_a_cluster),
        WITH_NODE(metrics_are_told_also_then),
        WITH_NODE(questions_about_the_cluster_are_refused_with_the_way_out),
        WITH_NODE(another_format_is_refused_and_both_are_named),
        WITH_NODE(an_unknown_call_is_refused),
        WITH_NODE(a_founding_out_of_range_changes_nothing),
        WITH_NODE(truncated_and_random_requests_get_one_answer_each),
    };
    trace_set_level(TRACE_ERROR); /* every refusal is a line */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
