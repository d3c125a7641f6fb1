/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"

#define PIECES_MAX 1024     /* IOV_MAX */
#define PAGE       MEM_PAGE /* every device's block divides it */
#define STAGE      MEM_HUGE /* one call: the device is busy long enough for its own sake */
/* A piece that is not on page bounds has its ends written through the cache, by calls of their own:
 * that pays from here on. */
#define DIRECT_MIN (16u << 10)

#define DIRECT_UNTRIED (-1)
#define DIRECT_NONE    (-2)

struct disk_stage {
    uv_mutex_t mutex;
    uint8_t *bytes; /* STAGE, at a page bound; NULL until it is needed */
};

struct disk_stage *disk_stage_new(void)
{
    struct disk_stage *stage = mem_new(sizeof *stage);

    CHECK(uv_mutex_init(&stage->mutex) == 0);
    return stage;
}

void disk_stage_free(struct disk_stage *stage)
{
    uv_mutex_destroy(&stage->mutex);
    free(stage->bytes);
    free(stage);
}

struct disk_file *disk_file_new(int fd, bool is_dir, const char *path)
{
    struct disk_file *file = mem_new(sizeof *file);

    file->fd = fd;
    file->is_dir = is_dir;
    file->path = mem_string(path);
    atomic_init(&file->direct, DIRECT_UNTRIED);
    return file;
}

void disk_file_free(struct disk_file *file)
{
    int direct = atomic_load(&file->direct);

    if (direct >= 0) {
        (void)close(direct);
    }
    (void)close(file->fd);
    free(file->path);
    free(file);
}

int disk_error_of(int number)
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

int64_t disk_bytes_read(const struct disk_file *file, uint64_t pos, uint8_t *into, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = pread(file->fd, into + got, len - got, (off_t)(pos + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return disk_error_of(errno);
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    return (int64_t)got;
}

int disk_bytes_sync(const struct disk_file *file)
{
    return (file->is_dir ? fsync(file->fd) : fdatasync(file->fd)) == 0 ? 0 : TERN_EIO;
}

/* Since Linux 5.8 syncfs tells of a write that failed earlier; what a server of the FUSE protocol
 * makes of it nobody knows. */
static bool known_to_sync_together(int root, struct disk_file *const *files, size_t count)
{
    struct utsname name;
    struct statfs fs;
    struct stat of_root;
    struct stat of_file;
    unsigned major = 0;
    unsigned minor = 0;

    if (uname(&name) != 0 ||
        sscanf(name.release, "%u.%u", &major, &minor) != 2 || /* NOLINT: it is checked */
        major < 5 || (major == 5 && minor < 8) || fstatfs(root, &fs) != 0 ||
        fstat(root, &of_root) != 0) {
        return false;
    }
    if (fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != XFS_SUPER_MAGIC) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (fstat(files[i]->fd, &of_file) != 0 || of_file.st_dev != of_root.st_dev) {
            return false;
        }
    }
    return true;
}

int disk_bytes_sync_all(int root, size_t together, struct disk_file *const *files, size_t count,
                        struct disk_file **out_at)
{
    size_t first = 0;

    if (count >= together && known_to_sync_together(root, files, count)) {
        *out_at = files[0];
        if (syncfs(root) != 0) {
            return TERN_EIO;
        }
        first =
            count - 1; /* its sync flushes the device's cache, whatever syncfs found to be done */
    }
    for (size_t i = first; i < count; i++) {
        *out_at = files[i];
        if (disk_bytes_sync(files[i]) != 0) {
            return TERN_EIO;
        }
    }
    return 0;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* A place in a run of extents. */
struct cursor {
    const struct disk_extent *extent;
    size_t used; /* of its bytes */
};

static void *writable(const uint8_t *bytes)
{
    union {
        const uint8_t *in;
        void *out; /* struct iovec serves reads too, so it lacks const */
    } at = {.in = bytes};
    return at.out;
}

/* The next bytes, at most `len`. */
static struct slice next_piece(struct cursor *cursor, size_t len)
{
    while (cursor->used == cursor->extent->bytes.len) {
        cursor->extent++;
        cursor->used = 0;
    }
    size_t left = cursor->extent->bytes.len - cursor->used;
    struct slice piece =
        slice_of(cursor->extent->bytes.base + cursor->used, left < len ? left : len);
    cursor->used += piece.len;
    return piece;
}

/* What one call has still to write. */
struct vector {
    uint64_t pos;
    struct iovec pieces[PIECES_MAX];
    struct iovec *piece;
    int count;
};

/* As many of the next `len` bytes as one call takes; returns how many. */
static size_t vector_fill(struct vector *vector, uint64_t pos, struct cursor *cursor, uint64_t len)
{
    size_t most = len < SSIZE_MAX ? (size_t)len : SSIZE_MAX;
    size_t bytes = 0;

    vector->pos = pos;
    vector->piece = vector->pieces;
    vector->count = 0;
    while (bytes < most && vector->count < PIECES_MAX) {
        struct slice piece = next_piece(cursor, most - bytes);
        vector->pieces[vector->count++] = (struct iovec){writable(piece.base), piece.len};
        bytes += piece.len;
    }
    return bytes;
}

/* 0, or -1 and errno; then the vector has what is left. */
static int vector_write(struct vector *vector, int fd)
{
    while (vector->count > 0) {
        ssize_t n = pwritev(fd, vector->piece, vector->count, (off_t)vector->pos);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        vector->pos += (uint64_t)n;
        while (vector->count > 0 && (size_t)n >= vector->piece->iov_len) {
            n -= (ssize_t)vector->piece->iov_len;
            vector->piece++;
            vector->count--;
        }
        if (vector->count > 0) {
            vector->piece->iov_base = (char *)vector->piece->iov_base + n;
            vector->piece->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int write_cached(const struct disk_file *file, uint64_t pos, struct cursor *cursor,
                        uint64_t len)
{
    struct vector vector;

    while (len > 0) {
        size_t bytes = vector_fill(&vector, pos, cursor, len);
        if (vector_write(&vector, file->fd) != 0) {
            return -1;
        }
        pos += bytes;
        len -= bytes;
    }
    return 0;
}

/* ---- past the page cache --------------------------------------------------------------------- */

/* The file once more; it may have another name by now, or none. Below 0: through the cache. */
static int open_direct(struct disk_file *file)
{
    int expected = DIRECT_UNTRIED;
    char path[64];

    if (atomic_load(&file->direct) == DIRECT_UNTRIED) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
        int fd = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            return DIRECT_NONE; /* the next one will try again */
        }
        fd = fd < 0 ? DIRECT_NONE : fd;
        if (!atomic_compare_exchange_strong(&file->direct, &expected, fd) && fd >= 0) {
            (void)close(fd); /* another thread was quicker */
        }
    }
    return atomic_load(&file->refused) ? DIRECT_NONE : atomic_load(&file->direct);
}

static bool on_page(uint64_t number)
{
    return number % PAGE == 0;
}

int64_t disk_bytes_read_once(struct disk_file *file, uint64_t pos, uint8_t *into, size_t len)
{
    bool aligned = on_page(pos) && on_page(len) && on_page((uintptr_t)into);
    int direct = aligned ? open_direct(file) : DIRECT_NONE;
    size_t got = 0;

    while (direct >= 0 && got < len) {
        ssize_t n = pread(direct, into + got, len - got, (off_t)(pos + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EINVAL) {
            atomic_store(&file->refused, true);
            break; /* another file system's bounds */
        }
        if (n < 0) {
            return disk_error_of(errno);
        }
        got += (size_t)n;
        if (n == 0 || !on_page((uint64_t)n)) {
            return (int64_t)got; /* the end of the file */
        }
    }
    return direct >= 0 && got == len ? (int64_t)got : disk_bytes_read(file, pos, into, len);
}

static int write_past(struct disk_file *file, struct vector *vector)
{
    int direct = open_direct(file);

    if (direct >= 0) {
        if (vector_write(vector, direct) == 0) {
            return 0;
        }
        if (errno != EINVAL) {
            return -1;
        }
        /* It was opened so, and still cannot be written so: another file system's bounds. */
        atomic_store(&file->refused, true);
    }
    return vector_write(vector, file->fd);
}

/* Every piece lies on page bounds, in the file and in memory. */
static bool all_on_pages(const struct disk_extent *extents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct disk_extent *extent = &extents[i];
        if (!on_page(extent->pos) || !on_page(extent->bytes.len) ||
            !on_page((uintptr_t)extent->bytes.base)) {
            return false;
        }
    }
    return true;
}

static int write_aligned(struct disk_file *file, uint64_t pos, struct cursor *cursor, uint64_t len)
{
    struct vector vector;

    while (len > 0) {
        size_t bytes = vector_fill(&vector, pos, cursor, len);
        if (write_past(file, &vector) != 0) {
            return -1;
        }
        pos += bytes;
        len -= bytes;
    }
    return 0;
}

static int write_staged(struct disk_stage *stage, struct disk_file *file, uint64_t pos,
                        struct cursor *cursor, uint64_t len)
{
    while (len > 0) {
        size_t part = len < STAGE ? (size_t)len : STAGE;
        for (size_t at = 0; at < part;) {
            struct slice piece = next_piece(cursor, part - at);
            memcpy(stage->bytes + at, piece.base, piece.len);
            at += piece.len;
        }
        const struct disk_extent staged = {file, pos, slice_of(stage->bytes, part)};
        struct cursor from_stage = {&staged, 0};
        if (write_aligned(file, pos, &from_stage, part) != 0) {
            return -1;
        }
        pos += part;
        len -= part;
    }
    return 0;
}

static bool stage_take(struct disk_stage *stage)
{
    if (uv_mutex_trylock(&stage->mutex) != 0) {
        return false;
    }
    if (stage->bytes == NULL) {
        stage->bytes = mem_pages(STAGE);
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Neighbouring extents of one file, `len` bytes in all. */
static int write_run(struct disk_stage *stage, const struct disk_extent *extents, size_t count,
                     uint64_t len)
{
    struct disk_file *file = extents->file;
    struct cursor cursor = {extents, 0};
    uint64_t pos = extents->pos;
    uint64_t from = (pos + PAGE - 1) / PAGE * PAGE;
    uint64_t to = (pos + len) / PAGE * PAGE;

    if (all_on_pages(extents, count)) {
        return write_aligned(file, pos, &cursor, len);
    }
    if (to < from + DIRECT_MIN || open_direct(file) < 0 || !stage_take(stage)) {
        return write_cached(file, pos, &cursor, len);
    }
    int rv = write_cached(file, pos, &cursor, from - pos);
    if (rv == 0) {
        rv = write_staged(stage, file, from, &cursor, to - from);
    }
    uv_mutex_unlock(&stage->mutex);
    return rv == 0 ? write_cached(file, to, &cursor, pos + len - to) : rv;
}

int disk_bytes_write(struct disk_stage *stage, const struct disk_extent *extents, size_t count,
                     struct disk_file **out_at)
{
    for (size_t i = 0; i < count;) {
        const struct disk_extent *first = &extents[i];
        uint64_t next = first->pos;
        for (; i < count && extents[i].file == first->file && extents[i].pos == next; i++) {
            next += extents[i].bytes.len;
        }
        *out_at = first->file;
        if (next > first->pos &&
            write_run(stage, first, (size_t)(&extents[i] - first), next - first->pos) != 0) {
            return disk_error_of(errno);
        }
    }
    return 0;
}
