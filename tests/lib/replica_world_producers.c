/* SPDX-License-Identifier: Apache-2.0 */
/* What a node knows of its producers: the snapshots of it that it keeps, saves and begins with. */
#include <string.h>

#include "tests/lib/replica_world.h"

/* ---- snapshots ------------------------------------------------------------------------------- */

void rworld_forget_snapshots(struct world_node *n, int64_t above)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->snapshot_count; i++) {
        if (n->snapshots[i].offset <= above) {
            n->snapshots[kept++] = n->snapshots[i];
        } else {
            buf_fini(&n->snapshots[i].bytes);
        }
    }
    n->snapshot_count = kept;
    n->save_void = n->save_void || (n->saving && n->save.offset > above);
}

void rworld_save_drop(struct world_node *n)
{
    buf_fini(&n->save.bytes);
    n->saving = n->save_void = false;
}

void rworld_snapshot_add(struct world_node *n, struct world_snapshot snapshot)
{
    if (n->snapshot_count == WORLD_SNAPSHOTS) {
        /* As the store, never the one that a log start may rest on (walk 51672): the newest that no cut
         * can reach; nor, while the high watermark of a new epoch is not known, the one that was (82779). */
        bool needed = n->snapshots[1].offset > n->replica.leader_hw;
        size_t oldest = needed || n->snapshots[0].offset == n->replica.producers_safe ? 1 : 0;
        oldest += oldest == 1 && n->snapshots[1].offset == n->replica.producers_safe;
        buf_fini(&n->snapshots[oldest].bytes);
        n->snapshot_count--;
        memmove(&n->snapshots[oldest], &n->snapshots[oldest + 1],
                sizeof n->snapshots[0] * (n->snapshot_count - oldest));
    }
    n->snapshots[n->snapshot_count++] = snapshot;
}

/* A second one while the first is on its way takes its place. */
void rworld_save_begin(struct world *w, struct world_node *n, int64_t offset)
{
    struct replica *r = &n->replica;

    CHECK(r->producers_at == r->leo && r->leo == offset && !r->truncating);
    rworld_story(w, "  node %u saves what producers came to at %lld", n->id, (long long)offset);
    rworld_save_drop(n);
    n->saving = true;
    n->save.offset = offset;
    producers_pack(r->producers, &n->save.bytes);
}

void rworld_save_done(struct world *w, struct world_node *n)
{
    struct replica_out out = {0};
    struct world_snapshot save = n->save;

    rworld_story(w, "node %u: durable: producers at %lld", n->id, (long long)save.offset);
    if (n->save_void) {
        buf_fini(&save.bytes); /* it is known by its epoch for one of another log */
    } else {
        rworld_snapshot_add(n, save);
    }
    n->save.bytes = (struct buf){0};
    n->saving = n->save_void = false;
    replica_written(&n->replica, w->now_ms, EFFECT_PRODUCERS, save.offset, &out);
    rworld_perform(w, n, &out, NULL, 0);
}

/* ---- producer state -------------------------------------------------------------------------- */

/* From one of the snapshots that the log start can rest on (not always the newest), or from nothing where
 * that is the same. */
void rworld_node_start_snapshot(struct world *w, struct world_node *n)
{
    struct replica *r = &n->replica;
    int64_t at = r->log_start;
    struct world_snapshot *usable[WORLD_SNAPSHOTS];
    size_t count = 0;

    for (size_t i = 0; i < n->snapshot_count; i++) {
        if (n->snapshots[i].offset >= r->log_start && n->snapshots[i].offset <= r->leo) {
            usable[count++] = &n->snapshots[i];
        }
    }
    producers_clear(r->producers);
    if (count > 0 && (r->log_start > 0 || prng_chance(&w->prng, 3, 4))) {
        struct world_snapshot *s = usable[prng_below(&w->prng, count)];
        CHECK(producers_unpack(r->producers, buf_slice(&s->bytes)) == 0);
        at = s->offset > at ? s->offset : at;
    }
    replica_producers_restart(r, at);
}

void rworld_feed_producers(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];
    struct replica *r = &n->replica;

    if (!n->up || r->producers_at < 0 || r->producers_at >= n->log.end) {
        return;
    }
    int64_t offset = r->producers_at > n->log.start ? r->producers_at : n->log.start;
    if (offset >= n->log.end) {
        /* The log start was raised over all that was to be read. */
        rworld_node_start_snapshot(w, n);
    } else if (!n->lost[offset]) {
        struct replica_out out = {0};
        replica_producers_feed(r, &w->batches[n->log.at[offset]].info);
        replica_producers_fed(r, &out);
        rworld_perform(w, n, &out, NULL, 0);
    }
}

void rworld_save_producers(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];
    struct replica *r = &n->replica;

    if (!n->up || r->producers_at != r->leo || r->leo_durable != r->leo || r->truncating) {
        return;
    }
    struct world_snapshot s = {.offset = r->leo};
    producers_pack(r->producers, &s.bytes);
    rworld_snapshot_add(n, s);
}
