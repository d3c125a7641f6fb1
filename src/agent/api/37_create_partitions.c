/* SPDX-License-Identifier: Apache-2.0 */
/* CreatePartitions: one command for each topic; clients find the new ones by their next Metadata. */
#include "agent/api.h"
#include "base/error.h"

#define STRICT_SINCE 3 /* KIP-599 */

static void add_one(struct request *rq, const struct kafka_create_partitions_request_topic *in,
                    struct outcome *out)
{
    const struct kafka_create_partitions_request *m = rq->message;
    struct command_placement placement = placement_begin(rq, in->assignments_count);
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (in->name.len == 0 || !slice_to_text(in->name, name, sizeof name)) {
        outcome_refuse(rq, out, TERN_ENOENT, "there is no such topic");
        return;
    }
    for (uint32_t i = 0; i < in->assignments_count; i++) {
        const struct kafka_create_partitions_request_assignment *a = &in->assignments[i];
        if (!placement_add(&placement, a->broker_ids, a->broker_ids_count)) {
            outcome_refuse(
                rq, out, TERN_EINVALIDASSIGNMENT,
                "an assignment is empty, or names a broker twice or one that is not there");
            return;
        }
    }
    const struct control_topic *topic = topic_by_slice(rq->node, in->name);
    int64_t more = topic != NULL ? (int64_t)in->count - topic->partition_count : 0;
    if (more > 0 && !m->validate_only && !quota_changes(rq, (uint32_t)more, STRICT_SINCE)) {
        outcome_refuse(rq, out, TERN_ETHROTTLED, error_sentence(TERN_ETHROTTLED));
        return;
    }
    command_add_partitions(&command, node_next_key(rq->node), name, in->count, &placement);
    proposals_put(rq, &command, m->timeout_ms, m->validate_only, outcome_applied, out);
}

void api_create_partitions(struct request *rq)
{
    const struct kafka_create_partitions_request *m = rq->message;
    struct kafka_create_partitions_response *response = arena_take(&rq->arena, sizeof *response);
    struct outcome *outcomes = arena_take(&rq->arena, (m->topics_count + 1) * sizeof *outcomes);
    struct naming *names = arena_take(&rq->arena, (m->topics_count + 1) * sizeof *names);

    for (uint32_t i = 0; i < m->topics_count; i++) {
        names[i].name = m->topics[i].name;
    }
    const enum named *named = named_twice(&rq->arena, names, m->topics_count);
    kafka_create_partitions_response_init(response);
    response->results = kafka_create_partitions_response_result_new(&rq->arena, m->topics_count);
    rq->state = response;
    proposals_begin(rq, proposals_reply);
    for (uint32_t i = 0; i < m->topics_count; i++) {
        if (named[i] == NAMED_AGAIN) {
            continue; /* told once */
        }
        struct kafka_create_partitions_response_result *out =
            &response->results[response->results_count++];
        out->name = m->topics[i].name;
        outcomes[i] = (struct outcome){&out->error, &out->error_message};
        if (named[i] == NAMED_FIRST) {
            outcome_refuse(rq, &outcomes[i], TERN_EINVALIDREQUEST, "Duplicate topic name.");
        } else {
            add_one(rq, &m->topics[i], &outcomes[i]);
        }
    }
    response->throttle_ms = quota_changes_wait(rq);
    proposals_end(rq);
}
