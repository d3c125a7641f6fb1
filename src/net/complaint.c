/* SPDX-License-Identifier: Apache-2.0 */
#include "net/complaint.h"

#include <stdio.h>
#include <string.h>

#define SAME_US          60000000
#define LINES_PER_SECOND 50

static uint64_t mix(uint64_t hash, const char *text)
{
    do { /* with the NUL, so that two texts do not run together */
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    } while (*text++ != '\0');
    return hash;
}

static void printable(char *out, size_t size, const char *text)
{
    size_t at = 0;

    for (; text[at] != '\0' && at + 1 < size; at++) {
        out[at] = text[at] >= ' ' && text[at] <= '~' && text[at] != '"' ? text[at] : '?';
    }
    out[at] = '\0';
}

/* True: say it. *out_repeated: how often it was not said before. */
static bool allowed(struct complaints *complaints, uint64_t key, uint32_t lines,
                    uint32_t *out_repeated)
{
    uint64_t now_us = clock_now_us(complaints->clock);
    size_t at = 0;

    for (size_t i = 0; i < COMPLAINTS_KEPT; i++) {
        if (complaints->kept[i].key == key) {
            at = i;
            break;
        }
        if (complaints->kept[i].since_us < complaints->kept[at].since_us) {
            at = i;
        }
    }
    *out_repeated = 0;
    if (complaints->kept[at].key != key || now_us - complaints->kept[at].since_us >= SAME_US) {
        *out_repeated = complaints->kept[at].key == key ? complaints->kept[at].repeated : 0;
        complaints->kept[at].key = key;
        complaints->kept[at].since_us = now_us;
        complaints->kept[at].lines = 0;
        complaints->kept[at].repeated = 0;
    }
    if (complaints->kept[at].lines >= lines) {
        complaints->kept[at].repeated++;
        return false;
    }
    complaints->kept[at].lines++;
    if (now_us / 1000000 != complaints->second) {
        complaints->second = now_us / 1000000;
        complaints->lines = 0;
    }
    if (complaints->lines >= LINES_PER_SECOND) {
        complaints->unsaid++;
        return false;
    }
    complaints->lines++;
    return true;
}

void complain(struct complaints *complaints, uint32_t lines, const char *event, const char *key,
              const char *who, const char *reason)
{
    uint64_t hash = mix(mix(mix(0xcbf29ce484222325u, event), key), reason);
    char safe_who[96];
    char safe_reason[200];
    uint32_t repeated;

    if (!allowed(complaints, hash | 1, lines, &repeated)) {
        return;
    }
    printable(safe_who, sizeof safe_who, who);
    printable(safe_reason, sizeof safe_reason, reason);
    if (repeated > 0 || complaints->unsaid > 0) {
        trace_warn("event=%s peer=\"%s\" why=\"%s\" repeated=%u unsaid=%u", event, safe_who,
                   safe_reason, repeated, complaints->unsaid);
        complaints->unsaid = 0;
    } else {
        trace_warn("event=%s peer=\"%s\" why=\"%s\"", event, safe_who, safe_reason);
    }
}
