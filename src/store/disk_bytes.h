/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the real disk's open files: what a read, write or sync is made of. Blocking; on any
 * thread, as long as nobody closes the file meanwhile. */
#pragma once

#include "base/disk.h"

struct disk_file {
    int fd;
    bool is_dir;
    char *path; /* to tell which one failed */
    /* The same file past the page cache, opened by the first call that is large enough for it.
     * Below 0: not tried yet, or not to be had. */
    _Atomic int direct;
    _Atomic bool refused; /* there it takes no calls of our bounds */
};

/* Room for what is collected before it goes past the page cache. One writer at a time has it; who
 * does not get it writes through the cache. */
struct disk_stage;
struct disk_stage *disk_stage_new(void);
void disk_stage_free(struct disk_stage *stage);

struct disk_file *disk_file_new(int fd, bool is_dir, const char *path);
void disk_file_free(struct disk_file *file);

/* What the system said, as one of ours. */
int disk_error_of(int number);
/* Bytes read, fewer only at the end of the file; or an error, and errno. */
int64_t disk_bytes_read(const struct disk_file *file, uint64_t pos, uint8_t *into, size_t len);
/* The same, past the page cache if all of it lies on page bounds. */
int64_t disk_bytes_read_once(struct disk_file *file, uint64_t pos, uint8_t *into, size_t len);
/* All extents, in their order; neighbours go out together. 0, or an error and errno; `out_at` is the
 * file of the last call. Large pieces and those that lie on page bounds in file and memory go past
 * the page cache: there is no page to be found and filled for them, and none is taken from others. */
int disk_bytes_write(struct disk_stage *stage, const struct disk_extent *extents, size_t count,
                     struct disk_file **out_at);
/* Syncs all of them. From `together` files on by one syncfs, if `root` is a directory of the file system
 * they are all in, and that is of a kind that is known to reach the device, and to tell of every
 * write that failed since `root` was opened. */
int disk_bytes_sync_all(int root, size_t together, struct disk_file *const *files, size_t count,
                        struct disk_file **out_at);
/* fdatasync; of a directory fsync, since names are more than data. A failure is final, whatever the
 * system calls it: EIO. */
int disk_bytes_sync(const struct disk_file *file);
