/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"
#include "group/assignor.h"
#include "tests/lib/test.h"

#define TOPICS  4
#define MEMBERS 12

static struct prng prng;

struct world {
    struct assignor_topic topics[TOPICS];
    struct uuid subscribed[MEMBERS][TOPICS];
    struct part_set held[MEMBERS];
    struct assignor_member members[MEMBERS];
    struct assignor_task task;
};

static struct uuid id_of(uint32_t t)
{
    return (struct uuid){{(uint8_t)(t + 1)}};
}

static void world_init(struct world *w, uint32_t members, uint32_t topics, uint32_t partitions)
{
    memset(w, 0, sizeof *w);
    for (uint32_t t = 0; t < topics; t++) {
        w->topics[t] = (struct assignor_topic){id_of(t), partitions};
    }
    w->task = (struct assignor_task){w->topics, topics, w->members, members};
    for (uint32_t m = 0; m < MEMBERS; m++) {
        w->members[m].topics = w->subscribed[m];
        w->members[m].held = &w->held[m];
        for (uint32_t t = 0; t < topics; t++) {
            w->subscribed[m][w->members[m].topic_count++] = id_of(t);
        }
    }
}

static void run(struct world *w, enum assignor assignor)
{
    for (uint32_t m = 0; m < MEMBERS; m++) {
        part_set_clear(&w->members[m].target);
    }
    assignor_run(assignor, &w->task);
}

/* The target becomes what is held; how many partitions have moved to another member. */
static uint32_t take(struct world *w)
{
    uint32_t moved = 0;

    for (uint32_t m = 0; m < w->task.member_count; m++) {
        for (uint32_t i = 0; i < w->members[m].target.count; i++) {
            for (uint32_t other = 0; other < MEMBERS; other++) {
                moved += other != m && part_set_has(&w->held[other], &w->members[m].target.at[i]);
            }
        }
    }
    for (uint32_t m = 0; m < MEMBERS; m++) {
        part_set_copy(&w->held[m], &w->members[m].target);
    }
    return moved;
}

static void world_fini(struct world *w)
{
    for (uint32_t m = 0; m < MEMBERS; m++) {
        part_set_fini(&w->held[m]);
        part_set_fini(&w->members[m].target);
    }
}

/* Each partition of a topic with subscribers has one member, a subscriber. */
static void check_whole(const struct world *w)
{
    for (uint32_t t = 0; t < w->task.topic_count; t++) {
        for (uint32_t p = 0; p < w->topics[t].partitions; p++) {
            struct topic_part part = {w->topics[t].id, (int32_t)p};
            uint32_t owners = 0;
            uint32_t subscribers = 0;
            for (uint32_t m = 0; m < w->task.member_count; m++) {
                bool subscribes = false;
                for (uint32_t i = 0; i < w->members[m].topic_count; i++) {
                    subscribes = subscribes || uuid_equal(w->subscribed[m][i], part.topic);
                }
                bool has = part_set_has(&w->members[m].target, &part);
                assert_true(subscribes || !has);
                subscribers += subscribes;
                owners += has;
            }
            assert_int_equal(owners, subscribers > 0 ? 1 : 0);
        }
    }
}

static void check_even(const struct world *w)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (uint32_t m = 0; m < w->task.member_count; m++) {
        uint32_t count = w->members[m].target.count;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    assert_true(most - least <= 1);
}

static void uniform_moves_no_more_than_it_must(void **state)
{
    static struct world w;
    (void)state;

    world_init(&w, 3, 2, 6);
    run(&w, ASSIGNOR_UNIFORM);
    check_whole(&w);
    check_even(&w);
    (void)take(&w);
    run(&w, ASSIGNOR_UNIFORM);
    assert_int_equal(take(&w), 0);
    w.task.member_count = 4; /* one more: it gets three, nobody else anything */
    run(&w, ASSIGNOR_UNIFORM);
    check_even(&w);
    assert_int_equal(take(&w), 3);
    w.task.member_count = 3; /* gone again: its three are shared */
    run(&w, ASSIGNOR_UNIFORM);
    check_whole(&w);
    check_even(&w);
    assert_int_equal(take(&w), 3);
    world_fini(&w);
}

static void range_gives_the_same_places_of_all_topics_to_the_same_member(void **state)
{
    static struct world w;
    (void)state;

    world_init(&w, 3, 2, 7);
    run(&w, ASSIGNOR_RANGE);
    check_whole(&w);
    assert_int_equal(w.members[0].target.count, 6);
    assert_int_equal(w.members[1].target.count, 4);
    for (uint32_t m = 0; m < 3; m++) {
        uint32_t half = w.members[m].target.count / 2;
        for (uint32_t i = 0; i < half; i++) {
            assert_int_equal(w.members[m].target.at[i].partition,
                             w.members[m].target.at[half + i].partition);
        }
    }
    world_fini(&w);
}

static void more_members_than_partitions_leave_some_without(void **state)
{
    static struct world w;
    (void)state;

    world_init(&w, 5, 1, 2);
    for (int a = 0; a < ASSIGNOR_COUNT; a++) {
        run(&w, (enum assignor)a);
        check_whole(&w);
        check_even(&w);
    }
    world_fini(&w);
}

static void whatever_is_subscribed_each_partition_has_one_subscriber(void **state)
{
    static struct world w;
    (void)state;

    prng_init(&prng, 848);
    for (int walk = 0; walk < 300; walk++) {
        world_init(&w, 1, TOPICS, 5);
        for (int round = 0; round < 8; round++) {
            w.task.member_count = 1 + (uint32_t)prng_below(&prng, MEMBERS);
            for (uint32_t t = 0; t < TOPICS; t++) {
                w.topics[t].partitions = (uint32_t)prng_below(&prng, 9);
            }
            for (uint32_t m = 0; m < MEMBERS; m++) {
                w.members[m].topic_count = 0;
                for (uint32_t t = 0; t < TOPICS; t++) {
                    if (prng_below(&prng, 2) == 0) {
                        w.subscribed[m][w.members[m].topic_count++] = id_of(t);
                    }
                }
            }
            run(&w, (enum assignor)prng_below(&prng, ASSIGNOR_COUNT));
            check_whole(&w);
            (void)take(&w);
        }
        world_fini(&w);
    }
}

static void a_member_that_can_take_more_is_given_more(void **state)
{
    static struct world w;
    (void)state;

    world_init(&w, 2, 2, 6);
    w.members[0].topic_count = 1; /* the second one alone reads the second topic */
    run(&w, ASSIGNOR_UNIFORM);
    check_whole(&w);
    check_even(&w);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_moves_no_more_than_it_must),
        cmocka_unit_test(range_gives_the_same_places_of_all_topics_to_the_same_member),
        cmocka_unit_test(more_members_than_partitions_leave_some_without),
        cmocka_unit_test(whatever_is_subscribed_each_partition_has_one_subscriber),
        cmocka_unit_test(a_member_that_can_take_more_is_given_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
