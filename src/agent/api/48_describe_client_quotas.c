/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeClientQuotas: of client ids; there are no users and no quotas of addresses. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define MATCH_EXACT   0
#define MATCH_DEFAULT 1
#define MATCH_ANY     2

/* Quotas here have one component, so that a filter by any other one matches nothing. */
static bool matches(const struct kafka_describe_client_quotas_request *m,
                    const struct control_quota *q)
{
    if (m->components_count == 0) {
        return !m->strict;
    }
    for (uint32_t i = 0; i < m->components_count; i++) {
        const struct kafka_describe_client_quotas_request_component *c = &m->components[i];
        bool fits = c->match_type == MATCH_ANY ||
                    (c->match_type == MATCH_DEFAULT && q->everybody) ||
                    (c->match_type == MATCH_EXACT && !q->everybody &&
                     slice_equal(c->match, slice_text(q->client_id)));
        if (!slice_equal(c->entity_type, slice_text("client-id")) || !fits) {
            return false;
        }
    }
    return true;
}

static void fill(struct request *rq, const struct control_quota *q,
                 struct kafka_describe_client_quotas_response_entry *out)
{
    out->entity = kafka_describe_client_quotas_response_entity_new(&rq->arena, 1);
    out->entity_count = 1;
    out->entity[0].type = slice_text("client-id");
    out->entity[0].name = q->everybody ? (struct slice){0} : slice_text(q->client_id);
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

    kafka_describe_client_quotas_response_init(&response);
    response.entries =
        kafka_describe_client_quotas_response_entry_new(&rq->arena, control->quota_count);
    for (uint32_t i = 0; i < control->quota_count; i++) {
        if (matches(rq->message, &control->quotas[i])) {
            fill(rq, &control->quotas[i], &response.entries[response.entries_count++]);
        }
    }
    request_reply(rq, &response);
}
