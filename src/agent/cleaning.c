/* SPDX-License-Identifier: Apache-2.0 */
/* How far the compaction of each replica may look (docs/decisions/007-compaction.md).
 *
 * What makes older records go must itself never be cut: records of a sync topic below the high
 * watermark, of an async one, which a lossy epoch may cut, below what all its replicas hold. And a
 * tombstone may go only where every replica has had it: one that comes later would keep the record
 * that it stood against. What all hold the leader knows by their acks; it tells them with pushes and
 * marks. And nothing above the last stable offset is looked at, as in Kafka. */
#include "agent/inner.h"
#include "store/store.h"

#define CLEAN_EVERY_US 5000000

/* Below this everything is durable here, and whole. */
static int64_t sound_end(const struct replica *r)
{
    return r->damaged_from < r->leo_durable ? r->damaged_from : r->leo_durable;
}

int64_t cleaning_all_hold(const struct partition *p)
{
    const struct replica *r = &p->replica;
    int64_t least = sound_end(r);

    if (!replica_hw_known(r)) {
        return 0;
    }
    for (uint32_t i = 0; i < r->spec.member_count; i++) {
        uint32_t node = r->spec.members[i].node;
        if (node == r->self) {
            continue;
        }
        const struct replica_peer *peer = replica_peer_of(r, node);
        int64_t held = peer != NULL && peer->held > 0 ? peer->held : 0;
        least = held < least ? held : least;
    }
    return least;
}

void cleaning_told(struct partition *p, uint32_t from, int32_t epoch, int64_t all_hold)
{
    const struct replica *r = &p->replica;

    if (r->role == REPLICA_FOLLOWING && r->leader == from && r->promised == epoch &&
        all_hold > p->all_hold) {
        p->all_hold = all_hold;
    }
}

static bool is_async(const struct replica *r)
{
    return r->spec.config.home >= 0 || r->spec.recover.home >= 0;
}

enum store_fate cleaning_fate(void *ctx, struct store_log *log, int64_t producer_id, int64_t offset)
{
    const struct store_log_state *state = store_state(log);
    const struct partition *p = partition_find(ctx, state->topic_id, state->partition);
    size_t count = 0;

    /* Of an async topic a lossy epoch may cut off the end of a transaction that is behind the high
     * watermark. */
    if (p == NULL || is_async(&p->replica) || p->replica.truncating ||
        offset >= replica_stable(&p->replica)) {
        return STORE_FATE_UNKNOWN;
    }
    const struct producers_aborted *aborted =
        producers_aborted(p->replica.producers, offset, &count);
    for (size_t i = 0; i < count; i++) {
        if (aborted[i].producer_id == producer_id && aborted[i].first <= offset) {
            return STORE_FATE_ABORTED;
        }
        if (aborted[i].stable > offset) {
            break; /* no later one begins so early */
        }
    }
    return STORE_FATE_COMMITTED;
}

static void tell_store(struct partition *p)
{
    const struct replica *r = &p->replica;
    bool async = is_async(r);

    if (replica_serves(r)) {
        int64_t all_hold = cleaning_all_hold(p);
        p->all_hold = all_hold > p->all_hold ? all_hold : p->all_hold;
    }
    int64_t hw = r->hw < sound_end(r) ? r->hw : sound_end(r);
    int64_t stable = replica_stable(r);
    hw = hw < stable ? hw : stable;
    int64_t tombstones = p->all_hold < hw ? p->all_hold : hw;
    if (hw > 0 && !r->truncating) {
        store_compactable(p->log, async ? tombstones : hw, tombstones);
    }
}

void cleaning_tick(struct node *node, uint64_t now_us)
{
    if (now_us - node->cleaned_us < CLEAN_EVERY_US) {
        return;
    }
    node->cleaned_us = now_us;
    for (struct partition *p = node->partitions; p != NULL; p = p->hh.next) {
        /* What the groups' coordinators write they shorten themselves. */
        if ((store_settings(p->log)->cleanup_policy & LOG_COMPACT) != 0 && p->coordinator == NULL) {
            tell_store(p);
        }
    }
}
