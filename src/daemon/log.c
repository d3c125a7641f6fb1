/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static void to_stderr(enum trace_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm parts;
    char stamp[32] = "";

    if (clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &parts) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    CHECK((size_t)level < ARRAY_COUNT(names));
    (void)fprintf(stderr, "ts=%s.%03ldZ level=%s %s\n", stamp, now.tv_nsec / 1000000, names[level],
                  line);
}

void log_start(enum trace_level level, uint32_t node_id, const char *region)
{
    char who[96];

    (void)snprintf(who, sizeof who, "node=%u region=%s", node_id, region);
    (void)setvbuf(stderr, NULL, _IOLBF, 0); /* one line, one write */
    trace_set_who(who);
    trace_set_level(level);
    trace_set_sink(to_stderr);
}
