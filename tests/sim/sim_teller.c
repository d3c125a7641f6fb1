/* SPDX-License-Identifier: Apache-2.0 */
/* Tellers: transactional producers, two of an id, which fence each other. */
#include "kafka/batch.h"
#include "tests/sim/sim_txn_inner.h"

#define TIMEOUT_MS 6000
#define TRIES_MAX  25

static void go(struct teller *t, enum step step, uint64_t low_ms, uint64_t high_ms)
{
    t->step = step;
    txns_later(t->all, &t->again, low_ms, high_ms);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void ask(struct teller *t, uint32_t node, int16_t key, int16_t version, const void *m)
{
    if (t->tries++ == 0) {
        t->newest_then = t->all->newest[t->id_number];
    }
    sim_conn_ask(&t->conns[node], &t->call, key, version, m, ASK_US);
}

static void ask_topic(struct teller *t)
{
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic topic;

    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&topic);
    topic.name = slice_text(BOOKS);
    topic.num_partitions = PARTS;
    topic.replication_factor = -1;
    m.topics = &topic;
    m.topics_count = 1;
    m.timeout_ms = 2000;
    ask(t, txns_any_node(t->all), 19, 4, &m);
}

static void ask_upgrade(struct teller *t)
{
    struct kafka_update_features_request m;
    struct kafka_update_features_request_update update;

    kafka_update_features_request_init(&m);
    kafka_update_features_request_update_init(&update);
    update.feature = slice_text("transaction.version");
    update.max_version_level = 2;
    m.timeout_ms = 2000;
    m.updates = &update;
    m.updates_count = 1;
    ask(t, txns_any_node(t->all), 57, 1, &m);
}

static void ask_leaders(struct teller *t)
{
    struct kafka_metadata_request m;
    struct kafka_metadata_request_topic topic;

    kafka_metadata_request_init(&m);
    kafka_metadata_request_topic_init(&topic);
    topic.name = slice_text(BOOKS);
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, txns_any_node(t->all), 3, 9, &m);
}

static void ask_find(struct teller *t, int8_t type, const char *key)
{
    struct kafka_find_coordinator_request m;

    kafka_find_coordinator_request_init(&m);
    m.key = slice_text(key);
    m.key_type = type;
    ask(t, txns_any_node(t->all), 10, 1, &m);
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
    topic.name = slice_text(BOOKS);
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
    topic.name = slice_text(BOOKS);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.transactional_id = slice_text(t->id);
    m.acks = -1;
    m.timeout_ms = 500;
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, t->all->leader[t->part], 0, t->modern ? 12 : 7, &m);
    batch_builder_fini(&builder);
}

static void ask_add_offsets(struct teller *t)
{
    struct kafka_add_offsets_to_txn_request m;
    char group[16];

    txns_group(t->id_number, group);
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

    txns_group(t->id_number, group);
    kafka_txn_offset_commit_request_init(&m);
    kafka_txn_offset_commit_request_topic_init(&topic);
    kafka_txn_offset_commit_request_partition_init(&part);
    part.partition = 0;
    part.offset = t->deal;
    part.metadata = slice_text("");
    topic.name = slice_text(BOOKS);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.transactional_id = slice_text(t->id);
    m.group_id = slice_text(group);
    m.producer_id = t->producer_id;
    m.producer_epoch = t->epoch;
    m.topics = &topic;
    m.topics_count = 1;
    ask(t, t->group_node, 28, t->modern ? 5 : 2, &m);
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
    ask(t, t->coordinator, 26, t->modern ? 5 : 2, &m);
}

/* ---- the course of a transaction ---------------------------------------------------------------- */

static void next(struct teller *t, enum step step)
{
    t->tries = 0;
    go(t, step, 0, 5);
}

/* A story may have it wait before it asks for the end. */
static void next_end(struct teller *t)
{
    struct sim *sim = t->all->sim;

    next(t, STEP_END);
    if (sim->shape->dawdle_us > 0) {
        sim_tell(sim, "%s has written transaction %u into %x", t->name, t->deal,
                 t->all->deals[t->deal].mask);
        sim_after(sim, &t->again, sim->shape->dawdle_us);
    }
}

static void produce_next(struct teller *t, uint32_t from);

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
    if (t->modern) {
        produce_next(t, 0); /* what it writes to joins */
        return;
    }
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
    } else if (!deal->offsets) {
        next_end(t);
    } else if (t->modern) {
        next(t, t->group_node == 0 ? STEP_GROUP : STEP_OFFSETS);
    } else {
        next(t, STEP_ADD_OFFSETS);
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
    case KAFKA_ERROR_TRANSACTION_ABORTABLE: /* that node has not heard of the upgrade */
        t->commits = false;
        t->doubts = true;
        next(t, STEP_END);
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

/* X3 of version 2: the end has fenced what is still under way. */
static void take_epoch(struct teller *t, const struct kafka_end_txn_response *m)
{
    struct sim_txns *all = t->all;
    uint64_t told = (uint64_t)m->producer_epoch + 1;

    if (m->producer_id != t->producer_id || m->producer_epoch != t->epoch + 1) {
        sim_fail(all->sim,
                 "X3: %s ends a transaction of producer %lld under epoch %d, and is told "
                 "producer %lld, epoch %d",
                 t->name, (long long)t->producer_id, t->epoch, (long long)m->producer_id,
                 m->producer_epoch);
        return;
    }
    all->newest[t->id_number] = told > all->newest[t->id_number] ? told : all->newest[t->id_number];
    t->epoch = m->producer_epoch;
    memset(t->sequence, 0, sizeof t->sequence);
}

static void ended(struct teller *t, const struct kafka_end_txn_response *m)
{
    struct sim_txns *all = t->all;
    struct deal *deal = &all->deals[t->deal];

    if (handled(t, m->error)) {
        return;
    }
    judge_fenced(t, "the end of a transaction");
    if (t->modern) {
        take_epoch(t, m);
    }
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
        /* An end that is given up may come later. It names producer and epoch alone, and would end the
         * next transaction (KIP-890): so that one has another epoch, which version 2 sees to itself. */
        t->doubts = t->doubts || (t->step == STEP_END && !t->modern);
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
        go(t, !t->all->made ? STEP_TOPIC : t->modern ? STEP_UPGRADE : STEP_LEADERS, 50, 200);
        break;
    }
    case STEP_UPGRADE: {
        const struct kafka_update_features_response *m = response;
        bool done = m->error == 0 && m->results_count == 1 && m->results[0].error == 0;
        t->tries = 0;
        go(t, done ? STEP_LEADERS : STEP_UPGRADE, 50, 200);
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
            next_end(t);
        }
        break;
    }
    case STEP_END:
        ended(t, response);
        break;
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
    case STEP_UPGRADE:
        ask_upgrade(t);
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
        txns_group(t->id_number, group);
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

void teller_begin(struct sim_txns *t, uint32_t number)
{
    struct teller *one = &t->tellers[number];

    one->all = t;
    one->id_number = (uint8_t)(number / 2); /* two of them fence each other */
    (void)snprintf(one->name, sizeof one->name, "teller-%u", number);
    (void)snprintf(one->id, sizeof one->id, "till-%u", one->id_number);
    one->call.done = answered;
    one->again.fire = next_step;
    one->back = STEP_INIT;
    one->producer_id = -1;
    one->modern = t->sim->shape->version_2 && number != 1;
    txns_open(t, one->conns, 1 + number % t->sim->node_count, one->name);
    go(one, STEP_TOPIC, number % 2 == 0 ? 0 : 3000, number % 2 == 0 ? 300 : 9000);
}
