/* SPDX-License-Identifier: Apache-2.0 */
/* Who is who in a cluster: X.509 certificates (EC P-256) that one cluster CA signs.
 *
 * A node's certificate proves cluster name, region and node id by one URI in its alternative
 * names, tern://CLUSTER/REGION/node/ID; an operator's or program's by tern://CLUSTER/client/NAME.
 * The subject repeats them for people. All functions that fail write a sentence into `why`. */
#pragma once

#include "base/check.h"
#include "base/wire.h"

#define CERTS_WHY       256
#define CERTS_NAMES_MAX 32 /* DNS names and addresses in one certificate */

struct x509_st; /* OpenSSL's X509 */

/* What a certificate proves. Exactly one of node_id and client is set. */
struct identity {
    char cluster_name[WIRE_NAME_MAX];
    char region[WIRE_NAME_MAX]; /* nodes only */
    uint32_t node_id;           /* 0: a client */
    char client[WIRE_NAME_MAX]; /* clients only */
};

/* Letters, digits, '.', '_' and '-', 1 to 63 of them: cluster, region and client names. */
bool certs_name_ok(const char *name);

/* "node 2 (eu-west) of acme" or "client ops of acme". */
void identity_text(const struct identity *identity, char out[CERTS_WHY]);

/* ca.crt and ca.key (0600) in `directory`, which is made if it is missing. EEXIST: nothing was
 * touched. days 0: ten years. */
int certs_create_ca(const char *directory, const char *cluster_name, unsigned days,
                    char why[CERTS_WHY]) TERN_MUST_USE;

struct certs_node {
    uint32_t node_id;
    const char *region;
    const char *const *names; /* DNS names and IP addresses under which others reach the node */
    size_t name_count;
    unsigned days; /* 0: two years */
};

/* node-ID.crt and node-ID.key in `directory`, signed by the CA that is there. The cluster name is
 * the CA's. */
int certs_create_node(const char *directory, const struct certs_node *node,
                      char why[CERTS_WHY]) TERN_MUST_USE;
/* client-NAME.crt and client-NAME.key. days 0: two years. */
int certs_create_client(const char *directory, const char *name, unsigned days,
                        char why[CERTS_WHY]) TERN_MUST_USE;

/* EIDENTITY: the certificate names no node and no client, or more than one. */
int certs_identity(struct x509_st *certificate, struct identity *out,
                   char why[CERTS_WHY]) TERN_MUST_USE;
/* The same of a PEM file. */
int certs_identity_of_file(const char *path, struct identity *out,
                           char why[CERTS_WHY]) TERN_MUST_USE;
