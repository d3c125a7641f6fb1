/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and fsyncs of records wait on the thread pool; a vote, a term, a name in a directory the loop
 * waits for itself, since nothing may go on without them. On a disk that hangs it stands still there
 * with all connections open, and clients wait for answers that another node could give. So after a
 * while the process ends. It may be unable to: a thread inside such a call cannot be killed. Hence
 * the sockets are closed first. */
#include "daemon/disk_watch.h"

#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/trace.h"
#include "net/abandon.h"
#include "store/disk_real.h"

#define LOOK_MS     250
#define PATIENCE_MS 3000 /* more than a slow disk takes; the others have gone on after D */

struct disk_watch {
    const struct disk *disk;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t cond;
    bool stop;
};

static void end(const struct disk_real_call *call)
{
    trace_error("event=fatal error=EIO what=\"the disk hangs: a call does not return\" call=%s "
                "path=%s ms=%d do=\"look at the kernel's log; start ternd again when the disk "
                "answers\"",
                call->what, call->path, PATIENCE_MS);
    net_abandon();
    _exit(1);
}

/* Looks are counted, not time: a process that was stopped has not waited. */
static void look(void *arg)
{
    struct disk_watch *watch = arg;
    uint64_t seen = 0;
    unsigned looks = 0;

    uv_mutex_lock(&watch->mutex);
    while (!watch->stop) {
        struct disk_real_call call;
        bool inside = disk_real_calls(watch->disk, &call);
        looks = inside && call.number == seen ? looks + 1 : 0;
        seen = call.number;
        if (looks >= PATIENCE_MS / LOOK_MS) {
            end(&call);
        }
        (void)uv_cond_timedwait(&watch->cond, &watch->mutex, LOOK_MS * UINT64_C(1000000));
    }
    uv_mutex_unlock(&watch->mutex);
}

struct disk_watch *disk_watch_new(const struct disk *disk)
{
    struct disk_watch *watch = mem_new(sizeof *watch);

    watch->disk = disk;
    CHECK(uv_mutex_init(&watch->mutex) == 0);
    CHECK(uv_cond_init(&watch->cond) == 0);
    CHECK(uv_thread_create(&watch->thread, look, watch) == 0);
    return watch;
}

void disk_watch_free(struct disk_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    uv_mutex_lock(&watch->mutex);
    watch->stop = true;
    uv_cond_signal(&watch->cond);
    uv_mutex_unlock(&watch->mutex);
    (void)uv_thread_join(&watch->thread);
    uv_mutex_destroy(&watch->mutex);
    uv_cond_destroy(&watch->cond);
    free(watch);
}
