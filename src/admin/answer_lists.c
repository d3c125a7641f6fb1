/* SPDX-License-Identifier: Apache-2.0 */
/* Policies, ledger, quarantine. */
#include <stdio.h>
#include <string.h>

#include "admin/inner.h"

int answer_policies(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                    char why[ADMIN_WHY])
{
    const struct control *control = node_control(admin->options.node);
    Tern__Admin__Policies *message = pool_new(pool, sizeof *message);

    tern__admin__policies__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->revision = control->policy_revision;
    message->policies = pool_new(pool, (control->policy_count + 1) * sizeof(*message->policies));
    for (uint32_t n = 0; n < control->policy_count; n++) {
        const struct control_policy *policy = &control->policies[n];
        Tern__Admin__Policies__Policy *item = pool_new(pool, sizeof *item);
        struct buf packed = {0};

        if (ask->name[0] != '\0' && strcmp(ask->name, policy->policy.name) != 0) {
            continue;
        }
        tern__admin__policies__policy__init(item);
        policy_pack(&policy->policy, &packed);
        item->policy = pool_bytes(pool, buf_slice(&packed));
        buf_fini(&packed);
        item->revision = policy->revision;
        item->author = pool_text(pool, policy->author);
        item->wall_ms = policy->wall_ms;
        for (const struct control_topic *topic = control->by_name; topic != NULL;
             topic = topic->by_name.next) {
            item->topics += strcmp(topic->policy.name, policy->policy.name) == 0 ? 1 : 0;
        }
        message->policies[message->n_policies++] = item;
    }
    if (ask->name[0] != '\0' && message->n_policies == 0) {
        (void)snprintf(why, ADMIN_WHY, "there is no policy %.64s: see tern policy show", ask->name);
        return TERN_ENOENT;
    }
    pack_into(out, &message->base);
    return 0;
}

static const char *ledger_kind_name(enum control_ledger_kind kind)
{
    switch (kind) {
    case LEDGER_DEGRADED:
        return "degraded";
    case LEDGER_RPO_BREACHED:
        return "rpo_breached";
    case LEDGER_EXPOSED:
        return "exposed";
    }
    return "unknown";
}

int answer_ledger(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                  char why[ADMIN_WHY])
{
    const struct control *control = node_control(admin->options.node);
    Tern__Admin__Ledger *message = pool_new(pool, sizeof *message);

    (void)why;
    tern__admin__ledger__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->entries = pool_new(pool, (control->ledger_count + 1) * sizeof(*message->entries));
    for (uint32_t n = 0; n < control->ledger_count; n++) {
        const struct control_ledger_entry *entry = &control->ledger[n];
        Tern__Admin__Ledger__Entry *item = pool_new(pool, sizeof *item);

        if (ask->name[0] != '\0' && strcmp(ask->name, entry->topic) != 0) {
            continue;
        }
        tern__admin__ledger__entry__init(item);
        item->kind = pool_text(pool, ledger_kind_name(entry->kind));
        item->topic = pool_text(pool, entry->topic);
        item->partition = entry->partition;
        item->first_offset = entry->first_offset;
        item->end_offset = entry->end_offset;
        item->bytes = entry->bytes;
        item->millis = entry->millis;
        item->since_wall_ms = entry->since_wall_ms;
        item->until_wall_ms = entry->until_wall_ms;
        item->decided_by = pool_text(pool, entry->decided_by);
        item->note = pool_text(pool, entry->note);
        item->index = entry->index;
        message->entries[message->n_entries++] = item;
    }
    pack_into(out, &message->base);
    return 0;
}

struct quarantine_fill {
    struct pool *pool;
    const struct control *control;
    const char *name;
    Tern__Admin__Quarantine *message;
    size_t cap;
};

static void fill_quarantined(void *ctx, const struct store_quarantined *q)
{
    struct quarantine_fill *fill = ctx;
    const struct control_topic *topic = control_topic_by_id(fill->control, q->topic_id);
    const char *name = topic != NULL ? topic->name : "";
    Tern__Admin__Quarantine *message = fill->message;
    Tern__Admin__Quarantine__Entry *item;

    if (fill->name[0] != '\0' && strcmp(fill->name, name) != 0) {
        return;
    }
    if (message->n_entries == fill->cap) {
        fill->cap = fill->cap > 0 ? 2 * fill->cap : 16;
        message->entries = mem_grow(message->entries, fill->cap, sizeof(*message->entries));
    }
    item = pool_new(fill->pool, sizeof *item);
    tern__admin__quarantine__entry__init(item);
    item->topic = pool_text(fill->pool, name);
    item->topic_id = pool_bytes(fill->pool, slice_of(q->topic_id.bytes, 16));
    item->partition = q->partition;
    item->first_epoch = q->first_epoch;
    item->last_epoch = q->last_epoch;
    item->first_offset = q->first_offset;
    item->end_offset = q->end_offset;
    item->records = q->records;
    item->bytes = q->bytes;
    item->wall_ms = q->wall_ms;
    item->path = pool_text(fill->pool, q->path);
    message->entries[message->n_entries++] = item;
}

int answer_quarantine(struct admin *admin, const struct ask *ask, struct pool *pool,
                      struct buf *out, char why[ADMIN_WHY])
{
    struct node *node = admin->options.node;
    Tern__Admin__Quarantine *message = pool_new(pool, sizeof *message);
    struct quarantine_fill fill = {pool, node_control(node), ask->name, message, 0};

    (void)why;
    tern__admin__quarantine__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->node_id = node_settings(node)->node_id;
    message->region = pool_text(pool, node_settings(node)->region);
    if (node_store(node) != NULL) {
        store_quarantine_each(node_store(node), fill_quarantined, &fill);
    }
    pack_into(out, &message->base);
    free(message->entries);
    return 0;
}
