/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/mem_disk.h"

#include "base/blob.h"
#include "base/queue.h"
#include "tests/lib/mem_fs.h"

#define FREE_NO_LIMIT ((uint64_t)1 << 40)

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
    struct mem_fs fs;
    uint64_t min_us;
    uint64_t max_us;
    struct link flying; /* in order of submission */
    unsigned flying_count;
    uint64_t life; /* raised by crash and kill: older handles are dead */
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

/* ---- synchronous calls ----------------------------------------------------------------------- */

static bool dead(const struct mem_disk *mem, const struct disk_file *file)
{
    return file->life != mem->life || mem->stopped;
}

static int sync_open(struct disk *disk, const char *path, bool create, struct disk_file **out_file)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(&mem->fs, path);

    if (mem->stopped) {
        return TERN_EIO;
    }
    if (dir_exists(&mem->fs, path)) {
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
        bool there = dir_exists(&mem->fs, dir);
        free(dir);
        if (!create || !there) {
            return TERN_ENOENT;
        }
        if (!point(mem)) {
            return TERN_EIO;
        }
        struct change *change = change_push(&mem->fs, path);
        change->now = mem_new(sizeof *change->now);
        change->now->refs = 1;
        name_set(&mem->fs, path, change->now);
        name = name_find(&mem->fs, path);
    }
    struct disk_file *file = mem_new(sizeof *file);
    file->inode = inode_use(&mem->fs, name->inode);
    file->life = mem->life;
    *out_file = file;
    return 0;
}

static void sync_close(struct disk *disk, struct disk_file *file)
{
    inode_unuse(&mem_of(disk)->fs, file->inode);
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
    return bytes.len > 0 ? inode_write(&mem->fs, file->inode, pos, bytes) : 0;
}

static int sync_truncate(struct disk *disk, struct disk_file *file, uint64_t size)
{
    struct mem_disk *mem = mem_of(disk);

    if (dead(mem, file) || !point(mem)) {
        return TERN_EIO;
    }
    if (size > file->inode->size && mem->fs.used + (size - file->inode->size) > mem->fs.capacity) {
        return TERN_ENOSPC;
    }
    inode_cut(&mem->fs, file->inode, size);
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
    struct name *name = name_find(&mem->fs, path);

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
    if (name_find(&mem->fs, path) != NULL) {
        return 0;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    change_push(&mem->fs, path)->is_dir = true;
    name_set(&mem->fs, path, NULL);
    return 0;
}

static int sync_rename(struct disk *disk, const char *from, const char *to)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(&mem->fs, from);

    if (name == NULL) {
        return mem->stopped ? TERN_EIO : TERN_ENOENT;
    }
    CHECK(name->inode != NULL);
    if (!point(mem)) {
        return TERN_EIO;
    }
    struct change *change = change_push(&mem->fs, to);
    char *dir = dir_of(from);
    CHECK(strcmp(dir, change->dir) == 0);
    free(dir);
    change->from = mem_string(from);
    change->now = inode_ref(name->inode);
    name_set(&mem->fs, to, name->inode);
    name_drop(&mem->fs, from);
    return 0;
}

static int sync_remove(struct disk *disk, const char *path)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(&mem->fs, path);

    if (name == NULL) {
        return mem->stopped ? TERN_EIO : TERN_ENOENT;
    }
    if (name->inode == NULL && !dir_empty(&mem->fs, path)) {
        return TERN_EEXIST;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    (void)change_push(&mem->fs, path);
    name_drop(&mem->fs, path);
    return 0;
}

static int sync_sync_dir(struct disk *disk, const char *path)
{
    struct mem_disk *mem = mem_of(disk);

    if (!mem->stopped && !dir_exists(&mem->fs, path)) {
        return TERN_ENOENT;
    }
    if (!point(mem)) {
        return TERN_EIO;
    }
    changes_drop(&mem->fs, path);
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
        changes_drop(&mem->fs, file->dir);
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

    if (!dir_exists(&mem->fs, path)) {
        return TERN_ENOENT;
    }
    HASH_ITER (hh, mem->fs.names, name, next) {
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

    if (mem->fs.capacity == UINT64_MAX) {
        return FREE_NO_LIMIT;
    }
    return mem->fs.capacity > mem->fs.used ? mem->fs.capacity - mem->fs.used : 0;
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
            clock_now_us(mem->clock) + prng_between(&mem->fs.prng, mem->min_us, mem->max_us);
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
            uint64_t happened = prng_below(&mem->fs.prng, op->extent_count + 1);
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
    mem->fs.capacity = UINT64_MAX;
    mem->min_us = 50;
    mem->max_us = 500;
    prng_init(&mem->fs.prng, seed);
    queue_init(&mem->flying);
    return &mem->disk;
}

void mem_disk_free(struct disk *disk)
{
    struct mem_disk *mem = mem_of(disk);

    drop_flying(mem);
    mem_fs_fini(&mem->fs);
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
    mem_disk_kill(disk);
    mem_fs_crash(&mem_of(disk)->fs);
}

/* ---- copies ---------------------------------------------------------------------------------- */

struct disk *mem_disk_copy(const struct disk *disk, struct clock *clock, uint64_t seed)
{
    struct disk *copy = mem_disk_new(clock, seed);

    mem_fs_copy(&mem_of(copy)->fs, &mem_of(disk)->fs);
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
    mem_of(disk)->fs.capacity = bytes;
}

uint64_t mem_disk_used(const struct disk *disk)
{
    return mem_of(disk)->fs.used;
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
    struct name *name = name_find(&mem_of(disk)->fs, path);

    if (name == NULL || name->inode == NULL || pos + bytes.len > name->inode->size) {
        return false;
    }
    memcpy(name->inode->bytes + pos, bytes.base, bytes.len);
    return true;
}

bool mem_disk_flip(struct disk *disk, const char *path, uint64_t pos, unsigned bit)
{
    struct name *name = name_find(&mem_of(disk)->fs, path);

    if (name == NULL || name->inode == NULL || pos >= name->inode->size) {
        return false;
    }
    name->inode->bytes[pos] ^= (uint8_t)(1u << (bit % 8));
    return true;
}

bool mem_disk_cut(struct disk *disk, const char *path, uint64_t size)
{
    struct mem_disk *mem = mem_of(disk);
    struct name *name = name_find(&mem->fs, path);

    if (name == NULL || name->inode == NULL || size >= name->inode->size) {
        return false;
    }
    inode_cut(&mem->fs, name->inode, size);
    undos_drop(name->inode);
    return true;
}

void mem_disk_each(const struct disk *disk,
                   void (*each)(void *ctx, const char *path, uint64_t size), void *ctx)
{
    struct name *name = NULL;
    struct name *next = NULL;

    HASH_ITER (hh, mem_of(disk)->fs.names, name, next) {
        if (name->inode != NULL) {
            each(ctx, name->path, name->inode->size);
        }
    }
}
