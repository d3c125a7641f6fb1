/* SPDX-License-Identifier: Apache-2.0 */
/* Every 64 applied indexes each member tells the others the hash of its state. Whoever is at the
 * same index compares; a difference means that two nodes would decide differently, and ends both.
 */
#include "quorum/quorum_impl.h"

static const struct hash_at *own_hash(const struct quorum *quorum, uint64_t index)
{
    const struct hash_at *slot = &quorum->hashes[index / QUORUM_HASH_EVERY % QUORUM_HASHES_KEPT];

    return index != 0 && slot->index == index ? slot : NULL;
}

static void compare(struct quorum *quorum, uint32_t node_id, const struct hash_at *theirs)
{
    const struct hash_at *ours = own_hash(quorum, theirs->index);

    if (ours == NULL || ours->hash == theirs->hash) {
        return;
    }
    trace_error("event=state_differs index=%llu node=%u hash=%016llx other_node=%u "
                "other_hash=%016llx",
                (unsigned long long)ours->index, quorum->options.node_id,
                (unsigned long long)ours->hash, node_id, (unsigned long long)theirs->hash);
    quorum_fatal(quorum, TERN_EDAMAGED, "the control state differs from another node's");
}

static void boundary(struct quorum *quorum, uint64_t index)
{
    struct quorum_fsm *fsm = &quorum->options.fsm;
    struct buf head = {0};

    quorum->hash_index = index;
    if (fsm->hash == NULL) {
        return;
    }
    struct hash_at *slot = &quorum->hashes[index / QUORUM_HASH_EVERY % QUORUM_HASHES_KEPT];
    *slot = (struct hash_at){index, fsm->hash(fsm->ctx)};
    frame_state_hash_encode(index, slot->hash, &head);
    quorum_send_members(quorum, false, FRAME_HASH, &head);
    buf_fini(&head);
    for (uint32_t node = 1; node < WIRE_NODES_MAX && !quorum->dead; node++) {
        if (quorum->peer_hashes[node].index == index) {
            compare(quorum, node, &quorum->peer_hashes[node]);
        }
    }
}

void quorum_hashes_before(struct quorum *quorum, uint64_t index)
{
    uint64_t at = (index - 1) / QUORUM_HASH_EVERY * QUORUM_HASH_EVERY;

    if (at > quorum->hash_index) {
        boundary(quorum, at);
    }
}

void quorum_hashes_step(struct quorum *quorum)
{
    uint64_t applied = quorum->raft.last_applied;

    if (quorum->restored) {
        /* The state is that of the snapshot's index, not of the boundary below it. */
        quorum->restored = false;
        quorum->hash_index = applied / QUORUM_HASH_EVERY * QUORUM_HASH_EVERY;
    }
    if (applied > quorum->applied_seen) {
        quorum->applied_seen = applied; /* a barrier, a configuration or a snapshot */
    }
    quorum_hashes_before(quorum, applied + 1);
}

void quorum_hashes_receive(struct quorum *quorum, uint32_t node_id, struct slice head)
{
    struct hash_at theirs;

    if (frame_state_hash_decode(head, &theirs.index, &theirs.hash) != 0 ||
        theirs.index % QUORUM_HASH_EVERY != 0) {
        return;
    }
    if (theirs.index > quorum->hash_index) {
        quorum->peer_hashes[node_id] = theirs;
    } else {
        compare(quorum, node_id, &theirs);
    }
}
