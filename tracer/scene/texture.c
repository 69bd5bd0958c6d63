/* See texture.h. stb_image decodes; it sees only whole files in memory of the three formats we take, and its global settings are left alone.
 * Its arithmetic on signed integers overflows for damaged JPEGs: this file is compiled with -fwrapv, which defines what comes of it (Makefile). */
#include "tracer/scene/texture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/texture_check.h"
#include "tracer/scene/vec.h"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_HDR
#define STBI_MAX_DIMENSIONS 16384
/* Zeroed: a JPEG that uses tables which it never defined would otherwise read what happened to be in memory, and far outside of it. */
#define STBI_MALLOC(size) calloc(1, size)
#define STBI_REALLOC(block, size) realloc(block, size)
#define STBI_FREE(block) free(block)
_Static_assert(STBI_MAX_DIMENSIONS == MR_SCENE_MAX_TEXTURE_SIDE, "stb takes no enum");
#pragma GCC diagnostic ignored "-Wunused-function" /* stb declares functions of formats that we leave out; gcc looks at the end of the file */
#include <stb/stb_image.h>

static int open_regular(const char *path, size_t most, size_t *size_bytes, mr_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0 || fstat(fd, &st)) {
        (void)mr_fail(err, MR_BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        (void)mr_fail(err, MR_BAD_INPUT, "%s: found something that is not a regular file", path);
    } else if ((uint64_t)st.st_size > most) {
        (void)mr_fail(err, MR_BAD_INPUT, "%s: found %lld bytes, expected at most %zu", path, (long long)st.st_size, most);
    } else {
        *size_bytes = (size_t)st.st_size;
        return fd;
    }
    if (fd >= 0) (void)close(fd);
    return -1;
}

/* Reads up to size bytes; a file that shrinks meanwhile gives what there is. */
static size_t read_all(int fd, char *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, bytes + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += (size_t)got;
    }
    return done;
}

int mr_file_read(const char *path, size_t most, char **bytes, size_t *size_bytes, mr_error *err)
{
    size_t size = 0;
    int fd = open_regular(path, most, &size, err);
    if (fd < 0) return MR_BAD_INPUT;
    char *buffer = malloc(size + 1);
    if (!buffer) {
        (void)close(fd);
        return mr_fail(err, MR_FAILED, "%s: no memory for %zu bytes", path, size);
    }
    size_t done = read_all(fd, buffer, size);
    (void)close(fd);
    if (done != size) {
        free(buffer);
        return mr_fail(err, MR_BAD_INPUT, "%s: only %zu of %zu bytes can be read", path, done, size);
    }
    buffer[size] = 0;
    *bytes = buffer;
    *size_bytes = size;
    return MR_OK;
}

size_t mr_image_bytes(const mr_image *image)
{
    return (size_t)image->width * image->height * mr_texel_bytes(image->format);
}

int mr_image_new_float(mr_image *image, uint32_t width, uint32_t height, uint32_t wrap, mr_error *err)
{
    *image = (mr_image){.width = width, .height = height, .format = MR_TEXEL_FLOAT, .wrap = wrap};
    image->texels = calloc(mr_image_bytes(image), 1);
    return image->texels ? MR_OK : mr_fail(err, MR_FAILED, "no memory for an image of %ux%u", width, height);
}

/* Float texels must be finite and not negative; what a camera's noise or a bad exporter left is made so, NaN included. */
static void clean_floats(float *texels, size_t count)
{
    for (size_t i = 0; i < count; i++) texels[i] = texels[i] > 0 ? fminf(texels[i], 1e6f) : 0;
}

static int check_size(int width, int height, const char *name, mr_error *err)
{
    if (width >= 1 && height >= 1 && width <= MR_SCENE_MAX_TEXTURE_SIDE && height <= MR_SCENE_MAX_TEXTURE_SIDE) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "%s: found an image of %dx%d pixels, expected 1..%d a side", name, width, height, MR_SCENE_MAX_TEXTURE_SIDE);
}

int mr_image_decode(mr_image *image, const void *bytes, size_t size_bytes, const char *name, int srgb, uint32_t wrap, mr_error *err)
{
    int width = 0, height = 0, channels = 0, status = mr_image_check_tables(bytes, size_bytes, name, err);
    if (status) return status;
    if (size_bytes > INT_MAX || !stbi_info_from_memory(bytes, (int)size_bytes, &width, &height, &channels))
        return mr_fail(err, MR_BAD_INPUT, "%s: found something else, expected a PNG, JPEG or HDR image", name);
    status = check_size(width, height, name, err);
    if (!status) status = mr_image_check_size(bytes, size_bytes, width, height, name, err);
    if (status) return status;
    int is_float = stbi_is_hdr_from_memory(bytes, (int)size_bytes);
    void *texels = is_float ? (void *)stbi_loadf_from_memory(bytes, (int)size_bytes, &width, &height, &channels, 4)
                            : (void *)stbi_load_from_memory(bytes, (int)size_bytes, &width, &height, &channels, 4);
    if (!texels) return mr_fail(err, MR_BAD_INPUT, "%s: damaged image (%s)", name, stbi_failure_reason());
    *image = (mr_image){.width = (uint32_t)width, .height = (uint32_t)height, .wrap = wrap, .texels = texels};
    image->format = is_float ? MR_TEXEL_FLOAT : srgb ? MR_TEXEL_SRGB8 : MR_TEXEL_LINEAR8;
    if (is_float) clean_floats(texels, (size_t)width * (size_t)height * 4);
    return MR_OK;
}

int mr_image_load(mr_image *image, const char *path, int srgb, uint32_t wrap, mr_error *err)
{
    char *bytes = NULL;
    size_t size_bytes = 0;
    int status = mr_file_read(path, MR_SCENE_MAX_FILE_BYTES, &bytes, &size_bytes, err);
    if (status) return status;
    status = mr_image_decode(image, bytes, size_bytes, path, srgb, wrap, err);
    free(bytes);
    return status;
}

/* The sRGB curve, IEC 61966-2-1, for the 256 values of a byte. */
static void srgb_table(double table[256])
{
    for (int i = 0; i < 256; i++) {
        double c = i / 255.0;
        table[i] = c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
    }
}

void mr_image_mean(const mr_image *image, double rgb[3])
{
    double table[256], sum[3] = {0, 0, 0};
    size_t count = (size_t)image->width * image->height;
    srgb_table(table);
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) {
            if (image->format == MR_TEXEL_FLOAT) sum[c] += (double)((const float *)image->texels)[4 * i + c];
            else if (image->format == MR_TEXEL_SRGB8) sum[c] += table[((const uint8_t *)image->texels)[4 * i + c]];
            else sum[c] += ((const uint8_t *)image->texels)[4 * i + c] / 255.0;
        }
    for (size_t c = 0; c < 3; c++) rgb[c] = sum[c] / (double)count;
}

void mr_image_free(mr_image *image)
{
    free(image->texels);
    image->texels = NULL;
}
