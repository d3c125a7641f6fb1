/* SPDX-License-Identifier: Apache-2.0 */
/* What the control quorum must keep, judged from what its members have done:
 *
 *   Q1 no term of it has two leaders
 *   Q2 two nodes that have applied as much of the control log have the same state (seen where both stop
 *      at that index: what is applied at once is looked at once)
 *
 *   Q3 in the end every node that is not removed is let in, and has applied what any other one has
 *
 * Nodes notice the second by themselves, every 64 entries (quorum/hashes.c); few runs last that long. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_node;

#define SIM_TERMS_MAX   1024
#define SIM_INDEXES_MAX 8192

struct sim_quorum {
    uint8_t leader[SIM_TERMS_MAX];    /* by term; 0: none seen */
    uint64_t state[SIM_INDEXES_MAX];  /* hash, by index */
    uint8_t told_by[SIM_INDEXES_MAX]; /* 0: nobody */
};

/* After every event, before sim_node_watch. */
void sim_quorum_watch(struct sim_node *node);
/* Q3. False: not yet, `why` (or NULL) says who is missing. */
bool sim_quorum_settled(const struct sim *sim, char why[160]);
