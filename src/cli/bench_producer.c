/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_producer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "cli/bench_arrivals.h"
#include "cli/bench_node.h"
#include "kafka/batch.h"

#define NETWORK     13 /* Kafka's NETWORK_EXCEPTION */
#define TURN_MS     10 /* how often what takes too long is looked at */
#define RECORD_HEAD 24 /* most of what a record has around its value */

static const struct bench_api produce = {.key = 0, .version = 11};
static const struct bench_api needs[] = {{.key = 0, .version = 11}, {.key = -1}};

struct producer_request {
    struct link link; /* in broker->requests, oldest first */
    uint64_t send_id;
    int32_t correlation;
    uint64_t sent_us;
    uint32_t count;
    struct bench_queue *queues[]; /* NULL once answered */
};

struct producer_broker {
    struct bench_producer *producer;
    int32_t id; /* node id; 0: not used */
    struct bench_node node;
    bool moved;       /* the link goes to its former address */
    uint64_t dial_us; /* not before */
    struct link requests;
    uint32_t in_flight;
    struct link ready; /* of bench_queue */
};

struct bench_producer {
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_settings settings;
    const struct bench_producer_ops *ops;
    void *owner;
    struct bench_meta meta;
    struct producer_broker brokers[BENCH_BROKERS_MAX]; /* by node id */
    struct bench_queue *queues;
    uint32_t queue_count;
    struct link delayed; /* queues that wait for their time */
    uint64_t delayed_us; /* of the earliest of them */
    int64_t producer_id;
    int16_t producer_epoch;
    bool started; /* `ready` was called */
    bool broken;
    uint64_t last_send_id;
    int32_t correlation;
    uint64_t asked_us; /* when metadata was asked last */
    struct timer turn;
    uint32_t records_max;
    uint8_t *payload; /* random bytes */
    struct batch_builder builder;
    struct bench_counters counters;
};

static void flush_broker(struct producer_broker *broker, uint64_t now_us);

static uint64_t now_of(const struct bench_producer *producer)
{
    return clock_now_us(producer->clock);
}

static void give_up(struct bench_producer *producer, const char *why)
{
    if (!producer->broken) {
        producer->broken = true;
        producer->ops->broken(producer->owner, why);
    }
}

static void ask_metadata(struct bench_producer *producer, uint64_t now_us)
{
    producer->asked_us = now_us;
    bench_meta_ask(&producer->meta);
}

/* Puts a queue where it will be looked at: with its leader, or nowhere while it has none. */
static void make_ready(struct bench_producer *producer, struct bench_queue *queue)
{
    if (link_in_list(&queue->ready)) {
        link_remove(&queue->ready);
    }
    if (queue->leader > 0 && queue->leader < BENCH_BROKERS_MAX && !queue_empty(&queue->batches)) {
        queue_push(&producer->brokers[queue->leader].ready, &queue->ready);
    }
}

static void delay(struct bench_producer *producer, struct bench_queue *queue, uint64_t wake_us)
{
    link_remove(&queue->ready);
    if (wake_us != UINT64_MAX) {
        queue_push(&producer->delayed, &queue->ready);
        producer->delayed_us = wake_us < producer->delayed_us ? wake_us : producer->delayed_us;
    }
}

static void wake_delayed(struct bench_producer *producer, uint64_t now_us)
{
    if (now_us < producer->delayed_us) {
        return;
    }
    producer->delayed_us = UINT64_MAX;
    QUEUE_EACH (each, &producer->delayed) {
        make_ready(producer, CONTAINER_OF(each, struct bench_queue, ready));
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The same bytes at every attempt: built once, kept until acknowledged. */
static void build(struct bench_producer *producer, const struct bench_queue *queue,
                  struct bench_batch *batch)
{
    struct batch_builder *builder = &producer->builder;
    int64_t wall_ms = clock_wall_ms(producer->clock);
    struct slice value = slice_of(producer->payload, producer->settings.size);
    bool idempotent = producer->settings.idempotent;

    batch_builder_reset(builder);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (value.len >= BENCH_STAMP) { /* whoever reads can tell what is missing */
            bench_stamp_put(producer->payload,
                            (struct bench_stamp){.partition = (uint32_t)queue->index,
                                                 .run = producer->settings.run,
                                                 .number = batch->first + i});
        }
        batch_builder_add(builder, (struct slice){0}, value, wall_ms);
    }
    batch->bytes =
        chunk_copy(batch_builder_finish(builder, idempotent ? producer->producer_id : -1,
                                        idempotent ? producer->producer_epoch : (int16_t)-1,
                                        idempotent ? (int32_t)(batch->first & INT32_MAX) : -1));
}

static void send_request(struct producer_broker *broker, struct producer_request *request,
                         struct bench_batch *const *batches)
{
    struct bench_producer *producer = broker->producer;
    struct kafka_produce_request message;
    struct kafka_produce_request_topic topic;
    struct arena arena;

    arena_init(&arena);
    kafka_produce_request_init(&message);
    kafka_produce_request_topic_init(&topic);
    message.acks = producer->settings.acks;
    message.timeout_ms = (int32_t)producer->settings.request_timeout_ms;
    message.topics = &topic;
    message.topics_count = 1;
    topic.name = slice_text(producer->settings.topic);
    topic.partitions = kafka_produce_request_partition_new(&arena, request->count);
    topic.partitions_count = request->count;
    for (uint32_t i = 0; i < request->count; i++) {
        topic.partitions[i].index = request->queues[i]->index;
        topic.partitions[i].records.chunks = &batches[i]->bytes;
        topic.partitions[i].records.chunk_count = 1;
    }
    bench_node_send(&broker->node, produce, request->correlation, &message);
    arena_fini(&arena);
}

/* One request with a batch of every partition that has one; false if there is none. */
static bool send_ready(struct producer_broker *broker, uint64_t now_us)
{
    enum { PARTS_MAX = 1024 };
    struct bench_producer *producer = broker->producer;
    struct bench_queue *queues[PARTS_MAX];
    struct bench_batch *batches[PARTS_MAX];
    uint32_t count = 0;
    size_t bytes = 0;

    QUEUE_EACH (each, &broker->ready) {
        struct bench_queue *queue = CONTAINER_OF(each, struct bench_queue, ready);
        uint64_t wake_us;
        struct bench_batch *batch = bench_queue_next(
            queue, producer->records_max, producer->settings.linger_us, now_us, &wake_us);
        if (batch == NULL) {
            delay(producer, queue, wake_us);
            continue;
        }
        if (count == PARTS_MAX || bytes >= producer->settings.request_bytes) {
            break;
        }
        if (batch->bytes.blob == NULL) {
            build(producer, queue, batch);
        } else {
            producer->counters.retries++;
        }
        bytes += batch->bytes.len;
        queues[count] = queue;
        batches[count++] = batch;
    }
    if (count == 0) {
        return false;
    }
    struct producer_request *request =
        mem_new(sizeof *request + count * sizeof(struct bench_queue *));
    request->send_id = ++producer->last_send_id;
    request->correlation = ++producer->correlation;
    request->sent_us = now_us;
    request->count = count;
    for (uint32_t i = 0; i < count; i++) {
        request->queues[i] = queues[i];
        bench_queue_sent(queues[i], batches[i], request->send_id);
        make_ready(producer, queues[i]); /* to the end: the others have their turn first */
    }
    queue_push(&broker->requests, &request->link);
    broker->in_flight++;
    producer->counters.requests++;
    producer->counters.batches += count;
    producer->counters.bytes += bytes;
    send_request(broker, request, batches);
    return true;
}

static void flush_broker(struct producer_broker *broker, uint64_t now_us)
{
    while (broker->node.up && broker->in_flight < broker->producer->settings.in_flight &&
           !broker->producer->broken && send_ready(broker, now_us)) {
    }
}

void bench_producer_flush(struct bench_producer *producer, uint64_t now_us)
{
    wake_delayed(producer, now_us);
    for (size_t i = 1; i < BENCH_BROKERS_MAX; i++) {
        if (!queue_empty(&producer->brokers[i].ready)) {
            flush_broker(&producer->brokers[i], now_us);
        }
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void count_error(struct bench_producer *producer, int16_t error)
{
    size_t at = error > 0 && error < BENCH_ERRORS ? (size_t)error : BENCH_ERRORS - 1;

    producer->counters.errors[at]++;
}

static void follow(struct bench_producer *producer, struct bench_queue *queue, int32_t leader,
                   int32_t epoch)
{
    if (epoch < queue->epoch || leader >= BENCH_BROKERS_MAX ||
        (leader > 0 && producer->brokers[leader].id == 0)) {
        return; /* older than what is known, or nobody that we can reach */
    }
    if (leader <= 0) {
        if (queue->leader > 0 && link_in_list(&queue->ready)) {
            link_remove(&queue->ready);
        }
        queue->leader = -1;
        return;
    }
    if (leader == queue->leader && epoch == queue->epoch) {
        return;
    }
    producer->counters.moves += queue->epoch >= 0;
    bench_queue_move(queue, leader, epoch);
    make_ready(producer, queue);
}

static void settle(struct bench_producer *producer, struct bench_queue *queue, uint64_t send_id,
                   int16_t error, uint64_t now_us)
{
    struct bench_batch *batch = NULL;
    char why[160];

    switch (bench_queue_answer(queue, send_id, error, now_us,
                               (uint64_t)producer->settings.retry_ms * 1000, &batch)) {
    case BENCH_ACKED:
        producer->ops->acked(producer->owner, queue, batch, now_us);
        bench_batch_free(batch);
        break;
    case BENCH_AGAIN:
        count_error(producer, error);
        ask_metadata(producer, now_us); /* whatever it was: another one may lead by now */
        break;
    case BENCH_BROKEN:
        count_error(producer, error);
        (void)snprintf(why, sizeof why, "partition %d: %s, and no retry can help", queue->index,
                       kafka_error_name(error));
        give_up(producer, why);
        break;
    case BENCH_LATE:
        producer->counters.late++;
        producer->counters.late_acks += error == 0;
        break;
    }
    make_ready(producer, queue);
}

static void take_endpoints(struct bench_producer *producer,
                           const struct kafka_produce_response *response);

static void take_partition(struct bench_producer *producer, struct producer_request *request,
                           const struct kafka_produce_response_partition *answer, uint64_t now_us)
{
    for (uint32_t i = 0; i < request->count; i++) {
        struct bench_queue *queue = request->queues[i];
        if (queue == NULL || queue->index != answer->index) {
            continue;
        }
        request->queues[i] = NULL;
        settle(producer, queue, request->send_id, answer->error, now_us);
        if (answer->error != 0 && answer->current_leader.leader_id > 0 &&
            answer->current_leader.leader_epoch > queue->epoch) {
            producer->counters.hints++;
            follow(producer, queue, answer->current_leader.leader_id,
                   answer->current_leader.leader_epoch);
        }
        return;
    }
}

/* Whatever of it has not been answered counts as `error`. */
static void end_request(struct producer_broker *broker, struct producer_request *request,
                        int16_t error, uint64_t now_us)
{
    link_remove(&request->link);
    broker->in_flight--;
    for (uint32_t i = 0; i < request->count; i++) {
        if (request->queues[i] != NULL) {
            settle(broker->producer, request->queues[i], request->send_id, error, now_us);
        }
    }
    free(request);
}

static void drop_link(struct producer_broker *broker, uint64_t now_us)
{
    struct bench_producer *producer = broker->producer;

    producer->counters.disconnects += broker->node.up;
    bench_node_drop(&broker->node);
    broker->dial_us = now_us + (uint64_t)producer->settings.retry_ms * 1000;
    while (!queue_empty(&broker->requests)) {
        end_request(broker, CONTAINER_OF(broker->requests.next, struct producer_request, link),
                    NETWORK, now_us);
    }
    ask_metadata(producer, now_us);
}

static void take_answer(struct producer_broker *broker, struct blob *frame)
{
    struct bench_producer *producer = broker->producer;
    uint64_t now_us = now_of(producer);
    struct kafka_produce_response *response;
    struct arena arena;
    void *message;

    arena_init(&arena);
    struct producer_request *request =
        queue_empty(&broker->requests)
            ? NULL
            : CONTAINER_OF(broker->requests.next, struct producer_request, link);
    int status = request == NULL
                     ? TERN_EMALFORMED
                     : bench_node_take(frame, produce, request->correlation, &arena, &message);
    if (status != 0) {
        drop_link(broker, now_us);
        arena_fini(&arena);
        return;
    }
    response = message;
    take_endpoints(producer, response);
    for (uint32_t t = 0; t < response->topics_count; t++) {
        for (uint32_t i = 0; i < response->topics[t].partitions_count; i++) {
            take_partition(producer, request, &response->topics[t].partitions[i], now_us);
        }
    }
    end_request(broker, request, NETWORK, now_us);
    arena_fini(&arena);
    bench_producer_flush(producer, now_us);
}

/* ---- brokers --------------------------------------------------------------------------------- */

static void on_up(void *owner)
{
    struct producer_broker *broker = owner;

    flush_broker(broker, now_of(broker->producer));
}

static void on_down(void *owner)
{
    struct producer_broker *broker = owner;

    (void)snprintf(broker->producer->meta.why, sizeof broker->producer->meta.why, "%s",
                   broker->node.why);
    drop_link(broker, now_of(broker->producer));
}

static void on_frame(void *owner, struct blob *frame)
{
    take_answer(owner, frame);
}

static const struct bench_node_ops node_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void dial(struct producer_broker *broker, uint64_t now_us)
{
    struct bench_producer *producer = broker->producer;

    if (!bench_node_dial(&broker->node)) {
        (void)snprintf(producer->meta.why, sizeof producer->meta.why, "%s", broker->node.why);
    }
    broker->dial_us = now_us + (uint64_t)producer->settings.retry_ms * 1000;
}

static void take_broker(struct bench_producer *producer, int32_t id, struct slice host,
                        int32_t port)
{
    char address[WIRE_ADDRESS_MAX];

    if (id <= 0 || id >= BENCH_BROKERS_MAX || host.len > 100) {
        return;
    }
    struct producer_broker *broker = &producer->brokers[id];
    (void)snprintf(address, sizeof address, "%.*s:%d", (int)host.len, (const char *)host.base,
                   port);
    if (broker->id == 0 || strcmp(broker->node.address, address) != 0) {
        broker->id = id;
        memcpy(broker->node.address, address, sizeof address);
        broker->moved =
            broker->node.link != NULL; /* given up from the timer: it may be in use now */
        broker->dial_us = 0;
    }
    if (broker->node.link == NULL && broker->dial_us <= now_of(producer)) {
        dial(broker, now_of(producer));
    }
}

static void take_endpoints(struct bench_producer *producer,
                           const struct kafka_produce_response *response)
{
    for (uint32_t i = 0; i < response->node_endpoints_count; i++) {
        const struct kafka_produce_response_node_endpoint *at = &response->node_endpoints[i];
        take_broker(producer, at->node_id, at->host, at->port);
    }
}

static void maybe_ready(struct bench_producer *producer)
{
    if (producer->started || producer->queue_count == 0 ||
        (producer->settings.idempotent && producer->producer_id < 0)) {
        return;
    }
    for (uint32_t i = 0; i < producer->queue_count; i++) {
        if (producer->queues[i].leader <= 0) {
            return;
        }
    }
    producer->started = true;
    producer->ops->ready(producer->owner);
}

static void take_topic(struct bench_producer *producer,
                       const struct kafka_metadata_response_topic *topic)
{
    if (topic->error != 0) {
        (void)snprintf(producer->meta.why, sizeof producer->meta.why, "topic %.80s: %s",
                       producer->settings.topic, kafka_error_name(topic->error));
        return;
    }
    if (producer->queue_count == 0 && topic->partitions_count > 0) {
        producer->queue_count = topic->partitions_count;
        producer->queues = mem_new(topic->partitions_count * sizeof *producer->queues);
        for (uint32_t i = 0; i < topic->partitions_count; i++) {
            bench_queue_init(&producer->queues[i], (int32_t)i);
        }
    }
    for (uint32_t i = 0; i < topic->partitions_count; i++) {
        const struct kafka_metadata_response_partition *part = &topic->partitions[i];
        if (part->partition >= 0 && (uint32_t)part->partition < producer->queue_count) {
            follow(producer, &producer->queues[part->partition], part->leader_id,
                   part->leader_epoch);
        }
    }
}

static void on_metadata(void *owner, const struct kafka_metadata_response *response)
{
    struct bench_producer *producer = owner;

    for (uint32_t i = 0; i < response->brokers_count; i++) {
        const struct kafka_metadata_response_broker *broker = &response->brokers[i];
        take_broker(producer, broker->node_id, broker->host, broker->port);
    }
    for (uint32_t i = 0; i < response->topics_count; i++) {
        take_topic(producer, &response->topics[i]);
    }
    maybe_ready(producer);
    bench_producer_flush(producer, now_of(producer));
}

static void on_producer_id(void *owner, int64_t id, int16_t epoch)
{
    struct bench_producer *producer = owner;

    producer->producer_id = id;
    producer->producer_epoch = epoch;
    maybe_ready(producer);
}

static const struct bench_meta_ops meta_ops = {.metadata = on_metadata,
                                               .producer_id = on_producer_id};

/* ---- what takes too long --------------------------------------------------------------------- */

static bool look_at_broker(struct producer_broker *broker, uint64_t now_us)
{
    const struct bench_settings *settings = &broker->producer->settings;

    if (broker->moved) {
        broker->moved = false;
        drop_link(broker, now_us);
    }
    if (broker->node.link == NULL && now_us >= broker->dial_us) {
        dial(broker, now_us);
    }
    if (queue_empty(&broker->requests)) {
        return false;
    }
    uint64_t waits_us =
        now_us - CONTAINER_OF(broker->requests.next, struct producer_request, link)->sent_us;
    if (waits_us > (uint64_t)settings->request_timeout_ms * 1000 + 500000) {
        drop_link(broker, now_us); /* as librdkafka: a silent connection is given up */
        return true;
    }
    return waits_us > (uint64_t)settings->stall_ms * 1000;
}

static bool any_homeless(const struct bench_producer *producer)
{
    for (uint32_t i = 0; i < producer->queue_count; i++) {
        if (producer->queues[i].leader <= 0) {
            return true;
        }
    }
    return producer->queue_count == 0;
}

static void on_turn(struct timer *timer)
{
    struct bench_producer *producer = CONTAINER_OF(timer, struct bench_producer, turn);
    uint64_t now_us = now_of(producer);
    bool wrong = false;

    for (size_t i = 1; i < BENCH_BROKERS_MAX; i++) {
        if (producer->brokers[i].id != 0) {
            wrong = look_at_broker(&producer->brokers[i], now_us) || wrong;
        }
    }
    if (now_us >= producer->asked_us + (uint64_t)producer->settings.retry_ms * 1000 &&
        (wrong || any_homeless(producer))) {
        ask_metadata(producer, now_us);
    }
    bench_producer_flush(producer, now_us);
    timer_after_ms(producer->clock, &producer->turn, TURN_MS);
}

/* ---- begin and end --------------------------------------------------------------------------- */

struct bench_producer *bench_producer_new(struct kafka_dialer *dialer,
                                          const struct bench_settings *settings,
                                          const struct bench_producer_ops *ops, void *owner)
{
    struct bench_producer *producer = mem_new(sizeof *producer);
    struct prng prng;

    producer->dialer = dialer;
    producer->clock = kafka_dialer_clock(dialer);
    producer->settings = *settings;
    producer->ops = ops;
    producer->owner = owner;
    producer->producer_id = -1;
    producer->delayed_us = UINT64_MAX;
    queue_init(&producer->delayed);
    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        producer->brokers[i].producer = producer;
        bench_node_init(&producer->brokers[i].node, dialer, needs, &node_ops,
                        &producer->brokers[i]);
        queue_init(&producer->brokers[i].requests);
        queue_init(&producer->brokers[i].ready);
    }
    producer->records_max =
        settings->batch_bytes > BATCH_HEADER + settings->size + RECORD_HEAD
            ? (settings->batch_bytes - BATCH_HEADER) / (settings->size + RECORD_HEAD)
            : 1;
    producer->payload = mem_new(settings->size + 8);
    prng_init(&prng, 1);
    for (uint32_t i = 0; i < settings->size; i += 8) {
        put_be64(producer->payload + i, prng_next(&prng));
    }
    batch_builder_init(&producer->builder);
    bench_meta_init(&producer->meta, dialer, producer->settings.topic, &meta_ops, producer);
    producer->turn.fire = on_turn;
    return producer;
}

void bench_producer_free(struct bench_producer *producer)
{
    timer_stop(producer->clock, &producer->turn);
    bench_meta_fini(&producer->meta);
    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        struct producer_broker *broker = &producer->brokers[i];
        struct link *link;
        bench_node_drop(&broker->node);
        while ((link = queue_pop(&broker->requests)) != NULL) {
            free(CONTAINER_OF(link, struct producer_request, link));
        }
    }
    for (uint32_t i = 0; i < producer->queue_count; i++) {
        bench_queue_fini(&producer->queues[i]);
    }
    batch_builder_fini(&producer->builder);
    free(producer->queues);
    free(producer->payload);
    free(producer);
}

bool bench_producer_bootstrap(struct bench_producer *producer, const char *address)
{
    return bench_meta_address(&producer->meta, address);
}

void bench_producer_start(struct bench_producer *producer)
{
    CHECK(producer->meta.address_count > 0);
    ask_metadata(producer, now_of(producer));
    if (producer->settings.idempotent) {
        bench_meta_ask_id(&producer->meta);
    }
    timer_after_ms(producer->clock, &producer->turn, TURN_MS);
}

uint32_t bench_producer_partitions(const struct bench_producer *producer)
{
    return producer->queue_count;
}

uint32_t bench_producer_batch_records(const struct bench_producer *producer)
{
    return producer->records_max;
}

void bench_producer_due(struct bench_producer *producer, uint32_t partition, uint32_t count,
                        uint64_t now_us)
{
    struct bench_queue *queue = &producer->queues[partition];

    CHECK(partition < producer->queue_count);
    bench_queue_due(queue, count, producer->records_max, now_us);
    if (!link_in_list(&queue->ready)) {
        make_ready(producer, queue);
    }
}

const struct bench_counters *bench_producer_counters(const struct bench_producer *producer)
{
    return &producer->counters;
}

const char *bench_producer_why(const struct bench_producer *producer)
{
    return producer->meta.why;
}
