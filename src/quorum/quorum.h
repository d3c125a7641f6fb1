/* SPDX-License-Identifier: Apache-2.0 */
/* libraft's face: one group over all nodes, its raft_io ours (log in `store`, transport on the
 * wire seam), behind the guard rules G1 to G7. Nothing of libraft shows outside this room.
 *
 * A raft id is never a node id: control hands one out per (node, incarnation). Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/wire.h"

/* Frame types below this number belong to the quorum; hand them to quorum_receive. */
#define QUORUM_FRAME_TYPES 32

struct quorum;

/* The state machine that the log drives. */
struct quorum_fsm {
    void *ctx;
    /* Called once per index, ascending. The result goes to the proposer on the controller. */
    void (*apply)(void *ctx, uint64_t index, struct slice command, struct buf *out_result);
    void (*snapshot)(void *ctx, struct buf *out);
    int (*restore)(void *ctx, struct slice snapshot);
    uint64_t (*hash)(void *ctx); /* compared between nodes at equal index; a difference is fatal */
};

struct quorum_member {
    uint64_t raft_id;
    uint32_t node_id;
    bool voter; /* else standby: receives the log, no vote */
};

struct quorum_options {
    struct disk *disk;
    struct clock *clock;
    struct wire *wire;
    struct quorum_fsm fsm;
    uint32_t node_id;
    uint64_t raft_id;
    uint32_t election_ms;        /* default 500 */
    uint32_t heartbeat_ms;       /* default election / 6 */
    uint32_t snapshot_threshold; /* entries between snapshots; default 1024 */
    uint32_t snapshot_trailing;  /* default 256 */
    /* The process must end now (failed write or fsync, RAFT_UNAVAILABLE, hashes differ). */
    void (*fatal)(void *ctx, int error, const char *what);
    /* This node became controller (its barrier of this term is applied), or ceased to be. */
    void (*role_changed)(void *ctx, bool controller, uint64_t term);
    void *ctx;
    bool guard_off_in_tests; /* shows what libraft does without G1 to G7; never in a program */
};

/* Writes the same bootstrap configuration on each founding node, before its first quorum_open. */
int quorum_bootstrap(const struct quorum_options *options, const struct quorum_member *members,
                     size_t count) TERN_MUST_USE;
/* Loads log and snapshot (fsm.restore is called from inside) and takes part from now on. A node
 * that is in no configuration yet (a joiner) just listens. EDAMAGED, EFORMAT, EIO. */
int quorum_open(const struct quorum_options *options, struct quorum **out_quorum,
                char why[256]) TERN_MUST_USE;
/* Gives everything back without further I/O; whoever waits is answered with ECANCELED. No disk op
 * may be under way any more. Not from inside a callback. */
void quorum_close(struct quorum *quorum);
/* A frame of a type below QUORUM_FRAME_TYPES. peer: its hello (identity by certificate). */
void quorum_receive(struct quorum *quorum, const struct wire_hello *peer, uint16_t type,
                    struct slice head, struct chunk tail);
/* False: the configuration knows the peer's raft id on another node; the connection should be
 * refused (its raft frames are anyway). For wire_handler.peer_check. */
bool quorum_peer_plausible(const struct quorum *quorum, const struct wire_hello *peer,
                           char why[128]);
/* A channel to the node went down (its control channel). */
void quorum_peer_down(struct quorum *quorum, uint32_t node_id);
void quorum_set_election_ms(struct quorum *quorum, uint32_t election_ms);

/* ---- commands ----------------------------------------------------------------------------- */

/* One command under way, embedded in whoever waits. */
struct quorum_proposal {
    /* status 0: committed and applied on the controller; `result` is what its fsm said. ETIMEDOUT,
     * ECANCELED: outcome unknown, submit again with the same dedup key. */
    void (*done)(struct quorum_proposal *proposal, int status, struct slice result);
    uint64_t timeout_ms; /* 0: 5000 */
    /* What was done is told only when it is applied on this node, too, or the time is over. */
    bool applied_here;
    void *impl; /* owned by the quorum while under way */
};
/* Takes a copy of the command; goes to the controller wherever it is, again after a change of
 * controller, until it is done or the time is over. `done` never from inside. */
void quorum_submit(struct quorum *quorum, struct slice bytes, struct quorum_proposal *proposal);
void quorum_cancel(struct quorum *quorum, struct quorum_proposal *proposal); /* no done */

/* Proof that this node was controller after the call: a majority confirmed its term. status 0 or
 * ENOTCONTROLLER; costs no disk write. Controller only. */
struct quorum_read {
    void (*done)(struct quorum_read *read, int status);
    void *impl;
};
void quorum_read_index(struct quorum *quorum, struct quorum_read *read);

/* ---- membership: controller only, one change at a time (EBUSY), after a barrier ------------- */
enum quorum_change_kind { QUORUM_ADD, QUORUM_PROMOTE, QUORUM_DEMOTE, QUORUM_REMOVE };
struct quorum_change {
    void (*done)(struct quorum_change *change, int status);
    void *impl;
};
void quorum_change(struct quorum *quorum, enum quorum_change_kind kind, struct quorum_member member,
                   struct quorum_change *change);
/* Hands the controllership to another voter (0: any). Best effort. */
void quorum_transfer(struct quorum *quorum, uint64_t raft_id);

/* ---- what people ask ------------------------------------------------------------------------ */
enum quorum_role { QUORUM_UNAVAILABLE, QUORUM_FOLLOWER, QUORUM_CANDIDATE, QUORUM_LEADER };
struct quorum_peer_status {
    struct quorum_member member;
    bool half_added;      /* its QUORUM_ADD stopped midway: it gets no log before another one */
    uint64_t match_index; /* leader only */
    bool recently_heard;  /* leader only */
};
struct quorum_status {
    enum quorum_role role;
    bool controller; /* leader, and its barrier is applied */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t last_index;
    uint64_t leader_raft_id; /* 0: none known */
    uint32_t leader_node;    /* 0: none known */
    uint32_t election_ms;
    uint32_t heartbeat_ms;
    uint32_t peer_count; /* the configuration, this node included */
    struct quorum_peer_status peers[WIRE_NODES_MAX];
};
void quorum_status(const struct quorum *quorum, struct quorum_status *out);
