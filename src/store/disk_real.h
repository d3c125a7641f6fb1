/* SPDX-License-Identifier: Apache-2.0 */
/* The real disk: one directory of a file system, system calls, ops on threads of its own
 * (disk_workers.h). */
#pragma once

#include "base/check.h"
#include "base/disk.h"

struct uv_loop_s;

/* Opens (makes, if missing) the directory `root` and locks it: ELOCKED if another process holds it.
 * Everything is called on the thread of `loop`; the done of an op comes from that loop. */
int disk_real_open(struct uv_loop_s *loop, const char *root, struct disk **out) TERN_MUST_USE;
/* Ops whose done has not been called yet. disk_real_close must not be called before it is 0. */
unsigned disk_real_ops_under_way(const struct disk *disk);
/* The synchronous call that the disk's thread is in, from whichever thread it is asked; false: none. Each
 * has a number of its own. What and path are valid as long as the call lasts. */
struct disk_real_call {
    uint64_t number;
    const char *what;
    const char *path; /* in the root */
};
bool disk_real_calls(const struct disk *disk, struct disk_real_call *out);
/* Gives the lock back; the loop must turn once more. All files must be closed; store_close after this
 * would be too late. */
void disk_real_close(struct disk *disk);
