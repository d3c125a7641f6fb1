/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to JoinGroup and SyncGroup, whenever the group gives them. */
#include "agent/group.h"
#include "base/error.h"

static void answer_joined(struct request *rq, const struct group_effect *effect)
{
    struct kafka_join_group_response response;
    const struct group *group = effect->group;

    kafka_join_group_response_init(&response);
    response.error = error_kafka(effect->error);
    response.member_id = effect->member_id;
    if (effect->error == 0) {
        response.generation_id = group->generation;
        response.protocol_type = buf_slice(&group->protocol_type);
        response.protocol_name = buf_slice(&group->protocol);
        response.leader = effect->leader;
        response.skip_assignment = effect->skip_assignment;
    }
    if (effect->with_members) {
        response.members = kafka_join_group_response_member_new(&rq->arena, group->member_count);
        for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
            struct kafka_join_group_response_member *out =
                &response.members[response.members_count++];
            out->member_id = buf_slice(&m->id);
            if (m->instance_id.len > 0) {
                out->group_instance_id = buf_slice(&m->instance_id);
            }
            out->metadata = group_member_metadata(m);
        }
    }
    request_reply(rq, &response);
}

static void answer_synced(struct request *rq, const struct group_effect *effect)
{
    struct kafka_sync_group_response response;

    kafka_sync_group_response_init(&response);
    response.error = error_kafka(effect->error);
    if (effect->error == 0) {
        response.protocol_type = buf_slice(&effect->group->protocol_type);
        response.protocol_name = buf_slice(&effect->group->protocol);
        response.assignment = buf_slice(&effect->member->assignment);
    }
    request_reply(rq, &response);
}

void group_answer(const struct group_effect *effect)
{
    switch (effect->kind) {
    case GROUP_JOINED:
        answer_joined(effect->waiter, effect);
        break;
    case GROUP_SYNCED:
        answer_synced(effect->waiter, effect);
        break;
    case GROUP_APPEND:
        break;
    }
}
