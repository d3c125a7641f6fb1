/* SPDX-License-Identifier: Apache-2.0 */
/* Brings durable journal entries into the segment files, in order, unsynced.
 *
 * Appends go out in one vectored write, sorted by file; whatever changes the set of files
 * (truncate, restart, log start, delete) and snapshot markers wait until the writes before them are
 * done, and are carried out synchronously. A full disk stops all this; the entries wait here, the
 * journal keeps them. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

#define APPLY_BYTES_MAX (16u << 20)
/* So many bytes may wait for apply_wait_ms: with many partitions and small batches it is the number of
 * writes that costs. */
#define APPLY_LAZY_MAX (16u << 20)
/* Files are opened and made by the loop itself: of thousands that wait, only so many in one turn. A
 * new one, with its directory, takes about as long as eight that are there. */
#define APPLY_OPENS_MAX  512
#define APPLY_CREATE_FOR 8

/* Bytes for one place of one file. */
static bool is_write(const struct entry *entry)
{
    return entry->kind == ENTRY_APPEND || entry->kind == ENTRY_REPAIR;
}

void apply_push(struct store *store, struct entry *entry)
{
    queue_push(&store->unapplied, &entry->link);
    if (is_write(entry)) {
        store->unapplied_bytes += entry->bytes.len;
    } else {
        store->unapplied_others++;
    }
}

static void take(struct store *store, struct entry *entry)
{
    link_remove(&entry->link);
    if (is_write(entry)) {
        store->unapplied_bytes -= entry->bytes.len;
    } else {
        store->unapplied_others--;
    }
}

static void put_back(struct store *store, struct entry *entry)
{
    queue_push(store->unapplied.next, &entry->link);
    store->unapplied_bytes += entry->bytes.len;
}

/* Something else waits behind the appends, or they are many, or have waited long enough. */
static bool is_due(const struct store *store)
{
    uint64_t lazy =
        store->options.cache_bytes < APPLY_LAZY_MAX ? store->options.cache_bytes : APPLY_LAZY_MAX;

    return store->apply_due || store->unapplied_others > 0 || store->unapplied_bytes > lazy ||
           apply_is_behind(store);
}

/* On a full disk it is the journal that keeps what waits, and what is not a record must go on. */
bool apply_is_behind(const struct store *store)
{
    return store->unapplied_bytes > store->options.unapplied_bytes && !store->apply_full;
}

void apply_timer_fired(struct timer *timer)
{
    struct store *store = CONTAINER_OF(timer, struct store, apply_timer);

    store->apply_due = true;
    apply_kick(store);
}

static void entry_applied(struct store *store, struct entry *entry)
{
    entry->in_pipeline = false;
    if (entry->kind == ENTRY_REPAIR) {
        repair_applied(entry->log, entry);
    }
    if (!link_in_list(&entry->cache_link)) {
        entry_free(store, entry);
    }
}

/* The name of the file must be durable before a checkpoint relies on it. */
static void mark_new_name(struct store_log *log)
{
    if (!link_in_list(&log->dirty_dir)) {
        queue_push(&log->store->dirty_dirs, &log->dirty_dir);
    }
}

static void remove_index(struct segment *segment)
{
    char path[STORE_PATH_MAX];

    segment_path(segment, "index", path);
    (void)segment->store->disk->ops->remove(segment->store->disk, path);
}

/* Opens the entry's segment for writing. The first batch brings the file's header. */
static int prepare(struct entry *entry)
{
    struct segment *segment = entry->segment;
    bool first = entry->pos == SEGMENT_HEADER;
    int status = segment_open(segment, true);

    if (status == 0 && entry->kind == ENTRY_REPAIR) {
        repair_keep(entry);
        segment_tail_drop(segment);
        remove_index(segment);
        mark_new_name(entry->log);
    }
    if (status == 0 && first) {
        struct store *store = entry->log->store;
        uint8_t header[SEGMENT_HEADER];
        struct segment *before = NULL;
        segment_header(segment, header);
        status =
            store->disk->ops->write(store->disk, segment->file, 0, slice_of(header, sizeof header));
        mark_new_name(entry->log);
        uint32_t index = log_segment_of(entry->log, entry->offset);
        if (index > 0 && index < entry->log->segment_count) {
            before = entry->log->segments[index - 1];
        }
        if (status == 0 && before != NULL && before->end == entry->offset) {
            segment_index_save(before);
        }
    }
    return status;
}

int apply_removals(struct store *store, struct entry *entry)
{
    struct disk *disk = store->disk;
    struct store_log *log = entry->log;
    char dir[STORE_PATH_MAX];
    int status = 0;

    if (entry->kind == ENTRY_TRUNCATE && entry->segment != NULL) {
        status = segment_open(entry->segment, false);
        if (status == 0) {
            status = disk->ops->truncate(disk, entry->segment->file, entry->pos);
            segment_tail_drop(entry->segment);
            remove_index(entry->segment);
            segment_mark_dirty(entry->segment);
        }
        status = status == TERN_ENOENT ? 0 : status;
    }
    for (size_t i = 0; i < entry->doomed_count; i++) {
        segment_remove(entry->doomed[i]);
    }
    entry->doomed_count = 0;
    if (entry->kind == ENTRY_LOG_START || entry->kind == ENTRY_COMPACT || status != 0) {
        return status;
    }
    if (entry->kind == ENTRY_TRUNCATE) {
        producers_cut(log, entry->offset);
    } else if (entry->kind == ENTRY_RESTART) {
        status = producers_restarted(log, entry->offset, restart_given(entry));
        if (status != 0) {
            return status;
        }
    } else {
        producers_drop_all(log);
    }
    log_dir(log, dir);
    if (entry->kind == ENTRY_DELETE) {
        /* A new log of the same name may rely on the directory already. */
        struct store_log *heir = store_find(store, log->key.topic_id, log->key.partition);
        if (heir != NULL) {
            heir->dir_made = false;
        }
        (void)disk->ops->remove(disk, dir);
        return 0;
    }
    /* Stale snapshots and indexes must not come back once a checkpoint no longer knows the cut. */
    status = disk->ops->sync_dir(disk, dir);
    return status == TERN_ENOENT ? 0 : status;
}

/* Everything that is not an append. */
static int apply_barrier(struct store *store, struct entry *entry)
{
    int status = 0;

    if (entry->kind == ENTRY_MARKER) {
        struct snapshot *snapshot = entry->snapshot;
        entry->snapshot = NULL;
        checkpoint_marker_applied(store, snapshot);
    } else {
        status = apply_removals(store, entry);
    }
    if (entry->kind == ENTRY_DELETE && status == 0) {
        log_free(entry->log);
    }
    return status;
}

static void apply_failed(struct store *store, int status)
{
    if (status == TERN_ENOSPC) {
        if (!store->apply_full) {
            trace_warn("event=segments_full what=\"segment writes wait for space\"");
        }
        store->apply_full = true;
    } else {
        store_fail(store, status, "writing a segment");
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* How many of the entries from `first` on lie end to end in one segment. */
static size_t run_length(const struct store *store, size_t first)
{
    size_t at = first + 1;

    while (at < store->apply_count) {
        const struct entry *before = store->apply_entries[at - 1];
        const struct entry *entry = store->apply_entries[at];
        if (entry->segment != before->segment || entry->kind != before->kind ||
            entry->pos != before->pos + before->bytes.len) {
            break;
        }
        at++;
    }
    return at - first;
}

static uint64_t run_end(const struct store *store, size_t first, size_t length)
{
    const struct entry *last = store->apply_entries[first + length - 1];

    return last->pos + last->bytes.len;
}

/* Extents of one run, of whole blocks where it is large; returns how many. */
static size_t run_extents(struct store *store, size_t first, size_t length, struct disk_extent *out)
{
    const struct entry *entry = store->apply_entries[first];
    uint64_t end = run_end(store, first, length);
    size_t count = 0;
    bool blocks = entry->kind == ENTRY_APPEND && end - entry->pos >= store->options.blocks_from &&
                  segment_tail_front(entry->segment, entry->pos, &out[0]);

    count += blocks && out[0].bytes.len > 0;
    for (size_t i = 0; i < length; i++) {
        entry = store->apply_entries[first + i];
        out[count++] =
            (struct disk_extent){entry->segment->file, entry->pos, chunk_slice(entry->bytes)};
    }
    if (blocks) {
        out[count] = segment_tail_back(entry->segment, end);
        count += out[count].bytes.len > 0;
    }
    return count;
}

/* The run has been written: keeps its last block, if there is any sense in that. */
static void run_note(struct store *store, size_t first, size_t length)
{
    const struct entry *entry = store->apply_entries[first];
    struct segment *segment = entry->segment;
    uint64_t end = run_end(store, first, length);

    if (entry->kind != ENTRY_APPEND ||
        (segment->tail == NULL && end - entry->pos < store->options.blocks_from)) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        entry = store->apply_entries[first + i];
        if (i + 1 == length || entry->pos + entry->bytes.len + JOURNAL_BLOCK > end) {
            segment_tail_note(segment, entry->pos, chunk_slice(entry->bytes));
        }
    }
}

static void applied(struct disk_op *op, int64_t status)
{
    struct store *store = CONTAINER_OF(op, struct store, apply_op);
    struct link *link = NULL;

    store->apply_busy = false;
    if (store->failed) {
        return;
    }
    if (status != 0) {
        /* Back in front, in order: writing them again does no harm. */
        while (!queue_empty(&store->applying)) {
            link = store->applying.prev;
            struct entry *entry = CONTAINER_OF(link, struct entry, link);
            segment_unpin(entry->segment);
            link_remove(link);
            put_back(store, entry);
        }
        apply_failed(store, (int)status);
        journal_kick(store);
        return;
    }
    for (size_t at = 0; at < store->apply_count;) {
        size_t length = run_length(store, at);
        run_note(store, at, length);
        at += length;
    }
    while ((link = queue_pop(&store->applying)) != NULL) {
        struct entry *entry = CONTAINER_OF(link, struct entry, link);
        segment_mark_dirty(entry->segment);
        segment_unpin(entry->segment);
        entry_applied(store, entry);
    }
    cache_trim(store);
    apply_kick(store);
    journal_kick(store); /* it may have waited for this */
}

static void add_entry(struct store *store, size_t index, struct entry *entry)
{
    if (index == store->apply_cap) {
        store->apply_cap = index > 0 ? index * 2 : 16;
        store->apply_entries =
            mem_grow(store->apply_entries, store->apply_cap, sizeof(struct entry *));
        store->apply_extents =
            mem_grow(store->apply_extents, 3 * store->apply_cap, sizeof *store->apply_extents);
    }
    store->apply_entries[index] = entry;
}

/* By what does not depend on addresses: a simulated run must be the same every time. */
static int by_segment_and_pos(const void *a, const void *b)
{
    const struct entry *left = *(struct entry *const *)a;
    const struct entry *right = *(struct entry *const *)b;

    if (left->log->number != right->log->number) {
        return left->log->number < right->log->number ? -1 : 1;
    }
    if (left->segment->base != right->segment->base) {
        return left->segment->base < right->segment->base ? -1 : 1;
    }
    return left->pos < right->pos ? -1 : left->pos > right->pos;
}

/* What it costs the loop to have the entry's file at hand. */
static size_t opens_for(const struct entry *entry)
{
    if (entry->segment->file != NULL) {
        return 0;
    }
    return entry->pos == SEGMENT_HEADER ? APPLY_CREATE_FOR : 1;
}

/* Takes appends up to the next barrier. */
static size_t take_appends(struct store *store)
{
    size_t count = 0;
    size_t bytes = 0;
    size_t opens = 0;

    QUEUE_EACH (link, &store->unapplied) {
        struct entry *entry = CONTAINER_OF(link, struct entry, link);
        if (!is_write(entry) || bytes >= APPLY_BYTES_MAX || opens >= APPLY_OPENS_MAX) {
            break;
        }
        opens += opens_for(entry);
        int status = prepare(entry);
        if (status == TERN_EBUSY && count > 0) {
            break; /* no more files can be open: first those that are */
        }
        if (status != 0) {
            apply_failed(store, status);
            break;
        }
        take(store, entry);
        queue_push(&store->applying, link);
        segment_pin(entry->segment);
        add_entry(store, count++, entry);
        bytes += entry->bytes.len;
    }
    /* What comes while these are written waits its own time. */
    store->apply_due = store->apply_due && !queue_empty(&store->unapplied);
    return count;
}

static void submit(struct store *store)
{
    size_t count = 0;

    qsort(store->apply_entries, store->apply_count, sizeof(struct entry *), by_segment_and_pos);
    for (size_t at = 0; at < store->apply_count;) {
        size_t length = run_length(store, at);
        count += run_extents(store, at, length, &store->apply_extents[count]);
        at += length;
    }
    store->apply_op = (struct disk_op){.kind = DISK_WRITE,
                                       .extents = store->apply_extents,
                                       .extent_count = count,
                                       .done = applied};
    store->apply_busy = true;
    store->apply_us = clock_now_us(store->clock);
    disk_submit(store->disk, &store->apply_op);
}

void apply_kick(struct store *store)
{
    if (store->apply_busy || store->failed || store->opening) {
        return;
    }
    if (!queue_empty(&store->unapplied) && !is_due(store)) {
        if (!timer_armed(&store->apply_timer)) {
            timer_after_ms(store->clock, &store->apply_timer, store->options.apply_wait_ms);
        }
        return;
    }
    while (!queue_empty(&store->unapplied) && !store->apply_full) {
        struct entry *entry = CONTAINER_OF(store->unapplied.next, struct entry, link);
        if (is_write(entry)) {
            store->apply_count = take_appends(store);
            if (store->apply_count > 0) {
                submit(store);
            }
            return;
        }
        int status = apply_barrier(store, entry);
        if (status != 0) {
            apply_failed(store, status);
            return;
        }
        take(store, entry);
        entry_applied(store, entry);
    }
    store->apply_due = store->apply_due && !queue_empty(&store->unapplied);
}

int apply_sync(struct store *store)
{
    while (!queue_empty(&store->unapplied) && !store->apply_full) {
        struct entry *entry = CONTAINER_OF(store->unapplied.next, struct entry, link);
        int status = 0;
        if (is_write(entry)) {
            status = prepare(entry);
            if (status == 0) {
                status = store->disk->ops->write(store->disk, entry->segment->file, entry->pos,
                                                 chunk_slice(entry->bytes));
            }
            if (status == 0) {
                segment_mark_dirty(entry->segment);
            }
        } else {
            status = apply_barrier(store, entry);
        }
        if (status == TERN_ENOSPC) {
            store->apply_full = true;
            return 0;
        }
        if (status != 0) {
            return status;
        }
        take(store, entry);
        entry_applied(store, entry);
        cache_trim(store);
    }
    return 0;
}

void apply_space_check(struct store *store)
{
    uint64_t free_bytes = store->disk->ops->free_bytes(store->disk);
    bool below = free_bytes < store->options.reserve_bytes;

    if (below != store->below_reserve) {
        store->below_reserve = below;
        if (below) {
            trace_warn("event=disk_below_reserve free_bytes=%llu reserve_bytes=%llu",
                       (unsigned long long)free_bytes,
                       (unsigned long long)store->options.reserve_bytes);
        } else {
            trace_info("event=disk_writable_again free_bytes=%llu", (unsigned long long)free_bytes);
        }
    }
    store->apply_full = false; /* the next write will tell */
    store->cuts_full = false;
    store->journal.grow_failed = false;
}
