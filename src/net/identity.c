/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says about its holder; making certificates is in certs.c. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/error.h"
#include "net/certs.h"

#define URI_SCHEME "tern://"

static bool name_byte_ok(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
}

bool certs_name_ok(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!name_byte_ok((uint8_t)name[i])) {
            return false;
        }
    }
    return len > 0 && len < WIRE_NAME_MAX;
}

void identity_text(const struct identity *identity, char out[CERTS_WHY])
{
    if (identity->node_id != 0) {
        (void)snprintf(out, CERTS_WHY, "node %u (%s) of %s", identity->node_id, identity->region,
                       identity->cluster_name);
    } else {
        (void)snprintf(out, CERTS_WHY, "client %s of %s", identity->client, identity->cluster_name);
    }
}

/* Takes the bytes up to the next '/' or the end, and that '/', off the front of *rest. */
static bool take_name(struct slice *rest, char out[WIRE_NAME_MAX])
{
    size_t len = 0;

    while (len < rest->len && rest->base[len] != '/') {
        if (!name_byte_ok(rest->base[len]) || len + 1 >= WIRE_NAME_MAX) {
            return false;
        }
        len++;
    }
    memcpy(out, rest->base, len);
    out[len] = '\0';
    size_t used = len < rest->len ? len + 1 : len;
    *rest = slice_of(rest->base + used, rest->len - used);
    return len > 0;
}

static bool parse_node_id(const char *text, uint32_t *out)
{
    uint32_t id = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || id >= WIRE_NODES_MAX) {
            return false;
        }
        id = id * 10 + (uint32_t)(*at - '0');
    }
    *out = id;
    return text[0] != '0' && id > 0 && id < WIRE_NODES_MAX;
}

static bool parse_uri(struct slice uri, struct identity *out)
{
    char part[3][WIRE_NAME_MAX];
    struct identity found = {0};
    size_t count = 0;

    uri = slice_of(uri.base + strlen(URI_SCHEME), uri.len - strlen(URI_SCHEME));
    if (uri.len == 0 || uri.base[uri.len - 1] == '/' || !take_name(&uri, found.cluster_name)) {
        return false;
    }
    for (; uri.len > 0; count++) {
        if (count == ARRAY_COUNT(part) || !take_name(&uri, part[count])) {
            return false;
        }
    }
    if (count == 2 && strcmp(part[0], "client") == 0) {
        memcpy(found.client, part[1], sizeof found.client);
    } else if (count == 3 && strcmp(part[1], "node") == 0 &&
               parse_node_id(part[2], &found.node_id)) {
        memcpy(found.region, part[0], sizeof found.region);
    } else {
        return false;
    }
    *out = found;
    return true;
}

int certs_identity(struct x509_st *certificate, struct identity *out, char why[CERTS_WHY])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct identity found = {0};
    size_t found_count = 0;
    bool bad = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        struct slice uri = slice_of(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                                    (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier));
        if (uri.len >= strlen(URI_SCHEME) &&
            memcmp(uri.base, URI_SCHEME, strlen(URI_SCHEME)) == 0) {
            found_count++;
            bad = bad || !parse_uri(uri, &found);
        }
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    if (found_count != 1 || bad) {
        (void)snprintf(why, CERTS_WHY,
                       "the certificate %s; make it with `tern certs create-node` or "
                       "`tern certs create-client`",
                       found_count == 0 ? "names no tern node or client"
                       : bad            ? "has a malformed tern:// name"
                                        : "has more than one tern:// name");
        return TERN_EIDENTITY;
    }
    *out = found;
    return 0;
}

int certs_identity_of_file(const char *path, struct identity *out, char why[CERTS_WHY])
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        (void)snprintf(why, CERTS_WHY, "cannot read the certificate %s: %s", path, strerror(errno));
        return errno == ENOENT ? TERN_ENOENT : TERN_EIO;
    }
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    ERR_clear_error();
    if (certificate == NULL) {
        (void)snprintf(why, CERTS_WHY, "%s is not a PEM certificate", path);
        return TERN_EMALFORMED;
    }
    int error = certs_identity(certificate, out, why);
    X509_free(certificate);
    return error;
}
