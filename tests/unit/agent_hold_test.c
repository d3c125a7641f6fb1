/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that come before the replica that they are for is ready to lead. */
#include <stdio.h>

#include "agent/api.h"
#include "tests/unit/agent_rig.h"

/* One connection of a client, on a wire that has no others. */
struct wire_client {
    void *data;
    bool paused;
    unsigned answers;
    struct buf last; /* answer, without its length */
};

static struct wire_client client;

static void client_send(struct wire *wire, struct wire_client *to, const struct chunk *chunks,
                        size_t count)
{
    (void)wire;
    to->answers++;
    buf_clear(&to->last);
    for (size_t i = 0; i < count; i++) {
        struct chunk chunk = chunks[i];
        buf_put(&to->last, chunk_slice(chunk));
        chunk_drop(&chunk);
    }
}

static void client_close(struct wire *wire, struct wire_client *which, const char *reason)
{
    (void)wire;
    (void)which;
    fail_msg("closed: %s", reason);
}

static void client_pause(struct wire *wire, struct wire_client *which, bool paused)
{
    (void)wire;
    which->paused = paused;
}

static void client_set_data(struct wire *wire, struct wire_client *which, void *data)
{
    (void)wire;
    which->data = data;
}

static void *client_data(struct wire *wire, struct wire_client *which)
{
    (void)wire;
    return which->data;
}

static size_t client_queued(struct wire *wire, struct wire_client *which)
{
    (void)wire;
    (void)which;
    return 0;
}

struct story {
    struct rig rig;
    struct wire_ops ops;
    struct control_topic topic;
    struct control_partition places;
    struct partition *p;
    int32_t sent;
};

/* Node 1 is to lead in epoch 2, for a region that died, and must hear one of the others before. */
static void assign(struct story *s)
{
    struct replica_rule three = {NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3), 0, 2, -1};
    struct replica_spec spec = {.epoch = 2,
                                .leader = 1,
                                .leader_start = 1,
                                .config = three,
                                .recover = three,
                                .activated = true,
                                .lossy_start = -1,
                                .member_count = 3,
                                .members = {{1, 1, 0, 0}, {2, 1, 0, 1}, {3, 1, 0, 2}}};
    struct replica_out out = {0};

    s->rig.epoch = 2;
    s->p = partition_find(s->rig.node, s->rig.topic_id, 0);
    replica_assign(&s->p->replica, node_now_ms(s->rig.node), &spec, &out);
    partition_run(s->p, &out, NULL, NULL);
    replica_out_fini(&out);
    rig_settle(&s->rig);
    assert_int_equal(s->p->replica.role, REPLICA_FENCING);
    replica_reach(&s->p->replica, NODE_BIT(1) | NODE_BIT(2));
}

/* With partition 0 of "orders". */
static void begin(struct story *s)
{
    memset(s, 0, sizeof *s);
    rig_init(&s->rig);
    s->ops = dead_ops;
    s->ops.client_send = client_send;
    s->ops.client_close = client_close;
    s->ops.client_pause = client_pause;
    s->ops.client_set_data = client_set_data;
    s->ops.client_data = client_data;
    s->ops.client_queued_bytes = client_queued;
    s->rig.wire.wire.ops = &s->ops;
    struct node *node = s->rig.node;
    node->phase = NODE_READY;
    node->control->nodes[1].start_number = node->start_number;
    s->topic.id = s->rig.topic_id;
    (void)snprintf(s->topic.name, sizeof s->topic.name, "orders");
    s->topic.settings.codec = TOPIC_CODEC_PRODUCER;
    s->topic.settings.log_append_time = true;
    s->topic.partition_count = 1;
    s->topic.partitions = &s->places;
    s->places.leader = 1;
    HASH_ADD(by_name, node->control->by_name, name, (unsigned)strlen(s->topic.name), &s->topic);
    HASH_ADD(by_id, node->control->by_id, id, sizeof s->topic.id, &s->topic);
    fake_clock_run(&s->rig.clock, 1000000);
    s->places.epoch = 2;
    assign(s);
    memset(&client, 0, sizeof client);
    s->rig.wire.handler->client_opened(s->rig.wire.ctx, &client);
}

static void end(struct story *s)
{
    struct control *control = s->rig.node->control;

    if (client.data != NULL) {
        s->rig.wire.handler->client_closed(s->rig.wire.ctx, &client);
    }
    HASH_DELETE(by_name, control->by_name, &s->topic);
    HASH_DELETE(by_id, control->by_id, &s->topic);
    rig_fini(&s->rig);
    buf_fini(&client.last);
}

/* A producer sends a record. */
static void produce(struct story *s)
{
    struct kafka_request_header header = {.key = 0, .version = 9, .correlation_id = ++s->sent};
    struct kafka_produce_request request;
    struct batch_builder builder = {0};
    struct kafka_out out = {0};
    struct buf frame = {0};
    struct arena arena;

    arena_init(&arena);
    batch_builder_init(&builder);
    batch_builder_add(&builder, (struct slice){0}, slice_text("value"), 1);
    kafka_produce_request_init(&request);
    request.acks = -1;
    request.timeout_ms = 5000;
    request.topics_count = 1;
    request.topics = kafka_produce_request_topic_new(&arena, 1);
    request.topics[0].name = slice_text(s->topic.name);
    request.topics[0].partitions_count = 1;
    request.topics[0].partitions = kafka_produce_request_partition_new(&arena, 1);
    request.topics[0].partitions[0].records.bytes = batch_builder_finish(&builder, -1, -1, -1);
    assert_int_equal(kafka_encode_request(&header, &request, &out, NULL), 0);
    kafka_out_copy(&out, &frame);
    struct blob *blob = blob_copy(buf_slice(&frame));
    s->rig.wire.handler->client_frame(s->rig.wire.ctx, &client, blob);
    blob_unref(blob);
    buf_fini(&frame);
    kafka_out_fini(&out);
    batch_builder_fini(&builder);
    arena_fini(&arena);
    rig_settle(&s->rig);
}

static void pass_ms(struct story *s, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        rig_settle(&s->rig);
    }
}

static uint64_t taken(const struct story *s)
{
    return s->rig.node->counters.produce_batches;
}

/* Of the answer that came last. */
static int last_error(struct arena *arena)
{
    struct kafka_produce_response *response;
    struct slice body;
    void *message;
    int32_t correlation;

    assert_int_equal(
        kafka_decode_response_header(0, 9, buf_slice(&client.last), &correlation, &body), 0);
    assert_int_equal(kafka_decode_response(0, 9, body, arena, &message, NULL), 0);
    response = message;
    return response->topics[0].partitions[0].error;
}

static void
batches_that_come_too_early_are_taken_in_their_order_when_the_leader_is_ready(void **state)
{
    struct story s;

    (void)state;
    begin(&s);
    produce(&s);
    produce(&s); /* was read already */
    assert_true(client.paused);
    pass_ms(&s, 60);
    assert_int_equal(taken(&s), 0);
    assert_int_equal(client.answers, 0);
    rig_answer(&s.rig, 0);
    assert_int_equal(s.p->replica.role, REPLICA_SERVING);
    pass_ms(&s, 10);
    assert_int_equal(taken(&s), 2);
    assert_false(client.paused);
    assert_int_equal(client.answers, 0); /* not before another region has them */
    rig_ack(&s.rig, 2);
    assert_int_equal(client.answers, 2);
    end(&s);
}

static void what_comes_when_it_is_ready_does_not_overtake_what_is_held(void **state)
{
    struct kafka_produce_response *response;
    struct arena arena;
    struct slice body;
    struct story s;
    void *message;
    int32_t correlation;

    (void)state;
    arena_init(&arena);
    begin(&s);
    produce(&s);
    rig_answer(&s.rig, 0);
    assert_int_equal(s.p->replica.role, REPLICA_SERVING);
    assert_int_equal(taken(&s), 0); /* it has not been looked at again yet */
    produce(&s);
    pass_ms(&s, 10);
    assert_int_equal(taken(&s), 2);
    rig_ack(&s.rig, 2);
    assert_int_equal(client.answers, 2);
    assert_int_equal(
        kafka_decode_response_header(0, 9, buf_slice(&client.last), &correlation, &body), 0);
    assert_int_equal(kafka_decode_response(0, 9, body, &arena, &message, NULL), 0);
    response = message;
    assert_int_equal(correlation, 2);
    assert_int_equal(response->topics[0].partitions[0].base_offset, 1);
    end(&s);
    arena_fini(&arena);
}

static void they_are_refused_where_it_takes_longer(void **state)
{
    struct arena arena;
    struct story s;

    (void)state;
    arena_init(&arena);
    begin(&s);
    produce(&s);
    pass_ms(&s, 380);
    assert_int_equal(client.answers, 0);
    pass_ms(&s, 40);
    assert_int_equal(client.answers, 1);
    assert_int_equal(last_error(&arena), error_kafka(TERN_ENOTLEADER));
    produce(&s); /* nobody waits for that any more */
    assert_int_equal(client.answers, 2);
    assert_int_equal(taken(&s), 0);
    end(&s);
    arena_fini(&arena);
}

static void a_client_that_goes_meanwhile_takes_its_request_with_it(void **state)
{
    struct story s;

    (void)state;
    begin(&s);
    produce(&s);
    s.rig.wire.handler->client_closed(s.rig.wire.ctx, &client);
    client.data = NULL;
    rig_answer(&s.rig, 0);
    pass_ms(&s, 20);
    assert_int_equal(taken(&s), 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            batches_that_come_too_early_are_taken_in_their_order_when_the_leader_is_ready),
        cmocka_unit_test(what_comes_when_it_is_ready_does_not_overtake_what_is_held),
        cmocka_unit_test(they_are_refused_where_it_takes_longer),
        cmocka_unit_test(a_client_that_goes_meanwhile_takes_its_request_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
