/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands on two states, one of them replaced by the other's snapshot now and then: hashes
 * stay equal, and the invariants hold (checked after every command by the fixture, and here). */
#include "base/error.h"
#include "base/prng.h"
#include "control/decide.h"
#include "tests/unit/control_fixture.h"

#define STEPS  3000
#define TOPICS 6

struct world {
    struct prng prng;
    struct control_fixture f;
    struct control *copy;
    int32_t epochs[TOPICS]; /* the highest seen of any partition, per name */
    uint64_t starts[WIRE_NODES_MAX];
    uint64_t applied_ok;
};

static const char *const names[TOPICS] = {"payments", "clicks", "strict", "a", "b", "c"};
static const char *const regions[] = {"eu-west", "eu-central", "eu-north", "us-east"};

static uint64_t below(struct world *w, uint64_t bound)
{
    return prng_below(&w->prng, bound);
}

static uint32_t any_node(struct world *w)
{
    return 1 + (uint32_t)below(w, 7);
}

static struct control_topic *any_topic(struct world *w, int32_t *out_partition)
{
    struct control_topic *t = control_topic_named(w->f.control, names[below(w, TOPICS)]);

    if (t != NULL) {
        *out_partition = (int32_t)below(w, t->partition_count);
    }
    return t;
}

static struct policy any_policy(struct world *w, uint64_t which)
{
    struct policy p = which == 1 ? control_fixture_async() : control_fixture_sync();

    (void)snprintf(p.name, sizeof p.name, "%s", names[which]);
    (void)snprintf(p.patterns[0], sizeof p.patterns[0], "%s", names[which]);
    p.pattern_count = 1;
    if (which == 2) {
        p.ack = 3;
        p.on_region_loss = POLICY_LOSS_DEGRADE;
        p.region_loss_after_ms = 1 + below(w, 3000);
    }
    if (which > 2 && below(w, 2) == 0) {
        struct policy async = control_fixture_async();
        async.pattern_count = 1;
        memcpy(async.name, p.name, sizeof p.name);
        memcpy(async.patterns, p.patterns, sizeof p.patterns);
        p = async;
    }
    p.copies = 1 + (uint32_t)(below(w, 8) == 0);
    p.retention_ms = (int64_t)below(w, 1000) + 1;
    return p;
}

static struct command_registration any_registration(struct world *w)
{
    uint32_t n = any_node(w);
    const struct control_node *node = &w->f.control->nodes[n];
    struct command_registration r = {.node_id = n, .kafka_port = 9092};

    (void)snprintf(r.region, sizeof r.region, "%s", regions[(n - 1) % 4]);
    (void)snprintf(r.rack, sizeof r.rack, "rack%u", n % 2);
    r.incarnation = below(w, 8) != 0 && node->start_number != 0 ? node->incarnation : 0;
    r.raft_id = node->raft_id;
    r.start_number = below(w, 8) != 0 ? node->start_number + 1 : 1 + below(w, 5);
    r.new_incarnation = below(w, 30) == 0;
    return r;
}

static void any_assignment(struct world *w, const struct control_topic *t, int32_t partition,
                           struct command_assignment *a)
{
    const struct control_partition *p = &t->partitions[partition];

    *a = (struct command_assignment){.topic_id = t->id, .partition = partition};
    a->if_epoch = below(w, 10) == 0 ? p->epoch - 1 : p->epoch;
    a->leader = below(w, 2) == 0 ? 0 : below(w, 2) == 0 ? p->leader : any_node(w);
    a->avoid = below(w, 3) == 0 ? NODE_BIT(any_node(w)) : 0;
    a->back_to_active = below(w, 6) == 0;
    a->lossy = below(w, 6) == 0;
    a->has_config = below(w, 2) == 0;
    a->config = p->config;
    a->config.learners ^= below(w, 2) == 0 ? NODE_BIT(any_node(w)) : 0;
    a->config.voters ^= below(w, 3) == 0 ? NODE_BIT(any_node(w)) : 0;
    a->config.learners &= ~a->config.voters;
    a->config.w = below(w, 6) == 0 ? (uint8_t)(1 + below(w, 3)) : a->config.w;
    a->config.home = (int8_t)(below(w, 8) == 0 ? (int)below(w, 4) : a->config.home);
    if (below(w, 4) == 0) {
        (void)snprintf(a->decided_by, sizeof a->decided_by, "operator");
    }
}

static void build_topic_command(struct world *w, struct command_key key)
{
    int32_t partition = 0;
    struct control_topic *t = any_topic(w, &partition);
    struct command_assignment items[3];
    struct uuid id = {{0}};

    if (t == NULL) {
        put_be64(id.bytes, w->f.index + 1);
        command_create_topic(&w->f.command, key, names[below(w, TOPICS)], id,
                             1 + (int32_t)below(w, 5), NULL, INT64_MIN, (int64_t)below(w, 100));
    } else if (below(w, 150) == 0) {
        command_delete_topic(&w->f.command, key, t->name);
    } else if (!t->partitions[partition].activated && below(w, 2) == 0) {
        struct control_ledger_entry e = {
            .kind = LEDGER_EXPOSED, .first_offset = 1, .end_offset = 5};
        memcpy(e.topic, t->name, sizeof e.topic);
        e.since_wall_ms = (int64_t)w->f.index * 400;
        e.until_wall_ms = e.since_wall_ms + 1;
        command_activated(&w->f.command, key, t->id, partition, t->partitions[partition].epoch,
                          (int64_t)below(w, 1000), below(w, 2) == 0 ? &e : NULL);
    } else {
        for (size_t i = 0; i < ARRAY_COUNT(items); i++) {
            any_assignment(w, t, (int32_t)below(w, t->partition_count), &items[i]);
        }
        command_assign(&w->f.command, key, items, 1 + below(w, 3));
    }
}

static void build_command(struct world *w)
{
    struct command_key key = control_fixture_key(&w->f);
    struct command_registration r;
    struct policy policy;

    if (below(w, 20) == 0) {
        key.seq -= below(w, 3); /* a retry, of whatever that was */
    }
    key.client.bytes[1] = (uint8_t)below(w, 3);
    switch (below(w, 12)) {
    case 0:
        r = any_registration(w);
        command_register(&w->f.command, key, &r);
        break;
    case 1:
        command_fence(&w->f.command, key, any_node(w));
        break;
    case 2:
    case 3:
        command_unfence(&w->f.command, key, any_node(w));
        break;
    case 4:
        command_node_full(&w->f.command, key, any_node(w), below(w, 3) == 0);
        break;
    case 5:
        policy = any_policy(w, below(w, TOPICS));
        command_put_policy(&w->f.command, key, &policy, "bob", (int64_t)w->f.index, true);
        break;
    case 6:
        if (below(w, 4) == 0) {
            command_remove_policy(&w->f.command, key, names[below(w, TOPICS)]);
        } else {
            command_producer_ids(&w->f.command, key, 1);
        }
        break;
    default:
        build_topic_command(w, key);
    }
}

static void check_epochs(struct world *w)
{
    for (size_t i = 0; i < TOPICS; i++) {
        const struct control_topic *t = control_topic_named(w->f.control, names[i]);
        int32_t lowest = INT32_MAX;
        int32_t highest = 0;
        for (uint32_t k = 0; t != NULL && k < t->partition_count; k++) {
            int32_t epoch = t->partitions[k].epoch;
            lowest = epoch < lowest ? epoch : lowest;
            highest = epoch > highest ? epoch : highest;
        }
        if (t != NULL && t->created_index == w->f.index) {
            assert_true(lowest > w->epochs[i]); /* a new topic of an old name */
        }
        w->epochs[i] = highest > w->epochs[i] ? highest : w->epochs[i];
    }
}

/* Epochs of single partitions never go back while the topic lives. */
static void check_no_step_back(const struct control *before, const struct control *after)
{
    for (struct control_topic *t = before->by_name; t != NULL; t = t->by_name.next) {
        const struct control_topic *now = control_topic_by_id(after, t->id);
        for (uint32_t i = 0; now != NULL && i < t->partition_count; i++) {
            assert_true(now->partitions[i].epoch >= t->partitions[i].epoch);
            if (now->partitions[i].epoch == t->partitions[i].epoch) {
                assert_int_equal(now->partitions[i].leader, t->partitions[i].leader);
            }
        }
    }
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        assert_true(after->nodes[n].start_number >= before->nodes[n].start_number);
        assert_true(after->nodes[n].incarnation >= before->nodes[n].incarnation);
    }
}

static void restore_copy(struct world *w)
{
    struct buf snapshot = {0};
    struct buf again = {0};

    control_snapshot(w->f.control, &snapshot);
    assert_int_equal(control_restore(w->copy, buf_slice(&snapshot)), 0);
    control_snapshot(w->copy, &again);
    assert_true(slice_equal(buf_slice(&snapshot), buf_slice(&again)));
    buf_fini(&snapshot);
    buf_fini(&again);
}

static void step(struct world *w)
{
    struct buf copy_result = {0};

    build_command(w);
    /* First on the copy, so that the fixture's state still shows what was before. */
    control_apply(w->copy, w->f.index + 1, buf_slice(&w->f.command), &copy_result, NULL);
    check_no_step_back(w->f.control, w->copy);
    w->applied_ok += control_fixture_apply(&w->f) == 0;
    check_epochs(w);
    buf_fini(&copy_result);
    if (w->f.index % 16 == 0) {
        assert_true(control_hash(w->f.control) == control_hash(w->copy));
    }
    if (below(w, 50) == 0) {
        restore_copy(w);
    }
}

static void run_seed(uint64_t seed)
{
    struct world w = {0};

    prng_init(&w.prng, seed);
    control_fixture_init(&w.f);
    control_fixture_found(&w.f);
    w.copy = control_new();
    restore_copy(&w);
    for (int i = 0; i < STEPS; i++) {
        step(&w);
    }
    assert_true(w.applied_ok > STEPS / 4);
    control_free(w.copy);
    control_fixture_fini(&w.f);
}

static void two_states_stay_equal_and_keep_their_invariants(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run_seed(seed);
    }
}

/* ---- snapshots as bytes -------------------------------------------------------------------- */

static void make_state(struct control_fixture *f)
{
    struct policy sync = control_fixture_sync();
    struct policy async = control_fixture_async();
    struct control_topic *t;

    control_fixture_init(f);
    control_fixture_found(f);
    assert_non_null(control_fixture_topic(f, "payments", &sync, 3));
    t = control_fixture_topic(f, "clicks", &async, 2);
    const struct command_assignment a = {
        .topic_id = t->id, .if_epoch = 1, .leader = 2, .lossy = true};
    assert_int_equal(control_fixture_assign(f, &a), 0);
    assert_int_equal(control_fixture_activate(f, t, 0), 0);
}

static void snapshots_of_another_version_are_refused(void **state)
{
    struct control_fixture f;
    struct buf snapshot = {0};

    (void)state;
    make_state(&f);
    uint64_t hash = control_hash(f.control);
    control_snapshot(f.control, &snapshot);
    assert_int_equal(control_snapshot_version(buf_slice(&snapshot)), 2);
    put_le32(snapshot.base, CONTROL_FORMAT_VERSION + 1);
    assert_int_equal(control_restore(f.control, buf_slice(&snapshot)), TERN_EFORMAT);
    assert_int_equal(control_snapshot_version(buf_slice(&snapshot)), CONTROL_FORMAT_VERSION + 1);
    assert_true(control_hash(f.control) == hash); /* untouched */
    buf_fini(&snapshot);
    control_fixture_fini(&f);
}

static void damaged_snapshots_and_commands_never_do_harm(void **state)
{
    struct control_fixture f;
    struct buf snapshot = {0};
    struct buf command = {0};
    struct buf result = {0};
    struct prng prng;

    (void)state;
    prng_init(&prng, 7);
    make_state(&f);
    control_snapshot(f.control, &snapshot);
    struct control *victim = control_new();
    for (size_t len = 0; len < snapshot.len; len++) {
        int error = control_restore(victim, slice_of(snapshot.base, len));
        assert_true(error <= 0);
        snapshot.base[len] ^= (uint8_t)(1u << prng_below(&prng, 8));
        error = control_restore(victim, buf_slice(&snapshot));
        assert_true(error <= 0);
        control_snapshot(victim, &result); /* whatever it became, it is whole */
        buf_clear(&result);
        buf_clear(&snapshot);
        control_snapshot(f.control, &snapshot);
    }
    control_free(victim);
    struct policy policy = control_fixture_async();
    command_put_policy(&command, control_fixture_key(&f), &policy, "eve", 1, false);
    for (size_t len = 0; len < command.len; len++) {
        buf_clear(&result);
        control_apply(f.control, ++f.index, slice_of(command.base, len), &result, NULL);
        command.base[len] ^= (uint8_t)(1u << prng_below(&prng, 8));
        buf_clear(&result);
        control_apply(f.control, ++f.index, buf_slice(&command), &result, NULL);
        assert_non_null(command_name(buf_slice(&command)));
        control_fixture_check(f.control);
    }
    buf_fini(&snapshot);
    buf_fini(&command);
    buf_fini(&result);
    control_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_states_stay_equal_and_keep_their_invariants),
        cmocka_unit_test(snapshots_of_another_version_are_refused),
        cmocka_unit_test(damaged_snapshots_and_commands_never_do_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
