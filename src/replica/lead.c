/* SPDX-License-Identifier: Apache-2.0 */
/* Rules 4, 6, 8, 9 and 12: the leader appends, pushes, counts and activates. */
#include "base/error.h"
#include "replica/inner.h"

struct replica_peer *lead_peer(const struct replica *r, uint32_t node)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].node == node) {
            return &r->peers[i];
        }
    }
    return NULL;
}

const struct replica_peer *replica_peer_of(const struct replica *r, uint32_t node)
{
    return lead_peer(r, node);
}

void lead_drop(struct replica *r)
{
    rpo_fini(&r->rpo);
    free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
}

static void fence_peer(struct replica *r, struct replica_peer *peer, uint64_t now_ms,
                       struct replica_out *out)
{
    struct replica_effect *effect = effect_add(out, EFFECT_FENCE);

    peer->asked_ms = now_ms;
    effect->node = peer->node;
    effect->epoch = r->spec.epoch;
}

/* A lossy epoch waits here, invisible, until the control quorum has activated it. */
void lead_prepare(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    r->initial_end = r->leo;
    replica_set_role(r, now_ms, REPLICA_PREPARED, out);
    lead_commit(r, now_ms, out);
}

static void make_peers(struct replica *r, uint64_t now_ms)
{
    r->peers = mem_grow(NULL, r->spec.member_count, sizeof *r->peers);
    r->peer_count = 0;
    for (uint32_t i = 0; i < r->spec.member_count; i++) {
        uint64_t bit = (uint64_t)1 << r->spec.members[i].node;
        uint64_t members = r->spec.config.voters | r->spec.config.learners;
        if (r->spec.members[i].node != r->self && (members & bit) != 0) {
            r->peers[r->peer_count++] = (struct replica_peer){.node = r->spec.members[i].node,
                                                              .acked = -1,
                                                              .held = -1,
                                                              .hw_told = -1,
                                                              .waits_ms = now_ms,
                                                              .up = (r->connected & bit) != 0};
        }
    }
}

/* The answers of the fencing are as good as new ones: nothing has changed those logs since. */
static void use_kept_answers(struct replica *r, struct replica_out *out)
{
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct replica_kept_answer *k = &r->answers[i];
        struct replica_answer answer = {.epoch = r->promised,
                                        .incarnation = k->incarnation,
                                        .synced = k->synced,
                                        .leo = k->leo,
                                        .log_start = k->log_start,
                                        .history = k->history.entries,
                                        .history_count = k->history.count};
        if (k->node != r->self) {
            lead_answer(r, k->node, &answer, out);
        }
    }
    recover_drop(r);
}

void lead_begin(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    bool from_prepared = r->role == REPLICA_PREPARED;
    CHECK(r->damaged_from >= r->leo || MUTANT(damage_served)); /* INVARIANTS 24 */

    r->initial_end = r->leo;
    r->activation_asked_ms = 0;
    rpo_init(&r->rpo);
    make_peers(r, now_ms);
    replica_set_role(r, now_ms, REPLICA_SERVING, out);
    if (from_prepared) {
        CHECK(r->synced < r->spec.epoch);
        replica_set_synced(r, r->spec.epoch, out);
    }
    r->leader_hw = -1;
    use_kept_answers(r, out);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].state == PEER_UNKNOWN) {
            fence_peer(r, &r->peers[i], now_ms, out);
        }
    }
    lead_commit(r, now_ms, out);
}

static void stream_from(struct replica_peer *peer, int64_t offset, struct replica_out *out)
{
    peer->state = PEER_STREAMING;
    peer->next = offset;
    peer->hw_told = -2; /* nothing, not even that it is not set */
    /* Also with nothing to send: the push tells where the initial log ends, and the HW. */
    effect_add(out, EFFECT_PUSH)->node = peer->node;
}

static void begin(const struct replica *r, struct replica_peer *peer, int64_t offset, bool restart,
                  struct replica_out *out)
{
    struct replica_effect *effect = effect_add(out, EFFECT_BEGIN);

    peer->state = PEER_BEGINNING;
    effect->node = peer->node;
    effect->epoch = r->spec.epoch;
    effect->offset = offset;
    effect->flag = restart;
}

void lead_answer(struct replica *r, uint32_t from, const struct replica_answer *answer,
                 struct replica_out *out)
{
    struct replica_peer *peer = lead_peer(r, from);

    if (peer != NULL) {
        peer->log_start = answer->log_start;
    }
    if (peer == NULL || (peer->state == PEER_STREAMING && !answer->complaint)) {
        return; /* the second of two answers to repeated fences */
    }
    /* Answers and acks of a node come in their order, and in one epoch a log only ever grows. */
    if (answer->incarnation == peer->incarnation && peer->acked >= 0 &&
        (answer->synced < r->spec.epoch || answer->leo < peer->acked)) {
        struct replica_effect *effect = effect_add(out, EFFECT_AMNESIA);
        effect->node = from;
        effect->epoch = r->spec.epoch;
        effect->flag = true;
        return; /* nothing more goes to it: it must come back as another incarnation */
    }
    if (answer->synced == r->spec.epoch) {
        if (answer->leo < r->log_start) {
            begin(r, peer, r->log_start, true, out);
        } else if (answer->leo <= r->leo) {
            stream_from(peer, answer->leo, out);
        }
        return;
    }
    struct log_view view = {answer->log_start, answer->leo, answer->history, answer->history_count};
    bool one_line = answer->synced >= r->spec.lossy_epoch;
    int64_t common = replica_common(replica_log(r), view, one_line);
    if (common == answer->leo && common >= r->log_start) {
        stream_from(peer, common, out);
        return;
    }
    if (one_line && answer->log_start > r->leo) {
        return; /* it has held more than we have: not to be thrown away */
    }
    bool restart = common < r->log_start || common < answer->log_start;
    begin(r, peer, restart ? r->log_start : common, restart, out);
}

static int64_t held_by_rule(const struct replica *r)
{
    int64_t held[64] = {0};
    const struct replica_member *self = spec_member(&r->spec, r->self);

    for (size_t i = 0; i < r->peer_count; i++) {
        held[r->peers[i].node] = r->peers[i].held > 0 ? r->peers[i].held : 0;
    }
    /* Itself only after its own fsync, and like everybody only as the pinned incarnation. A
     * prepared leader has not stored synced = e; its activation rests on its durable log. */
    bool counts = r->synced_durable == r->spec.epoch || r->role == REPLICA_PREPARED ||
                  MUTANT(leader_unsynced);
    if (self != NULL && self->incarnation == r->incarnation && counts) {
        held[r->self] = MUTANT(leader_early) || MUTANT(acks_early) ? r->leo : replica_sound_end(r);
    }
    return rule_held(&r->spec.config, &r->spec, held);
}

/* A replica that counts only in the next epoch, and could now; or of which it is not known yet that its disk
 * has caught up with what it had forgotten. */
static void tell_caught_up(const struct replica *r, struct replica_peer *peer,
                           struct replica_out *out)
{
    const struct replica_member *member = spec_member(&r->spec, peer->node);

    if (peer->caught_up_told || peer->incarnation == 0 || member == NULL ||
        peer->acked < r->leader_hw || !replica_hw_known(r)) {
        return;
    }
    bool is_learner = ((r->spec.config.learners >> peer->node) & 1) != 0;
    if (is_learner || member->since > 0 || peer->incarnation != member->incarnation) {
        peer->caught_up_told = true;
        struct replica_effect *effect = effect_add(out, EFFECT_CAUGHT_UP);
        effect->node = peer->node;
        effect->epoch = r->spec.epoch;
    }
}

void lead_commit(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->role < REPLICA_PREPARED) {
        return;
    }
    int64_t held = MUTANT(hw_early) ? r->leo : held_by_rule(r);
    if (held < r->initial_end) {
        return;
    }
    if (spec_needs_activation(&r->spec)) {
        if (r->activation_asked_ms == 0 ||
            now_ms - r->activation_asked_ms >= 5 * (uint64_t)REPLICA_RETRY_MS) {
            r->activation_asked_ms = now_ms > 0 ? now_ms : 1;
            struct replica_effect *effect = effect_add(out, EFFECT_ACTIVATED);
            effect->epoch = r->spec.epoch;
            effect->offset = r->spec.lossy ? r->initial_end : -1;
            effect->flag = r->missing_region;
        }
        if (!MUTANT(skip_activation) && !MUTANT(show_initial)) {
            return; /* M skip-activation, show-initial */
        }
        held = MUTANT(show_initial) ? r->initial_end : held;
    }
    if (r->role != REPLICA_SERVING) {
        return;
    }
    CHECK(held <= r->leo); /* INVARIANTS 1 */
    if (held <= r->leader_hw) {
        return;
    }
    r->leader_hw = held;
    r->progress_ms = now_ms;
    if (held >= r->hw) {
        r->hw = held;
        r->hw_epoch = r->promised;
        producers_settle(r->producers, held, r->log_start);
    }
    (void)effect_add(out, EFFECT_HW);
    log_start_go_on(r, out);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].state == PEER_STREAMING) {
            effect_add(out, EFFECT_MARK)->node = r->peers[i].node;
        }
        if (!MUTANT(caught_up_once)) {
            tell_caught_up(r, &r->peers[i], out);
        }
    }
}

bool replica_hw_known(const struct replica *r)
{
    return r->role == REPLICA_SERVING && r->leader_hw >= r->initial_end;
}

/* Up to where the n-th most advanced of the other regions holds this epoch's log; -1: fewer than n
 * have its initial log. */
static int64_t shipped(const struct replica *r)
{
    int64_t held[64];
    int64_t best[REPLICA_REGIONS_MAX];
    const struct replica_member *self = spec_member(&r->spec, r->self);

    for (size_t i = 0; i < ARRAY_COUNT(held); i++) {
        held[i] = -1;
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        held[r->peers[i].node] = r->peers[i].held;
    }
    for (int8_t region = 0; region < REPLICA_REGIONS_MAX; region++) {
        bool is_other = self != NULL && self->region != region;
        best[region] = is_other ? spec_region_held(&r->spec, region, held) : -1;
    }
    for (uint32_t n = 1;; n++) {
        size_t most = 0;
        for (size_t i = 1; i < ARRAY_COUNT(best); i++) {
            most = best[i] > best[most] ? i : most;
        }
        if (n >= r->spec.rpo_survive || n >= ARRAY_COUNT(best)) {
            return best[most];
        }
        best[most] = -1;
    }
}

static struct rpo_bound bound_of(const struct replica *r)
{
    return (struct rpo_bound){r->spec.rpo_time_ms, r->spec.rpo_bytes};
}

int64_t replica_ack_limit(const struct replica *r)
{
    if (r->spec.config.home < 0 || !r->spec.rpo_enforced || MUTANT(rpo_ignored)) {
        return r->leader_hw;
    }
    int64_t limit = rpo_limit(&r->rpo, bound_of(r));
    return limit < r->leader_hw ? limit : r->leader_hw;
}

bool replica_rpo_full(const struct replica *r, uint64_t bytes, uint64_t now_ms)
{
    struct rpo_tail tail = rpo_tail(&r->rpo, now_ms);

    if (r->spec.config.home < 0 || (r->spec.rpo_time_ms == 0 && r->spec.rpo_bytes == 0)) {
        return false;
    }
    return r->rpo.shipped < 0 ||
           (r->spec.rpo_bytes > 0 && tail.bytes + bytes > r->spec.rpo_bytes) ||
           (r->spec.rpo_time_ms > 0 && tail.age_ms > r->spec.rpo_time_ms);
}

static void note_level(const struct replica *r, struct replica_peer *peer, uint64_t now_ms)
{
    if (peer->held >= r->leo) {
        peer->level_ms = now_ms;
    } else if (peer->held >= peer->probe_leo) {
        peer->level_ms = peer->probe_ms;
    } else {
        return;
    }
    peer->probe_leo = r->leo;
    peer->probe_ms = now_ms;
}

uint64_t replica_lag_ms(const struct replica *r, uint32_t node, uint64_t now_ms)
{
    const struct replica_peer *peer = lead_peer(r, node);

    if (r->role != REPLICA_SERVING || peer == NULL || peer->held < r->initial_end) {
        return UINT64_MAX;
    }
    if (peer->held >= r->leo) {
        return 0;
    }
    return peer->level_ms > 0 ? now_ms - peer->level_ms : UINT64_MAX;
}

void replica_on_ack(struct replica *r, uint64_t now_ms, uint32_t from,
                    const struct replica_ack *ack, struct replica_out *out)
{
    if (r->role != REPLICA_SERVING || ack->epoch != r->spec.epoch) {
        return;
    }
    struct replica_peer *peer = lead_peer(r, from);
    const struct replica_member *member = spec_member(&r->spec, from);
    if (peer == NULL || member == NULL || ack->leo > r->leo) {
        return;
    }
    if (ack->leo > peer->acked || ack->incarnation != peer->incarnation) {
        peer->acked = ack->leo;
        peer->waits_ms = now_ms;
    }
    peer->incarnation = ack->incarnation;
    bool pinned = ack->incarnation == member->incarnation || MUTANT(wiped_acks);
    if (pinned && ack->leo > peer->held) { /* M wiped-acks */
        peer->held = ack->leo;
        note_level(r, peer, now_ms);
        int64_t acked = r->spec.config.home >= 0 ? shipped(r) : -1;
        if (acked > r->rpo.shipped) {
            rpo_shipped(&r->rpo, acked);
            (void)effect_add(out, EFFECT_HW); /* what waited for the bound may go on */
        }
        lead_commit(r, now_ms, out);
    }
    tell_caught_up(r, peer, out);
}

void replica_peer_up(struct replica *r, uint64_t now_ms, uint32_t node, struct replica_out *out)
{
    struct replica_peer *peer = lead_peer(r, node);

    r->connected |= (uint64_t)1 << node;
    if (peer != NULL && r->role == REPLICA_SERVING) {
        peer->up = true;
        peer->state = PEER_UNKNOWN;
        fence_peer(r, peer, now_ms, out);
    } else if (r->role == REPLICA_FENCING && spec_member(&r->spec, node) != NULL) {
        struct replica_effect *effect = effect_add(out, EFFECT_FENCE);
        effect->node = node;
        effect->epoch = r->spec.epoch;
    }
}

void replica_peer_down(struct replica *r, uint32_t node)
{
    struct replica_peer *peer = lead_peer(r, node);

    r->connected &= ~((uint64_t)1 << node);
    if (peer != NULL) {
        peer->up = false;
        peer->state = PEER_UNKNOWN;
    }
}

/* A producer that is not known may have been forgotten with the start of the log or for its silence,
 * or cut off by a lossy epoch. As long as neither can be, its first batch is number 0: else one that was refused
 * before (we did not lead yet) would be overtaken by the next in flight, and never come in. */
static bool overtakes(const struct replica *r, const struct batch_info *batch)
{
    return batch->producer_id >= 0 && batch->base_sequence > 0 && r->log_start == 0 &&
           r->spec.lossy_start < 0 && batch->producer_id > producers_forgotten_max(r->producers) &&
           !producers_knows(r->producers, batch->producer_id);
}

static void lead_append(struct replica *r, uint64_t now_ms, struct batch_info *batch,
                        struct replica_out *out)
{
    if (r->leader_hw == r->leo) {
        r->progress_ms = now_ms; /* nothing waited until now */
    }
    batch->base_offset = r->leo;
    batch->last_offset = r->leo + batch->count - 1;
    batch->leader_epoch = r->spec.epoch;
    if (r->spec.config.home >= 0) {
        rpo_note(&r->rpo, batch->last_offset + 1, batch->bytes, now_ms);
    }
    replica_take_batch(r, batch, 0, out);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].held == batch->base_offset) {
            r->peers[i].level_ms = now_ms;
        }
        if (r->peers[i].acked == batch->base_offset) {
            r->peers[i].waits_ms = now_ms;
        }
        if (r->peers[i].state == PEER_STREAMING) {
            effect_add(out, EFFECT_PUSH)->node = r->peers[i].node;
        }
    }
}

int replica_produce(struct replica *r, uint64_t now_ms, struct batch_info *batch,
                    bool *out_duplicate, struct replica_out *out)
{
    int error = 0;
    int64_t base = 0;
    int64_t last = 0;

    if (r->role != REPLICA_SERVING || r->producers_at != r->leo) {
        return TERN_ENOTLEADER;
    }
    enum producers_verdict verdict =
        producers_check(r->producers, batch, r->spec.lossy_start, &base, &last, &error);
    if (verdict == PRODUCERS_DUPLICATE) {
        batch->base_offset = base;
        batch->last_offset = last;
        *out_duplicate = true;
        return 0;
    }
    /* Before the sequence is judged: behind a batch that was refused for want of a quorum the next
     * one is out of order, and a client takes that for a reason to begin a new producer epoch. */
    if (!rule_can_commit(&r->spec.config, &r->spec, r->reachable)) {
        return TERN_ENOQUORUM;
    }
    if (verdict == PRODUCERS_REFUSE) {
        return error;
    }
    if (overtakes(r, batch)) {
        return TERN_EOUTOFORDER;
    }
    *out_duplicate = false;
    lead_append(r, now_ms, batch, out);
    return 0;
}

int replica_mark(struct replica *r, uint64_t now_ms, struct batch_info *marker, int64_t number,
                 bool *out_duplicate, struct replica_out *out)
{
    int error = 0;
    int64_t at = 0;

    CHECK(marker->marker != BATCH_NO_MARKER);
    if (r->role != REPLICA_SERVING || r->producers_at != r->leo) {
        return TERN_ENOTLEADER;
    }
    enum producers_verdict verdict =
        producers_check_marker(r->producers, marker, number, &at, &error);
    *out_duplicate = verdict == PRODUCERS_DUPLICATE;
    if (verdict == PRODUCERS_DUPLICATE) {
        marker->base_offset = at;
        marker->last_offset = at;
        return 0;
    }
    if (verdict == PRODUCERS_REFUSE) {
        return error;
    }
    if (!rule_can_commit(&r->spec.config, &r->spec, r->reachable)) {
        return TERN_ENOQUORUM;
    }
    lead_append(r, now_ms, marker, out);
    if (number > 0) {
        producers_number_marker(r->producers, marker->producer_id, number);
    }
    return 0;
}

/* Streams may have stopped at what could not be read. */
void lead_push_on(struct replica *r, struct replica_out *out)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].state == PEER_STREAMING && r->peers[i].next < r->leo) {
            effect_add(out, EFFECT_PUSH)->node = r->peers[i].node;
        }
    }
}

bool replica_push_head(const struct replica *r, uint32_t node, struct replica_push *out)
{
    const struct replica_peer *peer = lead_peer(r, node);

    if (r->role != REPLICA_SERVING || peer == NULL || peer->state != PEER_STREAMING) {
        return false;
    }
    *out = (struct replica_push){
        .epoch = r->spec.epoch,
        .prev_epoch = history_epoch_before(&r->history, peer->next),
        .base = peer->next,
        .initial_end = r->initial_end,
        .hw = r->leader_hw,
        .log_start = r->log_start,
    };
    return true;
}

void replica_pushed(struct replica *r, uint32_t node, int64_t next, int64_t hw)
{
    struct replica_peer *peer = lead_peer(r, node);

    if (peer == NULL || peer->state != PEER_STREAMING) {
        return;
    }
    CHECK(next >= peer->next && next <= r->leo);
    peer->next = next;
    peer->hw_told = hw;
}

/* What peers lack is deleted, or they have to hear of it. */
void lead_log_start(struct replica *r, struct replica_out *out)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        struct replica_peer *peer = &r->peers[i];
        peer->hw_told = -2; /* the log start goes with the next one */
        if (peer->state == PEER_STREAMING && peer->next < r->log_start &&
            !MUTANT(behind_log_start)) {
            begin(r, peer, r->log_start, true, out); /* it restarts there */
        } else if (peer->state == PEER_STREAMING) {
            effect_add(out, EFFECT_MARK)->node = peer->node;
        }
    }
}

bool replica_wants_tick(const struct replica *r)
{
    if (r->role == REPLICA_FOLLOWING) {
        return false;
    }
    if (r->role != REPLICA_SERVING || r->leader_hw < r->leo) {
        return true;
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct replica_peer *peer = &r->peers[i];
        if (peer->up && (peer->state != PEER_STREAMING || peer->acked < r->leo)) {
            return true;
        }
    }
    return false;
}

/* Everything was pushed and it does not acknowledge: it may, or what it said may be lost. A fence
 * makes it say so again. */
static bool is_silent(const struct replica *r, const struct replica_peer *peer, uint64_t now_ms)
{
    return peer->up && peer->state == PEER_STREAMING && peer->next == r->leo &&
           peer->acked < r->leo && now_ms - peer->waits_ms >= 4 * (uint64_t)REPLICA_RETRY_MS &&
           now_ms - peer->asked_ms >= REPLICA_SILENCE_MS && !MUTANT(ack_lost);
}

/* It has not said from where on it wants the stream. */
static bool is_unknown(const struct replica_peer *peer, uint64_t now_ms)
{
    return peer->up && peer->state != PEER_STREAMING && now_ms - peer->asked_ms >= REPLICA_RETRY_MS;
}

void replica_tick(struct replica *r, uint64_t now_ms, uint64_t patience_ms, struct replica_out *out)
{
    if (r->role == REPLICA_FOLLOWING) {
        return;
    }
    if (r->role == REPLICA_FENCING || r->role == REPLICA_BUILDING) {
        recover_tick(r, now_ms, out);
    }
    if (r->role >= REPLICA_PREPARED) {
        lead_commit(r, now_ms, out);
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        struct replica_peer *peer = &r->peers[i];
        if (is_unknown(peer, now_ms) || is_silent(r, peer, now_ms)) {
            fence_peer(r, peer, now_ms, out);
        }
    }
    /* Rule 12: what does not get its quorum in time is told to the controller, again and again. */
    bool waits = r->role != REPLICA_SERVING || r->leader_hw < r->leo;
    if (waits && now_ms - r->progress_ms >= patience_ms && now_ms - r->reported_ms >= patience_ms) {
        r->reported_ms = now_ms;
        effect_add(out, EFFECT_NO_QUORUM)->epoch = r->spec.epoch;
    }
}
