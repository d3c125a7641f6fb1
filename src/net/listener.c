/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <stdio.h>

#include "base/error.h"
#include "net/address.h"

/* The kernel takes net.core.somaxconn if that is less. One too many is not refused: it comes again
 * after a second. */
#define BACKLOG 65535

static void on_connection(uv_stream_t *handle, int status)
{
    struct listener *listener = handle->data;

    if (status == 0) {
        listener->incoming(listener);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;

    stream_hub_drop(listener->hub);
}

int listener_open(struct stream_hub *hub, const char *address, struct listener *listener,
                  void (*incoming)(struct listener *listener), char why[256])
{
    struct sockaddr_storage at;
    int len = (int)sizeof at;
    size_t count;
    int error = address_resolve(address, true, &at, 1, &count, why);

    if (error != 0) {
        return error;
    }
    listener->hub = hub;
    listener->incoming = incoming;
    CHECK(uv_tcp_init(hub->loop, &listener->tcp) == 0);
    hub->handles++;
    listener->open = true;
    listener->tcp.data = listener;
    error = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)&at, 0);
    if (error == 0) {
        error = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
    }
    if (error != 0) {
        (void)snprintf(why, 256, "cannot listen on %.100s: %s", address, uv_strerror(error));
        listener_close(listener);
        return TERN_EIO;
    }
    if (uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&at, &len) == 0) {
        address_text((const struct sockaddr *)&at, listener->address);
    }
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener->open) {
        listener->open = false;
        uv_close((uv_handle_t *)&listener->tcp, on_closed);
    }
}
