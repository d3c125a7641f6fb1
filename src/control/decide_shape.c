/* SPDX-License-Identifier: Apache-2.0 */
/* Configs and what the policy wants of them: degrade and restore, growing and shrinking by way of
 * learners, replicas that forgot, leaders back in their place; and the ledger that goes with it. */
#include <stdio.h>

#include "control/decide_inner.h"

/* Nodes that were told lately not to acknowledge, for `after_ms` or longer. */
static node_set silent_nodes(const struct round *r, const struct subject *s, uint64_t after_ms)
{
    const struct watch *watch = s->watch;
    uint64_t now = r->view->now_ms;

    if (watch == NULL || watch->silent_ms == 0 || now - watch->silent_ms > DECIDE_SILENT_FRESH_MS ||
        now - watch->silent_from_ms < after_ms) {
        return 0;
    }
    return watch->silent;
}

static bool leader_serves(const struct round *r, const struct subject *s)
{
    return s->p->leader != 0 && (r->writable & NODE_BIT(s->p->leader)) != 0 &&
           (s->watch == NULL || !s->watch->no_quorum);
}

static node_set ready_nodes(const struct round *r, const struct subject *s)
{
    return s->watch != NULL ? s->watch->ready & r->usable : 0;
}

static uint32_t regions_with_voters(const struct round *r, node_set voters)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < r->control->region_count; i++) {
        count += (voters & r->region_nodes[i]) != 0;
    }
    return count;
}

/* Is the promise weaker than the policy says, as things are configured? */
static bool is_degraded(const struct control_topic *topic, const struct control_partition *p)
{
    return topic->policy.mode == POLICY_SYNC &&
           (p->config.home >= 0 || p->config.w < topic->policy.ack);
}

/* ---- the ledger ---------------------------------------------------------------------------- */

static int by_subject(const void *a, const void *b)
{
    const struct control_ledger_entry *x = *(const struct control_ledger_entry *const *)a;
    const struct control_ledger_entry *y = *(const struct control_ledger_entry *const *)b;
    int order = strcmp(x->topic, y->topic);

    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

void decide_ledger_index(struct round *r)
{
    const struct control *control = r->control;

    r->open = mem_new(control->ledger_count * sizeof(struct control_ledger_entry *));
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        if (control->ledger[i].kind == LEDGER_DEGRADED && control->ledger[i].until_wall_ms == 0) {
            r->open[r->open_known++] = &control->ledger[i];
        }
    }
    qsort(r->open, r->open_known, sizeof(struct control_ledger_entry *), by_subject);
}

static bool is_open(const struct round *r, const char *topic, int32_t partition)
{
    struct control_ledger_entry e = {.partition = partition};
    const struct control_ledger_entry *wanted = &e;

    (void)snprintf(e.topic, sizeof e.topic, "%s", topic);
    return r->open_known > 0 && bsearch(&wanted, r->open, r->open_known,
                                        sizeof(struct control_ledger_entry *), by_subject) != NULL;
}

static void add_entry(struct control_ledger_entry **entries, size_t *count,
                      const struct control_ledger_entry *entry)
{
    *entries = mem_grow(*entries, *count + 1, sizeof **entries);
    (*entries)[(*count)++] = *entry;
}

/* False: it does not fit into this round. */
static bool open_ledger(struct round *r, const struct subject *s, const char *note)
{
    struct control_ledger_entry e = {.kind = LEDGER_DEGRADED,
                                     .partition = s->index,
                                     .first_offset = -1,
                                     .end_offset = -1,
                                     .since_wall_ms = r->view->wall_ms};

    if (is_open(r, s->topic->name, s->index) || is_open(r, s->topic->name, -1)) {
        return true;
    }
    if (r->open_count >= r->room) {
        return false;
    }
    memcpy(e.topic, s->topic->name, sizeof e.topic);
    (void)snprintf(e.decided_by, sizeof e.decided_by, "policy %s", s->topic->policy.name);
    (void)snprintf(e.note, sizeof e.note, "%s", note);
    add_entry(&r->opens, &r->open_count, &e);
    return true;
}

static bool partition_degraded(const struct round *r, const struct control_topic *t, uint32_t i)
{
    const struct watch *watch = decide_find_watch(r, t->id, (int32_t)i);
    bool deciding = watch != NULL && watch->assigned_ms == r->view->now_ms;

    return deciding || is_degraded(t, &t->partitions[i]) || !t->partitions[i].activated;
}

static bool still_degraded(const struct round *r, const struct control_ledger_entry *e)
{
    const struct control_topic *t = control_topic_named(r->control, e->topic);

    if (t == NULL || e->partition >= (int32_t)t->partition_count) {
        return false;
    }
    if (e->partition >= 0) {
        return partition_degraded(r, t, (uint32_t)e->partition);
    }
    for (uint32_t i = 0; i < t->partition_count; i++) {
        if (partition_degraded(r, t, i)) {
            return true;
        }
    }
    return false;
}

void decide_ledger(struct round *r)
{
    for (size_t i = 0; i < r->open_known && r->close_count < r->room; i++) {
        if (!still_degraded(r, r->open[i])) {
            struct control_ledger_entry closed = *r->open[i];
            closed.until_wall_ms = r->view->wall_ms > closed.since_wall_ms
                                       ? r->view->wall_ms
                                       : closed.since_wall_ms + 1;
            closed.bytes = 0;
            closed.millis = 0;
            add_entry(&r->closes, &r->close_count, &closed);
        }
    }
}

/* ---- 4: degrade ---------------------------------------------------------------------------- */

/* Have the voters of the region been silent for as long as the policy waits? So many of them that
 * no majority is left. */
static bool region_lost(const struct round *r, const struct subject *s, node_set voters,
                        uint64_t after_ms)
{
    node_set lost = 0;

    for (node_set left = voters; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        const struct decide_node *seen = &r->view->nodes[n];
        bool gone = !seen->reachable && seen->silent_ms >= after_ms;
        bool told = (silent_nodes(r, s, after_ms) & NODE_BIT(n)) != 0;
        lost |= gone || told ? NODE_BIT(n) : 0;
    }
    return node_set_count(voters & ~lost) <= node_set_count(voters) / 2;
}

bool decide_degrade(struct round *r, struct subject *s)
{
    const struct policy *policy = &s->topic->policy;
    const struct control_partition *p = s->p;
    struct control_config config = p->recover;
    node_set lost = 0;

    if (policy->mode != POLICY_SYNC || policy->on_region_loss != POLICY_LOSS_DEGRADE ||
        config.home >= 0 || config.w <= 2) {
        return false;
    }
    for (uint32_t i = 0; i < r->control->region_count; i++) {
        node_set voters = config.voters & r->region_nodes[i];
        if (voters != 0 && region_lost(r, s, voters, policy->region_loss_after_ms)) {
            lost |= voters;
        }
    }
    config.voters &= ~lost;
    config.learners |= lost;
    uint32_t left = regions_with_voters(r, config.voters);
    if (lost == 0 || left < 2) {
        return false;
    }
    config.w = (uint8_t)(left < config.w ? left : config.w);
    if (control_config_same_rule(&config, &p->config) && p->leader != 0 &&
        (r->writable & NODE_BIT(p->leader)) != 0) {
        return false; /* it is under way */
    }
    struct watch *watch = decide_watch(r, s);
    if (watch->assigned_ms != 0 && r->view->now_ms - watch->assigned_ms < r->view->suspicion_ms) {
        return true;
    }
    node_set present = NODE_BIT(p->leader) & ~(node_set)1 & r->usable;
    uint32_t leader =
        control_choose_leader(r->control, s->topic, p, &config, present, r->usable, r->leads);
    if (leader == 0) {
        leader =
            control_choose_leader(r->control, s->topic, p, &config, r->usable, r->usable, r->leads);
    }
    if (leader == 0 || !open_ledger(r, s, "a region is lost: the others acknowledge without it") ||
        !decide_assign(r, s, leader, &config, false)) {
        return false;
    }
    watch->assigned_ms = r->view->now_ms;
    return true;
}

/* ---- 6: what the policy wants -------------------------------------------------------------- */

static bool region_wanted(const struct round *r, const struct policy *policy, uint32_t region)
{
    if (r->control->regions[region].witness) {
        return false;
    }
    for (uint32_t i = 0; i < policy->region_count; i++) {
        if (strcmp(policy->regions[i], r->control->regions[region].name) == 0) {
            return true;
        }
    }
    return policy->region_count == 0;
}

/* At most `want` of the set: those in `first` before others, then by id. */
static node_set take_some(node_set set, node_set first, uint32_t want)
{
    node_set taken = 0;

    for (int pass = 0; pass < 2; pass++) {
        node_set from = pass == 0 ? set & first : set & ~first;
        for (node_set left = from; left != 0 && want > 0; left &= left - 1, want--) {
            taken |= NODE_BIT(node_set_first(left));
        }
    }
    return taken;
}

/* A region in which replicas are reassigned: those that are to go count until the others do. */
static void reassign_region(struct round *r, const struct subject *s, node_set voters,
                            node_set target, struct control_config *next)
{
    node_set ready = s->p->config.learners & ready_nodes(r, s);
    node_set there = (voters | ready) & target;
    uint32_t copies = s->topic->policy.copies;
    uint32_t counted = node_set_count(there);
    uint32_t still = copies > counted ? copies - counted : 0;

    next->voters |= there | take_some(voters & ~target, NODE_BIT(s->p->leader), still);
    next->learners |= target & ~there & (r->usable | s->p->config.learners);
}

/* Nothing can be committed without nodes that were removed: no learner would ever be level with what
 * is committed, so it becomes a voter at once. Activation waits until it holds everything. */
static bool stranded(const struct round *r, const struct control_config *config)
{
    return (config->voters & r->removed) != 0 &&
           !control_can_commit(r->control, config, ~r->removed);
}

/* What the replicas should become now: voters that are there and wanted, learners that are ready
 * become voters, learners are added where copies are missing. */
static struct control_config wanted_members(struct round *r, const struct subject *s)
{
    const struct policy *policy = &s->topic->policy;
    const struct control_config *now = &s->p->config;
    struct control_config next = {.w = now->w, .home = now->home};
    bool at_once = stranded(r, &s->p->config);
    node_set ready = now->learners & (at_once ? r->usable : ready_nodes(r, s));
    bool complete = true;
    node_set unwanted = 0;

    for (uint32_t i = 0; i < r->control->region_count; i++) {
        node_set gone = now->voters & r->region_nodes[i] & r->removed;
        node_set voters = now->voters & r->region_nodes[i] & ~gone;
        node_set learners = now->learners & r->region_nodes[i] & ~r->removed;
        unwanted |= gone;
        if (!region_wanted(r, policy, i)) {
            unwanted |= voters;
            continue;
        }
        node_set target = s->p->target & r->region_nodes[i] & ~r->removed;
        if (target != 0 && target != voters) {
            reassign_region(r, s, voters, target, &next);
            continue;
        }
        node_set keep = take_some(voters, NODE_BIT(s->p->leader), policy->copies);
        uint32_t missing = policy->copies - node_set_count(keep);
        node_set promoted = take_some(learners & ready, 0, missing);
        missing -= node_set_count(promoted);
        node_set waiting = take_some(learners & ~promoted, 0, missing);
        missing -= node_set_count(waiting);
        next.voters |= keep | promoted;
        next.learners |= waiting;
        if (missing > 0) {
            if (!r->load_counted) {
                control_count_load(r->control, r->load);
                r->load_counted = true;
            }
            next.learners |= control_place_in_region(r->control, i, missing,
                                                     now->voters | now->learners, r->load) &
                             r->usable;
        }
        /* A region without any node of it left has nobody to wait for. */
        bool deserted = (r->region_nodes[i] & ~r->removed) == 0;
        complete = complete && (deserted || ((voters | learners) != 0 && (keep | promoted) != 0));
    }
    if (!complete) {
        next.voters |= unwanted; /* they count until the wanted regions are there */
    }
    return next;
}

static void wanted_rule(struct round *r, const struct subject *s, struct control_config *next)
{
    const struct policy *policy = &s->topic->policy;
    uint32_t regions = regions_with_voters(r, next->voters);

    if (policy->mode == POLICY_ASYNC) {
        int32_t home = next->home;
        if (home < 0 || (next->voters & r->region_nodes[home]) == 0) {
            home = control_region_named(r->control, policy->home);
        }
        if (home >= 0 && (next->voters & r->region_nodes[home]) != 0) {
            next->home = (int8_t)home;
            next->w = 1;
        }
    } else if (regions >= policy->ack) {
        next->w = (uint8_t)policy->ack;
        next->home = -1;
    }
    /* Less than the policy says only as long as there are not enough regions for it. */
    if (next->home < 0 && next->w > regions) {
        next->voters = s->p->config.voters;
        next->learners &= ~next->voters;
        next->w = s->p->config.w;
    }
}

static bool fits(const struct subject *s, const struct control_config *next)
{
    return node_set_count(control_members(next) | control_members(&s->p->recover)) <=
           CONTROL_REPLICAS_MAX;
}

uint32_t decide_lead_stranded(const struct round *r, const struct subject *s,
                              const struct control_config *config)
{
    node_set holds = control_recoverable(s->p, r->usable);
    node_set able = config->voters & holds & r->writable;

    /* Also the present config: one that comes to life when learners have caught up is let. */
    if (!stranded(r, &s->p->config) || !stranded(r, config) || able == 0 || config->home >= 0 ||
        !control_can_recover(r->control, &s->p->recover, holds)) {
        return 0;
    }
    return (able & NODE_BIT(s->p->leader)) != 0 ? s->p->leader : node_set_first(able);
}

/* Proposes the config with the present leader, if it can lead it. */
static bool propose_shape(struct round *r, struct subject *s, struct control_config next)
{
    const struct control_partition *p = s->p;
    node_set present = NODE_BIT(p->leader);

    if (control_config_same_rule(&next, &p->config)) {
        next.voters = p->config.voters;
    } else if (s->watch != NULL && r->view->now_ms < s->watch->hold_ms) {
        return false; /* the last new config was not activated in time */
    }
    uint32_t leader =
        control_choose_leader(r->control, s->topic, p, &next, present, r->usable, r->leads);
    if (leader == 0) {
        leader =
            control_choose_leader(r->control, s->topic, p, &next, r->usable, r->usable, r->leads);
    }
    if (leader == 0 && control_config_same_rule(&next, &p->config)) {
        leader = decide_lead_stranded(r, s, &p->config);
    }
    if (leader == 0 || !fits(s, &next) || !decide_take_token(r)) {
        return false;
    }
    return decide_assign(r, s, leader, &next, false);
}

static bool grow_or_shrink(struct round *r, struct subject *s)
{
    struct control_config next = wanted_members(r, s);

    wanted_rule(r, s, &next);
    if (stranded(r, &s->p->config) && !control_can_commit(r->control, &next, ~r->removed)) {
        next.learners = (next.learners | next.voters | s->p->config.learners) & ~r->removed &
                        ~s->p->config.voters;
        next.voters = s->p->config.voters; /* learners first */
        next.w = s->p->config.w;
        next.home = s->p->config.home;
    }
    return !control_config_equal(&next, &s->p->config) && propose_shape(r, s, next);
}

/* Replicas of an incarnation that the epoch was not assigned with: a learner is pinned anew at
 * once, a voter when it has caught up. And a voter that was pinned before it had caught up is proven. */
static bool count_again(struct round *r, struct subject *s)
{
    const struct control_partition *p = s->p;
    node_set stale = 0;

    for (uint32_t i = 0; i < p->replica_count; i++) {
        const struct control_replica *replica = &p->replicas[i];
        if (replica->incarnation != r->control->nodes[replica->node].incarnation) {
            stale |= NODE_BIT(replica->node);
        }
    }
    stale &= r->usable;
    stale &= p->config.learners | ready_nodes(r, s);
    stale |= decide_unproven(p) & p->config.voters & ready_nodes(r, s);
    if (stale == 0) {
        return false;
    }
    return propose_shape(r, s, p->config);
}

/* ---- 7: leaders back in their place -------------------------------------------------------- */

static node_set well_nodes(const struct round *r, uint64_t for_ms)
{
    node_set well = 0;

    for (node_set left = r->writable; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        uint64_t since = r->memory->well_since_ms[n];
        if (since != 0 && r->view->now_ms - since >= for_ms) {
            well |= NODE_BIT(n);
        }
    }
    return well;
}

/* Voters that follow the newest epoch with the disk that it was assigned with. */
static node_set following(const struct round *r, const struct subject *s)
{
    node_set set = 0;

    for (uint32_t i = 0; i < s->p->replica_count; i++) {
        const struct control_replica *replica = &s->p->replicas[i];
        if (replica->incarnation == r->control->nodes[replica->node].incarnation) {
            set |= NODE_BIT(replica->node);
        }
    }
    return set & s->p->config.voters & ~silent_nodes(r, s, 0);
}

bool decide_may_move(const struct round *r, const struct subject *s)
{
    const struct watch *watch = s->watch;

    return watch == NULL ||
           ((watch->moved_ms == 0 || r->view->now_ms - watch->moved_ms >= DECIDE_HEALTHY_MS) &&
            r->view->now_ms >= watch->hold_ms);
}

/* Who is still catching up after a long absence would have to finish that before it serves. */
node_set decide_level_nodes(const struct round *r, const struct subject *s)
{
    node_set caught_up = ready_nodes(r, s) & well_nodes(r, DECIDE_HEALTHY_MS);

    return following(r, s) & (caught_up | well_nodes(r, DECIDE_SURELY_MS));
}

/* Another replica of the leader's region, whose node leads less by at least two. */
static bool balance(struct round *r, struct subject *s)
{
    uint32_t leader = s->p->leader;
    node_set others = r->region_nodes[r->control->nodes[leader].region] & ~NODE_BIT(leader);
    uint32_t least = 0;

    if ((s->p->config.voters & others) == 0 || !decide_may_move(r, s)) {
        return false;
    }
    for (node_set left = decide_level_nodes(r, s) & others; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        least = least == 0 || r->leads[n] < r->leads[least] ? n : least;
    }
    if (least == 0 || r->leads[leader] < r->leads[least] + 2 ||
        control_choose_leader(r->control, s->topic, s->p, &s->p->config, NODE_BIT(least), r->usable,
                              r->leads) == 0 ||
        !decide_take_token(r) || !decide_assign(r, s, least, &s->p->config, false)) {
        return false;
    }
    decide_watch(r, s)->moved_ms = r->view->now_ms;
    return true;
}

static bool back_in_place(struct round *r, struct subject *s)
{
    const struct control_partition *p = s->p;
    struct control_config config = p->config;
    uint32_t now_rank =
        control_preference(r->control, s->topic, r->control->nodes[p->leader].region);
    node_set better = 0;

    if (now_rank == 0 || !decide_may_move(r, s)) {
        return false;
    }
    node_set candidates = decide_level_nodes(r, s);
    for (node_set left = candidates; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        uint32_t rank = control_preference(r->control, s->topic, r->control->nodes[n].region);
        bool home = config.home < 0 || rank == 0; /* an async home moves only to the policy's */
        better |= rank < now_rank && home ? NODE_BIT(n) : 0;
    }
    if (better == 0) {
        return false;
    }
    if (config.home >= 0) {
        config.home = (int8_t)r->control->nodes[node_set_first(better)].region;
    }
    uint32_t leader =
        control_choose_leader(r->control, s->topic, p, &config, better, r->usable, r->leads);
    if (leader == 0 || !decide_take_token(r) || !decide_assign(r, s, leader, &config, false)) {
        return false;
    }
    decide_watch(r, s)->moved_ms = r->view->now_ms;
    return true;
}

bool decide_shape(struct round *r, struct subject *s)
{
    if (!s->p->activated) {
        return false;
    }
    if (!leader_serves(r, s)) {
        return stranded(r, &s->p->config) && grow_or_shrink(r, s);
    }
    if (is_degraded(s->topic, s->p)) {
        (void)open_ledger(r, s, "fewer regions acknowledge than the policy says");
    }
    return grow_or_shrink(r, s) || count_again(r, s) || back_in_place(r, s) ||
           decide_follow_members(r, s) || balance(r, s);
}
