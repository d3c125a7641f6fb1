/* SPDX-License-Identifier: Apache-2.0 */
/* A line a second while a run goes on, on stderr: in place on a terminal, else one below the other. */
#pragma once

#include <stdbool.h>

#include "cli/bench_hist.h"

struct bench_progress {
    bool shown;
    uint64_t start_us;
    uint64_t told_us;
    struct bench_hist recent;
};

void bench_progress_begin(struct bench_progress *progress, bool shown, uint64_t now_us);
void bench_progress_note(struct bench_progress *progress, uint64_t value_us, uint64_t records);
/* `more` is the end of the line. */
void bench_progress_tell(struct bench_progress *progress, const char *more, uint64_t now_us);
/* Takes the line away, for what is printed next. */
void bench_progress_wipe(const struct bench_progress *progress);
