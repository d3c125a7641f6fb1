/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: made, placed, deleted. */
#include <stdio.h>

#include "control/internal.h"

void control_topic_insert(struct control *control, struct control_topic *topic)
{
    HASH_ADD_KEYPTR(by_name, control->by_name, topic->name, strlen(topic->name), topic);
    HASH_ADD(by_id, control->by_id, id, sizeof topic->id, topic);
}

void control_topic_free(struct control *control, struct control_topic *topic)
{
    HASH_DELETE(by_name, control->by_name, topic);
    HASH_DELETE(by_id, control->by_id, topic);
    topic_configs_fini(&topic->configs);
    free(topic->partitions);
    free(topic);
}

/* ---- topics -------------------------------------------------------------------------------- */

bool control_topic_name_allowed(const char *name)
{
    size_t len = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return len > 0 && len == good && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The last epoch that any partition of a topic of this name had. */
static int32_t last_epoch(const struct control *control, const char *name)
{
    struct control_private *state = control_private(control);
    struct deleted_name *deleted;

    HASH_FIND(hh, state->deleted, name, strlen(name), deleted);
    return deleted != NULL ? deleted->epoch : state->epoch_floor;
}

static void remember_epoch(struct apply *a, const struct control_topic *topic)
{
    struct control_private *state = control_private(a->control);
    struct deleted_name *d = mem_new(sizeof *d);

    memcpy(d->name, topic->name, sizeof d->name);
    d->index = a->index;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i].epoch > d->epoch) {
            d->epoch = topic->partitions[i].epoch;
        }
    }
    HASH_ADD_KEYPTR(hh, state->deleted, d->name, strlen(d->name), d);
    if (HASH_CNT(hh, state->deleted) > DELETED_NAMES_MAX) {
        struct deleted_name *oldest = state->deleted; /* the order of adding */
        if (oldest->epoch > state->epoch_floor) {
            state->epoch_floor = oldest->epoch;
        }
        HASH_DEL(state->deleted, oldest);
        free(oldest);
    }
}

static void forget_deleted(struct control *control, const char *name)
{
    struct control_private *state = control_private(control);
    struct deleted_name *d;

    HASH_FIND(hh, state->deleted, name, strlen(name), d);
    if (d != NULL) {
        HASH_DEL(state->deleted, d);
        free(d);
    }
}

void topic_first_epoch(struct apply *a, struct control_topic *topic, int32_t partition,
                       struct control_config config, int32_t last)
{
    struct control_partition *p = &topic->partitions[partition];
    node_set alive = control_alive(a->control);

    p->epoch = last;
    p->lossy_start = -1;
    p->recover = config;
    uint32_t leader = control_choose_leader(a->control, topic, p, &config, alive, alive, a->leads);
    apply_epoch(a, topic, partition, leader, config, false);
}

int topic_place(struct apply *a, const struct policy *policy, const struct placements *placed,
                uint32_t partitions, struct control_config *out)
{
    uint32_t load[WIRE_NODES_MAX];
    char why[256] = "";

    control_count_load(a->control, load);
    for (uint32_t i = 0; i < partitions; i++) {
        int error = placed->count > 0
                        ? control_place_as(a->control, policy, placed->items[i], &out[i], why)
                        : control_place(a->control, policy, load, &out[i], why);
        if (error != 0) {
            return apply_refuse(a, error, "%s", why);
        }
    }
    return 0;
}

void topic_take_order(const struct apply *a, const struct placements *placed, uint32_t item,
                      struct control_partition *p)
{
    if (placed->orders != NULL && a->control->feature_level >= 4) {
        memcpy(p->order, placed->orders[item], sizeof p->order);
    }
}

bool topic_room(struct apply *a, uint32_t topics, uint32_t partitions)
{
    size_t total = partitions;

    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        total += t->partition_count;
    }
    if (HASH_CNT(by_name, a->control->by_name) + topics > CONTROL_TOPICS_MAX ||
        total > CONTROL_PARTITIONS_TOTAL_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS,
                           "the cluster would have more than %d topics or %d partitions",
                           CONTROL_TOPICS_MAX, CONTROL_PARTITIONS_TOTAL_MAX);
        return false;
    }
    return true;
}

/* Takes the configs. */
static void make_topic(struct apply *a, const struct command *command, const struct policy *policy,
                       struct topic_configs own, uint32_t partitions,
                       const struct control_config *configs)
{
    struct control_topic *topic = mem_new(sizeof *topic);
    int32_t last = last_epoch(a->control, command->as.create.name);

    topic->id = command->as.create.topic_id;
    memcpy(topic->name, command->as.create.name, sizeof topic->name);
    topic->policy = *policy;
    topic->configs = own;
    topic->settings = topic_settings_of(&own);
    topic->created_index = a->index;
    topic->partition_count = partitions;
    topic->partitions = mem_new(partitions * sizeof *topic->partitions);
    apply_count_leads(a);
    control_topic_insert(a->control, topic);
    apply_change(a, (struct control_change){
                        .kind = CONTROL_TOPIC_CREATED, .topic_id = topic->id, .partition = -1});
    a->leads[0] += partitions;
    for (uint32_t i = 0; i < partitions; i++) {
        topic_first_epoch(a, topic, (int32_t)i, configs[i], last);
        topic_take_order(a, &command->as.create.placed, i, &topic->partitions[i]);
    }
    forget_deleted(a->control, topic->name);
}

int topic_check_gzip(struct apply *a, const struct topic_config_change *changes, size_t count)
{
    for (size_t i = 0; i < count && a->control->feature_level >= 4; i++) {
        bool gzip = strcmp(changes[i].name, "compression.gzip.level") == 0;
        if (gzip && changes[i].value != NULL && strtol(changes[i].value, NULL, 10) == 0) {
            return apply_refuse(a, TERN_EINVALIDCONFIG,
                                "compression.gzip.level is 1 to 9, or -1 for the usual one");
        }
    }
    return 0;
}

/* As Kafka's CreateTopics has them, and as older commands do. */
static int own_configs(struct apply *a, const struct command *command, struct topic_configs *out)
{
    char number[2][24];
    char why[256] = "";
    size_t count = command->as.create.configs.count;
    struct topic_config_change *all = mem_new((count + 3) * sizeof *all);

    if (count > 0) {
        memcpy(all, command->as.create.configs.items, count * sizeof *all);
    }
    if (command->as.create.policy[0] != '\0') {
        struct topic_config_change *c = &all[count++];
        memcpy(c->name, TOPIC_CONFIG_POLICY, sizeof TOPIC_CONFIG_POLICY);
        c->value = (char *)(uintptr_t)command->as.create.policy;
    }
    for (int i = 0; i < 2; i++) {
        int64_t value =
            i == 0 ? command->as.create.retention_ms : command->as.create.retention_bytes;
        if (value != INT64_MIN) {
            struct topic_config_change *c = &all[count++];
            (void)snprintf(c->name, sizeof c->name, "%s",
                           i == 0 ? "retention.ms" : "retention.bytes");
            (void)snprintf(number[i], sizeof number[i], "%lld", (long long)value);
            c->value = number[i];
        }
    }
    int error = topic_configs_change(&(struct topic_configs){0}, all, count, true, out, why);
    free(all);
    return error != 0 ? apply_refuse(a, error, "%s", why) : 0;
}

static bool create_allowed(struct apply *a, const struct command *command)
{
    const char *name = command->as.create.name;

    if (!control_topic_name_allowed(name)) {
        (void)apply_refuse(a, TERN_EINVALIDTOPIC, "the topic name may have letters, digits, . _ -");
        return false;
    }
    if (control_topic_named(a->control, name) != NULL) {
        (void)apply_refuse(a, TERN_EEXIST, "topic %s exists already", name);
        return false;
    }
    if (uuid_is_zero(command->as.create.topic_id) ||
        control_topic_by_id(a->control, command->as.create.topic_id) != NULL) {
        (void)apply_refuse(a, TERN_EREFUSED, "the topic id is not a new one");
        return false;
    }
    return true;
}

static uint32_t partitions_wanted(const struct command *command, const struct policy *policy)
{
    int32_t wanted = command->as.create.partitions;

    if (command->as.create.placed.count > 0) {
        bool agrees = wanted == -1 || (size_t)wanted == command->as.create.placed.count;
        return agrees ? (uint32_t)command->as.create.placed.count : 0;
    }
    if (wanted == -1) {
        return policy->partitions > 0 ? policy->partitions : 1;
    }
    return wanted > 0 ? (uint32_t)wanted : 0;
}

void apply_create_topic(struct apply *a, const struct command *command)
{
    struct topic_configs own = {0};
    struct policy policy;

    if (!create_allowed(a, command) ||
        topic_check_gzip(a, command->as.create.configs.items, command->as.create.configs.count) !=
            0 ||
        own_configs(a, command, &own) != 0) {
        return;
    }
    if (!policy_effective(a->control, command->as.create.name, &own, &policy)) {
        (void)apply_refuse(a, TERN_EPOLICY, "there is no policy called %.60s",
                           topic_configs_get(&own, TOPIC_CONFIG_POLICY));
        topic_configs_fini(&own);
        return;
    }
    uint32_t partitions = partitions_wanted(command, &policy);
    if (partitions == 0 || partitions > CONTROL_PARTITIONS_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS, "a topic has 1 to %d partitions",
                           CONTROL_PARTITIONS_MAX);
    } else if (topic_room(a, 1, partitions)) {
        struct control_config *configs = mem_new(partitions * sizeof *configs);
        if (topic_place(a, &policy, &command->as.create.placed, partitions, configs) == 0) {
            a->result->topic_id = command->as.create.topic_id;
            a->result->partitions = partitions;
            a->result->replicas = node_set_count(configs[0].voters);
            if (!a->dry) {
                make_topic(a, command, &policy, own, partitions, configs);
                own = (struct topic_configs){0};
            }
        }
        free(configs);
    }
    topic_configs_fini(&own);
}

void apply_delete_topic(struct apply *a, const char *name)
{
    struct control_topic *topic = control_topic_named(a->control, name);

    if (topic == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no topic %s", name);
        return;
    }
    if (control_topic_internal(name)) {
        (void)apply_refuse(a, TERN_EINVALIDTOPIC, "consumer groups or transactions are kept in %s",
                           name);
        return;
    }
    apply_change(a, (struct control_change){
                        .kind = CONTROL_TOPIC_DELETED, .topic_id = topic->id, .partition = -1});
    a->result->topic_id = topic->id;
    remember_epoch(a, topic);
    control_topic_free(a->control, topic);
}
