/* A hash map from 32-bit keys to 32-bit values, open addressing. Iteration is not offered: its order would be an accident. */
#ifndef CO_MAP_H
#define CO_MAP_H

#include <stdint.h>

enum { CO_MAP_NONE = -1 };

typedef struct co_slot {
    uint32_t key, value, used;
} co_slot;

typedef struct co_map {
    co_slot *slots;           /* one array: a look-up costs one line of the cache, where there are thousands of peers */
    uint32_t capacity, count; /* capacity: 0 or a power of two, at most half full */
} co_map;

void co_map_free(co_map *map);                                /* a zeroed map is an empty one */
int co_map_put(co_map *map, uint32_t key, uint32_t value);    /* 0, or -1 without memory; replaces */
int64_t co_map_get(const co_map *map, uint32_t key);          /* the value, or CO_MAP_NONE */
void co_map_remove(co_map *map, uint32_t key);

#endif
