/* SPDX-License-Identifier: Apache-2.0 */
/* A producer's partition against a broker that loses connections, answers and its leadership: what
 * is acknowledged is in the log, every record once and in order. */
#include <string.h>

#include "base/prng.h"
#include "cli/bench_queue.h"
#include "tests/lib/test.h"

#define RECORDS_MAX 7
#define BACKOFF_US  1000
#define FLIGHT_MAX  5
#define RECENT      5 /* batches whose repetition the broker knows, as Kafka's */
#define NETWORK     13
#define STEPS       4000

/* ---- single steps ---------------------------------------------------------------------------- */

static struct bench_queue queue;
static uint64_t wake_us;

static void begin(void)
{
    bench_queue_init(&queue, 3);
    bench_queue_move(&queue, 1, 0);
    queue.proven = true; /* something was acknowledged before */
}

static struct bench_batch *next(uint64_t now_us)
{
    return bench_queue_next(&queue, RECORDS_MAX, 0, now_us, &wake_us);
}

static enum bench_fate answer(uint64_t send_id, int16_t error, uint64_t now_us)
{
    struct bench_batch *batch = NULL;
    enum bench_fate fate = bench_queue_answer(&queue, send_id, error, now_us, BACKOFF_US, &batch);

    if (fate == BENCH_ACKED) {
        bench_batch_free(batch);
    }
    return fate;
}

static void records_fill_batches_that_were_not_sent_yet(void **state)
{
    (void)state;
    begin();
    bench_queue_due(&queue, 3, RECORDS_MAX, 0);
    bench_queue_due(&queue, 2, RECORDS_MAX, 5);
    struct bench_batch *first = next(5);
    assert_int_equal(first->count, 5);
    bench_queue_sent(&queue, first, 1);
    bench_queue_due(&queue, 9, RECORDS_MAX, 6);
    assert_int_equal(first->count, 5); /* what is sent stays as it is, also when sent again */
    struct bench_batch *second = next(6);
    assert_int_equal(second->first, 5);
    assert_int_equal(second->count, RECORDS_MAX);
    bench_queue_sent(&queue, second, 2);
    assert_int_equal(next(6)->first, 12);
    assert_int_equal(next(6)->count, 2);
    bench_queue_fini(&queue);
}

static void an_open_batch_lingers_and_a_full_one_does_not(void **state)
{
    (void)state;
    begin();
    bench_queue_due(&queue, 1, RECORDS_MAX, 100);
    assert_null(bench_queue_next(&queue, RECORDS_MAX, 50, 149, &wake_us));
    assert_int_equal(wake_us, 150);
    assert_non_null(bench_queue_next(&queue, RECORDS_MAX, 50, 150, &wake_us));
    bench_queue_due(&queue, RECORDS_MAX - 1, RECORDS_MAX, 120);
    assert_non_null(bench_queue_next(&queue, RECORDS_MAX, 50, 120, &wake_us));
    bench_queue_fini(&queue);
}

static void after_a_failure_all_in_flight_go_again_in_order(void **state)
{
    (void)state;
    begin();
    bench_queue_due(&queue, 3 * RECORDS_MAX, RECORDS_MAX, 0);
    for (uint64_t id = 1; id <= 3; id++) {
        bench_queue_sent(&queue, next(0), id);
    }
    assert_null(next(0));
    assert_int_equal(answer(1, 7, 10), BENCH_AGAIN);
    assert_null(next(10 + BACKOFF_US)); /* two are still out */
    assert_int_equal(answer(2, 45, 11), BENCH_AGAIN);
    assert_int_equal(answer(3, 45, 12), BENCH_AGAIN);
    assert_null(next(12));
    assert_int_equal(wake_us, 10 + BACKOFF_US);
    for (uint64_t id = 4; id <= 6; id++) {
        struct bench_batch *batch = next(10 + BACKOFF_US);
        assert_int_equal(batch->first, (id - 4) * RECORDS_MAX);
        assert_int_equal(batch->attempts, 1);
        bench_queue_sent(&queue, batch, id);
    }
    assert_int_equal(answer(4, 0, 2000), BENCH_ACKED);
    assert_int_equal(answer(5, 46, 2000), BENCH_ACKED); /* known already: as good */
    bench_queue_fini(&queue);
}

static void a_new_leader_gets_at_once_what_the_old_one_has_not_answered(void **state)
{
    (void)state;
    begin();
    bench_queue_due(&queue, 2 * RECORDS_MAX, RECORDS_MAX, 0);
    bench_queue_sent(&queue, next(0), 1);
    bench_queue_sent(&queue, next(0), 2);
    assert_int_equal(answer(1, 6, 10), BENCH_AGAIN);
    bench_queue_move(&queue, 2, 1);
    assert_int_equal(next(10)->first, 0);
    bench_queue_sent(&queue, next(10), 3);
    assert_int_equal(answer(2, 0, 11), BENCH_LATE);
    assert_int_equal(next(11)->first, RECORDS_MAX);
    assert_int_equal(answer(3, 0, 12), BENCH_ACKED);
    bench_queue_fini(&queue);
}

static void the_first_batch_goes_alone(void **state)
{
    (void)state;
    begin();
    queue.proven = false;
    bench_queue_due(&queue, 3 * RECORDS_MAX, RECORDS_MAX, 0);
    bench_queue_sent(&queue, next(0), 1);
    assert_null(next(0));
    assert_int_equal(answer(1, 6, 10), BENCH_AGAIN);
    bench_queue_sent(&queue, next(10 + BACKOFF_US), 2);
    assert_null(next(10 + BACKOFF_US));
    assert_int_equal(answer(2, 0, 2000), BENCH_ACKED);
    bench_queue_sent(&queue, next(2000), 3);
    assert_int_equal(next(2000)->first, 2 * RECORDS_MAX);
    bench_queue_fini(&queue);
}

static void without_a_leader_nothing_is_sent(void **state)
{
    (void)state;
    bench_queue_init(&queue, 0);
    bench_queue_due(&queue, 1, RECORDS_MAX, 0);
    assert_null(next(0));
    assert_int_equal(wake_us, UINT64_MAX);
    bench_queue_move(&queue, 1, 0);
    assert_non_null(next(0));
    bench_queue_fini(&queue);
}

static void what_no_retry_can_help_ends_it(void **state)
{
    enum bench_fate fate = BENCH_AGAIN;
    uint64_t id = 1;

    (void)state;
    begin();
    bench_queue_due(&queue, 1, RECORDS_MAX, 0);
    bench_queue_sent(&queue, next(0), id);
    assert_int_equal(answer(id, 10, 0), BENCH_BROKEN); /* too large */
    bench_queue_fini(&queue);
    begin();
    bench_queue_due(&queue, 1, RECORDS_MAX, 0);
    for (uint64_t now_us = 0; fate == BENCH_AGAIN; now_us += BACKOFF_US) {
        bench_queue_sent(&queue, next(now_us), ++id);
        fate = answer(id, 45, now_us); /* at the front: what came before is missing */
        assert_true(id < 10);
    }
    assert_int_equal(fate, BENCH_BROKEN);
    bench_queue_fini(&queue);
}

/* ---- at random ------------------------------------------------------------------------------- */

struct flight {
    uint64_t send_id;
    uint64_t first;
    uint32_t count;
};

struct world {
    struct prng prng;
    struct bench_queue queue;
    uint64_t now_us;
    uint64_t last_id;
    uint64_t acked;
    int32_t epoch;
    struct flight flights[FLIGHT_MAX]; /* on the connection, oldest first */
    size_t flight_count;
    struct flight old[64]; /* to a former leader: answers may still come */
    size_t old_count;
    uint64_t log_end; /* records in the log; their order is that of their numbers, or it fails */
    struct flight recent[RECENT];
    size_t recent_at;
};

/* What a broker does with a batch, by its sequence number. */
static int16_t append(struct world *w, const struct flight *flight)
{
    for (size_t i = 0; i < RECENT; i++) {
        if (w->recent[i].count > 0 && w->recent[i].first == flight->first) {
            assert_int_equal(w->recent[i].count, flight->count); /* the same bytes again */
            return 0;
        }
    }
    if (flight->first != w->log_end) {
        return flight->first < w->log_end ? 46 : 45;
    }
    w->log_end += flight->count;
    w->recent[w->recent_at++ % RECENT] = *flight;
    return 0;
}

static void tell(struct world *w, const struct flight *flight, int16_t error)
{
    struct bench_batch *batch = NULL;
    enum bench_fate fate =
        bench_queue_answer(&w->queue, flight->send_id, error, w->now_us, BACKOFF_US, &batch);

    assert_int_not_equal(fate, BENCH_BROKEN);
    if (fate == BENCH_ACKED) {
        assert_true(batch->first + batch->count <= w->log_end); /* not lost */
        w->acked += batch->count;
        bench_batch_free(batch);
    }
}

static void send(struct world *w)
{
    uint64_t wake;
    struct bench_batch *batch = bench_queue_next(&w->queue, RECORDS_MAX, 100, w->now_us, &wake);

    if (batch != NULL && w->flight_count < FLIGHT_MAX) {
        bench_queue_sent(&w->queue, batch, ++w->last_id);
        w->flights[w->flight_count++] = (struct flight){w->last_id, batch->first, batch->count};
    }
}

/* The oldest request is answered: well, or by an error before or after it was appended. */
static void answer_one(struct world *w)
{
    static const int16_t errors[] = {3, 5, 6, 7, 19};
    struct flight flight = w->flights[0];

    if (w->flight_count == 0) {
        return;
    }
    memmove(w->flights, w->flights + 1, --w->flight_count * sizeof flight);
    bool refused = prng_chance(&w->prng, 1, 6);
    int16_t error = refused ? errors[prng_below(&w->prng, 5)] : append(w, &flight);
    if (!refused && error == 0 && prng_chance(&w->prng, 1, 10)) {
        error = 7; /* appended, but not held by enough in time */
    }
    tell(w, &flight, error);
}

/* A prefix of what is on the connection arrives; nothing is answered. */
static void arrive_some(struct world *w)
{
    size_t arrive = (size_t)prng_below(&w->prng, w->flight_count + 1);

    for (size_t i = 0; i < arrive; i++) {
        (void)append(w, &w->flights[i]);
    }
}

static void disconnect(struct world *w)
{
    arrive_some(w);
    for (size_t i = 0; i < w->flight_count; i++) {
        tell(w, &w->flights[i], NETWORK);
    }
    w->flight_count = 0;
}

static void move(struct world *w)
{
    arrive_some(w);
    for (size_t i = 0; i < w->flight_count; i++) {
        w->old[w->old_count++ % 64] = w->flights[i];
    }
    w->flight_count = 0;
    w->epoch++;
    bench_queue_move(&w->queue, 1 + w->epoch % 3, w->epoch);
}

static void answer_late(struct world *w)
{
    if (w->old_count > 0) {
        size_t count = w->old_count < 64 ? w->old_count : 64;
        const struct flight *flight = &w->old[prng_below(&w->prng, count)];
        struct bench_batch *batch = NULL;
        assert_int_equal(
            bench_queue_answer(&w->queue, flight->send_id, 0, w->now_us, BACKOFF_US, &batch),
            BENCH_LATE);
    }
}

static void step(struct world *w)
{
    w->now_us += prng_below(&w->prng, 300);
    switch (prng_below(&w->prng, 20)) {
    case 0:
    case 1:
        bench_queue_due(&w->queue, (uint32_t)prng_below(&w->prng, 12) + 1, RECORDS_MAX, w->now_us);
        break;
    case 10:
        disconnect(w);
        break;
    case 11:
        move(w);
        break;
    case 12:
        answer_late(w);
        break;
    case 2:
    case 3:
    case 4:
        answer_one(w);
        break;
    default:
        send(w);
        break;
    }
}

static void every_record_once_and_in_order_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world w = {0};
        prng_init(&w.prng, seed);
        bench_queue_init(&w.queue, 0);
        bench_queue_move(&w.queue, 1, 0);
        for (int i = 0; i < STEPS; i++) {
            step(&w);
        }
        uint64_t due = w.queue.due;
        for (int i = 0; i < 100 * STEPS && w.acked < due; i++) {
            w.now_us += 100;
            send(&w);
            answer_one(&w);
        }
        assert_true(due > 100);
        assert_int_equal(w.acked, due);
        assert_int_equal(w.log_end, due);
        assert_int_equal(w.queue.in_flight, 0);
        bench_queue_fini(&w.queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_fill_batches_that_were_not_sent_yet),
        cmocka_unit_test(an_open_batch_lingers_and_a_full_one_does_not),
        cmocka_unit_test(after_a_failure_all_in_flight_go_again_in_order),
        cmocka_unit_test(a_new_leader_gets_at_once_what_the_old_one_has_not_answered),
        cmocka_unit_test(the_first_batch_goes_alone),
        cmocka_unit_test(without_a_leader_nothing_is_sent),
        cmocka_unit_test(what_no_retry_can_help_ends_it),
        cmocka_unit_test(every_record_once_and_in_order_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
