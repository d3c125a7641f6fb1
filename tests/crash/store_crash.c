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
#include "tests/crash/copy.h"
#include "tests/crash/roster.h"
#include "tests/crash/run.h"

#define VARIANTS 2 /* copies that lose power (or only their process) at each point */

static void quiet(enum trace_level level, const char *line)
{
    (void)level;
    (void)line;
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
        run->wrong = copy_check_variant(run, run->seed * 1000003 + run->points * VARIANTS + i);
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
    return !run->matching && roster_tell(&run->called, log, out);
}

/* Every second workload leaves appends in memory for a while, as a store with a cache does. */
static struct store_options main_options(struct run *run)
{
    struct store_options options = run_options(run);

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
    const char *wrong =
        model_match(&run->acked_state, run->ops + run->acked, run->op_count - run->acked,
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
