/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uv.h>

#include "base/trace.h"
#include "store/disk_bytes.h"
#include "store/disk_workers.h"

#define DISK_PATH_MAX 1024
#define ZERO_BYTES    (256u << 10)
#define READS_MAX     3
#define SYNCS_MAX     4
#define WRITES_MAX    4
#define SYNC_SHARE    8 /* files that are worth a worker */
/* syncfs also waits for what other programs have written to the same file system. */
#define TOGETHER_OWN    64
#define TOGETHER_SHARED 256

struct disk_real {
    struct disk disk;
    /* A lane for each enum disk_op_kind: an fsync that somebody waits for must not wait for reads or
     * background syncs. */
    struct disk_workers *workers;
    struct disk_stage *stage;
    int root;
    int lock;
    size_t together; /* from so many files on syncfs is worth it */
    /* The synchronous call that the loop is in, for disk_real_calls. */
    _Atomic uint64_t call_number; /* odd: inside */
    const char *_Atomic call_what;
    const char *_Atomic call_path;
};

/* What one worker does of an op. */
struct part {
    struct disk_task task;
    struct work *work;
    size_t first; /* of the op's files, */
    size_t count; /* so many */
    int64_t status;
    struct disk_file *at; /* the file of the last call, */
    const char *call;     /* what that was, */
    int number;           /* and its errno if it failed */
};

/* An op on the workers. */
struct work {
    struct disk_real *disk;
    struct disk_op *op;
    unsigned left; /* parts under way; loop only */
    unsigned part_count;
    struct part parts[SYNCS_MAX];
};

static struct disk_real *real_of(const struct disk *disk)
{
    union {
        const struct disk *in;
        struct disk_real *out; /* disk is its first member */
    } at = {.in = disk};
    return at.out;
}

/* Loop thread only. */
static void tell(const char *what, const char *path, int number)
{
    trace_error("event=disk_failed call=%s path=%s reason=\"%s\"", what,
                path[0] != '\0' ? path : ".", uv_strerror(-number));
}

/* Says what the system said before it is reduced to one of ours. Loop thread only. */
static int failed(const char *what, const char *path)
{
    int number = errno;
    int error = disk_error_of(number);

    if (error == TERN_EIO) {
        tell(what, path, number);
    }
    return error;
}

/* "" names the root itself. */
static const char *at_root(const char *path)
{
    return path[0] == '\0' ? "." : path;
}

/* ---- ops ------------------------------------------------------------------------------------- */

/* On a worker. */
static void part_run(struct disk_task *task)
{
    struct part *part = CONTAINER_OF(task, struct part, task);
    const struct disk_real *real = part->work->disk;
    const struct disk_op *op = part->work->op;

    switch (op->kind) {
    case DISK_READ:
        part->call = "read";
        part->at = op->file;
        part->status = disk_bytes_read_once(op->file, op->pos, op->into, op->len);
        break;
    case DISK_WRITE:
        part->call = "write";
        part->status = disk_bytes_write(real->stage, op->extents, op->extent_count, &part->at);
        if (part->status == 0 && op->sync != NULL) {
            part->call = "sync";
            part->at = op->sync;
            part->status = disk_bytes_sync(op->sync);
        }
        break;
    case DISK_SYNC:
        part->call = "sync";
        part->status = disk_bytes_sync_all(real->root, real->together, op->files + part->first,
                                           part->count, &part->at);
        break;
    }
    part->number = errno;
}

static void part_done(struct disk_task *task)
{
    struct work *work = CONTAINER_OF(task, struct part, task)->work;
    struct disk_op *op = work->op;
    int64_t status = 0;

    if (--work->left > 0) {
        return;
    }
    for (unsigned i = 0; i < work->part_count && status >= 0; i++) {
        const struct part *part = &work->parts[i];
        status = part->status;
        if (status == TERN_EIO) {
            tell(part->call, part->at->path, part->number);
        }
    }
    free(work);
    op->impl = NULL;
    op->done(op, status);
}

/* Files that are not synced together are synced side by side: the device joins their flushes. */
static unsigned parts_of(const struct disk_real *real, const struct disk_op *op)
{
    bool alone = op->kind != DISK_SYNC || op->file_count >= real->together;
    size_t shares = alone ? 1 : op->file_count / SYNC_SHARE;

    return shares < 1 ? 1 : shares < SYNCS_MAX ? (unsigned)shares : SYNCS_MAX;
}

static void real_submit(struct disk *disk, struct disk_op *op)
{
    struct disk_real *real = real_of(disk);
    struct work *work = mem_new(sizeof *work);
    size_t first = 0;

    work->disk = real;
    work->op = op;
    work->part_count = parts_of(real, op);
    work->left = work->part_count;
    op->impl = work;
    for (unsigned i = 0; i < work->part_count; i++) {
        struct part *part = &work->parts[i];
        size_t behind = op->file_count * (i + 1) / work->part_count;
        *part = (struct part){.task = {.run = part_run, .done = part_done, .lane = op->kind},
                              .work = work,
                              .first = first,
                              .count = behind - first};
        first = behind;
        disk_workers_submit(real->workers, &part->task);
    }
}

/* ---- synchronous calls ----------------------------------------------------------------------- */

static struct disk_real *enter(struct disk *disk, const char *what, const char *path)
{
    struct disk_real *real = real_of(disk);

    real->call_what = what;
    real->call_path = at_root(path);
    real->call_number++;
    return real;
}

static void leave(struct disk_real **real)
{
    (*real)->call_number++;
}

/* Until the end of the block. */
#define INSIDE(disk, what, path)                                                                   \
    struct disk_real *inside __attribute__((cleanup(leave))) = enter(disk, what, path);            \
    (void)inside

bool disk_real_calls(const struct disk *disk, struct disk_real_call *out)
{
    const struct disk_real *real = real_of(disk);

    out->number = real->call_number;
    out->what = real->call_what;
    out->path = real->call_path;
    return (out->number & 1) != 0;
}

static int open_dir(struct disk *disk, const char *path)
{
    return openat(real_of(disk)->root, at_root(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int real_open(struct disk *disk, const char *path, bool create, struct disk_file **out_file)
{
    INSIDE(disk, "open", path);
    int fd = openat(real_of(disk)->root, at_root(path), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0),
                    0640);
    bool is_dir = fd < 0 && errno == EISDIR && !create;

    if (is_dir) {
        fd = open_dir(disk, path);
    }
    if (fd < 0) {
        return failed("open", path);
    }
    *out_file = disk_file_new(fd, is_dir, path);
    return 0;
}

static void real_close(struct disk *disk, struct disk_file *file)
{
    (void)disk;
    disk_file_free(file);
}

static int real_size(struct disk *disk, struct disk_file *file, uint64_t *out_size)
{
    struct stat stat;

    (void)disk;
    if (fstat(file->fd, &stat) != 0) {
        return failed("fstat", file->path);
    }
    *out_size = (uint64_t)stat.st_size;
    return 0;
}

static int64_t real_read(struct disk *disk, struct disk_file *file, uint64_t pos, uint8_t *into,
                         size_t len)
{
    INSIDE(disk, "read", file->path);
    int64_t got = disk_bytes_read(file, pos, into, len);
    return got == TERN_EIO ? failed("read", file->path) : got;
}

static int real_write(struct disk *disk, struct disk_file *file, uint64_t pos, struct slice bytes)
{
    INSIDE(disk, "write", file->path);
    const struct disk_extent extent = {file, pos, bytes};
    struct disk_file *at = NULL;

    int status = disk_bytes_write(inside->stage, &extent, 1, &at);
    return status == TERN_EIO ? failed("write", file->path) : status;
}

static int real_sync(struct disk *disk, struct disk_file *file)
{
    INSIDE(disk, "sync", file->path);
    int status = disk_bytes_sync(file);
    if (status != 0) {
        tell("sync", file->path, errno);
    }
    return status;
}

static int real_truncate(struct disk *disk, struct disk_file *file, uint64_t size)
{
    INSIDE(disk, "ftruncate", file->path);
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : failed("ftruncate", file->path);
}

static int real_preallocate(struct disk *disk, struct disk_file *file, uint64_t size)
{
    uint64_t at = 0;
    int status = real_size(disk, file, &at);

    uint8_t *zeros = mem_new(ZERO_BYTES);
    while (status == 0 && at < size) {
        size_t part = size - at < ZERO_BYTES ? (size_t)(size - at) : ZERO_BYTES;
        status = real_write(disk, file, at, slice_of(zeros, part));
        at += part;
    }
    free(zeros);
    return status;
}

static int real_stat(struct disk *disk, const char *path, struct disk_stat *out_stat)
{
    INSIDE(disk, "stat", path);
    struct stat stat;

    if (fstatat(real_of(disk)->root, at_root(path), &stat, 0) != 0) {
        return failed("stat", path);
    }
    out_stat->size = (uint64_t)stat.st_size;
    out_stat->is_dir = S_ISDIR(stat.st_mode);
    return 0;
}

static int real_mkdir(struct disk *disk, const char *path)
{
    INSIDE(disk, "mkdir", path);
    if (mkdirat(real_of(disk)->root, path, 0750) != 0 && errno != EEXIST) {
        return failed("mkdir", path);
    }
    return 0;
}

static int real_rename(struct disk *disk, const char *from, const char *to)
{
    INSIDE(disk, "rename", from);
    int root = real_of(disk)->root;

    return renameat(root, from, root, to) == 0 ? 0 : failed("rename", from);
}

static int real_remove(struct disk *disk, const char *path)
{
    INSIDE(disk, "unlink", path);
    int root = real_of(disk)->root;

    if (unlinkat(root, path, 0) == 0) {
        return 0;
    }
    if (errno == EISDIR || errno == EPERM) {
        return unlinkat(root, path, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0
                                                                          : disk_error_of(errno);
    }
    return failed("unlink", path);
}

static int real_sync_dir(struct disk *disk, const char *path)
{
    INSIDE(disk, "sync", path);
    int fd = open_dir(disk, path);

    if (fd < 0) {
        return failed("open", path);
    }
    int status = 0;
    if (fsync(fd) != 0) {
        tell("sync", path, errno);
        status = TERN_EIO;
    }
    (void)close(fd);
    return status;
}

static int real_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name),
                     void *ctx)
{
    int fd = open_dir(disk, path);
    struct dirent *entry = NULL;

    if (fd < 0) {
        return failed("open", path);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return failed("fdopendir", path);
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            each(ctx, entry->d_name);
        }
    }
    (void)closedir(dir);
    return 0;
}

static uint64_t real_free_bytes(struct disk *disk)
{
    INSIDE(disk, "statvfs", "");
    struct statvfs stat;

    if (fstatvfs(real_of(disk)->root, &stat) != 0) {
        return 0;
    }
    return (uint64_t)stat.f_bavail * stat.f_frsize;
}

static uint64_t real_total_bytes(struct disk *disk)
{
    struct statvfs stat;

    return fstatvfs(real_of(disk)->root, &stat) == 0 ? (uint64_t)stat.f_blocks * stat.f_frsize : 0;
}

static const struct disk_ops real_ops = {
    .open = real_open,
    .close = real_close,
    .size = real_size,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
    .truncate = real_truncate,
    .preallocate = real_preallocate,
    .stat = real_stat,
    .mkdir = real_mkdir,
    .rename = real_rename,
    .remove = real_remove,
    .sync_dir = real_sync_dir,
    .list = real_list,
    .free_bytes = real_free_bytes,
    .submit = real_submit,
    .total_bytes = real_total_bytes,
};

/* ---- opening --------------------------------------------------------------------------------- */

/* mkdir -p */
static int make_root(const char *root)
{
    char path[PATH_MAX];
    size_t len = strlen(root);

    if (len == 0 || len >= sizeof path) {
        return TERN_ENOENT;
    }
    memcpy(path, root, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            char kept = path[i];
            path[i] = '\0';
            if (mkdir(path, 0750) != 0 && errno != EEXIST) {
                return failed("mkdir", path);
            }
            path[i] = kept;
        }
    }
    return 0;
}

/* As many open files as the system allows: segments of thousands of partitions are kept open. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Nobody else's files are in its file system. */
static bool is_mount_point(int root)
{
    struct stat here;
    struct stat above;

    return fstat(root, &here) == 0 && fstatat(root, "..", &above, 0) == 0 &&
           here.st_dev != above.st_dev;
}

int disk_real_open(uv_loop_t *loop, const char *root, struct disk **out)
{
    static const unsigned limits[] = {
        [DISK_READ] = READS_MAX, [DISK_WRITE] = WRITES_MAX, [DISK_SYNC] = SYNCS_MAX};
    int status = make_root(root);

    if (status != 0) {
        return status;
    }
    int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return failed("open", root);
    }
    int lock_fd = openat(root_fd, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock_fd < 0) {
        status = failed("open", "LOCK");
        (void)close(root_fd);
        return status;
    }
    if (flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? TERN_ELOCKED : failed("flock", "LOCK");
        (void)close(lock_fd);
        (void)close(root_fd);
        return status;
    }
    struct disk_real *real = mem_new(sizeof *real);
    real->disk.ops = &real_ops;
    real->workers = disk_workers_new(loop, limits, ARRAY_COUNT(limits));
    real->stage = disk_stage_new();
    real->root = root_fd;
    real->lock = lock_fd;
    real->together = is_mount_point(root_fd) ? TOGETHER_OWN : TOGETHER_SHARED;
    raise_file_limit();
    *out = &real->disk;
    return 0;
}

unsigned disk_real_ops_under_way(const struct disk *disk)
{
    return disk_workers_under_way(real_of(disk)->workers);
}

void disk_real_close(struct disk *disk)
{
    struct disk_real *real = real_of(disk);

    disk_workers_close(real->workers);
    disk_stage_free(real->stage);
    (void)close(real->lock);
    (void)close(real->root);
    free(real);
}
