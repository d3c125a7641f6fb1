/* SPDX-License-Identifier: Apache-2.0 */
/* ListConfigResources: of what DescribeConfigs can be asked. Version 0 lists client metrics only:
 * there are none. */
#include <stdio.h>

#include "agent/api.h"
#include "base/error.h"

#define RESOURCE_BROKER_LOGGER  8
#define RESOURCE_CLIENT_METRICS 16
#define RESOURCE_GROUP          32

static bool is_asked(const struct kafka_list_config_resources_request *m, int8_t type)
{
    for (uint32_t i = 0; i < m->types_count; i++) {
        if (m->types[i] == type) {
            return true;
        }
    }
    return m->types_count == 0;
}

/* Of the kinds that Kafka can list, those that are not here (loggers, metrics of clients, groups)
 * have nothing to tell. */
static bool can_be_listed(int8_t type)
{
    return type == RESOURCE_TOPIC || type == RESOURCE_BROKER || type == RESOURCE_BROKER_LOGGER ||
           type == RESOURCE_CLIENT_METRICS || type == RESOURCE_GROUP;
}

static void add(struct kafka_list_config_resources_response *response, struct slice name,
                int8_t type)
{
    response->resources[response->resources_count].name = name;
    response->resources[response->resources_count++].type = type;
}

void api_list_config_resources(struct request *rq)
{
    const struct kafka_list_config_resources_request *m = rq->message;
    const struct control *control = rq->node->control;
    struct kafka_list_config_resources_response response;

    kafka_list_config_resources_response_init(&response);
    for (uint32_t i = 0; i < m->types_count; i++) {
        if (!can_be_listed(m->types[i])) {
            response.error = error_kafka(TERN_EUNSUPPORTED);
            request_reply(rq, &response);
            return;
        }
    }
    response.resources = kafka_list_config_resources_response_resource_new(
        &rq->arena, HASH_CNT(by_name, control->by_name) + WIRE_NODES_MAX);
    if (rq->version >= 1 && is_asked(m, RESOURCE_TOPIC)) {
        for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
            add(&response, slice_text(t->name), RESOURCE_TOPIC);
        }
    }
    for (uint32_t id = 1; rq->version >= 1 && is_asked(m, RESOURCE_BROKER) && id < WIRE_NODES_MAX;
         id++) {
        if (control->nodes[id].id != 0 && !control->nodes[id].removed) {
            char text[16];
            (void)snprintf(text, sizeof text, "%u", id);
            add(&response, arena_text(&rq->arena, text), RESOURCE_BROKER);
        }
    }
    request_reply(rq, &response);
}
