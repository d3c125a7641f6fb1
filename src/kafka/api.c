/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/api.h"

#include "base/check.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/tables.h"

#define KEY_API_VERSIONS 18

const struct kafka_api *kafka_api_of(int16_t key)
{
    size_t low = 0;
    size_t high = ARRAY_COUNT(kafka_apis);

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (kafka_apis[middle].key == key) {
            return &kafka_apis[middle];
        }
        if (kafka_apis[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct kafka_api *kafka_api_at(size_t index)
{
    return index < ARRAY_COUNT(kafka_apis) ? &kafka_apis[index] : NULL;
}

int kafka_request_header_version(const struct kafka_api *api, int16_t version)
{
    return kafka_api_is_flexible(api, version) ? 2 : 1;
}

int kafka_response_header_version(const struct kafka_api *api, int16_t version)
{
    return kafka_api_is_flexible(api, version) && api->key != KEY_API_VERSIONS ? 1 : 0;
}

const char *kafka_error_name(int16_t error)
{
    switch (error) {
#define KAFKA_ERROR_NAME(number, name)                                                             \
    case number:                                                                                   \
        return #name;
        KAFKA_ERRORS(KAFKA_ERROR_NAME)
#undef KAFKA_ERROR_NAME
    default:
        return "?";
    }
}
