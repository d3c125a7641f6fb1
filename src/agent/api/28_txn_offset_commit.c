/* SPDX-License-Identifier: Apache-2.0 */
/* TxnOffsetCommit: offsets that come into force with their transaction. Appended as a batch of the
 * producer, once the transaction's coordinator has said that it is open and this group is part of it,
 * or (version 5, transaction.version 2) has made it so; answered when that batch is committed. */
#include <string.h>

#include "agent/group.h"
#include "agent/txn.h"
#include "base/error.h"
#include "group/pending.h"

struct commit {
    struct group_wait wait;
    struct txn_verify verify;
    struct request *rq;
    struct kafka_txn_offset_commit_response response;
    int64_t marker_at;
    uint32_t known; /* partitions that are there */
};

/* Of the partitions that have none of their own. */
static void set_errors(struct commit *c, int error)
{
    for (uint32_t t = 0; t < c->response.topics_count; t++) {
        struct kafka_txn_offset_commit_response_topic *topic = &c->response.topics[t];
        for (uint32_t i = 0; i < topic->partitions_count; i++) {
            if (topic->partitions[i].error == 0) {
                topic->partitions[i].error = error_kafka(error);
            }
        }
    }
}

static void finish(struct commit *c, int error)
{
    set_errors(c, error);
    request_reply(c->rq, &c->response);
}

static void committed(struct group_wait *wait, int status)
{
    finish(CONTAINER_OF(wait, struct commit, wait), status);
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct commit *c = rq->state;

    if (link_in_list(&c->verify.link)) {
        link_remove(&c->verify.link);
    }
    if (link_in_list(&c->wait.link)) {
        link_remove(&c->wait.link);
    }
    finish(c, TERN_ENOCOORDINATOR);
}

static void canceled(struct request *rq)
{
    struct commit *c = rq->state;

    if (link_in_list(&c->verify.link)) {
        link_remove(&c->verify.link);
    }
    if (link_in_list(&c->wait.link)) {
        link_remove(&c->wait.link);
    }
}

/* What only asks for patience: its clients look for the group's coordinator on others. */
static int told_of(const struct request *rq, int status)
{
    switch (status) {
    case TERN_ECONCURRENTTXN:
    case TERN_ENOTCOORDINATOR:
    case TERN_ENOCOORDINATOR:
        return TERN_ELOADING;
    case TERN_ETXNFENCED:
        return TERN_EPRODUCERFENCED;
    case TERN_ETXNSTATE:
        return rq->version >= 4 ? TERN_ETXNABORTABLE : status;
    default:
        return status;
    }
}

static void append_all(struct commit *c, struct coordinator *co)
{
    const struct kafka_txn_offset_commit_request *m = c->rq->message;
    const struct coordinator_producer producer = {m->producer_id, m->producer_epoch};
    uint32_t count = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct control_topic *topic = topic_by_slice(c->rq->node, m->topics[t].name);
        for (uint32_t i = 0; i < m->topics[t].partitions_count; i++) {
            if (c->response.topics[t].partitions[i].error != 0) {
                continue;
            }
            const struct kafka_txn_offset_commit_request_partition *in =
                &m->topics[t].partitions[i];
            struct group_offset_value value = {
                .offset = in->offset,
                .leader_epoch = in->leader_epoch,
                .metadata = in->metadata,
                .commit_ms = coordinator_now(co).wall_ms,
                .expire_ms = -1,
            };
            int status = topic != NULL ? coordinator_commit(co, producer, m->group_id, topic,
                                                            in->partition, &value)
                                       : TERN_ENOENT;
            c->response.topics[t].partitions[i].error = error_kafka(status);
            count += status == 0;
        }
    }
    if (count == 0) {
        request_reply(c->rq, &c->response);
        return;
    }
    coordinator_wait(co, &c->wait);
}

static void go_on(struct commit *c, int status, int32_t coordinator_epoch)
{
    const struct kafka_txn_offset_commit_request *m = c->rq->message;
    struct coordinator *co = NULL;
    struct group_out none = {0};

    int here = coordinator_of(c->rq->node, m->group_id, &co);
    if (here != 0) {
        finish(c, here);
        return;
    }
    status = txn_verified(coordinator_place(co), m->producer_id, c->marker_at, status,
                          coordinator_epoch);
    if (status != 0) {
        finish(c, told_of(c->rq, status));
        return;
    }
    status = groups_may_commit_txn(coordinator_groups(co), coordinator_now(co), m->group_id,
                                   m->generation_id, m->member_id, m->group_instance_id);
    coordinator_run(co, &none);
    if (status != 0) {
        finish(c, status);
        return;
    }
    append_all(c, co);
}

static void verified(struct txn_verify *verify, int status, int32_t coordinator_epoch)
{
    go_on(CONTAINER_OF(verify, struct commit, verify), status, coordinator_epoch);
}

/* As Kafka, names are looked at before the group is. */
static void prepare(struct commit *c)
{
    struct request *rq = c->rq;
    const struct kafka_txn_offset_commit_request *m = rq->message;

    kafka_txn_offset_commit_response_init(&c->response);
    c->response.topics = kafka_txn_offset_commit_response_topic_new(&rq->arena, m->topics_count);
    c->response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_txn_offset_commit_request_topic *in = &m->topics[t];
        struct kafka_txn_offset_commit_response_topic *out = &c->response.topics[t];
        out->name = in->name;
        out->partitions_count = in->partitions_count;
        out->partitions =
            kafka_txn_offset_commit_response_partition_new(&rq->arena, in->partitions_count);
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            int32_t index = in->partitions[i].partition;
            bool known = topic != NULL && index >= 0 && (uint32_t)index < topic->partition_count;
            out->partitions[i].partition = index;
            out->partitions[i].error = known ? 0 : error_kafka(TERN_ENOENT);
            c->known += known;
        }
    }
}

void api_txn_offset_commit(struct request *rq)
{
    const struct kafka_txn_offset_commit_request *m = rq->message;
    struct commit *c = arena_take(&rq->arena, sizeof *c);
    struct coordinator *co = NULL;
    int32_t coordinator_epoch = -1;
    int status = 0;

    memset(c, 0, sizeof *c);
    c->rq = rq;
    c->wait.done = committed;
    c->verify.done = verified;
    rq->state = c;
    rq->cancel = canceled;
    prepare(c);
    status = c->known == 0 ? TERN_ENOENT
             : m->producer_id < 0 || m->producer_epoch < 0
                 ? TERN_EPRODUCERMAPPING
                 : coordinator_of(rq->node, m->group_id, &co);
    if (status != 0) {
        finish(c, status);
        return;
    }
    struct txn_who who = {m->transactional_id, m->producer_id, m->producer_epoch};
    struct txn_place place = {slice_text(CONTROL_GROUPS_TOPIC),
                              coordinator_partition(rq->node, m->group_id)};
    c->marker_at = txn_marker_at(coordinator_place(co), m->producer_id);
    rq->timer.fire = timed_out;
    timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
    bool add = rq->version >= 5 && txn_version_2(rq->node);
    if (txn_verify_begin(rq->node, &c->verify, &who, &place, add, &status, &coordinator_epoch)) {
        go_on(c, status, coordinator_epoch);
    }
}
