/* Images on their way into the pack: 4 channels of 8 bits or of float, rows from the top, as mr_texture says. */
#ifndef MR_SCENE_TEXTURE_H
#define MR_SCENE_TEXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/pack.h"

typedef struct mr_image {
    uint32_t width, height;
    uint32_t format; /* enum mr_texel_format */
    uint32_t wrap;   /* enum mr_wrap */
    void *texels;    /* malloc'd; mr_image_free */
} mr_image;

/* Reads a PNG, JPEG or Radiance HDR file. srgb says how 8-bit files are encoded; HDR is linear float. `name` (the file's) stands in messages. */
int mr_image_load(mr_image *image, const char *path, int srgb, uint32_t wrap, mr_error *err);
int mr_image_decode(mr_image *image, const void *bytes, size_t size_bytes, const char *name, int srgb, uint32_t wrap, mr_error *err);

/* A black float image. */
int mr_image_new_float(mr_image *image, uint32_t width, uint32_t height, uint32_t wrap, mr_error *err);

size_t mr_image_bytes(const mr_image *image);

/* Mean linear RGB of all texels. */
void mr_image_mean(const mr_image *image, double rgb[3]);

void mr_image_free(mr_image *image);

/* Reads a whole regular file of at most `most` bytes; *bytes is malloc'd with a terminating NUL beyond its size. */
int mr_file_read(const char *path, size_t most, char **bytes, size_t *size_bytes, mr_error *err);

#endif
