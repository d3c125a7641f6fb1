/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: a unix stream socket, one command per line, answered by any lines and then
 * `ok` or `error: why`. A client that sends a line without end, or does not read its answers, is
 * put out; of too many clients the one that is silent for longest. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"

enum { CONTROL_CLIENTS_MAX = 16, CONTROL_LINE_MAX = 512 };

struct control_client {
    int fd;         /* -1: free */
    uint64_t heard; /* order of last words */
    size_t len;
    char line[CONTROL_LINE_MAX];
};

struct control_socket {
    int fd;
    uint64_t words; /* counts what was heard */
    struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Listens at `path`, which only its owner may open. A socket that a dead emulator has left is
 * replaced, a living one is not. 0, or -1 and why. */
int control_listen(struct control_socket *control, const char *path, char why[160]) TERN_MUST_USE;
void control_close(struct control_socket *control);
/* Takes a new client in; its place in `clients`, or -1 if there was none. */
int control_accept(struct control_socket *control);
/* A client can be read: calls `command` for each whole line. False if the client is gone; its
 * descriptor is closed then. */
bool control_read(struct control_socket *control, struct control_client *client,
                  void (*command)(void *arg, char *line, FILE *out), void *arg);

/* The other end: sends the words as one line, prints the answer to `out`. 0; 1 if the answer is an
 * error, which goes to stderr; 2 if there is no emulator. */
int control_ask(const char *path, char *const *words, FILE *out);
