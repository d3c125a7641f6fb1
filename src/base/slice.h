/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes. Never NUL-ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *base;
    size_t len;
};

static inline struct slice slice_of(const void *base, size_t len)
{
    return (struct slice){base, len};
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* As memcmp; what is longer and begins with the other comes later. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.base, b.base, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}
