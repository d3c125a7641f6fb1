/* SPDX-License-Identifier: Apache-2.0 */
/* Bits of a stored node flip, one at a time, anywhere: every one must be noticed, or have been in
 * bytes that nothing rests on.
 *
 * A workload of random calls runs on a disk in memory and stops. Then copies of that disk get one
 * flipped bit each, some before a store is opened on them, some while it is open. Noticed is a flip
 * that is refused, that makes the disk forget, that is mended, or that marks records as damaged;
 * those are filled as another replica would, and then everything must be as if nothing had been.
 * Whatever is not noticed must have changed nothing at all: neither what the store says nor any
 * byte that it gives out, also after another start. */
#include <stdio.h>

#include "base/crc.h"
#include "base/trace.h"
#include "tests/crash/model.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"

#define FLIPS_PER_WORKLOAD 40
static unsigned flips_at_once = 1;
#define OPS               160
#define QUARANTINE_HEADER 128

/* ---- what the store says aloud --------------------------------------------------------------- */

static unsigned warnings;

static void listen(enum trace_level level, const char *line)
{
    if (level <= TRACE_WARN) {
        static const char *const words[] = {"damage", "mended", "healed", "forgotten",
                                            "unreadable"};
        for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
            warnings += strstr(line, words[i]) != NULL;
        }
    }
}

/* ---- a store --------------------------------------------------------------------------------- */

struct box {
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    const char *fatal;
    char why[256];
};

static void died(void *ctx, int error, const char *what)
{
    (void)error;
    ((struct box *)ctx)->fatal = what;
}

static int box_open(struct box *box, uint64_t seed)
{
    struct store_options options = store_defaults();

    fake_clock_init(&box->clock, seed);
    options.journal_file_bytes = 64u << 10;
    options.journal_files_max = 4;
    options.segment_bytes = 12000;
    options.reserve_bytes = 0;
    options.cache_bytes = seed % 2 == 0 ? 0 : 20000;
    options.blocks_from = seed % 3 == 0 ? 16384 : 600;
    options.idle_marker_ms = 20;
    options.apply_wait_ms = 100;
    options.checkpoint_ms = 400;
    options.scrub_pass_ms = 3600000;
    options.fatal = died;
    options.fatal_ctx = box;
    int status = store_open(box->disk, &box->clock.clock, &options, &box->store, box->why);
    if (status != 0) {
        box->store = NULL;
    }
    return status;
}

static void box_close(struct box *box)
{
    mem_disk_kill(box->disk);
    if (box->store != NULL) {
        store_close(box->store);
        box->store = NULL;
    }
    fake_clock_fini(&box->clock);
}

static void run_ms(struct box *box, uint64_t ms)
{
    fake_clock_run(&box->clock, ms * 1000);
}

/* ---- the workload ---------------------------------------------------------------------------- */

struct truth {
    struct model_state state;
    /* Every batch that was ever appended: also what a disk that has forgotten may still have. */
    struct model_batch *ever;
    unsigned *ever_log;
    size_t ever_count;
    size_t ever_cap;
};

static struct store_log *stored(struct box *box, unsigned log)
{
    return store_find(box->store, model_topic(log), model_partition(log));
}

static void remember(struct truth *truth, unsigned log, const struct model_batch *batch)
{
    if (truth->ever_count == truth->ever_cap) {
        truth->ever_cap = truth->ever_cap > 0 ? truth->ever_cap * 2 : 64;
        truth->ever = mem_grow(truth->ever, truth->ever_cap, sizeof *truth->ever);
        truth->ever_log = mem_grow(truth->ever_log, truth->ever_cap, sizeof *truth->ever_log);
    }
    truth->ever[truth->ever_count] = *batch;
    truth->ever_log[truth->ever_count++] = log;
}

static void append(struct box *box, struct truth *truth, struct prng *prng, unsigned index)
{
    struct model_log *log = &truth->state.logs[index];
    struct model_op op = {.kind = MODEL_APPEND, .log = index};

    op.batch =
        (struct model_batch){log->leo, (int32_t)prng_between(prng, 1, 5), log->synced,
                             (uint32_t)prng_between(prng, 61, 2500), (uint32_t)prng_next(prng)};
    struct chunk bytes = model_batch_bytes(&op.batch);
    store_append(stored(box, index), bytes, NULL);
    chunk_drop(&bytes);
    remember(truth, index, &op.batch);
    model_apply(&truth->state, &op);
}

/* What follows a cut belongs to a new epoch: one offset of one epoch is one record. */
static void epoch_next(struct box *box, struct truth *truth, unsigned index)
{
    struct model_op op = {.kind = MODEL_SYNCED, .log = index};

    op.number = truth->state.logs[index].promised + 1;
    store_synced(stored(box, index), (int32_t)op.number, NULL);
    model_apply(&truth->state, &op);
}

static void cut(struct box *box, struct truth *truth, struct prng *prng, unsigned index)
{
    struct model_log *log = &truth->state.logs[index];
    struct model_op op = {.kind = MODEL_TRUNCATE, .log = index};

    if (log->count < 2) {
        return;
    }
    op.number = log->batches[log->count / 2 + prng_below(prng, log->count / 2)].base;
    if (op.number < log->log_start) {
        return;
    }
    store_truncate(stored(box, index), op.number, prng_chance(prng, 1, 2), NULL);
    run_ms(box, 60);
    model_apply(&truth->state, &op);
    epoch_next(box, truth, index);
}

static void raise_start(struct box *box, struct truth *truth, struct prng *prng, unsigned index)
{
    struct model_log *log = &truth->state.logs[index];
    struct model_op op = {.kind = MODEL_LOG_START, .log = index};

    if (log->count > 2) {
        op.number = log->batches[prng_below(prng, log->count / 2)].base;
        store_log_start(stored(box, index), op.number, NULL);
        model_apply(&truth->state, &op);
    }
}

static void note(struct box *box, struct truth *truth, struct prng *prng)
{
    struct model_op op = {.kind = MODEL_NOTE, .log = (unsigned)prng_below(prng, MODEL_NOTES)};
    uint8_t value[8];

    op.number = (int64_t)prng_below(prng, 1000) + 1;
    put_le64(value, (uint64_t)op.number);
    store_note_put(box->store, op.log, slice_of(value, sizeof value), NULL);
    model_apply(&truth->state, &op);
}

static void one_call(struct box *box, struct truth *truth, struct prng *prng)
{
    unsigned index = (unsigned)prng_below(prng, MODEL_LOGS);
    struct model_log *log = &truth->state.logs[index];
    struct model_op op = {.log = index};
    struct store_req *nobody = NULL;

    if (!log->exists) {
        op.kind = MODEL_CREATE;
        (void)store_create(box->store, model_topic(index), model_partition(index), nobody);
        model_apply(&truth->state, &op);
        epoch_next(box, truth, index);
        return;
    }
    switch (prng_below(prng, 16)) {
    case 0:
        cut(box, truth, prng, index);
        break;
    case 1:
        raise_start(box, truth, prng, index);
        break;
    case 2:
        note(box, truth, prng);
        break;
    case 3:
        epoch_next(box, truth, index);
        break;
    case 4:
        if (!store_state(stored(box, index))->truncating) {
            store_producers_save(stored(box, index), log->leo, log->leo, slice_text("producers"),
                                 nobody);
        }
        break;
    default:
        append(box, truth, prng, index);
        break;
    }
}

static void workload(struct box *box, struct truth *truth, struct prng *prng)
{
    uint64_t ops = prng_between(prng, 10, OPS);

    for (uint64_t i = 0; i < ops; i++) {
        one_call(box, truth, prng);
        if (prng_chance(prng, 1, 3)) {
            run_ms(box, prng_below(prng, 60));
        }
        if (prng_chance(prng, 1, 60)) {
            store_flush(box->store, NULL);
        }
    }
    run_ms(box, prng_chance(prng, 1, 2) ? 60 : 600);
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct look {
    struct box *box;
    const struct truth *truth;
    bool earlier; /* an earlier state is right, too */
    unsigned damaged;
    const char *wrong;
};

struct waiting {
    struct store_read read;
    bool done;
};

static void read_done(struct store_read *read)
{
    CONTAINER_OF(read, struct waiting, read)->done = true;
}

static bool was_written(const struct truth *truth, unsigned log, struct slice bytes)
{
    for (size_t i = 0; i < truth->ever_count; i++) {
        const struct model_batch *batch = &truth->ever[i];
        if (truth->ever_log[i] != log || batch->base != (int64_t)get_be64(bytes.base) ||
            batch->epoch != (int32_t)get_be32(bytes.base + 12)) {
            continue;
        }
        struct chunk want = model_batch_bytes(batch);
        bool same = want.len <= bytes.len && memcmp(want.base, bytes.base, want.len) == 0;
        chunk_drop(&want);
        if (same) {
            return true;
        }
    }
    return false;
}

/* The batch of the truth that begins at `base`; NULL if none does. */
static const struct model_batch *batch_at(const struct model_log *log, int64_t base)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->batches[i].base == base) {
            return &log->batches[i];
        }
    }
    return NULL;
}

static int64_t check_chunk(struct look *look, unsigned index, struct slice in, int64_t at)
{
    const struct model_log *log = &look->truth->state.logs[index];

    while (in.len >= 61 && look->wrong == NULL) {
        size_t len = get_be32(in.base + 8) + (size_t)12;
        int64_t base = (int64_t)get_be64(in.base);
        const struct model_batch *batch = batch_at(log, base);
        bool same = false;
        if (!look->earlier && batch != NULL && batch->len == len && len <= in.len) {
            struct chunk want = model_batch_bytes(batch);
            same = memcmp(want.base, in.base, len) == 0;
            chunk_drop(&want);
        }
        if (look->earlier) {
            same = len <= in.len && was_written(look->truth, index, in);
        }
        if (!same || base > at) {
            look->wrong = "a batch is given out that was not written there";
            break;
        }
        at = base + (int64_t)get_be32(in.base + 23) + 1;
        in = slice_of(in.base + len, in.len - len);
    }
    return at;
}

static void read_log(struct look *look, unsigned index, struct store_log *log)
{
    int64_t at = store_state(log)->log_start;

    while (at < store_state(log)->leo && look->wrong == NULL) {
        struct waiting w = {.read = {.log = log,
                                     .offset = at,
                                     .limit = store_state(log)->leo,
                                     .max_bytes = 6000,
                                     .done = read_done}};
        int64_t before = at;
        if (!store_read(&w.read)) {
            run_ms(look->box, 20);
            if (!w.done) {
                look->wrong = "a read does not finish";
                return;
            }
        }
        for (size_t i = 0; i < w.read.chunk_count; i++) {
            at = check_chunk(look, index, chunk_slice(w.read.chunks[i]), at);
        }
        struct store_damage damage;
        if (w.read.status == TERN_EDAMAGED && store_damage_at(log, at, &damage) &&
            damage.offset <= at) {
            look->damaged++;
            at = damage.end;
        } else if (w.read.status != 0) {
            look->wrong = error_name(w.read.status);
        }
        store_read_fini(&w.read);
        if (at == before && look->wrong == NULL) {
            look->wrong = "a read brings nothing";
        }
    }
}

static void check_log(struct look *look, unsigned index)
{
    const struct model_log *log = &look->truth->state.logs[index];
    struct store_log *found = stored(look->box, index);

    if (found == NULL || !log->exists) {
        if (!look->earlier && (found != NULL) != log->exists) {
            look->wrong = "a log is missing, or there is one too many";
        }
        return;
    }
    const struct store_log_state *state = store_state(found);
    if (!look->earlier) {
        if (state->promised != log->promised || state->synced != log->synced ||
            state->log_start != log->log_start || state->leo != log->leo) {
            look->wrong = "promised, synced, log start or log end differ";
            return;
        }
        look->wrong = model_history_lacks(log, state, &(size_t){0});
    }
    if (look->wrong == NULL) {
        read_log(look, index, found);
    }
}

static void check_notes(struct look *look)
{
    for (uint32_t i = 0; i < MODEL_NOTES && !look->earlier; i++) {
        struct slice value = store_note_get(look->box->store, i);
        int64_t number = value.len == 8 ? (int64_t)get_le64(value.base) : 0;
        if (number != look->truth->state.notes[i]) {
            look->wrong = "a note differs";
        }
    }
}

static void check_producers(struct look *look)
{
    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        struct store_log *log = stored(look->box, i);
        struct buf out = {0};
        int64_t offset = 0;
        if (log != NULL && store_producers_load(log, INT64_MAX, &offset, &out) &&
            (out.len != 9 || memcmp(out.base, "producers", 9) != 0)) {
            look->wrong = "a producer snapshot differs";
        }
        buf_fini(&out);
    }
}

/* Headers are checked by whoever lists the files, bytes by whoever uses them. */
static void check_quarantined(void *ctx, const struct store_quarantined *q)
{
    struct look *look = ctx;
    struct disk *disk = look->box->disk;
    struct disk_file *file = NULL;
    uint8_t head[QUARANTINE_HEADER] = {0};
    uint8_t *bytes = mem_new(q->bytes + 1);

    if (disk->ops->open(disk, q->path, false, &file) == 0) {
        int64_t got = disk->ops->read(disk, file, 0, head, sizeof head);
        got = got == (int64_t)sizeof head
                  ? disk->ops->read(disk, file, sizeof head, bytes, (size_t)q->bytes)
                  : -1;
        if (got != (int64_t)q->bytes ||
            crc32c(slice_of(bytes, (size_t)q->bytes)) != get_le32(head + 80)) {
            warnings++;
        }
        disk->ops->close(disk, file);
    }
    free(bytes);
}

static struct look look_at(struct box *box, const struct truth *truth, bool earlier)
{
    struct look look = {.box = box, .truth = truth, .earlier = earlier};

    check_notes(&look);
    for (unsigned i = 0; i < MODEL_LOGS && look.wrong == NULL; i++) {
        check_log(&look, i);
    }
    check_producers(&look);
    store_quarantine_each(box->store, check_quarantined, &look);
    if (box->fatal != NULL) {
        look.wrong = "the store gave up";
    }
    return look;
}

/* ---- repair ---------------------------------------------------------------------------------- */

static const char *repair_log(struct box *box, const struct truth *truth, unsigned index)
{
    struct store_log *log = stored(box, index);
    struct store_damage damage;

    int64_t from = 0;

    for (int i = 0; i < 1000 && store_damage_at(log, from, &damage); i++) {
        const struct model_batch *batch = NULL;
        if (damage.offset < store_state(log)->log_start) {
            from = damage.end; /* its front is deleted: nobody can fill it */
            continue;
        }
        for (size_t k = 0; k < truth->ever_count; k++) {
            /* What another replica holds: the same epoch at the same offset. */
            if (truth->ever_log[k] == index && truth->ever[k].base == damage.offset &&
                truth->ever[k].epoch == damage.epoch) {
                batch = &truth->ever[k];
            }
        }
        if (batch == NULL) {
            return "what is damaged was never written";
        }
        struct chunk bytes = model_batch_bytes(batch);
        int status = store_repair(log, bytes, NULL);
        chunk_drop(&bytes);
        if (status != 0 && status != TERN_EBUSY) {
            return "a repair is refused";
        }
        run_ms(box, 120);
    }
    return store_damage_at(log, from, &damage) ? "repairs do not come to an end" : NULL;
}

/* ---- one flip -------------------------------------------------------------------------------- */

struct target {
    struct prng *prng;
    bool by_size;
    uint64_t seen;
    char path[256];
    uint64_t size;
};

static void pick(void *ctx, const char *path, uint64_t size)
{
    struct target *target = ctx;
    uint64_t weight = target->by_size ? size : 1;

    if (size == 0) {
        return;
    }
    target->seen += weight;
    if (prng_below(target->prng, target->seen) < weight) {
        (void)snprintf(target->path, sizeof target->path, "%s", path);
        target->size = size;
    }
}

static void flip(struct box *box, struct prng *prng, struct target *out, uint64_t *out_pos,
                 unsigned *out_bit)
{
    *out = (struct target){.prng = prng, .by_size = prng_chance(prng, 1, 2)};
    mem_disk_each(box->disk, pick, out);
    /* Most of a journal is not in use: half of the flips go where something is. */
    uint64_t room = out->size;
    if (!out->by_size && strncmp(out->path, "journal/", 8) == 0 && room > 16384) {
        room = (uint64_t)16384 << prng_below(prng, 3);
        room = room < out->size ? room : out->size;
    }
    *out_pos = prng_below(prng, room);
    *out_bit = (unsigned)prng_below(prng, 8);
    (void)mem_disk_flip(box->disk, out->path, *out_pos, *out_bit);
}

enum outcome { DETECTED, HARMLESS, UNDETECTED };

/* Ranges in the midst of which a log starts. */
static unsigned straddling(struct box *box)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        struct store_log *log = stored(box, i);
        struct store_damage damage;
        count += log != NULL && store_damage_at(log, 0, &damage) &&
                 damage.offset < store_state(log)->log_start;
    }
    return count;
}

/* Reads, fills what is damaged, reads again. NULL, or what is wrong. */
static const char *settle(struct box *box, const struct truth *truth, unsigned *out_damaged)
{
    bool forgotten = store_forgotten(box->store);
    struct look look = look_at(box, truth, forgotten);

    *out_damaged = look.damaged;
    for (unsigned i = 0; i < MODEL_LOGS && !forgotten && look.wrong == NULL; i++) {
        if (stored(box, i) != NULL) {
            look.wrong = repair_log(box, truth, i);
        }
    }
    if (look.wrong != NULL || forgotten) {
        return look.wrong;
    }
    look = look_at(box, truth, false);
    return look.wrong == NULL && look.damaged > straddling(box) ? "damage is left after the repair"
                                                                : look.wrong;
}

/* And starts again; what was flipped under an open store may be found only then. */
static enum outcome examine(struct box *box, const struct truth *truth, const char **out_wrong)
{
    unsigned damaged = 0;
    bool forgotten = false;
    unsigned said = 0;

    for (int round = 0; round < 3; round++) {
        *out_wrong = settle(box, truth, &damaged);
        forgotten = forgotten || store_forgotten(box->store);
        if (*out_wrong == NULL && round == 2 && damaged > straddling(box) && !forgotten) {
            *out_wrong = "what was repaired is damaged again";
        }
        if (*out_wrong != NULL) {
            return UNDETECTED;
        }
        said = warnings;
        if (round < 2) {
            run_ms(box, 50);
            box_close(box);
            if (box_open(box, 77) != 0) {
                *out_wrong = box->why;
                return box->why[0] != '\0' ? DETECTED : UNDETECTED;
            }
        }
    }
    return said > 0 || forgotten ? DETECTED : HARMLESS;
}

static enum outcome one_flip(const struct box *original, const struct truth *truth, uint64_t seed,
                             bool verbose)
{
    struct box box = {0};
    struct prng prng;
    struct target target;
    uint64_t pos = 0;
    unsigned bit = 0;
    const char *wrong = NULL;
    enum outcome outcome = DETECTED;

    prng_init(&prng, seed);
    fake_clock_init(&box.clock, seed);
    box.disk = mem_disk_copy(original->disk, &box.clock.clock, seed);
    fake_clock_fini(&box.clock);
    bool open = prng_chance(&prng, 1, 3);
    warnings = 0;
    for (unsigned i = 0; !open && i < flips_at_once; i++) {
        flip(&box, &prng, &target, &pos, &bit);
    }
    int status = box_open(&box, seed);
    if (open) {
        CHECK(status == 0);
        run_ms(&box, prng_below(&prng, 800));
    }
    for (unsigned i = 0; open && i < flips_at_once; i++) {
        flip(&box, &prng, &target, &pos, &bit);
    }
    if (status == 0) {
        outcome = examine(&box, truth, &wrong);
    }
    if (outcome == UNDETECTED || verbose) {
        static const char *const names[] = {"detected", "harmless", "UNDETECTED"};
        printf("%s seed %llu: %s, byte %llu, bit %u, %s%s%s%s\n", names[outcome],
               (unsigned long long)seed, target.path, (unsigned long long)pos, bit,
               open ? "while open" : "before opening", wrong != NULL ? ": " : "",
               wrong != NULL ? wrong : "", status != 0 ? ": refused" : "");
    }
    if (box.store != NULL || status == 0) {
        box_close(&box);
    } else {
        fake_clock_fini(&box.clock);
    }
    mem_disk_free(box.disk);
    return outcome;
}

static void flips_of(uint64_t seed, uint64_t first, uint64_t count, bool verbose,
                     uint64_t totals[3])
{
    struct box box = {0};
    struct truth truth = {0};
    struct prng prng;

    prng_init(&prng, seed);
    fake_clock_init(&box.clock, seed);
    box.disk = mem_disk_new(&box.clock.clock, seed);
    fake_clock_fini(&box.clock);
    CHECK(box_open(&box, seed) == 0);
    workload(&box, &truth, &prng);
    CHECK(box.fatal == NULL);
    if (prng_chance(&prng, 1, 2)) {
        mem_disk_crash(box.disk); /* everything was acknowledged: nothing may be missing */
    }
    box_close(&box);
    for (uint64_t i = 0; i < count; i++) {
        totals[one_flip(&box, &truth, seed * 1000003 + first + i, verbose)]++;
    }
    mem_disk_free(box.disk);
    model_state_fini(&truth.state);
    free(truth.ever);
    free(truth.ever_log);
}

/* argv: the number of flips; the first workload's seed; "-v"; how many bits flip each time. */
int main(int argc, char **argv)
{
    uint64_t flips = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    bool verbose = argc > 3 && strcmp(argv[3], "-v") == 0;
    uint64_t totals[3] = {0};

    flips_at_once = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1;
    trace_set_sink(listen);
    for (uint64_t done = 0; done < flips; seed++) {
        uint64_t left = flips - done;
        uint64_t count = left < FLIPS_PER_WORKLOAD ? left : FLIPS_PER_WORKLOAD;
        flips_of(seed, 0, count, verbose, totals);
        done += count;
    }
    printf("bitflips: %llu flips, %llu detected, %llu harmless, %llu undetected\n",
           (unsigned long long)flips, (unsigned long long)totals[DETECTED],
           (unsigned long long)totals[HARMLESS], (unsigned long long)totals[UNDETECTED]);
    return totals[UNDETECTED] == 0 ? 0 : 1;
}
