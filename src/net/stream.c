/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "net/address.h"

#define STAGE_BYTES  16384u /* one TLS record */
#define DIRECT_BYTES 4096u  /* chunks from here on are encrypted where they are */
#define TLS_PIECE    49152u /* three records: what is encrypted is written while the cache has it */
#define TLS_PIECES   5u     /* ... of a turn */
#define CIPHER_KEPT  65536u
#define TLS_OWN_MAX  65536u

/* ---- queue ----------------------------------------------------------------------------------- */

static struct chunk *ring_at(struct chunk_ring *ring, size_t index)
{
    return &ring->items[(ring->head + index) & (ring->cap - 1)];
}

static void ring_push(struct chunk_ring *ring, struct chunk chunk)
{
    if (ring->count == ring->cap) {
        size_t cap = ring->cap > 0 ? ring->cap * 2 : 8;
        struct chunk *items = mem_grow(NULL, cap, sizeof *items);
        for (size_t i = 0; i < ring->count; i++) {
            items[i] = *ring_at(ring, i);
        }
        free(ring->items);
        *ring = (struct chunk_ring){.items = items, .cap = cap, .count = ring->count};
    }
    ring->count++;
    *ring_at(ring, ring->count - 1) = chunk;
}

static void ring_fini(struct chunk_ring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        chunk_drop(ring_at(ring, i));
    }
    free(ring->items);
    *ring = (struct chunk_ring){0};
}

/* `len` bytes of the front of the queue are with the kernel, or encrypted. */
static void consume(struct stream *stream, size_t len)
{
    CHECK(len <= stream->queued);
    stream->queued -= len;
    stream->bytes_out += len;
    while (len > 0) {
        struct chunk *first = ring_at(&stream->queue, 0);
        if (first->len > len) {
            first->base += len;
            first->len -= len;
            return;
        }
        len -= first->len;
        chunk_drop(first);
        stream->queue.head = (stream->queue.head + 1) & (stream->queue.cap - 1);
        stream->queue.count--;
    }
}

/* ---- end ------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    struct stream_hub *hub = stream->hub;

    ring_fini(&stream->queue);
    buf_fini(&stream->cipher);
    tls_free(stream->tls);
    stream->tls = NULL;
    stream->ops->closed(stream);
    stream_hub_drop(hub);
}

static void note_why(struct stream *stream, int error, const char *format, va_list args)
{
    if (stream->why[0] == '\0') {
        stream->error = error;
        (void)vsnprintf(stream->why, sizeof stream->why, format, args);
    }
}

static void close_now(struct stream *stream)
{
    if (stream->closing) {
        return;
    }
    stream->closing = true;
    timer_stop(stream->hub->clock, &stream->deadline);
    if (link_in_list(&stream->dirty)) {
        link_remove(&stream->dirty);
    }
    uv_close((uv_handle_t *)&stream->tcp, on_closed);
}

void stream_close(struct stream *stream, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note_why(stream, error, format, args);
    va_end(args);
    close_now(stream);
}

static void set_dirty(struct stream *stream)
{
    if (!stream->closing && !link_in_list(&stream->dirty)) {
        queue_push(&stream->hub->dirty, &stream->dirty);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out);
static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buf);

static void update_reading(struct stream *stream)
{
    bool reading = !stream->read_paused && !stream->resting && !stream->finishing;

    if (stream->closing || reading == stream->reading) {
        return;
    }
    stream->reading = reading;
    if (reading) {
        CHECK(uv_read_start((uv_stream_t *)&stream->tcp, on_alloc, on_read) == 0);
    } else {
        (void)uv_read_stop((uv_stream_t *)&stream->tcp);
    }
}

void stream_finish(struct stream *stream, int error, const char *format, ...)
{
    va_list args;

    if (stream->finishing || stream->closing) {
        return;
    }
    va_start(args, format);
    note_why(stream, error, format, args);
    va_end(args);
    stream->finishing = true;
    update_reading(stream);
    stream_deadline(stream, STREAM_FINISH_S * 1000, "it does not read what was sent");
    set_dirty(stream);
}

static void on_deadline(struct timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, deadline);

    stream_close(stream, TERN_ETIMEDOUT, "%s", stream->deadline_why);
}

void stream_deadline(struct stream *stream, uint64_t ms, const char *reason)
{
    if (ms == 0 || stream->closing) {
        timer_stop(stream->hub->clock, &stream->deadline);
        return;
    }
    stream->deadline.fire = on_deadline;
    stream->deadline_why = reason;
    timer_after_ms(stream->hub->clock, &stream->deadline, ms);
}

/* ---- out ------------------------------------------------------------------------------------- */

void stream_send(struct stream *stream, struct chunk chunk)
{
    if (stream->closing || stream->finishing || chunk.len == 0) {
        chunk_drop(&chunk);
        return;
    }
    CHECK(stream->open);
    stream->queued += chunk.len;
    ring_push(&stream->queue, chunk);
    if (stream->writing == 0) {
        set_dirty(stream);
    }
}

static int encrypt(struct stream *stream, struct slice bytes)
{
    int error = tls_write(stream->tls, bytes);

    if (error != 0) {
        stream_close(stream, error, "%s", tls_why(stream->tls));
    }
    return error;
}

/* Up to a piece of the queue into tls_output: small chunks together, large ones where they are. */
static int encrypt_piece(struct stream *stream)
{
    uint8_t *stage = stream->hub->stage;
    size_t staged = 0;
    size_t budget = TLS_PIECE;
    int error = 0;

    while (stream->queued > 0 && budget > 0 && error == 0) {
        const struct chunk *first = ring_at(&stream->queue, 0);
        size_t len = first->len < budget ? first->len : budget;
        if (len >= DIRECT_BYTES && staged == 0) {
            error = encrypt(stream, slice_of(first->base, len));
        } else {
            len = len < STAGE_BYTES - staged ? len : STAGE_BYTES - staged;
            memcpy(stage + staged, first->base, len);
            staged += len;
        }
        consume(stream, len);
        budget -= len;
        if (error == 0 && staged > 0 &&
            (staged == STAGE_BYTES || budget == 0 || stream->queued == 0 ||
             ring_at(&stream->queue, 0)->len >= DIRECT_BYTES)) {
            error = encrypt(stream, slice_of(stage, staged));
            staged = 0;
        }
    }
    return error;
}

/* Takes TLS's output as the piece that is written now. */
static void take_cipher(struct stream *stream)
{
    struct buf *output = tls_output(stream->tls);
    struct buf empty = stream->cipher;

    CHECK(empty.len == 0);
    stream->cipher = *output;
    *output = empty;
}

static size_t gather(struct stream *stream, uv_buf_t bufs[STREAM_IOVECS], unsigned *out_count)
{
    size_t len = 0;
    unsigned count = 0;

    if (stream->tls != NULL) {
        bufs[0] = uv_buf_init((char *)stream->cipher.base, (unsigned)stream->cipher.len);
        *out_count = 1;
        return stream->cipher.len;
    }
    for (; count < STREAM_IOVECS && count < stream->queue.count && len < STREAM_PIECE; count++) {
        const struct chunk *chunk = ring_at(&stream->queue, count);
        size_t part = chunk->len < STREAM_PIECE - len ? chunk->len : STREAM_PIECE - len;
        bufs[count] = uv_buf_init((char *)chunk->base, (unsigned)part);
        len += part;
    }
    *out_count = count;
    return len;
}

/* `len` bytes of what gather gave are with the kernel. */
static void wrote(struct stream *stream, size_t len)
{
    if (stream->tls == NULL) {
        consume(stream, len);
        return;
    }
    struct buf *cipher = &stream->cipher;
    CHECK(len <= cipher->len);
    if (len < cipher->len) {
        memmove(cipher->base, cipher->base + len, cipher->len - len);
    }
    cipher->len -= len;
    if (cipher->len == 0 && cipher->cap > CIPHER_KEPT && stream->queued == 0) {
        buf_fini(cipher);
    }
}

static bool has_output(const struct stream *stream)
{
    return stream->queued > 0 || stream->cipher.len > 0 ||
           (stream->tls != NULL && tls_output(stream->tls)->len > 0);
}

static void on_written(uv_write_t *request, int status);

/* Hands one piece to the kernel. `now`: by a plain write, which needs no callback if the socket
 * takes all of it. */
static void write_piece(struct stream *stream, bool now)
{
    uv_buf_t bufs[STREAM_IOVECS];
    unsigned count;

    CHECK(stream->writing == 0);
    if (stream->tls != NULL && stream->cipher.len == 0) {
        if (stream->queued > 0 && encrypt_piece(stream) != 0) {
            return;
        }
        take_cipher(stream);
    }
    size_t len = gather(stream, bufs, &count);
    if (len > 0 && now) {
        int written = uv_try_write((uv_stream_t *)&stream->tcp, bufs, count);
        if (written < 0 && written != UV_EAGAIN) {
            stream_close(stream, TERN_EIO, "%s", uv_strerror(written));
            return;
        }
        wrote(stream, written > 0 ? (size_t)written : 0);
        if (written == (int)len) {
            return;
        }
        len = gather(stream, bufs, &count);
    }
    if (len > 0) {
        int error = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, bufs, count, on_written);
        if (error != 0) {
            stream_close(stream, TERN_EIO, "%s", uv_strerror(error));
            return;
        }
        stream->writing = len;
    }
}

/* After anything has gone out: tell, and close what was only waiting for that. */
static void after_write(struct stream *stream, size_t queued_before)
{
    if (stream->closing) {
        return;
    }
    if (stream->finishing && !has_output(stream)) {
        close_now(stream);
        return;
    }
    if (stream->queued < queued_before && !stream->finishing) {
        stream->ops->sent(stream);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct stream *stream = request->handle->data;
    size_t before = stream->queued;
    size_t len = stream->writing;

    stream->writing = 0;
    if (status != 0) {
        stream_close(stream, TERN_EIO, "%s", uv_strerror(status));
        return;
    }
    if (stream->closing) {
        return;
    }
    wrote(stream, len);
    if (has_output(stream)) {
        write_piece(stream, false);
    }
    after_write(stream, before);
}

/* One turn's output. What is more than that, and whatever is queued by `sent`, goes by uv_write, so
 * that a fast reader cannot keep the loop here. */
static void flush(struct stream *stream, bool first_round)
{
    size_t before = stream->queued;

    if (stream->resting) {
        stream->resting = false;
        update_reading(stream);
    }
    if (stream->poked) {
        stream->poked = false;
        stream->ops->poked(stream);
    }
    if (stream->closing || stream->writing > 0) {
        return;
    }
    unsigned at_once = !first_round ? 0 : stream->tls != NULL ? TLS_PIECES : 1;
    for (unsigned i = 0; i <= at_once && has_output(stream); i++) {
        write_piece(stream, i < at_once);
        if (stream->closing || stream->writing > 0) {
            break;
        }
    }
    after_write(stream, before);
}

/* Everything has gone out. While the loop stands still here, what comes gathers in the sockets. */
static void moderate(struct stream_hub *hub)
{
    if (uv_backend_timeout(hub->loop) == 0) {
        return; /* something is due: the turn goes on */
    }
    uint64_t wait_ns = moderation_wait_ns(&hub->moderation, uv_hrtime());
    if (wait_ns > 0) {
        const struct timespec wait = {.tv_nsec = (long)wait_ns};
        (void)nanosleep(&wait, NULL);
        uv_update_time(hub->loop); /* timers are waited for from now on */
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct stream_hub *hub = prepare->data;

    hub->turn++;
    for (bool first = true; !queue_empty(&hub->dirty); first = false) {
        struct link round;
        struct link *link;

        /* All that is dirty now; what they make dirty is the next round. */
        round = hub->dirty;
        round.next->prev = &round;
        round.prev->next = &round;
        queue_init(&hub->dirty);
        while ((link = queue_pop(&round)) != NULL) {
            flush(CONTAINER_OF(link, struct stream, dirty), first);
        }
    }
    moderate(hub);
}

void stream_poke(struct stream *stream)
{
    stream->poked = true;
    set_dirty(stream);
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Where plaintext goes: to its owner's place, or to the hub's. */
static uint8_t *place(struct stream *stream, uint8_t *shared, size_t *out_len)
{
    uint8_t *own = NULL;

    if (stream->open && stream->ops->room != NULL) {
        own = stream->ops->room(stream, out_len);
    }
    if (own == NULL) {
        *out_len = STREAM_READ;
        return shared;
    }
    *out_len = *out_len < STREAM_TURN ? *out_len : STREAM_TURN;
    return own;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct stream *stream = handle->data;
    uint8_t *base = stream->hub->read_buffer;
    size_t len = STREAM_READ;

    (void)suggested;
    if (stream->tls == NULL) {
        base = place(stream, base, &len);
    }
    *out = uv_buf_init((char *)base, (unsigned)len);
}

static void became_open(struct stream *stream)
{
    stream->open = true;
    stream->ops->open(stream);
}

/* The alert that says why is worth one attempt. */
static void tls_failed(struct stream *stream, int error)
{
    stream->peer_closed = error == TERN_ECANCELED;
    if (stream->writing == 0 && stream->cipher.len == 0 && tls_output(stream->tls)->len > 0) {
        take_cipher(stream);
        uv_buf_t buf = uv_buf_init((char *)stream->cipher.base, (unsigned)stream->cipher.len);
        (void)uv_try_write((uv_stream_t *)&stream->tcp, &buf, 1);
    }
    stream_close(stream, error, "%s", tls_why(stream->tls));
}

static void decrypt(struct stream *stream, struct slice bytes)
{
    tls_feed(stream->tls, bytes);
    for (;;) {
        size_t room;
        uint8_t *plain = place(stream, stream->hub->plain_buffer, &room);
        int got = tls_read(stream->tls, plain, room);
        if (!stream->open && tls_is_open(stream->tls)) {
            became_open(stream);
        }
        if (stream->closing || stream->finishing) {
            return;
        }
        if (got < 0) {
            tls_failed(stream, got);
            return;
        }
        if (got == 0) {
            break;
        }
        stream->bytes_in += (size_t)got;
        stream->ops->bytes(stream, slice_of(plain, (size_t)got));
        if (stream->closing || stream->finishing) {
            return;
        }
    }
    /* What TLS answers by itself (key updates) is small, unless somebody asks for it endlessly
     * without reading. */
    if (tls_output(stream->tls)->len > TLS_OWN_MAX) {
        stream_close(stream, TERN_EMALFORMED, "it asks for more answers than it reads");
    } else if (tls_output(stream->tls)->len > 0 && stream->writing == 0) {
        set_dirty(stream);
    }
}

/* libuv reads on as long as there is something; bulk must not keep a heartbeat waiting. */
static void count_turn(struct stream *stream, size_t len)
{
    if (stream->turn != stream->hub->turn) {
        stream->turn = stream->hub->turn;
        stream->turn_bytes = 0;
    }
    stream->turn_bytes += len;
    if (stream->turn_bytes >= STREAM_TURN) {
        stream->resting = true;
        update_reading(stream);
        set_dirty(stream);
    }
}

static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buf)
{
    struct stream *stream = handle->data;

    if (got == 0 || stream->closing) {
        return;
    }
    if (got < 0) {
        stream->peer_closed = true;
        stream_close(stream, TERN_EIO, "%s",
                     got == UV_EOF ? "closed by the other side" : uv_strerror((int)got));
        return;
    }
    struct slice bytes = slice_of(buf->base, (size_t)got);
    stream->heard = true;
    stream->hub->moderation.bytes += (size_t)got;
    count_turn(stream, (size_t)got);
    if (stream->tls != NULL) {
        decrypt(stream, bytes);
    } else {
        stream->bytes_in += (size_t)got;
        stream->ops->bytes(stream, bytes);
    }
}

void stream_pause(struct stream *stream, bool paused)
{
    stream->read_paused = paused;
    update_reading(stream);
}

/* ---- begin ----------------------------------------------------------------------------------- */

static void init(struct stream_hub *hub, struct stream *stream, const struct stream_ops *ops,
                 struct tls_context *context, enum tls_role role)
{
    stream->hub = hub;
    stream->ops = ops;
    CHECK(uv_tcp_init(hub->loop, &stream->tcp) == 0);
    hub->handles++;
    stream->tcp.data = stream;
    if (context != NULL) {
        stream->tls = tls_new(context, role);
    }
}

static void connected(struct stream *stream)
{
    struct sockaddr_storage address;
    int len = (int)sizeof address;

    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&address, &len) == 0) {
        address_text((const struct sockaddr *)&address, stream->peer);
    }
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    update_reading(stream);
    if (stream->tls == NULL) {
        became_open(stream);
    } else {
        decrypt(stream, (struct slice){0}); /* a client's first flight */
    }
}

void stream_accept(struct stream_hub *hub, uv_stream_t *listener, struct stream *stream,
                   const struct stream_ops *ops, struct tls_context *context)
{
    init(hub, stream, ops, context, TLS_SERVER);
    int error = uv_accept(listener, (uv_stream_t *)&stream->tcp);
    if (error != 0) {
        stream_close(stream, TERN_EIO, "accept: %s", uv_strerror(error));
        return;
    }
    connected(stream);
}

static void on_connect(uv_connect_t *request, int status)
{
    struct stream *stream = request->handle->data;

    if (stream->closing) {
        return;
    }
    if (status != 0) {
        stream->nobody = status == UV_ECONNREFUSED;
        stream_close(stream, TERN_EIO, "%s", uv_strerror(status));
        return;
    }
    connected(stream);
}

/* The system may choose, as our own end, a port that some ternd of this machine will listen on
 * later. With this option on both sockets that listener is not refused because of us. */
static void share_port_number(struct stream *stream, const struct sockaddr *address)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0) {
        return; /* uv_tcp_connect will say why */
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (uv_tcp_open(&stream->tcp, fd) != 0) {
        (void)close(fd);
    }
}

void stream_dial(struct stream_hub *hub, const struct sockaddr *address, struct stream *stream,
                 const struct stream_ops *ops, struct tls_context *context)
{
    init(hub, stream, ops, context, TLS_CLIENT);
    address_text(address, stream->peer);
    share_port_number(stream, address);
    int error = uv_tcp_connect(&stream->connect, &stream->tcp, address, on_connect);
    if (error != 0) {
        stream_close(stream, TERN_EIO, "%s", uv_strerror(error));
    }
}

void stream_host(const struct stream *stream, char out[STREAM_NAME])
{
    (void)snprintf(out, STREAM_NAME, "%s", stream->peer);
    char *colon = strrchr(out, ':');
    if (colon != NULL) {
        *colon = '\0';
    }
}

void stream_tune(struct stream *stream, int keepalive_s, int user_timeout_ms, int notsent_lowat)
{
    uv_os_fd_t fd;

    (void)uv_tcp_keepalive(&stream->tcp, 1, (unsigned)keepalive_s);
    if (uv_fileno((const uv_handle_t *)&stream->tcp, &fd) != 0) {
        return;
    }
    if (user_timeout_ms > 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                         sizeof user_timeout_ms);
    }
    if (notsent_lowat > 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &notsent_lowat, sizeof notsent_lowat);
    }
}

/* ---- hub ------------------------------------------------------------------------------------- */

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop, struct clock *clock)
{
    hub->loop = loop;
    hub->clock = clock;
    queue_init(&hub->dirty);
    hub->read_buffer = mem_new(STREAM_READ);
    hub->plain_buffer = mem_new(STREAM_READ);
    hub->stage = mem_new(STAGE_BYTES);
    CHECK(uv_prepare_init(loop, &hub->prepare) == 0);
    hub->prepare.data = hub;
    hub->handles = 1;
    CHECK(uv_prepare_start(&hub->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&hub->prepare);
}

void stream_hub_drop(struct stream_hub *hub)
{
    CHECK(hub->handles > 0);
    hub->handles--;
    if (hub->quiet == NULL) {
        return;
    }
    /* The prepare handle goes last: streams that finish still need it. */
    if (hub->handles == 1 && !uv_is_closing((uv_handle_t *)&hub->prepare)) {
        stream_hub_close(hub, hub->quiet);
    } else if (hub->handles == 0) {
        hub->quiet(hub);
    }
}

static void on_prepare_closed(uv_handle_t *handle)
{
    stream_hub_drop(handle->data);
}

void stream_hub_close(struct stream_hub *hub, void (*quiet)(struct stream_hub *hub))
{
    hub->quiet = quiet;
    if (hub->handles == 1) {
        uv_close((uv_handle_t *)&hub->prepare, on_prepare_closed);
    }
}

void stream_hub_fini(struct stream_hub *hub)
{
    CHECK(hub->handles == 0);
    free(hub->read_buffer);
    free(hub->plain_buffer);
    free(hub->stage);
}
