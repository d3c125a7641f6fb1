/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator of the groups of one partition of the groups' topic (CONTROL_GROUPS_TOPIC). Who
 * leads the partition coordinates its groups.
 *
 *          leads, and its HW has reached the initial log       log read
 *   IDLE ------------------------------------------> LOADING ----------> ACTIVE
 *     ^                                                 |                  |
 *     '-------------- another leader, another epoch ----+------------------'
 *                     (all who wait: NOT_COORDINATOR)
 *
 * What the groups ask for goes into the partition's log like a produced batch, and is given back to
 * them once the high watermark has passed it: only then is anybody told. All that is asked for in
 * one turn of the loop is one batch.
 *
 * The log is bounded without compaction: when it has grown, and nothing is on its way, the whole
 * committed state is appended, and when that is committed the log start is raised to its beginning.
 * See docs/formats/group-records.md. */
#pragma once

#include "agent/api.h"
#include "group/consumer.h"

#define GROUPS_PARTITIONS    12
#define GROUPS_TIMEOUT_MS    5000 /* for offsets to be committed */
#define GROUPS_BATCH_BYTES   ((size_t)512 << 10)
#define GROUPS_WAITING_BYTES ((uint64_t)32 << 20) /* asked for, not committed; then ELOADING */
#define GROUPS_SNAPSHOT      ((uint64_t)4 << 20)  /* log bytes that make a snapshot worth while */
#define GROUPS_SWEEP_MS      600000               /* between looks for what has expired */
#define GROUPS_ASKED_MAX     10000                /* groups, keys or members in one request */
#define GROUPS_ANSWER_BYTES  ((size_t)64 << 20)   /* of what one request may make us tell */

struct coordinator;

/* ---- from partition.c and node.c -------------------------------------------------------------- */

/* The partition belongs to the groups' topic. Once is enough; again is allowed. */
void coordinator_attach(struct partition *p);
/* Its HW, role or epoch may have moved. */
void coordinator_poke(struct partition *p);
/* It is being deleted (all who wait are told), or the node closes (`closing`: nobody is). */
void coordinator_detach(struct partition *p, bool closing);
/* A topic is gone: so are the offsets of it. */
void coordinators_topic_deleted(struct node *node);
/* Topics were made, or have other partitions. */
void coordinators_topics_changed(struct node *node);
/* After the partitions: the reads that are still under way. */
void coordinators_close(struct node *node);

/* ---- for handlers ----------------------------------------------------------------------------- */

/* The partition of a group; -1 while there is no groups' topic. */
int32_t coordinator_partition(const struct node *node, struct slice group_id);
/* 0, ENOTCOORDINATOR, ELOADING (also: too much waits). */
int coordinator_of(struct node *node, struct slice group_id, struct coordinator **out);
/* So much waits to be committed that nothing more is taken: ELOADING. */
bool coordinator_full(const struct coordinator *co);
struct groups *coordinator_groups(struct coordinator *co);
struct group_now coordinator_now(const struct coordinator *co);
/* Carries out effects of groups_*, and empties `out`; sets the timer anew. After every call that
 * changes something. */
void coordinator_run(struct coordinator *co, struct group_out *out);
/* value.base NULL: a tombstone. */
void coordinator_append(struct coordinator *co, struct slice key, struct slice value);

/* Waits until all that was asked for up to now is committed, and this node has thereby been seen to
 * lead after the wait began. `done` is called once, with 0, ENOTCOORDINATOR or ENOCOORDINATOR,
 * never from inside coordinator_wait. */
struct group_wait {
    struct link link;
    void (*done)(struct group_wait *wait, int status);
};
void coordinator_wait(struct coordinator *co, struct group_wait *wait);

/* Of all groups that are coordinated here; true if some are still being loaded. */
bool coordinators_each(struct node *node, void (*each)(void *ctx, const struct group *group),
                       void *ctx);

/* Topics as groups see them; ctx is the node (group_views.c). */
bool group_topic_named(void *ctx, struct slice name, struct group_topic *out);
bool group_topic_by_id(void *ctx, struct uuid id, struct group_topic *out);
void group_topics_each(void *ctx, void (*each)(void *to, const struct group_topic *topic),
                       void *to);

/* Adds what a partition's coordinator has. */
void coordinator_count(const struct partition *p, struct node_counters *counters);

/* ---- group_answers.c --------------------------------------------------------------------------- */

/* Replies `response` once all that was asked for up to now is committed, or `failure` with an error
 * set in *error (a field of it). Both are of the request's type, in its arena. */
void group_reply_stored(struct request *rq, struct coordinator *co, const void *response,
                        const void *failure, int16_t *error);
/* The answers that groups give by effects. */
void group_answer(const struct group_effect *effect);
