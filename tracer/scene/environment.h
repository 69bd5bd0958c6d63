/* The radiance from infinity: its image's importance tables. */
#ifndef MR_SCENE_ENVIRONMENT_H
#define MR_SCENE_ENVIRONMENT_H

#include <stddef.h>

#include "tracer/error.h"
#include "tracer/scene/texture.h"

/* The grid by which an image is sampled, and its table (see mr_environment in tracer/pack.h). */
typedef struct mr_environment_tables {
    uint32_t columns, rows;
    float *table;  /* count floats, malloc'd: the caller frees, also after an error */
    size_t count;
    double power;  /* the integral of luminance over all directions (before scale) */
} mr_environment_tables;

/* For a float image used with bilinear filtering. */
int mr_environment_tables_of(const mr_image *image, mr_environment_tables *out, mr_error *err);

/* Turns a float image into the halves of the pack, with its first column repeated, in place: texels times 2^-*exponent, the brightest from 2^14 on. */
int mr_environment_to_half(mr_image *image, int *exponent, mr_error *err);

/* Turns an 8-bit image into a float one, linear, in place. A float image is left alone. */
int mr_environment_to_float(mr_image *image, mr_error *err);

/* Rows of the rotation from the world into a map whose middle (-z) shall be seen at the azimuth of direction (x, z), clockwise from above from -z. */
void mr_environment_turn(double sin_azimuth, double cos_azimuth, float to_local[9]);

#endif
