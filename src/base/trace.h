/* SPDX-License-Identifier: Apache-2.0 */
/* What the program tells: one line each, `event=word key=value ...`.
 *
 * Pure rooms do not log failures, they return them. Debug lines go only into a ring in memory,
 * which a failed CHECK prints. One sink per process, set by `daemon` (stderr) or a test. Only the
 * loop thread may call these. */
#pragma once

#include "base/check.h"

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_INFO, TRACE_DEBUG };

typedef void trace_sink(enum trace_level level, const char *line);

/* NULL restores the default sink: stderr, with wall time. */
void trace_set_sink(trace_sink *sink);
/* Lines above this level go to the ring only. Default: info. */
void trace_set_level(enum trace_level level);
/* Prepended to every line, e.g. "node=1 region=eu-west"; copied, at most 96 bytes. */
void trace_set_who(const char *who);
void trace(enum trace_level level, const char *format, ...) TERN_PRINTF(2, 3);
/* Prints the ring to stderr, oldest line first. */
void trace_dump_tail(void);

#define trace_error(...) trace(TRACE_ERROR, __VA_ARGS__)
#define trace_warn(...)  trace(TRACE_WARN, __VA_ARGS__)
#define trace_info(...)  trace(TRACE_INFO, __VA_ARGS__)
#define trace_debug(...) trace(TRACE_DEBUG, __VA_ARGS__)
