/* See arena.h. Blocks grow by need: a request larger than a block's usual size gets a block of its own. */
#include "tracer/scene/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, ALIGN = 16 };

typedef struct mr_arena_block {
    struct mr_arena_block *next;
    size_t used, size;
    _Alignas(ALIGN) unsigned char bytes[];
} mr_arena_block;

static mr_arena_block *new_block(mr_arena *arena, size_t need)
{
    size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    if (size > SIZE_MAX - sizeof(mr_arena_block)) return NULL;
    mr_arena_block *block = calloc(1, sizeof *block + size);
    if (!block) return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *mr_arena_get(mr_arena *arena, size_t count, size_t size_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size_bytes, &bytes) || bytes > SIZE_MAX - ALIGN) return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    mr_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) block = new_block(arena, bytes);
    if (!block) return NULL;
    void *at = block->bytes + block->used;
    block->used += bytes;
    return at;
}

char *mr_arena_text(mr_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = mr_arena_get(arena, bytes, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

char *mr_arena_path(mr_arena *arena, const char *folder, const char *name)
{
    if (name[0] == '/' || !folder[0]) return mr_arena_text(arena, name);
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = mr_arena_get(arena, bytes, 1);
    if (path) (void)snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

void mr_arena_free(mr_arena *arena)
{
    for (mr_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->blocks = NULL;
}
