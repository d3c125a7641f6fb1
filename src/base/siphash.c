/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

#include "base/buf.h"

struct sip {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static void sip_rounds(struct sip *s, unsigned count)
{
    for (; count > 0; count--) {
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
    }
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_rounds(s, 2);
    s->v0 ^= word;
}

static uint64_t sip_result(const struct sip *s)
{
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct siphash siphash128(const uint8_t key[16], struct slice in)
{
    uint64_t k0 = get_le64(key);
    uint64_t k1 = get_le64(key + 8);
    struct sip s = {0x736f6d6570736575U ^ k0, 0x646f72616e646f6dU ^ k1 ^ 0xee,
                    0x6c7967656e657261U ^ k0, 0x7465646279746573U ^ k1};
    uint8_t last[8] = {0};
    struct siphash out;
    size_t at = 0;

    for (; in.len - at >= 8; at += 8) {
        sip_word(&s, get_le64(in.base + at));
    }
    if (in.len > at) {
        memcpy(last, in.base + at, in.len - at);
    }
    last[7] = (uint8_t)in.len;
    sip_word(&s, get_le64(last));
    s.v2 ^= 0xee;
    sip_rounds(&s, 4);
    out.low = sip_result(&s);
    s.v1 ^= 0xdd;
    sip_rounds(&s, 4);
    out.high = sip_result(&s);
    return out;
}
