/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"

#include "base/check.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->state[i] = splitmix64(&seed);
    }
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    CHECK(bound > 0);
    return prng_next(prng) % bound;
}

uint64_t prng_between(struct prng *prng, uint64_t low, uint64_t high)
{
    CHECK(low <= high);
    uint64_t span = high - low + 1;
    return span == 0 ? prng_next(prng) : low + prng_next(prng) % span;
}

bool prng_chance(struct prng *prng, uint64_t parts, uint64_t whole)
{
    return prng_below(prng, whole) < parts;
}

struct prng prng_split(struct prng *prng)
{
    struct prng split;

    prng_init(&split, prng_next(prng));
    return split;
}
