/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_shape.h"

#include <stddef.h>
#include <string.h>

#define MS (uint64_t)1000
#define S  (uint64_t)1000000

static const struct sim_shape shapes[] = {
    {
        .name = "usual",
        .what = "three to nine nodes, 20 to 60 s of faults",
        .faults_us = {20 * S, 60 * S},
        .pace_us = {60 * MS, 1500 * MS},
        .longest_us = {1 * S, 10 * S},
        .batch_us = {4 * MS, 60 * MS},
        .partitions = {1, 4},
        .operator_us = {500 * MS, 5 * S},
        .all_faults = true,
    },
    {
        .name = "bite",
        .what = "three nodes, short runs full of leader changes and lost writes: for mutants",
        .nodes = 3,
        .faults_us = {6 * S, 14 * S},
        .pace_us = {80 * MS, 500 * MS},
        .longest_us = {300 * MS, 3 * S},
        .batch_us = {4 * MS, 30 * MS},
        .partitions = {2, 4},
        .faults = " kill power power-many write-point pause isolate ",
    },
    {
        .name = "home",
        .what = "three nodes, async topics whose home dies and is cut off",
        .nodes = 3,
        .faults_us = {10 * S, 20 * S},
        .pace_us = {500 * MS, 2 * S},
        .longest_us = {4 * S, 8 * S},
        .batch_us = {4 * MS, 20 * MS},
        .partitions = {2, 4},
        .topics = " clicks ",
        .faults = " isolate power pause ",
    },
    {
        .name = "homes",
        .what = "three nodes, async topics that lose one home after the other, while copies lag",
        .nodes = 3,
        .faults_us = {15 * S, 30 * S},
        .pace_us = {300 * MS, 1500 * MS},
        .longest_us = {3 * S, 8 * S},
        .batch_us = {4 * MS, 20 * MS},
        .partitions = {2, 4},
        .topics = " clicks ",
        .faults = " isolate power cut cut-one-way slow-disk ",
    },
    {
        .name = "forget",
        .what = "three nodes, sync topics, one disk that forgets, many power failures",
        .nodes = 3,
        .faults_us = {10 * S, 20 * S},
        .pace_us = {200 * MS, 1 * S},
        .longest_us = {500 * MS, 3 * S},
        .batch_us = {4 * MS, 20 * MS},
        .partitions = {2, 4},
        .topics = " strict ",
        .faults = " power wipe roll-back isolate ",
    },
    {
        .name = "lag",
        .what = "three nodes far apart, one slow: long tails that are copied while leaders change",
        .nodes = 3,
        .faults_us = {10 * S, 20 * S},
        .pace_us = {150 * MS, 700 * MS},
        .longest_us = {1 * S, 4 * S},
        .batch_us = {2 * MS, 8 * MS},
        .partitions = {1, 2},
        .topics = " strict ",
        .faults = " isolate kill power slow-disk cut ",
    },
    {
        .name = "quorum",
        .what = "three nodes, topics and policies change without end, machines lose power",
        .nodes = 3,
        .faults_us = {8 * S, 16 * S},
        .pace_us = {80 * MS, 500 * MS},
        .longest_us = {300 * MS, 2 * S},
        .batch_us = {50 * MS, 200 * MS},
        .partitions = {1, 1},
        .operator_us = {20 * MS, 120 * MS},
        .operator_always = true,
        .topics = "",
        .faults = " power power-many isolate slow-disk reset ",
    },
    {
        .name = "members",
        .what = "three nodes, a consumer group, coordinators that die or do not know that they are "
                "none",
        .nodes = 3,
        .faults_us = {12 * S, 24 * S},
        .pace_us = {150 * MS, 900 * MS},
        .longest_us = {500 * MS, 4 * S},
        .batch_us = {100 * MS, 300 * MS},
        .partitions = {2, 4},
        .members = 4,
        .topics = "",
        .faults = " isolate kill power pause ",
    },
    {
        .name = "consumers",
        .what =
            "three nodes, a group of the new protocol, coordinators that die or do not know that "
            "they are none",
        .nodes = 3,
        .faults_us = {12 * S, 24 * S},
        .pace_us = {150 * MS, 900 * MS},
        .longest_us = {500 * MS, 4 * S},
        .batch_us = {100 * MS, 300 * MS},
        .partitions = {2, 4},
        .consumers = 4,
        .topics = "",
        .faults = " isolate kill power pause ",
    },
    {
        .name = "groups",
        .what = "three to six nodes, and a consumer group whose members come and go",
        .nodes_max = 6,
        .faults_us = {20 * S, 40 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 8 * S},
        .batch_us = {50 * MS, 200 * MS},
        .partitions = {1, 4},
        .members = 4,
        .consumers = 3,
    },
    {
        .name = "wear",
        .what = "three to six nodes; retention, a witness region, a node removed for good, old "
                "connections",
        .nodes_max = 6,
        .faults_us = {12 * S, 24 * S},
        .pace_us = {150 * MS, 1500 * MS},
        .longest_us = {500 * MS, 5 * S},
        .batch_us = {5 * MS, 30 * MS},
        .partitions = {1, 3},
        .operator_us = {500 * MS, 5 * S},
        .wear = true,
    },
    {
        .name = "compact",
        .what =
            "three to six nodes, sync and async topics whose segments are compacted under readers",
        .nodes_max = 6,
        .faults_us = {15 * S, 30 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 6 * S},
        .batch_us = {4 * MS, 20 * MS},
        .partitions = {1, 2},
        .compacted = true,
        .all_faults = true,
    },
    {
        .name = "keys",
        .what =
            "as compact, with few keys and tombstones: a reader ends with the newest value of each",
        .nodes_max = 6,
        .faults_us = {15 * S, 30 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 6 * S},
        .batch_us = {4 * MS, 20 * MS},
        .partitions = {1, 2},
        .compacted = true,
        .keys = 24,
        .all_faults = true,
    },
    {
        .name = "tills",
        .what = "three nodes, transactions, coordinators and leaders that die or do not know that "
                "they are none",
        .nodes = 3,
        .faults_us = {12 * S, 24 * S},
        .pace_us = {150 * MS, 900 * MS},
        .longest_us = {500 * MS, 4 * S},
        .batch_us = {150 * MS, 400 * MS},
        .partitions = {1, 2},
        .tellers = 4,
        .topics = "",
        .faults = " isolate kill power pause cut ",
    },
    {
        .name = "joiners",
        .what = "as tills, with transaction.version 2, and one teller that does not know it",
        .nodes = 3,
        .faults_us = {12 * S, 24 * S},
        .pace_us = {150 * MS, 900 * MS},
        .longest_us = {500 * MS, 4 * S},
        .batch_us = {150 * MS, 400 * MS},
        .partitions = {1, 2},
        .tellers = 4,
        .version_2 = true,
        .topics = "",
        .faults = " isolate kill power pause cut ",
    },
    {
        .name = "txns",
        .what = "three to six nodes, and transactions, with every kind of fault",
        .nodes_max = 6,
        .faults_us = {20 * S, 40 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 8 * S},
        .batch_us = {50 * MS, 200 * MS},
        .partitions = {1, 3},
        .tellers = 6,
    },
    {
        .name = "calm",
        .what = "three nodes, ten minutes of lost packets and stolen processor time: nobody may be "
                "taken for dead",
        .nodes = 3,
        .faults_us = {600 * S, 600 * S},
        .batch_us = {300 * MS, 600 * MS},
        .partitions = {2, 4},
        .topics = " clicks ",
        .calm = true,
    },
    {
        .name = "storm",
        .what = "as soak, with bad ways, clocks that jump, flipped bits, and an operator",
        .nodes_max = 6,
        .faults_us = {28 * S, 32 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 6 * S},
        .batch_us = {8 * MS, 30 * MS},
        .batches = 1050,
        .partitions = {1, 3},
        .operator_us = {500 * MS, 5 * S},
        .all_faults = true,
    },
    {
        .name = "soak",
        .what = "three to six nodes, a little more than 30 s with more than 1,000 batches: cheap",
        .nodes_max = 6,
        .faults_us = {28 * S, 32 * S},
        .pace_us = {100 * MS, 2 * S},
        .longest_us = {500 * MS, 6 * S},
        .batch_us = {8 * MS, 30 * MS},
        .batches = 1050,
        .partitions = {1, 3},
    },
};

const struct sim_shape *sim_shape_at(unsigned index)
{
    return index < sizeof shapes / sizeof *shapes ? &shapes[index] : NULL;
}

const struct sim_shape *sim_shape_named(const char *name)
{
    if (name == NULL) {
        return &shapes[0];
    }
    for (unsigned i = 0; sim_shape_at(i) != NULL; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}
