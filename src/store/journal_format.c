/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal_format.h"

#include "base/crc.h"
#include "base/error.h"
#include "base/reader.h"

static const uint8_t file_magic[8] = {'T', 'E', 'R', 'N', 'J', 'R', 'N', 'L'};

_Static_assert(JOURNAL_BLOCK % JOURNAL_SECTOR == 0, "groups are whole sectors");

uint32_t journal_seed(struct uuid journal_id)
{
    return crc32c(slice_of(journal_id.bytes, sizeof journal_id.bytes));
}

static uint32_t sector_sum(const uint8_t *sector, uint32_t seed, uint32_t index)
{
    uint8_t place[4];

    put_le32(place, index);
    return crc32c_more(crc32c_more(seed, slice_of(place, sizeof place)),
                       slice_of(sector, JOURNAL_SECTOR - 4));
}

static void sector_stamp(uint8_t *sector, uint32_t seed, uint32_t index,
                         const struct journal_stamp *stamp)
{
    uint8_t *at = sector + JOURNAL_PAYLOAD;

    put_le32(at, stamp->sequence);
    put_le32(at + 4, stamp->run);
    put_le32(at + 8, stamp->group);
    put_le32(at + 12, sector_sum(sector, seed, index));
}

static bool all_zero(const uint8_t *at, size_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

enum sector_state journal_sector_check(const uint8_t *sector, uint32_t seed, uint32_t index,
                                       struct journal_stamp *out_stamp)
{
    const uint8_t *at = sector + JOURNAL_PAYLOAD;

    if (get_le32(at + 12) != sector_sum(sector, seed, index)) {
        return all_zero(sector, JOURNAL_SECTOR) ? SECTOR_EMPTY : SECTOR_BAD;
    }
    out_stamp->sequence = get_le32(at);
    out_stamp->run = get_le32(at + 4);
    out_stamp->group = get_le32(at + 8);
    return SECTOR_VALID;
}

void group_begin(struct group_writer *w, struct buf *out, uint32_t seed, uint32_t first_sector,
                 struct journal_stamp stamp)
{
    *w = (struct group_writer){
        .out = out, .seed = seed, .first_sector = first_sector, .stamp = stamp};
    buf_clear(out);
}

void group_file_header(struct group_writer *w, struct uuid journal_id, uint32_t file_index)
{
    CHECK(w->out->len == 0);
    CHECK(w->first_sector == 0);
    uint8_t *at = buf_extend(w->out, JOURNAL_BLOCK);
    memset(at, 0, JOURNAL_BLOCK);
    memcpy(at, file_magic, sizeof file_magic);
    put_le32(at + 8, JOURNAL_FORMAT);
    put_le32(at + 12, file_index);
    memcpy(at + 16, journal_id.bytes, sizeof journal_id.bytes);
    put_le32(at + 32, w->stamp.sequence);
}

uint32_t journal_file_format(const uint8_t *sector)
{
    return memcmp(sector, file_magic, sizeof file_magic) == 0 ? get_le32(sector + 8) : 0;
}

static void group_header(uint8_t out[JOURNAL_GROUP_HEADER], const struct journal_group *group,
                         uint32_t sectors)
{
    put_le32(out, JOURNAL_GROUP_MAGIC);
    put_le32(out + 4, sectors);
    put_le64(out + 8, group->number);
    put_le64(out + 16, group->synced);
    put_le32(out + 24, group->frame_bytes);
    put_le32(out + 28, 0);
}

/* The next sector has all its bytes. */
static void stamp_next(struct group_writer *w)
{
    sector_stamp(w->out->base + (size_t)w->stamped * JOURNAL_SECTOR, w->seed,
                 w->first_sector + w->stamped, &w->stamp);
    w->stamped++;
}

void group_open(struct group_writer *w, const struct journal_group *group)
{
    size_t size = journal_group_size(group->frame_bytes);

    CHECK((uint32_t)group->number == w->stamp.group);
    w->group_at = w->out->len;
    uint8_t *at = buf_extend(w->out, size);
    group_header(at, group, (uint32_t)(size / JOURNAL_SECTOR));
    for (w->stamped = 0; w->stamped < w->group_at / JOURNAL_SECTOR;) {
        stamp_next(w);
    }
    w->at = w->group_at + JOURNAL_GROUP_HEADER;
    w->left = JOURNAL_PAYLOAD - JOURNAL_GROUP_HEADER;
}

void group_put(struct group_writer *w, struct slice bytes)
{
    while (bytes.len > 0) {
        if (w->left == 0) {
            stamp_next(w); /* while its bytes are near */
            w->at += JOURNAL_STAMP;
            w->left = JOURNAL_PAYLOAD;
        }
        size_t part = bytes.len < w->left ? bytes.len : w->left;
        CHECK(w->at + part <= w->out->len);
        memcpy(w->out->base + w->at, bytes.base, part);
        w->at += part;
        w->left -= part;
        bytes.base += part;
        bytes.len -= part;
    }
}

void directory_put(struct buf *items, struct slice frame_header, struct slice body)
{
    CHECK(frame_header.len == JOURNAL_FRAME_HEADER);
    if (items->len > JOURNAL_BLOCK) {
        return; /* more than any padding can hold: there will be no directory */
    }
    buf_put(items, frame_header);
    buf_put(items, slice_of(body.base, body.len < DIRECTORY_PREFIX ? body.len : DIRECTORY_PREFIX));
}

static uint32_t directory_sum(uint32_t seed, const uint8_t head[DIRECTORY_HEADER],
                              struct slice items)
{
    return crc32c_more(crc32c_more(seed, slice_of(head, DIRECTORY_HEADER - 4)), items);
}

static size_t sectors_for(size_t bytes)
{
    return (bytes + JOURNAL_PAYLOAD - 1) / JOURNAL_PAYLOAD;
}

void group_directory(struct group_writer *w, const struct journal_group *group, struct slice items)
{
    size_t whole = (w->out->len - w->group_at) / JOURNAL_SECTOR;
    size_t used = sectors_for(JOURNAL_GROUP_HEADER + (size_t)group->frame_bytes);
    size_t need = sectors_for(DIRECTORY_HEADER + items.len);
    uint8_t head[DIRECTORY_HEADER];
    struct buf all = {0};

    if (used + need > whole) {
        return;
    }
    put_le32(head, DIRECTORY_MAGIC);
    put_le32(head + 4, (uint32_t)items.len);
    group_header(head + 8, group, (uint32_t)whole);
    put_le32(head + DIRECTORY_HEADER - 4, directory_sum(w->seed, head, items));
    buf_put(&all, slice_of(head, sizeof head));
    buf_put(&all, items);
    w->keep_at = w->group_at + (whole - need) * JOURNAL_SECTOR;
    for (size_t at = 0, sector = w->keep_at; at < all.len; sector += JOURNAL_SECTOR) {
        size_t part = all.len - at < JOURNAL_PAYLOAD ? all.len - at : JOURNAL_PAYLOAD;
        memset(w->out->base + sector, 0, JOURNAL_PAYLOAD);
        memcpy(w->out->base + sector, all.base + at, part);
        at += part;
    }
    buf_fini(&all);
}

void group_end(struct group_writer *w)
{
    /* The rest up to the block's end is written too: a partial page would have to be read. */
    size_t end = w->keep_at != 0 ? w->keep_at : w->out->len;
    memset(w->out->base + w->at, 0, end - w->at);
    while (w->stamped < w->out->len / JOURNAL_SECTOR) {
        stamp_next(w);
    }
}

bool journal_group_read(const uint8_t *sector, struct journal_group *out)
{
    if (get_le32(sector) != JOURNAL_GROUP_MAGIC) {
        return false;
    }
    out->sectors = get_le32(sector + 4);
    out->number = get_le64(sector + 8);
    out->synced = get_le64(sector + 16);
    out->frame_bytes = get_le32(sector + 24);
    return (uint64_t)out->sectors * JOURNAL_SECTOR == journal_group_size(out->frame_bytes);
}

void journal_group_gather(const uint8_t *sectors, const struct journal_group *group,
                          struct buf *out)
{
    size_t left = group->frame_bytes;
    size_t skip = JOURNAL_GROUP_HEADER;

    buf_clear(out);
    for (; left > 0; sectors += JOURNAL_SECTOR) {
        size_t part = JOURNAL_PAYLOAD - skip;
        part = part < left ? part : left;
        buf_put(out, slice_of(sectors + skip, part));
        left -= part;
        skip = 0;
    }
}

void frame_header_put(uint8_t out[JOURNAL_FRAME_HEADER], const struct frame *frame)
{
    put_le32(out, (uint32_t)frame->body.len);
    out[4] = (uint8_t)frame->type;
    out[5] = frame->flags;
    put_le16(out + 6, 0);
    put_le32(out + 8, frame->log);
}

int frame_next(struct reader *in, struct frame *out)
{
    uint32_t len = reader_le32(in);
    uint8_t type = reader_u8(in);

    out->flags = reader_u8(in);
    (void)reader_le16(in);
    out->log = reader_le32(in);
    out->body = reader_take(in, len);
    if (in->failed) {
        return TERN_EMALFORMED;
    }
    if (type < FRAME_CREATE || type > FRAME_COMPACT) {
        return TERN_EFORMAT;
    }
    out->type = (enum frame_type)type;
    return 0;
}
