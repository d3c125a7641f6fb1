/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupHeartbeat: from memory; what changes something is answered when the coordinator's
 * log has it by its policy's rule. */
#include "agent/group.h"
#include "base/error.h"
#include "base/mutant.h"

static void read_owned(const struct kafka_consumer_group_heartbeat_request *m, struct part_set *out)
{
    for (uint32_t t = 0; t < m->topic_partitions_count; t++) {
        for (uint32_t i = 0; i < m->topic_partitions[t].partitions_count; i++) {
            part_set_add(out, m->topic_partitions[t].topic_id,
                         m->topic_partitions[t].partitions[i]);
        }
    }
    part_set_sort(out);
}

static void fill_assignment(struct request *rq, const struct part_set *set,
                            struct kafka_consumer_group_heartbeat_response *response)
{
    struct kafka_consumer_group_heartbeat_response_assignment *to =
        kafka_consumer_group_heartbeat_response_assignment_new(&rq->arena, 1);

    response->assignment = to;
    response->assignment_count = 1;
    to->topic_partitions =
        kafka_consumer_group_heartbeat_response_topic_new(&rq->arena, set->count);
    for (uint32_t i = 0; i < set->count;) {
        struct kafka_consumer_group_heartbeat_response_topic *topic =
            &to->topic_partitions[to->topic_partitions_count++];
        uint32_t end = i;
        while (end < set->count && uuid_equal(set->at[i].topic, set->at[end].topic)) {
            end++;
        }
        topic->topic_id = set->at[i].topic;
        topic->partitions = arena_take(&rq->arena, (end - i) * sizeof *topic->partitions);
        for (; i < end; i++) {
            topic->partitions[topic->partitions_count++] = set->at[i].partition;
        }
    }
}

static void fill(struct request *rq, const struct consumer_answer *answer,
                 struct kafka_consumer_group_heartbeat_response *response)
{
    kafka_consumer_group_heartbeat_response_init(response);
    response->error = error_kafka(answer->error);
    if (answer->error != 0) {
        response->error_message =
            slice_text(answer->message != NULL ? answer->message : error_sentence(answer->error));
        return;
    }
    response->member_id = arena_copy(&rq->arena, answer->member_id);
    response->member_epoch = answer->epoch;
    response->heartbeat_interval_ms = answer->interval_ms;
    if (answer->assignment != NULL) {
        fill_assignment(rq, answer->assignment, response);
    }
}

static void ask(struct request *rq, struct coordinator *co, struct consumer_answer *answer,
                struct kafka_consumer_group_heartbeat_response *response, struct group_out *out)
{
    const struct kafka_consumer_group_heartbeat_request *m = rq->message;
    struct clock *clock = rq->node->o.clock;
    struct part_set owned = {0};

    read_owned(m, &owned);
    struct consumer_beat beat = {
        .group_id = m->group_id,
        .member_id = m->member_id,
        .member_epoch = m->member_epoch,
        .instance_id = m->instance_id,
        .rack_id = m->rack_id,
        .client_id = rq->client_id,
        .client_host = request_host(rq),
        .rebalance_timeout_ms = m->rebalance_timeout_ms,
        .names = m->subscribed_topic_names,
        .name_count = m->subscribed_topic_names_count,
        .regex = m->subscribed_topic_regex,
        .assignor = m->server_assignor,
        .owned = m->topic_partitions != NULL ? &owned : NULL,
        .id_required = rq->version >= 1,
        .fresh = uuid_from_random(clock_random(clock), clock_random(clock)),
    };
    groups_consumer_beat(coordinator_groups(co), coordinator_now(co), &beat, answer, out);
    fill(rq, answer, response);
    part_set_fini(&owned);
}

void api_consumer_group_heartbeat(struct request *rq)
{
    const struct kafka_consumer_group_heartbeat_request *m = rq->message;
    struct kafka_consumer_group_heartbeat_response *response =
        arena_take(&rq->arena, sizeof *response);
    struct kafka_consumer_group_heartbeat_response *failure =
        arena_take(&rq->arena, sizeof *failure);
    struct consumer_answer answer = {0};
    struct coordinator *co = NULL;
    struct group_out out = {0};

    rq->node->counters.group_beats++;
    answer.error =
        m->group_id.len > 0 ? coordinator_of(rq->node, m->group_id, &co) : TERN_EINVALIDREQUEST;
    if (answer.error != 0) {
        fill(rq, &answer, response);
        request_reply(rq, response);
        return;
    }
    ask(rq, co, &answer, response, &out);
    coordinator_run(co, &out);
    if (answer.error != 0 || !answer.wait || MUTANT(beat_early)) {
        request_reply(rq, response);
        return;
    }
    kafka_consumer_group_heartbeat_response_init(failure);
    group_reply_stored(rq, co, response, failure, &failure->error);
}
