/* SPDX-License-Identifier: Apache-2.0 */
/* forgetful: a file system that forgets on command what was not synced. See README.md.
 *
 * One lock guards the tree; what waits (a fault that delays or hangs, a power cut) waits outside.
 * The kernel caches nothing of it: data by direct I/O, names and attributes for no time at all. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "jepsen/disk/control.h"
#include "jepsen/disk/faults.h"
#include "jepsen/disk/forget_fs.h"
#include "jepsen/disk/fuse_wire.h"

#define THREADS 32

struct forgetful {
    pthread_mutex_t lock; /* everything below but `faults` */
    pthread_cond_t power_back;
    struct forget_fs fs;
    bool power;
    uint64_t generation; /* handles of an older one died with the power */
    uint64_t cuts;
    struct faults faults;
};

/* A request and where its answer goes. */
struct call {
    struct forgetful *forgetful;
    struct fuse_wire *wire;
    const struct fuse_in_header *in;
    const uint8_t *args;
    size_t len;
    uint8_t *scratch;
    struct inode *inode; /* of in->nodeid */
};

static void answer(const struct call *call, int error, const void *data, size_t len)
{
    fuse_wire_answer(call->wire, call->in, error, data, len);
}

static void lock(struct forgetful *forgetful)
{
    CHECK(pthread_mutex_lock(&forgetful->lock) == 0);
}

static void unlock(struct forgetful *forgetful)
{
    CHECK(pthread_mutex_unlock(&forgetful->lock) == 0);
}

/* ---- attributes and names -------------------------------------------------------------------- */

static struct fuse_attr attr_of(const struct inode *inode)
{
    return (struct fuse_attr){
        .ino = inode->id,
        .size = inode->data.size,
        .blocks = (inode->data.size + 511) / 512,
        .mtime = (uint64_t)inode->mtime.tv_sec,
        .mtimensec = (uint32_t)inode->mtime.tv_nsec,
        .ctime = (uint64_t)inode->mtime.tv_sec,
        .atime = (uint64_t)inode->mtime.tv_sec,
        .mode = inode->mode,
        .nlink = S_ISDIR(inode->mode) ? 2 : 1,
        .uid = inode->uid,
        .gid = inode->gid,
        .blksize = PAGE_BYTES,
    };
}

/* The kernel is told of the inode and will say when it has forgotten it. */
static struct fuse_entry_out entry_of(struct inode *inode)
{
    inode->known++;
    forget_fs_hold(inode);
    return (struct fuse_entry_out){.nodeid = inode->id, .attr = attr_of(inode)};
}

static void forget_one(struct forgetful *forgetful, uint64_t id, uint64_t count)
{
    struct inode *inode = NULL;

    HASH_FIND(hh, forgetful->fs.inodes, &id, sizeof id, inode);
    while (inode != NULL && count > 0 && inode->known > 0) {
        bool last = --inode->known == 0 || --count == 0;
        forget_fs_release(&forgetful->fs, inode);
        inode = last ? NULL : inode;
    }
}

static void do_forget(const struct call *call)
{
    const struct fuse_forget_in *one = (const void *)call->args;
    const struct fuse_batch_forget_in *batch = (const void *)call->args;
    const struct fuse_forget_one *each = (const void *)(call->args + sizeof *batch);

    if (call->in->opcode == FUSE_FORGET) {
        forget_one(call->forgetful, call->in->nodeid, one->nlookup);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        forget_one(call->forgetful, each[i].nodeid, each[i].nlookup);
    }
}

static void do_lookup(const struct call *call)
{
    struct inode *inode = forget_fs_lookup(call->inode, (const char *)call->args);

    if (inode == NULL) {
        answer(call, ENOENT, NULL, 0);
        return;
    }
    struct fuse_entry_out out = entry_of(inode);
    answer(call, 0, &out, sizeof out);
}

static void do_getattr(const struct call *call)
{
    struct fuse_attr_out out = {.attr = attr_of(call->inode)};

    answer(call, 0, &out, sizeof out);
}

static void do_setattr(const struct call *call)
{
    const struct fuse_setattr_in *set = (const void *)call->args;
    struct inode *inode = call->inode;

    if ((set->valid & FATTR_SIZE) != 0) {
        forget_data_truncate(&inode->data, set->size);
    }
    if ((set->valid & FATTR_MODE) != 0) {
        inode->mode = (inode->mode & S_IFMT) | (set->mode & 07777);
    }
    if ((set->valid & FATTR_UID) != 0) {
        inode->uid = set->uid;
    }
    if ((set->valid & FATTR_GID) != 0) {
        inode->gid = set->gid;
    }
    if ((set->valid & FATTR_MTIME) != 0) {
        inode->mtime.tv_sec = (time_t)set->mtime;
        inode->mtime.tv_nsec = set->mtimensec;
    }
    if ((set->valid & (FATTR_MTIME_NOW | FATTR_SIZE)) != 0) {
        (void)clock_gettime(CLOCK_REALTIME, &inode->mtime);
    }
    do_getattr(call);
}

static int create(const struct call *call, const char *name, mode_t mode,
                  struct fuse_entry_out *out)
{
    struct inode *inode = NULL;
    int error = forget_fs_create(&call->forgetful->fs, call->inode, name, mode, call->in->uid,
                                 call->in->gid, &inode);

    if (error == 0) {
        *out = entry_of(inode);
    }
    return error;
}

static struct fuse_open_out open_out(const struct call *call)
{
    return (struct fuse_open_out){.fh = call->forgetful->generation,
                                  .open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES};
}

static void do_create(const struct call *call)
{
    const struct fuse_create_in *in = (const void *)call->args;
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {.open = open_out(call)};
    int error = create(call, (const char *)(in + 1), S_IFREG | (in->mode & 07777), &out.entry);

    if (error == 0) {
        forget_fs_hold(forget_fs_inode(&call->forgetful->fs, out.entry.nodeid));
    }
    answer(call, error, &out, sizeof out);
}

static void do_make(const struct call *call)
{
    const struct fuse_mknod_in *node = (const void *)call->args;
    const struct fuse_mkdir_in *dir = (const void *)call->args;
    struct fuse_entry_out out;
    int error = 0;

    if (call->in->opcode == FUSE_MKDIR) {
        error = create(call, (const char *)(dir + 1), S_IFDIR | (dir->mode & 07777), &out);
    } else if (S_ISREG(node->mode)) {
        error = create(call, (const char *)(node + 1), S_IFREG | (node->mode & 07777), &out);
    } else {
        error = EPERM;
    }
    answer(call, error, &out, sizeof out);
}

static void do_rename(const struct call *call)
{
    const struct fuse_rename_in *one = (const void *)call->args;
    const struct fuse_rename2_in *two = (const void *)call->args;
    bool old_form = call->in->opcode == FUSE_RENAME;
    uint32_t flags = old_form ? 0 : two->flags;
    const char *old = (const char *)call->args + (old_form ? sizeof *one : sizeof *two);
    const char *name = old + strlen(old) + 1;
    struct inode *to = forget_fs_inode(&call->forgetful->fs, one->newdir);
    int error = EINVAL;

    if (to == NULL) {
        error = ESTALE;
    } else if ((flags & ~1u) == 0) { /* 1: RENAME_NOREPLACE */
        error = forget_fs_rename(&call->forgetful->fs, call->inode, old, to, name, flags == 0);
    }
    answer(call, error, NULL, 0);
}

/* ---- handles --------------------------------------------------------------------------------- */

static void do_open(const struct call *call)
{
    struct fuse_open_out out = open_out(call);

    if (call->in->opcode == FUSE_OPENDIR) {
        out.open_flags = 0;
    }
    forget_fs_hold(call->inode);
    answer(call, 0, &out, sizeof out);
}

static void do_release(const struct call *call)
{
    struct inode *inode = NULL;

    HASH_FIND(hh, call->forgetful->fs.inodes, &call->in->nodeid, sizeof call->in->nodeid, inode);
    if (inode != NULL) {
        forget_fs_release(&call->forgetful->fs, inode);
    }
    answer(call, 0, NULL, 0);
}

/* 0, or EIO if the handle is from before a power failure. */
static int stale(const struct call *call, uint64_t handle)
{
    return handle == call->forgetful->generation ? 0 : EIO;
}

static void do_read(const struct call *call)
{
    const struct fuse_read_in *in = (const void *)call->args;
    size_t len = in->size < FUSE_WIRE_DATA_MAX ? in->size : FUSE_WIRE_DATA_MAX;
    int error = stale(call, in->fh);

    if (error == 0) {
        len = forget_data_read(&call->inode->data, in->offset, call->scratch, len);
    }
    answer(call, error, call->scratch, len);
}

static void do_write(const struct call *call)
{
    const struct fuse_write_in *in = (const void *)call->args;
    struct fuse_write_out out = {.size = in->size};
    int error = stale(call, in->fh);

    CHECK(sizeof *in + in->size <= call->len);
    if (error == 0) {
        forget_data_write(&call->inode->data, in->offset, call->args + sizeof *in, in->size);
        (void)clock_gettime(CLOCK_REALTIME, &call->inode->mtime);
    }
    answer(call, error, &out, sizeof out);
}

static void do_sync(const struct call *call, int fault)
{
    const struct fuse_fsync_in *in = (const void *)call->args;
    int error = stale(call, in->fh);

    if (error == 0 && fault != 0) {
        forget_data_fail_sync(&call->inode->data);
        error = fault;
    } else if (error == 0 && call->in->opcode == FUSE_FSYNCDIR) {
        forget_fs_sync_dir(&call->forgetful->fs, call->inode);
    } else if (error == 0) {
        error = forget_data_sync(&call->inode->data);
    }
    answer(call, error, NULL, 0);
}

static void do_readdir(const struct call *call)
{
    const struct fuse_read_in *in = (const void *)call->args;
    size_t room = in->size < FUSE_WIRE_DATA_MAX ? in->size : FUSE_WIRE_DATA_MAX;
    size_t len = 0;
    int error = stale(call, in->fh);

    for (const struct entry *entry = call->inode->now; entry != NULL; entry = entry->hh.next) {
        size_t name_len = strlen(entry->name);
        size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name_len);
        if (entry->cookie <= in->offset) {
            continue;
        }
        if (len + size > room) {
            break;
        }
        struct fuse_dirent *out = (void *)(call->scratch + len);
        memset(out, 0, size);
        out->ino = entry->inode->id;
        out->off = entry->cookie;
        out->namelen = (uint32_t)name_len;
        out->type = (entry->inode->mode & S_IFMT) >> 12;
        memcpy(out->name, entry->name, name_len);
        len += size;
    }
    answer(call, error, call->scratch, len);
}

static void do_statfs(const struct call *call)
{
    struct fuse_statfs_out out = {.st = {.namelen = FORGET_NAME_MAX}};
    struct statvfs stat;

    if (fstatvfs(call->forgetful->fs.backing, &stat) == 0) {
        out.st.blocks = stat.f_blocks;
        out.st.bfree = stat.f_bfree;
        out.st.bavail = stat.f_bavail;
        out.st.files = stat.f_files;
        out.st.ffree = stat.f_ffree;
        out.st.bsize = (uint32_t)stat.f_bsize;
        out.st.frsize = (uint32_t)stat.f_frsize;
    }
    answer(call, 0, &out, sizeof out);
}

static void do_fallocate(const struct call *call)
{
    const struct fuse_fallocate_in *in = (const void *)call->args;
    int error = in->mode == 0 ? stale(call, in->fh) : EOPNOTSUPP;

    if (error == 0 && in->offset + in->length > call->inode->data.size) {
        forget_data_truncate(&call->inode->data, in->offset + in->length);
    }
    answer(call, error, NULL, 0);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void dispatch(const struct call *call, int fault)
{
    switch (call->in->opcode) {
    case FUSE_LOOKUP:
        do_lookup(call);
        return;
    case FUSE_GETATTR:
        do_getattr(call);
        return;
    case FUSE_SETATTR:
        do_setattr(call);
        return;
    case FUSE_CREATE:
        do_create(call);
        return;
    case FUSE_MKNOD:
    case FUSE_MKDIR:
        do_make(call);
        return;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        answer(call,
               forget_fs_remove(&call->forgetful->fs, call->inode, (const char *)call->args,
                                call->in->opcode == FUSE_RMDIR),
               NULL, 0);
        return;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        do_rename(call);
        return;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        do_open(call);
        return;
    case FUSE_READ:
        do_read(call);
        return;
    case FUSE_WRITE:
        do_write(call);
        return;
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        do_sync(call, fault);
        return;
    case FUSE_READDIR:
        do_readdir(call);
        return;
    case FUSE_STATFS:
        do_statfs(call);
        return;
    case FUSE_FALLOCATE:
        do_fallocate(call);
        return;
    default:
        answer(call, ENOSYS, NULL, 0);
    }
}

static int pass_faults(struct forgetful *forgetful, uint32_t opcode)
{
    switch (opcode) {
    case FUSE_READ:
        return faults_pass(&forgetful->faults, FAULT_READ);
    case FUSE_WRITE:
        return faults_pass(&forgetful->faults, FAULT_WRITE);
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        return faults_pass(&forgetful->faults, FAULT_FSYNC);
    default:
        return 0;
    }
}

/* False: the power failed while the request was waiting, or before. Holds the lock if true. */
static bool with_power(struct forgetful *forgetful, uint64_t generation)
{
    lock(forgetful);
    while (!forgetful->power) {
        CHECK(pthread_cond_wait(&forgetful->power_back, &forgetful->lock) == 0);
    }
    if (forgetful->generation != generation) {
        unlock(forgetful);
        return false;
    }
    return true;
}

static uint64_t generation_now(struct forgetful *forgetful)
{
    lock(forgetful);
    uint64_t generation = forgetful->generation - (forgetful->power ? 0 : 1);
    unlock(forgetful);
    return generation;
}

static void handle(void *ctx, struct fuse_wire *wire, const struct fuse_in_header *in,
                   const void *args, size_t len, uint8_t *scratch)
{
    struct forgetful *forgetful = ctx;
    struct call call = {forgetful, wire, in, args, len, scratch, NULL};

    if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET) {
        lock(forgetful);
        do_forget(&call);
        unlock(forgetful);
        return;
    }
    if (in->opcode == FUSE_RELEASE || in->opcode == FUSE_RELEASEDIR) {
        lock(forgetful);
        do_release(&call);
        unlock(forgetful);
        return;
    }
    uint64_t generation = generation_now(forgetful);
    int fault = pass_faults(forgetful, in->opcode);
    bool syncing = in->opcode == FUSE_FSYNC || in->opcode == FUSE_FSYNCDIR;
    if (!with_power(forgetful, generation)) {
        answer(&call, EIO, NULL, 0);
        return;
    }
    call.inode = forget_fs_inode(&forgetful->fs, in->nodeid);
    if (call.inode == NULL || (fault != 0 && !syncing)) {
        answer(&call, call.inode == NULL ? ESTALE : fault, NULL, 0);
    } else {
        dispatch(&call, fault);
    }
    unlock(forgetful);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void cut(struct forgetful *forgetful, const struct control_words *words, bool stay_off,
                char *out)
{
    const char *seed = control_text(words, 1, "seed");
    const char *names = control_text(words, 1, "names");
    struct prng prng;
    struct forget_sum sum = {0};

    prng_init(&prng, seed != NULL ? strtoull(seed, NULL, 10) : 0);
    bool any = names != NULL ? strcmp(names, "any") == 0 : prng_chance(&prng, 1, 2);
    lock(forgetful);
    int error = forget_fs_forget(&forgetful->fs, seed != NULL ? &prng : NULL, any, &sum);
    forgetful->power = !stay_off;
    forgetful->generation++;
    forgetful->cuts++;
    unlock(forgetful);
    (void)snprintf(out, CONTROL_LINE_MAX,
                   "%s pieces_lost=%" PRIu64 " pieces_kept=%" PRIu64 " names_lost=%" PRIu64
                   " names_kept=%" PRIu64,
                   error == 0 ? "ok" : strerror(error), sum.pieces_lost, sum.pieces_kept,
                   sum.names_lost, sum.names_kept);
}

static void power_on(struct forgetful *forgetful)
{
    lock(forgetful);
    forgetful->power = true;
    CHECK(pthread_cond_broadcast(&forgetful->power_back) == 0);
    unlock(forgetful);
}

static void stats(struct forgetful *forgetful, char *out)
{
    char ops[CONTROL_LINE_MAX / 2];
    uint64_t pieces = 0;
    uint64_t names = 0;

    faults_stats(&forgetful->faults, ops, sizeof ops);
    lock(forgetful);
    forget_fs_unsynced(&forgetful->fs, &pieces, &names);
    (void)snprintf(out, CONTROL_LINE_MAX,
                   "ok power=%s cuts=%" PRIu64 " unsynced_pieces=%" PRIu64
                   " unsynced_names=%" PRIu64 " %s",
                   forgetful->power ? "on" : "off", forgetful->cuts, pieces, names, ops);
    unlock(forgetful);
}

static void command(void *ctx, const struct control_words *words, char *out)
{
    struct forgetful *forgetful = ctx;
    const char *verb = words->count > 0 ? words->word[0] : "";

    if (strcmp(verb, "cut") == 0 || strcmp(verb, "forget") == 0) {
        cut(forgetful, words, strcmp(verb, "cut") == 0, out);
    } else if (strcmp(verb, "on") == 0) {
        power_on(forgetful);
        (void)snprintf(out, CONTROL_LINE_MAX, "ok");
    } else if (strcmp(verb, "stats") == 0) {
        stats(forgetful, out);
    } else if (strcmp(verb, "fault") == 0) {
        faults_command(&forgetful->faults, words, out);
    } else {
        (void)snprintf(out, CONTROL_LINE_MAX, "error cut|forget|on|stats|fault");
    }
}

/* ---- start ----------------------------------------------------------------------------------- */

static int serve(struct forgetful *forgetful, const char *dir, const char *socket, bool foreground)
{
    struct fuse_wire wire = {.handle = handle, .ctx = forgetful};
    int listener = -1;
    int error = control_listen(socket, &listener);

    if (error != 0) {
        (void)fprintf(stderr, "forgetful: %s: %s\n", socket, strerror(error));
        return 1;
    }
    error = fuse_wire_mount(&wire, dir, "forgetful");
    if (error != 0) {
        (void)fprintf(stderr, "forgetful: cannot mount on %s: %s%s\n", dir, strerror(error),
                      error == EPERM ? " (needs root)" : "");
        return 1;
    }
    /* The parent returns when the file system is there. */
    if (!foreground && daemon(1, 0) != 0) {
        return 1;
    }
    control_start(listener, command, forgetful);
    fuse_wire_serve(&wire, THREADS);
    (void)unlink(socket);
    return 0;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: forgetful mount BACKING MOUNTPOINT SOCKET [--foreground]   (needs root)\n"
                  "       forgetful ask SOCKET cut|forget|on|stats|fault ...\n");
    return 2;
}

int main(int argc, char **argv)
{
    static struct forgetful forgetful;
    struct rlimit limit;

    if (argc >= 4 && strcmp(argv[1], "ask") == 0) {
        return control_ask(argv[2], argc - 3, argv + 3);
    }
    if (argc < 5 || strcmp(argv[1], "mount") != 0) {
        return usage();
    }
    int backing = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (backing < 0) {
        (void)fprintf(stderr, "forgetful: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(pthread_mutex_init(&forgetful.lock, NULL) == 0);
    CHECK(pthread_cond_init(&forgetful.power_back, NULL) == 0);
    faults_init(&forgetful.faults);
    forgetful.power = true;
    forgetful.generation = 1;
    forget_fs_init(&forgetful.fs, backing, getuid(), getgid());
    return serve(&forgetful, argv[3], argv[4], argc > 5);
}
