/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of features that the whole cluster has agreed on. */
#include "control/internal.h"

static const struct control_feature_kind kinds[CONTROL_FEATURES] = {
    [CONTROL_FEATURE_GROUP] = {"group.version", 1, 1, 1},
    [CONTROL_FEATURE_TXN] = {"transaction.version", 0, 2, 1},
};

const struct control_feature_kind *control_feature_kind(enum control_feature feature)
{
    return &kinds[feature];
}

int control_feature_named(struct slice name)
{
    for (int i = 0; i < CONTROL_FEATURES; i++) {
        if (slice_equal(slice_text(kinds[i].name), name)) {
            return i;
        }
    }
    return -1;
}

bool control_feature_fits(enum control_feature feature, int32_t level)
{
    return level >= kinds[feature].least && level <= kinds[feature].most;
}

void control_features_init(struct control *control)
{
    for (int i = 0; i < CONTROL_FEATURES; i++) {
        control->features[i] = kinds[i].initial;
    }
}

/* All of them or none. */
void apply_set_features(struct apply *a, const struct command *command)
{
    struct control *control = a->control;
    bool changes = false;

    if (control->feature_level < 3) {
        (void)apply_refuse(a, TERN_EUPDATEVERSION,
                           "a node of this cluster runs a build that knows no levels of features");
        return;
    }
    for (size_t i = 0; i < command->as.features.count; i++) {
        const struct command_feature *in = &command->as.features.items[i];
        if (!control_feature_fits(in->feature, in->level)) {
            (void)apply_refuse(a, TERN_EUPDATEVERSION, "%s goes from %d to %d",
                               kinds[in->feature].name, kinds[in->feature].least,
                               kinds[in->feature].most);
            return;
        }
    }
    for (size_t i = 0; i < command->as.features.count; i++) {
        const struct command_feature *in = &command->as.features.items[i];
        changes = changes || control->features[in->feature] != in->level;
        control->features[in->feature] = in->level;
    }
    if (changes) {
        control->features_index = a->index;
    }
}
