/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to JoinGroup and SyncGroup, whenever the group gives them. */
#include <string.h>

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
    /* A plan that no record can hold: Kafka tells nothing of its log to members. */
    response.error = effect->error == TERN_ETOOBIG ? KAFKA_ERROR_UNKNOWN_SERVER_ERROR
                                                   : error_kafka(effect->error);
    if (effect->error == 0) {
        response.protocol_type = buf_slice(&effect->group->protocol_type);
        response.protocol_name = buf_slice(&effect->group->protocol);
        response.assignment = buf_slice(&effect->member->assignment);
    }
    request_reply(rq, &response);
}

/* ---- answers that wait ------------------------------------------------------------------------- */

struct stored_reply {
    struct group_wait wait;
    struct request *rq;
    const void *response;
    const void *failure;
    int16_t *error;
};

static void stored(struct group_wait *wait, int status)
{
    struct stored_reply *reply = CONTAINER_OF(wait, struct stored_reply, wait);

    if (status != 0) {
        *reply->error = error_kafka(status == TERN_ETIMEDOUT ? TERN_ENOCOORDINATOR : status);
    }
    request_reply(reply->rq, status == 0 ? reply->response : reply->failure);
}

static void stored_late(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct stored_reply *reply = rq->state;

    link_remove(&reply->wait.link);
    stored(&reply->wait, TERN_ETIMEDOUT);
}

static void stored_canceled(struct request *rq)
{
    struct stored_reply *reply = rq->state;

    if (link_in_list(&reply->wait.link)) {
        link_remove(&reply->wait.link);
    }
}

void group_reply_stored(struct request *rq, struct coordinator *co, const void *response,
                        const void *failure, int16_t *error)
{
    struct stored_reply *reply = arena_take(&rq->arena, sizeof *reply);

    memset(reply, 0, sizeof *reply);
    reply->rq = rq;
    reply->response = response;
    reply->failure = failure;
    reply->error = error;
    reply->wait.done = stored;
    rq->state = reply;
    rq->cancel = stored_canceled;
    coordinator_wait(co, &reply->wait);
    rq->timer.fire = stored_late;
    timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
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
