/* SPDX-License-Identifier: Apache-2.0 */
/* The face of the room: calls change the called-for state at once and queue their journal frame. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define SPACE_CHECK_MS         500
#define FIRST_CHECKPOINT_MS    5000        /* after the start, if something was replayed */
#define UNAPPLIED_FINE         (16u << 20) /* so much may wait in memory for its segment file */
#define ENTRIES_POOLED_MAX     4096
#define JOURNAL_FILE_BYTES_MIN (64u << 10)

struct store_options store_defaults(void)
{
    return (struct store_options){
        .journal_file_bytes = 32u << 20,
        .journal_files_max = 8,
        .segment_bytes = 64u << 20,
        .reserve_bytes = 256u << 20,
        .cache_bytes = 16u << 20,
        .unapplied_bytes = 32u << 20,
        .apply_wait_ms = 500,
        .blocks_from = 16u << 10,
        .idle_marker_ms = 100,
        .checkpoint_ms = 10000,
        .scrub_bytes_per_s = 4u << 20,
        .scrub_pass_ms = 86400000,
        .compact_every_ms = 15000,
        .compact_bytes_per_s = 16u << 20,
        .compact_map_bytes = 16u << 20,
    };
}

/* ---- entries --------------------------------------------------------------------------------- */

struct entry *entry_new(struct store *store, enum entry_kind kind, struct store_log *log,
                        struct store_req *req)
{
    struct entry *entry = store->free_entries;

    if (entry != NULL) {
        store->free_entries = (struct entry *)entry->link.next;
        store->free_entry_count--;
        *entry = (struct entry){0};
    } else {
        entry = mem_new(sizeof *entry);
    }
    entry->kind = kind;
    entry->log = log;
    entry->req = req;
    return entry;
}

void entry_free(struct store *store, struct entry *entry)
{
    CHECK(!link_in_list(&entry->link));
    CHECK(!link_in_list(&entry->cache_link));
    chunk_drop(&entry->bytes);
    free(entry->doomed);
    snapshot_free(entry->snapshot);
    if (store->free_entry_count >= ENTRIES_POOLED_MAX) {
        free(entry);
        return;
    }
    entry->link.next = (struct link *)store->free_entries;
    store->free_entries = entry;
    store->free_entry_count++;
}

size_t entry_frame_bytes(const struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_NOTHING:
    case ENTRY_MARKER:
        return 0;
    case ENTRY_CREATE:
        return JOURNAL_FRAME_HEADER + 16 + 4 + 8;
    case ENTRY_APPEND:
    case ENTRY_NOTE:
    case ENTRY_REPAIR:
    case ENTRY_COMPACT:
    case ENTRY_RESTART:
        return JOURNAL_FRAME_HEADER + entry->bytes.len;
    case ENTRY_DAMAGE:
        return JOURNAL_FRAME_HEADER + 8 + 8 + 8 + 8;
    case ENTRY_PROMISE:
    case ENTRY_SYNCED:
        return JOURNAL_FRAME_HEADER + 4;
    case ENTRY_TRUNCATE:
        return JOURNAL_FRAME_HEADER + 8 + 8 + 8;
    case ENTRY_LOG_START:
        return JOURNAL_FRAME_HEADER + 8;
    case ENTRY_DELETE:
        return JOURNAL_FRAME_HEADER;
    }
    CHECK(false);
    return 0;
}

void pending_push(struct store *store, struct entry *entry)
{
    struct journal *journal = &store->journal;

    entry->in_pipeline = true;
    store->pending_bytes += entry_frame_bytes(entry);
    journal->since_marker += entry_frame_bytes(entry);
    queue_push(&store->pending, &entry->link);
    /* Between two snapshots lies about a quarter of the journal: however full it gets, one of
     * them can be reached, become the checkpoint and free space. */
    if (entry->kind != ENTRY_MARKER &&
        journal->since_marker >= store->options.journal_file_bytes * journal->file_count / 4) {
        checkpoint_mark(store, NULL);
    }
    if (!timer_armed(&store->kick_timer)) {
        timer_set(store->clock, &store->kick_timer, 0);
    }
}

void move_links(struct link *from, struct link *to)
{
    struct link *link = NULL;

    while ((link = queue_pop(from)) != NULL) {
        queue_push(to, link);
    }
}

static void kick_fired(struct timer *timer)
{
    journal_kick(CONTAINER_OF(timer, struct store, kick_timer));
}

static void space_fired(struct timer *timer)
{
    struct store *store = CONTAINER_OF(timer, struct store, space_timer);

    apply_space_check(store);
    apply_kick(store);
    quarantine_kick(store);
    checkpoint_kick(store);
    timer_after_ms(store->clock, timer, SPACE_CHECK_MS);
}

void store_fail(struct store *store, int error, const char *what)
{
    if (store->failed) {
        return;
    }
    store->failed = true;
    trace_error("event=store_failed error=%s what=\"%s\"", error_name(error), what);
    if (store->options.fatal != NULL) {
        store->options.fatal(store->options.fatal_ctx, error, what);
    }
}

/* ---- open and close -------------------------------------------------------------------------- */

static struct store *store_alloc(struct disk *disk, struct clock *clock,
                                 const struct store_options *options)
{
    struct store *store = mem_new(sizeof *store);

    store->disk = disk;
    store->clock = clock;
    store->options = *options;
    store->next_number = 1;
    queue_init(&store->pending);
    queue_init(&store->group);
    queue_init(&store->unapplied);
    queue_init(&store->applying);
    queue_init(&store->cache);
    queue_init(&store->open_segments);
    queue_init(&store->saves);
    queue_init(&store->dirty_segments);
    queue_init(&store->dirty_dirs);
    queue_init(&store->canceled_reads);
    queue_init(&store->cuts);
    queue_init(&store->cuts_named);
    queue_init(&store->cuts_naming);
    queue_init(&store->checkpoint.dirty);
    queue_init(&store->checkpoint.dirs);
    store->kick_timer.fire = kick_fired;
    store->idle_timer.fire = journal_idle_fired;
    store->space_timer.fire = space_fired;
    store->apply_timer.fire = apply_timer_fired;
    store->checkpoint_timer.fire = checkpoint_timer_fired;
    return store;
}

static int make_dirs(struct disk *disk)
{
    static const char *const dirs[] = {"journal", "topics", "quarantine"};

    for (size_t i = 0; i < ARRAY_COUNT(dirs); i++) {
        int status = disk->ops->mkdir(disk, dirs[i]);
        if (status != 0) {
            return status;
        }
    }
    return disk->ops->sync_dir(disk, "");
}

static int open_new(struct store *store, char why[STORE_WHY_MAX])
{
    int status = make_dirs(store->disk);

    if (status == 0) {
        status = journal_create(store);
    }
    if (status == 0) {
        status = checkpoint_create(store);
    }
    if (status == TERN_EDAMAGED) {
        (void)snprintf(why, STORE_WHY_MAX,
                       "checkpoint: the file is missing, but the journal has been used");
    } else if (status != 0) {
        (void)snprintf(why, STORE_WHY_MAX, "could not create the store: %s",
                       error_sentence(status));
    }
    return status;
}

static int open_existing(struct store *store, char why[STORE_WHY_MAX])
{
    struct disk *disk = store->disk;
    struct journal_place place;
    /* A killed process may have left names that are not durable yet. What is built on them below
     * must not outlive them. */
    int status = MUTANT(names_trusted) ? 0 : disk->ops->sync_dir(disk, "");

    if (status == 0 && !MUTANT(names_trusted)) {
        status = disk->ops->sync_dir(disk, "journal");
    }
    if (status != 0) {
        (void)snprintf(why, STORE_WHY_MAX, "syncing names: %s", error_sentence(status));
        return status == TERN_ENOENT ? TERN_EDAMAGED : status;
    }
    status = salvage_look(store);
    if (status == 0) {
        status = checkpoint_load(store, &place, why);
    }
    if (status == 0) {
        status = journal_replay(store, &place, why);
    }
    if (status == 0) {
        status = salvage_segments(store, why);
    }
    if (status == 0) {
        roster_load(store);
    }
    return status;
}

int store_open(struct disk *disk, struct clock *clock, const struct store_options *options,
               struct store **out_store, char why[256])
{
    struct store *store = store_alloc(disk, clock, options);
    struct disk_stat stat;

    CHECK(options->journal_files_max >= 2);
    CHECK(options->journal_files_max <= JOURNAL_FILES_MAX);
    CHECK(options->journal_file_bytes >= JOURNAL_FILE_BYTES_MIN);
    CHECK(options->journal_file_bytes % JOURNAL_BLOCK == 0);
    CHECK(options->segment_bytes <= SEGMENT_BYTES_MAX);
    why[0] = '\0';
    store->opening = true;
    int status = disk->ops->stat(disk, "checkpoint", &stat);
    if (status == TERN_ENOENT) {
        status = open_new(store, why);
    }
    if (status == 0) {
        status = open_existing(store, why);
    } else if (why[0] == '\0') {
        (void)snprintf(why, STORE_WHY_MAX, "checkpoint: %s", error_sentence(status));
    }
    if (status == 0) {
        status = journal_run_begin(store, why);
    }
    if (status != 0) {
        store_close(store);
        return status;
    }
    store->opening = false;
    clean_leftovers(store);
    store->checkpoint.last_us = clock_now_us(clock);
    apply_space_check(store);
    timer_after_ms(clock, &store->space_timer, SPACE_CHECK_MS);
    uint64_t used = journal_used_bytes(store);
    uint32_t first_ms =
        options->checkpoint_ms < FIRST_CHECKPOINT_MS ? options->checkpoint_ms : FIRST_CHECKPOINT_MS;
    timer_after_ms(clock, &store->checkpoint_timer, used > 0 ? first_ms : options->checkpoint_ms);
    if (used > 0 && journal_free_files(store) < 2) {
        /* The journal may be full: then only a checkpoint of what was replayed makes room. Otherwise it
         * would sync thousands of files while whoever has started wants to serve. */
        checkpoint_mark(store, NULL);
    }
    apply_kick(store);
    scrub_start(store);
    compact_start(store);
    *out_store = store;
    return 0;
}

static void drain(struct store *store, struct link *queue)
{
    struct link *link = NULL;

    while ((link = queue_pop(queue)) != NULL) {
        struct entry *entry = CONTAINER_OF(link, struct entry, link);
        entry->in_pipeline = false;
        for (size_t i = 0; i < entry->doomed_count; i++) {
            segment_free(entry->doomed[i]);
        }
        if (entry->kind == ENTRY_DELETE) {
            log_free(entry->log);
        }
        if (!link_in_list(&entry->cache_link)) {
            entry_free(store, entry);
        }
    }
}

void store_close(struct store *store)
{
    struct store_log *log = NULL;
    struct store_log *next_log = NULL;
    struct tombstone *tombstone = NULL;
    struct tombstone *next_tombstone = NULL;

    timer_stop(store->clock, &store->kick_timer);
    timer_stop(store->clock, &store->idle_timer);
    timer_stop(store->clock, &store->space_timer);
    timer_stop(store->clock, &store->apply_timer);
    timer_stop(store->clock, &store->checkpoint_timer);
    scrub_stop(store);
    compact_stop(store);
    producers_saves_drop(store, NULL);
    quarantine_fini(store);
    checkpoint_fini(store);
    drain(store, &store->applying);
    drain(store, &store->unapplied);
    drain(store, &store->group);
    drain(store, &store->pending);
    HASH_ITER (hh, store->logs, log, next_log) {
        reads_cancel(log);
    }
    reads_drop(store);
    HASH_ITER (hh, store->logs, log, next_log) {
        log_unlist(log);
        log_free(log);
    }
    HASH_ITER (hh, store->tombstones, tombstone, next_tombstone) {
        HASH_DELETE(hh, store->tombstones, tombstone);
        free(tombstone);
    }
    journal_fini(store);
    buf_fini(&store->roster);
    for (size_t i = 0; i < STORE_NOTES_MAX; i++) {
        buf_fini(&store->notes[i].value);
    }
    while (store->free_entries != NULL) {
        struct entry *entry = store->free_entries;
        store->free_entries = (struct entry *)entry->link.next;
        free(entry);
    }
    free(store->apply_extents);
    free(store->apply_entries);
    free(store);
}

void store_flush(struct store *store, struct store_req *req)
{
    store->checkpoint.wanted = true;
    checkpoint_mark(store, req);
}

/* ---- questions ------------------------------------------------------------------------------- */

void store_each(struct store *store, void (*each)(void *ctx, struct store_log *log), void *ctx)
{
    struct store_log *log = NULL;
    struct store_log *next = NULL;

    HASH_ITER (hh, store->logs, log, next) {
        each(ctx, log);
    }
}

static struct log_key key_of(struct uuid topic_id, int32_t partition)
{
    struct log_key key = {topic_id, partition};

    return key;
}

struct store_log *store_find(struct store *store, struct uuid topic_id, int32_t partition)
{
    struct log_key key = key_of(topic_id, partition);
    struct store_log *log = NULL;

    HASH_FIND(hh, store->logs, &key, sizeof key, log);
    return log;
}

const struct store_log_state *store_state(const struct store_log *log)
{
    return &log->state;
}

bool store_writable(const struct store *store)
{
    return !store->below_reserve && !store->apply_full && !store->failed;
}

uint64_t store_write_age_ms(const struct store *store)
{
    const struct journal *journal = &store->journal;
    uint64_t since_us = journal->busy ? journal->submitted_us : journal->held_us;

    if (!journal->busy && since_us > 0 && store->apply_us > since_us) {
        since_us = store->apply_us; /* those before it have returned */
    }
    return since_us > 0 ? (clock_now_us(store->clock) - since_us) / 1000 : 0;
}

uint32_t store_damaged(const struct store *store)
{
    return (uint32_t)store->counters.damage_open;
}

uint64_t store_backlog_bytes(const struct store *store)
{
    uint64_t late =
        store->unapplied_bytes > UNAPPLIED_FINE ? store->unapplied_bytes - UNAPPLIED_FINE : 0;

    return store->pending_bytes + store->group_bytes + late;
}

void store_counters(const struct store *store, struct store_counters *out)
{
    *out = store->counters;
    out->journal_used_bytes = journal_used_bytes(store);
}

bool store_forgotten(const struct store *store)
{
    return store->forgotten;
}

/* ---- tombstones and notes -------------------------------------------------------------------- */

static struct tombstone *tombstone_find(const struct store *store, const struct log_key *key)
{
    struct tombstone *tombstone = NULL;

    HASH_FIND(hh, store->tombstones, key, sizeof *key, tombstone);
    return tombstone;
}

void tombstone_set(struct store *store, const struct log_key *key, int32_t promised)
{
    struct tombstone *tombstone = tombstone_find(store, key);

    if (tombstone == NULL) {
        tombstone = mem_new(sizeof *tombstone);
        tombstone->key = *key;
        HASH_ADD(hh, store->tombstones, key, sizeof tombstone->key, tombstone);
    }
    tombstone->promised = promised;
}

void tombstone_drop(struct store *store, const struct log_key *key)
{
    struct tombstone *tombstone = tombstone_find(store, key);

    if (tombstone != NULL) {
        HASH_DELETE(hh, store->tombstones, tombstone);
        free(tombstone);
    }
}

int32_t store_tombstone(const struct store *store, struct uuid topic_id, int32_t partition)
{
    struct log_key key = key_of(topic_id, partition);
    struct tombstone *tombstone = tombstone_find(store, &key);

    return tombstone != NULL ? tombstone->promised : 0;
}

struct note *note_find(struct store *store, uint32_t key, bool create)
{
    struct note *empty = NULL;

    for (size_t i = 0; i < STORE_NOTES_MAX; i++) {
        struct note *note = &store->notes[i];
        if (note->value.len > 0 && note->key == key) {
            return note;
        }
        if (note->value.len == 0 && empty == NULL) {
            empty = note;
        }
    }
    if (create && empty != NULL) {
        empty->key = key;
        return empty;
    }
    return NULL;
}

void store_note_put(struct store *store, uint32_t key, struct slice value, struct store_req *req)
{
    CHECK(value.len <= STORE_NOTE_BYTES_MAX);
    struct note *note = note_find(store, key, value.len > 0);
    CHECK(note != NULL || value.len == 0);
    if (note != NULL) {
        buf_clear(&note->value);
        buf_put(&note->value, value);
    }
    struct entry *entry = entry_new(store, ENTRY_NOTE, NULL, req);
    entry->number = key;
    entry->bytes = chunk_copy(value);
    pending_push(store, entry);
}

struct slice store_note_get(const struct store *store, uint32_t key)
{
    for (size_t i = 0; i < STORE_NOTES_MAX; i++) {
        if (store->notes[i].value.len > 0 && store->notes[i].key == key) {
            return buf_slice(&store->notes[i].value);
        }
    }
    return (struct slice){0};
}

/* ---- writes ---------------------------------------------------------------------------------- */

struct store_log *store_create(struct store *store, struct uuid topic_id, int32_t partition,
                               struct store_req *req)
{
    CHECK(store_find(store, topic_id, partition) == NULL);
    struct store_log *log = log_new(store, topic_id, partition, store->next_number++);
    log->state.promised = store_tombstone(store, topic_id, partition);
    tombstone_drop(store, &log->key);
    pending_push(store, entry_new(store, ENTRY_CREATE, log, req));
    return log;
}

void store_append(struct store_log *log, struct chunk batch, struct store_req *req)
{
    struct store *store = log->store;
    struct batch_peek peek;

    CHECK(!log->deleted);
    CHECK(!log->state.truncating);
    CHECK(batch_peek(chunk_slice(batch), &peek));
    CHECK(peek.len == batch.len);
    CHECK(batch.len <= journal_batch_max(store));
    struct entry *entry = entry_new(store, ENTRY_APPEND, log, req);
    entry->bytes = chunk_ref(batch);
    entry->offset = peek.base;
    entry->end = peek.end;
    entry->roll = log_wants_roll(log, batch.len);
    log_extend(log, &peek, entry->roll, &entry->segment, &entry->pos);
    ring_push(log, entry);
    pending_push(store, entry);
}

static void push_number(struct store_log *log, enum entry_kind kind, int32_t epoch,
                        struct store_req *req)
{
    struct entry *entry = entry_new(log->store, kind, log, req);

    CHECK(epoch >= 0);
    entry->number = (uint32_t)epoch;
    pending_push(log->store, entry);
}

void push_nothing(struct store *store, struct store_req *req, int status)
{
    if (req != NULL) {
        struct entry *entry = entry_new(store, ENTRY_NOTHING, NULL, req);
        entry->status = status;
        pending_push(store, entry);
    }
}

void store_promise(struct store_log *log, int32_t epoch, struct store_req *req)
{
    CHECK(!log->deleted);
    /* A promise need not wait for a cut that was called before: it is never too early. */
    if (epoch <= log->state.promised) {
        push_nothing(log->store, req, 0);
        return;
    }
    log->state.promised = epoch;
    push_number(log, ENTRY_PROMISE, epoch, req);
}

void store_synced(struct store_log *log, int32_t epoch, struct store_req *req)
{
    CHECK(!log->deleted);
    CHECK(epoch >= log->state.synced);
    if (quarantine_hold(log, ENTRY_SYNCED, epoch, req)) {
        return;
    }
    if (epoch == log->state.synced) {
        push_nothing(log->store, req, 0);
        return;
    }
    log->state.synced = epoch;
    if (log->state.promised < epoch) {
        log->state.promised = epoch;
    }
    push_number(log, ENTRY_SYNCED, epoch, req);
}

void log_truncate_now(struct store_log *log, int64_t offset, uint32_t index, uint64_t pos,
                      struct store_req *req)
{
    struct entry *entry = entry_new(log->store, ENTRY_TRUNCATE, log, req);

    entry->offset = offset;
    entry->end = log->segments[index]->base;
    entry->pos = pos;
    entry->segment = log_cut_keeps(log->segments[index], offset, pos) ? log->segments[index] : NULL;
    log_cut(log, offset, index, pos, entry);
    reads_cancel(log);
    pending_push(log->store, entry);
}

/* The body of the frame: the offset, and what producers had sent before it. */
static struct chunk restart_body(int64_t offset, struct slice producers)
{
    struct blob *blob = blob_new(8 + producers.len);

    put_le64(blob->bytes, (uint64_t)offset);
    if (producers.len > 0) {
        memcpy(blob->bytes + 8, producers.base, producers.len);
    }
    struct chunk body = chunk_of(blob, blob->bytes, blob->len);
    blob_unref(blob);
    return body;
}

void log_restart_now(struct store_log *log, int64_t offset, struct chunk body,
                     struct store_req *req)
{
    struct entry *entry = entry_new(log->store, ENTRY_RESTART, log, req);

    entry->offset = offset;
    entry->bytes = body;
    log_restart(log, offset, entry);
    reads_cancel(log);
    pending_push(log->store, entry);
}

/* Where the cut is cannot be told. */
static void cut_failed(struct store_log *log, int status, struct store_req *req)
{
    if (status == TERN_EIO) {
        store_fail(log->store, status, "looking for the place of a truncation");
        return;
    }
    push_nothing(log->store, req, status);
}

void store_truncate(struct store_log *log, int64_t offset, bool committed_elsewhere,
                    struct store_req *req)
{
    uint32_t index = 0;
    uint64_t pos = 0;
    int64_t base = offset;

    CHECK(!log->deleted);
    CHECK(!log->state.truncating);
    CHECK(offset >= log->state.log_start);
    CHECK(offset <= log->state.leo);
    if (offset == log->state.leo) {
        push_nothing(log->store, req, 0);
        return;
    }
    int status = log_locate(log, offset, &index, &pos, &base);
    if (status != 0) {
        cut_failed(log, status, req);
        return;
    }
    log->state.truncating = true;
    if (committed_elsewhere || MUTANT(cut_unkept)) {
        log_truncate_now(log, base, index, pos, req);
    } else {
        quarantine_start(log, (struct chunk){0}, base, base, index, pos, req);
    }
}

void store_restart(struct store_log *log, int64_t offset, bool committed_elsewhere,
                   struct slice producers, struct store_req *req)
{
    uint32_t index = 0;
    uint64_t pos = 0;
    int64_t base = 0;

    CHECK(!log->deleted);
    CHECK(!log->state.truncating);
    CHECK(offset >= 0);
    CHECK(producers.len <= journal_batch_max(log->store) / 2);
    if (committed_elsewhere || log->state.leo == log->state.log_start || MUTANT(cut_unkept)) {
        log->state.truncating = true;
        log_restart_now(log, offset, restart_body(offset, producers), req);
        return;
    }
    int status = log_locate(log, log->state.log_start, &index, &pos, &base);
    if (status != 0) {
        cut_failed(log, status, req);
        return;
    }
    log->state.truncating = true;
    quarantine_start(log, restart_body(offset, producers), offset, base, index, pos, req);
}

void store_log_start(struct store_log *log, int64_t offset, struct store_req *req)
{
    CHECK(!log->deleted);
    CHECK(offset <= log->state.leo);
    if (quarantine_hold(log, ENTRY_LOG_START, offset, req)) {
        return;
    }
    if (offset <= log->state.log_start) {
        push_nothing(log->store, req, 0);
        return;
    }
    struct entry *entry = entry_new(log->store, ENTRY_LOG_START, log, req);
    entry->offset = offset;
    log_raise_start(log, offset, entry);
    pending_push(log->store, entry);
}

void store_delete(struct store_log *log, struct store_req *req)
{
    CHECK(!log->deleted);
    CHECK(req != NULL);
    quarantine_give_up(log);
    struct entry *entry = entry_new(log->store, ENTRY_DELETE, log, req);
    tombstone_set(log->store, &log->key, log->state.promised);
    reads_cancel(log);
    log_drop_all(log, entry);
    log_unlist(log);
    pending_push(log->store, entry);
}
