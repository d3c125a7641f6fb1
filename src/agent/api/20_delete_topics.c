/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteTopics: one command to the quorum for each topic, by name or (from version 6 on) by id. */
#include "agent/api.h"
#include "base/error.h"

#define STRICT_SINCE 5 /* KIP-599 */

struct deletion {
    struct slice name; /* base NULL: by id */
    struct uuid id;
    struct outcome out;
};

static void delete_one(struct request *rq, struct deletion *d,
                       struct kafka_delete_topics_response_topic *out)
{
    const struct kafka_delete_topics_request *m = rq->message;
    bool by_id = d->name.base == NULL;
    bool has_id = !uuid_is_zero(d->id);
    struct buf command = {0};

    if (by_id != has_id) {
        outcome_refuse(rq, &d->out, TERN_EINVALIDREQUEST,
                       by_id ? "Neither topic name nor id were specified."
                             : "You may not specify both topic name and topic id.");
        return;
    }
    const struct control_topic *topic =
        by_id ? control_topic_by_id(rq->node->control, d->id) : topic_by_slice(rq->node, d->name);
    if (topic == NULL) {
        int error = by_id ? TERN_EUNKNOWNTOPICID : TERN_ENOENT;
        outcome_refuse(rq, &d->out, error, error_sentence(error));
        return;
    }
    if (!quota_changes(rq, topic->partition_count, STRICT_SINCE)) {
        outcome_refuse(rq, &d->out, TERN_ETHROTTLED, error_sentence(TERN_ETHROTTLED));
        return;
    }
    out->topic_id = topic->id;
    out->name = arena_text(&rq->arena, topic->name);
    command_delete_topic(&command, node_next_key(rq->node), topic->name);
    proposals_add(rq, &command, m->timeout_ms, outcome_applied, &d->out);
}

/* What is asked for; names and ids that come twice are refused, and told once. */
static const enum named *take(struct request *rq, struct deletion *all, uint32_t count)
{
    const struct kafka_delete_topics_request *m = rq->message;
    struct naming *names = arena_take(&rq->arena, (count + 1) * sizeof *names);

    for (uint32_t i = 0; i < count; i++) {
        all[i].name = rq->version < 6 ? m->topic_names[i] : m->topics[i].name;
        if (rq->version >= 6) {
            all[i].id = m->topics[i].topic_id;
        }
        bool by_id = all[i].name.base == NULL;
        names[i].name = by_id ? slice_of(&all[i].id, sizeof all[i].id) : all[i].name;
        names[i].number = by_id;
    }
    return named_twice(&rq->arena, names, count);
}

void api_delete_topics(struct request *rq)
{
    const struct kafka_delete_topics_request *m = rq->message;
    struct kafka_delete_topics_response *response = arena_take(&rq->arena, sizeof *response);
    uint32_t count = rq->version < 6 ? m->topic_names_count : m->topics_count;
    struct deletion *all = arena_take(&rq->arena, (count + 1) * sizeof *all);
    const enum named *named = take(rq, all, count);

    kafka_delete_topics_response_init(response);
    response->topics = kafka_delete_topics_response_topic_new(&rq->arena, count);
    rq->state = response;
    proposals_begin(rq, proposals_reply);
    for (uint32_t i = 0; i < count; i++) {
        if (named[i] == NAMED_AGAIN) {
            continue;
        }
        struct kafka_delete_topics_response_topic *out =
            &response->topics[response->topics_count++];
        out->name = all[i].name;
        out->topic_id = all[i].id;
        all[i].out = (struct outcome){&out->error, &out->error_message};
        if (named[i] == NAMED_FIRST) {
            outcome_refuse(rq, &all[i].out, TERN_EINVALIDREQUEST, "Duplicate topic name or id.");
        } else {
            delete_one(rq, &all[i], out);
        }
    }
    response->throttle_ms = quota_changes_wait(rq);
    proposals_end(rq);
}
