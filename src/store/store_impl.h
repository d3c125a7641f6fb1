/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room know of each other. Nobody outside includes it.
 *
 * The life of a write: store.c changes the called-for state and pushes an entry to `pending`;
 * journal.c moves entries to `group`, writes and fsyncs them as one write group, completes their
 * reqs, and hands what concerns segment files to `unapplied`; apply.c writes those to the segment
 * files, in the same order. A marker entry carries a snapshot of the state at its place in that
 * order; once it has been applied, checkpoint.c may make it the checkpoint. */
#pragma once

#include <uthash.h>

#include "base/mutant.h"
#include "store/batch_peek.h"
#include "store/journal_format.h"
#include "store/store.h"

#define STORE_NOTES_MAX      64
#define STORE_NOTE_BYTES_MAX 16384
#define JOURNAL_FILES_MAX    64
#define JOURNAL_GROUP_MAX    (8u << 20)
#define SEGMENT_FORMAT       1
#define SEGMENT_BYTES_MAX    (1u << 30) /* index positions are 32 bits wide */
#define SEGMENT_HEADER       64u        /* batches begin here */
#define SEGMENT_INDEX_EVERY  16384u
#define STORE_PATH_MAX       256
#define STORE_WHY_MAX        256

/* A batch that begins at `pos`. */
struct index_entry {
    uint32_t offset_delta; /* from the segment's base */
    uint32_t pos;
    int64_t max_before_ms; /* largest timestamp of all batches of the segment before this one */
};

#define SEGMENT_DAMAGE_MAX 8          /* ranges; when there are more, neighbours become one */
#define DAMAGE_OPEN        UINT64_MAX /* length that nobody knows: the segment ends with the range */

/* Bytes of a segment that are not what was written there: those of the batches [offset, end), which
 * begin at `pos`. Shrinks from its front as it is filled: first as called for, then as written. */
struct damage {
    int64_t offset;
    int64_t end;
    uint64_t pos;
    uint64_t len;
    int64_t filled; /* repairs up to here are called for; offset <= filled <= end */
    uint64_t filled_pos;
};

struct segment {
    struct store *store;
    struct store_log *log; /* for its path; gone once the segment is doomed */
    int64_t base;
    int64_t end;
    uint64_t bytes;           /* where the next batch goes; header included */
    int64_t max_timestamp_ms; /* upper bound; exact unless cut */
    /* The index describes [SEGMENT_HEADER, covered); the rest is found by reading the file. */
    struct index_entry *index;
    uint32_t index_count;
    uint32_t index_cap;
    uint64_t covered;
    int64_t covered_end; /* offset at `covered` */
    int64_t covered_max_ms;
    struct disk_file *file; /* NULL: not open */
    struct link lru;        /* in store->open_segments while open and in no op */
    struct link dirty;      /* in store->dirty_segments while written and not synced */
    struct tail *tail;      /* of the last block that was written; NULL: not kept */
    uint32_t pins;          /* ops under way */
    bool header_seen;       /* the file's header has been checked */
    bool index_tried;       /* its index file need not be looked for (again) */
    struct damage *damage;  /* ascending, apart from each other */
    uint32_t damage_count;
    bool doomed;         /* removed; freed with the last pin */
    uint32_t generation; /* of the file that a cleaner wrote, part of its name; 0: none did */
    int64_t horizon_ms;  /* from then on a tombstone of it may go; INT64_MAX: none is known */
    uint64_t opened_ms;  /* wall clock of its first append in this process; 0: none yet */
    /* A batch begins at mark_pos, of offset mark_offset: where the checkpoint ended, or a read. Whoever
     * goes on there needs no index. 0: not known. */
    uint64_t mark_pos;
    int64_t mark_offset;
};

enum entry_kind {
    ENTRY_NOTHING, /* only a req that waits for what was called before */
    ENTRY_CREATE,
    ENTRY_APPEND,
    ENTRY_PROMISE,
    ENTRY_SYNCED,
    ENTRY_TRUNCATE,
    ENTRY_RESTART,
    ENTRY_LOG_START,
    ENTRY_DELETE,
    ENTRY_NOTE,
    ENTRY_DAMAGE,
    ENTRY_REPAIR,
    ENTRY_COMPACT,
    ENTRY_MARKER,
};

struct snapshot;

/* One write on its way through the pipeline; an append stays on as a cached batch. */
struct entry {
    struct link link;       /* pending, group, unapplied or applying */
    struct link cache_link; /* store->cache while in its log's ring */
    struct store_log *log;
    struct store_req *req;
    struct chunk bytes; /* append, repair: the batch; note: the value; compact, restart: the frame's
                           body */
    int64_t offset;     /* append, repair: base offset; else the argument */
    int64_t end;        /* append, repair: next offset */
    struct segment *segment;
    uint64_t pos;
    uint32_t number; /* epoch, or key of a note */
    enum entry_kind kind;
    int status; /* for req, unless the write itself fails */
    bool roll;
    bool in_pipeline;
    struct segment **doomed; /* truncate, restart, log start, delete: files to remove */
    size_t doomed_count;
    struct snapshot *snapshot; /* marker */
    uint64_t len;              /* damage: bytes */
};

struct log_key {
    struct uuid topic_id;
    int32_t partition;
};

/* What the roster says of a log. */
struct roster_entry {
    int64_t offset;
    int32_t epoch;      /* of the record before */
    struct slice bytes; /* in store.roster; empty: nothing */
};

struct store_log {
    struct store_log_state state; /* first: store_state hands it out */
    struct store *store;
    struct log_settings settings;
    uint32_t number; /* names the log in the journal; never reused */
    struct log_key key;
    UT_hash_handle hh;
    UT_hash_handle by_number;
    struct epoch_start *history; /* what state.history points to */
    size_t history_cap;
    struct segment **segments;
    uint32_t segment_count;
    uint32_t segment_cap;
    /* Recent batches in memory, oldest first: everything that is not in a segment file yet and,
     * as long as the cache holds it, more. */
    struct entry **ring;
    uint32_t ring_head;
    uint32_t ring_count;
    uint32_t ring_cap; /* a power of two */
    struct link reads; /* struct read_job */
    struct link dirty_dir;
    struct cut *cut;       /* a truncation whose bytes are being saved */
    uint32_t damage_count; /* ranges in all segments */
    struct roster_entry roster;
    int64_t snapshot_at; /* no snapshot file of producers has a higher offset */
    bool dir_made;
    bool deleted;
    /* compact.c */
    int64_t cleaned_to;  /* below it no two records of a key are left; dirty from there on */
    int64_t clean_limit; /* as the caller told last; nothing from there on is looked at */
    int64_t tombstone_limit;
    uint32_t cuts; /* counts what takes batches away at the end: a cleaner begins anew */
};

struct tombstone {
    struct log_key key;
    int32_t promised;
    UT_hash_handle hh;
};

struct note {
    uint32_t key;
    struct buf value; /* empty: unused */
};

#define JOURNAL_POS_END UINT64_MAX /* the next group begins the file of the next sequence */

/* A position between two groups. */
struct journal_place {
    uint32_t sequence; /* 0: before the first file */
    uint64_t pos;
    uint64_t group; /* number of the group that begins here */
};

struct journal_file {
    struct disk_file *file;
    uint64_t bytes;
    uint64_t found;    /* length at the start; it may have been filled up since */
    uint32_t sequence; /* 0: free */
};

struct journal {
    struct uuid id;
    uint32_t seed;
    uint32_t run;
    struct journal_file files[JOURNAL_FILES_MAX];
    uint32_t file_count;
    uint32_t known_count; /* of these files the run file says that they are there, */
    uint64_t known_bytes; /* and at least so long; 0: it does not say */
    uint32_t current;     /* index of the file being written; meaningful if at.sequence > 0 */
    struct journal_place at;
    struct buf buf;   /* the group in flight */
    struct buf items; /* of its directory */
    struct disk_op op;
    struct disk_extent extent;
    bool busy;
    bool marker_due;  /* the last group is not an idle marker */
    bool waiting;     /* no room: a checkpoint or a new file must come first */
    uint64_t held_us; /* since when entries wait because segments are behind; 0: they don't */
    uint64_t submitted_us;
    uint64_t since_marker; /* bytes called for, and lost to padding, since the last snapshot */
    /* A further file being filled with zeros. */
    struct disk_op grow_op;
    struct disk_extent *grow_extents;
    struct buf grow_zeros;
    struct disk_file *grow_file;
    bool growing;
    bool grow_failed;
};

struct snapshot {
    struct buf bytes;
    struct buf roster;  /* empty: there is none */
    bool roster_is_new; /* nothing in it is from the one before */
    struct journal_place place;
    struct link reqs;
};

enum checkpoint_step {
    CHECKPOINT_IDLE,
    CHECKPOINT_SEGMENTS, /* syncing segment files */
    CHECKPOINT_NAMES,    /* syncing directories with new segment files */
    CHECKPOINT_ROSTER,   /* writing and syncing the new roster */
    CHECKPOINT_WRITE,    /* writing and syncing the new file */
    CHECKPOINT_RENAME,   /* syncing its new name */
};

#define CHECKPOINT_SYNCS_MAX 1024 /* files in one DISK_SYNC: many together are cheap */

struct checkpoint {
    enum checkpoint_step step;
    struct snapshot *ready;  /* newest that is completely applied */
    struct snapshot *active; /* being written */
    struct link dirty;       /* segments to sync for it */
    struct link dirs;        /* store_log.dirty_dir: directories to sync for it */
    bool topics_dir;         /* and topics/ itself */
    struct segment *pinned[CHECKPOINT_SYNCS_MAX];
    struct disk_file *files[CHECKPOINT_SYNCS_MAX];
    uint32_t file_count; /* of files: segments (pinned), directories, or the root */
    struct disk_op op;
    struct disk_extent extent;
    struct disk_file *file; /* roster.new, checkpoint.new */
    uint64_t last_us;
    bool wanted;
    uint64_t frames_marked;     /* counters.frames that a next timed checkpoint asks for */
    struct journal_place place; /* of the checkpoint on disk */
};

struct store {
    struct disk *disk;
    struct clock *clock;
    struct store_options options;
    struct store_log *logs;
    struct store_log *logs_by_number;
    struct tombstone *tombstones;
    struct note notes[STORE_NOTES_MAX];
    uint32_t next_number;
    struct link pending;
    struct link group;
    struct link unapplied;
    struct link applying;
    uint64_t pending_bytes; /* of frames in pending */
    uint64_t group_bytes;   /* of frames in group */
    struct entry *free_entries;
    uint32_t free_entry_count;
    struct link cache; /* entries in rings, oldest first */
    uint64_t cache_used;
    struct link open_segments; /* that no op uses, least recently used first */
    uint32_t open_count;
    struct link saves; /* struct producers_save */
    struct buf roster; /* as it was read at the start, until there is a newer one */
    uint32_t save_count;
    struct link dirty_segments;
    struct link dirty_dirs;
    struct link canceled_reads; /* struct read_job: their op is still under way */
    bool topics_dir_dirty;
    struct disk_op apply_op;
    struct disk_extent *apply_extents; /* three for each entry: itself, what is before and behind */
    struct entry **apply_entries;      /* of the write under way, by segment and place */
    size_t apply_count;
    size_t apply_cap;
    uint64_t apply_us; /* when the last write was submitted */
    bool apply_busy;
    bool apply_due;            /* the timer says so */
    uint64_t unapplied_bytes;  /* of appends in unapplied */
    uint32_t unapplied_others; /* entries in unapplied that are no appends */
    struct timer apply_timer;
    bool apply_full; /* a segment write failed with ENOSPC: retried by the space timer */
    bool below_reserve;
    struct journal journal;
    struct checkpoint checkpoint;
    struct timer kick_timer;
    struct timer idle_timer;
    struct timer space_timer;
    struct timer checkpoint_timer;
    struct store_counters counters;
    struct link cuts;        /* struct cut, waiting or copying */
    struct link cuts_named;  /* those whose file has its name */
    struct link cuts_naming; /* those whose name is being synced */
    struct disk_file *cuts_dir;
    struct disk_op cuts_op;
    uint32_t cuts_running;
    bool cuts_full; /* ENOSPC: retried by the space timer */
    struct scrub *scrub;
    struct compactor *compactor;
    bool opening;
    bool forgotten; /* the journal has lost what tells what was promised */
    bool failed;
};

/* ---- store.c --------------------------------------------------------------------------------- */
struct entry *entry_new(struct store *store, enum entry_kind kind, struct store_log *log,
                        struct store_req *req);
/* Gives back what it holds, its place in the pool too. It is in no list any more. */
void entry_free(struct store *store, struct entry *entry);
void pending_push(struct store *store, struct entry *entry);
/* Completes req (if any) in its turn, without a frame of its own. */
void push_nothing(struct store *store, struct store_req *req, int status);
void log_truncate_now(struct store_log *log, int64_t offset, uint32_t index, uint64_t pos,
                      struct store_req *req);
/* Takes `body`, of its frame. */
void log_restart_now(struct store_log *log, int64_t offset, struct chunk body,
                     struct store_req *req);
/* The producer snapshot in an ENTRY_RESTART; empty: none. */
static inline struct slice restart_given(const struct entry *entry)
{
    return entry->bytes.len > 8 ? slice_of(entry->bytes.base + 8, entry->bytes.len - 8)
                                : (struct slice){0};
}
void move_links(struct link *from, struct link *to);
size_t entry_frame_bytes(const struct entry *entry);
/* The process cannot go on: told once, then nothing is acknowledged any more. */
void store_fail(struct store *store, int error, const char *what);
struct note *note_find(struct store *store, uint32_t key, bool create);
void tombstone_set(struct store *store, const struct log_key *key, int32_t promised);
void tombstone_drop(struct store *store, const struct log_key *key);

/* ---- log.c: the called-for state of one log -------------------------------------------------- */
struct store_log *log_new(struct store *store, struct uuid topic_id, int32_t partition,
                          uint32_t number);
/* Out of the tables; entries in the pipeline may still point to it. */
void log_unlist(struct store_log *log);
void log_free(struct store_log *log);
struct store_log *log_by_number(struct store *store, uint32_t number);
void log_history_push(struct store_log *log, int32_t epoch, int64_t start);
struct segment *log_segment_push(struct store_log *log, int64_t base);
struct segment *log_active(struct store_log *log);
bool log_wants_roll(struct store_log *log, size_t batch_len);
/* Extends the state by one batch and says where it goes. */
void log_extend(struct store_log *log, const struct batch_peek *batch, bool roll,
                struct segment **out_segment, uint64_t *out_pos);
/* Is anything of the segment left when it is cut there? */
bool log_cut_keeps(const struct segment *segment, int64_t offset, uint64_t pos);
/* Cuts to `offset`, which is at `pos` of segment `index`. Removed segments go to `entry`. */
void log_cut(struct store_log *log, int64_t offset, uint32_t index, uint64_t pos,
             struct entry *entry);
void log_restart(struct store_log *log, int64_t offset, struct entry *entry);
void log_raise_start(struct store_log *log, int64_t offset, struct entry *entry);
void log_drop_all(struct store_log *log, struct entry *entry);
/* `count` segments from `index` on give way to one that holds the same offsets. */
void log_replace(struct store_log *log, uint32_t index, uint32_t count, struct segment *segment,
                 struct entry *entry);
void ring_drop_below(struct store_log *log, int64_t offset);
void log_count_bytes(struct store_log *log);
void ring_push(struct store_log *log, struct entry *entry);
/* Index in the ring of the first entry whose end is above offset; ring_count if none. */
uint32_t ring_find(const struct store_log *log, int64_t offset);
struct entry *ring_at(const struct store_log *log, uint32_t index);
/* Drops cached batches above the budget. */
void cache_trim(struct store *store);
/* Index of the segment that holds `offset`; segment_count if none. */
uint32_t log_segment_of(const struct store_log *log, int64_t offset);
/* Where the batch that contains `offset` begins. */
int log_locate(struct store_log *log, int64_t offset, uint32_t *out_index, uint64_t *out_pos,
               int64_t *out_base) TERN_MUST_USE;

/* ---- damage.c: what is not readable ----------------------------------------------------------- */
/* The epoch that the record at `offset` must have; 0: not known (deleted, or no history). */
int32_t log_epoch_at(const struct store_log *log, int64_t offset);
/* Is `whole` the batch that belongs at `base`? Checksum, place and epoch. */
bool log_batch_is_right(const struct store_log *log, struct slice whole,
                        const struct batch_peek *batch, int64_t base);
/* The range that holds `offset`, as far as it is not durably filled; NULL if none does. */
struct damage *segment_damage_at(const struct segment *segment, int64_t offset);
/* The first such range that ends above `offset`; NULL if there is none. */
struct damage *segment_damage_from(const struct segment *segment, int64_t offset);
/* Remembers a range; it joins those that it touches. */
void segment_damage_add(struct segment *segment, const struct damage *damage);
/* The segment was cut to `offset`. */
void segment_damage_cut(struct segment *segment, int64_t offset);
bool segment_is_open_ended(const struct segment *segment);
/* No readable batch begins at `pos`, where that of offset `base` should: finds how far the damage
 * goes, remembers and journals it. Then, and with EBUSY (at a second look it is there), what is
 * next. */
int segment_damaged(struct segment *segment, uint64_t pos, int64_t base, int64_t *out_end,
                    uint64_t *out_pos) TERN_MUST_USE;
/* After any change of ranges, segments or log start: what store_state tells. */
void log_damage_changed(struct store_log *log);
/* Where to begin to read for `offset`: a batch that begins there at or before it, and no damage in
 * between. */
void segment_floor(const struct segment *segment, int64_t offset, uint64_t *out_pos,
                   int64_t *out_base);

/* ---- repair.c --------------------------------------------------------------------------------- */
/* It is durable in the journal and written to its segment. */
void repair_applied(struct store_log *log, struct entry *entry);
/* A repair of the journal that is replayed; not `whole`: only the batch's header is as it was. */
int repair_replay(struct store_log *log, struct slice bytes, bool whole) TERN_MUST_USE;
/* Of the segment everything from this batch on is to be fetched and written anew. */
void repair_reopen(struct segment *segment, int64_t offset, uint64_t pos);
/* Keeps what a repair is about to overwrite. */
void repair_keep(const struct entry *entry);

/* ---- scrub.c ---------------------------------------------------------------------------------- */
void scrub_start(struct store *store);
void scrub_stop(struct store *store);

/* ---- compact.c -------------------------------------------------------------------------------- */
void compact_start(struct store *store);
void compact_stop(struct store *store);
/* The log goes away; its cleaner lets go of it. */
void compact_forget(struct store_log *log);
int compact_replay(struct store_log *log, struct slice body) TERN_MUST_USE;

/* ---- salvage.c -------------------------------------------------------------------------------- */
/* Segments that the state names and that are not there, or too short, are damaged. */
int salvage_segments(struct store *store, char why[STORE_WHY_MAX]) TERN_MUST_USE;
/* The journal's groups have been read to their end. EAMNESIA, and why: there may have been more, in
 * one of the files of the set `cut_off`, which are shorter than they were. */
int salvage_cut_off(const struct store *store, const struct journal_place *checkpoint,
                    uint64_t cut_off, char why[STORE_WHY_MAX]) TERN_MUST_USE;
/* The journal is believed up to `store->journal.at` only: makes a checkpoint of that, behind all
 * that was ever written. `unread`: bit per journal file with groups that are not believed. */
int salvage_journal(struct store *store, uint32_t last_sequence, uint64_t last_group,
                    uint64_t unread, char why[STORE_WHY_MAX]) TERN_MUST_USE;
/* Is there a mark that this store had to forget? */
int salvage_look(struct store *store) TERN_MUST_USE;

/* ---- segment.c: files and indexes ------------------------------------------------------------ */
void log_dir(const struct store_log *log, char out[STORE_PATH_MAX]);
int log_make_dir(struct store_log *log) TERN_MUST_USE;
struct segment *segment_new(struct store_log *log, int64_t base);
/* Path of one of its files: "log" or "index". */
void segment_path(const struct segment *segment, const char *suffix, char out[STORE_PATH_MAX]);
void segment_header(const struct segment *segment, uint8_t out[SEGMENT_HEADER]);
/* Opens if needed and makes it the most recently used. */
int segment_open(struct segment *segment, bool create) TERN_MUST_USE;
/* The same for reading: checks the file's header too, and mends it, since it holds nothing that is
 * not known. EFORMAT; EDAMAGED: there is no file. */
int segment_open_to_read(struct segment *segment) TERN_MUST_USE;
void segment_pin(struct segment *segment);
void segment_unpin(struct segment *segment);
/* Removes the files and frees the segment (when its last pin is gone). */
void segment_remove(struct segment *segment);
/* Gives memory and file back, without I/O on the bytes. */
void segment_free(struct segment *segment);
void segment_mark_dirty(struct segment *segment);
void segment_note_batch(struct segment *segment, const struct batch_peek *batch, uint64_t pos);
void segment_index_cut(struct segment *segment, uint64_t pos);
/* Makes the index cover everything below `limit` (offset), reading the file where it must. */
int segment_index_cover(struct segment *segment, int64_t limit) TERN_MUST_USE;
/* The last index entry at or before `offset`. */
void segment_index_floor(const struct segment *segment, int64_t offset, uint64_t *out_pos,
                         int64_t *out_base);
void segment_index_save(struct segment *segment);
/* Gives its memory back; it is loaded again when somebody needs it. Only what was loaded or could
 * have been: not of the active segment, not after a cut. */
void segment_index_drop(struct segment *segment);

/* ---- segment_tail.c -------------------------------------------------------------------------- */
/* What has to be written before the bytes at `pos`, so that the write begins with a block (perhaps
 * nothing). Valid until the segment's tail changes. False: it is not known. */
bool segment_tail_front(struct segment *segment, uint64_t pos, struct disk_extent *out);
/* What has to be written behind bytes that end there; nothing of the file may lie behind them. */
struct disk_extent segment_tail_back(const struct segment *segment, uint64_t end);
/* These bytes have been written. */
void segment_tail_note(struct segment *segment, uint64_t pos, struct slice bytes);
/* The file has been changed otherwise, or is closed. */
void segment_tail_drop(struct segment *segment);

/* ---- journal.c ------------------------------------------------------------------------------- */
int journal_create(struct store *store) TERN_MUST_USE;
/* What the run file says of the others: before the replay. */
void journal_known(struct store *store);
int journal_run_begin(struct store *store, char why[STORE_WHY_MAX]) TERN_MUST_USE;
void journal_fini(struct store *store);
/* Starts the next group if none is in flight and something waits. */
void journal_kick(struct store *store);
/* After opening, where the place is JOURNAL_POS_END: stands at the end of some file. */
void journal_place_behind(struct store *store);
/* Files wholly before `place` are free. */
void journal_free_before(struct store *store, const struct journal_place *place);
uint64_t journal_used_bytes(const struct store *store);
uint32_t journal_free_files(const struct store *store);
void journal_idle_fired(struct timer *timer);
uint64_t journal_batch_max(const struct store *store);

/* ---- replay.c -------------------------------------------------------------------------------- */
/* Opens the files, finds the end of the journal, applies everything from `place` on. */
int journal_replay(struct store *store, const struct journal_place *place,
                   char why[STORE_WHY_MAX]) TERN_MUST_USE;

/* ---- apply.c --------------------------------------------------------------------------------- */
/* A durable entry that concerns segment files. */
void apply_push(struct store *store, struct entry *entry);
void apply_kick(struct store *store);
/* More waits for its segment file than may. */
bool apply_is_behind(const struct store *store);
void apply_timer_fired(struct timer *timer);
/* Carries out the file part of a truncate, restart, log start or delete, synchronously. */
int apply_removals(struct store *store, struct entry *entry) TERN_MUST_USE;
/* Carries out what is in `unapplied` synchronously, for replay; leaves there what finds no space.
 */
int apply_sync(struct store *store) TERN_MUST_USE;
void apply_space_check(struct store *store);

/* ---- checkpoint.c ---------------------------------------------------------------------------- */
/* Takes a snapshot of the called-for state and queues its marker. */
void checkpoint_mark(struct store *store, struct store_req *req);
void checkpoint_marker_applied(struct store *store, struct snapshot *snapshot);
void checkpoint_kick(struct store *store);
void checkpoint_timer_fired(struct timer *timer);
/* Synchronous, for a new directory: the checkpoint of an empty store. */
int checkpoint_create(struct store *store) TERN_MUST_USE;
int checkpoint_load(struct store *store, struct journal_place *out_place,
                    char why[STORE_WHY_MAX]) TERN_MUST_USE;
void snapshot_free(struct snapshot *snapshot);
void checkpoint_fini(struct store *store);

/* ---- quarantine.c ---------------------------------------------------------------------------- */
/* Saves [first, leo), which begins at `pos` of segment `index`, then truncates to `offset` or
 * begins the log anew there. The caller has raised `truncating`. */
void quarantine_start(struct store_log *log, struct chunk restart, int64_t offset, int64_t first,
                      uint32_t index, uint64_t pos, struct store_req *req);
/* True: the call was taken and will be made again when the cut is done. */
bool quarantine_hold(struct store_log *log, enum entry_kind kind, int64_t value,
                     struct store_req *req);
void quarantine_give_up(struct store_log *log);
void quarantine_kick(struct store *store);
void quarantine_fini(struct store *store);

/* ---- clean.c --------------------------------------------------------------------------------- */
/* Removes what a crash left over under topics/ and quarantine/. */
void clean_leftovers(struct store *store);

/* ---- read.c ---------------------------------------------------------------------------------- */
void reads_cancel(struct store_log *log);
/* The store closes and the disk has stopped: their `done` is not called. */
void reads_drop(struct store *store);
/* Calls `each` for every batch of [from, to), from memory or file. `bytes` is one whole batch. */
int log_scan(struct store_log *log, int64_t from, int64_t to,
             int (*each)(void *ctx, struct slice bytes, const struct batch_peek *batch),
             void *ctx) TERN_MUST_USE;

/* ---- roster.c -------------------------------------------------------------------------------- */
#define ROSTER_FILE "roster"
#define ROSTER_NEW  "roster.new"
/* Of the called-for state. Nothing if nobody knows the producers. Of logs whose producers are not known
 * yet it has what the one before had; false, if there are any. */
bool roster_take(struct store *store, struct buf *out);
void roster_load(struct store *store);
/* A newer one is on disk. */
void roster_drop(struct store *store);
/* Does log->roster hold, for an offset at or below `at_most`? */
bool roster_knows(const struct store_log *log, int64_t at_most);

/* ---- producers.c ----------------------------------------------------------------------------- */
/* Epoch of the record before `offset`; 0: not known. */
int32_t log_epoch_before(const struct store_log *log, int64_t offset);
/* A snapshot file of this offset is there. */
void producers_seen(struct store_log *log, int64_t offset);
void producers_cut(struct store_log *log, int64_t offset);
/* What a restart at `offset` brought, durable when it returns; may be called again. ENOSPC: not now. */
int producers_restarted(struct store_log *log, int64_t offset, struct slice given) TERN_MUST_USE;
void producers_drop_all(struct store_log *log);
/* Snapshots under way of a log that goes are given up; log NULL: of all, the store closes. */
void producers_saves_drop(struct store *store, const struct store_log *log);
