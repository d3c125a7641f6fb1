/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the quorum's log: raft_log.c opens and answers, raft_log_write.c writes. */
#pragma once

#include "base/error.h"
#include "store/raft_log.h"
#include "store/raft_log_format.h"

#define RAFT_LOG_DIR          "raft"
#define RAFT_LOG_FILE_TMP     "raft/log.tmp"
#define RAFT_LOG_SNAPSHOT_TMP "raft/snapshot.tmp"
#define EXTENTS_MAX           64
#define RAFT_LOG_STEP         (256u << 10) /* the log's file grows by so much */

struct op;

/* Where an entry stands in the log file. */
struct place {
    uint64_t pos;
    uint64_t term;
};

struct raft_log_store {
    struct raft_log_options options;
    struct disk *disk;
    bool failed;
    struct log_meta meta;
    struct disk_file *meta_file;

    /* The log file as far as it has been written: entries base_index + 1 .. + place_count. */
    struct disk_file *file;
    uint64_t base_index;
    uint64_t base_term;
    struct place *places;
    size_t place_count;
    size_t place_cap;
    uint64_t end;    /* where the next frame goes; behind it the file is zero */
    uint64_t length; /* of the file */
    uint64_t synced; /* so many bytes of the file are */
    uint64_t first;  /* of what has been called for */
    uint64_t last;

    struct link ops;
    uint64_t waiting_bytes;
    struct link writing; /* the ops of the write under way */
    bool busy;
    struct disk_op disk_op;
    struct disk_extent extents[EXTENTS_MAX];
    struct buf switch_bytes;
    uint64_t switch_end; /* of its frames; the rest is zero */
    struct disk_file *switch_file;
    struct place *switch_places;
    uint64_t switch_base;
    uint64_t switch_base_term;

    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t snapshot_bytes;
    struct op *snapshotting; /* the switch that follows */
    struct disk_op snapshot_op;
    struct disk_extent snapshot_extent;
    struct buf snapshot_buf;
    struct disk_file *snapshot_file;

    struct buf loaded_bytes;
    struct raft_log_entry *loaded;
    size_t loaded_count;
};

/* Says so once; returns the error. */
int raft_log_fail(struct raft_log_store *log, int error, const char *what);
static inline uint64_t raft_log_written_last(const struct raft_log_store *log)
{
    return log->base_index + log->place_count;
}
int raft_log_meta_write(struct raft_log_store *log) TERN_MUST_USE;
/* The length of a file whose frames end at `end`: there is always room for zeros behind them. */
uint64_t raft_log_length_for(const struct raft_log_store *log, uint64_t end);
/* Frames up to `end` are about to be written: makes room for them. On a full disk the file stays as it is. */
int raft_log_grow(struct raft_log_store *log, uint64_t end) TERN_MUST_USE;
/* Around the rename that puts a new log file of `length` into place: what is known is never more than
 * what is there. */
int raft_log_length_falls(struct raft_log_store *log, uint64_t length) TERN_MUST_USE;
int raft_log_length_is(struct raft_log_store *log, uint64_t length) TERN_MUST_USE;
/* 0 where the log file says nothing about the index. */
uint64_t raft_log_term_at(const struct raft_log_store *log, uint64_t index);
/* Notes the frame at `pos`; false if it does not follow from what is before it. */
bool raft_log_frame_note(struct raft_log_store *log, const uint8_t *frame, uint64_t pos);
void raft_log_ops_free(struct raft_log_store *log);
