/* SPDX-License-Identifier: Apache-2.0 */
/* The command line without a cluster: parsing, help, what works offline, exit codes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tests/lib/test.h"

#define WORDS_MAX 16

struct said {
    int status;
    char out[65536];
    char err[8192];
};

static void capture(FILE *stream, int fd, char *into, size_t size, int saved, FILE *file)
{
    size_t got;

    (void)fflush(stream);
    assert_true(dup2(saved, fd) >= 0);
    (void)close(saved);
    rewind(file);
    got = fread(into, 1, size - 1, file);
    into[got] = '\0';
    (void)fclose(file);
}

/* Runs `tern` with the words of a line. */
static struct said *tern(const char *line)
{
    static struct said said;
    static char words[4096];
    char *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "tern"};
    int argc = 1;
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    int saved_out;
    int saved_err;

    assert_true(strlen(line) < sizeof words);
    memcpy(words, line, strlen(line) + 1);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    (void)fflush(stdout);
    saved_out = dup(STDOUT_FILENO);
    saved_err = dup(STDERR_FILENO);
    assert_true(dup2(fileno(out), STDOUT_FILENO) >= 0);
    assert_true(dup2(fileno(err), STDERR_FILENO) >= 0);
    said.status = cli_main(argc, argv);
    capture(stdout, STDOUT_FILENO, said.out, sizeof said.out, saved_out, out);
    capture(stderr, STDERR_FILENO, said.err, sizeof said.err, saved_err, err);
    return &said;
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

static char work[64];

static int set_up(void **state)
{
    (void)state;
    (void)strcpy(work, "/tmp/tern-cli.XXXXXX");
    assert_non_null(mkdtemp(work));
    assert_int_equal(chdir(work), 0); /* no profile above /tmp */
    (void)unsetenv("TERN_PROFILE");
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", work);
    assert_int_equal(chdir("/"), 0);
    return system(command);
}

static void write_to(const char *name, const char *text)
{
    FILE *file = fopen(name, "we");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void every_verb_has_help_with_usage_and_examples(void **state)
{
    char line[128];

    (void)state;
    for (size_t n = 0; n < cli_verb_count; n++) {
        struct said *said;

        (void)snprintf(line, sizeof line, "%s --help", cli_verbs[n].words);
        said = tern(line);
        assert_int_equal(said->status, EXIT_GOOD);
        (void)snprintf(line, sizeof line, "usage: tern %s", cli_verbs[n].words);
        assert_says(said->out, line);
        (void)snprintf(line, sizeof line, "examples:\n  tern %s", cli_verbs[n].words);
        assert_says(said->out, line);
        assert_string_equal(said->err, "");
    }
}

static void help_lists_every_verb(void **state)
{
    struct said *said = tern("--help");

    (void)state;
    assert_int_equal(said->status, EXIT_GOOD);
    for (size_t n = 0; n < cli_verb_count; n++) {
        assert_says(said->out, cli_verbs[n].words);
    }
    assert_says(tern("help quorum")->out, "usage: tern quorum");
    assert_says(tern("topic --help")->out, "topic describe TOPIC");
}

static void wrong_usage_exits_with_2_and_says_what_to_do(void **state)
{
    static const struct {
        const char *line;
        const char *says;
    } wrong[] = {
        {"explode", "no verb explode"},
        {"quorum extra", "tern quorum --help"},
        {"quorum --partitions 3", "no option --partitions"},
        {"quorum --colour", "no option --colour"},
        {"quorum -o", "needs a value"},
        {"quorum -o xml", "table or json"},
        {"quorum --timeout 3", "with its unit"},
        {"topic describe", "needs TOPIC"},
        {"topic create a --partitions 0", "from 1 to 10000"},
        {"topic create a --partitions x", "from 1 to 10000"},
        {"metrics one", "a node's number"},
        {"metrics 64", "a node's number"},
        {"topic recover payments", "--accept-loss"},
        {"topic recover payments --accept-loss --partition x", "a number"},
        {"node remove x", "a node's number"},
        {"certs create-ca", "--cluster NAME is needed"},
        {"certs create-node --node-id 1", "--region NAME are needed"},
        {"policy validate /no/such/file", "/no/such/file"},
        {"--help=yes quorum", "takes no value"},
    };

    (void)state;
    for (size_t n = 0; n < ARRAY_COUNT(wrong); n++) {
        struct said *said = tern(wrong[n].line);

        if (said->status != EXIT_USAGE) {
            fail_msg("tern %s: exit status %d", wrong[n].line, said->status);
        }
        assert_says(said->err, wrong[n].says);
    }
    assert_int_equal(tern("")->status, EXIT_USAGE);
    assert_int_equal(tern("topic")->status, EXIT_USAGE);
}

static void without_a_profile_it_says_how_to_give_one(void **state)
{
    struct said *said = tern("quorum");

    (void)state;
    assert_int_equal(said->status, EXIT_NOT_ASKED);
    assert_says(said->err, "--profile");
    assert_says(said->err, "TERN_PROFILE");
    said = tern("quorum --profile /no/such/profile");
    assert_int_equal(said->status, EXIT_NOT_ASKED);
    assert_says(said->err, "/no/such/profile");
}

static void a_bad_profile_is_shown_with_its_place(void **state)
{
    struct said *said;

    (void)state;
    write_to("profile.yaml", "cluster: a\ncerts: certs\nnodes:\n  - {id: 1, admim: x}\n");
    said = tern("quorum --profile profile.yaml");
    assert_int_equal(said->status, EXIT_NOT_ASKED);
    assert_says(said->err, "profile.yaml:4:13: error: unknown key nodes[]/admim");
    assert_says(said->err, "  - {id: 1, admim: x}\n            ^");
}

static void the_nearest_profile_above_is_found(void **state)
{
    (void)state;
    assert_int_equal(mkdir("build", 0700), 0);
    assert_int_equal(mkdir("build/local", 0700), 0);
    assert_int_equal(mkdir("deep", 0700), 0);
    assert_int_equal(mkdir("deep/er", 0700), 0);
    write_to("build/local/profile.yaml", "cluster: 1: 2\n");
    assert_int_equal(chdir("deep/er"), 0);
    assert_says(tern("quorum")->err, "build/local/profile.yaml:1:");
    assert_int_equal(setenv("TERN_PROFILE", "/else/where.yaml", 1), 0);
    assert_says(tern("quorum")->err, "/else/where.yaml");
    assert_says(tern("quorum --profile /flag.yaml")->err, "/flag.yaml");
    (void)unsetenv("TERN_PROFILE");
}

static void certificates_are_made_offline(void **state)
{
    (void)state;
    assert_int_equal(tern("certs create-ca --cluster acme --certs-dir c")->status, EXIT_GOOD);
    assert_int_equal(
        tern("certs create-node --node-id 1 --region eu --host h --certs-dir c")->status,
        EXIT_GOOD);
    assert_int_equal(tern("certs create-client admin --certs-dir c")->status, EXIT_GOOD);
    assert_int_equal(access("c/ca.crt", R_OK), 0);
    assert_int_equal(access("c/node-1.key", R_OK), 0);
    assert_int_equal(access("c/client-admin.crt", R_OK), 0);
    /* Nothing is overwritten. */
    assert_int_equal(tern("certs create-ca --cluster acme --certs-dir c")->status, EXIT_NOT_ASKED);
}

static void a_node_that_nobody_runs_could_not_be_asked(void **state)
{
    struct said *said;

    (void)state;
    assert_int_equal(tern("certs create-ca --cluster acme --certs-dir c")->status, EXIT_GOOD);
    assert_int_equal(tern("certs create-client admin --certs-dir c")->status, EXIT_GOOD);
    write_to("p.yaml", "cluster: acme\ncerts: c\nnodes:\n  - {id: 1, admin: \"127.0.0.1:1\"}\n");
    said = tern("quorum --profile p.yaml --timeout 500ms");
    assert_int_equal(said->status, EXIT_NOT_ASKED);
    assert_says(said->err, "no node of cluster acme answers");
    said = tern("status -o json --profile p.yaml --timeout 500ms");
    assert_int_equal(said->status, EXIT_NOT_ASKED);
    assert_string_equal(said->out, "");
}

static void policies_are_checked_offline_with_a_caret(void **state)
{
    struct said *said;

    (void)state;
    write_to("good.yaml", "policy: payments\ntopics: [payments]\nmode: sync\nack: 2\n");
    write_to("bad.yaml", "policy: clicks\ntopics: [clicks]\nmode: synk\n");
    said = tern("policy validate good.yaml");
    assert_int_equal(said->status, EXIT_GOOD);
    said = tern("policy validate good.yaml bad.yaml");
    assert_int_equal(said->status, EXIT_USAGE);
    assert_says(said->err, "bad.yaml:3:7: error:");
    assert_says(said->err, "mode: synk\n      ^");
    said = tern("policy validate -o json bad.yaml");
    assert_int_equal(said->status, EXIT_USAGE);
    assert_says(said->out, "\"line\": 3");
    assert_int_equal(tern("policy validate .")->status, EXIT_USAGE);
    /* A wrong file is refused before anybody is asked. */
    assert_int_equal(tern("policy apply bad.yaml")->status, EXIT_USAGE);
}

static void version_is_told(void **state)
{
    (void)state;
    assert_says(tern("version")->out, "tern 0.");
    assert_says(tern("version -o json")->out, "\"version\": \"0.");
}

#define WITH_WORK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verb_has_help_with_usage_and_examples),
        cmocka_unit_test(help_lists_every_verb),
        WITH_WORK(wrong_usage_exits_with_2_and_says_what_to_do),
        WITH_WORK(without_a_profile_it_says_how_to_give_one),
        WITH_WORK(a_bad_profile_is_shown_with_its_place),
        WITH_WORK(the_nearest_profile_above_is_found),
        WITH_WORK(certificates_are_made_offline),
        WITH_WORK(a_node_that_nobody_runs_could_not_be_asked),
        WITH_WORK(policies_are_checked_offline_with_a_caret),
        cmocka_unit_test(version_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
