/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold, seen from outside: the promises, not the means. The numbers in the messages are
 * node ids, epochs and offsets. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/replica_world.h"

/* ---- writes ---------------------------------------------------------------------------------- */

/* Where the records end that the node holds as they were committed, or held before it deleted them.
 */
static int64_t committed_part(const struct world *w, const struct world_log *log)
{
    int64_t end = log->end < w->committed.end ? log->end : w->committed.end;

    for (int64_t offset = 0; offset < end; offset++) {
        bool is_known = offset >= log->start || log->at[offset] != 0;
        if (is_known && w->committed.at[offset] != 0 &&
            log->at[offset] != w->committed.at[offset]) {
            return offset;
        }
    }
    return end;
}

void rworld_judge_write(struct world *w, const struct world_node *n,
                        const struct world_write *write)
{
    int32_t promised = n->disk.promised;
    int32_t synced = n->disk.synced;

    for (size_t i = n->write_first; i + 1 < n->write_count; i++) {
        if (n->writes[i].kind == EFFECT_PROMISE) {
            promised = (int32_t)n->writes[i].value;
        } else if (n->writes[i].kind == EFFECT_SYNCED) {
            synced = (int32_t)n->writes[i].value;
        }
    }
    if (write->kind == EFFECT_PROMISE && write->value <= promised) {
        rworld_break(w, "node %u goes back from promise %d", n->id, promised);
    }
    if (write->kind == EFFECT_SYNCED && (write->value < synced || write->value > promised)) {
        rworld_break(w, "node %u stores synced %lld after %d, promised %d", n->id,
                     (long long)write->value, synced, promised);
    }
    if (write->kind == EFFECT_TRUNCATE &&
        w->batches[n->log.at[write->value]].info.base_offset != write->value) {
        rworld_break(w, "node %u cuts a batch at %lld", n->id, (long long)write->value);
    }
    bool current = promised >= w->control.floor && promised >= w->committed_epoch &&
                   synced >= w->control.since[n->id];
    if (write->kind == EFFECT_LOG_START && current && write->value > w->committed.end) {
        rworld_break(w, "node %u deletes below %lld, committed is only %lld", n->id,
                     (long long)write->value, (long long)w->committed.end);
    }
    if (write->kind == EFFECT_LOG_START && write->value > w->log_start_max) {
        w->log_start_max = write->value;
    }
    int64_t kept = write->value > n->log.start ? write->value : n->log.start;
    int64_t part = committed_part(w, &n->log);
    if ((write->kind == EFFECT_TRUNCATE || write->kind == EFFECT_RESTART) && current &&
        !w->control.specs[promised].lossy && (part < n->had ? part : n->had) > kept) {
        rworld_break(w, "node %u cuts committed records from %lld on", n->id,
                     (long long)write->value);
    }
    int64_t had = n->had < part ? n->had : part;
    if (write->kind == EFFECT_RESTART && current && !w->control.specs[promised].lossy &&
        synced >= w->control.floor && write->value < had) {
        rworld_break(w, "node %u restarts at %lld, it has held all below %lld", n->id,
                     (long long)write->value, (long long)had);
    }
    if (write->kind == EFFECT_RESTART && write->value > w->log_start_max) {
        w->log_start_max = write->value;
    }
}

/* ---- leaders --------------------------------------------------------------------------------- */

static void judge_initial(struct world *w, const struct world_node *n, int32_t epoch)
{
    if (w->control.specs[epoch].lossy || epoch <= w->control.floor || w->committed_epoch > epoch) {
        return;
    }
    /* What a lossy epoch gave up may come back, as long as nothing was committed since: then also what
     * is deleted of it counts as committed. */
    if (n->replica.target_synced < w->control.floor) {
        for (; w->committed.end < n->log.start; w->committed.end++) {
            w->committed.at[w->committed.end] = n->log.at[w->committed.end];
        }
    }
    if (n->log.start > w->committed.end || committed_part(w, &n->log) < w->committed.end) {
        rworld_break(w, "the initial log of epoch %d lacks what was committed up to %lld", epoch,
                     (long long)w->committed.end);
    }
}

void rworld_judge_role(struct world *w, struct world_node *n)
{
    if (!n->up || n->replica.role != REPLICA_SERVING) {
        return;
    }
    int32_t epoch = n->replica.spec.epoch;
    struct world_epoch *e = &w->epochs[epoch];
    if (e->leader == 0) {
        e->leader = n->id;
        w->counters.served++;
        e->leader_start = n->replica.start_number;
        e->log = n->log;
        e->hw = -1;
        if (w->control.specs[epoch].leader != n->id) {
            rworld_break(w, "node %u serves epoch %d of another", n->id, epoch);
        }
        if (w->control.specs[epoch].lossy && !w->control.specs[epoch].activated) {
            rworld_break(w, "the lossy epoch %d serves before it is activated", epoch);
        }
        judge_initial(w, n, epoch);
        if (rworld_lost_from(n) < n->log.end) {
            rworld_break(w, "node %u serves epoch %d with a damaged log", n->id, epoch);
        }
    } else if (e->leader != n->id || e->leader_start != n->replica.start_number) {
        rworld_break(w, "epoch %d is served a second time, by node %u", epoch, n->id);
    }
}

void rworld_judge_append(struct world *w, const struct world_node *n, uint16_t batch)
{
    const struct batch_info *info = &w->batches[batch].info;
    struct world_epoch *e = &w->epochs[n->replica.spec.epoch];

    if (info->base_offset != e->log.end || info->leader_epoch != n->replica.spec.epoch ||
        info->last_offset - info->base_offset + 1 != info->count) {
        rworld_break(w, "node %u appends at %lld, its log ends at %lld", n->id,
                     (long long)info->base_offset, (long long)e->log.end);
        return;
    }
    for (int64_t offset = info->base_offset; offset <= info->last_offset; offset++) {
        e->log.at[offset] = batch;
    }
    e->log.end = info->last_offset + 1;
}

/* ---- what a node says ------------------------------------------------------------------------ */

void rworld_judge_ack(struct world *w, const struct world_node *n, int32_t epoch, int64_t offset)
{
    struct world_epoch *e = &w->epochs[epoch];
    const struct replica_member *m = spec_member(&w->control.specs[epoch], n->id);

    if (n->disk.synced != epoch || n->disk.promised < epoch) {
        rworld_break(w, "node %u acknowledges epoch %d with synced %d", n->id, epoch,
                     n->disk.synced);
    }
    if (n->disk.log.end < offset || rworld_common(&n->disk.log, &e->log) < offset) {
        rworld_break(w, "node %u acknowledges up to %lld what it does not hold", n->id,
                     (long long)offset);
    }
    if (offset > rworld_lost_from(n)) {
        rworld_break(w, "node %u acknowledges up to %lld, from %lld on its log is damaged", n->id,
                     (long long)offset, (long long)rworld_lost_from(n));
    }
    if (epoch < n->replica.promised) {
        rworld_break(w, "node %u acknowledges epoch %d, promised is %d", n->id, epoch,
                     n->replica.promised);
    }
    if (!n->registered) {
        rworld_break(w, "node %u acknowledges before it is registered", n->id);
    }
    if (m != NULL && m->incarnation == n->replica.incarnation) {
        e->acks_sent[n->id]++;
        e->acked[n->id] = offset > e->acked[n->id] ? offset : e->acked[n->id];
    }
    if (e->acked_any_incarnation[n->id] != n->replica.incarnation) {
        e->acked_any_incarnation[n->id] = n->replica.incarnation;
        e->acked_any[n->id] = 0;
    }
    if (offset > e->acked_any[n->id]) {
        e->acked_any[n->id] = offset;
    }
}

/* Committed records that the sender had acknowledged to the leader of its `synced` epoch. */
static int64_t shipped(const struct world *w, const struct world_node *n,
                       const struct replica_answer *answer)
{
    const struct world_epoch *e = &w->epochs[answer->synced];
    int64_t end = e->acked_any_incarnation[n->id] == answer->incarnation ? e->acked_any[n->id] : 0;
    int64_t common = committed_part(w, &n->disk.log);

    end = end < common ? end : common;
    for (int64_t offset = n->disk.log.start; offset < end; offset++) {
        if (w->batches[n->disk.log.at[offset]].info.leader_epoch > answer->synced) {
            return offset;
        }
    }
    return end;
}

void rworld_judge_answer(struct world *w, const struct world_node *n,
                         const struct replica_answer *answer)
{
    if (!n->registered) {
        rworld_break(w, "node %u answers before it is registered", n->id);
    }
    if (answer->epoch > n->disk.promised || answer->synced > n->disk.synced ||
        answer->leo > n->disk.log.end) {
        rworld_break(w, "node %u reveals what its disk does not hold", n->id);
    }
    for (size_t i = 0; i < answer->history_count; i++) {
        if (answer->history[i].start_offset > answer->leo) {
            rworld_break(w, "node %u answers with a history beyond its end", n->id);
        }
    }
    struct world_epoch *e = &w->epochs[answer->epoch];
    e->answered[n->id] = true;
    e->shipped[n->id] = shipped(w, n, answer);
}

/* ---- commits --------------------------------------------------------------------------------- */

static bool durable_by_rule(const struct world *w, int32_t epoch, int64_t offset)
{
    const struct replica_spec *spec = &w->control.specs[epoch];
    const struct world_epoch *e = &w->epochs[epoch];
    int regions_holding = 0;

    for (int8_t region = 0; region < WORLD_NODES; region++) {
        int voters = 0;
        int holding = 0;
        for (uint32_t id = 1; id <= w->node_count; id++) {
            if ((spec->config.voters & NODE_BIT(id)) == 0 || w->nodes[id].region != region) {
                continue;
            }
            voters++;
            if (id == e->leader) {
                const struct world_disk *disk = &w->nodes[id].disk;
                holding += disk->synced == epoch && disk->log.end >= offset;
            } else {
                holding += e->acked[id] >= offset;
            }
        }
        bool holds = holding > voters / 2;
        if (spec->config.home == region) {
            return holds;
        }
        regions_holding += holds;
    }
    return spec->config.home < 0 && regions_holding >= spec->config.w;
}

static bool is_same_batch(const struct batch_info *a, const struct batch_info *b)
{
    return a->producer_id >= 0 && a->producer_id == b->producer_id &&
           a->producer_epoch == b->producer_epoch && a->base_sequence == b->base_sequence;
}

static void commit_batch(struct world *w, uint16_t batch)
{
    const struct batch_info *info = &w->batches[batch].info;

    for (int64_t offset = w->log_start_max; offset < w->committed.end; offset++) {
        uint16_t other = w->committed.at[offset];
        if (other != batch && is_same_batch(&w->batches[other].info, info)) {
            rworld_break(w, "batch %u of producer %lld is committed twice, at %lld and %lld",
                         w->batches[batch].payload, (long long)info->producer_id, (long long)offset,
                         (long long)info->base_offset);
        }
    }
}

static void judge_commit(struct world *w, struct world_node *n, int32_t epoch, int64_t hw)
{
    struct world_epoch *e = &w->epochs[epoch];
    const struct replica_spec *spec = &w->control.specs[epoch];

    if (epoch < w->control.floor) {
        return; /* a home that was given up goes on alone: exposed, and told so */
    }
    if (spec_needs_activation(spec)) {
        rworld_break(w, "epoch %d commits before it is activated", epoch);
    }
    if (hw > 0 && !durable_by_rule(w, epoch, hw)) {
        rworld_break(w, "epoch %d commits up to %lld without its quorum", epoch, (long long)hw);
    }
    int64_t known = hw < w->committed.end ? hw : w->committed.end;
    if (committed_part(w, &n->log) < known) {
        rworld_break(w, "epoch %d commits another record where one was committed below %lld", epoch,
                     (long long)known);
        return;
    }
    if (hw > w->committed.end) {
        w->counters.commits++;
        rworld_story(w, "  committed up to %lld", (long long)hw);
    }
    for (int64_t offset = w->committed.end; offset < hw; offset++) {
        uint16_t batch = n->log.at[offset];
        if (offset < n->log.start) {
            rworld_break(w, "epoch %d commits what is not there at %lld", epoch, (long long)offset);
            return;
        }
        commit_batch(w, batch);
        w->committed.at[offset] = batch;
        w->committed.end = offset + 1;
    }
    if (epoch > w->committed_epoch) {
        w->committed_epoch = epoch;
    }
    e->hw = hw;
}

static void judge_shown(struct world *w, struct world_node *n)
{
    const struct replica *r = &n->replica;

    if (r->hw < n->hw_shown && n->hw_shown_epoch >= w->control.floor) {
        rworld_break(w, "node %u showed %lld, now only %lld", n->id, (long long)n->hw_shown,
                     (long long)r->hw);
    }
    if (r->hw > n->hw_shown && r->promised >= w->control.floor) {
        if (r->hw > w->committed.end || rworld_common(&n->log, &w->committed) < r->hw) {
            rworld_break(w, "node %u shows up to %lld, which was never committed", n->id,
                         (long long)r->hw);
        }
        if (r->hw > r->leo_durable && r->role == REPLICA_FOLLOWING) {
            rworld_break(w, "node %u shows what is not durable", n->id);
        }
    }
    /* What was shown before it followed this epoch is looked at again once it holds its log. */
    bool knows = r->spec.lossy_epoch >= w->control.floor;
    if (r->synced_durable == r->promised && r->promised >= w->control.floor && knows &&
        r->promised > n->hw_looked_at) {
        n->hw_looked_at = r->promised;
        /* The initial log of an activated lossy epoch is as good as committed. */
        int64_t part = rworld_common(&n->log, &w->committed);
        int64_t given = rworld_common(&n->log, &w->epochs[w->control.floor].log);
        if (r->hw > n->log.start && (part > given ? part : given) < r->hw) {
            rworld_break(w, "node %u still shows up to %lld in epoch %d", n->id, (long long)r->hw,
                         r->promised);
        }
    }
    n->hw_shown_epoch = r->hw > n->hw_shown ? r->promised : n->hw_shown_epoch;
    n->hw_shown = r->hw;
}

void rworld_judge_node(struct world *w, struct world_node *n)
{
    const struct replica *r = &n->replica;

    if (!n->up) {
        return;
    }
    if (r->leo != n->log.end || r->log_start != n->log.start) {
        rworld_break(w, "node %u thinks its log is %lld..%lld", n->id, (long long)r->log_start,
                     (long long)r->leo);
    }
    if (r->role == REPLICA_SERVING && r->leader_hw > w->epochs[r->spec.epoch].hw) {
        judge_commit(w, n, r->spec.epoch, r->leader_hw);
    }
    judge_shown(w, n);
}

/* ---- activations ----------------------------------------------------------------------------- */

void rworld_judge_activation(struct world *w, const struct world_node *n, int32_t epoch)
{
    struct world_epoch *e = &w->epochs[epoch];
    const struct replica *r = &n->replica;

    if (!w->control.specs[epoch].lossy || w->control.specs[epoch].activated) {
        return;
    }
    e->log = n->log;
    e->read_all = !r->missing_region;
    int64_t known = 0;
    for (size_t i = 0; i < r->answer_count; i++) {
        uint32_t node = r->answers[i].node;
        if (node != n->id && e->answered[node] && e->shipped[node] > known) {
            known = e->shipped[node];
        }
    }
    int64_t kept = committed_part(w, &n->log);
    if (kept < known) {
        rworld_break(w, "lossy epoch %d loses from %lld on what a survivor had up to %lld", epoch,
                     (long long)kept, (long long)known);
    }
}

/* What a lossy epoch loses is within the enforced bound. */
static void judge_loss(struct world *w, int32_t epoch)
{
    const struct world_epoch *e = &w->epochs[epoch];

    if (w->rpo_bytes > 0 && w->control.specs[epoch].recover.home >= 0 && e->read_all &&
        e->lost_bytes > w->rpo_bytes) {
        rworld_break(w, "lossy epoch %d loses %llu answered bytes, the bound is %llu", epoch,
                     (unsigned long long)e->lost_bytes, (unsigned long long)w->rpo_bytes);
    }
}

void rworld_judge_activated(struct world *w, int32_t epoch)
{
    const struct replica_spec *spec = &w->control.specs[epoch];

    if (!spec->lossy) {
        return;
    }
    const struct world_log *log = &w->epochs[epoch].log;
    int64_t kept = committed_part(w, log);
    struct world_epoch *e = &w->epochs[epoch];
    e->parted = kept;
    for (int64_t offset = kept; offset < w->committed.end; offset++) {
        const struct world_batch *b = &w->batches[w->committed.at[offset]];
        e->lost_bytes += b->answered && b->info.last_offset == offset ? b->info.bytes : 0;
    }
    judge_loss(w, epoch);
    rworld_story(w, "  committed was up to %lld, kept is up to %lld", (long long)w->committed.end,
                 (long long)kept);
    /* What the chosen log has deleted nobody will miss again. */
    for (w->committed.end = kept; w->committed.end < log->start; w->committed.end++) {
        w->committed.at[w->committed.end] = log->at[w->committed.end];
    }
    if (w->log_start_max > w->committed.end) {
        w->log_start_max = w->committed.end;
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

/* What a majority of another region's members has acknowledged; -1: not even the initial log. */
static int64_t shipped_to_others(const struct world *w, int32_t epoch)
{
    const struct replica_spec *spec = &w->control.specs[epoch];
    const struct world_epoch *e = &w->epochs[epoch];
    uint64_t members = spec->config.voters | spec->config.learners;
    int64_t best = -1;

    for (int64_t offset = 0; offset <= e->log.end; offset++) {
        for (int8_t region = 0; region < WORLD_NODES; region++) {
            int there = 0;
            int hold = 0;
            for (uint32_t id = 1; id <= w->node_count; id++) {
                if ((members & NODE_BIT(id)) != 0 && w->nodes[id].region == region) {
                    there++;
                    hold += e->acks_sent[id] > 0 && e->acked[id] >= offset;
                }
            }
            if (region != w->nodes[e->leader].region && hold > there / 2) {
                best = offset;
            }
        }
    }
    return best;
}

static void judge_exposure(struct world *w, const struct world_request *request)
{
    const struct world_epoch *e = &w->epochs[request->epoch];
    uint64_t bytes = 0;

    if (w->rpo_bytes == 0 || w->control.specs[request->epoch].config.home < 0) {
        return;
    }
    int64_t offset = shipped_to_others(w, request->epoch);
    if (offset < 0) {
        rworld_break(w, "epoch %d answers before another region has its initial log",
                     request->epoch);
        return;
    }
    while (offset <= request->last) {
        const struct batch_info *info = &w->batches[e->log.at[offset]].info;
        bytes += info->leader_epoch == request->epoch ? info->bytes : 0;
        offset = info->last_offset + 1;
    }
    if (bytes > w->rpo_bytes) {
        rworld_break(w, "epoch %d exposes %llu bytes, the bound is %llu", request->epoch,
                     (unsigned long long)bytes, (unsigned long long)w->rpo_bytes);
    }
}

void rworld_judge_client_answer(struct world *w, const struct world_request *request)
{
    judge_exposure(w, request);
    struct world_epoch *floor = &w->epochs[w->control.floor];
    if (request->epoch < w->control.floor) {
        struct world_batch *b = &w->batches[w->epochs[request->epoch].log.at[request->base]];
        bool is_new = !b->answered && w->control.specs[request->epoch].config.home >= 0;
        floor->lost_bytes += is_new && request->base >= floor->parted ? b->info.bytes : 0;
        b->answered = b->answered || is_new;
        judge_loss(w, w->control.floor);
        return;
    }
    w->batches[w->committed.at[request->base]].answered =
        w->control.specs[request->epoch].config.home >= 0;
    for (int64_t offset = request->base; offset <= request->last; offset++) {
        if (offset >= w->committed.end ||
            w->batches[w->committed.at[offset]].payload != request->payload) {
            rworld_break(w, "node %u answers batch %u at %lld, where it is not committed",
                         request->node, request->payload, (long long)offset);
            return;
        }
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

uint32_t rworld_leader(const struct world *w)
{
    uint32_t leader = w->control.specs[w->control.epoch].leader;
    const struct world_node *n = &w->nodes[leader];

    if (w->control.epoch == 0 || leader == 0 || !n->up || n->replica.role != REPLICA_SERVING ||
        n->replica.spec.epoch != w->control.epoch) {
        return 0;
    }
    return leader;
}

bool rworld_recoverable(const struct world *w)
{
    const struct world_control *c = &w->control;
    struct replica_spec spec = {0};
    uint64_t counted = 0;

    for (uint32_t id = 1; id <= w->node_count; id++) {
        if (spec.member_count < REPLICA_MEMBERS_MAX) {
            spec.members[spec.member_count++] =
                (struct replica_member){id, 0, 0, w->nodes[id].region};
        }
        if (!w->nodes[id].must_forget && w->nodes[id].disk.synced >= c->since[id]) {
            counted |= NODE_BIT(id);
        }
    }
    return rule_can_recover(&c->active, &spec, counted);
}

/* Neither a lossy epoch nor a damaged record or an old copy of a disk kept what was deleted from being known. */
static bool all_is_known(const struct world *w)
{
    return w->control.floor == 0 && w->counters.damages == 0 && w->counters.images_back == 0;
}

/* The producer table of a node is what noting the whole log gives, also the part that is deleted. */
static void judge_producers(struct world *w, struct world_node *n)
{
    struct replica *r = &n->replica;
    struct producers *fresh = producers_new();
    struct buf a = {0};
    struct buf b = {0};

    for (int64_t offset = 0; offset < n->log.end;) {
        bool held = offset >= n->log.start;
        const struct batch_info *info =
            &w->batches[held ? n->log.at[offset] : w->committed.at[offset]].info;
        producers_note(fresh, info);
        offset = info->last_offset + 1;
    }
    producers_pack(fresh, &a);
    producers_pack(r->producers, &b);
    if (r->producers_at != r->leo || !slice_equal(buf_slice(&a), buf_slice(&b))) {
        rworld_break(w, "node %u has other producers than its log", n->id);
    }
    buf_fini(&a);
    buf_fini(&b);
    producers_free(fresh);
}

bool rworld_converged(struct world *w)
{
    uint32_t leader = rworld_leader(w);

    if (leader == 0) {
        rworld_break(w, "nobody serves epoch %d", w->control.epoch);
        return false;
    }
    const struct replica *l = &w->nodes[leader].replica;
    uint64_t members = l->spec.config.voters | l->spec.config.learners;
    if (!replica_hw_known(l) || l->hw != l->leo) {
        rworld_break(w, "leader %u of epoch %d: hw %lld, log ends at %lld", leader, l->spec.epoch,
                     (long long)l->hw, (long long)l->leo);
    }
    for (uint32_t id = 1; id <= w->node_count; id++) {
        struct world_node *n = &w->nodes[id];
        if ((members & NODE_BIT(id)) == 0) {
            continue;
        }
        if (n->replica.synced_durable != l->spec.epoch || n->log.end != l->leo ||
            rworld_common(&n->log, &w->nodes[leader].log) != l->leo ||
            n->replica.leo_durable != l->leo) {
            rworld_break(w, "node %u does not follow: synced %d, log %lld..%lld of %lld", id,
                         n->replica.synced_durable, (long long)n->log.start, (long long)n->log.end,
                         (long long)l->leo);
        } else if (n->replica.hw != l->hw) {
            rworld_break(w, "node %u shows %lld of %lld", id, (long long)n->replica.hw,
                         (long long)l->hw);
        } else if ((w->log_start_max == 0 && n->log.start == 0) || all_is_known(w)) {
            judge_producers(w, n);
        }
    }
    return w->broken[0] == 0;
}

bool rworld_idle(const struct world *w)
{
    for (size_t i = 0; i < ARRAY_COUNT(w->control.proposals); i++) {
        if (w->control.proposals[i].used) {
            return false;
        }
    }
    for (uint32_t a = 1; a <= w->node_count; a++) {
        const struct world_node *n = &w->nodes[a];
        if (!n->up) {
            continue;
        }
        if (n->saving || n->write_first < n->write_count || n->applied < w->control.log_count ||
            (n->fence_to | n->push_to | n->mark_to) != 0 || n->answer_to != 0 || n->ack_to != 0) {
            return false;
        }
        for (uint32_t b = 1; b <= w->node_count; b++) {
            for (int c = 0; c < CHANNELS; c++) {
                if (w->queues[a][b][c].first < w->queues[a][b][c].count) {
                    return false;
                }
            }
        }
    }
    return true;
}

void rworld_settle(struct world *w)
{
    for (int round = 0; round < 1000 && !rworld_idle(w); round++) {
        for (uint32_t a = 1; a <= w->node_count; a++) {
            while (rworld_apply(w, a)) {
            }
            rworld_writes_done(w, a);
            rworld_turn(w, a);
            for (uint32_t b = 1; b <= w->node_count; b++) {
                for (int c = 0; c < CHANNELS; c++) {
                    while (rworld_deliver(w, a, b, (enum world_channel)c)) {
                    }
                }
            }
        }
        while (rworld_decide(w)) {
        }
    }
    for (uint32_t a = 1; a <= w->node_count; a++) {
        for (int k = 0; k < WORLD_LOG; k++) {
            rworld_feed_producers(w, a);
        }
    }
}
