/* SPDX-License-Identifier: Apache-2.0 */
/* Topics and the policies that they fall under. */
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
    free(topic->partitions);
    free(topic);
}

/* ---- which policy -------------------------------------------------------------------------- */

static struct control_policy *policy_named(const struct control *control, const char *name)
{
    for (uint32_t i = 0; i < control->policy_count; i++) {
        if (strcmp(control->policies[i].policy.name, name) == 0) {
            return &control->policies[i];
        }
    }
    return NULL;
}

/* What tern keeps for itself must not fall under a policy by chance: only one that names it. */
static const struct policy *names_exactly(const struct policy *policies, size_t count,
                                          const char *topic)
{
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < policies[i].pattern_count; k++) {
            if (strcmp(policies[i].patterns[k], topic) == 0) {
                return &policies[i];
            }
        }
    }
    return NULL;
}

/* By name where one is given; else by pattern, else the policy called "default", else our own.
 * NULL: there is none of that name. */
static const struct policy *find_policy(const struct policy *policies, size_t count,
                                        const char *topic, const char *named)
{
    static _Thread_local struct policy fallback;
    const struct policy *match = named == NULL ? policy_match(policies, count, topic) : NULL;
    const char *wanted = named != NULL ? named : "default";

    if (named == NULL && control_topic_internal(topic)) {
        match = names_exactly(policies, count, topic);
        count = 0; /* else our own */
    }
    for (size_t i = 0; match == NULL && i < count; i++) {
        match = strcmp(policies[i].name, wanted) == 0 ? &policies[i] : NULL;
    }
    if (match == NULL && strcmp(wanted, "default") == 0) {
        fallback = policy_default();
        match = &fallback;
    }
    return match;
}

/* Copies of all documents with room for one more; free() it. */
static struct policy *documents(const struct control *control)
{
    struct policy *copies = mem_new((control->policy_count + 1) * sizeof *copies);

    for (uint32_t i = 0; i < control->policy_count; i++) {
        copies[i] = control->policies[i].policy;
    }
    return copies;
}

static void apply_own_retention(struct policy *policy, int64_t retention_ms,
                                int64_t retention_bytes)
{
    if (retention_ms != INT64_MIN) {
        policy->retention_ms = retention_ms;
    }
    if (retention_bytes != INT64_MIN) {
        policy->retention_bytes = retention_bytes;
    }
}

/* The effective policy of a topic under these documents. */
static struct policy effective(const struct control_topic *topic, const struct policy *policies,
                               size_t count)
{
    const struct policy *found =
        find_policy(policies, count, topic->name, topic->policy_named ? topic->policy.name : NULL);
    struct policy policy = found != NULL ? *found : topic->policy;

    apply_own_retention(&policy, topic->own_retention_ms, topic->own_retention_bytes);
    return policy;
}

static bool policy_same(const struct policy *a, const struct policy *b)
{
    struct buf packed_a = {0};
    struct buf packed_b = {0};

    policy_pack(a, &packed_a);
    policy_pack(b, &packed_b);
    bool same = slice_equal(buf_slice(&packed_a), buf_slice(&packed_b));
    buf_fini(&packed_a);
    buf_fini(&packed_b);
    return same;
}

/* ---- topics -------------------------------------------------------------------------------- */

static bool name_allowed(const char *name)
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

static void first_epoch(struct apply *a, struct control_topic *topic, int32_t partition,
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

static int place_all(struct apply *a, const struct policy *policy, uint32_t partitions,
                     struct control_config *out)
{
    uint32_t load[WIRE_NODES_MAX];
    char why[256] = "";

    control_count_load(a->control, load);
    for (uint32_t i = 0; i < partitions; i++) {
        int error = control_place(a->control, policy, load, &out[i], why);
        if (error != 0) {
            return apply_refuse(a, error, "%s", why);
        }
    }
    return 0;
}

/* Within what a snapshot may hold? */
static bool room_for(struct apply *a, uint32_t partitions)
{
    size_t total = partitions;

    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        total += t->partition_count;
    }
    if (HASH_CNT(by_name, a->control->by_name) >= CONTROL_TOPICS_MAX ||
        total > CONTROL_PARTITIONS_TOTAL_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS,
                           "the cluster would have more than %d topics or %d partitions",
                           CONTROL_TOPICS_MAX, CONTROL_PARTITIONS_TOTAL_MAX);
        return false;
    }
    return true;
}

static void make_topic(struct apply *a, const struct command *command, const struct policy *policy,
                       uint32_t partitions, const struct control_config *configs)
{
    struct control_topic *topic = mem_new(sizeof *topic);
    int32_t last = last_epoch(a->control, command->as.create.name);

    topic->id = command->as.create.topic_id;
    memcpy(topic->name, command->as.create.name, sizeof topic->name);
    topic->policy = *policy;
    topic->policy_named = command->as.create.policy[0] != '\0';
    topic->own_retention_ms = command->as.create.retention_ms;
    topic->own_retention_bytes = command->as.create.retention_bytes;
    topic->created_index = a->index;
    topic->partition_count = partitions;
    topic->partitions = mem_new(partitions * sizeof *topic->partitions);
    apply_count_leads(a);
    control_topic_insert(a->control, topic);
    apply_change(a, (struct control_change){
                        .kind = CONTROL_TOPIC_CREATED, .topic_id = topic->id, .partition = -1});
    a->leads[0] += partitions;
    for (uint32_t i = 0; i < partitions; i++) {
        first_epoch(a, topic, (int32_t)i, configs[i], last);
    }
    forget_deleted(a->control, topic->name);
    a->result->topic_id = topic->id;
    a->result->partitions = partitions;
}

void apply_create_topic(struct apply *a, const struct command *command)
{
    const char *name = command->as.create.name;
    const char *named = command->as.create.policy[0] != '\0' ? command->as.create.policy : NULL;
    int32_t wanted = command->as.create.partitions;

    if (!name_allowed(name)) {
        (void)apply_refuse(a, TERN_EINVALIDTOPIC, "the topic name may have letters, digits, . _ -");
        return;
    }
    if (control_topic_named(a->control, name) != NULL) {
        (void)apply_refuse(a, TERN_EEXIST, "topic %s exists already", name);
        return;
    }
    if (uuid_is_zero(command->as.create.topic_id) ||
        control_topic_by_id(a->control, command->as.create.topic_id) != NULL) {
        (void)apply_refuse(a, TERN_EREFUSED, "the topic id is not a new one");
        return;
    }
    struct policy *all = documents(a->control);
    const struct policy *found = find_policy(all, a->control->policy_count, name, named);
    if (found == NULL) {
        (void)apply_refuse(a, TERN_EPOLICY, "there is no policy called %s", named);
        free(all);
        return;
    }
    struct policy policy = *found;
    free(all);
    apply_own_retention(&policy, command->as.create.retention_ms,
                        command->as.create.retention_bytes);
    uint32_t partitions = wanted == -1 ? (policy.partitions > 0 ? policy.partitions : 1)
                          : wanted > 0 ? (uint32_t)wanted
                                       : 0;
    if (partitions == 0 || partitions > CONTROL_PARTITIONS_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDPARTITIONS, "a topic has 1 to %d partitions",
                           CONTROL_PARTITIONS_MAX);
        return;
    }
    if (!room_for(a, partitions)) {
        return;
    }
    struct control_config *configs = mem_new(partitions * sizeof *configs);
    if (place_all(a, &policy, partitions, configs) == 0) {
        make_topic(a, command, &policy, partitions, configs);
    }
    free(configs);
}

void apply_delete_topic(struct apply *a, const char *name)
{
    struct control_topic *topic = control_topic_named(a->control, name);

    if (topic == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no topic %s", name);
        return;
    }
    if (control_topic_internal(name)) {
        (void)apply_refuse(a, TERN_EINVALIDTOPIC, "consumer groups are kept in %s", name);
        return;
    }
    apply_change(a, (struct control_change){
                        .kind = CONTROL_TOPIC_DELETED, .topic_id = topic->id, .partition = -1});
    a->result->topic_id = topic->id;
    remember_epoch(a, topic);
    control_topic_free(a->control, topic);
}

/* ---- policies ------------------------------------------------------------------------------ */

static bool satisfiable(struct apply *a, const struct policy *policy)
{
    char names[CONTROL_REGIONS_MAX][WIRE_NAME_MAX];
    uint32_t nodes[CONTROL_REGIONS_MAX];
    char why[256] = "";
    uint32_t count = control_data_regions(a->control, names, nodes);
    int error = policy_satisfiable(policy, (const char(*)[WIRE_NAME_MAX])names, nodes, count, why);

    if (error != 0) {
        (void)apply_refuse(a, error, "%s", why);
    }
    return error == 0;
}

static bool no_overlap(struct apply *a, const struct policy *all, size_t count)
{
    struct policy_set set = {.count = count};

    set.policies = mem_new(count * sizeof *set.policies);
    memcpy(set.policies, all, count * sizeof *all);
    policy_set_check(&set);
    bool ok = set.problem_count == 0;
    if (!ok) {
        (void)apply_refuse(a, TERN_EREFUSED, "%s", set.problems[0].message);
    }
    policy_set_fini(&set);
    return ok;
}

/* Was it said of this document that it may promise less? */
static bool confirmed(const struct put_policy *items, size_t item_count, const char *name)
{
    for (size_t i = 0; i < item_count; i++) {
        if (items[i].weaken_confirmed && strcmp(items[i].policy.name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Would a critical promise of any topic become weaker under these documents, and neither the one
 * that it comes from nor the one that it comes under was confirmed? */
static bool keeps_promises(struct apply *a, const struct policy *all, size_t count,
                           const struct put_policy *items, size_t item_count)
{
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        struct policy next = effective(t, all, count);
        char why[256];
        if (t->policy.critical && policy_weakens(&t->policy, &next, why) &&
            !confirmed(items, item_count, next.name) &&
            !confirmed(items, item_count, t->policy.name)) {
            (void)apply_refuse(a, TERN_EREFUSED, "topic %.60s is critical: %.120s", t->name, why);
            return false;
        }
    }
    return true;
}

static bool gives_up_home(const struct policy *policy)
{
    return policy->mode == POLICY_ASYNC && policy->failover == POLICY_FAILOVER_AUTO;
}

/* A leader that cannot be told that its home may be given up would go on acknowledging without a
 * lease: so failover: auto begins only while all leaders are there. */
static bool leaders_can_be_told(struct apply *a, const struct policy *all, size_t count)
{
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        struct policy next = effective(t, all, count);
        if (!gives_up_home(&next) || gives_up_home(&t->policy)) {
            continue;
        }
        for (uint32_t i = 0; i < t->partition_count; i++) {
            uint32_t leader = t->partitions[i].leader;
            if (leader != 0 && a->control->nodes[leader].fenced) {
                (void)apply_refuse(a, TERN_EREFUSED,
                                   "node %u leads %.100s and cannot be reached: it could not be "
                                   "told of failover auto",
                                   leader, t->name);
                return false;
            }
        }
    }
    return true;
}

/* Every topic takes the policy that it falls under now. What its replicas must become follows by
 * new configs, which the controller proposes. */
static void reevaluate(struct apply *a)
{
    struct policy *all = documents(a->control);

    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        t->policy = effective(t, all, a->control->policy_count);
    }
    free(all);
    apply_change(a, (struct control_change){.kind = CONTROL_POLICY});
}

/* What one document says on its own. */
static bool document_allowed(struct apply *a, const struct put_policy *item)
{
    const struct policy *policy = &item->policy;
    const struct control_policy *old = policy_named(a->control, policy->name);
    char why[256];

    if (!policy_coherent(policy, why)) {
        (void)apply_refuse(a, TERN_EPOLICY, "policy %s: %.180s", policy->name, why);
        return false;
    }
    if (!satisfiable(a, policy)) {
        return false;
    }
    if (!item->weaken_confirmed && old != NULL && old->policy.critical &&
        policy_weakens(&old->policy, policy, why)) {
        (void)apply_refuse(a, TERN_EREFUSED, "policy %s is critical: %.150s", policy->name, why);
        return false;
    }
    return true;
}

/* All documents as they would be then. */
static bool together_allowed(struct apply *a, const struct policy *all, size_t count,
                             const struct put_policy *items, size_t item_count)
{
    if (count > CONTROL_POLICIES_MAX) {
        (void)apply_refuse(a, TERN_EREFUSED, "a cluster has at most %d policies",
                           CONTROL_POLICIES_MAX);
        return false;
    }
    return no_overlap(a, all, count) && keeps_promises(a, all, count, items, item_count) &&
           leaders_can_be_told(a, all, count);
}

static void put_one(struct control *control, const struct put_policy *item)
{
    struct control_policy *slot = policy_named(control, item->policy.name);

    if (slot == NULL) {
        control->policies =
            mem_grow(control->policies, control->policy_count + 1, sizeof *control->policies);
        slot = &control->policies[control->policy_count++];
    }
    memset(slot, 0, sizeof *slot);
    slot->policy = item->policy;
    slot->revision = ++control->policy_revision;
    slot->wall_ms = item->wall_ms;
    memcpy(slot->author, item->author, sizeof slot->author);
}

static bool is_same(const struct control *control, const struct put_policy *item)
{
    const struct control_policy *old = policy_named(control, item->policy.name);

    return old != NULL && policy_same(&old->policy, &item->policy);
}

void apply_put_policies(struct apply *a, const struct put_policy *items, size_t count)
{
    struct control *control = a->control;
    struct policy *all = mem_new((control->policy_count + count) * sizeof *all);
    size_t all_count = control->policy_count;
    size_t changed = 0;
    bool ok = true;

    for (uint32_t i = 0; i < control->policy_count; i++) {
        all[i] = control->policies[i].policy;
    }
    for (size_t i = 0; ok && i < count; i++) {
        size_t at = 0;
        if (is_same(control, &items[i])) {
            continue; /* applying the same file again is no change */
        }
        ok = document_allowed(a, &items[i]);
        while (at < all_count && strcmp(all[at].name, items[i].policy.name) != 0) {
            at++;
        }
        all[at] = items[i].policy;
        all_count += at == all_count;
        changed++;
    }
    ok = ok && changed > 0 && together_allowed(a, all, all_count, items, count);
    free(all);
    if (!ok) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_same(control, &items[i])) {
            put_one(control, &items[i]);
        }
    }
    reevaluate(a);
}

void apply_remove_policy(struct apply *a, const char *name)
{
    struct control *control = a->control;
    struct control_policy *slot = policy_named(control, name);

    if (slot == NULL) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no policy called %s", name);
        return;
    }
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        if (t->policy_named && strcmp(t->policy.name, name) == 0) {
            (void)apply_refuse(a, TERN_EREFUSED, "topic %.150s was made with policy %.60s", t->name,
                               name);
            return;
        }
    }
    uint32_t at = (uint32_t)(slot - control->policies);
    struct policy *rest = documents(control);
    memmove(&rest[at], &rest[at + 1], (control->policy_count - at - 1) * sizeof *rest);
    bool ok = keeps_promises(a, rest, control->policy_count - 1, NULL, 0) &&
              leaders_can_be_told(a, rest, control->policy_count - 1);
    free(rest);
    if (!ok) {
        return;
    }
    control->policy_count--;
    memmove(slot, slot + 1, (control->policy_count - at) * sizeof *slot);
    control->policy_revision++;
    reevaluate(a);
}
