/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by decide*.c only: what is remembered between rounds, and one round under way. */
#pragma once

#include "control/decide.h"
#include "control/internal.h"

#define DECIDE_HEALTHY_MS       30000  /* a node must be well for so long to get leaders back ... */
#define DECIDE_SURELY_MS        600000 /* ... or for so long, where nobody told that it caught up */
#define DECIDE_MOVES_PER_SECOND 50     /* epochs that are only for the better */
#define DECIDE_BATCH_MAX        256    /* assignments or ledger entries in one command */
#define DECIDE_SILENT_FRESH_MS  5000   /* a report of silence counts for so long */
#define DECIDE_MEMBERS_FRESH_MS 30000  /* a report of members counts for so long */
#define DECIDE_MEMBERS_MS       60000  /* most members must be in another region for so long ... */
#define DECIDE_MEMBERS_EVERY_MS 10000 /* ... before one coordinator goes there; then the next one */

struct watch_key {
    struct uuid topic_id;
    int32_t partition;
};

/* What is remembered of one partition; there is none for a partition that gave no reason. */
struct watch {
    struct watch_key key;
    int32_t epoch;    /* the fields down to the line are about this epoch */
    uint64_t seen_ms; /* when the epoch was first seen */
    bool no_quorum;   /* its leader has resigned */
    node_set ready;   /* told to be close to the leader's end */
    /* Region + 1 that has clearly more members of consumer groups than the leader's (0: none has),
     * since when, and when that was last told. */
    uint32_t crowd;
    uint64_t crowd_from_ms;
    uint64_t members_ms;
    /* ---- about the partition */
    node_set silent;         /* told not to acknowledge ... */
    uint64_t silent_from_ms; /* ... since then, by one leader after the other ... */
    uint32_t silent_to;      /* leader that said so last */
    uint64_t silent_ms;      /* ... and this is when it was last told */
    node_set failed;         /* leaders that resigned since it last went well */
    uint64_t failed_ms;      /* the last of them */
    uint64_t assigned_ms;    /* when we last proposed an epoch because of failures */
    uint64_t hold_ms;        /* no new config before this: the last one was not activated in time */
    uint64_t moved_ms;       /* when we last proposed to move the leader to a better place */
    UT_hash_handle hh;
};

struct decide_memory {
    struct watch *watches;
    uint64_t well_since_ms[WIRE_NODES_MAX]; /* 0: not well */
    /* How far the control log was at some moment; a node that is not there 2 D later is behind. */
    uint64_t mark_index[WIRE_NODES_MAX];
    uint64_t mark_ms[WIRE_NODES_MAX];
    uint64_t tokens_ms; /* when tokens were last added */
    uint32_t tokens;    /* moves for the better that may be made now */
    uint64_t swept_ms;
    uint64_t followed_ms; /* when a coordinator last followed its members */
};

struct round {
    const struct control *control;
    const struct decide_view *view;
    struct decide_memory *memory;
    node_set usable;   /* registered, not fenced, heard by the controller */
    node_set writable; /* of those, not full */
    node_set forgot;   /* told to hold less than they acknowledged */
    node_set removed;  /* by an operator */
    node_set behind;   /* heard, but they do not apply the control log */
    node_set region_nodes[CONTROL_REGIONS_MAX];
    uint32_t leads[WIRE_NODES_MAX];
    uint32_t load[WIRE_NODES_MAX]; /* counted when first needed */
    bool load_counted;
    struct command_assignment *assignments;
    size_t assignment_count;
    struct control_ledger_entry *opens; /* proposed before the assignments */
    size_t open_count;
    struct control_ledger_entry *closes; /* and after */
    size_t close_count;
    const struct control_ledger_entry **open; /* open "degraded" entries, sorted by their subject */
    size_t open_known;
    size_t room; /* how many of each of the three fit into this round */
};

/* One partition being looked at. */
struct subject {
    const struct control_topic *topic;
    int32_t index;
    const struct control_partition *p;
    struct watch *watch; /* NULL: nothing is remembered */
};

struct watch *decide_find_watch(const struct round *r, struct uuid topic_id, int32_t partition);
struct watch *decide_watch(struct round *r, struct subject *s); /* made if there is none */
/* Proposes an epoch; false: the round is full. */
bool decide_assign(struct round *r, const struct subject *s, uint32_t leader,
                   const struct control_config *config /* NULL: stays */, bool lossy);
bool decide_take_token(struct round *r);

/* decide_repair.c: 2, 3, 5. True: this partition is dealt with in this round. */
bool decide_repair(struct round *r, struct subject *s);
/* Replicas of disks that had forgotten, or are new, and may have caught up in this epoch: until that is
 * known nothing may depend on them alone (control/nodes.c: may_go). */
node_set decide_unproven(const struct control_partition *p);
/* decide_shape.c: 4, 6, 7 and the ledger that goes with them. */
bool decide_degrade(struct round *r, struct subject *s);
bool decide_shape(struct round *r, struct subject *s);
/* Nothing can be committed before learners are voters, neither by the present config nor by `config`,
 * one of which it is: who leads an epoch with that one, for learners to follow. 0: nobody, or no need. */
uint32_t decide_lead_stranded(const struct round *r, const struct subject *s,
                              const struct control_config *config);
/* May its leader move for the better, and which voters can take over at once? */
bool decide_may_move(const struct round *r, const struct subject *s);
node_set decide_level_nodes(const struct round *r, const struct subject *s);
/* decide_members.c: coordinators of consumer groups go where their members are. */
void decide_note_members(const struct round *r, struct watch *watch, uint32_t leader,
                         const uint32_t members[CONTROL_REGIONS_MAX]);
bool decide_follow_members(struct round *r, struct subject *s);
void decide_ledger_index(struct round *r); /* before any of these */
void decide_ledger(struct round *r);
