/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups that this node coordinates. */
#include <string.h>

#include "admin/inner.h"

#define GROUPS_LISTED 20000 /* of one node, in one answer */

struct groups_fill {
    struct pool *pool;
    const char *name; /* "": all */
    Tern__Admin__Groups *message;
    size_t cap;
    Tern__Admin__Groups__Group *group; /* whose lists are being filled */
    size_t list_cap;
};

/* Ids are whatever bytes a client sent. */
static char *text_of(struct pool *pool, struct slice bytes)
{
    char *text = pool_new(pool, bytes.len + 1);

    for (size_t i = 0; i < bytes.len; i++) {
        text[i] = bytes.base[i] >= ' ' && bytes.base[i] != 0x7f ? (char)bytes.base[i] : '?';
    }
    return text;
}

static void *more(void *array, size_t count, size_t *cap)
{
    if (count == *cap) {
        *cap = *cap > 0 ? 2 * *cap : 16;
        array = mem_grow(array, *cap, sizeof(void *));
    }
    return array;
}

static void fill_group(void *ctx, const struct node_group_view *view)
{
    struct groups_fill *fill = ctx;
    Tern__Admin__Groups *message = fill->message;

    if (message->n_groups == GROUPS_LISTED ||
        (fill->name[0] != '\0' && !slice_equal(view->id, slice_text(fill->name)))) {
        return;
    }
    Tern__Admin__Groups__Group *group = pool_new(fill->pool, sizeof *group);
    tern__admin__groups__group__init(group);
    group->name = text_of(fill->pool, view->id);
    group->state = pool_text(fill->pool, view->state);
    group->protocol_type = text_of(fill->pool, view->protocol_type);
    group->protocol = text_of(fill->pool, view->protocol);
    group->generation = view->generation;
    group->members = view->members;
    group->offsets = view->offsets;
    message->groups = more(message->groups, message->n_groups, &fill->cap);
    message->groups[message->n_groups++] = group;
}

static void fill_member(void *ctx, const struct node_group_member_view *view)
{
    struct groups_fill *fill = ctx;
    Tern__Admin__Groups__Group *group = fill->group;
    Tern__Admin__Groups__Member *member = pool_new(fill->pool, sizeof *member);

    tern__admin__groups__member__init(member);
    member->id = text_of(fill->pool, view->id);
    member->instance = text_of(fill->pool, view->instance_id);
    member->client = text_of(fill->pool, view->client_id);
    group->member_list = more(group->member_list, group->n_member_list, &fill->list_cap);
    group->member_list[group->n_member_list++] = member;
}

static void fill_offset(void *ctx, const struct node_group_offset_view *view)
{
    struct groups_fill *fill = ctx;
    Tern__Admin__Groups__Group *group = fill->group;
    Tern__Admin__Groups__Offset *offset = pool_new(fill->pool, sizeof *offset);

    tern__admin__groups__offset__init(offset);
    offset->topic = text_of(fill->pool, view->topic);
    offset->partition = view->partition;
    offset->offset = view->offset;
    offset->end = view->end;
    offset->commit_wall_ms = view->commit_wall_ms;
    group->offset_list = more(group->offset_list, group->n_offset_list, &fill->list_cap);
    group->offset_list[group->n_offset_list++] = offset;
}

int answer_groups(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                  char why[ADMIN_WHY])
{
    struct node *node = admin->options.node;
    Tern__Admin__Groups *message = pool_new(pool, sizeof *message);
    struct groups_fill fill = {.pool = pool, .name = ask->name, .message = message};

    (void)why;
    tern__admin__groups__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->node_id = node_settings(node)->node_id;
    message->region = pool_text(pool, node_settings(node)->region);
    message->loading = node_groups_each(node, fill_group, &fill);
    if (ask->name[0] != '\0' && message->n_groups == 1) {
        fill.group = message->groups[0];
        node_group_members(node, slice_text(ask->name), fill_member, &fill);
        fill.list_cap = 0;
        node_group_offsets(node, slice_text(ask->name), fill_offset, &fill);
    }
    pack_into(out, &message->base);
    if (fill.group != NULL) {
        free(fill.group->member_list);
        free(fill.group->offset_list);
    }
    free(message->groups);
    return 0;
}
