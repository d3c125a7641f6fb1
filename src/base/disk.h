/* SPDX-License-Identifier: Apache-2.0 */
/* The disk seam. Real: `store/disk_real.c`. Simulated: `tests/lib/mem_disk.c`, which forgets what
 * was not synced, tears writes and stops at any write point.
 *
 * Paths are relative to the root that the disk was opened with; '/' separates, no "..".
 * Synchronous calls are for start-up and rare moments (they block the loop); bulk goes by submit().
 * Durability: bytes survive a crash once a sync of their file has returned 0; a created, renamed or
 * removed name once sync_dir of its directory has. A failed sync is final: never retry it. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

struct disk;
struct disk_file; /* opaque to everyone but the implementation */
struct disk_op;

/* Bytes to one place of one file. `bytes` is borrowed until the op is done. */
struct disk_extent {
    struct disk_file *file;
    uint64_t pos;
    struct slice bytes;
};

enum disk_op_kind {
    /* Fill `into` from file at pos; status = bytes read (may be short at end of file). On page bounds in
     * file and memory, length too, it goes past the page cache: for what is read once. */
    DISK_READ,
    DISK_WRITE, /* write all extents, in their order; then fdatasync `sync` if it is not NULL */
    DISK_SYNC,  /* fdatasync every file of `files` */
};

/* One asynchronous operation, embedded in the object that waits. Ops run concurrently: whoever
 * needs an order submits the next in the `done` of the previous. `done` comes from the loop, never
 * from inside submit(). */
struct disk_op {
    enum disk_op_kind kind;
    struct disk_file *file;            /* DISK_READ */
    uint64_t pos;                      /* DISK_READ */
    uint8_t *into;                     /* DISK_READ; borrowed until done */
    size_t len;                        /* DISK_READ */
    const struct disk_extent *extents; /* DISK_WRITE; borrowed until done */
    size_t extent_count;
    struct disk_file *sync;         /* DISK_WRITE: or NULL */
    struct disk_file *const *files; /* DISK_SYNC; borrowed until done */
    size_t file_count;
    /* status: 0 or bytes read, or a negative TERN_E*. */
    void (*done)(struct disk_op *op, int64_t status);
    void *impl; /* owned by the disk while the op is under way */
};

struct disk_stat {
    uint64_t size;
    bool is_dir;
};

struct disk_ops {
    /* `create` makes the file if it is missing. ENOENT otherwise. A directory may be opened too
     * (not created), only to be synced: that is sync_dir as part of a DISK_SYNC. EBUSY: too many
     * files are open. */
    int (*open)(struct disk *disk, const char *path, bool create, struct disk_file **out_file);
    /* No op may be under way on the file. */
    void (*close)(struct disk *disk, struct disk_file *file);
    int (*size)(struct disk *disk, struct disk_file *file, uint64_t *out_size);
    /* Number of bytes read (short only at the end of the file) or an error. */
    int64_t (*read)(struct disk *disk, struct disk_file *file, uint64_t pos, uint8_t *into,
                    size_t len);
    int (*write)(struct disk *disk, struct disk_file *file, uint64_t pos, struct slice bytes);
    int (*sync)(struct disk *disk, struct disk_file *file);
    int (*truncate)(struct disk *disk, struct disk_file *file, uint64_t size);
    /* Makes the file at least `size` long with written zeros (not only reserved extents). */
    int (*preallocate)(struct disk *disk, struct disk_file *file, uint64_t size);
    int (*stat)(struct disk *disk, const char *path, struct disk_stat *out_stat);
    int (*mkdir)(struct disk *disk, const char *path);                  /* EEXIST is 0 */
    int (*rename)(struct disk *disk, const char *from, const char *to); /* replaces `to` */
    int (*remove)(struct disk *disk, const char *path);   /* file or empty directory */
    int (*sync_dir)(struct disk *disk, const char *path); /* "" is the root */
    /* Calls `each` once per name in the directory, in no order, not for "." and "..". */
    int (*list)(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name),
                void *ctx);
    /* Bytes that can still be written to the file system. */
    uint64_t (*free_bytes)(struct disk *disk);
    void (*submit)(struct disk *disk, struct disk_op *op);
    /* The size of the file system; NULL: not known. */
    uint64_t (*total_bytes)(struct disk *disk);
};

struct disk {
    const struct disk_ops *ops;
};

static inline void disk_submit(struct disk *disk, struct disk_op *op)
{
    disk->ops->submit(disk, op);
}

/* A whole small file, synchronously: written and synced as `new_path`, then renamed to `path`. The name is
 * durable when the caller has synced the directory. */
static inline int disk_replace_file(struct disk *disk, const char *new_path, const char *path,
                                    struct slice bytes)
{
    struct disk_file *file = NULL;
    int status = disk->ops->open(disk, new_path, true, &file);

    if (status == 0) {
        status = disk->ops->truncate(disk, file, 0);
        if (status == 0) {
            status = disk->ops->write(disk, file, 0, bytes);
        }
        if (status == 0) {
            status = disk->ops->sync(disk, file);
        }
        disk->ops->close(disk, file);
    }
    return status == 0 ? disk->ops->rename(disk, new_path, path) : status;
}
