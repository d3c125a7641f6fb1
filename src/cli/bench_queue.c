/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_queue.h"

#define HEAD_ATTEMPTS                                                                              \
    5 /* at the front of the queue "out of order" means that acked records lack                    \
       */

enum {
    UNKNOWN_TOPIC_OR_PARTITION = 3,
    LEADER_NOT_AVAILABLE = 5,
    NOT_LEADER_OR_FOLLOWER = 6,
    REQUEST_TIMED_OUT = 7,
    BROKER_NOT_AVAILABLE = 8,
    REPLICA_NOT_AVAILABLE = 9,
    NETWORK_EXCEPTION = 13,
    NOT_ENOUGH_REPLICAS = 19,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20,
    OUT_OF_ORDER_SEQUENCE = 45,
    DUPLICATE_SEQUENCE = 46,
    STORAGE_ERROR = 56,
    FENCED_LEADER_EPOCH = 74,
    UNKNOWN_LEADER_EPOCH = 75,
    UNKNOWN_TOPIC_ID = 100
};

static struct bench_batch *batch_of(struct link *link)
{
    return CONTAINER_OF(link, struct bench_batch, link);
}

/* The leader may be elsewhere. */
static bool misses_leader(int16_t error)
{
    switch (error) {
    case UNKNOWN_TOPIC_OR_PARTITION:
    case LEADER_NOT_AVAILABLE:
    case NOT_LEADER_OR_FOLLOWER:
    case BROKER_NOT_AVAILABLE:
    case REPLICA_NOT_AVAILABLE:
    case NETWORK_EXCEPTION:
    case STORAGE_ERROR:
    case FENCED_LEADER_EPOCH:
    case UNKNOWN_LEADER_EPOCH:
    case UNKNOWN_TOPIC_ID:
        return true;
    default:
        return false;
    }
}

static bool retries_help(int16_t error)
{
    return misses_leader(error) || error == REQUEST_TIMED_OUT || error == NOT_ENOUGH_REPLICAS ||
           error == NOT_ENOUGH_REPLICAS_AFTER_APPEND || error == OUT_OF_ORDER_SEQUENCE;
}

void bench_queue_init(struct bench_queue *queue, int32_t index)
{
    *queue = (struct bench_queue){.index = index, .leader = -1, .epoch = -1};
    queue_init(&queue->batches);
}

void bench_batch_free(struct bench_batch *batch)
{
    chunk_drop(&batch->bytes);
    free(batch);
}

void bench_queue_fini(struct bench_queue *queue)
{
    struct link *link;

    while ((link = queue_pop(&queue->batches)) != NULL) {
        bench_batch_free(batch_of(link));
    }
}

void bench_queue_due(struct bench_queue *queue, uint32_t count, uint32_t records_max,
                     uint64_t now_us)
{
    CHECK(records_max > 0);
    while (count > 0) {
        struct bench_batch *last =
            queue_empty(&queue->batches) ? NULL : batch_of(queue->batches.prev);
        if (last == NULL || last->attempts > 0 || last->count == records_max) {
            last = mem_new(sizeof *last);
            last->first = queue->due;
            last->opened_us = now_us;
            queue_push(&queue->batches, &last->link);
        }
        uint32_t room = records_max - last->count;
        uint32_t taken = count < room ? count : room;
        last->count += taken;
        queue->due += taken;
        count -= taken;
    }
}

struct bench_batch *bench_queue_next(const struct bench_queue *queue, uint32_t records_max,
                                     uint32_t linger_us, uint64_t now_us, uint64_t *out_wake_us)
{
    *out_wake_us = UINT64_MAX;
    if (queue->draining || queue->leader < 0 || (queue->in_flight > 0 && !queue->proven)) {
        return NULL;
    }
    QUEUE_EACH (each, &queue->batches) {
        struct bench_batch *batch = batch_of(each);
        if (batch->send_id != 0) {
            continue;
        }
        uint64_t at_us = queue->not_before_us;
        bool open = batch->attempts == 0 && batch->count < records_max;
        if (open && batch->opened_us + linger_us > at_us) {
            at_us = batch->opened_us + linger_us;
        }
        if (at_us <= now_us) {
            return batch;
        }
        *out_wake_us = at_us;
        return NULL;
    }
    return NULL;
}

void bench_queue_sent(struct bench_queue *queue, struct bench_batch *batch, uint64_t send_id)
{
    CHECK(batch->send_id == 0);
    CHECK(send_id != 0);
    batch->send_id = send_id;
    batch->attempts++;
    queue->in_flight++;
}

static struct bench_batch *find(struct bench_queue *queue, uint64_t send_id)
{
    QUEUE_EACH (each, &queue->batches) {
        if (batch_of(each)->send_id == send_id) {
            return batch_of(each);
        }
    }
    return NULL;
}

static void landed(struct bench_queue *queue, struct bench_batch *batch)
{
    CHECK(queue->in_flight > 0);
    batch->send_id = 0;
    queue->in_flight--;
}

enum bench_fate bench_queue_answer(struct bench_queue *queue, uint64_t send_id, int16_t error,
                                   uint64_t now_us, uint64_t backoff_us,
                                   struct bench_batch **out_batch)
{
    struct bench_batch *batch = find(queue, send_id);

    if (batch == NULL) {
        return BENCH_LATE;
    }
    bool front = queue->batches.next == &batch->link;
    landed(queue, batch);
    enum bench_fate fate = BENCH_AGAIN;
    if (error == 0 || error == DUPLICATE_SEQUENCE) {
        link_remove(&batch->link);
        *out_batch = batch;
        queue->proven = true;
        fate = BENCH_ACKED;
    } else if (!retries_help(error) ||
               (error == OUT_OF_ORDER_SEQUENCE && front && batch->attempts >= HEAD_ATTEMPTS)) {
        fate = BENCH_BROKEN;
    } else {
        queue->draining = true;
        /* One back-off for all that fail together. */
        if (queue->not_before_us <= now_us) {
            queue->not_before_us = now_us + backoff_us;
        }
    }
    if (queue->in_flight == 0) {
        queue->draining = false;
    }
    return fate;
}

void bench_queue_move(struct bench_queue *queue, int32_t leader, int32_t epoch)
{
    queue->leader = leader;
    queue->epoch = epoch;
    QUEUE_EACH (each, &queue->batches) {
        if (batch_of(each)->send_id != 0) {
            landed(queue, batch_of(each));
        }
    }
    CHECK(queue->in_flight == 0);
    queue->draining = false;
    queue->not_before_us = 0;
}
