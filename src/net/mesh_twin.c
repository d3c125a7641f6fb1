/* SPDX-License-Identifier: Apache-2.0 */
/* Twins: while packets of a channel get lost, copies of its small frames go by a connection of their own. A
 * packet that is lost holds up what is behind it for a round trip or more; the copy is not behind it. What
 * comes first counts, so at 1 % of loss one frame in ten thousand is late instead of one in ten.
 *
 * Frames of a connection are numbered. The receiver gives the handler the next one, by whichever way it comes,
 * and drops what it has had; so the order stays that of one connection. The channel itself carries everything,
 * its twin what fits into a bound: beyond that the bandwidth is worth more than the time. */
#include "net/mesh.h"

#define FRAME_MAX  (64u << 10) /* longer frames are not copied */
#define QUEUE_MAX  (64u << 10) /* a twin that is behind itself is of no use */
#define LOOK_BYTES (4u << 20)  /* copied between two looks at the losses, at most */

_Static_assert(WIRE_CONTROL == 0 && WIRE_DATA == 1, "the channels with twins are the first ones");

bool mesh_is_twin(unsigned channel)
{
    return channel >= WIRE_CHANNELS;
}

const char *mesh_channel_name(unsigned channel)
{
    return !mesh_is_twin(channel)            ? wire_channel_name((enum wire_channel)channel)
           : channel == MESH_TWIN(WIRE_DATA) ? "data-twin"
                                             : "control-twin";
}

static bool has_twin(const struct mesh_conn *conn)
{
    return conn->channel < MESH_TWINS;
}

static bool is_lossy(const struct mesh_conn *conn)
{
    return conn->congestion.lossy || conn->mesh->always_twins;
}

void mesh_twin_begin(struct mesh_conn *conn)
{
    struct buf stamp = {0};

    if (!has_twin(conn)) {
        return;
    }
    conn->out.stamp = clock_random(conn->mesh->hub->clock) | 1;
    buf_be64(&stamp, conn->out.stamp);
    mesh_send_own(conn, MESH_FRAME_STAMP, buf_slice(&stamp));
    buf_fini(&stamp);
    mesh_twin_look(conn);
}

void mesh_twin_look(struct mesh_conn *conn)
{
    if (!has_twin(conn)) {
        return;
    }
    struct mesh_channel *twin =
        mesh_channel_of(conn->mesh, conn->hello.node_id, MESH_TWIN(conn->channel));
    conn->out.room = is_lossy(conn) ? LOOK_BYTES : 0;
    if (conn->out.room > 0 && !twin->needed) {
        twin->needed = true;
        mesh_dial_soon(twin, true);
    }
}

void mesh_twin_copy(struct mesh_conn *conn, const struct wire_frame *frame, size_t len)
{
    uint64_t number = conn->out.frames++;

    if (conn->out.room < len || len > FRAME_MAX) {
        return;
    }
    struct mesh_conn *twin = mesh_alive(conn->mesh, conn->hello.node_id, MESH_TWIN(conn->channel));
    if (twin == NULL || twin->stream.queued + len > QUEUE_MAX) {
        return;
    }
    conn->out.room -= len;
    struct blob *blob =
        blob_new(FRAME_PREFIX + MESH_TYPED + MESH_COPY_HEAD + MESH_TYPED + frame->head.len);
    uint8_t *at = blob->bytes;
    put_be32(at, (uint32_t)(MESH_TYPED + MESH_COPY_HEAD + len));
    at = mesh_put_typed(at + FRAME_PREFIX, MESH_FRAME_COPY, MESH_COPY_HEAD);
    put_be64(at, conn->out.stamp);
    put_be64(at + 8, number);
    at = mesh_put_typed(at + MESH_COPY_HEAD, frame->type, frame->head.len);
    if (frame->head.len > 0) {
        memcpy(at, frame->head.base, frame->head.len);
    }
    stream_send(&twin->stream, (struct chunk){blob, blob->bytes, blob->len});
    for (size_t i = 0; i < frame->tail_count; i++) {
        stream_send(&twin->stream, chunk_ref(frame->tail[i]));
    }
    conn->mesh->counters[twin->channel].frames_out++;
    conn->mesh->counters[twin->channel].bytes_out +=
        FRAME_PREFIX + MESH_TYPED + MESH_COPY_HEAD + len;
}

bool mesh_twin_stamped(struct mesh_conn *conn, struct slice head)
{
    if (!has_twin(conn) || head.len != sizeof conn->in_order.stamp || conn->in_order.stamp != 0) {
        return false;
    }
    conn->in_order.stamp = get_be64(head.base);
    return true;
}

bool mesh_twin_is_news(struct mesh_conn *conn)
{
    CHECK(conn->in_order.own <= conn->in_order.given);
    if (conn->in_order.own++ < conn->in_order.given) {
        return false; /* its copy was here before it */
    }
    conn->in_order.given++;
    return true;
}

struct mesh_conn *mesh_twin_original(struct mesh_conn *twin, struct slice head)
{
    CHECK(mesh_is_twin(twin->channel) && head.len == MESH_COPY_HEAD);
    struct mesh_conn *conn =
        mesh_alive(twin->mesh, twin->hello.node_id, twin->channel - WIRE_CHANNELS);

    if (conn == NULL || conn->in_order.stamp == 0 || conn->in_order.stamp != get_be64(head.base) ||
        conn->in_order.given != get_be64(head.base + 8)) {
        return NULL; /* of an earlier connection, or had, or behind one that is still to come */
    }
    conn->in_order.given++;
    return conn;
}
