/* SPDX-License-Identifier: Apache-2.0 */
/* SyncGroup: answered when the leader's plan is committed (src/group). */
#include "agent/group.h"
#include "base/error.h"

void api_sync_group(struct request *rq)
{
    const struct kafka_sync_group_request *m = rq->message;
    struct coordinator *co = NULL;
    struct group_out out = {0};

    int status =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDGROUP;
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
    groups_sync(coordinator_groups(co), coordinator_now(co), &sync, &out);
    coordinator_run(co, &out);
}
