/* SPDX-License-Identifier: Apache-2.0 */
/* The controller at work: what it has observed goes into control/decide, what that says goes into
 * the quorum. The quorum's own membership follows the control state here, too. */
#include <stdio.h>
#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define ROUND_MAX 16 /* commands of one round of decisions */

struct controller;

struct decision {
    struct quorum_proposal proposal;
    struct controller *controller; /* NULL: it is gone */
    bool busy;
};

struct controller {
    struct node *node;
    uint64_t since_ms;
    uint64_t term;
    struct decide_memory *memory;
    struct decision *decisions[ROUND_MAX];
    struct decide_pending pending;
    struct report_list reports;
    struct quorum_change change;
    bool changing;
    uint64_t changed_ms;
    bool founding;
    struct decide_calm calm;
};

bool node_is_controller(const struct node *node)
{
    return node->controller != NULL;
}

void controller_close(struct node *node)
{
    struct controller *c = node->controller;

    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < ROUND_MAX; i++) {
        if (c->decisions[i] != NULL) {
            c->decisions[i]->controller = NULL;
        }
    }
    decide_memory_free(c->memory);
    report_list_fini(&c->reports);
    node->controller = NULL;
    if (!c->changing) { /* else its done frees it */
        free(c);
    } else {
        c->node = NULL;
    }
}

void controller_role(struct node *node, bool controller, uint64_t term)
{
    controller_close(node);
    if (!controller) {
        return;
    }
    struct controller *c = mem_new(sizeof *c);
    c->node = node;
    c->since_ms = node_now_ms(node);
    c->term = term;
    c->memory = decide_memory_new();
    node->controller = c;
    trace_info("event=controller term=%llu", (unsigned long long)term);
}

/* ---- reports --------------------------------------------------------------------------------- */

void controller_report(struct node *node, uint32_t from, const struct decide_report *report)
{
    (void)from;
    if (node->controller != NULL) {
        report_list_put(&node->controller->reports, report);
    }
}

void report_add(struct node *node, const struct decide_report *report)
{
    report_list_put(&node->reports, report);
}

static void send_reports(struct node *node, uint32_t to)
{
    Tern__Mesh__Reports m = TERN__MESH__REPORTS__INIT;
    Tern__Mesh__Reports__Report *items = mem_grow(NULL, node->reports.count, sizeof *items);
    Tern__Mesh__Reports__Report **list = mem_grow(NULL, node->reports.count, sizeof *list);

    for (size_t i = 0; i < node->reports.count; i++) {
        struct decide_report *r = &node->reports.items[i];
        tern__mesh__reports__report__init(&items[i]);
        items[i].kind = (uint32_t)r->kind;
        items[i].topic_id = (ProtobufCBinaryData){sizeof r->topic_id.bytes, r->topic_id.bytes};
        items[i].partition = r->partition;
        items[i].epoch = r->epoch;
        items[i].reaches = r->reaches;
        items[i].nodes = r->nodes;
        items[i].millis = r->millis;
        items[i].incarnation = r->incarnation;
        items[i].n_members = r->kind == REPORT_MEMBERS ? CONTROL_REGIONS_MAX : 0;
        items[i].members = r->members;
        list[i] = &items[i];
    }
    m.reports = list;
    m.n_reports = node->reports.count;
    buf_clear(&node->scratch);
    size_t size = tern__mesh__reports__get_packed_size(&m);
    (void)tern__mesh__reports__pack(&m, buf_extend(&node->scratch, size));
    (void)node_send(node, to, WIRE_CONTROL, MESH_REPORTS, buf_slice(&node->scratch), NULL, 0);
    free(items);
    free(list);
}

/* Reports are small and come again as long as their reason lasts: sent once, then forgotten. */
void report_flush(struct node *node)
{
    struct quorum_status status;

    if (node->reports.count == 0 || node->quorum == NULL) {
        return;
    }
    if (node->controller != NULL) {
        for (size_t i = 0; i < node->reports.count; i++) {
            controller_report(node, node->o.node_id, &node->reports.items[i]);
        }
        report_list_clear(&node->reports);
        return;
    }
    quorum_status(node->quorum, &status);
    if (status.leader_node != 0 && node->peers[status.leader_node].up[WIRE_CONTROL]) {
        send_reports(node, status.leader_node);
        report_list_clear(&node->reports);
    }
}

/* ---- decisions ------------------------------------------------------------------------------- */

static void decided(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct decision *d = CONTAINER_OF(proposal, struct decision, proposal);
    struct controller *c = d->controller;
    struct command_result r = {0};

    if (c != NULL) {
        for (size_t i = 0; i < ROUND_MAX; i++) {
            if (c->decisions[i] == d) {
                c->decisions[i] = NULL;
            }
        }
        decide_pending_done(&c->pending, status == 0);
        if (status == 0 && command_result_read(result, &r) == 0 && r.error != 0) {
            trace_debug("event=decision_refused error=%s why=\"%s\"", error_name(r.error), r.why);
        }
    }
    free(d);
}

static void propose(struct controller *c, size_t slot, struct slice command)
{
    struct decision *d = mem_new(sizeof *d);

    trace_info("event=decision command=%s", command_name(command));
    d->controller = c;
    d->proposal.done = decided;
    c->decisions[slot] = d;
    decide_pending_proposed(&c->pending);
    quorum_submit(c->node->quorum, command, &d->proposal);
}

static void view_of(struct controller *c, struct decide_view *view)
{
    struct node *node = c->node;
    uint64_t now_us = clock_now_us(node->o.clock);

    memset(view, 0, sizeof *view);
    view->now_ms = now_us / 1000;
    view->controller_since_ms = c->since_ms;
    view->suspicion_ms = peer_suspicion_ms(node, NULL);
    view->wall_ms = clock_wall_ms(node->o.clock);
    view->reports = c->reports.items;
    view->report_count = c->reports.count;
    view->lease_ms = node->o.lease_ms;
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        struct decide_node *n = &view->nodes[id];
        const struct peer *peer = &node->peers[id];
        view->lease_granted_ms[id] =
            peer->lease_granted_ms >= c->since_ms ? peer->lease_granted_ms : 0;
        const struct control_node *known = &node->control->nodes[id];
        if (id == node->o.node_id) {
            *n = (struct decide_node){.reachable = true,
                                      .registered = node_is_current(node) && !node->stopping,
                                      .full = !store_writable(node->store),
                                      .applied_index = node->control->applied_index};
            continue;
        }
        n->silent_ms = peer_silent_us(node, id) / 1000;
        n->gone = peer->gone;
        n->reachable =
            peer->heard_us != 0 ? peer_reachable(node, id) : n->silent_ms < view->suspicion_ms;
        if (peer->disk_hangs_ms > 0) {
            /* It can neither acknowledge nor promise: as good as silent. */
            n->reachable = false;
            n->silent_ms = n->silent_ms > peer->disk_hangs_ms ? n->silent_ms : peer->disk_hangs_ms;
        }
        n->registered = known->id != 0 && peer->ready && peer->start_number == known->start_number;
        n->full = peer->full;
        n->applied_index = peer->up[WIRE_CONTROL] ? peer->applied_index : 0;
    }
}

const struct decide_pending *controller_pending(const struct node *node)
{
    return &node->controller->pending;
}

static void round_of_decisions(struct controller *c)
{
    struct decide_view view;
    struct buf commands[ROUND_MAX];
    struct command_key key = {c->node->client, c->node->command_seq};

    view_of(c, &view);
    if (decide_may_wait(&c->calm, c->node->control, &view, &c->pending)) {
        return;
    }
    memset(commands, 0, sizeof commands);
    size_t count = decide(c->node->control, &view, c->memory, &key, commands, ROUND_MAX);
    if (count == 0 && c->pending.unknown) {
        /* Changes nothing; once it is applied, so is whatever was proposed before. */
        key.seq++;
        command_unfence(&commands[count++], key, c->node->o.node_id);
    }
    c->node->command_seq = key.seq;
    report_list_clear(&c->reports);
    decide_calm_round(&c->calm, c->node->control, &view, count);
    decide_pending_round(&c->pending, &view, count);
    for (size_t i = 0; i < count; i++) {
        propose(c, i, buf_slice(&commands[i]));
    }
    for (size_t i = 0; i < ROUND_MAX; i++) {
        buf_fini(&commands[i]);
    }
}

/* ---- the quorum's membership ----------------------------------------------------------------- */

static void changed(struct quorum_change *change, int status)
{
    struct controller *c = CONTAINER_OF(change, struct controller, change);

    c->changing = false;
    if (c->node == NULL) {
        free(c);
        return;
    }
    c->changed_ms = node_now_ms(c->node);
    if (status != 0) {
        trace_warn("event=membership_change_failed error=%s", error_name(status));
    }
}

static void change(struct controller *c, enum quorum_change_kind kind, struct quorum_member member)
{
    static const char *const names[] = {"add", "promote", "demote", "remove"};

    trace_info("event=membership change=%s node=%u raft_id=%llu", names[kind], member.node_id,
               (unsigned long long)member.raft_id);
    c->change.done = changed;
    c->changing = true;
    quorum_change(c->node->quorum, kind, member, &c->change);
}

static const struct quorum_peer_status *in_configuration(const struct quorum_status *s,
                                                         uint64_t raft_id)
{
    for (uint32_t i = 0; i < s->peer_count; i++) {
        if (s->peers[i].member.raft_id == raft_id) {
            return &s->peers[i];
        }
    }
    return NULL;
}

static bool region_has_voter(const struct control *control, const struct quorum_status *s,
                             uint32_t region)
{
    for (uint32_t i = 0; i < s->peer_count; i++) {
        const struct quorum_member *m = &s->peers[i].member;
        if (m->voter && control->nodes[m->node_id].id != 0 &&
            control->nodes[m->node_id].region == region) {
            return true;
        }
    }
    return false;
}

/* One step at a time: retire ids that control no longer knows, add those that it handed out, let
 * each region have one voter. */
static void follow_membership(struct controller *c)
{
    struct node *node = c->node;
    const struct control *control = node->control;
    struct quorum_status s;

    if (c->changing || node_now_ms(node) - c->changed_ms < 200) {
        return;
    }
    quorum_status(node->quorum, &s);
    for (uint32_t i = 0; i < s.peer_count; i++) {
        const struct quorum_member *m = &s.peers[i].member;
        const struct control_node *known = &control->nodes[m->node_id];
        bool retired = known->raft_id != m->raft_id && known->start_number > 0;
        if (known->id != 0 && (retired || known->removed)) {
            change(c, QUORUM_REMOVE, *m);
            return;
        }
    }
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *known = &control->nodes[id];
        if (known->id == 0 || known->raft_id == 0 || known->start_number == 0 || known->removed) {
            continue;
        }
        struct quorum_member member = {known->raft_id, id, false};
        const struct quorum_peer_status *there = in_configuration(&s, known->raft_id);
        if (there == NULL || there->half_added) {
            change(c, QUORUM_ADD, member);
            return;
        }
        if (!there->member.voter && !region_has_voter(control, &s, known->region) &&
            peer_reachable(node, id)) {
            change(c, QUORUM_PROMOTE, member);
            return;
        }
    }
}

/* The first command of a cluster: what `tern cluster init` said. Every founder would say the same.
 */
static void found(struct controller *c)
{
    struct node *node = c->node;
    struct command_founder founders[NODE_FOUNDERS_MAX];
    struct buf command = {0};

    for (uint32_t i = 0; i < node->file.founder_count; i++) {
        const struct node_founder *f = &node->file.founders[i];
        founders[i] = (struct command_founder){
            .node_id = f->node_id, .raft_id = f->raft_id, .witness = f->witness};
        (void)snprintf(founders[i].region, sizeof founders[i].region, "%s", f->region);
    }
    command_found(&command, node_next_key(node), node->file.cluster_id, node->o.cluster_name,
                  founders, node->file.founder_count);
    propose(c, 0, buf_slice(&command));
    buf_fini(&command);
}

void controller_tick(struct node *node)
{
    struct controller *c = node->controller;

    if (c == NULL || node->quorum == NULL || c->pending.waiting > 0) {
        return;
    }
    if (uuid_is_zero(node->control->cluster_id)) {
        if (node->file.founder_count > 0) {
            found(c);
        }
        return;
    }
    round_of_decisions(c);
    follow_membership(c);
}
