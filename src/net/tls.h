/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3 without a socket: ciphertext in, plaintext out, and the other way round. Both sides show
 * a certificate of the cluster CA; who the peer is comes from its certificate (net/certs.h), not
 * from a host name. */
#pragma once

#include "base/buf.h"
#include "net/certs.h"

struct tls_files {
    const char *ca;
    const char *crt;
    const char *key;
};

struct tls_context;
struct tls;

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* ENOENT, EMALFORMED, EIDENTITY with a sentence. */
int tls_context_new(const struct tls_files *files, struct tls_context **out,
                    char why[CERTS_WHY]) TERN_MUST_USE;
void tls_context_free(struct tls_context *context);
/* Who our own certificate says that we are. */
const struct identity *tls_context_identity(const struct tls_context *context);

/* EIDENTITY: our own certificate is not signed by the CA or not valid now, so that no peer would
 * accept it. *out_days: for how many days it still is. */
int tls_context_check(const struct tls_context *context, int *out_days,
                      char why[CERTS_WHY]) TERN_MUST_USE;

/* The context must outlive it. A client's first flight is in tls_output after the first
 * tls_read. */
struct tls *tls_new(struct tls_context *context, enum tls_role role);
void tls_free(struct tls *tls);

/* Ciphertext from the peer: borrowed until tls_read has returned 0 or less. */
void tls_feed(struct tls *tls, struct slice bytes);
/* Bytes of plaintext; 0: all that was fed is used up; negative: the connection is finished, see
 * tls_why (EIDENTITY: the certificate is not acceptable; ECANCELED: closed by the peer, cleanly).
 * What is in tls_output then (an alert) should still be sent. */
int tls_read(struct tls *tls, uint8_t *out, size_t cap) TERN_MUST_USE;
/* Encrypts all of it into tls_output. Only while open. */
int tls_write(struct tls *tls, struct slice bytes) TERN_MUST_USE;
/* Ciphertext for the peer; the caller takes it out (clears it, or swaps it for an empty one). */
struct buf *tls_output(struct tls *tls);
/* The handshake is done and the peer known. */
bool tls_is_open(const struct tls *tls);
const struct identity *tls_peer(const struct tls *tls);
const char *tls_why(const struct tls *tls);
