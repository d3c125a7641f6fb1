/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch sessions alone, and against a model of arrays in random sequences. */
#include <stdio.h>
#include <string.h>

#include "agent/fetch_session.h"
#include "base/prng.h"
#include "kafka/generated/errors.h"
#include "tests/lib/test.h"

static unsigned ended;

static void closing(struct fetch_session *session)
{
    ended++;
    session->user = NULL;
}

static void setup(struct fetch_sessions *all, uint32_t slots, uint32_t parts_max)
{
    ended = 0;
    fetch_sessions_init(all, slots, parts_max, 7, closing);
}

static struct session_part *want(struct fetch_session *session, const char *topic,
                                 int32_t partition, int64_t offset)
{
    struct kafka_fetch_request_partition in = {.partition = partition, .fetch_offset = offset};
    struct uuid id = {{0}};

    id.bytes[0] = (uint8_t)topic[0];
    return fetch_session_want(session, slice_text(topic), id, &in);
}

static struct kafka_fetch_response_partition found(int64_t hw)
{
    struct kafka_fetch_response_partition out;

    kafka_fetch_response_partition_init(&out);
    out.high_watermark = hw;
    out.log_start_offset = 0;
    return out;
}

static int16_t error_of(struct fetch_sessions *all, int32_t id, int32_t epoch, bool by_id)
{
    int16_t error = -1;
    struct fetch_session *session = fetch_session_of(all, id, epoch, by_id, &error);

    assert_int_equal(session == NULL, error != 0);
    return error;
}

static void a_request_has_the_epoch_after_the_last_and_the_kind_of_its_session(void **state)
{
    struct fetch_sessions all;

    (void)state;
    setup(&all, 2, 10);
    struct fetch_session *s = fetch_session_open(&all, 0, 1, true);
    int32_t id = s->id;
    assert_true(id > 0);
    assert_int_equal(error_of(&all, id, 1, true), 0);
    assert_int_equal(error_of(&all, id, 2, true), KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(error_of(&all, id, -7, true), KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(error_of(&all, id, 1, false), KAFKA_ERROR_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(error_of(&all, id == 1 ? 2 : id - 1, 1, true),
                     KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(error_of(&all, 0, 1, true), KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    fetch_session_turn(s, 1);
    assert_int_equal(error_of(&all, id, 1, true), KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(error_of(&all, id, 2, true), 0);
    s->epoch = INT32_MAX; /* after two thousand million requests it begins anew, not with 0 */
    fetch_session_turn(s, 1);
    assert_int_equal(s->epoch, 1);
    fetch_session_close(s);
    assert_int_equal(error_of(&all, id, 1, true), KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    fetch_sessions_fini(&all);
}

static void only_news_is_told_and_an_error_makes_what_follows_it_news(void **state)
{
    struct fetch_sessions all;
    struct kafka_fetch_response_partition out = found(5);

    (void)state;
    setup(&all, 1, 10);
    struct session_part *part = want(fetch_session_open(&all, 0, 1, false), "t", 0, 5);
    assert_true(session_part_is_news(part, &out, false)); /* never told of */
    session_part_told(part, &out, false);
    assert_false(session_part_is_news(part, &out, false));
    assert_true(session_part_is_news(part, &out, true));
    out.high_watermark = 6;
    assert_true(session_part_is_news(part, &out, false));
    session_part_told(part, &out, false);
    out.log_start_offset = 3;
    assert_true(session_part_is_news(part, &out, false));
    session_part_told(part, &out, false);
    out.preferred_read_replica = 2;
    assert_true(session_part_is_news(part, &out, false));
    session_part_told(part, &out, false);
    assert_true(session_part_is_news(part, &out, false)); /* again and again */
    out.preferred_read_replica = -1;
    out.diverging_epoch.end_offset = 0;
    assert_true(session_part_is_news(part, &out, false));
    out.diverging_epoch.end_offset = -1;
    out.error = KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER;
    session_part_told(part, &out, false);
    assert_true(session_part_is_news(part, &out, false));
    out.error = 0;
    assert_true(session_part_is_news(part, &out, false));
    session_part_told(part, &out, false);
    assert_false(session_part_is_news(part, &out, false));
    fetch_sessions_fini(&all);
}

static void a_full_cache_gives_the_place_of_the_stale_or_of_the_smaller(void **state)
{
    struct fetch_sessions all;

    (void)state;
    setup(&all, 2, 100);
    struct fetch_session *a = fetch_session_open(&all, 0, 1, false);
    want(a, "a", 0, 0);
    struct fetch_session *b = fetch_session_open(&all, 10, 2, false);
    want(b, "b", 0, 0);
    want(b, "b", 1, 0);
    int32_t a_id = a->id;
    int32_t b_id = b->id;
    /* Both are young: nobody gives way. */
    assert_null(fetch_session_open(&all, 100, 50, false));
    /* Both have been used for long: the smaller gives way to what is larger, not to its equal. */
    fetch_session_turn(a, FETCH_SESSION_STALE_MS + 100);
    fetch_session_turn(b, FETCH_SESSION_STALE_MS + 100);
    assert_null(fetch_session_open(&all, FETCH_SESSION_STALE_MS + 200, 1, false));
    b->user = &all;
    struct fetch_session *c = fetch_session_open(&all, FETCH_SESSION_STALE_MS + 200, 2, false);
    assert_non_null(c);
    want(c, "c", 0, 0);
    assert_null(fetch_session_find(&all, a_id));
    assert_int_equal(ended, 0);
    /* b is stale, and its request, still under way, is told so. */
    struct fetch_session *d = fetch_session_open(&all, 2 * FETCH_SESSION_STALE_MS + 101, 1, false);
    assert_non_null(d);
    assert_null(fetch_session_find(&all, b_id));
    assert_int_equal(ended, 1);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.evictions, 2);
    assert_int_equal(all.parts, 1);
    fetch_sessions_fini(&all);
    assert_int_equal(all.parts, 0);
}

static void partitions_are_bounded_whatever_the_number_of_sessions(void **state)
{
    struct fetch_sessions all;

    (void)state;
    setup(&all, 10, 3);
    struct fetch_session *a = fetch_session_open(&all, 0, 2, false);
    want(a, "a", 0, 0);
    want(a, "a", 1, 0);
    assert_null(fetch_session_open(&all, 0, 2, false)); /* a is young */
    struct fetch_session *b = fetch_session_open(&all, 0, 1, false);
    assert_non_null(want(b, "b", 0, 0));
    assert_null(want(b, "b", 1, 0));
    assert_non_null(want(b, "b", 0, 9)); /* known ones change */
    assert_int_equal(all.parts, 3);
    assert_null(fetch_session_open(&all, 0, 4, false));
    assert_non_null(fetch_session_open(&all, FETCH_SESSION_STALE_MS + 1, 3, false));
    assert_int_equal(all.parts, 0);
    fetch_sessions_fini(&all);
}

static void a_poked_partition_is_ready_and_those_that_were_served_come_last(void **state)
{
    struct fetch_sessions all;
    struct kafka_fetch_response_partition out = found(5);
    struct link watchers;

    (void)state;
    queue_init(&watchers);
    setup(&all, 1, 10);
    struct fetch_session *s = fetch_session_open(&all, 0, 3, false);
    struct session_part *a = want(s, "t", 0, 0);
    struct session_part *b = want(s, "t", 1, 0);
    struct session_part *c = want(s, "u", 0, 0);
    session_part_told(a, &out, true);
    assert_ptr_equal(s->ready.next, &b->ready);
    assert_ptr_equal(s->ready.prev, &a->ready);
    session_part_idle(b);
    session_part_idle(b);
    queue_push(&watchers, &b->waiter.link);
    assert_ptr_equal(s->ready.next, &c->ready);
    session_part_ready(b);
    session_part_ready(b);
    assert_ptr_equal(s->ready.prev, &b->ready);
    session_part_idle(a);
    session_part_idle(b);
    session_part_idle(c);
    fetch_session_turn(s, FETCH_SESSION_SWEEP_MS - 1);
    assert_true(queue_empty(&s->ready));
    fetch_session_turn(s, FETCH_SESSION_SWEEP_MS);
    assert_ptr_equal(s->ready.next, &a->ready);
    assert_ptr_equal(s->ready.prev, &c->ready);
    fetch_session_forget(s, slice_text("t"), (struct uuid){{0}}, 1);
    assert_true(queue_empty(&watchers));
    fetch_session_forget(s, slice_text("t"), (struct uuid){{0}}, 1);
    fetch_session_forget(s, slice_text("none"), (struct uuid){{0}}, 1);
    assert_int_equal(s->count, 2);
    fetch_sessions_fini(&all);
}

/* ---- the model ------------------------------------------------------------------------------- */

#define SLOTS      4
#define TOPICS     3
#define PARTITIONS 4
#define PARTS_MAX  30
#define STEPS      200000

struct model_part {
    bool there;
    int64_t offset;
    int64_t told_hw;
};

struct model {
    bool there;
    int32_t id;
    int32_t epoch;
    bool by_id;
    uint64_t created_ms;
    uint64_t used_ms;
    struct model_part parts[TOPICS][PARTITIONS];
};

static const char *const names[TOPICS] = {"alpha", "beta", ""};

static uint32_t size_of(const struct model *m)
{
    uint32_t count = 0;

    for (unsigned t = 0; t < TOPICS; t++) {
        for (unsigned i = 0; i < PARTITIONS; i++) {
            count += m->parts[t][i].there;
        }
    }
    return count;
}

static uint32_t size_of_all(const struct model *models)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        count += models[i].there ? size_of(&models[i]) : 0;
    }
    return count;
}

static struct model *slot(struct model *models, uint32_t needed)
{
    for (unsigned i = 0; i < SLOTS && size_of_all(models) + needed <= PARTS_MAX; i++) {
        if (!models[i].there) {
            return &models[i];
        }
    }
    return NULL;
}

/* As Kafka's FetchSessionCache.tryEvict says it. */
static bool model_evict(struct model *models, uint64_t now_ms, uint32_t size)
{
    struct model *least_used = NULL;
    struct model *least = NULL;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct model *m = &models[i];
        if (!m->there) {
            continue;
        }
        if (least_used == NULL || m->used_ms < least_used->used_ms ||
            (m->used_ms == least_used->used_ms && m->id < least_used->id)) {
            least_used = m;
        }
        if (m->used_ms - m->created_ms > FETCH_SESSION_STALE_MS &&
            (least == NULL || size_of(m) < size_of(least) ||
             (size_of(m) == size_of(least) && m->id < least->id))) {
            least = m;
        }
    }
    if (least_used != NULL && now_ms - least_used->used_ms > FETCH_SESSION_STALE_MS) {
        least_used->there = false;
        return true;
    }
    if (least != NULL && size > size_of(least)) {
        least->there = false;
        return true;
    }
    return false;
}

static struct uuid topic_id(unsigned t)
{
    struct uuid id = {{0}};

    id.bytes[15] = (uint8_t)t;
    return id;
}

static struct session_part *put(struct fetch_session *s, unsigned t, int32_t i, int64_t offset)
{
    struct kafka_fetch_request_partition in = {.partition = i, .fetch_offset = offset};

    return fetch_session_want(s, slice_text(names[t]), topic_id(t), &in);
}

static void open_one(struct fetch_sessions *all, struct model *models, struct prng *prng,
                     uint64_t now_ms)
{
    uint32_t size = (uint32_t)prng_between(prng, 1, TOPICS * PARTITIONS);
    bool by_id = prng_chance(prng, 1, 2);
    struct fetch_session *s = fetch_session_open(all, now_ms, size, by_id);
    struct model *m = slot(models, size);

    while (m == NULL && model_evict(models, now_ms, size)) {
        m = slot(models, size);
    }
    assert_int_equal(s != NULL, m != NULL);
    if (s == NULL) {
        return;
    }
    *m = (struct model){
        .there = true, .id = s->id, .epoch = 1, .by_id = by_id, .created_ms = now_ms};
    m->used_ms = now_ms;
    for (uint32_t n = 0; n < size; n++) {
        unsigned t = n / PARTITIONS;
        unsigned i = n % PARTITIONS;
        m->parts[t][i] = (struct model_part){true, n, -1};
        assert_non_null(put(s, t, (int32_t)i, n));
    }
}

/* The parts that are ready are at least those that are news, and all are the model's. */
static void answer(struct fetch_session *s, struct model *m, struct prng *prng)
{
    uint32_t walked = 0;

    for (struct session_part *part = s->parts; part != NULL; part = part->hh.next) {
        unsigned t = 0;
        while (s->by_id ? !uuid_equal(part->key.topic->id, topic_id(t))
                        : !slice_equal(part->key.topic->name, slice_text(names[t]))) {
            t++;
        }
        struct model_part *of = &m->parts[t][part->key.partition];
        struct kafka_fetch_response_partition out = found((int64_t)prng_between(prng, 0, 2));
        bool records = prng_chance(prng, 1, 4);
        out.error = prng_chance(prng, 1, 8) ? 6 : 0;
        assert_true(of->there);
        assert_int_equal(part->want.fetch_offset, of->offset);
        bool news = records || out.error != 0 || out.high_watermark != of->told_hw;
        assert_int_equal(session_part_is_news(part, &out, records), news);
        if (news) {
            session_part_told(part, &out, records);
            of->told_hw = out.error != 0 ? -1 : out.high_watermark;
            assert_true(!records || s->ready.prev == &part->ready);
        }
        walked++;
    }
    assert_int_equal(walked, size_of(m));
    assert_int_equal(walked, s->count);
}

static void ask(struct fetch_sessions *all, struct model *m, struct prng *prng, uint64_t now_ms)
{
    int32_t epoch = prng_chance(prng, 1, 8) ? m->epoch + 1 : m->epoch;
    bool by_id = prng_chance(prng, 1, 8) ? !m->by_id : m->by_id;
    int16_t expected = !m->there           ? KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND
                       : epoch != m->epoch ? KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH
                       : by_id != m->by_id ? KAFKA_ERROR_FETCH_SESSION_TOPIC_ID_ERROR
                                           : 0;
    int16_t error;
    struct fetch_session *s = fetch_session_of(all, m->id, epoch, by_id, &error);

    assert_int_equal(error, expected);
    if (s == NULL) {
        return;
    }
    for (uint64_t n = prng_below(prng, 4); n > 0; n--) {
        unsigned t = (unsigned)prng_below(prng, TOPICS);
        unsigned i = (unsigned)prng_below(prng, PARTITIONS);
        struct model_part *of = &m->parts[t][i];
        if (prng_chance(prng, 1, 3)) {
            of->there = false;
            fetch_session_forget(s, slice_text(names[t]), topic_id(t), (int32_t)i);
            continue;
        }
        bool room = of->there || all->parts < PARTS_MAX;
        int64_t offset = (int64_t)prng_below(prng, 100);
        assert_int_equal(put(s, t, (int32_t)i, offset) != NULL, room);
        if (room) {
            *of = (struct model_part){true, offset, of->there ? of->told_hw : -1};
        }
    }
    if (s->count == 0) {
        fetch_session_close(s);
        m->there = false;
        return;
    }
    fetch_session_turn(s, now_ms);
    m->epoch++;
    m->used_ms = now_ms;
    answer(s, m, prng);
}

static void sessions_do_what_a_model_of_arrays_does(void **state)
{
    struct fetch_sessions all;
    struct model models[SLOTS] = {{0}};
    struct prng prng;
    uint64_t now_ms = 0;

    (void)state;
    prng_init(&prng, 20);
    setup(&all, SLOTS, PARTS_MAX);
    for (unsigned step = 0; step < STEPS; step++) {
        now_ms += prng_below(&prng, 8000);
        if (prng_chance(&prng, 1, 3)) {
            open_one(&all, models, &prng, now_ms);
        } else {
            ask(&all, &models[prng_below(&prng, SLOTS)], &prng, now_ms);
        }
        assert_int_equal(all.parts, size_of_all(models));
        for (unsigned i = 0; i < SLOTS; i++) {
            assert_int_equal(fetch_session_find(&all, models[i].id) != NULL, models[i].there);
        }
    }
    assert_true(all.evictions > STEPS / 100);
    fetch_sessions_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_the_epoch_after_the_last_and_the_kind_of_its_session),
        cmocka_unit_test(only_news_is_told_and_an_error_makes_what_follows_it_news),
        cmocka_unit_test(a_full_cache_gives_the_place_of_the_stale_or_of_the_smaller),
        cmocka_unit_test(partitions_are_bounded_whatever_the_number_of_sessions),
        cmocka_unit_test(a_poked_partition_is_ready_and_those_that_were_served_come_last),
        cmocka_unit_test(sessions_do_what_a_model_of_arrays_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
