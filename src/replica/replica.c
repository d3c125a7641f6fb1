/* SPDX-License-Identifier: Apache-2.0 */
/* The common part: assignments, promises, what our own disk has told. */
#include "replica/replica.h"

#include <string.h>

#include "base/error.h"
#include "replica/inner.h"

struct replica_effect *effect_add(struct replica_out *out, enum replica_effect_kind kind)
{
    if (out->count == out->cap) {
        out->cap = out->cap > 0 ? out->cap * 2 : 16;
        out->effects = mem_grow(out->effects, out->cap, sizeof *out->effects);
    }
    struct replica_effect *effect = &out->effects[out->count++];
    *effect = (struct replica_effect){.kind = kind};
    return effect;
}

void replica_out_fini(struct replica_out *out)
{
    free(out->effects);
    *out = (struct replica_out){0};
}

void replica_init(struct replica *r, const struct replica_load *load)
{
    CHECK(load->promised >= load->synced); /* INVARIANTS 5 */
    *r = (struct replica){
        .self = load->self,
        .incarnation = load->incarnation,
        .start_number = load->start_number,
        .reachable = (uint64_t)1 << load->self,
        .connected = load->connected,
        .promised = load->promised,
        .promised_durable = load->promised,
        .synced = load->synced,
        .synced_durable = load->synced,
        .leo = load->leo,
        .leo_durable = load->leo,
        .log_start = load->log_start,
        .damaged_from = load->damaged ? load->damaged_from : INT64_MAX,
        .hw = -1,
        .leader_hw = -1,
        .producers = producers_new(),
        .producers_at = load->log_start,
        .producers_asked = -1,
        .producers_safe = -1,
    };
    history_copy(&r->history, load->history, load->history_count);
    history_cut(&r->history, load->leo); /* an entry without records, left by a deletion */
}

void replica_fini(struct replica *r)
{
    recover_drop(r);
    lead_drop(r);
    history_fini(&r->history);
    producers_free(r->producers);
    *r = (struct replica){0};
}

const char *replica_role_name(enum replica_role role)
{
    static const char *const names[] = {"following", "fencing", "building", "prepared", "serving"};

    CHECK((size_t)role < ARRAY_COUNT(names));
    return names[role];
}

void replica_set_role(struct replica *r, uint64_t now_ms, enum replica_role role,
                      struct replica_out *out)
{
    /* Rows: from; bits: to. */
    static const uint8_t legal[] = {
        [REPLICA_FOLLOWING] = 1 << REPLICA_FENCING,
        [REPLICA_FENCING] = 1 << REPLICA_FOLLOWING | 1 << REPLICA_BUILDING,
        [REPLICA_BUILDING] = 1 << REPLICA_FOLLOWING | 1 << REPLICA_PREPARED | 1 << REPLICA_SERVING,
        [REPLICA_PREPARED] = 1 << REPLICA_FOLLOWING | 1 << REPLICA_SERVING,
        [REPLICA_SERVING] = 1 << REPLICA_FOLLOWING,
    };

    CHECK((legal[r->role] & (1 << role)) != 0); /* INVARIANTS 2 */
    r->role = role;
    r->role_since_ms = now_ms;
    r->progress_ms = now_ms;
    r->reported_ms = now_ms;
    (void)effect_add(out, EFFECT_ROLE);
}

static void stand_down(struct replica *r, uint64_t now_ms, int32_t epoch, struct replica_out *out)
{
    if (r->role == REPLICA_FOLLOWING) {
        return;
    }
    r->start_wanted = 0;
    if (epoch > r->given_up) {
        r->given_up = epoch; /* rule 2: never again in this epoch */
    }
    recover_drop(r);
    lead_drop(r);
    replica_set_role(r, now_ms, REPLICA_FOLLOWING, out);
}

void replica_promise(struct replica *r, uint64_t now_ms, int32_t epoch, struct replica_out *out)
{
    CHECK(epoch > r->promised); /* INVARIANTS 2, 5 */
    stand_down(r, now_ms, r->promised, out);
    r->promised = epoch;
    r->answer_owed = false;
    r->answer_complaint = false;
    r->leader = MUTANT(late_ack) ? r->leader : 0;
    r->leader_hw = -1;
    r->start_wanted = 0; /* the next leader tells */
    effect_add(out, EFFECT_PROMISE)->epoch = epoch;
}

/* The answer leaves only when what it says is durable (M volatile-promise) and the log is not
 * being cut. */
static void pay_answer(struct replica *r, struct replica_out *out)
{
    bool durable = r->promised_durable == r->promised || MUTANT(answer_early);
    if (!r->answer_owed || r->truncating || !durable || r->start_number == 0) {
        return;
    }
    struct replica_effect *effect = effect_add(out, EFFECT_ANSWER);
    effect->node = r->answer_to;
    effect->flag = r->answer_complaint;
    r->answer_owed = false;
    r->answer_complaint = false;
}

void replica_owe_answer(struct replica *r, uint32_t to, bool complaint, struct replica_out *out)
{
    r->answer_owed = true;
    r->answer_to = to;
    r->answer_complaint = r->answer_complaint || complaint;
    pay_answer(r, out);
}

struct replica_answer replica_answer_now(const struct replica *r)
{
    /* What a cut under way will leave is durable already. */
    int64_t leo = r->leo < r->leo_durable && !MUTANT(answer_uncut) ? r->leo : r->leo_durable;
    size_t durable = r->history.count;

    /* Epochs that begin above what is durable would show ends that the log may not keep. */
    while (durable > 0 && r->history.entries[durable - 1].start_offset >= leo &&
           !MUTANT(answer_ahead)) {
        durable--;
    }
    return (struct replica_answer){
        .epoch = MUTANT(answer_early) ? r->promised : r->promised_durable,
        .incarnation = r->incarnation,
        .synced = r->synced_durable,
        .leo = leo,
        .log_start = r->log_start,
        .history = r->history.entries,
        .history_count = durable,
    };
}

void replica_take_batch(struct replica *r, const struct batch_info *batch, size_t index,
                        struct replica_out *out)
{
    CHECK(!r->truncating);
    CHECK(batch->base_offset == r->leo); /* INVARIANTS 4 */
    CHECK(batch->leader_epoch <= r->promised);
    history_note(&r->history, batch->leader_epoch, batch->base_offset);
    if (r->producers_at == batch->base_offset) {
        producers_note(r->producers, batch);
        r->producers_at = batch->last_offset + 1;
    }
    r->leo = batch->last_offset + 1;
    struct replica_effect *effect = effect_add(out, EFFECT_APPEND);
    effect->index = index;
    effect->offset = r->leo;
}

/* INVARIANTS 1, 3: what was shown as committed is cut only behind a lossy epoch. */
static bool may_lose(const struct replica *r)
{
    return r->spec.lossy || r->spec.lossy_epoch > r->hw_epoch;
}

/* Nothing was committed without it: its own disk has lost what was shown. Where others would do, it may never
 * have held that, and have read, or followed, one that has lost it. */
static bool must_have_held(const struct replica *r, uint32_t other)
{
    return !rule_can_commit(&r->spec.recover, &r->spec, ~((uint64_t)1 << other));
}

/* A cut to `offset` for the log of `other` (M shown-cut): is it refused? Until the control log has told of
 * this epoch it waits; then either what was shown may be given up, or somebody has forgotten it. */
bool replica_refuse_cut(struct replica *r, uint64_t now_ms, int64_t offset, uint32_t other,
                        struct replica_out *out)
{
    if (offset >= r->hw || MUTANT(shown_cut)) {
        return false;
    }
    if (r->spec.epoch != r->promised) {
        return true; /* it is asked for again */
    }
    if (may_lose(r)) {
        return false;
    }
    bool surely = must_have_held(r, other);
    uint64_t every_ms = surely ? REPLICA_RETRY_MS : 100 * REPLICA_RETRY_MS; /* for people only */
    if (r->amnesia_ms == 0 || now_ms - r->amnesia_ms >= every_ms) {
        r->amnesia_ms = now_ms > 0 ? now_ms : 1;
        struct replica_effect *effect = effect_add(out, EFFECT_AMNESIA);
        effect->node = other;
        effect->epoch = r->spec.epoch;
        effect->flag = surely;
    }
    return true;
}

void replica_show(struct replica *r, int64_t hw, struct replica_out *out)
{
    if (hw >= r->hw) {
        r->hw_epoch =
            r->promised; /* said again in this epoch: no lossy one before it takes it back */
    }
    if (hw > r->hw) {
        r->hw = hw;
        producers_settle(r->producers, hw, r->log_start);
        (void)effect_add(out, EFFECT_HW);
    }
}

int64_t replica_stable(const struct replica *r)
{
    int64_t hw = r->hw > r->log_start ? r->hw : r->log_start;
    int64_t judged = r->producers_at > r->log_start ? r->producers_at : r->log_start;

    if (MUTANT(stable_ignored)) {
        return hw;
    }
    int64_t stable = producers_stable(r->producers, judged < hw ? judged : hw);
    return stable > r->log_start ? stable : r->log_start;
}

struct log_view replica_log(const struct replica *r)
{
    return (struct log_view){r->log_start, r->leo, r->history.entries, r->history.count};
}

int64_t replica_common(struct log_view leading, struct log_view log, bool one_line)
{
    int64_t common = history_agree(leading.history, leading.history_count, leading.end, log.history,
                                   log.history_count, log.end);
    bool empty_at_start = log.start == log.end && log.start == leading.start;
    bool deleted = one_line && log.start <= leading.end && !MUTANT(fall_back);

    return common < log.start && (empty_at_start || deleted) ? log.start : common;
}

/* What was shown, and what a leader deletes that we follow, is committed. */
static bool is_committed(const struct replica *r)
{
    bool shown = r->leo <= r->hw && r->spec.epoch == r->promised && !may_lose(r);

    return r->synced == r->promised || shown;
}

static void cut_off(struct replica *r, int64_t offset)
{
    CHECK(!r->truncating);
    CHECK(offset >= r->hw || may_lose(r) || MUTANT(shown_cut)); /* refused before */
    r->truncating = true;
    r->leo = offset;
    if (r->hw > offset) {
        r->hw = offset;
    }
}

void replica_cut(struct replica *r, int64_t offset, struct replica_out *out)
{
    CHECK(offset >= r->log_start && offset < r->leo);
    cut_off(r, offset);
    log_start_cut(r, offset);
    history_cut(&r->history, offset);
    if (MUTANT(producers_stay)) {
        r->producers_at = offset;
    } else if (r->producers_at > offset) {
        producers_clear(r->producers);
        r->producers_at = -1; /* nothing until the rebuild begins */
    }
    effect_add(out, EFFECT_TRUNCATE)->offset = offset;
}

void replica_begin_anew(struct replica *r, int64_t offset, struct slice producers,
                        struct replica_out *out)
{
    bool committed = is_committed(r);

    cut_off(r, offset);
    log_start_cut(r, -1);
    r->log_start = offset;
    r->history.count = 0;
    if (producers.len == 0 || MUTANT(restart_blank) ||
        producers_unpack(r->producers, producers) != 0) {
        producers_clear(r->producers); /* they could not be known */
    }
    r->producers_at = offset;
    struct replica_effect *effect = effect_add(out, EFFECT_RESTART);
    effect->offset = offset;
    effect->flag = committed;
}

void replica_set_synced(struct replica *r, int32_t epoch, struct replica_out *out)
{
    CHECK(epoch >= r->synced); /* INVARIANTS 5 */
    CHECK(epoch <= r->promised);
    r->synced = epoch;
    effect_add(out, EFFECT_SYNCED)->epoch = epoch;
}

static bool may_lead(const struct replica *r)
{
    if (MUTANT(refence)) {
        return r->spec.leader == r->self && r->spec.epoch == r->promised && r->start_number != 0;
    }
    return r->spec.leader == r->self && r->spec.epoch == r->promised && r->start_number != 0 &&
           r->spec.leader_start == r->start_number && r->spec.epoch > r->given_up &&
           r->synced < r->spec.epoch && !(r->spec.lossy && r->spec.activated);
}

static void try_to_lead(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->role != REPLICA_FOLLOWING || !may_lead(r)) {
        return;
    }
    recover_begin(r, now_ms, out);
}

/* A lossy epoch's leader was prepared, and may serve now. */
static void lead_activated(struct replica *r, uint64_t now_ms, struct replica_out *out)
{
    if (r->damaged_from >= r->leo || MUTANT(damage_served)) {
        lead_begin(r, now_ms, out); /* else when it is filled */
    }
}

void replica_assign(struct replica *r, uint64_t now_ms, const struct replica_spec *spec,
                    struct replica_out *out)
{
    if (spec->epoch < r->spec.epoch) {
        return;
    }
    bool is_new = spec->epoch > r->spec.epoch;
    bool activated_now = !is_new && spec->activated && !r->spec.activated;
    r->spec = *spec;
    if (spec->lossy_epoch > r->hw_epoch) {
        r->hw =
            -1; /* what was shown before may be given up: nothing but what its epoch has told since */
        if (r->role == REPLICA_FOLLOWING) {
            follow_show(r, out);
        }
    }
    if (activated_now && r->role >= REPLICA_PREPARED) {
        if (r->role == REPLICA_PREPARED) {
            lead_activated(r, now_ms, out);
        } else {
            lead_commit(r, now_ms, out);
        }
    }
    if (!is_new) {
        return;
    }
    bool unpromised = MUTANT(promise_volatile) || MUTANT(assign_unpromised);
    if (spec->epoch > r->promised && (!unpromised || spec->leader == r->self)) {
        replica_promise(r, now_ms, spec->epoch, out); /* rule 1: applying it is a promise */
    }
    if (spec->epoch != r->promised) {
        return; /* a leader of a newer epoch was here before the control log */
    }
    (void)effect_add(out, EFFECT_ROLE);
    if (spec->leader == r->self) {
        try_to_lead(r, now_ms, out);
    } else if (spec->leader != 0) {
        r->leader = spec->leader;
        replica_owe_answer(r, spec->leader, false, out);
    }
}

void replica_registered(struct replica *r, uint64_t now_ms, uint32_t incarnation,
                        uint64_t start_number, struct replica_out *out)
{
    r->incarnation = incarnation;
    r->start_number = start_number;
    pay_answer(r, out);
    try_to_lead(r, now_ms, out);
    if (r->role == REPLICA_FOLLOWING) {
        follow_durable(r, out); /* what became durable before counts from now on */
    }
}

/* An epoch has one leader. Once the control log has told which, nobody else is listened to. */
bool replica_may_be_leader(const struct replica *r, uint32_t node)
{
    return r->spec.epoch != r->promised || r->spec.leader == node;
}

void replica_on_fence(struct replica *r, uint64_t now_ms, uint32_t from, int32_t epoch,
                      struct replica_out *out)
{
    if (epoch < r->promised || from == r->self) {
        return;
    }
    if (epoch > r->promised) {
        replica_promise(r, now_ms, epoch, out);
    }
    if (r->role != REPLICA_FOLLOWING || !replica_may_be_leader(r, from)) {
        return;
    }
    r->leader = from;
    replica_owe_answer(r, from, false, out);
    follow_durable(r, out); /* what was acknowledged before may not have been heard */
}

void replica_on_answer(struct replica *r, uint64_t now_ms, uint32_t from,
                       const struct replica_answer *answer, struct replica_out *out)
{
    if (answer->epoch != r->promised || r->role == REPLICA_FOLLOWING) {
        return;
    }
    if (r->role == REPLICA_FENCING) {
        recover_answer(r, now_ms, from, answer, out);
    } else if (r->role == REPLICA_SERVING) {
        lead_answer(r, from, answer, out);
    }
}

void replica_written(struct replica *r, uint64_t now_ms, enum replica_effect_kind kind,
                     int64_t value, struct replica_out *out)
{
    switch (kind) {
    case EFFECT_PROMISE:
        CHECK(value > r->promised_durable);
        r->promised_durable = (int32_t)value;
        break;
    case EFFECT_SYNCED:
        CHECK(value >= r->synced_durable);
        r->synced_durable = (int32_t)value;
        break;
    case EFFECT_APPEND:
        /* Appends that a later cut has removed complete before the cut does. */
        CHECK(value > r->leo_durable || r->truncating);
        r->leo_durable = value;
        break;
    case EFFECT_TRUNCATE:
    case EFFECT_RESTART:
        CHECK(r->truncating);
        r->truncating = false;
        r->leo_durable = value;
        if (r->producers_at != r->leo) { /* also one that the cut has interrupted */
            (void)effect_add(out, EFFECT_REBUILD);
        }
        break;
    case EFFECT_LOG_START:
        break;
    case EFFECT_PRODUCERS:
        if (r->producers_asked >= 0 && value >= r->producers_asked) {
            r->producers_safe = value;
        }
        r->producers_refused = r->producers_asked >= 0 && value < 0;
        r->producers_asked = -1;
        break;
    case EFFECT_FENCE:
    case EFFECT_ANSWER:
    case EFFECT_BEGIN:
    case EFFECT_PUSH:
    case EFFECT_ACK:
    case EFFECT_MARK:
    case EFFECT_COPY:
    case EFFECT_HW:
    case EFFECT_ROLE:
    case EFFECT_ACTIVATED:
    case EFFECT_NO_QUORUM:
    case EFFECT_REBUILD:
    case EFFECT_CAUGHT_UP:
    case EFFECT_AMNESIA:
        CHECK(false);
    }
    pay_answer(r, out);
    if (r->role == REPLICA_FENCING) {
        recover_choose(r, now_ms, out);
    } else if (r->role == REPLICA_BUILDING) {
        recover_built(r, now_ms, out);
    } else if (r->role == REPLICA_FOLLOWING) {
        follow_durable(r, out);
    } else {
        lead_commit(r, now_ms, out);
    }
    log_start_go_on(r, out);
}

/* M damage-acks: below this everything is on disk, whole. */
int64_t replica_sound_end(const struct replica *r)
{
    return r->damaged_from < r->leo_durable ? r->damaged_from : r->leo_durable;
}

void replica_note_damage(struct replica *r, int64_t damaged_from)
{
    r->damaged_from = damaged_from;
}

void replica_set_damage(struct replica *r, uint64_t now_ms, int64_t damaged_from,
                        struct replica_out *out)
{
    replica_note_damage(r, damaged_from);
    if (r->role == REPLICA_BUILDING) {
        recover_built(r, now_ms, out);
    } else if (r->role == REPLICA_PREPARED && r->spec.activated) {
        lead_activated(r, now_ms, out);
    } else if (r->role >= REPLICA_PREPARED) {
        lead_commit(r, now_ms, out);
        lead_push_on(r, out);
    } else if (r->role == REPLICA_FOLLOWING) {
        follow_durable(r, out);
        if (damaged_from >= r->leo && r->leader != 0 && r->synced < r->promised) {
            replica_owe_answer(r, r->leader, true, out); /* the stream begins anew, and then it is
                                                            told where the initial log ends */
        }
    }
}

void replica_reach(struct replica *r, uint64_t reachable)
{
    r->reachable = reachable | (uint64_t)1 << r->self;
}

bool replica_may_copy(const struct replica *r, int32_t epoch)
{
    return r->role == REPLICA_FOLLOWING && r->promised == epoch && r->promised_durable == epoch &&
           !r->truncating;
}

void replica_producers_restart(struct replica *r, int64_t at)
{
    if (at < r->log_start) {
        /* What is between is gone, and with it what producers and transactions came to there: their older
         * numbers would be refused for ever, their open transactions never ended. */
        producers_clear(r->producers);
    }
    r->producers_at = at > r->log_start ? at : r->log_start;
}

void replica_producers_feed(struct replica *r, const struct batch_info *batch)
{
    if (r->producers_at < 0 || r->truncating) {
        return; /* the log was cut meanwhile: EFFECT_REBUILD follows, or nothing is missing */
    }
    if (batch->base_offset > r->producers_at) {
        /* The log start was raised over what was being read: as in replica_producers_restart. */
        CHECK(r->producers_at <= r->log_start);
        producers_clear(r->producers);
    }
    if (batch->last_offset >= r->producers_at) {
        struct batch_info noted = *batch;
        if (MUTANT(aborted_lost) && noted.marker == BATCH_ABORT) {
            noted.marker = BATCH_COMMIT;
        }
        producers_note(r->producers, &noted);
        r->producers_at = batch->last_offset + 1;
    }
}

void replica_producers_fed(struct replica *r, struct replica_out *out)
{
    log_start_go_on(r, out);
}

void replica_producers_age(struct replica *r)
{
    producers_age(r->producers, PRODUCER_HOURS);
}
