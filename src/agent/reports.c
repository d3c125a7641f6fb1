/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader tells the controller of its partitions (control/decide.h, struct decide_report). */
#include <string.h>

#include "agent/group.h"
#include "agent/inner.h"
#include "agent/nearest.h"
#include "base/trace.h"

#define REPORT_STALL_MS 500 /* what has waited for less is only on its way */

void partition_report_amnesia(struct partition *p, uint32_t of, bool surely)
{
    const struct replica_peer *peer = replica_peer_of(&p->replica, of);
    const struct replica_member *member = spec_member(&p->replica.spec, of);
    uint32_t pinned = member != NULL ? member->incarnation : 0;
    struct decide_report r = {.kind = REPORT_AMNESIA,
                              .topic_id = p->key.topic_id,
                              .partition = p->key.partition,
                              .epoch = p->replica.spec.epoch,
                              .from = p->node->o.node_id,
                              .nodes = NODE_BIT(of),
                              .incarnation = peer != NULL ? peer->incarnation : pinned};

    trace_error("event=%s node=%u incarnation=%u partition=%d epoch=%d %s=%lld",
                surely ? "amnesia" : "shown_is_missing", of, r.incarnation, p->key.partition,
                r.epoch, peer != NULL ? "acknowledged" : "shown",
                (long long)(peer != NULL ? peer->acked : p->replica.hw));
    if (surely) {
        report_add(p->node, &r);
    }
}

void partition_report(struct partition *p, enum decide_report_kind kind, node_set nodes)
{
    struct node *node = p->node;
    struct decide_report r = {
        .kind = kind,
        .topic_id = p->key.topic_id,
        .partition = p->key.partition,
        .epoch = p->replica.spec.epoch,
        .from = node->o.node_id,
        .reaches = liveness_reachable(node),
        .nodes = nodes,
        .millis = node_now_ms(node) - p->replica.progress_ms,
    };
    report_add(node, &r);
}

/* ---- members of consumer groups -------------------------------------------------------------- */

struct members_count {
    const struct control *control;
    uint32_t *members;
    bool any;
};

static void count_member(void *ctx, struct slice rack)
{
    struct members_count *count = ctx;
    int region = nearest_region(count->control, rack);

    if (region >= 0) {
        count->members[region]++;
        count->any = true;
    }
}

/* Does the leader go where the members of its groups are? Else the policy says where it is. */
static bool follows_members(const struct partition *p, const struct policy *policy)
{
    return p->coordinator != NULL && policy->mode == POLICY_SYNC && policy->prefer_count == 0 &&
           coordinator_is_active(p->coordinator) &&
           coordinator_state(p->coordinator, &coordinator_groups_kind) != NULL;
}

void partition_report_members(struct partition *p)
{
    const struct control *control = p->node->control;
    const struct control_topic *topic =
        p->coordinator != NULL ? control_topic_by_id(control, p->key.topic_id) : NULL;
    struct decide_report r = {.kind = REPORT_MEMBERS,
                              .topic_id = p->key.topic_id,
                              .partition = p->key.partition,
                              .epoch = p->replica.spec.epoch,
                              .from = p->node->o.node_id};
    struct members_count count = {control, r.members, false};

    if (topic == NULL || !replica_serves(&p->replica) || !follows_members(p, &topic->policy)) {
        return;
    }
    groups_each_rack(coordinator_groups(p->coordinator), count_member, &count);
    if (count.any) {
        report_add(p->node, &r);
    }
}

bool partition_may_move(const struct partition *p)
{
    const struct control *control = p->node->control;
    const struct control_topic *topic = control_topic_by_id(control, p->key.topic_id);
    const struct control_node *self = &control->nodes[p->node->o.node_id];

    if (topic == NULL || self->id == 0 || p->replica.role != REPLICA_SERVING) {
        return false;
    }
    const struct policy *policy = &topic->policy;
    const char *first = policy->mode == POLICY_ASYNC ? policy->home
                        : policy->prefer_count > 0   ? policy->prefer[0]
                                                     : NULL;
    for (node_set left = p->replica.spec.config.voters & ~NODE_BIT(self->id); left != 0;
         left &= left - 1) {
        if (control->nodes[__builtin_ctzll(left)].region == self->region) {
            return true;
        }
    }
    return follows_members(p, policy) ||
           (first != NULL && strcmp(first, control->regions[self->region].name) != 0);
}

/* What the controller believes only for a while is told again, as long as it is so: who has caught
 * up, and who has not acknowledged for how long. */
void partition_repeat_reports(struct partition *p, bool voters)
{
    const struct replica *r = &p->replica;
    node_set ready = 0;
    node_set silent = 0;
    bool stalls = node_now_ms(p->node) - r->progress_ms >= REPORT_STALL_MS;

    if (!replica_serves(r)) {
        return;
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct replica_peer *peer = &r->peers[i];
        bool voter = (r->spec.config.voters & NODE_BIT(peer->node)) != 0;
        bool asked = (p->caught_up & NODE_BIT(peer->node)) != 0 ||
                     (voter && voters && peer->state == PEER_STREAMING);
        if (asked && replica_hw_known(r) && peer->acked >= r->leader_hw) {
            ready |= NODE_BIT(peer->node);
        }
        if (voter && stalls && r->leader_hw < r->leo && peer->held <= r->leader_hw) {
            silent |= NODE_BIT(peer->node);
        }
    }
    if (ready != 0) {
        partition_report(p, REPORT_LEARNER_READY, ready);
    }
    if (silent != 0) {
        partition_report(p, REPORT_REGION_SILENT, silent);
    }
}

void partition_watch_role(struct partition *p, uint64_t now_ms)
{
    const struct replica *r = &p->replica;
    bool assigned = r->spec.leader == r->self && r->spec.epoch > 0 && r->start_number != 0 &&
                    r->spec.leader_start == r->start_number;

    if (!assigned || r->role != REPLICA_FOLLOWING) {
        p->unled_ms = 0;
    } else if (p->unled_ms == 0) {
        p->unled_ms = now_ms;
    } else if (now_ms - p->unled_ms >= 2 * (uint64_t)peer_suspicion_ms(p->node, NULL)) {
        partition_report(p, REPORT_NO_QUORUM, 0);
    }
}
