/* SPDX-License-Identifier: Apache-2.0 */
/* SyncGroup: answered when the leader's plan is committed (src/group). */
#include "agent/group.h"
#include "base/error.h"
#include "group/mixed.h"

/* In a group of the new protocol. */
static void sync_mixed(struct request *rq, struct coordinator *co, const struct group_sync *sync)
{
    struct kafka_sync_group_response *response = arena_take(&rq->arena, sizeof *response);
    struct kafka_sync_group_response *failure = arena_take(&rq->arena, sizeof *failure);
    struct mixed_answer answer;
    struct group_out none = {0};

    groups_mixed_sync(coordinator_groups(co), coordinator_now(co), sync, &answer);
    kafka_sync_group_response_init(response);
    kafka_sync_group_response_init(failure);
    response->error = error_kafka(answer.error);
    if (answer.error == 0) {
        response->protocol_type = slice_text("consumer");
        response->protocol_name = arena_copy(&rq->arena, answer.protocol);
        response->assignment = arena_copy(&rq->arena, buf_slice(&answer.assignment));
    }
    buf_fini(&answer.assignment);
    coordinator_run(co, &none);
    if (answer.wait) {
        group_reply_stored(rq, co, response, failure, &failure->error);
    } else {
        request_reply(rq, response);
    }
}

void api_sync_group(struct request *rq)
{
    const struct kafka_sync_group_request *m = rq->message;
    struct coordinator *co = NULL;
    struct group_out out = {0};

    bool protocol_told = m->protocol_type.base != NULL && m->protocol_name.base != NULL;
    int status = rq->version >= 5 && !protocol_told ? TERN_EINCONSISTENTPROTOCOL
                 : m->group_id.len == 0             ? TERN_EINVALIDGROUP
                                                    : coordinator_of(rq->node, m->group_id, &co);
    if (status != 0) {
        struct kafka_sync_group_response response;
        kafka_sync_group_response_init(&response);
        /* Clients do not expect "loading" here. */
        response.error = error_kafka(status == TERN_ELOADING ? TERN_EREBALANCE : status);
        request_reply(rq, &response);
        return;
    }
    struct group_assignment *assignments =
        arena_take(&rq->arena, (m->assignments_count + 1) * sizeof *assignments);
    for (uint32_t i = 0; i < m->assignments_count; i++) {
        assignments[i] =
            (struct group_assignment){m->assignments[i].member_id, m->assignments[i].assignment};
    }
    struct group_sync sync = {
        .waiter = rq,
        .group_id = m->group_id,
        .generation = m->generation_id,
        .member_id = m->member_id,
        .instance_id = m->group_instance_id,
        .protocol_type = m->protocol_type,
        .protocol = m->protocol_name,
        .assignments = assignments,
        .assignment_count = m->assignments_count,
    };
    if (groups_mixed(coordinator_groups(co), m->group_id)) {
        sync_mixed(rq, co, &sync);
        return;
    }
    groups_sync(coordinator_groups(co), coordinator_now(co), &sync, &out);
    coordinator_run(co, &out);
}
