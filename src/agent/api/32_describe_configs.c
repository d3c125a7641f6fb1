/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeConfigs: of topics, from the control state; of this node, as ternd was told. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/api.h"
#include "base/error.h"

static void refuse(struct request *rq, struct kafka_describe_configs_response_result *out,
                   int error, const char *why)
{
    out->error = error_kafka(error);
    out->error_message = arena_text(&rq->arena, why);
}

static bool is_asked(const struct kafka_describe_configs_request_resource *in, const char *name)
{
    for (uint32_t i = 0; i < in->keys_count; i++) {
        if (slice_equal(in->keys[i], slice_text(name))) {
            return true;
        }
    }
    return in->keys_count == 0; /* null asks for all, and so does empty, as with Kafka */
}

static void fill_synonyms(struct request *rq, const struct config_view *view,
                          struct kafka_describe_configs_response_config *out)
{
    bool set = view->source == CONFIG_SOURCE_TOPIC;

    out->synonyms = kafka_describe_configs_response_synonym_new(&rq->arena, 2);
    if (set) {
        out->synonyms[out->synonyms_count].name = slice_text(view->name);
        out->synonyms[out->synonyms_count].value = view->value;
        out->synonyms[out->synonyms_count++].source = view->source;
    }
    if (view->synonym != NULL) {
        out->synonyms[out->synonyms_count].name = slice_text(view->synonym);
        out->synonyms[out->synonyms_count].value = view->usual;
        out->synonyms[out->synonyms_count++].source = set ? CONFIG_SOURCE_DEFAULT : view->source;
    }
}

static void fill(struct request *rq, const struct kafka_describe_configs_request_resource *in,
                 const struct config_view *views, uint32_t count,
                 struct kafka_describe_configs_response_result *out)
{
    const struct kafka_describe_configs_request *m = rq->message;

    out->configs = kafka_describe_configs_response_config_new(&rq->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_asked(in, views[i].name)) {
            continue;
        }
        struct kafka_describe_configs_response_config *c = &out->configs[out->configs_count++];
        c->name = slice_text(views[i].name);
        c->value = views[i].value;
        c->read_only = views[i].read_only;
        c->source = views[i].source;
        c->config_type = views[i].type;
        if (m->include_synonyms) {
            fill_synonyms(rq, &views[i], c);
        }
        if (m->include_documentation) {
            c->documentation = slice_text(views[i].about);
        }
    }
}

static void describe_topic(struct request *rq,
                           const struct kafka_describe_configs_request_resource *in,
                           struct kafka_describe_configs_response_result *out)
{
    const struct control_topic *topic = topic_by_slice(rq->node, in->name);
    struct config_view *views = NULL;

    if (!topic_name_allowed(in->name)) {
        refuse(rq, out, TERN_EINVALIDTOPIC, error_sentence(TERN_EINVALIDTOPIC));
        return;
    }
    if (topic == NULL) {
        bool current = node_is_current(rq->node);
        refuse(rq, out, current ? TERN_ENOENT : TERN_ELEADERUNKNOWN,
               current ? "there is no such topic" : "this node does not know all topics yet");
        return;
    }
    uint32_t count = topic_config_views(rq->node, topic, &rq->arena, &views);
    fill(rq, in, views, count, out);
}

static void describe_broker(struct request *rq,
                            const struct kafka_describe_configs_request_resource *in,
                            struct kafka_describe_configs_response_result *out)
{
    struct config_view *views = NULL;
    char id[16];
    char why[128];

    if (in->name.len == 0) {
        return; /* what holds for all brokers, and was set at run time: nothing */
    }
    (void)snprintf(id, sizeof id, "%u", rq->node->o.node_id);
    if (!slice_equal(in->name, slice_text(id))) {
        (void)snprintf(why, sizeof why,
                       "Unexpected broker id, expected %s or empty string, but received %.*s", id,
                       in->name.len < 20 ? (int)in->name.len : 20, (const char *)in->name.base);
        refuse(rq, out, TERN_EINVALIDREQUEST, why);
        return;
    }
    uint32_t count = broker_config_views(rq->node, &rq->arena, &views);
    fill(rq, in, views, count, out);
}

void api_describe_configs(struct request *rq)
{
    const struct kafka_describe_configs_request *m = rq->message;
    struct kafka_describe_configs_response response;

    kafka_describe_configs_response_init(&response);
    response.results = kafka_describe_configs_response_result_new(&rq->arena, m->resources_count);
    response.results_count = m->resources_count;
    for (uint32_t i = 0; i < m->resources_count; i++) {
        const struct kafka_describe_configs_request_resource *in = &m->resources[i];
        struct kafka_describe_configs_response_result *out = &response.results[i];
        out->type = in->type;
        out->name = in->name;
        if (in->type == RESOURCE_TOPIC) {
            describe_topic(rq, in, out);
        } else if (in->type == RESOURCE_BROKER) {
            describe_broker(rq, in, out);
        } else {
            refuse(rq, out, TERN_EINVALIDREQUEST, "Unsupported resource type");
        }
    }
    request_reply(rq, &response);
}
