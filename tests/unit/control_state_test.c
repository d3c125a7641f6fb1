/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the control state, one by one: the founding, topics, policies, the ledger. */
#include "base/error.h"
#include "tests/unit/control_cluster.h"

static void founding_is_one_explicit_act(void **state)
{
    struct control_fixture f;
    const struct command_founder founder = {.node_id = 1, .raft_id = 5, .region = "a"};

    (void)state;
    control_fixture_init(&f);
    command_fence(&f.command, control_fixture_key(&f), 1);
    assert_int_equal(control_fixture_apply(&f), TERN_EREFUSED); /* nothing before it */
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{1}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), 0);
    assert_int_equal(f.control->next_raft_id, 6);
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{1}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), 0); /* the same one again */
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{2}}, "c", &founder, 1);
    assert_int_equal(control_fixture_apply(&f), TERN_EEXIST);
    control_fixture_fini(&f);
}

static void a_topic_has_a_replica_in_each_region_and_leaders_where_preferred(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 6);

    assert_non_null(t);
    assert_int_equal(t->partition_count, 6);
    assert_int_equal(f->result.partitions, 6);
    for (uint32_t i = 0; i < 6; i++) {
        const struct control_partition *p = &t->partitions[i];
        assert_int_equal(p->epoch, 1);
        assert_int_equal(p->leader, 1);
        assert_int_equal(p->leader_start, 1);
        assert_true(p->activated);
        assert_int_equal(p->config.voters, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3));
        assert_int_equal(p->config.w, 2);
        assert_int_equal(p->config.home, -1);
        assert_int_equal(p->replica_count, 3);
        assert_int_equal(p->replicas[2].since, 0);
        assert_int_equal(p->replicas[2].incarnation, 1);
    }
    assert_int_equal(f->changes.count, 7);
    assert_int_equal(f->changes.items[0].kind, CONTROL_TOPIC_CREATED);
}

static void an_async_topic_is_led_and_acknowledged_at_home(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);

    assert_int_equal(t->partitions[0].leader, 1);
    assert_int_equal(t->partitions[0].config.home, 0);
    assert_int_equal(t->partitions[0].config.w, 1);
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(t->partitions[0].leader, 1); /* it stays at home */
    assert_int_equal(t->partitions[0].epoch, 1);
}

static void copies_are_spread_over_racks_and_then_load(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    assert_int_equal(control_fixture_start(f, 4, "eu-west", 1), 0);
    assert_int_equal(f->result.raft_id, 14);
    assert_int_equal(f->result.incarnation, 1);
    assert_int_equal(f->result.old_raft_id, 0);
    assert_false(f->result.rolled_back);
    struct control_topic *t = control_fixture_topic(f, "wide", &policy, 4);
    uint32_t on_1 = 0;
    uint32_t led_by_1 = 0;
    for (uint32_t i = 0; i < 4; i++) {
        on_1 += (t->partitions[i].config.voters & NODE_BIT(1)) != 0;
        led_by_1 += t->partitions[i].leader == 1;
    }
    assert_int_equal(on_1, 2);
    assert_int_equal(led_by_1, 2);
}

static void a_fenced_nodes_partitions_move_in_the_preferred_order(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 3);

    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(t->partitions[i].leader, 2);
        assert_int_equal(t->partitions[i].epoch, 2);
        assert_true(t->partitions[i].activated);
    }
    assert_int_equal(f->changes.count, 4);
    assert_int_equal(control_fixture_fence(f, 1, true), 0); /* again: nothing */
    assert_int_equal(f->changes.count, 0);
    /* With node 1 fenced, 2 and 3 are the only quorum: without 2 there is none, so it stays. */
    assert_int_equal(control_fixture_fence(f, 2, true), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    assert_int_equal(t->partitions[0].epoch, 2);
    assert_int_equal(control_fixture_fence(f, 9, true), TERN_ENOENT);
}

static void a_full_node_hands_its_leaders_away(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    command_node_full(&f->command, control_fixture_key(f), 1, true);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->partitions[0].leader, 2);
    assert_true(f->control->nodes[1].full);
}

static void a_repeated_command_gives_the_first_result(void **state)
{
    struct control_fixture *f = *state;
    struct command_key key = control_fixture_key(f);

    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    int64_t first = f->result.producer_id;
    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.producer_id, first);
    command_producer_ids(&f->command, control_fixture_key(f), 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.producer_id, first + CONTROL_PRODUCER_BLOCK);
    for (int i = 0; i < 100; i++) {
        command_producer_ids(&f->command, control_fixture_key(f), 1);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    command_producer_ids(&f->command, key, 1);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED); /* too late to know */
    f->key.client.bytes[1] = 1;
    command_producer_ids(&f->command, f->key, 1); /* another client has numbers of its own */
    assert_int_equal(control_fixture_apply(f), 0);
}

static void epochs_go_on_when_a_topic_is_deleted_and_made_again(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 2);

    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    assert_int_equal(t->partitions[0].epoch, 2);
    command_delete_topic(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->changes.items[0].kind, CONTROL_TOPIC_DELETED);
    assert_null(control_topic_named(f->control, "payments"));
    t = control_fixture_topic(f, "payments", &policy, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(t->partitions[i].epoch, 3);
        assert_int_equal(t->partitions[i].replicas[0].since, 0);
    }
    command_delete_topic(&f->command, control_fixture_key(f), "nothing");
    assert_int_equal(control_fixture_apply(f), TERN_ENOENT);
}

static void policies_have_revisions_and_topics_follow_them(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);

    assert_int_equal(f->control->policy_revision, 1);
    assert_string_equal(f->control->policies[0].author, "alice");
    struct policy next = t->policy;
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(f->control->policy_revision, 1); /* the same again */
    next.retention_ms = 1000;
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(f->control->policy_revision, 2);
    assert_int_equal(f->control->policies[0].revision, 2);
    assert_int_equal(t->policy.retention_ms, 1000);
    assert_int_equal(f->changes.items[0].kind, CONTROL_POLICY);
    command_remove_policy(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_string_equal(t->policy.name, "default");
}

static void policies_are_applied_together_or_not_at_all(void **state)
{
    struct control_fixture *f = *state;
    struct policy sync = control_fixture_sync();
    struct policy other = control_fixture_sync();

    (void)snprintf(sync.name, sizeof sync.name, "payments");
    (void)snprintf(sync.patterns[0], sizeof sync.patterns[0], "pay-*");
    sync.pattern_count = 1;
    sync.critical = true;
    other = sync;
    (void)snprintf(other.name, sizeof other.name, "orders");
    other.ack = 9; /* more regions than there are */
    struct command_policy both[] = {{&sync, false}, {&other, false}};
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_not_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_count, 0);
    /* Judged as they stand together: both match pay-x, whichever came first. */
    other.ack = 2;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    assert_int_equal(f->control->policy_count, 0);
    (void)snprintf(other.patterns[0], sizeof other.patterns[0], "orders-*");
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 7);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_count, 2);
    assert_int_equal(f->control->policy_revision, 2);
    /* Patterns change hands in one step, which one document after the other could not. */
    (void)snprintf(sync.patterns[0], sizeof sync.patterns[0], "orders-*");
    (void)snprintf(other.patterns[0], sizeof other.patterns[0], "pay-*");
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 8);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->policy_revision, 4);
    /* One that may promise less is no leave for the other. */
    sync.critical = false;
    other.critical = false;
    both[0].weaken_confirmed = true;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 9);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    both[1].weaken_confirmed = true;
    command_put_policies(&f->command, control_fixture_key(f), both, 2, "alice", 9);
    assert_int_equal(control_fixture_apply(f), 0);
}

static void a_topics_own_retention_survives_a_policy_change(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "log*");
    policy.pattern_count = 1;
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    command_create_topic(&f->command, control_fixture_key(f), "logs", (struct uuid){{3}}, -1, NULL,
                         777, INT64_MIN);
    assert_int_equal(control_fixture_apply(f), 0);
    struct control_topic *t = control_topic_named(f->control, "logs");
    policy.retention_ms = 5;
    policy.retention_bytes = 6;
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    assert_int_equal(t->policy.retention_ms, 777);
    assert_int_equal(t->policy.retention_bytes, 6);
}

static void the_groups_topic_falls_only_under_a_policy_that_names_it(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    (void)snprintf(policy.name, sizeof policy.name, "default");
    policy.pattern_count = 1;
    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "*");
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    command_create_topic(&f->command, control_fixture_key(f), CONTROL_GROUPS_TOPIC,
                         (struct uuid){{9}}, 12, NULL, -1, -1);
    assert_int_equal(control_fixture_apply(f), 0);
    struct control_topic *topic = control_topic_named(f->control, CONTROL_GROUPS_TOPIC);
    assert_int_equal(topic->partition_count, 12);
    assert_int_equal(topic->policy.mode, POLICY_SYNC);
    assert_int_equal(topic->policy.ack, 2);
    policy = control_fixture_sync();
    (void)snprintf(policy.name, sizeof policy.name, "groups");
    policy.pattern_count = 1;
    (void)snprintf(policy.patterns[0], sizeof policy.patterns[0], "%s", CONTROL_GROUPS_TOPIC);
    assert_int_equal(control_fixture_put_policy(f, &policy), 0);
    assert_string_equal(topic->policy.name, "groups");
    command_delete_topic(&f->command, control_fixture_key(f), CONTROL_GROUPS_TOPIC);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDTOPIC);
}

static void a_critical_policy_is_weakened_only_with_a_confirmation(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_sync();

    policy.critical = true;
    policy.ack = 3;
    struct control_topic *t = control_fixture_topic(f, "payments", &policy, 1);
    assert_int_equal(t->partitions[0].config.w, 3);
    struct policy next = t->policy;
    next.ack = 2;
    assert_int_equal(control_fixture_put_policy(f, &next), TERN_EREFUSED);
    assert_non_null(strstr(f->result.why, "fewer regions"));
    assert_int_equal(t->policy.ack, 3);
    command_remove_policy(&f->command, control_fixture_key(f), "payments");
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED);
    command_put_policy(&f->command, control_fixture_key(f), &next, "bob", 1, true);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->policy.ack, 2);
}

static void failover_auto_begins_only_while_the_leaders_can_be_told(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    policy.failover = POLICY_FAILOVER_MANUAL;
    struct control_topic *t = control_fixture_topic(f, "clicks", &policy, 1);
    struct policy next = t->policy;
    next.failover = POLICY_FAILOVER_AUTO;
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(control_fixture_put_policy(f, &next), TERN_EREFUSED);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    assert_int_equal(control_fixture_put_policy(f, &next), 0);
    assert_int_equal(t->policy.failover, POLICY_FAILOVER_AUTO);
}

static void a_policy_that_contradicts_itself_is_refused(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = control_fixture_async();

    policy.critical = true;
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
    policy = control_fixture_sync();
    policy.ack = 1;
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
    policy = control_fixture_sync();
    (void)snprintf(policy.name, sizeof policy.name, "a\nb");
    assert_int_equal(control_fixture_put_policy(f, &policy), TERN_EPOLICY);
}

static void what_cannot_be_satisfied_is_refused_with_the_reason(void **state)
{
    struct control_fixture f;
    struct policy policy = control_fixture_sync();
    const struct command_founder founders[2] = {
        {.node_id = 1, .raft_id = 1, .region = "eu-west"},
        {.node_id = 2, .raft_id = 2, .region = "eu-central"}};

    (void)state;
    control_fixture_init(&f);
    command_found(&f.command, control_fixture_key(&f), (struct uuid){{7}}, "c", founders, 2);
    assert_int_equal(control_fixture_apply(&f), 0);
    assert_int_equal(control_fixture_start(&f, 1, "eu-west", 1), 0);
    assert_int_equal(control_fixture_start(&f, 2, "eu-central", 1), 0);
    policy.ack = 3;
    assert_int_equal(control_fixture_put_policy(&f, &policy), TERN_EPOLICY);
    assert_string_equal(f.result.why,
                        "policy default wants 3 regions to acknowledge, 2 have nodes for it");
    policy.ack = 2;
    assert_int_equal(control_fixture_put_policy(&f, &policy), 0);
    control_fixture_fini(&f);
}

static void bad_topics_are_refused(void **state)
{
    struct control_fixture *f = *state;
    const struct {
        const char *name;
        int32_t partitions;
        const char *policy;
        int error;
    } rows[] = {
        {"", 1, NULL, TERN_EINVALIDTOPIC},
        {"..", 1, NULL, TERN_EINVALIDTOPIC},
        {"a b", 1, NULL, TERN_EINVALIDTOPIC},
        {"a", 0, NULL, TERN_EINVALIDPARTITIONS},
        {"a", 10001, NULL, TERN_EINVALIDPARTITIONS},
        {"a", -2, NULL, TERN_EINVALIDPARTITIONS},
        {"a", 1, "nosuch", TERN_EPOLICY},
        {"a", -1, NULL, 0},
        {"a", 1, NULL, TERN_EEXIST},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct uuid id = {{(uint8_t)(i + 1)}};
        command_create_topic(&f->command, control_fixture_key(f), rows[i].name, id,
                             rows[i].partitions, rows[i].policy, INT64_MIN, INT64_MIN);
        assert_int_equal(control_fixture_apply(f), rows[i].error);
    }
}

static void ledger_entries_open_close_and_merge(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {.kind = LEDGER_DEGRADED,
                                     .topic = "payments",
                                     .partition = 2,
                                     .first_offset = -1,
                                     .end_offset = -1,
                                     .since_wall_ms = 10000,
                                     .decided_by = "policy payments"};

    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0); /* open already */
    assert_int_equal(f->control->ledger_count, 1);
    e.until_wall_ms = 20000;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 20000);
    e.since_wall_ms = 20900; /* less than a second later: the same interval goes on */
    e.until_wall_ms = 0;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 1);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 0);
    e.until_wall_ms = 30000;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    e.since_wall_ms = 40000;
    e.until_wall_ms = 40001;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
}

/* Found by the simulator: what a lossy epoch exposed "from 463 on" vanished in an entry that another
 * had left for 244 to 256 less than a second before. */
static void an_exposure_without_an_end_is_not_merged_into_one_with_an_end(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {.kind = LEDGER_EXPOSED,
                                     .topic = "clicks",
                                     .partition = 2,
                                     .first_offset = 244,
                                     .end_offset = 256,
                                     .since_wall_ms = 10000,
                                     .until_wall_ms = 10000,
                                     .decided_by = "policy clicks"};

    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    e.first_offset = 463;
    e.end_offset = -1;
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[1].first_offset, 463);
    assert_int_equal(f->control->ledger[1].end_offset, -1);
    e.first_offset = 250;
    e.end_offset = 257; /* of before */
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[0].end_offset, 257);
    assert_int_equal(f->control->ledger[1].end_offset, -1);
    e.first_offset = 463;
    e.end_offset = 470; /* the node is back: now the end is known */
    command_ledger(&f->command, control_fixture_key(f), &e);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->ledger_count, 2);
    assert_int_equal(f->control->ledger[1].end_offset, 470);
}

static void a_ledger_keeps_a_thousand_entries_per_topic(void **state)
{
    struct control_fixture *f = *state;
    struct control_ledger_entry e = {
        .kind = LEDGER_EXPOSED, .topic = "clicks", .bytes = 1, .decided_by = "policy clicks"};

    for (int i = 0; i < CONTROL_LEDGER_PER_TOPIC + 100; i++) {
        e.first_offset = i * 10;
        e.end_offset = i * 10 + 5;
        e.since_wall_ms = i * 10000 + 1;
        e.until_wall_ms = i * 10000 + 2;
        command_ledger(&f->command, control_fixture_key(f), &e);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    assert_int_equal(f->control->ledger_count, CONTROL_LEDGER_PER_TOPIC);
    assert_int_equal(f->control->ledger[0].bytes, 101);
    assert_int_equal(f->control->ledger[0].since_wall_ms, 1);
    assert_int_equal(f->control->ledger[0].until_wall_ms, 100 * 10000 + 2);
    e.partition = 0;
    for (int i = 0; i < CONTROL_LEDGER_PER_TOPIC + 100; i++) { /* and of open ones as well */
        e.partition = i;
        e.until_wall_ms = 0;
        command_ledger(&f->command, control_fixture_key(f), &e);
        assert_int_equal(control_fixture_apply(f), 0);
    }
    assert_int_equal(f->control->ledger_count, CONTROL_LEDGER_PER_TOPIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(founding_is_one_explicit_act),
        WITH_CLUSTER(a_topic_has_a_replica_in_each_region_and_leaders_where_preferred),
        WITH_CLUSTER(an_async_topic_is_led_and_acknowledged_at_home),
        WITH_CLUSTER(copies_are_spread_over_racks_and_then_load),
        WITH_CLUSTER(a_fenced_nodes_partitions_move_in_the_preferred_order),
        WITH_CLUSTER(a_full_node_hands_its_leaders_away),
        WITH_CLUSTER(a_repeated_command_gives_the_first_result),
        WITH_CLUSTER(epochs_go_on_when_a_topic_is_deleted_and_made_again),
        WITH_CLUSTER(policies_have_revisions_and_topics_follow_them),
        WITH_CLUSTER(policies_are_applied_together_or_not_at_all),
        WITH_CLUSTER(a_topics_own_retention_survives_a_policy_change),
        WITH_CLUSTER(the_groups_topic_falls_only_under_a_policy_that_names_it),
        WITH_CLUSTER(a_critical_policy_is_weakened_only_with_a_confirmation),
        WITH_CLUSTER(failover_auto_begins_only_while_the_leaders_can_be_told),
        WITH_CLUSTER(a_policy_that_contradicts_itself_is_refused),
        cmocka_unit_test(what_cannot_be_satisfied_is_refused_with_the_reason),
        WITH_CLUSTER(bad_topics_are_refused),
        WITH_CLUSTER(ledger_entries_open_close_and_merge),
        WITH_CLUSTER(an_exposure_without_an_end_is_not_merged_into_one_with_an_end),
        WITH_CLUSTER(a_ledger_keeps_a_thousand_entries_per_topic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
