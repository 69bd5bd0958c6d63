/* What is looked at in an image file before stb_image decodes it. */
#ifndef MR_SCENE_TEXTURE_CHECK_H
#define MR_SCENE_TEXTURE_CHECK_H

#include <stddef.h>

#include "tracer/error.h"

/* Before anything of stb sees the bytes of a file, whatever they are. MR_BAD_INPUT naming `name` for what it should not see. */
int mr_image_check_tables(const void *bytes, size_t size_bytes, const char *name, mr_error *err);

/* bytes: a file that stb takes for a PNG, JPEG or HDR image of width x height. MR_BAD_INPUT when it cannot hold so many pixels. */
int mr_image_check_size(const void *bytes, size_t size_bytes, int width, int height, const char *name, mr_error *err);

#endif
