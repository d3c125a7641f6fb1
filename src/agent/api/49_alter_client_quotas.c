/* SPDX-License-Identifier: Apache-2.0 */
/* AlterClientQuotas: one command for each entity. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

const char *quota_key_name(enum control_quota_key key)
{
    static const char *const names[QUOTA_KEYS] = {
        [QUOTA_PRODUCE] = "producer_byte_rate",
        [QUOTA_CONSUME] = "consumer_byte_rate",
        [QUOTA_REQUEST] = "request_percentage",
        [QUOTA_MUTATION] = "controller_mutation_rate",
    };

    return names[key];
}

static void refuse(struct request *rq, struct kafka_alter_client_quotas_response_entry *out,
                   const char *why)
{
    out->error = error_kafka(TERN_EINVALIDREQUEST);
    out->error_message = arena_text(&rq->arena, why);
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    struct kafka_alter_client_quotas_response_entry *out = ctx;

    out->error = error_kafka(result->error);
    if (result->error != 0) {
        out->error_message = proposal_why(rq, result);
    }
}

/* NULL, or what is wrong. */
static const char *take_ops(const struct kafka_alter_client_quotas_request_entry *in,
                            struct command_quota values[QUOTA_KEYS])
{
    if (in->ops_count > QUOTA_KEYS) {
        return "a quota key is named twice, or is not known";
    }
    for (uint32_t i = 0; i < in->ops_count; i++) {
        int key = 0;
        while (
            key < QUOTA_KEYS &&
            !slice_equal(in->ops[i].key, slice_text(quota_key_name((enum control_quota_key)key)))) {
            key++;
        }
        if (key == QUOTA_KEYS) {
            return "Invalid configuration key";
        }
        values[i].key = (enum control_quota_key)key;
        values[i].remove = in->ops[i].remove;
        memcpy(&values[i].value, &in->ops[i].bits, sizeof values[i].value);
        if (!values[i].remove && !(values[i].value > 0 && values[i].value < 1e18)) {
            return "Quota must be a positive number";
        }
    }
    return NULL;
}

static void alter(struct request *rq, const struct kafka_alter_client_quotas_request_entry *in,
                  struct kafka_alter_client_quotas_response_entry *out)
{
    const struct kafka_alter_client_quotas_request *m = rq->message;
    struct command_quota values[QUOTA_KEYS];
    char client_id[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (in->entity_count != 1 || !slice_equal(in->entity[0].type, slice_text("client-id"))) {
        refuse(rq, out,
               "quotas are kept by client-id: there are no users, nor quotas of addresses");
        return;
    }
    bool everybody = in->entity[0].name.base == NULL;
    if (!slice_to_text(in->entity[0].name, client_id, sizeof client_id)) {
        refuse(rq, out, "the client id is longer than 249 bytes");
        return;
    }
    const char *fault = take_ops(in, values);
    if (fault != NULL) {
        refuse(rq, out, fault);
        return;
    }
    if (m->validate_only) {
        return;
    }
    command_set_quota(&command, node_next_key(rq->node), everybody ? NULL : client_id, values,
                      in->ops_count);
    proposals_add(rq, &command, 30000, applied, out);
}

static void finish(struct request *rq)
{
    request_reply(rq, rq->state);
}

void api_alter_client_quotas(struct request *rq)
{
    const struct kafka_alter_client_quotas_request *m = rq->message;
    struct kafka_alter_client_quotas_response *response = arena_take(&rq->arena, sizeof *response);

    kafka_alter_client_quotas_response_init(response);
    response->entries = kafka_alter_client_quotas_response_entry_new(&rq->arena, m->entries_count);
    response->entries_count = m->entries_count;
    rq->state = response;
    proposals_begin(rq, finish);
    for (uint32_t i = 0; i < m->entries_count; i++) {
        const struct kafka_alter_client_quotas_request_entry *in = &m->entries[i];
        struct kafka_alter_client_quotas_response_entry *out = &response->entries[i];
        out->entity = kafka_alter_client_quotas_response_entity_new(&rq->arena, in->entity_count);
        out->entity_count = in->entity_count;
        for (uint32_t k = 0; k < in->entity_count; k++) {
            out->entity[k].type = in->entity[k].type;
            out->entity[k].name = in->entity[k].name;
        }
        alter(rq, in, out);
    }
    proposals_end(rq);
}
