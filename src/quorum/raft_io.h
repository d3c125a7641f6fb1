/* SPDX-License-Identifier: Apache-2.0 */
/* Our struct raft_io: the log in `store`, messages on the wire, time from the clock, and the guard
 * between all of them and the core.
 *
 * Callbacks of sends and loads are never made from inside the call that asked: they wait for
 * quorum_io_settle, which the owner calls when it has left the core. A failed write is never
 * reported to the core (guard rule G4): `failed` ends the process instead, and should the caller
 * let it live on, nothing leaves the node any more. */
#pragma once

#include <raft.h>

#include "base/clock.h"
#include "base/disk.h"
#include "base/queue.h"
#include "base/wire.h"
#include "quorum/config_history.h"
#include "quorum/guard.h"
#include "store/raft_log.h"

struct quorum_io_options {
    struct disk *disk;
    struct clock *clock;
    struct wire *wire;
    bool guard_off;
    void (*failed)(void *ctx, int error, const char *what);
    /* A write is done and the core has been told: settle. Called outside the core. */
    void (*entered)(void *ctx);
    void (*left)(void *ctx);
    void *ctx;
};

/* The newest success of a follower that may not be counted yet (guard rule G2). */
struct held_result {
    uint64_t raft_id;
    struct raft_append_entries_result result;
};

struct quorum_io {
    struct raft_io io; /* data: the struct raft; impl: this */
    struct quorum_io_options options;
    struct raft *raft;
    struct raft_log_store *log;
    struct guard guard;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    bool closed;
    bool failed;       /* a write has: nothing leaves this node any more */
    struct link sends; /* waiting for their callback */
    struct link gets;
    struct link appends;                     /* under way */
    struct snapshot_put *put;                /* under way */
    struct held_result held[WIRE_NODES_MAX]; /* by node id; raft_id 0: none */
    struct config_history configs;
    bool rollback_hidden; /* see roll_back_ourselves */
};

/* Opens the log. */
int quorum_io_init(struct quorum_io *qio, const struct quorum_io_options *options,
                   char why[256]) TERN_MUST_USE;
void quorum_io_fini(struct quorum_io *qio); /* after raft_close, or without raft */

/* One tick of the core's clock. */
void quorum_io_tick(struct quorum_io *qio);
/* A raft frame (type 1..6) from the member `raft_id` on `node_id`. False: not acceptable. */
bool quorum_io_receive(struct quorum_io *qio, uint64_t raft_id, uint32_t node_id, uint16_t type,
                       struct slice head, struct slice tail);
/* For how long the oldest append has been under way; 0 if none is. */
uint64_t quorum_io_write_age_ms(const struct quorum_io *qio);
/* Makes the callbacks that wait; true if there were any. */
bool quorum_io_settle(struct quorum_io *qio);
