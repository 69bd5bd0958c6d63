/* How a picture is cut into units of work: a tile and a range of samples each. Pure arithmetic. */
#ifndef CO_PLAN_H
#define CO_PLAN_H

#include "tracer/error.h"
#include "tracer/render.h"

/* columns x rows tiles, from the picture's middle outwards, times `ranges` ranges of samples: all tiles of the first range come first, so
 * that a picture in progress is whole but noisy. unit = range * tiles + place of the tile in that order. */
typedef struct co_plan {
    mr_picture picture;
    uint32_t side;          /* pixels, as asked for; 0: columns and rows of equal tiles */
    uint32_t columns, rows, ranges;
    uint32_t *order;        /* columns x rows tile indices (row * columns + column); owned */
} co_plan;

/* tile: side in pixels, 0: chosen. MR_BAD_INPUT: numbers out of range, or more than CO_UNITS_MOST units. */
int co_plan_make(co_plan *out, const mr_picture *picture, uint32_t tile, mr_error *err);
void co_plan_free(co_plan *plan);

uint32_t co_plan_units(const co_plan *plan);
mr_tile co_plan_unit(const co_plan *plan, uint32_t unit); /* unit < co_plan_units */

#endif
