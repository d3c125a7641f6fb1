/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/yaml.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- problems ------------------------------------------------------------------------------ */

static struct slice line_of(struct slice text, int line)
{
    size_t at = 0;

    for (int i = 1; i < line && at < text.len; i++) {
        const uint8_t *end = memchr(text.base + at, '\n', text.len - at);
        at = end != NULL ? (size_t)(end - text.base) + 1 : text.len;
    }
    const uint8_t *end = at < text.len ? memchr(text.base + at, '\n', text.len - at) : NULL;
    size_t stop = end != NULL ? (size_t)(end - text.base) : text.len;
    return slice_of(text.base + at, stop - at);
}

/* How many bytes the UTF-8 character at `text` has; 0: it is none. */
static size_t character(const char *text)
{
    const unsigned char lead = (unsigned char)*text;
    size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* What is printed to a terminal must not steer it, and JSON takes only whole characters. */
static void make_printable(char *text)
{
    while (*text != '\0') {
        size_t len = character(text);
        if (len == 0 || *text == 0x7f) {
            *text = '?';
        } else if (len == 1 && (unsigned char)*text < 0x20) {
            *text = ' ';
        }
        text += len > 0 ? len : 1;
    }
}

static void note(struct yaml *yaml, int line, int column, const char *format, va_list args)
{
    struct policy_set *set = yaml->set;

    yaml->problems++;
    if (set->problem_count >= POLICY_PROBLEMS_MAX) {
        return;
    }
    set->problems = mem_grow(set->problems, set->problem_count + 1, sizeof *set->problems);
    struct policy_problem *p = &set->problems[set->problem_count++];
    memset(p, 0, sizeof *p);
    (void)snprintf(p->file, sizeof p->file, "%s", yaml->file);
    (void)vsnprintf(p->message, sizeof p->message, format, args);
    p->line = line;
    p->column = column;
    if (line > 0) {
        struct slice source = line_of(yaml->text, line);
        size_t len = source.len < sizeof p->excerpt ? source.len : sizeof p->excerpt - 1;
        memcpy(p->excerpt, source.base, len);
    }
    make_printable(p->message);
    make_printable(p->excerpt);
}

void yaml_problem_at(struct yaml *yaml, int line, int column, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    note(yaml, line, column, format, args);
    va_end(args);
}

/* The first scalar of a node: collections have no place of their own. */
static struct fy_node *first_scalar(struct fy_node *node)
{
    while (node != NULL && fy_node_get_type(node) != FYNT_SCALAR) {
        void *at = NULL;
        if (fy_node_get_type(node) == FYNT_SEQUENCE) {
            node = fy_node_sequence_iterate(node, &at);
        } else {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &at);
            node = pair != NULL ? fy_node_pair_key(pair) : NULL;
        }
    }
    return node;
}

void yaml_problem(struct yaml *yaml, struct fy_node *node, const char *format, ...)
{
    struct fy_node *scalar = first_scalar(node);
    struct fy_token *token = scalar != NULL ? fy_node_get_scalar_token(scalar) : NULL;
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    /* The mark of a quoted scalar stands behind its quote, that of an alias behind its star. */
    bool behind =
        token != NULL && (fy_token_scalar_style(token) != FYSS_PLAIN || fy_node_is_alias(scalar));
    int before = behind ? 0 : 1;
    va_list args;

    va_start(args, format);
    note(yaml, mark != NULL ? mark->line + 1 : 0, mark != NULL ? mark->column + before : 0, format,
         args);
    va_end(args);
}

/* ---- mappings ------------------------------------------------------------------------------ */

/* What YAML has and policies do not use. */
static bool plain_yaml(struct yaml *yaml, struct fy_node *node)
{
    size_t len = 0;

    if (node != NULL && fy_node_is_alias(node)) {
        yaml_problem(yaml, node, "aliases are not used here");
        return false;
    }
    if (node != NULL && fy_node_get_tag(node, &len) != NULL) {
        yaml_problem(yaml, node, "tags are not used here");
        return false;
    }
    return true;
}

static void unknown_key(struct yaml *yaml, struct fy_node *key, struct slice text,
                        const struct yaml_key *keys, size_t count)
{
    char expected[200] = "";
    size_t len = 0;

    for (size_t i = 0; i < count && len < sizeof expected; i++) {
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%s", i > 0 ? ", " : "",
                                keys[i].name);
    }
    yaml_problem(yaml, key, "unknown key %.*s; expected one of: %s",
                 (int)(text.len < 30 ? text.len : 30), (const char *)text.base, expected);
}

static int line_of_node(struct fy_node *node)
{
    const struct fy_mark *mark = fy_token_start_mark(fy_node_get_scalar_token(node));

    return mark != NULL ? mark->line + 1 : 0;
}

static struct slice scalar_text(struct fy_node *node)
{
    size_t len = 0;
    const char *text = NULL;

    if (node != NULL && fy_node_get_type(node) == FYNT_SCALAR) {
        text = fy_node_get_scalar(node, &len);
    }
    return text != NULL ? slice_of(text, len) : (struct slice){0};
}

static void read_pair(struct yaml *yaml, struct fy_node *key, struct fy_node *value,
                      const struct yaml_key *keys, size_t count, struct yaml_seen *seen, void *out)
{
    struct slice text = scalar_text(key);

    if (!plain_yaml(yaml, key) || !plain_yaml(yaml, value)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct yaml_key *k = &keys[i];
        if (!slice_equal(text, slice_text(k->name))) {
            continue;
        }
        CHECK(k->slot < YAML_SLOTS_MAX);
        if (seen->keys[k->slot] != NULL) {
            yaml_problem(yaml, key, "%s is there twice, first in line %d", k->name,
                         line_of_node(seen->keys[k->slot]));
            return;
        }
        seen->keys[k->slot] = key;
        if (value == NULL || (scalar_text(value).len == 0 && fy_node_is_scalar(value))) {
            yaml_problem(yaml, key, "%s has no value", k->name);
            return;
        }
        k->read(yaml, value, out);
        return;
    }
    unknown_key(yaml, key, text, keys, count);
}

void yaml_mapping(struct yaml *yaml, struct fy_node *node, const char *what,
                  const struct yaml_key *keys, size_t count, struct yaml_seen *seen, void *out)
{
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!plain_yaml(yaml, node)) {
        return;
    }
    if (!fy_node_is_mapping(node)) {
        yaml_problem(yaml, node, "%s must be a mapping of keys to values", what);
        return;
    }
    while ((pair = fy_node_mapping_iterate(node, &at)) != NULL) {
        read_pair(yaml, fy_node_pair_key(pair), fy_node_pair_value(pair), keys, count, seen, out);
    }
}

/* ---- scalars ------------------------------------------------------------------------------- */

/* The text of a scalar without quotes; false with a problem for anything else. */
static bool bare(struct yaml *yaml, struct fy_node *node, const char *kind, struct slice *out)
{
    struct fy_token *token = fy_node_is_scalar(node) ? fy_node_get_scalar_token(node) : NULL;

    if (!plain_yaml(yaml, node)) {
        return false;
    }
    if (token == NULL || fy_token_scalar_style(token) != FYSS_PLAIN) {
        yaml_problem(yaml, node, "expected %s%s", kind, token != NULL ? " without quotes" : "");
        return false;
    }
    *out = scalar_text(node);
    return true;
}

bool yaml_text(struct yaml *yaml, struct fy_node *node, char *out, size_t size, const char *allowed)
{
    struct slice text = scalar_text(node);

    if (!plain_yaml(yaml, node)) {
        return false;
    }
    if (text.len == 0) {
        yaml_problem(yaml, node, "expected a name");
        return false;
    }
    if (text.len >= size) {
        yaml_problem(yaml, node, "longer than %zu characters", size - 1);
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] == '\0' || strchr(allowed, text.base[i]) == NULL) {
            yaml_problem(yaml, node, "a name may only have letters, digits and %s",
                         allowed + 62 /* after a-z, A-Z, 0-9 */);
            return false;
        }
    }
    memcpy(out, text.base, text.len);
    out[text.len] = '\0';
    return true;
}

bool yaml_is(struct fy_node *node, const char *word)
{
    return slice_equal(scalar_text(node), slice_text(word));
}

bool yaml_bool(struct yaml *yaml, struct fy_node *node, bool *out)
{
    struct slice text;

    if (!bare(yaml, node, "true or false", &text)) {
        return false;
    }
    if (!yaml_is(node, "true") && !yaml_is(node, "false")) {
        yaml_problem(yaml, node, "expected true or false");
        return false;
    }
    *out = yaml_is(node, "true");
    return true;
}

/* Leading decimal digits; false: none, a leading zero, or too many. Moves the text behind them. */
static bool take_digits(struct slice *text, uint64_t *out)
{
    uint64_t value = 0;
    size_t n = 0;

    for (; n < text->len && text->base[n] >= '0' && text->base[n] <= '9'; n++) {
        if (value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(text->base[n] - '0');
    }
    if (n == 0 || (n > 1 && text->base[0] == '0')) {
        return false;
    }
    *text = slice_of(text->base + n, text->len - n);
    *out = value;
    return true;
}

bool yaml_number(struct yaml *yaml, struct fy_node *node, int64_t low, int64_t high, int64_t *out)
{
    struct slice text;
    uint64_t value;

    if (!bare(yaml, node, "a number", &text)) {
        return false;
    }
    bool negative = low < 0 && text.len > 0 && text.base[0] == '-';
    if (negative) {
        text = slice_of(text.base + 1, text.len - 1);
    }
    bool ok = take_digits(&text, &value) && text.len == 0 && value <= INT64_MAX;
    int64_t number = ok ? (negative ? -(int64_t)value : (int64_t)value) : 0;
    if (!ok || number < low || number > high) {
        yaml_problem(yaml, node, "expected a number from %lld to %lld", (long long)low,
                     (long long)high);
        return false;
    }
    *out = number;
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool with_unit(struct yaml *yaml, struct fy_node *node, const char *kind,
                      const struct unit *units, size_t count, uint64_t *out)
{
    struct slice text;
    uint64_t value;

    if (!bare(yaml, node, kind, &text)) {
        return false;
    }
    bool ok = take_digits(&text, &value);
    for (size_t i = 0; ok && i < count; i++) {
        if (slice_equal(text, slice_text(units[i].name))) {
            if (value == 0 || value > (uint64_t)INT64_MAX / units[i].factor) {
                yaml_problem(yaml, node, "expected %s that is %s", kind,
                             value == 0 ? "not zero" : "smaller");
                return false;
            }
            *out = value * units[i].factor;
            return true;
        }
    }
    yaml_problem(yaml, node, ok && text.len == 0 ? "a unit is missing: expected %s" : "expected %s",
                 kind);
    return false;
}

bool yaml_duration(struct yaml *yaml, struct fy_node *node, uint64_t *out_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    return with_unit(yaml, node, "a duration like 500ms, 5s, 10m, 2h or 7d", units,
                     ARRAY_COUNT(units), out_ms);
}

bool yaml_size(struct yaml *yaml, struct fy_node *node, uint64_t *out_bytes)
{
    static const struct unit units[] = {
        {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", 1ull << 40}};

    return with_unit(yaml, node, "a size like 512B, 64KiB, 64MiB, 10GiB or 1TiB", units,
                     ARRAY_COUNT(units), out_bytes);
}

bool yaml_word(struct yaml *yaml, struct fy_node *node, const char *const *words, unsigned *out)
{
    char expected[128] = "";
    size_t len = 0;

    if (!plain_yaml(yaml, node)) {
        return false;
    }
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (yaml_is(node, words[i])) {
            *out = i;
            return true;
        }
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%s", i > 0 ? ", " : "",
                                words[i]);
        CHECK(len < sizeof expected);
    }
    yaml_problem(yaml, node, "expected one of: %s", expected);
    return false;
}
