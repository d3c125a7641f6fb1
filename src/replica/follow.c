/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 5, 10 and 11: a follower cuts to the common point, copies, then only ever extends. */
#include "replica/inner.h"

/* Rule 10: only an HW of the epoch whose initial log is held, never beyond what is durable here. */
void follow_show(struct replica *r, struct replica_out *out)
{
    int64_t end = MUTANT(hw_beyond) ? r->leo : r->leo_durable;

    if (r->leader_hw < 0 || (r->synced_durable != r->promised && !MUTANT(hw_unsynced))) {
        return; /* M hw-unsynced */
    }
    replica_show(r, r->leader_hw < end ? r->leader_hw : end, out);
}

/* The check is made when the ack is sent (M late-ack): `promised` is the newest called for. */
void follow_durable(struct replica *r, struct replica_out *out)
{
    int32_t epoch = MUTANT(late_ack) ? r->synced_durable : r->promised;
    bool holds = r->synced_durable == epoch || MUTANT(commit_unsynced);

    if (holds && epoch > 0 && r->leader != 0 && !r->truncating && r->start_number != 0) {
        struct replica_effect *effect = effect_add(out, EFFECT_ACK);
        effect->node = r->leader;
        effect->epoch = epoch;
        effect->offset = MUTANT(ack_early) || MUTANT(acks_early) ? r->leo
                         : MUTANT(damage_acks)                   ? r->leo_durable
                                                                 : replica_sound_end(r);
    }
    follow_show(r, out);
}

static void note_hw(struct replica *r, int64_t hw, int64_t log_start, struct replica_out *out)
{
    if (hw > r->leader_hw) {
        r->leader_hw = hw;
    }
    follow_show(r, out);
    log_start_want(r, log_start, out);
}

/* The initial log is complete: `synced` follows it through the journal, and whatever extends it
 * comes after both. Beyond its end there is a log only if it restarted at a log start there. */
static void maybe_synced(struct replica *r, const struct replica_push *push,
                         struct replica_out *out)
{
    if (r->damaged_from < r->leo && !MUTANT(damage_acks)) {
        return; /* M damage-acks: it does not hold it whole */
    }
    if (r->synced < push->epoch && (r->leo >= push->initial_end || MUTANT(synced_early))) {
        replica_set_synced(r, push->epoch, out);
    }
}

static void cut_to(struct replica *r, uint64_t now_ms, uint32_t from,
                   const struct replica_push *push, struct replica_out *out)
{
    bool restart = push->restart && (r->leo != push->base || r->log_start != push->base);
    bool truncate = !push->restart && push->base < r->leo && push->base >= r->log_start;

    bool one_line = r->spec.epoch == push->epoch && r->synced >= r->spec.lossy_epoch;
    if (one_line && push->base < r->log_start && !MUTANT(fall_back)) {
        restart = false; /* it never falls back behind what it has held and deleted */
    }
    if (r->synced == push->epoch && !MUTANT(cut_synced)) {
        /* It only ever extends, if by a gap of deleted records; else this is stale knowledge. */
        restart = push->restart && push->base > r->leo;
        truncate = false;
    }
    if (restart || truncate) {
        if (replica_refuse_cut(r, now_ms, push->base, from, out)) {
            return;
        }
        if (restart) {
            replica_begin_anew(r, push->base, push->producers, out);
        } else {
            replica_cut(r, push->base, out);
        }
    }
    replica_owe_answer(r, from, false, out);
}

void replica_on_push(struct replica *r, uint64_t now_ms, uint32_t from,
                     const struct replica_push *push, struct replica_out *out)
{
    if (MUTANT(stale_acked) && push->epoch < r->promised && push->batch_count > 0) {
        struct replica_effect *effect = effect_add(out, EFFECT_ACK);
        effect->node = from;
        effect->epoch = push->epoch;
        effect->offset = push->batches[push->batch_count - 1].last_offset + 1;
    }
    if (push->epoch < r->promised || from == r->self) {
        return;
    }
    if (push->epoch > r->promised) {
        replica_promise(r, now_ms, push->epoch, out); /* rule 5: it is a promise */
    }
    if (r->role != REPLICA_FOLLOWING || !replica_may_be_leader(r, from)) {
        return;
    }
    r->leader = from;
    if (r->truncating) {
        /* After the cut an answer follows, and the stream begins anew. */
        replica_owe_answer(r, from, !push->truncate && !push->restart, out);
        return;
    }
    if (push->truncate || push->restart) {
        cut_to(r, now_ms, from, push, out);
        return;
    }
    bool fits = push->base >= r->log_start && push->base <= r->leo &&
                (MUTANT(prev_unread) || push->prev_epoch == 0 || push->base == r->log_start ||
                 history_epoch_before(&r->history, push->base) == push->prev_epoch);
    if (!fits && MUTANT(no_complaint)) {
        return;
    }
    if (!fits) {
        replica_owe_answer(r, from, true, out);
        return;
    }
    int64_t verified = MUTANT(overlap_unread) ? r->leo : push->base;
    int64_t before = r->leo;
    for (size_t i = 0; i < push->batch_count; i++) {
        const struct batch_info *batch = &push->batches[i];
        bool overlap = batch->base_offset < r->leo;
        if (verified == r->leo) {
            maybe_synced(r, push, out);
        }
        if (overlap &&
            history_epoch_before(&r->history, batch->base_offset + 1) == batch->leader_epoch) {
            verified = batch->last_offset + 1;
            continue; /* the same records, after a new start of the stream */
        }
        bool beyond = r->synced < push->epoch && batch->last_offset >= push->initial_end;
        bool ordered = batch->leader_epoch >= history_epoch_before(&r->history, r->leo) &&
                       batch->leader_epoch <= push->epoch;
        if (beyond && !overlap && r->leo >= push->initial_end && r->damaged_from < r->leo) {
            return; /* no complaint: when it is whole again it asks for the stream */
        }
        if (overlap || batch->base_offset > r->leo || !ordered || beyond) {
            replica_owe_answer(r, from, true, out);
            return;
        }
        replica_take_batch(r, batch, i, out);
        verified = r->leo;
    }
    if (verified == r->leo) {
        maybe_synced(r, push, out);
    }
    note_hw(r, push->hw, push->log_start, out);
    if (r->leo == before) {
        follow_durable(r, out); /* there will be no write to tell of */
    }
}

void replica_on_mark(struct replica *r, uint32_t from, int32_t epoch, int64_t hw, int64_t log_start,
                     struct replica_out *out)
{
    if (r->role == REPLICA_FOLLOWING && epoch == r->promised && from == r->leader &&
        !r->truncating) {
        note_hw(r, hw, log_start, out);
    }
}
