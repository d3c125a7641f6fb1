/* SPDX-License-Identifier: Apache-2.0 */
/* Members that speak the classic protocol in a group of the new one, while clients are being
 * upgraded. What they say in ConsumerProtocolSubscription is taken for a heartbeat's; what they are
 * assigned is told as ConsumerProtocolAssignment. None of them plans. */
#pragma once

#include "group/group.h"

struct mixed_answer {
    int error;
    struct slice member_id;
    int32_t generation;
    struct slice protocol;
    struct buf assignment; /* of a sync; the caller's to finish */
    bool wait;             /* until all that has been asked for is committed */
};

/* Has the group members, and is of the new protocol? Then joins and syncs come here. Heartbeats and
 * leaves find their way. */
bool groups_mixed(const struct groups *groups, struct slice group_id);
/* Besides what groups_join answers: ELOADING. join->waiter is not used. */
void groups_mixed_join(struct groups *groups, struct group_now now, const struct group_join *join,
                       struct mixed_answer *answer, struct group_out *out);
void groups_mixed_sync(struct groups *groups, struct group_now now, const struct group_sync *sync,
                       struct mixed_answer *answer);
