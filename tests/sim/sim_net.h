/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated network: the wire seam of every node, and the Kafka connections of the clients.
 *
 * A *place* is the machine room of one node (its id); clients sit in one, too. Between two places
 * there is a delay with jitter, and each direction can be cut. A cut is silent, as of a cable: what
 * is sent waits (TCP would send it again) until the way is healed or one end gives up.
 *
 * With old connections (`old_connections`) an end that is gone, or whose process is, may leave a
 * half-open one behind: the other end goes on to hear what was sent by it, late, while the next one
 * is made, and the first process of a node is heard when its second one takes part already. */
#pragma once

#include "base/prng.h"
#include "base/wire.h"
#include "tests/sim/sim_pipe.h"

#define SIM_PLACES 10

struct sim;
struct sim_call;
struct sim_conn;
struct kafka_out;

/* ---- the mesh -------------------------------------------------------------------------------- */

/* One end of a channel between two nodes. */
struct sim_end {
    struct sim_channel *channel;
    uint32_t node;
    struct sim_pipe out; /* to the other end */
    struct sim_pipe old; /* what was sent by the connection before, and arrives late */
    uint64_t pending;    /* of a connection in the making, while an older one is up; 0: none */
    struct wire_hello pending_other;
    bool up;         /* the node has been told */
    bool closing;    /* dropped by the node, it hears of it from the loop */
    bool refused;    /* a send was refused: peer_drained is owed */
    uint64_t serial; /* of the connection that is up or in the making at this end; 0: none */
    struct wire_hello other; /* what the peer said, while it is not up yet */
    struct timer closed;     /* tells the node of the end */
    struct timer gives_up;   /* the way is cut for so long */
};

struct sim_channel {
    struct sim *sim;
    enum wire_channel kind;
    struct sim_end ends[2]; /* [0]: the lower node id */
    uint64_t serial;        /* of the newest dial */
    struct timer dial;
    uint32_t backoff_ms;
};

/* A node's wire. */
struct sim_wire {
    struct wire wire; /* first */
    struct sim *sim;
    uint32_t node;
    const struct wire_handler *handler; /* NULL: the process is down */
    void *ctx;
    struct wire_hello hello;
    bool hello_set;
    bool wants[WIRE_NODES_MAX];
};

/* A way that is worse than it was laid. */
struct sim_bad_way {
    uint32_t loss_percent; /* of what is sent; TCP sends it again after a time-out that doubles */
    bool mended; /* instead by what comes after it, as Linux does, and it also goes by a twin */
    uint64_t us_per_kib;
    uint64_t late_us; /* up to so much later */
};

struct sim_net {
    struct sim *sim;
    struct sim_bad_way bad[SIM_PLACES][SIM_PLACES]; /* from, to */
    bool cut[SIM_PLACES][SIM_PLACES];               /* from, to */
    uint64_t delay_us[SIM_PLACES][SIM_PLACES];
    uint64_t refuses_until_us[SIM_PLACES][SIM_PLACES]; /* a middlebox, lower id first */
    uint32_t jitter_percent;
    bool old_connections;
    size_t queue_max[WIRE_CHANNELS];
    struct sim_channel channels[SIM_PLACES][SIM_PLACES][WIRE_CHANNELS]; /* lower id first */
    struct sim_wire wires[SIM_PLACES];
    struct link stalled;  /* pipes */
    struct link tcps;     /* struct wire_client: connections of clients */
    uint64_t late_frames; /* heard by old connections */
    uint64_t gone_told;   /* of processes that were well */
};

void sim_net_init(struct sim_net *net, struct sim *sim);
void sim_net_fini(struct sim_net *net);
bool sim_net_cut(const struct sim_net *net, uint32_t from, uint32_t to);
uint64_t sim_net_delay_us(struct sim_net *net, uint32_t from, uint32_t to);
/* What a bad way adds for so many bytes. */
uint64_t sim_net_bad_us(struct sim_net *net, uint32_t from, uint32_t to, size_t bytes);
/* Cuts or heals one direction. */
void sim_net_set_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
/* Connections between the two nodes break, as by a middlebox that forgets. */
void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b);
/* The process of the node is gone. `silent`: the machine, too: nobody is told. */
void sim_net_node_down(struct sim_net *net, uint32_t node, bool silent);
/* A paused process goes on. */
void sim_net_node_resumed(struct sim_net *net, uint32_t node);

/* ---- clients --------------------------------------------------------------------------------- */

/* A client's connection to one node. It connects when something is asked. */
struct sim_conn {
    struct sim *sim;
    uint32_t place;
    uint32_t node;
    const char *client_id;
    struct wire_client *tcp; /* NULL: none */
    int32_t next_correlation;
    uint64_t opened;  /* counts connections */
    uint64_t process; /* start of the node that the newest one has reached */
    struct link calls;
};

/* One request under way, embedded in whoever waits. */
struct sim_call {
    /* status 0 and the response (borrowed), or ETIMEDOUT, or ECANCELED (connection lost). */
    void (*done)(struct sim_call *call, int status, const void *response);
    int16_t key;
    int16_t version;
    uint64_t left_us; /* when the answer left the node */
    /* Owned by the connection. */
    struct sim_conn *conn; /* NULL: not under way */
    int32_t correlation;
    struct link link;
    struct timer timeout;
};

void sim_conn_init(struct sim_conn *conn, struct sim *sim, uint32_t place, uint32_t node,
                   const char *client_id);
/* Encodes and sends; `call->done` follows from the loop. */
void sim_conn_ask(struct sim_conn *conn, struct sim_call *call, int16_t key, int16_t version,
                  const void *request, uint64_t timeout_us);
/* All calls end with ECANCELED (from inside). */
void sim_conn_close(struct sim_conn *conn);
/* The same without telling anybody: the end of the run. */
void sim_conn_fini(struct sim_conn *conn);
