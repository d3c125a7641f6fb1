/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/print.h"

static enum tern_health worst(const struct tern_topics *topics)
{
    enum tern_health health = TERN_HEALTH_OK;

    for (size_t n = 0; n < topics->count; n++) {
        health = topics->topics[n].health > health ? topics->topics[n].health : health;
    }
    return health;
}

static json_t *topic_json(const struct tern_topic *topic)
{
    json_t *out = json_object();
    json_t *leaders = json_object();

    json_object_set_new(out, "name", json_text(topic->name));
    json_object_set_new(out, "policy", json_text(topic->policy));
    json_object_set_new(out, "ack", json_integer(topic->ack));
    json_object_set_new(out, "partitions", json_integer(topic->partition_count));
    for (size_t n = 0; n < topic->leader_count; n++) {
        json_object_set_new(leaders, topic->leaders[n].region,
                            json_integer(topic->leaders[n].count));
    }
    json_object_set_new(out, "leaders", leaders);
    json_object_set_new(out, "id", json_text(topic->id));
    json_object_set_new(out, "mode", json_text(topic->mode));
    json_object_set_new(out, "critical", json_boolean(topic->critical));
    json_object_set_new(out, "leaderless", json_integer(topic->leaderless));
    json_object_set_new(out, "under_replicated", json_integer(topic->under_replicated));
    json_object_set_new(out, "state", json_text(cli_health_word(topic->health)));
    json_object_set_new(out, "why", json_text(topic->why));
    json_object_set_new(out, "retention_ms", json_integer(topic->retention_ms));
    json_object_set_new(out, "retention_bytes", json_integer(topic->retention_bytes));
    return out;
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
        json_t *out = json_object();
        json_t *list = json_array();

        for (size_t n = 0; n < topics->count; n++) {
            json_array_append_new(list, topic_json(&topics->topics[n]));
        }
        json_object_set_new(out, "topics", list);
        json_print(out);
    } else {
        print_topics(topics);
    }
    rv = (int)cli_health(worst(topics));
    tern_topics_free(topics);
    tern_close(tern);
    return rv;
}

/* ---- describe ------------------------------------------------------------------------------- */

static json_t *offset_or_null(bool fresh, int64_t offset)
{
    return json_number_or_null(fresh && offset >= 0, (uint64_t)offset);
}

static json_t *partition_json(const struct tern_partition *p)
{
    json_t *out = json_object();
    json_t *replicas = json_array();
    json_t *exposed = json_object();

    json_object_set_new(out, "partition", json_integer(p->index));
    json_object_set_new(out, "epoch", json_integer(p->epoch));
    json_object_set_new(out, "leader", json_number_or_null(p->leader != 0, p->leader));
    json_object_set_new(out, "leader_region",
                        p->leader != 0 ? json_text(p->leader_region) : json_null());
    json_object_set_new(out, "ack", json_integer(p->ack));
    json_object_set_new(out, "activated", json_boolean(p->activated));
    json_object_set_new(out, "log_start", offset_or_null(p->fresh, p->log_start));
    json_object_set_new(out, "log_end", offset_or_null(p->fresh, p->leo));
    json_object_set_new(out, "high_watermark", offset_or_null(p->fresh, p->hw));
    json_object_set_new(out, "bytes", json_number_or_null(p->fresh, p->bytes));
    json_object_set_new(
        exposed, "records",
        json_number_or_null(p->fresh && p->exposed_records >= 0, (uint64_t)p->exposed_records));
    json_object_set_new(exposed, "bytes", json_number_or_null(p->fresh, p->exposed_bytes));
    json_object_set_new(exposed, "ms", json_number_or_null(p->fresh, p->exposed_ms));
    json_object_set_new(out, "exposed", exposed);
    for (size_t n = 0; n < p->replica_count; n++) {
        const struct tern_replica *r = &p->replicas[n];
        json_t *item = json_object();

        json_object_set_new(item, "node", json_integer(r->node));
        json_object_set_new(item, "region", json_text(r->region));
        json_object_set_new(item, "role", json_text(r->voter ? "voter" : "learner"));
        json_object_set_new(item, "durable_end", offset_or_null(p->fresh, r->acked));
        json_array_append_new(replicas, item);
    }
    json_object_set_new(out, "replicas", replicas);
    json_object_set_new(out, "state", json_text(cli_health_word(p->health)));
    json_object_set_new(out, "why", json_text(p->why));
    return out;
}

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
        const struct tern_topic *topic = &topics->topics[0];
        json_t *out = topic_json(topic);
        json_t *list = json_array();

        for (uint32_t n = 0; topic->partitions != NULL && n < topic->partition_count; n++) {
            json_array_append_new(list, partition_json(&topic->partitions[n]));
        }
        json_object_set_new(out, "partition_list", list);
        json_print(out);
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

/* A typed name or --yes. */
static int confirm(const struct cli *cli, const struct tern *tern, const char *what,
                   const char *name)
{
    char typed[TERN_TOPIC_SIZE + 2] = "";

    if (cli_option(cli, "yes") != NULL) {
        return 0;
    }
    if (!isatty(STDIN_FILENO)) {
        return cli_fail(EXIT_USAGE, "%s %s of cluster %s would be gone; if you mean it: --yes",
                        what, name, tern_cluster(tern));
    }
    (void)printf("%s %s of cluster %s will be gone. Type its name to go on: ", what, name,
                 tern_cluster(tern));
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
    rv = confirm(cli, tern, "topic", cli->args[0]);
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
    rv = confirm(cli, tern, "policy", cli->args[0]);
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
