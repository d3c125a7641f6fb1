/* SPDX-License-Identifier: Apache-2.0 */
/* Where replicas go: over regions (the policy's data regions), then racks, then least loaded. */
#include <stdio.h>

#include "control/internal.h"

uint32_t control_data_regions(const struct control *control,
                              char names[CONTROL_REGIONS_MAX][WIRE_NAME_MAX],
                              uint32_t nodes[CONTROL_REGIONS_MAX])
{
    uint32_t count = 0;

    for (uint32_t r = 0; r < control->region_count; r++) {
        if (control->regions[r].witness) {
            continue;
        }
        memcpy(names[count], control->regions[r].name, WIRE_NAME_MAX);
        nodes[count] = 0;
        for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
            nodes[count] += control->nodes[n].id != 0 && control->nodes[n].start_number != 0 &&
                            !control->nodes[n].removed && control->nodes[n].region == r;
        }
        count++;
    }
    return count;
}

void control_count_load(const struct control *control, uint32_t *load)
{
    memset(load, 0, WIRE_NODES_MAX * sizeof *load);
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t p = 0; p < t->partition_count; p++) {
            for (uint32_t i = 0; i < t->partitions[p].replica_count; i++) {
                load[t->partitions[p].replicas[i].node]++;
            }
        }
    }
}

static uint32_t in_same_rack(const struct control *control, uint32_t node, node_set chosen)
{
    uint32_t count = 0;

    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        count += (chosen & NODE_BIT(n)) != 0 &&
                 control->nodes[n].region == control->nodes[node].region &&
                 strcmp(control->nodes[n].rack, control->nodes[node].rack) == 0;
    }
    return count;
}

/* Is node x the better place than y, beside those already chosen? */
static bool better_place(const struct control *control, uint32_t x, uint32_t y, node_set chosen,
                         const uint32_t *load)
{
    const struct control_node *a = &control->nodes[x];
    const struct control_node *b = &control->nodes[y];
    uint32_t racks_x = in_same_rack(control, x, chosen);
    uint32_t racks_y = in_same_rack(control, y, chosen);

    if ((a->fenced || a->full) != (b->fenced || b->full)) {
        return !(a->fenced || a->full);
    }
    if (racks_x != racks_y) {
        return racks_x < racks_y;
    }
    if (load[x] != load[y]) {
        return load[x] < load[y];
    }
    return x < y;
}

node_set control_place_in_region(const struct control *control, uint32_t region, uint32_t want,
                                 node_set taken, uint32_t *load)
{
    node_set added = 0;

    for (uint32_t i = 0; i < want; i++) {
        uint32_t best = 0;
        for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
            const struct control_node *node = &control->nodes[n];
            bool possible = node->id != 0 && node->start_number != 0 && !node->removed &&
                            node->region == region && ((taken | added) & NODE_BIT(n)) == 0;
            if (possible && (best == 0 || better_place(control, n, best, taken | added, load))) {
                best = n;
            }
        }
        if (best == 0) {
            break;
        }
        added |= NODE_BIT(best);
        load[best]++;
    }
    return added;
}

static bool region_wanted(const struct policy *policy, const char *name)
{
    for (uint32_t i = 0; i < policy->region_count; i++) {
        if (strcmp(policy->regions[i], name) == 0) {
            return true;
        }
    }
    return policy->region_count == 0;
}

int control_place_as(const struct control *control, const struct policy *policy, node_set replicas,
                     struct control_config *out_config, char why[256])
{
    char names[CONTROL_REGIONS_MAX][WIRE_NAME_MAX];
    uint32_t nodes[CONTROL_REGIONS_MAX];
    uint32_t count = control_data_regions(control, names, nodes);
    struct control_config config = {.voters = replicas, .w = (uint8_t)policy->ack, .home = -1};
    int error = policy_satisfiable(policy, (const char(*)[WIRE_NAME_MAX])names, nodes, count, why);
    node_set placed = 0;

    if (error != 0) {
        return error;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t region = (uint32_t)control_region_named(control, names[i]);
        uint32_t wanted = region_wanted(policy, names[i]) && nodes[i] > 0 ? policy->copies : 0;
        node_set here = 0;
        for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
            const struct control_node *node = &control->nodes[n];
            bool usable = node->id != 0 && node->start_number != 0 && !node->removed;
            here |= usable && node->region == region ? replicas & NODE_BIT(n) : 0;
        }
        placed |= here;
        if (node_set_count(here) != wanted) {
            (void)snprintf(why, 256,
                           "policy %s places %u replicas of a partition in region %.*s, not %u",
                           policy->name, wanted, WIRE_NAME_MAX - 1, names[i], node_set_count(here));
            return TERN_EINVALIDASSIGNMENT;
        }
    }
    if (placed != replicas) {
        (void)snprintf(why, 256, "a replica is assigned to a broker that is not there");
        return TERN_EINVALIDASSIGNMENT;
    }
    if (policy->mode == POLICY_ASYNC) {
        config.w = 1;
        config.home = (int8_t)control_region_named(control, policy->home);
    }
    *out_config = config;
    return 0;
}

int control_place(const struct control *control, const struct policy *policy, uint32_t *load,
                  struct control_config *out_config, char why[256])
{
    char names[CONTROL_REGIONS_MAX][WIRE_NAME_MAX];
    uint32_t nodes[CONTROL_REGIONS_MAX];
    uint32_t count = control_data_regions(control, names, nodes);
    struct control_config config = {.w = (uint8_t)policy->ack, .home = -1};
    int error = policy_satisfiable(policy, (const char(*)[WIRE_NAME_MAX])names, nodes, count, why);

    if (error != 0) {
        return error;
    }
    if (policy->mode == POLICY_ASYNC) {
        config.w = 1;
        config.home = (int8_t)control_region_named(control, policy->home);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (region_wanted(policy, names[i])) {
            uint32_t region = (uint32_t)control_region_named(control, names[i]);
            config.voters |=
                control_place_in_region(control, region, policy->copies, config.voters, load);
        }
    }
    if (node_set_count(config.voters) > CONTROL_REPLICAS_MAX) {
        (void)snprintf(why, 256, "policy %s needs %u replicas, the most is %d", policy->name,
                       node_set_count(config.voters), CONTROL_REPLICAS_MAX);
        return TERN_EPOLICY;
    }
    *out_config = config;
    return 0;
}
