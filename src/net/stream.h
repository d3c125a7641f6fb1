/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection on the loop, plain or TLS: bytes in, a queue of chunks out.
 *
 *     (dial | accept) --> SHAKE --open--> OPEN --finish--> (queue sent) --> CLOSING --> closed
 *
 * Plain streams are open at once when connected. Nothing is called back from inside a stream_
 * function: what is queued goes out just before the loop waits, small chunks of one turn together.
 * At most one piece (up to STREAM_PIECE) is handed to the kernel at a time, and TLS encrypts only that,
 * so that what waits is the chunks themselves. */
#pragma once

#include <uv.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/queue.h"
#include "net/moderation.h"
#include "net/tls.h"

#define STREAM_PIECE    (256u * 1024)
#define STREAM_WHY      200
#define STREAM_NAME     64
#define STREAM_IOVECS   64
#define STREAM_READ     (64u * 1024)
#define STREAM_TURN     (256u * 1024) /* read from one stream before the others have their turn */
#define STREAM_FINISH_S 10 /* how long stream_finish waits for a peer that doesn't read */

/* What the streams of one loop share. */
struct stream_hub {
    uv_loop_t *loop;
    struct clock *clock;
    uv_prepare_t prepare;
    struct link dirty;     /* streams with something to do before the loop waits */
    size_t handles;        /* uv handles and requests that have not called back yet */
    uint8_t *read_buffer;  /* STREAM_READ; used only while a read callback runs */
    uint8_t *plain_buffer; /* the same for what TLS decrypts */
    uint8_t *stage;        /* small chunks on their way into one TLS record */
    uint64_t turn;
    struct moderation moderation; /* whoever takes frames of other nodes counts them there */
    void (*quiet)(struct stream_hub *hub); /* no handle is left: set while closing */
};

void stream_hub_init(struct stream_hub *hub, uv_loop_t *loop, struct clock *clock);
/* Calls quiet from the loop when all streams and listeners are closed. */
void stream_hub_close(struct stream_hub *hub, void (*quiet)(struct stream_hub *hub));
void stream_hub_fini(struct stream_hub *hub);
/* One handle or request less; the loop calls back after this or quiet follows. */
void stream_hub_drop(struct stream_hub *hub);

struct stream;

struct stream_ops {
    /* Connected, and with TLS the peer's identity is known. */
    void (*open)(struct stream *stream);
    /* Received bytes (plaintext), borrowed. */
    void (*bytes)(struct stream *stream, struct slice bytes);
    /* Where the next bytes go, instead of to borrowed memory: they come by `bytes` at this address at
     * once. NULL: nowhere, or not worth it. May be left out. */
    uint8_t *(*room)(struct stream *stream, size_t *out_len);
    /* Some of the queue has gone out. */
    void (*sent)(struct stream *stream);
    /* After stream_poke, before the loop waits. */
    void (*poked)(struct stream *stream);
    /* The last call; `stream->why` tells the reason. The memory is the owner's again. */
    void (*closed)(struct stream *stream);
};

struct chunk_ring {
    struct chunk *items;
    size_t cap; /* a power of two, or 0 */
    size_t head;
    size_t count;
};

struct stream {
    uv_tcp_t tcp; /* first: uv hands it back */
    uv_connect_t connect;
    uv_write_t write;
    struct stream_hub *hub;
    const struct stream_ops *ops;
    struct tls *tls; /* NULL: plain */
    struct link dirty;
    struct timer deadline;
    const char *deadline_why; /* a literal */
    struct chunk_ring queue;
    size_t queued;     /* bytes in `queue` */
    struct buf cipher; /* TLS: the piece that is on its way */
    size_t writing;    /* bytes handed to uv_write; 0: none */
    bool open;
    bool finishing;
    bool closing;
    bool reading;
    bool read_paused; /* by the owner */
    bool resting;     /* has read STREAM_TURN in this turn */
    size_t turn_bytes;
    uint64_t turn;
    bool poked;
    bool heard;        /* the other side has sent something */
    bool peer_closed;  /* it was the other side that ended it */
    bool nobody;       /* dialled, and nothing listens there */
    int error;         /* of why; a TERN_E or 0 */
    uint64_t bytes_in; /* plaintext */
    uint64_t bytes_out;
    char peer[STREAM_NAME];
    char why[STREAM_WHY];
};

/* Accepts from a listener's connection callback; the stream (zeroed by the owner) is alive until
 * closed, also when this fails. context NULL: plain. */
void stream_accept(struct stream_hub *hub, uv_stream_t *listener, struct stream *stream,
                   const struct stream_ops *ops, struct tls_context *context);
/* Connects; a failure arrives as closed. */
void stream_dial(struct stream_hub *hub, const struct sockaddr *address, struct stream *stream,
                 const struct stream_ops *ops, struct tls_context *context);
/* Takes over the chunk's reference, also when the stream is closing. Only while open. */
void stream_send(struct stream *stream, struct chunk chunk);
/* Closes now, in the loop's next turn; what is queued is dropped. The first reason stays. */
void stream_close(struct stream *stream, int error, const char *format, ...) TERN_PRINTF(3, 4);
/* Reads no more, closes when the queue has been sent. */
void stream_finish(struct stream *stream, int error, const char *format, ...) TERN_PRINTF(3, 4);
void stream_pause(struct stream *stream, bool paused);
void stream_poke(struct stream *stream);
/* Closes after `ms` for this reason (a literal) unless stopped by 0. One at a time. */
void stream_deadline(struct stream *stream, uint64_t ms, const char *reason);
/* The peer's address without the port. */
void stream_host(const struct stream *stream, char out[STREAM_NAME]);
/* Socket settings; errors don't matter. */
void stream_tune(struct stream *stream, int keepalive_s, int user_timeout_ms, int notsent_lowat);
