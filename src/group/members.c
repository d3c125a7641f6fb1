/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a group: who they are, what they can, when they are gone. */
#include <string.h>

#include "group/inner.h"

#define MEMBER_COST 1000 /* bytes, about */

struct group_member *group_member_of(const struct group *group, struct slice id)
{
    struct group_member *member;

    HASH_FIND(hh, group->members, id.base, id.len, member);
    return member;
}

struct group_member *group_member_by_instance(const struct group *group, struct slice instance_id)
{
    if (instance_id.len == 0) {
        return NULL;
    }
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (text_is(&m->instance_id, instance_id)) {
            return m;
        }
    }
    return NULL;
}

int group_member_check(const struct group *group, struct slice id, struct slice instance_id,
                       struct group_member **out_member)
{
    struct group_member *member = group_member_of(group, id);

    if (instance_id.base != NULL &&
        (member == NULL || !text_is(&member->instance_id, instance_id))) {
        return group_member_by_instance(group, instance_id) != NULL ? TERN_EFENCEDINSTANCE
                                                                    : TERN_EUNKNOWNMEMBER;
    }
    if (member == NULL) {
        return TERN_EUNKNOWNMEMBER;
    }
    *out_member = member;
    return 0;
}

struct group_member *group_member_new(struct groups *groups, struct group *group, struct slice id,
                                      struct slice instance_id)
{
    struct group_member *member = mem_new(sizeof *member);

    member->group = group;
    member->session.kind = GROUP_TIMER_SESSION;
    member->fresh = true;
    buf_put(&member->id, id);
    buf_put(&member->instance_id, instance_id);
    HASH_ADD_KEYPTR(hh, group->members, member->id.base, member->id.len, member);
    group->member_count++;
    groups->bytes += MEMBER_COST;
    return member;
}

void group_member_set_protocols(struct groups *groups, struct group_member *member,
                                const struct group_protocol *protocols, uint32_t count)
{
    groups->bytes -= member->protocol_bytes.len;
    buf_clear(&member->protocol_bytes);
    free(member->protocols);
    member->protocols = mem_new((count + 1) * sizeof *member->protocols);
    member->protocol_count = count;
    for (uint32_t i = 0; i < count; i++) {
        buf_put(&member->protocol_bytes, protocols[i].name);
        buf_put(&member->protocol_bytes, protocols[i].metadata);
    }
    const uint8_t *at = member->protocol_bytes.base; /* it grows no more */
    for (uint32_t i = 0; i < count; i++) {
        member->protocols[i].name = slice_of(at, protocols[i].name.len);
        at += protocols[i].name.len;
        member->protocols[i].metadata = slice_of(at, protocols[i].metadata.len);
        at += protocols[i].metadata.len;
    }
    groups->bytes += member->protocol_bytes.len;
}

void group_member_set_assignment(struct groups *groups, struct group_member *member,
                                 struct slice assignment)
{
    groups->bytes -= member->assignment.len;
    text_set(&member->assignment, assignment);
    groups->bytes += assignment.len;
}

bool group_member_matches(const struct group_member *member, const struct group_protocol *protocols,
                          uint32_t count)
{
    if (member->protocol_count != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!slice_equal(member->protocols[i].name, protocols[i].name) ||
            !slice_equal(member->protocols[i].metadata, protocols[i].metadata)) {
            return false;
        }
    }
    return true;
}

void group_member_rename(struct group *group, struct group_member *member, struct slice id)
{
    bool leads = text_is(&group->leader, buf_slice(&member->id));

    HASH_DEL(group->members, member);
    text_set(&member->id, id);
    HASH_ADD_KEYPTR(hh, group->members, member->id.base, member->id.len, member);
    if (leads) {
        text_set(&group->leader, id);
    }
}

void group_member_free(struct groups *groups, struct group_member *member)
{
    groups->bytes -= MEMBER_COST + member->protocol_bytes.len + member->assignment.len;
    buf_fini(&member->id);
    buf_fini(&member->instance_id);
    buf_fini(&member->client_id);
    buf_fini(&member->client_host);
    buf_fini(&member->protocol_bytes);
    buf_fini(&member->assignment);
    buf_fini(&member->told_leader);
    free(member->protocols);
    free(member);
}

void group_member_remove(struct groups *groups, struct group_member *member, struct group_out *out)
{
    struct group *group = member->group;

    if (member->joining != NULL) {
        group_refuse_join(member, TERN_EUNKNOWNMEMBER, out);
    }
    if (member->syncing != NULL) {
        group_answer_sync(group, member, TERN_EUNKNOWNMEMBER, out);
    }
    group_timer_stop(groups, &member->session);
    HASH_DEL(group->members, member);
    group->member_count--;
    if (text_is(&group->leader, buf_slice(&member->id))) {
        buf_clear(&group->leader);
        if (group->members != NULL) {
            buf_put(&group->leader, buf_slice(&group->members->id));
        }
    }
    queue_push(&groups->dead_members, &member->dead);
}

void group_member_touch(struct groups *groups, struct group_member *member, uint64_t now_ms)
{
    if (member->joining == NULL) { /* else it waits for us */
        group_timer_at(groups, &member->session, now_ms + (uint64_t)member->session_timeout_ms);
    }
}

struct slice group_member_metadata(const struct group_member *member)
{
    for (uint32_t i = 0; i < member->protocol_count; i++) {
        if (text_is(&member->group->protocol, member->protocols[i].name)) {
            return member->protocols[i].metadata;
        }
    }
    return (struct slice){0};
}

/* ---- protocols ------------------------------------------------------------------------------- */

static bool has_protocol(const struct group_member *member, struct slice name)
{
    for (uint32_t i = 0; i < member->protocol_count; i++) {
        if (slice_equal(member->protocols[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool all_have(const struct group *group, struct slice name)
{
    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (!has_protocol(m, name)) {
            return false;
        }
    }
    return true;
}

bool group_supports(const struct group *group, struct slice protocol_type,
                    const struct group_protocol *protocols, uint32_t count)
{
    if (group->members == NULL) {
        return protocol_type.len > 0 && count > 0;
    }
    if (!text_is(&group->protocol_type, protocol_type)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (all_have(group, protocols[i].name)) {
            return true;
        }
    }
    return false;
}

struct slice group_vote(const struct group *group)
{
    const struct group_member *first = group->members;
    uint32_t votes[GROUP_PROTOCOLS_MAX] = {0};
    bool common[GROUP_PROTOCOLS_MAX];
    uint32_t best = 0;

    CHECK(first != NULL && first->protocol_count > 0);
    CHECK(first->protocol_count <= GROUP_PROTOCOLS_MAX);
    for (uint32_t i = 0; i < first->protocol_count; i++) {
        common[i] = all_have(group, first->protocols[i].name);
    }
    for (const struct group_member *m = first; m != NULL; m = m->hh.next) {
        bool voted = false;
        for (uint32_t k = 0; k < m->protocol_count && !voted; k++) {
            for (uint32_t i = 0; i < first->protocol_count && !voted; i++) {
                voted = common[i] && slice_equal(m->protocols[k].name, first->protocols[i].name);
                votes[i] += voted;
            }
        }
    }
    for (uint32_t i = 1; i < first->protocol_count; i++) {
        best = votes[i] > votes[best] ? i : best;
    }
    return first->protocols[best].name;
}

bool group_subscribes(const struct group *group, struct slice topic)
{
    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        bool has = false;
        if (!group_subscription_has(group_member_metadata(m), topic, &has) || has) {
            return true; /* what cannot be read may be a subscription to anything */
        }
    }
    return false;
}

/* ---- member ids that were given out ---------------------------------------------------------- */

struct group_pending *group_pending_of(const struct group *group, struct slice id)
{
    struct group_pending *pending;

    HASH_FIND(hh, group->pending, id.base, id.len, pending);
    return pending;
}

void group_pending_add(struct groups *groups, struct group *group, struct slice id, uint64_t at_ms)
{
    struct group_pending *pending = mem_new(sizeof *pending + id.len);

    pending->group = group;
    pending->timer.kind = GROUP_TIMER_PENDING;
    pending->len = id.len;
    memcpy(pending->id, id.base, id.len);
    HASH_ADD_KEYPTR(hh, group->pending, pending->id, pending->len, pending);
    group->pending_count++;
    groups->bytes += sizeof *pending + id.len;
    group_timer_at(groups, &pending->timer, at_ms);
}

void group_pending_remove(struct groups *groups, struct group_pending *pending)
{
    group_timer_stop(groups, &pending->timer);
    HASH_DEL(pending->group->pending, pending);
    pending->group->pending_count--;
    groups->bytes -= sizeof *pending + pending->len;
    free(pending);
}
