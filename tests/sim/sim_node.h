/* SPDX-License-Identifier: Apache-2.0 */
/* One simulated machine: a disk that survives, and a ternd without its world on it. */
#pragma once

#include "agent/node.h"
#include "tests/sim/sim_clock.h"

struct sim;
struct sim_topic;

struct sim_node {
    struct sim *sim;
    uint32_t id;
    uint32_t region;
    struct sim_clock clock;
    struct disk *disk;
    uint64_t disk_us;  /* its slowest answer on good days */
    struct node *node; /* NULL: down */
    bool paused;
    bool silent; /* down, and the machine, too: its peers get no answer at all */
    bool dying;  /* fatal was called: it ends with this turn */
    int death;
    char death_what[160];
    bool may_die; /* a write of it was made to fail */
    uint64_t starts;
    uint64_t watched; /* control index up to which the simulator has looked */
    bool may_forget;  /* its disk was wiped or rolled back: it comes back as a new incarnation */
    bool was_cut;     /* a file of its disk was: it may be refused, and gets an empty one then */
    bool gone;        /* it is not started again */
    struct timer restart;
};

extern const char *const sim_regions[];

void sim_node_init(struct sim_node *node, struct sim *sim, uint32_t id, uint32_t region);
void sim_node_fini(struct sim_node *node);
/* Starts the process from what is on the disk. */
void sim_node_start(struct sim_node *node);
enum sim_crash {
    SIM_KILL,  /* the process alone: what was written stays */
    SIM_POWER, /* the machine: what was not synced is lost, kept or torn */
};
void sim_node_crash(struct sim_node *node, enum sim_crash how);
/* Another disk in the machine, while it is down; takes ownership. NULL: an empty one. */
void sim_node_change_disk(struct sim_node *node, struct disk *disk);
void sim_node_pause(struct sim_node *node, bool paused);
/* The same without a word, of one that runs. */
void sim_node_hold(struct sim_node *node, bool paused);
/* After every event: a node that has died, or whose disk has stopped, is gone. */
void sim_node_settle(struct sim_node *node);
/* It is dead, if only for this turn of the loop. */
bool sim_node_gone(const struct sim_node *node);
/* After every event: what it has applied since, of epochs; the checker hears of lossy ones. */
void sim_node_watch(struct sim_node *node);
/* What the node that has applied most knows; NULL: all are down. */
const struct control *sim_newest_control(const struct sim *sim);
/* The node has led an epoch of the partition that no lossy one in force has replaced. */
bool sim_leads(const struct sim_topic *topic, int32_t index, uint32_t node);
/* A few lines of the story: what it thinks of itself and of all partitions. */
void sim_node_describe(const struct sim_node *node);
/* Its code runs now: what it traces carries its name. */
void sim_node_enter(const struct sim_node *node);
