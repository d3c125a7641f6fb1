/* SPDX-License-Identifier: Apache-2.0 */
#include "net/moderation.h"

uint64_t moderation_wait_ns(struct moderation *moderation, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - moderation->began_ns;
    bool many = moderation->frames >= MODERATION_FRAMES && moderation->bytes < MODERATION_BYTES;
    uint64_t wait_ns = many && passed_ns < MODERATION_NS ? MODERATION_NS - passed_ns : 0;

    *moderation = (struct moderation){.began_ns = now_ns + wait_ns};
    return wait_ns;
}
