/* SPDX-License-Identifier: Apache-2.0 */
/* Client quotas: kept here, enforced by each node for what it serves itself. */
#include "control/internal.h"

static bool is_of(const struct quota_entity *e, unsigned kinds, unsigned everybody,
                  const struct slice names[QUOTA_NAMES])
{
    if (e->kinds != kinds || (e->everybody & kinds) != everybody) {
        return false;
    }
    for (int n = 0; n < QUOTA_NAMES; n++) {
        if ((kinds & ~everybody & 1u << n) != 0 &&
            !slice_equal(slice_text(e->names[n]), names[n])) {
            return false;
        }
    }
    return true;
}

static struct control_quota *find(const struct control *control, unsigned kinds, unsigned everybody,
                                  const struct slice names[QUOTA_NAMES])
{
    for (uint32_t i = 0; i < control->quota_count; i++) {
        if (is_of(&control->quotas[i].entity, kinds, everybody, names)) {
            return &control->quotas[i];
        }
    }
    return NULL;
}

#define CLIENT (1u << QUOTA_CLIENT)
#define USER   (1u << QUOTA_USER)
#define IP     (1u << QUOTA_IP)

const struct control_quota *control_quota(const struct control *control, struct slice user,
                                          struct slice client_id, enum control_quota_key key)
{
    static const struct {
        unsigned kinds;
        unsigned everybody;
    } order[] = {{USER | CLIENT, 0},
                 {USER | CLIENT, CLIENT},
                 {USER, 0},
                 {USER | CLIENT, USER},
                 {USER | CLIENT, USER | CLIENT},
                 {USER, USER},
                 {CLIENT, 0},
                 {CLIENT, CLIENT}};
    struct slice names[QUOTA_NAMES] = {[QUOTA_CLIENT] = client_id, [QUOTA_USER] = user};

    for (size_t i = 0; i < ARRAY_COUNT(order) && control->quota_count > 0; i++) {
        const struct control_quota *q = find(control, order[i].kinds, order[i].everybody, names);
        if (q != NULL && q->has[key]) {
            return q;
        }
    }
    return NULL;
}

const struct control_quota *control_ip_quota(const struct control *control, struct slice ip,
                                             enum control_quota_key key)
{
    struct slice names[QUOTA_NAMES] = {[QUOTA_IP] = ip};
    const struct control_quota *own = find(control, IP, 0, names);
    const struct control_quota *q =
        own != NULL && own->has[key] ? own : find(control, IP, IP, names);

    return q != NULL && q->has[key] ? q : NULL;
}

static bool is_empty(const struct control_quota *q)
{
    for (int key = 0; key < QUOTA_KEYS; key++) {
        if (q->has[key]) {
            return false;
        }
    }
    return true;
}

void apply_set_quota(struct apply *a, const struct command *command)
{
    struct control *control = a->control;
    const struct control_quota *changes = &command->as.quota.changes;
    const struct quota_entity *e = &changes->entity;
    struct slice names[QUOTA_NAMES];
    bool alone = e->kinds == CLIENT || e->kinds == USER || e->kinds == IP;

    if (!alone && e->kinds != (USER | CLIENT)) {
        (void)apply_refuse(a, TERN_EINVALIDREQUEST, "there are no quotas of these together");
        return;
    }
    if (e->kinds != CLIENT && control->feature_level < 2) {
        (void)apply_refuse(a, TERN_EUNSUPPORTED,
                           "quotas of users and addresses need feature level 2 on all nodes");
        return;
    }
    for (int n = 0; n < QUOTA_NAMES; n++) {
        names[n] = slice_text(e->names[n]);
    }
    struct control_quota *q = find(control, e->kinds, e->everybody & e->kinds, names);
    if (q == NULL && control->quota_count == CONTROL_QUOTAS_MAX) {
        (void)apply_refuse(a, TERN_EINVALIDREQUEST, "a cluster has at most %d client quotas",
                           CONTROL_QUOTAS_MAX);
        return;
    }
    if (q == NULL) {
        control->quotas =
            mem_grow(control->quotas, control->quota_count + 1, sizeof *control->quotas);
        q = &control->quotas[control->quota_count++];
        memset(q, 0, sizeof *q);
        q->entity = changes->entity;
    }
    for (int key = 0; key < QUOTA_KEYS; key++) {
        if (changes->has[key]) {
            q->has[key] = !command->as.quota.remove[key];
            q->values[key] = q->has[key] ? changes->values[key] : 0;
        }
    }
    if (is_empty(q)) {
        uint32_t at = (uint32_t)(q - control->quotas);
        control->quota_count--;
        memmove(q, q + 1, (control->quota_count - at) * sizeof *q);
    }
}
