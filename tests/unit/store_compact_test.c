/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction of one log: what goes, what stays, and what happens meanwhile. */
#include "base/prng.h"
#include "kafka/batch.h"
#include "kafka/compress.h"
#include "kafka/rewrite.h"
#include "store/key_map.h"
#include "tests/unit/store_fixture.h"

#define KEYS    50
#define WALL_MS 1700000000000

/* A transaction of the log, [first, last]; its marker is behind it. */
#define TXNS_MAX 400
struct told {
    int64_t producer_id;
    int64_t first;
    int64_t last;
    enum store_fate fate;
};

struct compacted {
    struct world *world;
    struct store_log *log;
    struct prng prng;
    int64_t newest[KEYS]; /* offset of the newest record of each key, -1: none */
    bool gone[KEYS];      /* and that is a tombstone */
    struct log_settings settings;
    struct told told[TXNS_MAX];
    size_t told_count;
    size_t aborted; /* records of aborted transactions */
};

static enum store_fate fate(void *ctx, struct store_log *log, int64_t producer_id, int64_t offset)
{
    const struct compacted *c = ctx;

    assert_ptr_equal(log, c->log);
    for (size_t i = 0; i < c->told_count; i++) {
        const struct told *t = &c->told[i];
        if (t->producer_id == producer_id && offset >= t->first && offset <= t->last) {
            return t->fate;
        }
    }
    fail_msg("asked for offset %lld, which is in no transaction", (long long)offset);
    return STORE_FATE_UNKNOWN;
}

static const struct log_settings compact_all = {
    .cleanup_policy = LOG_COMPACT,
    .retention_ms = -1,
    .retention_bytes = -1,
    .delete_retention_ms = 60000,
};

static void configure(struct compacted *c)
{
    c->log = store_find(c->world->store, topic, 0);
    assert_non_null(c->log);
    store_configure(c->log, &c->settings);
}

static void begin(struct compacted *c)
{
    memset(c, 0, sizeof *c);
    c->world = world_new();
    c->world->options.segment_bytes = 8000;
    c->world->options.compact_every_ms = 100;
    c->world->options.cache_bytes = 2000;
    c->world->options.fate = fate;
    c->world->options.fate_ctx = c;
    assert_int_equal(world_restart(c->world, false), 0);
    prng_init(&c->prng, 3);
    for (int i = 0; i < KEYS; i++) {
        c->newest[i] = -1;
    }
    (void)store_create(c->world->store, topic, 0, NULL);
    run_ms(c->world, 10);
    c->settings = compact_all;
    configure(c);
}

static void end(struct compacted *c)
{
    assert_int_equal(c->world->fatal, 0);
    world_free(c->world);
}

/* The records of a finished batch, compressed; with the attributes besides. */
static void pack_as(unsigned codec, unsigned attributes, struct slice plain, struct buf *out)
{
    buf_clear(out);
    buf_put(out, slice_of(plain.base, BATCH_HEADER));
    struct slice records = slice_of(plain.base + BATCH_HEADER, plain.len - BATCH_HEADER);
    if (codec == 0) {
        buf_put(out, records);
    } else {
        assert_int_equal(compress_do(codec, COMPRESS_USUAL, records, out), 0);
    }
    put_be32(out->base + 8, (uint32_t)(out->len - 12));
    put_be16(out->base + 21, (uint16_t)(codec | attributes));
    put_be32(out->base + 17, crc32c(slice_of(out->base + 21, out->len - 21)));
}

static void pack(unsigned codec, struct slice plain, struct buf *out)
{
    pack_as(codec, 0, plain, out);
}

/* One batch of `count` records with chance keys; one of eight is a tombstone, if they may be. */
static void put(struct compacted *c, int count, bool tombstones, int keys)
{
    struct batch_builder builder;
    struct buf packed = {0};
    int64_t base = store_state(c->log)->leo;

    batch_builder_init(&builder);
    for (int i = 0; i < count; i++) {
        char key[16];
        char value[200];
        int k = (int)prng_below(&c->prng, (uint64_t)keys);
        bool tombstone = tombstones && prng_chance(&c->prng, 1, 8);
        (void)snprintf(key, sizeof key, "k%d", k);
        (void)snprintf(value, sizeof value, "%d@%lld %0*d", k, (long long)(base + i),
                       (int)prng_below(&c->prng, 150) + 1, 0);
        batch_builder_add(&builder, slice_text(key),
                          tombstone ? (struct slice){0} : slice_text(value), WALL_MS + base + i);
        c->newest[k] = base + i;
        c->gone[k] = tombstone;
    }
    pack((unsigned)prng_below(&c->prng, 5), batch_builder_finish(&builder, 7, 0, (int32_t)base),
         &packed);
    batch_patch(packed.base, base, 1 + (int32_t)(base / 1000));
    struct chunk chunk = chunk_copy(buf_slice(&packed));
    store_append(c->log, chunk, NULL);
    chunk_drop(&chunk);
    batch_builder_fini(&builder);
    buf_fini(&packed);
}

static void fill(struct compacted *c, int batches, bool tombstones)
{
    for (int i = 0; i < batches; i++) {
        put(c, 1 + (int)prng_below(&c->prng, 5), tombstones, KEYS);
        if (i % 20 == 0) {
            run_ms(c->world, 5);
        }
    }
    run_ms(c->world, 200);
}

/* What a reader of the whole log sees. */
struct view {
    struct compacted *c;
    int64_t newest[KEYS];
    bool gone[KEYS];
    size_t records;
    size_t tombstones;
    int64_t end;
};

static void see(void *ctx, const struct rewrite_record *record)
{
    struct view *view = ctx;
    char key[16] = "";

    assert_in_range(record->key.len, 2, 3);
    memcpy(key, record->key.base, record->key.len);
    int k = (int)strtol(key + 1, NULL, 10);
    assert_in_range(k, 0, KEYS - 1);
    assert_true(record->offset > view->newest[k]);
    assert_int_equal(record->timestamp_ms, WALL_MS + record->offset);
    view->newest[k] = record->offset;
    view->gone[k] = record->tombstone;
    view->records++;
    view->tombstones += record->tombstone;
}

static void read_all(struct compacted *c, struct view *view)
{
    int64_t leo = store_state(c->log)->leo;

    memset(view, 0, sizeof *view);
    view->c = c;
    for (int i = 0; i < KEYS; i++) {
        view->newest[i] = -1;
    }
    view->end = store_state(c->log)->log_start;
    while (view->end < leo) {
        struct store_read read = {
            .log = c->log, .offset = view->end, .limit = leo, .max_bytes = 5000, .done = read_done};
        read_finished = false;
        if (!store_read(&read)) {
            for (int i = 0; i < 100 && !read_finished; i++) {
                run_ms(c->world, 1);
            }
        }
        assert_int_equal(read.status, 0);
        assert_true(read.chunk_count > 0);
        for (size_t i = 0; i < read.chunk_count; i++) {
            struct slice in = chunk_slice(read.chunks[i]);
            while (in.len > 0) {
                struct rewrite_batch head;
                size_t len = get_be32(in.base + 8) + 12;
                rewrite_peek(slice_of(in.base, len), &head);
                /* Batches lie end to end; the log may begin inside of one. */
                assert_true(head.base == view->end ||
                            (head.base < view->end && view->records == 0));
                assert_int_equal(rewrite_each(slice_of(in.base, len), see, view), 0);
                view->end = head.end;
                in = slice_of(in.base + len, in.len - len);
            }
        }
        store_read_fini(&read);
    }
    assert_int_equal(view->end, leo);
}

/* The newest record of each key is there; of a deleted one its tombstone, or nothing. */
static void check(struct compacted *c, struct view *view)
{
    read_all(c, view);
    for (int k = 0; k < KEYS; k++) {
        if (c->gone[k] && view->newest[k] < 0) {
            continue;
        }
        assert_int_equal(view->newest[k], c->newest[k]);
        assert_int_equal(view->gone[k], c->gone[k]);
    }
}

static void compact(struct compacted *c, int64_t limit)
{
    store_compactable(c->log, limit, limit);
    run_ms(c->world, 20000);
}

static void the_newest_record_of_each_key_stays_and_the_others_go(void **state)
{
    struct compacted c;
    struct view before;
    struct view view;

    (void)state;
    begin(&c);
    fill(&c, 600, false);
    check(&c, &before);
    uint64_t bytes = store_state(c.log)->bytes;
    size_t history = store_state(c.log)->history_count;
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    assert_true(view.records < before.records / 5);
    assert_true(store_state(c.log)->bytes < bytes / 2);
    assert_int_equal(store_state(c.log)->history_count, history);
    assert_true(store_compacted_to(c.log) > store_state(c.log)->leo * 9 / 10);
    for (int power = 0; power < 2; power++) {
        assert_int_equal(world_restart(c.world, power == 1), 0);
        configure(&c);
        check(&c, &view);
        assert_true(store_compacted_to(c.log) > 0);
    }
    /* And again, with what has come since. */
    fill(&c, 300, false);
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    assert_true(view.records < 200);
    end(&c);
}

/* ---- transactions ---------------------------------------------------------------------------- */

#define OPEN_KEYS 5 /* of the last keys; only a transaction that is open writes to them */

static void put_packed(struct compacted *c, const struct buf *packed)
{
    struct chunk chunk = chunk_copy(buf_slice(packed));
    int64_t base = store_state(c->log)->leo;

    batch_patch(chunk.base, base, 1 + (int32_t)(base / 1000));
    store_append(c->log, chunk, NULL);
    chunk_drop(&chunk);
}

static void put_marker(struct compacted *c, int64_t producer_id, bool commit)
{
    struct batch_builder builder;
    struct buf packed = {0};
    uint8_t key[4] = {0, 0, 0, commit};
    uint8_t value[6] = {0};

    batch_builder_init(&builder);
    batch_builder_add(&builder, slice_of(key, sizeof key), slice_of(value, sizeof value), WALL_MS);
    pack_as(0, BATCH_TRANSACTIONAL | BATCH_CONTROL,
            batch_builder_finish(&builder, producer_id, 0, -1), &packed);
    put_packed(c, &packed);
    batch_builder_fini(&builder);
    buf_fini(&packed);
}

/* Two batches and, if its fate is known, a marker, with a batch of nobody's in between. */
static void put_transaction(struct compacted *c, enum store_fate fate)
{
    struct told *t = &c->told[c->told_count++];
    int keys = KEYS - OPEN_KEYS;

    assert_in_range(c->told_count, 1, TXNS_MAX);
    *t = (struct told){100 + (int64_t)c->told_count, store_state(c->log)->leo, 0, fate};
    for (int b = 0; b < 2; b++) {
        struct batch_builder builder;
        struct buf packed = {0};
        int64_t base = store_state(c->log)->leo;
        int count = 1 + (int)prng_below(&c->prng, 4);
        batch_builder_init(&builder);
        for (int i = 0; i < count; i++) {
            bool open = fate == STORE_FATE_UNKNOWN;
            int k =
                (int)prng_below(&c->prng, open ? OPEN_KEYS : (uint64_t)keys) + (open ? keys : 0);
            bool tombstone = prng_chance(&c->prng, 1, 8);
            char key[16];
            (void)snprintf(key, sizeof key, "k%d", k);
            batch_builder_add(&builder, slice_text(key),
                              tombstone ? (struct slice){0} : slice_text("told"),
                              WALL_MS + base + i);
            if (fate != STORE_FATE_ABORTED) {
                c->newest[k] = base + i;
                c->gone[k] = tombstone && fate == STORE_FATE_COMMITTED;
            } else {
                c->aborted++;
            }
        }
        pack_as((unsigned)prng_below(&c->prng, 5), BATCH_TRANSACTIONAL,
                batch_builder_finish(&builder, t->producer_id, 0, b * 10), &packed);
        put_packed(c, &packed);
        t->last = store_state(c->log)->leo - 1;
        batch_builder_fini(&builder);
        buf_fini(&packed);
        if (b == 0) {
            put(c, 1, true, keys);
        }
    }
    if (fate != STORE_FATE_UNKNOWN) {
        put_marker(c, t->producer_id, fate == STORE_FATE_COMMITTED);
    }
}

struct txn_view {
    struct compacted *c;
    int64_t newest[KEYS];
    bool gone[KEYS];
    size_t aborted;
    size_t open;
    size_t records;
    size_t markers;
    size_t headers; /* of batches of transactions */
    enum store_fate fate;
};

static void see_txn(void *ctx, const struct rewrite_record *record)
{
    struct txn_view *v = ctx;
    char key[16] = "";

    memcpy(key, record->key.base, record->key.len);
    int k = (int)strtol(key + 1, NULL, 10);
    v->records++;
    v->aborted += v->fate == STORE_FATE_ABORTED;
    v->open += v->fate == STORE_FATE_UNKNOWN;
    if (v->fate != STORE_FATE_ABORTED) {
        v->newest[k] = record->offset;
        v->gone[k] = record->tombstone;
    }
}

static void view_txns(struct compacted *c, struct txn_view *v)
{
    int64_t at = store_state(c->log)->log_start;

    memset(v, 0, sizeof *v);
    for (int k = 0; k < KEYS; k++) {
        v->newest[k] = -1;
    }
    while (at < store_state(c->log)->leo) {
        struct store_read read = {.log = c->log,
                                  .offset = at,
                                  .limit = store_state(c->log)->leo,
                                  .max_bytes = 5000,
                                  .done = read_done};
        read_finished = false;
        if (!store_read(&read)) {
            for (int i = 0; i < 100 && !read_finished; i++) {
                run_ms(c->world, 1);
            }
        }
        assert_int_equal(read.status, 0);
        for (size_t i = 0; i < read.chunk_count; i++) {
            struct slice in = chunk_slice(read.chunks[i]);
            while (in.len > 0) {
                struct rewrite_batch head;
                size_t len = get_be32(in.base + 8) + 12;
                rewrite_peek(slice_of(in.base, len), &head);
                assert_int_equal(head.base, at);
                v->markers += head.control && head.records == 1;
                v->headers += head.transactional && !head.control;
                v->fate = head.transactional && !head.control
                              ? fate(c, c->log, head.producer_id, head.base)
                              : STORE_FATE_COMMITTED;
                if (!head.control) {
                    assert_int_equal(rewrite_each(slice_of(in.base, len), see_txn, v), 0);
                }
                at = head.end;
                in = slice_of(in.base + len, in.len - len);
            }
        }
        store_read_fini(&read);
    }
}

static void check_txns(struct compacted *c, struct txn_view *v)
{
    view_txns(c, v);
    for (int k = 0; k < KEYS; k++) {
        if (!(c->gone[k] && v->newest[k] < 0)) {
            assert_int_equal(v->newest[k], c->newest[k]);
        }
    }
}

static void aborted_records_go_committed_ones_count_and_what_is_not_known_stays(void **state)
{
    struct compacted c;
    struct txn_view before;
    struct txn_view v;

    (void)state;
    begin(&c);
    for (int i = 0; i < 300; i++) {
        uint64_t draw = prng_below(&c.prng, 20);
        put_transaction(&c, draw == 0  ? STORE_FATE_UNKNOWN
                            : draw < 8 ? STORE_FATE_ABORTED
                                       : STORE_FATE_COMMITTED);
        run_ms(c.world, i % 20 == 0 ? 5 : 0);
    }
    size_t old = c.aborted;
    int64_t limit = store_state(c.log)->leo;
    for (int i = 0; i < 3; i++) { /* the end of the log, which is not cleaned */
        put(&c, 5, false, KEYS - OPEN_KEYS);
    }
    run_ms(c.world, 200);
    check_txns(&c, &before);
    assert_int_equal(before.aborted, old);
    assert_true(before.open > 20);
    compact(&c, limit);
    for (int start = 0; start < 3; start++) {
        check_txns(&c, &v);
        assert_true(v.aborted < old / 10); /* those of the last segment */
        assert_int_equal(v.open, before.open);
        assert_true(v.records < before.records / 4);
        /* Sequences, begins and ends of transactions are told by what stays: every header, every marker. */
        assert_int_equal(v.markers, before.markers);
        assert_int_equal(v.headers, before.headers);
        assert_int_equal(world_restart(c.world, start == 0), 0);
        configure(&c);
    }
    end(&c);
}

static void
a_committed_tombstone_goes_after_its_time_and_one_that_was_aborted_deletes_nothing(void **state)
{
    struct compacted c;
    struct txn_view v;

    (void)state;
    begin(&c);
    for (int i = 0; i < 200; i++) {
        put_transaction(&c, i % 3 == 0 ? STORE_FATE_ABORTED : STORE_FATE_COMMITTED);
        run_ms(c.world, i % 20 == 0 ? 5 : 0);
    }
    int64_t limit = store_state(c.log)->leo;
    for (int i = 0; i < 3; i++) {
        put(&c, 5, false, 1);
    }
    compact(&c, limit);
    check_txns(&c, &v);
    size_t records = v.records;
    run_ms(c.world, 100000);
    check_txns(&c, &v);
    assert_true(v.records < records);
    end(&c);
}

/* -------------------------------------------------------------------------------------------- */

static void nothing_from_the_limit_on_makes_anything_go(void **state)
{
    struct compacted c;
    struct view before;
    struct view view;

    (void)state;
    begin(&c);
    fill(&c, 300, false);
    int64_t limit = store_state(c.log)->leo;
    check(&c, &before);
    fill(&c, 300, false);
    compact(&c, limit);
    check(&c, &view);
    /* As if the rest had never come. */
    assert_true(store_compacted_to(c.log) <= limit);
    assert_int_equal(world_restart(c.world, false), 0);
    configure(&c);
    struct waiter done = waiter_of(NULL);
    store_truncate(c.log, limit, false, &done.req);
    run_ms(c.world, 2000);
    assert_int_equal(done.calls, 1);
    assert_int_equal(store_state(c.log)->leo, limit);
    memcpy(c.newest, before.newest, sizeof c.newest);
    memcpy(c.gone, before.gone, sizeof c.gone);
    check(&c, &view);
    end(&c);
}

static void a_tombstone_goes_when_its_time_has_passed_and_everybody_has_it(void **state)
{
    struct compacted c;
    struct view view;

    (void)state;
    begin(&c);
    fill(&c, 600, true);
    int64_t leo = store_state(c.log)->leo;
    for (int i = 0; i < 3; i++) { /* the end of the log, which is not cleaned */
        put(&c, 5, false, KEYS);
    }
    store_compactable(c.log, leo, 0);
    run_ms(c.world, 5000);
    check(&c, &view);
    size_t tombstones = view.tombstones;
    assert_true(tombstones > 0);
    run_ms(c.world, 100000);
    check(&c, &view);
    assert_int_equal(view.tombstones, tombstones); /* some replica may not have it yet */
    store_compactable(c.log, leo, leo);
    run_ms(c.world, 20000);
    check(&c, &view);
    assert_true(view.tombstones < tombstones);
    end(&c);
}

static void a_tombstone_stays_for_its_time(void **state)
{
    struct compacted c;
    struct view view;

    (void)state;
    begin(&c);
    fill(&c, 600, true);
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    size_t tombstones = view.tombstones;
    assert_true(tombstones > 0);
    run_ms(c.world, 30000);
    check(&c, &view);
    assert_int_equal(view.tombstones, tombstones);
    run_ms(c.world, 60000);
    check(&c, &view);
    assert_true(view.tombstones < tombstones);
    end(&c);
}

static void small_memory_takes_several_passes(void **state)
{
    struct compacted c;
    struct store_counters counters;
    struct view view;

    (void)state;
    begin(&c);
    c.world->options.compact_map_bytes = 16 * 24;
    assert_int_equal(world_restart(c.world, false), 0);
    configure(&c);
    fill(&c, 400, true);
    store_compactable(c.log, store_state(c.log)->leo, 0);
    run_ms(c.world, 200000);
    check(&c, &view);
    store_counters(c.world->store, &counters);
    assert_true(counters.compactions > 3);
    assert_true(view.records < 300);
    end(&c);
}

static void only_logs_that_ask_for_it_are_compacted(void **state)
{
    struct compacted c;
    struct view before;
    struct view view;

    (void)state;
    begin(&c);
    c.settings.cleanup_policy = LOG_DELETE;
    configure(&c);
    fill(&c, 300, true);
    check(&c, &before);
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    assert_int_equal(view.records, before.records);
    c.settings.cleanup_policy = LOG_COMPACT | LOG_DELETE;
    c.settings.min_cleanable_ratio = 1.1; /* never dirty enough */
    configure(&c);
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    assert_int_equal(view.records, before.records);
    c.settings.max_compaction_lag_ms = 1; /* but late */
    c.settings.min_compaction_lag_ms = INT64_MAX / 2;
    configure(&c);
    compact(&c, store_state(c.log)->leo);
    check(&c, &view);
    assert_int_equal(view.records, before.records); /* too young */
    end(&c);
}

/* Cuts, deletion, a log start and appends while a pass is under way. */
static void whatever_happens_to_the_log_meanwhile_its_records_are_right(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct compacted c;
        struct view view;
        begin(&c);
        prng_init(&c.prng, seed);
        for (int round = 0; round < 12; round++) {
            fill(&c, 30 + (int)prng_below(&c.prng, 60), true);
            store_compactable(c.log, store_state(c.log)->leo, store_state(c.log)->leo);
            run_ms(c.world, prng_below(&c.prng, 400));
            uint64_t dice = prng_below(&c.prng, 4);
            if (dice == 0) {
                int64_t start = store_state(c.log)->log_start;
                int64_t leo = store_state(c.log)->leo;
                start += (int64_t)prng_below(&c.prng, (uint64_t)(leo - start) / 3 + 1);
                store_log_start(c.log, start, NULL);
                for (int k = 0; k < KEYS; k++) {
                    /* Deleted, or in the batch that holds the new start. */
                    c.newest[k] = c.newest[k] < start + 5 ? -2 : c.newest[k];
                }
            } else if (dice == 1) {
                assert_int_equal(world_restart(c.world, prng_chance(&c.prng, 1, 2)), 0);
                configure(&c);
            }
            run_ms(c.world, prng_below(&c.prng, 400));
            read_all(&c, &view);
            for (int k = 0; k < KEYS; k++) {
                bool deleted = c.newest[k] == -2 || (c.gone[k] && view.newest[k] < 0);
                assert_true(deleted || view.newest[k] == c.newest[k]);
            }
        }
        if (seed % 2 == 0) {
            struct waiter done = waiter_of(NULL);
            store_delete(c.log, &done.req);
            run_ms(c.world, 2000);
            assert_int_equal(done.calls, 1);
        }
        end(&c);
    }
}

/* Reads the batch of `from` at `offset` and repairs the log with it, as the agent does. */
static bool fill_from(struct compacted *c, struct store_log *from)
{
    struct store_damage damage;
    bool filled = false;

    while (store_damage_at(c->log, 0, &damage)) {
        struct store_read read = {.log = from,
                                  .offset = damage.offset,
                                  .limit = damage.offset + 1,
                                  .max_bytes = 1,
                                  .done = read_done};
        read_finished = false;
        if (!store_read(&read)) {
            run_ms(c->world, 20);
            assert_true(read_finished);
        }
        assert_int_equal(read.status, 0);
        int status = store_repair(c->log, read.chunks[0], NULL);
        store_read_fini(&read);
        if (status != 0) {
            return filled;
        }
        filled = true;
        run_ms(c->world, 20);
    }
    return filled;
}

static void damage_is_filled_by_a_replica_that_is_compacted_further(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct compacted c;
        struct view view;
        char id[UUID_TEXT_SIZE];
        char path[128];
        begin(&c);
        struct store_log *other = store_create(c.world->store, topic, 1, NULL);
        store_configure(other, &c.settings);
        struct log_settings idle = c.settings;
        idle.min_cleanable_ratio = 2; /* ours waits */
        store_configure(c.log, &idle);
        fill(&c, 300, false);
        int64_t leo = store_state(c.log)->leo;
        for (int64_t at = 0; at < leo;) {
            struct store_read read = {
                .log = c.log, .offset = at, .limit = at + 1, .max_bytes = 1, .done = read_done};
            read_finished = false;
            if (!store_read(&read)) {
                run_ms(c.world, 20);
            }
            store_append(other, read.chunks[0], NULL);
            at = store_state(other)->leo;
            store_read_fini(&read);
        }
        run_ms(c.world, 500);
        store_compactable(other, leo, leo);
        run_ms(c.world, 5000);
        uuid_text(topic, id);
        (void)snprintf(path, sizeof path, "topics/%s-0/%020d.log", id, 0);
        for (uint64_t pos = 3000; pos < 3000 + 8; pos++) {
            assert_true(mem_disk_flip(c.world->disk, path, pos, 2));
        }
        assert_int_equal(world_restart(c.world, false), 0); /* nothing is in memory */
        c.log = store_find(c.world->store, topic, 0);
        other = store_find(c.world->store, topic, 1);
        store_configure(c.log, &idle);
        struct store_read read = {
            .log = c.log, .offset = 0, .limit = leo, .max_bytes = 10000, .done = read_done};
        for (read.offset = 0; store_damaged(c.world->store) == 0; read.offset++) {
            read_finished = false;
            if (!store_read(&read)) {
                run_ms(c.world, 20);
            }
            store_read_fini(&read);
        }
        assert_true(fill_from(&c, other));
        if (restart == 1) {
            run_ms(c.world, 10);
            assert_int_equal(world_restart(c.world, true), 0);
            c.log = store_find(c.world->store, topic, 0);
        }
        assert_int_equal(store_damaged(c.world->store), 0);
        assert_int_equal(store_state(c.log)->leo, leo);
        check(&c, &view);
        end(&c);
    }
}

static void keys_are_told_apart_by_their_hashes(void **state)
{
    static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const uint8_t in[15] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    struct key_map map;

    (void)state;
    /* The vectors of the authors' vectors.h, of 0 and 15 bytes. */
    struct siphash hash = siphash128(key, slice_of(in, 0));
    assert_true(hash.low == 0xe6a825ba047f81a3 && hash.high == 0x930255c71472f66d);
    hash = siphash128(key, slice_of(in, 15));
    assert_true(hash.low == 0x11a8b03399e99354 && hash.high == 0xd9c3cf970fec087e);
    key_map_init(&map, 1024 * 24, key);
    for (int i = 0; i < 768; i++) {
        assert_true(key_map_put(&map, slice_of(&i, sizeof i), i));
    }
    int more = 768;
    assert_false(key_map_put(&map, slice_of(&more, sizeof more), 5));
    assert_int_equal(key_map_get(&map, slice_of(&more, sizeof more)), -1);
    for (int i = 0; i < 768; i++) {
        assert_int_equal(key_map_get(&map, slice_of(&i, sizeof i)), i);
        assert_true(key_map_put(&map, slice_of(&i, sizeof i), i / 2));
        assert_int_equal(key_map_get(&map, slice_of(&i, sizeof i)), i);
    }
    key_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_record_of_each_key_stays_and_the_others_go),
        cmocka_unit_test(nothing_from_the_limit_on_makes_anything_go),
        cmocka_unit_test(a_tombstone_goes_when_its_time_has_passed_and_everybody_has_it),
        cmocka_unit_test(a_tombstone_stays_for_its_time),
        cmocka_unit_test(aborted_records_go_committed_ones_count_and_what_is_not_known_stays),
        cmocka_unit_test(
            a_committed_tombstone_goes_after_its_time_and_one_that_was_aborted_deletes_nothing),
        cmocka_unit_test(small_memory_takes_several_passes),
        cmocka_unit_test(only_logs_that_ask_for_it_are_compacted),
        cmocka_unit_test(whatever_happens_to_the_log_meanwhile_its_records_are_right),
        cmocka_unit_test(damage_is_filled_by_a_replica_that_is_compacted_further),
        cmocka_unit_test(keys_are_told_apart_by_their_hashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
