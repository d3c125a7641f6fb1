/* SPDX-License-Identifier: Apache-2.0 */
/* UpdateFeatures, and what ApiVersions says of features. All that a request asks for is done, or
 * nothing of it. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define UPGRADE          1
#define SAFE_DOWNGRADE   2
#define UNSAFE_DOWNGRADE 3

static bool is_shown(const struct request *rq, enum control_feature feature)
{
    /* Java clients of these versions fail over a feature that begins at 0 (KIP-1022). */
    return rq->version >= 4 || control_feature_kind(feature)->least > 0;
}

void features_tell(struct request *rq, struct kafka_api_versions_response *out)
{
    const struct control *control = rq->node->control;

    out->supported_features =
        kafka_api_versions_response_supported_feature_new(&rq->arena, CONTROL_FEATURES);
    out->finalized_features =
        kafka_api_versions_response_finalized_feature_new(&rq->arena, CONTROL_FEATURES);
    out->finalized_features_epoch = (int64_t)control->features_index;
    for (int i = 0; i < CONTROL_FEATURES; i++) {
        enum control_feature feature = (enum control_feature)i;
        const struct control_feature_kind *kind = control_feature_kind(feature);
        if (is_shown(rq, feature)) {
            struct kafka_api_versions_response_supported_feature *s =
                &out->supported_features[out->supported_features_count++];
            s->name = slice_text(kind->name);
            s->min_version = kind->least;
            s->max_version = kind->most;
        }
        if (control->features[i] > 0) {
            struct kafka_api_versions_response_finalized_feature *f =
                &out->finalized_features[out->finalized_features_count++];
            f->name = slice_text(kind->name);
            f->min_version_level = control->features[i];
            f->max_version_level = control->features[i];
        }
    }
}

struct update {
    struct kafka_update_features_response response;
    struct command_feature items[CONTROL_FEATURES];
    size_t count;
};

/* NULL: nothing is wrong with it. */
static const char *fault_of(const struct request *rq,
                            const struct kafka_update_features_request_update *in,
                            struct update *update)
{
    int feature = control_feature_named(in->feature);
    int8_t type = rq->version > 0       ? in->upgrade_type
                  : in->allow_downgrade ? SAFE_DOWNGRADE
                                        : UPGRADE;

    if (feature < 0) {
        return "the feature is not known to this build";
    }
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE) {
        return "the kind of upgrade is not known";
    }
    if (!control_feature_fits((enum control_feature)feature, in->max_version_level)) {
        return "this build has the feature at other levels only";
    }
    int16_t level = rq->node->control->features[feature];
    if (in->max_version_level < level && type == UPGRADE) {
        return "it has a higher level: a downgrade must be asked for";
    }
    if (in->max_version_level > level && type != UPGRADE) {
        return "it has a lower level: an upgrade must be asked for";
    }
    for (size_t i = 0; i < update->count; i++) {
        if (update->items[i].feature == (enum control_feature)feature) {
            return "the feature is named twice";
        }
    }
    update->items[update->count++] =
        (struct command_feature){(enum control_feature)feature, in->max_version_level};
    return NULL;
}

/* What is wrong with one of them is told for all together, in every version. */
static void tell(struct update *update, int error, struct slice why)
{
    update->response.error = error_kafka(error);
    update->response.error_message = why;
    update->response.results_count = 0;
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    (void)ctx;
    if (result->error != 0) {
        tell(rq->state, result->error, proposal_why(rq, result));
    }
}

static void finish(struct request *rq)
{
    struct update *update = rq->state;

    request_reply(rq, &update->response);
}

void api_update_features(struct request *rq)
{
    const struct kafka_update_features_request *m = rq->message;
    struct update *update = arena_take(&rq->arena, sizeof *update);
    struct buf command = {0};
    bool good = true;

    memset(update, 0, sizeof *update);
    rq->state = update;
    kafka_update_features_response_init(&update->response);
    update->response.results =
        kafka_update_features_response_result_new(&rq->arena, m->updates_count);
    update->response.results_count = rq->version < 2 ? m->updates_count : 0;
    for (uint32_t i = 0; i < m->updates_count; i++) {
        const char *why = fault_of(rq, &m->updates[i], update);
        update->response.results[i].feature = m->updates[i].feature;
        if (why != NULL) {
            tell(update, TERN_EUPDATEVERSION, slice_text(why));
            good = false;
        }
    }
    proposals_begin(rq, finish);
    if (good && update->count > 0 && !m->validate_only) {
        command_set_features(&command, node_next_key(rq->node), update->items, update->count);
        proposals_add(rq, &command, m->timeout_ms, applied, NULL);
    }
    proposals_end(rq);
}
