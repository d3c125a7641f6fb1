/* SPDX-License-Identifier: Apache-2.0 */
/* CreatePartitions: one command for each topic; clients find the new ones by their next Metadata. */
#include "agent/api.h"
#include "base/error.h"

static void refuse(struct request *rq, struct kafka_create_partitions_response_result *out,
                   int error, const char *why)
{
    out->error = error_kafka(error);
    out->error_message = arena_text(&rq->arena, why);
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    struct kafka_create_partitions_response_result *out = ctx;

    out->error = error_kafka(result->error);
    if (result->error != 0) {
        out->error_message = proposal_why(rq, result);
    }
}

static bool named_twice(const struct kafka_create_partitions_request *m, uint32_t index)
{
    for (uint32_t i = 0; i < m->topics_count; i++) {
        if (i != index && slice_equal(m->topics[i].name, m->topics[index].name)) {
            return true;
        }
    }
    return false;
}

static void add_one(struct request *rq, uint32_t index,
                    struct kafka_create_partitions_response_result *out)
{
    const struct kafka_create_partitions_request *m = rq->message;
    const struct kafka_create_partitions_request_topic *in = &m->topics[index];
    node_set *placed = arena_take(&rq->arena, (in->assignments_count + 1) * sizeof *placed);
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (named_twice(m, index)) {
        refuse(rq, out, TERN_EINVALIDREQUEST, "Duplicate topic name.");
        return;
    }
    if (in->name.len == 0 || !slice_to_text(in->name, name, sizeof name)) {
        refuse(rq, out, TERN_ENOENT, "there is no such topic");
        return;
    }
    for (uint32_t i = 0; i < in->assignments_count; i++) {
        const struct kafka_create_partitions_request_assignment *a = &in->assignments[i];
        if (!nodes_of(a->broker_ids, a->broker_ids_count, &placed[i])) {
            refuse(rq, out, TERN_EINVALIDASSIGNMENT,
                   "an assignment is empty, or names a broker twice or one that is not there");
            return;
        }
    }
    command_add_partitions(&command, node_next_key(rq->node), name, in->count, placed,
                           in->assignments_count);
    if (m->validate_only) {
        proposals_check(rq, &command, applied, out);
    } else {
        proposals_add(rq, &command, m->timeout_ms, applied, out);
    }
}

static void finish(struct request *rq)
{
    request_reply(rq, rq->state);
}

void api_create_partitions(struct request *rq)
{
    const struct kafka_create_partitions_request *m = rq->message;
    struct kafka_create_partitions_response *response = arena_take(&rq->arena, sizeof *response);

    kafka_create_partitions_response_init(response);
    response->results = kafka_create_partitions_response_result_new(&rq->arena, m->topics_count);
    response->results_count = m->topics_count;
    rq->state = response;
    proposals_begin(rq, finish);
    for (uint32_t i = 0; i < m->topics_count; i++) {
        response->results[i].name = m->topics[i].name;
        add_one(rq, i, &response->results[i]);
    }
    proposals_end(rq);
}
