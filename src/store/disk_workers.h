/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that make the blocking calls of the real disk. A task goes to a thread that waits for one
 * alone, so that handing it over is one wake-up; what is finished comes back to the loop, several at a time
 * if they are. (libuv's pool wakes its threads under the lock that they need next, and goes round all
 * of them.) */
#pragma once

#include "base/queue.h"

struct uv_loop_s;
struct worker;

struct disk_task {
    void (*run)(struct disk_task *task);  /* on a thread of the workers */
    void (*done)(struct disk_task *task); /* on the loop's; may submit and free */
    unsigned lane;
    /* Owned by the workers while under way. */
    struct link link;
    struct disk_task *next;
    struct worker *worker;
};

/* Tasks of one lane wait for each other when `limits[lane]` of them run, those of others do not. Threads
 * are made when they are needed first. */
struct disk_workers;
struct disk_workers *disk_workers_new(struct uv_loop_s *loop, const unsigned *limits, size_t lanes);
/* The loop lives on as long as one is under way. */
void disk_workers_submit(struct disk_workers *workers, struct disk_task *task);
unsigned disk_workers_under_way(const struct disk_workers *workers);
/* Nothing may be under way. The memory is given back by the loop, a turn later. */
void disk_workers_close(struct disk_workers *workers);
