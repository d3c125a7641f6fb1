/* SPDX-License-Identifier: Apache-2.0 */
/* Builds commands and reads their results, so that protobuf-c stays inside this room.
 *
 * Each builder appends one packed Command. The dedup key (client, seq) makes a retry harmless: a
 * client numbers its commands, one at a time or several, never reusing a number. */
#pragma once

#include "control/control.h"

struct command_key {
    struct uuid client; /* chosen at random at every process start */
    uint64_t seq;
};

struct command_founder {
    uint32_t node_id;
    uint64_t raft_id;
    char region[WIRE_NAME_MAX];
    bool witness;
};

struct command_registration {
    uint32_t node_id;
    char region[WIRE_NAME_MAX];
    bool witness;
    char rack[WIRE_NAME_MAX];
    char kafka_host[WIRE_ADDRESS_MAX];
    uint16_t kafka_port;
    char mesh_address[WIRE_ADDRESS_MAX];
    char admin_address[WIRE_ADDRESS_MAX];
    uint32_t incarnation;  /* as stored on its disk; 0: empty disk */
    uint64_t start_number; /* the pending one */
    uint64_t raft_id;      /* as stored on its disk; 0: none */
    bool new_incarnation;  /* the operator says that this disk is an old copy */
    uint64_t stamp_final;  /* of the last registration that the disk knows to be applied; 0: none */
    uint64_t stamp; /* of this one: the same until it is known to be applied; 0: numbers only */
    uint32_t level; /* CONTROL_LEVEL of its build; 0: 1 */
    /* Compare-and-set: a disk that has forgotten becomes a new incarnation only while `if_start` is the
     * newest start of the node, as its peers have told. Else the command lay somewhere, and the
     * incarnation that came in between would be superseded, while it runs. */
    bool conditional;
    uint64_t if_start;
};

struct command_assignment {
    struct uuid topic_id;
    int32_t partition;
    int32_t if_epoch; /* compare-and-set: only while this is the newest epoch */
    node_set level;   /* who has caught up in that epoch, by its leader's word */
    uint32_t leader;  /* 0: let control choose */
    bool has_config;  /* else the config stays (or goes back to the last activated one) */
    struct control_config config;
    bool back_to_active; /* drop a config that was not activated in time */
    bool lossy;
    node_set avoid; /* nodes that cannot be reached; never chosen */
    /* Who decided, e.g. "operator alice"; empty: the controller by policy. A lossy epoch of a sync
     * topic, or of one with failover: manual, is refused without it. */
    char decided_by[96];
};

void command_found(struct buf *out, struct command_key key, struct uuid cluster_id,
                   const char *cluster_name, const struct command_founder *founders, size_t count);
void command_register(struct buf *out, struct command_key key,
                      const struct command_registration *registration);
/* Moves everything that `node` leads and that can recover without its region; the node leads
 * nothing until it is unfenced. */
void command_fence(struct buf *out, struct command_key key, uint32_t node);
void command_unfence(struct buf *out, struct command_key key, uint32_t node);
void command_node_full(struct buf *out, struct command_key key, uint32_t node, bool full);
/* Its disk holds less than it acknowledged: this incarnation counts in no recovery any more, leads
 * nothing, and is told to come back as a new one. */
void command_forgot(struct buf *out, struct command_key key, uint32_t node, uint32_t incarnation);
/* It is gone for good: leads nothing, is no place for replicas, and those that it has move to other
 * nodes of its region. Refused where something can be recovered only with it. It may come back with
 * an empty disk. */
void command_remove_node(struct buf *out, struct command_key key, uint32_t node, const char *by);
void command_create_topic(struct buf *out, struct command_key key, const char *name,
                          struct uuid topic_id, int32_t partitions /* -1: the policy's */,
                          const char *policy /* NULL: by name patterns */, int64_t retention_ms,
                          int64_t retention_bytes /* INT64_MIN: the policy's */);
/* Replicas that are assigned by hand; all zero: by the policy. */
struct command_placement {
    node_set *placed; /* of each partition */
    size_t count;
    uint32_t *order; /* of all of them, one partition after the other, as they are to be listed;
                              NULL: by id */
    size_t order_count;
};
/* The same with all that Kafka's CreateTopics may say. */
struct command_topic {
    const char *name;
    struct uuid topic_id;
    int32_t partitions; /* -1: the policy's, or as many as are placed */
    const struct topic_config_change *configs;
    size_t config_count;
    struct command_placement placement;
};
void command_create_topic_as(struct buf *out, struct command_key key,
                             const struct command_topic *topic);
/* Changes a topic's configs: all of them or none. EPOLICY: a critical topic would promise less, and
 * that was not confirmed. */
void command_alter_topic(struct buf *out, struct command_key key, const char *name,
                         const struct topic_config_change *changes, size_t count, bool replace,
                         bool weaken_confirmed);
/* The topic has `count` partitions from then on. placement: of the new ones. */
void command_add_partitions(struct buf *out, struct command_key key, const char *name,
                            int32_t count, const struct command_placement *placement);
/* EINVALIDASSIGNMENT: not where the policy wants replicas; ENOREASSIGNMENT: nothing to give up. */
void command_reassign(struct buf *out, struct command_key key, struct uuid topic_id,
                      int32_t partition, node_set target /* 0: give up */,
                      const uint32_t *order /* the target as it is to be listed */, size_t count);
struct command_quota {
    enum control_quota_key key;
    double value;
    bool remove;
};
void command_set_quota(struct buf *out, struct command_key key, const struct quota_entity *entity,
                       const struct command_quota *values, size_t count);
struct command_feature {
    enum control_feature feature;
    int16_t level;
};
/* All of them or none. EUPDATEVERSION: this build does not have one of the levels. */
void command_set_features(struct buf *out, struct command_key key,
                          const struct command_feature *items, size_t count);
void command_delete_topic(struct buf *out, struct command_key key, const char *name);
void command_put_policy(struct buf *out, struct command_key key, const struct policy *policy,
                        const char *author, int64_t wall_ms, bool weaken_confirmed);
struct command_policy {
    const struct policy *policy;
    bool weaken_confirmed;
};
/* All of them, or none; judged as they stand together. */
void command_put_policies(struct buf *out, struct command_key key,
                          const struct command_policy *items, size_t count, const char *author,
                          int64_t wall_ms);
void command_remove_policy(struct buf *out, struct command_key key, const char *name);
/* Each assignment stands alone: those that can be done are; the result names the first that could
 * not (EREFUSED: not the newest epoch, or the config or leader breaks a rule; ENOQUORUM: no leader
 * reaches its quorums; ENOENT). New voters must be members of the present configs. */
void command_assign(struct buf *out, struct command_key key,
                    const struct command_assignment *assignments, size_t count);
/* start_offset: of a lossy epoch; -1 otherwise. The ledger entry of a lossy epoch goes with it. */
void command_activated(struct buf *out, struct command_key key, struct uuid topic_id,
                       int32_t partition, int32_t epoch, int64_t start_offset,
                       const struct control_ledger_entry *ledger /* or NULL */);
void command_producer_ids(struct buf *out, struct command_key key, uint32_t node);
/* An entry with until_wall_ms closes the open one of its topic, partition and kind, if there is
 * one; else it is added, or merged into one that ended less than 1 s before. */
void command_ledger(struct buf *out, struct command_key key,
                    const struct control_ledger_entry *entry);
void command_ledger_entries(struct buf *out, struct command_key key,
                            const struct control_ledger_entry *entries, size_t count);

struct command_result {
    int error; /* 0 or TERN_E* */
    char why[256];
    uint32_t incarnation; /* register */
    uint64_t raft_id;     /* register: the id to use from now on */
    bool rolled_back;     /* register: the disk is an old copy, or wiped */
    uint64_t old_raft_id; /* register: retired by this registration; 0: none */
    /* register: the number that is registered now; the node stores it as final. Above the pending
     * one that it sent when its disk had forgotten how far it had counted. */
    uint64_t start_number;
    int64_t producer_id;  /* producer_ids: first of CONTROL_PRODUCER_BLOCK */
    struct uuid topic_id; /* create_topic */
    uint32_t partitions;  /* create_topic, add_partitions: all that there are then */
    uint32_t replicas;    /* create_topic: of each partition */
};
int command_result_read(struct slice bytes, struct command_result *out) TERN_MUST_USE;
/* For logs: a short name of a packed command ("fence", "create_topic"); static string. */
const char *command_name(struct slice bytes);
