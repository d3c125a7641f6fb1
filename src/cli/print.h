/* SPDX-License-Identifier: Apache-2.0 */
/* How results are printed: tables and trees (libsmartcols), JSON (jansson), words for people. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

struct table;

/* Columns: a name, '>' in front for right-aligned, '+' for the one that carries the tree. */
struct table *table_new(const char *const *columns, size_t count);
/* A row; its cells follow by table_cell, left to right. parent: a row number, -1 for none. */
int table_row(struct table *table, int parent);
void table_cell(struct table *table, const char *format, ...) TERN_PRINTF(2, 3);
/* Prints to stdout and gives back. */
void table_print(struct table *table);

/* Prints with a newline, keys in the order in which they were set, and gives back. */
void json_print(json_t *value);
/* An integer, or null. */
json_t *json_number_or_null(bool known, uint64_t value);
/* "2026-01-31T12:00:00.000Z"; null for 0. */
json_t *json_wall(int64_t wall_ms);
json_t *json_text(const char *text); /* whatever bytes: what is not UTF-8 becomes '?' */

#define WORD_SIZE 48
void word_millis(char out[WORD_SIZE], uint64_t millis); /* "41 ms", "3.2 s", "3m12s", "2h05m" */
void word_bytes(char out[WORD_SIZE], uint64_t bytes);   /* "17 B", "1.5 MiB" */
void word_wall(char out[WORD_SIZE], int64_t wall_ms);   /* "2026-01-31 12:00:00Z" */
