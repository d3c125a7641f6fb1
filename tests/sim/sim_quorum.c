/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_quorum.h"

#include <stdio.h>

#include "quorum/quorum_impl.h"
#include "tests/sim/sim.h"

static void watch_term(struct sim_node *node)
{
    struct sim *sim = node->sim;
    const struct quorum *quorum = node_quorum(node->node);

    if (quorum == NULL || quorum->raft.state != RAFT_LEADER ||
        quorum->raft.current_term >= SIM_TERMS_MAX) {
        return;
    }
    uint8_t *known = &sim->quorum.leader[quorum->raft.current_term];
    if (*known != 0 && *known != node->id) {
        sim_fail(sim, "Q1: nodes %u and %u both led the control quorum in term %llu", *known,
                 node->id, (unsigned long long)quorum->raft.current_term);
    }
    *known = (uint8_t)node->id;
}

static void watch_state(struct sim_node *node)
{
    struct sim *sim = node->sim;
    uint64_t index = node_control(node->node)->applied_index;

    if (index == node->watched || index >= SIM_INDEXES_MAX) {
        return;
    }
    uint64_t hash = control_hash(node_control(node->node));
    if (sim->quorum.told_by[index] != 0 && sim->quorum.state[index] != hash) {
        sim_fail(sim,
                 "Q2: nodes %u and %u have applied %llu entries of the control log, and differ",
                 sim->quorum.told_by[index], node->id, (unsigned long long)index);
    }
    sim->quorum.state[index] = hash;
    sim->quorum.told_by[index] = (uint8_t)node->id;
}

void sim_quorum_watch(struct sim_node *node)
{
    if (node->node != NULL) {
        watch_term(node);
        watch_state(node);
    }
}

bool sim_quorum_settled(const struct sim *sim, char why[160])
{
    const struct control *newest = sim_newest_control(sim);

    for (uint32_t id = 1; newest != NULL && id <= sim->node_count; id++) {
        const struct node *node = sim->nodes[id].node;
        bool current = node != NULL && node_phase(node) == NODE_READY &&
                       node_control(node)->applied_index == newest->applied_index;
        if (!current && !newest->nodes[id].removed) {
            if (why != NULL) {
                (void)snprintf(why, 160, "node %u %s, and has applied %llu of %llu commands", id,
                               node == NULL ? "is down" : node_phase_name(node_phase(node)),
                               node == NULL ? 0ULL
                                            : (unsigned long long)node_control(node)->applied_index,
                               (unsigned long long)newest->applied_index);
            }
            return false;
        }
    }
    return newest != NULL;
}
