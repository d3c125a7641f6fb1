/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/model.h"

#include <stdio.h>

#include "tests/lib/batches.h"

#define QUARANTINE_HEADER 128

struct uuid model_topic(unsigned log)
{
    struct uuid id = {{0}};

    id.bytes[0] = (uint8_t)(1 + log / 2);
    id.bytes[15] = 77;
    return id;
}

int32_t model_partition(unsigned log)
{
    return (int32_t)(log % 2);
}

struct chunk model_batch_bytes(const struct model_batch *batch)
{
    return batch_make(batch->base, batch->records, batch->epoch, 1000 + batch->base, batch->len,
                      batch->seed);
}

void model_state_copy(struct model_state *to, const struct model_state *from)
{
    *to = *from;
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        size_t bytes = from->logs[i].count * sizeof(struct model_batch);
        to->logs[i].batches = mem_new(bytes);
        if (bytes > 0) {
            memcpy(to->logs[i].batches, from->logs[i].batches, bytes);
        }
    }
}

void model_state_fini(struct model_state *state)
{
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        free(state->logs[i].batches);
        state->logs[i].batches = NULL;
    }
}

static void cut(struct model_log *log, int64_t offset)
{
    while (log->count > 0 && log->batches[log->count - 1].base >= offset) {
        log->count--;
    }
    log->leo = offset;
}

static int64_t end_of(const struct model_batch *batch)
{
    return batch->base + batch->records;
}

void model_apply(struct model_state *state, const struct model_op *op)
{
    struct model_log *log = &state->logs[op->log];
    size_t gone = 0;

    switch (op->kind) {
    case MODEL_CREATE:
        log->exists = true;
        log->synced = 0;
        log->log_start = 0;
        log->leo = 0;
        log->count = 0;
        return;
    case MODEL_APPEND:
        log->batches = mem_grow(log->batches, log->count + 1, sizeof *log->batches);
        log->batches[log->count++] = op->batch;
        log->leo = end_of(&op->batch);
        return;
    case MODEL_SYNCED:
        log->synced = (int32_t)op->number;
        log->promised = log->promised < log->synced ? log->synced : log->promised;
        return;
    case MODEL_PROMISE:
        log->promised = log->promised < op->number ? (int32_t)op->number : log->promised;
        return;
    case MODEL_TRUNCATE:
        cut(log, op->number);
        return;
    case MODEL_RESTART:
        log->count = 0;
        log->log_start = op->number;
        log->leo = op->number;
        return;
    case MODEL_LOG_START:
        log->log_start = log->log_start < op->number ? op->number : log->log_start;
        while (gone < log->count && end_of(&log->batches[gone]) <= log->log_start) {
            gone++;
        }
        log->count -= gone;
        if (gone > 0) {
            memmove(log->batches, log->batches + gone, log->count * sizeof *log->batches);
        }
        return;
    case MODEL_DELETE:
        log->exists = false;
        log->count = 0;
        return;
    case MODEL_NOTE:
        state->notes[op->log % MODEL_NOTES] = op->number;
        return;
    }
}

/* ---- comparison ------------------------------------------------------------------------------ */

const char *model_history_lacks(const struct model_log *log, const struct store_log_state *state,
                                size_t *out_count)
{
    size_t at = 0;
    int32_t epoch = -1;

    for (size_t i = 0; i < log->count; i++) {
        const struct model_batch *batch = &log->batches[i];
        if (batch->epoch == epoch) {
            continue;
        }
        epoch = batch->epoch;
        int64_t start = batch->base > log->log_start ? batch->base : log->log_start;
        if (at >= state->history_count || state->history[at].epoch != epoch ||
            state->history[at].start_offset != start) {
            return "epoch history differs";
        }
        at++;
    }
    *out_count = at;
    return NULL;
}

static const char *history_differs(const struct model_log *log, const struct store_log_state *state)
{
    size_t count = 0;
    const char *wrong = model_history_lacks(log, state, &count);

    if (wrong != NULL) {
        return wrong;
    }
    /* An epoch whose records are all below the log start may still be listed. */
    return log->count > 0 && count != state->history_count ? "epoch history is too long" : NULL;
}

struct check_read {
    struct store_read read;
    bool finished;
};

static void check_read_done(struct store_read *read)
{
    CONTAINER_OF(read, struct check_read, read)->finished = true;
}

/* Compares the chunks with the model's batches from *index on. */
static const char *chunks_differ(const struct model_log *log, const struct store_read *read,
                                 size_t *index)
{
    for (size_t i = 0; i < read->chunk_count; i++) {
        struct slice in = chunk_slice(read->chunks[i]);
        while (in.len > 0) {
            if (*index >= log->count) {
                return "there are more batches than were appended";
            }
            struct chunk want = model_batch_bytes(&log->batches[*index]);
            bool same = want.len <= in.len && memcmp(want.base, in.base, want.len) == 0;
            in.base += want.len;
            in.len = same ? in.len - want.len : 0;
            chunk_drop(&want);
            if (!same) {
                return "a batch's bytes differ";
            }
            (*index)++;
        }
    }
    return NULL;
}

static const char *contents_differ(const struct model_log *log, struct store_log *stored,
                                   void (*pump)(void *ctx), void *ctx)
{
    const struct store_log_state *state = store_state(stored);
    int64_t at = state->log_start;
    size_t index = 0;

    while (at < state->leo) {
        struct check_read check = {.read = {.log = stored,
                                            .offset = at,
                                            .limit = state->leo,
                                            .max_bytes = 8000,
                                            .done = check_read_done}};
        size_t before = index;
        if (!store_read(&check.read)) {
            pump(ctx);
            if (!check.finished) {
                return "a read does not finish";
            }
        }
        if (check.read.status != 0) {
            return error_name(check.read.status);
        }
        const char *wrong = chunks_differ(log, &check.read, &index);
        store_read_fini(&check.read);
        if (wrong != NULL) {
            return wrong;
        }
        if (index == before) {
            return "a read brings nothing";
        }
        at = end_of(&log->batches[index - 1]);
    }
    return index == log->count ? NULL : "batches are missing";
}

static const char *log_differs(const struct model_log *log, unsigned index, struct store *store)
{
    struct store_log *stored = store_find(store, model_topic(index), model_partition(index));

    if ((stored != NULL) != log->exists) {
        return log->exists ? "a log is missing" : "a log is there that was deleted";
    }
    if (stored == NULL) {
        int32_t promised = store_tombstone(store, model_topic(index), model_partition(index));
        return promised == log->promised ? NULL : "a tombstone's promise differs";
    }
    const struct store_log_state *state = store_state(stored);
    if (state->promised != log->promised) {
        return "promised differs";
    }
    if (state->synced != log->synced) {
        return "synced differs";
    }
    if (state->log_start != log->log_start) {
        return "log start differs";
    }
    if (state->leo != log->leo) {
        return "log end differs";
    }
    if (state->durable_leo != state->leo) {
        return "what was replayed is not durable";
    }
    return history_differs(log, state);
}

static const char *notes_differ(const struct model_state *state, const struct store *store)
{
    for (uint32_t i = 0; i < MODEL_NOTES; i++) {
        struct slice value = store_note_get(store, i);
        int64_t number = value.len == 8 ? (int64_t)get_le64(value.base) : 0;
        if (number != state->notes[i]) {
            return "a note differs";
        }
    }
    return NULL;
}

const char *model_differs(const struct model_state *state, struct store *store,
                          void (*pump)(void *ctx), void *ctx)
{
    const char *wrong = notes_differ(state, store);

    for (unsigned i = 0; i < MODEL_LOGS && wrong == NULL; i++) {
        wrong = log_differs(&state->logs[i], i, store);
    }
    for (unsigned i = 0; i < MODEL_LOGS && wrong == NULL; i++) {
        if (state->logs[i].exists) {
            wrong = contents_differ(
                &state->logs[i], store_find(store, model_topic(i), model_partition(i)), pump, ctx);
        }
    }
    return wrong;
}

/* ---- quarantine ------------------------------------------------------------------------------ */

struct looking {
    const struct model_log *log;
    unsigned index;
    size_t first; /* batch */
    struct disk *disk;
    bool found;
};

static bool file_holds(const struct looking *looking, const struct store_quarantined *q)
{
    struct disk_file *file = NULL;
    uint64_t pos = QUARANTINE_HEADER;
    bool same = looking->disk->ops->open(looking->disk, q->path, false, &file) == 0;

    for (size_t i = looking->first; same && i < looking->log->count; i++) {
        struct chunk want = model_batch_bytes(&looking->log->batches[i]);
        uint8_t *have = mem_new(want.len);
        int64_t got = looking->disk->ops->read(looking->disk, file, pos, have, want.len);
        same = got == (int64_t)want.len && memcmp(have, want.base, want.len) == 0;
        pos += want.len;
        free(have);
        chunk_drop(&want);
    }
    if (file != NULL) {
        looking->disk->ops->close(looking->disk, file);
    }
    return same;
}

static void look_at(void *ctx, const struct store_quarantined *q)
{
    struct looking *looking = ctx;

    if (uuid_equal(q->topic_id, model_topic(looking->index)) &&
        q->partition == model_partition(looking->index) &&
        q->first_offset == looking->log->batches[looking->first].base &&
        q->end_offset == looking->log->leo && file_holds(looking, q)) {
        looking->found = true;
    }
}

const char *model_quarantine_lacks(const struct model_state *before, const struct model_op *op,
                                   struct store *store, struct disk *disk)
{
    const struct model_log *log = &before->logs[op->log];
    struct looking looking = {.log = log, .index = op->log, .disk = disk};
    int64_t from = op->kind == MODEL_TRUNCATE ? op->number : log->log_start;

    while (looking.first < log->count && log->batches[looking.first].base < from &&
           op->kind == MODEL_TRUNCATE) {
        looking.first++;
    }
    if (looking.first == log->count) {
        return NULL; /* nothing was cut */
    }
    store_quarantine_each(store, look_at, &looking);
    return looking.found ? NULL : "a cut was made whose bytes are not in quarantine";
}

const char *model_match(const struct model_state *base, const struct model_op *ops, size_t count,
                        struct store *store, struct disk *disk, void (*pump_reads)(void *ctx),
                        void *ctx, struct model_state *out_state, size_t *out_count)
{
    struct model_state state;
    const char *first_wrong = NULL;
    const char *lacks = NULL;

    model_state_copy(&state, base);
    for (size_t i = 0; i <= count; i++) {
        const char *wrong = model_differs(&state, store, pump_reads, ctx);
        if (wrong == NULL) {
            *out_state = state;
            *out_count = i;
            return lacks;
        }
        first_wrong = first_wrong == NULL ? wrong : first_wrong;
        if (i < count) {
            if (lacks == NULL && ops[i].quarantine) {
                lacks = model_quarantine_lacks(&state, &ops[i], store, disk);
            }
            model_apply(&state, &ops[i]);
        }
    }
    model_state_fini(&state);
    return first_wrong;
}
