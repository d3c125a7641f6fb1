/* SPDX-License-Identifier: Apache-2.0 */
#include "group/assignor.h"

#include <stdlib.h>

#include "base/check.h"

#define NOBODY     UINT32_MAX
#define PASSES_MAX 32 /* of evening out: what is left uneven then stays so */

static const char *const names[] = {[ASSIGNOR_UNIFORM] = "uniform", [ASSIGNOR_RANGE] = "range"};

const char *assignor_name(enum assignor assignor)
{
    CHECK((size_t)assignor < ARRAY_COUNT(names));
    return names[assignor];
}

bool assignor_find(struct slice name, enum assignor *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_equal(name, slice_text(names[i]))) {
            *out = (enum assignor)i;
            return true;
        }
    }
    return false;
}

/* ---- what both need -------------------------------------------------------------------------- */

/* All partitions of the topics in one row. */
struct work {
    const struct assignor_task *task;
    uint32_t *first;       /* of each topic in that row, and the end */
    uint32_t *owner;       /* member, or NOBODY */
    uint32_t *load;        /* of each member */
    uint32_t *subscribers; /* members by topic: from subscribers_at[t] on */
    uint32_t *subscribers_at;
};

static int topic_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid)); /* the id is a topic's first member */
}

/* NOBODY: it is not of the task. */
static uint32_t topic_index(const struct assignor_task *task, const struct uuid *id)
{
    const struct assignor_topic *found =
        task->topic_count == 0
            ? NULL
            : bsearch(id, task->topics, task->topic_count, sizeof *task->topics, topic_compare);

    return found != NULL ? (uint32_t)(found - task->topics) : NOBODY;
}

static bool subscribes(const struct assignor_member *m, const struct uuid *id)
{
    return m->topic_count > 0 &&
           bsearch(id, m->topics, m->topic_count, sizeof *m->topics, topic_compare) != NULL;
}

static void list_subscribers(struct work *w)
{
    const struct assignor_task *task = w->task;
    uint32_t *next = mem_new((task->topic_count + 1) * sizeof *next);

    for (uint32_t m = 0; m < task->member_count; m++) {
        for (uint32_t i = 0; i < task->members[m].topic_count; i++) {
            uint32_t t = topic_index(task, &task->members[m].topics[i]);
            if (t != NOBODY) {
                w->subscribers_at[t + 1]++;
            }
        }
    }
    for (uint32_t t = 0; t < task->topic_count; t++) {
        w->subscribers_at[t + 1] += w->subscribers_at[t];
        next[t] = w->subscribers_at[t];
    }
    w->subscribers = mem_new((w->subscribers_at[task->topic_count] + 1) * sizeof *w->subscribers);
    for (uint32_t m = 0; m < task->member_count; m++) {
        for (uint32_t i = 0; i < task->members[m].topic_count; i++) {
            uint32_t t = topic_index(task, &task->members[m].topics[i]);
            if (t != NOBODY) {
                w->subscribers[next[t]++] = m;
            }
        }
    }
    free(next);
}

static void work_init(struct work *w, const struct assignor_task *task)
{
    uint32_t total = 0;

    w->task = task;
    w->first = mem_new((task->topic_count + 1) * sizeof *w->first);
    for (uint32_t t = 0; t < task->topic_count; t++) {
        w->first[t] = total;
        total += task->topics[t].partitions;
    }
    w->first[task->topic_count] = total;
    w->owner = mem_new((total + 1) * sizeof *w->owner);
    for (uint32_t p = 0; p < total; p++) {
        w->owner[p] = NOBODY;
    }
    w->load = mem_new((task->member_count + 1) * sizeof *w->load);
    w->subscribers_at = mem_new((task->topic_count + 1) * sizeof *w->subscribers_at);
    list_subscribers(w);
}

static void work_fini(struct work *w)
{
    free(w->first);
    free(w->owner);
    free(w->load);
    free(w->subscribers);
    free(w->subscribers_at);
}

static void give(struct work *w, uint32_t p, uint32_t member)
{
    w->owner[p] = member;
    w->load[member]++;
}

static void tell(const struct work *w)
{
    for (uint32_t t = 0; t < w->task->topic_count; t++) {
        for (uint32_t p = w->first[t]; p < w->first[t + 1]; p++) {
            if (w->owner[p] != NOBODY) {
                part_set_add(&w->task->members[w->owner[p]].target, w->task->topics[t].id,
                             (int32_t)(p - w->first[t]));
            }
        }
    }
}

/* ---- uniform --------------------------------------------------------------------------------- */

/* Everybody subscribes to all of it. */
static bool all_alike(const struct assignor_task *task)
{
    const struct assignor_member *first = &task->members[0];

    if (first->topic_count != task->topic_count) {
        return false;
    }

    for (uint32_t m = 1; m < task->member_count; m++) {
        const struct assignor_member *other = &task->members[m];
        if (other->topic_count != first->topic_count ||
            (first->topic_count > 0 && memcmp(other->topics, first->topics,
                                              first->topic_count * sizeof *first->topics) != 0)) {
            return false;
        }
    }
    return true;
}

/* The place in the row of something that a member held; NOBODY: gone, or not its own any more. */
static uint32_t held_place(const struct work *w, uint32_t member, const struct topic_part *part)
{
    uint32_t t = topic_index(w->task, &part->topic);

    if (t == NOBODY || part->partition < 0 ||
        (uint32_t)part->partition >= w->task->topics[t].partitions ||
        !subscribes(&w->task->members[member], &part->topic)) {
        return NOBODY;
    }
    uint32_t p = w->first[t] + (uint32_t)part->partition;
    return w->owner[p] == NOBODY ? p : NOBODY;
}

static void keep(struct work *w, uint32_t member, uint32_t most)
{
    const struct part_set *held = w->task->members[member].held;

    for (uint32_t i = 0; i < held->count && w->load[member] < most; i++) {
        uint32_t p = held_place(w, member, &held->at[i]);
        if (p != NOBODY) {
            give(w, p, member);
        }
    }
}

static uint32_t next_free(const struct work *w, uint32_t from)
{
    while (from < w->first[w->task->topic_count] && w->owner[from] != NOBODY) {
        from++;
    }
    return from;
}

/* Everybody subscribes to the same: everybody gets its share, some of them one more. */
static void share(struct work *w)
{
    uint32_t members = w->task->member_count;
    uint32_t total = w->task->members[0].topic_count > 0 ? w->first[w->task->topic_count] : 0;
    uint32_t least = total / members;
    uint32_t extra = total % members;
    uint32_t p = 0;

    for (uint32_t m = 0; m < members; m++) {
        keep(w, m, extra > 0 ? least + 1 : least);
        extra -= w->load[m] > least;
    }
    for (uint32_t m = 0; m < members; m++) {
        while (w->load[m] < least) {
            p = next_free(w, p);
            give(w, p, m);
        }
    }
    for (uint32_t m = 0; m < members && extra > 0; m++) {
        if (w->load[m] == least) {
            p = next_free(w, p);
            give(w, p, m);
            extra--;
        }
    }
}

static uint32_t least_loaded(const struct work *w, uint32_t topic)
{
    uint32_t best = NOBODY;

    for (uint32_t i = w->subscribers_at[topic]; i < w->subscribers_at[topic + 1]; i++) {
        uint32_t m = w->subscribers[i];
        best = best == NOBODY || w->load[m] < w->load[best] ? m : best;
    }
    return best;
}

/* True: something moved. Each move makes the loads more even, so there is an end. */
static bool even_out(struct work *w)
{
    bool moved = false;

    for (uint32_t t = 0; t < w->task->topic_count; t++) {
        uint32_t best = least_loaded(w, t);
        for (uint32_t p = w->first[t]; p < w->first[t + 1] && best != NOBODY; p++) {
            uint32_t owner = w->owner[p];
            if (w->load[owner] > w->load[best] + 1) {
                w->load[owner]--;
                give(w, p, best);
                best = least_loaded(w, t);
                moved = true;
            }
        }
    }
    return moved;
}

static void balance(struct work *w)
{
    for (uint32_t m = 0; m < w->task->member_count; m++) {
        keep(w, m, UINT32_MAX);
    }
    for (uint32_t t = 0; t < w->task->topic_count; t++) {
        for (uint32_t p = w->first[t]; p < w->first[t + 1]; p++) {
            uint32_t m = w->owner[p] == NOBODY ? least_loaded(w, t) : NOBODY;
            if (m != NOBODY) {
                give(w, p, m);
            }
        }
    }
    for (int pass = 0; pass < PASSES_MAX && even_out(w); pass++) {
    }
}

/* ---- range ----------------------------------------------------------------------------------- */

static void ranges(struct work *w)
{
    for (uint32_t t = 0; t < w->task->topic_count; t++) {
        const uint32_t *who = &w->subscribers[w->subscribers_at[t]];
        uint32_t count = w->subscribers_at[t + 1] - w->subscribers_at[t];
        uint32_t p = w->first[t];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t size =
                w->task->topics[t].partitions / count + (i < w->task->topics[t].partitions % count);
            for (; size > 0; size--) {
                give(w, p++, who[i]);
            }
        }
    }
}

void assignor_run(enum assignor assignor, const struct assignor_task *task)
{
    struct work w = {0};

    if (task->member_count == 0) {
        return;
    }
    work_init(&w, task);
    if (assignor == ASSIGNOR_RANGE) {
        ranges(&w);
    } else if (all_alike(task)) {
        share(&w);
    } else {
        balance(&w);
    }
    tell(&w);
    work_fini(&w);
}
