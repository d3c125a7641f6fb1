/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's feature level: what every registered node's build knows. It follows from the
 * registrations alone, so that it changes at the same command on every node. */
#include "control/internal.h"

bool control_outgrown(const struct control *control)
{
    return control->feature_level > control->level_known;
}

void level_settle(struct apply *a)
{
    struct control *control = a->control;
    uint32_t least = UINT32_MAX;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];
        if (node->id != 0 && !node->removed && node->level < least) {
            least = node->level; /* 0: a founder that has not registered holds it up */
        }
    }
    if (least != UINT32_MAX && least > control->feature_level) {
        control->feature_level = least;
    }
}
