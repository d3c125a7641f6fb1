/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupDescribe: from the coordinator's memory. */
#include "agent/group.h"
#include "base/error.h"
#include "group/consumer.h"
#include "group/consumer_record.h"

#define MEMBER_CLASSIC  0
#define MEMBER_CONSUMER 1

/* The topics of a set of partitions in turn: `count` of them from `from` on. */
static uint32_t same_topic(const struct part_set *set, uint32_t from)
{
    uint32_t end = from;

    while (end < set->count && uuid_equal(set->at[from].topic, set->at[end].topic)) {
        end++;
    }
    return end - from;
}

static int32_t *partitions_of(struct request *rq, const struct part_set *set, uint32_t from,
                              uint32_t count)
{
    int32_t *out = arena_take(&rq->arena, (count + 1) * sizeof *out);

    for (uint32_t i = 0; i < count; i++) {
        out[i] = set->at[from + i].partition;
    }
    return out;
}

static struct slice topic_name(const struct request *rq, struct uuid id)
{
    const struct control_topic *topic = control_topic_by_id(rq->node->control, id);

    return slice_text(topic != NULL ? topic->name : "");
}

static void fill_assigned(struct request *rq, const struct part_set *set,
                          struct kafka_consumer_group_describe_response_assignment *out)
{
    out->topic_partitions =
        kafka_consumer_group_describe_response_assigned_new(&rq->arena, set->count);
    for (uint32_t i = 0; i < set->count;) {
        struct kafka_consumer_group_describe_response_assigned *to =
            &out->topic_partitions[out->topic_partitions_count++];
        uint32_t count = same_topic(set, i);
        to->topic_id = set->at[i].topic;
        to->topic_name = topic_name(rq, to->topic_id);
        to->partitions = partitions_of(rq, set, i, count);
        to->partitions_count = count;
        i += count;
    }
}

static void fill_wanted(struct request *rq, const struct part_set *set,
                        struct kafka_consumer_group_describe_response_target *out)
{
    out->topic_partitions =
        kafka_consumer_group_describe_response_wanted_new(&rq->arena, set->count);
    for (uint32_t i = 0; i < set->count;) {
        struct kafka_consumer_group_describe_response_wanted *to =
            &out->topic_partitions[out->topic_partitions_count++];
        uint32_t count = same_topic(set, i);
        to->topic_id = set->at[i].topic;
        to->topic_name = topic_name(rq, to->topic_id);
        to->partitions = partitions_of(rq, set, i, count);
        to->partitions_count = count;
        i += count;
    }
}

static struct slice or_null(const struct buf *text)
{
    return text->len > 0 ? buf_slice(text) : (struct slice){0};
}

static void fill_names(struct request *rq, const struct consumer_member *m,
                       struct kafka_consumer_group_describe_response_member *out)
{
    struct reader r = reader_of(buf_slice(&m->names));
    struct slice name;

    out->subscribed_topic_names =
        arena_take(&rq->arena, (m->names.len / 2 + 1) * sizeof *out->subscribed_topic_names);
    while ((name = name_list_next(&r)).base != NULL) {
        out->subscribed_topic_names[out->subscribed_topic_names_count++] = name;
    }
}

static void fill_members(struct request *rq, const struct consumer *consumer,
                         struct kafka_consumer_group_describe_response_group *out)
{
    out->members =
        kafka_consumer_group_describe_response_member_new(&rq->arena, consumer->member_count);
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        struct kafka_consumer_group_describe_response_member *to =
            &out->members[out->members_count++];
        to->member_id = buf_slice(&m->id);
        to->instance_id = or_null(&m->instance_id);
        to->rack_id = or_null(&m->rack_id);
        to->member_epoch = m->epoch;
        to->client_id = buf_slice(&m->client_id);
        to->client_host = buf_slice(&m->client_host);
        fill_names(rq, m, to);
        to->subscribed_topic_regex = or_null(&m->regex);
        fill_assigned(rq, &m->assigned, &to->assignment);
        fill_wanted(rq, &m->target, &to->target_assignment);
        to->member_type = m->classic ? MEMBER_CLASSIC : MEMBER_CONSUMER;
    }
}

static size_t size_of(const struct consumer *consumer)
{
    size_t size = 0;

    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        size += sizeof *m + 8 * m->names.len + 300 * (size_t)(m->assigned.count + m->target.count);
    }
    return size;
}

static int describe(struct request *rq, size_t *bytes,
                    struct kafka_consumer_group_describe_response_group *out)
{
    struct coordinator *co = NULL;
    int status =
        out->group_id.len > 0 ? coordinator_of(rq->node, out->group_id, &co) : TERN_EINVALIDGROUP;

    if (co == NULL) {
        return status;
    }
    const struct group *group = groups_find(coordinator_groups(co), out->group_id);
    if (group == NULL || group->broken || group->consumer == NULL) {
        return group != NULL && group->broken ? TERN_ELOADING : TERN_EGROUPNOTFOUND;
    }
    *bytes += size_of(group->consumer);
    if (*bytes > GROUPS_ANSWER_BYTES) {
        return TERN_ELOADING;
    }
    out->group_state = slice_text(consumer_state_name(group->consumer));
    out->group_epoch = group->consumer->epoch;
    out->assignment_epoch = group->consumer->target_epoch;
    out->assignor_name = slice_text(assignor_name(group->consumer->assignor));
    fill_members(rq, group->consumer, out);
    return 0;
}

void api_consumer_group_describe(struct request *rq)
{
    const struct kafka_consumer_group_describe_request *m = rq->message;
    struct kafka_consumer_group_describe_response response;
    size_t bytes = 0;

    if (m->group_ids_count > GROUPS_ASKED_MAX) {
        request_end(rq, "more groups than anybody has");
        return;
    }
    kafka_consumer_group_describe_response_init(&response);
    response.groups =
        kafka_consumer_group_describe_response_group_new(&rq->arena, m->group_ids_count);
    response.groups_count = m->group_ids_count;
    for (uint32_t i = 0; i < m->group_ids_count; i++) {
        response.groups[i].group_id = m->group_ids[i];
        int status = describe(rq, &bytes, &response.groups[i]);
        if (status != 0) {
            response.groups[i].error = error_kafka(status);
            response.groups[i].error_message = slice_text(error_sentence(status));
        }
    }
    request_reply(rq, &response);
}
