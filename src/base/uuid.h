/* SPDX-License-Identifier: Apache-2.0 */
/* 16 opaque bytes: topic ids, the cluster id. Text form is Kafka's: 22 characters of base64url. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define UUID_TEXT_SIZE 23 /* with the NUL */

struct uuid {
    uint8_t bytes[16];
};

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_zero(struct uuid a)
{
    return uuid_equal(a, (struct uuid){{0}});
}

void uuid_text(struct uuid id, char out[UUID_TEXT_SIZE]);
/* False if the text is not a uuid; then *out is untouched. */
bool uuid_parse(const char *text, struct uuid *out);
/* A version-4 uuid from 128 random bits. */
struct uuid uuid_from_random(uint64_t high, uint64_t low);
