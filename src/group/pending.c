/* SPDX-License-Identifier: Apache-2.0 */
#include "group/pending.h"

#include <string.h>

#include "base/mutant.h"
#include "group/inner.h"

/* One offset that waits, as a record; a later one of the same key takes its place. */
struct pending_offset {
    UT_hash_handle hh; /* in pending_txn.offsets, by key */
    struct buf key;
    struct buf value; /* empty: a tombstone */
};

struct pending_txn {
    UT_hash_handle hh; /* in groups.pending, by producer_id */
    int64_t producer_id;
    int16_t epoch;
    struct pending_offset *offsets;
};

static uint64_t cost(const struct pending_offset *o)
{
    return sizeof *o + o->key.len + o->value.len;
}

static void drop_offset(struct groups *groups, struct pending_txn *txn, struct pending_offset *o)
{
    HASH_DEL(txn->offsets, o);
    groups->bytes -= cost(o);
    buf_fini(&o->key);
    buf_fini(&o->value);
    free(o);
}

static void drop_txn(struct groups *groups, struct pending_txn *txn)
{
    struct pending_offset *o;
    struct pending_offset *next;

    HASH_ITER (hh, txn->offsets, o, next) {
        drop_offset(groups, txn, o);
    }
    HASH_DEL(groups->pending, txn);
    free(txn);
}

void groups_drop_pending(struct groups *groups)
{
    struct pending_txn *txn;
    struct pending_txn *next;

    HASH_ITER (hh, groups->pending, txn, next) {
        drop_txn(groups, txn);
    }
}

void groups_pending(struct groups *groups, int64_t producer_id, int16_t epoch, struct slice key,
                    struct slice value)
{
    struct pending_txn *txn;
    struct pending_offset *o;

    groups_bury(groups);
    HASH_FIND(hh, groups->pending, &producer_id, sizeof producer_id, txn);
    if (txn == NULL) {
        txn = mem_new(sizeof *txn);
        txn->producer_id = producer_id;
        HASH_ADD(hh, groups->pending, producer_id, sizeof txn->producer_id, txn);
    }
    txn->epoch = epoch;
    HASH_FIND(hh, txn->offsets, key.base, key.len, o);
    if (o != NULL) {
        drop_offset(groups, txn, o);
    }
    o = mem_new(sizeof *o);
    buf_put(&o->key, key);
    buf_put(&o->value, value);
    HASH_ADD_KEYPTR(hh, txn->offsets, o->key.base, o->key.len, o);
    groups->bytes += cost(o);
    if (MUTANT(pending_shown)) {
        struct group_out none = {0};
        groups_committed(groups, (struct group_now){0}, key, value, &none);
        group_out_fini(&none);
    }
}

void groups_end_pending(struct groups *groups, struct group_now now, int64_t producer_id,
                        bool commit, struct group_out *out)
{
    struct pending_txn *txn;

    HASH_FIND(hh, groups->pending, &producer_id, sizeof producer_id, txn);
    if (txn == NULL) {
        return;
    }
    for (struct pending_offset *o = txn->offsets; o != NULL; o = o->hh.next) {
        if (commit || MUTANT(pending_kept)) {
            struct slice value = o->value.len > 0 ? buf_slice(&o->value) : (struct slice){0};
            groups_committed(groups, now, buf_slice(&o->key), value, out);
        }
    }
    drop_txn(groups, txn);
}

bool groups_is_pending(const struct groups *groups, struct slice group_id, struct slice topic,
                       int32_t partition)
{
    struct buf key = {0};
    struct pending_offset *found = NULL;

    if (groups->pending == NULL) {
        return false;
    }
    group_offset_key(&key, group_id, topic, partition);
    for (struct pending_txn *txn = groups->pending; txn != NULL && found == NULL;
         txn = txn->hh.next) {
        HASH_FIND(hh, txn->offsets, key.base, key.len, found);
    }
    buf_fini(&key);
    return found != NULL;
}

bool groups_has_pending(const struct groups *groups, struct slice group_id)
{
    struct group_key key;

    for (const struct pending_txn *txn = groups->pending; txn != NULL; txn = txn->hh.next) {
        for (const struct pending_offset *o = txn->offsets; o != NULL; o = o->hh.next) {
            if (group_key_read(buf_slice(&o->key), &key) == 0 &&
                slice_equal(key.group_id, group_id)) {
                return true;
            }
        }
    }
    return false;
}

bool groups_dump_pending(const struct groups *groups,
                         bool (*emit)(void *ctx, int64_t producer_id, int16_t epoch,
                                      struct slice key, struct slice value),
                         void *ctx)
{
    for (const struct pending_txn *txn = groups->pending; txn != NULL; txn = txn->hh.next) {
        for (const struct pending_offset *o = txn->offsets; o != NULL; o = o->hh.next) {
            struct slice value = o->value.len > 0 ? buf_slice(&o->value) : (struct slice){0};
            if (!emit(ctx, txn->producer_id, txn->epoch, buf_slice(&o->key), value)) {
                return false;
            }
        }
    }
    return true;
}

int groups_may_commit_txn(struct groups *groups, struct group_now now, struct slice group_id,
                          int32_t generation, struct slice member_id, struct slice instance_id)
{
    if (generation < 0 && member_id.len == 0 && instance_id.base == NULL) {
        groups_bury(groups);
        if (group_id.len > GROUP_ID_MAX) {
            return TERN_EINVALIDGROUP;
        }
        return groups->bytes > GROUPS_BYTES_MAX ? TERN_ENOCOORDINATOR : 0;
    }
    int status = groups_may_commit(groups, now, group_id, generation, member_id, instance_id);
    return status == TERN_EREBALANCE ? 0 : status;
}
