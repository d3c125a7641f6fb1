/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/settings.h"

#define PROFILE_NAME "build/local/profile.yaml"

static const struct cli_option global_options[] = {
    {"output", "table|json", "how to print; also -o"},
    {"profile", "FILE",
     "profile of the cluster; default: $TERN_PROFILE, else the nearest\n"
     "                             " PROFILE_NAME " above this directory"},
    {"timeout", "TIME", "how long one node may take to answer; default: 3s"},
    {"help", NULL, "print help"},
    {NULL, NULL, NULL}};

int cli_fail(enum exit_code code, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fprintf(stderr, "tern: ");
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\n");
    return (int)code;
}

/* ---- options -------------------------------------------------------------------------------- */

const char *cli_option_at(const struct cli *cli, const char *name, int n)
{
    for (int k = 0; k < cli->given_count; k++) {
        if (strcmp(cli->given[k].name, name) == 0 && n-- == 0) {
            return cli->given[k].value;
        }
    }
    return NULL;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    const char *value = NULL;

    for (int k = 0; k < cli->given_count; k++) {
        if (strcmp(cli->given[k].name, name) == 0) {
            value = cli->given[k].value;
        }
    }
    return value;
}

bool cli_number(const struct cli *cli, const char *name, uint32_t low, uint32_t high, uint32_t *out)
{
    const char *value = cli_option(cli, name);
    uint64_t number;

    if (value == NULL) {
        return true;
    }
    if (!value_number(value, low, high, &number)) {
        (void)cli_fail(EXIT_USAGE, "--%s: a number from %u to %u is expected, not %s", name, low,
                       high, value);
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

/* ---- help ----------------------------------------------------------------------------------- */

static void print_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[64];

        (void)snprintf(left, sizeof left, "--%s%s%s", options->name,
                       options->value != NULL ? " " : "",
                       options->value != NULL ? options->value : "");
        (void)printf("  %-26s %s\n", left, options->help);
    }
}

static void print_verb_help(const struct cli_verb *verb)
{
    (void)printf("tern %s: %s\n\nusage: tern %s%s%s%s\n", verb->words, verb->summary, verb->words,
                 verb->args[0] != '\0' ? " " : "", verb->args,
                 verb->options != NULL ? " [options]" : "");
    if (verb->about[0] != '\0') {
        (void)printf("\n%s\n", verb->about);
    }
    (void)printf("\noptions:\n");
    print_options(verb->options);
    print_options(global_options);
    (void)printf("\nexamples:\n%s", verb->examples);
}

/* All verbs, or those that begin with `first`. */
static void print_help(const char *first)
{
    size_t len = strlen(first);

    (void)printf("tern: ask and change a tern cluster.\n\nusage: tern VERB [options]\n\nverbs:\n");
    for (size_t n = 0; n < cli_verb_count; n++) {
        const struct cli_verb *verb = &cli_verbs[n];
        char left[64];

        if (strncmp(verb->words, first, len) == 0) {
            (void)snprintf(left, sizeof left, "%s%s%s", verb->words,
                           verb->args[0] != '\0' ? " " : "", verb->args);
            (void)printf("  %-26s %s\n", left, verb->summary);
        }
    }
    (void)printf("\noptions of every verb:\n");
    print_options(global_options);
    (void)printf("\nexamples:\n");
    for (size_t n = 0; n < cli_verb_count; n++) {
        const char *examples = cli_verbs[n].examples;

        if (strncmp(cli_verbs[n].words, first, len) == 0) {
            (void)printf("%.*s\n", (int)strcspn(examples, "\n"), examples);
        }
    }
    (void)printf("\n`tern VERB --help` tells more of one.\n"
                 "Exit status: 0 good, 1 could not ask, 2 usage, 10 unhealthy, 11 degraded,\n"
                 "12 policy violated, 13 refused.\n");
}

/* ---- parsing -------------------------------------------------------------------------------- */

/* Takes the words of a verb off the front of the arguments. */
static const struct cli_verb *find_verb(struct cli *cli)
{
    char two[64] = "";

    if (cli->arg_count >= 2) {
        (void)snprintf(two, sizeof two, "%s %s", cli->args[0], cli->args[1]);
    }
    for (size_t n = 0; n < cli_verb_count; n++) {
        int words = strchr(cli_verbs[n].words, ' ') != NULL ? 2 : 1;

        if (strcmp(cli_verbs[n].words, words == 2 ? two : cli->args[0]) == 0) {
            cli->args += words;
            cli->arg_count -= words;
            return &cli_verbs[n];
        }
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    size_t len = strlen(word);

    for (size_t n = 0; n < cli_verb_count; n++) {
        if (strncmp(cli_verbs[n].words, word, len) == 0 && cli_verbs[n].words[len] == ' ') {
            return true;
        }
    }
    return false;
}

static const struct cli_option *find_option(const struct cli_option *options, const char *name,
                                            size_t len)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == len && strncmp(options->name, name, len) == 0) {
            return options;
        }
    }
    return NULL;
}

/* Is there such an option anywhere? Parsing comes before the verb is known. */
static const struct cli_option *any_option(const char *name, size_t len)
{
    const struct cli_option *found = find_option(global_options, name, len);

    for (size_t n = 0; n < cli_verb_count && found == NULL; n++) {
        found = find_option(cli_verbs[n].options, name, len);
    }
    return found;
}

static int take_option(struct cli *cli, int argc, char **argv, int *at)
{
    char *arg = argv[*at];
    const char *name = arg[1] == '-'            ? arg + 2
                       : strcmp(arg, "-o") == 0 ? "output"
                       : strcmp(arg, "-h") == 0 ? "help"
                                                : "";
    size_t len = strcspn(name, "=");
    const struct cli_option *option = any_option(name, len);
    const char *value = "";

    if (option == NULL) {
        return cli_fail(EXIT_USAGE, "there is no option %s; see tern --help", arg);
    }
    if (cli->given_count == CLI_OPTIONS_MAX) {
        return cli_fail(EXIT_USAGE, "too many options");
    }
    if (option->value == NULL && name[len] == '=') {
        return cli_fail(EXIT_USAGE, "--%s takes no value", option->name);
    }
    if (option->value != NULL) {
        if (name[len] == '=') {
            value = name + len + 1;
        } else if (*at + 1 < argc) {
            value = argv[++*at];
        } else {
            return cli_fail(EXIT_USAGE, "--%s needs a value: %s", option->name, option->value);
        }
    }
    cli->given[cli->given_count].name = option->name;
    cli->given[cli->given_count++].value = value;
    return 0;
}

/* Splits into words and options; words are moved to the front of argv. */
static int split(struct cli *cli, int argc, char **argv)
{
    bool only_words = false;
    int words = 0;

    for (int n = 1; n < argc; n++) {
        if (!only_words && strcmp(argv[n], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[n][0] == '-' && argv[n][1] != '\0') {
            int rv = take_option(cli, argc, argv, &n);
            if (rv != 0) {
                return rv;
            }
        } else {
            argv[1 + words++] = argv[n];
        }
    }
    cli->args = argv + 1;
    cli->arg_count = words;
    return 0;
}

static int read_globals(struct cli *cli)
{
    const char *output = cli_option(cli, "output");
    const char *timeout = cli_option(cli, "timeout");
    uint64_t millis;

    if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "table") != 0) {
        return cli_fail(EXIT_USAGE, "--output: table or json is expected, not %s", output);
    }
    cli->json = output != NULL && strcmp(output, "json") == 0;
    if (timeout != NULL) {
        if (!value_millis(timeout, &millis) || millis < 10 || millis > 600000) {
            return cli_fail(EXIT_USAGE,
                            "--timeout: a time with its unit is expected (500ms, 3s), "
                            "not %s",
                            timeout);
        }
        cli->timeout_ms = (uint32_t)millis;
    }
    cli->profile = cli_option(cli, "profile");
    return 0;
}

/* Options that the verb itself does not have. */
static int check_options(const struct cli *cli)
{
    for (int n = 0; n < cli->given_count; n++) {
        const char *name = cli->given[n].name;

        if (find_option(global_options, name, strlen(name)) == NULL &&
            find_option(cli->verb->options, name, strlen(name)) == NULL) {
            return cli_fail(EXIT_USAGE, "tern %s has no option --%s; see tern %s --help",
                            cli->verb->words, name, cli->verb->words);
        }
    }
    if (cli->arg_count < cli->verb->args_min) {
        return cli_fail(EXIT_USAGE, "tern %s needs %s; see tern %s --help", cli->verb->words,
                        cli->verb->args, cli->verb->words);
    }
    if (cli->arg_count > cli->verb->args_max) {
        return cli_fail(EXIT_USAGE, "%s: that is too much; see tern %s --help",
                        cli->args[cli->verb->args_max], cli->verb->words);
    }
    return 0;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    bool help;
    int rv = split(&cli, argc, argv);

    if (rv != 0) {
        return rv;
    }
    help = cli_option(&cli, "help") != NULL;
    if (cli.arg_count > 0 && strcmp(cli.args[0], "help") == 0) {
        help = true; /* `tern help topic list` */
        cli.args++;
        cli.arg_count--;
    }
    if (cli.arg_count == 0) {
        print_help("");
        return help ? EXIT_GOOD : EXIT_USAGE;
    }
    cli.verb = find_verb(&cli);
    if (cli.verb == NULL && is_noun(cli.args[0])) {
        print_help(cli.args[0]);
        return help ? EXIT_GOOD : EXIT_USAGE;
    }
    if (cli.verb == NULL) {
        return cli_fail(EXIT_USAGE, "there is no verb %s; see tern --help", cli.args[0]);
    }
    if (help) {
        print_verb_help(cli.verb);
        return EXIT_GOOD;
    }
    rv = check_options(&cli);
    rv = rv == 0 ? read_globals(&cli) : rv;
    return rv == 0 ? cli.verb->run(&cli) : rv;
}

/* ---- the cluster ---------------------------------------------------------------------------- */

/* The nearest build/local/profile.yaml at or above the working directory. */
static bool find_profile(char *out, size_t size)
{
    char directory[2048];
    struct stat found;

    if (getcwd(directory, sizeof directory) == NULL) {
        return false;
    }
    for (;;) {
        char *slash = strrchr(directory, '/');

        if (snprintf(out, size, "%s/%s", directory, PROFILE_NAME) < (int)size &&
            stat(out, &found) == 0) {
            return true;
        }
        if (slash == NULL || directory[0] == '\0') {
            return false;
        }
        *slash = '\0';
    }
}

int cli_connect(const struct cli *cli, struct tern **out)
{
    char found[2200];
    char why[TERN_WHY_SIZE] = "";
    struct tern_options options = {.profile = cli->profile, .timeout_ms = cli->timeout_ms};
    const char *environment = getenv("TERN_PROFILE");

    if (options.profile == NULL && environment != NULL && environment[0] != '\0') {
        options.profile = environment;
    }
    if (options.profile == NULL) {
        if (!find_profile(found, sizeof found)) {
            return cli_fail(EXIT_NOT_ASKED,
                            "no cluster to ask: give --profile FILE, set TERN_PROFILE, or start "
                            "one here with deploy/local/regions up");
        }
        options.profile = found;
    }
    if (tern_open(&options, out, why) != TERN_DONE) {
        return cli_fail(EXIT_NOT_ASKED, "%s", why);
    }
    return 0;
}

int cli_failed(struct tern *tern, int outcome)
{
    int code = cli_fail((enum exit_code)outcome, "%s", tern_why(tern));

    _Static_assert((int)EXIT_NOT_ASKED == TERN_NOT_ASKED && (int)EXIT_USAGE == TERN_WRONG &&
                       (int)EXIT_REFUSED == TERN_DENIED,
                   "outcomes of libtern are exit codes");
    tern_close(tern);
    return code;
}

enum exit_code cli_health(enum tern_health health)
{
    switch (health) {
    case TERN_HEALTH_OK:
        return EXIT_GOOD;
    case TERN_HEALTH_DEGRADED:
        return EXIT_DEGRADED;
    case TERN_HEALTH_UNHEALTHY:
        return EXIT_UNHEALTHY;
    case TERN_VIOLATED:
        return EXIT_VIOLATED;
    }
    return EXIT_UNHEALTHY;
}

const char *cli_health_word(enum tern_health health)
{
    static const char *const words[] = {"ok", "degraded", "unhealthy", "violated"};

    CHECK((size_t)health < ARRAY_COUNT(words));
    return words[health];
}
