/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator of the groups of one partition of the groups' topic (CONTROL_GROUPS_TOPIC), as
 * coordinator.h describes it; here is what handlers of groups need. */
#pragma once

#include "agent/coordinator.h"
#include "group/consumer.h"
#include "group/record.h"

#define GROUPS_ASKED_MAX    100000             /* groups, keys or members in one request */
#define GROUPS_ANSWER_BYTES ((size_t)64 << 20) /* of what one request may make us tell */

/* ---- for handlers ----------------------------------------------------------------------------- */

/* The partition of a group; -1 while there is no groups' topic. */
int32_t coordinator_partition(const struct node *node, struct slice group_id);
/* 0, ENOTCOORDINATOR, ELOADING (also: too much waits). */
int coordinator_of(struct node *node, struct slice group_id, struct coordinator **out);
struct groups *coordinator_groups(struct coordinator *co);
struct group_now coordinator_now(const struct coordinator *co);
/* Asks for the record of one offset, of a group or (in a transaction) of a producer: 0, ELOADING, ENOENT,
 * EMETADATATOOLARGE. */
int coordinator_commit(struct coordinator *co, struct coordinator_producer producer,
                       struct slice group_id, const struct control_topic *topic, int32_t partition,
                       const struct group_offset_value *value);
/* Carries out effects of groups_*, and empties `out`; sets the timer anew. After every call that
 * changes something. */
void coordinator_run(struct coordinator *co, struct group_out *out);
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
