/* SPDX-License-Identifier: Apache-2.0 */
#include "net/mesh.h"

#include <stdio.h>

#include "base/error.h"

struct mesh_channel *mesh_channel_of(struct mesh *mesh, uint32_t node_id, unsigned channel)
{
    CHECK(node_id > 0 && node_id < WIRE_NODES_MAX);
    CHECK(channel < MESH_CHANNELS);
    return &mesh->peers[node_id].channels[channel];
}

struct mesh_conn *mesh_alive(struct mesh *mesh, uint32_t node_id, unsigned channel)
{
    struct mesh_conn *up = mesh_channel_of(mesh, node_id, channel)->up;

    return up != NULL && !up->stream.closing && !up->stream.finishing ? up : NULL;
}

/* ---- accept ---------------------------------------------------------------------------------- */

/* Those who neither show a certificate nor give up are turned out, the oldest first. */
static void make_room(struct mesh *mesh)
{
    if (mesh->strangers < MESH_STRANGERS_MAX) {
        return;
    }
    QUEUE_EACH (link, &mesh->conns) {
        struct mesh_conn *conn = CONTAINER_OF(link, struct mesh_conn, link);
        if (!conn->dialled && conn->state != MESH_UP && !conn->stream.closing) {
            stream_close(&conn->stream, TERN_EBUSY, "too many connections wait for a handshake");
            return;
        }
    }
}

static void on_incoming(struct listener *listener)
{
    struct mesh *mesh = CONTAINER_OF(listener, struct mesh, listener);

    make_room(mesh);
    struct mesh_conn *conn = mesh_conn_new(mesh, false, 0, WIRE_CONTROL);
    mesh->strangers++;
    stream_accept(mesh->hub, (uv_stream_t *)&listener->tcp, &conn->stream, &mesh_conn_ops,
                  mesh->context);
    stream_deadline(&conn->stream, MESH_SHAKE_MS, "no hello in time");
    if (mesh->handler == NULL || !mesh->hello_set) {
        stream_close(&conn->stream, TERN_EBUSY, "this node is starting or stopping");
    }
}

void mesh_init(struct mesh *mesh)
{
    queue_init(&mesh->conns);
    for (uint32_t id = 0; id < WIRE_NODES_MAX; id++) {
        for (unsigned i = 0; i < MESH_CHANNELS; i++) {
            mesh->peers[id].channels[i].mesh = mesh;
            mesh->peers[id].channels[i].node_id = id;
            mesh->peers[id].channels[i].channel = i;
        }
    }
    mesh_congestion_watch(mesh);
}

int mesh_open(struct mesh *mesh, const char *address, char why[256])
{
    return address != NULL ? listener_open(mesh->hub, address, &mesh->listener, on_incoming, why)
                           : 0;
}

void mesh_close(struct mesh *mesh)
{
    mesh->closing = true;
    mesh_congestion_stop(mesh);
    listener_close(&mesh->listener);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        for (unsigned i = 0; i < MESH_CHANNELS; i++) {
            mesh_dial_stop(&mesh->peers[id].channels[i]);
        }
    }
    QUEUE_EACH (link, &mesh->conns) {
        stream_close(&CONTAINER_OF(link, struct mesh_conn, link)->stream, TERN_ECANCELED,
                     "this node is stopping");
    }
}

/* ---- what the wire asks ---------------------------------------------------------------------- */

void mesh_set_hello(struct mesh *mesh, const struct wire_hello *hello)
{
    bool first = !mesh->hello_set;

    mesh->hello = *hello;
    mesh->hello_set = true;
    for (uint32_t id = 1; first && id < WIRE_NODES_MAX; id++) {
        for (unsigned i = 0; i < MESH_CHANNELS; i++) {
            mesh_dial_soon(&mesh->peers[id].channels[i], true);
        }
    }
}

void mesh_set_peer(struct mesh *mesh, uint32_t node_id, const char *address)
{
    struct mesh_peer *peer = &mesh->peers[node_id];

    CHECK(node_id > 0 && node_id < WIRE_NODES_MAX);
    CHECK(strlen(address) < sizeof peer->address);
    if (strcmp(peer->address, address) == 0) {
        return;
    }
    (void)snprintf(peer->address, sizeof peer->address, "%s", address);
    for (unsigned i = 0; i < MESH_CHANNELS; i++) {
        mesh_dial_stop(&peer->channels[i]);
        mesh_dial_soon(&peer->channels[i], true);
    }
    if (address[0] == '\0') {
        mesh_drop_peer(mesh, node_id);
    }
}

bool mesh_is_up(struct mesh *mesh, uint32_t node_id, enum wire_channel channel)
{
    return mesh_alive(mesh, node_id, channel) != NULL;
}

size_t mesh_queued_bytes(struct mesh *mesh, uint32_t node_id, enum wire_channel channel)
{
    const struct mesh_conn *conn = mesh_alive(mesh, node_id, channel);

    return conn != NULL ? conn->stream.queued : 0;
}

void mesh_drop_peer(struct mesh *mesh, uint32_t node_id)
{
    QUEUE_EACH (link, &mesh->conns) {
        struct mesh_conn *conn = CONTAINER_OF(link, struct mesh_conn, link);
        if (conn->hello.node_id == node_id || conn->expected == node_id) {
            stream_close(&conn->stream, TERN_EREFUSED, "dropped by this node");
        }
    }
}

bool mesh_send(struct mesh *mesh, uint32_t node_id, enum wire_channel channel,
               const struct wire_frame *frame)
{
    struct mesh_conn *conn = mesh_alive(mesh, node_id, channel);
    uint32_t len_max = channel == WIRE_CONTROL ? MESH_CONTROL_FRAME_MAX : MESH_DATA_FRAME_MAX;
    size_t len = MESH_TYPED + frame->head.len;

    CHECK(frame->type < MESH_FRAME_OWN);
    CHECK(frame->head.len <= MESH_HEAD_MAX);
    for (size_t i = 0; i < frame->tail_count; i++) {
        len += frame->tail[i].len;
    }
    CHECK(len <= len_max);
    if (conn == NULL) {
        return false;
    }
    /* A frame larger than the bound still goes out, alone. */
    if (conn->stream.queued > 0 && conn->stream.queued + len > mesh->queue_max[channel]) {
        mesh_channel_of(mesh, node_id, channel)->refused_full = true;
        return false;
    }
    struct blob *blob = blob_new(FRAME_PREFIX + MESH_TYPED + frame->head.len);
    put_be32(blob->bytes, (uint32_t)len);
    uint8_t *head = mesh_put_typed(blob->bytes + FRAME_PREFIX, frame->type, frame->head.len);
    if (frame->head.len > 0) {
        memcpy(head, frame->head.base, frame->head.len);
    }
    stream_send(&conn->stream, (struct chunk){blob, blob->bytes, blob->len});
    for (size_t i = 0; i < frame->tail_count; i++) {
        stream_send(&conn->stream, chunk_ref(frame->tail[i]));
    }
    mesh_twin_copy(conn, frame, len);
    mesh->counters[channel].frames_out++;
    mesh->counters[channel].bytes_out += FRAME_PREFIX + len;
    return true;
}
