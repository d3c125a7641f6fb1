/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/settings.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"

#define FILE_BYTES_MAX (256u * 1024)
#define DEPTH_MAX      6

struct walk {
    const char *file;
    struct slice text;
    settings_take *take;
    void *ctx;
    char *why;
};

/* The source line and a caret, so that the reader need not open the file. */
static int complain(const struct walk *walk, int line, int column, const char *message)
{
    const char *at = (const char *)walk->text.base;
    const char *end = at + walk->text.len;
    const char *stop;

    for (int n = 1; n < line && at < end; n++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next != NULL ? next + 1 : end;
    }
    stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    stop = stop != NULL ? stop : end;
    (void)snprintf(walk->why, SETTINGS_WHY, "%s:%d:%d: error: %s\n%.*s\n%*s^", walk->file, line,
                   column, message, (int)(stop - at > 120 ? 120 : stop - at), at,
                   column > 1 && column < 120 ? column - 1 : 0, "");
    return TERN_EMALFORMED;
}

static int complain_at(const struct walk *walk, struct fy_token *token, const char *message)
{
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;

    return complain(walk, mark != NULL ? mark->line + 1 : 1, mark != NULL ? mark->column + 1 : 1,
                    message);
}

static int walk_node(const struct walk *walk, struct fy_node *node, struct fy_token *key,
                     const char *path, unsigned index, int depth);

static int walk_scalar(const struct walk *walk, struct fy_node *node, struct fy_token *key,
                       const char *path, unsigned index)
{
    char message[300];
    char why[128] = "";
    char value[256];
    size_t len = 0;
    const char *text = fy_node_get_scalar(node, &len);
    struct fy_token *token = fy_node_get_scalar_token(node);
    struct settings_scalar scalar = {path, index, value};
    int rv;

    if (len >= sizeof value || (len > 0 && memchr(text, '\0', len) != NULL)) {
        return complain_at(walk, token, "the value is too long");
    }
    if (len > 0) {
        memcpy(value, text, len);
    }
    value[len] = '\0';
    if (len == 0) {
        (void)snprintf(message, sizeof message, "%s has no value", path);
        return complain_at(walk, key, message);
    }
    rv = walk->take(walk->ctx, &scalar, why);
    if (rv == TERN_ENOENT) {
        (void)snprintf(message, sizeof message, "unknown key %s", path);
        return complain_at(walk, key != NULL ? key : token, message);
    }
    if (rv != 0) {
        (void)snprintf(message, sizeof message, "%s: %s", path,
                       why[0] != '\0' ? why : error_sentence(rv));
        return complain_at(walk, token, message);
    }
    return 0;
}

static int walk_mapping(const struct walk *walk, struct fy_node *node, const char *path,
                        unsigned index, int depth)
{
    struct fy_node_pair *pair;
    void *at = NULL;
    int rv = 0;

    while (rv == 0 && (pair = fy_node_mapping_iterate(node, &at)) != NULL) {
        struct fy_node *name = fy_node_pair_key(pair);
        struct fy_token *token = name != NULL ? fy_node_get_scalar_token(name) : NULL;
        char below[SETTINGS_PATH_MAX];
        size_t len = 0;
        const char *text = name != NULL ? fy_node_get_scalar(name, &len) : NULL;
        int used;

        if (text == NULL || len == 0) {
            return complain_at(walk, token, "a key must be a plain word");
        }
        used = snprintf(below, sizeof below, "%s%s%.*s", path, path[0] != '\0' ? "/" : "",
                        (int)(len < sizeof below ? len : sizeof below), text);
        if (used < 0 || (size_t)used >= sizeof below) {
            return complain_at(walk, token, "unknown key (too long for any that there is)");
        }
        rv = walk_node(walk, fy_node_pair_value(pair), token, below, index, depth + 1);
    }
    return rv;
}

static int walk_node(const struct walk *walk, struct fy_node *node, struct fy_token *key,
                     const char *path, unsigned index, int depth)
{
    char message[128];
    char below[SETTINGS_PATH_MAX + 2];
    struct fy_node *item;
    void *at = NULL;
    int rv = 0;

    if (depth > DEPTH_MAX) {
        return complain_at(walk, key, "nested too deeply");
    }
    if (node == NULL || (fy_node_is_mapping(node) && fy_node_mapping_is_empty(node)) ||
        (fy_node_is_sequence(node) && fy_node_sequence_is_empty(node))) {
        (void)snprintf(message, sizeof message, "%s has no value", path);
        return complain_at(walk, key, message);
    }
    if (fy_node_is_mapping(node)) {
        return walk_mapping(walk, node, path, index, depth);
    }
    if (!fy_node_is_sequence(node)) {
        if (fy_node_is_alias(node)) {
            return complain_at(walk, key, "anchors and aliases are not allowed here");
        }
        return walk_scalar(walk, node, key, path, index);
    }
    (void)snprintf(below, sizeof below, "%s[]", path);
    if (strlen(below) >= SETTINGS_PATH_MAX) {
        return complain_at(walk, key, "unknown key");
    }
    for (unsigned n = 0; rv == 0 && (item = fy_node_sequence_iterate(node, &at)) != NULL; n++) {
        rv = walk_node(walk, item, key, below, n, depth + 1);
    }
    return rv;
}

/* What the parser itself found wrong: its first error. */
static int complain_parser(const struct walk *walk, struct fy_diag *diag)
{
    void *at = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);

    if (error == NULL) {
        return complain(walk, 1, 1, "this is not a YAML document");
    }
    return complain(walk, error->line > 0 ? error->line : 1, error->column > 0 ? error->column : 1,
                    error->msg != NULL ? error->msg : "not YAML");
}

static int read_documents(const struct walk *walk, struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_document *document = fy_parse_load_document(parser);
    struct fy_document *second;
    struct fy_node *root;
    int rv;

    if (document == NULL) {
        return complain_parser(walk, diag);
    }
    root = fy_document_root(document);
    rv = root == NULL || !fy_node_is_mapping(root)
             ? complain(walk, 1, 1, "a mapping (key: value) is expected")
             : walk_mapping(walk, root, "", 0, 0);
    fy_parse_document_destroy(parser, document);
    if (rv != 0) {
        return rv;
    }
    second = fy_parse_load_document(parser);
    if (second != NULL) {
        fy_parse_document_destroy(parser, second);
        return complain(walk, 1, 1, "only one document is allowed in this file");
    }
    return fy_diag_got_error(diag) ? complain_parser(walk, diag) : 0;
}

int settings_read(const char *file, struct slice text, settings_take *take, void *ctx,
                  char why[SETTINGS_WHY])
{
    struct walk walk = {file, text, take, ctx, why};
    struct fy_diag_cfg diag_cfg;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_parse_cfg cfg;
    int rv;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag = fy_diag_create(&diag_cfg);
    CHECK(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    cfg = (struct fy_parse_cfg){.flags = FYPCF_QUIET, .diag = diag};
    parser = fy_parser_create(&cfg);
    CHECK(parser != NULL);
    if (text.len == 0) {
        rv = complain(&walk, 1, 1, "the file is empty");
    } else if (fy_parser_set_string(parser, (const char *)text.base, text.len) != 0) {
        rv = complain(&walk, 1, 1, "this is not a YAML document");
    } else {
        rv = read_documents(&walk, parser, diag);
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return rv;
}

int settings_read_file(const char *path, settings_take *take, void *ctx, char why[SETTINGS_WHY])
{
    struct buf text = {0};
    FILE *file = fopen(path, "re");
    size_t got;
    int rv;

    if (file == NULL) {
        (void)snprintf(why, SETTINGS_WHY, "%s: %m", path);
        return TERN_ENOENT;
    }
    got = fread(buf_extend(&text, FILE_BYTES_MAX), 1, FILE_BYTES_MAX, file);
    if (ferror(file) != 0) {
        (void)snprintf(why, SETTINGS_WHY, "%s: it can't be read", path);
        rv = TERN_EIO;
    } else if (got == FILE_BYTES_MAX) {
        (void)snprintf(why, SETTINGS_WHY, "%s: larger than %u bytes", path, FILE_BYTES_MAX);
        rv = TERN_ETOOBIG;
    } else {
        rv = settings_read(path, slice_of(text.base, got), take, ctx, why);
    }
    (void)fclose(file);
    buf_fini(&text);
    return rv;
}

/* ---- words of values ------------------------------------------------------------------------ */

/* Digits only: no sign, no leading zero (which some readers take for octal), no blanks. */
static bool digits(const char **at, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = *at;

    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9')) {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *at = p;
    *out = value;
    return true;
}

bool value_number(const char *value, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t number;

    if (!digits(&value, &number) || *value != '\0' || number < low || number > high) {
        return false;
    }
    *out = number;
    return true;
}

bool value_bool(const char *value, bool *out)
{
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return false;
    }
    *out = value[0] == 't';
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool value_unit(const char *value, const struct unit *units, size_t count, uint64_t *out)
{
    uint64_t number;

    if (!digits(&value, &number)) {
        return false;
    }
    for (size_t n = 0; n < count; n++) {
        if (strcmp(value, units[n].name) == 0) {
            if (number > UINT64_MAX / units[n].factor) {
                return false;
            }
            *out = number * units[n].factor;
            return true;
        }
    }
    return false;
}

bool value_bytes(const char *value, uint64_t *out)
{
    static const struct unit units[] = {
        {"B", 1},           {"kB", 1000},          {"MB", 1000000},
        {"GB", 1000000000}, {"KiB", 1u << 10},     {"MiB", 1u << 20},
        {"GiB", 1u << 30},  {"TB", 1000000000000}, {"TiB", 1ull << 40}};

    return value_unit(value, units, ARRAY_COUNT(units), out);
}

bool value_millis(const char *value, uint64_t *out)
{
    static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

    return value_unit(value, units, ARRAY_COUNT(units), out);
}
