/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"
#include "policy/policy.h"

#define FILES_MAX      256
#define FILE_BYTES_MAX (1u << 20)

struct file {
    char *path;
    struct buf text;
};
struct files {
    struct file items[FILES_MAX];
    size_t count;
};

static void files_free(struct files *files)
{
    for (size_t n = 0; n < files->count; n++) {
        free(files->items[n].path);
        buf_fini(&files->items[n].text);
    }
    free(files);
}

static int add_file(struct files *files, const char *path)
{
    struct file *into = &files->items[files->count];
    FILE *file = fopen(path, "re");
    size_t got;

    if (file == NULL) {
        return cli_fail(EXIT_USAGE, "%s: %m", path);
    }
    if (files->count == FILES_MAX) {
        (void)fclose(file);
        return cli_fail(EXIT_USAGE, "%s: more than %d files", path, FILES_MAX);
    }
    got = fread(buf_extend(&into->text, FILE_BYTES_MAX), 1, FILE_BYTES_MAX, file);
    into->text.len = got;
    into->path = mem_string(path);
    files->count++;
    if (ferror(file) != 0 || got == FILE_BYTES_MAX) {
        (void)fclose(file);
        return cli_fail(EXIT_USAGE, "%s: it can't be read, or is larger than 1 MiB", path);
    }
    (void)fclose(file);
    return 0;
}

static int is_yaml(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return (len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0) ||
           (len > 4 && strcmp(entry->d_name + len - 4, ".yml") == 0);
}

static int add_directory(struct files *files, const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_yaml, alphasort);
    size_t len = strlen(path);
    int rv = 0;

    if (count <= 0) {
        free(entries);
        return cli_fail(EXIT_USAGE, "%s: there is no *.yaml in it", path);
    }
    for (int n = 0; n < count; n++) {
        char name[1024];

        (void)snprintf(name, sizeof name, "%s%s%s", path,
                       len > 0 && path[len - 1] == '/' ? "" : "/", entries[n]->d_name);
        rv = rv == 0 ? add_file(files, name) : rv;
        free(entries[n]);
    }
    free(entries);
    return rv;
}

static int read_files(const struct cli *cli, struct files *files)
{
    int rv = 0;

    for (int n = 0; n < cli->arg_count && rv == 0; n++) {
        struct stat found;

        if (stat(cli->args[n], &found) == 0 && S_ISDIR(found.st_mode)) {
            rv = add_directory(files, cli->args[n]);
        } else {
            rv = add_file(files, cli->args[n]);
        }
    }
    return rv;
}

static void print_problem(const struct policy_problem *problem)
{
    if (problem->line == 0) {
        (void)fprintf(stderr, "%s: error: %s\n", problem->file, problem->message);
        return;
    }
    (void)fprintf(stderr, "%s:%d:%d: error: %s\n", problem->file, problem->line, problem->column,
                  problem->message);
    if (problem->excerpt[0] != '\0') {
        (void)fprintf(stderr, "%s\n%*s^\n", problem->excerpt,
                      problem->column > 1 ? problem->column - 1 : 0, "");
    }
}

static json_t *problems_json(const struct policy_set *set)
{
    json_t *list = json_array();

    for (size_t n = 0; n < set->problem_count; n++) {
        const struct policy_problem *problem = &set->problems[n];
        json_t *item = json_object();

        json_object_set_new(item, "file", json_text(problem->file));
        json_object_set_new(item, "line", json_integer(problem->line));
        json_object_set_new(item, "column", json_integer(problem->column));
        json_object_set_new(item, "message", json_text(problem->message));
        json_array_append_new(list, item);
    }
    return list;
}

static int check_files(const struct cli *cli, const struct files *files, bool tell)
{
    struct policy_set set = {0};
    int rv;

    for (size_t n = 0; n < files->count; n++) {
        policy_parse(&set, files->items[n].path, buf_slice(&files->items[n].text));
    }
    policy_set_check(&set);
    rv = set.problem_count > 0 ? EXIT_USAGE : EXIT_GOOD;
    if (cli->json && tell) {
        json_t *out = json_object();
        json_t *names = json_array();

        for (size_t n = 0; n < set.count; n++) {
            json_array_append_new(names, json_text(set.policies[n].name));
        }
        json_object_set_new(out, "policies", names);
        json_object_set_new(out, "problems", problems_json(&set));
        json_print(out);
    } else {
        for (size_t n = 0; n < set.problem_count; n++) {
            print_problem(&set.problems[n]);
        }
    }
    if (rv == EXIT_GOOD && set.count == 0) {
        rv = cli_fail(EXIT_USAGE, "there is no policy in what was given");
    } else if (rv == EXIT_GOOD && tell && !cli->json) {
        (void)printf("%zu %s in %zu %s, no problem found\n", set.count,
                     set.count == 1 ? "policy" : "policies", files->count,
                     files->count == 1 ? "file" : "files");
    }
    policy_set_fini(&set);
    return rv;
}

int verb_policy_validate(struct cli *cli)
{
    struct files *files = mem_new(sizeof *files);
    int rv = read_files(cli, files);

    rv = rv == 0 ? check_files(cli, files, true) : rv;
    files_free(files);
    return rv;
}

/* ---- apply ---------------------------------------------------------------------------------- */

static int apply_files(struct cli *cli, const struct files *files)
{
    struct tern_document documents[FILES_MAX];
    const char *weaken[CLI_OPTIONS_MAX];
    size_t weaken_count = 0;
    const char *author = getenv("USER");
    struct tern_applied *applied = NULL;
    struct tern *tern = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    for (size_t n = 0; n < files->count; n++) {
        documents[n] =
            (struct tern_document){files->items[n].path, (const char *)files->items[n].text.base,
                                   files->items[n].text.len};
    }
    while (cli_option_at(cli, "weaken", (int)weaken_count) != NULL) {
        weaken[weaken_count] = cli_option_at(cli, "weaken", (int)weaken_count);
        weaken_count++;
    }
    rv = tern_policy_apply(tern, documents, files->count, weaken, weaken_count,
                           author != NULL ? author : "", &applied);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    for (size_t n = 0; n < applied->count; n++) {
        (void)printf("policy %s %s\n", applied->policies[n].name,
                     applied->policies[n].unchanged ? "is in force already" : "is applied");
    }
    tern_applied_free(applied);
    tern_close(tern);
    return EXIT_GOOD;
}

int verb_policy_apply(struct cli *cli)
{
    struct files *files = mem_new(sizeof *files);
    int rv = read_files(cli, files);

    rv = rv == 0 ? check_files(cli, files, false) : rv;
    rv = rv == 0 ? apply_files(cli, files) : rv;
    files_free(files);
    return rv;
}

/* ---- show ----------------------------------------------------------------------------------- */

static void print_policies(const struct tern_policies *policies)
{
    for (size_t n = 0; n < policies->count; n++) {
        const struct tern_policy *policy = &policies->policies[n];
        char word[WORD_SIZE];

        word_wall(word, policy->wall_ms);
        (void)printf("%s# revision %llu by %s, %s; %u topics\n%s", n > 0 ? "---\n" : "",
                     (unsigned long long)policy->revision, policy->author, word, policy->topics,
                     policy->yaml);
    }
    if (policies->count == 0) {
        (void)printf("# no policy is in force: every topic is sync, ack 2\n");
    }
}

int verb_policy_show(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_policies *policies = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_policies(tern, cli->arg_count > 0 ? cli->args[0] : NULL, &policies);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_policies(policies));
    } else {
        print_policies(policies);
    }
    tern_policies_free(policies);
    tern_close(tern);
    return EXIT_GOOD;
}
