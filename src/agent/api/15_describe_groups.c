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

static size_t size_of(const struct group *group)
{
    size_t size = 0;

    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        size += sizeof(struct kafka_describe_groups_response_member) + m->id.len +
                m->client_id.len + m->protocol_bytes.len + m->assignment.len;
    }
    return size;
}

/* `bytes` is what was told of other groups, which may all be the same large one. */
static void describe(struct request *rq, size_t *bytes,
                     struct kafka_describe_groups_response_group *out)
{
    struct coordinator *co = NULL;
    int status = coordinator_of(rq->node, out->group_id, &co);

    if (co == NULL) {
        out->error = error_kafka(status);
        return;
    }
    const struct group *group = groups_find(coordinator_groups(co), out->group_id);
    if (group == NULL || group->consumer != NULL) { /* those of the new protocol: see api 69 */
        out->state = slice_text("Dead");
        if (rq->version >= 6) {
            out->error = error_kafka(TERN_EGROUPNOTFOUND);
            out->error_message = slice_text(error_sentence(TERN_EGROUPNOTFOUND));
        }
        return;
    }
    *bytes += size_of(group);
    if (*bytes > GROUPS_ANSWER_BYTES) {
        out->error = error_kafka(TERN_ELOADING);
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
    size_t bytes = 0;

    if (m->groups_count > GROUPS_ASKED_MAX) {
        request_end(rq, "more groups than anybody has");
        return;
    }
    kafka_describe_groups_response_init(&response);
    response.groups = kafka_describe_groups_response_group_new(&rq->arena, m->groups_count);
    response.groups_count = m->groups_count;
    for (uint32_t i = 0; i < m->groups_count; i++) {
        response.groups[i].group_id = m->groups[i];
        describe(rq, &bytes, &response.groups[i]);
    }
    request_reply(rq, &response);
}
