/* The two simple float formats: .pfm and .hdr. */
#include "tracer/image.h"

#include <math.h>
#include <stdlib.h>

int mr_write_pfm(FILE *file, const float *rgb, uint32_t width, uint32_t height)
{
    if (fprintf(file, "PF\n%u %u\n-1.0\n", width, height) < 0) return 0;
    for (uint32_t y = height; y-- > 0;) /* rows from the bottom */
        if (fwrite(rgb + 3 * (size_t)y * width, sizeof *rgb * 3, width, file) != width) return 0;
    return 1;
}

/* Shared-exponent encoding; exact powers of two only, so the same bytes everywhere. */
static void rgbe(const float *rgb, uint8_t *out, size_t stride)
{
    float m = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
    if (rgb[2] > m) m = rgb[2];
    int e = 0;
    float scale = 0;
    if (m > 1e-32f) {
        (void)frexpf(m, &e);
        scale = ldexpf(1.0f, 8 - e);
    }
    for (size_t c = 0; c < 3; c++) {
        float v = rgb[c] * scale;
        out[c * stride] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    out[3 * stride] = (uint8_t)(scale > 0 ? e + 128 : 0);
}

/* One component of a scanline: runs of equal bytes (128 + n, value) and stretches of others (n, values). */
static int put_component(FILE *file, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n;) {
        uint32_t run = 1, end = i;
        while (i + run < n && run < 127 && p[i + run] == p[i]) run++;
        if (run > 3) {
            if (fputc((int)(128 + run), file) == EOF || fputc(p[i], file) == EOF) return 0;
            i += run;
            continue;
        }
        while (end < n && end - i < 128 && !(end + 3 < n && p[end] == p[end + 1] && p[end] == p[end + 2] && p[end] == p[end + 3]))
            end++;
        if (fputc((int)(end - i), file) == EOF || fwrite(p + i, 1, end - i, file) != end - i) return 0;
        i = end;
    }
    return 1;
}

int mr_write_hdr(FILE *file, const float *rgb, uint32_t width, uint32_t height)
{
    int coded = width >= 8 && width < 32768;
    uint8_t *line = malloc((size_t)width * 4);
    int ok = line && fprintf(file, "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %u +X %u\n", height, width) > 0;
    for (uint32_t y = 0; ok && y < height; y++) {
        const float *row = rgb + 3 * (size_t)y * width;
        for (uint32_t x = 0; x < width; x++) rgbe(row + 3 * (size_t)x, coded ? line + x : line + 4 * (size_t)x, coded ? width : 1);
        if (!coded) {
            ok = fwrite(line, 4, width, file) == width;
            continue;
        }
        uint8_t head[4] = {2, 2, (uint8_t)(width >> 8), (uint8_t)(width & 255)};
        ok = fwrite(head, 1, 4, file) == 4;
        for (size_t c = 0; ok && c < 4; c++) ok = put_component(file, line + c * width, width);
    }
    free(line);
    return ok;
}
