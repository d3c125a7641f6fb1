/* SPDX-License-Identifier: Apache-2.0 */
/* Every 64 applied indexes each member tells the others the hash of its state; states of one index
 * that differ would decide differently. Whoever differs from a majority ends itself; who has a
 * majority on its side goes on. If neither can be known before the next boundary, or in ten
 * seconds, the node ends as well: rather none than two states. */
#include "quorum/quorum_impl.h"

#define UNDECIDED_MS 10000

static struct hash_slot *slot_of(struct quorum *quorum, uint64_t index)
{
    struct hash_slot *slot = &quorum->hashes[index / QUORUM_HASH_EVERY % QUORUM_HASHES_KEPT];

    if (slot->index < index) {
        *slot = (struct hash_slot){.index = index};
    }
    return slot->index == index ? slot : NULL;
}

static void judge(struct quorum *quorum, struct hash_slot *slot, bool last_chance)
{
    const struct raft_configuration *configuration = &quorum->raft.configuration;
    unsigned agree = 1;
    unsigned differ = 0;
    uint32_t other = 0;

    if (!slot->known || slot->settled) {
        return;
    }
    for (unsigned i = 0; i < configuration->n; i++) {
        uint32_t node = raft_address_node(configuration->servers[i].address);
        if (node == quorum->options.node_id || (slot->heard >> node & 1) == 0) {
            continue;
        }
        if (slot->theirs[node] == slot->own) {
            agree++;
        } else {
            differ++;
            other = node;
        }
    }
    if (differ == 0) {
        return;
    }
    if (slot->differs_since_ms == 0) {
        slot->differs_since_ms = quorum_now_ms(quorum);
        trace_error("event=state_differs index=%llu node=%u hash=%016llx other_node=%u "
                    "other_hash=%016llx",
                    (unsigned long long)slot->index, quorum->options.node_id,
                    (unsigned long long)slot->own, other, (unsigned long long)slot->theirs[other]);
    }
    if (agree > configuration->n / 2) {
        slot->settled = true; /* the other one will end */
    } else if (differ > configuration->n / 2 || last_chance || agree + differ >= configuration->n) {
        quorum_fatal(quorum, TERN_EDAMAGED, "the control state differs from that of other nodes");
    }
}

static void boundary(struct quorum *quorum, uint64_t index)
{
    struct quorum_fsm *fsm = &quorum->options.fsm;
    struct buf head = {0};

    if (quorum->hash_index != 0) {
        struct hash_slot *before = slot_of(quorum, quorum->hash_index);
        if (before != NULL) {
            judge(quorum, before, true);
        }
    }
    quorum->hash_index = index;
    if (fsm->hash == NULL || quorum->dead) {
        return;
    }
    struct hash_slot *slot = slot_of(quorum, index);
    CHECK(slot != NULL);
    slot->known = true;
    slot->own = fsm->hash(fsm->ctx);
    frame_state_hash_encode(index, slot->own, &head);
    quorum_send_members(quorum, false, FRAME_HASH, &head);
    buf_fini(&head);
    judge(quorum, slot, false);
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

void quorum_hashes_tick(struct quorum *quorum)
{
    uint64_t now = quorum_now_ms(quorum);

    for (unsigned i = 0; i < QUORUM_HASHES_KEPT && !quorum->dead; i++) {
        struct hash_slot *slot = &quorum->hashes[i];
        if (slot->differs_since_ms != 0 && !slot->settled &&
            now - slot->differs_since_ms >= UNDECIDED_MS) {
            judge(quorum, slot, true);
        }
    }
}

void quorum_hashes_receive(struct quorum *quorum, uint32_t node_id, struct slice head)
{
    uint64_t index;
    uint64_t hash;

    /* One that is absurdly far ahead would push out those that we can judge. */
    if (frame_state_hash_decode(head, &index, &hash) != 0 || index == 0 ||
        index % QUORUM_HASH_EVERY != 0 ||
        index > quorum->hash_index + (uint64_t)QUORUM_HASHES_KEPT * QUORUM_HASH_EVERY) {
        return;
    }
    struct hash_slot *slot = slot_of(quorum, index);
    if (slot != NULL) {
        slot->heard |= UINT64_C(1) << node_id;
        slot->theirs[node_id] = hash;
        judge(quorum, slot, false);
    }
}
