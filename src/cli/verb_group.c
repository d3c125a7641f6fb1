/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

static void say_what_lacks(const struct tern_groups *groups)
{
    if (groups->silent_nodes > 0) {
        (void)fprintf(stderr, "tern: %u nodes did not answer: groups that they coordinate lack\n",
                      groups->silent_nodes);
    }
    if (groups->loading_nodes > 0) {
        (void)fprintf(stderr, "tern: %u nodes are still reading groups: ask again\n",
                      groups->loading_nodes);
    }
}

static void print_list(const struct tern_groups *groups)
{
    static const char *const columns[] = {"GROUP",    "STATE",       ">MEMBERS",
                                          ">OFFSETS", ">GENERATION", "COORDINATOR"};
    struct table *table;

    if (groups->count == 0) {
        (void)printf("there are no consumer groups\n");
        return;
    }
    table = table_new(columns, ARRAY_COUNT(columns));
    for (size_t n = 0; n < groups->count; n++) {
        const struct tern_group *group = &groups->groups[n];

        (void)table_row(table, -1);
        table_cell(table, "%s", group->name);
        table_cell(table, "%s", group->state);
        table_cell(table, "%u", group->members);
        table_cell(table, "%u", group->offsets);
        table_cell(table, "%d", group->generation);
        table_cell(table, "n%u %s", group->node, group->region);
    }
    table_print(table);
}

int verb_group_list(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_groups *groups = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_groups(tern, NULL, &groups);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_groups(groups));
    } else {
        print_list(groups);
    }
    say_what_lacks(groups);
    tern_groups_free(groups);
    tern_close(tern);
    return EXIT_GOOD;
}

static void print_members(const struct tern_group *group)
{
    static const char *const columns[] = {"MEMBER", "INSTANCE", "CLIENT"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));

    for (size_t n = 0; n < group->member_list_count; n++) {
        const struct tern_group_member *member = &group->member_list[n];

        (void)table_row(table, -1);
        table_cell(table, "%s", member->id);
        table_cell(table, "%s", member->instance[0] != '\0' ? member->instance : "-");
        table_cell(table, "%s", member->client);
    }
    table_print(table);
}

static void print_offsets(const struct tern_group *group)
{
    static const char *const columns[] = {"TOPIC", ">OFFSET", ">END", ">LAG", "COMMITTED"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));
    char word[WORD_SIZE];

    for (size_t n = 0; n < group->offset_list_count; n++) {
        const struct tern_group_offset *offset = &group->offset_list[n];

        (void)table_row(table, -1);
        table_cell(table, "%s-%d", offset->topic, offset->partition);
        table_cell(table, "%lld", (long long)offset->offset);
        if (offset->end >= 0) {
            long long lag = (long long)(offset->end - offset->offset);
            table_cell(table, "%lld", (long long)offset->end);
            table_cell(table, "%lld", lag > 0 ? lag : 0);
        } else {
            table_cell(table, "-");
            table_cell(table, "-");
        }
        word_wall(word, offset->commit_wall_ms);
        table_cell(table, "%s", word);
    }
    table_print(table);
}

static void print_group(const struct tern_group *group)
{
    (void)printf("%s: %s, generation %d, coordinated by n%u %s\n", group->name, group->state,
                 group->generation, group->node, group->region);
    if (group->protocol_type[0] != '\0') {
        (void)printf("protocol: %s%s%s\n", group->protocol_type,
                     group->protocol[0] != '\0' ? ", " : "", group->protocol);
    }
    if (group->member_list_count > 0) {
        (void)printf("\n");
        print_members(group);
    }
    if (group->offset_list_count > 0) {
        (void)printf("\n");
        print_offsets(group);
    }
}

int verb_group_describe(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_groups *groups = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_groups(tern, cli->args[0], &groups);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    say_what_lacks(groups);
    if (groups->count == 0) {
        rv = cli_fail(EXIT_USAGE, "there is no consumer group %s: see tern group list",
                      cli->args[0]);
    } else if (cli->json) {
        json_print(json_of_group(&groups->groups[0]));
    } else {
        print_group(&groups->groups[0]);
    }
    tern_groups_free(groups);
    tern_close(tern);
    return rv;
}
