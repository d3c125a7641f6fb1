/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions over topic names, in RE2's syntax as far as it makes sense for them. No
 * backtracking: time is at most the size of the pattern times the length of the name.
 *
 * Known: literals, `.`, `[a-z]` `[^a-z]`, `\d \w \s` and their opposites (also within brackets),
 * escaped punctuation, `|`, `( )`, `(?: )`, `^` and `$` at the ends of alternatives (the whole name
 * must match anyway), `* + ? {n} {n,} {n,m}` up to 100, and their lazy forms, which match the same.
 * Anything else is refused: back references, look-around, flags, named groups, classes by name. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

#define PATTERN_STEPS_MAX 20000 /* states of the automaton; `{n,m}` multiplies them */

struct pattern;

/* NULL: not understood, or too large. */
struct pattern *pattern_new(struct slice text);
void pattern_free(struct pattern *pattern);
bool pattern_matches(struct pattern *pattern, struct slice name);
