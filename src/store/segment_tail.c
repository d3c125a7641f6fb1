/* SPDX-License-Identifier: Apache-2.0 */
/* The last block of a segment that is written to, in memory. A write that begins inside a block and is
 * large enough is made of whole blocks: the beginning of the first one is written again, the rest of
 * the last one with zeros. Then all of it can go past the page cache (the real disk does that with what lies on
 * the bounds of blocks), and no page is left that a sync would have to write. Behind the end of what is written to a segment nothing counts. */
#include "store/store_impl.h"

struct tail {
    uint64_t end; /* place in the file; the bytes are those before it, back to the block's begin */
    uint8_t bytes[JOURNAL_BLOCK];
};

static const uint8_t zeros[JOURNAL_BLOCK];

static size_t in_block(uint64_t pos)
{
    return (size_t)(pos % JOURNAL_BLOCK);
}

void segment_tail_drop(struct segment *segment)
{
    free(segment->tail);
    segment->tail = NULL;
}

bool segment_tail_front(struct segment *segment, uint64_t pos, struct disk_extent *out)
{
    if (pos == SEGMENT_HEADER && segment->tail == NULL) {
        segment->tail = mem_new(sizeof *segment->tail);
        segment->tail->end = pos;
        segment_header(segment, segment->tail->bytes);
    }
    if (in_block(pos) != 0 && (segment->tail == NULL || segment->tail->end != pos)) {
        return false;
    }
    const uint8_t *bytes = in_block(pos) != 0 ? segment->tail->bytes : zeros;
    *out = (struct disk_extent){segment->file, pos - in_block(pos), slice_of(bytes, in_block(pos))};
    if (MUTANT(tail_unkept)) {
        out->bytes.base = zeros;
    }
    return true;
}

struct disk_extent segment_tail_back(const struct segment *segment, uint64_t end)
{
    size_t rest = in_block(end) != 0 ? JOURNAL_BLOCK - in_block(end) : 0;

    return (struct disk_extent){segment->file, end, slice_of(zeros, rest)};
}

void segment_tail_note(struct segment *segment, uint64_t pos, struct slice bytes)
{
    uint64_t end = pos + bytes.len;
    uint64_t begin = end - in_block(end);

    if (segment->tail == NULL) {
        segment->tail = mem_new(sizeof *segment->tail);
        segment->tail->end = UINT64_MAX;
    }
    if (begin >= pos) {
        memcpy(segment->tail->bytes, bytes.base + (begin - pos), in_block(end));
    } else if (segment->tail->end == pos) {
        memcpy(segment->tail->bytes + in_block(pos), bytes.base, bytes.len);
    } else {
        end = UINT64_MAX; /* its beginning is not known */
    }
    segment->tail->end = end;
}
