/* SPDX-License-Identifier: Apache-2.0 */
/* One broker as a client sees it: a connection that first asks which versions are spoken, as every
 * client does (brokers allow no large request before that), and whoever owns it speaks after that. */
#pragma once

#include "base/wire.h"
#include "kafka/codec.h"
#include "net/kafka_dial.h"

struct bench_api {
    int16_t key;
    int16_t version;
};

struct bench_node_ops {
    void (*up)(void *owner);
    void (*frame)(void *owner, struct blob *frame);
    /* It is gone, or never came up, or does not speak what is needed: node->why tells why,
     * node->up whether it was up. It may be dialed again, but not from here. */
    void (*down)(void *owner);
};

struct bench_node {
    struct kafka_dialer *dialer;
    const struct bench_node_ops *ops;
    void *owner;
    const struct bench_api *needs; /* ends with a key of -1 */
    char address[WIRE_ADDRESS_MAX];
    struct kafka_link *link; /* NULL: not connected */
    bool up;
    char why[KAFKA_LINK_WHY];
};

/* Does not connect. `needs` outlives the node. */
void bench_node_init(struct bench_node *node, struct kafka_dialer *dialer,
                     const struct bench_api *needs, const struct bench_node_ops *ops, void *owner);
/* Connects to node->address; only while there is no link. false: node->why tells. */
bool bench_node_dial(struct bench_node *node);
/* Only while up. */
void bench_node_send(struct bench_node *node, struct bench_api api, int32_t correlation,
                     const void *request);
/* Without a callback; also if it is not connected. */
void bench_node_drop(struct bench_node *node);
/* Takes a response apart: its message in the arena, which gets its limit here and is the caller's
 * to finish. */
int bench_node_take(const struct blob *frame, struct bench_api api, int32_t correlation,
                    struct arena *arena, void **out_message) TERN_MUST_USE;
