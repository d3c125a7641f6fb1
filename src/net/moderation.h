/* SPDX-License-Identifier: Apache-2.0 */
/* When the loop lets events gather. Each turn costs some 100 us of processor time for system calls, TLS
 * records, packets and wake-ups, whatever it carries; where small frames come fast, most turns would
 * carry few. Then turns begin some distance apart, which delays each frame by at most that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODERATION_NS     2000000U /* between the beginnings of two turns */
#define MODERATION_FRAMES 16U      /* ... after one that brought as many: 8,000 a second */
#define MODERATION_BYTES  131072U  /* ... but not so many bytes: large frames are few */

/* All zeros: nothing has come yet. */
struct moderation {
    unsigned frames; /* from other nodes, since the loop waited last */
    size_t bytes;    /* from anybody */
    uint64_t began_ns;
};

/* The loop is about to wait for events: how long it should not look for them yet. A new turn begins then. */
uint64_t moderation_wait_ns(struct moderation *moderation, uint64_t now_ns);
