/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum/config_history.h"

#include "base/check.h"
#include "quorum/messages.h"

void config_history_fini(struct config_history *history)
{
    (void)config_history_truncate(history, 0);
    free(history->items);
    *history = (struct config_history){0};
}

void config_history_add(struct config_history *history, uint64_t index,
                        const struct raft_configuration *configuration)
{
    CHECK(history->count == 0 || history->items[history->count - 1].index < index);
    history->items = mem_grow(history->items, history->count + 1, sizeof *history->items);
    struct config_at *item = &history->items[history->count++];
    item->index = index;
    raft_config_copy(configuration, &item->configuration);
}

bool config_history_truncate(struct config_history *history, uint64_t index)
{
    bool any = false;

    while (history->count > 0 && history->items[history->count - 1].index >= index) {
        raft_configuration_close(&history->items[--history->count].configuration);
        any = true;
    }
    return any;
}

void config_history_trim(struct config_history *history, uint64_t index)
{
    size_t drop = 0;

    while (drop + 1 < history->count && history->items[drop + 1].index <= index) {
        raft_configuration_close(&history->items[drop].configuration);
        drop++;
    }
    for (size_t i = drop; i < history->count; i++) {
        history->items[i - drop] = history->items[i];
    }
    history->count -= drop;
}

const struct config_at *config_history_at(const struct config_history *history, uint64_t index)
{
    const struct config_at *found = NULL;

    for (size_t i = 0; i < history->count && history->items[i].index <= index; i++) {
        found = &history->items[i];
    }
    return found;
}

const struct raft_server *raft_config_find(const struct raft_configuration *configuration,
                                           uint64_t raft_id)
{
    for (unsigned i = 0; i < configuration->n; i++) {
        if (configuration->servers[i].id == raft_id) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}
