/* SPDX-License-Identifier: Apache-2.0 */
/* The `tern` command: one table of verbs gives parsing, help, and what is run. */
#pragma once

#include "base/check.h"
#include "tern/tern.h"

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_NOT_ASKED = 1,
    EXIT_USAGE = 2,
    EXIT_UNHEALTHY = 10,
    EXIT_DEGRADED = 11,
    EXIT_VIOLATED = 12,
    EXIT_REFUSED = 13
};

#define CLI_OPTIONS_MAX 32 /* given on one command line */

struct cli_option {
    const char *name;  /* without the dashes */
    const char *value; /* what it is called in the help; NULL: a switch */
    const char *help;
};

struct cli;

struct cli_verb {
    const char *words; /* "topic list" */
    const char *args;  /* "TOPIC", "[NAME]", "FILE..."; "" */
    const char *summary;
    const char *about;    /* more for its own help; may be "" */
    const char *examples; /* lines, each indented by two */
    int args_min;
    int args_max;
    const struct cli_option *options; /* ends with a NULL name; or NULL */
    int (*run)(struct cli *cli);      /* an exit code */
};

struct cli {
    const struct cli_verb *verb;
    char **args;
    int arg_count;
    bool json;
    uint32_t timeout_ms;
    const char *profile; /* NULL: environment, then search */
    struct {
        const char *name;
        const char *value; /* "" for a switch */
    } given[CLI_OPTIONS_MAX];
    int given_count;
};

extern const struct cli_verb cli_verbs[];
extern const size_t cli_verb_count;

int cli_main(int argc, char **argv);
/* The value of an option, its last; NULL if it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
/* The n-th value of an option that may be repeated; NULL behind the last. */
const char *cli_option_at(const struct cli *cli, const char *name, int n);
/* A number; false, with a line on stderr, if it is none or out of range. Untouched if not given. */
bool cli_number(const struct cli *cli, const char *name, uint32_t low, uint32_t high,
                uint32_t *out) TERN_MUST_USE;
/* Prints "tern: ..." to stderr and gives `code` back. */
int cli_fail(enum exit_code code, const char *format, ...) TERN_PRINTF(2, 3);

/* Opens the cluster that flags, environment or the nearest profile name. 0, or an exit code with
 * its reason printed. */
int cli_connect(const struct cli *cli, struct tern **out) TERN_MUST_USE;
/* After a call that failed: prints why, closes, gives the exit code. */
int cli_failed(struct tern *tern, int outcome);
/* Says what will happen and lets `name` be typed, unless --yes is given. 0, or an exit code. */
int cli_confirm(const struct cli *cli, const struct tern *tern, const char *what, const char *name);
enum exit_code cli_health(enum tern_health health);
const char *cli_health_word(enum tern_health health);

int verb_status(struct cli *cli);
int verb_quorum(struct cli *cli);
int verb_topic_list(struct cli *cli);
int verb_topic_describe(struct cli *cli);
int verb_topic_create(struct cli *cli);
int verb_topic_delete(struct cli *cli);
int verb_topic_set_policy(struct cli *cli);
int verb_topic_recover(struct cli *cli);
int verb_node_remove(struct cli *cli);
int verb_policy_validate(struct cli *cli);
int verb_policy_apply(struct cli *cli);
int verb_policy_show(struct cli *cli);
int verb_policy_remove(struct cli *cli);
int verb_cluster_init(struct cli *cli);
int verb_certs_create_ca(struct cli *cli);
int verb_certs_create_node(struct cli *cli);
int verb_certs_create_client(struct cli *cli);
int verb_ledger(struct cli *cli);
int verb_quarantine_list(struct cli *cli);
int verb_metrics(struct cli *cli);
int verb_group_list(struct cli *cli);
int verb_group_describe(struct cli *cli);
int verb_version(struct cli *cli);
