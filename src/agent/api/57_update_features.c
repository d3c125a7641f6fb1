/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateFeatures, and what ApiVersions says of features. A build has each of its features at one
 * level and cannot go without it: asking for that level changes nothing, any other is refused. */
#include "agent/api.h"
#include "base/error.h"

#define UPGRADE          1
#define SAFE_DOWNGRADE   2
#define UNSAFE_DOWNGRADE 3

struct feature {
    const char *name;
    int16_t level;
};

static const struct feature features[] = {
    {"group.version", 1},       /* the new group protocol (KIP-848) */
    {"transaction.version", 1}, /* not 2: KIP-890's second part */
};

void features_tell(struct request *rq, struct kafka_api_versions_response *out)
{
    uint32_t count = ARRAY_COUNT(features);

    out->supported_features = kafka_api_versions_response_supported_feature_new(&rq->arena, count);
    out->finalized_features = kafka_api_versions_response_finalized_feature_new(&rq->arena, count);
    out->supported_features_count = count;
    out->finalized_features_count = count;
    out->finalized_features_epoch = 0; /* they never change while a build runs */
    for (uint32_t i = 0; i < count; i++) {
        struct slice name = slice_text(features[i].name);
        out->supported_features[i].name = name;
        out->supported_features[i].min_version = features[i].level;
        out->supported_features[i].max_version = features[i].level;
        out->finalized_features[i].name = name;
        out->finalized_features[i].min_version_level = features[i].level;
        out->finalized_features[i].max_version_level = features[i].level;
    }
}

/* NULL: nothing is wrong with it, and nothing to do. */
static const char *fault_of(const struct kafka_update_features_request_update *in)
{
    const struct feature *known = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        known = slice_equal(in->feature, slice_text(features[i].name)) ? &features[i] : known;
    }
    if (known == NULL) {
        return "the feature is not known to this build";
    }
    if (in->upgrade_type < UPGRADE || in->upgrade_type > UNSAFE_DOWNGRADE) {
        return "the kind of upgrade is not known";
    }
    return in->max_version_level == known->level
               ? NULL
               : "this build has the feature at another level only";
}

/* From version 2 on a fault is told for all of them together. */
void api_update_features(struct request *rq)
{
    const struct kafka_update_features_request *m = rq->message;
    struct kafka_update_features_response response;
    bool each = rq->version < 2;

    kafka_update_features_response_init(&response);
    response.results = kafka_update_features_response_result_new(&rq->arena, m->updates_count);
    response.results_count = each ? m->updates_count : 0;
    for (uint32_t i = 0; i < m->updates_count; i++) {
        const char *why = fault_of(&m->updates[i]);
        response.results[i].feature = m->updates[i].feature;
        if (why == NULL) {
            continue;
        }
        response.results[i].error = error_kafka(TERN_EUPDATEVERSION);
        response.results[i].error_message = slice_text(why);
        if (!each) {
            response.error = response.results[i].error;
            response.error_message = response.results[i].error_message;
        }
    }
    request_reply(rq, &response);
}
