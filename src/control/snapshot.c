/* SPDX-License-Identifier: Apache-2.0 */
/* The whole state as bytes, and back: the other door to protobuf-c.
 *
 * Equal states give equal bytes: everything is written in the order of making, which restoring
 * keeps. So the hash of the bytes is the hash of the state. */
#include <stdio.h>

#include "control/internal.h"
#include "control/proto_help.h"

#define UNPACK_BYTES_MAX (1u << 30)
#define WITHOUT_FEATURES 2 /* format version */

/* Memory of one packing, freed at once. */
struct arena {
    void **blocks;
    size_t count;
};

static void *arena_new(struct arena *arena, size_t count, size_t size)
{
    CHECK(size == 0 || count <= SIZE_MAX / 2 / size);
    arena->blocks = mem_grow(arena->blocks, arena->count + 1, sizeof *arena->blocks);
    return arena->blocks[arena->count++] = mem_new(count * size);
}

static void arena_fini(struct arena *arena)
{
    for (size_t i = 0; i < arena->count; i++) {
        free(arena->blocks[i]);
    }
    free(arena->blocks);
}

/* ---- packing ------------------------------------------------------------------------------- */

static void fill_regions(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    Tern__Control__Region *items = arena_new(arena, c->region_count, sizeof *items);

    m->n_regions = c->region_count;
    m->regions = arena_new(arena, c->region_count, sizeof *m->regions);
    for (uint32_t i = 0; i < c->region_count; i++) {
        tern__control__region__init(&items[i]);
        items[i].name = proto_text(c->regions[i].name);
        items[i].witness = c->regions[i].witness;
        m->regions[i] = &items[i];
    }
}

static void fill_node(const struct control_node *n, Tern__Control__Node *m)
{
    tern__control__node__init(m);
    m->id = n->id;
    m->region = n->region;
    m->rack = proto_text(n->rack);
    m->kafka_host = proto_text(n->kafka_host);
    m->kafka_port = n->kafka_port;
    m->mesh_address = proto_text(n->mesh_address);
    m->admin_address = proto_text(n->admin_address);
    m->incarnation = n->incarnation;
    m->start_number = n->start_number;
    m->raft_id = n->raft_id;
    m->fenced = n->fenced;
    m->full = n->full;
    m->forgot = n->forgot;
    m->removed = n->removed;
    m->registered_index = n->registered_index;
    m->stamp = n->stamp;
    m->stamp_start = n->stamp_start;
    m->level = n->level;
}

static void fill_nodes(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    Tern__Control__Node *items = arena_new(arena, WIRE_NODES_MAX, sizeof *items);

    m->nodes = arena_new(arena, WIRE_NODES_MAX, sizeof *m->nodes);
    for (uint32_t i = 0; i < WIRE_NODES_MAX; i++) {
        if (c->nodes[i].id != 0) {
            fill_node(&c->nodes[i], &items[i]);
            m->nodes[m->n_nodes++] = &items[i];
        }
    }
}

struct partition_room {
    Tern__Control__Partition m;
    Tern__Control__Config config;
    Tern__Control__Config recover;
    Tern__Control__Replica replicas[CONTROL_REPLICAS_MAX];
    Tern__Control__Replica *pointers[CONTROL_REPLICAS_MAX];
    uint32_t order[CONTROL_REPLICAS_MAX];
};

static void fill_partition(const struct control_partition *p, struct partition_room *room)
{
    Tern__Control__Partition *m = &room->m;

    tern__control__partition__init(m);
    m->epoch = p->epoch;
    m->leader = p->leader;
    m->leader_start = p->leader_start;
    control_config_fill(&p->config, &room->config);
    control_config_fill(&p->recover, &room->recover);
    m->config = &room->config;
    m->recover = &room->recover;
    m->lossy = p->lossy;
    m->activated = p->activated;
    m->lossy_start = p->lossy_start;
    m->lossy_epoch = p->lossy_epoch;
    m->assigned_index = p->assigned_index;
    m->target = p->target;
    m->order = room->order;
    while (m->n_order < CONTROL_REPLICAS_MAX && p->order[m->n_order] != 0) {
        room->order[m->n_order] = p->order[m->n_order];
        m->n_order++;
    }
    m->n_replicas = p->replica_count;
    m->replicas = room->pointers;
    for (uint32_t i = 0; i < p->replica_count; i++) {
        tern__control__replica__init(&room->replicas[i]);
        room->replicas[i].node = p->replicas[i].node;
        room->replicas[i].incarnation = p->replicas[i].incarnation;
        room->replicas[i].since = p->replicas[i].since;
        room->pointers[i] = &room->replicas[i];
    }
}

static ProtobufCBinaryData packed_policy(const struct policy *policy, struct arena *arena)
{
    struct buf packed = {0};

    policy_pack(policy, &packed);
    uint8_t *copy = arena_new(arena, packed.len, 1);
    memcpy(copy, packed.base, packed.len);
    size_t len = packed.len;
    buf_fini(&packed);
    return (ProtobufCBinaryData){.len = len, .data = copy};
}

static void fill_topic(const struct control_topic *t, struct arena *arena, Tern__Control__Topic *m)
{
    struct partition_room *rooms = arena_new(arena, t->partition_count, sizeof *rooms);

    tern__control__topic__init(m);
    m->id = proto_uuid(&t->id);
    m->name = proto_text(t->name);
    m->policy = packed_policy(&t->policy, arena);
    m->n_configs = t->configs.count;
    m->configs = arena_new(arena, t->configs.count, sizeof *m->configs);
    Tern__Control__TopicConfig *configs = arena_new(arena, t->configs.count, sizeof *configs);
    for (size_t i = 0; i < t->configs.count; i++) {
        tern__control__topic_config__init(&configs[i]);
        configs[i].name = proto_text(t->configs.items[i].key->name);
        configs[i].value = t->configs.items[i].value;
        m->configs[i] = &configs[i];
    }
    m->created_index = t->created_index;
    m->n_partitions = t->partition_count;
    m->partitions = arena_new(arena, t->partition_count, sizeof *m->partitions);
    for (uint32_t i = 0; i < t->partition_count; i++) {
        fill_partition(&t->partitions[i], &rooms[i]);
        m->partitions[i] = &rooms[i].m;
    }
}

static void fill_topics(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    size_t count = HASH_CNT(by_name, c->by_name);
    Tern__Control__Topic *items = arena_new(arena, count, sizeof *items);

    m->topics = arena_new(arena, count, sizeof *m->topics);
    for (struct control_topic *t = c->by_name; t != NULL; t = t->by_name.next) {
        fill_topic(t, arena, &items[m->n_topics]);
        m->topics[m->n_topics] = &items[m->n_topics];
        m->n_topics++;
    }
}

static void fill_policies(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    Tern__Control__PolicyRevision *items = arena_new(arena, c->policy_count, sizeof *items);

    m->n_policies = c->policy_count;
    m->policies = arena_new(arena, c->policy_count, sizeof *m->policies);
    for (uint32_t i = 0; i < c->policy_count; i++) {
        tern__control__policy_revision__init(&items[i]);
        items[i].policy = packed_policy(&c->policies[i].policy, arena);
        items[i].revision = c->policies[i].revision;
        items[i].author = proto_text(c->policies[i].author);
        items[i].wall_ms = c->policies[i].wall_ms;
        m->policies[i] = &items[i];
    }
}

static void fill_ledger(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    Tern__Control__LedgerEntry *items = arena_new(arena, c->ledger_count, sizeof *items);

    m->n_ledger = c->ledger_count;
    m->ledger = arena_new(arena, c->ledger_count, sizeof *m->ledger);
    for (uint32_t i = 0; i < c->ledger_count; i++) {
        control_ledger_fill(&c->ledger[i], &items[i]);
        m->ledger[i] = &items[i];
    }
}

static void fill_deleted(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    const struct control_private *state = control_private(c);
    size_t count = HASH_CNT(hh, state->deleted);
    Tern__Control__DeletedName *items = arena_new(arena, count, sizeof *items);

    m->deleted_names = arena_new(arena, count, sizeof *m->deleted_names);
    for (struct deleted_name *d = state->deleted; d != NULL; d = d->hh.next) {
        Tern__Control__DeletedName *item = &items[m->n_deleted_names];
        tern__control__deleted_name__init(item);
        item->name = proto_text(d->name);
        item->epoch = d->epoch;
        item->index = d->index;
        m->deleted_names[m->n_deleted_names++] = item;
    }
}

static void fill_client(const struct dedup_client *c, struct arena *arena,
                        Tern__Control__DedupClient *m)
{
    Tern__Control__DedupResult *items = arena_new(arena, c->count, sizeof *items);

    tern__control__dedup_client__init(m);
    m->client = proto_uuid(&c->id);
    m->dropped_seq = c->dropped_seq;
    m->last_index = c->last_index;
    m->n_results = c->count;
    m->results = arena_new(arena, c->count, sizeof *m->results);
    for (uint32_t i = 0; i < c->count; i++) {
        tern__control__dedup_result__init(&items[i]);
        items[i].seq = c->results[i].seq;
        items[i].index = c->results[i].index;
        items[i].result = proto_bytes(buf_slice(&c->results[i].packed));
        m->results[i] = &items[i];
    }
}

static void fill_clients(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    const struct control_private *state = control_private(c);
    size_t count = HASH_CNT(hh, state->clients);
    Tern__Control__DedupClient *items = arena_new(arena, count, sizeof *items);

    m->clients = arena_new(arena, count, sizeof *m->clients);
    for (struct dedup_client *d = state->clients; d != NULL; d = d->hh.next) {
        fill_client(d, arena, &items[m->n_clients]);
        m->clients[m->n_clients] = &items[m->n_clients];
        m->n_clients++;
    }
}

static void fill_quotas(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    Tern__Control__SetQuota *items = arena_new(arena, c->quota_count, sizeof *items);

    m->n_quotas = c->quota_count;
    m->quotas = arena_new(arena, c->quota_count, sizeof *m->quotas);
    for (uint32_t i = 0; i < c->quota_count; i++) {
        const struct control_quota *q = &c->quotas[i];
        Tern__Control__QuotaValue *values = arena_new(arena, QUOTA_KEYS, sizeof *values);
        control_quota_entity_fill(&q->entity, &items[i]);
        items[i].values = arena_new(arena, QUOTA_KEYS, sizeof *items[i].values);
        for (uint32_t key = 0; key < QUOTA_KEYS; key++) {
            if (q->has[key]) {
                tern__control__quota_value__init(&values[key]);
                values[key].key = key;
                values[key].value = q->values[key];
                items[i].values[items[i].n_values++] = &values[key];
            }
        }
        m->quotas[i] = &items[i];
    }
}

/* Only once one was changed: an older build reads what says the same as ever. */
static void fill_features(const struct control *c, struct arena *arena, Tern__Control__Snapshot *m)
{
    if (c->features_index == 0) {
        return;
    }
    Tern__Control__FeatureLevel *items = arena_new(arena, CONTROL_FEATURES, sizeof *items);
    m->features = arena_new(arena, CONTROL_FEATURES, sizeof *m->features);
    m->n_features = CONTROL_FEATURES;
    m->features_index = c->features_index;
    for (int i = 0; i < CONTROL_FEATURES; i++) {
        tern__control__feature_level__init(&items[i]);
        items[i].name = proto_text(control_feature_kind((enum control_feature)i)->name);
        items[i].level = c->features[i];
        m->features[i] = &items[i];
    }
}

void control_snapshot(const struct control *c, struct buf *out)
{
    Tern__Control__Snapshot m;
    struct arena arena = {0};

    tern__control__snapshot__init(&m);
    m.cluster_id = proto_uuid(&c->cluster_id);
    m.cluster_name = proto_text(c->cluster_name);
    m.applied_index = c->applied_index;
    m.next_raft_id = c->next_raft_id;
    m.next_producer_id = c->next_producer_id;
    m.policy_revision = c->policy_revision;
    m.feature_level = c->feature_level;
    m.epoch_floor = control_private(c)->epoch_floor;
    fill_regions(c, &arena, &m);
    fill_nodes(c, &arena, &m);
    fill_topics(c, &arena, &m);
    fill_policies(c, &arena, &m);
    fill_ledger(c, &arena, &m);
    fill_deleted(c, &arena, &m);
    fill_clients(c, &arena, &m);
    fill_quotas(c, &arena, &m);
    fill_features(c, &arena, &m);
    buf_le32(out, c->features_index > 0 ? CONTROL_FORMAT_VERSION : WITHOUT_FEATURES);
    (void)tern__control__snapshot__pack(
        &m, buf_extend(out, tern__control__snapshot__get_packed_size(&m)));
    arena_fini(&arena);
}

uint64_t control_hash(const struct control *control)
{
    struct buf bytes = {0};
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over words, then the tail */

    control_snapshot(control, &bytes);
    size_t at = 0;
    for (; at + 8 <= bytes.len; at += 8) {
        hash = (hash ^ get_le64(bytes.base + at)) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; at < bytes.len; at++) {
        hash = (hash ^ bytes.base[at]) * 0x100000001b3u;
    }
    buf_fini(&bytes);
    return hash;
}

/* ---- restoring ----------------------------------------------------------------------------- */

static bool take_regions(const Tern__Control__Snapshot *m, struct control *c)
{
    bool ok = m->n_regions <= CONTROL_REGIONS_MAX;

    for (size_t i = 0; ok && i < m->n_regions; i++) {
        c->regions[i].witness = m->regions[i]->witness;
        ok = PROTO_TAKE(c->regions[i].name, m->regions[i]->name);
    }
    c->region_count = ok ? (uint32_t)m->n_regions : 0;
    return ok;
}

static bool take_node(const Tern__Control__Node *m, struct control *c)
{
    if (m->id == 0 || m->id >= WIRE_NODES_MAX || c->nodes[m->id].id != 0 ||
        m->region >= c->region_count || m->kafka_port > UINT16_MAX) {
        return false;
    }
    struct control_node *n = &c->nodes[m->id];
    n->id = m->id;
    n->region = m->region;
    n->kafka_port = (uint16_t)m->kafka_port;
    n->incarnation = m->incarnation;
    n->start_number = m->start_number;
    n->raft_id = m->raft_id;
    n->fenced = m->fenced;
    n->full = m->full;
    n->forgot = m->forgot;
    n->removed = m->removed;
    n->registered_index = m->registered_index;
    n->stamp = m->stamp;
    n->stamp_start = m->stamp_start;
    n->level = m->level == 0 && m->start_number != 0 ? 1 : m->level;
    return PROTO_TAKE(n->rack, m->rack) && PROTO_TAKE(n->kafka_host, m->kafka_host) &&
           PROTO_TAKE(n->mesh_address, m->mesh_address) &&
           PROTO_TAKE(n->admin_address, m->admin_address);
}

static bool take_replicas(const Tern__Control__Partition *m, const struct control *c,
                          struct control_partition *p)
{
    if (m->n_replicas > CONTROL_REPLICAS_MAX) {
        return false;
    }
    for (size_t i = 0; i < m->n_replicas; i++) {
        const Tern__Control__Replica *r = m->replicas[i];
        if (r->node == 0 || r->node >= WIRE_NODES_MAX || c->nodes[r->node].id == 0) {
            return false;
        }
        p->replicas[i] = (struct control_replica){
            .node = r->node, .incarnation = r->incarnation, .since = r->since};
    }
    p->replica_count = (uint32_t)m->n_replicas;
    return true;
}

static bool take_partition(const Tern__Control__Partition *m, const struct control *c,
                           struct control_partition *p)
{
    if (!control_config_take(m->config, &p->config) ||
        !control_config_take(m->recover, &p->recover) || m->leader >= WIRE_NODES_MAX ||
        (m->leader != 0 && (p->config.voters & NODE_BIT(m->leader)) == 0)) {
        return false;
    }
    p->epoch = m->epoch;
    p->leader = m->leader;
    p->leader_start = m->leader_start;
    p->lossy = m->lossy;
    p->activated = m->activated;
    p->lossy_start = m->lossy_start;
    p->lossy_epoch = m->lossy_epoch;
    p->assigned_index = m->assigned_index;
    p->target = m->target;
    return control_order_take(m->order, m->n_order, p->order) && take_replicas(m, c, p);
}

static bool take_number(struct topic_configs *configs, const char *name, int64_t value)
{
    char text[24];

    if (value == INT64_MIN) {
        return true;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return topic_configs_put(configs, name, text);
}

/* Version 1 had fields of their own for the three that there were. */
static bool take_configs(const Tern__Control__Topic *m, uint32_t version, struct control_topic *t)
{
    bool ok = m->n_configs <= topic_config_count();

    for (size_t i = 0; ok && i < m->n_configs; i++) {
        ok = topic_configs_put(&t->configs, m->configs[i]->name, m->configs[i]->value);
    }
    if (ok && version == 1) {
        ok = (!m->policy_named ||
              topic_configs_put(&t->configs, TOPIC_CONFIG_POLICY, t->policy.name)) &&
             take_number(&t->configs, "retention.ms", m->own_retention_ms) &&
             take_number(&t->configs, "retention.bytes", m->own_retention_bytes);
    }
    if (ok) {
        t->settings = topic_settings_of(&t->configs);
    }
    return ok;
}

static bool take_topic(const Tern__Control__Topic *m, uint32_t version, struct control *c,
                       size_t *partitions_left)
{
    struct control_topic *t = mem_new(sizeof *t);
    bool ok = proto_take_uuid(m->id, &t->id) && PROTO_TAKE(t->name, m->name) &&
              control_topic_named(c, t->name) == NULL && control_topic_by_id(c, t->id) == NULL &&
              policy_unpack(proto_slice(m->policy), &t->policy) == 0 && m->n_partitions > 0 &&
              m->n_partitions <= CONTROL_PARTITIONS_MAX && m->n_partitions <= *partitions_left;

    if (!ok || !take_configs(m, version, t)) {
        topic_configs_fini(&t->configs);
        free(t);
        return false;
    }
    *partitions_left -= m->n_partitions;
    t->created_index = m->created_index;
    t->partition_count = (uint32_t)m->n_partitions;
    t->partitions = mem_new(m->n_partitions * sizeof *t->partitions);
    control_topic_insert(c, t);
    for (size_t i = 0; ok && i < m->n_partitions; i++) {
        ok = take_partition(m->partitions[i], c, &t->partitions[i]);
    }
    return ok;
}

static bool take_topics(const Tern__Control__Snapshot *m, uint32_t version, struct control *c)
{
    size_t partitions_left = CONTROL_PARTITIONS_TOTAL_MAX;
    bool ok = m->n_topics <= CONTROL_TOPICS_MAX;

    for (size_t i = 0; ok && i < m->n_topics; i++) {
        ok = take_topic(m->topics[i], version, c, &partitions_left);
    }
    return ok;
}

static bool take_policies(const Tern__Control__Snapshot *m, struct control *c)
{
    bool ok = m->n_policies <= CONTROL_POLICIES_MAX;

    if (!ok) {
        return false;
    }
    c->policies = mem_new(m->n_policies * sizeof *c->policies);
    c->policy_count = (uint32_t)m->n_policies;
    for (size_t i = 0; ok && i < m->n_policies; i++) {
        c->policies[i].revision = m->policies[i]->revision;
        c->policies[i].wall_ms = m->policies[i]->wall_ms;
        ok = PROTO_TAKE(c->policies[i].author, m->policies[i]->author) &&
             policy_unpack(proto_slice(m->policies[i]->policy), &c->policies[i].policy) == 0;
    }
    return ok;
}

static bool take_ledger(const Tern__Control__Snapshot *m, struct control *c)
{
    bool ok = m->n_ledger <= CONTROL_LEDGER_MAX;

    if (!ok) {
        return false;
    }
    c->ledger = mem_new(m->n_ledger * sizeof *c->ledger);
    c->ledger_count = (uint32_t)m->n_ledger;
    for (size_t i = 0; ok && i < m->n_ledger; i++) {
        ok = control_ledger_take(m->ledger[i], &c->ledger[i]);
    }
    return ok;
}

static bool take_deleted(const Tern__Control__Snapshot *m, struct control_private *state)
{
    for (size_t i = 0; i < m->n_deleted_names; i++) {
        struct deleted_name *d = mem_new(sizeof *d);
        struct deleted_name *same = NULL;
        bool ok = PROTO_TAKE(d->name, m->deleted_names[i]->name);
        if (ok) {
            HASH_FIND(hh, state->deleted, d->name, strlen(d->name), same);
        }
        if (!ok || same != NULL) {
            free(d);
            return false;
        }
        d->epoch = m->deleted_names[i]->epoch;
        d->index = m->deleted_names[i]->index;
        HASH_ADD_KEYPTR(hh, state->deleted, d->name, strlen(d->name), d);
    }
    return true;
}

static bool take_client(const Tern__Control__DedupClient *m, struct control_private *state)
{
    struct dedup_client *c;
    struct dedup_client *same;
    struct uuid id;

    if (!proto_take_uuid(m->client, &id) || m->n_results > DEDUP_RESULTS_MAX) {
        return false;
    }
    HASH_FIND(hh, state->clients, &id, sizeof id, same);
    if (same != NULL) {
        return false;
    }
    c = mem_new(sizeof *c);
    c->id = id;
    c->dropped_seq = m->dropped_seq;
    c->last_index = m->last_index;
    c->count = (uint32_t)m->n_results;
    HASH_ADD(hh, state->clients, id, sizeof c->id, c);
    for (size_t i = 0; i < m->n_results; i++) {
        c->results[i].seq = m->results[i]->seq;
        c->results[i].index = m->results[i]->index;
        buf_put(&c->results[i].packed, proto_slice(m->results[i]->result));
    }
    return true;
}

static bool take_quotas(const Tern__Control__Snapshot *m, struct control *c)
{
    bool remove[QUOTA_KEYS] = {false};
    bool ok = m->n_quotas <= CONTROL_QUOTAS_MAX;

    if (!ok) {
        return false;
    }
    c->quotas = mem_new((m->n_quotas + 1) * sizeof *c->quotas);
    c->quota_count = (uint32_t)m->n_quotas;
    for (size_t i = 0; ok && i < m->n_quotas; i++) {
        ok = control_quota_take(m->quotas[i], &c->quotas[i], remove);
    }
    return ok;
}

static bool take_features(const Tern__Control__Snapshot *m, struct control *c)
{
    bool ok = true;

    for (size_t i = 0; ok && i < m->n_features; i++) {
        int feature = control_feature_named(slice_text(m->features[i]->name));
        ok = feature >= 0 &&
             control_feature_fits((enum control_feature)feature, m->features[i]->level);
        if (ok) {
            c->features[feature] = (int16_t)m->features[i]->level;
        }
    }
    c->features_index = m->features_index;
    return ok;
}

static bool take_all(const Tern__Control__Snapshot *m, uint32_t version, struct control *c)
{
    struct control_private *state = control_private(c);
    bool ok = proto_take_uuid(m->cluster_id, &c->cluster_id) &&
              PROTO_TAKE(c->cluster_name, m->cluster_name) && take_regions(m, c) &&
              m->n_clients <= DEDUP_CLIENTS_MAX && m->n_deleted_names <= DELETED_NAMES_MAX;

    for (size_t i = 0; ok && i < m->n_nodes; i++) {
        ok = take_node(m->nodes[i], c);
    }
    ok = ok && take_topics(m, version, c) && take_policies(m, c) && take_ledger(m, c) &&
         take_deleted(m, state) && take_quotas(m, c) && take_features(m, c);
    for (size_t i = 0; ok && i < m->n_clients; i++) {
        ok = take_client(m->clients[i], state);
    }
    c->applied_index = m->applied_index;
    c->next_raft_id = m->next_raft_id;
    c->next_producer_id = m->next_producer_id;
    c->policy_revision = m->policy_revision;
    c->feature_level = m->feature_level;
    state->epoch_floor = m->epoch_floor;
    return ok;
}

uint32_t control_snapshot_version(struct slice snapshot)
{
    return snapshot.len >= 4 ? get_le32(snapshot.base) : 0;
}

int control_restore(struct control *control, struct slice snapshot)
{
    struct capped_alloc cap;
    ProtobufCAllocator alloc = capped_alloc_init(&cap, UNPACK_BYTES_MAX);

    if (snapshot.len < 4) {
        return TERN_EMALFORMED;
    }
    uint32_t version = control_snapshot_version(snapshot);
    if (version == 0 || version > CONTROL_FORMAT_VERSION) {
        return TERN_EFORMAT;
    }
    Tern__Control__Snapshot *m =
        tern__control__snapshot__unpack(&alloc, snapshot.len - 4, snapshot.base + 4);
    if (m == NULL) {
        return TERN_EMALFORMED;
    }
    if (m->feature_level > control->level_known) {
        tern__control__snapshot__free_unpacked(m, &alloc);
        return TERN_EFORMAT;
    }
    struct control *fresh = control_new();
    fresh->level_known = control->level_known;
    bool ok = take_all(m, version, fresh);
    tern__control__snapshot__free_unpacked(m, &alloc);
    if (!ok) {
        control_free(fresh);
        return TERN_EMALFORMED;
    }
    /* The callers keep their pointer to the struct; what is inside changes places. */
    struct control old = *control;
    *control = *fresh;
    *fresh = old;
    control_free(fresh);
    return 0;
}
