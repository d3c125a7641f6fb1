/* SPDX-License-Identifier: Apache-2.0 */
/* One node on a fake clock, a disk in memory and a wire that leads nowhere, for tests of the agent
 * that look inside. Its start counts as registered; node 2 is linked. */
#pragma once

#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

/* A wire that takes everything and leads nowhere; counts the peers that it was told to drop. */
struct dead_wire {
    struct wire wire;
    const struct wire_handler *handler;
    void *ctx;
    unsigned dropped;
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
    (void)wire;
    (void)node_id;
    (void)channel;
    return frame->head.len > 0;
}

static bool is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    (void)wire;
    (void)channel;
    return node_id == 2;
}

static size_t queued_bytes(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    (void)wire;
    (void)node_id;
    (void)channel;
    return 0;
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

static void fatal(void *ctx, int error, const char *what)
{
    (void)ctx;
    fail_msg("the node died: %s: %s", error_name(error), what);
}

struct rig {
    struct fake_clock clock;
    struct disk *disk;
    struct dead_wire wire;
    struct node *node;
    struct uuid topic_id;
};

static inline void rig_open(struct rig *rig)
{
    struct node_options options = {.node_id = 1,
                                   .cluster_name = "test",
                                   .region = "here",
                                   .kafka_host = "localhost",
                                   .kafka_port = 9092,
                                   .mesh_address = "localhost:9093",
                                   .admin_address = "localhost:9094",
                                   .fatal = fatal};
    char why[256] = "";

    options.clock = &rig->clock.clock;
    options.disk = rig->disk;
    options.wire = &rig->wire.wire;
    options.store = store_defaults();
    options.store.journal_file_bytes = 1 << 20;
    assert_int_equal(node_open(&options, &rig->node, why), 0);
    rig->node->registered = true; /* what it says is listened to from now on */
    rig->node->start_number = 1;
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
