/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of configs: the commit rule and the recovery rule of docs/model/replication_model.py
 * (held_by_quorum, enough), on sets of nodes. */
#include "control/internal.h"

bool control_config_equal(const struct control_config *a, const struct control_config *b)
{
    return control_config_same_rule(a, b) && a->learners == b->learners;
}

bool control_config_same_rule(const struct control_config *a, const struct control_config *b)
{
    return a->voters == b->voters && a->w == b->w && a->home == b->home;
}

node_set control_members(const struct control_config *config)
{
    return config->voters | config->learners;
}

uint32_t node_set_count(node_set set)
{
    return (uint32_t)__builtin_popcountll(set);
}

uint32_t node_set_first(node_set set)
{
    return set != 0 ? (uint32_t)__builtin_ctzll(set) : 0;
}

node_set control_region_voters(const struct control *control, const struct control_config *config,
                               uint32_t region)
{
    node_set in_region = 0;

    for (node_set left = config->voters; left != 0; left &= left - 1) {
        uint32_t n = node_set_first(left);
        in_region |= control->nodes[n].region == region ? NODE_BIT(n) : 0;
    }
    return in_region;
}

bool control_can_commit(const struct control *control, const struct control_config *config,
                        node_set alive)
{
    uint32_t hold = 0;

    for (uint32_t region = 0; region < control->region_count; region++) {
        node_set voters = control_region_voters(control, config, region);
        bool majority = voters != 0 && node_set_count(voters & alive) > node_set_count(voters) / 2;
        if (config->home >= 0 && region == (uint32_t)config->home) {
            return majority;
        }
        hold += majority;
    }
    return config->home < 0 && hold >= config->w;
}

bool control_can_recover(const struct control *control, const struct control_config *config,
                         node_set alive)
{
    uint32_t regions = 0;
    uint32_t read = 0;

    for (uint32_t region = 0; region < control->region_count; region++) {
        node_set voters = control_region_voters(control, config, region);
        uint32_t count = node_set_count(voters);
        if (count == 0) {
            continue;
        }
        bool met = node_set_count(voters & alive) >= count - count / 2;
        if (config->home >= 0 && region == (uint32_t)config->home) {
            return met;
        }
        regions++;
        read += met;
    }
    if (config->home >= 0) {
        return false;
    }
    uint32_t need = regions + 1 > config->w ? regions + 1 - config->w : 1;
    return read >= (need > 0 ? need : 1);
}
