/* SPDX-License-Identifier: Apache-2.0 */
/* How fast replicas that were away are brought up to date: as fast as it goes while producers do not
 * feel it, and never so slowly that it would not end.
 *
 * What producers feel is how long their batches wait for their fsyncs, here and in other regions; it
 * is compared with what it was while nobody caught up. Only waits of sync topics
 * count: those of async topics wait because somebody is behind, and catching up is what helps them.
 *
 * Pure: who calls brings the time (clock_now_us). One per node. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PACE_WINDOW_MS 250
#define PACE_FIRST     ((uint64_t)64 << 20) /* bytes a second, to begin with */
#define PACE_LEAST     ((uint64_t)16 << 20)
#define PACE_MOST      ((uint64_t)1 << 30)
/* Of what leaders here take meanwhile, for each replica that catches up: what came in a minute is there
 * after another two and a half. */
#define PACE_OVER_TAKEN(bytes) ((bytes) / 10 * 14)

struct pace {
    /* The present window. */
    uint64_t window_us; /* when it began */
    uint64_t taken;     /* bytes that leaders here took */
    uint64_t waits;
    uint64_t waited_us; /* by all of them together */
    uint64_t catching;  /* bits of nodes for which something was read */
    /* What earlier ones told. */
    unsigned quiet;    /* windows since the last in which somebody caught up */
    uint64_t usual_us; /* mean wait while nobody catches up; 0: not known */
    uint64_t taken_per_s;
    uint64_t per_s; /* so much may be read for those who catch up */
    int64_t tokens; /* bytes; below 0: more was read than was due */
    uint64_t tokens_us;
};

void pace_init(struct pace *pace, uint64_t now_us);
/* A leader here took so many bytes, for whatever topic: whoever catches up needs those of all. */
void pace_taken(struct pace *pace, size_t bytes);
/* A batch of a sync topic was committed so long after it was taken. */
void pace_waited(struct pace *pace, uint64_t us);
/* Call it at least every PACE_WINDOW_MS. */
void pace_tick(struct pace *pace, uint64_t now_us);
/* 0: something may be read for a replica that catches up. Else ask again so much later. */
uint64_t pace_wait_us(struct pace *pace, uint64_t now_us);
/* So many bytes were read for that node. */
void pace_used(struct pace *pace, uint32_t node, size_t bytes);
