/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 2 and 3: fence the replicas, choose the log with the largest (synced, LEO), make it ours.
 */
#include <string.h>

#include "replica/inner.h"

static const struct replica_member *self_member(const struct replica *r)
{
    return spec_member(&r->spec, r->self);
}

void recover_drop(struct replica *r)
{
    for (size_t i = 0; i < r->answer_count; i++) {
        history_fini(&r->answers[i].history);
    }
    free(r->answers);
    r->answers = NULL;
    r->answer_count = 0;
}

static void fence_all(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    r->fenced_ms = now_ms;
    for (uint32_t i = 0; i < r->spec.member_count; i++) {
        uint32_t node = r->spec.members[i].node;
        bool known = node == r->self;
        for (size_t k = 0; k < r->answer_count; k++) {
            known = known || r->answers[k].node == node;
        }
        if (!known) {
            struct replica_effect *effect = effect_add(out, EFFECT_FENCE);
            effect->node = node;
            effect->epoch = r->spec.epoch;
        }
    }
}

void recover_begin(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    CHECK(r->answer_count == 0);
    CHECK(self_member(r) != NULL);
    r->leader = r->self;
    r->missing_region = false;
    replica_set_role(r, now_ms, REPLICA_FENCING, out);
    r->reported_ms = now_ms;
    fence_all(r, now_ms, out);
    recover_choose(r, now_ms, out);
}

static void keep(struct replica *r, uint32_t node, const struct replica_answer *answer)
{
    struct replica_kept_answer *kept = NULL;

    for (size_t i = 0; i < r->answer_count; i++) {
        if (r->answers[i].node == node) {
            kept = &r->answers[i];
        }
    }
    if (kept == NULL) {
        r->answers = mem_grow(r->answers, r->answer_count + 1, sizeof *r->answers);
        kept = &r->answers[r->answer_count++];
        *kept = (struct replica_kept_answer){.node = node};
    }
    kept->incarnation = answer->incarnation;
    kept->synced = answer->synced;
    kept->leo = answer->leo;
    kept->log_start = answer->log_start;
    history_copy(&kept->history, answer->history, answer->history_count);
}

void recover_answer(struct replica *r, uint64_t now_ms, uint32_t from,
                    const struct replica_answer *answer, struct replica_out *out)
{
    const struct replica_member *member = spec_member(&r->spec, from);

    bool pinned = member != NULL && member->incarnation == answer->incarnation;
    if (!pinned && !(MUTANT(wiped_recovers) && member != NULL)) {
        return; /* M wiped-recovers: another incarnation than the assignment pinned */
    }
    keep(r, from, answer);
    recover_choose(r, now_ms, out);
}

/* Whose answers count: of the pinned incarnation, and not of one that has forgotten. */
static uint64_t counted(const struct replica *r)
{
    uint64_t nodes = 0;

    for (size_t i = 0; i < r->answer_count; i++) {
        const struct replica_member *m = spec_member(&r->spec, r->answers[i].node);
        if (m != NULL && (r->answers[i].synced >= m->since || MUTANT(forgotten_counts))) {
            nodes |= (uint64_t)1 << m->node;
        }
    }
    return nodes;
}

/* A lossy epoch reads learners as well: what one of them holds counted as shipped. After an earlier
 * lossy epoch nobody else may be a voter. */
static uint64_t readers(const struct replica *r)
{
    const struct replica_rule *config = &r->spec.config;
    const struct replica_rule *recover = &r->spec.recover;
    bool all = r->spec.lossy && !MUTANT(learners_unread);

    return recover->voters |
           (all ? recover->learners | config->voters | config->learners : UINT64_C(0));
}

static bool enough(struct replica *r, uint64_t now_ms)
{
    const struct replica_rule *rule = MUTANT(recover_new) ? &r->spec.config : &r->spec.recover;
    uint64_t nodes = counted(r);

    if (!r->spec.lossy && !(MUTANT(any_is_lossy) && rule->home >= 0)) {
        return rule_can_recover(rule, &r->spec, nodes);
    }
    struct replica_rule all = *rule;
    all.voters = readers(r);
    if (rule_can_recover(rule, &r->spec, nodes) || rule_covers_regions(&all, &r->spec, nodes)) {
        r->missing_region = false;
        return true;
    }
    /* Rule 9: whoever does not answer in time is left out, and the ledger says so. */
    r->missing_region = now_ms - r->role_since_ms >= r->spec.wait_ms;
    return r->missing_region;
}

static bool better(const struct replica_kept_answer *a, const struct replica_kept_answer *b,
                   uint32_t self)
{
    if (MUTANT(last_entry)) {
        int32_t last_a = history_epoch_before(&a->history, a->leo);
        int32_t last_b = history_epoch_before(&b->history, b->leo);
        return last_a > last_b || (last_a == last_b && a->leo > b->leo);
    }
    if (a->synced != b->synced && !MUTANT(longest)) {
        return a->synced > b->synced;
    }
    if (a->leo != b->leo) {
        return a->leo > b->leo;
    }
    return a->node == self; /* no copy needed */
}

/* Rule 3: the largest (synced, LEO) of the voters that were read (M outsider: who is none, ourselves
 * included, may stand for a larger `synced` and lack what the last activated config committed). A
 * lossy epoch begins with what is best of all that could be read. */
static const struct replica_kept_answer *best_of(const struct replica *r)
{
    uint64_t eligible = readers(r) | (r->spec.lossy ? (uint64_t)1 << r->self : UINT64_C(0));
    const struct replica_kept_answer *best = NULL;

    if (MUTANT(lossy_own) && r->spec.lossy) {
        eligible = (uint64_t)1 << r->self;
    }
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct replica_kept_answer *a = &r->answers[i];
        if ((eligible >> a->node & 1) != 0 && (best == NULL || better(a, best, r->self))) {
            best = a;
        }
    }
    return best;
}

static void ask_copy(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    struct replica_effect *effect = effect_add(out, EFFECT_COPY);

    r->copy_asked_ms = now_ms;
    effect->node = r->source;
    effect->epoch = r->spec.epoch;
    effect->flag = r->begins_at >= 0;
    effect->offset = effect->flag ? r->begins_at : r->leo;
}

/* Makes the chosen log ours: cut to the common point, then copy the rest. */
static void build(struct replica *r, uint64_t now_ms, const struct replica_kept_answer *chosen,
                  struct replica_out *out)
{
    struct log_view view = {chosen->log_start, chosen->leo, chosen->history.entries,
                            chosen->history.count};
    int64_t common = chosen->node == r->self
                         ? r->leo
                         : replica_common(view, replica_log(r), r->synced >= r->spec.lossy_epoch);
    bool restart = common < chosen->log_start || common < r->log_start;
    int64_t to = restart ? chosen->log_start : common;

    if ((restart || to < r->leo) && replica_refuse_cut(r, now_ms, to, chosen->node, out)) {
        return; /* it goes on asking: another answer may come */
    }
    r->target_leo = chosen->leo;
    r->target_synced = chosen->synced;
    r->source = chosen->node;
    r->begins_at = restart ? to : -1;
    r->copy_asked_ms = 0;
    replica_set_role(r, now_ms, REPLICA_BUILDING, out);
    if (!restart && to < r->leo) {
        replica_cut(r, to, out);
    }
    recover_built(r, now_ms, out);
}

void recover_choose(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->promised_durable < r->promised || r->truncating || r->leo_durable < r->leo) {
        return; /* our own answer is not durable yet */
    }
    struct replica_answer own = replica_answer_now(r);
    if (own.incarnation == self_member(r)->incarnation) {
        keep(r, r->self, &own);
    }
    if (!enough(r, now_ms)) {
        return;
    }
    const struct replica_kept_answer *best = best_of(r);
    if (best == NULL) {
        return;
    }
    build(r, now_ms, best, out);
}

/* Is it the chosen log's batch? The source's disk may have been put back or lost since it answered:
 * the same epoch at the same offset is the same record. */
static bool is_chosen(const struct replica *r, const struct batch_info *batch)
{
    for (size_t i = 0; i < r->answer_count; i++) {
        if (r->answers[i].node == r->source) {
            int32_t epoch = history_epoch_before(&r->answers[i].history, batch->base_offset + 1);
            return batch->last_offset < r->target_leo &&
                   (epoch == batch->leader_epoch || MUTANT(copy_unpinned));
        }
    }
    return false;
}

static bool is_from_source(const struct replica *r, uint32_t from, int32_t epoch)
{
    return r->role == REPLICA_BUILDING && epoch == r->promised && from == r->source &&
           !r->truncating;
}

void replica_on_copied_producers(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                                 int64_t offset, struct slice producers, struct replica_out *out)
{
    if (!is_from_source(r, from, epoch) || r->begins_at < 0 || offset != r->begins_at) {
        return;
    }
    r->begins_at = -1;
    r->copy_asked_ms = 0;
    r->progress_ms = now_ms;
    replica_begin_anew(r, offset, producers, out);
}

void replica_on_copied(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                       const struct batch_info *batches, size_t count, struct replica_out *out)
{
    if (!is_from_source(r, from, epoch) || r->begins_at >= 0) {
        return;
    }
    int64_t before = r->leo;
    for (size_t i = 0; i < count; i++) {
        if (batches[i].base_offset < r->leo) {
            continue; /* a repeated request was answered twice */
        }
        if (batches[i].base_offset > r->leo || !is_chosen(r, &batches[i])) {
            break;
        }
        replica_take_batch(r, &batches[i], i, out);
        r->progress_ms = now_ms;
    }
    if (r->leo < r->target_leo && r->leo > before) {
        ask_copy(r, now_ms, out);
    }
}

/* Rule 3, end: `synced = e` never overtakes the log, because both go through one ordered journal
 * and the log was called for first. */
void recover_built(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->truncating) {
        return;
    }
    if (r->leo < r->target_leo || r->begins_at >= 0) {
        if (r->copy_asked_ms == 0 || now_ms - r->copy_asked_ms >= REPLICA_COPY_RETRY_MS) {
            ask_copy(r, now_ms, out);
        }
        return;
    }
    CHECK(r->leo == r->target_leo); /* INVARIANTS 1 */
    if (r->leo_durable < r->leo) {
        return;
    }
    if (r->damaged_from < r->leo && !MUTANT(damage_served)) {
        return; /* M damage-served: what the chosen log has lost is filled first */
    }
    if (r->spec.lossy && !r->spec.activated && !MUTANT(lossy_early)) {
        /* Leaves no trace until it is activated (M lossy-early). */
        if (r->synced < r->target_synced) {
            replica_set_synced(r, r->target_synced, out);
        } else if (r->synced_durable == r->synced) {
            lead_prepare(r, now_ms, out);
        }
        return;
    }
    if (r->synced < r->spec.epoch) {
        replica_set_synced(r, r->spec.epoch, out);
    } else if (r->synced_durable == r->spec.epoch) {
        lead_begin(r, now_ms, out);
    }
}

/* Replicas answer an assignment unasked, too, so a fence is repeated for what was lost. With thousands of
 * partitions answers are slow because there are so many: asking more often would make them slower. */
static bool fence_is_late(const struct replica *r, uint64_t now_ms)
{
    uint64_t wait_ms = r->fenced_ms - r->role_since_ms;

    wait_ms = wait_ms > 2 * REPLICA_RETRY_MS ? wait_ms : 2 * REPLICA_RETRY_MS;
    wait_ms = wait_ms < REPLICA_SILENCE_MS ? wait_ms : REPLICA_SILENCE_MS;
    return now_ms - r->fenced_ms >= wait_ms;
}

void recover_tick(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->role == REPLICA_FENCING) {
        if (fence_is_late(r, now_ms)) {
            fence_all(r, now_ms, out);
        }
        recover_choose(r, now_ms, out);
    } else {
        recover_built(r, now_ms, out);
    }
}
