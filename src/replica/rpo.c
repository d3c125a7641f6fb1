/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/rpo.h"

#include <string.h>

#include "base/check.h"

void rpo_init(struct rpo *rpo)
{
    *rpo = (struct rpo){.shipped = -1};
}

void rpo_fini(struct rpo *rpo)
{
    free(rpo->marks);
    *rpo = (struct rpo){.shipped = -1};
}

static struct rpo_mark *mark_at(const struct rpo *rpo, size_t i)
{
    return &rpo->marks[rpo->first + i];
}

static void merge_into(struct rpo_mark *to, const struct rpo_mark *next)
{
    to->end = next->end;
    to->bytes += next->bytes;
    to->last_ms = next->last_ms;
}

static void make_room(struct rpo *rpo)
{
    if (rpo->first > 0) {
        memmove(rpo->marks, mark_at(rpo, 0), rpo->count * sizeof *rpo->marks);
        rpo->first = 0;
    }
    if (rpo->count == RPO_MARKS_MAX) {
        for (size_t i = 0; i < rpo->count / 2; i++) {
            struct rpo_mark merged = rpo->marks[2 * i];
            merge_into(&merged, &rpo->marks[2 * i + 1]);
            rpo->marks[i] = merged;
        }
        rpo->count /= 2;
    }
    if (rpo->count == rpo->cap) {
        rpo->cap = rpo->cap > 0 ? rpo->cap * 2 : 16;
        rpo->marks = mem_grow(rpo->marks, rpo->cap, sizeof *rpo->marks);
    }
}

void rpo_note(struct rpo *rpo, int64_t end, uint64_t bytes, uint64_t now_ms)
{
    struct rpo_mark mark = {end, bytes, now_ms, now_ms};

    if (rpo->first + rpo->count == rpo->cap || rpo->count == RPO_MARKS_MAX) {
        make_room(rpo);
    }
    CHECK(rpo->count == 0 || mark_at(rpo, rpo->count - 1)->end < end);
    *mark_at(rpo, rpo->count++) = mark;
}

void rpo_shipped(struct rpo *rpo, int64_t offset)
{
    if (offset <= rpo->shipped) {
        return;
    }
    rpo->shipped = offset;
    while (rpo->count > 0 && mark_at(rpo, 0)->end <= offset) {
        rpo->first++;
        rpo->count--;
    }
    if (rpo->count == 0) {
        rpo->first = 0;
    }
}

int64_t rpo_limit(const struct rpo *rpo, struct rpo_bound bound)
{
    uint64_t bytes = 0;

    if (bound.time_ms == 0 && bound.bytes == 0) {
        return INT64_MAX;
    }
    if (rpo->shipped < 0) {
        return -1;
    }
    int64_t limit = rpo->shipped;
    for (size_t i = 0; i < rpo->count; i++) {
        const struct rpo_mark *mark = mark_at(rpo, i);
        bytes += mark->bytes;
        if (bound.bytes > 0 && bytes > bound.bytes) {
            return limit;
        }
        if (bound.time_ms > 0 && mark->last_ms - mark_at(rpo, 0)->first_ms > bound.time_ms) {
            return limit;
        }
        limit = mark->end;
    }
    return INT64_MAX;
}

struct rpo_tail rpo_tail(const struct rpo *rpo, uint64_t now_ms)
{
    struct rpo_tail tail = {0};

    for (size_t i = 0; i < rpo->count; i++) {
        tail.bytes += mark_at(rpo, i)->bytes;
    }
    if (rpo->count > 0) {
        tail.span_ms = mark_at(rpo, rpo->count - 1)->last_ms - mark_at(rpo, 0)->first_ms;
        tail.age_ms = now_ms - mark_at(rpo, 0)->first_ms;
    }
    return tail;
}
