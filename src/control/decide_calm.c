/* SPDX-License-Identifier: Apache-2.0 */
/* When a round of decisions may wait. A round looks at every partition, so an idle cluster pays for each. */
#include "control/decide.h"

/* Nodes of the cluster that are there, registered, not full, and as far as the control log is. */
static node_set present(const struct control *control, const struct decide_view *view)
{
    node_set set = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct decide_node *n = &view->nodes[id];
        if (n->reachable && n->registered && !n->full &&
            n->applied_index >= control->applied_index) {
            set |= NODE_BIT(id);
        }
    }
    return set;
}

static bool all_present(const struct control *control, node_set set)
{
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *known = &control->nodes[id];
        if (known->id != 0 && !known->removed && (set & NODE_BIT(id)) == 0) {
            return false;
        }
    }
    return true;
}

bool decide_may_wait(const struct decide_calm *calm, const struct control *control,
                     const struct decide_view *view, const struct decide_pending *pending)
{
    node_set set = present(control, view);

    return calm->found_nothing && view->report_count == 0 && !pending->unknown &&
           calm->index == control->applied_index && calm->present == set &&
           all_present(control, set) && view->now_ms - calm->at_ms < calm->wait_ms;
}

void decide_calm_round(struct decide_calm *calm, const struct control *control,
                       const struct decide_view *view, size_t commands)
{
    node_set set = present(control, view);
    bool longer = calm->found_nothing && commands == 0 && view->report_count == 0 &&
                  calm->index == control->applied_index && calm->present == set;
    uint64_t wait_ms = longer ? 2 * calm->wait_ms : DECIDE_CALM_MS;

    *calm = (struct decide_calm){
        .found_nothing = commands == 0,
        .at_ms = view->now_ms,
        .wait_ms = wait_ms < DECIDE_CALM_MAX_MS ? wait_ms : DECIDE_CALM_MAX_MS,
        .index = control->applied_index,
        .present = set,
    };
}
