/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated control state: nodes, topics, policies, epochs and configs, ledger.
 *
 * A pure state machine: the same commands in the same order give the same state on every node.
 * Commands come out of the quorum's log (proto/control.proto, message Command, with a dedup key).
 * Everybody else reads the structs below; only control_apply and control_restore change them. */
#pragma once

#include <uthash.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/uuid.h"
#include "base/wire.h"
#include "control/topic_config.h"
#include "policy/policy.h"

#define CONTROL_REGIONS_MAX          8
#define CONTROL_REPLICAS_MAX         12 /* voters and learners of old and new config together */
#define CONTROL_TOPIC_NAME_MAX       250
#define CONTROL_PARTITIONS_MAX       10000 /* per topic */
#define CONTROL_PARTITIONS_TOTAL_MAX 200000
#define CONTROL_TOPICS_MAX           20000
#define CONTROL_POLICIES_MAX         256
#define CONTROL_LEDGER_PER_TOPIC     1000
#define CONTROL_LEDGER_MAX           50000 /* of all topics, deleted ones as well */
#define CONTROL_QUOTAS_MAX           1000
#define CONTROL_PRODUCER_BLOCK       1000 /* ids handed out at once */
#define CONTROL_FORMAT_VERSION       3    /* of snapshots; 2 is written as long as it says all */
/* The feature level that this build knows. Whatever makes a command mean something else than it meant
 * to an older build, or brings a new one, raises it, and happens at that level only. The cluster is at
 * the greatest level that all its registered nodes know (control/level.c), and never goes back.
 * That binds from the first release on: no cluster of an older build is there to be mixed with or to be
 * replayed, so until then a command may come to another state without a level (as control_recoverable,
 * count_survivor and conditional registrations did).
 * 2: order of reassigned replicas; quotas of users and addresses. 3: levels of features.
 * 4: order of replicas that are assigned by hand; no compression.gzip.level 0. */
#define CONTROL_LEVEL 4

/* Where the state of consumer groups is kept. Its policy is the one that names it, not one that
 * matches it by a glob, and not the one called "default". */
#define CONTROL_GROUPS_TOPIC POLICY_GROUPS_TOPIC
#define CONTROL_TXNS_TOPIC   "__transaction_state"

/* A set of node ids: bit n is node n. */
typedef uint64_t node_set;
#define NODE_BIT(node) ((node_set)1 << (node))

/* Features whose level the whole cluster agrees on (KIP-584): what clients may use. Numbers are in
 * commands and snapshots as names. */
enum control_feature {
    CONTROL_FEATURE_GROUP, /* "group.version": 1 is the new group protocol (KIP-848) */
    CONTROL_FEATURE_TXN,   /* "transaction.version": 2 is KIP-890's second part */
    CONTROL_FEATURES
};
struct control_feature_kind {
    const char *name;
    int16_t least; /* levels that this build has */
    int16_t most;
    int16_t initial; /* until somebody sets one */
};
const struct control_feature_kind *control_feature_kind(enum control_feature feature);
int control_feature_named(struct slice name); /* -1: this build has no such feature */
bool control_feature_fits(enum control_feature feature, int32_t level);

struct control_region {
    char name[WIRE_NAME_MAX];
    bool witness; /* a voter, no data */
};

struct control_node {
    uint32_t id;     /* 0: this slot is empty; a node's slot is its id */
    uint32_t region; /* index into regions */
    char rack[WIRE_NAME_MAX];
    char kafka_host[WIRE_ADDRESS_MAX]; /* advertised */
    uint16_t kafka_port;
    char mesh_address[WIRE_ADDRESS_MAX];
    char admin_address[WIRE_ADDRESS_MAX];
    uint32_t incarnation;      /* counts its disks; 1 is the first */
    uint64_t start_number;     /* last registered, ever rising; 0: founder that has not yet */
    uint64_t raft_id;          /* of this incarnation */
    bool fenced;               /* suspected: leads nothing until it is unfenced */
    bool full;                 /* below its disk reserve: leads nothing */
    bool forgot;               /* this incarnation has lost what it acknowledged: it must end */
    bool removed;              /* by an operator: it may come back with an empty disk only */
    uint64_t registered_index; /* log index of the registration of this incarnation */
    uint64_t stamp; /* random, of the last registration: only the disk that made it knows it */
    uint64_t stamp_start; /* start number that came with it */
    uint32_t level;       /* that its build knows; 0: not registered yet */
};

/* Which replicas count how. Voters and learners are disjoint; the regions of the commit rule are
 * those that have a voter. */
struct control_config {
    node_set voters;
    node_set learners; /* follow and acknowledge, count nowhere */
    uint8_t w;         /* regions that must hold a record (sync); 1 for async */
    int8_t home;       /* region index that must hold it (async); -1: any w */
};

struct control_replica {
    uint32_t node;
    uint32_t incarnation; /* pinned when the epoch was assigned */
    /* Counts in recovery only with synced >= since. 0: a replica since the topic was made. A node
     * that registers a new incarnation, or becomes a member later, counts from the next epoch; the
     * leader of a lossy epoch counts again from its activation on. */
    int32_t since;
};

/* One partition's newest epoch. */
struct control_partition {
    int32_t epoch;                 /* never goes back for a topic name */
    uint32_t leader;               /* node id; 0: none can be had at the moment */
    uint64_t leader_start;         /* start number of the leader that the epoch was assigned to */
    struct control_config config;  /* of this epoch */
    struct control_config recover; /* last activated one: recovery reads this */
    bool lossy;                    /* an epoch that may skip the recovery rule */
    bool activated;          /* config is effective (true at once where config equals recover) */
    int32_t lossy_epoch;     /* newest activated lossy epoch of this partition; 0: none */
    int64_t lossy_start;     /* its first offset; -1 */
    uint64_t assigned_index; /* log index of the assignment */
    node_set target;         /* a reassignment is under way to these voters; 0: none is */
    /* As the last reassignment named them, for those who list replicas; 0 ends it. */
    uint8_t order[CONTROL_REPLICAS_MAX];
    uint32_t replica_count; /* members of config and recover */
    struct control_replica replicas[CONTROL_REPLICAS_MAX];
};

struct control_topic {
    struct uuid id;
    char name[CONTROL_TOPIC_NAME_MAX];
    struct policy policy; /* effective: the policy document as applied to this topic, with what its
                             configs say otherwise */
    struct topic_configs
        configs; /* as set; tern.policy names a policy, else name patterns decide */
    struct topic_settings settings; /* what the configs mean */
    uint32_t partition_count;
    struct control_partition *partitions;
    uint64_t created_index;
    UT_hash_handle by_name;
    UT_hash_handle by_id;
};

enum control_ledger_kind {
    LEDGER_DEGRADED,     /* fewer regions than the policy says acknowledged */
    LEDGER_RPO_BREACHED, /* the bound was passed */
    LEDGER_EXPOSED       /* acknowledged records that a lossy epoch cut off */
};

struct control_ledger_entry {
    enum control_ledger_kind kind;
    char topic[CONTROL_TOPIC_NAME_MAX];
    int32_t partition;
    int64_t first_offset; /* -1: not about offsets */
    int64_t end_offset;
    uint64_t bytes;
    uint64_t millis; /* time span of the records, where known */
    int64_t since_wall_ms;
    int64_t until_wall_ms; /* 0: still open */
    char decided_by[96];   /* "policy clicks", "operator alice" */
    char note[160];
    uint64_t index; /* log index: identity */
};

struct control_policy {
    struct policy policy;
    uint64_t revision;
    char author[96];
    int64_t wall_ms;
};

/* Kafka's client quotas. */
enum control_quota_key {
    QUOTA_PRODUCE,  /* producer_byte_rate: bytes a second */
    QUOTA_CONSUME,  /* consumer_byte_rate */
    QUOTA_REQUEST,  /* request_percentage: of one thread */
    QUOTA_MUTATION, /* controller_mutation_rate: partitions made or deleted a second */
    QUOTA_CONNECT,  /* connection_creation_rate: connections a second, of addresses alone */
    QUOTA_KEYS
};
enum control_quota_name { QUOTA_CLIENT, QUOTA_USER, QUOTA_IP, QUOTA_NAMES };
/* Of whom a quota is: a client id, a user, both, or an address. */
struct quota_entity {
    uint8_t kinds;     /* bit n: it has a name of this kind */
    uint8_t everybody; /* bit n: of each that has no quota of its own; its name is empty then */
    char names[QUOTA_NAMES][CONTROL_TOPIC_NAME_MAX];
};
struct control_quota {
    struct quota_entity entity;
    bool has[QUOTA_KEYS];
    double values[QUOTA_KEYS];
};

struct control {
    struct uuid cluster_id; /* zero: not founded */
    char cluster_name[WIRE_NAME_MAX];
    uint64_t applied_index;
    uint64_t next_raft_id;
    int64_t next_producer_id;
    uint64_t policy_revision;
    uint32_t feature_level;
    uint32_t level_known; /* CONTROL_LEVEL; tests play older builds. Not replicated */
    uint32_t region_count;
    struct control_region regions[CONTROL_REGIONS_MAX];
    struct control_node nodes[WIRE_NODES_MAX];
    struct control_topic *by_name; /* uthash; iterating gives the order in which they were made */
    struct control_topic *by_id;   /* uthash; the same order */
    struct control_policy *policies;
    uint32_t policy_count;
    struct control_ledger_entry *ledger; /* oldest first */
    uint32_t ledger_count;
    struct control_quota *quotas;
    uint32_t quota_count;
    int16_t features[CONTROL_FEATURES]; /* levels */
    uint64_t features_index;            /* log index of their newest change; 0: none */
    void *private_state;                /* dedup table, epochs of deleted names */
};

/* What an applied command changed, for the agent. */
enum control_change_kind {
    CONTROL_TOPIC_CREATED,
    CONTROL_TOPIC_ALTERED, /* its configs, and with them its policy */
    CONTROL_TOPIC_DELETED, /* topic_id only: the struct is gone */
    CONTROL_ASSIGNED,      /* a new epoch of one partition */
    CONTROL_ACTIVATED,
    CONTROL_NODE,
    CONTROL_POLICY,
    CONTROL_LEDGER,
    CONTROL_FOUNDED,
    CONTROL_EVERYTHING /* a snapshot was restored: look at all of it */
};
struct command_result; /* command.h */
struct control_change {
    enum control_change_kind kind;
    struct uuid topic_id;
    int32_t partition;
    uint32_t node;
};
struct control_changes {
    struct control_change *items;
    size_t count;
    size_t cap;
};

struct control *control_new(void);
void control_free(struct control *control);

/* Applies one command. Never fails: a command that can't be done leaves the state and says so in
 * the result (message CommandResult, appended to out_result). A repeated dedup key gives the
 * result of the first time. Changes are appended. */
void control_apply(struct control *control, uint64_t index, struct slice bytes,
                   struct buf *out_result, struct control_changes *changes);
/* Would the command be carried out if it were applied now? Only of create_topic, alter_topic and
 * add_partitions; changes nothing. */
void control_check(const struct control *control, struct slice bytes,
                   struct command_result *out_result);
/* The policy document that the topic falls under, without what its configs say otherwise. */
struct policy control_topic_document(const struct control *control,
                                     const struct control_topic *topic);
/* A format version (see control_snapshot_version), then proto/control.proto, message Snapshot. */
void control_snapshot(const struct control *control, struct buf *out);
/* EFORMAT, EMALFORMED: then the state is unchanged. All pointers into the old state are dead. */
int control_restore(struct control *control, struct slice snapshot) TERN_MUST_USE;
/* The version that a snapshot claims, to be named beside CONTROL_FORMAT_VERSION; 0: too short. */
uint32_t control_snapshot_version(struct slice snapshot);
/* Equal on all nodes at an equal applied index, whether they got there by commands or by a
 * snapshot. Walks the whole state: call it now and then, not per command. */
uint64_t control_hash(const struct control *control);

/* Written by tern itself, and by nobody else. */
static inline bool control_topic_internal(const char *name)
{
    return strcmp(name, CONTROL_GROUPS_TOPIC) == 0 || strcmp(name, CONTROL_TXNS_TOPIC) == 0;
}
/* 1 to 249 of a-z A-Z 0-9 . _ -, and neither "." nor "..". */
bool control_topic_name_allowed(const char *name);
struct control_topic *control_topic_named(const struct control *control, const char *name);
struct control_topic *control_topic_by_id(const struct control *control, struct uuid id);
/* NULL if the topic or the partition is not there. */
struct control_partition *control_partition(const struct control *control, struct uuid topic_id,
                                            int32_t partition);
int32_t control_region_named(const struct control *control, const char *name); /* -1: none */
bool control_config_equal(const struct control_config *a, const struct control_config *b);
/* Do they count the same replicas by the same rule? Learners may differ: such a change needs a new
 * epoch, but no activation. */
bool control_config_same_rule(const struct control_config *a, const struct control_config *b);
/* The commit rule with only the replicas in `alive`: could a record be committed? */
bool control_can_commit(const struct control *control, const struct control_config *config,
                        node_set alive);
/* The recovery rule: do the replicas in `alive` meet every commit quorum of the config? */
bool control_can_recover(const struct control *control, const struct control_config *config,
                         node_set alive);
/* Have so many replicas lost their disks that no epoch can recover by the rule any more? Then only
 * a lossy epoch helps: an operator's word, or failover: auto. */
bool control_lost(const struct control *control, const struct control_partition *partition);
/* Who should lead a lossy epoch of the partition, of the nodes in `alive`: voters of the last
 * activated config first, in the order of the policy, then learners; 0: nobody is left. */
uint32_t control_choose_survivor(const struct control *control, const struct control_topic *topic,
                                 const struct control_partition *partition, node_set alive);
/* The quota that holds for a client of a user, the nearest one that has this key: of user and client
 * id, of the user, of the client id, each before everybody's (as in Kafka). NULL: none. */
const struct control_quota *control_quota(const struct control *control, struct slice user,
                                          struct slice client_id, enum control_quota_key key);
/* The same of an address. */
const struct control_quota *control_ip_quota(const struct control *control, struct slice ip,
                                             enum control_quota_key key);
/* The cluster is at a level that this build does not know: nothing is applied any more, and the node
 * has to end. */
bool control_outgrown(const struct control *control);
/* The nodes of the set, those that a reassignment named in its order, then the others by id.
 * Returns how many. */
uint32_t control_ordered(const struct control_partition *partition, node_set set,
                         uint32_t out[WIRE_NODES_MAX]);
/* Who should lead the partition by its policy, of the nodes in `alive`; 0: nobody can. */
uint32_t control_preferred_leader(const struct control *control, const struct control_topic *topic,
                                  const struct control_partition *partition, node_set alive);
/* Can the partition's next epoch recover by the rule, with these nodes? */
bool control_recovers(const struct control *control, const struct control_partition *partition,
                      node_set alive);
/* Registered and neither suspected nor removed. */
node_set control_alive(const struct control *control);
node_set control_members(const struct control_config *config); /* voters and learners */
const struct control_replica *control_replica_of(const struct control_partition *partition,
                                                 uint32_t node);
