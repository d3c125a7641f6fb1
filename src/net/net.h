/* SPDX-License-Identifier: Apache-2.0 */
/* The real wire: listeners for Kafka clients, peers and administration on one libuv loop. */
#pragma once

#include <uv.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/wire.h"

struct net;

struct net_options {
    /* "host:port"; NULL: not opened. Port 0: the system chooses, see net_address. */
    const char *kafka_address;
    const char *mesh_address;
    const char *admin_address;
    /* PEM files. The certificate must say what the next three say. */
    const char *ca_file;
    const char *crt_file;
    const char *key_file;
    uint32_t node_id;
    const char *region;
    const char *cluster_name;
    /* Limits; 0 takes the default. */
    uint32_t kafka_frame_max;       /* 100 MiB */
    uint32_t kafka_clients_max;     /* 10,000 */
    size_t kafka_receive_bytes_max; /* requests under way, all clients: 256 MiB */
    size_t control_queue_max;       /* per peer: 16 MiB */
    size_t data_queue_max;          /* per peer: 32 MiB; as much for catch-up */
    bool kernel_congestion;         /* the mesh leaves congestion control to the kernel */
    bool always_twins;              /* frames are copied as if packets got lost: for tests */
};

/* Since net_open, except what is "now". */
struct net_counters {
    uint64_t peer_frames_in[WIRE_CHANNELS];
    uint64_t peer_frames_out[WIRE_CHANNELS];
    uint64_t peer_bytes_in[WIRE_CHANNELS];
    uint64_t peer_bytes_out[WIRE_CHANNELS];
    uint64_t peer_ups[WIRE_CHANNELS];
    uint64_t peer_refused;
    uint64_t client_frames_in;
    uint64_t client_frames_out;
    uint64_t client_bytes_in;
    uint64_t client_bytes_out;
    uint64_t clients_opened;
    uint64_t clients_refused;
    uint64_t clients_now;
    uint64_t client_receive_bytes_now;
    uint64_t admin_calls;
    uint64_t admin_refused;
    uint64_t admin_connections_now;
};

/* Binds and listens. Connections are served once the wire has a handler, and peers also only once
 * it has a hello. Errors (EIO, ENOENT, EIDENTITY, EINVALIDCONFIG) come with a sentence that names
 * address or file; the loop must then run once more to give back what was begun. */
int net_open(uv_loop_t *loop, struct clock *clock, const struct net_options *options,
             struct net **out, char why[256]) TERN_MUST_USE;
/* The handler still hears of each peer and client that goes, unless it was set to NULL before.
 * `done` (NULL is allowed) is called by the loop when all is closed; the net is gone then. */
void net_close(struct net *net, void (*done)(void *ctx), void *ctx);

/* Certificate, key and CA are read again and used by connections from now on; those that are open
 * stay as they are. The certificate must be of the same node. On failure nothing changes. */
int net_reload_certs(struct net *net, const char *ca_file, const char *crt_file,
                     const char *key_file, char why[256]) TERN_MUST_USE;

struct wire *net_wire(struct net *net);
void net_counters(const struct net *net, struct net_counters *out);

enum net_port { NET_KAFKA, NET_MESH, NET_ADMIN };
/* What it is bound to, "" if it is not. Valid until net_close. */
const char *net_address(const struct net *net, enum net_port port);

/* ---- administration: mutual TLS, certificates of nodes and clients --------------------------- */

struct net_call; /* one call under way; ends with net_call_reply */

struct net_admin_handler {
    /* principal: "client:NAME" or "node:ID". Both it and body are borrowed. Reply now or later,
     * exactly once, on the loop thread. */
    void (*call)(void *ctx, struct net_call *call, const char *principal, uint16_t type,
                 struct slice body);
};

/* NULL: calls are answered with ECANCELED. */
void net_set_admin(struct net *net, const struct net_admin_handler *handler, void *ctx);
/* error 0 or a TERN_E; body (at most 64 MiB) is copied. The caller may be gone already, and so may
 * the net: then this only gives the call back. */
void net_call_reply(struct net_call *call, int error, struct slice body);
