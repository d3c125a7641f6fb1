/* SPDX-License-Identifier: Apache-2.0 */
/* What this build knows of the Kafka protocol, as tables: APIs, versions and the shapes of their
 * messages. The tables are generated from proto/kafka/ (see docs/formats/kafka-schema.md). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- shapes: how the bytes of a message map to a C struct ---------------------------------- */

enum kafka_kind {
    KAFKA_BOOL,
    KAFKA_I8,
    KAFKA_I16,
    KAFKA_U16,
    KAFKA_I32,
    KAFKA_I64,
    KAFKA_UUID,
    KAFKA_STRING,  /* struct slice */
    KAFKA_BYTES,   /* struct slice */
    KAFKA_RECORDS, /* struct kafka_records */
    KAFKA_STRUCT,
};

#define KAFKA_ARRAY        0x01 /* a pointer to `count` items */
#define KAFKA_IGNORABLE    0x02 /* may be left out where the version lacks it */
#define KAFKA_DEFAULT_NULL 0x04
#define KAFKA_ONE          0x08 /* an array in C, of one item at most; on the wire a struct or null */

#define KAFKA_NEVER 0x7fff /* no version */

struct kafka_shape;

struct kafka_field {
    const char *name;
    const struct kafka_shape *shape; /* of KAFKA_STRUCT */
    int64_t fallback;                /* the default of a number */
    uint8_t kind;                    /* enum kafka_kind */
    uint8_t flags;
    int16_t since;
    int16_t until;
    int16_t nullable_since;
    int16_t tag; /* -1: not tagged */
    uint16_t offset;
    uint16_t count_offset; /* of KAFKA_ARRAY */
};

/* Untagged fields in the order of the wire, then the tagged ones by tag. */
struct kafka_shape {
    const char *name;
    const struct kafka_field *fields;
    uint16_t field_count;
    uint16_t size; /* of the C struct */
};

/* ---- APIs ---------------------------------------------------------------------------------- */

/* What an API acts on and how, by Kafka's numbers for ACLs. */
enum kafka_resource {
    KAFKA_RESOURCE_NONE = 0,
    KAFKA_RESOURCE_TOPIC = 2,
    KAFKA_RESOURCE_GROUP = 3,
    KAFKA_RESOURCE_CLUSTER = 4,
    KAFKA_RESOURCE_TRANSACTIONAL_ID = 5,
};

enum kafka_operation {
    KAFKA_OPERATION_NONE = 0,
    KAFKA_OPERATION_READ = 3,
    KAFKA_OPERATION_WRITE = 4,
    KAFKA_OPERATION_CREATE = 5,
    KAFKA_OPERATION_DELETE = 6,
    KAFKA_OPERATION_ALTER = 7,
    KAFKA_OPERATION_DESCRIBE = 8,
    KAFKA_OPERATION_CLUSTER_ACTION = 9,
    KAFKA_OPERATION_DESCRIBE_CONFIGS = 10,
    KAFKA_OPERATION_ALTER_CONFIGS = 11,
    KAFKA_OPERATION_IDEMPOTENT_WRITE = 12,
};

struct kafka_api {
    const char *name; /* "list_offsets" */
    const struct kafka_shape *request;
    const struct kafka_shape *response;
    int16_t key;
    int16_t min_version; /* that the codec can read and write */
    int16_t max_version;
    int16_t advertised_min; /* what ApiVersions says; -1: not advertised */
    int16_t advertised_max;
    int16_t flexible_since; /* KAFKA_NEVER if in no version */
    enum kafka_resource resource;
    enum kafka_operation operation;
};

/* NULL for a key that is not in the tables. */
const struct kafka_api *kafka_api_of(int16_t key);
/* All APIs, also those that are not advertised, by ascending key; NULL after the last. */
const struct kafka_api *kafka_api_at(size_t index);

/* May a client send this version to us? Advertised, and not one of those that are only shown. */
static inline bool kafka_api_serves(const struct kafka_api *api, int16_t version)
{
    return api->advertised_max >= 0 && version >= api->min_version &&
           version <= api->advertised_max;
}

static inline bool kafka_api_knows(const struct kafka_api *api, int16_t version)
{
    return version >= api->min_version && version <= api->max_version;
}

static inline bool kafka_api_is_flexible(const struct kafka_api *api, int16_t version)
{
    return version >= api->flexible_since;
}

/* 2 with tagged fields, else 1. */
int kafka_request_header_version(const struct kafka_api *api, int16_t version);
/* 1 with tagged fields, else 0; always 0 for ApiVersions. */
int kafka_response_header_version(const struct kafka_api *api, int16_t version);

/* "NOT_LEADER_OR_FOLLOWER"; "?" for a number that is not in the table. Static string. */
const char *kafka_error_name(int16_t error);
