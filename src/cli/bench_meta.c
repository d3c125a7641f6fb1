/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_meta.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define METADATA     3
#define METADATA_V   12
#define PRODUCER_ID  22
#define PRODUCER_V   4
#define ANSWER_MS    250
#define PRODUCER_MS  2000 /* it may take a round of the control quorum */
#define DIAL_WAIT_MS 20

static void pump(struct bench_meta *meta);

static void leave(struct bench_meta *meta)
{
    if (meta->link != NULL) {
        kafka_link_close(meta->link);
        meta->link = NULL;
    }
    meta->up = false;
    meta->asked = -1;
    meta->at++;
}

static void on_timer(struct timer *timer)
{
    struct bench_meta *meta = CONTAINER_OF(timer, struct bench_meta, timer);

    if (meta->link != NULL) {
        (void)snprintf(meta->why, sizeof meta->why, "%s is silent",
                       meta->addresses[meta->at % meta->address_count]);
        leave(meta);
    }
    pump(meta);
}

static void on_up(void *owner)
{
    struct bench_meta *meta = owner;

    meta->up = true;
    timer_stop(meta->clock, &meta->timer);
    pump(meta);
}

static void on_down(void *owner, const char *why)
{
    struct bench_meta *meta = owner;

    (void)snprintf(meta->why, sizeof meta->why, "%.60s: %.100s",
                   meta->addresses[meta->at % meta->address_count], why);
    meta->link = NULL;
    leave(meta);
    timer_after_ms(meta->clock, &meta->timer, DIAL_WAIT_MS);
}

static void take_metadata(struct bench_meta *meta, const struct kafka_metadata_response *response)
{
    for (uint32_t i = 0; i < response->brokers_count; i++) {
        const struct kafka_metadata_response_broker *broker = &response->brokers[i];
        char address[WIRE_ADDRESS_MAX];
        if (broker->host.len < 100) {
            (void)snprintf(address, sizeof address, "%.*s:%d", (int)broker->host.len,
                           (const char *)broker->host.base, broker->port);
            (void)bench_meta_address(meta, address);
        }
    }
    meta->want_metadata = false;
    meta->ops->metadata(meta->owner, response);
}

static void take_id(struct bench_meta *meta, const struct kafka_init_producer_id_response *response)
{
    if (response->error == 0) {
        meta->want_id = false;
        meta->ops->producer_id(meta->owner, response->producer_id, response->producer_epoch);
        return;
    }
    (void)snprintf(meta->why, sizeof meta->why, "no producer id: %s",
                   kafka_error_name(response->error));
    leave(meta);
    timer_after_ms(meta->clock, &meta->timer, ANSWER_MS);
}

static void on_frame(void *owner, struct blob *frame)
{
    struct bench_meta *meta = owner;
    int16_t key = meta->asked;
    int16_t version = key == METADATA ? METADATA_V : PRODUCER_V;
    struct arena arena;
    struct slice body;
    void *response;
    int32_t correlation;

    if (key < 0) {
        return;
    }
    arena_init(&arena);
    arena.limit = frame->len * KAFKA_ARENA_FACTOR + KAFKA_ARENA_SLACK;
    int status = kafka_decode_response_header(key, version, slice_of(frame->bytes, frame->len),
                                              &correlation, &body);
    if (status == 0 && correlation == meta->correlation) {
        status = kafka_decode_response(key, version, body, &arena, &response, NULL);
    }
    if (status != 0 || correlation != meta->correlation) {
        (void)snprintf(meta->why, sizeof meta->why, "an answer makes no sense: %s",
                       error_sentence(status));
        leave(meta);
        timer_after_ms(meta->clock, &meta->timer, ANSWER_MS);
    } else {
        meta->asked = -1;
        timer_stop(meta->clock, &meta->timer);
        if (key == METADATA) {
            leave(meta); /* one that is cut off knows nothing new: the next question is another's */
            take_metadata(meta, response);
        } else {
            take_id(meta, response);
        }
        pump(meta);
    }
    arena_fini(&arena);
}

static const struct kafka_link_ops link_ops = {.up = on_up, .frame = on_frame, .down = on_down};

static void ask(struct bench_meta *meta, int16_t key, const void *request)
{
    struct kafka_request_header header = {.key = key,
                                          .version = key == METADATA ? METADATA_V : PRODUCER_V,
                                          .correlation_id = ++meta->correlation,
                                          .client_id = slice_text("tern-bench")};
    struct kafka_out out = {0};
    const struct chunk *chunks;

    CHECK(kafka_encode_request(&header, request, &out, NULL) == 0);
    size_t count = kafka_out_take(&out, &chunks);
    kafka_link_send(meta->link, chunks, count);
    kafka_out_fini(&out);
    meta->asked = key;
    meta->questions++;
    timer_after_ms(meta->clock, &meta->timer, key == METADATA ? ANSWER_MS : PRODUCER_MS);
}

static void ask_metadata(struct bench_meta *meta)
{
    struct kafka_metadata_request request;
    struct kafka_metadata_request_topic topic;

    kafka_metadata_request_init(&request);
    kafka_metadata_request_topic_init(&topic);
    topic.name = slice_text(meta->topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = false;
    ask(meta, METADATA, &request);
}

static void ask_id(struct bench_meta *meta)
{
    struct kafka_init_producer_id_request request;

    kafka_init_producer_id_request_init(&request);
    request.transaction_timeout_ms = 60000;
    ask(meta, PRODUCER_ID, &request);
}

static void pump(struct bench_meta *meta)
{
    if (meta->asked >= 0 || (!meta->want_metadata && !meta->want_id)) {
        return;
    }
    if (meta->link == NULL) {
        if (!timer_armed(&meta->timer)) {
            CHECK(meta->address_count > 0);
            meta->link =
                kafka_link_open(meta->dialer, meta->addresses[meta->at % meta->address_count],
                                &link_ops, meta, meta->why);
            if (meta->link == NULL) {
                meta->at++;
            }
            timer_after_ms(meta->clock, &meta->timer, ANSWER_MS);
        }
        return;
    }
    if (!meta->up) {
        return;
    }
    if (meta->want_metadata) {
        ask_metadata(meta);
    } else {
        ask_id(meta);
    }
}

void bench_meta_init(struct bench_meta *meta, struct kafka_dialer *dialer, const char *topic,
                     const struct bench_meta_ops *ops, void *owner)
{
    *meta = (struct bench_meta){.dialer = dialer,
                                .clock = kafka_dialer_clock(dialer),
                                .ops = ops,
                                .owner = owner,
                                .topic = topic,
                                .asked = -1,
                                .timer = {.fire = on_timer}};
}

void bench_meta_fini(struct bench_meta *meta)
{
    timer_stop(meta->clock, &meta->timer);
    if (meta->link != NULL) {
        kafka_link_close(meta->link);
        meta->link = NULL;
    }
}

bool bench_meta_address(struct bench_meta *meta, const char *address)
{
    for (size_t i = 0; i < meta->address_count; i++) {
        if (strcmp(meta->addresses[i], address) == 0) {
            return true;
        }
    }
    if (meta->address_count == BENCH_BROKERS_MAX || strlen(address) >= WIRE_ADDRESS_MAX) {
        return false;
    }
    (void)snprintf(meta->addresses[meta->address_count++], WIRE_ADDRESS_MAX, "%s", address);
    return true;
}

void bench_meta_ask(struct bench_meta *meta)
{
    meta->want_metadata = true;
    pump(meta);
}

void bench_meta_ask_id(struct bench_meta *meta)
{
    meta->want_id = true;
    pump(meta);
}
