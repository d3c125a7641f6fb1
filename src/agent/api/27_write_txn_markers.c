/* SPDX-License-Identifier: Apache-2.0 */
/* WriteTxnMarkers: how an operator's tool ends a transaction that hangs (kafka-transactions --abort).
 * Nodes tell each other by the mesh, see txn_markers.c. */
#include <string.h>

#include "agent/txn.h"
#include "base/error.h"

#define BY_EPOCH 2 /* the version of transactions whose ends have a newer epoch (KIP-1228) */

struct write;

struct part {
    struct txn_ending ending;
    struct write *write;
    struct kafka_write_txn_markers_response_partition *out;
};

struct write {
    struct request *rq;
    struct kafka_write_txn_markers_response response;
    struct part *parts;
    uint32_t count;
    uint32_t waiting;
    bool taking;
};

static void maybe_finish(struct write *w)
{
    if (!w->taking && w->waiting == 0) {
        request_reply(w->rq, &w->response);
    }
}

static void done(struct txn_ending *ending, int status)
{
    struct part *part = CONTAINER_OF(ending, struct part, ending);

    part->out->error = error_kafka(status);
    part->write->waiting--;
    maybe_finish(part->write);
}

static void canceled(struct request *rq)
{
    struct write *w = rq->state;

    for (uint32_t i = 0; i < w->count; i++) {
        if (w->parts[i].ending.node != NULL) {
            txn_ending_cancel(&w->parts[i].ending);
        }
    }
}

static void begin(struct part *part, const struct kafka_write_txn_markers_request_marker *in,
                  struct slice topic_name)
{
    struct node *node = part->write->rq->node;
    const struct control_topic *topic = topic_by_slice(node, topic_name);
    struct txn_end end = {in->producer_id, in->producer_epoch, in->coordinator_epoch,
                          in->transaction_result, 0};
    struct partition *p = NULL;

    part->ending.done = done;
    int status = leader_partition(node, topic, part->out->partition_index, -1, &p);
    if (status == 0 && (in->producer_id < 0 || in->producer_epoch < 0)) {
        status = TERN_EINVALIDREQUEST;
    }
    if (status == 0 && in->transaction_version >= BY_EPOCH &&
        in->producer_epoch <= producers_epoch_of(p->replica.producers, in->producer_id)) {
        status = TERN_EPRODUCERFENCED;
    }
    if (status == 0) {
        status = txn_end_here(node, p, &end, &part->ending);
    }
    if (status == 0) {
        part->write->waiting++;
    }
    part->out->error = error_kafka(status);
}

static void prepare(struct write *w)
{
    struct request *rq = w->rq;
    const struct kafka_write_txn_markers_request *m = rq->message;
    uint32_t total = 0;

    for (uint32_t k = 0; k < m->markers_count; k++) {
        for (uint32_t t = 0; t < m->markers[k].topics_count; t++) {
            total += m->markers[k].topics[t].partition_indexes_count;
        }
    }
    w->parts = arena_take(&rq->arena, (total + 1) * sizeof *w->parts);
    memset(w->parts, 0, (total + 1) * sizeof *w->parts);
    kafka_write_txn_markers_response_init(&w->response);
    w->response.markers = kafka_write_txn_markers_response_marker_new(&rq->arena, m->markers_count);
    w->response.markers_count = m->markers_count;
}

void api_write_txn_markers(struct request *rq)
{
    const struct kafka_write_txn_markers_request *m = rq->message;
    struct write *w = arena_take(&rq->arena, sizeof *w);

    memset(w, 0, sizeof *w);
    w->rq = rq;
    w->taking = true;
    rq->state = w;
    rq->cancel = canceled;
    prepare(w);
    for (uint32_t k = 0; k < m->markers_count; k++) {
        const struct kafka_write_txn_markers_request_marker *in = &m->markers[k];
        struct kafka_write_txn_markers_response_marker *out = &w->response.markers[k];
        out->producer_id = in->producer_id;
        out->topics = kafka_write_txn_markers_response_topic_new(&rq->arena, in->topics_count);
        out->topics_count = in->topics_count;
        for (uint32_t t = 0; t < in->topics_count; t++) {
            uint32_t count = in->topics[t].partition_indexes_count;
            out->topics[t].name = in->topics[t].name;
            out->topics[t].partitions =
                kafka_write_txn_markers_response_partition_new(&rq->arena, count);
            out->topics[t].partitions_count = count;
            for (uint32_t i = 0; i < count; i++) {
                struct part *part = &w->parts[w->count++];
                part->write = w;
                part->out = &out->topics[t].partitions[i];
                part->out->partition_index = in->topics[t].partition_indexes[i];
                begin(part, in, in->topics[t].name);
            }
        }
    }
    w->taking = false;
    maybe_finish(w);
}
