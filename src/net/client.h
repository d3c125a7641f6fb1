/* SPDX-License-Identifier: Apache-2.0 */
/* A blocking caller of a node's admin port, for command line and library: mutual TLS, one call at a
 * time, every wait bounded. Any thread, but one client only by one thread at a time. */
#pragma once

#include "base/blob.h"
#include "base/check.h"

#define CLIENT_WHY 256

struct client;

struct client_files {
    const char *ca;  /* the cluster's ca.crt */
    const char *crt; /* client-NAME.crt, or a node's */
    const char *key;
};

/* Connects, shakes hands and greets. Errors: EINVALIDCONFIG, ENOENT, EMALFORMED (address, files),
 * ETIMEDOUT, EIO (nobody there), EIDENTITY (one of the two certificates is not accepted), EFORMAT
 * (versions differ); `why` is a sentence that says what to do. */
int client_connect(const char *address, const struct client_files *files, uint32_t timeout_ms,
                   struct client **out, char why[CLIENT_WHY]) TERN_MUST_USE;
/* NULL is allowed. */
void client_close(struct client *client);

/* The node that answers. */
const char *client_peer(const struct client *client); /* "node 2 (eu-west) of acme" */

/* 0: answered; *out_error is what the node says (0 or a TERN_E), *out_body its answer (also for an
 * error: often a sentence), borrowed until the next call or close. Otherwise as above; after that
 * the client can only be closed. */
int client_call(struct client *client, uint16_t type, struct slice body, uint32_t timeout_ms,
                int *out_error, struct slice *out_body, char why[CLIENT_WHY]) TERN_MUST_USE;
