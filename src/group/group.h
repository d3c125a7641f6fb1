/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer groups of one partition of the groups' topic: Kafka's classic protocol as a pure
 * machine. Events and time in, effects out; nothing is called back, nothing blocks.
 *
 *            first join            delay over, or all have joined       the leader's plan is stored
 *   EMPTY ------------> PREPARING ----------------------------> COMPLETING -------------> STABLE
 *     ^                 ^   |                                       |                        |
 *     |   nobody joined |   |    a member joins, leaves or is silent: all join anew          |
 *     '-----------------|---'---------------------------------------'------------------------'
 *
 * What must survive (offsets, members with their assignments) is a function of the committed
 * records of that partition's log: an event only asks for records (GROUP_APPEND); once they are
 * committed the caller gives them to groups_committed, the same function that loading a log uses.
 * So nothing is shown that another coordinator would not find. The rest (who is joining, timers)
 * is in memory only: members of a lost coordinator join again.
 *
 * Clients' times (sessions, rebalances) are monotonic milliseconds; wall time is only for retention
 * and for people. Whoever asks and has to wait is a `waiter`, opaque here; it is answered by exactly
 * one effect.
 *
 * Pointers in effects and answers are valid until the next call that takes `struct groups *`. */
#pragma once

#include <uthash.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/queue.h"
#include "base/timer_heap.h"
#include "base/uuid.h"
#include "group/record.h"

#define GROUPS_MAX           50000 /* of one partition */
#define GROUPS_BYTES_MAX     ((uint64_t)128 << 20)
#define GROUP_MEMBERS_MAX    1000
#define GROUP_PENDING_MAX    1000 /* member ids given out and not used yet */
#define GROUP_PROTOCOLS_MAX  32
#define GROUP_MEMBER_BYTES   ((size_t)1 << 20) /* names and metadata of a member's protocols */
#define GROUP_VALUE_MAX      ((size_t)4 << 20) /* of a group's record */
#define GROUP_CLIENT_PREFIX  128               /* of the client id, in a member id */
#define GROUP_SESSION_MIN_MS 6000
#define GROUP_SESSION_MAX_MS 1800000
#define GROUP_NEW_MEMBER_MS  300000 /* so long a join of a new member may take */
#define GROUP_TOMBSTONES_MAX 10000  /* of one groups_expire */

/* A topic as groups know it. */
struct group_topic {
    struct uuid id;
    struct slice name;
    uint32_t partitions;
};
/* What topics there are; groups_topics_changed says when that is no more so. Without functions
 * there are none. */
struct group_topics {
    void *ctx;
    bool (*by_name)(void *ctx, struct slice name, struct group_topic *out);
    bool (*by_id)(void *ctx, struct uuid id, struct group_topic *out);
    void (*each)(void *ctx, void (*each)(void *to, const struct group_topic *topic), void *to);
};

struct groups_settings {
    uint32_t initial_delay_ms;     /* a group that was empty waits so long for more members */
    uint64_t retention_ms;         /* of offsets, after their group is empty */
    uint32_t consumer_session_ms;  /* of members of the new protocol; 0: CONSUMER_SESSION_MS */
    uint32_t consumer_interval_ms; /* between their heartbeats; 0: CONSUMER_INTERVAL_MS */
    struct group_topics topics;
};

struct group_now {
    uint64_t ms; /* monotonic */
    int64_t wall_ms;
};

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE };
/* As Kafka calls them: "Empty", "PreparingRebalance" ... */
const char *group_state_name(enum group_state state);
struct group;
const char *group_state_text(const struct group *group); /* of either protocol */

enum group_timer_kind {
    GROUP_TIMER_GROUP,
    GROUP_TIMER_SESSION,
    GROUP_TIMER_PENDING,
    GROUP_TIMER_CONSUMER_SESSION,
    GROUP_TIMER_CONSUMER_REBALANCE,
};
struct group_timer {
    struct timer timer; /* in groups.timers; microseconds */
    enum group_timer_kind kind;
};

struct group_protocol {
    struct slice name;
    struct slice metadata; /* opaque */
};

struct group;

struct group_member {
    UT_hash_handle hh; /* in group.members, by id; iterating gives the order of joining */
    struct link dead;
    struct group *group;
    struct buf id;
    struct buf instance_id; /* empty: a dynamic member */
    struct buf client_id;
    struct buf client_host;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    struct buf protocol_bytes; /* what protocols point into */
    struct group_protocol *protocols;
    uint32_t protocol_count;
    struct buf assignment;
    struct buf told_leader; /* whom its join names as leader; empty: the leader */
    void *joining;          /* waiter; NULL: it is not waiting */
    void *syncing;
    bool can_skip; /* its join may be answered with skip_assignment */
    bool fresh;    /* never part of a generation yet */
    bool owes_sync;
    struct group_timer session;
};

struct group_pending; /* a member id that was given out */

struct group_offset {
    UT_hash_handle hh; /* in group.offsets, by key */
    int64_t offset;
    int64_t commit_ms; /* wall clock */
    int64_t expire_ms; /* -1: by the retention of groups */
    int32_t leader_epoch;
    uint32_t metadata_len;
    uint8_t *metadata;
    size_t key_len;
    uint8_t key[]; /* partition as be32, then the topic's name */
};
static inline int32_t group_offset_partition(const struct group_offset *o)
{
    return (int32_t)get_be32(o->key);
}
static inline struct slice group_offset_topic(const struct group_offset *o)
{
    return slice_of(o->key + 4, o->key_len - 4);
}

/* A committed record of a group of the new protocol. */
struct group_record {
    UT_hash_handle hh; /* in group.records, by key */
    struct buf value;
    size_t key_len;
    uint8_t key[];
};

struct consumer; /* consumer.h */

struct group {
    UT_hash_handle hh; /* in groups.all, by id */
    struct link dead;
    struct buf id;
    enum group_state state;
    int32_t generation;
    struct buf protocol_type; /* empty: offsets only */
    struct buf protocol;      /* chosen; empty without members */
    struct buf leader;        /* member id; empty: none */
    struct group_member *members;
    uint32_t member_count;
    uint32_t joining_count;
    struct group_pending *pending;
    uint32_t pending_count;
    struct group_offset *offsets;
    struct buf stored;       /* value of the newest committed record; empty: none */
    uint32_t stores;         /* records asked for and not committed yet */
    int32_t sync_generation; /* whose plan is being stored */
    int64_t since_wall_ms;   /* of this state */
    bool initial;            /* PREPARING after EMPTY: waits for more members */
    bool more_came;          /* while it waited */
    uint32_t delay_left_ms;
    struct group_timer timer;
    /* Of the new protocol: */
    struct consumer *consumer;    /* NULL: a classic group; else its own state is GROUP_EMPTY */
    struct group_record *records; /* its committed records */
    uint64_t asked;               /* of these records, ever */
    uint64_t done;                /* of those: committed or refused */
    bool broken; /* one was refused: made anew when all are done; until then ELOADING */
};
/* It has no members. */
bool group_is_empty(const struct group *group);

struct groups {
    struct groups_settings settings;
    struct group *all; /* uthash */
    struct timer_heap timers;
    struct pending_txn *pending; /* pending.h; uthash */
    uint64_t bytes;              /* that clients made us keep, about */
    uint64_t bad_records;        /* committed ones that this build could not read */
    struct link dead_groups;
    struct link dead_members;
    struct link dead_consumers;
};

/* ---- effects --------------------------------------------------------------------------------- */

enum group_effect_kind {
    GROUP_JOINED, /* answer a join */
    GROUP_SYNCED, /* answer a sync */
    GROUP_APPEND, /* append a record; then groups_committed or groups_refused */
};

struct group_effect {
    enum group_effect_kind kind;
    void *waiter;
    int error; /* 0 or TERN_E*; then group and member are NULL */
    const struct group *group;
    const struct group_member *member;
    struct slice member_id; /* JOINED, also with an error */
    struct slice leader;    /* JOINED */
    bool with_members;      /* JOINED: it plans the assignment, tell it all members */
    bool skip_assignment;
    struct buf key; /* APPEND */
    struct buf value;
    bool tombstone;
};

struct group_out {
    struct group_effect *effects;
    size_t count;
    size_t cap;
};
void group_out_fini(struct group_out *out);

/* ---- life ------------------------------------------------------------------------------------ */

struct groups *groups_new(const struct groups_settings *settings);
/* Waiters are not answered: see groups_give_up. */
void groups_free(struct groups *groups);
/* This node coordinates no more: all who wait are answered with `error`. */
void groups_give_up(struct groups *groups, int error, struct group_out *out);

/* One committed record, in the order of the log, while loading and afterwards. Never fails: what it
 * does not know it counts in bad_records. */
void groups_committed(struct groups *groups, struct group_now now, struct slice key,
                      struct slice value, struct group_out *out);
/* A record that was asked for was not appended. */
void groups_refused(struct groups *groups, struct group_now now, struct slice key,
                    struct group_out *out);
/* All committed records have been given: members that were stored are expected back within their
 * session time-outs. Once, before any other event. */
void groups_loaded(struct groups *groups, struct group_now now);

/* When groups_tick has something to do; UINT64_MAX: nothing. */
uint64_t groups_wake_ms(const struct groups *groups);
/* One thing that is due; false: nothing was. Carry out the effects between two calls. */
bool groups_tick(struct groups *groups, struct group_now now, struct group_out *out);

/* The state as records, newest committed values only. For a snapshot: no record may be on its way
 * then. False: `emit` said stop. */
bool groups_dump(const struct groups *groups,
                 bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx);

/* ---- members --------------------------------------------------------------------------------- */

struct group_join {
    void *waiter;
    struct slice group_id;
    struct slice member_id;   /* empty: a new member */
    struct slice instance_id; /* base NULL: dynamic */
    struct slice client_id;
    struct slice client_host;
    struct slice protocol_type;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    const struct group_protocol *protocols;
    uint32_t protocol_count;
    bool id_required; /* KIP-394: a new member is first told its id */
    bool can_skip;    /* KIP-814 */
    struct uuid fresh;
};
void groups_join(struct groups *groups, struct group_now now, const struct group_join *join,
                 struct group_out *out);

struct group_assignment {
    struct slice member_id;
    struct slice assignment;
};
struct group_sync {
    void *waiter;
    struct slice group_id;
    int32_t generation;
    struct slice member_id;
    struct slice instance_id;
    struct slice protocol_type; /* base NULL: not told */
    struct slice protocol;
    const struct group_assignment *assignments;
    uint32_t assignment_count;
};
void groups_sync(struct groups *groups, struct group_now now, const struct group_sync *sync,
                 struct group_out *out);

/* 0, EREBALANCE, EUNKNOWNMEMBER, EILLEGALGENERATION, EFENCEDINSTANCE, EINVALIDGROUP. */
int groups_heartbeat(struct groups *groups, struct group_now now, struct slice group_id,
                     int32_t generation, struct slice member_id, struct slice instance_id);
/* One of the members of a LeaveGroup. */
int groups_leave(struct groups *groups, struct group_now now, struct slice group_id,
                 struct slice member_id, struct slice instance_id, struct group_out *out);

/* ---- offsets --------------------------------------------------------------------------------- */

/* May this member commit now? Then the caller appends the records (group_offset_key, _value). */
int groups_may_commit(struct groups *groups, struct group_now now, struct slice group_id,
                      int32_t generation, struct slice member_id, struct slice instance_id);
const struct group_offset *groups_offset(const struct group *group, struct slice topic,
                                         int32_t partition);
/* May this offset be deleted? 0, EGROUPNOTFOUND, ENONEMPTYGROUP, EGROUPSUBSCRIBED. */
int groups_delete_offset(struct groups *groups, struct slice group_id, struct slice topic,
                         int32_t partition, struct group_out *out);
/* 0, EGROUPNOTFOUND, ENONEMPTYGROUP, EINVALIDGROUP. Its records are asked for. */
int groups_delete(struct groups *groups, struct slice group_id, struct group_out *out);
/* What has been without use for the retention time; call it every few minutes. No record may be on
 * its way, or a tombstone would take a newer commit with it. */
/* The racks that members tell (KIP-881, KIP-848); of who tells none nothing. */
void groups_each_rack(const struct groups *groups, void (*each)(void *ctx, struct slice rack),
                      void *ctx);
void groups_expire(struct groups *groups, struct group_now now, struct group_out *out);
/* Offsets of topics for which `gone` says so. No record may be on its way. */
void groups_forget_topics(struct groups *groups, bool (*gone)(void *ctx, struct slice topic),
                          void *ctx, struct group_out *out);

/* ---- questions ------------------------------------------------------------------------------- */

/* NULL: there is none. */
const struct group *groups_find(const struct groups *groups, struct slice group_id);
/* Its metadata for the group's protocol; empty if there is none. */
struct slice group_member_metadata(const struct group_member *member);
/* Does a member of the group subscribe to the topic, as far as its metadata can be read? */
bool group_subscribes(const struct group *group, struct slice topic);
/* Kafka's: the hash of a Java string, without sign. */
uint32_t group_hash(struct slice group_id);
