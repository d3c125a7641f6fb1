/* SPDX-License-Identifier: Apache-2.0 */
#include "group/part_set.h"

#include <stdlib.h>

#include "base/check.h"

static int compare(const struct topic_part *a, const struct topic_part *b)
{
    int order = memcmp(a->topic.bytes, b->topic.bytes, sizeof a->topic.bytes);

    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare_any(const void *a, const void *b)
{
    return compare(a, b);
}

void part_set_fini(struct part_set *set)
{
    free(set->at);
    *set = (struct part_set){0};
}

void part_set_add(struct part_set *set, struct uuid topic, int32_t partition)
{
    if (set->count == set->cap) {
        set->cap = set->cap > 0 ? set->cap * 2 : 4;
        set->at = mem_grow(set->at, set->cap, sizeof *set->at);
    }
    set->at[set->count++] = (struct topic_part){topic, partition};
}

void part_set_sort(struct part_set *set)
{
    uint32_t kept = 0;

    if (set->count > 1) {
        qsort(set->at, set->count, sizeof *set->at, compare_any);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (kept == 0 || compare(&set->at[kept - 1], &set->at[i]) != 0) {
            set->at[kept++] = set->at[i];
        }
    }
    set->count = kept;
}

void part_set_copy(struct part_set *to, const struct part_set *from)
{
    if (to->cap < from->count) {
        to->at = mem_grow(to->at, from->count, sizeof *to->at);
        to->cap = from->count;
    }
    if (from->count > 0) {
        memmove(to->at, from->at, from->count * sizeof *to->at);
    }
    to->count = from->count;
}

bool part_set_equal(const struct part_set *a, const struct part_set *b)
{
    for (uint32_t i = 0; i < a->count && a->count == b->count; i++) {
        if (compare(&a->at[i], &b->at[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

bool part_set_has(const struct part_set *set, const struct topic_part *part)
{
    return set->count > 0 &&
           bsearch(part, set->at, set->count, sizeof *set->at, compare_any) != NULL;
}

bool part_set_within(const struct part_set *a, const struct part_set *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (!part_set_has(b, &a->at[i])) {
            return false;
        }
    }
    return true;
}

bool part_set_meets(const struct part_set *a, const struct part_set *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (part_set_has(b, &a->at[i])) {
            return true;
        }
    }
    return false;
}

void part_set_split(const struct part_set *a, const struct part_set *b, struct part_set *both,
                    struct part_set *only)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < a->count; i++) {
        while (k < b->count && compare(&b->at[k], &a->at[i]) < 0) {
            k++;
        }
        bool in_both = k < b->count && compare(&b->at[k], &a->at[i]) == 0;
        struct part_set *to = in_both ? both : only;
        if (to != NULL) {
            part_set_add(to, a->at[i].topic, a->at[i].partition);
        }
    }
}
