/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_text(struct uuid id, char out[UUID_TEXT_SIZE])
{
    unsigned bits = 0;
    unsigned have = 0;
    unsigned at = 0;

    for (unsigned i = 0; i < sizeof id.bytes; i++) {
        bits = (bits << 8) | id.bytes[i];
        have += 8;
        while (have >= 6) {
            have -= 6;
            out[at++] = alphabet[(bits >> have) & 63];
        }
    }
    out[at++] = alphabet[(bits << (6 - have)) & 63];
    out[at] = '\0';
}

bool uuid_parse(const char *text, struct uuid *out)
{
    struct uuid id = {{0}};
    unsigned bits = 0;
    unsigned have = 0;
    unsigned at = 0;

    if (strlen(text) != UUID_TEXT_SIZE - 1) {
        return false;
    }
    for (; *text != '\0'; text++) {
        const char *found = strchr(alphabet, *text);
        if (found == NULL) {
            return false;
        }
        bits = (bits << 6) | (unsigned)(found - alphabet);
        have += 6;
        if (have >= 8 && at < sizeof id.bytes) {
            have -= 8;
            id.bytes[at++] = (uint8_t)(bits >> have);
        }
    }
    *out = id;
    return true;
}

struct uuid uuid_from_random(uint64_t high, uint64_t low)
{
    struct uuid id;

    put_be64(id.bytes, high);
    put_be64(id.bytes + 8, low);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}
