/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr: ts=... level=... node=... region=... event=... (logfmt). */
#pragma once

#include <stdint.h>

#include "base/trace.h"

void log_start(enum trace_level level, uint32_t node_id, const char *region);
