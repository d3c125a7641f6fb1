/* SPDX-License-Identifier: Apache-2.0 */
/* badblock: one file, `disk`, whose reads, writes and syncs fail, wait or hang on command; a loop
 * device on it is a disk that does. See README.md. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jepsen/disk/control.h"
#include "jepsen/disk/faults.h"
#include "jepsen/disk/fuse_wire.h"

#define THREADS   32
#define ROOT_ID   1u
#define DISK_ID   2u
#define DISK_NAME "disk"
#define FOREVER   86400u /* seconds: nothing here changes names */

struct badblock {
    int backing;
    uint64_t size;
    struct faults faults;
};

static struct fuse_attr attr_of(const struct badblock *badblock, uint64_t id)
{
    bool is_root = id == ROOT_ID;

    return (struct fuse_attr){
        .ino = id,
        .size = is_root ? 0 : badblock->size,
        .blocks = is_root ? 0 : badblock->size / 512,
        .mode = is_root ? S_IFDIR | 0755 : S_IFREG | 0600,
        .nlink = is_root ? 2 : 1,
        .uid = getuid(),
        .gid = getgid(),
        .blksize = 4096,
    };
}

static int64_t transfer(const struct badblock *badblock, bool write, uint8_t *into,
                        const uint8_t *from, uint64_t pos, size_t len)
{
    size_t done = 0;

    while (done < len) {
        off_t at = (off_t)(pos + done);
        ssize_t n = write ? pwrite(badblock->backing, from + done, len - done, at)
                          : pread(badblock->backing, into + done, len - done, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (int64_t)done;
}

static void do_read(struct badblock *badblock, struct fuse_wire *wire,
                    const struct fuse_in_header *in, const struct fuse_read_in *read,
                    uint8_t *scratch)
{
    size_t len = read->size < FUSE_WIRE_DATA_MAX ? read->size : FUSE_WIRE_DATA_MAX;
    int error = faults_pass(&badblock->faults, FAULT_READ);
    int64_t n = error == 0 ? transfer(badblock, false, scratch, NULL, read->offset, len) : -error;

    fuse_wire_answer(wire, in, n < 0 ? (int)-n : 0, scratch, n < 0 ? 0 : (size_t)n);
}

static void do_write(struct badblock *badblock, struct fuse_wire *wire,
                     const struct fuse_in_header *in, const struct fuse_write_in *write)
{
    const uint8_t *bytes = (const uint8_t *)(write + 1);
    struct fuse_write_out out = {.size = write->size};
    int error = faults_pass(&badblock->faults, FAULT_WRITE);

    if (error == 0 && write->offset + write->size > badblock->size) {
        error = ENOSPC;
    }
    if (error == 0) {
        int64_t n = transfer(badblock, true, NULL, bytes, write->offset, write->size);
        error = n < 0 ? (int)-n : 0;
    }
    fuse_wire_answer(wire, in, error, &out, sizeof out);
}

static void do_lookup(const struct badblock *badblock, struct fuse_wire *wire,
                      const struct fuse_in_header *in, const char *name)
{
    struct fuse_entry_out out = {.nodeid = DISK_ID,
                                 .entry_valid = FOREVER,
                                 .attr_valid = FOREVER,
                                 .attr = attr_of(badblock, DISK_ID)};
    bool found = in->nodeid == ROOT_ID && strcmp(name, DISK_NAME) == 0;

    fuse_wire_answer(wire, in, found ? 0 : ENOENT, &out, sizeof out);
}

static void handle(void *ctx, struct fuse_wire *wire, const struct fuse_in_header *in,
                   const void *args, size_t len, uint8_t *scratch)
{
    struct badblock *badblock = ctx;
    struct fuse_attr_out attr = {.attr_valid = FOREVER, .attr = attr_of(badblock, in->nodeid)};
    struct fuse_open_out open = {.open_flags = FOPEN_DIRECT_IO};
    struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};

    (void)len;
    switch (in->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        return;
    case FUSE_LOOKUP:
        do_lookup(badblock, wire, in, args);
        return;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        fuse_wire_answer(wire, in, 0, &attr, sizeof attr);
        return;
    case FUSE_OPEN:
        fuse_wire_answer(wire, in, 0, &open, sizeof open);
        return;
    case FUSE_READ:
        do_read(badblock, wire, in, args, scratch);
        return;
    case FUSE_WRITE:
        do_write(badblock, wire, in, args);
        return;
    case FUSE_FSYNC:
        fuse_wire_answer(wire, in, faults_pass(&badblock->faults, FAULT_FSYNC), NULL, 0);
        return;
    case FUSE_STATFS:
        fuse_wire_answer(wire, in, 0, &statfs, sizeof statfs);
        return;
    case FUSE_RELEASE:
        fuse_wire_answer(wire, in, 0, NULL, 0);
        return;
    default:
        fuse_wire_answer(wire, in, ENOSYS, NULL, 0);
    }
}

static void command(void *ctx, const struct control_words *words, char *out)
{
    struct badblock *badblock = ctx;
    const char *verb = words->count > 0 ? words->word[0] : "";

    if (strcmp(verb, "fault") == 0) {
        faults_command(&badblock->faults, words, out);
    } else if (strcmp(verb, "stats") == 0) {
        size_t len = (size_t)snprintf(out, CONTROL_LINE_MAX, "ok ");
        faults_stats(&badblock->faults, out + len, CONTROL_LINE_MAX - len);
    } else {
        (void)snprintf(out, CONTROL_LINE_MAX, "error fault|stats");
    }
}

static int serve(struct badblock *badblock, const char *dir, const char *socket)
{
    struct fuse_wire wire = {.handle = handle, .ctx = badblock};
    int listener = -1;
    int error = control_listen(socket, &listener);

    if (error != 0) {
        (void)fprintf(stderr, "badblock: %s: %s\n", socket, strerror(error));
        return 1;
    }
    error = fuse_wire_mount(&wire, dir, "badblock");
    if (error != 0) {
        (void)fprintf(stderr, "badblock: cannot mount on %s: %s%s\n", dir, strerror(error),
                      error == EPERM ? " (needs root)" : "");
        return 1;
    }
    if (daemon(1, 0) != 0) {
        return 1;
    }
    control_start(listener, command, badblock);
    fuse_wire_serve(&wire, THREADS);
    (void)unlink(socket);
    return 0;
}

int main(int argc, char **argv)
{
    static struct badblock badblock;
    struct stat stat;

    if (argc >= 4 && strcmp(argv[1], "ask") == 0) {
        return control_ask(argv[2], argc - 3, argv + 3);
    }
    if (argc != 5 || strcmp(argv[1], "mount") != 0) {
        (void)fprintf(stderr, "usage: badblock mount IMAGE MOUNTPOINT SOCKET   (needs root)\n"
                              "       badblock ask SOCKET fault|stats ...\n");
        return 2;
    }
    badblock.backing = open(argv[2], O_RDWR | O_CLOEXEC);
    if (badblock.backing < 0 || fstat(badblock.backing, &stat) != 0) {
        (void)fprintf(stderr, "badblock: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    badblock.size = (uint64_t)stat.st_size;
    (void)signal(SIGPIPE, SIG_IGN);
    faults_init(&badblock.faults);
    return serve(&badblock, argv[3], argv[4]);
}
