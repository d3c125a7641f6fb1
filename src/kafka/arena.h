/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is released all at once: one arena per request.
 *
 * Two doors: arena_try for sizes that a peer chose (NULL beyond the limit), arena_take for ours.
 * `used` is what was handed out, rounded up to 8 bytes a piece; what is held from the allocator
 * stays below used * 4 / 3 + ARENA_BLOCK + 64 bytes for each block. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define ARENA_BLOCK 4096

struct arena_block;

struct arena {
    struct arena_block *current; /* small pieces come from here */
    struct arena_block *all;
    size_t used;
    size_t held;
    size_t limit; /* of `used`, for arena_try */
};

/* No limit. Allocates nothing yet; a zeroed arena with a limit set is fine, too. */
void arena_init(struct arena *arena);
/* Releases everything and leaves an arena as after arena_init. */
void arena_fini(struct arena *arena);
/* Zeroed memory, aligned to 8 bytes, or NULL if it would lift `used` above the limit. Asking for
 * nothing gives a valid pointer. */
void *arena_try(struct arena *arena, size_t size) TERN_MUST_USE;
/* The same without the limit, for sizes that are our own. */
void *arena_take(struct arena *arena, size_t size) __attribute__((returns_nonnull));
