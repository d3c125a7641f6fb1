/* SPDX-License-Identifier: Apache-2.0 */
#include "jepsen/disk/forget_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* One end of a change: a name in a directory. */
struct place {
    struct inode *dir; /* NULL: none */
    char name[FORGET_NAME_MAX + 1];
};

/* `inode` leaves `from` and appears at `to`; either may be missing. */
struct change {
    struct link link;
    struct place from;
    struct place to;
    struct inode *inode;
    bool marked;
};

/* ---- inodes ---------------------------------------------------------------------------------- */

static void object_name(const struct inode *inode, char out[32])
{
    (void)snprintf(out, 32, "%" PRIu64, inode->id);
}

void forget_fs_hold(struct inode *inode)
{
    inode->refs++;
}

static void inode_free(struct forget_fs *fs, struct inode *inode)
{
    char name[32];

    CHECK(inode->now == NULL);
    CHECK(inode->durable == NULL);
    if (S_ISREG(inode->mode)) {
        forget_data_fini(&inode->data);
        object_name(inode, name);
        (void)unlinkat(fs->backing, name, 0);
    }
    HASH_DEL(fs->inodes, inode);
    free(inode);
}

static void table_clear(struct forget_fs *fs, struct entry **table);

void forget_fs_release(struct forget_fs *fs, struct inode *inode)
{
    CHECK(inode->refs > 0);
    if (--inode->refs == 0) {
        /* Nobody can name it: what is in its tables hangs in the air. */
        inode->refs = 1;
        table_clear(fs, &inode->now);
        table_clear(fs, &inode->durable);
        inode_free(fs, inode);
    }
}

static int inode_new(struct forget_fs *fs, mode_t mode, struct inode **out)
{
    struct inode *inode = mem_new(sizeof *inode);
    char name[32];

    inode->id = fs->next_id++;
    inode->mode = mode;
    inode->data.fd = -1;
    (void)clock_gettime(CLOCK_REALTIME, &inode->mtime);
    if (S_ISREG(mode)) {
        object_name(inode, name);
        inode->data.fd = openat(fs->backing, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (inode->data.fd < 0) {
            free(inode);
            return errno;
        }
    }
    HASH_ADD(hh, fs->inodes, id, sizeof inode->id, inode);
    *out = inode;
    return 0;
}

struct inode *forget_fs_inode(struct forget_fs *fs, uint64_t id)
{
    struct inode *inode = NULL;

    HASH_FIND(hh, fs->inodes, &id, sizeof id, inode);
    return inode != NULL && !inode->lost ? inode : NULL;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static struct entry *table_find(struct entry *table, const char *name)
{
    struct entry *entry = NULL;

    HASH_FIND_STR(table, name, entry);
    return entry;
}

static void table_drop(struct forget_fs *fs, struct entry **table, struct entry *entry)
{
    HASH_DEL(*table, entry);
    forget_fs_release(fs, entry->inode);
    free(entry->name);
    free(entry);
}

static void table_clear(struct forget_fs *fs, struct entry **table)
{
    struct entry *entry = NULL;
    struct entry *next = NULL;

    HASH_ITER (hh, *table, entry, next) {
        table_drop(fs, table, entry);
    }
}

static void table_set(struct forget_fs *fs, struct entry **table, const char *name,
                      struct inode *inode)
{
    struct entry *old = table_find(*table, name);
    struct entry *entry = mem_new(sizeof *entry);

    forget_fs_hold(inode);
    if (old != NULL) {
        table_drop(fs, table, old);
    }
    entry->name = mem_string(name);
    entry->inode = inode;
    entry->cookie = fs->next_cookie++;
    HASH_ADD_KEYPTR(hh, *table, entry->name, strlen(entry->name), entry);
}

static void table_unset(struct forget_fs *fs, struct entry **table, const char *name,
                        const struct inode *inode)
{
    struct entry *entry = table_find(*table, name);

    if (entry != NULL && entry->inode == inode) {
        table_drop(fs, table, entry);
    }
}

/* ---- changes --------------------------------------------------------------------------------- */

static void place_set(struct place *place, struct inode *dir, const char *name)
{
    place->dir = dir;
    if (dir != NULL) {
        forget_fs_hold(dir);
        (void)snprintf(place->name, sizeof place->name, "%s", name);
    }
}

static void change_push(struct forget_fs *fs, struct inode *from, const char *old, struct inode *to,
                        const char *name, struct inode *inode)
{
    struct change *change = mem_new(sizeof *change);

    place_set(&change->from, from, old);
    place_set(&change->to, to, name);
    change->inode = inode;
    forget_fs_hold(inode);
    queue_push(&fs->changes, &change->link);
}

static void change_free(struct forget_fs *fs, struct change *change)
{
    link_remove(&change->link);
    if (change->from.dir != NULL) {
        forget_fs_release(fs, change->from.dir);
    }
    if (change->to.dir != NULL) {
        forget_fs_release(fs, change->to.dir);
    }
    forget_fs_release(fs, change->inode);
    free(change);
}

/* The change becomes durable. */
static void change_settle(struct forget_fs *fs, struct change *change)
{
    if (change->from.dir != NULL) {
        table_unset(fs, &change->from.dir->durable, change->from.name, change->inode);
    }
    if (change->to.dir != NULL) {
        table_set(fs, &change->to.dir->durable, change->to.name, change->inode);
    }
    change_free(fs, change);
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->dir != NULL && a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

/* The later one builds upon the earlier one. */
static bool builds_upon(const struct change *later, const struct change *earlier)
{
    return same_place(&later->from, &earlier->from) || same_place(&later->from, &earlier->to) ||
           same_place(&later->to, &earlier->from) || same_place(&later->to, &earlier->to);
}

static struct change *change_at(struct link *link)
{
    return CONTAINER_OF(link, struct change, link);
}

void forget_fs_sync_dir(struct forget_fs *fs, const struct inode *dir)
{
    for (struct link *at = fs->changes.prev; at != &fs->changes; at = at->prev) {
        struct change *change = change_at(at);
        change->marked = change->from.dir == dir || change->to.dir == dir;
        for (struct link *later = at->next; later != &fs->changes && !change->marked;
             later = later->next) {
            change->marked = change_at(later)->marked && builds_upon(change_at(later), change);
        }
    }
    QUEUE_EACH (at, &fs->changes) {
        if (change_at(at)->marked) {
            change_settle(fs, change_at(at));
        }
    }
}

/* ---- what programs do ------------------------------------------------------------------------ */

void forget_fs_init(struct forget_fs *fs, int backing, uid_t uid, gid_t gid)
{
    struct inode *root = NULL;

    memset(fs, 0, sizeof *fs);
    fs->backing = backing;
    fs->next_id = FORGET_ROOT;
    fs->next_cookie = 16;
    queue_init(&fs->changes);
    CHECK(inode_new(fs, S_IFDIR | 0755, &root) == 0);
    root->uid = uid;
    root->gid = gid;
    forget_fs_hold(root);
}

struct inode *forget_fs_lookup(struct inode *dir, const char *name)
{
    struct entry *entry = table_find(dir->now, name);

    return entry != NULL ? entry->inode : NULL;
}

static int check_name(const struct inode *dir, const char *name)
{
    size_t len = strlen(name);

    if (!S_ISDIR(dir->mode)) {
        return ENOTDIR;
    }
    return len == 0 ? ENOENT : len > FORGET_NAME_MAX ? ENAMETOOLONG : 0;
}

int forget_fs_create(struct forget_fs *fs, struct inode *dir, const char *name, mode_t mode,
                     uid_t uid, gid_t gid, struct inode **out)
{
    struct inode *inode = NULL;
    int error = check_name(dir, name);

    if (error == 0 && forget_fs_lookup(dir, name) != NULL) {
        error = EEXIST;
    }
    if (error == 0) {
        error = inode_new(fs, mode, &inode);
    }
    if (error != 0) {
        return error;
    }
    inode->uid = uid;
    inode->gid = gid;
    table_set(fs, &dir->now, name, inode);
    change_push(fs, NULL, NULL, dir, name, inode);
    *out = inode;
    return 0;
}

int forget_fs_remove(struct forget_fs *fs, struct inode *dir, const char *name, bool want_dir)
{
    struct inode *inode = forget_fs_lookup(dir, name);

    if (inode == NULL) {
        return ENOENT;
    }
    if (S_ISDIR(inode->mode) != want_dir) {
        return want_dir ? ENOTDIR : EISDIR;
    }
    if (want_dir && inode->now != NULL) {
        return ENOTEMPTY;
    }
    change_push(fs, dir, name, NULL, NULL, inode);
    table_unset(fs, &dir->now, name, inode);
    return 0;
}

int forget_fs_rename(struct forget_fs *fs, struct inode *from, const char *old, struct inode *to,
                     const char *name, bool replace)
{
    struct inode *inode = forget_fs_lookup(from, old);
    const struct inode *there = forget_fs_lookup(to, name);
    int error = check_name(to, name);

    if (inode == NULL) {
        return ENOENT;
    }
    if (error != 0 || inode == there) {
        return error;
    }
    if (there != NULL && !replace) {
        return EEXIST;
    }
    if (there != NULL && S_ISDIR(there->mode) != S_ISDIR(inode->mode)) {
        return S_ISDIR(there->mode) ? EISDIR : ENOTDIR;
    }
    if (there != NULL && there->now != NULL) {
        return ENOTEMPTY;
    }
    change_push(fs, from, old, to, name, inode);
    table_unset(fs, &from->now, old, inode);
    table_set(fs, &to->now, name, inode);
    return 0;
}

void forget_fs_unsynced(const struct forget_fs *fs, uint64_t *out_pieces, uint64_t *out_names)
{
    uint64_t pieces = 0;
    uint64_t names = 0;

    for (const struct inode *inode = fs->inodes; inode != NULL; inode = inode->hh.next) {
        for (const struct page *page = inode->data.pages; page != NULL; page = page->hh.next) {
            pieces += (unsigned)__builtin_popcount(page->dirty);
        }
    }
    for (const struct link *at = fs->changes.next; at != &fs->changes; at = at->next) {
        names++;
    }
    *out_pieces = pieces;
    *out_names = names;
}

/* ---- power failure --------------------------------------------------------------------------- */

/* Decides which changes survive: marked. */
static void draw_names(struct forget_fs *fs, struct prng *prng, bool any)
{
    uint64_t fate = prng != NULL ? prng_below(prng, 3) : 0; /* nothing, everything, some */
    bool going = true;

    QUEUE_EACH (at, &fs->changes) {
        struct change *change = change_at(at);
        change->marked = fate == 1 || (fate == 2 && prng_chance(prng, any ? 1 : 3, any ? 2 : 4));
        for (struct link *earlier = fs->changes.next; earlier != at && change->marked && any;
             earlier = earlier->next) {
            change->marked = change_at(earlier)->marked || !builds_upon(change, change_at(earlier));
        }
        going = going && change->marked;
        change->marked = any ? change->marked : going;
    }
}

static void mark_reachable(struct inode *dir)
{
    dir->lost = false;
    for (struct entry *entry = dir->durable; entry != NULL; entry = entry->hh.next) {
        entry->inode->lost = false;
        if (S_ISDIR(entry->inode->mode)) {
            mark_reachable(entry->inode);
        }
    }
}

/* From the disk alone: what no durable name leads to is gone, and the rest is as durable. */
static void restart(struct forget_fs *fs)
{
    struct inode *root = forget_fs_inode(fs, FORGET_ROOT);
    struct inode *inode = NULL;
    struct inode *next = NULL;

    for (inode = fs->inodes; inode != NULL; inode = inode->hh.next) {
        inode->lost = true;
        forget_fs_hold(inode); /* the loops below free nothing under our feet */
    }
    mark_reachable(root);
    for (inode = fs->inodes; inode != NULL; inode = inode->hh.next) {
        table_clear(fs, &inode->now);
        if (inode->lost) {
            table_clear(fs, &inode->durable);
        }
        for (struct entry *entry = inode->durable; entry != NULL; entry = entry->hh.next) {
            table_set(fs, &inode->now, entry->name, entry->inode);
        }
    }
    HASH_ITER (hh, fs->inodes, inode, next) {
        forget_fs_release(fs, inode);
    }
}

int forget_fs_forget(struct forget_fs *fs, struct prng *prng, bool any, struct forget_sum *sum)
{
    int error = 0;

    draw_names(fs, prng, any);
    QUEUE_EACH (at, &fs->changes) {
        if (change_at(at)->marked) {
            sum->names_kept++;
            change_settle(fs, change_at(at));
        } else {
            sum->names_lost++;
            change_free(fs, change_at(at));
        }
    }
    for (struct inode *inode = fs->inodes; inode != NULL; inode = inode->hh.next) {
        if (S_ISREG(inode->mode)) {
            int status = forget_data_forget(&inode->data, prng, sum);
            error = error == 0 ? status : error;
        }
    }
    restart(fs);
    return error;
}
