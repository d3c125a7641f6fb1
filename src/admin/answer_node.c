/* SPDX-License-Identifier: Apache-2.0 */
/* Who this node is, what it knows of the quorum, and how it hears its peers. */
#include <stdio.h>
#include <string.h>

#include "admin/inner.h"
#include "admin/version.h"

#define SUSPICION_FLOOR_MS   500
#define SUSPICION_CEILING_MS 3000
#define ELECTION_FLOOR_MS    500

static const struct quorum_peer_status *member_of(const struct quorum_status *status, uint32_t id)
{
    for (uint32_t n = 0; n < status->peer_count; n++) {
        if (status->peers[n].member.node_id == id) {
            return &status->peers[n];
        }
    }
    return NULL;
}

static const char *role_name(const struct quorum_status *status, uint32_t self)
{
    const struct quorum_peer_status *member = member_of(status, self);

    switch (status->role) {
    case QUORUM_LEADER:
        return "leader";
    case QUORUM_CANDIDATE:
        return "candidate";
    case QUORUM_FOLLOWER:
        return member == NULL ? "none" : member->member.voter ? "voter" : "standby";
    case QUORUM_UNAVAILABLE:
        break;
    }
    return "none";
}

static char *suspicion_why(struct pool *pool, const struct node_options *settings,
                           const struct node_peer_view *peer)
{
    if (settings->suspicion_ms != 0) {
        return pool_text(pool, "set by timers/suspicion");
    }
    if (!peer->known) {
        return pool_text(pool, "nothing measured yet");
    }
    if (peer->suspicion_ms <= SUSPICION_FLOOR_MS) {
        return pool_text(pool, "the floor: 3 x RTT p50 + 4 x p99.9 of heartbeat delay is less");
    }
    if (peer->suspicion_ms >= SUSPICION_CEILING_MS) {
        return pool_text(pool, "the ceiling: 3 x RTT p50 + 4 x p99.9 of heartbeat delay is more");
    }
    return pool_text(pool, "3 x RTT p50 + 4 x p99.9 of heartbeat delay");
}

static char *election_why(struct pool *pool, const struct node_options *settings,
                          const struct quorum_status *status, uint32_t rtt_us_max)
{
    if (settings->election_ms != 0) {
        return pool_text(pool, "set by timers/election");
    }
    if (status->election_ms <= ELECTION_FLOOR_MS) {
        return pool_printf(pool, "the floor: 10 x the largest RTT p50 (%.1f ms) is less",
                           rtt_us_max / 1000.0);
    }
    return pool_printf(pool, "10 x the largest RTT p50 (%.1f ms)", rtt_us_max / 1000.0);
}

static const struct node_seed *seed_of(const struct node_options *settings, uint32_t id)
{
    for (uint32_t n = 0; n < settings->seed_count; n++) {
        if (settings->seeds[n].node_id == id) {
            return &settings->seeds[n];
        }
    }
    return NULL;
}

static void fill_registered(struct pool *pool, const struct control *control,
                            const struct control_node *node, Tern__Admin__NodeView__Peer *out)
{
    const struct control_region *region = &control->regions[node->region];

    CHECK(node->region < CONTROL_REGIONS_MAX);
    out->region = pool_text(pool, region->name);
    out->witness = region->witness;
    out->rack = pool_text(pool, node->rack);
    if (node->kafka_host[0] != '\0') {
        out->kafka_address = pool_printf(pool, "%s:%u", node->kafka_host, node->kafka_port);
    }
    out->mesh_address = pool_text(pool, node->mesh_address);
    out->admin_address = pool_text(pool, node->admin_address);
    out->registered = node->start_number != 0;
    out->fenced = node->fenced;
    out->full = node->full;
    out->incarnation = node->incarnation;
    out->raft_id = node->raft_id;
    out->start_number = node->start_number;
}

static Tern__Admin__NodeView__Peer *fill_peer(struct admin *admin, struct pool *pool, uint32_t id,
                                              const struct quorum_peer_status *member,
                                              uint32_t *rtt_us_max)
{
    Tern__Admin__NodeView__Peer *out = pool_new(pool, sizeof *out);
    const struct node *node = admin->options.node;
    const struct control *control = node_control(node);
    struct node_peer_view peer = {0};

    tern__admin__node_view__peer__init(out);
    node_peer(node, id, &peer);
    out->id = id;
    if (control->nodes[id].id != 0) {
        fill_registered(pool, control, &control->nodes[id], out);
    } else if (seed_of(node_settings(node), id) != NULL) {
        out->mesh_address = pool_text(pool, seed_of(node_settings(node), id)->mesh_address);
    }
    out->member = member != NULL;
    out->voter = member != NULL && member->member.voter;
    out->known = peer.known;
    out->reachable = peer.reachable;
    out->seen_ms = peer.seen_ms > INT64_MAX ? -1 : (int64_t)peer.seen_ms;
    out->rtt_p50_us = peer.rtt_p50_us;
    out->rtt_p99_us = peer.rtt_p99_us;
    out->suspicion_ms = peer.suspicion_ms;
    out->suspicion_why = suspicion_why(pool, node_settings(node), &peer);
    out->term = peer.term;
    out->commit_index = peer.commit_index;
    out->applied_index = peer.applied_index;
    out->ready = peer.ready;
    out->full = out->full || peer.full;
    *rtt_us_max = peer.rtt_p50_us > *rtt_us_max ? peer.rtt_p50_us : *rtt_us_max;
    return out;
}

static void fill_peers(struct admin *admin, struct pool *pool, const struct quorum_status *status,
                       Tern__Admin__NodeView *view, uint32_t *rtt_us_max)
{
    const struct node_options *settings = node_settings(admin->options.node);
    const struct control *control = node_control(admin->options.node);

    view->peers = pool_new(pool, WIRE_NODES_MAX * sizeof(*view->peers));
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct quorum_peer_status *member = member_of(status, id);

        if (control->nodes[id].removed && member == NULL) {
            continue;
        }
        if (id != settings->node_id &&
            (control->nodes[id].id != 0 || member != NULL || seed_of(settings, id) != NULL)) {
            view->peers[view->n_peers++] = fill_peer(admin, pool, id, member, rtt_us_max);
        }
    }
}

static void fill_self(struct admin *admin, struct pool *pool, const struct quorum_status *status,
                      Tern__Admin__NodeView *view)
{
    const struct node *node = admin->options.node;
    const struct node_options *settings = node_settings(node);
    const struct control *control = node_control(node);
    struct uuid cluster_id = node_cluster_id(node);

    view->format = ADMIN_MESSAGES_VERSION;
    view->version = pool_text(pool, TERN_VERSION);
    view->cluster_name = pool_text(pool, settings->cluster_name);
    if (!uuid_is_zero(cluster_id)) {
        view->cluster_id = pool_bytes(pool, slice_of(cluster_id.bytes, 16));
    }
    view->node_id = settings->node_id;
    view->region = pool_text(pool, settings->region);
    view->rack = pool_text(pool, settings->rack);
    view->witness = settings->witness;
    view->phase = pool_text(pool, node_phase_name(node_phase(node)));
    view->lease_ms = settings->lease_ms != 0 ? settings->lease_ms : 2000;
    view->incarnation = node_incarnation(node);
    view->start_number = node_start_number(node);
    view->rolled_back = node_rolled_back(node);
    view->full =
        node_store(admin->options.node) != NULL && !store_writable(node_store(admin->options.node));
    view->wall_ms = clock_wall_ms(admin->options.clock);
    view->mesh_address = pool_text(pool, settings->mesh_address);
    view->admin_address = pool_text(pool, settings->admin_address);
    view->kafka_address = pool_printf(pool, "%s:%u", settings->kafka_host, settings->kafka_port);
    view->role = pool_text(pool, role_name(status, settings->node_id));
    view->controller = status->controller;
    view->term = status->term;
    view->commit_index = status->commit_index;
    view->applied_index = status->applied_index;
    view->last_index = status->last_index;
    view->leader_node = status->leader_node;
    view->election_ms = status->election_ms;
    view->heartbeat_ms = status->heartbeat_ms;
    view->raft_id = control->nodes[settings->node_id].raft_id;
}

int answer_node(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                char why[ADMIN_WHY])
{
    Tern__Admin__NodeView *view = pool_new(pool, sizeof *view);
    struct quorum *quorum = node_quorum(admin->options.node);
    struct quorum_status *status = pool_new(pool, sizeof *status);
    uint32_t rtt_us_max = 0;

    (void)ask;
    (void)why;
    tern__admin__node_view__init(view);
    if (quorum != NULL) {
        quorum_status(quorum, status);
    }
    fill_self(admin, pool, status, view);
    fill_peers(admin, pool, status, view, &rtt_us_max);
    view->election_why = election_why(pool, node_settings(admin->options.node), status, rtt_us_max);
    pack_into(out, &view->base);
    return 0;
}

/* What only a leader knows: that it is not (yet, or any more) allowed to serve. */
static void check_served(struct admin *admin, const struct control *control,
                         struct health_cluster *out)
{
    const struct node *node = admin->options.node;
    uint32_t self = node_settings(node)->node_id;

    for (const struct control_topic *topic = control->by_name; topic != NULL;
         topic = topic->by_name.next) {
        uint32_t unserved = 0;

        for (uint32_t n = 0; n < topic->partition_count; n++) {
            struct node_partition_view view;

            if (topic->partitions[n].leader == self) {
                node_partition(node, topic->id, (int32_t)n, &view);
                unserved += view.serves ? 0 : 1;
            }
        }
        if (unserved > 0) {
            health_add(out, HEALTH_NOT_SERVED,
                       topic->policy.critical ? HEALTH_VIOLATED : HEALTH_UNHEALTHY, topic->name,
                       "node %u leads %u partitions that it may not serve now", self, unserved);
        }
    }
}

int answer_health(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                  char why[ADMIN_WHY])
{
    struct health_view view = admin_view(admin);
    struct health_cluster *found = pool_new(pool, sizeof *found);
    Tern__Admin__Health *message = pool_new(pool, sizeof *message);

    (void)ask;
    (void)why;
    health_cluster(&view, found);
    check_served(admin, view.control, found);
    tern__admin__health__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->state = pool_text(pool, health_name(found->health));
    message->topics = found->topics;
    message->partitions = found->partitions;
    message->leaderless = found->leaderless;
    message->critical = found->critical;
    message->critical_met = found->critical_met;
    message->ledger_open = found->ledger_open;
    message->regions = found->regions;
    message->regions_reached = found->regions_heard;
    message->policy_revision = view.control->policy_revision;
    message->checks = pool_new(pool, (found->check_count + 1) * sizeof(*message->checks));
    for (enum health worst = HEALTH_VIOLATED; worst > HEALTH_OK; worst--) {
        for (uint32_t n = 0; n < found->check_count; n++) {
            Tern__Admin__Health__Check *check;

            if (found->checks[n].health != worst) {
                continue;
            }
            check = pool_new(pool, sizeof *check);
            tern__admin__health__check__init(check);
            check->code = pool_text(pool, found->checks[n].code);
            check->severity = pool_text(pool, health_name(worst));
            check->subject = found->checks[n].subject;
            check->text = found->checks[n].text;
            message->checks[message->n_checks++] = check;
        }
    }
    pack_into(out, &message->base);
    return 0;
}
