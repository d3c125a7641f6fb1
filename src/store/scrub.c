/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what is stored through again, slowly, so that damage is found while other replicas still
 * hold the records: one piece after the other, log after log, by the same reads as everybody's,
 * which mark what they cannot read. What is in memory is not looked at.
 *
 * The page cache may answer for the disk: what it holds has not rotted, and is found out later. */
#include "base/trace.h"
#include "store/store_impl.h"

#define PIECE_BYTES (256u << 10)
#define REST_US_MIN 5000   /* between two pieces, however small */
#define BUSY_US     250000 /* the disk is behind: later */

struct scrub {
    struct store *store;
    struct timer timer;
    struct store_read read;
    uint32_t number;      /* of the log, */
    int64_t offset;       /* and where in it */
    uint32_t cold_number; /* the segment whose index nobody else had needed: it is dropped behind */
    int64_t cold_base;    /* us; -1: none */
    uint64_t pass_us;
    bool busy;
};

static void next_piece(struct scrub *scrub);

/* The log with the lowest number from `number` on. */
static struct store_log *log_from(struct store *store, uint32_t number)
{
    struct store_log *best = NULL;

    for (struct store_log *log = store->logs; log != NULL; log = log->hh.next) {
        if (log->number >= number && (best == NULL || log->number < best->number)) {
            best = log;
        }
    }
    return best;
}

static void rest(struct scrub *scrub, uint64_t us)
{
    struct clock *clock = scrub->store->clock;

    timer_set(clock, &scrub->timer, clock_now_us(clock) + us);
}

static void pass_done(struct scrub *scrub)
{
    struct store *store = scrub->store;
    uint64_t now_us = clock_now_us(store->clock);
    uint64_t next_us = scrub->pass_us + store->options.scrub_pass_ms * 1000;

    store->counters.scrub_passes++;
    trace_info("event=scrub_pass_done pass=%llu bytes=%llu damaged=%llu",
               (unsigned long long)store->counters.scrub_passes,
               (unsigned long long)store->counters.scrubbed_bytes,
               (unsigned long long)store->counters.damage_open);
    scrub->number = 0;
    scrub->offset = 0;
    scrub->pass_us = now_us > next_us ? now_us : next_us;
    rest(scrub, next_us > now_us ? next_us - now_us : 0);
}

/* The end of what was read, from the header of its last batch. */
static int64_t read_end(const struct store_read *read)
{
    int64_t end = read->offset;

    for (size_t i = 0; i < read->chunk_count; i++) {
        struct slice in = chunk_slice(read->chunks[i]);
        struct batch_peek batch;
        while (batch_peek(in, &batch) && batch.len <= in.len) {
            end = batch.end;
            in = slice_of(in.base + batch.len, in.len - batch.len);
        }
    }
    return end;
}

static void piece_done(struct store_read *read)
{
    struct scrub *scrub = CONTAINER_OF(read, struct scrub, read);
    struct store *store = scrub->store;
    uint64_t rate = store->options.scrub_bytes_per_s;
    uint64_t wait_us = rate > 0 ? (uint64_t)read->bytes * 1000000 / rate : 0;
    int status = read->status;

    scrub->busy = false;
    store->counters.scrubbed_bytes += read->bytes;
    if (status == 0) {
        scrub->offset = read_end(read);
    } else if (status == TERN_EDAMAGED) {
        const struct store_log *log = log_from(store, scrub->number);
        uint32_t index = log != NULL && log->number == scrub->number
                             ? log_segment_of(log, scrub->offset)
                             : UINT32_MAX;
        const struct damage *d = log != NULL && index < log->segment_count
                                     ? segment_damage_at(log->segments[index], scrub->offset)
                                     : NULL;
        scrub->offset = d != NULL ? d->end : scrub->offset + 1;
    } else if (status != TERN_ECANCELED) {
        scrub->number++;
        scrub->offset = 0;
    }
    bool moved = read->chunk_count > 0 || status != 0;
    store_read_fini(read);
    if (!moved) {
        scrub->number++; /* the rest is in memory */
        scrub->offset = 0;
    }
    rest(scrub, wait_us > REST_US_MIN ? wait_us : REST_US_MIN);
}

/* The memory of all indexes together would be too much. */
static void leave_segment(struct scrub *scrub)
{
    struct store_log *log =
        scrub->cold_base >= 0 ? log_by_number(scrub->store, scrub->cold_number) : NULL;
    int64_t cold_base = scrub->cold_base;
    uint32_t index = log != NULL ? log_segment_of(log, cold_base) : 0;

    scrub->cold_base = -1;
    if (log != NULL && index + 1 < log->segment_count) {
        struct segment *segment = log->segments[index];
        if (segment->base == cold_base && segment->pins == 0 &&
            segment->covered == segment->bytes && segment->damage_count == 0) {
            segment_index_drop(segment);
        }
    }
}

static void enter_segment(struct scrub *scrub, const struct store_log *log)
{
    const struct segment *segment = log->segments[log_segment_of(log, scrub->offset)];

    if (log->number == scrub->cold_number && segment->base == scrub->cold_base) {
        return;
    }
    leave_segment(scrub);
    if (segment->covered == SEGMENT_HEADER && !segment->index_tried) {
        scrub->cold_number = log->number;
        scrub->cold_base = segment->base;
    }
}

static void next_piece(struct scrub *scrub)
{
    struct store *store = scrub->store;
    struct store_log *log = log_from(store, scrub->number);

    if (log == NULL) {
        leave_segment(scrub);
        pass_done(scrub);
        return;
    }
    if (log->number != scrub->number) {
        scrub->number = log->number;
        scrub->offset = 0;
    }
    if (scrub->offset < log->state.log_start) {
        scrub->offset = log->state.log_start;
    }
    int64_t limit = log->ring_count > 0 ? ring_at(log, 0)->offset : log->state.leo;
    if (log->state.truncating || scrub->offset >= limit) {
        scrub->number++;
        scrub->offset = 0;
        rest(scrub, REST_US_MIN);
        return;
    }
    enter_segment(scrub, log);
    scrub->read = (struct store_read){.log = log,
                                      .offset = scrub->offset,
                                      .limit = limit,
                                      .max_bytes = PIECE_BYTES,
                                      .done = piece_done};
    scrub->busy = true;
    if (store_read(&scrub->read)) {
        piece_done(&scrub->read);
    }
}

static void fired(struct timer *timer)
{
    struct scrub *scrub = CONTAINER_OF(timer, struct scrub, timer);

    if (scrub->store->failed || scrub->busy) {
        return;
    }
    if (scrub->store->pending_bytes + scrub->store->group_bytes > (1u << 20)) {
        rest(scrub, BUSY_US);
        return;
    }
    next_piece(scrub);
}

void scrub_start(struct store *store)
{
    if (store->options.scrub_pass_ms == 0 || store->options.scrub_bytes_per_s == 0) {
        return;
    }
    store->scrub = mem_new(sizeof *store->scrub);
    store->scrub->store = store;
    store->scrub->timer.fire = fired;
    store->scrub->cold_base = -1;
    store->scrub->pass_us = clock_now_us(store->clock);
    rest(store->scrub, BUSY_US);
}

void scrub_stop(struct store *store)
{
    if (store->scrub == NULL) {
        return;
    }
    timer_stop(store->clock, &store->scrub->timer);
    store_read_fini(&store->scrub->read);
    free(store->scrub);
    store->scrub = NULL;
}
