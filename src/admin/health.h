/* SPDX-License-Identifier: Apache-2.0 */
/* How a cluster is, as one node sees it: pure judgement over the control state and who is heard.
 *
 *     ok        every voter of every partition counts
 *     degraded  promises hold, but something is missing: one loss more may stop writes
 *     unhealthy something cannot be written now
 *     violated  that, or a weaker rule than its policy's, for a topic that is critical */
#pragma once

#include "control/control.h"

enum health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_UNHEALTHY, HEALTH_VIOLATED };
const char *health_name(enum health health); /* "ok", "degraded", ... */

#define HEALTH_WHY 160

struct health_view {
    const struct control *control;
    node_set heard;                   /* nodes that the asked node hears, itself included */
    bool leader_known;                /* a controller, that is */
    uint32_t damaged[WIRE_NODES_MAX]; /* ranges of records, per node */
};

struct health_finding {
    enum health health;
    char why[HEALTH_WHY]; /* "" when ok */
};
/* Nodes that count: heard and not fenced. */
node_set health_alive(const struct health_view *view);
struct health_finding health_partition(const struct health_view *view,
                                       const struct control_topic *topic, uint32_t partition);
struct health_topic {
    struct health_finding finding;         /* of its worst partition */
    uint32_t leaderless;                   /* partitions that nobody can write to */
    uint32_t under_replicated;             /* partitions with a voter that doesn't count now */
    uint32_t leaders[CONTROL_REGIONS_MAX]; /* per region */
};
void health_topic(const struct health_view *view, const struct control_topic *topic,
                  struct health_topic *out);

/* Named findings about the whole. */
struct health_check {
    const char *code;
    enum health health;
    char subject[CONTROL_TOPIC_NAME_MAX];
    char text[HEALTH_WHY];
};
#define HEALTH_CHECKS_MAX 64
struct health_cluster {
    enum health health;
    struct health_check checks[HEALTH_CHECKS_MAX]; /* the first ones found; worst are kept */
    uint32_t check_count;
    uint32_t topics;
    uint32_t partitions;
    uint32_t leaderless;
    uint32_t critical; /* critical topics */
    uint32_t critical_met;
    uint32_t ledger_open;
    uint32_t regions;
    uint32_t regions_heard;
};
/* One more finding: when there is no room, it takes the place of a lesser one. */
void health_add(struct health_cluster *out, const char *code, enum health health,
                const char *subject, const char *format, ...) TERN_PRINTF(5, 6);
void health_cluster(const struct health_view *view, struct health_cluster *out);
