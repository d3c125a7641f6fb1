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

void arena_init(struct arena *arena)
{
    *arena = (struct arena){.limit = SIZE_MAX};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->all;

    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena_init(arena);
}

static struct arena_block *block_new(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_new(sizeof *block + size);

    block->size = size;
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
        return block_new(arena, size)->bytes;
    }
    if (arena->current == NULL || arena->current->size - arena->current->at < size) {
        arena->current = block_new(arena, ARENA_BLOCK);
    }
    void *piece = arena->current->bytes + arena->current->at;
    arena->current->at += size;
    return piece;
}

void *arena_try(struct arena *arena, size_t size)
{
    if (arena->used > arena->limit || size > arena->limit - arena->used) {
        return NULL;
    }
    return arena_take(arena, size);
}
