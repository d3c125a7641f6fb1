/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a rig that send each other numbered frames, and what each has seen. */
#pragma once

#include "base/buf.h"
#include "tests/unit/net_rig.h"

/* What one node has seen. */
struct peer_log {
    struct wire *wire;
    unsigned ups[WIRE_NODES_MAX][WIRE_CHANNELS];
    unsigned downs[WIRE_NODES_MAX][WIRE_CHANNELS];
    unsigned gone[WIRE_NODES_MAX];
    uint64_t frames;
    uint64_t next_number[WIRE_CHANNELS]; /* heads carry ascending numbers */
    uint64_t tail_bytes;
    bool out_of_order;
    bool bad_tail;
    unsigned drained;
    bool refuse;
    uint64_t last_start;
};

static inline bool peer_check(void *ctx, const struct wire_hello *hello, char why[128])
{
    const struct peer_log *log = ctx;

    (void)hello;
    if (log->refuse) {
        (void)snprintf(why, 128, "incarnation %u is superseded", hello->incarnation);
    }
    return !log->refuse;
}

static inline void peer_up(void *ctx, const struct wire_hello *hello, enum wire_channel channel)
{
    struct peer_log *log = ctx;

    log->ups[hello->node_id][channel]++;
    log->last_start = hello->start_number;
    log->next_number[channel] = 0;
}

static inline void peer_down(void *ctx, uint32_t node_id, enum wire_channel channel)
{
    ((struct peer_log *)ctx)->downs[node_id][channel]++;
}

static inline void peer_gone(void *ctx, uint32_t node_id)
{
    ((struct peer_log *)ctx)->gone[node_id]++;
}

static inline uint8_t pattern(uint64_t number, size_t at)
{
    return (uint8_t)(number * 31 + at * 7 + (at >> 13));
}

static inline void peer_frame(void *ctx, uint32_t node_id, enum wire_channel channel, uint16_t type,
                              struct slice head, struct chunk tail)
{
    struct peer_log *log = ctx;

    (void)node_id;
    (void)type;
    assert_int_equal(head.len, 8);
    uint64_t number = get_be64(head.base);
    log->out_of_order = log->out_of_order || number != log->next_number[channel]++;
    for (size_t i = 0; i < tail.len; i += 509) {
        log->bad_tail = log->bad_tail || tail.base[i] != pattern(number, i);
    }
    log->tail_bytes += tail.len;
    log->frames++;
}

static inline void peer_drained(void *ctx, uint32_t node_id, enum wire_channel channel)
{
    (void)node_id;
    (void)channel;
    ((struct peer_log *)ctx)->drained++;
}

static inline void client_opened(void *ctx, struct wire_client *client)
{
    (void)ctx;
    (void)client;
}

static inline void client_frame(void *ctx, struct wire_client *client, struct blob *frame)
{
    (void)ctx;
    (void)client;
    (void)frame;
}

static const struct wire_handler handler = {
    .peer_check = peer_check,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .peer_gone = peer_gone,
    .peer_frame = peer_frame,
    .peer_drained = peer_drained,
    .client_opened = client_opened,
    .client_frame = client_frame,
    .client_closed = client_opened,
};

static inline void begin(struct rig *rig, unsigned index, struct peer_log *log,
                         const struct wire_hello *hello)
{
    log->wire = net_wire(rig->nets[index]);
    log->wire->ops->set_handler(log->wire, &handler, log);
    log->wire->ops->set_hello(log->wire, hello);
}

static inline void start(struct rig *rig, uint32_t id, struct peer_log *log,
                         const struct net_options *limits)
{
    struct wire_hello hello = rig_hello(id, 1);

    (void)rig_open(rig, id, limits);
    begin(rig, id, log, &hello);
}

static inline void introduce(struct rig *rig, struct peer_log *log, uint32_t to)
{
    log->wire->ops->set_peer(log->wire, to, net_address(rig->nets[to], NET_MESH));
}

struct pair {
    struct peer_log *a;
    struct peer_log *b;
    uint32_t a_id;
    uint32_t b_id;
};

static inline bool both_up(void *ctx)
{
    const struct pair *pair = ctx;
    bool up = true;

    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        up = up && pair->a->wire->ops->is_up(pair->a->wire, pair->b_id, (enum wire_channel)i) &&
             pair->b->wire->ops->is_up(pair->b->wire, pair->a_id, (enum wire_channel)i);
    }
    return up;
}

static inline bool send_number(struct peer_log *from, uint32_t to, enum wire_channel channel,
                               uint64_t number, size_t tail_len)
{
    uint8_t head[8];
    struct blob *blob = blob_new(tail_len);
    struct chunk tail[2];

    put_be64(head, number);
    for (size_t i = 0; i < tail_len; i++) {
        blob->bytes[i] = pattern(number, i);
    }
    tail[0] = chunk_of(blob, blob->bytes, tail_len / 3);
    tail[1] = chunk_of(blob, blob->bytes + tail_len / 3, tail_len - tail_len / 3);
    struct wire_frame frame = {40, slice_of(head, sizeof head), tail, 2};
    bool sent = from->wire->ops->send(from->wire, to, channel, &frame);
    chunk_drop(&tail[0]);
    chunk_drop(&tail[1]);
    blob_unref(blob);
    return sent;
}

struct wanted {
    const struct peer_log *log;
    uint64_t frames;
};

static inline bool has_frames(void *ctx)
{
    const struct wanted *wanted = ctx;

    return wanted->log->frames >= wanted->frames;
}

static inline void two_up(struct rig *rig, struct peer_log *one, struct peer_log *two,
                          const struct net_options *limits)
{
    struct pair pair = {one, two, 1, 2};

    rig_init(rig);
    start(rig, 1, one, limits);
    start(rig, 2, two, limits);
    introduce(rig, one, 2);
    introduce(rig, two, 1);
    assert_true(rig_until(rig, both_up, &pair, 5000));
}
