/* SPDX-License-Identifier: Apache-2.0 */
/* A seeded generator (xoshiro256**, seeded by splitmix64): same seed, same run. Not for secrets. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *prng, uint64_t bound);
/* Uniform in [low, high], low <= high. */
uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high);
/* True with probability parts / whole. */
bool prng_chance(struct prng *prng, uint64_t parts, uint64_t whole);
/* A generator of its own for one component, so that a draw more there shifts nothing elsewhere. */
struct prng prng_split(struct prng *prng);
