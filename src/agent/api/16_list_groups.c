/* SPDX-License-Identifier: Apache-2.0 */
/* ListGroups: those that are coordinated here; tools ask every broker. */
#include <strings.h>

#include "agent/group.h"
#include "base/error.h"

struct listing {
    struct request *rq;
    struct kafka_list_groups_response response;
    uint32_t count; /* of all */
};

static bool in_filter(const struct slice *filter, uint32_t count, const char *word)
{
    size_t len = strlen(word);

    for (uint32_t i = 0; i < count; i++) {
        if (filter[i].len == len && strncasecmp((const char *)filter[i].base, word, len) == 0) {
            return true;
        }
    }
    return count == 0;
}

static const char *type_of(const struct group *group)
{
    return group->consumer != NULL ? "consumer" : "classic";
}

static bool wanted(const struct request *rq, const struct group *group)
{
    const struct kafka_list_groups_request *m = rq->message;

    return in_filter(m->states_filter, m->states_filter_count, group_state_text(group)) &&
           in_filter(m->types_filter, m->types_filter_count, type_of(group));
}

static void count(void *ctx, const struct group *group)
{
    struct listing *list = ctx;

    list->count += wanted(list->rq, group);
}

static void add(void *ctx, const struct group *group)
{
    struct listing *list = ctx;

    if (!wanted(list->rq, group)) {
        return;
    }
    struct kafka_list_groups_response_group *out =
        &list->response.groups[list->response.groups_count++];
    out->group_id = buf_slice(&group->id);
    out->protocol_type = buf_slice(&group->protocol_type);
    out->state = slice_text(group_state_text(group));
    out->type = slice_text(type_of(group));
}

void api_list_groups(struct request *rq)
{
    struct listing list = {.rq = rq};

    kafka_list_groups_response_init(&list.response);
    bool loading = coordinators_each(rq->node, count, &list);
    list.response.groups = kafka_list_groups_response_group_new(&rq->arena, list.count);
    (void)coordinators_each(rq->node, add, &list);
    list.response.error = loading ? error_kafka(TERN_ELOADING) : 0;
    request_reply(rq, &list.response);
}
