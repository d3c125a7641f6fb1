/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets that transactions commit (KIP-98): they come into force when the end of their transaction
 * is committed in the groups' log, and not at all if it is aborted. */
#pragma once

#include "group/group.h"

/* One committed record of a transactional batch. */
void groups_pending(struct groups *groups, int64_t producer_id, int16_t epoch, struct slice key,
                    struct slice value);
/* The committed end of that producer's transaction. */
void groups_end_pending(struct groups *groups, struct group_now now, int64_t producer_id,
                        bool commit, struct group_out *out);
/* Is an open transaction about to commit this offset? */
bool groups_is_pending(const struct groups *groups, struct slice group_id, struct slice topic,
                       int32_t partition);
/* Any offset of the group? */
bool groups_has_pending(const struct groups *groups, struct slice group_id);
/* Part of a snapshot. False: `emit` said stop. */
bool groups_dump_pending(const struct groups *groups,
                         bool (*emit)(void *ctx, int64_t producer_id, int16_t epoch,
                                      struct slice key, struct slice value),
                         void *ctx);
void groups_drop_pending(struct groups *groups);
/* May a transaction of this member commit offsets now? As groups_may_commit, but a producer that
 * names no member may always, and a rebalance is no hindrance. */
int groups_may_commit_txn(struct groups *groups, struct group_now now, struct slice group_id,
                          int32_t generation, struct slice member_id, struct slice instance_id);
