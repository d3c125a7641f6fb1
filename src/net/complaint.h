/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines about others, so that nobody can fill our log: the same event, peer and reason only a
 * few times a minute (then with a count), and not more than a few dozen lines a second in all. */
#pragma once

#include "base/clock.h"
#include "base/trace.h"

#define COMPLAINTS_KEPT 128

struct complaints {
    struct clock *clock;
    struct {
        uint64_t key; /* 0: free */
        uint64_t since_us;
        uint32_t lines;
        uint32_t repeated;
    } kept[COMPLAINTS_KEPT];
    uint64_t second;
    uint32_t lines; /* in this second */
    uint32_t unsaid;
};

/* `event` is a word of ours. `key`: who, without what changes between attempts (the port);
 * `who` and `reason` may be a peer's words: they are made printable. `lines`: how many of the same
 * per minute. */
void complain(struct complaints *complaints, uint32_t lines, const char *event, const char *key,
              const char *who, const char *reason);
