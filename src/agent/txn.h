/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: their coordinator (src/txn behind coordinator.h), the ends that it writes into
 * partitions here and on other nodes, and the question of a partition's leader whether a transaction
 * is open, or may be. */
#pragma once

#include "agent/coordinator.h"
#include "txn/txn.h"

#define TXNS_PARTITIONS       12
#define TXN_RETENTION_MS      ((uint64_t)7 * 24 * 3600 * 1000)
#define TXN_MARK_RETRY_MS     1000 /* an end that was not answered is sent again */
#define TXN_MARKS_TICK_MS     200
#define TXN_ENDING_MAX        100000 /* ends that wait here to be committed; then EBUSY */
#define TXN_VERIFY_TIMEOUT_MS 5000
#define TXN_ADD_RETRY_MS      10

struct node_txns; /* of a node */
struct node_txns *node_txns_new(struct node *node);
/* The node closes: before the partitions are freed. Nobody is told. */
void node_txns_close(struct node *node);

/* ---- the coordinator (txn_kind.c) -------------------------------------------------------------- */

int txn_coordinator_of(struct node *node, struct slice id, struct coordinator **out);
struct txns *coordinator_txns(struct coordinator *co);
struct txn_now txn_coordinator_now(const struct coordinator *co);
/* Carries out effects of txns_*, and empties `out`; sets the timer anew. */
void txn_coordinator_run(struct coordinator *co, struct txn_out *out);

/* What txn effects answer: the waiter of txns_init, _add and _end. */
struct txn_waiter {
    void (*done)(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch);
};

/* ---- ends (txn_markers.c) ---------------------------------------------------------------------- */

struct txn_end {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
    int64_t number; /* 0: none */
};
/* An end that is being written here; `done` once, with 0 when it is committed: never from inside. */
struct txn_ending {
    struct partition_waiter waiter;
    struct link link; /* in node_txns.endings */
    struct node *node;
    struct partition_key key;
    int32_t epoch;
    int64_t end;
    void (*done)(struct txn_ending *ending, int status);
};
/* 0: `ending` is told of. Else nothing was written: ENOTLEADER, ELOADING, EBUSY, ENOSPC, ENOQUORUM,
 * EPRODUCERFENCED, ETXNCOORDINATORFENCED. */
int txn_end_here(struct node *node, struct partition *p, const struct txn_end *end,
                 struct txn_ending *ending) TERN_MUST_USE;
/* It will not be told. */
void txn_ending_cancel(struct txn_ending *ending);

/* The coordinator begins to tell the partitions of a prepared transaction. */
void txn_marks_begin(struct coordinator *co, const struct txn *txn);
/* It coordinates no more. */
void txn_marks_drop(struct coordinator *co);
void txn_end_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena);
void txn_end_told(struct node *node, uint32_t from, struct slice head, struct arena *arena);

/* ---- verification (txn_verify.c) --------------------------------------------------------------- */

struct txn_verify {
    struct link link; /* in node_txns.verifies; unlink it to cancel */
    uint64_t seq;
    uint64_t until_ms;
    void (*done)(struct txn_verify *verify, int status, int32_t coordinator_epoch);
};
/* Asks the coordinator; with `add` the place becomes part of the transaction if it is not, and begins
 * it. True: answered at once, in *out_status and *out_epoch; false: `done` will be called, once. */
bool txn_verify_begin(struct node *node, struct txn_verify *verify, const struct txn_who *who,
                      const struct txn_place *place, bool add, int *out_status, int32_t *out_epoch);
/* May places be added by writing to them? */
bool txn_version_2(const struct node *node);
/* Before asking, for txn_verified. */
int64_t txn_marker_at(const struct partition *p, int64_t producer_id);
/* What the answer is worth here, now: not if a newer coordinator was here, or the transaction has ended
 * since it was asked (then ECONCURRENTTXN: ask again). */
int txn_verified(const struct partition *p, int64_t producer_id, int64_t marker_at, int status,
                 int32_t coordinator_epoch);
void txn_verify_asked(struct node *node, uint32_t from, struct slice head, struct arena *arena);
void txn_verify_told(struct node *node, uint32_t from, struct slice head, struct arena *arena);

/* ---- adding (txn_adds.c) ----------------------------------------------------------------------- */

/* Asked by a leader; 0: txn_verify_answer will tell it. EINVALIDREQUEST, ENOCOORDINATOR. */
int txn_add_here(struct node *node, uint32_t from, uint64_t seq, const struct txn_who *who,
                 const struct txn_place *place) TERN_MUST_USE;

/* ---- inner ------------------------------------------------------------------------------------- */

struct node_txns {
    struct node *node;
    uint64_t seq;
    struct link marks;    /* struct txn_mark */
    struct link endings;  /* struct txn_ending */
    struct link verifies; /* struct txn_verify */
    uint32_t ending_count;
    struct link adds;        /* struct txn_add: to be asked for in this turn */
    struct link adds_later;  /* again in TXN_ADD_RETRY_MS */
    struct link add_batches; /* the coordinator has been asked */
    struct link added;       /* to be answered */
    uint32_t add_count;
    struct timer timer;
};
void node_txns_wake(struct node *node, uint64_t after_ms);
void txn_marks_tick(struct node_txns *t, uint64_t now_ms);
void txn_endings_tick(struct node_txns *t);
void txn_verifies_tick(struct node_txns *t, uint64_t now_ms);
void txn_marks_close(struct node_txns *t);
void txn_adds_tick(struct node_txns *t);
void txn_adds_close(struct node_txns *t);
void txn_verify_answer(struct node *node, uint32_t to, uint64_t seq, int status,
                       int32_t coordinator_epoch);
