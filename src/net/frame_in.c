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

/* Off the front of `bytes`; what frame_in_room gave the place for is there already. */
static void take(struct slice *bytes, uint8_t *out, size_t len)
{
    if (len > 0 && out != bytes->base) {
        memcpy(out, bytes->base, len);
    }
    *bytes = slice_of(bytes->base + len, bytes->len - len);
}

/* Room for the `wanted` first bytes of the frame, all of which have arrived or one more, and for what
 * may follow them. */
static void make_room(struct frame_in *in, size_t wanted)
{
    size_t many = FRAME_GROWTH * wanted;
    size_t len = in->believed || in->need <= in->longest
                     ? in->need
                     : smaller(in->need, many > FIRST_BYTES ? many : FIRST_BYTES);

    if (in->blob == NULL) {
        in->blob = blob_new(len);
    } else if (wanted > in->blob->len) {
        in->blob = blob_resize(in->blob, len);
    }
}

uint8_t *frame_in_room(struct frame_in *in, size_t least, size_t *out_len)
{
    if (in->blob == NULL || in->need - in->have < least) {
        return NULL;
    }
    if (in->have == in->blob->len) {
        make_room(in, in->have + 1);
    }
    *out_len = in->blob->len - in->have;
    return *out_len >= least ? in->blob->bytes + in->have : NULL;
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
    make_room(in, in->have + len);
    take(bytes, in->blob->bytes + in->have, len);
    in->have += len;
    if (in->have < in->need) {
        return 0;
    }
    CHECK(in->blob->len == in->need);
    in->longest = in->need > in->longest ? in->need : in->longest;
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
