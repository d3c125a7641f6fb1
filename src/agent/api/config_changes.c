/* SPDX-License-Identifier: Apache-2.0 */
/* What AlterConfigs and IncrementalAlterConfigs have in common. A topic's configs are one command;
 * those of a node stand in its ternd.yaml and cannot be changed from here. */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define ALTER_TIMEOUT_MS 30000 /* these requests have none of their own */

static void refuse(struct request *rq, struct config_alteration *a, int error, const char *why)
{
    *a->out_error = error_kafka(error);
    *a->out_message = arena_text(&rq->arena, why);
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    struct config_alteration *a = ctx;

    *a->out_error = error_kafka(result->error);
    if (result->error != 0) {
        *a->out_message = proposal_why(rq, result);
    }
}

static void alter_topic(struct request *rq, struct config_alteration *a)
{
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (a->name.len == 0 || !slice_to_text(a->name, name, sizeof name)) {
        refuse(rq, a, a->name.len == 0 ? TERN_EINVALIDREQUEST : TERN_EINVALIDTOPIC,
               "Default topic resources are not allowed.");
        return;
    }
    command_alter_topic(&command, node_next_key(rq->node), name, a->changes, a->count, a->replace,
                        false);
    if (a->validate_only) {
        proposals_check(rq, &command, applied, a);
    } else {
        proposals_add(rq, &command, ALTER_TIMEOUT_MS, applied, a);
    }
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
            refuse(rq, a, TERN_EINVALIDREQUEST, why);
            return;
        }
    }
}

void config_alter(struct request *rq, struct config_alteration *a)
{
    if (a->fault != NULL) {
        refuse(rq, a, TERN_EINVALIDREQUEST, a->fault);
    } else if (a->type == RESOURCE_TOPIC) {
        alter_topic(rq, a);
    } else if (a->type == RESOURCE_BROKER) {
        alter_broker(rq, a);
    } else {
        refuse(rq, a, TERN_EINVALIDREQUEST, "Unsupported resource type");
    }
}
