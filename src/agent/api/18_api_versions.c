/* SPDX-License-Identifier: Apache-2.0 */
/* ApiVersions: what works here, no more. */
#include "agent/api.h"

void api_api_versions(struct request *rq)
{
    struct kafka_api_versions_response response;
    uint32_t count = 0;

    kafka_api_versions_response_init(&response);
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        count += kafka_api_at(i)->advertised_max >= 0;
    }
    response.api_keys = kafka_api_versions_response_api_new(&rq->arena, count);
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        const struct kafka_api *api = kafka_api_at(i);
        if (api->advertised_max >= 0) {
            struct kafka_api_versions_response_api *out =
                &response.api_keys[response.api_keys_count++];
            out->key = api->key;
            out->min_version = api->advertised_min;
            out->max_version = api->advertised_max;
        }
    }
    features_tell(rq, &response);
    request_reply(rq, &response);
}
