/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster simulator: production nodes (src/agent and all below it) on simulated clocks, disks
 * and wires, with Kafka clients around them, all driven by one seed.
 *
 * One thread, one virtual time. Everything that happens is a timer: of the world (heap below) or of
 * a node's own clock. The earliest fires next; equal times go to the world first, then by node id.
 * Same seed, same run: `hash` folds in whatever happens and is the same in a replay. */
#pragma once

#include "base/prng.h"
#include "base/timer_heap.h"
#include "tests/sim/checker.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/sim_quorum.h"
#include "tests/sim/sim_shape.h"

#define SIM_NODES_MAX   10 /* ids 1..9 */
#define SIM_REGIONS     3
#define SIM_SESSION_MS  6000 /* of members of the new group protocol */
#define SIM_MS          ((uint64_t)1000)
#define SIM_S           ((uint64_t)1000000)
#define SIM_TOPICS_MAX  6
#define SIM_CLIENTS_MAX 12
#define SIM_EPOCHS_MAX  1024

struct sim_producer;
struct sim_consumer;
struct sim_faults;
struct sim_client;
struct sim_groups;
struct sim_members;
struct sim_txns;
struct sim_story;
struct sim_operator;
struct sim_removal;

struct sim_topic {
    char name[32];
    int32_t partitions;
    int32_t first;           /* number of its partition 0 among all partitions of the run */
    int32_t home;            /* async: index of its region; sync: -1 */
    bool lossy;              /* async with failover: auto */
    int64_t retention_bytes; /* per partition; 0: nothing is ever deleted */
    int64_t keeps;           /* so many records are left at least */
    uint64_t bound_us;
    /* What any node has applied, per partition. */
    int32_t lossy_epoch[8];            /* the newest in force */
    uint8_t leader[8][SIM_EPOCHS_MAX]; /* by epoch; 0: not seen */
};

struct sim {
    uint64_t seed;
    const struct sim_shape *shape;
    int verbose; /* 0: nothing; 1: the story; 2: and what the nodes trace; 3: debug, too */
    uint64_t now_us;
    uint64_t look_again_us; /* into the quarantines, at the end */
    struct timer_heap heap;
    uint64_t hash;
    uint64_t steps;
    /* Chance, one generator per component. */
    struct prng chance_net;
    struct prng chance_nodes;
    struct prng chance_faults;
    struct prng chance_clients;
    struct prng chance_operator;
    struct prng chance_wear;
    bool witness; /* the last region votes and has no data */
    struct sim_net net;
    uint32_t node_count;
    struct sim_node nodes[SIM_NODES_MAX]; /* by id; 0 is unused */
    uint32_t topic_count;
    struct sim_topic topics[SIM_TOPICS_MAX];
    int32_t partition_count;
    struct checker *checker;
    struct sim_quorum quorum;
    struct sim_producer *producers[SIM_CLIENTS_MAX];
    uint32_t producer_count;
    struct sim_consumer *consumers[SIM_CLIENTS_MAX];
    uint32_t consumer_count;
    struct sim_story *story;     /* NULL: the seed says what happens */
    struct sim_operator *op;     /* NULL: nobody changes the cluster */
    struct sim_groups *groups;   /* NULL: the shape has none */
    struct sim_members *members; /* the same, of the new protocol */
    struct sim_removal *removal; /* NULL: every node stays */
    struct sim_txns *txns;       /* the same of transactions */
    struct sim_faults *faults;
    uint64_t fault_count;   /* faults that struck */
    uint64_t acked_batches; /* each counted once */
    uint64_t faults_begin_us;
    uint64_t faults_end_us;
    char failure[512]; /* the first one; empty: none */
};

struct sim *sim_new(uint64_t seed, const struct sim_shape *shape, int verbose);
void sim_free(struct sim *sim);

static inline uint64_t sim_range_draw(struct prng *chance, struct sim_range range)
{
    return prng_between(chance, range.low, range.high);
}

/* Arms a timer of the world. */
void sim_at(struct sim *sim, struct timer *timer, uint64_t at_us);
void sim_after(struct sim *sim, struct timer *timer, uint64_t us);
void sim_stop(struct sim *sim, struct timer *timer);

/* Fires whatever is next, if that is not after `until_us`; then time moves there. */
bool sim_step(struct sim *sim, uint64_t until_us);
/* Runs until `until_us`, or until `done` says so (NULL: never), or until something failed. True
 * if `done` said so. */
bool sim_run(struct sim *sim, uint64_t until_us, bool (*done)(struct sim *sim));

/* A line of the story; folded into the hash. */
void sim_tell(struct sim *sim, const char *format, ...) TERN_PRINTF(2, 3);
/* The same at SIM_VERBOSE=3 and more. */
void sim_whisper(struct sim *sim, const char *format, ...) TERN_PRINTF(2, 3);
/* Folds something that happened into the hash. */
void sim_note(struct sim *sim, uint64_t what);
/* The run has failed: only the first reason is kept. */
void sim_fail(struct sim *sim, const char *format, ...) TERN_PRINTF(2, 3);
static inline bool sim_failed(const struct sim *sim)
{
    return sim->failure[0] != '\0';
}
