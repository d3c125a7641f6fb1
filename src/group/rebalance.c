/* SPDX-License-Identifier: Apache-2.0 */
/* Generations: all members join, one plans, the plan is stored, all get their part. */
#include "base/mutant.h"
#include "group/inner.h"

/* ---- answers --------------------------------------------------------------------------------- */

static void *take(void **waiter)
{
    void *taken = *waiter;

    CHECK(taken != NULL);
    *waiter = NULL;
    return taken;
}

void group_refuse_join(struct group_member *member, int error, struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_JOINED);

    effect->waiter = take(&member->joining);
    effect->error = error;
    effect->member_id = buf_slice(&member->id);
    member->group->joining_count--;
    buf_clear(&member->told_leader);
}

void group_answer_join(struct group *group, struct group_member *member, struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_JOINED);
    bool leads = text_is(&group->leader, buf_slice(&member->id));
    bool again = group->state == GROUP_STABLE; /* a static member that came back */

    effect->waiter = take(&member->joining);
    effect->group = group;
    effect->member = member;
    effect->member_id = buf_slice(&member->id);
    effect->leader = again && member->told_leader.len > 0 ? buf_slice(&member->told_leader)
                                                          : buf_slice(&group->leader);
    effect->skip_assignment = again && leads && member->can_skip;
    effect->with_members = leads && (!again || member->can_skip);
    group->joining_count--;
}

void group_answer_sync(struct group *group, struct group_member *member, int error,
                       struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_SYNCED);

    effect->waiter = take(&member->syncing);
    effect->error = error;
    if (error == 0) {
        effect->group = group;
        effect->member = member;
    }
}

/* ---- a rebalance ----------------------------------------------------------------------------- */

static uint32_t longest_rebalance(const struct group *group)
{
    int32_t longest = 0;

    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        longest = m->rebalance_timeout_ms > longest ? m->rebalance_timeout_ms : longest;
    }
    return (uint32_t)longest;
}

static void enter(struct group *group, enum group_state state, struct group_now now)
{
    static const uint8_t legal[] = {
        [GROUP_EMPTY] = 1 << GROUP_PREPARING,
        [GROUP_PREPARING] = 1 << GROUP_COMPLETING | 1 << GROUP_EMPTY,
        [GROUP_COMPLETING] = 1 << GROUP_STABLE | 1 << GROUP_PREPARING,
        [GROUP_STABLE] = 1 << GROUP_PREPARING,
    };

    CHECK((legal[group->state] >> state & 1) != 0);
    group->state = state;
    group->since_wall_ms = now.wall_ms;
}

void group_prepare(struct groups *groups, struct group *group, struct group_now now,
                   struct group_out *out)
{
    uint32_t longest = longest_rebalance(group);
    uint32_t delay = groups->settings.initial_delay_ms;
    bool was_empty = group->state == GROUP_EMPTY;

    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (m->syncing != NULL) {
            group_answer_sync(group, m, TERN_EREBALANCE, out);
            group_member_touch(groups, m, now.ms);
        }
    }
    enter(group, GROUP_PREPARING, now);
    delay = delay < longest ? delay : longest;
    group->initial = was_empty && delay > 0;
    group->more_came = false;
    group->delay_left_ms = longest - delay;
    group_timer_at(groups, &group->timer, now.ms + (group->initial ? delay : longest));
    group_maybe_complete(groups, group, now, out);
}

/* False: nobody has joined. */
static bool elect(struct group *group)
{
    const struct group_member *leader = group_member_of(group, buf_slice(&group->leader));

    if (leader != NULL && leader->joining != NULL) {
        return true;
    }
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (m->joining != NULL) {
            text_set(&group->leader, buf_slice(&m->id));
            return true;
        }
    }
    return false;
}

static void answer_all(struct groups *groups, struct group *group, struct group_now now,
                       struct group_out *out)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        m->owes_sync = m->joining != NULL;
        if (m->joining != NULL) {
            m->fresh = false;
            group_answer_join(group, m, out);
            group_member_touch(groups, m, now.ms);
        }
    }
}

static void complete(struct groups *groups, struct group *group, struct group_now now,
                     struct group_out *out)
{
    struct group_member *m;
    struct group_member *next;

    group->initial = false;
    HASH_ITER (hh, group->members, m, next) {
        if (m->joining == NULL && m->instance_id.len == 0) {
            group_member_remove(groups, m, out);
        }
    }
    if (group->members != NULL && !elect(group)) {
        /* Only static members that have not come back yet: their sessions decide. */
        group_timer_at(groups, &group->timer, now.ms + longest_rebalance(group) + 1);
        return;
    }
    group->generation = group->generation < INT32_MAX ? group->generation + 1 : 1;
    group->sync_generation = -1;
    if (group->members == NULL) {
        enter(group, GROUP_EMPTY, now);
        buf_clear(&group->protocol);
        buf_clear(&group->leader);
        group_timer_stop(groups, &group->timer);
        if (group->protocol_type.len > 0) {
            (void)group_store(group, out); /* without members it is never too large */
        }
        return;
    }
    struct slice chosen = group_vote(group);
    text_set(&group->protocol, chosen);
    enter(group, GROUP_COMPLETING, now);
    group_timer_at(groups, &group->timer, now.ms + longest_rebalance(group) + 1);
    answer_all(groups, group, now, out);
}

void group_maybe_complete(struct groups *groups, struct group *group, struct group_now now,
                          struct group_out *out)
{
    if (group->state == GROUP_PREPARING && !group->initial &&
        group->joining_count == group->member_count && group->pending == NULL) {
        complete(groups, group, now, out);
    }
}

void group_shrunk(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out)
{
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING) {
        group_prepare(groups, group, now, out);
    } else {
        group_maybe_complete(groups, group, now, out);
    }
}

static void sync_overdue(struct groups *groups, struct group *group, struct group_now now,
                         struct group_out *out)
{
    struct group_member *m;
    struct group_member *next;
    bool shrunk = false;

    HASH_ITER (hh, group->members, m, next) {
        if (m->owes_sync) {
            group_member_remove(groups, m, out);
            shrunk = true;
        }
    }
    if (shrunk) {
        group_prepare(groups, group, now, out);
    }
}

void group_timer_fired(struct groups *groups, struct group *group, struct group_now now,
                       struct group_out *out)
{
    switch (group->state) {
    case GROUP_EMPTY:
        break;
    case GROUP_PREPARING:
        if (group->initial && group->more_came && group->delay_left_ms > 0) {
            uint32_t delay = groups->settings.initial_delay_ms;
            delay = delay < group->delay_left_ms ? delay : group->delay_left_ms;
            group->more_came = false;
            group->delay_left_ms -= delay;
            group_timer_at(groups, &group->timer, now.ms + delay);
        } else {
            complete(groups, group, now, out);
        }
        break;
    case GROUP_COMPLETING:
    case GROUP_STABLE:
        sync_overdue(groups, group, now, out);
        break;
    }
}

void group_session_over(struct groups *groups, struct group_member *member, struct group_now now,
                        struct group_out *out)
{
    struct group *group = member->group;

    if (!member->fresh && (member->joining != NULL || member->syncing != NULL)) {
        return; /* it waits for us; counted again from the answer */
    }
    group_member_remove(groups, member, out);
    group_shrunk(groups, group, now, out);
}

void group_stored(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out)
{
    if (group->state == GROUP_COMPLETING && group->sync_generation == group->generation) {
        enter(group, GROUP_STABLE, now);
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
            if (m->syncing != NULL) {
                group_answer_sync(group, m, 0, out);
                group_member_touch(groups, m, now.ms);
            }
        }
    }
    if (group->state == GROUP_STABLE) {
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
            if (m->joining != NULL) {
                group_answer_join(group, m, out);
                group_member_touch(groups, m, now.ms);
            }
        }
    }
}

/* ---- sync ------------------------------------------------------------------------------------ */

static void refuse_sync(const struct group_sync *sync, int error, struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_SYNCED);

    effect->waiter = sync->waiter;
    effect->error = error;
}

static int sync_check(const struct group *group, const struct group_sync *sync,
                      struct group_member **out_member)
{
    int status = group_member_check(group, sync->member_id, sync->instance_id, out_member);

    if (status != 0) {
        return status;
    }
    if (sync->generation != group->generation) {
        return TERN_EILLEGALGENERATION;
    }
    if ((sync->protocol_type.base != NULL &&
         !text_is(&group->protocol_type, sync->protocol_type)) ||
        (sync->protocol.base != NULL && !text_is(&group->protocol, sync->protocol))) {
        return TERN_EINCONSISTENTPROTOCOL;
    }
    return group->state == GROUP_PREPARING ? TERN_EREBALANCE
           : group->state == GROUP_EMPTY   ? TERN_EUNKNOWNMEMBER
                                           : 0;
}

static void take_plan(struct groups *groups, struct group *group, struct group_member *leader,
                      const struct group_sync *sync, struct group_now now, struct group_out *out)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        group_member_set_assignment(groups, m, (struct slice){0});
    }
    for (uint32_t i = 0; i < sync->assignment_count; i++) {
        struct group_member *m = group_member_of(group, sync->assignments[i].member_id);
        if (m != NULL) {
            group_member_set_assignment(groups, m, sync->assignments[i].assignment);
        }
    }
    group->sync_generation = group->generation;
    if (!group_store(group, out)) {
        group->sync_generation = -1;
        group_answer_sync(group, leader, TERN_ETOOBIG, out);
    }
    if (MUTANT(plan_unstored)) {
        group_stored(groups, group, now, out);
    }
}

void groups_sync(struct groups *groups, struct group_now now, const struct group_sync *sync,
                 struct group_out *out)
{
    struct group_member *member = NULL;
    struct group *group;

    groups_bury(groups);
    HASH_FIND(hh, groups->all, sync->group_id.base, sync->group_id.len, group);
    int status = sync->group_id.len == 0 ? TERN_EINVALIDGROUP
                 : group == NULL         ? TERN_EUNKNOWNMEMBER
                                         : sync_check(group, sync, &member);
    if (status != 0) {
        refuse_sync(sync, status, out);
        return;
    }
    if (member->syncing != NULL) {
        group_answer_sync(group, member, TERN_EREBALANCE, out); /* a second one overtakes it */
    }
    member->owes_sync = false;
    member->syncing = sync->waiter;
    group_member_touch(groups, member, now.ms);
    if (group->state == GROUP_STABLE) {
        group_answer_sync(group, member, 0, out);
    } else if (text_is(&group->leader, sync->member_id)) {
        take_plan(groups, group, member, sync, now, out);
    }
}

/* ---- heartbeat, leave ------------------------------------------------------------------------ */

int groups_heartbeat(struct groups *groups, struct group_now now, struct slice group_id,
                     int32_t generation, struct slice member_id, struct slice instance_id)
{
    struct group_member *member = NULL;
    struct group *group;

    groups_bury(groups);
    if (group_id.len == 0) {
        return TERN_EINVALIDGROUP;
    }
    HASH_FIND(hh, groups->all, group_id.base, group_id.len, group);
    if (group != NULL && (group->broken || group->consumer != NULL)) {
        return group->broken
                   ? TERN_ELOADING
                   : mixed_heartbeat(groups, group, now, generation, member_id, instance_id);
    }
    int status = group != NULL ? group_member_check(group, member_id, instance_id, &member)
                               : TERN_EUNKNOWNMEMBER;
    if (status != 0) {
        return status;
    }
    if (generation != group->generation) {
        return TERN_EILLEGALGENERATION;
    }
    group_member_touch(groups, member, now.ms);
    return group->state == GROUP_PREPARING ? TERN_EREBALANCE : 0;
}

int groups_leave(struct groups *groups, struct group_now now, struct slice group_id,
                 struct slice member_id, struct slice instance_id, struct group_out *out)
{
    struct group *group;

    groups_bury(groups);
    if (group_id.len == 0) {
        return TERN_EINVALIDGROUP;
    }
    HASH_FIND(hh, groups->all, group_id.base, group_id.len, group);
    if (group == NULL) {
        return TERN_EUNKNOWNMEMBER;
    }
    if (group->broken || group->consumer != NULL) {
        return group->broken ? TERN_ELOADING
                             : mixed_leave(groups, group, now, member_id, instance_id, out);
    }
    struct group_pending *pending =
        instance_id.len == 0 ? group_pending_of(group, member_id) : NULL;
    if (pending != NULL) {
        group_pending_remove(groups, pending);
        group_maybe_complete(groups, group, now, out);
        group_settle(groups, group);
        return 0;
    }
    struct group_member *member = instance_id.len > 0 ? group_member_by_instance(group, instance_id)
                                                      : group_member_of(group, member_id);
    if (member == NULL) {
        return TERN_EUNKNOWNMEMBER;
    }
    if (instance_id.len > 0 && member_id.len > 0 && !text_is(&member->id, member_id)) {
        return TERN_EFENCEDINSTANCE;
    }
    group_member_remove(groups, member, out);
    group_shrunk(groups, group, now, out);
    group_settle(groups, group);
    return 0;
}
