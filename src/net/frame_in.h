/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a byte stream into frames: u32 big-endian length, then that many bytes, into one blob.
 *
 * A claimed length is only a limit: memory is at most 4 KiB + FRAME_GROWTH x what has arrived, unless
 * its owner believes it, or a frame of that length has come whole before. */
#pragma once

#include "base/blob.h"
#include "base/check.h"

#define FRAME_PREFIX 4
#define FRAME_GROWTH 4

struct frame_in {
    struct blob *blob; /* NULL: the prefix is being read; its len is what is allocated */
    size_t have;
    uint32_t need;
    uint32_t longest; /* that came whole */
    uint8_t prefix[FRAME_PREFIX];
    uint8_t prefix_have;
    bool believed; /* by its owner: the other side has shown who it is */
};

void frame_in_fini(struct frame_in *in);
/* Takes bytes off the front. 1: *out is a whole frame, its reference passes to the caller; call
 * again with the rest. 0: all bytes are taken. ETOOBIG, EMALFORMED: the length is not between
 * len_min and len_max (see frame_in_length); nothing can follow. */
int frame_in_feed(struct frame_in *in, struct slice *bytes, uint32_t len_min, uint32_t len_max,
                  struct blob **out) TERN_MUST_USE;
/* Where the next bytes of the frame under way can be read to, up to its end, if those are at least so
 * many; NULL: they are not, or it is not known. Whoever has put bytes there gives them to
 * frame_in_feed next, by the same address. */
uint8_t *frame_in_room(struct frame_in *in, size_t least, size_t *out_len);
/* The length that the last complete prefix claims. */
uint32_t frame_in_length(const struct frame_in *in);
/* Bytes allocated for the frame under way. */
size_t frame_in_memory(const struct frame_in *in);
