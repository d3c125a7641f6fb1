/* SPDX-License-Identifier: Apache-2.0 */
/* Where promises were weaker, and what was cut off. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print.h"

static json_t *entry_json(const struct tern_ledger_entry *entry)
{
    json_t *out = json_object();
    bool offsets = entry->first_offset >= 0;

    json_object_set_new(out, "kind", json_text(entry->kind));
    json_object_set_new(out, "topic", json_text(entry->topic));
    json_object_set_new(out, "partition", json_integer(entry->partition));
    json_object_set_new(out, "first_offset",
                        json_number_or_null(offsets, (uint64_t)entry->first_offset));
    json_object_set_new(
        out, "end_offset",
        json_number_or_null(offsets && entry->end_offset >= 0, (uint64_t)entry->end_offset));
    json_object_set_new(out, "bytes", json_integer((json_int_t)entry->bytes));
    json_object_set_new(out, "millis", json_integer((json_int_t)entry->millis));
    json_object_set_new(out, "since", json_wall(entry->since_wall_ms));
    json_object_set_new(out, "until", json_wall(entry->until_wall_ms));
    json_object_set_new(out, "decided_by", json_text(entry->decided_by));
    json_object_set_new(out, "note", json_text(entry->note));
    return out;
}

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
        json_t *out = json_object();
        json_t *list = json_array();

        for (size_t n = 0; n < ledger->count; n++) {
            json_array_append_new(list, entry_json(&ledger->entries[n]));
        }
        json_object_set_new(out, "entries", list);
        json_print(out);
    } else {
        print_ledger(ledger);
    }
    tern_ledger_free(ledger);
    tern_close(tern);
    return EXIT_GOOD;
}

/* ---- quarantine ----------------------------------------------------------------------------- */

static json_t *quarantined_json(const struct tern_quarantined *entry)
{
    json_t *out = json_object();

    json_object_set_new(out, "node", json_integer(entry->node));
    json_object_set_new(out, "region", json_text(entry->region));
    json_object_set_new(out, "topic", json_text(entry->topic));
    json_object_set_new(out, "topic_id", json_text(entry->topic_id));
    json_object_set_new(out, "partition", json_integer(entry->partition));
    json_object_set_new(out, "first_epoch", json_integer(entry->first_epoch));
    json_object_set_new(out, "last_epoch", json_integer(entry->last_epoch));
    json_object_set_new(out, "first_offset", json_integer((json_int_t)entry->first_offset));
    json_object_set_new(out, "end_offset", json_integer((json_int_t)entry->end_offset));
    json_object_set_new(out, "records", json_integer((json_int_t)entry->records));
    json_object_set_new(out, "bytes", json_integer((json_int_t)entry->bytes));
    json_object_set_new(out, "at", json_wall(entry->wall_ms));
    json_object_set_new(out, "path", json_text(entry->path));
    return out;
}

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
        json_t *out = json_object();
        json_t *list = json_array();

        for (size_t n = 0; n < found->count; n++) {
            json_array_append_new(list, quarantined_json(&found->entries[n]));
        }
        json_object_set_new(out, "entries", list);
        json_object_set_new(out, "silent_nodes", json_integer(found->silent_nodes));
        json_print(out);
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
