/* SPDX-License-Identifier: Apache-2.0 */
/* Groups as admin sees them. */
#include "agent/group.h"

struct viewing {
    void (*each)(void *ctx, const struct node_group_view *view);
    void *ctx;
};

static void view(void *ctx, const struct group *group)
{
    const struct viewing *v = ctx;
    struct node_group_view out = {
        .id = buf_slice(&group->id),
        .state = group_state_text(group),
        .protocol_type = buf_slice(&group->protocol_type),
        .protocol = buf_slice(&group->protocol),
        .generation = group->consumer != NULL ? group->consumer->epoch : group->generation,
        .members = group->consumer != NULL ? group->consumer->member_count : group->member_count,
        .offsets = HASH_CNT(hh, group->offsets),
    };

    v->each(v->ctx, &out);
}

bool node_groups_each(struct node *node, void (*each)(void *ctx, const struct node_group_view *),
                      void *ctx)
{
    struct viewing v = {each, ctx};

    return coordinators_each(node, view, &v);
}

static const struct group *group_here(struct node *node, struct slice id)
{
    struct coordinator *co = NULL;

    (void)coordinator_of(node, id, &co);
    return co != NULL ? groups_find(coordinator_groups(co), id) : NULL;
}

void node_group_members(struct node *node, struct slice id,
                        void (*each)(void *ctx, const struct node_group_member_view *), void *ctx)
{
    const struct group *group = group_here(node, id);

    for (const struct group_member *m = group != NULL ? group->members : NULL; m != NULL;
         m = m->hh.next) {
        struct node_group_member_view out = {buf_slice(&m->id), buf_slice(&m->instance_id),
                                             buf_slice(&m->client_id)};
        each(ctx, &out);
    }
    if (group == NULL || group->consumer == NULL) {
        return;
    }
    for (const struct consumer_member *m = group->consumer->members; m != NULL; m = m->hh.next) {
        struct node_group_member_view out = {buf_slice(&m->id), buf_slice(&m->instance_id),
                                             buf_slice(&m->client_id)};
        each(ctx, &out);
    }
}

void node_group_offsets(struct node *node, struct slice id,
                        void (*each)(void *ctx, const struct node_group_offset_view *), void *ctx)
{
    const struct group *group = group_here(node, id);

    for (const struct group_offset *o = group != NULL ? group->offsets : NULL; o != NULL;
         o = o->hh.next) {
        struct node_group_offset_view out = {
            .topic = group_offset_topic(o),
            .partition = group_offset_partition(o),
            .offset = o->offset,
            .end = -1,
            .commit_wall_ms = o->commit_ms,
        };
        const struct control_topic *topic = topic_by_slice(node, out.topic);
        const struct partition *p =
            topic != NULL ? partition_find(node, topic->id, out.partition) : NULL;
        if (p != NULL) {
            out.end = p->replica.hw;
        }
        each(ctx, &out);
    }
}

/* ---- topics ---------------------------------------------------------------------------------- */

static struct group_topic topic_view(const struct control_topic *topic)
{
    return (struct group_topic){topic->id, slice_text(topic->name), topic->partition_count};
}

bool group_topic_named(void *ctx, struct slice name, struct group_topic *out)
{
    const struct control_topic *topic = topic_by_slice(ctx, name);

    if (topic != NULL) {
        *out = topic_view(topic);
    }
    return topic != NULL;
}

bool group_topic_by_id(void *ctx, struct uuid id, struct group_topic *out)
{
    const struct node *node = ctx;
    const struct control_topic *topic = control_topic_by_id(node->control, id);

    if (topic != NULL) {
        *out = topic_view(topic);
    }
    return topic != NULL;
}

void group_topics_each(void *ctx, void (*each)(void *to, const struct group_topic *topic), void *to)
{
    const struct node *node = ctx;

    for (const struct control_topic *t = node->control->by_name; t != NULL; t = t->by_name.next) {
        struct group_topic view = topic_view(t);
        each(to, &view);
    }
}
