/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: the policy's preferred order over regions, then fewest leaders, then lowest node id.
 */
#include "base/mutant.h"
#include "control/internal.h"

node_set control_alive(const struct control *control)
{
    node_set alive = 0;

    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        const struct control_node *node = &control->nodes[n];
        if (node->id != 0 && node->start_number != 0 && !node->fenced) {
            alive |= NODE_BIT(n);
        }
    }
    return alive;
}

node_set control_writable(const struct control *control, node_set alive)
{
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if (control->nodes[n].full) {
            alive &= ~NODE_BIT(n);
        }
    }
    return alive;
}

node_set control_recoverable(const struct control_partition *partition, node_set alive)
{
    /* The newest epoch of which anybody can have got the initial log: a lossy one leaves no trace
     * before it is activated. */
    int32_t newest = partition->epoch - (partition->lossy && !partition->activated ? 1 : 0);

    for (uint32_t i = 0; i < partition->replica_count; i++) {
        /* No epoch >= since could be served yet, so its `synced` cannot have got there. */
        if (partition->replicas[i].since > newest && !MUTANT(forgotten_counts)) {
            alive &= ~NODE_BIT(partition->replicas[i].node);
        }
    }
    return alive;
}

bool control_recovers(const struct control *control, const struct control_partition *partition,
                      node_set alive)
{
    return control_can_recover(control, &partition->recover, control_recoverable(partition, alive));
}

uint32_t control_choose_survivor(const struct control *control, const struct control_topic *topic,
                                 const struct control_partition *partition, node_set alive)
{
    node_set members = control_members(&partition->recover) & control_writable(control, alive);
    node_set holds = control_recoverable(partition, members);
    node_set voters = members & partition->recover.voters;
    node_set tries[] = {holds & voters, holds, voters, members};
    uint32_t best = 0;

    for (size_t i = 0; best == 0 && i < ARRAY_COUNT(tries); i++) {
        for (node_set left = tries[i]; left != 0; left &= left - 1) {
            uint32_t n = node_set_first(left);
            bool better =
                best == 0 || control_preference(control, topic, control->nodes[n].region) <
                                 control_preference(control, topic, control->nodes[best].region);
            best = better ? n : best;
        }
    }
    return best;
}

uint32_t control_preferred_leader(const struct control *control, const struct control_topic *topic,
                                  const struct control_partition *partition, node_set alive)
{
    alive &= control_alive(control);
    uint32_t now = partition->leader;
    uint32_t best =
        control_choose_leader(control, topic, partition, &partition->config, alive, alive, NULL);
    bool good = best != 0 && now != 0 && (alive & NODE_BIT(now)) != 0;

    if (good && control_preference(control, topic, control->nodes[now].region) <=
                    control_preference(control, topic, control->nodes[best].region)) {
        return now; /* leaders are spread over nodes and regions that are wanted alike */
    }
    return best;
}

bool control_lost(const struct control *control, const struct control_partition *partition)
{
    return !control_can_recover(control, &partition->recover,
                                control_recoverable(partition, ~(node_set)0));
}

uint32_t control_preference(const struct control *control, const struct control_topic *topic,
                            uint32_t region)
{
    const struct policy *policy = &topic->policy;

    if (policy->mode == POLICY_ASYNC && strcmp(control->regions[region].name, policy->home) == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < policy->prefer_count; i++) {
        if (strcmp(control->regions[region].name, policy->prefer[i]) == 0) {
            return 1 + i;
        }
    }
    return 1 + POLICY_REGIONS_MAX;
}

/* Is leader x wanted more than y? Replicas that must first copy everything come last. */
static bool wanted_more(const struct control *control, const struct control_topic *topic,
                        node_set holds, uint32_t x, uint32_t y, const uint32_t *leads)
{
    bool holds_x = (holds & NODE_BIT(x)) != 0;
    bool holds_y = (holds & NODE_BIT(y)) != 0;
    uint32_t prefer_x = control_preference(control, topic, control->nodes[x].region);
    uint32_t prefer_y = control_preference(control, topic, control->nodes[y].region);

    if (holds_x != holds_y) {
        return holds_x;
    }
    if (prefer_x != prefer_y) {
        return prefer_x < prefer_y;
    }
    if (leads != NULL && leads[x] != leads[y]) {
        return leads[x] < leads[y];
    }
    return x < y;
}

uint32_t control_choose_leader(const struct control *control, const struct control_topic *topic,
                               const struct control_partition *partition,
                               const struct control_config *config, node_set candidates,
                               node_set alive, const uint32_t *leads)
{
    node_set holds = control_recoverable(partition, alive);
    node_set writable = control_writable(control, alive);
    uint32_t best = 0;

    if (!control_can_commit(control, config, writable) ||
        !control_can_recover(control, &partition->recover, holds)) {
        return 0;
    }
    candidates &= config->voters & writable;
    if (config->home >= 0) {
        candidates &= control_region_voters(control, config, (uint32_t)config->home);
    }
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if ((candidates & NODE_BIT(n)) != 0 &&
            (best == 0 || wanted_more(control, topic, holds, n, best, leads))) {
            best = n;
        }
    }
    return best;
}
