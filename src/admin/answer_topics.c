/* SPDX-License-Identifier: Apache-2.0 */
/* Topics and their partitions: the control state, and what this node's own replicas say. */
#include <stdio.h>
#include <string.h>

#include "admin/inner.h"

static size_t fill_set(struct pool *pool, node_set nodes, uint32_t **out)
{
    uint32_t *ids = pool_new(pool, WIRE_NODES_MAX * sizeof *ids);
    size_t count = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if ((nodes & NODE_BIT(id)) != 0) {
            ids[count++] = id;
        }
    }
    *out = ids;
    return count;
}

/* What only a replica knows. */
static void fill_replica(struct pool *pool, const struct node *node, struct uuid topic_id,
                         uint32_t index, Tern__Admin__Partition *out)
{
    struct node_partition_view view = {0};

    node_partition(node, topic_id, (int32_t)index, &view);
    out->hosted = view.hosted;
    out->hw = view.hosted ? view.hw : -1;
    if (!view.hosted) {
        return;
    }
    out->role = pool_text(pool, view.role != NULL ? view.role : "");
    out->promised = view.promised;
    out->synced = view.synced;
    out->log_start = view.log_start;
    out->leo = view.leo;
    out->bytes = view.bytes;
    out->serves = view.serves;
    out->exposed_records = view.exposed_records;
    out->exposed_bytes = view.exposed_bytes;
    out->exposed_ms = view.exposed_ms;
    out->peers = pool_new(pool, (view.peer_count + 1) * sizeof(*out->peers));
    for (uint32_t n = 0; n < view.peer_count && n < CONTROL_REPLICAS_MAX; n++) {
        Tern__Admin__Partition__Peer *peer = pool_new(pool, sizeof *peer);

        tern__admin__partition__peer__init(peer);
        peer->node = view.peers[n].node;
        peer->acked = view.peers[n].acked;
        out->peers[out->n_peers++] = peer;
    }
}

static Tern__Admin__Partition *fill_partition(struct admin *admin, struct pool *pool,
                                              const struct health_view *view,
                                              const struct control_topic *topic, uint32_t index)
{
    Tern__Admin__Partition *out = pool_new(pool, sizeof *out);
    const struct control_partition *p = &topic->partitions[index];
    struct health_finding finding = health_partition(view, topic, index);

    tern__admin__partition__init(out);
    out->index = index;
    out->epoch = p->epoch;
    out->leader = p->leader;
    out->n_voters = fill_set(pool, p->config.voters, &out->voters);
    out->n_learners = fill_set(pool, p->config.learners, &out->learners);
    out->w = p->config.w;
    if (p->config.home >= 0 && p->config.home < CONTROL_REGIONS_MAX) {
        out->home = pool_text(pool, view->control->regions[p->config.home].name);
    }
    out->activated = p->activated;
    out->lossy = p->lossy;
    out->lossy_start = p->lossy_start;
    out->state = pool_text(pool, health_name(finding.health));
    out->why = pool_text(pool, finding.why);
    fill_replica(pool, admin->options.node, topic->id, index, out);
    return out;
}

static Tern__Admin__Topic *fill_topic(struct admin *admin, struct pool *pool,
                                      const struct health_view *view,
                                      const struct control_topic *topic, bool detail)
{
    Tern__Admin__Topic *out = pool_new(pool, sizeof *out);
    const struct control *control = view->control;
    struct health_topic found;

    tern__admin__topic__init(out);
    health_topic(view, topic, &found);
    out->name = pool_text(pool, topic->name);
    out->id = pool_bytes(pool, slice_of(topic->id.bytes, sizeof topic->id.bytes));
    out->policy = pool_text(pool, topic->policy.name);
    out->critical = topic->policy.critical;
    out->mode = pool_text(pool, topic->policy.mode == POLICY_SYNC ? "sync" : "async");
    out->ack = topic->policy.ack;
    out->home = pool_text(pool, topic->policy.home);
    out->partition_count = topic->partition_count;
    out->leaderless = found.leaderless;
    out->under_replicated = found.under_replicated;
    out->state = pool_text(pool, health_name(found.finding.health));
    out->why = pool_text(pool, found.finding.why);
    out->retention_ms = topic->policy.retention_ms;
    out->retention_bytes = topic->policy.retention_bytes;
    out->leaders = pool_new(pool, CONTROL_REGIONS_MAX * sizeof(*out->leaders));
    for (uint32_t n = 0; n < control->region_count; n++) {
        Tern__Admin__Topic__Leaders *leaders = pool_new(pool, sizeof *leaders);

        if (found.leaders[n] == 0) {
            continue;
        }
        tern__admin__topic__leaders__init(leaders);
        leaders->region = pool_text(pool, control->regions[n].name);
        leaders->count = found.leaders[n];
        out->leaders[out->n_leaders++] = leaders;
    }
    if (detail) {
        out->partitions = pool_new(pool, (topic->partition_count + 1) * sizeof(*out->partitions));
        for (uint32_t n = 0; n < topic->partition_count; n++) {
            out->partitions[out->n_partitions++] = fill_partition(admin, pool, view, topic, n);
        }
    }
    return out;
}

int answer_topics(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                  char why[ADMIN_WHY])
{
    struct health_view view = admin_view(admin);
    Tern__Admin__Topics *message = pool_new(pool, sizeof *message);
    size_t count = HASH_CNT(by_name, view.control->by_name);

    tern__admin__topics__init(message);
    message->format = ADMIN_MESSAGES_VERSION;
    message->node_id = node_settings(admin->options.node)->node_id;
    message->applied_index = view.control->applied_index;
    message->topics = pool_new(pool, (count + 1) * sizeof(*message->topics));
    for (const struct control_topic *topic = view.control->by_name; topic != NULL;
         topic = topic->by_name.next) {
        if (ask->name[0] == '\0' || strcmp(ask->name, topic->name) == 0) {
            message->topics[message->n_topics++] =
                fill_topic(admin, pool, &view, topic, ask->detail);
        }
    }
    if (ask->name[0] != '\0' && message->n_topics == 0) {
        (void)snprintf(why, ADMIN_WHY, "there is no topic %.180s: see tern topic list", ask->name);
        return TERN_ENOENT;
    }
    pack_into(out, &message->base);
    return 0;
}
