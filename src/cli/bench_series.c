/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_series.h"

#include <stdlib.h>

#include "base/check.h"

void bench_series_init(struct bench_series *series, uint64_t interval_us)
{
    CHECK(interval_us > 0);
    *series = (struct bench_series){.interval_us = interval_us};
}

void bench_series_fini(struct bench_series *series)
{
    free(series->at);
    series->at = NULL;
    series->count = series->room = 0;
}

static void close_interval(struct bench_series *series)
{
    if (series->count == series->room) {
        series->room = series->room > 0 ? 2 * series->room : 64;
        series->at = mem_grow(series->at, series->room, sizeof *series->at);
    }
    series->at[series->count++] =
        (struct bench_interval){.count = series->now.count,
                                .p50_us = bench_hist_at(&series->now, 50000),
                                .p99_us = bench_hist_at(&series->now, 99000),
                                .max_us = series->now.max};
    if (series->now.count > 0) {
        bench_hist_clear(&series->now);
    }
}

void bench_series_note(struct bench_series *series, uint64_t at_us, uint64_t value_us,
                       uint64_t weight)
{
    uint64_t index = at_us / series->interval_us;

    if (index >= BENCH_SERIES_MAX) {
        return;
    }
    while (series->count < index) {
        close_interval(series);
    }
    bench_hist_note_many(&series->now, value_us, weight);
}

void bench_series_end(struct bench_series *series)
{
    if (series->now.count > 0) {
        close_interval(series);
    }
}
