/* SPDX-License-Identifier: Apache-2.0 */
/* Binary heap of timers, used by both clocks. Equal times fire in the order in which they were set.
 */
#pragma once

#include "base/clock.h"

struct timer_heap {
    struct timer **slots; /* 1-based */
    uint32_t count;
    uint32_t cap;
    uint64_t next_seq;
};

void timer_heap_fini(struct timer_heap *heap);
void timer_heap_set(struct timer_heap *heap, struct timer *timer, uint64_t at_us);
void timer_heap_stop(struct timer_heap *heap, struct timer *timer);
/* When the earliest timer is due; UINT64_MAX if there is none. */
uint64_t timer_heap_next_us(const struct timer_heap *heap);
/* Takes the earliest timer out if it is due; NULL otherwise. The caller fires it. */
struct timer *timer_heap_due(struct timer_heap *heap, uint64_t now_us);
