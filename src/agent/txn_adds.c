/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions that become part of a transaction by being written to (transaction.version 2): what
 * their leaders ask the coordinator for.
 *
 * A record of an id takes a round trip to another region, and one at a time is on its way. So what
 * is asked for in one turn of the loop is one record, and what comes meanwhile waits for the next,
 * for a while: between two transactions also for the end of the last one. */
#include "agent/txn.h"
#include "base/error.h"

#define ADDS_MAX        20000 /* that wait here; then ENOCOORDINATOR */
#define ADD_PATIENCE_MS 2000

struct txn_add {
    struct link link; /* in node_txns.adds, adds_later or added, or add_batch.adds */
    uint32_t from;    /* node that asks */
    uint64_t seq;
    uint64_t until_ms;
    struct buf id;
    int64_t producer_id;
    int16_t epoch;
    struct buf topic;
    int32_t partition;
    int status;
    int32_t coordinator_epoch;
};

/* Those that are asked for together. */
struct add_batch {
    struct link link; /* in node_txns.add_batches */
    struct txn_waiter waiter;
    struct node *node;
    int32_t coordinator_epoch;
    struct link adds;
};

static struct txn_who who_of(const struct txn_add *add)
{
    return (struct txn_who){buf_slice(&add->id), add->producer_id, add->epoch};
}

static void add_free(struct txn_add *add)
{
    buf_fini(&add->id);
    buf_fini(&add->topic);
    free(add);
}

/* Told from the timer, never from inside whatever has come to this end. */
static void settle(struct node *node, struct txn_add *add, int status, int32_t coordinator_epoch)
{
    add->status = status;
    add->coordinator_epoch = coordinator_epoch;
    queue_push(&node->txns->added, &add->link);
    node_txns_wake(node, 0);
}

static void batch_done(struct txn_waiter *waiter, int status, int64_t producer_id, int16_t epoch)
{
    struct add_batch *batch = CONTAINER_OF(waiter, struct add_batch, waiter);
    struct node *node = batch->node;
    struct link *link;

    (void)producer_id;
    (void)epoch;
    while ((link = queue_pop(&batch->adds)) != NULL) {
        struct txn_add *add = CONTAINER_OF(link, struct txn_add, link);
        if (status == TERN_ECONCURRENTTXN && node_now_ms(node) < add->until_ms) {
            queue_push(&node->txns->adds_later, &add->link);
            node_txns_wake(node, TXN_ADD_RETRY_MS);
        } else {
            settle(node, add, status, batch->coordinator_epoch);
        }
    }
    link_remove(&batch->link);
    free(batch);
}

static bool is_same(const struct txn_add *a, const struct txn_add *b)
{
    return a->producer_id == b->producer_id && a->epoch == b->epoch &&
           slice_equal(buf_slice(&a->id), buf_slice(&b->id));
}

/* The first that waits, and all of the same transaction. */
static struct add_batch *gather(struct node_txns *t, uint32_t *out_count)
{
    struct add_batch *batch = mem_new(sizeof *batch);
    struct txn_add *first = CONTAINER_OF(t->adds.next, struct txn_add, link);

    batch->node = t->node;
    batch->waiter.done = batch_done;
    batch->coordinator_epoch = -1;
    queue_init(&batch->adds);
    queue_push(&t->add_batches, &batch->link);
    *out_count = 0;
    QUEUE_EACH (each, &t->adds) {
        struct txn_add *add = CONTAINER_OF(each, struct txn_add, link);
        if (is_same(first, add)) {
            link_remove(&add->link);
            queue_push(&batch->adds, &add->link);
            ++*out_count;
        }
    }
    return batch;
}

static void ask_for(struct add_batch *batch, uint32_t count)
{
    struct node *node = batch->node;
    struct txn_place *places = mem_grow(NULL, count, sizeof *places);
    struct txn_who who = who_of(CONTAINER_OF(batch->adds.next, struct txn_add, link));
    struct coordinator *co = NULL;
    struct txn_out out = {0};
    uint32_t at = 0;

    QUEUE_EACH (each, &batch->adds) {
        const struct txn_add *add = CONTAINER_OF(each, struct txn_add, link);
        places[at++] = (struct txn_place){buf_slice(&add->topic), add->partition};
    }
    int status = txn_coordinator_of(node, who.id, &co);
    if (status != 0) {
        batch_done(&batch->waiter, status, -1, -1);
    } else {
        batch->coordinator_epoch = coordinator_epoch(co);
        txns_add(coordinator_txns(co), txn_coordinator_now(co), &batch->waiter, &who, places, count,
                 &out);
        txn_coordinator_run(co, &out);
    }
    free(places);
}

int txn_add_here(struct node *node, uint32_t from, uint64_t seq, const struct txn_who *who,
                 const struct txn_place *place)
{
    struct node_txns *t = node->txns;

    if (who->id.len == 0 || who->id.len > TXN_ID_MAX || place->topic.len == 0 ||
        place->topic.len >= CONTROL_TOPIC_NAME_MAX) {
        return TERN_EINVALIDREQUEST;
    }
    if (t->add_count >= ADDS_MAX) {
        return TERN_ENOCOORDINATOR;
    }
    struct txn_add *add = mem_new(sizeof *add);
    add->from = from;
    add->seq = seq;
    add->until_ms = node_now_ms(node) + ADD_PATIENCE_MS;
    buf_put(&add->id, who->id);
    add->producer_id = who->producer_id;
    add->epoch = who->epoch;
    buf_put(&add->topic, place->topic);
    add->partition = place->partition;
    queue_push(&t->adds, &add->link);
    t->add_count++;
    node_txns_wake(node, 0); /* with whatever else comes in this turn */
    return 0;
}

void txn_adds_tick(struct node_txns *t)
{
    struct link *link;

    while ((link = queue_pop(&t->adds_later)) != NULL) {
        queue_push(&t->adds, link);
    }
    while (!queue_empty(&t->adds)) {
        uint32_t count = 0;
        struct add_batch *batch = gather(t, &count);
        ask_for(batch, count);
    }
    while ((link = queue_pop(&t->added)) != NULL) {
        struct txn_add *add = CONTAINER_OF(link, struct txn_add, link);
        t->add_count--;
        txn_verify_answer(t->node, add->from, add->seq, add->status, add->coordinator_epoch);
        add_free(add);
    }
}

static void drop(struct link *adds)
{
    struct link *link;

    while ((link = queue_pop(adds)) != NULL) {
        add_free(CONTAINER_OF(link, struct txn_add, link));
    }
}

void txn_adds_close(struct node_txns *t)
{
    drop(&t->adds);
    drop(&t->adds_later);
    drop(&t->added);
    QUEUE_EACH (each, &t->add_batches) {
        struct add_batch *batch = CONTAINER_OF(each, struct add_batch, link);
        drop(&batch->adds);
        link_remove(&batch->link);
        free(batch);
    }
}
