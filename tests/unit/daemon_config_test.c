/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/config.h"
#include "tests/lib/test.h"

static const char whole[] = "node: {id: 2, region: eu-west, rack: r7}\n"
                            "cluster: acme\n"
                            "data: /var/lib/tern\n"
                            "certs: /etc/tern/certs\n"
                            "listen:\n"
                            "  kafka: 0.0.0.0:9092\n"
                            "  mesh: 10.0.0.2:9093\n"
                            "  admin: 10.0.0.2:9094\n"
                            "advertise: {kafka: \"n2.example:9092\"}\n"
                            "seeds:\n"
                            "  - 1@10.0.0.1:9093\n"
                            "  - 3@10.0.0.3:9093\n"
                            "store: {segment: 128MiB, journal_files: 4}\n"
                            "timers: {lease: 3s}\n"
                            "log: {level: warn, format: json}\n";

struct file {
    char path[64];
};

static struct file write_file(const char *text)
{
    struct file file = {"/tmp/tern-config.XXXXXX"};
    int fd = mkstemp(file.path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    return file;
}

static enum config_outcome read_text(const char *text, struct config *out, char why[CONFIG_WHY],
                                     const char *flag1, const char *flag2)
{
    struct file file = write_file(text);
    char *argv[] = {(char *)(uintptr_t) "ternd", (char *)(uintptr_t) "--config", file.path,
                    (char *)(uintptr_t)flag1,    (char *)(uintptr_t)flag2,       NULL};
    int argc = flag1 == NULL ? 3 : flag2 == NULL ? 4 : 5;
    enum config_outcome outcome = config_read(argc, argv, out, why);

    (void)unlink(file.path);
    return outcome;
}

static void a_whole_file_is_read(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text(whole, &config, why, NULL, NULL), CONFIG_RUN);
    assert_int_equal(config.node_id, 2);
    assert_string_equal(config.region, "eu-west");
    assert_string_equal(config.rack, "r7");
    assert_string_equal(config.advertise_kafka, "n2.example:9092");
    assert_string_equal(config.advertise_mesh, "10.0.0.2:9093");
    assert_int_equal(config.seed_count, 2);
    assert_int_equal(config.seeds[1].node_id, 3);
    assert_string_equal(config.seeds[1].mesh_address, "10.0.0.3:9093");
    assert_int_equal(config.store.segment_bytes, 128 << 20);
    assert_int_equal(config.store.journal_files_max, 4);
    assert_int_equal(config.lease_ms, 3000);
    assert_int_equal(config.log_level, TRACE_WARN);
    assert_true(config.log_json);
    assert_int_equal(config.argc, 3); /* to be read again on SIGHUP */
}

static void a_flag_wins_over_the_file(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text(whole, &config, why, "--region", "eu-north"), CONFIG_RUN);
    assert_string_equal(config.region, "eu-north");
    assert_int_equal(read_text(whole, &config, why, "--seed=7@h:1", NULL), CONFIG_RUN);
    assert_int_equal(config.seed_count, 1);
    assert_int_equal(config.seeds[0].node_id, 7);
    assert_int_equal(read_text(whole, &config, why, "--witness", NULL), CONFIG_RUN);
    assert_true(config.witness);
}

/* A line that is added to the whole file, and what the message must contain. */
static void every_mistake_in_a_file_is_named_with_its_place(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } mistakes[] = {
        {"nodes: 3\n", ":16:1: error: unknown key nodes"},
        {"rack: x\n", ":16:1: error: unknown key rack"},
        {"cluster: other\n", "16:"},
        {"timers2: {lease: 3}\n", "unknown key timers2/lease"},
        {"store2:\n", "has no value"},
        {"witness: &a true\n", "unknown key witness"},
        {"- x\n", ":16:"},
        {"\tx: y\n", ":16:"},
        {"---\ncluster: b\n", "only one document"},
    };
    struct config config;
    char text[2048];
    char why[CONFIG_WHY];

    (void)state;
    for (size_t n = 0; n < ARRAY_COUNT(mistakes); n++) {
        (void)snprintf(text, sizeof text, "%s%s", whole, mistakes[n].line);
        assert_int_equal(read_text(text, &config, why, NULL, NULL), CONFIG_USAGE);
        if (strstr(why, mistakes[n].message) == NULL) {
            fail_msg("%s: got \"%s\"", mistakes[n].line, why);
        }
    }
}

static void values_are_strict(void **state)
{
    static const struct {
        const char *name;
        const char *value;
    } bad[] = {{"node/id", "0"},          {"node/id", "64"},
               {"node/id", "1x"},         {"node/id", "010"},
               {"node/id", "-1"},         {"node/witness", "flase"},
               {"node/witness", "yes"},   {"node/region", "eu west"},
               {"node/region", "a/b"},    {"listen/kafka", "9092"},
               {"listen/kafka", ":9092"}, {"listen/kafka", "h:65536"},
               {"listen/kafka", "h:"},    {"seeds[]", "1"},
               {"seeds[]", "0@h:1"},      {"seeds[]", "1@h"},
               {"store/segment", "64"},   {"store/segment", "64mb"},
               {"store/segment", "1B"},   {"store/segment", "99999999999999999999MiB"},
               {"timers/lease", "3"},     {"timers/lease", "3 s"},
               {"timers/lease", "1ms"},   {"log/level", "verbose"}};
    struct config config = {0};
    char why[128];

    (void)state;
    for (size_t n = 0; n < ARRAY_COUNT(bad); n++) {
        if (config_set(&config, bad[n].name, bad[n].value, why) != TERN_EMALFORMED) {
            fail_msg("%s: %s was taken", bad[n].name, bad[n].value);
        }
    }
    assert_int_equal(config_set(&config, "no/such", "1", why), TERN_ENOENT);
}

static void what_is_missing_is_named(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text("node: {id: 1, region: a}\ncluster: c\ndata: d\ncerts: e\n", &config,
                               why, NULL, NULL),
                     CONFIG_USAGE);
    assert_non_null(strstr(why, "listen/kafka is missing"));
    assert_non_null(strstr(why, "--listen-kafka"));
}

static void clients_can_not_be_sent_to_every_interface(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text(whole, &config, why, "--advertise-kafka=0.0.0.0:9092", NULL),
                     CONFIG_USAGE);
    assert_non_null(strstr(why, "0.0.0.0"));
}

static void a_seed_named_twice_is_a_mistake(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text(whole, &config, why, "--seed=1@a:1", "--seed=1@b:1"), CONFIG_USAGE);
    assert_non_null(strstr(why, "twice"));
}

static void unknown_flags_and_words_are_usage_errors(void **state)
{
    struct config config;
    char why[CONFIG_WHY] = "";

    (void)state;
    assert_int_equal(read_text(whole, &config, why, "--colour", NULL), CONFIG_USAGE);
    assert_non_null(strstr(why, "--colour"));
    assert_int_equal(read_text(whole, &config, why, "--region", NULL), CONFIG_USAGE);
    assert_non_null(strstr(why, "value is missing"));
    assert_int_equal(read_text(whole, &config, why, "start", NULL), CONFIG_USAGE);
    assert_non_null(strstr(why, "start"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(a_flag_wins_over_the_file),
        cmocka_unit_test(every_mistake_in_a_file_is_named_with_its_place),
        cmocka_unit_test(values_are_strict),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(clients_can_not_be_sent_to_every_interface),
        cmocka_unit_test(a_seed_named_twice_is_a_mistake),
        cmocka_unit_test(unknown_flags_and_words_are_usage_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
