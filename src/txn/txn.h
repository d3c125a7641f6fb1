/* SPDX-License-Identifier: Apache-2.0 */
/* The transactions of one partition of the transactions' topic (KIP-98, KIP-360, KIP-890) as a pure
 * machine. Events and time in, effects out; nothing is called back, nothing blocks.
 *
 *              a partition is added          decided, and committed        all partitions marked
 *   EMPTY, COMPLETE_* ------------> ONGOING -----------------------> PREPARE_* ------------> COMPLETE_*
 *
 * What a transactional id is, is a function of the committed records of that partition's log: an
 * event only asks for a record (TXN_APPEND); once it is committed the caller gives it to
 * txns_committed, the same function that loading a log uses, and only then is anybody told. One
 * record of an id is on its way at a time; whoever asks meanwhile is told ECONCURRENTTXN, and comes
 * again. A decision is told to the partitions when it is committed, never before: from then on every
 * coordinator comes to the same end.
 *
 * Time-outs are monotonic; after a change of coordinator they begin anew, so a transaction is never
 * aborted earlier than its producer has asked. Wall time is only for expiry and for people.
 *
 * Whoever waits is a `waiter`, opaque here; it is answered by exactly one effect. Pointers in
 * effects are valid until the next call that takes `struct txns *`. */
#pragma once

#include <uthash.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/queue.h"
#include "base/timer_heap.h"
#include "txn/record.h"

#define TXNS_MAX           50000 /* ids of one partition */
#define TXNS_BYTES_MAX     ((uint64_t)128 << 20)
#define TXN_PARTITIONS_MAX 10000           /* of one transaction */
#define TXN_TIMEOUT_MAX_MS 900000          /* Kafka's transaction.max.timeout.ms */
#define TXN_EPOCH_LAST     (INT16_MAX - 1) /* then another producer id; one more is for fencing */
#define TXN_EXPIRES_MAX    10000           /* of one txns_expire */

struct txns_settings {
    uint64_t retention_ms; /* of ids without use */
};

struct txn_now {
    uint64_t ms; /* monotonic */
    int64_t wall_ms;
};

struct txn_partition {
    UT_hash_handle hh; /* in txn.partitions, by key; in the order of adding */
    bool marked;
    size_t key_len;
    uint8_t key[]; /* partition as be32, then the topic's name */
};
static inline int32_t txn_partition_index(const struct txn_partition *p)
{
    return (int32_t)get_be32(p->key);
}
static inline struct slice txn_partition_topic(const struct txn_partition *p)
{
    return slice_of(p->key + 4, p->key_len - 4);
}

struct txn {
    UT_hash_handle hh; /* in txns.all, by id */
    struct link dead;
    struct buf id;
    struct txn_value now; /* the newest committed; topics are in `partitions` */
    struct txn_partition *partitions;
    uint32_t unmarked;
    int64_t number; /* offset of its newest record: rises, and names its decision to partitions */
    struct timer timer; /* in txns.timers: ONGOING */
    bool pending;       /* a record is on its way */
    void *waiter;       /* who asked for it; NULL: nobody */
};
/* As Kafka calls them: "Empty", "Ongoing", "PrepareCommit" ... */
const char *txn_state_name(enum txn_state state);
static inline bool txn_is_prepared(const struct txn *txn)
{
    return txn->now.state == TXN_PREPARE_COMMIT || txn->now.state == TXN_PREPARE_ABORT;
}

struct txns {
    struct txns_settings settings;
    struct txn *all; /* uthash */
    struct timer_heap timers;
    uint64_t bytes;
    uint64_t bad_records;
    struct link dead;
    bool loaded;
};

/* ---- effects --------------------------------------------------------------------------------- */

enum txn_effect_kind {
    TXN_ANSWER, /* waiter, error; producer_id and epoch of what it does next */
    TXN_APPEND, /* append a record; then txns_committed or txns_refused */
    TXN_MARK,   /* txn is prepared: tell its partitions, until txns_marked of each */
};
struct txn_effect {
    enum txn_effect_kind kind;
    void *waiter;
    int error;
    int64_t producer_id;
    int16_t epoch;
    const struct txn *txn;
    struct buf key; /* APPEND */
    struct buf value;
    bool tombstone;
};
struct txn_out {
    struct txn_effect *effects;
    size_t count;
    size_t cap;
};
void txn_out_fini(struct txn_out *out);

/* ---- life ------------------------------------------------------------------------------------ */

struct txns *txns_new(const struct txns_settings *settings);
void txns_free(struct txns *txns); /* waiters are not answered: see txns_give_up */
/* This node coordinates no more: all who wait are answered with `error`. */
void txns_give_up(struct txns *txns, int error, struct txn_out *out);
/* One committed record at this offset, in the order of the log. Never fails: what it does not know
 * it counts in bad_records. */
void txns_committed(struct txns *txns, struct txn_now now, int64_t offset, struct slice key,
                    struct slice value, struct txn_out *out);
/* A record that was asked for was not appended. */
void txns_refused(struct txns *txns, struct txn_now now, struct slice key, int error,
                  struct txn_out *out);
/* All committed records have been given: what was decided goes on. Once, before any other event. */
void txns_loaded(struct txns *txns, struct txn_now now, struct txn_out *out);

uint64_t txns_wake_ms(const struct txns *txns); /* UINT64_MAX: nothing */
/* One thing that is due; false: nothing was. Carry out the effects between two calls. */
bool txns_tick(struct txns *txns, struct txn_now now, struct txn_out *out);
/* Ids that were not used for the retention time; no record may be on its way. */
void txns_expire(struct txns *txns, struct txn_now now, struct txn_out *out);
/* The state as records. No record may be on its way. False: `emit` said stop. */
bool txns_dump(const struct txns *txns,
               bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx);

/* ---- producers ------------------------------------------------------------------------------- */

struct txn_init {
    void *waiter;
    struct slice id;
    int32_t timeout_ms;
    int64_t producer_id; /* KIP-360: as the producer knows itself; -1: a new one */
    int16_t epoch;
    int64_t fresh_id; /* a producer id that nobody has; -1: none at hand */
};
/* ANSWER: 0; EINVALIDREQUEST, ETXNTIMEOUT, ECONCURRENTTXN, ETXNFENCED, ENOCOORDINATOR. */
void txns_init(struct txns *txns, struct txn_now now, const struct txn_init *init,
               struct txn_out *out);

struct txn_who {
    struct slice id;
    int64_t producer_id;
    int16_t epoch;
};
struct txn_place {
    struct slice topic;
    int32_t partition;
};
/* ANSWER: 0; EINVALIDREQUEST, EPRODUCERMAPPING, ETXNFENCED, ECONCURRENTTXN, ENOCOORDINATOR. */
void txns_add(struct txns *txns, struct txn_now now, void *waiter, const struct txn_who *who,
              const struct txn_place *places, uint32_t count, struct txn_out *out);
/* Is this place part of the open transaction? 0, ETXNSTATE, or as above. Told at once. */
int txns_verify(const struct txns *txns, const struct txn_who *who, const struct txn_place *place);
struct txn_finish {
    void *waiter;
    struct txn_who who;
    bool commit;
    bool raises;      /* transaction.version 2: the next transaction has another epoch */
    int64_t fresh_id; /* of `raises`, if txns_wants_id: a producer id that nobody has; -1: none */
};
/* ANSWER, when the decision is committed: 0, and what the producer is called from now on; ETXNSTATE, or
 * as above. With `raises` an abort of nothing is an end, too. */
void txns_end(struct txns *txns, struct txn_now now, const struct txn_finish *finish,
              struct txn_out *out);
/* The epochs of this id are used up (or nothing is known of it). */
bool txns_wants_id(const struct txns *txns, struct slice id);
/* The decision with this number is in the partition's log, or the partition is gone. */
void txns_marked(struct txns *txns, struct txn_now now, struct slice id, int64_t number,
                 const struct txn_place *place, struct txn_out *out);

const struct txn *txns_find(const struct txns *txns, struct slice id); /* NULL: there is none */
