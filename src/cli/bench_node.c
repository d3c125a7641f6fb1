/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_node.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/arena.h"
#include "kafka/generated/messages.h"

static const struct bench_api versions = {.key = 18, .version = 3};

static void on_up(void *owner)
{
    struct bench_node *node = owner;
    struct kafka_api_versions_request request;

    kafka_api_versions_request_init(&request);
    request.client_software_name = slice_text("tern-bench");
    request.client_software_version = slice_text("1");
    bench_node_send(node, versions, 0, &request);
}

static bool speaks(const struct kafka_api_versions_response *response, struct bench_api need)
{
    for (uint32_t i = 0; i < response->api_keys_count; i++) {
        const struct kafka_api_versions_response_api *api = &response->api_keys[i];
        if (api->key == need.key) {
            return api->min_version <= need.version && api->max_version >= need.version;
        }
    }
    return false;
}

static void take_versions(struct bench_node *node, struct blob *frame)
{
    struct arena arena;
    void *message;

    arena_init(&arena);
    bool good = bench_node_take(frame, versions, 0, &arena, &message) == 0;
    (void)snprintf(node->why, sizeof node->why, "%.60s does not tell its versions", node->address);
    for (const struct bench_api *need = node->needs; good && need->key >= 0; need++) {
        good = speaks(message, *need);
        (void)snprintf(node->why, sizeof node->why, "%.60s does not speak version %d of API %d",
                       node->address, need->version, need->key);
    }
    arena_fini(&arena);
    if (good) {
        node->up = true;
        node->why[0] = '\0';
        node->ops->up(node->owner);
    } else {
        bench_node_drop(node);
        node->ops->down(node->owner);
    }
}

static void on_frame(void *owner, struct blob *frame)
{
    struct bench_node *node = owner;

    if (node->up) {
        node->ops->frame(node->owner, frame);
    } else {
        take_versions(node, frame);
    }
}

static void on_down(void *owner, const char *why)
{
    struct bench_node *node = owner;

    (void)snprintf(node->why, sizeof node->why, "%.60s: %.100s", node->address, why);
    node->link = NULL;
    node->ops->down(node->owner);
    node->up = false;
}

static const struct kafka_link_ops link_ops = {.up = on_up, .frame = on_frame, .down = on_down};

void bench_node_init(struct bench_node *node, struct kafka_dialer *dialer,
                     const struct bench_api *needs, const struct bench_node_ops *ops, void *owner)
{
    *node = (struct bench_node){.dialer = dialer, .ops = ops, .owner = owner, .needs = needs};
}

bool bench_node_dial(struct bench_node *node)
{
    CHECK(node->link == NULL);
    node->link = kafka_link_open(node->dialer, node->address, &link_ops, node, node->why);
    return node->link != NULL;
}

void bench_node_send(struct bench_node *node, struct bench_api api, int32_t correlation,
                     const void *request)
{
    struct kafka_request_header header = {.key = api.key,
                                          .version = api.version,
                                          .correlation_id = correlation,
                                          .client_id = slice_text("tern-bench")};
    struct kafka_out out = {0};
    const struct chunk *chunks;

    CHECK(kafka_encode_request(&header, request, &out, NULL) == 0);
    size_t count = kafka_out_take(&out, &chunks);
    kafka_link_send(node->link, chunks, count);
    kafka_out_fini(&out);
}

void bench_node_drop(struct bench_node *node)
{
    if (node->link != NULL) {
        kafka_link_close(node->link);
        node->link = NULL;
    }
    node->up = false;
}

int bench_node_take(const struct blob *frame, struct bench_api api, int32_t correlation,
                    struct arena *arena, void **out_message)
{
    struct slice body;
    int32_t got = -1;

    arena->limit = frame->len * KAFKA_ARENA_FACTOR + KAFKA_ARENA_SLACK;
    int status = kafka_decode_response_header(api.key, api.version,
                                              slice_of(frame->bytes, frame->len), &got, &body);
    if (status == 0 && got != correlation) {
        status = TERN_EMALFORMED;
    }
    return status == 0 ? kafka_decode_response(api.key, api.version, body, arena, out_message, NULL)
                       : status;
}
