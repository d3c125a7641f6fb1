/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRACE_LINE_MAX 320
#define TRACE_RING     128

static char ring[TRACE_RING][TRACE_LINE_MAX];
static unsigned long ring_next;
static trace_sink *sink_now;
static enum trace_level level_max = TRACE_INFO;
static char who_now[96];

static const char *level_name(enum trace_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    CHECK((size_t)level < ARRAY_COUNT(names));
    return names[level];
}

static void to_stderr(enum trace_level level, const char *line)
{
    (void)fprintf(stderr, "level=%s %s\n", level_name(level), line);
}

void trace_set_sink(trace_sink *sink)
{
    sink_now = sink;
}

void trace_set_level(enum trace_level level)
{
    level_max = level;
}

void trace_set_who(const char *who)
{
    (void)snprintf(who_now, sizeof who_now, "%s", who);
}

void trace(enum trace_level level, const char *format, ...)
{
    va_list args;
    char *line = ring[ring_next++ % TRACE_RING];
    int used = who_now[0] != '\0' ? snprintf(line, TRACE_LINE_MAX, "%s ", who_now) : 0;

    va_start(args, format);
    (void)vsnprintf(line + used, (size_t)(TRACE_LINE_MAX - used), format, args);
    va_end(args);
    if (level <= level_max) {
        (sink_now != NULL ? sink_now : to_stderr)(level, line);
    }
}

void trace_dump_tail(void)
{
    unsigned long from = ring_next > TRACE_RING ? ring_next - TRACE_RING : 0;

    (void)fprintf(stderr, "trace tail:\n");
    for (; from < ring_next; from++) {
        (void)fprintf(stderr, "  %s\n", ring[from % TRACE_RING]);
    }
}
