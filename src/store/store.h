/* SPDX-License-Identifier: Apache-2.0 */
/* Durable state of all partitions of one node: one journal, one segment log per partition.
 *
 * Every write goes to the journal, in the order of the calls, many per fsync; `req->done` follows
 * the fsync that covers it, in that same order. The same bytes go unsynced to the partition's
 * segment file afterwards; checkpoints sync segments and free journal space. Replaying the journal
 * from the last checkpoint is the only recovery.
 *
 * The world is reached through base/disk.h and base/clock.h only. Loop thread only. */
#pragma once

#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/queue.h"
#include "base/uuid.h"

struct store;
struct store_log; /* one partition's log; valid until its delete is done or the store is closed */

struct store_log;

/* What became of the transaction of a record. Known: it can never change any more. */
enum store_fate { STORE_FATE_UNKNOWN, STORE_FATE_COMMITTED, STORE_FATE_ABORTED };

struct store_options {
    uint64_t journal_file_bytes; /* each preallocated and recycled; default 32 MiB */
    uint32_t journal_files_max;  /* at least 2; when all are in use appends wait; default 8 */
    uint64_t segment_bytes;      /* a segment is rolled at this size; default 64 MiB */
    uint64_t reserve_bytes;      /* below this much free space appends are refused */
    uint64_t cache_bytes;        /* recent batches kept in memory for readers; default 16 MiB */
    /* Bytes that are durable in the journal and wait in memory for their segment file; above it the
     * journal takes no more until some are written, so that acks slow down to what the device
     * bears. By at most one group more, and not on a full disk. Default 32 MiB. */
    uint64_t unapplied_bytes;
    /* Batches wait so long in memory for their segment file, if they are few, so that those of a
     * partition go out together; default 500. */
    uint32_t apply_wait_ms;
    uint32_t blocks_from;    /* a segment write of so many bytes is made of whole blocks; 16 KiB */
    uint32_t idle_marker_ms; /* how soon an idle journal records its last sync; default 100 */
    uint32_t checkpoint_ms;  /* at most so long between checkpoints; default 10000 */
    uint64_t scrub_bytes_per_s;   /* how fast stored segments are read through; default 4 MiB */
    uint64_t scrub_pass_ms;       /* at most one pass in so long; default a day; 0: never */
    uint64_t compact_every_ms;    /* how often logs to be compacted are looked for; 0: never */
    uint64_t compact_bytes_per_s; /* how fast compaction reads */
    uint64_t compact_map_bytes;   /* memory for the newest offset of each key */
    /* Damage was found in a log that is open: state.damaged_from has changed. May be NULL. */
    void (*damage)(void *ctx, struct store_log *log);
    void *damage_ctx;
    /* Asked by compaction for each batch of a transaction below the limit of store_compactable: of this
     * producer, from this offset on. NULL: nothing is known of any. */
    enum store_fate (*fate)(void *ctx, struct store_log *log, int64_t producer_id, int64_t offset);
    void *fate_ctx;
    /* Asked by checkpoints for each log: the state of its producers at its end, as for
     * store_producers_save (appended to `out`). False: not known, or too much. NULL: nobody knows. */
    bool (*producers)(void *ctx, struct store_log *log, struct buf *out);
    void *producers_ctx;
    /* A failed write or fsync, or damage where none may be: the process must end, nothing more is
     * acknowledged. Called once. */
    void (*fatal)(void *ctx, int error, const char *what);
    void *fatal_ctx;
};
struct store_options store_defaults(void);

/* The start of an epoch in a log. A log's history ascends in both. */
struct epoch_start {
    int32_t epoch;
    int64_t start_offset;
};

/* What a log holds. The struct belongs to the store and is what has been *called for* (its writes
 * may still be on their way to disk); durable_leo is what has been fsynced. */
struct store_log_state {
    struct uuid topic_id;
    int32_t partition;
    int32_t promised; /* see replication.md; >= synced; 0: none */
    int32_t synced;
    int64_t log_start;
    int64_t leo;         /* log end offset */
    int64_t durable_leo; /* <= leo */
    uint64_t bytes;      /* from log start to leo, as stored */
    const struct epoch_start *history;
    size_t history_count;
    bool truncating; /* a store_truncate is under way: no append until it is done */
    /* First record whose bytes are known to be damaged; INT64_MAX: none. Its epoch and place are
     * known, it counts as held; store_repair fills it. Nothing damaged is ever read. */
    int64_t damaged_from;
};

/* What a topic's configs ask of each of its logs, in Kafka's words. In memory only: the owner gives
 * them again after each start (store_configure). */
#define LOG_DELETE  1u /* cleanup.policy */
#define LOG_COMPACT 2u
struct log_settings {
    uint32_t cleanup_policy;      /* LOG_DELETE, LOG_COMPACT or both */
    int64_t retention_ms;         /* -1: for ever */
    int64_t retention_bytes;      /* -1: no bound */
    uint64_t segment_bytes;       /* a segment is rolled at this size; 0: as store_options say */
    uint64_t segment_ms;          /* or at this age; 0: never */
    uint64_t delete_retention_ms; /* tombstones stay readable for so long */
    uint64_t min_compaction_lag_ms;
    uint64_t max_compaction_lag_ms;
    double min_cleanable_ratio; /* 0..1 */
};
/* Kafka's defaults; but a log nobody has configured deletes nothing: retention is off. */
struct log_settings log_settings_default(void);

/* One write that waits for its fsync, embedded in its owner. */
struct store_req {
    void (*done)(struct store_req *req, int status);
    struct link link; /* owned by the store while waiting */
    uint64_t group;   /* owned by the store */
};

/* Replays; afterwards every log is listed. Damaged records are only marked (store_damage_at); where
 * the journal cannot tell any more what was promised, it is believed up to there: store_forgotten.
 * EFORMAT, EDAMAGED, EIO; `why` gets a sentence that names file and position. Synchronous. */
int store_open(struct disk *disk, struct clock *clock, const struct store_options *options,
               struct store **out_store, char why[256]) TERN_MUST_USE;
/* Gives everything back without further I/O (as a crash would); waiting reqs are not called.
 * No disk op may be under way any more: the caller has stopped the disk. */
void store_close(struct store *store);
/* Syncs what waits, writes a checkpoint, then calls done: for a clean stop. */
void store_flush(struct store *store, struct store_req *req);

/* The journal was damaged where more than records were lost: what is here is as good as an old copy
 * of the disk. Stays true over restarts until store_forgotten_told. */
bool store_forgotten(const struct store *store);
/* The caller has stored elsewhere that this disk has forgotten. Synchronous. */
int store_forgotten_told(struct store *store) TERN_MUST_USE;

void store_each(struct store *store, void (*each)(void *ctx, struct store_log *log), void *ctx);
/* NULL if there is no such log. */
struct store_log *store_find(struct store *store, struct uuid topic_id, int32_t partition);
const struct store_log_state *store_state(const struct store_log *log);
/* From the next append on; call it as often as they change. */
void store_configure(struct store_log *log, const struct log_settings *settings);
const struct log_settings *store_settings(const struct store_log *log);
/* False while the disk is below its reserve; appends are then refused by the caller. */
bool store_writable(const struct store *store);
/* For how long the journal write that is under way has been so, or the one to segments that the
 * journal waits for; 0: none is. */
uint64_t store_write_age_ms(const struct store *store);

/* Damaged ranges in all logs. */
uint32_t store_damaged(const struct store *store);

/* The largest batch that store_append takes: a quarter of journal_file_bytes. Nodes of one cluster
 * need the same, and must refuse larger batches before they get here. */
uint64_t store_batch_max(const struct store *store);
/* Bytes in memory because the disk is behind: called for and not yet fsynced, or for long not yet
 * in their segment files. The caller bounds it: it stops appending above a limit of its own. */
uint64_t store_backlog_bytes(const struct store *store);

/* ---- writes ---------------------------------------------------------------------------------- */
/* All of these may pass req = NULL ("nobody waits"). */

/* A new, empty log that starts at offset 0. The log may be used at once. A tombstone of the same
 * topic id and partition hands its promise on. There must be no such log yet. */
struct store_log *store_create(struct store *store, struct uuid topic_id, int32_t partition,
                               struct store_req *req);
/* One whole record batch, base offset (== leo) and leader epoch already patched in, at most
 * store_batch_max bytes. Keeps a reference of its own. */
void store_append(struct store_log *log, struct chunk batch, struct store_req *req);
/* Raises `promised`; lower or equal values are allowed and change nothing (req is still called). */
void store_promise(struct store_log *log, int32_t epoch, struct store_req *req);
/* Sets `synced` (and raises promised to it). Ordered after every write called before. */
void store_synced(struct store_log *log, int32_t epoch, struct store_req *req);
/* Cuts the log to `offset` (>= log_start, <= leo; one inside a batch cuts the whole batch). Unless
 * `committed_elsewhere` the bytes are first written durably to a quarantine file named by
 * partition, epochs and offsets, in the background; store_state shows the cut once they are safe. A
 * full disk makes this wait, not fail. Raises `truncating` until req is called: no append and no
 * other cut meanwhile; store_synced and store_log_start are taken, and are carried out after the
 * cut. EDAMAGED: the place of the cut cannot be found, nothing has changed. */
void store_truncate(struct store_log *log, int64_t offset, bool committed_elsewhere,
                    struct store_req *req);
/* Everything is dropped and the log begins anew at `offset` (a follower behind the log start).
 * `producers` (copied; at most store_batch_max / 2; empty: none) is a producer snapshot for `offset` that
 * becomes durable with it, or not at all. Otherwise as store_truncate. */
void store_restart(struct store_log *log, int64_t offset, bool committed_elsewhere,
                   struct slice producers, struct store_req *req);
/* Raises the log start; whole segments below it are deleted later. */
void store_log_start(struct store_log *log, int64_t offset, struct store_req *req);
/* Removes log and files; `promised` stays as a tombstone of the topic id (store_tombstone). The
 * pointer dies when req is called (req must not be NULL). */
void store_delete(struct store_log *log, struct store_req *req);
/* The promise of a deleted log of this topic id and partition; 0 if there is none. */
int32_t store_tombstone(const struct store *store, struct uuid topic_id, int32_t partition);

/* Small durable values of the node itself (at most 64 keys of 16 KiB): local ledger and the like.
 * Journaled like everything else; an empty value removes the key. */
void store_note_put(struct store *store, uint32_t key, struct slice value, struct store_req *req);
struct slice store_note_get(const struct store *store, uint32_t key);

/* ---- reads ----------------------------------------------------------------------------------- */

/* Whole batches from the one that contains `offset` up to, not including, the first batch whose
 * base offset is >= `limit`; at most max_bytes, but at least one batch if there is one. Reads see
 * everything below leo, also what is not durable yet: the caller chooses `limit`. */
struct store_read {
    struct store_log *log;
    int64_t offset;
    int64_t limit;
    size_t max_bytes;
    bool once; /* nobody else is likely to want it: past the page cache */
    void (*done)(struct store_read *read);
    /* Results. EOUTOFRANGE below log_start or above leo; EDAMAGED: the first batch is; EIO. */
    int status;
    struct chunk *chunks; /* each holds one or more whole batches; in order, no gaps */
    size_t chunk_count;
    size_t bytes;
    void *impl; /* owned by the store while under way */
};
/* From here on the log's batches are in memory: reads need no disk. */
int64_t store_recent_start(const struct store_log *log);
/* True: finished already (`done` is not called). False: `done` will be called. If the log is
 * truncated or deleted meanwhile, status is ECANCELED. */
bool store_read(struct store_read *read);
void store_read_fini(struct store_read *read); /* drops the chunks */

/* ---- damage and repair ----------------------------------------------------------------------- */

struct store_damage {
    int64_t offset; /* first record that is missing */
    int64_t end;    /* behind the last one */
    int32_t epoch;  /* of the first one */
    uint64_t bytes; /* of all of them; UINT64_MAX: not known */
};
/* The first range that ends above `offset` and that no repair has been called for yet. */
bool store_damage_at(const struct store_log *log, int64_t offset, struct store_damage *out);
/* One whole batch, the first that is missing of such a range, as another replica holds it. It
 * counts when req is done. EREFUSED: it is not that batch (epoch, offset, length or checksum);
 * EBUSY: not now. Takes a reference of its own; req is only taken with 0. */
int store_repair(struct store_log *log, struct chunk batch, struct store_req *req) TERN_MUST_USE;

/* First batch whose max timestamp is >= timestamp_ms: its base offset and max timestamp, or
 * offset -1 if there is none. Synchronous (index, then one batch scan). */
int store_find_time(struct store_log *log, int64_t timestamp_ms, int64_t *out_offset,
                    int64_t *out_timestamp_ms) TERN_MUST_USE;

/* First batch with the largest timestamp, or offset -1. As quick, some forty times that behind a cut. */
int store_find_newest(struct store_log *log, int64_t *out_offset,
                      int64_t *out_timestamp_ms) TERN_MUST_USE;

/* The log start that retention by time and size asks for; never above `limit` (the HW), only at
 * segment boundaries, by time also at the end of the one that is written to. -1 disables a rule. */
int64_t store_retention_start(struct store_log *log, int64_t wall_ms, int64_t retention_ms,
                              int64_t retention_bytes, int64_t limit);

/* How far compaction (settings: LOG_COMPACT) may look, known to whoever knows what is committed: a
 * record below `limit` may make older ones of its key go, and a tombstone below `tombstones` may go
 * itself once its time has passed. Neither is ever above what every later leader holds. Only ever
 * raised, until a cut; forgotten with the process. Sealed segments are rewritten in the background;
 * offsets stay, batches keep their headers, the last record of each key stays, and so do markers of
 * transactions. Records of aborted ones go; those of which nothing is known (options.fate) stay and
 * make nothing go. */
void store_compactable(struct store_log *log, int64_t limit, int64_t tombstones);
/* Everything below was compacted. */
int64_t store_compacted_to(const struct store_log *log);

/* Producer state at `offset`, opaque here: saved now and then beside the segments, so that it need not
 * be rebuilt from the log's start, and before that is raised, since then it cannot be. req is called with
 * 0 when it is durable, with ENOSPC when it could not be stored, and not at all if the log is deleted
 * first. Older ones go down to the newest that is at or below `committed`; a truncation removes those
 * above the cut. Not while it is being cut. */
void store_producers_save(struct store_log *log, int64_t offset, int64_t committed,
                          struct slice bytes, struct store_req *req);
/* Newest snapshot with offset <= `at_most`, or what a checkpoint was told; true and its offset and bytes
 * (appended to out). */
bool store_producers_load(struct store_log *log, int64_t at_most, int64_t *out_offset,
                          struct buf *out);

/* ---- what people ask ------------------------------------------------------------------------- */

struct store_counters {
    uint64_t fsyncs; /* journal groups made durable */
    uint64_t frames; /* journal records written */
    uint64_t bytes;  /* journal bytes written */
    uint64_t checkpoints;
    uint64_t fsync_us_sum;
    uint64_t held; /* times that the journal waited for segments */
    uint64_t quarantined_bytes;
    uint64_t journal_used_bytes;
    uint64_t damage_found;    /* ranges, since the start */
    uint64_t damage_open;     /* ranges that are damaged now */
    uint64_t damage_repaired; /* batches written anew */
    uint64_t scrubbed_bytes;
    uint64_t scrub_passes;
    uint64_t compactions; /* passes over a log */
    uint64_t compact_read_bytes;
    uint64_t compact_freed_bytes;
    uint64_t compact_dropped; /* records taken out */
};
void store_counters(const struct store *store, struct store_counters *out);

struct store_quarantined {
    struct uuid topic_id;
    int32_t partition;
    int32_t first_epoch;
    int32_t last_epoch;
    int64_t first_offset; /* of records */
    int64_t end_offset;
    uint64_t records;
    uint64_t bytes;
    int64_t wall_ms;
    char path[256];
};
void store_quarantine_each(struct store *store,
                           void (*each)(void *ctx, const struct store_quarantined *q), void *ctx);
