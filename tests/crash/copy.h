/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of the disk at one write point: what a store holds that is opened on it. */
#pragma once

#include "tests/crash/run.h"

/* A copy of the disk loses power (or only its process), and a store is opened on it and used a
 * little. NULL if it holds all that it must; else what is wrong. */
const char *copy_check_variant(struct run *run, uint64_t seed);
