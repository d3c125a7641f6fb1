/* SPDX-License-Identifier: Apache-2.0 */
/* One workload of random calls: what was called and what was acknowledged. */
#pragma once

#include "base/prng.h"
#include "tests/crash/model.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/mem_disk.h"

#define OPS_MAX   4096
#define SAVES_MAX 256

struct run;
struct save;

struct call {
    struct store_req req;
    struct run *run;
    size_t index;       /* of its op; NOT_YET while it is held back behind a cut; NEVER */
    struct save *given; /* the snapshot of producers that comes with a restart; NULL: none */
};

#define NOT_YET SIZE_MAX
#define NEVER   (SIZE_MAX - 1)

/* A cut whose bytes are being saved, and what was called on the log since: they take their place in
 * the order of all writes when the store's state shows the cut. */
struct held {
    struct model_op ops[16];
    struct call *calls[16];
    size_t count; /* 0: no cut is under way */
};

struct save {
    struct store_req req;
    struct run *run;
    unsigned log;
    int64_t offset;
    bool void_;
};

struct run {
    uint64_t seed;
    struct fake_clock clock;
    struct disk *disk;
    struct store *store;
    struct prng prng;
    /* Acknowledged (or found after a restart) and what was called since, in order. */
    struct model_state acked_state;
    struct model_op ops[OPS_MAX];
    size_t op_count;
    size_t acked; /* of ops */
    /* The called-for state, to choose the next call by. */
    struct model_state called;
    /* Cuts that were acknowledged: their quarantine must be there for ever. */
    struct {
        struct model_state before;
        struct model_op op;
    } cuts[64];
    size_t cut_count;
    uint64_t points;
    uint64_t checks;
    const char *wrong;
    uint64_t wrong_point;
    char why[256];
    struct call calls[OPS_MAX];
    size_t call_count;
    struct held held[MODEL_LOGS];
    /* Epochs of each log: the newest, and the least of the next batch. What was cut or lost is not
     * written anew in the same epoch (replication.md, recovery). */
    int32_t newest[MODEL_LOGS];
    int32_t least[MODEL_LOGS];
    bool matching; /* it was just opened, and `called` is of before */
    /* Snapshots of producers: called for; and the newest of each log that is durable, -1: none. */
    struct save saves[SAVES_MAX];
    unsigned save_count;
    int64_t saved[MODEL_LOGS];
};

struct run *run_new(uint64_t seed);
void run_free(struct run *run);
/* A small store, that rolls, checkpoints and compacts often. */
struct store_options run_options(struct run *run);
