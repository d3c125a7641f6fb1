/* SPDX-License-Identifier: Apache-2.0 */
/* One node on a fake clock, a disk in memory and a wire that leads nowhere, for tests of the agent
 * that look inside. Its start counts as registered; node 2 is linked. */
#pragma once

#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "mesh.pb-c.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

/* A wire that takes everything, unless it is full, and leads nowhere; counts what was sent of each
 * type, and the peers that it was told to drop. */
struct dead_wire {
    struct wire wire;
    const struct wire_handler *handler;
    void *ctx;
    unsigned dropped;
    bool full;
    size_t queued; /* of every channel */
    unsigned sent[WIRE_CHANNELS][64];
};

static struct dead_wire *dead(struct wire *wire)
{
    return CONTAINER_OF(wire, struct dead_wire, wire);
}

static void set_handler(struct wire *wire, const struct wire_handler *handler, void *ctx)
{
    dead(wire)->handler = handler;
    dead(wire)->ctx = ctx;
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

static bool send_frame(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                       const struct wire_frame *frame)
{
    (void)node_id;
    if ((frame->head.len == 0 && frame->tail_count == 0) || dead(wire)->full) {
        return false;
    }
    dead(wire)->sent[channel][frame->type % 64]++;
    return true;
}

static bool is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    (void)wire;
    (void)channel;
    return node_id == 2;
}

static size_t queued_bytes(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    (void)node_id;
    (void)channel;
    return dead(wire)->queued;
}

static void drop_peer(struct wire *wire, uint32_t node_id)
{
    (void)node_id;
    dead(wire)->dropped++;
}

static const struct wire_ops dead_ops = {
    .set_handler = set_handler,
    .set_hello = set_hello,
    .set_peer = set_peer,
    .send = send_frame,
    .is_up = is_up,
    .queued_bytes = queued_bytes,
    .drop_peer = drop_peer,
};

struct rig {
    bool may_die;
    unsigned deaths;
    struct fake_clock clock;
    struct disk *disk;
    struct dead_wire wire;
    struct node *node;
    struct uuid topic_id;
    int32_t epoch; /* in which node 2 answers and acknowledges */
};

static void fatal(void *ctx, int error, const char *what)
{
    struct rig *rig = ctx;

    rig->deaths++;
    if (!rig->may_die) {
        fail_msg("the node died: %s: %s", error_name(error), what);
    }
}

static inline void rig_open(struct rig *rig)
{
    struct node_options options = {.node_id = 1,
                                   .cluster_name = "test",
                                   .region = "here",
                                   .kafka_host = "localhost",
                                   .kafka_port = 9092,
                                   .mesh_address = "localhost:9093",
                                   .admin_address = "localhost:9094",
                                   .fatal = fatal,
                                   .ctx = rig};
    char why[256] = "";

    options.clock = &rig->clock.clock;
    options.disk = rig->disk;
    options.wire = &rig->wire.wire;
    options.store = store_defaults();
    options.store.journal_file_bytes = 1 << 20;
    options.store.cache_bytes = 1; /* what is in its segment file is read from there */
    assert_int_equal(node_open(&options, &rig->node, why), 0);
    rig->node->registered = true; /* what it says is listened to from now on */
    rig->node->start_number = 1;
    rig->node->file.incarnation = 1;
    struct wire_hello hello = {.node_id = 2, .format_version = WIRE_FORMAT_VERSION};
    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        rig->wire.handler->peer_up(rig->wire.ctx, &hello, (enum wire_channel)i);
    }
}

/* With partition 0 of its topic. */
static inline void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    fake_clock_init(&rig->clock, 7);
    rig->disk = mem_disk_new(NULL, 7);
    rig->wire.wire.ops = &dead_ops;
    rig_open(rig);
    memset(&rig->topic_id, 5, sizeof rig->topic_id);
    rig->epoch = 1;
    (void)partition_host(rig->node, rig->topic_id, 0);
}

/* What was called for is on disk; a millisecond passes. */
static inline void rig_settle(struct rig *rig)
{
    do {
        fake_clock_run(&rig->clock, 1000);
    } while (mem_disk_pump(rig->disk) > 0);
}

/* The process is killed and started again: what was written is there. */
static inline void rig_restart(struct rig *rig)
{
    node_close(rig->node);
    mem_disk_kill(rig->disk);
    rig_open(rig);
}

static inline void rig_fini(struct rig *rig)
{
    (void)mem_disk_pump(rig->disk);
    node_close(rig->node);
    mem_disk_crash(rig->disk);
    mem_disk_free(rig->disk);
    fake_clock_fini(&rig->clock);
}

/* Node 1 leads partition 0 in epoch 1; node 2, in another region, is the other voter. */
static inline struct partition *rig_lead(struct rig *rig)
{
    struct partition *p = partition_find(rig->node, rig->topic_id, 0);
    struct replica_rule both = {NODE_BIT(1) | NODE_BIT(2), 0, 2, -1};
    struct replica_spec spec = {.epoch = 1,
                                .leader = 1,
                                .leader_start = 1,
                                .config = both,
                                .recover = both,
                                .activated = true,
                                .lossy_start = -1,
                                .member_count = 2,
                                .members = {{1, 1, 0, 0}, {2, 1, 0, 1}}};
    struct replica_out out = {0};

    replica_assign(&p->replica, node_now_ms(rig->node), &spec, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    rig_settle(rig);
    assert_int_equal(p->replica.role, REPLICA_SERVING);
    return p;
}

/* A producer's batch of one record comes in. */
static inline void rig_produce(struct rig *rig, struct partition *p)
{
    struct batch_builder builder = {0};
    struct replica_out out = {0};
    struct batch_info info;
    bool duplicate;

    batch_builder_init(&builder);
    batch_builder_add(&builder, (struct slice){0}, slice_text("value"), 1);
    struct chunk chunk = chunk_copy(batch_builder_finish(&builder, -1, -1, -1));
    assert_int_equal(batch_check(chunk_slice(chunk), &info), 0);
    replica_reach(&p->replica, NODE_BIT(1) | NODE_BIT(2));
    assert_int_equal(replica_produce(&p->replica, node_now_ms(rig->node), &info, &duplicate, &out),
                     0);
    batch_patch(chunk.blob->bytes + (chunk.base - chunk.blob->bytes), info.base_offset,
                info.leader_epoch);
    partition_run(p, &out, &info, &chunk);
    replica_out_fini(&out);
    chunk_drop(&chunk);
    batch_builder_fini(&builder);
    rig_settle(rig);
}

static inline void rig_frame(struct rig *rig, uint16_t type, const ProtobufCMessage *message)
{
    struct buf head = {0};

    (void)protobuf_c_message_pack(message,
                                  buf_extend(&head, protobuf_c_message_get_packed_size(message)));
    rig->wire.handler->peer_frame(rig->wire.ctx, 2, WIRE_CONTROL, type, buf_slice(&head),
                                  (struct chunk){0});
    buf_fini(&head);
    rig_settle(rig);
}

/* Node 2 answers the fence: its log ends at `leo`, all of it of that epoch. */
static inline void rig_answer(struct rig *rig, int64_t leo)
{
    Tern__Mesh__Answers__Answer answer = TERN__MESH__ANSWERS__ANSWER__INIT;
    Tern__Mesh__Answers__Answer *list[] = {&answer};
    Tern__Mesh__Answers answers = TERN__MESH__ANSWERS__INIT;

    answer.topic_id = (ProtobufCBinaryData){sizeof rig->topic_id.bytes, rig->topic_id.bytes};
    answer.epoch = rig->epoch;
    answer.incarnation = 1;
    answer.synced = leo > 0 ? 1 : 0;
    answer.leo = leo;
    answers.answers = list;
    answers.n_answers = 1;
    rig_frame(rig, MESH_ANSWERS, &answers.base);
}

/* Node 2 acknowledges all below `leo`. */
static inline void rig_ack(struct rig *rig, int64_t leo)
{
    Tern__Mesh__Acks__Ack ack = TERN__MESH__ACKS__ACK__INIT;
    Tern__Mesh__Acks__Ack *list[] = {&ack};
    Tern__Mesh__Acks acks = TERN__MESH__ACKS__INIT;

    ack.topic_id = (ProtobufCBinaryData){sizeof rig->topic_id.bytes, rig->topic_id.bytes};
    ack.epoch = rig->epoch;
    ack.leo = leo;
    acks.incarnation = 1;
    acks.acks = list;
    acks.n_acks = 1;
    rig_frame(rig, MESH_ACKS, &acks.base);
}
