/* An arena: many small allocations that live and die together (a scene's description: names, paths, lists).
 *
 * Memory is zeroed and aligned to 16 bytes. One thread at a time. mr_arena_free gives everything back at once. */
#ifndef MR_SCENE_ARENA_H
#define MR_SCENE_ARENA_H

#include <stddef.h>

typedef struct mr_arena {
    struct mr_arena_block *blocks; /* newest first; a zeroed arena is empty and usable */
} mr_arena;

/* count x size_bytes zero bytes, or NULL without memory (or when the product overflows). count 0 gives a valid pointer. */
void *mr_arena_get(mr_arena *arena, size_t count, size_t size_bytes);

/* A copy of a string; NULL without memory. */
char *mr_arena_text(mr_arena *arena, const char *text);

/* `folder/name`, or a copy of name when it starts with a slash or folder is empty. */
char *mr_arena_path(mr_arena *arena, const char *folder, const char *name);

void mr_arena_free(mr_arena *arena);

#endif
