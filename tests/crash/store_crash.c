/* SPDX-License-Identifier: Apache-2.0 */
/* The store loses power at every write point.
 *
 * A workload of random calls runs on a disk in memory. Before every single write, sync or change of
 * a name reaches that disk, the disk is copied a few times, each copy loses what was not synced in
 * its own way, a store is opened on it and compared with the model. Then it is used a little, loses
 * power again, and is compared once more. */
#include <stdio.h>
#include <string.h>

#include "base/trace.h"
#include "tests/crash/model.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"

#define VARIANTS    2 /* copies that lose power (or only their process) at each point */
#define USES        2 /* and again so often */
#define OPS_MAX     4096
#define APPENDS_MAX 48

struct run;
struct save;

struct call {
    struct store_req req;
    struct run *run;
    size_t index;       /* of its op; NOT_YET while it is held back behind a cut; NEVER */
    struct save *given; /* the snapshot of producers that comes with a restart; NULL: none */
};

#define NOT_YET SIZE_MAX
#define NEVER   (SIZE_MAX - 1)

/* A cut whose bytes are being saved, and what was called on the log since: they take their place in
 * the order of all writes when the store's state shows the cut. */
struct held {
    struct model_op ops[16];
    struct call *calls[16];
    size_t count; /* 0: no cut is under way */
};

#define SAVES_MAX 256

struct save {
    struct store_req req;
    struct run *run;
    unsigned log;
    int64_t offset;
    bool void_;
};

struct run {
    uint64_t seed;
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    struct prng prng;
    /* Acknowledged (or found after a restart) and what was called since, in order. */
    struct model_state acked_state;
    struct model_op ops[OPS_MAX];
    size_t op_count;
    size_t acked; /* of ops */
    /* The called-for state, to choose the next call by. */
    struct model_state called;
    /* Cuts that were acknowledged: their quarantine must be there for ever. */
    struct {
        struct model_state before;
        struct model_op op;
    } cuts[64];
    size_t cut_count;
    uint64_t points;
    uint64_t checks;
    const char *wrong;
    uint64_t wrong_point;
    char why[256];
    struct call calls[OPS_MAX];
    size_t call_count;
    struct held held[MODEL_LOGS];
    /* Epochs of each log: the newest, and the least of the next batch. What was cut or lost is not
     * written anew in the same epoch (replication.md, recovery). */
    int32_t newest[MODEL_LOGS];
    int32_t least[MODEL_LOGS];
    bool matching; /* it was just opened, and `called` is of before */
    /* Snapshots of producers: called for; and the newest of each log that is durable, -1: none. */
    struct save saves[SAVES_MAX];
    unsigned save_count;
    int64_t saved[MODEL_LOGS];
};

static void quiet(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
}

static void died(void *ctx, int error, const char *what)
{
    struct run *run = ctx;

    (void)snprintf(run->why, sizeof run->why, "%s: %s", what, error_name(error));
    run->wrong = "the store gave up";
}

/* ---- what the roster says -------------------------------------------------------------------- */

/* The batch that ends there; NULL: none does. */
static const struct model_batch *batch_before(const struct model_log *log, int64_t offset)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->batches[i].base + log->batches[i].records == offset) {
            return &log->batches[i];
        }
    }
    return NULL;
}

/* Which of its logs the store means. */
static unsigned log_of(const struct store_log *log)
{
    const struct store_log_state *state = store_state(log);

    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        if (state->partition == model_partition(i) && uuid_equal(state->topic_id, model_topic(i))) {
            return i;
        }
    }
    return MODEL_LOGS;
}

/* Of what the last batch is, which no other batch has: so it can be seen later whether this is said
 * of the log that is there then. Not of every log, for then the roster before counts. */
static bool tell(const struct model_state *called, const struct store_log *log, struct buf *out)
{
    int64_t leo = store_state(log)->leo;
    const struct model_batch *last = batch_before(&called->logs[log_of(log)], leo);

    if (last != NULL) {
        buf_printf(out, "told at %lld of %u", (long long)leo, last->seed);
    }
    return last != NULL && (store_state(log)->partition % 2 == 0 || leo % 3 > 0);
}

/* What producers are loaded from a roster must be said of this very log. */
static const char *roster_lies(const struct model_state *state, struct store *store)
{
    const char *lie = NULL;

    for (unsigned i = 0; i < MODEL_LOGS && lie == NULL; i++) {
        struct store_log *log = store_find(store, model_topic(i), model_partition(i));
        struct buf out = {0};
        long long offset = -1;
        int64_t loaded = -1;
        unsigned seed = 0;
        if (log != NULL && store_producers_load(log, INT64_MAX, &loaded, &out)) {
            buf_put(&out, slice_of("", 1));
            if (sscanf((const char *)out.base, "told at %lld of %u", &offset, &seed) == 2) {
                const struct model_batch *last = batch_before(&state->logs[i], offset);
                if (offset != loaded || last == NULL || last->seed != seed) {
                    lie = "a roster is believed of a log that was cut since";
                }
            }
        }
        buf_fini(&out);
    }
    return lie;
}

static struct store_options options_of(struct run *run)
{
    struct store_options options = store_defaults();

    options.journal_file_bytes = 64u << 10;
    options.journal_files_max = 3;
    options.segment_bytes = 12000;
    options.reserve_bytes = 0;
    options.cache_bytes = 0; /* written to segments at once; what is compared comes from there */
    options.blocks_from =
        run->seed % 3 == 0 ? 16384 : 600; /* some of a workload's writes, or none */
    options.idle_marker_ms = 20;
    options.apply_wait_ms = 100; /* so that crashes meet segments */
    options.checkpoint_ms = 50;
    options.compact_every_ms = 20;
    options.compact_bytes_per_s = 0;
    options.compact_map_bytes = 0;
    options.fatal = died;
    options.fatal_ctx = run;
    return options;
}

/* ---- checking a copy ------------------------------------------------------------------------- */

struct copy {
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    const struct model_state *called; /* NULL: not known yet */
};

static bool copy_tell(void *ctx, struct store_log *log, struct buf *out)
{
    struct copy *copy = ctx;

    return copy->called != NULL && tell(copy->called, log, out);
}

static void pump(void *ctx)
{
    struct copy *copy = ctx;

    fake_clock_run(&copy->clock, 2000);
}

static int copy_open(struct run *run, struct copy *copy, uint64_t seed)
{
    struct store_options options = options_of(run);

    options.producers = copy_tell;
    options.producers_ctx = copy;
    fake_clock_init(&copy->clock, seed);
    return store_open(copy->disk, &copy->clock.clock, &options, &copy->store, run->why);
}

/* The power fails, or only the process ends and the page cache stays. */
static void copy_close(struct copy *copy, bool power)
{
    if (power) {
        mem_disk_crash(copy->disk);
    } else {
        mem_disk_kill(copy->disk);
    }
    store_close(copy->store);
    fake_clock_fini(&copy->clock);
}

/* Finds how many of the calls the store holds, beyond `base`. NULL if it is some number of them,
 * and then the state and the number; else what differs. */
static const char *match(const struct model_state *base, const struct model_op *ops, size_t count,
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

static const char *cuts_lack(struct run *run, struct store *store, struct disk *disk)
{
    for (size_t i = 0; i < run->cut_count; i++) {
        const char *lacks =
            model_quarantine_lacks(&run->cuts[i].before, &run->cuts[i].op, store, disk);
        if (lacks != NULL) {
            return lacks;
        }
    }
    return NULL;
}

struct appended {
    struct store_req req;
    size_t *acked;
};

static void append_acked(struct store_req *req, int status)
{
    struct appended *appended = CONTAINER_OF(req, struct appended, req);

    *appended->acked += status == 0;
}

/* The recovered store must work: append to every log, lose power again, maybe before the appends
 * are acknowledged, and compare again. */
static const char *use_and_crash(struct run *run, struct copy *copy, struct model_state *state,
                                 int use, struct prng *prng)
{
    struct appended appended[APPENDS_MAX];
    struct model_op ops[APPENDS_MAX];
    struct model_state after = {0};
    struct model_state called = {0};
    size_t count = 0;
    size_t acked = 0;
    size_t held = 0;
    /* Now and then so much that the journal goes on to another file. */
    unsigned wanted = prng_chance(prng, 1, 10) ? APPENDS_MAX : MODEL_LOGS;

    model_state_copy(&called, state);
    copy->called = &called;
    for (unsigned i = 0; i < wanted; i++) {
        const struct model_log *log = &called.logs[i % MODEL_LOGS];
        struct model_op op = {.kind = MODEL_APPEND, .log = i % MODEL_LOGS};
        if (!log->exists) {
            continue;
        }
        op.batch =
            (struct model_batch){log->leo, 1, log->synced + 100 + use,
                                 (uint32_t)prng_between(prng, 61, 3000), (uint32_t)prng_next(prng)};
        struct chunk bytes = model_batch_bytes(&op.batch);
        appended[count] = (struct appended){.req = {.done = append_acked}, .acked = &acked};
        store_append(store_find(copy->store, model_topic(op.log), model_partition(op.log)), bytes,
                     &appended[count].req);
        chunk_drop(&bytes);
        model_apply(&called, &op);
        ops[count++] = op;
    }
    bool wait = prng_chance(prng, 1, 3);
    fake_clock_run(&copy->clock, wait ? 40000 : prng_below(prng, 600));
    copy->called = NULL;
    model_state_fini(&called);
    if (wait && acked < count) {
        return "an append after recovery is not acknowledged";
    }
    copy_close(copy, prng_chance(prng, 3, 4));
    copy->store = NULL;
    if (copy_open(run, copy, prng_next(prng)) != 0) {
        copy->store = NULL;
        return "it does not open again";
    }
    for (size_t i = 0; i < acked; i++) {
        model_apply(state, &ops[i]);
    }
    const char *wrong = match(state, ops + acked, count - acked, copy->store, copy->disk, pump,
                              copy, &after, &held);
    if (wrong == NULL) {
        model_state_fini(state);
        *state = after;
        wrong = roster_lies(state, copy->store);
    } else {
        model_state_fini(&after);
    }
    return wrong;
}

/* What was told as durable is found again, as long as the log reaches so far. */
static const char *saved_lacks(const struct run *run, struct store *store)
{
    const char *lacks = NULL;

    for (unsigned i = 0; i < MODEL_LOGS && lacks == NULL; i++) {
        struct store_log *log = store_find(store, model_topic(i), model_partition(i));
        struct buf out = {0};
        int64_t offset = -1;
        if (log != NULL && run->saved[i] >= 0 && store_state(log)->leo >= run->saved[i] &&
            (!store_producers_load(log, INT64_MAX, &offset, &out) || offset < run->saved[i])) {
            lacks = "a durable snapshot of producers is gone";
        }
        buf_fini(&out);
    }
    return lacks;
}

static const char *check_copy(struct run *run, struct copy *copy, struct prng *prng)
{
    struct model_state state = {0};
    size_t held = 0;
    const char *wrong = match(&run->acked_state, run->ops + run->acked, run->op_count - run->acked,
                              copy->store, copy->disk, pump, copy, &state, &held);

    if (wrong == NULL) {
        wrong = cuts_lack(run, copy->store, copy->disk);
    }
    if (wrong == NULL) {
        wrong = saved_lacks(run, copy->store);
    }
    if (wrong == NULL) {
        wrong = roster_lies(&state, copy->store);
    }
    for (int i = 0; i < USES && wrong == NULL; i++) {
        wrong = use_and_crash(run, copy, &state, i, prng);
    }
    model_state_fini(&state);
    return wrong;
}

static const char *check_variant(struct run *run, uint64_t seed)
{
    struct copy copy = {0};
    struct prng prng;
    const char *wrong = "it does not open";

    prng_init(&prng, seed);
    copy.disk = mem_disk_copy(run->disk, &copy.clock.clock, seed);
    fake_clock_init(&copy.clock, seed);
    if (prng_chance(&prng, 3, 4)) {
        mem_disk_crash(copy.disk);
    } else {
        mem_disk_kill(copy.disk);
    }
    fake_clock_fini(&copy.clock);
    if (copy_open(run, &copy, seed) == 0) {
        wrong = check_copy(run, &copy, &prng);
    } else {
        copy.store = NULL;
    }
    if (copy.store != NULL) {
        copy_close(&copy, true);
    } else {
        fake_clock_fini(&copy.clock);
    }
    mem_disk_free(copy.disk);
    return wrong;
}

static struct store_log *stored(struct run *run, unsigned log)
{
    return store_find(run->store, model_topic(log), model_partition(log));
}

static void record(struct run *run, const struct model_op *op, struct call *call)
{
    CHECK(run->op_count < OPS_MAX);
    call->index = run->op_count;
    run->ops[run->op_count++] = *op;
    model_apply(&run->called, op);
}

/* Gives held calls their place in the order, once their cut has been made. */
static void settle(struct run *run)
{
    for (unsigned i = 0; i < MODEL_LOGS && run->store != NULL; i++) {
        struct held *held = &run->held[i];
        struct store_log *log = held->count > 0 ? stored(run, i) : NULL;
        if (log == NULL) {
            continue;
        }
        const struct model_op *cut = &held->ops[0];
        const struct store_log_state *state = store_state(log);
        if (state->leo != cut->number ||
            (cut->kind == MODEL_RESTART && state->log_start != cut->number)) {
            continue;
        }
        for (size_t k = 0; k < held->count; k++) {
            record(run, &held->ops[k], held->calls[k]);
        }
        held->count = 0;
    }
}

static void visit(void *ctx)
{
    struct run *run = ctx;

    settle(run);
    run->points++;
    for (uint64_t i = 0; i < VARIANTS && run->wrong == NULL; i++) {
        run->wrong = check_variant(run, run->seed * 1000003 + run->points * VARIANTS + i);
        run->wrong_point = run->points;
        run->checks++;
    }
}

/* ---- the workload ---------------------------------------------------------------------------- */

static void acked_up_to(struct run *run, size_t count)
{
    for (; run->acked < count; run->acked++) {
        const struct model_op *op = &run->ops[run->acked];
        if (op->quarantine && run->cut_count < ARRAY_COUNT(run->cuts)) {
            model_state_copy(&run->cuts[run->cut_count].before, &run->acked_state);
            run->cuts[run->cut_count++].op = *op;
        }
        model_apply(&run->acked_state, op);
    }
}

/* The newest one that no later cut has made void. */
static void save_is_durable(struct save *save)
{
    if (!save->void_ && save->offset > save->run->saved[save->log]) {
        save->run->saved[save->log] = save->offset;
    }
    save->void_ = true;
}

static void call_done(struct store_req *req, int status)
{
    struct call *call = CONTAINER_OF(req, struct call, req);
    struct run *run = call->run;

    settle(run);
    if (call->given != NULL && status == 0) {
        save_is_durable(call->given);
    }
    if (status != 0) {
        run->wrong = "a call failed";
    } else if (call->index == NOT_YET) {
        run->wrong = "a call is acknowledged before the cut that it waits for";
    } else if (call->index == NEVER) {
        return;
    } else if (call->index < run->acked) {
        run->wrong = "calls are acknowledged out of order";
    } else {
        acked_up_to(run, call->index + 1);
    }
}

static struct call *call_new(struct run *run)
{
    CHECK(run->call_count < OPS_MAX);
    struct call *call = &run->calls[run->call_count++];
    *call = (struct call){.req = {.done = call_done}, .run = run, .index = NOT_YET};
    return call;
}

/* True if the call takes its place in the order only later. */
static bool is_held(struct run *run, const struct model_op *op, struct call *call)
{
    struct held *held = &run->held[op->log];
    bool cut = op->quarantine && run->called.logs[op->log].count > 0;

    if (op->kind == MODEL_DELETE) {
        for (size_t i = 0; i < held->count; i++) {
            held->calls[i]->index = NEVER; /* the cut is given up */
        }
        held->count = 0;
        return false;
    }
    if (!cut && (held->count == 0 || op->kind == MODEL_PROMISE || op->kind == MODEL_NOTE)) {
        return false;
    }
    CHECK(held->count < ARRAY_COUNT(held->ops));
    held->ops[held->count] = *op;
    held->calls[held->count++] = call;
    return true;
}

/* ---- producer snapshots ---------------------------------------------------------------------- */

static void save_done(struct store_req *req, int status)
{
    struct save *save = CONTAINER_OF(req, struct save, req);

    if (status != 0) {
        save->run->wrong = "a snapshot of producers was not stored";
    } else {
        save_is_durable(save);
    }
    save->void_ = true;
}

/* What a restart brings is durable with it. */
static struct slice given_with(struct run *run, const struct model_op *op, struct call *call)
{
    if (run->save_count == SAVES_MAX || op->number % 2 != 0) {
        return (struct slice){0};
    }
    call->given = &run->saves[run->save_count++];
    *call->given = (struct save){.run = run, .log = op->log, .offset = op->number};
    return slice_text("given");
}

static void call_save(struct run *run, unsigned index)
{
    const struct store_log_state *state = store_state(stored(run, index));

    if (run->save_count == SAVES_MAX || state->truncating) {
        return;
    }
    struct save *save = &run->saves[run->save_count++];
    *save =
        (struct save){.req = {.done = save_done}, .run = run, .log = index, .offset = state->leo};
    store_producers_save(stored(run, index), save->offset, state->durable_leo,
                         slice_text("producers"), &save->req);
}

/* A cut below it, or another log of the name. */
static void saves_void(struct run *run, const struct model_op *op)
{
    int64_t end = op->kind == MODEL_TRUNCATE ? op->number : -1;

    for (unsigned i = 0; i < run->save_count; i++) {
        struct save *save = &run->saves[i];
        save->void_ = save->void_ || (save->log == op->log && save->offset > end);
    }
    if (run->saved[op->log] > end) {
        run->saved[op->log] = -1;
    }
}

/* Carries out one call, and tells the model of it. */
static void carry_out(struct run *run, const struct model_op *op)
{
    settle(run);
    struct store_log *log = stored(run, op->log);
    struct call *call = call_new(run);
    struct store_req *req = &call->req;
    struct chunk bytes = {0};
    uint8_t note[8];

    if (!is_held(run, op, call)) {
        record(run, op, call);
    }
    if (op->kind == MODEL_TRUNCATE || op->kind == MODEL_RESTART || op->kind == MODEL_DELETE) {
        saves_void(run, op);
        run->least[op->log] = run->newest[op->log] + 1;
    }
    switch (op->kind) {
    case MODEL_CREATE:
        (void)store_create(run->store, model_topic(op->log), model_partition(op->log), req);
        return;
    case MODEL_APPEND:
        bytes = model_batch_bytes(&op->batch);
        store_append(log, bytes, req);
        chunk_drop(&bytes);
        return;
    case MODEL_PROMISE:
        store_promise(log, (int32_t)op->number, req);
        return;
    case MODEL_SYNCED:
        store_synced(log, (int32_t)op->number, req);
        return;
    case MODEL_TRUNCATE:
        store_truncate(log, op->number, !op->quarantine, req);
        return;
    case MODEL_RESTART:
        store_restart(log, op->number, !op->quarantine, given_with(run, op, call), req);
        return;
    case MODEL_LOG_START:
        store_log_start(log, op->number, req);
        return;
    case MODEL_DELETE:
        store_delete(log, req);
        return;
    case MODEL_NOTE:
        put_le64(note, (uint64_t)op->number);
        store_note_put(run->store, op->log % MODEL_NOTES,
                       slice_of(note, op->number != 0 ? sizeof note : 0), req);
        return;
    }
}

static void call_append(struct run *run, unsigned index)
{
    struct model_log *log = &run->called.logs[index];
    struct prng *prng = &run->prng;
    int32_t epoch = log->count > 0 ? log->batches[log->count - 1].epoch : 1;
    struct model_op op = {.kind = MODEL_APPEND, .log = index};

    epoch += prng_chance(prng, 1, 10);
    epoch = epoch < run->least[index] ? run->least[index] : epoch;
    run->newest[index] = epoch > run->newest[index] ? epoch : run->newest[index];
    op.batch =
        (struct model_batch){log->leo, (int32_t)prng_between(prng, 1, 5), epoch,
                             (uint32_t)prng_between(prng, 61, 2500), (uint32_t)prng_next(prng)};
    carry_out(run, &op);
}

/* Of two cuts that are made in one go nobody outside could tell the order. */
static bool any_held(const struct run *run)
{
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        if (run->held[i].count > 0) {
            return true;
        }
    }
    return false;
}

static void call_cut(struct run *run, unsigned index)
{
    struct model_log *log = &run->called.logs[index];
    struct prng *prng = &run->prng;
    struct model_op op = {.kind = MODEL_TRUNCATE, .log = index};

    op.quarantine = prng_chance(prng, 2, 3) && !any_held(run);
    if (log->count == 0 || prng_chance(prng, 1, 5)) {
        op.kind = MODEL_RESTART;
        op.number = log->leo + (int64_t)prng_below(prng, 100);
    } else {
        size_t at = log->count - 1 - prng_below(prng, log->count < 12 ? log->count : 12);
        op.number = log->batches[at].base;
        if (op.number < log->log_start) {
            return;
        }
    }
    carry_out(run, &op);
}

/* The largest `synced` that was called for, held calls included. */
static int64_t synced_called(const struct run *run, unsigned index)
{
    const struct held *held = &run->held[index];
    int64_t synced = run->called.logs[index].synced;

    for (size_t i = 0; i < held->count; i++) {
        if (held->ops[i].kind == MODEL_SYNCED && held->ops[i].number > synced) {
            synced = held->ops[i].number;
        }
    }
    return synced;
}

/* Segments are joined from now on. What is in these batches nobody can read, so every byte stays. */
static void call_compact(struct run *run, unsigned index)
{
    struct store_log *log = stored(run, index);
    struct log_settings settings = {.cleanup_policy = LOG_COMPACT,
                                    .retention_ms = -1,
                                    .retention_bytes = -1,
                                    .segment_bytes = prng_between(&run->prng, 2000, 30000)};

    store_configure(log, &settings);
    store_compactable(log, store_state(log)->leo, store_state(log)->leo);
}

static void call_one(struct run *run)
{
    struct prng *prng = &run->prng;
    unsigned index = (unsigned)prng_below(prng, MODEL_LOGS);
    struct model_log *log = &run->called.logs[index];
    uint64_t dice = prng_below(prng, 100);
    struct model_op op = {.log = index};

    if (dice >= 97) {
        op.kind = MODEL_NOTE;
        op.number = (int64_t)prng_below(prng, 4);
        carry_out(run, &op);
        return;
    }
    if (!log->exists) {
        op.kind = MODEL_CREATE;
        carry_out(run, &op);
        return;
    }
    settle(run);
    bool cutting = store_state(stored(run, index))->truncating;
    if (cutting && run->held[index].count + 1 >= ARRAY_COUNT(run->held[index].ops)) {
        return;
    }
    if (cutting && (dice < 70 || (dice >= 82 && dice < 88))) {
        return; /* no append and no second cut */
    }
    if (dice < 70) {
        call_append(run, index);
    } else if (dice < 76) {
        op.kind = MODEL_PROMISE;
        op.number = log->promised + (int64_t)prng_below(prng, 3);
        carry_out(run, &op);
    } else if (dice < 82) {
        op.kind = MODEL_SYNCED;
        op.number = synced_called(run, index) + (int64_t)prng_below(prng, 3);
        carry_out(run, &op);
    } else if (dice < 88) {
        call_cut(run, index);
    } else if (dice < 92) {
        op.kind = MODEL_LOG_START;
        int64_t end = run->held[index].count > 0 ? run->held[index].ops[0].number : log->leo;
        if (end >= log->log_start && end <= log->leo) {
            op.number = log->log_start +
                        (int64_t)prng_below(prng, (uint64_t)(end - log->log_start) / 2 + 1);
            carry_out(run, &op);
        }
    } else if (dice < 94) {
        op.kind = MODEL_DELETE;
        carry_out(run, &op);
    } else if (dice < 95) {
        store_flush(run->store, NULL);
    } else if (dice < 96) {
        call_compact(run, index);
    } else {
        call_save(run, index);
    }
}

static void run_pump(void *ctx)
{
    struct run *run = ctx;

    fake_clock_run(&run->clock, 2000);
}

static bool run_tell(void *ctx, struct store_log *log, struct buf *out)
{
    struct run *run = ctx;

    settle(run);
    return !run->matching && tell(&run->called, log, out);
}

/* Every second workload leaves appends in memory for a while, as a store with a cache does. */
static struct store_options main_options(struct run *run)
{
    struct store_options options = options_of(run);

    options.cache_bytes = run->seed % 2 == 0 ? 0 : 100000;
    options.producers = run_tell;
    options.producers_ctx = run;
    return options;
}

/* The process ends (with or without the power) and starts again; the model learns what was kept. */
static void start_again(struct run *run, bool power)
{
    struct store_options options = main_options(run);
    struct model_state state = {0};
    size_t held = 0;

    settle(run);
    mem_disk_on_point(run->disk, NULL, NULL);
    if (power) {
        mem_disk_crash(run->disk);
    } else {
        mem_disk_kill(run->disk);
    }
    store_close(run->store);
    run->store = NULL;
    memset(run->held, 0, sizeof run->held);
    run->matching = true;
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        run->least[i] = run->newest[i] + 1;
    }
    /* Whatever the opening writes are points too; what is there already must stay. */
    mem_disk_on_point(run->disk, visit, run);
    int status = store_open(run->disk, &run->clock.clock, &options, &run->store, run->why);
    if (run->wrong != NULL || status != 0) {
        run->wrong = run->wrong != NULL ? run->wrong : "it does not open again";
        run->wrong_point = run->points;
        return;
    }
    mem_disk_on_point(run->disk, NULL, NULL);
    const char *wrong = match(&run->acked_state, run->ops + run->acked, run->op_count - run->acked,
                              run->store, run->disk, run_pump, run, &state, &held);
    if (wrong == NULL) {
        wrong = roster_lies(&state, run->store);
    }
    if (wrong != NULL) {
        run->wrong = wrong;
        run->wrong_point = run->points;
        return;
    }
    acked_up_to(run, run->acked + held);
    model_state_fini(&run->acked_state);
    model_state_fini(&run->called);
    run->acked_state = state;
    model_state_copy(&run->called, &state);
    run->op_count = 0;
    run->call_count = 0;
    run->acked = 0;
    run->matching = false;
    mem_disk_on_point(run->disk, visit, run);
}

static struct run *run_new(uint64_t seed)
{
    struct run *run = mem_new(sizeof *run);

    run->seed = seed;
    memset(run->saved, 0xff, sizeof run->saved); /* -1 */
    fake_clock_init(&run->clock, seed);
    prng_init(&run->prng, seed);
    run->disk = mem_disk_new(&run->clock.clock, seed);
    return run;
}

static void run_free(struct run *run)
{
    mem_disk_on_point(run->disk, NULL, NULL);
    if (run->store != NULL) {
        mem_disk_kill(run->disk);
        store_close(run->store);
    }
    mem_disk_free(run->disk);
    fake_clock_fini(&run->clock);
    model_state_fini(&run->acked_state);
    model_state_fini(&run->called);
    for (size_t i = 0; i < run->cut_count; i++) {
        model_state_fini(&run->cuts[i].before);
    }
    free(run);
}

/* One workload; every seed is another one. */
static bool workload(uint64_t seed, unsigned steps, uint64_t *points)
{
    struct run *run = run_new(seed);
    struct store_options options = main_options(run);

    mem_disk_on_point(run->disk, visit, run);
    if (store_open(run->disk, &run->clock.clock, &options, &run->store, run->why) != 0) {
        run->wrong = "it does not open";
        run->store = NULL;
    }
    for (unsigned i = 0; i < steps && run->wrong == NULL; i++) {
        call_one(run);
        if (prng_chance(&run->prng, 1, 3)) {
            fake_clock_run(&run->clock, prng_below(&run->prng, 3000));
        } else if (prng_chance(&run->prng, 1, 40)) {
            fake_clock_run(&run->clock, 100000);
        }
        if (run->wrong == NULL && prng_chance(&run->prng, 1, 60)) {
            start_again(run, prng_chance(&run->prng, 1, 2));
        }
    }
    *points += run->points;
    bool good = run->wrong == NULL;
    printf("%s workload %llu: %llu write points, %llu crashes", good ? "ok  " : "FAIL",
           (unsigned long long)seed, (unsigned long long)run->points,
           (unsigned long long)run->checks);
    if (!good) {
        printf(": at point %llu: %s %s", (unsigned long long)run->wrong_point, run->wrong,
               run->why);
    }
    printf("\n");
    run_free(run);
    return good;
}

/* argv: the file with the least number of points; the number of workloads; the first seed. */
int main(int argc, char **argv)
{
    unsigned long workloads = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;
    uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    uint64_t points = 0;
    unsigned long long least = 0;
    unsigned passed = 0;
    unsigned failed = 0;

    trace_set_sink(quiet);
    for (uint64_t i = 0; i < workloads; i++) {
        bool good = workload(first + i, 250, &points);
        passed += good;
        failed += !good;
    }
    printf("crash: %llu write points visited\n", (unsigned long long)points);
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (file == NULL || fscanf(file, "%llu", &least) != 1 || points < least) {
        printf("FAIL the number of write points fell below %llu\n", least);
        failed++;
    } else {
        passed++;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
