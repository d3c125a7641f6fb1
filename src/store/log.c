/* SPDX-License-Identifier: Apache-2.0 */
/* The called-for state of one log: offsets, history, segment list, recent batches. No I/O. */
#include "store/store_impl.h"

struct log_settings log_settings_default(void)
{
    return (struct log_settings){
        .cleanup_policy = LOG_DELETE,
        .retention_ms = -1,
        .retention_bytes = -1,
        .segment_ms = 7ULL * 24 * 3600 * 1000,
        .delete_retention_ms = 24ULL * 3600 * 1000,
        .max_compaction_lag_ms = INT64_MAX,
        .min_cleanable_ratio = 0.5,
    };
}

void store_configure(struct store_log *log, const struct log_settings *settings)
{
    log->settings = *settings;
}

const struct log_settings *store_settings(const struct store_log *log)
{
    return &log->settings;
}

struct store_log *log_new(struct store *store, struct uuid topic_id, int32_t partition,
                          uint32_t number)
{
    struct store_log *log = mem_new(sizeof *log);

    log->store = store;
    log->settings = log_settings_default();
    log->number = number;
    log->key.topic_id = topic_id;
    log->key.partition = partition;
    log->state.topic_id = topic_id;
    log->state.partition = partition;
    log->state.damaged_from = INT64_MAX;
    queue_init(&log->reads);
    HASH_ADD(hh, store->logs, key, sizeof log->key, log);
    HASH_ADD(by_number, store->logs_by_number, number, sizeof log->number, log);
    return log;
}

void log_unlist(struct store_log *log)
{
    CHECK(!log->deleted);
    compact_forget(log);
    log->deleted = true;
    HASH_DELETE(hh, log->store->logs, log);
    HASH_DELETE(by_number, log->store->logs_by_number, log);
}

struct store_log *log_by_number(struct store *store, uint32_t number)
{
    struct store_log *log = NULL;

    HASH_FIND(by_number, store->logs_by_number, &number, sizeof number, log);
    return log;
}

/* ---- ring ------------------------------------------------------------------------------------ */

struct entry *ring_at(const struct store_log *log, uint32_t index)
{
    CHECK(index < log->ring_count);
    return log->ring[(log->ring_head + index) & (log->ring_cap - 1)];
}

void ring_push(struct store_log *log, struct entry *entry)
{
    if (log->ring_count == log->ring_cap) {
        uint32_t cap = log->ring_cap > 0 ? log->ring_cap * 2 : 8;
        struct entry **ring = mem_new(cap * sizeof(struct entry *));
        for (uint32_t i = 0; i < log->ring_count; i++) {
            ring[i] = ring_at(log, i);
        }
        free(log->ring);
        log->ring = ring;
        log->ring_cap = cap;
        log->ring_head = 0;
    }
    log->ring[(log->ring_head + log->ring_count++) & (log->ring_cap - 1)] = entry;
    queue_push(&log->store->cache, &entry->cache_link);
    log->store->cache_used += entry->bytes.len;
}

/* Out of the cache; freed unless the pipeline still needs it. */
static void ring_forget(struct store_log *log, struct entry *entry)
{
    link_remove(&entry->cache_link);
    log->store->cache_used -= entry->bytes.len;
    if (!entry->in_pipeline) {
        entry_free(log->store, entry);
    }
}

static void ring_pop_front(struct store_log *log)
{
    struct entry *entry = ring_at(log, 0);

    log->ring_head = (log->ring_head + 1) & (log->ring_cap - 1);
    log->ring_count--;
    ring_forget(log, entry);
    if (log->ring_count == 0) {
        free(log->ring);
        log->ring = NULL;
        log->ring_cap = 0;
        log->ring_head = 0;
    }
}

void ring_drop_below(struct store_log *log, int64_t offset)
{
    while (log->ring_count > 0 && ring_at(log, 0)->offset < offset) {
        ring_pop_front(log);
    }
}

static void ring_cut(struct store_log *log, int64_t offset)
{
    while (log->ring_count > 0) {
        struct entry *last = ring_at(log, log->ring_count - 1);
        if (last->offset < offset) {
            break;
        }
        log->ring_count--;
        ring_forget(log, last);
    }
}

uint32_t ring_find(const struct store_log *log, int64_t offset)
{
    uint32_t low = 0;
    uint32_t high = log->ring_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ring_at(log, middle)->end > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

void cache_trim(struct store *store)
{
    while (store->cache_used > store->options.cache_bytes && !queue_empty(&store->cache)) {
        struct entry *oldest = CONTAINER_OF(store->cache.next, struct entry, cache_link);
        if (oldest->in_pipeline) {
            return;
        }
        CHECK(ring_at(oldest->log, 0) == oldest);
        ring_pop_front(oldest->log);
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

static void history_changed(struct store_log *log)
{
    log->state.history = log->history;
}

void log_history_push(struct store_log *log, int32_t epoch, int64_t start)
{
    size_t count = log->state.history_count;

    if (count == log->history_cap) {
        log->history_cap = count > 0 ? count * 2 : 2;
        log->history = mem_grow(log->history, log->history_cap, sizeof *log->history);
    }
    log->history[count] = (struct epoch_start){epoch, start};
    log->state.history_count = count + 1;
    history_changed(log);
}

struct segment *log_segment_push(struct store_log *log, int64_t base)
{
    if (log->segment_count == log->segment_cap) {
        log->segment_cap = log->segment_cap > 0 ? log->segment_cap * 2 : 1;
        log->segments = mem_grow(log->segments, log->segment_cap, sizeof(struct segment *));
    }
    struct segment *segment = segment_new(log, base);
    log->segments[log->segment_count++] = segment;
    return segment;
}

struct segment *log_active(struct store_log *log)
{
    return log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
}

bool log_wants_roll(struct store_log *log, size_t batch_len)
{
    struct segment *active = log_active(log);
    uint64_t most = log->settings.segment_bytes;

    most = most == 0 ? log->store->options.segment_bytes : most;
    most = most < SEGMENT_BYTES_MAX ? most : SEGMENT_BYTES_MAX;
    if (active == NULL || segment_is_open_ended(active)) {
        return true;
    }
    uint64_t age_max = log->settings.segment_ms;
    uint64_t now_ms = (uint64_t)clock_wall_ms(log->store->clock);
    bool old = age_max > 0 && active->opened_ms > 0 && now_ms >= active->opened_ms &&
               now_ms - active->opened_ms >= age_max;
    return active->bytes > SEGMENT_HEADER && (old || active->bytes + batch_len > most);
}

void log_extend(struct store_log *log, const struct batch_peek *batch, bool roll,
                struct segment **out_segment, uint64_t *out_pos)
{
    struct store_log_state *state = &log->state;
    struct segment *segment = roll ? log_segment_push(log, batch->base) : log_active(log);

    CHECK(segment != NULL);
    CHECK(batch->base == state->leo);
    if (state->history_count == 0 || log->history[state->history_count - 1].epoch < batch->epoch) {
        log_history_push(log, batch->epoch, batch->base);
    }
    if (segment->opened_ms == 0 && !log->store->opening) {
        segment->opened_ms = (uint64_t)clock_wall_ms(log->store->clock);
    }
    *out_segment = segment;
    *out_pos = segment->bytes;
    segment_note_batch(segment, batch, segment->bytes);
    segment->bytes += batch->len;
    segment->end = batch->end;
    state->leo = batch->end;
    state->bytes += batch->len;
}

static void doom(struct entry *entry, struct segment **from, uint32_t count)
{
    if (count == 0) {
        return;
    }
    entry->doomed = mem_grow(entry->doomed, entry->doomed_count + count, sizeof(struct segment *));
    for (uint32_t i = 0; i < count; i++) {
        entry->doomed[entry->doomed_count++] = from[i];
    }
}

void log_count_bytes(struct store_log *log)
{
    log->state.bytes = 0;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        log->state.bytes += log->segments[i]->bytes - SEGMENT_HEADER;
    }
}

bool log_cut_keeps(const struct segment *segment, int64_t offset, uint64_t pos)
{
    return pos > SEGMENT_HEADER || offset > segment->base;
}

/* Nothing at or above `offset` is what a cleaner may have seen there. */
static void cut_cleaned(struct store_log *log, int64_t offset)
{
    log->cuts++;
    log->cleaned_to = log->cleaned_to < offset ? log->cleaned_to : offset;
    log->clean_limit = log->clean_limit < offset ? log->clean_limit : offset;
    log->tombstone_limit = log->tombstone_limit < offset ? log->tombstone_limit : offset;
}

void log_replace(struct store_log *log, uint32_t index, uint32_t count, struct segment *segment,
                 struct entry *entry)
{
    CHECK(count > 0);
    CHECK(index + count < log->segment_count); /* never the one that is written to */
    CHECK(log->segments[index]->base == segment->base);
    CHECK(log->segments[index + count - 1]->end == segment->end);
    doom(entry, log->segments + index, count);
    log->segments[index] = segment;
    memmove(log->segments + index + 1, log->segments + index + count,
            (log->segment_count - index - count) * sizeof(struct segment *));
    log->segment_count -= count - 1;
    /* What is in memory says where in the old files it is. */
    ring_drop_below(log, segment->end);
    log_count_bytes(log);
    log_damage_changed(log);
}

void log_cut(struct store_log *log, int64_t offset, uint32_t index, uint64_t pos,
             struct entry *entry)
{
    struct store_log_state *state = &log->state;
    uint32_t keep = index;

    cut_cleaned(log, offset);

    /* Of a segment that is cut inside a damaged range the front of that range stays. */
    if (index < log->segment_count && log_cut_keeps(log->segments[index], offset, pos)) {
        struct segment *segment = log->segments[index];
        CHECK(pos <= segment->bytes);
        segment->bytes = pos;
        segment->end = offset;
        segment_damage_cut(segment, offset);
        segment_index_cut(segment, pos);
        keep = index + 1;
    }
    if (keep < log->segment_count) {
        doom(entry, log->segments + keep, log->segment_count - keep);
        log->segment_count = keep;
    }
    ring_cut(log, offset);
    while (state->history_count > 0 &&
           log->history[state->history_count - 1].start_offset >= offset) {
        state->history_count--;
    }
    state->leo = offset;
    state->durable_leo = state->durable_leo < offset ? state->durable_leo : offset;
    log_count_bytes(log);
    log_damage_changed(log);
}

void log_drop_all(struct store_log *log, struct entry *entry)
{
    cut_cleaned(log, 0);
    doom(entry, log->segments, log->segment_count);
    log->segment_count = 0;
    ring_cut(log, INT64_MIN);
    log->state.history_count = 0;
    log->state.bytes = 0;
    log_damage_changed(log);
}

void log_restart(struct store_log *log, int64_t offset, struct entry *entry)
{
    log_drop_all(log, entry);
    log->state.log_start = offset;
    log->state.leo = offset;
    log->state.durable_leo = log->state.durable_leo < offset ? log->state.durable_leo : offset;
}

void log_raise_start(struct store_log *log, int64_t offset, struct entry *entry)
{
    struct store_log_state *state = &log->state;
    size_t below = 0;
    uint32_t gone = 0;

    state->log_start = offset;
    while (below + 1 < state->history_count && log->history[below + 1].start_offset <= offset) {
        below++;
    }
    state->history_count -= below;
    if (below > 0) {
        memmove(log->history, log->history + below, state->history_count * sizeof *log->history);
    }
    if (state->history_count > 0 && log->history[0].start_offset < offset) {
        log->history[0].start_offset = offset;
    }
    while (gone < log->segment_count && log->segments[gone]->end <= offset) {
        gone++;
    }
    doom(entry, log->segments, gone);
    log->segment_count -= gone;
    if (gone > 0 && log->segment_count > 0) {
        memmove(log->segments, log->segments + gone, log->segment_count * sizeof(struct segment *));
    }
    while (log->ring_count > 0 && ring_at(log, 0)->end <= offset) {
        ring_pop_front(log);
    }
    log_count_bytes(log);
    log_damage_changed(log);
}

uint32_t log_segment_of(const struct store_log *log, int64_t offset)
{
    uint32_t low = 0;
    uint32_t high = log->segment_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->end > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

void log_free(struct store_log *log)
{
    producers_saves_drop(log->store, log);
    while (log->ring_count > 0) {
        ring_pop_front(log);
    }
    for (uint32_t i = 0; i < log->segment_count; i++) {
        segment_free(log->segments[i]);
    }
    if (link_in_list(&log->dirty_dir)) {
        link_remove(&log->dirty_dir);
    }
    free(log->ring);
    free(log->segments);
    free(log->history);
    free(log);
}
