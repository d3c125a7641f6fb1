/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the three files of the quorum's log (docs/formats/raft-log.md). Pure: no I/O. All
 * numbers are little-endian; every checksum is CRC-32C. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/uuid.h"
#include "store/raft_log.h"

#define RAFT_LOG_META     "raft/meta"
#define RAFT_LOG_FILE     "raft/log"
#define RAFT_LOG_SNAPSHOT "raft/snapshot"

#define META_COPY_BYTES       64
#define META_STRIDE           4096 /* from the first copy to the second */
#define LOG_HEADER_BYTES      64
#define SNAPSHOT_HEADER_BYTES 72
#define FRAME_BYTES           40 /* before the entry's own bytes */
#define FRAME_FORGET          0  /* type: entries from its index on are forgotten */

/* `log_bytes`: the log's file is at least so long; 0: not known, as in files of older builds. */
struct log_meta {
    struct uuid id;
    uint64_t term;
    uint64_t vote;
    uint64_t log_bytes;
};

enum meta_state { META_BLANK, META_BAD, META_GOOD, META_UNKNOWN };

void raft_log_meta_encode(const struct log_meta *meta, uint8_t out[META_COPY_BYTES]);
/* META_UNKNOWN: sound, but of the format *out_format. */
enum meta_state raft_log_meta_decode(const uint8_t in[META_COPY_BYTES], struct log_meta *out,
                                     uint32_t *out_format);

/* `initial`: so many bytes, header included, are synced before the file gets its name. */
struct log_header {
    uint64_t base_index;
    uint64_t base_term;
    uint64_t initial;
};

void raft_log_header_encode(struct uuid id, const struct log_header *header,
                            uint8_t out[LOG_HEADER_BYTES]);
int raft_log_header_decode(struct uuid id, struct slice file, struct log_header *out,
                           char why[256]) TERN_MUST_USE;

static inline uint32_t raft_log_frame_len(const uint8_t *frame)
{
    return get_le32(frame);
}

static inline uint64_t raft_log_frame_index(const uint8_t *frame)
{
    return get_le64(frame + 8);
}

static inline uint64_t raft_log_frame_term(const uint8_t *frame)
{
    return get_le64(frame + 16);
}

/* So many bytes of the file were synced when the frame was written. */
static inline uint64_t raft_log_frame_synced(const uint8_t *frame)
{
    return get_le64(frame + 24);
}

static inline uint16_t raft_log_frame_type(const uint8_t *frame)
{
    return get_le16(frame + 32);
}

/* Not sealed yet. */
void raft_log_frame_put(struct buf *out, uint64_t index, const struct raft_log_entry *entry);
/* Fills in mark and checksum of every frame from `at` on. */
void raft_log_frames_seal(struct uuid id, struct buf *frames, size_t at, uint64_t synced);
/* A whole frame with the right sum at `at`? */
bool raft_log_frame_valid(struct uuid id, struct slice file, size_t at);

void raft_log_snapshot_encode(struct uuid id, const struct raft_log_snapshot *snapshot,
                              struct buf *out);
/* The slices point into `file`. */
int raft_log_snapshot_decode(struct uuid id, struct slice file, struct raft_log_snapshot *out,
                             char why[256]) TERN_MUST_USE;

/* Sentences for `why`. */
int raft_log_damaged(char why[256], const char *path, uint64_t pos, const char *what);
int raft_log_refuse_format(char why[256], const char *path, uint32_t format);
