/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup: who comes in, and what that starts. */
#include "group/consumer.h"
#include "group/inner.h"

static void answer_error(const struct group_join *join, int error, struct slice member_id,
                         struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_JOINED);

    effect->waiter = join->waiter;
    effect->error = error;
    effect->member_id = member_id;
}

static struct slice cut(struct slice text, size_t max)
{
    return slice_of(text.base, text.len < max ? text.len : max);
}

void group_make_id(const struct group_join *join, struct buf *out)
{
    char text[UUID_TEXT_SIZE];

    uuid_text(join->fresh, text);
    buf_put(out, join->instance_id.len > 0 ? join->instance_id
                                           : cut(join->client_id, GROUP_CLIENT_PREFIX));
    buf_u8(out, '-');
    buf_text(out, text);
}

/* Now the member waits for the others. */
static void wait_for_others(struct group_member *member, const struct group_join *join,
                            struct group_out *out)
{
    if (member->joining != NULL) {
        group_refuse_join(member, TERN_EREBALANCE, out); /* a second one overtakes it */
    }
    member->joining = join->waiter;
    member->can_skip = join->can_skip;
    member->group->joining_count++;
}

static void update(struct groups *groups, struct group_member *member,
                   const struct group_join *join)
{
    group_member_set_protocols(groups, member, join->protocols, join->protocol_count);
    member->session_timeout_ms = join->session_timeout_ms;
    member->rebalance_timeout_ms = join->rebalance_timeout_ms;
    text_set(&member->client_id, cut(join->client_id, GROUP_CLIENT_PREFIX));
    text_set(&member->client_host, cut(join->client_host, GROUP_CLIENT_PREFIX));
}

/* A known member joins again, in a state that makes a rebalance of it. */
static void rejoin(struct groups *groups, struct group *group, struct group_now now,
                   struct group_member *member, const struct group_join *join,
                   struct group_out *out)
{
    update(groups, member, join);
    wait_for_others(member, join, out);
    if (group->state == GROUP_PREPARING) {
        group_maybe_complete(groups, group, now, out);
    } else {
        group_prepare(groups, group, now, out);
    }
}

static void add(struct groups *groups, struct group *group, struct group_now now, struct slice id,
                const struct group_join *join, struct group_out *out)
{
    struct group_member *member = group_member_new(groups, group, id, join->instance_id);

    if (group->member_count == 1) {
        text_set(&group->protocol_type, join->protocol_type);
        text_set(&group->leader, id);
    }
    update(groups, member, join);
    wait_for_others(member, join, out);
    group_timer_at(groups, &member->session, now.ms + GROUP_NEW_MEMBER_MS);
    group->more_came = true;
    if (group->state == GROUP_PREPARING) {
        group_maybe_complete(groups, group, now, out);
    } else {
        group_prepare(groups, group, now, out);
    }
}

/* A static member that has lost its member id, usually by a restart: it takes its old place, and
 * the holder of the old id is fenced. */
static void replace(struct groups *groups, struct group *group, struct group_now now,
                    struct group_member *member, const struct group_join *join,
                    struct group_out *out)
{
    struct buf id = {0};

    if (member->joining != NULL) {
        group_refuse_join(member, TERN_EFENCEDINSTANCE, out);
        /* The answer names the old id, which is about to change. */
        out->effects[out->count - 1].member_id = (struct slice){0};
    }
    if (member->syncing != NULL) {
        group_answer_sync(group, member, TERN_EFENCEDINSTANCE, out);
    }
    buf_clear(&member->told_leader);
    if (group->state == GROUP_STABLE && !join->can_skip &&
        text_is(&group->leader, buf_slice(&member->id))) {
        /* It must not plan: the plan stands. So it is told that its old self leads. */
        buf_put(&member->told_leader, buf_slice(&member->id));
    }
    group_make_id(join, &id);
    group_member_rename(group, member, buf_slice(&id));
    buf_fini(&id);
    update(groups, member, join);
    group_member_touch(groups, member, now.ms);
    wait_for_others(member, join, out);
    if (group->state == GROUP_STABLE) {
        if (text_is(&group->protocol, group_vote(group)) && group_store(group, out)) {
            return; /* answered once its new id is stored */
        }
        buf_clear(&member->told_leader);
    }
    if (group->state == GROUP_PREPARING) {
        group_maybe_complete(groups, group, now, out);
    } else {
        group_prepare(groups, group, now, out);
    }
}

static bool is_full(const struct group *group)
{
    return group->member_count >= GROUP_MEMBERS_MAX;
}

static void join_new(struct groups *groups, struct group *group, struct group_now now,
                     const struct group_join *join, struct group_out *out)
{
    struct group_member *known = group_member_by_instance(group, join->instance_id);
    struct buf id = {0};

    if (known != NULL) {
        replace(groups, group, now, known, join, out);
        return;
    }
    if (is_full(group)) {
        answer_error(join, TERN_EGROUPFULL, join->member_id, out);
        return;
    }
    group_make_id(join, &id);
    if (join->id_required && join->instance_id.len == 0) {
        if (group->pending_count >= GROUP_PENDING_MAX) {
            answer_error(join, TERN_EGROUPFULL, join->member_id, out);
        } else {
            group_pending_add(groups, group, buf_slice(&id),
                              now.ms + (uint64_t)join->session_timeout_ms);
            const struct group_pending *pending = group_pending_of(group, buf_slice(&id));
            answer_error(join, TERN_EMEMBERIDREQUIRED, slice_of(pending->id, pending->len), out);
        }
    } else {
        add(groups, group, now, buf_slice(&id), join, out);
    }
    buf_fini(&id);
}

static void join_pending(struct groups *groups, struct group *group, struct group_now now,
                         struct group_pending *pending, const struct group_join *join,
                         struct group_out *out)
{
    if (join->instance_id.len > 0) {
        answer_error(join, TERN_EUNKNOWNMEMBER, join->member_id, out);
        return;
    }
    if (is_full(group)) {
        answer_error(join, TERN_EGROUPFULL, join->member_id, out);
        return;
    }
    group_pending_remove(groups, pending);
    add(groups, group, now, join->member_id, join, out);
}

static void join_known(struct groups *groups, struct group *group, struct group_now now,
                       struct group_member *member, const struct group_join *join,
                       struct group_out *out)
{
    bool same = group_member_matches(member, join->protocols, join->protocol_count);
    bool leads = text_is(&group->leader, join->member_id);

    if (group->state == GROUP_EMPTY) {
        answer_error(join, TERN_EUNKNOWNMEMBER, join->member_id, out);
    } else if ((group->state == GROUP_COMPLETING && same) ||
               (group->state == GROUP_STABLE && same && !leads && member->joining == NULL)) {
        /* It has not seen the answer: the same one again. */
        buf_clear(&member->told_leader);
        member->joining = join->waiter;
        group->joining_count++;
        group_answer_join(group, member, out);
        group_member_touch(groups, member, now.ms);
    } else {
        rejoin(groups, group, now, member, join, out);
    }
}

int group_join_check(const struct groups *groups, const struct group_join *join)
{
    size_t bytes = 0;

    if (join->group_id.len == 0 || join->group_id.len > GROUP_ID_MAX) {
        return TERN_EINVALIDGROUP;
    }
    if (join->session_timeout_ms < GROUP_SESSION_MIN_MS ||
        join->session_timeout_ms > GROUP_SESSION_MAX_MS) {
        return TERN_ESESSIONTIMEOUT;
    }
    if (join->instance_id.len > GROUP_INSTANCE_MAX || join->rebalance_timeout_ms < 0) {
        return TERN_EREFUSED;
    }
    if (join->protocol_count > GROUP_PROTOCOLS_MAX) {
        return TERN_EGROUPFULL;
    }
    for (uint32_t i = 0; i < join->protocol_count; i++) {
        bytes += join->protocols[i].name.len + join->protocols[i].metadata.len;
    }
    if (bytes > GROUP_MEMBER_BYTES || groups->bytes + bytes > GROUPS_BYTES_MAX) {
        return TERN_EGROUPFULL;
    }
    return 0;
}

static void join_group(struct groups *groups, struct group *group, struct group_now now,
                       const struct group_join *join, struct group_out *out)
{
    struct group_member *member = NULL;

    if (group->broken || (group->consumer != NULL && group->consumer->members != NULL)) {
        answer_error(join, TERN_ELOADING, join->member_id, out); /* see groups_mixed */
        return;
    }
    if (group->consumer != NULL) {
        group->generation = group->consumer->epoch; /* it goes on as a classic one */
        consumer_free(groups, group->consumer);
        group->consumer = NULL;
    }
    if (!group_supports(group, join->protocol_type, join->protocols, join->protocol_count)) {
        answer_error(join, TERN_EINCONSISTENTPROTOCOL, join->member_id, out);
        return;
    }
    if (join->member_id.len == 0) {
        join_new(groups, group, now, join, out);
        return;
    }
    struct group_pending *pending = group_pending_of(group, join->member_id);
    if (pending != NULL) {
        join_pending(groups, group, now, pending, join, out);
        return;
    }
    struct slice instance = join->instance_id.len > 0 ? join->instance_id : (struct slice){0};
    int status = group_member_check(group, join->member_id, instance, &member);
    if (status != 0) {
        answer_error(join, status, join->member_id, out);
        return;
    }
    join_known(groups, group, now, member, join, out);
}

void groups_join(struct groups *groups, struct group_now now, const struct group_join *join,
                 struct group_out *out)
{
    struct group *group;

    groups_bury(groups);
    int status = group_join_check(groups, join);
    HASH_FIND(hh, groups->all, join->group_id.base, join->group_id.len, group);
    if (status == 0 && group == NULL && join->member_id.len > 0) {
        status = TERN_EUNKNOWNMEMBER;
    }
    if (status == 0 && group == NULL && HASH_CNT(hh, groups->all) >= GROUPS_MAX) {
        status = TERN_EGROUPFULL;
    }
    if (status != 0) {
        answer_error(join, status, join->member_id, out);
        return;
    }
    if (group == NULL) {
        group = groups_make(groups, join->group_id);
        group->since_wall_ms = now.wall_ms;
    }
    join_group(groups, group, now, join, out);
    group_settle(groups, group);
}
