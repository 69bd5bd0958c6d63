/* See wire/sums.h. */
#include "wire/sums.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "wire/limits.h"

enum { LENGTH_BYTES = 4, PROBE = 1024, LEVEL = 1 };

struct wire_packer {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    uint8_t *plane; /* when encoding a plane's compressed form, when decoding all planes' raw ones */
    size_t capacity;
};

wire_packer *wire_packer_new(void)
{
    wire_packer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->compress = ZSTD_createCCtx();
    p->decompress = ZSTD_createDCtx();
    if (p->compress && p->decompress) return p;
    wire_packer_free(p);
    return NULL;
}

void wire_packer_free(wire_packer *p)
{
    if (!p) return;
    ZSTD_freeCCtx(p->compress);
    ZSTD_freeDCtx(p->decompress);
    free(p->plane);
    free(p);
}

static uint8_t *plane_scratch(wire_packer *p, size_t count)
{
    if (p->capacity >= count) return p->plane;
    uint8_t *plane = realloc(p->plane, count);
    if (!plane) return NULL;
    p->plane = plane;
    p->capacity = count;
    return plane;
}

size_t wire_sums_bound(size_t count) { return 1 + 8 * (LENGTH_BYTES + count); }

static unsigned width_of(const uint64_t *sums, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) all |= sums[i];
    unsigned width = 1;
    while (width < 8 && all >> (8 * width)) width++;
    return width;
}

static void put_length(uint8_t *at, size_t length)
{
    for (unsigned i = 0; i < LENGTH_BYTES; i++) at[i] = (uint8_t)(length >> (8 * i));
}

static size_t get_length(const uint8_t *at)
{
    return (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
}

/* Whether a plane is worth the compressor's time. Of PROBE bytes spread over it, the chance that two are equal is 1/256 when they are
 * noise; at 1/128 and more entropy coding gains something. */
static int compressible(const uint8_t *plane, size_t count)
{
    if (count < 256) return 0;
    uint32_t seen[256] = { 0 };
    size_t step = count / PROBE ? count / PROBE : 1, probes = 0;
    for (size_t i = 0; i < count; i += step, probes++) seen[plane[i]]++;
    uint64_t pairs = 0;
    for (unsigned i = 0; i < 256; i++) pairs += (uint64_t)seen[i] * seen[i];
    return (pairs - probes) * 128 > (uint64_t)probes * probes;
}

/* One plane, raw in place, to be replaced by its zstd frame when that is smaller. Returns its length. */
static size_t shrink(wire_packer *p, uint8_t *plane, size_t count)
{
    if (!compressible(plane, count)) return count;
    uint8_t *scratch = plane_scratch(p, count);
    if (!scratch) return count;
    size_t length = ZSTD_compressCCtx(p->compress, scratch, count - 1, plane, count, LEVEL);
    if (ZSTD_isError(length)) return count; /* does not fit into count - 1: not smaller */
    memcpy(plane, scratch, length);
    return length;
}

size_t wire_sums_encode(wire_packer *p, const uint64_t *restrict sums, size_t count, uint8_t *restrict bytes)
{
    unsigned width = width_of(sums, count);
    uint8_t *at = bytes;
    *at++ = (uint8_t)width;
    for (unsigned k = 0; k < width; k++) {
        uint8_t *restrict plane = at + LENGTH_BYTES;
        for (size_t i = 0; i < count; i++) plane[i] = (uint8_t)(sums[i] >> (8 * k));
        size_t length = shrink(p, plane, count);
        put_length(at, length);
        at += LENGTH_BYTES + length;
    }
    return (size_t)(at - bytes);
}

/* The plane of `length` bytes at `bytes` as count raw bytes, in `scratch` if it has to be expanded; NULL: it is no such plane. */
static const uint8_t *expand(wire_packer *p, const uint8_t *bytes, size_t length, size_t count, uint8_t *scratch)
{
    if (length == count) return bytes;
    if (ZSTD_getFrameContentSize(bytes, length) != count || ZSTD_findFrameCompressedSize(bytes, length) != length) return NULL;
    return ZSTD_decompressDCtx(p->decompress, scratch, count, bytes, length) == count ? scratch : NULL;
}

/* One to four planes at a time make 32 bits, which widen at once: half the work of 64-bit lanes. */
static void join1(uint64_t *restrict sums, const uint8_t *restrict a, size_t count)
{
    for (size_t i = 0; i < count; i++) sums[i] = a[i];
}

static void join2(uint64_t *restrict sums, const uint8_t *restrict a, const uint8_t *restrict b, size_t count)
{
    for (size_t i = 0; i < count; i++) sums[i] = (uint32_t)a[i] | (uint32_t)b[i] << 8;
}

static void join3(uint64_t *restrict sums, const uint8_t *restrict a, const uint8_t *restrict b, const uint8_t *restrict c, size_t count)
{
    for (size_t i = 0; i < count; i++) sums[i] = (uint32_t)a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16;
}

static void join4(uint64_t *restrict sums, const uint8_t *restrict a, const uint8_t *restrict b, const uint8_t *restrict c, const uint8_t *restrict d,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) sums[i] = (uint32_t)a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
}

static void add_plane(uint64_t *restrict sums, const uint8_t *restrict plane, size_t count, unsigned k)
{
    for (size_t i = 0; i < count; i++) sums[i] |= (uint64_t)plane[i] << (8 * k);
}

static void join(uint64_t *sums, const uint8_t *const plane[8], size_t count, unsigned width)
{
    if (width == 1) join1(sums, plane[0], count);
    else if (width == 2) join2(sums, plane[0], plane[1], count);
    else if (width == 3) join3(sums, plane[0], plane[1], plane[2], count);
    else join4(sums, plane[0], plane[1], plane[2], plane[3], count);
    for (unsigned k = 4; k < width; k++) add_plane(sums, plane[k], count, k);
}

int wire_sums_decode(wire_packer *p, const uint8_t *bytes, size_t size_bytes, uint64_t *sums, size_t count)
{
    const uint8_t *at = bytes, *end = bytes + size_bytes, *plane[8];
    if (size_bytes < 1 || count > WIRE_MAX_VALUES) return -1;
    unsigned width = *at++;
    if (width < 1 || width > 8) return -1;
    uint8_t *scratch = plane_scratch(p, width * count);
    if (!scratch) return -1;
    for (unsigned k = 0; k < width; k++) {
        if ((size_t)(end - at) < LENGTH_BYTES) return -1;
        size_t length = get_length(at);
        at += LENGTH_BYTES;
        if (length > count || length > (size_t)(end - at)) return -1;
        plane[k] = expand(p, at, length, count, scratch + k * count);
        if (!plane[k]) return -1;
        at += length;
    }
    if (at != end) return -1;
    join(sums, plane, count, width);
    return 0;
}
