/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

#include <isa-l/crc.h>
#include <limits.h>

#include "base/check.h"

#ifdef __x86_64__
#define SHORT_MAX 8 /* libisal takes as long for one byte as for sixty */

__attribute__((target("sse4.2"))) static uint32_t sum_short(uint32_t state, struct slice bytes)
{
    for (; bytes.len >= 4; bytes.len -= 4, bytes.base += 4) {
        uint32_t word;
        memcpy(&word, bytes.base, sizeof word);
        state = __builtin_ia32_crc32si(state, word);
    }
    for (; bytes.len > 0; bytes.len--, bytes.base++) {
        state = __builtin_ia32_crc32qi(state, *bytes.base);
    }
    return state;
}
#endif

uint32_t crc32c_more(uint32_t crc, struct slice bytes)
{
    CHECK(bytes.len <= INT_MAX);
#ifdef __x86_64__
    if (bytes.len <= SHORT_MAX && __builtin_cpu_supports("sse4.2")) {
        return ~sum_short(~crc, bytes);
    }
#endif
    /* libisal takes and returns the register, without the final inversion; it does not write
     * through the pointer, although the prototype lacks const. */
    union {
        const uint8_t *in;
        unsigned char *out;
    } at = {.in = bytes.base};
    return ~crc32_iscsi(at.out, (int)bytes.len, ~crc);
}

uint32_t crc32c(struct slice bytes)
{
    return crc32c_more(0, bytes);
}
