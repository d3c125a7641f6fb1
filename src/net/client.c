/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/address.h"
#include "net/admin_frame.h"
#include "net/frame_in.h"
#include "net/tls.h"

#define READ_BYTES    16384
#define ADDRESSES_MAX 4

struct client {
    int fd;
    struct tls_context *context;
    struct tls *tls;
    struct frame_in in;
    struct blob *frame;  /* the last answer */
    struct buf received; /* plaintext that has not become a frame yet */
    uint32_t next_id;
    bool broken;
    uint64_t deadline_ms; /* of the call under way */
    char address[WIRE_ADDRESS_MAX];
    char peer[CERTS_WHY];
};

static int fail(struct client *client, int error, char why[CLIENT_WHY], const char *format, ...)
    TERN_PRINTF(4, 5);

static int fail(struct client *client, int error, char why[CLIENT_WHY], const char *format, ...)
{
    va_list args;

    client->broken = true;
    va_start(args, format);
    (void)vsnprintf(why, CLIENT_WHY, format, args);
    va_end(args);
    return error;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int wait_for(struct client *client, short events, char why[CLIENT_WHY])
{
    struct pollfd waiting = {.fd = client->fd, .events = events};

    for (;;) {
        uint64_t now = now_ms();
        int left_ms = now < client->deadline_ms ? (int)(client->deadline_ms - now) : 0;
        int ready = poll(&waiting, 1, left_ms);
        if (ready > 0) {
            return 0;
        }
        if (ready == 0) {
            return fail(client, TERN_ETIMEDOUT, why,
                        "%s did not answer in time; is the node running and reachable? Ask another "
                        "one, or allow more time",
                        client->address);
        }
        if (errno != EINTR) {
            return fail(client, TERN_EIO, why, "waiting for %s failed: %s", client->address,
                        strerror(errno));
        }
    }
}

static int lost(struct client *client, const char *reason, char why[CLIENT_WHY])
{
    return fail(client, TERN_EIO, why, "the connection to %s was lost: %s; try again",
                client->address, reason);
}

/* Sends all that TLS has for the peer. */
static int flush(struct client *client, char why[CLIENT_WHY])
{
    struct buf *output = tls_output(client->tls);
    size_t at = 0;

    while (at < output->len) {
        ssize_t sent = send(client->fd, output->base + at, output->len - at, MSG_NOSIGNAL);
        if (sent >= 0) {
            at += (size_t)sent;
        } else if (errno == EAGAIN) {
            int error = wait_for(client, POLLOUT, why);
            if (error != 0) {
                return error;
            }
        } else if (errno != EINTR) {
            break; /* reading tells the reason: often an alert came before the end */
        }
    }
    buf_clear(output);
    return 0;
}

static int tls_failed(struct client *client, int error, char why[CLIENT_WHY])
{
    if (error == TERN_ECANCELED) {
        return lost(client, "closed by the node", why);
    }
    if (error == TERN_EIDENTITY) {
        return fail(client, error, why,
                    "%s and we do not trust each other (%.120s); use ca.crt and a client "
                    "certificate of this cluster",
                    client->address, tls_why(client->tls));
    }
    return fail(client, error, why,
                "%s does not speak TLS as the admin port does (%.100s); is it the admin address?",
                client->address, tls_why(client->tls));
}

/* Reads once from the socket and decrypts into `received`. */
static int receive(struct client *client, char why[CLIENT_WHY])
{
    uint8_t cipher[READ_BYTES];
    uint8_t plain[READ_BYTES];
    int got;
    int error = wait_for(client, POLLIN, why);

    if (error != 0) {
        return error;
    }
    ssize_t len = recv(client->fd, cipher, sizeof cipher, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (len <= 0) {
        return lost(client, len == 0 ? "closed by the node" : strerror(errno), why);
    }
    tls_feed(client->tls, slice_of(cipher, (size_t)len));
    while ((got = tls_read(client->tls, plain, sizeof plain)) > 0) {
        buf_put(&client->received, slice_of(plain, (size_t)got));
    }
    if (got < 0) {
        (void)flush(client, why); /* the alert */
        return tls_failed(client, got, why);
    }
    return flush(client, why);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int connect_to(struct client *client, const struct sockaddr_storage *at,
                      char why[CLIENT_WHY])
{
    int one = 1;

    client->fd = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return fail(client, TERN_EIO, why, "cannot make a socket: %s", strerror(errno));
    }
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Our own port is chosen by the system: it must not keep a ternd from listening on it. */
    (void)setsockopt(client->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (connect(client->fd, (const struct sockaddr *)at, address_size(at)) == 0) {
        return 0;
    }
    int reason = errno;
    if (reason == EINPROGRESS) {
        socklen_t size = sizeof reason;
        int error = wait_for(client, POLLOUT, why);
        if (error != 0) {
            return error;
        }
        CHECK(getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &reason, &size) == 0);
    }
    return reason == 0 ? 0
                       : fail(client, TERN_EIO, why,
                              "cannot connect to %s: %s; is the node running? Ask another one",
                              client->address, strerror(reason));
}

/* A name may have several addresses; the first that answers is taken. */
static int connect_socket(struct client *client, char why[CLIENT_WHY])
{
    struct sockaddr_storage at[ADDRESSES_MAX];
    size_t count = 0;
    int error = address_resolve(client->address, false, at, ADDRESSES_MAX, &count, why);

    for (size_t i = 0; i < count; i++) {
        error = connect_to(client, &at[i], why);
        if (error == 0) {
            client->broken = false;
            return 0;
        }
        if (client->fd >= 0) {
            (void)close(client->fd);
            client->fd = -1;
        }
    }
    return error;
}

/* A client certificate of the cluster must not be able to pose as a node. */
static int check_peer(struct client *client, char why[CLIENT_WHY])
{
    const struct identity *own = tls_context_identity(client->context);
    const struct identity *peer = tls_peer(client->tls);

    identity_text(peer, client->peer);
    if (peer->node_id == 0) {
        return fail(client, TERN_EIDENTITY, why, "%s is not a node: it is %.150s", client->address,
                    client->peer);
    }
    if (strcmp(peer->cluster_name, own->cluster_name) != 0) {
        return fail(client, TERN_EIDENTITY, why,
                    "%.60s is of cluster %.50s, our certificate of %.50s; use the files of the "
                    "right cluster",
                    client->address, peer->cluster_name, own->cluster_name);
    }
    return 0;
}

static int shake(struct client *client, char why[CLIENT_WHY])
{
    uint8_t nothing;
    int got = tls_read(client->tls, &nothing, sizeof nothing); /* makes the first flight */
    int error = got < 0 ? tls_failed(client, got, why) : flush(client, why);

    while (error == 0 && !tls_is_open(client->tls)) {
        error = receive(client, why);
    }
    return error == 0 ? check_peer(client, why) : error;
}

static int greet(struct client *client, char why[CLIENT_WHY])
{
    uint8_t hello[ADMIN_HELLO_BYTES];
    uint64_t now = now_ms();
    uint32_t left_ms = now < client->deadline_ms ? (uint32_t)(client->deadline_ms - now) : 0;
    struct slice answer;
    int said = 0;

    put_be32(hello, ADMIN_MAGIC);
    put_be32(hello + 4, ADMIN_FORMAT_VERSION);
    int error = client_call(client, ADMIN_HELLO, slice_of(hello, sizeof hello), left_ms, &said,
                            &answer, why);
    if (error == 0 && said != 0) {
        return fail(client, said, why, "%.60s refuses this program: %.*s", client->address,
                    (int)(answer.len < 150 ? answer.len : 150), (const char *)answer.base);
    }
    return error;
}

int client_connect(const char *address, const struct client_files *files, uint32_t timeout_ms,
                   struct client **out, char why[CLIENT_WHY])
{
    const struct tls_files pem = {files->ca, files->crt, files->key};
    struct client *client = mem_new(sizeof *client);
    int error;

    client->fd = -1;
    client->deadline_ms = now_ms() + timeout_ms;
    if (strlen(address) >= sizeof client->address) {
        error = fail(client, TERN_EINVALIDCONFIG, why, "the address is too long");
        goto err;
    }
    (void)snprintf(client->address, sizeof client->address, "%s", address);
    error = tls_context_new(&pem, &client->context, why);
    if (error != 0) {
        goto err;
    }
    client->tls = tls_new(client->context, TLS_CLIENT);
    error = connect_socket(client, why);
    if (error == 0) {
        error = shake(client, why);
    }
    if (error == 0) {
        error = greet(client, why);
    }
    if (error != 0) {
        goto err;
    }
    *out = client;
    return 0;
err:
    client_close(client);
    return error;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    frame_in_fini(&client->in);
    blob_unref(client->frame);
    buf_fini(&client->received);
    tls_free(client->tls);
    tls_context_free(client->context);
    free(client);
}

const char *client_peer(const struct client *client)
{
    return client->peer;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int send_request(struct client *client, uint16_t type, uint32_t id, struct slice body,
                        char why[CLIENT_WHY])
{
    struct buf frame = {0};

    buf_be32(&frame, (uint32_t)(ADMIN_REQUEST_HEAD + body.len));
    buf_be16(&frame, type);
    buf_be32(&frame, id);
    buf_put(&frame, body);
    int error = tls_write(client->tls, buf_slice(&frame));
    buf_fini(&frame);
    return error != 0 ? tls_failed(client, error, why) : flush(client, why);
}

/* One frame into client->frame. */
static int next_frame(struct client *client, char why[CLIENT_WHY])
{
    blob_unref(client->frame);
    client->frame = NULL;
    for (;;) {
        struct slice bytes = buf_slice(&client->received);
        int got = frame_in_feed(&client->in, &bytes, ADMIN_RESPONSE_HEAD,
                                ADMIN_RESPONSE_HEAD + ADMIN_RESPONSE_MAX, &client->frame);
        if (bytes.len > 0) {
            memmove(client->received.base, bytes.base, bytes.len);
        }
        client->received.len = bytes.len;
        if (got == 1) {
            return 0;
        }
        if (got < 0) {
            return fail(client, got, why, "%s answers with a frame of %u bytes; is it a tern node?",
                        client->address, frame_in_length(&client->in));
        }
        int error = receive(client, why);
        if (error != 0) {
            return error;
        }
    }
}

int client_call(struct client *client, uint16_t type, struct slice body, uint32_t timeout_ms,
                int *out_error, struct slice *out_body, char why[CLIENT_WHY])
{
    uint32_t id = client->next_id++;

    CHECK(!client->broken);
    client->deadline_ms = now_ms() + timeout_ms;
    if (body.len > ADMIN_REQUEST_MAX) {
        (void)snprintf(why, CLIENT_WHY, "the request is larger than %u bytes", ADMIN_REQUEST_MAX);
        return TERN_ETOOBIG;
    }
    int error = send_request(client, type, id, body, why);
    if (error == 0) {
        error = next_frame(client, why);
    }
    if (error != 0) {
        return error;
    }
    const uint8_t *at = client->frame->bytes;
    if (get_be16(at) != type || get_be32(at + 2) != id) {
        return fail(client, TERN_EMALFORMED, why, "%s answers another question; is it a tern node?",
                    client->address);
    }
    *out_error = (int)get_be32(at + 6);
    *out_body = slice_of(at + ADMIN_RESPONSE_HEAD, client->frame->len - ADMIN_RESPONSE_HEAD);
    return 0;
}
