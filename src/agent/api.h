/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka connections and requests: conn.c reads frames, dispatches by API key and answers in request
 * order; each API has its handler in api/NN_name.c, NN being its key. */
#pragma once

#include "agent/inner.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define CONN_REQUESTS_MAX 256               /* under way on one connection; then it is not read */
#define CONN_OUTPUT_MAX   ((size_t)8 << 20) /* response bytes waiting; then it is not read */
#define REQUEST_HELD_MS   1000

struct conn {
    struct node *node;
    struct wire_client *client; /* NULL once it is closed */
    struct link requests;       /* struct request.in_conn, in the order of arrival */
    uint32_t request_count;
    bool paused;
    bool closing;
    uint64_t muted_until_us; /* over its quota: not read before then; 0: it is */
    bool too_early;          /* its address connects too often: it is closed then */
    uint64_t held_since_us;  /* its first request waits to be looked at; 0: none does */
    struct link link;        /* in node.conns */
};

/* One request under way. It ends with request_reply or request_end, once; before that it stays
 * even if its connection goes away. */
struct request {
    struct node *node;
    struct conn *conn; /* NULL: the connection is gone, an answer goes nowhere */
    struct link in_conn;
    struct link in_node;
    struct link waiting; /* for a handler's own list */
    const struct kafka_api *api;
    int16_t version;
    int32_t correlation_id;
    struct slice client_id;
    struct blob *frame; /* message points into it */
    struct arena arena;
    void *message; /* struct kafka_<name>_request */
    bool done;
    bool silent; /* done without an answer (acks=0) */
    bool held;   /* not looked at yet: the node is not ready, or request_hold */
    bool leased; /* its answer may only leave while this node holds its lease */
    struct kafka_out out;
    uint64_t begun_us;
    uint64_t held_us;                    /* since when request_hold holds it; 0: never did */
    struct timer timer;                  /* for the handler */
    void (*cancel)(struct request *rq);  /* the node closes: give things back, no answer */
    void (*release)(struct request *rq); /* its memory goes: give back what that refers to */
    void *state;                         /* the handler's */
    struct proposals *proposals;         /* see proposals_begin */
};

void conn_opened(void *ctx, struct wire_client *client);
void conn_frame(void *ctx, struct wire_client *client, struct blob *frame);
void conn_closed(void *ctx, struct wire_client *client);
/* At every tick: reads again from those that may be read again. */
void conns_resume(struct node *node);
/* Of node.hold_timer: looks at requests that are held. */
void conns_hold_fired(struct timer *timer);
/* All of them, for node_close. */
void conns_close(struct node *node);

/* Encodes and queues the answer; ends the request. */
void request_reply(struct request *rq, const void *response);
/* Before anything was done: it comes to its handler again some ms later, and what its connection
 * sends meanwhile stays behind it. False: it has waited for REQUEST_HELD_MS already, or nobody would hear. */
bool request_hold(struct request *rq) TERN_MUST_USE;
/* Where it came from, as Kafka writes it: "/10.0.0.1"; "" if that is not known. In the arena. */
struct slice request_host(struct request *rq);
/* Ends it without an answer; with a reason the connection is closed. */
void request_end(struct request *rq, const char *close_reason);

/* The one question about rights; the schema of each API names resource and operation. Allows
 * everything until there are users (a later stage). */
bool authorize(const struct request *request, enum kafka_resource resource, struct slice name,
               enum kafka_operation operation);

/* ---- handlers -------------------------------------------------------------------------------- */

void api_produce(struct request *rq);
void api_fetch(struct request *rq);
/* For node.fetch_sessions. */
struct fetch_session;
void fetch_session_closing(struct fetch_session *session);
void api_list_offsets(struct request *rq);
void api_metadata(struct request *rq);
void api_offset_commit(struct request *rq);
void api_offset_fetch(struct request *rq);
void api_find_coordinator(struct request *rq);
void api_join_group(struct request *rq);
void api_heartbeat(struct request *rq);
void api_leave_group(struct request *rq);
void api_sync_group(struct request *rq);
void api_describe_groups(struct request *rq);
void api_list_groups(struct request *rq);
void api_api_versions(struct request *rq);
void api_create_topics(struct request *rq);
void api_delete_topics(struct request *rq);
void api_delete_records(struct request *rq);
void api_init_producer_id(struct request *rq);
void api_offset_for_leader_epoch(struct request *rq);
void api_add_partitions_to_txn(struct request *rq);
void api_add_offsets_to_txn(struct request *rq);
void api_end_txn(struct request *rq);
void api_write_txn_markers(struct request *rq);
void api_txn_offset_commit(struct request *rq);
void api_delete_groups(struct request *rq);
void api_describe_producers(struct request *rq);
void api_describe_transactions(struct request *rq);
void api_list_transactions(struct request *rq);
void api_offset_delete(struct request *rq);
void api_describe_configs(struct request *rq);
void api_alter_configs(struct request *rq);
void api_create_partitions(struct request *rq);
void api_incremental_alter_configs(struct request *rq);
/* An id that no producer has; -1: none is at hand, and more are asked for. */
int64_t producer_ids_take(struct node *node);
void api_update_features(struct request *rq);
/* In ApiVersions. */
void features_tell(struct request *rq, struct kafka_api_versions_response *out);
void api_describe_cluster(struct request *rq);
void api_consumer_group_heartbeat(struct request *rq);
void api_consumer_group_describe(struct request *rq);
void api_describe_log_dirs(struct request *rq);
void api_elect_leaders(struct request *rq);
void api_alter_partition_reassignments(struct request *rq);
void api_list_partition_reassignments(struct request *rq);
void api_describe_client_quotas(struct request *rq);
void api_alter_client_quotas(struct request *rq);
void api_describe_quorum(struct request *rq);
void api_unregister_broker(struct request *rq);
void api_list_config_resources(struct request *rq);
void api_describe_topic_partitions(struct request *rq);
void api_alter_replica_log_dirs(struct request *rq);

/* The HW or role of a partition moved: answer what can be answered. */
void produce_progress(struct partition *p);
void produce_role_changed(struct partition *p);
/* With every tick: who waits to hear whether its batch is out of order. */
void produce_tick(struct node *node);
/* A follower's ack of this epoch: its log begins at `offset`, durably. */
void log_start_told(struct partition *p, uint32_t from, int32_t epoch, int64_t offset);

/* ---- shared by handlers (api/common.c) ------------------------------------------------------- */

/* A topic by its wire name; NULL if there is none. */
const struct control_topic *topic_by_slice(const struct node *node, struct slice name);
/* The replica that serves clients' questions to the leader. 0, or TERN_ENOENT, ENOTLEADER,
 * EFENCEDEPOCH, EUNKNOWNEPOCH (claimed_epoch -1: not checked). */
int leader_partition(struct node *node, const struct control_topic *topic, int32_t index,
                     int32_t claimed_epoch, struct partition **out_partition);
struct slice arena_copy(struct arena *arena, struct slice bytes);
struct slice arena_text(struct arena *arena, const char *text);
/* False: it does not fit, or has a zero in it. */
bool slice_to_text(struct slice from, char *out, size_t size);
/* Could a topic have this name? */
bool topic_name_allowed(struct slice name);
/* Which things of a request are named more than once; in the arena, one for each. A request can hold
 * millions: it takes count * log(count) steps. */
enum named {
    NAMED_ONCE,
    NAMED_FIRST, /* of several */
    NAMED_AGAIN
};
struct naming {
    struct slice name;
    int32_t number; /* of a partition, a kind of resource ... */
    uint32_t place; /* for named_twice itself */
};
enum named *named_twice(struct arena *arena, struct naming *names, uint32_t count);
/* A list of broker ids: false if it is empty, has one twice, or one that cannot be. */
bool nodes_of(const int32_t *ids, uint32_t count, node_set *out);
/* Replicas of partitions that are assigned by hand, one after the other, in the request's arena. */
struct command_placement placement_begin(struct request *rq, uint32_t partitions);
/* Of the next partition, in their order; false: as nodes_of, or too many. */
bool placement_add(struct command_placement *placement, const int32_t *ids, uint32_t count);

/* ---- topics as clients see them (api/topic_views.c) ------------------------------------------ */

struct partition_view {
    int32_t leader; /* -1: none, or one that is fenced */
    int32_t leader_epoch;
    int32_t *replicas; /* these three in the request's arena */
    int32_t *isr;
    int32_t *offline;
    uint32_t replicas_count;
    uint32_t isr_count;
    uint32_t offline_count;
};
struct partition_view partition_view(struct request *rq, const struct control_topic *topic,
                                     uint32_t index);
/* The node that clients are told to be the controller: one that is there. Every node takes what is
 * meant for the controller. */
int32_t controller_told(struct request *rq);
/* Of a partition: as they were asked for (control_ordered). */
int32_t *node_ids(struct arena *arena, const struct control_partition *p, node_set nodes,
                  uint32_t *out_count);

/* ---- commands (api/proposals.c) -------------------------------------------------------------- */

/* For handlers whose answer waits for commands: begin, any number of add and check, end; `finish`
 * answers when all are done. `applied` is called once for each, soon or at once, and not any more
 * once the request is canceled. What they write to lives in the request's arena. */
typedef void (*proposal_applied)(struct request *rq, void *ctx,
                                 const struct command_result *result);
void proposals_begin(struct request *rq, void (*finish)(struct request *rq));
/* Takes the command. */
void proposals_add(struct request *rq, struct buf *command, int32_t timeout_ms,
                   proposal_applied applied, void *ctx);
/* validate_only: as control_check. Takes the command. */
void proposals_check(struct request *rq, struct buf *command, proposal_applied applied, void *ctx);
/* One or the other. Takes the command. */
void proposals_put(struct request *rq, struct buf *command, int32_t timeout_ms, bool validate_only,
                   proposal_applied applied, void *ctx);
void proposals_end(struct request *rq);
/* For proposals_begin: answers with rq->state. */
void proposals_reply(struct request *rq);
struct slice proposal_why(struct request *rq, const struct command_result *result);
/* Where an answer has the error and the sentence of one of its items. */
struct outcome {
    int16_t *error;
    struct slice *message;
};
void outcome_refuse(struct request *rq, const struct outcome *out, int error, const char *why);
/* A proposal_applied; ctx is a struct outcome. */
void outcome_applied(struct request *rq, void *ctx, const struct command_result *result);

/* ---- quotas (quota.c), auto-creation (auto_create.c) ----------------------------------------- */

/* Users are told apart when there is SASL; until then everybody is this one. */
#define QUOTA_ANONYMOUS "ANONYMOUS"
/* KIP-219: the client has used so much (bytes, microseconds of the loop) of its quota. Its
 * connection is not read for as long as is returned, in ms, for throttle_time_ms. 0: within it. */
int32_t quota_charge(struct node *node, struct conn *conn, struct slice client_id,
                     enum control_quota_key key, double amount);
/* KIP-599: so many partitions are made or deleted for this request. From version `strict_since` on the
 * answer is false when the client has used up its controller_mutation_rate: refuse with ETHROTTLED.
 * Older ones are carried out and pay afterwards. */
bool quota_changes(struct request *rq, uint32_t partitions, int16_t strict_since);
/* What the changes of the request cost, in ms, for throttle_time_ms; its connection is not read for
 * as long. */
int32_t quota_changes_wait(struct request *rq);
/* A connection of this address: how long it is too early, in ms (connection_creation_rate). */
int32_t quota_connection(struct node *node, struct slice ip);
void quotas_free(struct node *node);
const char *quota_key_name(enum control_quota_key key);
const char *quota_kind_name(enum control_quota_name kind); /* "client-id" */
int quota_kind_of(struct slice name);                      /* -1: there is none of this name */
/* A client asked for a topic that is not there. True: it is being made, if the policies allow it. */
bool auto_create(struct request *rq, struct slice name);

/* ---- configs (config_views.c, api/config_changes.c) ------------------------------------------ */

#define CONFIG_SOURCE_TOPIC   1 /* as DescribeConfigs has them */
#define CONFIG_SOURCE_BROKER  4
#define CONFIG_SOURCE_DEFAULT 5
#define RESOURCE_TOPIC        2
#define RESOURCE_BROKER       4

struct config_view {
    const char *name;
    struct slice value;  /* base NULL: null */
    struct slice usual;  /* what holds when it is not set */
    const char *synonym; /* of the default; NULL: none */
    const char *about;
    int8_t source;
    int8_t type;
    bool read_only;
};
/* All of a topic, or of this node; in the arena. */
uint32_t topic_config_views(struct node *node, const struct control_topic *topic,
                            struct arena *arena, struct config_view **out);
uint32_t broker_config_views(struct node *node, struct arena *arena, struct config_view **out);

/* One resource of AlterConfigs or IncrementalAlterConfigs, as both have it; in the arena. */
struct config_alteration {
    int8_t type;
    struct slice name;
    struct topic_config_change *changes;
    uint32_t count;
    const char *fault; /* of the changes; NULL: none */
    struct outcome out;
};
/* Room for `count` changes. */
void config_alteration_begin(struct request *rq, struct config_alteration *a, int8_t type,
                             struct slice name, uint32_t count, struct outcome out);
void config_alteration_add(struct request *rq, struct config_alteration *a, int8_t op,
                           struct slice name, struct slice value);
/* Carries all of them out, and answers with rq->state. `replace`: what is not named is not set. */
void config_alter_all(struct request *rq, struct config_alteration *all, uint32_t count,
                      bool replace, bool validate_only);
