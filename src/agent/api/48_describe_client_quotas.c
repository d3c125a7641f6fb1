/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeClientQuotas: those whose entities the components of the filter fit. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define MATCH_EXACT   0
#define MATCH_DEFAULT 1
#define MATCH_ANY     2

/* 0, or what is wrong with the filter. */
static int fault_of(const struct kafka_describe_client_quotas_request *m)
{
    unsigned kinds = 0;

    for (uint32_t i = 0; i < m->components_count; i++) {
        const struct kafka_describe_client_quotas_request_component *c = &m->components[i];
        int kind = quota_kind_of(c->entity_type);
        if (c->entity_type.len == 0 || c->match_type < MATCH_EXACT || c->match_type > MATCH_ANY ||
            (c->match_type == MATCH_EXACT) != (c->match.base != NULL)) {
            return TERN_EINVALIDREQUEST;
        }
        if (kind < 0) {
            return TERN_EUNSUPPORTED;
        }
        if ((kinds & 1u << kind) != 0) {
            return TERN_EINVALIDREQUEST;
        }
        kinds |= 1u << kind;
    }
    bool with_ip = (kinds & 1u << QUOTA_IP) != 0 && kinds != 1u << QUOTA_IP;
    return with_ip ? TERN_EINVALIDREQUEST : 0;
}

static bool fits(const struct kafka_describe_client_quotas_request_component *c,
                 const struct quota_entity *e)
{
    int kind = quota_kind_of(c->entity_type);
    bool everybody = (e->everybody & 1u << kind) != 0;

    if ((e->kinds & 1u << kind) == 0) {
        return false;
    }
    return c->match_type == MATCH_ANY || (c->match_type == MATCH_DEFAULT && everybody) ||
           (c->match_type == MATCH_EXACT && !everybody &&
            slice_equal(c->match, slice_text(e->names[kind])));
}

/* Strict: the entity has no names of other kinds. */
static bool matches(const struct kafka_describe_client_quotas_request *m,
                    const struct quota_entity *e)
{
    uint32_t kinds = 0;

    for (int kind = 0; kind < QUOTA_NAMES; kind++) {
        kinds += (e->kinds & 1u << kind) != 0;
    }
    for (uint32_t i = 0; i < m->components_count; i++) {
        if (!fits(&m->components[i], e)) {
            return false;
        }
    }
    return !m->strict || kinds == m->components_count;
}

static void fill(struct request *rq, const struct control_quota *q,
                 struct kafka_describe_client_quotas_response_entry *out)
{
    static const enum control_quota_name order[] = {QUOTA_USER, QUOTA_CLIENT, QUOTA_IP};

    out->entity = kafka_describe_client_quotas_response_entity_new(&rq->arena, QUOTA_NAMES);
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        enum control_quota_name kind = order[i];
        if ((q->entity.kinds & 1u << kind) == 0) {
            continue;
        }
        bool everybody = (q->entity.everybody & 1u << kind) != 0;
        out->entity[out->entity_count].type = slice_text(quota_kind_name(kind));
        out->entity[out->entity_count++].name =
            everybody ? (struct slice){0} : slice_text(q->entity.names[kind]);
    }
    out->values = kafka_describe_client_quotas_response_value_new(&rq->arena, QUOTA_KEYS);
    for (int key = 0; key < QUOTA_KEYS; key++) {
        if (q->has[key]) {
            struct kafka_describe_client_quotas_response_value *v =
                &out->values[out->values_count++];
            v->key = slice_text(quota_key_name((enum control_quota_key)key));
            memcpy(&v->bits, &q->values[key], sizeof v->bits);
        }
    }
}

void api_describe_client_quotas(struct request *rq)
{
    const struct control *control = rq->node->control;
    struct kafka_describe_client_quotas_response response;
    int fault = fault_of(rq->message);

    kafka_describe_client_quotas_response_init(&response);
    response.error = error_kafka(fault);
    response.entries =
        kafka_describe_client_quotas_response_entry_new(&rq->arena, control->quota_count);
    for (uint32_t i = 0; i < control->quota_count && fault == 0; i++) {
        if (matches(rq->message, &control->quotas[i].entity)) {
            fill(rq, &control->quotas[i], &response.entries[response.entries_count++]);
        }
    }
    if (fault != 0) {
        response.error_message = slice_text(error_sentence(fault));
        response.entries = NULL;
    }
    request_reply(rq, &response);
}
