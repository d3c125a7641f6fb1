/* SPDX-License-Identifier: Apache-2.0 */
#include "jepsen/disk/fuse_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUEST_MAX (FUSE_WIRE_DATA_MAX + 64u * 1024)
#define THREADS_MAX 64
#define PROTOCOL    31 /* minor version whose structs we speak */
#define PAGE        4096u

int fuse_wire_mount(struct fuse_wire *wire, const char *dir, const char *name)
{
    char type[64];
    char options[160];

    wire->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (wire->fd < 0) {
        return errno;
    }
    (void)snprintf(type, sizeof type, "fuse.%s", name);
    (void)snprintf(options, sizeof options,
                   "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
                   "max_read=%u",
                   wire->fd, FUSE_WIRE_DATA_MAX);
    if (mount(name, dir, type, MS_NOSUID | MS_NODEV, options) != 0) {
        int error = errno;
        (void)close(wire->fd);
        return error;
    }
    return 0;
}

void fuse_wire_answer(struct fuse_wire *wire, const struct fuse_in_header *in, int error,
                      const void *data, size_t len)
{
    struct fuse_out_header out = {.unique = in->unique, .error = -error};
    union {
        const void *in;
        void *out; /* struct iovec serves reads, too */
    } bytes = {.in = data};
    struct iovec iov[2] = {{&out, sizeof out}, {bytes.out, error == 0 ? len : 0}};

    out.len = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
    /* ENOENT: the request was interrupted or aborted; nobody waits for the answer. */
    (void)!writev(wire->fd, iov, iov[1].iov_len > 0 ? 2 : 1);
}

static void answer_init(struct fuse_wire *wire, const struct fuse_in_header *in,
                        const struct fuse_init_in *init)
{
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = PROTOCOL};

    out.max_readahead = init->max_readahead;
    out.flags = init->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES |
                               FUSE_PARALLEL_DIROPS | FUSE_ASYNC_DIO);
    out.max_background = 64;
    out.congestion_threshold = 48;
    out.max_write = FUSE_WIRE_DATA_MAX;
    out.max_pages = FUSE_WIRE_DATA_MAX / PAGE;
    out.time_gran = 1;
    fuse_wire_answer(wire, in, init->major < FUSE_KERNEL_VERSION ? EPROTO : 0, &out, sizeof out);
}

static void *serve(void *arg)
{
    struct fuse_wire *wire = arg;
    uint8_t *request = mem_new(REQUEST_MAX);
    uint8_t *scratch = mem_new(FUSE_WIRE_DATA_MAX);

    for (;;) {
        ssize_t n = read(wire->fd, request, REQUEST_MAX);
        if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) {
            continue;
        }
        if (n < (ssize_t)sizeof(struct fuse_in_header)) {
            break; /* ENODEV: unmounted */
        }
        const struct fuse_in_header *in = (const void *)request;
        const uint8_t *args = request + sizeof *in;
        size_t len = (size_t)n - sizeof *in;
        if (in->opcode == FUSE_INIT) {
            answer_init(wire, in, (const void *)args);
        } else if (in->opcode == FUSE_INTERRUPT) {
            continue; /* whoever is interrupted waits on, as one does for a disk */
        } else {
            wire->handle(wire->ctx, wire, in, args, len, scratch);
        }
    }
    free(request);
    free(scratch);
    return NULL;
}

void fuse_wire_serve(struct fuse_wire *wire, unsigned threads)
{
    pthread_t ids[THREADS_MAX];

    CHECK(threads > 0 && threads <= THREADS_MAX);
    for (unsigned i = 0; i < threads; i++) {
        CHECK(pthread_create(&ids[i], NULL, serve, wire) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
    }
}
