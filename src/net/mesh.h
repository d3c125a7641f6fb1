/* SPDX-License-Identifier: Apache-2.0 */
/* The peer mesh: the peer half of base/wire.h over mutual TLS.
 *
 *   dials:    SHAKE --open, send hello--> HELLO --their hello, send ready--> UP
 *   accepts:  SHAKE --open--> HELLO --their hello, send ours--> READY --their ready--> UP
 *
 * Either side may refuse a hello by a last frame that says why.
 *
 * Who dials: both, the node with the higher id a moment later, because a joiner knows nodes that do
 * not know it yet. When two dials meet, the lower id decides: it refuses the other's connection as
 * a duplicate while its own is well under way, or has just come up. Otherwise the newest connection
 * replaces an older one, which must be dead if the peer dials again. */
#pragma once

#include "net/complaint.h"
#include "net/congestion.h"
#include "net/frame_in.h"
#include "net/listener.h"
#include "net/mesh_hello.h"

#define MESH_HEAD_MAX          (1u << 20)
#define MESH_CONTROL_FRAME_MAX (16u << 20)
#define MESH_DATA_FRAME_MAX    (64u << 20)
#define MESH_STRANGERS_MAX     128 /* accepted connections that are not up; the oldest makes room */
#define MESH_SHAKE_MS          10000
#define MESH_DIAL_MS           5000
#define MESH_BACKOFF_MIN_MS    50
#define MESH_BACKOFF_MAX_MS    1000
#define MESH_HIGHER_WAITS_MS   100
#define MESH_DUPLICATE_MS      2000
#define MESH_STABLE_MS         5000 /* up for so long: the next dial starts without a back-off */

/* Beside the channels of the wire there are twins of the first two of them (mesh_twin.c). */
#define MESH_TWINS         2
#define MESH_TWIN(channel) (WIRE_CHANNELS + (unsigned)(channel))
#define MESH_CHANNELS      (WIRE_CHANNELS + MESH_TWINS)
#define MESH_TYPED         6u /* bytes of a frame's type and the length of its head */
#define MESH_COPY_HEAD     16u

enum mesh_state { MESH_SHAKE, MESH_HELLO, MESH_READY, MESH_UP, MESH_REFUSING };

struct mesh;

/* One connection, in either direction. */
struct mesh_conn {
    struct stream stream; /* first */
    struct mesh *mesh;
    struct link link; /* in mesh->conns */
    enum mesh_state state;
    bool dialled;
    bool unneeded;           /* another one came up first: it ends without a word */
    uint32_t expected;       /* dialled: the node that should be there */
    unsigned channel;        /* below MESH_CHANNELS */
    struct identity peer;    /* what its certificate says, from HELLO on */
    struct wire_hello hello; /* what it says, once checked */
    uint64_t up_us;
    struct congestion congestion;
    enum congestion_kind runs_under; /* what the kernel was told last */
    struct {
        uint64_t stamp;  /* tells copies of this connection's frames from those of another */
        uint64_t frames; /* so many were sent */
        size_t room;     /* bytes that may still be copied until the next look */
    } out;
    struct {
        uint64_t stamp; /* of the other side; 0: not told yet */
        uint64_t own;   /* so many frames came by the connection itself */
        uint64_t given; /* and so many were given to the handler */
    } in_order;
    struct frame_in in;
};

/* One channel to one node. */
struct mesh_channel {
    struct mesh *mesh;
    uint32_t node_id;
    unsigned channel;
    bool needed; /* a twin: it is dialled */
    struct mesh_conn *up;
    struct mesh_conn *dial; /* under way */
    struct mesh_lookup *lookup;
    struct timer redial;
    uint32_t backoff_ms;
    uint32_t attempts;
    uint32_t addresses; /* to which its name leads */
    uint32_t nobody;    /* so many of them in turn said that nothing listens there */
    bool refused_full;  /* a send was refused: peer_drained is owed */
};

struct mesh_peer {
    char address[WIRE_ADDRESS_MAX]; /* "": not wanted */
    struct mesh_channel channels[MESH_CHANNELS];
};

struct mesh_counters {
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t bytes_in; /* plaintext */
    uint64_t bytes_out;
    uint64_t ups;
    uint64_t refused; /* hellos and handshakes that failed, on either side */
};

struct mesh {
    struct stream_hub *hub;
    struct complaints *complaints;
    struct tls_context *context;
    struct listener listener;
    const struct wire_handler *handler; /* NULL: nobody is called, nothing comes up */
    void *handler_ctx;
    struct wire_hello hello;
    bool hello_set;
    bool closing;
    bool kernel_congestion; /* congestion control is the kernel's affair */
    bool always_twins;      /* as if packets got lost: for tests */
    struct timer look;      /* at the losses of each connection */
    size_t queue_max[WIRE_CHANNELS];
    struct link conns;
    size_t strangers;
    struct mesh_peer peers[WIRE_NODES_MAX];
    struct mesh_counters counters[MESH_CHANNELS];
};

/* `mesh` is zeroed; hub, complaints, context, kernel_congestion, always_twins and queue_max are set. */
void mesh_init(struct mesh *mesh);
/* Listens. address NULL: only dials. */
int mesh_open(struct mesh *mesh, const char *address, char why[256]) TERN_MUST_USE;
/* Closes everything; the hub tells when that is done. */
void mesh_close(struct mesh *mesh);

void mesh_set_hello(struct mesh *mesh, const struct wire_hello *hello);
void mesh_set_peer(struct mesh *mesh, uint32_t node_id, const char *address);
bool mesh_send(struct mesh *mesh, uint32_t node_id, enum wire_channel channel,
               const struct wire_frame *frame);
bool mesh_is_up(struct mesh *mesh, uint32_t node_id, enum wire_channel channel);
size_t mesh_queued_bytes(struct mesh *mesh, uint32_t node_id, enum wire_channel channel);
void mesh_drop_peer(struct mesh *mesh, uint32_t node_id);

/* ---- between the files of the mesh ------------------------------------------------------------ */

/* A connection for a stream that the caller accepts or dials next. */
struct mesh_conn *mesh_conn_new(struct mesh *mesh, bool dialled, uint32_t expected,
                                unsigned channel);
extern const struct stream_ops mesh_conn_ops;
/* One log line at most per minute about this peer and reason. */
void mesh_complain(struct mesh_conn *conn, const char *event, const char *why);
struct mesh_channel *mesh_channel_of(struct mesh *mesh, uint32_t node_id, unsigned channel);
/* The connection that carries the channel's frames now, or NULL. */
struct mesh_conn *mesh_alive(struct mesh *mesh, uint32_t node_id, unsigned channel);
/* Writes MESH_TYPED bytes; the head comes behind them, at what is returned. */
static inline uint8_t *mesh_put_typed(uint8_t *at, uint16_t type, size_t head_len)
{
    put_be16(at, type);
    put_be32(at + 2, (uint32_t)head_len);
    return at + MESH_TYPED;
}
/* A frame of the mesh itself. */
void mesh_send_own(struct mesh_conn *conn, uint16_t type, struct slice head);
/* Another connection came up first. The other side is told once it knows who speaks: a handshake
 * that ends is a failure to it. */
void mesh_conn_unneeded(struct mesh_conn *conn);
/* Tells the handler, once. */
void mesh_channel_down(struct mesh_channel *channel);
/* Dials now or after the back-off, if the channel is wanted and not up. */
void mesh_dial_soon(struct mesh_channel *channel, bool at_once);
void mesh_dial_ended(struct mesh_channel *channel);
/* So ended an attempt to dial it; the handler hears of a peer that is gone. */
void mesh_dial_outcome(struct mesh_channel *channel, bool nobody);
void mesh_dial_stop(struct mesh_channel *channel);
/* A connection comes up; then all are looked at each CONGESTION_LOOK_MS, from watch to stop. Where
 * congestion control is the kernel's affair the losses still tell whether twins are of use. */
void mesh_congestion_begin(struct mesh_conn *conn);
void mesh_congestion_watch(struct mesh *mesh);
void mesh_congestion_stop(struct mesh *mesh);

/* ---- twins (mesh_twin.c) ---------------------------------------------------------------------- */

bool mesh_is_twin(unsigned channel);
const char *mesh_channel_name(unsigned channel);
/* A connection has come up, before anything is sent by it. */
void mesh_twin_begin(struct mesh_conn *conn);
/* It is known anew whether its packets get lost. */
void mesh_twin_look(struct mesh_conn *conn);
/* A frame of `len` bytes, without its prefix, was sent by a connection that has a twin or none. */
void mesh_twin_copy(struct mesh_conn *conn, const struct wire_frame *frame, size_t len);
/* The other side has said how copies of its frames are marked. False: it may not. */
bool mesh_twin_stamped(struct mesh_conn *conn, struct slice head);
/* A frame came by the connection itself. False: its copy was faster. */
bool mesh_twin_is_news(struct mesh_conn *conn);
/* A copy came, with a head of MESH_COPY_HEAD. Whose frame it is, if it is the next one; or NULL. */
struct mesh_conn *mesh_twin_original(struct mesh_conn *twin, struct slice head);
