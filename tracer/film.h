/* The film: fixed-point sums of a picture's samples, and what becomes of them.
 *
 * A sample's radiance is clamped to [0, MR_FILM_MAX] (NaN counts as 0) and counted in units of 1 / MR_FILM_ONE, rounded to
 * nearest: integers add associatively, so the film does not depend on the order or grouping of tiles and sample ranges. */
#ifndef MR_FILM_H
#define MR_FILM_H

#include <stdint.h>

#include "tracer/error.h"
#include "tracer/pack.h"
#include "tracer/render.h"

#define MR_FILM_ONE 1048576.0f /* 2^20 units a unit of radiance */
#define MR_FILM_MAX 1048576.0f /* 2^20; times MR_FILM_ONE times MR_MAX_SPP stays below 2^61 */

typedef struct mr_film {
    uint32_t width, height, spp;
    uint64_t *sums; /* height x width x 3, row-major, R G B */
} mr_film;

/* One sample's value in fixed point; NaN counts as 0. */
static inline uint64_t mr_film_fixed(float radiance)
{
    float r = radiance > 0 ? radiance : 0;
    r = r < MR_FILM_MAX ? r : MR_FILM_MAX;
    return (uint64_t)(int64_t)((double)r * (double)MR_FILM_ONE + 0.5);
}

/* Allocates a black film. Free with mr_film_free. */
int mr_film_init(mr_film *film, const mr_picture *picture, mr_error *err);
void mr_film_free(mr_film *film);

/* Adds a tile's sums (3 x tile->width x tile->height). The tile must lie in the film. */
void mr_film_add(mr_film *film, const mr_tile *tile, const uint64_t *sums);

/* Mean linear radiance of all pixels: rgb receives width x height x 3 floats. samples (> 0): how many each pixel has, film->spp when
 * it is complete. */
void mr_film_linear(const mr_film *film, uint32_t samples, float *rgb);

/* Exposure, tone curve and sRGB encoding: 8 bits a channel with a fixed rounding. rgb: pixels x 3 linear floats. */
void mr_tone_map(const mr_settings *settings, const float *rgb, uint64_t pixels, uint8_t *rgb8);

/* BLAKE2b-256 of width, height, spp and the sums: equal for equal pictures, whatever file format they go to. */
void mr_film_hash(const mr_film *film, uint8_t hash[MR_HASH_BYTES]);

/* Writes a complete film to path by its ending: .png (tone-mapped sRGB), .exr, .hdr, .pfm (linear, exposure not applied). Written to
 * a temporary file in the same folder and renamed. MR_USAGE for an unknown ending, MR_FAILED when it cannot be written. */
int mr_film_save(const mr_film *film, const mr_settings *settings, const char *path, mr_error *err);

/* MR_OK when path has an ending that mr_film_save knows; otherwise MR_USAGE and the list. Touches no file. */
int mr_film_format_check(const char *path, mr_error *err);

/* A tone-mapped PNG in memory (malloc'd, the caller frees). */
int mr_png_encode(const uint8_t *rgb8, uint32_t width, uint32_t height, uint8_t **png, size_t *size_bytes, mr_error *err);

#endif
