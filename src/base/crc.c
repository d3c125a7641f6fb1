/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

#include <isa-l/crc.h>
#include <limits.h>

#include "base/check.h"

uint32_t crc32c_more(uint32_t crc, struct slice bytes)
{
    CHECK(bytes.len <= INT_MAX);
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
