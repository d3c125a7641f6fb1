/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for one partition: up to five `struct replica`s with journals, a network, a control
 * quorum, clients and readers, all in memory, and a judge that knows what was committed.
 *
 * Nothing happens by itself: a step function makes one thing happen (a message arrives, a write
 * becomes durable, a node dies). Scripted tests call them in the order of their story; the walk
 * (replica_walk.h) calls them by chance. The judge looks after every step; the first broken rule is
 * kept in `broken` and nothing after it counts. */
#pragma once

#include "base/mutant.h"
#include "base/prng.h"
#include "replica/replica.h"

#define WORLD_NODES    5   /* ids 1..5 */
#define WORLD_LOG      512 /* offsets */
#define WORLD_BATCHES  2048
#define WORLD_EPOCHS   96
#define WORLD_CLIENTS  3
#define WORLD_INFLIGHT 5
#define NODE_BIT(node) ((uint64_t)1 << (node))

/* Which batch holds each offset of [start, end): its number in world.batches, never 0. */
struct world_log {
    int64_t start;
    int64_t end;
    uint16_t at[WORLD_LOG];
};

struct world_disk {
    int32_t promised;
    int32_t synced;
    struct world_log log;
    struct history history; /* trimmed at the log start as the store does it */
};

struct world_write {
    enum replica_effect_kind kind;
    int64_t value;
    uint16_t batch;
};

struct world_snapshot {
    int64_t offset;
    struct buf bytes;
};
#define WORLD_SNAPSHOTS 4

struct world_node {
    uint32_t id;
    int8_t region;
    bool up;
    struct replica replica;  /* while up */
    struct world_log log;    /* what was called for */
    struct world_disk disk;  /* what survives */
    bool lost[WORLD_LOG];    /* records of the disk that it can't read any more */
    struct world_disk image; /* a copy of it that somebody made */
    bool has_image;
    struct world_write *writes;
    size_t write_first; /* not durable yet: [first, count) */
    size_t write_count;
    size_t write_cap;
    size_t applied;    /* entries of the control log */
    bool registered;   /* this start */
    bool must_forget;  /* the registration of this start is one of an empty disk */
    uint64_t down_due; /* peers whose loss it was not told yet */

    /* effects that wait for the end of the turn, as in the agent */
    uint64_t fence_to;
    uint64_t push_to;
    uint64_t mark_to;
    uint32_t answer_to;
    bool answer_complaint;
    uint32_t ack_to;
    int32_t ack_epoch;
    int64_t ack_offset;

    int64_t had; /* end of what it did not copy in its newest epoch; INT64_MAX once synced */
    int64_t hw_shown;
    int32_t hw_shown_epoch; /* promised then */
    int32_t hw_looked_at;   /* newest epoch with which it was compared again */
    struct world_snapshot snapshots[WORLD_SNAPSHOTS];
    size_t snapshot_count;
    struct world_snapshot save; /* on its way to the disk, in no order with the writes */
    bool saving;
    bool save_void;              /* the log was cut below it */
    struct world_snapshot given; /* by a restart that is not durable yet */
};

enum world_message_kind {
    MESSAGE_FENCE,
    MESSAGE_ANSWER,
    MESSAGE_ACK,
    MESSAGE_MARK,
    MESSAGE_COPY,
    MESSAGE_PUSH,
    MESSAGE_COPIED,
};
enum world_channel { CHANNEL_CONTROL, CHANNEL_DATA, CHANNELS };

#define WORLD_PUSH_MAX 6
struct world_message {
    enum world_message_kind kind;
    int32_t epoch;
    struct replica_answer answer; /* history points to `history` */
    struct history history;
    struct replica_push push;
    struct replica_ack ack;
    int64_t hw;
    int64_t log_start;
    int64_t offset;
    bool wants_producers; /* a copy of them, or what was asked for */
    struct buf producers; /* of a restart, or such a copy */
    uint16_t batches[WORLD_PUSH_MAX];
    size_t batch_count;
};

struct world_queue {
    struct world_message *messages;
    size_t first;
    size_t count;
    size_t cap;
    unsigned speed; /* weight in the walk; 0: stalled */
};

enum world_entry_kind { ENTRY_EPOCH, ENTRY_ACTIVATED, ENTRY_REGISTERED };
struct world_entry {
    enum world_entry_kind kind;
    bool activated; /* at once: the voters and their rule stay */
    int32_t lossy_epoch;
    int64_t lossy_start;
    int32_t epoch;
    uint32_t node;
    uint32_t incarnation;
    uint64_t start;
};

struct world_proposal {
    int32_t epoch;
    int64_t lossy_start;
    bool used;
};

struct world_control {
    struct world_entry *log;
    size_t log_count;
    size_t log_cap;
    struct replica_spec specs[WORLD_EPOCHS]; /* by epoch */
    int32_t epoch;
    struct replica_rule active;
    int32_t floor; /* newest activated lossy epoch */
    int64_t lossy_start;
    uint32_t incarnation[WORLD_NODES + 1];
    int32_t since[WORLD_NODES + 1];
    uint64_t start[WORLD_NODES + 1];
    struct world_proposal proposals[4];
    uint64_t caught_up; /* nodes told of in the newest epoch */
    bool no_quorum;     /* the newest epoch reported it */
};

/* What the judge knows of an epoch. */
struct world_epoch {
    uint32_t leader; /* who served it; 0: nobody yet */
    uint64_t leader_start;
    struct world_log log; /* the leader's */
    int64_t hw;
    int64_t acked[WORLD_NODES + 1]; /* acks sent with the pinned incarnation */
    uint32_t acks_sent[WORLD_NODES + 1];
    int64_t acked_any[WORLD_NODES + 1];
    uint32_t acked_any_incarnation[WORLD_NODES + 1];
    /* answers sent, for the bound of a lossy epoch */
    bool answered[WORLD_NODES + 1];
    int64_t shipped[WORLD_NODES + 1];
    /* a lossy epoch: whether all regions were read, where it parted from what was committed, and how
     * much it lost that clients had been answered */
    bool read_all;
    int64_t parted;
    uint64_t lost_bytes;
};

enum world_batch_state { CLIENT_WAITING, CLIENT_SENT };
struct world_inflight {
    enum world_batch_state state;
    int32_t seq;
    int32_t count;
    uint32_t payload;
    uint32_t sent_to;
    uint32_t ticket;
};

struct world_client {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t next_seq;
    struct world_inflight inflight[WORLD_INFLIGHT];
    size_t inflight_count;
    int32_t newest_acked_epoch; /* a leader below it knows less than the client was told */
    uint32_t acked;
};

struct world_request {
    uint32_t client;
    uint32_t ticket;
    uint32_t node;
    int32_t epoch;
    int64_t base;
    int64_t last;
    uint32_t payload;
};

struct world_batch {
    struct batch_info info;
    uint32_t payload; /* the same for all attempts of a client to send it */
    bool answered;
};

struct world_counters {
    uint64_t steps;
    uint64_t served; /* epochs */
    uint64_t commits;
    uint64_t acked;
    uint64_t duplicates;
    uint64_t truncations;
    uint64_t restarts;
    uint64_t lossy;
    uint64_t activations;
    uint64_t crashes;
    uint64_t wipes;
    uint64_t images_back;
    uint64_t damages;
    uint64_t repairs;
    uint64_t copies;
    uint64_t rebuilds;
};

struct world {
    struct prng prng;
    bool story;          /* print every step */
    uint32_t amnesia_of; /* who was said last to have forgotten; 0: nobody yet */
    uint32_t missing_at; /* whose log was said last to lack what was shown */
    char broken[320];
    uint64_t now_ms;
    uint32_t node_count;
    struct world_node nodes[WORLD_NODES + 1];
    struct world_queue queues[WORLD_NODES + 1][WORLD_NODES + 1][CHANNELS];
    /* Bit per channel; both triangles. Nodes are linked while both channels are up. */
    unsigned channels_up[WORLD_NODES + 1][WORLD_NODES + 1];
    struct world_control control;
    struct world_epoch epochs[WORLD_EPOCHS];
    struct world_batch batches[WORLD_BATCHES];
    uint16_t batch_count; /* used numbers, 0 among them */
    struct world_log committed;
    int32_t committed_epoch; /* of the leader that committed last */
    int64_t log_start_max;   /* duplicates of records below are not known any more */
    struct world_client clients[WORLD_CLIENTS];
    uint32_t next_ticket;
    uint32_t next_payload;
    struct world_request *requests;
    size_t request_count;
    size_t request_cap;
    uint64_t patience_ms;
    uint64_t rpo_bytes;    /* async: the enforced bound; 0: none */
    bool defer_turns;      /* effects that wait for the end of the turn need rworld_turn */
    bool small_parts;      /* pushes and copies carry a random part of what there is */
    int32_t batch_records; /* of the clients' batches; 0: one to three */
    size_t push_window;    /* pushes under way to a node; 0: any number */
    struct world_counters counters;
};

/* Nodes 1..count, node i in regions[i - 1], all up, linked and registered; no epoch yet. */
void rworld_init(struct world *w, uint64_t seed, uint32_t count, const int8_t *regions);
void rworld_fini(struct world *w);
/* In a build with mutants: REPLICA_MUTANT=name switches one on, REPLICA_MUTANT=list names them and
 * ends the program. */
void rworld_choose_mutant(void);
void rworld_break(struct world *w, const char *format, ...) TERN_PRINTF(2, 3);
void rworld_story(struct world *w, const char *format, ...) TERN_PRINTF(2, 3);

/* ---- steps: disks and nodes ------------------------------------------------------------------ */

/* The oldest write of the node becomes durable and is reported. False: there is none. */
bool rworld_write_done(struct world *w, uint32_t node);
void rworld_writes_done(struct world *w, uint32_t node);
/* The node dies; `kept` more of its writes turn out to have been durable. */
void rworld_crash(struct world *w, uint32_t node, size_t kept);
/* It starts with what its disk has, unregistered, and applies the control log from the start. */
void rworld_start(struct world *w, uint32_t node);
/* It has crashed and loses its disk too; then start it. */
void rworld_wipe(struct world *w, uint32_t node);
/* Somebody copies its disk, and puts the copy back after a crash. */
void rworld_keep_image(struct world *w, uint32_t node);
void rworld_put_back(struct world *w, uint32_t node);
/* The durable batch that holds `offset` can't be read any more; the node is told, if it is up. */
void rworld_damage(struct world *w, uint32_t node, int64_t offset);
/* Fills the first lost batch from a node that holds the same; `anyhow`: the disk can read it again.
 * False if nothing changed. */
bool rworld_repair(struct world *w, uint32_t node, bool anyhow);
/* The first record that is lost; INT64_MAX: none. */
int64_t rworld_lost_from(const struct world_node *n);
void rworld_tick(struct world *w, uint32_t node);
/* What its effects left for the end of the turn goes out. */
void rworld_turn(struct world *w, uint32_t node);
void rworld_feed_producers(struct world *w, uint32_t node);
void rworld_save_producers(struct world *w, uint32_t node);
void rworld_raise_log_start(struct world *w, uint32_t node, int64_t offset);

/* ---- steps: network -------------------------------------------------------------------------- */

/* Delivers the oldest message of a channel. False: there is none. */
bool rworld_deliver(struct world *w, uint32_t from, uint32_t to, enum world_channel channel);
#define CHANNEL_BIT(channel) (1U << (channel))
#define CHANNELS_ALL         (CHANNEL_BIT(CHANNELS) - 1)
bool rworld_linked(const struct world *w, uint32_t a, uint32_t b);
/* What is under way in these channels is lost; the ends are told by rworld_tell_down. */
void rworld_link_down(struct world *w, uint32_t a, uint32_t b, unsigned channels);
void rworld_tell_down(struct world *w, uint32_t node, uint32_t peer);
void rworld_link_up(struct world *w, uint32_t a, uint32_t b);
/* A full queue has refused the newest message; the link stays. Only for what the agent sends
 * without looking whether it was taken. */
void rworld_refuse(struct world *w, uint32_t from, uint32_t to, enum world_channel channel);

/* ---- steps: control quorum ------------------------------------------------------------------- */

/* Commits a new epoch; returns its number. */
int32_t rworld_assign(struct world *w, uint32_t leader, struct replica_rule config, bool lossy);
/* The control quorum registers the node's running start. An epoch that its earlier start led is
 * replaced by one of `leader`. */
void rworld_register(struct world *w, uint32_t node, uint32_t leader);
/* Decides on one waiting proposal of `activated`. False: there is none. */
bool rworld_decide(struct world *w);
/* The node applies the next entry of the control log. False: there is none. */
bool rworld_apply(struct world *w, uint32_t node);
/* The node learns the newest state at once, as from a snapshot. */
void rworld_apply_snapshot(struct world *w, uint32_t node);

/* ---- steps: clients -------------------------------------------------------------------------- */

/* The client sends its oldest waiting batch (or a new one) to a node; what came back. */
int rworld_send(struct world *w, uint32_t client, uint32_t node);
/* The client gives up waiting for everything under way and will send it again. */
void rworld_client_timeout(struct world *w, uint32_t client);

/* ---- questions ------------------------------------------------------------------------------- */

struct replica_rule rworld_rule(uint64_t voters, uint8_t w, int8_t home);
struct replica *rworld_replica(struct world *w, uint32_t node);
/* The node that serves the newest epoch; 0: none. */
uint32_t rworld_leader(const struct world *w);
/* Runs everything that can happen without faults until nothing is under way. */
void rworld_settle(struct world *w);
bool rworld_idle(const struct world *w);
/* Can any leader recover from what the disks hold? */
bool rworld_recoverable(const struct world *w);
/* Everybody follows the newest epoch with the same log and high watermark. Sets `broken` if not. */
bool rworld_converged(struct world *w);

/* ---- between the world's files --------------------------------------------------------------- */

void rworld_perform(struct world *w, struct world_node *n, struct replica_out *out,
                    const uint16_t *batches, size_t batch_count);
void rworld_touch(struct world *w, struct world_node *n);
int64_t rworld_common(const struct world_log *a, const struct world_log *b);
struct world_message *rworld_send_message(struct world *w, uint32_t from, uint32_t to,
                                          enum world_message_kind kind);
void rworld_answer_clients(struct world *w, struct world_node *n);

/* producers */
/* Those above `above` are of records that are gone; one that is on its way there, too. */
void rworld_forget_snapshots(struct world_node *n, int64_t above);
void rworld_snapshot_add(struct world_node *n, struct world_snapshot snapshot);
void rworld_save_begin(struct world *w, struct world_node *n, int64_t offset);
void rworld_save_done(struct world *w, struct world_node *n);
void rworld_save_drop(struct world_node *n);
void rworld_node_start_snapshot(struct world *w, struct world_node *n);

/* judge */
void rworld_judge_write(struct world *w, const struct world_node *n,
                        const struct world_write *write);
void rworld_judge_role(struct world *w, struct world_node *n);
void rworld_judge_append(struct world *w, const struct world_node *n, uint16_t batch);
void rworld_judge_ack(struct world *w, const struct world_node *n, int32_t epoch, int64_t offset);
void rworld_judge_answer(struct world *w, const struct world_node *n,
                         const struct replica_answer *answer);
void rworld_judge_node(struct world *w, struct world_node *n);
void rworld_judge_activation(struct world *w, const struct world_node *n, int32_t epoch);
void rworld_judge_activated(struct world *w, int32_t epoch);
void rworld_judge_client_answer(struct world *w, const struct world_request *request);
