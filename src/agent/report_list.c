/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report_list.h"

#include <string.h>

#define PLACES (2 * REPORTS_MAX) /* a power of two; never full, so a search ends */

static bool same_subject(const struct decide_report *a, const struct decide_report *b)
{
    return a->kind == b->kind && a->partition == b->partition && a->from == b->from &&
           a->nodes == b->nodes && uuid_equal(a->topic_id, b->topic_id);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static size_t hash_of(const struct decide_report *r)
{
    uint64_t hash = mix(get_le64(r->topic_id.bytes), get_le64(r->topic_id.bytes + 8));

    hash = mix(hash, (uint32_t)r->partition);
    hash = mix(hash, r->nodes);
    return (size_t)mix(hash, (uint64_t)r->kind << 32 | r->from) % PLACES;
}

void report_list_put(struct report_list *list, const struct decide_report *report)
{
    size_t at = hash_of(report);

    if (list->places == NULL) {
        list->places = mem_new(PLACES * sizeof *list->places);
    }
    for (; list->places[at] != 0; at = (at + 1) % PLACES) {
        struct decide_report *known = &list->items[list->places[at] - 1];
        if (same_subject(known, report)) {
            *known = *report;
            return;
        }
    }
    if (list->count == REPORTS_MAX) {
        return;
    }
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 16;
        list->items = mem_grow(list->items, list->cap, sizeof *list->items);
    }
    list->items[list->count++] = *report;
    list->places[at] = (uint16_t)list->count;
}

void report_list_clear(struct report_list *list)
{
    if (list->count > 0) {
        memset(list->places, 0, PLACES * sizeof *list->places);
        list->count = 0;
    }
}

void report_list_fini(struct report_list *list)
{
    free(list->items);
    free(list->places);
    *list = (struct report_list){0};
}
