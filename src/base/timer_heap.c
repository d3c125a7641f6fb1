/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer_heap.h"

#include "base/check.h"

void timer_heap_fini(struct timer_heap *heap)
{
    for (uint32_t i = 1; i <= heap->count; i++) {
        heap->slots[i]->heap_index = 0;
    }
    free(heap->slots);
    *heap = (struct timer_heap){0};
}

static bool before(const struct timer *a, const struct timer *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void place(struct timer_heap *heap, uint32_t index, struct timer *timer)
{
    heap->slots[index] = timer;
    timer->heap_index = index;
}

static void sift_up(struct timer_heap *heap, uint32_t index, struct timer *timer)
{
    while (index > 1 && before(timer, heap->slots[index / 2])) {
        place(heap, index, heap->slots[index / 2]);
        index /= 2;
    }
    place(heap, index, timer);
}

static void sift_down(struct timer_heap *heap, uint32_t index, struct timer *timer)
{
    for (;;) {
        uint32_t child = index * 2;
        if (child > heap->count) {
            break;
        }
        if (child < heap->count && before(heap->slots[child + 1], heap->slots[child])) {
            child++;
        }
        if (!before(heap->slots[child], timer)) {
            break;
        }
        place(heap, index, heap->slots[child]);
        index = child;
    }
    place(heap, index, timer);
}

void timer_heap_set(struct timer_heap *heap, struct timer *timer, uint64_t at_us)
{
    CHECK(timer->fire != NULL);
    timer_heap_stop(heap, timer);
    timer->at_us = at_us;
    timer->seq = heap->next_seq++;
    if (heap->count + 2 > heap->cap) {
        heap->cap = heap->cap > 0 ? heap->cap * 2 : 64;
        heap->slots = mem_grow(heap->slots, heap->cap, sizeof *heap->slots);
    }
    sift_up(heap, ++heap->count, timer);
}

void timer_heap_stop(struct timer_heap *heap, struct timer *timer)
{
    uint32_t index = timer->heap_index;

    if (index == 0) {
        return;
    }
    CHECK(index <= heap->count);
    CHECK(heap->slots[index] == timer);
    timer->heap_index = 0;
    struct timer *last = heap->slots[heap->count--];
    if (last == timer) {
        return;
    }
    if (index > 1 && before(last, heap->slots[index / 2])) {
        sift_up(heap, index, last);
    } else {
        sift_down(heap, index, last);
    }
}

uint64_t timer_heap_next_us(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->slots[1]->at_us : UINT64_MAX;
}

struct timer *timer_heap_due(struct timer_heap *heap, uint64_t now_us)
{
    if (timer_heap_next_us(heap) > now_us) {
        return NULL;
    }
    struct timer *timer = heap->slots[1];
    timer_heap_stop(heap, timer);
    return timer;
}
