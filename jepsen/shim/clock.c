/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: shifts the wall clock of one ternd. The shift, nanoseconds as a 64-bit number, is in the file `clock` beside the
 * ternd.yaml that its command line names; whoever writes there moves the clock of the running process. The monotonic clock is
 * left alone, as on a real machine. In any other program nothing changes. */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static const volatile int64_t *shift;

__attribute__((constructor)) static void find_shift(void)
{
    static const char config[] = "/ternd.yaml";
    char words[8192];
    char path[PATH_MAX];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, words, sizeof words - 1) : -1;

    (void)close(fd);
    if (len <= 0) {
        return;
    }
    words[len] = '\0';
    const char *name = strrchr(words, '/');
    if (name == NULL || strcmp(name, "/ternd") != 0) {
        return; /* argv[0] only: strrchr stops at the first NUL */
    }
    for (const char *word = words; word < words + len; word += strlen(word) + 1) {
        size_t end = strlen(word);
        if (end > sizeof config - 1 && strcmp(word + end - (sizeof config - 1), config) == 0 &&
            end < sizeof path) {
            (void)snprintf(path, sizeof path, "%.*s/clock", (int)(end - (sizeof config - 1)), word);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
            (void)close(fd);
            shift = page == MAP_FAILED ? NULL : page;
            return;
        }
    }
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *out)
{
    int status = (int)syscall(SYS_clock_gettime, clock, out);

    if (status == 0 && shift != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + *shift;
        out->tv_sec = ns / 1000000000;
        out->tv_nsec = ns % 1000000000;
    }
    return status;
}

EXPORT int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

EXPORT time_t time(time_t *out)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
