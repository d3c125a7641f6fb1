/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kafka_listener.h"

#include <stdio.h>

#include "base/error.h"

#define KEEPALIVE_S      60
#define KAFKA_DIRECT_MIN 16384 /* less is read together with what follows it */
#define HOST_LINES       20    /* log lines a minute about the same reason from one host */

static struct wire_client *client_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct wire_client, stream);
}

/* One line: who and why. */
static void explain(struct wire_client *client, const char *why)
{
    char host[STREAM_NAME];

    client->listener->counters.refused++;
    stream_host(&client->stream, host);
    complain(client->listener->complaints, HOST_LINES, "client_closed", host, client->stream.peer,
             why);
}

static void turn_out(struct wire_client *client, int error, const char *why)
{
    if (!client->stream.closing && !client->stream.finishing) {
        explain(client, why);
    }
    stream_close(&client->stream, error, "%s", why);
}

/* ---- memory of frames under way -------------------------------------------------------------- */

static void shed(struct kafka_listener *kafka)
{
    while (kafka->receive_bytes > kafka->limits.receive_bytes_max && !queue_empty(&kafka->large)) {
        struct wire_client *oldest =
            CONTAINER_OF(kafka->large.next, struct wire_client, large_link);
        turn_out(oldest, TERN_EBUSY,
                 "too many large requests are under way, and this one takes longest");
        link_remove(&oldest->large_link);
        kafka->receive_bytes -= oldest->counted;
        oldest->counted = 0;
        frame_in_fini(&oldest->in);
    }
}

static void count_memory(struct wire_client *client)
{
    struct kafka_listener *kafka = client->listener;
    size_t memory = frame_in_memory(&client->in);
    bool large = memory > KAFKA_SMALL_FRAME;

    kafka->receive_bytes += memory - client->counted;
    client->counted = memory;
    if (large && !link_in_list(&client->large_link)) {
        queue_push(&kafka->large, &client->large_link);
    } else if (!large && link_in_list(&client->large_link)) {
        link_remove(&client->large_link);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void update_reading(struct wire_client *client)
{
    stream_pause(&client->stream, client->paused || client->choked || client->stash.len > 0);
}

/* People point all kinds of programs at a port. */
static const char *looks_like(const struct frame_in *in)
{
    static const char *const http[] = {"GET ", "POST", "HEAD", "PUT ", "OPTI", "PRI "};

    for (size_t i = 0; i < ARRAY_COUNT(http); i++) {
        if (memcmp(in->prefix, http[i], FRAME_PREFIX) == 0) {
            return " (it looks like HTTP)";
        }
    }
    return in->prefix[0] == 0x16 && in->prefix[1] == 0x03
               ? " (it looks like TLS; this port is plain)"
               : "";
}

static void bad_length(struct wire_client *client, int error, uint32_t len_max)
{
    char why[160];

    (void)snprintf(why, sizeof why, "a request claims %u bytes, allowed are %u to %u%s%s",
                   frame_in_length(&client->in), KAFKA_FRAME_MIN, len_max,
                   client->first_done ? "" : " for the first one", looks_like(&client->in));
    turn_out(client, error, why);
}

static bool stopped(const struct wire_client *client)
{
    return client->stream.closing || client->stream.finishing || client->listener->handler == NULL;
}

static void deliver(struct wire_client *client, struct blob *frame)
{
    struct kafka_listener *kafka = client->listener;

    if (!client->first_done) {
        client->first_done = true;
        link_remove(&client->link);
        queue_push(&kafka->served, &client->link);
    }
    kafka->counters.frames_in++;
    kafka->counters.bytes_in += FRAME_PREFIX + frame->len;
    kafka->handler->client_frame(kafka->handler_ctx, client, frame);
}

/* Cuts bytes into frames until they are used up or the client is paused; the rest is kept. */
static void receive(struct wire_client *client, struct slice bytes)
{
    while (bytes.len > 0 && !stopped(client)) {
        uint32_t len_max =
            client->first_done ? client->listener->limits.frame_max : KAFKA_FIRST_FRAME_MAX;
        struct blob *frame;

        if (client->paused || client->choked) {
            buf_put(&client->stash, bytes);
            break;
        }
        int got = frame_in_feed(&client->in, &bytes, KAFKA_FRAME_MIN, len_max, &frame);
        if (got < 0) {
            bad_length(client, got, len_max);
            break;
        }
        count_memory(client);
        if (got == 1) {
            deliver(client, frame);
            blob_unref(frame);
        }
    }
    shed(client->listener);
    update_reading(client);
}

static void on_bytes(struct stream *stream, struct slice bytes)
{
    receive(client_of(stream), bytes);
}

static uint8_t *on_room(struct stream *stream, size_t *out_len)
{
    struct wire_client *client = client_of(stream);

    if (client->stash.len > 0) {
        return NULL; /* which comes before */
    }
    uint8_t *room = frame_in_room(&client->in, KAFKA_DIRECT_MIN, out_len);
    count_memory(client);
    return room;
}

/* Resumed: what was kept comes first. */
static void on_poked(struct stream *stream)
{
    struct wire_client *client = client_of(stream);
    struct buf stash = client->stash;

    client->stash = (struct buf){0};
    receive(client, buf_slice(&stash));
    buf_fini(&stash);
}

/* ---- responses ------------------------------------------------------------------------------- */

static void resume(struct wire_client *client)
{
    if (!client->paused && !client->choked && !stopped(client)) {
        if (client->stash.len > 0) {
            stream_poke(&client->stream);
        } else {
            update_reading(client);
        }
    }
}

static void on_sent(struct stream *stream)
{
    struct wire_client *client = client_of(stream);

    if (client->choked && stream->queued <= KAFKA_OUTPUT_MAX / 2) {
        client->choked = false;
        resume(client);
    }
}

void kafka_client_send(struct wire_client *client, const struct chunk *chunks, size_t count)
{
    struct blob *prefix = blob_new(FRAME_PREFIX);
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        len += chunks[i].len;
    }
    CHECK(len <= INT32_MAX);
    put_be32(prefix->bytes, (uint32_t)len);
    stream_send(&client->stream, (struct chunk){prefix, prefix->bytes, FRAME_PREFIX});
    for (size_t i = 0; i < count; i++) {
        stream_send(&client->stream, chunks[i]);
    }
    client->listener->counters.frames_out++;
    client->listener->counters.bytes_out += FRAME_PREFIX + len;
    if (client->stream.queued > KAFKA_OUTPUT_MAX && !client->choked) {
        client->choked = true;
        update_reading(client);
    }
}

void kafka_client_close(struct wire_client *client, const char *reason)
{
    if (client->stream.closing || client->stream.finishing) {
        return;
    }
    if (reason != NULL) {
        explain(client, reason);
    }
    stream_finish(&client->stream, 0, "%s", reason != NULL ? reason : "closed by this node");
}

void kafka_client_pause(struct wire_client *client, bool paused)
{
    client->paused = paused;
    if (paused) {
        update_reading(client);
    } else {
        resume(client);
    }
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void on_open(struct stream *stream)
{
    struct wire_client *client = client_of(stream);
    struct kafka_listener *kafka = client->listener;

    stream_tune(stream, KEEPALIVE_S, 0, 0);
    if (kafka->handler == NULL) {
        stream_close(stream, TERN_ECANCELED, "this node is starting or stopping");
        return;
    }
    client->opened = true;
    kafka->counters.opened++;
    kafka->handler->client_opened(kafka->handler_ctx, client);
}

static void on_closed(struct stream *stream)
{
    struct wire_client *client = client_of(stream);
    struct kafka_listener *kafka = client->listener;

    frame_in_fini(&client->in);
    count_memory(client);
    buf_fini(&client->stash);
    link_remove(&client->link);
    kafka->clients--;
    if (client->opened && kafka->handler != NULL) {
        kafka->handler->client_closed(kafka->handler_ctx, client);
    }
    free(client);
}

static const struct stream_ops client_ops = {
    .open = on_open,
    .bytes = on_bytes,
    .room = on_room,
    .sent = on_sent,
    .poked = on_poked,
    .closed = on_closed,
};

/* One that has not sent a request yet makes room; otherwise the new one goes. */
static struct wire_client *one_too_many(struct kafka_listener *kafka, struct wire_client *newest)
{
    QUEUE_EACH (link, &kafka->fresh) {
        struct wire_client *client = CONTAINER_OF(link, struct wire_client, link);
        if (!client->stream.closing) {
            return client;
        }
    }
    return newest;
}

static void on_incoming(struct listener *listener)
{
    struct kafka_listener *kafka = CONTAINER_OF(listener, struct kafka_listener, listener);
    struct wire_client *client = mem_new(sizeof *client);

    client->listener = kafka;
    queue_push(&kafka->fresh, &client->link);
    kafka->clients++;
    stream_accept(kafka->hub, (uv_stream_t *)&listener->tcp, &client->stream, &client_ops, NULL);
    if (kafka->clients > kafka->limits.clients_max) {
        turn_out(one_too_many(kafka, client), TERN_EBUSY, "there are too many connections");
    }
}

int kafka_listener_open(struct kafka_listener *kafka, const char *address, char why[256])
{
    static const struct kafka_limits defaults = {100u << 20, 10000, (size_t)256 << 20};
    struct kafka_limits *limits = &kafka->limits;

    limits->frame_max = limits->frame_max > 0 ? limits->frame_max : defaults.frame_max;
    limits->clients_max = limits->clients_max > 0 ? limits->clients_max : defaults.clients_max;
    limits->receive_bytes_max =
        limits->receive_bytes_max > 0 ? limits->receive_bytes_max : defaults.receive_bytes_max;
    queue_init(&kafka->fresh);
    queue_init(&kafka->served);
    queue_init(&kafka->large);
    return address != NULL ? listener_open(kafka->hub, address, &kafka->listener, on_incoming, why)
                           : 0;
}

static void close_all(struct link *clients)
{
    QUEUE_EACH (link, clients) {
        stream_close(&CONTAINER_OF(link, struct wire_client, link)->stream, TERN_ECANCELED,
                     "this node is stopping");
    }
}

void kafka_listener_close(struct kafka_listener *kafka)
{
    listener_close(&kafka->listener);
    close_all(&kafka->fresh);
    close_all(&kafka->served);
}
