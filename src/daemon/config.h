/* SPDX-License-Identifier: Apache-2.0 */
/* What a ternd is told: a YAML file, and flags that win over it. */
#pragma once

#include "agent/node.h"
#include "base/trace.h"

#define CONFIG_PATH_MAX 1024
#define CONFIG_WHY      512

struct config {
    uint32_t node_id;
    char region[WIRE_NAME_MAX];
    char rack[WIRE_NAME_MAX];
    bool witness;
    bool new_incarnation;
    char cluster[WIRE_NAME_MAX];
    char data[CONFIG_PATH_MAX];
    char certs[CONFIG_PATH_MAX];
    char listen_kafka[WIRE_ADDRESS_MAX];
    char listen_mesh[WIRE_ADDRESS_MAX];
    char listen_admin[WIRE_ADDRESS_MAX];
    char advertise_kafka[WIRE_ADDRESS_MAX]; /* as listen, unless it says otherwise */
    char advertise_mesh[WIRE_ADDRESS_MAX];
    char advertise_admin[WIRE_ADDRESS_MAX];
    uint32_t seed_count;
    struct node_seed seeds[NODE_SEEDS_MAX];
    struct store_options store;
    uint32_t snapshot_entries; /* 0: the quorum's default */
    uint32_t election_ms;      /* 0: measured */
    uint32_t suspicion_ms;
    uint32_t lease_ms;
    bool auto_create_topics;
    bool kernel_congestion;
    uint32_t group_initial_delay_ms;
    uint64_t group_retention_ms; /* 0: 7 days */
    uint32_t group_session_ms;   /* 0: 45 s */
    uint32_t group_interval_ms;  /* 0: 5 s */
    enum trace_level log_level;
    bool log_json;
    int argc; /* what it was read from: to read it again */
    char **argv;
};

enum config_outcome {
    CONFIG_RUN,
    CONFIG_DONE,  /* --help or --version was printed to stdout */
    CONFIG_USAGE, /* why tells what is wrong with the command line or the file */
};
/* Reads --config (if given), then the other flags, then checks the whole. argv must stay. */
enum config_outcome config_read(int argc, char **argv, struct config *out, char why[CONFIG_WHY]);

/* One setting by its name in the file ("listen/kafka"); for file and flags alike. ENOENT: there is
 * no such setting. */
int config_set(struct config *config, const char *name, const char *value,
               char why[128]) TERN_MUST_USE;
