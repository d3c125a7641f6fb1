/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/log.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"

#define LINE_MAX_JSON 2048

static bool json_lines;

/* ---- JSON ------------------------------------------------------------------------------------ */

struct out {
    char *at;
    size_t size; /* with room for the end: `}` and NUL */
    size_t len;
    bool full;
};

static void put(struct out *out, const char *bytes, size_t len)
{
    if (out->full || out->len + len > out->size) {
        out->full = true;
        return;
    }
    memcpy(out->at + out->len, bytes, len);
    out->len += len;
}

static void put_text(struct out *out, struct slice text)
{
    put(out, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.base[i];
        char escaped[8];

        if (byte == '"' || byte == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", byte);
            put(out, escaped, 2);
        } else if (byte < 0x20 || byte >= 0x7f) {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            put(out, escaped, 6);
        } else {
            put(out, (const char *)&text.base[i], 1);
        }
    }
    put(out, "\"", 1);
}

/* A field that does not fit is left out whole. */
static void put_field(struct out *out, struct slice key, struct slice value)
{
    size_t before = out->len;

    if (out->full) {
        return;
    }
    if (out->len > 1) {
        put(out, ",", 1);
    }
    put_text(out, key);
    put(out, ":", 1);
    put_text(out, value);
    if (out->full) {
        out->len = before;
    }
}

/* The value behind `key=`; the line goes on behind it. */
static struct slice take_value(const char **at)
{
    const char *from = *at;
    const char *end;

    if (*from != '"') {
        end = from + strcspn(from, " ");
        *at = end;
        return slice_of(from, (size_t)(end - from));
    }
    from++;
    /* A quote inside is not escaped: the last one is before a blank or the end. */
    end = strchr(from, '"');
    while (end != NULL && end[1] != ' ' && end[1] != '\0') {
        end = strchr(end + 1, '"');
    }
    end = end != NULL ? end : from + strlen(from); /* the line was cut */
    *at = *end == '"' ? end + 1 : end;
    return slice_of(from, (size_t)(end - from));
}

void log_json(const char *ts, const char *level, const char *line, char *out_line, size_t size)
{
    struct out out = {.at = out_line, .size = size - 2};
    char rest[256] = "";
    size_t rest_len = 0;

    CHECK(size > 64);
    put(&out, "{", 1);
    put_field(&out, slice_text("ts"), slice_text(ts));
    put_field(&out, slice_text("level"), slice_text(level));
    while (*line != '\0') {
        size_t key_len = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (key_len > 0 && line[key_len] == '=') {
            struct slice key = slice_of(line, key_len);
            line += key_len + 1;
            put_field(&out, key, take_value(&line));
        } else {
            size_t len = strcspn(line, " ");
            int more = snprintf(rest + rest_len, sizeof rest - rest_len, "%s%.*s",
                                rest_len > 0 ? " " : "", (int)len, line);
            rest_len += (size_t)more;
            rest_len = rest_len < sizeof rest ? rest_len : sizeof rest - 1;
            line += len;
        }
        line += strspn(line, " ");
    }
    if (rest_len > 0) {
        put_field(&out, slice_text("text"), slice_of(rest, rest_len));
    }
    out_line[out.len] = '}';
    out_line[out.len + 1] = '\0';
}

/* ---- the sink -------------------------------------------------------------------------------- */

static void to_stderr(enum trace_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm parts;
    char second[32] = "";
    char ts[48];

    if (clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &parts) != NULL) {
        (void)strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    CHECK((size_t)level < ARRAY_COUNT(names));
    (void)snprintf(ts, sizeof ts, "%s.%03ldZ", second, now.tv_nsec / 1000000);
    if (json_lines) {
        char object[LINE_MAX_JSON];
        log_json(ts, names[level], line, object, sizeof object);
        (void)fprintf(stderr, "%s\n", object);
    } else {
        (void)fprintf(stderr, "ts=%s level=%s %s\n", ts, names[level], line);
    }
}

void log_start(enum trace_level level, bool json, uint32_t node_id, const char *region)
{
    char who[96];

    (void)snprintf(who, sizeof who, "node=%u region=%s", node_id, region);
    (void)setvbuf(stderr, NULL, _IOLBF, 0); /* one line, one write */
    json_lines = json;
    trace_set_who(who);
    trace_set_level(level);
    trace_set_sink(to_stderr);
}
