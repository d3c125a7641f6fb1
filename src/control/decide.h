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
    bool reachable;     /* heard within its suspicion time */
    uint64_t silent_ms; /* since it was last heard */
    bool registered;    /* its present start is registered: it may lead */
    bool full;          /* told below its disk reserve */
};

enum decide_report_kind {
    REPORT_NO_QUORUM,     /* a candidate or leader lacks its quorum; `reaches` says whom it hears */
    REPORT_REGION_SILENT, /* a region has not acknowledged a sync ack-3 topic for `millis` */
    REPORT_LEARNER_READY, /* a learner is within 1 s and 8 MiB of the leader's end */
    REPORT_AMNESIA        /* the leader sees less than was acknowledged to it */
};
struct decide_report {
    enum decide_report_kind kind;
    struct uuid topic_id;
    int32_t partition;
    int32_t epoch;
    uint32_t from; /* node that reports */
    node_set reaches;
    node_set nodes; /* silent or ready nodes */
    uint64_t millis;
};

struct decide_view {
    uint64_t now_ms;              /* monotonic */
    uint64_t controller_since_ms; /* when this node became controller (barrier applied) */
    uint64_t suspicion_ms;        /* D */
    int64_t wall_ms;
    struct decide_node nodes[WIRE_NODES_MAX];
    const struct decide_report *reports;
    size_t report_count;
    /* Async topics: when the controller last granted the leader's lease, per node; 0: never. */
    uint64_t lease_granted_ms[WIRE_NODES_MAX];
    uint64_t lease_ms;
};

/* Kept between calls by the caller; zeroed at the start of a controllership. */
struct decide_memory;
struct decide_memory *decide_memory_new(void);
void decide_memory_free(struct decide_memory *memory);

/* At most `max` commands, each appended to its own buf of `out` (the caller frees them); keys come
 * from `key`, its seq advancing. Returns how many. */
size_t decide(const struct control *control, const struct decide_view *view,
              struct decide_memory *memory, struct command_key *key, struct buf *out, size_t max);
