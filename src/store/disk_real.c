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
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "base/queue.h"
#include "base/trace.h"

#define DISK_PATH_MAX 1024
#define ZERO_BYTES    (256u << 10)
#define IOV_COUNT     256
#define POOL_THREADS  "8"
#define READS_MAX     3
#define SYNCS_MAX     1
#define WRITES_MAX    4

struct disk_file {
    int fd;
    bool is_dir;
    char *path; /* to tell which one failed */
};

/* Reads and background syncs may not take all threads of the pool: an fsync that somebody waits
 * for must find one. The rest waits here. */
struct lane {
    struct link waiting; /* struct work */
    unsigned running;
    unsigned limit;
};

struct disk_real {
    struct disk disk;
    uv_loop_t *loop;
    int root;
    int lock;
    unsigned under_way;
    struct lane lanes[3]; /* by enum disk_op_kind */
    /* The synchronous call that the loop is in, for disk_real_calls. */
    _Atomic uint64_t call_number; /* odd: inside */
    const char *_Atomic call_what;
    const char *_Atomic call_path;
};

/* One op on the thread pool. */
struct work {
    uv_work_t uv;
    struct link link;
    struct disk_real *disk;
    struct disk_op *op;
    int64_t status;
    const struct disk_file *at; /* the file of the last call, */
    const char *call;           /* what that was, */
    int number;                 /* and its errno if it failed */
};

static struct disk_real *real_of(const struct disk *disk)
{
    union {
        const struct disk *in;
        struct disk_real *out; /* disk is its first member */
    } at = {.in = disk};
    return at.out;
}

static int error_of(int number)
{
    switch (number) {
    case ENOENT:
        return TERN_ENOENT;
    case EEXIST:
        return TERN_EEXIST;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return TERN_ENOSPC;
    case EMFILE:
    case ENFILE:
        return TERN_EBUSY;
    default:
        return TERN_EIO;
    }
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
    int error = error_of(number);

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

/* ---- bytes: also called on pool threads ------------------------------------------------------ */

static int64_t read_all(int fd, uint64_t pos, uint8_t *into, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(fd, into + got, len - got, (off_t)(pos + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_of(errno);
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    return (int64_t)got;
}

static int write_vector(int fd, uint64_t pos, struct iovec *iov, int count)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count, (off_t)pos);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return error_of(errno);
        }
        pos += (uint64_t)n;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static void *writable(const uint8_t *bytes)
{
    union {
        const uint8_t *in;
        void *out; /* struct iovec serves reads too, so it lacks const */
    } at = {.in = bytes};
    return at.out;
}

/* Neighbouring extents of one file go out together. */
static int write_extents(struct work *work)
{
    const struct disk_extent *extents = work->op->extents;
    size_t count = work->op->extent_count;
    struct iovec iov[IOV_COUNT];

    for (size_t i = 0; i < count;) {
        const struct disk_extent *first = &extents[i];
        uint64_t next = first->pos;
        int run = 0;
        while (i < count && run < IOV_COUNT && extents[i].file == first->file &&
               extents[i].pos == next) {
            iov[run].iov_base = writable(extents[i].bytes.base);
            iov[run].iov_len = extents[i].bytes.len;
            next += extents[i].bytes.len;
            run++;
            i++;
        }
        work->at = first->file;
        int status = next > first->pos ? write_vector(first->file->fd, first->pos, iov, run) : 0;
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* A failed sync is final, whatever the system calls it. Names are more than a directory's data. */
static int sync_file(const struct disk_file *file)
{
    return (file->is_dir ? fsync(file->fd) : fdatasync(file->fd)) == 0 ? 0 : TERN_EIO;
}

static void work_sync(struct work *work, const struct disk_file *file)
{
    work->call = "sync";
    work->at = file;
    work->status = sync_file(file);
}

static void work_run(uv_work_t *uv)
{
    struct work *work = CONTAINER_OF(uv, struct work, uv);
    const struct disk_op *op = work->op;

    switch (op->kind) {
    case DISK_READ:
        work->call = "read";
        work->at = op->file;
        work->status = read_all(op->file->fd, op->pos, op->into, op->len);
        break;
    case DISK_WRITE:
        work->call = "write";
        work->status = write_extents(work);
        if (work->status == 0 && op->sync != NULL) {
            work_sync(work, op->sync);
        }
        break;
    case DISK_SYNC:
        for (size_t i = 0; i < op->file_count && work->status == 0; i++) {
            work_sync(work, op->files[i]);
        }
        break;
    }
    work->number = errno;
}

static void work_done(uv_work_t *uv, int cancelled);

static void lane_run(struct disk_real *real, struct lane *lane)
{
    while (lane->running < lane->limit && !queue_empty(&lane->waiting)) {
        struct work *work = CONTAINER_OF(queue_pop(&lane->waiting), struct work, link);
        lane->running++;
        int status = uv_queue_work(real->loop, &work->uv, work_run, work_done);
        CHECK(status == 0);
    }
}

static void work_done(uv_work_t *uv, int cancelled)
{
    struct work *work = CONTAINER_OF(uv, struct work, uv);
    struct disk_real *real = work->disk;
    struct disk_op *op = work->op;
    struct lane *lane = &real->lanes[op->kind];
    int64_t status = cancelled != 0 ? TERN_ECANCELED : work->status;

    real->under_way--;
    lane->running--;
    lane_run(real, lane);
    if (status == TERN_EIO) {
        tell(work->call, work->at->path, work->number);
    }
    free(work);
    op->impl = NULL;
    op->done(op, status);
}

static void real_submit(struct disk *disk, struct disk_op *op)
{
    struct disk_real *real = real_of(disk);
    struct work *work = mem_new(sizeof *work);

    work->disk = real;
    work->op = op;
    op->impl = work;
    real->under_way++;
    queue_push(&real->lanes[op->kind].waiting, &work->link);
    lane_run(real, &real->lanes[op->kind]);
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
    struct disk_file *file = mem_new(sizeof *file);
    file->fd = fd;
    file->is_dir = is_dir;
    file->path = mem_string(path);
    *out_file = file;
    return 0;
}

static void real_close(struct disk *disk, struct disk_file *file)
{
    (void)disk;
    (void)close(file->fd);
    free(file->path);
    free(file);
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
    int64_t got = read_all(file->fd, pos, into, len);
    return got == TERN_EIO ? failed("read", file->path) : got;
}

static int real_write(struct disk *disk, struct disk_file *file, uint64_t pos, struct slice bytes)
{
    INSIDE(disk, "write", file->path);
    struct iovec iov = {writable(bytes.base), bytes.len};

    int status = bytes.len > 0 ? write_vector(file->fd, pos, &iov, 1) : 0;
    return status == TERN_EIO ? failed("write", file->path) : status;
}

static int real_sync(struct disk *disk, struct disk_file *file)
{
    INSIDE(disk, "sync", file->path);
    int status = sync_file(file);
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
        return unlinkat(root, path, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : error_of(errno);
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

static void lanes_init(struct disk_real *real)
{
    static const unsigned limits[] = {
        [DISK_READ] = READS_MAX, [DISK_WRITE] = WRITES_MAX, [DISK_SYNC] = SYNCS_MAX};

    /* libuv reads this when the first work is queued; a value that the operator set is kept. */
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        queue_init(&real->lanes[i].waiting);
        real->lanes[i].limit = limits[i];
    }
}

int disk_real_open(uv_loop_t *loop, const char *root, struct disk **out)
{
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
    real->loop = loop;
    real->root = root_fd;
    real->lock = lock_fd;
    lanes_init(real);
    raise_file_limit();
    *out = &real->disk;
    return 0;
}

unsigned disk_real_ops_under_way(const struct disk *disk)
{
    return real_of(disk)->under_way;
}

void disk_real_close(struct disk *disk)
{
    struct disk_real *real = real_of(disk);

    CHECK(real->under_way == 0);
    (void)close(real->lock);
    (void)close(real->root);
    free(real);
}
