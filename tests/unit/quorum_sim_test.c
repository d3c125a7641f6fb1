/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>

#include "base/error.h"
#include "store/raft_log_format.h"
#include "tests/lib/mem_disk.h"
#include "tests/unit/quorum_fixture.h"

static void three_voters_elect_a_controller_and_apply_a_command(void **state)
{
    struct world *world = world_new(1, 3);

    (void)state;
    world_found(world, 3);
    assert_true(world_run(world, 3000, has_controller));
    world_submit(world, world_controller(world), 77);
    (void)world_run(world, 500, NULL);
    assert_int_equal(world->acked_count, 1);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_true(world_has(world, i, 77));
    }
    world_check_end(world);
    world_free(world);
}

static void a_command_submitted_anywhere_reaches_the_controller(void **state)
{
    struct world *world = world_new(2, 3);

    (void)state;
    world_found(world, 3);
    for (uint32_t i = 1; i <= 3; i++) {
        world_submit(world, i, 100 + i); /* before there is any controller */
    }
    (void)world_run(world, 3000, NULL);
    assert_int_equal(world->acked_count, 3);
    world_check_end(world);
    world_free(world);
}

static bool all_have_it(struct world *world)
{
    return world_has(world, 1, 77) && world_has(world, 2, 77) && world_has(world, 3, 77);
}

/* Ways of at most 5 ms: there and back with the entry, and there once more with its commit. */
static void followers_hear_of_a_commit_without_waiting_for_a_heartbeat(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = world_new(seed, 3);
        world->options.election_ms = 3000;
        world->options.heartbeat_ms = 1000;
        world->delay_max_us = 5000;
        world_found(world, 3);
        assert_true(world_run(world, 20000, has_controller));
        (void)world_run(world, 50 * seed, NULL);
        world_submit(world, world_controller(world), 77);
        assert_true(world_run(world, 40, all_have_it));
        world_free(world);
    }
}

static void a_restarted_quorum_still_has_everything(void **state)
{
    struct world *world = world_new(3, 3);

    (void)state;
    world_found(world, 3);
    for (uint32_t command = 1; command <= 200; command++) {
        world_submit(world, 1 + command % 3, command);
        (void)world_run(world, 5, NULL);
    }
    (void)world_run(world, 3000, NULL);
    assert_int_equal(world->acked_count, 200);
    for (uint32_t i = 1; i <= 3; i++) {
        world_crash(world, i);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(world_start(world, i), 0);
    }
    assert_true(world_run(world, 3000, has_controller));
    (void)world_run(world, 500, NULL);
    world_check_end(world);
    world_free(world);
}

/* What allocated memory held before: libraft sets neither barriers nor what pads configurations. */
static void no_bytes_of_the_heap_reach_the_log(void **state)
{
    static uint8_t file[1 << 16];
    struct world *world = world_new(4, 3);
    struct disk_file *handle = NULL;
    uint32_t barriers = 0;
    uint32_t configurations = 0;

    (void)state;
    (void)mallopt(M_PERTURB,
                  0x5a); /* nothing that malloc gives is zero (ASan does that by itself) */
    world_found(world, 3);
    assert_true(world_run(world, 3000, has_controller));
    (void)world_run(world, 500, NULL);
    struct disk *disk = world->nodes[2].disk;
    assert_int_equal(disk->ops->open(disk, RAFT_LOG_FILE, false, &handle), 0);
    int64_t got = disk->ops->read(disk, handle, 0, file, sizeof file);
    disk->ops->close(disk, handle);
    for (size_t at = LOG_HEADER_BYTES; at + FRAME_BYTES <= (size_t)got;) {
        if (raft_log_frame_type(file + at) == 0) {
            break; /* zeros from here on */
        }
        const uint8_t *bytes = file + at + FRAME_BYTES;
        size_t len = raft_log_frame_len(file + at);
        bool change = raft_log_frame_type(file + at) == 3;
        if (raft_log_frame_type(file + at) == 2) {
            barriers++;
            for (size_t i = 0; i < len; i++) {
                assert_int_equal(bytes[i], 0);
            }
        }
        configurations += change;
        /* One byte, a count of 8, and per member an id of 8, a digit with its NUL, a role. */
        for (size_t i = 9 + 3 * 11; change && i < len; i++) {
            assert_int_equal(bytes[i], 0);
        }
        at += FRAME_BYTES + len;
    }
    assert_true(barriers > 0);
    assert_int_equal(configurations, 1);
    (void)mallopt(M_PERTURB, 0);
    world_check_end(world);
    world_free(world);
}

/* ---- random faults -------------------------------------------------------------------------- */

static uint32_t random_running(struct world *world, struct prng *prng)
{
    uint32_t start = (uint32_t)prng_below(prng, world->count);

    for (uint32_t i = 0; i < world->count; i++) {
        uint32_t node = (start + i) % world->count + 1;
        if (world->nodes[node].quorum != NULL) {
            return node;
        }
    }
    return 0;
}

static void start(struct world *world, uint32_t node_id)
{
    int rv = world_start(world, node_id);

    if (rv != 0) {
        world_violation(world, "node %u does not start: %s, %s", node_id, error_name(rv),
                        world->nodes[node_id].fatal_what);
    }
}

static void random_fault(struct world *world, struct prng *prng)
{
    uint32_t a = (uint32_t)prng_between(prng, 1, world->count);
    uint32_t b = (uint32_t)prng_between(prng, 1, world->count);
    uint32_t controller = world_controller(world);
    /* Where it hurts. */
    a = controller != 0 && prng_chance(prng, 1, 3) ? controller : a;
    struct world_node *node = &world->nodes[a];

    switch (prng_below(prng, 10)) {
    case 0:
        if (node->quorum != NULL) {
            world_crash(world, a);
        }
        break;
    case 1:
        if (node->quorum != NULL) { /* in the middle of what it will write next */
            world_crash_in(world, a, prng_between(prng, 1, 12));
        }
        break;
    case 2:
    case 3:
        if (node->quorum == NULL) {
            start(world, a);
        }
        break;
    case 4:
        world_cut(world, a, b, true);
        break;
    case 5:
        world_isolate(world, a, true);
        break;
    case 6:
        world_heal(world);
        break;
    case 7:
        world_isolate(world, a, false);
        break;
    case 8:
        world->delay_max_us = prng_between(prng, 1000, 60000);
        break;
    default:
        mem_disk_set_latency(node->disk, 100, prng_between(prng, 200, 40000));
        break;
    }
}

/* One step of the membership, wherever a controller is; never below two voters. */
static void random_change(struct world *world, struct prng *prng)
{
    uint32_t controller = world_controller(world);
    uint32_t node = (uint32_t)prng_between(prng, 1, world->count);
    struct quorum_status status;
    unsigned voters = 0;

    if (controller == 0) {
        return;
    }
    quorum_status(world->nodes[controller].quorum, &status);
    for (uint32_t i = 0; i < status.peer_count; i++) {
        voters += status.peers[i].member.voter ? 1 : 0;
    }
    switch (prng_below(prng, 5)) {
    case 0:
        if (voters > 2) {
            world_change(world, controller, QUORUM_REMOVE, node);
        }
        break;
    case 1:
        if (voters > 2) {
            world_change(world, controller, QUORUM_DEMOTE, node);
        }
        break;
    case 2:
        quorum_transfer(world->nodes[controller].quorum,
                        prng_chance(prng, 1, 2) ? 0 : world->nodes[node].raft_id);
        break;
    case 3:
        world_change(world, controller, QUORUM_ADD, node);
        break;
    default:
        world_change(world, controller, QUORUM_PROMOTE, node);
        break;
    }
}

static uint64_t awaited;

static bool everybody_has_it(struct world *world)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        if (!world_has(world, i, awaited)) {
            return false;
        }
    }
    return true;
}

/* Everything is mended: a new command must be applied everywhere before long. */
static void calm(struct world *world, bool members_change)
{
    world_heal(world);
    world->delay_max_us = 8000;
    for (uint32_t i = 1; i <= world->count; i++) {
        world_crash_in(world, i, 0);
        mem_disk_set_latency(world->nodes[i].disk, 100, 2000);
        if (world->nodes[i].quorum == NULL) {
            start(world, i);
        }
    }
    for (unsigned i = 0; members_change && i < 12; i++) {
        (void)world_run(world, 1500, NULL);
        uint32_t controller = world_controller(world);
        if (controller != 0) {
            world_change(world, controller, QUORUM_ADD, i % world->count + 1);
        }
    }
    awaited = UINT64_C(0xabcdef);
    for (unsigned i = 0; i < 10; i++) {
        world_submit(world, 1, awaited);
        if (world_run(world, 3500, everybody_has_it)) {
            (void)world_run(world, 3500, NULL); /* whatever else was submitted has ended */
            world_check_end(world);
            return;
        }
    }
    world_violation(world, "no progress after everything was mended");
}

static struct {
    uint64_t acked;
    uint64_t reads;
    uint64_t changes;
} total;

static void random_run(uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed * 977 + 5);
    bool members_change = prng_chance(&prng, 1, 2);
    bool five = prng_chance(&prng, 1, 4);
    struct world *world = world_new(seed, five || members_change ? 5 : 3);
    uint64_t command = 0;

    world->options.snapshot_threshold = (uint32_t)prng_between(&prng, 10, 120);
    world->options.snapshot_trailing = (uint32_t)prng_between(&prng, 2, 60);
    world_found(world, five ? 5 : 3);
    for (uint32_t i = 4; i <= world->count && !five; i++) {
        start(world, i);
    }
    for (unsigned step = 0; step < 250; step++) {
        (void)world_run(world, prng_between(&prng, 1, 120), NULL);
        if (prng_chance(&prng, 1, 4)) {
            random_fault(world, &prng);
        }
        if (members_change && prng_chance(&prng, 1, 4)) {
            random_change(world, &prng);
        }
        for (uint64_t k = prng_below(&prng, 4); k > 0; k--) {
            uint32_t node = random_running(world, &prng);
            if (node != 0) {
                world_submit(world, node, ++command << 8 | node);
                world_read(world, node);
            }
        }
    }
    calm(world, members_change);
    total.acked += world->acked_count;
    total.reads += world->reads_granted;
    total.changes += world->changes_done;
    world_free(world);
}

static void random_faults_lose_nothing_that_was_acknowledged(void **state)
{
    const char *one = getenv("SEED");
    const char *count = getenv("SEEDS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t seeds = one != NULL ? 1 : count != NULL ? strtoull(count, NULL, 10) : 200;

    (void)state;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        if (getenv("VERBOSE") != NULL) {
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        }
        random_run(seed);
    }
    printf("seeds %llu..%llu: %llu acked, %llu reads, %llu changes\n", (unsigned long long)first,
           (unsigned long long)(first + seeds - 1), (unsigned long long)total.acked,
           (unsigned long long)total.reads, (unsigned long long)total.changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_voters_elect_a_controller_and_apply_a_command),
        cmocka_unit_test(a_command_submitted_anywhere_reaches_the_controller),
        cmocka_unit_test(followers_hear_of_a_commit_without_waiting_for_a_heartbeat),
        cmocka_unit_test(a_restarted_quorum_still_has_everything),
        cmocka_unit_test(no_bytes_of_the_heap_reach_the_log),
        cmocka_unit_test(random_faults_lose_nothing_that_was_acknowledged),
    };
    trace_set_sink(getenv("WORLD_TRACE") != NULL ? NULL : quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
