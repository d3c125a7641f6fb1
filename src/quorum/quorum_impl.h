/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct quorum, shared by the files of this room.
 *
 * One rule governs all of them: nobody calls into libraft from one of its callbacks, and nobody
 * calls our users from inside libraft except fsm. Whoever enters the core does so between
 * quorum_enter and quorum_leave; the last leave settles: callbacks of sends, role changes, waiting
 * commands, answers to users. */
#pragma once

#include "base/blob.h"
#include "base/error.h"
#include "base/queue.h"
#include "base/trace.h"
#include "quorum/messages.h"
#include "quorum/quorum.h"
#include "quorum/raft_io.h"

_Static_assert(WIRE_NODES_MAX <= 64, "a bit per node");

#define QUORUM_IN_FLIGHT_MAX     64
#define QUORUM_WAITING_MAX       4096
#define QUORUM_WAITING_BYTES_MAX (32u << 20)
#define QUORUM_HASH_EVERY        64
#define QUORUM_HASHES_KEPT       32
#define QUORUM_TIMEOUT_MS        5000
#define QUORUM_RESEND_MS         2000
#define QUORUM_INSTALL_MS        5000
#define QUORUM_DISK_RESERVE      (16u << 20)
#define QUORUM_DISK_LAST         (4u << 20)
#define QUORUM_TICK_MS_MIN       10
#define QUORUM_HAND_OVER_MS      10000

/* A command on its way: of a proposer here, or forwarded to us by another node.
 *
 *   QUEUED --we lead--> APPLYING --applied--> ANSWERED
 *     ^ |                  |                     ^
 *     | |                  '- leadership lost -> QUEUED (ours) or refused (another node's)
 *     | '--another leads--> FORWARDED --result---'
 *     '--controller changed, channel down, time passed--'   */
enum command_state { COMMAND_QUEUED, COMMAND_APPLYING, COMMAND_FORWARDED, COMMAND_ANSWERED };

struct command {
    struct link link;
    struct quorum *quorum;
    enum command_state state;
    struct quorum_proposal *proposal; /* NULL: cancelled, timed out, or another node's */
    uint32_t from_node;               /* 0: ours */
    uint64_t number;                  /* from_node's; or what we call it when we forward it */
    uint64_t deadline_ms;
    uint64_t resend_ms;   /* COMMAND_FORWARDED */
    uint32_t sent_node;   /* COMMAND_FORWARDED */
    uint64_t sent_leader; /* COMMAND_FORWARDED: raft id */
    struct blob *bytes;
    int status;        /* COMMAND_ANSWERED */
    struct buf result; /* COMMAND_ANSWERED */
    uint64_t index;    /* COMMAND_ANSWERED: where it stands in the log; 0: not known */
    struct raft_apply apply;
};

struct read_waiter {
    struct link link;
    struct quorum_read *read;
    uint64_t round; /* 0: none started since it came */
    uint64_t commit_index;
    bool confirmed;
    bool answered;
    int status;
};

/* The hashes of one index, as far as they are known. */
struct hash_slot {
    uint64_t index;
    bool known; /* own is set */
    bool settled;
    uint64_t own;
    uint64_t heard;                  /* a bit per node id */
    uint64_t theirs[WIRE_NODES_MAX]; /* by node id */
    uint64_t differs_since_ms;
};

struct quorum {
    struct quorum_options options;
    struct raft raft;
    struct raft_fsm raft_fsm;
    struct quorum_io qio;
    bool dead;    /* fatal has been called: nothing is done any more */
    bool closing; /* callbacks of the core only give memory back */
    unsigned depth;
    bool answers_due;
    struct timer tick;
    struct timer later; /* answers that may not be given from inside a call */
    uint32_t heartbeat_ms;
    uint32_t tick_ms;
    bool disk_low;  /* hand over */
    bool disk_full; /* refuse commands as well */
    uint64_t disk_asked_ms;
    uint64_t hand_over_ms; /* not before */

    uint64_t lead_term;   /* the term that we have been seen leading; 0: none */
    bool controller;      /* the barrier of lead_term is applied */
    uint64_t told_term;   /* what role_changed was told last; 0: not controller */
    uint64_t seen_leader; /* raft id; a change makes commands move */
    bool barrier_wanted;
    bool barrier_busy;
    uint64_t barrier_term;
    struct raft_barrier barrier;
    uint64_t told_commit[WIRE_NODES_MAX]; /* what each server of the configuration heard at least */

    uint64_t applied_seen; /* fsm.apply was called up to here */
    bool restored;         /* fsm.restore was called; hashes do not know yet */
    struct buf result;     /* of the last fsm.apply */

    struct link commands; /* all, in order of arrival */
    size_t command_count;
    size_t command_bytes;
    bool commands_due;
    unsigned in_flight;
    uint64_t next_number;

    struct link reads;
    uint64_t read_round;
    bool read_busy;
    uint64_t read_asked_ms;
    uint64_t read_yes[WIRE_NODES_MAX]; /* raft ids that have confirmed the running round */
    unsigned read_yes_count;

    struct quorum_change *change; /* NULL: none under way */
    struct link refused_changes;
    enum quorum_change_kind change_kind;
    struct quorum_member change_member;
    enum { CHANGE_START, CHANGE_IN_CORE, CHANGE_NEXT, CHANGE_DONE } change_step;
    int change_status;
    struct raft_change raft_change;
    struct raft_barrier change_barrier;

    struct raft_transfer transfer; /* a member, because the core may touch it late */

    struct hash_slot hashes[QUORUM_HASHES_KEPT];
    uint64_t hash_index; /* the newest boundary that was hashed */
};

/* ---- quorum.c ------------------------------------------------------------------------------- */

void quorum_enter(struct quorum *quorum);
void quorum_leave(struct quorum *quorum);
/* As leave, for the calls of our users: they are answered later, never from inside. */
void quorum_leave_quietly(struct quorum *quorum);
void quorum_fatal(struct quorum *quorum, int error, const char *what);
bool quorum_leads(const struct quorum *quorum);
uint64_t quorum_now_ms(const struct quorum *quorum);
/* The leader that is known at the moment, 0 if none. */
uint64_t quorum_leader(const struct quorum *quorum, uint32_t *out_node);
/* A small frame on the control channel. False: not sent. */
bool quorum_send(struct quorum *quorum, uint32_t node_id, uint16_t type, const struct buf *head,
                 struct slice tail);
/* To every other member of the configuration (voters only, or all). */
void quorum_send_members(struct quorum *quorum, bool voters_only, uint16_t type,
                         const struct buf *head);
int quorum_error(int raft_error);

/* ---- commands.c ----------------------------------------------------------------------------- */

bool quorum_commands_step(struct quorum *quorum);   /* true: something moved */
bool quorum_commands_answer(struct quorum *quorum); /* true: somebody was called */
void quorum_commands_tick(struct quorum *quorum);
void quorum_commands_peer_down(struct quorum *quorum, uint32_t node_id);
void quorum_commands_receive(struct quorum *quorum, uint32_t node_id, struct slice head,
                             struct slice tail);
void quorum_commands_receive_result(struct quorum *quorum, uint32_t node_id, struct slice head,
                                    struct slice tail);
void quorum_commands_close(struct quorum *quorum);

/* ---- reads.c -------------------------------------------------------------------------------- */

bool quorum_reads_step(struct quorum *quorum);
bool quorum_reads_answer(struct quorum *quorum);
void quorum_reads_tick(struct quorum *quorum);
void quorum_reads_receive_ask(struct quorum *quorum, uint32_t node_id, struct slice head);
void quorum_reads_receive_tell(struct quorum *quorum, uint64_t raft_id, struct slice head);
void quorum_reads_close(struct quorum *quorum);

/* ---- change.c ------------------------------------------------------------------------------- */

bool quorum_change_step(struct quorum *quorum);
bool quorum_change_answer(struct quorum *quorum);
void quorum_change_close(struct quorum *quorum);

/* ---- hashes.c ------------------------------------------------------------------------------- */

/* Before entry `index` changes the state: everything below is in it. */
void quorum_hashes_before(struct quorum *quorum, uint64_t index);
void quorum_hashes_step(struct quorum *quorum);
void quorum_hashes_tick(struct quorum *quorum);
void quorum_hashes_receive(struct quorum *quorum, uint32_t node_id, struct slice head);
