/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

static enum tern_health worst(const struct tern_topics *topics)
{
    enum tern_health health = TERN_HEALTH_OK;

    for (size_t n = 0; n < topics->count; n++) {
        health = topics->topics[n].health > health ? topics->topics[n].health : health;
    }
    return health;
}

static void cell_leaders(struct table *table, const struct tern_topic *topic)
{
    char text[256] = "";
    size_t used = 0;

    for (size_t n = 0; n < topic->leader_count && used < sizeof text; n++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %u", n > 0 ? ", " : "",
                                 topic->leaders[n].region, topic->leaders[n].count);
    }
    table_cell(table, "%s", text);
}

static void print_topics(const struct tern_topics *topics)
{
    static const char *const columns[] = {"TOPIC",       "POLICY",  "ACK",
                                          ">PARTITIONS", "LEADERS", "STATE"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));

    for (size_t n = 0; n < topics->count; n++) {
        const struct tern_topic *topic = &topics->topics[n];

        (void)table_row(table, -1);
        table_cell(table, "%s", topic->name);
        table_cell(table, "%s%s", topic->policy, topic->critical ? " (critical)" : "");
        if (strcmp(topic->mode, "async") == 0) {
            table_cell(table, "async, home %s", topic->home);
        } else {
            table_cell(table, "sync, %u regions", topic->ack);
        }
        table_cell(table, "%u", topic->partition_count);
        cell_leaders(table, topic);
        table_cell(table, "%s%s%s", cli_health_word(topic->health),
                   topic->why[0] != '\0' ? ": " : "", topic->why);
    }
    table_print(table);
}

int verb_topic_list(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_topics *topics = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_topics(tern, NULL, false, &topics);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_topics(topics));
    } else {
        print_topics(topics);
    }
    rv = (int)cli_health(worst(topics));
    tern_topics_free(topics);
    tern_close(tern);
    return rv;
}

/* ---- describe ------------------------------------------------------------------------------- */

static void cell_offset(struct table *table, bool fresh, int64_t offset)
{
    if (fresh && offset >= 0) {
        table_cell(table, "%lld", (long long)offset);
    } else {
        table_cell(table, "-");
    }
}

/* "n2", "n2-17" when it lacks 17 records, "n2?" when that is not known, "(n2)" for a learner. */
static size_t replica_word(const struct tern_partition *p, const struct tern_replica *r, char *out,
                           size_t size)
{
    int64_t behind = r->acked >= 0 && r->acked < p->leo ? p->leo - r->acked : 0;
    char lag[32] = "";

    if (p->fresh && r->acked < 0) {
        (void)snprintf(lag, sizeof lag, "?");
    } else if (p->fresh && behind > 0) {
        (void)snprintf(lag, sizeof lag, "-%lld", (long long)behind);
    }
    return (size_t)snprintf(out, size, "%s%sn%u%s%s", r == p->replicas ? "" : " ",
                            r->voter ? "" : "(", r->node, lag, r->voter ? "" : ")");
}

static void print_partitions(const struct tern_topic *topic)
{
    static const char *const columns[] = {">PARTITION", "LEADER", ">EPOCH",   ">ACK",
                                          ">START",     ">END",   ">VISIBLE", "REPLICAS",
                                          ">EXPOSED",   "STATE"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));

    for (uint32_t n = 0; n < topic->partition_count; n++) {
        const struct tern_partition *p = &topic->partitions[n];
        char text[256] = "";
        size_t used = 0;

        (void)table_row(table, -1);
        table_cell(table, "%u", p->index);
        if (p->leader != 0) {
            table_cell(table, "n%u %s", p->leader, p->leader_region);
        } else {
            table_cell(table, "none");
        }
        table_cell(table, "%d", p->epoch);
        table_cell(table, "%u", p->ack);
        cell_offset(table, p->fresh, p->log_start);
        cell_offset(table, p->fresh, p->leo);
        cell_offset(table, p->fresh, p->hw);
        for (size_t k = 0; k < p->replica_count && used < sizeof text; k++) {
            used += replica_word(p, &p->replicas[k], text + used, sizeof text - used);
        }
        table_cell(table, "%s", text);
        cell_offset(table, p->fresh, p->exposed_records);
        table_cell(table, "%s%s%s", cli_health_word(p->health), p->why[0] != '\0' ? ": " : "",
                   p->why);
    }
    table_print(table);
}

static void print_retention(const struct tern_topic *topic)
{
    char word[WORD_SIZE];

    (void)printf("retention  ");
    if (topic->retention_ms >= 0) {
        word_millis(word, (uint64_t)topic->retention_ms);
        (void)printf("%s", word);
    } else {
        (void)printf("for ever");
    }
    if (topic->retention_bytes >= 0) {
        word_bytes(word, (uint64_t)topic->retention_bytes);
        (void)printf(", at most %s per partition", word);
    }
    (void)printf("\n");
}

static void print_topic(const struct tern_topic *topic)
{
    (void)printf("topic      %s (%s)\n", topic->name, topic->id);
    (void)printf("policy     %s: %s, ack %u%s%s%s\n", topic->policy, topic->mode, topic->ack,
                 topic->home[0] != '\0' ? ", home " : "", topic->home,
                 topic->critical ? ", critical" : "");
    print_retention(topic);
    (void)printf("state      %s%s%s\n\n", cli_health_word(topic->health),
                 topic->why[0] != '\0' ? ": " : "", topic->why);
    if (topic->partitions != NULL) {
        print_partitions(topic);
    }
}

int verb_topic_describe(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_topics *topics = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_topics(tern, cli->args[0], true, &topics);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    CHECK(topics->count == 1);
    if (cli->json) {
        json_print(json_of_topic(&topics->topics[0]));
    } else {
        print_topic(&topics->topics[0]);
    }
    rv = (int)cli_health(worst(topics));
    tern_topics_free(topics);
    tern_close(tern);
    return rv;
}

/* ---- changes -------------------------------------------------------------------------------- */

int verb_topic_create(struct cli *cli)
{
    struct tern *tern = NULL;
    uint32_t partitions = 0;
    uint32_t made = 0;
    int rv;

    if (!cli_number(cli, "partitions", 1, 10000, &partitions)) {
        return EXIT_USAGE;
    }
    rv = cli_connect(cli, &tern);
    if (rv != 0) {
        return rv;
    }
    rv = tern_topic_create(tern, cli->args[0], partitions, cli_option(cli, "policy"), &made);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf("topic %s made, %u partitions\n", cli->args[0], made);
    tern_close(tern);
    return EXIT_GOOD;
}

int cli_confirm(const struct cli *cli, const struct tern *tern, const char *what, const char *name)
{
    char typed[TERN_TOPIC_SIZE + 2] = "";

    if (cli_option(cli, "yes") != NULL) {
        return 0;
    }
    if (!isatty(STDIN_FILENO)) {
        return cli_fail(EXIT_USAGE, "%s (cluster %s); if you mean it: --yes", what,
                        tern_cluster(tern));
    }
    (void)printf("%s (cluster %s). Type %s to go on: ", what, tern_cluster(tern), name);
    (void)fflush(stdout);
    if (fgets(typed, sizeof typed, stdin) == NULL) {
        typed[0] = '\0';
    }
    typed[strcspn(typed, "\n")] = '\0';
    if (strcmp(typed, name) != 0) {
        return cli_fail(EXIT_USAGE, "nothing was done");
    }
    return 0;
}

int verb_topic_delete(struct cli *cli)
{
    struct tern *tern = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = cli_confirm(cli, tern, "the topic and its records will be gone", cli->args[0]);
    if (rv != 0) {
        tern_close(tern);
        return rv;
    }
    rv = tern_topic_delete(tern, cli->args[0]);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf("topic %s is deleted\n", cli->args[0]);
    tern_close(tern);
    return EXIT_GOOD;
}

int verb_policy_remove(struct cli *cli)
{
    struct tern *tern = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = cli_confirm(cli, tern, "the policy will be out of force", cli->args[0]);
    if (rv != 0) {
        tern_close(tern);
        return rv;
    }
    rv = tern_policy_remove(tern, cli->args[0]);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf("policy %s is removed\n", cli->args[0]);
    tern_close(tern);
    return EXIT_GOOD;
}
