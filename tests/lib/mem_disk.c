/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/mem_disk.h"

#include <stdio.h>
#include <uthash.h>

#include "base/blob.h"
#include "base/queue.h"

#define SECTOR        512u
#define FREE_NO_LIMIT ((uint64_t)1 << 40)

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

struct disk_file {
    struct inode *inode;
    char *dir; /* of a directory's handle, which can only be synced; else NULL */
    uint64_t life;
};

struct flying {
    struct link link;
    struct disk_op *op;
    uint64_t at_us;
};

struct mem_disk {
    struct disk disk;
    struct clock *clock;
    struct timer timer;
    struct prng prng;
    uint64_t min_us;
    uint64_t max_us;
    struct name *names;
    struct change **changes;
    size_t change_count;
    struct link flying; /* in order of submission */
    unsigned flying_count;
    uint64_t life; /* raised by crash and kill: older handles are dead */
    uint64_t used;
    uint64_t capacity;
    uint64_t points;
    uint64_t stop_at;
    bool stopped;
    bool fail_write;
    bool fail_sync;
    void (*visit)(void *ctx);
    void *visit_ctx;
};

static struct mem_disk *mem_of(const struct disk *disk)
{
    union {
        const struct disk *in;
        struct mem_disk *out; /* disk is its first member */
    } at = {.in = disk};
    return at.out;
}

/* False: the disk has stopped (here or before), the write must not happen. */
static bool point(struct mem_disk *mem)
{
    if (mem->stopped) {
        return false;
    }
    mem->points++;
    if (mem->visit != NULL) {
        mem->visit(mem->visit_ctx);
    }
    if (mem->stop_at != 0 && mem->points >= mem->stop_at) {
        mem->stopped = true;
        return false;
    }
    return true;
}

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

static struct inode *inode_use(struct mem_disk *mem, struct inode *inode)
{
    if (inode != NULL && inode->users++ == 0) {
        mem->used += inode->size;
    }
    return inode_ref(inode);
}

static void inode_unuse(struct mem_disk *mem, struct inode *inode)
{
    if (inode != NULL && --inode->users == 0) {
        mem->used -= inode->size;
    }
    inode_unref(inode);
}

static void inode_resize(struct mem_disk *mem, struct inode *inode, uint64_t size)
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
        mem->used = mem->used - inode->size + size;
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

static int inode_write(struct mem_disk *mem, struct inode *inode, uint64_t pos, struct slice bytes)
{
    uint64_t end = pos + bytes.len;

    if (end > inode->size && mem->used + (end - inode->size) > mem->capacity) {
        return TERN_ENOSPC;
    }
    undo_push(inode, pos, bytes.len, false);
    if (end > inode->size) {
        inode_resize(mem, inode, end);
    }
    memcpy(inode->bytes + pos, bytes.base, bytes.len);
    return 0;
}

static void inode_cut(struct mem_disk *mem, struct inode *inode, uint64_t size)
{
    uint64_t gone = size < inode->size ? inode->size - size : 0;

    undo_push(inode, size, (size_t)gone, true);
    inode_resize(mem, inode, size);
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
static void inode_crash(struct mem_disk *mem, struct inode *inode)
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
    enum fate all = (enum fate)prng_below(&mem->prng, 3);

    for (size_t i = inode->undo_count; i-- > 0;) {
        const struct undo *undo = inode->undos[i];
        enum fate fate = all == FATE_TORN ? (enum fate)prng_below(&mem->prng, 3) : all;
        struct tear tear = tear_draw(&mem->prng, undo);
        bool any_kept = false;
        if (undo->is_cut) {
            fate = fate == FATE_TORN ? FATE_LOST : fate;
        }
        if (undo->old_size > inode->size) {
            inode_resize(mem, inode, undo->old_size);
        }
        for (uint64_t at = undo->pos; at < undo->pos + undo->len;) {
            uint64_t next = (at / SECTOR + 1) * SECTOR;
            next = next < undo->pos + undo->len ? next : undo->pos + undo->len;
            bool kept = fate == FATE_KEPT ||
                        (fate == FATE_TORN && tear_keeps(&tear, &mem->prng, at / SECTOR));
            if (kept) {
                settled[at / SECTOR] = true;
                any_kept = true;
                /* A cut that happened leaves nothing there, whatever lay there before. */
            } else if (!settled[at / SECTOR]) {
                if (next > inode->size) {
                    inode_resize(mem, inode, next);
                }
                memcpy(inode->bytes + at, undo->old + (at - undo->pos), (size_t)(next - at));
            }
            at = next;
        }
        /* The size goes with the write, except that a lost one may leave it too. */
        if (undo->is_cut ? fate == FATE_LOST : !any_kept && prng_chance(&mem->prng, 1, 2)) {
            size = undo->old_size;
        }
    }
    inode_resize(mem, inode, size);
    free(settled);
    undos_drop(inode);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct name *name_find(const struct mem_disk *mem, const char *path)
{
    struct name *name = NULL;

    HASH_FIND_STR(mem->names, path, name);
    return name;
}

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = mem_string(path);

    dir[slash != NULL ? slash - path : 0] = '\0';
    return dir;
}

static bool dir_exists(const struct mem_disk *mem, const char *dir)
{
    struct name *name = dir[0] != '\0' ? name_find(mem, dir) : NULL;

    return dir[0] == '\0' || (name != NULL && name->inode == NULL);
}

static void name_set(struct mem_disk *mem, const char *path, struct inode *inode)
{
    struct name *name = name_find(mem, path);

    (void)inode_use(mem, inode);
    if (name == NULL) {
        name = mem_new(sizeof *name);
        name->path = mem_string(path);
        HASH_ADD_KEYPTR(hh, mem->names, name->path, strlen(name->path), name);
    } else {
        inode_unuse(mem, name->inode);
    }
    name->inode = inode;
}

static void name_drop(struct mem_disk *mem, const char *path)
{
    struct name *name = name_find(mem, path);

    if (name != NULL) {
        HASH_DELETE(hh, mem->names, name);
        inode_unuse(mem, name->inode);
        free(name->path);
        free(name);
    }
}

static struct change *change_push(struct mem_disk *mem, const char *path)
{
    struct change *change = mem_new(sizeof *change);
    struct name *name = name_find(mem, path);

    change->dir = dir_of(path);
    change->path = mem_string(path);
    change->had_before = name != NULL;
    change->before = name != NULL ? inode_ref(name->inode) : NULL;
    if ((mem->change_count & (mem->change_count - 1)) == 0) {
        size_t cap = mem->change_count > 0 ? mem->change_count * 2 : 1;
        mem->changes = mem_grow(mem->changes, cap, sizeof(struct change *));
    }
    mem->changes[mem->change_count++] = change;
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
static void drop_below(struct mem_disk *mem, const char *dir)
{
    struct name *name = NULL;
    struct name *next = NULL;
    size_t len = strlen(dir);

    HASH_ITER (hh, mem->names, name, next) {
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/') {
            name_drop(mem, name->path);
        }
    }
}

static void change_undo(struct mem_disk *mem, const struct change *change)
{
    if (change->is_dir && !change->had_before) {
        drop_below(mem, change->path);
    }
    if (change->from != NULL) {
        name_set(mem, change->from, change->now);
    }
    if (change->had_before) {
        name_set(mem, change->path, change->before);
    } else {
        name_drop(mem, change->path);
    }
}

/* Of each directory's unsynced changes some first ones happened. */
static void names_crash(struct mem_disk *mem)
{
    while (mem->change_count > 0) {
        char *dir = mem_string(mem->changes[mem->change_count - 1]->dir);
        enum fate fate = (enum fate)prng_below(&mem->prng, 3);
        size_t kept = 0;
        bool going_back = fate != FATE_KEPT;
        for (size_t i = mem->change_count; i-- > 0;) {
            struct change *change = mem->changes[i];
            if (strcmp(change->dir, dir) != 0) {
                continue;
            }
            going_back = going_back && (fate == FATE_LOST || prng_chance(&mem->prng, 3, 4));
            if (going_back) {
                change_undo(mem, change);
            }
            change_free(change);
            mem->changes[i] = NULL;
        }
        for (size_t i = 0; i < mem->change_count; i++) {
            if (mem->changes[i] != NULL) {
                mem->changes[kept++] = mem->changes[i];
            }
        }
        mem->change_count = kept;
        free(dir);
    }
    free(mem->changes);
    mem->changes = NULL;
}

/* ---- synchronous calls ----------------------------------------------------------------------- */

static bool dead(const struct mem_disk *mem, const struct disk_file *file)
{
    return file->life != mem->life || mem->stopped;
}

static int sync_open(struct disk *disk, const char *path, bool create, struct disk_file **out_file)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(mem, path);

    if (mem->stopped) {
        return TERN_EIO;
    }
    if (dir_exists(mem, path)) {
        if (create) {
            return TERN_EIO;
        }
        *out_file = mem_new(sizeof **out_file);
        (*out_file)->dir = mem_string(path);
        (*out_file)->life = mem->life;
        return 0;
    }
    if (name == NULL) {
        char *dir = dir_of(path);
        bool there = dir_exists(mem, dir);
        free(dir);
        if (!create || !there) {
            return TERN_ENOENT;
        }
        if (!point(mem)) {
            return TERN_EIO;
        }
        struct change *change = change_push(mem, path);
        change->now = mem_new(sizeof *change->now);
        change->now->refs = 1;
        name_set(mem, path, change->now);
        name = name_find(mem, path);
    }
    struct disk_file *file = mem_new(sizeof *file);
    file->inode = inode_use(mem, name->inode);
    file->life = mem->life;
    *out_file = file;
    return 0;
}

static void sync_close(struct disk *disk, struct disk_file *file)
{
    inode_unuse(mem_of(disk), file->inode);
    free(file->dir);
    free(file);
}

static int sync_size(struct disk *disk, struct disk_file *file, uint64_t *out_size)
{
    if (dead(mem_of(disk), file)) {
        return TERN_EIO;
    }
    *out_size = file->inode->size;
    return 0;
}

static int64_t sync_read(struct disk *disk, struct disk_file *file, uint64_t pos, uint8_t *into,
                         size_t len)
{
    const struct inode *inode = file->inode;

    if (dead(mem_of(disk), file)) {
        return TERN_EIO;
    }
    if (pos >= inode->size) {
        return 0;
    }
    len = len < inode->size - pos ? len : (size_t)(inode->size - pos);
    memcpy(into, inode->bytes + pos, len);
    return (int64_t)len;
}

static int sync_write(struct disk *disk, struct disk_file *file, uint64_t pos, struct slice bytes)
{
    struct mem_disk *mem = mem_of(disk);

    if (dead(mem, file) || !point(mem)) {
        return TERN_EIO;
    }
    if (mem->fail_write) {
        mem->fail_write = false;
        return TERN_EIO;
    }
    return bytes.len > 0 ? inode_write(mem, file->inode, pos, bytes) : 0;
}

static int sync_truncate(struct disk *disk, struct disk_file *file, uint64_t size)
{
    struct mem_disk *mem = mem_of(disk);

    if (dead(mem, file) || !point(mem)) {
        return TERN_EIO;
    }
    if (size > file->inode->size && mem->used + (size - file->inode->size) > mem->capacity) {
        return TERN_ENOSPC;
    }
    inode_cut(mem, file->inode, size);
    return 0;
}

static int sync_preallocate(struct disk *disk, struct disk_file *file, uint64_t size)
{
    uint64_t at = file->inode->size;
    int status = 0;

    if (size > at) {
        uint8_t *zeros = mem_new((size_t)(size - at));
        status = sync_write(disk, file, at, slice_of(zeros, (size_t)(size - at)));
        free(zeros);
    }
    return status;
}

static int sync_stat(struct disk *disk, const char *path, struct disk_stat *out_stat)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(mem, path);

    if (mem->stopped) {
        return TERN_EIO;
    }
    if (name == NULL && path[0] != '\0') {
        return TERN_ENOENT;
    }
    out_stat->is_dir = name == NULL || name->inode == NULL;
    out_stat->size = out_stat->is_dir ? 0 : name->inode->size;
    return 0;
}

static int sync_mkdir(struct disk *disk, const char *path)
{
    struct mem_disk *mem = mem_of(disk);

    if (mem->stopped) {
        return TERN_EIO;
    }
    if (name_find(mem, path) != NULL) {
        return 0;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    change_push(mem, path)->is_dir = true;
    name_set(mem, path, NULL);
    return 0;
}

static int sync_rename(struct disk *disk, const char *from, const char *to)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(mem, from);

    if (name == NULL) {
        return mem->stopped ? TERN_EIO : TERN_ENOENT;
    }
    CHECK(name->inode != NULL);
    if (!point(mem)) {
        return TERN_EIO;
    }
    struct change *change = change_push(mem, to);
    char *dir = dir_of(from);
    CHECK(strcmp(dir, change->dir) == 0);
    free(dir);
    change->from = mem_string(from);
    change->now = inode_ref(name->inode);
    name_set(mem, to, name->inode);
    name_drop(mem, from);
    return 0;
}

static bool dir_empty(const struct mem_disk *mem, const char *dir)
{
    struct name *name = NULL;
    struct name *next = NULL;
    size_t len = strlen(dir);

    HASH_ITER (hh, mem->names, name, next) {
        if (strncmp(name->path, dir, len) == 0 && name->path[len] == '/') {
            return false;
        }
    }
    return true;
}

static int sync_remove(struct disk *disk, const char *path)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(mem, path);

    if (name == NULL) {
        return mem->stopped ? TERN_EIO : TERN_ENOENT;
    }
    if (name->inode == NULL && !dir_empty(mem, path)) {
        return TERN_EEXIST;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    (void)change_push(mem, path);
    name_drop(mem, path);
    return 0;
}

/* The directory's changes are durable. */
static void changes_drop(struct mem_disk *mem, const char *dir)
{
    size_t kept = 0;
    size_t cap = 1;

    for (size_t i = 0; i < mem->change_count; i++) {
        struct change *change = mem->changes[i];
        if (strcmp(change->dir, dir) == 0) {
            change_free(change);
        } else {
            mem->changes[kept++] = change;
        }
    }
    /* Room for a power of two, as change_push expects. */
    while (cap < kept) {
        cap *= 2;
    }
    mem->changes = mem_grow(mem->changes, cap, sizeof(struct change *));
    mem->change_count = kept;
}

static int sync_sync_dir(struct disk *disk, const char *path)
{
    struct mem_disk *mem = mem_of(disk);

    if (!mem->stopped && !dir_exists(mem, path)) {
        return TERN_ENOENT;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    changes_drop(mem, path);
    return 0;
}

static int sync_sync(struct disk *disk, struct disk_file *file)
{
    struct mem_disk *mem = mem_of(disk);

    if (dead(mem, file) || !point(mem)) {
        return TERN_EIO;
    }
    if (mem->fail_sync) {
        mem->fail_sync = false;
        return TERN_EIO;
    }
    if (file->dir != NULL) {
        changes_drop(mem, file->dir);
    } else {
        undos_drop(file->inode);
    }
    return 0;
}

static int sync_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name),
                     void *ctx)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = NULL;
    struct name *next = NULL;
    size_t len = strlen(path);

    if (!dir_exists(mem, path)) {
        return TERN_ENOENT;
    }
    HASH_ITER (hh, mem->names, name, next) {
        const char *rest = name->path + (len > 0 ? len + 1 : 0);
        if (strncmp(name->path, path, len) == 0 && (len == 0 || name->path[len] == '/') &&
            strchr(rest, '/') == NULL) {
            each(ctx, rest);
        }
    }
    return 0;
}

static uint64_t sync_free_bytes(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);

    if (mem->capacity == UINT64_MAX) {
        return FREE_NO_LIMIT;
    }
    return mem->capacity > mem->used ? mem->capacity - mem->used : 0;
}

/* ---- asynchronous ops ------------------------------------------------------------------------ */

static int64_t op_run(struct mem_disk *mem, const struct disk_op *op)
{
    int64_t status = 0;

    switch (op->kind) {
    case DISK_READ:
        return sync_read(&mem->disk, op->file, op->pos, op->into, op->len);
    case DISK_WRITE:
        for (size_t i = 0; i < op->extent_count && status == 0; i++) {
            const struct disk_extent *extent = &op->extents[i];
            status = sync_write(&mem->disk, extent->file, extent->pos, extent->bytes);
        }
        return status == 0 && op->sync != NULL ? sync_sync(&mem->disk, op->sync) : status;
    case DISK_SYNC:
        for (size_t i = 0; i < op->file_count && status == 0; i++) {
            status = sync_sync(&mem->disk, op->files[i]);
        }
        return status;
    }
    CHECK(false);
    return 0;
}

static void timer_arm(struct mem_disk *mem)
{
    uint64_t at_us = UINT64_MAX;

    QUEUE_EACH (link, &mem->flying) {
        const struct flying *flying = CONTAINER_OF(link, struct flying, link);
        at_us = flying->at_us < at_us ? flying->at_us : at_us;
    }
    if (at_us != UINT64_MAX) {
        timer_set(mem->clock, &mem->timer, at_us);
    }
}

static bool complete(struct mem_disk *mem, struct flying *flying)
{
    struct disk_op *op = flying->op;

    if (mem->stopped) {
        return false;
    }
    int64_t status = op_run(mem, op);
    if (mem->stopped) {
        return false; /* it stopped inside this op: nobody hears of it */
    }
    link_remove(&flying->link);
    mem->flying_count--;
    free(flying);
    op->impl = NULL;
    op->done(op, status);
    return true;
}

static void timer_fired(struct timer *timer)
{
    struct mem_disk *mem = CONTAINER_OF(timer, struct mem_disk, timer);
    struct flying *due = NULL;

    QUEUE_EACH (link, &mem->flying) {
        struct flying *flying = CONTAINER_OF(link, struct flying, link);
        if (due == NULL || flying->at_us < due->at_us) {
            due = flying;
        }
    }
    if (due != NULL && complete(mem, due)) {
        timer_arm(mem);
    }
}

static void async_submit(struct disk *disk, struct disk_op *op)
{
    struct mem_disk *mem = mem_of(disk);
    struct flying *flying = mem_new(sizeof *flying);

    flying->op = op;
    op->impl = flying;
    queue_push(&mem->flying, &flying->link);
    mem->flying_count++;
    if (mem->clock != NULL) {
        flying->at_us =
            clock_now_us(mem->clock) + prng_between(&mem->prng, mem->min_us, mem->max_us);
        timer_arm(mem);
    }
}

bool mem_disk_pump_one(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);

    if (queue_empty(&mem->flying)) {
        return false;
    }
    return complete(mem, CONTAINER_OF(mem->flying.next, struct flying, link));
}

unsigned mem_disk_pump(struct disk *disk)
{
    unsigned count = 0;

    while (mem_disk_pump_one(disk)) {
        count++;
    }
    return count;
}

/* Ops under way vanish; of a write the first extents may have happened. */
static void drop_flying(struct mem_disk *mem)
{
    struct link *link = NULL;
    bool stopped = mem->stopped;

    mem->stopped = false;
    mem->stop_at = 0;
    while ((link = queue_pop(&mem->flying)) != NULL) {
        struct flying *flying = CONTAINER_OF(link, struct flying, link);
        const struct disk_op *op = flying->op;
        if (op->kind == DISK_WRITE && op->extent_count > 0 && !stopped) {
            uint64_t happened = prng_below(&mem->prng, op->extent_count + 1);
            for (uint64_t i = 0; i < happened; i++) {
                const struct disk_extent *extent = &op->extents[i];
                (void)sync_write(&mem->disk, extent->file, extent->pos, extent->bytes);
            }
        }
        free(flying);
    }
    mem->flying_count = 0;
    if (mem->clock != NULL) {
        timer_stop(mem->clock, &mem->timer);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static const struct disk_ops mem_ops = {
    .open = sync_open,
    .close = sync_close,
    .size = sync_size,
    .read = sync_read,
    .write = sync_write,
    .sync = sync_sync,
    .truncate = sync_truncate,
    .preallocate = sync_preallocate,
    .stat = sync_stat,
    .mkdir = sync_mkdir,
    .rename = sync_rename,
    .remove = sync_remove,
    .sync_dir = sync_sync_dir,
    .list = sync_list,
    .free_bytes = sync_free_bytes,
    .submit = async_submit,
};

struct disk *mem_disk_new(struct clock *clock, uint64_t seed)
{
    struct mem_disk *mem = mem_new(sizeof *mem);

    mem->disk.ops = &mem_ops;
    mem->clock = clock;
    mem->timer.fire = timer_fired;
    mem->capacity = UINT64_MAX;
    mem->min_us = 50;
    mem->max_us = 500;
    prng_init(&mem->prng, seed);
    queue_init(&mem->flying);
    return &mem->disk;
}

void mem_disk_free(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = NULL;
    struct name *next = NULL;

    drop_flying(mem);
    for (size_t i = 0; i < mem->change_count; i++) {
        change_free(mem->changes[i]);
    }
    free(mem->changes);
    HASH_ITER (hh, mem->names, name, next) {
        name_drop(mem, name->path);
    }
    free(mem);
}

void mem_disk_set_latency(struct disk *disk, uint64_t min_us, uint64_t max_us)
{
    mem_of(disk)->min_us = min_us;
    mem_of(disk)->max_us = max_us;
}

void mem_disk_kill(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);

    drop_flying(mem);
    mem->life++;
}

void mem_disk_crash(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = NULL;
    struct name *next = NULL;

    mem_disk_kill(disk);
    names_crash(mem);
    HASH_ITER (hh, mem->names, name, next) {
        if (name->inode != NULL) {
            inode_crash(mem, name->inode);
        }
    }
}

/* ---- copies ---------------------------------------------------------------------------------- */

struct pair {
    const struct inode *from;
    struct inode *to;
    UT_hash_handle hh;
};

static struct inode *inode_copy(struct mem_disk *mem, struct pair **pairs, struct inode *from)
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
        inode_resize(mem, pair->to, from->size);
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

struct disk *mem_disk_copy(const struct disk *disk, struct clock *clock, uint64_t seed)
{
    const struct mem_disk *from = mem_of(disk);
    struct disk *copy = mem_disk_new(clock, seed);
    struct mem_disk *mem = mem_of(copy);
    struct pair *pairs = NULL;
    struct pair *pair = NULL;
    struct pair *next_pair = NULL;
    struct name *name = NULL;
    struct name *next = NULL;

    mem->capacity = from->capacity;
    HASH_ITER (hh, from->names, name, next) {
        struct inode *inode = inode_copy(mem, &pairs, name->inode);
        name_set(mem, name->path, inode);
        inode_unref(inode);
    }
    for (size_t i = 0; i < from->change_count; i++) {
        const struct change *old = from->changes[i];
        struct change *change = change_push(mem, old->path);
        inode_unref(change->before);
        change->had_before = old->had_before;
        change->before = inode_copy(mem, &pairs, old->before);
        change->now = inode_copy(mem, &pairs, old->now);
        change->from = old->from != NULL ? mem_string(old->from) : NULL;
        change->is_dir = old->is_dir;
    }
    HASH_ITER (hh, pairs, pair, next_pair) {
        HASH_DELETE(hh, pairs, pair);
        free(pair);
    }
    return copy;
}

/* ---- faults ---------------------------------------------------------------------------------- */

unsigned mem_disk_under_way(const struct disk *disk)
{
    return mem_of(disk)->flying_count;
}

void mem_disk_fail_next_write(struct disk *disk)
{
    mem_of(disk)->fail_write = true;
}

void mem_disk_fail_next_sync(struct disk *disk)
{
    mem_of(disk)->fail_sync = true;
}

void mem_disk_set_capacity(struct disk *disk, uint64_t bytes)
{
    mem_of(disk)->capacity = bytes;
}

uint64_t mem_disk_used(const struct disk *disk)
{
    return mem_of(disk)->used;
}

void mem_disk_stop_at(struct disk *disk, uint64_t point_number)
{
    mem_of(disk)->stop_at = point_number;
}

bool mem_disk_stopped(const struct disk *disk)
{
    return mem_of(disk)->stopped;
}

void mem_disk_on_point(struct disk *disk, void (*visit)(void *ctx), void *ctx)
{
    mem_of(disk)->visit = visit;
    mem_of(disk)->visit_ctx = ctx;
}

uint64_t mem_disk_points(const struct disk *disk)
{
    return mem_of(disk)->points;
}

bool mem_disk_poke(struct disk *disk, const char *path, uint64_t pos, struct slice bytes)
{
    struct name *name = name_find(mem_of(disk), path);

    if (name == NULL || name->inode == NULL || pos + bytes.len > name->inode->size) {
        return false;
    }
    memcpy(name->inode->bytes + pos, bytes.base, bytes.len);
    return true;
}

bool mem_disk_flip(struct disk *disk, const char *path, uint64_t pos, unsigned bit)
{
    struct name *name = name_find(mem_of(disk), path);

    if (name == NULL || name->inode == NULL || pos >= name->inode->size) {
        return false;
    }
    name->inode->bytes[pos] ^= (uint8_t)(1u << (bit % 8));
    return true;
}

void mem_disk_each(const struct disk *disk,
                   void (*each)(void *ctx, const char *path, uint64_t size), void *ctx)
{
    struct name *name = NULL;
    struct name *next = NULL;

    HASH_ITER (hh, mem_of(disk)->names, name, next) {
        if (name->inode != NULL) {
            each(ctx, name->path, name->inode->size);
        }
    }
}
