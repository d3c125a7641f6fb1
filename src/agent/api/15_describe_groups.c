/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeGroups: from the coordinator's memory. */
#include "agent/group.h"
#include "base/error.h"

static void fill_members(struct request *rq, const struct group *group,
                         struct kafka_describe_groups_response_group *out)
{
    bool stable = group->state == GROUP_STABLE;

    out->members = kafka_describe_groups_response_member_new(&rq->arena, group->member_count);
    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        struct kafka_describe_groups_response_member *to = &out->members[out->members_count++];
        to->member_id = buf_slice(&m->id);
        if (m->instance_id.len > 0) {
            to->group_instance_id = buf_slice(&m->instance_id);
        }
        to->client_id = buf_slice(&m->client_id);
        to->client_host = buf_slice(&m->client_host);
        if (stable) {
            to->metadata = group_member_metadata(m);
            to->assignment = buf_slice(&m->assignment);
        }
    }
}

static void describe(struct request *rq, struct kafka_describe_groups_response_group *out)
{
    struct coordinator *co = NULL;
    int status = coordinator_of(rq->node, out->group_id, &co);

    if (co == NULL) {
        out->error = error_kafka(status);
        return;
    }
    const struct group *group = groups_find(coordinator_groups(co), out->group_id);
    if (group == NULL) {
        out->state = slice_text("Dead");
        if (rq->version >= 6) {
            out->error = error_kafka(TERN_EGROUPNOTFOUND);
            out->error_message = slice_text(error_sentence(TERN_EGROUPNOTFOUND));
        }
        return;
    }
    out->state = slice_text(group_state_name(group->state));
    out->protocol_type = buf_slice(&group->protocol_type);
    if (group->state == GROUP_STABLE) {
        out->protocol = buf_slice(&group->protocol);
    }
    fill_members(rq, group, out);
}

void api_describe_groups(struct request *rq)
{
    const struct kafka_describe_groups_request *m = rq->message;
    struct kafka_describe_groups_response response;

    kafka_describe_groups_response_init(&response);
    response.groups = kafka_describe_groups_response_group_new(&rq->arena, m->groups_count);
    response.groups_count = m->groups_count;
    for (uint32_t i = 0; i < m->groups_count; i++) {
        response.groups[i].group_id = m->groups[i];
        describe(rq, &response.groups[i]);
    }
    request_reply(rq, &response);
}
