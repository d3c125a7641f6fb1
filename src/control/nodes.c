/* SPDX-License-Identifier: Apache-2.0 */
/* Founding, registration, and what is known of a node's health.
 *
 * Registration is what protects against disks that forget ("Amnesia" in docs/replication): a start
 * leads nothing that an earlier start led, and a disk that does not remember its last start comes
 * back as a new incarnation. */
#include "base/mutant.h"
#include "control/internal.h"

static struct control_node *node_of(struct apply *a, uint32_t id)
{
    if (id == 0 || id >= WIRE_NODES_MAX || a->control->nodes[id].id == 0) {
        (void)apply_refuse(a, TERN_ENOENT, "there is no node %u", id);
        return NULL;
    }
    return &a->control->nodes[id];
}

static void node_changed(struct apply *a, uint32_t id)
{
    apply_change(a, (struct control_change){.kind = CONTROL_NODE, .node = id});
}

/* Index of the region, made if it is new; negative: refused. */
static int32_t region_for(struct apply *a, const char *name, bool witness)
{
    struct control *control = a->control;
    int32_t found = control_region_named(control, name);

    if (name[0] == '\0' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            strlen(name)) {
        return apply_refuse(a, TERN_EIDENTITY, "a region's name has letters, digits, . _ -");
    }
    if (found >= 0) {
        if (control->regions[found].witness != witness) {
            return apply_refuse(a, TERN_EIDENTITY, "region %s is a %s region", name,
                                witness ? "data" : "witness");
        }
        return found;
    }
    if (control->region_count == CONTROL_REGIONS_MAX) {
        return apply_refuse(a, TERN_EIDENTITY, "region %s would be one too many, the most is %d",
                            name, CONTROL_REGIONS_MAX);
    }
    struct control_region *region = &control->regions[control->region_count];
    *region = (struct control_region){.witness = witness};
    memcpy(region->name, name, strlen(name) + 1);
    return (int32_t)control->region_count++;
}

/* ---- founding ------------------------------------------------------------------------------ */

static bool founders_fit(struct apply *a, const struct command *command)
{
    for (size_t i = 0; i < command->as.found.count; i++) {
        const struct command_founder *f = &command->as.found.founders[i];
        if (f->node_id == 0 || f->node_id >= WIRE_NODES_MAX || f->raft_id == 0) {
            (void)apply_refuse(a, TERN_EREFUSED, "node ids are 1 to %d", WIRE_NODES_MAX - 1);
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            const struct command_founder *other = &command->as.found.founders[k];
            if (other->node_id == f->node_id || other->raft_id == f->raft_id) {
                (void)apply_refuse(a, TERN_EREFUSED, "node %u is named twice", f->node_id);
                return false;
            }
        }
    }
    return true;
}

void apply_found(struct apply *a, const struct command *command)
{
    struct control *control = a->control;
    struct control before = *control;

    if (!uuid_is_zero(control->cluster_id)) {
        if (!uuid_equal(control->cluster_id, command->as.found.cluster_id)) {
            (void)apply_refuse(a, TERN_EEXIST, "the cluster %s is founded already",
                               control->cluster_name);
        }
        return;
    }
    if (command->as.found.count == 0 || uuid_is_zero(command->as.found.cluster_id)) {
        (void)apply_refuse(a, TERN_EREFUSED, "a cluster needs an id and founders");
        return;
    }
    if (!founders_fit(a, command)) {
        return;
    }
    for (size_t i = 0; i < command->as.found.count; i++) {
        const struct command_founder *f = &command->as.found.founders[i];
        int32_t region = region_for(a, f->region, f->witness);
        if (region < 0) {
            *control = before;
            return;
        }
        control->nodes[f->node_id] = (struct control_node){.id = f->node_id,
                                                           .region = (uint32_t)region,
                                                           .incarnation = 1,
                                                           .raft_id = f->raft_id,
                                                           .registered_index = a->index};
        if (f->raft_id >= control->next_raft_id) {
            control->next_raft_id = f->raft_id + 1;
        }
    }
    control->cluster_id = command->as.found.cluster_id;
    memcpy(control->cluster_name, command->as.found.cluster_name, sizeof control->cluster_name);
    apply_change(a, (struct control_change){.kind = CONTROL_FOUNDED});
}

/* ---- registration -------------------------------------------------------------------------- */

enum disk_memory {
    DISK_REMEMBERS, /* all that was promised with it */
    DISK_IS_FIRST,  /* of a node that never registered */
    DISK_HAS_FORGOTTEN,
    DISK_IS_FOREIGN,
    DISK_IS_REMOVED, /* the operator has given it up */
    DISK_IS_LATE     /* a later start of it is registered: this command lay somewhere */
};

/* Numbers alone do not tell an old copy from the disk itself: it may have been started so often
 * without being registered that its number is the higher one. The stamp does. */
static bool stamp_known(const struct control_node *node, const struct command_registration *r)
{
    return r->stamp == 0 || node->stamp == 0 || r->stamp == node->stamp ||
           r->stamp_final == node->stamp;
}

/* By its numbers and its last stamp. */
static bool remembers(const struct control_node *node, const struct command_registration *r)
{
    if (r->new_incarnation) {
        return false;
    }
    if (node->start_number == 0) {
        /* A founder: what it stored at founding is its raft id. */
        return r->raft_id == node->raft_id;
    }
    return r->incarnation == node->incarnation && r->start_number > node->start_number &&
           r->raft_id == node->raft_id && stamp_known(node, r);
}

/* Somebody has registered since it was written. */
static bool is_outdated(const struct control_node *node, const struct command_registration *r)
{
    return r->conditional && node->start_number > r->if_start && !MUTANT(registered_late);
}

static enum disk_memory disk_memory(const struct control_node *node,
                                    const struct command_registration *r)
{
    if (node->id == 0) {
        return r->incarnation == 0 ? DISK_IS_FIRST : DISK_IS_FOREIGN;
    }
    if (r->incarnation > node->incarnation) {
        return DISK_IS_FOREIGN;
    }
    if (r->stamp != 0 && r->stamp == node->stamp) {
        /* This disk's registration, applied already: by this start's twin or by an earlier start
         * that did not hear of it. */
        return r->start_number > node->stamp_start ? DISK_REMEMBERS : DISK_IS_LATE;
    }
    if (node->removed && r->incarnation != 0 && !r->new_incarnation) {
        return DISK_IS_REMOVED;
    }
    return remembers(node, r)     ? DISK_REMEMBERS
           : is_outdated(node, r) ? DISK_IS_LATE
                                  : DISK_HAS_FORGOTTEN;
}

/* The replicas of the node have forgotten: they count from the next epoch of each partition. */
static void forget_replicas(struct control *control, uint32_t node)
{
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            struct control_partition *p = &t->partitions[i];
            for (uint32_t k = 0; k < p->replica_count; k++) {
                if (p->replicas[k].node == node) {
                    p->replicas[k].since = p->epoch + 1;
                }
            }
        }
    }
}

static void new_incarnation(struct apply *a, struct control_node *node, bool first)
{
    a->result->old_raft_id = first ? 0 : node->raft_id;
    a->result->rolled_back = !first;
    node->incarnation += MUTANT(forgotten_same) && !first ? 0 : 1;
    node->forgot = false;
    node->removed = false;
    node->raft_id = a->control->next_raft_id++;
    node->registered_index = a->index;
    if (!first) {
        forget_replicas(a->control, node->id);
    }
}

static void store_registration(struct control_node *node, const struct command_registration *r)
{
    memcpy(node->rack, r->rack, sizeof node->rack);
    memcpy(node->kafka_host, r->kafka_host, sizeof node->kafka_host);
    node->kafka_port = r->kafka_port;
    memcpy(node->mesh_address, r->mesh_address, sizeof node->mesh_address);
    memcpy(node->admin_address, r->admin_address, sizeof node->admin_address);
    /* Ever rising, also where the disk had forgotten how far it had counted. */
    node->start_number =
        r->start_number > node->start_number ? r->start_number : node->start_number + 1;
    node->stamp = r->stamp;
    node->stamp_start = r->start_number;
    node->level = r->level;
    node->fenced = node->forgot; /* it is there; the controller suspects it again if it is not */
}

void apply_register(struct apply *a, const struct command_registration *r)
{
    struct control *control = a->control;

    if (r->node_id == 0 || r->node_id >= WIRE_NODES_MAX || r->start_number == 0) {
        (void)apply_refuse(a, TERN_EIDENTITY, "node ids are 1 to %d, starts count from 1",
                           WIRE_NODES_MAX - 1);
        return;
    }
    struct control_node *node = &control->nodes[r->node_id];
    enum disk_memory memory = disk_memory(node, r);
    if (memory == DISK_IS_FOREIGN) {
        (void)apply_refuse(a, TERN_EIDENTITY,
                           "node %u claims incarnation %u, but %u is the last one registered: "
                           "its disk belongs to another cluster or node",
                           r->node_id, r->incarnation, node->incarnation);
        return;
    }
    if (memory == DISK_IS_REMOVED) {
        (void)apply_refuse(a, TERN_EREFUSED,
                           "node %u was removed from the cluster: to bring it back, start it with "
                           "an empty directory",
                           r->node_id);
        return;
    }
    if (memory == DISK_IS_LATE) {
        (void)apply_refuse(a, TERN_EREFUSED, "start %llu of node %u is over, a later one is known",
                           (unsigned long long)r->start_number, r->node_id);
        return;
    }
    if (node->id != 0 && strcmp(control->regions[node->region].name, r->region) != 0) {
        (void)apply_refuse(a, TERN_EIDENTITY, "node %u belongs to region %s, not %s", r->node_id,
                           control->regions[node->region].name, r->region);
        return;
    }
    if (r->level < control->feature_level) {
        (void)apply_refuse(
            a, TERN_EFORMAT,
            "the cluster is at feature level %u, the build of node %u knows %u: start "
            "a newer one",
            control->feature_level, r->node_id, r->level);
        return;
    }
    int32_t region = region_for(a, r->region, r->witness);
    if (region < 0) {
        return;
    }
    node->id = r->node_id;
    node->region = (uint32_t)region;
    if (memory != DISK_REMEMBERS) {
        new_incarnation(a, node, memory == DISK_IS_FIRST);
    }
    store_registration(node, r);
    a->result->incarnation = node->incarnation;
    a->result->raft_id = node->raft_id;
    a->result->start_number = node->start_number;
    level_settle(a);
    node_changed(a, r->node_id);
    apply_move_leaders(a, r->node_id, true);
}

/* ---- health -------------------------------------------------------------------------------- */

void apply_fence(struct apply *a, uint32_t id, bool set)
{
    struct control_node *node = node_of(a, id);

    if (node == NULL || node->fenced == set) {
        return;
    }
    node->fenced = set;
    node_changed(a, id);
    if (set) {
        apply_move_leaders(a, id, false);
    }
}

void apply_forgot(struct apply *a, uint32_t id, uint32_t incarnation)
{
    struct control_node *node = node_of(a, id);

    if (node == NULL || node->incarnation != incarnation || node->forgot) {
        return; /* it is another disk by now */
    }
    node->forgot = true;
    node->fenced = true;
    forget_replicas(a->control, id);
    node_changed(a, id);
    apply_move_leaders(a, id, false);
}

/* Who is known to hold what its `synced` says; who has forgotten and only may have caught up is not. */
static node_set proven(const struct control_partition *p, node_set nodes)
{
    for (uint32_t i = 0; i < p->replica_count; i++) {
        if (p->replicas[i].since != 0 && !MUTANT(removed_trusting)) {
            nodes &= ~NODE_BIT(p->replicas[i].node);
        }
    }
    return control_recoverable(p, nodes);
}

/* Nothing may depend on it alone: its disk is given up. */
static bool may_go(struct apply *a, uint32_t id)
{
    node_set others = control_alive(a->control) & ~NODE_BIT(id);

    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            const struct control_partition *p = &t->partitions[i];
            if ((control_members(&p->recover) & NODE_BIT(id)) != 0 &&
                !control_can_recover(a->control, &p->recover, proven(p, others))) {
                (void)apply_refuse(a, TERN_EREFUSED,
                                   "%s-%u cannot be recovered without it: bring a node that has it "
                                   "back, or give up what is lost by tern topic recover",
                                   t->name, i);
                return false;
            }
        }
    }
    return true;
}

void apply_remove_node(struct apply *a, uint32_t id)
{
    struct control_node *node = node_of(a, id);

    if (node == NULL || node->removed || !may_go(a, id)) {
        return;
    }
    node->removed = true;
    node->fenced = true;
    level_settle(a);
    node_changed(a, id);
    for (struct control_topic *t = a->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            /* It would wait for the node for ever. */
            bool waits = (t->partitions[i].target & NODE_BIT(id)) != 0;
            t->partitions[i].target = waits ? 0 : t->partitions[i].target;
        }
    }
    apply_move_leaders(a, id, false);
}

void apply_full(struct apply *a, uint32_t id, bool set)
{
    struct control_node *node = node_of(a, id);

    if (node == NULL || node->full == set) {
        return;
    }
    node->full = set;
    node_changed(a, id);
    if (set) {
        apply_move_leaders(a, id, false);
    }
}
