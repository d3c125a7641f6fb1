/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/error.h"

struct tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *method;
    struct identity identity;
};

struct tls {
    SSL *ssl;
    struct slice in; /* not yet used ciphertext */
    struct buf out;
    struct identity peer;
    bool open;
    int error; /* sticky */
    char why[CERTS_WHY];
};

/* ---- the BIO: reads from tls->in, writes to tls->out ----------------------------------------- */

static int bio_read(BIO *bio, char *out, size_t cap, size_t *got)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = cap < tls->in.len ? cap : tls->in.len;
    memcpy(out, tls->in.base, *got);
    tls->in = slice_of(tls->in.base + *got, tls->in.len - *got);
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t len, size_t *put)
{
    struct tls *tls = BIO_get_data(bio);

    buf_put(&tls->out, slice_of(bytes, len));
    *put = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tern");

    CHECK(method != NULL);
    CHECK(BIO_meth_set_read_ex(method, bio_read) == 1);
    CHECK(BIO_meth_set_write_ex(method, bio_write) == 1);
    CHECK(BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    CHECK(BIO_meth_set_create(method, bio_create) == 1);
    return method;
}

/* ---- context --------------------------------------------------------------------------------- */

static int bad_file(const char *what, const char *path, char why[CERTS_WHY])
{
    unsigned long code = ERR_peek_error(); /* the first is the cause, what follows are callers */
    const char *reason = ERR_reason_error_string(code);

    (void)snprintf(why, CERTS_WHY, "cannot use %s %s: %s", what, path,
                   ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
                   : reason != NULL       ? reason
                                          : "not in PEM");
    ERR_clear_error();
    return ERR_SYSTEM_ERROR(code) ? TERN_ENOENT : TERN_EMALFORMED;
}

static int load(struct tls_context *context, const struct tls_files *files, char why[CERTS_WHY])
{
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(context->ssl, files->ca) != 1) {
        return bad_file("the CA certificate", files->ca, why);
    }
    if (SSL_CTX_use_certificate_chain_file(context->ssl, files->crt) != 1) {
        return bad_file("the certificate", files->crt, why);
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, files->key, SSL_FILETYPE_PEM) != 1) {
        return bad_file("the key", files->key, why);
    }
    return certs_identity(SSL_CTX_get0_certificate(context->ssl), &context->identity, why);
}

int tls_context_new(const struct tls_files *files, struct tls_context **out, char why[CERTS_WHY])
{
    struct tls_context *context = mem_new(sizeof *context);

    context->method = make_method();
    context->ssl = SSL_CTX_new(TLS_method());
    CHECK(context->ssl != NULL);
    CHECK(SSL_CTX_set_min_proto_version(context->ssl, TLS1_3_VERSION) == 1);
    CHECK(SSL_CTX_set_ciphersuites(context->ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                                 "TLS_CHACHA20_POLY1305_SHA256") == 1);
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(context->ssl, 1);
    /* A resumed session would skip the certificate; reconnects are rare and the CPU is ours. */
    (void)SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    CHECK(SSL_CTX_set_num_tickets(context->ssl, 0) == 1);
    (void)SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);

    int error = load(context, files, why);
    if (error != 0) {
        tls_context_free(context);
        return error;
    }
    *out = context;
    return 0;
}

int tls_context_check(const struct tls_context *context, int *out_days, char why[CERTS_WHY])
{
    X509 *own = SSL_CTX_get0_certificate(context->ssl);
    X509_STORE_CTX *verify = X509_STORE_CTX_new();
    int seconds;
    int error = 0;

    CHECK(verify != NULL);
    CHECK(X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(context->ssl), own, NULL) == 1);
    if (X509_verify_cert(verify) != 1) {
        (void)snprintf(why, CERTS_WHY,
                       "no peer would accept our own certificate: %s; make one with `tern certs "
                       "create-node` and the cluster's CA",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(verify)));
        error = TERN_EIDENTITY;
    } else {
        CHECK(ASN1_TIME_diff(out_days, &seconds, NULL, X509_get0_notAfter(own)) == 1);
    }
    X509_STORE_CTX_free(verify);
    ERR_clear_error();
    return error;
}

void tls_context_free(struct tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ssl);
        BIO_meth_free(context->method);
        free(context);
    }
}

const struct identity *tls_context_identity(const struct tls_context *context)
{
    return &context->identity;
}

/* ---- one connection -------------------------------------------------------------------------- */

struct tls *tls_new(struct tls_context *context, enum tls_role role)
{
    struct tls *tls = mem_new(sizeof *tls);
    BIO *bio = BIO_new(context->method);

    tls->ssl = SSL_new(context->ssl);
    CHECK(tls->ssl != NULL && bio != NULL);
    BIO_set_data(bio, tls);
    SSL_set_bio(tls->ssl, bio, bio);
    if (role == TLS_CLIENT) {
        SSL_set_connect_state(tls->ssl);
    } else {
        SSL_set_accept_state(tls->ssl);
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        buf_fini(&tls->out);
        free(tls);
    }
}

void tls_feed(struct tls *tls, struct slice bytes)
{
    CHECK(tls->in.len == 0);
    tls->in = bytes;
}

/* What OpenSSL's last word is about must be the next call. Nearly always there is nothing, and to clear
 * nothing costs much for each record. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

/* The reason of the last failure, in words that tell whose certificate is to blame. */
static int failed(struct tls *tls, int result)
{
    int kind = SSL_get_error(tls->ssl, result);
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verify = SSL_get_verify_result(tls->ssl);
    const char *text = ERR_reason_error_string(code);

    if (kind == SSL_ERROR_WANT_READ) {
        return 0;
    }
    tls->error = TERN_EMALFORMED;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        tls->error = TERN_ECANCELED;
        (void)snprintf(tls->why, sizeof tls->why, "closed by the other side");
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK) {
        tls->error = TERN_EIDENTITY;
        (void)snprintf(tls->why, sizeof tls->why, "its certificate is not acceptable: %s",
                       X509_verify_cert_error_string(verify));
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        tls->error = TERN_EIDENTITY;
        (void)snprintf(tls->why, sizeof tls->why, "it shows no certificate");
    } else if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        tls->error = TERN_EIDENTITY;
        (void)snprintf(tls->why, sizeof tls->why, "the other side does not accept us: %s",
                       text != NULL ? text : "alert");
    } else {
        (void)snprintf(tls->why, sizeof tls->why, "not TLS 1.3 as expected: %s",
                       text != NULL ? text : "unexpected bytes");
    }
    ERR_clear_error();
    return tls->error;
}

static int shake(struct tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1) {
        return failed(tls, result);
    }
    int error = certs_identity(SSL_get0_peer_certificate(tls->ssl), &tls->peer, tls->why);
    if (error != 0) {
        tls->error = error;
        return error;
    }
    tls->open = true;
    /* Strangers must not hold memory; whoever has shown who it is keeps its two buffers. */
    (void)SSL_clear_mode(tls->ssl, SSL_MODE_RELEASE_BUFFERS);
    return 0;
}

int tls_read(struct tls *tls, uint8_t *out, size_t cap)
{
    if (tls->error == 0 && !tls->open) {
        tls->error = shake(tls);
    }
    if (tls->error != 0) {
        tls->in = (struct slice){0};
        return tls->error;
    }
    if (!tls->open) {
        return 0;
    }
    forget_errors();
    int got = SSL_read(tls->ssl, out, cap < INT_MAX ? (int)cap : INT_MAX);
    if (got > 0) {
        return got;
    }
    int error = failed(tls, got);
    tls->in = (struct slice){0};
    return error;
}

int tls_write(struct tls *tls, struct slice bytes)
{
    size_t put;

    CHECK(tls->open);
    if (tls->error != 0 || bytes.len == 0) {
        return tls->error;
    }
    forget_errors();
    int result = SSL_write_ex(tls->ssl, bytes.base, bytes.len, &put);
    if (result == 1) {
        CHECK(put == bytes.len);
        return 0;
    }
    int error = failed(tls, result);
    CHECK(error != 0); /* our BIO takes everything, and TLS 1.3 never asks for a new handshake */
    return error;
}

struct buf *tls_output(struct tls *tls)
{
    return &tls->out;
}

bool tls_is_open(const struct tls *tls)
{
    return tls->open;
}

const struct identity *tls_peer(const struct tls *tls)
{
    CHECK(tls->open);
    return &tls->peer;
}

const char *tls_why(const struct tls *tls)
{
    return tls->why;
}
