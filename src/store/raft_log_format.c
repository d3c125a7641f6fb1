/* SPDX-License-Identifier: Apache-2.0 */
#include "store/raft_log_format.h"

#include <stdio.h>

#include "base/crc.h"
#include "base/error.h"

#define META_MAGIC     0x4d4e5254u /* "TRNM" */
#define LOG_MAGIC      0x4c4e5254u /* "TRNL" */
#define SNAPSHOT_MAGIC 0x534e5254u /* "TRNS" */

int raft_log_damaged(char why[256], const char *path, uint64_t pos, const char *what)
{
    (void)snprintf(why, 256, "%s: %s at byte %llu", path, what, (unsigned long long)pos);
    return TERN_EDAMAGED;
}

int raft_log_refuse_format(char why[256], const char *path, uint32_t format)
{
    (void)snprintf(why, 256, "%s has format %u, this build knows format %u", path, format,
                   RAFT_LOG_FORMAT);
    return TERN_EFORMAT;
}

/* What all three begin with. */
static void head_put(uint8_t *at, size_t len, uint32_t magic, struct uuid id)
{
    memset(at, 0, len);
    put_le32(at, magic);
    put_le32(at + 4, RAFT_LOG_FORMAT);
    memcpy(at + 8, id.bytes, sizeof id.bytes);
}

/* The last four bytes of a head are the sum of those before them. */
static void head_seal(uint8_t *at, size_t len)
{
    put_le32(at + len - 4, crc32c(slice_of(at, len - 4)));
}

static bool head_valid(const uint8_t *at, size_t len, uint32_t magic)
{
    return get_le32(at) == magic && get_le32(at + len - 4) == crc32c(slice_of(at, len - 4));
}

static int head_check(struct uuid id, struct slice file, size_t len, uint32_t magic,
                      const char *path, char why[256])
{
    if (file.len < len || !head_valid(file.base, len, magic)) {
        return raft_log_damaged(why, path, 0, "the header is damaged");
    }
    uint32_t format = get_le32(file.base + 4);
    if (format != RAFT_LOG_FORMAT) {
        return raft_log_refuse_format(why, path, format);
    }
    if (memcmp(file.base + 8, id.bytes, sizeof id.bytes) != 0) {
        return raft_log_damaged(why, path, 8, "the file belongs to another log");
    }
    return 0;
}

/* ---- meta ----------------------------------------------------------------------------------- */

void raft_log_meta_encode(const struct log_meta *meta, uint8_t out[META_COPY_BYTES])
{
    head_put(out, META_COPY_BYTES, META_MAGIC, meta->id);
    put_le64(out + 24, meta->term);
    put_le64(out + 32, meta->vote);
    put_le64(out + 40, meta->log_bytes);
    head_seal(out, META_COPY_BYTES);
}

enum meta_state raft_log_meta_decode(const uint8_t in[META_COPY_BYTES], struct log_meta *out,
                                     uint32_t *out_format)
{
    static const uint8_t blank[META_COPY_BYTES];

    if (memcmp(in, blank, sizeof blank) == 0) {
        return META_BLANK;
    }
    if (!head_valid(in, META_COPY_BYTES, META_MAGIC)) {
        return META_BAD;
    }
    *out_format = get_le32(in + 4);
    if (*out_format != RAFT_LOG_FORMAT) {
        return META_UNKNOWN;
    }
    memcpy(out->id.bytes, in + 8, sizeof out->id.bytes);
    out->term = get_le64(in + 24);
    out->vote = get_le64(in + 32);
    out->log_bytes = get_le64(in + 40);
    return META_GOOD;
}

/* ---- log ------------------------------------------------------------------------------------ */

void raft_log_header_encode(struct uuid id, const struct log_header *header,
                            uint8_t out[LOG_HEADER_BYTES])
{
    head_put(out, LOG_HEADER_BYTES, LOG_MAGIC, id);
    put_le64(out + 24, header->base_index);
    put_le64(out + 32, header->base_term);
    put_le64(out + 40, header->initial);
    head_seal(out, LOG_HEADER_BYTES);
}

int raft_log_header_decode(struct uuid id, struct slice file, struct log_header *out, char why[256])
{
    int rv = head_check(id, file, LOG_HEADER_BYTES, LOG_MAGIC, RAFT_LOG_FILE, why);

    if (rv == 0) {
        out->base_index = get_le64(file.base + 24);
        out->base_term = get_le64(file.base + 32);
        out->initial = get_le64(file.base + 40);
    }
    return rv;
}

static uint32_t frame_crc(struct uuid id, const uint8_t *frame)
{
    uint32_t crc = crc32c(slice_of(id.bytes, sizeof id.bytes));

    crc = crc32c_more(crc, slice_of(frame, 4));
    return crc32c_more(crc,
                       slice_of(frame + 8, FRAME_BYTES - 8 + (size_t)raft_log_frame_len(frame)));
}

void raft_log_frame_put(struct buf *out, uint64_t index, const struct raft_log_entry *entry)
{
    CHECK(entry->bytes.len <= RAFT_LOG_ENTRY_BYTES_MAX);
    uint8_t *at = buf_extend(out, FRAME_BYTES);
    memset(at, 0, FRAME_BYTES);
    put_le32(at, (uint32_t)entry->bytes.len);
    put_le64(at + 8, index);
    put_le64(at + 16, entry->term);
    put_le16(at + 32, entry->type);
    buf_put(out, entry->bytes);
}

void raft_log_frames_seal(struct uuid id, struct buf *frames, size_t at, uint64_t synced)
{
    while (at < frames->len) {
        uint8_t *frame = frames->base + at;
        put_le64(frame + 24, synced);
        put_le32(frame + 4, frame_crc(id, frame));
        at += FRAME_BYTES + (size_t)raft_log_frame_len(frame);
    }
}

bool raft_log_frame_valid(struct uuid id, struct slice file, size_t at)
{
    if (file.len - at < FRAME_BYTES) {
        return false;
    }
    const uint8_t *frame = file.base + at;
    uint32_t len = raft_log_frame_len(frame);
    if (len > RAFT_LOG_ENTRY_BYTES_MAX || len > file.len - at - FRAME_BYTES ||
        (raft_log_frame_type(frame) == FRAME_FORGET && len != 0) || get_le16(frame + 34) != 0 ||
        get_le32(frame + 36) != 0 || raft_log_frame_index(frame) == 0) {
        return false;
    }
    return get_le32(frame + 4) == frame_crc(id, frame);
}

/* ---- snapshot ------------------------------------------------------------------------------- */

void raft_log_snapshot_encode(struct uuid id, const struct raft_log_snapshot *snapshot,
                              struct buf *out)
{
    CHECK(snapshot->config.len <= UINT32_MAX);
    buf_clear(out);
    head_put(buf_extend(out, SNAPSHOT_HEADER_BYTES), SNAPSHOT_HEADER_BYTES, SNAPSHOT_MAGIC, id);
    buf_put(out, snapshot->config);
    buf_put(out, snapshot->data);
    uint8_t *at = out->base;
    put_le64(at + 24, snapshot->index);
    put_le64(at + 32, snapshot->term);
    put_le64(at + 40, snapshot->config_index);
    put_le64(at + 48, snapshot->data.len);
    put_le32(at + 56, (uint32_t)snapshot->config.len);
    put_le32(at + 60,
             crc32c(slice_of(at + SNAPSHOT_HEADER_BYTES, out->len - SNAPSHOT_HEADER_BYTES)));
    head_seal(at, SNAPSHOT_HEADER_BYTES);
}

int raft_log_snapshot_decode(struct uuid id, struct slice file, struct raft_log_snapshot *out,
                             char why[256])
{
    int rv = head_check(id, file, SNAPSHOT_HEADER_BYTES, SNAPSHOT_MAGIC, RAFT_LOG_SNAPSHOT, why);

    if (rv != 0) {
        return rv;
    }
    const uint8_t *content = file.base + SNAPSHOT_HEADER_BYTES;
    size_t left = file.len - SNAPSHOT_HEADER_BYTES;
    uint64_t data_len = get_le64(file.base + 48);
    uint32_t config_len = get_le32(file.base + 56);
    if (config_len > left || data_len != left - config_len ||
        crc32c(slice_of(content, left)) != get_le32(file.base + 60)) {
        return raft_log_damaged(why, RAFT_LOG_SNAPSHOT, SNAPSHOT_HEADER_BYTES,
                                "the content is damaged");
    }
    *out = (struct raft_log_snapshot){
        .index = get_le64(file.base + 24),
        .term = get_le64(file.base + 32),
        .config_index = get_le64(file.base + 40),
        .config = slice_of(content, config_len),
        .data = slice_of(content + config_len, (size_t)data_len),
    };
    return 0;
}
