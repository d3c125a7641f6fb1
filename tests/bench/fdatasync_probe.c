/* SPDX-License-Identifier: Apache-2.0 */
/* What the disk takes alone: writes of `bytes` at `rate` a second into a preallocated, zero-filled
 * file that is overwritten as a ring, each followed by fdatasync, `jobs` processes at once with a
 * file each. Prints percentiles of write + fdatasync as JSON.
 *
 *     fdatasync_probe DIRECTORY BYTES RATE SECONDS JOBS */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/bench_hist.h"

#define RING_BYTES (64u << 20)
#define JOBS_MAX   16

static uint64_t now_us(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sleep_until(uint64_t at_us)
{
    struct timespec at = {.tv_sec = (time_t)(at_us / 1000000),
                          .tv_nsec = (long)(at_us % 1000000) * 1000};

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static int ring(const char *directory, unsigned job)
{
    static char zeros[1 << 20];
    char path[1024];

    (void)snprintf(path, sizeof path, "%s/fdatasync_probe.%u", directory, job);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    (void)unlink(path);
    for (unsigned at = 0; at < RING_BYTES; at += sizeof zeros) {
        CHECK(write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros);
    }
    CHECK(fsync(fd) == 0);
    return fd;
}

static void probe(int fd, size_t bytes, uint64_t rate, uint64_t seconds, struct bench_hist *hist)
{
    char *block = mem_new(bytes);
    uint64_t start_us = now_us();
    off_t at = 0;

    memset(block, 0x5a, bytes);
    for (uint64_t n = 0; n < rate * seconds; n++) {
        sleep_until(start_us + n * 1000000 / rate);
        uint64_t before_us = now_us();
        CHECK(pwrite(fd, block, bytes, at) == (ssize_t)bytes);
        CHECK(fdatasync(fd) == 0);
        bench_hist_note(hist, now_us() - before_us);
        at = at + 2 * (off_t)bytes > (off_t)RING_BYTES ? 0 : at + (off_t)bytes;
    }
    free(block);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(stderr, "usage: fdatasync_probe DIRECTORY BYTES RATE SECONDS JOBS\n");
        return 2;
    }
    size_t bytes = strtoul(argv[2], NULL, 10);
    uint64_t rate = strtoul(argv[3], NULL, 10);
    uint64_t seconds = strtoul(argv[4], NULL, 10);
    unsigned jobs = (unsigned)strtoul(argv[5], NULL, 10);
    if (bytes == 0 || bytes > RING_BYTES / 2 || rate == 0 || jobs == 0 || jobs > JOBS_MAX) {
        return 2;
    }
    struct bench_hist *hists =
        mmap(NULL, jobs * sizeof *hists, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(hists != MAP_FAILED);
    int fds[JOBS_MAX];
    for (unsigned job = 0; job < jobs; job++) {
        fds[job] = ring(argv[1], job);
    }
    for (unsigned job = 0; job < jobs; job++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            probe(fds[job], bytes, rate, seconds, &hists[job]);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    for (unsigned job = 1; job < jobs; job++) {
        bench_hist_add(&hists[0], &hists[job]);
    }
    (void)printf("{\"count\": %llu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
                 (unsigned long long)hists[0].count, (double)bench_hist_at(&hists[0], 50000) / 1e3,
                 (double)bench_hist_at(&hists[0], 99000) / 1e3, (double)hists[0].max / 1e3);
    return 0;
}
