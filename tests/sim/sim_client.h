/* SPDX-License-Identifier: Apache-2.0 */
/* What producers and consumers have in common: connections to all nodes and what Metadata said. */
#pragma once

#include "tests/sim/sim.h"

#define SIM_PARTITIONS_MAX 64

struct sim_client {
    struct sim *sim;
    char name[32];
    uint32_t place;
    struct sim_conn conns[SIM_NODES_MAX];
    struct {
        uint32_t leader;   /* 0: not known */
        uint64_t replicas; /* bit per node */
        int32_t epoch;
    } known[SIM_PARTITIONS_MAX]; /* by number over all topics */
    bool asking;
    struct sim_call metadata;
    struct timer again;
    void (*told)(struct sim_client *client); /* Metadata has arrived */
};

void sim_client_init(struct sim_client *client, struct sim *sim, uint32_t place, const char *name);
void sim_client_fini(struct sim_client *client);
/* Asks a node by chance, soon, unless that is under way. */
void sim_client_refresh(struct sim_client *client);
/* A node by chance. */
struct sim_conn *sim_client_any(struct sim_client *client);
/* Topic of a partition number. */
const struct sim_topic *sim_topic_of(const struct sim *sim, int32_t partition);
