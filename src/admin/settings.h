/* SPDX-License-Identifier: Apache-2.0 */
/* Strict reading of small YAML files of ours (node configuration, profiles): every scalar is handed
 * over with its path, and whatever nobody takes is an error with file, line and column. */
#pragma once

#include "base/check.h"
#include "base/slice.h"

#define SETTINGS_WHY      512
#define SETTINGS_PATH_MAX 64

struct settings_scalar {
    const char *path;  /* "listen/kafka"; a list adds "[]": "nodes[]/id" */
    unsigned index;    /* place in the innermost list, from 0 */
    const char *value; /* NUL-ended; "" for an empty one */
};
/* 0, or an error: ENOENT for a path that nobody knows, EMALFORMED with a sentence in why. */
typedef int settings_take(void *ctx, const struct settings_scalar *scalar, char why[128]);

/* One document. `file` is for messages only. EMALFORMED; why becomes "file:line:column: error: ..."
 * with the source line and a caret below it. */
int settings_read(const char *file, struct slice text, settings_take *take, void *ctx,
                  char why[SETTINGS_WHY]) TERN_MUST_USE;
/* The same of a file. ENOENT, EIO, ETOOBIG too. */
int settings_read_file(const char *path, settings_take *take, void *ctx,
                       char why[SETTINGS_WHY]) TERN_MUST_USE;

/* ---- words of values; false: `value` is not one ---------------------------------------------- */
bool value_number(const char *value, uint64_t low, uint64_t high, uint64_t *out) TERN_MUST_USE;
bool value_bool(const char *value, bool *out) TERN_MUST_USE; /* true, false */
/* A unit is needed: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB. */
bool value_bytes(const char *value, uint64_t *out) TERN_MUST_USE;
/* A unit is needed: ms, s, m, h. */
bool value_millis(const char *value, uint64_t *out) TERN_MUST_USE;
