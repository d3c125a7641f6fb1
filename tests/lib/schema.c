/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/schema.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct place {
    char path[160];
    char *why;
};

static bool __attribute__((format(printf, 2, 3)))
wrong(const struct place *place, const char *format, ...)
{
    char text[90];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(place->why, 256, "%s: %s", place->path[0] != '\0' ? place->path : "(root)",
                   text);
    return false;
}

static struct place below(const struct place *place, const char *name)
{
    struct place out = {.why = place->why};

    (void)snprintf(out.path, sizeof out.path, "%.100s/%.50s", place->path, name);
    return out;
}

static bool is_type(const char *type, const json_t *value)
{
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool check_type(const struct place *place, const json_t *types, const json_t *value)
{
    size_t n;
    json_t *one;

    if (types == NULL || (json_is_string(types) && is_type(json_string_value(types), value))) {
        return true;
    }
    json_array_foreach(types, n, one)
    {
        if (is_type(json_string_value(one), value)) {
            return true;
        }
    }
    return wrong(place, "another type is expected");
}

static bool check_words(const struct place *place, const json_t *schema)
{
    static const char *const known[] = {"$schema",  "title",    "description",         "type",
                                        "enum",     "minimum",  "properties",          "items",
                                        "required", "examples", "additionalProperties"};
    const char *word;
    json_t *unused;

    json_object_foreach((json_t *)(uintptr_t)schema, word, unused)
    {
        bool found = false;

        for (size_t n = 0; n < sizeof known / sizeof known[0]; n++) {
            found = found || strcmp(word, known[n]) == 0;
        }
        if (!found) {
            return wrong(place, "the schema has the word %s, which is not checked", word);
        }
    }
    return true;
}

static bool check(const struct place *place, const json_t *schema, const json_t *value);

static bool check_object(const struct place *place, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    const json_t *required = json_object_get(schema, "required");
    const char *key;
    json_t *item;
    size_t n;

    json_array_foreach(required, n, item)
    {
        if (json_object_get(value, json_string_value(item)) == NULL) {
            return wrong(place, "%s is missing", json_string_value(item));
        }
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        const json_t *property = json_object_get(properties, key);
        struct place there = below(place, key);

        if (property == NULL && json_is_false(others)) {
            return wrong(&there, "it stands in no schema");
        }
        property = property == NULL && json_is_object(others) ? others : property;
        if (property != NULL && !check(&there, property, item)) {
            return false;
        }
    }
    return true;
}

static bool check_enum(const struct place *place, const json_t *words, const json_t *value)
{
    size_t n;
    json_t *word;

    if (words == NULL) {
        return true;
    }
    json_array_foreach(words, n, word)
    {
        if (json_equal(word, value)) {
            return true;
        }
    }
    return wrong(place, "%s is not one of the words",
                 json_is_string(value) ? json_string_value(value) : "the value");
}

static bool check(const struct place *place, const json_t *schema, const json_t *value)
{
    const json_t *minimum = json_object_get(schema, "minimum");
    const json_t *items = json_object_get(schema, "items");
    char index[32];
    size_t n;
    json_t *item;

    if (!check_words(place, schema) || !check_type(place, json_object_get(schema, "type"), value) ||
        !check_enum(place, json_object_get(schema, "enum"), value)) {
        return false;
    }
    if (minimum != NULL && json_is_number(value) &&
        json_number_value(value) < json_number_value(minimum)) {
        return wrong(place, "%g is below the minimum", json_number_value(value));
    }
    if (json_is_object(value) && !check_object(place, schema, value)) {
        return false;
    }
    json_array_foreach(value, n, item)
    {
        struct place there;

        (void)snprintf(index, sizeof index, "%zu", n);
        there = below(place, index);
        if (items != NULL && !check(&there, items, item)) {
            return false;
        }
    }
    return true;
}

bool schema_check(const json_t *schema, const json_t *value, char why[256])
{
    struct place place = {.why = why};

    return check(&place, schema, value);
}

json_t *schema_load(const char *name)
{
    char path[256] = "";
    json_t *schema = NULL;

    for (int up = 0; up < 6 && schema == NULL; up++) {
        (void)snprintf(path, sizeof path, "%.*sdocs/reference/%s.schema.json", 3 * up,
                       "../../../../../../", name);
        schema = json_load_file(path, 0, NULL);
    }
    return schema;
}
