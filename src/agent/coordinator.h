/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator of what is kept in one partition of an internal topic: consumer groups
 * (group.h) or transactions (txn.h). Who leads the partition coordinates.
 *
 *          leads, and its HW has reached the initial log       log read
 *   IDLE ------------------------------------------> LOADING ----------> ACTIVE
 *     ^                                                 |                  |
 *     '-------------- another leader, another epoch ----+------------------'
 *                     (all who wait: NOT_COORDINATOR)
 *
 * What the state asks for goes into the partition's log like a produced batch, and is given back to
 * it once the high watermark has passed it: only then is anybody told. All that is asked for in one
 * turn of the loop is one batch.
 *
 * The log is bounded without compaction: when it has grown, and nothing is on its way, the whole
 * committed state is appended, and when that is committed the log start is raised to its beginning.
 * See docs/formats/group-records.md. */
#pragma once

#include "agent/api.h"

#define GROUPS_PARTITIONS    12
#define GROUPS_TIMEOUT_MS    5000 /* for offsets to be committed */
#define GROUPS_BATCH_BYTES   ((size_t)512 << 10)
#define GROUPS_WAITING_BYTES ((uint64_t)32 << 20) /* asked for, not committed; then ELOADING */
#define GROUPS_SNAPSHOT      ((uint64_t)4 << 20)  /* log bytes that make a snapshot worth while */
#define GROUPS_SWEEP_MS      600000               /* between looks for what has expired */

struct coordinator;

/* The producer of a transactional batch. */
struct coordinator_producer {
    int64_t id; /* -1: an ordinary batch */
    int16_t epoch;
};
typedef bool coordinator_emit(void *ctx, struct coordinator_producer producer, struct slice key,
                              struct slice value);

/* What is kept there. All but the last four are needed. */
struct coordinator_kind {
    const char *topic;
    const char *what; /* in events */
    void *(*make)(struct node *node);
    void (*drop)(void *state);
    /* One committed record, in the order of the log, while loading and afterwards. */
    void (*committed)(struct coordinator *co, int64_t offset, struct slice key, struct slice value);
    void (*refused)(struct coordinator *co, struct slice key, int error);
    void (*loaded)(struct coordinator *co);
    void (*give_up)(struct coordinator *co, int error); /* all who wait */
    uint64_t (*wake_ms)(const void *state);
    void (*tick)(struct coordinator *co); /* all that is due */
    bool (*dump)(const void *state, coordinator_emit *emit, void *ctx);
    void (*expire)(struct coordinator *co);
    uint32_t (*count)(const void *state, uint64_t *out_bad_records);
    void (*forget_topics)(struct coordinator *co);
    void (*topics_changed)(struct coordinator *co);
    /* One committed record of a transactional batch; and the end of that transaction. */
    void (*pending)(struct coordinator *co, struct coordinator_producer producer, struct slice key,
                    struct slice value);
    void (*ended)(struct coordinator *co, int64_t producer_id, bool commit);
};
extern const struct coordinator_kind coordinator_groups_kind;
extern const struct coordinator_kind coordinator_txns_kind;

/* ---- from partition.c and node.c -------------------------------------------------------------- */

/* The partition belongs to an internal topic. Once is enough; again is allowed. */
void coordinator_attach(struct partition *p, const char *topic);
/* Its HW, role or epoch may have moved. */
void coordinator_poke(struct partition *p);
/* It is being deleted (all who wait are told), or the node closes (`closing`: nobody is). */
void coordinator_detach(struct partition *p, bool closing);
/* A topic is gone: so is what is kept of it. */
void coordinators_topic_deleted(struct node *node);
/* Topics were made, or have other partitions. */
void coordinators_topics_changed(struct node *node);
/* After the partitions: the reads that are still under way. */
void coordinators_close(struct node *node);

/* ---- for the kinds and their handlers --------------------------------------------------------- */

struct node *coordinator_node(const struct coordinator *co);
struct partition *coordinator_place(const struct coordinator *co);
int32_t coordinator_epoch(const struct coordinator *co);
/* NULL: none of that kind. */
void *coordinator_state(const struct coordinator *co, const struct coordinator_kind *kind);
/* The partition in which an id is kept; -1 while there is no such topic. */
int32_t coordinator_index(const struct node *node, const struct coordinator_kind *kind,
                          struct slice id);
/* That topic, soon; again is allowed (api/10_find_coordinator.c). */
void coordinator_make_topic(struct node *node, const struct coordinator_kind *kind);
/* 0, ENOTCOORDINATOR, ELOADING (also: too much waits; then *out is set). */
int coordinator_find(struct node *node, const struct coordinator_kind *kind, struct slice id,
                     struct coordinator **out);
/* The active ones of a kind here; true if some are still being loaded. */
bool coordinators_of(struct node *node, const struct coordinator_kind *kind,
                     void (*each)(void *ctx, struct coordinator *co), void *ctx);
/* So much waits to be committed that nothing more is taken: ELOADING. */
bool coordinator_full(const struct coordinator *co);
/* Sets the timer anew. After every call that changes something. */
void coordinator_arm(struct coordinator *co);
/* value.base NULL: a tombstone. */
void coordinator_append(struct coordinator *co, struct slice key, struct slice value);
/* All of them in one batch, so that a coordinator that is lost leaves all of them or none; very many
 * may be cut apart, and come in an order that stands that. */
struct coordinator_record {
    struct slice key;
    struct slice value; /* base NULL: a tombstone */
};
void coordinator_append_together(struct coordinator *co, const struct coordinator_record *records,
                                 size_t count);
void coordinator_append_as(struct coordinator *co, struct coordinator_producer producer,
                           struct slice key, struct slice value);
/* The end of a transaction that wrote here, as partition_end_txn does it for other partitions: behind
 * what is being collected. */
int coordinator_mark(struct coordinator *co, const struct chunk *bytes, int64_t number,
                     int64_t *out_end);
bool coordinator_is_active(const struct coordinator *co);
/* Log bytes since the newest snapshot. */
uint64_t coordinator_log_bytes(const struct coordinator *co);

/* Waits until all that was asked for up to now is committed, and this node has thereby been seen to
 * lead after the wait began. `done` is called once, with 0, ENOTCOORDINATOR or ENOCOORDINATOR,
 * never from inside coordinator_wait. */
struct group_wait {
    struct link link;
    void (*done)(struct group_wait *wait, int status);
};
void coordinator_wait(struct coordinator *co, struct group_wait *wait);
