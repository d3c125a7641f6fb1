/* SPDX-License-Identifier: Apache-2.0 */
/* The node: opens and closes everything, follows the control state, turns the loop's ticks into
 * everybody's ticks. */
#include "agent/node.h"

#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "agent/fetch_session.h"
#include "agent/group.h"
#include "agent/inner.h"
#include "agent/txn.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"

#define RETENTION_EVERY_MS 30000
#define PRODUCER_HOUR_US   3600000000ULL
#define REPORTS_EVERY_US   500000
#define ERASED_PER_TICK    5    /* partitions: some ms of the disk */
#define MEMBERS_EVERY      20   /* rounds; not all partitions in the same one */
#define VOTERS_EVERY       10   /* rounds of reports: no hurry to bring leaders back */
#define HAND_OVER_MS       2000 /* so long a clean stop waits for its leaderships to move */

const char *node_phase_name(enum node_phase phase)
{
    static const char *const names[] = {"empty", "checking", "registering", "ready", "stopping"};

    CHECK((size_t)phase < ARRAY_COUNT(names));
    return names[phase];
}

uint64_t node_now_ms(const struct node *node)
{
    return clock_now_us(node->o.clock) / 1000;
}

void node_die(struct node *node, int error, const char *what)
{
    if (node->dead) {
        return;
    }
    node->dead = true;
    trace_error("event=fatal error=%s what=\"%s\"", error_name(error), what);
    node->o.fatal(node->o.ctx, error, what);
}

bool node_send(struct node *node, uint32_t to, enum wire_channel channel, uint16_t type,
               struct slice head, const struct chunk *tail, size_t tail_count)
{
    struct wire_frame frame = {type, head, tail, tail_count};
    bool sent = node->o.wire->ops->send(node->o.wire, to, channel, &frame);

    if (sent) {
        node->counters.mesh_frames_out++;
        node->counters.mesh_bytes_out += head.len;
        for (size_t i = 0; i < tail_count; i++) {
            node->counters.mesh_bytes_out += tail[i].len;
        }
    }
    return sent;
}

void node_wake(struct node *node)
{
    if (!timer_armed(&node->flush)) {
        timer_set(node->o.clock, &node->flush, clock_now_us(node->o.clock));
    }
}

static void flush(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, flush);

    if (!node->dead) {
        ship_flush(node);
    }
}

/* ---- following the control state ------------------------------------------------------------- */

static bool hosts(const struct node *node, const struct control_partition *cp)
{
    return control_replica_of(cp, node->o.node_id) != NULL;
}

/* INVARIANTS 12: nothing is deleted while the control log is replayed: an old entry may name this
 * node out of a partition that a later one has put back. The store remembers up to which index the
 * control state was followed when the newest replica was made here. */
static uint64_t followed_index(const struct node *node)
{
    struct slice value = store_note_get(node->store, NODE_NOTE_FOLLOWED);

    return value.len == 8 ? get_le64(value.base) : 0;
}

static bool may_drop(const struct node *node)
{
    return node->control->applied_index >= followed_index(node);
}

static void note_followed(struct node *node)
{
    uint8_t value[8];

    if (node->control->applied_index > followed_index(node)) {
        put_le64(value, node->control->applied_index);
        store_note_put(node->store, NODE_NOTE_FOLLOWED, slice_of(value, sizeof value), NULL);
    }
}

static void follow_partition(struct node *node, struct uuid topic_id, int32_t index)
{
    const struct control_partition *cp = control_partition(node->control, topic_id, index);
    struct partition *p = partition_find(node, topic_id, index);

    if (cp == NULL) {
        return;
    }
    if (hosts(node, cp)) {
        if (p == NULL) {
            note_followed(node); /* in the journal before the replica */
            p = partition_host(node, topic_id, index);
        }
        partition_assign(p);
    } else if (p != NULL && cp->activated && may_drop(node) && p->replica.promised <= cp->epoch) {
        /* A promise of a newer epoch than this entry tells: it is an old activation, and what came
         * after it may have put this node back already (M remove-late). */
        partition_drop(p); /* only once a config without it is activated */
    }
}

static void follow_topic(struct node *node, const struct control_topic *topic)
{
    struct uuid id = topic->id;
    uint32_t count = topic->partition_count;

    for (uint32_t i = 0; i < count; i++) {
        follow_partition(node, id, (int32_t)i);
    }
}

static void follow_topics(struct node *node)
{
    struct control_topic *topic;
    struct control_topic *next;

    HASH_ITER (by_id, node->control->by_id, topic, next) {
        follow_topic(node, topic);
    }
}

static void follow_node(struct node *node, uint32_t id)
{
    const struct control_node *known = &node->control->nodes[id];

    if (id == node->o.node_id && known->forgot && known->incarnation == node->file.incarnation) {
        start_forgotten(node);
        return;
    }

    if (id != 0 && id != node->o.node_id && known->removed) {
        node->o.wire->ops->set_peer(node->o.wire, id, "");
    } else if (id != 0 && id != node->o.node_id && known->id != 0 &&
               known->mesh_address[0] != '\0') {
        node->o.wire->ops->set_peer(node->o.wire, id, known->mesh_address);
    }
}

static void drop_topic(struct node *node, struct uuid topic_id)
{
    struct partition *p;
    struct partition *next;

    HASH_ITER (hh, node->partitions, p, next) {
        if (uuid_equal(p->key.topic_id, topic_id)) {
            partition_drop_later(p);
        }
    }
}

static void note_lossy(struct node *node, const struct control_partition *cp)
{
    if (cp != NULL && cp->lossy && cp->assigned_index > node->lossy_index) {
        node->lossy_index = cp->assigned_index;
    }
}

void node_follow(struct node *node, const struct control_change *change)
{
    switch (change->kind) {
    case CONTROL_TOPIC_ALTERED:
    case CONTROL_TOPIC_CREATED: {
        const struct control_topic *topic = control_topic_by_id(node->control, change->topic_id);
        if (topic != NULL) {
            follow_topic(node, topic);
        }
        coordinators_topics_changed(node);
        break;
    }
    case CONTROL_TOPIC_DELETED:
        drop_topic(node, change->topic_id);
        coordinators_topic_deleted(node);
        coordinators_topics_changed(node);
        break;
    case CONTROL_ASSIGNED:
        note_lossy(node, control_partition(node->control, change->topic_id, change->partition));
        follow_partition(node, change->topic_id, change->partition);
        coordinators_topics_changed(node); /* the partition may be a new one */
        break;
    case CONTROL_ACTIVATED:
        follow_partition(node, change->topic_id, change->partition);
        break;
    case CONTROL_NODE:
        follow_node(node, change->node);
        break;
    case CONTROL_EVERYTHING:
        node->lossy_index = node->control->applied_index;
        node_follow_all(node);
        coordinators_topics_changed(node);
        break;
    case CONTROL_POLICY:
        follow_topics(node); /* a topic's bounds and rules may be other ones now */
        break;
    case CONTROL_LEDGER:
    case CONTROL_FOUNDED:
        break;
    }
}

/* After a snapshot, or with a log that was replayed: what is there, and what is no more. */
void node_follow_all(struct node *node)
{
    struct partition *p;
    struct partition *next;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        follow_node(node, id);
    }
    follow_topics(node);
    if (!may_drop(node)) {
        return;
    }
    HASH_ITER (hh, node->partitions, p, next) {
        if (control_partition(node->control, p->key.topic_id, p->key.partition) == NULL) {
            partition_drop_later(p);
        }
    }
}

/* Once the replay has reached what was followed before: what should have gone goes now. */
void node_followed(struct node *node)
{
    if (!node->replayed && may_drop(node)) {
        node->replayed = true;
        node_follow_all(node);
    }
}

bool node_is_current(const struct node *node)
{
    return node->registered &&
           node->control->nodes[node->o.node_id].start_number >= node->start_number;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void reach(struct node *node)
{
    node_set reachable = liveness_reachable(node);
    struct partition *p;
    struct partition *next;

    if (reachable == node->reachable) {
        return;
    }
    node->reachable = reachable;
    HASH_ITER (hh, node->partitions, p, next) {
        replica_reach(&p->replica, reachable);
    }
}

static void retain(struct node *node, uint64_t now_us)
{
    struct partition *p;
    struct partition *next;

    if (now_us - node->retained_us < node->o.retention_every_ms * 1000) {
        return;
    }
    node->retained_us = now_us;
    HASH_ITER (hh, node->partitions, p, next) {
        const struct log_settings *settings = store_settings(p->log);
        if ((settings->cleanup_policy & LOG_DELETE) == 0 || p->coordinator != NULL ||
            !replica_hw_known(&p->replica)) {
            continue; /* a coordinator knows itself what it needs no more */
        }
        int64_t limit = MUTANT(log_start_above_hw) ? p->replica.leo : p->replica.leader_hw;
        int64_t start =
            store_retention_start(p->log, clock_wall_ms(node->o.clock), settings->retention_ms,
                                  settings->retention_bytes, limit);
        struct replica_out out = {0};
        replica_raise_log_start(&p->replica, start, &out);
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
    }
}

static void age_producers(struct node *node, uint64_t now_us)
{
    if (now_us - node->aged_us < PRODUCER_HOUR_US) {
        return;
    }
    node->aged_us = now_us;
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        replica_producers_age(&p->replica);
    }
}

/* It leads, or is to, or has not told yet how a breach ended. */
static bool has_reports(const struct partition *p)
{
    return p->replica.role != REPLICA_FOLLOWING || p->replica.spec.leader == p->replica.self ||
           p->unled_ms != 0 || p->breach_since_wall_ms != 0;
}

static void repeat_reports(struct node *node, uint64_t now_us)
{
    if (now_us - node->repeated_us < REPORTS_EVERY_US) {
        return;
    }
    node->repeated_us = now_us;
    bool round = node->repeat_round++ % VOTERS_EVERY == 0;
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        if (!has_reports(p)) {
            continue;
        }
        ledger_watch_breach(p);
        partition_watch_role(p, now_us / 1000);
        bool voters = round && partition_may_move(p);
        if (voters || p->caught_up != 0 || p->replica.leader_hw < p->replica.leo) {
            partition_repeat_reports(p, voters);
        }
        if ((node->repeat_round + (uint32_t)p->key.partition) % MEMBERS_EVERY == 0) {
            partition_report_members(p);
        }
    }
}

static void tick(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, tick);
    uint64_t now_us = clock_now_us(node->o.clock);

    if (node->dead) {
        return;
    }
    timer_set(node->o.clock, timer, now_us + (uint64_t)NODE_TICK_MS * 1000);
    start_tick(node);
    partitions_erase(node, ERASED_PER_TICK);
    liveness_tick(node, now_us);
    produce_tick(node);
    reach(node);
    if (node->phase == NODE_READY && now_us - node->replica_tick_us >= REPLICA_RETRY_MS * 1000U) {
        node->replica_tick_us = now_us;
        uint64_t patience_ms = 2 * (uint64_t)peer_suspicion_ms(node, NULL);
        QUEUE_EACH (each, &node->ticking) {
            partition_tick(CONTAINER_OF(each, struct partition, ticking), now_us, patience_ms);
        }
        repeat_reports(node, now_us);
        retain(node, now_us);
        cleaning_tick(node, now_us);
        age_producers(node, now_us);
    }
    ship_tick(node);
    repair_tick(node);
    report_flush(node);
    controller_tick(node);
    lease_tick(node);
    ledger_tick(node);
    conns_resume(node);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void store_fatal(void *ctx, int error, const char *what)
{
    node_die(ctx, error, what);
}

static void store_damage(void *ctx, struct store_log *log)
{
    struct node *node = ctx;
    const struct store_log_state *state = store_state(log);
    struct partition *p = partition_find(node, state->topic_id, state->partition);

    if (p != NULL && p->log == log && !node->dead) {
        repair_look(p);
    }
}

static void defaults(struct node_options *o)
{
    if (o->lease_ms == 0) {
        o->lease_ms = 2000;
    }
    if (o->max_request_bytes_waiting == 0) {
        o->max_request_bytes_waiting = (uint64_t)256 << 20;
    }
    if (o->group_retention_ms == 0) {
        o->group_retention_ms = (uint64_t)7 * 86400 * 1000;
    }
    if (o->retention_every_ms == 0) {
        o->retention_every_ms = RETENTION_EVERY_MS;
    }
    if (o->group_snapshot_bytes == 0) {
        o->group_snapshot_bytes = GROUPS_SNAPSHOT;
    }
}

static void host_stored(void *ctx, struct store_log *log)
{
    struct node *node = ctx;
    const struct store_log_state *state = store_state(log);

    (void)partition_host(node, state->topic_id, state->partition);
}

int node_open(const struct node_options *options, struct node **out_node, char why[256])
{
    struct node *node = mem_new(sizeof *node);

    CHECK(options->node_id > 0 && options->node_id < WIRE_NODES_MAX);
    node->o = *options;
    defaults(&node->o);
    node->o.store.fatal = store_fatal;
    node->o.store.fatal_ctx = node;
    node->o.store.damage = store_damage;
    node->o.store.damage_ctx = node;
    node->o.store.fate = cleaning_fate;
    node->o.store.fate_ctx = node;
    node->o.store.producers = partition_tell_producers;
    node->o.store.producers_ctx = node;
    node->started_us = clock_now_us(node->o.clock);
    node->aged_us = node->started_us;
    node->client = uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock));
    node->control = control_new();
    node->lease = lease_new(node);
    node->repairs = repairs_new();
    node->txns = node_txns_new(node);
    node->tick.fire = tick;
    node->flush.fire = flush;
    node->catch_up_timer.fire = ship_catch_up_fired;
    node->hold_timer.fire = conns_hold_fired;
    queue_init(&node->dirty);
    queue_init(&node->ticking);
    queue_init(&node->doubts);
    queue_init(&node->tokens);
    queue_init(&node->doomed);
    queue_init(&node->abandoned_reads);
    queue_init(&node->catch_up);
    queue_init(&node->requests);
    queue_init(&node->conns);
    queue_init(&node->producer_ids.waiters);
    queue_init(&node->coordinators);
    queue_init(&node->group_loads);
    int status = store_open(node->o.disk, node->o.clock, &node->o.store, &node->store, why);
    if (status != 0) {
        node_txns_close(node);
        control_free(node->control);
        lease_free(node->lease);
        repairs_free(node->repairs);
        free(node);
        return status;
    }
    node->ledger = ledger_new(node);
    node->fetch_sessions = mem_new(sizeof *node->fetch_sessions);
    fetch_sessions_init(node->fetch_sessions, FETCH_SESSIONS_MAX, FETCH_SESSION_PARTS_MAX,
                        get_le64(node->client.bytes), fetch_session_closing);
    store_each(node->store, host_stored, node);
    node->o.wire->ops->set_handler(node->o.wire, &node_wire_handler, node);
    status = start_open(node, why);
    if (status != 0) {
        node_close(node);
        return status;
    }
    pace_init(&node->pace, clock_now_us(node->o.clock));
    timer_set(node->o.clock, &node->tick, clock_now_us(node->o.clock));
    *out_node = node;
    return 0;
}

void node_close(struct node *node)
{
    struct partition *p;
    struct partition *next;

    node->dead = true;
    timer_stop(node->o.clock, &node->tick);
    timer_stop(node->o.clock, &node->flush);
    timer_stop(node->o.clock, &node->catch_up_timer);
    timer_stop(node->o.clock, &node->hold_timer);
    timer_stop(node->o.clock, &node->stop_timer);
    controller_close(node);
    if (node->quorum != NULL) {
        quorum_close(node->quorum);
    }
    conns_close(node);
    fetch_sessions_fini(node->fetch_sessions);
    free(node->fetch_sessions);
    node_txns_close(node);
    start_close(node);
    HASH_ITER (hh, node->partitions, p, next) {
        partition_free(p);
    }
    coordinators_close(node);
    partition_tokens_drop(node);
    partitions_free_doomed(node);
    ship_reads_drop(node);
    store_close(node->store);
    repairs_free(node->repairs);
    quotas_free(node);
    control_free(node->control);
    lease_free(node->lease);
    ledger_free(node->ledger);
    free(node->changes.items);
    report_list_fini(&node->reports);
    buf_fini(&node->scratch);
    replica_out_fini(&node->out);
    free(node);
}

static void stop_done(struct node *node)
{
    void (*done)(void *ctx) = node->stopped;

    timer_stop(node->o.clock, &node->stop_timer);
    node->stopped = NULL;
    if (done != NULL) {
        done(node->stopped_ctx);
    }
}

static void flushed(struct store_req *req, int status)
{
    (void)status;
    stop_done(CONTAINER_OF(req, struct node, stop_req));
}

static void stop_expired(struct timer *timer)
{
    stop_done(CONTAINER_OF(timer, struct node, stop_timer));
}

struct hand_over {
    struct quorum_proposal proposal;
    struct node *node;
};

static void flush_and_stop(struct node *node)
{
    if (node->dead || node->stop_req.done != NULL) {
        return;
    }
    node->stop_req.done = flushed;
    store_flush(node->store, &node->stop_req);
}

static void handed_over(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct hand_over *h = CONTAINER_OF(proposal, struct hand_over, proposal);
    struct node *node = h->node;

    (void)status; /* nobody there to take over: then it stops like that */
    (void)result;
    free(h);
    if (node_is_controller(node)) {
        quorum_transfer(node->quorum, 0);
    }
    flush_and_stop(node);
}

/* The node fences itself, so that its leaderships move by one commit instead of after a silence;
 * then it hands the controllership away and flushes. */
void node_stop(struct node *node, uint64_t timeout_ms, void (*done)(void *ctx), void *ctx)
{
    if (node->stopping) {
        return;
    }
    node->stopping = true;
    node->stopped = done;
    node->stopped_ctx = ctx;
    node->stop_timer.fire = stop_expired;
    timer_after_ms(node->o.clock, &node->stop_timer, timeout_ms);
    if (node->quorum == NULL || !node->registered) {
        flush_and_stop(node);
        return;
    }
    struct hand_over *h = mem_new(sizeof *h);
    struct buf command = {0};
    h->node = node;
    h->proposal.done = handed_over;
    h->proposal.timeout_ms = HAND_OVER_MS;
    command_fence(&command, node_next_key(node), node->o.node_id);
    quorum_submit(node->quorum, buf_slice(&command), &h->proposal);
    buf_fini(&command);
}

/* ---- questions ------------------------------------------------------------------------------- */

enum node_phase node_phase(const struct node *node)
{
    return node->stopping ? NODE_STOPPING : node->phase;
}

const struct control *node_control(const struct node *node)
{
    return node->control;
}

struct store *node_store(struct node *node)
{
    return node->store;
}

struct quorum *node_quorum(struct node *node)
{
    return node->quorum;
}

const struct node_options *node_settings(const struct node *node)
{
    return &node->o;
}

struct uuid node_cluster_id(const struct node *node)
{
    return node->file.cluster_id;
}

uint64_t node_start_number(const struct node *node)
{
    return node->start_number;
}

uint32_t node_incarnation(const struct node *node)
{
    return node->file.incarnation;
}

bool node_rolled_back(const struct node *node)
{
    return node->rolled_back;
}

struct command_key node_next_key(struct node *node)
{
    return (struct command_key){node->client, ++node->command_seq};
}

void node_peer(const struct node *node, uint32_t node_id, struct node_peer_view *out)
{
    const struct peer *peer = &node->peers[node_id % WIRE_NODES_MAX];

    memset(out, 0, sizeof *out);
    out->known = peer->heard_us != 0;
    out->reachable = peer_reachable(node, node_id);
    out->seen_ms =
        peer->heard_us != 0 ? (clock_now_us(node->o.clock) - peer->heard_us) / 1000 : UINT64_MAX;
    out->rtt_p50_us = samples_at(&peer->rtt_us, 500);
    out->rtt_p99_us = samples_at(&peer->rtt_us, 990);
    out->suspicion_ms = peer_suspicion_ms(node, peer);
    out->applied_index = peer->applied_index;
    out->commit_index = peer->commit_index;
    out->term = peer->term;
    out->full = peer->full;
    out->damaged = peer->damaged;
    out->ready = peer->ready;
}

/* Leads an async partition that may be moved without it, and may not acknowledge any more. */
static bool lease_lapsed(const struct node *node, const struct replica *r, struct uuid topic_id)
{
    const struct control_topic *topic = control_topic_by_id(node->control, topic_id);

    return r->spec.config.home >= 0 && topic != NULL &&
           topic->policy.failover == POLICY_FAILOVER_AUTO && !lease_valid(node);
}

void node_partition(const struct node *node, struct uuid topic_id, int32_t partition,
                    struct node_partition_view *out)
{
    struct partition_key key;
    const struct partition *p;

    memset(out, 0, sizeof *out);
    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = partition;
    HASH_FIND(hh, node->partitions, &key, sizeof key, p);
    if (p == NULL) {
        return;
    }
    const struct replica *r = &p->replica;
    out->hosted = true;
    out->role = replica_role_name(r->role);
    out->promised = r->promised;
    out->synced = r->synced;
    out->log_start = r->log_start;
    out->leo = r->leo;
    out->hw = r->hw;
    out->bytes = store_state(p->log)->bytes;
    out->serves = replica_serves(r) && !lease_lapsed(node, r, topic_id);
    if (replica_serves(r) && r->spec.config.home >= 0) {
        struct rpo_tail tail = rpo_tail(&r->rpo, clock_now_us(node->o.clock) / 1000);

        out->exposed_records = r->rpo.shipped >= 0 ? r->leo - r->rpo.shipped : r->leo;
        out->exposed_bytes = tail.bytes;
        out->exposed_ms = tail.age_ms;
    }
    for (size_t i = 0; i < r->peer_count && i < CONTROL_REPLICAS_MAX; i++) {
        out->peers[out->peer_count].node = r->peers[i].node;
        out->peers[out->peer_count++].acked = r->peers[i].acked;
    }
}

void node_counters(const struct node *node, struct node_counters *out)
{
    const struct partition *p;

    *out = node->counters;
    out->fetch_sessions = node->fetch_sessions->count;
    out->fetch_session_parts = node->fetch_sessions->parts;
    out->fetch_session_evictions = node->fetch_sessions->evictions;
    out->catch_up_per_s = node->pace.per_s;
    out->leaderships = 0;
    for (p = node->partitions; p != NULL; p = p->hh.next) {
        out->leaderships += replica_serves(&p->replica);
        coordinator_count(p, out);
    }
}
