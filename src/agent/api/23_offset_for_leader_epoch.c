/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetForLeaderEpoch (KIP-320): where an epoch ended in the leader's log. */
#include "agent/api.h"
#include "base/error.h"

static int answer(struct request *rq, const struct control_topic *topic,
                  const struct kafka_offset_for_leader_epoch_request_partition *in,
                  struct kafka_offset_for_leader_epoch_response_partition *out)
{
    struct partition *p;
    int status = leader_partition(rq->node, topic, in->partition, in->current_leader_epoch, &p);

    /* Of an epoch to come nothing is known: -1. */
    if (status == 0 && in->leader_epoch >= 0 && in->leader_epoch <= p->replica.spec.epoch) {
        const struct history *history = &p->replica.history;
        history_end_of(history, p->replica.leo, in->leader_epoch, &out->leader_epoch,
                       &out->end_offset);
        if (out->leader_epoch < 0) {
            /* Older than all that is known here, by retention or a loss: it ended where the first
             * begins, or where the running one will. */
            out->leader_epoch = in->leader_epoch;
            out->end_offset =
                history->count > 0 ? history->entries[0].start_offset : p->replica.leo;
        }
        if (in->leader_epoch == p->replica.spec.epoch) {
            out->leader_epoch = in->leader_epoch; /* the running epoch may have no record yet */
            out->end_offset = p->replica.leo;
        }
    }
    return status;
}

void api_offset_for_leader_epoch(struct request *rq)
{
    const struct kafka_offset_for_leader_epoch_request *m = rq->message;
    struct kafka_offset_for_leader_epoch_response response;

    kafka_offset_for_leader_epoch_response_init(&response);
    response.topics = kafka_offset_for_leader_epoch_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_offset_for_leader_epoch_request_topic *in = &m->topics[t];
        struct kafka_offset_for_leader_epoch_response_topic *out = &response.topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->topic);
        out->topic = in->topic;
        out->partitions =
            kafka_offset_for_leader_epoch_response_partition_new(&rq->arena, in->partitions_count);
        out->partitions_count = in->partitions_count;
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            out->partitions[i].partition = in->partitions[i].partition;
            out->partitions[i].error =
                error_kafka(answer(rq, topic, &in->partitions[i], &out->partitions[i]));
        }
    }
    request_reply(rq, &response);
}
