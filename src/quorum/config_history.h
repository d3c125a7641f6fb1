/* SPDX-License-Identifier: Apache-2.0 */
/* The configurations of the log, oldest first, so that a truncation can go back to the right one
 * and a snapshot gets the one of its own index. libraft 0.15 keeps only the newest: it looks for
 * the older one in its log (gone after a snapshot), forgets over a restart that the newest was
 * uncommitted, and writes uncommitted ones into snapshots. */
#pragma once

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct config_at {
    uint64_t index; /* of its entry */
    struct raft_configuration configuration;
};

struct config_history {
    struct config_at *items; /* indexes ascend */
    size_t count;
};

void config_history_fini(struct config_history *history);
/* Copies. `index` is above all others. */
void config_history_add(struct config_history *history, uint64_t index,
                        const struct raft_configuration *configuration);
/* Forgets those at `index` and above; true if there were any. */
bool config_history_truncate(struct config_history *history, uint64_t index);
/* Forgets those that no index >= `index` needs. */
void config_history_trim(struct config_history *history, uint64_t index);
/* The configuration in force at `index`; NULL if it is older than all. */
const struct config_at *config_history_at(const struct config_history *history, uint64_t index);

/* The member with this id, or NULL. */
const struct raft_server *raft_config_find(const struct raft_configuration *configuration,
                                           uint64_t raft_id);
