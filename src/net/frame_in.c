/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame_in.h"

#include "base/buf.h"
#include "base/error.h"

#define FIRST_BYTES 4096

void frame_in_fini(struct frame_in *in)
{
    blob_unref(in->blob);
    *in = (struct frame_in){0};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void take(struct slice *bytes, uint8_t *out, size_t len)
{
    if (len > 0) {
        memcpy(out, bytes->base, len);
        *bytes = slice_of(bytes->base + len, bytes->len - len);
    }
}

/* Room for `more` bytes, never more than twice of what is there then. */
static void make_room(struct frame_in *in, size_t more)
{
    size_t wanted = in->have + more;

    if (in->blob == NULL) {
        in->blob = blob_new(smaller(in->need, wanted > FIRST_BYTES ? wanted : FIRST_BYTES));
    } else if (wanted > in->blob->len) {
        size_t twice = in->blob->len * 2;
        in->blob = blob_resize(in->blob, smaller(in->need, wanted > twice ? wanted : twice));
    }
}

int frame_in_feed(struct frame_in *in, struct slice *bytes, uint32_t len_min, uint32_t len_max,
                  struct blob **out)
{
    if (in->prefix_have < FRAME_PREFIX) {
        size_t len = smaller((size_t)(FRAME_PREFIX - in->prefix_have), bytes->len);
        take(bytes, in->prefix + in->prefix_have, len);
        in->prefix_have = (uint8_t)(in->prefix_have + len);
        if (in->prefix_have < FRAME_PREFIX) {
            return 0;
        }
        in->need = get_be32(in->prefix);
        in->have = 0;
    }
    if (in->need > len_max) {
        return TERN_ETOOBIG;
    }
    if (in->need < len_min) {
        return TERN_EMALFORMED;
    }
    size_t len = smaller(in->need - in->have, bytes->len);
    make_room(in, len);
    take(bytes, in->blob->bytes + in->have, len);
    in->have += len;
    if (in->have < in->need) {
        return 0;
    }
    CHECK(in->blob->len == in->need);
    *out = in->blob;
    in->blob = NULL;
    in->prefix_have = 0;
    return 1;
}

uint32_t frame_in_length(const struct frame_in *in)
{
    return get_be32(in->prefix);
}

size_t frame_in_memory(const struct frame_in *in)
{
    return in->blob != NULL ? in->blob->len : 0;
}
