/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum/guard.h"

#include "base/check.h"
#include "base/mutant.h"

/* ---- G1 ------------------------------------------------------------------------------------- */

void guard_deliver_begin(struct guard *guard, const struct raft_message *message)
{
    CHECK(!guard->delivering);
    if (message->type == RAFT_IO_APPEND_ENTRIES) {
        guard->delivering = true;
        guard->delivering_term = message->append_entries.term;
        guard->delivering_index =
            message->append_entries.prev_log_index + message->append_entries.n_entries;
    } else if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
        guard->delivering = true;
        guard->delivering_term = message->install_snapshot.term;
        guard->delivering_index = message->install_snapshot.last_index;
    }
}

void guard_deliver_end(struct guard *guard)
{
    guard->delivering = false;
}

/* What is being delivered has been accepted: the log equals the sender's up to there. */
static void verified(struct guard *guard)
{
    if (guard->verified_term != guard->delivering_term) {
        CHECK(guard->delivering_term > guard->verified_term);
        guard->verified_term = guard->delivering_term;
        guard->verified_index = 0;
    }
    if (guard->delivering_index > guard->verified_index) {
        guard->verified_index = guard->delivering_index;
    }
}

static bool send_append_result(struct guard *guard, uint64_t current_term,
                               struct raft_append_entries_result *result)
{
    if (result->rejected != 0) {
        return true;
    }
    if (guard->delivering && guard->delivering_term != result->term) {
        /* The answer to an outdated leader that probed from entry 1: the core writes
         * `rejected = prev_log_index`, which is 0 and reads as success. */
        CHECK(guard->delivering_term < current_term);
        result->rejected = 1;
        return true;
    }
    if (guard->delivering) {
        verified(guard);
    }
    if (result->term != guard->verified_term) {
        return false;
    }
    if (result->last_log_index > guard->verified_index && !MUTANT(guard_unverified)) {
        result->last_log_index = guard->verified_index;
    }
    return true;
}

/* ---- writes: G1, G2, G3 --------------------------------------------------------------------- */

void guard_append_started(struct guard *guard)
{
    guard->appends_in_flight++;
    if (guard->delivering) {
        verified(guard);
    }
}

void guard_append_finished(struct guard *guard, uint64_t last_term)
{
    CHECK(guard->appends_in_flight > 0);
    guard->appends_in_flight--;
    if (last_term > guard->persisted_term) {
        guard->persisted_term = last_term;
    }
}

void guard_install_started(struct guard *guard)
{
    CHECK(guard->delivering);
    verified(guard);
}

/* ---- G3 ------------------------------------------------------------------------------------- */

static bool writing(const struct guard *guard, const struct guard_view *view)
{
    return view->state == RAFT_FOLLOWER &&
           (guard->appends_in_flight > 0 || view->snapshot_in_flight);
}

static bool installing(const struct guard_view *view)
{
    return view->last_stored == 0 && view->snapshot_in_flight;
}

bool guard_tick(const struct guard *guard, const struct guard_view *view)
{
    return guard->off || !writing(guard, view);
}

/* ---- what comes in: G2, G3, G5 -------------------------------------------------------------- */

static uint64_t message_term(const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_IO_APPEND_ENTRIES:
        return message->append_entries.term;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        return message->append_entries_result.term;
    case RAFT_IO_REQUEST_VOTE:
        return message->request_vote.term;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        return message->request_vote_result.term;
    case RAFT_IO_INSTALL_SNAPSHOT:
        return message->install_snapshot.term;
    default:
        return message->timeout_now.term;
    }
}

enum guard_verdict guard_receive(const struct guard *guard, const struct guard_view *view,
                                 struct raft_message *message)
{
    if (message_term(message) > view->term + GUARD_TERM_STEP_MAX) {
        return GUARD_DROP;
    }
    if (!view->sender_known) {
        switch (message->type) {
        case RAFT_IO_APPEND_ENTRIES:
        case RAFT_IO_INSTALL_SNAPSHOT:
            break; /* a joiner knows nobody, a lagging member may not know a new leader */
        case RAFT_IO_REQUEST_VOTE:
            /* Our newest configuration may be one that was never committed, and the candidate's
             * the right one (thesis 4.1). But it may not disturb a leader. */
            message->request_vote.disrupt_leader = false;
            break;
        default:
            return GUARD_DROP;
        }
    }
    if (guard->off) {
        return GUARD_DELIVER;
    }
    switch (message->type) {
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        return view->state == RAFT_LEADER && message->append_entries_result.rejected == 0 &&
                       message->append_entries_result.term == view->term &&
                       guard->persisted_term != view->term
                   ? GUARD_HOLD
                   : GUARD_DELIVER;
    case RAFT_IO_REQUEST_VOTE:
        return installing(view) ? GUARD_DROP : GUARD_DELIVER;
    case RAFT_IO_TIMEOUT_NOW:
        return writing(guard, view) ? GUARD_DROP : GUARD_DELIVER;
    default:
        return GUARD_DELIVER;
    }
}

/* ---- what goes out: G1, G6 ------------------------------------------------------------------ */

bool guard_send(struct guard *guard, uint64_t current_term, struct raft_message *message)
{
    if (guard->off) {
        return true;
    }
    if (message->type == RAFT_IO_APPEND_ENTRIES_RESULT) {
        return send_append_result(guard, current_term, &message->append_entries_result);
    }
    if (message->type == RAFT_IO_REQUEST_VOTE_RESULT) {
        struct raft_request_vote_result *result = &message->request_vote_result;
        if (!result->vote_granted && result->term < current_term) {
            result->term = current_term;
        }
    }
    return true;
}
