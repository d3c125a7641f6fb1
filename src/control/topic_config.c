/* SPDX-License-Identifier: Apache-2.0 */
/* Names, types, bounds and defaults are those of Kafka 4 (TopicConfig, LogConfig). */
#include "control/topic_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ANY     INT64_MIN, INT64_MAX
#define FOREVER "9223372036854775807"

static const struct topic_config_key keys[] = {
    {"cleanup.policy", TOPIC_CONFIG_LIST, "delete", ANY, "compact,delete", "log.cleanup.policy",
     false,
     "Old segments are deleted, or records that a newer one of the same key replaces, or both."},
    {"compression.gzip.level", TOPIC_CONFIG_INT, "-1", -1, 9, NULL, "compression.gzip.level", false,
     "The level of compression.type gzip."},
    {"compression.lz4.level", TOPIC_CONFIG_INT, "9", 1, 17, NULL, "compression.lz4.level", false,
     "The level of compression.type lz4."},
    {"compression.type", TOPIC_CONFIG_STRING, "producer", ANY,
     "uncompressed,zstd,lz4,snappy,gzip,producer", "compression.type", false,
     "The leader compresses batches of another codec anew; producer: they stay as they come."},
    {"compression.zstd.level", TOPIC_CONFIG_INT, "3", -131072, 22, NULL, "compression.zstd.level",
     false, "The level of compression.type zstd."},
    {"delete.retention.ms", TOPIC_CONFIG_LONG, "86400000", 0, INT64_MAX, NULL,
     "log.cleaner.delete.retention.ms", false,
     "For so long a tombstone stays readable in a compacted topic."},
    {"file.delete.delay.ms", TOPIC_CONFIG_LONG, "60000", 0, INT64_MAX, NULL,
     "log.segment.delete.delay.ms", false, "Stored only."},
    {"flush.messages", TOPIC_CONFIG_LONG, FOREVER, 1, INT64_MAX, NULL,
     "log.flush.interval.messages", false,
     "Stored only: every acknowledgement waits for fsyncs anyway."},
    {"flush.ms", TOPIC_CONFIG_LONG, FOREVER, 0, INT64_MAX, NULL, "log.flush.interval.ms", false,
     "Stored only: every acknowledgement waits for fsyncs anyway."},
    {"follower.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", ANY, NULL, NULL, false,
     "Stored only: catching up gives way to producers by itself."},
    {"index.interval.bytes", TOPIC_CONFIG_INT, "4096", 0, INT32_MAX, NULL,
     "log.index.interval.bytes", false, "Stored only."},
    {"leader.replication.throttled.replicas", TOPIC_CONFIG_LIST, "", ANY, NULL, NULL, false,
     "Stored only: catching up gives way to producers by itself."},
    {"local.retention.bytes", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL,
     "log.local.retention.bytes", false, "Stored only: there is no tiered storage."},
    {"local.retention.ms", TOPIC_CONFIG_LONG, "-2", -2, INT64_MAX, NULL, "log.local.retention.ms",
     false, "Stored only: there is no tiered storage."},
    {"max.compaction.lag.ms", TOPIC_CONFIG_LONG, FOREVER, 1, INT64_MAX, NULL,
     "log.cleaner.max.compaction.lag.ms", false,
     "A record of a compacted topic is left uncompacted at most for so long."},
    {"max.message.bytes", TOPIC_CONFIG_INT, NULL, 0, INT32_MAX, NULL, "message.max.bytes", false,
     "The largest batch that a producer may send. Without it the policy says."},
    {"message.downconversion.enable", TOPIC_CONFIG_BOOLEAN, "true", ANY, NULL, NULL, true,
     "Stored only: Kafka 4 has dropped it."},
    {"message.format.version", TOPIC_CONFIG_STRING, "3.0-IV1", ANY, NULL, NULL, true,
     "Stored only: Kafka 4 has dropped it."},
    /* Not Kafka 4's hour: a leader whose clock is wrong would refuse what everybody sends. */
    {"message.timestamp.after.max.ms", TOPIC_CONFIG_LONG, FOREVER, 0, INT64_MAX, NULL,
     "log.message.timestamp.after.max.ms", false,
     "A batch whose newest timestamp is further ahead of the leader's clock is refused."},
    {"message.timestamp.before.max.ms", TOPIC_CONFIG_LONG, FOREVER, 0, INT64_MAX, NULL,
     "log.message.timestamp.before.max.ms", false,
     "A batch whose first timestamp is further behind the leader's clock is refused."},
    {"message.timestamp.difference.max.ms", TOPIC_CONFIG_LONG, FOREVER, 0, INT64_MAX, NULL, NULL,
     true, "Stored only: Kafka 4 has dropped it."},
    {"message.timestamp.type", TOPIC_CONFIG_STRING, "CreateTime", ANY, "CreateTime,LogAppendTime",
     "log.message.timestamp.type", false,
     "LogAppendTime: the leader gives a batch the time at which it takes it."},
    {"min.cleanable.dirty.ratio", TOPIC_CONFIG_DOUBLE, "0.5", 0, 1, NULL,
     "log.cleaner.min.cleanable.ratio", false,
     "Compaction begins when this share of a log has not been compacted."},
    {"min.compaction.lag.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL,
     "log.cleaner.min.compaction.lag.ms", false,
     "A record is not compacted away before it is so old."},
    {"min.insync.replicas", TOPIC_CONFIG_INT, NULL, 1, INT32_MAX, NULL, "min.insync.replicas",
     false, "Regions that must have fsynced, where that is more than a sync policy says."},
    {"preallocate", TOPIC_CONFIG_BOOLEAN, "false", ANY, NULL, "log.preallocate", false,
     "Stored only."},
    {"remote.log.copy.disable", TOPIC_CONFIG_BOOLEAN, "false", ANY, NULL, NULL, false,
     "Stored only: there is no tiered storage."},
    {"remote.log.delete.on.disable", TOPIC_CONFIG_BOOLEAN, "false", ANY, NULL, NULL, false,
     "Stored only: there is no tiered storage."},
    {"remote.storage.enable", TOPIC_CONFIG_BOOLEAN, "false", ANY, "false", NULL, false,
     "There is no tiered storage: only false is taken."},
    {"retention.bytes", TOPIC_CONFIG_LONG, NULL, -1, INT64_MAX, NULL, "log.retention.bytes", false,
     "Of a partition; older segments are deleted. Without it the policy says."},
    {"retention.ms", TOPIC_CONFIG_LONG, NULL, -1, INT64_MAX, NULL, "log.retention.ms", false,
     "Older segments are deleted. Without it the policy says."},
    {"segment.bytes", TOPIC_CONFIG_INT, NULL, 1048576, INT32_MAX, NULL, "log.segment.bytes", false,
     "A segment file is closed at this size, at most 1 GiB. Without it ternd.yaml says."},
    {"segment.index.bytes", TOPIC_CONFIG_INT, "10485760", 4, INT32_MAX, NULL,
     "log.index.size.max.bytes", false, "Stored only."},
    {"segment.jitter.ms", TOPIC_CONFIG_LONG, "0", 0, INT64_MAX, NULL, "log.roll.jitter.ms", false,
     "Stored only."},
    {"segment.ms", TOPIC_CONFIG_LONG, "604800000", 1, INT64_MAX, NULL, "log.roll.ms", false,
     "A segment file is closed at this age."},
    {TOPIC_CONFIG_POLICY, TOPIC_CONFIG_STRING, NULL, ANY, NULL, NULL, false,
     "The policy by which records are acknowledged. Without it the topic's name decides."},
    {"unclean.leader.election.enable", TOPIC_CONFIG_BOOLEAN, "false", ANY, NULL,
     "unclean.leader.election.enable", false,
     "Stored only: acknowledged records are given up by policy or by an operator alone."},
};

size_t topic_config_count(void)
{
    return sizeof keys / sizeof keys[0];
}

const struct topic_config_key *topic_config_at(size_t index)
{
    CHECK(index < topic_config_count());
    return &keys[index];
}

const struct topic_config_key *topic_config_named(const char *name)
{
    for (size_t i = 0; i < topic_config_count(); i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool word_in(const char *words, const char *word, size_t len)
{
    for (const char *at = words; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        size_t here = strcspn(at, ",");
        if (here == len && memcmp(at, word, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool number_of(const char *text, int64_t *out)
{
    char *end = NULL;
    size_t len = strlen(text);

    if (len == 0 || len > 20 || strspn(text, "+-0123456789") != len) {
        return false;
    }
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool ratio_of(const char *text, double *out)
{
    char *end = NULL;
    size_t len = strlen(text);

    if (len == 0 || len > 30 || strspn(text, "+-.0123456789eE") != len) {
        return false;
    }
    errno = 0;
    *out = strtod(text, &end);
    return *end == '\0' && errno == 0;
}

static bool words_allowed(const struct topic_config_key *key, const char *value)
{
    if (key->words == NULL) {
        return true;
    }
    if (key->type != TOPIC_CONFIG_LIST) {
        return word_in(key->words, value, strlen(value));
    }
    for (const char *at = value; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (!word_in(key->words, at, strcspn(at, ","))) {
            return false;
        }
    }
    return true;
}

static bool value_allowed(const struct topic_config_key *key, const char *value, char why[256])
{
    int64_t number = 0;
    double ratio = 0;

    switch (key->type) {
    case TOPIC_CONFIG_BOOLEAN:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
            (void)snprintf(why, 256,
                           "Invalid value %.60s for configuration %s: Expected value to be either "
                           "true or false",
                           value, key->name);
            return false;
        }
        break;
    case TOPIC_CONFIG_INT:
    case TOPIC_CONFIG_LONG:
        if (!number_of(value, &number)) {
            (void)snprintf(why, 256,
                           "Invalid value %.60s for configuration %s: Not a number of type %s",
                           value, key->name, key->type == TOPIC_CONFIG_INT ? "INT" : "LONG");
            return false;
        }
        if (number < key->least || number > key->most) {
            (void)snprintf(why, 256,
                           "Invalid value %.60s for configuration %s: Value must be at least %lld "
                           "and at most %lld",
                           value, key->name, (long long)key->least, (long long)key->most);
            return false;
        }
        break;
    case TOPIC_CONFIG_DOUBLE:
        if (!ratio_of(value, &ratio) ||
            !(ratio >= (double)key->least && ratio <= (double)key->most)) {
            (void)snprintf(
                why, 256,
                "Invalid value %.60s for configuration %s: Not a number between %lld and %lld",
                value, key->name, (long long)key->least, (long long)key->most);
            return false;
        }
        break;
    case TOPIC_CONFIG_STRING:
    case TOPIC_CONFIG_LIST:
        break;
    }
    if (!words_allowed(key, value)) {
        (void)snprintf(why, 256, "Invalid value %.60s for configuration %s: it must be of %s",
                       value, key->name, key->words);
        return false;
    }
    return true;
}

/* ---- what is set ----------------------------------------------------------------------------- */

void topic_configs_fini(struct topic_configs *configs)
{
    for (size_t i = 0; i < configs->count; i++) {
        free(configs->items[i].value);
    }
    free(configs->items);
    *configs = (struct topic_configs){0};
}

static struct topic_config *find(const struct topic_configs *configs,
                                 const struct topic_config_key *key)
{
    for (size_t i = 0; i < configs->count; i++) {
        if (configs->items[i].key == key) {
            return &configs->items[i];
        }
    }
    return NULL;
}

const char *topic_configs_get(const struct topic_configs *configs, const char *name)
{
    const struct topic_config_key *key = topic_config_named(name);
    const struct topic_config *found = key != NULL ? find(configs, key) : NULL;

    return found != NULL ? found->value : NULL;
}

/* Takes the value. */
static void put(struct topic_configs *configs, const struct topic_config_key *key, char *value)
{
    struct topic_config *found = find(configs, key);
    size_t at = 0;

    if (found != NULL) {
        free(found->value);
        found->value = value;
        return;
    }
    configs->items = mem_grow(configs->items, configs->count + 1, sizeof *configs->items);
    while (at < configs->count && configs->items[at].key < key) {
        at++;
    }
    memmove(&configs->items[at + 1], &configs->items[at],
            (configs->count - at) * sizeof *configs->items);
    configs->items[at] = (struct topic_config){key, value};
    configs->count++;
}

static void drop(struct topic_configs *configs, const struct topic_config_key *key)
{
    struct topic_config *found = find(configs, key);

    if (found != NULL) {
        size_t at = (size_t)(found - configs->items);
        free(found->value);
        configs->count--;
        memmove(found, found + 1, (configs->count - at) * sizeof *found);
    }
}

bool topic_configs_put(struct topic_configs *configs, const char *name, const char *value)
{
    const struct topic_config_key *key = topic_config_named(name);
    char why[256];

    if (key == NULL || strlen(value) > TOPIC_CONFIG_VALUE_MAX || !value_allowed(key, value, why)) {
        return false;
    }
    put(configs, key, mem_string(value));
    return true;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* Items of `from` that are (not) in `list`, appended to `out`, which has room. */
static void join(char *out, const char *from, const char *list, bool in_list)
{
    for (const char *at = from; at != NULL && *at != '\0'; at = strchr(at, ',')) {
        at += *at == ',';
        size_t len = strcspn(at, ",");
        if (len > 0 && word_in(list, at, len) == in_list && !word_in(out, at, len)) {
            size_t end = strlen(out);
            if (end > 0) {
                out[end++] = ',';
            }
            memcpy(out + end, at, len);
            out[end + len] = '\0';
        }
    }
}

static char *list_changed(const char *old, const struct topic_config_change *change)
{
    char *out = mem_new(strlen(old) + strlen(change->value) + 2);

    if (change->op == TOPIC_CONFIG_APPEND) {
        join(out, old, "", false);
        join(out, change->value, "", false);
    } else {
        join(out, old, change->value, false);
    }
    return out;
}

static int change_one(struct topic_configs *configs, const struct topic_config_change *change,
                      char why[256])
{
    const struct topic_config_key *key = topic_config_named(change->name);

    if (key == NULL) {
        (void)snprintf(why, 256, "Unknown topic config name: %s", change->name);
        return TERN_EINVALIDCONFIG;
    }
    if (change->op == TOPIC_CONFIG_DELETE) {
        drop(configs, key);
        return 0;
    }
    if (change->value == NULL) {
        (void)snprintf(why, 256, "Null value not supported for : %s", key->name);
        return TERN_EINVALIDREQUEST;
    }
    bool adds = change->op == TOPIC_CONFIG_APPEND || change->op == TOPIC_CONFIG_SUBTRACT;
    if (adds && key->type != TOPIC_CONFIG_LIST) {
        (void)snprintf(why, 256, "Can't %s to key %s because its type is not LIST.",
                       change->op == TOPIC_CONFIG_APPEND ? "APPEND" : "SUBTRACT", key->name);
        return TERN_EINVALIDCONFIG;
    }
    const struct topic_config *now = find(configs, key);
    char *value = adds ? list_changed(now != NULL ? now->value : key->usual, change)
                       : mem_string(change->value);
    if (strlen(value) > TOPIC_CONFIG_VALUE_MAX) {
        (void)snprintf(why, 256, "the value of %s is longer than %d bytes", key->name,
                       TOPIC_CONFIG_VALUE_MAX);
        free(value);
        return TERN_EINVALIDCONFIG;
    }
    if (!value_allowed(key, value, why)) {
        free(value);
        return TERN_EINVALIDCONFIG;
    }
    put(configs, key, value);
    return 0;
}

static bool named_twice(const struct topic_config_change *changes, size_t count, char why[256])
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(changes[i].name, changes[k].name) == 0) {
                (void)snprintf(why, 256, "Error due to duplicate config keys: %s", changes[i].name);
                return true;
            }
        }
    }
    return false;
}

int topic_configs_change(const struct topic_configs *old, const struct topic_config_change *changes,
                         size_t count, bool replace, struct topic_configs *out, char why[256])
{
    struct topic_configs next = {0};
    int error = named_twice(changes, count, why) ? TERN_EINVALIDREQUEST : 0;

    for (size_t i = 0; !replace && i < old->count; i++) {
        put(&next, old->items[i].key, mem_string(old->items[i].value));
    }
    for (size_t i = 0; error == 0 && i < count; i++) {
        error = change_one(&next, &changes[i], why);
    }
    if (error != 0) {
        topic_configs_fini(&next);
        return error;
    }
    *out = next;
    return 0;
}

/* ---- what they mean -------------------------------------------------------------------------- */

int64_t topic_configs_number(const struct topic_configs *configs, const char *name,
                             int64_t otherwise)
{
    const char *value = topic_configs_get(configs, name);
    int64_t number = otherwise;

    return value != NULL && number_of(value, &number) ? number : otherwise;
}

static const char *value_of(const struct topic_configs *configs, const char *name)
{
    const char *value = topic_configs_get(configs, name);

    return value != NULL ? value : topic_config_named(name)->usual;
}

static int64_t usual_number(const struct topic_configs *configs, const char *name)
{
    int64_t number = 0;

    CHECK(number_of(value_of(configs, name), &number));
    return number;
}

/* In the order of the codecs' numbers in a batch's attributes. */
static void set_compression(const struct topic_configs *configs, struct topic_settings *s)
{
    static const struct {
        const char *type;
        const char *level;
    } codecs[] = {
        {"uncompressed", NULL},           {"gzip", "compression.gzip.level"}, {"snappy", NULL},
        {"lz4", "compression.lz4.level"}, {"zstd", "compression.zstd.level"},
    };
    const char *type = value_of(configs, "compression.type");

    s->codec = TOPIC_CODEC_PRODUCER;
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        if (strcmp(codecs[i].type, type) == 0) {
            s->codec = (int8_t)i;
            s->codec_level =
                codecs[i].level != NULL ? (int32_t)usual_number(configs, codecs[i].level) : 0;
        }
    }
}

struct topic_settings topic_settings_of(const struct topic_configs *configs)
{
    const char *cleanup = value_of(configs, "cleanup.policy");
    struct topic_settings s = {
        .cleanup = (word_in(cleanup, "delete", 6) ? TOPIC_CLEAN_DELETE : 0) |
                   (word_in(cleanup, "compact", 7) ? TOPIC_CLEAN_COMPACT : 0),
        .log_append_time =
            strcmp(value_of(configs, "message.timestamp.type"), "LogAppendTime") == 0,
        .timestamp_before_max_ms = usual_number(configs, "message.timestamp.before.max.ms"),
        .timestamp_after_max_ms = usual_number(configs, "message.timestamp.after.max.ms"),
        .segment_bytes = topic_configs_number(configs, "segment.bytes", 0),
        .segment_ms = usual_number(configs, "segment.ms"),
        .delete_retention_ms = usual_number(configs, "delete.retention.ms"),
        .min_compaction_lag_ms = usual_number(configs, "min.compaction.lag.ms"),
        .max_compaction_lag_ms = usual_number(configs, "max.compaction.lag.ms"),
    };

    CHECK(ratio_of(value_of(configs, "min.cleanable.dirty.ratio"), &s.min_cleanable_ratio));
    set_compression(configs, &s);
    return s;
}
