/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *health_name(enum health health)
{
    static const char *const names[] = {"ok", "degraded", "unhealthy", "violated"};

    CHECK((size_t)health < ARRAY_COUNT(names));
    return names[health];
}

node_set health_alive(const struct health_view *view)
{
    node_set alive = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &view->control->nodes[id];

        if (node->id != 0 && !node->fenced && (view->heard & NODE_BIT(id)) != 0) {
            alive |= NODE_BIT(id);
        }
    }
    return alive;
}

static void TERN_PRINTF(3, 4)
    find(struct health_finding *finding, enum health health, const char *format, ...)
{
    va_list args;

    if (health <= finding->health) {
        return;
    }
    finding->health = health;
    va_start(args, format);
    (void)vsnprintf(finding->why, sizeof finding->why, format, args);
    va_end(args);
}

/* "2, 3" */
static void list_nodes(node_set nodes, char out[64])
{
    size_t used = 0;

    out[0] = '\0';
    for (uint32_t id = 1; id < WIRE_NODES_MAX && used < 56; id++) {
        if ((nodes & NODE_BIT(id)) != 0) {
            used += (size_t)snprintf(out + used, 64 - used, "%s%u", used > 0 ? ", " : "", id);
        }
    }
}

static uint32_t voter_regions(const struct control *control, node_set voters)
{
    uint32_t seen = 0; /* bit per region */

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if ((voters & NODE_BIT(id)) != 0) {
            seen |= 1u << control->nodes[id].region;
        }
    }
    return (uint32_t)__builtin_popcount(seen);
}

/* Data regions that the policy asks for: those that it names, else all that have a node. */
static uint32_t wanted_regions(const struct control *control, const struct policy *policy)
{
    uint32_t seen = 0;

    if (policy->region_count > 0) {
        return policy->region_count;
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];

        if (node->id != 0 && !node->removed && !control->regions[node->region].witness) {
            seen |= 1u << node->region;
        }
    }
    return (uint32_t)__builtin_popcount(seen);
}

struct health_finding health_partition(const struct health_view *view,
                                       const struct control_topic *topic, uint32_t partition)
{
    struct health_finding finding = {0};
    const struct control_partition *p = &topic->partitions[partition];
    node_set alive = health_alive(view);
    node_set missing = p->config.voters & ~alive;
    char names[64];
    uint32_t regions;

    CHECK(partition < topic->partition_count);
    list_nodes(missing, names);
    if (p->leader == 0) {
        find(&finding, HEALTH_UNHEALTHY, "partition %u has no leader", partition);
    } else if (!control_can_commit(view->control, &p->config, alive)) {
        find(&finding, HEALTH_UNHEALTHY, "partition %u can't reach its commit quorum (node %s)",
             partition, names);
    } else if ((alive & NODE_BIT(p->leader)) == 0) {
        find(&finding, HEALTH_UNHEALTHY, "partition %u is led by node %u, which isn't heard",
             partition, p->leader);
    }
    if (topic->policy.mode == POLICY_SYNC && p->config.w < topic->policy.ack) {
        find(&finding, HEALTH_DEGRADED, "partition %u acknowledges with %u regions, not %u",
             partition, p->config.w, topic->policy.ack);
        if (topic->policy.critical) {
            finding.health = HEALTH_VIOLATED;
        }
    }
    if (missing != 0) {
        find(&finding, HEALTH_DEGRADED, "partition %u is without node %s", partition, names);
    }
    regions = voter_regions(view->control, p->config.voters);
    if (regions < wanted_regions(view->control, &topic->policy)) {
        find(&finding, HEALTH_DEGRADED, "partition %u is kept in %u regions only", partition,
             regions);
    }
    if (!p->activated) {
        find(&finding, HEALTH_DEGRADED, "partition %u: its new configuration isn't active yet",
             partition);
    }
    if (topic->policy.critical && finding.health == HEALTH_UNHEALTHY) {
        finding.health = HEALTH_VIOLATED;
    }
    return finding;
}

void health_topic(const struct health_view *view, const struct control_topic *topic,
                  struct health_topic *out)
{
    node_set alive = health_alive(view);

    *out = (struct health_topic){0};
    for (uint32_t n = 0; n < topic->partition_count; n++) {
        const struct control_partition *p = &topic->partitions[n];
        struct health_finding finding = health_partition(view, topic, n);

        if (finding.health > out->finding.health) {
            out->finding = finding;
        }
        if (p->leader == 0 || (alive & NODE_BIT(p->leader)) == 0 ||
            !control_can_commit(view->control, &p->config, alive)) {
            out->leaderless++;
        }
        if ((p->config.voters & ~alive) != 0) {
            out->under_replicated++;
        }
        if (p->leader != 0) {
            uint32_t region = view->control->nodes[p->leader].region;

            CHECK(region < CONTROL_REGIONS_MAX);
            out->leaders[region]++;
        }
    }
}

void health_add(struct health_cluster *out, const char *code, enum health health,
                const char *subject, const char *format, ...)
{
    struct health_check *check = NULL;
    va_list args;

    out->health = health > out->health ? health : out->health;
    if (out->check_count < HEALTH_CHECKS_MAX) {
        check = &out->checks[out->check_count++];
    } else {
        for (uint32_t n = 0; n < HEALTH_CHECKS_MAX && check == NULL; n++) {
            check = out->checks[n].health < health ? &out->checks[n] : NULL;
        }
        if (check == NULL) {
            return;
        }
    }
    check->code = code;
    check->health = health;
    (void)snprintf(check->subject, sizeof check->subject, "%s", subject);
    va_start(args, format);
    (void)vsnprintf(check->text, sizeof check->text, format, args);
    va_end(args);
}

/* Nothing is said of it once its replicas have moved. */
static void check_removed(const struct health_view *view, uint32_t id, struct health_cluster *out)
{
    uint32_t held = 0;
    char subject[32];

    for (const struct control_topic *t = view->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            held += (control_members(&t->partitions[i].config) & NODE_BIT(id)) != 0;
        }
    }
    if (held > 0) {
        (void)snprintf(subject, sizeof subject, "node %u", id);
        health_add(out, "NODE_REMOVED", HEALTH_DEGRADED, subject,
                   "it is removed and still counts for %u partitions: another node of its region "
                   "must take them over",
                   held);
    }
}

static void check_nodes(const struct health_view *view, struct health_cluster *out)
{
    const struct control *control = view->control;
    uint32_t heard[CONTROL_REGIONS_MAX] = {0};
    uint32_t nodes[CONTROL_REGIONS_MAX] = {0};
    char subject[32];

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];

        if (node->id == 0) {
            continue;
        }
        CHECK(node->region < CONTROL_REGIONS_MAX);
        if (node->removed) {
            check_removed(view, id, out);
            continue;
        }
        nodes[node->region]++;
        (void)snprintf(subject, sizeof subject, "node %u", id);
        if ((view->heard & NODE_BIT(id)) == 0) {
            health_add(out, "NODE_UNREACHABLE", HEALTH_DEGRADED, subject, "it isn't heard");
            continue;
        }
        heard[node->region]++;
        if (node->forgot) {
            health_add(out, "NODE_FORGOT", HEALTH_DEGRADED, subject,
                       "its disk holds less than it acknowledged: start it again, it then becomes "
                       "a new incarnation and copies everything");
        } else if (node->fenced) {
            health_add(out, "NODE_FENCED", HEALTH_DEGRADED, subject,
                       "it is suspected by the controller and leads nothing");
        }
        if (node->full) {
            health_add(out, "NODE_FULL", HEALTH_DEGRADED, subject,
                       "its disk is below the reserve: free space there or raise it");
        }
        if (view->damaged[id] > 0) {
            health_add(out, "NODE_DAMAGED", HEALTH_DEGRADED, subject,
                       "%u places of its disk have lost their records and are being filled from "
                       "other nodes: if it goes on, replace the disk",
                       view->damaged[id]);
        }
    }
    out->regions = control->region_count;
    for (uint32_t n = 0; n < control->region_count; n++) {
        out->regions_heard += heard[n] > 0 ? 1 : 0;
        if (nodes[n] > 0 && heard[n] == 0) {
            health_add(out, "REGION_UNREACHABLE", HEALTH_DEGRADED, control->regions[n].name,
                       "none of its nodes is heard");
        }
    }
}

static void check_topics(const struct health_view *view, struct health_cluster *out)
{
    for (const struct control_topic *topic = view->control->by_name; topic != NULL;
         topic = topic->by_name.next) {
        struct health_topic found;

        health_topic(view, topic, &found);
        out->topics++;
        out->partitions += topic->partition_count;
        out->leaderless += found.leaderless;
        out->critical += topic->policy.critical ? 1 : 0;
        out->critical_met += topic->policy.critical && found.finding.health != HEALTH_VIOLATED;
        switch (found.finding.health) {
        case HEALTH_OK:
            break;
        case HEALTH_DEGRADED:
            health_add(out, "TOPIC_DEGRADED", HEALTH_DEGRADED, topic->name, "%s",
                       found.finding.why);
            break;
        case HEALTH_UNHEALTHY:
            health_add(out, "TOPIC_UNAVAILABLE", HEALTH_UNHEALTHY, topic->name, "%s",
                       found.finding.why);
            break;
        case HEALTH_VIOLATED:
            health_add(out, "POLICY_VIOLATED", HEALTH_VIOLATED, topic->name, "%s",
                       found.finding.why);
            break;
        }
    }
}

static void check_ledger(const struct health_view *view, struct health_cluster *out)
{
    const struct control *control = view->control;
    char last[CONTROL_TOPIC_NAME_MAX] = "";

    for (uint32_t n = 0; n < control->ledger_count; n++) {
        const struct control_ledger_entry *entry = &control->ledger[n];

        if (entry->until_wall_ms != 0) {
            continue;
        }
        out->ledger_open++;
        if (strcmp(last, entry->topic) != 0) {
            health_add(out, "LEDGER_OPEN", HEALTH_DEGRADED, entry->topic,
                       "a weaker promise than its policy's is in force: see tern ledger");
            (void)snprintf(last, sizeof last, "%s", entry->topic);
        }
    }
}

void health_cluster(const struct health_view *view, struct health_cluster *out)
{
    memset(out, 0, sizeof *out);
    if (uuid_is_zero(view->control->cluster_id)) {
        health_add(out, "NOT_FOUNDED", HEALTH_UNHEALTHY, "cluster",
                   "this node belongs to no cluster yet: tern cluster init founds one");
        return;
    }
    if (!view->leader_known) {
        health_add(out, "NO_CONTROLLER", HEALTH_UNHEALTHY, "quorum",
                   "no majority of the voters has elected a controller");
    }
    check_topics(view, out);
    check_nodes(view, out);
    check_ledger(view, out);
}
