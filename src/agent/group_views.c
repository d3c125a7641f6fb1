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
        .state = group_state_name(group->state),
        .protocol_type = buf_slice(&group->protocol_type),
        .protocol = buf_slice(&group->protocol),
        .generation = group->generation,
        .members = group->member_count,
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
