/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_consumer.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/batch.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"
#include "tests/sim/sim_producer.h"

#define FETCH_VERSION 12
#define LIST_VERSION  5
#define LATEST        (-1)
#define EARLIEST      (-2)
#define LATEST_US     (200 * SIM_MS) /* from question to question */
#define MAX_WAIT_MS   500

/* The fetches from one node: one at a time. */
struct loop {
    struct sim_consumer *consumer;
    uint32_t node;
    bool busy;
    struct sim_call call;
    struct timer again;
    uint32_t asked_count;
    int32_t asked[SIM_PARTITIONS_MAX];
};

/* Asks leaders where logs begin and end: one question at a time. */
struct question {
    struct sim_call call;
    struct timer next;
    int32_t partition;
    int64_t what;
};

struct sim_consumer {
    struct sim_client client; /* first */
    uint32_t number;
    bool from_leaders;
    bool by_rack; /* asks leaders, tells them its rack, and goes where they say (KIP-392) */
    uint32_t preferred[SIM_PARTITIONS_MAX]; /* where; 0: the leader */
    int64_t next[SIM_PARTITIONS_MAX];
    int32_t epoch[SIM_PARTITIONS_MAX];    /* of the last record read; -1 */
    int16_t error[SIM_PARTITIONS_MAX];    /* the last one, for people */
    uint32_t from[SIM_PARTITIONS_MAX];    /* node that was asked last */
    uint64_t by[SIM_PARTITIONS_MAX];      /* and its connection */
    uint64_t process[SIM_PARTITIONS_MAX]; /* and its start */
    bool behind[SIM_PARTITIONS_MAX];      /* what it wanted next is deleted */
    bool at_leader[SIM_PARTITIONS_MAX];   /* its replica has deleted more than the leader has */
    struct question question;
    struct loop loops[SIM_NODES_MAX];
};

static uint32_t source(const struct sim_consumer *consumer, int32_t partition)
{
    const struct sim *sim = consumer->client.sim;
    uint64_t replicas = consumer->client.known[partition].replicas;

    bool from_leader = consumer->from_leaders || consumer->at_leader[partition];

    if (consumer->by_rack) {
        uint32_t preferred = consumer->preferred[partition];
        return preferred != 0 ? preferred : consumer->client.known[partition].leader;
    }
    for (uint32_t id = 1; !from_leader && id <= sim->node_count; id++) {
        if ((replicas >> id & 1) != 0 &&
            sim->nodes[id].region == sim->nodes[consumer->client.place].region) {
            return id;
        }
    }
    return consumer->client.known[partition].leader;
}

static void start(struct timer *timer);
static void told(struct sim_client *client);

static void soon(struct loop *loop, uint64_t us)
{
    if (!loop->busy && !timer_armed(&loop->again)) {
        sim_after(loop->consumer->client.sim, &loop->again, us);
    }
}

/* Which value is it? False: its bytes, or its key, are not those that were sent. */
static bool know_again(const struct sim *sim, int32_t partition, const struct record *record,
                       uint32_t *out_producer, uint64_t *out_number)
{
    uint32_t meant = (uint32_t)partition;
    bool keyed = sim->shape->keys > 0;

    if (keyed && record->value.base == NULL) {
        sim_key_parse(record->timestamp, out_producer, out_number);
    } else if (!sim_value_parse(record->value, out_producer, out_number, &meant)) {
        return false;
    }
    if (!keyed) {
        return meant == (uint32_t)partition;
    }
    struct sim_key key = sim_key_of(sim, *out_producer, *out_number);
    return meant == (uint32_t)partition && slice_equal(record->key, slice_text(key.text)) &&
           key.tombstone == (record->value.base == NULL) && key.timestamp == record->timestamp;
}

static void take_batch(struct sim_consumer *consumer, int32_t partition, struct slice batch)
{
    struct sim *sim = consumer->client.sim;
    struct record_iter iter;
    struct record record;
    struct batch_info info;

    if (batch_check(batch, &info) != 0 || record_iter_init(&iter, batch) != 0) {
        sim_fail(sim, "consumer %u, partition %d: a batch with a wrong checksum", consumer->number,
                 partition);
        return;
    }
    while (record_next(&iter, &record) == 0) {
        uint32_t producer = 0;
        uint64_t number = 0;
        if (record.offset < consumer->next[partition]) {
            continue; /* batches begin where they begin */
        }
        bool intact = know_again(sim, partition, &record, &producer, &number);
        checker_read(sim->checker, consumer->number, (uint32_t)partition, record.offset,
                     info.leader_epoch, producer, number, intact);
        consumer->next[partition] = record.offset + 1;
        if (consumer->at_leader[partition]) {
            consumer->at_leader[partition] = false;
            told(&consumer->client); /* its own replica may have what comes next */
        }
        consumer->epoch[partition] = info.leader_epoch;
    }
    if (sim->shape->keys > 0 && info.last_offset >= consumer->next[partition]) {
        consumer->next[partition] = info.last_offset + 1; /* what it ended with is cleaned away */
        consumer->epoch[partition] = info.leader_epoch;
    }
}

/* True: more may come at once. */
static bool take_partition(struct sim_consumer *consumer, int32_t partition,
                           const struct kafka_fetch_response_partition *in)
{
    struct sim *sim = consumer->client.sim;

    consumer->error[partition] = in->error;
    consumer->preferred[partition] = in->error == 0 ? consumer->preferred[partition] : 0;
    switch (in->error) {
    case 0:
        break;
    case KAFKA_ERROR_OFFSET_OUT_OF_RANGE:
        if (sim_topic_of(sim, partition)->retention_bytes > 0) {
            consumer->behind[partition] = true;
            return false;
        }
        sim_fail(sim, "consumer %u, partition %d: offset %lld is out of range at node %u",
                 consumer->number, partition, (long long)consumer->next[partition],
                 source(consumer, partition));
        return false;
    case KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_ERROR_LEADER_NOT_AVAILABLE:
    case KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_ERROR_FENCED_LEADER_EPOCH:
    case KAFKA_ERROR_UNKNOWN_LEADER_EPOCH:
    case KAFKA_ERROR_OFFSET_NOT_AVAILABLE:
    case KAFKA_ERROR_KAFKA_STORAGE_ERROR:
        return false;
    default:
        sim_fail(sim, "consumer %u, partition %d: %s", consumer->number, partition,
                 kafka_error_name(in->error));
        return false;
    }
    if (in->diverging_epoch.epoch >= 0 && sim_topic_of(sim, partition)->lossy) {
        if (in->diverging_epoch.end_offset < consumer->next[partition]) {
            sim_tell(sim, "consumer %u goes back from %lld to %lld in partition %d",
                     consumer->number, (long long)consumer->next[partition],
                     (long long)in->diverging_epoch.end_offset, partition);
            consumer->next[partition] = in->diverging_epoch.end_offset;
            checker_rewound(sim->checker, consumer->number, (uint32_t)partition,
                            consumer->next[partition]);
        }
        consumer->epoch[partition] = in->diverging_epoch.epoch;
        return true;
    }
    if (in->diverging_epoch.epoch >= 0) {
        sim_fail(sim, "consumer %u, partition %d: what it read up to %lld is of another history",
                 consumer->number, partition, (long long)consumer->next[partition]);
        return false;
    }
    if (in->preferred_read_replica >= 0) {
        uint32_t to = (uint32_t)in->preferred_read_replica;
        if (!consumer->by_rack) {
            return false; /* it stays: this copy will get on again, or have another leader */
        }
        bool near = to <= sim->node_count &&
                    sim->nodes[to].region == sim->nodes[consumer->client.place].region;
        bool sent_back = consumer->preferred[partition] != 0 && to <= sim->node_count;
        /* Whom it asked, not whom it would ask now: newer metadata may name a leader of its region. */
        if (to == consumer->from[partition] || (!near && !sent_back)) {
            sim_fail(sim, "consumer %u, partition %d: sent to node %u, which is not nearer",
                     consumer->number, partition, to);
            return false;
        }
        consumer->preferred[partition] = to == consumer->client.known[partition].leader ? 0 : to;
        sim_tell(sim, "consumer %u is sent to node %u in partition %d", consumer->number, to,
                 partition);
        soon(&consumer->loops[to], 0);
        return true;
    }
    checker_high_watermark(sim->checker, consumer->number, (uint32_t)partition, in->high_watermark);
    checker_log_start(sim->checker, consumer->number, (uint32_t)partition, in->log_start_offset,
                      in->high_watermark);
    checker_committed(sim->checker, (uint32_t)partition, in->high_watermark, sim->now_us);
    checker_committed(sim->checker, (uint32_t)partition, in->log_start_offset, sim->now_us);
    struct slice run = in->records.bytes;
    struct batch_info info;
    struct slice batch;
    while (!sim_failed(sim) && batch_next(&run, &info, &batch) == 0) {
        take_batch(consumer, partition, batch);
    }
    return true;
}

static void fetched(struct sim_call *call, int status, const void *response)
{
    struct loop *loop = CONTAINER_OF(call, struct loop, call);
    struct sim_consumer *consumer = loop->consumer;
    const struct kafka_fetch_response *m = response;
    bool good = status == 0 && m->error == 0;
    uint32_t at = 0;

    loop->busy = false;
    for (uint32_t t = 0; good && t < m->topics_count; t++) {
        for (uint32_t i = 0; i < m->topics[t].partitions_count && at < loop->asked_count; i++) {
            int32_t partition = loop->asked[at++];
            if (consumer->from[partition] != loop->node ||
                consumer->by[partition] != consumer->client.conns[loop->node].opened) {
                continue; /* it asks somebody else by now: late words do not count */
            }
            uint64_t process = consumer->client.conns[loop->node].process;
            if (consumer->process[partition] != process) {
                consumer->process[partition] = process;
                checker_moved(consumer->client.sim->checker, consumer->number, (uint32_t)partition);
            }
            if (!take_partition(consumer, partition, &m->topics[t].partitions[i])) {
                good = false;
            }
        }
    }
    if (checker_failure(consumer->client.sim->checker) != NULL) {
        sim_fail(consumer->client.sim, "%s", checker_failure(consumer->client.sim->checker));
        return;
    }
    if (!good) {
        for (uint32_t i = 0; status != 0 && i < loop->asked_count; i++) {
            consumer->preferred[loop->asked[i]] = 0; /* who was preferred does not answer */
        }
        sim_client_refresh(&consumer->client);
    }
    soon(loop, good ? 0 : 100 * SIM_MS);
}

static void start(struct timer *timer)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, again);
    struct sim_consumer *consumer = loop->consumer;
    struct sim *sim = consumer->client.sim;
    struct sim_conn *conn = &consumer->client.conns[loop->node];
    struct kafka_fetch_request m;
    struct kafka_fetch_request_topic topics[SIM_TOPICS_MAX];
    struct kafka_fetch_request_partition parts[SIM_PARTITIONS_MAX];

    kafka_fetch_request_init(&m);
    m.max_wait_ms = MAX_WAIT_MS;
    m.min_bytes = 1;
    m.max_bytes = 1 << 20;
    if (consumer->by_rack) {
        m.rack_id = slice_text(sim_regions[sim->nodes[consumer->client.place].region]);
    }
    m.topics = topics;
    loop->asked_count = 0;
    for (uint32_t t = 0; t < sim->topic_count; t++) {
        struct kafka_fetch_request_topic *topic = &topics[m.topics_count];
        kafka_fetch_request_topic_init(topic);
        topic->topic = slice_text(sim->topics[t].name);
        topic->partitions = &parts[loop->asked_count];
        for (int32_t i = 0; i < sim->topics[t].partitions; i++) {
            int32_t number = sim->topics[t].first + i;
            if (source(consumer, number) != loop->node) {
                continue;
            }
            struct kafka_fetch_request_partition *p = &parts[loop->asked_count];
            kafka_fetch_request_partition_init(p);
            p->partition = i;
            p->fetch_offset = consumer->next[number];
            p->current_leader_epoch = consumer->client.known[number].epoch > 0
                                          ? consumer->client.known[number].epoch
                                          : -1;
            p->last_fetched_epoch = consumer->epoch[number];
            p->partition_max_bytes = 16 << 10;
            loop->asked[loop->asked_count++] = number;
            topic->partitions_count++;
        }
        m.topics_count += topic->partitions_count > 0;
    }
    if (loop->asked_count == 0) {
        return;
    }
    loop->busy = true;
    sim_conn_ask(conn, &loop->call, 1, FETCH_VERSION, &m, 3 * SIM_S);
    for (uint32_t i = 0; i < loop->asked_count; i++) {
        int32_t number = loop->asked[i];
        if (consumer->from[number] != loop->node || consumer->by[number] != conn->opened) {
            if (consumer->from[number] != loop->node) {
                checker_moved(sim->checker, consumer->number, (uint32_t)number);
            }
            consumer->from[number] = loop->node;
            consumer->by[number] = conn->opened;
        }
    }
}

/* ---- where logs begin and end ---------------------------------------------------------------- */

static void ask_later(struct sim_consumer *consumer)
{
    if (!timer_armed(&consumer->question.next)) {
        sim_after(consumer->client.sim, &consumer->question.next, LATEST_US);
    }
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct question *question = CONTAINER_OF(call, struct question, call);
    struct sim_consumer *consumer = CONTAINER_OF(question, struct sim_consumer, question);
    struct sim *sim = consumer->client.sim;
    const struct kafka_list_offsets_response *m = response;
    uint32_t partition = (uint32_t)question->partition;

    ask_later(consumer);
    if (status != 0 || m->topics[0].partitions[0].error != 0) {
        sim_client_refresh(&consumer->client);
        return;
    }
    int64_t offset = m->topics[0].partitions[0].offset;
    checker_committed(sim->checker, partition, offset, sim->now_us);
    if (question->what == LATEST) {
        checker_latest(sim->checker, consumer->number, partition, offset);
    } else {
        consumer->at_leader[partition] = offset <= consumer->next[partition];
        checker_skipped(sim->checker, consumer->number, partition, offset);
        if (offset > consumer->next[partition]) {
            sim_tell(sim,
                     "consumer %u goes on from %lld at %lld in partition %u, all before is "
                     "deleted",
                     consumer->number, (long long)consumer->next[partition], (long long)offset,
                     partition);
            consumer->next[partition] = offset;
            consumer->epoch[partition] = -1;
        }
        consumer->behind[partition] = false;
        told(&consumer->client); /* whoever is asked now */
    }
    if (checker_failure(sim->checker) != NULL) {
        sim_fail(sim, "%s", checker_failure(sim->checker));
    }
}

/* Those that wait for an answer come first. */
static void choose(struct sim_consumer *consumer)
{
    struct question *question = &consumer->question;
    int32_t count = consumer->client.sim->partition_count;

    question->partition = (question->partition + 1) % count;
    question->what = LATEST;
    for (int32_t i = 0; i < count; i++) {
        if (consumer->behind[(question->partition + i) % count]) {
            question->partition = (question->partition + i) % count;
            question->what = EARLIEST;
            return;
        }
    }
}

static void ask(struct timer *timer)
{
    struct question *question = CONTAINER_OF(timer, struct question, next);
    struct sim_consumer *consumer = CONTAINER_OF(question, struct sim_consumer, question);
    struct kafka_list_offsets_request m;
    struct kafka_list_offsets_request_topic t;
    struct kafka_list_offsets_request_partition p;

    choose(consumer);
    const struct sim_topic *topic = sim_topic_of(consumer->client.sim, question->partition);
    uint32_t leader = consumer->client.known[question->partition].leader;
    if (leader == 0) {
        sim_client_refresh(&consumer->client);
        ask_later(consumer);
        return;
    }
    kafka_list_offsets_request_init(&m);
    kafka_list_offsets_request_topic_init(&t);
    kafka_list_offsets_request_partition_init(&p);
    p.partition = question->partition - topic->first;
    p.current_leader_epoch = consumer->client.known[question->partition].epoch;
    p.timestamp = question->what;
    t.name = slice_text(topic->name);
    t.partitions = &p;
    t.partitions_count = 1;
    m.topics = &t;
    m.topics_count = 1;
    sim_conn_ask(&consumer->client.conns[leader], &question->call, 2, LIST_VERSION, &m, 2 * SIM_S);
}

static void told(struct sim_client *client)
{
    struct sim_consumer *consumer = CONTAINER_OF(client, struct sim_consumer, client);

    for (uint32_t id = 1; id <= client->sim->node_count; id++) {
        soon(&consumer->loops[id], 0);
    }
}

struct sim_consumer *sim_consumer_new(struct sim *sim, uint32_t number, uint32_t place,
                                      bool from_leaders)
{
    struct sim_consumer *consumer = mem_new(sizeof *consumer);
    char name[32];

    (void)snprintf(name, sizeof name, "consumer-%u", number);
    sim_client_init(&consumer->client, sim, place, name);
    consumer->client.told = told;
    consumer->number = number;
    consumer->from_leaders = from_leaders;
    consumer->by_rack = !from_leaders && number % 2 == 1;
    for (int32_t i = 0; i < SIM_PARTITIONS_MAX; i++) {
        consumer->epoch[i] = -1;
    }
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        struct loop *loop = &consumer->loops[id];
        loop->consumer = consumer;
        loop->node = id;
        loop->call.done = fetched;
        loop->again.fire = start;
    }
    consumer->question.call.done = answered;
    consumer->question.next.fire = ask;
    if (sim->shape->wear) {
        ask_later(consumer);
    }
    sim_client_refresh(&consumer->client);
    return consumer;
}

void sim_consumer_free(struct sim_consumer *consumer)
{
    struct sim *sim = consumer->client.sim;

    sim_client_fini(&consumer->client);
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_stop(sim, &consumer->loops[id].again);
    }
    sim_stop(sim, &consumer->question.next);
    free(consumer);
}

bool sim_consumer_at_end(const struct sim_consumer *consumer)
{
    const struct sim *sim = consumer->client.sim;

    for (int32_t i = 0; i < sim->partition_count; i++) {
        if (consumer->next[i] < checker_acked_end(sim->checker, (uint32_t)i)) {
            return false;
        }
    }
    return true;
}

void sim_consumer_describe(const struct sim_consumer *consumer, char out[160])
{
    const struct sim *sim = consumer->client.sim;

    for (int32_t i = 0; i < sim->partition_count; i++) {
        int64_t end = checker_acked_end(sim->checker, (uint32_t)i);
        if (consumer->next[i] < end) {
            (void)snprintf(out, 160,
                           "consumer %u stands at %lld of %lld in partition %d, asked node %u, "
                           "last error %s",
                           consumer->number, (long long)consumer->next[i], (long long)end, i,
                           consumer->from[i], kafka_error_name(consumer->error[i]));
            return;
        }
    }
    (void)snprintf(out, 160, "consumer %u is at the end", consumer->number);
}
