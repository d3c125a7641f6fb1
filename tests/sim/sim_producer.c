/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_producer.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/batch.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define PRODUCE_VERSION    9
#define INIT_VERSION       4
#define INFLIGHT_MAX       5
#define WAITING_MAX        40 /* batches per partition; then nothing new is made for it */
#define BROKER_TIMEOUT_MS  1500
#define REQUEST_TIMEOUT_US (4 * SIM_S)
#define BATCH_RECORDS_MAX  5
#define VALUE_FILLER_MAX   300
#define WRITTEN_MS         1700000000000

struct lane;

struct batch {
    struct link link; /* in lane.batches, in the order of their sequence numbers */
    struct lane *lane;
    uint64_t ordinal; /* counts the lane's batches */
    uint64_t first;   /* number of its first value */
    uint32_t count;
    int32_t sequence;
    bool flying;
    uint32_t tries;
    uint32_t node;    /* that was asked last */
    uint32_t process; /* its start then */
    struct sim_call call;
};

/* The way to one partition. */
struct lane {
    struct sim_producer *producer;
    int32_t partition;
    struct link batches;
    uint32_t waiting;
    uint32_t flying;
    int32_t next_sequence;
    uint64_t made; /* batches */
    bool draining; /* after an error: nothing is sent before everything in flight is answered */
    struct timer retry;
};

struct sim_producer {
    struct sim_client client; /* first */
    uint32_t number;
    int64_t id;
    int16_t epoch;
    uint64_t next_value;
    uint64_t pace_us;
    bool stopped;
    struct sim_call init;
    struct timer next;
    struct timer init_again;
    struct lane lanes[SIM_PARTITIONS_MAX];
};

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x7fb5d329728ea185u;
    return x ^ (x >> 27);
}

static void fill(uint8_t *at, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i += sizeof seed) {
        seed = mixed(seed * 6364136223846793005u + 1442695040888963407u);
        memcpy(at + i, &seed, len - i < sizeof seed ? len - i : sizeof seed);
    }
}

static size_t filler_of(uint64_t seed)
{
    return (size_t)(mixed(seed) % VALUE_FILLER_MAX);
}

void sim_value_write(struct buf *out, uint32_t producer, uint64_t number, uint32_t partition)
{
    uint64_t seed = number * 64 + producer;
    size_t len = filler_of(seed);

    buf_text(out, "tern-sim");
    buf_be32(out, producer);
    buf_be64(out, number);
    buf_be32(out, partition);
    fill(buf_extend(out, len), len, seed);
}

struct sim_key sim_key_of(const struct sim *sim, uint32_t producer, uint64_t number)
{
    uint64_t drawn = mixed(mixed(number * 64 + producer + 1));
    struct sim_key key = {.number = (uint32_t)(drawn % sim->shape->keys),
                          .tombstone = drawn / 64 % 6 == 0,
                          .timestamp = WRITTEN_MS + (int64_t)(number * 64 + producer)};

    (void)snprintf(key.text, sizeof key.text, "key-%u", key.number);
    return key;
}

void sim_key_parse(int64_t timestamp, uint32_t *out_producer, uint64_t *out_number)
{
    uint64_t mark = timestamp > WRITTEN_MS ? (uint64_t)(timestamp - WRITTEN_MS) : 0;

    *out_producer = (uint32_t)(mark % 64);
    *out_number = mark / 64;
}

bool sim_value_parse(struct slice bytes, uint32_t *out_producer, uint64_t *out_number,
                     uint32_t *out_partition)
{
    uint8_t expected[VALUE_FILLER_MAX];

    if (bytes.len < SIM_VALUE_MIN || memcmp(bytes.base, "tern-sim", 8) != 0) {
        return false;
    }
    *out_producer = get_be32(bytes.base + 8);
    *out_number = get_be64(bytes.base + 12);
    *out_partition = get_be32(bytes.base + 20);
    uint64_t seed = *out_number * 64 + *out_producer;
    size_t len = filler_of(seed);
    fill(expected, len, seed);
    return bytes.len == SIM_VALUE_MIN + len &&
           memcmp(bytes.base + SIM_VALUE_MIN, expected, len) == 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void pump(struct lane *lane);

static void answered(struct sim_call *call, int status, const void *response);

static void send(struct batch *batch, uint32_t leader)
{
    struct lane *lane = batch->lane;
    struct sim_producer *producer = lane->producer;
    struct sim *sim = producer->client.sim;
    const struct sim_topic *topic = sim_topic_of(sim, lane->partition);
    struct kafka_produce_request m;
    struct kafka_produce_request_topic t;
    struct kafka_produce_request_partition p;
    struct batch_builder builder;
    struct buf value = {0};

    batch_builder_init(&builder);
    for (uint32_t i = 0; i < batch->count; i++) {
        checker_tried(sim->checker, producer->number, batch->first + i, sim->now_us);
        buf_clear(&value);
        sim_value_write(&value, producer->number, batch->first + i, (uint32_t)lane->partition);
        if (sim->shape->keys > 0) {
            struct sim_key key = sim_key_of(sim, producer->number, batch->first + i);
            batch_builder_add(&builder, slice_text(key.text),
                              key.tombstone ? (struct slice){0} : buf_slice(&value), key.timestamp);
            continue;
        }
        struct slice key = {0};
        if (sim->shape->compacted) {
            key = slice_of(value.base, SIM_VALUE_MIN); /* no other value's */
        }
        batch_builder_add(&builder, key, buf_slice(&value), WRITTEN_MS);
    }
    kafka_produce_request_init(&m);
    kafka_produce_request_topic_init(&t);
    kafka_produce_request_partition_init(&p);
    p.index = lane->partition - topic->first;
    p.records.bytes =
        batch_builder_finish(&builder, producer->id, producer->epoch, batch->sequence);
    t.name = slice_text(topic->name);
    t.partitions = &p;
    t.partitions_count = 1;
    m.acks = -1;
    m.timeout_ms = BROKER_TIMEOUT_MS;
    m.topics = &t;
    m.topics_count = 1;
    sim_whisper(sim, "producer %u sends partition %d sequence %d (%u records) to node %u",
                producer->number, lane->partition, batch->sequence, batch->count, leader);
    batch->flying = true;
    batch->node = leader;
    batch->process = (uint32_t)sim->nodes[leader].starts;
    batch->tries++;
    lane->flying++;
    batch->call.done = answered;
    sim_conn_ask(&producer->client.conns[leader], &batch->call, 0, PRODUCE_VERSION, &m,
                 REQUEST_TIMEOUT_US);
    buf_fini(&value);
    batch_builder_fini(&builder);
}

/* Brokers remember five batches: between the oldest whose outcome is unknown and the newest that was
 * sent no more may lie, wherever they were sent. And until what failed is in, one at a time. */
static bool within_five(const struct lane *lane, const struct batch *batch)
{
    const struct batch *oldest = CONTAINER_OF(lane->batches.next, struct batch, link);

    return batch->ordinal < oldest->ordinal + INFLIGHT_MAX;
}

static bool retrying(const struct lane *lane)
{
    const struct batch *oldest = CONTAINER_OF(lane->batches.next, struct batch, link);

    return !queue_empty(&lane->batches) && oldest->tries > (oldest->flying ? 1 : 0);
}

static void pump(struct lane *lane)
{
    struct sim_producer *producer = lane->producer;
    uint32_t leader = producer->client.known[lane->partition].leader;

    if (producer->id < 0 || lane->draining || timer_armed(&lane->retry)) {
        return;
    }
    if (leader == 0) {
        if (lane->waiting > 0) {
            sim_client_refresh(&producer->client);
        }
        return;
    }
    QUEUE_EACH (each, &lane->batches) {
        struct batch *batch = CONTAINER_OF(each, struct batch, link);
        if (lane->flying >= (retrying(lane) ? 1 : INFLIGHT_MAX) || !within_five(lane, batch)) {
            break;
        }
        if (!batch->flying) {
            send(batch, leader);
        }
    }
}

static void retry(struct timer *timer)
{
    pump(CONTAINER_OF(timer, struct lane, retry));
}

static void drained(struct lane *lane)
{
    struct sim *sim = lane->producer->client.sim;

    if (lane->draining && lane->flying == 0) {
        lane->draining = false;
        sim_after(sim, &lane->retry, prng_between(&sim->chance_clients, 50 * SIM_MS, 150 * SIM_MS));
    }
}

static void acked(struct batch *batch, int64_t base_offset)
{
    struct lane *lane = batch->lane;
    struct sim *sim = lane->producer->client.sim;
    bool old = false;

    const struct sim_topic *topic = sim_topic_of(sim, lane->partition);

    if (topic->lossy) {
        old = !sim_leads(topic, lane->partition - topic->first, batch->node);
    }
    bool appended =
        base_offset >= 0 && batch->tries == 1 && sim->nodes[batch->node].starts == batch->process;
    for (uint32_t i = 0; i < batch->count; i++) {
        checker_acked(sim->checker, (uint32_t)lane->partition, lane->producer->number,
                      batch->first + i, base_offset >= 0 ? base_offset + i : -1, sim->now_us,
                      batch->call.left_us, old);
        if (appended && !old) {
            checker_appended(sim->checker, (uint32_t)lane->partition, base_offset + i,
                             (uint64_t)batch->node << 32 | batch->process);
        }
    }
    sim->acked_batches++;
    sim_note(sim, (uint64_t)base_offset ^ ((uint64_t)lane->partition << 32));
    link_remove(&batch->link);
    lane->waiting--;
    free(batch);
}

/* Errors after which the same batch is sent again. */
static bool may_retry(int16_t error)
{
    switch (error) {
    case KAFKA_ERROR_CORRUPT_MESSAGE:
    case KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_ERROR_LEADER_NOT_AVAILABLE:
    case KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_ERROR_REQUEST_TIMED_OUT:
    case KAFKA_ERROR_NOT_ENOUGH_REPLICAS:
    case KAFKA_ERROR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case KAFKA_ERROR_KAFKA_STORAGE_ERROR:
        return true;
    default:
        return false;
    }
}

static bool lost_its_place(const struct lane *lane, int16_t error)
{
    const struct sim_topic *topic = sim_topic_of(lane->producer->client.sim, lane->partition);

    return topic->lossy && topic->lossy_epoch[lane->partition - topic->first] > 0 &&
           (error == KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER ||
            error == KAFKA_ERROR_INVALID_PRODUCER_EPOCH ||
            error == KAFKA_ERROR_UNKNOWN_PRODUCER_ID);
}

/* Behind a lossy epoch clients begin anew, with another id; what was under way has an unknown
 * outcome. */
static void begin_anew(struct sim_producer *producer)
{
    struct sim *sim = producer->client.sim;

    sim_tell(sim, "producer %u begins anew", producer->number);
    producer->id = -1;
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_conn_close(&producer->client.conns[id]);
    }
    for (int32_t i = 0; i < sim->partition_count; i++) {
        struct lane *lane = &producer->lanes[i];
        CHECK(lane->flying == 0);
        for (struct link *l = queue_pop(&lane->batches); l != NULL; l = queue_pop(&lane->batches)) {
            free(CONTAINER_OF(l, struct batch, link));
        }
        lane->waiting = 0;
        lane->next_sequence = 0;
        lane->draining = false;
        sim_stop(sim, &lane->retry);
    }
    sim_at(sim, &producer->init_again, sim->now_us);
}

static int16_t error_of(int status, const struct kafka_produce_response *m, int64_t *out_offset)
{
    *out_offset = -1;
    if (status != 0) {
        return KAFKA_ERROR_REQUEST_TIMED_OUT;
    }
    if (m->topics_count != 1 || m->topics[0].partitions_count != 1) {
        return KAFKA_ERROR_UNKNOWN_SERVER_ERROR;
    }
    *out_offset = m->topics[0].partitions[0].base_offset;
    return m->topics[0].partitions[0].error;
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct batch *batch = CONTAINER_OF(call, struct batch, call);
    struct lane *lane = batch->lane;
    struct sim *sim = lane->producer->client.sim;
    int64_t offset;
    int16_t error = error_of(status, response, &offset);
    bool oldest = lane->batches.next == &batch->link;

    batch->flying = false;
    lane->flying--;
    sim_whisper(sim, "producer %u is told of partition %d sequence %d: %s%s, offset %lld",
                lane->producer->number, lane->partition, batch->sequence, kafka_error_name(error),
                status != 0 ? " (no answer)" : "", (long long)offset);
    sim_note(sim, (uint64_t)(uint16_t)error);
    if (error == 0 || error == KAFKA_ERROR_DUPLICATE_SEQUENCE_NUMBER) {
        acked(batch, error == 0 ? offset : -1);
    } else if (may_retry(error) || (error == KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER && !oldest)) {
        lane->draining = true;
        sim_client_refresh(&lane->producer->client);
    } else if (lost_its_place(lane, error)) {
        begin_anew(lane->producer);
        return;
    } else {
        QUEUE_EACH (each, &lane->batches) {
            struct batch *b = CONTAINER_OF(each, struct batch, link);
            sim_tell(sim, "  waiting: sequence %d (%u records), sent %u times%s", b->sequence,
                     b->count, b->tries, b->flying ? ", in flight" : "");
        }
        sim_fail(sim, "producer %u, partition %d: sequence %d (%s) was refused: %s",
                 lane->producer->number, lane->partition, batch->sequence,
                 oldest ? "the oldest" : "not the oldest", kafka_error_name(error));
        return;
    }
    drained(lane);
    pump(lane);
}

/* ---- making records -------------------------------------------------------------------------- */

/* The run has a number of batches to get to, and is earlier there than it has to be. */
static bool ahead(const struct sim *sim)
{
    uint64_t wanted = sim->shape->batches;
    uint64_t span = sim->faults_end_us - sim->faults_begin_us;
    uint64_t at = sim->now_us < sim->faults_end_us ? sim->now_us - sim->faults_begin_us : span;

    return wanted > 0 && span > 0 && sim->acked_batches >= wanted * at / span + wanted / 20;
}

static void make(struct timer *timer)
{
    struct sim_producer *producer = CONTAINER_OF(timer, struct sim_producer, next);
    struct sim *sim = producer->client.sim;
    struct prng *chance = &sim->chance_clients;

    if (producer->stopped) {
        return;
    }
    sim_after(sim, timer, prng_between(chance, producer->pace_us / 2, producer->pace_us * 3 / 2));
    struct lane *lane = &producer->lanes[prng_below(chance, (uint64_t)sim->partition_count)];
    uint32_t count = (uint32_t)prng_between(chance, 1, BATCH_RECORDS_MAX);
    if (lane->waiting >= WAITING_MAX || ahead(sim)) {
        return;
    }
    struct batch *batch = mem_new(sizeof *batch);
    batch->lane = lane;
    batch->ordinal = lane->made++;
    batch->first = producer->next_value;
    batch->count = count;
    batch->sequence = lane->next_sequence;
    producer->next_value += count;
    lane->next_sequence += (int32_t)count;
    lane->waiting++;
    queue_push(&lane->batches, &batch->link);
    for (uint32_t i = 0; i < count; i++) {
        checker_sent(sim->checker, (uint32_t)lane->partition, producer->number, batch->first + i,
                     sim->now_us);
        if (sim->shape->keys > 0) {
            struct sim_key key = sim_key_of(sim, producer->number, batch->first + i);
            checker_key(sim->checker, producer->number, batch->first + i, key.number,
                        key.tombstone);
        }
    }
    pump(lane);
}

static void ask_id(struct timer *timer)
{
    struct sim_producer *producer = CONTAINER_OF(timer, struct sim_producer, init_again);
    struct kafka_init_producer_id_request m;

    kafka_init_producer_id_request_init(&m);
    m.transaction_timeout_ms = 60000;
    sim_conn_ask(sim_client_any(&producer->client), &producer->init, 22, INIT_VERSION, &m,
                 4 * SIM_S);
}

static void told(struct sim_client *client)
{
    struct sim_producer *producer = CONTAINER_OF(client, struct sim_producer, client);

    for (int32_t i = 0; i < client->sim->partition_count; i++) {
        pump(&producer->lanes[i]);
    }
}

static void got_id(struct sim_call *call, int status, const void *response)
{
    struct sim_producer *producer = CONTAINER_OF(call, struct sim_producer, init);
    const struct kafka_init_producer_id_response *m = response;

    if (status != 0 || m->error != 0) {
        sim_after(producer->client.sim, &producer->init_again, 100 * SIM_MS);
        return;
    }
    producer->id = m->producer_id;
    producer->epoch = m->producer_epoch;
    sim_tell(producer->client.sim, "producer %u has id %lld", producer->number,
             (long long)producer->id);
    told(&producer->client);
}

struct sim_producer *sim_producer_new(struct sim *sim, uint32_t number, uint32_t place)
{
    struct sim_producer *producer = mem_new(sizeof *producer);
    char name[32];

    (void)snprintf(name, sizeof name, "producer-%u", number);
    sim_client_init(&producer->client, sim, place, name);
    producer->client.told = told;
    producer->number = number;
    producer->id = -1;
    producer->pace_us = sim_range_draw(&sim->chance_clients, sim->shape->batch_us);
    producer->init.done = got_id;
    producer->init_again.fire = ask_id;
    producer->next.fire = make;
    for (int32_t i = 0; i < sim->partition_count; i++) {
        struct lane *lane = &producer->lanes[i];
        lane->producer = producer;
        lane->partition = i;
        lane->retry.fire = retry;
        queue_init(&lane->batches);
    }
    sim_at(sim, &producer->init_again, sim->now_us);
    sim_at(sim, &producer->next, sim->now_us);
    sim_client_refresh(&producer->client);
    return producer;
}

void sim_producer_free(struct sim_producer *producer)
{
    struct sim *sim = producer->client.sim;

    sim_client_fini(&producer->client);
    sim_stop(sim, &producer->next);
    sim_stop(sim, &producer->init_again);
    for (int32_t i = 0; i < sim->partition_count; i++) {
        struct lane *lane = &producer->lanes[i];
        sim_stop(sim, &lane->retry);
        for (struct link *l = queue_pop(&lane->batches); l != NULL; l = queue_pop(&lane->batches)) {
            free(CONTAINER_OF(l, struct batch, link));
        }
    }
    free(producer);
}

void sim_producer_stop(struct sim_producer *producer)
{
    producer->stopped = true;
    sim_stop(producer->client.sim, &producer->next);
}

bool sim_producer_idle(const struct sim_producer *producer)
{
    for (int32_t i = 0; i < producer->client.sim->partition_count; i++) {
        if (producer->lanes[i].waiting > 0) {
            return false;
        }
    }
    return true;
}

void sim_producer_describe(const struct sim_producer *producer, char out[160])
{
    for (int32_t i = 0; i < producer->client.sim->partition_count; i++) {
        const struct lane *lane = &producer->lanes[i];
        if (lane->waiting > 0) {
            const struct batch *oldest = CONTAINER_OF(lane->batches.next, struct batch, link);
            (void)snprintf(out, 160,
                           "producer %u waits for partition %d (leader %u as it knows): %u "
                           "batches, the oldest was sent %u times",
                           producer->number, i, producer->client.known[i].leader, lane->waiting,
                           oldest->tries);
            return;
        }
    }
    (void)snprintf(out, 160, "producer %u is idle", producer->number);
}
