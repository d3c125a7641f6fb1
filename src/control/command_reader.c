/* SPDX-License-Identifier: Apache-2.0 */
/* The door between packed commands and plain structs. Nothing behind it sees protobuf-c. */
#include "control.pb-c.h"
#include "control/command.h"
#include "control/internal.h"
#include "control/proto_help.h"

#define UNPACK_BYTES_MAX (32u * 1024 * 1024)
#define CHANGES_MAX      256 /* configs in one command */

static bool take_found(const Tern__Control__Found *m, struct command *out)
{
    bool ok = proto_take_uuid(m->cluster_id, &out->as.found.cluster_id) &&
              PROTO_TAKE(out->as.found.cluster_name, m->cluster_name) &&
              m->n_founders <= WIRE_NODES_MAX;

    if (!ok) {
        return false;
    }
    out->as.found.founders = mem_new(m->n_founders * sizeof *out->as.found.founders);
    out->as.found.count = m->n_founders;
    for (size_t i = 0; ok && i < m->n_founders; i++) {
        struct command_founder *f = &out->as.found.founders[i];
        f->node_id = m->founders[i]->node_id;
        f->raft_id = m->founders[i]->raft_id;
        f->witness = m->founders[i]->witness;
        ok = PROTO_TAKE(f->region, m->founders[i]->region);
    }
    return ok;
}

static bool take_register(const Tern__Control__Register *m, struct command_registration *r)
{
    r->node_id = m->node_id;
    r->witness = m->witness;
    r->kafka_port = (uint16_t)m->kafka_port;
    r->incarnation = m->incarnation;
    r->start_number = m->start_number;
    r->raft_id = m->raft_id;
    r->new_incarnation = m->new_incarnation;
    r->stamp_final = m->stamp_final;
    r->stamp = m->stamp;
    r->level = m->level > 0 ? m->level : 1;
    r->conditional = m->conditional;
    r->if_start = m->if_start;
    return m->kafka_port <= UINT16_MAX && PROTO_TAKE(r->region, m->region) &&
           PROTO_TAKE(r->rack, m->rack) && PROTO_TAKE(r->kafka_host, m->kafka_host) &&
           PROTO_TAKE(r->mesh_address, m->mesh_address) &&
           PROTO_TAKE(r->admin_address, m->admin_address);
}

static bool take_changes(Tern__Control__ConfigChange *const *items, size_t count,
                         struct config_changes *out)
{
    bool ok = count <= CHANGES_MAX;

    if (!ok || count == 0) {
        return ok;
    }
    out->items = mem_new(count * sizeof *out->items);
    for (size_t i = 0; ok && i < count; i++) {
        struct topic_config_change *c = &out->items[out->count++];
        c->op = (enum topic_config_op)items[i]->op;
        c->value = c->op == TOPIC_CONFIG_DELETE ? NULL : mem_string(items[i]->value);
        ok = items[i]->op <= TOPIC_CONFIG_SUBTRACT && PROTO_TAKE(c->name, items[i]->name);
    }
    return ok;
}

/* Each part of `order` names what its item has. */
static bool take_orders(const uint32_t *order, size_t length, struct placements *out)
{
    size_t at = 0;

    if (length == 0) {
        return true;
    }
    out->orders = mem_new(out->count * sizeof *out->orders);
    for (size_t i = 0; i < out->count; i++) {
        size_t count = node_set_count(out->items[i]);
        node_set named = 0;
        if (count > length - at || !control_order_take(&order[at], count, out->orders[i])) {
            return false;
        }
        for (size_t k = 0; k < count; k++) {
            named |= NODE_BIT(out->orders[i][k]);
        }
        if (named != out->items[i]) {
            return false;
        }
        at += count;
    }
    return at == length;
}

static bool take_placed(const uint64_t *items, size_t count, const uint32_t *order, size_t length,
                        struct placements *out)
{
    if (count > CONTROL_PARTITIONS_MAX) {
        return false;
    }
    if (count == 0) {
        return length == 0;
    }
    out->items = mem_new(count * sizeof *out->items);
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        out->items[i] = items[i];
    }
    return take_orders(order, length, out);
}

static bool take_alter(const Tern__Control__AlterTopic *m, struct command *out)
{
    out->as.alter.replace = m->replace;
    out->as.alter.weaken_confirmed = m->weaken_confirmed;
    return PROTO_TAKE(out->as.alter.name, m->name) &&
           take_changes(m->changes, m->n_changes, &out->as.alter.changes);
}

static bool take_add(const Tern__Control__AddPartitions *m, struct command *out)
{
    out->as.add.count = m->count;
    return PROTO_TAKE(out->as.add.name, m->name) &&
           take_placed(m->placed, m->n_placed, m->order, m->n_order, &out->as.add.placed);
}

static bool take_create(const Tern__Control__CreateTopic *m, struct command *out)
{
    out->as.create.partitions = m->partitions;
    out->as.create.retention_ms = m->retention_ms;
    out->as.create.retention_bytes = m->retention_bytes;
    return take_changes(m->configs, m->n_configs, &out->as.create.configs) &&
           take_placed(m->placed, m->n_placed, m->order, m->n_order, &out->as.create.placed) &&
           proto_take_uuid(m->topic_id, &out->as.create.topic_id) &&
           PROTO_TAKE(out->as.create.name, m->name) && PROTO_TAKE(out->as.create.policy, m->policy);
}

static bool take_put_policy(const Tern__Control__PutPolicy *m, struct put_policy *out)
{
    out->wall_ms = m->wall_ms;
    out->weaken_confirmed = m->weaken_confirmed;
    return PROTO_TAKE(out->author, m->author) &&
           policy_unpack(proto_slice(m->policy), &out->policy) == 0;
}

static bool take_put_policies(const Tern__Control__PutPolicies *m, struct command *out)
{
    bool ok = m->n_policies > 0 && m->n_policies <= CONTROL_POLICIES_MAX;

    if (!ok) {
        return false;
    }
    out->as.put_policies.items = mem_new(m->n_policies * sizeof *out->as.put_policies.items);
    out->as.put_policies.count = m->n_policies;
    for (size_t i = 0; ok && i < m->n_policies; i++) {
        ok = take_put_policy(m->policies[i], &out->as.put_policies.items[i]);
    }
    return ok;
}

static bool take_assignment(const Tern__Control__Assignment *m, struct command_assignment *a)
{
    a->partition = m->partition;
    a->if_epoch = m->if_epoch;
    a->level = m->level;
    a->leader = m->leader;
    a->has_config = m->config != NULL;
    a->back_to_active = m->back_to_active;
    a->lossy = m->lossy;
    a->avoid = m->avoid;
    return proto_take_uuid(m->topic_id, &a->topic_id) && m->leader < WIRE_NODES_MAX &&
           PROTO_TAKE(a->decided_by, m->decided_by) &&
           (m->config == NULL || control_config_take(m->config, &a->config));
}

static bool take_assign(const Tern__Control__Assign *m, struct command *out)
{
    bool ok = true;

    out->as.assign.items = mem_new(m->n_assignments * sizeof *out->as.assign.items);
    out->as.assign.count = m->n_assignments;
    for (size_t i = 0; ok && i < m->n_assignments; i++) {
        ok = take_assignment(m->assignments[i], &out->as.assign.items[i]);
    }
    return ok;
}

static bool take_activated(const Tern__Control__Activated *m, struct command *out)
{
    out->as.activated.partition = m->partition;
    out->as.activated.epoch = m->epoch;
    out->as.activated.start_offset = m->start_offset;
    out->as.activated.has_ledger = m->ledger != NULL;
    return proto_take_uuid(m->topic_id, &out->as.activated.topic_id) &&
           (m->ledger == NULL || control_ledger_take(m->ledger, &out->as.activated.ledger));
}

static bool take_ledger(const Tern__Control__Ledger *m, struct command *out)
{
    bool ok = true;

    out->as.ledger.items = mem_new(m->n_entries * sizeof *out->as.ledger.items);
    out->as.ledger.count = m->n_entries;
    for (size_t i = 0; ok && i < m->n_entries; i++) {
        ok = control_ledger_take(m->entries[i], &out->as.ledger.items[i]);
    }
    return ok;
}

static bool take_flag(const Tern__Control__NodeFlag *m, struct command *out)
{
    out->as.flag.node = m->node;
    out->as.flag.set = m->set;
    return true;
}

static bool take_features(const Tern__Control__SetFeatures *m, struct command *out)
{
    bool ok = m->n_features <= CONTROL_FEATURES;

    for (size_t i = 0; ok && i < m->n_features; i++) {
        int feature = control_feature_named(slice_text(m->features[i]->name));
        ok = feature >= 0 && m->features[i]->level >= 0 && m->features[i]->level <= INT16_MAX;
        if (ok) {
            out->as.features.items[i] = (struct command_feature){(enum control_feature)feature,
                                                                 (int16_t)m->features[i]->level};
        }
    }
    out->as.features.count = ok ? m->n_features : 0;
    return ok;
}

static bool take_what(const Tern__Control__Command *m, struct command *out)
{
    switch (m->what_case) {
    case TERN__CONTROL__COMMAND__WHAT_FOUND:
        out->kind = COMMAND_FOUND;
        return take_found(m->found, out);
    case TERN__CONTROL__COMMAND__WHAT_REGISTER:
        out->kind = COMMAND_REGISTER;
        return take_register(m->register_, &out->as.registration);
    case TERN__CONTROL__COMMAND__WHAT_FENCE:
        out->kind = COMMAND_FENCE;
        return take_flag(m->fence, out);
    case TERN__CONTROL__COMMAND__WHAT_NODE_FULL:
        out->kind = COMMAND_NODE_FULL;
        return take_flag(m->node_full, out);
    case TERN__CONTROL__COMMAND__WHAT_CREATE_TOPIC:
        out->kind = COMMAND_CREATE_TOPIC;
        return take_create(m->create_topic, out);
    case TERN__CONTROL__COMMAND__WHAT_DELETE_TOPIC:
        out->kind = COMMAND_DELETE_TOPIC;
        return PROTO_TAKE(out->as.name, m->delete_topic->name);
    case TERN__CONTROL__COMMAND__WHAT_PUT_POLICY:
        out->kind = COMMAND_PUT_POLICY;
        return take_put_policy(m->put_policy, &out->as.put_policy);
    case TERN__CONTROL__COMMAND__WHAT_PUT_POLICIES:
        out->kind = COMMAND_PUT_POLICIES;
        return take_put_policies(m->put_policies, out);
    case TERN__CONTROL__COMMAND__WHAT_REMOVE_POLICY:
        out->kind = COMMAND_REMOVE_POLICY;
        return PROTO_TAKE(out->as.name, m->remove_policy->name);
    case TERN__CONTROL__COMMAND__WHAT_ASSIGN:
        out->kind = COMMAND_ASSIGN;
        return take_assign(m->assign, out);
    case TERN__CONTROL__COMMAND__WHAT_ACTIVATED:
        out->kind = COMMAND_ACTIVATED;
        return take_activated(m->activated, out);
    case TERN__CONTROL__COMMAND__WHAT_PRODUCER_IDS:
        out->kind = COMMAND_PRODUCER_IDS;
        out->as.node = m->producer_ids->node;
        return true;
    case TERN__CONTROL__COMMAND__WHAT_LEDGER:
        out->kind = COMMAND_LEDGER;
        return take_ledger(m->ledger, out);
    case TERN__CONTROL__COMMAND__WHAT_FORGOT:
        out->kind = COMMAND_FORGOT;
        out->as.forgot.node = m->forgot->node;
        out->as.forgot.incarnation = m->forgot->incarnation;
        return true;
    case TERN__CONTROL__COMMAND__WHAT_REMOVE_NODE:
        out->kind = COMMAND_REMOVE_NODE;
        out->as.node = m->remove_node->node;
        return true;
    case TERN__CONTROL__COMMAND__WHAT_ALTER_TOPIC:
        out->kind = COMMAND_ALTER_TOPIC;
        return take_alter(m->alter_topic, out);
    case TERN__CONTROL__COMMAND__WHAT_ADD_PARTITIONS:
        out->kind = COMMAND_ADD_PARTITIONS;
        return take_add(m->add_partitions, out);
    case TERN__CONTROL__COMMAND__WHAT_REASSIGN:
        out->kind = COMMAND_REASSIGN;
        out->as.reassign.partition = m->reassign->partition;
        out->as.reassign.target = m->reassign->target;
        return proto_take_uuid(m->reassign->topic_id, &out->as.reassign.topic_id) &&
               control_order_take(m->reassign->order, m->reassign->n_order, out->as.reassign.order);
    case TERN__CONTROL__COMMAND__WHAT_SET_QUOTA:
        out->kind = COMMAND_SET_QUOTA;
        return control_quota_take(m->set_quota, &out->as.quota.changes, out->as.quota.remove);
    case TERN__CONTROL__COMMAND__WHAT_SET_FEATURES:
        out->kind = COMMAND_SET_FEATURES;
        return take_features(m->set_features, out);
    case TERN__CONTROL__COMMAND__WHAT__NOT_SET:
    case _TERN__CONTROL__COMMAND__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    return false;
}

int command_unpack(struct slice bytes, struct command *out)
{
    struct capped_alloc cap;
    ProtobufCAllocator alloc = capped_alloc_init(&cap, UNPACK_BYTES_MAX);
    Tern__Control__Command *m = tern__control__command__unpack(&alloc, bytes.len, bytes.base);
    struct command command;
    int error = 0;

    if (m == NULL) {
        return TERN_EMALFORMED;
    }
    memset(&command, 0, sizeof command); /* all of the union */
    command.kind = COMMAND_KINDS;
    command.key.seq = m->seq;
    if (!proto_take_uuid(m->client, &command.key.client)) {
        error = TERN_EMALFORMED;
    } else if (m->what_case == TERN__CONTROL__COMMAND__WHAT__NOT_SET) {
        error = TERN_EUNSUPPORTED;
    } else if (!take_what(m, &command)) {
        error = TERN_EMALFORMED;
    }
    tern__control__command__free_unpacked(m, &alloc);
    if (error != 0) {
        command_fini(&command);
        return error;
    }
    *out = command;
    return 0;
}

static void changes_free(struct config_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->items[i].value);
    }
    free(changes->items);
}

void command_fini(struct command *command)
{
    if (command->kind == COMMAND_FOUND) {
        free(command->as.found.founders);
    } else if (command->kind == COMMAND_ASSIGN) {
        free(command->as.assign.items);
    } else if (command->kind == COMMAND_PUT_POLICIES) {
        free(command->as.put_policies.items);
    } else if (command->kind == COMMAND_LEDGER) {
        free(command->as.ledger.items);
    } else if (command->kind == COMMAND_CREATE_TOPIC) {
        changes_free(&command->as.create.configs);
        free(command->as.create.placed.items);
        free(command->as.create.placed.orders);
    } else if (command->kind == COMMAND_ALTER_TOPIC) {
        changes_free(&command->as.alter.changes);
    } else if (command->kind == COMMAND_ADD_PARTITIONS) {
        free(command->as.add.placed.items);
        free(command->as.add.placed.orders);
    }
    command->kind = COMMAND_KINDS;
}

static const char *const names[COMMAND_KINDS] = {
    [COMMAND_FOUND] = "found",
    [COMMAND_REGISTER] = "register",
    [COMMAND_FENCE] = "fence",
    [COMMAND_NODE_FULL] = "node_full",
    [COMMAND_CREATE_TOPIC] = "create_topic",
    [COMMAND_DELETE_TOPIC] = "delete_topic",
    [COMMAND_PUT_POLICY] = "put_policy",
    [COMMAND_REMOVE_POLICY] = "remove_policy",
    [COMMAND_ASSIGN] = "assign",
    [COMMAND_ACTIVATED] = "activated",
    [COMMAND_PRODUCER_IDS] = "producer_ids",
    [COMMAND_LEDGER] = "ledger",
    [COMMAND_FORGOT] = "forgot",
    [COMMAND_REMOVE_NODE] = "remove_node",
    [COMMAND_PUT_POLICIES] = "put_policies",
    [COMMAND_ALTER_TOPIC] = "alter_topic",
    [COMMAND_ADD_PARTITIONS] = "add_partitions",
    [COMMAND_REASSIGN] = "reassign",
    [COMMAND_SET_QUOTA] = "set_quota",
    [COMMAND_SET_FEATURES] = "set_features",
};

const char *command_name(struct slice bytes)
{
    struct command command;
    const char *name = "unknown";

    if (command_unpack(bytes, &command) == 0) {
        bool unfence = command.kind == COMMAND_FENCE && !command.as.flag.set;
        name = unfence ? "unfence" : names[command.kind];
        command_fini(&command);
    }
    return name;
}
