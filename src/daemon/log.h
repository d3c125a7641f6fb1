/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr: ts=... level=... node=... region=... event=... (logfmt), or the same fields
 * as one JSON object a line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"

void log_start(enum trace_level level, bool json, uint32_t node_id, const char *region);
/* The fields of a line (`word key=value key="some words"`) as a JSON object; what is no field goes
 * to "text". Cut at the end of a field if it does not fit. */
void log_json(const char *ts, const char *level, const char *line, char *out, size_t size);
