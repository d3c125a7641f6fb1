/* SPDX-License-Identifier: Apache-2.0 */
/* The wire seam: frames to and from peers (other ternd of the cluster) and clients (Kafka).
 * Real: `net` (mutual TLS mesh, Kafka listener). Simulated: tests/sim/sim_net.c.
 *
 * Peers: per node pair one CONTROL channel, one DATA channel (live pushes) and one CATCH_UP channel
 * (what is read from segments for those that are behind, copies, snapshots), so that bulk is in
 * nobody's way. Frames of one channel arrive in order and at most once while it is up, those of
 * different channels in any order; going down loses what was queued. Both ends may send on a channel, whoever dialled it.
 * Clients: whole request frames in, whole responses out; the order of responses is the agent's
 * business. Everything is called on the loop thread; handlers are never called from inside a send.
 */
#pragma once

#include "base/blob.h"
#include "base/uuid.h"

#define WIRE_NODES_MAX      64  /* node ids are 1..63 and index small arrays */
#define WIRE_NAME_MAX       64  /* region and cluster names, with the NUL */
#define WIRE_HOST_MAX       64  /* with the NUL */
#define WIRE_ADDRESS_MAX    128 /* "host:port", with the NUL */
#define WIRE_FORMAT_VERSION 2   /* of hello and frames; another one is refused, both named */

enum wire_channel { WIRE_CONTROL, WIRE_DATA, WIRE_CATCH_UP, WIRE_CHANNELS };

static inline const char *wire_channel_name(enum wire_channel channel)
{
    return channel == WIRE_CONTROL ? "control" : channel == WIRE_DATA ? "data" : "catch-up";
}

/* One frame to a peer: a small head (protobuf of proto/mesh.proto) and a tail of borrowed chunks
 * (record batches, raft entries), sent back to back. */
struct wire_frame {
    uint16_t type; /* enum mesh_type of agent/quorum; the wire does not interpret it */
    struct slice head;
    const struct chunk *tail; /* references are taken on success */
    size_t tail_count;
};

/* What a node says of itself when a channel opens. The certificate has proved cluster_name,
 * region and node_id before anyone sees this. */
struct wire_hello {
    uint32_t node_id;
    char region[WIRE_NAME_MAX];
    char cluster_name[WIRE_NAME_MAX];
    struct uuid cluster_id; /* zero: not founded or joined yet */
    uint64_t raft_id;       /* 0: none yet */
    uint32_t incarnation;   /* 0: none yet */
    uint64_t start_number;
    uint32_t format_version;
};

struct wire_client; /* one Kafka connection; opaque, valid until client_closed */

/* Implemented by `agent`. */
struct wire_handler {
    /* Accept this peer? Writes the reason into why (128 bytes) when not. Called on both ends. */
    bool (*peer_check)(void *ctx, const struct wire_hello *hello, char why[128]);
    void (*peer_up)(void *ctx, const struct wire_hello *hello, enum wire_channel channel);
    void (*peer_down)(void *ctx, uint32_t node_id, enum wire_channel channel);
    /* No channel to it is up, and its machine has answered that nothing listens there: its process
     * has most likely ended. May come again and again; a channel that comes up takes it back. */
    void (*peer_gone)(void *ctx, uint32_t node_id);
    /* `head` is borrowed; `tail` is a chunk of the received frame: take a reference to keep it. */
    void (*peer_frame)(void *ctx, uint32_t node_id, enum wire_channel channel, uint16_t type,
                       struct slice head, struct chunk tail);
    /* The channel's queue fell below half after wire_send had refused. */
    void (*peer_drained)(void *ctx, uint32_t node_id, enum wire_channel channel);
    void (*client_opened)(void *ctx, struct wire_client *client);
    /* One request without its length prefix; take a reference to keep it. */
    void (*client_frame)(void *ctx, struct wire_client *client, struct blob *frame);
    /* The last call for this client. */
    void (*client_closed)(void *ctx, struct wire_client *client);
};

struct wire;

struct wire_ops {
    void (*set_handler)(struct wire *wire, const struct wire_handler *handler, void *ctx);
    /* What our own hello says from now on; open channels are not renegotiated. */
    void (*set_hello)(struct wire *wire, const struct wire_hello *hello);
    /* Keep channels open to this node from now on; an empty address forgets it. */
    void (*set_peer)(struct wire *wire, uint32_t node_id, const char *mesh_address);
    /* True: queued, references taken. False: channel down or queue full; nothing taken. */
    bool (*send)(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                 const struct wire_frame *frame);
    bool (*is_up)(struct wire *wire, uint32_t node_id, enum wire_channel channel);
    size_t (*queued_bytes)(struct wire *wire, uint32_t node_id, enum wire_channel channel);
    /* Drops all channels of a node (it is refused now); redials after a back-off. */
    void (*drop_peer)(struct wire *wire, uint32_t node_id);
    /* One whole response: chunks sent back to back, length prefix added by the wire. Takes the
     * references. */
    void (*client_send)(struct wire *wire, struct wire_client *client, const struct chunk *chunks,
                        size_t count);
    /* Closes after what is queued has been sent; client_closed follows from the loop. The reason
     * goes to the log, one line. */
    void (*client_close)(struct wire *wire, struct wire_client *client, const char *reason);
    /* Stops or resumes reading requests. */
    void (*client_pause)(struct wire *wire, struct wire_client *client, bool paused);
    /* For the agent's own per-connection state. */
    void (*client_set_data)(struct wire *wire, struct wire_client *client, void *data);
    void *(*client_data)(struct wire *wire, struct wire_client *client);
    size_t (*client_queued_bytes)(struct wire *wire, struct wire_client *client);
    /* The client's address without its port, for people. NULL where there are none. */
    void (*client_host)(struct wire *wire, struct wire_client *client, char out[WIRE_HOST_MAX]);
};

struct wire {
    const struct wire_ops *ops;
};
