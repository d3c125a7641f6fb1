/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the agent; nobody outside src/agent includes it. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <uthash.h>

#include "agent/node.h"
#include "agent/pace.h"
#include "agent/report_list.h"
#include "base/queue.h"
#include "control/decide.h"
#include "kafka/arena.h"
#include "replica/replica.h"

#define MESH_FENCES       32
#define MESH_ANSWERS      33
#define MESH_PUSH         34
#define MESH_ACKS         35
#define MESH_MARKS        36
#define MESH_COPY         37
#define MESH_COPIED       38
#define MESH_HEARTBEAT    39
#define MESH_START_QUERY  40
#define MESH_START_REPLY  41
#define MESH_SUBMIT       42
#define MESH_SUBMIT_REPLY 43
#define MESH_REPORTS      44
#define MESH_REPAIR       45
#define MESH_REPAIRED     46
#define MESH_TXN_END      47
#define MESH_TXN_ENDED    48
#define MESH_TXN_VERIFY   49
#define MESH_TXN_VERIFIED 50
#define MESH_WARM_UP      51 /* without a head; its tail says nothing */

#define NODE_NOTE_FOLLOWED 1 /* key of a note in the store: control index, le64 */

#define NODE_TICK_MS   50
#define HEARTBEAT_MS   100
#define PUSH_BYTES_MAX ((size_t)1 << 20)    /* of one push frame, as long as batches are smaller */
#define PUSH_WINDOW    ((uint64_t)32 << 20) /* pushed to a node and not durable there yet */
#define PUSH_QUEUE_MAX ((size_t)4 << 20)    /* waiting in our socket queue to a node */

/* Catch-up gives way to what is live: small pieces, few of them under way, read one or two at a time
 * and only while the disk keeps up with the producers. */
#define CATCH_UP_BYTES_MAX   ((size_t)256 << 10)
#define CATCH_UP_WINDOW      ((uint64_t)4 << 20)
#define CATCH_UP_QUEUE_MAX   ((size_t)2 << 20)
#define CATCH_UP_READS_MAX   2                   /* of a node, whoever they are for */
#define CATCH_UP_BACKLOG_MAX ((uint64_t)4 << 20) /* of the store; above it nothing is read */
#define CATCH_UP_DRAIN_MS    1000 /* so long the change of a stream's channel waits for acks */

#define SAMPLES 64

/* ---- partitions (partition.c) ---------------------------------------------------------------- */

struct partition_key {
    struct uuid topic_id;
    int32_t partition;
};

/* Something of a client that waits for this partition's HW or role: see partition_poke. */
struct partition_waiter {
    struct link link;
    void (*poke)(struct partition_waiter *waiter);
};

/* Batches on their way from the store to one node. */
struct ship_read {
    struct store_read read;
    struct partition *partition; /* NULL: the partition went away */
    uint32_t node;
    int32_t epoch;
    bool copying; /* answers a Copy; else a push */
    bool busy;
    bool slow; /* busy, and one of the node's CATCH_UP_READS_MAX */
    /* The stream of pushes. It changes its channel only when all that went by the other one is
     * acknowledged, because nothing orders the two. */
    enum wire_channel via;
    int32_t sent_epoch; /* 0: nothing was pushed yet */
    int64_t sent_to;
    uint64_t draining_us; /* since then it waits to change; 0: it does not */
    struct node *node_of;
    struct link link;    /* in partition.reads */
    struct link waiting; /* in node.catch_up: for its turn to read */
};

struct coordinator; /* coordinator.h */
struct node_txns;   /* txn.h */

struct partition {
    struct partition_key key;
    UT_hash_handle hh;
    struct node *node;
    struct coordinator *coordinator; /* of the groups' topic only; else NULL */
    struct replica replica;
    struct store_log *log;
    struct link dirty;     /* in node.dirty: something below is to be sent */
    struct link ticking;   /* in node.ticking */
    struct link appends;   /* produce waiters, ascending by end offset */
    struct link verifying; /* batches of transactions that wait for a coordinator's word */
    struct link watchers;  /* parked fetches and the like */
    struct link reads;     /* struct ship_read */
    struct link doomed;    /* in node.doomed */
    node_set push_to;
    node_set mark_to;
    node_set fence_to;
    uint32_t answer_to; /* 0: none */
    bool answer_complaint;
    uint32_t ack_to; /* 0: none */
    int32_t ack_epoch;
    int64_t ack_offset;
    uint64_t refused_ms; /* when a batch was last refused to be sent again; 0: never */
    uint64_t unled_ms;   /* since then it is to lead by the control state, and does not; 0: no */
    bool rebuilding;
    bool deleting;
    struct store_read rebuild;
    int64_t producers_saved_at;
    /* ledger.c: the present breach of an RPO bound that is only reported; since 0: none */
    int64_t breach_since_wall_ms;
    int64_t breach_until_wall_ms;
    int64_t breach_first;
    int64_t breach_end;
    uint64_t breach_bytes;
    uint64_t breach_ms;
    node_set caught_up; /* told to the controller as long as the epoch lasts */
    /* nearest.c: when what is shown here last reached what it was told of, and what that is now */
    uint64_t shown_ms;
    uint64_t shown_asked_ms;
    int64_t shown_wanted;
    struct repair *repair; /* repair.c; NULL: nothing is damaged */
    int64_t all_hold;      /* cleaning.c: every replica has had what is below, durably */
    int64_t log_start_durable;
    struct store_req save; /* of a producer snapshot, while `saving` */
    bool saving;
    bool save_wanted; /* the replica waits for one that is not under way yet */
    int64_t saving_at;
    struct log_starts *log_starts; /* 21_delete_records.c: the followers'; NULL: none was told */
};

struct partition *partition_find(struct node *node, struct uuid topic_id, int32_t partition);
/* Hosts a replica: opens or creates its log. */
struct partition *partition_host(struct node *node, struct uuid topic_id, int32_t partition);
/* For store_options.producers. */
bool partition_tell_producers(void *node, struct store_log *log, struct buf *out);
/* Deletes the data; the promise stays as a tombstone. */
void partition_drop(struct partition *p);
/* The same for one whose topic is gone; its files are left to partitions_erase: a thousand at once
 * would keep the loop from everything else, so that nodes suspect each other. */
void partition_drop_later(struct partition *p);
void partitions_erase(struct node *node, uint32_t count);
void partitions_free_doomed(struct node *node); /* no I/O */
/* Gives memory back, no I/O. */
void partition_free(struct partition *p);
/* The writes that nobody will tell of any more: the node closes. */
void partition_tokens_drop(struct node *node);
/* topic_settings.c: what the topic's configs and policy ask of its logs. */
struct log_settings topic_log_settings(const struct control_topic *topic);
/* Applies what the control state says of it now. */
void partition_assign(struct partition *p);
/* Carries out effects; `batches` are those of the event, `chunks` their bytes (or NULL). */
void partition_run(struct partition *p, const struct replica_out *out,
                   const struct batch_info *batches, const struct chunk *chunks);
void partition_mark_dirty(struct partition *p);
void partition_poke(struct partition *p);
/* Damaged records were filled: what could not be read is read again. */
void partition_mended(struct partition *p);
/* Reports (reports.c) go to the controller with the next tick. */
void partition_report(struct partition *p, enum decide_report_kind kind, node_set nodes);
/* surely: it is its own disk that has lost something; else that is only told to people. */
void partition_report_amnesia(struct partition *p, uint32_t of, bool surely);
/* voters: also of those that count already it is told who has caught up. */
/* Coordinators: in which regions the members of their groups are. */
void partition_report_members(struct partition *p);
void partition_repeat_reports(struct partition *p, bool voters);
/* Leads, but may have to move: the policy wants another region first, or there is another replica in
 * this one. The controller waits to hear that a voter there has caught up. */
bool partition_may_move(const struct partition *p);
/* Did this node surely lead it after that moment (clock_now_us)? Known one heartbeat and round trip later. */
bool partition_leads_since(const struct partition *p, uint64_t since_us);
/* It is assigned to lead and can't, for t: the controller must hear that (rule 12). */
void partition_watch_role(struct partition *p, uint64_t now_ms);
/* patience_ms: t of rule 12. */
void partition_tick(struct partition *p, uint64_t now_us, uint64_t patience_ms);

/* ---- how far compaction may look (cleaning.c) ------------------------------------------------- */

/* Leader: below this every replica of its config is durable; 0: not known. */
int64_t cleaning_all_hold(const struct partition *p);
/* Follower: its leader of this epoch said so. */
void cleaning_told(struct partition *p, uint32_t from, int32_t epoch, int64_t all_hold);
void cleaning_tick(struct node *node, uint64_t now_us);
/* options.fate of the store; ctx: the node. */
enum store_fate cleaning_fate(void *ctx, struct store_log *log, int64_t producer_id,
                              int64_t offset);

/* ---- peers (liveness.c) ---------------------------------------------------------------------- */

/* The newest ones. They are asked about more often than they come. */
struct samples {
    uint32_t values[SAMPLES]; /* a ring, in the order in which they came */
    uint32_t sorted[SAMPLES];
    uint32_t count;
    uint32_t next;
};
void samples_add(struct samples *s, uint32_t value);
/* per_mille 500: the median; 0 without samples. */
uint32_t samples_at(const struct samples *s, uint32_t per_mille);

/* Pushes by one channel. */
struct flow {
    uint64_t pushed_bytes;         /* by us since the channel opened */
    uint64_t pushed_bytes_durable; /* as it acknowledged */
    uint64_t taken_bytes;          /* received of its pushes */
    uint64_t token_bytes;          /* the same at the newest write that they caused */
    uint64_t taken_bytes_durable;  /* nothing below waits for our disk */
};

struct peer {
    struct wire_hello hello; /* of the control channel */
    bool up[WIRE_CHANNELS];
    uint64_t heard_us;      /* 0: never */
    bool gone;              /* since then nothing listens at its address */
    uint64_t heard_sent_us; /* newest sent_us of its heartbeats */
    uint64_t echoed_us;     /* our newest sent_us that it has answered to */
    uint32_t disk_hangs_ms; /* as it says */
    uint64_t heartbeat_us;  /* when that arrived */
    struct samples rtt_us;
    struct samples gap_us; /* (gap between heartbeats - interval) */
    uint64_t applied_index;
    uint64_t commit_index;
    uint64_t term;
    uint64_t start_number;
    bool ready;
    bool full;
    uint32_t damaged; /* ranges of records that it has to get from others */
    bool controller;
    uint64_t lease_seq;     /* newest it asked of us */
    uint64_t lease_granted; /* newest we granted */
    uint64_t lease_granted_ms;
    struct flow flows[WIRE_CHANNELS];
    enum wire_channel taking; /* by which the push under way has come */
    uint64_t warm_up_seen;    /* flows[WIRE_DATA].pushed_bytes at the last heartbeat */
    bool ack_bytes_owed;
    uint32_t held_back; /* bit per channel: pushes wait for room in its window or queue */
};

bool peer_linked(const struct node *node, uint32_t id); /* control and data are up */
uint32_t peer_suspicion_ms(const struct node *node, const struct peer *peer);
bool peer_reachable(const struct node *node, uint32_t id);
/* Nothing listens at its address, and no channel to it is up. Until one is. */
void peer_is_gone(struct node *node, uint32_t id);
/* Since it was heard, as far as this node was there to hear it. */
uint64_t peer_silent_us(const struct node *node, uint32_t id);
/* At every tick and heartbeat. */
void liveness_alive(struct node *node, uint64_t now_us);
void liveness_tick(struct node *node, uint64_t now_us);
void liveness_heartbeat(struct node *node, uint32_t from, struct slice head);
node_set liveness_reachable(const struct node *node);
/* A peer has applied more of the control log, or this process stood still: what it believes to lead
 * may be led by somebody else by now. */
bool liveness_behind(const struct node *node);

/* ---- warm connections for a failover (warm_up.c) --------------------------------------------- */

/* A peer may be about to be replaced: now, but not too often. */
void warm_up(struct node *node, uint64_t now_us);
/* With each heartbeat: is anybody silent? */
void warm_up_tick(struct node *node, uint64_t now_us);

/* ---- the node (node.c) ----------------------------------------------------------------------- */

struct producer_ids {
    int64_t next;
    int64_t end;
    bool asking;
    struct link waiters; /* struct request by its link */
};

/* conn.c: closes all connections of clients, so that they look for another node. */
#define DISK_HANGS_CLOSES "the disk of this node hangs: others serve"
void conns_drop(struct node *node, const char *reason);

/* What peers know of this node's registrations (recall.c). */
struct recall {
    uint64_t asked_us;
    uint64_t seq;
    node_set answered;
    node_set founded; /* peers that have control state */
    uint64_t highest; /* start number that a peer has registered for us */
    bool foreign;     /* ... by another disk than this */
};

struct node {
    struct node_options o;
    struct store *store;
    struct control *control;
    struct quorum *quorum;
    struct node_file file;
    enum node_phase phase;
    bool dead;       /* fatal was called */
    bool registered; /* this start */
    bool replayed;   /* the control state is as new as what was followed before this start */
    bool rolled_back;
    uint64_t start_number; /* of this start: file.start_pending */
    uint64_t started_us;
    struct uuid client; /* of our commands' dedup keys */
    uint64_t command_seq;
    struct control_changes changes;
    bool applying;
    struct timer tick;
    struct timer flush;
    uint64_t heartbeat_us;
    uint32_t disk_hangs_ms; /* for so long a write has not returned, if that is 2 D; else 0 */
    uint64_t replica_tick_us;
    uint64_t retained_us;
    uint64_t cleaned_us;
    uint64_t aged_us;  /* when producers last became an hour older */
    uint64_t alive_us; /* last tick or heartbeat */
    uint64_t warmed_us;
    uint64_t awake_us; /* when it came back from having been away; 0: never was */
    uint64_t repeated_us;
    struct link doomed; /* partitions without a topic, still on disk */
    uint64_t tuned_us;
    uint32_t repeat_round;
    struct link catch_up; /* struct ship_read that wait for their turn to read */
    uint32_t catch_up_reads;
    struct pace pace;            /* of these reads */
    struct timer catch_up_timer; /* armed: then the pace allows the next */
    struct timer hold_timer;     /* armed: requests are held (request_hold) */
    uint64_t roles_ms;           /* when a replica here last took another role */
    node_set reachable;
    struct peer peers[WIRE_NODES_MAX];
    struct partition *partitions; /* uthash */
    struct link dirty;
    struct link ticking;
    struct link tokens;          /* writes that wait for their fsync */
    struct link abandoned_reads; /* struct ship_read whose partition is gone */
    struct link requests;        /* all struct request under way */
    struct link doubts;          /* batches that are out of order, if this node still leads */
    struct link conns;
    struct replica_out out; /* scratch of the innermost event */
    struct buf scratch;
    struct node_counters counters;
    uint64_t last_ack_us;
    uint64_t waiting_bytes; /* produce bytes not answered yet */
    uint64_t waiting_since_us;
    struct producer_ids producer_ids;
    struct link coordinators; /* struct coordinator: of each partition that has one */
    struct link group_loads;  /* struct group_load, their reads under way */
    struct node_txns *txns;
    bool making_topic[2];   /* of groups, of transactions */
    uint32_t auto_creating; /* topics */
    struct quota_client *quota_clients;
    struct fetch_sessions *fetch_sessions;

    struct lease *lease;  /* lease.c */
    uint64_t lossy_index; /* of the control log: the newest lossy epoch that was applied */
    struct repairs *repairs;
    struct ledger *ledger; /* ledger.c */
    /* start.c */
    struct recall recall;
    struct start *start;
    /* controller.c */
    struct controller *controller;
    /* reports for the controller, by us as leader */
    struct report_list reports;

    bool stopping;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
    struct timer stop_timer;
    struct store_req stop_req;
};

uint64_t node_now_ms(const struct node *node);
/* Runs ship_flush soon, once for all that happens until then. */
void node_wake(struct node *node);
void node_die(struct node *node, int error, const char *what);
/* Follows the control state: after every applied command, and once after opening. */
void node_follow(struct node *node, const struct control_change *change);
void node_follow_all(struct node *node);
void node_followed(struct node *node);
/* Has the control state here reached this start's own registration? */
bool node_is_current(const struct node *node);
bool node_send(struct node *node, uint32_t to, enum wire_channel channel, uint16_t type,
               struct slice head, const struct chunk *tail, size_t tail_count);

/* ---- start.c --------------------------------------------------------------------------------- */

int start_open(struct node *node, char why[256]);
void start_close(struct node *node);
void start_tick(struct node *node);
void start_submit(struct node *node, uint32_t from, struct slice head);
void start_submit_reply(struct node *node, uint32_t from, struct slice head);
void start_founded(struct node *node);
void start_hello(struct node *node);
/* The cluster has found that this disk holds less than it acknowledged: what is left of it comes
 * back as a new incarnation. Ends the process. */
void start_forgotten(struct node *node);

/* ---- recall.c -------------------------------------------------------------------------------- */

/* Asks all peers, not more often than that. */
void recall_ask(struct node *node, uint64_t every_us);
void recall_asked(struct node *node, uint32_t from, struct slice head);
void recall_told(struct node *node, uint32_t from, struct slice head);
/* All peers, or at least one and D since then for the others. */
bool recall_heard_enough(const struct node *node, uint64_t since_us);
/* Do they know of a registration that this disk does not? */
bool recall_is_later(const struct node *node);

/* ---- lease.c --------------------------------------------------------------------------------- */

struct lease *lease_new(struct node *node);
void lease_free(struct lease *lease);
bool lease_valid(const struct node *node);
/* The number that the next heartbeat asks with; 0: no lease is needed. */
uint64_t lease_ask(struct node *node, uint64_t now_us);
void lease_granted(struct node *node, uint64_t seq);
void lease_tick(struct node *node);
/* Controller: may that node be granted what it asks for? */
bool lease_may(const struct node *node, uint32_t id);
/* The peer's next start counts its requests anew: what is being confirmed for this one is nothing
 * to it. */
void lease_forget(struct node *node, uint32_t peer);

/* ---- ledger.c -------------------------------------------------------------------------------- */

struct ledger *ledger_new(struct node *node); /* after the store is open */
void ledger_free(struct ledger *ledger);
/* Journals the entry; it is committed as soon as the quorum can be reached. */
void ledger_tell(struct node *node, const struct control_ledger_entry *entry);
void ledger_tick(struct node *node);
void ledger_cut_off(const struct partition *p, int64_t first, int64_t end, uint64_t bytes);
void ledger_watch_breach(struct partition *p);

/* ---- ship.c: what goes to other nodes -------------------------------------------------------- */

void ship_flush(struct node *node);
void ship_reads_abandon(struct partition *p);
/* The node closes: their `done` will not be called. */
void ship_reads_drop(struct node *node);
void ship_copy(struct partition *p, uint32_t to, int32_t epoch, int64_t offset);
void ship_begin(struct partition *p, uint32_t to, int64_t base, bool restart);
void ship_copy_producers(struct partition *p, uint32_t to, int32_t epoch, int64_t offset);
void ship_ask_copy(struct partition *p, uint32_t from, int32_t epoch, int64_t offset,
                   bool producers);
/* Bytes of a table of producers that goes with an order to begin anew: it becomes one entry of a journal. */
size_t ship_producers_max(const struct partition *p);
void ship_retry(struct node *node, uint32_t to);
/* There may be room again for what was held back: after acks, and with every tick. */
void ship_room(struct node *node, uint32_t to);
void ship_retry_marks(struct node *node, uint32_t to);
/* It has acknowledged: a stream may have waited for that to change its channel. */
void ship_acked(struct partition *p, uint32_t from);
/* The catch-up channel to a node is lost, and what was in it: those streams begin anew. */
void ship_catch_up_down(struct node *node, uint32_t to);
void ship_tick(struct node *node);
void ship_catch_up_fired(struct timer *timer);
void ship_partition_tick(struct partition *p, uint64_t now_us);

/* ---- repair.c: damaged records are filled by other replicas ------------------------------------ */

struct repairs *repairs_new(void);
/* The node closes: what is under way will not be told of. */
void repairs_free(struct repairs *repairs);
/* The store has found damage, or the replica is loaded: looks what is damaged now. */
void repair_look(struct partition *p);
void repair_forget(struct partition *p);
void repair_tick(struct node *node);
void repair_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena);
void repair_given(struct node *node, uint32_t from, struct slice head, struct chunk tail,
                  struct arena *arena);

/* ---- mesh.c: what comes from them ------------------------------------------------------------ */

extern const struct wire_handler node_wire_handler;
ProtobufCAllocator mesh_allocator(struct arena *arena);
/* Whole batches, in order; false: they are not, or a checksum is wrong. */
struct batch_run {
    struct batch_info *infos;
    struct chunk *chunks; /* borrowed from the tail: no references of their own */
    size_t count;
};
bool mesh_split(struct chunk tail, struct arena *arena, struct batch_run *out);

/* ---- controller.c ---------------------------------------------------------------------------- */

void controller_role(struct node *node, bool controller, uint64_t term);
void controller_tick(struct node *node);
void controller_close(struct node *node);
void controller_report(struct node *node, uint32_t from, const struct decide_report *report);
bool node_is_controller(const struct node *node);
/* What its decisions on their way into the log rest on. Only of a controller. */
const struct decide_pending *controller_pending(const struct node *node);
/* As a leader: queues a report; it goes with the next tick. */
void report_add(struct node *node, const struct decide_report *report);
void report_flush(struct node *node);
