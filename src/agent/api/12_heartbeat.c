/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat: answered from memory, never by way of another region. */
#include "agent/group.h"
#include "base/error.h"

void api_heartbeat(struct request *rq)
{
    const struct kafka_heartbeat_request *m = rq->message;
    struct kafka_heartbeat_response response;
    struct coordinator *co = NULL;
    struct group_out none = {0};

    kafka_heartbeat_response_init(&response);
    int status =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDGROUP;
    if (co != NULL) {
        status = groups_heartbeat(coordinator_groups(co), coordinator_now(co), m->group_id,
                                  m->generation_id, m->member_id, m->group_instance_id);
        coordinator_run(co, &none);
    }
    /* Java's clients throw at "loading" here. Sessions begin when the log has been read. */
    response.error = status == TERN_ELOADING ? 0 : error_kafka(status);
    request_reply(rq, &response);
}
