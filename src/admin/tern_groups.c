/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: consumer groups, from the nodes that coordinate them. */
#include <string.h>

#include "admin/tern_inner.h"

static void take_members(const Tern__Admin__Groups__Group *from, struct tern_group *to)
{
    to->member_list = mem_new((from->n_member_list + 1) * sizeof *to->member_list);
    to->member_list_count = from->n_member_list;
    for (size_t i = 0; i < from->n_member_list; i++) {
        COPY_TEXT(to->member_list[i].id, from->member_list[i]->id);
        COPY_TEXT(to->member_list[i].instance, from->member_list[i]->instance);
        COPY_TEXT(to->member_list[i].client, from->member_list[i]->client);
    }
}

static void take_offsets(const Tern__Admin__Groups__Group *from, struct tern_group *to)
{
    to->offset_list = mem_new((from->n_offset_list + 1) * sizeof *to->offset_list);
    to->offset_list_count = from->n_offset_list;
    for (size_t i = 0; i < from->n_offset_list; i++) {
        const Tern__Admin__Groups__Offset *offset = from->offset_list[i];
        COPY_TEXT(to->offset_list[i].topic, offset->topic);
        to->offset_list[i].partition = offset->partition;
        to->offset_list[i].offset = offset->offset;
        to->offset_list[i].end = offset->end;
        to->offset_list[i].commit_wall_ms = offset->commit_wall_ms;
    }
}

static void take_groups(const Tern__Admin__Groups *answer, struct tern_groups *out)
{
    out->loading_nodes += answer->loading ? 1 : 0;
    for (size_t n = 0; n < answer->n_groups; n++) {
        const Tern__Admin__Groups__Group *from = answer->groups[n];
        out->groups = array_more(out->groups, out->count, sizeof out->groups[0]);
        struct tern_group *to = &out->groups[out->count++];
        memset(to, 0, sizeof *to);
        COPY_TEXT(to->name, from->name);
        COPY_TEXT(to->state, from->state);
        COPY_TEXT(to->protocol_type, from->protocol_type);
        COPY_TEXT(to->protocol, from->protocol);
        to->generation = from->generation;
        to->members = from->members;
        to->offsets = from->offsets;
        to->node = answer->node_id;
        COPY_TEXT(to->region, answer->region);
        take_members(from, to);
        take_offsets(from, to);
    }
}

static void take_answer(struct question *question, struct tern_groups *out)
{
    struct pool pool = {0};
    ProtobufCAllocator allocator = pool_allocator(&pool);
    Tern__Admin__Groups *answer = NULL;

    if (question->rv == 0 && question->error == 0) {
        answer =
            tern__admin__groups__unpack(&allocator, question->answer.len, question->answer.base);
    }
    if (answer != NULL) {
        take_groups(answer, out);
    } else {
        out->silent_nodes++;
    }
    pool_fini(&pool);
    question_fini(question);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tern_group *)a)->name, ((const struct tern_group *)b)->name);
}

int tern_groups(struct tern *tern, const char *name, struct tern_groups **out)
{
    struct views *views = mem_new(sizeof *views);
    struct question questions[TERN_NODES_MAX] = {0};
    struct buf body = {0};
    int rv = views_ask(tern, views);

    if (rv == TERN_DONE) {
        struct tern_groups *found = mem_new(sizeof *found);
        ask_pack(&body, name, name != NULL);
        size_t count = views_question(tern, views, ADMIN_GROUPS, buf_slice(&body), questions,
                                      &found->silent_nodes);
        for (size_t n = 0; n < count; n++) {
            take_answer(&questions[n], found);
        }
        if (found->count > 1) {
            qsort(found->groups, found->count, sizeof found->groups[0], by_name);
        }
        buf_fini(&body);
        *out = found;
    }
    views_fini(views);
    free(views);
    return rv;
}

void tern_groups_free(struct tern_groups *groups)
{
    if (groups == NULL) {
        return;
    }
    for (size_t n = 0; n < groups->count; n++) {
        free(groups->groups[n].member_list);
        free(groups->groups[n].offset_list);
    }
    free(groups->groups);
    free(groups);
}
