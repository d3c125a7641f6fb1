/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of topic partitions: sorted arrays without doubles. */
#pragma once

#include <stdbool.h>

#include "base/uuid.h"

struct topic_part {
    struct uuid topic;
    int32_t partition;
};

/* Zeroed is empty. */
struct part_set {
    struct topic_part *at;
    uint32_t count;
    uint32_t cap;
};

void part_set_fini(struct part_set *set);
static inline void part_set_clear(struct part_set *set)
{
    set->count = 0;
}
/* At the end; part_set_sort once all are there. */
void part_set_add(struct part_set *set, struct uuid topic, int32_t partition);
/* Also drops doubles. */
void part_set_sort(struct part_set *set);
void part_set_copy(struct part_set *to, const struct part_set *from);
bool part_set_equal(const struct part_set *a, const struct part_set *b);
bool part_set_has(const struct part_set *set, const struct topic_part *part);
/* Is every one of `a` in `b`? */
bool part_set_within(const struct part_set *a, const struct part_set *b);
/* Do they have one in common? */
bool part_set_meets(const struct part_set *a, const struct part_set *b);
/* Adds what is in `a` to `both` or to `only`, by whether it is in `b`. Either may be NULL. */
void part_set_split(const struct part_set *a, const struct part_set *b, struct part_set *both,
                    struct part_set *only);
