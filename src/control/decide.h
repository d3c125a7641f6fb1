/* SPDX-License-Identifier: Apache-2.0 */
/* What the controller proposes: pure decisions on the control state and what it has observed.
 *
 * Called on the controller at every tick and after every observation. Gives commands to propose;
 * the same decision may come again until the state shows it, so the caller proposes one round at a
 * time. */
#pragma once

#include "control/command.h"

/* What the controller knows about one node now. */
struct decide_node {
    bool reachable;         /* heard within its suspicion time, and not gone */
    bool gone;              /* nothing listens at its address any more */
    uint64_t silent_ms;     /* since it was last heard */
    bool registered;        /* its present start is registered: it may lead */
    bool full;              /* told below its disk reserve */
    uint64_t applied_index; /* of the control log, as it said last; 0: not known */
};

enum decide_report_kind {
    REPORT_NO_QUORUM,     /* a candidate or leader lacks its quorum, or cannot become leader;
                             `reaches` says whom it hears, itself included; repeated until it leads
                             a newer epoch */
    REPORT_REGION_SILENT, /* `nodes` have not acknowledged a sync topic for `millis`; repeated
                             while it lasts */
    REPORT_LEARNER_READY, /* `nodes` (followers of any kind: learners, voters, voters of a newer
                             incarnation than the pinned one) are within 1 s and 8 MiB of the
                             leader's end. Once per epoch and absence of the node is enough, but a
                             new controller must hear it, too */
    REPORT_AMNESIA,       /* incarnation `incarnation` of `nodes` (one) holds less than it has
                             acknowledged to the leader; repeated while it does */
    REPORT_MEMBERS /* `members` of consumer groups are coordinated by this partition's leader,
                             of those whose region is known; repeated */
};
/* Reports of another epoch than the newest, or from a node that does not lead it, are ignored. */
struct decide_report {
    enum decide_report_kind kind;
    struct uuid topic_id;
    int32_t partition;
    int32_t epoch;
    uint32_t from; /* node that reports */
    node_set reaches;
    node_set nodes; /* silent, ready or forgetful nodes */
    uint32_t incarnation;
    uint64_t millis;
    uint32_t members[CONTROL_REGIONS_MAX]; /* by region */
};

/* Everything that the controller sees at one moment. The controller's own node is reachable. */
struct decide_view {
    uint64_t now_ms;              /* monotonic; never 0 */
    uint64_t controller_since_ms; /* when this node became controller (barrier applied) */
    uint64_t suspicion_ms;        /* D */
    int64_t wall_ms;
    struct decide_node nodes[WIRE_NODES_MAX];
    /* What came in since the last call (it does no harm to give a report again). */
    const struct decide_report *reports;
    size_t report_count;
    /* Async topics: when the controller last granted the leader's lease, per node; 0: never. */
    uint64_t lease_granted_ms[WIRE_NODES_MAX];
    uint64_t lease_ms;
};

/* Kept between calls by the caller; a new one at the start of a controllership. */
struct decide_memory;
struct decide_memory *decide_memory_new(void);
void decide_memory_free(struct decide_memory *memory);

#define DECIDE_COMMANDS_MIN 3 /* ledger opened, epochs assigned, ledger closed */

/* What is decided, in the order of its urgency:
 *
 *   1. a node that holds less than it acknowledged is declared forgetful; a silent node is fenced, one that is back is unfenced, a full one hands its leaders away;
 *      then nothing else in this round, because leaders move by that alone;
 *   2. a partition without a leader that can serve gets one as soon as a quorum is possible;
 *   3. a leader that reports no quorum is replaced, not more often than once in D, and so is one
 *      that is heard and has not applied its assignment for 2 D; an epoch that is not activated
 *      within 2 D goes back to the last activated config;
 *   4. sync, ack 3, on_region_loss degrade: a region silent for region_loss_after_ms stops to
 *      count (its replicas become learners), the ledger is opened before;
 *   5. async, failover auto: a home silent for failover_after_ms whose leases have run out is
 *      given up by a lossy epoch in the best preferred region;
 *   6. replicas that forgot count again once they caught up; configs grow (or shrink) to what the
 *      policy says, by learners that become voters when they are ready;
 *   7. leaders go back to the preferred region, an async home to the policy's, when its node was
 *      well for 30 s and is told to be ready (or was well for ten minutes); on the same terms they
 *      are spread over the replicas of one region. Where the policy does not say, the leader of a
 *      partition with consumer groups goes where clearly most of their members are.
 *
 * 6 and 7 pause their partition for some round trips: at most 50 of them per second.
 * At most `max` commands (not less than DECIDE_COMMANDS_MIN), each appended to its own buf of `out`
 * (empty ones; the caller frees them), to be proposed in this order; the first command gets the
 * seq of `key` + 1, and in the end `key` has the seq of the last. Returns how many. */
size_t decide(const struct control *control, const struct decide_view *view,
              struct decide_memory *memory, struct command_key *key, struct buf *out, size_t max);

/* ---- leases (decide_lease.c) ------------------------------------------------------------------ */

/* What decisions rest on that may still be on their way into the log. All zeros: there are none. */
struct decide_pending {
    node_set absent; /* not reachable when they were made */
    size_t waiting;  /* so many of them have not been told of yet */
    bool unknown; /* one, also of an earlier round, may be committed although its proposer was told
                        that it is not known: until a later one was applied */
};
/* A round has made so many commands, by this view; they are proposed next. */
void decide_pending_round(struct decide_pending *pending, const struct decide_view *view,
                          size_t commands);
/* A command is proposed. */
void decide_pending_proposed(struct decide_pending *pending);
/* Of one it was told that it is applied; `told` is false: nothing is known. */
void decide_pending_done(struct decide_pending *pending, bool told);

/* A node that asks for a lease. */
struct decide_lease {
    uint32_t node;
    bool self;              /* it is the controller's own */
    uint64_t applied_index; /* of the control log, as it said last */
    uint64_t lossy_index;   /* where the newest lossy epoch was applied; 0: there is none */
};
bool decide_may_lease(const struct control *control, const struct decide_pending *pending,
                      const struct decide_lease *asks);

/* ---- rounds that may wait (decide_calm.c) ------------------------------------------------------ */

/* So often all partitions are looked at while nothing happens: after a round that found nothing, and in
 * the end, for each look costs something for every partition. */
#define DECIDE_CALM_MS     500
#define DECIDE_CALM_MAX_MS 2000

/* What the last round rested on. All zeros: there was none. */
struct decide_calm {
    bool found_nothing;
    uint64_t at_ms;
    uint64_t wait_ms; /* until the next round, if nothing happens */
    uint64_t index;   /* of the control log */
    node_set present; /* there, registered, not full, as far as the log is */
};
/* With everybody there, no report and no new entry since a round that found nothing, another one can only
 * find what time brings: what is for the better. That is not urgent. */
bool decide_may_wait(const struct decide_calm *calm, const struct control *control,
                     const struct decide_view *view, const struct decide_pending *pending);
/* A round has made so many commands, by this view. */
void decide_calm_round(struct decide_calm *calm, const struct control *control,
                       const struct decide_view *view, size_t commands);
