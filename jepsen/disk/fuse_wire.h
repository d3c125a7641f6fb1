/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's FUSE protocol without libfuse: mount, read requests, send answers.
 *
 * Each thread reads a request, hands it to `handle`, and that answers it once, at once or after as
 * long as it likes: a request that is not answered is a disk that hangs. Mounting needs root. */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define FUSE_WIRE_DATA_MAX (1u << 20) /* bytes of one READ or WRITE */

struct fuse_wire {
    int fd;
    void (*handle)(void *ctx, struct fuse_wire *wire, const struct fuse_in_header *in,
                   const void *args, size_t len, uint8_t *scratch);
    void *ctx;
};

/* Mounts on `dir` (which must exist), type `fuse.<name>`. 0 or an errno. */
int fuse_wire_mount(struct fuse_wire *wire, const char *dir, const char *name) TERN_MUST_USE;
/* Serves with so many threads; returns when the file system has been unmounted.
 * `handle` gets FUSE_WIRE_DATA_MAX bytes of scratch that are its own until it returns. */
void fuse_wire_serve(struct fuse_wire *wire, unsigned threads);
/* error: 0 or a positive errno (then there is no data). */
void fuse_wire_answer(struct fuse_wire *wire, const struct fuse_in_header *in, int error,
                      const void *data, size_t len);
