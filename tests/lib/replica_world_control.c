/* SPDX-License-Identifier: Apache-2.0 */
/* The control quorum as one log that every node applies in its own time, and the clients. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tests/lib/replica_world.h"

struct replica_rule rworld_rule(uint64_t voters, uint8_t w, int8_t home)
{
    return (struct replica_rule){.voters = voters, .w = w, .home = home};
}

static struct world_entry *entry_add(struct world *w, enum world_entry_kind kind)
{
    struct world_control *c = &w->control;

    if (c->log_count == c->log_cap) {
        c->log_cap = c->log_cap > 0 ? c->log_cap * 2 : 32;
        c->log = mem_grow(c->log, c->log_cap, sizeof *c->log);
    }
    struct world_entry *entry = &c->log[c->log_count++];
    *entry = (struct world_entry){.kind = kind};
    return entry;
}

/* Learners may differ: they count nowhere. */
static bool same_rule(const struct replica_rule *a, const struct replica_rule *b)
{
    return a->voters == b->voters && a->w == b->w && a->home == b->home;
}

int32_t rworld_assign(struct world *w, uint32_t leader, struct replica_rule config, bool lossy)
{
    struct world_control *c = &w->control;
    int32_t epoch = ++c->epoch;

    CHECK(epoch < WORLD_EPOCHS);
    bool activated = !lossy && (epoch == 1 || same_rule(&config, &c->active));
    uint64_t members = config.voters | config.learners | c->active.voters | c->active.learners;
    if (activated) {
        c->active = config; /* a new partition has nothing to recover */
    }
    struct replica_spec *spec = &c->specs[epoch];
    *spec = (struct replica_spec){
        .epoch = epoch,
        .leader = leader,
        .leader_start = c->start[leader],
        .config = config,
        .recover = c->active,
        .lossy = lossy,
        .activated = activated,
        .lossy_epoch = c->floor,
        .lossy_start = c->lossy_start,
        .wait_ms = lossy ? (uint32_t)prng_below(&w->prng, 400) : 0,
    };
    if (w->rpo_bytes > 0) {
        spec->rpo_survive = 1;
        spec->rpo_enforced = true;
        spec->rpo_bytes = w->rpo_bytes;
    }
    for (uint32_t id = 1; id <= w->node_count; id++) {
        if ((members & NODE_BIT(id)) != 0) {
            spec->members[spec->member_count++] =
                (struct replica_member){id, c->incarnation[id], c->since[id], w->nodes[id].region};
        }
    }
    c->caught_up = 0;
    c->no_quorum = false;
    struct world_entry *entry = entry_add(w, ENTRY_EPOCH);
    entry->epoch = epoch;
    entry->activated = activated;
    entry->lossy_start = c->lossy_start;
    entry->lossy_epoch = c->floor;
    rworld_story(w, "control: %sepoch %d, leader %u, voters %llx, learners %llx, w %u, home %d%s",
                 lossy ? "LOSSY " : "", epoch, leader, (unsigned long long)config.voters,
                 (unsigned long long)config.learners, config.w, config.home,
                 activated ? "" : ", wants activation");
    return epoch;
}

/* As `control` does it: the running epoch tells of it, too. */
static void forget_in(struct replica_spec *spec, uint32_t node, int32_t since)
{
    for (uint32_t i = 0; i < spec->member_count; i++) {
        if (spec->members[i].node == node) {
            spec->members[i].since = since;
        }
    }
}

void rworld_register(struct world *w, uint32_t node, uint32_t leader)
{
    struct world_control *c = &w->control;
    struct world_node *n = &w->nodes[node];

    CHECK(n->up && !n->registered);
    c->start[node]++;
    if (n->must_forget) {
        c->incarnation[node]++;
        c->since[node] = c->epoch + 1;
        forget_in(&c->specs[c->epoch], node, c->epoch + 1);
        n->must_forget = false;
    }
    n->registered = true;
    struct world_entry *entry = entry_add(w, ENTRY_REGISTERED);
    entry->node = node;
    entry->incarnation = c->incarnation[node];
    entry->start = c->start[node];
    rworld_story(w, "control: node %u registered, start %llu, incarnation %u", node,
                 (unsigned long long)c->start[node], c->incarnation[node]);
    if (c->epoch > 0 && c->specs[c->epoch].leader == node) {
        rworld_assign(w, leader, c->active, false);
    }
}

bool rworld_decide(struct world *w)
{
    struct world_control *c = &w->control;

    for (size_t i = 0; i < ARRAY_COUNT(c->proposals); i++) {
        struct world_proposal *p = &c->proposals[i];
        if (!p->used) {
            continue;
        }
        p->used = false;
        struct replica_spec *spec = &c->specs[p->epoch];
        if (p->epoch != c->epoch || spec->activated) {
            return true; /* rule 8: a compare-and-set */
        }
        rworld_story(w, "control: epoch %d is activated", p->epoch);
        c->active = spec->config;
        spec->activated = true;
        if (spec->lossy) {
            c->lossy_start = p->lossy_start;
            spec->lossy_start = p->lossy_start;
            spec->lossy_epoch = p->epoch;
            c->floor = p->epoch;
            c->since[spec->leader] = 0;
            forget_in(spec, spec->leader, 0);
            w->counters.lossy++;
        }
        rworld_judge_activated(w, p->epoch);
        w->counters.activations++;
        entry_add(w, ENTRY_ACTIVATED)->epoch = p->epoch;
        return true;
    }
    return false;
}

static void assign_node(struct world *w, struct world_node *n, const struct replica_spec *spec)
{
    struct replica_out out = {0};

    replica_assign(&n->replica, w->now_ms, spec, &out);
    rworld_perform(w, n, &out, NULL, 0);
}

static void registered(struct world *w, struct world_node *n, const struct world_entry *entry)
{
    struct replica_out out = {0};

    if (entry->node == n->id && n->registered && entry->start == w->control.start[n->id]) {
        replica_registered(&n->replica, w->now_ms, entry->incarnation, entry->start, &out);
        rworld_perform(w, n, &out, NULL, 0);
    }
}

bool rworld_apply(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    if (!n->up || n->applied == w->control.log_count) {
        return false;
    }
    struct world_entry entry = w->control.log[n->applied++];
    if (entry.kind == ENTRY_REGISTERED) {
        if (entry.node == node) {
            rworld_story(w, "node %u learns of its registration", node);
        }
        registered(w, n, &entry);
        return true;
    }
    struct replica_spec spec = w->control.specs[entry.epoch];
    if (entry.kind == ENTRY_EPOCH) {
        spec.activated = entry.activated;
        spec.lossy_start = entry.lossy_start;
        spec.lossy_epoch = entry.lossy_epoch;
    }
    rworld_story(w, "node %u learns: epoch %d%s", node, entry.epoch,
                 entry.kind == ENTRY_EPOCH ? "" : " is activated");
    assign_node(w, n, &spec);
    return true;
}

void rworld_apply_snapshot(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];
    struct world_control *c = &w->control;

    if (!n->up || n->applied == c->log_count) {
        return;
    }
    rworld_story(w, "node %u gets a snapshot of the control state", node);
    size_t from = n->applied;
    n->applied = c->log_count;
    if (c->epoch > 0) {
        assign_node(w, n, &c->specs[c->epoch]);
    }
    for (size_t i = from; i < c->log_count; i++) {
        if (c->log[i].kind == ENTRY_REGISTERED) {
            registered(w, n, &c->log[i]);
        }
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

static struct world_inflight *inflight_by_ticket(struct world_client *c, uint32_t ticket)
{
    for (size_t i = 0; i < c->inflight_count; i++) {
        if (c->inflight[i].state == CLIENT_SENT && c->inflight[i].ticket == ticket) {
            return &c->inflight[i];
        }
    }
    return NULL;
}

static void inflight_remove(struct world_client *c, struct world_inflight *at)
{
    size_t index = (size_t)(at - c->inflight);

    memmove(at, at + 1, sizeof *at * (c->inflight_count - index - 1));
    c->inflight_count--;
}

static void request_failed(struct world *w, const struct world_request *request)
{
    struct world_client *c = &w->clients[request->client];
    struct world_inflight *at = inflight_by_ticket(c, request->ticket);

    if (at == NULL) {
        return;
    }
    if (c->producer_id < 0) {
        inflight_remove(c, at); /* it has no means to send it once only */
    } else {
        at->state = CLIENT_WAITING;
    }
}

static void request_answered(struct world *w, const struct world_request *request)
{
    struct world_client *c = &w->clients[request->client];
    struct world_inflight *at = inflight_by_ticket(c, request->ticket);

    rworld_judge_client_answer(w, request);
    if (at == NULL) {
        return; /* nobody waits any more */
    }
    rworld_story(w, "node %u answers client %u: offsets %lld..%lld", request->node, request->client,
                 (long long)request->base, (long long)request->last);
    w->counters.acked++;
    c->acked++;
    if (request->epoch > c->newest_acked_epoch) {
        c->newest_acked_epoch = request->epoch;
    }
    inflight_remove(c, at);
}

/* Whom the node can answer or must let go, after each of its events. */
void rworld_answer_clients(struct world *w, struct world_node *n)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->request_count; i++) {
        struct world_request request = w->requests[i];
        bool leads =
            n->up && n->replica.role == REPLICA_SERVING && n->replica.spec.epoch == request.epoch;
        if (request.node != n->id || (leads && replica_ack_limit(&n->replica) <= request.last)) {
            w->requests[kept++] = request;
        } else if (leads) {
            request_answered(w, &request);
        } else {
            request_failed(w, &request);
        }
    }
    w->request_count = kept;
}

void rworld_client_timeout(struct world *w, uint32_t client)
{
    struct world_client *c = &w->clients[client];

    for (size_t i = c->inflight_count; i > 0; i--) {
        if (c->inflight[i - 1].state == CLIENT_SENT) {
            if (c->producer_id < 0) {
                inflight_remove(c, &c->inflight[i - 1]);
            } else {
                c->inflight[i - 1].state = CLIENT_WAITING;
            }
        }
    }
}

/* A new epoch for the producer, as a client asks for when its records were lost (KIP-360). */
static void bump_producer(struct world *w, struct world_client *c)
{
    rworld_story(w, "producer %lld begins anew", (long long)c->producer_id);
    c->producer_epoch++;
    c->next_seq = 0;
    for (size_t i = 0; i < c->inflight_count; i++) {
        c->inflight[i].state = CLIENT_WAITING;
        c->inflight[i].seq = c->next_seq;
        c->next_seq += c->inflight[i].count;
    }
}

static struct world_inflight *next_to_send(struct world *w, struct world_client *c, uint32_t node)
{
    struct world_inflight *at = NULL;

    for (size_t i = 0; i < c->inflight_count && at == NULL; i++) {
        if (c->inflight[i].state == CLIENT_WAITING) {
            at = &c->inflight[i];
        } else if (c->inflight[i].sent_to != node) {
            return NULL; /* order holds within one connection only */
        }
    }
    size_t most = c->producer_id < 0 ? 1 : WORLD_INFLIGHT;
    if (at == NULL && c->inflight_count < most) {
        at = &c->inflight[c->inflight_count++];
        *at = (struct world_inflight){
            .seq = c->next_seq,
            .count = w->batch_records > 0 ? w->batch_records : 1 + (int32_t)prng_below(&w->prng, 3),
            .payload = w->next_payload++};
        c->next_seq += at->count;
    }
    return at;
}

static void judge_refusal(struct world *w, const struct world_client *c, uint32_t node, int error,
                          bool first)
{
    const struct replica *r = &w->nodes[node].replica;

    if (error == TERN_EPRODUCERFENCED) {
        rworld_break(w, "node %u fences a producer whose epoch is the newest", node);
    } else if (first && w->control.floor == 0 && w->log_start_max == 0 &&
               r->spec.epoch >= c->newest_acked_epoch) {
        rworld_break(w, "node %u finds the oldest batch of producer %lld out of order", node,
                     (long long)c->producer_id);
    }
}

static void request_add(struct world *w, struct world_request request)
{
    if (w->request_count == w->request_cap) {
        w->request_cap = w->request_cap > 0 ? w->request_cap * 2 : 16;
        w->requests = mem_grow(w->requests, w->request_cap, sizeof *w->requests);
    }
    w->requests[w->request_count++] = request;
}

int rworld_send(struct world *w, uint32_t client, uint32_t node)
{
    struct world_client *c = &w->clients[client];
    struct world_node *n = &w->nodes[node];
    struct world_inflight *at;

    if (!n->up || n->replica.leo + 8 >= WORLD_LOG || w->batch_count == WORLD_BATCHES ||
        (at = next_to_send(w, c, node)) == NULL) {
        return TERN_EBUSY;
    }
    struct world_batch *b = &w->batches[w->batch_count];
    *b = (struct world_batch){.payload = at->payload,
                              .info = {.count = at->count,
                                       .last_offset = at->count - 1, /* as producers send it */
                                       .bytes = 100,
                                       .max_timestamp = (int64_t)w->now_ms,
                                       .producer_id = c->producer_id,
                                       .producer_epoch = c->producer_epoch,
                                       .base_sequence = at->seq}};
    bool duplicate = false;
    struct replica_out out = {0};
    int error = replica_produce(&n->replica, w->now_ms, &b->info, &duplicate, &out);
    if (error != 0) {
        rworld_story(w, "client %u sends batch %u (seq %d) to node %u: %s", client, at->payload,
                     at->seq, node, error_name(error));
        bool first = at == c->inflight;
        if (c->producer_id < 0) {
            inflight_remove(c, at);
        } else if (error == TERN_EOUTOFORDER || error == TERN_EPRODUCERFENCED) {
            judge_refusal(w, c, node, error, first);
            if (first && w->control.floor > 0 && n->replica.spec.epoch >= c->newest_acked_epoch) {
                bump_producer(w, c);
            }
        }
        replica_out_fini(&out);
        return error;
    }
    at->state = CLIENT_SENT;
    at->sent_to = node;
    at->ticket = ++w->next_ticket;
    rworld_story(w, "client %u sends batch %u (seq %d) to node %u: %s %lld..%lld", client,
                 at->payload, at->seq, node, duplicate ? "duplicate of" : "appended as",
                 (long long)b->info.base_offset, (long long)b->info.last_offset);
    request_add(w, (struct world_request){client, at->ticket, node, n->replica.spec.epoch,
                                          b->info.base_offset, b->info.last_offset, at->payload});
    uint16_t batch = w->batch_count;
    if (duplicate) {
        w->counters.duplicates++;
    } else {
        w->batch_count++;
        rworld_judge_append(w, n, batch);
    }
    rworld_perform(w, n, &out, &batch, 1);
    return 0;
}
