/* SPDX-License-Identifier: Apache-2.0 */
/* What a store must hold, told by somebody who knows only its contract.
 *
 * All writes of a store have one order. So after a crash its whole contents must be the state after
 * some first part of that order: at least everything acknowledged, at most everything called. */
#pragma once

#include "store/store.h"

#define MODEL_LOGS  4
#define MODEL_NOTES 3

enum model_kind {
    MODEL_CREATE,
    MODEL_APPEND,
    MODEL_PROMISE,
    MODEL_SYNCED,
    MODEL_TRUNCATE,
    MODEL_RESTART,
    MODEL_LOG_START,
    MODEL_DELETE,
    MODEL_NOTE,
};

struct model_batch {
    int64_t base;
    int32_t records;
    int32_t epoch;
    uint32_t len;
    uint32_t seed;
};

struct model_op {
    enum model_kind kind;
    unsigned log;
    int64_t number; /* epoch, offset or note */
    bool quarantine;
    struct model_batch batch;
};

struct model_log {
    bool exists;
    int32_t promised; /* of the log, or its tombstone */
    int32_t synced;
    int64_t log_start;
    int64_t leo;
    struct model_batch *batches;
    size_t count;
};

struct model_state {
    struct model_log logs[MODEL_LOGS];
    int64_t notes[MODEL_NOTES]; /* 0: none */
};

struct uuid model_topic(unsigned log);
int32_t model_partition(unsigned log);
struct chunk model_batch_bytes(const struct model_batch *batch);

void model_state_copy(struct model_state *to, const struct model_state *from);
void model_state_fini(struct model_state *state);
void model_apply(struct model_state *state, const struct model_op *op);
/* NULL if the epoch history of the store begins with all that the log's batches call for; how many
 * entries that are. */
const char *model_history_lacks(const struct model_log *log, const struct store_log_state *state,
                                size_t *out_count);
/* NULL if the store holds exactly this; else what differs. `pump` completes reads. */
const char *model_differs(const struct model_state *state, struct store *store,
                          void (*pump)(void *ctx), void *ctx);
/* NULL if what `op` cut off `before` is in a quarantine file, whole. */
const char *model_quarantine_lacks(const struct model_state *before, const struct model_op *op,
                                   struct store *store, struct disk *disk);
/* Finds how many of the calls the store holds, beyond `base`. NULL if it is some number of them,
 * and then the state and the number; else what differs. */
const char *model_match(const struct model_state *base, const struct model_op *ops, size_t count,
                        struct store *store, struct disk *disk, void (*pump_reads)(void *ctx),
                        void *ctx, struct model_state *out_state, size_t *out_count);
