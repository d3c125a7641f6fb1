/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), by libisal: "123456789" gives 0xe3069283. */
#pragma once

#include "base/slice.h"

uint32_t crc32c(struct slice bytes);
/* Continues a sum: crc32c_more(crc32c(a), b) equals the sum of a followed by b. */
uint32_t crc32c_more(uint32_t crc, struct slice bytes);
