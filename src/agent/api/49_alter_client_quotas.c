/* SPDX-License-Identifier: Apache-2.0 */
/* AlterClientQuotas: one command for each entity: a user, a client id, both, or an address. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

/* NULL, or what is wrong. */
static const char *take_entity(const struct kafka_alter_client_quotas_request_entry *in,
                               struct quota_entity *out)
{
    *out = (struct quota_entity){0};
    for (uint32_t i = 0; i < in->entity_count; i++) {
        const struct slice name = in->entity[i].name;
        int kind = quota_kind_of(in->entity[i].type);
        if (kind < 0) {
            return "Unhandled client quota entity type";
        }
        if ((out->kinds & 1u << kind) != 0) {
            return "Duplicate client quota entity type";
        }
        out->kinds |= (uint8_t)(1u << kind);
        if (name.base == NULL) {
            out->everybody |= (uint8_t)(1u << kind);
        } else if (name.len == 0 ||
                   !slice_to_text(name, out->names[kind], sizeof out->names[kind])) {
            return "the name of an entity has 1 to 249 bytes";
        }
    }
    if (out->kinds == 0) {
        return "Invalid empty client quota entity";
    }
    bool with_ip = (out->kinds & 1u << QUOTA_IP) != 0 && out->kinds != 1u << QUOTA_IP;
    return with_ip ? "Invalid entity combination: an ip has no user and no client-id" : NULL;
}

static bool key_allowed(const struct quota_entity *entity, enum control_quota_key key)
{
    return (key == QUOTA_CONNECT) == ((entity->kinds & 1u << QUOTA_IP) != 0);
}

static bool is_whole(double value)
{
    return value < 9e15 && value == (double)(int64_t)value;
}

static int key_of(struct slice name)
{
    for (int key = 0; key < QUOTA_KEYS; key++) {
        if (slice_equal(name, slice_text(quota_key_name((enum control_quota_key)key)))) {
            return key;
        }
    }
    return -1;
}

/* NULL, or what is wrong. */
static const char *take_ops(const struct kafka_alter_client_quotas_request_entry *in,
                            const struct quota_entity *entity,
                            struct command_quota values[QUOTA_KEYS])
{
    unsigned seen = 0;

    for (uint32_t i = 0; i < in->ops_count; i++) {
        int key = key_of(in->ops[i].key);
        if (key < 0 || !key_allowed(entity, (enum control_quota_key)key)) {
            return "Invalid configuration key";
        }
        if ((seen & 1u << key) != 0) {
            return "a quota key is named twice";
        }
        seen |= 1u << key;
        values[i].key = (enum control_quota_key)key;
        values[i].remove = in->ops[i].remove;
        memcpy(&values[i].value, &in->ops[i].bits, sizeof values[i].value);
        bool whole = key != QUOTA_REQUEST && key != QUOTA_MUTATION;
        if (!values[i].remove && !(values[i].value > 0 && values[i].value < 1e18)) {
            return "Quota must be a positive number";
        }
        if (!values[i].remove && whole && !is_whole(values[i].value)) {
            return "Quota must be a whole number";
        }
    }
    return NULL;
}

static void alter(struct request *rq, const struct kafka_alter_client_quotas_request_entry *in,
                  struct outcome *out)
{
    const struct kafka_alter_client_quotas_request *m = rq->message;
    struct command_quota values[QUOTA_KEYS];
    struct quota_entity entity;
    struct buf command = {0};
    const char *fault = take_entity(in, &entity);

    fault = fault != NULL ? fault : take_ops(in, &entity, values);
    if (fault != NULL) {
        outcome_refuse(rq, out, TERN_EINVALIDREQUEST, fault);
        return;
    }
    if (m->validate_only) {
        return;
    }
    command_set_quota(&command, node_next_key(rq->node), &entity, values, in->ops_count);
    proposals_add(rq, &command, 30000, outcome_applied, out);
}

void api_alter_client_quotas(struct request *rq)
{
    const struct kafka_alter_client_quotas_request *m = rq->message;
    struct kafka_alter_client_quotas_response *response = arena_take(&rq->arena, sizeof *response);

    kafka_alter_client_quotas_response_init(response);
    response->entries = kafka_alter_client_quotas_response_entry_new(&rq->arena, m->entries_count);
    response->entries_count = m->entries_count;
    rq->state = response;
    struct outcome *outcomes = arena_take(&rq->arena, (m->entries_count + 1) * sizeof *outcomes);
    proposals_begin(rq, proposals_reply);
    for (uint32_t i = 0; i < m->entries_count; i++) {
        const struct kafka_alter_client_quotas_request_entry *in = &m->entries[i];
        struct kafka_alter_client_quotas_response_entry *out = &response->entries[i];
        out->entity = kafka_alter_client_quotas_response_entity_new(&rq->arena, in->entity_count);
        out->entity_count = in->entity_count;
        for (uint32_t k = 0; k < in->entity_count; k++) {
            out->entity[k].type = in->entity[k].type;
            out->entity[k].name = in->entity[k].name;
        }
        outcomes[i] = (struct outcome){&out->error, &out->error_message};
        alter(rq, in, &outcomes[i]);
    }
    proposals_end(rq);
}
