/* SPDX-License-Identifier: Apache-2.0 */
#include "jepsen/disk/faults.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const op_names[] = {"read", "write", "fsync"};
static const char *const mode_names[] = {"ok", "eio", "hang", "delay"};

void faults_init(struct faults *faults)
{
    memset(faults, 0, sizeof *faults);
    CHECK(pthread_mutex_init(&faults->lock, NULL) == 0);
    CHECK(pthread_cond_init(&faults->changed, NULL) == 0);
}

int faults_pass(struct faults *faults, enum fault_op op)
{
    struct fault *fault = &faults->fault[op];
    uint64_t delay_ms = 0;
    int error = 0;

    CHECK(pthread_mutex_lock(&faults->lock) == 0);
    faults->seen[op]++;
    if (fault->mode != FAULT_OK && fault->after > 0) {
        fault->after--;
    } else if (fault->mode != FAULT_OK && fault->count > 0) {
        fault->count--;
        faults->hit[op]++;
        faults->hanging++;
        while (fault->mode == FAULT_HANG) {
            CHECK(pthread_cond_wait(&faults->changed, &faults->lock) == 0);
        }
        faults->hanging--;
        error = fault->mode == FAULT_EIO ? EIO : 0;
        delay_ms = fault->mode == FAULT_DELAY ? fault->delay_ms : 0;
    }
    CHECK(pthread_mutex_unlock(&faults->lock) == 0);
    if (delay_ms > 0) {
        (void)usleep((useconds_t)(delay_ms * 1000));
    }
    return error;
}

static size_t index_of(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;

    while (i < count && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

void faults_command(struct faults *faults, const struct control_words *words, char *answer)
{
    const char *name = words->count > 2 ? words->word[1] : "";
    size_t op = index_of(op_names, ARRAY_COUNT(op_names), name);
    size_t mode =
        index_of(mode_names, ARRAY_COUNT(mode_names), words->count > 2 ? words->word[2] : "");
    bool all = strcmp(name, "all") == 0;

    if (mode == ARRAY_COUNT(mode_names) || (op == ARRAY_COUNT(op_names) && !all)) {
        (void)snprintf(answer, CONTROL_LINE_MAX,
                       "error fault read|write|fsync|all ok|eio|hang|delay [after=N] [count=N] "
                       "[ms=N]");
        return;
    }
    struct fault fault = {
        .mode = (enum fault_mode)mode,
        .after = control_number(words, 3, "after", 0),
        .count = control_number(words, 3, "count", UINT64_MAX),
        .delay_ms = control_number(words, 3, "ms", 100),
    };
    CHECK(pthread_mutex_lock(&faults->lock) == 0);
    for (size_t i = 0; i < FAULT_OPS; i++) {
        if (all || i == op) {
            faults->fault[i] = fault;
        }
    }
    CHECK(pthread_cond_broadcast(&faults->changed) == 0);
    CHECK(pthread_mutex_unlock(&faults->lock) == 0);
    (void)snprintf(answer, CONTROL_LINE_MAX, "ok");
}

void faults_stats(struct faults *faults, char *out, size_t size)
{
    CHECK(pthread_mutex_lock(&faults->lock) == 0);
    (void)snprintf(out, size,
                   "reads=%" PRIu64 " writes=%" PRIu64 " fsyncs=%" PRIu64 " reads_hit=%" PRIu64
                   " writes_hit=%" PRIu64 " fsyncs_hit=%" PRIu64 " hanging=%" PRIu64,
                   faults->seen[FAULT_READ], faults->seen[FAULT_WRITE], faults->seen[FAULT_FSYNC],
                   faults->hit[FAULT_READ], faults->hit[FAULT_WRITE], faults->hit[FAULT_FSYNC],
                   faults->hanging);
    CHECK(pthread_mutex_unlock(&faults->lock) == 0);
}
