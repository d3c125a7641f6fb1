/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka/arena.h"

#include <string.h>

#define ALIGNMENT ((size_t)8)

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t at;
    uint8_t bytes[] __attribute__((aligned(8)));
};

/* Blocks of the usual size that are not in use: there is one arena per request and frame, and the
 * allocator is slow at this size. Not under ASan, which would not see who uses one too late. */
#ifdef __SANITIZE_ADDRESS__
#define SPARE_MAX 0
#else
#define SPARE_MAX 64
#endif
static _Thread_local struct {
    struct arena_block *blocks;
    int count;
} spare;

void arena_init(struct arena *arena)
{
    *arena = (struct arena){.limit = SIZE_MAX};
}

static void block_free(struct arena_block *block)
{
    if (block->size != ARENA_BLOCK || spare.count >= SPARE_MAX) {
        free(block);
        return;
    }
    block->next = spare.blocks;
    spare.blocks = block;
    spare.count++;
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->all;

    while (block != NULL) {
        struct arena_block *next = block->next;
        block_free(block);
        block = next;
    }
    arena_init(arena);
}

/* Its bytes are not zeroed. */
static struct arena_block *block_new(struct arena *arena, size_t size)
{
    struct arena_block *block = size == ARENA_BLOCK ? spare.blocks : NULL;

    if (block != NULL) {
        spare.blocks = block->next;
        spare.count--;
    } else {
        block = mem_grow(NULL, sizeof *block + size, 1);
    }
    block->size = size;
    block->at = 0;
    block->next = arena->all;
    arena->all = block;
    arena->held += sizeof *block + size;
    return block;
}

void *arena_take(struct arena *arena, size_t size)
{
    CHECK(size <= SIZE_MAX / 2);
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    arena->used += size;
    /* Large pieces get a block of their own, so that they waste no end of a shared one. */
    if (size > ARENA_BLOCK / 4) {
        return memset(block_new(arena, size)->bytes, 0, size);
    }
    if (arena->current == NULL || arena->current->size - arena->current->at < size) {
        arena->current = block_new(arena, ARENA_BLOCK);
    }
    void *piece = arena->current->bytes + arena->current->at;
    arena->current->at += size;
    return memset(piece, 0, size);
}

void *arena_try(struct arena *arena, size_t size)
{
    if (arena->used > arena->limit || size > arena->limit - arena->used) {
        return NULL;
    }
    return arena_take(arena, size);
}
