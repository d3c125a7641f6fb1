/* SPDX-License-Identifier: Apache-2.0 */
/* Rule 11: where the log begins. What is deleted cannot be read again to rebuild what producers came
 * to, so before the log start rises their state is made durable, at an offset that no cut can reach:
 * committed, and durable in this log (INVARIANTS 36). Without that a replica that lost power in between
 * would know of later batches of a producer and not of those before them, and refuse it for ever. */
#include "replica/inner.h"

/* Below this nothing is cut any more, short of a lossy epoch, and everything is on the disk. */
static int64_t firm_end(const struct replica *r)
{
    return r->leader_hw < r->leo_durable ? r->leader_hw : r->leo_durable;
}

/* Deletion does not wait where it is the cure: on a disk that is full, and where a damaged record keeps
 * the state from being rebuilt. */
static bool cannot_wait(const struct replica *r)
{
    return r->producers_refused || (r->damaged_from < r->leo && r->producers_at != r->leo) ||
           MUTANT(start_unguarded) || MUTANT(log_start_above_hw);
}

/* Does a durable state of the producers stand for all that is to be deleted? */
static bool is_guarded(const struct replica *r)
{
    return r->producers_safe >= r->start_wanted && r->producers_safe <= firm_end(r);
}

static void raise_it(struct replica *r, struct replica_out *out)
{
    bool guarded = is_guarded(r);

    CHECK(guarded || cannot_wait(r)); /* INVARIANTS 36 */
    r->log_start = r->start_wanted;
    r->producers_refused = false;
    struct replica_effect *effect = effect_add(out, EFFECT_LOG_START);
    effect->offset = r->log_start;
    effect->flag = !guarded;
    if (r->role == REPLICA_SERVING) {
        lead_log_start(r, out);
    }
}

void log_start_go_on(struct replica *r, struct replica_out *out)
{
    bool serves = r->role == REPLICA_SERVING;
    bool follows = r->role == REPLICA_FOLLOWING && r->synced == r->promised;

    if (r->start_wanted <= r->log_start || r->truncating || (!serves && !follows) ||
        r->start_wanted > r->leo_durable) {
        return;
    }
    if (cannot_wait(r) || is_guarded(r)) {
        raise_it(r, out);
    } else if (r->producers_safe < r->start_wanted && r->producers_asked < 0 &&
               r->producers_at == r->leo) {
        r->producers_asked = r->leo;
        effect_add(out, EFFECT_PRODUCERS)->offset = r->leo;
    }
}

void log_start_want(struct replica *r, int64_t offset, struct replica_out *out)
{
    r->start_wanted = offset > r->start_wanted ? offset : r->start_wanted;
    log_start_go_on(r, out);
}

void replica_raise_log_start(struct replica *r, int64_t offset, struct replica_out *out)
{
    int64_t most = MUTANT(log_start_above_hw) ? r->leo : r->leader_hw;

    if (r->role == REPLICA_SERVING && offset <= most) { /* only below the HW of the running epoch */
        log_start_want(r, offset, out);
    }
}

bool replica_producers_before(const struct replica *r, int64_t offset, size_t bytes_max,
                              struct buf *out)
{
    bool unknown = r->damaged_from < r->leo && r->producers_at != r->leo;

    if (r->producers_at >= offset) {
        producers_pack_before(r->producers, offset, bytes_max, out);
    }
    return r->producers_at >= offset || unknown;
}

void log_start_cut(struct replica *r, int64_t offset)
{
    r->producers_asked = r->producers_asked > offset ? -1 : r->producers_asked;
    r->producers_safe = r->producers_safe > offset ? -1 : r->producers_safe;
}
