/* Linear probing with backward-shift deletion (Knuth, TAOCP 3, 6.4, algorithm R): no tombstones, so it never degrades. */
#include "coordinator/map.h"

#include <stdlib.h>
#include <string.h>

/* Finaliser of MurmurHash3 (Appleby 2011): neighbouring keys, such as ZeroMQ's routing ids, spread well. */
static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

void co_map_free(co_map *map)
{
    free(map->slots);
    memset(map, 0, sizeof *map);
}

/* The key's slot, or the free one where it would go. capacity > 0. */
static uint32_t slot_of(const co_map *map, uint32_t key)
{
    uint32_t mask = map->capacity - 1, i = mix(key) & mask;
    while (map->slots[i].used && map->slots[i].key != key) i = (i + 1) & mask;
    return i;
}

static int grow(co_map *map)
{
    co_map larger = { .capacity = map->capacity ? map->capacity * 2 : 64 };
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots) return -1;
    for (uint32_t i = 0; i < map->capacity; i++)
        if (map->slots[i].used) (void)co_map_put(&larger, map->slots[i].key, map->slots[i].value);
    co_map_free(map);
    *map = larger;
    return 0;
}

int co_map_put(co_map *map, uint32_t key, uint32_t value)
{
    if (map->count * 2 >= map->capacity && grow(map)) return -1;
    uint32_t i = slot_of(map, key);
    map->count += !map->slots[i].used;
    map->slots[i] = (co_slot){ .key = key, .value = value, .used = 1 };
    return 0;
}

int64_t co_map_get(const co_map *map, uint32_t key)
{
    if (!map->capacity) return CO_MAP_NONE;
    uint32_t i = slot_of(map, key);
    return map->slots[i].used ? (int64_t)map->slots[i].value : CO_MAP_NONE;
}

void co_map_remove(co_map *map, uint32_t key)
{
    if (!map->capacity) return;
    uint32_t mask = map->capacity - 1, hole = slot_of(map, key);
    if (!map->slots[hole].used) return;
    map->count--;
    for (uint32_t i = (hole + 1) & mask; map->slots[i].used; i = (i + 1) & mask) {
        uint32_t home = mix(map->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue; /* it would move to before its home */
        map->slots[hole] = map->slots[i];
        hole = i;
    }
    map->slots[hole].used = 0;
}
