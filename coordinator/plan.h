/* How a picture is cut into units of work: a tile and a range of samples each. Pure arithmetic.
 *
 * A cheap pass comes first: a few samples of every region (fold x fold tiles), so that the picture is whole, if noisy, early, and that
 * it is known what each part costs. Then come the tiles, with the rest of the samples in `ranges` ranges.
 *
 *   unit < firsts                                 region `unit`, samples [0, first_spp)
 *   unit = firsts + range * tiles + tile          that tile (row * columns + column), its part of [first_spp, spp)
 *
 * A unit can be given out, returned and committed in parts: its rows fall into up to CO_BANDS_MOST bands, and a set of bands is a mask
 * (bit k: band k, from the top). A tile traced as a whole holds the same sums for a band as that band traced alone. */
#ifndef CO_PLAN_H
#define CO_PLAN_H

#include "tracer/error.h"
#include "tracer/render.h"

enum { CO_BANDS_MOST = 16 };

typedef struct co_plan {
    mr_picture picture;
    uint32_t side;          /* pixels, as asked for; 0: columns and rows of equal tiles */
    uint32_t columns, rows; /* of tiles */
    uint32_t fold, first_spp;
    uint32_t firsts;        /* regions */
    uint32_t ranges;        /* 0: the first pass is all there is */
    uint32_t *order;        /* the regions from the picture's middle outwards; owned */
} co_plan;

/* tile: side in pixels, 0: chosen. MR_BAD_INPUT: numbers out of range, or more than CO_UNITS_MOST units. */
int co_plan_make(co_plan *out, const mr_picture *picture, uint32_t tile, mr_error *err);
void co_plan_free(co_plan *plan);

uint32_t co_plan_units(const co_plan *plan);
mr_tile co_plan_unit(const co_plan *plan, uint32_t unit); /* unit < co_plan_units */

/* Where a column of tiles begins, in pixels; column = columns: the picture's width. The sides of every unit lie on these. */
uint32_t co_plan_column(const co_plan *plan, uint32_t column);

/* The tiles of a unit: one, or those of its region. Calls with the index (row * columns + column) of each. */
uint32_t co_plan_tiles(const co_plan *plan);
uint32_t co_plan_tile_of(const co_plan *plan, uint32_t unit);   /* unit >= firsts: its tile */
void co_plan_region(const co_plan *plan, uint32_t unit, uint32_t *column, uint32_t *row, uint32_t *columns, uint32_t *rows);

/* Bands of a tile of so many rows. */
uint32_t co_bands(uint32_t height);                               /* how many: 1 .. CO_BANDS_MOST */
uint16_t co_bands_all(uint32_t height);                           /* the mask of all */
uint32_t co_band_row(uint32_t height, uint32_t band);             /* its first row; band = co_bands(): height */
uint16_t co_bands_of_rows(uint32_t height, uint32_t row, uint32_t rows); /* 0: not whole bands of it */
uint32_t co_bands_rows(uint32_t height, uint16_t bands);          /* rows in a mask */
/* The lowest run of neighbouring bands in a mask (not 0), and the rows it covers. */
uint16_t co_bands_run(uint16_t bands);
void co_bands_span(uint32_t height, uint16_t run, uint32_t *row, uint32_t *rows);

#endif
