/* PNG: stb_image_write's filters and chunks over libdeflate's compressor and checksum.
 *
 * stb multiplies sizes as int, so a picture beyond 2^31 bytes is refused here. Its compressor hook has no context argument; libdeflate is
 * asked for the same level every time, so the bytes of a file depend on the pixels alone (and on the version of the two libraries). */
#include <libdeflate.h>
#include <stdlib.h>

#include "tracer/film.h"

enum { COMPRESSION_LEVEL = 6 };

static unsigned char *deflate_all(unsigned char *data, int data_len, int *out_len, int quality)
{
    (void)quality;
    *out_len = 0;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(COMPRESSION_LEVEL);
    if (!c) return NULL;
    size_t bound = libdeflate_zlib_compress_bound(c, (size_t)data_len);
    unsigned char *out = malloc(bound);
    size_t n = out ? libdeflate_zlib_compress(c, data, (size_t)data_len, out, bound) : 0;
    libdeflate_free_compressor(c);
    if (!n || n > INT32_MAX) {
        free(out);
        return NULL;
    }
    *out_len = (int)n;
    return out;
}

static unsigned int crc(unsigned char *buffer, int len) { return libdeflate_crc32(0, buffer, (size_t)len); }

#define STBIW_ZLIB_COMPRESS deflate_all
#define STBIW_CRC32 crc
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

int mr_png_encode(const uint8_t *rgb8, uint32_t width, uint32_t height, uint8_t **png, size_t *size_bytes, mr_error *err)
{
    if ((uint64_t)height * (3 * (uint64_t)width + 1) > INT32_MAX / 2)
        return mr_fail(err, MR_FAILED, "a picture of %ux%u pixels is too large for PNG; choose .exr or .pfm", width, height);
    int size = 0;
    *png = stbi_write_png_to_mem(rgb8, (int)(3 * width), (int)width, (int)height, 3, &size);
    if (!*png) return mr_fail(err, MR_FAILED, "no memory to encode a PNG of %ux%u pixels", width, height);
    *size_bytes = (size_t)size;
    return MR_OK;
}
