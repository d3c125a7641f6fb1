/* SPDX-License-Identifier: Apache-2.0 */
/* Every interval in which a promise was weaker than its policy says. */
#include <stdio.h>

#include "control/internal.h"

#define MERGE_MS 1000

static bool same_subject(const struct control_ledger_entry *a, const struct control_ledger_entry *b)
{
    return a->kind == b->kind && a->partition == b->partition && strcmp(a->topic, b->topic) == 0;
}

static struct control_ledger_entry *find_open(struct control *control,
                                              const struct control_ledger_entry *entry)
{
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        struct control_ledger_entry *e = &control->ledger[i];
        if (e->until_wall_ms == 0 && same_subject(e, entry)) {
            return e;
        }
    }
    return NULL;
}

/* "From there on", with an end that nobody knows yet: a span with an end can't take that up. */
static bool open_ended(const struct control_ledger_entry *e)
{
    return e->first_offset >= 0 && e->end_offset < 0;
}

static bool may_merge(const struct control_ledger_entry *into,
                      const struct control_ledger_entry *from)
{
    if (open_ended(from)) {
        return open_ended(into);
    }
    return !open_ended(into) || from->first_offset < 0 || from->end_offset > into->first_offset;
}

static struct control_ledger_entry *find_recent(struct control *control,
                                                const struct control_ledger_entry *entry)
{
    for (uint32_t i = control->ledger_count; i > 0; i--) {
        struct control_ledger_entry *e = &control->ledger[i - 1];
        if (e->until_wall_ms != 0 && same_subject(e, entry) && may_merge(e, entry) &&
            entry->since_wall_ms >= e->since_wall_ms &&
            entry->since_wall_ms - e->until_wall_ms < MERGE_MS) {
            return e;
        }
    }
    return NULL;
}

/* `into` grows to cover `from` as well. Offsets that do not meet are covered by their span. */
static void merge(struct control_ledger_entry *into, const struct control_ledger_entry *from)
{
    if (from->first_offset >= 0) {
        into->first_offset = into->first_offset < 0 || from->first_offset < into->first_offset
                                 ? from->first_offset
                                 : into->first_offset;
        into->end_offset =
            from->end_offset > into->end_offset ? from->end_offset : into->end_offset;
    }
    into->bytes += from->bytes;
    into->millis += from->millis;
    if (from->until_wall_ms == 0) {
        into->until_wall_ms = 0;
    } else if (from->until_wall_ms > into->until_wall_ms) {
        into->until_wall_ms = from->until_wall_ms;
    }
}

static void remove_at(struct control *control, uint32_t at)
{
    control->ledger_count--;
    memmove(&control->ledger[at], &control->ledger[at + 1],
            (control->ledger_count - at) * sizeof control->ledger[0]);
}

/* Sums up the two oldest closed entries of one kind of the topic; false: there are none. */
static bool sum_up_oldest(struct control *control, const char *topic)
{
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        struct control_ledger_entry *first = &control->ledger[i];
        if (first->until_wall_ms == 0 || strcmp(first->topic, topic) != 0) {
            continue;
        }
        for (uint32_t k = i + 1; k < control->ledger_count; k++) {
            struct control_ledger_entry *second = &control->ledger[k];
            if (second->until_wall_ms != 0 && second->kind == first->kind &&
                strcmp(second->topic, topic) == 0) {
                merge(first, second);
                if (first->partition != second->partition) {
                    first->partition = -1;
                }
                first->first_offset = -1; /* a span over many intervals would mislead */
                first->end_offset = -1;
                (void)snprintf(first->note, sizeof first->note, "several intervals, summed up");
                remove_at(control, k);
                return true;
            }
        }
    }
    return false;
}

static uint32_t count_of(const struct control *control, const char *topic)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < control->ledger_count; i++) {
        count += strcmp(control->ledger[i].topic, topic) == 0;
    }
    return count;
}

/* All entries of the topic are open: one open entry stands for the newest partitions together. */
static bool fold_into_open(struct control *control, const struct control_ledger_entry *entry)
{
    for (uint32_t i = control->ledger_count; i > 0; i--) {
        struct control_ledger_entry *e = &control->ledger[i - 1];
        if (e->until_wall_ms == 0 && e->kind == entry->kind &&
            strcmp(e->topic, entry->topic) == 0) {
            merge(e, entry);
            e->until_wall_ms = 0;
            e->partition = -1;
            e->first_offset = -1;
            e->end_offset = -1;
            (void)snprintf(e->note, sizeof e->note, "several partitions, summed up");
            return true;
        }
    }
    return false;
}

static void close_open(struct control_ledger_entry *open, const struct control_ledger_entry *entry)
{
    int64_t since = open->since_wall_ms;

    merge(open, entry);
    /* Clocks of two controllers may differ; an interval never ends before it began. */
    open->until_wall_ms = entry->until_wall_ms > since ? entry->until_wall_ms : since;
    if (entry->note[0] != '\0') {
        memcpy(open->note, entry->note, sizeof open->note);
    }
}

/* One place less in the whole ledger: the oldest entries give way. False: all are open. */
static bool make_room(struct control *control)
{
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        if (control->ledger[i].until_wall_ms != 0) {
            if (!sum_up_oldest(control, control->ledger[i].topic)) {
                remove_at(control, i);
            }
            return true;
        }
    }
    return false;
}

static void add(struct apply *a, const struct control_ledger_entry *entry)
{
    struct control *control = a->control;

    while (count_of(control, entry->topic) >= CONTROL_LEDGER_PER_TOPIC) {
        if (!sum_up_oldest(control, entry->topic)) {
            if (fold_into_open(control, entry)) {
                return;
            }
            break; /* one too many of a kind that has no entry yet: at most one per kind */
        }
    }
    if (control->ledger_count >= CONTROL_LEDGER_MAX && !make_room(control)) {
        return;
    }
    control->ledger = mem_grow(control->ledger, control->ledger_count + 1, sizeof *control->ledger);
    control->ledger[control->ledger_count] = *entry;
    control->ledger[control->ledger_count].index = a->index;
    control->ledger_count++;
}

void apply_ledger(struct apply *a, const struct control_ledger_entry *entry)
{
    struct control_ledger_entry *open = find_open(a->control, entry);

    if (open != NULL && entry->until_wall_ms != 0) {
        close_open(open, entry);
    } else if (open != NULL) {
        merge(open, entry); /* still the same interval */
    } else {
        struct control_ledger_entry *recent = find_recent(a->control, entry);
        if (recent != NULL) {
            merge(recent, entry);
        } else {
            add(a, entry);
        }
    }
    apply_change(a, (struct control_change){.kind = CONTROL_LEDGER});
}
