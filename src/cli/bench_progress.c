/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_progress.h"

#include <stdio.h>
#include <unistd.h>

#define EVERY_US 1000000

void bench_progress_begin(struct bench_progress *progress, bool shown, uint64_t now_us)
{
    progress->shown = shown;
    progress->start_us = progress->told_us = now_us;
    bench_hist_clear(&progress->recent);
}

void bench_progress_note(struct bench_progress *progress, uint64_t value_us, uint64_t records)
{
    if (progress->shown) {
        bench_hist_note_many(&progress->recent, value_us, records);
    }
}

void bench_progress_tell(struct bench_progress *progress, const char *more, uint64_t now_us)
{
    const struct bench_hist *recent = &progress->recent;

    if (!progress->shown || now_us < progress->told_us + EVERY_US) {
        return;
    }
    double seconds = (double)(now_us - progress->told_us) / 1e6;
    bench_progress_wipe(progress);
    (void)fprintf(stderr, "%6.1f s  %8.0f records/s  p50 %.2f ms  p99 %.2f ms  max %.2f ms  %s%s",
                  (double)(now_us - progress->start_us) / 1e6, (double)recent->count / seconds,
                  (double)bench_hist_at(recent, 50000) / 1e3,
                  (double)bench_hist_at(recent, 99000) / 1e3, (double)recent->max / 1e3, more,
                  isatty(STDERR_FILENO) ? "" : "\n");
    progress->told_us = now_us;
    bench_hist_clear(&progress->recent);
}

void bench_progress_wipe(const struct bench_progress *progress)
{
    if (progress->shown && isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\033[K");
    }
}
