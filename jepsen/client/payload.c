/* SPDX-License-Identifier: Apache-2.0 */
/* "KEY VALUE HASH FILLING": the hash is over everything else, so that a byte that changed anywhere, a payload of another partition,
 * or half of one is noticed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

static uint64_t hash(uint64_t from, const char *bytes, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        from = (from ^ (unsigned char)bytes[n]) * 0x100000001b3; /* FNV-1a */
    }
    return from;
}

static uint64_t hash_all(const char *key, int64_t value, const char *filling, size_t len)
{
    char head[128];
    int head_len = snprintf(head, sizeof head, "%s %" PRId64, key, value);

    return hash(hash(0xcbf29ce484222325, head, (size_t)head_len), filling, len);
}

size_t payload_make(char *out, size_t size, const char *key, int64_t value, uint64_t salt)
{
    struct dice dice = {salt};
    size_t head = (size_t)snprintf(out, 120, "%s %" PRId64 " ................ ", key, value);
    char digits[17];

    if (size < head + 1) {
        size = head + 1;
    }
    for (size_t n = head; n < size; n++) {
        out[n] = (char)('a' + dice_roll(&dice, 26));
    }
    (void)snprintf(digits, sizeof digits, "%016" PRIx64,
                   hash_all(key, value, out + head, size - head));
    memcpy(out + head - 17, digits, 16);
    return size;
}

int64_t payload_read(const char *bytes, size_t len, const char *key)
{
    size_t key_len = strlen(key);
    char digits[32] = "";
    char found[17] = "";
    size_t at = key_len + 1;
    size_t n = 0;
    char *end;
    int64_t value;

    if (bytes == NULL || len < key_len + 20 || memcmp(bytes, key, key_len) != 0 ||
        bytes[key_len] != ' ') {
        return -1;
    }
    while (at < len && n < sizeof digits - 1 && bytes[at] != ' ') {
        digits[n++] = bytes[at++];
    }
    value = strtoll(digits, &end, 10);
    if (n == 0 || *end != '\0' || at + 18 > len) {
        return -1;
    }
    memcpy(found, bytes + at + 1, 16);
    at += 18;
    if (strtoull(found, &end, 16) != hash_all(key, value, bytes + at, len - at) || *end != '\0') {
        return -1;
    }
    return value;
}
