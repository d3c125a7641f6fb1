/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this room only: a command as a plain struct, and the steps of applying. */
#pragma once

#include "base/error.h"
#include "control/command.h"

enum command_kind {
    COMMAND_FOUND,
    COMMAND_REGISTER,
    COMMAND_FENCE,
    COMMAND_NODE_FULL,
    COMMAND_CREATE_TOPIC,
    COMMAND_DELETE_TOPIC,
    COMMAND_PUT_POLICY,
    COMMAND_REMOVE_POLICY,
    COMMAND_ASSIGN,
    COMMAND_ACTIVATED,
    COMMAND_PRODUCER_IDS,
    COMMAND_LEDGER,
    COMMAND_FORGOT,
    COMMAND_REMOVE_NODE,
    COMMAND_PUT_POLICIES,
    COMMAND_ALTER_TOPIC,
    COMMAND_ADD_PARTITIONS,
    COMMAND_REASSIGN,
    COMMAND_SET_QUOTA,
    COMMAND_SET_FEATURES,
    COMMAND_KINDS
};

struct put_policy {
    struct policy policy;
    char author[96];
    int64_t wall_ms;
    bool weaken_confirmed;
};

/* Owned after command_unpack. */
struct config_changes {
    struct topic_config_change *items;
    size_t count;
};
struct placements {
    node_set *items;
    size_t count;
    uint8_t (*orders)[CONTROL_REPLICAS_MAX]; /* of each item; NULL: not told */
};

struct command {
    struct command_key key;
    enum command_kind kind;
    union {
        struct {
            struct uuid cluster_id;
            char cluster_name[WIRE_NAME_MAX];
            struct command_founder *founders; /* owned after command_unpack */
            size_t count;
        } found;
        struct command_registration registration;
        struct {
            uint32_t node;
            bool set;
        } flag; /* fence (set) and unfence, node_full */
        struct {
            uint32_t node;
            uint32_t incarnation;
        } forgot;
        struct {
            char name[CONTROL_TOPIC_NAME_MAX];
            struct uuid topic_id;
            int32_t partitions;
            char policy[POLICY_NAME_MAX]; /* empty: by name patterns */
            int64_t retention_ms;         /* older commands; INT64_MIN: not set */
            int64_t retention_bytes;
            struct config_changes configs;
            struct placements placed;
        } create;
        struct {
            char name[CONTROL_TOPIC_NAME_MAX];
            struct config_changes changes;
            bool replace;
            bool weaken_confirmed;
        } alter;
        struct {
            char name[CONTROL_TOPIC_NAME_MAX];
            int32_t count;
            struct placements placed;
        } add;
        struct {
            struct uuid topic_id;
            int32_t partition;
            node_set target;
            uint8_t order[CONTROL_REPLICAS_MAX];
        } reassign;
        struct {
            struct control_quota changes; /* `has`: the values that are named */
            bool remove[QUOTA_KEYS];
        } quota;
        char name[CONTROL_TOPIC_NAME_MAX]; /* delete_topic, remove_policy */
        struct put_policy put_policy;
        struct {
            struct put_policy *items; /* owned after command_unpack */
            size_t count;
        } put_policies;
        struct {
            struct command_assignment *items; /* owned after command_unpack */
            size_t count;
        } assign;
        struct {
            struct uuid topic_id;
            int32_t partition;
            int32_t epoch;
            int64_t start_offset;
            bool has_ledger;
            struct control_ledger_entry ledger;
        } activated;
        uint32_t node; /* producer_ids, remove_node */
        struct {
            struct control_ledger_entry *items; /* owned after command_unpack */
            size_t count;
        } ledger;
        struct {
            struct command_feature items[CONTROL_FEATURES];
            size_t count;
        } features;
    } as;
};

/* command_reader.c: the door. EMALFORMED, EUNSUPPORTED; on success the caller calls command_fini. */
int command_unpack(struct slice bytes, struct command *out) TERN_MUST_USE;
void command_fini(struct command *command);
void command_result_pack(const struct command_result *result, struct buf *out);

/* Replicated, but nobody else's business. */
#define DEDUP_CLIENTS_MAX 256
#define DEDUP_RESULTS_MAX 64
#define DELETED_NAMES_MAX 4096

struct dedup_result {
    uint64_t seq;
    uint64_t index;
    struct buf packed;
};
struct dedup_client {
    struct uuid id;
    uint64_t dropped_seq; /* the highest number whose result is no longer kept */
    uint64_t last_index;
    uint32_t count;
    struct dedup_result results[DEDUP_RESULTS_MAX]; /* oldest index first */
    UT_hash_handle hh;
};
struct deleted_name {
    char name[CONTROL_TOPIC_NAME_MAX];
    int32_t epoch; /* the highest that any partition of a topic of this name had */
    uint64_t index;
    UT_hash_handle hh;
};
struct control_private {
    struct dedup_client *clients;
    struct deleted_name *deleted; /* iterating gives the order of deletion */
    int32_t epoch_floor;
};

static inline struct control_private *control_private(const struct control *control)
{
    return control->private_state;
}

/* One command being applied. */
struct apply {
    struct control *control;
    uint64_t index;
    struct control_changes *changes;
    struct command_result *result;
    bool dry; /* control_check: the state must stay as it is */
    bool leads_counted;
    uint32_t leads[WIRE_NODES_MAX]; /* partitions that each node leads; see apply_count_leads */
};

void apply_change(struct apply *a, struct control_change change);
/* Sets the result's error and sentence; returns the error. */
int apply_refuse(struct apply *a, int error, const char *format, ...) TERN_PRINTF(3, 4);

/* dedup.c */
/* The packed result of the first time; or NULL, and then *out_forgotten says that the number is
 * so old that the result (if any) is no longer kept. */
const struct buf *dedup_find(const struct control *control, struct command_key key,
                             bool *out_forgotten);
void dedup_note(struct control *control, uint64_t index, struct command_key key,
                struct slice packed);
void dedup_free(struct control_private *state);

/* config.c: see control.h for the rules */
node_set control_region_voters(const struct control *control, const struct control_config *config,
                               uint32_t region);
uint32_t node_set_count(node_set set);
/* 0 for the empty set. */
uint32_t node_set_first(node_set set);

/* leader.c */
/* Of `alive`, those whose disk takes records. */
node_set control_writable(const struct control *control, node_set alive);
/* `alive` without the replicas that surely do not count in a recovery of the partition's next
 * epoch: those that forgot, and could not have caught up since in any epoch. */
node_set control_recoverable(const struct control_partition *partition, node_set alive);
/* The best leader of an epoch with `config` that recovers by the partition's `recover`, out of
 * `candidates`; `alive` are the nodes that answer. `leads` (or NULL) spreads leaders inside a
 * region. 0: none reaches a recovery and a commit quorum. Same answer on every node. */
uint32_t control_choose_leader(const struct control *control, const struct control_topic *topic,
                               const struct control_partition *partition,
                               const struct control_config *config, node_set candidates,
                               node_set alive, const uint32_t *leads);
/* How much a leader in this region is wanted: 0 is best. */
uint32_t control_preference(const struct control *control, const struct control_topic *topic,
                            uint32_t region);

/* placement.c */
/* Replicas of one partition under a policy: EPOLICY with why. `load` counts replicas per node and
 * is updated. */
int control_place(const struct control *control, const struct policy *policy,
                  uint32_t *load /* [WIRE_NODES_MAX] */, struct control_config *out_config,
                  char why[256]) TERN_MUST_USE;
/* Adds up to `want` nodes of a region to the set, spread over racks, then least loaded; never one
 * that is in `taken`. Returns what was added. */
node_set control_place_in_region(const struct control *control, uint32_t region, uint32_t want,
                                 node_set taken, uint32_t *load);
/* Does the set have as many replicas in each region as the policy wants? EINVALIDASSIGNMENT with
 * why; else the config. */
int control_place_as(const struct control *control, const struct policy *policy, node_set replicas,
                     struct control_config *out_config, char why[256]) TERN_MUST_USE;
void control_count_load(const struct control *control, uint32_t *load /* [WIRE_NODES_MAX] */);
/* Data regions as policy_satisfiable wants them. */
uint32_t control_data_regions(const struct control *control,
                              char names[CONTROL_REGIONS_MAX][WIRE_NAME_MAX],
                              uint32_t nodes[CONTROL_REGIONS_MAX]);

/* epochs.c */
void apply_count_leads(struct apply *a);
/* The one place where an epoch is made. */
void apply_epoch(struct apply *a, struct control_topic *topic, int32_t partition, uint32_t leader,
                 struct control_config config, bool lossy);
/* Moves what `node` leads to others that reach their quorums; `or_itself`: else to the node itself
 * again, in a new epoch. */
void apply_move_leaders(struct apply *a, uint32_t node, bool or_itself);
void apply_assign(struct apply *a, const struct command_assignment *items, size_t count);
void apply_activated(struct apply *a, const struct command *command);

/* nodes.c */
void apply_found(struct apply *a, const struct command *command);
void apply_register(struct apply *a, const struct command_registration *r);
void apply_fence(struct apply *a, uint32_t id, bool set);
void apply_full(struct apply *a, uint32_t id, bool set);
void apply_forgot(struct apply *a, uint32_t id, uint32_t incarnation);
void apply_remove_node(struct apply *a, uint32_t id);

/* topics.c */
void apply_create_topic(struct apply *a, const struct command *command);
void apply_delete_topic(struct apply *a, const char *name);
/* Of the partitions that a topic gets, in order; one config each. */
int topic_place(struct apply *a, const struct policy *policy, const struct placements *placed,
                uint32_t partitions, struct control_config *out) TERN_MUST_USE;
/* Builds before level 4 took 0, which Kafka does not. */
int topic_check_gzip(struct apply *a, const struct topic_config_change *changes, size_t count);
/* Which partition of the command it is: replicas are listed as they were asked for. */
void topic_take_order(const struct apply *a, const struct placements *placed, uint32_t item,
                      struct control_partition *p);
/* Within what a snapshot may hold, with so many partitions more? */
bool topic_room(struct apply *a, uint32_t topics, uint32_t partitions);
/* `last`: no epoch up to that is used again. */
void topic_first_epoch(struct apply *a, struct control_topic *topic, int32_t partition,
                       struct control_config config, int32_t last);
/* alter.c */
void apply_alter_topic(struct apply *a, const struct command *command);
void apply_add_partitions(struct apply *a, const struct command *command);
void apply_reassign(struct apply *a, const struct command *command);
/* Ends a reassignment that has come to its end. */
void reassigned(struct control_partition *p);
/* level.c */
/* After the nodes of the cluster, or what they know, have changed. */
void level_settle(struct apply *a);
/* quotas.c */
void apply_set_quota(struct apply *a, const struct command *command);
/* features.c */
void control_features_init(struct control *control);
void apply_set_features(struct apply *a, const struct command *command);
/* policies.c */
/* The policy of a topic of this name with these configs; false: there is none that they name. */
bool policy_effective(const struct control *control, const char *topic,
                      const struct topic_configs *configs, struct policy *out);
bool policy_satisfiable_here(struct apply *a, const struct policy *policy);
/* Could all leaders of the topic be told of that policy? Refuses if not. */
bool policy_can_be_told(struct apply *a, const struct control_topic *topic,
                        const struct policy *next);
/* All or none. */
void apply_put_policies(struct apply *a, const struct put_policy *items, size_t count);
void apply_remove_policy(struct apply *a, const char *name);
void control_topic_free(struct control *control, struct control_topic *topic);
void control_topic_insert(struct control *control, struct control_topic *topic);

/* ledger.c */
void apply_ledger(struct apply *a, const struct control_ledger_entry *entry);

/* snapshot.c */
void control_clear(struct control *control);
