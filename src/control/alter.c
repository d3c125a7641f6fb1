/* SPDX-License-Identifier: Apache-2.0 */
/* Topics that are in use change: their configs, and the number of their partitions. */
#include <stdio.h>

#include "control/internal.h"

/* ---- configs --------------------------------------------------------------------------------- */

/* May the topic promise that from now on? */
static bool policy_allowed(struct apply *a, const struct control_topic *topic,
                           const struct policy *next, bool confirmed)
{
    char why[256];

    if (!policy_satisfiable_here(a, next)) {
        return false;
    }
    if (topic->policy.critical && !confirmed && policy_weakens(&topic->policy, next, why)) {
        (void)apply_refuse(a, TERN_EPOLICY, "topic %.60s is critical: %.120s", topic->name, why);
        return false;
    }
    return policy_can_be_told(a, topic, next);
}

void apply_alter_topic(struct apply *a, const struct command *command)
{
    struct control_topic *topic = control_topic_named(a->control, command->as.alter.name);
    struct topic_configs next = {0};
    struct policy policy;
    char why[256] = "";

    if (topic == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no topic %s", command->as.alter.name);
        return;
    }
    if (topic_check_gzip(a, command->as.alter.changes.items, command->as.alter.changes.count) !=
        0) {
        return;
    }
    int error = topic_configs_change(&topic->configs, command->as.alter.changes.items,
                                     command->as.alter.changes.count, command->as.alter.replace,
                                     &next, why);
    if (error != 0) {
        (void)apply_refuse(a, error, "%s", why);
        return;
    }
    if (!policy_effective(a->control, topic->name, &next, &policy)) {
        (void)apply_refuse(a, TERN_EINVALIDCONFIG, "there is no policy called %.60s",
                           topic_configs_get(&next, TOPIC_CONFIG_POLICY));
    } else if (policy_allowed(a, topic, &policy, command->as.alter.weaken_confirmed) && !a->dry) {
        topic_configs_fini(&topic->configs);
        topic->configs = next;
        topic->settings = topic_settings_of(&next);
        topic->policy = policy;
        apply_change(a, (struct control_change){
                            .kind = CONTROL_TOPIC_ALTERED, .topic_id = topic->id, .partition = -1});
        return;
    }
    topic_configs_fini(&next);
}

/* ---- replicas -------------------------------------------------------------------------------- */

void reassigned(struct control_partition *p)
{
    if (p->activated && p->config.voters == p->target) {
        p->target = 0;
    }
}

void apply_reassign(struct apply *a, const struct command *command)
{
    const struct control_topic *topic =
        control_topic_by_id(a->control, command->as.reassign.topic_id);
    struct control_partition *p = control_partition(a->control, command->as.reassign.topic_id,
                                                    command->as.reassign.partition);
    node_set target = command->as.reassign.target;
    struct control_config config;
    char why[256] = "";

    if (p == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no such partition");
        return;
    }
    if (target == 0 && p->target == 0) {
        (void)apply_refuse(a, TERN_ENOREASSIGNMENT, "%s", error_sentence(TERN_ENOREASSIGNMENT));
        return;
    }
    if (target != 0) {
        int error = control_place_as(a->control, &topic->policy, target, &config, why);
        node_set all = target | control_members(&p->config) | control_members(&p->recover);
        if (error == 0 && node_set_count(all) > CONTROL_REPLICAS_MAX) {
            (void)snprintf(why, sizeof why, "old and new replicas would be more than %d together",
                           CONTROL_REPLICAS_MAX);
            error = TERN_EINVALIDASSIGNMENT;
        }
        if (error != 0) {
            (void)apply_refuse(a, error, "%s", why);
            return;
        }
    }
    if (target != 0 && a->control->feature_level >= 2) {
        memcpy(p->order, command->as.reassign.order, sizeof p->order);
    }
    p->target = target; /* the controller shapes the config to it */
    reassigned(p);
}

uint32_t control_ordered(const struct control_partition *partition, node_set set,
                         uint32_t out[WIRE_NODES_MAX])
{
    uint32_t count = 0;

    for (size_t i = 0; i < CONTROL_REPLICAS_MAX && partition->order[i] != 0; i++) {
        if ((set & NODE_BIT(partition->order[i])) != 0) {
            set &= ~NODE_BIT(partition->order[i]);
            out[count++] = partition->order[i];
        }
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if ((set & NODE_BIT(id)) != 0) {
            out[count++] = id;
        }
    }
    return count;
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* No partition of the topic, and none of an earlier topic of its name, has had a higher one. */
static int32_t epoch_of_all(const struct control_topic *topic)
{
    int32_t epoch = 0;

    for (uint32_t i = 0; i < topic->partition_count; i++) {
        epoch = topic->partitions[i].epoch > epoch ? topic->partitions[i].epoch : epoch;
    }
    return epoch;
}

static void add(struct apply *a, struct control_topic *topic, uint32_t count,
                const struct placements *placed, const struct control_config *configs)
{
    int32_t last = epoch_of_all(topic);
    uint32_t old = topic->partition_count;

    apply_count_leads(a);
    topic->partitions = mem_grow(topic->partitions, count, sizeof *topic->partitions);
    memset(&topic->partitions[old], 0, (count - old) * sizeof *topic->partitions);
    topic->partition_count = count;
    a->leads[0] += count - old;
    for (uint32_t i = old; i < count; i++) {
        topic_first_epoch(a, topic, (int32_t)i, configs[i - old], last);
        topic_take_order(a, placed, i - old, &topic->partitions[i]);
    }
}

static bool count_allowed(struct apply *a, const struct control_topic *topic,
                          const struct command *command)
{
    int64_t count = command->as.add.count;
    uint32_t have = topic->partition_count;
    size_t placed = command->as.add.placed.count;

    if (count == have) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS, "Topic already has %u partition(s).", have);
    } else if (count < have) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS,
                           "The topic %.100s currently has %u partition(s); %lld would not be an "
                           "increase.",
                           topic->name, have, (long long)count);
    } else if (count > CONTROL_PARTITIONS_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS, "a topic has 1 to %d partitions",
                           CONTROL_PARTITIONS_MAX);
    } else if (placed > 0 && placed != (size_t)(count - have)) {
        (void)apply_refuse(a, TERN_EINVALIDASSIGNMENT,
                           "Attempted to add %lld additional partition(s), but only %zu "
                           "assignment(s) were specified.",
                           (long long)(count - have), placed);
    } else if (control_topic_internal(topic->name)) {
        (void)apply_refuse(a, TERN_EINVALIDTOPIC,
                           "what is kept in %s rests on the number of its partitions", topic->name);
    } else {
        return topic_room(a, 0, (uint32_t)(count - have));
    }
    return false;
}

void apply_add_partitions(struct apply *a, const struct command *command)
{
    struct control_topic *topic = control_topic_named(a->control, command->as.add.name);

    if (topic == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no topic %s", command->as.add.name);
        return;
    }
    if (!count_allowed(a, topic, command)) {
        return;
    }
    uint32_t more = (uint32_t)command->as.add.count - topic->partition_count;
    struct control_config *configs = mem_new(more * sizeof *configs);
    if (topic_place(a, &topic->policy, &command->as.add.placed, more, configs) == 0 && !a->dry) {
        add(a, topic, (uint32_t)command->as.add.count, &command->as.add.placed, configs);
        a->result->partitions = topic->partition_count;
    }
    free(configs);
}
