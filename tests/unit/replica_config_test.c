/* SPDX-License-Identifier: Apache-2.0 */
/* The two quorum rules against slow versions that follow their words. */
#include "base/prng.h"
#include "replica/config.h"
#include "tests/lib/test.h"

#define SEED    77
#define ROUNDS  20000
#define MEMBERS 7

#define NODE_BIT(node) ((uint64_t)1 << (node))

static struct prng prng;

static uint64_t below(uint64_t bound)
{
    return prng_below(&prng, bound);
}

/* Nodes with random ids in one to four regions; w fits the regions that have voters. */
static struct replica_spec random_spec(void)
{
    struct replica_spec spec = {.member_count = 1 + (uint32_t)below(MEMBERS)};
    uint64_t regions = 1 + below(4);
    uint32_t node = 0;
    unsigned with_voters = 0;

    for (uint32_t i = 0; i < spec.member_count; i++) {
        node += 1 + (uint32_t)below(8);
        spec.members[i] = (struct replica_member){.node = node, .region = (int8_t)below(regions)};
        if (i == 0 || below(4) != 0) {
            spec.config.voters |= NODE_BIT(node);
            with_voters |= 1U << spec.members[i].region;
        } else {
            spec.config.learners |= NODE_BIT(node);
        }
    }
    unsigned count = (unsigned)__builtin_popcount(with_voters);
    spec.config.w = (uint8_t)(1 + below(count));
    spec.config.home = -1;
    if (below(3) == 0) {
        spec.config.w = 1;
        spec.config.home = spec.members[0].region;
    }
    spec.recover = spec.config;
    return spec;
}

static uint64_t random_nodes(const struct replica_spec *spec)
{
    uint64_t nodes = 0;

    for (uint32_t i = 0; i < spec->member_count; i++) {
        nodes |= below(2) == 0 ? NODE_BIT(spec->members[i].node) : 0;
    }
    return nodes;
}

/* "A region holds a record when a majority of its voters has it"; W regions, or home. */
static bool naive_commits(const struct replica_spec *spec, uint64_t nodes)
{
    int regions = 0;

    for (int8_t region = 0; region < REPLICA_REGIONS_MAX; region++) {
        int voters = 0;
        int hold = 0;
        for (uint32_t i = 0; i < spec->member_count; i++) {
            uint64_t bit = NODE_BIT(spec->members[i].node);
            if (spec->members[i].region == region && (spec->config.voters & bit) != 0) {
                voters++;
                hold += (nodes & bit) != 0;
            }
        }
        bool holds = 2 * hold > voters;
        if (spec->config.home == region) {
            return holds;
        }
        regions += holds;
    }
    return spec->config.home < 0 && regions >= spec->config.w;
}

/* "Every commit quorum meets every recovery quorum in at least one replica." */
static bool naive_meets_all(const struct replica_spec *spec, uint64_t nodes)
{
    for (unsigned set = 0; set < 1U << spec->member_count; set++) {
        uint64_t quorum = 0;
        for (uint32_t i = 0; i < spec->member_count; i++) {
            quorum |= (set >> i & 1) != 0 ? NODE_BIT(spec->members[i].node) : 0;
        }
        quorum &= spec->config.voters;
        if (naive_commits(spec, quorum) && (quorum & nodes) == 0) {
            return false;
        }
    }
    return true;
}

static void a_set_can_commit_when_a_majority_in_enough_regions_has_it(void **state)
{
    (void)state;
    prng_init(&prng, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        struct replica_spec spec = random_spec();
        uint64_t nodes = random_nodes(&spec);
        assert_int_equal(rule_can_commit(&spec.config, &spec, nodes), naive_commits(&spec, nodes));
    }
}

static void a_set_can_recover_when_it_meets_every_commit_quorum(void **state)
{
    (void)state;
    prng_init(&prng, SEED + 1);
    for (int round = 0; round < ROUNDS; round++) {
        struct replica_spec spec = random_spec();
        uint64_t nodes = random_nodes(&spec);
        assert_int_equal(rule_can_recover(&spec.recover, &spec, nodes),
                         naive_meets_all(&spec, nodes));
    }
}

static void what_is_held_is_the_highest_offset_that_commits(void **state)
{
    (void)state;
    prng_init(&prng, SEED + 2);
    for (int round = 0; round < ROUNDS; round++) {
        struct replica_spec spec = random_spec();
        int64_t held[64] = {0};
        int64_t expected = 0;
        for (uint32_t i = 0; i < spec.member_count; i++) {
            held[spec.members[i].node] = (int64_t)below(12);
        }
        for (int64_t offset = 1; offset < 12; offset++) {
            uint64_t nodes = 0;
            for (unsigned node = 0; node < 64; node++) {
                nodes |= held[node] >= offset ? NODE_BIT(node) : 0;
            }
            expected = naive_commits(&spec, nodes) ? offset : expected;
        }
        assert_int_equal(rule_held(&spec.config, &spec, held), expected);
    }
}

/* What another region has shipped, a lossy epoch that reads this region has read. */
static void a_lossy_read_meets_every_majority_outside_of_home(void **state)
{
    (void)state;
    prng_init(&prng, SEED + 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct replica_spec spec = random_spec();
        uint64_t nodes = random_nodes(&spec);
        bool covers = true;
        for (int8_t region = 0; region < REPLICA_REGIONS_MAX; region++) {
            int voters = 0;
            int read = 0;
            for (uint32_t i = 0; i < spec.member_count; i++) {
                uint64_t bit = NODE_BIT(spec.members[i].node);
                if (spec.members[i].region == region && (spec.recover.voters & bit) != 0) {
                    voters++;
                    read += (nodes & bit) != 0;
                }
            }
            bool others_are_a_majority = 2 * (voters - read) > voters;
            covers =
                covers && (region == spec.recover.home || voters == 0 || !others_are_a_majority);
        }
        assert_int_equal(rule_covers_regions(&spec.recover, &spec, nodes), covers);
    }
}

static struct replica_spec three_regions(uint8_t copies)
{
    struct replica_spec spec = {.config = {.w = 2, .home = -1}};

    for (uint32_t node = 1; node <= 3U * copies; node++) {
        spec.members[spec.member_count++] =
            (struct replica_member){.node = node, .region = (int8_t)((node - 1) / copies)};
        spec.config.voters |= NODE_BIT(node);
    }
    spec.recover = spec.config;
    return spec;
}

static void with_one_copy_two_of_three_regions_commit_and_recover(void **state)
{
    (void)state;
    struct replica_spec spec = three_regions(1);
    assert_true(rule_can_commit(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(3)));
    assert_false(rule_can_commit(&spec.config, &spec, NODE_BIT(2)));
    assert_true(rule_can_recover(&spec.config, &spec, NODE_BIT(2) | NODE_BIT(3)));
    assert_false(rule_can_recover(&spec.config, &spec, NODE_BIT(1)));
    spec.config.w = 3;
    assert_false(rule_can_commit(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(3)));
    assert_true(rule_can_recover(&spec.config, &spec, NODE_BIT(1)));
}

static void with_three_copies_two_of_a_region_speak_for_it(void **state)
{
    (void)state;
    struct replica_spec spec = three_regions(3);
    uint64_t two_each = NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(4) | NODE_BIT(6);
    assert_true(rule_can_commit(&spec.config, &spec, two_each));
    assert_false(rule_can_commit(&spec.config, &spec, two_each & ~NODE_BIT(6)));
    assert_true(rule_can_recover(&spec.config, &spec, two_each));
    assert_false(rule_can_recover(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(4) | NODE_BIT(7)));
}

static void two_data_regions_beside_a_witness_need_each_other(void **state)
{
    (void)state;
    struct replica_spec spec = three_regions(1);
    spec.config.voters = NODE_BIT(1) | NODE_BIT(2);
    assert_false(rule_can_commit(&spec.config, &spec, NODE_BIT(1)));
    assert_true(rule_can_commit(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(2)));
    assert_true(rule_can_recover(&spec.config, &spec, NODE_BIT(2)));
}

static void an_async_topic_asks_its_home_alone(void **state)
{
    (void)state;
    struct replica_spec spec = three_regions(1);
    spec.config.w = 1;
    spec.config.home = 1;
    assert_true(rule_can_commit(&spec.config, &spec, NODE_BIT(2)));
    assert_false(rule_can_commit(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(3)));
    assert_true(rule_can_recover(&spec.config, &spec, NODE_BIT(2)));
    assert_false(rule_can_recover(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(3)));
    assert_true(rule_covers_regions(&spec.config, &spec, NODE_BIT(1) | NODE_BIT(3)));
}

static void an_epoch_needs_activation_when_its_config_is_not_the_active_one(void **state)
{
    (void)state;
    struct replica_spec spec = three_regions(1);
    assert_false(spec_needs_activation(&spec));
    spec.config.w = 3;
    assert_true(spec_needs_activation(&spec));
    spec.activated = true;
    assert_false(spec_needs_activation(&spec));
    spec = three_regions(1);
    spec.lossy = true;
    assert_true(spec_needs_activation(&spec));
    spec = three_regions(1);
    spec.recover.voters &= ~NODE_BIT(3);
    assert_true(spec_needs_activation(&spec));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_can_commit_when_a_majority_in_enough_regions_has_it),
        cmocka_unit_test(a_set_can_recover_when_it_meets_every_commit_quorum),
        cmocka_unit_test(what_is_held_is_the_highest_offset_that_commits),
        cmocka_unit_test(a_lossy_read_meets_every_majority_outside_of_home),
        cmocka_unit_test(with_one_copy_two_of_three_regions_commit_and_recover),
        cmocka_unit_test(with_three_copies_two_of_a_region_speak_for_it),
        cmocka_unit_test(two_data_regions_beside_a_witness_need_each_other),
        cmocka_unit_test(an_async_topic_asks_its_home_alone),
        cmocka_unit_test(an_epoch_needs_activation_when_its_config_is_not_the_active_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
