/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"
#include "tests/lib/schema.h"
#include "tests/lib/test.h"

static void assert_follows(const char *name, json_t *value)
{
    json_t *schema = schema_load(name);
    char why[256] = "";

    assert_non_null(schema);
    if (!schema_check(schema, value, why)) {
        fail_msg("%s: %s", name, why);
    }
    json_decref(schema);
    json_decref(value);
}

static void quorum_of_heard_and_unheard_nodes_follows_its_schema(void **state)
{
    struct tern_node nodes[] = {
        {.id = 1,
         .region = "eu-west",
         .role = "leader",
         .state = "ok",
         .answered = true,
         .known = true,
         .term = 7,
         .commit = 90,
         .applied = 90,
         .rtt_p50_ms = 0,
         .rtt_p99_ms = 0},
        {.id = 2,
         .region = "eu-north",
         .role = "voter",
         .state = "unreachable",
         .stale = true,
         .known = true,
         .term = 7,
         .commit = 80,
         .applied = 80,
         .lag = 10,
         .seen_ms = 3120,
         .rtt_p50_ms = 12.3,
         .rtt_p99_ms = 14.5},
        {.id = 3,
         .region = "",
         .role = "none",
         .state = "unreachable",
         .stale = true,
         .seen_ms = -1,
         .rtt_p50_ms = -1,
         .rtt_p99_ms = -1},
    };
    struct tern_quorum quorum = {
        .cluster = "acme", .term = 7, .leader = 1, .nodes = nodes, .node_count = 3};
    json_t *value = json_of_quorum(&quorum);
    json_t *third = json_array_get(json_object_get(value, "nodes"), 2);

    (void)state;
    assert_true(json_is_null(json_object_get(third, "term")));
    assert_true(json_is_null(json_object_get(third, "seen_ms")));
    assert_true(json_is_null(json_object_get(json_object_get(third, "rtt_ms"), "p99")));
    assert_follows("quorum", value);
    quorum.leader = 0;
    value = json_of_quorum(&quorum);
    assert_true(json_is_null(json_object_get(value, "leader")));
    assert_follows("quorum", value);
}

static void status_follows_its_schema(void **state)
{
    struct tern_check checks[] = {{.code = "POLICY_VIOLATED",
                                   .health = TERN_VIOLATED,
                                   .subject = "payments",
                                   .text = "no leader"},
                                  {.code = "REGION_UNREACHABLE",
                                   .health = TERN_HEALTH_DEGRADED,
                                   .subject = "eu-west",
                                   .text = "none of its nodes is heard"}};
    struct tern_quorum quorum = {.cluster = "acme", .leader = 2};
    struct tern_status status = {.quorum = &quorum,
                                 .health = TERN_VIOLATED,
                                 .checks = checks,
                                 .check_count = 2,
                                 .topics = 2,
                                 .critical = 1};

    (void)state;
    assert_follows("status", json_of_status(&status));
}

static void topics_with_and_without_partitions_follow_their_schemas(void **state)
{
    struct tern_region_leaders leaders[] = {{"eu-west", 1}};
    struct tern_replica replicas[] = {{1, "eu-west", true, 17}, {2, "eu-north", false, -1}};
    struct tern_partition partitions[] = {{.index = 0,
                                           .epoch = 3,
                                           .leader = 1,
                                           .leader_region = "eu-west",
                                           .ack = 2,
                                           .activated = true,
                                           .lossy_start = -1,
                                           .fresh = true,
                                           .leo = 17,
                                           .hw = 16,
                                           .bytes = 900,
                                           .replicas = replicas,
                                           .replica_count = 2},
                                          {.index = 1,
                                           .epoch = 4,
                                           .ack = 2,
                                           .lossy_start = -1,
                                           .hw = -1,
                                           .health = TERN_HEALTH_UNHEALTHY,
                                           .why = "partition 1 has no leader"}};
    struct tern_topic topic[] = {{.name = "payments",
                                  .id = "AAAAAAAAAAAAAAAAAAAAAA",
                                  .policy = "payments",
                                  .critical = true,
                                  .mode = "sync",
                                  .ack = 2,
                                  .partition_count = 2,
                                  .leaders = leaders,
                                  .leader_count = 1,
                                  .leaderless = 1,
                                  .retention_ms = -1,
                                  .retention_bytes = -1,
                                  .health = TERN_VIOLATED,
                                  .why = "partition 1 has no leader",
                                  .partitions = partitions}};
    struct tern_topics topics = {topic, 1};
    json_t *value = json_of_topic(topic);
    json_t *second = json_array_get(json_object_get(value, "partition_list"), 1);

    (void)state;
    assert_true(json_is_null(json_object_get(second, "leader")));
    assert_true(json_is_null(json_object_get(second, "log_end")));
    assert_follows("topic-describe", value);
    assert_follows("topic-list", json_of_topics(&topics));
}

static void policies_follow_their_schema(void **state)
{
    char yaml[] = "policy: a\n";
    struct tern_policy policy[] = {{.name = "a",
                                    .mode = "async",
                                    .ack = 1,
                                    .revision = 4,
                                    .author = "client:ops",
                                    .wall_ms = 1700000000123,
                                    .topics = 3,
                                    .yaml = yaml}};
    struct tern_policies policies = {policy, 1, 4};
    json_t *value = json_of_policies(&policies);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(value, "policies"), 0), "applied")),
                        "2023-11-14T22:13:20.123Z");
    assert_follows("policy-show", value);
}

static void ledger_and_quarantine_follow_their_schemas(void **state)
{
    struct tern_ledger_entry entries[] = {{.kind = "exposed",
                                           .topic = "clicks",
                                           .first_offset = 7,
                                           .end_offset = -1,
                                           .since_wall_ms = 1700000000000,
                                           .decided_by = "policy clicks",
                                           .note = ""},
                                          {.kind = "degraded",
                                           .topic = "vault",
                                           .first_offset = -1,
                                           .end_offset = -1,
                                           .since_wall_ms = 1700000000000,
                                           .until_wall_ms = 1700000001000,
                                           .decided_by = "policy"}};
    struct tern_ledger ledger = {entries, 2};
    struct tern_quarantined cut[] = {{.node = 1,
                                      .region = "eu-west",
                                      .topic = "clicks",
                                      .topic_id = "AAAAAAAAAAAAAAAAAAAAAA",
                                      .first_offset = 7,
                                      .end_offset = 9,
                                      .records = 2,
                                      .bytes = 140,
                                      .wall_ms = 1700000000000,
                                      .path = "quarantine/x"}};
    struct tern_quarantine quarantine = {cut, 1, 0};
    json_t *value = json_of_ledger(&ledger);

    (void)state;
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(value, "entries"), 0), "until")));
    assert_follows("ledger", value);
    assert_follows("quarantine-list", json_of_quarantine(&quarantine));
}

static void groups_with_and_without_members_follow_their_schemas(void **state)
{
    struct tern_group_member members[] = {{.id = "c-1", .instance = "", .client = "c"}};
    struct tern_group_offset offsets[] = {
        {.topic = "payments", .partition = 3, .offset = 7, .end = 9, .commit_wall_ms = 1},
        {.topic = "gone", .offset = 7, .end = -1, .commit_wall_ms = 1700000000000}};
    struct tern_group group = {.name = "readers",
                               .state = "Stable",
                               .protocol_type = "consumer",
                               .protocol = "range",
                               .generation = 4,
                               .members = 1,
                               .offsets = 2,
                               .node = 2,
                               .region = "eu-central",
                               .member_list = members,
                               .member_list_count = 1,
                               .offset_list = offsets,
                               .offset_list_count = 2};
    struct tern_groups groups = {&group, 1, 1, 0};

    (void)state;
    assert_follows("group-list", json_of_groups(&groups));
    assert_follows("group-describe", json_of_group(&group));
}

static void the_checker_finds_what_does_not_follow(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{\"cluster\": \"a\", \"term\": 1, \"leader\": null}",
        "{\"cluster\": \"a\", \"term\": 1.5, \"leader\": null, \"nodes\": []}",
        "{\"cluster\": \"a\", \"term\": -1, \"leader\": null, \"nodes\": []}",
        "{\"cluster\": \"a\", \"term\": 1, \"leader\": null, \"nodes\": [], \"more\": 1}",
        "{\"cluster\": \"a\", \"term\": 1, \"leader\": null, \"nodes\": [{\"id\": 1}]}"};
    json_t *schema = schema_load("quorum");
    char why[256] = "";

    (void)state;
    assert_non_null(schema);
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        json_t *value = json_loads(bad[n], 0, NULL);

        assert_non_null(value);
        assert_false(schema_check(schema, value, why));
        assert_true(why[0] != '\0');
        json_decref(value);
    }
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorum_of_heard_and_unheard_nodes_follows_its_schema),
        cmocka_unit_test(status_follows_its_schema),
        cmocka_unit_test(topics_with_and_without_partitions_follow_their_schemas),
        cmocka_unit_test(policies_follow_their_schema),
        cmocka_unit_test(ledger_and_quarantine_follow_their_schemas),
        cmocka_unit_test(groups_with_and_without_members_follow_their_schemas),
        cmocka_unit_test(the_checker_finds_what_does_not_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
