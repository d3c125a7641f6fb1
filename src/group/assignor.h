/* SPDX-License-Identifier: Apache-2.0 */
/* Which member of a group gets which partitions (KIP-848's assignors on the server's side).
 *
 *   uniform  as even as the subscriptions allow, and every member keeps what it had as far as that
 *            is even
 *   range    of each topic a run of partitions, in the order of members: the same partitions of
 *            several topics go to the same member
 *
 * A partition goes to one member at most, to a subscriber of its topic; to none if it has none. */
#pragma once

#include "base/slice.h"
#include "group/part_set.h"

struct assignor_topic {
    struct uuid id;
    uint32_t partitions;
};

struct assignor_member {
    const struct uuid *topics; /* subscribed, ascending; those that are no assignor_topic are
                                  ignored */
    uint32_t topic_count;
    const struct part_set *held; /* what it was to have up to now */
    struct part_set target;      /* out, sorted; the caller's to finish */
};

struct assignor_task {
    const struct assignor_topic *topics; /* ascending ids */
    uint32_t topic_count;
    struct assignor_member *members; /* their order decides where nothing else does */
    uint32_t member_count;
};

enum assignor { ASSIGNOR_UNIFORM, ASSIGNOR_RANGE, ASSIGNOR_COUNT };
const char *assignor_name(enum assignor assignor);
/* False: there is none of that name. */
bool assignor_find(struct slice name, enum assignor *out);
void assignor_run(enum assignor assignor, const struct assignor_task *task);
