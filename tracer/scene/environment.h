/* The radiance from infinity: its image's importance tables. */
#ifndef MR_SCENE_ENVIRONMENT_H
#define MR_SCENE_ENVIRONMENT_H

#include <stddef.h>

#include "tracer/error.h"
#include "tracer/scene/texture.h"

/* How many floats the table of an image has (see mr_environment in tracer/pack.h). */
size_t mr_environment_table_size(uint32_t width, uint32_t height);

/* Fills the table for a float image used with bilinear filtering. *power: the integral of luminance over all directions (before scale). A black image gets
 * a uniform table. */
int mr_environment_table(const mr_image *image, float *table, double *power, mr_error *err);

/* Turns an 8-bit image into a float one, linear, in place. A float image is left alone. */
int mr_environment_to_float(mr_image *image, mr_error *err);

/* Rows of the rotation from the world into a map whose middle (-z) shall be seen at the azimuth of direction (x, z), clockwise from above from -z. */
void mr_environment_turn(double sin_azimuth, double cos_azimuth, float to_local[9]);

#endif
