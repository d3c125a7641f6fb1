/* SPDX-License-Identifier: Apache-2.0 */
/* Changes on behalf of an operator: one or more commands, proposed one after the other through the
 * quorum; the first that is refused ends the row. */
#include <stdio.h>
#include <string.h>

#include "admin/inner.h"
#include "base/trace.h"
#include "control/command.h"
#include "policy/capped_alloc.h"

#define STEPS_MAX 64

struct step {
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command; /* empty: there is nothing to do */
    int error;
    char why[ADMIN_WHY];
    struct uuid topic_id;
    uint32_t partitions;
    bool unchanged;
};

struct change {
    struct quorum_proposal proposal;
    struct link link; /* in admin->changes */
    struct admin *admin;
    struct net_call *call;
    size_t count;
    size_t at; /* under way */
    struct step steps[];
};

static struct change *change_new(struct admin *admin, const struct change_caller *caller,
                                 size_t count)
{
    struct change *change = mem_new(sizeof *change + count * sizeof change->steps[0]);

    CHECK(count <= STEPS_MAX);
    change->admin = admin;
    change->call = caller->call;
    change->count = count;
    queue_push(&admin->changes, &change->link);
    return change;
}

static void change_free(struct change *change)
{
    for (size_t n = 0; n < change->count; n++) {
        buf_fini(&change->steps[n].command);
    }
    link_remove(&change->link);
    free(change);
}

void changes_cancel(struct admin *admin)
{
    while (!queue_empty(&admin->changes)) {
        struct change *change = CONTAINER_OF(admin->changes.next, struct change, link);

        if (node_quorum(admin->options.node) != NULL) {
            quorum_cancel(node_quorum(admin->options.node), &change->proposal);
        }
        admin_reply(admin, change->call, TERN_ECANCELED,
                    slice_text("the node is stopping: whether the change was made is unknown"));
        change_free(change);
    }
}

/* The first error is the answer's; what was done before it is in the sentence. */
static void reply_refused(struct change *change, const struct step *step, size_t done)
{
    char why[ADMIN_WHY + CONTROL_TOPIC_NAME_MAX + 64];

    bool named = strstr(step->why, step->name) != NULL || strncmp(step->why, "policy ", 7) == 0 ||
                 strncmp(step->why, "topic ", 6) == 0;
    bool done_before = false;

    for (size_t n = 0; n < done; n++) {
        done_before = done_before || change->steps[n].command.len > 0;
    }
    (void)snprintf(why, sizeof why, "%s%s%s%s", named ? "" : step->name, named ? "" : ": ",
                   step->why, done_before ? " (what was named before it is done)" : "");
    admin_reply(change->admin, change->call, step->error, slice_text(why));
}

static void change_reply(struct change *change)
{
    struct pool pool = {0};
    struct buf out = {0};
    Tern__Admin__Changed message;

    for (size_t n = 0; n < change->count; n++) {
        if (change->steps[n].error != 0) {
            reply_refused(change, &change->steps[n], n);
            return;
        }
    }
    tern__admin__changed__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.items = pool_new(&pool, (change->count + 1) * sizeof(*message.items));
    for (size_t n = 0; n < change->count; n++) {
        const struct step *step = &change->steps[n];
        Tern__Admin__Changed__Item *item = pool_new(&pool, sizeof *item);

        tern__admin__changed__item__init(item);
        item->name = pool_text(&pool, step->name);
        item->unchanged = step->unchanged;
        item->partitions = step->partitions;
        if (!uuid_is_zero(step->topic_id)) {
            item->id = pool_bytes(&pool, slice_of(step->topic_id.bytes, 16));
        }
        message.items[message.n_items++] = item;
    }
    pack_into(&out, &message.base);
    admin_reply(change->admin, change->call, 0, buf_slice(&out));
    buf_fini(&out);
    pool_fini(&pool);
}

static void change_next(struct change *change);

static void on_proposed(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct change *change = CONTAINER_OF(proposal, struct change, proposal);
    struct step *step = &change->steps[change->at];
    struct command_result read = {0};

    step->error = status == 0 ? command_result_read(result, &read) : status;
    if (step->error == 0) {
        step->error = read.error;
        step->topic_id = read.topic_id;
        step->partitions = read.partitions > 0 ? read.partitions : step->partitions;
        (void)snprintf(step->why, sizeof step->why, "%s", read.why);
    } else if (step->error == TERN_ETIMEDOUT) {
        (void)snprintf(step->why, sizeof step->why,
                       "the quorum did not answer in time; whether it was done is unknown: look, "
                       "then ask again");
    }
    if (step->error != 0 && step->why[0] == '\0') {
        (void)snprintf(step->why, sizeof step->why, "%s", error_sentence(step->error));
    }
    change->at++;
    if (step->error != 0) {
        change->at = change->count;
    }
    change_next(change);
}

static void change_next(struct change *change)
{
    while (change->at < change->count && change->steps[change->at].command.len == 0) {
        change->at++;
    }
    if (change->at == change->count) {
        change_reply(change);
        change_free(change);
        return;
    }
    change->proposal.done = on_proposed;
    quorum_submit(node_quorum(change->admin->options.node),
                  buf_slice(&change->steps[change->at].command), &change->proposal);
}

/* "client:alice for bob": the certificate's name, and who the caller says it acts for. */
static void name_author(const struct change_caller *caller, const char *author, char out[96])
{
    (void)snprintf(out, 96, "%.60s%s%.24s", caller->principal, author[0] != '\0' ? " " : "",
                   author);
}

static int malformed(char why[ADMIN_WHY])
{
    (void)snprintf(why, ADMIN_WHY, "the request is malformed");
    return TERN_EMALFORMED;
}

/* ---- topics --------------------------------------------------------------------------------- */

int change_topic_create(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__CreateTopic *message =
        tern__admin__create_topic__unpack(&allocator, body.len, body.base);
    struct clock *clock = admin->options.clock;
    struct change *change;
    struct uuid id;
    int rv;

    if (message == NULL) {
        return malformed(why);
    }
    rv = admin_format_check(message->format, why);
    rv = rv == 0 ? admin_ready(admin, why) : rv;
    if (rv == 0 && (message->name[0] == '\0' || strlen(message->name) >= CONTROL_TOPIC_NAME_MAX)) {
        (void)snprintf(why, ADMIN_WHY, "a topic name has 1 to %d characters",
                       CONTROL_TOPIC_NAME_MAX - 1);
        rv = TERN_EINVALIDTOPIC;
    }
    if (rv == 0) {
        change = change_new(admin, caller, 1);
        id = uuid_from_random(clock_random(clock), clock_random(clock));
        (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "%s", message->name);
        command_create_topic(&change->steps[0].command, node_next_key(admin->options.node),
                             message->name, id, message->partitions,
                             message->policy[0] != '\0' ? message->policy : NULL, INT64_MIN,
                             INT64_MIN);
        trace_info("event=topic_create topic=%s by=%s", message->name, caller->principal);
        change_next(change);
    }
    tern__admin__create_topic__free_unpacked(message, &allocator);
    return rv;
}

int change_topic_delete(struct admin *admin, const struct change_caller *caller, const char *name,
                        char why[ADMIN_WHY])
{
    struct change *change;
    int rv = admin_ready(admin, why);

    if (rv != 0) {
        return rv;
    }
    if (control_topic_named(node_control(admin->options.node), name) == NULL) {
        (void)snprintf(why, ADMIN_WHY, "there is no topic %.180s: see tern topic list", name);
        return TERN_ENOENT;
    }
    change = change_new(admin, caller, 1);
    (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "%s", name);
    command_delete_topic(&change->steps[0].command, node_next_key(admin->options.node), name);
    trace_info("event=topic_delete topic=%s by=%s", name, caller->principal);
    change_next(change);
    return 0;
}

/* As if it were done; refused with the reason, and with how a weaker promise is confirmed. */
static int check_topic_policy(const struct control *control, struct slice command,
                              const char *topic, char why[ADMIN_WHY])
{
    struct command_result would;

    control_check(control, command, &would);
    if (would.error == TERN_EPOLICY && strstr(would.why, "critical") != NULL) {
        (void)snprintf(why, ADMIN_WHY, "%.110s; if you mean it: --weaken %.80s", would.why, topic);
    } else if (would.error != 0) {
        (void)snprintf(why, ADMIN_WHY, "%s", would.why);
    }
    return would.error;
}

static int topic_policy(struct admin *admin, const struct change_caller *caller,
                        const Tern__Admin__TopicPolicy *message, char why[ADMIN_WHY])
{
    const struct control *control = node_control(admin->options.node);
    const struct control_topic *topic = control_topic_named(control, message->topic);
    bool named = message->policy[0] != '\0';
    struct topic_config_change wanted = {.op = named ? TOPIC_CONFIG_SET : TOPIC_CONFIG_DELETE,
                                         .name = TOPIC_CONFIG_POLICY,
                                         .value = named ? message->policy : NULL};
    struct buf command = {0};
    char author[96];

    if (topic == NULL) {
        (void)snprintf(why, ADMIN_WHY, "there is no topic %.180s: see tern topic list",
                       message->topic);
        return TERN_ENOENT;
    }
    const char *now = topic_configs_get(&topic->configs, TOPIC_CONFIG_POLICY);
    bool same = strcmp(now != NULL ? now : "", message->policy) == 0;
    command_alter_topic(&command, node_next_key(admin->options.node), topic->name, &wanted, 1,
                        false, message->weaken);
    int rv = same ? 0 : check_topic_policy(control, buf_slice(&command), topic->name, why);
    if (rv != 0 || same || message->check) {
        buf_clear(&command);
    }
    if (rv == 0) {
        struct change *change = change_new(admin, caller, 1);
        (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "%s", topic->name);
        change->steps[0].unchanged = same;
        change->steps[0].command = command;
        name_author(caller, message->author, author);
        if (command.len > 0) {
            trace_info("event=topic_policy topic=%s policy=%s by=\"%s\"", topic->name,
                       named ? message->policy : "-", author);
        }
        change_next(change);
    } else {
        buf_fini(&command);
    }
    return rv;
}

int change_topic_policy(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__TopicPolicy *message =
        tern__admin__topic_policy__unpack(&allocator, body.len, body.base);

    if (message == NULL) {
        return malformed(why);
    }
    int rv = admin_format_check(message->format, why);
    rv = rv == 0 ? admin_ready(admin, why) : rv;
    rv = rv == 0 ? topic_policy(admin, caller, message, why) : rv;
    tern__admin__topic_policy__free_unpacked(message, &allocator);
    return rv;
}

/* ---- what is lost ---------------------------------------------------------------------------- */

#define RECOVER_MAX 512 /* partitions in one go */

struct recovery {
    struct command_assignment assignments[RECOVER_MAX];
    struct control_ledger_entry entries[RECOVER_MAX];
    size_t count;
    bool more;
};

/* Of those heard: whose present start is registered. The registration of another one would take away
 * what its earlier start was just made to lead, and an operator's word is not given twice. */
static node_set registered_nodes(const struct node *node, node_set heard)
{
    uint32_t self = node_settings(node)->node_id;
    node_set set = node_phase(node) == NODE_READY ? NODE_BIT(self) : 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        struct node_peer_view peer = {0};
        if (id != self && (heard & NODE_BIT(id)) != 0) {
            node_peer(node, id, &peer);
            set |= peer.ready ? NODE_BIT(id) : 0;
        }
    }
    return set;
}

/* The partition joins the recovery if it cannot recover by itself. */
static int recover_one(struct admin *admin, const struct control_topic *topic, uint32_t index,
                       bool named, const char *author, struct recovery *r, char why[ADMIN_WHY])
{
    const struct control *control = node_control(admin->options.node);
    const struct control_partition *p = &topic->partitions[index];
    struct health_view view = admin_view(admin);
    node_set alive = control_alive(control) & view.heard;
    node_set registered = alive & registered_nodes(admin->options.node, view.heard);
    uint32_t leader = control_choose_survivor(control, topic, p, registered);

    struct node_partition_view here;

    /* Whether a replica has caught up since it forgot is known to the replicas only: a partition
     * that is named is taken at the operator's word, unless it serves. */
    node_partition(admin->options.node, topic->id, (int32_t)index, &here);
    if (named ? here.serves : control_recovers(control, p, alive)) {
        if (named) {
            (void)snprintf(why, ADMIN_WHY,
                           "partition %u of %.100s is served: nothing is to be given up", index,
                           topic->name);
        }
        return named ? TERN_EREFUSED : 0;
    }
    if (leader == 0 && control_choose_survivor(control, topic, p, alive) != 0) {
        (void)snprintf(
            why, ADMIN_WHY,
            "partition %u of %.100s: a node that has it is just starting: ask again in a "
            "moment",
            index, topic->name);
        return TERN_EBUSY;
    }
    if (leader == 0) {
        (void)snprintf(why, ADMIN_WHY,
                       "partition %u of %.100s: no node that has it is heard, so nothing can be "
                       "recovered: bring one back",
                       index, topic->name);
        return named ? TERN_EREFUSED : 0;
    }
    if (r->count == RECOVER_MAX) {
        r->more = true;
        return 0;
    }
    struct command_assignment *a = &r->assignments[r->count];
    struct control_ledger_entry *e = &r->entries[r->count++];
    a->topic_id = topic->id;
    a->partition = (int32_t)index;
    a->if_epoch = p->epoch;
    a->leader = leader;
    a->lossy = true;
    (void)snprintf(a->decided_by, sizeof a->decided_by, "%.95s", author);
    e->kind = LEDGER_EXPOSED;
    memcpy(e->topic, topic->name, sizeof e->topic);
    e->partition = (int32_t)index;
    e->first_offset = -1;
    e->end_offset = -1;
    e->since_wall_ms = clock_wall_ms(admin->options.clock);
    e->until_wall_ms = e->since_wall_ms;
    (void)snprintf(e->decided_by, sizeof e->decided_by, "%.95s", author);
    (void)snprintf(e->note, sizeof e->note,
                   "an operator gave up what only lost replicas hold: epoch %d begins with what "
                   "node %u and the others left have",
                   p->epoch + 1, leader);
    return 0;
}

static int recover_all(struct admin *admin, const Tern__Admin__Recover *message, const char *author,
                       struct recovery *r, char why[ADMIN_WHY])
{
    const struct control_topic *topic =
        control_topic_named(node_control(admin->options.node), message->topic);
    int rv = 0;

    if (topic == NULL) {
        (void)snprintf(why, ADMIN_WHY, "there is no topic %.180s: see tern topic list",
                       message->topic);
        return TERN_ENOENT;
    }
    for (size_t n = 0; rv == 0 && n < message->n_partitions; n++) {
        if (message->partitions[n] >= topic->partition_count) {
            (void)snprintf(why, ADMIN_WHY, "%.100s has %u partitions, counted from 0", topic->name,
                           topic->partition_count);
            return TERN_ENOENT;
        }
        rv = recover_one(admin, topic, message->partitions[n], true, author, r, why);
    }
    for (uint32_t i = 0; rv == 0 && message->n_partitions == 0 && i < topic->partition_count; i++) {
        rv = recover_one(admin, topic, i, false, author, r, why);
    }
    if (rv == 0 && r->count == 0) {
        if (why[0] == '\0') {
            (void)snprintf(why, ADMIN_WHY,
                           "every partition of %.100s can recover without loss: nothing is to be "
                           "given up",
                           topic->name);
        }
        rv = TERN_EREFUSED;
    }
    return rv;
}

int change_topic_recover(struct admin *admin, const struct change_caller *caller, struct slice body,
                         char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__Recover *message = tern__admin__recover__unpack(&allocator, body.len, body.base);
    struct recovery *r;
    char author[96];
    int rv;

    if (message == NULL) {
        return malformed(why);
    }
    r = mem_new(sizeof *r);
    name_author(caller, message->author, author);
    rv = admin_format_check(message->format, why);
    rv = rv == 0 ? admin_ready(admin, why) : rv;
    rv = rv == 0 ? recover_all(admin, message, author, r, why) : rv;
    if (rv == 0) {
        struct change *change = change_new(admin, caller, 2);
        struct node *node = admin->options.node;

        /* The ledger first: whatever happens in between, it says more than was lost, not less. */
        command_ledger_entries(&change->steps[0].command, node_next_key(node), r->entries,
                               r->count);
        command_assign(&change->steps[1].command, node_next_key(node), r->assignments, r->count);
        (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "%s", message->topic);
        (void)snprintf(change->steps[1].name, sizeof change->steps[1].name, "%s", message->topic);
        change->steps[1].partitions = (uint32_t)r->count;
        trace_warn("event=topic_recover topic=%s partitions=%zu by=\"%s\"", message->topic,
                   r->count, author);
        change_next(change);
    }
    free(r);
    tern__admin__recover__free_unpacked(message, &allocator);
    return rv;
}

static int may_remove(struct admin *admin, uint32_t id, char why[ADMIN_WHY])
{
    const struct control *control = node_control(admin->options.node);
    struct health_view view = admin_view(admin);

    if (id == 0 || id >= WIRE_NODES_MAX || control->nodes[id].id == 0) {
        (void)snprintf(why, ADMIN_WHY, "there is no node %u: see tern quorum", id);
        return TERN_ENOENT;
    }
    if (control->nodes[id].removed) {
        (void)snprintf(why, ADMIN_WHY, "node %u is removed already", id);
        return TERN_EREFUSED;
    }
    if ((view.heard & NODE_BIT(id)) != 0) {
        (void)snprintf(why, ADMIN_WHY,
                       "node %u is there: only a node that is dead is removed; stop it first", id);
        return TERN_EREFUSED;
    }
    return 0;
}

int change_node_remove(struct admin *admin, const struct change_caller *caller, struct slice body,
                       char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__RemoveNode *message =
        tern__admin__remove_node__unpack(&allocator, body.len, body.base);
    char author[96];
    int rv;

    if (message == NULL) {
        return malformed(why);
    }
    name_author(caller, message->author, author);
    rv = admin_format_check(message->format, why);
    rv = rv == 0 ? admin_ready(admin, why) : rv;
    rv = rv == 0 ? may_remove(admin, message->node, why) : rv;
    if (rv == 0) {
        struct change *change = change_new(admin, caller, 1);

        (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "node %u",
                       message->node);
        command_remove_node(&change->steps[0].command, node_next_key(admin->options.node),
                            message->node, author);
        trace_warn("event=node_remove node=%u by=\"%s\"", message->node, author);
        change_next(change);
    }
    tern__admin__remove_node__free_unpacked(message, &allocator);
    return rv;
}

/* ---- policies ------------------------------------------------------------------------------- */

static const struct control_policy *policy_now(const struct control *control, const char *name)
{
    for (uint32_t n = 0; n < control->policy_count; n++) {
        if (strcmp(control->policies[n].policy.name, name) == 0) {
            return &control->policies[n];
        }
    }
    return NULL;
}

/* Data regions that the cluster has, for policy_satisfiable. */
static int satisfiable(const struct control *control, const struct policy *policy,
                       char why[ADMIN_WHY])
{
    char regions[CONTROL_REGIONS_MAX][WIRE_NAME_MAX];
    uint32_t nodes[CONTROL_REGIONS_MAX] = {0};
    size_t count = 0;

    for (uint32_t n = 0; n < control->region_count; n++) {
        if (control->regions[n].witness) {
            continue;
        }
        memcpy(regions[count], control->regions[n].name, WIRE_NAME_MAX);
        for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
            const struct control_node *node = &control->nodes[id];

            nodes[count] += node->id != 0 && !node->removed && node->region == n ? 1 : 0;
        }
        count++;
    }
    return policy_satisfiable(policy, (const char(*)[WIRE_NAME_MAX])regions, nodes, count, why);
}

static bool confirmed(const Tern__Admin__ApplyPolicies *message, const char *name)
{
    for (size_t n = 0; n < message->n_weaken; n++) {
        if (strcmp(message->weaken[n], name) == 0) {
            return true;
        }
    }
    return false;
}

/* One policy: can it be applied, and does it differ from what is in force? */
static int check_policy(const struct control *control, const struct policy *policy, bool weaken,
                        bool *out_same, char why[ADMIN_WHY])
{
    const struct control_policy *now = policy_now(control, policy->name);
    struct buf before = {0};
    struct buf after = {0};
    char reason[ADMIN_WHY] = "";

    if (satisfiable(control, policy, reason) != 0) {
        (void)snprintf(why, ADMIN_WHY, "%s", reason); /* it names the policy */
        return TERN_EPOLICY;
    }
    *out_same = false;
    if (now == NULL) {
        return 0;
    }
    if (now->policy.critical && policy_weakens(&now->policy, policy, reason) && !weaken) {
        (void)snprintf(why, ADMIN_WHY,
                       "policy %s is critical and would promise less (%.100s); if you mean it: "
                       "--weaken %s",
                       policy->name, reason, policy->name);
        return TERN_EREFUSED;
    }
    policy_pack(&now->policy, &before);
    policy_pack(policy, &after);
    *out_same = slice_equal(buf_slice(&before), buf_slice(&after));
    buf_fini(&before);
    buf_fini(&after);
    return 0;
}

static int apply_read(struct admin *admin, const Tern__Admin__ApplyPolicies *message,
                      struct policy *policies, bool *same, char why[ADMIN_WHY])
{
    for (size_t n = 0; n < message->n_policies; n++) {
        struct slice packed = slice_of(message->policies[n].data, message->policies[n].len);
        int rv = policy_unpack(packed, &policies[n]);

        if (rv != 0) {
            (void)snprintf(why, ADMIN_WHY,
                           rv == TERN_EFORMAT ? "tern and this node know different policy formats"
                                              : "a policy in the request is malformed");
            return rv;
        }
        rv = check_policy(node_control(admin->options.node), &policies[n],
                          confirmed(message, policies[n].name), &same[n], why);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static void apply_start(struct admin *admin, const struct change_caller *caller,
                        const Tern__Admin__ApplyPolicies *message, const struct policy *policies,
                        const bool *same)
{
    struct change *change = change_new(admin, caller, message->n_policies);
    int64_t wall_ms = clock_wall_ms(admin->options.clock);
    char author[96];

    name_author(caller, message->author, author);
    struct command_policy items[STEPS_MAX];
    size_t count = 0;
    size_t first = 0;

    for (size_t n = 0; n < message->n_policies; n++) {
        struct step *step = &change->steps[n];

        (void)snprintf(step->name, sizeof step->name, "%s", policies[n].name);
        step->unchanged = same[n];
        if (!same[n]) {
            first = count == 0 ? n : first;
            items[count++] =
                (struct command_policy){&policies[n], confirmed(message, policies[n].name)};
            trace_info("event=policy_apply policy=%s by=\"%s\"", policies[n].name, author);
        }
    }
    if (count > 0) { /* one command: all of them, or none */
        command_put_policies(&change->steps[first].command, node_next_key(admin->options.node),
                             items, count, author, wall_ms);
    }
    change_next(change);
}

int change_policy_apply(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__ApplyPolicies *message =
        tern__admin__apply_policies__unpack(&allocator, body.len, body.base);
    bool same[STEPS_MAX] = {0};
    struct policy *policies;
    int rv;

    if (message == NULL) {
        return malformed(why);
    }
    rv = admin_format_check(message->format, why);
    rv = rv == 0 ? admin_ready(admin, why) : rv;
    if (rv == 0 && message->n_policies > STEPS_MAX) {
        (void)snprintf(why, ADMIN_WHY, "at most %d policies in one go", STEPS_MAX);
        rv = TERN_ETOOBIG;
    }
    if (rv == 0) {
        policies = mem_new((message->n_policies + 1) * sizeof *policies);
        rv = apply_read(admin, message, policies, same, why);
        if (rv == 0) {
            apply_start(admin, caller, message, policies, same);
        }
        free(policies);
    }
    tern__admin__apply_policies__free_unpacked(message, &allocator);
    return rv;
}

int change_policy_remove(struct admin *admin, const struct change_caller *caller, const char *name,
                         char why[ADMIN_WHY])
{
    struct change *change;
    int rv = admin_ready(admin, why);

    if (rv != 0) {
        return rv;
    }
    if (policy_now(node_control(admin->options.node), name) == NULL) {
        (void)snprintf(why, ADMIN_WHY, "there is no policy %.64s: see tern policy show", name);
        return TERN_ENOENT;
    }
    change = change_new(admin, caller, 1);
    (void)snprintf(change->steps[0].name, sizeof change->steps[0].name, "%s", name);
    command_remove_policy(&change->steps[0].command, node_next_key(admin->options.node), name);
    trace_info("event=policy_remove policy=%s by=%s", name, caller->principal);
    change_next(change);
    return 0;
}

/* ---- founding ------------------------------------------------------------------------------- */

static bool take_text(char *out, size_t size, const char *text)
{
    return snprintf(out, size, "%s", text) < (int)size;
}

static int read_founders(const Tern__Admin__Found *message, struct uuid *id,
                         struct node_founder founders[NODE_FOUNDERS_MAX], char why[ADMIN_WHY])
{
    if (message->cluster_id.len != sizeof id->bytes || message->n_founders == 0 ||
        message->n_founders > NODE_FOUNDERS_MAX) {
        (void)snprintf(why, ADMIN_WHY, "a founding names 1 to %d nodes and a cluster id",
                       NODE_FOUNDERS_MAX);
        return TERN_EMALFORMED;
    }
    memcpy(id->bytes, message->cluster_id.data, sizeof id->bytes);
    for (size_t n = 0; n < message->n_founders; n++) {
        const Tern__Admin__Founder *from = message->founders[n];
        struct node_founder *to = &founders[n];

        to->node_id = from->node_id;
        to->raft_id = from->raft_id;
        to->witness = from->witness;
        if (from->node_id == 0 || from->node_id >= WIRE_NODES_MAX || from->raft_id == 0 ||
            !take_text(to->region, sizeof to->region, from->region) ||
            !take_text(to->mesh_address, sizeof to->mesh_address, from->mesh_address)) {
            (void)snprintf(why, ADMIN_WHY, "a founder's id or address is out of range");
            return TERN_EMALFORMED;
        }
    }
    return 0;
}

int change_found(struct admin *admin, const struct change_caller *caller, struct slice body,
                 char why[ADMIN_WHY])
{
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__Found *message = tern__admin__found__unpack(&allocator, body.len, body.base);
    struct node_founder founders[NODE_FOUNDERS_MAX] = {0};
    struct uuid id = {{0}};
    int rv;

    if (message == NULL) {
        return malformed(why);
    }
    rv = admin_format_check(message->format, why);
    rv = rv == 0 ? read_founders(message, &id, founders, why) : rv;
    rv = rv == 0 ? node_found(admin->options.node, id, founders, message->n_founders, why) : rv;
    if (rv == 0) {
        Tern__Admin__Changed changed;
        struct buf out = {0};
        char text[UUID_TEXT_SIZE];

        uuid_text(id, text);
        trace_info("event=founded cluster_id=%s by=%s", text, caller->principal);
        tern__admin__changed__init(&changed);
        changed.format = ADMIN_MESSAGES_VERSION;
        pack_into(&out, &changed.base);
        admin_reply(admin, caller->call, 0, buf_slice(&out));
        buf_fini(&out);
    }
    tern__admin__found__free_unpacked(message, &allocator);
    return rv;
}
