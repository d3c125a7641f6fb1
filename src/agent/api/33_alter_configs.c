/* SPDX-License-Identifier: Apache-2.0 */
/* AlterConfigs: what is not named goes back to its default. */
#include "agent/api.h"
#include "base/error.h"

/* NULL, or what is wrong with the changes. */
static const char *take(struct request *rq, const struct kafka_alter_configs_request_resource *in,
                        struct topic_config_change *out)
{
    for (uint32_t i = 0; i < in->configs_count; i++) {
        const struct kafka_alter_configs_request_config *c = &in->configs[i];
        char *text = arena_take(&rq->arena, c->value.len + 1);
        out[i].op = TOPIC_CONFIG_SET;
        out[i].value = NULL;
        if (!slice_to_text(c->name, out[i].name, sizeof out[i].name)) {
            return "a config name is longer than any that there is";
        }
        if (c->value.base == NULL || !slice_to_text(c->value, text, c->value.len + 1)) {
            return "Null value not supported";
        }
        out[i].value = text;
    }
    return NULL;
}

static bool named_twice(const struct kafka_alter_configs_request *m, uint32_t index)
{
    for (uint32_t i = 0; i < m->resources_count; i++) {
        if (i != index && m->resources[i].type == m->resources[index].type &&
            slice_equal(m->resources[i].name, m->resources[index].name)) {
            return true;
        }
    }
    return false;
}

static void finish(struct request *rq)
{
    request_reply(rq, rq->state);
}

void api_alter_configs(struct request *rq)
{
    const struct kafka_alter_configs_request *m = rq->message;
    struct kafka_alter_configs_response *response = arena_take(&rq->arena, sizeof *response);
    struct config_alteration *all = arena_take(&rq->arena, (m->resources_count + 1) * sizeof *all);

    kafka_alter_configs_response_init(response);
    response->responses = kafka_alter_configs_response_response_new(&rq->arena, m->resources_count);
    response->responses_count = m->resources_count;
    rq->state = response;
    proposals_begin(rq, finish);
    for (uint32_t i = 0; i < m->resources_count; i++) {
        const struct kafka_alter_configs_request_resource *in = &m->resources[i];
        struct topic_config_change *changes =
            arena_take(&rq->arena, (in->configs_count + 1) * sizeof *changes);
        response->responses[i].type = in->type;
        response->responses[i].name = in->name;
        all[i] = (struct config_alteration){
            .type = in->type,
            .name = in->name,
            .changes = changes,
            .count = in->configs_count,
            .fault = named_twice(m, i) ? "the resource is named twice" : take(rq, in, changes),
            .replace = true,
            .validate_only = m->validate_only,
            .out_error = &response->responses[i].error,
            .out_message = &response->responses[i].error_message,
        };
        config_alter(rq, &all[i]);
    }
    proposals_end(rq);
}
