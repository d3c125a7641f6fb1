/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's configs and partitions while it is in use; and bytes of older nodes. */
#include "base/error.h"
#include "tests/unit/control_cluster.h"
#include "tests/unit/control_old_bytes.h"

static struct topic_config_change change(enum topic_config_op op, const char *name,
                                         const char *value)
{
    struct topic_config_change c = {.op = op, .value = (char *)(uintptr_t)value};

    (void)snprintf(c.name, sizeof c.name, "%s", name);
    return c;
}

static int alter(struct control_fixture *f, const char *topic, enum topic_config_op op,
                 const char *name, const char *value)
{
    struct topic_config_change c = change(op, name, value);

    command_alter_topic(&f->command, control_fixture_key(f), topic, &c, 1, false, false);
    return control_fixture_apply(f);
}

static int set(struct control_fixture *f, const char *topic, const char *name, const char *value)
{
    return alter(f, topic, TOPIC_CONFIG_SET, name, value);
}

static const struct command_placement by_policy = {0};

static int create(struct control_fixture *f, const char *name, uint8_t id, int32_t partitions,
                  const struct topic_config_change *configs, size_t count)
{
    struct command_topic topic = {.name = name,
                                  .topic_id = {{id}},
                                  .partitions = partitions,
                                  .configs = configs,
                                  .config_count = count};

    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    return control_fixture_apply(f);
}

static void a_config_is_set_and_unset_and_says_what_it_means(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    struct control_topic *t = control_topic_named(f->control, "t");
    assert_int_equal(t->settings.cleanup, TOPIC_CLEAN_DELETE);
    assert_int_equal(set(f, "t", "cleanup.policy", "compact,delete"), 0);
    assert_int_equal(t->settings.cleanup, TOPIC_CLEAN_DELETE | TOPIC_CLEAN_COMPACT);
    assert_int_equal(f->changes.items[0].kind, CONTROL_TOPIC_ALTERED);
    assert_int_equal(alter(f, "t", TOPIC_CONFIG_SUBTRACT, "cleanup.policy", "delete"), 0);
    assert_int_equal(t->settings.cleanup, TOPIC_CLEAN_COMPACT);
    assert_int_equal(alter(f, "t", TOPIC_CONFIG_APPEND, "cleanup.policy", "delete,compact"), 0);
    assert_string_equal(topic_configs_get(&t->configs, "cleanup.policy"), "compact,delete");
    int64_t usual = t->policy.retention_ms;
    assert_int_equal(set(f, "t", "retention.ms", "5000"), 0);
    assert_int_equal(t->policy.retention_ms, 5000);
    assert_int_equal(set(f, "t", "message.timestamp.type", "LogAppendTime"), 0);
    assert_true(t->settings.log_append_time);
    assert_int_equal(alter(f, "t", TOPIC_CONFIG_DELETE, "retention.ms", NULL), 0);
    assert_int_equal(t->policy.retention_ms, usual);
    assert_null(topic_configs_get(&t->configs, "retention.ms"));
    struct topic_config_change only = change(TOPIC_CONFIG_SET, "segment.bytes", "1048576");
    command_alter_topic(&f->command, control_fixture_key(f), "t", &only, 1, true, false);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->configs.count, 1);
    assert_int_equal(t->settings.segment_bytes, 1048576);
    assert_false(t->settings.log_append_time);
}

static void a_config_that_kafka_refuses_changes_nothing(void **state)
{
    struct control_fixture *f = *state;
    static const struct {
        const char *name;
        const char *value;
    } bad[] = {
        {"retention.ms", "-2"},
        {"retention.ms", "soon"},
        {"retention.ms", ""},
        {"retention.ms", "9223372036854775808"},
        {"cleanup.policy", "shred"},
        {"cleanup.policy", ""},
        {"cleanup.policy", "compact,"},
        {"message.timestamp.type", "logappendtime"},
        {"preallocate", "yes"},
        {"min.cleanable.dirty.ratio", "1.5"},
        {"segment.bytes", "1000"},
        {"max.message.bytes", "2147483648"},
        {"min.insync.replicas", "0"},
        {"remote.storage.enable", "true"},
        {"compression.type", "brotli"},
        {"no.such.config", "1"},
        {"tern.ack", "1"},
        {"tern.policy", "nobody"},
        {"min.cleanable.dirty.ratio", "nan"},
    };

    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    struct control_topic *t = control_topic_named(f->control, "t");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct topic_config_change both[] = {change(TOPIC_CONFIG_SET, "flush.ms", "7"),
                                             change(TOPIC_CONFIG_SET, bad[i].name, bad[i].value)};
        command_alter_topic(&f->command, control_fixture_key(f), "t", both, 2, false, false);
        int error = control_fixture_apply(f);
        if (error != TERN_EINVALIDCONFIG) {
            print_message("%s=%s: %d %s\n", bad[i].name, bad[i].value, error, f->result.why);
        }
        assert_int_equal(error, TERN_EINVALIDCONFIG);
        assert_int_equal(t->configs.count, 0);
    }
    assert_int_equal(alter(f, "t", TOPIC_CONFIG_APPEND, "retention.ms", "1"), TERN_EINVALIDCONFIG);
    assert_int_equal(set(f, "u", "retention.ms", "1"), TERN_ENOENT);
    struct topic_config_change twice[] = {change(TOPIC_CONFIG_SET, "flush.ms", "7"),
                                          change(TOPIC_CONFIG_SET, "flush.ms", "8")};
    command_alter_topic(&f->command, control_fixture_key(f), "t", twice, 2, false, false);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDREQUEST);
    assert_int_equal(create(f, "u", 2, 1, twice, 2), TERN_EINVALIDREQUEST);
    struct topic_config_change unknown = change(TOPIC_CONFIG_SET, "x", "1");
    assert_int_equal(create(f, "u", 2, 1, &unknown, 1), TERN_EINVALIDCONFIG);
}

static void a_topic_moves_to_a_named_policy_and_back(void **state)
{
    struct control_fixture *f = *state;
    struct policy async = control_fixture_async();
    const char *name = "away";

    (void)snprintf(async.name, sizeof async.name, "%s", name);
    assert_int_equal(control_fixture_put_policy(f, &async), 0);
    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    struct control_topic *t = control_topic_named(f->control, "t");
    assert_int_equal(t->policy.mode, POLICY_SYNC);
    assert_int_equal(set(f, "t", "tern.policy", name), 0);
    assert_int_equal(t->policy.mode, POLICY_ASYNC);
    command_remove_policy(&f->command, control_fixture_key(f), name);
    assert_int_equal(control_fixture_apply(f), TERN_EREFUSED); /* a topic names it */
    assert_int_equal(alter(f, "t", TOPIC_CONFIG_DELETE, "tern.policy", NULL), 0);
    assert_int_equal(t->policy.mode, POLICY_SYNC);
}

static void kafkas_tools_cannot_weaken_a_critical_topic(void **state)
{
    struct control_fixture *f = *state;
    struct policy critical = control_fixture_sync();
    struct policy async = control_fixture_async();

    (void)snprintf(critical.name, sizeof critical.name, "critical");
    (void)snprintf(critical.patterns[0], sizeof critical.patterns[0], "pay*");
    critical.pattern_count = 1;
    critical.critical = true;
    (void)snprintf(async.name, sizeof async.name, "away");
    assert_int_equal(control_fixture_put_policy(f, &critical), 0);
    assert_int_equal(control_fixture_put_policy(f, &async), 0);
    assert_int_equal(create(f, "payments", 1, 1, NULL, 0), 0);
    struct control_topic *t = control_topic_named(f->control, "payments");
    assert_int_equal(set(f, "payments", "tern.policy", async.name), TERN_EPOLICY);
    assert_int_equal(set(f, "payments", "retention.ms", "1000"), TERN_EPOLICY);
    assert_int_equal(t->policy.mode, POLICY_SYNC);
    assert_int_equal(t->configs.count, 0);
    assert_int_equal(set(f, "payments", "min.insync.replicas", "3"), 0);
    assert_int_equal(t->policy.ack, 3);
    assert_int_equal(set(f, "payments", "min.insync.replicas", "1"), TERN_EPOLICY);
    struct topic_config_change c = change(TOPIC_CONFIG_SET, "tern.policy", async.name);
    command_alter_topic(&f->command, control_fixture_key(f), "payments", &c, 1, false, true);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(t->policy.mode, POLICY_ASYNC);
}

static void min_insync_replicas_asks_for_more_regions_but_never_for_fewer(void **state)
{
    struct control_fixture *f = *state;
    struct topic_config_change three = change(TOPIC_CONFIG_SET, "min.insync.replicas", "3");
    struct topic_config_change one = change(TOPIC_CONFIG_SET, "min.insync.replicas", "1");
    struct topic_config_change many = change(TOPIC_CONFIG_SET, "min.insync.replicas", "9");

    assert_int_equal(create(f, "three", 1, 1, &three, 1), 0);
    assert_int_equal(control_topic_named(f->control, "three")->policy.ack, 3);
    assert_int_equal(control_topic_named(f->control, "three")->partitions[0].config.w, 3);
    assert_int_equal(create(f, "one", 2, 1, &one, 1), 0);
    assert_int_equal(control_topic_named(f->control, "one")->policy.ack, 2);
    assert_int_equal(create(f, "many", 3, 1, &many, 1), TERN_EPOLICY);
}

static void partitions_are_added_behind_those_that_are_there(void **state)
{
    struct control_fixture *f = *state;

    assert_int_equal(create(f, "t", 1, 2, NULL, 0), 0);
    command_delete_topic(&f->command, control_fixture_key(f), "t");
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(create(f, "t", 2, 1, NULL, 0), 0);
    struct control_topic *t = control_topic_named(f->control, "t");
    int32_t epoch = t->partitions[0].epoch;
    assert_int_equal(epoch, 2);
    command_add_partitions(&f->command, control_fixture_key(f), "t", 5, &by_policy);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.partitions, 5);
    assert_int_equal(t->partition_count, 5);
    assert_int_equal(f->changes.count, 4);
    assert_int_equal(t->partitions[0].epoch, epoch);
    for (uint32_t i = 1; i < 5; i++) {
        /* Partition 1 of the deleted topic of this name has had epoch 1. */
        assert_true(t->partitions[i].epoch > 1);
        assert_true(t->partitions[i].leader != 0);
        assert_true(t->partitions[i].activated);
    }
    static const int32_t wrong[] = {5, 4, 0, -1, CONTROL_PARTITIONS_MAX + 1};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        command_add_partitions(&f->command, control_fixture_key(f), "t", wrong[i], &by_policy);
        assert_int_equal(control_fixture_apply(f), TERN_EINVALIDPARTITIONS);
    }
    command_add_partitions(&f->command, control_fixture_key(f), "u", 5, &by_policy);
    assert_int_equal(control_fixture_apply(f), TERN_ENOENT);
    assert_int_equal(create(f, CONTROL_GROUPS_TOPIC, 3, 2, NULL, 0), 0);
    command_add_partitions(&f->command, control_fixture_key(f), CONTROL_GROUPS_TOPIC, 5,
                           &by_policy);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDTOPIC);
}

static void replicas_assigned_by_hand_lie_where_the_policy_wants_them(void **state)
{
    struct control_fixture *f = *state;
    node_set all = 0;

    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        const struct control_node *node = &f->control->nodes[n];
        bool data = node->id != 0 && !f->control->regions[node->region].witness;
        all |= data ? NODE_BIT(n) : 0;
    }
    node_set placed[3] = {all, all, all};
    struct command_topic topic = {
        .name = "t", .topic_id = {{1}}, .partitions = -1, .placement = {placed, 2, NULL, 0}};
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->result.partitions, 2);
    assert_int_equal(f->result.replicas, 3);
    placed[1] = all & (all - 1); /* one region is left out */
    topic.name = "u";
    topic.topic_id.bytes[0] = 2;
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDASSIGNMENT);
    placed[1] = all | NODE_BIT(60); /* who is that? */
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDASSIGNMENT);
    placed[1] = all;
    command_add_partitions(&f->command, control_fixture_key(f), "t", 5,
                           &(struct command_placement){placed, 2, NULL, 0});
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDASSIGNMENT);
    command_add_partitions(&f->command, control_fixture_key(f), "t", 5,
                           &(struct command_placement){placed, 3, NULL, 0});
    assert_int_equal(control_fixture_apply(f), 0);
}

static void no_batch_is_compressed_by_gzip_at_level_0(void **state)
{
    struct control_fixture *f = *state;
    struct topic_config_change changes[] = {
        change(TOPIC_CONFIG_SET, "compression.gzip.level", "0"),
        change(TOPIC_CONFIG_SET, "retention.ms", "5"),
    };

    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    command_alter_topic(&f->command, control_fixture_key(f), "t", changes, 1, false, false);
    assert_int_equal(control_fixture_apply(f), 0); /* some node may not know that it is wrong */
    f->control->feature_level = 4;
    command_alter_topic(&f->command, control_fixture_key(f), "t", &changes[1], 1, false, false);
    assert_int_equal(control_fixture_apply(f), 0);
    command_alter_topic(&f->command, control_fixture_key(f), "t", changes, 2, false, false);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDCONFIG);
    struct command_topic topic = {
        .name = "u", .topic_id = {{9}}, .partitions = 1, .configs = changes, .config_count = 2};
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), TERN_EINVALIDCONFIG);
    changes[0].value = (char *)(uintptr_t) "-1";
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), 0);
}

static void expect_listed(struct control_fixture *f, uint32_t partition, uint32_t a, uint32_t b,
                          uint32_t c)
{
    const struct control_partition *p =
        &control_topic_named(f->control, "t")->partitions[partition];
    uint32_t listed[WIRE_NODES_MAX];

    assert_int_equal(control_ordered(p, NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3), listed), 3);
    assert_int_equal(listed[0], a);
    assert_int_equal(listed[1], b);
    assert_int_equal(listed[2], c);
}

static void replicas_assigned_by_hand_are_listed_as_they_were_asked_for(void **state)
{
    struct control_fixture *f = *state;
    node_set all = NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3);
    node_set placed[2] = {all, all};
    uint32_t order[] = {3, 1, 2, 2, 3, 1};
    struct command_placement placement = {placed, 2, order, 6};
    struct command_topic topic = {
        .name = "t", .topic_id = {{1}}, .partitions = -1, .placement = placement};

    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), 0);
    expect_listed(f, 0, 1, 2, 3); /* some node may not know how to keep an order */
    command_delete_topic(&f->command, control_fixture_key(f), "t");
    assert_int_equal(control_fixture_apply(f), 0);
    f->control->feature_level = 4;
    topic.topic_id.bytes[0] = 2;
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    assert_int_equal(control_fixture_apply(f), 0);
    command_add_partitions(&f->command, control_fixture_key(f), "t", 4, &placement);
    assert_int_equal(control_fixture_apply(f), 0);
    for (uint32_t i = 0; i < 4; i += 2) {
        expect_listed(f, i, 3, 1, 2);
        expect_listed(f, i + 1, 2, 3, 1);
    }
    /* An order that is not of these replicas is no command. */
    placement.order_count = 5;
    command_add_partitions(&f->command, control_fixture_key(f), "t", 6, &placement);
    assert_int_not_equal(control_fixture_apply(f), 0);
    placement.order_count = 6;
    order[5] = 4;
    command_add_partitions(&f->command, control_fixture_key(f), "t", 6, &placement);
    assert_int_not_equal(control_fixture_apply(f), 0);
    order[5] = 3;
    command_add_partitions(&f->command, control_fixture_key(f), "t", 6, &placement);
    assert_int_not_equal(control_fixture_apply(f), 0);
    assert_int_equal(control_topic_named(f->control, "t")->partition_count, 4);
}

static void a_check_tells_what_would_happen_and_changes_nothing(void **state)
{
    struct control_fixture *f = *state;
    struct topic_config_change good = change(TOPIC_CONFIG_SET, "retention.ms", "5");
    struct command_topic topic = {.name = "t", .topic_id = {{1}}, .partitions = 7};
    struct command_result result;

    uint64_t before = control_hash(f->control);
    command_create_topic_as(&f->command, control_fixture_key(f), &topic);
    control_check(f->control, buf_slice(&f->command), &result);
    buf_clear(&f->command);
    assert_int_equal(result.error, 0);
    assert_int_equal(result.partitions, 7);
    assert_true(control_hash(f->control) == before);
    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    before = control_hash(f->control);
    command_alter_topic(&f->command, control_fixture_key(f), "t", &good, 1, false, false);
    control_check(f->control, buf_slice(&f->command), &result);
    buf_clear(&f->command);
    assert_int_equal(result.error, 0);
    command_add_partitions(&f->command, control_fixture_key(f), "t", 3, &by_policy);
    control_check(f->control, buf_slice(&f->command), &result);
    buf_clear(&f->command);
    assert_int_equal(result.error, 0);
    command_add_partitions(&f->command, control_fixture_key(f), "t", 1, &by_policy);
    control_check(f->control, buf_slice(&f->command), &result);
    buf_clear(&f->command);
    assert_int_equal(result.error, TERN_EINVALIDPARTITIONS);
    assert_true(control_hash(f->control) == before);
}

static void set_quota(struct control_fixture *f, const char *user, const char *client_id,
                      const char *ip, struct command_quota value, int wanted)
{
    const char *names[QUOTA_NAMES] = {
        [QUOTA_CLIENT] = client_id, [QUOTA_USER] = user, [QUOTA_IP] = ip};
    struct quota_entity entity = {0};

    for (int n = 0; n < QUOTA_NAMES; n++) {
        if (names[n] == NULL) {
            continue;
        }
        entity.kinds |= (uint8_t)(1 << n);
        if (strcmp(names[n], "*") == 0) {
            entity.everybody |= (uint8_t)(1 << n);
        } else {
            (void)snprintf(entity.names[n], sizeof entity.names[n], "%s", names[n]);
        }
    }
    command_set_quota(&f->command, control_fixture_key(f), &entity, &value, 1);
    assert_int_equal(control_fixture_apply(f), wanted);
}

static double rate_of(const struct control_fixture *f, const char *user, const char *client_id,
                      enum control_quota_key key)
{
    const struct control_quota *q =
        control_quota(f->control, slice_text(user), slice_text(client_id), key);

    return q != NULL ? q->values[key] : 0;
}

static void survives_a_snapshot(struct control_fixture *f)
{
    struct buf snapshot = {0};
    uint64_t hash = control_hash(f->control);

    control_snapshot(f->control, &snapshot);
    assert_int_equal(control_restore(f->control, buf_slice(&snapshot)), 0);
    buf_fini(&snapshot);
    assert_true(control_hash(f->control) == hash);
}

static void quotas_are_kept_by_client_id_and_for_everybody(void **state)
{
    struct control_fixture *f = *state;

    assert_true(rate_of(f, "", "app", QUOTA_PRODUCE) == 0);
    set_quota(f, NULL, "*", NULL, (struct command_quota){QUOTA_PRODUCE, 1000.5, false}, 0);
    set_quota(f, NULL, "*", NULL, (struct command_quota){QUOTA_REQUEST, 25, false}, 0);
    set_quota(f, NULL, "app", NULL, (struct command_quota){QUOTA_PRODUCE, 7, false}, 0);
    assert_true(rate_of(f, "", "app", QUOTA_PRODUCE) == 7);
    assert_true(rate_of(f, "", "app", QUOTA_REQUEST) == 25);
    assert_true(rate_of(f, "", "ap", QUOTA_PRODUCE) == 1000.5);
    assert_true(rate_of(f, "", "app", QUOTA_CONSUME) == 0);
    survives_a_snapshot(f);
    assert_int_equal(f->control->quota_count, 2);
    set_quota(f, NULL, "app", NULL, (struct command_quota){QUOTA_PRODUCE, 0, true}, 0);
    assert_int_equal(f->control->quota_count, 1);
    set_quota(f, NULL, "app", NULL, (struct command_quota){QUOTA_PRODUCE, 0, false},
              TERN_EMALFORMED);
    for (int i = 0; i < CONTROL_QUOTAS_MAX; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c%d", i);
        set_quota(f, NULL, id, NULL, (struct command_quota){QUOTA_PRODUCE, 1, false},
                  i < CONTROL_QUOTAS_MAX - 1 ? 0 : TERN_EINVALIDREQUEST);
    }
}

static void the_nearest_quota_of_user_and_client_id_holds(void **state)
{
    struct control_fixture *f = *state;
    struct command_quota v = {QUOTA_PRODUCE, 8, false};

    f->control->feature_level = 2;
    /* From the farthest to the nearest; each overrules those before it. */
    static const char *const order[][2] = {{NULL, "*"},  {NULL, "app"}, {"*", NULL},
                                           {"*", "*"},   {"*", "app"},  {"ann", NULL},
                                           {"ann", "*"}, {"ann", "app"}};
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        v.value = (double)(i + 1);
        set_quota(f, order[i][0], order[i][1], NULL, v, 0);
        assert_true(rate_of(f, "ann", "app", QUOTA_PRODUCE) == v.value);
    }
    assert_true(rate_of(f, "bob", "other", QUOTA_PRODUCE) == 4);
    assert_true(rate_of(f, "ann", "other", QUOTA_PRODUCE) == 7);
    survives_a_snapshot(f);
    assert_true(rate_of(f, "ann", "app", QUOTA_PRODUCE) == 8);
}

static void addresses_have_quotas_of_their_own(void **state)
{
    struct control_fixture *f = *state;
    struct command_quota v = {QUOTA_CONNECT, 10, false};
    struct slice near = slice_text("10.0.0.1");

    set_quota(f, NULL, NULL, "*", v, TERN_EUNSUPPORTED); /* some node would not know them */
    f->control->feature_level = 2;
    set_quota(f, NULL, NULL, "*", v, 0);
    v.value = 2;
    set_quota(f, NULL, NULL, "10.0.0.1", v, 0);
    set_quota(f, NULL, "app", "10.0.0.1", v, TERN_EINVALIDREQUEST);
    assert_true(control_ip_quota(f->control, near, QUOTA_CONNECT)->values[QUOTA_CONNECT] == 2);
    assert_true(
        control_ip_quota(f->control, slice_text("::1"), QUOTA_CONNECT)->values[QUOTA_CONNECT] ==
        10);
    assert_null(control_ip_quota(f->control, near, QUOTA_PRODUCE));
    survives_a_snapshot(f);
}

static void leaders_in_regions_that_are_wanted_alike_stay(void **state)
{
    struct control_fixture *f = *state;
    struct policy policy = policy_default();
    struct control_topic *plain = control_fixture_topic(f, "plain", &policy, 3);
    policy = control_fixture_sync();
    struct control_topic *west = control_fixture_topic(f, "west", &policy, 1);
    node_set all = NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3);

    plain = control_topic_named(f->control, "plain");
    for (uint32_t i = 0; i < 3; i++) {
        const struct control_partition *p = &plain->partitions[i];
        assert_int_equal(control_preferred_leader(f->control, plain, p, all), p->leader);
    }
    assert_int_equal(west->partitions[0].leader, 1);
    assert_int_equal(control_fixture_fence(f, 1, true), 0);
    assert_int_equal(west->partitions[0].leader, 2);
    assert_int_equal(control_preferred_leader(f->control, west, &west->partitions[0], all), 2);
    assert_int_equal(control_fixture_fence(f, 1, false), 0);
    assert_int_equal(control_preferred_leader(f->control, west, &west->partitions[0], all), 1);
    assert_int_equal(control_preferred_leader(f->control, west, &west->partitions[0], NODE_BIT(2)),
                     0);
}

static void configs_are_in_a_snapshot(void **state)
{
    struct control_fixture *f = *state;
    struct buf snapshot = {0};

    assert_int_equal(create(f, "t", 1, 1, NULL, 0), 0);
    assert_int_equal(set(f, "t", "retention.ms", "777"), 0);
    assert_int_equal(set(f, "t", "min.insync.replicas", "3"), 0);
    assert_int_equal(set(f, "t", "message.timestamp.type", "LogAppendTime"), 0);
    uint64_t hash = control_hash(f->control);
    control_snapshot(f->control, &snapshot);
    struct control *other = control_new();
    assert_int_equal(control_restore(other, buf_slice(&snapshot)), 0);
    struct control_topic *t = control_topic_named(other, "t");
    assert_true(control_hash(other) == hash);
    assert_string_equal(topic_configs_get(&t->configs, "retention.ms"), "777");
    assert_int_equal(t->policy.ack, 3);
    assert_true(t->settings.log_append_time);
    control_free(other);
    buf_fini(&snapshot);
}

/* ---- bytes of older nodes ---------------------------------------------------------------------- */

static struct buf from_hex(const char *hex)
{
    struct buf out = {0};

    for (size_t i = 0; hex[i] != '\0'; i += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + i, "%2x", &byte), 1);
        uint8_t b = (uint8_t)byte;
        buf_put(&out, slice_of(&b, 1));
    }
    return out;
}

static void a_feature_is_finalized_for_the_whole_cluster_and_back(void **state)
{
    struct control_fixture *f = *state;
    struct command_feature two = {CONTROL_FEATURE_TXN, 2};
    struct command_feature wrong[] = {{CONTROL_FEATURE_TXN, 0}, {CONTROL_FEATURE_GROUP, 0}};
    struct buf snapshot = {0};

    assert_int_equal(f->control->features[CONTROL_FEATURE_TXN], 1);
    assert_int_equal(f->control->features[CONTROL_FEATURE_GROUP], 1);
    control_snapshot(f->control, &snapshot);
    assert_int_equal(control_snapshot_version(buf_slice(&snapshot)), 2); /* older builds read it */
    command_set_features(&f->command, control_fixture_key(f), &two, 1);
    assert_int_equal(control_fixture_apply(f), TERN_EUPDATEVERSION); /* an older build is there */
    f->control->feature_level = 3;
    command_set_features(&f->command, control_fixture_key(f), &two, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->features[CONTROL_FEATURE_TXN], 2);
    assert_int_equal(f->control->features_index, f->control->applied_index);
    command_set_features(&f->command, control_fixture_key(f), wrong, 2);
    assert_int_equal(control_fixture_apply(f), TERN_EUPDATEVERSION); /* none of them */
    buf_clear(&snapshot);
    control_snapshot(f->control, &snapshot);
    assert_int_equal(control_snapshot_version(buf_slice(&snapshot)), 3);
    uint64_t index = f->control->features_index;
    uint64_t hash = control_hash(f->control);
    assert_int_equal(control_restore(f->control, buf_slice(&snapshot)), 0);
    assert_true(control_hash(f->control) == hash);
    assert_int_equal(f->control->features[CONTROL_FEATURE_TXN], 2);
    assert_int_equal(f->control->features_index, index);
    command_set_features(&f->command, control_fixture_key(f), &two, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->features_index, index); /* nothing has changed */
    two.level = 1;
    command_set_features(&f->command, control_fixture_key(f), &two, 1);
    assert_int_equal(control_fixture_apply(f), 0);
    assert_int_equal(f->control->features[CONTROL_FEATURE_TXN], 1);
    assert_true(f->control->features_index > index);
    buf_fini(&snapshot);
}

static void old_bytes_are_read_the_same(void **state)
{
    (void)state;
    struct control *control = control_new();
    struct buf snapshot = from_hex(old_snapshot);
    assert_int_equal(control_snapshot_version(buf_slice(&snapshot)), 1);
    assert_int_equal(control_restore(control, buf_slice(&snapshot)), 0);
    buf_fini(&snapshot);
    struct control_topic *t = control_topic_named(control, "logs");
    assert_non_null(t);
    assert_int_equal(t->policy.retention_ms, 777);
    assert_string_equal(topic_configs_get(&t->configs, "retention.ms"), "777");
    assert_null(topic_configs_get(&t->configs, "retention.bytes"));
    assert_null(topic_configs_get(&t->configs, "tern.policy"));
    t = control_topic_named(control, "named");
    assert_non_null(t);
    assert_string_equal(topic_configs_get(&t->configs, "tern.policy"), t->policy.name);
    assert_string_equal(topic_configs_get(&t->configs, "retention.bytes"), "888");
    struct buf command = from_hex(old_command);
    struct buf result = {0};
    struct command_result r;
    control_apply(control, control->applied_index + 1, buf_slice(&command), &result, NULL);
    assert_int_equal(command_result_read(buf_slice(&result), &r), 0);
    assert_int_equal(r.error, 0);
    t = control_topic_named(control, "later");
    assert_non_null(t);
    assert_int_equal(t->partition_count, 3);
    assert_int_equal(t->policy.retention_ms, 999);
    assert_int_equal(t->configs.count, 1);
    buf_fini(&command);
    buf_fini(&result);
    control_free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLUSTER(a_config_is_set_and_unset_and_says_what_it_means),
        WITH_CLUSTER(a_config_that_kafka_refuses_changes_nothing),
        WITH_CLUSTER(a_topic_moves_to_a_named_policy_and_back),
        WITH_CLUSTER(kafkas_tools_cannot_weaken_a_critical_topic),
        WITH_CLUSTER(min_insync_replicas_asks_for_more_regions_but_never_for_fewer),
        WITH_CLUSTER(partitions_are_added_behind_those_that_are_there),
        WITH_CLUSTER(no_batch_is_compressed_by_gzip_at_level_0),
        WITH_CLUSTER(replicas_assigned_by_hand_lie_where_the_policy_wants_them),
        WITH_CLUSTER(replicas_assigned_by_hand_are_listed_as_they_were_asked_for),
        WITH_CLUSTER(a_check_tells_what_would_happen_and_changes_nothing),
        WITH_CLUSTER(quotas_are_kept_by_client_id_and_for_everybody),
        WITH_CLUSTER(the_nearest_quota_of_user_and_client_id_holds),
        WITH_CLUSTER(addresses_have_quotas_of_their_own),
        WITH_CLUSTER(leaders_in_regions_that_are_wanted_alike_stay),
        WITH_CLUSTER(configs_are_in_a_snapshot),
        WITH_CLUSTER(a_feature_is_finalized_for_the_whole_cluster_and_back),
        WITH_CLUSTER(old_bytes_are_read_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
