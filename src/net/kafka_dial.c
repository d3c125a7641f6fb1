/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kafka_dial.h"

#include <signal.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/error.h"
#include "net/address.h"
#include "net/clock_real.h"
#include "net/frame_in.h"
#include "net/stream.h"

#define RESPONSE_MIN 4 /* the correlation id */
#define RESPONSE_MAX (128u << 20)

struct kafka_dialer {
    uv_loop_t loop;
    struct clock_real *clock;
    struct stream_hub hub;
    struct link links;
    uv_poll_t alarm;
    int alarm_fd;
    void (*fire)(void *ctx);
    void *fire_ctx;
    bool quiet;
};

struct kafka_link {
    struct stream stream;
    struct kafka_dialer *dialer;
    struct link link; /* in dialer->links */
    struct frame_in in;
    const struct kafka_link_ops *ops; /* NULL: the owner has let go of it */
    void *owner;
};

static struct kafka_link *link_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct kafka_link, stream);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void on_alarm(uv_poll_t *handle, int status, int events)
{
    struct kafka_dialer *dialer = handle->data;
    uint64_t expirations;

    (void)status;
    (void)events;
    if (read(dialer->alarm_fd, &expirations, sizeof expirations) == sizeof expirations) {
        dialer->fire(dialer->fire_ctx);
    }
}

struct kafka_dialer *kafka_dialer_new(void)
{
    struct kafka_dialer *dialer = mem_new(sizeof *dialer);

    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&dialer->loop) == 0);
    dialer->clock = clock_real_new(&dialer->loop);
    stream_hub_init(&dialer->hub, &dialer->loop, clock_real_clock(dialer->clock));
    queue_init(&dialer->links);
    dialer->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(dialer->alarm_fd >= 0);
    CHECK(uv_poll_init(&dialer->loop, &dialer->alarm, dialer->alarm_fd) == 0);
    dialer->alarm.data = dialer;
    return dialer;
}

static void on_quiet(struct stream_hub *hub)
{
    CONTAINER_OF(hub, struct kafka_dialer, hub)->quiet = true;
}

void kafka_dialer_free(struct kafka_dialer *dialer)
{
    if (dialer == NULL) {
        return;
    }
    QUEUE_EACH (each, &dialer->links) {
        kafka_link_close(CONTAINER_OF(each, struct kafka_link, link));
    }
    stream_hub_close(&dialer->hub, on_quiet);
    uv_close((uv_handle_t *)&dialer->alarm, NULL);
    while (!dialer->quiet) {
        (void)uv_run(&dialer->loop, UV_RUN_ONCE);
    }
    clock_real_close(dialer->clock);
    (void)uv_run(&dialer->loop, UV_RUN_DEFAULT);
    stream_hub_fini(&dialer->hub);
    CHECK(uv_loop_close(&dialer->loop) == 0);
    (void)close(dialer->alarm_fd);
    free(dialer);
}

struct clock *kafka_dialer_clock(struct kafka_dialer *dialer)
{
    return clock_real_clock(dialer->clock);
}

void kafka_dialer_run(struct kafka_dialer *dialer)
{
    (void)uv_run(&dialer->loop, UV_RUN_DEFAULT);
}

void kafka_dialer_stop(struct kafka_dialer *dialer)
{
    uv_stop(&dialer->loop);
}

void kafka_dialer_alarm(struct kafka_dialer *dialer, uint64_t at_us, void (*fire)(void *ctx),
                        void *ctx)
{
    /* uv_hrtime, and so our clock, is CLOCK_MONOTONIC. Zero would disarm. */
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_us / 1000000),
                                         .tv_nsec = (long)(at_us % 1000000) * 1000 + 1}};

    dialer->fire = fire;
    dialer->fire_ctx = ctx;
    CHECK(timerfd_settime(dialer->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    if (!uv_is_active((uv_handle_t *)&dialer->alarm)) {
        CHECK(uv_poll_start(&dialer->alarm, UV_READABLE, on_alarm) == 0);
    }
}

/* ---- links ----------------------------------------------------------------------------------- */

static void on_open(struct stream *stream)
{
    struct kafka_link *link = link_of(stream);

    if (link->ops != NULL) {
        link->ops->up(link->owner);
    }
}

static void on_bytes(struct stream *stream, struct slice bytes)
{
    struct kafka_link *link = link_of(stream);

    while (bytes.len > 0 && link->ops != NULL && !stream->closing) {
        struct blob *frame;
        int got = frame_in_feed(&link->in, &bytes, RESPONSE_MIN, RESPONSE_MAX, &frame);
        if (got < 0) {
            stream_close(stream, got, "a response claims %u bytes", frame_in_length(&link->in));
        } else if (got == 1) {
            link->ops->frame(link->owner, frame);
            blob_unref(frame);
        }
    }
}

static void on_sent(struct stream *stream)
{
    (void)stream;
}

static void on_closed(struct stream *stream)
{
    struct kafka_link *link = link_of(stream);

    link_remove(&link->link);
    if (link->ops != NULL) {
        link->ops->down(link->owner, stream->why);
    }
    frame_in_fini(&link->in);
    free(link);
}

static const struct stream_ops link_ops = {
    .open = on_open,
    .bytes = on_bytes,
    .sent = on_sent,
    .poked = on_sent,
    .closed = on_closed,
};

struct kafka_link *kafka_link_open(struct kafka_dialer *dialer, const char *address,
                                   const struct kafka_link_ops *ops, void *owner,
                                   char why[KAFKA_LINK_WHY])
{
    struct sockaddr_storage at;
    char sentence[256] = "";
    size_t count;

    if (address_resolve(address, false, &at, 1, &count, sentence) != 0) {
        (void)snprintf(why, KAFKA_LINK_WHY, "%.*s", KAFKA_LINK_WHY - 1, sentence);
        return NULL;
    }
    struct kafka_link *link = mem_new(sizeof *link);
    link->dialer = dialer;
    link->ops = ops;
    link->owner = owner;
    queue_push(&dialer->links, &link->link);
    stream_dial(&dialer->hub, (const struct sockaddr *)&at, &link->stream, &link_ops, NULL);
    return link;
}

void kafka_link_send(struct kafka_link *link, const struct chunk *chunks, size_t count)
{
    struct blob *prefix = blob_new(FRAME_PREFIX);
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        len += chunks[i].len;
    }
    CHECK(len <= INT32_MAX);
    put_be32(prefix->bytes, (uint32_t)len);
    stream_send(&link->stream, (struct chunk){prefix, prefix->bytes, FRAME_PREFIX});
    for (size_t i = 0; i < count; i++) {
        stream_send(&link->stream, chunks[i]);
    }
}

void kafka_link_close(struct kafka_link *link)
{
    link->ops = NULL;
    stream_close(&link->stream, TERN_ECANCELED, "closed by us");
}
