/* SPDX-License-Identifier: Apache-2.0 */
/* Commands are built here, and their results read; command_reader.c is the other way. */
#include "control/command.h"

#include <stdio.h>

#include "control.pb-c.h"
#include "control/internal.h"
#include "control/proto_help.h"

/* ---- plain structs to messages, and back -------------------------------------------------- */

void control_config_fill(const struct control_config *config, Tern__Control__Config *m)
{
    tern__control__config__init(m);
    m->voters = config->voters;
    m->learners = config->learners;
    m->w = config->w;
    m->home = config->home;
}

bool control_config_take(const Tern__Control__Config *m, struct control_config *out)
{
    if (m == NULL || m->w == 0 || m->w > CONTROL_REGIONS_MAX || m->home < -1 ||
        m->home >= CONTROL_REGIONS_MAX || (m->voters & m->learners) != 0 ||
        ((m->voters | m->learners) & 1) != 0) {
        return false;
    }
    *out = (struct control_config){
        .voters = m->voters, .learners = m->learners, .w = (uint8_t)m->w, .home = (int8_t)m->home};
    return true;
}

void control_ledger_fill(const struct control_ledger_entry *e, Tern__Control__LedgerEntry *m)
{
    tern__control__ledger_entry__init(m);
    m->kind = (uint32_t)e->kind;
    m->topic = proto_text(e->topic);
    m->partition = e->partition;
    m->first_offset = e->first_offset;
    m->end_offset = e->end_offset;
    m->bytes = e->bytes;
    m->millis = e->millis;
    m->since_wall_ms = e->since_wall_ms;
    m->until_wall_ms = e->until_wall_ms;
    m->decided_by = proto_text(e->decided_by);
    m->note = proto_text(e->note);
    m->index = e->index;
}

bool control_ledger_take(const Tern__Control__LedgerEntry *m, struct control_ledger_entry *out)
{
    *out = (struct control_ledger_entry){.kind = (enum control_ledger_kind)m->kind,
                                         .partition = m->partition,
                                         .first_offset = m->first_offset,
                                         .end_offset = m->end_offset,
                                         .bytes = m->bytes,
                                         .millis = m->millis,
                                         .since_wall_ms = m->since_wall_ms,
                                         .until_wall_ms = m->until_wall_ms,
                                         .index = m->index};
    return m->kind <= LEDGER_EXPOSED && PROTO_TAKE(out->topic, m->topic) &&
           PROTO_TAKE(out->decided_by, m->decided_by) && PROTO_TAKE(out->note, m->note);
}

bool control_quota_take(const Tern__Control__SetQuota *m, struct control_quota *out,
                        bool remove[QUOTA_KEYS])
{
    struct quota_entity *e = &out->entity;
    bool ok = m->n_values <= QUOTA_KEYS && m->kinds < 1u << QUOTA_NAMES &&
              PROTO_TAKE(e->names[QUOTA_CLIENT], m->client_id) &&
              PROTO_TAKE(e->names[QUOTA_USER], m->user) && PROTO_TAKE(e->names[QUOTA_IP], m->ip);

    e->kinds = m->kinds == 0 ? 1 << QUOTA_CLIENT : (uint8_t)m->kinds;
    e->everybody =
        (uint8_t)((m->everybody ? 1 << QUOTA_CLIENT : 0) | (m->every_user ? 1 << QUOTA_USER : 0) |
                  (m->every_ip ? 1 << QUOTA_IP : 0));
    for (size_t i = 0; ok && i < m->n_values; i++) {
        uint32_t key = m->values[i]->key;
        double value = m->values[i]->value;
        ok = key < QUOTA_KEYS && (m->values[i]->remove || (value > 0 && value < 1e18));
        if (ok) {
            out->has[key] = true;
            out->values[key] = value;
            remove[key] = m->values[i]->remove;
        }
    }
    return ok;
}

void control_quota_entity_fill(const struct quota_entity *e, Tern__Control__SetQuota *m)
{
    tern__control__set_quota__init(m);
    /* As level 1 wrote client ids, which must stay the same bytes. */
    m->kinds = e->kinds == 1 << QUOTA_CLIENT ? 0 : e->kinds;
    m->everybody = (e->everybody & 1 << QUOTA_CLIENT) != 0;
    m->every_user = (e->everybody & 1 << QUOTA_USER) != 0;
    m->every_ip = (e->everybody & 1 << QUOTA_IP) != 0;
    m->client_id = proto_text(e->names[QUOTA_CLIENT]);
    m->user = proto_text(e->names[QUOTA_USER]);
    m->ip = proto_text(e->names[QUOTA_IP]);
}

bool control_order_take(const uint32_t *items, size_t count, uint8_t out[CONTROL_REPLICAS_MAX])
{
    node_set seen = 0;

    if (count > CONTROL_REPLICAS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i] == 0 || items[i] >= WIRE_NODES_MAX || (seen & NODE_BIT(items[i])) != 0) {
            return false;
        }
        seen |= NODE_BIT(items[i]);
        out[i] = (uint8_t)items[i];
    }
    return true;
}

/* ---- building ------------------------------------------------------------------------------ */

static void put(struct buf *out, struct command_key *key, Tern__Control__Command *m,
                Tern__Control__Command__WhatCase kind)
{
    m->client = proto_uuid(&key->client);
    m->seq = key->seq;
    m->what_case = kind;
    (void)tern__control__command__pack(m,
                                       buf_extend(out, tern__control__command__get_packed_size(m)));
}

#define PUT(field, KIND)                                                                           \
    do {                                                                                           \
        Tern__Control__Command command;                                                            \
        tern__control__command__init(&command);                                                    \
        command.field = &m;                                                                        \
        put(out, &key, &command, TERN__CONTROL__COMMAND__WHAT_##KIND);                             \
    } while (0)

void command_found(struct buf *out, struct command_key key, struct uuid cluster_id,
                   const char *cluster_name, const struct command_founder *founders, size_t count)
{
    Tern__Control__Found m;
    Tern__Control__Founder items[WIRE_NODES_MAX];
    Tern__Control__Founder *pointers[WIRE_NODES_MAX];

    tern__control__found__init(&m);
    CHECK(count <= WIRE_NODES_MAX);
    for (size_t i = 0; i < count; i++) {
        tern__control__founder__init(&items[i]);
        items[i].node_id = founders[i].node_id;
        items[i].raft_id = founders[i].raft_id;
        items[i].region = proto_text(founders[i].region);
        items[i].witness = founders[i].witness;
        pointers[i] = &items[i];
    }
    m.cluster_id = proto_uuid(&cluster_id);
    m.cluster_name = proto_text(cluster_name);
    m.n_founders = count;
    m.founders = pointers;
    PUT(found, FOUND);
}

void command_register(struct buf *out, struct command_key key, const struct command_registration *r)
{
    Tern__Control__Register m;

    tern__control__register__init(&m);
    m.node_id = r->node_id;
    m.region = proto_text(r->region);
    m.witness = r->witness;
    m.rack = proto_text(r->rack);
    m.kafka_host = proto_text(r->kafka_host);
    m.kafka_port = r->kafka_port;
    m.mesh_address = proto_text(r->mesh_address);
    m.admin_address = proto_text(r->admin_address);
    m.incarnation = r->incarnation;
    m.start_number = r->start_number;
    m.raft_id = r->raft_id;
    m.new_incarnation = r->new_incarnation;
    m.stamp_final = r->stamp_final;
    m.stamp = r->stamp;
    m.level = r->level;
    m.conditional = r->conditional;
    m.if_start = r->if_start;
    PUT(register_, REGISTER);
}

static Tern__Control__NodeFlag node_flag(uint32_t node, bool set)
{
    Tern__Control__NodeFlag m;

    tern__control__node_flag__init(&m);
    m.node = node;
    m.set = set;
    return m;
}

void command_fence(struct buf *out, struct command_key key, uint32_t node)
{
    Tern__Control__NodeFlag m = node_flag(node, true);

    PUT(fence, FENCE);
}

void command_unfence(struct buf *out, struct command_key key, uint32_t node)
{
    Tern__Control__NodeFlag m = node_flag(node, false);

    PUT(fence, FENCE);
}

void command_node_full(struct buf *out, struct command_key key, uint32_t node, bool full)
{
    Tern__Control__NodeFlag m = node_flag(node, full);

    PUT(node_full, NODE_FULL);
}

void command_forgot(struct buf *out, struct command_key key, uint32_t node, uint32_t incarnation)
{
    Tern__Control__NodeForgot m;

    tern__control__node_forgot__init(&m);
    m.node = node;
    m.incarnation = incarnation;
    PUT(forgot, FORGOT);
}

void command_remove_node(struct buf *out, struct command_key key, uint32_t node, const char *by)
{
    Tern__Control__RemoveNode m;

    tern__control__remove_node__init(&m);
    m.node = node;
    m.by = proto_text(by);
    PUT(remove_node, REMOVE_NODE);
}

void command_create_topic(struct buf *out, struct command_key key, const char *name,
                          struct uuid topic_id, int32_t partitions, const char *policy,
                          int64_t retention_ms, int64_t retention_bytes)
{
    Tern__Control__CreateTopic m;

    tern__control__create_topic__init(&m);
    m.name = proto_text(name);
    m.topic_id = proto_uuid(&topic_id);
    m.partitions = partitions;
    m.policy = proto_text(policy != NULL ? policy : "");
    m.retention_ms = retention_ms;
    m.retention_bytes = retention_bytes;
    PUT(create_topic, CREATE_TOPIC);
}

struct packed_changes {
    Tern__Control__ConfigChange *items;
    Tern__Control__ConfigChange **pointers;
};

static struct packed_changes pack_changes(const struct topic_config_change *changes, size_t count)
{
    struct packed_changes p = {mem_new((count + 1) * sizeof *p.items),
                               mem_new((count + 1) * sizeof(Tern__Control__ConfigChange *))};

    for (size_t i = 0; i < count; i++) {
        tern__control__config_change__init(&p.items[i]);
        p.items[i].name = proto_text(changes[i].name);
        p.items[i].op = (uint32_t)changes[i].op;
        p.items[i].value = changes[i].value != NULL ? changes[i].value : proto_text("");
        p.pointers[i] = &p.items[i];
    }
    return p;
}

static void packed_changes_fini(struct packed_changes *p)
{
    free(p->pointers);
    free(p->items);
}

void command_create_topic_as(struct buf *out, struct command_key key,
                             const struct command_topic *topic)
{
    Tern__Control__CreateTopic m;
    struct packed_changes configs = pack_changes(topic->configs, topic->config_count);

    tern__control__create_topic__init(&m);
    m.name = proto_text(topic->name);
    m.topic_id = proto_uuid(&topic->topic_id);
    m.partitions = topic->partitions;
    m.retention_ms = INT64_MIN;
    m.retention_bytes = INT64_MIN;
    m.configs = configs.pointers;
    m.n_configs = topic->config_count;
    m.placed = topic->placement.placed;
    m.n_placed = topic->placement.count;
    m.order = topic->placement.order;
    m.n_order = topic->placement.order_count;
    PUT(create_topic, CREATE_TOPIC);
    packed_changes_fini(&configs);
}

void command_alter_topic(struct buf *out, struct command_key key, const char *name,
                         const struct topic_config_change *changes, size_t count, bool replace,
                         bool weaken_confirmed)
{
    Tern__Control__AlterTopic m;
    struct packed_changes packed = pack_changes(changes, count);

    tern__control__alter_topic__init(&m);
    m.name = proto_text(name);
    m.changes = packed.pointers;
    m.n_changes = count;
    m.replace = replace;
    m.weaken_confirmed = weaken_confirmed;
    PUT(alter_topic, ALTER_TOPIC);
    packed_changes_fini(&packed);
}

void command_add_partitions(struct buf *out, struct command_key key, const char *name,
                            int32_t count, const struct command_placement *placement)
{
    Tern__Control__AddPartitions m;

    tern__control__add_partitions__init(&m);
    m.name = proto_text(name);
    m.count = count;
    m.placed = placement->placed;
    m.n_placed = placement->count;
    m.order = placement->order;
    m.n_order = placement->order_count;
    PUT(add_partitions, ADD_PARTITIONS);
}

void command_reassign(struct buf *out, struct command_key key, struct uuid topic_id,
                      int32_t partition, node_set target, const uint32_t *order, size_t count)
{
    Tern__Control__Reassign m;

    tern__control__reassign__init(&m);
    m.topic_id = proto_uuid(&topic_id);
    m.partition = partition;
    m.target = target;
    m.order = (uint32_t *)(uintptr_t)order;
    m.n_order = count;
    PUT(reassign, REASSIGN);
}

void command_set_quota(struct buf *out, struct command_key key, const struct quota_entity *entity,
                       const struct command_quota *values, size_t count)
{
    Tern__Control__SetQuota m;
    Tern__Control__QuotaValue items[QUOTA_KEYS];
    Tern__Control__QuotaValue *pointers[QUOTA_KEYS];

    CHECK(count <= QUOTA_KEYS);
    control_quota_entity_fill(entity, &m);
    for (size_t i = 0; i < count; i++) {
        tern__control__quota_value__init(&items[i]);
        items[i].key = (uint32_t)values[i].key;
        items[i].value = values[i].value;
        items[i].remove = values[i].remove;
        pointers[i] = &items[i];
    }
    m.values = pointers;
    m.n_values = count;
    PUT(set_quota, SET_QUOTA);
}

static void fill_feature(Tern__Control__FeatureLevel *m, enum control_feature feature,
                         int16_t level)
{
    tern__control__feature_level__init(m);
    m->name = proto_text(control_feature_kind(feature)->name);
    m->level = level;
}

void command_set_features(struct buf *out, struct command_key key,
                          const struct command_feature *items, size_t count)
{
    Tern__Control__SetFeatures m;
    Tern__Control__FeatureLevel levels[CONTROL_FEATURES];
    Tern__Control__FeatureLevel *pointers[CONTROL_FEATURES];

    CHECK(count <= CONTROL_FEATURES);
    tern__control__set_features__init(&m);
    for (size_t i = 0; i < count; i++) {
        fill_feature(&levels[i], items[i].feature, items[i].level);
        pointers[i] = &levels[i];
    }
    m.features = pointers;
    m.n_features = count;
    PUT(set_features, SET_FEATURES);
}

void command_delete_topic(struct buf *out, struct command_key key, const char *name)
{
    Tern__Control__Name m;

    tern__control__name__init(&m);
    m.name = proto_text(name);
    PUT(delete_topic, DELETE_TOPIC);
}

void command_put_policy(struct buf *out, struct command_key key, const struct policy *policy,
                        const char *author, int64_t wall_ms, bool weaken_confirmed)
{
    Tern__Control__PutPolicy m;
    struct buf packed = {0};

    tern__control__put_policy__init(&m);
    policy_pack(policy, &packed);
    m.policy = proto_bytes(buf_slice(&packed));
    m.author = proto_text(author);
    m.wall_ms = wall_ms;
    m.weaken_confirmed = weaken_confirmed;
    PUT(put_policy, PUT_POLICY);
    buf_fini(&packed);
}

void command_put_policies(struct buf *out, struct command_key key,
                          const struct command_policy *items, size_t count, const char *author,
                          int64_t wall_ms)
{
    Tern__Control__PutPolicies m;
    Tern__Control__PutPolicy *messages = mem_new(count * sizeof *messages);
    Tern__Control__PutPolicy **pointers = mem_new(count * sizeof(Tern__Control__PutPolicy *));
    struct buf *packed = mem_new(count * sizeof *packed);

    tern__control__put_policies__init(&m);
    for (size_t i = 0; i < count; i++) {
        policy_pack(items[i].policy, &packed[i]);
        tern__control__put_policy__init(&messages[i]);
        messages[i].policy = proto_bytes(buf_slice(&packed[i]));
        messages[i].author = proto_text(author);
        messages[i].wall_ms = wall_ms;
        messages[i].weaken_confirmed = items[i].weaken_confirmed;
        pointers[i] = &messages[i];
    }
    m.policies = pointers;
    m.n_policies = count;
    PUT(put_policies, PUT_POLICIES);
    for (size_t i = 0; i < count; i++) {
        buf_fini(&packed[i]);
    }
    free(packed);
    free(pointers);
    free(messages);
}

void command_remove_policy(struct buf *out, struct command_key key, const char *name)
{
    Tern__Control__Name m;

    tern__control__name__init(&m);
    m.name = proto_text(name);
    PUT(remove_policy, REMOVE_POLICY);
}

static void fill_assignment(const struct command_assignment *a, Tern__Control__Assignment *m,
                            Tern__Control__Config *config)
{
    tern__control__assignment__init(m);
    m->topic_id = proto_uuid(&a->topic_id);
    m->partition = a->partition;
    m->if_epoch = a->if_epoch;
    m->level = a->level;
    m->leader = a->leader;
    if (a->has_config) {
        control_config_fill(&a->config, config);
        m->config = config;
    }
    m->back_to_active = a->back_to_active;
    m->lossy = a->lossy;
    m->avoid = a->avoid;
    m->decided_by = proto_text(a->decided_by);
}

void command_assign(struct buf *out, struct command_key key,
                    const struct command_assignment *assignments, size_t count)
{
    Tern__Control__Assign m;
    Tern__Control__Assignment *items = mem_new(count * sizeof *items);
    Tern__Control__Config *configs = mem_new(count * sizeof *configs);
    Tern__Control__Assignment **pointers = mem_new(count * sizeof(Tern__Control__Assignment *));

    tern__control__assign__init(&m);
    for (size_t i = 0; i < count; i++) {
        fill_assignment(&assignments[i], &items[i], &configs[i]);
        pointers[i] = &items[i];
    }
    m.n_assignments = count;
    m.assignments = pointers;
    PUT(assign, ASSIGN);
    free(pointers);
    free(configs);
    free(items);
}

void command_activated(struct buf *out, struct command_key key, struct uuid topic_id,
                       int32_t partition, int32_t epoch, int64_t start_offset,
                       const struct control_ledger_entry *ledger)
{
    Tern__Control__Activated m;
    Tern__Control__LedgerEntry entry;

    tern__control__activated__init(&m);
    m.topic_id = proto_uuid(&topic_id);
    m.partition = partition;
    m.epoch = epoch;
    m.start_offset = start_offset;
    if (ledger != NULL) {
        control_ledger_fill(ledger, &entry);
        m.ledger = &entry;
    }
    PUT(activated, ACTIVATED);
}

void command_producer_ids(struct buf *out, struct command_key key, uint32_t node)
{
    Tern__Control__ProducerIds m;

    tern__control__producer_ids__init(&m);
    m.node = node;
    PUT(producer_ids, PRODUCER_IDS);
}

void command_ledger_entries(struct buf *out, struct command_key key,
                            const struct control_ledger_entry *entries, size_t count)
{
    Tern__Control__Ledger m;
    Tern__Control__LedgerEntry *items = mem_new(count * sizeof *items);
    Tern__Control__LedgerEntry **pointers = mem_new(count * sizeof(Tern__Control__LedgerEntry *));

    tern__control__ledger__init(&m);
    for (size_t i = 0; i < count; i++) {
        control_ledger_fill(&entries[i], &items[i]);
        pointers[i] = &items[i];
    }
    m.n_entries = count;
    m.entries = pointers;
    PUT(ledger, LEDGER);
    free(pointers);
    free(items);
}

void command_ledger(struct buf *out, struct command_key key,
                    const struct control_ledger_entry *entry)
{
    command_ledger_entries(out, key, entry, 1);
}

/* ---- results ------------------------------------------------------------------------------- */

void command_result_pack(const struct command_result *r, struct buf *out)
{
    Tern__Control__CommandResult m;

    tern__control__command_result__init(&m);
    m.error = r->error;
    m.why = proto_text(r->why);
    m.incarnation = r->incarnation;
    m.raft_id = r->raft_id;
    m.rolled_back = r->rolled_back;
    m.old_raft_id = r->old_raft_id;
    m.start_number = r->start_number;
    m.producer_id = r->producer_id;
    if (!uuid_is_zero(r->topic_id)) {
        m.topic_id = proto_uuid(&r->topic_id);
    }
    m.partitions = r->partitions;
    m.replicas = r->replicas;
    (void)tern__control__command_result__pack(
        &m, buf_extend(out, tern__control__command_result__get_packed_size(&m)));
}

int command_result_read(struct slice bytes, struct command_result *out)
{
    struct capped_alloc cap;
    ProtobufCAllocator alloc = capped_alloc_init(&cap, 64 * 1024);
    Tern__Control__CommandResult *m =
        tern__control__command_result__unpack(&alloc, bytes.len, bytes.base);
    struct command_result result = {0};

    if (m == NULL) {
        return TERN_EMALFORMED;
    }
    result.error = m->error;
    result.incarnation = m->incarnation;
    result.raft_id = m->raft_id;
    result.rolled_back = m->rolled_back;
    result.old_raft_id = m->old_raft_id;
    result.start_number = m->start_number;
    result.producer_id = m->producer_id;
    result.partitions = m->partitions;
    result.replicas = m->replicas;
    bool ok = PROTO_TAKE(result.why, m->why) &&
              (m->topic_id.len == 0 || proto_take_uuid(m->topic_id, &result.topic_id));
    tern__control__command_result__free_unpacked(m, &alloc);
    if (!ok) {
        return TERN_EMALFORMED;
    }
    *out = result;
    return 0;
}
