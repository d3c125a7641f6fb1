/* SPDX-License-Identifier: Apache-2.0 */
/* What tellers, clerks, auditors and their judge know of each other. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"
#include "tests/sim/sim_txn.h"

#define BOOKS       "books"
#define PARTS       3
#define TELLERS_MAX 6
#define CLERKS      6 /* per partition one that goes on, and one that begins again and again */
#define TXNS        6000
#define ASK_US      (600 * SIM_MS)

/* One transaction, by its number. */
struct deal {
    uint8_t id;   /* of whom */
    uint8_t mask; /* partitions that it writes a record into */
    bool offsets;
    bool asked;     /* to be committed */
    bool committed; /* told so */
    bool aborted;   /* told so, or never asked */
};

enum step {
    STEP_TOPIC,
    STEP_UPGRADE,
    STEP_LEADERS,
    STEP_FIND,
    STEP_INIT,
    STEP_ADD,
    STEP_PRODUCE,
    STEP_ADD_OFFSETS,
    STEP_GROUP,
    STEP_OFFSETS,
    STEP_END,
    STEP_IDLE,
};

/* A transactional producer; two of them share an id and fence each other. */
struct teller {
    struct sim_txns *all;
    char name[24];
    char id[16];
    uint8_t id_number;
    struct sim_conn conns[SIM_NODES_MAX];
    struct sim_call call;
    struct timer again;
    enum step step;
    enum step back; /* after a look for coordinator or leaders */
    uint32_t coordinator;
    uint32_t group_node;
    bool modern;         /* it uses transaction.version 2 */
    int64_t producer_id; /* -1: none */
    int16_t epoch;
    int32_t sequence[PARTS];
    uint32_t deal; /* the one that is open; 0: none */
    uint32_t part; /* next to be written */
    bool commits;
    bool doubts; /* something may still come, or be there: this epoch must not be used again */
    uint32_t tries;
    uint64_t newest_then; /* epochs told for this id when the question was asked first */
    int16_t error;
    uint64_t worked_us;
};

/* Reads committed records of one partition. */
struct clerk {
    struct sim_txns *all;
    char name[24];
    struct sim_conn conns[SIM_NODES_MAX];
    struct sim_call call;
    struct timer again;
    int32_t part;
    bool again_and_again;
    uint32_t node;
    int64_t next;
    int64_t hw;
    int64_t hw_most; /* that it was ever told */
    int64_t stable;
    bool level; /* has all there is, and nothing is open */
    bool last;  /* its last pass has begun after everything was told */
    int64_t aborting[64];
    uint32_t aborting_count;
    uint8_t seen[TXNS];
    uint64_t worked_us;
};

/* Asks for the stable offsets of one id's group. */
struct auditor {
    struct sim_txns *all;
    char name[24];
    struct sim_conn conns[SIM_NODES_MAX];
    struct sim_call call;
    struct timer again;
    uint8_t id_number;
    uint32_t node;
    int64_t floor;
    int64_t told; /* at the end */
    bool final;
    bool last;
};

struct sim_txns {
    struct sim *sim;
    struct prng chance;
    uint32_t leader[PARTS];
    bool made;
    uint32_t deal_count; /* the first is number 1 */
    struct deal deals[TXNS];
    uint64_t newest[TELLERS_MAX]; /* epoch + 1 that was told last, per id */
    int64_t acked[TELLERS_MAX];   /* the newest with offsets that was told to be committed */
    struct teller tellers[TELLERS_MAX];
    uint32_t teller_count;
    struct clerk readers[CLERKS];
    struct auditor auditors[TELLERS_MAX / 2];
    uint64_t healed_us;
    uint64_t ended_us; /* all tellers are idle since */
    uint64_t read_us;  /* and all that they wrote is read */
};

static inline void txns_later(struct sim_txns *t, struct timer *timer, uint64_t low_ms,
                              uint64_t high_ms)
{
    sim_after(t->sim, timer, prng_between(&t->chance, low_ms, high_ms) * SIM_MS);
}

static inline uint32_t txns_any_node(struct sim_txns *t)
{
    return (uint32_t)(1 + prng_below(&t->chance, t->sim->node_count));
}

static inline void txns_group(uint8_t id_number, char out[16])
{
    (void)snprintf(out, 16, "audit-%u", id_number);
}

void teller_begin(struct sim_txns *t, uint32_t number);
void clerk_begin(struct sim_txns *t, uint32_t number);
void auditor_begin(struct sim_txns *t, uint32_t number);
void txns_open(struct sim_txns *t, struct sim_conn *conns, uint32_t place, const char *name);
