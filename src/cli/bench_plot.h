/* SPDX-License-Identifier: Apache-2.0 */
/* The result of a run as a picture (SVG): percentiles, and latency and records over time. */
#pragma once

#include "cli/bench_run.h"

/* false: errno tells. Text in it comes from the plan and is escaped. */
bool bench_plot_write(const struct bench_plan *plan, const struct bench_result *result,
                      const char *path) TERN_MUST_USE;
