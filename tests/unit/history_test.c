/* SPDX-License-Identifier: Apache-2.0 */
/* Epoch histories against the logs that they tell of, record by record. */
#include <string.h>

#include "base/prng.h"
#include "replica/history.h"
#include "tests/lib/test.h"

#define SEED    4711
#define ROUNDS  30000
#define LOGS    4
#define OFFSETS 64

/* A log: the epoch of each record of [start, end). */
struct log {
    int64_t start;
    int64_t end;
    int32_t epoch[OFFSETS];
};

static struct prng prng;

static int64_t below(int64_t bound)
{
    return (int64_t)prng_below(&prng, (uint64_t)bound);
}

static struct history history_of(const struct log *log)
{
    struct history h = {0};

    for (int64_t offset = log->start; offset < log->end; offset++) {
        history_note(&h, log->epoch[offset], offset);
    }
    return h;
}

/* What replication makes: in each epoch one log, cut anywhere, is another's from now on and grows,
 * and some of the others follow it for a while. */
static void make_logs(struct log *logs)
{
    memset(logs, 0, sizeof *logs * LOGS);
    int32_t epochs = 1 + (int32_t)below(8);
    for (int32_t epoch = 1; epoch <= epochs; epoch++) {
        int64_t leader = below(LOGS);
        logs[leader] = logs[below(LOGS)];
        struct log *log = &logs[leader];
        int64_t more = below(6);
        for (int64_t i = 0; i < more; i++) {
            log->epoch[log->end++] = epoch;
        }
        for (int64_t i = 0; i < LOGS; i++) {
            if (i != leader && below(2) == 0) {
                logs[i] = *log;
                logs[i].end -= more > 0 ? below(more + 1) : 0;
            }
        }
    }
}

static int64_t naive_agree(const struct log *a, const struct log *b)
{
    int64_t end = a->end < b->end ? a->end : b->end;
    int64_t start = a->start > b->start ? a->start : b->start;

    for (int64_t offset = start; offset < end; offset++) {
        if (a->epoch[offset] != b->epoch[offset]) {
            return offset;
        }
    }
    return end;
}

static int64_t agree(const struct log *a, const struct log *b)
{
    struct history ha = history_of(a);
    struct history hb = history_of(b);
    int64_t common = history_agree(ha.entries, ha.count, a->end, hb.entries, hb.count, b->end);
    int64_t mirrored = history_agree(hb.entries, hb.count, b->end, ha.entries, ha.count, a->end);

    assert_int_equal(common, mirrored);
    history_fini(&ha);
    history_fini(&hb);
    return common;
}

static void two_histories_agree_where_the_logs_do(void **state)
{
    (void)state;
    struct log logs[LOGS];
    prng_init(&prng, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        make_logs(logs);
        assert_int_equal(agree(&logs[0], &logs[1]), naive_agree(&logs[0], &logs[1]));
    }
}

/* With deleted beginnings less may be known, but never too much. */
static void beyond_a_log_start_they_never_agree_on_too_much(void **state)
{
    (void)state;
    struct log logs[LOGS];
    int64_t exact = 0;
    prng_init(&prng, SEED + 1);
    for (int round = 0; round < ROUNDS; round++) {
        make_logs(logs);
        for (int i = 0; i < 2; i++) {
            logs[i].start = logs[i].end > 0 ? below(logs[i].end + 1) : 0;
        }
        int64_t common = agree(&logs[0], &logs[1]);
        int64_t expected = naive_agree(&logs[0], &logs[1]);
        bool usable = common >= logs[0].start && common >= logs[1].start;
        assert_true(common <= expected || !usable);
        exact += common == expected;
    }
    assert_true(exact > ROUNDS / 2);
}

static void an_epoch_ends_where_the_next_one_begins(void **state)
{
    (void)state;
    struct log logs[LOGS];
    prng_init(&prng, SEED + 2);
    for (int round = 0; round < ROUNDS / 10; round++) {
        make_logs(logs);
        struct history h = history_of(&logs[0]);
        for (int32_t asked = 0; asked <= 9; asked++) {
            int32_t epoch = 0;
            int64_t end = 0;
            int32_t expected_epoch = -1;
            int64_t expected_end = -1;
            for (int64_t offset = 0; offset < logs[0].end; offset++) {
                if (logs[0].epoch[offset] <= asked) {
                    expected_epoch = logs[0].epoch[offset];
                    expected_end = offset + 1;
                }
            }
            history_end_of(&h, logs[0].end, asked, &epoch, &end);
            assert_int_equal(epoch, expected_epoch);
            assert_int_equal(end, expected_end);
        }
        history_fini(&h);
    }
}

static void a_cut_history_is_that_of_the_cut_log(void **state)
{
    (void)state;
    struct log logs[LOGS];
    prng_init(&prng, SEED + 3);
    for (int round = 0; round < ROUNDS / 10; round++) {
        make_logs(logs);
        struct history h = history_of(&logs[0]);
        logs[0].end = below(logs[0].end + 1);
        history_cut(&h, logs[0].end);
        struct history expected = history_of(&logs[0]);
        assert_int_equal(h.count, expected.count);
        for (size_t i = 0; i < h.count; i++) {
            assert_int_equal(h.entries[i].epoch, expected.entries[i].epoch);
            assert_int_equal(h.entries[i].start_offset, expected.entries[i].start_offset);
        }
        for (int64_t offset = 0; offset <= logs[0].end; offset++) {
            int32_t before = offset > 0 ? logs[0].epoch[offset - 1] : 0;
            assert_int_equal(history_epoch_before(&h, offset), before);
        }
        history_fini(&h);
        history_fini(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_histories_agree_where_the_logs_do),
        cmocka_unit_test(beyond_a_log_start_they_never_agree_on_too_much),
        cmocka_unit_test(an_epoch_ends_where_the_next_one_begins),
        cmocka_unit_test(a_cut_history_is_that_of_the_cut_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
