/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

/* '?' behind whatever is second-hand. */
static const char *doubt(const struct tern_node *node)
{
    return node->stale ? "?" : "";
}

static void cell_number(struct table *table, const struct tern_node *node, uint64_t value)
{
    if (node->known) {
        table_cell(table, "%llu%s", (unsigned long long)value, doubt(node));
    } else {
        table_cell(table, "-");
    }
}

static void cell_seen(struct table *table, const struct tern_node *node)
{
    char word[WORD_SIZE];

    if (node->seen_ms < 0) {
        table_cell(table, "%s", node->answered ? "now" : "never");
        return;
    }
    word_millis(word, (uint64_t)node->seen_ms);
    table_cell(table, "%s", node->seen_ms == 0 ? "now" : word);
}

static void node_row(struct table *table, int region, const struct tern_node *node)
{
    (void)table_row(table, region);
    table_cell(table, "n%u", node->id);
    table_cell(table, "%s%s", node->role, doubt(node));
    cell_number(table, node, node->term);
    cell_number(table, node, node->commit);
    cell_number(table, node, node->applied);
    cell_number(table, node, node->lag);
    cell_seen(table, node);
    if (node->rtt_p50_ms < 0) {
        table_cell(table, "-");
    } else if (node->seen_ms == 0 && node->rtt_p99_ms <= 0) {
        table_cell(table, "self");
    } else {
        table_cell(table, "%.1f/%.1f ms%s", node->rtt_p50_ms, node->rtt_p99_ms, doubt(node));
    }
    table_cell(table, "%s", node->state);
}

static const char *region_state(const struct tern_quorum *quorum, size_t first)
{
    const struct tern_node *nodes = quorum->nodes;
    size_t ok = 0;
    size_t all = 0;

    for (size_t n = first; n < quorum->node_count; n++) {
        if (strcmp(nodes[n].region, nodes[first].region) == 0) {
            all++;
            ok += strcmp(nodes[n].state, "ok") == 0;
        }
    }
    return ok == all ? "ok" : ok > 0 ? "partly" : nodes[first].state;
}

static void print_table(const struct tern_quorum *quorum)
{
    static const char *const columns[] = {"+REGION/NODE", "ROLE",         ">TERM",
                                          ">COMMIT",      ">APPLIED",     ">LAG",
                                          ">SEEN",        ">RTT p50/p99", "STATE"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));
    int region = -1;

    for (size_t n = 0; n < quorum->node_count; n++) {
        const struct tern_node *node = &quorum->nodes[n];

        if (n == 0 || strcmp(node->region, quorum->nodes[n - 1].region) != 0) {
            region = table_row(table, -1);
            table_cell(table, "%s%s", node->region[0] != '\0' ? node->region : "(unknown)",
                       node->witness ? " (witness)" : "");
            for (int k = 1; k < 8; k++) {
                table_cell(table, "%s", "");
            }
            table_cell(table, "%s", region_state(quorum, n));
        }
        node_row(table, region, node);
    }
    table_print(table);
}

static void print_timers(const struct tern_quorum *quorum)
{
    char word[WORD_SIZE];

    if (quorum->election_ms == 0) {
        return;
    }
    word_millis(word, quorum->election_ms);
    (void)printf("\nelection time-out %s: %s\n", word, quorum->election_why);
    for (size_t n = 0; n < quorum->node_count; n++) {
        const struct tern_node *node = &quorum->nodes[n];

        if (node->suspicion_ms > 0) {
            word_millis(word, node->suspicion_ms);
            (void)printf("n%u is suspected after %s: %s\n", node->id, word, node->suspicion_why);
        }
    }
}

static void print_head(const struct tern_quorum *quorum)
{
    (void)printf("cluster %s (%s)  %s  ", quorum->cluster,
                 quorum->cluster_id[0] != '\0' ? quorum->cluster_id : "not founded",
                 cli_health_word(quorum->health));
    if (quorum->leader != 0) {
        (void)printf("controller n%u, term %llu", quorum->leader, (unsigned long long)quorum->term);
    } else {
        (void)printf("no controller");
    }
    (void)printf("  %zu of %zu nodes answered\n", quorum->answered, quorum->node_count);
}

int verb_quorum(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_quorum *quorum = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_quorum(tern, &quorum);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_quorum(quorum));
    } else {
        print_head(quorum);
        print_table(quorum);
        print_timers(quorum);
    }
    rv = (int)cli_health(quorum->health);
    tern_quorum_free(quorum);
    tern_close(tern);
    return rv;
}

/* ---- status --------------------------------------------------------------------------------- */

static void print_status(const struct tern_status *status)
{
    const struct tern_quorum *quorum = status->quorum;

    print_head(quorum);
    (void)printf("state      %s\n", cli_health_word(status->health));
    (void)printf("regions    %u of %u heard\n", status->regions_reached, status->regions);
    (void)printf("topics     %u, %u partitions, %u without a leader\n", status->topics,
                 status->partitions, status->leaderless);
    (void)printf("critical   %u of %u topics have their rule met\n", status->critical_met,
                 status->critical);
    (void)printf("policies   revision %llu\n", (unsigned long long)status->policy_revision);
    (void)printf("ledger     %u open\n", status->ledger_open);
    (void)printf("timers     election %u ms, heartbeat %u ms, lease %u ms\n", quorum->election_ms,
                 quorum->heartbeat_ms, quorum->lease_ms);
    if (status->check_count > 0) {
        static const char *const columns[] = {"CHECK", "SEVERITY", "SUBJECT", "WHAT"};
        struct table *table = table_new(columns, ARRAY_COUNT(columns));

        (void)printf("\n");
        for (size_t n = 0; n < status->check_count; n++) {
            (void)table_row(table, -1);
            table_cell(table, "%s", status->checks[n].code);
            table_cell(table, "%s", cli_health_word(status->checks[n].health));
            table_cell(table, "%s", status->checks[n].subject);
            table_cell(table, "%s", status->checks[n].text);
        }
        table_print(table);
    }
}

int verb_status(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_status *status = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_status(tern, &status);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_status(status));
    } else {
        print_status(status);
    }
    rv = (int)cli_health(status->health);
    tern_status_free(status);
    tern_close(tern);
    return rv;
}
