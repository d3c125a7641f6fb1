/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a run: how large a cluster, how long, how many faults. The seed draws within it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_range {
    uint64_t low;
    uint64_t high;
};

struct sim_shape {
    const char *name;
    const char *what;
    uint32_t nodes;              /* 0: by the seed */
    uint32_t nodes_max;          /* by the seed, up to so many; 0: no bound */
    struct sim_range faults_us;  /* how long things go wrong */
    struct sim_range pace_us;    /* from fault to fault, the mean of a run is drawn from that */
    struct sim_range longest_us; /* the longest one, drawn once per run */
    struct sim_range batch_us;   /* from batch to batch of one producer */
    uint64_t batches; /* acknowledged: not many more, nor fewer if that can be; 0: as it comes */
    struct sim_range partitions; /* per topic */
    uint32_t members;            /* of a consumer group; 0: there is none */
    uint32_t consumers;          /* of one of the new protocol; 0: there is none */
    uint32_t tellers;            /* transactional producers; 0: there are none */
    bool version_2;              /* all of them but one use transaction.version 2 */
    uint64_t dawdle_us; /* from their last record to the end that they ask for; 0: at once */
    struct sim_range operator_us; /* from change to change of topics and policies; 0: none */
    bool calm;                    /* nothing fails, and nobody may be taken for dead (sim_calm.h) */
    bool all_faults;              /* also those of ways, clocks and stored bits */
    bool operator_always;         /* else in half of the runs */
    bool compacted; /* topics are; every value has a key of its own, so all of them stay, unless */
    uint32_t keys;  /* there are so many per partition, at most 64, and tombstones */
    bool wear; /* by the seed: retention, a witness region, a node that is removed for good, old
                  connections that deliver late */
    const char *topics; /* besides payments, exactly these; NULL: by the seed */
    const char *faults; /* these there are, others less often; NULL: by the seed */
};

/* NULL: there is none of that name. NULL as name: the usual one. */
const struct sim_shape *sim_shape_named(const char *name);
/* For the usage: the names, NULL behind the last. */
const struct sim_shape *sim_shape_at(unsigned index);
