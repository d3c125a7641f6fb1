/* SPDX-License-Identifier: Apache-2.0 */
/* One tern node without its world: store, quorum, control state, partitions and Kafka handlers over
 * the three seams. `daemon` runs it on libuv, TLS and a real disk; the simulator runs the same code
 * on simulated ones. Loop thread only. */
#pragma once

#include "base/check.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/wire.h"
#include "control/command.h"
#include "quorum/quorum.h"
#include "store/node_file.h"
#include "store/store.h"

#define NODE_SEEDS_MAX 16

struct node;

struct node_seed {
    uint32_t node_id;
    char mesh_address[WIRE_ADDRESS_MAX];
};

struct node_options {
    struct disk *disk;
    struct clock *clock;
    struct wire *wire;
    uint32_t node_id; /* 1..63 */
    char cluster_name[WIRE_NAME_MAX];
    char region[WIRE_NAME_MAX];
    char rack[WIRE_NAME_MAX];
    bool witness;
    bool new_incarnation;              /* this disk is an old copy: forget what it was */
    char kafka_host[WIRE_ADDRESS_MAX]; /* advertised */
    uint16_t kafka_port;
    char mesh_address[WIRE_ADDRESS_MAX]; /* advertised */
    char admin_address[WIRE_ADDRESS_MAX];
    char data_dir[256];  /* to be shown */
    uint32_t seed_count; /* peers to dial before the control state tells */
    struct node_seed seeds[NODE_SEEDS_MAX];
    struct store_options store;         /* its fatal is replaced by the node's */
    uint32_t snapshot_entries;          /* between two of the control state; 0: 1024 */
    uint32_t election_ms;               /* 0: measured, at least 500 */
    uint32_t suspicion_ms;              /* 0: measured, 500..3000 */
    uint32_t lease_ms;                  /* 0: 2000 */
    uint64_t max_request_bytes_waiting; /* produce bytes not yet answered; 0: 256 MiB */
    bool auto_create_topics;            /* when a client asks for one that is not there */
    uint32_t group_initial_delay_ms;    /* an empty group waits so long for more members */
    uint64_t group_retention_ms;        /* of offsets of a group without members; 0: 7 days */
    uint64_t group_snapshot_bytes;      /* of a groups' log before it is rewritten; 0: 4 MiB */
    uint32_t group_session_ms;          /* of members of the new protocol; 0: 45 s */
    uint32_t group_interval_ms;         /* between their heartbeats; 0: 5 s */
    uint64_t retention_every_ms;        /* looks for what may be deleted; 0: 30000 */
    /* The process must end now; nothing more is acknowledged. Called once. */
    void (*fatal)(void *ctx, int error, const char *what);
    void *ctx;
};

/* Opens store and identity; the rest (amnesia check, quorum, registration) follows by itself. */
int node_open(const struct node_options *options, struct node **out_node,
              char why[256]) TERN_MUST_USE;
/* As a crash: gives memory back, no I/O. The disk must have stopped. */
void node_close(struct node *node);
/* Clean stop: hands leaderships and controllership away, flushes; done is called once, after at
 * most timeout_ms. Then node_close. */
void node_stop(struct node *node, uint64_t timeout_ms, void (*done)(void *ctx), void *ctx);

/* The explicit act of founding (`tern cluster init`), given to every founder alike. 0, EEXIST (it
 * belongs to a cluster already; the same founding again is 0), EREFUSED (this node is not named).
 */
int node_found(struct node *node, struct uuid cluster_id, const struct node_founder *founders,
               size_t count, char why[256]) TERN_MUST_USE;

/* ---- for admin and metrics ------------------------------------------------------------------ */

enum node_phase {
    NODE_EMPTY,       /* no identity: founding or joining is awaited */
    NODE_CHECKING,    /* asks its peers whether its disk has forgotten */
    NODE_REGISTERING, /* takes part in the quorum, not yet in the data plane */
    NODE_READY,
    NODE_STOPPING,
};
const char *node_phase_name(enum node_phase phase);
enum node_phase node_phase(const struct node *node);
const struct control *node_control(const struct node *node);
struct store *node_store(struct node *node);
/* NULL before the quorum is open. */
struct quorum *node_quorum(struct node *node);
const struct node_options *node_settings(const struct node *node);
/* Zero: neither founded nor joined. Known before the control state is. */
struct uuid node_cluster_id(const struct node *node);
uint64_t node_start_number(const struct node *node);
uint32_t node_incarnation(const struct node *node);
bool node_rolled_back(const struct node *node); /* this start found an old or wiped disk */
struct command_key node_next_key(struct node *node);

struct node_peer_view {
    bool known;
    bool reachable;
    uint64_t seen_ms; /* since it was last heard; UINT64_MAX: never */
    uint32_t rtt_p50_us;
    uint32_t rtt_p99_us;
    uint32_t suspicion_ms;  /* D for this peer, as measured */
    uint64_t applied_index; /* as it said last */
    uint64_t term;
    uint64_t commit_index;
    bool full;
    uint32_t damaged; /* ranges of records that it has to get from others */
    bool ready;       /* its start is registered */
};
void node_peer(const struct node *node, uint32_t node_id, struct node_peer_view *out);

struct node_partition_view {
    bool hosted; /* this node has a replica */
    const char *role;
    int32_t promised;
    int32_t synced;
    int64_t log_start;
    int64_t leo;
    int64_t hw; /* -1: none known */
    uint64_t bytes;
    bool serves;
    /* async leader: acknowledged records that no other region holds */
    int64_t exposed_records;
    uint64_t exposed_bytes;
    uint64_t exposed_ms;
    struct {
        uint32_t node;
        int64_t acked; /* -1: unknown */
    } peers[CONTROL_REPLICAS_MAX];
    uint32_t peer_count;
};
void node_partition(const struct node *node, struct uuid topic_id, int32_t partition,
                    struct node_partition_view *out);

/* Consumer groups that are coordinated here. What is given is borrowed for the call. */
struct node_group_view {
    struct slice id;
    const char *state;
    struct slice protocol_type;
    struct slice protocol;
    int32_t generation;
    uint32_t members;
    uint32_t offsets;
};
/* True: some are still being loaded. */
bool node_groups_each(struct node *node, void (*each)(void *ctx, const struct node_group_view *),
                      void *ctx);
struct node_group_member_view {
    struct slice id;
    struct slice instance_id;
    struct slice client_id;
};
void node_group_members(struct node *node, struct slice id,
                        void (*each)(void *ctx, const struct node_group_member_view *), void *ctx);
struct node_group_offset_view {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    int64_t end; /* high watermark, as far as this node knows; -1 */
    int64_t commit_wall_ms;
};
void node_group_offsets(struct node *node, struct slice id,
                        void (*each)(void *ctx, const struct node_group_offset_view *), void *ctx);

struct node_counters {
    uint64_t produce_requests;
    uint64_t produce_batches;
    uint64_t produce_bytes;
    uint64_t produce_acks;         /* batches answered without error */
    uint64_t produce_errors;       /* batches answered with one */
    uint64_t produce_recompressed; /* batches, by compression.type */
    uint64_t fetch_requests;
    uint64_t fetch_bytes;
    uint64_t fetch_sent_elsewhere; /* partitions whose reader was told of a nearer copy */
    uint64_t fetch_sent_back;      /* partitions whose reader was told to leave this stale one */
    uint64_t fetch_looks;          /* partitions that fetches have looked at */
    uint64_t fetch_sessions;       /* now */
    uint64_t fetch_session_parts;  /* partitions in them */
    uint64_t fetch_session_evictions;
    uint64_t requests;
    uint64_t mesh_frames_in;
    uint64_t mesh_frames_out;
    uint64_t mesh_bytes_in;
    uint64_t mesh_bytes_out;
    uint64_t ack_gap_max_us; /* longest gap between two acks while something waited */
    uint64_t catch_up_per_s; /* bytes that may be read for replicas that were away (pace.h) */
    uint64_t leaderships;    /* partitions led now */
    uint64_t partitions;     /* hosted */
    uint64_t clients;
    uint64_t hostile_frames; /* client frames that closed their connection */
    uint64_t groups;         /* coordinated now */
    uint64_t group_members;
    uint64_t group_joins;      /* answered without error */
    uint64_t group_beats;      /* of the new protocol */
    uint64_t group_bytes;      /* of groups' state in memory, about */
    uint64_t offset_commits;   /* partitions' offsets that were acknowledged */
    uint64_t offset_fetches;   /* requests */
    uint64_t groups_log_bytes; /* of groups' partitions led, since their newest snapshots */
};
void node_counters(const struct node *node, struct node_counters *out);
