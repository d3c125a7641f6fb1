/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of a mem_disk: files with their unsynced writes, names with their unsynced changes,
 * and what a power failure makes of them. A part of mem_disk.c, which alone includes it. */
#pragma once

#include <uthash.h>

#include "base/check.h"
#include "base/error.h"
#include "base/prng.h"
#include "base/slice.h"

/* What one unsynced write or truncation replaced. */
struct undo {
    uint64_t pos;
    size_t len;
    uint64_t old_size;
    bool is_cut;
    uint8_t old[]; /* bytes of [pos, pos + len) that lay below old_size; the rest is zero */
};

struct inode {
    uint32_t refs;
    uint32_t users; /* names and handles: without them it takes no space, but may come back */
    uint8_t *bytes;
    uint64_t size;
    uint64_t cap;
    struct undo **undos; /* since the last sync, oldest first */
    size_t undo_count;
};

/* A name as it is now. */
struct name {
    char *path;
    struct inode *inode; /* NULL: a directory */
    UT_hash_handle hh;
};

/* An unsynced change of names; knows how to go back. */
struct change {
    char *dir;
    char *path;
    char *from;           /* rename: the old name */
    struct inode *before; /* what `path` was */
    bool had_before;      /* there was something at `path` (a directory if before is NULL) */
    struct inode *now;    /* what was put there */
    bool is_dir;
};

struct mem_fs {
    struct name *names;
    struct change **changes;
    size_t change_count;
    uint64_t used;
    uint64_t capacity;
    struct prng prng;
};

#define SECTOR 512u

/* ---- inodes ---------------------------------------------------------------------------------- */

static struct inode *inode_ref(struct inode *inode)
{
    if (inode != NULL) {
        inode->refs++;
    }
    return inode;
}

static void undos_drop(struct inode *inode)
{
    for (size_t i = 0; i < inode->undo_count; i++) {
        free(inode->undos[i]);
    }
    free(inode->undos);
    inode->undos = NULL;
    inode->undo_count = 0;
}

static void inode_unref(struct inode *inode)
{
    if (inode != NULL && --inode->refs == 0) {
        CHECK(inode->users == 0);
        undos_drop(inode);
        free(inode->bytes);
        free(inode);
    }
}

static struct inode *inode_use(struct mem_fs *fs, struct inode *inode)
{
    if (inode != NULL && inode->users++ == 0) {
        fs->used += inode->size;
    }
    return inode_ref(inode);
}

static void inode_unuse(struct mem_fs *fs, struct inode *inode)
{
    if (inode != NULL && --inode->users == 0) {
        fs->used -= inode->size;
    }
    inode_unref(inode);
}

static void inode_resize(struct mem_fs *fs, struct inode *inode, uint64_t size)
{
    if (size > inode->cap) {
        uint64_t cap = inode->cap > 0 ? inode->cap : 1024;
        while (cap < size) {
            cap *= 2;
        }
        inode->bytes = mem_grow(inode->bytes, cap, 1);
        memset(inode->bytes + inode->cap, 0, cap - inode->cap);
        inode->cap = cap;
    }
    if (size < inode->size) {
        memset(inode->bytes + size, 0, inode->size - size);
    }
    if (inode->users > 0) {
        fs->used = fs->used - inode->size + size;
    }
    inode->size = size;
}

static void undo_push(struct inode *inode, uint64_t pos, size_t len, bool is_cut)
{
    struct undo *undo = mem_new(sizeof *undo + len);
    uint64_t there = pos < inode->size ? inode->size - pos : 0;

    undo->pos = pos;
    undo->len = len;
    undo->old_size = inode->size;
    undo->is_cut = is_cut;
    if (there > 0) {
        memcpy(undo->old, inode->bytes + pos, there < len ? there : len);
    }
    if ((inode->undo_count & (inode->undo_count - 1)) == 0) {
        size_t cap = inode->undo_count > 0 ? inode->undo_count * 2 : 1;
        inode->undos = mem_grow(inode->undos, cap, sizeof(struct undo *));
    }
    inode->undos[inode->undo_count++] = undo;
}

static int inode_write(struct mem_fs *fs, struct inode *inode, uint64_t pos, struct slice bytes)
{
    uint64_t end = pos + bytes.len;

    if (end > inode->size && fs->used + (end - inode->size) > fs->capacity) {
        return TERN_ENOSPC;
    }
    undo_push(inode, pos, bytes.len, false);
    if (end > inode->size) {
        inode_resize(fs, inode, end);
    }
    memcpy(inode->bytes + pos, bytes.base, bytes.len);
    return 0;
}

static void inode_cut(struct mem_fs *fs, struct inode *inode, uint64_t size)
{
    uint64_t gone = size < inode->size ? inode->size - size : 0;

    undo_push(inode, size, (size_t)gone, true);
    inode_resize(fs, inode, size);
}

/* How much of one unsynced write survives. */
enum fate { FATE_LOST, FATE_KEPT, FATE_TORN };

/* Which sectors of a torn write survive: devices persist them in any order. */
struct tear {
    uint64_t kind; /* 0: each by chance; 1: the first ones; 2: the last ones; 3: all but one */
    uint64_t at;
};

static struct tear tear_draw(struct prng *prng, const struct undo *undo)
{
    uint64_t sectors = undo->len / SECTOR + 1;

    return (struct tear){prng_below(prng, 4), undo->pos / SECTOR + prng_below(prng, sectors)};
}

static bool tear_keeps(const struct tear *tear, struct prng *prng, uint64_t sector)
{
    switch (tear->kind) {
    case 0:
        return prng_chance(prng, 1, 2);
    case 1:
        return sector < tear->at;
    case 2:
        return sector >= tear->at;
    default:
        return sector != tear->at;
    }
}

/* Takes back unsynced writes, latest first. A sector that a later write kept stays as it is. */
static void inode_crash(struct mem_fs *fs, struct inode *inode)
{
    uint64_t top = inode->size;

    for (size_t i = 0; i < inode->undo_count; i++) {
        uint64_t end = inode->undos[i]->pos + inode->undos[i]->len;
        top = inode->undos[i]->old_size > top ? inode->undos[i]->old_size : top;
        top = end > top ? end : top;
    }
    size_t sectors = (size_t)(top / SECTOR + 1);
    bool *settled = mem_new(sectors);
    uint64_t size = inode->size;
    enum fate all = (enum fate)prng_below(&fs->prng, 3);

    for (size_t i = inode->undo_count; i-- > 0;) {
        const struct undo *undo = inode->undos[i];
        enum fate fate = all == FATE_TORN ? (enum fate)prng_below(&fs->prng, 3) : all;
        struct tear tear = tear_draw(&fs->prng, undo);
        bool any_kept = false;
        if (undo->is_cut) {
            fate = fate == FATE_TORN ? FATE_LOST : fate;
        }
        if (undo->old_size > inode->size) {
            inode_resize(fs, inode, undo->old_size);
        }
        for (uint64_t at = undo->pos; at < undo->pos + undo->len;) {
            uint64_t next = (at / SECTOR + 1) * SECTOR;
            next = next < undo->pos + undo->len ? next : undo->pos + undo->len;
            bool kept = fate == FATE_KEPT ||
                        (fate == FATE_TORN && tear_keeps(&tear, &fs->prng, at / SECTOR));
            if (kept) {
                settled[at / SECTOR] = true;
                any_kept = true;
                /* A cut that happened leaves nothing there, whatever lay there before. */
            } else if (!settled[at / SECTOR]) {
                if (next > inode->size) {
                    inode_resize(fs, inode, next);
                }
                memcpy(inode->bytes + at, undo->old + (at - undo->pos), (size_t)(next - at));
            }
            at = next;
        }
        /* The size goes with the write, except that a lost one may leave it too. */
        if (undo->is_cut ? fate == FATE_LOST : !any_kept && prng_chance(&fs->prng, 1, 2)) {
            size = undo->old_size;
        }
    }
    inode_resize(fs, inode, size);
    free(settled);
    undos_drop(inode);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct name *name_find(const struct mem_fs *fs, const char *path)
{
    struct name *name = NULL;

    HASH_FIND_STR(fs->names, path, name);
    return name;
}

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = mem_string(path);

    dir[slash != NULL ? slash - path : 0] = '\0';
    return dir;
}

static bool dir_exists(const struct mem_fs *fs, const char *dir)
{
    struct name *name = dir[0] != '\0' ? name_find(fs, dir) : NULL;

    return dir[0] == '\0' || (name != NULL && name->inode == NULL);
}

static void name_set(struct mem_fs *fs, const char *path, struct inode *inode)
{
    struct name *name = name_find(fs, path);

    (void)inode_use(fs, inode);
    if (name == NULL) {
        name = mem_new(sizeof *name);
        name->path = mem_string(path);
        HASH_ADD_KEYPTR(hh, fs->names, name->path, strlen(name->path), name);
    } else {
        inode_unuse(fs, name->inode);
    }
    name->inode = inode;
}

static void name_drop(struct mem_fs *fs, const char *path)
{
    struct name *name = name_find(fs, path);

    if (name != NULL) {
        HASH_DELETE(hh, fs->names, name);
        inode_unuse(fs, name->inode);
        free(name->path);
        free(name);
    }
}

static struct change *change_push(struct mem_fs *fs, const char *path)
{
    struct change *change = mem_new(sizeof *change);
    struct name *name = name_find(fs, path);

    change->dir = dir_of(path);
    change->path = mem_string(path);
    change->had_before = name != NULL;
    change->before = name != NULL ? inode_ref(name->inode) : NULL;
    if ((fs->change_count & (fs->change_count - 1)) == 0) {
        size_t cap = fs->change_count > 0 ? fs->change_count * 2 : 1;
        fs->changes = mem_grow(fs->changes, cap, sizeof(struct change *));
    }
    fs->changes[fs->change_count++] = change;
    return change;
}

static void change_free(struct change *change)
{
    inode_unref(change->before);
    inode_unref(change->now);
    free(change->dir);
    free(change->path);
    free(change->from);
    free(change);
}

/* A directory that never was takes along what was in it. */
static void drop_below(struct mem_fs *fs, const char *dir)
{
    struct name *name = NULL;
    struct name *next = NULL;
    size_t len = strlen(dir);

    HASH_ITER (hh, fs->names, name, next) {
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/') {
            name_drop(fs, name->path);
        }
    }
}

static void change_undo(struct mem_fs *fs, const struct change *change)
{
    if (change->is_dir && !change->had_before) {
        drop_below(fs, change->path);
    }
    if (change->from != NULL) {
        name_set(fs, change->from, change->now);
    }
    if (change->had_before) {
        name_set(fs, change->path, change->before);
    } else {
        name_drop(fs, change->path);
    }
}

/* Of each directory's unsynced changes some first ones happened. */
static void names_crash(struct mem_fs *fs)
{
    while (fs->change_count > 0) {
        char *dir = mem_string(fs->changes[fs->change_count - 1]->dir);
        enum fate fate = (enum fate)prng_below(&fs->prng, 3);
        size_t kept = 0;
        bool going_back = fate != FATE_KEPT;
        for (size_t i = fs->change_count; i-- > 0;) {
            struct change *change = fs->changes[i];
            if (strcmp(change->dir, dir) != 0) {
                continue;
            }
            going_back = going_back && (fate == FATE_LOST || prng_chance(&fs->prng, 3, 4));
            if (going_back) {
                change_undo(fs, change);
            }
            change_free(change);
            fs->changes[i] = NULL;
        }
        for (size_t i = 0; i < fs->change_count; i++) {
            if (fs->changes[i] != NULL) {
                fs->changes[kept++] = fs->changes[i];
            }
        }
        fs->change_count = kept;
        free(dir);
    }
    free(fs->changes);
    fs->changes = NULL;
}

static bool dir_empty(const struct mem_fs *fs, const char *dir)
{
    struct name *name = NULL;
    struct name *next = NULL;
    size_t len = strlen(dir);

    HASH_ITER (hh, fs->names, name, next) {
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/') {
            return false;
        }
    }
    return true;
}

/* The directory's changes are durable. */
static void changes_drop(struct mem_fs *fs, const char *dir)
{
    size_t kept = 0;
    size_t cap = 1;

    for (size_t i = 0; i < fs->change_count; i++) {
        struct change *change = fs->changes[i];
        if (strcmp(change->dir, dir) == 0) {
            change_free(change);
        } else {
            fs->changes[kept++] = change;
        }
    }
    /* Room for a power of two, as change_push expects. */
    while (cap < kept) {
        cap *= 2;
    }
    fs->changes = mem_grow(fs->changes, cap, sizeof(struct change *));
    fs->change_count = kept;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void mem_fs_crash(struct mem_fs *fs)
{
    struct name *name = NULL;
    struct name *next = NULL;

    names_crash(fs);
    HASH_ITER (hh, fs->names, name, next) {
        if (name->inode != NULL) {
            inode_crash(fs, name->inode);
        }
    }
}

static void mem_fs_fini(struct mem_fs *fs)
{
    struct name *name = NULL;
    struct name *next = NULL;

    for (size_t i = 0; i < fs->change_count; i++) {
        change_free(fs->changes[i]);
    }
    free(fs->changes);
    HASH_ITER (hh, fs->names, name, next) {
        name_drop(fs, name->path);
    }
}

/* ---- copies ---------------------------------------------------------------------------------- */

struct pair {
    const struct inode *from;
    struct inode *to;
    UT_hash_handle hh;
};

static struct inode *inode_copy(struct mem_fs *fs, struct pair **pairs, struct inode *from)
{
    struct pair *pair = NULL;

    if (from == NULL) {
        return NULL;
    }
    HASH_FIND_PTR(*pairs, &from, pair);
    if (pair == NULL) {
        pair = mem_new(sizeof *pair);
        pair->from = from;
        pair->to = mem_new(sizeof *pair->to);
        HASH_ADD_PTR(*pairs, from, pair);
        inode_resize(fs, pair->to, from->size);
        if (from->size > 0) {
            memcpy(pair->to->bytes, from->bytes, from->size);
        }
        pair->to->undo_count = from->undo_count;
        size_t cap = 1;
        while (cap < from->undo_count) {
            cap *= 2;
        }
        pair->to->undos = mem_grow(NULL, cap, sizeof(struct undo *));
        for (size_t i = 0; i < from->undo_count; i++) {
            size_t size = sizeof(struct undo) + from->undos[i]->len;
            pair->to->undos[i] = mem_new(size);
            memcpy(pair->to->undos[i], from->undos[i], size);
        }
    }
    return inode_ref(pair->to);
}

static void mem_fs_copy(struct mem_fs *to, const struct mem_fs *from)
{
    struct pair *pairs = NULL;
    struct pair *pair = NULL;
    struct pair *next_pair = NULL;
    struct name *name = NULL;
    struct name *next = NULL;

    to->capacity = from->capacity;
    HASH_ITER (hh, from->names, name, next) {
        struct inode *inode = inode_copy(to, &pairs, name->inode);
        name_set(to, name->path, inode);
        inode_unref(inode);
    }
    for (size_t i = 0; i < from->change_count; i++) {
        const struct change *old = from->changes[i];
        struct change *change = change_push(to, old->path);
        inode_unref(change->before);
        change->had_before = old->had_before;
        change->before = inode_copy(to, &pairs, old->before);
        change->now = inode_copy(to, &pairs, old->now);
        change->from = old->from != NULL ? mem_string(old->from) : NULL;
        change->is_dir = old->is_dir;
    }
    HASH_ITER (hh, pairs, pair, next_pair) {
        HASH_DELETE(hh, pairs, pair);
        free(pair);
    }
}
