/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_txn.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/batch.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define TOPIC       "books"
#define PARTS       3
#define TELLERS_MAX 6
#define READERS     6 /* per partition one that goes on, and one that begins again and again */
#define TXNS        6000
#define TIMEOUT_MS  6000
#define CALL_US     (600 * SIM_MS)
#define TRIES_MAX   25

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
    int64_t producer_id; /* -1: none */
    int16_t epoch;
    int32_t sequence[PARTS];
    uint32_t deal; /* the one that is open; 0: none */
    uint32_t part; /* next to be written */
    bool commits;
    bool doubts; /* a batch may be there: its number must not be used again in this epoch */
    uint32_t tries;
    uint64_t newest_then; /* epochs told for this id when the question was asked first */
    int16_t error;
    uint64_t worked_us;
};

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
    struct clerk readers[READERS];
    struct auditor auditors[TELLERS_MAX / 2];
    uint64_t healed_us;
    uint64_t ended_us; /* all tellers are idle since */
    uint64_t read_us;  /* and all that they wrote is read */
};

static void later(struct sim_txns *t, struct timer *timer, uint64_t low_ms, uint64_t high_ms)
{
    sim_after(t->sim, timer, prng_between(&t->chance, low_ms, high_ms) * SIM_MS);
}

static void go(struct teller *t, enum step step, uint64_t low_ms, uint64_t high_ms)
{
    t->step = step;
    later(t->all, &t->again, low_ms, high_ms);
}

static uint32_t any_node(struct sim_txns *t)
{
    return (uint32_t)(1 + prng_below(&t->chance, t->sim->node_count));
}

static void group_name(uint8_t id_number, char out[16])
{
    (void)snprintf(out, 16, "audit-%u", id_number);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void ask(struct teller *t, uint32_t node, int16_t key, int16_t version, const void *m)
{
    if (t->tries++ == 0) {
        t->newest_then = t->all->newest[t->id_number];
    }
    sim_conn_ask(&t->conns[node], &t->call, key, version, m, CALL_US);
}

static void ask_topic(struct teller *t)
{
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic topic;

    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.num_partitions = PARTS;
    topic.replication_factor = -1;
    m.topics = &topic;
    m.topics_count = 1;
    m.timeout_ms = 2000;
    ask(t, any_node(t->all), 19, 4, &m);
}

static void ask_leaders(struct teller *t)
{
    struct kafka_metadata_request m;
    struct kafka_metadata_request_topic topic;

    kafka_metadata_request_init(&m);
    kafka_metadata_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, any_node(t->all), 3, 9, &m);
}

static void ask_find(struct teller *t, int8_t type, const char *key)
{
    struct kafka_find_coordinator_request m;

    kafka_find_coordinator_request_init(&m);
    m.key = slice_text(key);
    m.key_type = type;
    ask(t, any_node(t->all), 10, 1, &m);
}

static void ask_init(struct teller *t)
{
    struct kafka_init_producer_id_request m;

    kafka_init_producer_id_request_init(&m);
    m.transactional_id = slice_text(t->id);
    m.transaction_timeout_ms = TIMEOUT_MS;
    ask(t, t->coordinator, 22, 4, &m);
}

static void ask_add(struct teller *t)
{
    struct kafka_add_partitions_to_txn_request m;
    struct kafka_add_partitions_to_txn_request_old_topic topic;
    int32_t parts[PARTS];

    kafka_add_partitions_to_txn_request_init(&m);
    kafka_add_partitions_to_txn_request_old_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.partitions = parts;
    for (int32_t p = 0; p < PARTS; p++) {
        if ((t->all->deals[t->deal].mask >> p & 1) != 0) {
            parts[topic.partitions_count++] = p;
        }
    }
    m.transactional_id = slice_text(t->id);
    m.producer_id = t->producer_id;
    m.producer_epoch = t->epoch;
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, t->coordinator, 24, 2, &m);
}

static void ask_produce(struct teller *t)
{
    struct kafka_produce_request m;
    struct kafka_produce_request_topic topic;
    struct kafka_produce_request_partition part;
    struct batch_builder builder;
    uint8_t value[8];

    put_be64(value, t->deal);
    batch_builder_init(&builder);
    batch_builder_add(&builder, (struct slice){0}, slice_of(value, sizeof value), 1700000000000);
    kafka_produce_request_init(&m);
    kafka_produce_request_topic_init(&topic);
    kafka_produce_request_partition_init(&part);
    part.index = (int32_t)t->part;
    part.records.bytes = batch_builder_finish_as(&builder, BATCH_TRANSACTIONAL, t->producer_id,
                                                 t->epoch, t->sequence[t->part]);
    topic.name = slice_text(TOPIC);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.transactional_id = slice_text(t->id);
    m.acks = -1;
    m.timeout_ms = 500;
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, t->all->leader[t->part], 0, 7, &m);
    batch_builder_fini(&builder);
}

static void ask_add_offsets(struct teller *t)
{
    struct kafka_add_offsets_to_txn_request m;
    char group[16];

    group_name(t->id_number, group);
    kafka_add_offsets_to_txn_request_init(&m);
    m.transactional_id = slice_text(t->id);
    m.producer_id = t->producer_id;
    m.producer_epoch = t->epoch;
    m.group_id = slice_text(group);
    ask(t, t->coordinator, 25, 2, &m);
}

static void ask_offsets(struct teller *t)
{
    struct kafka_txn_offset_commit_request m;
    struct kafka_txn_offset_commit_request_topic topic;
    struct kafka_txn_offset_commit_request_partition part;
    char group[16];

    group_name(t->id_number, group);
    kafka_txn_offset_commit_request_init(&m);
    kafka_txn_offset_commit_request_topic_init(&topic);
    kafka_txn_offset_commit_request_partition_init(&part);
    part.partition = 0;
    part.offset = t->deal;
    part.metadata = slice_text("");
    topic.name = slice_text(TOPIC);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.transactional_id = slice_text(t->id);
    m.group_id = slice_text(group);
    m.producer_id = t->producer_id;
    m.producer_epoch = t->epoch;
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, t->group_node, 28, 2, &m);
}

static void ask_end(struct teller *t)
{
    struct kafka_end_txn_request m;

    t->all->deals[t->deal].asked = t->commits; /* once asked, always: it is not given up then */
    kafka_end_txn_request_init(&m);
    m.transactional_id = slice_text(t->id);
    m.producer_id = t->producer_id;
    m.producer_epoch = t->epoch;
    m.committed = t->commits;
    sim_whisper(t->all->sim, "%s asks to %s transaction %u under epoch %d", t->name,
                t->commits ? "commit" : "abort", t->deal, t->epoch);
    ask(t, t->coordinator, 26, 2, &m);
}

/* ---- the course of a transaction ---------------------------------------------------------------- */

static void next(struct teller *t, enum step step)
{
    t->tries = 0;
    go(t, step, 0, 5);
}

static void begin(struct teller *t)
{
    struct sim_txns *all = t->all;
    struct deal *deal;

    if (all->healed_us != 0 || all->deal_count + 1 >= TXNS) {
        t->deal = 0;
        t->step = STEP_IDLE;
        return;
    }
    t->deal = ++all->deal_count;
    deal = &all->deals[t->deal];
    *deal = (struct deal){.id = t->id_number};
    deal->mask = (uint8_t)prng_between(&all->chance, 1, (1U << PARTS) - 1);
    deal->offsets = prng_chance(&all->chance, 1, 2);
    t->commits = prng_chance(&all->chance, 2, 3);
    t->part = 0;
    t->tries = 0;
    go(t, STEP_ADD, 0, 60);
}

static void produce_next(struct teller *t, uint32_t from)
{
    const struct deal *deal = &t->all->deals[t->deal];

    for (t->part = from; t->part < PARTS && (deal->mask >> t->part & 1) == 0;) {
        t->part++;
    }
    if (t->part < PARTS) {
        next(t, STEP_PRODUCE);
    } else {
        next(t, deal->offsets ? STEP_ADD_OFFSETS : STEP_END);
    }
}

/* Nothing more is known of what is open: somebody fenced it, or it is given up. */
static void lose(struct teller *t, uint64_t low_ms, uint64_t high_ms)
{
    struct deal *deal = &t->all->deals[t->deal];

    if (t->deal != 0 && !deal->asked) {
        deal->aborted = true;
    }
    t->deal = 0;
    t->producer_id = -1;
    t->doubts = false;
    t->tries = 0;
    if (t->all->healed_us != 0) {
        t->step = STEP_IDLE;
        return;
    }
    t->back = STEP_INIT;
    go(t, STEP_FIND, low_ms, high_ms);
}

static void try_again(struct teller *t, bool look)
{
    bool asked = t->deal != 0 && t->all->deals[t->deal].asked;

    if (t->tries > TRIES_MAX && t->deal != 0 && !asked && t->step != STEP_END) {
        t->commits = false; /* it takes too long */
        t->doubts = true;
        next(t, STEP_END);
        return;
    }
    if (look && (t->step == STEP_PRODUCE || t->step == STEP_OFFSETS || t->step == STEP_INIT ||
                 t->step == STEP_ADD || t->step == STEP_ADD_OFFSETS || t->step == STEP_END)) {
        t->back = t->step;
        go(t,
           t->step == STEP_PRODUCE   ? STEP_LEADERS
           : t->step == STEP_OFFSETS ? STEP_GROUP
                                     : STEP_FIND,
           10, 80);
        return;
    }
    go(t, t->step, 20, 120);
}

/* True: there was an error, and the teller knows what to do. */
static bool handled(struct teller *t, int16_t error)
{
    t->error = error;
    switch (error) {
    case 0:
        t->worked_us = t->all->sim->now_us;
        return false;
    case KAFKA_ERROR_CONCURRENT_TRANSACTIONS:
        try_again(t, false);
        return true;
    case KAFKA_ERROR_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_ERROR_NOT_COORDINATOR:
    case KAFKA_ERROR_REQUEST_TIMED_OUT:
    case KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_ERROR_LEADER_NOT_AVAILABLE:
    case KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_ERROR_NOT_ENOUGH_REPLICAS:
    case KAFKA_ERROR_KAFKA_STORAGE_ERROR:
    case KAFKA_ERROR_OPERATION_NOT_ATTEMPTED:
        try_again(t, true);
        return true;
    case KAFKA_ERROR_PRODUCER_FENCED:
    case KAFKA_ERROR_INVALID_PRODUCER_EPOCH:
    case KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING:
    case KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case KAFKA_ERROR_INVALID_TXN_STATE:
        sim_whisper(t->all->sim, "%s: %s in step %d", t->name, kafka_error_name(error), t->step);
        lose(t, 500, 6000);
        return true;
    default:
        sim_fail(t->all->sim, "%s: %s in step %d", t->name, kafka_error_name(error), t->step);
        return true;
    }
}

/* X3: whoever was fenced before it asked is told nothing good. */
static void judge_fenced(struct teller *t, const char *what)
{
    if (t->newest_then > (uint64_t)t->epoch + 1) {
        sim_fail(t->all->sim, "X3: %s: %s succeeded under epoch %d, epoch %llu was given before",
                 t->name, what, t->epoch, (unsigned long long)t->newest_then - 1);
    }
}

static void inited(struct teller *t, const struct kafka_init_producer_id_response *m)
{
    struct sim_txns *all = t->all;
    uint64_t told = (uint64_t)m->producer_epoch + 1;

    if (handled(t, m->error)) {
        return;
    }
    if (t->newest_then >= told) {
        sim_fail(all->sim, "X3: %s is given epoch %d, %llu was given before it asked", t->name,
                 m->producer_epoch, (unsigned long long)t->newest_then - 1);
        return;
    }
    sim_whisper(all->sim, "%s has producer %lld, epoch %d", t->name, (long long)m->producer_id,
                m->producer_epoch);
    all->newest[t->id_number] = told > all->newest[t->id_number] ? told : all->newest[t->id_number];
    t->producer_id = m->producer_id;
    t->epoch = m->producer_epoch;
    memset(t->sequence, 0, sizeof t->sequence);
    begin(t);
}

static void produced(struct teller *t, const struct kafka_produce_response *m)
{
    if (handled(t, m->topics[0].partitions[0].error)) {
        return;
    }
    judge_fenced(t, "a batch");
    t->sequence[t->part]++;
    produce_next(t, t->part + 1);
}

static void ended(struct teller *t, int16_t error)
{
    struct sim_txns *all = t->all;
    struct deal *deal = &all->deals[t->deal];

    if (handled(t, error)) {
        return;
    }
    judge_fenced(t, "the end of a transaction");
    deal->committed = t->commits;
    deal->aborted = !t->commits;
    if (t->commits && deal->offsets) {
        all->acked[t->id_number] =
            t->deal > all->acked[t->id_number] ? t->deal : all->acked[t->id_number];
    }
    sim_whisper(all->sim, "%s has %s transaction %u", t->name, t->commits ? "committed" : "aborted",
                t->deal);
    t->deal = 0;
    if (t->doubts || prng_chance(&all->chance, 1, 25)) {
        lose(t, 1000, 9000); /* it ends, and begins anew */
        return;
    }
    begin(t);
}

static void took_leaders(struct teller *t, const struct kafka_metadata_response *m)
{
    bool all_there = m->topics_count == 1 && m->topics[0].error == 0;

    for (uint32_t i = 0; all_there && i < m->topics[0].partitions_count; i++) {
        const struct kafka_metadata_response_partition *p = &m->topics[0].partitions[i];
        if (p->partition >= 0 && p->partition < PARTS && p->leader_id > 0) {
            t->all->leader[p->partition] = (uint32_t)p->leader_id;
        }
    }
    for (int32_t p = 0; p < PARTS; p++) {
        all_there = all_there && t->all->leader[p] != 0;
    }
    go(t, all_there ? t->back : STEP_LEADERS, all_there ? 0 : 50, all_there ? 5 : 200);
}

static void found(struct teller *t, const struct kafka_find_coordinator_response *m)
{
    if (m->error != 0) {
        go(t, t->step, 20, 200);
        return;
    }
    if (t->step == STEP_FIND) {
        t->coordinator = (uint32_t)m->node_id;
        go(t, t->back, 0, 5);
    } else {
        t->group_node = (uint32_t)m->node_id;
        go(t, STEP_OFFSETS, 0, 5);
    }
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct teller *t = CONTAINER_OF(call, struct teller, call);

    if (status != 0 && t->step == STEP_PRODUCE && prng_chance(&t->all->chance, 1, 2)) {
        t->commits = false; /* what it sent may come later than this end */
        t->doubts = true;
        next(t, STEP_END);
        return;
    }
    if (status != 0) {
        (void)handled(t, KAFKA_ERROR_REQUEST_TIMED_OUT);
        return;
    }
    switch (t->step) {
    case STEP_TOPIC: {
        const struct kafka_create_topics_response *m = response;
        int16_t error = m->topics[0].error;
        t->all->made = t->all->made || error == 0 || error == KAFKA_ERROR_TOPIC_ALREADY_EXISTS;
        t->tries = 0;
        t->back = STEP_INIT;
        go(t, t->all->made ? STEP_LEADERS : STEP_TOPIC, 50, 200);
        break;
    }
    case STEP_LEADERS:
        took_leaders(t, response);
        break;
    case STEP_FIND:
    case STEP_GROUP:
        found(t, response);
        break;
    case STEP_INIT:
        inited(t, response);
        break;
    case STEP_ADD: {
        const struct kafka_add_partitions_to_txn_response *m = response;
        if (!handled(t, m->results_by_topic[0].partition_results[0].error)) {
            produce_next(t, 0);
        }
        break;
    }
    case STEP_PRODUCE:
        produced(t, response);
        break;
    case STEP_ADD_OFFSETS: {
        const struct kafka_add_offsets_to_txn_response *m = response;
        if (!handled(t, m->error)) {
            next(t, t->group_node == 0 ? STEP_GROUP : STEP_OFFSETS);
        }
        break;
    }
    case STEP_OFFSETS: {
        const struct kafka_txn_offset_commit_response *m = response;
        if (!handled(t, m->topics[0].partitions[0].error)) {
            judge_fenced(t, "a commit of offsets");
            next(t, STEP_END);
        }
        break;
    }
    case STEP_END: {
        const struct kafka_end_txn_response *m = response;
        ended(t, m->error);
        break;
    }
    case STEP_IDLE:
        break;
    }
}

static void next_step(struct timer *timer)
{
    struct teller *t = CONTAINER_OF(timer, struct teller, again);
    char group[16];

    if (t->all->healed_us == 0 && t->deal != 0 && prng_chance(&t->all->chance, 1, 120)) {
        sim_whisper(t->all->sim, "%s gives up transaction %u", t->name, t->deal);
        lose(t, 500, 12000); /* its process ends in the middle */
        return;
    }
    bool coordinated = t->step == STEP_INIT || t->step == STEP_ADD || t->step == STEP_END ||
                       t->step == STEP_ADD_OFFSETS;
    if (coordinated && t->coordinator == 0) {
        t->back = t->step;
        t->step = STEP_FIND;
    }
    switch (t->step) {
    case STEP_TOPIC:
        ask_topic(t);
        break;
    case STEP_LEADERS:
        ask_leaders(t);
        break;
    case STEP_FIND:
        ask_find(t, 1, t->id);
        break;
    case STEP_INIT:
        ask_init(t);
        break;
    case STEP_ADD:
        ask_add(t);
        break;
    case STEP_PRODUCE:
        ask_produce(t);
        break;
    case STEP_ADD_OFFSETS:
        ask_add_offsets(t);
        break;
    case STEP_GROUP:
        group_name(t->id_number, group);
        ask_find(t, 0, group);
        break;
    case STEP_OFFSETS:
        ask_offsets(t);
        break;
    case STEP_END:
        ask_end(t);
        break;
    case STEP_IDLE:
        break;
    }
}

/* ---- readers ------------------------------------------------------------------------------------ */

static void read_on(struct timer *timer)
{
    struct clerk *r = CONTAINER_OF(timer, struct clerk, again);
    struct kafka_fetch_request m;
    struct kafka_fetch_request_topic topic;
    struct kafka_fetch_request_partition part;

    if (!r->all->made) {
        later(r->all, &r->again, 200, 400);
        return;
    }
    kafka_fetch_request_init(&m);
    kafka_fetch_request_topic_init(&topic);
    kafka_fetch_request_partition_init(&part);
    part.partition = r->part;
    part.fetch_offset = r->next;
    part.partition_max_bytes = 2 << 10; /* small pieces, which begin and end anywhere */
    topic.topic = slice_text(TOPIC);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.isolation_level = 1;
    m.max_wait_ms = 100;
    m.min_bytes = 1;
    m.max_bytes = 1 << 20;
    m.topics = &topic;
    m.topics_count = 1;
    sim_conn_ask(&r->conns[r->node], &r->call, 1, 11, &m, 2 * SIM_S);
}

/* As clients do it: from a producer's first aborted record to its marker nothing counts. */
static bool is_aborting(const struct clerk *r, int64_t producer_id)
{
    for (uint32_t i = 0; i < r->aborting_count; i++) {
        if (r->aborting[i] == producer_id) {
            return true;
        }
    }
    return false;
}

static void end_aborting(struct clerk *r, int64_t producer_id)
{
    for (uint32_t i = 0; i < r->aborting_count; i++) {
        if (r->aborting[i] == producer_id) {
            r->aborting[i] = r->aborting[--r->aborting_count];
            return;
        }
    }
}

static void begin_aborting(struct clerk *r, int64_t last_offset,
                           struct kafka_fetch_response_partition *in)
{
    for (uint32_t i = 0; i < in->aborted_transactions_count; i++) {
        struct kafka_fetch_response_aborted_transaction *a = &in->aborted_transactions[i];
        if (a->producer_id >= 0 && a->first_offset <= last_offset) {
            if (!is_aborting(r, a->producer_id) && r->aborting_count < ARRAY_COUNT(r->aborting)) {
                r->aborting[r->aborting_count++] = a->producer_id;
            }
            a->producer_id = -1;
        }
    }
}

static void take_record(struct clerk *r, const struct record *record)
{
    struct sim_txns *all = r->all;
    uint64_t number = record->value.len == 8 ? get_be64(record->value.base) : 0;

    if (number == 0 || number > all->deal_count) {
        sim_fail(all->sim, "X1: %s is given a record that nobody wrote", r->name);
        return;
    }
    const struct deal *deal = &all->deals[number];
    if (!deal->asked || deal->aborted) {
        sim_fail(all->sim, "X1: %s is given a record of transaction %llu at %lld, which was %s",
                 r->name, (unsigned long long)number, (long long)record->offset,
                 deal->aborted ? "aborted" : "never asked to be committed");
    }
    sim_whisper(all->sim, "%s reads transaction %llu of partition %d at %lld by node %u", r->name,
                (unsigned long long)number, r->part, (long long)record->offset, r->node);
    if (r->seen[number]++ != 0) {
        sim_fail(all->sim, "X2: %s is given the record of transaction %llu twice", r->name,
                 (unsigned long long)number);
    }
}

static void take(struct clerk *r, struct kafka_fetch_response_partition *in)
{
    struct slice run = in->records.bytes;
    struct batch_info info;
    struct slice batch;
    struct record_iter iter;
    struct record record;

    while (!sim_failed(r->all->sim) && batch_next(&run, &info, &batch) == 0) {
        if (info.last_offset < r->next) {
            continue;
        }
        begin_aborting(r, info.last_offset, in);
        if (info.marker == BATCH_ABORT) {
            end_aborting(r, info.producer_id);
        } else if (info.marker == BATCH_NO_MARKER && !is_aborting(r, info.producer_id) &&
                   record_iter_init(&iter, batch) == 0) {
            while (record_next(&iter, &record) == 0) {
                take_record(r, &record);
            }
        }
        r->next = info.last_offset + 1;
    }
}

static void start_pass(struct clerk *r)
{
    r->next = 0;
    r->level = false;
    r->aborting_count = 0;
    memset(r->seen, 0, sizeof r->seen);
    r->node = any_node(r->all);
    r->last = r->all->ended_us != 0;
}

static void was_read(struct sim_call *call, int status, const void *response)
{
    struct clerk *r = CONTAINER_OF(call, struct clerk, call);
    struct sim_txns *all = r->all;
    const struct kafka_fetch_response *m = response;
    struct kafka_fetch_response_partition *in =
        status == 0 && m->topics_count == 1 ? &m->topics[0].partitions[0] : NULL;

    if (in == NULL || in->error != 0) {
        r->node = any_node(all);
        later(all, &r->again, 20, 150);
        return;
    }
    r->hw = in->high_watermark;
    r->stable = in->last_stable_offset;
    take(r, in);
    r->worked_us = all->sim->now_us;
    bool level = r->next >= r->stable;
    r->level = level && r->stable == r->hw;
    if (level && r->again_and_again && !(r->last && r->level)) {
        start_pass(r);
    } else if (prng_chance(&all->chance, 1, 8)) {
        r->node = any_node(all);
        r->aborting_count = 0; /* another consumer would not know, either: it is told again */
    }
    later(all, &r->again, level ? 20 : 0, level ? 200 : 5);
}

/* ---- auditors ----------------------------------------------------------------------------------- */

static void audit(struct timer *timer)
{
    struct auditor *a = CONTAINER_OF(timer, struct auditor, again);
    struct kafka_offset_fetch_request m;
    struct kafka_offset_fetch_request_topic topic;
    struct kafka_find_coordinator_request find;
    char group[16];
    int32_t part = 0;

    group_name(a->id_number, group);
    if (a->node == 0) {
        kafka_find_coordinator_request_init(&find);
        find.key = slice_text(group);
        sim_conn_ask(&a->conns[any_node(a->all)], &a->call, 10, 1, &find, CALL_US);
        return;
    }
    kafka_offset_fetch_request_init(&m);
    kafka_offset_fetch_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.group_id = slice_text(group);
    m.topics = &topic;
    m.topics_count = 1;
    m.require_stable = true;
    a->floor = a->all->acked[a->id_number];
    a->final = a->all->read_us != 0;
    sim_conn_ask(&a->conns[a->node], &a->call, 9, 7, &m, CALL_US);
}

static void judge_offset(struct auditor *a, int64_t offset)
{
    struct sim_txns *all = a->all;
    const struct deal *deal = offset > 0 ? &all->deals[offset] : NULL;

    if (offset < a->floor) {
        sim_fail(all->sim, "X4: %s is told %lld, transaction %lld was told to be committed",
                 a->name, (long long)offset, (long long)a->floor);
    } else if (deal != NULL && (offset > all->deal_count || !deal->asked || deal->aborted)) {
        sim_fail(all->sim, "X4: %s is told the offset of transaction %lld, which was not committed",
                 a->name, (long long)offset);
    }
}

static void audited(struct sim_call *call, int status, const void *response)
{
    struct auditor *a = CONTAINER_OF(call, struct auditor, call);

    if (call->key == 10) {
        const struct kafka_find_coordinator_response *m = response;
        a->node = status == 0 && m->error == 0 ? (uint32_t)m->node_id : 0;
        later(a->all, &a->again, a->node != 0 ? 0 : 50, a->node != 0 ? 5 : 300);
        return;
    }
    const struct kafka_offset_fetch_response *m = response;
    int16_t error = status != 0           ? KAFKA_ERROR_REQUEST_TIMED_OUT
                    : m->error != 0       ? m->error
                    : m->topics_count > 0 ? m->topics[0].partitions[0].error
                                          : 0;
    if (error == 0 && status == 0 && m->topics_count > 0) {
        a->told = m->topics[0].partitions[0].offset;
        a->told = a->told < 0 ? 0 : a->told;
        judge_offset(a, a->told);
        a->last = a->final;
    } else if (error != KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT) {
        a->node = 0;
    }
    later(a->all, &a->again, 30, 300);
}

/* ---- life --------------------------------------------------------------------------------------- */

static void open_conns(struct sim_txns *t, struct sim_conn *conns, uint32_t place, const char *name)
{
    for (uint32_t id = 1; id <= t->sim->node_count; id++) {
        sim_conn_init(&conns[id], t->sim, place, id, name);
    }
}

struct sim_txns *sim_txns_new(struct sim *sim, uint32_t tellers)
{
    struct sim_txns *t = mem_new(sizeof *t);

    CHECK(tellers <= TELLERS_MAX);
    t->sim = sim;
    prng_init(&t->chance, sim->seed ^ 0x74786e73);
    t->teller_count = tellers;
    for (uint32_t i = 0; i < tellers; i++) {
        struct teller *one = &t->tellers[i];
        one->all = t;
        one->id_number = (uint8_t)(i / 2); /* two of them fence each other */
        (void)snprintf(one->name, sizeof one->name, "teller-%u", i);
        (void)snprintf(one->id, sizeof one->id, "till-%u", one->id_number);
        one->call.done = answered;
        one->again.fire = next_step;
        one->back = STEP_INIT;
        one->producer_id = -1;
        open_conns(t, one->conns, 1 + i % sim->node_count, one->name);
        go(one, STEP_TOPIC, i % 2 == 0 ? 0 : 3000, i % 2 == 0 ? 300 : 9000);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        struct clerk *r = &t->readers[i];
        r->all = t;
        r->part = (int32_t)(i % PARTS);
        r->again_and_again = i >= PARTS;
        (void)snprintf(r->name, sizeof r->name, "reader-%u", i);
        r->call.done = was_read;
        r->again.fire = read_on;
        open_conns(t, r->conns, 1 + i % sim->node_count, r->name);
        start_pass(r);
        later(t, &r->again, 0, 500);
    }
    for (uint32_t i = 0; i < (tellers + 1) / 2; i++) {
        struct auditor *a = &t->auditors[i];
        a->all = t;
        a->id_number = (uint8_t)i;
        (void)snprintf(a->name, sizeof a->name, "auditor-%u", i);
        a->call.done = audited;
        a->again.fire = audit;
        open_conns(t, a->conns, 1 + i % sim->node_count, a->name);
        later(t, &a->again, 0, 500);
    }
    return t;
}

static void close_conns(struct sim_txns *t, struct sim_conn *conns, struct timer *timer)
{
    sim_stop(t->sim, timer);
    for (uint32_t id = 1; id <= t->sim->node_count; id++) {
        sim_conn_fini(&conns[id]);
    }
}

void sim_txns_free(struct sim_txns *t)
{
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; i < t->teller_count; i++) {
        close_conns(t, t->tellers[i].conns, &t->tellers[i].again);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        close_conns(t, t->readers[i].conns, &t->readers[i].again);
    }
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        close_conns(t, t->auditors[i].conns, &t->auditors[i].again);
    }
    free(t);
}

void sim_txns_heal(struct sim_txns *t)
{
    t->healed_us = t->sim->now_us;
}

static bool all_idle(const struct sim_txns *t)
{
    for (uint32_t i = 0; i < t->teller_count; i++) {
        const struct teller *one = &t->tellers[i];
        bool nothing = one->deal == 0 && (one->step == STEP_IDLE || one->producer_id < 0);
        if (!nothing) {
            return false;
        }
    }
    return true;
}

bool sim_txns_begun(const struct sim_txns *t)
{
    return t->deal_count > 0;
}

bool sim_txns_settled(struct sim_txns *t)
{
    if (t->ended_us == 0 && all_idle(t)) {
        t->ended_us = t->sim->now_us;
    }
    for (uint32_t i = 0; i < READERS; i++) {
        const struct clerk *r = &t->readers[i];
        if (t->ended_us == 0 || r->worked_us <= t->ended_us || !r->level ||
            (r->again_and_again && !r->last)) {
            return false;
        }
    }
    t->read_us = t->read_us != 0 ? t->read_us : t->sim->now_us;
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        if (!t->auditors[i].last) {
            return false;
        }
    }
    return true;
}

void sim_txns_judge(struct sim_txns *t)
{
    int64_t newest[TELLERS_MAX] = {0};

    for (uint32_t n = 1; n <= t->deal_count; n++) {
        const struct deal *deal = &t->deals[n];
        uint32_t all = 0;
        uint32_t seen = 0;
        for (uint32_t i = 0; i < READERS; i++) {
            bool wrote = (deal->mask >> t->readers[i].part & 1) != 0;
            all += wrote;
            seen += wrote && t->readers[i].seen[n] != 0;
        }
        for (uint32_t i = 0; i < READERS; i++) {
            if ((deal->mask >> t->readers[i].part & 1) != 0 && t->readers[i].seen[n] == 0) {
                sim_whisper(t->sim, "%s has not read transaction %u", t->readers[i].name, n);
            }
        }
        if (seen != all && (seen != 0 || deal->committed)) {
            sim_fail(t->sim, "X2: transaction %u, %s: %u of %u records are read", n,
                     deal->committed ? "told to be committed" : "of unknown end", seen, all);
        }
        if (seen == all && deal->offsets && n > newest[deal->id]) {
            newest[deal->id] = n;
        }
    }
    for (uint32_t i = 0; i < (t->teller_count + 1) / 2; i++) {
        if (t->auditors[i].told != newest[i]) {
            sim_fail(t->sim, "X4: the offset is of transaction %lld, the newest committed is %lld",
                     (long long)t->auditors[i].told, (long long)newest[i]);
        }
    }
}

void sim_txns_describe(const struct sim_txns *t, char out[160])
{
    for (uint32_t i = 0; i < t->teller_count; i++) {
        const struct teller *one = &t->tellers[i];
        if (t->ended_us == 0 && (one->deal != 0 || one->step != STEP_IDLE)) {
            (void)snprintf(out, 160, "%s waits in step %d with transaction %u, last error %s",
                           one->name, one->step, one->deal, kafka_error_name(one->error));
            return;
        }
    }
    for (uint32_t i = 0; i < READERS; i++) {
        const struct clerk *r = &t->readers[i];
        if (!r->level) {
            (void)snprintf(out, 160,
                           "X5: %s: partition %d is stable to %lld, high watermark %lld, read to "
                           "%lld",
                           r->name, r->part, (long long)r->stable, (long long)r->hw,
                           (long long)r->next);
            return;
        }
    }
    (void)snprintf(out, 160, "transactions: readers or auditors do not come to an end");
}
