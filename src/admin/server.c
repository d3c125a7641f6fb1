/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/server.h"

#include <stdio.h>
#include <string.h>

#include "admin/inner.h"
#include "base/trace.h"
#include "policy/capped_alloc.h"

static void on_call(void *ctx, struct net_call *call, const char *principal, uint16_t type,
                    struct slice body)
{
    admin_call(ctx, call, principal, type, body);
}

static const struct net_admin_handler net_handler = {.call = on_call};

struct admin *admin_new(const struct admin_options *options)
{
    struct admin *admin = mem_new(sizeof *admin);

    admin->options = *options;
    queue_init(&admin->changes);
    if (options->net != NULL) {
        net_set_admin(options->net, &net_handler, admin);
    }
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin->options.net != NULL) {
        net_set_admin(admin->options.net, NULL, NULL);
    }
    changes_cancel(admin);
    free(admin);
}

void admin_reply(struct admin *admin, struct net_call *call, int error, struct slice body)
{
    if (admin->options.reply != NULL) {
        admin->options.reply(call, error, body);
    } else {
        net_call_reply(call, error, body);
    }
}

int admin_format_check(uint32_t format, char why[ADMIN_WHY])
{
    if (format == ADMIN_MESSAGES_VERSION) {
        return 0;
    }
    (void)snprintf(why, ADMIN_WHY,
                   "the request has admin format %u, this node knows %d: use tern and ternd of one "
                   "release",
                   format, ADMIN_MESSAGES_VERSION);
    return TERN_EFORMAT;
}

int admin_ready(struct admin *admin, char why[ADMIN_WHY])
{
    const struct node *node = admin->options.node;

    if (uuid_is_zero(node_cluster_id(node))) {
        (void)snprintf(why, ADMIN_WHY,
                       "this node belongs to no cluster yet: found one with tern cluster init");
        return TERN_EREFUSED;
    }
    if (node_quorum(admin->options.node) == NULL || uuid_is_zero(node_control(node)->cluster_id)) {
        (void)snprintf(why, ADMIN_WHY,
                       "this node has heard nothing of its cluster yet: are the others up?");
        return TERN_EBUSY;
    }
    return 0;
}

struct health_view admin_view(const struct admin *admin)
{
    const struct node *node = admin->options.node;
    struct quorum *quorum = node_quorum(admin->options.node);
    struct health_view view = {.control = node_control(node)};
    struct quorum_status status = {0};

    view.heard = NODE_BIT(node_settings(node)->node_id);
    if (node_store(admin->options.node) != NULL) {
        view.damaged[node_settings(node)->node_id] = store_damaged(node_store(admin->options.node));
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        struct node_peer_view peer = {0};

        if (id != node_settings(node)->node_id && view.control->nodes[id].id != 0) {
            node_peer(node, id, &peer);
            view.heard |= peer.reachable ? NODE_BIT(id) : 0;
            view.damaged[id] = peer.damaged;
        }
    }
    if (quorum != NULL) {
        quorum_status(quorum, &status);
        view.leader_known = status.leader_node != 0;
    }
    return view;
}

static admin_answer *answer_of(uint16_t type)
{
    switch (type) {
    case ADMIN_NODE:
        return answer_node;
    case ADMIN_HEALTH:
        return answer_health;
    case ADMIN_TOPICS:
        return answer_topics;
    case ADMIN_POLICIES:
        return answer_policies;
    case ADMIN_LEDGER:
        return answer_ledger;
    case ADMIN_QUARANTINE:
        return answer_quarantine;
    case ADMIN_GROUPS:
        return answer_groups;
    case ADMIN_METRICS:
        return answer_metrics;
    default:
        return NULL;
    }
}

/* What the control state alone can tell; the rest is the node's own. */
static bool needs_cluster(uint16_t type)
{
    return type == ADMIN_TOPICS || type == ADMIN_POLICIES || type == ADMIN_LEDGER;
}

/* Reading: answered at once. */
static int ask_read(struct admin *admin, const struct change_caller *caller, admin_answer *answer,
                    const struct ask *ask, char why[ADMIN_WHY])
{
    struct pool pool = {0};
    struct buf out = {0};
    int rv = answer(admin, ask, &pool, &out, why);

    if (rv == 0) {
        admin_reply(admin, caller->call, 0, buf_slice(&out));
    }
    buf_fini(&out);
    pool_fini(&pool);
    return rv;
}

static int ask(struct admin *admin, const struct change_caller *caller, uint16_t type,
               struct slice body, char why[ADMIN_WHY])
{
    admin_answer *answer = answer_of(type);
    struct capped_alloc cap;
    ProtobufCAllocator allocator = capped_alloc_init(&cap, ADMIN_UNPACK_MAX);
    Tern__Admin__Ask *message;
    struct ask asked;
    int rv;

    if (answer == NULL && type != ADMIN_TOPIC_DELETE && type != ADMIN_POLICY_REMOVE) {
        (void)snprintf(why, ADMIN_WHY, "this node knows no admin call %u", type);
        return TERN_EUNSUPPORTED;
    }
    message = tern__admin__ask__unpack(&allocator, body.len, body.base);
    if (message == NULL) {
        (void)snprintf(why, ADMIN_WHY, "the request is malformed");
        return TERN_EMALFORMED;
    }
    asked = (struct ask){.name = message->name, .detail = message->detail};
    rv = admin_format_check(message->format, why);
    if (rv == 0 && needs_cluster(type)) {
        rv = admin_ready(admin, why);
    }
    if (rv == 0 && answer != NULL) {
        rv = ask_read(admin, caller, answer, &asked, why);
    } else if (rv == 0 && type == ADMIN_TOPIC_DELETE) {
        rv = change_topic_delete(admin, caller, asked.name, why);
    } else if (rv == 0) {
        rv = change_policy_remove(admin, caller, asked.name, why);
    }
    tern__admin__ask__free_unpacked(message, &allocator);
    return rv;
}

void admin_call(struct admin *admin, struct net_call *call, const char *principal, uint16_t type,
                struct slice body)
{
    struct change_caller caller = {call, principal};
    char why[ADMIN_WHY] = "";
    int rv;

    switch (type) {
    case ADMIN_FOUND:
        rv = change_found(admin, &caller, body, why);
        break;
    case ADMIN_TOPIC_CREATE:
        rv = change_topic_create(admin, &caller, body, why);
        break;
    case ADMIN_TOPIC_RECOVER:
        rv = change_topic_recover(admin, &caller, body, why);
        break;
    case ADMIN_TOPIC_POLICY:
        rv = change_topic_policy(admin, &caller, body, why);
        break;
    case ADMIN_NODE_REMOVE:
        rv = change_node_remove(admin, &caller, body, why);
        break;
    case ADMIN_POLICY_APPLY:
        rv = change_policy_apply(admin, &caller, body, why);
        break;
    default:
        rv = ask(admin, &caller, type, body, why);
        break;
    }
    if (rv != 0) {
        trace_info("event=admin_refused by=%s call=%u error=%s what=\"%s\"", principal, type,
                   error_name(rv), why[0] != '\0' ? why : error_sentence(rv));
        admin_reply(admin, call, rv, slice_text(why[0] != '\0' ? why : error_sentence(rv)));
    }
}
