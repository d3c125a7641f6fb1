/* SPDX-License-Identifier: Apache-2.0 */
/* ListOffsets: earliest, latest, by time and the batch with the newest time; leader only. There is no
 * tiered storage: all of the log is local, and what asks for the rest finds nothing (-1). */
#include "agent/api.h"
#include "base/error.h"

#define LATEST        (-1)
#define EARLIEST      (-2)
#define MAX_TIMESTAMP (-3)

/* Other places, and the first version that may ask for each. */
#define EARLIEST_LOCAL          (-4)
#define LATEST_TIERED           (-5)
#define EARLIEST_PENDING_UPLOAD (-6)

static bool may_ask(int16_t version, int64_t timestamp)
{
    static const int16_t since[] = {
        [1] = 1, [2] = 1, [3] = 7, [4] = 8, [5] = 9, [6] = 11,
    };

    return timestamp >= 0 || (timestamp >= EARLIEST_PENDING_UPLOAD && version >= since[-timestamp]);
}

static bool reads_committed(const struct request *rq)
{
    const struct kafka_list_offsets_request *m = rq->message;

    return m->isolation_level == 1;
}

/* The end that this client may see. */
static int64_t visible_end(const struct request *rq, const struct partition *p)
{
    int64_t stable = replica_stable(&p->replica);

    return reads_committed(rq) && stable < p->replica.leader_hw ? stable : p->replica.leader_hw;
}

static int by_time(const struct request *rq, struct partition *p, int64_t timestamp,
                   struct kafka_list_offsets_response_partition *out)
{
    int64_t offset;
    int64_t found_ms;
    int status = store_find_time(p->log, timestamp, &offset, &found_ms);

    if (status != 0) {
        return status;
    }
    if (offset >= 0 && offset < visible_end(rq, p)) {
        out->offset = offset;
        out->timestamp = found_ms;
        out->leader_epoch = history_epoch_before(&p->replica.history, offset + 1);
    }
    return 0;
}

static int newest(const struct request *rq, struct partition *p,
                  struct kafka_list_offsets_response_partition *out)
{
    int64_t offset;
    int64_t newest_ms;
    int status = store_find_newest(p->log, &offset, &newest_ms);

    if (status != 0 || offset < 0) {
        return status;
    }
    return by_time(rq, p, newest_ms, out);
}

static int answer(struct request *rq, const struct control_topic *topic,
                  const struct kafka_list_offsets_request_partition *in,
                  struct kafka_list_offsets_response_partition *out)
{
    struct partition *p;
    int status = leader_partition(rq->node, topic, in->partition, in->current_leader_epoch, &p);

    if (status != 0) {
        return status;
    }
    if (!may_ask(rq->version, in->timestamp)) {
        return TERN_EUNSUPPORTED;
    }
    if (in->timestamp == EARLIEST || in->timestamp == EARLIEST_LOCAL) {
        out->offset = p->replica.log_start;
        out->leader_epoch = history_epoch_before(&p->replica.history, out->offset + 1);
        if (out->leader_epoch == 0) {
            out->leader_epoch = p->replica.spec.epoch;
        }
        return 0;
    }
    bool stable_known = p->replica.producers_at == p->replica.leo;
    if (!replica_hw_known(&p->replica) || (reads_committed(rq) && !stable_known)) {
        return rq->version >= 5 ? TERN_ENOTAVAILABLE : TERN_ELEADERUNKNOWN;
    }
    if (in->timestamp == LATEST) {
        out->offset = visible_end(rq, p);
        out->leader_epoch = p->replica.spec.epoch;
        return 0;
    }
    if (in->timestamp == LATEST_TIERED || in->timestamp == EARLIEST_PENDING_UPLOAD) {
        return 0;
    }
    return in->timestamp == MAX_TIMESTAMP ? newest(rq, p, out) : by_time(rq, p, in->timestamp, out);
}

/* Of all partitions of the request, in its order. */
static enum named *twice(struct request *rq)
{
    const struct kafka_list_offsets_request *m = rq->message;
    uint32_t count = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        count += m->topics[t].partitions_count;
    }
    struct naming *names = arena_take(&rq->arena, (count + 1) * sizeof *names);
    uint32_t n = 0;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        for (uint32_t i = 0; i < m->topics[t].partitions_count; i++, n++) {
            names[n].name = m->topics[t].name;
            names[n].number = m->topics[t].partitions[i].partition;
        }
    }
    return named_twice(&rq->arena, names, count);
}

void api_list_offsets(struct request *rq)
{
    const struct kafka_list_offsets_request *m = rq->message;
    struct kafka_list_offsets_response response;
    const enum named *named = twice(rq);

    kafka_list_offsets_response_init(&response);
    response.topics = kafka_list_offsets_response_topic_new(&rq->arena, m->topics_count);
    response.topics_count = m->topics_count;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_list_offsets_request_topic *in = &m->topics[t];
        struct kafka_list_offsets_response_topic *out = &response.topics[t];
        const struct control_topic *topic = topic_by_slice(rq->node, in->name);
        out->name = in->name;
        out->partitions =
            kafka_list_offsets_response_partition_new(&rq->arena, in->partitions_count);
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            enum named how = *named++;
            if (how == NAMED_AGAIN) {
                continue; /* told once */
            }
            struct kafka_list_offsets_response_partition *p =
                &out->partitions[out->partitions_count++];
            p->partition = in->partitions[i].partition;
            p->error = error_kafka(how == NAMED_ONCE ? answer(rq, topic, &in->partitions[i], p)
                                                     : TERN_EINVALIDREQUEST);
        }
    }
    request_reply(rq, &response);
}
