/* SPDX-License-Identifier: Apache-2.0 */
#include "net/mesh_hello.h"

#include <stdio.h>

#include "base/error.h"
#include "base/reader.h"
#include "net/mesh.h"

#define MAGIC 0x7465726eu /* "tern" */

static void put_name(struct buf *out, const char *name)
{
    buf_u8(out, (uint8_t)strlen(name));
    buf_text(out, name);
}

void mesh_hello_encode(const struct wire_hello *hello, unsigned channel, struct buf *out)
{
    buf_be32(out, MAGIC);
    buf_be32(out, hello->format_version);
    buf_u8(out, (uint8_t)channel);
    buf_be32(out, hello->node_id);
    buf_put(out, slice_of(hello->cluster_id.bytes, sizeof hello->cluster_id.bytes));
    buf_be64(out, hello->raft_id);
    buf_be32(out, hello->incarnation);
    buf_be64(out, hello->start_number);
    put_name(out, hello->region);
    put_name(out, hello->cluster_name);
}

static void take_name(struct reader *in, char out[WIRE_NAME_MAX])
{
    struct slice name = reader_take(in, reader_u8(in));

    if (name.len >= WIRE_NAME_MAX) {
        reader_fail(in);
        return;
    }
    if (name.len > 0) {
        memcpy(out, name.base, name.len);
    }
    out[name.len] = '\0';
    if (!in->failed && (strlen(out) != name.len || !certs_name_ok(out))) {
        reader_fail(in);
    }
}

int mesh_hello_decode(struct slice bytes, struct wire_hello *out, unsigned *out_channel,
                      char why[MESH_REASON_MAX])
{
    struct reader in = reader_of(bytes);
    struct wire_hello hello = {0};

    if (reader_be32(&in) != MAGIC) {
        (void)snprintf(why, MESH_REASON_MAX, "its first frame is no mesh hello");
        return TERN_EMALFORMED;
    }
    hello.format_version = reader_be32(&in);
    if (!in.failed && hello.format_version != WIRE_FORMAT_VERSION) {
        (void)snprintf(why, MESH_REASON_MAX,
                       "it speaks mesh format version %u, this node version %d",
                       hello.format_version, WIRE_FORMAT_VERSION);
        return TERN_EFORMAT;
    }
    uint8_t channel = reader_u8(&in);
    hello.node_id = reader_be32(&in);
    struct slice cluster_id = reader_take(&in, sizeof hello.cluster_id.bytes);
    if (cluster_id.len > 0) {
        memcpy(hello.cluster_id.bytes, cluster_id.base, cluster_id.len);
    }
    hello.raft_id = reader_be64(&in);
    hello.incarnation = reader_be32(&in);
    hello.start_number = reader_be64(&in);
    take_name(&in, hello.region);
    take_name(&in, hello.cluster_name);
    if (in.failed || reader_left(&in) > 0 || channel >= MESH_CHANNELS || hello.node_id == 0 ||
        hello.node_id >= WIRE_NODES_MAX) {
        (void)snprintf(why, MESH_REASON_MAX, "its mesh hello is malformed");
        return TERN_EMALFORMED;
    }
    *out = hello;
    *out_channel = channel;
    return 0;
}

int mesh_hello_check(const struct wire_hello *hello, const struct identity *certificate,
                     const struct identity *ours, char why[MESH_REASON_MAX])
{
    if (certificate->node_id == 0) {
        (void)snprintf(why, MESH_REASON_MAX,
                       "its certificate is that of client %s; the mesh is for nodes",
                       certificate->client);
    } else if (strcmp(certificate->cluster_name, ours->cluster_name) != 0) {
        (void)snprintf(why, MESH_REASON_MAX, "its certificate is of cluster %.40s, ours is %.40s",
                       certificate->cluster_name, ours->cluster_name);
    } else if (strcmp(hello->cluster_name, certificate->cluster_name) != 0) {
        (void)snprintf(why, MESH_REASON_MAX, "it says cluster %.40s, its certificate says %.40s",
                       hello->cluster_name, certificate->cluster_name);
    } else if (hello->node_id != certificate->node_id) {
        (void)snprintf(why, MESH_REASON_MAX, "it says node %u, its certificate says node %u",
                       hello->node_id, certificate->node_id);
    } else if (strcmp(hello->region, certificate->region) != 0) {
        (void)snprintf(why, MESH_REASON_MAX, "it says region %.40s, its certificate says %.40s",
                       hello->region, certificate->region);
    } else if (hello->node_id == ours->node_id) {
        (void)snprintf(why, MESH_REASON_MAX, "it says that it is node %u, and so are we",
                       hello->node_id);
    } else {
        return 0;
    }
    return TERN_EIDENTITY;
}
