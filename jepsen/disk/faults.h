/* SPDX-License-Identifier: Apache-2.0 */
/* Switches that make reads, writes and syncs of a rig fail, wait, or never return. Safe to use
 * from several threads; `faults_pass` blocks its caller. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "jepsen/disk/control.h"

enum fault_op { FAULT_READ, FAULT_WRITE, FAULT_FSYNC, FAULT_OPS };
enum fault_mode { FAULT_OK, FAULT_EIO, FAULT_HANG, FAULT_DELAY };

struct fault {
    enum fault_mode mode;
    uint64_t after;    /* so many ops pass before the fault begins */
    uint64_t count;    /* so many ops are hit, then it ends by itself */
    uint64_t delay_ms; /* FAULT_DELAY */
};

struct faults {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fault fault[FAULT_OPS];
    uint64_t seen[FAULT_OPS];
    uint64_t hit[FAULT_OPS];
    uint64_t hanging;
};

void faults_init(struct faults *faults);
/* Counts the op, waits as told; 0 or EIO. */
int faults_pass(struct faults *faults, enum fault_op op);
/* `fault read|write|fsync|all ok|eio|hang|delay [after=N] [count=N] [ms=N]`. What hangs goes on
 * when the switch of its op is set anew. */
void faults_command(struct faults *faults, const struct control_words *words, char *answer);
/* `reads=N writes=N ...` for the answer to `stats`. */
void faults_stats(struct faults *faults, char *out, size_t size);
