/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs: assigned (replication rules 1, 8, 9), moved when a node goes, activated.
 *
 *     ASSIGNED --config counts as the last activated one--> ACTIVATED
 *     ASSIGNED --activated(P, e), e still the newest-----> ACTIVATED (recover := config)
 *     any      --assign----------------------------------> ASSIGNED, epoch + 1
 *
 * Invariant: the leader is a voter of the config; replicas are the members of config and recover;
 * an epoch never goes back. */
#include "base/mutant.h"
#include "control/internal.h"

void apply_count_leads(struct apply *a)
{
    if (a->leads_counted) {
        return;
    }
    a->leads_counted = true;
    memset(a->leads, 0, sizeof a->leads);
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t p = 0; p < t->partition_count; p++) {
            a->leads[t->partitions[p].leader]++;
        }
    }
}

/* The replicas of the newest epoch: who stays keeps its `since`, who is new counts from now on. */
static void pin_replicas(const struct control *control, struct control_partition *p)
{
    struct control_replica old[CONTROL_REPLICAS_MAX];
    uint32_t old_count = p->replica_count;
    node_set members = control_members(&p->config) | control_members(&p->recover);

    CHECK(node_set_count(members) <= CONTROL_REPLICAS_MAX);
    memcpy(old, p->replicas, sizeof old);
    p->replica_count = 0;
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if ((members & NODE_BIT(n)) == 0) {
            continue;
        }
        struct control_replica *r = &p->replicas[p->replica_count++];
        *r = (struct control_replica){.node = n,
                                      .incarnation = control->nodes[n].incarnation,
                                      .since = old_count > 0 ? p->epoch : 0};
        for (uint32_t i = 0; i < old_count; i++) {
            if (old[i].node == n) {
                r->since = old[i].since;
            }
        }
    }
}

/* After an activation the old config's replicas are nobody's business any more. */
static void prune_replicas(struct control_partition *p)
{
    node_set members = control_members(&p->config);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < p->replica_count; i++) {
        if ((members & NODE_BIT(p->replicas[i].node)) != 0) {
            p->replicas[kept++] = p->replicas[i];
        }
    }
    p->replica_count = kept;
}

/* An epoch that cannot be recovered is served by nobody, so nobody catches up in it either; nor in a
 * lossy one that was never activated. */
static void forget_on(struct control_partition *p)
{
    for (uint32_t i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].since == p->epoch && p->epoch > 0) {
            p->replicas[i].since = p->epoch + 1;
        }
    }
}

/* Those that follow the newest epoch have a `synced` at or above their `since`, and keep it: they count from
 * now on without a question. */
static void note_level(struct control_partition *p, node_set level)
{
    for (uint32_t i = 0; i < p->replica_count; i++) {
        struct control_replica *replica = &p->replicas[i];
        if ((level & NODE_BIT(replica->node)) != 0 && replica->since <= p->epoch) {
            replica->since = 0;
        }
    }
}

void apply_epoch(struct apply *a, struct control_topic *topic, int32_t partition, uint32_t leader,
                 struct control_config config, bool lossy)
{
    struct control_partition *p = &topic->partitions[partition];

    CHECK(p->epoch < INT32_MAX);
    CHECK(leader < WIRE_NODES_MAX);
    CHECK(leader == 0 || (config.voters & NODE_BIT(leader)) != 0);
    CHECK((config.voters & config.learners) == 0);
    bool lost = !lossy && p->replica_count > 0 && control_lost(a->control, p);
    if (a->leads_counted) {
        a->leads[p->leader]--;
        a->leads[leader]++;
    }
    if (p->lossy && !p->activated) {
        forget_on(p);
    }
    p->epoch++;
    p->leader = leader;
    p->leader_start = leader != 0 ? a->control->nodes[leader].start_number : 0;
    p->config = config;
    p->lossy = lossy;
    p->activated = !lossy && control_config_same_rule(&config, &p->recover);
    if (p->activated) {
        p->recover = config; /* learners may differ */
    }
    reassigned(p);
    p->assigned_index = a->index;
    pin_replicas(a->control, p);
    if (lost) {
        forget_on(p);
    }
    apply_change(a, (struct control_change){.kind = CONTROL_ASSIGNED,
                                            .topic_id = topic->id,
                                            .partition = partition,
                                            .node = leader});
}

/* ---- a node goes --------------------------------------------------------------------------- */

/* The newest config, or the last activated one where that alone can still be led. */
static uint32_t choose_with_fallback(struct apply *a, const struct control_topic *topic,
                                     const struct control_partition *p, node_set candidates,
                                     struct control_config *out_config)
{
    node_set alive = control_alive(a->control);
    uint32_t leader = 0;

    if (!p->lossy || p->activated) {
        *out_config = p->config;
        leader =
            control_choose_leader(a->control, topic, p, &p->config, candidates, alive, a->leads);
    }
    if (leader == 0 && !p->activated) {
        *out_config = p->recover;
        leader =
            control_choose_leader(a->control, topic, p, &p->recover, candidates, alive, a->leads);
    }
    return leader;
}

static bool may_lead(const struct control *control, const struct control_config *config,
                     uint32_t node)
{
    return (config->voters & NODE_BIT(node)) != 0 &&
           (config->home < 0 || control->nodes[node].region == (uint32_t)config->home);
}

/* No leader reaches its quorums, but the leadership of the earlier start is over: the node itself
 * waits for its quorum in a new epoch; where it may not lead the last activated config, nobody. */
static void lead_itself(struct apply *a, struct control_topic *topic, int32_t partition,
                        uint32_t node)
{
    struct control_partition *p = &topic->partitions[partition];
    bool keep = (!p->lossy || p->activated) && may_lead(a->control, &p->config, node);
    struct control_config config = keep ? p->config : p->recover;

    apply_epoch(a, topic, partition, may_lead(a->control, &config, node) ? node : 0, config, false);
}

void apply_move_leaders(struct apply *a, uint32_t node, bool or_itself)
{
    node_set others = control_alive(a->control) & ~NODE_BIT(node);

    apply_count_leads(a);
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            struct control_partition *p = &t->partitions[i];
            struct control_config config;
            if (p->leader != node) {
                continue;
            }
            uint32_t leader = choose_with_fallback(a, t, p, others, &config);
            if (leader == 0 && or_itself) {
                leader = choose_with_fallback(a, t, p, NODE_BIT(node), &config);
            }
            if (leader != 0) {
                apply_epoch(a, t, (int32_t)i, leader, config, false);
            } else if (or_itself) {
                lead_itself(a, t, (int32_t)i, node);
            }
        }
    }
}

/* ---- assign -------------------------------------------------------------------------------- */

static uint32_t region_count_of(const struct control *control, const struct control_config *config)
{
    uint32_t count = 0;

    for (uint32_t r = 0; r < control->region_count; r++) {
        count += control_region_voters(control, config, r) != 0;
    }
    return count;
}

static bool members_are_data_nodes(const struct control *control, node_set members)
{
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        const struct control_node *node = &control->nodes[n];
        if ((members & NODE_BIT(n)) != 0 &&
            (node->id == 0 || node->start_number == 0 || control->regions[node->region].witness)) {
            return false;
        }
    }
    return true;
}

/* May a topic run by this commit rule without an operator's word? */
static bool rule_allowed(const struct control_topic *topic, const struct control_config *config)
{
    const struct policy *policy = &topic->policy;

    if (policy->mode == POLICY_ASYNC) {
        return true;
    }
    if (config->home >= 0 || config->w < 2) {
        return false;
    }
    return config->w >= policy->ack || policy->on_region_loss == POLICY_LOSS_DEGRADE;
}

/* NULL: fine; else what is wrong. */
static const char *config_fault(const struct control *control, const struct control_topic *topic,
                                const struct control_partition *p,
                                const struct command_assignment *item,
                                const struct control_config *config)
{
    node_set present = control_members(&p->config) | control_members(&p->recover);
    node_set all = control_members(config) | control_members(&p->recover);

    if (control_config_same_rule(config, &p->recover) && config->learners == p->recover.learners) {
        return NULL;
    }
    if (config->voters == 0 || config->w == 0 || config->w > region_count_of(control, config)) {
        return "the config has too few voters for its commit rule";
    }
    if (config->home >= 0 &&
        ((uint32_t)config->home >= control->region_count || config->w != 1 ||
         control_region_voters(control, config, (uint32_t)config->home) == 0)) {
        return "the home region of the config has no voter";
    }
    if (!members_are_data_nodes(control, control_members(config))) {
        return "a member of the config is not a registered node of a data region";
    }
    if ((config->voters & ~present) != 0) {
        return "a new voter must be a learner first";
    }
    if (node_set_count(all) > CONTROL_REPLICAS_MAX) {
        return "old and new config have too many replicas together";
    }
    if (item->decided_by[0] == '\0' && !control_config_same_rule(config, &p->config) &&
        !control_config_same_rule(config, &p->recover) && !rule_allowed(topic, config)) {
        return "the commit rule is weaker than the policy allows";
    }
    return NULL;
}

/* The config of a lossy epoch: the leader's replica alone; all others follow as learners, so that
 * what they hold beyond it is truncated into quarantine and not deleted. */
static struct control_config lossy_config(const struct control *control,
                                          const struct control_topic *topic,
                                          const struct control_partition *p, uint32_t leader)
{
    node_set members = control_members(&p->config) | control_members(&p->recover);
    bool async = topic->policy.mode == POLICY_ASYNC;

    return (struct control_config){
        .voters = NODE_BIT(leader),
        .learners = members & ~NODE_BIT(leader),
        .w = 1,
        .home = (int8_t)(async ? (int32_t)control->nodes[leader].region : -1)};
}

static const char *lossy_fault(const struct control_topic *topic, const struct control_partition *p,
                               const struct command_assignment *item)
{
    const struct policy *policy = &topic->policy;
    bool by_policy = policy->mode == POLICY_ASYNC && policy->failover == POLICY_FAILOVER_AUTO;

    if (item->decided_by[0] == '\0' && !by_policy) {
        return "a lossy epoch of this topic needs an operator's word";
    }
    /* Who decides by hand may also take what a learner holds. */
    node_set holders =
        item->decided_by[0] == '\0' ? p->recover.voters : control_members(&p->recover);
    if (item->leader == 0 || (holders & NODE_BIT(item->leader)) == 0) {
        return "the leader of a lossy epoch must hold the partition";
    }
    if (p->recover.voters == NODE_BIT(item->leader)) {
        return "the leader is the only voter: nothing needs to be given up";
    }
    if (item->decided_by[0] == '\0' &&
        (control_recoverable(p, NODE_BIT(item->leader)) & NODE_BIT(item->leader)) == 0) {
        return "the leader has lost its disk";
    }
    return NULL;
}

static int assign_one(struct apply *a, const struct command_assignment *item)
{
    struct control *control = a->control;
    struct control_topic *topic = control_topic_by_id(control, item->topic_id);
    struct control_partition *p = control_partition(control, item->topic_id, item->partition);
    node_set alive = control_alive(control) & ~item->avoid;
    struct control_config config;
    uint32_t leader = item->leader;

    if (p == NULL) {
        return apply_refuse(a, TERN_ENOENT, "there is no such partition");
    }
    if (p->epoch != item->if_epoch) {
        return apply_refuse(a, TERN_EREFUSED, "%s-%d: the newest epoch is %d, not %d", topic->name,
                            item->partition, p->epoch, item->if_epoch);
    }
    bool dropped = item->back_to_active || (p->lossy && !p->activated);
    config = item->has_config ? item->config : dropped ? p->recover : p->config;
    const char *fault =
        item->lossy ? lossy_fault(topic, p, item) : config_fault(control, topic, p, item, &config);
    if (fault != NULL) {
        return apply_refuse(a, TERN_EREFUSED, "%s-%d: %s", topic->name, item->partition, fault);
    }
    if (item->lossy) {
        config = lossy_config(control, topic, p, leader);
    } else if (leader == 0) {
        leader = control_choose_leader(control, topic, p, &config, alive, alive, a->leads);
        if (leader == 0) {
            return apply_refuse(a, TERN_ENOQUORUM, "%s-%d: no leader reaches its quorums",
                                topic->name, item->partition);
        }
    }
    if (!may_lead(control, &config, leader) ||
        (control_writable(control, control_alive(control)) & NODE_BIT(leader)) == 0) {
        return apply_refuse(a, TERN_EREFUSED, "%s-%d: node %u may not lead it now", topic->name,
                            item->partition, leader);
    }
    note_level(p, item->level);
    apply_epoch(a, topic, item->partition, leader, config, item->lossy);
    return 0;
}

void apply_assign(struct apply *a, const struct command_assignment *items, size_t count)
{
    struct command_result first = {0};

    apply_count_leads(a);
    for (size_t i = 0; i < count; i++) {
        if (assign_one(a, &items[i]) != 0 && first.error == 0) {
            first = *a->result;
        }
    }
    *a->result = first;
}

/* ---- activated ----------------------------------------------------------------------------- */

/* The log of the leader of an activated lossy epoch is all that there is: it counts, whatever its disk
 * had forgotten before (M survivor-uncounted: it may crash before its `synced` is that epoch). */
static void count_survivor(struct control_partition *p)
{
    for (uint32_t i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].node == p->leader) {
            p->replicas[i].since = 0;
        }
    }
}

void apply_activated(struct apply *a, const struct command *command)
{
    struct control_partition *p = control_partition(a->control, command->as.activated.topic_id,
                                                    command->as.activated.partition);

    if (p == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no such partition");
        return;
    }
    if (p->epoch != command->as.activated.epoch && !MUTANT(late_activated)) {
        (void)apply_refuse(a, TERN_EREFUSED, "epoch %d is not the newest, that is %d",
                           command->as.activated.epoch, p->epoch);
        return;
    }
    if (p->activated) {
        return;
    }
    p->activated = true;
    p->recover = p->config;
    reassigned(p);
    if (p->lossy) {
        p->lossy_epoch = p->epoch;
        p->lossy_start = command->as.activated.start_offset;
        count_survivor(p);
    }
    prune_replicas(p);
    apply_change(a, (struct control_change){.kind = CONTROL_ACTIVATED,
                                            .topic_id = command->as.activated.topic_id,
                                            .partition = command->as.activated.partition,
                                            .node = p->leader});
    if (command->as.activated.has_ledger && !MUTANT(lossy_unledgered)) {
        apply_ledger(a, &command->as.activated.ledger);
    }
}
