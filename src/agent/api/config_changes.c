/* SPDX-License-Identifier: Apache-2.0 */
/* What AlterConfigs and IncrementalAlterConfigs have in common. A topic's configs are one command;
 * those of a node stand in its ternd.yaml and cannot be changed from here. */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define ALTER_TIMEOUT_MS 30000 /* these requests have none of their own */

void config_alteration_begin(struct request *rq, struct config_alteration *a, int8_t type,
                             struct slice name, uint32_t count, struct outcome out)
{
    *a = (struct config_alteration){.type = type, .name = name, .out = out};
    a->changes = arena_take(&rq->arena, (count + 1) * sizeof *a->changes);
}

void config_alteration_add(struct request *rq, struct config_alteration *a, int8_t op,
                           struct slice name, struct slice value)
{
    struct topic_config_change *change = &a->changes[a->count++];
    char *text = arena_take(&rq->arena, value.len + 1);

    *change = (struct topic_config_change){.op = (enum topic_config_op)op};
    if (op < TOPIC_CONFIG_SET || op > TOPIC_CONFIG_SUBTRACT) {
        a->fault = "Unknown config operation";
    } else if (!slice_to_text(name, change->name, sizeof change->name)) {
        a->fault = "a config name is longer than any that there is";
    } else if (op == TOPIC_CONFIG_DELETE) {
        return;
    } else if (value.base == NULL || !slice_to_text(value, text, value.len + 1)) {
        a->fault = "Null value not supported";
    }
    change->value = text;
}

static void alter_topic(struct request *rq, struct config_alteration *a, bool replace,
                        bool validate_only)
{
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (a->name.len == 0 || !slice_to_text(a->name, name, sizeof name)) {
        outcome_refuse(rq, &a->out, a->name.len == 0 ? TERN_EINVALIDREQUEST : TERN_EINVALIDTOPIC,
                       "Default topic resources are not allowed.");
        return;
    }
    command_alter_topic(&command, node_next_key(rq->node), name, a->changes, a->count, replace,
                        false);
    proposals_put(rq, &command, ALTER_TIMEOUT_MS, validate_only, outcome_applied, &a->out);
}

/* kafka-reassign-partitions sets and takes away these limits; catching up needs none. */
static bool is_throttle(const char *name)
{
    static const char *const names[] = {"leader.replication.throttled.rate",
                                        "follower.replication.throttled.rate",
                                        "replica.alter.log.dirs.io.max.bytes.per.second"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void alter_broker(struct request *rq, struct config_alteration *a)
{
    char why[160];

    for (uint32_t i = 0; i < a->count; i++) {
        if (!is_throttle(a->changes[i].name)) {
            (void)snprintf(why, sizeof why,
                           "Cannot update these configs dynamically: %s (see ternd.yaml)",
                           a->changes[i].name);
            outcome_refuse(rq, &a->out, TERN_EINVALIDREQUEST, why);
            return;
        }
    }
}

void config_alter_all(struct request *rq, struct config_alteration *all, uint32_t count,
                      bool replace, bool validate_only)
{
    struct naming *names = arena_take(&rq->arena, (count + 1) * sizeof *names);

    for (uint32_t i = 0; i < count; i++) {
        names[i].name = all[i].name;
        names[i].number = all[i].type;
    }
    const enum named *named = named_twice(&rq->arena, names, count);
    proposals_begin(rq, proposals_reply);
    for (uint32_t i = 0; i < count; i++) {
        struct config_alteration *a = &all[i];
        if (named[i] != NAMED_ONCE) {
            a->fault = "Each resource must appear at most once.";
        }
        if (a->fault != NULL) {
            outcome_refuse(rq, &a->out, TERN_EINVALIDREQUEST, a->fault);
        } else if (a->type == RESOURCE_TOPIC) {
            alter_topic(rq, a, replace, validate_only);
        } else if (a->type == RESOURCE_BROKER) {
            alter_broker(rq, a);
        } else {
            outcome_refuse(rq, &a->out, TERN_EINVALIDREQUEST, "Unsupported resource type");
        }
    }
    proposals_end(rq);
}
