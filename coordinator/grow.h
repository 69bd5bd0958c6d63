/* Arrays that grow by doubling. */
#ifndef CO_GROW_H
#define CO_GROW_H

#include <stdint.h>
#include <stdlib.h>

/* The array (NULL at first) with room for twice as many elements of that size, 64 at least, and *capacity accordingly; NULL: no memory, nothing has changed. */
static inline void *co_grow(void *array, uint32_t *capacity, size_t element)
{
    uint32_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = larger > *capacity ? realloc(array, larger * element) : NULL;
    if (grown) *capacity = larger;
    return grown;
}

#endif
