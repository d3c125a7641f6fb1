/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_removal.h"

#include <stdio.h>

#include "base/error.h"
#include "tests/sim/sim_faults.h"

#define AGAIN_US (400 * SIM_MS)

enum afterwards { STAYS_AWAY, OLD_DISK, EMPTY_DISK, AFTERWARDS };

struct sim_removal {
    struct sim *sim;
    uint32_t id;
    enum afterwards afterwards;

    bool healed; /* the command is not given any more */
    bool taken;
    bool under_way;
    uint32_t node; /* where the command was given */
    struct quorum_proposal proposal;
    struct timer next;
};

static void come_back(struct sim_removal *removal)
{
    struct sim_node *node = &removal->sim->nodes[removal->id];

    node->gone = false;
    if (removal->taken && removal->afterwards == EMPTY_DISK) {
        sim_tell(removal->sim, "node %u comes back with an empty disk", removal->id);
        sim_node_change_disk(node, NULL);
    }
    sim_after(removal->sim, &node->restart, 0);
}

static bool is_removed(const struct sim_removal *removal)
{
    const struct control *control = sim_newest_control(removal->sim);

    return control != NULL && control->nodes[removal->id].removed;
}

static void answered(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct sim_removal *removal = CONTAINER_OF(proposal, struct sim_removal, proposal);
    struct command_result r = {0};

    removal->under_way = false;
    if (status == 0 && command_result_read(result, &r) == 0 && r.error != 0) {
        sim_tell(removal->sim, "node %u is not removed yet: %s", removal->id, r.why);
    }
}

/* An operator looks first: with another voter gone as well the quorum would have lost two of three. */
static bool others_ready(const struct sim_removal *removal)
{
    for (uint32_t id = 1; id <= removal->sim->node_count; id++) {
        const struct sim_node *node = &removal->sim->nodes[id];
        bool ready = node->node != NULL && !node->paused && node_phase(node->node) == NODE_READY;
        if (id != removal->id && !ready) {
            return false;
        }
    }
    return true;
}

static void give_command(struct sim_removal *removal)
{
    struct sim *sim = removal->sim;
    uint32_t at = 1 + (uint32_t)prng_below(&sim->chance_wear, sim->node_count);
    struct sim_node *node = &sim->nodes[at];
    struct buf command = {0};

    if (removal->under_way || !others_ready(removal) || at == removal->id ||
        node_quorum(node->node) == NULL) {
        return;
    }
    sim_node_enter(node);
    command_remove_node(&command, node_next_key(node->node), removal->id, "sim");
    removal->proposal.done = answered;
    removal->under_way = true;
    removal->node = at;
    quorum_submit(node_quorum(node->node), buf_slice(&command), &removal->proposal);
    buf_fini(&command);
}

/* First the machine dies, then the command is given until it is taken. */
static void next(struct timer *timer)
{
    struct sim_removal *removal = CONTAINER_OF(timer, struct sim_removal, next);
    struct sim *sim = removal->sim;
    struct sim_node *node = &sim->nodes[removal->id];

    if (!node->gone) {
        sim_tell(sim, "node %u is given up", removal->id);
        node->gone = true;
        sim_faults_spare_disks(sim); /* two disks in one run are more than is promised */
        sim_node_crash(node, prng_chance(&sim->chance_wear, 1, 2) ? SIM_POWER : SIM_KILL);
        sim->fault_count++;
        sim_after(sim, timer, prng_between(&sim->chance_wear, 0, 4 * SIM_S));
        return;
    }
    if (!is_removed(removal)) {
        if (removal->healed && !removal->under_way) {
            sim_tell(sim, "node %u is not removed and comes back", removal->id);
            come_back(removal);
            return;
        }
        if (!removal->healed) {
            give_command(removal);
        }
        sim_after(sim, timer, AGAIN_US);
        return;
    }
    removal->taken = true;
    sim_tell(sim, "node %u is removed for good", removal->id);
    if (node->may_forget && removal->afterwards == OLD_DISK) {
        removal->afterwards = STAYS_AWAY; /* whether it is an old one is not sure */
    }
    if (removal->afterwards != STAYS_AWAY) {
        come_back(removal);
    }
}

struct sim_removal *sim_removal_new(struct sim *sim)
{
    uint32_t with_a_mate[SIM_NODES_MAX];
    uint32_t count = 0;

    for (uint32_t id = 1; id <= sim->node_count; id++) {
        bool mate = id > SIM_REGIONS || id + SIM_REGIONS <= sim->node_count;
        if (mate) {
            with_a_mate[count++] = id;
        }
    }
    if (count == 0 || prng_chance(&sim->chance_wear, 1, 3)) {
        return NULL;
    }
    struct sim_removal *removal = mem_new(sizeof *removal);
    removal->sim = sim;
    removal->id = with_a_mate[prng_below(&sim->chance_wear, count)];
    removal->afterwards = (enum afterwards)prng_below(&sim->chance_wear, AFTERWARDS);
    removal->next.fire = next;
    sim_at(
        sim, &removal->next,
        prng_between(&sim->chance_wear, sim->now_us, (sim->now_us + sim->faults_end_us * 3) / 4));
    return removal;
}

void sim_removal_free(struct sim_removal *removal)
{
    if (removal != NULL) {
        struct sim *sim = removal->sim;
        if (removal->under_way) { /* a node that ends would have answered */
            quorum_cancel(node_quorum(sim->nodes[removal->node].node), &removal->proposal);
        }
        sim_stop(sim, &removal->next);
        free(removal);
    }
}

void sim_removal_heal(struct sim_removal *removal)
{
    removal->healed = true;
}

bool sim_removal_took_a_disk(const struct sim_removal *removal)
{
    return removal->taken;
}

/* A topic that still has a replica on the node; NULL: none has. */
static const struct control_topic *counts_on(const struct control *control, uint32_t id)
{
    for (const struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            for (uint32_t k = 0; k < t->partitions[i].replica_count; k++) {
                if (t->partitions[i].replicas[k].node == id) {
                    return t;
                }
            }
        }
    }
    return NULL;
}

bool sim_removal_settled(const struct sim_removal *removal, char why[160])
{
    const struct sim *sim = removal->sim;
    const struct sim_node *node = &sim->nodes[removal->id];
    const struct control *control = sim_newest_control(sim);
    bool ready = node->node != NULL && node_phase(node->node) == NODE_READY;
    char ignored[160];
    const struct control_topic *topic = control != NULL ? counts_on(control, removal->id) : NULL;

    why = why != NULL ? why : ignored;
    if (timer_armed(&removal->next)) {
        (void)snprintf(why, 160, "node %u is neither removed nor back", removal->id);
        return false;
    }
    /* A command whose outcome was not known may have been taken late. */
    bool outside = control != NULL && control->nodes[removal->id].removed &&
                   !(removal->taken && removal->afterwards == EMPTY_DISK);
    if (!outside) {
        (void)snprintf(why, 160, "node %u is not let in", removal->id);
        return ready;
    }
    if (ready && removal->taken) {
        sim_fail(removal->sim, "C13: node %u was removed, and its old disk takes part",
                 removal->id);
        return false;
    }
    if (topic != NULL) {
        (void)snprintf(why, 160, "%.64s has a replica on node %u, which was removed", topic->name,
                       removal->id);
        return false;
    }
    return true;
}
