/* SPDX-License-Identifier: Apache-2.0 */
#include "net/certs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"

#define CA_DAYS     3650
#define LEAF_DAYS   730
#define DAYS_MAX    36500
#define SKEW_S      3600 /* clocks of two nodes may differ by this when a certificate is new */
#define PATH_LENGTH 4096

/* A certificate that is being made, and the CA that signs it (itself for a CA). */
struct making {
    X509 *certificate;
    EVP_PKEY *key;
    X509 *ca_certificate;
    EVP_PKEY *ca_key;
};

static void making_fini(struct making *making)
{
    X509_free(making->certificate);
    EVP_PKEY_free(making->key);
    X509_free(making->ca_certificate);
    EVP_PKEY_free(making->ca_key);
    ERR_clear_error();
}

static int fail(int error, char why[CERTS_WHY], const char *format, ...) TERN_PRINTF(3, 4);

static int fail(int error, char why[CERTS_WHY], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, CERTS_WHY, format, args);
    va_end(args);
    return error;
}

static int path_of(char out[PATH_LENGTH], const char *directory, const char *name,
                   const char *ending, char why[CERTS_WHY])
{
    int len = snprintf(out, PATH_LENGTH, "%s/%s%s", directory, name, ending);

    return len < PATH_LENGTH ? 0 : fail(TERN_ETOOBIG, why, "the directory's name is too long");
}

/* ---- files ----------------------------------------------------------------------------------- */

static int write_file(const char *path, mode_t mode, BIO *pem, char why[CERTS_WHY])
{
    char *bytes;
    long len = BIO_get_mem_data(pem, &bytes);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0) {
        return errno == EEXIST
                   ? fail(TERN_EEXIST, why,
                          "%s exists already; remove it first if it should be replaced", path)
                   : fail(TERN_EIO, why, "cannot make %s: %s", path, strerror(errno));
    }
    ssize_t written = write(fd, bytes, (size_t)len);
    int error = 0;
    if (written != len || fsync(fd) != 0) {
        error = fail(TERN_EIO, why, "cannot write %s: %s", path, strerror(errno));
    }
    if (close(fd) != 0 && error == 0) {
        error = fail(TERN_EIO, why, "cannot write %s: %s", path, strerror(errno));
    }
    if (error != 0) {
        (void)unlink(path);
    }
    return error;
}

/* NAME.key (0600) and NAME.crt: both or none. */
static int write_pair(const char *directory, const char *name, const struct making *making,
                      char why[CERTS_WHY])
{
    char key_path[PATH_LENGTH];
    char crt_path[PATH_LENGTH];
    BIO *key_pem = BIO_new(BIO_s_mem());
    BIO *crt_pem = BIO_new(BIO_s_mem());
    int error = path_of(key_path, directory, name, ".key", why);

    CHECK(key_pem != NULL && crt_pem != NULL);
    CHECK(PEM_write_bio_PKCS8PrivateKey(key_pem, making->key, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(PEM_write_bio_X509(crt_pem, making->certificate) == 1);
    if (error == 0) {
        error = path_of(crt_path, directory, name, ".crt", why);
    }
    if (error == 0 && access(crt_path, F_OK) == 0) {
        error = fail(TERN_EEXIST, why,
                     "%s exists already; remove it first if it should be replaced", crt_path);
    }
    if (error == 0) {
        error = write_file(key_path, 0600, key_pem, why);
    }
    if (error == 0) {
        error = write_file(crt_path, 0644, crt_pem, why);
        if (error != 0) {
            (void)unlink(key_path);
        }
    }
    BIO_free(key_pem);
    BIO_free(crt_pem);
    return error;
}

/* ---- contents -------------------------------------------------------------------------------- */

static void add_extension(const struct making *making, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context,
                   making->ca_certificate != NULL ? making->ca_certificate : making->certificate,
                   making->certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension != NULL); /* all values are ours, or checked before they come here */
    CHECK(X509_add_ext(making->certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)value, -1,
                                     -1, 0) == 1);
}

static void set_serial(X509 *certificate)
{
    uint8_t bytes[16];
    BIGNUM *number;

    CHECK(RAND_bytes(bytes, (int)sizeof bytes) == 1);
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, always of the same length */
    number = BN_bin2bn(bytes, (int)sizeof bytes, NULL);
    CHECK(number != NULL);
    CHECK(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL);
    BN_free(number);
}

static void start_certificate(struct making *making, unsigned days)
{
    making->key = EVP_EC_gen("P-256");
    making->certificate = X509_new();
    CHECK(making->key != NULL && making->certificate != NULL);
    CHECK(X509_set_version(making->certificate, 2) == 1); /* counts from 0: X.509 v3 */
    set_serial(making->certificate);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(making->certificate), -SKEW_S) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(making->certificate), (long)days * 86400) != NULL);
    CHECK(X509_set_pubkey(making->certificate, making->key) == 1);
}

static void sign(struct making *making)
{
    X509 *issuer = making->ca_certificate != NULL ? making->ca_certificate : making->certificate;

    CHECK(X509_set_issuer_name(making->certificate, X509_get_subject_name(issuer)) == 1);
    add_extension(making, NID_subject_key_identifier, "hash");
    if (making->ca_certificate != NULL) {
        add_extension(making, NID_authority_key_identifier, "keyid");
    }
    CHECK(X509_sign(making->certificate, making->ca_key != NULL ? making->ca_key : making->key,
                    EVP_sha256()) > 0);
}

static int check_days(unsigned days, char why[CERTS_WHY])
{
    return days <= DAYS_MAX ? 0
                            : fail(TERN_EINVALIDCONFIG, why,
                                   "a certificate cannot be valid for more than %d days", DAYS_MAX);
}

int certs_create_ca(const char *directory, const char *cluster_name, unsigned days,
                    char why[CERTS_WHY])
{
    struct making making = {0};
    char common_name[WIRE_NAME_MAX + 8];
    int error = check_days(days, why);

    if (error != 0) {
        return error;
    }
    if (!certs_name_ok(cluster_name)) {
        return fail(TERN_EINVALIDCONFIG, why,
                    "a cluster name is 1 to 63 letters, digits, '.', '_' and '-'");
    }
    if (mkdir(directory, 0755) != 0 && errno != EEXIST) {
        return fail(TERN_EIO, why, "cannot make the directory %s: %s", directory, strerror(errno));
    }
    start_certificate(&making, days > 0 ? days : CA_DAYS);
    X509_NAME *subject = X509_get_subject_name(making.certificate);
    (void)snprintf(common_name, sizeof common_name, "%.56s CA", cluster_name);
    add_name(subject, "O", cluster_name);
    add_name(subject, "CN", common_name);
    add_extension(&making, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(&making, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(&making);
    error = write_pair(directory, "ca", &making, why);
    making_fini(&making);
    return error;
}

static FILE *open_pem(const char *directory, const char *ending, char why[CERTS_WHY])
{
    char path[PATH_LENGTH];

    if (path_of(path, directory, "ca", ending, why) != 0) {
        return NULL;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)fail(0, why, "cannot read %s: %s; make a CA with `tern certs create-ca`", path,
                   strerror(errno));
    }
    return file;
}

/* Loads the CA of the directory; its subject's O is the cluster name. */
static int load_ca(const char *directory, struct making *making, char cluster_name[WIRE_NAME_MAX],
                   char why[CERTS_WHY])
{
    FILE *file = open_pem(directory, ".crt", why);

    if (file == NULL) {
        return TERN_ENOENT;
    }
    making->ca_certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    file = open_pem(directory, ".key", why);
    if (file == NULL) {
        return TERN_ENOENT;
    }
    making->ca_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    if (making->ca_certificate == NULL || making->ca_key == NULL ||
        X509_check_private_key(making->ca_certificate, making->ca_key) != 1) {
        return fail(TERN_EMALFORMED, why,
                    "%s/ca.crt and ca.key are not a certificate and its key in PEM", directory);
    }
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(making->ca_certificate),
                                        NID_organizationName, cluster_name, WIRE_NAME_MAX);
    if (len <= 0 || !certs_name_ok(cluster_name)) {
        return fail(TERN_EMALFORMED, why,
                    "%s/ca.crt names no cluster in its subject (O); was it made by `tern certs "
                    "create-ca`?",
                    directory);
    }
    return 0;
}

/* Appends ",DNS:x" or ",IP:x". */
static int add_alternative(struct buf *names, const char *name, char why[CERTS_WHY])
{
    struct in6_addr address;
    bool is_ip =
        inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
    const char *dns = strncmp(name, "*.", 2) == 0 ? name + 2 : name;

    if (!is_ip && (strlen(dns) > 253 || dns[0] == '\0' ||
                   strspn(dns, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789.-_") != strlen(dns))) {
        return fail(TERN_EINVALIDCONFIG, why, "\"%.100s\" is neither a DNS name nor an IP address",
                    name);
    }
    buf_printf(names, ",%s:%s", is_ip ? "IP" : "DNS", name);
    return 0;
}

/* Subject, usage and names of a leaf; `names` is the whole subjectAltName. */
static int finish_leaf(const char *directory, const char *file_name, struct making *making,
                       const char *usage, struct buf *names, char why[CERTS_WHY])
{
    add_extension(making, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(making, NID_key_usage, "critical,digitalSignature");
    add_extension(making, NID_ext_key_usage, usage);
    buf_u8(names, '\0');
    add_extension(making, NID_subject_alt_name, (const char *)names->base);
    sign(making);
    return write_pair(directory, file_name, making, why);
}

int certs_create_node(const char *directory, const struct certs_node *node, char why[CERTS_WHY])
{
    struct making making = {0};
    struct buf names = {0};
    char cluster_name[WIRE_NAME_MAX];
    char common_name[32];
    int error = check_days(node->days, why);

    if (error != 0) {
        return error;
    }
    if (node->node_id == 0 || node->node_id >= WIRE_NODES_MAX || !certs_name_ok(node->region) ||
        node->name_count > CERTS_NAMES_MAX) {
        return fail(TERN_EINVALIDCONFIG, why,
                    "a node id is 1 to %d, a region name 1 to 63 letters, digits, '.', '_' and "
                    "'-', with at most %d names",
                    WIRE_NODES_MAX - 1, CERTS_NAMES_MAX);
    }
    error = load_ca(directory, &making, cluster_name, why);
    if (error != 0) {
        goto out;
    }
    buf_printf(&names, "URI:tern://%s/%s/node/%u", cluster_name, node->region, node->node_id);
    for (size_t i = 0; i < node->name_count && error == 0; i++) {
        error = add_alternative(&names, node->names[i], why);
    }
    if (error != 0) {
        goto out;
    }
    start_certificate(&making, node->days > 0 ? node->days : LEAF_DAYS);
    X509_NAME *subject = X509_get_subject_name(making.certificate);
    (void)snprintf(common_name, sizeof common_name, "node-%u", node->node_id);
    add_name(subject, "O", cluster_name);
    add_name(subject, "OU", node->region);
    add_name(subject, "CN", common_name);
    error = finish_leaf(directory, common_name, &making, "serverAuth,clientAuth", &names, why);
out:
    buf_fini(&names);
    making_fini(&making);
    return error;
}

int certs_create_client(const char *directory, const char *name, unsigned days, char why[CERTS_WHY])
{
    struct making making = {0};
    struct buf names = {0};
    char cluster_name[WIRE_NAME_MAX];
    char file_name[WIRE_NAME_MAX + 8];
    int error = check_days(days, why);

    if (error != 0) {
        return error;
    }
    if (!certs_name_ok(name)) {
        return fail(TERN_EINVALIDCONFIG, why,
                    "a client name is 1 to 63 letters, digits, '.', '_' and '-'");
    }
    error = load_ca(directory, &making, cluster_name, why);
    if (error == 0) {
        buf_printf(&names, "URI:tern://%s/client/%s", cluster_name, name);
        start_certificate(&making, days > 0 ? days : LEAF_DAYS);
        X509_NAME *subject = X509_get_subject_name(making.certificate);
        (void)snprintf(file_name, sizeof file_name, "client-%s", name);
        add_name(subject, "O", cluster_name);
        add_name(subject, "CN", name);
        error = finish_leaf(directory, file_name, &making, "clientAuth", &names, why);
    }
    buf_fini(&names);
    making_fini(&making);
    return error;
}
