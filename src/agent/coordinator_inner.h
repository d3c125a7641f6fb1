/* SPDX-License-Identifier: Apache-2.0 */
/* Between coordinator.c (who coordinates, since when, what is known) and coordinator_log.c (what is on
 * its way into the log). */
#pragma once

#include "agent/coordinator.h"

enum coordinator_state { COORDINATOR_IDLE, COORDINATOR_LOADING, COORDINATOR_ACTIVE };

/* Records on their way: first being collected, then appended. */
struct group_batch {
    struct link link; /* in drafts, then in flight */
    struct batch_builder builder;
    struct chunk bytes; /* as appended */
    int64_t end;
    struct coordinator_producer producer;
    bool snapshot;       /* says what is known already */
    struct link waiters; /* struct group_wait */
};

/* A log being read; outlives its coordinator if that gives up meanwhile. */
struct group_load {
    struct store_read read;
    struct coordinator *co; /* NULL: nobody wants it any more */
    struct link link;       /* in node.group_loads */
};

struct coordinator {
    struct partition *partition;
    struct node *node;
    struct link link; /* in node.coordinators */
    const struct coordinator_kind *kind;
    enum coordinator_state state;
    int32_t epoch;
    void *kept; /* of the kind; NULL while idle */
    struct group_load *load;
    int64_t load_end;
    uint64_t load_began_us;
    struct link drafts;
    struct link flight;
    uint64_t waiting_bytes; /* of drafts and flight */
    struct timer flush;
    struct timer wake;
    uint64_t sweep_ms; /* when the next one is due */
    bool sweep_topics;
    bool topics_changed;
    uint64_t log_bytes; /* since the newest snapshot began */
    uint64_t snapshot_bytes;
    int64_t snapshot_begin; /* -1: none is on its way */
    int64_t snapshot_end;
    uint64_t snapshot_retry_ms; /* one was refused: not again before */
    bool poking;
};

/* ---- coordinator_log.c ------------------------------------------------------------------------- */

/* Appends what is being collected, in this turn of the loop; is coordinator.flush.fire. */
void coordinator_flush_soon(struct coordinator *co);
void coordinator_flush(struct timer *timer);
/* So much is due that nothing may be on its way: a snapshot, or a look for what is old. */
bool coordinator_wants_quiet(const struct coordinator *co);
/* Gives a committed batch to the kind: records, records of an open transaction, or its end. */
void coordinator_deliver(struct coordinator *co, struct slice batch);
/* The high watermark has risen: what is below it is known, and told. */
void coordinator_progress(struct coordinator *co);
/* All that is on its way; who waits is told ENOTCOORDINATOR. */
void coordinator_drop_batches(struct coordinator *co, bool tell);
