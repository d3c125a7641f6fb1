/* SPDX-License-Identifier: Apache-2.0 */
/* The policy documents, and which topic falls under which. */
#include <stdio.h>

#include "control/internal.h"

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

/* What the configs say otherwise. min.insync.replicas only ever asks for more regions. */
static void apply_own(struct policy *policy, const struct topic_configs *configs)
{
    int64_t regions = topic_configs_number(configs, "min.insync.replicas", 0);
    int64_t bytes = topic_configs_number(configs, "max.message.bytes", -1);

    policy->retention_ms = topic_configs_number(configs, "retention.ms", policy->retention_ms);
    policy->retention_bytes =
        topic_configs_number(configs, "retention.bytes", policy->retention_bytes);
    policy->max_message_bytes = bytes >= 0 ? (uint64_t)bytes : policy->max_message_bytes;
    if (policy->mode == POLICY_SYNC && regions > (int64_t)policy->ack) {
        policy->ack = (uint32_t)regions;
    }
}

static bool effective_under(const struct policy *policies, size_t count, const char *topic,
                            const struct topic_configs *configs, struct policy *out)
{
    const struct policy *found =
        find_policy(policies, count, topic, topic_configs_get(configs, TOPIC_CONFIG_POLICY));

    if (found == NULL) {
        return false;
    }
    *out = *found;
    apply_own(out, configs);
    return true;
}

/* The effective policy of a topic under these documents. */
static struct policy effective(const struct control_topic *topic, const struct policy *policies,
                               size_t count)
{
    struct policy policy;

    if (!effective_under(policies, count, topic->name, &topic->configs, &policy)) {
        policy = topic->policy;
    }
    return policy;
}

bool policy_effective(const struct control *control, const char *topic,
                      const struct topic_configs *configs, struct policy *out)
{
    struct policy *all = documents(control);
    bool found = effective_under(all, control->policy_count, topic, configs, out);

    free(all);
    return found;
}

struct policy control_topic_document(const struct control *control,
                                     const struct control_topic *topic)
{
    struct topic_configs none = {0};
    const char *named = topic_configs_get(&topic->configs, TOPIC_CONFIG_POLICY);
    struct policy policy;
    bool found = (named == NULL || topic_configs_put(&none, TOPIC_CONFIG_POLICY, named)) &&
                 policy_effective(control, topic->name, &none, &policy);

    topic_configs_fini(&none);
    return found ? policy : topic->policy;
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

/* ---- policies ------------------------------------------------------------------------------ */

bool policy_satisfiable_here(struct apply *a, const struct policy *policy)
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
bool policy_can_be_told(struct apply *a, const struct control_topic *t, const struct policy *next)
{
    if (!gives_up_home(next) || gives_up_home(&t->policy)) {
        return true;
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
    return true;
}

static bool leaders_can_be_told(struct apply *a, const struct policy *all, size_t count)
{
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        struct policy next = effective(t, all, count);
        if (!policy_can_be_told(a, t, &next)) {
            return false;
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
    if (!policy_satisfiable_here(a, policy)) {
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
        const char *named = topic_configs_get(&t->configs, TOPIC_CONFIG_POLICY);
        if (named != NULL && strcmp(named, name) == 0) {
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
