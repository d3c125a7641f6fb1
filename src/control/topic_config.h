/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's configs in Kafka's words (its TopicConfig, and tern.policy): which there are, what may
 * be said, what it means. Pure; the control state keeps what was set, as it was set. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

#define TOPIC_CONFIG_NAME_MAX  64
#define TOPIC_CONFIG_VALUE_MAX 8192 /* lists of throttled replicas are long */
#define TOPIC_CONFIG_POLICY    "tern.policy"

/* As DescribeConfigs tells them. */
enum topic_config_type {
    TOPIC_CONFIG_BOOLEAN = 1,
    TOPIC_CONFIG_STRING = 2,
    TOPIC_CONFIG_INT = 3,
    TOPIC_CONFIG_LONG = 5,
    TOPIC_CONFIG_DOUBLE = 6,
    TOPIC_CONFIG_LIST = 7,
};

struct topic_config_key {
    const char *name;
    enum topic_config_type type;
    const char *usual; /* when it is not set; NULL: the policy or the node says */
    int64_t least;     /* of numbers */
    int64_t most;
    const char *words;   /* all that may be said, separated by commas; NULL: anything */
    const char *synonym; /* Kafka's broker setting that gives the default; NULL: none */
    bool retired;        /* Kafka has dropped it; taken from old clients, shown only when set */
    const char *about;
};
size_t topic_config_count(void);
const struct topic_config_key *topic_config_at(size_t index);
const struct topic_config_key *topic_config_named(const char *name); /* NULL: there is none */

/* What was set for one topic, in the order of the table. Owned. */
struct topic_config {
    const struct topic_config_key *key;
    char *value;
};
struct topic_configs {
    struct topic_config *items;
    size_t count;
};
void topic_configs_fini(struct topic_configs *configs);
const char *topic_configs_get(const struct topic_configs *configs, const char *name); /* or NULL */

/* As IncrementalAlterConfigs numbers them. */
enum topic_config_op {
    TOPIC_CONFIG_SET,
    TOPIC_CONFIG_DELETE,
    TOPIC_CONFIG_APPEND,
    TOPIC_CONFIG_SUBTRACT
};
struct topic_config_change {
    enum topic_config_op op;
    char name[TOPIC_CONFIG_NAME_MAX];
    char *value; /* NULL with TOPIC_CONFIG_DELETE only */
};
/* `old` with the changes; `replace`: what no change names is not set any more. 0 and *out (owned by
 * the caller), or EINVALIDCONFIG, EINVALIDREQUEST and a sentence in why. */
int topic_configs_change(const struct topic_configs *old, const struct topic_config_change *changes,
                         size_t count, bool replace, struct topic_configs *out,
                         char why[256]) TERN_MUST_USE;
/* One value that is known to be right; of a snapshot. False: it is not. */
bool topic_configs_put(struct topic_configs *configs, const char *name, const char *value);

/* What the configs mean, where neither the policy nor the node says it. */
#define TOPIC_CLEAN_DELETE   1u
#define TOPIC_CLEAN_COMPACT  2u
#define TOPIC_CODEC_PRODUCER (-1) /* as the producer compressed it */

struct topic_settings {
    uint32_t cleanup; /* TOPIC_CLEAN_* */
    bool log_append_time;
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int64_t segment_bytes; /* 0: the node's */
    int64_t segment_ms;
    int64_t delete_retention_ms;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_ratio;
    int8_t codec;        /* of batches, its number in their attributes; or TOPIC_CODEC_PRODUCER */
    int32_t codec_level; /* as Kafka counts it */
};
struct topic_settings topic_settings_of(const struct topic_configs *configs);
/* A number that is set, or `otherwise`. */
int64_t topic_configs_number(const struct topic_configs *configs, const char *name,
                             int64_t otherwise);
