/* SPDX-License-Identifier: Apache-2.0 */
/* One partition's replica on this node: the rules of docs/replication.md as a pure machine. Events and
 * time in, effects out; nothing is called back, nothing blocks.
 *
 *               assign: I lead          a recovery quorum answered
 *   FOLLOWING ----------------> FENCING ----------------------------> BUILDING
 *     ^   ^                                                              |
 *     |   |                                        own log is the chosen |
 *     |   |                                                              v
 *     |   '-- a message of a higher epoch, from any role -- SERVING <-- PREPARED
 *     '------ given up: no quorum in time                       (only a lossy epoch waits here)
 *
 * Persist, then answer: effects are carried out in their order, and what a node reveals follows the
 * fsync of what it rests on, because the answering effect is only given once replica_written has
 * told that the write is durable. Writes complete in the order in which they were given (the
 * journal's promise), which the machine relies on.
 *
 * Leadership is volatile (rule 2): only the start of the node that the epoch was assigned to may
 * lead it, and only until it has lost or given up that role once. */
#pragma once

#include "base/check.h"
#include "kafka/batch.h"
#include "replica/config.h"
#include "replica/history.h"
#include "replica/producers.h"
#include "replica/rpo.h"

#define REPLICA_RETRY_MS      100  /* fences and activations are repeated this often */
#define REPLICA_COPY_RETRY_MS 1000 /* so long a requested copy may be on its way */
#define REPLICA_SILENCE_MS    1000 /* and so long an ack, and the answer to a repeated fence */

enum replica_role {
    REPLICA_FOLLOWING, /* also: nobody leads */
    REPLICA_FENCING,
    REPLICA_BUILDING,
    REPLICA_PREPARED,
    REPLICA_SERVING,
};

/* ---- messages between replicas (packed by the agent) ----------------------------------------- */

/* Reply to a fence; also sent unasked when an assignment is applied, and, as a complaint, when a
 * push does not fit. */
struct replica_answer {
    int32_t epoch; /* promised */
    uint32_t incarnation;
    int32_t synced;
    int64_t leo; /* durable */
    int64_t log_start;
    bool complaint;                      /* the leader shall start this stream anew */
    const struct history_entry *history; /* borrowed */
    size_t history_count;
};

struct replica_push {
    int32_t epoch;
    int32_t prev_epoch; /* of the record just below base; 0: none or deleted */
    int64_t base;
    int64_t initial_end; /* end of the epoch's initial log */
    int64_t hw;          /* of this epoch; -1: not set yet */
    int64_t log_start;
    bool truncate;                    /* no batches: cut to base */
    bool restart;                     /* no batches: begin anew at base (the log start) */
    struct slice producers;           /* of a restart: replica_producers_before there; checked */
    const struct batch_info *batches; /* ascending, contiguous from base; borrowed */
    size_t batch_count;
};

struct replica_ack {
    int32_t epoch;
    uint32_t incarnation;
    int64_t leo; /* everything below is durable, with synced = epoch */
};

/* ---- effects --------------------------------------------------------------------------------- */

enum replica_effect_kind {
    /* writes, to be called for in this order; their completion goes to replica_written */
    EFFECT_PROMISE,   /* epoch */
    EFFECT_SYNCED,    /* epoch */
    EFFECT_APPEND,    /* index: of the event's batch; patched by the leader with epoch and offset */
    EFFECT_TRUNCATE,  /* offset; quarantines */
    EFFECT_RESTART,   /* offset; quarantines, unless flag: all it drops is committed elsewhere. What
                         the producer table holds now becomes durable with it */
    EFFECT_LOG_START, /* offset */
    EFFECT_PRODUCERS, /* offset: the producer state there, which is that of now; in no order with others */
    /* messages */
    EFFECT_FENCE,  /* node, epoch */
    EFFECT_ANSWER, /* node, complaint; the content is replica_answer_now at the time of sending */
    EFFECT_BEGIN,  /* node, offset, restart: a push without batches that cuts the follower's log */
    EFFECT_PUSH,   /* node: it can take more (replica_push_head, then replica_pushed) */
    EFFECT_ACK,    /* node, epoch, offset */
    EFFECT_MARK,   /* node: tell it the high watermark; may be joined with others */
    EFFECT_COPY,   /* node, epoch, offset: ask for batches from there (recovery); flag: for what
                      producers had sent before it instead */
    /* for the agent */
    EFFECT_HW,        /* the high watermark rose: answer and wake */
    EFFECT_ROLE,      /* role or epoch changed: requests that wait for it fail, reads look again */
    EFFECT_ACTIVATED, /* epoch, offset (lossy start or -1): propose `activated` */
    EFFECT_NO_QUORUM, /* epoch: report to the controller, with the nodes reached */
    EFFECT_REBUILD,   /* rebuild the producer state: feed batches from a snapshot on */
    EFFECT_CAUGHT_UP, /* node, epoch: a learner or forgotten voter is close behind */
    EFFECT_AMNESIA,   /* node, epoch: its log holds less than it has acknowledged in this epoch, or
                         it leads with a log that lacks what was shown as committed; flag: it is its own
                         disk that has lost it */
};

struct replica_effect {
    enum replica_effect_kind kind;
    uint32_t node;
    int32_t epoch;
    int64_t offset;
    size_t index;
    bool flag; /* complaint, restart, committed or producers */
};

struct replica_out {
    struct replica_effect *effects;
    size_t count;
    size_t cap;
};
void replica_out_fini(struct replica_out *out);

/* ---- the machine ----------------------------------------------------------------------------- */

enum replica_peer_state {
    PEER_UNKNOWN,   /* its log is not known: fence it, wait for an answer */
    PEER_BEGINNING, /* told to cut its log, waiting for its answer */
    PEER_STREAMING, /* pushes go out from `next` */
};

struct replica_peer {
    uint32_t node;
    enum replica_peer_state state;
    bool up;
    bool caught_up_told;
    uint32_t incarnation; /* of its newest ack; 0: none */
    int64_t next;         /* first offset not pushed yet */
    int64_t acked;        /* durable there with synced = epoch, whatever its incarnation */
    int64_t held;         /* the same, of the pinned incarnation: counts */
    int64_t log_start;    /* of its newest answer: it may have deleted more than we have */
    int64_t hw_told;
    uint64_t asked_ms; /* last fence */
    uint64_t waits_ms; /* of what it lacks nothing was acknowledged since then */
    int64_t probe_leo; /* where the log ended at probe_ms; when it is held, level_ms becomes that */
    uint64_t probe_ms;
    uint64_t level_ms; /* it has held all that there was then; 0: never in this epoch */
};

/* An answer that is kept during FENCING. */
struct replica_kept_answer {
    uint32_t node;
    uint32_t incarnation;
    int32_t synced;
    int64_t leo;
    int64_t log_start;
    struct history history;
};

struct replica {
    uint32_t self;
    uint32_t incarnation;
    uint64_t start_number;
    uint64_t reachable; /* nodes heard within their suspicion time, self included */

    uint64_t connected; /* nodes whose channels are up */

    /* Called for / fsynced. */
    int32_t promised;
    int32_t promised_durable;
    int32_t synced;
    int32_t synced_durable;
    int64_t leo;
    int64_t leo_durable;
    int64_t log_start;
    struct history history;
    int64_t damaged_from; /* first record whose bytes are lost; INT64_MAX: none */
    bool truncating;      /* no appends, no answers until it is done */
    bool answer_owed;     /* to answer_to, once promise and truncation are durable */
    bool answer_complaint;
    uint32_t answer_to;

    struct replica_spec spec; /* newest assignment applied; epoch 0: none */
    int32_t given_up;         /* the epoch whose leadership was lost or given up */
    enum replica_role role;
    uint32_t leader; /* whom this replica follows in `promised`; 0: not known */
    uint64_t role_since_ms;
    uint64_t progress_ms; /* leader: last time its HW rose or nothing waited */
    uint64_t reported_ms;
    uint64_t amnesia_ms; /* when it told last that another log has forgotten; 0: never */

    int64_t hw;        /* highest shown; -1: none heard since start */
    int32_t hw_epoch;  /* `promised` when it was */
    int64_t leader_hw; /* follower: HW of epoch `promised` as told; -1 */

    /* FENCING and BUILDING */
    struct replica_kept_answer *answers;
    size_t answer_count;
    uint64_t fenced_ms; /* when fences were sent last */
    int64_t target_leo;
    int32_t target_synced;
    uint32_t source;   /* node that the chosen log is copied from; self: none */
    int64_t begins_at; /* our log begins anew there, as soon as its producers are told; -1: no */
    uint64_t copy_asked_ms; /* 0: not asked yet */
    bool missing_region;    /* lossy: some data region did not answer */

    /* PREPARED and SERVING */
    int64_t initial_end;
    uint64_t activation_asked_ms;
    struct replica_peer *peers;
    size_t peer_count;
    struct rpo rpo; /* async leaders */

    struct producers *producers;
    int64_t producers_at; /* the table reflects the log below this offset */

    /* log_start.c */
    int64_t start_wanted; /* what retention, or the leader, asked for in this epoch; 0: nothing */
    int64_t producers_asked; /* EFFECT_PRODUCERS is under way for this offset; -1: for none */
    int64_t producers_safe;  /* the newest that is durable, of this log; -1: none is known */
    bool producers_refused;  /* there is no room on the disk for one */
};

struct replica_load {
    uint32_t self;
    uint32_t incarnation;
    uint64_t start_number; /* 0: not registered yet, leads nothing */
    uint64_t connected;    /* nodes whose channels are up */
    int32_t promised;
    int32_t synced;
    int64_t leo;
    int64_t log_start;
    bool damaged; /* records from damaged_from on are lost, and known to be */
    int64_t damaged_from;
    const struct history_entry *history;
    size_t history_count;
};
/* Everything in `load` is durable. The producer state is to be rebuilt as after EFFECT_REBUILD. */
void replica_init(struct replica *r, const struct replica_load *load);
void replica_fini(struct replica *r);

/* ---- events ---------------------------------------------------------------------------------- */

/* The control log assigned an epoch (or it was activated, or a snapshot told it again). Lower
 * epochs than already applied are ignored. */
void replica_assign(struct replica *r, uint64_t now_ms, const struct replica_spec *spec,
                    struct replica_out *out);
/* The node's start was registered: it may answer and lead from now on. */
void replica_registered(struct replica *r, uint64_t now_ms, uint32_t incarnation,
                        uint64_t start_number, struct replica_out *out);
void replica_on_fence(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                      struct replica_out *out);
void replica_on_answer(struct replica *r, uint64_t now_ms, uint32_t from,
                       const struct replica_answer *answer, struct replica_out *out);
void replica_on_push(struct replica *r, uint64_t now_ms, uint32_t from,
                     const struct replica_push *push, struct replica_out *out);
/* A high watermark without data. */
void replica_on_mark(struct replica *r, uint32_t from, int32_t epoch, int64_t hw, int64_t log_start,
                     struct replica_out *out);
void replica_on_ack(struct replica *r, uint64_t now_ms, uint32_t from,
                    const struct replica_ack *ack, struct replica_out *out);
/* Batches copied from the source in BUILDING, contiguous from our end. */
void replica_on_copied(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                       const struct batch_info *batches, size_t count, struct replica_out *out);
/* What producers had sent before `offset`, as EFFECT_COPY with `flag` asked: the source's
 * replica_producers_before, checked. */
void replica_on_copied_producers(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                                 int64_t offset, struct slice producers, struct replica_out *out);
/* A write that an effect called for is durable: PROMISE and SYNCED with the epoch, APPEND with the
 * end offset of the batch, TRUNCATE, RESTART and PRODUCERS with the offset; or PRODUCERS with -1, when
 * there is no room for it. */
void replica_written(struct replica *r, uint64_t now_ms, enum replica_effect_kind kind,
                     int64_t value, struct replica_out *out);
/* Records of the own log are found to be damaged, or are filled again: the first that is lost now,
 * or INT64_MAX. replica_note_damage only remembers it, for places where nothing can be carried
 * out. */
void replica_note_damage(struct replica *r, int64_t damaged_from);
void replica_set_damage(struct replica *r, uint64_t now_ms, int64_t damaged_from,
                        struct replica_out *out);
/* Both channels to a node are up, or one went down. */
void replica_peer_up(struct replica *r, uint64_t now_ms, uint32_t node, struct replica_out *out);
void replica_peer_down(struct replica *r, uint32_t node);
void replica_reach(struct replica *r, uint64_t reachable);
/* Repeats what was not answered, reports what is stuck (after `patience_ms`, rule 12's t). Call it
 * about every REPLICA_RETRY_MS while replica_wants_tick. */
void replica_tick(struct replica *r, uint64_t now_ms, uint64_t patience_ms,
                  struct replica_out *out);
bool replica_wants_tick(const struct replica *r);

/* A client's batch (its header checked). 0: appended as base_offset.. (or a duplicate of them):
 * answer when hw has passed out_last. Else TERN_ENOTLEADER, ENOQUORUM, EOUTOFORDER,
 * EPRODUCERFENCED, ETXNSTATE, EBUSY. On success the effects hold the append (index 0) unless it is a duplicate; the
 * batch's base_offset, last_offset and leader_epoch are set. */
int replica_produce(struct replica *r, uint64_t now_ms, struct batch_info *batch,
                    bool *out_duplicate, struct replica_out *out) TERN_MUST_USE;

/* The end of a transaction (a control batch, see kafka/batch.h) like a client's batch. Besides what
 * that can be: ETXNCOORDINATORFENCED; see producers_check_marker for `number`. */
int replica_mark(struct replica *r, uint64_t now_ms, struct batch_info *marker, int64_t number,
                 bool *out_duplicate, struct replica_out *out) TERN_MUST_USE;

/* Retention asks for a higher log start (leader only, at most its HW). It rises as soon as what producers
 * came to is durable. */
void replica_raise_log_start(struct replica *r, int64_t offset, struct replica_out *out);

/* For a log that begins anew at `offset`, not below our log start: what producers had sent before it
 * (producers_pack_before). False: not known yet. Empty where a damaged record keeps it from being known. */
bool replica_producers_before(const struct replica *r, int64_t offset, size_t bytes_max,
                              struct buf *out) TERN_MUST_USE;

/* Producer state: after EFFECT_REBUILD the agent loads a snapshot (or starts from the log start),
 * then feeds batches in order until producers_at reaches leo. */
void replica_producers_restart(struct replica *r, int64_t at);
void replica_producers_feed(struct replica *r, const struct batch_info *batch);
/* After that. */
void replica_producers_fed(struct replica *r, struct replica_out *out);
/* Once an hour: producers that are silent for PRODUCER_HOURS are forgotten. */
void replica_producers_age(struct replica *r);

/* ---- questions ------------------------------------------------------------------------------- */

struct replica_answer replica_answer_now(const struct replica *r);
/* Leader: what a push to the node says besides its batches, and where they start. False if it can't
 * take any now. */
bool replica_push_head(const struct replica *r, uint32_t node, struct replica_push *out);
/* Leader: batches up to `next` went out to the node, or the mark `hw`. */
void replica_pushed(struct replica *r, uint32_t node, int64_t next, int64_t hw);
/* May the node `to` copy from us in `epoch`? (Its log is fenced to exactly that epoch.) */
bool replica_may_copy(const struct replica *r, int32_t epoch);
static inline bool replica_serves(const struct replica *r)
{
    return r->role == REPLICA_SERVING;
}
/* Leader: has the HW of this epoch reached the end of its initial log (rule 10)? */
bool replica_hw_known(const struct replica *r);
/* Leader: clients may be answered below this: the HW of its epoch, and not beyond the RPO bound
 * where that is enforced. */
int64_t replica_ack_limit(const struct replica *r);
/* Readers of committed transactions read below this: no open transaction begins below it. Never above
 * what replica.hw shows; lower as long as the producer state is being rebuilt. */
int64_t replica_stable(const struct replica *r);
/* Leader: would this batch pass the bound (`on_breach: refuse`)? Also true while the tail is
 * unknown. */
bool replica_rpo_full(const struct replica *r, uint64_t bytes, uint64_t now_ms);
/* Leader: for how long the follower has not held all that there is, as far as its acks tell; 0: it
 * does. UINT64_MAX: it is not known to hold this epoch's log. */
uint64_t replica_lag_ms(const struct replica *r, uint32_t node, uint64_t now_ms);
/* Leader: what it knows of a follower; NULL if it is none. */
const struct replica_peer *replica_peer_of(const struct replica *r, uint32_t node);
const char *replica_role_name(enum replica_role role);
