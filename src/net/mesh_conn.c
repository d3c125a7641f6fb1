/* SPDX-License-Identifier: Apache-2.0 */
/* One mesh connection: hello, refusal, frames. The drawing is in mesh.h. */
#include <stdio.h>

#include "base/error.h"
#include "net/mesh.h"

#define KEEPALIVE_S     5
#define USER_TIMEOUT_MS 15000
#define NOTSENT_LOWAT   (128 * 1024)
#define CATCH_UP_LOWAT  (64 * 1024)
#define DIRECT_MIN      4096 /* TLS gives at most one record of 16 KiB at a time */
#define STRANGER_LINES  5    /* log lines a minute about the same reason from one host */

static struct mesh_conn *conn_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct mesh_conn, stream);
}

static struct mesh_channel *channel_of(struct mesh_conn *conn)
{
    return mesh_channel_of(conn->mesh, conn->hello.node_id, conn->channel);
}

struct mesh_conn *mesh_conn_new(struct mesh *mesh, bool dialled, uint32_t expected,
                                unsigned channel)
{
    struct mesh_conn *conn = mem_new(sizeof *conn);

    conn->mesh = mesh;
    conn->dialled = dialled;
    conn->expected = expected;
    conn->channel = channel;
    queue_push(&mesh->conns, &conn->link);
    return conn;
}

void mesh_complain(struct mesh_conn *conn, const char *event, const char *why)
{
    uint32_t node_id = conn->peer.node_id != 0 ? conn->peer.node_id : conn->expected;
    char key[STREAM_NAME];
    char who[STREAM_NAME + 32];

    if (node_id != 0) {
        (void)snprintf(key, sizeof key, "node %u", node_id);
        (void)snprintf(who, sizeof who, "node %u at %s", node_id, conn->stream.peer);
        complain(conn->mesh->complaints, 1, event, key, who, why);
    } else {
        stream_host(&conn->stream, key);
        complain(conn->mesh->complaints, STRANGER_LINES, event, key, conn->stream.peer, why);
    }
}

/* ---- frames of the mesh itself --------------------------------------------------------------- */

void mesh_send_own(struct mesh_conn *conn, uint16_t type, struct slice head)
{
    struct blob *blob = blob_new(FRAME_PREFIX + MESH_TYPED + head.len);

    put_be32(blob->bytes, (uint32_t)(MESH_TYPED + head.len));
    uint8_t *at = mesh_put_typed(blob->bytes + FRAME_PREFIX, type, head.len);
    if (head.len > 0) {
        memcpy(at, head.base, head.len);
    }
    stream_send(&conn->stream, (struct chunk){blob, blob->bytes, blob->len});
}

static void send_hello(struct mesh_conn *conn)
{
    struct buf hello = {0};

    mesh_hello_encode(&conn->mesh->hello, conn->channel, &hello);
    mesh_send_own(conn, MESH_FRAME_HELLO, buf_slice(&hello));
    buf_fini(&hello);
}

/* Tells the other side and our log why, then closes. Nothing is wrong with a duplicate: no words.
 */
static void refuse(struct mesh_conn *conn, int error, const char *why)
{
    if (why[0] != '\0') {
        conn->mesh->counters[conn->channel].refused++;
        mesh_complain(conn, "mesh_refused", why);
    }
    conn->state = MESH_REFUSING;
    mesh_send_own(conn, MESH_FRAME_REFUSE, slice_text(why));
    stream_finish(&conn->stream, error, "%s", why);
}

void mesh_conn_unneeded(struct mesh_conn *conn)
{
    conn->unneeded = true;
    if (conn->state != MESH_SHAKE) {
        refuse(conn, TERN_EREFUSED, "");
    }
}

static void broken(struct mesh_conn *conn, int error, const char *why)
{
    conn->mesh->counters[conn->channel].refused++;
    mesh_complain(conn, "mesh_broken", why);
    conn->state = conn->state == MESH_UP ? MESH_UP : MESH_REFUSING;
    stream_close(&conn->stream, error, "%s", why);
}

static void on_refused(struct mesh_conn *conn, struct slice reason)
{
    char why[MESH_REASON_MAX + 32];

    if (reason.len == 0) {
        conn->state = MESH_REFUSING;
        stream_close(&conn->stream, TERN_EREFUSED, "it has a connection already");
        return;
    }
    (void)snprintf(why, sizeof why, "it refuses us: %.*s",
                   (int)(reason.len < MESH_REASON_MAX ? reason.len : MESH_REASON_MAX),
                   (const char *)reason.base);
    conn->mesh->counters[conn->channel].refused++;
    mesh_complain(conn, "mesh_refused_us", why);
    conn->state = conn->state == MESH_UP ? MESH_UP : MESH_REFUSING;
    stream_close(&conn->stream, TERN_EREFUSED, "%s", why);
}

/* ---- coming up ------------------------------------------------------------------------------- */

/* Two nodes that dial each other at once must close the same one of the two connections. */
static bool is_duplicate(struct mesh_conn *conn)
{
    const struct mesh_channel *channel = channel_of(conn);
    const struct mesh_conn *up = channel->up;
    const struct mesh_conn *dial = channel->dial;
    uint64_t now_us = clock_now_us(conn->mesh->hub->clock);

    if (conn->dialled || conn->mesh->hello.node_id > conn->hello.node_id) {
        return false;
    }
    if (up == NULL) {
        return conn->state == MESH_HELLO && dial != NULL && dial->state == MESH_HELLO &&
               !dial->stream.closing;
    }
    return up->dialled && !up->stream.closing &&
           up->hello.start_number == conn->hello.start_number &&
           now_us - up->up_us < MESH_DUPLICATE_MS * 1000;
}

static void come_up(struct mesh_conn *conn)
{
    struct mesh *mesh = conn->mesh;
    struct mesh_channel *channel = channel_of(conn);
    struct mesh_conn *older = channel->up;

    if (older != NULL) {
        mesh_channel_down(channel);
        stream_close(&older->stream, TERN_EREFUSED, "replaced by a newer connection");
    }
    if (mesh->handler == NULL || conn->stream.closing) {
        stream_close(&conn->stream, TERN_ECANCELED, "this node is stopping");
        return;
    }
    if (!conn->dialled) {
        mesh->strangers--;
    }
    conn->state = MESH_UP;
    conn->in.believed = true;
    conn->up_us = clock_now_us(mesh->hub->clock);
    channel->up = conn;
    channel->refused_full = false;
    mesh_dial_stop(channel);
    stream_deadline(&conn->stream, 0, NULL);
    mesh_congestion_begin(conn);
    mesh->counters[conn->channel].ups++;
    trace_info("event=peer_up node=%u region=%s channel=%s address=%s dialled=%d",
               conn->hello.node_id, conn->hello.region, mesh_channel_name(conn->channel),
               conn->stream.peer, conn->dialled ? 1 : 0);
    mesh_twin_begin(conn);
    if (!mesh_is_twin(conn->channel)) {
        mesh->handler->peer_up(mesh->handler_ctx, &conn->hello, (enum wire_channel)conn->channel);
    }
}

void mesh_channel_down(struct mesh_channel *channel)
{
    struct mesh *mesh = channel->mesh;
    struct mesh_conn *conn = channel->up;

    if (conn == NULL) {
        return;
    }
    if (clock_now_us(mesh->hub->clock) - conn->up_us >= MESH_STABLE_MS * 1000) {
        channel->backoff_ms = 0;
    }
    channel->up = NULL;
    channel->refused_full = false;
    trace_info("event=peer_down node=%u channel=%s why=\"%s\"", channel->node_id,
               mesh_channel_name(channel->channel),
               conn->stream.why[0] != '\0' ? conn->stream.why : "replaced");
    if (mesh->handler != NULL && !mesh_is_twin(channel->channel)) {
        mesh->handler->peer_down(mesh->handler_ctx, channel->node_id,
                                 (enum wire_channel)channel->channel);
    }
}

/* True: the peer may come up. Otherwise it has been refused. */
static bool accept_hello(struct mesh_conn *conn, struct slice bytes)
{
    struct mesh *mesh = conn->mesh;
    unsigned channel;
    struct wire_hello hello;
    char why[MESH_REASON_MAX] = "";
    int error = mesh_hello_decode(bytes, &hello, &channel, why);

    if (error == 0) {
        error = mesh_hello_check(&hello, &conn->peer, tls_context_identity(mesh->context), why);
    }
    if (error == 0 && conn->dialled && hello.node_id != conn->expected) {
        (void)snprintf(why, sizeof why, "it is node %u, but node %u was expected at this address",
                       hello.node_id, conn->expected);
        error = TERN_EIDENTITY;
    }
    if (error == 0 && conn->dialled && channel != conn->channel) {
        (void)snprintf(why, sizeof why, "it answers for another channel");
        error = TERN_EMALFORMED;
    }
    if (error == 0 && !mesh->handler->peer_check(mesh->handler_ctx, &hello, why)) {
        error = TERN_EREFUSED;
    }
    if (error != 0) {
        refuse(conn, error, why);
        return false;
    }
    conn->hello = hello;
    conn->channel = channel;
    return true;
}

static void on_hello(struct mesh_conn *conn, struct slice head)
{
    if (!accept_hello(conn, head)) {
        return;
    }
    if (conn->channel != WIRE_CONTROL) {
        stream_tune(&conn->stream, KEEPALIVE_S, USER_TIMEOUT_MS,
                    conn->channel == WIRE_DATA ? NOTSENT_LOWAT : CATCH_UP_LOWAT);
    }
    if (conn->dialled) {
        mesh_send_own(conn, MESH_FRAME_READY, (struct slice){0});
        come_up(conn);
    } else if (is_duplicate(conn)) {
        refuse(conn, TERN_EREFUSED, "");
    } else {
        send_hello(conn);
        conn->state = MESH_READY;
    }
}

static void on_ready(struct mesh_conn *conn)
{
    if (is_duplicate(conn)) {
        refuse(conn, TERN_EREFUSED, "");
        return;
    }
    come_up(conn);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void give(struct mesh_conn *conn, uint16_t type, struct slice head, struct chunk tail)
{
    conn->mesh->handler->peer_frame(conn->mesh->handler_ctx, conn->hello.node_id,
                                    (enum wire_channel)conn->channel, type, head, tail);
}

/* The tail of a copy is the whole frame, from its type on. */
static void on_copy(struct mesh_conn *twin, struct slice mark, struct chunk frame)
{
    uint16_t type = frame.len >= MESH_TYPED ? get_be16(frame.base) : MESH_FRAME_OWN;
    uint32_t head_len = frame.len >= MESH_TYPED ? get_be32(frame.base + 2) : 0;

    if (mark.len != MESH_COPY_HEAD || type >= MESH_FRAME_OWN || head_len > MESH_HEAD_MAX ||
        head_len > frame.len - MESH_TYPED) {
        broken(twin, TERN_EMALFORMED, "a copy is not a frame");
        return;
    }
    twin->mesh->counters[twin->channel].frames_in++;
    twin->mesh->counters[twin->channel].bytes_in +=
        FRAME_PREFIX + MESH_TYPED + mark.len + frame.len;
    struct mesh_conn *conn = mesh_twin_original(twin, mark);
    if (conn != NULL) {
        give(conn, type, slice_of(frame.base + MESH_TYPED, head_len),
             (struct chunk){frame.blob, frame.base + MESH_TYPED + head_len,
                            frame.len - MESH_TYPED - head_len});
    }
}

static void on_frame(struct mesh_conn *conn, struct blob *blob)
{
    struct mesh *mesh = conn->mesh;
    uint16_t type = get_be16(blob->bytes);
    uint32_t head_len = get_be32(blob->bytes + 2);
    size_t body_len = blob->len - MESH_TYPED;

    if (head_len > MESH_HEAD_MAX || head_len > body_len) {
        broken(conn, TERN_EMALFORMED, "a frame's head is longer than the frame or its limit");
        return;
    }
    struct slice head = slice_of(blob->bytes + MESH_TYPED, head_len);
    struct chunk tail = {blob, blob->bytes + MESH_TYPED + head_len, body_len - head_len};
    if (type == MESH_FRAME_REFUSE) {
        on_refused(conn, head);
    } else if (conn->state == MESH_HELLO && type == MESH_FRAME_HELLO) {
        on_hello(conn, head);
    } else if (conn->state == MESH_READY && type == MESH_FRAME_READY) {
        on_ready(conn);
    } else if (conn->state == MESH_UP && type == MESH_FRAME_STAMP &&
               mesh_twin_stamped(conn, head)) {
        return;
    } else if (conn->state == MESH_UP && type == MESH_FRAME_COPY && mesh_is_twin(conn->channel)) {
        on_copy(conn, head, tail);
    } else if (conn->state == MESH_UP && type < MESH_FRAME_OWN && !mesh_is_twin(conn->channel)) {
        mesh->counters[conn->channel].frames_in++;
        mesh->counters[conn->channel].bytes_in += FRAME_PREFIX + blob->len;
        if (mesh_twin_is_news(conn)) {
            give(conn, type, head, tail);
        }
    } else {
        broken(conn, TERN_EMALFORMED, "a frame of this type is not expected now");
    }
}

static uint32_t len_max(const struct mesh_conn *conn)
{
    if (conn->state != MESH_UP) {
        return MESH_TYPED + MESH_HELLO_MAX;
    }
    return conn->channel == WIRE_CONTROL || mesh_is_twin(conn->channel) ? MESH_CONTROL_FRAME_MAX
                                                                        : MESH_DATA_FRAME_MAX;
}

static void on_bytes(struct stream *stream, struct slice bytes)
{
    struct mesh_conn *conn = conn_of(stream);
    struct blob *blob;
    int got;

    if (conn->mesh->handler == NULL) {
        stream_close(stream, TERN_ECANCELED, "this node is stopping");
        return;
    }
    while ((got = frame_in_feed(&conn->in, &bytes, MESH_TYPED, len_max(conn), &blob)) == 1) {
        stream->hub->moderation.frames++;
        on_frame(conn, blob);
        blob_unref(blob);
        if (stream->closing || stream->finishing || conn->mesh->handler == NULL) {
            return;
        }
    }
    if (got < 0) {
        char why[80];
        (void)snprintf(why, sizeof why, "a frame claims %u bytes, at most %u are allowed",
                       frame_in_length(&conn->in), len_max(conn));
        broken(conn, got, why);
    }
}

static uint8_t *on_room(struct stream *stream, size_t *out_len)
{
    return frame_in_room(&conn_of(stream)->in, DIRECT_MIN, out_len);
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void on_open(struct stream *stream)
{
    struct mesh_conn *conn = conn_of(stream);

    conn->peer = *tls_peer(stream->tls);
    conn->state = MESH_HELLO;
    stream_tune(stream, KEEPALIVE_S, USER_TIMEOUT_MS, 0);
    if (conn->unneeded) {
        refuse(conn, TERN_EREFUSED, "");
    } else if (conn->dialled) {
        send_hello(conn);
    }
}

static void on_sent(struct stream *stream)
{
    struct mesh_conn *conn = conn_of(stream);
    struct mesh *mesh = conn->mesh;

    if (conn->state != MESH_UP || mesh->handler == NULL) {
        return;
    }
    struct mesh_channel *channel = channel_of(conn);
    if (channel->refused_full &&
        stream->queued < mesh->queue_max[conn->channel] / 2) { /* no twin */
        channel->refused_full = false;
        mesh->handler->peer_drained(mesh->handler_ctx, conn->hello.node_id,
                                    (enum wire_channel)conn->channel);
    }
}

static void on_poked(struct stream *stream)
{
    (void)stream;
}

/* What ended before it came up, and was not explained yet. */
static void explain_end(struct mesh_conn *conn)
{
    const struct stream *stream = &conn->stream;
    bool only_looked = !conn->dialled && stream->peer_closed && !stream->heard;

    if (conn->state == MESH_UP || conn->state == MESH_REFUSING || only_looked ||
        stream->error == TERN_EREFUSED || conn->unneeded || conn->mesh->closing) {
        return;
    }
    conn->mesh->counters[conn->channel].refused++;
    mesh_complain(conn,
                  conn->state != MESH_SHAKE ? "mesh_hello_failed"
                  : conn->dialled           ? "mesh_dial_failed"
                                            : "mesh_handshake_failed",
                  stream->why);
}

static void on_closed(struct stream *stream)
{
    struct mesh_conn *conn = conn_of(stream);
    struct mesh *mesh = conn->mesh;
    uint32_t node_id = conn->dialled ? conn->expected : conn->hello.node_id;

    link_remove(&conn->link);
    frame_in_fini(&conn->in);
    if (!conn->dialled && conn->state != MESH_UP) {
        mesh->strangers--;
    }
    explain_end(conn);
    if (node_id != 0) {
        struct mesh_channel *channel = mesh_channel_of(mesh, node_id, conn->channel);
        if (channel->up == conn) {
            mesh_channel_down(channel);
        }
        if (channel->dial == conn) {
            channel->dial = NULL;
            mesh_dial_outcome(channel, stream->nobody);
        }
        mesh_dial_ended(channel);
    }
    free(conn);
}

const struct stream_ops mesh_conn_ops = {
    .open = on_open,
    .bytes = on_bytes,
    .room = on_room,
    .sent = on_sent,
    .poked = on_poked,
    .closed = on_closed,
};
