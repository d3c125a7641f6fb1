/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 with 128 bits of result (Aumasson, Bernstein): of keys that strangers choose, where two
 * of one hash would be taken for one. The key is secret; the same key gives the same hash. */
#pragma once

#include "base/slice.h"

struct siphash {
    uint64_t low;
    uint64_t high;
};

struct siphash siphash128(const uint8_t key[16], struct slice in);
