/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "link.h"

enum { VALUE_MAX = 1000000000 };

struct unit {
    const char *name;
    double factor;
};

static const struct unit times[] = {{"", 1000}, {"us", 1}, {"ms", 1000}, {"s", 1000000}, {0}};
static const struct unit rates[] = {{"", 1000},        {"kbit", 1}, {"mbit", 1000},
                                    {"gbit", 1000000}, {"none", 0}, {0}};
static const struct unit parts[] = {{"", 10000}, {"%", 10000}, {0}};
static const struct unit sizes[] = {{"", 1024}, {"k", 1024}, {"m", 1024 * 1024}, {0}};

/* A number of at most 15 characters, digits and one point, then one of the units. */
static bool read_number(const char *text, const struct unit *units, uint64_t max, uint64_t *out)
{
    size_t len = strspn(text, "0123456789.");
    char digits[16];
    char *end;

    if (strcmp(text, "none") == 0 && units == rates) {
        *out = 0;
        return true;
    }
    if (len == 0 || len >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, len);
    digits[len] = '\0';
    double value = strtod(digits, &end);
    if (*end != '\0') {
        return false;
    }
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcmp(unit->name, text + len) == 0) {
            value *= unit->factor;
            *out = value <= (double)max ? (uint64_t)(value + 0.5) : 0;
            return value <= (double)max;
        }
    }
    return false;
}

static bool read_ppm(const char *text, uint32_t *out)
{
    uint64_t ppm;

    if (!read_number(text, parts, 1000000, &ppm)) {
        return false;
    }
    *out = (uint32_t)ppm;
    return true;
}

static bool read_split(const char *text, enum link_split *out)
{
    static const char *const names[] = {"auto", "on", "off"};

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum link_split)i;
            return true;
        }
    }
    return false;
}

static bool read_value(struct link_settings *s, const char *key, const char *value, bool *known)
{
    uint64_t rtt_us;

    if (strcmp(key, "delay") == 0) {
        return read_number(value, times, VALUE_MAX, &s->delay_us);
    }
    if (strcmp(key, "rtt") == 0) {
        if (!read_number(value, times, VALUE_MAX, &rtt_us)) {
            return false;
        }
        s->delay_us = rtt_us / 2;
        return true;
    }
    if (strcmp(key, "jitter") == 0) {
        return read_number(value, times, VALUE_MAX, &s->jitter_us);
    }
    if (strcmp(key, "reorder-by") == 0) {
        return read_number(value, times, VALUE_MAX, &s->reorder_us);
    }
    if (strcmp(key, "rate") == 0) {
        return read_number(value, rates, VALUE_MAX, &s->rate_kbit);
    }
    if (strcmp(key, "queue") == 0) {
        return read_number(value, sizes, LINK_HELD_BYTES_MAX, &s->queue_bytes);
    }
    if (strcmp(key, "loss") == 0) {
        return read_ppm(value, &s->loss_ppm);
    }
    if (strcmp(key, "duplicate") == 0) {
        return read_ppm(value, &s->duplicate_ppm);
    }
    if (strcmp(key, "reorder") == 0) {
        return read_ppm(value, &s->reorder_ppm);
    }
    if (strcmp(key, "split") == 0) {
        return read_split(value, &s->split);
    }
    *known = false;
    return false;
}

bool link_settings_word(struct link_settings *settings, const char *word, char why[160])
{
    const char *equals = strchr(word, '=');
    char key[16] = "";
    bool known = equals != NULL && (size_t)(equals - word) < sizeof key;

    if (known) {
        memcpy(key, word, (size_t)(equals - word));
        if (read_value(settings, key, equals + 1, &known)) {
            return true;
        }
    }
    if (known) {
        (void)snprintf(why, 160, "%s cannot be '%.60s'", key, equals + 1);
    } else {
        (void)snprintf(why, 160,
                       "'%.40s' is none of delay rtt jitter loss duplicate reorder reorder-by rate "
                       "queue split, each with =VALUE",
                       word);
    }
    return false;
}
