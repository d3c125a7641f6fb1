/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions that cannot serve: no leader, a leader that resigned, a config that does not come to
 * life, an async home that is gone. */
#include "control/decide_inner.h"

/* Leaders that resigned are not tried again for so many D, while there are others. */
#define FAILED_FOR      10
#define ALL_FAILED_WAIT 4

static bool lossy_pending(const struct control_partition *p)
{
    return p->lossy && !p->activated;
}

static bool leader_gone(const struct round *r, const struct control_partition *p)
{
    return p->leader == 0 || r->control->nodes[p->leader].fenced ||
           r->control->nodes[p->leader].start_number != p->leader_start;
}

/* Who leads `config`: first those that did not resign lately. Where all have, the fault is likely
 * not theirs: then anybody again, but not so often. */
static uint32_t choose(const struct round *r, const struct subject *s,
                       const struct control_config *config)
{
    const struct watch *w = s->watch;
    node_set failed = w != NULL ? w->failed : 0;
    node_set tries[] = {r->usable & ~failed & ~r->behind, r->usable & ~NODE_BIT(s->p->leader),
                        r->usable};
    bool patient =
        w != NULL && r->view->now_ms - w->assigned_ms < ALL_FAILED_WAIT * r->view->suspicion_ms;
    size_t count = failed == 0 || patient ? 1 : ARRAY_COUNT(tries);
    uint32_t leader = 0;

    for (size_t i = 0; leader == 0 && i < count; i++) {
        leader = control_choose_leader(r->control, s->topic, s->p, config, tries[i], r->usable,
                                       r->leads);
    }
    return leader;
}

/* A new epoch with the present config, or with the last activated one if that is all that can be
 * led (or `back`: if the present one had its chance). */
static bool reassign(struct round *r, struct subject *s, bool back)
{
    const struct control_partition *p = s->p;
    const struct control_config *config = back || lossy_pending(p) ? &p->recover : &p->config;
    uint32_t leader = choose(r, s, config);

    if (leader == 0 && config == &p->config && !p->activated) {
        config = &p->recover;
        leader = choose(r, s, config);
    }
    if (leader == 0 && config == &p->recover) {
        leader = decide_lead_stranded(r, s, config);
    }
    if (leader == 0 || !decide_assign(r, s, leader, config, false)) {
        return false;
    }
    decide_watch(r, s)->assigned_ms = r->view->now_ms;
    return true;
}

static bool backed_off(const struct round *r, const struct subject *s)
{
    return s->watch == NULL || s->watch->assigned_ms == 0 ||
           r->view->now_ms - s->watch->assigned_ms >= r->view->suspicion_ms;
}

static void forgive(const struct round *r, struct subject *s)
{
    if (s->watch != NULL && s->watch->failed != 0 &&
        r->view->now_ms - s->watch->failed_ms > FAILED_FOR * r->view->suspicion_ms) {
        s->watch->failed = 0;
    }
}

/* ---- 5: an async home that is gone --------------------------------------------------------- */

/* Nodes that may still be there: not silent for as long as the policy waits. */
static node_set maybe_there(const struct round *r, uint64_t after_ms)
{
    node_set there = 0;

    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if (r->view->nodes[n].reachable || r->view->nodes[n].silent_ms < after_ms) {
            there |= NODE_BIT(n);
        }
    }
    return there;
}

/* Could any node of the set still hold a lease, from us or from the controller before us? The
 * factor of 1.1 is for clocks that run at different speeds. */
static bool lease_may_run(const struct round *r, node_set nodes)
{
    uint64_t lease = r->view->lease_ms + r->view->lease_ms / 10;

    if (r->view->now_ms - r->view->controller_since_ms < lease) {
        return true;
    }
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        uint64_t granted = r->view->lease_granted_ms[n];
        if ((nodes & NODE_BIT(n)) != 0 && granted != 0 && r->view->now_ms - granted < lease) {
            return true;
        }
    }
    return false;
}

static uint32_t choose_lossy(const struct round *r, const struct subject *s, node_set home)
{
    node_set candidates = control_recoverable(s->p, s->p->recover.voters & r->writable) & ~home;
    uint32_t best = 0;
    uint32_t best_rank = 0;

    for (node_set left = candidates; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        uint32_t rank = control_preference(r->control, s->topic, r->control->nodes[n].region);
        if (best == 0 || rank < best_rank || (rank == best_rank && r->leads[n] < r->leads[best])) {
            best = n;
            best_rank = rank;
        }
    }
    return best;
}

static bool give_up_home(struct round *r, struct subject *s)
{
    const struct policy *policy = &s->topic->policy;
    const struct control_partition *p = s->p;

    if (policy->mode != POLICY_ASYNC || policy->failover != POLICY_FAILOVER_AUTO ||
        p->recover.home < 0 || (lossy_pending(p) && !leader_gone(r, p))) {
        return false;
    }
    node_set home = control_region_voters(r->control, &p->recover, (uint32_t)p->recover.home);
    /* Who has forgotten is no reason to wait, and cannot be serving. */
    node_set there = control_recoverable(p, maybe_there(r, policy->failover_after_ms));
    node_set leased = control_recoverable(p, home | (NODE_BIT(p->leader) & ~(node_set)1));
    if (control_can_recover(r->control, &p->recover, there) || lease_may_run(r, leased)) {
        return false;
    }
    uint32_t leader = choose_lossy(r, s, home);
    if (leader == 0 || !decide_assign(r, s, leader, NULL, true)) {
        return false;
    }
    decide_watch(r, s)->assigned_ms = r->view->now_ms;
    return true;
}

/* ---- 2, 3 ---------------------------------------------------------------------------------- */

/* An epoch that needs activation and does not get it in time. */
static bool stuck(struct round *r, struct subject *s)
{
    if (s->p->activated) {
        return false;
    }
    struct watch *watch = decide_watch(r, s);
    return r->view->now_ms - watch->seen_ms >= 2 * r->view->suspicion_ms;
}

/* Rule 12: an epoch that its leader has not heard of for so long will not serve. */
static bool unserved(const struct round *r, const struct subject *s)
{
    uint32_t leader = s->p->leader;

    return (r->behind & NODE_BIT(leader)) != 0 &&
           s->p->assigned_index > r->view->nodes[leader].applied_index &&
           s->p->assigned_index <= r->memory->mark_index[leader];
}

bool decide_repair(struct round *r, struct subject *s)
{
    forgive(r, s);
    if (leader_gone(r, s->p)) {
        if (!backed_off(r, s) || reassign(r, s, false)) {
            return true;
        }
        /* Nothing else makes sense without a leader, but to replace who was removed. */
        return give_up_home(r, s) || (s->p->config.voters & r->removed) == 0;
    }
    if (unserved(r, s)) {
        struct watch *watch = decide_watch(r, s);
        watch->no_quorum = true;
        watch->failed |= NODE_BIT(s->p->leader);
        watch->failed_ms = r->view->now_ms;
    }
    if ((s->watch != NULL && s->watch->no_quorum) || stuck(r, s)) {
        if (!backed_off(r, s)) {
            return true;
        }
        struct watch *watch = decide_watch(r, s);
        if (reassign(r, s, !s->p->activated)) {
            if (!s->p->activated) {
                watch->hold_ms = r->view->now_ms + FAILED_FOR * r->view->suspicion_ms;
            }
            return true;
        }
    }
    if (give_up_home(r, s)) {
        return true;
    }
    return !s->p->activated; /* let it come to life first */
}
