/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from operators and other nodes over mutual TLS; the contract is in net.h. */
#pragma once

#include "net/admin_frame.h"
#include "net/complaint.h"
#include "net/frame_in.h"
#include "net/listener.h"
#include "net/net.h"

#define ADMIN_CONNECTIONS_MAX 64
#define ADMIN_CALLS_MAX       64 /* under way on one connection */
#define ADMIN_SHAKE_MS        10000

struct admin_conn {
    struct stream stream; /* first */
    struct admin_listener *admin;
    struct link link; /* in admin->conns: the least recently used first */
    struct frame_in in;
    struct link calls;
    size_t call_count;
    bool greeted; /* the hello was good */
    char principal[WIRE_NAME_MAX + 16];
};

struct admin_listener {
    struct stream_hub *hub;
    struct complaints *complaints;
    struct tls_context *context;
    struct listener listener;
    const struct net_admin_handler *handler;
    void *handler_ctx;
    struct link conns;
    size_t connections;
    uint64_t calls;
    uint64_t refused;
};

/* `admin` is zeroed; hub, complaints and context are set. */
void admin_listener_init(struct admin_listener *admin);
/* address NULL: there is no such port. */
int admin_listener_open(struct admin_listener *admin, const char *address,
                        char why[256]) TERN_MUST_USE;
void admin_listener_close(struct admin_listener *admin);
