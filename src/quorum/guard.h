/* SPDX-License-Identifier: Apache-2.0 */
/* What libraft 0.15 gets wrong and we mend from outside, because every message, write and tick
 * passes through us. Without G1 the packaged library loses acknowledged writes; the test
 * "a_lost_write_needs_the_guard" shows it. Why each rule: docs/decisions/001-libraft-guard.md.
 *
 *   G1 a follower's success answer never claims more than this term's messages have verified
 *   G2 a new leader counts no answers before an entry of its own term is on its own disk
 *   G3 no election and no TimeoutNow while own writes are under way
 *   G4 fail-stop (in raft_io.c: nothing failed is ever reported to the core)
 *   G5 what comes in must be plausible, and from whom it says
 *   G6 a refused vote carries the real term
 *   G7 one vote in a term, also of a leader that hands over (in raft_io.c: deliver_vote)
 *
 * State and decisions only: no I/O, no libraft calls. */
#pragma once

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#define GUARD_TERM_STEP_MAX (UINT64_C(1) << 32)

struct guard {
    bool off; /* tests only: shows what happens without */
    /* G1: up to verified_index this log is known to equal that of verified_term's leader. */
    uint64_t verified_term;
    uint64_t verified_index;
    /* G1: while an AppendEntries or InstallSnapshot is being delivered. */
    bool delivering;
    uint64_t delivering_term;
    uint64_t delivering_index;
    /* G2: the newest term of which we have an entry on our own disk. */
    uint64_t persisted_term;
    /* G3 */
    uint32_t appends_in_flight;
};

/* The core as it is at the moment. */
struct guard_view {
    int state; /* RAFT_FOLLOWER .. */
    uint64_t term;
    uint64_t last_stored;
    bool snapshot_in_flight; /* taken or installed */
    bool sender_known;       /* the sender's raft id is in the configuration */
};

/* ---- around deliveries and writes ----------------------------------------------------------- */

void guard_deliver_begin(struct guard *guard, const struct raft_message *message);
void guard_deliver_end(struct guard *guard);
/* The core appends (entries of `last_term` last) or installs a snapshot. */
void guard_append_started(struct guard *guard);
void guard_append_finished(struct guard *guard, uint64_t last_term);
void guard_install_started(struct guard *guard);

/* ---- decisions ------------------------------------------------------------------------------ */

/* False: swallow the tick. */
bool guard_tick(const struct guard *guard, const struct guard_view *view);
enum guard_verdict {
    GUARD_DELIVER,
    GUARD_DROP,
    GUARD_HOLD, /* G2: deliver it when an entry of this term is on our disk, if we still lead */
};
/* Before the core sees the message. May mend it in place. */
enum guard_verdict guard_receive(const struct guard *guard, const struct guard_view *view,
                                 struct raft_message *message);
/* Mends an outgoing result in place. False: do not send it (the send counts as done). */
bool guard_send(struct guard *guard, uint64_t current_term, struct raft_message *message);
