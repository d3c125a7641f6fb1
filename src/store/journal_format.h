/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the journal: sectors, groups, frames. Pure. docs/formats/journal.md has the drawing.
 *
 * A group is a run of whole 4 KiB blocks, made of 512-byte sectors. Each sector ends in a stamp:
 * which life of the file (sequence), which process start (run) and which group it belongs to, and a
 * checksum over all that, the journal's id and the sector's place. One place is written at most
 * once per (sequence, run), so every sector tells by itself whether it is of the group being looked
 * at, older (never written by it) or damaged. That is how a torn write is told from damage without
 * relying on the order in which a device persists sectors. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/uuid.h"

#define JOURNAL_FORMAT           1
#define JOURNAL_SECTOR           512u
#define JOURNAL_STAMP            16u
#define JOURNAL_PAYLOAD          (JOURNAL_SECTOR - JOURNAL_STAMP)
#define JOURNAL_BLOCK            4096u
#define JOURNAL_GROUP_HEADER     32u
#define JOURNAL_FRAME_HEADER     12u
#define JOURNAL_SECTOR_PER_BLOCK (JOURNAL_BLOCK / JOURNAL_SECTOR)
#define JOURNAL_GROUP_MAGIC      0x31474a54u /* "TJG1" */
#define DIRECTORY_MAGIC          0x44474a54u /* "TJGD" */
#define DIRECTORY_HEADER         (8 + JOURNAL_GROUP_HEADER + 4)

struct journal_stamp {
    uint32_t sequence;
    uint32_t run;
    uint32_t group; /* low 32 bits of the group number */
};

enum sector_state {
    SECTOR_EMPTY, /* zeros: never written */
    SECTOR_VALID, /* as some (sequence, run) wrote it */
    SECTOR_BAD,   /* damaged */
};

/* The seed of all checksums of one journal. */
uint32_t journal_seed(struct uuid journal_id);
/* `index` is the sector's place in its file. */
enum sector_state journal_sector_check(const uint8_t *sector, uint32_t seed, uint32_t index,
                                       struct journal_stamp *out_stamp);

struct journal_group {
    uint64_t number;
    uint64_t synced; /* groups up to this one are known to be synced */
    uint32_t sectors;
    uint32_t frame_bytes;
};

/* Whole size on disk of a group whose frames take `frame_bytes`. */
static inline size_t journal_group_size(size_t frame_bytes)
{
    size_t sectors = (JOURNAL_GROUP_HEADER + frame_bytes + JOURNAL_PAYLOAD - 1) / JOURNAL_PAYLOAD;
    size_t blocks = (sectors + JOURNAL_SECTOR_PER_BLOCK - 1) / JOURNAL_SECTOR_PER_BLOCK;
    return blocks * JOURNAL_BLOCK;
}

/* Lays out one group (and before it the file's header block, if it opens a file) in `out`. */
struct group_writer {
    struct buf *out;
    uint32_t seed;
    uint32_t first_sector; /* place in the file of out's first byte */
    struct journal_stamp stamp;
    size_t group_at;  /* where the group begins in out */
    size_t at;        /* next payload byte */
    size_t left;      /* in this sector's payload */
    size_t keep_at;   /* the directory's first sector; 0: there is none */
    uint32_t stamped; /* sectors of out that are finished */
};

void group_begin(struct group_writer *w, struct buf *out, uint32_t seed, uint32_t first_sector,
                 struct journal_stamp stamp);
/* Puts the file's header block first. Only directly after group_begin. */
void group_file_header(struct group_writer *w, struct uuid journal_id, uint32_t file_index);
/* Room for frames of exactly `frame_bytes`; then group_put until they are full; then group_end. */
void group_open(struct group_writer *w, const struct journal_group *group);
void group_put(struct group_writer *w, struct slice bytes);
/* A second copy of what tells the frames apart, where the padding has room for it: then no single
 * lost sector makes the group unreadable. `items` are those of directory_put. */
void group_directory(struct group_writer *w, const struct journal_group *group, struct slice items);
void group_end(struct group_writer *w);

#define DIRECTORY_PREFIX 61u /* of each frame's body: a batch's header */
/* Adds one frame: its header and the first bytes of its body. */
void directory_put(struct buf *items, struct slice frame_header, struct slice body);

/* The group header in a valid first sector; false if this sector begins no group. */
bool journal_group_read(const uint8_t *sector, struct journal_group *out);
/* Gathers the frames of a whole group of valid sectors into `out`. */
void journal_group_gather(const uint8_t *sectors, const struct journal_group *group,
                          struct buf *out);
/* The header block's first sector: its format version, or 0 if it is none of ours. */
uint32_t journal_file_format(const uint8_t *sector);

enum frame_type {
    FRAME_CREATE = 1,
    FRAME_APPEND = 2,
    FRAME_PROMISE = 3,
    FRAME_SYNCED = 4,
    FRAME_TRUNCATE = 5,
    FRAME_RESTART = 6,
    FRAME_LOG_START = 7,
    FRAME_DELETE = 8,
    FRAME_NOTE = 9,
    FRAME_DAMAGE = 10,  /* a range of a segment is not readable */
    FRAME_REPAIR = 11,  /* a batch that fills such a range from its front */
    FRAME_COMPACT = 12, /* a cleaned file takes the place of segments */
};
#define FRAME_FLAG_ROLL 1u /* append: begins a new segment */

/* A group of which some sectors are lost. */
struct journal_mended {
    struct journal_group group;
    struct journal_stamp stamp;
    struct buf frames;
    struct buf known; /* one byte for each of frames: not 0, if it is as it was written */
};
/* `bytes` is the rest of a file, from the first sector of a group on, which has this number in the
 * life `sequence` and was written by `run` or a later one. False: where its frames begin and end
 * cannot be told. journal_mended_fini in any case. */
bool journal_mend(struct slice bytes, uint32_t seed, uint32_t first_sector,
                  const struct journal_stamp *least, struct journal_mended *out);
void journal_mended_fini(struct journal_mended *mended);

struct frame {
    enum frame_type type;
    uint8_t flags;
    uint32_t log; /* number of the log, or key of the note */
    struct slice body;
};
void frame_header_put(uint8_t out[JOURNAL_FRAME_HEADER], const struct frame *frame);

struct reader;
/* 0, EMALFORMED, or EFORMAT for a type that this build does not know. */
int frame_next(struct reader *in, struct frame *out) TERN_MUST_USE;
