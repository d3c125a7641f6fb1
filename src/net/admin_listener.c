/* SPDX-License-Identifier: Apache-2.0 */
#include "net/admin_listener.h"

#include <stdio.h>

#include "base/error.h"

#define KEEPALIVE_S 30
#define HOST_LINES  5

struct net_call {
    struct admin_conn *conn; /* NULL: the caller is gone */
    struct link link;
    uint16_t type;
    uint32_t id;
};

static struct admin_conn *conn_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct admin_conn, stream);
}

static void explain(struct admin_conn *conn, const char *why)
{
    char host[STREAM_NAME];
    char who[STREAM_NAME + WIRE_NAME_MAX + 24];

    conn->admin->refused++;
    stream_host(&conn->stream, host);
    (void)snprintf(who, sizeof who, "%s%s%s", conn->principal,
                   conn->principal[0] != '\0' ? " at " : "", conn->stream.peer);
    complain(conn->admin->complaints, HOST_LINES, "admin_closed", host, who, why);
}

static void turn_out(struct admin_conn *conn, int error, const char *why)
{
    if (!conn->stream.closing && !conn->stream.finishing) {
        explain(conn, why);
    }
    stream_close(&conn->stream, error, "%s", why);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void respond(struct admin_conn *conn, uint16_t type, uint32_t id, int error,
                    struct slice body)
{
    struct blob *frame = blob_new(FRAME_PREFIX + ADMIN_RESPONSE_HEAD + body.len);

    CHECK(body.len <= ADMIN_RESPONSE_MAX);
    put_be32(frame->bytes, (uint32_t)(ADMIN_RESPONSE_HEAD + body.len));
    put_be16(frame->bytes + 4, type);
    put_be32(frame->bytes + 6, id);
    put_be32(frame->bytes + 10, (uint32_t)error);
    if (body.len > 0) {
        memcpy(frame->bytes + 14, body.base, body.len);
    }
    stream_send(&conn->stream, (struct chunk){frame, frame->bytes, frame->len});
}

void net_call_reply(struct net_call *call, int error, struct slice body)
{
    struct admin_conn *conn = call->conn;

    if (conn != NULL) {
        link_remove(&call->link);
        conn->call_count--;
        respond(conn, call->type, call->id, error, body);
    }
    free(call);
}

static void on_call(struct admin_conn *conn, uint16_t type, uint32_t id, struct slice body)
{
    struct admin_listener *admin = conn->admin;
    struct net_call *call;

    if (conn->call_count >= ADMIN_CALLS_MAX) {
        turn_out(conn, TERN_EBUSY, "too many calls are under way on one connection");
        return;
    }
    if (admin->handler == NULL) {
        respond(conn, type, id, TERN_ECANCELED,
                slice_text("this node is starting or stopping; ask again or ask another one"));
        return;
    }
    call = mem_new(sizeof *call);
    call->conn = conn;
    call->type = type;
    call->id = id;
    queue_push(&conn->calls, &call->link);
    conn->call_count++;
    admin->calls++;
    link_remove(&conn->link);
    queue_push(&admin->conns, &conn->link);
    admin->handler->call(admin->handler_ctx, call, conn->principal, type, body);
}

static void on_hello(struct admin_conn *conn, uint16_t type, uint32_t id, struct slice body)
{
    uint8_t ours[ADMIN_HELLO_BYTES];
    char why[128];

    if (type != ADMIN_HELLO || body.len < ADMIN_HELLO_BYTES || get_be32(body.base) != ADMIN_MAGIC) {
        turn_out(conn, TERN_EMALFORMED, "its first frame is no admin hello");
        return;
    }
    uint32_t version = get_be32(body.base + 4);
    if (version != ADMIN_FORMAT_VERSION) {
        (void)snprintf(why, sizeof why, "it speaks admin format version %u, this node version %u",
                       version, ADMIN_FORMAT_VERSION);
        explain(conn, why);
        respond(conn, type, id, TERN_EFORMAT, slice_text(why));
        stream_finish(&conn->stream, TERN_EFORMAT, "%s", why);
        return;
    }
    put_be32(ours, ADMIN_MAGIC);
    put_be32(ours + 4, ADMIN_FORMAT_VERSION);
    respond(conn, type, id, 0, slice_of(ours, sizeof ours));
    conn->greeted = true;
    stream_deadline(&conn->stream, 0, NULL);
}

static void on_frame(struct admin_conn *conn, const struct blob *frame)
{
    uint16_t type = get_be16(frame->bytes);
    uint32_t id = get_be32(frame->bytes + 2);
    struct slice body =
        slice_of(frame->bytes + ADMIN_REQUEST_HEAD, frame->len - ADMIN_REQUEST_HEAD);

    if (conn->greeted) {
        on_call(conn, type, id, body);
    } else {
        on_hello(conn, type, id, body);
    }
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void on_bytes(struct stream *stream, struct slice bytes)
{
    struct admin_conn *conn = conn_of(stream);
    uint32_t len_max = ADMIN_REQUEST_HEAD + (conn->greeted ? ADMIN_REQUEST_MAX : ADMIN_HELLO_BYTES);
    struct blob *frame;
    int got;

    while ((got = frame_in_feed(&conn->in, &bytes, ADMIN_REQUEST_HEAD, len_max, &frame)) == 1) {
        on_frame(conn, frame);
        blob_unref(frame);
        if (stream->closing || stream->finishing) {
            return;
        }
        len_max = ADMIN_REQUEST_HEAD + ADMIN_REQUEST_MAX;
    }
    if (got < 0) {
        char why[80];
        (void)snprintf(why, sizeof why, "a call claims %u bytes, at most %u are allowed",
                       frame_in_length(&conn->in), len_max);
        turn_out(conn, got, why);
    }
}

static void on_open(struct stream *stream)
{
    struct admin_conn *conn = conn_of(stream);
    const struct identity *peer = tls_peer(stream->tls);
    const struct identity *own = tls_context_identity(conn->admin->context);
    char why[STREAM_WHY];

    if (peer->node_id != 0) {
        (void)snprintf(conn->principal, sizeof conn->principal, "node:%u", peer->node_id);
    } else {
        (void)snprintf(conn->principal, sizeof conn->principal, "client:%s", peer->client);
    }
    stream_tune(stream, KEEPALIVE_S, 0, 0);
    if (strcmp(peer->cluster_name, own->cluster_name) != 0) {
        (void)snprintf(why, sizeof why, "its certificate is of cluster %.60s, ours is %.60s",
                       peer->cluster_name, own->cluster_name);
        turn_out(conn, TERN_EIDENTITY, why);
    }
}

static void on_nothing(struct stream *stream)
{
    (void)stream;
}

static void on_closed(struct stream *stream)
{
    struct admin_conn *conn = conn_of(stream);
    struct link *link;

    while ((link = queue_pop(&conn->calls)) != NULL) {
        CONTAINER_OF(link, struct net_call, link)->conn = NULL;
    }
    if (!stream->open && stream->heard && stream->error != TERN_ECANCELED &&
        stream->error != TERN_EBUSY) {
        explain(conn, stream->why);
    }
    frame_in_fini(&conn->in);
    link_remove(&conn->link);
    conn->admin->connections--;
    free(conn);
}

static const struct stream_ops conn_ops = {
    .open = on_open,
    .bytes = on_bytes,
    .sent = on_nothing,
    .poked = on_nothing,
    .closed = on_closed,
};

/* Whoever has not shown a certificate goes first, then the least recently used idle one. */
static struct admin_conn *one_too_many(struct admin_listener *admin, struct admin_conn *newest)
{
    struct admin_conn *idle = newest;

    QUEUE_EACH (link, &admin->conns) {
        struct admin_conn *conn = CONTAINER_OF(link, struct admin_conn, link);
        if (conn == newest || conn->stream.closing) {
            continue;
        }
        if (!conn->greeted) {
            return conn;
        }
        if (idle == newest && conn->call_count == 0) {
            idle = conn;
        }
    }
    return idle;
}

static void on_incoming(struct listener *listener)
{
    struct admin_listener *admin = CONTAINER_OF(listener, struct admin_listener, listener);
    struct admin_conn *conn = mem_new(sizeof *conn);

    conn->admin = admin;
    queue_init(&conn->calls);
    queue_push(&admin->conns, &conn->link);
    admin->connections++;
    stream_accept(admin->hub, (uv_stream_t *)&listener->tcp, &conn->stream, &conn_ops,
                  admin->context);
    stream_deadline(&conn->stream, ADMIN_SHAKE_MS, "no hello in time");
    if (admin->connections > ADMIN_CONNECTIONS_MAX) {
        turn_out(one_too_many(admin, conn), TERN_EBUSY, "there are too many admin connections");
    }
}

void admin_listener_init(struct admin_listener *admin)
{
    queue_init(&admin->conns);
}

int admin_listener_open(struct admin_listener *admin, const char *address, char why[256])
{
    return address != NULL ? listener_open(admin->hub, address, &admin->listener, on_incoming, why)
                           : 0;
}

void admin_listener_close(struct admin_listener *admin)
{
    listener_close(&admin->listener);
    QUEUE_EACH (link, &admin->conns) {
        stream_close(&CONTAINER_OF(link, struct admin_conn, link)->stream, TERN_ECANCELED,
                     "this node is stopping");
    }
}
