/* SPDX-License-Identifier: Apache-2.0 */
/* The clients' connections: frames with real Kafka bytes, both ways. */
#include "tests/sim/sim_tcp.h"

#include <string.h>

#include "base/error.h"
#include "kafka/codec.h"
#include "tests/sim/sim.h"

enum { CONNECT = 11, DATA, HANGUP };

/* One connection. It lives until both ends have let go. */
struct wire_client {
    struct sim *sim;
    struct link link; /* in net.tcps */
    uint32_t node;
    struct sim_conn *conn; /* NULL: the client has let go */
    bool open;             /* the node knows it */
    bool closing;          /* the node closes it */
    bool paused;           /* the node does not read */
    void *data;
    struct sim_pipe in;  /* to the node */
    struct sim_pipe out; /* to the client */
    struct timer closed; /* tells the node of the end */
};

static void let_go(struct wire_client *tcp)
{
    if (tcp->open || tcp->conn != NULL) {
        return;
    }
    sim_pipe_clear(&tcp->in);
    sim_pipe_clear(&tcp->out);
    sim_stop(tcp->sim, &tcp->closed);
    link_remove(&tcp->link);
    free(tcp);
}

static struct sim_wire *wire_of(const struct wire_client *tcp)
{
    return &tcp->sim->net.wires[tcp->node];
}

/* ---- the node's end -------------------------------------------------------------------------- */

static void node_lets_go(struct wire_client *tcp)
{
    if (tcp->open) {
        struct sim_wire *wire = wire_of(tcp);
        tcp->open = false;
        if (wire->handler != NULL) {
            sim_node_enter(&tcp->sim->nodes[tcp->node]);
            wire->handler->client_closed(wire->ctx, tcp);
        }
    }
}

static void closed(struct timer *timer)
{
    struct wire_client *tcp = CONTAINER_OF(timer, struct wire_client, closed);

    node_lets_go(tcp);
    if (tcp->conn != NULL) {
        sim_pipe_send(&tcp->out, HANGUP, 0, 0, NULL);
    }
    let_go(tcp);
}

static bool node_ready(struct sim_pipe *pipe)
{
    const struct wire_client *tcp = CONTAINER_OF(pipe, struct wire_client, in);
    const struct sim_message *next = CONTAINER_OF(pipe->queue.next, struct sim_message, link);

    return !tcp->sim->nodes[tcp->node].paused && !(tcp->paused && next->kind == DATA);
}

/* What arrives at the node. */
static void at_node(struct sim_pipe *pipe, struct sim_message *message)
{
    struct wire_client *tcp = CONTAINER_OF(pipe, struct wire_client, in);
    struct sim_wire *wire = wire_of(tcp);

    if (message->kind == HANGUP) {
        node_lets_go(tcp);
        let_go(tcp);
        return;
    }
    if (wire->handler == NULL || (message->kind == DATA && !tcp->open)) {
        if (!tcp->sim->nodes[tcp->node].silent && tcp->conn != NULL) {
            sim_pipe_send(&tcp->out, HANGUP, 0, 0, NULL);
        }
        return;
    }
    sim_node_enter(&tcp->sim->nodes[tcp->node]);
    if (message->kind == CONNECT) {
        tcp->open = true;
        if (tcp->conn != NULL) {
            tcp->conn->process = tcp->sim->nodes[tcp->node].starts;
        }
        wire->handler->client_opened(wire->ctx, tcp);
    } else if (!tcp->closing) {
        wire->handler->client_frame(wire->ctx, tcp, message->blob);
    }
}

void sim_tcp_send(struct wire *wire, struct wire_client *tcp, const struct chunk *chunks,
                  size_t count)
{
    size_t len = 0;

    (void)wire;
    for (size_t i = 0; i < count; i++) {
        len += chunks[i].len;
    }
    struct blob *blob = blob_new(len);
    uint8_t *at = blob->bytes;
    for (size_t i = 0; i < count; i++) {
        struct chunk chunk = chunks[i];
        memcpy(at, chunk.base, chunk.len);
        at += chunk.len;
        chunk_drop(&chunk);
    }
    if (sim_node_gone(&tcp->sim->nodes[tcp->node]) || tcp->conn == NULL) {
        blob_unref(blob);
        return;
    }
    sim_pipe_send(&tcp->out, DATA, 0, len, blob);
}

void sim_tcp_close(struct wire *wire, struct wire_client *tcp, const char *reason)
{
    (void)wire;
    if (!tcp->closing) {
        sim_tell(tcp->sim, "node %u closes a client's connection: %s", tcp->node, reason);
        tcp->closing = true;
        sim_at(tcp->sim, &tcp->closed, tcp->sim->now_us);
    }
}

void sim_tcp_pause(struct wire *wire, struct wire_client *tcp, bool paused)
{
    (void)wire;
    tcp->paused = paused;
    if (!paused) {
        sim_pipe_kick(&tcp->in, 0);
    }
}

void sim_tcp_set_data(struct wire *wire, struct wire_client *tcp, void *data)
{
    (void)wire;
    tcp->data = data;
}

void *sim_tcp_data(struct wire *wire, struct wire_client *tcp)
{
    (void)wire;
    return tcp->data;
}

size_t sim_tcp_queued_bytes(struct wire *wire, struct wire_client *tcp)
{
    (void)wire;
    return tcp->out.queued;
}

void sim_tcp_node_down(struct sim_net *net, uint32_t node, bool silent)
{
    QUEUE_EACH (each, &net->tcps) {
        struct wire_client *tcp = CONTAINER_OF(each, struct wire_client, link);
        if (tcp->node == node && tcp->open) {
            tcp->open = false;
            tcp->data = NULL;
            tcp->paused = false;
            sim_stop(net->sim, &tcp->closed);
            sim_pipe_kick(&tcp->in, 0);
            if (!silent && tcp->conn != NULL) {
                sim_pipe_send(&tcp->out, HANGUP, 0, 0, NULL);
            }
            let_go(tcp);
        }
    }
}

/* ---- the client's end ------------------------------------------------------------------------ */

static void call_ends(struct sim_call *call, int status, const void *response)
{
    sim_stop(call->conn->sim, &call->timeout);
    link_remove(&call->link);
    call->conn = NULL;
    call->done(call, status, response);
}

static struct sim_call *call_of(struct sim_conn *conn, int32_t correlation)
{
    QUEUE_EACH (each, &conn->calls) {
        struct sim_call *call = CONTAINER_OF(each, struct sim_call, link);
        if (call->correlation == correlation) {
            return call;
        }
    }
    return NULL;
}

static void on_response(struct sim_conn *conn, struct slice frame, uint64_t left_us)
{
    struct kafka_fault fault = {"", 0};
    struct slice body;
    struct arena arena;
    int32_t correlation = 0;
    void *response;

    CHECK(!queue_empty(&conn->calls));
    /* Kafka answers in the order of the requests. */
    struct sim_call *call = CONTAINER_OF(conn->calls.next, struct sim_call, link);
    int status = kafka_decode_response_header(call->key, call->version, frame, &correlation, &body);
    if (status != 0 || correlation != call->correlation) {
        sim_fail(conn->sim, "node %u answered out of order or with a bad header (%s)", conn->node,
                 call_of(conn, correlation) != NULL ? "out of order" : "unknown");
        return;
    }
    arena_init(&arena);
    status = kafka_decode_response(call->key, call->version, body, &arena, &response, &fault);
    if (status != 0) {
        sim_fail(conn->sim, "node %u: the answer to api %d cannot be decoded: %s at %zu",
                 conn->node, call->key, fault.field, fault.at);
    } else {
        call->left_us = left_us;
        call_ends(call, 0, response);
    }
    arena_fini(&arena);
}

static bool client_ready(struct sim_pipe *pipe)
{
    (void)pipe;
    return true;
}

static void at_client(struct sim_pipe *pipe, struct sim_message *message)
{
    struct wire_client *tcp = CONTAINER_OF(pipe, struct wire_client, out);

    if (tcp->conn == NULL) {
        return;
    }
    if (message->kind == HANGUP) {
        sim_conn_close(tcp->conn);
    } else {
        on_response(tcp->conn, slice_of(message->blob->bytes, message->blob->len),
                    message->sent_us);
    }
}

void sim_conn_init(struct sim_conn *conn, struct sim *sim, uint32_t place, uint32_t node,
                   const char *client_id)
{
    *conn = (struct sim_conn){.sim = sim, .place = place, .node = node, .client_id = client_id};
    queue_init(&conn->calls);
}

static void connect(struct sim_conn *conn)
{
    struct wire_client *tcp = mem_new(sizeof *tcp);

    tcp->sim = conn->sim;
    tcp->node = conn->node;
    tcp->conn = conn;
    tcp->closed.fire = closed;
    sim_pipe_init(&tcp->in, conn->sim, conn->place, conn->node);
    tcp->in.ready = node_ready;
    tcp->in.deliver = at_node;
    sim_pipe_init(&tcp->out, conn->sim, conn->node, conn->place);
    tcp->out.ready = client_ready;
    tcp->out.deliver = at_client;
    queue_push(&conn->sim->net.tcps, &tcp->link);
    conn->tcp = tcp;
    conn->opened++;
    sim_pipe_send(&tcp->in, CONNECT, 0, 0, NULL);
}

static void timed_out(struct timer *timer)
{
    struct sim_call *call = CONTAINER_OF(timer, struct sim_call, timeout);
    struct sim_conn *conn = call->conn;

    call_ends(call, TERN_ETIMEDOUT, NULL);
    sim_conn_close(conn);
}

void sim_conn_ask(struct sim_conn *conn, struct sim_call *call, int16_t key, int16_t version,
                  const void *request, uint64_t timeout_us)
{
    struct kafka_request_header header = {key, version, ++conn->next_correlation,
                                          slice_text(conn->client_id)};
    struct kafka_fault fault = {"", 0};
    struct kafka_out out = {0};
    struct buf bytes = {0};

    CHECK(call->conn == NULL);
    if (conn->tcp == NULL) {
        connect(conn);
    }
    CHECK(kafka_api_serves(kafka_api_of(key), version));
    CHECK(kafka_encode_request(&header, request, &out, &fault) == 0);
    kafka_out_copy(&out, &bytes);
    sim_pipe_send(&conn->tcp->in, DATA, (uint16_t)key, bytes.len, blob_copy(buf_slice(&bytes)));
    buf_fini(&bytes);
    kafka_out_fini(&out);
    call->key = key;
    call->version = version;
    call->conn = conn;
    call->correlation = header.correlation_id;
    call->timeout.fire = timed_out;
    queue_push(&conn->calls, &call->link);
    sim_after(conn->sim, &call->timeout, timeout_us);
}

static void client_lets_go(struct sim_conn *conn)
{
    struct wire_client *tcp = conn->tcp;

    conn->tcp = NULL;
    if (tcp != NULL) {
        tcp->conn = NULL;
        sim_pipe_send(&tcp->in, HANGUP, 0, 0, NULL);
    }
}

void sim_conn_close(struct sim_conn *conn)
{
    client_lets_go(conn);
    /* Those asked from inside belong to the next connection. */
    struct link ended;
    queue_init(&ended);
    for (struct link *l = queue_pop(&conn->calls); l != NULL; l = queue_pop(&conn->calls)) {
        queue_push(&ended, l);
    }
    while (!queue_empty(&ended)) {
        call_ends(CONTAINER_OF(ended.next, struct sim_call, link), TERN_ECANCELED, NULL);
    }
}

void sim_conn_fini(struct sim_conn *conn)
{
    for (struct link *l = queue_pop(&conn->calls); l != NULL; l = queue_pop(&conn->calls)) {
        struct sim_call *call = CONTAINER_OF(l, struct sim_call, link);
        sim_stop(conn->sim, &call->timeout);
        call->conn = NULL;
    }
    if (conn->tcp != NULL) {
        conn->tcp->conn = NULL;
        conn->tcp = NULL;
    }
}

void sim_tcp_fini(struct sim_net *net)
{
    QUEUE_EACH (each, &net->tcps) {
        struct wire_client *tcp = CONTAINER_OF(each, struct wire_client, link);
        tcp->open = false;
        tcp->conn = NULL;
        let_go(tcp);
    }
}
