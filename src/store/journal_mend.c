/* SPDX-License-Identifier: Apache-2.0 */
/* What can still be told of a journal group that has lost sectors.
 *
 * Two things are needed to tell its frames apart: the group's header and every frame's header. They
 * stand in the group itself and, where the padding had room, once more in a directory at its end. */
#include "base/crc.h"
#include "store/journal_format.h"

struct mend {
    struct slice bytes;
    uint32_t seed;
    uint32_t first_sector;
    struct journal_stamp stamp; /* of the group; run 0: not known yet */
    const struct journal_stamp *least;
    uint32_t sectors; /* at most so many belong to it */
};

static bool is_good(struct mend *mend, uint32_t index)
{
    struct journal_stamp stamp;
    const uint8_t *at = mend->bytes.base + (size_t)index * JOURNAL_SECTOR;

    if (journal_sector_check(at, mend->seed, mend->first_sector + index, &stamp) != SECTOR_VALID ||
        stamp.sequence != mend->least->sequence || stamp.group != mend->least->group ||
        stamp.run < mend->least->run) {
        return false;
    }
    if (mend->stamp.run == 0) {
        mend->stamp = stamp;
    }
    return stamp.run == mend->stamp.run;
}

/* Up to the last sector that says it belongs to the group; holes are at most a block. */
static uint32_t reach(struct mend *mend)
{
    uint32_t there = (uint32_t)(mend->bytes.len / JOURNAL_SECTOR);
    uint32_t last = 0;

    for (uint32_t i = 0; i < there && i <= last + 2 * JOURNAL_SECTOR_PER_BLOCK; i++) {
        last = is_good(mend, i) ? i + 1 : last;
    }
    return last;
}

static void gather(const struct mend *mend, uint32_t from, uint32_t count, struct buf *out)
{
    for (uint32_t i = from; i < from + count; i++) {
        buf_put(out, slice_of(mend->bytes.base + (size_t)i * JOURNAL_SECTOR, JOURNAL_PAYLOAD));
    }
}

/* The directory that begins in sector `index`; false if none does. */
static bool directory_at(struct mend *mend, uint32_t index, struct journal_group *out_group,
                         struct buf *out_items)
{
    const uint8_t *at = mend->bytes.base + (size_t)index * JOURNAL_SECTOR;
    struct buf all = {0};
    bool good = false;

    if (!is_good(mend, index) || get_le32(at) != DIRECTORY_MAGIC) {
        return false;
    }
    uint64_t len = (uint64_t)DIRECTORY_HEADER + get_le32(at + 4);
    uint64_t count = (len + JOURNAL_PAYLOAD - 1) / JOURNAL_PAYLOAD;
    if (count > mend->sectors - index || !journal_group_read(at + 8, out_group) ||
        out_group->sectors != index + count || (uint32_t)out_group->number != mend->stamp.group) {
        return false;
    }
    for (uint32_t i = 1; i < count; i++) {
        if (!is_good(mend, index + i)) {
            return false;
        }
    }
    gather(mend, index, (uint32_t)count, &all);
    uint32_t sum = crc32c_more(mend->seed, slice_of(all.base, DIRECTORY_HEADER - 4));
    struct slice items = slice_of(all.base + DIRECTORY_HEADER, (size_t)(len - DIRECTORY_HEADER));
    if (crc32c_more(sum, items) == get_le32(all.base + DIRECTORY_HEADER - 4)) {
        buf_put(out_items, items);
        good = true;
    }
    buf_fini(&all);
    return good;
}

/* What the directory says of the frames goes over what was lost of them. */
static void overlay(struct journal_mended *mended, struct slice items)
{
    size_t at = 0;

    while (items.len >= JOURNAL_FRAME_HEADER && at + JOURNAL_FRAME_HEADER <= mended->frames.len) {
        size_t body = get_le32(items.base);
        size_t part = body < DIRECTORY_PREFIX ? body : DIRECTORY_PREFIX;
        size_t len = JOURNAL_FRAME_HEADER + part;
        if (items.len < len || mended->frames.len - at < JOURNAL_FRAME_HEADER + body) {
            return;
        }
        memcpy(mended->frames.base + at, items.base, len);
        memset(mended->known.base + at, 1, len);
        at += JOURNAL_FRAME_HEADER + body;
        items = slice_of(items.base + len, items.len - len);
    }
}

static void take_frames(struct mend *mend, struct journal_mended *out)
{
    size_t left = out->group.frame_bytes;
    size_t skip = JOURNAL_GROUP_HEADER;

    journal_group_gather(mend->bytes.base, &out->group, &out->frames);
    for (uint32_t i = 0; left > 0; i++) {
        size_t part = JOURNAL_PAYLOAD - skip;
        part = part < left ? part : left;
        memset(buf_extend(&out->known, part), is_good(mend, i) ? 1 : 0, part);
        left -= part;
        skip = 0;
    }
}

bool journal_mend(struct slice bytes, uint32_t seed, uint32_t first_sector,
                  const struct journal_stamp *least, struct journal_mended *out)
{
    struct mend mend = {.bytes = bytes, .seed = seed, .first_sector = first_sector, .least = least};
    struct journal_group group = {0};
    struct buf items = {0};
    bool header = false;
    bool directory = false;

    *out = (struct journal_mended){0};
    if (bytes.len < JOURNAL_BLOCK) {
        return false;
    }
    mend.sectors = reach(&mend);
    if (mend.sectors > 0 && is_good(&mend, 0)) {
        header = journal_group_read(bytes.base, &out->group) &&
                 (uint32_t)out->group.number == least->group &&
                 (uint64_t)out->group.sectors * JOURNAL_SECTOR <= bytes.len;
    }
    for (uint32_t i = mend.sectors; i-- > 1 && !directory;) {
        directory = directory_at(&mend, i, &group, &items);
    }
    if (directory && !header) {
        out->group = group;
        header = (uint64_t)group.sectors * JOURNAL_SECTOR <= bytes.len;
    }
    if (header) {
        out->stamp = mend.stamp;
        take_frames(&mend, out);
    }
    if (header && directory && group.sectors == out->group.sectors) {
        overlay(out, buf_slice(&items));
    }
    buf_fini(&items);
    return header;
}

void journal_mended_fini(struct journal_mended *mended)
{
    buf_fini(&mended->frames);
    buf_fini(&mended->known);
}
