/* SPDX-License-Identifier: Apache-2.0 */
/* A few quorums over simulated disks, wires and clocks, all driven by one seed. For tests of the
 * quorum room alone; the whole-cluster simulator is tests/sim.
 *
 * The disks are mem_disks. Wires delay, are cut in one direction at a time, and lose what is under
 * way when an end of them dies. */
#pragma once

#include "base/prng.h"
#include "base/timer_heap.h"
#include "quorum/quorum.h"

#define WORLD_NODES   8
#define WORLD_INDEXES 65536

struct world;

struct world_node {
    struct world *world;
    uint32_t node_id;
    uint64_t raft_id;
    struct disk *disk; /* a mem_disk */
    struct clock clock;
    struct timer_heap timers;
    struct prng prng;
    struct wire wire;
    struct quorum *quorum; /* NULL: not running */
    uint64_t boot;
    bool fatal;
    bool fatal_expected;
    int fatal_error;
    char fatal_what[128];
    bool controller;
    uint64_t controller_term;
    uint64_t applied_count; /* commands applied in this life */
    struct buf state;       /* the state machine: 8 bytes per distinct command, in order */
    uint64_t state_hash;
    bool spoil; /* a planted bug: the next apply differs on this node */
};

struct world_event {
    uint64_t at_us;
    uint64_t seq;
    void (*fire)(struct world *world, struct world_event *event);
    void (*drop)(struct world_event *event);
};

struct world {
    uint64_t seed;
    bool telling;
    struct prng prng;
    uint64_t now_us;
    uint64_t next_seq;
    struct world_event **events; /* heap */
    size_t event_count;
    size_t event_cap;
    struct world_node nodes[WORLD_NODES + 1]; /* by node id; 0 unused */
    unsigned count;
    struct quorum_options options; /* what all nodes have in common */
    uint64_t proposal_timeout_ms;
    /* Network. */
    bool cut[WORLD_NODES + 1][WORLD_NODES + 1]; /* from, to */
    uint64_t last_arrival_us[WORLD_NODES + 1][WORLD_NODES + 1][2];
    uint64_t link_epoch[WORLD_NODES + 1][WORLD_NODES + 1];
    uint64_t delay_min_us;
    uint64_t delay_max_us;
    /* What must hold. */
    uint64_t by_index[WORLD_INDEXES]; /* command applied at the index; 0: none seen */
    uint64_t term_leader[4096];       /* node id of the controller of a term */
    uint64_t *acked;
    size_t acked_count;
    uint64_t reads_granted;
    uint64_t changes_done;
    bool lost;     /* set instead of failing when expect_loss */
    bool tolerant; /* violations are noted in `lost`, not fatal */
    char violation[256];
    /* Called for every frame about to be queued; false drops it silently. */
    bool (*filter)(struct world *world, uint32_t from, uint32_t to, uint16_t type);
    void *filter_ctx;
};

struct world *world_new(uint64_t seed, unsigned nodes);
void world_free(struct world *world);
/* The first `voters` nodes found the quorum; all of them are started. */
void world_found(struct world *world, unsigned voters);
/* Starts or restarts a node from its disk; 0 or quorum_open's error. */
int world_start(struct world *world, uint32_t node_id);
/* What the node is started with. */
void world_node_options(struct world *world, uint32_t node_id, struct quorum_options *out);
/* The power fails before so many more write points of the node's disk. */
void world_crash_in(struct world *world, uint32_t node_id, uint64_t points);
/* Power off: what the disk has not synced is lost, by chance. */
void world_crash(struct world *world, uint32_t node_id);
/* Runs until `until_us`, or until `stop` says so; false if it never did. */
bool world_run(struct world *world, uint64_t ms, bool (*stop)(struct world *world));
void world_cut(struct world *world, uint32_t from, uint32_t to, bool cut);
void world_isolate(struct world *world, uint32_t node_id, bool cut);
void world_heal(struct world *world);
/* The running node that is controller with the highest term; 0 if none. */
uint32_t world_controller(const struct world *world);
/* Submits the command (a number other than 0) at the node; acks are noted. */
void world_submit(struct world *world, uint32_t node_id, uint64_t command);
/* Asks for a read index at the node; when it is granted the node must have all that was acked when
 * it was asked. */
void world_read(struct world *world, uint32_t node_id);
/* Asks the node to change the membership; the outcome is only told. */
void world_change(struct world *world, uint32_t node_id, enum quorum_change_kind kind,
                  uint32_t member);
bool world_has(const struct world *world, uint32_t node_id, uint64_t command);
/* Every acked command is in the state of every running node; all states are equal. */
void world_check_end(struct world *world);
void world_violation(struct world *world, const char *format, ...) TERN_PRINTF(2, 3);
