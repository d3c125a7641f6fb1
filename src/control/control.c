/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine's outside: one command in, state changed, result and changes out.
 *
 * Everything is a function of the state and the command alone. Where an order matters (which
 * partition chooses its leader first) it is the order in which topics were made, which a restored
 * state has too. */
#include "control/control.h"

#include <stdarg.h>
#include <stdio.h>

#include "control/internal.h"

struct control *control_new(void)
{
    struct control *control = mem_new(sizeof *control);

    control->private_state = mem_new(sizeof(struct control_private));
    control->next_raft_id = 1;
    control->next_producer_id = 1;
    control->feature_level = 1;
    control->level_known = CONTROL_LEVEL;
    control_features_init(control);
    return control;
}

void control_free(struct control *control)
{
    if (control == NULL) {
        return;
    }
    control_clear(control);
    free(control->private_state);
    free(control);
}

/* Gives back everything that the state owns but the struct and its private struct. */
void control_clear(struct control *control)
{
    struct control_private *state = control_private(control);
    struct control_topic *topic;
    struct control_topic *next_topic;
    struct deleted_name *name;
    struct deleted_name *next_name;

    HASH_ITER (by_name, control->by_name, topic, next_topic) {
        control_topic_free(control, topic);
    }
    HASH_ITER (hh, state->deleted, name, next_name) {
        HASH_DEL(state->deleted, name);
        free(name);
    }
    dedup_free(state);
    free(control->policies);
    free(control->ledger);
    free(control->quotas);
    control->quotas = NULL;
    control->quota_count = 0;
    control->policies = NULL;
    control->ledger = NULL;
    control->policy_count = 0;
    control->ledger_count = 0;
}

/* ---- looking up ---------------------------------------------------------------------------- */

struct control_topic *control_topic_named(const struct control *control, const char *name)
{
    struct control_topic *topic;

    HASH_FIND(by_name, control->by_name, name, strlen(name), topic);
    return topic;
}

struct control_topic *control_topic_by_id(const struct control *control, struct uuid id)
{
    struct control_topic *topic;

    HASH_FIND(by_id, control->by_id, &id, sizeof id, topic);
    return topic;
}

struct control_partition *control_partition(const struct control *control, struct uuid topic_id,
                                            int32_t partition)
{
    struct control_topic *topic = control_topic_by_id(control, topic_id);

    if (topic == NULL || partition < 0 || (uint32_t)partition >= topic->partition_count) {
        return NULL;
    }
    return &topic->partitions[partition];
}

int32_t control_region_named(const struct control *control, const char *name)
{
    for (uint32_t i = 0; i < control->region_count; i++) {
        if (strcmp(control->regions[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

const struct control_replica *control_replica_of(const struct control_partition *partition,
                                                 uint32_t node)
{
    for (uint32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i].node == node) {
            return &partition->replicas[i];
        }
    }
    return NULL;
}

/* ---- applying ------------------------------------------------------------------------------ */

void apply_change(struct apply *a, struct control_change change)
{
    struct control_changes *c = a->changes;

    if (c == NULL) {
        return;
    }
    if (c->count == c->cap) {
        c->cap = c->cap > 0 ? c->cap * 2 : 16;
        c->items = mem_grow(c->items, c->cap, sizeof *c->items);
    }
    c->items[c->count++] = change;
}

int apply_refuse(struct apply *a, int error, const char *format, ...)
{
    va_list args;

    CHECK(error < 0);
    a->result->error = error;
    va_start(args, format);
    (void)vsnprintf(a->result->why, sizeof a->result->why, format, args);
    va_end(args);
    return error;
}

static void apply_producer_ids(struct apply *a)
{
    if (a->control->next_producer_id > INT64_MAX - CONTROL_PRODUCER_BLOCK) {
        (void)apply_refuse(a, TERN_EREFUSED, "no producer ids are left");
        return;
    }
    a->result->producer_id = a->control->next_producer_id;
    a->control->next_producer_id += CONTROL_PRODUCER_BLOCK;
}

static void apply_command(struct apply *a, const struct command *command)
{
    if (command->kind != COMMAND_FOUND && uuid_is_zero(a->control->cluster_id)) {
        (void)apply_refuse(a, TERN_EREFUSED, "the cluster is not founded yet");
        return;
    }
    switch (command->kind) {
    case COMMAND_FOUND:
        apply_found(a, command);
        break;
    case COMMAND_REGISTER:
        apply_register(a, &command->as.registration);
        break;
    case COMMAND_FENCE:
        apply_fence(a, command->as.flag.node, command->as.flag.set);
        break;
    case COMMAND_NODE_FULL:
        apply_full(a, command->as.flag.node, command->as.flag.set);
        break;
    case COMMAND_CREATE_TOPIC:
        apply_create_topic(a, command);
        break;
    case COMMAND_DELETE_TOPIC:
        apply_delete_topic(a, command->as.name);
        break;
    case COMMAND_PUT_POLICY:
        apply_put_policies(a, &command->as.put_policy, 1);
        break;
    case COMMAND_PUT_POLICIES:
        apply_put_policies(a, command->as.put_policies.items, command->as.put_policies.count);
        break;
    case COMMAND_REMOVE_POLICY:
        apply_remove_policy(a, command->as.name);
        break;
    case COMMAND_ASSIGN:
        apply_assign(a, command->as.assign.items, command->as.assign.count);
        break;
    case COMMAND_ACTIVATED:
        apply_activated(a, command);
        break;
    case COMMAND_PRODUCER_IDS:
        apply_producer_ids(a);
        break;
    case COMMAND_LEDGER:
        for (size_t i = 0; i < command->as.ledger.count; i++) {
            apply_ledger(a, &command->as.ledger.items[i]);
        }
        break;
    case COMMAND_FORGOT:
        apply_forgot(a, command->as.forgot.node, command->as.forgot.incarnation);
        break;
    case COMMAND_REMOVE_NODE:
        apply_remove_node(a, command->as.node);
        break;
    case COMMAND_ALTER_TOPIC:
        apply_alter_topic(a, command);
        break;
    case COMMAND_ADD_PARTITIONS:
        apply_add_partitions(a, command);
        break;
    case COMMAND_REASSIGN:
        apply_reassign(a, command);
        break;
    case COMMAND_SET_QUOTA:
        apply_set_quota(a, command);
        break;
    case COMMAND_SET_FEATURES:
        apply_set_features(a, command);
        break;
    case COMMAND_KINDS:
        CHECK(false);
    }
}

void control_check(const struct control *control, struct slice bytes,
                   struct command_result *out_result)
{
    struct command command;
    /* `dry` is the promise that nothing is written through this. */
    struct apply a = {.control = (struct control *)(uintptr_t)control,
                      .index = control->applied_index + 1,
                      .result = out_result,
                      .dry = true};

    *out_result = (struct command_result){0};
    int error = command_unpack(bytes, &command);
    if (error != 0) {
        (void)apply_refuse(&a, error, "%s", error_sentence(error));
        return;
    }
    CHECK(command.kind == COMMAND_CREATE_TOPIC || command.kind == COMMAND_ALTER_TOPIC ||
          command.kind == COMMAND_ADD_PARTITIONS);
    apply_command(&a, &command);
    command_fini(&command);
}

void control_apply(struct control *control, uint64_t index, struct slice bytes,
                   struct buf *out_result, struct control_changes *changes)
{
    struct command command;
    struct command_result result = {0};
    struct apply a = {.control = control, .index = index, .changes = changes, .result = &result};
    struct buf packed = {0};
    bool forgotten = false;

    CHECK(index > control->applied_index);
    if (control_outgrown(control)) { /* what it says may mean something else by now */
        (void)apply_refuse(&a, TERN_EFORMAT, "%s", error_sentence(TERN_EFORMAT));
        command_result_pack(&result, out_result);
        return;
    }
    control->applied_index = index;
    int error = command_unpack(bytes, &command);
    if (error != 0) {
        (void)apply_refuse(&a, error, "%s", error_sentence(error));
        command_result_pack(&result, out_result);
        return;
    }
    const struct buf *earlier = dedup_find(control, command.key, &forgotten);
    if (earlier != NULL) {
        buf_put(out_result, buf_slice(earlier));
    } else if (forgotten) {
        (void)apply_refuse(&a, TERN_EREFUSED,
                           "the command is a late repeat, its result is no longer known");
        command_result_pack(&result, out_result);
    } else {
        apply_command(&a, &command);
        command_result_pack(&result, &packed);
        dedup_note(control, index, command.key, buf_slice(&packed));
        buf_put(out_result, buf_slice(&packed));
        buf_fini(&packed);
    }
    command_fini(&command);
}
