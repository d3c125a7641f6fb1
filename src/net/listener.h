/* SPDX-License-Identifier: Apache-2.0 */
/* A listening TCP socket on the loop. */
#pragma once

#include "net/stream.h"

struct listener {
    uv_tcp_t tcp;
    struct stream_hub *hub;
    /* A connection waits: call stream_accept on `&tcp` exactly once. */
    void (*incoming)(struct listener *listener);
    char address[STREAM_NAME]; /* bound to this, with the port that the system chose for port 0 */
    bool open;
};

/* Bind errors name the address and the system's reason. */
int listener_open(struct stream_hub *hub, const char *address, struct listener *listener,
                  void (*incoming)(struct listener *listener), char why[256]) TERN_MUST_USE;
/* Allowed for one that is not open. */
void listener_close(struct listener *listener);
