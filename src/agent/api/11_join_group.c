/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup: answered when all members have joined (src/group). */
#include "agent/group.h"
#include "base/error.h"
#include "group/mixed.h"

/* Into a group of the new protocol. */
static void join_mixed(struct request *rq, struct coordinator *co, const struct group_join *join)
{
    struct kafka_join_group_response *response = arena_take(&rq->arena, sizeof *response);
    struct kafka_join_group_response *failure = arena_take(&rq->arena, sizeof *failure);
    struct mixed_answer answer;
    struct group_out out = {0};

    groups_mixed_join(coordinator_groups(co), coordinator_now(co), join, &answer, &out);
    kafka_join_group_response_init(response);
    kafka_join_group_response_init(failure);
    response->error = error_kafka(answer.error);
    response->member_id = arena_copy(&rq->arena, answer.member_id);
    failure->member_id = join->member_id;
    if (answer.error == 0) {
        response->generation_id = answer.generation;
        response->protocol_type = slice_text("consumer");
        response->protocol_name = arena_copy(&rq->arena, answer.protocol);
    }
    buf_fini(&answer.assignment);
    coordinator_run(co, &out);
    if (answer.wait) {
        group_reply_stored(rq, co, response, failure, &failure->error);
    } else {
        request_reply(rq, response);
    }
}

void api_join_group(struct request *rq)
{
    const struct kafka_join_group_request *m = rq->message;
    struct coordinator *co = NULL;
    struct group_out out = {0};
    struct clock *clock = rq->node->o.clock;

    int status =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDGROUP;
    if (status != 0) {
        struct kafka_join_group_response response;
        kafka_join_group_response_init(&response);
        response.error = error_kafka(status);
        response.member_id = m->member_id;
        request_reply(rq, &response);
        return;
    }
    /* One more than the room takes is enough for it to say no. */
    uint32_t count =
        m->protocols_count <= GROUP_PROTOCOLS_MAX ? m->protocols_count : GROUP_PROTOCOLS_MAX + 1;
    struct group_protocol *protocols = arena_take(&rq->arena, (count + 1) * sizeof *protocols);
    for (uint32_t i = 0; i < count; i++) {
        protocols[i] = (struct group_protocol){m->protocols[i].name, m->protocols[i].metadata};
    }
    struct group_join join = {
        .waiter = rq,
        .group_id = m->group_id,
        .member_id = m->member_id,
        .instance_id = m->group_instance_id,
        .client_id = rq->client_id,
        .client_host = request_host(rq),
        .protocol_type = m->protocol_type,
        .session_timeout_ms = m->session_timeout_ms,
        .rebalance_timeout_ms = rq->version >= 1 ? m->rebalance_timeout_ms : m->session_timeout_ms,
        .protocols = protocols,
        .protocol_count = count,
        .id_required = rq->version >= 4,
        .can_skip = rq->version >= 9,
        .fresh = uuid_from_random(clock_random(clock), clock_random(clock)),
    };
    if (groups_mixed(coordinator_groups(co), m->group_id)) {
        join_mixed(rq, co, &join);
        return;
    }
    groups_join(coordinator_groups(co), coordinator_now(co), &join, &out);
    coordinator_run(co, &out);
}
