/* SPDX-License-Identifier: Apache-2.0 */
#include "store/node_file.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/crc.h"
#include "base/error.h"
#include "base/reader.h"

#define NODE_PATH      "node"
#define NODE_NEW       "node.new"
#define NODE_HEADER    20
#define NODE_BYTES_MAX 65536
static const uint8_t node_magic[8] = {'T', 'E', 'R', 'N', 'N', 'O', 'D', 'E'};

static void put_text(struct buf *out, const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    CHECK(len < size);
    buf_le16(out, (uint16_t)len);
    buf_put(out, slice_of(text, len));
}

static void get_text(struct reader *in, char *out, size_t size)
{
    struct slice text = reader_take(in, reader_le16(in));

    if (text.len >= size) {
        reader_fail(in);
        return;
    }
    if (text.len > 0) {
        memcpy(out, text.base, text.len);
    }
    out[text.len] = '\0';
}

/* Only where there is one: other files stay as all versions of this program read them. */
static void put_witnesses(struct buf *out, const struct node_file *file)
{
    uint16_t witnesses = 0;

    for (uint32_t i = 0; i < file->founder_count; i++) {
        witnesses |= (uint16_t)((file->founders[i].witness ? 1U : 0U) << i);
    }
    if (witnesses != 0) {
        buf_le16(out, witnesses);
    }
}

static void encode(const struct node_file *file, struct buf *out)
{
    memset(buf_extend(out, NODE_HEADER), 0, NODE_HEADER);
    buf_put(out, slice_of(file->cluster_id.bytes, sizeof file->cluster_id.bytes));
    put_text(out, file->cluster_name, sizeof file->cluster_name);
    buf_le32(out, file->node_id);
    put_text(out, file->region, sizeof file->region);
    buf_le64(out, file->raft_id);
    buf_le32(out, file->incarnation);
    buf_le64(out, file->start_pending);
    buf_le64(out, file->start_final);
    buf_u8(out, file->raft_retired ? 1 : 0);
    buf_le64(out, file->stamp_final);
    buf_le64(out, file->stamp_pending);
    buf_le32(out, file->founder_count);
    for (uint32_t i = 0; i < file->founder_count; i++) {
        const struct node_founder *founder = &file->founders[i];
        buf_le32(out, founder->node_id);
        buf_le64(out, founder->raft_id);
        put_text(out, founder->region, sizeof founder->region);
        put_text(out, founder->mesh_address, sizeof founder->mesh_address);
    }
    put_witnesses(out, file);
    struct slice body = slice_of(out->base + NODE_HEADER, out->len - NODE_HEADER);
    memcpy(out->base, node_magic, sizeof node_magic);
    put_le32(out->base + 8, NODE_FILE_FORMAT);
    put_le32(out->base + 12, (uint32_t)body.len);
    put_le32(out->base + 16, crc32c(body));
    /* Twice: one bad place must not make a node forget who it is. */
    size_t len = out->len;
    (void)buf_extend(out, len);
    memcpy(out->base + len, out->base, len);
}

static bool decode(struct reader *in, struct node_file *out)
{
    struct slice id = reader_take(in, sizeof out->cluster_id.bytes);

    memset(out, 0, sizeof *out);
    if (id.base != NULL) {
        memcpy(out->cluster_id.bytes, id.base, id.len);
    }
    get_text(in, out->cluster_name, sizeof out->cluster_name);
    out->node_id = reader_le32(in);
    get_text(in, out->region, sizeof out->region);
    out->raft_id = reader_le64(in);
    out->incarnation = reader_le32(in);
    out->start_pending = reader_le64(in);
    out->start_final = reader_le64(in);
    out->raft_retired = reader_u8(in) != 0;
    out->stamp_final = reader_le64(in);
    out->stamp_pending = reader_le64(in);
    out->founder_count = reader_le32(in);
    if (out->founder_count > NODE_FOUNDERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < out->founder_count; i++) {
        struct node_founder *founder = &out->founders[i];
        founder->node_id = reader_le32(in);
        founder->raft_id = reader_le64(in);
        get_text(in, founder->region, sizeof founder->region);
        get_text(in, founder->mesh_address, sizeof founder->mesh_address);
    }
    uint16_t witnesses = reader_left(in) > 0 ? reader_le16(in) : 0;
    for (uint32_t i = 0; i < out->founder_count; i++) {
        out->founders[i].witness = (witnesses >> i & 1) != 0;
    }
    return !in->failed && reader_left(in) == 0;
}

static int parse_copy(struct slice bytes, uint32_t format, struct node_file *out)
{
    if (bytes.len < NODE_HEADER || memcmp(bytes.base, node_magic, sizeof node_magic) != 0) {
        return TERN_EDAMAGED;
    }
    if (get_le32(bytes.base + 8) != format) {
        return TERN_EFORMAT;
    }
    struct slice body = slice_of(bytes.base + NODE_HEADER, bytes.len - NODE_HEADER);
    struct reader in = reader_of(body);
    bool good = get_le32(bytes.base + 12) == body.len && get_le32(bytes.base + 16) == crc32c(body);
    return good && decode(&in, out) ? 0 : TERN_EDAMAGED;
}

static int parse(struct slice bytes, struct node_file *out, char why[256])
{
    size_t half = bytes.len / 2;
    struct slice second = slice_of(bytes.base + half, half);
    int status = parse_copy(slice_of(bytes.base, half), NODE_FILE_FORMAT, out);

    if (status == 0) {
        return 0;
    }
    if (parse_copy(second, NODE_FILE_FORMAT, out) == 0 ||
        parse_copy(bytes, NODE_FILE_FORMAT - 1, out) == 0) {
        return 0; /* mended with the next start number, which is written at every start */
    }
    if (status == TERN_EFORMAT) {
        (void)snprintf(why, 256, NODE_PATH ": format %u, this build knows %u",
                       get_le32(bytes.base + 8), NODE_FILE_FORMAT);
        return status;
    }
    (void)snprintf(why, 256,
                   NODE_PATH ": both copies are damaged, who this node is can't be told: empty the "
                             "data directory, and start again; the node joins as a new incarnation "
                             "and copies its data");
    return TERN_EDAMAGED;
}

int node_file_load(struct disk *disk, struct node_file *out, char why[256])
{
    struct disk_file *file = NULL;
    struct node_file loaded;
    uint64_t size = 0;

    why[0] = '\0';
    /* A killed process may have left a name that is not durable yet; who acts on what the file says
     * must not find an older one later. */
    int status = disk->ops->sync_dir(disk, "");
    if (status == 0) {
        status = disk->ops->open(disk, NODE_PATH, false, &file);
    }
    if (status != 0) {
        (void)snprintf(why, 256, NODE_PATH ": %s", error_sentence(status));
        return status;
    }
    status = disk->ops->size(disk, file, &size);
    size = size < NODE_BYTES_MAX ? size : NODE_BYTES_MAX;
    uint8_t *bytes = mem_new((size_t)size);
    if (status == 0) {
        int64_t got = disk->ops->read(disk, file, 0, bytes, (size_t)size);
        status = got < 0 ? (int)got : parse(slice_of(bytes, (size_t)got), &loaded, why);
    }
    disk->ops->close(disk, file);
    free(bytes);
    if (status == 0) {
        *out = loaded;
    } else if (why[0] == '\0') {
        (void)snprintf(why, 256, NODE_PATH ": %s", error_sentence(status));
    }
    return status;
}

int node_file_save(struct disk *disk, const struct node_file *file)
{
    struct buf bytes = {0};

    CHECK(file->founder_count <= NODE_FOUNDERS_MAX);
    CHECK(file->start_pending >= file->start_final);
    encode(file, &bytes);
    int status = disk_replace_file(disk, NODE_NEW, NODE_PATH, buf_slice(&bytes));
    buf_fini(&bytes);
    return status == 0 ? disk->ops->sync_dir(disk, "") : status;
}
