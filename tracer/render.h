/* The pure tile: (scene pack, picture, tile, sample range) -> sums.
 *
 * The integrator is a wavefront path tracer: a tile's paths advance together, camera rays first, then for each bounce their
 * hits, shadow rays and next directions, in batches for the ray kernel. The result of a path depends on that path alone
 * (random numbers come from pixel, sample index, dimension and seed), and sums are integers, so the same tile gives the same bits on
 * every machine, kernel, thread count and batch size, and any split of a picture into tiles and sample ranges adds up to the same film. */
#ifndef MR_RENDER_H
#define MR_RENDER_H

#include <stdint.h>

#include "tracer/error.h"
#include "tracer/kernel.h"
#include "tracer/pack.h"

enum { MR_MAX_SIDE = 32768, MR_MAX_SPP = 1 << 20, MR_MAX_TILE = 1024 }; /* pixels, samples, pixels a side */

/* What is to be rendered of a scene. */
typedef struct mr_picture {
    uint32_t width, height; /* pixels, 1 .. MR_MAX_SIDE */
    uint32_t spp;           /* samples a pixel, 1 .. MR_MAX_SPP */
    uint32_t seed;
} mr_picture;

/* A piece of work: pixels [x, x + width) x [y, y + height), row 0 at the top, samples [first_sample, first_sample + sample_count). */
typedef struct mr_tile {
    uint32_t x, y, width, height;
    uint32_t first_sample, sample_count;
} mr_tile;

typedef struct mr_ray_counts {
    uint64_t paths;  /* camera samples */
    uint64_t rays;   /* all rays given to the kernel: closest-hit and shadow */
} mr_ray_counts;

/* Checks numbers that came from outside: sides, spp, and that the tile lies in the picture and is not empty. MR_BAD_INPUT. */
int mr_picture_check(const mr_picture *picture, mr_error *err);
int mr_tile_check(const mr_picture *picture, const mr_tile *tile, mr_error *err);

typedef struct mr_renderer mr_renderer; /* one thread's scratch, bound to a pack and a kernel; any number may share a pack */

/* NULL without memory. pack and kernel are borrowed and must outlive it. */
mr_renderer *mr_renderer_new(const mr_pack *pack, const mr_kernel *kernel);
void mr_renderer_free(mr_renderer *renderer);

/* Renders a tile (checked by the caller with mr_tile_check). sums: out, height x width x 3 (R, G, B), row-major, fixed point as
 * tracer/film.h says; every sample of the range added, divided by nothing. counts is added to; may be NULL.
 * stop: read (atomically) now and then; once it is not 0 the call gives up and returns MR_INTERRUPTED (sums are then worthless); may be NULL. */
int mr_render_tile(mr_renderer *renderer, const mr_picture *picture, const mr_tile *tile, uint64_t *sums, mr_ray_counts *counts,
                   const volatile int *stop);

#endif
