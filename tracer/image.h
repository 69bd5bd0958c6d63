/* Encoders of pictures, used by mr_film_save. Each writes linear radiance to an open file or path that its caller renames later. */
#ifndef MR_IMAGE_H
#define MR_IMAGE_H

#include <stdint.h>
#include <stdio.h>

#include "tracer/error.h"

/* rgb: width x height x 3 floats, rows from the top. 1: written. */
int mr_write_pfm(FILE *file, const float *rgb, uint32_t width, uint32_t height); /* P. Debevec's portable float map, little-endian */
int mr_write_hdr(FILE *file, const float *rgb, uint32_t width, uint32_t height); /* Radiance RGBE (G. Ward 1991), run-length encoded */

/* OpenEXR, 32-bit floats, ZIP; writes to the path itself. */
int mr_write_exr(const char *path, const float *rgb, uint32_t width, uint32_t height, mr_error *err);

#endif
