/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files about the new protocol only. */
#pragma once

#include "group/consumer.h"
#include "group/consumer_record.h"
#include "group/inner.h"

/* ---- consumer_state.c: members, owners, records ---------------------------------------------- */

struct consumer *consumer_new(void);
struct consumer_member *consumer_member_new(struct groups *groups, struct group *group,
                                            struct slice id);
struct consumer_member *consumer_member_by_instance(const struct consumer *consumer,
                                                    struct slice instance_id);
/* Out of the group; freed later. */
void consumer_member_drop(struct groups *groups, struct consumer_member *member);
/* What it has, or has to give up, is another thing now: `assigned` and `revoking` are emptied. */
void consumer_member_take(struct consumer_member *member, struct part_set *assigned,
                          struct part_set *revoking);
/* Another member has the partition, or has yet to give it up. */
bool consumer_owned_by_other(const struct consumer_member *member, const struct topic_part *part);

/* Ask for records of what is now. */
void consumer_put_group(struct group *group, struct group_out *out);
void consumer_put_member(struct consumer_member *member, struct group_out *out);
void consumer_put_target_epoch(struct group *group, struct group_out *out);
void consumer_put_target(struct consumer_member *member, struct group_out *out);
void consumer_put_current(struct consumer_member *member, struct group_out *out);
/* Its records go. */
void consumer_put_gone(struct consumer_member *member, struct group_out *out);

/* ---- consumer_target.c ----------------------------------------------------------------------- */

/* What it subscribes to as topics are now; EINVALIDREGEX leaves it as it was. */
int consumer_resolve(struct groups *groups, struct consumer_member *member);
uint64_t consumer_metadata_hash(struct groups *groups, const struct consumer *consumer);
/* Epoch + 1 and its record. */
void consumer_bump(struct groups *groups, struct group *group, struct group_out *out);
/* A new target assignment, if the epoch has passed the one there is. */
void consumer_assign(struct groups *groups, struct group *group, struct group_out *out);
/* One step of a member towards its target; true: it has changed, and its record is asked for. owned
 * NULL: not told. */
bool consumer_reconcile(struct groups *groups, struct consumer_member *member, struct group_now now,
                        const struct part_set *owned, struct group_out *out);

/* ---- consumer.c ------------------------------------------------------------------------------ */

/* Takes a member out, with its records and a new epoch. */
void consumer_fence(struct groups *groups, struct consumer_member *member, struct group_out *out);
void consumer_touch(struct groups *groups, struct consumer_member *member, struct group_now now);
