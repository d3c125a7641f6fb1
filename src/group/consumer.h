/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of the new protocol (KIP-848): the coordinator assigns, and members reconcile one by one.
 *
 *   group epoch       rises with every change of members, subscriptions or topics
 *   target epoch      the group epoch that the target assignment was computed for
 *   member's epoch    the target epoch that the member has got to
 *
 *               target has other partitions than it has
 *     STABLE ---------------------------------------------> UNREVOKED   told to give some up
 *       ^  ^                                                    |
 *       |  |         it does not own them any more              |
 *       |  '----------------------------------------------------+
 *       |                                                       v  some that it shall have
 *       '----------------- others gave them up ------------ UNRELEASED   belong to others yet
 *
 * A partition is given to a member only when no other one has it, or has yet to give it up.
 *
 * Everything here is what the records of the group say (consumer_record.h); an event changes it at
 * once, asks for the records, and its answer waits until they are committed. When one is refused,
 * the group is made anew from the committed ones. */
#pragma once

#include "group/assignor.h"
#include "group/group.h"

#define CONSUMER_LEAVES      (-1) /* member epochs with a meaning of their own */
#define CONSUMER_AWAY        (-2) /* a static member that will be back */
#define CONSUMER_NAMES_MAX   10000
#define CONSUMER_REGEX_MAX   256
#define CONSUMER_SESSION_MS  45000
#define CONSUMER_INTERVAL_MS 5000

/* Numbers of Kafka's records. */
enum consumer_member_state {
    CONSUMER_STABLE = 1,
    CONSUMER_UNREVOKED = 2,
    CONSUMER_UNRELEASED = 3,
};

struct consumer_member {
    UT_hash_handle hh; /* in consumer.members, by id */
    struct link dead;
    struct group *group;
    struct buf id;
    struct buf instance_id; /* empty: dynamic */
    struct buf rack_id;
    struct buf client_id;
    struct buf client_host;
    struct buf names;    /* subscribed, sorted: a name_list */
    struct buf regex;    /* empty: none */
    struct buf assignor; /* empty: does not mind */
    int32_t rebalance_timeout_ms;
    bool fresh;   /* nothing has been asked to be stored of it */
    bool classic; /* it speaks JoinGroup and SyncGroup */
    int32_t session_timeout_ms;
    struct buf protocols; /* see consumer_member_value */
    uint32_t protocol_count;
    struct uuid *topics; /* that it subscribes to now, ascending */
    uint32_t topic_count;
    int32_t epoch;
    int32_t previous_epoch;
    enum consumer_member_state state;
    struct part_set assigned;
    struct part_set revoking;
    struct part_set target;
    struct group_timer session;
    struct group_timer rebalance; /* to give up what it must; of classic ones: to join or sync */
    uint64_t asked;               /* group->asked when its newest record was asked for */
};

struct consumer_owner; /* who has a partition */

struct consumer {
    struct consumer_member *members;
    uint32_t member_count;
    int32_t epoch;
    int32_t target_epoch;
    uint64_t metadata_hash; /* of the subscribed topics, as the epoch knows them */
    enum assignor assignor; /* the last one */
    struct consumer_owner *owners;
};

/* "Empty", "Assigning", "Reconciling", "Stable". */
const char *consumer_state_name(const struct consumer *consumer);
/* Does a member subscribe to the topic? */
bool consumer_subscribes(const struct consumer *consumer, const struct group_topics *topics,
                         struct slice topic);
struct consumer_member *consumer_member_of(const struct consumer *consumer, struct slice id);

/* ---- events ---------------------------------------------------------------------------------- */

struct consumer_beat {
    struct slice group_id;
    struct slice member_id;
    int32_t member_epoch;
    struct slice instance_id; /* base NULL, here and below: not told */
    struct slice rack_id;
    struct slice client_id;
    struct slice client_host;
    int32_t rebalance_timeout_ms; /* -1: not told */
    const struct slice *names;    /* NULL: not told */
    uint32_t name_count;
    struct slice regex;
    struct slice assignor;
    const struct part_set *owned; /* sorted; NULL: not told */
    bool id_required;             /* version 1: clients make their ids */
    struct uuid fresh;            /* else this becomes it */
};

struct consumer_answer {
    int error;           /* 0; EINVALIDREQUEST, EUNSUPPORTEDASSIGNOR, EINVALIDREGEX, EGROUPNOTFOUND,
                  EGROUPFULL, EUNKNOWNMEMBER, EFENCEDMEMBER, EUNRELEASEDINSTANCE, EFENCEDINSTANCE,
                  ELOADING */
    const char *message; /* static; NULL: the error's own */
    struct slice member_id;
    int32_t epoch;
    int32_t interval_ms;
    const struct part_set *assignment; /* NULL: as the member knows it */
    bool wait; /* until all that has been asked for is committed: only then may it be told */
};
/* Slices in the answer are valid until the next call that takes `struct groups *`. */
void groups_consumer_beat(struct groups *groups, struct group_now now,
                          const struct consumer_beat *beat, struct consumer_answer *answer,
                          struct group_out *out);

/* Topics were made, deleted, or have other partitions. */
void groups_topics_changed(struct groups *groups, struct group_out *out);

/* May this member be told committed offsets? 0, EUNKNOWNMEMBER, ESTALEMEMBER. member_id.base NULL
 * with a negative epoch: a tool. */
int groups_may_fetch(struct groups *groups, struct slice group_id, struct slice member_id,
                     int32_t member_epoch);
/* It speaks the new protocol, so it must use versions that know member epochs. */
bool groups_needs_epochs(const struct groups *groups, struct slice group_id,
                         struct slice member_id);
