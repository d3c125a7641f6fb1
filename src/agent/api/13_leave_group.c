/* SPDX-License-Identifier: Apache-2.0 */
/* LeaveGroup: several members at once since version 3. */
#include "agent/group.h"
#include "base/error.h"

static int leave(struct coordinator *co, struct slice group_id, struct slice member_id,
                 struct slice instance_id)
{
    struct group_out out = {0};
    int status = groups_leave(coordinator_groups(co), coordinator_now(co), group_id, member_id,
                              instance_id, &out);

    coordinator_run(co, &out);
    return status;
}

void api_leave_group(struct request *rq)
{
    const struct kafka_leave_group_request *m = rq->message;
    struct kafka_leave_group_response response;
    struct coordinator *co = NULL;

    if (m->members_count > GROUPS_ASKED_MAX) {
        request_end(rq, "more members than a group has");
        return;
    }
    kafka_leave_group_response_init(&response);
    int status =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDGROUP;
    if (status == 0 && rq->version < 3) {
        status = leave(co, m->group_id, m->member_id, (struct slice){0});
    } else if (status == 0) {
        response.members = kafka_leave_group_response_member_new(&rq->arena, m->members_count);
        response.members_count = m->members_count;
        for (uint32_t i = 0; i < m->members_count; i++) {
            response.members[i].member_id = m->members[i].member_id;
            response.members[i].group_instance_id = m->members[i].group_instance_id;
            response.members[i].error = error_kafka(
                leave(co, m->group_id, m->members[i].member_id, m->members[i].group_instance_id));
        }
    }
    response.error = error_kafka(status);
    request_reply(rq, &response);
}
