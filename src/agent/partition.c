/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions hosted here: carries out what their replica machines ask for. */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "agent/group.h"
#include "agent/inner.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"

#define PRODUCERS_SAVE_BYTES ((uint64_t)16 << 20)
#define TOLD_MAX             32   /* producers, and aborted transactions, in a roster */
#define OPERATOR_WAIT_MS     2000 /* for silent regions, in a lossy epoch of a sync topic */

/* One write of a partition that waits for its fsync. Pooled per process: as many as ever waited. */
struct write_token {
    struct store_req req;
    struct link link; /* in node.tokens */
    struct partition *partition;
    enum replica_effect_kind kind;
    int64_t value;
    bool committed;        /* of a restart */
    uint32_t pushed_by;    /* whose push it came with; 0: nobody's */
    enum wire_channel via; /* by which it came */
    uint64_t pushed_bytes; /* received from it up to the end of that push */
};

static void written(struct store_req *req, int status);

static struct write_token *token_new(struct partition *p, enum replica_effect_kind kind,
                                     int64_t value)
{
    struct write_token *token = mem_new(sizeof *token);

    token->req.done = written;
    token->partition = p;
    token->kind = kind;
    token->value = value;
    queue_push(&p->node->tokens, &token->link);
    return token;
}

static void token_free(struct write_token *token)
{
    link_remove(&token->link);
    free(token);
}

static void cut(struct partition *p, struct write_token *token)
{
    if (token->kind == EFFECT_TRUNCATE) {
        store_truncate(p->log, token->value, false, &token->req);
    } else {
        /* The table is, until a batch follows, that of the log start. */
        struct buf producers = {0};
        CHECK(p->replica.producers_at == token->value); /* INVARIANTS 37 */
        producers_pack_before(p->replica.producers, token->value, ship_producers_max(p),
                              &producers);
        store_restart(p->log, token->value, token->committed, buf_slice(&producers), &token->req);
        buf_fini(&producers);
    }
}

static void written(struct store_req *req, int status)
{
    struct write_token *token = CONTAINER_OF(req, struct write_token, req);
    struct partition *p = token->partition;
    struct node *node = p->node;

    bool is_cut = token->kind == EFFECT_TRUNCATE || token->kind == EFFECT_RESTART;
    if (status != 0 && !(is_cut && p->deleting)) {
        node_die(node, status, "a journal write was not made durable");
        token_free(token);
        return;
    }
    if (token->pushed_by != 0) {
        struct peer *peer = &node->peers[token->pushed_by];
        struct flow *flow = &peer->flows[token->via];
        if (token->pushed_bytes > flow->taken_bytes_durable &&
            token->pushed_bytes <= flow->token_bytes) {
            /* Behind the newest write nothing waits any more. */
            flow->taken_bytes_durable =
                token->pushed_bytes == flow->token_bytes ? flow->taken_bytes : token->pushed_bytes;
            peer->ack_bytes_owed = true;
        }
    }
    if (!p->deleting) {
        struct replica_out out = {0};
        if (is_cut) {
            replica_note_damage(&p->replica, store_state(p->log)->damaged_from);
        }
        bool starts = token->kind == EFFECT_LOG_START || token->kind == EFFECT_RESTART;
        if (starts && token->value > p->log_start_durable) {
            p->log_start_durable = token->value;
        }
        replica_written(&p->replica, node_now_ms(node), token->kind, token->value, &out);
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
        if (starts) {
            partition_poke(p);
        }
    }
    token_free(token);
}

struct partition *partition_find(struct node *node, struct uuid topic_id, int32_t partition)
{
    struct partition_key key;
    struct partition *found;

    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = partition;
    HASH_FIND(hh, node->partitions, &key, sizeof key, found);
    return found;
}

static node_set linked(const struct node *node)
{
    node_set set = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (peer_linked(node, id)) {
            set |= NODE_BIT(id);
        }
    }
    return set;
}

static void load_replica(struct partition *p, bool fresh)
{
    const struct store_log_state *state = store_state(p->log);
    struct node *node = p->node;
    struct history_entry *history = mem_grow(NULL, state->history_count + 1, sizeof *history);

    for (size_t i = 0; i < state->history_count; i++) {
        history[i] =
            (struct history_entry){state->history[i].epoch, state->history[i].start_offset};
    }
    struct replica_load load = {
        .self = node->o.node_id,
        .incarnation = node->file.incarnation,
        .start_number = node->registered ? node->start_number : 0,
        .connected = linked(node),
        .promised = fresh                      ? 0
                    : MUTANT(promise_volatile) ? state->synced
                                               : state->promised,
        .synced = state->synced,
        .leo = state->leo,
        .log_start = state->log_start,
        .damaged = state->damaged_from != INT64_MAX,
        .damaged_from = state->damaged_from,
        .history = history,
        .history_count = state->history_count,
    };
    replica_init(&p->replica, &load);
    replica_reach(&p->replica, liveness_reachable(node));
    free(history);
}

static void rebuild_producers(struct partition *p);
static void erase_doomed(struct node *node, const struct partition_key *key);

struct partition *partition_host(struct node *node, struct uuid topic_id, int32_t partition)
{
    struct partition *p = mem_new(sizeof *p);
    bool fresh = false;

    p->key.topic_id = topic_id;
    p->key.partition = partition;
    p->node = node;
    queue_init(&p->appends);
    queue_init(&p->verifying);
    queue_init(&p->watchers);
    queue_init(&p->reads);
    if (store_find(node->store, topic_id, partition) != NULL) {
        erase_doomed(node, &p->key); /* only then can it be one: there may be ten thousand */
    }
    int32_t tombstone = store_tombstone(node->store, topic_id, partition); /* creating ends it */
    p->log = store_find(node->store, topic_id, partition);
    if (p->log == NULL) {
        p->log = store_create(node->store, topic_id, partition, NULL);
        fresh = true;
    }
    CHECK(p->log != NULL);
    load_replica(p, fresh);
    p->log_start_durable = store_state(p->log)->log_start;
    HASH_ADD(hh, node->partitions, key, sizeof p->key, p);
    node->counters.partitions++;
    if (fresh && tombstone > 0) {
        struct replica_out out = {0};
        replica_on_fence(&p->replica, node_now_ms(node), 0, tombstone, &out);
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
    }
    if (p->replica.leo > p->replica.log_start) {
        rebuild_producers(p);
    }
    repair_look(p);
    return p;
}

static void deleted(struct store_req *req, int status)
{
    struct write_token *token = CONTAINER_OF(req, struct write_token, req);

    if (status != 0) {
        node_die(token->partition->node, status, "a partition could not be deleted");
    }
    free(token->partition);
    token_free(token);
}

void partition_tokens_drop(struct node *node)
{
    QUEUE_EACH (each, &node->tokens) {
        struct write_token *token = CONTAINER_OF(each, struct write_token, link);
        if (token->req.done == deleted) {
            free(token->partition);
        }
        token_free(token);
    }
}

static void forget(struct partition *p)
{
    struct node *node = p->node;

    HASH_DEL(node->partitions, p);
    node->counters.partitions--;
    if (link_in_list(&p->dirty)) {
        link_remove(&p->dirty);
    }
    if (link_in_list(&p->ticking)) {
        link_remove(&p->ticking);
    }
    ship_reads_abandon(p);
    repair_forget(p);
    free(p->log_starts);
    p->log_starts = NULL;
    p->deleting = true;
}

/* Serves nobody from now on. */
static void retire(struct partition *p)
{
    forget(p);
    produce_role_changed(p);
    partition_poke(p);
    while (queue_pop(&p->watchers) != NULL) {
        /* Poked: they look again, and do not find it. */
    }
    coordinator_detach(p, false);
    replica_fini(&p->replica);
}

static void erase(struct partition *p)
{
    struct write_token *token = token_new(p, EFFECT_TRUNCATE, 0);

    token->req.done = deleted;
    store_delete(p->log, &token->req);
}

void partition_drop(struct partition *p)
{
    retire(p);
    erase(p);
}

void partition_drop_later(struct partition *p)
{
    retire(p);
    queue_push(&p->node->doomed, &p->doomed);
}

void partitions_erase(struct node *node, uint32_t count)
{
    for (; count > 0 && !queue_empty(&node->doomed); count--) {
        erase(CONTAINER_OF(queue_pop(&node->doomed), struct partition, doomed));
    }
}

/* Topic ids are never used twice; should one come back, its old log must not be taken for it, and
 * must not be erased under it. */
static void erase_doomed(struct node *node, const struct partition_key *key)
{
    QUEUE_EACH (each, &node->doomed) {
        struct partition *p = CONTAINER_OF(each, struct partition, doomed);
        if (memcmp(&p->key, key, sizeof *key) == 0) {
            link_remove(&p->doomed);
            erase(p);
        }
    }
}

void partitions_free_doomed(struct node *node)
{
    struct link *link;

    while ((link = queue_pop(&node->doomed)) != NULL) {
        struct partition *p = CONTAINER_OF(link, struct partition, doomed);
        if (p->rebuilding) {
            store_read_fini(&p->rebuild);
        }
        free(p);
    }
}

void partition_free(struct partition *p)
{
    coordinator_detach(p, true);
    forget(p);
    if (p->rebuilding) {
        store_read_fini(&p->rebuild);
    }
    replica_fini(&p->replica);
    free(p);
}

/* ---- what the control state says ------------------------------------------------------------- */

static int8_t region_of(const struct control *control, uint32_t node)
{
    return (int8_t)control->nodes[node].region;
}

static struct replica_rule rule_of(const struct control_config *config)
{
    return (struct replica_rule){config->voters, config->learners, config->w, config->home};
}

void partition_assign(struct partition *p)
{
    const struct control *control = p->node->control;
    const struct control_topic *topic = control_topic_by_id(control, p->key.topic_id);
    const struct control_partition *cp =
        control_partition(control, p->key.topic_id, p->key.partition);
    CHECK(topic != NULL && cp != NULL);
    struct replica_spec spec = {
        .epoch = cp->epoch,
        .leader = cp->leader,
        .leader_start = cp->leader_start,
        .config = rule_of(&cp->config),
        .recover = rule_of(&cp->recover),
        .lossy = cp->lossy,
        .activated = cp->activated,
        .lossy_epoch = cp->lossy_epoch,
        .lossy_start = cp->lossy_start,
        .wait_ms = topic->policy.mode == POLICY_ASYNC ? (uint32_t)topic->policy.failover_wait_ms
                                                      : OPERATOR_WAIT_MS,
        .rpo_survive = topic->policy.rpo_survive,
        .rpo_enforced = topic->policy.on_breach != POLICY_BREACH_REPORT,
        .rpo_time_ms = topic->policy.rpo_time_ms,
        .rpo_bytes = topic->policy.rpo_bytes,
        .member_count = cp->replica_count,
    };
    _Static_assert(REPLICA_MEMBERS_MAX == CONTROL_REPLICAS_MAX, "one replica, one member");

    for (uint32_t i = 0; i < cp->replica_count; i++) {
        const struct control_replica *c = &cp->replicas[i];
        spec.members[i] =
            (struct replica_member){c->node, c->incarnation, c->since, region_of(control, c->node)};
    }
    struct log_settings settings = topic_log_settings(topic);
    store_configure(p->log, &settings);
    if (control_topic_internal(topic->name)) {
        coordinator_attach(p, topic->name);
    }
    struct replica_out out = {0};
    if (spec.epoch > p->replica.spec.epoch) {
        p->caught_up = 0;
    }
    replica_assign(&p->replica, node_now_ms(p->node), &spec, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
}

/* ---- producer state -------------------------------------------------------------------------- */

static void rebuilt(struct store_read *read)
{
    struct partition *p = CONTAINER_OF(read, struct partition, rebuild);

    for (size_t i = 0; read->status == 0 && !p->deleting && i < read->chunk_count; i++) {
        struct slice run = chunk_slice(read->chunks[i]);
        struct batch_info info;
        struct slice batch;
        while (batch_next(&run, &info, &batch) == 0) {
            replica_producers_feed(&p->replica, &info);
        }
    }
    /* Out of range: the log start was raised over what was being read. */
    bool behind = read->status == TERN_EOUTOFRANGE && read->offset < p->replica.log_start;
    bool mended = read->status == TERN_EDAMAGED && p->replica.damaged_from >= p->replica.leo;
    bool again = read->status == 0 || read->status == TERN_ECANCELED || behind || mended;
    int status = read->status;
    store_read_fini(read);
    p->rebuilding = false;
    if (p->deleting) {
        return;
    }
    if (!again) {
        trace_error("event=producers_rebuild_failed partition=%d error=%s", p->key.partition,
                    error_name(status));
        return; /* it takes no idempotent batches until it is rebuilt: safe, and told */
    }
    if (status == TERN_ECANCELED || p->replica.producers_at < 0) {
        rebuild_producers(p);
        return;
    }
    if (p->replica.producers_at < p->replica.leo && !p->replica.truncating) {
        rebuild_producers(p);
        return;
    }
    struct replica_out out = {0};
    replica_producers_fed(&p->replica, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    partition_poke(p); /* the last stable offset is known */
}

/* Continues where the table stands; from a snapshot or the log start if it stands nowhere. */
static void rebuild_producers(struct partition *p)
{
    struct replica *r = &p->replica;

    if (p->rebuilding || p->deleting || r->truncating) {
        return;
    }
    if (r->producers_at < 0 || r->producers_at <= r->log_start) {
        struct buf snapshot = {0};
        int64_t at = r->log_start;
        if (!store_producers_load(p->log, r->leo, &at, &snapshot) ||
            producers_unpack(r->producers, buf_slice(&snapshot)) != 0) {
            producers_clear(r->producers);
            at = r->log_start;
        }
        buf_fini(&snapshot);
        replica_producers_restart(r, at);
    }
    if (r->producers_at >= r->leo) {
        return;
    }
    p->rebuild = (struct store_read){.log = p->log,
                                     .offset = r->producers_at,
                                     .limit = r->leo,
                                     .max_bytes = (size_t)1 << 20,
                                     .done = rebuilt};
    p->rebuilding = true;
    if (store_read(&p->rebuild)) {
        rebuilt(&p->rebuild);
    }
}

static void save_producers(struct partition *p);

static void producers_saved(struct store_req *req, int status)
{
    struct partition *p = CONTAINER_OF(req, struct partition, save);
    struct replica_out out = {0};

    p->saving = false;
    if (p->deleting) {
        return;
    }
    if (status != 0) {
        trace_warn("event=producers_not_saved partition=%d error=%s", p->key.partition,
                   error_name(status));
    }
    if (p->save_wanted) {
        save_producers(p); /* asked for again: the log was cut meanwhile */
        return;
    }
    replica_written(&p->replica, node_now_ms(p->node), EFFECT_PRODUCERS,
                    status == 0 ? p->saving_at : -1, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
}

static void save_producers(struct partition *p)
{
    struct replica *r = &p->replica;
    struct buf bytes = {0};

    if (p->saving || r->producers_at != r->leo || r->truncating) {
        return;
    }
    int64_t committed = r->leader_hw > r->log_start ? r->leader_hw : r->log_start;
    p->saving = true;
    p->save_wanted = false;
    p->saving_at = r->leo;
    p->producers_saved_at = (int64_t)store_state(p->log)->bytes;
    p->save.done = producers_saved;
    producers_pack(r->producers, &bytes);
    store_producers_save(p->log, r->leo, committed, buf_slice(&bytes), &p->save);
    buf_fini(&bytes);
}

bool partition_tell_producers(void *ctx, struct store_log *log, struct buf *out)
{
    const struct store_log_state *state = store_state(log);
    const struct partition *p = partition_find(ctx, state->topic_id, state->partition);
    size_t aborted = 0;

    if (p == NULL || p->log != log) {
        return false;
    }
    const struct replica *r = &p->replica;
    if (r->truncating || r->producers_at != state->leo || r->leo != state->leo) {
        return false; /* being rebuilt, or ahead of what the store was told */
    }
    (void)producers_aborted(r->producers, 0, &aborted);
    if (producers_count(r->producers) > TOLD_MAX || aborted > TOLD_MAX) {
        return false; /* save_producers is for those */
    }
    producers_pack(r->producers, out);
    return true;
}

static void maybe_save_producers(struct partition *p)
{
    if (p->save_wanted ||
        store_state(p->log)->bytes >= (uint64_t)p->producers_saved_at + PRODUCERS_SAVE_BYTES) {
        save_producers(p);
    }
}

/* ---- effects --------------------------------------------------------------------------------- */

void partition_mark_dirty(struct partition *p)
{
    if (!link_in_list(&p->dirty)) {
        queue_push(&p->node->dirty, &p->dirty);
    }
    node_wake(p->node);
}

void partition_poke(struct partition *p)
{
    QUEUE_EACH (each, &p->watchers) {
        struct partition_waiter *waiter = CONTAINER_OF(each, struct partition_waiter, link);
        waiter->poke(waiter);
    }
    produce_progress(p);
    coordinator_poke(p);
}

void partition_mended(struct partition *p)
{
    if (p->replica.producers_at != p->replica.leo) {
        rebuild_producers(p);
    }
    partition_poke(p);
}

static void append(struct partition *p, const struct replica_effect *effect,
                   const struct batch_info *batches, const struct chunk *chunks)
{
    CHECK(batches != NULL && chunks != NULL);
    struct write_token *token = token_new(p, EFFECT_APPEND, effect->offset);

    if (p->replica.role != REPLICA_SERVING && p->replica.leader != 0 &&
        p->replica.leader != p->node->o.node_id) {
        struct peer *peer = &p->node->peers[p->replica.leader];
        struct flow *flow = &peer->flows[peer->taking];
        flow->token_bytes = flow->taken_bytes;
        token->pushed_by = p->replica.leader;
        token->via = peer->taking;
        token->pushed_bytes = flow->taken_bytes;
    }
    store_append(p->log, chunks[effect->index], &token->req);
}

struct activation {
    struct quorum_proposal proposal;
};

static void activation_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    /* Refused or lost: the leader asks again, or a newer epoch is under way already. */
    (void)status;
    (void)result;
    free(CONTAINER_OF(proposal, struct activation, proposal));
}

static void propose_activated(struct partition *p, const struct replica_effect *effect)
{
    struct node *node = p->node;
    struct control_ledger_entry entry = {0};
    const struct control_topic *topic = control_topic_by_id(node->control, p->key.topic_id);
    struct buf command = {0};

    if (node->quorum == NULL || topic == NULL) {
        return;
    }
    if (effect->offset >= 0) {
        entry.kind = LEDGER_EXPOSED;
        (void)snprintf(entry.topic, sizeof entry.topic, "%s", topic->name);
        entry.partition = p->key.partition;
        entry.first_offset = effect->offset;
        entry.end_offset = -1;
        entry.since_wall_ms = clock_wall_ms(node->o.clock);
        entry.until_wall_ms = entry.since_wall_ms;
        bool by_policy =
            topic->policy.mode == POLICY_ASYNC && topic->policy.failover == POLICY_FAILOVER_AUTO;
        (void)snprintf(entry.decided_by, sizeof entry.decided_by, "%s %s",
                       by_policy ? "policy" : "an operator, against policy", topic->policy.name);
        (void)snprintf(entry.note, sizeof entry.note, "%s",
                       effect->flag ? "bound not guaranteed: a region was missing"
                                    : "records from here on that only the home region had");
    }
    command_activated(&command, node_next_key(node), p->key.topic_id, p->key.partition,
                      effect->epoch, effect->offset, effect->offset >= 0 ? &entry : NULL);
    struct activation *activation = mem_new(sizeof *activation);
    activation->proposal.done = activation_done;
    quorum_submit(node->quorum, buf_slice(&command), &activation->proposal);
    buf_fini(&command);
}

static void role_changed(struct partition *p)
{
    trace_debug("event=role partition=%d epoch=%d role=%s leo=%lld", p->key.partition,
                p->replica.promised, replica_role_name(p->replica.role), (long long)p->replica.leo);
    if (p->replica.producers_at != p->replica.leo) {
        rebuild_producers(p);
    }
    p->node->roles_ms = node_now_ms(p->node);
    produce_role_changed(p);
    partition_poke(p);
}

/* What an async replica cuts may have been acknowledged by its region alone. */
static void cut_off(struct partition *p, int64_t offset)
{
    const struct store_log_state *state = store_state(p->log);
    bool async = p->replica.spec.config.home >= 0 || p->replica.spec.recover.home >= 0;

    if (async && state->leo > offset && state->leo > state->log_start) {
        /* Bytes by the share of offsets: the store tells exact ones in the quarantine's list. */
        uint64_t share = (uint64_t)(state->leo - offset) * state->bytes /
                         (uint64_t)(state->leo - state->log_start);
        ledger_cut_off(p, offset, state->leo, share);
    }
}

static void run_one(struct partition *p, const struct replica_effect *effect,
                    const struct batch_info *batches, const struct chunk *chunks)
{
    switch (effect->kind) {
    case EFFECT_PROMISE:
        store_promise(p->log, effect->epoch, &token_new(p, EFFECT_PROMISE, effect->epoch)->req);
        break;
    case EFFECT_SYNCED:
        store_synced(p->log, effect->epoch, &token_new(p, EFFECT_SYNCED, effect->epoch)->req);
        break;
    case EFFECT_APPEND:
        append(p, effect, batches, chunks);
        break;
    case EFFECT_TRUNCATE:
        trace_info("event=truncate partition=%d epoch=%d to=%lld", p->key.partition,
                   p->replica.promised, (long long)effect->offset);
        cut_off(p, effect->offset);
        cut(p, token_new(p, EFFECT_TRUNCATE, effect->offset));
        break;
    case EFFECT_RESTART: {
        struct write_token *token = token_new(p, EFFECT_RESTART, effect->offset);
        token->committed = effect->flag;
        cut(p, token);
        break;
    }
    case EFFECT_PRODUCERS:
        p->save_wanted = true;
        save_producers(p);
        break;
    case EFFECT_LOG_START:
        if (effect->flag) {
            trace_warn("event=log_start_unguarded partition=%d offset=%lld", p->key.partition,
                       (long long)effect->offset);
        }
        store_log_start(p->log, effect->offset,
                        &token_new(p, EFFECT_LOG_START, effect->offset)->req);
        break;
    case EFFECT_FENCE:
        p->fence_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_ANSWER:
        if (effect->node != 0) {
            p->answer_to = effect->node;
            p->answer_complaint = p->answer_complaint || effect->flag;
        }
        break;
    case EFFECT_BEGIN:
        ship_begin(p, effect->node, effect->offset, effect->flag);
        break;
    case EFFECT_PUSH:
        p->push_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_ACK:
        p->ack_to = effect->node;
        p->ack_epoch = effect->epoch;
        p->ack_offset = effect->offset;
        break;
    case EFFECT_MARK:
        p->mark_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_COPY:
        ship_ask_copy(p, effect->node, effect->epoch, effect->offset, effect->flag);
        break;
    case EFFECT_HW:
        maybe_save_producers(p);
        partition_poke(p);
        break;
    case EFFECT_ROLE:
        role_changed(p);
        break;
    case EFFECT_ACTIVATED:
        propose_activated(p, effect);
        break;
    case EFFECT_NO_QUORUM:
        partition_report(p, REPORT_NO_QUORUM, 0);
        break;
    case EFFECT_REBUILD:
        rebuild_producers(p);
        break;
    case EFFECT_CAUGHT_UP:
        p->caught_up |= NODE_BIT(effect->node);
        partition_report(p, REPORT_LEARNER_READY, NODE_BIT(effect->node));
        break;
    case EFFECT_AMNESIA:
        partition_report_amnesia(p, effect->node, effect->flag);
        break;
    }
}

void partition_run(struct partition *p, const struct replica_out *out,
                   const struct batch_info *batches, const struct chunk *chunks)
{
    for (size_t i = 0; i < out->count; i++) {
        run_one(p, &out->effects[i], batches, chunks);
    }
    if (out->count > 0) {
        partition_mark_dirty(p);
    }
    bool wants = replica_wants_tick(&p->replica);
    if (wants && !link_in_list(&p->ticking)) {
        queue_push(&p->node->ticking, &p->ticking);
    } else if (!wants && link_in_list(&p->ticking)) {
        link_remove(&p->ticking);
    }
}

void partition_tick(struct partition *p, uint64_t now_us, uint64_t patience_ms)
{
    struct replica_out out = {0};

    ship_partition_tick(p, now_us);
    replica_tick(&p->replica, now_us / 1000, patience_ms, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
}
