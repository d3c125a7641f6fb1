/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_consumer.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/bench_node.h"

#define TURN_MS       10 /* how often what takes too long is looked at */
#define NAMED         0  /* brokers[0] is settings.from; node ids begin at 1 */
#define LATEST        (-1)
#define EARLIEST      (-2)
#define SESSIONLESS   (-1)
#define NOTHING_ASKED (-1)

enum { API_FETCH, API_OFFSETS };
static const struct bench_api needs[] = {
    [API_FETCH] = {.key = 1, .version = 12}, [API_OFFSETS] = {.key = 2, .version = 7}, {.key = -1}};

struct consumer_partition {
    int32_t leader; /* node id, -1: none known */
    int32_t epoch;
    int64_t next; /* offset; -1: not known yet */
    int64_t end;  /* high watermark of the last answer; -1: none yet */
    uint64_t not_before_us;
};

struct consumer_broker {
    struct bench_consumer *consumer;
    int32_t id;
    bool known;
    struct bench_node node;
    uint64_t dial_us; /* not before */
    int asked;        /* index in needs; NOTHING_ASKED */
    int32_t correlation;
    uint64_t asked_us;
    uint32_t first; /* the partition that the next fetch begins with */
};

struct bench_consumer {
    struct kafka_dialer *dialer;
    struct clock *clock;
    struct bench_consumer_settings settings;
    const struct bench_consumer_ops *ops;
    void *owner;
    struct bench_meta meta;
    struct consumer_broker brokers[BENCH_BROKERS_MAX];
    struct consumer_partition *partitions;
    uint32_t partition_count;
    uint32_t placed; /* partitions whose `next` is known */
    bool started;
    int32_t correlation;
    uint64_t asked_us; /* metadata */
    struct timer turn;
    struct bench_consumer_counters counters;
};

static void pump(struct consumer_broker *broker, uint64_t now_us);

static uint64_t now_of(const struct bench_consumer *consumer)
{
    return clock_now_us(consumer->clock);
}

static void ask_metadata(struct bench_consumer *consumer, uint64_t now_us)
{
    consumer->asked_us = now_us;
    bench_meta_ask(&consumer->meta);
}

static void note_why(struct bench_consumer *consumer, const char *why)
{
    (void)snprintf(consumer->meta.why, sizeof consumer->meta.why, "%s", why);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Is this partition read, or its place asked, from this broker? */
static bool belongs(const struct consumer_broker *broker, const struct consumer_partition *part)
{
    bool named = broker->consumer->settings.from != NULL && part->next >= 0;

    return broker->id == NAMED ? named : !named && part->leader == broker->id;
}

static void send(struct consumer_broker *broker, int api, const void *request, uint64_t now_us)
{
    broker->asked = api;
    broker->asked_us = now_us;
    broker->correlation = ++broker->consumer->correlation;
    bench_node_send(&broker->node, needs[api], broker->correlation, request);
}

static bool ask_places(struct consumer_broker *broker, uint64_t now_us)
{
    struct bench_consumer *consumer = broker->consumer;
    struct kafka_list_offsets_request request;
    struct kafka_list_offsets_request_topic topic;
    struct arena arena;
    uint32_t count = 0;

    if (consumer->placed == consumer->partition_count) {
        return false;
    }
    arena_init(&arena);
    kafka_list_offsets_request_init(&request);
    kafka_list_offsets_request_topic_init(&topic);
    topic.name = slice_text(consumer->settings.topic);
    topic.partitions = kafka_list_offsets_request_partition_new(&arena, consumer->partition_count);
    for (uint32_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *part = &consumer->partitions[i];
        if (part->next < 0 && belongs(broker, part) && part->not_before_us <= now_us) {
            topic.partitions[count].partition = (int32_t)i;
            topic.partitions[count].timestamp = consumer->settings.from_end ? LATEST : EARLIEST;
            count++;
        }
    }
    topic.partitions_count = count;
    request.topics = &topic;
    request.topics_count = 1;
    if (count > 0) {
        send(broker, API_OFFSETS, &request, now_us);
    }
    arena_fini(&arena);
    return count > 0;
}

static void ask_records(struct consumer_broker *broker, uint64_t now_us)
{
    struct bench_consumer *consumer = broker->consumer;
    const struct bench_consumer_settings *settings = &consumer->settings;
    struct kafka_fetch_request request;
    struct kafka_fetch_request_topic topic;
    struct arena arena;
    uint32_t count = 0;

    arena_init(&arena);
    kafka_fetch_request_init(&request);
    kafka_fetch_request_topic_init(&topic);
    request.max_wait_ms = (int32_t)settings->max_wait_ms;
    request.min_bytes = (int32_t)settings->min_bytes;
    request.max_bytes = (int32_t)settings->max_bytes;
    request.session_epoch = SESSIONLESS;
    topic.topic = slice_text(settings->topic);
    topic.partitions = kafka_fetch_request_partition_new(&arena, consumer->partition_count);
    for (uint32_t n = 0; n < consumer->partition_count; n++) {
        uint32_t i = (broker->first + n) % consumer->partition_count;
        const struct consumer_partition *part = &consumer->partitions[i];
        if (part->next < 0 || !belongs(broker, part) || part->not_before_us > now_us) {
            continue;
        }
        topic.partitions[count].partition = (int32_t)i;
        topic.partitions[count].current_leader_epoch = broker->id == NAMED ? -1 : part->epoch;
        topic.partitions[count].fetch_offset = part->next;
        topic.partitions[count].partition_max_bytes = (int32_t)settings->partition_bytes;
        count++;
    }
    topic.partitions_count = count;
    request.topics = &topic;
    request.topics_count = 1;
    if (count > 0) {
        consumer->counters.fetches++;
        send(broker, API_FETCH, &request, now_us);
    }
    arena_fini(&arena);
}

/* One question at a time; places first. */
static void pump(struct consumer_broker *broker, uint64_t now_us)
{
    if (broker->node.up && broker->asked == NOTHING_ASKED &&
        broker->consumer->partition_count > 0 && !ask_places(broker, now_us) &&
        broker->consumer->started) {
        ask_records(broker, now_us);
    }
}

static void pump_all(struct bench_consumer *consumer, uint64_t now_us)
{
    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        if (consumer->brokers[i].known) {
            pump(&consumer->brokers[i], now_us);
        }
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct consumer_partition *partition_of(struct bench_consumer *consumer, int32_t index)
{
    return index >= 0 && (uint32_t)index < consumer->partition_count ? &consumer->partitions[index]
                                                                     : NULL;
}

static void failed(struct bench_consumer *consumer, struct consumer_partition *part, int16_t error,
                   uint64_t now_us)
{
    consumer->counters.errors++;
    consumer->counters.last_error = error;
    note_why(consumer, kafka_error_name(error));
    part->not_before_us = now_us + (uint64_t)consumer->settings.retry_ms * 1000;
    ask_metadata(consumer, now_us);
}

static void take_places(struct bench_consumer *consumer,
                        const struct kafka_list_offsets_response *response, uint64_t now_us)
{
    for (uint32_t t = 0; t < response->topics_count; t++) {
        for (uint32_t i = 0; i < response->topics[t].partitions_count; i++) {
            const struct kafka_list_offsets_response_partition *answer =
                &response->topics[t].partitions[i];
            struct consumer_partition *part = partition_of(consumer, answer->partition);
            if (part == NULL || part->next >= 0) {
                continue;
            }
            if (answer->error != 0 || answer->offset < 0) {
                failed(consumer, part, answer->error, now_us);
            } else {
                part->next = answer->offset;
                consumer->placed++;
            }
        }
    }
    if (consumer->placed == consumer->partition_count && !consumer->started) {
        consumer->started = true;
        consumer->ops->ready(consumer->owner);
    }
}

/* What a broker sends may end within a batch, and begin with one that is read already. */
static uint64_t take_run(struct bench_consumer *consumer, int32_t index,
                         struct consumer_partition *part, struct slice run, uint64_t now_us)
{
    uint64_t records = 0;
    struct batch_info info;
    struct slice batch;

    while (batch_next(&run, &info, &batch) == 0) {
        if (info.last_offset < part->next) {
            continue;
        }
        if (batch_check(batch, &info) != 0) {
            consumer->counters.corrupt++;
            note_why(consumer, "a batch has a wrong checksum");
            part->not_before_us = now_us + (uint64_t)consumer->settings.retry_ms * 1000;
            break;
        }
        part->next = info.last_offset + 1;
        consumer->counters.bytes += info.bytes;
        if ((info.attributes & BATCH_CONTROL) == 0) {
            consumer->counters.records += (uint64_t)info.count;
            records += (uint64_t)info.count;
            consumer->ops->batch(consumer->owner, index, &info, batch, now_us);
        }
    }
    return records;
}

static void take_records(struct consumer_broker *broker,
                         const struct kafka_fetch_response *response, uint64_t now_us)
{
    struct bench_consumer *consumer = broker->consumer;
    uint64_t records = 0;

    for (uint32_t t = 0; t < response->topics_count; t++) {
        for (uint32_t i = 0; i < response->topics[t].partitions_count; i++) {
            const struct kafka_fetch_response_partition *answer =
                &response->topics[t].partitions[i];
            struct consumer_partition *part = partition_of(consumer, answer->partition);
            if (part == NULL) {
                continue;
            }
            if (answer->error != 0) {
                failed(consumer, part, answer->error, now_us);
                continue;
            }
            part->end = answer->high_watermark;
            uint64_t got =
                take_run(consumer, answer->partition, part, answer->records.bytes, now_us);
            if (got > 0) { /* the others have their turn first */
                broker->first = ((uint32_t)answer->partition + 1) % consumer->partition_count;
            }
            records += got;
        }
    }
    consumer->counters.empty += records == 0;
}

static void drop(struct consumer_broker *broker, uint64_t now_us)
{
    bench_node_drop(&broker->node);
    broker->asked = NOTHING_ASKED;
    broker->dial_us = now_us + (uint64_t)broker->consumer->settings.retry_ms * 1000;
    ask_metadata(broker->consumer, now_us);
}

static void on_frame(void *owner, struct blob *frame)
{
    struct consumer_broker *broker = owner;
    struct bench_consumer *consumer = broker->consumer;
    uint64_t now_us = now_of(consumer);
    int asked = broker->asked;
    struct arena arena;
    void *message;

    if (asked == NOTHING_ASKED) {
        return;
    }
    arena_init(&arena);
    if (bench_node_take(frame, needs[asked], broker->correlation, &arena, &message) != 0) {
        note_why(consumer, "an answer makes no sense");
        drop(broker, now_us);
    } else {
        broker->asked = NOTHING_ASKED;
        if (asked == API_OFFSETS) {
            take_places(consumer, message, now_us);
            pump_all(consumer, now_us);
        } else {
            take_records(broker, message, now_us);
            pump(broker, now_us);
        }
    }
    arena_fini(&arena);
}

static void on_up(void *owner)
{
    struct consumer_broker *broker = owner;

    pump(broker, now_of(broker->consumer));
}

static void on_down(void *owner)
{
    struct consumer_broker *broker = owner;

    note_why(broker->consumer, broker->node.why);
    drop(broker, now_of(broker->consumer));
}

static const struct bench_node_ops node_ops = {.up = on_up, .frame = on_frame, .down = on_down};

/* ---- brokers and partitions ------------------------------------------------------------------ */

static void dial(struct consumer_broker *broker, uint64_t now_us)
{
    if (broker->node.link == NULL && now_us >= broker->dial_us) {
        if (!bench_node_dial(&broker->node)) {
            note_why(broker->consumer, broker->node.why);
        }
        broker->dial_us = now_us + (uint64_t)broker->consumer->settings.retry_ms * 1000;
    }
}

static void know(struct consumer_broker *broker, const char *address, uint64_t now_us)
{
    if (broker->known && strcmp(broker->node.address, address) != 0) {
        drop(broker, now_us);
        broker->dial_us = 0;
    }
    broker->known = true;
    (void)snprintf(broker->node.address, sizeof broker->node.address, "%s", address);
    dial(broker, now_us);
}

static void take_topic(struct bench_consumer *consumer,
                       const struct kafka_metadata_response_topic *topic)
{
    if (topic->error != 0) {
        note_why(consumer, kafka_error_name(topic->error));
        return;
    }
    if (consumer->partition_count == 0 && topic->partitions_count > 0) {
        consumer->partition_count = topic->partitions_count;
        consumer->partitions = mem_new(consumer->partition_count * sizeof *consumer->partitions);
        for (uint32_t i = 0; i < consumer->partition_count; i++) {
            consumer->partitions[i] =
                (struct consumer_partition){.leader = -1, .epoch = -1, .next = -1, .end = -1};
        }
    }
    for (uint32_t i = 0; i < topic->partitions_count; i++) {
        const struct kafka_metadata_response_partition *told = &topic->partitions[i];
        struct consumer_partition *part = partition_of(consumer, told->partition);
        if (part != NULL && told->leader_epoch >= part->epoch) {
            part->leader = told->leader_id;
            part->epoch = told->leader_epoch;
        }
    }
}

static void on_metadata(void *owner, const struct kafka_metadata_response *response)
{
    struct bench_consumer *consumer = owner;
    uint64_t now_us = now_of(consumer);
    char address[WIRE_ADDRESS_MAX];

    for (uint32_t i = 0; i < response->brokers_count; i++) {
        const struct kafka_metadata_response_broker *broker = &response->brokers[i];
        if (broker->node_id > NAMED && broker->node_id < BENCH_BROKERS_MAX &&
            broker->host.len < 100) {
            (void)snprintf(address, sizeof address, "%.*s:%d", (int)broker->host.len,
                           (const char *)broker->host.base, broker->port);
            know(&consumer->brokers[broker->node_id], address, now_us);
        }
    }
    for (uint32_t i = 0; i < response->topics_count; i++) {
        take_topic(consumer, &response->topics[i]);
    }
    pump_all(consumer, now_us);
}

static const struct bench_meta_ops meta_ops = {.metadata = on_metadata};

/* ---- what takes too long --------------------------------------------------------------------- */

static bool look_at_broker(struct consumer_broker *broker, uint64_t now_us)
{
    const struct bench_consumer_settings *settings = &broker->consumer->settings;

    dial(broker, now_us);
    if (broker->asked == NOTHING_ASKED) {
        pump(broker, now_us); /* a partition's back-off may be over */
        return broker->node.link == NULL;
    }
    uint64_t waits_ms = (now_us - broker->asked_us) / 1000;
    if (waits_ms > settings->request_timeout_ms + settings->max_wait_ms) {
        drop(broker, now_us);
    }
    return waits_ms > settings->max_wait_ms + settings->stall_ms;
}

static void on_turn(struct timer *timer)
{
    struct bench_consumer *consumer = CONTAINER_OF(timer, struct bench_consumer, turn);
    uint64_t now_us = now_of(consumer);
    bool wrong = consumer->partition_count == 0;

    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        if (consumer->brokers[i].known) {
            wrong = look_at_broker(&consumer->brokers[i], now_us) || wrong;
        }
    }
    if (wrong && now_us >= consumer->asked_us + (uint64_t)consumer->settings.retry_ms * 1000) {
        ask_metadata(consumer, now_us);
    }
    timer_after_ms(consumer->clock, &consumer->turn, TURN_MS);
}

/* ---- begin and end --------------------------------------------------------------------------- */

struct bench_consumer *bench_consumer_new(struct kafka_dialer *dialer,
                                          const struct bench_consumer_settings *settings,
                                          const struct bench_consumer_ops *ops, void *owner)
{
    struct bench_consumer *consumer = mem_new(sizeof *consumer);

    consumer->dialer = dialer;
    consumer->clock = kafka_dialer_clock(dialer);
    consumer->settings = *settings;
    consumer->ops = ops;
    consumer->owner = owner;
    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        struct consumer_broker *broker = &consumer->brokers[i];
        broker->consumer = consumer;
        broker->id = (int32_t)i;
        broker->asked = NOTHING_ASKED;
        bench_node_init(&broker->node, dialer, needs, &node_ops, broker);
    }
    bench_meta_init(&consumer->meta, dialer, consumer->settings.topic, &meta_ops, consumer);
    consumer->turn.fire = on_turn;
    return consumer;
}

void bench_consumer_free(struct bench_consumer *consumer)
{
    if (consumer == NULL) {
        return;
    }
    timer_stop(consumer->clock, &consumer->turn);
    bench_meta_fini(&consumer->meta);
    for (size_t i = 0; i < BENCH_BROKERS_MAX; i++) {
        bench_node_drop(&consumer->brokers[i].node);
    }
    free(consumer->partitions);
    free(consumer);
}

bool bench_consumer_bootstrap(struct bench_consumer *consumer, const char *address)
{
    return bench_meta_address(&consumer->meta, address);
}

void bench_consumer_start(struct bench_consumer *consumer)
{
    uint64_t now_us = now_of(consumer);

    CHECK(consumer->meta.address_count > 0);
    if (consumer->settings.from != NULL) {
        know(&consumer->brokers[NAMED], consumer->settings.from, now_us);
    }
    ask_metadata(consumer, now_us);
    timer_after_ms(consumer->clock, &consumer->turn, TURN_MS);
}

uint32_t bench_consumer_partitions(const struct bench_consumer *consumer)
{
    return consumer->partition_count;
}

bool bench_consumer_at_end(const struct bench_consumer *consumer)
{
    for (uint32_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *part = &consumer->partitions[i];
        if (part->next < 0 || part->end < 0 || part->next < part->end) {
            return false;
        }
    }
    return consumer->partition_count > 0;
}

const struct bench_consumer_counters *bench_consumer_counters(const struct bench_consumer *consumer)
{
    return &consumer->counters;
}

const char *bench_consumer_why(const struct bench_consumer *consumer)
{
    return consumer->meta.why;
}
