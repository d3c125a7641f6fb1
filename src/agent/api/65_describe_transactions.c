/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeTransactions: what the coordinator of each id knows of it. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

#define ASKED_MAX 10000

/* The topic's row; the partitions of a topic need not stand together. */
static struct kafka_describe_transactions_response_topic *
topic_row(struct request *rq, struct kafka_describe_transactions_response_transaction *out,
          struct slice name, uint32_t room)
{
    for (uint32_t i = out->topics_count; i-- > 0;) {
        if (slice_equal(out->topics[i].topic, name)) {
            return &out->topics[i];
        }
    }
    struct kafka_describe_transactions_response_topic *row = &out->topics[out->topics_count++];
    uint8_t *copy = arena_take(&rq->arena, name.len + 1);
    memcpy(copy, name.base, name.len);
    row->topic = slice_of(copy, name.len);
    row->partitions = arena_take(&rq->arena, (room + 1) * sizeof *row->partitions);
    return row;
}

static uint32_t count_topic(const struct txn *txn, struct slice name)
{
    uint32_t count = 0;

    for (const struct txn_partition *p = txn->partitions; p != NULL; p = p->hh.next) {
        count += slice_equal(txn_partition_topic(p), name);
    }
    return count;
}

static bool has_row(const struct kafka_describe_transactions_response_transaction *out,
                    struct slice name)
{
    for (uint32_t i = 0; i < out->topics_count; i++) {
        if (slice_equal(out->topics[i].topic, name)) {
            return true;
        }
    }
    return false;
}

static void describe(struct request *rq, struct slice id,
                     struct kafka_describe_transactions_response_transaction *out)
{
    struct coordinator *co = NULL;
    int status = id.len == 0 ? TERN_EINVALIDREQUEST : txn_coordinator_of(rq->node, id, &co);
    const struct txn *txn = status == 0 ? txns_find(coordinator_txns(co), id) : NULL;

    out->transactional_id = id;
    out->transaction_start_time_ms = -1;
    if (status == 0 && (txn == NULL || txn->number < 0)) {
        status = TERN_ETXNIDNOTFOUND;
    }
    out->error = error_kafka(status);
    if (status != 0) {
        return;
    }
    out->transaction_state = slice_text(txn_state_name(txn->now.state));
    out->transaction_timeout_ms = txn->now.timeout_ms;
    out->transaction_start_time_ms = txn->now.start_ms;
    out->producer_id = txn->now.producer_id;
    out->producer_epoch = txn->now.epoch;
    out->topics =
        kafka_describe_transactions_response_topic_new(&rq->arena, HASH_CNT(hh, txn->partitions));
    for (const struct txn_partition *p = txn->partitions; p != NULL; p = p->hh.next) {
        struct slice name = txn_partition_topic(p);
        uint32_t room = has_row(out, name) ? 0 : count_topic(txn, name);
        struct kafka_describe_transactions_response_topic *row = topic_row(rq, out, name, room);
        row->partitions[row->partitions_count++] = txn_partition_index(p);
    }
}

void api_describe_transactions(struct request *rq)
{
    const struct kafka_describe_transactions_request *m = rq->message;
    struct kafka_describe_transactions_response response;

    if (m->transactional_ids_count > ASKED_MAX) {
        request_end(rq, "more transactional ids than anybody has");
        return;
    }
    kafka_describe_transactions_response_init(&response);
    response.transaction_states = kafka_describe_transactions_response_transaction_new(
        &rq->arena, m->transactional_ids_count);
    response.transaction_states_count = m->transactional_ids_count;
    for (uint32_t i = 0; i < m->transactional_ids_count; i++) {
        describe(rq, m->transactional_ids[i], &response.transaction_states[i]);
    }
    request_reply(rq, &response);
}
