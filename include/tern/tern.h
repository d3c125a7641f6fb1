/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: ask the nodes of a tern cluster, and change what operators may change.
 *
 * Every call blocks, at most about the time-out (twice that for a change). One `struct tern` is
 * used by one thread at a time. Results are plain structs, one allocation tree each, given back by
 * their _free (NULL is allowed); strings inside are NUL-ended. Needs a client certificate of the
 * cluster (`tern certs create-client`).
 *
 * Calls return a tern_outcome; when it is not TERN_DONE nothing is written to `out` and tern_why()
 * has a sentence that says what to do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TERN_NAME_SIZE    64
#define TERN_ADDRESS_SIZE 128
#define TERN_TOPIC_SIZE   250
#define TERN_ID_SIZE      23 /* cluster and topic ids as Kafka writes them */
#define TERN_TEXT_SIZE    256
#define TERN_WHY_SIZE     1024
#define TERN_NODES_MAX    63

enum tern_outcome {
    TERN_DONE = 0,
    TERN_NOT_ASKED = 1, /* no node could be asked, or it did not answer in time */
    TERN_WRONG = 2,     /* the request itself: a malformed policy, an unknown name */
    TERN_DENIED = 13    /* the cluster refuses it in its present state */
};

/* Worst last. */
enum tern_health { TERN_HEALTH_OK, TERN_HEALTH_DEGRADED, TERN_HEALTH_UNHEALTHY, TERN_VIOLATED };

/* ---- connecting ------------------------------------------------------------------------------ */

struct tern;

struct tern_member { /* one node, as a profile names it */
    uint32_t id;
    char region[TERN_NAME_SIZE];
    bool witness;
    char kafka[TERN_ADDRESS_SIZE]; /* "host:port" */
    char mesh[TERN_ADDRESS_SIZE];
    char admin[TERN_ADDRESS_SIZE];
};

struct tern_options {
    const char *profile; /* path of a profile.yaml; NULL: the fields below */
    const char *cluster; /* cluster name */
    const char *certs;   /* directory with ca.crt and client-NAME.crt, client-NAME.key */
    const char *client;  /* NAME; NULL: "admin" */
    const struct tern_member *members; /* at least id and admin address */
    size_t member_count;
    uint32_t timeout_ms; /* per question; 0: 3000 */
};
/* Reads the profile, opens no connection yet. `why` gets a sentence on failure. */
int tern_open(const struct tern_options *options, struct tern **out, char why[TERN_WHY_SIZE]);
void tern_close(struct tern *tern);
/* About the last call that did not return TERN_DONE. Valid until the next call. */
const char *tern_why(const struct tern *tern);
const char *tern_cluster(const struct tern *tern);
/* The nodes that it was opened with. */
const struct tern_member *tern_members(const struct tern *tern, size_t *out_count);

/* ---- quorum ---------------------------------------------------------------------------------- */

struct tern_node {
    uint32_t id;
    char region[TERN_NAME_SIZE];
    char rack[TERN_NAME_SIZE];
    bool witness;   /* its region votes but keeps no data */
    char role[16];  /* leader, voter, candidate, standby, none */
    char state[24]; /* ok, unreachable, silent (only to us), fenced, full, or its phase */
    bool answered;  /* by itself, now */
    bool stale;     /* it did not answer: all values are what another node heard last */
    bool known;     /* term, commit and applied have a meaning */
    uint64_t term;
    uint64_t commit;
    uint64_t applied;
    uint64_t lag;      /* entries behind the newest commit index that any node knows */
    int64_t seen_ms;   /* since the observer heard it; 0: the observer itself; -1: never */
    double rtt_p50_ms; /* from the observer; -1: not measured */
    double rtt_p99_ms;
    uint32_t suspicion_ms; /* after so much silence it is suspected; 0: not measured */
    char suspicion_why[TERN_TEXT_SIZE];
    char version[32]; /* "" if it did not answer */
    uint32_t incarnation;
    bool rolled_back; /* this start found an old or wiped disk */
};
struct tern_quorum {
    char cluster[TERN_NAME_SIZE];
    char cluster_id[TERN_ID_SIZE]; /* "": not founded */
    uint64_t term;
    uint32_t leader;   /* node id of the controller; 0: none known */
    uint32_t observer; /* whose view of the others this is: the controller if it answers */
    size_t answered;
    uint32_t election_ms;
    char election_why[TERN_TEXT_SIZE];
    uint32_t heartbeat_ms;
    uint32_t lease_ms;
    enum tern_health health; /* of the quorum alone */
    struct tern_node *nodes; /* by region, then id */
    size_t node_count;
};
int tern_quorum(struct tern *tern, struct tern_quorum **out);
void tern_quorum_free(struct tern_quorum *quorum);

/* ---- health ---------------------------------------------------------------------------------- */

struct tern_check {
    char code[40]; /* REGION_UNREACHABLE, POLICY_VIOLATED, ... */
    enum tern_health health;
    char subject[TERN_TOPIC_SIZE];
    char text[TERN_TEXT_SIZE];
};
struct tern_status {
    struct tern_quorum *quorum;
    enum tern_health health;   /* the worst of everything */
    struct tern_check *checks; /* worst first */
    size_t check_count;
    uint32_t topics;
    uint32_t partitions;
    uint32_t leaderless;
    uint32_t critical;
    uint32_t critical_met;
    uint32_t ledger_open;
    uint32_t regions;
    uint32_t regions_reached;
    uint64_t policy_revision;
};
int tern_status(struct tern *tern, struct tern_status **out);
void tern_status_free(struct tern_status *status);

/* ---- topics ---------------------------------------------------------------------------------- */

struct tern_replica {
    uint32_t node;
    char region[TERN_NAME_SIZE];
    bool voter;    /* else learner */
    int64_t acked; /* durable log end offset that the leader knows of; -1: unknown */
};
struct tern_partition {
    uint32_t index;
    int32_t epoch;
    uint32_t leader; /* 0: none */
    char leader_region[TERN_NAME_SIZE];
    uint32_t ack; /* regions of the commit rule in force */
    char home[TERN_NAME_SIZE];
    bool activated;
    int64_t lossy_start; /* -1: no lossy epoch yet */
    enum tern_health health;
    char why[TERN_TEXT_SIZE];
    bool fresh; /* the leader itself answered: the offsets have a meaning */
    int64_t log_start;
    int64_t leo;
    int64_t hw; /* -1: none known */
    uint64_t bytes;
    /* async: acknowledged, and held by no other region yet */
    int64_t exposed_records;
    uint64_t exposed_bytes;
    uint64_t exposed_ms;
    struct tern_replica *replicas;
    size_t replica_count;
};
struct tern_region_leaders {
    char region[TERN_NAME_SIZE];
    uint32_t count;
};
struct tern_topic {
    char name[TERN_TOPIC_SIZE];
    char id[TERN_ID_SIZE];
    char policy[TERN_NAME_SIZE];
    bool critical;
    char mode[8]; /* sync, async */
    uint32_t ack;
    char home[TERN_NAME_SIZE];
    uint32_t partition_count;
    struct tern_region_leaders *leaders;
    size_t leader_count;
    uint32_t leaderless;
    uint32_t under_replicated;
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: no bound */
    enum tern_health health;
    char why[TERN_TEXT_SIZE];
    struct tern_partition *partitions; /* with detail only */
};
struct tern_topics {
    struct tern_topic *topics; /* by name */
    size_t count;
};
/* name NULL: all. With detail each partition's leader is asked for its offsets. */
int tern_topics(struct tern *tern, const char *name, bool detail, struct tern_topics **out);
void tern_topics_free(struct tern_topics *topics);
/* partitions 0: as the policy says; policy NULL: by name patterns. */
int tern_topic_create(struct tern *tern, const char *name, uint32_t partitions, const char *policy,
                      uint32_t *out_partitions);
int tern_topic_delete(struct tern *tern, const char *name);
/* Gives up what only lost replicas hold: the partitions (count 0: all of them) that cannot recover
 * by their rule begin a lossy epoch with what is left; the ledger names the caller. TERN_DENIED: one
 * can recover without loss, or nothing of it is left. */
int tern_topic_recover(struct tern *tern, const char *name, const uint32_t *partitions,
                       size_t count, const char *author, uint32_t *out_partitions);

/* ---- policies -------------------------------------------------------------------------------- */

struct tern_policy {
    char name[TERN_NAME_SIZE];
    bool critical;
    char mode[8];
    uint32_t ack;
    uint64_t revision;
    char author[TERN_TEXT_SIZE];
    int64_t wall_ms; /* when it was applied */
    uint32_t topics; /* that fall under it */
    char *yaml;      /* the document, normalised */
};
struct tern_policies {
    struct tern_policy *policies;
    size_t count;
    uint64_t revision;
};
int tern_policies(struct tern *tern, const char *name, struct tern_policies **out);
void tern_policies_free(struct tern_policies *policies);

struct tern_document {
    const char *file; /* for messages */
    const char *yaml;
    size_t length;
};
struct tern_applied {
    struct {
        char name[TERN_NAME_SIZE];
        bool unchanged;
    } * policies;
    size_t count;
};
/* All documents are applied, or none: by one command. `weaken` names the
 * critical policies that may promise less than before. TERN_WRONG: a document is malformed;
 * TERN_DENIED: a policy can't be satisfied, or would weaken a critical one. */
int tern_policy_apply(struct tern *tern, const struct tern_document *documents, size_t count,
                      const char *const *weaken, size_t weaken_count, const char *author,
                      struct tern_applied **out);
void tern_applied_free(struct tern_applied *applied);
int tern_policy_remove(struct tern *tern, const char *name);

/* The topic names this policy from now on (its config tern.policy); NULL: the one that its name falls
 * under. `check`: changes nothing, and tells only whether it would be done. Asking again is harmless.
 * TERN_DENIED: the policy can't be satisfied, or a critical topic would promise less and `weaken` does
 * not say that this is meant. */
int tern_topic_policy(struct tern *tern, const char *name, const char *policy, bool weaken,
                      bool check, const char *author, bool *out_unchanged);

/* ---- ledger and quarantine ------------------------------------------------------------------- */

struct tern_ledger_entry {
    char kind[24]; /* degraded, rpo_breached, exposed */
    char topic[TERN_TOPIC_SIZE];
    int32_t partition;
    int64_t first_offset; /* -1: not about offsets */
    int64_t end_offset;
    uint64_t bytes;
    uint64_t millis;
    int64_t since_wall_ms;
    int64_t until_wall_ms; /* 0: still open */
    char decided_by[TERN_TEXT_SIZE];
    char note[TERN_TEXT_SIZE];
    uint64_t index;
};
struct tern_ledger {
    struct tern_ledger_entry *entries; /* oldest first */
    size_t count;
};
int tern_ledger(struct tern *tern, const char *topic, struct tern_ledger **out);
void tern_ledger_free(struct tern_ledger *ledger);

struct tern_quarantined {
    uint32_t node;
    char region[TERN_NAME_SIZE];
    char topic[TERN_TOPIC_SIZE]; /* "": deleted since */
    char topic_id[TERN_ID_SIZE];
    int32_t partition;
    int32_t first_epoch;
    int32_t last_epoch;
    int64_t first_offset;
    int64_t end_offset;
    uint64_t records;
    uint64_t bytes;
    int64_t wall_ms;
    char path[TERN_TEXT_SIZE]; /* inside that node's data directory */
};
struct tern_quarantine {
    struct tern_quarantined *entries;
    size_t count;
    uint32_t silent_nodes; /* that could not be asked: the list may lack theirs */
};
int tern_quarantine(struct tern *tern, const char *topic, struct tern_quarantine **out);
void tern_quarantine_free(struct tern_quarantine *quarantine);

/* ---- consumer groups ------------------------------------------------------------------------- */

struct tern_group_member {
    char id[TERN_TEXT_SIZE];
    char instance[TERN_TEXT_SIZE]; /* "": a dynamic member */
    char client[TERN_TEXT_SIZE];
};
struct tern_group_offset {
    char topic[TERN_TOPIC_SIZE];
    int32_t partition;
    int64_t offset;
    int64_t end; /* of what is committed in the partition; -1: not known */
    int64_t commit_wall_ms;
};
struct tern_group {
    char name[TERN_TEXT_SIZE];
    char state[TERN_NAME_SIZE]; /* Kafka's words: "Stable", "Empty" ... */
    char protocol_type[TERN_TEXT_SIZE];
    char protocol[TERN_TEXT_SIZE];
    int32_t generation;
    uint32_t members;
    uint32_t offsets;
    uint32_t node; /* its coordinator */
    char region[TERN_NAME_SIZE];
    /* Only when one group was asked for. */
    struct tern_group_member *member_list;
    size_t member_list_count;
    struct tern_group_offset *offset_list;
    size_t offset_list_count;
};
struct tern_groups {
    struct tern_group *groups; /* by name */
    size_t count;
    uint32_t silent_nodes;  /* that could not be asked: the list may lack theirs */
    uint32_t loading_nodes; /* that are still reading theirs */
};
/* All groups, or one with members and offsets (none of that name: count 0). */
int tern_groups(struct tern *tern, const char *name, struct tern_groups **out);
void tern_groups_free(struct tern_groups *groups);

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Takes a dead node out of the cluster: its replicas move to other nodes of its region. It may come
 * back with an empty directory only. TERN_DENIED: it is there, or something cannot be recovered
 * without it. */
int tern_node_remove(struct tern *tern, uint32_t node, const char *author);

/* Prometheus text of one node; free() it. */
int tern_metrics(struct tern *tern, uint32_t node, char **out_text);

/* The explicit act of founding: the members of the profile (or of options) that are named become
 * the voters of a new cluster; count 0: all. A founding that was cut short is completed.
 * TERN_DENIED: a node belongs to a cluster already. */
struct tern_founded {
    char cluster[TERN_NAME_SIZE];
    char cluster_id[TERN_ID_SIZE];
    bool completed; /* an earlier founding was completed */
};
int tern_init(struct tern *tern, const uint32_t *nodes, size_t count, struct tern_founded *out);

#ifdef __cplusplus
}
#endif
