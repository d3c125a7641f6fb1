/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/copy.h"

#include "tests/crash/roster.h"

#define USES        2 /* and again so often */
#define APPENDS_MAX 48

struct copy {
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    const struct model_state *called; /* NULL: not known yet */
};

static bool copy_tell(void *ctx, struct store_log *log, struct buf *out)
{
    struct copy *copy = ctx;

    return copy->called != NULL && roster_tell(copy->called, log, out);
}

static void pump(void *ctx)
{
    struct copy *copy = ctx;

    fake_clock_run(&copy->clock, 2000);
}

static int copy_open(struct run *run, struct copy *copy, uint64_t seed)
{
    struct store_options options = run_options(run);

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
    const char *wrong = model_match(state, ops + acked, count - acked, copy->store, copy->disk,
                                    pump, copy, &after, &held);
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
    const char *wrong =
        model_match(&run->acked_state, run->ops + run->acked, run->op_count - run->acked,
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

const char *copy_check_variant(struct run *run, uint64_t seed)
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
