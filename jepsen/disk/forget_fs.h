/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of files that a power failure takes back to what was synced, by POSIX's word: bytes by a
 * sync of their file, names by a sync of their directory.
 *
 * Every directory has two tables: names as they are now and names as they are on the disk. A
 * creation, removal or renaming changes the first at once and waits in a list; syncing a directory
 * carries out, on the second, those that touch it and the earlier ones that they build upon. A
 * renaming is one change: it survives as a whole or not at all. Modes, owners and times are kept
 * without such care.
 *
 * Nothing here locks. Functions return 0 or a positive errno. The backing directory holds a file
 * per inode, named by number, and means nothing without this object. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/queue.h"
#include "jepsen/disk/forget_data.h"

#define FORGET_NAME_MAX 255
#define FORGET_ROOT     1u

struct inode {
    uint64_t id;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec mtime;
    uint64_t refs; /* names of both tables, waiting changes, handles; and what the kernel knows */
    uint64_t known;
    struct forget_data data; /* files */
    struct entry *now;       /* directories: uthash in the order of making */
    struct entry *durable;
    bool lost; /* a power failure took it; the kernel may still know the number */
    UT_hash_handle hh;
};

struct entry {
    char *name;
    struct inode *inode;
    uint64_t cookie; /* rises in a table: a place to go on reading from */
    UT_hash_handle hh;
};

struct forget_fs {
    int backing; /* directory */
    struct inode *inodes;
    struct link changes; /* not yet durable, oldest first */
    uint64_t next_id;
    uint64_t next_cookie;
};

/* `backing` is borrowed. */
void forget_fs_init(struct forget_fs *fs, int backing, uid_t uid, gid_t gid);
/* NULL: there is none, or a power failure took it. */
struct inode *forget_fs_inode(struct forget_fs *fs, uint64_t id);
struct inode *forget_fs_lookup(struct inode *dir, const char *name);
/* S_IFREG or S_IFDIR in `mode`. */
int forget_fs_create(struct forget_fs *fs, struct inode *dir, const char *name, mode_t mode,
                     uid_t uid, gid_t gid, struct inode **out);
int forget_fs_remove(struct forget_fs *fs, struct inode *dir, const char *name, bool want_dir);
int forget_fs_rename(struct forget_fs *fs, struct inode *from, const char *old, struct inode *to,
                     const char *name, bool replace);
void forget_fs_sync_dir(struct forget_fs *fs, const struct inode *dir);
/* Power failure: see forget_data_forget. `any`: changes of names survive in any order that POSIX
 * allows; otherwise, as with a journal, a first part of them all. */
int forget_fs_forget(struct forget_fs *fs, struct prng *prng, bool any, struct forget_sum *sum);
/* Handles and the kernel's knowledge are counted by whoever speaks with it. */
void forget_fs_hold(struct inode *inode);
void forget_fs_release(struct forget_fs *fs, struct inode *inode);
/* What would be lost now. */
void forget_fs_unsynced(const struct forget_fs *fs, uint64_t *out_pieces, uint64_t *out_names);
