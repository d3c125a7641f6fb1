/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator of a consumer group is the leader of its partition of the groups' topic. Where the
 * policy leaves open who leads, it sits in the region with most members: their heartbeats cross no
 * ocean. It goes there late and seldom, because all members lose it for a moment. */
#include "control/decide_inner.h"

/* Twice as many and two more: what changes with one member is no reason. */
static bool clearly_more(uint32_t there, uint32_t here)
{
    return there > here && there / 2 >= here && there - here >= 2;
}

void decide_note_members(const struct round *r, struct watch *watch, uint32_t leader,
                         const uint32_t members[CONTROL_REGIONS_MAX])
{
    uint32_t here = r->control->nodes[leader].region;
    uint32_t best = here;

    for (uint32_t i = 0; i < r->control->region_count; i++) {
        best = members[i] > members[best] ? i : best;
    }
    uint32_t crowd = clearly_more(members[best], members[here]) && best != here ? best + 1 : 0;
    bool goes_on =
        crowd == watch->crowd && r->view->now_ms - watch->members_ms <= DECIDE_MEMBERS_FRESH_MS;
    if (!goes_on) {
        watch->crowd = crowd;
        watch->crowd_from_ms = r->view->now_ms;
    }
    watch->members_ms = r->view->now_ms;
}

static bool is_due(const struct round *r, const struct subject *s)
{
    const struct watch *watch = s->watch;
    uint64_t now = r->view->now_ms;

    return watch != NULL && watch->crowd != 0 &&
           now - watch->members_ms <= DECIDE_MEMBERS_FRESH_MS &&
           now - watch->crowd_from_ms >= DECIDE_MEMBERS_MS &&
           (r->memory->followed_ms == 0 || now - r->memory->followed_ms >= DECIDE_MEMBERS_EVERY_MS);
}

bool decide_follow_members(struct round *r, struct subject *s)
{
    const struct policy *policy = &s->topic->policy;
    const struct control_config *config = &s->p->config;

    if (!is_due(r, s) || policy->mode != POLICY_SYNC || policy->prefer_count > 0 ||
        config->home >= 0 || !decide_may_move(r, s)) {
        return false;
    }
    node_set there = decide_level_nodes(r, s) & r->region_nodes[s->watch->crowd - 1];
    if (there == 0) {
        return false;
    }
    uint32_t leader =
        control_choose_leader(r->control, s->topic, s->p, config, there, r->usable, r->leads);
    if (leader == 0 || !decide_take_token(r) || !decide_assign(r, s, leader, config, false)) {
        return false;
    }
    s->watch->moved_ms = r->view->now_ms;
    r->memory->followed_ms = r->view->now_ms;
    return true;
}
