/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_workers.h"

#include <stdatomic.h>
#include <uv.h>

#define STACK_BYTES (256u << 10)
#define LANES_MAX   4

struct worker {
    struct disk_workers *workers;
    uv_thread_t thread;
    uv_sem_t wake;
    struct disk_task *task; /* handed over by `wake`; NULL then: the end */
    struct link idle;       /* in its lane's list while it waits; loop only */
};

struct lane {
    struct link waiting; /* struct disk_task */
    struct link idle;    /* struct worker; the one that worked last is first: it is still warm */
    struct worker *workers;
    unsigned made;
    unsigned limit;
};

struct disk_workers {
    uv_async_t async;
    struct lane lanes[LANES_MAX];
    size_t lane_count;
    unsigned under_way;
    /* Newest first, by `next`. Whoever makes it non-empty wakes the loop. */
    struct disk_task *_Atomic finished;
};

/* ---- on the threads -------------------------------------------------------------------------- */

static void finish(struct disk_workers *workers, struct disk_task *task)
{
    struct disk_task *before = atomic_load(&workers->finished);

    do {
        task->next = before;
    } while (!atomic_compare_exchange_weak(&workers->finished, &before, task));
    if (before == NULL) {
        CHECK(uv_async_send(&workers->async) == 0);
    }
}

static void work(void *arg)
{
    struct worker *worker = arg;
    struct disk_task *task = NULL;

    for (;;) {
        uv_sem_wait(&worker->wake);
        task = worker->task;
        if (task == NULL) {
            return;
        }
        task->run(task);
        finish(worker->workers, task);
    }
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static struct worker *worker_make(struct disk_workers *workers, struct lane *lane)
{
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
                                         .stack_size = STACK_BYTES};
    struct worker *worker = &lane->workers[lane->made++];

    worker->workers = workers;
    CHECK(uv_sem_init(&worker->wake, 0) == 0);
    CHECK(uv_thread_create_ex(&worker->thread, &options, work, worker) == 0);
    return worker;
}

static void lane_run(struct disk_workers *workers, struct lane *lane)
{
    while (!queue_empty(&lane->waiting)) {
        struct link *idle = queue_pop(&lane->idle);
        struct worker *worker = idle != NULL ? CONTAINER_OF(idle, struct worker, idle) : NULL;
        if (worker == NULL && lane->made == lane->limit) {
            return;
        }
        if (worker == NULL) {
            worker = worker_make(workers, lane);
        }
        struct disk_task *task = CONTAINER_OF(queue_pop(&lane->waiting), struct disk_task, link);
        task->worker = worker;
        worker->task = task;
        uv_sem_post(&worker->wake);
    }
}

static void collect(uv_async_t *async)
{
    struct disk_workers *workers = CONTAINER_OF(async, struct disk_workers, async);
    struct disk_task *newest = atomic_exchange(&workers->finished, NULL);
    struct disk_task *oldest = NULL;

    while (newest != NULL) {
        struct disk_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct disk_task *task = oldest;
        struct lane *lane = &workers->lanes[task->lane];
        oldest = task->next;
        queue_push(lane->idle.next, &task->worker->idle);
        lane_run(workers, lane);
        if (--workers->under_way == 0) {
            uv_unref((uv_handle_t *)&workers->async);
        }
        task->done(task);
    }
}

void disk_workers_submit(struct disk_workers *workers, struct disk_task *task)
{
    struct lane *lane = &workers->lanes[task->lane];

    CHECK(task->lane < workers->lane_count);
    if (workers->under_way++ == 0) {
        uv_ref((uv_handle_t *)&workers->async);
    }
    queue_push(&lane->waiting, &task->link);
    lane_run(workers, lane);
}

unsigned disk_workers_under_way(const struct disk_workers *workers)
{
    return workers->under_way;
}

struct disk_workers *disk_workers_new(uv_loop_t *loop, const unsigned *limits, size_t lanes)
{
    struct disk_workers *workers = mem_new(sizeof *workers);

    CHECK(lanes <= LANES_MAX);
    CHECK(uv_async_init(loop, &workers->async, collect) == 0);
    uv_unref((uv_handle_t *)&workers->async);
    workers->lane_count = lanes;
    for (size_t i = 0; i < lanes; i++) {
        struct lane *lane = &workers->lanes[i];
        queue_init(&lane->waiting);
        queue_init(&lane->idle);
        lane->limit = limits[i];
        lane->workers = mem_new(limits[i] * sizeof *lane->workers);
    }
    return workers;
}

static void closed(uv_handle_t *handle)
{
    free(CONTAINER_OF((uv_async_t *)handle, struct disk_workers, async));
}

void disk_workers_close(struct disk_workers *workers)
{
    CHECK(workers->under_way == 0);
    for (size_t i = 0; i < workers->lane_count; i++) {
        struct lane *lane = &workers->lanes[i];
        for (unsigned n = 0; n < lane->made; n++) {
            struct worker *worker = &lane->workers[n];
            worker->task = NULL;
            uv_sem_post(&worker->wake);
            CHECK(uv_thread_join(&worker->thread) == 0);
            uv_sem_destroy(&worker->wake);
        }
        free(lane->workers);
    }
    uv_close((uv_handle_t *)&workers->async, closed);
}
