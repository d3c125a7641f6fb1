/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include <libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct table {
    struct libscols_table *scols;
    struct libscols_line **rows;
    int row_count;
    size_t cell;
};

struct table *table_new(const char *const *columns, size_t count)
{
    struct table *table = mem_new(sizeof *table);

    table->scols = scols_new_table();
    CHECK(table->scols != NULL);
    if (!isatty(STDOUT_FILENO)) {
        /* Into a pipe nothing may be cut off. */
        (void)scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER);
    }
    (void)scols_table_set_column_separator(table->scols, "  ");
    for (size_t n = 0; n < count; n++) {
        const char *name = columns[n];
        int flags = name[0] == '>' ? SCOLS_FL_RIGHT : name[0] == '+' ? SCOLS_FL_TREE : 0;

        CHECK(scols_table_new_column(table->scols, flags != 0 ? name + 1 : name, 0, flags) != NULL);
    }
    return table;
}

int table_row(struct table *table, int parent)
{
    struct libscols_line *above = NULL;

    CHECK(parent < table->row_count);
    if (parent >= 0) {
        above = table->rows[parent];
    }
    table->rows = mem_grow(table->rows, (size_t)table->row_count + 1, sizeof table->rows[0]);
    table->rows[table->row_count] = scols_table_new_line(table->scols, above);
    CHECK(table->rows[table->row_count] != NULL);
    table->cell = 0;
    return table->row_count++;
}

void table_cell(struct table *table, const char *format, ...)
{
    char text[512];
    va_list args;

    CHECK(table->row_count > 0);
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(scols_line_set_data(table->rows[table->row_count - 1], table->cell++, text) == 0);
}

void table_print(struct table *table)
{
    (void)scols_print_table(table->scols);
    scols_unref_table(table->scols);
    free(table->rows);
    free(table);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

void json_print(json_t *value)
{
    CHECK(value != NULL);
    (void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    (void)printf("\n");
    json_decref(value);
}

json_t *json_number_or_null(bool known, uint64_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value == NULL) {
        copy = mem_string(text);
        for (char *at = copy; *at != '\0'; at++) {
            *at = (unsigned char)*at < 0x80 ? *at : '?';
        }
        value = json_string(copy);
        free(copy);
    }
    return value;
}

json_t *json_wall(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char text[WORD_SIZE];
    char stamp[WORD_SIZE + 8];

    if (wall_ms <= 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        return json_null();
    }
    (void)snprintf(stamp, sizeof stamp, "%s.%03dZ", text, (int)(wall_ms % 1000));
    return json_string(stamp);
}

/* ---- words ---------------------------------------------------------------------------------- */

void word_millis(char out[WORD_SIZE], uint64_t millis)
{
    uint64_t seconds = millis / 1000;

    if (millis < 1000) {
        (void)snprintf(out, WORD_SIZE, "%llu ms", (unsigned long long)millis);
    } else if (seconds < 60) {
        (void)snprintf(out, WORD_SIZE, "%.1f s", (double)millis / 1000);
    } else if (seconds < 3600) {
        (void)snprintf(out, WORD_SIZE, "%llum%02llus", (unsigned long long)(seconds / 60),
                       (unsigned long long)(seconds % 60));
    } else if (seconds < 48 * 3600) {
        (void)snprintf(out, WORD_SIZE, "%lluh%02llum", (unsigned long long)(seconds / 3600),
                       (unsigned long long)(seconds / 60 % 60));
    } else {
        (void)snprintf(out, WORD_SIZE, "%llu days", (unsigned long long)(seconds / 86400));
    }
}

void word_bytes(char out[WORD_SIZE], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, WORD_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void word_wall(char out[WORD_SIZE], int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(out, WORD_SIZE, "%Y-%m-%d %H:%M:%SZ", &parts) == 0) {
        (void)snprintf(out, WORD_SIZE, "%lld", (long long)wall_ms);
    }
}
