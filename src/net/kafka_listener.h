/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka clients: the client half of base/wire.h over plain TCP.
 *
 * Memory of requests under way is bounded three times: a frame grows only with the bytes that
 * arrive, the first frame of a connection is at most 64 KiB, and all frames under way together stay
 * below `receive_bytes_max`: what has been arriving for the longest time is shed. A client that
 * does not read its responses is not read either. */
#pragma once

#include "net/complaint.h"
#include "net/frame_in.h"
#include "net/listener.h"

#define KAFKA_FRAME_MIN       8u /* api key, version, correlation id */
#define KAFKA_FIRST_FRAME_MAX (64u * 1024)
#define KAFKA_SMALL_FRAME     (64u * 1024) /* frames up to this are never shed */
#define KAFKA_OUTPUT_MAX      (4u * 1024 * 1024)

struct kafka_limits {
    uint32_t frame_max;       /* 0: 100 MiB */
    uint32_t clients_max;     /* 0: 10,000 */
    size_t receive_bytes_max; /* 0: 256 MiB */
};

struct kafka_counters {
    uint64_t opened;
    uint64_t refused; /* closed for a fault of theirs, or for lack of room */
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
};

struct wire_client {
    struct stream stream; /* first */
    struct kafka_listener *listener;
    struct link link;       /* in fresh until the first frame, then in served */
    struct link large_link; /* in large while a large frame is under way */
    struct frame_in in;
    size_t counted;   /* of frame_in's memory, in listener->receive_bytes */
    struct buf stash; /* received, but not to be looked at while paused */
    bool opened;      /* the handler knows it */
    bool first_done;
    bool paused; /* by the handler */
    bool choked; /* too much output waits */
    void *data;  /* the handler's */
};

struct kafka_listener {
    struct stream_hub *hub;
    struct complaints *complaints;
    struct listener listener;
    const struct wire_handler *handler; /* NULL: nobody is served */
    void *handler_ctx;
    struct kafka_limits limits;
    struct link fresh;
    struct link served;
    struct link large; /* the oldest first */
    size_t clients;
    size_t receive_bytes;
    struct kafka_counters counters;
};

/* `kafka` is zeroed; hub, complaints and limits are set. */
int kafka_listener_open(struct kafka_listener *kafka, const char *address,
                        char why[256]) TERN_MUST_USE;
/* Also for one that was never opened. */
void kafka_listener_close(struct kafka_listener *kafka);

/* See base/wire.h. */
void kafka_client_send(struct wire_client *client, const struct chunk *chunks, size_t count);
void kafka_client_close(struct wire_client *client, const char *reason);
void kafka_client_pause(struct wire_client *client, bool paused);
