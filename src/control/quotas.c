/* SPDX-License-Identifier: Apache-2.0 */
/* Client quotas: kept here, enforced by each node for what it serves itself. */
#include "control/internal.h"

static struct control_quota *find(const struct control *control, bool everybody,
                                  struct slice client_id)
{
    for (uint32_t i = 0; i < control->quota_count; i++) {
        struct control_quota *q = &control->quotas[i];
        if (q->everybody == everybody &&
            (everybody || slice_equal(slice_text(q->client_id), client_id))) {
            return q;
        }
    }
    return NULL;
}

bool control_quota(const struct control *control, struct slice client_id,
                   enum control_quota_key key, double *out_value)
{
    for (int own = 1; own >= 0 && control->quota_count > 0; own--) {
        const struct control_quota *q = find(control, own == 0, client_id);
        if (q != NULL && q->has[key]) {
            *out_value = q->values[key];
            return true;
        }
    }
    return false;
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
    struct control_quota *q = find(control, changes->everybody, slice_text(changes->client_id));

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
        q->everybody = changes->everybody;
        memcpy(q->client_id, changes->client_id, sizeof q->client_id);
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
