/* SPDX-License-Identifier: Apache-2.0 */
/* The durable half of one quorum member: term and vote, the log, the newest snapshot.
 *
 * Files, all under `raft/` (bytes: docs/formats/raft-log.md): `meta` (two copies of term, vote and
 * log id), `log` (append-only frames), `snapshot`. The last two are replaced as a whole by
 * write + sync + rename + sync of the directory.
 *
 * Appends, truncations and the switch to a new log file after a snapshot are carried out in the
 * order of the calls, one disk operation at a time; appends that wait go out together under one
 * sync. The first failed write or sync ends everything: `failed` is called once, no `done` any
 * more. Knows nothing of libraft. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/disk.h"
#include "base/queue.h"

#define RAFT_LOG_FORMAT          1
#define RAFT_LOG_ENTRY_BYTES_MAX (16u << 20)

struct raft_log_store; /* libraft has a `struct raft_log` of its own */

struct raft_log_options {
    struct disk *disk;
    uint64_t random_high; /* become the log id when the directory is new */
    uint64_t random_low;
    uint64_t step; /* the log's file grows by so many bytes; 0: as usual */
    void (*failed)(void *ctx, int error, const char *what);
    void *ctx;
};

struct raft_log_entry {
    uint64_t term;
    uint16_t type; /* 1..UINT16_MAX, not interpreted */
    struct slice bytes;
};

struct raft_log_snapshot {
    uint64_t index; /* the last entry that it covers; 0: there is none */
    uint64_t term;  /* of that entry */
    uint64_t config_index;
    struct slice config; /* not interpreted */
    struct slice data;   /* not interpreted */
};

/* One append or snapshot under way, embedded in whoever waits. */
struct raft_log_req {
    void (*done)(struct raft_log_req *req); /* durable now; never from inside a call */
    struct link link;                       /* owned by the log while under way */
};

/* Loads everything, clears a torn tail, finishes a snapshot that a crash interrupted. Synchronous.
 * EDAMAGED, EFORMAT, EIO; `why` gets a sentence that names file and place. */
int raft_log_open(const struct raft_log_options *options, struct raft_log_store **out_log,
                  char why[256]) TERN_MUST_USE;
/* No further I/O. No disk op may run on its files any more; waiting reqs are not called. */
void raft_log_close(struct raft_log_store *log);

uint64_t raft_log_term(const struct raft_log_store *log);
uint64_t raft_log_vote(const struct raft_log_store *log); /* 0: none in this term */
/* The entries called for are first..last; last = first - 1 when there are none. */
uint64_t raft_log_first(const struct raft_log_store *log);
uint64_t raft_log_last(const struct raft_log_store *log);
uint64_t raft_log_snapshot_index(const struct raft_log_store *log);
/* True: nothing was ever promised or written here (or a bootstrap did not finish). */
bool raft_log_pristine(const struct raft_log_store *log);
/* Bytes of the three files, and of frames that still wait. */
uint64_t raft_log_bytes(const struct raft_log_store *log);

/* What open has read: entries first..last, borrowed until raft_log_loaded_drop. */
const struct raft_log_entry *raft_log_loaded(const struct raft_log_store *log, size_t *out_count);
void raft_log_loaded_drop(struct raft_log_store *log);
/* Reads and verifies the newest snapshot; its slices point into *out_bytes. ENOENT. Synchronous. */
int raft_log_snapshot_read(struct raft_log_store *log, struct buf *out_bytes,
                           struct raft_log_snapshot *out_snapshot) TERN_MUST_USE;

/* Durable on return. A new term forgets the vote. EIO is final (failed has been called). */
int raft_log_set_term(struct raft_log_store *log, uint64_t term) TERN_MUST_USE;
int raft_log_set_vote(struct raft_log_store *log, uint64_t vote) TERN_MUST_USE;
/* First entry and term 1 of a pristine log; EEXIST if it is not. Durable on return. May be
 * repeated with the same bytes after a crash. */
int raft_log_bootstrap(struct raft_log_store *log, uint16_t type, struct slice bytes) TERN_MUST_USE;

/* Copies the bytes. The first entry gets index last + 1. */
void raft_log_append(struct raft_log_store *log, const struct raft_log_entry *entries, size_t count,
                     struct raft_log_req *req);
/* Forgets entries from `index` on, after what was called before, before what is called later. */
void raft_log_truncate(struct raft_log_store *log, uint64_t index);
/* Stores the snapshot (copied), then begins a new log file that keeps `trailing` entries up to and
 * including snapshot->index and everything above; trailing 0 keeps no entry at all and makes
 * snapshot->index + 1 the next one. One at a time. */
void raft_log_snapshot(struct raft_log_store *log, const struct raft_log_snapshot *snapshot,
                       uint64_t trailing, struct raft_log_req *req);
