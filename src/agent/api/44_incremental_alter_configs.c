/* SPDX-License-Identifier: Apache-2.0 */
/* IncrementalAlterConfigs: set, delete, append, subtract; what is not named stays. */
#include "agent/api.h"

void api_incremental_alter_configs(struct request *rq)
{
    const struct kafka_incremental_alter_configs_request *m = rq->message;
    struct kafka_incremental_alter_configs_response *response =
        arena_take(&rq->arena, sizeof *response);
    struct config_alteration *all = arena_take(&rq->arena, (m->resources_count + 1) * sizeof *all);

    kafka_incremental_alter_configs_response_init(response);
    response->responses =
        kafka_incremental_alter_configs_response_response_new(&rq->arena, m->resources_count);
    response->responses_count = m->resources_count;
    rq->state = response;
    for (uint32_t i = 0; i < m->resources_count; i++) {
        const struct kafka_incremental_alter_configs_request_resource *in = &m->resources[i];
        struct kafka_incremental_alter_configs_response_response *out = &response->responses[i];
        out->type = in->type;
        out->name = in->name;
        config_alteration_begin(rq, &all[i], in->type, in->name, in->configs_count,
                                (struct outcome){&out->error, &out->error_message});
        for (uint32_t k = 0; k < in->configs_count; k++) {
            config_alteration_add(rq, &all[i], in->configs[k].operation, in->configs[k].name,
                                  in->configs[k].value);
        }
    }
    config_alter_all(rq, all, m->resources_count, false, m->validate_only);
}
