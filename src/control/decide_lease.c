/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 9: who may be granted a lease. Nobody answers behind a lossy epoch, so who asks must have applied
 * all that there are (a heartbeat that was long under way unfences its sender and asks for a lease, and
 * the sender knows of nothing), and none that rests on its absence may be on its way into the log. */
#include "base/check.h"
#include "control/decide.h"

void decide_pending_round(struct decide_pending *pending, const struct decide_view *view,
                          size_t commands)
{
    if (commands == 0) {
        return;
    }
    pending->absent = pending->unknown ? pending->absent : 0;
    pending->unknown = false;
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        pending->absent |= view->nodes[id].reachable ? 0 : NODE_BIT(id);
    }
}

void decide_pending_proposed(struct decide_pending *pending)
{
    pending->waiting++;
}

void decide_pending_done(struct decide_pending *pending, bool told)
{
    CHECK(pending->waiting > 0);
    pending->waiting--;
    pending->unknown = pending->unknown || !told;
}

bool decide_may_lease(const struct control *control, const struct decide_pending *pending,
                      const struct decide_lease *asks)
{
    const struct control_node *known = &control->nodes[asks->node];
    bool on_the_way = pending->waiting > 0 || pending->unknown;
    bool absent = on_the_way && (pending->absent & NODE_BIT(asks->node)) != 0;

    if (known->id == 0 || known->fenced) {
        return false;
    }
    return asks->self || (!absent && asks->applied_index >= asks->lossy_index);
}
