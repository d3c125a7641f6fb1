/* SPDX-License-Identifier: Apache-2.0 */
/* Where promises were weaker, and what was cut off. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

static void print_ledger(const struct tern_ledger *ledger)
{
    static const char *const columns[] = {"SINCE",  "UNTIL", "KIND",       "TOPIC", "OFFSETS",
                                          ">BYTES", ">SPAN", "DECIDED BY", "NOTE"};
    struct table *table;
    char word[WORD_SIZE];

    if (ledger->count == 0) {
        (void)printf("the ledger is empty: no promise was weaker than its policy\n");
        return;
    }
    table = table_new(columns, ARRAY_COUNT(columns));
    for (size_t n = 0; n < ledger->count; n++) {
        const struct tern_ledger_entry *entry = &ledger->entries[n];

        (void)table_row(table, -1);
        word_wall(word, entry->since_wall_ms);
        table_cell(table, "%s", word);
        word_wall(word, entry->until_wall_ms);
        table_cell(table, "%s", entry->until_wall_ms != 0 ? word : "open");
        table_cell(table, "%s", entry->kind);
        table_cell(table, "%s-%d", entry->topic, entry->partition);
        if (entry->first_offset >= 0 && entry->end_offset < 0) {
            table_cell(table, "%lld..", (long long)entry->first_offset);
        } else if (entry->first_offset >= 0) {
            table_cell(table, "%lld..%lld", (long long)entry->first_offset,
                       (long long)entry->end_offset);
        } else {
            table_cell(table, "-");
        }
        word_bytes(word, entry->bytes);
        table_cell(table, "%s", word);
        word_millis(word, entry->millis);
        table_cell(table, "%s", word);
        table_cell(table, "%s", entry->decided_by);
        table_cell(table, "%s", entry->note);
    }
    table_print(table);
}

int verb_ledger(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_ledger *ledger = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_ledger(tern, cli->arg_count > 0 ? cli->args[0] : NULL, &ledger);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_ledger(ledger));
    } else {
        print_ledger(ledger);
    }
    tern_ledger_free(ledger);
    tern_close(tern);
    return EXIT_GOOD;
}

/* ---- quarantine ----------------------------------------------------------------------------- */

static void print_quarantine(const struct tern_quarantine *found)
{
    static const char *const columns[] = {"NODE",     "TOPIC",  "EPOCHS", "OFFSETS",
                                          ">RECORDS", ">BYTES", "WHEN",   "FILE"};
    struct table *table;
    char word[WORD_SIZE];

    if (found->count == 0) {
        (void)printf("nothing is in quarantine\n");
        return;
    }
    table = table_new(columns, ARRAY_COUNT(columns));
    for (size_t n = 0; n < found->count; n++) {
        const struct tern_quarantined *entry = &found->entries[n];

        (void)table_row(table, -1);
        table_cell(table, "n%u %s", entry->node, entry->region);
        table_cell(table, "%s-%d", entry->topic[0] != '\0' ? entry->topic : entry->topic_id,
                   entry->partition);
        table_cell(table, "%d..%d", entry->first_epoch, entry->last_epoch);
        table_cell(table, "%lld..%lld", (long long)entry->first_offset,
                   (long long)entry->end_offset);
        table_cell(table, "%llu", (unsigned long long)entry->records);
        word_bytes(word, entry->bytes);
        table_cell(table, "%s", word);
        word_wall(word, entry->wall_ms);
        table_cell(table, "%s", word);
        table_cell(table, "%s", entry->path);
    }
    table_print(table);
}

int verb_quarantine_list(struct cli *cli)
{
    struct tern *tern = NULL;
    struct tern_quarantine *found = NULL;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_quarantine(tern, cli->arg_count > 0 ? cli->args[0] : NULL, &found);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (cli->json) {
        json_print(json_of_quarantine(found));
    } else {
        print_quarantine(found);
    }
    if (found->silent_nodes > 0) {
        (void)fprintf(stderr, "tern: %u nodes did not answer: theirs is not in the list\n",
                      found->silent_nodes);
    }
    tern_quarantine_free(found);
    tern_close(tern);
    return EXIT_GOOD;
}
